/*
 * The 8254 interval timer with port 61h (devices/pit8254.c, devices/pit_counter.c). Knows no
 * interrupt controller and no VM: what it needs comes through struct pit_ops. Source: Intel 8254
 * Programmable Interval Timer data sheet.
 *
 * Counter 0's OUT is the tick, IRQ0. Each rising edge of it is due; late or not it ends up raised,
 * owed or merged:
 *
 *	due = raised + owed + merged
 *
 * Periods below PIT_ALARM_CLOCKS (about 100 us) do not get an alarm each: one comes every
 * PIT_ALARM_CLOCKS, and the edges in between count as late ones.
 */
#pragma once

#include <crvm/device.h>

#define PIT_REGION_COUNT   2u
#define PIT_COUNTER_COUNT  3u
#define PIT_ALARM_CLOCKS   120u
#define PIT_OWED_SECONDS   10u	    /* of ticks may be owed; what is beyond merges */
#define PIT_CLOCKS_PER_SEC 1193182u /* rounded; exactly 105/88 MHz */

enum pit_port { PIT_PORT_COUNTER0 = 0x40, PIT_PORT_CONTROL = 0x43, PIT_PORT_SYSTEM = 0x61 };

/* What becomes of a tick that finds the last one not yet taken by the guest's CPU. */
enum pit_policy {
	PIT_COALESCE, /* it merges with it, as on real hardware */
	/* It is owed, and raised when the last one has been taken: a guest that counts ticks keeps
	   time although its CPU was busy elsewhere. One that has IRQ0 masked is owed nothing. */
	PIT_CATCHUP
};

/* Called with the device's lock held. */
struct pit_ops {
	struct irq_line irq0; /* each tick is a rising edge */
	/* The last IRQ0 edge still waits in the interrupt controller, unmasked. NULL: never. */
	bool (*tick_waits)(void *ctx);
	struct device_clock clock;
	struct device_timer timer;
	void *ctx;
};

enum pit_counting {
	PIT_STOPPED, /* until a count is loaded; OUT has the mode's initial level */
	PIT_HELD,    /* by the gate */
	PIT_RUNNING,
};

/* One counter (devices/pit_counter.c). Times are in clocks of the chip since the VM's start. */
struct pit_counter {
	uint64_t start;	  /* PIT_RUNNING: when `n` was in the counting element */
	uint64_t elapsed; /* PIT_HELD: clocks counted since then */
	uint64_t load_at; /* when CR goes to the counting element; UINT64_MAX: not on its own */
	uint64_t seen;	  /* edges until then have been reported */
	uint32_t n;	  /* count loaded last, 1 .. 65536 */
	uint32_t cr;	  /* count written last, to be loaded; 0: none since the control word */
	uint32_t held;	  /* counting element while not running */
	uint16_t latch;
	uint8_t counting; /* enum pit_counting */
	uint8_t control;  /* RW, M and BCD as written */
	uint8_t mode;	  /* 0 .. 5 */
	uint8_t low;	  /* first byte of a count half written */
	uint8_t status;
	bool gate, null_count;
	bool write_high, read_high; /* next byte is the most significant one */
	bool latched, status_latched;
};

struct pit_ticks {
	uint64_t due, raised, owed, merged;
};

struct pit {
	struct device dev;
	struct pit_ops ops;
	struct pit_counter counter[PIT_COUNTER_COUNT];
	struct pit_ticks ticks;
	uint64_t alarm;	     /* deadline that the timer has, ns */
	uint64_t expired_at; /* clock of the last alarm */
	uint32_t owed_max;
	uint8_t policy;	 /* enum pit_policy */
	uint8_t system;	 /* port 61h, the bits that are kept */
	bool tick_taken; /* the last tick raised has been taken */
	bool masked;	 /* the last tick found IRQ0 masked */
};

void pit_init(struct pit *p, const struct pit_ops *ops, enum pit_policy policy);

/* What to add to the VM's port bus: region `i` < PIT_REGION_COUNT. */
struct io_region pit_region(struct pit *p, unsigned i);

/* Its timer. */
void pit_expired(struct pit *p);

/* The guest's CPU has taken IRQ0. */
void pit_tick_taken(struct pit *p);

/* Since the last reset. */
struct pit_ticks pit_ticks(const struct pit *p);
