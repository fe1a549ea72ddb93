/*
 * The keyboard alone: its commands and answers, its buffer, what typing a character presses.
 * needs: devices/keyboard.c
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <crvm/devices/keyboard.h>

static struct keyboard kb;

static int setup(void **state)
{
	(void)state;
	memset(&kb, 0xee, sizeof(kb));
	keyboard_init(&kb);
	return 0;
}

static void assert_sends(const void *data, unsigned n)
{
	const uint8_t *p = data;

	for (unsigned i = 0; i < n; i++) {
		assert_true(keyboard_ready(&kb));
		assert_int_equal(keyboard_take(&kb), p[i]);
	}
	assert_false(keyboard_ready(&kb));
}

#define assert_says(...)                                          \
	do {                                                      \
		static const uint8_t expected_[] = {__VA_ARGS__}; \
		assert_sends(expected_, sizeof(expected_));       \
	} while (0)

static void say(uint8_t byte)
{
	keyboard_write(&kb, byte);
}

/* Presses and releases A. */
static void press_a(void)
{
	assert_true(keyboard_key(&kb, 0x1e));
	assert_true(keyboard_key(&kb, 0x9e));
}

static void starts_scanning_in_set_2(void **state)
{
	(void)state;
	assert_false(keyboard_ready(&kb));
	assert_int_equal(keyboard_take(&kb), 0);
	assert_int_equal(kb.set, 2);
	assert_int_equal(kb.leds, 0);
	assert_int_equal(kb.rate, 0x2b);
	press_a();
	assert_says(0x1c, 0xf0, 0x1c);
}

static void echo_and_identify(void **state)
{
	(void)state;
	say(0xee);
	assert_says(0xee);
	say(0xf2);
	assert_says(0xfa, 0xab, 0x83);
}

static void lights(void **state)
{
	(void)state;
	for (unsigned v = 0; v < 0xed; v++) {
		say(0xed);
		assert_says(0xfa);
		say((uint8_t)v);
		assert_says(0xfa);
		assert_int_equal(kb.leds, v & 7);
	}
	say(5); /* no command */
	assert_says(0xfe);
	assert_int_equal(kb.leds, 4);
}

static void rate(void **state)
{
	(void)state;
	say(0xf3);
	assert_says(0xfa);
	say(0x20);
	assert_says(0xfa);
	assert_int_equal(kb.rate, 0x20);
	say(0xf6);
	assert_says(0xfa);
	assert_int_equal(kb.rate, 0x2b);
}

static void scan_sets(void **state)
{
	(void)state;
	say(0xf0);
	assert_says(0xfa);
	say(0);
	assert_says(0xfa, 2);
	say(0xf0);
	assert_says(0xfa);
	say(1);
	assert_says(0xfa);
	press_a();
	assert_says(0x1e, 0x9e);
	say(0xf0);
	assert_says(0xfa);
	say(0);
	assert_says(0xfa, 1);
	say(0xf0);
	assert_says(0xfa);
	say(3); /* there is none */
	assert_says(0xfe);
	assert_int_equal(kb.set, 1);
	press_a();
	say(0xf0);
	assert_int_equal(keyboard_take(&kb), 0xfa);
	say(2);
	assert_says(0xfa); /* keys of the other set are gone */
	press_a();
	assert_says(0x1c, 0xf0, 0x1c);
}

static void a_parameter_is_waited_for_with_keys_held(void **state)
{
	static const uint8_t with_parameter[] = {0xed, 0xf0, 0xf3};

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		press_a();
		say(with_parameter[i]);
		assert_says(0xfa);
		press_a();
		assert_false(keyboard_ready(&kb));
		say(0);
		assert_int_equal(keyboard_take(&kb), 0xfa);
		if (with_parameter[i] == 0xf0)
			assert_int_equal(keyboard_take(&kb), 2);
		assert_says(0x1c, 0xf0, 0x1c, 0x1c, 0xf0, 0x1c);
	}
}

static void a_command_in_place_of_a_parameter(void **state)
{
	(void)state;
	say(0xed);
	assert_says(0xfa);
	say(0xee);
	assert_says(0xee);
	say(7); /* nobody waits for it any more */
	assert_says(0xfe);
	assert_int_equal(kb.leds, 0);
	say(0xf3);
	say(0xed);
	assert_says(0xfa);
	say(2);
	assert_says(0xfa);
	assert_int_equal(kb.leds, 2);
	assert_int_equal(kb.rate, 0x2b);
}

static void a_new_command_silences_the_last(void **state)
{
	(void)state;
	say(0xf2);
	assert_int_equal(keyboard_take(&kb), 0xfa);
	say(0xee);
	assert_says(0xee);
	for (unsigned i = 0; i < 1000; i++)
		say(0xf2);
	assert_says(0xfa, 0xab, 0x83);
}

static void answers_go_before_keys(void **state)
{
	(void)state;
	press_a();
	assert_int_equal(keyboard_take(&kb), 0x1c);
	say(0xf2);
	assert_says(0xfa, 0xab, 0x83, 0xf0, 0x1c);
}

static void disable_and_enable(void **state)
{
	(void)state;
	press_a();
	say(0xf5);
	assert_says(0xfa);
	press_a();
	assert_true(keyboard_type(&kb, 'a'));
	assert_false(keyboard_ready(&kb));
	say(0xf6); /* defaults do not enable */
	assert_says(0xfa);
	press_a();
	assert_false(keyboard_ready(&kb));
	say(0xf4);
	assert_says(0xfa);
	press_a();
	say(0xf4); /* clears the buffer */
	assert_says(0xfa);
	press_a();
	assert_says(0x1c, 0xf0, 0x1c);
}

static void defaults(void **state)
{
	(void)state;
	say(0xf0);
	say(1);
	say(0xf3);
	say(0);
	say(0xed);
	say(7);
	assert_says(0xfa);
	press_a();
	say(0xf6);
	assert_says(0xfa);
	assert_int_equal(kb.set, 2);
	assert_int_equal(kb.rate, 0x2b);
	assert_int_equal(kb.leds, 7);
	press_a();
	assert_says(0x1c, 0xf0, 0x1c);
	say(0xf0);
	say(1);
	say(0xf5);
	assert_says(0xfa);
	assert_int_equal(kb.set, 2);
}

static void reset_tests_itself(void **state)
{
	(void)state;
	say(0xed);
	say(7);
	say(0xf0);
	say(1);
	say(0xf5);
	say(0xff);
	press_a(); /* it scans */
	assert_says(0xfa, 0xaa, 0x1c, 0xf0, 0x1c);
	assert_int_equal(kb.leds, 0);
	say(0xed);
	say(0xff);
	assert_says(0xfa, 0xaa);
	say(1);
	assert_says(0xfe);
}

static void resend_gives_the_last_byte(void **state)
{
	(void)state;
	say(0xfe);
	assert_says(0xaa); /* what the self test sent */
	press_a();
	assert_int_equal(keyboard_take(&kb), 0x1c);
	say(0xfe);
	assert_int_equal(keyboard_take(&kb), 0x1c);
	assert_says(0xf0, 0x1c);
	say(0xf2);
	assert_int_equal(keyboard_take(&kb), 0xfa);
	assert_int_equal(keyboard_take(&kb), 0xab);
	say(0xfe);
	assert_says(0xab);
	say(0x11); /* FEh itself is not what is meant */
	assert_says(0xfe);
	say(0xfe);
	assert_says(0xab);
}

static void which_commands_there_are(void **state)
{
	(void)state;
	for (unsigned c = 0; c < 256; c++) {
		const bool ack = c == 0xed || c == 0xf0 || (c >= 0xf2 && c <= 0xfa) || c == 0xff;

		setup(state);
		if (c == 0xee || c == 0xfe)
			continue;
		say((uint8_t)c);
		assert_int_equal(keyboard_take(&kb), ack ? 0xfa : 0xfe);
		if (c != 0xf2 && c != 0xff)
			assert_false(keyboard_ready(&kb));
		assert_int_equal(kb.scanning, c != 0xf5);
	}
}

static void set_all_keys_changes_nothing(void **state)
{
	(void)state;
	press_a();
	for (unsigned c = 0xf7; c <= 0xfa; c++) {
		say((uint8_t)c);
		assert_int_equal(keyboard_take(&kb), 0xfa);
	}
	assert_says(0x1c, 0xf0, 0x1c);
}

static void prefixes_go_with_their_code(void **state)
{
	(void)state;
	assert_true(keyboard_key(&kb, 0xe0));
	assert_false(keyboard_ready(&kb));
	assert_true(keyboard_type(&kb, 'a')); /* does not come between */
	assert_true(keyboard_key(&kb, 0x48));
	assert_says(0x1c, 0xf0, 0x1c, 0xe0, 0x75);
	assert_true(keyboard_key(&kb, 0xe1));
	assert_true(keyboard_key(&kb, 0xe0));
	assert_true(keyboard_key(&kb, 0xc8));
	assert_says(0xe0, 0xf0, 0x75);
	press_a();
	assert_says(0x1c, 0xf0, 0x1c);
	/* A key that begins while nobody scans has no end. */
	assert_true(keyboard_key(&kb, 0xe0));
	say(0xf5);
	say(0xf4);
	assert_says(0xfa);
	press_a();
	assert_says(0x1c, 0xf0, 0x1c);
	say(0xf5);
	assert_true(keyboard_key(&kb, 0xe0));
	say(0xf4);
	assert_says(0xfa);
	press_a();
	assert_says(0x1c, 0xf0, 0x1c);
}

static void complaints_are_no_keys(void **state)
{
	static const uint8_t bytes[] = {0x00, 0x80, 0xff};

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		assert_true(keyboard_key(&kb, bytes[i]));
		assert_false(keyboard_ready(&kb));
		assert_true(keyboard_key(&kb, 0xe0));
		assert_true(keyboard_key(&kb, bytes[i]));
		press_a();
		assert_says(0x1c, 0xf0, 0x1c);
	}
}

/* Each key goes to the buffer whole or not at all, whatever is free. */
static void keys_are_whole_or_refused(void **state)
{
	static const struct {
		uint8_t prefix, code, size;
		uint8_t bytes[3];
	} keys[] = {
		{0, 0x1e, 1, {0x1c}},
		{0, 0x9e, 2, {0xf0, 0x1c}},
		{0xe0, 0x48, 2, {0xe0, 0x75}},
		{0xe0, 0xc8, 3, {0xe0, 0xf0, 0x75}},
	};

	for (unsigned i = 0; i < 4; i++) {
		for (unsigned room = 0; room <= 3; room++) {
			setup(state);
			for (unsigned n = 0; n < KEYBOARD_KEYS_MAX - room; n++)
				assert_true(keyboard_key(&kb, 0x39));
			if (keys[i].prefix)
				assert_true(keyboard_key(&kb, keys[i].prefix));
			assert_int_equal(keyboard_key(&kb, keys[i].code), room >= keys[i].size);
			for (unsigned n = 0; n < KEYBOARD_KEYS_MAX - room; n++)
				assert_int_equal(keyboard_take(&kb), 0x29);
			if (room < keys[i].size)
				assert_true(keyboard_key(&kb, keys[i].code)); /* again, later */
			assert_sends(keys[i].bytes, keys[i].size);
		}
	}
}

static void typing_is_whole_or_refused(void **state)
{
	static const uint8_t expect[] = {0x14, 0x12, 0x36, 0xf0, 0x36, 0xf0, 0x12, 0xf0, 0x14};

	for (unsigned room = 0; room <= 10; room++) {
		setup(state);
		for (unsigned n = 0; n < KEYBOARD_KEYS_MAX - room; n++)
			assert_true(keyboard_key(&kb, 0x39));
		assert_int_equal(keyboard_type(&kb, 0x1e), room >= sizeof(expect));
		for (unsigned n = 0; n < KEYBOARD_KEYS_MAX - room; n++)
			assert_int_equal(keyboard_take(&kb), 0x29);
		if (room >= sizeof(expect))
			assert_sends(expect, sizeof(expect));
		else
			assert_false(keyboard_ready(&kb));
	}
}

/* A US keyboard's rows, by their first set 1 code. */
static const struct {
	uint8_t first;
	const char *plain, *shifted;
} rows[] = {
	{0x02, "1234567890-=", "!@#$%^&*()_+"},
	{0x10, "qwertyuiop[]", "QWERTYUIOP{}"},
	{0x1e, "asdfghjkl;'`", "ASDFGHJKL:\"~"},
	{0x2b, "\\zxcvbnm,./", "|ZXCVBNM<>?"},
	{0x39, " ", " "},
};

static void assert_types(uint8_t ascii, uint8_t key, bool shift, bool ctrl)
{
	uint8_t out[6];
	unsigned n = 0;

	if (ctrl)
		out[n++] = 0x1d;
	if (shift)
		out[n++] = 0x2a;
	out[n++] = key;
	out[n++] = key | 0x80;
	if (shift)
		out[n++] = 0xaa;
	if (ctrl)
		out[n++] = 0x9d;
	assert_true(keyboard_type(&kb, ascii));
	assert_sends(out, n);
}

static void typing_by_the_rows_of_a_keyboard(void **state)
{
	unsigned count = 0;

	(void)state;
	say(0xf0);
	say(1);
	assert_says(0xfa);
	for (unsigned r = 0; r < 5; r++) {
		for (unsigned i = 0; rows[r].plain[i]; i++) {
			const uint8_t key = (uint8_t)(rows[r].first + i);
			const char c = rows[r].plain[i];

			assert_types((uint8_t)c, key, false, false);
			count++;
			if (rows[r].shifted[i] != c) {
				assert_types((uint8_t)rows[r].shifted[i], key, true, false);
				count++;
			}
			if (c >= 'a' && c <= 'z' && !strchr("hijm", c))
				assert_types(c & 0x1f, key, false, true);
		}
	}
	assert_int_equal(count, 0x7f - 0x20);
}

static void typing_control_characters(void **state)
{
	(void)state;
	say(0xf0);
	say(1);
	assert_says(0xfa);
	assert_types(0x08, 0x0e, false, false);
	assert_types(0x7f, 0x0e, false, false);
	assert_types('\t', 0x0f, false, false);
	assert_types('\r', 0x1c, false, false);
	assert_types('\n', 0x1c, false, false);
	assert_types(0x1b, 0x01, false, false);
	assert_types(0x00, 0x03, true, true);
	assert_types(0x1c, 0x2b, false, true);
	assert_types(0x1d, 0x1b, false, true);
	assert_types(0x1e, 0x07, true, true);
	assert_types(0x1f, 0x0c, true, true);
	for (unsigned c = 0x80; c < 256; c++) {
		assert_true(keyboard_type(&kb, (uint8_t)c));
		assert_false(keyboard_ready(&kb));
	}
}

#define t(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		t(starts_scanning_in_set_2),
		t(echo_and_identify),
		t(lights),
		t(rate),
		t(scan_sets),
		t(a_parameter_is_waited_for_with_keys_held),
		t(a_command_in_place_of_a_parameter),
		t(a_new_command_silences_the_last),
		t(answers_go_before_keys),
		t(disable_and_enable),
		t(defaults),
		t(reset_tests_itself),
		t(resend_gives_the_last_byte),
		t(which_commands_there_are),
		t(set_all_keys_changes_nothing),
		t(prefixes_go_with_their_code),
		t(complaints_are_no_keys),
		t(keys_are_whole_or_refused),
		t(typing_is_whole_or_refused),
		t(typing_by_the_rows_of_a_keyboard),
		t(typing_control_characters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
