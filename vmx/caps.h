/*
 * What one CPU says about its VMX: CPUID and the capability MSRs, kept whole, and what follows from
 * them. Private to vmx/. Knows no VMCS, no VM and no other CPU but the one it is asked about.
 * Source: Intel SDM Vol. 3D, Appendix A, "VMX Capability Reporting Facility".
 */
#pragma once

#include <crvm/cpu.h>
#include <crvm/feature.h>
#include <crvm/verdict.h>

/*
 * Every MSR that is read, in the order of reading: whether one exists is told by those before it.
 * X(n) stands for MSR_n in crvm/cpu.h and IA32_n in the manual.
 */
#define VMX_CAP_MSRS(X)            \
	X(FEATURE_CONTROL)         \
	X(VMX_BASIC)               \
	X(VMX_PINBASED_CTLS)       \
	X(VMX_PROCBASED_CTLS)      \
	X(VMX_EXIT_CTLS)           \
	X(VMX_ENTRY_CTLS)          \
	X(VMX_MISC)                \
	X(VMX_CR0_FIXED0)          \
	X(VMX_CR0_FIXED1)          \
	X(VMX_CR4_FIXED0)          \
	X(VMX_CR4_FIXED1)          \
	X(VMX_VMCS_ENUM)           \
	X(VMX_PROCBASED_CTLS2)     \
	X(VMX_EPT_VPID_CAP)        \
	X(VMX_TRUE_PINBASED_CTLS)  \
	X(VMX_TRUE_PROCBASED_CTLS) \
	X(VMX_TRUE_EXIT_CTLS)      \
	X(VMX_TRUE_ENTRY_CTLS)     \
	X(VMX_VMFUNC)

enum vmx_cap {
#define X(n) CAP_##n,
	VMX_CAP_MSRS(X)
#undef X
		CAP_COUNT
};

enum {
	CPUID1_ECX_VMX = 1u << 5,

	FEATURE_CONTROL_LOCK = 1u << 0,
	FEATURE_CONTROL_VMX = 1u << 2, /* VMXON outside SMX operation */

	/* Bits of the MSRs. The allowed 1-setting of control n is bit 32 + n. */
	BASIC_IO_INFO = 54,   /* VM exits for INS and OUTS report what was executed */
	BASIC_TRUE_CTLS = 55, /* the IA32_VMX_TRUE_* MSRs exist */
	PROC_SECONDARY = 32 + 31,
	PROC2_EPT = 32 + 1,
	PROC2_VPID = 32 + 5,
	PROC2_VMFUNC = 32 + 13,
	EPT_INVEPT = 20,
	EPT_INVEPT_SINGLE = 25,
	EPT_INVEPT_ALL = 26,

	VMX_MEMORY_TYPE_WB = 6,
};

struct vmx_caps {
	char vendor[13];
	uint32_t cpuid1_ecx;
	uint64_t msr[CAP_COUNT]; /* 0 for those that do not exist */
	uint32_t faulted;	 /* bit i: msr[i] should exist, but reading it faulted */
	bool unlock_faulted;	 /* writing IA32_FEATURE_CONTROL did */
};
_Static_assert(CAP_COUNT <= 32, "one bit of vmx_caps.faulted for each MSR");

static inline bool vmx_caps_bit(const struct vmx_caps *c, enum vmx_cap cap, unsigned bit)
{
	return c->msr[cap] >> bit & 1;
}

static inline bool vmx_caps_vmx(const struct vmx_caps *c)
{
	return c->cpuid1_ecx & CPUID1_ECX_VMX;
}

/* A region's identity and size: Appendix A.1, "Basic VMX Information". */
static inline uint32_t vmx_caps_revision(const struct vmx_caps *c)
{
	return (uint32_t)c->msr[CAP_VMX_BASIC] & 0x7fffffff;
}

static inline unsigned vmx_caps_region_size(const struct vmx_caps *c)
{
	return (unsigned)(c->msr[CAP_VMX_BASIC] >> 32) & 0x1fff;
}

static inline unsigned vmx_caps_memory_type(const struct vmx_caps *c)
{
	return (unsigned)(c->msr[CAP_VMX_BASIC] >> 50) & 0xf;
}

/* May a control register hold `value` in VMX operation? Appendix A.7 and A.8, "VMX-Fixed Bits". */
static inline bool vmx_cr_allowed(uint64_t fixed0, uint64_t fixed1, uint64_t value)
{
	return (fixed0 & ~value) == 0 && (value & ~fixed1) == 0;
}

/* Reads everything that exists on the CPU behind `ops`; no VMX MSR without VMX in CPUID. */
void vmx_caps_read(struct vmx_caps *c, const struct cpu_ops *ops);

/*
 * If firmware left IA32_FEATURE_CONTROL unlocked: enables VMX outside SMX and locks, keeps the
 * other bits, and reads back. Whether it worked is for vmx_caps_verdict to say.
 */
void vmx_caps_unlock(struct vmx_caps *c, const struct cpu_ops *ops);

/* Adds what keeps this CPU from running VMs. After vmx_caps_unlock. */
void vmx_caps_verdict(const struct vmx_caps *c, struct verdict *v);

#define VMX_FEATURES_MAX 40

/* Fills rows[]; returns how many. */
unsigned vmx_caps_features(const struct vmx_caps *c, struct feature rows[VMX_FEATURES_MAX]);

/*
 * Does CPU `cpu` offer just what the boot CPU does? If not, adds one item: the first difference. Of
 * IA32_FEATURE_CONTROL only the lock and VMX outside SMX count.
 */
must_check bool vmx_caps_compare(const struct vmx_caps *boot, const struct vmx_caps *other,
				 unsigned cpu, struct verdict *v);

/* Does VMX operation allow these values on this CPU? Adds an item for each that it does not. */
must_check bool vmx_caps_check_cr(const struct vmx_caps *c, unsigned cpu, uint64_t cr0,
				  uint64_t cr4, struct verdict *v);
