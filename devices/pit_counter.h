/*
 * One counter of the 8254, for devices/pit8254.c alone. Must not know ports, interrupts or
 * nanoseconds: `now` is in clocks of the chip and never runs backward.
 */
#pragma once

#include <crvm/devices/pit8254.h>

#define PIT_NEVER UINT64_MAX

/* Control word. Source: 8254 data sheet, "Control Word Format". */
enum pit_control {
	PIT_BCD = 1u << 0,
	PIT_MODE_SHIFT = 1,
	PIT_MODE_MASK = 7,
	PIT_RW_SHIFT = 4,
	PIT_RW_MASK = 3,
	PIT_RW_LATCH = 0,
	PIT_RW_LSB = 1,
	PIT_RW_MSB = 2,
	PIT_RW_BOTH = 3,
	PIT_CONTROL_KEPT = 0x3f,
	PIT_SC_SHIFT = 6,
	PIT_SC_READ_BACK = 3,
};

/* Before any control word: stopped, OUT high. The data sheet leaves this open. */
void pit_counter_reset(struct pit_counter *c, bool gate);

/*
 * Brings the counter up to `now`; returns how many rising edges OUT had since the last call. All
 * functions below want this done first.
 */
uint64_t pit_counter_sync(struct pit_counter *c, uint64_t now);

void pit_counter_control(struct pit_counter *c, uint64_t now, uint8_t control);
/* True if a count is complete with it. */
bool pit_counter_write(struct pit_counter *c, uint64_t now, uint8_t byte);
uint8_t pit_counter_read(struct pit_counter *c, uint64_t now);
void pit_counter_latch(struct pit_counter *c, uint64_t now);
void pit_counter_latch_status(struct pit_counter *c, uint64_t now);
void pit_counter_gate(struct pit_counter *c, uint64_t now, bool gate);
bool pit_counter_out(const struct pit_counter *c, uint64_t now);

/* The next rising edge of OUT after `now`, as things stand; PIT_NEVER: none. */
uint64_t pit_counter_next_edge(const struct pit_counter *c, uint64_t now);
