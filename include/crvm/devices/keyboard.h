/*
 * A PC keyboard behind its cable (devices/keyboard.c): scan code sets 1 and 2, its commands, its
 * buffer. Knows no controller, no port and no time: bytes go in and come out when its owner asks.
 * What is handed to it as keys is set 1, as a PC's controller delivers it. For devices/kbc.c.
 * Source: IBM PS/2 Hardware Interface Technical Reference, "Keyboard (101- and 102-Key)".
 */
#pragma once

#include <crvm/compiler.h>

#define KEYBOARD_KEYS_MAX    64u /* bytes of keys that wait, in the selected set: a power of two */
#define KEYBOARD_REPLIES_MAX 4u

/* What a host sends. */
enum keyboard_command {
	KEYBOARD_SET_LEDS = 0xed, /* one parameter: 0 scroll, 1 number, 2 capitals lock */
	KEYBOARD_ECHO = 0xee,
	KEYBOARD_SCAN_SET = 0xf0, /* one parameter: 0 asks, 1 and 2 select */
	KEYBOARD_ID = 0xf2,
	KEYBOARD_SET_RATE = 0xf3, /* one parameter; keys repeat where they are pressed, not here */
	KEYBOARD_ENABLE = 0xf4,
	KEYBOARD_DISABLE = 0xf5, /* and defaults */
	KEYBOARD_DEFAULTS = 0xf6,
	KEYBOARD_ALL_REPEAT = 0xf7, /* F7h to FAh change scan code set 3 only, and there is none */
	KEYBOARD_ALL_ANY = 0xfa,
	KEYBOARD_RESEND = 0xfe,
	KEYBOARD_RESET = 0xff,
};

/* What it answers, besides ECHO. */
enum keyboard_reply {
	KEYBOARD_BAT_OK = 0xaa,
	KEYBOARD_ID_FIRST = 0xab,
	KEYBOARD_ID_SECOND = 0x83,
	KEYBOARD_BREAK = 0xf0, /* before the code of a key released, in set 2 */
	KEYBOARD_ACK = 0xfa,
	KEYBOARD_NAK = 0xfe, /* "resend": also for commands that it does not know */
};

enum { KEYBOARD_RATE_DEFAULT = 0x2b };

struct keyboard {
	uint8_t keys[KEYBOARD_KEYS_MAX];
	uint8_t keys_head, keys_count;
	uint8_t replies[KEYBOARD_REPLIES_MAX]; /* these go out before keys */
	uint8_t reply_next, reply_count;
	uint8_t set; /* 1 or 2 */
	uint8_t leds, rate;
	uint8_t awaits; /* the command whose parameter is to come, or 0 */
	uint8_t last;	/* sent, for RESEND */
	uint8_t prefix; /* E0h or E1h that keyboard_key was given last, or 0 */
	bool scanning;
};

/* Power-on, self test passed and read: scanning, set 2, nothing to send. */
void keyboard_init(struct keyboard *k);

/* A byte from the host. */
void keyboard_write(struct keyboard *k, uint8_t byte);

/* Whether a byte is ready for the host; and that byte, 0 if there is none. */
static inline bool keyboard_ready(const struct keyboard *k)
{
	return k->reply_count || (k->keys_count && !k->awaits);
}
uint8_t keyboard_take(struct keyboard *k);

/*
 * A byte of a key's set 1 code: prefixes, make and break codes. The bytes of one key go to the
 * buffer together, with the last of them. False: no room, nothing has changed. While the keyboard
 * does not scan, keys are lost, as somebody's who types on a disabled one.
 */
bool keyboard_key(struct keyboard *k, uint8_t code);

/*
 * Presses and releases what gives this character on a US keyboard without locks: printable ASCII,
 * control characters by Ctrl; CR and LF are Enter, BS and DEL Backspace, HT Tab, ESC Esc. Bytes
 * above 7Fh are on no key: dropped. False: no room for all of it, nothing has changed.
 */
bool keyboard_type(struct keyboard *k, uint8_t ascii);
