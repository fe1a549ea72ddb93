/*
 * core/shared.c: who hears a doorbell, how it is counted, and what becomes of it when a VM is
 * paused, reset, off or gone.
 * needs: core/vm_parts.c
 * needs: core/vm.c core/shared.c core/hypercall_shared.c core/cpuid_policy.c core/msr_policy.c
 * needs: mm/arena.c mm/frames.c mm/frames_region.c mm/gmem.c lib/printf.c lib/text.c
 * needs: tests/fake/backend.c tests/fake/backend_nested.c tests/fake/panic.c tests/fake/spinlock.c
 * needs: tests/fake/host_cpu.c
 */
#include "shared_rig.h"

int hypercall_out(const struct vm *v, uint64_t to, const void *buf, uint64_t len)
{
	return gmem_write(&v->mem, gpa(to), buf, len);
}

static struct vm *a, *b, *c;

/* Three in `box`, of which c has no line. */
static int setup(void **state)
{
	int err = shared_setup(state);

	a = vm_with("a", "box", 0x2000, 5);
	b = vm_with("b", "box", 0x2000, 10);
	c = vm_with("c", "box", 0x2000, -1);
	for (unsigned i = 0; i < 3; i++)
		start(vms[i]);
	return err;
}

#define R(name) cmocka_unit_test_setup_teardown(name, setup, shared_teardown)

static uint32_t bells(struct vm *v)
{
	return atomic_exchange(&v->pc->bells, 0);
}

static int64_t ring(struct vm *v)
{
	return ask(hypercall_doorbell, v, 0, 0);
}

static int64_t rings(struct vm *v)
{
	return ask(hypercall_shared_rings, v, 0, 0);
}

static void test_all_others_hear_it(void **state)
{
	(void)state;
	assert_int_equal(ring(a), 2);
	assert_int_equal(bells(a), 0);
	assert_int_equal(bells(b), 1 << 10);
	assert_int_equal(bells(c), 0);
	assert_int_equal(rings(a), 0);
	assert_int_equal(rings(b), 1);
	assert_int_equal(rings(b), 0);
	assert_int_equal(ring(b), 2);
	assert_int_equal(ring(c), 2);
	assert_int_equal(ring(c), 2);
	assert_int_equal(bells(a), 1 << 5);
	assert_int_equal(rings(a), 3);
	assert_int_equal(rings(b), 2);
	assert_int_equal(rings(c), 2);
}

static void test_each_region_has_its_own(void **state)
{
	struct vm_config config = sharer("d");
	struct vm *d = NULL;

	(void)state;
	vm_off(c);
	vm_destroy(c);
	add_region(&config, "other", 0x1000, 3);
	add_region(&config, "box", 0x2000, 4);
	fake_backend_reset();
	assert_int_equal(try_vm(&config, &d), OK);
	start(d);
	assert_int_equal(ask(hypercall_doorbell, d, 0, 0), 0);
	assert_int_equal(ring(a), 2);
	assert_int_equal(bells(d), 1 << 4);
	assert_int_equal(ask(hypercall_shared_rings, d, 0, 0), 0);
	assert_int_equal(ask(hypercall_shared_rings, d, 1, 0), 1);
	(void)bells(a);
	(void)bells(b);
	assert_int_equal(ask(hypercall_doorbell, d, 1, 0), 2);
	assert_int_equal(bells(a), 1 << 5);
	assert_int_equal(bells(b), 1 << 10);
}

static void test_who_is_paused_hears_it_and_who_is_off_does_not(void **state)
{
	(void)state;
	atomic_store(&b->state, VM_PAUSED);
	vm_off(c);
	assert_int_equal(ring(a), 1);
	assert_int_equal(bells(b), 1 << 10);
	assert_int_equal(rings(b), 1);
	assert_int_equal(rings(c), 0);
	atomic_store(&b->state, VM_CREATED);
	assert_int_equal(ring(a), 0);
	assert_int_equal(bells(b), 0);
	assert_int_equal(rings(b), 0);
	atomic_store(&b->state, VM_RUNNING);
}

static void test_power_on_forgets_rings(void **state)
{
	(void)state;
	fake_cpu_catch();
	assert_int_equal(ring(a), 2);
	vm_off(b);
	start(b);
	assert_int_equal(rings(b), 0);
	assert_int_equal(rings(c), 1);
	/* A restart by itself, too. */
	assert_int_equal(ring(a), 2);
	b->config.restart = VM_RESTART_RESET;
	vm_reset(b, "test");
	vm_ended(b);
	assert_int_equal(rings(b), 0);
}

static void test_who_is_gone_is_not_rung(void **state)
{
	(void)state;
	vm_off(b);
	vm_destroy(b);
	assert_int_equal(ring(a), 1);
	assert_int_equal(describe(a, 0).peers, 1);
	vm_off(a);
	vm_destroy(a);
	assert_int_equal(ring(c), 0);
	assert_int_equal(describe(c, 0).peers, 0);
}

static void test_the_count_does_not_wrap(void **state)
{
	(void)state;
	atomic_store(&b->shared[0].rings, 0x7ffffffe);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(ring(a), 2);
	assert_int_equal(rings(b), 0x7fffffff);
	assert_int_equal(ring(a), 2);
	assert_int_equal(rings(b), 1);
}

/* One that sleeps where the caller runs has its turn as soon as this exit is done. */
static void test_the_callers_cpu_looks_around(void **state)
{
	(void)state;
	atomic_store(&percpus[0].work, 0);
	b->vcpu->cpu = &percpus[1];
	assert_int_equal(ring(a), 2); /* c is here, but wants no interrupt */
	assert_int_equal(atomic_load(&percpus[0].work), 0);
	b->vcpu->cpu = &percpus[0];
	assert_int_equal(ring(a), 2);
	assert_int_equal(atomic_load(&percpus[0].work), WORK_VCPU);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		R(test_all_others_hear_it),
		R(test_each_region_has_its_own),
		R(test_who_is_paused_hears_it_and_who_is_off_does_not),
		R(test_power_on_forgets_rings),
		R(test_who_is_gone_is_not_rung),
		R(test_the_count_does_not_wrap),
		R(test_the_callers_cpu_looks_around),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
