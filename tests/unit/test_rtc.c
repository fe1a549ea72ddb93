/*
 * The RTC's registers: time and date in all formats, updates, divider, CMOS memory.
 * needs: devices/rtc.c lib/date.c
 */
#include "rtc_rig.h"

/* 2024-02-28 23:59:58 UTC, a Wednesday. */
#define LEAP_NS (1709164798ull * S)

static int setup(void **state)
{
	(void)state;
	rig_init(0, LEAP_NS);
	return 0;
}

static uint8_t bcd(unsigned v)
{
	return (uint8_t)(v / 10 * 16 + v % 10);
}

static void expect_time(time_t t)
{
	struct tm tm;

	gmtime_r(&t, &tm);
	assert_int_equal(get(0), bcd((unsigned)tm.tm_sec));
	assert_int_equal(get(2), bcd((unsigned)tm.tm_min));
	assert_int_equal(get(4), bcd((unsigned)tm.tm_hour));
	assert_int_equal(get(6), tm.tm_wday + 1);
	assert_int_equal(get(7), bcd((unsigned)tm.tm_mday));
	assert_int_equal(get(8), bcd((unsigned)tm.tm_mon + 1));
	assert_int_equal(get(9), bcd((unsigned)tm.tm_year % 100));
	assert_int_equal(get(0x32), bcd((unsigned)tm.tm_year / 100 + 19));
}

static void test_time_goes_on(void **state)
{
	(void)state;
	assert_int_equal(get_time(), 0x20240228235958);
	assert_int_equal(get(6), 4);
	rig_ns = S - 1;
	assert_int_equal(get_time(), 0x20240228235958);
	rig_ns = S;
	assert_int_equal(get_time(), 0x20240228235959);
	rig_ns = 2 * S;
	assert_int_equal(get_time(), 0x20240229000000);
	assert_int_equal(get(6), 5);
	rig_ns = 2 * S + 86400 * S;
	assert_int_equal(get_time(), 0x20240301000000);
	assert_int_equal(get(6), 6);
}

static void test_the_wall_clocks_fraction_counts(void **state)
{
	(void)state;
	rig_init(0, LEAP_NS + 300 * MS);
	rig_ns = 700 * MS - 1;
	assert_int_equal(get(0), 0x58);
	rig_ns = 700 * MS;
	assert_int_equal(get(0), 0x59);
	/* The VM's clock need not be 0 when the device is made. */
	rig_init(1700 * MS, LEAP_NS + 300 * MS);
	assert_int_equal(get_time(), 0x20240229000000);
}

static void test_every_day_from_1970_to_2099(void **state)
{
	const time_t end = 4102444800; /* 2100-01-01 */

	(void)state;
	rig_init(0, 0);
	for (time_t t = 0; t < end; t += 86400) {
		rig_ns = (uint64_t)t * S;
		expect_time(t);
		rig_ns += 86399 * S;
		expect_time(t + 86399);
	}
}

static void test_each_start_is_right(void **state)
{
	(void)state;
	/* In strides without common factors with days and years. */
	for (uint64_t t = 0; t < 4102444800; t += 99991) {
		rig_init(0, t * S);
		expect_time((time_t)t);
	}
}

static void test_long_absences(void **state)
{
	(void)state;
	rig_ns = 0;
	rig_init(0, 0);
	for (uint64_t t = 1; t < 4102444800; t = t * 3 + 12345) {
		rig_ns = t * S;
		expect_time((time_t)t);
	}
}

static void test_hours_in_12_and_24_bcd_and_binary(void **state)
{
	static const uint8_t twelve[24] = {0x12, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07,
					   0x08, 0x09, 0x10, 0x11, 0x92, 0x81, 0x82, 0x83,
					   0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x90, 0x91};

	(void)state;
	for (unsigned hour = 0; hour < 24; hour++) {
		set(0xb, B_SET);
		set_time(0x20241231005959);
		set(4, twelve[hour]);
		set(0xb, 0);
		rig_ns += S;
		assert_int_equal(get(4), twelve[(hour + 1) % 24]);
		assert_int_equal(get(7), hour == 23 ? 0x01 : 0x31);

		set(0xb, B_SET | B_24H | B_DM);
		set_time(0x14630c1f003b3b); /* 2099-12-31 */
		set(4, hour);
		set(0xb, B_24H | B_DM);
		rig_ns += S;
		assert_int_equal(get(4), (hour + 1) % 24);
		if (hour == 23)
			assert_int_equal(get_time(), 0x15000101000000);

		set(0xb, B_SET | B_DM);
		set_time(0x13630c1f003b3b); /* 1999-12-31 */
		set(4, (hour % 12 ? hour % 12 : 12) | (hour >= 12 ? 0x80u : 0));
		set(0xb, B_DM);
		rig_ns += S;
		if (hour == 23)
			assert_int_equal(get_time(), 0x140001010c0000);
		else
			assert_int_equal(get(4), ((hour + 1) % 12 ? (hour + 1) % 12 : 12) |
							 (hour + 1 >= 12 ? 0x80 : 0));
	}
}

static void test_the_format_bits_convert_nothing(void **state)
{
	(void)state;
	set(0xb, B_24H | B_DM);
	assert_int_equal(get_time(), 0x20240228235958);
	set(0xb, B_24H);
	rig_ns = S;
	assert_int_equal(get_time(), 0x20240228235959);
}

static void test_set_holds_the_time_for_writing(void **state)
{
	(void)state;
	rig_ns = 200 * MS;
	set(0xb, B_SET | B_24H);
	rig_ns = 5200 * MS;
	assert_int_equal(get_time(), 0x20240228235958);
	set_time(0x19700102030405);
	set(6, 6);
	rig_ns = 9900 * MS;
	assert_int_equal(get_time(), 0x19700102030405);
	set(0xb, B_24H);
	assert_int_equal(get_time(), 0x19700102030405);
	rig_ns = 10 * S; /* the divider's seconds have gone on */
	assert_int_equal(get_time(), 0x19700102030406);
	rig_ns = 10 * S + 86400 * S;
	assert_int_equal(get_time(), 0x19700103030406);
	assert_int_equal(get(6), 7);
	rig_ns += 86400 * S;
	assert_int_equal(get(6), 1);
}

static void test_writes_without_set(void **state)
{
	(void)state;
	rig_ns = 500 * MS;
	/* By way of a 31st of February, within a second. */
	set(7, 0x31);
	set(8, 0x02);
	assert_int_equal(get(7), 0x31);
	set(7, 0x15);
	set(4, 0x10);
	assert_int_equal(get_time(), 0x20240215105958);
	rig_ns = 2 * S;
	assert_int_equal(get_time(), 0x20240215110000);
	/* The weekday is the guest's affair. */
	set(6, 7);
	rig_ns += 86400 * S;
	assert_int_equal(get(6), 1);
	rig_ns += 5 * 86400 * S;
	assert_int_equal(get(6), 6);
}

static void test_nonsense_written_is_kept_until_the_next_update(void **state)
{
	(void)state;
	for (unsigned v = 0; v < 256; v++) {
		for (unsigned i = 0; i < 10; i++)
			set(i, v);
		set(0x32, v);
		assert_int_equal(get(0), v & 0x7f);
		assert_int_equal(get(4), v);
		assert_int_equal(get(8), v);
		rig_ns += 2 * S;
		for (unsigned i = 0; i < 10; i += 2)
			assert_true(i == 6 || (get(i) & 15) < 10);
		assert_in_range(get(7), 1, 0x31);
		assert_in_range(get(8), 1, 0x12);
		assert_true(get(0) < 0x60 && get(2) < 0x60 && get(4) < 0x24);
		rig_ns += 86400 * S;
		assert_in_range(get(6), 1, 7);
	}
}

static void test_days_beyond_a_months_end_are_the_nexts(void **state)
{
	(void)state;
	set(0xb, B_SET | B_24H);
	set_time(0x20230229120000);
	set(0xb, B_24H);
	rig_ns = S;
	assert_int_equal(get_time(), 0x20230301120001);
}

static void test_uip_warns_of_the_update(void **state)
{
	(void)state;
	assert_int_equal(get(0xa), 0x26);
	rig_ns = S - 2228001;
	assert_int_equal(get(0xa), 0x26);
	rig_ns = S - 2228000;
	assert_int_equal(get(0xa), 0xa6);
	rig_ns = S - 1;
	assert_int_equal(get(0xa), 0xa6);
	assert_int_equal(get(0), 0x58);
	rig_ns = S;
	assert_int_equal(get(0xa), 0x26);
	assert_int_equal(get(0), 0x59);
	/* Not while SET holds the updates, nor with the divider in reset. */
	rig_ns = 2 * S - 1;
	set(0xb, B_SET | B_24H);
	assert_int_equal(get(0xa), 0x26);
	set(0xb, B_24H);
	assert_int_equal(get(0xa), 0xa6);
	set(0xa, 0x66);
	assert_int_equal(get(0xa), 0x66);
}

static void test_uip_cannot_be_written(void **state)
{
	(void)state;
	set(0xa, 0xff);
	assert_int_equal(get(0xa), 0x7f);
	set(0xa, 0xa6);
	assert_int_equal(get(0xa), 0x26);
}

static void test_divider_reset_starts_a_second_half_a_second_later(void **state)
{
	(void)state;
	rig_ns = 300 * MS;
	set(0xa, 0x76);
	rig_ns = 100 * S;
	assert_int_equal(get_time(), 0x20240228235958);
	set_time(0x20240101000000);
	rig_ns = 200 * S + 123;
	set(0xa, 0x26);
	rig_ns = 200 * S + 500 * MS + 122;
	assert_int_equal(get(0), 0x00);
	rig_ns += 1;
	assert_int_equal(get(0), 0x01);
	rig_ns += S - 1;
	assert_int_equal(get(0), 0x01);
	rig_ns += 1;
	assert_int_equal(get(0), 0x02);
}

static void test_which_divider_values_stop(void **state)
{
	(void)state;
	for (unsigned dv = 0; dv < 8; dv++) {
		rig_init(0, LEAP_NS);
		set(0xa, dv << 4);
		rig_ns = 10 * S;
		assert_int_equal(get(0), dv <= 2 ? 0x08 : 0x58);
	}
}

static void test_registers_c_and_d_cannot_be_written(void **state)
{
	(void)state;
	assert_int_equal(get(0xd), 0x80);
	set(0xd, 0);
	assert_int_equal(get(0xd), 0x80);
	set(0xb, 0x72);
	set(0xc, 0xff);
	assert_int_equal(get(0xc), 0);
	assert_false(rig_line);
}

static void test_register_b_keeps_what_it_does_not_use(void **state)
{
	(void)state;
	assert_int_equal(get(0xb), B_24H);
	set(0xb, 0x0b); /* square wave, daylight saving */
	assert_int_equal(get(0xb), 0x0b);
	/* No hour is skipped on the last Sunday of April. */
	set_time(0x20240428015959);
	rig_ns += S;
	assert_int_equal(get(4), 0x02);
}

static void test_memory_in_both_banks(void **state)
{
	(void)state;
	for (unsigned i = 0x0e; i < 0x80; i++) {
		if (i == 0x32)
			continue;
		assert_int_equal(get(i), 0);
		set(i, i ^ 0x5a);
	}
	for (unsigned i = 0; i < 0x80; i++) {
		out(0x72, i);
		assert_int_equal(in(0x73), 0);
		out(0x73, i ^ 0xa5);
	}
	for (unsigned i = 0; i < 0x80; i++) {
		if (i >= 0x0e && i != 0x32)
			assert_int_equal(get(i), i ^ 0x5a);
		out(0x72, i | 0x80);
		assert_int_equal(in(0x73), i ^ 0xa5);
	}
	assert_int_equal(get(0x32), 0x20);
	assert_int_equal(get_time(), 0x20240228235958);
	assert_int_equal(rig_alarms_set, 0);
}

static void test_the_index_ignores_the_nmi_mask(void **state)
{
	(void)state;
	set(0x8f, 0x42);
	assert_int_equal(get(0x0f), 0x42);
	assert_int_equal(get(0x8d), 0x80);
	/* The index stays, and cannot be read. */
	assert_int_equal(in(0x71), 0x80);
	assert_int_equal(in(0x70), 0xff);
	assert_int_equal(in(0x72), 0xff);
}

static void test_the_builder_sets_memory_only(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 256; i++)
		rtc_set_cmos(&rtc, (uint8_t)i, (uint8_t)(i ^ 0xff));
	assert_int_equal(get_time(), 0x20240228235958);
	assert_int_equal(get(0xa), 0x26);
	assert_int_equal(get(0xb), 0x02);
	assert_int_equal(get(0xc), 0);
	assert_int_equal(get(0xd), 0x80);
	assert_int_equal(get(1) + get(3) + get(5), 0);
	for (unsigned i = 0x0e; i < 0x80; i++)
		if (i != 0x32)
			assert_int_equal(get(i), i ^ 0xff);
	for (unsigned i = 0; i < 0x80; i++) {
		out(0x72, i);
		assert_int_equal(in(0x73), 0x7f - i);
	}
}

static void test_reset_keeps_time_and_memory(void **state)
{
	(void)state;
	set(0x0f, 0x0a);
	out(0x72, 5);
	out(0x73, 0x77);
	set(0xa, 0x23);
	set(1, 0x11);
	set(0xb, 0x7b);
	rig_ns = 10500 * MS;
	expire_at(rig_ns);
	assert_true(rig_line);
	assert_int_equal(rig_alarm, DEVICE_NEVER);
	get(0xc);
	assert_int_not_equal(rig_alarm, DEVICE_NEVER);
	expire_at(rig_alarm);
	assert_true(rig_line);
	rtc.dev.reset(&rtc.dev);
	assert_false(rig_line);
	assert_int_equal(rig_alarm, DEVICE_NEVER);
	assert_int_equal(in(0x71), 0x08); /* index 0 */
	assert_int_equal(in(0x73), 0);
	assert_int_equal(get(0xb), 0x03); /* formats stay, enables do not */
	assert_int_equal(get(0xc), 0);
	assert_int_equal(get(0xa), 0x23);
	assert_int_equal(get(1), 0x11);
	assert_int_equal(get_time(), 0x20240229000008);
	assert_int_equal(get(0x0f), 0x0a);
	out(0x72, 5);
	assert_int_equal(in(0x73), 0x77);
	rig_ns = 20 * S;
	get(0xc);
	assert_false(rig_line);
	/* With an alarm under way: none after it. */
	set(0xb, 0x52);
	assert_int_not_equal(rig_alarm, DEVICE_NEVER);
	rtc.dev.reset(&rtc.dev);
	assert_int_equal(rig_alarm, DEVICE_NEVER);
}

static void test_power_on_again_without_knowing_when(void **state)
{
	(void)state;
	rig_ns = 100 * S + 300 * MS;
	assert_int_equal(get_time(), 0x20240229000138);
	rig_ns = 12345;
	rtc.dev.reset(&rtc.dev);
	assert_int_equal(get_time(), 0x20240229000138);
	rig_ns = 12345 + S;
	assert_int_equal(get_time(), 0x20240229000139);
}

#define t(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		t(test_time_goes_on),
		t(test_the_wall_clocks_fraction_counts),
		t(test_every_day_from_1970_to_2099),
		t(test_each_start_is_right),
		t(test_long_absences),
		t(test_hours_in_12_and_24_bcd_and_binary),
		t(test_the_format_bits_convert_nothing),
		t(test_set_holds_the_time_for_writing),
		t(test_writes_without_set),
		t(test_nonsense_written_is_kept_until_the_next_update),
		t(test_days_beyond_a_months_end_are_the_nexts),
		t(test_uip_warns_of_the_update),
		t(test_uip_cannot_be_written),
		t(test_divider_reset_starts_a_second_half_a_second_later),
		t(test_which_divider_values_stop),
		t(test_registers_c_and_d_cannot_be_written),
		t(test_register_b_keeps_what_it_does_not_use),
		t(test_memory_in_both_banks),
		t(test_the_index_ignores_the_nmi_mask),
		t(test_the_builder_sets_memory_only),
		t(test_reset_keeps_time_and_memory),
		t(test_power_on_again_without_knowing_when),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
