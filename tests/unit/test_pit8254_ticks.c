/*
 * The PIT's ticks: when the alarm is, and what counter 0's modes and counts make of it.
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

static void test_the_alarm_is_the_next_edge(void **state)
{
	(void)state;
	assert_int_equal(rig_alarm, DEVICE_NEVER);
	rig_ns = clock_ns(1000);
	out(0x43, 0x34);
	out(0x40, 0x10);
	assert_int_equal(rig_alarm, DEVICE_NEVER);
	out(0x40, 0x27); /* 10000 */
	assert_int_equal(rig_alarm, clock_ns(1001 + 10000));
	assert_int_equal(rig_alarms_set, 1);
	expire_at(rig_alarm);
	assert_int_equal(rig_edges, 1);
	assert_true(rig_line);
	assert_int_equal(rig_alarm, clock_ns(1001 + 20000));
	rig_take();
	expire_at(rig_alarm);
	assert_int_equal(rig_edges, 2);
	assert_true(rig_line);
	expect_ticks(2, 2, 0, 0);
	assert_int_equal(rig_alarms_set, 3);
}

static void test_an_alarm_a_nanosecond_early_is_no_tick(void **state)
{
	(void)state;
	program(0, 2, 10000);
	for (unsigned i = 1; i < 200; i++) {
		const uint64_t edge = clock_ns(1 + 10000 * i);

		expire_at(edge - 1);
		assert_int_equal(rig_edges, i - 1);
		assert_int_equal(rig_alarm, edge);
		expire_at(edge);
		rig_take();
		assert_int_equal(rig_edges, i);
	}
}

static void test_no_drift_over_years(void **state)
{
	static const uint64_t times[] = {3600 * S, 86400 * S, 7 * 86400 * S, 3650 * 86400 * S};

	(void)state;
	program(0, 2, HZ100);
	for (unsigned i = 0; i < 4; i++) {
		const uint64_t periods = (ns_clock(times[i]) - 1) / HZ100;

		expire_at(times[i]);
		assert_int_equal(pit_ticks(&pit).due, periods);
		assert_int_equal(rig_alarm, clock_ns(1 + (periods + 1) * HZ100));
	}
}

static void test_both_periodic_modes_tick_at_the_same_rate(void **state)
{
	(void)state;
	for (unsigned mode = 2; mode <= 3; mode++) {
		rig_init(PIT_COALESCE);
		program(0, mode, HZ100 + 1);
		rig_run(10 * S);
		assert_int_equal(rig_taken, 999);
		assert_int_equal(rig_edges, 999);
		assert_int_equal(rig_alarms_set, 1000);
		expect_ticks(999, 999, 0, 0);
	}
}

static void test_short_periods_do_not_storm(void **state)
{
	(void)state;
	for (unsigned count = 1; count <= PIT_ALARM_CLOCKS; count++) {
		const unsigned period = count == 1 ? 2 : count;
		uint64_t alarms = 0;

		rig_init(PIT_COALESCE);
		program(0, 2 + count % 2, (uint16_t)count);
		while (rig_alarm <= 100 * MS) {
			assert_true(rig_alarm > rig_ns);
			expire_at(rig_alarm);
			rig_take();
			alarms++;
		}
		expire_at(100 * MS);
		assert_in_range(alarms, 990, 1001);
		assert_int_equal(pit_ticks(&pit).due, (ns_clock(100 * MS) - 1) / period);
		assert_in_range(pit_ticks(&pit).raised, 990, 1001);
	}
}

static void test_short_periods_read_all_the_time_set_no_alarms(void **state)
{
	(void)state;
	program(0, 2, 2);
	rig_alarms_set = 0;
	for (unsigned i = 0; i < 110; i++) {
		rig_ns = clock_ns(5 + i);
		latched(0);
		rig_take();
	}
	assert_true(rig_alarms_set <= 1);
	assert_int_equal(rig_alarm, clock_ns(PIT_ALARM_CLOCKS));
	assert_int_equal(pit_ticks(&pit).due, (4 + 109) / 2);
}

static void test_programming_short_periods_again_and_again_does_not_storm(void **state)
{
	uint64_t alarms = 0;

	(void)state;
	for (uint64_t ns = 0; ns < 10 * MS; ns += 3000) {
		rig_ns = ns > rig_ns ? ns : rig_ns;
		program(0, 2, 2);
		while (rig_alarm < ns + 3000) {
			expire_at(rig_alarm);
			alarms++;
		}
	}
	assert_in_range(alarms, 1, 101);
	/* Reset may come with a new clock. */
	rig_ns = 0;
	pit.dev.reset(&pit.dev);
	program(0, 2, 2);
	assert_int_equal(rig_alarm, clock_ns(PIT_ALARM_CLOCKS));
}

/* A guest that programs each tick by itself. `extra`: clocks that a strobe lasts. */
static void one_shot(unsigned mode, unsigned extra)
{
	program(0, mode, 5000);
	assert_int_equal(rig_alarm, clock_ns(5001 + extra));
	rig_run(clock_ns(6000));
	assert_int_equal(rig_taken, 1);
	for (unsigned i = 1; i < 50; i++) {
		const uint64_t now = 20000ull * i;

		rig_ns = clock_ns(now);
		rig_alarms_set = 0;
		out(0x40, 0xe8);
		out(0x40, 0x03); /* 1000 */
		assert_int_equal(rig_alarm, clock_ns(now + 1001 + extra));
		assert_int_equal(rig_alarms_set, 1);
		rig_run(rig_alarm - 1);
		assert_int_equal(rig_taken, i);
		rig_run(rig_ns + 1);
		assert_true(rig_line);
		assert_int_equal(rig_taken, i + 1);
		assert_int_equal(rig_alarm, DEVICE_NEVER);
		expire_at(clock_ns(now + 19000));
		expect_ticks(i + 1, i + 1, 0, 0);
	}
	/* Written again before its end, it has not ended. */
	out(0x40, 0xe8);
	out(0x40, 0x03);
	rig_run(rig_alarm - clock_ns(3));
	out(0x40, 0xe8);
	out(0x40, 0x03);
	rig_run(rig_ns + clock_ns(900));
	assert_int_equal(rig_taken, 50);
}

static void test_one_shots(void **state)
{
	(void)state;
	one_shot(0, 0);
}

static void test_strobes(void **state)
{
	(void)state;
	one_shot(4, 1);
}

static void test_modes_by_the_gate_never_tick(void **state)
{
	(void)state;
	program(0, 1, 100);
	assert_int_equal(rig_alarm, DEVICE_NEVER);
	program(0, 5, 100);
	assert_int_equal(rig_alarm, DEVICE_NEVER);
	expire_at(S);
	expect_ticks(0, 0, 0, 0);
}

static void test_the_line_follows_mode_0(void **state)
{
	(void)state;
	program(0, 2, 1000);
	rig_run(clock_ns(1001));
	assert_true(rig_line);
	out(0x43, 0x30);
	assert_false(rig_line);
	out(0x40, 100);
	out(0x40, 0);
	assert_false(rig_line);
	/* Leaving mode 0 while OUT is low is a rising edge. */
	out(0x43, 0x34);
	assert_true(rig_line);
	expect_ticks(2, 2, 0, 0);
	/* A tick that merges with one not yet taken raises the line too. */
	program(0, 0, 10);
	assert_false(rig_line);
	expire_at(clock_ns(1100));
	assert_true(rig_line);
	expect_ticks(3, 2, 0, 1);
	rig_take();
	/* After its end there is no edge, and its first byte lowers OUT. */
	out(0x40, 10);
	assert_false(rig_line);
	out(0x40, 0);
	rig_run(clock_ns(1200));
	expect_ticks(4, 3, 0, 1);
	out(0x43, 0x34);
	expect_ticks(4, 3, 0, 1);
	assert_true(rig_line);
}

static void test_stopping_stops_the_alarm(void **state)
{
	(void)state;
	program(0, 2, 1000);
	assert_int_not_equal(rig_alarm, DEVICE_NEVER);
	out(0x43, 0x34);
	assert_int_equal(rig_alarm, DEVICE_NEVER);
	expire_at(S);
	expect_ticks(0, 0, 0, 0);
}

static void test_a_new_divisor_waits_for_the_periods_end(void **state)
{
	(void)state;
	program(0, 2, 1000);
	rig_ns = clock_ns(500);
	out(0x40, 0xd0);
	out(0x40, 0x07); /* 2000 */
	assert_int_equal(rig_alarm, clock_ns(1001));
	expire_at(rig_alarm);
	assert_int_equal(rig_alarm, clock_ns(3001));
	/* Found long after: one old period, the rest new ones. */
	out(0x40, 0xe8);
	out(0x40, 0x03);
	expire_at(clock_ns(3001 + 10 * 1000));
	assert_int_equal(pit_ticks(&pit).due, 1 + 1 + 10);
	assert_int_equal(rig_alarm, clock_ns(3001 + 11 * 1000));
}

static void test_a_new_divisor_of_mode_3_waits_for_half_a_period(void **state)
{
	(void)state;
	program(0, 3, 1000);
	rig_ns = clock_ns(300);
	out(0x40, 0xd0);
	out(0x40, 0x07); /* 2000: from 501 on, with the low half */
	assert_int_equal(rig_alarm, clock_ns(501 + 1000));
	expire_at(rig_alarm);
	assert_int_equal(pit_ticks(&pit).due, 1);
	assert_int_equal(rig_alarm, clock_ns(1501 + 2000));
	rig_ns = clock_ns(1501 + 1500);
	out(0x40, 0xe8);
	out(0x40, 0x03);
	assert_int_equal(rig_alarm, clock_ns(1501 + 2000));
	expire_at(rig_alarm);
	assert_int_equal(rig_alarm, clock_ns(1501 + 3000));
	expect_ticks(2, 1, 0, 1);
}

static void test_an_access_finds_edges_before_the_alarm_does(void **state)
{
	(void)state;
	program(0, 2, 1000);
	rig_ns = clock_ns(1001);
	assert_int_equal(latched(0), 1000);
	assert_true(rig_irr);
	assert_int_equal(rig_alarm, clock_ns(2001));
	rig_ns = clock_ns(4500);
	assert_int_equal(latched(0), 1000 - 499);
	expect_ticks(4, 1, 0, 3);
	assert_int_equal(rig_alarm, clock_ns(5001));
	expire_at(rig_alarm);
	expect_ticks(5, 1, 0, 4);
}

static void test_counters_1_and_2_never_tick(void **state)
{
	(void)state;
	out(0x61, 1);
	program(1, 2, 100);
	program(2, 3, 100);
	rig_ns = S;
	latched(1);
	latched(2);
	in(0x61);
	pit_expired(&pit);
	assert_int_equal(rig_edges, 0);
	expect_ticks(0, 0, 0, 0);
}

static void test_without_a_controllers_answer_each_tick_is_raised(void **state)
{
	(void)state;
	pit.ops.tick_waits = NULL;
	program(0, 2, HZ100);
	rig_run(S);
	assert_int_equal(rig_taken, 99);
	for (unsigned i = 0; i < 10; i++) {
		rig_irr = false;
		expire_at(rig_alarm);
		assert_true(rig_irr);
	}
}

#define t(name)	      cmocka_unit_test_setup(name, setup_coalesce)
#define catchup(name) cmocka_unit_test_setup(name, setup_catchup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		t(test_the_alarm_is_the_next_edge),
		t(test_an_alarm_a_nanosecond_early_is_no_tick),
		t(test_no_drift_over_years),
		t(test_both_periodic_modes_tick_at_the_same_rate),
		t(test_short_periods_do_not_storm),
		t(test_short_periods_read_all_the_time_set_no_alarms),
		t(test_programming_short_periods_again_and_again_does_not_storm),
		t(test_one_shots),
		catchup(test_one_shots),
		t(test_strobes),
		t(test_modes_by_the_gate_never_tick),
		t(test_the_line_follows_mode_0),
		t(test_stopping_stops_the_alarm),
		t(test_a_new_divisor_waits_for_the_periods_end),
		t(test_a_new_divisor_of_mode_3_waits_for_half_a_period),
		t(test_an_access_finds_edges_before_the_alarm_does),
		t(test_counters_1_and_2_never_tick),
		t(test_without_a_controllers_answer_each_tick_is_raised),
		catchup(test_without_a_controllers_answer_each_tick_is_raised),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
