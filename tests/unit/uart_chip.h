/*
 * A 16550 in software, for the tests of its driver: FIFOs with trigger level and timeout, the rules
 * by which the THR-empty interrupt comes and goes, loopback, modem lines, older and broken members
 * of the family. Time is counted in characters (chip_tick), and the interrupt reaches the CPU as an
 * edge, as on a PC. Source: National Semiconductor PC16550D data sheet.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum chip_kind { CHIP_16550A, CHIP_16550, CHIP_16450, CHIP_8250, CHIP_ABSENT };

struct chip {
	enum chip_kind kind;
	/* Ways to be odd. */
	bool no_kick;	  /* setting IER bit 1 while THR is empty does not interrupt */
	bool instant;	  /* sends in no time, as emulators do */
	bool tx_dead;	  /* the transmitter never sends */
	bool no_loopback; /* some other device that happens to have a register 7 */
	bool echo;	  /* no chip, and the bus shows for a moment what was last on it */
	bool ghost;	  /* a timeout is pending without data, until RBR is read */
	bool late;	  /* THR becomes empty just before IER is written */
	unsigned flood;	  /* so many bytes follow each other without a pause */
	bool stuck;	  /* IIR names stuck_iir for ever */
	uint8_t stuck_iir;

	uint8_t ier, lcr, mcr, scr, fcr, dll, dlm;
	uint8_t rx[16], rx_error[16], tx[16];
	unsigned rx_count, tx_count, rx_idle;
	int shift; /* the character on its way out, or -1 */
	bool thre_pending, timeout, overrun;
	uint8_t lines, msr_delta, bus;
	/* What the world sees. */
	uint8_t wire[65536];
	unsigned wire_count, tx_lost, irq_count;
	unsigned reads[8], writes[8];
	bool irq_line, irq_latched;
};

static bool chip_fifo(const struct chip *c)
{
	return c->kind == CHIP_16550A && (c->fcr & 1);
}

static unsigned chip_room(const struct chip *c)
{
	return chip_fifo(c) ? 16 : 1;
}

static unsigned chip_trigger(const struct chip *c)
{
	static const uint8_t level[] = {1, 4, 8, 14};

	return chip_fifo(c) ? level[c->fcr >> 6] : 1;
}

static uint8_t chip_inputs(const struct chip *c)
{
	if (!(c->mcr & 0x10) || c->no_loopback)
		return c->lines;
	return (uint8_t)((c->mcr & 2 ? 0x10 : 0) | (c->mcr & 1 ? 0x20 : 0) |
			 (c->mcr & 4 ? 0x40 : 0) | (c->mcr & 8 ? 0x80 : 0));
}

static uint8_t chip_iir(const struct chip *c)
{
	uint8_t high = chip_fifo(c) ? 0xc0 : c->kind == CHIP_16550 && (c->fcr & 1) ? 0x80 : 0;

	if (c->stuck)
		return high | c->stuck_iir;
	if ((c->ier & 4) && (c->overrun || (c->rx_count && c->rx_error[0])))
		return high | 0x06;
	if ((c->ier & 1) && c->rx_count >= chip_trigger(c))
		return high | 0x04;
	if ((c->ier & 1) && ((c->timeout && c->rx_count) || c->ghost))
		return high | 0x0c;
	if ((c->ier & 2) && c->thre_pending)
		return high | 0x02;
	if ((c->ier & 8) && c->msr_delta)
		return high;
	return high | 0x01;
}

/* The interrupt controller remembers a rise of the line. OUT2 gates it; loopback cuts it off. */
static void chip_update(struct chip *c)
{
	bool line = !(chip_iir(c) & 1) && (c->mcr & 0x18) == 8 && (!c->stuck || c->ier);

	if (line && !c->irq_line)
		c->irq_latched = true;
	c->irq_line = line;
}

/* A character arrives, with LSR's error bits for it. */
static void chip_receive(struct chip *c, uint8_t v, uint8_t error)
{
	c->rx_idle = 0;
	if (c->rx_count == chip_room(c)) {
		c->overrun = true;
		if (!chip_fifo(c))
			c->rx[0] = v;
	} else {
		c->rx[c->rx_count] = v;
		c->rx_error[c->rx_count++] = error;
	}
	chip_update(c);
}

/* The time of one character passes. */
static void chip_tick(struct chip *c)
{
	if (c->rx_count && chip_fifo(c) && ++c->rx_idle >= 4)
		c->timeout = true;
	if (!c->tx_dead && c->shift >= 0) {
		if (c->mcr & 0x10)
			chip_receive(c, (uint8_t)c->shift, 0);
		else if (c->wire_count < sizeof(c->wire))
			c->wire[c->wire_count++] = (uint8_t)c->shift;
		c->shift = -1;
	}
	if (c->shift < 0 && c->tx_count) {
		c->shift = c->tx[0];
		memmove(c->tx, c->tx + 1, --c->tx_count);
		if (!c->tx_count)
			c->thre_pending = !c->no_kick || (c->ier & 2);
	}
	chip_update(c);
}

static uint8_t chip_lsr_read(struct chip *c)
{
	uint8_t v = (uint8_t)(c->tx_count ? 0 : 0x20);

	if (!c->tx_count && c->shift < 0)
		v |= 0x40;
	if (c->overrun)
		v |= 0x02;
	if (c->rx_count)
		v |= 0x01 | c->rx_error[0];
	for (unsigned i = 0; chip_fifo(c) && i < c->rx_count; i++)
		v |= c->rx_error[i] ? 0x80 : 0;
	c->overrun = false;
	c->rx_error[0] = 0;
	return v;
}

static uint8_t chip_rbr_read(struct chip *c)
{
	uint8_t v = c->rx[0];

	c->ghost = false;
	c->rx_idle = 0;
	c->timeout = false;
	if (c->rx_count) {
		c->rx_count--;
		memmove(c->rx, c->rx + 1, c->rx_count);
		memmove(c->rx_error, c->rx_error + 1, c->rx_count);
	}
	while (c->flood && c->rx_count < chip_room(c)) {
		c->flood--;
		c->rx_error[c->rx_count] = 0;
		c->rx[c->rx_count++] = (uint8_t)c->flood;
	}
	return v;
}

static uint8_t chip_reg_read(struct chip *c, unsigned reg)
{
	uint8_t v;

	switch (reg) {
	case 0:
		return c->lcr & 0x80 ? c->dll : chip_rbr_read(c);
	case 1:
		return c->lcr & 0x80 ? c->dlm : c->ier;
	case 2:
		v = chip_iir(c);
		if ((v & 0x0f) == 0x02)
			c->thre_pending = false;
		return v;
	case 3:
		return c->lcr;
	case 4:
		return c->mcr;
	case 5:
		return chip_lsr_read(c);
	case 6:
		v = chip_inputs(c) | c->msr_delta;
		c->msr_delta = 0;
		return v;
	default:
		return c->kind == CHIP_8250 ? 0xff : c->scr;
	}
}

static void chip_thr_write(struct chip *c, uint8_t v)
{
	c->thre_pending = false;
	if (c->tx_count == chip_room(c))
		c->tx_lost++;
	else
		c->tx[c->tx_count++] = v;
	while (c->instant && (c->tx_count || c->shift >= 0))
		chip_tick(c);
}

static void chip_ier_write(struct chip *c, uint8_t v)
{
	while (c->late && c->tx_count)
		chip_tick(c);
	if (!(v & 2))
		c->thre_pending = false;
	else if (!(c->ier & 2) && !c->tx_count && !c->no_kick)
		c->thre_pending = true;
	c->ier = v & 0x0f;
}

static void chip_fcr_write(struct chip *c, uint8_t v)
{
	if (c->kind != CHIP_16550A && c->kind != CHIP_16550)
		return;
	if (((c->fcr ^ v) & 1) || (v & 2)) {
		c->rx_count = 0;
		c->timeout = false;
	}
	if (((c->fcr ^ v) & 1) || (v & 4)) {
		c->tx_lost += c->tx_count;
		c->tx_count = 0;
	}
	c->fcr = v & 1 ? v & 0xc9 : 0;
}

static void chip_reg_write(struct chip *c, unsigned reg, uint8_t v)
{
	uint8_t before = chip_inputs(c);

	if (reg == 0 && c->lcr & 0x80)
		c->dll = v;
	else if (reg == 0)
		chip_thr_write(c, v);
	else if (reg == 1 && c->lcr & 0x80)
		c->dlm = v;
	else if (reg == 1)
		chip_ier_write(c, v);
	else if (reg == 2)
		chip_fcr_write(c, v);
	else if (reg == 3)
		c->lcr = v;
	else if (reg == 4)
		c->mcr = v & 0x1f;
	else if (reg == 7)
		c->scr = v;
	c->msr_delta |= (uint8_t)((before ^ chip_inputs(c)) >> 4);
}

static uint8_t chip_read(void *ctx, unsigned reg)
{
	struct chip *c = ctx;

	c->reads[reg]++;
	if (c->echo) {
		uint8_t v = c->bus;

		c->bus = 0xff;
		return v;
	}
	c->bus = c->kind == CHIP_ABSENT ? 0xff : chip_reg_read(c, reg);
	chip_update(c);
	return c->bus;
}

static void chip_write(void *ctx, unsigned reg, uint8_t v)
{
	struct chip *c = ctx;

	c->writes[reg]++;
	c->bus = v;
	if (c->kind != CHIP_ABSENT && !c->echo)
		chip_reg_write(c, reg, v);
	chip_update(c);
}

static void chip_reset(struct chip *c, enum chip_kind kind)
{
	memset(c, 0, sizeof(*c));
	c->kind = kind;
	c->shift = -1;
	c->lines = 0xb0; /* carrier, set ready, clear to send */
}

/* All reads of registers so far. */
static unsigned chip_reads(const struct chip *c)
{
	unsigned n = 0;

	for (unsigned i = 0; i < 8; i++)
		n += c->reads[i];
	return n;
}
