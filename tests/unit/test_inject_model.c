/*
 * Injection policy under a random guest, a random interrupt chip and random exits: no interrupt is
 * lost or delivered twice, nor any NMI or exception. The seed of a failure is printed.
 *
 * needs: core/inject.c tests/fake/panic.c
 * needs: tests/fake/backend.c tests/fake/backend_nested.c
 */
#include "inject_rig.h"
#include "ram.h"

#define SEEDS 60u
#define TURNS 3000u

/* What happened to each vector, or to NMIs and exceptions. */
struct account {
	unsigned raised, withdrawn, taken, delivered, dropped;
};

static struct {
	uint64_t random;
	struct account irq[256], nmi, exception;
	struct event in_hand; /* handed to the backend and not yet delivered */
	bool nmi_latched;     /* an NMI was asked for since the last was taken */
	unsigned seen;	      /* deliveries looked at */
	unsigned shutdowns, halts, windows, redeliveries;
} m;

static unsigned pick(unsigned n)
{
	return (unsigned)(fake_random(&m.random) >> 33) % n;
}

static struct account *account_of(const struct event *e)
{
	switch (e->kind) {
	case EVENT_EXTINT:
		return &m.irq[e->vector];
	case EVENT_NMI:
		return &m.nmi;
	default:
		assert_int_equal(e->kind, EVENT_EXCEPTION);
		return &m.exception;
	}
}

/* What the chip and others do at any time, also between the check and the entry. */

static void chip_raise(void)
{
	unsigned vector = 0x20 + pick(6);

	if (!chip.waits[vector])
		m.irq[vector].raised++;
	chip.waits[vector] = true;
	atomic_fetch_or(&v.requests, REQ_IRQ);
	fake_kick(&v);
}

static void chip_withdraw(void)
{
	unsigned vector = 0x20 + pick(6);

	if (chip.waits[vector])
		m.irq[vector].withdrawn++;
	chip.waits[vector] = false; /* tells nobody */
}

static void nmi_raise(void)
{
	if (!m.nmi_latched)
		m.nmi.raised++;
	m.nmi_latched = true;
	atomic_fetch_or(&v.requests, REQ_NMI);
	fake_kick(&v);
}

static void others_act(void)
{
	switch (pick(16)) {
	case 0:
	case 1:
		chip_raise();
		break;
	case 2:
		chip_withdraw();
		break;
	case 3:
		nmi_raise();
		break;
	case 4:
		fake_kick(&v);
		break;
	default:
		break;
	}
}

/* The backend as it is, but each event on its way to the guest is noted. */
static void spy_inject(struct vcpu *vcpu, const struct event *e)
{
	bool again = m.in_hand.kind != EVENT_NONE;

	if (again) {
		assert_memory_equal(e, &m.in_hand, sizeof(*e));
		m.redeliveries++;
	} else {
		account_of(e)->taken++;
		if (e->kind == EVENT_NMI)
			m.nmi_latched = false;
	}
	m.in_hand = *e;
	fake_backend.inject(vcpu, e);
}

static struct virt_backend spy;
static unsigned current_seed;

static void seed_print(void)
{
	if (current_seed)
		fprintf(stderr, "the seed was %u\n", current_seed);
}

static bool random_insn(struct vcpu *vcpu, void *ctx)
{
	(void)ctx;
	others_act();
	switch (pick(12)) {
	case 0:
		fake_guest_sti(vcpu);
		return false;
	case 1:
		fake_guest_cli(vcpu);
		return false;
	case 2:
		fake_guest_mov_ss(vcpu);
		return false;
	case 3:
	case 4:
	case 5:
		fake_guest_iret(vcpu);
		return false;
	case 6:
		vcpu->exit = (struct vcpu_exit){.kind = EXIT_CPUID, .insn_len = 2};
		return true;
	case 7:
		vcpu->exit = (struct vcpu_exit){.kind = EXIT_HLT, .insn_len = 1};
		return true;
	default:
		return false;
	}
}

static void drop_in_hand(void)
{
	if (m.in_hand.kind != EVENT_NONE)
		account_of(&m.in_hand)->dropped++;
	m.in_hand.kind = EVENT_NONE;
}

/* A triple fault, and a reset as the machine would do it. */
static void shut_down(void)
{
	m.shutdowns++;
	drop_in_hand();
	if (q.nmi) {
		m.nmi.dropped++;
		m.nmi.taken++;
		m.nmi_latched = (atomic_load(&v.requests) & REQ_NMI) != 0;
		m.nmi.raised += m.nmi_latched;
	}
	b->vcpu_reset(&v);
	q = (struct event_queue){.irq = &chip_source};
	atomic_fetch_or(&v.requests, REQ_IRQ);
	b->set_reg(&v, REG_CR0, 0x80000011);
}

/* An exception raised while handling an exit, which may have interrupted a delivery. */
static void raise_random_exception(void)
{
	static const uint8_t vectors[] = {EXC_GP, EXC_PF, EXC_UD, EXC_NP};
	uint8_t vector = vectors[pick(array_count(vectors))];

	m.exception.raised++;
	drop_in_hand();
	if (inject_exception(&v, &q, b, vector, vector != EXC_UD, 0, 0))
		return;
	m.exception.dropped++;
	m.exception.taken++;
	shut_down();
}

static void look_at_deliveries(void)
{
	for (; m.seen < v.virt->delivery_count; m.seen++) {
		const struct event *e = &fake_delivered(&v, m.seen)->event;

		assert_memory_equal(e, &m.in_hand, sizeof(*e));
		account_of(e)->delivered++;
		m.in_hand.kind = EVENT_NONE;
	}
	if (v.exit.interrupted.kind == EVENT_NONE)
		assert_int_equal(m.in_hand.kind, EVENT_NONE);
}

static void handle_exit(void)
{
	switch (v.exit.kind) {
	case EXIT_HLT:
		m.halts++;
		b->skip_insn(&v);
		b->set_reg(&v, REG_HALTED, 1);
		break;
	case EXIT_CPUID:
		if (pick(8) == 0)
			raise_random_exception();
		else
			b->skip_insn(&v);
		break;
	case EXIT_EXCEPTION:
		raise_random_exception();
		break;
	case EXIT_IRQ_WINDOW:
	case EXIT_NMI_WINDOW:
		m.windows++;
		break;
	default:
		break;
	}
}

/* After inject_before_entry: what waits has a window, and nothing else has. */
static void check_before_entry(void)
{
	bool irq_waits = chip_peek(NULL) >= 0;

	/* While it is not asked, the chip may have withdrawn or raised one; then a request is
	 * there. */
	if (!(atomic_load(&v.requests) & REQ_IRQ))
		assert_int_equal(v.virt->irq_window, irq_waits);
	assert_int_equal(v.virt->nmi_window, q.nmi);
	assert_false(q.has_interrupted && q.has_exception);
	if (v.virt->injected.kind != EVENT_NONE)
		assert_int_equal(b->get_reg(&v, REG_HALTED), 0);
}

static void random_turn(void)
{
	bool wakes;

	others_act();
	if (pick(4) == 0) /* as a loop that is left, or a sleep that goes on */
		inject_keep(&v, &q, b, atomic_exchange(&v.requests, 0));
	wakes = inject_pending(&v, &q, b);
	prepare(&spy);
	check_before_entry();
	if (b->get_reg(&v, REG_HALTED)) {
		assert_false(wakes);
		if (pick(20) == 0) /* halted with NMIs blocked, nothing would ever wake it */
			b->set_reg(&v, REG_HALTED, 0);
		return;
	}
	others_act();
	if (v.virt->injected.kind != EVENT_NONE && pick(4) == 0)
		fake_break_delivery(&v, &(struct vcpu_exit){.kind = pick(3) ? EXIT_NESTED_FAULT
									    : EXIT_EXCEPTION});
	run();
	look_at_deliveries();
	handle_exit();
}

static bool patient_insn(struct vcpu *vcpu, void *ctx)
{
	(void)ctx;
	if (vcpu->virt->frame_count || vcpu->virt->reg[REG_INT_SHADOW] & NMI_BLOCKED)
		fake_guest_iret(vcpu);
	else
		fake_guest_sti(vcpu);
	if (atomic_load(&vcpu->requests) == 0 && !q.busy)
		fake_kick(vcpu);
	return false;
}

/* A guest that takes everything: what still waits must come. */
static void drain(void)
{
	fake_set_guest(&v, patient_insn, NULL);
	b->set_reg(&v, REG_HALTED, 0);
	for (unsigned i = 0; i < 200; i++) {
		prepare(&spy);
		run();
		look_at_deliveries();
	}
	assert_int_equal(event_queue_busy(&q), 0);
	assert_int_equal(atomic_load(&v.requests), 0);
	assert_true(chip_peek(NULL) < 0);
}

static void check_account(const struct account *a)
{
	assert_int_equal(a->raised, a->taken + a->withdrawn);
	assert_int_equal(a->taken, a->delivered + a->dropped);
}

static void test_nothing_is_lost_or_doubled(void **state)
{
	struct account irqs = {0};
	unsigned shutdowns = 0, halts = 0, windows = 0, redeliveries = 0;

	for (unsigned seed = 1; seed <= SEEDS; seed++) {
		setup(state);
		memset(&m, 0, sizeof(m));
		m.random = seed * 0x9e3779b97f4a7c15ull;
		spy = fake_backend;
		spy.inject = spy_inject;
		fake_set_guest(&v, random_insn, NULL);
		current_seed = seed;
		for (unsigned i = 0; i < TURNS; i++)
			random_turn();
		drain();
		for (unsigned i = 0; i < 256; i++) {
			check_account(&m.irq[i]);
			irqs.delivered += m.irq[i].delivered;
			irqs.withdrawn += m.irq[i].withdrawn;
			irqs.dropped += m.irq[i].dropped;
		}
		check_account(&m.nmi);
		check_account(&m.exception);
		shutdowns += m.shutdowns;
		halts += m.halts;
		windows += m.windows;
		redeliveries += m.redeliveries;
	}
	current_seed = 0;
	print_message("irqs %u withdrawn %u dropped %u; shutdowns %u halts %u windows %u "
		      "redeliveries %u\n",
		      irqs.delivered, irqs.withdrawn, irqs.dropped, shutdowns, halts, windows,
		      redeliveries);
	/* The model met what it is for. */
	assert_true(irqs.delivered > 5000 && irqs.withdrawn > 500 && irqs.dropped > 50);
	assert_true(shutdowns > 5 && halts > 500 && windows > 500 && redeliveries > 500);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_nothing_is_lost_or_doubled),
	};

	atexit(seed_print);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
