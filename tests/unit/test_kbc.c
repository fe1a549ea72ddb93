/*
 * The keyboard controller itself: its commands, its status, its output port, interrupts.
 * needs: devices/kbc.c devices/keyboard.c
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "kbc_rig.h"

static uint8_t command_byte(void)
{
	command(0x20);
	return take();
}

static void power_on_is_what_a_bios_leaves(void **state)
{
	(void)state;
	assert_int_equal(in(0x64), KBC_SYS | KBC_UNLOCKED);
	assert_int_equal(command_byte(), 0x65); /* IRQ1, system flag, port 2 off, translation */
	assert_int_equal(rig.a20_calls + rig.resets, 0);
	command(0xd0);
	assert_int_equal(take() & 0x33, 0x03); /* no reset, A20, no interrupt */
	assert_true(kbc_key(&kbc, 0x1e));
	assert_int_equal(take(), 0x1e);
}

static void making_one_calls_nobody(void **state)
{
	(void)state;
	assert_int_equal(rig.timer_sets + rig.clock_reads, 0);
	assert_int_equal(rig.rises[0] + rig.rises[1] + rig.same[0] + rig.same[1], 0);
	assert_string_equal(kbc.dev.name, "kbc");
	assert_int_equal(kbc_region(&kbc, 0).ops->sizes, 1);
	assert_int_equal(kbc_region(&kbc, 1).ops->sizes, 1);
	assert_ptr_equal(kbc_region(&kbc, 1).dev, &kbc.dev);
}

static void status_tells_where_the_last_write_went(void **state)
{
	(void)state;
	command(0xae);
	assert_int_equal(in(0x64), KBC_SYS | KBC_UNLOCKED | KBC_CMD);
	command(0x60);
	assert_true(in(0x64) & KBC_CMD);
	out(0x60, 0x65);
	assert_int_equal(in(0x64), KBC_SYS | KBC_UNLOCKED);
}

static void command_byte_reads_back(void **state)
{
	(void)state;
	for (unsigned v = 0; v < 256; v++) {
		command_with(0x60, (uint8_t)v);
		assert_int_equal(command_byte(), v & 0x7f);
		assert_int_equal(in(0x64) & KBC_SYS, v & KBC_SYSTEM);
	}
}

static void ram_keeps_32_bytes(void **state)
{
	(void)state;
	for (unsigned i = 1; i < 32; i++)
		command_with((uint8_t)(0x60 + i), (uint8_t)(0xf0 ^ i));
	for (unsigned i = 1; i < 32; i++) {
		command((uint8_t)(0x20 + i));
		assert_int_equal(take(), 0xf0 ^ i);
	}
	assert_int_equal(command_byte(), 0x65);
	assert_quiet(); /* nothing of it went to the keyboard */
}

static void ports_are_disabled_and_enabled(void **state)
{
	static const struct {
		uint8_t command, clear, set;
	} c[] = {{0xad, 0, 0x10}, {0xa7, 0, 0x20}, {0xae, 0x10, 0}, {0xa8, 0x20, 0}};

	(void)state;
	for (unsigned v = 0; v < 0x80; v++) {
		for (unsigned i = 0; i < 4; i++) {
			command_with(0x60, (uint8_t)v);
			command(c[i].command);
			assert_int_equal(command_byte(), (v & ~c[i].clear & 0xff) | c[i].set);
		}
	}
}

static void tests_pass(void **state)
{
	(void)state;
	command_with(0x60, 0x20);
	assert_false(in(0x64) & KBC_SYS);
	command(0xaa);
	assert_int_equal(in(0x64), KBC_SYS | KBC_UNLOCKED | KBC_CMD | KBC_OBF);
	assert_int_equal(take(), 0x55);
	assert_int_equal(command_byte(), 0x20);
	command(0xab);
	assert_int_equal(take(), 0x00);
	command(0xa9);
	assert_true(full());
	assert_int_equal(take(), 0x00);
	command(0xc0);
	assert_int_equal(take() & 0x80, 0x80);
}

static void test_inputs_show_the_clock(void **state)
{
	(void)state;
	command(0xe0);
	assert_int_equal(take(), 0x03);
	command(0xad);
	command(0xe0);
	assert_int_equal(take(), 0x02);
}

static void output_port_opens_and_closes_a20(void **state)
{
	(void)state;
	command_with(0xd1, 0xdd);
	assert_false(rig.a20);
	assert_int_equal(rig.a20_calls, 1);
	command(0xd0);
	assert_int_equal(take() & 0x03, 0x01);
	command_with(0xd1, 0xdf); /* as boot sectors do */
	assert_true(rig.a20);
	assert_int_equal(rig.a20_calls, 2);
	command(0xd0);
	assert_int_equal(take() & 0x03, 0x03);
	command(0xdd);
	assert_false(rig.a20);
	command(0xd0);
	assert_int_equal(take() & 0x03, 0x01);
	command(0xdf);
	assert_true(rig.a20);
	command(0xd0);
	assert_int_equal(take() & 0x03, 0x03);
	assert_int_equal(rig.a20_calls, 4);
	assert_int_equal(rig.resets, 0);
}

static void output_port_resets(void **state)
{
	(void)state;
	command_with(0xd1, 0xfe);
	assert_int_equal(rig.resets, 1);
	assert_true(rig.a20);
	command(0xdf); /* the line is not held */
	assert_int_equal(rig.resets, 1);
	command(0xd0);
	assert_int_equal(take() & 0x03, 0x03);
	command_with(0xd1, 0x00);
	assert_int_equal(rig.resets, 2);
	assert_false(rig.a20);
}

static void output_port_shows_the_interrupt_lines(void **state)
{
	(void)state;
	command_with(0x60, 0x47);
	command_with(0xd3, 0x12); /* a byte of port 2 waits; then this answer takes its place */
	assert_true(rig.level[1]);
	command(0xd0);
	assert_false(rig.level[1]);
	assert_int_equal(take() & 0x30, 0x20);
	command_with(0xd2, 0x12);
	command(0xd0);
	assert_int_equal(take() & 0x30, 0x10);
	command_with(0x60, 0x44);
	command(0xd0);
	assert_int_equal(take() & 0x30, 0x00);
}

static void pulses_of_bit_0_reset(void **state)
{
	(void)state;
	for (unsigned c = 0xf0; c <= 0xff; c++) {
		rig.resets = 0;
		command((uint8_t)c);
		assert_int_equal(rig.resets, !(c & 1));
		assert_false(full());
	}
	assert_int_equal(rig.a20_calls, 0);
}

static void a20_and_reset_may_be_missing(void **state)
{
	struct kbc_ops ops = rig_ops;

	(void)state;
	ops.a20 = NULL;
	ops.reset = NULL;
	kbc_init(&kbc, &ops);
	command_with(0xd1, 0x00);
	command(0xfe);
	command(0xdd);
	kbc.dev.reset(&kbc.dev);
	assert_int_equal(rig.a20_calls + rig.resets, 0);
}

static void echo_comes_from_either_port(void **state)
{
	(void)state;
	command_with(0x60, 0x47);
	command_with(0xd2, 0x76); /* untranslated */
	assert_int_equal(in(0x64) & (KBC_OBF | KBC_AUX_OBF | KBC_TIMEOUT), KBC_OBF);
	assert_true(rig.level[0]);
	assert_false(rig.level[1]);
	assert_int_equal(in(0x60), 0x76);
	assert_false(rig.level[0]);
	command_with(0xd3, 0xa5);
	assert_int_equal(in(0x64) & (KBC_OBF | KBC_AUX_OBF | KBC_TIMEOUT), KBC_OBF | KBC_AUX_OBF);
	assert_false(rig.level[0]);
	assert_true(rig.level[1]);
	assert_int_equal(in(0x60), 0xa5);
	assert_false(rig.level[1]);
	assert_int_equal(in(0x64) & (KBC_OBF | KBC_AUX_OBF), 0);
}

static void nobody_answers_at_port_2(void **state)
{
	(void)state;
	command_with(0x60, 0x67);
	command_with(0xd4, 0xff);
	assert_int_equal(in(0x64) & 0xe1, KBC_OBF | KBC_AUX_OBF | KBC_TIMEOUT);
	assert_true(rig.level[1]);
	assert_int_equal(take(), 0xfe);
	assert_int_equal(in(0x64) & 0xe1, 0);
	assert_int_equal(command_byte(), 0x47); /* sending opened the port */
	assert_int_equal(in(0x64) & KBC_TIMEOUT, 0);
	assert_quiet(); /* one byte only, and the keyboard has heard nothing */
}

static void interrupts_are_enabled_by_the_command_byte(void **state)
{
	(void)state;
	for (unsigned v = 0; v < 4; v++) {
		command_with(0x60, (uint8_t)(0x44 | v));
		command_with(0xd2, 1);
		assert_int_equal(rig.level[0], v & 1);
		assert_false(rig.level[1]);
		command_with(0xd3, 1);
		assert_false(rig.level[0]);
		assert_int_equal(rig.level[1], v >> 1);
		(void)in(0x60);
		assert_false(rig.level[0] || rig.level[1]);
	}
	/* Enabling finds the byte that waits; disabling takes the line back. */
	command_with(0x60, 0x44);
	command_with(0xd2, 1);
	command_with(0x60, 0x45);
	assert_true(rig.level[0]);
	command_with(0x60, 0x44);
	assert_false(rig.level[0]);
	assert_true(full());
}

static void each_answer_makes_an_edge(void **state)
{
	(void)state;
	command(0x20);
	assert_int_equal(rig.rises[0], 1);
	command(0xaa); /* unread yet: the newer answer takes its place */
	assert_int_equal(rig.rises[0], 2);
	assert_int_equal(take(), 0x55);
	assert_quiet();
	assert_int_equal(rig.same[0] + rig.same[1], 0);
}

static void a_command_forgets_the_byte_due_for_the_last(void **state)
{
	(void)state;
	command(0xd1);
	command(0xae);
	out(0x60, 0xee); /* the keyboard's echo */
	assert_int_equal(rig.a20_calls + rig.resets, 0);
	assert_takes(0xee);
	command(0x60);
	command(0x20);
	assert_int_equal(take(), 0x65);
	out(0x60, 0xee);
	assert_takes(0xee);
	assert_int_equal(command_byte(), 0x65);
	command_with(0x61, 7);
	out(0x60, 0xee); /* one byte only is the command's */
	assert_takes(0xee);
}

static void unknown_commands_do_nothing(void **state)
{
	static const uint8_t known[] = {0xa7, 0xa8, 0xa9, 0xaa, 0xab, 0xad, 0xae, 0xc0,
					0xd0, 0xd1, 0xd2, 0xd3, 0xd4, 0xdd, 0xdf, 0xe0};

	(void)state;
	for (unsigned c = 0; c < 0xf0; c++) {
		if ((c & 0xe0) == 0x20 || (c & 0xe0) == 0x60 ||
		    memchr(known, (int)c, sizeof(known)))
			continue;
		command((uint8_t)c);
		assert_int_equal(in(0x64), KBC_SYS | KBC_UNLOCKED | KBC_CMD);
		out(0x60, 0xee);
		assert_takes(0xee);
	}
	assert_int_equal(rig.a20_calls + rig.resets, 0);
	assert_int_equal(command_byte(), 0x65);
}

static void reading_nothing_gives_the_last_byte_again(void **state)
{
	unsigned sets, clocks;

	(void)state;
	command(0xaa);
	assert_int_equal(in(0x60), 0x55);
	sets = rig.timer_sets;
	clocks = rig.clock_reads;
	assert_int_equal(in(0x60), 0x55);
	assert_int_equal(in(0x60), 0x55);
	assert_int_equal(rig.timer_sets, sets);
	assert_int_equal(rig.clock_reads, clocks);
	assert_false(full());
}

static void reset_brings_power_on_back(void **state)
{
	(void)state;
	command_with(0x60, 0x47);
	command_with(0x7f, 0x12);
	command_with(0xd1, 0xdd);
	command_with(0xd3, 9);
	assert_true(kbc_key(&kbc, 0x1e));
	command(0xd1);
	kbc.dev.reset(&kbc.dev);
	assert_false(rig.level[0] || rig.level[1]);
	assert_true(rig.a20);
	assert_int_equal(rig.deadline, DEVICE_NEVER);
	assert_int_equal(in(0x64), KBC_SYS | KBC_UNLOCKED);
	assert_quiet();
	out(0x60, 0xee); /* no command waits for it */
	assert_takes(0xee);
	assert_int_equal(command_byte(), 0x65);
	command(0x3f);
	assert_int_equal(take(), 0);
	assert_int_equal(rig.resets, 0);
}

static void reset_forgets_a_displaced_key(void **state)
{
	(void)state;
	assert_true(kbc_key(&kbc, 0x1e));
	command(0xab);
	kbc.dev.reset(&kbc.dev);
	kbc_expired(&kbc);
	assert_quiet();
}

static void reset_cancels_the_alarm(void **state)
{
	(void)state;
	type("a");
	(void)take();
	assert_int_not_equal(rig.deadline, DEVICE_NEVER);
	kbc.dev.reset(&kbc.dev);
	assert_int_equal(rig.deadline, DEVICE_NEVER);
	assert_true(kbc_key(&kbc, 0x1f)); /* and the pause is over */
	assert_true(full());
	assert_int_equal(in(0x60), 0x1f);
	assert_true(kbc_key(&kbc, 0x9f)); /* the alarm can be set anew */
	assert_int_equal(rig.deadline, rig.now + KBC_BYTE_NS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		t(power_on_is_what_a_bios_leaves),
		t(making_one_calls_nobody),
		t(status_tells_where_the_last_write_went),
		t(command_byte_reads_back),
		t(ram_keeps_32_bytes),
		t(ports_are_disabled_and_enabled),
		t(tests_pass),
		t(test_inputs_show_the_clock),
		t(output_port_opens_and_closes_a20),
		t(output_port_resets),
		t(output_port_shows_the_interrupt_lines),
		t(pulses_of_bit_0_reset),
		t(a20_and_reset_may_be_missing),
		t(echo_comes_from_either_port),
		t(nobody_answers_at_port_2),
		t(interrupts_are_enabled_by_the_command_byte),
		t(each_answer_makes_an_edge),
		t(a_command_forgets_the_byte_due_for_the_last),
		t(unknown_commands_do_nothing),
		t(reading_nothing_gives_the_last_byte_again),
		t(reset_brings_power_on_back),
		t(reset_forgets_a_displaced_key),
		t(reset_cancels_the_alarm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
