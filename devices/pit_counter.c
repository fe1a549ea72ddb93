/*
 * One counter of the 8254: what its counting element and its OUT are at a given clock, worked out
 * from when it was loaded rather than counted. Must not know ports, interrupts or nanoseconds.
 * Source: Intel 8254 data sheet, "Mode Definitions", "Operation Common to All Modes", "Read
 * Operations".
 *
 * Differences of clocks are taken modulo 2^64: mode 3 may set `start` before clock 0.
 */
#include "pit_counter.h"

enum { BCD_WRAP = 10000, BINARY_WRAP = 65536 };

static bool counter_is_periodic(const struct pit_counter *c)
{
	return c->mode == 2 || c->mode == 3;
}

/* In modes 1 and 5 the gate starts, in the others it lets count. */
static bool counter_is_gated(const struct pit_counter *c)
{
	return c->mode != 1 && c->mode != 5;
}

/* Clocks that OUT is high in a period of mode 3: the longer half of an odd count. */
static uint32_t square_high(uint32_t n)
{
	return (n + 1) / 2;
}

/* Clocks from loading `n` to the rising edge of OUT; a strobe of modes 4 and 5 lasts one more. */
static uint64_t clocks_to_edge(const struct pit_counter *c, uint32_t n)
{
	return (uint64_t)n + (c->mode >= 4);
}

static uint32_t bcd_to_count(uint16_t v)
{
	return (v >> 12 & 15u) * 1000 + (v >> 8 & 15u) * 100 + (v >> 4 & 15u) * 10 + (v & 15u);
}

static uint16_t count_to_bcd(uint32_t v)
{
	v %= BCD_WRAP;
	return (uint16_t)(v / 1000 << 12 | v / 100 % 10 << 8 | v / 10 % 10 << 4 | v % 10);
}

/* The counting element, `e` clocks after it was loaded. */
static uint32_t count_after(const struct pit_counter *c, uint64_t e)
{
	const uint32_t even = c->n & ~1u, high = square_high(c->n);

	switch (c->mode) {
	case 2:
		return c->n - (uint32_t)e;
	case 3:
		return even - 2 * (uint32_t)(e < high ? e : e - high);
	default:
		if (e <= c->n)
			return c->n - (uint32_t)e;
		e -= c->n + 1ull;
		return c->control & PIT_BCD ? BCD_WRAP - 1 - (uint32_t)(e % BCD_WRAP)
					    : BINARY_WRAP - 1 - (uint32_t)(e % BINARY_WRAP);
	}
}

static uint32_t counter_count(const struct pit_counter *c, uint64_t now)
{
	return c->counting == PIT_RUNNING ? count_after(c, now - c->start) : c->held;
}

static void counter_stop(struct pit_counter *c, uint64_t now)
{
	c->held = counter_count(c, now);
	c->counting = PIT_STOPPED;
	c->load_at = PIT_NEVER;
}

void pit_counter_reset(struct pit_counter *c, bool gate)
{
	*c = (struct pit_counter){
		.load_at = PIT_NEVER,
		.counting = PIT_STOPPED,
		.control = PIT_RW_BOTH << PIT_RW_SHIFT | 3 << PIT_MODE_SHIFT,
		.mode = 3,
		.gate = gate,
		.null_count = true,
	};
}

/* Counts from the last load up to `now`; the number of rising edges on the way. */
static uint64_t counter_advance(struct pit_counter *c, uint64_t now)
{
	const uint64_t e = now - c->start;
	uint64_t periods = 1, edge;

	if (c->counting != PIT_RUNNING)
		return 0;
	if (!counter_is_periodic(c)) {
		edge = c->start + clocks_to_edge(c, c->n);
		return edge > c->seen && edge <= now;
	}
	if (likely(e < c->n))
		return 0;
	if (unlikely(e >= 2ull * c->n))
		periods = e / c->n;
	c->start += periods * c->n;
	return periods;
}

static void counter_load(struct pit_counter *c)
{
	const uint64_t at = c->load_at;
	/* Only mode 3 loads in mid-period while running: at the end of its high half. */
	const bool low_half = c->counting == PIT_RUNNING && c->mode == 3 && at != c->start;

	c->load_at = PIT_NEVER;
	c->n = c->cr;
	c->null_count = false;
	c->start = low_half ? at - square_high(c->n) : at;
	c->counting = PIT_RUNNING;
	if (!c->gate && counter_is_gated(c)) {
		c->counting = PIT_HELD;
		c->elapsed = 0;
		c->held = count_after(c, 0);
	}
}

uint64_t pit_counter_sync(struct pit_counter *c, uint64_t now)
{
	uint64_t edges = 0;

	if (now >= c->load_at) {
		edges = counter_advance(c, c->load_at);
		counter_load(c);
	}
	edges += counter_advance(c, now);
	c->seen = now;
	return edges;
}

void pit_counter_control(struct pit_counter *c, uint64_t now, uint8_t control)
{
	const uint8_t mode = control >> PIT_MODE_SHIFT & PIT_MODE_MASK;

	counter_stop(c, now);
	c->control = control & PIT_CONTROL_KEPT;
	c->mode = mode > 5 ? mode & 3 : mode; /* X10 and X11: the first bit does not matter */
	c->cr = 0;
	c->null_count = true;
	c->write_high = c->read_high = false;
	c->latched = c->status_latched = false;
}

/* When a count that is complete goes to the counting element. */
static void counter_schedule(struct pit_counter *c, uint64_t now)
{
	switch (c->mode) {
	case 0:
		counter_stop(c, now); /* OUT goes low at once */
		c->load_at = now + 1;
		break;
	case 2:
	case 3:
		if (c->counting == PIT_STOPPED)
			c->load_at = now + 1;
		else if (c->counting == PIT_RUNNING && c->mode == 3 &&
			 now - c->start < square_high(c->n))
			c->load_at = c->start + square_high(c->n);
		else if (c->counting == PIT_RUNNING)
			c->load_at = c->start + c->n;
		break;
	case 4:
		c->load_at = now + 1;
		break;
	default: /* modes 1 and 5 load by the gate */
		break;
	}
}

static void counter_set_cr(struct pit_counter *c, uint64_t now, uint16_t v)
{
	if (v == 0)
		c->cr = c->control & PIT_BCD ? BCD_WRAP : BINARY_WRAP;
	else
		c->cr = c->control & PIT_BCD ? bcd_to_count(v) : v;
	/* Illegal in these modes: made the shortest period there is. */
	if (c->cr == 1 && counter_is_periodic(c))
		c->cr = 2;
	c->null_count = true;
	counter_schedule(c, now);
}

bool pit_counter_write(struct pit_counter *c, uint64_t now, uint8_t byte)
{
	switch (c->control >> PIT_RW_SHIFT & PIT_RW_MASK) {
	case PIT_RW_LSB:
		counter_set_cr(c, now, byte);
		return true;
	case PIT_RW_MSB:
		counter_set_cr(c, now, (uint16_t)(byte << 8));
		return true;
	default:
		break;
	}
	c->write_high = !c->write_high;
	if (c->write_high) {
		c->low = byte;
		if (c->mode == 0)
			counter_stop(c, now);
		return false;
	}
	counter_set_cr(c, now, (uint16_t)(byte << 8 | c->low));
	return true;
}

static uint16_t counter_value(const struct pit_counter *c, uint64_t now)
{
	const uint32_t count = counter_count(c, now);

	return c->control & PIT_BCD ? count_to_bcd(count) : (uint16_t)count;
}

uint8_t pit_counter_read(struct pit_counter *c, uint64_t now)
{
	const uint16_t v = c->latched ? c->latch : counter_value(c, now);
	const unsigned rw = c->control >> PIT_RW_SHIFT & PIT_RW_MASK;
	bool high = rw == PIT_RW_MSB;

	if (c->status_latched) {
		c->status_latched = false;
		return c->status;
	}
	if (rw == PIT_RW_BOTH) {
		high = c->read_high;
		c->read_high = !high;
	}
	/* The latch is held until the last byte has been read. */
	if (rw != PIT_RW_BOTH || high)
		c->latched = false;
	return (uint8_t)(high ? v >> 8 : v);
}

void pit_counter_latch(struct pit_counter *c, uint64_t now)
{
	if (c->latched)
		return;
	c->latch = counter_value(c, now);
	c->latched = true;
}

void pit_counter_latch_status(struct pit_counter *c, uint64_t now)
{
	if (c->status_latched)
		return;
	c->status = (uint8_t)(pit_counter_out(c, now) << 7 | c->null_count << 6 | c->control);
	c->status_latched = true;
}

void pit_counter_gate(struct pit_counter *c, uint64_t now, bool gate)
{
	const bool pauses = c->mode == 0 || c->mode == 4;

	if (gate == c->gate)
		return;
	c->gate = gate;
	if (!gate && c->counting == PIT_RUNNING && counter_is_gated(c)) {
		c->held = counter_count(c, now);
		c->elapsed = now - c->start;
		c->counting = PIT_HELD;
		if (!pauses)
			c->load_at = PIT_NEVER; /* the trigger loads */
	} else if (gate && pauses && c->counting == PIT_HELD) {
		c->start = now - c->elapsed;
		c->counting = PIT_RUNNING;
	} else if (gate && !pauses && c->cr) {
		c->load_at = now + 1;
	}
}

bool pit_counter_out(const struct pit_counter *c, uint64_t now)
{
	const bool running = c->counting == PIT_RUNNING;
	const uint64_t e = running ? now - c->start : c->elapsed;

	if (c->counting == PIT_STOPPED)
		return c->mode != 0;
	switch (c->mode) {
	case 0:
	case 1:
		return e >= c->n;
	case 2:
		return !running || e != c->n - 1;
	case 3:
		return !running || e < square_high(c->n);
	default:
		return e != c->n;
	}
}

uint64_t pit_counter_next_edge(const struct pit_counter *c, uint64_t now)
{
	uint64_t edge = PIT_NEVER;

	if (c->counting == PIT_RUNNING) {
		edge = c->start + clocks_to_edge(c, c->n);
		if (edge <= now)
			edge = PIT_NEVER;
	}
	if (c->load_at >= edge)
		return edge;
	/* A load comes before that. In mid-period (mode 3) it begins with the low half. */
	if (c->counting == PIT_RUNNING && c->mode == 3)
		return c->load_at + c->cr - square_high(c->cr);
	return c->load_at + clocks_to_edge(c, c->cr);
}
