/* A PIT with a clock, a timer and an interrupt controller that its tests turn by hand. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <crvm/devices/pit8254.h>

#define MS 1000000ull
#define S  1000000000ull

enum { HZ100 = 11932 };

static struct pit pit;

/* Time; the alarm; how often it was set. */
static uint64_t rig_ns, rig_alarm, rig_alarms_set;
/* The line, its rising edges, and an edge-triggered controller behind it. */
static bool rig_line, rig_irr, rig_masked;
static unsigned rig_edges, rig_taken;

static inline uint64_t rig_now(void *ctx)
{
	assert_ptr_equal(ctx, &rig_ns);
	return rig_ns;
}

static inline void rig_timer_set(void *ctx, uint64_t deadline)
{
	assert_ptr_equal(ctx, &rig_alarm);
	rig_alarm = deadline;
	rig_alarms_set++;
}

static inline void rig_irq_set(void *ctx, bool level)
{
	assert_ptr_equal(ctx, &rig_line);
	if (level && !rig_line) {
		rig_edges++;
		rig_irr = true;
	}
	rig_line = level;
}

static inline bool rig_tick_waits(void *ctx)
{
	assert_ptr_equal(ctx, &pit);
	return rig_irr && !rig_masked;
}

static inline void rig_init(enum pit_policy policy)
{
	static const struct pit_ops ops = {
		.irq0 = {rig_irq_set, &rig_line},
		.tick_waits = rig_tick_waits,
		.clock = {rig_now, &rig_ns},
		.timer = {rig_timer_set, &rig_alarm},
		.ctx = &pit,
	};

	memset(&pit, 0xee, sizeof(pit));
	rig_ns = rig_alarms_set = 0;
	rig_alarm = DEVICE_NEVER;
	rig_line = rig_irr = rig_masked = false;
	rig_edges = rig_taken = 0;
	pit_init(&pit, &ops, policy);
	assert_int_equal(rig_alarms_set + rig_edges, 0);
}

/* As the port bus does it. */
static inline struct io_region rig_region(uint16_t port)
{
	for (unsigned i = 0; i < PIT_REGION_COUNT; i++) {
		const struct io_region r = pit_region(&pit, i);

		assert_ptr_equal(r.dev, &pit.dev);
		assert_int_equal(r.ops->sizes, 1);
		if (port >= r.base && port < r.base + r.len)
			return r;
	}
	fail();
	__builtin_unreachable();
}

static inline uint8_t in(uint16_t port)
{
	const struct io_region r = rig_region(port);

	return (uint8_t)r.ops->read(r.dev, port - r.base, 1);
}

static inline void out(uint16_t port, unsigned v)
{
	const struct io_region r = rig_region(port);

	r.ops->write(r.dev, port - r.base, 1, v);
}

/* The first nanosecond of a clock. */
static inline uint64_t clock_ns(uint64_t clock)
{
	return (uint64_t)(((unsigned __int128)clock * 17600 + 20) / 21);
}

static inline uint64_t ns_clock(uint64_t ns)
{
	return (uint64_t)((unsigned __int128)ns * 21 / 17600);
}

/* The guest's CPU takes what the controller has for it. */
static inline void rig_take(void)
{
	if (!rig_irr || rig_masked)
		return;
	rig_irr = false;
	rig_taken++;
	pit_tick_taken(&pit);
}

/* Lets time pass to `ns`, with alarms exactly in time and a guest that takes each tick at once. */
static inline void rig_run(uint64_t ns)
{
	while (rig_alarm <= ns) {
		rig_ns = rig_alarm > rig_ns ? rig_alarm : rig_ns;
		rig_alarm = DEVICE_NEVER;
		pit_expired(&pit);
		rig_take();
	}
	rig_ns = ns;
}

/* Programs a counter: control word, and a count of two bytes. */
static inline void program(unsigned counter, unsigned mode, uint16_t count)
{
	out(0x43, counter << 6 | 0x30 | mode << 1);
	out((uint16_t)(0x40 + counter), count & 0xff);
	out((uint16_t)(0x40 + counter), count >> 8);
}

/* Two bytes, by a latch command. */
static inline uint16_t latched(unsigned counter)
{
	uint16_t v;

	out(0x43, counter << 6);
	v = in((uint16_t)(0x40 + counter));
	return (uint16_t)(v | in((uint16_t)(0x40 + counter)) << 8);
}

static inline uint8_t status(unsigned counter)
{
	out(0x43, 0xe0 | 2u << counter);
	return in((uint16_t)(0x40 + counter));
}

/* The alarm comes at `ns`, which may be late. */
static inline void expire_at(uint64_t ns)
{
	rig_ns = ns;
	rig_alarm = DEVICE_NEVER;
	pit_expired(&pit);
}

static inline void expect_ticks(uint64_t due, uint64_t raised, uint64_t owed, uint64_t merged)
{
	const struct pit_ticks t = pit_ticks(&pit);

	assert_int_equal(t.due, due);
	assert_int_equal(t.raised, raised);
	assert_int_equal(t.owed, owed);
	assert_int_equal(t.merged, merged);
}
