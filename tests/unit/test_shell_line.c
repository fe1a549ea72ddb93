/*
 * The shell's line editor, seen through a terminal: what is on its row, and where its cursor is.
 * needs: core/shell_line.c lib/text.c lib/printf.c
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <crvm/compiler.h>
#include "../../core/shell_line.h"
#include "shell_terminal.h"

#define PROMPT "crvm> "
#define WIDTH  (SHELL_LINE_COLUMNS - strlen(PROMPT))

static struct shell_line line;
static struct terminal term;

static void new_line(void)
{
	shell_line_begin(&line);
	terminal_reset(&term);
	shell_line_show(&line);
	terminal_take(&term, &line);
}

static int setup(void **state)
{
	(void)state;
	memset(&line, 0xee, sizeof(line));
	shell_line_init(&line, PROMPT);
	new_line();
	return 0;
}

/* After each byte the terminal shows what a new drawing would. */
static enum shell_line_event type_bytes(const char *bytes, size_t n)
{
	enum shell_line_event event = SHELL_LINE_NONE;
	char image[SHELL_LINE_IMAGE_MAX];
	struct terminal fresh;

	for (size_t i = 0; i < n; i++) {
		event = shell_line_byte(&line, (uint8_t)bytes[i]);
		terminal_take(&term, &line);
		if (event == SHELL_LINE_ENTER || event == SHELL_LINE_TOO_LONG)
			continue;
		shell_line_image(&line, image, sizeof(image));
		terminal_reset(&fresh);
		terminal_print(&fresh, image, strlen(image));
		assert_string_equal(terminal_row(&term), terminal_row(&fresh));
		assert_int_equal(term.column, fresh.column);
	}
	return event;
}

static enum shell_line_event type(const char *text)
{
	return type_bytes(text, strlen(text));
}

/* Row and cursor: the character under it is marked by ^ in `expected`, or it is at the end. */
static void shows(const char *expected)
{
	const char *mark = strchr(expected, '^');
	const size_t at = mark ? (size_t)(mark - expected) : strlen(expected);
	char text[SHELL_LINE_COLUMNS + 2];

	strcpy(text, expected);
	if (mark)
		memmove(text + at, text + at + 1, strlen(text + at));
	assert_string_equal(line.text, text);
	assert_int_equal(line.cursor, at);
	assert_memory_equal(terminal_row(&term), PROMPT, strlen(PROMPT));
	assert_string_equal(terminal_row(&term) + strlen(PROMPT), text);
	assert_int_equal(term.column, strlen(PROMPT) + at);
}

static void enters(const char *text)
{
	assert_int_equal(type("\r"), SHELL_LINE_ENTER);
	assert_string_equal(line.text, text);
	new_line();
}

static void test_typing_appends(void **state)
{
	(void)state;
	shows("");
	type("vms");
	shows("vms");
	assert_int_equal(line.length, 3);
	enters("vms");
	shows("");
}

static void test_echo_of_an_appended_character_is_one_byte(void **state)
{
	(void)state;
	type("vm");
	(void)shell_line_byte(&line, 's');
	assert_int_equal(line.out_length, 1);
	assert_int_equal(line.out[0], 's');
}

static void test_moving(void **state)
{
	(void)state;
	type("abc\x1b[D");
	shows("ab^c");
	type("\x1bOD\x02\x02\x02");
	shows("^abc");
	type("\x1b[C");
	shows("a^bc");
	type("\x06\x06\x06\x06");
	shows("abc");
	type("\x1b[H");
	shows("^abc");
	type("\x05");
	shows("abc");
	type("\x1b[1~");
	shows("^abc");
	type("\x1b[4~");
	shows("abc");
	type("\x1b[7~");
	shows("^abc");
	type("\x1b[8~");
	shows("abc");
	type("\x1bOH");
	shows("^abc");
	type("\x1b[F");
	shows("abc");
}

static void test_inserting_in_the_middle(void **state)
{
	(void)state;
	type("ac\x02"
	     "b");
	shows("ab^c");
	type("xy");
	shows("abxy^c");
	enters("abxyc");
}

static void test_erasing(void **state)
{
	(void)state;
	type("abcd\x7f");
	shows("abc");
	type("\x02\b");
	shows("a^c");
	type("\x1b[3~");
	shows("a");
	type("\x1b[3~\x04");
	shows("a");
	type("\x7f\x7f\x7f");
	shows("");
	type("xyz\x1b[H\x04");
	shows("^yz");
	type("\x7f");
	shows("^yz");
}

static void test_killing(void **state)
{
	(void)state;
	type("one two three");
	type("\x17");
	shows("one two ");
	type("\x17");
	shows("one ");
	type("two   \x17");
	shows("one ");
	type("two\x02\x02\x0b");
	shows("one t");
	type("\x02\x02\x15");
	shows("^ t");
	type("\x0b");
	shows("");
	type("\x17\x15\x0b");
	shows("");
	type("abc\x02\x03");
	shows("");
}

static void test_killing_a_word_in_the_middle_keeps_the_rest(void **state)
{
	(void)state;
	type("one two three\x1b[D\x1b[D\x1b[D\x1b[D\x1b[D\x17");
	shows("one ^three");
}

static void test_line_ends(void **state)
{
	(void)state;
	assert_int_equal(type("a\n"), SHELL_LINE_ENTER);
	new_line();
	assert_int_equal(type_bytes("b\r", 2), SHELL_LINE_ENTER);
	assert_string_equal(line.text, "b");
	new_line();
	assert_int_equal(shell_line_byte(&line, '\n'), SHELL_LINE_NONE); /* of CR LF */
	assert_int_equal(shell_line_byte(&line, '\n'), SHELL_LINE_ENTER);
	assert_int_equal(shell_line_byte(&line, '\r'), SHELL_LINE_ENTER);
	assert_int_equal(shell_line_byte(&line, '\r'), SHELL_LINE_ENTER);
}

static void test_enter_in_the_middle_takes_all(void **state)
{
	(void)state;
	type("abc\x1b[D\x1b[D");
	enters("abc");
}

static void test_other_bytes_are_ignored(void **state)
{
	(void)state;
	type("a");
	type_bytes("\0\x07\x0c\x12\x1c\x80\xc3\xa4\xff", 9);
	shows("a");
}

static void test_unknown_sequences_are_swallowed(void **state)
{
	(void)state;
	type("a\x1b[5~\x1b[15;2~\x1b[1;5P\x1bOP\x1bxb");
	shows("ab");
	type("\x1b[99999999999~c");
	shows("abc");
}

static void test_a_control_ends_a_sequence(void **state)
{
	(void)state;
	type("a\x1b[2");
	enters("a");
	type("b\x1b");
	enters("b");
	type("c\x1b[\x1b[D");
	shows("^c");
}

static void test_a_sequence_without_end_does_not_swallow_for_ever(void **state)
{
	(void)state;
	type("\x1b[0123456789012345678901234567890");
	assert_true(line.length > 10);
}

static void test_history(void **state)
{
	(void)state;
	type("one");
	enters("one");
	type("two");
	enters("two");
	type("dra\x1b[A");
	shows("two");
	type("\x10");
	shows("one");
	type("\x1b[A");
	shows("one");
	type("\x1b[B");
	shows("two");
	type("\x0e");
	shows("dra");
	type("\x1b[B");
	shows("dra");
	type("ft");
	shows("draft");
}

static void test_an_old_line_can_be_changed_and_is_remembered_anew(void **state)
{
	(void)state;
	type("one");
	enters("one");
	type("\x1b[A!");
	enters("one!");
	type("\x1b[A");
	shows("one!");
	type("\x1b[A");
	shows("one");
}

static void test_history_leaves_out_what_is_empty_or_the_same_again(void **state)
{
	(void)state;
	enters("");
	type("one");
	enters("one");
	enters("");
	type("one");
	enters("one");
	type("\x1b[A");
	shows("one");
	type("\x1b[A");
	shows("one");
	assert_int_equal(line.history_count, 1);
}

static void test_history_keeps_32_lines(void **state)
{
	char text[24];

	(void)state;
	for (int i = 0; i < 40; i++) {
		snprintf(text, sizeof(text), "line-%d", i);
		type(text);
		enters(text);
	}
	for (int i = 0; i < 50; i++)
		type("\x1b[A");
	shows("line-8");
	for (int i = 0; i < 30; i++)
		type("\x1b[B");
	shows("line-38");
	type("\x1b[B\x1b[B");
	shows("");
}

static void fill(char c, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		type_bytes(&c, 1);
}

static void test_a_long_line_is_shown_in_part(void **state)
{
	(void)state;
	fill('a', (unsigned)WIDTH - 1);
	assert_int_equal(terminal_row(&term)[strlen(PROMPT)], 'a');
	type("b");
	assert_int_equal(terminal_row(&term)[strlen(PROMPT)], '<');
	assert_true(strlen(terminal_row(&term)) <= SHELL_LINE_COLUMNS);
	type("\x1b[H");
	assert_int_equal(term.column, strlen(PROMPT));
	assert_int_equal(terminal_row(&term)[strlen(PROMPT)], 'a');
	fill('c', 50);
	assert_int_equal(terminal_row(&term)[SHELL_LINE_COLUMNS - 1], '>');
	assert_int_equal(line.length, WIDTH + 50);
}

static void test_the_cursor_never_leaves_the_row(void **state)
{
	(void)state;
	fill('a', 300);
	for (int i = 0; i < 310; i++) {
		type("\x1b[D");
		assert_in_range(term.column, strlen(PROMPT), SHELL_LINE_COLUMNS - 1);
	}
	assert_int_equal(line.cursor, 0);
	for (int i = 0; i < 310; i++) {
		type("\x1b[C");
		assert_in_range(term.column, strlen(PROMPT), SHELL_LINE_COLUMNS - 1);
	}
	assert_int_equal(line.cursor, 300);
}

static void test_enter_leaves_the_whole_of_a_long_line(void **state)
{
	(void)state;
	fill('a', 200);
	type("\x1b[H");
	terminal_reset(&term);
	assert_int_equal(shell_line_byte(&line, '\r'), SHELL_LINE_ENTER);
	assert_int_equal(line.out_length, 200);
	assert_memory_equal(line.out, line.text, 200);
}

static void test_too_long_a_line_is_not_run(void **state)
{
	(void)state;
	fill('x', SHELL_LINE_MAX - 1);
	assert_int_equal(type("\r"), SHELL_LINE_ENTER);
	new_line();
	type("short");
	enters("short");
	fill('x', SHELL_LINE_MAX);
	type("\x1b[A"); /* nor replaced, which would forget that its end is missing */
	assert_int_equal(line.length, SHELL_LINE_MAX - 1);
	assert_int_equal(type("\x7f\r"), SHELL_LINE_TOO_LONG);
	new_line();
	fill('x', SHELL_LINE_MAX);
	type("\x15ok");
	assert_int_equal(type("\r"), SHELL_LINE_ENTER);
	assert_string_equal(line.text, "ok");
}

static void test_tab_is_an_event_and_changes_nothing(void **state)
{
	(void)state;
	assert_int_equal(type("a\t"), SHELL_LINE_TAB);
	shows("a");
	shell_line_insert(&line, "bc ");
	terminal_take(&term, &line);
	shows("abc ");
}

static void test_a_bracketed_paste_has_no_completion(void **state)
{
	(void)state;
	assert_int_equal(type("\x1b[200~a\tb"), SHELL_LINE_NONE);
	shows("a b");
	assert_int_equal(type("\r"), SHELL_LINE_ENTER);
	new_line();
	assert_int_equal(type("c\x1b[201~"), SHELL_LINE_NONE);
	assert_int_equal(type("\t"), SHELL_LINE_TAB);
}

static void test_showing_again_keeps_text_and_cursor(void **state)
{
	(void)state;
	type("abc\x02");
	terminal_reset(&term);
	shell_line_show(&line);
	terminal_take(&term, &line);
	shows("ab^c");
}

#define t(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		t(test_typing_appends),
		t(test_echo_of_an_appended_character_is_one_byte),
		t(test_moving),
		t(test_inserting_in_the_middle),
		t(test_erasing),
		t(test_killing),
		t(test_killing_a_word_in_the_middle_keeps_the_rest),
		t(test_line_ends),
		t(test_enter_in_the_middle_takes_all),
		t(test_other_bytes_are_ignored),
		t(test_unknown_sequences_are_swallowed),
		t(test_a_control_ends_a_sequence),
		t(test_a_sequence_without_end_does_not_swallow_for_ever),
		t(test_history),
		t(test_an_old_line_can_be_changed_and_is_remembered_anew),
		t(test_history_leaves_out_what_is_empty_or_the_same_again),
		t(test_history_keeps_32_lines),
		t(test_a_long_line_is_shown_in_part),
		t(test_the_cursor_never_leaves_the_row),
		t(test_enter_leaves_the_whole_of_a_long_line),
		t(test_too_long_a_line_is_not_run),
		t(test_tab_is_an_event_and_changes_nothing),
		t(test_a_bracketed_paste_has_no_completion),
		t(test_showing_again_keeps_text_and_cursor),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
