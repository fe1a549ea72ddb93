/*
 * All fields of a VMCS as they were at one moment, so that dump and audit are functions of plain
 * data. Private to vmx/. Knows no VM and no CPU.
 */
#pragma once

#include "vmcs.h"

/* The fields in the order of VMCS_FIELDS, numbered from 0. */
enum vmcs_index {
#define X(name, encoding, width, access) SNAP_##name,
	VMCS_FIELDS(X)
#undef X
		SNAP_COUNT
};

#define SNAP_WORDS (((unsigned)SNAP_COUNT + 63) / 64)

struct vmcs_snapshot {
	uint64_t value[SNAP_COUNT];   /* 0 for those that do not exist */
	uint64_t present[SNAP_WORDS]; /* bit i: this CPU's VMCS has field i */
};

static inline bool vmcs_snapshot_has(const struct vmcs_snapshot *s, enum vmcs_index i)
{
	return s->present[(unsigned)i / 64] >> ((unsigned)i % 64) & 1;
}

/* Reads every field of the current VMCS that this CPU has. */
void vmcs_snapshot_take(struct vmcs_snapshot *s);

/* "GUEST_CR0"; "?" for what is no index. */
const char *vmcs_index_name(enum vmcs_index i);
enum vmcs_field vmcs_index_field(enum vmcs_index i);
/* 16, 32 or 64 bits (natural width is 64 here). */
unsigned vmcs_index_bits(enum vmcs_index i);
