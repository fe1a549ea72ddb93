/*
 * Shared by arch/x86_64/screen*.c only: the grid of characters between the terminal (screen.c) and
 * the two devices that can show it (screen_text.c, screen_fb.c). Must not know the log or the
 * console.
 */
#pragma once

#include <crvm/screen.h>

/* Of a screen that has more, only this part is used: the shadow is static. */
#define SCREEN_COLUMNS_MAX 256u
#define SCREEN_ROWS_MAX	   128u

#define SCREEN_COLOR_COUNT (SCREEN_ERROR + 1u)

#define SCREEN_GLYPH_WIDTH  8u
#define SCREEN_GLYPH_HEIGHT 16u

struct screen_cell {
	uint8_t c;     /* printable ASCII */
	uint8_t color; /* below SCREEN_COLOR_COUNT */
};

/* What shows cells. Coordinates are always inside columns x rows. */
struct screen_device {
	/* Draws n > 0 cells from column x of row y on. */
	void (*draw)(unsigned x, unsigned y, const struct screen_cell *cells, unsigned n);
	/* Makes all of it look like blanks. */
	void (*blank)(void);
	void (*cursor)(unsigned x, unsigned y); /* may be NULL */
	/*
	 * Moves the picture up by one row, to be seen from the next cursor() on. Answers how many
	 * rows at the top are right then: all below them must be drawn anew before. NULL, or 0 rows
	 * now and then, if the device cannot.
	 */
	unsigned (*scroll)(void);
	unsigned columns, rows; /* 1 to SCREEN_COLUMNS_MAX, SCREEN_ROWS_MAX */
};

/*
 * The operations for a device, through a copy of the screen's characters in RAM (screen_cells.c):
 * reading back from video memory is very slow, so nothing is ever read there, and scrolling draws
 * one row if the device can move its picture, else only the cells that differ.
 */
const struct screen_ops *screen_cells_init(const struct screen_device *dev);

typedef void *screen_map_fn(uint64_t addr, uint64_t len, bool write_combining);

/* Check what the boot loader says and set up the device; false if it cannot be used. */
bool screen_text_init(struct screen_device *dev, const struct boot_framebuffer *fb,
		      screen_map_fn *map);
bool screen_fb_init(struct screen_device *dev, const struct boot_framebuffer *fb,
		    screen_map_fn *map);

/* Sets a register of the VGA's CRT controller, of a colour mode (screen_crtc.c). */
void screen_crtc_write(uint8_t index, uint8_t value);

/* SCREEN_GLYPH_HEIGHT bytes, one for each line, bit 7 leftmost; '?' for what is not printable
 * ASCII. */
const uint8_t *screen_font_glyph(uint8_t c);
