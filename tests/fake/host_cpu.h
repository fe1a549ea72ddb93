/*
 * The physical CPU as a host program has it: struct percpu behind GS, and CLI and STI, which fault
 * in user mode and are caught. It knows no vCPU and no test framework.
 */
#pragma once

#include <crvm/percpu.h>

extern bool fake_irqs_on;	       /* what the last CLI or STI has made it */
extern unsigned fake_irq_enable_count; /* STIs ever */
/* A host interrupt that waits: called once, when STI lets it in. NULL: none. */
extern void (*fake_host_interrupt)(void);

/* Lets CLI and STI work from here on. Again wherever a test framework has taken the signal. */
void fake_cpu_catch(void);
/* Makes `index` the CPU that the program runs on, with no work and interrupts off. */
void fake_cpu_become(unsigned index);
