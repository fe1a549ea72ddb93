/*
 * The keyboard behind the 8042: scan code set 1, US layout, IRQ 1.
 */

#include "console.h"
#include "x86.h"

enum {
	KBD_DATA = 0x60,
	KBD_STATUS = 0x64,
	STATUS_OUTPUT_FULL = 0x01,
	STATUS_FROM_MOUSE = 0x20,
	BYTES_MAX = 16, /* per interrupt */
	SCAN_RELEASED = 0x80,
	SCAN_EXTENDED = 0xe0,
	SCAN_CTRL = 0x1d,
	SCAN_LEFT_SHIFT = 0x2a,
	SCAN_RIGHT_SHIFT = 0x36,
	SCAN_CAPS_LOCK = 0x3a,
	SCAN_COUNT = 0x3a,
};

static const char plain[SCAN_COUNT] = "\0\0331234567890-=\b\tqwertyuiop[]\r\0asdfghjkl;'`\0"
				      "\\zxcvbnm,./\0*\0 ";
static const char shifted[SCAN_COUNT] = "\0\033!@#$%^&*()_+\b\tQWERTYUIOP{}\r\0ASDFGHJKL:\"~\0"
					"|ZXCVBNM<>?\0*\0 ";
static bool shift, ctrl, caps, extended;

static void take_scan_code(uint8_t code)
{
	bool pressed = !(code & SCAN_RELEASED);
	uint8_t key = code & (SCAN_RELEASED - 1);
	char c;

	if (code == SCAN_EXTENDED) {
		extended = true;
		return;
	}
	if (key == SCAN_CTRL) {
		ctrl = pressed;
	} else if ((key == SCAN_LEFT_SHIFT || key == SCAN_RIGHT_SHIFT) && !extended) {
		shift = pressed;
	} else if (key == SCAN_CAPS_LOCK && pressed) {
		caps = !caps;
	} else if (pressed && key < SCAN_COUNT) {
		c = plain[key];
		if (c >= 'a' && c <= 'z')
			c = ctrl ? (char)(c & 0x1f) : shift != caps ? shifted[key] : c;
		else if (shift && !extended)
			c = shifted[key];
		if (c)
			console_receive(c);
	}
	extended = false;
}

void keyboard_interrupt(void)
{
	uint8_t status;
	int i;

	for (i = 0; i < BYTES_MAX; i++) {
		status = in8(KBD_STATUS);
		if (status == 0xff || !(status & STATUS_OUTPUT_FULL))
			return;
		if (status & STATUS_FROM_MOUSE)
			in8(KBD_DATA);
		else
			take_scan_code(in8(KBD_DATA));
	}
}

/* Whatever was typed before we came is dropped: a full 8042 sends no further edge. */
void keyboard_init(void)
{
	int i;

	for (i = 0; i < BYTES_MAX && (in8(KBD_STATUS) & STATUS_OUTPUT_FULL); i++)
		in8(KBD_DATA);
}
