/*
 * The machine's own PS/2 keyboard behind an 8042 (arch/x86_64/ps2kbd.c): found and set up, read by
 * interrupt through a ring, decoded as a US keyboard's characters or handed on as scan codes. Knows
 * no console. Ports are reached through ps2kbd_io, so that host tests can play the controller.
 * Source: IBM PS/2 Hardware Interface Technical Reference, "Keyboard and Auxiliary Device
 * Controller" and "Keyboard (101- and 102-Key)".
 */
#pragma once

#include <crvm/compiler.h>

enum ps2kbd_port { PS2KBD_DATA = 0x60, PS2KBD_COMMAND = 0x64 /* read: status */ };

struct ps2kbd_io {
	uint8_t (*read)(void *ctx, uint16_t port);
	void (*write)(void *ctx, uint16_t port, uint8_t v);
	void (*delay_us)(void *ctx, unsigned us);
	void *ctx;
};

/*
 * Finds the controller and sets it up: second port off, first port on with translation to set 1,
 * keyboard scanning, interrupt (ISA 1) enabled. False: none there, or not in its right mind; no
 * interrupt will come then. Takes at most about a second, whatever the ports answer.
 * Once, by the boot CPU, before the interrupt is routed. A keyboard that is plugged in later works.
 *
 * The controller's self test is run only where no firmware has set the system flag: it makes some
 * controllers forget their setup.
 */
bool ps2kbd_init(void);
/* The same, on ports of the caller's; `io` must stay. */
bool ps2kbd_init_on(const struct ps2kbd_io *io);

/* The interrupt: moves bytes to the ring and nothing else. True if any came. */
bool ps2kbd_irq(void);

/*
 * Up to n characters typed: ASCII, Enter as CR, Backspace as DEL; ESC [ A to D, H and F for arrows,
 * Home and End; ESC [ 2, 3, 5, 6 ~ for Insert, Delete and the page keys. One consumer.
 */
unsigned ps2kbd_read(char *buf, unsigned n);

/* Up to n bytes of scan codes, set 1, instead. The state of shift and lock keys is kept for
 * ps2kbd_read. One consumer, for both. */
unsigned ps2kbd_read_raw(uint8_t *buf, unsigned n);

/* Bytes that came while the ring was full. */
uint64_t ps2kbd_lost(void);

/* What the decoder remembers between scan codes; all zero is a good start (no lock is on). */
struct ps2kbd_decoder {
	uint8_t prefix; /* E0h, E1h, or 0 */
	uint8_t skip;	/* bytes to come of a Pause key */
	uint8_t shift;	/* bit 0 left, bit 1 right; so ctrl */
	uint8_t ctrl;
	uint8_t held;	       /* lock keys, which repeat like others */
	bool caps, digits_off; /* digits_off: the keypad moves the cursor */
};

#define PS2KBD_TEXT_MAX 4u

/*
 * One byte of scan code, set 1. Returns how many characters it makes, at most PS2KBD_TEXT_MAX, and
 * writes those to `out`. A pure function, but for *d.
 */
unsigned ps2kbd_decode(struct ps2kbd_decoder *d, uint8_t code, char out[PS2KBD_TEXT_MAX]);
