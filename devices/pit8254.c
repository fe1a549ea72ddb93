/*
 * The 8254 interval timer's ports, port 61h, and what becomes of counter 0's ticks. It must not
 * know which interrupt controller takes IRQ0, nor why an alarm comes late. Source: Intel 8254 data
 * sheet, "Programming the 8254"; for port 61h, Intel I/O Controller Hub data sheets, "NMI Status
 * and Control Register".
 */
#include "pit_counter.h"

enum pit_system {
	SYSTEM_GATE2 = 1u << 0,
	SYSTEM_KEPT = 0x0f,	  /* gate, speaker, and the enables of two NMI sources */
	SYSTEM_REFRESH = 1u << 4, /* toggles with each refresh of memory */
	SYSTEM_OUT2 = 1u << 5,
	REFRESH_CLOCKS = 18, /* what the BIOS of the PC/AT gives counter 1: 15 us */
};

/* The chip's clock is 105/88 MHz: 21 clocks are 17600 ns exactly. */
enum { RATIO_NS = 17600, RATIO_CLOCKS = 21 };

static struct pit *pit_of(void *dev)
{
	return container_of(dev, struct pit, dev);
}

/* Full clocks in `ns`. By constants: multiplications, no divisions. */
static inline uint64_t ns_to_clocks(uint64_t ns)
{
	return ns / RATIO_NS * RATIO_CLOCKS + ns % RATIO_NS * RATIO_CLOCKS / RATIO_NS;
}

/* The first nanosecond at which `clocks` are full. */
static uint64_t clocks_to_ns(uint64_t clocks)
{
	return clocks / RATIO_CLOCKS * RATIO_NS +
	       (clocks % RATIO_CLOCKS * RATIO_NS + RATIO_CLOCKS - 1) / RATIO_CLOCKS;
}

static uint64_t pit_now(const struct pit *p)
{
	return ns_to_clocks(p->ops.clock.now(p->ops.clock.ctx));
}

static bool pit_tick_waits(const struct pit *p)
{
	return p->ops.tick_waits && p->ops.tick_waits(p->ops.ctx);
}

/*
 * The line stays up until the next tick. On the chip it goes down for a clock (mode 2) or for half
 * of the period (mode 3) before: a tick not yet taken would be withdrawn then.
 */
static void pit_pulse(const struct pit *p)
{
	p->ops.irq0.set(p->ops.irq0.ctx, false);
	p->ops.irq0.set(p->ops.irq0.ctx, true);
}

/* No second edge; but mode 0 may have lowered the line since the first. */
static void pit_line_up(const struct pit *p)
{
	p->ops.irq0.set(p->ops.irq0.ctx, true);
}

static void pit_raise(struct pit *p)
{
	p->ticks.raised++;
	p->tick_taken = false;
	pit_pulse(p);
}

static void pit_forget_owed(struct pit *p)
{
	p->ticks.merged += p->ticks.owed;
	p->ticks.owed = 0;
}

/*
 * `count` rising edges. A tick neither taken nor waiting means that IRQ0 is masked (or that the
 * controller lost it). Guests mask it for as long as their handler runs: it takes two such ticks in
 * a row to be owed nothing.
 */
static void pit_catch_up(struct pit *p, uint64_t count)
{
	if (pit_tick_waits(p)) {
		pit_line_up(p);
		p->masked = false;
	} else if (p->tick_taken) {
		pit_raise(p);
		count--;
		p->masked = !pit_tick_waits(p);
	} else {
		pit_pulse(p);
		if (p->masked) {
			p->ticks.merged += count;
			pit_forget_owed(p);
			return;
		}
		p->masked = true;
	}
	p->ticks.owed += count;
	if (p->ticks.owed > p->owed_max) {
		p->ticks.merged += p->ticks.owed - p->owed_max;
		p->ticks.owed = p->owed_max;
	}
}

static void pit_tick(struct pit *p, uint64_t count)
{
	p->ticks.due += count;
	if (p->policy == PIT_CATCHUP) {
		pit_catch_up(p, count);
		return;
	}
	if (pit_tick_waits(p)) {
		pit_line_up(p);
	} else {
		pit_raise(p);
		count--;
	}
	p->ticks.merged += count;
}

static void pit_arm(struct pit *p, uint64_t now)
{
	const struct pit_counter *c = &p->counter[0];
	uint64_t at = pit_counter_next_edge(c, now), deadline;
	const bool periodic = c->mode == 2 || c->mode == 3;

	if (periodic && c->cr < PIT_ALARM_CLOCKS && at < p->expired_at + PIT_ALARM_CLOCKS)
		at = p->expired_at + PIT_ALARM_CLOCKS;
	deadline = at == PIT_NEVER ? DEVICE_NEVER : clocks_to_ns(at);
	if (deadline == p->alarm)
		return;
	p->alarm = deadline;
	p->ops.timer.set(p->ops.timer.ctx, deadline);
}

/* A counter as it is now; edges of counter 0 that are older than its alarm are found here too. */
static void pit_sync(struct pit *p, unsigned i, uint64_t now)
{
	const uint64_t edges = pit_counter_sync(&p->counter[i], now);

	if (unlikely(edges && i == 0)) {
		pit_tick(p, edges);
		pit_arm(p, now);
	}
}

/* Counter 0 has been programmed: what was owed is from another time. */
static void pit_reprogrammed(struct pit *p, uint64_t now, bool out)
{
	const bool out_now = pit_counter_out(&p->counter[0], now);

	pit_forget_owed(p);
	if (out_now && !out)
		pit_tick(p, 1);
	else if (p->counter[0].mode == 0 && !out_now)
		p->ops.irq0.set(p->ops.irq0.ctx, false);
	pit_arm(p, now);
}

static void pit_read_back(struct pit *p, uint64_t now, uint8_t v)
{
	enum { NO_COUNT = 1u << 5, NO_STATUS = 1u << 4 };

	for (unsigned i = 0; i < PIT_COUNTER_COUNT; i++) {
		if (!(v & 2u << i))
			continue;
		pit_sync(p, i, now);
		if (!(v & NO_COUNT))
			pit_counter_latch(&p->counter[i], now);
		if (!(v & NO_STATUS))
			pit_counter_latch_status(&p->counter[i], now);
	}
}

static void pit_control(struct pit *p, uint64_t now, uint8_t v)
{
	const unsigned i = v >> PIT_SC_SHIFT;
	bool out;

	if (i == PIT_SC_READ_BACK) {
		pit_read_back(p, now, v);
		return;
	}
	pit_sync(p, i, now);
	if ((v >> PIT_RW_SHIFT & PIT_RW_MASK) == PIT_RW_LATCH) {
		pit_counter_latch(&p->counter[i], now);
		return;
	}
	out = pit_counter_out(&p->counter[i], now);
	pit_counter_control(&p->counter[i], now, v);
	if (i == 0)
		pit_reprogrammed(p, now, out);
}

static void pit_set_count(struct pit *p, unsigned i, uint64_t now, uint8_t v)
{
	struct pit_counter *c = &p->counter[i];
	bool out, complete;

	pit_sync(p, i, now);
	out = pit_counter_out(c, now);
	complete = pit_counter_write(c, now, v);
	if (i != 0)
		return;
	if (complete)
		p->owed_max = PIT_OWED_SECONDS * PIT_CLOCKS_PER_SEC / c->cr;
	pit_reprogrammed(p, now, out);
}

static void counters_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	struct pit *p = pit_of(dev);
	const uint64_t now = pit_now(p);

	(void)size;
	if (offset == PIT_PORT_CONTROL - PIT_PORT_COUNTER0)
		pit_control(p, now, (uint8_t)value);
	else
		pit_set_count(p, (unsigned)offset, now, (uint8_t)value);
}

static uint64_t counters_read(void *dev, uint64_t offset, unsigned size)
{
	struct pit *p = pit_of(dev);
	struct pit_counter *c;
	uint64_t now = 0;

	(void)size;
	if (offset >= PIT_COUNTER_COUNT)
		return ~0ull;
	c = &p->counter[offset];
	if (!c->latched && !c->status_latched) {
		now = pit_now(p);
		pit_sync(p, (unsigned)offset, now);
	}
	return pit_counter_read(c, now);
}

static uint64_t system_read(void *dev, uint64_t offset, unsigned size)
{
	struct pit *p = pit_of(dev);
	const uint64_t now = pit_now(p);
	uint8_t v = p->system;

	(void)offset;
	(void)size;
	pit_sync(p, 2, now);
	if (now / REFRESH_CLOCKS & 1)
		v |= SYSTEM_REFRESH;
	if (pit_counter_out(&p->counter[2], now))
		v |= SYSTEM_OUT2;
	return v;
}

static void system_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	struct pit *p = pit_of(dev);
	const uint64_t now = pit_now(p);

	(void)offset;
	(void)size;
	p->system = value & SYSTEM_KEPT;
	pit_sync(p, 2, now);
	pit_counter_gate(&p->counter[2], now, value & SYSTEM_GATE2);
}

static const struct io_ops counters_ops = {
	.read = counters_read,
	.write = counters_write,
	.sizes = 1,
};
static const struct io_ops system_ops = {
	.read = system_read,
	.write = system_write,
	.sizes = 1,
};

/* On a PC the gates of counters 0 and 1 are tied up; that of counter 2 is in port 61h. */
static void pit_power_on(struct pit *p)
{
	for (unsigned i = 0; i < PIT_COUNTER_COUNT; i++)
		pit_counter_reset(&p->counter[i], i != 2);
	p->ticks = (struct pit_ticks){0};
	p->alarm = DEVICE_NEVER;
	p->expired_at = 0; /* the clock, too, may begin again */
	p->owed_max = 0;
	p->system = 0;
	p->tick_taken = true;
	p->masked = false;
}

static void pit_reset(struct device *dev)
{
	struct pit *p = pit_of(dev);

	pit_power_on(p);
	p->ops.timer.set(p->ops.timer.ctx, DEVICE_NEVER);
	p->ops.irq0.set(p->ops.irq0.ctx, false);
}

void pit_init(struct pit *p, const struct pit_ops *ops, enum pit_policy policy)
{
	*p = (struct pit){
		.dev =
			{
				.name = "pit",
				.lock = SPINLOCK_INIT(RANK_DEVICE, "pit"),
				.reset = pit_reset,
			},
		.ops = *ops,
		.policy = (uint8_t)policy,
	};
	pit_power_on(p);
}

struct io_region pit_region(struct pit *p, unsigned i)
{
	static const struct io_region regions[PIT_REGION_COUNT] = {
		{.base = PIT_PORT_COUNTER0, .len = 4, .ops = &counters_ops, .name = "PIT"},
		{.base = PIT_PORT_SYSTEM, .len = 1, .ops = &system_ops, .name = "system control"},
	};
	struct io_region r = regions[i];

	r.dev = &p->dev;
	return r;
}

void pit_expired(struct pit *p)
{
	const uint64_t now = pit_now(p);

	p->alarm = DEVICE_NEVER;
	p->expired_at = now;
	pit_sync(p, 0, now);
	pit_arm(p, now);
}

void pit_tick_taken(struct pit *p)
{
	p->tick_taken = true;
	if (p->ticks.owed == 0)
		return;
	p->ticks.owed--;
	p->masked = false;
	pit_raise(p);
}

struct pit_ticks pit_ticks(const struct pit *p)
{
	return p->ticks;
}
