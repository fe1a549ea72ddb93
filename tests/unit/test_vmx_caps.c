/*
 * What vmx/caps.c reads, unlocks and says to the machine's owner: an invented CPU is changed one
 * bit at a time. needs: vmx/caps.c */
#include "vmx_machine.h"

static struct verdict verdict_of(struct machine *m)
{
	struct cpu_ops ops = ops_of(m);
	struct vmx_caps c = caps_of(m);
	struct verdict v = {0};

	vmx_caps_unlock(&c, &ops);
	vmx_caps_verdict(&c, &v);
	return v;
}

static void good_machine_has_no_verdict(void **state)
{
	struct machine m = good;
	struct verdict v = verdict_of(&m);

	(void)state;
	assert_int_equal(v.count, 0);
	assert_int_equal(m.writes, 0);
}

static void all_64_bits_are_kept(void **state)
{
	struct machine m = good;
	struct vmx_caps c;

	(void)state;
	m.feature_control = 0xfedcba9876543215;
	m.msr[INDEX(MSR_VMX_VMFUNC)] = 0x8000000100000001;
	m.msr[INDEX(MSR_VMX_MISC)] = 0xffffffff00000000;
	c = caps_of(&m);
	assert_string_equal(c.vendor, "GenuineIntel");
	assert_int_equal(c.cpuid1_ecx, 0x7ffefbff);
	assert_int_equal(c.faulted, 0);
	assert_false(c.unlock_faulted);
	assert_true(c.msr[CAP_FEATURE_CONTROL] == 0xfedcba9876543215);
	for (unsigned i = 0; i < VMX_MSRS; i++)
		assert_true(c.msr[CAP_VMX_BASIC + i] == m.msr[i]);
	assert_int_equal(m.reads, VMX_MSRS + 1);
	assert_int_equal(vmx_caps_revision(&c), 4);
	assert_int_equal(vmx_caps_region_size(&c), 1024);
	assert_int_equal(vmx_caps_memory_type(&c), 6);
}

static void revision_excludes_bit_31(void **state)
{
	struct machine m = good;
	struct vmx_caps c;

	(void)state;
	m.msr[0] |= 0xfffffffful;
	c = caps_of(&m);
	assert_int_equal(vmx_caps_revision(&c), 0x7fffffff);
	assert_int_equal(vmx_caps_region_size(&c), 1024);
}

/* Every combination of what the existence of MSRs hangs on; fake_rdmsr fails at any wrong read. */
static void only_existing_msrs_are_read(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 64; i++) {
		struct machine m = good;
		struct cpu_ops ops = ops_of(&m);
		struct verdict v = {0};
		struct vmx_caps c;
		unsigned expected = 0;

		if (i & 1)
			m.ecx1 &= ~0x20u;
		if (i & 2)
			machine_flip(&m, MSR_VMX_PROCBASED_CTLS, 63);
		if (i & 4)
			machine_flip(&m, MSR_VMX_PROCBASED_CTLS2, 33);
		if (i & 8)
			machine_flip(&m, MSR_VMX_PROCBASED_CTLS2, 37);
		if (i & 16)
			machine_flip(&m, MSR_VMX_PROCBASED_CTLS2, 45);
		if (i & 32)
			machine_flip(&m, MSR_VMX_BASIC, 55);
		c = caps_of(&m);
		expected += machine_has_msr(&m, MSR_FEATURE_CONTROL);
		for (uint32_t msr = MSR_FIRST; msr <= MSR_LAST; msr++) {
			bool has = machine_has_msr(&m, msr);

			expected += has;
			assert_true(c.msr[CAP_VMX_BASIC + INDEX(msr)] ==
				    (has ? m.msr[INDEX(msr)] : 0));
		}
		assert_int_equal(m.reads, expected);
		vmx_caps_unlock(&c, &ops);
		vmx_caps_verdict(&c, &v);
		assert_int_equal(m.reads, expected);
		assert_int_equal(m.writes, 0);
	}
}

static void intel_without_vmx_gets_one_item(void **state)
{
	struct machine m = good;
	struct verdict v;

	(void)state;
	m.ecx1 &= ~0x20u;
	m.feature_control = 0;
	memset(m.msr, 0, sizeof(m.msr));
	v = verdict_of(&m);
	assert_item(&v, "No VMX (Intel VT-x)", "CPUID.1:ECX = 0x7ffefbdf: VMX (bit 5) clear",
		    "firmware setup");
	assert_holds(v.item[0].todo, "-cpu host with kvm_intel nested=1");
	assert_int_equal(m.reads + m.writes, 0);
}

static void other_vendor_without_vmx_is_named(void **state)
{
	struct machine m = good;
	struct verdict v;

	(void)state;
	memcpy(m.vendor, "AuthenticAMD", 13);
	m.ecx1 &= ~0x20u;
	v = verdict_of(&m);
	assert_item(&v, "AMD SVM is not supported", "vendor \"AuthenticAMD\"", "Intel CPU");
	assert_holds(v.item[0].saw, "CPUID.1:ECX = 0x7ffefbdf");
	assert_int_equal(m.reads + m.writes, 0);
}

static void other_vendor_with_vmx_is_fine(void **state)
{
	struct machine m = good;

	(void)state;
	memcpy(m.vendor, "CentaurHauls", 13);
	assert_int_equal(verdict_of(&m).count, 0);
}

static void unprintable_vendor_is_made_printable(void **state)
{
	struct machine m = good;
	struct verdict v;

	(void)state;
	memcpy(m.vendor, "a\x1b[2J\n\xff~ \x7f%s", 13);
	m.ecx1 = 0;
	v = verdict_of(&m);
	assert_item(&v, "No VMX", "\"a?[2J??~ ?%s\"", "Intel");
}

static void cpu_without_leaf_1_has_no_vmx(void **state)
{
	struct machine m = good;
	struct verdict v;

	(void)state;
	m.max_leaf = 0;
	v = verdict_of(&m);
	assert_item(&v, "No VMX", "CPUID.1:ECX = 0x0", "firmware setup");
}

static void locked_off_is_said_and_not_written(void **state)
{
	struct machine m = good;
	struct verdict v;

	(void)state;
	m.feature_control = 0x1;
	v = verdict_of(&m);
	assert_item(&v, "VMX is locked off in firmware",
		    "IA32_FEATURE_CONTROL (MSR 3Ah) = 0x1: lock bit 0 set, bit 2 clear",
		    "firmware setup");
	assert_int_equal(m.writes, 0);
}

static void vmx_inside_smx_only_is_locked_off(void **state)
{
	struct machine m = good;
	struct verdict v;

	(void)state;
	m.feature_control = 0xff03;
	v = verdict_of(&m);
	assert_item(&v, "locked off", "= 0xff03", "firmware");
}

static void unlocked_is_enabled_and_locked(void **state)
{
	static const struct {
		uint64_t before, after;
	} t[] = {
		{0x0, 0x5},	  {0x4, 0x5},	      {0x2, 0x7},
		{0xff00, 0xff05}, {0x60000, 0x60005}, {0xfffffffffffffffa, 0xffffffffffffffff},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct machine m = good;
		struct cpu_ops ops = ops_of(&m);
		struct vmx_caps c;
		struct verdict v = {0};

		m.feature_control = t[i].before;
		c = caps_of(&m);
		vmx_caps_unlock(&c, &ops);
		assert_int_equal(m.writes, 1);
		assert_int_equal(m.written_msr, 0x3a);
		assert_true(m.written == t[i].after);
		assert_true(m.read_after_write);
		assert_true(c.msr[CAP_FEATURE_CONTROL] == t[i].after);
		vmx_caps_verdict(&c, &v);
		assert_int_equal(v.count, 0);

		vmx_caps_unlock(&c, &ops);
		assert_int_equal(m.writes, 1);
	}
}

static void faulting_unlock_is_said(void **state)
{
	struct machine m = good;
	struct verdict v;

	(void)state;
	m.feature_control = 0x40000;
	m.wrmsr_faults = true;
	v = verdict_of(&m);
	assert_item(&v, "VMX cannot be enabled",
		    "(MSR 3Ah) = 0x40000: writing bits 0 and 2 faulted", "firmware setup");
	assert_int_equal(m.writes, 1);
}

static void dropped_unlock_is_noticed(void **state)
{
	struct machine m = good;
	struct verdict v;

	(void)state;
	m.feature_control = 0;
	m.wrmsr_dropped = true;
	v = verdict_of(&m);
	assert_item(&v, "VMX cannot be enabled", "(MSR 3Ah) = 0x0: bit 0 clear",
		    "hypervisor below");
}

static void faulting_read_gives_one_item(void **state)
{
	(void)state;
	for (uint32_t msr = MSR_FIRST - 1; msr <= MSR_LAST; msr++) {
		struct machine m = good;
		struct verdict v;
		char number[32];

		m.fault_msr = msr < MSR_FIRST ? MSR_FEATURE_CONTROL : msr;
		m.feature_control = 0;
		v = verdict_of(&m);
		snprintf(number, sizeof(number), "(MSR %Xh) faulted", m.fault_msr);
		assert_item(&v, "does not show its VMX capabilities", number, "hypervisor");
		if (m.fault_msr == MSR_FEATURE_CONTROL)
			assert_int_equal(m.writes, 0);
	}
}

/* The numbers of the manual: control n is bit 32 + n of the MSR. */
static const struct {
	uint32_t msr;
	unsigned bit;
	const char *fact, *saw;
} needed[] = {
	{0x48b, 32 + 1, "No EPT",
	 "IA32_VMX_PROCBASED_CTLS2 (MSR 48Bh) = 0x2fffffd00000000: bit 33"},
	{0x48b, 32 + 7, "No unrestricted guest", "(MSR 48Bh) = 0x2ffff7f00000000: bit 39 clear"},
	{0x48c, 6, "EPT does not walk 4 levels", "(MSR 48Ch) = 0xf0106734101: bit 6 clear"},
	{0x48c, 14, "EPT tables cannot be in write-back", "(MSR 48Ch) = 0xf0106730141: bit 14"},
	{0x48c, 20, "No INVEPT", "IA32_VMX_EPT_VPID_CAP (MSR 48Ch) = 0xf0106634141: bit 20 clear"},
	{0x480, 54, "INS and OUTS", "IA32_VMX_BASIC (MSR 480h) = 0x9a040000000004: bit 54 clear"},
	{0x481, 32 + 0, "external-interrupt exiting", "IA32_VMX_PINBASED_CTLS (MSR 481h)"},
	{0x481, 32 + 3, "NMI exiting", "(MSR 481h) = 0xf700000016: bit 35 clear"},
	{0x481, 32 + 5, "virtual NMIs", "(MSR 481h) = 0xdf00000016: bit 37 clear"},
	{0x482, 32 + 2, "interrupt-window exiting", "IA32_VMX_PROCBASED_CTLS (MSR 482h)"},
	{0x482, 32 + 7, "HLT exiting", "(MSR 482h) = 0xfff9ff7e0401e172: bit 39 clear"},
	{0x482, 32 + 22, "NMI-window exiting", "(MSR 482h) = 0xffb9fffe0401e172: bit 54 clear"},
	{0x482, 32 + 25, "use I/O bitmaps", "(MSR 482h) = 0xfdf9fffe0401e172: bit 57 clear"},
	{0x482, 32 + 28, "use MSR bitmaps", "(MSR 482h) = 0xeff9fffe0401e172: bit 60 clear"},
	{0x482, 32 + 31, "activate secondary controls", "= 0x7ff9fffe0401e172: bit 63 clear"},
	{0x483, 32 + 9, "host address-space size", "IA32_VMX_EXIT_CTLS (MSR 483h)"},
	{0x483, 32 + 15, "acknowledge interrupt on exit", "(MSR 483h) = 0x1ff7fff00036dff: bit 47"},
	{0x483, 32 + 18, "save IA32_PAT", "bit 50 clear"},
	{0x483, 32 + 19, "load IA32_PAT on exit", "bit 51 clear"},
	{0x483, 32 + 20, "save IA32_EFER", "bit 52 clear"},
	{0x483, 32 + 21, "load IA32_EFER on exit", "bit 53 clear"},
	{0x484, 32 + 9, "IA-32e mode guest", "IA32_VMX_ENTRY_CTLS (MSR 484h)"},
	{0x484, 32 + 14, "load IA32_PAT on entry", "(MSR 484h) = 0x3bfff000011ff: bit 46 clear"},
	{0x484, 32 + 15, "load IA32_EFER on entry", "(MSR 484h) = 0x37fff000011ff: bit 47 clear"},
};

static void each_missing_bit_gives_its_own_item(void **state)
{
	(void)state;
	for (unsigned i = 0; i < sizeof(needed) / sizeof(needed[0]); i++) {
		struct machine m = good;
		struct verdict v;

		machine_flip(&m, needed[i].msr, needed[i].bit);
		v = verdict_of(&m);
		assert_item(&v, needed[i].fact, needed[i].saw, "Westmere");
		assert_holds(v.item[0].todo, "-cpu host");
	}
}

/* No bit but those above, and the three fields tested below, may keep a machine from running VMs.
 */
static void no_other_bit_matters(void **state)
{
	(void)state;
	for (uint32_t msr = MSR_FIRST; msr <= MSR_LAST; msr++) {
		for (unsigned bit = 0; bit < 64; bit++) {
			struct machine m = good;
			bool matters = msr == 0x480 && bit >= 32 && bit <= 53 && bit != 45 &&
				       bit != 46 && bit != 47 && bit != 48 && bit != 49;
			unsigned count;

			for (unsigned i = 0; i < sizeof(needed) / sizeof(needed[0]); i++)
				matters |= needed[i].msr == msr && needed[i].bit == bit;
			if (matters)
				continue;
			machine_flip(&m, msr, bit);
			count = verdict_of(&m).count;
			if (count != 0)
				fail_msg("MSR %x bit %u gives %u items", msr, bit, count);
		}
	}
}

static void no_ept_hides_what_follows_from_it(void **state)
{
	struct machine m = good;
	struct verdict v;

	(void)state;
	/* No VPID either, so that IA32_VMX_EPT_VPID_CAP does not exist. */
	m.msr[INDEX(MSR_VMX_PROCBASED_CTLS2)] = 0x0000004100000000;
	v = verdict_of(&m);
	assert_item(&v, "No EPT", "= 0x4100000000: bit 33 clear", "Westmere");
}

static void invept_needs_one_of_two_types(void **state)
{
	struct machine m = good;
	struct verdict v;

	(void)state;
	machine_flip(&m, MSR_VMX_EPT_VPID_CAP, 25);
	assert_int_equal(verdict_of(&m).count, 0);
	machine_flip(&m, MSR_VMX_EPT_VPID_CAP, 26);
	v = verdict_of(&m);
	assert_item(&v, "INVEPT has neither", "(MSR 48Ch) = 0xf0100734141: bits 25 and 26 clear",
		    "Westmere");
	machine_flip(&m, MSR_VMX_EPT_VPID_CAP, 25);
	assert_int_equal(verdict_of(&m).count, 0);

	/* Without INVEPT the types say nothing more; nor without EPT, when VPID keeps the MSR. */
	machine_flip(&m, MSR_VMX_EPT_VPID_CAP, 25);
	machine_flip(&m, MSR_VMX_EPT_VPID_CAP, 20);
	v = verdict_of(&m);
	assert_item(&v, "No INVEPT", "bit 20 clear", "Westmere");
	machine_flip(&m, MSR_VMX_EPT_VPID_CAP, 20);
	machine_flip(&m, MSR_VMX_PROCBASED_CTLS2, 33);
	v = verdict_of(&m);
	assert_item(&v, "No EPT", "bit 33 clear", "Westmere");
}

static void vmcs_size_must_fit_a_page(void **state)
{
	static const struct {
		uint64_t size;
		bool good;
	} t[] = {{0, false}, {1, true}, {4095, true}, {4096, true}, {4097, false}, {8191, false}};

	(void)state;
	for (unsigned i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct machine m = good;
		struct verdict v;
		char saw[40];

		m.msr[0] = (m.msr[0] & ~(0x1fffull << 32)) | t[i].size << 32;
		v = verdict_of(&m);
		snprintf(saw, sizeof(saw), "bits 44:32 say %u bytes", (unsigned)t[i].size);
		if (t[i].good)
			assert_int_equal(v.count, 0);
		else
			assert_item(&v, "1 to 4096 bytes", saw, "report it");
	}
}

static void vmcs_memory_must_be_write_back(void **state)
{
	(void)state;
	for (uint64_t type = 0; type < 16; type++) {
		struct machine m = good;
		struct verdict v;
		char saw[40];

		m.msr[0] = (m.msr[0] & ~(0xfull << 50)) | type << 50;
		v = verdict_of(&m);
		snprintf(saw, sizeof(saw), "bits 53:50 is %u, not 6", (unsigned)type);
		if (type == 6)
			assert_int_equal(v.count, 0);
		else
			assert_item(&v, "write-back memory", saw, "Westmere");
	}
}

static void all_facts_are_told_at_once(void **state)
{
	struct machine m = good;
	struct verdict v;

	(void)state;
	m.feature_control = 1;
	machine_flip(&m, MSR_VMX_PROCBASED_CTLS2, 39);
	machine_flip(&m, MSR_VMX_PROCBASED_CTLS, 60);
	v = verdict_of(&m);
	assert_int_equal(v.count, 3);
	assert_holds(v.item[0].fact, "locked off");
	assert_holds(v.item[1].fact, "unrestricted guest");
	assert_holds(v.item[2].fact, "use MSR bitmaps");
}

/* A CPU that claims VMX and has all MSRs zero must neither overflow the verdict nor touch other
 * MSRs. */
static void all_zero_msrs_are_survived(void **state)
{
	struct machine m = good;

	(void)state;
	memset(m.msr, 0, sizeof(m.msr));
	assert_int_equal(verdict_of(&m).count, VERDICT_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_machine_has_no_verdict),
		cmocka_unit_test(all_64_bits_are_kept),
		cmocka_unit_test(revision_excludes_bit_31),
		cmocka_unit_test(only_existing_msrs_are_read),
		cmocka_unit_test(intel_without_vmx_gets_one_item),
		cmocka_unit_test(other_vendor_without_vmx_is_named),
		cmocka_unit_test(other_vendor_with_vmx_is_fine),
		cmocka_unit_test(unprintable_vendor_is_made_printable),
		cmocka_unit_test(cpu_without_leaf_1_has_no_vmx),
		cmocka_unit_test(locked_off_is_said_and_not_written),
		cmocka_unit_test(vmx_inside_smx_only_is_locked_off),
		cmocka_unit_test(unlocked_is_enabled_and_locked),
		cmocka_unit_test(faulting_unlock_is_said),
		cmocka_unit_test(dropped_unlock_is_noticed),
		cmocka_unit_test(faulting_read_gives_one_item),
		cmocka_unit_test(each_missing_bit_gives_its_own_item),
		cmocka_unit_test(no_other_bit_matters),
		cmocka_unit_test(no_ept_hides_what_follows_from_it),
		cmocka_unit_test(invept_needs_one_of_two_types),
		cmocka_unit_test(vmcs_size_must_fit_a_page),
		cmocka_unit_test(vmcs_memory_must_be_write_back),
		cmocka_unit_test(all_facts_are_told_at_once),
		cmocka_unit_test(all_zero_msrs_are_survived),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
