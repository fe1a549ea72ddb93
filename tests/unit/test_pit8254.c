/*
 * The PIT's registers and its six modes, clock by clock as the 8254 data sheet draws them.
 * needs: devices/pit8254.c devices/pit_counter.c
 */
#include "pit_rig.h"

enum { STATUS_OUT = 0x80, STATUS_NULL = 0x40 };

static int setup(void **state)
{
	(void)state;
	rig_init(PIT_COALESCE);
	out(0x61, 1); /* counter 2 counts */
	return 0;
}

static void at(uint64_t clock)
{
	rig_ns = clock_ns(clock);
}

static bool out2(void)
{
	return in(0x61) >> 5 & 1;
}

/* Counter 2 at the clocks from `clock` on: its counts, and OUT as a string of H and L. */
static void expect_waveform(uint64_t clock, const uint16_t *counts, const char *levels)
{
	for (unsigned i = 0; levels[i]; i++) {
		at(clock + i);
		assert_int_equal(latched(2), counts[i]);
		assert_int_equal(out2(), levels[i] == 'H');
	}
}

#define waveform(clock, levels, ...) expect_waveform(clock, (const uint16_t[]){__VA_ARGS__}, levels)

static void test_mode_0_goes_high_n_plus_1_clocks_after_the_write(void **state)
{
	(void)state;
	at(100);
	program(2, 0, 4);
	assert_false(out2());
	/* Loaded at 101. It stays high while the count wraps. */
	waveform(101, "LLLLHHH", 4, 3, 2, 1, 0, 0xffff, 0xfffe);
	at(101 + 4 + 65536);
	assert_int_equal(latched(2), 0);
	assert_true(out2());
}

static void test_mode_0_gate_pauses(void **state)
{
	(void)state;
	program(2, 0, 4);
	waveform(1, "LLL", 4, 3, 2);
	out(0x61, 0);
	waveform(4, "LLLL", 2, 2, 2, 2);
	out(0x61, 1); /* in clock 7 */
	waveform(8, "LHH", 1, 0, 0xffff);
	/* A count written while the gate is low is loaded all the same. */
	out(0x61, 0);
	program(2, 0, 3);
	waveform(11, "LLL", 3, 3, 3);
	out(0x61, 1);
	waveform(14, "LLH", 2, 1, 0);
	/* Pausing it later does not lower OUT. */
	out(0x61, 0);
	waveform(20, "H", 0);
	out(0x61, 1);
	waveform(21, "H", 0xffff);
}

static void test_mode_0_new_count(void **state)
{
	(void)state;
	out(0x43, 0x90); /* LSB only: both bytes read are that one */
	out(0x42, 3);
	waveform(3, "LH", 0x0101, 0);
	out(0x42, 2); /* at 4: low at once, and again from 2 */
	assert_false(out2());
	waveform(5, "LLH", 0x0202, 0x0101, 0);

	/* Of two bytes, the first one stops the count and lowers OUT. */
	program(2, 0, 5);
	waveform(9, "LL", 4, 3);
	out(0x42, 2);
	waveform(11, "LLL", 3, 3, 3);
	out(0x42, 0);
	waveform(14, "LLH", 2, 1, 0);
	out(0x42, 9);
	assert_false(out2());
	at(40);
	assert_false(out2());
}

static void test_mode_1_is_a_retriggerable_one_shot(void **state)
{
	(void)state;
	out(0x61, 0);
	program(2, 1, 3);
	at(5);
	assert_true(out2());
	assert_int_equal(status(2) & STATUS_NULL, STATUS_NULL);
	out(0x61, 1);
	assert_true(out2());
	out(0x61, 0); /* the level does not matter */
	waveform(6, "LLLHH", 3, 2, 1, 0, 0xffff);
	out(0x61, 1);
	waveform(11, "LL", 3, 2);
	out(0x61, 0);
	out(0x61, 1); /* once more, in clock 12 */
	waveform(13, "LLLH", 3, 2, 1, 0);
	/* A new count waits for the trigger. */
	out(0x61, 0);
	out(0x61, 1);
	at(18);
	out(0x42, 2);
	out(0x42, 0);
	waveform(18, "LLH", 2, 1, 0);
	out(0x61, 0);
	out(0x61, 1);
	waveform(21, "LLHH", 2, 1, 0, 0xffff);
}

static void test_mode_2_is_low_for_the_last_clock(void **state)
{
	(void)state;
	program(2, 2, 3);
	assert_true(out2());
	waveform(1, "HHLHHLHHL", 3, 2, 1, 3, 2, 1, 3, 2, 1);
	/* A new count takes effect at the period's end. */
	at(10);
	out(0x42, 4);
	out(0x42, 0);
	waveform(10, "HHLHHHLHH", 3, 2, 1, 4, 3, 2, 1, 4, 3);
	/* Long after, too. */
	at(13 + 4 * 1000000007ull);
	waveform(13 + 4 * 1000000007ull, "HHHLH", 4, 3, 2, 1, 4);
}

static void test_mode_2_gate(void **state)
{
	(void)state;
	program(2, 2, 3);
	waveform(1, "HHL", 3, 2, 1);
	out(0x61, 0);
	assert_true(out2()); /* at once */
	waveform(4, "HHH", 1, 1, 1);
	out(0x61, 1); /* a trigger: loaded again */
	waveform(7, "HHLH", 3, 2, 1, 3);
	/* A trigger takes over a new count before the period's end. */
	out(0x42, 5);
	out(0x42, 0);
	assert_int_equal(status(2) & STATUS_NULL, STATUS_NULL);
	out(0x61, 0);
	at(20);
	assert_int_equal(latched(2), 3);
	assert_int_equal(status(2) & STATUS_NULL, STATUS_NULL);
	out(0x61, 1);
	waveform(21, "HHHHLH", 5, 4, 3, 2, 1, 5);
	/* The first load needs no gate. */
	out(0x61, 0);
	program(2, 2, 7);
	waveform(27, "HH", 7, 7);
	assert_int_equal(status(2) & STATUS_NULL, 0);
}

static void test_mode_3_even_and_odd(void **state)
{
	(void)state;
	program(2, 3, 4);
	assert_true(out2());
	waveform(1, "HHLLHHLLH", 4, 2, 4, 2, 4, 2, 4, 2, 4);
	/* Odd: the high half is a clock longer. */
	program(2, 3, 5); /* at 9 */
	waveform(10, "HHHLLHHHLLH", 4, 2, 0, 4, 2, 4, 2, 0, 4, 2, 4);
	program(2, 3, 3); /* at 20 */
	waveform(21, "HHLHHL", 2, 0, 2, 2, 0, 2);
	program(2, 3, 2); /* at 26 */
	waveform(27, "HLHLHL", 2, 2, 2, 2, 2, 2);
}

static void test_mode_3_new_count_at_the_half_periods_end(void **state)
{
	(void)state;
	program(2, 3, 6);
	waveform(1, "HH", 6, 4);
	out(0x42, 4);
	out(0x42, 0);
	waveform(3, "HLLHH", 2, 4, 2, 4, 2);
	at(8); /* low half: 8, 9 */
	assert_false(out2());
	out(0x42, 5);
	out(0x42, 0);
	waveform(8, "LLHHHLLH", 4, 2, 4, 2, 0, 4, 2, 4);
	at(18); /* low half: 18, 19 */
	out(0x42, 8);
	out(0x42, 0);
	waveform(18, "LLHHHHLLLLH", 4, 2, 8, 6, 4, 2, 8, 6, 4, 2, 8);
}

static void test_mode_3_gate(void **state)
{
	(void)state;
	program(2, 3, 4);
	waveform(1, "HHLL", 4, 2, 4, 2);
	out(0x61, 0);
	assert_true(out2());
	waveform(5, "HH", 2, 2);
	out(0x61, 1);
	waveform(7, "HHLLH", 4, 2, 4, 2, 4);
}

static void test_mode_4_strobes_once(void **state)
{
	(void)state;
	program(2, 4, 3);
	assert_true(out2());
	waveform(1, "HHHLHH", 3, 2, 1, 0, 0xffff, 0xfffe);
	at(4 + 65536);
	assert_int_equal(latched(2), 0);
	assert_true(out2());
	/* A new count starts again; its first byte alone does not stop the old one. */
	program(2, 4, 6); /* at 65540 */
	waveform(65541, "HH", 6, 5);
	out(0x42, 2);
	waveform(65543, "HH", 4, 3);
	out(0x42, 0);
	waveform(65545, "HHLH", 2, 1, 0, 0xffff);
	/* The gate pauses. */
	program(2, 4, 2); /* at 65548 */
	waveform(65549, "HH", 2, 1);
	out(0x61, 0);
	waveform(65551, "HHH", 1, 1, 1);
	out(0x61, 1);
	waveform(65554, "LH", 0, 0xffff);
}

/* As guests wait for it: nothing but port 61h is read. */
static void test_out_is_seen_in_port_61_alone(void **state)
{
	(void)state;
	program(2, 0, 1000);
	at(1000);
	assert_false(out2());
	at(1001);
	assert_true(out2());
	program(2, 3, 1000); /* at 1001 */
	for (unsigned i = 0; i < 100; i++) {
		at(1002 + i * 7001);
		assert_int_equal(out2(), i * 7001 % 1000 < 500);
	}
	/* The gate finds a load that is due, and a period long over. */
	program(2, 2, 1000);
	at(1000002);
	out(0x61, 0);
	at(1000100);
	assert_int_equal(latched(2), 1000 - (1000002 - 1002 - 99 * 7001 - 1) % 1000);
}

static void test_mode_5_strobes_after_the_gate(void **state)
{
	(void)state;
	program(2, 5, 3);
	at(10);
	assert_true(out2());
	assert_int_equal(status(2) & STATUS_NULL, STATUS_NULL);
	out(0x61, 0);
	out(0x61, 1);
	waveform(11, "HHHLHH", 3, 2, 1, 0, 0xffff, 0xfffe);
	out(0x61, 0);
	out(0x61, 1); /* at 16 */
	waveform(17, "HH", 3, 2);
	out(0x61, 0);
	out(0x61, 1); /* at 18 */
	waveform(19, "HHHLH", 3, 2, 1, 0, 0xffff);
}

static void test_modes_6_and_7_are_2_and_3(void **state)
{
	(void)state;
	program(2, 6, 3);
	waveform(1, "HHLH", 3, 2, 1, 3);
	assert_int_equal(status(2) & 0x3f, 0x3c);
	program(2, 7, 4);
	waveform(5, "HHLL", 4, 2, 4, 2);
	assert_int_equal(status(2) & 0x3f, 0x3e);
}

static void test_count_1(void **state)
{
	(void)state;
	program(2, 0, 1);
	waveform(1, "LH", 1, 0);
	program(2, 4, 1); /* at 2 */
	waveform(3, "HLH", 1, 0, 0xffff);
	/* Not allowed in modes 2 and 3: as 2. */
	program(2, 2, 1); /* at 5 */
	waveform(6, "HLHL", 2, 1, 2, 1);
	program(2, 3, 1); /* at 9 */
	waveform(10, "HLHL", 2, 2, 2, 2);
}

static void test_count_0_is_the_largest(void **state)
{
	(void)state;
	program(2, 2, 0);
	waveform(1, "HH", 0, 0xffff);
	waveform(65535, "HLHH", 2, 1, 0, 0xffff);
	program(2, 3, 0); /* at 65538 */
	waveform(65539, "HH", 0, 0xfffe);
	waveform(65539 + 32767, "HLL", 2, 0, 0xfffe);
	waveform(65539 + 65535, "LH", 2, 0);
	out(0x43, 0xb1); /* mode 0, BCD */
	out(0x42, 0);
	out(0x42, 0); /* at 131075 */
	waveform(131076, "LL", 0, 0x9999);
	waveform(131076 + 9999, "LHHH", 1, 0, 0x9999, 0x9998);
	waveform(131076 + 9999 + 10000, "HHH", 1, 0, 0x9999);
}

static void test_bcd_counts(void **state)
{
	(void)state;
	out(0x43, 0xb5); /* mode 2, BCD */
	out(0x42, 0x00);
	out(0x42, 0x10);
	waveform(1, "HH", 0x1000, 0x0999);
	waveform(1 + 990, "H", 0x0010);
	waveform(1 + 998, "HLH", 0x0002, 0x0001, 0x1000);
	out(0x43, 0xb7); /* mode 3 */
	out(0x42, 0x21);
	out(0x42, 0x00);
	waveform(1002, "HHHHHHHHHHHL", 0x20, 0x18, 0x16, 0x14, 0x12, 0x10, 8, 6, 4, 2, 0, 0x20);
	/* Digits beyond 9 are counted as they are worth: 15 * 1111, less 10000 when read. */
	out(0x43, 0xb1);
	out(0x42, 0xff);
	out(0x42, 0xff); /* at 1013 */
	waveform(1014, "L", 0x6665);
	waveform(1014 + 16664, "LHH", 1, 0, 0x9999);
}

static void test_access_to_single_bytes(void **state)
{
	(void)state;
	program(2, 0, 0x1234);
	out(0x43, 0x90); /* LSB: the other is 0 */
	out(0x42, 0x80);
	at(1 + 0x10);
	assert_int_equal(in(0x42), 0x70);
	assert_int_equal(in(0x42), 0x70);
	out(0x43, 0xa0); /* MSB */
	out(0x42, 0x80);
	at(0x12 + 0x10);
	assert_int_equal(in(0x42), 0x7f);
	at(0x12 + 0x110);
	assert_int_equal(in(0x42), 0x7e);
	out(0x43, 0x80);
	at(0x12 + 0x7fff);
	assert_int_equal(in(0x42), 0x7e);
	assert_int_equal(in(0x42), 0x00);
	/* 1 as the most significant byte is 256, and no illegal count. */
	out(0x43, 0xa4);
	out(0x42, 1);
	at(0x12 + 0x7fff + 1);
	assert_int_equal(in(0x42), 1);
}

static void test_unlatched_bytes_alternate(void **state)
{
	(void)state;
	program(2, 0, 0x1234);
	at(1);
	assert_int_equal(in(0x42), 0x34);
	assert_int_equal(in(0x42), 0x12);
	assert_int_equal(in(0x42), 0x34);
	/* Reads and writes have a flip-flop each. */
	out(0x42, 0x78);
	assert_int_equal(in(0x42), 0x12);
	out(0x42, 0x56);
	at(2);
	assert_int_equal(in(0x42), 0x78);
	/* The control word resets both. */
	out(0x42, 0x99);
	out(0x43, 0xb0);
	out(0x42, 0x21);
	out(0x42, 0x43);
	at(3);
	assert_int_equal(in(0x42), 0x21);
	assert_int_equal(in(0x42), 0x43);
}

static void test_a_latch_holds_until_it_is_read(void **state)
{
	(void)state;
	program(2, 2, 0x1000);
	at(1 + 0x234);
	out(0x43, 0x80);
	at(1 + 0x345);
	out(0x43, 0x80); /* ignored */
	at(1 + 0x456);
	assert_int_equal(in(0x42), 0x1000 - 0x234 - 0xd00);
	at(1 + 0x567);
	out(0x43, 0x80); /* still ignored: half of it has not been read */
	assert_int_equal(in(0x42), 0x0d);
	assert_int_equal(in(0x42), (0x1000 - 0x567) & 0xff);
	assert_int_equal(in(0x42), (0x1000 - 0x567) >> 8);
	/* A latch between the two bytes. */
	assert_int_equal(in(0x42), (0x1000 - 0x567) & 0xff);
	out(0x43, 0x80);
	at(1 + 0xfff);
	assert_int_equal(in(0x42), (0x1000 - 0x567) >> 8);
	assert_int_equal(in(0x42), 1);
	assert_int_equal(in(0x42), 0);
	/* A control word forgets it. */
	out(0x43, 0x80);
	program(2, 2, 0x2222);
	at(1 + 0x1000);
	assert_int_equal(in(0x42), 0x22);
}

static void test_the_count_of_a_new_control_word_is_the_old_one(void **state)
{
	(void)state;
	program(2, 2, 0x1000);
	at(1 + 0x300);
	out(0x43, 0xb6);
	at(5000);
	assert_int_equal(latched(2), 0xd00);
	assert_true(out2());
	out(0x43, 0xb0);
	assert_int_equal(latched(2), 0xd00);
	assert_false(out2());
}

static void test_read_back_status(void **state)
{
	(void)state;
	assert_int_equal(status(2), STATUS_OUT | STATUS_NULL | 0x36);
	out(0x43, 0xb0);
	assert_int_equal(status(2), STATUS_NULL | 0x30);
	out(0x42, 5);
	assert_int_equal(status(2), STATUS_NULL | 0x30);
	out(0x42, 0);
	assert_int_equal(status(2), STATUS_NULL | 0x30);
	at(1);
	assert_int_equal(status(2), 0x30);
	at(5);
	assert_int_equal(status(2), 0x30);
	at(6);
	assert_int_equal(status(2), STATUS_OUT | 0x30);
	out(0x43, 0x9b); /* LSB, mode 5, BCD */
	assert_int_equal(status(2), STATUS_OUT | STATUS_NULL | 0x1b);
	out(0x43, 0xa4); /* MSB, mode 2 */
	out(0x42, 1);
	at(7);
	assert_int_equal(status(2), STATUS_OUT | 0x24);
	out(0x42, 2); /* null until the period's end */
	assert_int_equal(status(2), STATUS_OUT | STATUS_NULL | 0x24);
	at(7 + 255);
	assert_int_equal(status(2), STATUS_NULL | 0x24);
	at(7 + 256);
	assert_int_equal(status(2), STATUS_OUT | 0x24);
}

static void test_read_back_of_several_counters(void **state)
{
	(void)state;
	program(0, 2, 0x1111);
	program(1, 3, 0x2222);
	program(2, 2, 0x3333);
	at(1);
	out(0x43, 0xde); /* counts of all, no status */
	at(100);
	assert_int_equal(in(0x40), 0x11);
	assert_int_equal(in(0x40), 0x11);
	assert_int_equal(in(0x41), 0x22);
	assert_int_equal(in(0x41), 0x22);
	assert_int_equal(in(0x42), 0x33);
	assert_int_equal(in(0x42), 0x33);
	at(1 + 0x33);
	out(0x43, 0xca); /* both, of 0 and 2: the status comes first */
	at(1 + 0x34);
	out(0x43, 0xca);
	assert_int_equal(in(0x42), STATUS_OUT | 0x34);
	assert_int_equal(in(0x42), 0x00);
	assert_int_equal(in(0x42), 0x33);
	assert_int_equal(in(0x41), (0x2222 - 2 * 0x34) & 0xff);
	assert_int_equal(in(0x40), STATUS_OUT | 0x34);
	assert_int_equal(in(0x40), 0x11 - 0x33 + 0x100);
	assert_int_equal(in(0x40), 0x10);
	assert_int_equal(in(0x40), 0x11 - 0x34 + 0x100);
	/* Neither count nor status: nothing is latched. */
	out(0x43, 0xfe);
	at(1 + 0x40);
	assert_int_equal(in(0x42), 0x33 - 0x40 + 0x100);
}

static void test_a_latched_status_is_the_one_of_then(void **state)
{
	(void)state;
	program(2, 0, 5);
	at(1);
	out(0x43, 0xe8);
	at(10);
	out(0x43, 0xe8);
	assert_int_equal(in(0x42), 0x30);
	assert_int_equal(status(2), STATUS_OUT | 0x30);
}

static void test_the_control_port_cannot_be_read(void **state)
{
	(void)state;
	program(0, 2, 100);
	assert_int_equal(in(0x43), 0xff);
}

static void test_system_port(void **state)
{
	(void)state;
	for (unsigned v = 0; v < 256; v++) {
		out(0x61, v);
		assert_int_equal(in(0x61) & 0xcf, v & 0x0f);
	}
	/* The refresh bit changes every 18 clocks, whatever counter 1 does. */
	program(1, 0, 0);
	for (unsigned i = 0; i < 1000; i++) {
		at(i * 18);
		assert_int_equal(in(0x61) >> 4 & 1, i & 1);
		at(i * 18 + 17);
		assert_int_equal(in(0x61) >> 4 & 1, i & 1);
	}
}

static void test_reset(void **state)
{
	(void)state;
	out(0x61, 3);
	program(0, 2, 1000);
	program(2, 0, 1000);
	out(0x43, 0x80);
	at(700000);
	assert_int_not_equal(rig_alarm, DEVICE_NEVER);
	pit_expired(&pit);
	assert_true(rig_line);
	assert_true(pit_ticks(&pit).due > 0);
	pit.dev.reset(&pit.dev);
	assert_false(rig_line);
	assert_int_equal(rig_alarm, DEVICE_NEVER);
	assert_int_equal(pit_ticks(&pit).due, 0);
	assert_int_equal(in(0x61) & 0xcf, 0);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(status(i), STATUS_OUT | STATUS_NULL | 0x36);
		assert_int_equal(latched(i), 0);
	}
	at(1400000);
	assert_int_equal(latched(0), 0);
	assert_false(rig_line);
	/* Counter 2's gate is low, so that it does not count. */
	program(2, 2, 100);
	at(1400050);
	assert_int_equal(latched(2), 100);
}

#define t(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		t(test_mode_0_goes_high_n_plus_1_clocks_after_the_write),
		t(test_mode_0_gate_pauses),
		t(test_mode_0_new_count),
		t(test_mode_1_is_a_retriggerable_one_shot),
		t(test_mode_2_is_low_for_the_last_clock),
		t(test_mode_2_gate),
		t(test_mode_3_even_and_odd),
		t(test_mode_3_new_count_at_the_half_periods_end),
		t(test_mode_3_gate),
		t(test_mode_4_strobes_once),
		t(test_mode_5_strobes_after_the_gate),
		t(test_out_is_seen_in_port_61_alone),
		t(test_modes_6_and_7_are_2_and_3),
		t(test_count_1),
		t(test_count_0_is_the_largest),
		t(test_bcd_counts),
		t(test_access_to_single_bytes),
		t(test_unlatched_bytes_alternate),
		t(test_a_latch_holds_until_it_is_read),
		t(test_the_count_of_a_new_control_word_is_the_old_one),
		t(test_read_back_status),
		t(test_read_back_of_several_counters),
		t(test_a_latched_status_is_the_one_of_then),
		t(test_the_control_port_cannot_be_read),
		t(test_system_port),
		t(test_reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
