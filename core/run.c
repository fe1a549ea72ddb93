/*
 * The run loop: enter the guest, answer why it came back, enter again. One C loop; between exits
 * the vCPU needs no stack of its own. Interrupts are off throughout: a pending one makes the next
 * entry come back at once.
 */
#include <crvm/cpu.h>
#include <crvm/trace.h>

#include "machine.h"
#include "vm.h"

/* What others asked for since the last entry; true if the loop must be left. */
static bool take_requests(struct vm_vcpu *vv)
{
	uint32_t requests = atomic_exchange_explicit(&vv->v.requests, 0, memory_order_acquire);

	if (requests & REQ_FLUSH)
		machine.backend->flush_tlb(&vv->v);
	if (requests & REQ_STOP) {
		inject_keep(&vv->v, &vv->events, machine.backend, requests);
		return true;
	}
	if (requests & (REQ_IRQ | REQ_NMI) || event_queue_busy(&vv->events))
		inject_before_entry(&vv->v, &vv->events, machine.backend, requests);
	return false;
}

/* After HLT, and when somebody asked for something since: whether the vCPU goes on sleeping. */
bool vcpu_sleeps(struct vm_vcpu *vv)
{
	uint32_t requests = atomic_exchange_explicit(&vv->v.requests, 0, memory_order_acquire);

	if (requests & REQ_FLUSH)
		machine.backend->flush_tlb(&vv->v);
	inject_keep(&vv->v, &vv->events, machine.backend, requests);
	return !inject_pending(&vv->v, &vv->events, machine.backend);
}

void vcpu_step(struct vm_vcpu *vv)
{
	struct vcpu *v = &vv->v;
	const struct virt_backend *b = machine.backend;
	struct percpu *cpu = this_cpu();
	uint64_t now = rdtsc(), exit_tsc;

	for (;;) {
		if (unlikely(atomic_load_explicit(&v->requests, memory_order_relaxed) ||
			     event_queue_busy(&vv->events)) &&
		    take_requests(vv))
			return;
		vv->quick_until = (uint32_t)now + vv->quick_ticks;
		b->run(v);
		exit_tsc = rdtsc();
		inject_note_interrupted(v, &vv->events);
		switch (exit_handle(vv)) {
		case ACT_NEXT:
			b->skip_insn(v);
			break;
		case ACT_RETRY:
			break;
		case ACT_BLOCK:
			b->skip_insn(v);
			vv->blocked = vcpu_sleeps(vv);
			break;
		case ACT_STOP:
			return;
		}
		now = rdtsc();
		if (v->exit.kind != EXIT_NONE) /* the quick ones have counted themselves */
			exit_stats_add(&vv->stats, v->exit.kind, now - exit_tsc);
		if (unlikely(atomic_load_explicit(&cpu->work, memory_order_relaxed)) ||
		    v->exit.kind == EXIT_DEADLINE || vv->blocked)
			return;
	}
}
