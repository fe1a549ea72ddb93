/*
 * core/sched.c: turns, loading with the FPU, sleepers, slices, the end of a VM.
 * needs: core/run.c core/exits.c core/exits_cpu.c core/exits_cr.c core/exits_mem.c core/quick.c
 * needs: core/sched.c core/fair.c
 * needs: core/inject.c core/io_bus.c core/cpuid_policy.c core/msr_policy.c core/emulate.c
 * needs: core/emu_alu.c core/emu_fetch.c core/emu_mem.c core/emu_string.c core/decode.c
 * needs: core/gwalk.c core/string_io.c core/exit_stats.c core/trace.c mm/gmem.c devices/debug.c
 * needs: devices/testdev.c lib/printf.c tests/fake/backend.c tests/fake/backend_nested.c
 * needs: tests/fake/panic.c tests/fake/spinlock.c tests/fake/host_cpu.c tests/fake/run_machine.c
 */
#include "run_rig.h"

/* The scheduler keeps its rings, so each test has a CPU of its own. */
static unsigned cpu_index;

static struct run_vm *vm[3];

static int sched_setup(void **state)
{
	(void)state;
	run_machine_reset(++cpu_index);
	run_around.slice_ticks = 1000;
	for (unsigned i = 0; i < array_count(vm); i++)
		vm[i] = run_vm_new();
	return 0;
}

/* Guest code: runs until its slice is over. */
static bool spin(struct vcpu *vcpu, void *ctx)
{
	++*(unsigned *)ctx;
	fake_tsc = vcpu->deadline;
	return false;
}

static bool sleep_at_once(struct vcpu *vcpu, void *ctx)
{
	++*(unsigned *)ctx;
	vcpu->exit = (struct vcpu_exit){.kind = EXIT_HLT, .insn_len = 1};
	return true;
}

static unsigned turns[3];

static void add(unsigned i, bool (*guest)(struct vcpu *vcpu, void *ctx))
{
	turns[i] = 0;
	fake_set_guest(&vm[i]->vcpu.v, guest, &turns[i]);
	/* Loaded: set_reg wants it. */
	vm[i]->vcpu.v.virt->reg[REG_RFLAGS] |= IF;
	sched_add(&vm[i]->vcpu, this_cpu());
}

static bool run_once(void)
{
	bool ran;

	fake_cpu_catch();
	ran = sched_run();
	assert_int_equal(fake_spin_held(), 0);
	return ran;
}

static void test_with_nobody_there_is_nothing_to_run(void **state)
{
	(void)state;
	assert_false(run_once());
	sched_unload(); /* of nothing */
	assert_int_equal(run_around.saves, 0);
}

static void test_who_has_had_the_least_has_its_turn(void **state)
{
	(void)state;
	run_around.slice_ticks = 1;
	for (unsigned i = 0; i < 3; i++)
		add(i, spin);
	for (unsigned round = 0; round < 9; round++) {
		unsigned lowest = round * 2 % 3, before = turns[lowest];

		for (unsigned i = 0; i < 3; i++)
			vm[i]->vcpu.fair.vtime = i == lowest ? 1000 : 2000;
		assert_true(run_once());
		assert_int_equal(turns[lowest], before + 1);
		assert_true(vm[lowest]->vcpu.fair.vtime > 1000);
	}
	sched_unload();
}

static void test_time_is_charged_by_weight(void **state)
{
	(void)state;
	vm[0]->vm.config.weight = 1;
	add(0, spin);
	run_once();
	assert_int_equal(vm[0]->vcpu.fair.vtime, 100 * vm[0]->vcpu.ran_ticks);
	sched_unload();
}

/* From another CPU it is kicked, so that it looks at once; here it looks by itself. */
static void test_a_request_kicks_the_vcpus_cpu(void **state)
{
	struct percpu *here = this_cpu();

	(void)state;
	add(0, sleep_at_once);
	add(1, sleep_at_once);
	run_once();
	run_once();
	assert_false(run_once());
	vcpu_request(&vm[0]->vcpu, REQ_NMI);
	assert_int_equal(run_around.kicks, 0);
	assert_true(run_once());
	fake_cpu_become(here->index + 1);
	vcpu_request(&vm[1]->vcpu, REQ_NMI);
	assert_int_equal(run_around.kicks, 1);
	assert_true(atomic_load(&here->work) & WORK_VCPU);
	fake_cpu_become(here->index);
	atomic_store(&here->work, 0);
	assert_true(run_once());
	assert_int_equal(vm[0]->vcpu.v.virt->delivery_count, 1);
	assert_int_equal(vm[1]->vcpu.v.virt->delivery_count, 1);
	sched_unload();
}

static void test_interrupts_are_off_in_a_turn_only(void **state)
{
	(void)state;
	add(0, spin);
	fake_irqs_on = true;
	fake_irq_enable_count = 0;
	assert_true(run_once());
	assert_true(fake_irqs_on);
	assert_int_equal(fake_irq_enable_count, 1);
	sched_unload();
}

/* What is loaded stays so, FPU and all, until another has its turn. */
static void test_loading_is_lazy(void **state)
{
	(void)state;
	vm[1]->vcpu.xcr0 = 3;
	add(0, spin);
	run_once();
	run_once();
	assert_true(vm[0]->vcpu.v.virt->loaded);
	assert_int_equal(run_around.saves, 0);
	assert_ptr_equal(run_around.fpu, vm[0]->fpu);
	assert_int_equal(run_around.xcr0, 1);
	add(1, spin);
	while (!turns[1])
		run_once();
	assert_false(vm[0]->vcpu.v.virt->loaded);
	assert_true(vm[1]->vcpu.v.virt->loaded);
	assert_ptr_equal(run_around.fpu, vm[1]->fpu);
	assert_int_equal(run_around.xcr0, 3);
	assert_int_equal(run_around.saves, 1);
	sched_unload();
	assert_false(vm[1]->vcpu.v.virt->loaded);
	assert_null(run_around.fpu);
}

static void test_sleepers_do_not_run(void **state)
{
	(void)state;
	add(0, sleep_at_once);
	add(1, spin);
	for (unsigned i = 0; i < 6; i++)
		assert_true(run_once());
	assert_int_equal(turns[0], 1);
	assert_in_range(turns[1], 5, 6);
	sched_unload();
}

static void test_if_all_sleep_the_cpu_may_too(void **state)
{
	(void)state;
	add(0, sleep_at_once);
	add(1, sleep_at_once);
	assert_true(run_once());
	assert_true(run_once());
	assert_false(run_once());
	assert_int_equal(turns[0] + turns[1], 2);
	sched_unload();
}

static void test_an_interrupt_wakes_a_sleeper(void **state)
{
	(void)state;
	add(0, sleep_at_once);
	run_once();
	assert_false(run_once());
	run_raise_irq(vm[0], 0x50);
	assert_true(run_once());
	assert_int_equal(vm[0]->vcpu.v.virt->delivery_count, 1);
	assert_int_equal(fake_delivered(&vm[0]->vcpu.v, 0)->event.vector, 0x50);
	sched_unload();
}

/* A request that ends no HLT is looked at once; it must not keep the CPU awake. */
static void test_other_requests_do_not_wake_it(void **state)
{
	(void)state;
	add(0, sleep_at_once);
	run_once();
	atomic_fetch_or(&vm[0]->vcpu.v.requests, REQ_FLUSH | REQ_IRQ);
	assert_true(run_once());
	assert_int_equal(vm[0]->vcpu.v.virt->flush_count, 1);
	assert_int_equal(turns[0], 1);
	assert_true(vm[0]->vcpu.blocked);
	assert_true(fake_irqs_on);
	assert_false(run_once());
	sched_unload();
}

static bool shut_down(struct vcpu *vcpu, void *ctx)
{
	++*(unsigned *)ctx;
	vcpu->exit = (struct vcpu_exit){.kind = EXIT_SHUTDOWN};
	return true;
}

static void test_a_stopped_vm_is_unloaded_and_never_runs_again(void **state)
{
	(void)state;
	add(0, shut_down);
	assert_true(run_once());
	assert_int_equal(vm[0]->stops, 1);
	assert_false(vm[0]->vcpu.v.virt->loaded);
	assert_int_equal(vm[0]->ended, 1);
	assert_null(run_around.fpu);
	run_raise_irq(vm[0], 0x51);
	assert_false(run_once());
	add(1, spin);
	assert_true(run_once());
	assert_true(run_once());
	assert_int_equal(turns[0], 1);
	assert_int_equal(turns[1], 2);
	sched_unload();
}

static uint64_t seen_deadline;

static bool note_deadline(struct vcpu *vcpu, void *ctx)
{
	seen_deadline = vcpu->deadline;
	return spin(vcpu, ctx);
}

static void test_a_turn_ends_with_the_slice_or_the_next_timer(void **state)
{
	uint64_t before;

	(void)state;
	run_around.slice_ticks = 1ul << 40;
	add(0, note_deadline);
	before = rdtsc();
	run_once();
	assert_in_range(seen_deadline, before + (1ul << 40), rdtsc() + (1ul << 40));
	run_around.timer_next = before + (1ul << 41);
	run_once();
	assert_true(seen_deadline < run_around.timer_next);
	run_around.timer_next = before + (1ul << 39);
	fake_tsc = 0;
	run_once();
	assert_int_equal(seen_deadline, run_around.timer_next);
	sched_unload();
}

/* Only where run() does not end by itself: the timer costs an interrupt. */
static void test_without_a_deadline_of_the_backend_a_timer_ends_the_turn(void **state)
{
	(void)state;
	add(0, note_deadline);
	run_once();
	assert_int_equal(run_around.timer_set, 0);
	fake_backend_lacks_deadline = true;
	run_once();
	assert_int_equal(run_around.timer_set, seen_deadline);
	sched_unload();
}

static void test_the_first_entry_is_noted_once(void **state)
{
	uint64_t first;

	(void)state;
	add(0, spin);
	assert_int_equal(vm[0]->vcpu.first_tsc, 0);
	run_once();
	first = vm[0]->vcpu.first_tsc;
	assert_true(first != 0);
	run_once();
	assert_int_equal(vm[0]->vcpu.first_tsc, first);
	sched_unload();
}

static void test_quick_exits_are_traced_from_the_next_turn_on(void **state)
{
	(void)state;
	add(0, spin);
	run_once();
	assert_ptr_equal(vm[0]->vcpu.v.quick, &vcpu_quick);
	atomic_store(&trace_quick_exits, true);
	run_once();
	assert_ptr_equal(vm[0]->vcpu.v.quick, &vcpu_quick_traced);
	sched_unload();
}

#define S(name) cmocka_unit_test_setup_teardown(name, sched_setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		S(test_with_nobody_there_is_nothing_to_run),
		S(test_who_has_had_the_least_has_its_turn),
		S(test_time_is_charged_by_weight),
		S(test_a_request_kicks_the_vcpus_cpu),
		S(test_interrupts_are_off_in_a_turn_only),
		S(test_loading_is_lazy),
		S(test_sleepers_do_not_run),
		S(test_if_all_sleep_the_cpu_may_too),
		S(test_an_interrupt_wakes_a_sleeper),
		S(test_other_requests_do_not_wake_it),
		S(test_a_stopped_vm_is_unloaded_and_never_runs_again),
		S(test_a_turn_ends_with_the_slice_or_the_next_timer),
		S(test_without_a_deadline_of_the_backend_a_timer_ends_the_turn),
		S(test_the_first_entry_is_noted_once),
		S(test_quick_exits_are_traced_from_the_next_turn_on),
	};

	(void)setup;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
