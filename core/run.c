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
	/* Not REQ_STOP, which is for the loop. */
	uint32_t requests =
		atomic_fetch_and_explicit(&vv->v.requests, REQ_STOP, memory_order_acquire);

	if (requests & REQ_FLUSH)
		machine.backend->flush_tlb(&vv->v);
	inject_keep(&vv->v, &vv->events, machine.backend, requests);
	return !inject_pending(&vv->v, &vv->events, machine.backend);
}

/* Counts an exit that was answered, and tells its record the time; returns the time of day. */
static uint64_t account(struct vm_vcpu *vv, struct trace_record *r, uint64_t exit_tsc)
{
	uint64_t now = rdtsc();

	exit_stats_add(&vv->stats, vv->v.exit.kind, now - exit_tsc);
	trace_done(r, now - exit_tsc);
	return now;
}

/* Answers the exit; false if the loop must be left at once. */
static bool answer(struct vm_vcpu *vv, const struct virt_backend *b)
{
	switch (vv->exit(vv)) {
	case ACT_NEXT:
		b->skip_insn(&vv->v);
		break;
	case ACT_RETRY:
		break;
	case ACT_BLOCK:
		b->skip_insn(&vv->v);
		vv->blocked = vcpu_sleeps(vv);
		break;
	case ACT_WAIT:
		b->skip_insn(&vv->v);
		vv->blocked = true;
		break;
	case ACT_HOLD:
		vv->blocked = true;
		break;
	case ACT_STOP:
		return false;
	}
	return true;
}

void vcpu_step(struct vm_vcpu *vv)
{
	const struct virt_backend *b = machine.backend;
	const struct percpu *cpu = this_cpu();
	uint64_t now = rdtsc();

	for (;;) {
		struct vcpu *v = &vv->v;

		if (unlikely(atomic_load_explicit(&v->requests, memory_order_relaxed) ||
			     event_queue_busy(&vv->events)) &&
		    take_requests(vv))
			return;
		vv->quick_until = (uint32_t)now + vv->quick_ticks;
		v = b->run(v);
		vv = vm_vcpu_of(v);
		now = rdtsc();
		if (v->exit.kind != EXIT_NONE) { /* the quick ones have counted themselves */
			struct trace_record *r =
				trace_exit(vv->trace, trace_who(v->vm->id, (uint16_t)v->id),
					   &v->exit, now, b->get_reg(v, REG_RIP));

			inject_note_interrupted(v, &vv->events);
			if (!answer(vv, b))
				return;
			now = account(vv, r, now);
		}
		if (unlikely(atomic_load_explicit(&cpu->work, memory_order_relaxed)) ||
		    v->exit.kind == EXIT_DEADLINE)
			return;
		if (unlikely(vv->blocked)) {
			vv = sched_pass(vv);
			if (!vv)
				return;
		}
	}
}
