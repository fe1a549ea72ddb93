/*
 * COM1 as the machine's second console, INT 14h, and INT 17h (printer). What appears on the screen
 * goes out here too; the terminal's cursor is moved by escape sequences only when a program has set
 * the cursor elsewhere. It knows no screen memory. Source: National Semiconductor PC16550D data
 * sheet; ECMA-48, "Control functions" (CUP, ED).
 */
#include "firmware.h"

enum { COM1 = 0x3f8, LPT1 = 0x378 };

enum {
	UART_DATA = 0,
	UART_IER = 1,
	UART_FCR = 2,
	UART_LCR = 3,
	UART_MCR = 4,
	UART_LSR = 5,
	UART_MSR = 6
};

enum { LSR_DR = 0x01, LSR_THRE = 0x20, LCR_8N1 = 0x03, LCR_DLAB = 0x80 };

enum { LPT_STATUS = 1, LPT_CONTROL = 2, LPT_STATUS_READY = 0x80, LPT_TIMEOUT = 0x01 };

/* A character takes 87 us at 115200 baud; a port read takes less than 2 us anywhere. */
enum { SEND_LOOKS = 20000, PRINT_LOOKS = 20000, RECEIVE_LOOKS = 100000 };

static bool serial_present(void)
{
	return BDA->com[0] == COM1;
}

static bool serial_send(uint8_t c)
{
	for (uint32_t i = 0; i < SEND_LOOKS; i++) {
		if (inb(COM1 + UART_LSR) & LSR_THRE) {
			outb(COM1 + UART_DATA, c);
			return true;
		}
	}
	return false;
}

static void serial_set_divisor(uint16_t divisor)
{
	outb(COM1 + UART_LCR, LCR_DLAB | LCR_8N1);
	outb(COM1 + UART_DATA, (uint8_t)divisor);
	outb(COM1 + UART_IER, (uint8_t)(divisor >> 8));
	outb(COM1 + UART_LCR, LCR_8N1);
}

void serial_init(void)
{
	if (inb(COM1 + UART_LSR) != 0xff) {
		BDA->com[0] = COM1;
		BDA->com_timeout[0] = 1;
		serial_set_divisor(1);
		outb(COM1 + UART_IER, 0);
		outb(COM1 + UART_FCR, 0xc7);
		outb(COM1 + UART_MCR, 0x03);
	}
	/* A printer port keeps what is written. */
	outb(LPT1, 0xaa);
	if (inb(LPT1) == 0xaa) {
		BDA->lpt[0] = LPT1;
		BDA->lpt_timeout[0] = 20;
		outb(LPT1 + LPT_CONTROL, 0x0c);
	}
	EBDA_WRITE16(serial_cursor, 0);
}

static void serial_send_decimal(uint8_t v)
{
	if (v >= 10)
		serial_send((uint8_t)('0' + v / 10));
	serial_send((uint8_t)('0' + v % 10));
}

static void serial_escape(char last, uint8_t row, uint8_t column)
{
	serial_send(0x1b);
	serial_send('[');
	serial_send_decimal(row);
	if (column) {
		serial_send(';');
		serial_send_decimal(column);
	}
	serial_send((uint8_t)last);
}

void serial_mirror(uint16_t position, uint8_t c, uint16_t next)
{
	if (!serial_present())
		return;
	if (EBDA_READ16(serial_cursor) != position)
		serial_escape('H', (uint8_t)((position >> 8) + 1),
			      (uint8_t)((position & 0xff) + 1));
	serial_send(c);
	/* Terminals wait at the last column; the screen's cursor has gone on. */
	if (c >= ' ' && (next & 0xff) == 0) {
		serial_send('\r');
		serial_send('\n');
	}
	EBDA_WRITE16(serial_cursor, next);
}

/* An empty screen, with the cursor in its first place. */
void serial_mirror_clear(void)
{
	if (!serial_present())
		return;
	serial_escape('J', 2, 0);
	serial_escape('H', 1, 1);
	EBDA_WRITE16(serial_cursor, 0);
}

/* What was received, or -1. */
int serial_poll(void)
{
	if (!serial_present() || !(inb(COM1 + UART_LSR) & LSR_DR))
		return -1;
	return inb(COM1 + UART_DATA);
}

static void int14_init(REGS *r)
{
	static const uint16_t divisors[8] = {1047, 768, 384, 192, 96, 48, 24, 12};

	serial_set_divisor(divisors[r->al >> 5]);
	outb(COM1 + UART_LCR, r->al & 0x1f);
	r->ah = inb(COM1 + UART_LSR);
	r->al = inb(COM1 + UART_MSR);
}

static void int14_receive(REGS *r)
{
	for (uint32_t i = 0; i < RECEIVE_LOOKS; i++) {
		int c = serial_poll();

		if (c >= 0) {
			r->al = (uint8_t)c;
			r->ah = inb(COM1 + UART_LSR) & 0x1e;
			return;
		}
	}
	r->ah = 0x80;
}

void int14_serial(REGS *r)
{
	if (r->dx != 0 || !serial_present() || r->ah > 3) {
		r->ah = 0x80;
		return;
	}
	switch (r->ah) {
	case 0x00:
		return int14_init(r);
	case 0x01:
		r->ah = serial_send(r->al) ? inb(COM1 + UART_LSR) & 0x7f : 0x80;
		return;
	case 0x02:
		return int14_receive(r);
	default:
		r->ah = inb(COM1 + UART_LSR);
		r->al = inb(COM1 + UART_MSR);
		return;
	}
}

/* As INT 17h wants it: acknowledge and I/O error are inverted. */
static uint8_t printer_status(void)
{
	return (uint8_t)((inb(LPT1 + LPT_STATUS) ^ 0x48) & 0xf8);
}

static uint8_t printer_send(uint8_t c)
{
	outb(LPT1, c);
	for (uint32_t i = 0; i < PRINT_LOOKS; i++) {
		if (inb(LPT1 + LPT_STATUS) & LPT_STATUS_READY) {
			outb(LPT1 + LPT_CONTROL, 0x0d);
			outb(LPT1 + LPT_CONTROL, 0x0c);
			return printer_status();
		}
	}
	return printer_status() | LPT_TIMEOUT;
}

void int17_printer(REGS *r)
{
	if (r->dx != 0 || BDA->lpt[0] != LPT1 || r->ah > 2) {
		r->ah = LPT_TIMEOUT;
		return;
	}
	switch (r->ah) {
	case 0x00:
		r->ah = printer_send(r->al);
		return;
	case 0x01:
		outb(LPT1 + LPT_CONTROL, 0x08);
		time_wait_us(50);
		outb(LPT1 + LPT_CONTROL, 0x0c);
		r->ah = printer_status();
		return;
	default:
		r->ah = printer_status();
		return;
	}
}
