/*
 * A 16550A serial port as a guest sees it (devices/serial.c). Knows no console and no VM: bytes go
 * out through ops.tx and are fetched by ops.rx, so that what the guest does not take stays where it
 * comes from. Source: National Semiconductor PC16550D data sheet, "Registers" and "FIFO Interrupt
 * Mode Operation".
 *
 * What leaves the guest arrives at once; what comes in comes no faster than the programmed line
 * carries it, because guests exist that lose what comes faster. All eight bits of a byte pass,
 * whatever word length is set: only loopback looks at it. OUT2 does not gate the interrupt line.
 */
#pragma once

#include <crvm/device.h>

#define SERIAL_PORT_COUNT 8u
#define SERIAL_FIFO_SIZE  16u

/* Called with the device's lock held. All must be given. */
struct serial_ops {
	struct irq_line irq;
	void (*tx)(void *ctx, uint8_t byte);
	int (*rx)(void *ctx); /* the next byte for the guest, or -1: none now */
	struct device_clock clock;
	struct device_timer timer; /* its alarm calls serial_expired */
	void *ctx;		   /* of tx and rx */
};

/* Why no byte is being fetched from ops.rx at this moment. */
enum serial_rx_wait {
	SERIAL_RX_IDLE, /* there was none: serial_rx_ready goes on */
	SERIAL_RX_LINE, /* a character time must pass: the alarm goes on */
	SERIAL_RX_FULL, /* no room: the guest's next read goes on */
};

struct serial_port {
	struct device dev;
	bool tx_plain; /* a write to THR does nothing but send */
	uint8_t lsr;
	struct serial_ops ops;

	uint8_t ier, fcr, lcr, mcr, msr, scr;
	uint16_t divisor;
	bool thre;    /* the transmitter's interrupt is due, if IER wants it */
	bool timeout; /* the FIFO's character timeout is due, likewise */
	bool level;   /* of ops.irq, as last set */

	uint8_t rbr; /* last byte read */
	uint8_t fifo[SERIAL_FIFO_SIZE];
	uint16_t breaks; /* a bit for each entry of fifo[] that is a break */
	uint8_t rx_first, rx_count, rx_size, rx_trigger;
	enum serial_rx_wait rx_wait;
	uint64_t char_ns; /* one character's time on the line */
	uint64_t rx_next; /* when the line can bring the next byte */
	uint64_t rx_last; /* when a byte last came or was read */
	uint64_t alarm;	  /* what ops.timer was last set to */
};

void serial_init(struct serial_port *s, const struct serial_ops *ops);

/* What to add to the VM's port bus: eight ports. */
struct io_region serial_region(struct serial_port *s, uint16_t base);

/*
 * These three are called with dev.lock held: ops.rx has begun to have bytes (harmless if it has
 * none); a break has come in from the line; the alarm has gone off.
 */
void serial_rx_ready(struct serial_port *s);
void serial_rx_break(struct serial_port *s);
void serial_expired(struct serial_port *s);
