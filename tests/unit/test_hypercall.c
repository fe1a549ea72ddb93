/*
 * core/hypercall.c: who may call, pointers, and callers that wait while the boot CPU works.
 * needs: core/vm_parts.c
 * needs: core/run.c core/exits.c core/exits_cpu.c core/exits_cr.c core/exits_mem.c core/quick.c
 * needs: core/sched.c core/fair.c core/hypercall.c core/hypercall_child.c core/child.c
 * needs: core/child_run.c core/child_port.c core/hypercall_shared.c core/shared.c
 * needs: core/inject.c core/io_bus.c core/cpuid_policy.c core/msr_policy.c core/emulate.c
 * needs: core/emu_alu.c core/emu_fetch.c core/emu_mem.c core/emu_string.c core/decode.c
 * needs: core/gwalk.c core/string_io.c core/exit_stats.c core/trace.c mm/gmem.c devices/debug.c
 * needs: devices/testdev.c lib/printf.c lib/text.c tests/fake/backend.c
 * needs: tests/fake/backend_nested.c
 * needs: tests/fake/panic.c tests/fake/spinlock.c tests/fake/host_cpu.c tests/fake/run_machine.c
 */
#include "child_rig.h"
#include "../../core/shared.h"

#define AT 0x2000u

static unsigned worked;
static uint64_t seen_rdi;

static int64_t work(struct vm *vm, const struct hypercall_args *a)
{
	assert_ptr_equal(vm, &parent->vm);
	seen_rdi = a->rdi;
	worked++;
	return 4711;
}

static int64_t stop_itself(struct vm *vm, const struct hypercall_args *a)
{
	(void)a;
	sched_remove(pv);
	atomic_store(&vm->state, VM_STOPPED);
	atomic_store(&pv->stopped, true);
	worked++;
	return 0;
}

/* As a reset: what it waited for is forgotten. */
static int64_t start_anew(struct vm *vm, const struct hypercall_args *a)
{
	(void)vm;
	(void)a;
	atomic_store(&pv->call, CALL_NONE);
	pv->blocked = false;
	pv->v.gpr[REG_RAX] = 1;
	return 4711;
}

static int wait_setup(void **state)
{
	worked = 0;
	rig_waiting = work;
	return child_setup(state);
}

#define W(name) cmocka_unit_test_setup_teardown(name, wait_setup, child_teardown)

static void test_calls_for_any_guest(void **state)
{
	(void)state;
	parent->vm.config.privileged = false;
	assert_int_equal(call(HYPERCALL_VERSION, 0, 0, 0, 0), HYPERCALL_ABI);
	assert_int_equal(call(HYPERCALL_IDENTIFY, 0, 0, 0, 0), HYPERCALL_SIGNATURE);
	assert_int_equal(call(HYPERCALL_NOP, 0, 0, 0, 0), 0);
	assert_int_equal(call(HYPERCALL_WALL_CLOCK, 0, 0, 0, 0), 1700000000000000000);
	assert_true(call(HYPERCALL_TIME, 0, 0, 0, 0) > 0);
	assert_int_equal(call(HYPERCALL_YIELD, 0, 0, 0, 0), 0);
}

/* Nobody else is there to hear it: more in test_shared_rings.c. */
static void test_what_is_shared(void **state)
{
	struct vm_config *c = &parent->vm.config;
	struct hypercall_shared d;

	(void)state;
	c->privileged = false;
	assert_int_equal(call(HYPERCALL_SHARED_DESCRIBE, 0, AT, 0, 0), E_NOENT);
	c->shared_count = 1;
	c->shared[0] = (struct vm_config_shared){.name = "box", .size = 0x2000, .irq = 5};
	assert_int_equal(shared_attach(&parent->vm), OK);
	atomic_store(&parent->vm.shared[0].rings, 3);
	assert_int_equal(call(HYPERCALL_SHARED_DESCRIBE, 0, AT, 0, 0), 0);
	get(AT, &d, sizeof(d));
	assert_string_equal(d.name, "box");
	assert_int_equal(d.size, 0x2000);
	assert_int_equal(d.peers, 0);
	assert_int_equal(d.irq, 5);
	assert_int_equal(call(HYPERCALL_SHARED_DESCRIBE, 0, d.address + 0x1fd8, 0, 0), 0);
	assert_int_equal(call(HYPERCALL_SHARED_DESCRIBE, 0, d.address + 0x1fd9, 0, 0), E_FAULT);
	assert_int_equal(call(HYPERCALL_SHARED_DESCRIBE, 1, AT, 0, 0), E_NOENT);
	assert_int_equal(call(HYPERCALL_DOORBELL, 0, 0, 0, 0), 0);
	assert_int_equal(call(HYPERCALL_DOORBELL, 1, 0, 0, 0), E_NOENT);
	assert_int_equal(call(HYPERCALL_SHARED_RINGS, 0, 0, 0, 0), 3);
	assert_int_equal(call(HYPERCALL_SHARED_RINGS, 0, 0, 0, 0), 0);
	assert_int_equal(call(HYPERCALL_SHARED_RINGS, 1, 0, 0, 0), E_NOENT);
	pv->v.virt->segment[SEG_SS].attr |= 3 << 5;
	assert_int_equal(call(HYPERCALL_DOORBELL, 0, 0, 0, 0), E_PERM);
	shared_detach(&parent->vm);
	assert_int_equal(arenas, 0);
}

static void test_unknown_numbers_and_ring_3(void **state)
{
	const uint64_t unknown[] = {10, 15, 34, 63, 70, 71, HYPERCALL_COUNT, 1ul << 32, ~0ul};

	(void)state;
	for (unsigned i = 0; i < array_count(unknown); i++)
		assert_int_equal(call(unknown[i], 0, 0, 0, 0), E_NOSYS);
	pv->v.virt->segment[SEG_SS].attr |= 3 << 5;
	assert_int_equal(call(HYPERCALL_VERSION, 0, 0, 0, 0), E_PERM);
	assert_int_equal(call(HYPERCALL_NOP, 0, 0, 0, 0), E_PERM);
}

static void test_only_the_privileged_manage(void **state)
{
	(void)state;
	parent->vm.config.privileged = false;
	assert_int_equal(call(HYPERCALL_VM_START, 1, 0, 0, 0), E_PERM);
	for (uint64_t n = HYPERCALL_GUEST_CREATE; n <= HYPERCALL_GUEST_WRITE; n++)
		assert_int_equal(call(n, 1, 0, 0, 0), E_PERM);
	for (uint64_t n = HYPERCALL_VCPU_CREATE; n <= HYPERCALL_VCPU_INTERRUPT; n++)
		assert_int_equal(call(n, 1, 0, 0, 0), E_PERM);
	assert_int_equal(worked, 0);
	assert_int_equal(arenas, 0);
	assert_int_equal(atomic_load(&percpus[0].work), 0);
}

static void test_the_console_takes_all_or_nothing(void **state)
{
	char text[600];

	(void)state;
	for (unsigned i = 0; i < sizeof(text); i++)
		text[i] = (char)('a' + i % 26);
	put(AT, text, sizeof(text));
	assert_int_equal(call(HYPERCALL_CONSOLE_WRITE, AT, sizeof(text), 0, 0), 0);
	assert_int_equal(printed_count, sizeof(text));
	assert_memory_equal(printed, text, sizeof(text));
	assert_int_equal(call(HYPERCALL_CONSOLE_WRITE, RUN_RAM_SIZE - 300, 301, 0, 0), E_FAULT);
	assert_int_equal(call(HYPERCALL_CONSOLE_WRITE, ~0ul - 10, 20, 0, 0), E_FAULT);
	assert_int_equal(call(HYPERCALL_CONSOLE_WRITE, RUN_MMIO, 1, 0, 0), E_FAULT);
	assert_int_equal(call(HYPERCALL_CONSOLE_WRITE, AT, 4097, 0, 0), E_INVAL);
	assert_int_equal(call(HYPERCALL_CONSOLE_WRITE, AT, ~0ul, 0, 0), E_INVAL);
	assert_int_equal(printed_count, sizeof(text));
	assert_int_equal(call(HYPERCALL_CONSOLE_WRITE, AT, 4096, 0, 0), 0);
	assert_int_equal(printed_count, sizeof(text) + 4096);
}

static void test_only_the_caller_waits(void **state)
{
	struct run_vm *other = run_vm_new();
	uint64_t rip;

	(void)state;
	fake_set_guest(&other->vcpu.v, spin, NULL);
	sched_add(&other->vcpu, this_cpu());
	other->vcpu.fair.vtime = pv->fair.vtime + 1000000;
	ask(HYPERCALL_VM_START, 12, 0, 0, 0);
	rip = pv->v.virt->reg[REG_RIP];
	assert_int_equal(rip, RUN_CODE + 3);
	assert_true(atomic_load(&percpus[0].work) & WORK_HYPERCALL);
	for (unsigned i = 0; i < 5; i++) {
		assert_true(turn()); /* the other's */
		assert_int_equal(pv->v.virt->reg[REG_RIP], rip);
	}
	assert_true(other->vcpu.v.virt->run_count >= 5);
	assert_int_equal(worked, 0);
	hypercall_work();
	assert_int_equal(worked, 1);
	assert_int_equal(seen_rdi, 12);
	assert_true(atomic_load(&this_cpu()->work) & WORK_VCPU);
	atomic_store(&this_cpu()->work, 0);
	for (unsigned i = 0; i < 3 && pv->blocked; i++)
		turn();
	assert_int_equal(pv->v.gpr[REG_RAX], 4711);
	assert_true(pv->v.virt->reg[REG_RIP] > rip);
	hypercall_work();
	assert_int_equal(worked, 1); /* once */
}

static void test_an_interrupt_waits_for_the_result(void **state)
{
	(void)state;
	ask(HYPERCALL_VM_START, 0, 0, 0, 0);
	run_raise_irq(parent, 0x40);
	assert_false(turn());
	assert_int_equal(pv->v.virt->delivery_count, 0);
	hypercall_work();
	assert_true(turn());
	assert_int_equal(pv->v.gpr[REG_RAX], 4711);
	assert_int_equal(pv->v.virt->delivery_count, 1);
	assert_int_equal(fake_delivered(&pv->v, 0)->rip, RUN_CODE + 3);
}

static void test_a_paused_caller_gets_its_result_later(void **state)
{
	(void)state;
	ask(HYPERCALL_VM_START, 0, 0, 0, 0);
	pv->paused = true;
	atomic_store(&parent->vm.state, VM_PAUSED);
	hypercall_work();
	assert_int_equal(worked, 1);
	assert_false(turn());
	pv->paused = false;
	assert_true(turn());
	assert_int_equal(pv->v.gpr[REG_RAX], 4711);
}

static void test_a_caller_that_was_stopped_is_forgotten(void **state)
{
	(void)state;
	ask(HYPERCALL_VM_START, 0, 0, 0, 0);
	atomic_store(&parent->vm.state, VM_STOPPED);
	hypercall_work();
	assert_int_equal(worked, 0);
}

static void test_a_caller_may_end_itself(void **state)
{
	(void)state;
	rig_waiting = stop_itself;
	ask(HYPERCALL_VM_START, 0, 0, 0, 0);
	hypercall_work();
	assert_int_equal(worked, 1);
	assert_false(turn());
	assert_int_equal(pv->v.gpr[REG_RAX], HYPERCALL_VM_START);
}

static void test_a_result_is_not_for_the_next_life(void **state)
{
	(void)state;
	rig_waiting = start_anew;
	ask(HYPERCALL_VM_START, 0, 0, 0, 0);
	hypercall_work();
	assert_int_equal(atomic_load(&pv->call), CALL_NONE);
	assert_true(turn());
	assert_int_equal(pv->v.gpr[REG_RAX], 1);
}

/* The number is looked up again: while a VM is paused its registers can be changed. */
static void test_a_number_that_changed_meanwhile_is_harmless(void **state)
{
	(void)state;
	ask(HYPERCALL_VM_START, 0, 0, 0, 0);
	pv->v.gpr[REG_RAX] = HYPERCALL_VCPU_RESUME;
	hypercall_work();
	assert_int_equal(worked, 0);
	assert_true(turn());
	assert_int_equal(pv->v.gpr[REG_RAX], E_NOSYS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		W(test_calls_for_any_guest),
		W(test_what_is_shared),
		W(test_unknown_numbers_and_ring_3),
		W(test_only_the_privileged_manage),
		W(test_the_console_takes_all_or_nothing),
		W(test_only_the_caller_waits),
		W(test_an_interrupt_waits_for_the_result),
		W(test_a_paused_caller_gets_its_result_later),
		W(test_a_caller_that_was_stopped_is_forgotten),
		W(test_a_caller_may_end_itself),
		W(test_a_result_is_not_for_the_next_life),
		W(test_a_number_that_changed_meanwhile_is_harmless),
	};

	return cmocka_run_group_tests_name("hypercalls", tests, NULL, NULL);
}
