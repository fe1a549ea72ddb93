/*
 * Ticket locks with ranks (arch/x86_64/spinlock.c; host tests bring their own). Any layer may use
 * them. A CPU acquires locks of rising rank only, which is checked in every build: a violation
 * panics.
 */
#pragma once

#include <stdatomic.h>
#include <crvm/compiler.h>

enum lock_rank { /* order of acquisition */
		 RANK_VM = 1,
		 RANK_DEVICE,
		 RANK_IRQCHIP,
		 RANK_TIMER,
		 RANK_SMP,
		 RANK_CONSOLE,
		 RANK_MAP,
		 RANK_FRAME,
		 RANK_LOG,
		 RANK_UART, /* innermost: the host's serial port */
};

struct spinlock {
	_Atomic uint16_t next, serving;
	uint8_t rank;
	uint16_t rank_bit; /* 1 << rank */
	const char *name;
};

#define SPINLOCK_INIT(rank_, name_)                                          \
	{                                                                    \
		.rank = (rank_), .rank_bit = 1u << (rank_), .name = (name_), \
	}

/*
 * For locks that no interrupt handler takes. The caller keeps interrupts as they are.
 */
void spin_lock(struct spinlock *l);
void spin_unlock(struct spinlock *l);

/* Disables interrupts on this CPU first; returns what to hand to the unlock. */
must_check uint64_t spin_lock_irqsave(struct spinlock *l);
void spin_unlock_irqrestore(struct spinlock *l, uint64_t flags);
