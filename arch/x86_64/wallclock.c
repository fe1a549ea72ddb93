/*
 * The machine's CMOS clock, to include/crvm/wallclock.h. What it tells is checked: it may be
 * absent, without battery, or in mid-update. It must not know who asks for the time. Source:
 * Motorola MC146818A data sheet, "Address Map", "Time, Calendar, and Alarm Locations", "Update
 * Cycle".
 */
#include <crvm/cpu.h>
#include <crvm/status.h>
#include <crvm/time.h>
#include <crvm/date.h>
#include <crvm/wallclock.h>

enum cmos_reg {
	CMOS_SECONDS = 0x00,
	CMOS_MINUTES = 0x02,
	CMOS_HOURS = 0x04,
	CMOS_DAY_OF_MONTH = 0x07,
	CMOS_MONTH = 0x08,
	CMOS_YEAR = 0x09,
	CMOS_A = 0x0a,
	CMOS_B = 0x0b,
	CMOS_MEMORY = 0x0e, /* the first index that is no time or control register */
	CMOS_LAST = 0x7f,

	A_UIP = 0x80,
	B_24H = 0x02,
	B_DM = 0x04, /* binary, not BCD */
	HOURS_PM = 0x80,

	CMOS_PORT_INDEX = 0x70,
	CMOS_PORT_DATA = 0x71,

	/* An update takes 2.2 ms, a read about 1 us at least. */
	UIP_READS_MAX = 20000,
	TRIES_MAX = 8,
};

/* As the registers have it. */
struct cmos_time {
	uint8_t seconds, minutes, hours, day, month, year, century, b;
};

static uint8_t cmos_get(const struct wallclock_io *io, unsigned reg)
{
	return io->read(io->ctx, (uint8_t)reg);
}

static bool cmos_wait_no_update(const struct wallclock_io *io)
{
	for (unsigned i = 0; i < UIP_READS_MAX; i++)
		if (!(cmos_get(io, CMOS_A) & A_UIP))
			return true;
	return false;
}

static struct cmos_time cmos_get_time(const struct wallclock_io *io, uint8_t century_register)
{
	return (struct cmos_time){
		.seconds = cmos_get(io, CMOS_SECONDS),
		.minutes = cmos_get(io, CMOS_MINUTES),
		.hours = cmos_get(io, CMOS_HOURS),
		.day = cmos_get(io, CMOS_DAY_OF_MONTH),
		.month = cmos_get(io, CMOS_MONTH),
		.year = cmos_get(io, CMOS_YEAR),
		.century = century_register ? cmos_get(io, century_register) : 0,
		.b = cmos_get(io, CMOS_B),
	};
}

static bool cmos_time_equal(const struct cmos_time *a, const struct cmos_time *b)
{
	return __builtin_memcmp(a, b, sizeof(*a)) == 0;
}

/*
 * Reads until two times are equal: the wait alone does not do, as we may be held up (by firmware,
 * or by a hypervisor below) for longer than the warning lasts.
 */
static bool cmos_get_stable(const struct wallclock_io *io, uint8_t century_register,
			    struct cmos_time *t)
{
	struct cmos_time again;

	for (unsigned i = 0; i < TRIES_MAX; i++) {
		if (!cmos_wait_no_update(io))
			return false;
		*t = cmos_get_time(io, century_register);
		again = cmos_get_time(io, century_register);
		if (cmos_time_equal(t, &again))
			return true;
	}
	return false;
}

#define INVALID 0xffffu

static unsigned cmos_decode(const struct cmos_time *t, uint8_t v)
{
	if (t->b & B_DM)
		return v;
	/* A wrong first digit makes more than 99, which is none of these fields. */
	return (v & 15) > 9 ? INVALID : (v >> 4) * 10u + (v & 15u);
}

static unsigned cmos_decode_hours(const struct cmos_time *t)
{
	unsigned h;

	if (t->b & B_24H)
		return cmos_decode(t, t->hours);
	h = cmos_decode(t, t->hours & (uint8_t)~HOURS_PM);
	if (h < 1 || h > 12)
		return INVALID;
	return h % 12 + (t->hours & HOURS_PM ? 12 : 0);
}

/* Without a century that makes sense, years are 1970 to 2069. */
static unsigned cmos_decode_year(const struct cmos_time *t)
{
	const unsigned year = cmos_decode(t, t->year), century = cmos_decode(t, t->century);

	if (year > 99)
		return INVALID;
	if (century >= 20 && century <= 29)
		return century * 100 + year;
	return year < 70 ? 2000 + year : 1900 + year;
}

static bool cmos_decode_time(const struct cmos_time *t, uint64_t *seconds)
{
	const unsigned second = cmos_decode(t, t->seconds), minute = cmos_decode(t, t->minutes);
	const unsigned hour = cmos_decode_hours(t), day = cmos_decode(t, t->day);
	const unsigned month = cmos_decode(t, t->month), year = cmos_decode_year(t);

	if (second > 59 || minute > 59 || hour > 23 || month < 1 || month > 12 || year == INVALID)
		return false;
	if (day < 1 || day > date_days_in_month(year, month))
		return false;
	*seconds = (((date_to_days(year, month, day) - DATE_DAYS_1970) * 24 + hour) * 60 + minute) *
			   60 +
		   second;
	return true;
}

int wallclock_read(const struct wallclock_io *io, uint8_t century_register, uint64_t *seconds)
{
	struct cmos_time t;

	*seconds = 0;
	if (century_register < CMOS_MEMORY || century_register > CMOS_LAST)
		century_register = 0;
	if (!cmos_get_stable(io, century_register, &t) || !cmos_decode_time(&t, seconds))
		return E_NODEV;
	return OK;
}

static uint8_t cmos_port_read(void *ctx, uint8_t reg)
{
	(void)ctx;
	out8(CMOS_PORT_INDEX, reg); /* bit 7 clear: NMIs stay enabled */
	return in8(CMOS_PORT_DATA);
}

static uint64_t unix_ns_at_start; /* when time_ns was 0, modulo 2^64 */

int wallclock_init(uint8_t century_register)
{
	static const struct wallclock_io io = {.read = cmos_port_read};
	uint64_t seconds;
	const int rc = wallclock_read(&io, century_register, &seconds);

	unix_ns_at_start = seconds * 1000000000ul - time_ns();
	return rc;
}

uint64_t wallclock_unix_ns(void)
{
	return unix_ns_at_start + time_ns();
}
