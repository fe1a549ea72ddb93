/*
 * Which event a vCPU gets next (core/inject.c): the same on every backend.
 * Source: Intel SDM Vol. 3A, "Priority Among Concurrent Events", "Interrupt 8 - Double Fault
 * Exception"; Vol. 3C, "Information for VM Exits During Event Delivery".
 */
#pragma once

#include <crvm/event.h>
#include <crvm/vcpu.h>
#include <crvm/virt.h>

/* Where external interrupts come from: an interrupt chip. peek and ack may be called by the vCPU's
 * CPU only. */
struct irq_source {
	int (*peek)(void *ctx); /* the vector that ack would give, or -1 */
	int (*ack)(void *ctx); /* takes it; -1 if it went away (the caller then delivers nothing) */
	void *ctx;
};

/*
 * A vCPU's events that wait. Only its CPU touches it. At a reset of the vCPU all but `irq` goes
 * back to zero (vcpu_reset forgets the windows).
 */
struct event_queue {
	struct event interrupted; /* to be delivered again first */
	struct event exception;	  /* raised by emulation, not yet injected */
	union {
		uint32_t busy; /* any of these: event_queue_busy */
		struct {
			bool has_interrupted, has_exception, nmi;
			bool irq_window; /* asked of the backend: an interrupt waits */
		};
	};
	bool nmi_window;	      /* likewise; only while `nmi` */
	const struct irq_source *irq; /* may be NULL */
};
_Static_assert(offsetof(struct event_queue, irq_window) == offsetof(struct event_queue, busy) + 3,
	       "busy covers the four");

/*
 * With no request and nothing here there is nothing to do before an entry: two compares.
 *
 *	if (requests | event_queue_busy(q))
 *		inject_before_entry(v, q, b, requests);
 */
static inline uint32_t event_queue_busy(const struct event_queue *q)
{
	return q->busy;
}

/*
 * A hardware exception found by emulation. If one is queued or was interrupted, they combine as the
 * architecture says (contributory and page faults to #DF, then shutdown); if they do not combine,
 * the new one is delivered and the other is gone: a fault or an INT n comes again when its
 * instruction is executed again; an external interrupt or NMI is lost, as on the CPU, which has
 * taken it from its controller already. Returns false for shutdown: the VM is to be stopped as by a
 * triple fault. `cr2` is stored for #PF. The backend leaves the error code away in real mode. A
 * fault sets RFLAGS.RF, so that an instruction breakpoint there is not met twice.
 */
must_check bool inject_exception(struct vcpu *v, struct event_queue *q,
				 const struct virt_backend *b, uint8_t vector, bool has_error,
				 uint32_t error, uint64_t cr2);

/*
 * After an exit: keeps what v->exit.interrupted says for redelivery. If the exit itself was an
 * exception intercept that is to be reflected, call inject_exception afterwards: the combination is
 * made then.
 */
static inline void inject_note_interrupted(struct vcpu *v, struct event_queue *q)
{
	if (likely(v->exit.interrupted.kind == EVENT_NONE))
		return;
	q->interrupted = v->exit.interrupted;
	q->has_interrupted = true;
}

/*
 * Before an entry, host interrupts off: hands at most one event to the backend (interrupted event,
 * exception, NMI, interrupt in this order), ends HLT if there is one, and asks for windows for what
 * must wait. `requests` are the REQ_IRQ and REQ_NMI bits taken from the vCPU. The next call comes
 * after a run(): what was handed over is not taken back.
 *
 * The source of interrupts is looked at after REQ_IRQ and, while one waits, before each entry: a
 * chip sets REQ_IRQ whenever peek may have begun to give a vector (line, mask, EOI), and needs none
 * when it ends.
 */
void inject_before_entry(struct vcpu *v, struct event_queue *q, const struct virt_backend *b,
			 uint32_t requests);

/*
 * For requests that were taken from the vCPU when no entry follows (it stops, or goes on sleeping
 * in HLT): remembers them, with their windows, and hands over nothing. Any number of times between
 * two entries.
 */
void inject_keep(struct vcpu *v, struct event_queue *q, const struct virt_backend *b,
		 uint32_t requests);

/* Whether something waits, here or in v->requests, that would end HLT now (it is not masked or
 * blocked). */
bool inject_pending(struct vcpu *v, const struct event_queue *q, const struct virt_backend *b);
