/*
 * The host's 16550 serial port (arch/x86_64/uart16550.c): transmit and receive by interrupt through
 * rings. Knows no console. Registers are reached through uart_io, so that host tests can play the
 * chip. Source: National Semiconductor PC16550D data sheet.
 */
#pragma once

#include <crvm/ring.h>
#include <crvm/spinlock.h>

struct uart_io {
	uint8_t (*read)(void *ctx, unsigned reg);
	void (*write)(void *ctx, unsigned reg, uint8_t v);
	void *ctx;
};

struct uart16550 {
	struct uart_io io;
	struct spinlock lock; /* RANK_UART: registers, and the consumer's side of tx */
	struct ring tx, rx;
	bool fifo;	 /* the chip has a working 16-byte FIFO */
	bool irq_driven; /* interrupts are in use; before, output goes out as far as the chip takes
			    it */
	uint8_t ier;
	uint64_t lost_tx, lost_rx, rx_errors; /* bytes; bytes; line errors */
};

/*
 * True if a 16450-compatible chip answers: scratch register and loopback. Leaves the registers it
 * touches as they were, sends nothing on the line.
 */
bool uart_present(const struct uart_io *io);

/* 8N1 at 115200/divisor baud (divisor 0: leave the rate alone), FIFO on if there, interrupts off,
 * DTR, RTS and OUT2 on. */
void uart_init(struct uart16550 *u, const struct uart_io *io, uint16_t divisor, uint8_t *tx_buf,
	       uint32_t tx_size, uint8_t *rx_buf, uint32_t rx_size);

/* From now on uart_irq will be called on each of the chip's interrupts. */
void uart_use_irq(struct uart16550 *u);

/*
 * Queues n bytes, all or none; false (and lost_tx counts) if the ring is full. Never waits. The
 * caller makes sure there is one producer at a time (the console's lock). Before uart_use_irq,
 * moves as much to the chip as it takes at once.
 */
bool uart_send(struct uart16550 *u, const void *data, uint32_t n);

/* Received bytes, up to n. One consumer. */
uint32_t uart_receive(struct uart16550 *u, void *data, uint32_t n);

/*
 * The chip's interrupt: drains the receiver to rx, feeds the transmitter from tx. Returns true if
 * bytes were received.
 */
bool uart_irq(struct uart16550 *u);

/*
 * For a panic only: takes no lock, uses no interrupt; sends all of tx and then data, waiting for
 * the chip but at most about `spins` reads of LSR for each byte.
 */
void uart_panic_write(struct uart16550 *u, const void *data, uint32_t n, uint32_t spins);
