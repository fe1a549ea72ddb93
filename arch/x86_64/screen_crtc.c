/*
 * The VGA's cursor. A file of its own because it executes port I/O, which host tests cannot.
 * Source: IBM VGA, CRT controller registers, indexes 0Eh and 0Fh ("Cursor Location").
 */
#include "screen_priv.h"

#include <crvm/cpu.h>

enum {
	CRTC_INDEX = 0x3d4,
	CRTC_DATA = 0x3d5,
	CRTC_CURSOR_HIGH = 0x0e,
	CRTC_CURSOR_LOW = 0x0f,
};

void screen_crtc_cursor(uint16_t pos)
{
	out8(CRTC_INDEX, CRTC_CURSOR_HIGH);
	out8(CRTC_DATA, (uint8_t)(pos >> 8));
	out8(CRTC_INDEX, CRTC_CURSOR_LOW);
	out8(CRTC_DATA, (uint8_t)pos);
}
