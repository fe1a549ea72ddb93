/*
 * VGA text as a screen, over a model of text memory and of the CRTC: what counts is the picture
 * that the CRTC shows, compared with a terminal made here.
 * needs: arch/x86_64/screen.c arch/x86_64/screen_cells.c
 * needs: arch/x86_64/screen_text.c arch/x86_64/screen_fb.c
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "../../arch/x86_64/screen_priv.h"

#define TEXT_SIZE      0x8000u
#define TEXT_CELLS     (TEXT_SIZE / 2)
#define COLUMNS	       80u
#define ROWS	       25u
#define STALE	       0xeeeeu /* no word that the screen writes */
#define MOVES	       179u    /* rows that a screen of 25 can go down in text memory */
#define CRTC_LEFT_OVER 0x5aa5u

const uint8_t *screen_font_glyph(uint8_t c)
{
	static const uint8_t none[SCREEN_GLYPH_HEIGHT];

	(void)c;
	return none;
}

/* ---- the adapter ---- */

static uint16_t *vga;
static uint64_t map_addr, map_len;
static uint64_t map_most; /* longer areas cannot be mapped */
static unsigned map_calls;
static bool map_wc;

static uint16_t crtc_start, crtc_cursor;
static unsigned crtc_writes, crtc_start_writes;
static uint8_t crtc_index;
static unsigned crtc_dies_in; /* this write, from 1, is the last before a panic */
static jmp_buf crtc_died;

/* Exactly as long as asked for: ASan watches both ends. */
static void *map_buffer(uint64_t addr, uint64_t len, bool wc)
{
	map_calls++;
	map_addr = addr;
	map_len = len;
	map_wc = wc;
	if (len > map_most)
		return NULL;
	assert_true(len <= 1u << 20);
	free(vga);
	vga = malloc(len);
	memset(vga, STALE & 0xff, len);
	return vga;
}

/* A 16-bit place is written high byte first, and the low one follows at once. */
void screen_crtc_write(uint8_t index, uint8_t value)
{
	uint16_t *place = index < 0x0e ? &crtc_start : &crtc_cursor;

	crtc_writes++;
	assert_in_range(index, 0x0c, 0x0f);
	if (index & 1) {
		assert_int_equal(crtc_index, index - 1);
		*place = (uint16_t)((*place & 0xff00) | value);
	} else {
		assert_int_equal(crtc_index & 1, 1);
		*place = (uint16_t)((*place & 0xff) | value << 8);
	}
	crtc_start_writes += index < 0x0e;
	crtc_index = index;
	if (crtc_dies_in && !--crtc_dies_in) {
		crtc_index = 0x0f;
		longjmp(crtc_died, 1);
	}
}

static int setup(void **state)
{
	(void)state;
	map_calls = 0;
	map_most = UINT64_MAX;
	crtc_start = CRTC_LEFT_OVER;
	crtc_cursor = CRTC_LEFT_OVER;
	crtc_writes = 0;
	crtc_start_writes = 0;
	crtc_index = 0x0f;
	crtc_dies_in = 0;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	free(vga);
	vga = NULL;
	return 0;
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

static void start(struct screen *s, uint64_t base, uint32_t pitch, uint32_t width, uint32_t height)
{
	struct boot_framebuffer tag = text_tag(base, pitch, width, height);

	assert_true(screen_init(s, &tag, false, map_buffer));
}

static void say(struct screen *s, const char *text)
{
	screen_write(s, text, strlen(text), SCREEN_NORMAL);
}

/* ---- the picture that should be seen on a screen of 80x25 ---- */

static struct {
	uint16_t cell[ROWS][COLUMNS];
	unsigned x, y;
} want;

static void want_blank(unsigned first_row)
{
	for (unsigned y = first_row; y < ROWS; y++) {
		for (unsigned x = 0; x < COLUMNS; x++)
			want.cell[y][x] = 0x0720;
	}
}

static void want_newline(void)
{
	want.x = 0;
	if (++want.y < ROWS)
		return;
	want.y--;
	memmove(want.cell[0], want.cell[1], sizeof(want.cell) - sizeof(want.cell[0]));
	want_blank(ROWS - 1);
}

static void want_text(const char *text, unsigned attr)
{
	for (; *text; text++) {
		if (*text == '\n') {
			want_newline();
			continue;
		}
		if (want.x == COLUMNS)
			want_newline();
		want.cell[want.y][want.x++] = (uint16_t)(attr << 8 | (uint8_t)*text);
	}
}

static void want_start(void)
{
	want.x = 0;
	want.y = 0;
	want_blank(0);
}

static void assert_seen(void)
{
	unsigned x = want.x < COLUMNS ? want.x : COLUMNS - 1;

	assert_in_range(crtc_start, 0, TEXT_CELLS - ROWS * COLUMNS);
	for (unsigned i = 0; i < ROWS * COLUMNS; i++) {
		unsigned is = vga[crtc_start + i], should = want.cell[i / COLUMNS][i % COLUMNS];

		/* Blanks look the same in all colours. */
		if (is != should && ((is ^ should) & 0xff || (is & 0xff) != ' '))
			fail_msg("row %u column %u shows %04x, not %04x", i / COLUMNS, i % COLUMNS,
				 is, should);
	}
	assert_int_equal(crtc_cursor, crtc_start + want.y * COLUMNS + x);
}

/* ---- what the boot loader says ---- */

static void assumed_only_if_allowed(void **state)
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
	assert_int_equal(map_len, TEXT_SIZE);
	assert_int_equal(s.columns, 80);
	assert_int_equal(s.rows, 25);
}

static void nonsense_is_rejected(void **state)
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

static void unmappable_is_no_screen(void **state)
{
	struct boot_framebuffer tag = text_tag(0xb8000, 160, 80, 25);
	struct screen s;

	(void)state;
	map_most = 0;
	assert_false(screen_init(&s, &tag, true, map_buffer));
	assert_int_equal(map_len, 160 * 25); /* asked for no more, after all */
	assert_int_equal(s.columns, 0);
	assert_int_equal(crtc_writes, 0);
	say(&s, "nobody sees this");
}

/* ---- drawing ---- */

static void words_and_cursor(void **state)
{
	struct screen s;

	(void)state;
	start(&s, 0xb8000, 160, 80, 25);
	assert_false(map_wc);
	for (unsigned i = 0; i < 80 * 25; i++)
		assert_int_equal(vga[i], 0x0720);
	assert_int_equal(crtc_cursor, 0);
	say(&s, "Hi");
	assert_int_equal(vga[0], 0x0748);
	assert_int_equal(vga[1], 0x0769);
	assert_int_equal(crtc_cursor, 2);
	screen_write(&s, "\nd", 2, SCREEN_DIM);
	screen_write(&s, "w", 1, SCREEN_WARN);
	screen_write(&s, "e", 1, SCREEN_ERROR);
	assert_int_equal(vga[80], 0x0864);
	assert_int_equal(vga[81], 0x0e77);
	assert_int_equal(vga[82], 0x0c65);
	assert_int_equal(crtc_cursor, 83);
}

static void start_left_by_others_is_set(void **state)
{
	struct screen s;

	(void)state;
	start(&s, 0xb8000, 160, 80, 25);
	assert_int_equal(crtc_start, 0);
	crtc_writes = 0;
	say(&s, "no scrolling");
	assert_int_equal(crtc_writes, 2); /* the cursor alone */
}

static void scrolling_touches_one_row(void **state)
{
	struct screen s;

	(void)state;
	start(&s, 0xb8000, 160, 80, 25);
	for (unsigned i = 0; i < 24; i++)
		say(&s, "line\n");
	assert_int_equal(crtc_start, 0);
	for (unsigned n = 1; n <= MOVES; n++) {
		memset(vga, STALE & 0xff, TEXT_SIZE);
		crtc_writes = 0;
		say(&s, "\n");
		assert_int_equal(crtc_start, n * 80);
		assert_int_equal(crtc_cursor, (n + 24) * 80);
		assert_int_equal(crtc_writes, 4);
		for (unsigned i = 0; i < TEXT_CELLS; i++)
			assert_int_equal(vga[i], i / 80 == n + 24 ? 0x0720 : STALE);
	}
	/* There is no room for another: all of the screen, at the beginning. */
	memset(vga, STALE & 0xff, TEXT_SIZE);
	say(&s, "\n");
	assert_int_equal(crtc_start, 0);
	assert_int_equal(crtc_cursor, 24 * 80);
	for (unsigned i = 0; i < TEXT_CELLS; i++)
		assert_int_equal(vga[i], i < 80 * 25 ? 0x0720 : STALE);
}

/* Lines of all lengths and colours, three times through the memory. */
static void picture_is_right_at_every_line(void **state)
{
	static const unsigned attr[] = {0x07, 0x08, 0x0e, 0x0c};
	char line[200];
	struct screen s;
	unsigned wraps = 0;

	(void)state;
	srand(3);
	start(&s, 0xb8000, 160, 80, 25);
	want_start();
	assert_seen();
	for (unsigned i = 0; i < 700; i++) {
		unsigned color = (unsigned)rand() % 4, n = (unsigned)rand() % 180;
		unsigned before = crtc_start;

		for (unsigned j = 0; j < n; j++)
			line[j] = (char)(rand() % 10 ? ' ' + rand() % 95 : '\n');
		line[n] = '\0';
		screen_write(&s, line, n, (enum screen_color)color);
		want_text(line, attr[color]);
		if (n) {
			assert_seen();
			wraps += crtc_start < before;
		}
	}
	assert_true(wraps >= 3);
}

/* More than all of the memory holds: the CRTC learns of the end alone. */
static void long_text_in_one_write(void **state)
{
	char text[4096] = "";
	struct screen s;

	(void)state;
	start(&s, 0xb8000, 160, 80, 25);
	want_start();
	for (unsigned i = 0; i < 450; i++)
		strcat(text, i % 7 ? "row\n" : "another\n");
	crtc_writes = 0;
	say(&s, text);
	want_text(text, 0x07);
	assert_int_equal(crtc_writes, 4);
	assert_seen();
}

/* The text that was there before the scrolling's end, and then is under the input line. */
static void line_is_rewritten_after_scrolling(void **state)
{
	struct screen s;

	(void)state;
	start(&s, 0xb8000, 160, 80, 25);
	for (unsigned i = 0; i < 200; i++)
		say(&s, "crvm> help\r          \rtext\nmore\r");
	want_start();
	for (unsigned i = 0; i < 24; i++)
		want_text("text      \n", 0x07);
	want_text("more", 0x07);
	want.x = 0;
	assert_seen();
}

static void init_anew_begins_at_the_start(void **state)
{
	struct screen s;

	(void)state;
	start(&s, 0xb8000, 160, 80, 25);
	for (unsigned i = 0; i < 60; i++)
		say(&s, "old\n");
	assert_int_not_equal(crtc_start, 0);
	start(&s, 0xb8000, 160, 80, 25);
	want_start();
	assert_seen();
	say(&s, "new");
	want_text("new", 0x07);
	assert_seen();
}

/* Writes a line, and does not get beyond this write of the CRTC. */
static void die_at(struct screen *s, unsigned crtc_write)
{
	crtc_dies_in = crtc_write;
	if (!setjmp(crtc_died))
		say(s, "last\n");
	assert_int_equal(crtc_dies_in, 0);
}

/* A panic draws on, whichever write of the CRTC was the last before. */
static void panic_between_crtc_writes(void **state)
{
	struct screen s;

	(void)state;
	for (unsigned n = 1; n <= 4; n++) {
		start(&s, 0xb8000, 160, 80, 25);
		for (unsigned i = 0; i < 24 + 3; i++) /* the high byte changes, too */
			say(&s, "line\n");
		die_at(&s, n);
		say(&s, "panic");
		want_start();
		for (unsigned i = 0; i < 23; i++)
			want_text("line\n", 0x07);
		want_text("last\npanic", 0x07);
		assert_seen();
	}
}

/* ---- screens that do not move: none of the CRTC's start is touched ---- */

static void assert_does_not_move(uint64_t base, uint32_t pitch, uint32_t width, uint32_t height)
{
	struct screen s;

	setup(NULL);
	start(&s, base, pitch, width, height);
	for (unsigned i = 0; i < 200; i++)
		say(&s, "first\n");
	say(&s, "x");
	assert_int_equal(map_len, pitch * (height - 1) + width * 2);
	assert_int_equal(crtc_start_writes, 0);
	assert_int_equal(vga[0], 0x0700 | 'f');
	assert_int_equal(vga[(s.rows - 1) * (pitch / 2)], 0x0700 | 'x');
	if (base >= 0xb8000)
		assert_int_equal(crtc_cursor,
				 (base - 0xb8000) / 2 + (s.rows - 1) * (pitch / 2) + 1);
}

static void some_do_not_move(void **state)
{
	(void)state;
	assert_does_not_move(0xb8002, 160, 80, 25);
	assert_does_not_move(0xbf000, 160, 80, 25);
	assert_does_not_move(0xb8000, 160, 80, 103); /* more than half of the memory */
	assert_does_not_move(0xb8000, 160, 80, 204);
	assert_does_not_move(0xb8000, 80, 40, 129); /* more than is used of it */
	assert_does_not_move(0xb8000, 514, 257, 25);
	assert_does_not_move(0xb0000, 160, 80, 25);
	assert_does_not_move(0xa0000, 160, 80, 25);
}

static void largest_that_moves(void **state)
{
	struct screen s;

	(void)state;
	start(&s, 0xb8000, 160, 80, 102);
	for (unsigned i = 0; i < 101; i++)
		say(&s, "line\n");
	say(&s, "\n");
	assert_int_equal(crtc_start, 80);
	for (unsigned i = 0; i < 101; i++) /* 204 rows fit, so the 102nd is at the last */
		say(&s, "\n");
	assert_int_equal(crtc_start, 102 * 80);
	say(&s, "\n");
	assert_int_equal(crtc_start, 0);
	start(&s, 0xb8000, 512, 256, 32);
	for (unsigned i = 0; i < 32 + 32; i++)
		say(&s, "\n");
	assert_int_equal(crtc_start, 0); /* 33rd move; at the 32nd the last cell was shown */
	assert_int_equal(vga[TEXT_CELLS - 1], 0x0720);
	start(&s, 0xb8000, 80, 40, 128);
	for (unsigned i = 0; i < 128; i++)
		say(&s, "\n");
	assert_int_equal(crtc_start, 40);
}

static void part_that_can_be_mapped_does(void **state)
{
	struct screen s;

	(void)state;
	map_most = 160 * 25;
	start(&s, 0xb8000, 160, 80, 25);
	assert_int_equal(map_calls, 2);
	for (unsigned i = 0; i < 30; i++)
		say(&s, "line\n");
	assert_int_equal(crtc_start_writes, 0);
	assert_int_equal(crtc_cursor, 24 * 80);
	assert_int_equal(vga[0], 0x076c);
	assert_int_equal(vga[24 * 80], 0x0720);
}

static void monochrome_has_no_crtc_here(void **state)
{
	struct screen s;

	(void)state;
	start(&s, 0xb0000, 160, 80, 25);
	for (unsigned i = 0; i < 30; i++)
		say(&s, "x\n");
	assert_int_equal(vga[0], 0x0778);
	assert_int_equal(crtc_writes, 0);
}

static void pitch_leaves_gaps_alone(void **state)
{
	struct screen s;

	(void)state;
	start(&s, 0xb8100, 100, 40, 10);
	assert_int_equal(map_len, 9 * 100 + 80);
	say(&s, "a\nb");
	assert_int_equal(vga[50], 0x0762);
	for (unsigned y = 0; y < 9; y++) {
		for (unsigned x = 40; x < 50; x++)
			assert_int_equal(vga[50 * y + x], STALE);
	}
	assert_int_equal(crtc_cursor, 0x80 + 50 + 1);

	start(&s, 0xb8000, 100, 40, 10);
	for (unsigned i = 0; i < 1000; i++)
		say(&s, "a line of forty columns that then wraps..b\n");
	for (unsigned i = 0; i < TEXT_CELLS; i++)
		assert_true((vga[i] == STALE) == (i % 50 >= 40 || i >= TEXT_CELLS / 50 * 50));
	assert_int_equal(crtc_start % 50, 0);
}

static void large_text_uses_a_part(void **state)
{
	struct screen s;

	(void)state;
	start(&s, 0xa0000, 600, 300, 200);
	assert_int_equal(s.columns, SCREEN_COLUMNS_MAX);
	assert_int_equal(s.rows, SCREEN_ROWS_MAX);
	assert_int_equal(vga[300 * 200 - 1], 0x0720);
	for (unsigned i = 0; i < 400; i++)
		say(&s, "A line that is longer than nothing, and often repeated\t");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(assumed_only_if_allowed),
		TEST(nonsense_is_rejected),
		TEST(unmappable_is_no_screen),
		TEST(words_and_cursor),
		TEST(start_left_by_others_is_set),
		TEST(scrolling_touches_one_row),
		TEST(picture_is_right_at_every_line),
		TEST(long_text_in_one_write),
		TEST(line_is_rewritten_after_scrolling),
		TEST(init_anew_begins_at_the_start),
		TEST(panic_between_crtc_writes),
		TEST(some_do_not_move),
		TEST(largest_that_moves),
		TEST(part_that_can_be_mapped_does),
		TEST(monochrome_has_no_crtc_here),
		TEST(pitch_leaves_gaps_alone),
		TEST(large_text_uses_a_part),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
