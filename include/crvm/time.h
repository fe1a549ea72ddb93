/*
 * Time (arch/x86_64/time.c, timer.c): the TSC is the clock; a heap of timers on each CPU.
 */
#pragma once

#include <crvm/acpi.h>
#include <crvm/compiler.h>
#include <crvm/heap.h>

struct percpu;

/* The TSC value that counts as time 0: when the boot loader entered us. First of all. */
void time_set_start(uint64_t tsc);

/*
 * Measures the TSC by the best source present: CPUID.15h where a timer confirms it, HPET, ACPI PM
 * timer, PIT. Boot CPU, interrupts off. E_NODEV if no source ran.
 */
must_check int time_init(const struct acpi_info *acpi);
/* "HPET", "PM timer", ... */
const char *time_source(void);
uint64_t time_tsc_khz(void);
bool time_tsc_deadline(void); /* timers use the TSC-deadline mode */

/* Nanoseconds since the boot loader entered us; works (as 0) before time_init. */
uint64_t time_ns(void);
uint64_t time_ns_to_tsc(uint64_t ns);
uint64_t time_tsc_to_ns(uint64_t tsc);
/* Spins. */
void time_delay_us(unsigned us);
/* TSC ticks that went by in time_delay_us and in the measurement of time_init, on all CPUs. */
uint64_t time_waited_ticks(void);

struct timer {
	struct heap_node node; /* key: deadline as a TSC value */
	void (*fn)(struct timer *t);
	struct percpu *cpu; /* where it is queued */
};

/* On each CPU, after lapic_init_cpu. */
void timer_init_cpu(void);
/*
 * Calls t->fn(t) on this CPU, from its loop with no lock held, once the TSC has reached `deadline`.
 * A queued timer is moved.
 */
void timer_set(struct timer *t, uint64_t deadline);
/* On the CPU that queued it. Afterwards fn will not be called. */
void timer_cancel(struct timer *t);
/* From the CPU's loop: runs what is due and arms the hardware for the next. */
void timer_run(void);
/* The earliest deadline on this CPU, ~0 if there is none. Interrupts off. */
uint64_t timer_next(void);
