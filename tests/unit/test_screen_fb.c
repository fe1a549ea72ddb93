/*
 * The framebuffer screen, drawn into a buffer between canaries and compared pixel by pixel with a
 * drawing made here.
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

#define CANARY	  0xa5
#define GUARD	  4096u
#define GLYPH_LEN SCREEN_GLYPH_HEIGHT

/* A font in which every line of every character differs; a blank is empty, as in a real one. */
const uint8_t *screen_font_glyph(uint8_t c)
{
	static uint8_t glyph[GLYPH_LEN];

	for (unsigned row = 0; row < GLYPH_LEN; row++)
		glyph[row] = c == ' ' ? 0 : (uint8_t)(c * 3 + row * 29 + 1);
	return glyph;
}

void screen_crtc_write(uint8_t index, uint8_t value)
{
	fail_msg("CRTC register %x = %x", index, value);
}

static uint8_t *area, *mem;
static uint64_t map_addr, map_len;
static unsigned map_calls;
static bool map_wc, map_fails;

static void *map_buffer(uint64_t addr, uint64_t len, bool wc)
{
	map_calls++;
	map_addr = addr;
	map_len = len;
	map_wc = wc;
	if (map_fails)
		return NULL;
	assert_true(len <= 64u << 20);
	free(area);
	area = malloc(len + 2 * GUARD);
	memset(area, CANARY, len + 2 * GUARD);
	mem = area + GUARD;
	return mem;
}

static int setup(void **state)
{
	(void)state;
	map_calls = 0;
	map_fails = false;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	free(area);
	area = NULL;
	return 0;
}

static void assert_canaries(const struct boot_framebuffer *tag)
{
	unsigned line = tag->width * ((tag->bpp + 7u) / 8);

	for (unsigned i = 0; i < GUARD; i++) {
		assert_int_equal(area[i], CANARY);
		assert_int_equal(mem[map_len + i], CANARY);
	}
	for (unsigned y = 0; y + 1 < tag->height; y++) { /* between the lines, too */
		for (unsigned i = line; i < tag->pitch; i++)
			assert_int_equal(mem[(size_t)y * tag->pitch + i], CANARY);
	}
}

static uint32_t pixel(const struct boot_framebuffer *tag, unsigned x, unsigned y)
{
	unsigned size = (tag->bpp + 7u) / 8;
	const uint8_t *p = mem + (size_t)y * tag->pitch + (size_t)x * size;
	uint32_t v = 0;

	for (unsigned i = 0; i < size; i++)
		v |= (uint32_t)p[i] << 8 * i;
	return v;
}

/* The whole screen must show `rows` (NULL: blank), all in one colour, and black elsewhere. */
static void assert_picture(const struct boot_framebuffer *tag, const char *const *rows,
			   unsigned row_count, uint32_t color)
{
	for (unsigned y = 0; y < tag->height; y++) {
		unsigned row = y / GLYPH_LEN;
		const char *text = row < row_count && rows[row] ? rows[row] : "";
		size_t len = strlen(text);

		for (unsigned x = 0; x < tag->width; x++) {
			char c = x / 8 < len ? text[x / 8] : ' ';
			bool on = screen_font_glyph((uint8_t)c)[y % GLYPH_LEN] & (0x80 >> x % 8);

			if (pixel(tag, x, y) != (on ? color : 0))
				fail_msg("pixel %u,%u is %x", x, y, pixel(tag, x, y));
		}
	}
	assert_canaries(tag);
}

static void say(struct screen *s, const char *text)
{
	screen_write(s, text, strlen(text), SCREEN_NORMAL);
}

static const struct format {
	uint8_t bpp, red[2], green[2], blue[2];
	uint32_t normal, warn; /* c0c0c0 and ffff55 in it, worked out by hand */
} formats[] = {
	{15, {10, 5}, {5, 5}, {0, 5}, 0x5ef7, 0x7fea},
	{16, {11, 5}, {5, 6}, {0, 5}, 0xbdf7, 0xffea},
	{16, {0, 5}, {5, 6}, {11, 5}, 0xbdf7, 0x57ff},
	{24, {16, 8}, {8, 8}, {0, 8}, 0xc0c0c0, 0xffff55},
	{24, {0, 8}, {8, 8}, {16, 8}, 0xc0c0c0, 0x55ffff},
	{32, {16, 8}, {8, 8}, {0, 8}, 0xc0c0c0, 0xffff55},
	{32, {24, 8}, {16, 8}, {8, 8}, 0xc0c0c000, 0xffff5500},
	{32, {20, 10}, {10, 10}, {0, 10}, 0x302c0b02, 0x3ffffd55},
};

static struct boot_framebuffer fb_tag(const struct format *f, uint32_t width, uint32_t height,
				      uint32_t extra)
{
	return (struct boot_framebuffer){
		.type = BOOT_FB_RGB,
		.base = 0xfd000000,
		.pitch = width * ((f->bpp + 7u) / 8) + extra,
		.width = width,
		.height = height,
		.bpp = f->bpp,
		.red = {f->red[0], f->red[1]},
		.green = {f->green[0], f->green[1]},
		.blue = {f->blue[0], f->blue[1]},
	};
}

static void every_format_is_exact(void **state)
{
	static const char *const text[] = {"Hello, world", "~!{|}", "pitch & canaries end", "here"};

	(void)state;
	for (unsigned i = 0; i < array_count(formats); i++) {
		/* 20 columns and 5 pixels, 6 rows and 7 lines; an odd pitch */
		struct boot_framebuffer tag = fb_tag(&formats[i], 165, 103, 13);
		struct screen s;

		assert_true(screen_init(&s, &tag, false, map_buffer));
		assert_int_equal(map_addr, 0xfd000000);
		assert_int_equal(map_len, tag.pitch * 102ull + tag.width * ((tag.bpp + 7ull) / 8));
		assert_true(map_wc);
		assert_int_equal(s.columns, 20);
		assert_int_equal(s.rows, 6);
		assert_picture(&tag, NULL, 0, 0);
		say(&s, "Hello, world\n~!{|}\npitch & canaries endhere");
		assert_picture(&tag, text, 4, formats[i].normal);
		assert_true(screen_init(&s, &tag, false, map_buffer));
		screen_write(&s, "Hello, world", 12, SCREEN_WARN);
		assert_picture(&tag, text, 1, formats[i].warn);
	}
}

static void brightness_is_rounded(void **state)
{
	static const char *const text[] = {"dim"};
	struct boot_framebuffer tag = fb_tag(&formats[1], 80, 64, 0);
	struct screen s;

	(void)state;
	assert_true(screen_init(&s, &tag, false, map_buffer));
	screen_write(&s, "dim", 3, SCREEN_DIM);
	assert_picture(&tag, text, 1, 0x8410); /* 80h is 15.6 of 31, and 31.6 of 63 */
}

static void scrolling_shows_the_last_rows(void **state)
{
	static const char *const text[] = {"row 4", "row five", "6", NULL};

	(void)state;
	for (unsigned i = 0; i < array_count(formats); i++) {
		struct boot_framebuffer tag = fb_tag(&formats[i], 80, 64, 0);
		struct screen s;

		assert_true(screen_init(&s, &tag, false, map_buffer));
		say(&s, "row 1\nrow 2\nrow three\nrow 4\nrow five\n6\n");
		assert_picture(&tag, text, 4, formats[i].normal);
	}
}

/* The point of the copy in RAM: what does not change is not touched, and nothing is read back. */
static void scrolling_does_not_touch_equal_cells(void **state)
{
	struct boot_framebuffer tag = fb_tag(&formats[5], 80, 64, 0);
	struct screen s;

	(void)state;
	assert_true(screen_init(&s, &tag, false, map_buffer));
	say(&s, "same 1\nsame 2\nsame 3\nsame 4");
	memset(mem, 0x11, map_len); /* as if somebody else had drawn here */
	say(&s, "\n");
	for (unsigned y = 0; y < 64; y++) {
		for (unsigned x = 0; x < 80; x++) {
			bool redrawn = x / 8 == 5 || (y / 16 == 3 && x / 8 < 4);

			assert_int_equal(pixel(&tag, x, y) != 0x11111111, redrawn);
		}
	}
}

static void smallest_and_largest(void **state)
{
	struct boot_framebuffer tag = fb_tag(&formats[5], 8, 16, 0);
	struct screen s;
	static const char *const text[] = {"c"};

	(void)state;
	assert_true(screen_init(&s, &tag, false, map_buffer));
	assert_int_equal(s.columns, 1);
	assert_int_equal(s.rows, 1);
	say(&s, "abc");
	assert_picture(&tag, text, 1, 0xc0c0c0);

	tag = fb_tag(&formats[1], 2056, 2064, 0); /* one column and row more than the shadow has */
	assert_true(screen_init(&s, &tag, false, map_buffer));
	assert_int_equal(s.columns, SCREEN_COLUMNS_MAX);
	assert_int_equal(s.rows, SCREEN_ROWS_MAX);
	for (unsigned i = 0; i < 140 * 256; i++)
		say(&s, "#");
	for (unsigned y = 0; y < 2064; y++)
		assert_int_equal(pixel(&tag, 2050, y), 0);
	for (unsigned x = 0; x < 2056; x++)
		assert_int_equal(pixel(&tag, x, 2050), 0);
	assert_int_equal(!!pixel(&tag, 2047, 2047), screen_font_glyph('#')[15] & 1);
	assert_canaries(&tag);

	/* Only the claim is checked here: nobody has such a buffer. */
	tag = fb_tag(&formats[5], 16384, 16384, 65536);
	map_fails = true;
	assert_false(screen_init(&s, &tag, true, map_buffer));
	assert_int_equal(map_len, 16383ull * 131072 + 65536);
}

static void init_anew_forgets_the_old_screen(void **state)
{
	struct boot_framebuffer tag = fb_tag(&formats[5], 80, 64, 0);
	struct screen s;

	(void)state;
	assert_true(screen_init(&s, &tag, false, map_buffer));
	say(&s, "1\n2\n3\n4");
	assert_true(screen_init(&s, &tag, false, map_buffer));
	say(&s, "\n\n\n\n\n");
	assert_picture(&tag, NULL, 0, 0);
}

static void expect_rejected(struct boot_framebuffer tag)
{
	struct screen s;

	memset(&s, 0xff, sizeof(s));
	map_calls = 0;
	assert_false(screen_init(&s, &tag, true, map_buffer));
	assert_int_equal(map_calls, 0);
	assert_int_equal(s.columns, 0);
	say(&s, "nobody sees this");
}

#define REJECT(change)                                                        \
	do {                                                                  \
		struct boot_framebuffer t = fb_tag(&formats[5], 640, 480, 0); \
		change;                                                       \
		expect_rejected(t);                                           \
	} while (0)

static void bad_geometry_is_rejected(void **state)
{
	(void)state;
	REJECT(t.width = 0);
	REJECT(t.height = 0);
	REJECT(t.width = 7);
	REJECT(t.height = 15);
	REJECT(t.pitch = 0);
	REJECT(t.pitch = 2559);
	REJECT((t.width = 16385, t.pitch = 16385 * 4));
	REJECT(t.height = 16385);
	REJECT((t.width = 0x40000001, t.pitch = 4)); /* width * 4 wraps */
	REJECT((t.width = UINT32_MAX, t.height = UINT32_MAX, t.pitch = UINT32_MAX));
	REJECT(t.pitch = 16384 * 8 + 1);
	REJECT(t.pitch = UINT32_MAX);
	REJECT(t.base = 0);
	REJECT(t.base = UINT64_MAX);
	REJECT(t.base = UINT64_MAX - 2560 * 480 + 1);
	REJECT(t.base = (1ull << 52) - 2560 * 480 + 1);
}

static void bad_pixels_are_rejected(void **state)
{
	(void)state;
	for (unsigned bpp = 0; bpp < 256; bpp++) {
		if (bpp != 32)
			REJECT((t.bpp = (uint8_t)bpp, t.red.pos = bpp == 24 ? 17 : 16,
				t.pitch = 640 * 32));
	}
	REJECT(t.red.pos = 25);
	REJECT(t.red.pos = 255);
	REJECT(t.red.size = 255);
	REJECT(t.red.size = 17);
	REJECT((t.green.pos = 250, t.green.size = 10));
	REJECT((t.blue.pos = 32, t.blue.size = 0));
	REJECT(t.red.size = 0);
	REJECT(t.green.size = 0);
	REJECT(t.blue.size = 0);
	REJECT(t.green.pos = 16); /* the same bits as red */
	REJECT(t.blue.pos = 7);
	REJECT(t.blue.pos = 12);
	REJECT(t.blue.pos = 20);
	REJECT((t.red.pos = 0, t.red.size = 32));
}

static void last_possible_address_is_taken(void **state)
{
	struct boot_framebuffer tag = fb_tag(&formats[5], 640, 480, 0);
	struct screen s;

	(void)state;
	tag.base = (1ull << 52) - 2560 * 480;
	assert_true(screen_init(&s, &tag, false, map_buffer));
}

static void unmappable_is_no_screen(void **state)
{
	struct boot_framebuffer tag = fb_tag(&formats[5], 640, 480, 0);
	struct screen s;

	(void)state;
	map_fails = true;
	assert_false(screen_init(&s, &tag, true, map_buffer));
	assert_int_equal(map_calls, 1);
	assert_int_equal(s.columns, 0);
}

/* Whatever a tag holds: refused, or drawn within what was asked for. */
static void random_tags_stay_inside(void **state)
{
	static const uint8_t bpps[] = {15, 16, 24, 32, 8, 0};
	unsigned taken = 0;
	struct screen s;

	(void)state;
	srand(7);
	for (unsigned i = 0; i < 20000; i++) {
		struct boot_framebuffer t = {.type = BOOT_FB_RGB, .base = 0x1000};

		t.width = (uint32_t)rand() % 100;
		t.height = (uint32_t)rand() % 60;
		t.pitch = (uint32_t)rand() % 500;
		t.bpp = bpps[rand() % 6];
		t.red.pos = (uint8_t)(rand() % 40);
		t.green.pos = (uint8_t)(rand() % 20);
		t.blue.pos = (uint8_t)(rand() % 10);
		t.red.size = (uint8_t)(rand() % 12);
		t.green.size = (uint8_t)(rand() % 10);
		t.blue.size = (uint8_t)(rand() % 10);
		if (!screen_init(&s, &t, false, map_buffer))
			continue;
		taken++;
		say(&s, "some\ntext\tthat wraps and scrolls\n\n\n");
		assert_canaries(&t);
	}
	assert_true(taken > 50);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_format_is_exact),	      TEST(brightness_is_rounded),
		TEST(scrolling_shows_the_last_rows),  TEST(scrolling_does_not_touch_equal_cells),
		TEST(smallest_and_largest),	      TEST(init_anew_forgets_the_old_screen),
		TEST(bad_geometry_is_rejected),	      TEST(bad_pixels_are_rejected),
		TEST(last_possible_address_is_taken), TEST(unmappable_is_no_screen),
		TEST(random_tags_stay_inside),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
