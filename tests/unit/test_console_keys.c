/*
 * The key sequences of the console.
 * needs: core/console_keys.c
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "../../core/console_keys.h"

#define CTRL_A "\x01"

static struct console_keys keys;
static char seen[16384]; /* "<text>" for runs, else the action */
static unsigned calls;
static uint8_t first; /* of the last run */
static bool follow;   /* do what the console does: change the focus */

static void on_key(void *ctx, const struct console_key *key)
{
	static const char *const names[] = {
		[KEY_SHELL] = "shell ",	  [KEY_NEXT] = "next ",	    [KEY_PREV] = "prev ",
		[KEY_REPLAY] = "replay ", [KEY_SCREEN] = "screen ", [KEY_HELP] = "help ",
	};
	size_t at = strlen(seen);

	assert_ptr_equal(ctx, &keys);
	calls++;
	switch (key->action) {
	case KEY_BYTES:
		assert_true(key->n > 0);
		first = key->bytes[0];
		snprintf(seen + at, sizeof(seen) - at, "<%.*s> ", (int)key->n,
			 (const char *)key->bytes);
		break;
	case KEY_FOCUS:
		snprintf(seen + at, sizeof(seen) - at, "focus%u ", key->n);
		break;
	case KEY_UNKNOWN:
		assert_int_equal(key->n, 1);
		snprintf(seen + at, sizeof(seen) - at, "unknown%02x ", key->bytes[0]);
		break;
	default:
		snprintf(seen + at, sizeof(seen) - at, "%s", names[key->action]);
		break;
	}
	if (follow && key->action == KEY_SHELL)
		console_keys_set_focus(&keys, false);
	if (follow && key->action == KEY_FOCUS)
		console_keys_set_focus(&keys, true);
}

static void feed(const char *bytes, size_t n)
{
	console_keys_feed(&keys, (const uint8_t *)bytes, (uint32_t)n, on_key, &keys);
}

/* What `typed` leads to, in one piece and byte by byte; runs are then cut, so `apart` if given. */
static void expect(bool focus, const char *typed, const char *together, const char *apart)
{
	console_keys_init(&keys);
	console_keys_set_focus(&keys, focus);
	seen[0] = '\0';
	feed(typed, strlen(typed));
	assert_string_equal(seen, together);
	assert_false(keys.escape);

	console_keys_init(&keys);
	console_keys_set_focus(&keys, focus);
	seen[0] = '\0';
	for (size_t i = 0; typed[i]; i++)
		feed(typed + i, 1);
	assert_string_equal(seen, apart ? apart : together);
}

static int setup(void **state)
{
	(void)state;
	memset(&keys, 0xee, sizeof(keys));
	console_keys_init(&keys);
	seen[0] = '\0';
	calls = 0;
	follow = false;
	return 0;
}

static void test_begins_in_the_shell(void **state)
{
	(void)state;
	assert_false(keys.focus);
	assert_false(keys.escape);
	feed("", 0);
	assert_int_equal(calls, 0);
}

static void test_plain_bytes_pass_in_one_run(void **state)
{
	char paste[4096];

	(void)state;
	for (unsigned i = 0; i < sizeof(paste); i++)
		paste[i] = (char)(i % 94 + ' ' + 1);
	feed(paste, sizeof(paste));
	assert_int_equal(calls, 1);
	assert_memory_equal(seen + 1, paste, sizeof(paste));
}

static void test_all_bytes_but_one_are_plain(void **state)
{
	(void)state;
	for (unsigned focus = 0; focus < 2; focus++) {
		console_keys_set_focus(&keys, focus);
		for (unsigned v = 0; v < 256; v++) {
			const char byte = (char)v;

			if (v == 1)
				continue;
			calls = 0;
			seen[0] = '\0';
			first = CONSOLE_KEYS_ESCAPE;
			feed(&byte, 1);
			assert_int_equal(calls, 1);
			assert_int_equal(first, v);
		}
	}
}

static void test_keys_of_a_vm_in_focus(void **state)
{
	(void)state;
	expect(true, CTRL_A "s" CTRL_A "\x1b", "shell shell ", NULL);
	expect(true, CTRL_A "1" CTRL_A "5" CTRL_A "9", "focus1 focus5 focus9 ", NULL);
	expect(true, CTRL_A "n" CTRL_A "p", "next prev ", NULL);
	expect(true, CTRL_A "r" CTRL_A "v", "replay screen ", NULL);
	expect(true, CTRL_A "?" CTRL_A "h", "help help ", NULL);
	expect(true, CTRL_A "0" CTRL_A "x" CTRL_A "\n" CTRL_A "\xff",
	       "unknown30 unknown78 unknown0a unknownff ", NULL);
	expect(true, "12npsrv?h\x1b", "<12npsrv?h\x1b> ",
	       "<1> <2> <n> <p> <s> <r> <v> <?> <h> <\x1b> ");
}

static void test_keys_of_the_shell(void **state)
{
	(void)state;
	expect(false, CTRL_A "1" CTRL_A "9", "focus1 focus9 ", NULL);
	expect(false, CTRL_A "n" CTRL_A "p", "next prev ", NULL);
	expect(false, CTRL_A "?" CTRL_A "h", "help help ", NULL);
	expect(false, CTRL_A "s" CTRL_A "\x1b" CTRL_A "r" CTRL_A "v",
	       "unknown73 unknown1b unknown72 unknown76 ", NULL);
}

/* Every byte after Ctrl-A has exactly one effect, and none on what follows. */
static void test_every_second_byte(void **state)
{
	(void)state;
	for (unsigned focus = 0; focus < 2; focus++) {
		for (unsigned v = 0; v < 256; v++) {
			const char typed[4] = {1, (char)v, 'z', 0};

			setup(NULL);
			console_keys_set_focus(&keys, focus);
			feed(typed, 3);
			if (v == 1)
				assert_string_equal(seen, "<\x01z> ");
			else
				assert_int_equal(calls, 2);
			assert_string_equal(seen + strlen(seen) - 3, "z> ");
			assert_false(keys.escape);
		}
	}
}

static void test_ctrl_a_itself(void **state)
{
	(void)state;
	for (unsigned focus = 0; focus < 2; focus++) {
		expect(focus, CTRL_A CTRL_A, "<\x01> ", NULL);
		expect(focus,
		       CTRL_A "a"
			      "b",
		       "<\x01> <b> ", NULL);
		expect(focus, CTRL_A CTRL_A "xy", "<\x01xy> ", "<\x01> <x> <y> ");
		expect(focus, CTRL_A CTRL_A CTRL_A "n", "<\x01> next ", NULL);
		expect(focus, CTRL_A CTRL_A CTRL_A CTRL_A, "<\x01> <\x01> ", NULL);
	}
}

static void test_runs_around_sequences(void **state)
{
	(void)state;
	expect(true, "ab" CTRL_A "ncd" CTRL_A "2e", "<ab> next <cd> focus2 <e> ",
	       "<a> <b> next <c> <d> focus2 <e> ");
}

static void test_half_a_sequence_waits(void **state)
{
	(void)state;
	feed("x" CTRL_A, 2);
	assert_string_equal(seen, "<x> ");
	feed("", 0);
	assert_string_equal(seen, "<x> ");
	feed("3y", 2);
	assert_string_equal(seen, "<x> focus3 <y> ");
	feed(CTRL_A, 1);
	console_keys_set_focus(&keys, true); /* by other means: the new focus decides */
	feed("s", 1);
	assert_string_equal(seen, "<x> focus3 <y> shell ");
}

static void test_focus_changes_in_the_middle(void **state)
{
	(void)state;
	follow = true;
	feed(CTRL_A "v" CTRL_A "2" CTRL_A "v" CTRL_A "s" CTRL_A "v", 10);
	assert_string_equal(seen, "unknown76 focus2 screen shell unknown76 ");
	assert_false(keys.focus);
}

static void test_unknown_tells_the_key_within_the_paste(void **state)
{
	(void)state;
	feed("abc" CTRL_A "Qdef", 8);
	assert_string_equal(seen, "<abc> unknown51 <def> ");
}

#define t(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		t(test_begins_in_the_shell),
		t(test_plain_bytes_pass_in_one_run),
		t(test_all_bytes_but_one_are_plain),
		t(test_keys_of_a_vm_in_focus),
		t(test_keys_of_the_shell),
		t(test_every_second_byte),
		t(test_ctrl_a_itself),
		t(test_runs_around_sequences),
		t(test_half_a_sequence_waits),
		t(test_focus_changes_in_the_middle),
		t(test_unknown_tells_the_key_within_the_paste),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
