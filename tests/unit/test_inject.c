/*
 * Injection policy: redelivery, priorities, windows, HLT, kicks.
 * needs: core/inject.c tests/fake/panic.c
 * needs: tests/fake/backend.c tests/fake/backend_nested.c
 */
#include "inject_rig.h"

static void test_redelivers_each_kind_as_it_was(void **state)
{
	static const struct event events[] = {
		{EVENT_EXTINT, 0x20, 0, 0, 0},		 {EVENT_EXTINT, 13, 0, 0, 0},
		{EVENT_NMI, EXC_NMI, 0, 0, 0},		 {EVENT_EXCEPTION, EXC_PF, 1, 0, 7},
		{EVENT_EXCEPTION, EXC_DF, 1, 0, 0},	 {EVENT_EXCEPTION, EXC_UD, 0, 0, 0},
		{EVENT_SOFT_INT, 0x80, 0, 2, 0},	 {EVENT_PRIV_EXCEPTION, EXC_DB, 0, 1, 0},
		{EVENT_SOFT_EXCEPTION, EXC_BP, 0, 1, 0}, {EVENT_SOFT_EXCEPTION, EXC_OF, 0, 3, 0},
	};

	(void)state;
	for (unsigned i = 0; i < array_count(events); i++) {
		const struct fake_delivery *d;

		setup(NULL);
		set_flags(IF);
		fake_push_exit(&v, &(struct vcpu_exit){.kind = EXIT_NESTED_FAULT,
						       .interrupted = events[i]});
		prepare(b);
		run();
		assert_int_equal(v.virt->delivery_count, 0);
		turn();
		d = expect_delivered(1, events[i].kind, events[i].vector);
		assert_memory_equal(&d->event, &events[i], sizeof(struct event));
		assert_int_equal(d->rip, 0x1000 + events[i].insn_len);
		turn();
		assert_int_equal(v.virt->delivery_count, 1);
	}
}

static void test_delivery_broken_many_times_comes_once(void **state)
{
	(void)state;
	set_flags(IF);
	raise_irq(0x30);
	for (unsigned i = 0; i < 5; i++) {
		fake_break_delivery(&v, &(struct vcpu_exit){.kind = EXIT_NESTED_FAULT});
		prepare(b);
		run();
		expect_exit(EXIT_NESTED_FAULT);
	}
	assert_int_equal(chip.acks, 1);
	turn();
	turn();
	expect_delivered(1, EVENT_EXTINT, 0x30);
}

static void test_redelivered_nmi_blocks_nmis_again(void **state)
{
	(void)state;
	atomic_fetch_or(&v.requests, REQ_NMI);
	fake_break_delivery(&v, &(struct vcpu_exit){.kind = EXIT_NESTED_FAULT});
	prepare(b);
	run();
	assert_int_equal(b->get_reg(&v, REG_INT_SHADOW), NMI_BLOCKED);
	atomic_fetch_or(&v.requests, REQ_NMI); /* another, meanwhile: it waits */
	turn();
	expect_delivered(1, EVENT_NMI, EXC_NMI);
	assert_int_equal(b->get_reg(&v, REG_INT_SHADOW), NMI_BLOCKED);
	expect_windows(false, true);
	turn();
	expect_delivered(1, EVENT_NMI, EXC_NMI);
}

static void test_redelivery_ends_the_shadow(void **state)
{
	(void)state;
	set_flags(IF);
	b->set_reg(&v, REG_INT_SHADOW, STI | NMI_BLOCKED);
	v.exit.interrupted = (struct event){.kind = EVENT_EXTINT, .vector = 0x41};
	inject_note_interrupted(&v, &q);
	turn();
	expect_delivered(1, EVENT_EXTINT, 0x41);
	assert_int_equal(b->get_reg(&v, REG_INT_SHADOW), NMI_BLOCKED);
}

static void test_nmi_replaced_by_a_fault_still_blocks(void **state)
{
	(void)state;
	atomic_fetch_or(&v.requests, REQ_NMI);
	fake_break_delivery(&v, &(struct vcpu_exit){.kind = EXIT_EXCEPTION});
	prepare(b);
	run();
	raise_exception(EXC_PF, true, 0);
	turn();
	expect_delivered(1, EVENT_EXCEPTION, EXC_PF);
	assert_int_equal(b->get_reg(&v, REG_INT_SHADOW), NMI_BLOCKED);
}

static bool guest_iret(struct vcpu *vcpu, void *ctx)
{
	(void)ctx;
	fake_guest_iret(vcpu);
	return false;
}

static bool guest_sti(struct vcpu *vcpu, void *ctx)
{
	unsigned *count = ctx;

	if (*count)
		++*count;
	else if (++*count)
		fake_guest_sti(vcpu);
	return false;
}

static void test_priorities(void **state)
{
	(void)state;
	set_flags(IF);
	raise_irq(0x55);
	atomic_fetch_or(&v.requests, REQ_NMI);
	raise_exception(EXC_UD, false, 0);
	v.exit.interrupted = (struct event){.kind = EVENT_SOFT_INT, .vector = 0x80, .insn_len = 2};
	inject_note_interrupted(&v, &q);

	prepare(b);
	expect_windows(true, true);
	run();
	expect_exit(EXIT_NMI_WINDOW); /* and before anything was executed */
	expect_delivered(1, EVENT_SOFT_INT, 0x80);
	prepare(b);
	run();
	expect_exit(EXIT_NMI_WINDOW);
	expect_delivered(2, EVENT_EXCEPTION, EXC_UD);
	fake_set_guest(&v, guest_iret, NULL);
	prepare(b);
	expect_windows(true, false);
	run();
	expect_exit(EXIT_IRQ_WINDOW); /* the NMI's handler has returned */
	expect_delivered(3, EVENT_NMI, EXC_NMI);
	prepare(b);
	expect_windows(false, false);
	fake_kick(&v);
	run();
	expect_delivered(4, EVENT_EXTINT, 0x55);
	assert_int_equal(event_queue_busy(&q), 0);
	assert_int_equal(v.virt->run_count, 4);
}

static void test_masked_interrupt_waits_for_its_window(void **state)
{
	unsigned count = 0;

	(void)state;
	raise_irq(0x20);
	fake_set_guest(&v, guest_sti, &count);
	prepare(b);
	expect_windows(true, false);
	assert_int_equal(chip.acks, 0);
	run();
	expect_exit(EXIT_IRQ_WINDOW);
	assert_int_equal(count, 2); /* STI and the instruction after it */
	prepare(b);
	expect_windows(false, false);
	fake_kick(&v);
	run();
	expect_delivered(1, EVENT_EXTINT, 0x20);
	assert_int_equal(v.virt->window_count, 2);
}

static void test_shadow_holds_interrupts_back(void **state)
{
	(void)state;
	for (unsigned shadow = STI; shadow <= MOV_SS; shadow++) {
		setup(NULL);
		set_flags(IF);
		b->set_reg(&v, REG_INT_SHADOW, shadow);
		raise_irq(0x20);
		atomic_fetch_or(&v.requests, REQ_NMI);
		turn(); /* CPUID in the shadow */
		assert_int_equal(v.virt->delivery_count, 0);
		assert_int_equal(chip.acks, 0);
		expect_windows(true, true);
		b->skip_insn(&v);
		turn();
		expect_delivered(1, EVENT_NMI, EXC_NMI);
	}
}

static void test_exceptions_are_never_held_back(void **state)
{
	(void)state;
	b->set_reg(&v, REG_INT_SHADOW, STI | NMI_BLOCKED);
	raise_exception(EXC_GP, true, 0);
	turn();
	expect_delivered(1, EVENT_EXCEPTION, EXC_GP);
	assert_int_equal(v.virt->window_count, 0);
}

static void test_one_nmi_is_latched_while_blocked(void **state)
{
	(void)state;
	atomic_fetch_or(&v.requests, REQ_NMI);
	turn();
	for (unsigned i = 0; i < 3; i++) {
		atomic_fetch_or(&v.requests, REQ_NMI);
		turn();
		expect_windows(false, true);
	}
	expect_delivered(1, EVENT_NMI, EXC_NMI);
	fake_set_guest(&v, guest_iret, NULL);
	run();
	expect_exit(EXIT_NMI_WINDOW);
	turn();
	expect_delivered(2, EVENT_NMI, EXC_NMI);
	expect_windows(false, false);
	b->set_reg(&v, REG_INT_SHADOW, 0);
	turn();
	assert_int_equal(v.virt->delivery_count, 2);
}

static void test_window_is_withdrawn_with_its_interrupt(void **state)
{
	(void)state;
	raise_irq(0x20);
	turn();
	expect_windows(true, false);
	chip.waits[0x20] = false;
	turn();
	expect_windows(false, false);
	set_flags(IF);
	turn();
	assert_int_equal(v.virt->delivery_count, 0);
	assert_int_equal(v.virt->window_count, 2);
}

static void test_second_interrupt_keeps_the_window(void **state)
{
	(void)state;
	set_flags(IF);
	raise_irq(0x20);
	raise_irq(0x31);
	turn();
	expect_delivered(1, EVENT_EXTINT, 0x31);
	expect_windows(true, false);
	fake_set_guest(&v, guest_iret, NULL);
	prepare(b);
	run();
	expect_exit(EXIT_IRQ_WINDOW);
	turn();
	expect_delivered(2, EVENT_EXTINT, 0x20);
	expect_windows(false, false);
	assert_int_equal(v.virt->window_count, 2);
}

static void test_interrupt_gone_at_ack_delivers_nothing(void **state)
{
	(void)state;
	set_flags(IF);
	chip.gone = true;
	raise_irq(0x20);
	turn();
	assert_int_equal(chip.acks, 1);
	assert_int_equal(v.virt->delivery_count, 0);
	assert_int_equal(event_queue_busy(&q), 0);
	assert_int_equal(v.virt->window_count, 0);
}

static int absurd_vector(void *ctx)
{
	(void)ctx;
	return 256;
}

static void test_vector_beyond_255_is_a_bug(void **state)
{
	const struct irq_source absurd = {.peek = absurd_vector, .ack = absurd_vector};

	(void)state;
	set_flags(IF);
	q.irq = &absurd;
	expect_panic(inject_before_entry(&v, &q, b, REQ_IRQ), "vector < 256");
}

static void test_no_request_costs_nothing(void **state)
{
	(void)state;
	set_flags(IF);
	chip.waits[0x20] = true; /* nobody said so */
	turn();
	atomic_fetch_or(&v.requests, REQ_NMI);
	turn();
	assert_int_equal(chip.peeks, 0);
	assert_int_equal(v.virt->window_count, 0);
	expect_delivered(1, EVENT_NMI, EXC_NMI);
}

static void test_a_vcpu_may_have_no_source(void **state)
{
	(void)state;
	q.irq = NULL;
	set_flags(IF);
	atomic_fetch_or(&v.requests, REQ_IRQ);
	assert_false(inject_pending(&v, &q, b));
	turn();
	assert_int_equal(v.virt->delivery_count, 0);
	assert_int_equal(event_queue_busy(&q), 0);
}

static void test_hlt_ends_with_what_is_not_masked(void **state)
{
	(void)state;
	b->set_reg(&v, REG_HALTED, 1);
	assert_false(inject_pending(&v, &q, b));
	raise_irq(0x20);
	assert_false(inject_pending(&v, &q, b)); /* CLI; HLT */
	prepare(b);
	assert_int_equal(b->get_reg(&v, REG_HALTED), 1);
	assert_false(inject_pending(&v, &q, b));
	set_flags(IF);
	assert_true(inject_pending(&v, &q, b));
	turn();
	expect_delivered(1, EVENT_EXTINT, 0x20);
	assert_int_equal(b->get_reg(&v, REG_HALTED), 0);
	assert_false(inject_pending(&v, &q, b));
}

static void test_hlt_ends_with_nmi_unless_blocked(void **state)
{
	(void)state;
	b->set_reg(&v, REG_HALTED, 1);
	b->set_reg(&v, REG_INT_SHADOW, NMI_BLOCKED);
	atomic_fetch_or(&v.requests, REQ_NMI);
	assert_false(inject_pending(&v, &q, b));
	prepare(b);
	assert_false(inject_pending(&v, &q, b));
	assert_int_equal(b->get_reg(&v, REG_HALTED), 1);
	b->set_reg(&v, REG_INT_SHADOW, 0);
	assert_true(inject_pending(&v, &q, b));
	turn();
	expect_delivered(1, EVENT_NMI, EXC_NMI);
}

static void test_hlt_ends_with_requests_not_yet_taken(void **state)
{
	(void)state;
	set_flags(IF);
	chip.waits[0x20] = true; /* not said yet: the chip is not asked */
	assert_false(inject_pending(&v, &q, b));
	assert_int_equal(chip.peeks, 0);
	atomic_store(&v.requests, REQ_IRQ);
	assert_true(inject_pending(&v, &q, b));
	chip.waits[0x20] = false;
	assert_false(inject_pending(&v, &q, b));
	atomic_store(&v.requests, REQ_NMI);
	assert_true(inject_pending(&v, &q, b));
	atomic_store(&v.requests, REQ_STOP | REQ_FLUSH);
	assert_false(inject_pending(&v, &q, b));
}

static void test_requests_kept_without_an_entry_come_later(void **state)
{
	(void)state;
	/* CLI; HLT with an interrupt waiting: an NMI wakes the guest, STI lets the interrupt in. */
	b->set_reg(&v, REG_HALTED, 1);
	b->set_reg(&v, REG_INT_SHADOW, NMI_BLOCKED);
	raise_irq(0x20);
	atomic_fetch_or(&v.requests, REQ_NMI);
	for (unsigned i = 0; i < 3; i++) {
		inject_keep(&v, &q, b, atomic_exchange(&v.requests, 0));
		assert_int_equal(b->get_reg(&v, REG_HALTED), 1);
		assert_int_equal(v.virt->injected.kind, EVENT_NONE);
		assert_false(inject_pending(&v, &q, b));
		expect_windows(true, true);
	}
	assert_int_equal(v.virt->window_count, 2);
	assert_int_equal(chip.acks, 0);
	b->set_reg(&v, REG_INT_SHADOW, 0);
	assert_true(inject_pending(&v, &q, b));
	turn();
	expect_delivered(1, EVENT_NMI, EXC_NMI);
	set_flags(IF);
	assert_true(inject_pending(&v, &q, b));
	turn();
	expect_delivered(2, EVENT_EXTINT, 0x20);
}

static void test_keeping_nothing_changes_nothing(void **state)
{
	(void)state;
	inject_keep(&v, &q, b, 0);
	inject_keep(&v, &q, b, REQ_IRQ | REQ_STOP); /* the chip has none */
	chip.waits[0x20] = true;
	inject_keep(&v, &q, b, REQ_STOP);
	q.irq = NULL;
	inject_keep(&v, &q, b, REQ_IRQ);
	assert_int_equal(event_queue_busy(&q), 0);
	assert_int_equal(v.virt->window_count, 0);
}

static void test_hlt_ends_with_exception_or_redelivery(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		setup(NULL);
		b->set_reg(&v, REG_HALTED, 1);
		v.exit.interrupted.kind = i ? EVENT_NONE : EVENT_EXCEPTION;
		v.exit.interrupted.vector = EXC_DB;
		inject_note_interrupted(&v, &q);
		if (i)
			raise_exception(EXC_DB, false, 0);
		assert_true(inject_pending(&v, &q, b));
		turn();
		expect_delivered(1, EVENT_EXCEPTION, EXC_DB);
		assert_int_equal(b->get_reg(&v, REG_HALTED), 0);
	}
}

static void test_kick_between_check_and_entry_is_not_lost(void **state)
{
	(void)state;
	set_flags(IF);
	prepare(b);
	raise_irq(0x20);
	fake_kick(&v);
	run(); /* would panic if it executed anything: there is no guest code */
	expect_exit(EXIT_HOST_IRQ);
	turn();
	expect_delivered(1, EVENT_EXTINT, 0x20);
}

static void test_request_during_redelivery_is_not_lost(void **state)
{
	(void)state;
	set_flags(IF);
	v.exit.interrupted = (struct event){.kind = EVENT_EXTINT, .vector = 0x22};
	inject_note_interrupted(&v, &q);
	raise_irq(0x20);
	turn();
	expect_delivered(1, EVENT_EXTINT, 0x22);
	expect_windows(true, false);
	set_flags(IF);
	prepare(b);
	fake_kick(&v);
	run();
	expect_delivered(2, EVENT_EXTINT, 0x20);
}

static void test_real_mode_gets_no_error_code(void **state)
{
	(void)state;
	b->set_reg(&v, REG_CR0, 0x10);
	raise_exception(EXC_GP, true, 0x40);
	turn();
	assert_int_equal(expect_delivered(1, EVENT_EXCEPTION, EXC_GP)->event.has_error, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_redelivers_each_kind_as_it_was),
		T(test_delivery_broken_many_times_comes_once),
		T(test_redelivered_nmi_blocks_nmis_again),
		T(test_redelivery_ends_the_shadow),
		T(test_nmi_replaced_by_a_fault_still_blocks),
		T(test_priorities),
		T(test_masked_interrupt_waits_for_its_window),
		T(test_shadow_holds_interrupts_back),
		T(test_exceptions_are_never_held_back),
		T(test_one_nmi_is_latched_while_blocked),
		T(test_window_is_withdrawn_with_its_interrupt),
		T(test_second_interrupt_keeps_the_window),
		T(test_interrupt_gone_at_ack_delivers_nothing),
		T(test_vector_beyond_255_is_a_bug),
		T(test_no_request_costs_nothing),
		T(test_a_vcpu_may_have_no_source),
		T(test_hlt_ends_with_what_is_not_masked),
		T(test_hlt_ends_with_nmi_unless_blocked),
		T(test_hlt_ends_with_requests_not_yet_taken),
		T(test_requests_kept_without_an_entry_come_later),
		T(test_keeping_nothing_changes_nothing),
		T(test_hlt_ends_with_exception_or_redelivery),
		T(test_kick_between_check_and_entry_is_not_lost),
		T(test_request_during_redelivery_is_not_lost),
		T(test_real_mode_gets_no_error_code),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
