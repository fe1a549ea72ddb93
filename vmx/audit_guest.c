/*
 * The rules for the guest-state area, but those for segments. Rows only; what runs them is audit.c.
 * Source: Intel SDM Vol. 3C, "Checks on the Guest State Area".
 */
#include "audit_rules.h"

enum {
	CR0_NW_CD = 3u << 29, /* never checked: VM entry does not change them */
	CR4_PCIDE = 1u << 17,
	CR4_CET = 1u << 23,

	RFLAGS_TF = 1u << 8,
	RFLAGS_VM = 1u << 17,
	AR_L = 1u << 13,
	AR_DPL = 3u << 5,
	DEBUGCTL_BTF = 1u << 1,

	BLOCKED_STI = 1u << 0,
	BLOCKED_MOV_SS = 1u << 1,
	BLOCKED_SMI = 1u << 2,
	BLOCKED_NMI = 1u << 3,
	IN_ENCLAVE = 1u << 4,

	ACTIVE = 0,
	HLT = 1,
	SHUTDOWN = 2,
	WAIT_FOR_SIPI = 3,
	MISC_ACTIVITY = 5, /* + state: the CPU supports it */

	PENDING_ENABLED = 1u << 12,
	PENDING_BS = 1u << 14,
	PENDING_RTM = 1u << 16,

	EXC_DEBUG = 1,
	EXC_MACHINE_CHECK = 18,

	PDPTE_PRESENT = 1,
	PDPTE_RESERVED = 0x1e6, /* bits 2:1 and 8:5 */
};
#define BNDCFGS_RESERVED 0xffcull
#define RFLAGS_RESERVED	 (~0x3fffffull | 1u << 15 | 1u << 5 | 1u << 3 | 1u << 1)
/* Bits 11:4, 13, 15 and 63:17. */
#define PENDING_RESERVED (~0x1ffffull | 0xaff0)
#define NO_LINK		 (~0ull)

static bool guest_cr0(const struct audit *a, const struct audit_rule *r, unsigned seg)
{
	uint64_t free = CR0_NW_CD;

	if (AUDIT_ON(a, PROC2, UNRESTRICTED))
		free |= (uint64_t)CR0_PE | CR0_PG;
	return vmx_cr_allowed(a->caps->msr[CAP_VMX_CR0_FIXED0] & ~free,
			      a->caps->msr[CAP_VMX_CR0_FIXED1] | free, audit_field(a, r, 0, seg));
}

static bool guest_paging(const struct audit *a, const struct audit_rule *r, unsigned seg)
{
	uint64_t cr0 = audit_field(a, r, 0, seg);

	return !(cr0 & CR0_PG) || (cr0 & CR0_PE);
}

static bool guest_cr4(const struct audit *a, const struct audit_rule *r, unsigned seg)
{
	return vmx_cr_allowed(a->caps->msr[CAP_VMX_CR4_FIXED0], a->caps->msr[CAP_VMX_CR4_FIXED1],
			      audit_field(a, r, 0, seg));
}

static bool guest_cet(const struct audit *a, const struct audit_rule *r, unsigned seg)
{
	return !(audit_field(a, r, 1, seg) & CR4_CET) || (audit_field(a, r, 0, seg) & CR0_WP);
}

static bool guest_debugctl(const struct audit *a, const struct audit_rule *r, unsigned seg)
{
	return (audit_field(a, r, 0, seg) & ~a->env->debugctl_bits) == 0;
}

static bool guest_lma(const struct audit *a, const struct audit_rule *r, unsigned seg)
{
	return ((audit_field(a, r, 0, seg) & EFER_LMA) != 0) == AUDIT_ON(a, ENTRY, IA32E);
}

static bool guest_lme(const struct audit *a, const struct audit_rule *r, unsigned seg)
{
	uint64_t efer = audit_field(a, r, 0, seg);

	return !(audit_field(a, r, 1, seg) & CR0_PG) || !(efer & EFER_LMA) == !(efer & EFER_LME);
}

static bool in_64_bit_mode(const struct audit *a)
{
	return AUDIT_ON(a, ENTRY, IA32E) && (audit_value(a, SNAP_GUEST_CS_AR) & AR_L);
}

static bool rip_32(const struct audit *a, const struct audit_rule *r, unsigned seg)
{
	return in_64_bit_mode(a) || audit_field(a, r, 0, seg) >> 32 == 0;
}

/* Weaker than canonical: the bit below may differ, and the first fetch faults. */
static bool rip_64(const struct audit *a, const struct audit_rule *r, unsigned seg)
{
	uint64_t high = audit_field(a, r, 0, seg) >> a->env->linear_bits;

	return !in_64_bit_mode(a) || high == 0 || high == ~0ull >> a->env->linear_bits;
}

static bool rflags_vm(const struct audit *a, const struct audit_rule *r, unsigned seg)
{
	return !(audit_field(a, r, 0, seg) & RFLAGS_VM) ||
	       (!AUDIT_ON(a, ENTRY, IA32E) && (audit_field(a, r, 1, seg) & CR0_PE));
}

static bool rflags_if(const struct audit *a, const struct audit_rule *r, unsigned seg)
{
	return audit_event_type(a) != EVT_EXTERNAL || (audit_field(a, r, 0, seg) & RFLAGS_IF);
}

static bool activity_supported(const struct audit *a, const struct audit_rule *r, unsigned seg)
{
	uint64_t state = audit_field(a, r, 0, seg);

	if (state == ACTIVE)
		return true;
	return state <= WAIT_FOR_SIPI &&
	       vmx_caps_bit(a->caps, CAP_VMX_MISC, MISC_ACTIVITY + (unsigned)state);
}

static bool activity_hlt(const struct audit *a, const struct audit_rule *r, unsigned seg)
{
	return audit_field(a, r, 0, seg) != HLT || !(audit_field(a, r, 1, seg) & AR_DPL);
}

static bool activity_blocking(const struct audit *a, const struct audit_rule *r, unsigned seg)
{
	return audit_field(a, r, 0, seg) == ACTIVE ||
	       !(audit_field(a, r, 1, seg) & (BLOCKED_STI | BLOCKED_MOV_SS));
}

/* Would the event arrive at a CPU that is in this state? */
static bool activity_event(const struct audit *a, const struct audit_rule *r, unsigned seg)
{
	enum audit_event type = audit_event_type(a);
	unsigned vector = audit_event_vector(a);
	bool machine_check = type == EVT_EXCEPTION && vector == EXC_MACHINE_CHECK;

	switch (audit_field(a, r, 0, seg)) {
	case HLT:
		return type == EVT_EXTERNAL || type == EVT_NMI || machine_check ||
		       (type == EVT_EXCEPTION && vector == EXC_DEBUG) || type == EVT_OTHER;
	case SHUTDOWN:
		return type == EVT_NMI || machine_check;
	case WAIT_FOR_SIPI:
		return false;
	default:
		return true;
	}
}

static bool blocking_one(const struct audit *a, const struct audit_rule *r, unsigned seg)
{
	return (~audit_field(a, r, 0, seg) & (BLOCKED_STI | BLOCKED_MOV_SS)) != 0;
}

static bool blocking_sti_if(const struct audit *a, const struct audit_rule *r, unsigned seg)
{
	return !(audit_field(a, r, 0, seg) & BLOCKED_STI) ||
	       (audit_field(a, r, 1, seg) & RFLAGS_IF);
}

static bool blocking_external(const struct audit *a, const struct audit_rule *r, unsigned seg)
{
	return audit_event_type(a) != EVT_EXTERNAL ||
	       !(audit_field(a, r, 0, seg) & (BLOCKED_STI | BLOCKED_MOV_SS));
}

/* Some CPUs refuse blocking by STI here too; the manual leaves that open, so it is no rule. */
static bool blocking_nmi(const struct audit *a, const struct audit_rule *r, unsigned seg)
{
	return audit_event_type(a) != EVT_NMI || !(audit_field(a, r, 0, seg) & BLOCKED_MOV_SS);
}

static bool blocking_virtual_nmi(const struct audit *a, const struct audit_rule *r, unsigned seg)
{
	return audit_event_type(a) != EVT_NMI || !(audit_field(a, r, 0, seg) & BLOCKED_NMI);
}

static bool blocking_enclave(const struct audit *a, const struct audit_rule *r, unsigned seg)
{
	uint64_t state = audit_field(a, r, 0, seg);

	return !(state & IN_ENCLAVE) || (a->env->sgx && !(state & BLOCKED_MOV_SS));
}

/* Where a single step could not have been reported yet, BS must tell of it, and only then. */
static bool pending_step(const struct audit *a, const struct audit_rule *r, unsigned seg)
{
	bool stepping = (audit_field(a, r, 1, seg) & RFLAGS_TF) &&
			!(audit_field(a, r, 2, seg) & DEBUGCTL_BTF);

	if (!(audit_field(a, r, 3, seg) & (BLOCKED_STI | BLOCKED_MOV_SS)) &&
	    audit_value(a, SNAP_GUEST_ACTIVITY) != HLT)
		return true;
	return ((audit_field(a, r, 0, seg) & PENDING_BS) != 0) == stepping;
}

static bool pending_rtm(const struct audit *a, const struct audit_rule *r, unsigned seg)
{
	uint64_t pending = audit_field(a, r, 0, seg);

	if (!(pending & PENDING_RTM))
		return true;
	return a->env->rtm && pending == (PENDING_RTM | PENDING_ENABLED) &&
	       !(audit_field(a, r, 1, seg) & BLOCKED_MOV_SS);
}

static bool link_page(const struct audit *a, const struct audit_rule *r, unsigned seg)
{
	return audit_field(a, r, 0, seg) == NO_LINK || audit_page(a, r, seg);
}

static bool link_revision(const struct audit *a, const struct audit_rule *r, unsigned seg)
{
	uint64_t link = audit_field(a, r, 0, seg);
	uint8_t b[16];
	uint32_t word;

	if (link == NO_LINK || !a->env->read)
		return true;
	if (!a->env->read(a->env->ctx, link, b))
		return false;
	word = (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
	return (word & 0x7fffffff) == vmx_caps_revision(a->caps) &&
	       (word >> 31 != 0) == AUDIT_ON(a, PROC2, SHADOWING);
}

static bool link_other(const struct audit *a, const struct audit_rule *r, unsigned seg)
{
	return audit_field(a, r, 0, seg) != a->env->vmcs;
}

static bool uses_pae_paging(const struct audit *a)
{
	return (audit_value(a, SNAP_GUEST_CR0) & CR0_PG) &&
	       (audit_value(a, SNAP_GUEST_CR4) & CR4_PAE) && !AUDIT_ON(a, ENTRY, IA32E);
}

static bool pdpte_allowed(const struct audit *a, uint64_t pdpte)
{
	unsigned bits = a->env->phys_bits < 63 ? a->env->phys_bits : 63;

	return !(pdpte & PDPTE_PRESENT) || (!(pdpte & PDPTE_RESERVED) && pdpte >> bits == 0);
}

static bool pdpte_field(const struct audit *a, const struct audit_rule *r, unsigned seg)
{
	return !uses_pae_paging(a) || pdpte_allowed(a, audit_field(a, r, 0, seg));
}

/* Without EPT they are read from memory: 32 bytes at CR3. */
static bool pdpte_memory(const struct audit *a, const struct audit_rule *r, unsigned seg)
{
	uint64_t table = audit_field(a, r, 0, seg) & 0xffffffe0;
	uint8_t bytes[16];

	if (AUDIT_ON(a, PROC2, EPT) || !uses_pae_paging(a) || !a->env->read)
		return true;
	for (unsigned i = 0; i < 4; i++) {
		uint64_t pdpte = 0;

		if (i % 2 == 0 && !a->env->read(a->env->ctx, table + 8ull * i, bytes))
			return false;
		for (unsigned n = 8; n-- > 0;)
			pdpte = pdpte << 8 | bytes[i % 2 * 8 + n];
		if (!pdpte_allowed(a, pdpte))
			return false;
	}
	return true;
}

static const struct audit_rule register_rules[] = {
	{"guest-cr0",
	 "guest CR0: as IA32_VMX_CR0_FIXED0 and FIXED1 allow (PE and PG are free in an "
	 "unrestricted guest)",
	 guest_cr0, FIELDS(SNAP_GUEST_CR0, SNAP_PROC2_CTLS)},
	{"guest-paging", "guest CR0.PE is 1 if PG is", guest_paging, FIELDS(SNAP_GUEST_CR0)},
	{"guest-cr4", "guest CR4: as IA32_VMX_CR4_FIXED0 and FIXED1 allow", guest_cr4,
	 FIELDS(SNAP_GUEST_CR4)},
	{"guest-cet", "guest CR0.WP is 1 if CR4.CET is", guest_cet,
	 FIELDS(SNAP_GUEST_CR0, SNAP_GUEST_CR4)},
	{"guest-debugctl", "guest IA32_DEBUGCTL: reserved bits are 0", guest_debugctl,
	 .when = CTL(ENTRY, LOAD_DEBUG), FIELDS(SNAP_GUEST_DEBUGCTL)},
	{"guest-ia32e-pg", "guest CR0.PG is 1 if \"IA-32e mode guest\" is", .only = AUDIT_IA32E,
	 .mask = CR0_PG, .value = CR0_PG, FIELDS(SNAP_GUEST_CR0, SNAP_ENTRY_CTLS)},
	{"guest-ia32e-pae", "guest CR4.PAE is 1 if \"IA-32e mode guest\" is", .only = AUDIT_IA32E,
	 .mask = CR4_PAE, .value = CR4_PAE, FIELDS(SNAP_GUEST_CR4, SNAP_ENTRY_CTLS)},
	{"guest-pcide", "guest CR4.PCIDE is 0 if \"IA-32e mode guest\" is", .only = AUDIT_LEGACY,
	 .mask = CR4_PCIDE, FIELDS(SNAP_GUEST_CR4, SNAP_ENTRY_CTLS)},
	{"guest-cr3", "guest CR3: within the physical-address width", audit_cr3,
	 FIELDS(SNAP_GUEST_CR3)},
	{"guest-dr7", "guest DR7: bits 63:32 are 0", .when = CTL(ENTRY, LOAD_DEBUG),
	 .mask = 0xffffffff00000000, FIELDS(SNAP_GUEST_DR7)},
	{"guest-sysenter-esp", "guest IA32_SYSENTER_ESP is canonical", audit_canonical,
	 FIELDS(SNAP_GUEST_SYSENTER_ESP)},
	{"guest-sysenter-eip", "guest IA32_SYSENTER_EIP is canonical", audit_canonical,
	 FIELDS(SNAP_GUEST_SYSENTER_EIP)},
	{"guest-perf-global", "guest IA32_PERF_GLOBAL_CTRL: reserved bits are 0", audit_perf_global,
	 .when = CTL(ENTRY, LOAD_PERF_GLOBAL), FIELDS(SNAP_GUEST_PERF_GLOBAL_CTRL)},
	{"guest-pat", "guest IA32_PAT: each byte is 0, 1, 4, 5, 6 or 7", audit_pat,
	 .when = CTL(ENTRY, LOAD_PAT), FIELDS(SNAP_GUEST_PAT)},
	{"guest-efer-reserved", "guest IA32_EFER: reserved bits are 0", audit_efer_bits,
	 .when = CTL(ENTRY, LOAD_EFER), FIELDS(SNAP_GUEST_EFER)},
	{"guest-efer-lma", "guest IA32_EFER.LMA equals \"IA-32e mode guest\"", guest_lma,
	 .when = CTL(ENTRY, LOAD_EFER), FIELDS(SNAP_GUEST_EFER, SNAP_ENTRY_CTLS)},
	{"guest-efer-lme", "guest IA32_EFER.LME equals LMA if CR0.PG is 1", guest_lme,
	 .when = CTL(ENTRY, LOAD_EFER), FIELDS(SNAP_GUEST_EFER, SNAP_GUEST_CR0)},
	{"guest-bndcfgs-reserved", "guest IA32_BNDCFGS: bits 11:2 are 0",
	 .when = CTL(ENTRY, LOAD_BNDCFGS), .mask = BNDCFGS_RESERVED, FIELDS(SNAP_GUEST_BNDCFGS)},
	{"guest-bndcfgs-base", "guest IA32_BNDCFGS: the address is canonical", audit_canonical,
	 .when = CTL(ENTRY, LOAD_BNDCFGS), FIELDS(SNAP_GUEST_BNDCFGS)},
};

const struct audit_section audit_guest_registers[1] = {
	SECTION("guest state", "Checks on Guest Control Registers, Debug Registers, and MSRs",
		register_rules),
};

static const struct audit_rule table_rules[] = {
	{"guest-table-base", "guest GDTR base is canonical", audit_canonical,
	 FIELDS(SNAP_GUEST_GDTR_BASE)},
	{"guest-table-base", "guest IDTR base is canonical", audit_canonical,
	 FIELDS(SNAP_GUEST_IDTR_BASE)},
	{"guest-table-limit", "guest GDTR limit: bits 31:16 are 0", .mask = 0xffff0000,
	 FIELDS(SNAP_GUEST_GDTR_LIMIT)},
	{"guest-table-limit", "guest IDTR limit: bits 31:16 are 0", .mask = 0xffff0000,
	 FIELDS(SNAP_GUEST_IDTR_LIMIT)},
};

static const struct audit_rule rip_rules[] = {
	{"guest-rip-32", "guest RIP: bits 63:32 are 0 outside 64-bit mode", rip_32,
	 FIELDS(SNAP_GUEST_RIP, SNAP_ENTRY_CTLS, SNAP_GUEST_CS_AR)},
	{"guest-rip-64", "guest RIP: bits beyond the linear-address width are identical", rip_64,
	 FIELDS(SNAP_GUEST_RIP)},
	{"guest-rflags-reserved", "guest RFLAGS: bits 63:22, 15, 5 and 3 are 0, bit 1 is 1",
	 .mask = RFLAGS_RESERVED, .value = 1u << 1, FIELDS(SNAP_GUEST_RFLAGS)},
	{"guest-rflags-vm", "guest RFLAGS.VM is 0 in IA-32e mode and with CR0.PE = 0", rflags_vm,
	 FIELDS(SNAP_GUEST_RFLAGS, SNAP_GUEST_CR0, SNAP_ENTRY_CTLS)},
	{"guest-rflags-if", "guest RFLAGS.IF is 1 if entry delivers an external interrupt",
	 rflags_if, FIELDS(SNAP_GUEST_RFLAGS, SNAP_ENTRY_INTR_INFO)},
};

static const struct audit_rule state_rules[] = {
	{"activity-supported", "activity state: one that IA32_VMX_MISC lists", activity_supported,
	 FIELDS(SNAP_GUEST_ACTIVITY)},
	{"activity-hlt", "activity state: not HLT if SS.DPL is not 0", activity_hlt,
	 FIELDS(SNAP_GUEST_ACTIVITY, SNAP_GUEST_SS_AR)},
	{"activity-blocking", "activity state: active if there is blocking by STI or MOV SS",
	 activity_blocking, FIELDS(SNAP_GUEST_ACTIVITY, SNAP_GUEST_INTERRUPTIBILITY)},
	{"activity-event", "activity state: one in which the event to deliver can arrive",
	 activity_event, .only = AUDIT_EVENT, FIELDS(SNAP_GUEST_ACTIVITY, SNAP_ENTRY_INTR_INFO)},
	{"blocking-reserved", "interruptibility: bits 31:5 are 0", .mask = 0xffffffe0,
	 FIELDS(SNAP_GUEST_INTERRUPTIBILITY)},
	{"blocking-one", "interruptibility: not blocking by STI and by MOV SS at once",
	 blocking_one, FIELDS(SNAP_GUEST_INTERRUPTIBILITY)},
	{"blocking-sti-if", "interruptibility: no blocking by STI if RFLAGS.IF is 0",
	 blocking_sti_if, FIELDS(SNAP_GUEST_INTERRUPTIBILITY, SNAP_GUEST_RFLAGS)},
	{"blocking-external",
	 "interruptibility: no blocking by STI or MOV SS if entry delivers an external interrupt",
	 blocking_external, FIELDS(SNAP_GUEST_INTERRUPTIBILITY, SNAP_ENTRY_INTR_INFO)},
	{"blocking-nmi", "interruptibility: no blocking by MOV SS if entry delivers an NMI",
	 blocking_nmi, FIELDS(SNAP_GUEST_INTERRUPTIBILITY, SNAP_ENTRY_INTR_INFO)},
	{"blocking-smi", "interruptibility: no blocking by SMI outside SMM", .mask = BLOCKED_SMI,
	 FIELDS(SNAP_GUEST_INTERRUPTIBILITY)},
	{"blocking-virtual-nmi",
	 "interruptibility: no blocking by NMI if entry delivers one and \"virtual NMIs\" is 1",
	 blocking_virtual_nmi, .when = CTL(PIN, VIRTUAL_NMIS),
	 FIELDS(SNAP_GUEST_INTERRUPTIBILITY, SNAP_ENTRY_INTR_INFO)},
	{"blocking-enclave",
	 "interruptibility: an enclave interruption needs SGX and excludes blocking by MOV SS",
	 blocking_enclave, FIELDS(SNAP_GUEST_INTERRUPTIBILITY)},
	{"pending-reserved", "pending debug exceptions: bits 11:4, 13, 15 and 63:17 are 0",
	 .mask = PENDING_RESERVED, FIELDS(SNAP_GUEST_PENDING_DBG)},
	{"pending-step",
	 "pending debug exceptions: BS is TF without BTF, in HLT and while STI or MOV SS blocks",
	 pending_step,
	 FIELDS(SNAP_GUEST_PENDING_DBG, SNAP_GUEST_RFLAGS, SNAP_GUEST_DEBUGCTL,
		SNAP_GUEST_INTERRUPTIBILITY)},
	{"pending-rtm",
	 "pending debug exceptions: RTM comes with bit 12 alone, not while MOV SS blocks",
	 pending_rtm, FIELDS(SNAP_GUEST_PENDING_DBG, SNAP_GUEST_INTERRUPTIBILITY)},
	{"link-page",
	 "VMCS link pointer: all ones, or 4-KByte aligned within the physical-address width",
	 link_page, FIELDS(SNAP_VMCS_LINK)},
	{"link-revision",
	 "VMCS link pointer: the region holds the CPU's revision, and bit 31 says \"VMCS "
	 "shadowing\"",
	 link_revision, FIELDS(SNAP_VMCS_LINK, SNAP_PROC2_CTLS)},
	{"link-other", "VMCS link pointer: not the current VMCS", link_other,
	 FIELDS(SNAP_VMCS_LINK)},
};

static const struct audit_rule pdpte_rules[] = {
	{"pdpte-memory", "PDPTEs at CR3: readable, reserved bits of present ones are 0",
	 pdpte_memory, FIELDS(SNAP_GUEST_CR3)},
	{"pdpte-field", "PDPTEs: reserved bits of present ones are 0", pdpte_field,
	 .when = CTL(PROC2, EPT), FIELDS(SNAP_GUEST_PDPTE0)},
	{"pdpte-field", "PDPTEs: reserved bits of present ones are 0", pdpte_field,
	 .when = CTL(PROC2, EPT), FIELDS(SNAP_GUEST_PDPTE1)},
	{"pdpte-field", "PDPTEs: reserved bits of present ones are 0", pdpte_field,
	 .when = CTL(PROC2, EPT), FIELDS(SNAP_GUEST_PDPTE2)},
	{"pdpte-field", "PDPTEs: reserved bits of present ones are 0", pdpte_field,
	 .when = CTL(PROC2, EPT), FIELDS(SNAP_GUEST_PDPTE3)},
};

const struct audit_section audit_guest_rest[4] = {
	SECTION("guest state", "Checks on Guest Descriptor-Table Registers", table_rules),
	SECTION("guest state", "Checks on Guest RIP, RFLAGS, and SSP", rip_rules),
	SECTION("guest state", "Checks on Guest Non-Register State", state_rules),
	SECTION("guest state", "Checks on Guest Page-Directory-Pointer-Table Entries", pdpte_rules),
};
