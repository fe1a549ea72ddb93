/*
 * Each rule of the auditor, broken at least once and named: by the rows below, by those of
 * vmx/breakage.c, and for segments one by one.
 */
/* needs: vmx/audit.c vmx/audit_controls.c vmx/audit_host.c vmx/audit_guest.c */
/* needs: vmx/audit_segments.c vmx/breakage.c vmx/controls.c vmx/snapshot.c lib/printf.c */
#include "vmcs_sample.h"

#define ALL	     (~0ull)
#define NONCANONICAL 0x0000800000000000ull

#define SET(f, bits)                  \
	{                             \
		SNAP_##f, ALL, (bits) \
	}
#define CLEAR(f, bits)                         \
	{                                      \
		SNAP_##f, ~(uint64_t)(bits), 0 \
	}
#define PUT(f, value)                \
	{                            \
		SNAP_##f, 0, (value) \
	}
#define CHANGE(f, off, on)                       \
	{                                        \
		SNAP_##f, ~(uint64_t)(off), (on) \
	}
#define ON(word, id)                                          \
	{                                                     \
		SNAP_##word##_CTLS, ALL, CTLBIT_##word##_##id \
	}
#define ROW(name, rule, field, guests, ...)                                                 \
	{                                                                                   \
		name, rule, SNAP_##field, guests,                                           \
			.step = {__VA_ARGS__},                                              \
			.step_count = sizeof((const struct breakage_step[]){__VA_ARGS__}) / \
				      sizeof(struct breakage_step)                          \
	}

#define REAL	   BREAK_REAL
#define PROT	   BREAK_PROT
#define LONG	   BREAK_LONG
#define RESTRICTED SAMPLE_RESTRICTED
#define V86	   SAMPLE_V86
#define ANY	   (REAL | PROT | LONG | RESTRICTED | V86)

#define TOP    (1ull << SAMPLE_PHYS_BITS)
#define NO_EPT (CTLBIT_PROC2_EPT | CTLBIT_PROC2_UNRESTRICTED)
#define POSTED                                                               \
	SET(PROC_CTLS, CTLBIT_PROC_TPR_SHADOW), ON(PROC2, VIRTUAL_DELIVERY), \
		ON(PIN, POSTED_INTERRUPTS)

// clang-format off
static const struct breakage rows[] = {
	ROW("all pin controls", "pin-reserved", PIN_CTLS, ANY, PUT(PIN_CTLS, 0xffffffff)),
	ROW("no pin controls", "pin-reserved", PIN_CTLS, ANY, PUT(PIN_CTLS, 0)),
	ROW("tertiary controls", "proc-reserved", PROC_CTLS, ANY, ON(PROC, TERTIARY)),
	ROW("2^31 CR3 targets", "cr3-target-count", CR3_TARGET_COUNT, ANY, PUT(CR3_TARGET_COUNT, 1u << 31)),
	ROW("I/O bitmap A just beyond", "io-bitmap-a", IO_BITMAP_A, ANY, PUT(IO_BITMAP_A, TOP)),
	ROW("I/O bitmap B not aligned", "io-bitmap-b", IO_BITMAP_B, ANY, SET(IO_BITMAP_B, 1)),
	ROW("MSR bitmap just beyond", "msr-bitmap", MSR_BITMAP, ANY, PUT(MSR_BITMAP, TOP)),
	ROW("virtual-APIC page beyond", "virtual-apic-page", VIRTUAL_APIC_ADDR, ANY,
	    ON(PROC, TPR_SHADOW), PUT(VIRTUAL_APIC_ADDR, TOP)),
	ROW("TPR threshold above the TPR", "tpr-threshold-vtpr", TPR_THRESHOLD, ANY,
	    ON(PROC, TPR_SHADOW), PUT(VIRTUAL_APIC_ADDR, SAMPLE_VAPIC), PUT(TPR_THRESHOLD, 1)),
	ROW("posted interrupts without delivery", "posted-delivery", PIN_CTLS, ANY,
	    ON(PIN, POSTED_INTERRUPTS)),
	ROW("posted interrupts without acknowledge", "posted-ack", PIN_CTLS, ANY, POSTED),
	ROW("posted interrupts with vector 256", "posted-vector", POSTED_VECTOR, ANY, POSTED,
	    ON(EXIT, ACK_INTERRUPT), PUT(POSTED_VECTOR, 0x100)),
	ROW("posted-interrupt descriptor not aligned", "posted-descriptor", POSTED_DESC_ADDR, ANY,
	    POSTED, ON(EXIT, ACK_INTERRUPT), PUT(POSTED_DESC_ADDR, 0x1020)),
	ROW("posted-interrupt descriptor beyond", "posted-descriptor", POSTED_DESC_ADDR, ANY,
	    POSTED, ON(EXIT, ACK_INTERRUPT), PUT(POSTED_DESC_ADDR, TOP)),
	ROW("APIC-access page beyond", "apic-access-page", APIC_ACCESS_ADDR, ANY,
	    ON(PROC2, APIC_ACCESSES), PUT(APIC_ACCESS_ADDR, TOP)),
	ROW("EPTP type 7", "eptp-type", EPTP, ANY, SET(EPTP, 7)),
	ROW("EPTP with 5 levels", "eptp-walk", EPTP, ANY, CHANGE(EPTP, 0x38, 4u << 3)),
	ROW("EPTP bit 7", "eptp-reserved", EPTP, ANY, SET(EPTP, 1u << 7)),
	ROW("EPTP just beyond", "eptp-reserved", EPTP, ANY, SET(EPTP, TOP)),
	ROW("PML page beyond", "pml-address", PML_ADDR, ANY, ON(PROC2, PML), PUT(PML_ADDR, TOP)),
	ROW("mode-based execution without EPT", "mode-execute-ept", PROC2_CTLS, ANY,
	    CHANGE(PROC2_CTLS, NO_EPT, CTLBIT_PROC2_MODE_EXECUTE)),
	ROW("sub-page permissions without EPT", "subpage-ept", PROC2_CTLS, ANY,
	    CHANGE(PROC2_CTLS, NO_EPT, CTLBIT_PROC2_SUBPAGE)),
	ROW("sub-page table not aligned", "subpage-table", SPP_TABLE, ANY,
	    ON(PROC2, SUBPAGE), PUT(SPP_TABLE, 0x1001)),
	ROW("EPTP switching without EPT", "eptp-switching-ept", VMFUNC_CTLS, ANY,
	    CHANGE(PROC2_CTLS, NO_EPT, CTLBIT_PROC2_VMFUNC), PUT(VMFUNC_CTLS, 1)),
	ROW("EPTP list beyond", "eptp-list", EPTP_LIST_ADDR, ANY,
	    ON(PROC2, VMFUNC), PUT(VMFUNC_CTLS, 1), PUT(EPTP_LIST_ADDR, TOP)),
	ROW("VMREAD bitmap beyond", "vmread-bitmap", VMREAD_BITMAP, ANY,
	    ON(PROC2, SHADOWING), PUT(VMREAD_BITMAP, TOP)),
	ROW("#VE information beyond", "ve-information", VE_INFO_ADDR, ANY,
	    ON(PROC2, VE), PUT(VE_INFO_ADDR, TOP)),
	ROW("PT in guest memory without EPT", "pt-ept", PROC2_CTLS, ANY,
	    CHANGE(PROC2_CTLS, NO_EPT, CTLBIT_PROC2_PT_GUEST_PHYSICAL)),
	ROW("PT in guest memory, not loaded", "pt-load-rtit", PROC2_CTLS, ANY,
	    ON(PROC2, PT_GUEST_PHYSICAL), ON(EXIT, CLEAR_RTIT)),
	ROW("PT in guest memory, not cleared", "pt-clear-rtit", PROC2_CTLS, ANY,
	    ON(PROC2, PT_GUEST_PHYSICAL), ON(ENTRY, LOAD_RTIT)),

	ROW("MSR-store area of 2 at the last 16 bytes", "exit-store-end", EXIT_MSR_STORE_ADDR, ANY,
	    PUT(EXIT_MSR_STORE_COUNT, 2), PUT(EXIT_MSR_STORE_ADDR, TOP - 16)),
	ROW("MSR-load area beyond", "exit-load-address", EXIT_MSR_LOAD_ADDR, ANY,
	    PUT(EXIT_MSR_LOAD_COUNT, 1), PUT(EXIT_MSR_LOAD_ADDR, TOP)),
	ROW("MSR-load area of 2^32-1 near the end", "exit-load-end", EXIT_MSR_LOAD_ADDR, ANY,
	    PUT(EXIT_MSR_LOAD_COUNT, 0xffffffff), PUT(EXIT_MSR_LOAD_ADDR, TOP - 0x100000)),
	ROW("entry MSR-load area beyond", "entry-load-address", ENTRY_MSR_LOAD_ADDR, ANY,
	    PUT(ENTRY_MSR_LOAD_COUNT, 1), PUT(ENTRY_MSR_LOAD_ADDR, ALL & ~15ull)),
	ROW("entry MSR-load area of 513 in the last 8 KiB", "entry-load-end", ENTRY_MSR_LOAD_ADDR, ANY,
	    PUT(ENTRY_MSR_LOAD_COUNT, 513), PUT(ENTRY_MSR_LOAD_ADDR, TOP - 0x2000)),

	ROW("NMI with an error code", "event-error-code", ENTRY_INTR_INFO, ANY,
	    PUT(ENTRY_INTR_INFO, 0x80000a02)),
	ROW("#UD with an error code", "event-error-code", ENTRY_INTR_INFO, PROT | LONG | RESTRICTED | V86,
	    PUT(ENTRY_INTR_INFO, 0x80000b06)),
	ROW("#GP without error code", "event-error-code", ENTRY_INTR_INFO, PROT | LONG | RESTRICTED | V86,
	    PUT(ENTRY_INTR_INFO, 0x8000030d)),
	ROW("event bit 12", "event-reserved", ENTRY_INTR_INFO, ANY, PUT(ENTRY_INTR_INFO, 0x80001302)),
	ROW("error code bit 31", "event-error-value", ENTRY_EXCEPTION_ERROR, PROT | LONG,
	    PUT(ENTRY_INTR_INFO, 0x80000b0e), PUT(ENTRY_EXCEPTION_ERROR, 1u << 31)),
	ROW("INT3 of 16 bytes", "event-length", ENTRY_INSN_LEN, ANY,
	    PUT(ENTRY_INTR_INFO, 0x80000603), PUT(ENTRY_INSN_LEN, 16)),
	ROW("INT1 of 2^31 bytes", "event-length", ENTRY_INSN_LEN, ANY,
	    PUT(ENTRY_INTR_INFO, 0x80000501), PUT(ENTRY_INSN_LEN, 1u << 31)),
	ROW("type 7 with vector 2", "event-vector", ENTRY_INTR_INFO, ANY, PUT(ENTRY_INTR_INFO, 0x80000702)),
	ROW("entry to SMM", "entry-smm", ENTRY_CTLS, ANY, ON(ENTRY, SMM)),

	ROW("host CR0 without paging", "host-cr0", HOST_CR0, ANY, CLEAR(HOST_CR0, 1u << 31)),
	ROW("host CET without WP", "host-cet", HOST_CR0, ANY,
	    SET(HOST_CR4, 1u << 23), CLEAR(HOST_CR0, 1u << 16)),
	ROW("host CR3 just beyond", "host-cr3", HOST_CR3, ANY, SET(HOST_CR3, TOP)),
	ROW("host CR3 bit 63", "host-cr3", HOST_CR3, ANY, SET(HOST_CR3, 1ull << 63)),
	ROW("host PERF_GLOBAL_CTRL", "host-perf-global", HOST_PERF_GLOBAL_CTRL, ANY,
	    ON(EXIT, LOAD_PERF_GLOBAL), PUT(HOST_PERF_GLOBAL_CTRL, 1u << 4)),
	ROW("host PAT type 8", "host-pat", HOST_PAT, ANY, CHANGE(HOST_PAT, 0xff00, 0x0800)),
	ROW("host EFER.LME alone", "host-efer-mode", HOST_EFER, ANY, CLEAR(HOST_EFER, 1u << 10)),
	ROW("host GDTR just not canonical", "host-base", HOST_GDTR_BASE, ANY, PUT(HOST_GDTR_BASE, NONCANONICAL)),

	ROW("guest CR0 without paging", "guest-cr0", GUEST_CR0, RESTRICTED, CLEAR(GUEST_CR0, 1u << 31)),
	ROW("guest CR0 without protection", "guest-cr0", GUEST_CR0, RESTRICTED, CLEAR(GUEST_CR0, 1)),
	ROW("guest CET without WP", "guest-cet", GUEST_CR0, ANY,
	    SET(GUEST_CR4, 1u << 23), CLEAR(GUEST_CR0, 1u << 16)),
	ROW("guest DEBUGCTL bit 3", "guest-debugctl", GUEST_DEBUGCTL, ANY, SET(GUEST_DEBUGCTL, 1u << 3)),
	ROW("guest DEBUGCTL bit 16", "guest-debugctl", GUEST_DEBUGCTL, ANY, SET(GUEST_DEBUGCTL, 1u << 16)),
	ROW("64-bit guest without paging", "guest-ia32e-pg", GUEST_CR0, LONG, CLEAR(GUEST_CR0, 1u << 31)),
	ROW("64-bit guest in real mode", "guest-ia32e-pg", GUEST_CR0, REAL, ON(ENTRY, IA32E)),
	ROW("guest CR3 just beyond", "guest-cr3", GUEST_CR3, ANY, SET(GUEST_CR3, TOP)),
	ROW("guest DR7 bit 63", "guest-dr7", GUEST_DR7, ANY, SET(GUEST_DR7, 1ull << 63)),
	ROW("guest PERF_GLOBAL_CTRL", "guest-perf-global", GUEST_PERF_GLOBAL_CTRL, ANY,
	    ON(ENTRY, LOAD_PERF_GLOBAL), PUT(GUEST_PERF_GLOBAL_CTRL, 1ull << 35)),
	ROW("guest PAT type FFh", "guest-pat", GUEST_PAT, ANY, SET(GUEST_PAT, 0xff)),
	ROW("guest EFER.LME with paging", "guest-efer-lme", GUEST_EFER, PROT | RESTRICTED | V86,
	    SET(GUEST_EFER, 1u << 8)),
	ROW("guest BNDCFGS bit 2", "guest-bndcfgs-reserved", GUEST_BNDCFGS, ANY,
	    ON(ENTRY, LOAD_BNDCFGS), PUT(GUEST_BNDCFGS, 4)),
	ROW("guest BNDCFGS address", "guest-bndcfgs-base", GUEST_BNDCFGS, ANY,
	    ON(ENTRY, LOAD_BNDCFGS), PUT(GUEST_BNDCFGS, NONCANONICAL | 3)),

	ROW("SS and CS RPL differ", "ss-cs-rpl", GUEST_SS_SELECTOR, RESTRICTED, SET(GUEST_SS_SELECTOR, 3)),
	ROW("CS of type 3, restricted", "cs-type", GUEST_CS_AR, RESTRICTED, PUT(GUEST_CS_AR, 0xc093)),
	ROW("CS of type 3 with DPL 1", "cs-dpl", GUEST_CS_AR, PROT | LONG | REAL,
	    CHANGE(GUEST_CS_AR, 0x200f, 0x23), SET(GUEST_SS_AR, 0x20)),
	ROW("conforming CS above SS", "cs-dpl", GUEST_CS_AR, PROT | LONG | REAL | RESTRICTED,
	    CHANGE(GUEST_CS_AR, 0xf, 0x2f)),
	ROW("SS DPL is not its RPL", "ss-dpl-rpl", GUEST_SS_AR, RESTRICTED,
	    SET(GUEST_SS_AR, 0x60), SET(GUEST_CS_AR, 0x60)),
	ROW("SS DPL with CS of type 3", "ss-dpl-real", GUEST_SS_AR, PROT | LONG,
	    CHANGE(GUEST_CS_AR, 0x200f, 3), SET(GUEST_SS_AR, 0x60)),
	ROW("16-bit TSS in long mode", "tr-type", GUEST_TR_AR, LONG, PUT(GUEST_TR_AR, 0x83)),

	ROW("RIP of 33 bits in compatibility mode", "guest-rip-32", GUEST_RIP, LONG,
	    CHANGE(GUEST_CS_AR, 1u << 13, 1u << 14), PUT(GUEST_RIP, 1ull << 32)),
	ROW("RIP bit 63 alone", "guest-rip-64", GUEST_RIP, LONG, PUT(GUEST_RIP, 1ull << 63)),
	ROW("RIP bit 48", "guest-rip-64", GUEST_RIP, LONG, PUT(GUEST_RIP, 1ull << 48)),
	ROW("RFLAGS bit 3", "guest-rflags-reserved", GUEST_RFLAGS, ANY, SET(GUEST_RFLAGS, 1u << 3)),
	ROW("RFLAGS bit 22", "guest-rflags-reserved", GUEST_RFLAGS, ANY, SET(GUEST_RFLAGS, 1u << 22)),
	ROW("virtual-8086 mode without protection", "guest-rflags-vm", GUEST_RFLAGS, V86,
	    CLEAR(GUEST_CR0, 0x80000001)),
	ROW("virtual-8086 mode in long mode", "guest-rflags-vm", GUEST_RFLAGS, V86,
	    ON(ENTRY, IA32E), SET(GUEST_CR4, 0x20), PUT(GUEST_EFER, 0xd01)),

	ROW("activity state 4", "activity-supported", GUEST_ACTIVITY, ANY, PUT(GUEST_ACTIVITY, 4)),
	ROW("activity state 2^31", "activity-supported", GUEST_ACTIVITY, ANY, PUT(GUEST_ACTIVITY, 1u << 31)),
	ROW("HLT in virtual-8086 mode", "activity-hlt", GUEST_ACTIVITY, V86, PUT(GUEST_ACTIVITY, 1)),
	ROW("shutdown while MOV SS blocks", "activity-blocking", GUEST_ACTIVITY, ANY,
	    PUT(GUEST_ACTIVITY, 2), PUT(GUEST_INTERRUPTIBILITY, 2)),
	ROW("#GP in HLT", "activity-event", GUEST_ACTIVITY, PROT | LONG, PUT(GUEST_ACTIVITY, 1),
	    PUT(ENTRY_INTR_INFO, 0x80000b0d)),
	ROW("software interrupt in HLT", "activity-event", GUEST_ACTIVITY, PROT | REAL, PUT(GUEST_ACTIVITY, 1),
	    PUT(ENTRY_INTR_INFO, 0x80000412), PUT(ENTRY_INSN_LEN, 2)),
	ROW("#DB in shutdown", "activity-event", GUEST_ACTIVITY, PROT | LONG, PUT(GUEST_ACTIVITY, 2),
	    PUT(ENTRY_INTR_INFO, 0x80000301)),
	ROW("vector 18 as interrupt in shutdown", "activity-event", GUEST_ACTIVITY, PROT | LONG,
	    PUT(GUEST_ACTIVITY, 2), SET(GUEST_RFLAGS, 1u << 9), PUT(ENTRY_INTR_INFO, 0x80000012)),
	ROW("#MC in wait-for-SIPI", "activity-event", GUEST_ACTIVITY, PROT | LONG,
	    PUT(GUEST_ACTIVITY, 3), PUT(ENTRY_INTR_INFO, 0x80000312)),
	ROW("interruptibility bit 31", "blocking-reserved", GUEST_INTERRUPTIBILITY, ANY,
	    SET(GUEST_INTERRUPTIBILITY, 1u << 31)),
	ROW("NMI while NMIs are blocked", "blocking-virtual-nmi", GUEST_INTERRUPTIBILITY, ANY,
	    PUT(GUEST_INTERRUPTIBILITY, 8), PUT(ENTRY_INTR_INFO, 0x80000202)),
	ROW("enclave without SGX", "blocking-enclave", GUEST_INTERRUPTIBILITY, ANY,
	    PUT(GUEST_INTERRUPTIBILITY, 0x10)),
	ROW("pending debug bit 15", "pending-reserved", GUEST_PENDING_DBG, ANY, SET(GUEST_PENDING_DBG, 1u << 15)),
	ROW("pending debug bit 17", "pending-reserved", GUEST_PENDING_DBG, ANY, SET(GUEST_PENDING_DBG, 1u << 17)),
	ROW("pending debug bit 63", "pending-reserved", GUEST_PENDING_DBG, ANY, SET(GUEST_PENDING_DBG, 1ull << 63)),
	ROW("step not pending while MOV SS blocks", "pending-step", GUEST_PENDING_DBG, ANY,
	    SET(GUEST_RFLAGS, 1u << 8), PUT(GUEST_INTERRUPTIBILITY, 2)),
	ROW("step not pending in HLT", "pending-step", GUEST_PENDING_DBG, PROT | LONG | REAL,
	    SET(GUEST_RFLAGS, 1u << 8), PUT(GUEST_ACTIVITY, 1)),
	ROW("step pending without TF", "pending-step", GUEST_PENDING_DBG, ANY,
	    SET(GUEST_RFLAGS, 1u << 9), PUT(GUEST_INTERRUPTIBILITY, 1), PUT(GUEST_PENDING_DBG, 1u << 14)),
	ROW("step pending with BTF", "pending-step", GUEST_PENDING_DBG, ANY, SET(GUEST_DEBUGCTL, 2),
	    SET(GUEST_RFLAGS, 1u << 8), PUT(GUEST_INTERRUPTIBILITY, 2), PUT(GUEST_PENDING_DBG, 1u << 14)),
	ROW("RTM without transactions", "pending-rtm", GUEST_PENDING_DBG, ANY, PUT(GUEST_PENDING_DBG, 0x11000)),
	ROW("VMCS link just beyond", "link-page", VMCS_LINK, ANY, PUT(VMCS_LINK, TOP)),
	ROW("VMCS link to itself", "link-other", VMCS_LINK, ANY, PUT(VMCS_LINK, SAMPLE_VMCS)),
	ROW("VMCS link where no memory is", "link-revision", VMCS_LINK, ANY, PUT(VMCS_LINK, SAMPLE_RAM)),
	ROW("link is no shadow VMCS", "link-revision", VMCS_LINK, ANY,
	    ON(PROC2, SHADOWING), PUT(VMCS_LINK, SAMPLE_REGION)),
	ROW("PDPTE 1", "pdpte-field", GUEST_PDPTE1, PROT | RESTRICTED | V86,
	    SET(GUEST_CR4, 0x20), PUT(GUEST_PDPTE1, 0x1005)),
	ROW("PDPTE 2", "pdpte-field", GUEST_PDPTE2, PROT | RESTRICTED | V86,
	    SET(GUEST_CR4, 0x20), PUT(GUEST_PDPTE2, 0x1101)),
	ROW("PDPTE 3 beyond", "pdpte-field", GUEST_PDPTE3, PROT | RESTRICTED | V86,
	    SET(GUEST_CR4, 0x20), PUT(GUEST_PDPTE3, TOP | 1)),
	ROW("PDPTE 3 with XD", "pdpte-field", GUEST_PDPTE3, PROT | RESTRICTED | V86,
	    SET(GUEST_CR4, 0x20), PUT(GUEST_PDPTE3, 1ull << 63 | 1)),
	ROW("PDPTEs where no memory is", "pdpte-memory", GUEST_CR3, PROT | RESTRICTED,
	    CLEAR(PROC2_CTLS, NO_EPT), SET(GUEST_CR4, 0x20), PUT(GUEST_CR3, SAMPLE_RAM)),
};
// clang-format on

/* Which rules have been named, in the order of the tables. */
#define RULES_MAX 256
static bool named[RULES_MAX];

static const struct {
	const struct audit_section *section;
	size_t count;
} parts[] = {
	{audit_controls, array_count(audit_controls)},
	{audit_host, array_count(audit_host)},
	{audit_guest_registers, array_count(audit_guest_registers)},
	{audit_segments, array_count(audit_segments)},
	{audit_guest_rest, array_count(audit_guest_rest)},
};

static const struct audit_rule *rule_at(unsigned index, const struct audit_section **section)
{
	for (size_t p = 0; p < array_count(parts); p++) {
		for (size_t i = 0; i < parts[p].count; i++) {
			*section = &parts[p].section[i];
			if (index < (*section)->rule_count)
				return &(*section)->rules[index];
			index -= (unsigned)(*section)->rule_count;
		}
	}
	return NULL;
}

/* Notes the rule that a finding comes from: rows share ids, not texts and fields. */
static void note(const struct vmcs_snapshot *s, const struct vmx_caps *caps,
		 const struct vmx_audit_env *env)
{
	const struct audit_section *section;
	const struct audit_rule *r;
	struct vmx_audit_finding f;

	assert_false(vmx_audit(s, caps, env, &f));
	for (unsigned i = 0; (r = rule_at(i, &section)) != NULL; i++) {
		bool field = false;

		for (unsigned seg = 0; seg < (r->segments ? SEG_COUNT : 1); seg++)
			field |= audit_index(r, 0, seg) == f.field[0];
		if (r->text == f.rule && r->id == f.id && field) {
			assert_ptr_equal(f.section, section->title);
			assert_ptr_equal(f.area, section->area);
			assert_int_equal(f.field_count, r->field_count);
			named[i] = true;
		}
	}
}

static void run_row(const struct breakage *b)
{
	struct vmx_audit_env env = sample_env();

	for (size_t k = 0; k < array_count(samples); k++) {
		struct vmcs_snapshot s = samples[k].make();
		char what[160];

		if (!(b->guests & samples[k].bit))
			continue;
		snprintf(what, sizeof(what), "\"%s\" in %s", b->name, samples[k].name);
		breakage_run_snapshot(b, &s);
		assert_breaks(&s, &sample_caps, &env, what, b->rule, b->field);
		note(&s, &sample_caps, &env);
	}
}

static void every_row_is_named(void **state)
{
	(void)state;
	assert_true(array_count(rows) >= 80);
	for (size_t i = 0; i < array_count(rows); i++)
		run_row(&rows[i]);
	for (unsigned i = 0; i < vmx_breakage_count(); i++)
		run_row(vmx_breakage(i));
}

#define SEG(x) (1u << SEG_##x)
#define DATA   (SEG(DS) | SEG(ES) | SEG(FS) | SEG(GS))
#define SIX    (SEG(CS) | SEG(SS) | DATA)

/* One rule for many segments: each of them as given, all others good. */
static const struct segment_row {
	const char *rule;
	unsigned segments, samples;
	uint32_t ar, limit;
	uint16_t selector;
	uint64_t base;
	enum vmcs_index first; /* that of ES */
} segment_rows[] = {
#define AR    SNAP_GUEST_ES_AR
#define BASE  SNAP_GUEST_ES_BASE
#define LIMIT SNAP_GUEST_ES_LIMIT
#define SEL   SNAP_GUEST_ES_SELECTOR
	{"v86-base", SIX, V86, 0xf3, 0xffff, 0x2000, 0x20010, BASE},
	{"v86-limit", SIX, V86, 0xf3, 0xfffe, 0x2000, 0x20000, LIMIT},
	{"v86-limit", SIX, V86, 0xf3, 0x1ffff, 0x2000, 0x20000, LIMIT},
	{"v86-access", SIX, V86, 0x93, 0xffff, 0x2000, 0x20000, AR},
	{"v86-access", SIX, V86, 0x100f3, 0xffff, 0x2000, 0x20000, AR},
	{"segment-base-canonical", SEG(FS) | SEG(GS), PROT, 0x10000, 0, 0, NONCANONICAL, BASE},
	{"segment-base-canonical", SEG(TR), PROT, 0x8b, 0x67, 0x28, NONCANONICAL, BASE},
	{"segment-base-canonical", SEG(LDTR), PROT, 0x82, 0, 0, NONCANONICAL, BASE},
	{"segment-base-32", SEG(SS) | SEG(DS) | SEG(ES), PROT, 0xc093, ~0u, 0x10, 1ull << 63, BASE},
	{"segment-base-32", SEG(CS), PROT, 0xc09b, ~0u, 0x10, 1ull << 32, BASE},
	{"cs-type", SEG(CS), PROT, 0xc097, ~0u, 0x10, 0, AR},
	{"cs-type", SEG(CS), PROT, 0xc09e, ~0u, 0x10, 0, AR},
	{"ss-type", SEG(SS), PROT, 0xc095, ~0u, 0x10, 0, AR},
	{"data-type", DATA, PROT, 0xc090, ~0u, 0x10, 0, AR},
	{"data-type", DATA, PROT, 0xc09d, ~0u, 0x10, 0, AR},
	{"data-type", DATA, PROT, 0xc09a, ~0u, 0x10, 0, AR},
	{"segment-s", SEG(SS) | DATA, PROT, 0xc083, ~0u, 0x10, 0, AR},
	{"segment-s", SEG(CS), PROT, 0xc08b, ~0u, 0x10, 0, AR},
	{"data-dpl-rpl", DATA, RESTRICTED, 0xc0b3, ~0u, 0x12, 0, AR},
	{"data-dpl-rpl", DATA, RESTRICTED, 0xc09b, ~0u, 0x13, 0, AR},
	{"segment-present", SEG(SS) | DATA, PROT, 0xc013, ~0u, 0x10, 0, AR},
	{"segment-present", SEG(CS), PROT, 0xc01b, ~0u, 0x10, 0, AR},
	{"segment-reserved-low", SEG(SS) | DATA, PROT, 0xc493, ~0u, 0x10, 0, AR},
	{"segment-reserved-low", SEG(CS), PROT, 0xc29b, ~0u, 0x10, 0, AR},
	{"segment-granularity", SEG(SS) | DATA, PROT, 0x4093, ~0u, 0x10, 0, AR},
	{"segment-granularity", SEG(SS) | DATA, PROT, 0xc093, 0xffff7fff - 1, 0x10, 0, AR},
	{"segment-granularity", SEG(CS), PROT, 0x409b, 0x100000, 0x10, 0, AR},
	{"segment-granularity", SEG(CS), PROT, 0xc09b, 0, 0x10, 0, AR},
	{"segment-reserved-high", SEG(SS) | DATA, PROT, 0x2c093, ~0u, 0x10, 0, AR},
	{"segment-reserved-high", SEG(CS), PROT, 0x8000c09b, ~0u, 0x10, 0, AR},
	{"tr-selector", SEG(TR), PROT, 0x8b, 0x67, 0x2c, 0, SEL},
	{"tr-type", SEG(TR), PROT, 0x81, 0x67, 0x28, 0, AR},
	{"tr-s", SEG(TR), PROT, 0x9b, 0x67, 0x28, 0, AR},
	{"tr-present", SEG(TR), PROT, 0x0b, 0x67, 0x28, 0, AR},
	{"tr-reserved-low", SEG(TR), PROT, 0x88b, 0x67, 0x28, 0, AR},
	{"tr-granularity", SEG(TR), PROT, 0x808b, 0x67, 0x28, 0, AR},
	{"tr-granularity", SEG(TR), PROT, 0x8b, 0x100000, 0x28, 0, AR},
	{"tr-usable", SEG(TR), PROT, 0x1008b, 0x67, 0x28, 0, AR},
	{"tr-reserved-high", SEG(TR), PROT, 0x2008b, 0x67, 0x28, 0, AR},
	{"ldtr-selector", SEG(LDTR), PROT, 0x82, 0x67, 0x2c, 0, SEL},
	{"ldtr-type", SEG(LDTR), PROT, 0x83, 0x67, 0x28, 0, AR},
	{"ldtr-s", SEG(LDTR), PROT, 0x92, 0x67, 0x28, 0, AR},
	{"ldtr-present", SEG(LDTR), PROT, 0x02, 0x67, 0x28, 0, AR},
	{"ldtr-reserved-low", SEG(LDTR), PROT, 0x182, 0x67, 0x28, 0, AR},
	{"ldtr-granularity", SEG(LDTR), PROT, 0x82, 0x100000, 0x28, 0, AR},
	{"ldtr-reserved-high", SEG(LDTR), PROT, 0x20082, 0x67, 0x28, 0, AR},
};

static void every_segment_is_named(void **state)
{
	struct vmx_audit_env env = sample_env();

	(void)state;
	for (size_t i = 0; i < array_count(segment_rows); i++) {
		const struct segment_row *row = &segment_rows[i];

		for (unsigned seg = 0; seg < SEG_COUNT; seg++) {
			struct vmcs_snapshot s = row->samples == V86	      ? sample_v86()
						 : row->samples == RESTRICTED ? sample_restricted()
									      : sample_prot();
			char what[80];

			if (!(row->segments >> seg & 1))
				continue;
			snprintf(what, sizeof(what), "row %zu, %s, segment %u", i, row->rule, seg);
			sample_segment(&s, seg, row->selector, row->base, row->limit, row->ar);
			assert_breaks(&s, &sample_caps, &env, what, row->rule,
				      (enum vmcs_index)(row->first + seg));
			note(&s, &sample_caps, &env);
		}
	}
}

/* Those that need another CPU or a 32-bit host. */
static void special_rules_are_named(void **state)
{
	struct vmx_audit_env env = sample_env();
	struct vmx_caps caps = sample_caps;
	struct vmcs_snapshot s = sample_prot();

	(void)state;
	caps.msr[CAP_VMX_EPT_VPID_CAP] &= ~(1ull << 21);
	assert_breaks(&s, &caps, &env, "accessed and dirty flags", "eptp-accessed-dirty",
		      SNAP_EPTP);
	note(&s, &caps, &env);

	/* A 32-bit host, first a good one. */
	env.ia32e = false;
	s.value[SNAP_EXIT_CTLS] &= ~(uint64_t)(CTLBIT_EXIT_HOST_64 | CTLBIT_EXIT_LOAD_EFER);
	s.value[SNAP_HOST_RIP] = 0xc0100000;
	assert_good(&s, &sample_caps, &env, "32-bit host");
	s.value[SNAP_HOST_SS_SELECTOR] = 0;
	assert_breaks(&s, &sample_caps, &env, "SS", "host-ss-null", SNAP_HOST_SS_SELECTOR);
	note(&s, &sample_caps, &env);
	s.value[SNAP_HOST_SS_SELECTOR] = 0x10;
	s.value[SNAP_HOST_CR4] |= 1u << 17;
	assert_breaks(&s, &sample_caps, &env, "PCIDE", "host-32-pcide", SNAP_HOST_CR4);
	note(&s, &sample_caps, &env);
	s.value[SNAP_HOST_CR4] &= ~(1ull << 17);
	s.value[SNAP_HOST_RIP] = 1ull << 32;
	assert_breaks(&s, &sample_caps, &env, "RIP", "host-32-rip", SNAP_HOST_RIP);
	note(&s, &sample_caps, &env);
	s.value[SNAP_ENTRY_CTLS] |= CTLBIT_ENTRY_IA32E;
	assert_breaks(&s, &sample_caps, &env, "guest", "cpu-mode-guest", SNAP_ENTRY_CTLS);
	note(&s, &sample_caps, &env);
}

static void no_rule_is_left(void **state)
{
	const struct audit_section *section;
	const struct audit_rule *r;
	unsigned count = 0;

	(void)state;
	for (; (r = rule_at(count, &section)) != NULL; count++) {
		assert_true(count < RULES_MAX);
		if (!named[count])
			fail_msg("no test breaks %s (%s)", r->id, r->text);
		assert_in_range(r->field_count, 1, VMX_FINDING_FIELDS);
	}
	assert_true(count >= 130);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_row_is_named), cmocka_unit_test(every_segment_is_named),
		cmocka_unit_test(special_rules_are_named),
		cmocka_unit_test(no_rule_is_left), /* the last: it looks at what the others did */
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
