/*
 * core/shared.c: regions come with the first VM that names them and go with the last, in all orders
 * and after all errors; where they lie, who reaches them, and that the audit knows.
 * needs: core/vm_parts.c
 * needs: core/vm.c core/shared.c core/hypercall_shared.c core/vm_audit.c core/nested_audit.c
 * needs: core/cpuid_policy.c core/msr_policy.c mm/arena.c mm/frames.c mm/frames_region.c mm/gmem.c
 * needs: lib/printf.c lib/text.c tests/fake/backend.c tests/fake/backend_nested.c
 * needs: tests/fake/panic.c tests/fake/spinlock.c tests/fake/host_cpu.c
 */
#include "shared_rig.h"

#define BASE 0xd0000000ul

int hypercall_in(const struct vm *v, uint64_t from, void *buf, uint64_t len)
{
	return gmem_read(&v->mem, gpa(from), buf, len);
}

int hypercall_out(const struct vm *v, uint64_t to, const void *buf, uint64_t len)
{
	return gmem_write(&v->mem, gpa(to), buf, len);
}

static void test_peers_see_the_same_bytes(void **state)
{
	struct vm *a = vm_with("a", "box", 0x5000, 5), *b = vm_with("b", "box", 0x5000, -1);
	uint64_t in_a = 0, in_b = 0;

	(void)state;
	for (uint64_t i = 0; i < 0x5000; i++)
		assert_int_equal(*at(a, BASE + i), 0);
	for (uint64_t i = 0; i < 0x5000; i += PAGE_SIZE) {
		assert_ptr_equal(at(a, BASE + i), at(b, BASE + i));
		assert_int_equal(nested_flags(a, BASE + i, &in_a), NESTED_R | NESTED_W);
		assert_int_equal(nested_flags(b, BASE + i, &in_b), NESTED_R | NESTED_W);
		assert_int_equal(in_a, in_b);
		assert_ptr_equal(phys_to_virt(hpa(in_a)), at(a, BASE + i));
		assert_int_equal(frames_owner(hpa(in_a)), FRAME_SHARED);
	}
	for (unsigned i = 0; i < 2; i++) {
		struct vm *v = i ? b : a;

		assert_null(at(v, BASE - 1));
		assert_null(at(v, BASE + 0x5000));
		assert_int_equal(nested_flags(v, BASE - PAGE_SIZE, NULL), 0);
		assert_int_equal(nested_flags(v, BASE + 0x5000, NULL), 0);
	}
}

static void test_others_see_nothing(void **state)
{
	struct vm *a = vm_with("a", "box", 0x1000, 5), *other = vm_with("c", "box-2", 0x1000, 5),
		  *none = vm_with("d", NULL, 0, 0);

	(void)state;
	assert_non_null(at(a, BASE));
	assert_null(at(none, BASE));
	assert_int_equal(nested_flags(none, BASE, NULL), 0);
	assert_null(at(other, BASE));
	assert_null(at(a, other->shared[0].region->at));
	for (unsigned i = 0; i < 3; i++) {
		struct vm *v = i == 0 ? a : i == 1 ? other : none;
		const uint64_t count = v != none;

		assert_int_equal(ask(hypercall_shared_describe, v, count, 0x1000), E_NOENT);
		assert_int_equal(ask(hypercall_doorbell, v, count, 0), E_NOENT);
		assert_int_equal(ask(hypercall_shared_rings, v, count, 0), E_NOENT);
		assert_int_equal(ask(hypercall_shared_describe, v, ~0ul, 0x1000), E_NOENT);
		assert_int_equal(ask(hypercall_doorbell, v, 1ul << 32, 0), E_NOENT);
		assert_int_equal(ask(hypercall_shared_rings, v, 1ul << 63, 0), E_NOENT);
	}
}

static void test_description(void **state)
{
	struct vm_config c = sharer("b");
	struct hypercall_shared d;
	struct vm *a, *b = NULL;

	(void)state;
	a = vm_with("a", "box", 0x5000, 12);
	add_region(&c, "fifteen-letters", 64 * MIB, -1);
	add_region(&c, "box", 0x5000, -1);
	assert_int_equal(try_vm(&c, &b), OK);
	d = describe(b, 0);
	assert_string_equal(d.name, "fifteen-letters");
	assert_int_equal(d.address, BASE + 2 * MIB);
	assert_int_equal(d.size, 64 * MIB);
	assert_int_equal(d.peers, 0);
	assert_int_equal(d.irq, -1);
	d = describe(b, 1);
	assert_string_equal(d.name, "box");
	assert_int_equal(d.address, BASE);
	assert_int_equal(d.peers, 0);
	start(a);
	assert_int_equal(describe(b, 1).peers, 1);
	assert_int_equal(describe(b, 0).peers, 0);
	d = describe(a, 0);
	assert_int_equal(d.irq, 12);
	assert_int_equal(d.peers, 0); /* it does not count itself, and b is off */
	atomic_store(&a->state, VM_PAUSED);
	assert_int_equal(describe(b, 1).peers, 1);
	assert_int_equal(ask(hypercall_shared_describe, a, 0, 0x10000 - 39), E_FAULT);
	assert_int_equal(ask(hypercall_shared_describe, a, 0, BASE + 0x5000 - 39), E_FAULT);
	assert_int_equal(ask(hypercall_shared_describe, a, 0, BASE + 0x5000 - 40), 0);
}

static void test_all_must_agree_about_the_size(void **state)
{
	struct vm *a = vm_with("a", "box", 0x4000, 5), *made = NULL;
	struct vm_config c = sharer("b");

	(void)state;
	add_region(&c, "other", 0x1000, -1);
	add_region(&c, "box", 0x5000, -1);
	refused(&c, E_INVAL,
		"VM b: shared region 'box' has 16 KiB, not 20 KiB: all VMs must agree");
	vm_destroy(a);
	assert_int_equal(try_vm(&c, &made), OK); /* it was the last that said so */
	assert_int_equal(describe(made, 1).size, 0x5000);
}

/* 704 MiB of addresses; the lowest room that fits. */
static void test_regions_do_not_overlap(void **state)
{
	struct vm *v[4];

	(void)state;
	v[0] = vm_with("a", "one", 0x1000, -1);
	v[1] = vm_with("b", "two", 3 * MIB, -1);
	v[2] = vm_with("c", "three", 0x1000, -1);
	assert_int_equal(describe(v[0], 0).address, BASE);
	assert_int_equal(describe(v[1], 0).address, BASE + 2 * MIB);
	assert_int_equal(describe(v[2], 0).address, BASE + 6 * MIB);
	vm_destroy(v[1]);
	fake_backend_reset();				      /* it has four VMs */
	v[1] = vm_with("b", "four", 4 * MIB + PAGE_SIZE, -1); /* does not fit between */
	v[3] = vm_with("d", "five", 4 * MIB, -1);
	assert_int_equal(describe(v[1], 0).address, BASE + 8 * MIB);
	assert_int_equal(describe(v[3], 0).address, BASE + 2 * MIB);
}

/* A region that pretends to have all addresses but the last 2 MiB. */
static void test_addresses_come_to_an_end(void **state)
{
	struct vm *a = vm_with("a", "huge", PAGE_SIZE, -1);
	struct vm_config c = sharer("b");

	(void)state;
	a->shared[0].region->size = VM_SHARED_END - VM_SHARED_BASE - 2 * MIB;
	add_region(&c, "box", 2 * MIB + PAGE_SIZE, -1);
	refused(&c, E_NOMEM, "VM b: no room for shared region 'box' of 2052 KiB");
	assert_int_equal(describe(vm_with("c", "box", 2 * MIB, -1), 0).address, 0xfbe00000);
	c = sharer("d");
	add_region(&c, "page", PAGE_SIZE, -1);
	refused(&c, E_NOMEM, "VM d: no room for shared region 'page' of 4 KiB");
}

static void test_sixteen_regions_and_no_more(void **state)
{
	struct vm_config c;
	struct vm *v[4], *made;
	char name[16];

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		c = sharer("v");
		for (unsigned k = 0; k < 4; k++) {
			snprintf(name, sizeof(name), "r%u", 4 * i + k);
			add_region(&c, name, PAGE_SIZE, -1);
		}
		assert_int_equal(try_vm(&c, &v[i]), OK);
	}
	vm_destroy(v[3]);
	c = sharer("w");
	for (unsigned k = 0; k < 4; k++) {
		snprintf(name, sizeof(name), "r%u", k + 12);
		add_region(&c, name, PAGE_SIZE, -1);
	}
	fake_backend_reset();
	assert_int_equal(try_vm(&c, &v[3]), OK);
	c = sharer("x");
	add_region(&c, "r16", PAGE_SIZE, -1);
	fake_backend_reset();
	refused(&c, E_NOMEM, "VM x: no room for shared region 'r16': there are 16 already");
	c = sharer("y");
	add_region(&c, "r15", PAGE_SIZE, -1);
	fake_backend_reset();
	assert_int_equal(try_vm(&c, &made), OK);
}

/* There is for one of that size. */
static void test_no_memory_for_the_region(void **state)
{
	struct vm_config c = sharer("b");
	uint64_t before;

	(void)state;
	(void)vm_with("a", "box", 64 * MIB, -1);
	before = frames_count(FRAME_FREE);
	add_region(&c, "small", 0x4000, -1);
	add_region(&c, "box-2", 64 * MIB, -1);
	refused(&c, E_NOMEM, "VM b: no room for shared region 'box-2' of 65536 KiB");
	assert_int_equal(frames_count(FRAME_FREE), before);
}

/* Each place where a VM's creation can fail: its peer keeps the region, and all else is free. */
static void test_a_creation_that_fails_leaves_the_peers(void **state)
{
	struct vm *a = vm_with("a", "box", 0x4000, 5), *made;
	const uint64_t before = frames_count(FRAME_FREE);
	struct vm_config c = sharer("b");
	unsigned fails = 0;

	(void)state;
	add_region(&c, "new", 0x3000, -1);
	add_region(&c, "box", 0x4000, -1);
	*at(a, BASE) = 17;
	for (unsigned i = 1; i < 20; i++) {
		fake_backend_reset();
		fake_fail_after = i;
		made = NULL;
		if (!try_vm(&c, &made)) {
			vm_destroy(made);
			break;
		}
		fails++;
		assert_int_equal(frames_count(FRAME_FREE), before);
		assert_null(a->shared[0].next);
		assert_ptr_equal(a->shared[0].region->peers, &a->shared[0]);
	}
	fake_fail_after = 0;
	assert_in_range(fails, 4, 18);
	assert_int_equal(*at(a, BASE), 17);
	assert_int_equal(frames_count(FRAME_FREE), before);
}

/* The region stays until the last has gone, whichever that is; then its contents are lost. */
static void test_destruction_in_every_order(void **state)
{
	static const uint8_t orders[][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
					    {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};

	(void)state;
	for (size_t i = 0; i < array_count(orders); i++) {
		struct vm *v[3];

		for (unsigned k = 0; k < 3; k++)
			v[k] = vm_with("abc" + k, "box", 0x2000, 5);
		assert_int_equal(*at(v[0], BASE + 0x1234), 0);
		*at(v[0], BASE + 0x1234) = 0x77;
		for (unsigned k = 0; k < 3; k++) {
			struct vm *last = v[orders[i][2]];

			assert_int_equal(*at(last, BASE + 0x1234), 0x77);
			assert_true(frames_count(FRAME_SHARED) > 0);
			vm_destroy(v[orders[i][k]]);
		}
		assert_int_equal(frames_count(FRAME_SHARED), 0);
		assert_int_equal(frames_count(FRAME_FREE), free_at_start);
		fake_backend_reset();
	}
}

static void test_a_reset_leaves_the_contents(void **state)
{
	struct vm *a = vm_with("a", "box", 0x2000, 5);

	(void)state;
	start(a);
	*at(a, BASE + 5) = 42;
	vm_off(a);
	start(a);
	assert_int_equal(*at(a, BASE + 5), 42);
}

static void test_a_thousand_come_and_go(void **state)
{
	struct vm *a = vm_with("a", "box", 0x8000, 5);
	const uint64_t before = frames_count(FRAME_FREE), shared = frames_count(FRAME_SHARED);

	(void)state;
	for (unsigned i = 0; i < 1000; i++) {
		struct vm_config c = sharer("b");
		struct vm *b = NULL;

		add_region(&c, "box", 0x8000, 9);
		add_region(&c, "own", 0x3000, 9);
		assert_int_equal(try_vm(&c, &b), OK);
		assert_true(frames_count(FRAME_SHARED) > shared);
		vm_destroy(b);
		assert_int_equal(frames_count(FRAME_FREE), before);
		assert_int_equal(frames_count(FRAME_SHARED), shared);
		fake_backend_reset();
		while (host.block_count > 1)
			free(host.block[--host.block_count]);
	}
	assert_ptr_equal(a->shared[0].region->peers, &a->shared[0]);
}

/* --- The audit ---------------------------------------------------------------------------- */

/* Maps a page into the VM's nested page table behind everybody's back. */
static bool audit_with(struct vm *v, uint64_t gpa_at, hpa_t frame, unsigned flags)
{
	bool good;

	host.text[0] = '\0';
	assert_int_equal(machine.backend->nested_map(v->virt, gpa(gpa_at), frame, PAGE_SIZE, flags),
			 OK);
	good = vm_audit();
	/* Out of the way for the next one: a page without rights would still be one. */
	v->virt->extent_count--;
	return good;
}

static void test_the_audit_accepts_what_is_shared_and_no_more(void **state)
{
	const unsigned rw = NESTED_R | NESTED_W;
	struct vm *a = vm_with("a", "box", 0x4000, 5), *b = vm_with("b", "box", 0x4000, 5),
		  *c = vm_with("c", "other", 0x4000, 5);
	const hpa_t box = virt_to_phys(at(a, BASE)),
		    other = virt_to_phys(at(c, c->shared[0].region->at)),
		    region = virt_to_phys(a->shared[0].region);

	(void)state;
	assert_true(vm_audit());
	assert_int_equal(said("3 VMs map "), 1);
	/* Above all that is mapped, so that it is the last extent. */
	assert_false(audit_with(a, 0xf0000000, other, rw));
	assert_int_equal(said("VM a maps "), 1);
	assert_int_equal(said("neither the VM's memory nor allowed to it"), 1);
	assert_false(audit_with(c, 0xf0000000, box, NESTED_R));
	assert_int_equal(said("VM c maps "), 1);
	/* Its own region, but not there; the region's own frames. */
	assert_false(audit_with(b, 0xf0000000, box, rw));
	assert_false(audit_with(a, 0xf0000000, hpa(align_down(region.v, PAGE_SIZE)), rw));
	/* Another VM's RAM, and its objects. */
	assert_false(audit_with(a, 0xf0000000, virt_to_phys(at(b, 0)), rw));
	assert_int_equal(said("the frame belongs to another VM"), 1);
	assert_true(vm_audit());
}

static void test_the_audit_finds_shared_code_and_wrong_order(void **state)
{
	struct vm *a = vm_with("a", "box", 0x4000, 5);
	struct fake_extent *e = &a->virt->extent[a->virt->extent_count - 1];

	(void)state;
	assert_int_equal(e->gpa, BASE);
	e->flags |= NESTED_X;
	assert_false(vm_audit());
	e->flags &= ~(unsigned)NESTED_X;
	assert_true(vm_audit());
	e->hpa += PAGE_SIZE; /* the second page where the first should be */
	e->len -= PAGE_SIZE;
	assert_false(vm_audit());
	e->hpa -= PAGE_SIZE;
	assert_true(vm_audit());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		S(test_peers_see_the_same_bytes),
		S(test_others_see_nothing),
		S(test_description),
		S(test_all_must_agree_about_the_size),
		S(test_regions_do_not_overlap),
		S(test_addresses_come_to_an_end),
		S(test_sixteen_regions_and_no_more),
		S(test_no_memory_for_the_region),
		S(test_a_creation_that_fails_leaves_the_peers),
		S(test_destruction_in_every_order),
		S(test_a_reset_leaves_the_contents),
		S(test_a_thousand_come_and_go),
		S(test_the_audit_accepts_what_is_shared_and_no_more),
		S(test_the_audit_finds_shared_code_and_wrong_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
