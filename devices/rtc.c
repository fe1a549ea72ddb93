/*
 * The real-time clock and CMOS memory. The registers hold the time as of the last update; each
 * access first makes up for the updates since then, so that no alarm is needed but for an enabled
 * interrupt. It must not know what the memory means to firmware, nor where the time comes from.
 * Source: Motorola MC146818A data sheet, "Address Map", "Registers", "Interrupts", "Divider
 * Stages", "Update Cycle".
 */
#include <crvm/date.h>
#include <crvm/devices/rtc.h>

enum rtc_reg {
	RTC_SECONDS = 0x00,
	RTC_SECONDS_ALARM = 0x01,
	RTC_MINUTES = 0x02,
	RTC_MINUTES_ALARM = 0x03,
	RTC_HOURS = 0x04,
	RTC_HOURS_ALARM = 0x05,
	RTC_DAY_OF_WEEK = 0x06, /* 1: Sunday */
	RTC_DAY_OF_MONTH = 0x07,
	RTC_MONTH = 0x08,
	RTC_YEAR = 0x09,
	RTC_A = 0x0a,
	RTC_B = 0x0b,
	RTC_C = 0x0c,
	RTC_D = 0x0d,
	RTC_MEMORY = 0x0e,
	RTC_CENTURY = 0x32,
	RTC_BANK_SIZE = 0x80,
};

enum rtc_bits {
	SECONDS_MASK = 0x7f, /* the highest bit cannot be written */
	HOURS_PM = 0x80,     /* in 12-hour mode */
	ALARM_ANY = 0xc0,    /* both bits set: this field does not matter */

	A_RS = 0x0f,	 /* rate select */
	A_DV = 0x70,	 /* divider select */
	A_DV_RUN = 0x20, /* the 32,768 Hz crystal; above: held in reset, or no function */
	A_UIP = 0x80,
	A_POWER_ON = A_DV_RUN | 6, /* 1024 Hz, as PCs' firmware leaves it */

	B_24H = 0x02,
	B_DM = 0x04, /* binary, not BCD */
	B_SQWE = 0x08,
	B_UIE = 0x10,
	B_AIE = 0x20,
	B_PIE = 0x40,
	B_SET = 0x80,

	/* At the places of their enables in register B. */
	C_UF = 0x10,
	C_AF = 0x20,
	C_PF = 0x40,
	C_IRQF = 0x80,
	C_FLAGS = C_UF | C_AF | C_PF,

	D_VRT = 0x80,
};

#define NS_PER_SEC	1000000000ull
#define SECONDS_PER_DAY 86400ull
#define DIVIDER_HZ	32768u
/* UIP: 244 us of warning and 1984 us of update cycle. */
#define UIP_NS 2228000ull
/* The first update after the divider's reset comes half a second later. */
#define DIVIDER_HEAD_NS (NS_PER_SEC / 2)

static struct rtc *rtc_of(void *dev)
{
	return container_of(dev, struct rtc, dev);
}

static uint32_t day_of_week(uint64_t days)
{
	return (uint32_t)((days + 3) % 7) + 1;
}

static bool rtc_is_memory(uint8_t index)
{
	return index >= RTC_MEMORY && index != RTC_CENTURY;
}

static bool rtc_runs(const struct rtc *r)
{
	return (r->cmos[RTC_A] & A_DV) <= A_DV_RUN;
}

static bool rtc_updates(const struct rtc *r)
{
	return rtc_runs(r) && !(r->cmos[RTC_B] & B_SET);
}

static uint32_t rtc_decode(const struct rtc *r, uint8_t v)
{
	return r->cmos[RTC_B] & B_DM ? v : (v >> 4) * 10u + (v & 15u);
}

static uint8_t rtc_encode(const struct rtc *r, uint32_t v)
{
	return (uint8_t)(r->cmos[RTC_B] & B_DM ? v : v / 10 << 4 | v % 10);
}

static uint32_t rtc_decode_hours(const struct rtc *r, uint8_t v)
{
	if (r->cmos[RTC_B] & B_24H)
		return rtc_decode(r, v);
	return rtc_decode(r, v & (uint8_t)~HOURS_PM) % 12 + (v & HOURS_PM ? 12 : 0);
}

static uint8_t rtc_encode_hours(const struct rtc *r, uint32_t hours)
{
	const unsigned twelve = hours % 12 ? hours % 12 : 12;

	if (r->cmos[RTC_B] & B_24H)
		return rtc_encode(r, hours);
	return (uint8_t)(rtc_encode(r, twelve) | (hours >= 12 ? HOURS_PM : 0));
}

static uint32_t rtc_field(const struct rtc *r, enum rtc_reg reg)
{
	return rtc_decode(r, r->cmos[reg]);
}

/* The registers' time in seconds. They hold whatever the guest wrote: each value has some meaning.
 */
static uint64_t rtc_time(const struct rtc *r)
{
	const uint32_t year = rtc_field(r, RTC_CENTURY) * 100 + rtc_field(r, RTC_YEAR);
	const uint32_t month = rtc_field(r, RTC_MONTH), day = rtc_field(r, RTC_DAY_OF_MONTH);

	return date_to_days(year, month, day) * SECONDS_PER_DAY +
	       rtc_decode_hours(r, r->cmos[RTC_HOURS]) * 3600 + rtc_field(r, RTC_MINUTES) * 60 +
	       rtc_field(r, RTC_SECONDS);
}

static void rtc_set_time(struct rtc *r, uint64_t time)
{
	const uint32_t s = (uint32_t)(time % SECONDS_PER_DAY);
	uint32_t year, month, day;

	date_from_days(time / SECONDS_PER_DAY, &year, &month, &day);
	r->cmos[RTC_SECONDS] = rtc_encode(r, s % 60);
	r->cmos[RTC_MINUTES] = rtc_encode(r, s / 60 % 60);
	r->cmos[RTC_HOURS] = rtc_encode_hours(r, s / 3600);
	r->cmos[RTC_DAY_OF_MONTH] = rtc_encode(r, day);
	r->cmos[RTC_MONTH] = rtc_encode(r, month);
	r->cmos[RTC_YEAR] = rtc_encode(r, year % 100);
	r->cmos[RTC_CENTURY] = rtc_encode(r, year / 100 % 100);
}

/* One field of the alarm's time. */
struct alarm_field {
	uint32_t value, limit;
	bool any;
};

static struct alarm_field alarm_field(const struct rtc *r, enum rtc_reg reg, uint32_t limit)
{
	const uint8_t v = r->cmos[reg];
	const bool any = (v & ALARM_ANY) == ALARM_ANY;

	return (struct alarm_field){
		.value = any			  ? 0
			 : reg == RTC_HOURS_ALARM ? rtc_decode_hours(r, v)
						  : rtc_decode(r, v),
		.limit = limit,
		.any = any,
	};
}

static bool alarm_field_is(const struct alarm_field *f, uint32_t v)
{
	return f->any || f->value == v;
}

/* The field's next value after `v`, or its limit. */
static uint32_t alarm_field_after(const struct alarm_field *f, uint32_t v)
{
	if (f->any)
		return v + 1;
	return f->value > v ? f->value : f->limit;
}

/* Updates from the registers' time to the next one that the alarm matches; 0: there is none. */
static uint64_t rtc_alarm_delay(const struct rtc *r)
{
	const struct alarm_field s = alarm_field(r, RTC_SECONDS_ALARM, 60);
	const struct alarm_field m = alarm_field(r, RTC_MINUTES_ALARM, 60);
	const struct alarm_field h = alarm_field(r, RTC_HOURS_ALARM, 24);
	const uint32_t now = (uint32_t)(rtc_time(r) % SECONDS_PER_DAY);
	const uint32_t hour = now / 3600, minute = now / 60 % 60;
	uint32_t next;

	if (s.value >= s.limit || m.value >= m.limit || h.value >= h.limit)
		return 0;
	if (alarm_field_is(&h, hour)) {
		next = alarm_field_after(&s, now % 60);
		if (alarm_field_is(&m, minute) && next < s.limit)
			return hour * 3600 + minute * 60 + next - now;
		next = alarm_field_after(&m, minute);
		if (next < m.limit)
			return hour * 3600 + next * 60 + s.value - now;
	}
	next = alarm_field_after(&h, hour);
	if (next < h.limit)
		return next * 3600 + m.value * 60 + s.value - now;
	return SECONDS_PER_DAY + h.value * 3600 + m.value * 60 + s.value - now;
}

/* `count` updates have gone by. */
static void rtc_update(struct rtc *r, uint64_t count)
{
	const uint64_t delay = rtc_alarm_delay(r), time = rtc_time(r);
	const uint64_t days = (time + count) / SECONDS_PER_DAY - time / SECONDS_PER_DAY;

	r->cmos[RTC_C] |= C_UF;
	if (delay != 0 && delay <= count)
		r->cmos[RTC_C] |= C_AF;
	rtc_set_time(r, time + count);
	/* Not derived from the date: a guest may have set it to what it likes. */
	if (days != 0)
		r->cmos[RTC_DAY_OF_WEEK] = rtc_encode(
			r, (uint32_t)((rtc_field(r, RTC_DAY_OF_WEEK) + 6 + days) % 7) + 1);
}

/* Cycles of the crystal since the last update, < DIVIDER_HZ: 64 of them are 1,953,125 ns. */
static uint32_t rtc_cycles(const struct rtc *r, uint64_t now)
{
	return (uint32_t)((now - r->second_at) * 64 / 1953125);
}

/* Cycles in a period of the periodic rate, as a power of two. The rate is not 0. */
static unsigned rtc_period_shift(const struct rtc *r)
{
	const unsigned rate = r->cmos[RTC_A] & A_RS;

	return rate < 3 ? rate + 6 : rate - 1;
}

static uint64_t rtc_periods(const struct rtc *r, uint64_t now)
{
	if ((r->cmos[RTC_A] & A_RS) == 0)
		return 0;
	return (r->seconds * DIVIDER_HZ + rtc_cycles(r, now)) >> rtc_period_shift(r);
}

/* Makes up for what has happened since the last access. */
static void rtc_sync(struct rtc *r, uint64_t now)
{
	const uint64_t since = now - r->second_at;
	uint64_t count = 1, periods;

	if (!rtc_runs(r))
		return;
	if (unlikely(since >= NS_PER_SEC)) {
		if (since >= 2 * NS_PER_SEC)
			count = since / NS_PER_SEC;
		r->second_at += count * NS_PER_SEC;
		r->seconds += count;
		if (!(r->cmos[RTC_B] & B_SET))
			rtc_update(r, count);
	}
	periods = rtc_periods(r, now);
	if (periods != r->periods)
		r->cmos[RTC_C] |= C_PF;
	r->periods = periods;
}

static uint64_t rtc_next_period(const struct rtc *r, uint64_t now)
{
	const unsigned shift = rtc_period_shift(r);
	const uint64_t cycles = ((uint64_t)(rtc_cycles(r, now) >> shift) + 1) << shift;

	return r->second_at + (cycles * 1953125 + 63) / 64;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* While the line is up, nothing that happens is news to the guest: no alarm. */
static uint64_t rtc_next_alarm(const struct rtc *r, uint64_t now)
{
	const uint8_t b = r->cmos[RTC_B];
	uint64_t next = DEVICE_NEVER, delay;

	if (r->line || !rtc_runs(r))
		return DEVICE_NEVER;
	if (b & B_PIE && r->cmos[RTC_A] & A_RS)
		next = rtc_next_period(r, now);
	if (!rtc_updates(r))
		return next;
	if (b & B_UIE)
		next = earlier(next, r->second_at + NS_PER_SEC);
	if (b & B_AIE) {
		delay = rtc_alarm_delay(r);
		if (delay != 0)
			next = earlier(next, r->second_at + delay * NS_PER_SEC);
	}
	return next;
}

/* The line and the timer, after the flags or what they depend on may have changed. */
static void rtc_settle(struct rtc *r, uint64_t now)
{
	const bool line = r->cmos[RTC_B] & r->cmos[RTC_C] & C_FLAGS;
	uint64_t next;

	if (line != r->line) {
		r->line = line;
		r->ops.irq8.set(r->ops.irq8.ctx, line);
	}
	next = rtc_next_alarm(r, now);
	if (next != r->alarm) {
		r->alarm = next;
		r->ops.timer.set(r->ops.timer.ctx, next);
	}
}

static uint64_t rtc_now(const struct rtc *r)
{
	return r->ops.clock.now(r->ops.clock.ctx);
}

static uint8_t rtc_read_a(const struct rtc *r, uint64_t now)
{
	const bool uip = rtc_updates(r) && now - r->second_at >= NS_PER_SEC - UIP_NS;

	return (uint8_t)(r->cmos[RTC_A] | (uip ? A_UIP : 0));
}

static uint8_t rtc_read_c(struct rtc *r, uint64_t now)
{
	const uint8_t flags = r->cmos[RTC_C];
	const uint8_t v = flags & r->cmos[RTC_B] & C_FLAGS ? flags | C_IRQF : flags;

	r->cmos[RTC_C] = 0;
	rtc_settle(r, now);
	return v;
}

static uint8_t rtc_read_data(struct rtc *r)
{
	uint64_t now;

	if (rtc_is_memory(r->index))
		return r->cmos[r->index];
	now = rtc_now(r);
	rtc_sync(r, now);
	switch (r->index) {
	case RTC_A:
		return rtc_read_a(r, now);
	case RTC_C:
		return rtc_read_c(r, now);
	default:
		return r->cmos[r->index];
	}
}

static void rtc_write_a(struct rtc *r, uint64_t now, uint8_t v)
{
	const bool ran = rtc_runs(r);

	r->cmos[RTC_A] = v & (uint8_t)~A_UIP;
	if (!ran && rtc_runs(r))
		r->second_at = now - DIVIDER_HEAD_NS;
	/* A new rate counts from here on. */
	if (rtc_runs(r))
		r->periods = rtc_periods(r, now);
}

static void rtc_write_b(struct rtc *r, uint8_t v)
{
	if (v & B_SET && !(r->cmos[RTC_B] & B_SET))
		v &= (uint8_t)~B_UIE;
	r->cmos[RTC_B] = v;
}

static void rtc_write_data(struct rtc *r, uint8_t v)
{
	uint64_t now;

	if (rtc_is_memory(r->index)) {
		r->cmos[r->index] = v;
		return;
	}
	now = rtc_now(r);
	rtc_sync(r, now);
	switch (r->index) {
	case RTC_SECONDS:
		r->cmos[RTC_SECONDS] = v & SECONDS_MASK;
		break;
	case RTC_A:
		rtc_write_a(r, now, v);
		break;
	case RTC_B:
		rtc_write_b(r, v);
		break;
	case RTC_C:
	case RTC_D:
		return;
	default:
		r->cmos[r->index] = v;
		break;
	}
	rtc_settle(r, now);
}

static uint64_t rtc_read(void *dev, uint64_t offset, unsigned size)
{
	struct rtc *r = rtc_of(dev);

	(void)size;
	switch (RTC_PORT_INDEX + offset) {
	case RTC_PORT_DATA:
		return rtc_read_data(r);
	case RTC_PORT_DATA2:
		return r->cmos[RTC_BANK_SIZE + r->index2];
	default: /* the indexes can only be written */
		return ~0ull;
	}
}

static void rtc_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	struct rtc *r = rtc_of(dev);

	(void)size;
	switch (RTC_PORT_INDEX + offset) {
	case RTC_PORT_INDEX:
		r->index = value & (RTC_BANK_SIZE - 1);
		break;
	case RTC_PORT_DATA:
		rtc_write_data(r, (uint8_t)value);
		break;
	case RTC_PORT_INDEX2:
		r->index2 = value & (RTC_BANK_SIZE - 1);
		break;
	default:
		r->cmos[RTC_BANK_SIZE + r->index2] = (uint8_t)value;
		break;
	}
}

static const struct io_ops rtc_io_ops = {
	.read = rtc_read,
	.write = rtc_write,
	.sizes = 1,
};

/* What the chip's RESET pin does. */
static void rtc_reset(struct device *dev)
{
	struct rtc *r = rtc_of(dev);
	const uint64_t now = rtc_now(r);

	/* The clock has begun again, and nobody said what time it is. */
	if (now - r->second_at > INT64_MAX)
		r->second_at = now;
	rtc_sync(r, now);
	r->cmos[RTC_B] &= (uint8_t) ~(B_PIE | B_AIE | B_UIE | B_SQWE);
	r->cmos[RTC_C] = 0;
	r->index = r->index2 = 0;
	r->line = false;
	r->alarm = DEVICE_NEVER;
	r->ops.irq8.set(r->ops.irq8.ctx, false);
	r->ops.timer.set(r->ops.timer.ctx, DEVICE_NEVER);
}

void rtc_init(struct rtc *r, const struct rtc_ops *ops, uint64_t unix_ns_at_zero)
{
	const uint64_t epoch = date_to_days(1970, 1, 1) * SECONDS_PER_DAY;
	const uint64_t time = epoch + unix_ns_at_zero / NS_PER_SEC;

	*r = (struct rtc){
		.dev =
			{
				.name = "rtc",
				.lock = SPINLOCK_INIT(RANK_DEVICE, "rtc"),
				.reset = rtc_reset,
			},
		.ops = *ops,
		.second_at = 0 - unix_ns_at_zero % NS_PER_SEC,
		.alarm = DEVICE_NEVER,
		.unix_ns_at_zero = unix_ns_at_zero,
		.cmos = {[RTC_A] = A_POWER_ON, [RTC_B] = B_24H, [RTC_D] = D_VRT},
	};
	rtc_set_time(r, time);
	r->cmos[RTC_DAY_OF_WEEK] = rtc_encode(r, day_of_week(time / SECONDS_PER_DAY));
	r->periods = rtc_periods(r, 0);
}

void rtc_set_cmos(struct rtc *r, uint8_t index, uint8_t value)
{
	if (rtc_is_memory(index))
		r->cmos[index] = value;
}

struct io_region rtc_region(struct rtc *r, unsigned i)
{
	(void)i;
	return (struct io_region){
		.base = RTC_PORT_INDEX,
		.len = RTC_PORT_COUNT,
		.ops = &rtc_io_ops,
		.dev = &r->dev,
		.name = "RTC",
	};
}

void rtc_expired(struct rtc *r)
{
	const uint64_t now = rtc_now(r);

	r->alarm = DEVICE_NEVER;
	rtc_sync(r, now);
	rtc_settle(r, now);
}
