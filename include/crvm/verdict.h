/*
 * What keeps this machine from running VMs, in words for its owner (lib/verdict.c). Any file may
 * add to a verdict; core prints it.
 */
#pragma once

#include <crvm/compiler.h>

#define VERDICT_MAX 12

struct verdict_item {
	char fact[80];	/* "VMX is locked off in firmware" */
	char saw[120];	/* "IA32_FEATURE_CONTROL (MSR 3Ah) = 0x1: lock bit 0 set, bit 2 clear" */
	char todo[200]; /* "enable Intel Virtualization Technology in the firmware setup, ..." */
};

/* No item: nothing keeps the machine from running VMs. */
struct verdict {
	unsigned count;
	struct verdict_item item[VERDICT_MAX];
};

/* Adds one item; `todo` is plain text, `saw` is formatted. A thirteenth item is dropped. */
void verdict_add(struct verdict *v, const char *fact, const char *todo, const char *saw_fmt, ...)
	printf_like(4, 5);
