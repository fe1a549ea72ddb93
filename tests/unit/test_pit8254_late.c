/*
 * The PIT's ticks that come late, or find the last one not yet taken: owed or merged.
 * needs: devices/pit8254.c devices/pit_counter.c
 */
#include "pit_rig.h"

static int setup_coalesce(void **state)
{
	(void)state;
	rig_init(PIT_COALESCE);
	return 0;
}

static int setup_catchup(void **state)
{
	(void)state;
	rig_init(PIT_CATCHUP);
	return 0;
}

/* The bits of a fixed sequence, well mixed. */
static uint32_t rnd(void)
{
	static uint64_t x = 88172645463325252ull;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return (uint32_t)(x >> 16);
}

/* 60 s at 100 Hz, alarms up to 80 ms late, a guest that takes up to 30 ms for a tick. */
static void late_minute(void)
{
	uint64_t until;

	program(0, 2, HZ100);
	while (rig_ns < 59 * S) {
		until = rig_ns + rnd() % (30 * MS);
		if (rig_alarm <= until)
			expire_at(rig_alarm + rnd() % 3 * (rnd() % (40 * MS)));
		else
			rig_ns = until;
		for (unsigned i = 0; i < 3; i++)
			rig_take();
	}
	expire_at(60 * S);
	for (unsigned i = 0; i < 1000; i++)
		rig_take();
}

static void test_catchup_is_exact_however_late(void **state)
{
	const uint64_t periods = (ns_clock(60 * S) - 1) / HZ100;

	(void)state;
	late_minute();
	assert_int_equal(periods, 5999);
	expect_ticks(periods, periods, 0, 0);
	assert_int_equal(rig_taken, periods);
	assert_int_equal(rig_edges, periods);
}

static void test_coalesce_merges_what_is_late(void **state)
{
	struct pit_ticks t;

	(void)state;
	late_minute();
	t = pit_ticks(&pit);
	assert_int_equal(t.due, 5999);
	assert_int_equal(t.owed, 0);
	assert_int_equal(t.raised + t.merged, t.due);
	assert_int_equal(t.raised, rig_taken);
	assert_int_equal(t.raised, rig_edges);
	assert_in_range(t.merged, 500, 5000);
}

static void test_owed_ticks_come_one_by_one(void **state)
{
	(void)state;
	program(0, 2, HZ100);
	expire_at(clock_ns(1 + HZ100 * 4));
	expect_ticks(4, 1, 3, 0);
	assert_int_equal(rig_edges, 1);
	expire_at(clock_ns(1 + HZ100 * 5));
	expect_ticks(5, 1, 4, 0);
	for (unsigned i = 2; i <= 5; i++) {
		rig_take();
		assert_true(rig_irr);
		expect_ticks(5, i, 5 - i, 0);
	}
	rig_take();
	assert_false(rig_irr);
	expect_ticks(5, 5, 0, 0);
	assert_int_equal(rig_taken, 5);
	rig_take();
	assert_int_equal(rig_taken, 5);
}

static void test_coalesced_ticks_leave_the_line_alone(void **state)
{
	(void)state;
	program(0, 2, HZ100);
	expire_at(clock_ns(1 + HZ100));
	for (unsigned i = 2; i < 10; i++)
		expire_at(clock_ns(1 + HZ100 * i));
	assert_int_equal(rig_edges, 1);
	expect_ticks(9, 1, 0, 8);
	rig_take();
	expire_at(clock_ns(1 + HZ100 * 12)); /* three at once */
	expect_ticks(12, 2, 0, 10);
}

static void test_a_guest_with_irq0_masked_is_owed_nothing(void **state)
{
	(void)state;
	rig_masked = true;
	program(0, 2, HZ100);
	for (unsigned i = 1; i <= 500; i++) {
		expire_at(clock_ns(1 + HZ100 * i));
		assert_int_equal(pit_ticks(&pit).owed, 0);
	}
	expect_ticks(500, 1, 0, 499);
	rig_masked = false; /* what the controller has kept: one */
	rig_take();
	rig_take();
	assert_int_equal(rig_taken, 1);
	expire_at(clock_ns(1 + HZ100 * 501));
	rig_take();
	assert_int_equal(rig_taken, 2);
	expect_ticks(501, 2, 0, 499);
}

static void test_masking_later_forgets_what_was_owed(void **state)
{
	(void)state;
	program(0, 2, HZ100);
	expire_at(clock_ns(1 + HZ100 * 7));
	expect_ticks(7, 1, 6, 0);
	rig_masked = true;
	for (unsigned i = 8; i <= 20; i++)
		expire_at(clock_ns(1 + HZ100 * i));
	expect_ticks(20, 1, 0, 19);
}

/* As Linux does it: IRQ0 is masked while its handler runs. Alarms come in the handler, too. */
static void test_masking_in_the_handler_loses_nothing(void **state)
{
	uint64_t periods;

	(void)state;
	program(0, 2, HZ100);
	while (rig_ns < 60 * S) {
		expire_at(rig_ns + rnd() % (15 * MS));
		if (!rig_irr || rnd() % 4 == 0)
			continue;
		rig_take();
		rig_take();
		rig_masked = true;
		if (rnd() % 2)
			expire_at(rig_ns + rnd() % (35 * MS));
		rig_masked = false;
	}
	for (unsigned i = 0; i < 10000; i++)
		rig_take();
	periods = (ns_clock(rig_ns) - 1) / HZ100;
	expect_ticks(periods, periods, 0, 0);
	assert_int_equal(rig_taken, periods);
}

static void test_a_controller_that_lost_the_tick_gets_the_next(void **state)
{
	(void)state;
	program(0, 2, HZ100);
	expire_at(rig_alarm);
	rig_irr = false; /* initialised by the guest */
	expire_at(rig_alarm);
	assert_true(rig_irr);
	rig_take();
	rig_take();
	assert_int_equal(rig_taken, 2);
	expect_ticks(2, 2, 0, 0);
}

static void test_owed_ticks_have_a_limit(void **state)
{
	(void)state;
	program(0, 2, HZ100);
	expire_at(1000 * S);
	assert_int_equal(pit_ticks(&pit).owed, PIT_OWED_SECONDS * PIT_CLOCKS_PER_SEC / HZ100);
	assert_int_equal(pit_ticks(&pit).owed, 999);
	expect_ticks(99998, 1, 999, 99998 - 1000);
	rig_ns += 100 * S;
	expire_at(rig_ns);
	assert_int_equal(pit_ticks(&pit).owed, 999);
}

static void test_reprogramming_forgets_what_is_owed(void **state)
{
	(void)state;
	program(0, 2, HZ100);
	expire_at(clock_ns(1 + HZ100 * 5));
	expect_ticks(5, 1, 4, 0);
	out(0x43, 0x00); /* a latch does not */
	out(0x43, 0xc2);
	program(2, 2, 100);
	expect_ticks(5, 1, 4, 0);
	out(0x43, 0x34);
	expect_ticks(5, 1, 0, 4);
	assert_int_equal(rig_alarm, DEVICE_NEVER);
	rig_take();
	assert_int_equal(rig_taken, 1);
	assert_false(rig_irr);
	/* So does a new count without a control word. */
	out(0x40, HZ100 & 0xff);
	out(0x40, HZ100 >> 8);
	expire_at(rig_ns + 55 * MS);
	expect_ticks(10, 2, 4, 4);
	out(0x40, 0);
	out(0x40, 0);
	expect_ticks(10, 2, 0, 8);
}

/* The guest masks IRQ0 now and then for other reasons, and takes no tick meanwhile. */
static void test_masking_now_and_then_loses_nothing(void **state)
{
	(void)state;
	program(0, 2, HZ100);
	rig_masked = true;
	expire_at(clock_ns(1 + HZ100)); /* raised */
	rig_masked = false;
	expire_at(clock_ns(1 + HZ100 * 2));
	expect_ticks(2, 1, 1, 0);
	rig_masked = true;
	expire_at(clock_ns(1 + HZ100 * 3));
	expect_ticks(3, 1, 2, 0);
	rig_masked = false;
	expire_at(clock_ns(1 + HZ100 * 4));
	expect_ticks(4, 1, 3, 0);
	/* So it is after a tick that was owed. */
	rig_masked = true;
	expire_at(clock_ns(1 + HZ100 * 5));
	rig_masked = false;
	rig_take();
	rig_masked = true;
	expire_at(clock_ns(1 + HZ100 * 6));
	expect_ticks(6, 2, 4, 0);
	rig_masked = false;
	for (unsigned i = 0; i < 10; i++)
		rig_take();
	assert_int_equal(rig_taken, 6);
}

static void test_an_owed_tick_raises_the_line_that_mode_0_lowered(void **state)
{
	(void)state;
	program(0, 2, HZ100);
	expire_at(rig_alarm);
	program(0, 0, 100);
	assert_false(rig_line);
	expire_at(rig_alarm);
	assert_true(rig_line);
	expect_ticks(2, 1, 1, 0);
}

static void test_writing_a_count_does_not_withdraw_a_tick(void **state)
{
	(void)state;
	program(0, 3, 1000);
	expire_at(rig_alarm);
	rig_ns = clock_ns(1001 + 600); /* OUT is low */
	out(0x40, 0);
	out(0x40, 2);
	assert_true(rig_line);
	assert_int_equal(rig_edges, 1);
}

#define coalesce(name) cmocka_unit_test_setup(name, setup_coalesce)
#define catchup(name)  cmocka_unit_test_setup(name, setup_catchup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		catchup(test_catchup_is_exact_however_late),
		coalesce(test_coalesce_merges_what_is_late),
		catchup(test_owed_ticks_come_one_by_one),
		coalesce(test_coalesced_ticks_leave_the_line_alone),
		catchup(test_a_guest_with_irq0_masked_is_owed_nothing),
		catchup(test_masking_later_forgets_what_was_owed),
		catchup(test_masking_in_the_handler_loses_nothing),
		catchup(test_a_controller_that_lost_the_tick_gets_the_next),
		catchup(test_owed_ticks_have_a_limit),
		catchup(test_reprogramming_forgets_what_is_owed),
		catchup(test_masking_now_and_then_loses_nothing),
		catchup(test_an_owed_tick_raises_the_line_that_mode_0_lowered),
		coalesce(test_writing_a_count_does_not_withdraw_a_tick),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
