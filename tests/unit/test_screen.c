/*
 * The host's screen: the terminal with recorded operations, the copy of the characters in RAM, VGA
 * text in a buffer. The framebuffer has test_screen_fb.c.
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

static int crtc_pos;

void screen_crtc_cursor(uint16_t pos)
{
	crtc_pos = pos;
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

static const struct screen_ops *cells_with(const char *text)
{
	const struct screen_ops *ops = screen_cells_init(&dev);

	ops->clear(ops->ctx);
	for (unsigned y = 0; y < 4; y++)
		ops->put(ops->ctx, 0, y, text + 6 * y, 6, SCREEN_NORMAL);
	drawn = 0;
	draws = 0;
	return ops;
}

static void scroll_draws_only_what_differs(void **state)
{
	const struct screen_ops *ops = cells_with("log  1log  2log  3log  4");

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
	const struct screen_ops *ops = cells_with("abcdefabcdef            ");

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

static void put_is_clipped(void **state)
{
	const struct screen_ops *ops = cells_with("                        ");

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

/* ---- VGA text ---- */

static uint16_t *vga;
static uint64_t map_addr, map_len;
static unsigned map_calls;
static bool map_wc, map_fails;

/* Exactly as long as asked for: ASan watches both ends. */
static void *map_buffer(uint64_t addr, uint64_t len, bool wc)
{
	map_calls++;
	map_addr = addr;
	map_len = len;
	map_wc = wc;
	if (map_fails)
		return NULL;
	assert_true(len <= 1u << 20);
	free(vga);
	vga = malloc(len);
	memset(vga, 0xee, len);
	return vga;
}

static struct boot_framebuffer text_tag(uint64_t base, uint32_t pitch, uint32_t width,
					uint32_t height)
{
	return (struct boot_framebuffer){.type = BOOT_FB_TEXT,
					 .base = base,
					 .pitch = pitch,
					 .width = width,
					 .height = height};
}

static int vga_setup(void **state)
{
	(void)state;
	map_calls = 0;
	map_fails = false;
	crtc_pos = -1;
	return 0;
}

static int vga_teardown(void **state)
{
	(void)state;
	free(vga);
	vga = NULL;
	return 0;
}

static void vga_assumed_only_if_allowed(void **state)
{
	struct boot_framebuffer none = {.type = BOOT_FB_NONE};
	struct screen s;

	(void)state;
	memset(&s, 0xff, sizeof(s));
	assert_false(screen_init(&s, &none, false, map_buffer));
	assert_int_equal(s.columns, 0);
	say(&s, "nobody sees this");
	assert_int_equal(map_calls, 0);
	assert_true(screen_init(&s, &none, true, map_buffer));
	assert_int_equal(map_addr, 0xb8000);
	assert_int_equal(map_len, 80 * 25 * 2);
	assert_int_equal(s.columns, 80);
	assert_int_equal(s.rows, 25);
}

static void vga_text_words_and_cursor(void **state)
{
	struct boot_framebuffer tag = text_tag(0xb8000, 160, 80, 25);
	struct screen s;

	(void)state;
	assert_true(screen_init(&s, &tag, false, map_buffer));
	assert_false(map_wc);
	for (unsigned i = 0; i < 80 * 25; i++)
		assert_int_equal(vga[i], 0x0720);
	assert_int_equal(crtc_pos, 0);
	say(&s, "Hi");
	assert_int_equal(vga[0], 0x0748);
	assert_int_equal(vga[1], 0x0769);
	assert_int_equal(crtc_pos, 2);
	screen_write(&s, "\nd", 2, SCREEN_DIM);
	screen_write(&s, "w", 1, SCREEN_WARN);
	screen_write(&s, "e", 1, SCREEN_ERROR);
	assert_int_equal(vga[80], 0x0864);
	assert_int_equal(vga[81], 0x0e77);
	assert_int_equal(vga[82], 0x0c65);
	assert_int_equal(crtc_pos, 83);
	for (unsigned i = 0; i < 24; i++)
		say(&s, "\n");
	assert_int_equal(vga[0], 0x0864); /* scrolled by one */
	assert_int_equal(vga[80] & 0xff, ' ');
	assert_int_equal(crtc_pos, 24 * 80);
}

static void vga_pitch_leaves_gaps_alone(void **state)
{
	struct boot_framebuffer tag = text_tag(0xb8100, 100, 40, 10);
	struct screen s;

	(void)state;
	assert_true(screen_init(&s, &tag, false, map_buffer));
	assert_int_equal(map_len, 9 * 100 + 80);
	say(&s, "a\nb");
	assert_int_equal(vga[50], 0x0762);
	for (unsigned y = 0; y < 9; y++) {
		for (unsigned x = 40; x < 50; x++)
			assert_int_equal(vga[50 * y + x], 0xeeee);
	}
	assert_int_equal(crtc_pos, 0x80 + 50 + 1);
}

static void vga_monochrome_has_no_cursor(void **state)
{
	struct boot_framebuffer tag = text_tag(0xb0000, 160, 80, 25);
	struct screen s;

	(void)state;
	assert_true(screen_init(&s, &tag, false, map_buffer));
	say(&s, "x");
	assert_int_equal(vga[0], 0x0778);
	assert_int_equal(crtc_pos, -1);
}

static void vga_large_text_uses_a_part(void **state)
{
	struct boot_framebuffer tag = text_tag(0xa0000, 600, 300, 200);
	struct screen s;

	(void)state;
	assert_true(screen_init(&s, &tag, false, map_buffer));
	assert_int_equal(s.columns, SCREEN_COLUMNS_MAX);
	assert_int_equal(s.rows, SCREEN_ROWS_MAX);
	assert_int_equal(vga[300 * 200 - 1], 0x0720);
	for (unsigned i = 0; i < 400; i++)
		say(&s, "A line that is longer than nothing, and often repeated\t");
}

static void vga_rejects_nonsense(void **state)
{
	const struct boot_framebuffer bad[] = {
		text_tag(0xb8000, 160, 0, 25),
		text_tag(0xb8000, 160, 80, 0),
		text_tag(0xb8000, 158, 80, 25),
		text_tag(0xb8000, 161, 80, 25),
		text_tag(0xb8001, 160, 80, 25),
		text_tag(0xb8000, 160, 80, 205), /* beyond C0000h */
		text_tag(0xb8000, 0, 80, 25),
		text_tag(0xb8000, UINT32_MAX - 1, 80, UINT32_MAX),
		text_tag(0xb8000, 0x10, 0x80000004, 25),
		text_tag(0, 160, 80, 25),
		text_tag(0x100000, 160, 80, 25),
		text_tag(0x9fffe, 160, 80, 25),
		text_tag(UINT64_MAX - 1, 160, 80, 25),
		{.type = (enum boot_fb_type)9,
		 .base = 0xb8000,
		 .pitch = 160,
		 .width = 80,
		 .height = 25},
	};
	struct screen s;

	(void)state;
	for (unsigned i = 0; i < array_count(bad); i++) {
		memset(&s, 0xff, sizeof(s));
		assert_false(screen_init(&s, &bad[i], true, map_buffer));
		assert_int_equal(s.columns, 0);
		assert_int_equal(map_calls, 0);
	}
}

static void vga_that_cannot_be_mapped(void **state)
{
	struct boot_framebuffer tag = text_tag(0xb8000, 160, 80, 204);
	struct screen s;

	(void)state;
	map_fails = true;
	assert_false(screen_init(&s, &tag, true, map_buffer));
	assert_int_equal(map_calls, 1);
	assert_int_equal(s.columns, 0);
	say(&s, "nobody sees this");
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
		cmocka_unit_test(put_is_clipped),
		cmocka_unit_test_setup_teardown(vga_assumed_only_if_allowed, vga_setup,
						vga_teardown),
		cmocka_unit_test_setup_teardown(vga_text_words_and_cursor, vga_setup, vga_teardown),
		cmocka_unit_test_setup_teardown(vga_pitch_leaves_gaps_alone, vga_setup,
						vga_teardown),
		cmocka_unit_test_setup_teardown(vga_monochrome_has_no_cursor, vga_setup,
						vga_teardown),
		cmocka_unit_test_setup_teardown(vga_large_text_uses_a_part, vga_setup,
						vga_teardown),
		cmocka_unit_test_setup_teardown(vga_rejects_nonsense, vga_setup, vga_teardown),
		cmocka_unit_test_setup_teardown(vga_that_cannot_be_mapped, vga_setup, vga_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
