/*
 * vmx/controls.c: which controls are chosen on an invented CPU, changed one bit at a time.
 * needs: vmx/controls.c vmx/caps.c
 */
#include "vmx_machine.h"
#include "../../vmx/controls.h"

/* Where a word's capabilities are, with and without the TRUE MSRs. */
static const struct {
	uint32_t plain, with_true;
} msr_of[CTL_WORD_COUNT] = {
	[CTL_PIN] = {0x481, 0x48d},  [CTL_PROC] = {0x482, 0x48e},  [CTL_PROC2] = {0x48b, 0x48b},
	[CTL_EXIT] = {0x483, 0x48f}, [CTL_ENTRY] = {0x484, 0x490},
};

struct bit {
	enum ctl_word word;
	unsigned bit;
	const char *name;
};

/* Written out from the manual and the design, not from the table under test. */
static const struct bit required[] = {
	{CTL_PROC, 23, "MOV-DR exiting"},
	{CTL_PIN, 0, "external-interrupt exiting"},
	{CTL_PIN, 3, "NMI exiting"},
	{CTL_PIN, 5, "virtual NMIs"},
	{CTL_PROC, 7, "HLT exiting"},
	{CTL_PROC, 10, "MWAIT exiting"},
	{CTL_PROC, 11, "RDPMC exiting"},
	{CTL_PROC, 19, "CR8-load exiting"},
	{CTL_PROC, 20, "CR8-store exiting"},
	{CTL_PROC, 25, "use I/O bitmaps"},
	{CTL_PROC, 28, "use MSR bitmaps"},
	{CTL_PROC, 29, "MONITOR exiting"},
	{CTL_PROC, 31, "activate secondary controls"},
	{CTL_PROC2, 1, "enable EPT"},
	{CTL_PROC2, 7, "unrestricted guest"},
	{CTL_EXIT, 2, "save debug controls"},
	{CTL_EXIT, 9, "host address-space size"},
	{CTL_EXIT, 18, "save IA32_PAT"},
	{CTL_EXIT, 19, "load IA32_PAT"},
	{CTL_EXIT, 20, "save IA32_EFER"},
	{CTL_EXIT, 21, "load IA32_EFER"},
	{CTL_ENTRY, 2, "load debug controls"},
	{CTL_ENTRY, 14, "load IA32_PAT"},
	{CTL_ENTRY, 15, "load IA32_EFER"},
};
static const struct bit wanted[] = {
	{CTL_PIN, 6, "VMX-preemption timer"}, {CTL_PROC, 3, "use TSC offsetting"},
	{CTL_PROC2, 3, "enable RDTSCP"},      {CTL_PROC2, 5, "enable VPID"},
	{CTL_PROC2, 6, "WBINVD exiting"},
};
static const struct bit never[] = {
	{CTL_PROC, 21, "use TPR shadow"},
	{CTL_PROC, 27, "monitor trap flag"},
	{CTL_PROC2, 20, "enable XSAVES/XRSTORS"},
};
/* The one that is cleared later, too. */
static const struct bit not_forced[] = {
	{CTL_PROC, 21, "use TPR shadow"},
	{CTL_PROC, 23, "MOV-DR exiting"},
	{CTL_PROC, 27, "monitor trap flag"},
	{CTL_PROC2, 20, "enable XSAVES/XRSTORS"},
};
/* Left alone at first, and harmless where the CPU insists. */
static const struct bit zero[] = {
	{CTL_PROC, 2, "interrupt-window exiting"},
	{CTL_PROC, 9, "INVLPG exiting"},
	{CTL_PROC, 12, "RDTSC exiting"},
	{CTL_PROC, 15, "CR3-load exiting"},
	{CTL_PROC, 16, "CR3-store exiting"},
	{CTL_PROC, 22, "NMI-window exiting"},
	{CTL_PROC, 24, "unconditional I/O exiting"},
	{CTL_PROC, 30, "PAUSE exiting"},
	{CTL_PROC2, 2, "descriptor-table exiting"},
	{CTL_PROC2, 12, "enable INVPCID"},
	{CTL_EXIT, 15, "acknowledge interrupt on exit"},
	{CTL_ENTRY, 9, "IA-32e mode guest"},
};

static uint64_t *word_msr(struct machine *m, enum ctl_word word, bool with_true)
{
	return machine_msr(m, with_true ? msr_of[word].with_true : msr_of[word].plain);
}

/* A CPU from before the TRUE MSRs. */
static struct machine old_machine(void)
{
	struct machine m = good;

	machine_flip(&m, MSR_VMX_BASIC, 55);
	return m;
}

static bool choose(struct machine *m, struct vmx_controls *out, struct vmx_control_refusal *refusal)
{
	struct vmx_caps caps = caps_of(m);

	memset(out, 0xa5, sizeof(*out));
	memset(refusal, 0, sizeof(*refusal));
	return vmx_controls_choose(&caps, out, refusal);
}

/* Every word obeys the CPU: allowed-0 bits are set, no bit is set that may not be. */
static struct vmx_controls chosen(struct machine *m)
{
	bool with_true = machine_bit(m, MSR_VMX_BASIC, 55);
	struct vmx_control_refusal refusal;
	struct vmx_controls c;

	if (!choose(m, &c, &refusal))
		fail_msg("refused for \"%s\"", refusal.name);
	for (unsigned w = 0; w < CTL_WORD_COUNT; w++) {
		uint64_t caps = *word_msr(m, w, with_true);

		assert_int_equal(c.word[w] & (uint32_t)caps, (uint32_t)caps);
		assert_int_equal(c.word[w] & ~(uint32_t)(caps >> 32), 0);
	}
	return c;
}

static bool is_set(const struct vmx_controls *c, struct bit b)
{
	return c->word[b.word] >> b.bit & 1;
}

static void test_the_good_machine(void **state)
{
	struct machine machines[] = {good, old_machine()};

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct vmx_controls c = chosen(&machines[i]);

		for (unsigned b = 0; b < array_count(required); b++)
			assert_true(is_set(&c, required[b]));
		for (unsigned b = 0; b < array_count(wanted); b++)
			assert_true(is_set(&c, wanted[b]));
		for (unsigned b = 0; b < array_count(never); b++)
			assert_false(is_set(&c, never[b]));
	}
}

/* Nothing is set that nobody asked for and the CPU does not force. */
static void test_nothing_else_is_set(void **state)
{
	struct machine m = good;
	struct vmx_controls c = chosen(&m);
	uint32_t expected[CTL_WORD_COUNT];

	(void)state;
	for (unsigned w = 0; w < CTL_WORD_COUNT; w++)
		expected[w] = (uint32_t)*word_msr(&m, w, true);
	for (unsigned b = 0; b < array_count(required); b++)
		expected[required[b].word] |= 1u << required[b].bit;
	for (unsigned b = 0; b < array_count(wanted); b++)
		expected[wanted[b].word] |= 1u << wanted[b].bit;
	assert_memory_equal(c.word, expected, sizeof(expected));
}

/* CR3 exits are forced by the old MSRs and not by the TRUE ones. */
static void test_the_true_msrs_count_where_they_are(void **state)
{
	struct machine with = good, without = old_machine(), other = good;

	(void)state;
	assert_int_equal(chosen(&with).word[CTL_PROC] >> 15 & 3, 0);
	assert_int_equal(chosen(&without).word[CTL_PROC] >> 15 & 3, 3);
	/* Each ignores the other's. Only the secondary controls have one MSR. */
	for (unsigned w = 0; w < CTL_WORD_COUNT; w++) {
		if (w == CTL_PROC2)
			continue;
		with = good;
		*word_msr(&with, w, false) |= 0xffffffff; /* would be refused or set bits */
		if (w == CTL_PROC)
			*word_msr(&with, w, false) |= 1ul << 63;
		assert_int_equal(chosen(&with).word[w], chosen(&other).word[w]);
		without = old_machine();
		*word_msr(&without, w, true) = 0;
		chosen(&without);
	}
}

static void test_each_required_control(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2 * array_count(required); i++) {
		struct bit b = required[i / 2];
		struct machine m = i & 1 ? old_machine() : good;
		struct vmx_control_refusal refusal;
		struct vmx_controls c;

		*word_msr(&m, b.word, !(i & 1)) &= ~(1ul << (32 + b.bit));
		*word_msr(&m, b.word, !(i & 1)) &= ~(1ul << b.bit);
		assert_false(choose(&m, &c, &refusal));
		assert_string_equal(refusal.name, b.name);
		assert_false(refusal.must_be_one);
		assert_true(refusal.why && refusal.why[0]);
	}
}

static void test_each_wanted_control_may_be_absent(void **state)
{
	struct machine whole = good;
	struct vmx_controls all = chosen(&whole);

	(void)state;
	for (unsigned i = 0; i < array_count(wanted); i++) {
		struct bit b = wanted[i];
		struct machine m = good;
		struct vmx_controls c;

		*word_msr(&m, b.word, true) &= ~(1ul << (32 + b.bit));
		c = chosen(&m);
		assert_false(is_set(&c, b));
		c.word[b.word] |= 1u << b.bit; /* and that is all that changes */
		assert_memory_equal(c.word, all.word, sizeof(c.word));
	}
}

static void test_what_has_no_code_is_refused_if_forced(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2 * array_count(not_forced); i++) {
		struct bit b = not_forced[i / 2];
		struct machine m = i & 1 ? old_machine() : good;
		struct vmx_control_refusal refusal;
		struct vmx_controls c;

		*word_msr(&m, b.word, !(i & 1)) |= 1ul << b.bit | 1ul << (32 + b.bit);
		assert_false(choose(&m, &c, &refusal));
		assert_string_equal(refusal.name, b.name);
		assert_true(refusal.must_be_one);
		assert_true(refusal.why && refusal.why[0]);
	}
}

static void test_harmless_forced_bits_are_obeyed(void **state)
{
	(void)state;
	for (unsigned i = 0; i < array_count(zero); i++) {
		struct machine m = good;
		struct vmx_controls c = chosen(&m);
		const struct bit b = zero[i];

		assert_false(is_set(&c, b));
		*word_msr(&m, b.word, true) |= 1ul << b.bit | 1ul << (32 + b.bit);
		c = chosen(&m);
		assert_true(is_set(&c, b));
		/* One that cannot be set later is no reason to refuse now. */
		m = good;
		*word_msr(&m, b.word, true) &= ~(1ul << b.bit | 1ul << (32 + b.bit));
		chosen(&m);
	}
}

/* Bits that the table does not know are set if and only if they are forced. */
static void test_unknown_bits_follow_the_cpu(void **state)
{
	static const struct bit *const lists[] = {required, wanted, never, zero};
	static const unsigned counts[] = {array_count(required), array_count(wanted),
					  array_count(never), array_count(zero)};
	uint32_t known[CTL_WORD_COUNT] = {0};

	(void)state;
	for (unsigned l = 0; l < array_count(lists); l++)
		for (unsigned i = 0; i < counts[l]; i++)
			known[lists[l][i].word] |= 1u << lists[l][i].bit;
	for (unsigned w = 0; w < CTL_WORD_COUNT; w++)
		for (unsigned bit = 0; bit < 32; bit++) {
			const struct bit b = {w, bit, NULL};
			struct machine m = good;
			struct vmx_controls c;

			if (known[w] >> bit & 1)
				continue;
			*word_msr(&m, w, true) &= ~(1ul << bit);
			*word_msr(&m, w, true) |= 1ul << (32 + bit);
			c = chosen(&m);
			assert_false(is_set(&c, b));
			*word_msr(&m, w, true) |= 1ul << bit;
			c = chosen(&m);
			assert_true(is_set(&c, b));
		}
}

static void test_the_first_of_several_refusals_is_told(void **state)
{
	struct vmx_control_refusal refusal;
	struct vmx_controls c;
	struct machine m = good;

	(void)state;
	*word_msr(&m, CTL_ENTRY, true) &= 0xffffffff;
	*word_msr(&m, CTL_PROC, true) &= ~(1ul << (32 + 7));
	assert_false(choose(&m, &c, &refusal));
	assert_string_equal(refusal.name, "HLT exiting");
	*word_msr(&m, CTL_PIN, true) &= 0xffffffff;
	assert_false(choose(&m, &c, &refusal));
	assert_string_equal(refusal.name, "external-interrupt exiting");
}

/* Without secondary controls their MSR does not exist and reads as 0 here. */
static void test_a_cpu_without_secondary_controls(void **state)
{
	struct vmx_control_refusal refusal;
	struct vmx_controls c;
	struct machine m = good;

	(void)state;
	machine_flip(&m, MSR_VMX_PROCBASED_CTLS, 63);
	machine_flip(&m, MSR_VMX_TRUE_PROCBASED_CTLS, 63);
	assert_false(choose(&m, &c, &refusal));
	assert_string_equal(refusal.name, "activate secondary controls");
}

static void test_may_and_must(void **state)
{
	struct machine m = good;
	struct vmx_caps caps = caps_of(&m);

	(void)state;
	assert_true(vmx_control_may(&caps, CTL_PIN, PIN_NMI | PIN_VIRTUAL_NMIS));
	assert_true(vmx_control_must(&caps, CTL_PIN, 1u << 1));
	assert_false(vmx_control_must(&caps, CTL_PIN, PIN_NMI));
	assert_true(vmx_control_must(&caps, CTL_PIN, PIN_NMI | 1u << 1)); /* any of them */
	assert_true(vmx_control_may(&caps, CTL_PROC, PROC_SECONDARY_CTLS));
	assert_false(vmx_control_may(&caps, CTL_PIN, 1u << 8));
	assert_false(vmx_control_may(&caps, CTL_PIN, PIN_NMI | 1u << 8)); /* all of them */
	assert_false(vmx_control_must(&caps, CTL_PROC, PROC_CR3_LOAD));
	m = old_machine();
	caps = caps_of(&m);
	assert_true(vmx_control_must(&caps, CTL_PROC, PROC_CR3_LOAD));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_good_machine),
		cmocka_unit_test(test_nothing_else_is_set),
		cmocka_unit_test(test_the_true_msrs_count_where_they_are),
		cmocka_unit_test(test_each_required_control),
		cmocka_unit_test(test_each_wanted_control_may_be_absent),
		cmocka_unit_test(test_what_has_no_code_is_refused_if_forced),
		cmocka_unit_test(test_harmless_forced_bits_are_obeyed),
		cmocka_unit_test(test_unknown_bits_follow_the_cpu),
		cmocka_unit_test(test_the_first_of_several_refusals_is_told),
		cmocka_unit_test(test_a_cpu_without_secondary_controls),
		cmocka_unit_test(test_may_and_must),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
