/*
 * INT 10h on a colour text screen of 80 by 25 at B8000h, with a 6845 at 3D4h. Text goes to COM1 as
 * well (serial.c). Source: IBM Personal Computer Technical Reference, "Color/Graphics Monitor
 * Adapter"; Motorola MC6845 data sheet.
 */
#include "firmware.h"

enum {
	SCREEN_SEGMENT = 0xb800,
	COLUMNS = 80,
	ROWS = 25,
	PAGES = 4,
	PAGE_BYTES = 0x1000,
	ATTRIBUTE = 0x07
};

enum { CRTC_INDEX = 0x3d4, CRTC_DATA = 0x3d5 };

enum {
	CRTC_CURSOR_START = 0x0a,
	CRTC_CURSOR_END = 0x0b,
	CRTC_START_HIGH = 0x0c,
	CRTC_CURSOR_HIGH = 0x0e
};

static void crtc_write(uint8_t index, uint8_t v)
{
	outb(CRTC_INDEX, index);
	outb(CRTC_DATA, v);
}

/* Registers of 14 bits come in pairs, the high one first. */
static void crtc_write_address(uint8_t index, uint16_t v)
{
	crtc_write(index, (uint8_t)(v >> 8));
	crtc_write((uint8_t)(index + 1), (uint8_t)v);
}

static uint16_t cell_offset(uint8_t page, uint8_t row, uint8_t column)
{
	return (uint16_t)((page & (PAGES - 1)) * PAGE_BYTES + (row * COLUMNS + column) * 2);
}

static uint16_t cell_read(uint16_t offset)
{
	uint16_t v;

	__asm__ volatile("movw %1, %%es\n\tmovw %%es:(%2), %0"
			 : "=r"(v)
			 : "r"((uint16_t)SCREEN_SEGMENT), "r"((uint32_t)offset)
			 : "memory");
	return v;
}

static void cell_write(uint16_t offset, uint16_t v)
{
	__asm__ volatile("movw %1, %%es\n\tmovw %0, %%es:(%2)"
			 :
			 : "r"(v), "r"((uint16_t)SCREEN_SEGMENT), "r"((uint32_t)offset)
			 : "memory");
}

static void cells_fill(uint16_t offset, uint16_t v, uint32_t count)
{
	uint32_t to = offset;

	__asm__ volatile("movw %3, %%es\n\trep stosw"
			 : "+D"(to), "+c"(count)
			 : "a"(v), "r"((uint16_t)SCREEN_SEGMENT)
			 : "memory");
}

static void cells_copy(uint16_t from, uint16_t to, uint32_t count)
{
	uint32_t si = from, di = to;

	__asm__ volatile("movw %3, %%es\n\trep movsw %%es:(%%esi), %%es:(%%edi)"
			 : "+S"(si), "+D"(di), "+c"(count)
			 : "r"((uint16_t)SCREEN_SEGMENT)
			 : "memory");
}

static uint16_t cursor_get(uint8_t page)
{
	return BDA->video_cursor[page & 7];
}

static void cursor_set(uint8_t page, uint16_t position)
{
	BDA->video_cursor[page & 7] = position;
	if (page == BDA->video_page)
		crtc_write_address(CRTC_CURSOR_HIGH,
				   cell_offset(page, (uint8_t)(position >> 8), (uint8_t)position) /
					   2);
}

/* A program may have set the cursor outside: text then begins at the last place that there is. */
static uint16_t cursor_inside(uint8_t page)
{
	uint16_t position = cursor_get(page);
	uint8_t row = (uint8_t)(position >> 8), column = (uint8_t)position;

	if (row >= ROWS)
		row = ROWS - 1;
	if (column >= COLUMNS)
		column = COLUMNS - 1;
	return (uint16_t)(row << 8 | column);
}

/* Moves a window's lines up, or down; 0 or too many: all of it becomes blank. */
static void screen_scroll(bool up, uint8_t lines, uint8_t attribute, uint16_t top_left,
			  uint16_t bottom_right)
{
	uint8_t top = (uint8_t)(top_left >> 8), left = (uint8_t)top_left;
	uint8_t bottom = (uint8_t)(bottom_right >> 8), right = (uint8_t)bottom_right;
	uint8_t page = BDA->video_page, height, width;

	if (bottom >= ROWS)
		bottom = ROWS - 1;
	if (right >= COLUMNS)
		right = COLUMNS - 1;
	if (top > bottom || left > right)
		return;
	height = (uint8_t)(bottom - top + 1);
	width = (uint8_t)(right - left + 1);
	if (lines == 0 || lines > height)
		lines = height;
	for (uint8_t i = 0; i < height; i++) {
		uint8_t row = up ? top + i : bottom - i;
		uint8_t from = up ? row + lines : row - lines;

		if (i + lines < height)
			cells_copy(cell_offset(page, from, left), cell_offset(page, row, left),
				   width);
		else
			cells_fill(cell_offset(page, row, left), (uint16_t)(attribute << 8 | ' '),
				   width);
	}
}

static void page_clear(uint8_t page)
{
	cells_fill(cell_offset(page, 0, 0), ATTRIBUTE << 8 | ' ', PAGE_BYTES / 2);
}

static void page_select(uint8_t page)
{
	page &= PAGES - 1;
	BDA->video_page = page;
	BDA->video_page_start = (uint16_t)(page * PAGE_BYTES);
	crtc_write_address(CRTC_START_HIGH, (uint16_t)(page * PAGE_BYTES / 2));
	cursor_set(page, cursor_get(page));
}

static void cursor_shape(uint16_t shape)
{
	BDA->video_cursor_shape = shape;
	crtc_write(CRTC_CURSOR_START, (uint8_t)(shape >> 8));
	crtc_write(CRTC_CURSOR_END, (uint8_t)shape);
}

void video_init(void)
{
	BDA->video_mode = 3;
	BDA->video_columns = COLUMNS;
	BDA->video_page_size = PAGE_BYTES;
	BDA->video_last_row = ROWS - 1;
	BDA->video_char_height = 8;
	BDA->video_crtc = CRTC_INDEX;
	BDA->video_mode_control = 0x29;
	BDA->video_palette = 0x30;
	for (uint8_t page = 0; page < 8; page++)
		BDA->video_cursor[page] = 0;
	for (uint8_t page = 0; page < PAGES; page++)
		page_clear(page);
	cursor_shape(0x0607);
	page_select(0);
}

/* A character, or one of bell, backspace, line feed, carriage return. */
void video_teletype(uint8_t page, uint8_t c)
{
	uint16_t position = cursor_inside(page);
	uint8_t row = (uint8_t)(position >> 8), column = (uint8_t)position;
	uint16_t at = cell_offset(page, row, column);

	switch (c) {
	case '\a':
		break;
	case '\b':
		column = column ? column - 1 : 0;
		break;
	case '\n':
		row++;
		break;
	case '\r':
		column = 0;
		break;
	default:
		cell_write(at, (uint16_t)((cell_read(at) & 0xff00) | c));
		if (++column == COLUMNS) {
			column = 0;
			row++;
		}
	}
	if (row == ROWS) {
		row--;
		if (page == BDA->video_page)
			screen_scroll(true, 1, (uint8_t)(cell_read(at) >> 8), 0,
				      (ROWS - 1) << 8 | (COLUMNS - 1));
	}
	cursor_set(page, (uint16_t)(row << 8 | column));
	if (page == BDA->video_page)
		serial_mirror(position, c, (uint16_t)(row << 8 | column));
}

static void video_set_mode(REGS *r)
{
	/* There is just this one; programs find by 0Fh that another was not set. */
	if ((r->al & 0x7f) > 3 && (r->al & 0x7f) != 7)
		return;
	for (uint8_t page = 0; page < PAGES; page++) {
		if (!(r->al & 0x80))
			page_clear(page);
		BDA->video_cursor[page] = 0;
	}
	cursor_shape(0x0607);
	page_select(0);
	if (!(r->al & 0x80))
		serial_mirror_clear();
	r->al = 0x30;
}

static void video_read_cell(REGS *r)
{
	uint16_t position = cursor_inside(r->bh);

	r->ax = cell_read(cell_offset(r->bh, (uint8_t)(position >> 8), (uint8_t)position));
}

/* 09h writes characters with attributes, 0Ah characters only; neither moves the cursor. */
static void video_write_cells(REGS *r, bool with_attribute)
{
	uint16_t position = cursor_inside(r->bh);
	uint8_t row = (uint8_t)(position >> 8), column = (uint8_t)position;
	uint16_t at = cell_offset(r->bh, row, column);
	uint16_t room = (uint16_t)(ROWS * COLUMNS - row * COLUMNS - column);
	uint16_t count = r->cx < room ? r->cx : room;

	if (r->bh == BDA->video_page && count == ROWS * COLUMNS && r->al == ' ')
		serial_mirror_clear();
	for (uint16_t i = 0; i < count; i++, at = (uint16_t)(at + 2)) {
		uint16_t attribute =
			with_attribute ? (uint16_t)(r->bl << 8) : cell_read(at) & 0xff00;

		cell_write(at, attribute | r->al);
	}
	/* Rows of one character are decoration of menus: a terminal gets single ones only. */
	if (count == 1 && r->bh == BDA->video_page && r->al >= ' ')
		serial_mirror(position, r->al,
			      column + 1 < COLUMNS ? position + 1 : (uint16_t)((row + 1) << 8));
}

/* AL bit 0: the cursor stays behind the text; bit 1: attributes stand between the characters. */
static void video_write_string(REGS *r)
{
	uint16_t before = cursor_get(r->bh), offset = r->bp;
	uint8_t attribute = r->bl;

	cursor_set(r->bh, r->dx);
	for (uint16_t left = r->cx; left; left--) {
		uint8_t c = far_read8(r->es, offset++);
		uint16_t position = cursor_inside(r->bh);

		if (r->al & 2)
			attribute = far_read8(r->es, offset++);
		if (c != '\a' && c != '\b' && c != '\n' && c != '\r')
			cell_write(cell_offset(r->bh, (uint8_t)(position >> 8), (uint8_t)position),
				   (uint16_t)(attribute << 8));
		video_teletype(r->bh, c);
	}
	if (!(r->al & 1))
		cursor_set(r->bh, before);
}

static void video_get_mode(REGS *r)
{
	r->al = BDA->video_mode;
	r->ah = COLUMNS;
	r->bh = BDA->video_page;
}

void int10_video(REGS *r)
{
	switch (r->ah) {
	case 0x00:
		return video_set_mode(r);
	case 0x01:
		return cursor_shape(r->cx);
	case 0x02:
		return cursor_set(r->bh, r->dx);
	case 0x03:
		r->dx = cursor_get(r->bh);
		r->cx = BDA->video_cursor_shape;
		return;
	case 0x05:
		return page_select(r->al);
	case 0x06:
	case 0x07:
		return screen_scroll(r->ah == 0x06, r->al, r->bh, r->cx, r->dx);
	case 0x08:
		return video_read_cell(r);
	case 0x09:
	case 0x0a:
		return video_write_cells(r, r->ah == 0x09);
	case 0x0e:
		return video_teletype(BDA->video_page, r->al);
	case 0x0f:
		return video_get_mode(r);
	case 0x13:
		return video_write_string(r);
	case 0x1a:
		if (r->al == 0x00) {
			r->al = 0x1a;
			r->bx = 0x0002; /* a colour adapter of the first kind, and no other */
		}
		return;
	default:
		return;
	}
}
