/*
 * Which vCPU runs on a physical CPU, and for how long: shares by weight (fair.h), in slices of 10
 * ms. vCPUs stay on the CPU that they were added to.
 */
#include <crvm/cpu.h>
#include <crvm/fpu.h>
#include <crvm/smp.h>
#include <crvm/time.h>

#include "machine.h"
#include "vm.h"

#define SLICE_NS 10000000ul
#define GRACE_NS 100000ul

/* Each CPU touches its own entry only. */
static struct {
	struct fair_queue queue;
	struct vm_vcpu *loaded; /* in the hardware */
	struct vm_vcpu *bound;	/* a list: it, and those that were there before */
	struct timer slice;	/* where the backend keeps no deadline */
} cpus[CPU_MAX];

void sched_add(struct vm_vcpu *vv, struct percpu *cpu)
{
	struct fair_queue *q = &cpus[cpu->index].queue;

	vv->cpu = cpu;
	vv->trace = trace_ring_here();
	q->slice = time_ns_to_tsc(SLICE_NS);
	fair_add(q, &vv->fair, vv->v.vm->config.weight);
}

void sched_unload(void)
{
	const unsigned cpu = this_cpu()->index;
	struct vm_vcpu *vv;

	if (cpus[cpu].loaded)
		fpu_save(cpus[cpu].loaded->fpu);
	cpus[cpu].loaded = NULL;
	while ((vv = cpus[cpu].bound)) {
		cpus[cpu].bound = vv->next_bound;
		vv->bound = false;
		machine.backend->vcpu_unload(&vv->v);
	}
}

void sched_remove(struct vm_vcpu *vv)
{
	sched_unload();
	fair_remove(&cpus[this_cpu()->index].queue, &vv->fair);
}

void vcpu_request(struct vm_vcpu *vv, uint32_t requests)
{
	struct percpu *cpu;

	atomic_fetch_or(&vv->v.requests, requests);
	/* Not before: if it moves meanwhile, its new CPU sees that, or we see the new CPU. */
	cpu = vv->cpu;
	/* Here its CPU looks before the next entry, and before it sleeps. */
	if (cpu != this_cpu())
		smp_kick(cpu, WORK_VCPU);
}

void sched_load(struct vm_vcpu *vv)
{
	const unsigned cpu = this_cpu()->index;
	struct vm_vcpu *before = cpus[cpu].loaded;

	if (before == vv)
		return;
	if (before) {
		fpu_switch(before->fpu, before->xcr0, vv->fpu, vv->xcr0);
		machine.backend->vcpu_switch(&before->v, &vv->v);
	} else {
		machine.backend->vcpu_load(&vv->v);
		fpu_restore(vv->fpu, vv->xcr0);
	}
	cpus[cpu].loaded = vv;
	if (vv->bound)
		return;
	vv->bound = true;
	vv->next_bound = cpus[cpu].bound;
	cpus[cpu].bound = vv;
}

/* A sleeper that was asked for something is looked at: see sched_run. */
static enum fair_state state_of(struct fair_member *m)
{
	const struct vm_vcpu *vv = container_of(m, struct vm_vcpu, fair);

	if (atomic_load(&vv->stopped) || vv->paused)
		return FAIR_IDLE;
	if (!vv->blocked || vv->guest)
		return FAIR_READY;
	if (atomic_load(&vv->call) != CALL_NONE)
		return atomic_load(&vv->call) == CALL_DONE ? FAIR_WOKEN : FAIR_IDLE;
	return atomic_load(&vv->v.requests) & ~(uint32_t)REQ_STOP ? FAIR_WOKEN : FAIR_IDLE;
}

/* Nothing to do: the timer's interrupt has ended the guest's stay. */
static void slice_over(struct timer *t)
{
	(void)t;
}

void sched_yield(void)
{
	struct percpu *cpu = this_cpu();

	cpus[cpu->index].queue.slice_end = rdtsc();
	atomic_fetch_or(&cpu->work, WORK_VCPU); /* the loop looks around */
}

/* Who waits goes on waiting: looked at for a request, or for the result of its hypercall. */
static bool still_waits(struct vm_vcpu *vv)
{
	if (atomic_load(&vv->call) == CALL_NONE)
		return vcpu_sleeps(vv);
	vv->v.gpr[REG_RAX] = (uint64_t)vv->call_result;
	atomic_store(&vv->call, CALL_NONE);
	return false;
}

/* Whose turn it is: a vCPU lends its own to its guest, while it has nothing to do itself. */
static struct vm_vcpu *turn_of(struct vm_vcpu *vv)
{
	if (unlikely(vv->guest) && atomic_load(&vv->v.requests) & (REQ_IRQ | REQ_NMI))
		vv->guest->v.vm->child_ops->end(vv->guest, vv);
	return vv->guest ? vv->guest : vv;
}

/*
 * When `turn` has to leave at the latest, if `vv` has its CPU until `end`. An event that its parent
 * has to take (it came before an STI, say) cuts a child's turn short. But not off: a parent that is
 * slower than its alarms would get nowhere.
 */
static uint64_t deadline_of(const struct vm_vcpu *turn, const struct vm_vcpu *vv, uint64_t end)
{
	uint64_t grace;

	if (likely(turn == vv || !event_queue_busy(&vv->events)))
		return end;
	grace = rdtsc() + time_ns_to_tsc(GRACE_NS);
	return grace < end ? grace : end;
}

struct vm_vcpu *sched_pass(struct vm_vcpu *turn)
{
	struct vm_vcpu *vv = turn->host ? turn->host : turn, *next;

	if (vv->guest == turn)
		turn->v.vm->child_ops->end(turn, vv);
	next = vv->guest ? vv->guest : vv;
	/* What waits for either of them is looked at when a turn begins. */
	if (next == turn || next->blocked || event_queue_busy(&next->events) ||
	    atomic_load_explicit(&next->v.requests, memory_order_relaxed) ||
	    atomic_load_explicit(&vv->v.requests, memory_order_relaxed) ||
	    atomic_load_explicit(&this_cpu()->work, memory_order_relaxed))
		return NULL;
	sched_load(next);
	next->v.deadline = deadline_of(next, vv, turn->v.deadline);
	if (next != vv)
		next->v.vm->child_ops->begin(next, vv);
	return next;
}

struct vcpu *sched_pass_quick(struct vcpu *turn)
{
	struct vm_vcpu *next = sched_pass(vm_vcpu_of(turn));

	if (!next)
		return NULL;
	next->quick_until = rdtsc_low() + next->quick_ticks;
	return &next->v;
}

/* Sets what ends the stay in the guest. */
static void set_deadline(struct vm_vcpu *turn, const struct vm_vcpu *vv, unsigned cpu)
{
	uint64_t next = timer_next(), end = cpus[cpu].queue.slice_end;

	turn->v.deadline = deadline_of(turn, vv, next < end ? next : end);
	if (unlikely(!machine.backend->offers(VIRT_DEADLINE))) {
		cpus[cpu].slice.fn = slice_over;
		timer_set(&cpus[cpu].slice, turn->v.deadline);
	}
}

/* True: it waits, and has had its look. */
static bool look_at_waiting(struct fair_queue *q, struct vm_vcpu *vv, struct fair_member *m)
{
	if (likely(!vv->blocked))
		return false;
	fair_wake(q, m);
	vv->blocked = still_waits(vv);
	return vv->blocked;
}

/* After a turn, or instead of it. Interrupts off before, on afterwards. */
static void turn_over(struct vm_vcpu *vv)
{
	if (atomic_load(&vv->stopped))
		sched_unload();
	irq_enable();
	if (atomic_load(&vv->stopped))
		vm_ended(vv->v.vm);
}

bool sched_run(void)
{
	const unsigned cpu = this_cpu()->index;
	struct fair_queue *q = &cpus[cpu].queue;
	uint64_t now = rdtsc(), ticks;
	struct fair_member *m = fair_pick(q, now, state_of);
	struct vm_vcpu *vv, *turn;

	if (!m)
		return false;
	vv = container_of(m, struct vm_vcpu, fair);
	irq_disable();
	turn = turn_of(vv);
	sched_load(turn);
	if (turn != vv)
		turn->v.vm->child_ops->begin(turn, vv);
	if (look_at_waiting(q, turn, m)) {
		if (turn != vv)
			turn->v.vm->child_ops->end(turn, vv);
		turn_over(vv);
		return true;
	}
	fair_begin(q, m, now);
	vv->v.quick = atomic_load(&trace_quick_exits) ? &vcpu_quick_traced : &vcpu_quick;
	set_deadline(turn, vv, cpu);
	if (unlikely(!vv->first_tsc))
		vv->first_tsc = now;
	vcpu_step(turn);
	if (vv->guest && vv->guest == cpus[cpu].loaded) /* it was its turn */
		vv->guest->v.vm->child_ops->end(vv->guest, vv);
	ticks = rdtsc() - now;
	fair_charge(m, ticks);
	vv->ran_ticks += ticks;
	turn_over(vv);
	return true;
}
