/*
 * Ticket locks with ranks. A CPU's held ranks are a bit set in its struct percpu: taking a lock
 * whose rank is not above all of them is a deadlock waiting to happen, and panics at once.
 */
#include <crvm/cpu.h>
#include <crvm/panic.h>
#include <crvm/percpu.h>
#include <crvm/spinlock.h>

#define RANKS_HELD	  "%%gs:%c[offset]"
#define RANKS_HELD_OFFSET [offset] "i"(offsetof(struct percpu, ranks_held))

/* this_cpu()->ranks_held in one instruction each: these are on the way of every device access. */
static inline uint32_t ranks_held(void)
{
	uint32_t held;

	__asm__ volatile("mov " RANKS_HELD ", %0" : "=r"(held) : RANKS_HELD_OFFSET : "memory");
	return held;
}

static inline void ranks_flip(uint32_t bit)
{
	__asm__ volatile("xor %0, " RANKS_HELD : : "r"(bit), RANKS_HELD_OFFSET : "memory", "cc");
}

void spin_lock(struct spinlock *l)
{
	uint32_t bit = l->rank_bit;
	uint16_t ticket;

	if (unlikely(ranks_held() >= bit)) /* this rank, or a higher one */
		panic("lock %s (rank %u) taken while ranks %x are held", l->name, l->rank,
		      ranks_held());
	ranks_flip(bit);
	ticket = atomic_fetch_add_explicit(&l->next, 1, memory_order_relaxed);
	while (atomic_load_explicit(&l->serving, memory_order_acquire) != ticket)
		cpu_relax();
}

void spin_unlock(struct spinlock *l)
{
	uint32_t bit = l->rank_bit;

	if (unlikely(!(ranks_held() & bit)))
		panic("lock %s (rank %u) released by a CPU that does not hold it", l->name,
		      l->rank);
	ranks_flip(bit);
	atomic_store_explicit(
		&l->serving,
		(uint16_t)(atomic_load_explicit(&l->serving, memory_order_relaxed) + 1),
		memory_order_release);
}

uint64_t spin_lock_irqsave(struct spinlock *l)
{
	uint64_t flags = irq_save();

	spin_lock(l);
	return flags;
}

void spin_unlock_irqrestore(struct spinlock *l, uint64_t flags)
{
	spin_unlock(l);
	irq_restore(flags);
}
