/*
 * How one VM is to be, from the words of a boot module's command line: name=a mem=16M at=0x7c00 ...
 * A pure parser. Private to core/.
 */
#pragma once

#include <crvm/compiler.h>

#define VM_NAME_MAX 16

struct vm_config {
	char name[VM_NAME_MAX];
	uint64_t mem; /* bytes, a multiple of 4 KiB */
	uint64_t at;  /* where the image is put and started, in real mode */
	unsigned cpus;
	int cpu;   /* physical CPU; -1: any */
	bool vpid; /* keep TLB entries across exits */
};

/* Whether a module's command line is that of a VM: its first word is `guest`. */
bool vm_config_is_guest(const char *text);

/* 0; E_INVAL with `error` (NUL-terminated) naming the word and what would be right. */
must_check int vm_config_parse(struct vm_config *c, const char *text, char *error, size_t size);
