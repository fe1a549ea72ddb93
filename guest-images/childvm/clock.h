/*
 * The child's time, and the alarms of its devices (clock.c). Knows no device: what an alarm calls
 * is handed to it.
 */
#pragma once

#include <crvm/device.h>

enum clock_alarm {
	CLOCK_PIT,
	CLOCK_RTC,
	CLOCK_SERIAL,
	CLOCK_KBC,
	CLOCK_POLL, /* nobody's: the loop in child.c wants to look around */
	CLOCK_ALARM_COUNT
};

struct device_clock clock_device(void);
/* `ring` (may be NULL) is called from clock_ring only. */
struct device_timer clock_timer(enum clock_alarm a, void (*ring)(void));

/* ns since childvm was started. */
uint64_t clock_now(void);
/* Time may have passed since clock_now was asked last: the child ran, or we slept. */
void clock_forget(void);

/* An alarm in so many ns, unless it is set already. */
void clock_set_if_unset(enum clock_alarm a, uint64_t ns);
/* Rings what is due. `rang`: the host's alarm has gone off. */
void clock_ring(bool rang);
/* Has the host's alarm go off for the next one, if that is not what it does already. */
void clock_arm(void);
