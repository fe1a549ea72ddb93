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

/* Each CPU touches its own entry only. */
static struct {
	struct fair_queue queue;
	struct vm_vcpu *loaded; /* in the hardware */
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
	struct vm_vcpu **loaded = &cpus[this_cpu()->index].loaded;

	if (!*loaded)
		return;
	fpu_save((*loaded)->fpu);
	machine.backend->vcpu_unload(&(*loaded)->v);
	*loaded = NULL;
}

void sched_remove(struct vm_vcpu *vv)
{
	const unsigned cpu = this_cpu()->index;

	if (cpus[cpu].loaded == vv)
		sched_unload();
	fair_remove(&cpus[cpu].queue, &vv->fair);
}

void vcpu_request(struct vm_vcpu *vv, uint32_t requests)
{
	atomic_fetch_or(&vv->v.requests, requests);
	/* Here its CPU looks before the next entry, and before it sleeps. */
	if (vv->cpu != this_cpu())
		smp_kick(vv->cpu, WORK_VCPU);
}

static void sched_load(struct vm_vcpu *vv)
{
	struct vm_vcpu **loaded = &cpus[this_cpu()->index].loaded;

	if (*loaded == vv)
		return;
	sched_unload();
	machine.backend->vcpu_load(&vv->v);
	fpu_restore(vv->fpu, vv->xcr0);
	*loaded = vv;
}

/* A sleeper that was asked for something is looked at: see sched_run. */
static enum fair_state state_of(struct fair_member *m)
{
	const struct vm_vcpu *vv = container_of(m, struct vm_vcpu, fair);

	if (atomic_load(&vv->stopped) || vv->paused)
		return FAIR_IDLE;
	if (!vv->blocked)
		return FAIR_READY;
	return atomic_load(&vv->v.requests) & ~(uint32_t)REQ_STOP ? FAIR_WOKEN : FAIR_IDLE;
}

/* Nothing to do: the timer's interrupt has ended the guest's stay. */
static void slice_over(struct timer *t)
{
	(void)t;
}

/* Sets what ends the stay in the guest. */
static void set_deadline(struct vm_vcpu *vv, unsigned cpu)
{
	uint64_t next = timer_next(), end = cpus[cpu].queue.slice_end;

	vv->v.deadline = next < end ? next : end;
	if (unlikely(!machine.backend->offers(VIRT_DEADLINE))) {
		cpus[cpu].slice.fn = slice_over;
		timer_set(&cpus[cpu].slice, vv->v.deadline);
	}
}

bool sched_run(void)
{
	const unsigned cpu = this_cpu()->index;
	struct fair_queue *q = &cpus[cpu].queue;
	uint64_t now = rdtsc(), ticks;
	struct fair_member *m = fair_pick(q, now, state_of);
	struct vm_vcpu *vv;

	if (!m)
		return false;
	vv = container_of(m, struct vm_vcpu, fair);
	irq_disable();
	sched_load(vv);
	if (vv->blocked) {
		/* Looked at for a request; asleep it stays if that does not end HLT. */
		fair_wake(q, m);
		vv->blocked = vcpu_sleeps(vv);
		if (vv->blocked) {
			irq_enable();
			return true;
		}
	}
	fair_begin(q, m, now);
	vv->v.quick = atomic_load(&trace_quick_exits) ? &vcpu_quick_traced : &vcpu_quick;
	set_deadline(vv, cpu);
	if (unlikely(!vv->first_tsc))
		vv->first_tsc = now;
	vcpu_step(vv);
	ticks = rdtsc() - now;
	fair_charge(m, ticks);
	vv->ran_ticks += ticks;
	if (atomic_load(&vv->stopped))
		sched_unload();
	irq_enable();
	if (atomic_load(&vv->stopped))
		vm_ended(vv->v.vm);
	return true;
}
