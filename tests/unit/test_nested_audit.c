/*
 * The isolation audit: invented tables with every offence, and real EPT tables of two VMs.
 * needs: core/nested_audit.c vmx/ept.c mm/arena.c mm/hostmap.c mm/frames.c mm/frames_region.c
 * needs: tests/fake/panic.c tests/fake/spinlock.c
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <crvm/arena.h>
#include <crvm/hostmap.h>
#include <crvm/mtrr.h>
#include <crvm/nested_audit.h>
#include <crvm/status.h>
#include "../../vmx/ept.h"
#include "ram.h"
#include "spinlock.h"

#define MIB	 (1ul << 20)
#define GIB	 (1ul << 30)
#define PAGES(n) ((n)*PAGE_SIZE)
#define OWNER(n) ((frame_owner_t)(FRAME_VM0 + (n)))

#define IMAGE_AT  (16 * MIB)
#define MODULE_AT (20 * MIB)
#define DEVICE_AT (60 * GIB)

/* An invented nested table: just what its walk says. */
struct page {
	uint64_t gpa, hpa, len;
	unsigned flags;
};
struct virt_vm {
	struct page page[8];
	unsigned count;
};

static unsigned walk_count;

static void list_walk(const struct virt_vm *vm,
		      bool (*fn)(void *ctx, gpa_t gpa, hpa_t hpa, uint64_t len, unsigned flags),
		      void *ctx)
{
	walk_count++;
	for (unsigned i = 0; i < vm->count; i++) {
		const struct page *p = &vm->page[i];

		if (!fn(ctx, gpa(p->gpa), hpa(p->hpa), p->len, p->flags))
			return;
	}
}

static const struct virt_backend list_backend = {.name = "list", .nested_walk = list_walk};

static void ept_backend_walk(const struct virt_vm *vm,
			     bool (*fn)(void *ctx, gpa_t gpa, hpa_t hpa, uint64_t len,
					unsigned flags),
			     void *ctx)
{
	ept_walk((const struct ept *)(const void *)vm, fn, ctx);
}

static const struct virt_backend ept_backend = {.name = "EPT", .nested_walk = ept_backend_walk};

/* 2 MiB of RAM each for VMs 0 and 1. */
static hpa_t ram0, ram1;
static struct virt_vm vm0, vm1;
static struct nested_audit_vm vms[2];
static struct nested_offence found;
static uint64_t pages;

/* What a VM may see beside its own, in this test. */
static struct page allowed[4];
static unsigned allowed_count, allowed_calls;

static bool may_have(void *ctx, gpa_t gpa, hpa_t hpa, uint64_t len, unsigned flags)
{
	assert_ptr_equal(ctx, &vms);
	allowed_calls++;
	for (unsigned i = 0; i < allowed_count; i++) {
		const struct page *p = &allowed[i];

		if (gpa.v >= p->gpa && hpa.v - p->hpa == gpa.v - p->gpa &&
		    gpa.v - p->gpa + len <= p->len && (flags & ~p->flags) == 0)
			return true;
	}
	return false;
}

static void allow(uint64_t gpa, uint64_t hpa, uint64_t len, unsigned flags)
{
	allowed[allowed_count++] = (struct page){gpa, hpa, len, flags};
	vms[0].allowed = may_have;
}

static int setup(void **state)
{
	(void)state;
	fake_ram_reset();
	frames_init();
	assert_int_equal(frames_reserve(IMAGE_AT, MIB, FRAME_IMAGE), OK);
	assert_int_equal(frames_reserve(MODULE_AT, MIB, FRAME_MODULE), OK);
	assert_int_equal(frames_add(2 * MIB, 30 * MIB), OK);
	assert_int_equal(frames_alloc(9, OWNER(0), &ram0), OK);
	assert_int_equal(frames_alloc(9, OWNER(1), &ram1), OK);
	vm0 = (struct virt_vm){{{0, ram0.v, 2 * MIB, 7}}, 1};
	vm1 = (struct virt_vm){{{0, ram1.v, 2 * MIB, 7}}, 1};
	vms[0] = (struct nested_audit_vm){.vm = &vm0, .owner = OWNER(0), .ctx = &vms};
	vms[1] = (struct nested_audit_vm){.vm = &vm1, .owner = OWNER(1), .ctx = &vms};
	allowed_count = 0;
	allowed_calls = 0;
	walk_count = 0;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	frames_audit();
	assert_int_equal(fake_spin_held(), 0);
	return 0;
}

static void add(struct virt_vm *vm, uint64_t gpa, uint64_t hpa, uint64_t len, unsigned flags)
{
	vm->page[vm->count++] = (struct page){gpa, hpa, len, flags};
}

static int audit(void)
{
	memset(&found, 0xa5, sizeof(found));
	return nested_audit(&list_backend, vms, 2, &found, &pages);
}

static void expect_good(uint64_t count)
{
	assert_int_equal(audit(), OK);
	assert_int_equal(found.kind, NESTED_NONE);
	assert_int_equal(pages, count);
}

static void expect_offence(enum nested_offence_kind kind, unsigned vm, uint64_t at, uint64_t addr,
			   frame_owner_t owner)
{
	assert_int_equal(audit(), E_PERM);
	if (found.kind != kind)
		fail_msg("expected \"%s\", found \"%s\"", nested_offence_text(kind),
			 nested_offence_text(found.kind));
	assert_int_equal(found.vm, vm);
	assert_int_equal(found.gpa.v, at);
	assert_int_equal(found.hpa.v, addr);
	assert_int_equal(found.owner, owner);
}

static void test_vms_with_their_own_memory_are_good(void **state)
{
	(void)state;
	expect_good(1024);
	assert_int_equal(walk_count, 2);
	assert_int_equal(nested_audit(&list_backend, vms, 2, &found, NULL), OK);
	assert_int_equal(nested_audit(&list_backend, vms, 0, &found, &pages), OK);
	assert_int_equal(pages, 0);
	vm0.count = 0;
	expect_good(512);
}

static void test_a_page_of_another_vm(void **state)
{
	(void)state;
	add(&vm1, 4 * MIB, ram0.v + PAGES(3), PAGE_SIZE, 1);
	expect_offence(NESTED_OTHER_VM, 1, 4 * MIB, ram0.v + PAGES(3), OWNER(0));
	assert_int_equal(found.flags, 1);
}

static void test_a_page_of_another_vm_cannot_be_allowed(void **state)
{
	(void)state;
	allow(4 * MIB, ram1.v, 2 * MIB, 7);
	add(&vm0, 4 * MIB, ram1.v, PAGE_SIZE, 1);
	expect_offence(NESTED_OTHER_VM, 0, 4 * MIB, ram1.v, OWNER(1));
	assert_int_equal(allowed_calls, 0);
}

/* A VM that is not audited, or is gone already. */
static void test_a_page_of_an_unknown_vm(void **state)
{
	hpa_t frame;

	(void)state;
	assert_int_equal(frames_alloc(0, OWNER(1000), &frame), OK);
	add(&vm0, 4 * MIB, frame.v, PAGE_SIZE, 7);
	expect_offence(NESTED_OTHER_VM, 0, 4 * MIB, frame.v, OWNER(1000));
}

/* The first bad page inside a large one is named, not its start. */
static void test_a_large_page_is_checked_frame_by_frame(void **state)
{
	hpa_t first, second;

	(void)state;
	assert_int_equal(frames_alloc(3, OWNER(0), &first), OK);
	second = hpa(first.v + PAGES(8));
	assert_int_equal(frames_owner(second), FRAME_FREE);
	add(&vm0, 4 * MIB, first.v, PAGES(16), 7);
	expect_offence(NESTED_FREE, 0, 4 * MIB + PAGES(8), second.v, FRAME_FREE);
	assert_int_equal(pages, 512 + 8);
}

static void test_frames_that_nobody_may_have(void **state)
{
	static const struct {
		uint64_t hpa;
		enum nested_offence_kind kind;
		frame_owner_t owner;
	} c[] = {
		{IMAGE_AT, NESTED_HYPERVISOR, FRAME_IMAGE},
		{IMAGE_AT + MIB - PAGE_SIZE, NESTED_HYPERVISOR, FRAME_IMAGE},
		{2 * MIB, NESTED_HYPERVISOR, FRAME_TABLE},
		{31 * MIB, NESTED_FREE, FRAME_FREE},
	};

	(void)state;
	allow(0, 0, 1ul << 51, 7);
	for (unsigned i = 0; i < array_count(c); i++) {
		assert_int_equal(frames_owner(hpa(c[i].hpa)), c[i].owner);
		vm0.count = 1;
		vm0.page[0].gpa = 0;
		add(&vm0, 2 * MIB, c[i].hpa, PAGE_SIZE, 1);
		allowed[0].gpa = 2 * MIB;
		allowed[0].hpa = c[i].hpa;
		expect_offence(c[i].kind, 0, 2 * MIB, c[i].hpa, c[i].owner);
	}
	assert_int_equal(allowed_calls, 0);
}

static void test_devices_only_where_allowed(void **state)
{
	(void)state;
	add(&vm0, 4 * MIB, DEVICE_AT, PAGES(4), 3);
	expect_offence(NESTED_UNEXPECTED, 0, 4 * MIB, DEVICE_AT, FRAME_NONE);
	allow(4 * MIB, DEVICE_AT, PAGES(3), 3);
	expect_offence(NESTED_UNEXPECTED, 0, 4 * MIB + PAGES(3), DEVICE_AT + PAGES(3), FRAME_NONE);
	/* A second device beside it: the page is good in two parts. */
	allow(4 * MIB + PAGES(3), DEVICE_AT + PAGES(3), PAGES(1), 3);
	expect_good(1024 + 4);
	/* But not executable, nor for the other VM. */
	vm0.page[1].flags = 7;
	expect_offence(NESTED_UNEXPECTED, 0, 4 * MIB, DEVICE_AT, FRAME_NONE);
	vm0.count = 1;
	add(&vm1, 4 * MIB, DEVICE_AT, PAGES(1), 1);
	expect_offence(NESTED_UNEXPECTED, 1, 4 * MIB, DEVICE_AT, FRAME_NONE);
}

static void test_hypervisor_frames_only_where_allowed(void **state)
{
	hpa_t frame;

	(void)state;
	assert_int_equal(frames_alloc(0, FRAME_HV, &frame), OK);
	add(&vm0, 4 * MIB, frame.v, PAGES(1), 1);
	expect_offence(NESTED_UNEXPECTED, 0, 4 * MIB, frame.v, FRAME_HV);
	allow(4 * MIB, frame.v, PAGES(1), 1);
	expect_good(1025);
}

static void test_modules_are_shared_read_only(void **state)
{
	(void)state;
	allow(4 * MIB, MODULE_AT, PAGES(2), 7);
	add(&vm0, 4 * MIB, MODULE_AT, PAGES(2), NESTED_R);
	expect_good(1024 + 2);
	vm0.page[1].flags = NESTED_R | NESTED_W;
	expect_offence(NESTED_WRITABLE, 0, 4 * MIB, MODULE_AT, FRAME_MODULE);
	vm0.page[1].flags = NESTED_R;
	vms[0].allowed = NULL;
	expect_offence(NESTED_UNEXPECTED, 0, 4 * MIB, MODULE_AT, FRAME_MODULE);
}

static void test_walks_that_break_their_promises(void **state)
{
	static const struct page bad[] = {
		{4 * MIB + 1, 0, PAGE_SIZE, 7},
		{4 * MIB, 8, PAGE_SIZE, 7},
		{4 * MIB, 0, 100, 7},
		{4 * MIB, 0, 0, 7},
		{PAGES(511), 0, PAGE_SIZE, 7}, /* inside the page before */
		{0, 0, PAGE_SIZE, 7},
		{4 * MIB, 0, -PAGE_SIZE, 7},
		{4 * MIB, -PAGE_SIZE, 2 * PAGE_SIZE, 7},
		{-PAGE_SIZE, 0, 2 * PAGE_SIZE, 7},
		{4 * MIB, 1ul << 52, PAGE_SIZE, 7},
		{4 * MIB, 0, PAGE_SIZE, 8},
	};

	(void)state;
	for (unsigned i = 0; i < array_count(bad); i++) {
		struct page p = bad[i];

		if (p.hpa == 0)
			p.hpa = ram0.v;
		vm0.count = 1;
		add(&vm0, p.gpa, p.hpa, p.len, p.flags);
		assert_int_equal(audit(), E_PERM);
		assert_int_equal(found.kind, NESTED_BROKEN);
		assert_int_equal(found.gpa.v, p.gpa);
	}
}

static void test_owners_must_tell_vms_apart(void **state)
{
	(void)state;
	vms[1].owner = OWNER(0);
	assert_int_equal(audit(), E_INVAL);
	vms[1].owner = FRAME_HV;
	assert_int_equal(audit(), E_INVAL);
	vms[1].owner = FRAME_OWNER_MAX;
	assert_int_equal(audit(), E_INVAL);
	assert_int_equal(walk_count, 0);
}

static void test_every_offence_has_words(void **state)
{
	(void)state;
	for (int kind = NESTED_NONE; kind <= NESTED_UNEXPECTED; kind++)
		assert_true(strlen(nested_offence_text((enum nested_offence_kind)kind)) > 3);
	assert_string_equal(nested_offence_text((enum nested_offence_kind)99), "?");
}

/* With tables as VMX uses them. */

static uint8_t all_wb(const void *ctx, uint64_t base, uint64_t len)
{
	(void)ctx, (void)base, (void)len;
	return MEMORY_WB;
}

struct real_vm {
	struct arena arena;
	struct ept ept;
	hpa_t ram;
};

static void real_vm_make(struct real_vm *v, unsigned n)
{
	const struct ept_caps caps = {.page_2m = true, .phys_bits = 39};
	const struct ept_memtype memtype = {.of = all_wb};

	arena_init(&v->arena, OWNER(n));
	assert_int_equal(ept_init(&v->ept, &v->arena, &caps, &memtype), OK);
	assert_int_equal(arena_frames(&v->arena, 9, &v->ram), OK);
	assert_int_equal(ept_map(&v->ept, gpa(0), v->ram, 2 * MIB, 7), OK);
}

static bool is_ram(void *ctx, gpa_t gpa, hpa_t hpa, uint64_t len, unsigned flags)
{
	const struct real_vm *v = ctx;

	(void)flags;
	return gpa.v < 2 * MIB && len <= 2 * MIB - gpa.v && hpa.v == v->ram.v + gpa.v;
}

static void test_real_tables(void **state)
{
	struct nested_audit_vm real[2];
	struct real_vm v[2];

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		real_vm_make(&v[i], 2 + i);
		real[i] = (struct nested_audit_vm){
			.vm = (const struct virt_vm *)(const void *)&v[i].ept,
			.owner = OWNER(2 + i),
			.ram = is_ram,
			.ctx = &v[i],
		};
	}
	assert_int_equal(ept_protect(&v[0].ept, gpa(PAGES(7)), PAGES(9), 1), OK);
	assert_int_equal(nested_audit(&ept_backend, real, 2, &found, &pages), OK);
	assert_int_equal(pages, 1024);

	/* A VM that could write its own page tables: the frame's owner alone would not tell. */
	assert_int_equal(ept_map(&v[1].ept, gpa(GIB), v[1].ept.root, PAGES(1), 3), OK);
	assert_int_equal(nested_audit(&ept_backend, real, 2, &found, &pages), E_PERM);
	assert_int_equal(found.kind, NESTED_NOT_RAM);
	assert_int_equal(found.vm, 1);
	assert_int_equal(found.hpa.v, v[1].ept.root.v);
	real[1].ram = NULL;
	assert_int_equal(nested_audit(&ept_backend, real, 2, &found, &pages), OK);

	/* After its end VM 3's frames are free, and whoever still maps one is found. */
	assert_int_equal(ept_map(&v[0].ept, gpa(GIB), hpa(v[1].ram.v + PAGES(5)), PAGES(1), 1), OK);
	assert_int_equal(nested_audit(&ept_backend, real, 2, &found, &pages), E_PERM);
	assert_int_equal(found.kind, NESTED_OTHER_VM);
	assert_int_equal(found.vm, 0);
	arena_destroy(&v[1].arena);
	assert_int_equal(nested_audit(&ept_backend, real, 1, &found, &pages), E_PERM);
	assert_int_equal(found.kind, NESTED_FREE);
	assert_int_equal(found.gpa.v, GIB);
	arena_destroy(&v[0].arena);
}

#define t(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		t(test_vms_with_their_own_memory_are_good),
		t(test_a_page_of_another_vm),
		t(test_a_page_of_another_vm_cannot_be_allowed),
		t(test_a_page_of_an_unknown_vm),
		t(test_a_large_page_is_checked_frame_by_frame),
		t(test_frames_that_nobody_may_have),
		t(test_devices_only_where_allowed),
		t(test_hypervisor_frames_only_where_allowed),
		t(test_modules_are_shared_read_only),
		t(test_walks_that_break_their_promises),
		t(test_owners_must_tell_vms_apart),
		t(test_every_offence_has_words),
		t(test_real_tables),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
