/*
 * The other CPUs (arch/x86_64/smp.c).
 */
#pragma once

#include <crvm/acpi.h>
#include <crvm/percpu.h>
#include <crvm/verdict.h>

/* Fills percpus from the MADT: the boot CPU first, at most `limit` (0: all); sets up the boot CPU's
 * local APIC. */
void smp_enumerate(const struct acpi_info *acpi, unsigned limit);

/* Stacks with guard pages for the boot CPU, which so far runs on those of the image. False: no
 * memory. */
struct cpu_stacks;
must_check bool smp_boot_stacks(struct cpu_stacks *s);

/*
 * Starts all of them together; each calls ap_loop on its own stack, with traps, local APIC and
 * timer set up, which sets its state to CPU_ONLINE or CPU_FAILED and never returns. Waits for that;
 * a CPU that stays silent for a second is reported and set to CPU_FAILED.
 */
void smp_start(const struct acpi_info *acpi, void (*ap_loop)(void));

/* Makes a CPU look at its work bits. Any CPU, any context but NMI. */
void smp_kick(struct percpu *cpu, enum cpu_work work);

/*
 * Runs fn(arg) in another CPU's loop (or here, if it is this one) and waits for it; meanwhile
 * serves calls made to this CPU. With no lock held and interrupts on. E_NODEV if that CPU is not
 * online.
 */
must_check int smp_call(struct percpu *cpu, void (*fn)(void *arg), void *arg);
/* From the CPU's loop. */
void smp_serve_calls(void);

/* For panic: stops every other CPU by NMI; waits at most 10 ms. */
void smp_stop_others(void);
