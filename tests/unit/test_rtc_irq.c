/*
 * The RTC's interrupts: periodic, alarm, update-ended; when its alarm is set and when not.
 * needs: devices/rtc.c lib/date.c
 */
#include "rtc_rig.h"

/* 2024-02-28 23:59:58 UTC. */
#define LEAP_NS (1709164798ull * S)

static int setup(void **state)
{
	(void)state;
	rig_init(0, LEAP_NS);
	set(5, 0x24); /* no hour: the alarm registers would make it midnight */
	return 0;
}

static void set_alarm(unsigned hours, unsigned minutes, unsigned seconds)
{
	set(1, seconds);
	set(3, minutes);
	set(5, hours);
}

static void test_nothing_enabled_sets_no_alarm(void **state)
{
	(void)state;
	set_alarm(0xff, 0xff, 0xff);
	set(0xa, 0x23);
	for (unsigned i = 0; i < 100; i++) {
		rig_ns += 333 * MS;
		get(0);
		get(0xa);
		get(0xc);
	}
	assert_int_equal(rig_alarms_set, 0);
	assert_int_equal(rig_edges, 0);
}

static void test_flags_without_enables_make_no_interrupt(void **state)
{
	(void)state;
	set_alarm(0xc0, 0xff, 0xc5);
	get(0xc);
	rig_ns = 999 * MS;
	assert_int_equal(get(0xc), C_PF);
	assert_int_equal(get(0xc), 0);
	rig_ns = S;
	assert_int_equal(get(0xc), C_PF | C_AF | C_UF);
	assert_int_equal(get(0xc), 0);
	assert_int_equal(rig_edges, 0);
}

static void test_update_ended(void **state)
{
	(void)state;
	rig_ns = 400 * MS;
	set(0xb, B_24H | B_UIE);
	assert_int_equal(rig_alarm, S);
	assert_int_equal(run(S - 1), 0);
	assert_int_equal(run(S), 1);
	assert_true(rig_line);
	/* Until register C is read, no more alarms. */
	assert_int_equal(rig_alarm, DEVICE_NEVER);
	rig_ns = 3500 * MS;
	assert_int_equal(get(0), 0x01);
	assert_true(rig_line);
	assert_int_equal(get(0xc), C_IRQF | C_UF | C_PF);
	assert_false(rig_line);
	assert_int_equal(get(0xc), 0);
	assert_int_equal(rig_alarm, 4 * S);
	assert_int_equal(run(10 * S), 1);
	assert_int_equal(rig_edges, 2);
	/* Setting SET disables it. */
	get(0xc);
	set(0xb, B_SET | B_24H | B_UIE);
	assert_int_equal(get(0xb), B_SET | B_24H);
	assert_int_equal(rig_alarm, DEVICE_NEVER);
	rig_ns = 20 * S;
	assert_int_equal(get(0xc) & C_UF, 0);
	/* It is SET's going up that does: written again, it stays enabled. */
	set(0xb, B_SET | B_24H | B_UIE);
	assert_int_equal(get(0xb), B_SET | B_24H | B_UIE);
	assert_int_equal(rig_alarm, DEVICE_NEVER);
	set(0xb, B_24H | B_UIE);
	assert_int_equal(rig_alarm, 21 * S);
}

static void test_enabling_what_is_flagged_interrupts_at_once(void **state)
{
	static const uint8_t enable[] = {B_PIE, B_AIE, B_UIE};

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		rig_init(0, LEAP_NS);
		set_alarm(0xff, 0xff, 0xff);
		rig_ns = 1500 * MS;
		set(0xb, B_24H | enable[i]);
		assert_true(rig_line);
		assert_int_equal(rig_alarm, DEVICE_NEVER);
		/* And disabling it takes it back; the flag stays. */
		set(0xb, B_24H);
		assert_false(rig_line);
		assert_int_equal(get(0xc), C_PF | C_AF | C_UF);
	}
}

static void test_each_periodic_rate(void **state)
{
	static const unsigned hz[16] = {0,   256, 128, 8192, 4096, 2048, 1024, 512,
					256, 128, 64,  32,   16,   8,	 4,    2};

	(void)state;
	for (unsigned rs = 0; rs < 16; rs++) {
		unsigned count = 0;

		rig_init(0, LEAP_NS + 123456789);
		set(0xa, 0x20 | rs);
		set(0xb, B_24H | B_PIE);
		while (rig_alarm <= 10 * S) {
			const uint64_t edge = rig_alarm;

			assert_true(edge > rig_ns);
			expire_at(edge - 1);
			assert_false(rig_line);
			assert_int_equal(rig_alarm, edge);
			expire_at(edge);
			assert_true(rig_line);
			assert_int_equal(get(0xc) & ~(C_UF | C_AF), C_IRQF | C_PF);
			count++;
		}
		assert_in_range(count, hz[rs] * 10, hz[rs] * 10);
		assert_int_equal(rig_edges, count);
	}
}

static void test_periodic_does_not_drift(void **state)
{
	uint64_t last = 0;

	(void)state;
	rig_init(0, LEAP_NS);
	set(0xa, 0x23);
	set(0xb, B_24H | B_PIE);
	/* Reading late, by odd amounts: the edges stay where they are. */
	for (unsigned i = 0; i < 20000; i++) {
		assert_true(rig_alarm > last);
		last = rig_alarm;
		assert_int_equal(last, ((last * 64 / 1953125) / 4 * 4 * 1953125 + 63) / 64);
		expire_at(rig_alarm + i * 37 % 1000000);
		get(0xc);
	}
}

static void test_periods_of_whole_seconds_are_noticed(void **state)
{
	(void)state;
	set(0xa, 0x2f);
	rig_ns = 300 * MS;
	assert_int_equal(get(0xc), 0);
	for (unsigned i = 1; i < 5; i++) {
		rig_ns += i * S;
		assert_int_equal(get(0xc) & C_PF, C_PF);
		assert_int_equal(get(0xc), 0);
	}
}

static void test_late_periods_merge(void **state)
{
	(void)state;
	set(0xb, B_24H | B_PIE);
	expire_at(500 * MS);
	assert_int_equal(rig_edges, 1);
	assert_int_equal(rig_alarm, DEVICE_NEVER);
	rig_ns = 900 * MS;
	assert_int_equal(get(0xc), C_IRQF | C_PF);
	assert_int_equal(get(0xc), 0);
	assert_false(rig_line);
	assert_in_range(rig_alarm, 900 * MS + 1, 901 * MS);
}

static void test_a_new_rate_counts_from_its_own_edges(void **state)
{
	(void)state;
	rig_ns = 600 * MS;
	get(0xc);
	set(0xa, 0x2f); /* 2 Hz: next at 1 s */
	assert_int_equal(get(0xc), 0);
	set(0xb, B_24H | B_PIE);
	assert_int_equal(rig_alarm, S);
	set(0xa, 0x2e);
	assert_int_equal(rig_alarm, 750 * MS);
	set(0xa, 0x20);
	assert_int_equal(rig_alarm, DEVICE_NEVER);
	assert_int_equal(get(0xc), 0);
	rig_ns = 10 * S;
	assert_int_equal(get(0xc), C_UF);
}

static void test_periodic_goes_on_while_set_holds_the_time(void **state)
{
	(void)state;
	set(0xa, 0x2f);
	set(0xb, B_SET | B_24H | B_PIE);
	for (unsigned i = 1; i < 10; i++) {
		assert_int_equal(run(i * 500 * MS), 1);
		assert_int_equal(get(0xc), C_IRQF | C_PF);
	}
	assert_int_equal(get(0), 0x58);
}

static void test_the_dividers_reset_stops_all(void **state)
{
	(void)state;
	set_alarm(0xff, 0xff, 0xff);
	set(0xa, 0x2f);
	set(0xb, B_24H | B_PIE | B_AIE | B_UIE);
	assert_int_equal(rig_alarm, 500 * MS);
	set(0xa, 0x7f);
	assert_int_equal(rig_alarm, DEVICE_NEVER);
	rig_ns = 5 * S;
	assert_int_equal(get(0xc), 0);
	set(0xa, 0x2f);
	assert_int_equal(rig_alarm, 5500 * MS);
	run(rig_alarm);
	assert_int_equal(get(0xc), C_IRQF | C_PF | C_AF | C_UF);
}

static void test_alarm_once_a_day(void **state)
{
	(void)state;
	set_alarm(0x00, 0x00, 0x01);
	set(0xb, B_24H | B_AIE);
	assert_int_equal(rig_alarm, 3 * S);
	for (unsigned day = 0; day < 5; day++) {
		assert_int_equal(run((3 + 86400ull * day) * S - 1), 0);
		assert_false(rig_line);
		assert_int_equal(run((3 + 86400ull * day) * S), 1);
		assert_true(rig_line);
		assert_int_equal(get(4) << 16 | get(2) << 8 | get(0), 1);
		assert_int_equal(get(0xc) & ~C_PF, C_IRQF | C_AF | C_UF);
		assert_int_equal(rig_alarm, (3 + 86400ull * (day + 1)) * S);
	}
}

static bool field_matches(unsigned field, unsigned value, bool any)
{
	return any || field == value;
}

/* All combinations of fields that do not matter, second by second for two days, and by alarm. */
static void test_alarms_with_fields_that_do_not_matter(void **state)
{
	static const unsigned values[][3] = {{0, 0, 0}, {23, 59, 59}, {12, 30, 15}, {5, 0, 59}};

	(void)state;
	for (unsigned i = 0; i < 4 * 8; i++) {
		const unsigned *v = values[i / 8];
		const bool any_h = i & 1, any_m = i & 2, any_s = i & 4;
		unsigned expected = 0, alarms = 0;

		rig_init(0, 1709164800ull * S); /* midnight */
		set(0xb, B_24H | B_DM | B_SET);
		set_time(0x1418021d000000);
		set_alarm(any_h ? 0xff : v[0], any_m ? 0xc0 : v[1], any_s ? 0xe5 : v[2]);
		set(0xb, B_24H | B_DM | B_AIE);
		for (unsigned t = 1; t <= 90000; t++) {
			const unsigned s = t % 86400;

			if (!field_matches(s / 3600, v[0], any_h) ||
			    !field_matches(s / 60 % 60, v[1], any_m) ||
			    !field_matches(s % 60, v[2], any_s))
				continue;
			expected++;
			assert_int_equal(rig_alarm, t * S);
			alarms += run(t * S);
			assert_true(get(0xc) & C_AF);
		}
		assert_true(rig_alarm > 90000 * S);
		assert_int_equal(alarms, expected);
		assert_true(expected > 0);
	}
}

static void test_alarms_in_12_hour_mode(void **state)
{
	(void)state;
	set(0xb, B_SET);
	set_time(0x20240229115959);
	set(4, 0x11); /* 11 am */
	set_alarm(0x92, 0x00, 0x00);
	set(0xb, B_AIE);
	assert_int_equal(rig_alarm, S); /* noon */
	run(S);
	assert_int_equal(get(4), 0x92);
	get(0xc);
	set(5, 0x12);
	assert_int_equal(rig_alarm, (1 + 12 * 3600ull) * S); /* midnight */
	set(5, 0x81);
	assert_int_equal(rig_alarm, (1 + 3600) * S);
}

static void test_impossible_alarms_never_come(void **state)
{
	static const uint8_t alarms[][3] = {
		{0x24, 0xff, 0xff}, {0xff, 0x60, 0xff}, {0xff, 0xff, 0x60}, {0xff, 0xff, 0xa0},
		{0xbf, 0, 0},	    {0, 0x80, 0},	{0xff, 0xbf, 0xff}};

	(void)state;
	set(0xb, B_24H | B_AIE);
	for (unsigned i = 0; i < array_count(alarms); i++) {
		set_alarm(alarms[i][0], alarms[i][1], alarms[i][2]);
		assert_int_equal(rig_alarm, DEVICE_NEVER);
		get(0xc);
		rig_ns += 100000 * S;
		assert_int_equal(get(0xc) & C_AF, 0);
	}
}

static void test_an_alarm_missed_by_days_is_flagged(void **state)
{
	(void)state;
	set_alarm(0x12, 0x00, 0x00);
	rig_ns = 12 * 3600 * S + S; /* 11:59:59 */
	assert_int_equal(get(0xc) & C_AF, 0);
	rig_ns += S;
	assert_int_equal(get(0xc) & C_AF, C_AF);
	assert_int_equal(get(0xc) & C_AF, 0);
	rig_ns += 86399 * S;
	assert_int_equal(get(0xc) & C_AF, 0);
	rig_ns += 3000 * S;
	assert_int_equal(get(0xc) & C_AF, C_AF);
	rig_ns += 10 * 86400 * S;
	assert_int_equal(get(0xc) & C_AF, C_AF);
}

static void test_setting_the_time_moves_the_alarm(void **state)
{
	(void)state;
	set_alarm(0x12, 0x00, 0x00);
	set(0xb, B_24H | B_AIE);
	assert_int_equal(rig_alarm, (12 * 3600 + 2) * S);
	set(4, 0x11);
	assert_int_equal(rig_alarm, 2 * S);
	/* To be at the alarm's time is not to come to it. */
	set(4, 0x12);
	set(2, 0x00);
	set(0, 0x00);
	assert_int_equal(rig_alarm, 86400 * S);
	/* SET holds alarms as well. */
	set(0, 0x58);
	set(2, 0x59);
	set(4, 0x11);
	assert_int_equal(rig_alarm, 2 * S);
	set(0xb, B_SET | B_24H | B_AIE);
	assert_int_equal(rig_alarm, DEVICE_NEVER);
	rig_ns = 10 * S;
	assert_int_equal(get(0xc) & C_AF, 0);
	set(0xb, B_24H | B_AIE);
	assert_int_equal(rig_alarm, 12 * S);
}

static void test_the_earliest_of_all_is_the_alarm(void **state)
{
	(void)state;
	set_alarm(0xff, 0xff, 0x00);
	set(0xa, 0x2f);
	set(0xb, B_24H | B_AIE);
	assert_int_equal(rig_alarm, 2 * S);
	set(0xb, B_24H | B_AIE | B_UIE);
	assert_int_equal(rig_alarm, S);
	set(0xb, B_24H | B_AIE | B_UIE | B_PIE);
	assert_int_equal(rig_alarm, 500 * MS);
	run(rig_alarm);
	assert_int_equal(get(0xc), C_IRQF | C_PF);
	run(rig_alarm);
	assert_int_equal(get(0xc), C_IRQF | C_PF | C_UF);
	run(1700 * MS);
	assert_int_equal(get(0xc), C_IRQF | C_PF);
	run(rig_alarm);
	assert_int_equal(get(0xc), C_IRQF | C_PF | C_UF | C_AF);
	assert_int_equal(rig_edges, 4);
}

static void test_an_access_finds_an_interrupt_before_the_alarm_does(void **state)
{
	(void)state;
	set(0xb, B_24H | B_UIE);
	rig_ns = S;
	set(0xb, B_24H | B_UIE);
	assert_true(rig_line);
	assert_int_equal(rig_alarm, DEVICE_NEVER);
	rtc_expired(&rtc); /* a call that was under way */
	assert_int_equal(rig_edges, 1);
}

static void test_unread_interrupts_cost_no_alarms(void **state)
{
	(void)state;
	set(0xa, 0x23); /* 8192 Hz */
	set(0xb, B_24H | B_PIE | B_UIE | B_AIE);
	rig_alarms_set = 0;
	assert_int_equal(run(100 * S), 1);
	for (unsigned i = 0; i < 100; i++) {
		rig_ns += 10 * MS;
		get(0);
	}
	assert_true(rig_alarms_set <= 1);
	assert_int_equal(rig_edges, 1);
}

#define t(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		t(test_nothing_enabled_sets_no_alarm),
		t(test_flags_without_enables_make_no_interrupt),
		t(test_update_ended),
		t(test_enabling_what_is_flagged_interrupts_at_once),
		t(test_each_periodic_rate),
		t(test_periodic_does_not_drift),
		t(test_periods_of_whole_seconds_are_noticed),
		t(test_late_periods_merge),
		t(test_a_new_rate_counts_from_its_own_edges),
		t(test_periodic_goes_on_while_set_holds_the_time),
		t(test_the_dividers_reset_stops_all),
		t(test_alarm_once_a_day),
		t(test_alarms_with_fields_that_do_not_matter),
		t(test_alarms_in_12_hour_mode),
		t(test_impossible_alarms_never_come),
		t(test_an_alarm_missed_by_days_is_flagged),
		t(test_setting_the_time_moves_the_alarm),
		t(test_the_earliest_of_all_is_the_alarm),
		t(test_an_access_finds_an_interrupt_before_the_alarm_does),
		t(test_unread_interrupts_cost_no_alarms),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
