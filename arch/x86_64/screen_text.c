/*
 * VGA text mode as a screen device: one 16-bit word for each character. Must not know control
 * characters or the contents of the rest of the screen. Source: IBM VGA, "Alphanumeric Modes":
 * character in the low byte, attribute in the high one.
 */
#include "screen_priv.h"

/* Where a PC's video adapter shows its text: all that a boot loader's word is taken for. */
#define VGA_MEMORY_START 0xa0000u
#define VGA_MEMORY_END	 0xc0000u
#define VGA_COLOR_TEXT	 0xb8000u
#define VGA_CELL_SIZE	 2u

static struct {
	volatile uint16_t *mem;
	unsigned pitch; /* cells */
	unsigned first; /* cells from B8000h to the screen's start */
	unsigned columns, rows;
} text;

static const uint8_t text_attr[SCREEN_COLOR_COUNT] = {
	[SCREEN_NORMAL] = 0x07, /* light grey on black */
	[SCREEN_DIM] = 0x08,	/* dark grey */
	[SCREEN_WARN] = 0x0e,	/* yellow */
	[SCREEN_ERROR] = 0x0c,	/* light red */
};

static uint16_t screen_text_word(uint8_t c, uint8_t color)
{
	return (uint16_t)(text_attr[color] << 8 | c);
}

static void screen_text_draw(unsigned x, unsigned y, const struct screen_cell *cells, unsigned n)
{
	volatile uint16_t *to = text.mem + y * text.pitch + x;

	for (unsigned i = 0; i < n; i++)
		to[i] = screen_text_word(cells[i].c, cells[i].color);
}

static void screen_text_blank(void)
{
	for (unsigned y = 0; y < text.rows; y++) {
		for (unsigned x = 0; x < text.columns; x++)
			text.mem[y * text.pitch + x] = screen_text_word(' ', SCREEN_NORMAL);
	}
}

static void screen_text_cursor(unsigned x, unsigned y)
{
	screen_crtc_cursor((uint16_t)(text.first + y * text.pitch + x));
}

/* The bytes from the first character to the last, 0 if the tag makes no sense. */
static uint64_t screen_text_len(const struct boot_framebuffer *fb)
{
	uint64_t len;

	if (!fb->width || !fb->height || fb->width > fb->pitch / VGA_CELL_SIZE)
		return 0;
	if (fb->pitch % VGA_CELL_SIZE || fb->base % VGA_CELL_SIZE)
		return 0;
	len = (uint64_t)fb->pitch * (fb->height - 1) + (uint64_t)fb->width * VGA_CELL_SIZE;
	if (fb->base < VGA_MEMORY_START || fb->base >= VGA_MEMORY_END ||
	    len > VGA_MEMORY_END - fb->base)
		return 0;
	return len;
}

bool screen_text_init(struct screen_device *dev, const struct boot_framebuffer *fb,
		      screen_map_fn *map)
{
	uint64_t len = screen_text_len(fb);

	if (!len)
		return false;
	text.mem = map(fb->base, len, false);
	if (!text.mem)
		return false;
	text.pitch = fb->pitch / VGA_CELL_SIZE;
	text.columns = fb->width;
	text.rows = fb->height;
	*dev = (struct screen_device){
		.draw = screen_text_draw,
		.blank = screen_text_blank,
		.columns = fb->width < SCREEN_COLUMNS_MAX ? fb->width : SCREEN_COLUMNS_MAX,
		.rows = fb->height < SCREEN_ROWS_MAX ? fb->height : SCREEN_ROWS_MAX,
	};
	/* A monochrome adapter, at B0000h, has its CRTC at other ports; its cursor stays where it
	 * is. */
	if (fb->base >= VGA_COLOR_TEXT) {
		text.first = (unsigned)(fb->base - VGA_COLOR_TEXT) / VGA_CELL_SIZE;
		dev->cursor = screen_text_cursor;
	}
	return true;
}
