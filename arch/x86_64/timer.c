/*
 * Timers: a heap on each CPU, served by its local APIC's timer in TSC-deadline or one-shot mode.
 * The interrupt only sets WORK_TIMER; the CPU's loop runs what is due, with no lock held.
 */
#include <crvm/apic.h>
#include <crvm/cpufeat.h>
#include <crvm/log.h>
#include <crvm/panic.h>
#include <crvm/percpu.h>
#include <crvm/time.h>
#include <crvm/trap.h>

#define NOT_ARMED ~0ul

static bool use_deadline;
static uint64_t apic_per_tsc_32; /* APIC timer ticks per TSC tick, 32.32 fixed point */

bool time_tsc_deadline(void)
{
	return use_deadline;
}

/* The timer's rate, from 5 ms of TSC. */
static void calibrate_one_shot(void)
{
	uint64_t start = rdtsc(), end, used;

	lapic_timer_mode(false);
	lapic_timer_count(~0u);
	time_delay_us(5000);
	used = ~0u - lapic_timer_current();
	end = rdtsc();
	lapic_timer_count(0);
	apic_per_tsc_32 = (used << 32) / (end - start);
	if (!apic_per_tsc_32)
		panic("the local APIC timer does not count: CRVM has no clock to wake by");
}

static void timer_interrupt(void *ctx)
{
	struct percpu *cpu = this_cpu();

	(void)ctx;
	cpu->timer_armed = NOT_ARMED;
	atomic_fetch_or(&cpu->work, WORK_TIMER);
}

void timer_init_cpu(void)
{
	struct percpu *cpu = this_cpu();

	cpu->timer_lock = (struct spinlock)SPINLOCK_INIT(RANK_TIMER, "timer");
	cpu->timer_armed = NOT_ARMED;
	if (cpu->index == 0) {
		use_deadline = cpufeat_has(&boot_cpu_features, CPUF_TSC_DEADLINE);
		if (!use_deadline)
			calibrate_one_shot();
		trap_set_handler(VECTOR_TIMER, timer_interrupt, NULL);
	}
	lapic_timer_mode(use_deadline);
}

/* Programs the hardware for the earliest deadline, if it is earlier than what is armed. Timer lock
 * held. */
static void timer_arm(struct percpu *cpu)
{
	const struct heap_node *first = heap_min(&cpu->timers);
	int64_t delta;
	uint64_t ticks;

	if (!first || first->key >= cpu->timer_armed)
		return;
	cpu->timer_armed = first->key;
	if (use_deadline) {
		/* A deadline in the past fires at once; 0 would disarm. */
		wrmsr(MSR_TSC_DEADLINE, first->key ? first->key : 1);
		return;
	}
	delta = (int64_t)(first->key - rdtsc());
	ticks = delta <= 0
			? 1
			: (uint64_t)((unsigned __int128)(uint64_t)delta * apic_per_tsc_32 >> 32) +
				  1;
	/* A far deadline is reached in steps: timer_run finds nothing due and arms again. */
	lapic_timer_count(ticks > 0xffffffff ? 0xffffffff : (uint32_t)ticks);
}

void timer_set(struct timer *t, uint64_t deadline)
{
	struct percpu *cpu = this_cpu();
	uint64_t flags = spin_lock_irqsave(&cpu->timer_lock);

	check(!t->node.queued || t->cpu == cpu);
	heap_remove(&cpu->timers, &t->node);
	t->cpu = cpu;
	heap_insert(&cpu->timers, &t->node, deadline);
	timer_arm(cpu);
	spin_unlock_irqrestore(&cpu->timer_lock, flags);
}

void timer_cancel(struct timer *t)
{
	struct percpu *cpu = this_cpu();
	uint64_t flags = spin_lock_irqsave(&cpu->timer_lock);

	check(!t->node.queued || t->cpu == cpu);
	heap_remove(&cpu->timers, &t->node);
	spin_unlock_irqrestore(&cpu->timer_lock, flags);
}

uint64_t timer_next(void)
{
	const struct heap_node *first = heap_min(&this_cpu()->timers);

	return first ? first->key : ~0ul;
}

void timer_run(void)
{
	struct percpu *cpu = this_cpu();
	uint64_t flags = spin_lock_irqsave(&cpu->timer_lock);
	struct heap_node *first;
	uint64_t now = rdtsc();

	/* Those that fall due meanwhile are for the next time: others want the CPU, too. */
	while ((first = heap_min(&cpu->timers)) && (int64_t)(now - first->key) >= 0) {
		struct timer *t = container_of(first, struct timer, node);

		heap_remove(&cpu->timers, first);
		spin_unlock_irqrestore(&cpu->timer_lock, flags);
		t->fn(t);
		flags = spin_lock_irqsave(&cpu->timer_lock);
	}
	timer_arm(cpu);
	spin_unlock_irqrestore(&cpu->timer_lock, flags);
}
