/* An RTC with a clock and a timer that its tests turn by hand. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>
#include <crvm/devices/rtc.h>

#define MS 1000000ull
#define S  1000000000ull

enum { A_UIP = 0x80, B_24H = 2, B_DM = 4, B_UIE = 0x10, B_AIE = 0x20, B_PIE = 0x40, B_SET = 0x80 };
enum { C_UF = 0x10, C_AF = 0x20, C_PF = 0x40, C_IRQF = 0x80 };

static struct rtc rtc;
static uint64_t rig_ns, rig_alarm, rig_alarms_set;
static bool rig_line;
static unsigned rig_edges;

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
	assert_true(!level || !rig_line);
	if (level && !rig_line)
		rig_edges++;
	rig_line = level;
}

/* With the VM's clock at `ns`, and the wall clock at `unix_ns` when it was 0. */
static inline void rig_init(uint64_t ns, uint64_t unix_ns)
{
	static const struct rtc_ops ops = {
		.irq8 = {rig_irq_set, &rig_line},
		.clock = {rig_now, &rig_ns},
		.timer = {rig_timer_set, &rig_alarm},
	};

	memset(&rtc, 0xee, sizeof(rtc));
	rig_ns = ns;
	rig_alarm = DEVICE_NEVER;
	rig_alarms_set = 0;
	rig_line = false;
	rig_edges = 0;
	rtc_init(&rtc, &ops, unix_ns);
	assert_int_equal(rig_alarms_set + rig_edges, 0);
}

/* As the port bus does it. */
static inline struct io_region rig_region(uint16_t port)
{
	const struct io_region r = rtc_region(&rtc, 0);

	assert_int_equal(RTC_REGION_COUNT, 1);
	assert_ptr_equal(r.dev, &rtc.dev);
	assert_int_equal(r.ops->sizes, 1);
	assert_in_range(port, r.base, r.base + r.len - 1);
	return r;
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

static inline uint8_t get(unsigned reg)
{
	out(0x70, reg);
	return in(0x71);
}

static inline void set(unsigned reg, unsigned v)
{
	out(0x70, reg);
	out(0x71, v);
}

static inline void expire_at(uint64_t ns)
{
	rig_ns = ns;
	rig_alarm = DEVICE_NEVER;
	rtc_expired(&rtc);
}

/* Lets time pass to `ns` with alarms exactly in time; how many there were. */
static inline unsigned run(uint64_t ns)
{
	unsigned alarms = 0;

	for (; rig_alarm <= ns; alarms++)
		expire_at(rig_alarm > rig_ns ? rig_alarm : rig_ns);
	rig_ns = ns;
	return alarms;
}

/* Century, year, month, day, hours, minutes, seconds as the registers have them, in hexadecimal. */
static inline uint64_t get_time(void)
{
	static const uint8_t regs[] = {0x32, 9, 8, 7, 4, 2, 0};
	uint64_t v = 0;

	for (unsigned i = 0; i < sizeof(regs); i++)
		v = v << 8 | get(regs[i]);
	return v;
}

static inline void set_time(uint64_t v)
{
	static const uint8_t regs[] = {0, 2, 4, 7, 8, 9, 0x32};

	for (unsigned i = 0; i < sizeof(regs); i++)
		set(regs[i], (unsigned)(v >> 8 * i & 0xff));
}
