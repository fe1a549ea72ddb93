/*
 * A parallel port with a printer that is always ready (devices/printer.c). Knows no paper: what is
 * printed goes out through struct printer_ops.
 * Source: IBM PC AT Technical Reference, "IBM Printer Adapter"; IEEE 1284, compatibility mode.
 */
#pragma once

#include <crvm/device.h>

#define PRINTER_REGION_COUNT 1u

enum printer_port {
	PRINTER_PORT_DATA = 0x378,
	PRINTER_PORT_STATUS = 0x379,
	PRINTER_PORT_CONTROL = 0x37a,
};

enum printer_status {
	PRINTER_UNUSED = 0x07, /* no wires: they float high */
	PRINTER_NO_ERROR = 1u << 3,
	PRINTER_SELECTED = 1u << 4,
	PRINTER_NO_PAPER = 1u << 5,
	PRINTER_NO_ACK = 1u << 6, /* the acknowledge pulse is over before anybody can look */
	PRINTER_NOT_BUSY = 1u << 7,
	PRINTER_READY = PRINTER_UNUSED | PRINTER_NO_ERROR | PRINTER_SELECTED | PRINTER_NO_ACK |
			PRINTER_NOT_BUSY,
};

enum printer_control {
	PRINTER_STROBE = 1u << 0, /* 0 -> 1: the printer takes the data byte */
	PRINTER_AUTO_FEED = 1u << 1,
	PRINTER_NO_INIT = 1u << 2, /* remembered only: some drivers hold it low while they print */
	PRINTER_SELECT = 1u << 3,
	PRINTER_IRQ = 1u << 4, /* the acknowledge pulse interrupts */
	PRINTER_CONTROL_BITS = 0x1f,
};

/*
 * tx may be NULL. irq (IRQ7) rises with each acknowledge pulse and stays up until the next one, or
 * until PRINTER_IRQ is cleared: an interrupt controller forgets a request whose wire falls.
 */
struct printer_ops {
	void (*tx)(void *ctx, uint8_t byte);
	struct irq_line irq;
	void *ctx;
};

struct printer {
	struct device dev;
	struct printer_ops ops;
	uint8_t data, control;
	bool irq_up;
};

/* As a BIOS leaves it: printer initialised and selected. Calls nobody. */
void printer_init(struct printer *p, const struct printer_ops *ops);

/* What to add to the VM's port bus: region `i` < PRINTER_REGION_COUNT. */
struct io_region printer_region(struct printer *p, unsigned i);
