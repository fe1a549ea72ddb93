/*
 * Ticket locks with ranks. A CPU's held ranks are a bit set in its struct percpu: taking a lock
 * whose rank is not above all of them is a deadlock waiting to happen, and panics at once.
 */
#include <crvm/cpu.h>
#include <crvm/panic.h>
#include <crvm/percpu.h>
#include <crvm/spinlock.h>

/*
 * These two are on the way of every access to a device, so the ranks that this CPU holds (struct
 * percpu) are reached by one instruction each.
 */
#define RANKS	    "%%gs:%c[ranks]"
#define RANKS_INPUT [ranks] "i"(offsetof(struct percpu, ranks_held))

/* Marks the rank as held; false if it or a higher one is held already. */
static inline bool rank_enter(uint32_t bit)
{
	bool held;

	__asm__ volatile("cmp %[bit], " RANKS "\n\t"
			 : "=@ccae"(held)
			 : [bit] "r"(bit), RANKS_INPUT
			 : "memory");
	if (unlikely(held))
		return false;
	__asm__ volatile("xor %[bit], " RANKS : : [bit] "r"(bit), RANKS_INPUT : "memory", "cc");
	return true;
}

/* Returns whether it was held. */
static inline bool rank_leave(uint32_t rank)
{
	bool held;

	__asm__ volatile("btrl %[rank], " RANKS "\n\t"
			 : "=@ccc"(held)
			 : [rank] "r"(rank), RANKS_INPUT
			 : "memory");
	return held;
}

static __attribute__((noinline)) void wait_for(struct spinlock *l, uint16_t ticket)
{
	while (atomic_load_explicit(&l->serving, memory_order_acquire) != ticket)
		cpu_relax();
}

void spin_lock(struct spinlock *l)
{
	uint16_t ticket;

	if (unlikely(!rank_enter(l->rank_bit)))
		panic("lock %s (rank %u) taken while ranks %x are held", l->name, l->rank,
		      this_cpu()->ranks_held);
	ticket = atomic_fetch_add_explicit(&l->next, 1, memory_order_relaxed);
	if (unlikely(atomic_load_explicit(&l->serving, memory_order_acquire) != ticket))
		wait_for(l, ticket);
}

void spin_unlock(struct spinlock *l)
{
	if (unlikely(!rank_leave(l->rank)))
		panic("lock %s (rank %u) released by a CPU that does not hold it", l->name,
		      l->rank);
	/* Only the holder writes it: no LOCK. Stores are releases on this architecture. */
	__asm__ volatile("incw %0" : "+m"(l->serving) : : "memory", "cc");
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
