/*
 * The rules for the VMX controls. Rows only; what runs them is audit.c.
 * Source: Intel SDM Vol. 3C, "Checks on VMX Controls".
 */
#include "audit_rules.h"

enum {
	BASIC_ANY_ERROR_CODE = 56, /* an exception may come with or without its error code */
	MISC_SOFT_LENGTH_0 = 30,   /* software interrupts may have instruction length 0 */
	CR4_CET = 23,

	EPT_CAP_WALK_4 = 6,
	EPT_CAP_WALK_5 = 7,
	EPT_CAP_UC = 8,
	EPT_CAP_WB = 14,
	EPT_CAP_AD = 21,
	EPT_CAP_SHADOW_STACK = 23,

	VMFUNC_EPTP_SWITCHING = 1,

	INFO_ERROR = 1u << 11,
	VTPR = 0x80, /* offset in the virtual-APIC page */
};

/* The word that a row is about: which has no bit that must not be there, and all that must. */
static bool word_allowed(const struct audit *a, enum ctl_word word)
{
	return vmx_control_may(a->caps, word, a->ctl[word]) &&
	       !vmx_control_must(a->caps, word, ~a->ctl[word]);
}

#define WORD_CHECK(name, word)                                                            \
	static bool name(const struct audit *a, const struct audit_rule *r, unsigned seg) \
	{                                                                                 \
		(void)r, (void)seg;                                                       \
		return word_allowed(a, word);                                             \
	}
WORD_CHECK(pin_allowed, CTL_PIN)
WORD_CHECK(proc_allowed, CTL_PROC)
WORD_CHECK(proc2_allowed, CTL_PROC2)
WORD_CHECK(exit_allowed, CTL_EXIT)
WORD_CHECK(entry_allowed, CTL_ENTRY)

static bool cr3_targets_exist(const struct audit *a, const struct audit_rule *r, unsigned seg)
{
	return audit_field(a, r, 0, seg) <= 4;
}

/* Without virtual-interrupt delivery, a threshold above the virtual TPR would exit at once. */
static bool threshold_fits(const struct audit *a, const struct audit_rule *r, unsigned seg)
{
	uint8_t bytes[16];

	(void)seg;
	if (AUDIT_ON(a, PROC2, APIC_ACCESSES) || AUDIT_ON(a, PROC2, VIRTUAL_DELIVERY))
		return true;
	/* What cannot be read cannot be judged. */
	if (!a->env->read || !a->env->read(a->env->ctx, audit_field(a, r, 1, 0) + VTPR, bytes))
		return true;
	return (audit_field(a, r, 0, 0) & 15) <= bytes[0] >> 4;
}

static bool threshold_is_4_bits(const struct audit *a, const struct audit_rule *r, unsigned seg)
{
	return AUDIT_ON(a, PROC2, VIRTUAL_DELIVERY) || audit_field(a, r, 0, seg) <= 15;
}

static bool posted_descriptor(const struct audit *a, const struct audit_rule *r, unsigned seg)
{
	uint64_t address = audit_field(a, r, 0, seg);

	return address % 64 == 0 && audit_address_fits(a, address);
}

static bool nonzero(const struct audit *a, const struct audit_rule *r, unsigned seg)
{
	return audit_field(a, r, 0, seg) != 0;
}

static bool eptp_type(const struct audit *a, const struct audit_rule *r, unsigned seg)
{
	switch (audit_field(a, r, 0, seg) & 7) {
	case 0:
		return vmx_caps_bit(a->caps, CAP_VMX_EPT_VPID_CAP, EPT_CAP_UC);
	case VMX_MEMORY_TYPE_WB:
		return vmx_caps_bit(a->caps, CAP_VMX_EPT_VPID_CAP, EPT_CAP_WB);
	default:
		return false;
	}
}

static bool eptp_walk(const struct audit *a, const struct audit_rule *r, unsigned seg)
{
	switch (audit_field(a, r, 0, seg) >> 3 & 7) {
	case 3:
		return vmx_caps_bit(a->caps, CAP_VMX_EPT_VPID_CAP, EPT_CAP_WALK_4);
	case 4:
		return vmx_caps_bit(a->caps, CAP_VMX_EPT_VPID_CAP, EPT_CAP_WALK_5);
	default:
		return false;
	}
}

static bool eptp_accessed_dirty(const struct audit *a, const struct audit_rule *r, unsigned seg)
{
	return !(audit_field(a, r, 0, seg) & 1u << 6) ||
	       vmx_caps_bit(a->caps, CAP_VMX_EPT_VPID_CAP, EPT_CAP_AD);
}

static bool eptp_reserved(const struct audit *a, const struct audit_rule *r, unsigned seg)
{
	uint64_t eptp = audit_field(a, r, 0, seg);
	uint64_t reserved = 0xf00;

	if (!vmx_caps_bit(a->caps, CAP_VMX_EPT_VPID_CAP, EPT_CAP_SHADOW_STACK))
		reserved |= 1u << 7;
	return !(eptp & reserved) && audit_address_fits(a, eptp);
}

static bool vmfunc_allowed(const struct audit *a, const struct audit_rule *r, unsigned seg)
{
	return (audit_field(a, r, 0, seg) & ~a->caps->msr[CAP_VMX_VMFUNC]) == 0;
}

static bool switching(const struct audit *a)
{
	return audit_value(a, SNAP_VMFUNC_CTLS) & VMFUNC_EPTP_SWITCHING;
}

static bool switching_has_ept(const struct audit *a, const struct audit_rule *r, unsigned seg)
{
	(void)r, (void)seg;
	return !switching(a) || AUDIT_ON(a, PROC2, EPT);
}

static bool switching_has_list(const struct audit *a, const struct audit_rule *r, unsigned seg)
{
	return !switching(a) || audit_page(a, r, seg);
}

/* Areas of MSRs: field 0 is the address, field 1 the number of 16-byte entries. */
static bool area_starts(const struct audit *a, const struct audit_rule *r, unsigned seg)
{
	uint64_t address = audit_field(a, r, 0, seg);

	return audit_field(a, r, 1, seg) == 0 ||
	       (address % 16 == 0 && audit_address_fits(a, address));
}

static bool area_ends(const struct audit *a, const struct audit_rule *r, unsigned seg)
{
	uint64_t count = audit_field(a, r, 1, seg) & 0xffffffff;

	return count == 0 || audit_address_fits(a, audit_field(a, r, 0, seg) + count * 16 - 1);
}

static bool event_type(const struct audit *a, const struct audit_rule *r, unsigned seg)
{
	enum audit_event type = audit_event_type(a);

	(void)r, (void)seg;
	if (type == EVT_OTHER)
		return vmx_control_may(a->caps, CTL_PROC, CTLBIT_PROC_MONITOR_TRAP);
	return type != EVT_RESERVED;
}

static bool event_vector(const struct audit *a, const struct audit_rule *r, unsigned seg)
{
	unsigned vector = audit_event_vector(a);

	(void)r, (void)seg;
	switch (audit_event_type(a)) {
	case EVT_NMI:
		return vector == 2;
	case EVT_EXCEPTION:
		return vector <= 31;
	case EVT_OTHER:
		return vector == 0;
	default:
		return true;
	}
}

/* #DF, #TS, #NP, #SS, #GP, #PF, #AC, and #CP where there is CET. */
static bool vector_has_error(const struct audit *a, unsigned vector)
{
	if (vector == 21)
		return vmx_caps_bit(a->caps, CAP_VMX_CR4_FIXED1, CR4_CET);
	return vector == 8 || (vector >= 10 && vector <= 14) || vector == 17;
}

static bool event_error_deliver(const struct audit *a, const struct audit_rule *r, unsigned seg)
{
	bool deliver = audit_field(a, r, 0, seg) & INFO_ERROR;
	bool protected_mode =
		!AUDIT_ON(a, PROC2, UNRESTRICTED) || (audit_value(a, SNAP_GUEST_CR0) & CR0_PE);

	if (audit_event_type(a) != EVT_EXCEPTION || !protected_mode)
		return !deliver;
	return vmx_caps_bit(a->caps, CAP_VMX_BASIC, BASIC_ANY_ERROR_CODE) ||
	       deliver == vector_has_error(a, audit_event_vector(a));
}

static bool event_error_value(const struct audit *a, const struct audit_rule *r, unsigned seg)
{
	return !(audit_value(a, SNAP_ENTRY_INTR_INFO) & INFO_ERROR) ||
	       audit_field(a, r, 0, seg) <= 0xffff;
}

static bool event_length(const struct audit *a, const struct audit_rule *r, unsigned seg)
{
	enum audit_event type = audit_event_type(a);
	uint64_t length = audit_field(a, r, 0, seg);

	if (type < EVT_SOFT_INT || type > EVT_SOFT_EXCEPTION)
		return true;
	if (length == 0)
		return vmx_caps_bit(a->caps, CAP_VMX_MISC, MISC_SOFT_LENGTH_0);
	return length <= 15;
}

static const struct audit_rule execution_rules[] = {
	{"pin-reserved", "pin-based controls: as IA32_VMX_(TRUE_)PINBASED_CTLS allows", pin_allowed,
	 FIELDS(SNAP_PIN_CTLS)},
	{"proc-reserved", "processor-based controls: as IA32_VMX_(TRUE_)PROCBASED_CTLS allows",
	 proc_allowed, FIELDS(SNAP_PROC_CTLS)},
	{"proc2-reserved", "secondary controls: as IA32_VMX_PROCBASED_CTLS2 allows", proc2_allowed,
	 .when = CTL(PROC, SECONDARY), FIELDS(SNAP_PROC2_CTLS)},
	{"cr3-target-count", "there are at most 4 CR3-target values", cr3_targets_exist,
	 FIELDS(SNAP_CR3_TARGET_COUNT)},
	{"io-bitmap-a", "I/O-bitmap address A: 4-KByte aligned, within the physical-address width",
	 audit_page, .when = CTL(PROC, IO_BITMAPS), FIELDS(SNAP_IO_BITMAP_A)},
	{"io-bitmap-b", "I/O-bitmap address B: 4-KByte aligned, within the physical-address width",
	 audit_page, .when = CTL(PROC, IO_BITMAPS), FIELDS(SNAP_IO_BITMAP_B)},
	{"msr-bitmap", "MSR-bitmap address: 4-KByte aligned, within the physical-address width",
	 audit_page, .when = CTL(PROC, MSR_BITMAPS), FIELDS(SNAP_MSR_BITMAP)},
	{"virtual-apic-page",
	 "virtual-APIC address: 4-KByte aligned, within the physical-address width", audit_page,
	 .when = CTL(PROC, TPR_SHADOW), FIELDS(SNAP_VIRTUAL_APIC_ADDR)},
	{"tpr-threshold-bits", "TPR threshold: bits 31:4 are 0 without virtual-interrupt delivery",
	 threshold_is_4_bits, .when = CTL(PROC, TPR_SHADOW),
	 FIELDS(SNAP_TPR_THRESHOLD, SNAP_PROC2_CTLS)},
	{"tpr-threshold-vtpr", "TPR threshold: not above bits 7:4 of the virtual TPR",
	 threshold_fits, .when = CTL(PROC, TPR_SHADOW),
	 FIELDS(SNAP_TPR_THRESHOLD, SNAP_VIRTUAL_APIC_ADDR)},
	{"virtual-nmis", "\"virtual NMIs\" needs \"NMI exiting\"", .when = CTL(PIN, VIRTUAL_NMIS),
	 .need = CTL(PIN, NMI), FIELDS(SNAP_PIN_CTLS)},
	{"nmi-window", "\"NMI-window exiting\" needs \"virtual NMIs\"",
	 .when = CTL(PROC, NMI_WINDOW), .need = CTL(PIN, VIRTUAL_NMIS),
	 FIELDS(SNAP_PROC_CTLS, SNAP_PIN_CTLS)},
	{"apic-access-page",
	 "APIC-access address: 4-KByte aligned, within the physical-address width", audit_page,
	 .when = CTL(PROC2, APIC_ACCESSES), FIELDS(SNAP_APIC_ACCESS_ADDR)},
	{"x2apic-tpr-shadow", "\"virtualize x2APIC mode\" needs \"use TPR shadow\"",
	 .when = CTL(PROC2, X2APIC_MODE), .need = CTL(PROC, TPR_SHADOW),
	 FIELDS(SNAP_PROC2_CTLS, SNAP_PROC_CTLS)},
	{"apic-register-tpr-shadow", "\"APIC-register virtualization\" needs \"use TPR shadow\"",
	 .when = CTL(PROC2, APIC_REGISTERS), .need = CTL(PROC, TPR_SHADOW),
	 FIELDS(SNAP_PROC2_CTLS, SNAP_PROC_CTLS)},
	{"delivery-tpr-shadow", "\"virtual-interrupt delivery\" needs \"use TPR shadow\"",
	 .when = CTL(PROC2, VIRTUAL_DELIVERY), .need = CTL(PROC, TPR_SHADOW),
	 FIELDS(SNAP_PROC2_CTLS, SNAP_PROC_CTLS)},
	{"x2apic-or-xapic",
	 "\"virtualize x2APIC mode\" and \"virtualize APIC accesses\" exclude each other",
	 .when = CTL(PROC2, X2APIC_MODE), .zero = CTL(PROC2, APIC_ACCESSES),
	 FIELDS(SNAP_PROC2_CTLS)},
	{"delivery-external", "\"virtual-interrupt delivery\" needs \"external-interrupt exiting\"",
	 .when = CTL(PROC2, VIRTUAL_DELIVERY), .need = CTL(PIN, EXTERNAL_INTERRUPT),
	 FIELDS(SNAP_PIN_CTLS, SNAP_PROC2_CTLS)},
	{"posted-delivery", "\"process posted interrupts\" needs \"virtual-interrupt delivery\"",
	 .when = CTL(PIN, POSTED_INTERRUPTS), .need = CTL(PROC2, VIRTUAL_DELIVERY),
	 FIELDS(SNAP_PIN_CTLS, SNAP_PROC2_CTLS)},
	{"posted-ack", "\"process posted interrupts\" needs \"acknowledge interrupt on exit\"",
	 .when = CTL(PIN, POSTED_INTERRUPTS), .need = CTL(EXIT, ACK_INTERRUPT),
	 FIELDS(SNAP_PIN_CTLS, SNAP_EXIT_CTLS)},
	{"posted-vector", "posted-interrupt notification vector: bits 15:8 are 0",
	 .when = CTL(PIN, POSTED_INTERRUPTS), .mask = 0xff00, FIELDS(SNAP_POSTED_VECTOR)},
	{"posted-descriptor",
	 "posted-interrupt descriptor: 64-byte aligned, within the physical-address width",
	 posted_descriptor, .when = CTL(PIN, POSTED_INTERRUPTS), FIELDS(SNAP_POSTED_DESC_ADDR)},
	{"vpid-zero", "VPID is not 0: that is the host's", nonzero, .when = CTL(PROC2, VPID),
	 FIELDS(SNAP_VPID)},
	{"eptp-type", "EPTP bits 2:0: a memory type that IA32_VMX_EPT_VPID_CAP allows", eptp_type,
	 .when = CTL(PROC2, EPT), FIELDS(SNAP_EPTP)},
	{"eptp-walk",
	 "EPTP bits 5:3: a page-walk length that IA32_VMX_EPT_VPID_CAP allows, minus 1", eptp_walk,
	 .when = CTL(PROC2, EPT), FIELDS(SNAP_EPTP)},
	{"eptp-accessed-dirty", "EPTP bit 6: 0 if the CPU has no accessed and dirty flags for EPT",
	 eptp_accessed_dirty, .when = CTL(PROC2, EPT), FIELDS(SNAP_EPTP)},
	{"eptp-reserved", "EPTP: reserved bits and those beyond the physical-address width are 0",
	 eptp_reserved, .when = CTL(PROC2, EPT), FIELDS(SNAP_EPTP)},
	{"pml-ept", "\"enable PML\" needs \"enable EPT\"", .when = CTL(PROC2, PML),
	 .need = CTL(PROC2, EPT), FIELDS(SNAP_PROC2_CTLS)},
	{"pml-address", "PML address: 4-KByte aligned, within the physical-address width",
	 audit_page, .when = CTL(PROC2, PML), FIELDS(SNAP_PML_ADDR)},
	{"unrestricted-ept", "\"unrestricted guest\" needs \"enable EPT\"",
	 .when = CTL(PROC2, UNRESTRICTED), .need = CTL(PROC2, EPT), FIELDS(SNAP_PROC2_CTLS)},
	{"mode-execute-ept", "\"mode-based execute control for EPT\" needs \"enable EPT\"",
	 .when = CTL(PROC2, MODE_EXECUTE), .need = CTL(PROC2, EPT), FIELDS(SNAP_PROC2_CTLS)},
	{"subpage-ept", "\"sub-page write permissions for EPT\" needs \"enable EPT\"",
	 .when = CTL(PROC2, SUBPAGE), .need = CTL(PROC2, EPT), FIELDS(SNAP_PROC2_CTLS)},
	{"subpage-table",
	 "sub-page-permission table: 4-KByte aligned, within the physical-address width",
	 audit_page, .when = CTL(PROC2, SUBPAGE), FIELDS(SNAP_SPP_TABLE)},
	{"vmfunc-reserved", "VM-function controls: as IA32_VMX_VMFUNC allows", vmfunc_allowed,
	 .when = CTL(PROC2, VMFUNC), FIELDS(SNAP_VMFUNC_CTLS)},
	{"eptp-switching-ept", "\"EPTP switching\" needs \"enable EPT\"", switching_has_ept,
	 .when = CTL(PROC2, VMFUNC), FIELDS(SNAP_VMFUNC_CTLS, SNAP_PROC2_CTLS)},
	{"eptp-list", "EPTP-list address: 4-KByte aligned, within the physical-address width",
	 switching_has_list, .when = CTL(PROC2, VMFUNC), FIELDS(SNAP_EPTP_LIST_ADDR)},
	{"vmread-bitmap",
	 "VMREAD-bitmap address: 4-KByte aligned, within the physical-address width", audit_page,
	 .when = CTL(PROC2, SHADOWING), FIELDS(SNAP_VMREAD_BITMAP)},
	{"vmwrite-bitmap",
	 "VMWRITE-bitmap address: 4-KByte aligned, within the physical-address width", audit_page,
	 .when = CTL(PROC2, SHADOWING), FIELDS(SNAP_VMWRITE_BITMAP)},
	{"ve-information",
	 "virtualization-exception information: 4-KByte aligned, within the physical-address width",
	 audit_page, .when = CTL(PROC2, VE), FIELDS(SNAP_VE_INFO_ADDR)},
	{"pt-ept", "\"Intel PT uses guest physical addresses\" needs \"enable EPT\"",
	 .when = CTL(PROC2, PT_GUEST_PHYSICAL), .need = CTL(PROC2, EPT), FIELDS(SNAP_PROC2_CTLS)},
	{"pt-load-rtit", "\"Intel PT uses guest physical addresses\" needs \"load IA32_RTIT_CTL\"",
	 .when = CTL(PROC2, PT_GUEST_PHYSICAL), .need = CTL(ENTRY, LOAD_RTIT),
	 FIELDS(SNAP_PROC2_CTLS, SNAP_ENTRY_CTLS)},
	{"pt-clear-rtit",
	 "\"Intel PT uses guest physical addresses\" needs \"clear IA32_RTIT_CTL\"",
	 .when = CTL(PROC2, PT_GUEST_PHYSICAL), .need = CTL(EXIT, CLEAR_RTIT),
	 FIELDS(SNAP_PROC2_CTLS, SNAP_EXIT_CTLS)},
	{"tsc-multiplier", "TSC multiplier is not 0", nonzero, .when = CTL(PROC2, TSC_SCALING),
	 FIELDS(SNAP_TSC_MULTIPLIER)},
};

static const struct audit_rule exit_rules[] = {
	{"exit-reserved", "VM-exit controls: as IA32_VMX_(TRUE_)EXIT_CTLS allows", exit_allowed,
	 FIELDS(SNAP_EXIT_CTLS)},
	{"save-timer", "\"save VMX-preemption timer value\" needs the VMX-preemption timer",
	 .when = CTL(EXIT, SAVE_TIMER), .need = CTL(PIN, PREEMPTION_TIMER),
	 FIELDS(SNAP_EXIT_CTLS, SNAP_PIN_CTLS)},
	{"exit-store-address",
	 "VM-exit MSR-store address: 16-byte aligned, within the physical-address width",
	 area_starts, FIELDS(SNAP_EXIT_MSR_STORE_ADDR, SNAP_EXIT_MSR_STORE_COUNT)},
	{"exit-store-end", "VM-exit MSR-store area: ends within the physical-address width",
	 area_ends, FIELDS(SNAP_EXIT_MSR_STORE_ADDR, SNAP_EXIT_MSR_STORE_COUNT)},
	{"exit-load-address",
	 "VM-exit MSR-load address: 16-byte aligned, within the physical-address width",
	 area_starts, FIELDS(SNAP_EXIT_MSR_LOAD_ADDR, SNAP_EXIT_MSR_LOAD_COUNT)},
	{"exit-load-end", "VM-exit MSR-load area: ends within the physical-address width",
	 area_ends, FIELDS(SNAP_EXIT_MSR_LOAD_ADDR, SNAP_EXIT_MSR_LOAD_COUNT)},
};

static const struct audit_rule entry_rules[] = {
	{"entry-reserved", "VM-entry controls: as IA32_VMX_(TRUE_)ENTRY_CTLS allows", entry_allowed,
	 FIELDS(SNAP_ENTRY_CTLS)},
	{"event-type", "event to deliver: type 1 is reserved, 7 needs the monitor trap flag",
	 event_type, .only = AUDIT_EVENT, FIELDS(SNAP_ENTRY_INTR_INFO)},
	{"event-vector",
	 "event to deliver: vector 2 for an NMI, at most 31 for an exception, 0 for type 7",
	 event_vector, .only = AUDIT_EVENT, FIELDS(SNAP_ENTRY_INTR_INFO)},
	{"event-error-code",
	 "event to deliver: with an error code just for exceptions that have one, in protected "
	 "mode",
	 event_error_deliver, .only = AUDIT_EVENT,
	 FIELDS(SNAP_ENTRY_INTR_INFO, SNAP_GUEST_CR0, SNAP_PROC2_CTLS)},
	{"event-reserved", "event to deliver: bits 30:12 are 0", .only = AUDIT_EVENT,
	 .mask = 0x7ffff000, FIELDS(SNAP_ENTRY_INTR_INFO)},
	{"event-error-value", "error code to deliver: bits 31:16 are 0", event_error_value,
	 .only = AUDIT_EVENT, FIELDS(SNAP_ENTRY_EXCEPTION_ERROR, SNAP_ENTRY_INTR_INFO)},
	{"event-length",
	 "instruction length of a software interrupt or exception: 1 to 15 (0 if IA32_VMX_MISC "
	 "allows)",
	 event_length, .only = AUDIT_EVENT, FIELDS(SNAP_ENTRY_INSN_LEN, SNAP_ENTRY_INTR_INFO)},
	{"entry-load-address",
	 "VM-entry MSR-load address: 16-byte aligned, within the physical-address width",
	 area_starts, FIELDS(SNAP_ENTRY_MSR_LOAD_ADDR, SNAP_ENTRY_MSR_LOAD_COUNT)},
	{"entry-load-end", "VM-entry MSR-load area: ends within the physical-address width",
	 area_ends, FIELDS(SNAP_ENTRY_MSR_LOAD_ADDR, SNAP_ENTRY_MSR_LOAD_COUNT)},
	/* CRVM never runs in SMM; so rules for entry to SMM are left out. */
	{"entry-smm", "\"entry to SMM\" is 0 outside SMM", .zero = CTL(ENTRY, SMM),
	 FIELDS(SNAP_ENTRY_CTLS)},
	{"entry-dual-monitor", "\"deactivate dual-monitor treatment\" is 0 outside SMM",
	 .zero = CTL(ENTRY, DUAL_MONITOR), FIELDS(SNAP_ENTRY_CTLS)},
};

const struct audit_section audit_controls[3] = {
	SECTION("VMX controls", "VM-Execution Control Fields", execution_rules),
	SECTION("VMX controls", "VM-Exit Control Fields", exit_rules),
	SECTION("VMX controls", "VM-Entry Control Fields", entry_rules),
};
