/*
 * The host's screen: the terminal with recorded operations, the copy of the characters in RAM. VGA
 * text has test_screen_text.c, the framebuffer test_screen_fb.c.
 * needs: arch/x86_64/screen.c arch/x86_64/screen_cells.c
 * needs: arch/x86_64/screen_text.c arch/x86_64/screen_fb.c
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "../../arch/x86_64/screen_priv.h"

const uint8_t *screen_font_glyph(uint8_t c)
{
	static const uint8_t none[SCREEN_GLYPH_HEIGHT];

	(void)c;
	return none;
}

void screen_crtc_write(uint8_t index, uint8_t value)
{
	fail_msg("CRTC register %x = %x", index, value);
}

/* ---- the terminal, over operations that write down what they are told ---- */

static char record[4096];
static char picture[8][16]; /* of a screen of at most 8 rows of 15 columns */
static unsigned pic_columns, pic_rows;

static void note(const char *fmt, ...) printf_like(1, 2);

static void note(const char *fmt, ...)
{
	size_t at = strlen(record);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(record + at, sizeof(record) - at, fmt, ap);
	va_end(ap);
}

static void rec_put(void *ctx, unsigned x, unsigned y, const char *s, unsigned n,
		    enum screen_color color)
{
	assert_ptr_equal(ctx, picture);
	assert_true(n > 0 && x < pic_columns && n <= pic_columns - x && y < pic_rows);
	memcpy(&picture[y][x], s, n);
	note("%u,%u%s'%.*s' ", x, y, color == SCREEN_ERROR ? "!" : "", (int)n, s);
}

static void rec_scroll(void *ctx)
{
	assert_ptr_equal(ctx, picture);
	memmove(picture[0], picture[1], sizeof(picture[0]) * (pic_rows - 1));
	memset(picture[pic_rows - 1], ' ', pic_columns);
	note("scroll ");
}

static void rec_clear(void *ctx)
{
	(void)ctx;
	fail();
}

static void rec_cursor(void *ctx, unsigned x, unsigned y)
{
	assert_ptr_equal(ctx, picture);
	assert_true(x < pic_columns && y < pic_rows);
	note("@%u,%u ", x, y);
}

static const struct screen_ops rec_ops = {rec_put, rec_scroll, rec_clear, rec_cursor, picture};

static struct screen terminal(unsigned columns, unsigned rows)
{
	record[0] = '\0';
	memset(picture, 0, sizeof(picture));
	for (unsigned y = 0; y < rows; y++)
		memset(picture[y], ' ', columns);
	pic_columns = columns;
	pic_rows = rows;
	return (struct screen){.ops = &rec_ops, .columns = columns, .rows = rows};
}

static void expect_record(const char *want)
{
	assert_string_equal(record, want);
	record[0] = '\0';
}

static void say(struct screen *s, const char *text)
{
	screen_write(s, text, strlen(text), SCREEN_NORMAL);
}

static void text_is_put_in_runs(void **state)
{
	struct screen s = terminal(10, 3);

	(void)state;
	say(&s, "abc");
	expect_record("0,0'abc' @3,0 ");
	say(&s, "de\nf");
	expect_record("3,0'de' 0,1'f' @1,1 ");
	screen_write(&s, "bad", 3, SCREEN_ERROR);
	expect_record("1,1!'bad' @4,1 ");
	screen_write(&s, "xyz", 0, SCREEN_NORMAL);
	expect_record("");
}

static void full_line_wraps_with_the_next_character(void **state)
{
	struct screen s = terminal(5, 3);

	(void)state;
	say(&s, "12345");
	expect_record("0,0'12345' @4,0 ");
	say(&s, "\n"); /* leaves no empty line */
	expect_record("@0,1 ");
	say(&s, "abcdefg");
	expect_record("0,1'abcde' 0,2'fg' @2,2 ");
}

static void last_line_scrolls(void **state)
{
	struct screen s = terminal(5, 3);

	(void)state;
	say(&s, "1\n2\n3\n");
	expect_record("0,0'1' 0,1'2' 0,2'3' scroll @0,2 ");
	say(&s, "four!five!");
	expect_record("0,2'four!' scroll 0,2'five!' @4,2 ");
	assert_string_equal(picture[0], "3    ");
	assert_string_equal(picture[1], "four!");
	assert_string_equal(picture[2], "five!");
}

static void control_characters(void **state)
{
	struct screen s = terminal(12, 3);

	(void)state;
	say(&s, "ab\rc");
	expect_record("0,0'ab' 0,0'c' @1,0 ");
	say(&s, "\rxyz\b\bY");
	expect_record("0,0'xyz' 1,0'Y' @2,0 ");
	say(&s, "\r\b\bq");
	expect_record("0,0'q' @1,0 ");
	say(&s, "\tt");
	expect_record("8,0't' @9,0 ");
	say(&s, "\tw"); /* no more stops: waits at the end, then wraps */
	expect_record("0,1'w' @1,1 ");
	say(&s, "\r\tu");
	expect_record("8,1'u' @9,1 ");
	say(&s, "\t\t\n");
	expect_record("@0,2 ");
}

static void erasing_at_the_end_of_a_full_line(void **state)
{
	struct screen s = terminal(4, 2);

	(void)state;
	say(&s, "abcd");
	say(&s, "\b \b");
	assert_string_equal(picture[0], "abc ");
	say(&s, "e");
	assert_string_equal(picture[0], "abce");
	assert_string_equal(picture[1], "    ");
}

static void everything_else_is_a_question_mark(void **state)
{
	struct screen s = terminal(15, 8);
	char c;

	(void)state;
	say(&s, "a\x1b[0m\x7f");
	expect_record("0,0'a' 1,0'?' 2,0'[0m' 5,0'?' @6,0 ");
	for (unsigned v = 0; v < 256; v++) {
		if (v == '\n' || v == '\r' || v == '\b' || v == '\t')
			continue;
		s.x = 0;
		s.y = 0;
		c = (char)v;
		screen_write(&s, &c, 1, SCREEN_NORMAL);
		assert_int_equal(picture[0][0], v >= 0x20 && v < 0x7f ? (int)v : '?');
	}
	screen_write(&s, "\0\0", 2, SCREEN_NORMAL);
	assert_memory_equal(picture[0] + 1, "??", 2);
}

static void single_cell_screen(void **state)
{
	struct screen s = terminal(1, 1);

	(void)state;
	say(&s, "ab\n\t\b\rc");
	assert_string_equal(picture[0], "c");
}

static void no_screen_does_nothing(void **state)
{
	struct screen s = {0};

	(void)state;
	record[0] = '\0';
	say(&s, "hello\n");
	assert_int_equal(s.x + s.y, 0);
}

static void random_text_stays_inside(void **state)
{
	struct screen s = terminal(15, 8);
	char text[64];

	(void)state;
	srand(1);
	for (unsigned i = 0; i < 5000; i++) {
		for (unsigned j = 0; j < sizeof(text); j++)
			text[j] = (char)(rand() % 3 ? rand() : "\n\r\b\t"[rand() % 4]);
		record[0] = '\0';
		screen_write(&s, text, (size_t)(rand() % 65), SCREEN_NORMAL); /* rec_* check */
		assert_true(s.x <= s.columns && s.y < s.rows);
	}
}

/* ---- the cells: which of them reach the device ---- */

static unsigned drawn, draws;
static struct screen_cell shown[4][6];

static void dev_draw(unsigned x, unsigned y, const struct screen_cell *cells, unsigned n)
{
	assert_true(n > 0 && y < 4 && x < 6 && n <= 6 - x);
	memcpy(&shown[y][x], cells, n * sizeof(*cells));
	drawn += n;
	draws++;
}

static void dev_blank(void)
{
	for (unsigned i = 0; i < 24; i++)
		shown[i / 6][i % 6] = (struct screen_cell){' ', SCREEN_NORMAL};
}

static const struct screen_device dev = {
	.draw = dev_draw, .blank = dev_blank, .columns = 6, .rows = 4};

static void assert_shown(const char *want)
{
	for (unsigned i = 0; i < 24; i++)
		assert_int_equal(shown[i / 6][i % 6].c, want[i]);
}

static const struct screen_ops *cells_with(const struct screen_device *d, const char *text)
{
	const struct screen_ops *ops = screen_cells_init(d);

	ops->clear(ops->ctx);
	for (unsigned y = 0; y < 4; y++)
		ops->put(ops->ctx, 0, y, text + 6 * y, 6, SCREEN_NORMAL);
	drawn = 0;
	draws = 0;
	return ops;
}

static void scroll_draws_only_what_differs(void **state)
{
	const struct screen_ops *ops = cells_with(&dev, "log  1log  2log  3log  4");

	(void)state;
	ops->scroll(ops->ctx);
	assert_shown("log  2log  3log  4      ");
	assert_int_equal(drawn, 3 + 4); /* three digits; 'log' and '4' of the last row */
	assert_int_equal(draws, 3 + 2);
	for (unsigned i = 0; i < 3; i++)
		ops->scroll(ops->ctx);
	assert_shown("                        ");
	drawn = 0;
	ops->scroll(ops->ctx);
	assert_int_equal(drawn, 0);
}

static void scroll_keeps_colours(void **state)
{
	const struct screen_ops *ops = cells_with(&dev, "abcdefabcdef            ");

	(void)state;
	ops->put(ops->ctx, 2, 1, "cd", 2, SCREEN_WARN);
	ops->put(ops->ctx, 2, 3, "  ", 2, SCREEN_WARN); /* as blank as any other */
	drawn = 0;
	ops->scroll(ops->ctx);
	assert_int_equal(drawn, 2 + 6); /* same letters, other colour; then the row that went */
	assert_int_equal(shown[0][2].color, SCREEN_WARN);
	assert_int_equal(shown[0][3].color, SCREEN_WARN);
	assert_int_equal(shown[0][4].color, SCREEN_NORMAL);
}

/* What a device that moves its picture leaves below it. */
#define STALE ((struct screen_cell){'#', SCREEN_ERROR})

static unsigned scrolls_left;

static unsigned dev_scroll(void)
{
	unsigned right = scrolls_left ? 3 : 0;

	if (scrolls_left)
		memmove(shown[0], shown[1], sizeof(shown[0]) * 3);
	scrolls_left -= scrolls_left != 0;
	for (unsigned i = 6 * right; i < 24; i++)
		shown[i / 6][i % 6] = STALE;
	return right;
}

static const struct screen_device moving_dev = {
	.draw = dev_draw, .blank = dev_blank, .scroll = dev_scroll, .columns = 6, .rows = 4};

static void moving_device_draws_one_row(void **state)
{
	const struct screen_ops *ops = cells_with(&moving_dev, "log  1log  2log  3log  4");

	(void)state;
	scrolls_left = 1;
	ops->scroll(ops->ctx);
	assert_shown("log  2log  3log  4      ");
	assert_int_equal(shown[3][0].color, SCREEN_NORMAL);
	assert_int_equal(drawn, 6);
	assert_int_equal(draws, 1);
}

static void moving_device_at_its_end_draws_all(void **state)
{
	const struct screen_ops *ops = cells_with(&moving_dev, "log  1log  2log  3log  4");

	(void)state;
	ops->put(ops->ctx, 0, 2, "WARN", 4, SCREEN_WARN);
	scrolls_left = 2;
	for (unsigned i = 0; i < 2; i++)
		ops->scroll(ops->ctx);
	ops->put(ops->ctx, 0, 2, "new", 3, SCREEN_DIM);
	drawn = 0;
	ops->scroll(ops->ctx); /* by drawing */
	assert_shown("log  4new               ");
	assert_int_equal(drawn, 24);
	assert_int_equal(shown[1][0].color, SCREEN_DIM);
	scrolls_left = 9;
	for (unsigned i = 0; i < 9; i++) {
		ops->scroll(ops->ctx);
		ops->put(ops->ctx, 0, 3, &"abcdefghi"[i], 1, SCREEN_NORMAL);
	}
	assert_shown("f     g     h     i     ");
}

/* The ring of rows starts anew, and nothing of it is left. */
static void clear_after_scrolling(void **state)
{
	const struct screen_ops *ops = cells_with(&dev, "log  1log  2log  3log  4");

	(void)state;
	ops->scroll(ops->ctx);
	ops->clear(ops->ctx);
	assert_shown("                        ");
	drawn = 0;
	ops->scroll(ops->ctx);
	assert_int_equal(drawn, 0);
	ops = cells_with(&dev, "log  1log  2log  3log  4");
	assert_shown("log  1log  2log  3log  4");
}

static void put_is_clipped(void **state)
{
	const struct screen_ops *ops = cells_with(&dev, "                        ");

	(void)state;
	ops->put(ops->ctx, 4, 1, "abcdef", 6, SCREEN_NORMAL);
	assert_shown("          ab            ");
	drawn = 0;
	ops->put(ops->ctx, 6, 1, "x", 1, SCREEN_NORMAL);
	ops->put(ops->ctx, 0, 4, "x", 1, SCREEN_NORMAL);
	ops->put(ops->ctx, UINT32_MAX, UINT32_MAX, "x", 1, SCREEN_NORMAL);
	ops->put(ops->ctx, 0, 0, "x", 0, SCREEN_NORMAL);
	assert_int_equal(drawn, 0);
	ops->put(ops->ctx, 5, 3, "toolong", UINT32_MAX, (enum screen_color)77);
	assert_int_equal(shown[3][5].c, 't');
	assert_int_equal(shown[3][5].color, SCREEN_NORMAL);
	assert_null(ops->cursor);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_is_put_in_runs),
		cmocka_unit_test(full_line_wraps_with_the_next_character),
		cmocka_unit_test(last_line_scrolls),
		cmocka_unit_test(control_characters),
		cmocka_unit_test(erasing_at_the_end_of_a_full_line),
		cmocka_unit_test(everything_else_is_a_question_mark),
		cmocka_unit_test(single_cell_screen),
		cmocka_unit_test(no_screen_does_nothing),
		cmocka_unit_test(random_text_stays_inside),
		cmocka_unit_test(scroll_draws_only_what_differs),
		cmocka_unit_test(scroll_keeps_colours),
		cmocka_unit_test(moving_device_draws_one_row),
		cmocka_unit_test(moving_device_at_its_end_draws_all),
		cmocka_unit_test(clear_after_scrolling),
		cmocka_unit_test(put_is_clipped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
