/*
 * The machine's PS/2 keyboard: the driver of its controller, to include/crvm/ps2kbd.h. Must not
 * know who reads, nor how the interrupt gets here. What the codes mean is at the end.
 */
#include <crvm/cpu.h>
#include <crvm/ps2kbd.h>
#include <crvm/ring.h>
#include <crvm/string.h>
#include <crvm/time.h>

enum {
	STATUS_OBF = 1u << 0, /* a byte can be read */
	STATUS_IBF = 1u << 1, /* the last byte written is not yet taken */
	STATUS_SYS = 1u << 2, /* firmware has been here */
	STATUS_AUX = 1u << 5, /* the byte is the mouse's */
	STATUS_BAD = 0xc0,    /* timeout, parity */
	STATUS_NONE = 0xff,   /* no chip drives the bus */

	COMMAND_BYTE_READ = 0x20,
	COMMAND_BYTE_WRITE = 0x60,
	COMMAND_DISABLE_2 = 0xa7,
	COMMAND_SELF_TEST = 0xaa,
	COMMAND_DISABLE_1 = 0xad,
	SELF_TEST_OK = 0x55,

	BYTE_INT1 = 1u << 0,
	BYTE_INT2 = 1u << 1,
	BYTE_SYS = 1u << 2,
	BYTE_DISABLE1 = 1u << 4,
	BYTE_DISABLE2 = 1u << 5,
	BYTE_TRANSLATE = 1u << 6,
	BYTE_ZERO = 0x88, /* bits that no controller sets */

	KEYBOARD_DEFAULTS = 0xf6,
	KEYBOARD_ENABLE = 0xf4,
	KEYBOARD_ACK = 0xfa,

	POLL_US = 10,
	ANSWER_US = 20000, /* the controller's */
	ACK_US = 50000,	   /* the keyboard's: a byte to it and one back, and it may think */
	TEST_US = 100000,
	FLUSH_MAX = 64, /* bytes; the largest controllers hold 16 */
	IRQ_MAX = 16,	/* bytes of one interrupt */
	STRAY_MAX = 4,	/* bytes before the keyboard's answer */
	RING_SIZE = 256,
};

static const struct ps2kbd_io *kbd_io; /* NULL: none */
static struct ring kbd_ring;
static uint8_t ring_buf[RING_SIZE];
static _Atomic uint64_t lost;
static _Atomic uint32_t lost_at; /* ring.head when a byte was lost last */

/* The consumer's. */
static struct ps2kbd_decoder decoder;
static uint64_t lost_seen;
static char left[PS2KBD_TEXT_MAX]; /* characters that did not fit into the last read */
static unsigned left_at, left_count;

static uint8_t native_read(void *ctx, uint16_t port)
{
	(void)ctx;
	return in8(port);
}

static void native_write(void *ctx, uint16_t port, uint8_t v)
{
	(void)ctx;
	out8(port, v);
}

static void native_delay_us(void *ctx, unsigned us)
{
	(void)ctx;
	time_delay_us(us);
}

static uint8_t status(const struct ps2kbd_io *io)
{
	return io->read(io->ctx, PS2KBD_COMMAND);
}

/* Waits until the bits of the status that `mask` names are `value`. False: not in that time. */
static bool wait(const struct ps2kbd_io *io, unsigned mask, unsigned value, unsigned us)
{
	for (unsigned t = 0;; t += POLL_US) {
		const uint8_t s = status(io);

		if (s == STATUS_NONE)
			return false;
		if ((s & mask) == value)
			return true;
		if (t >= us)
			return false;
		io->delay_us(io->ctx, POLL_US);
	}
}

static bool send(const struct ps2kbd_io *io, uint16_t port, uint8_t v)
{
	if (!wait(io, STATUS_IBF, 0, ANSWER_US))
		return false;
	io->write(io->ctx, port, v);
	return true;
}

static bool receive(const struct ps2kbd_io *io, uint8_t *v, unsigned us)
{
	if (!wait(io, STATUS_OBF, STATUS_OBF, us))
		return false;
	*v = io->read(io->ctx, PS2KBD_DATA);
	return true;
}

/* False: it never ends. */
static bool flush(const struct ps2kbd_io *io)
{
	for (unsigned i = 0; i < FLUSH_MAX; i++) {
		if (!(status(io) & STATUS_OBF))
			return true;
		(void)io->read(io->ctx, PS2KBD_DATA);
		io->delay_us(io->ctx, POLL_US);
	}
	return false;
}

static bool command_byte_write(const struct ps2kbd_io *io, uint8_t v)
{
	return send(io, PS2KBD_COMMAND, COMMAND_BYTE_WRITE) && send(io, PS2KBD_DATA, v);
}

static bool command_byte_read(const struct ps2kbd_io *io, uint8_t *v)
{
	return send(io, PS2KBD_COMMAND, COMMAND_BYTE_READ) && receive(io, v, ANSWER_US);
}

static bool self_test(const struct ps2kbd_io *io)
{
	uint8_t v;

	return send(io, PS2KBD_COMMAND, COMMAND_SELF_TEST) && receive(io, &v, TEST_US) &&
	       v == SELF_TEST_OK;
}

/* The keyboard's answer does not matter: one may be plugged in later, scanning as it starts. What
 * it sends besides is of keys pressed before anybody listened. */
static void keyboard_command(const struct ps2kbd_io *io, uint8_t command)
{
	uint8_t v;

	if (!send(io, PS2KBD_DATA, command))
		return;
	for (unsigned i = 0; i < STRAY_MAX; i++)
		if (!receive(io, &v, ACK_US) || v == KEYBOARD_ACK)
			return;
}

/* With both ports off, so that nobody but the controller answers. */
static bool controller_setup(const struct ps2kbd_io *io, uint8_t *command_byte)
{
	const bool untouched = !(status(io) & STATUS_SYS);
	uint8_t v, again;

	if (!send(io, PS2KBD_COMMAND, COMMAND_DISABLE_1) ||
	    !send(io, PS2KBD_COMMAND, COMMAND_DISABLE_2) || !wait(io, STATUS_IBF, 0, ANSWER_US) ||
	    !flush(io))
		return false;
	if (untouched && !self_test(io))
		return false;
	if (!command_byte_read(io, &v) || (v & BYTE_ZERO))
		return false;
	v = (uint8_t)((v & ~(BYTE_INT1 | BYTE_INT2)) | BYTE_SYS | BYTE_TRANSLATE | BYTE_DISABLE1 |
		      BYTE_DISABLE2);
	if (!command_byte_write(io, v) || !command_byte_read(io, &again))
		return false;
	/* A controller of one port only may not know the second one's bit. */
	if ((v ^ again) & ~(unsigned)BYTE_DISABLE2)
		return false;
	*command_byte = v;
	return true;
}

bool ps2kbd_init_on(const struct ps2kbd_io *io)
{
	uint8_t v;

	kbd_io = NULL;
	ring_init(&kbd_ring, ring_buf, RING_SIZE);
	memset(&decoder, 0, sizeof(decoder));
	left_count = 0;
	if (status(io) == STATUS_NONE || !controller_setup(io, &v))
		return false;
	v &= (uint8_t)~BYTE_DISABLE1;
	if (!command_byte_write(io, v))
		return false;
	keyboard_command(io, KEYBOARD_DEFAULTS);
	keyboard_command(io, KEYBOARD_ENABLE);
	if (!flush(io) || !command_byte_write(io, v | BYTE_INT1))
		return false;
	kbd_io = io;
	return true;
}

bool ps2kbd_init(void)
{
	static const struct ps2kbd_io native = {native_read, native_write, native_delay_us, NULL};

	return ps2kbd_init_on(&native);
}

bool ps2kbd_irq(void)
{
	const struct ps2kbd_io *io = kbd_io;
	bool came = false;

	for (unsigned i = 0; io && i < IRQ_MAX; i++) {
		const uint8_t s = status(io);
		uint8_t v;

		if (s == STATUS_NONE || !(s & STATUS_OBF))
			break;
		v = io->read(io->ctx, PS2KBD_DATA);
		if (s & (STATUS_AUX | STATUS_BAD))
			continue;
		came = true;
		if (!ring_put(&kbd_ring, &v, 1)) {
			atomic_store_explicit(&lost_at, atomic_load(&kbd_ring.head),
					      memory_order_relaxed);
			atomic_fetch_add_explicit(&lost, 1, memory_order_release);
		}
	}
	return came;
}

uint64_t ps2kbd_lost(void)
{
	return atomic_load_explicit(&lost, memory_order_relaxed);
}

/* Once all has been read that came before a loss: the release of a key may be among what is lost,
 * so nothing is held down any more. */
static void heed_loss(void)
{
	const uint64_t now = atomic_load_explicit(&lost, memory_order_acquire);
	const uint32_t tail = atomic_load_explicit(&kbd_ring.tail, memory_order_relaxed);

	if (now == lost_seen ||
	    (int32_t)(tail - atomic_load_explicit(&lost_at, memory_order_relaxed)) < 0)
		return;
	lost_seen = now;
	decoder.prefix = decoder.skip = 0;
	decoder.shift = decoder.ctrl = decoder.held = 0;
}

/* Takes one byte and decodes it. */
static bool next_code(uint8_t *code)
{
	heed_loss();
	if (!ring_get(&kbd_ring, code, 1))
		return false;
	left_at = 0;
	left_count = ps2kbd_decode(&decoder, *code, left);
	return true;
}

unsigned ps2kbd_read(char *buf, unsigned n)
{
	unsigned got = 0;
	uint8_t code;

	/* Bounded, for the keyboard goes on meanwhile. */
	for (unsigned i = 0; i < RING_SIZE; i++) {
		while (got < n && left_at < left_count)
			buf[got++] = left[left_at++];
		if (got == n || !next_code(&code))
			break;
	}
	return got;
}

unsigned ps2kbd_read_raw(uint8_t *buf, unsigned n)
{
	unsigned got = 0;

	while (got < n && got < RING_SIZE && next_code(buf + got))
		got++;
	left_at = left_count = 0;
	return got;
}

enum {
	KEY_RELEASED = 0x80,
	KEY_EXTENDED = 0xe0,
	KEY_PAUSE = 0xe1, /* two bytes follow, when pressed and when released */
	KEY_CTRL = 0x1d,
	KEY_SHIFT_LEFT = 0x2a,
	KEY_SHIFT_RIGHT = 0x36,
	KEY_CAPS_LOCK = 0x3a,
	KEY_NUM_LOCK = 0x45,
	KEYPAD_FIRST = 0x47,
	KEYPAD_LAST = 0x53,
	KEY_ENTER = 0x1c,
	KEY_SLASH = 0x35,
	KEY_102ND = 0x56,
	HELD_CAPS = 1u << 0,
	HELD_NUM = 1u << 1,
};

/* By code, from 00h: what the key gives alone, and with Shift. */
static const char plain[] = "\0\033"
			    "1234567890-=\177\t"
			    "qwertyuiop[]\r\0"
			    "asdfghjkl;'`\0"
			    "\\zxcvbnm,./\0*\0 ";
static const char shifted[] = "\0\033"
			      "!@#$%^&*()_+\177\t"
			      "QWERTYUIOP{}\r\0"
			      "ASDFGHJKL:\"~\0"
			      "|ZXCVBNM<>?\0*\0 ";

/* The keypad from KEYPAD_FIRST on, with number lock and without: the final of ESC [, or what stands
 * before a ~. The gray keys between the pads have these codes too. */
static const char keypad_digits[] = "789-456+1230.";
static const char keypad_moves[] = "HA5-D\0C+FB623";

static unsigned decode_move(uint8_t key, char *out)
{
	const char what = keypad_moves[key - KEYPAD_FIRST];

	if (!what)
		return 0;
	out[0] = '\033';
	out[1] = '[';
	out[2] = what;
	out[3] = '~';
	return what < 'A' ? 4 : 3;
}

static unsigned decode_keypad(const struct ps2kbd_decoder *d, uint8_t key, char *out)
{
	const char digit = keypad_digits[key - KEYPAD_FIRST];

	if (digit != '-' && digit != '+' && d->digits_off != !!d->shift)
		return decode_move(key, out);
	out[0] = digit;
	return 1;
}

/* What Ctrl makes of the key: as terminals do, also for those on which the character is shifted. */
static char decode_ctrl(char c)
{
	if (c >= '@' && c < 0x7f)
		return (char)(c & 0x1f);
	switch (c) {
	case ' ':
	case '2':
		return 0;
	case '6':
		return '^' & 0x1f;
	case '-':
	case '/':
		return '_' & 0x1f;
	default:
		return c;
	}
}

static unsigned decode_main(const struct ps2kbd_decoder *d, uint8_t key, char *out)
{
	bool shift = d->shift;
	char c;

	if (key == KEY_102ND)
		key = 0x2b; /* beside the left Shift: a second backslash */
	if (key >= sizeof(plain) - 1)
		return 0;
	c = plain[key];
	if (d->caps && c >= 'a' && c <= 'z')
		shift = !shift;
	if (shift)
		c = shifted[key];
	if (!c)
		return 0;
	out[0] = d->ctrl ? decode_ctrl(c) : c;
	return 1;
}

/* Keys that change what others mean. True: it was one. */
static bool decode_modifier(struct ps2kbd_decoder *d, uint8_t key, bool extended, bool pressed)
{
	uint8_t *state, bit;

	switch (key) {
	case KEY_CTRL:
		state = &d->ctrl;
		bit = extended ? 2 : 1;
		break;
	case KEY_SHIFT_LEFT:
	case KEY_SHIFT_RIGHT:
		if (extended) /* the keyboard's own, around the gray keys: no one pressed it */
			return true;
		state = &d->shift;
		bit = key == KEY_SHIFT_LEFT ? 1 : 2;
		break;
	case KEY_CAPS_LOCK:
		state = &d->held;
		bit = HELD_CAPS;
		d->caps ^= pressed && !(d->held & HELD_CAPS); /* the key repeats */
		break;
	case KEY_NUM_LOCK:
		state = &d->held;
		bit = HELD_NUM;
		d->digits_off ^= pressed && !(d->held & HELD_NUM);
		break;
	default:
		return false;
	}
	*state = (uint8_t)(pressed ? *state | bit : *state & ~bit);
	return true;
}

unsigned ps2kbd_decode(struct ps2kbd_decoder *d, uint8_t code, char out[PS2KBD_TEXT_MAX])
{
	const bool extended = d->prefix == KEY_EXTENDED, pressed = !(code & KEY_RELEASED);
	const uint8_t key = code & (KEY_RELEASED - 1);

	if (d->skip) {
		d->skip--;
		return 0;
	}
	d->prefix = 0;
	if (code == KEY_EXTENDED) {
		d->prefix = code;
		return 0;
	}
	if (code == KEY_PAUSE) {
		d->skip = 2;
		return 0;
	}
	if (decode_modifier(d, key, extended, pressed) || !pressed)
		return 0;
	if (!extended)
		return key >= KEYPAD_FIRST && key <= KEYPAD_LAST ? decode_keypad(d, key, out)
								 : decode_main(d, key, out);
	switch (key) {
	case KEY_ENTER:
	case KEY_SLASH:
		out[0] = plain[key];
		return 1;
	default:
		if (key < KEYPAD_FIRST || key > KEYPAD_LAST || key == 0x4a || key == 0x4e)
			return 0;
		return decode_move(key, out);
	}
}
