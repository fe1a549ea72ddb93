/*
 * The short ways of the CPUID and MSR policies, which quick exits take, say what the long ones do.
 * needs: core/msr_policy.c core/cpuid_policy.c
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <crvm/msr_policy.h>

static uint64_t reg[REG_COUNT];
static struct vcpu vcpu;
static struct cpuid_policy policy;
static unsigned bits; /* what the host has: each leaf's registers */

static uint64_t get_reg(struct vcpu *v, enum vcpu_reg r)
{
	(void)v;
	return reg[r];
}

static void set_reg(struct vcpu *v, enum vcpu_reg r, uint64_t value)
{
	(void)v;
	reg[r] = value;
}

static void get_segment(struct vcpu *v, enum vcpu_segreg seg, struct vcpu_segment *s)
{
	(void)v;
	(void)seg;
	*s = (struct vcpu_segment){0};
}

static void set_segment(struct vcpu *v, enum vcpu_segreg seg, const struct vcpu_segment *s)
{
	(void)v;
	(void)seg;
	(void)s;
}

static uint64_t host_tsc(void)
{
	return 1000;
}

static const struct msr_ops msr_ops = {get_reg, set_reg, get_segment, set_segment, host_tsc, NULL};

static struct cpuid_regs host_cpuid(void *ctx, uint32_t leaf, uint32_t subleaf)
{
	(void)ctx;
	(void)subleaf;
	if (leaf == 0)
		return (struct cpuid_regs){0x20, 1, 2, 3};
	if (leaf == 0x80000000)
		return (struct cpuid_regs){0x80000008, 0, 0, 0};
	return (struct cpuid_regs){bits, bits, bits, bits};
}

static void build(struct msr_ctx *c, unsigned host_bits, bool apic)
{
	static const struct cpu_ops ops = {.cpuid = host_cpuid};
	const struct cpuid_config config = {.tsc_khz = 1000, .apic = apic, .xcr0 = 3};

	bits = host_bits;
	cpuid_policy_build(&policy, &config, &ops);
	msr_policy_init(c, &msr_ops, &vcpu, &policy);
}

static const uint32_t msr_starts[] = {0, 0x40000000, 0xbfffffff, 0xc0000000, 0xffffff00};

static void check_reads(unsigned host_bits, bool apic, unsigned *found)
{
	struct msr_ctx c;

	build(&c, host_bits, apic);
	for (unsigned i = 0; i < array_count(msr_starts); i++) {
		for (uint32_t n = 0; n < 0x2000 && msr_starts[i] + n >= msr_starts[i]; n++) {
			const uint64_t *stored = msr_policy_stored(&c, msr_starts[i] + n);
			uint64_t value = 0;

			if (!stored)
				continue;
			assert_int_equal(msr_policy_read(&c, msr_starts[i] + n, &value), OK);
			assert_int_equal(*stored, value);
			++*found;
		}
	}
}

static void test_stored_msrs_read_as_the_policy_says(void **state)
{
	unsigned found = 0;

	(void)state;
	for (unsigned i = 0; i < 4; i++)
		check_reads(i & 1 ? ~0u : 0, i & 2, &found);
	assert_int_equal(found, 4 * 6);
}

/* One write both ways: what the short way does, the long one does too. */
static bool check_write(struct msr_ctx *c, uint32_t msr, uint64_t value)
{
	struct msr_ctx before = *c, quick = *c, full = *c;
	bool done = msr_policy_store(&quick, msr, value);

	if (!done) {
		assert_memory_equal(&quick, &before, sizeof(quick));
		return false;
	}
	assert_int_equal(msr_policy_write(&full, msr, value), OK);
	assert_memory_equal(&quick, &full, sizeof(quick));
	*c = full;
	return true;
}

static void test_stored_msrs_are_written_as_the_policy_says(void **state)
{
	struct msr_ctx c;

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		build(&c, i & 1 ? ~0u : 0, i & 2);
		for (uint32_t msr = 0; msr < 0x2000; msr++) {
			uint64_t value = 0;

			(void)!msr_policy_read(&c, msr, &value);
			check_write(&c, msr, value);
			for (unsigned bit = 0; bit < 64; bit++)
				check_write(&c, msr, value ^ 1ull << bit);
		}
		for (uint32_t msr = 0xc0000000; msr < 0xc0002000; msr++)
			assert_false(check_write(&c, msr, 0));
	}
}

static void test_fast_strings_can_be_switched_the_short_way(void **state)
{
	struct msr_ctx c;
	uint64_t value;

	(void)state;
	build(&c, ~0u, true);
	assert_int_equal(msr_policy_read(&c, 0x1a0, &value), OK);
	assert_true(check_write(&c, 0x1a0, value ^ 1));
	assert_int_equal(*msr_policy_stored(&c, 0x1a0), value ^ 1);
	assert_false(check_write(&c, 0x1a0, value ^ 1ull << 18));
	assert_false(msr_policy_store(&c, 0x17, 0));
	assert_false(msr_policy_store(&c, 0xfe, 0));
}

static void test_plain_leaves_are_what_cpuid_says(void **state)
{
	struct msr_ctx c;
	unsigned plain = 0;

	(void)state;
	build(&c, ~0u, true);
	for (uint64_t leaf = 0; leaf <= UINT32_MAX; leaf += leaf < 0x1000 ? 1 : 0xfff) {
		const struct cpuid_regs *r = cpuid_policy_plain(&policy, (uint32_t)leaf);

		for (unsigned i = 0; r && i < 64; i++) {
			struct cpuid_regs want;

			/* Whatever the sub-leaf, CR4 and XCR0 are. */
			cpuid_policy_get(&policy, (uint32_t)leaf, i, ~0ull << i, i, &want);
			assert_memory_equal(r, &want, sizeof(want));
		}
		plain += r != NULL;
	}
	assert_in_range(plain, 5, 0x16);
	assert_null(cpuid_policy_plain(&policy, 1));
	assert_null(cpuid_policy_plain(&policy, 7));
	assert_null(cpuid_policy_plain(&policy, policy.max_basic + 1));
	assert_null(cpuid_policy_plain(&policy, 33)); /* not as 1 */
	assert_null(cpuid_policy_plain(&policy, 0x80000000));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stored_msrs_read_as_the_policy_says),
		cmocka_unit_test(test_stored_msrs_are_written_as_the_policy_says),
		cmocka_unit_test(test_fast_strings_can_be_switched_the_short_way),
		cmocka_unit_test(test_plain_leaves_are_what_cpuid_says),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
