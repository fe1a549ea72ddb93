/*
 * Time: CMOS clock, timer ticks (INT 08h), INT 1Ah, and waiting by the PIT's counter. It knows
 * nothing of who waits. Source: Motorola MC146818A data sheet; Intel 8254 data sheet, "Counter
 * Latch Command".
 */
#include "firmware.h"

enum { CMOS_INDEX = 0x70, CMOS_DATA = 0x71, PIT_COUNTER0 = 0x40, PIT_CONTROL = 0x43 };

enum {
	RTC_SECONDS = 0x00,
	RTC_MINUTES = 0x02,
	RTC_HOURS = 0x04,
	RTC_DAY = 0x07,
	RTC_MONTH = 0x08,
	RTC_YEAR = 0x09,
	RTC_A = 0x0a,
	RTC_B = 0x0b,
	RTC_CENTURY = 0x32,
};

enum {
	RTC_A_UIP = 0x80,
	RTC_B_SET = 0x80,
	RTC_B_DST = 0x01,
	RTC_B_24H = 0x02,
	RTC_B_BINARY = 0x04
};

/* Ticks of 65536 PIT steps in a day. */
#define TICKS_PER_DAY 0x1800b0u

/* Bit 7 of the index masks NMI; it stays clear. */
uint8_t cmos_read(uint8_t index)
{
	outb(CMOS_INDEX, index);
	return inb(CMOS_DATA);
}

void cmos_write(uint8_t index, uint8_t v)
{
	outb(CMOS_INDEX, index);
	outb(CMOS_DATA, v);
}

/* An update takes 2 ms at most; a clock that never ends one is read all the same. */
static void rtc_wait_update(void)
{
	for (uint32_t i = 0; i < 20000 && cmos_read(RTC_A) & RTC_A_UIP; i++)
		;
}

static uint8_t from_bcd(uint8_t v)
{
	if (cmos_read(RTC_B) & RTC_B_BINARY)
		return v;
	return (uint8_t)((v >> 4) * 10 + (v & 15));
}

uint16_t pit_read(void)
{
	uint32_t flags = flags_read();
	uint16_t v;

	interrupts_off();
	outb(PIT_CONTROL, 0x00);
	v = inb(PIT_COUNTER0);
	v |= (uint16_t)(inb(PIT_COUNTER0) << 8);
	flags_write(flags);
	return v;
}

/* Never 0: a counter that stands still must not stop who waits for ever. */
uint16_t pit_passed(uint16_t last, uint16_t now)
{
	return last == now ? 1 : (uint16_t)(last - now);
}

static void time_wait_half_steps(uint32_t left)
{
	uint16_t last = pit_read();

	for (;;) {
		uint16_t now = pit_read();
		uint32_t passed = pit_passed(last, now);

		if (passed >= left)
			return;
		left -= passed;
		last = now;
	}
}

void time_wait_us(uint32_t us)
{
	for (; us >= 1000000; us -= 1000000)
		time_wait_half_steps(PIT_HALF_STEPS_PER_MS * 1000u);
	time_wait_half_steps(us * 2 + us * (PIT_HALF_STEPS_PER_MS - 2000) / 1000);
}

/* 18.2 Hz, mode 3; the count of ticks since midnight from the clock. */
void time_init(void)
{
	uint32_t seconds;

	outb(PIT_CONTROL, 0x36);
	outb(PIT_COUNTER0, 0);
	outb(PIT_COUNTER0, 0);
	rtc_wait_update();
	seconds = from_bcd(cmos_read(RTC_SECONDS)) + 60u * from_bcd(cmos_read(RTC_MINUTES)) +
		  3600u * from_bcd(cmos_read(RTC_HOURS));
	if (seconds >= 86400)
		seconds = 0;
	BDA->ticks = seconds * 18 + seconds * 2065 / 10000;
	BDA->ticks_midnight = 0;
}

/* INT 08h, without INT 1Ch and the end of interrupt: entry.S. */
void irq0_timer(void)
{
	uint32_t ticks = BDA->ticks + 1;

	if (ticks >= TICKS_PER_DAY) {
		ticks = 0;
		BDA->ticks_midnight = 1;
	}
	BDA->ticks = ticks;
}

static void time_get_ticks(REGS *r)
{
	uint32_t flags = flags_read();
	uint32_t ticks;

	interrupts_off();
	ticks = BDA->ticks;
	r->al = BDA->ticks_midnight;
	BDA->ticks_midnight = 0;
	flags_write(flags);
	r->dx = (uint16_t)ticks;
	r->cx = (uint16_t)(ticks >> 16);
	r->ah = 0;
	frame_ok(r);
}

static void time_set_ticks(REGS *r)
{
	uint32_t flags = flags_read();

	interrupts_off();
	BDA->ticks = (uint32_t)r->cx << 16 | r->dx;
	BDA->ticks_midnight = 0;
	flags_write(flags);
	r->ah = 0;
	frame_ok(r);
}

static void time_get_clock(REGS *r)
{
	rtc_wait_update();
	r->dh = cmos_read(RTC_SECONDS);
	r->cl = cmos_read(RTC_MINUTES);
	r->ch = cmos_read(RTC_HOURS);
	r->dl = cmos_read(RTC_B) & RTC_B_DST;
	r->ax = r->ch;
	frame_ok(r);
}

static void time_set_clock(REGS *r)
{
	uint8_t b = cmos_read(RTC_B);

	cmos_write(RTC_B, b | RTC_B_SET);
	cmos_write(RTC_SECONDS, r->dh);
	cmos_write(RTC_MINUTES, r->cl);
	cmos_write(RTC_HOURS, r->ch);
	cmos_write(RTC_B,
		   (uint8_t)((b & ~(RTC_B_SET | RTC_B_DST)) | RTC_B_24H | (r->dl & RTC_B_DST)));
	r->ah = 0;
	frame_ok(r);
}

static void time_get_date(REGS *r)
{
	rtc_wait_update();
	r->dl = cmos_read(RTC_DAY);
	r->dh = cmos_read(RTC_MONTH);
	r->cl = cmos_read(RTC_YEAR);
	r->ch = cmos_read(RTC_CENTURY);
	/* A machine that keeps no century means this one. */
	if (r->ch != 0x19 && r->ch != 0x20 && r->ch != 0x21)
		r->ch = 0x20;
	r->ah = 0;
	frame_ok(r);
}

static void time_set_date(REGS *r)
{
	uint8_t b = cmos_read(RTC_B);

	cmos_write(RTC_B, b | RTC_B_SET);
	cmos_write(RTC_DAY, r->dl);
	cmos_write(RTC_MONTH, r->dh);
	cmos_write(RTC_YEAR, r->cl);
	cmos_write(RTC_CENTURY, r->ch);
	cmos_write(RTC_B, (uint8_t)(b & ~RTC_B_SET));
	r->ah = 0;
	frame_ok(r);
}

void int1a_time(REGS *r)
{
	switch (r->ah) {
	case 0x00:
		return time_get_ticks(r);
	case 0x01:
		return time_set_ticks(r);
	case 0x02:
		return time_get_clock(r);
	case 0x03:
		return time_set_clock(r);
	case 0x04:
		return time_get_date(r);
	case 0x05:
		return time_set_date(r);
	default:
		/* B1h is the PCI BIOS: 81h, not supported, and EDX without its signature. */
		return frame_fail(r, r->ah == 0xb1 ? 0x81 : 0x86);
	}
}
