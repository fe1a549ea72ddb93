/*
 * What belongs to one physical CPU. Reached through GS on that CPU (arch/, core/); others may only
 * touch the atomic members.
 */
#pragma once

#include <stdatomic.h>
#include <crvm/compiler.h>
#include <crvm/heap.h>
#include <crvm/spinlock.h>

#define CPU_MAX 64u

/* Reasons for which a sleeping CPU's loop must look around (percpu.work). */
enum cpu_work {
	WORK_TIMER = 1u << 0,	  /* the earliest deadline has passed */
	WORK_CALL = 1u << 1,	  /* smp_call waits in the mailbox */
	WORK_CONSOLE = 1u << 2,	  /* console input has come */
	WORK_NMI = 1u << 3,	  /* an NMI came that nobody expected */
	WORK_VCPU = 1u << 4,	  /* something was asked of a vCPU here */
	WORK_HYPERCALL = 1u << 5, /* boot CPU: a vCPU waits for its hypercall */
};

enum cpu_state { CPU_ABSENT, CPU_STARTING, CPU_ONLINE, CPU_FAILED };

struct percpu {
	struct percpu *self; /* at GS:0 */
	uint32_t index;
	uint32_t apic_id;
	_Atomic uint32_t work;	/* enum cpu_work */
	_Atomic uint32_t state; /* enum cpu_state */

	/* Locks held: a bit for each rank (spinlock.c). */
	uint32_t ranks_held;
	/* Where this CPU was when it was stopped by panic. */
	_Atomic uint64_t stopped_rip;

	/* Timers (timer.c). */
	struct spinlock timer_lock;
	struct heap timers;
	uint64_t timer_armed; /* TSC deadline programmed in the hardware; ~0: none */

	/* smp_call mailbox (smp.c). */
	_Atomic uint32_t call_claim; /* a caller owns the mailbox */
	_Atomic uint32_t call_busy;  /* it is filled and not yet served */
	void (*call_fn)(void *arg);
	void *call_arg;

	uint64_t interrupts[256]; /* by vector */

	/* Descriptor tables; hardware reads them (gdt.c). */
	uint64_t gdt[8];
	uint8_t tss[104] aligned_to(16);
};

extern struct percpu percpus[CPU_MAX];
extern unsigned cpu_count; /* entries of percpus in use; set before any AP starts */

static inline struct percpu *this_cpu(void)
{
	struct percpu *p;

	__asm__ volatile("mov %%gs:0, %0" : "=r"(p));
	return p;
}

#define for_each_cpu(p) for (struct percpu *p = percpus; p < percpus + cpu_count; p++)
