/*
 * A register of the VGA's CRT controller. A file of its own because it executes port I/O, which
 * host tests cannot. Must not know what the registers do. Source: IBM VGA, "CRT Controller
 * Registers".
 */
#include "screen_priv.h"

#include <crvm/cpu.h>

enum {
	CRTC_INDEX = 0x3d4,
	CRTC_DATA = 0x3d5,
};

void screen_crtc_write(uint8_t index, uint8_t value)
{
	out8(CRTC_INDEX, index);
	out8(CRTC_DATA, value);
}
