/*
 * core/child.c, child_run.c, sched.c: where packets may go, what a new vCPU may not disturb, and an
 * interrupt of the parent that waits behind STI.
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

#define PACKET 0x2000u
#define DATA   0x3000u
#define PORT   0x3f8u

static struct vm_vcpu *cv;
static bool init_disturbs; /* vcpu_init came while a vCPU was loaded */

/* vmx/setup.c: its reset writes MSRs, CR2 and DR6, which are those of whoever is loaded. */
static int watched_init(struct vcpu *vcpu, struct virt_vm *vm, struct arena *arena)
{
	init_disturbs |= run_around.fpu != NULL;
	return fake_backend.vcpu_init(vcpu, vm, arena);
}

static void make_child(void)
{
	const struct hypercall_trap t = {.kind = HYPERCALL_TRAP_IO, .at = PORT, .size = 8};

	assert_int_equal(call(HYPERCALL_GUEST_CREATE, 0, 0, 0, 0), 1);
	assert_int_equal(call(HYPERCALL_GUEST_ADD_MEMORY, 1, 0, 0x10000, 0), 0);
	put(DATA, &t, sizeof(t));
	assert_int_equal(call(HYPERCALL_GUEST_SET_TRAP, 1, DATA, 0, 0), 0);
}

static int with_child(void **state)
{
	child_setup(state);
	make_child();
	assert_int_equal(call(HYPERCALL_VCPU_CREATE, 1, 0x1000, HYPERCALL_MODE_REAL, 0), 0);
	cv = child_find(&parent->vm, 1)->vm->vcpu;
	fake_set_guest(&cv->v, spin, NULL);
	return 0;
}

#define K(name) cmocka_unit_test_setup_teardown(name, with_child, child_teardown)

static void test_nobody_is_loaded_when_a_vcpu_is_made(void **state)
{
	struct virt_backend watched = *machine.backend;
	const struct virt_backend *before = machine.backend;

	(void)state;
	make_child();
	watched.vcpu_init = watched_init;
	machine.backend = &watched;
	init_disturbs = false;
	assert_int_equal(call(HYPERCALL_VCPU_CREATE, 1, 0x1000, HYPERCALL_MODE_REAL, 0), 0);
	machine.backend = before;
	assert_false(init_disturbs);
}

/* The address that a child begins with is no RAM either. */
static void test_a_packet_beyond_all_memory_is_refused(void **state)
{
	const struct vcpu_exit out = {
		.kind = EXIT_PORT, .insn_len = 1, .port = {.port = PORT, .size = 1}};
	const uint64_t bad[] = {~0ul, ~0ul - 1, ~0ul - sizeof(struct hypercall_packet) + 1};

	(void)state;
	for (unsigned i = 0; i < array_count(bad); i++) {
		fake_push_exit(&cv->v, &out);
		assert_int_equal(call(HYPERCALL_VCPU_RESUME, 1, bad[i], 0, 0), E_FAULT);
		cv->v.virt->script_count = 0;
	}
}

/*
 * STI; VMCALL, as a VMM sleeps in its child (guest-images/childvm/host.c): what has waited for IF
 * is not to wait for the rest of the slice. But the child gets on: its parent may be slower than
 * its own alarms.
 */
static void test_an_interrupt_behind_sti_does_not_wait_for_the_slice(void **state)
{
	struct virt_vcpu *fake = cv->v.virt;
	const uint64_t slice = 1ul << 40;
	uint64_t before;

	(void)state;
	sched_remove(pv);
	run_around.slice_ticks = slice;
	sched_add(pv, this_cpu());
	pv->v.virt->reg[REG_RFLAGS] &= ~(uint64_t)IF;
	run_raise_irq(parent, 0x50);
	assert_true(turn()); /* IF is 0: a window is asked for */
	assert_true(pv->events.irq_window);
	assert_int_equal(pv->v.virt->delivery_count, 0);
	/* Begins once: REQ_FLUSH is taken. */
	atomic_store(&cv->v.requests, 0);
	pv->v.virt->reg[REG_RFLAGS] |= IF;
	pv->v.virt->reg[REG_INT_SHADOW] = STI;
	fake_tsc = before =
		rdtsc(); /* it has slept to the end of the slice, which is still going on */
	ask(HYPERCALL_VCPU_RESUME, 1, PACKET, 0, 0);
	for (unsigned i = 0; pv->guest && i < 3; i++)
		(void)turn();
	assert_int_equal(fake->run_count, 1);
	assert_in_range(cv->v.deadline - before, slice / 2, slice / 4 * 3);
	assert_null(pv->guest);
	assert_int_equal(pv->v.gpr[REG_RAX], HYPERCALL_PACKET_NONE);
	(void)turn();
	assert_int_equal(pv->v.virt->delivery_count, 1);
}

/*
 * INS exits, waits, and is executed again: its code breakpoint has been met already, and the exit
 * has cleared RF. Intel SDM Vol. 3C, "Saving RIP, RSP, RFLAGS, and SSP", the footnote on RF.
 */
static void test_an_ins_that_waits_meets_its_breakpoint_once(void **state)
{
	const struct vcpu_exit ins = {
		.kind = EXIT_PORT,
		.insn_len = 1,
		.port = {.port = PORT, .size = 1, .in = true, .string = true, .addr_size = 2}};

	(void)state;
	cv->v.gpr[REG_RDI] = 0x100;
	fake_push_exit(&cv->v, &ins);
	assert_int_equal(call(HYPERCALL_VCPU_RESUME, 1, PACKET, 0, 0), HYPERCALL_PACKET_IO);
	assert_true(cv->v.virt->reg[REG_RFLAGS] & RF);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		C(test_nobody_is_loaded_when_a_vcpu_is_made),
		K(test_a_packet_beyond_all_memory_is_refused),
		K(test_an_interrupt_behind_sti_does_not_wait_for_the_slice),
		K(test_an_ins_that_waits_meets_its_breakpoint_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
