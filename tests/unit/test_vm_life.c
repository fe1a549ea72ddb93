/*
 * core/vm.c: a VM is made, powered on, reset, crashes, restarts or not, stops and is gone. The
 * backend is the fake one; the PC, the scheduler, the console and the other CPUs are stand-ins that
 * note what they are asked.
 * needs: core/vm_parts.c
 * needs: core/vm.c core/shared.c core/cpuid_policy.c core/msr_policy.c mm/gmem.c
 * needs: lib/printf.c lib/text.c
 * needs: tests/fake/backend.c tests/fake/backend_nested.c tests/fake/panic.c tests/fake/spinlock.c
 * needs: tests/fake/host_cpu.c
 */
#include "vm_life_rig.h"

/* --- Stand-ins for memory ------------------------------------------------------------------ */

static struct {
	bool none_left;
	bool pieces; /* RAM in single pages, no two of them neighbours */
	unsigned destroyed;
} memory;

void arena_init(struct arena *a, frame_owner_t owner)
{
	*a = (struct arena){.owner = owner};
}

void *arena_alloc(struct arena *a, size_t size, size_t align)
{
	(void)a;
	return memory.none_left ? NULL : block_new(size, align);
}

int arena_blocks(struct arena *a, uint64_t size, arena_got_fn *got, void *ctx)
{
	uint8_t *p = memory.pieces ? block_new(2 * size, PAGE_SIZE) : NULL;
	int err = OK;

	(void)a;
	for (uint64_t at = 0; p && !err && at < size; at += PAGE_SIZE)
		err = got(ctx, at, virt_to_phys(p + 2 * at), PAGE_SIZE);
	if (p)
		return err;
	return got(ctx, 0, virt_to_phys(block_new(size, PAGE_SIZE)), size);
}

void arena_destroy(struct arena *a)
{
	(void)a;
	memory.destroyed++;
}

uint64_t frames_count(frame_owner_t owner)
{
	(void)owner;
	return 1ul << 20;
}

static struct vm *vm;

static int setup(void **state)
{
	memset(&memory, 0, sizeof(memory));
	return life_setup(state);
}

/* --- Start -------------------------------------------------------------------------------- */

static void test_power_on_begins_anew(void **state)
{
	struct vm_vcpu *vv;

	(void)state;
	vm = vm_new("a", VM_RESTART_RESET);
	vv = vm->vcpu;
	assert_int_equal(atomic_load(&vm->state), VM_CREATED);
	vv->xcr0 = 7;
	vv->blocked = vv->events.nmi = true;
	vv->v.gpr[REG_RCX] = 5;
	vv->fpu[100] = 1;
	vv->emu_env.phys_bits++;
	start(vm);
	expect_on(vm);
	assert_int_equal(host.resets, 1);
	assert_int_equal(host.boots, 1);
	assert_int_equal(host.adds, 1);
	assert_int_equal(vv->xcr0, 1);
	assert_false(vv->blocked || event_queue_busy(&vv->events));
	assert_ptr_equal(vv->events.irq, &vm->pc->irq);
	assert_int_equal(vv->v.gpr[REG_RCX], 0);
	assert_int_equal(vv->fpu[100], 0);
	assert_true(fake_irqs_on);
	/* The guest's TSC begins at 0 each time. */
	assert_true(rdtsc() + vv->v.virt->reg[REG_TSC_OFFSET] < 1ul << 40);
}

/* They are saved late: when somebody else comes, and not over what the reset has put there. */
static void test_power_on_forgets_the_registers_that_the_cpu_still_has(void **state)
{
	(void)state;
	vm = vm_new("a", VM_RESTART_RESET);
	host.live = vm->vcpu;
	start(vm);
	assert_null(host.live);
	assert_int_equal(vm->vcpu->fpu[100], 0);
}

/* pc_reset forgets rings: one that comes behind that still has its request. */
static void test_a_ring_during_power_on_keeps_its_request(void **state)
{
	(void)state;
	vm = vm_new("a", VM_RESTART_RESET);
	atomic_store(&vm->vcpu->v.requests, REQ_STOP);
	host.ringer = &vm->vcpu->v;
	start(vm);
	assert_true(atomic_load(&vm->vcpu->v.requests) & REQ_IRQ);
	assert_false(atomic_load(&vm->vcpu->v.requests) & REQ_STOP);
}

static void test_a_start_that_fails_leaves_it_off(void **state)
{
	(void)state;
	vm = vm_new("a", VM_RESTART_RESET);
	host.boot_error = E_INVAL;
	assert_int_equal(vm_start(vm), E_INVAL);
	assert_int_equal(host.loads, 1);
	assert_int_equal(host.resets, 0);
	assert_true(fake_irqs_on);
	assert_true(atomic_load(&vm->vcpu->stopped));
	assert_int_equal(atomic_load(&vm->state), VM_CREATED);
	assert_int_equal(host.adds, 0);
	assert_int_equal(host.pc_stops, 1);
	assert_false(vm->vcpu->v.virt->loaded);
	assert_non_null(strstr(fake_log_line, "does not start"));
	host.boot_error = OK;
	start(vm);
	expect_on(vm);
}

static void stops_at_once(void)
{
	vm_stop(vm->vcpu, false, "at once");
	leave(vm);
}

/* It runs on another CPU, and has ended before this one looks. */
static void test_one_that_ends_at_once_was_started_all_the_same(void **state)
{
	(void)state;
	vm = vm_new("a", VM_RESTART_RESET);
	host.after_start = stops_at_once;
	start(vm);
	expect_off(vm);
}

static void test_a_cpu_that_is_not_there_is_replaced(void **state)
{
	(void)state;
	vm = vm_new("a", VM_RESTART_RESET);
	vm->config.cpu = 9;
	start(vm);
	assert_ptr_equal(vm->vcpu->cpu, &percpus[0]);
}

/* --- Stop --------------------------------------------------------------------------------- */

static void test_stop_says_why_after_what_was_printed(void **state)
{
	(void)state;
	vm = vm_new("a", VM_RESTART_ALWAYS);
	start(vm);
	vm_stop(vm->vcpu, false, "code %d", 3);
	assert_int_equal(host.flushes, 1);
	assert_string_equal(host.text, "VM a stopped: code 3\nall VMs have stopped\n");
	assert_int_equal(vm->vcpu->v.virt->dump_count, 0);
	leave(vm);
	expect_off(vm);
}

/* The console may show it: it is told, after the state has changed. */
static void test_the_console_is_woken_when_a_vm_ends(void **state)
{
	(void)state;
	vm = vm_new("a", VM_RESTART_NEVER);
	start(vm);
	vm_stop(vm->vcpu, false, "why");
	assert_int_equal(host.wakes, 1);
	assert_int_equal(host.state_at_wake, VM_STOPPED);
	leave(vm);
	start(vm);
	vm_off(vm);
	assert_int_equal(host.wakes, 2);
	assert_int_equal(host.state_at_wake, VM_STOPPED);
}

/* REP OUTS to the exit port, or to one that resets, is one exit with thousands of writes. */
static void test_many_stops_in_one_exit_are_one(void **state)
{
	struct vm *other;

	(void)state;
	vm = vm_new("a", VM_RESTART_RESET);
	other = vm_new("b", VM_RESTART_RESET);
	start(vm);
	start(other);
	for (unsigned i = 0; i < 1000; i++)
		vm_stop(vm->vcpu, false, "again");
	assert_string_equal(host.text, "VM a stopped: again\n");
	leave(vm);
	vm_stop(other->vcpu, false, "too");
	leave(other);
	assert_int_equal(said("all VMs have stopped"), 1);
}

static void test_many_resets_in_one_exit_are_one(void **state)
{
	(void)state;
	vm = vm_new("a", VM_RESTART_RESET);
	start(vm);
	for (unsigned i = 0; i < 1000; i++)
		vm_reset(vm, "reset");
	vm_stop(vm->vcpu, false, "too late");
	assert_string_equal(host.text, "VM a: reset\n");
	leave(vm);
	expect_on(vm);
	assert_int_equal(vm->restarts, 1);
}

static void test_all_have_stopped_is_said_once_at_the_last(void **state)
{
	struct vm *list[3];

	(void)state;
	for (unsigned i = 0; i < 3; i++)
		start(list[i] = vm_new("abc" + i, VM_RESTART_NEVER));
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(said("all VMs"), 0);
		vm_stop(list[i]->vcpu, false, "why");
		leave(list[i]);
	}
	assert_int_equal(said("all VMs"), 1);
}

static void test_it_is_not_said_while_others_are_started(void **state)
{
	(void)state;
	vm = vm_new("a", VM_RESTART_NEVER);
	host.after_start = stops_at_once;
	vm_hold();
	start(vm);
	assert_int_equal(said("all VMs"), 0);
	vm_unhold(true);
	assert_int_equal(said("all VMs"), 1);
	vm_hold();
	vm_unhold(false);
	assert_int_equal(said("all VMs"), 1);
}

static void test_off_from_outside_is_silent(void **state)
{
	(void)state;
	vm = vm_new("a", VM_RESTART_ALWAYS);
	vm_off(vm);
	assert_int_equal(atomic_load(&vm->state), VM_CREATED);
	start(vm);
	vm_off(vm);
	expect_off(vm);
	vm_off(vm);
	expect_off(vm);
	assert_string_equal(host.text, "");
	start(vm);
	atomic_store(&vm->state, VM_PAUSED);
	vm_off(vm);
	expect_off(vm);
}

/* --- Restart ------------------------------------------------------------------------------ */

static void test_what_each_policy_does(void **state)
{
	static const struct {
		enum vm_restart policy;
		bool after_reset, after_crash;
	} rows[] = {
		{VM_RESTART_NEVER, false, false},
		{VM_RESTART_RESET, true, false},
		{VM_RESTART_ALWAYS, true, true},
	};

	(void)state;
	for (size_t i = 0; i < array_count(rows); i++) {
		for (unsigned crash = 0; crash < 2; crash++) {
			life_teardown(NULL);
			life_setup(NULL);
			vm = vm_new("a", rows[i].policy);
			start(vm);
			fake_backend.vcpu_load(&vm->vcpu->v);
			if (crash)
				vm_stop(vm->vcpu, true, "it crashed");
			else
				vm_reset(vm, "reset");
			assert_int_equal(vm->vcpu->v.virt->dump_count, crash);
			fake_backend.vcpu_unload(&vm->vcpu->v);
			leave(vm);
			if (crash ? rows[i].after_crash : rows[i].after_reset) {
				expect_on(vm);
				assert_int_equal(said("VM a restarts\n"), 1);
				assert_int_equal(host.boots, 2);
				assert_int_equal(host.removes, 0);
			} else {
				expect_off(vm);
				assert_int_equal(host.boots, 1);
				assert_int_equal(said("all VMs have stopped"), 1);
			}
		}
	}
}

static void reset_once(void)
{
	vm_reset(vm, "reset");
	leave(vm);
}

static void test_it_restarts_five_times_and_then_stays_off(void **state)
{
	(void)state;
	vm = vm_new("a", VM_RESTART_RESET);
	start(vm);
	for (unsigned i = 0; i < 5; i++) {
		reset_once();
		expect_on(vm);
	}
	reset_once();
	expect_off(vm);
	assert_int_equal(said("restarts"), 5);
	assert_int_equal(said("all VMs have stopped"), 1);
	assert_int_equal(host.boots, 6);
}

static void test_slow_restarts_have_no_limit(void **state)
{
	(void)state;
	vm = vm_new("a", VM_RESTART_RESET);
	host.window = 0;
	start(vm);
	for (unsigned i = 0; i < 20; i++) {
		reset_once();
		expect_on(vm);
	}
}

static void test_a_restart_that_fails_is_an_end(void **state)
{
	(void)state;
	vm = vm_new("a", VM_RESTART_RESET);
	start(vm);
	host.boot_error = E_NOMEM;
	host.pc_stops = 0;
	reset_once();
	expect_off(vm);
	assert_int_equal(said("VM a stopped"), 1);
	assert_int_equal(said("all VMs have stopped"), 1);
	assert_true(host.pc_stops > 1); /* after the reset that set alarms */
	host.boot_error = OK;
	start(vm);
	expect_on(vm);
}

/* --- Time --------------------------------------------------------------------------------- */

static void test_time_goes_on_where_it_was_paused(void **state)
{
	uint64_t zero, offset, paused;

	(void)state;
	vm = vm_new("a", VM_RESTART_RESET);
	start(vm);
	zero = vm->zero_tsc;
	offset = vm->vcpu->v.virt->reg[REG_TSC_OFFSET];
	paused = vm->paused_tsc = rdtsc();
	for (volatile unsigned i = 0; i < 10000; i++)
		;
	vm_time_resume(vm);
	assert_int_equal(vm->paused_tsc, 0);
	assert_true(vm->zero_tsc - zero > 1000 && vm->zero_tsc - zero <= rdtsc() - paused);
	assert_int_equal(vm->zero_tsc - zero, offset - vm->vcpu->v.virt->reg[REG_TSC_OFFSET]);
	assert_false(vm->vcpu->v.virt->loaded);
}

/* --- Creation and end --------------------------------------------------------------------- */

static void test_numbers_are_used_again(void **state)
{
	struct vm *list[3];

	(void)state;
	for (unsigned i = 0; i < 3; i++)
		list[i] = vm_new("abc" + i, VM_RESTART_NEVER);
	vm_destroy(list[1]);
	assert_int_equal(vm_count, 3);
	assert_null(vms[1]);
	list[1] = vm_new("d", VM_RESTART_NEVER);
	assert_int_equal(list[1]->id, 1);
	vm_destroy(list[1]);
	vm_destroy(list[2]);
	assert_int_equal(vm_count, 1);
	assert_int_equal(memory.destroyed, 3);
	assert_int_equal(host.detached, 3);
}

static void test_too_many_pieces_are_said_to_be_that(void **state)
{
	struct vm_config c = {.name = "a", .mem = PAGE_SIZE * (GMEM_SLOT_MAX + 1), .cpus = 1};

	(void)state;
	memory.pieces = true;
	assert_int_equal(vm_create(&c, &(struct vm_image){0}, NULL), E_NOMEM);
	assert_non_null(
		strstr(fake_log_line,
		       "VM a cannot be made: memory is in too many pieces (260 KiB wanted"));
	assert_int_equal(memory.destroyed, 1);
	memory.none_left = true;
	assert_int_equal(vm_create(&c, &(struct vm_image){0}, NULL), E_NOMEM);
	assert_non_null(strstr(fake_log_line, "VM a cannot be made: no memory (260 KiB wanted"));
	memory.none_left = false;
	c.mem -= PAGE_SIZE;
	assert_int_equal(vm_create(&c, &(struct vm_image){0}, NULL), OK);
}

static void test_a_creation_that_fails_leaves_nothing(void **state)
{
	struct vm_config c = {.name = "a", .mem = 1 << 20, .cpus = 1};

	(void)state;
	memory.none_left = true;
	assert_int_equal(vm_create(&c, &(struct vm_image){0}, NULL), E_NOMEM);
	assert_int_equal(memory.destroyed, 0); /* nothing was begun */
	assert_int_equal(vm_count, 0);
	memory.none_left = false;
	for (fake_fail_after = 1; fake_fail_after < 10;) {
		unsigned before = fake_fail_after;

		if (!vm_create(&c, &(struct vm_image){0}, NULL))
			break;
		assert_int_equal(vm_count, 0);
		fake_fail_after = before + 1;
	}
	assert_in_range(memory.destroyed, 2, 8);
	assert_int_equal(vm_count, 1);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, life_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_power_on_begins_anew),
		T(test_power_on_forgets_the_registers_that_the_cpu_still_has),
		T(test_a_ring_during_power_on_keeps_its_request),
		T(test_a_start_that_fails_leaves_it_off),
		T(test_one_that_ends_at_once_was_started_all_the_same),
		T(test_a_cpu_that_is_not_there_is_replaced),
		T(test_stop_says_why_after_what_was_printed),
		T(test_the_console_is_woken_when_a_vm_ends),
		T(test_many_stops_in_one_exit_are_one),
		T(test_many_resets_in_one_exit_are_one),
		T(test_all_have_stopped_is_said_once_at_the_last),
		T(test_it_is_not_said_while_others_are_started),
		T(test_off_from_outside_is_silent),
		T(test_what_each_policy_does),
		T(test_it_restarts_five_times_and_then_stays_off),
		T(test_slow_restarts_have_no_limit),
		T(test_a_restart_that_fails_is_an_end),
		T(test_time_goes_on_where_it_was_paused),
		T(test_numbers_are_used_again),
		T(test_too_many_pieces_are_said_to_be_that),
		T(test_a_creation_that_fails_leaves_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
