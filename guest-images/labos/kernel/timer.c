/*
 * The tick: channel 0 of the PIT, 100 times a second. Data sheet "8254 Programmable Interval
 * Timer".
 */

#include "thread.h"
#include "timer.h"
#include "x86.h"

enum {
	CHANNEL_0 = 0x40,
	CONTROL = 0x43,
	CONTROL_0_LOW_HIGH_MODE_2 = 0x34,
	INPUT_HZ = 1193182,
	DIVISOR = (INPUT_HZ + TICKS_PER_SECOND / 2) / TICKS_PER_SECOND,
};
_Static_assert(DIVISOR == 11932, "rounded to the nearest");

static volatile uint32_t ticks;

void timer_init(void)
{
	out8(CONTROL, CONTROL_0_LOW_HIGH_MODE_2);
	out8(CHANNEL_0, DIVISOR & 0xff);
	out8(CHANNEL_0, DIVISOR >> 8);
}

void timer_interrupt(void)
{
	ticks++;
	thread_tick();
}

uint32_t timer_ticks(void)
{
	return ticks;
}
