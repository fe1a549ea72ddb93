/*
 * The keyboard (INT 09h) and INT 16h. COM1 is a keyboard too: it is looked at whenever a program
 * asks for keys. It knows scan code set 1 of an American keyboard, and the cursor keys that
 * terminals send. Source: IBM PC/AT Technical Reference, "Keyboard"; Intel 8042 data sheet;
 * ECMA-48.
 */
#include "firmware.h"

enum { KBC_DATA = 0x60, KBC_STATUS = 0x64, KBC_COMMAND = 0x64 };

enum { KBC_OUTPUT_FULL = 0x01, KBC_INPUT_FULL = 0x02, KBC_LOOKS = 20000 };

enum { KBC_WRITE_MODE = 0x60, KBC_SELF_TEST = 0xaa, KBC_ENABLE = 0xae, KBD_ENABLE = 0xf4 };

/* Mode byte: IRQ1, system flag, auxiliary device off, translation to set 1. */
enum { KBC_MODE = 0x65 };

enum { PIC_MASTER_COMMAND = 0x20, PIC_MASTER_MASK = 0x21, PIC_EOI = 0x20 };

/* Bits of kbd_flags, and of kbd_flags3. */
enum {
	SHIFT_RIGHT = 0x01,
	SHIFT_LEFT = 0x02,
	SHIFT_CTRL = 0x04,
	SHIFT_ALT = 0x08,
	SHIFT_SCROLL = 0x10,
	SHIFT_NUM = 0x20,
	SHIFT_CAPS = 0x40,
	LAST_WAS_E0 = 0x02,
};

enum { BUFFER_START = 0x1e, BUFFER_END = 0x3e };

enum {
	SCAN_ENTER = 0x1c,
	SCAN_BACKSPACE = 0x0e,
	SCAN_F1 = 0x3b,
	SCAN_F10 = 0x44,
	SCAN_KEYPAD = 0x47
};

/* Characters by scan code, 0: none. */
static const char plain[0x3a] =
	"\0\0331234567890-=\b\tqwertyuiop[]\r\0asdfghjkl;'`\0\\zxcvbnm,./\0*\0 ";
static const char shifted[0x3a] =
	"\0\033!@#$%^&*()_+\b\0QWERTYUIOP{}\r\0ASDFGHJKL:\"~\0|ZXCVBNM<>?\0*\0 ";
static const char keypad[13] = "789-456+1230.";

static bool kbc_wait(uint8_t mask, uint8_t value)
{
	for (uint32_t i = 0; i < KBC_LOOKS; i++)
		if ((inb(KBC_STATUS) & mask) == value)
			return true;
	return false;
}

static void kbc_send(uint16_t port, uint8_t v)
{
	if (kbc_wait(KBC_INPUT_FULL, 0))
		outb(port, v);
}

static void kbc_drain(void)
{
	for (uint32_t i = 0; i < 64 && inb(KBC_STATUS) & KBC_OUTPUT_FULL; i++)
		inb(KBC_DATA);
}

/* A controller may be absent, or answer nothing: each wait is bounded. */
void keyboard_init(void)
{
	BDA->kbd_head = BUFFER_START;
	BDA->kbd_tail = BUFFER_START;
	BDA->kbd_buffer_start = BUFFER_START;
	BDA->kbd_buffer_end = BUFFER_END;
	BDA->kbd_flags3 = 0x10; /* an enhanced keyboard */
	if (inb(KBC_STATUS) == 0xff)
		return;
	kbc_drain();
	kbc_send(KBC_COMMAND, KBC_SELF_TEST);
	if (!kbc_wait(KBC_OUTPUT_FULL, KBC_OUTPUT_FULL))
		return;
	kbc_drain();
	kbc_send(KBC_COMMAND, KBC_ENABLE);
	kbc_send(KBC_COMMAND, KBC_WRITE_MODE);
	kbc_send(KBC_DATA, KBC_MODE);
	kbc_send(KBC_DATA, KBD_ENABLE);
	kbc_wait(KBC_OUTPUT_FULL, KBC_OUTPUT_FULL);
	kbc_drain();
}

/* ---- the buffer --------------------------------------------------------------------------- */

/* The BDA's pointers may have been set by anyone: a place outside the buffer is its beginning. */
static uint16_t buffer_place(uint16_t at)
{
	return at < BUFFER_START || at >= BUFFER_END || at & 1 ? BUFFER_START : at;
}

static uint16_t buffer_next(uint16_t at)
{
	return buffer_place((uint16_t)(at + 2));
}

/* False: the buffer is full. */
static bool key_put(uint16_t key)
{
	uint32_t flags = flags_read();
	uint16_t tail, next;
	bool room;

	interrupts_off();
	tail = buffer_place(BDA->kbd_tail);
	next = buffer_next(tail);
	room = next != buffer_place(BDA->kbd_head);
	if (room) {
		BDA->kbd_buffer[(tail - BUFFER_START) / 2] = key;
		BDA->kbd_tail = next;
	}
	flags_write(flags);
	return room;
}

static bool buffer_empty(void)
{
	return buffer_place(BDA->kbd_head) == buffer_place(BDA->kbd_tail);
}

/* 0: there is none. */
static uint16_t key_peek(void)
{
	return buffer_empty() ? 0
			      : BDA->kbd_buffer[(buffer_place(BDA->kbd_head) - BUFFER_START) / 2];
}

static bool buffer_full(void)
{
	return buffer_next(buffer_place(BDA->kbd_tail)) == buffer_place(BDA->kbd_head);
}

/* ---- from scan codes ---------------------------------------------------------------------- */

static uint8_t shift_bit(uint8_t scan)
{
	switch (scan) {
	case 0x36:
		return SHIFT_RIGHT;
	case 0x2a:
		return SHIFT_LEFT;
	case 0x1d:
		return SHIFT_CTRL;
	case 0x38:
		return SHIFT_ALT;
	default:
		return 0;
	}
}

static uint8_t lock_bit(uint8_t scan)
{
	return scan == 0x3a   ? SHIFT_CAPS
	       : scan == 0x45 ? SHIFT_NUM
	       : scan == 0x46 ? SHIFT_SCROLL
			      : 0;
}

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static uint16_t key_of_character(uint8_t scan, uint8_t flags)
{
	bool shift = flags & (SHIFT_LEFT | SHIFT_RIGHT);
	char c = plain[scan];

	if (flags & SHIFT_ALT)
		return (uint16_t)(scan << 8);
	if (flags & SHIFT_CTRL) {
		if (is_letter(c) || c == '[' || c == '\\' || c == ']')
			return (uint16_t)(scan << 8 | (c & 0x1f));
		return scan == SCAN_ENTER ? SCAN_ENTER << 8 | '\n' : (uint16_t)(scan << 8);
	}
	if (is_letter(c) && flags & SHIFT_CAPS)
		shift = !shift;
	return (uint16_t)(scan << 8 | (uint8_t)(shift ? shifted[scan] : c));
}

static uint16_t key_of_function(uint8_t scan, uint8_t flags)
{
	uint8_t base = flags & SHIFT_ALT		    ? 0x68
		       : flags & SHIFT_CTRL		    ? 0x5e
		       : flags & (SHIFT_LEFT | SHIFT_RIGHT) ? 0x54
							    : SCAN_F1;

	return (uint16_t)((scan - SCAN_F1 + base) << 8);
}

/* 0: this key gives nothing. */
static uint16_t key_of(uint8_t scan, bool extended, uint8_t flags)
{
	if (extended && scan >= SCAN_KEYPAD && scan < 0x54)
		return (uint16_t)(scan << 8 | 0xe0);
	if (scan < sizeof(plain) && plain[scan])
		return key_of_character(scan, flags);
	if (scan >= SCAN_F1 && scan <= SCAN_F10)
		return key_of_function(scan, flags);
	if (scan >= SCAN_KEYPAD && scan < SCAN_KEYPAD + sizeof(keypad)) {
		char c = keypad[scan - SCAN_KEYPAD];

		if (flags & SHIFT_NUM || c == '-' || c == '+')
			return (uint16_t)(scan << 8 | (uint8_t)c);
		return (uint16_t)(scan << 8);
	}
	if (scan == 0x57 || scan == 0x58)
		return (uint16_t)((scan - 0x57 + 0x85) << 8);
	return 0;
}

static void scan_handle(uint8_t scan)
{
	bool extended = BDA->kbd_flags3 & LAST_WAS_E0, released = scan & 0x80;
	uint8_t code = scan & 0x7f, flags = BDA->kbd_flags, bit = shift_bit(code);
	uint16_t key;

	if (scan == 0xe0) {
		BDA->kbd_flags3 |= LAST_WAS_E0;
		return;
	}
	BDA->kbd_flags3 &= (uint8_t)~LAST_WAS_E0;
	/* An extended key may be wrapped in shifts that nobody pressed. */
	if (bit && !(extended && bit & (SHIFT_LEFT | SHIFT_RIGHT))) {
		BDA->kbd_flags = released ? flags & (uint8_t)~bit : flags | bit;
		return;
	}
	if (released)
		return;
	if (lock_bit(code)) {
		BDA->kbd_flags = flags ^ lock_bit(code);
		return;
	}
	key = key_of(code, extended, flags);
	if (key)
		key_put(key);
}

/* INT 09h. */
void irq1_keyboard(void)
{
	if (inb(KBC_STATUS) & KBC_OUTPUT_FULL) {
		uint32_t scan = keyboard_intercept(inb(KBC_DATA));

		if (scan)
			scan_handle((uint8_t)scan);
	}
	outb(PIC_MASTER_COMMAND, PIC_EOI);
}

/* ---- from COM1 ---------------------------------------------------------------------------- */

static uint8_t scan_of(char c)
{
	for (uint8_t scan = 1; scan < sizeof(plain); scan++)
		if (plain[scan] == c || shifted[scan] == c)
			return scan;
	return 0;
}

static uint16_t key_of_byte(uint8_t c)
{
	if (c == '\r' || c == '\n')
		return SCAN_ENTER << 8 | '\r';
	if (c == 0x7f || c == '\b')
		return SCAN_BACKSPACE << 8 | '\b';
	if (c == 0x1b || c == '\t' || c >= ' ')
		return (uint16_t)(c < 0x80 ? scan_of((char)c) << 8 | c : c);
	return (uint16_t)(scan_of((char)(c | 0x60)) << 8 | c);
}

/* The rest of an escape sequence follows its first byte within a few ms; a person's key does not.
 */
static int serial_follow(void)
{
	for (uint32_t i = 0; i < 10; i++) {
		int c = serial_poll();

		if (c >= 0)
			return c;
		time_wait_us(1000);
	}
	return -1;
}

static uint16_t key_of_cursor(int c)
{
	switch (c) {
	case 'A':
		return 0x48e0;
	case 'B':
		return 0x50e0;
	case 'C':
		return 0x4de0;
	case 'D':
		return 0x4be0;
	case 'H':
		return 0x47e0;
	case 'F':
		return 0x4fe0;
	default:
		return 0;
	}
}

static void serial_escape_handle(void)
{
	int c = serial_follow();
	uint16_t key;

	if (c != '[' && c != 'O') {
		key_put(0x011b);
		if (c >= 0)
			key_put(key_of_byte((uint8_t)c));
		return;
	}
	key = key_of_cursor(serial_follow());
	if (key)
		key_put(key);
}

/* What does not fit into the buffer stays in the UART. */
static void serial_take(void)
{
	while (!buffer_full()) {
		int c = serial_poll();

		if (c < 0)
			return;
		if (c == 0x1b)
			serial_escape_handle();
		else if (c)
			key_put(key_of_byte((uint8_t)c));
	}
}

/* ---- INT 16h ------------------------------------------------------------------------------ */

/* The first services know no E0: there the new keys look as those of the keypad. */
static uint16_t key_for(uint16_t key, bool enhanced)
{
	return !enhanced && (key & 0xff) == 0xe0 && key >> 8 ? key & 0xff00 : key;
}

static void key_read(REGS *r, bool enhanced)
{
	for (;;) {
		serial_take();
		interrupts_off();
		if (!buffer_empty())
			break;
		/* With the timer on, sleeping is no loss: COM1 is looked at 18 times a second. */
		if (inb(PIC_MASTER_MASK) & 1)
			__asm__ volatile("sti\n\tnop" : : : "memory");
		else
			__asm__ volatile("sti\n\thlt" : : : "memory");
	}
	r->ax = key_for(key_peek(), enhanced);
	BDA->kbd_head = buffer_next(buffer_place(BDA->kbd_head));
	interrupts_on();
}

static void key_check(REGS *r, bool enhanced)
{
	serial_take();
	if (buffer_empty()) {
		r->flags |= FLAG_ZF;
		return;
	}
	r->ax = key_for(key_peek(), enhanced);
	r->flags &= (uint16_t)~FLAG_ZF;
}

void int16_keyboard(REGS *r)
{
	switch (r->ah) {
	case 0x00:
	case 0x10:
		return key_read(r, r->ah == 0x10);
	case 0x01:
	case 0x11:
		return key_check(r, r->ah == 0x11);
	case 0x02:
		r->al = BDA->kbd_flags;
		return;
	case 0x05:
		r->al = key_put(r->cx) ? 0 : 1;
		return;
	case 0x12:
		r->al = BDA->kbd_flags;
		r->ah = BDA->kbd_flags2;
		return;
	default:
		return;
	}
}
