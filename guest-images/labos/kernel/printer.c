/*
 * The printer port: a copy of everything on paper. Centronics handshake: wait until the printer is
 * not busy (bit 7 of the status), present the byte, pulse the strobe.
 */

#include "console.h"
#include "x86.h"

enum {
	LPT1 = 0x378,
	DATA = LPT1 + 0,
	STATUS = LPT1 + 1,
	CONTROL = LPT1 + 2,
	STATUS_NOT_BUSY = 0x80,
	CONTROL_STROBE = 0x01,
	CONTROL_NOT_INIT = 0x04,
	CONTROL_SELECT = 0x08,
	POLLS_MAX = 10000,
};

bool printer_init(void)
{
	out8(CONTROL, CONTROL_NOT_INIT | CONTROL_SELECT);
	return true;
}

bool printer_put(char c)
{
	uint32_t i;

	for (i = 0; !(in8(STATUS) & STATUS_NOT_BUSY); i++) {
		if (i == POLLS_MAX)
			return false;
	}
	out8(DATA, (uint8_t)c);
	out8(CONTROL, CONTROL_NOT_INIT | CONTROL_SELECT | CONTROL_STROBE);
	out8(CONTROL, CONTROL_NOT_INIT | CONTROL_SELECT);
	return true;
}
