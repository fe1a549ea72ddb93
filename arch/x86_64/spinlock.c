/*
 * Ticket locks with ranks. A CPU's held ranks are a bit set in its struct percpu: taking a lock
 * whose rank is not above all of them is a deadlock waiting to happen, and panics at once.
 */
#include <crvm/cpu.h>
#include <crvm/panic.h>
#include <crvm/percpu.h>
#include <crvm/spinlock.h>

void spin_lock(struct spinlock *l)
{
	struct percpu *cpu = this_cpu();
	uint16_t ticket;

	if (unlikely(cpu->ranks_held >> l->rank))
		panic("lock %s (rank %u) taken while ranks %x are held", l->name, l->rank,
		      cpu->ranks_held);
	cpu->ranks_held |= 1u << l->rank;
	ticket = atomic_fetch_add_explicit(&l->next, 1, memory_order_relaxed);
	while (atomic_load_explicit(&l->serving, memory_order_acquire) != ticket)
		cpu_relax();
}

void spin_unlock(struct spinlock *l)
{
	struct percpu *cpu = this_cpu();

	if (unlikely(!(cpu->ranks_held & 1u << l->rank)))
		panic("lock %s (rank %u) released by a CPU that does not hold it", l->name,
		      l->rank);
	cpu->ranks_held &= ~(1u << l->rank);
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
