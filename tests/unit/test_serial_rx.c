/*
 * The guest's 16550A: what comes in, how fast, and the FIFO's interrupts; see also test_serial.c.
 * needs: devices/serial.c
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "serial_rig.h"

/* At 115200 baud with 8 data bits and one stop bit. */
#define CHAR (20 * 4340ull)

static void test_first_byte_arrives_at_once(void **state)
{
	(void)state;
	out(IER, 0x01);
	type("a", 1);
	assert_true(rig_level);
	assert_int_equal(in(IIR), 0x04);
	assert_int_equal(in(LSR), 0x61);
	assert_int_equal(in(RBR), 'a');
	assert_false(rig_level);
	assert_int_equal(in(LSR), 0x60);
}

static void test_without_fifo_one_byte_is_fetched_at_a_time(void **state)
{
	(void)state;
	set_line(1, 0x03);
	type("abc", 3);
	assert_int_equal(rig_typed_at, 1);
	wait_ns(100 * MS);
	assert_int_equal(rig_typed_at, 1); /* unread: the rest waits outside, nothing is overrun */
	assert_int_equal(in(LSR), 0x61);
	assert_int_equal(in(RBR), 'a');
	assert_int_equal(in(LSR), 0x60);
	wait_ns(CHAR - 1);
	assert_int_equal(in(LSR), 0x60);
	wait_ns(1);
	assert_int_equal(in(LSR), 0x61);
	assert_int_equal(in(RBR), 'b');
}

static void test_without_fifo_both_arrival_and_read_count(void **state)
{
	(void)state;
	set_line(1, 0x03);
	out(IER, 0x01);
	type("abcd", 4);
	(void)in(RBR); /* read as soon as it came: a character time after the arrival */
	wait_ns(CHAR);
	assert_true(rig_level);
	wait_ns(CHAR / 2);
	assert_int_equal(in(RBR), 'b'); /* read late: a character time after the read */
	wait_ns(CHAR - 1);
	assert_false(rig_level);
	wait_ns(1);
	assert_true(rig_level);
	assert_int_equal(in(RBR), 'c');
	assert_int_equal(in(RBR), 'c'); /* reads of the empty register do not put it off */
	wait_ns(CHAR / 2);
	(void)in(RBR);
	wait_ns(CHAR / 2);
	assert_true(rig_level);
	assert_int_equal(in(RBR), 'd');
}

/* uCore's driver: one byte for each interrupt, at 9600 baud. */
static void test_one_interrupt_for_each_byte(void **state)
{
	uint8_t text[512];
	uint64_t start = rig_now;

	(void)state;
	for (unsigned i = 0; i < sizeof(text); i++)
		text[i] = (uint8_t)(i * 3 + 1);
	out(FCR, 0);
	set_line(12, 0x03);
	out(MCR, 0);
	out(IER, 0x01);
	type(text, sizeof(text));
	for (unsigned i = 0; i < sizeof(text); i++) {
		assert_true(rig_level);
		assert_int_equal(rig_rises, i + 1);
		assert_int_equal(in(RBR), text[i]);
		assert_false(rig_level);
		wait_ns(12 * CHAR);
	}
	assert_false(rig_level);
	assert_int_equal(rig_now - start, 512 * 12 * CHAR);
	wait_ns(MS);
	assert_int_equal(rig_alarm, DEVICE_NEVER);
}

/* How long after a read the next byte comes. */
static uint64_t gap(uint16_t divisor, uint8_t lcr)
{
	uint64_t start;

	setup(NULL);
	set_line(divisor, lcr);
	type("ab", 2);
	(void)in(RBR);
	start = rig_now;
	while (!(in(LSR)&1)) {
		assert_int_not_equal(rig_alarm, DEVICE_NEVER);
		wait_ns(rig_alarm - rig_now);
	}
	return rig_now - start;
}

static void test_character_time_follows_the_line_settings(void **state)
{
	const uint64_t bit = 2 * 4340 * 12;

	(void)state;
	assert_int_equal(gap(12, 0x03), 10 * bit);
	assert_int_equal(gap(12, 0x07), 11 * bit);
	assert_int_equal(gap(12, 0x0b), 11 * bit);
	assert_int_equal(gap(12, 0x1f), 12 * bit);
	assert_int_equal(gap(12, 0x00), 7 * bit);
	assert_int_equal(gap(12, 0x01), 8 * bit);
	assert_int_equal(gap(12, 0x02), 9 * bit);
	assert_int_equal(gap(12, 0x04), 7 * bit + bit / 2); /* 5 bits: one and a half stop bits */
	assert_int_equal(gap(12, 0x05), 9 * bit);
	assert_int_equal(gap(12, 0x33), 10 * bit); /* the kind of parity is no matter without it */
}

static void test_character_time_is_bounded(void **state)
{
	(void)state;
	assert_int_equal(gap(1, 0x03), CHAR);
	assert_int_equal(gap(0, 0x03), CHAR);
	assert_int_equal(gap(1, 0x00), 14 * 4340);
	assert_int_equal(gap(115, 0x03), 115 * CHAR);
	assert_int_equal(gap(116, 0x03), 10 * MS);
	assert_int_equal(gap(0xffff, 0x1f), 10 * MS);
	assert_int_equal(gap(0x100, 0x03), 10 * MS); /* both halves of the divisor count */
}

static void test_fifo_fetches_16_in_16_character_times(void **state)
{
	uint8_t text[64];

	(void)state;
	for (unsigned i = 0; i < sizeof(text); i++)
		text[i] = (uint8_t)('0' + i);
	set_line(1, 0x03);
	out(FCR, 0xc7);
	type(text, sizeof(text));
	assert_int_equal(rig_typed_at, 16);
	for (unsigned block = 0; block < 4; block++) {
		for (unsigned i = 0; i < 16; i++) {
			assert_int_equal(in(LSR), 0x61);
			assert_int_equal(in(RBR), text[16 * block + i]);
		}
		assert_int_equal(in(LSR), 0x60);
		wait_ns(16 * CHAR - 1);
		assert_int_equal(in(LSR), 0x60);
		wait_ns(1);
	}
	assert_int_equal(rig_typed_at, 64);
	wait_ns(100 * CHAR);
	assert_int_equal(rig_alarm, DEVICE_NEVER);
}

static void test_full_fifo_leaves_the_rest_outside(void **state)
{
	(void)state;
	set_line(1, 0x03);
	out(FCR, 0x01);
	type("0123456789abcdefghij", 20);
	wait_ns(10 * MS);
	assert_int_equal(rig_typed_at, 16);
	assert_int_equal(in(LSR), 0x61);
	assert_int_equal(in(RBR), '0');
	assert_int_equal(in(RBR), '1');
	assert_int_equal(rig_typed_at, 16); /* the line starts anew with the first read */
	wait_ns(CHAR - 1);
	assert_int_equal(rig_typed_at, 16);
	wait_ns(1);
	assert_int_equal(rig_typed_at, 18);
	for (unsigned i = 2; i < 18; i++)
		assert_int_equal(in(RBR), "0123456789abcdefghij"[i]);
	wait_ns(10 * MS);
	assert_int_equal(in(RBR), 'i');
	assert_int_equal(in(RBR), 'j');
	assert_int_equal(in(LSR), 0x60);
}

static void test_a_block_keeps_the_line_busy_for_its_length(void **state)
{
	(void)state;
	set_line(1, 0x03);
	out(FCR, 0x81); /* the timeout runs as well, and is later */
	type("abc", 3);
	assert_int_equal(rig_typed_at, 3);
	type("d", 1);
	type("e", 1);
	wait_ns(3 * CHAR - 1);
	assert_int_equal(rig_typed_at, 3);
	wait_ns(1);
	assert_int_equal(rig_typed_at, 5);
	wait_ns(2 * CHAR);
	type("f", 1); /* free since now */
	assert_int_equal(rig_typed_at, 6);
}

static void test_trigger_levels(void **state)
{
	static const unsigned levels[4] = {1, 4, 8, 14};

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		setup(NULL);
		set_line(1, 0x03);
		out(FCR, (uint8_t)(i << 6 | 1));
		out(IER, 0x01);
		for (unsigned n = 1; n <= 16; n++) {
			type("x", 1);
			assert_int_equal(rig_typed_at, n);
			assert_int_equal(rig_level, n >= levels[i]);
			assert_int_equal(in(IIR), n >= levels[i] ? 0xc4 : 0xc1);
			wait_ns(CHAR);
		}
		for (unsigned n = 16; n-- > 0;) {
			(void)in(RBR);
			assert_int_equal(rig_level, n >= levels[i]);
		}
	}
}

static void test_changed_trigger_counts_at_once(void **state)
{
	(void)state;
	out(FCR, 0xc1);
	out(IER, 0x01);
	type("abcd", 4);
	assert_false(rig_level);
	out(FCR, 0x41);
	assert_true(rig_level);
	out(FCR, 0x81);
	assert_false(rig_level);
	assert_int_equal(in(RBR), 'a'); /* and has cleared nothing */
}

static void test_timeout_after_4_quiet_character_times(void **state)
{
	(void)state;
	set_line(1, 0x03);
	out(FCR, 0x81);
	out(IER, 0x01);
	type("abc", 3);
	wait_ns(4 * CHAR - 1);
	assert_int_equal(in(IIR), 0xc1);
	assert_false(rig_level);
	wait_ns(1);
	assert_true(rig_level);
	assert_int_equal(in(IIR), 0xcc);
	assert_true(rig_level); /* IIR does not clear it */
	assert_int_equal(in(RBR), 'a');
	assert_false(rig_level);
	wait_ns(4 * CHAR - 1);
	assert_false(rig_level); /* the read began the time anew */
	wait_ns(1);
	assert_int_equal(in(IIR), 0xcc);
	assert_int_equal(in(RBR), 'b');
	assert_int_equal(in(RBR), 'c');
	wait_ns(20 * CHAR);
	assert_int_equal(in(IIR), 0xc1); /* nothing waits */
	assert_int_equal(rig_alarm, DEVICE_NEVER);
}

static void test_timeout_begins_anew_with_each_byte(void **state)
{
	(void)state;
	set_line(1, 0x03);
	out(FCR, 0x81);
	out(IER, 0x01);
	for (unsigned i = 0; i < 5; i++) {
		type("x", 1);
		wait_ns(3 * CHAR);
		assert_int_equal(in(IIR), 0xc1);
	}
	wait_ns(CHAR);
	assert_int_equal(in(IIR), 0xcc);
	type("yz", 2);
	assert_int_equal(in(IIR), 0xcc); /* pending until a byte is read */
	type("8", 1);
	wait_ns(2 * CHAR);
	assert_int_equal(in(IIR), 0xc4); /* now at the trigger level, which is said instead */
}

static void test_timeout_in_loopback(void **state)
{
	(void)state;
	set_line(1, 0x03);
	out(FCR, 0x81);
	out(IER, 0x01);
	out(MCR, 0x10);
	out(THR, 'a');
	wait_ns(4 * CHAR - 1);
	assert_int_equal(in(IIR), 0xc1);
	wait_ns(1);
	assert_int_equal(in(IIR), 0xcc);
	out(FCR, 0x03);
	out(THR, 'b'); /* at the trigger level, and then below it */
	wait_ns(10 * CHAR);
	out(FCR, 0x41);
	assert_int_equal(in(IIR), 0xc1);
	wait_ns(1);
	assert_int_equal(in(IIR), 0xcc); /* four character times have passed already */
}

static void test_timeout_follows_the_line_settings(void **state)
{
	(void)state;
	set_line(2, 0x1f);
	out(FCR, 0x41);
	type("a", 1);
	wait_ns(4 * 24 * 2 * 4340 - 1);
	out(IER, 0x01);
	assert_false(rig_level);
	wait_ns(1);
	assert_true(rig_level); /* counted without IER as well */
}

static void test_no_timeout_without_fifo_or_at_trigger_level(void **state)
{
	(void)state;
	set_line(1, 0x03);
	type("a", 1);
	wait_ns(10 * CHAR);
	assert_int_equal(rig_alarms_set, 0);
	(void)in(RBR);
	out(FCR, 0x41);
	type("abcd", 4);
	wait_ns(10 * CHAR);
	out(IER, 0x01);
	assert_int_equal(in(IIR), 0xc4);
	(void)in(RBR); /* below the level again: the time runs from here */
	assert_int_equal(in(IIR), 0xc1);
	wait_ns(4 * CHAR);
	assert_int_equal(in(IIR), 0xcc);
}

static void test_timeout_after_the_last_of_a_paste(void **state)
{
	(void)state;
	set_line(1, 0x03);
	out(FCR, 0xc1);
	out(IER, 0x01);
	type("0123456789abcdefgh", 18);
	assert_int_equal(in(IIR), 0xc4);
	for (unsigned i = 0; i < 16; i++)
		(void)in(RBR);
	assert_false(rig_level);
	wait_ns(16 * CHAR);
	assert_int_equal(in(IIR), 0xc1);
	wait_ns(4 * CHAR);
	assert_int_equal(in(IIR), 0xcc);
	assert_int_equal(in(RBR), 'g');
	assert_int_equal(in(RBR), 'h');
}

static void test_fifo_reset_empties_it(void **state)
{
	(void)state;
	set_line(1, 0x03);
	out(FCR, 0x01);
	out(IER, 0x01);
	type("0123456789abcdef", 16);
	assert_true(rig_level);
	out(FCR, 0x05); /* the transmitter's reset is another */
	assert_int_equal(in(LSR), 0x61);
	out(FCR, 0x03);
	assert_int_equal(in(LSR), 0x60);
	assert_false(rig_level);
	type("x", 1);
	wait_ns(16 * CHAR);
	assert_int_equal(in(RBR), 'x');
}

static void test_fifo_reset_forgets_the_timeout(void **state)
{
	(void)state;
	out(FCR, 0x81);
	out(IER, 0x01);
	type("a", 1);
	wait_ns(20 * MS);
	assert_int_equal(in(IIR), 0xcc);
	out(FCR, 0x83);
	assert_int_equal(in(IIR), 0xc1);
	type("a", 1);
	assert_int_equal(in(IIR), 0xc1);
}

static void test_reset_forgets_the_timeout_and_the_line(void **state)
{
	(void)state;
	set_line(1, 0x03);
	out(FCR, 0x81);
	out(IER, 0x02); /* the long way to print */
	type("a", 1);
	wait_ns(4 * CHAR);
	port.dev.reset(&port.dev);
	assert_true(port.tx_plain);
	out(FCR, 0x81);
	out(IER, 0x01);
	type("b", 1);
	assert_int_equal(in(IIR), 0xc1);
	out(FCR, 0x00);
	wait_ns(MS);
	type("cd", 2);
	(void)in(RBR);
	wait_ns(7 * 12 * 8680 - 1); /* 9600 baud, 5 data bits */
	assert_false(rig_level);
	wait_ns(1);
	assert_true(rig_level);
}

static void test_changing_the_mode_empties_the_receiver(void **state)
{
	(void)state;
	set_line(1, 0x03);
	type("ab", 2);
	out(FCR, 0x01);
	assert_int_equal(in(LSR), 0x60); /* 'a' is gone, 'b' a character time behind it */
	wait_ns(CHAR);
	assert_int_equal(in(RBR), 'b');
	wait_ns(CHAR);
	type("0123456789abcdefXY", 18);
	out(FCR, 0x00);
	assert_int_equal(in(LSR), 0x60);
	wait_ns(16 * CHAR);
	assert_int_equal(in(LSR), 0x61);
	assert_int_equal(in(RBR), 'X');
	assert_int_equal(rig_typed_at, 19);
	out(FCR, 0x02); /* no reset without bit 0 */
	wait_ns(CHAR);
	assert_int_equal(in(LSR), 0x61);
	out(FCR, 0x02);
	assert_int_equal(in(RBR), 'Y');
}

static void test_needless_calls_change_nothing(void **state)
{
	(void)state;
	set_line(1, 0x03);
	out(IER, 0x0d);
	for (unsigned i = 0; i < 3; i++) {
		serial_rx_ready(&port);
		serial_expired(&port);
	}
	assert_int_equal(rig_rises, 0);
	assert_int_equal(rig_alarms_set, 0);
	type("ab", 2);
	for (unsigned i = 0; i < 3; i++) {
		serial_rx_ready(&port);
		serial_expired(&port);
	}
	assert_int_equal(rig_typed_at, 1);
	(void)in(RBR);
	serial_expired(&port); /* too early */
	serial_rx_ready(&port);
	assert_int_equal(rig_typed_at, 1);
	wait_ns(CHAR);
	assert_int_equal(rig_typed_at, 2);
}

static void test_breaks_without_fifo(void **state)
{
	(void)state;
	out(IER, 0x04);
	serial_rx_break(&port);
	assert_true(rig_level);
	assert_int_equal(in(IIR), 0x06);
	assert_int_equal(in(LSR), 0x79); /* BI, and FE for want of a stop bit; no bit 7 */
	assert_false(rig_level);
	assert_int_equal(in(LSR), 0x61);
	serial_rx_break(&port);
	assert_int_equal(in(LSR), 0x7b); /* the first was not read: overrun */
	assert_int_equal(in(RBR), 0);
	assert_int_equal(in(LSR), 0x60);
}

/* An error is shown when its byte is the next to be read, and before that by bit 7. */
static void test_breaks_in_the_fifo(void **state)
{
	(void)state;
	set_line(1, 0x03);
	out(FCR, 0x01);
	out(IER, 0x04);
	type("a", 1);
	serial_rx_break(&port);
	wait_ns(CHAR);
	type("b", 1);
	serial_rx_break(&port);
	assert_false(rig_level);
	assert_int_equal(in(LSR), 0xe1);
	assert_int_equal(in(LSR), 0xe1);
	assert_int_equal(in(RBR), 'a');
	assert_true(rig_level);
	assert_int_equal(in(IIR), 0xc6);
	assert_int_equal(in(LSR), 0xf9);
	assert_int_equal(in(LSR), 0xe1); /* the second break */
	assert_int_equal(in(RBR), 0);
	assert_int_equal(in(RBR), 'b');
	assert_int_equal(in(LSR), 0xf9);
	assert_int_equal(in(LSR), 0x61);
	assert_int_equal(in(RBR), 0);
	assert_int_equal(in(LSR), 0x60);
}

static void test_breaks_leave_with_the_fifo(void **state)
{
	(void)state;
	out(FCR, 0x01);
	type("a", 1);
	serial_rx_break(&port);
	assert_int_equal(in(LSR), 0xe1);
	out(FCR, 0x03);
	assert_int_equal(in(LSR), 0x60);
	wait_ns(20 * MS);
	type("bc", 2);
	assert_int_equal(in(RBR), 'b');
	assert_int_equal(in(LSR), 0x61);
}

static void test_breaks_overrun_a_full_fifo(void **state)
{
	(void)state;
	out(FCR, 0x01);
	type("0123456789abcdef", 16);
	serial_rx_break(&port);
	assert_int_equal(in(LSR), 0x63);
	for (unsigned i = 0; i < 16; i++)
		assert_int_equal(in(RBR), "0123456789abcdef"[i]);
	assert_int_equal(in(LSR), 0x60);
}

/* Linux reads until the FIFO is empty: each read must not set the alarm anew. */
static void test_emptying_the_fifo_sets_few_alarms(void **state)
{
	(void)state;
	set_line(1, 0x03);
	out(FCR, 0x81);
	type("0123456789abcdefghijkl", 22);
	rig_alarms_set = 0;
	for (unsigned i = 0; i < 16; i++)
		(void)in(RBR);
	assert_in_range(rig_alarms_set, 1, 2);
}

#define t(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		t(test_first_byte_arrives_at_once),
		t(test_without_fifo_one_byte_is_fetched_at_a_time),
		t(test_without_fifo_both_arrival_and_read_count),
		t(test_one_interrupt_for_each_byte),
		t(test_character_time_follows_the_line_settings),
		t(test_character_time_is_bounded),
		t(test_fifo_fetches_16_in_16_character_times),
		t(test_full_fifo_leaves_the_rest_outside),
		t(test_a_block_keeps_the_line_busy_for_its_length),
		t(test_trigger_levels),
		t(test_changed_trigger_counts_at_once),
		t(test_timeout_after_4_quiet_character_times),
		t(test_timeout_begins_anew_with_each_byte),
		t(test_timeout_in_loopback),
		t(test_timeout_follows_the_line_settings),
		t(test_no_timeout_without_fifo_or_at_trigger_level),
		t(test_timeout_after_the_last_of_a_paste),
		t(test_fifo_reset_empties_it),
		t(test_fifo_reset_forgets_the_timeout),
		t(test_reset_forgets_the_timeout_and_the_line),
		t(test_changing_the_mode_empties_the_receiver),
		t(test_needless_calls_change_nothing),
		t(test_breaks_without_fifo),
		t(test_breaks_in_the_fifo),
		t(test_breaks_leave_with_the_fifo),
		t(test_breaks_overrun_a_full_fifo),
		t(test_emptying_the_fifo_sets_few_alarms),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
