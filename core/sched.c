/*
 * Which vCPU runs on a physical CPU: a ring, one time slice each. vCPUs stay on the CPU that they
 * were added to.
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
	struct vm_vcpu *ring;	/* the one that runs next; NULL: none */
	struct vm_vcpu *loaded; /* in the hardware */
	struct timer slice;	/* where the backend keeps no deadline */
} cpus[CPU_MAX];

void sched_add(struct vm_vcpu *vv, struct percpu *cpu)
{
	struct vm_vcpu **ring = &cpus[cpu->index].ring;

	vv->cpu = cpu;
	vv->trace = trace_ring_here();
	if (*ring) {
		vv->next = (*ring)->next;
		(*ring)->next = vv;
	} else {
		vv->next = vv;
		*ring = vv;
	}
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

static bool can_run(const struct vm_vcpu *vv)
{
	if (atomic_load(&vv->stopped))
		return false;
	return !vv->blocked || atomic_load(&vv->v.requests);
}

static struct vm_vcpu *pick(unsigned cpu)
{
	struct vm_vcpu *first = cpus[cpu].ring, *vv = first;

	if (!first)
		return NULL;
	do {
		if (can_run(vv)) {
			cpus[cpu].ring = vv->next;
			return vv;
		}
		vv = vv->next;
	} while (vv != first);
	return NULL;
}

/* Nothing to do: the timer's interrupt has ended the guest's stay. */
static void slice_over(struct timer *t)
{
	(void)t;
}

bool sched_run(void)
{
	struct percpu *cpu = this_cpu();
	struct vm_vcpu *vv = pick(cpu->index);
	uint64_t next;

	if (!vv)
		return false;
	irq_disable();
	sched_load(vv);
	if (vv->blocked) {
		/* Looked at for a request; asleep it stays if that does not end HLT. */
		vv->blocked = vcpu_sleeps(vv);
		if (vv->blocked) {
			irq_enable();
			return true;
		}
	}
	vv->v.quick = atomic_load(&trace_quick_exits) ? &vcpu_quick_traced : &vcpu_quick;
	vv->v.deadline = rdtsc() + time_ns_to_tsc(SLICE_NS);
	next = timer_next();
	if (next < vv->v.deadline)
		vv->v.deadline = next;
	if (unlikely(!vv->first_tsc))
		vv->first_tsc = rdtsc();
	if (unlikely(!machine.backend->offers(VIRT_DEADLINE))) {
		cpus[cpu->index].slice.fn = slice_over;
		timer_set(&cpus[cpu->index].slice, vv->v.deadline);
	}
	vcpu_step(vv);
	if (atomic_load(&vv->stopped))
		sched_unload();
	irq_enable();
	return true;
}
