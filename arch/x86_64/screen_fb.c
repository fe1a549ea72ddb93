/*
 * A linear framebuffer as a screen device, 15 to 32 bits per pixel. Must not know control
 * characters or the contents of the rest of the screen. Video memory is written only, never read,
 * and in long rows of ascending addresses, which is what write combining is good at. Source:
 * Multiboot2 Specification 2.0, section "Framebuffer info".
 */
#include "screen_priv.h"

#include <crvm/string.h>

#define FB_PIXELS_MAX 16384u /* each way */
#define FB_PITCH_MAX  (FB_PIXELS_MAX * 8u)
#define FB_PIXEL_MAX  4u  /* bytes */
#define FB_ADDR_BITS  52u /* of a physical address */

static struct {
	uint8_t *mem;
	size_t pitch;
	unsigned width, height; /* pixels */
	unsigned pixel_size;	/* bytes */
	uint32_t color[SCREEN_COLOR_COUNT];
	/* One line of pixels of a run of cells, put together in RAM. */
	union {
		uint8_t b[SCREEN_COLUMNS_MAX * SCREEN_GLYPH_WIDTH * FB_PIXEL_MAX];
		uint16_t h[SCREEN_COLUMNS_MAX * SCREEN_GLYPH_WIDTH];
		uint32_t w[SCREEN_COLUMNS_MAX * SCREEN_GLYPH_WIDTH];
	} line;
} fb;

static const struct {
	uint8_t red, green, blue;
} fb_color[SCREEN_COLOR_COUNT] = {
	[SCREEN_NORMAL] = {0xc0, 0xc0, 0xc0},
	[SCREEN_DIM] = {0x80, 0x80, 0x80},
	[SCREEN_WARN] = {0xff, 0xff, 0x55},
	[SCREEN_ERROR] = {0xff, 0x55, 0x55},
};

static void screen_fb_pixel(unsigned i, uint32_t v)
{
	switch (fb.pixel_size) {
	case 2:
		fb.line.h[i] = (uint16_t)v;
		break;
	case 3:
		fb.line.b[3 * i] = (uint8_t)v;
		fb.line.b[3 * i + 1] = (uint8_t)(v >> 8);
		fb.line.b[3 * i + 2] = (uint8_t)(v >> 16);
		break;
	default:
		fb.line.w[i] = v;
		break;
	}
}

static void screen_fb_draw(unsigned x, unsigned y, const struct screen_cell *cells, unsigned n)
{
	size_t len = (size_t)n * SCREEN_GLYPH_WIDTH * fb.pixel_size;
	uint8_t *to = fb.mem + (size_t)y * SCREEN_GLYPH_HEIGHT * fb.pitch +
		      (size_t)x * SCREEN_GLYPH_WIDTH * fb.pixel_size;

	for (unsigned row = 0; row < SCREEN_GLYPH_HEIGHT; row++, to += fb.pitch) {
		for (unsigned i = 0; i < n; i++) {
			unsigned bits = screen_font_glyph(cells[i].c)[row];
			uint32_t color = fb.color[cells[i].color];

			for (unsigned b = 0; b < SCREEN_GLYPH_WIDTH; b++)
				screen_fb_pixel(i * SCREEN_GLYPH_WIDTH + b,
						bits & (0x80u >> b) ? color : 0);
		}
		memcpy(to, fb.line.b, len);
	}
}

static void screen_fb_blank(void)
{
	for (unsigned y = 0; y < fb.height; y++)
		memset(fb.mem + y * fb.pitch, 0, (size_t)fb.width * fb.pixel_size);
}

/* The bits of a colour field of the tag, 0 if it has none or lies outside of the pixel. */
static uint32_t screen_fb_mask(unsigned pos, unsigned size, unsigned bpp)
{
	if (size > bpp || pos > bpp - size)
		return 0;
	return (uint32_t)(((1ull << size) - 1) << pos);
}

/* Widens or narrows 8 bits of brightness to a field of the tag. */
static uint32_t screen_fb_scale(uint8_t v, unsigned pos, unsigned size)
{
	uint64_t max = (1ull << size) - 1;

	return (uint32_t)((v * max + 127) / 255 << pos);
}

/* Bytes of a pixel if geometry and colour fields make sense, else 0. */
static unsigned screen_fb_check(const struct boot_framebuffer *tag)
{
	uint32_t red = screen_fb_mask(tag->red.pos, tag->red.size, tag->bpp);
	uint32_t green = screen_fb_mask(tag->green.pos, tag->green.size, tag->bpp);
	uint32_t blue = screen_fb_mask(tag->blue.pos, tag->blue.size, tag->bpp);
	unsigned size = (tag->bpp + 7u) / 8u;

	if (tag->bpp != 15 && tag->bpp != 16 && tag->bpp != 24 && tag->bpp != 32)
		return 0;
	if (!red || !green || !blue || (red & green) || (red & blue) || (green & blue))
		return 0;
	if (tag->width < SCREEN_GLYPH_WIDTH || tag->width > FB_PIXELS_MAX ||
	    tag->height < SCREEN_GLYPH_HEIGHT || tag->height > FB_PIXELS_MAX)
		return 0;
	if (tag->pitch > FB_PITCH_MAX || tag->pitch < tag->width * size)
		return 0;
	return size;
}

bool screen_fb_init(struct screen_device *dev, const struct boot_framebuffer *tag,
		    screen_map_fn *map)
{
	unsigned columns = tag->width / SCREEN_GLYPH_WIDTH;
	unsigned rows = tag->height / SCREEN_GLYPH_HEIGHT;
	unsigned pixel_size = screen_fb_check(tag);
	uint64_t len;

	if (!pixel_size)
		return false;
	/* At most 2 GiB, by the limits checked above. */
	len = (uint64_t)tag->pitch * (tag->height - 1) + (uint64_t)tag->width * pixel_size;
	if (!tag->base || tag->base > (1ull << FB_ADDR_BITS) - len)
		return false;
	fb.mem = map(tag->base, len, true);
	if (!fb.mem)
		return false;
	fb.pitch = tag->pitch;
	fb.width = tag->width;
	fb.height = tag->height;
	fb.pixel_size = pixel_size;
	for (unsigned i = 0; i < SCREEN_COLOR_COUNT; i++)
		fb.color[i] = screen_fb_scale(fb_color[i].red, tag->red.pos, tag->red.size) |
			      screen_fb_scale(fb_color[i].green, tag->green.pos, tag->green.size) |
			      screen_fb_scale(fb_color[i].blue, tag->blue.pos, tag->blue.size);
	*dev = (struct screen_device){
		.draw = screen_fb_draw,
		.blank = screen_fb_blank,
		.columns = columns < SCREEN_COLUMNS_MAX ? columns : SCREEN_COLUMNS_MAX,
		.rows = rows < SCREEN_ROWS_MAX ? rows : SCREEN_ROWS_MAX,
	};
	return true;
}
