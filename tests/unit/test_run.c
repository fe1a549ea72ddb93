/*
 * core/run.c: HLT and waking, requests, what makes the loop be left, events around exits, counters
 * and traces.
 * needs: core/run.c core/exits.c core/exits_cpu.c core/exits_cr.c core/exits_mem.c core/quick.c
 * needs: core/inject.c core/io_bus.c core/cpuid_policy.c core/msr_policy.c core/emulate.c
 * needs: core/emu_alu.c core/emu_fetch.c core/emu_mem.c core/emu_string.c core/decode.c
 * needs: core/gwalk.c core/string_io.c core/exit_stats.c core/trace.c mm/gmem.c devices/debug.c
 * needs: devices/testdev.c lib/printf.c tests/fake/backend.c tests/fake/backend_nested.c
 * needs: tests/fake/panic.c tests/fake/spinlock.c tests/fake/host_cpu.c tests/fake/run_machine.c
 */
#include "run_rig.h"

static const struct vcpu_exit cpuid_exit = {.kind = EXIT_CPUID, .insn_len = 2};

static void again(void)
{
	void *unused = NULL;

	setup(&unused);
}

static void hlt(void)
{
	step_insn(EXIT_HLT, 1);
}

/* HLT. */

static void test_hlt_blocks(void **state)
{
	(void)state;
	set_flags(IF);
	hlt();
	assert_true(vv->blocked);
	assert_int_equal(reg(REG_RIP), RUN_CODE + 1);
	assert_int_equal(v->virt->run_count, 1);
	assert_int_equal(m->stops, 0);
	assert_true(vcpu_sleeps(vv));
}

static void test_an_interrupt_ends_hlt(void **state)
{
	(void)state;
	set_flags(IF);
	hlt();
	run_raise_irq(m, 0x30);
	assert_false(vcpu_sleeps(vv));
	vv->blocked = false;
	step(&cpuid_exit);
	assert_int_equal(expect_delivered(1, EVENT_EXTINT, 0x30)->rip, RUN_CODE + 1);
	assert_int_equal(m->acks, 1);
}

/* sti; hlt with an interrupt that waits: HLT ends the shadow, and the sleep at once. */
static void test_sti_hlt_loses_no_interrupt(void **state)
{
	(void)state;
	set_flags(IF);
	set(REG_INT_SHADOW, STI);
	run_raise_irq(m, 0x31);
	push(&(struct vcpu_exit){.kind = EXIT_HLT, .insn_len = 1});
	push(&cpuid_exit);
	loop();
	assert_int_equal(expect_delivered(1, EVENT_EXTINT, 0x31)->rip, RUN_CODE + 1);
	assert_false(vv->blocked);
}

static void test_an_nmi_ends_hlt_even_with_interrupts_off(void **state)
{
	(void)state;
	m->vm.config.cpus = 2;
	hlt();
	assert_true(vv->blocked);
	run_raise_irq(m, 0x30);
	assert_true(vcpu_sleeps(vv)); /* masked */
	atomic_fetch_or(&v->requests, REQ_NMI);
	assert_false(vcpu_sleeps(vv));
	vv->blocked = false;
	step(&cpuid_exit);
	assert_int_equal(expect_delivered(1, EVENT_NMI, EXC_NMI)->rip, RUN_CODE + 1);
	assert_int_equal(m->acks, 0);
}

static void test_hlt_with_interrupts_off_is_the_end(void **state)
{
	(void)state;
	run_raise_irq(m, 0x30);
	hlt();
	expect_stop(false, "HLT with interrupts off");
}

static bool guest_with_nmi(struct vcpu *vcpu, void *ctx)
{
	(void)ctx;
	/* Another CPU asks while the guest runs. */
	atomic_fetch_or(&vcpu->requests, REQ_NMI);
	vcpu->exit = (struct vcpu_exit){.kind = EXIT_HLT, .insn_len = 1};
	fake_set_guest(vcpu, NULL, NULL);
	return true;
}

static void test_an_nmi_that_was_asked_for_meanwhile_ends_it_too(void **state)
{
	(void)state;
	fake_set_guest(v, guest_with_nmi, NULL);
	v->deadline = fake_tsc + 1;
	vcpu_step(vv);
	assert_int_equal(expect_delivered(1, EVENT_NMI, EXC_NMI)->rip, RUN_CODE + 1);
	assert_false(vv->blocked);
}

/* The single step over HLT is a trap that comes at once. */
static void test_a_single_step_ends_hlt(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		again();
		set_flags(TF | (i ? IF : 0));
		hlt();
		assert_false(vv->blocked);
		assert_int_equal(expect_delivered(1, EVENT_EXCEPTION, EXC_DB)->rip, RUN_CODE + 1);
	}
}

/* Requests. */

static void test_flush_is_done_before_entry(void **state)
{
	(void)state;
	atomic_store(&v->requests, REQ_FLUSH);
	step(&cpuid_exit);
	expect_next(2);
	assert_int_equal(v->virt->flush_count, 1);
	assert_int_equal(atomic_load(&v->requests), 0);
}

static void test_flush_is_done_for_a_sleeper(void **state)
{
	(void)state;
	set_flags(IF);
	hlt();
	atomic_store(&v->requests, REQ_FLUSH);
	assert_true(vcpu_sleeps(vv));
	assert_int_equal(v->virt->flush_count, 1);
}

static void test_stop_leaves_without_entry_and_keeps_events(void **state)
{
	(void)state;
	set_flags(IF);
	run_raise_irq(m, 0x32);
	atomic_fetch_or(&v->requests, REQ_STOP | REQ_NMI | REQ_FLUSH);
	push(&cpuid_exit);
	loop();
	assert_int_equal(v->virt->run_count, 0);
	assert_int_equal(v->virt->flush_count, 1);
	assert_int_equal(atomic_load(&v->requests), 0);
	loop();
	expect_delivered(1, EVENT_NMI, EXC_NMI);
	fake_push_exit(v, &cpuid_exit);
	set_flags(IF);
	loop();
	expect_delivered(2, EVENT_EXTINT, 0x32);
}

static bool guest_stopped_in_hlt(struct vcpu *vcpu, void *ctx)
{
	(void)ctx;
	run_raise_irq(m, 0x33);
	atomic_fetch_or(&vcpu->requests, REQ_STOP);
	vcpu->exit = (struct vcpu_exit){.kind = EXIT_HLT, .insn_len = 1};
	return true;
}

/* Somebody stops it while it comes out of the guest to sleep, but need not sleep. */
static void test_stop_is_not_lost_in_hlt(void **state)
{
	(void)state;
	set_flags(IF);
	fake_set_guest(v, guest_stopped_in_hlt, NULL);
	v->deadline = fake_tsc + 100;
	vcpu_step(vv);
	assert_int_equal(v->virt->run_count, 1);
}

static void test_irq_and_nmi_go_in_their_order(void **state)
{
	(void)state;
	set_flags(IF);
	run_raise_irq(m, 0x34);
	atomic_fetch_or(&v->requests, REQ_NMI);
	push(&cpuid_exit);
	loop();
	expect_delivered(1, EVENT_NMI, EXC_NMI);
	assert_int_equal(m->acks, 0); /* the handler runs with IF = 0 */
	assert_true(v->virt->irq_window);
}

static bool guest_sti(struct vcpu *vcpu, void *ctx)
{
	(void)ctx;
	fake_guest_sti(vcpu);
	return false;
}

/* A masked interrupt: window, exit, delivery after the instruction behind STI. */
static void test_windows_come_back_with_the_interrupt(void **state)
{
	(void)state;
	run_raise_irq(m, 0x35);
	fake_set_guest(v, guest_sti, NULL);
	v->deadline = fake_tsc + 4;
	vcpu_step(vv);
	/* STI, one instruction in its shadow, then the window. */
	assert_int_equal(expect_delivered(1, EVENT_EXTINT, 0x35)->rip, RUN_CODE + 2);
	assert_int_equal(vv->stats.kind[EXIT_IRQ_WINDOW].count, 1);
	assert_false(v->virt->irq_window);
}

static bool guest_iret(struct vcpu *vcpu, void *ctx)
{
	(void)ctx;
	fake_guest_iret(vcpu);
	return false;
}

static void test_a_second_nmi_waits_for_iret(void **state)
{
	(void)state;
	atomic_store(&v->requests, REQ_NMI);
	step(&cpuid_exit);
	expect_delivered(1, EVENT_NMI, EXC_NMI);
	atomic_store(&v->requests, REQ_NMI);
	step(&cpuid_exit);
	expect_delivered(1, EVENT_NMI, EXC_NMI);
	assert_true(v->virt->nmi_window);
	fake_set_guest(v, guest_iret, NULL);
	v->deadline = fake_tsc + 2;
	vcpu_step(vv);
	expect_delivered(2, EVENT_NMI, EXC_NMI);
	assert_int_equal(vv->stats.kind[EXIT_NMI_WINDOW].count, 1);
}

/* What makes the loop be left. */

static void test_the_deadline_leaves_the_loop(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 10; i++)
		push(&cpuid_exit);
	v->deadline = fake_tsc + 4;
	vcpu_step(vv);
	assert_int_equal(v->exit.kind, EXIT_DEADLINE);
	assert_int_equal(v->virt->script_count, 6);
	assert_int_equal(vv->stats.kind[EXIT_DEADLINE].count, 1);
}

static void test_work_leaves_the_loop_after_the_exit_was_answered(void **state)
{
	static const uint32_t work[] = {WORK_TIMER, WORK_CALL, WORK_CONSOLE, WORK_NMI};

	(void)state;
	for (unsigned i = 0; i < array_count(work); i++) {
		again();
		push(&cpuid_exit);
		push(&cpuid_exit);
		atomic_store(&this_cpu()->work, work[i]);
		loop();
		assert_int_equal(v->exit.kind, EXIT_CPUID);
		assert_int_equal(reg(REG_RIP), RUN_CODE + 2);
		assert_int_equal(v->virt->script_count, 1);
		assert_int_equal(atomic_load(&this_cpu()->work),
				 work[i]); /* whose it is takes it */
	}
}

static void test_quick_exits_leave_in_time(void **state)
{
	(void)state;
	v->quick = &vcpu_quick;
	vv->quick_ticks = 0;
	atomic_store(&this_cpu()->work, WORK_TIMER);
	v->gpr[REG_RAX] = 0;
	for (unsigned i = 0; i < 10; i++)
		push(&cpuid_exit);
	loop();
	assert_in_range(m->quick_count, 1, 2); /* the TSC's next tick is over the limit */
	assert_int_equal(v->exit.kind, EXIT_NONE);
}

/* Events around exits. */

static struct vcpu_exit host_nmi_during(uint8_t kind, uint8_t vector)
{
	struct vcpu_exit e = {.kind = EXIT_HOST_NMI};

	e.interrupted.kind = kind;
	e.interrupted.vector = vector;
	return e;
}

static void test_an_interrupted_event_is_delivered_again(void **state)
{
	struct vcpu_exit e = host_nmi_during(EVENT_EXTINT, 0x40);

	(void)state;
	set_flags(IF);
	push(&e);
	push(&cpuid_exit);
	loop();
	assert_int_equal(expect_delivered(1, EVENT_EXTINT, 0x40)->rip, RUN_CODE);
	assert_int_equal(m->acks, 0);
}

static void test_a_delivery_that_breaks_off_comes_once(void **state)
{
	(void)state;
	set_flags(IF);
	run_raise_irq(m, 0x41);
	fake_break_delivery(v, &(struct vcpu_exit){.kind = EXIT_HOST_NMI});
	push(&cpuid_exit);
	loop();
	expect_delivered(1, EVENT_EXTINT, 0x41);
	assert_int_equal(m->acks, 1);
	assert_int_equal(vv->stats.kind[EXIT_HOST_NMI].count, 1);
}

/* #GP while #GP is delivered: #DF; while that is delivered: the end. */
static void test_faults_combine_and_shut_down(void **state)
{
	struct vcpu_exit e = {.kind = EXIT_PRIVILEGED, .insn_len = 2};
	const struct fake_delivery *d;

	(void)state;
	e.interrupted = (struct event){.kind = EVENT_EXCEPTION, .vector = EXC_GP, .has_error = 1};
	step(&e);
	d = expect_delivered(1, EVENT_EXCEPTION, EXC_DF);
	assert_true(d->event.has_error);
	assert_int_equal(d->event.error, 0);
	e.interrupted = (struct event){.kind = EVENT_EXCEPTION, .vector = EXC_DF, .has_error = 1};
	step(&e);
	expect_stop(true, "triple fault: exception 13 while a double fault was delivered");
}

static void test_a_skip_ends_the_shadow_and_rf(void **state)
{
	(void)state;
	for (unsigned quick = 0; quick < 2; quick++)
		for (unsigned shadow = STI; shadow <= MOV_SS; shadow++) {
			again();
			v->quick = quick ? &vcpu_quick : NULL;
			set(REG_INT_SHADOW, shadow | NMI_BLOCKED);
			set_flags(RF);
			v->gpr[REG_RAX] = 0;
			step(&cpuid_exit);
			expect_next(2);
			assert_int_equal(reg(REG_INT_SHADOW), NMI_BLOCKED);
			assert_int_equal(reg(REG_RFLAGS), 2);
		}
}

static void test_single_step_over_emulated_instructions(void **state)
{
	static const uint8_t kinds[] = {EXIT_CPUID, EXIT_RDMSR, EXIT_HYPERCALL, EXIT_CACHE,
					EXIT_PAUSE};

	(void)state;
	for (unsigned i = 0; i < 2 * array_count(kinds); i++) {
		again();
		v->quick = i & 1 ? &vcpu_quick : NULL;
		v->gpr[REG_RCX] = 0x1b;
		set_flags(TF);
		step_insn(kinds[i / 2], 2);
		assert_int_equal(expect_delivered(1, EVENT_EXCEPTION, EXC_DB)->rip, RUN_CODE + 2);
	}
}

/* A fault is not completed, so nothing was stepped over. */
static void test_no_single_step_after_a_fault(void **state)
{
	(void)state;
	set_flags(TF);
	step_insn(EXIT_PRIVILEGED, 2);
	expect_delivered(1, EVENT_EXCEPTION, EXC_GP);
	assert_false(v->virt->pending_db);
}

/* Counters and traces. */

static void test_each_exit_counts_once(void **state)
{
	uint64_t sum = 0;

	(void)state;
	for (unsigned quick = 0; quick < 2; quick++) {
		again();
		v->quick = quick ? &vcpu_quick : NULL;
		v->gpr[REG_RAX] = v->gpr[REG_RCX] = 0;
		push(&cpuid_exit);
		push(&(struct vcpu_exit){.kind = EXIT_PAUSE, .insn_len = 2});
		push(&(struct vcpu_exit){
			.kind = EXIT_PORT, .insn_len = 1, .port = {0x80, 1, true}});
		push(&(struct vcpu_exit){.kind = EXIT_PORT, .insn_len = 1, .port = {0x9999, 1}});
		loop();
		sum = 0;
		for (unsigned i = 0; i < EXIT_KIND_COUNT; i++)
			sum += vv->stats.kind[i].count;
		assert_int_equal(vv->stats.kind[EXIT_CPUID].count, 1);
		assert_int_equal(vv->stats.kind[EXIT_PORT].count, 2);
		assert_int_equal(vv->stats.kind[EXIT_PAUSE].count, 1);
		assert_int_equal(vv->stats.kind[EXIT_DEADLINE].count, 1);
		assert_int_equal(sum, 5);
		assert_true(vv->stats.kind[EXIT_CPUID].max > 0);
		assert_true(vv->stats.kind[EXIT_CPUID].cycles >= vv->stats.kind[EXIT_CPUID].max);
	}
}

static void test_exits_leave_records(void **state)
{
	struct trace_record r[8];

	(void)state;
	v->id = 3;
	m->vm.id = 2;
	push(&(struct vcpu_exit){.kind = EXIT_CPUID, .insn_len = 2, .raw = 10, .raw_info = 99});
	push(&(struct vcpu_exit){.kind = EXIT_SHUTDOWN, .raw = 2});
	loop();
	assert_int_equal(trace_snapshot(vv->trace, r, 8, NULL), 2);
	assert_int_equal(r[0].kind, EXIT_CPUID);
	assert_int_equal(r[0].raw, 10);
	assert_int_equal(r[0].raw_info, 99);
	assert_int_equal(r[0].rip, RUN_CODE); /* of the instruction that exited */
	assert_int_equal(r[0].who, trace_who(2, 3));
	assert_true(r[0].cycles > 0);
	assert_int_equal(r[1].kind, EXIT_SHUTDOWN); /* also the one that ended the VM */
	assert_int_equal(r[1].rip, RUN_CODE + 2);
	assert_int_equal(r[1].cycles, 0);
}

/* As much as of others, where that was asked for; and nothing else where not. */
static void test_quick_exits_leave_records_if_wanted(void **state)
{
	struct trace_record r[8];

	(void)state;
	for (unsigned traced = 0; traced < 2; traced++) {
		again();
		v->quick = traced ? &vcpu_quick_traced : &vcpu_quick;
		v->gpr[REG_RAX] = 0;
		push(&(struct vcpu_exit){.kind = EXIT_CPUID, .insn_len = 2, .raw = 10});
		push(&(struct vcpu_exit){
			.kind = EXIT_PORT, .insn_len = 1, .port = {RUN_PORT, 4, true}});
		loop();
		assert_int_equal(m->quick_count, 2);
		assert_int_equal(trace_snapshot(vv->trace, r, 8, NULL), traced ? 3 : 1);
		if (!traced)
			continue;
		assert_int_equal(r[0].kind, EXIT_CPUID);
		assert_int_equal(r[0].raw, 10);
		assert_int_equal(r[0].rip, RUN_CODE);
		assert_int_equal(r[1].kind, EXIT_PORT);
		assert_int_equal(r[1].rip, RUN_CODE + 2);
		assert_int_equal(r[1].raw_info, RUN_PORT << 16 | 8 | 3);
		assert_int_equal(r[2].kind, EXIT_DEADLINE);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_hlt_blocks),
		T(test_an_interrupt_ends_hlt),
		T(test_sti_hlt_loses_no_interrupt),
		T(test_an_nmi_ends_hlt_even_with_interrupts_off),
		T(test_hlt_with_interrupts_off_is_the_end),
		T(test_an_nmi_that_was_asked_for_meanwhile_ends_it_too),
		T(test_a_single_step_ends_hlt),
		T(test_flush_is_done_before_entry),
		T(test_flush_is_done_for_a_sleeper),
		T(test_stop_leaves_without_entry_and_keeps_events),
		T(test_stop_is_not_lost_in_hlt),
		T(test_irq_and_nmi_go_in_their_order),
		T(test_windows_come_back_with_the_interrupt),
		T(test_a_second_nmi_waits_for_iret),
		T(test_the_deadline_leaves_the_loop),
		T(test_work_leaves_the_loop_after_the_exit_was_answered),
		T(test_quick_exits_leave_in_time),
		T(test_an_interrupted_event_is_delivered_again),
		T(test_a_delivery_that_breaks_off_comes_once),
		T(test_faults_combine_and_shut_down),
		T(test_a_skip_ends_the_shadow_and_rf),
		T(test_single_step_over_emulated_instructions),
		T(test_no_single_step_after_a_fault),
		T(test_each_exit_counts_once),
		T(test_exits_leave_records),
		T(test_quick_exits_leave_records_if_wanted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
