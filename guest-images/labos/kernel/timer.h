/*
 * Interrupts and time: the two PICs, the tick of the PIT, the date of the RTC.
 */
#ifndef LABOS_TIMER_H
#define LABOS_TIMER_H

#include <stdint.h>

enum { TICKS_PER_SECOND = 100 };

struct date {
	uint32_t year, month, day, hour, minute, second;
};

/* Vectors 32..47, automatic end of interrupt, only timer, keyboard and serial port let through. */
void pic_init(void);

void timer_init(void);
void timer_interrupt(void);

/* Ticks of 10 ms since timer_init; wraps after 497 days. */
uint32_t timer_ticks(void);

void rtc_read(struct date *date);

#endif
