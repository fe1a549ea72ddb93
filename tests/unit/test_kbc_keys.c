/*
 * The keyboard controller with its keyboard: keys on their way to the guest, translation, one
 * interrupt for each byte, the pause between bytes, commands to the keyboard.
 * needs: devices/kbc.c devices/keyboard.c
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "kbc_rig.h"

/* Set 2 codes that Microsoft's "Keyboard Scan Code Specification" lists, and their set 1. */
static const struct {
	uint8_t set1, set2;
} codes[] = {
	{0x01, 0x76}, {0x02, 0x16}, {0x03, 0x1e}, {0x0b, 0x45}, {0x0e, 0x66}, {0x0f, 0x0d},
	{0x10, 0x15}, {0x19, 0x4d}, {0x1c, 0x5a}, {0x1d, 0x14}, {0x1e, 0x1c}, {0x29, 0x0e},
	{0x2a, 0x12}, {0x2b, 0x5d}, {0x2c, 0x1a}, {0x35, 0x4a}, {0x36, 0x59}, {0x37, 0x7c},
	{0x38, 0x11}, {0x39, 0x29}, {0x3a, 0x58}, {0x3b, 0x05}, {0x3c, 0x06}, {0x3d, 0x04},
	{0x3e, 0x0c}, {0x3f, 0x03}, {0x40, 0x0b}, {0x41, 0x83}, {0x42, 0x0a}, {0x43, 0x01},
	{0x44, 0x09}, {0x45, 0x77}, {0x46, 0x7e}, {0x47, 0x6c}, {0x48, 0x75}, {0x49, 0x7d},
	{0x4a, 0x7b}, {0x4b, 0x6b}, {0x4c, 0x73}, {0x4d, 0x74}, {0x4e, 0x79}, {0x4f, 0x69},
	{0x50, 0x72}, {0x51, 0x7a}, {0x52, 0x70}, {0x53, 0x71}, {0x54, 0x84}, {0x56, 0x61},
	{0x57, 0x78}, {0x58, 0x07},
};

static void press(const uint8_t *code, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		assert_true(kbc_key(&kbc, code[i]));
}

static void translation_off(void)
{
	command_with(0x60, 0x25);
}

static void every_key_arrives_as_it_was_sent(void **state)
{
	(void)state;
	for (unsigned c = 1; c < 0xff; c++) {
		if (c == 0x80 || c == 0xe0 || c == 0xe1)
			continue;
		press((const uint8_t[]){(uint8_t)c}, 1);
		assert_int_equal(take(), c);
		press((const uint8_t[]){0xe0, (uint8_t)c}, 2);
		assert_int_equal(take(), 0xe0);
		assert_int_equal(take(), c);
		assert_quiet();
	}
}

static void without_translation_the_keyboard_sends_set_2(void **state)
{
	(void)state;
	translation_off();
	for (unsigned i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		press((const uint8_t[]){codes[i].set1, codes[i].set1 | 0x80}, 2);
		assert_int_equal(take(), codes[i].set2);
		assert_int_equal(take(), 0xf0);
		assert_int_equal(take(), codes[i].set2);
		assert_quiet();
	}
	press((const uint8_t[]){0xe0, 0x48, 0xe0, 0xc8}, 4);
	assert_takes(0xe0, 0x75, 0xe0, 0xf0, 0x75);
}

static void pause_and_print_screen_pass_both_ways(void **state)
{
	static const uint8_t pause[] = {0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5};
	static const uint8_t print[] = {0xe0, 0x2a, 0xe0, 0x37, 0xe0, 0xb7, 0xe0, 0xaa};

	(void)state;
	press(pause, sizeof(pause));
	assert_takes(0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5);
	press(print, sizeof(print));
	assert_takes(0xe0, 0x2a, 0xe0, 0x37, 0xe0, 0xb7, 0xe0, 0xaa);
	translation_off();
	press(pause, sizeof(pause));
	assert_takes(0xe1, 0x14, 0x77, 0xe1, 0xf0, 0x14, 0xf0, 0x77);
	press(print, sizeof(print));
	assert_takes(0xe0, 0x12, 0xe0, 0x7c, 0xe0, 0xf0, 0x7c, 0xe0, 0xf0, 0x12);
}

static void each_byte_interrupts_once_it_can_be_read(void **state)
{
	(void)state;
	press((const uint8_t[]){0x1e, 0x9e, 0x1f}, 3);
	assert_true(rig.level[0]);
	assert_int_equal(rig.rises[0], 1);
	tick(10 * KBC_BYTE_NS); /* unread: no other byte, no other interrupt */
	assert_int_equal(rig.rises[0], 1);
	for (unsigned i = 1; i <= 3; i++) {
		assert_int_equal(rig.rises[0], i);
		assert_true(full());
		(void)in(0x60);
		assert_false(full());
		assert_false(rig.level[0]);
		tick(KBC_BYTE_NS);
	}
	assert_int_equal(rig.rises[0], 3);
	assert_int_equal(rig.rises[1], 0);
	assert_int_equal(rig.same[0], 0);
}

static void a_pause_parts_two_bytes(void **state)
{
	(void)state;
	press((const uint8_t[]){0x1e, 0x9e}, 2);
	assert_true(full()); /* the first one waits for nothing */
	rig.now += 12345;
	assert_int_equal(in(0x60), 0x1e);
	assert_int_equal(rig.deadline, rig.now + KBC_BYTE_NS);
	assert_int_equal(in(0x60), 0x1e); /* as handlers in a chain do */
	tick(KBC_BYTE_NS - 1);
	assert_false(full());
	assert_int_equal(in(0x60), 0x1e);
	tick(1);
	assert_true(full());
	assert_int_equal(in(0x60), 0x9e);
	assert_int_equal(rig.deadline, DEVICE_NEVER);
	rig.now += KBC_BYTE_NS - 1;
	press((const uint8_t[]){0x20}, 1); /* pressed within the pause: it waits too */
	assert_false(full());
	tick(1);
	assert_true(full());
}

static void an_alarm_too_early_is_set_again(void **state)
{
	uint64_t due;

	(void)state;
	press((const uint8_t[]){0x1e, 0x9e}, 2);
	(void)in(0x60);
	due = rig.deadline;
	rig.deadline = DEVICE_NEVER;
	kbc_expired(&kbc);
	assert_false(full());
	assert_int_equal(rig.deadline, due);
	tick(KBC_BYTE_NS);
	assert_true(full());
	kbc_expired(&kbc); /* and one that nobody asked for changes nothing */
	assert_int_equal(in(0x60), 0x9e);
	kbc_expired(&kbc);
	assert_false(full());
	assert_int_equal(rig.rises[0], 2);
}

static void one_alarm_at_a_time(void **state)
{
	unsigned sets;

	(void)state;
	press((const uint8_t[]){0x1e, 0x9e}, 2);
	(void)in(0x60);
	sets = rig.timer_sets;
	press((const uint8_t[]){0x1f, 0x9f, 0x20}, 3);
	assert_int_equal(rig.timer_sets, sets);
	command(0xab);
	(void)in(0x60);
	assert_int_equal(rig.timer_sets, sets);
	tick(KBC_BYTE_NS);
	assert_int_equal(take(), 0x9e);
}

static void disabled_port_holds_keys_back(void **state)
{
	(void)state;
	command(0xad);
	press((const uint8_t[]){0x1e}, 1);
	assert_quiet();
	assert_int_equal(rig.deadline, DEVICE_NEVER);
	command(0xae);
	assert_true(full());
	assert_int_equal(in(0x60), 0x1e);
	press((const uint8_t[]){0x1f}, 1);
	command(0xad); /* within the pause: the alarm finds the port closed */
	assert_quiet();
	command_with(0x60, 0x65);
	assert_int_equal(take(), 0x1f);
}

static void answers_go_before_a_key_that_nobody_read(void **state)
{
	(void)state;
	press((const uint8_t[]){0x1e, 0x9e}, 2);
	assert_int_equal(rig.rises[0], 1);
	command(0x20);
	assert_int_equal(rig.rises[0], 2);
	command(0xaa);
	assert_int_equal(take(), 0x55);
	assert_takes(0x1e, 0x9e);
	assert_quiet();
	assert_int_equal(rig.rises[0], 5);
	/* Displaced again and again, and while the port is closed. */
	press((const uint8_t[]){0x1e}, 1);
	for (unsigned i = 0; i < 3; i++) {
		command(0xab);
		assert_int_equal(take(), 0x00);
		tick(KBC_BYTE_NS);
		assert_true(full());
	}
	command(0xad);
	command(0xab);
	assert_int_equal(take(), 0x00);
	assert_quiet();
	command(0xae);
	assert_int_equal(take(), 0x1e);
}

static void commands_reach_the_keyboard(void **state)
{
	(void)state;
	command(0xad);
	out(0x60, 0xf2); /* sending opens the port */
	assert_takes(0xfa, 0xab, 0x41);
	command(0x20);
	assert_int_equal(take(), 0x65);
	out(0x60, 0xed);
	assert_takes(0xfa);
	out(0x60, 0x07);
	assert_takes(0xfa);
	assert_int_equal(kbc.keyboard.leds, 7);
	out(0x60, 0xff);
	assert_takes(0xfa, 0xaa);
	translation_off();
	out(0x60, 0xf2);
	assert_takes(0xfa, 0xab, 0x83);
	assert_quiet();
}

static void the_first_answer_comes_at_once(void **state)
{
	(void)state;
	out(0x60, 0xee);
	assert_true(full());
	assert_true(rig.level[0]);
	assert_int_equal(in(0x60), 0xee);
}

static void a_release_is_whole_when_a_command_comes_between(void **state)
{
	(void)state;
	press((const uint8_t[]){0x1e, 0x9e, 0x1f, 0x9f}, 4);
	assert_int_equal(take(), 0x1e);
	tick(KBC_BYTE_NS); /* 9Eh waits, both of its bytes are taken */
	out(0x60, 0xed);
	assert_takes(0x9e, 0xfa);
	assert_quiet(); /* keys wait while the keyboard waits for the lights */
	out(0x60, 0x00);
	assert_takes(0xfa, 0x1f, 0x9f);
}

static void set_1_from_the_keyboard_itself(void **state)
{
	(void)state;
	translation_off();
	out(0x60, 0xf0);
	assert_takes(0xfa);
	out(0x60, 0x01);
	assert_takes(0xfa);
	press((const uint8_t[]){0x1e, 0x9e, 0xe0, 0x48, 0xe0, 0xc8}, 6);
	assert_takes(0x1e, 0x9e, 0xe0, 0x48, 0xe0, 0xc8);
	out(0x60, 0xf0);
	assert_takes(0xfa);
	out(0x60, 0x00);
	assert_takes(0xfa, 0x01);
}

static void translation_off_forgets_a_release_begun(void **state)
{
	(void)state;
	translation_off();
	out(0x60, 0xf0);
	assert_takes(0xfa);
	out(0x60, 0x01);
	assert_takes(0xfa);
	command_with(0x60, 0x65);
	press((const uint8_t[]){0xf0}, 1); /* set 1 for some key's release; read as set 2 */
	assert_quiet();
	translation_off();
	command_with(0x60, 0x65);
	press((const uint8_t[]){0x1e}, 1);
	assert_int_equal(take(), 0x03); /* that of set 2, and not with bit 7 */
}

static void a_release_prefix_is_not_prefixed(void **state)
{
	(void)state;
	out(0x60, 0xf0);
	assert_takes(0xfa);
	out(0x60, 0x01);
	assert_takes(0xfa);
	press((const uint8_t[]){0xf0, 0xf0, 0x1e}, 3); /* nonsense, but it must not pile up */
	assert_takes(0xf0, 0x03);
	assert_quiet();
}

static void typing_arrives_as_set_1(void **state)
{
	(void)state;
	type("A\x03\xe4\n"); /* shifted; Ctrl-C; a character on no key; Enter */
	assert_takes(0x2a, 0x1e, 0x9e, 0xaa);
	assert_takes(0x1d, 0x2e, 0xae, 0x9d);
	assert_takes(0x1c, 0x9c);
	assert_quiet();
	type("b");
	assert_takes(0x30, 0xb0);
}

static void a_character_is_fetched_when_all_before_is_read(void **state)
{
	const char *const text = "aaaa";

	(void)state;
	type(text);
	for (unsigned i = 1; i <= 4; i++) {
		assert_ptr_equal(rig.text, text + i);
		assert_int_equal(take(), 0x1e);
		tick(KBC_BYTE_NS); /* 9Eh can be read */
		assert_ptr_equal(rig.text, text + i);
		assert_int_equal(take(), 0x9e);
	}
	assert_quiet();
	assert_int_equal(rig.deadline, DEVICE_NEVER);
}

static void text_waits_for_a_keyboard_that_may_send(void **state)
{
	(void)state;
	command(0xad); /* the port is closed */
	type("ab");
	assert_int_equal(*rig.text, 'a');
	command(0xae);
	assert_takes(0x1e, 0x9e, 0x30, 0xb0);
	out(0x60, 0xf5); /* it does not scan */
	assert_takes(0xfa);
	type("c");
	assert_int_equal(*rig.text, 'c');
	out(0x60, 0xf4);
	assert_takes(0xfa, 0x2e, 0xae);
	assert_quiet();
}

static void keys_and_text_do_not_mix(void **state)
{
	(void)state;
	rig.text = "a";
	press((const uint8_t[]){0x1f}, 1);
	tick(KBC_BYTE_NS);
	assert_takes(0x1f, 0x1e, 0x9e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		t(every_key_arrives_as_it_was_sent),
		t(without_translation_the_keyboard_sends_set_2),
		t(pause_and_print_screen_pass_both_ways),
		t(each_byte_interrupts_once_it_can_be_read),
		t(a_pause_parts_two_bytes),
		t(an_alarm_too_early_is_set_again),
		t(one_alarm_at_a_time),
		t(disabled_port_holds_keys_back),
		t(answers_go_before_a_key_that_nobody_read),
		t(commands_reach_the_keyboard),
		t(the_first_answer_comes_at_once),
		t(a_release_is_whole_when_a_command_comes_between),
		t(set_1_from_the_keyboard_itself),
		t(translation_off_forgets_a_release_begun),
		t(a_release_prefix_is_not_prefixed),
		t(typing_arrives_as_set_1),
		t(a_character_is_fetched_when_all_before_is_read),
		t(text_waits_for_a_keyboard_that_may_send),
		t(keys_and_text_do_not_mix),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
