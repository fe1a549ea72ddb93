/*
 * What scan codes of the machine's keyboard mean: ps2kbd_decode, a pure function.
 * needs: arch/x86_64/ps2kbd.c lib/ring.c devices/keyboard.c
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <crvm/devices/keyboard.h>
#include <crvm/ps2kbd.h>
#include <crvm/time.h>
#include "ram.h"

void time_delay_us(unsigned us)
{
	fail_msg("delay of %u us on real ports", us);
}

static struct ps2kbd_decoder d;

static int setup(void **state)
{
	(void)state;
	memset(&d, 0, sizeof(d));
	return 0;
}

/* Sends codes up to the first 0; `text` is what they make, n its length. */
static void check_codes(const uint8_t *codes, const char *text, unsigned n)
{
	char got[64], out[PS2KBD_TEXT_MAX];
	unsigned len = 0;

	for (; *codes; codes++) {
		const unsigned count = ps2kbd_decode(&d, *codes, out);

		assert_in_range(count, 0, PS2KBD_TEXT_MAX);
		memcpy(got + len, out, count);
		len += count;
		assert_in_range(len, 0, 60);
	}
	assert_int_equal(len, n);
	assert_memory_equal(got, text, n);
}

#define check(text, ...)                                               \
	do {                                                           \
		static const uint8_t codes_[] = {__VA_ARGS__, 0};      \
		check_codes(codes_, text, (unsigned)sizeof(text) - 1); \
	} while (0)

/* Every character, typed by the model of the keyboard that guests get. */
static void every_character_comes_back(void **state)
{
	struct keyboard kb;

	(void)state;
	keyboard_init(&kb);
	keyboard_write(&kb, 0xf0);
	keyboard_write(&kb, 1);
	(void)keyboard_take(&kb);
	for (unsigned c = 0; c < 128; c++) {
		char got[8], out[PS2KBD_TEXT_MAX];
		unsigned len = 0;

		assert_true(keyboard_type(&kb, (uint8_t)c));
		while (keyboard_ready(&kb)) {
			const unsigned n = ps2kbd_decode(&d, keyboard_take(&kb), out);

			memcpy(got + len, out, n);
			len += n;
			assert_in_range(len, 0, 4);
		}
		assert_int_equal(len, 1);
		assert_int_equal(got[0], c == '\n' ? '\r' : c == '\b' ? 0x7f : c);
	}
}

static void letters_with_shift_and_lock(void **state)
{
	(void)state;
	check("a", 0x1e, 0x9e);
	check("A", 0x2a, 0x1e, 0x9e, 0xaa);
	check("A", 0x36, 0x1e, 0x9e, 0xb6);
	check("AA", 0x2a, 0x36, 0x1e, 0xaa, 0x1e, 0xb6); /* either of them is enough */
	check("a", 0x1e);
	check("A1", 0x3a, 0xba, 0x1e, 0x02);
	check("a!", 0x2a, 0x1e, 0x02, 0xaa);
	check("a", 0x3a, 0x3a, 0x3a, 0x3a, 0xba, 0x1e); /* held down, it repeats */
	check("aaa", 0x1e, 0x1e, 0x1e);
}

static void control_characters(void **state)
{
	(void)state;
	check("\003", 0x1d, 0x2e, 0xae, 0x9d);
	check("\003", 0xe0, 0x1d, 0x2e, 0xae, 0xe0, 0x9d);
	check("\003\003", 0x1d, 0xe0, 0x1d, 0x2e, 0x9d, 0x2e, 0xe0, 0x9d);
	check("c", 0x2e);
	check("\003", 0x3a, 0xba, 0x1d, 0x2e, 0x9d); /* lock or not */
	check("c", 0x3a, 0xba, 0x2e);
	check("\0\036\037\037\034\035\033\0", 0x1d, 0x03, 0x07, 0x0c, 0x35, 0x2b, 0x1b, 0x1a, 0x39);
	check("\0\036\037", 0x2a, 0x03, 0x07, 0x0c, 0xaa);
	check("1;\r\t\177\033", 0x02, 0x27, 0x1c, 0x0f, 0x0e, 0x01);
	check("", 0x9d);
}

static void gray_keys(void **state)
{
	(void)state;
	check("\033[A", 0xe0, 0x48, 0xe0, 0xc8);
	check("\033[B\033[C\033[D", 0xe0, 0x50, 0xe0, 0x4d, 0xe0, 0x4b);
	check("\033[H\033[F", 0xe0, 0x47, 0xe0, 0x4f);
	check("\033[2~\033[3~", 0xe0, 0x52, 0xe0, 0x53);
	check("\033[5~\033[6~", 0xe0, 0x49, 0xe0, 0x51);
	check("/\r", 0xe0, 0x35, 0xe0, 0x1c);
	check("", 0xe0, 0x4a, 0xe0, 0x4e, 0xe0, 0x4c); /* there are no such keys */
	check("", 0xe0, 0x5b, 0xe0, 0x5c, 0xe0, 0x5d, 0xe0, 0x38, 0xe0, 0x10, 0xe0, 0x1e);
	check("\033[Aa", 0xe0, 0x2a, 0xe0, 0x48, 0xe0, 0xc8, 0xe0, 0xaa, 0x1e); /* a false Shift */
	check("A", 0x2a, 0xe0, 0xaa, 0xe0, 0xb6, 0x1e, 0xaa);
}

static void keypad(void **state)
{
	(void)state;
	check("789-456+1230.*", 0x47, 0x48, 0x49, 0x4a, 0x4b, 0x4c, 0x4d, 0x4e, 0x4f, 0x50, 0x51,
	      0x52, 0x53, 0x37);
	check("\033[A-+", 0x2a, 0x48, 0x4a, 0x4e, 0xaa);
	check("\033[H\033[A\033[5~-\033[D\033[C+\033[F\033[B\033[6~\033[2~\033[3~", 0x45, 0x45,
	      0xc5, 0x47, 0x48, 0x49, 0x4a, 0x4b, 0x4c, 0x4d, 0x4e, 0x4f, 0x50, 0x51, 0x52, 0x53);
}

static void keypad_without_lock_deletes(void **state)
{
	(void)state;
	check("\033[3~.", 0x45, 0xc5, 0x53, 0x36, 0x53);
}

static void keys_without_meaning(void **state)
{
	char out[PS2KBD_TEXT_MAX];

	(void)state;
	check("", 0x38, 0x3b, 0x44, 0x46, 0x54, 0x55, 0x57, 0x58, 0x59, 0x7f);
	check("\\|", 0x56, 0x2a, 0x56, 0xaa);
	for (unsigned c = 0x80; c < 0xe0; c++)
		assert_int_equal(ps2kbd_decode(&d, (uint8_t)c, out), 0);
	assert_int_equal(ps2kbd_decode(&d, 0, out), 0);
	check("a", 0xfa, 0xfe, 0xff, 0xee, 0x1e);
}

static void pause_is_skipped(void **state)
{
	(void)state;
	check("a", 0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5, 0x1e);
	check("7", 0x47);
	check("b", 0xe0, 0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5, 0x30);
}

/* Whatever comes: bounded answers, a state that makes sense, and it can be left again. */
static void any_codes(void **state)
{
	uint64_t seed = 42;

	(void)state;
	for (unsigned i = 0; i < 200000; i++) {
		char out[PS2KBD_TEXT_MAX];
		const unsigned n = ps2kbd_decode(&d, (uint8_t)(fake_random(&seed) >> 40), out);

		assert_in_range(n, 0, PS2KBD_TEXT_MAX);
		assert_true(n < 2 || (out[0] == '\033' && out[1] == '['));
		assert_in_range(d.shift, 0, 3);
		assert_in_range(d.ctrl, 0, 3);
		assert_in_range(d.skip, 0, 2);
		for (unsigned j = 0; j < n; j++)
			assert_in_range((uint8_t)out[j], 0, 0x7f);
	}
	d.caps = false;
	check("a", 0xaa, 0xaa, 0xaa, 0xb6, 0x9d, 0xe0, 0x9d, 0x9e, 0x1e);
}

#define t(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		t(every_character_comes_back),
		t(letters_with_shift_and_lock),
		t(control_characters),
		t(gray_keys),
		t(keypad),
		t(keypad_without_lock_deletes),
		t(keys_without_meaning),
		t(pause_is_skipped),
		t(any_codes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
