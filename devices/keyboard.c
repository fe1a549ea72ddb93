/*
 * The keyboard itself, to include/crvm/devices/keyboard.h. Must not know the controller that it is
 * plugged into, nor who presses its keys.
 * Source: IBM PS/2 Hardware Interface Technical Reference, "Keyboard (101- and 102-Key)".
 */
#include <crvm/devices/keyboard.h>
#include <crvm/string.h>

enum {
	SET1_RELEASED = 0x80,  /* in set 1: the key was released */
	SET1_ERROR_OLD = 0x00, /* a keyboard's complaints, and the release of no key */
	SET1_NONE = 0x80,
	SET1_ERROR = 0xff,
	SET1_EXTENDED = 0xe0, /* prefixes, the same in both sets */
	SET1_PAUSE = 0xe1,
	SET1_SHIFT = 0x2a,
	SET1_CTRL = 0x1d,

	PARAMETER_LEDS = 0x07,
	PARAMETER_RATE = 0x7f,

	KEY_BYTES_MAX = 3, /* prefix, break, code */
	TYPE_KEYS_MAX = 6, /* two modifiers and a key, pressed and released */
};

/* Set 1 make code -> set 2. */
static const uint8_t set2_of[128] = {
	0x00, 0x76, 0x16, 0x1e, 0x26, 0x25, 0x2e, 0x36, 0x3d, 0x3e, 0x46, 0x45, 0x4e, 0x55, 0x66,
	0x0d, 0x15, 0x1d, 0x24, 0x2d, 0x2c, 0x35, 0x3c, 0x43, 0x44, 0x4d, 0x54, 0x5b, 0x5a, 0x14,
	0x1c, 0x1b, 0x23, 0x2b, 0x34, 0x33, 0x3b, 0x42, 0x4b, 0x4c, 0x52, 0x0e, 0x12, 0x5d, 0x1a,
	0x22, 0x21, 0x2a, 0x32, 0x31, 0x3a, 0x41, 0x49, 0x4a, 0x59, 0x7c, 0x11, 0x29, 0x58, 0x05,
	0x06, 0x04, 0x0c, 0x03, 0x0b, 0x83, 0x0a, 0x01, 0x09, 0x77, 0x7e, 0x6c, 0x75, 0x7d, 0x7b,
	0x6b, 0x73, 0x74, 0x79, 0x69, 0x72, 0x7a, 0x70, 0x71, 0x84, 0x60, 0x61, 0x78, 0x07, 0x0f,
	0x17, 0x1f, 0x27, 0x2f, 0x37, 0x3f, 0x47, 0x4f, 0x56, 0x5e, 0x08, 0x10, 0x18, 0x20, 0x28,
	0x30, 0x38, 0x40, 0x48, 0x50, 0x57, 0x6f, 0x13, 0x19, 0x39, 0x51, 0x53, 0x5c, 0x5f, 0x62,
	0x63, 0x64, 0x65, 0x67, 0x68, 0x6a, 0x6d, 0x6e,
};

/*
 * ASCII -> the key's set 1 code (none of them is above 3Fh) and what is held down with it.
 */
#define TYPE_CODE  0x3fu
#define TYPE_SHIFT 0x40u
#define TYPE_CTRL  0x80u
#define S(code)	   (TYPE_SHIFT | (code))
#define C(code)	   (TYPE_CTRL | (code))
#define CS(code)   (TYPE_CTRL | TYPE_SHIFT | (code))
/* clang-format off */
static const uint8_t typed_by[128] = {
	/* 00 */ CS(0x03), C(0x1e), C(0x30), C(0x2e), C(0x20), C(0x12), C(0x21), C(0x22),
	/* 08 */ 0x0e, 0x0f, 0x1c, C(0x25), C(0x26), 0x1c, C(0x31), C(0x18),
	/* 10 */ C(0x19), C(0x10), C(0x13), C(0x1f), C(0x14), C(0x16), C(0x2f), C(0x11),
	/* 18 */ C(0x2d), C(0x15), C(0x2c), 0x01, C(0x2b), C(0x1b), CS(0x07), CS(0x0c),
	/* 20 */ 0x39, S(0x02), S(0x28), S(0x04), S(0x05), S(0x06), S(0x08), 0x28,
	/* 28 */ S(0x0a), S(0x0b), S(0x09), S(0x0d), 0x33, 0x0c, 0x34, 0x35,
	/* 30 */ 0x0b, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08,
	/* 38 */ 0x09, 0x0a, S(0x27), 0x27, S(0x33), 0x0d, S(0x34), S(0x35),
	/* 40 */ S(0x03), S(0x1e), S(0x30), S(0x2e), S(0x20), S(0x12), S(0x21), S(0x22),
	/* 48 */ S(0x23), S(0x17), S(0x24), S(0x25), S(0x26), S(0x32), S(0x31), S(0x18),
	/* 50 */ S(0x19), S(0x10), S(0x13), S(0x1f), S(0x14), S(0x16), S(0x2f), S(0x11),
	/* 58 */ S(0x2d), S(0x15), S(0x2c), 0x1a, 0x2b, 0x1b, S(0x07), S(0x0c),
	/* 60 */ 0x29, 0x1e, 0x30, 0x2e, 0x20, 0x12, 0x21, 0x22,
	/* 68 */ 0x23, 0x17, 0x24, 0x25, 0x26, 0x32, 0x31, 0x18,
	/* 70 */ 0x19, 0x10, 0x13, 0x1f, 0x14, 0x16, 0x2f, 0x11,
	/* 78 */ 0x2d, 0x15, 0x2c, S(0x1a), S(0x2b), S(0x1b), S(0x29), 0x0e,
};
/* clang-format on */
#undef S
#undef C
#undef CS

static void keys_clear(struct keyboard *k)
{
	k->keys_head = 0;
	k->keys_count = 0;
	k->prefix = 0;
}

static void keys_put(struct keyboard *k, const uint8_t *bytes, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		k->keys[(k->keys_head + k->keys_count++) % KEYBOARD_KEYS_MAX] = bytes[i];
}

static bool keys_have_room(const struct keyboard *k, unsigned n)
{
	return KEYBOARD_KEYS_MAX - k->keys_count >= n;
}

static void reply(struct keyboard *k, uint8_t byte)
{
	k->replies[k->reply_count++ % KEYBOARD_REPLIES_MAX] = byte;
}

static void set_defaults(struct keyboard *k)
{
	keys_clear(k);
	k->rate = KEYBOARD_RATE_DEFAULT;
	k->set = 2;
}

void keyboard_init(struct keyboard *k)
{
	memset(k, 0, sizeof(*k));
	set_defaults(k);
	k->scanning = true;
	k->last = KEYBOARD_BAT_OK;
}

static void take_parameter(struct keyboard *k, uint8_t command, uint8_t v)
{
	switch (command) {
	case KEYBOARD_SET_LEDS:
		k->leds = v & PARAMETER_LEDS;
		break;
	case KEYBOARD_SET_RATE:
		k->rate = v & PARAMETER_RATE;
		break;
	default: /* SCAN_SET */
		if (v > 2) {
			reply(k, KEYBOARD_NAK);
			return;
		}
		reply(k, KEYBOARD_ACK);
		if (v == 0) {
			reply(k, k->set);
		} else {
			k->set = v;
			keys_clear(k); /* they are in the other set */
		}
		return;
	}
	reply(k, KEYBOARD_ACK);
}

static void take_command(struct keyboard *k, uint8_t command)
{
	switch (command) {
	case KEYBOARD_ECHO:
		reply(k, KEYBOARD_ECHO);
		return;
	case KEYBOARD_RESEND:
		reply(k, k->last);
		return;
	case KEYBOARD_SET_LEDS:
	case KEYBOARD_SCAN_SET:
	case KEYBOARD_SET_RATE:
		k->awaits = command;
		break;
	case KEYBOARD_ID:
		reply(k, KEYBOARD_ACK);
		reply(k, KEYBOARD_ID_FIRST);
		reply(k, KEYBOARD_ID_SECOND);
		return;
	case KEYBOARD_ENABLE:
		keys_clear(k);
		k->scanning = true;
		break;
	case KEYBOARD_DISABLE:
		set_defaults(k);
		k->scanning = false;
		break;
	case KEYBOARD_DEFAULTS:
		set_defaults(k);
		break;
	case KEYBOARD_RESET:
		keyboard_init(k);
		reply(k, KEYBOARD_ACK);
		reply(k, KEYBOARD_BAT_OK);
		return;
	default:
		if (command < KEYBOARD_ALL_REPEAT || command > KEYBOARD_ALL_ANY) {
			reply(k, KEYBOARD_NAK);
			return;
		}
		break;
	}
	reply(k, KEYBOARD_ACK);
}

void keyboard_write(struct keyboard *k, uint8_t byte)
{
	const uint8_t command = k->awaits;

	/* What it was about to answer concerns nobody any more. */
	k->reply_next = 0;
	k->reply_count = 0;
	k->awaits = 0;
	/* Where a parameter is due, a command begins anew and leaves the last one undone. */
	if (command && byte < KEYBOARD_SET_LEDS)
		take_parameter(k, command, byte);
	else
		take_command(k, byte);
}

uint8_t keyboard_take(struct keyboard *k)
{
	uint8_t byte;

	if (!keyboard_ready(k))
		return 0;
	if (k->reply_count) {
		byte = k->replies[k->reply_next++ % KEYBOARD_REPLIES_MAX];
		if (k->reply_next == k->reply_count) {
			k->reply_next = 0;
			k->reply_count = 0;
		}
	} else {
		byte = k->keys[k->keys_head];
		k->keys_head = (k->keys_head + 1) % KEYBOARD_KEYS_MAX;
		k->keys_count--;
	}
	if (byte != KEYBOARD_NAK) /* the request is not what was asked for again */
		k->last = byte;
	return byte;
}

/* What the selected set sends for a key; returns how many bytes, at most KEY_BYTES_MAX. */
static unsigned key_encode(const struct keyboard *k, uint8_t prefix, uint8_t code, uint8_t *out)
{
	unsigned n = 0;

	if (prefix)
		out[n++] = prefix;
	if (k->set == 1) {
		out[n++] = code;
		return n;
	}
	if (code & SET1_RELEASED)
		out[n++] = KEYBOARD_BREAK;
	out[n++] = set2_of[code & (SET1_RELEASED - 1)];
	return n;
}

bool keyboard_key(struct keyboard *k, uint8_t code)
{
	uint8_t bytes[KEY_BYTES_MAX];
	unsigned n;

	if (!k->scanning)
		return true;
	if (code == SET1_EXTENDED || code == SET1_PAUSE) {
		k->prefix = code;
		return true;
	}
	if (code == SET1_ERROR_OLD || code == SET1_NONE || code == SET1_ERROR) {
		k->prefix = 0;
		return true;
	}
	n = key_encode(k, k->prefix, code, bytes);
	if (!keys_have_room(k, n))
		return false;
	keys_put(k, bytes, n);
	k->prefix = 0;
	return true;
}

bool keyboard_type(struct keyboard *k, uint8_t ascii)
{
	uint8_t bytes[TYPE_KEYS_MAX * KEY_BYTES_MAX];
	uint8_t how, code;
	unsigned n = 0;

	if (ascii >= sizeof(typed_by) || !k->scanning)
		return true;
	how = typed_by[ascii];
	code = how & TYPE_CODE;
	if (how & TYPE_CTRL)
		n += key_encode(k, 0, SET1_CTRL, bytes + n);
	if (how & TYPE_SHIFT)
		n += key_encode(k, 0, SET1_SHIFT, bytes + n);
	n += key_encode(k, 0, code, bytes + n);
	n += key_encode(k, 0, code | SET1_RELEASED, bytes + n);
	if (how & TYPE_SHIFT)
		n += key_encode(k, 0, SET1_SHIFT | SET1_RELEASED, bytes + n);
	if (how & TYPE_CTRL)
		n += key_encode(k, 0, SET1_CTRL | SET1_RELEASED, bytes + n);
	if (!keys_have_room(k, n))
		return false;
	keys_put(k, bytes, n);
	return true;
}
