/*
 * The rules for the host-state area. Rows only; what runs them is audit.c.
 * Source: Intel SDM Vol. 3C, "Checks on Host Control Registers, MSRs, and SSP", "Checks on Host
 * Segment and Descriptor-Table Registers", "Checks Related to Address-Space Size".
 */
#include "audit_rules.h"

enum {
	CR0_NW_CD = 3u << 29, /* never checked: VM exits do not change them */
	CR4_PCIDE = 1u << 17,
	CR4_CET = 1u << 23,
	SELECTOR_TI_RPL = 7,
};

static bool host_cr0(const struct audit *a, const struct audit_rule *r, unsigned seg)
{
	const uint64_t *msr = a->caps->msr;

	return vmx_cr_allowed(msr[CAP_VMX_CR0_FIXED0] & ~(uint64_t)CR0_NW_CD,
			      msr[CAP_VMX_CR0_FIXED1] | CR0_NW_CD, audit_field(a, r, 0, seg));
}

static bool host_cr4(const struct audit *a, const struct audit_rule *r, unsigned seg)
{
	return vmx_cr_allowed(a->caps->msr[CAP_VMX_CR4_FIXED0], a->caps->msr[CAP_VMX_CR4_FIXED1],
			      audit_field(a, r, 0, seg));
}

/* Shadow stacks rest on write protection. */
static bool host_cet(const struct audit *a, const struct audit_rule *r, unsigned seg)
{
	return !(audit_field(a, r, 1, seg) & CR4_CET) || (audit_field(a, r, 0, seg) & CR0_WP);
}

static bool host_efer_mode(const struct audit *a, const struct audit_rule *r, unsigned seg)
{
	uint64_t want = AUDIT_ON(a, EXIT, HOST_64) ? EFER_LME | EFER_LMA : 0;

	return (audit_field(a, r, 0, seg) & (EFER_LME | EFER_LMA)) == want;
}

static bool nonzero(const struct audit *a, const struct audit_rule *r, unsigned seg)
{
	return audit_field(a, r, 0, seg) != 0;
}

static bool cpu_mode_host(const struct audit *a, const struct audit_rule *r, unsigned seg)
{
	(void)r, (void)seg;
	return AUDIT_ON(a, EXIT, HOST_64) == a->env->ia32e;
}

static bool cpu_mode_guest(const struct audit *a, const struct audit_rule *r, unsigned seg)
{
	(void)r, (void)seg;
	return a->env->ia32e || !AUDIT_ON(a, ENTRY, IA32E);
}

static const struct audit_rule register_rules[] = {
	{"host-cr0", "host CR0: as IA32_VMX_CR0_FIXED0 and FIXED1 allow", host_cr0,
	 FIELDS(SNAP_HOST_CR0)},
	{"host-cr4", "host CR4: as IA32_VMX_CR4_FIXED0 and FIXED1 allow", host_cr4,
	 FIELDS(SNAP_HOST_CR4)},
	{"host-cet", "host CR0.WP is 1 if CR4.CET is", host_cet,
	 FIELDS(SNAP_HOST_CR0, SNAP_HOST_CR4)},
	{"host-cr3", "host CR3: within the physical-address width", audit_cr3,
	 FIELDS(SNAP_HOST_CR3)},
	{"host-sysenter-esp", "host IA32_SYSENTER_ESP is canonical", audit_canonical,
	 FIELDS(SNAP_HOST_SYSENTER_ESP)},
	{"host-sysenter-eip", "host IA32_SYSENTER_EIP is canonical", audit_canonical,
	 FIELDS(SNAP_HOST_SYSENTER_EIP)},
	{"host-perf-global", "host IA32_PERF_GLOBAL_CTRL: reserved bits are 0", audit_perf_global,
	 .when = CTL(EXIT, LOAD_PERF_GLOBAL), FIELDS(SNAP_HOST_PERF_GLOBAL_CTRL)},
	{"host-pat", "host IA32_PAT: each byte is 0, 1, 4, 5, 6 or 7", audit_pat,
	 .when = CTL(EXIT, LOAD_PAT), FIELDS(SNAP_HOST_PAT)},
	{"host-efer-reserved", "host IA32_EFER: reserved bits are 0", audit_efer_bits,
	 .when = CTL(EXIT, LOAD_EFER), FIELDS(SNAP_HOST_EFER)},
	{"host-efer-mode", "host IA32_EFER: LME and LMA equal \"host address-space size\"",
	 host_efer_mode, .when = CTL(EXIT, LOAD_EFER), FIELDS(SNAP_HOST_EFER, SNAP_EXIT_CTLS)},
};

#define SELECTOR_RULE(seg)                                                          \
	{                                                                           \
		"host-selector", "host selectors: RPL and TI are 0",                \
			.mask = SELECTOR_TI_RPL, FIELDS(SNAP_HOST_##seg##_SELECTOR) \
	}

static const struct audit_rule segment_rules[] = {
	SELECTOR_RULE(CS),
	SELECTOR_RULE(SS),
	SELECTOR_RULE(DS),
	SELECTOR_RULE(ES),
	SELECTOR_RULE(FS),
	SELECTOR_RULE(GS),
	SELECTOR_RULE(TR),
	{"host-cs-null", "host CS selector is not 0", nonzero, FIELDS(SNAP_HOST_CS_SELECTOR)},
	{"host-tr-null", "host TR selector is not 0", nonzero, FIELDS(SNAP_HOST_TR_SELECTOR)},
	{"host-ss-null", "host SS selector is not 0 if \"host address-space size\" is 0", nonzero,
	 .only = AUDIT_HOST_32, FIELDS(SNAP_HOST_SS_SELECTOR)},
	{"host-base", "host FS base is canonical", audit_canonical, FIELDS(SNAP_HOST_FS_BASE)},
	{"host-base", "host GS base is canonical", audit_canonical, FIELDS(SNAP_HOST_GS_BASE)},
	{"host-base", "host GDTR base is canonical", audit_canonical, FIELDS(SNAP_HOST_GDTR_BASE)},
	{"host-base", "host IDTR base is canonical", audit_canonical, FIELDS(SNAP_HOST_IDTR_BASE)},
	{"host-base", "host TR base is canonical", audit_canonical, FIELDS(SNAP_HOST_TR_BASE)},
};

static const struct audit_rule address_space_rules[] = {
	{"cpu-mode-guest", "\"IA-32e mode guest\" is 0 if VM entry is outside IA-32e mode",
	 cpu_mode_guest, FIELDS(SNAP_ENTRY_CTLS)},
	{"cpu-mode-host", "\"host address-space size\" is 1 just if VM entry is in IA-32e mode",
	 cpu_mode_host, FIELDS(SNAP_EXIT_CTLS)},
	/* That a 32-bit host has no 64-bit guest follows from these two. */
	{"host-32-pcide", "host CR4.PCIDE is 0 if \"host address-space size\" is 0",
	 .only = AUDIT_HOST_32, .mask = CR4_PCIDE, FIELDS(SNAP_HOST_CR4, SNAP_EXIT_CTLS)},
	{"host-32-rip", "host RIP bits 63:32 are 0 if \"host address-space size\" is 0",
	 .only = AUDIT_HOST_32, .mask = 0xffffffff00000000, FIELDS(SNAP_HOST_RIP, SNAP_EXIT_CTLS)},
	{"host-64-pae", "host CR4.PAE is 1 if \"host address-space size\" is",
	 .when = CTL(EXIT, HOST_64), .mask = CR4_PAE, .value = CR4_PAE,
	 FIELDS(SNAP_HOST_CR4, SNAP_EXIT_CTLS)},
	{"host-64-rip", "host RIP is canonical if \"host address-space size\" is 1",
	 audit_canonical, .when = CTL(EXIT, HOST_64), FIELDS(SNAP_HOST_RIP, SNAP_EXIT_CTLS)},
};

const struct audit_section audit_host[3] = {
	SECTION("host state", "Checks on Host Control Registers, MSRs, and SSP", register_rules),
	SECTION("host state", "Checks on Host Segment and Descriptor-Table Registers",
		segment_rules),
	SECTION("host state", "Checks Related to Address-Space Size", address_space_rules),
};
