/*
 * The text screen: 80 x 25 cells at B8000h, and the cursor in registers 14 and 15 of the CRTC
 * (data sheet "MC6845 CRT Controller").
 */

#include "console.h"
#include "lib.h"
#include "x86.h"

enum {
	CRTC_INDEX = 0x3d4,
	CRTC_DATA = 0x3d5,
	CRTC_CURSOR_HIGH = 14,
	CRTC_CURSOR_LOW = 15,
	COLUMNS = 80,
	ROWS = 25,
	CELLS = COLUMNS * ROWS,
	TAB = 8,
	GREY_ON_BLACK = 0x0700,
};

static volatile uint16_t *const cells = (volatile uint16_t *)0xb8000;
static uint32_t cursor;

static uint32_t read_cursor(void)
{
	uint32_t at;

	out8(CRTC_INDEX, CRTC_CURSOR_HIGH);
	at = (uint32_t)in8(CRTC_DATA) << 8;
	out8(CRTC_INDEX, CRTC_CURSOR_LOW);
	return at | in8(CRTC_DATA);
}

static void write_cursor(void)
{
	out8(CRTC_INDEX, CRTC_CURSOR_HIGH);
	out8(CRTC_DATA, (uint8_t)(cursor >> 8));
	out8(CRTC_INDEX, CRTC_CURSOR_LOW);
	out8(CRTC_DATA, (uint8_t)cursor);
}

bool screen_init(void)
{
	uint16_t saved = cells[0];
	bool is_memory;

	cells[0] = 0x5aa5;
	is_memory = cells[0] == 0x5aa5;
	cells[0] = saved;
	if (!is_memory)
		return false;
	/* Go on where the BIOS stopped; without a CRTC this reads FFFFh. */
	cursor = read_cursor();
	if (cursor >= CELLS)
		cursor = 0;
	return true;
}

static void scroll(void)
{
	uint32_t i;

	for (i = 0; i < CELLS - COLUMNS; i++)
		cells[i] = cells[i + COLUMNS];
	for (; i < CELLS; i++)
		cells[i] = GREY_ON_BLACK | ' ';
	cursor -= COLUMNS;
}

void screen_put(char c)
{
	switch (c) {
	case '\n':
		cursor += COLUMNS - cursor % COLUMNS;
		break;
	case '\r':
		cursor -= cursor % COLUMNS;
		break;
	case '\b':
		if (cursor > 0)
			cursor--;
		break;
	case '\t':
		cursor += TAB - cursor % TAB;
		break;
	default:
		cells[cursor++] = (uint16_t)(GREY_ON_BLACK | (uint8_t)c);
		break;
	}
	if (cursor >= CELLS)
		scroll();
	write_cursor();
}
