/*
 * VGA text mode as a screen device: one 16-bit word for each character. Must not know control
 * characters or the contents of the rest of the screen. Source: IBM VGA, "Alphanumeric Modes":
 * character in the low byte, attribute in the high one; "CRT Controller Registers".
 *
 * Text memory is several screens long, and each write to it crosses a bus uncached. So scrolling
 * moves the place where the CRTC starts to show, until the memory's end; then the picture goes back
 * to the beginning.
 */
#include "screen_priv.h"

/* Where a PC's video adapter shows its text: all that a boot loader's word is taken for. */
#define VGA_MEMORY_START 0xa0000u
#define VGA_MEMORY_END	 0xc0000u
#define VGA_COLOR_TEXT	 0xb8000u
#define VGA_COLOR_SIZE	 (VGA_MEMORY_END - VGA_COLOR_TEXT)
#define VGA_CELL_SIZE	 2u

/* CRTC registers; their values are cells, counted from B8000h. */
enum {
	CRTC_START_ADDRESS_HIGH = 0x0c,
	CRTC_START_ADDRESS_LOW = 0x0d,
	CRTC_CURSOR_LOCATION_HIGH = 0x0e,
	CRTC_CURSOR_LOCATION_LOW = 0x0f,
};

#define START_UNKNOWN (~0u)

static struct {
	volatile uint16_t *mem;
	unsigned pitch; /* cells */
	unsigned first; /* cells from B8000h to `mem` */
	unsigned columns, rows;
	/* Cells from `mem` to the screen: where it is drawn, which the CRTC learns with the next
	 * cursor; the last place for it, 0 if it does not move; what the CRTC was told. */
	unsigned start, start_last, start_shown;
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
	volatile uint16_t *to = text.mem + text.start + y * text.pitch + x;

	for (unsigned i = 0; i < n; i++)
		to[i] = screen_text_word(cells[i].c, cells[i].color);
}

/* At the beginning of the memory: so it sets up a screen, too. */
static void screen_text_blank(void)
{
	text.start = 0;
	for (unsigned y = 0; y < text.rows; y++) {
		for (unsigned x = 0; x < text.columns; x++)
			text.mem[y * text.pitch + x] = screen_text_word(' ', SCREEN_NORMAL);
	}
}

static unsigned screen_text_scroll(void)
{
	unsigned start = text.start + text.pitch;

	text.start = start <= text.start_last ? start : 0;
	return text.start ? text.rows - 1 : 0;
}

static void screen_text_cursor(unsigned x, unsigned y)
{
	unsigned pos = text.first + text.start + y * text.pitch + x;

	if (text.start_last && text.start_shown != text.start) {
		screen_crtc_write(CRTC_START_ADDRESS_HIGH, (uint8_t)(text.start >> 8));
		screen_crtc_write(CRTC_START_ADDRESS_LOW, (uint8_t)text.start);
		/* Not earlier: a panic in between shall do it again. */
		text.start_shown = text.start;
	}
	screen_crtc_write(CRTC_CURSOR_LOCATION_HIGH, (uint8_t)(pos >> 8));
	screen_crtc_write(CRTC_CURSOR_LOCATION_LOW, (uint8_t)pos);
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

/*
 * The last place in colour text memory for a screen that is all ours and begins where the memory
 * does; 0 if there is none. With room for two, what is drawn at the beginning is not yet seen.
 */
static unsigned screen_text_start_last(const struct boot_framebuffer *fb)
{
	uint64_t len = (uint64_t)fb->pitch * fb->height;

	if (fb->base != VGA_COLOR_TEXT || len > VGA_COLOR_SIZE / 2 ||
	    fb->width > SCREEN_COLUMNS_MAX || fb->height > SCREEN_ROWS_MAX)
		return 0;
	return (unsigned)(VGA_COLOR_SIZE - len) / VGA_CELL_SIZE;
}

/* Maps all of the memory if the screen can move in it. */
static bool screen_text_map(const struct boot_framebuffer *fb, uint64_t len, screen_map_fn *map)
{
	text.start_last = screen_text_start_last(fb);
	if (text.start_last) {
		text.mem = map(fb->base, VGA_COLOR_SIZE, false);
		if (text.mem)
			return true;
		text.start_last = 0;
	}
	text.mem = map(fb->base, len, false);
	return text.mem;
}

bool screen_text_init(struct screen_device *dev, const struct boot_framebuffer *fb,
		      screen_map_fn *map)
{
	uint64_t len = screen_text_len(fb);

	if (!len || !screen_text_map(fb, len, map))
		return false;
	text.pitch = fb->pitch / VGA_CELL_SIZE;
	text.columns = fb->width;
	text.rows = fb->height;
	text.start_shown = START_UNKNOWN;
	*dev = (struct screen_device){
		.draw = screen_text_draw,
		.blank = screen_text_blank,
		.scroll = text.start_last ? screen_text_scroll : NULL,
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
