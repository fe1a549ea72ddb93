/*
 * The run loop against a hostile guest: 100,000 random exits of random contents. Nothing crashes,
 * nothing leaves the guest's memory, and the invariants of hostile.c hold; with quick exits just as
 * without, to the last bit.
 * needs: core/run.c core/exits.c core/exits_cpu.c core/exits_cr.c core/exits_mem.c core/quick.c
 * needs: core/inject.c core/io_bus.c core/cpuid_policy.c core/msr_policy.c core/emulate.c
 * needs: core/emu_alu.c core/emu_fetch.c core/emu_mem.c core/emu_string.c core/decode.c
 * needs: core/gwalk.c core/string_io.c core/exit_stats.c core/trace.c mm/gmem.c devices/debug.c
 * needs: devices/testdev.c lib/printf.c tests/fake/backend.c tests/fake/backend_nested.c
 * needs: tests/fake/panic.c tests/fake/spinlock.c tests/fake/host_cpu.c tests/fake/run_machine.c
 * needs: tests/fake/hostile.c
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>
#include "hostile.h"
#include "ram.h"

#define EXITS	 100000u
#define LIFETIME 60u /* steps of one VM at most */

static uint64_t seed_take(void *ctx, unsigned bytes)
{
	return fake_random(ctx) >> (64 - 8 * bytes);
}

/* One VM's life; its digest. */
static uint64_t life(uint64_t seed, const struct vcpu_quick *quick, unsigned steps,
		     unsigned *stopped, uint64_t *quick_count)
{
	uint64_t state = seed * 0x9e3779b97f4a7c15 + 1;
	const struct hostile_source s = {seed_take, &state};
	struct run_vm *m = hostile_begin(&s, quick);

	while (steps-- && hostile_step(&s, m))
		;
	*stopped += m->stops;
	*quick_count += m->quick_count;
	return hostile_digest(m);
}

static const struct vcpu_quick *const quicks[3] = {NULL, &vcpu_quick, &vcpu_quick_traced};

static void test_a_hundred_thousand_exits(void **state)
{
	unsigned lives = 0, stopped = 0;
	uint64_t quick = 0;

	(void)state;
	for (hostile_exit_count = 0; hostile_exit_count < EXITS; lives++)
		life(lives, quicks[lives % 3], LIFETIME, &stopped, &quick);
	printf("%lu exits, %lu of them quick, in %u VMs, of which %u were stopped\n",
	       hostile_exit_count, quick, lives, stopped);
	/* It must have been a test of something. */
	assert_true(quick > EXITS / 20 && lives - stopped > 3 && stopped > 10);
}

static void test_quick_exits_do_what_the_others_do(void **state)
{
	unsigned stopped = 0;
	uint64_t none = 0, quick = 0;

	(void)state;
	for (uint64_t seed = 1000; seed < 1200; seed++) {
		uint64_t slowly = life(seed, NULL, LIFETIME, &stopped, &none);
		uint64_t quickly = life(seed, quicks[1 + seed % 2], LIFETIME, &stopped, &quick);

		if (slowly != quickly)
			fail_msg("seed %lu: what the guest sees differs", seed);
	}
	assert_true(none == 0 && quick > 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_hundred_thousand_exits),
		cmocka_unit_test(test_quick_exits_do_what_the_others_do),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
