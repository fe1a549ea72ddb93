/*
 * One VM's console: the ring that overwrites, lines, raw output, replay and input. With
 * producer and consumer on two CPUs: test_vm_console_race.c.
 * needs: core/vm_console.c lib/ring.c lib/printf.c
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../core/vm_console.h"

static struct vm_console con;
static uint8_t *out_memory, *in_memory; /* of their exact sizes, so that ASan sees the ends */
static char seen[1 << 20];		/* lines, each with a '|' behind it */
static size_t seen_n;
static unsigned lines;

static void on_line(void *ctx, const char *text, uint32_t n)
{
	assert_ptr_equal(ctx, &con);
	assert_in_range(n, 0, VM_CONSOLE_COLUMNS);
	assert_int_equal(strlen(text), n);
	for (uint32_t i = 0; i < n; i++)
		assert_in_range(text[i], 0x20, 0x7e);
	assert_true(seen_n + n + 2 <= sizeof(seen));
	memcpy(seen + seen_n, text, n);
	seen_n += n;
	seen[seen_n++] = '|';
	seen[seen_n] = '\0';
	lines++;
}

static void on_bytes(void *ctx, const uint8_t *bytes, uint32_t n)
{
	assert_ptr_equal(ctx, &con);
	assert_true(n > 0 && seen_n + n <= sizeof(seen));
	memcpy(seen + seen_n, bytes, n);
	seen_n += n;
}

static void forget(void)
{
	seen_n = lines = 0;
	seen[0] = '\0';
}

static void build(uint32_t out_size, uint32_t in_size)
{
	free(out_memory);
	free(in_memory);
	out_memory = malloc(out_size);
	in_memory = malloc(in_size);
	assert_true(out_memory && in_memory);
	memset(&con, 0xee, sizeof(con));
	vm_console_init(&con, out_memory, out_size, in_memory, in_size);
	forget();
}

static int setup(void **state)
{
	(void)state;
	build(VM_CONSOLE_OUT_SIZE, VM_CONSOLE_IN_SIZE);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	free(out_memory);
	free(in_memory);
	out_memory = in_memory = NULL;
	return 0;
}

static void print_n(const char *text, size_t n)
{
	for (size_t i = 0; i < n; i++)
		(void)vm_console_put(&con, (uint8_t)text[i]);
}

static void print(const char *text)
{
	print_n(text, strlen(text));
}

static void show(void)
{
	for (unsigned i = 0; vm_console_lines(&con, on_line, &con); i++)
		assert_true(i < 100);
}

/* What the lines are after `text`, from an empty console, together with the unfinished one. */
static void expect(const char *text, const char *expected)
{
	build(4096, 16);
	print(text);
	show();
	if (vm_console_partial(&con))
		seen[seen_n++] = '>';
	vm_console_flush_partial(&con, on_line, &con);
	assert_false(vm_console_partial(&con));
	assert_string_equal(seen, expected);
}

static void test_lines_end_by_lf_in_all_its_forms(void **state)
{
	(void)state;
	expect("one\ntwo\r\nthree\n", "one|two|three|");
	expect("\n\r\n\n", "|||");
	expect("a\r\r\nb\n\rc\n", "a|b|c|");
	expect("a\vb\fc\n", "a|b|c|");
}

static void test_unfinished_line_is_kept_back(void **state)
{
	(void)state;
	print("boot\nlogin: ");
	show();
	assert_string_equal(seen, "boot|");
	assert_true(vm_console_partial(&con));
	print("root\n");
	show();
	assert_string_equal(seen, "boot|login: root|");
	assert_false(vm_console_partial(&con));
	print("$");
	show();
	assert_true(vm_console_partial(&con));
}

static void test_flushed_prompt_and_what_follows(void **state)
{
	(void)state;
	print("$ ");
	show();
	assert_int_equal(vm_console_printed(&con), 2);
	assert_true(vm_console_partial(&con));
	vm_console_flush_partial(&con, on_line, &con);
	assert_string_equal(seen, "$ |");
	vm_console_flush_partial(&con, on_line, &con);
	assert_int_equal(lines, 1); /* once */
	print("ls\n");
	show();
	assert_string_equal(seen, "$ |ls|");
	print("$ ");
	show();
	vm_console_flush_partial(&con, on_line, &con);
	print("\r\n\n");
	show();
	assert_string_equal(seen, "$ |ls|$ ||"); /* its own end is no line, a second one is */
}

static void test_carriage_return_overwrites(void **state)
{
	(void)state;
	expect("12345\rab\n", "ab345|");
	expect("10%\r20%\r100%\n", "100%|");
	expect("working\r       \rdone\n", "done|");
	expect("working\r       \r\n", "|");
}

static void test_backspace(void **state)
{
	(void)state;
	expect("lx\bs\n", "ls|");
	expect("$ lsx\b \b", ">$ ls|");
	expect("$ x\b \b", ">$ |");
	expect("\b\b\ba\n", "a|");
	expect("abc\b\b\b\b\bX\n", "Xbc|");
}

static void test_tabs_go_to_every_eighth_column(void **state)
{
	(void)state;
	expect("a\tb\n", "a       b|");
	expect("1234567\tb\n", "1234567 b|");
	expect("12345678\tb\n", "12345678        b|");
	expect("abcdefghij\r\tX\n", "abcdefghXj|"); /* over text: it stays */
}

static void test_other_controls_vanish(void **state)
{
	char text[40] = "";
	size_t n = 0;

	(void)state;
	for (char c = 1; c < 0x20; c++)
		if (!strchr("\b\t\n\v\f\r\033", c))
			text[n++] = c;
	text[n++] = 0x7f;
	memcpy(text + n, "ok\n", 4);
	expect(text, "ok|");
	print_n("a\0b\n", 4);
	forget();
	show();
	assert_string_equal(seen, "ab|");
}

static void test_escape_sequences_vanish(void **state)
{
	(void)state;
	expect("\033[31mred\033[0m \033[1;33;40mbold\033[m\n", "red bold|");
	expect("\033c\033(B\033)0\033=\033>\0337\0338\033Mok\n", "ok|");
	expect("\033[?25l\033[6n\033[>c\033[!p\033[4 qok\n", "ok|");
	expect("\033]0;title\aok\n", "ok|");
	expect("\033]52;c;cm0gLXJm\033\\ok\n", "ok|");
	expect("\033Pdcs\033\\\033Xsos\033\\\033^pm\033\\\033_apc\033\\ok\n", "ok|");
	expect("\033[2\033[1mok\n", "ok|");   /* one inside another */
	expect("\033]0;x\033[1mok\n", "ok|"); /* a string without end */
	expect("\033\033[1mok\n", "ok|");
	expect("\033[12", "");
	expect("\033[4@ok\n\0330ok\n", "ok|ok|"); /* the first of the final bytes */
	expect("\033[1;31;40m\033[1;31;40m\033[1;31;40m\033[1;31;40m\033[1;31;40m\033[1;31;40m"
	       "\033[1;31;40m\033[1;31;40m\033[1;31;40m\033[1;31;40mok\n",
	       "ok|");
}

static void test_controls_break_sequences_off(void **state)
{
	(void)state;
	expect("a\033[12\nb\033\nc\033]0;x\nd\n", "a|b|c|d|");
	expect("a\033[1\030b\n", "ab|");
	expect("a\033[1\177b\033[1\303\251c\n", "ab?c|");
}

static void test_endless_sequences_end(void **state)
{
	char text[4096];

	(void)state;
	memset(text, ';', sizeof(text));
	memcpy(text, "\033[", 2);
	memcpy(text + 100, "m\nshown\n", 9);
	expect(text, ";;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;m|shown|");
	memset(text, 'x', sizeof(text));
	memcpy(text, "\033]", 2);
	memcpy(text + 1030, "\nshown\n", 8);
	expect(text, "xxx|shown|");
	memset(text, ' ', sizeof(text));
	memcpy(text, "\033", 1);
	memcpy(text + 100, "\nshown\n", 8);
	build(4096, 16);
	print(text);
	show();
	assert_int_equal(lines, 2);
	assert_string_equal(seen + seen_n - 7, "|shown|");
}

static void test_erasing_and_moving_in_the_line(void **state)
{
	(void)state;
	expect("working\r\033[Kok\n", "ok|");
	expect("12345\b\b\033[K\n", "123|");
	expect("12345\b\b\033[0J\n", "123|");
	expect("12345\b\b\033[1Kx\n", "123x5|"); /* the other side is left alone */
	expect("12345\033[2Kx\n", "     x|");
	expect("ab\033[3Cc\n", "ab   c|");
	expect("\033[1;2m\033[10Cc\n", "          c|");
	expect("abc\r\033[CX\n", "aXc|");
	expect("abcdef\033[4DX\033[DY\n", "abYdef|");
	expect("ab\033[99999DX\n", "Xb|");
}

static void test_moves_are_bounded(void **state)
{
	(void)state;
	build(4096, 16);
	print("\033[18446744073709551617CX\n");
	show();
	assert_int_equal(lines, 2); /* the edge is column 200 */
	assert_int_equal(seen_n, VM_CONSOLE_COLUMNS + 1 + 2);
	expect("\033[3;1Cx\n", "   x|"); /* the first number counts */
}

static void test_moves_to_other_lines_end_this_one(void **state)
{
	(void)state;
	expect("\033[2J\033[1;1Htitle   \033[2;1Hline\033[24;80H\033[5dend\n", "title|line|end|");
	expect("abc\033[2Jx\n", "abc|x|");
	expect("a\033[Ab\033[Bc\033[Ed\033[Fe\033[1;1ff\n", "a|b|c|d|e|f|");
	expect("   \033[H\n", "");
}

static void test_bytes_above_ascii(void **state)
{
	(void)state;
	expect("caf\303\251 \342\202\254 \360\237\230\200!\n", "caf? ? ?!|");
	expect("\233[31mx\n", "?[31mx|"); /* an 8-bit CSI must not reach the terminal */
	expect("\302\233[31mx\n", "?[31mx|");
	expect("\377\376\200\277\n", "????|");
	expect("\303\251\251\303\300\365\200\n", "??????|"); /* one too many, none, no such */
	expect("\340\240\200\200 \342\202\254\254 \360\237\230\200\200\n", "?? ?? ??|");
	expect("\303a\303\n\251\n", "?a?|?|"); /* cut characters */
	expect("\304\304\304\304\n", "????|"); /* no UTF-8, but lines of a box */
}

static void test_long_lines_are_cut(void **state)
{
	char text[1001];

	(void)state;
	for (unsigned i = 0; i < 1000; i++)
		text[i] = (char)('a' + i % 26);
	text[1000] = '\0';
	print(text);
	print("\nend\n");
	show();
	assert_int_equal(lines, 6);
	for (unsigned i = 0; i < 5; i++) {
		assert_memory_equal(seen + 201 * i, text + 200 * i, 200);
		assert_int_equal(seen[201 * i + 200], '|');
	}
	assert_string_equal(seen + 5 * 201, "end|");
	forget();
	text[200] = '\0';
	print(text);
	print("\t\rx\n");
	show();
	assert_int_equal(lines, 1); /* exactly full, and overwritten at its beginning */
	assert_memory_equal(seen + 1, text + 1, 199);
	assert_int_equal(seen[0], 'x');
}

static void test_put_says_when_to_wake(void **state)
{
	uint8_t buf[8];

	(void)state;
	assert_true(vm_console_put(&con, 'a'));
	assert_false(vm_console_put(&con, 'b'));
	show();
	assert_true(vm_console_put(&con, 'c'));
	assert_false(vm_console_put(&con, 'd'));
	assert_int_equal(vm_console_raw(&con, buf, 1), 1);
	assert_false(vm_console_put(&con, 'e'));
	assert_int_equal(vm_console_raw(&con, buf, 8), 2);
	assert_true(vm_console_put(&con, 'f'));
	vm_console_replay(&con, on_bytes, &con);
	assert_true(vm_console_put(&con, 'g'));
}

static void test_lines_come_in_batches(void **state)
{
	unsigned calls = 1;

	(void)state;
	for (unsigned i = 0; i < 6000; i++)
		print("123456789\n");
	while (vm_console_lines(&con, on_line, &con))
		calls++;
	assert_int_equal(lines, 6000);
	assert_in_range(calls, 100, 400);
	assert_false(vm_console_lines(&con, on_line, &con));
}

static void test_lost_bytes_are_told_once(void **state)
{
	(void)state;
	build(64, 16);
	print("unfinished");
	show();
	for (unsigned i = 0; i < 10; i++)
		print("lost....\n"); /* 90 bytes; 63 of them are still there */
	show();
	assert_string_equal(seen, "unfinished|[27 bytes lost]|lost....|lost....|lost....|lost....|"
				  "lost....|lost....|lost....|");
	forget();
	print("next\n");
	show();
	assert_string_equal(seen, "next|");
	assert_int_equal(vm_console_take_lost(&con), 0);
}

static void test_a_full_ring_has_lost_one_byte(void **state)
{
	uint8_t buf[64];

	(void)state;
	build(64, 16);
	for (unsigned i = 0; i < 63; i++)
		(void)vm_console_put(&con, (uint8_t)i);
	assert_int_equal(vm_console_raw(&con, buf, 64), 63);
	assert_int_equal(vm_console_take_lost(&con), 0);
	for (unsigned i = 0; i < 64; i++)
		(void)vm_console_put(&con, (uint8_t)i);
	assert_int_equal(vm_console_raw(&con, buf, 64), 63);
	assert_int_equal(buf[0], 1);
	assert_int_equal(buf[62], 63);
	assert_int_equal(vm_console_take_lost(&con), 1);
	assert_int_equal(vm_console_take_lost(&con), 0);
	build(64, 16);
	for (unsigned i = 0; i < 64; i++)
		(void)vm_console_put(&con, (uint8_t)i);
	assert_int_equal(vm_console_raw(&con, buf, 64), 63);
	assert_int_equal(buf[0], 1);
}

static void test_raw_begins_after_what_is_lost(void **state)
{
	uint8_t buf[4];

	(void)state;
	build(64, 16);
	for (unsigned i = 0; i < 200; i++)
		(void)vm_console_put(&con, (uint8_t)i);
	assert_int_equal(vm_console_raw(&con, buf, 4), 4); /* nothing of the first 4 is left */
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(buf[i], 137 + i);
	assert_int_equal(vm_console_take_lost(&con), 137);
}

/* A sequence that lost its end must not swallow what comes after the loss. */
static void test_loss_ends_sequences(void **state)
{
	(void)state;
	build(64, 16);
	print("\033]0;");
	show();
	for (unsigned i = 0; i < 100; i++)
		print("x");
	print("\n");
	show();
	assert_string_equal(seen,
			    "[38 bytes lost]|"
			    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx|");
}

static void test_raw_is_unmodified_and_moves_on(void **state)
{
	static const char text[] = "\033[2J\0\377a\r\nb\b\t";
	uint8_t buf[32];

	(void)state;
	assert_int_equal(vm_console_raw(&con, buf, sizeof(buf)), 0);
	print("line\n");
	show();
	print_n(text, sizeof(text));
	assert_int_equal(vm_console_raw(&con, buf, 0), 0);
	assert_int_equal(vm_console_raw(&con, buf, 5), 5);
	assert_memory_equal(buf, text, 5);
	assert_int_equal(vm_console_raw(&con, buf, sizeof(buf)), sizeof(text) - 5);
	assert_memory_equal(buf, text + 5, sizeof(text) - 5);
	assert_int_equal(vm_console_raw(&con, buf, sizeof(buf)), 0);
	print("after\n");
	show();
	assert_string_equal(seen, "line|after|");
}

static void test_raw_drops_an_unfinished_line(void **state)
{
	uint8_t buf[8];

	(void)state;
	print("half\033[");
	show();
	assert_true(vm_console_partial(&con));
	assert_int_equal(vm_console_raw(&con, buf, 8), 0);
	assert_true(vm_console_partial(&con)); /* nothing new: nothing happened */
	print("\033[31");
	assert_int_equal(vm_console_raw(&con, buf, 8), 4);
	assert_false(vm_console_partial(&con));
	print("mid\n");
	show();
	assert_string_equal(seen, "mid|");
}

static void test_replay_gives_all_that_is_left(void **state)
{
	uint8_t buf[8];

	(void)state;
	build(1024, 16);
	vm_console_replay(&con, on_bytes, &con);
	assert_int_equal(seen_n, 0);
	print("shown\n");
	show();
	forget();
	print("new\033[1m");
	vm_console_replay(&con, on_bytes, &con);
	assert_int_equal(seen_n, 13);
	assert_memory_equal(seen, "shown\nnew\033[1m", 13);
	assert_int_equal(vm_console_raw(&con, buf, 8), 0); /* all counts as shown */
	assert_int_equal(vm_console_take_lost(&con), 0);
	forget();
	for (unsigned i = 0; i < 3000; i++)
		(void)vm_console_put(&con, (uint8_t)(i % 251));
	vm_console_replay(&con, on_bytes, &con);
	assert_int_equal(seen_n, 1023);
	for (unsigned i = 0; i < 1023; i++)
		assert_int_equal((uint8_t)seen[i], (3000 - 1023 + i) % 251);
	assert_int_equal(vm_console_take_lost(&con), 3000 - 1023);
	forget();
	vm_console_replay(&con, on_bytes, &con); /* as often as one likes */
	assert_int_equal(seen_n, 1023);
	assert_int_equal(vm_console_take_lost(&con), 0);
}

static void test_input(void **state)
{
	uint8_t text[100];

	(void)state;
	build(64, 64);
	for (unsigned i = 0; i < sizeof(text); i++)
		text[i] = (uint8_t)(i + 200);
	assert_int_equal(vm_console_next(&con), -1);
	assert_int_equal(vm_console_type(&con, text, 0), 0);
	assert_int_equal(vm_console_type(&con, text, 40), 40);
	assert_int_equal(vm_console_type(&con, text + 40, 60), 24);
	assert_int_equal(vm_console_type(&con, text, 1), 0);
	for (unsigned i = 0; i < 64; i++)
		assert_int_equal(vm_console_next(&con), (uint8_t)(i + 200)); /* 0 and 255 too */
	assert_int_equal(vm_console_next(&con), -1);
	assert_int_equal(vm_console_type(&con, text, 100), 64);
	assert_int_equal(vm_console_printed(&con), 0);
}

#define t(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		t(test_lines_end_by_lf_in_all_its_forms),
		t(test_unfinished_line_is_kept_back),
		t(test_flushed_prompt_and_what_follows),
		t(test_carriage_return_overwrites),
		t(test_backspace),
		t(test_tabs_go_to_every_eighth_column),
		t(test_other_controls_vanish),
		t(test_escape_sequences_vanish),
		t(test_controls_break_sequences_off),
		t(test_endless_sequences_end),
		t(test_erasing_and_moving_in_the_line),
		t(test_moves_are_bounded),
		t(test_moves_to_other_lines_end_this_one),
		t(test_bytes_above_ascii),
		t(test_long_lines_are_cut),
		t(test_put_says_when_to_wake),
		t(test_lines_come_in_batches),
		t(test_lost_bytes_are_told_once),
		t(test_a_full_ring_has_lost_one_byte),
		t(test_raw_begins_after_what_is_lost),
		t(test_loss_ends_sequences),
		t(test_raw_is_unmodified_and_moves_on),
		t(test_raw_drops_an_unfinished_line),
		t(test_replay_gives_all_that_is_left),
		t(test_input),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
