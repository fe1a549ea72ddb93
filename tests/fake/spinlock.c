/*
 * Spinlocks for single-threaded host tests: nobody can hold the lock but the caller, so what is
 * left to do is to check that locks are balanced and their ranks rise. A violation panics, as on
 * the real CPU; locks still held when the program ends make it fail.
 */
#include <stdio.h>
#include <unistd.h>
#include <crvm/panic.h>
#include <crvm/spinlock.h>
#include "spinlock.h"

#define HELD_MAX 16u
#define FLAGS_IF 0x200u

static struct spinlock *held[HELD_MAX]; /* in order of acquisition, hence of rank */
static unsigned held_count;
static bool irqs_off;

void spin_lock(struct spinlock *l)
{
	if (held_count > 0 && l->rank <= held[held_count - 1]->rank)
		panic("lock %s (rank %d) taken while %s (rank %d) is held", l->name, l->rank,
		      held[held_count - 1]->name, held[held_count - 1]->rank);
	check(l->rank != 0 && held_count < HELD_MAX);
	held[held_count++] = l;
}

void spin_unlock(struct spinlock *l)
{
	unsigned i = held_count;

	while (i > 0 && held[i - 1] != l)
		i--;
	if (i == 0)
		panic("lock %s released but not held", l->name);
	for (; i < held_count; i++)
		held[i - 1] = held[i];
	held_count--;
}

uint64_t spin_lock_irqsave(struct spinlock *l)
{
	uint64_t flags = irqs_off ? 0 : FLAGS_IF;

	irqs_off = true;
	spin_lock(l);
	return flags;
}

void spin_unlock_irqrestore(struct spinlock *l, uint64_t flags)
{
	check(irqs_off && (flags & ~(uint64_t)FLAGS_IF) == 0);
	spin_unlock(l);
	irqs_off = !(flags & FLAGS_IF);
}

unsigned fake_spin_held(void)
{
	return held_count;
}

void fake_spin_reset(void)
{
	held_count = 0;
	irqs_off = false;
}

__attribute__((destructor)) static void spin_check_at_exit(void)
{
	if (held_count == 0 && !irqs_off)
		return;
	fprintf(stderr, "locks still held at exit: %u\n", held_count);
	_exit(1);
}
