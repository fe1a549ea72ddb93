/*
 * The MC146818 real-time clock with its CMOS memory (devices/rtc.c): ports 70h-71h, and a second
 * bank of 128 bytes of memory at 72h-73h. Knows no interrupt controller and no wall clock but the
 * one it was given at its creation. Source: Motorola MC146818A data sheet; the century at 32h and
 * the second bank are what PCs have added.
 *
 * The battery never fails: reset leaves time, memory and formats alone.
 */
#pragma once

#include <crvm/device.h>

#define RTC_REGION_COUNT 1u
#define RTC_CMOS_SIZE	 256u /* both banks */

enum rtc_port {
	RTC_PORT_INDEX = 0x70, /* bit 7, the mask of the NMI, is ignored */
	RTC_PORT_DATA,
	RTC_PORT_INDEX2,
	RTC_PORT_DATA2,
	RTC_PORT_COUNT = 4
};

/* Called with the device's lock held. */
struct rtc_ops {
	struct irq_line irq8; /* up while register C has IRQF */
	struct device_clock clock;
	struct device_timer timer;
};

struct rtc {
	struct device dev;
	struct rtc_ops ops;
	uint64_t second_at; /* when the last update was, ns modulo 2^64 */
	uint64_t seconds;   /* updates since the start, those that SET held back included */
	uint64_t periods;   /* periods of the periodic rate since then */
	uint64_t alarm;	    /* deadline that the timer has */
	uint64_t unix_ns_at_zero;
	uint8_t index, index2;
	bool line;
	uint8_t cmos[RTC_CMOS_SIZE]; /* the time as it was at the last update, too */
};

/* `unix_ns_at_zero`: wall-clock time, UTC, when clock.now was 0. */
void rtc_init(struct rtc *r, const struct rtc_ops *ops, uint64_t unix_ns_at_zero);

/*
 * Memory that the machine's builder fills (sizes, boot order): index 0Eh-7Fh, and 80h-FFh for the
 * second bank. The time's and control registers are not reached.
 */
void rtc_set_cmos(struct rtc *r, uint8_t index, uint8_t value);

/* What to add to the VM's port bus: region `i` < RTC_REGION_COUNT. */
struct io_region rtc_region(struct rtc *r, unsigned i);

/* Its timer. */
void rtc_expired(struct rtc *r);
