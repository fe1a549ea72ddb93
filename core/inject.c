/*
 * Which event a vCPU gets next: redelivery, combination of exceptions, priorities, windows. It must
 * not know where interrupts come from, nor how a backend delivers.
 *
 * Source: Intel SDM Vol. 3A, "Interrupt 8 - Double Fault Exception (#DF)", "Priority Among
 * Concurrent Events"; Vol. 3C, "Event Injection", "Reflecting Exceptions to Guest Software",
 * "Resuming Guest Software after Handling an Exception".
 */
#include <crvm/inject.h>
#include <crvm/panic.h>

enum {
	SHADOW_STI_MOV_SS = 3,
	SHADOW_NMI = 8,
	RFLAGS_RF = 1u << 16,
};

/* The rows of the manual's table "Interrupt and Exception Classes"; #DF is a class of its own. */
enum event_class { BENIGN, CONTRIBUTORY, PAGE_FAULT, DOUBLE_FAULT, CLASS_COUNT };

static enum event_class event_class(const struct event *e)
{
	/* INT 13 or an external interrupt with vector 14 is no #GP and no #PF. */
	if (e->kind != EVENT_EXCEPTION)
		return BENIGN;
	switch (e->vector) {
	case EXC_DE:
	case EXC_TS:
	case EXC_NP:
	case EXC_SS:
	case EXC_GP:
	case EXC_CP:
		return CONTRIBUTORY;
	case EXC_PF:
	case EXC_VE:
		return PAGE_FAULT;
	case EXC_DF:
		return DOUBLE_FAULT;
	default:
		return BENIGN;
	}
}

enum outcome { SECOND, DOUBLE, SHUTDOWN };

/*
 * "Conditions for Generating a Double Fault": by the class of what was being delivered and of what
 * came then. A #DF that comes second was made by the CPU from the first, so the two are combined
 * already; one that comes while a #DF is delivered would have been a triple fault.
 */
static const uint8_t outcomes[CLASS_COUNT][CLASS_COUNT] = {
	[BENIGN] = {SECOND, SECOND, SECOND, SECOND},
	[CONTRIBUTORY] = {SECOND, DOUBLE, SECOND, SECOND},
	[PAGE_FAULT] = {SECOND, DOUBLE, DOUBLE, SECOND},
	[DOUBLE_FAULT] = {SECOND, SHUTDOWN, SHUTDOWN, SHUTDOWN},
};

/*
 * Faults push RFLAGS with RF set; injection pushes it as it is. #DB may be fault or trap: whoever
 * raises it decides. #DF and #MC are aborts.
 */
static bool vector_is_fault(uint8_t vector)
{
	const uint32_t others = 1u << EXC_DB | 1u << EXC_NMI | 1u << EXC_BP | 1u << EXC_OF |
				1u << EXC_DF | 1u << EXC_MC;

	return !(others >> vector & 1);
}

bool inject_exception(struct vcpu *v, struct event_queue *q, const struct virt_backend *b,
		      uint8_t vector, bool has_error, uint32_t error, uint64_t cr2)
{
	const struct event *first = q->has_exception ? &q->exception : &q->interrupted;
	struct event e = {.kind = EVENT_EXCEPTION,
			  .vector = vector,
			  .has_error = has_error,
			  .error = has_error ? error : 0};
	enum outcome outcome = outcomes[event_class(first)][event_class(&e)];

	check(vector < 32 && vector != EXC_NMI);
	/* Written when the page fault is found, also if a #DF or shutdown follows. */
	if (vector == EXC_PF)
		b->set_reg(v, REG_CR2, cr2);
	q->interrupted = q->exception = (struct event){.kind = EVENT_NONE};
	q->has_interrupted = q->has_exception = false;
	if (outcome == SHUTDOWN)
		return false;
	if (outcome == DOUBLE)
		e = (struct event){.kind = EVENT_EXCEPTION, .vector = EXC_DF, .has_error = true};
	if (vector_is_fault(e.vector))
		b->set_reg(v, REG_RFLAGS, b->get_reg(v, REG_RFLAGS) | RFLAGS_RF);
	q->exception = e;
	q->has_exception = true;
	return true;
}

static void event_hand_over(struct vcpu *v, const struct virt_backend *b, const struct event *e)
{
	b->set_reg(v, REG_HALTED, 0); /* each event ends HLT */
	b->inject(v, e);
}

/*
 * Its first delivery ended the shadow of STI and MOV SS and, if it is an NMI, began to block NMIs;
 * entry would refuse it in either state.
 */
static void event_redeliver(struct vcpu *v, struct event_queue *q, const struct virt_backend *b)
{
	uint64_t shadow = b->get_reg(v, REG_INT_SHADOW), ended = SHADOW_STI_MOV_SS;

	if (q->interrupted.kind == EVENT_NMI)
		ended |= SHADOW_NMI;
	if (shadow & ended)
		b->set_reg(v, REG_INT_SHADOW, shadow & ~ended);
	event_hand_over(v, b, &q->interrupted);
	q->interrupted.kind = EVENT_NONE;
	q->has_interrupted = false;
}

/* What does not depend on the guest's readiness, then an NMI. Whether one was handed over. */
static bool inject_first(struct vcpu *v, struct event_queue *q, const struct virt_backend *b)
{
	if (q->has_interrupted) {
		event_redeliver(v, q, b);
		return true;
	}
	if (q->has_exception) {
		event_hand_over(v, b, &q->exception);
		q->exception.kind = EVENT_NONE;
		q->has_exception = false;
		return true;
	}
	if (q->nmi && b->can_take(v, EVENT_NMI)) {
		event_hand_over(v, b, &(struct event){.kind = EVENT_NMI, .vector = EXC_NMI});
		q->nmi = false;
		return true;
	}
	return false;
}

static bool irq_waits(const struct irq_source *irq)
{
	return irq->peek(irq->ctx) >= 0;
}

/* An external interrupt if there is one and the guest takes it. Whether one waits afterwards. */
static bool inject_irq(struct vcpu *v, const struct irq_source *irq, const struct virt_backend *b,
		       bool entry_taken)
{
	int vector;

	if (!irq_waits(irq))
		return false;
	if (entry_taken || !b->can_take(v, EVENT_EXTINT))
		return true;
	vector = irq->ack(irq->ctx);
	check(vector < 256);
	if (vector >= 0)
		event_hand_over(v, b,
				&(struct event){.kind = EVENT_EXTINT, .vector = (uint8_t)vector});
	return irq_waits(irq);
}

static void window_set(struct vcpu *v, const struct virt_backend *b, enum event_kind kind,
		       bool *asked, bool on)
{
	if (*asked == on)
		return;
	*asked = on;
	b->want_window(v, kind, on);
}

void inject_before_entry(struct vcpu *v, struct event_queue *q, const struct virt_backend *b,
			 uint32_t requests)
{
	bool entry_taken, waits = false;

	if (requests & REQ_NMI)
		q->nmi = true;
	entry_taken = inject_first(v, q, b);
	if (q->irq && (requests & REQ_IRQ || q->irq_window))
		waits = inject_irq(v, q->irq, b, entry_taken);
	window_set(v, b, EVENT_EXTINT, &q->irq_window, waits);
	window_set(v, b, EVENT_NMI, &q->nmi_window, q->nmi);
}

void inject_keep(struct vcpu *v, struct event_queue *q, const struct virt_backend *b,
		 uint32_t requests)
{
	if (requests & REQ_NMI)
		q->nmi = true;
	if (q->irq && requests & REQ_IRQ)
		window_set(v, b, EVENT_EXTINT, &q->irq_window, irq_waits(q->irq));
	window_set(v, b, EVENT_NMI, &q->nmi_window, q->nmi);
}

bool inject_pending(struct vcpu *v, const struct event_queue *q, const struct virt_backend *b)
{
	uint32_t requests = atomic_load_explicit(&v->requests, memory_order_acquire);

	if (q->has_interrupted || q->has_exception)
		return true;
	if ((q->nmi || requests & REQ_NMI) && b->can_take(v, EVENT_NMI))
		return true;
	return q->irq && (q->irq_window || requests & REQ_IRQ) && irq_waits(q->irq) &&
	       b->can_take(v, EVENT_EXTINT);
}
