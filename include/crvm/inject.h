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

/* A vCPU's events that wait. Only its CPU touches it. */
struct event_queue {
	struct event interrupted; /* to be delivered again first */
	struct event exception;	  /* raised by emulation, not yet injected */
	bool nmi;
	const struct irq_source *irq; /* may be NULL */
	bool irq_window, nmi_window;  /* asked of the backend */
};

/*
 * A hardware exception found by emulation. If one is queued or was interrupted, they combine as the
 * architecture says (contributory and page faults to #DF, then shutdown). Returns false for
 * shutdown: the VM is to be stopped as by a triple fault. `cr2` is stored for #PF.
 */
must_check bool inject_exception(struct vcpu *v, struct event_queue *q,
				 const struct virt_backend *b, uint8_t vector, bool has_error,
				 uint32_t error, uint64_t cr2);

/*
 * After an exit: keeps what v->exit.interrupted says for redelivery. If the exit itself was an
 * exception intercept that is to be reflected, call inject_exception afterwards: the combination is
 * made then.
 */
void inject_note_interrupted(struct vcpu *v, struct event_queue *q);

/*
 * Before an entry, host interrupts off: hands at most one event to the backend (interrupted event,
 * exception, NMI, interrupt in this order) and asks for windows for what must wait. `requests` are
 * the REQ_IRQ and REQ_NMI bits taken from the vCPU.
 */
void inject_before_entry(struct vcpu *v, struct event_queue *q, const struct virt_backend *b,
			 uint32_t requests);

/* Whether something waits that would end HLT. */
bool inject_pending(const struct vcpu *v, const struct event_queue *q);
