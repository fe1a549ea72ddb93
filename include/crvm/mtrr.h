/*
 * The memory types that firmware gave to physical memory: the MTRRs, read once and kept
 * (arch/x86_64/mtrr.c). Used by arch/, vmx/ and core/; knows nothing of page tables.
 * Source: Intel SDM Vol. 3A, "Memory Type Range Registers (MTRRs)".
 */
#pragma once

#include <crvm/cpu.h>

/* The numbers are the same in MTRRs, EPT entries and the PAT. */
enum memory_type {
	MEMORY_UC = 0, /* strong uncacheable */
	MEMORY_WC = 1, /* write combining */
	MEMORY_WT = 4, /* write through */
	MEMORY_WP = 5, /* write protected */
	MEMORY_WB = 6, /* write back */
};

/* What mtrr_type answers for a range with more than one type. */
#define MTRR_MIXED 0xffu

/* IA32_MTRRCAP.VCNT can say 255, but there are no MSR numbers for more. */
#define MTRR_VARIABLE_MAX 40u
#define MTRR_FIXED_COUNT  88u /* 8 of 64 KiB, 16 of 16 KiB, 64 of 4 KiB: the first MiB */

struct mtrr {
	bool present;	    /* CPUID.1:EDX[12] */
	bool enabled;	    /* IA32_MTRR_DEF_TYPE.E */
	bool fixed_enabled; /* IA32_MTRR_DEF_TYPE.FE, and there are fixed ranges */
	uint8_t default_type;
	uint8_t fixed[MTRR_FIXED_COUNT];
	unsigned variable_count; /* those that are valid */
	struct {
		uint64_t base, mask; /* an address is inside if it equals base where mask is 1 */
		uint8_t type;
	} variable[MTRR_VARIABLE_MAX];
	uint64_t limit; /* first address beyond MAXPHYADDR */
};

/*
 * Reads the CPU behind `ops`, whose MAXPHYADDR is phys_bits. E_IO if an MSR that must exist faults:
 * then all memory counts as uncacheable, which is slow but never wrong.
 */
must_check int mtrr_read(struct mtrr *m, const struct cpu_ops *ops, unsigned phys_bits);

/*
 * The type of [base, base + len), enum memory_type, or MTRR_MIXED; len 0 counts as 1. MTRR_MIXED is
 * also the answer where finding out would take very long, never for a single 4 KiB page of one
 * type.
 *
 * Without MTRRs everything is write back: then only paging decides, and a CPU that has VMX but no
 * MTRRs is a virtual one, whose memory is the RAM of the machine below. Disabled MTRRs are
 * uncacheable, as in the manual, and so is what lies beyond MAXPHYADDR.
 */
uint8_t mtrr_type(const struct mtrr *m, uint64_t base, uint64_t len);
