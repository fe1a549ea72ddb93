/*
 * What vmx/caps.c lists as features, how it compares CPUs and holds control registers against the
 * fixed bits. needs: vmx/caps.c */
#include "vmx_machine.h"

static const struct {
	const char *name, *source;
	uint32_t msr;
	unsigned bit;
	bool required;
} feature_bits[] = {
	{"EPT", "IA32_VMX_PROCBASED_CTLS2[33]", 0x48b, 33, true},
	{"unrestricted guest", "IA32_VMX_PROCBASED_CTLS2[39]", 0x48b, 39, true},
	{"virtual NMIs", "IA32_VMX_PINBASED_CTLS[37]", 0x481, 37, true},
	{"INS/OUTS information", "IA32_VMX_BASIC[54]", 0x480, 54, true},
	{"MSR bitmaps", "IA32_VMX_PROCBASED_CTLS[60]", 0x482, 60, true},
	{"I/O bitmaps", "IA32_VMX_PROCBASED_CTLS[57]", 0x482, 57, true},
	{"INVEPT", "IA32_VMX_EPT_VPID_CAP[20]", 0x48c, 20, true},
	{"EPT 2 MiB pages", "IA32_VMX_EPT_VPID_CAP[16]", 0x48c, 16, false},
	{"EPT 1 GiB pages", "IA32_VMX_EPT_VPID_CAP[17]", 0x48c, 17, false},
	{"EPT accessed/dirty flags", "IA32_VMX_EPT_VPID_CAP[21]", 0x48c, 21, false},
	{"EPT execute-only pages", "IA32_VMX_EPT_VPID_CAP[0]", 0x48c, 0, false},
	{"VPID", "IA32_VMX_PROCBASED_CTLS2[37]", 0x48b, 37, false},
	{"INVVPID", "IA32_VMX_EPT_VPID_CAP[32]", 0x48c, 32, false},
	{"VMX-preemption timer", "IA32_VMX_PINBASED_CTLS[38]", 0x481, 38, false},
	{"posted interrupts", "IA32_VMX_PINBASED_CTLS[39]", 0x481, 39, false},
	{"TSC offsetting", "IA32_VMX_PROCBASED_CTLS[35]", 0x482, 35, false},
	{"TPR shadow", "IA32_VMX_PROCBASED_CTLS[53]", 0x482, 53, false},
	{"monitor trap flag", "IA32_VMX_PROCBASED_CTLS[59]", 0x482, 59, false},
	{"virtualized APIC accesses", "IA32_VMX_PROCBASED_CTLS2[32]", 0x48b, 32, false},
	{"descriptor-table exiting", "IA32_VMX_PROCBASED_CTLS2[34]", 0x48b, 34, false},
	{"RDTSCP in VMs", "IA32_VMX_PROCBASED_CTLS2[35]", 0x48b, 35, false},
	{"x2APIC virtualization", "IA32_VMX_PROCBASED_CTLS2[36]", 0x48b, 36, false},
	{"WBINVD exiting", "IA32_VMX_PROCBASED_CTLS2[38]", 0x48b, 38, false},
	{"APIC-register virtualization", "IA32_VMX_PROCBASED_CTLS2[40]", 0x48b, 40, false},
	{"virtual-interrupt delivery", "IA32_VMX_PROCBASED_CTLS2[41]", 0x48b, 41, false},
	{"PAUSE-loop exiting", "IA32_VMX_PROCBASED_CTLS2[42]", 0x48b, 42, false},
	{"INVPCID in VMs", "IA32_VMX_PROCBASED_CTLS2[44]", 0x48b, 44, false},
	{"VM functions", "IA32_VMX_PROCBASED_CTLS2[45]", 0x48b, 45, false},
	{"VMCS shadowing", "IA32_VMX_PROCBASED_CTLS2[46]", 0x48b, 46, false},
	{"page-modification log (PML)", "IA32_VMX_PROCBASED_CTLS2[49]", 0x48b, 49, false},
	{"EPT-violation #VE", "IA32_VMX_PROCBASED_CTLS2[50]", 0x48b, 50, false},
	{"XSAVES in VMs", "IA32_VMX_PROCBASED_CTLS2[52]", 0x48b, 52, false},
	{"mode-based execute control", "IA32_VMX_PROCBASED_CTLS2[54]", 0x48b, 54, false},
	{"sub-page write permission (SPP)", "IA32_VMX_PROCBASED_CTLS2[55]", 0x48b, 55, false},
	{"TSC scaling", "IA32_VMX_PROCBASED_CTLS2[57]", 0x48b, 57, false},
	{"EPTP switching by VMFUNC", "IA32_VMX_VMFUNC[0]", 0x491, 0, false},
};

static void feature_bits_are_those_of_the_manual(void **state)
{
	struct feature rows[VMX_FEATURES_MAX], changed[VMX_FEATURES_MAX];
	struct machine m = good;
	struct vmx_caps c = caps_of(&m);
	unsigned n = vmx_caps_features(&c, rows);

	(void)state;
	assert_int_equal(n, sizeof(feature_bits) / sizeof(feature_bits[0]));
	for (unsigned i = 0; i < n; i++) {
		unsigned row = 0;

		while (row < n && strcmp(rows[row].name, feature_bits[i].name) != 0)
			row++;
		if (row == n)
			fail_msg("no row \"%s\"", feature_bits[i].name);
		assert_string_equal(rows[row].source, feature_bits[i].source);
		assert_int_equal(rows[row].without == NULL, feature_bits[i].required);
		assert_int_equal(rows[row].present,
				 machine_bit(&m, feature_bits[i].msr, feature_bits[i].bit));

		c.msr[CAP_VMX_BASIC + INDEX(feature_bits[i].msr)] ^= 1ull << feature_bits[i].bit;
		assert_int_equal(vmx_caps_features(&c, changed), n);
		c.msr[CAP_VMX_BASIC + INDEX(feature_bits[i].msr)] ^= 1ull << feature_bits[i].bit;
		for (unsigned k = 0; k < n; k++)
			assert_int_equal(changed[k].present != rows[k].present, k == row);
	}
}

static void machine_without_vmx_has_no_feature(void **state)
{
	struct feature rows[VMX_FEATURES_MAX];
	struct machine m = good;
	struct vmx_caps c;
	unsigned n;

	(void)state;
	m.ecx1 &= ~0x20u;
	c = caps_of(&m);
	n = vmx_caps_features(&c, rows);
	assert_true(n > 20);
	for (unsigned i = 0; i < n; i++)
		assert_false(rows[i].present);
}

/* What CPU 3 gives that is `m`, beside a boot CPU that is `boot`. */
static struct verdict compare(struct machine *boot, struct machine *m)
{
	struct vmx_caps a = caps_of(boot), b = caps_of(m);
	struct verdict v = {0};
	bool same = vmx_caps_compare(&a, &b, 3, &v);

	assert_int_equal(same, v.count == 0);
	return v;
}

static void equal_cpus_compare_equal(void **state)
{
	struct machine a = good, b = good;

	(void)state;
	assert_int_equal(compare(&a, &b).count, 0);
}

static void every_bit_of_every_vmx_msr_is_compared(void **state)
{
	(void)state;
	for (uint32_t msr = MSR_FIRST; msr <= MSR_LAST; msr++) {
		for (unsigned bit = 0; bit < 64; bit++) {
			struct machine a = good, b = good;
			struct verdict v;
			char saw[120];

			machine_flip(&b, msr, bit);
			v = compare(&a, &b);
			snprintf(saw, sizeof(saw), "(MSR %Xh) = 0x%lx, boot CPU: 0x%lx", msr,
				 b.msr[INDEX(msr)], a.msr[INDEX(msr)]);
			assert_item(&v, "do not offer the same VMX", saw, "firmware");
			assert_holds(v.item[0].saw, "CPU 3: IA32_VMX_");
		}
	}
}

static void only_the_first_difference_is_named(void **state)
{
	struct machine a = good, b = good;
	struct verdict v;

	(void)state;
	machine_flip(&b, MSR_VMX_MISC, 9);
	machine_flip(&b, MSR_VMX_BASIC, 0);
	machine_flip(&b, MSR_VMX_VMFUNC, 0);
	v = compare(&a, &b);
	assert_item(&v, "same VMX", "IA32_VMX_BASIC (MSR 480h) = 0xda040000000005", "firmware");
}

static void feature_control_differs_in_lock_and_enable_only(void **state)
{
	(void)state;
	for (unsigned bit = 0; bit < 64; bit++) {
		struct machine a = good, b = good;
		struct verdict v;

		machine_flip(&b, MSR_FEATURE_CONTROL, bit);
		v = compare(&a, &b);
		if (bit == 0 || bit == 2)
			assert_item(&v, "same VMX", ", boot CPU: 0x5", "firmware");
		else
			assert_int_equal(v.count, 0);
	}
}

static void cpu_without_vmx_differs(void **state)
{
	struct machine a = good, b = good;
	struct verdict v;

	(void)state;
	b.ecx1 &= ~0x20u;
	v = compare(&a, &b);
	assert_item(&v, "same VMX", "CPU 3: CPUID.1:ECX = 0x7ffefbdf, boot CPU: 0x7ffefbff",
		    "model");
}

static void other_cpuid_bits_are_not_compared(void **state)
{
	struct machine a = good, b = good;

	(void)state;
	b.ecx1 ^= 1u << 27; /* OSXSAVE follows CR4 */
	assert_int_equal(compare(&a, &b).count, 0);
}

static void read_fault_on_one_cpu_differs(void **state)
{
	struct machine a = good, b = good;
	struct verdict v;

	(void)state;
	b.fault_msr = MSR_VMX_MISC;
	v = compare(&a, &b);
	assert_item(&v, "same VMX", "CPU 3: reading IA32_VMX_MISC (MSR 485h) faulted", "firmware");
	v = compare(&b, &a);
	assert_item(&v, "same VMX", "(MSR 485h) did not fault", "firmware");
}

static void widest_texts_fit(void **state)
{
	struct machine a = good, b = good;
	struct vmx_caps c, d;
	struct verdict v = {0};

	(void)state;
	a.msr[INDEX(MSR_VMX_TRUE_PROCBASED_CTLS)] = UINT64_MAX;
	b.msr[INDEX(MSR_VMX_TRUE_PROCBASED_CTLS)] = UINT64_MAX - 1;
	c = caps_of(&a);
	d = caps_of(&b);
	assert_false(vmx_caps_compare(&c, &d, UINT32_MAX, &v));
	for (unsigned i = 0; i < CAP_COUNT; i++)
		c.msr[i] = 0x8000000000000000;
	c.msr[CAP_VMX_PROCBASED_CTLS2] |= 1ull << PROC2_EPT;
	vmx_caps_verdict(&c, &v);
	c.msr[CAP_VMX_CR0_FIXED1] = 0;
	assert_false(vmx_caps_check_cr(&c, 63, 0x7fffffffffffffff, 0, &v));
	assert_int_equal(v.count, VERDICT_MAX);
}

static void cr_values_are_held_against_the_fixed_bits(void **state)
{
	(void)state;
	assert_true(vmx_cr_allowed(0x80000021, 0xffffffff, 0x80010033));
	assert_false(vmx_cr_allowed(0x80000021, 0xffffffff, 0x80010013));
	assert_true(vmx_cr_allowed(0, UINT64_MAX, UINT64_MAX));
	assert_true(vmx_cr_allowed(0, 0, 0));
	assert_false(vmx_cr_allowed(0, 0x7fffffffffffffff, 0x8000000000000000));
	assert_false(vmx_cr_allowed(0x8000000000000000, UINT64_MAX, 0x7fffffffffffffff));
	assert_false(vmx_cr_allowed(0x2000, 0x3767ff, 0x20));
	assert_false(vmx_cr_allowed(0x2000, 0x3767ff, 0x802020));
}

static void cr_that_does_not_fit_is_named(void **state)
{
	struct machine m = good;
	struct vmx_caps c = caps_of(&m);
	struct verdict v = {0};

	(void)state;
	assert_true(vmx_caps_check_cr(&c, 1, 0x80010033, 0x2620, &v));
	assert_int_equal(v.count, 0);
	assert_false(vmx_caps_check_cr(&c, 1, 0x80010013, 0x2620, &v));
	assert_item(&v, "control register", "CPU 1: CR0 = 0x80010013; MSR 486h wants 0x20 set", "");
	v.count = 0;
	assert_false(vmx_caps_check_cr(&c, 63, 0x80010033, 0x402620, &v));
	assert_item(&v, "control register",
		    "CPU 63: CR4 = 0x402620; MSR 488h wants 0x0 set, MSR 489h wants 0x400000 clear",
		    "");
	v.count = 0;
	assert_false(vmx_caps_check_cr(&c, 0, 0x13, 0x20, &v));
	assert_int_equal(v.count, 2);
}

/* The caller's verdict may be full: the answers must not hang on whether an item was taken. */
static void full_verdict_does_not_hide_a_failure(void **state)
{
	struct machine a = good, b = good;
	struct vmx_caps c = caps_of(&a), d;
	struct verdict v = {.count = VERDICT_MAX};

	(void)state;
	machine_flip(&b, MSR_VMX_BASIC, 0);
	d = caps_of(&b);
	assert_false(vmx_caps_compare(&c, &d, 1, &v));
	assert_false(vmx_caps_check_cr(&c, 1, 0x11, 0x20, &v));
	assert_int_equal(v.count, VERDICT_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(feature_bits_are_those_of_the_manual),
		cmocka_unit_test(machine_without_vmx_has_no_feature),
		cmocka_unit_test(equal_cpus_compare_equal),
		cmocka_unit_test(every_bit_of_every_vmx_msr_is_compared),
		cmocka_unit_test(only_the_first_difference_is_named),
		cmocka_unit_test(feature_control_differs_in_lock_and_enable_only),
		cmocka_unit_test(cpu_without_vmx_differs),
		cmocka_unit_test(other_cpuid_bits_are_not_compared),
		cmocka_unit_test(read_fault_on_one_cpu_differs),
		cmocka_unit_test(widest_texts_fit),
		cmocka_unit_test(cr_values_are_held_against_the_fixed_bits),
		cmocka_unit_test(cr_that_does_not_fit_is_named),
		cmocka_unit_test(full_verdict_does_not_hide_a_failure),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
