/*
 * The auditor on good snapshots, on the edges of the rules for controls and host, on other CPUs,
 * and the order in which it looks. That every rule is named when broken is in
 * test_vmx_audit_rules.c.
 */
/* needs: vmx/audit.c vmx/audit_controls.c vmx/audit_host.c vmx/audit_guest.c */
/* needs: vmx/audit_segments.c vmx/breakage.c vmx/controls.c vmx/snapshot.c lib/printf.c */
#include "vmx_audit_fixture.h"

static void samples_are_good(void **state)
{
	(void)state;
	for (size_t k = 0; k < array_count(samples); k++) {
		struct vmcs_snapshot s = samples[k].make();

		GOOD(samples[k].name);
	}
}

static void secondary_controls_count_only_if_activated(void **state)
{
	struct vmcs_snapshot s = sample_restricted();

	(void)state;
	V(PROC2_CTLS) = 0xffffffff;
	V(VPID) = 0;
	BREAKS("on", "proc2-reserved", PROC2_CTLS);
	V(PROC_CTLS) &= ~(uint64_t)CTLBIT_PROC_SECONDARY;
	GOOD("off");
	/* Then it is no unrestricted guest either. */
	V(GUEST_CR0) &= ~1ull;
	BREAKS("CR0", "guest-cr0", GUEST_CR0);
}

/* Rubbish of several kinds: unaligned and beyond any width; not canonical; LME without LMA. */
static void switched_off_controls_hide_their_fields(void **state)
{
	static const enum vmcs_index hidden[] = {
		SNAP_IO_BITMAP_A,    SNAP_IO_BITMAP_B,	       SNAP_MSR_BITMAP,
		SNAP_PML_ADDR,	     SNAP_VIRTUAL_APIC_ADDR,   SNAP_APIC_ACCESS_ADDR,
		SNAP_EPTP,	     SNAP_EPTP_LIST_ADDR,      SNAP_VE_INFO_ADDR,
		SNAP_VMREAD_BITMAP,  SNAP_VMWRITE_BITMAP,      SNAP_SPP_TABLE,
		SNAP_VMFUNC_CTLS,    SNAP_POSTED_DESC_ADDR,    SNAP_GUEST_DEBUGCTL,
		SNAP_GUEST_PAT,	     SNAP_GUEST_EFER,	       SNAP_GUEST_PERF_GLOBAL_CTRL,
		SNAP_HOST_PAT,	     SNAP_HOST_EFER,	       SNAP_HOST_PERF_GLOBAL_CTRL,
		SNAP_GUEST_DR7,	     SNAP_GUEST_BNDCFGS,       SNAP_EXIT_MSR_LOAD_ADDR,
		SNAP_GUEST_PDPTE0,   SNAP_GUEST_PDPTE1,	       SNAP_GUEST_PDPTE2,
		SNAP_GUEST_PDPTE3,   SNAP_EXIT_MSR_STORE_ADDR, SNAP_ENTRY_MSR_LOAD_ADDR,
		SNAP_TPR_THRESHOLD,  SNAP_POSTED_VECTOR,       SNAP_ENTRY_EXCEPTION_ERROR,
		SNAP_ENTRY_INSN_LEN,
	};
	static const uint64_t rubbish[] = {~0ull, 0x8000000000000000, 0x0123456789abcdef, 0x100,
					   0x40};

	(void)state;
	caps.msr[CAP_VMX_EPT_VPID_CAP] &= ~(1ull << 21);
	for (size_t n = 0; n < array_count(rubbish); n++) {
		struct vmcs_snapshot s = sample_restricted();

		V(PROC_CTLS) &= ~(uint64_t)(CTLBIT_PROC_IO_BITMAPS | CTLBIT_PROC_MSR_BITMAPS);
		V(PROC2_CTLS) = 0;
		V(ENTRY_CTLS) &= ~(uint64_t)(CTLBIT_ENTRY_LOAD_DEBUG | 3u << 14);
		V(EXIT_CTLS) &= ~(uint64_t)(CTLBIT_EXIT_LOAD_PAT | CTLBIT_EXIT_LOAD_EFER);
		for (size_t i = 0; i < array_count(hidden); i++)
			s.value[hidden[i]] = rubbish[n];
		V(VPID) = 0;
		V(TSC_MULTIPLIER) = 0;
		V(ENTRY_INTR_INFO) = rubbish[n] & 0x7fffffff;
		GOOD("all hidden");
		/* PDPTEs count in memory, not here. */
		V(GUEST_CR3) = SAMPLE_PDPTES;
		V(GUEST_CR4) |= 1u << 5;
		GOOD("PAE without EPT");
	}
}

/* What one control needs, nobody else does. */
static void needs_are_only_of_those_who_need(void **state)
{
	struct vmcs_snapshot s = sample_prot();

	(void)state;
	V(PIN_CTLS) = 0x16;
	V(EXIT_CTLS) &= ~(uint64_t)CTLBIT_EXIT_SAVE_TIMER;
	V(PROC_CTLS) &= ~(uint64_t)CTLBIT_PROC_NMI_WINDOW;
	V(CR3_TARGET_COUNT) = 4;
	GOOD("no pin controls");
	V(PROC2_CTLS) |= CTLBIT_PROC2_VMFUNC | CTLBIT_PROC2_PML | CTLBIT_PROC2_MODE_EXECUTE |
			 CTLBIT_PROC2_SUBPAGE | CTLBIT_PROC2_SHADOWING | CTLBIT_PROC2_VE |
			 CTLBIT_PROC2_TSC_SCALING | CTLBIT_PROC2_APIC_ACCESSES;
	V(EPTP_LIST_ADDR) = 1; /* no EPTP switching */
	GOOD("many secondary controls");
	V(VMFUNC_CTLS) = 1;
	V(EPTP_LIST_ADDR) = 0x1000;
	GOOD("EPTP switching");
	V(PROC2_CTLS) |= CTLBIT_PROC2_PT_GUEST_PHYSICAL;
	V(ENTRY_CTLS) |= CTLBIT_ENTRY_LOAD_RTIT;
	V(EXIT_CTLS) |= CTLBIT_EXIT_CLEAR_RTIT;
	GOOD("PT");
}

static void hosts_that_are_good(void **state)
{
	struct vmcs_snapshot s = sample_prot();

	(void)state;
	V(HOST_SS_SELECTOR) = 0;
	V(HOST_CR4) |= 1u << 17 | 1u << 23;
	GOOD("64-bit host with null SS, PCIDs, CET");
	V(HOST_CR4) &= ~(1ull << 23);
	V(HOST_CR0) &= ~(1ull << 16);
	GOOD("no CET, no WP");
	V(EXIT_CTLS) |= CTLBIT_EXIT_LOAD_PERF_GLOBAL;
	V(HOST_PERF_GLOBAL_CTRL) = 0x70000000f;
	GOOD("counters");
	s = sample_prot();
	env.ia32e = false;
	V(EXIT_CTLS) &= ~(uint64_t)CTLBIT_EXIT_HOST_64;
	V(HOST_EFER) = 0x801;
	V(HOST_CR4) &= ~(1ull << 5);
	V(HOST_RIP) = 0xffffffff;
	GOOD("32-bit host without PAE");
}

static void addresses_end_at_the_width(void **state)
{
	struct vmcs_snapshot s = sample_long();

	(void)state;
	V(IO_BITMAP_A) = V(MSR_BITMAP) = TOP - 0x1000;
	V(GUEST_CR3) = V(HOST_CR3) = TOP - 1;
	V(EPTP) = (TOP - 0x1000) | 0x5e;
	V(EXIT_MSR_STORE_ADDR) = V(ENTRY_MSR_LOAD_ADDR) = TOP - 16;
	V(EXIT_MSR_STORE_COUNT) = V(ENTRY_MSR_LOAD_COUNT) = 1;
	V(EXIT_MSR_LOAD_ADDR) = TOP - 0x2000;
	V(EXIT_MSR_LOAD_COUNT) = 512;
	GOOD("last");
	env.phys_bits--;
	BREAKS("one bit less", "io-bitmap-a", IO_BITMAP_A);
	env.phys_bits = 52;
	V(GUEST_CR3) = 0xfffffffffffff;
	GOOD("52 bits");
	env.phys_bits = 64; /* CR3 has 52 all the same */
	V(GUEST_CR3) = 1ull << 52;
	BREAKS("CR3", "guest-cr3", GUEST_CR3);
}

static void areas_do_not_wrap(void **state)
{
	struct vmcs_snapshot s = sample_long();

	(void)state;
	env.phys_bits = 36;
	V(EXIT_MSR_LOAD_ADDR) = 0;
	V(EXIT_MSR_LOAD_COUNT) = 0xffffffff; /* 64 GiB, less 16 bytes */
	GOOD("from 0");
	V(EXIT_MSR_LOAD_ADDR) = 0x20;
	BREAKS("from 20h", "exit-load-end", EXIT_MSR_LOAD_ADDR);
}

/* IA32_VMX_BASIC bit 48. */
static void old_cpus_have_32_bit_addresses(void **state)
{
	struct vmcs_snapshot s = sample_prot();

	(void)state;
	V(MSR_BITMAP) = 1ull << 32;
	GOOD("64 bits");
	caps.msr[CAP_VMX_BASIC] |= 1ull << 48;
	BREAKS("32 bits", "msr-bitmap", MSR_BITMAP);
	V(MSR_BITMAP) = 0xfffff000;
	GOOD("last page");
}

static void canonical_has_two_halves(void **state)
{
	static const struct {
		uint64_t address;
		bool in_48, in_57;
	} rows[] = {
		{0, true, true},
		{0x00007fffffffffff, true, true},
		{0x0000800000000000, false, true},
		{0x00ffffffffffffff, false, true},
		{0x0100000000000000, false, false},
		{0xfeffffffffffffff, false, false},
		{0xff00000000000000, false, true},
		{0xffff7fffffffffff, false, true},
		{0xffff800000000000, true, true},
		{~0ull, true, true},
		{1ull << 63, false, false},
	};

	(void)state;
	for (size_t i = 0; i < array_count(rows); i++) {
		struct vmcs_snapshot s = sample_long();

		V(HOST_FS_BASE) = rows[i].address;
		env.linear_bits = 48;
		if (rows[i].in_48)
			GOOD("48 bits");
		else
			BREAKS("48 bits", "host-base", HOST_FS_BASE);
		env.linear_bits = 57;
		if (rows[i].in_57)
			GOOD("57 bits");
		else
			BREAKS("57 bits", "host-base", HOST_FS_BASE);
	}
}

static void eptp_depends_on_the_cpu(void **state)
{
	struct vmcs_snapshot s = sample_prot();

	(void)state;
	V(EPTP) &= ~7ull;
	GOOD("uncacheable");
	caps.msr[CAP_VMX_EPT_VPID_CAP] &= ~(1ull << 8);
	BREAKS("no uncacheable", "eptp-type", EPTP);
	V(EPTP) |= 6;
	GOOD("write-back");
	caps.msr[CAP_VMX_EPT_VPID_CAP] &= ~(1ull << 14);
	BREAKS("no write-back", "eptp-type", EPTP);
	caps = sample_caps;
	caps.msr[CAP_VMX_EPT_VPID_CAP] &= ~(1ull << 6);
	BREAKS("no 4 levels", "eptp-walk", EPTP);
	caps.msr[CAP_VMX_EPT_VPID_CAP] |= 1ull << 7;
	V(EPTP) = (V(EPTP) & ~0x38ull) | 4u << 3;
	GOOD("5 levels");
	caps.msr[CAP_VMX_EPT_VPID_CAP] |= 1ull << 23;
	V(EPTP) |= 1u << 7;
	GOOD("shadow stacks");
	caps.msr[CAP_VMX_EPT_VPID_CAP] &= ~(1ull << 21);
	BREAKS("no dirty flags", "eptp-accessed-dirty", EPTP);
}

/* The plain MSRs force more bits than the TRUE ones. */
static void true_msrs_count_if_they_exist(void **state)
{
	struct vmcs_snapshot s = sample_prot();

	(void)state;
	assert_false(V(PROC_CTLS) & CTLBIT_PROC_CR3_LOAD);
	GOOD("TRUE");
	caps.msr[CAP_VMX_BASIC] &= ~(1ull << 55);
	BREAKS("plain", "proc-reserved", PROC_CTLS);
	V(PROC_CTLS) |= CTLBIT_PROC_CR3_LOAD | CTLBIT_PROC_CR3_STORE;
	GOOD("plain, with CR3 exits");
}

static void tpr_threshold_is_compared_with_memory(void **state)
{
	struct vmcs_snapshot s = sample_prot();

	(void)state;
	V(PROC_CTLS) |= CTLBIT_PROC_TPR_SHADOW;
	V(VIRTUAL_APIC_ADDR) = SAMPLE_VAPIC;
	V(TPR_THRESHOLD) = 5;
	sample_ram[SAMPLE_VAPIC + 0x80] = 0x4f;
	BREAKS("5 > 4", "tpr-threshold-vtpr", TPR_THRESHOLD);
	sample_ram[SAMPLE_VAPIC + 0x80] = 0x50;
	GOOD("5 = 5");
	sample_ram[SAMPLE_VAPIC + 0x80] = 0;
	V(PROC2_CTLS) |= CTLBIT_PROC2_APIC_ACCESSES;
	GOOD("with virtual APIC accesses");
	V(PROC2_CTLS) ^= CTLBIT_PROC2_APIC_ACCESSES | CTLBIT_PROC2_VIRTUAL_DELIVERY;
	GOOD("with virtual-interrupt delivery");
	V(TPR_THRESHOLD) = 0x1234;
	GOOD("then not even its width");
	V(PROC2_CTLS) ^= CTLBIT_PROC2_VIRTUAL_DELIVERY;
	BREAKS("its width", "tpr-threshold-bits", TPR_THRESHOLD);
	V(TPR_THRESHOLD) = 15;
	V(VIRTUAL_APIC_ADDR) = SAMPLE_RAM;
	GOOD("memory that cannot be read");
	V(VIRTUAL_APIC_ADDR) = SAMPLE_VAPIC;
	env.read = NULL;
	GOOD("no memory at all");
}

static void posted_interrupts_can_be_good(void **state)
{
	struct vmcs_snapshot s = sample_prot();

	(void)state;
	V(PROC_CTLS) |= CTLBIT_PROC_TPR_SHADOW;
	V(PROC2_CTLS) |= CTLBIT_PROC2_VIRTUAL_DELIVERY | CTLBIT_PROC2_X2APIC_MODE;
	V(PIN_CTLS) |= CTLBIT_PIN_POSTED_INTERRUPTS;
	V(EXIT_CTLS) |= CTLBIT_EXIT_ACK_INTERRUPT;
	V(POSTED_VECTOR) = 0xff;
	V(POSTED_DESC_ADDR) = 0x10c0;
	GOOD("posted interrupts");
}

static void host_on_a_cpu_outside_ia32e_mode(void **state)
{
	struct vmcs_snapshot s = sample_prot();

	(void)state;
	env.ia32e = false;
	BREAKS("64-bit host", "cpu-mode-host", EXIT_CTLS);
	s = sample_long();
	BREAKS("64-bit guest", "cpu-mode-guest", ENTRY_CTLS);
}

/* The first of two broken rules is named, whichever was broken first. */
static void controls_come_first_then_host_then_guest(void **state)
{
	struct vmcs_snapshot s = sample_long();

	(void)state;
	V(GUEST_RFLAGS) = 0;
	BREAKS("RFLAGS", "guest-rflags-reserved", GUEST_RFLAGS);
	V(GUEST_TR_AR) = 0;
	BREAKS("and TR", "tr-type", GUEST_TR_AR);
	V(GUEST_DS_AR) = 0;
	BREAKS("and DS", "data-type", GUEST_DS_AR);
	V(GUEST_CR4) = 0;
	BREAKS("and CR4", "guest-cr4", GUEST_CR4);
	V(HOST_RIP) = 1ull << 63;
	BREAKS("and host RIP", "host-64-rip", HOST_RIP);
	V(HOST_CS_SELECTOR) = 1;
	BREAKS("and host CS", "host-selector", HOST_CS_SELECTOR);
	V(HOST_CR0) = 0;
	BREAKS("and host CR0", "host-cr0", HOST_CR0);
	V(ENTRY_CTLS) = 0;
	BREAKS("and entry controls", "entry-reserved", ENTRY_CTLS);
	V(EXIT_CTLS) = 0;
	BREAKS("and exit controls", "exit-reserved", EXIT_CTLS);
	V(VPID) = 0;
	BREAKS("and VPID", "vpid-zero", VPID);
	V(PIN_CTLS) = 0;
	BREAKS("and pin controls", "pin-reserved", PIN_CTLS);
}

/* A mistake in the last of the guest's non-register state hides none before it. */
static void earlier_rule_wins_over_the_link_pointer(void **state)
{
	struct vmcs_snapshot good = sample_prot();

	(void)state;
	for (unsigned i = 0; i < vmx_breakage_count(); i++) {
		const struct breakage *b = vmx_breakage(i);
		struct vmcs_snapshot s = good;

		if (!vmx_breakage_possible(i, &good, &caps) || b->field == SNAP_VMCS_LINK ||
		    b->field == SNAP_GUEST_PDPTE0)
			continue;
		V(VMCS_LINK) = 1;
		breakage_run_snapshot(b, &s);
		assert_breaks(&s, &caps, &env, b->name, b->rule, b->field);
	}
}

static void finding_tells_everything(void **state)
{
	struct vmcs_snapshot s = sample_prot();
	struct vmx_audit_finding f;
	char text[100], small[12], tiny[1] = {'x'};
	int length;

	(void)state;
	V(GUEST_RFLAGS) = 0;
	assert_false(vmx_audit(&s, &caps, &env, &f));
	assert_string_equal(f.area, "guest state");
	assert_string_equal(f.section, "Checks on Guest RIP, RFLAGS, and SSP");
	assert_int_equal(vmx_finding_values(text, sizeof(text), &f), 16);
	assert_string_equal(text, "GUEST_RFLAGS=0x0");

	V(HOST_EFER) = 0xfedcba9876543210 & 0xd01;
	assert_false(vmx_audit(&s, &caps, &env, &f));
	length = vmx_finding_values(text, sizeof(text), &f);
	assert_string_equal(text, "HOST_EFER=0x0 EXIT_CTLS=0x3f6fff");
	assert_int_equal(length, strlen(text));
	assert_int_equal(vmx_finding_values(small, sizeof(small), &f), length);
	assert_string_equal(small, "HOST_EFER=0");
	assert_int_equal(vmx_finding_values(tiny, 1, &f), length);
	assert_string_equal(tiny, "");
	tiny[0] = 'x';
	assert_int_equal(vmx_finding_values(tiny, 0, &f), length);
	assert_int_equal(tiny[0], 'x');
}

static void environment_follows_from_cpuid(void **state)
{
	struct cpu_features features = {.phys_bits = 39};
	struct vmx_audit_env e;

	(void)state;
	memset(&e, 0xa5, sizeof(e));
	vmx_audit_env_init(&e, &features);
	assert_int_equal(e.phys_bits, 39);
	assert_int_equal(e.linear_bits, 48);
	assert_true(e.ia32e);
	assert_false(e.rtm || e.sgx);
	assert_int_equal(e.efer_bits, 0);
	assert_null(e.read);
	features.ext1.edx = 1u << 11 | 1u << 20 | 1u << 29;
	features.leaf7 = (struct cpuid_regs){.ebx = 1u << 2 | 1u << 11, .ecx = 1u << 16};
	vmx_audit_env_init(&e, &features);
	assert_int_equal(e.efer_bits, 0xd01);
	assert_int_equal(e.linear_bits, 57);
	assert_true(e.rtm && e.sgx);
}

/* Snapshots of a mad VMCS: whatever is in it, the auditor ends with an answer that can be printed.
 */
static void any_snapshot_has_an_answer(void **state)
{
	uint64_t x = 0x9e3779b97f4a7c15;
	unsigned good = 0;

	(void)state;
	for (unsigned n = 0; n < 20000; n++) {
		struct vmcs_snapshot s = samples[n % array_count(samples)].make();
		struct vmx_audit_finding f;
		char text[256];

		for (unsigned changes = n % 7; changes-- > 0;) {
			x ^= x << 13, x ^= x >> 7, x ^= x << 17;
			s.value[x % SNAP_COUNT] ^= 1ull << (x >> 32) % 64;
		}
		if (vmx_audit(&s, &caps, &env, &f)) {
			good++;
			continue;
		}
		assert_non_null(f.id);
		assert_in_range(f.field_count, 1, VMX_FINDING_FIELDS);
		assert_in_range(vmx_finding_values(text, sizeof(text), &f), 1, sizeof(text) - 1);
		for (unsigned i = 0; i < f.field_count; i++)
			assert_true(f.value[i] == s.value[f.field[i]]);
	}
	assert_in_range(good, 2000, 19000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(samples_are_good),
		TEST(secondary_controls_count_only_if_activated),
		TEST(switched_off_controls_hide_their_fields),
		TEST(needs_are_only_of_those_who_need),
		TEST(hosts_that_are_good),
		TEST(addresses_end_at_the_width),
		TEST(areas_do_not_wrap),
		TEST(old_cpus_have_32_bit_addresses),
		TEST(canonical_has_two_halves),
		TEST(eptp_depends_on_the_cpu),
		TEST(true_msrs_count_if_they_exist),
		TEST(tpr_threshold_is_compared_with_memory),
		TEST(posted_interrupts_can_be_good),
		TEST(host_on_a_cpu_outside_ia32e_mode),
		TEST(controls_come_first_then_host_then_guest),
		TEST(earlier_rule_wins_over_the_link_pointer),
		TEST(finding_tells_everything),
		TEST(environment_follows_from_cpuid),
		TEST(any_snapshot_has_an_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
