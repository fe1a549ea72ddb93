/*
 * The auditor on the very edges of the rules for the guest's state and for events to deliver.
 */
/* needs: vmx/audit.c vmx/audit_controls.c vmx/audit_host.c vmx/audit_guest.c */
/* needs: vmx/audit_segments.c vmx/breakage.c vmx/controls.c vmx/snapshot.c lib/printf.c */
#include "vmx_audit_fixture.h"

static void ring_3_is_good(void **state)
{
	struct vmcs_snapshot s = sample_restricted();

	(void)state;
	for (unsigned seg = SEG_ES; seg <= SEG_GS; seg++)
		sample_segment(&s, seg, 0x23, 0, 0xffffffff, 0xc0f3);
	sample_segment(&s, SEG_CS, 0x1b, 0, 0xffffffff, 0xc0fb);
	GOOD("user mode");
	/* Conforming code of ring 0, and a conforming segment as data with any DPL. */
	sample_segment(&s, SEG_CS, 0x1b, 0, 0xffffffff, 0xc09f);
	sample_segment(&s, SEG_DS, 0x1b, 0, 0xffffffff, 0xc09f);
	GOOD("conforming code");
	sample_segment(&s, SEG_SS, 0x23, 0, 0xfff, 0x40f7);
	GOOD("expand-down stack");
}

/* Rules for restricted guests that others need not keep. */
static void unrestricted_guest_may_have_any_rpl(void **state)
{
	struct vmcs_snapshot s = sample_prot();

	(void)state;
	V(GUEST_SS_SELECTOR) = 0x13;
	V(GUEST_DS_SELECTOR) = 0x12;
	GOOD("unrestricted");
	V(PROC2_CTLS) &= ~(uint64_t)CTLBIT_PROC2_UNRESTRICTED;
	BREAKS("restricted", "ss-cs-rpl", GUEST_SS_SELECTOR);
	V(GUEST_SS_SELECTOR) = 0x10;
	BREAKS("restricted data", "data-dpl-rpl", GUEST_DS_AR);
	V(GUEST_DS_AR) |= 0x10000;
	GOOD("restricted, but DS unusable");
}

/* Selectors are numbers there, and access rights always F3h. */
static void virtual_8086_mode_has_no_privileges(void **state)
{
	struct vmcs_snapshot s = sample_v86();

	(void)state;
	V(PROC2_CTLS) &= ~(uint64_t)CTLBIT_PROC2_UNRESTRICTED;
	sample_segment(&s, SEG_CS, 0x1235, 0x12350, 0xffff, 0xf3);
	sample_segment(&s, SEG_SS, 0x1230, 0x12300, 0xffff, 0xf3);
	sample_segment(&s, SEG_DS, 0xffff, 0xffff0, 0xffff, 0xf3);
	GOOD("restricted");
}

static void code_segments_by_type_and_dpl(void **state)
{
	static const struct {
		unsigned type, dpl, ss_dpl;
		bool good;
	} rows[] = {
		{9, 0, 0, true},  {9, 3, 3, true},   {9, 0, 3, false}, {9, 3, 2, false},
		{11, 1, 1, true}, {11, 0, 1, false}, {13, 0, 0, true}, {13, 0, 3, true},
		{13, 3, 3, true}, {13, 3, 2, false}, {15, 1, 3, true}, {15, 2, 1, false},
		{3, 0, 0, true},  {3, 3, 3, false},
	};

	(void)state;
	for (size_t i = 0; i < array_count(rows); i++) {
		struct vmcs_snapshot s = sample_prot();

		V(GUEST_CS_AR) = 0xc090 | rows[i].dpl << 5 | rows[i].type;
		V(GUEST_SS_AR) = 0xc093 | rows[i].ss_dpl << 5;
		if (rows[i].good)
			GOOD("CS");
		else
			BREAKS("CS", "cs-dpl", GUEST_CS_AR);
	}
	for (unsigned type = 0; type < 16; type++) {
		struct vmcs_snapshot s = sample_prot();

		V(GUEST_CS_AR) = 0xc090 | type;
		if (type == 3 || (type >= 9 && type % 2))
			GOOD("CS type");
		else
			BREAKS("CS type", "cs-type", GUEST_CS_AR);
	}
}

static void process_contexts_are_for_long_mode(void **state)
{
	struct vmcs_snapshot s = sample_long();

	(void)state;
	V(GUEST_CR4) |= 1u << 17 | 1u << 23;
	GOOD("PCIDs and CET in long mode");
	s = sample_prot();
	V(GUEST_CR4) |= 1u << 17;
	BREAKS("PCIDs in protected mode", "guest-pcide", GUEST_CR4);
}

static void unusable_segments_are_not_looked_at(void **state)
{
	struct vmcs_snapshot s = sample_long();

	(void)state;
	for (unsigned seg = SEG_ES; seg <= SEG_GS; seg++)
		if (seg != SEG_CS && seg != SEG_FS && seg != SEG_GS)
			sample_segment(&s, seg, 0, ~0ull, 0x12345678, 0xffff0f00 & ~0x60u);
	sample_segment(&s, SEG_FS, 7, 0, 0x12345678, 0xffff0f00);
	sample_segment(&s, SEG_LDTR, 0xffff, 0x8000000000000000, 0x12345678, 0xffff0f1f);
	GOOD("rubbish in unusable segments");
	/* CS has no such excuse. */
	V(GUEST_CS_AR) = 0x10000;
	BREAKS("CS", "cs-type", GUEST_CS_AR);
	/* Nor have bases that are loaded all the same. */
	s = sample_long();
	V(GUEST_FS_BASE) = 1ull << 47;
	BREAKS("FS", "segment-base-canonical", GUEST_FS_BASE);
}

/* Entry looks only at the bits beyond the width: a jump over the edge faults in the guest. */
static void rip_may_lie_just_beyond(void **state)
{
	struct vmcs_snapshot s = sample_long();

	(void)state;
	V(GUEST_RIP) = 0x0000800000000000;
	GOOD("past the lower half");
	V(GUEST_RIP) = 0xffff7fffffffffff;
	GOOD("before the upper half");
	V(GUEST_RIP) = 0x0001000000000000;
	BREAKS("bit 48", "guest-rip-64", GUEST_RIP);
	env.linear_bits = 57;
	GOOD("57 bits");
}

/* {information, error code, length}: whether it can be delivered in protected and in real mode. */
static void events_that_can_be_delivered(void **state)
{
	static const struct {
		uint32_t info, error, length;
		bool prot, real;
	} rows[] = {
		{0x7ffff7ff, 0, 0, true, true}, /* not valid: nothing is looked at */
		{0x80000020, 0, 0, true, true},
		{0x800000ff, 0xffffffff, 99, true, true},
		{0x80000202, 0, 0, true, true},
		{0x80000300, 0, 0, true, true},
		{0x8000031f, 0, 0, true, true},
		{0x80000b08, 0, 0, true, false},
		{0x80000308, 0, 0, false, true},
		{0x80000309, 0, 0, true, true},
		{0x80000b09, 0, 0, false, false},
		{0x80000b0a, 0xffff, 0, true, false},
		{0x80000b0e, 0x8003, 0, true, false},
		{0x80000b0f, 0, 0, false, false},
		{0x80000b10, 0, 0, false, false},
		{0x80000b11, 0, 0, true, false},
		{0x80000312, 0, 0, true, true},
		{0x80000b15, 0, 0, true, false}, /* #CP: this CPU has CET */
		{0x80000315, 0, 0, false, true},
		{0x80000480, 0, 1, true, true},
		{0x80000480, 0, 15, true, true},
		{0x80000480, 0, 0, true, true},
		{0x80000c80, 0, 2, false, false},
		{0x80000501, 0, 1, true, true},
		{0x80000603, 0, 1, true, true},
		{0x80000700, 0, 0, true, true},
		{0x80000800 | 0x300 | 13, 0x1234, 0, true, false},
	};

	(void)state;
	for (size_t i = 0; i < array_count(rows); i++) {
		for (unsigned real = 0; real < 2; real++) {
			struct vmcs_snapshot s = real ? sample_real() : sample_prot();
			struct vmx_audit_finding f;

			V(GUEST_RFLAGS) |= 1u << 9;
			V(ENTRY_INTR_INFO) = rows[i].info;
			V(ENTRY_EXCEPTION_ERROR) = rows[i].error;
			V(ENTRY_INSN_LEN) = rows[i].length;
			if (vmx_audit(&s, &caps, &env, &f) != (real ? rows[i].real : rows[i].prot))
				fail_msg("%08x in %s: %s", rows[i].info, real ? "real" : "prot",
					 f.id ? f.id : "good");
			if (f.id)
				assert_string_equal(f.id, "event-error-code");
		}
	}
}

static void events_depend_on_the_cpu(void **state)
{
	struct vmcs_snapshot s = sample_prot();

	(void)state;
	V(ENTRY_INTR_INFO) = 0x80000480;
	GOOD("length 0");
	caps.msr[CAP_VMX_MISC] &= ~(1ull << 30);
	BREAKS("no length 0", "event-length", ENTRY_INSN_LEN);
	V(ENTRY_INTR_INFO) = 0x80000700;
	caps.msr[CAP_VMX_TRUE_PROCBASED_CTLS] &= ~(1ull << (32 + 27));
	BREAKS("no monitor trap", "event-type", ENTRY_INTR_INFO);
	V(ENTRY_INTR_INFO) = 0x8000030d;
	BREAKS("#GP", "event-error-code", ENTRY_INTR_INFO);
	caps.msr[CAP_VMX_BASIC] |= 1ull << 56;
	GOOD("#GP where error codes are free");
	V(ENTRY_INTR_INFO) = 0x80000b06;
	GOOD("#UD there");
	V(ENTRY_INTR_INFO) = 0x80000a02;
	BREAKS("NMI there", "event-error-code", ENTRY_INTR_INFO);
	caps = sample_caps;
	caps.msr[CAP_VMX_CR4_FIXED1] &= ~(1ull << 23);
	V(ENTRY_INTR_INFO) = 0x80000315;
	GOOD("vector 21 without CET");
}

static void cr0_of_the_guest(void **state)
{
	struct vmcs_snapshot s = sample_prot();

	(void)state;
	V(GUEST_CR0) |= 3u << 29;
	GOOD("NW and CD");
	V(HOST_CR0) |= 3u << 29;
	GOOD("NW and CD of the host");
	V(GUEST_CR0) &= ~(1ull << 31);
	GOOD("no paging, unrestricted");
	V(GUEST_CR0) &= ~1ull;
	GOOD("real mode");
	/* Even if the CPU said so of NW and CD. */
	caps.msr[CAP_VMX_CR0_FIXED0] |= 3u << 29;
	V(HOST_CR0) &= ~(3ull << 29);
	V(GUEST_CR0) &= ~(3ull << 29);
	GOOD("fixed NW and CD");
}

static void pat_types(void **state)
{
	(void)state;
	for (unsigned type = 0; type < 256; type++) {
		for (unsigned i = 0; i < 8; i++) {
			struct vmcs_snapshot s = sample_prot();

			V(GUEST_PAT) = (uint64_t)type << 8 * i;
			if (type == 0 || type == 1 || (type >= 4 && type <= 7))
				GOOD("PAT");
			else
				BREAKS("PAT", "guest-pat", GUEST_PAT);
		}
	}
}

static void efer_in_each_mode(void **state)
{
	struct vmcs_snapshot s = sample_real();

	(void)state;
	V(GUEST_EFER) = 0x100;
	GOOD("LME before paging");
	V(GUEST_EFER) = 0x500;
	BREAKS("LMA before paging", "guest-efer-lma", GUEST_EFER);
	s = sample_long();
	env.efer_bits &= ~(1ull << 11);
	BREAKS("NXE on a CPU without", "host-efer-reserved", HOST_EFER);
	V(HOST_EFER) = 0x501;
	BREAKS("NXE of the guest", "guest-efer-reserved", GUEST_EFER);
	V(GUEST_EFER) = 0x500;
	GOOD("without NXE");
}

static void activity_states(void **state)
{
	static const struct {
		uint32_t activity, info;
		bool good;
	} rows[] = {
		{1, 0, true},		{1, 0x80000020, true},	{1, 0x80000202, true},
		{1, 0x80000301, true},	{1, 0x80000312, true},	{1, 0x80000700, true},
		{1, 0x80000306, false}, {1, 0x80000501, false}, {1, 0x80000603, false},
		{2, 0, true},		{2, 0x80000202, true},	{2, 0x80000312, true},
		{2, 0x80000020, false}, {2, 0x80000301, false}, {2, 0x80000700, false},
		{3, 0, true},		{3, 0x80000202, false}, {3, 0x80000020, false},
		{0, 0x80000306, true},
	};

	(void)state;
	for (size_t i = 0; i < array_count(rows); i++) {
		struct vmcs_snapshot s = sample_prot();

		V(GUEST_RFLAGS) |= 1u << 9;
		V(GUEST_ACTIVITY) = rows[i].activity;
		V(ENTRY_INTR_INFO) = rows[i].info;
		V(ENTRY_INSN_LEN) = 1;
		if (rows[i].good)
			GOOD("activity");
		else
			BREAKS("activity", "activity-event", GUEST_ACTIVITY);
	}
}

static void activity_states_depend_on_the_cpu(void **state)
{
	(void)state;
	for (unsigned activity = 1; activity <= 3; activity++) {
		struct vmcs_snapshot s = sample_prot();

		V(GUEST_ACTIVITY) = activity;
		caps = sample_caps;
		GOOD("supported");
		caps.msr[CAP_VMX_MISC] &= ~(1ull << (5 + activity));
		BREAKS("not supported", "activity-supported", GUEST_ACTIVITY);
	}
}

static void blocking_that_is_good(void **state)
{
	struct vmcs_snapshot s = sample_prot();

	(void)state;
	V(GUEST_INTERRUPTIBILITY) = 2;
	GOOD("MOV SS");
	V(GUEST_RFLAGS) |= 1u << 9;
	V(GUEST_INTERRUPTIBILITY) = 1;
	GOOD("STI with IF");
	V(ENTRY_INTR_INFO) = 0x80000202;
	GOOD("an NMI while STI blocks");
	V(GUEST_INTERRUPTIBILITY) = 8;
	V(PIN_CTLS) &= ~(uint64_t)CTLBIT_PIN_VIRTUAL_NMIS;
	GOOD("an NMI while NMIs are blocked, not virtual");
	V(ENTRY_INTR_INFO) = 0x80000020;
	GOOD("an interrupt while NMIs are blocked");
	V(ENTRY_INTR_INFO) = 0;
	V(GUEST_INTERRUPTIBILITY) = 0x10;
	env.sgx = true;
	GOOD("an enclave");
	V(GUEST_INTERRUPTIBILITY) = 0x12;
	BREAKS("an enclave and MOV SS", "blocking-enclave", GUEST_INTERRUPTIBILITY);
}

static void pending_debug_exceptions(void **state)
{
	struct vmcs_snapshot s = sample_prot();

	(void)state;
	V(GUEST_PENDING_DBG) = 0x500f;
	GOOD("all that exist, nothing blocks");
	V(GUEST_RFLAGS) |= 1u << 8;
	V(GUEST_PENDING_DBG) = 0;
	GOOD("TF, nothing blocks");
	V(GUEST_INTERRUPTIBILITY) = 2;
	V(GUEST_PENDING_DBG) = 0x4000;
	GOOD("the step is pending");
	V(GUEST_DEBUGCTL) = 2;
	V(GUEST_PENDING_DBG) = 0x1001;
	GOOD("BTF: no step");
	V(GUEST_INTERRUPTIBILITY) = 0;
	V(GUEST_PENDING_DBG) = 0x11000;
	env.rtm = true;
	GOOD("a transaction");
	V(GUEST_PENDING_DBG) = 0x11001;
	BREAKS("with B0", "pending-rtm", GUEST_PENDING_DBG);
	V(GUEST_PENDING_DBG) = 0x10000;
	BREAKS("without bit 12", "pending-rtm", GUEST_PENDING_DBG);
	V(GUEST_PENDING_DBG) = 0x11000;
	V(GUEST_INTERRUPTIBILITY) = 2;
	BREAKS("while MOV SS blocks", "pending-rtm", GUEST_PENDING_DBG);
}

static void link_pointer(void **state)
{
	struct vmcs_snapshot s = sample_prot();

	(void)state;
	V(VMCS_LINK) = SAMPLE_REGION;
	GOOD("another VMCS");
	sample_ram[SAMPLE_REGION + 3] = 0x80;
	BREAKS("a shadow VMCS", "link-revision", VMCS_LINK);
	V(PROC2_CTLS) |= CTLBIT_PROC2_SHADOWING;
	GOOD("a shadow VMCS with shadowing");
	sample_ram[SAMPLE_REGION + 1] = 1;
	BREAKS("another revision", "link-revision", VMCS_LINK);
	env.read = NULL;
	GOOD("memory that nobody can read");
}

static void pdptes(void **state)
{
	struct vmcs_snapshot s = sample_prot();

	(void)state;
	V(GUEST_CR4) |= 1u << 5;
	V(GUEST_PDPTE0) = (TOP - 0x1000) | 0xe19; /* PWT, PCD, ignored bits */
	V(GUEST_PDPTE1) = ~1ull;		  /* not present: anything */
	GOOD("fields");
	V(GUEST_CR3) = SAMPLE_RAM; /* EPT: memory is not looked at */
	GOOD("fields, not memory");
	V(GUEST_PDPTE1) = ~0ull;
	BREAKS("present", "pdpte-field", GUEST_PDPTE1);
	V(GUEST_CR0) &= ~(1ull << 31);
	GOOD("no paging");
	V(GUEST_CR0) |= 1ull << 31;
	V(GUEST_CR4) &= ~(1ull << 5);
	GOOD("no PAE");
}

static void pdptes_in_memory(void **state)
{
	struct vmcs_snapshot s = sample_restricted();

	(void)state;
	V(GUEST_CR4) |= 1u << 5;
	V(PROC2_CTLS) = 0;
	V(GUEST_PDPTE0) = ~0ull; /* not looked at */
	V(GUEST_CR3) = SAMPLE_PDPTES | 0x1f;
	sample_ram[SAMPLE_PDPTES] = 0x01;
	GOOD("good");
	for (unsigned i = 0; i < 4; i++) {
		memset(sample_ram + SAMPLE_PDPTES, 0, 32);
		sample_ram[SAMPLE_PDPTES + 8 * i] = 0x03;
		BREAKS("bit 1", "pdpte-memory", GUEST_CR3);
		sample_ram[SAMPLE_PDPTES + 8 * i] = 0x02;
		GOOD("not present");
		sample_ram[SAMPLE_PDPTES + 8 * i] = 0x01;
		sample_ram[SAMPLE_PDPTES + 8 * i + 7] = 0x80;
		BREAKS("bit 63", "pdpte-memory", GUEST_CR3);
	}
	memset(sample_ram + SAMPLE_PDPTES, 0, 32);
	V(GUEST_CR3) = SAMPLE_RAM;
	BREAKS("no such memory", "pdpte-memory", GUEST_CR3);
	env.read = NULL;
	GOOD("nobody can read");
	env.read = sample_read;
	V(GUEST_CR3) = SAMPLE_PDPTES;
	sample_ram[SAMPLE_PDPTES + 32] = 0x03;
	sample_ram[SAMPLE_PDPTES - 8] = 0x03;
	GOOD("neighbours");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(ring_3_is_good),
		TEST(unrestricted_guest_may_have_any_rpl),
		TEST(virtual_8086_mode_has_no_privileges),
		TEST(code_segments_by_type_and_dpl),
		TEST(process_contexts_are_for_long_mode),
		TEST(unusable_segments_are_not_looked_at),
		TEST(rip_may_lie_just_beyond),
		TEST(events_that_can_be_delivered),
		TEST(events_depend_on_the_cpu),
		TEST(cr0_of_the_guest),
		TEST(pat_types),
		TEST(efer_in_each_mode),
		TEST(activity_states),
		TEST(activity_states_depend_on_the_cpu),
		TEST(blocking_that_is_good),
		TEST(pending_debug_exceptions),
		TEST(link_pointer),
		TEST(pdptes),
		TEST(pdptes_in_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
