/*
 * The frame allocator: allocation, owners, the audit.
 * needs: mm/frames.c mm/frames_region.c mm/hostmap.c tests/fake/panic.c tests/fake/spinlock.c
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <crvm/frames.h>
#include <crvm/status.h>
#include "panic.h"
#include "ram.h"
#include "spinlock.h"

#define MIB	 (1ul << 20)
#define GIB	 (1ul << 30)
#define PAGES(n) ((n)*PAGE_SIZE)
#define OWNER	 ((frame_owner_t)FRAME_VM0)

static int setup(void **state)
{
	(void)state;
	fake_ram_reset();
	frames_init();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	frames_audit();
	assert_int_equal(fake_spin_held(), 0);
	return 0;
}

static void expect_free_panic(uint64_t base, unsigned order)
{
	expect_panic(frames_free(hpa(base), order), "check failed");
	fake_spin_reset();
	frames_audit();
}

/* Takes every frame that is left, and returns how many those were. */
static uint64_t drain(frame_owner_t owner)
{
	uint64_t count = 0;
	hpa_t base;

	while (frames_alloc(0, owner, &base) == OK)
		count++;
	return count;
}

static void test_a_region_at_high_addresses(void **state)
{
	hpa_t base;

	(void)state;
	assert_int_equal(frames_add(63 * GIB, GIB), OK);
	assert_int_equal(frames_add(PAGE_SIZE, 2 * MIB), OK);
	assert_int_equal(frames_alloc(17, OWNER, &base), OK);
	assert_int_equal(base.v, 63 * GIB + 512 * MIB);
	assert_int_equal(frames_owner(hpa(64 * GIB - 1)), OWNER);
	frames_free(base, 17);
}

static void test_blocks_of_each_order_are_aligned_and_owned(void **state)
{
	hpa_t base[FRAME_ORDER_MAX + 1];
	uint64_t free_count;

	(void)state;
	/* Starts at an odd place: alignment is by physical address, not by place in the region. */
	assert_int_equal(frames_add(GIB - PAGES(5), 3 * GIB + PAGES(17)), OK);
	free_count = frames_count(FRAME_FREE);
	for (unsigned order = FRAME_ORDER_MAX + 1; order-- > 0;) {
		uint64_t len = PAGE_SIZE << order;

		assert_int_equal(frames_alloc(order, (frame_owner_t)(OWNER + order), &base[order]),
				 OK);
		assert_int_equal(base[order].v % len, 0);
		assert_int_equal(frames_count((frame_owner_t)(OWNER + order)), 1ul << order);
		frames_audit();
	}
	for (unsigned order = 0; order <= FRAME_ORDER_MAX; order++)
		for (uint64_t o = 0; o < PAGE_SIZE << order; o += PAGE_SIZE)
			if (frames_owner(hpa(base[order].v + o)) != OWNER + order)
				fail_msg("order %u, offset %lx", order, o);
	assert_int_equal(frames_count(FRAME_FREE), free_count - (2ul << FRAME_ORDER_MAX) + 1);
	for (unsigned order = 0; order <= FRAME_ORDER_MAX; order++)
		frames_free(base[order], order);
	assert_int_equal(frames_count(FRAME_FREE), free_count);
	assert_int_equal(frames_owner(base[3]), FRAME_FREE);
}

static void test_orders_too_large_are_refused(void **state)
{
	hpa_t base;

	(void)state;
	assert_int_equal(frames_add(GIB, 4 * GIB), OK);
	assert_int_equal(frames_alloc(FRAME_ORDER_MAX + 1, OWNER, &base), E_NOMEM);
	assert_int_equal(frames_alloc(64, OWNER, &base), E_NOMEM);
	assert_int_equal(frames_alloc(~0u, OWNER, &base), E_NOMEM);
	assert_int_equal(frames_alloc(FRAME_ORDER_MAX, OWNER, &base), OK);
}

static void test_owners_out_of_range_panic(void **state)
{
	hpa_t base;

	(void)state;
	assert_int_equal(frames_add(MIB, MIB), OK);
	expect_panic((void)!frames_alloc(0, FRAME_FREE, &base), "owner");
	expect_panic((void)!frames_alloc(0, FRAME_OWNER_MAX, &base), "owner");
	expect_panic((void)frames_count(FRAME_OWNER_MAX), "owner");
	expect_panic(frames_release(MIB, MIB, FRAME_TABLE), "owner");
	expect_panic(frames_release(MIB, MIB, FRAME_FREE), "owner");
	expect_panic(frames_release(MIB, UINT64_MAX, FRAME_MODULE), "base");
	assert_int_equal(fake_spin_held(), 0);
	assert_int_equal(frames_alloc(0, FRAME_OWNER_MAX - 1, &base), OK);
	assert_int_equal(frames_owner(base), FRAME_OWNER_MAX - 1);
}

static void test_small_requests_leave_large_blocks_alone(void **state)
{
	hpa_t big, base, first;

	(void)state;
	/* A block of 2^18, one of 2^10, and the table with some small ones before it. */
	assert_int_equal(frames_add(GIB - 4 * MIB, 4 * MIB), OK);
	assert_int_equal(frames_add(2 * GIB - 8 * MIB, GIB + 8 * MIB), OK);
	for (unsigned i = 0; i < 1023; i++) {
		assert_int_equal(frames_alloc(0, OWNER, &base), OK);
		if (i == 0)
			first = base;
	}
	assert_int_equal(frames_alloc(FRAME_ORDER_MAX, OWNER, &big), OK);
	assert_int_equal(big.v, 2 * GIB);
	frames_free(big, FRAME_ORDER_MAX);
	/* A hole of one frame is what the next single frame fills. */
	frames_free(first, 0);
	assert_int_equal(frames_alloc(0, OWNER, &base), OK);
	assert_int_equal(base.v, first.v);
}

static void test_freed_buddies_merge_back(void **state)
{
	hpa_t base[1024], big;

	(void)state;
	assert_int_equal(frames_add(4 * MIB - PAGES(5), 4 * MIB + PAGES(5)), OK);
	for (unsigned round = 0; round < 2; round++) {
		assert_int_equal(frames_alloc(10, OWNER, &big), OK);
		assert_int_equal(big.v, 4 * MIB);
		frames_free(big, 10);
		for (unsigned i = 0; i < 1024; i++)
			assert_int_equal(frames_alloc(0, OWNER, &base[i]), OK);
		assert_int_equal(frames_alloc(10, OWNER, &big), E_NOMEM);
		for (unsigned i = 0; i < 1024; i++)
			frames_free(base[(i * 389) % 1024], 0);
		frames_audit();
	}
}

static void test_blocks_never_span_regions(void **state)
{
	hpa_t base;

	(void)state;
	/* Two regions that touch in the middle of an aligned 2 MiB. */
	assert_int_equal(frames_add(2 * MIB, MIB), OK);
	assert_int_equal(frames_add(3 * MIB, MIB), OK);
	assert_int_equal(frames_alloc(8, OWNER, &base), E_NOMEM);
	assert_int_equal(frames_alloc(7, OWNER, &base), OK);
	frames_free(base, 7);
	frames_audit();
}

static void test_alloc_below_a_limit(void **state)
{
	hpa_t base;

	(void)state;
	assert_int_equal(frames_add(MIB, MIB), OK);
	assert_int_equal(frames_add(8 * GIB, 16 * MIB), OK);
	assert_int_equal(frames_alloc_below(0, OWNER, 0, &base), E_NOMEM);
	assert_int_equal(frames_alloc_below(0, OWNER, MIB + PAGES(2) - 1, &base), E_NOMEM);
	assert_int_equal(frames_alloc_below(0, OWNER, MIB + PAGES(2), &base), OK);
	assert_int_equal(base.v, MIB + PAGES(1));
	assert_int_equal(frames_alloc_below(8, OWNER, 4 * GIB, &base), E_NOMEM);
	assert_int_equal(frames_alloc_below(7, OWNER, 4 * GIB, &base), OK);
	assert_int_equal(base.v, MIB + MIB / 2);
	/* The lower part of a larger block will do, though its end is above the limit. */
	assert_int_equal(frames_alloc_below(3, OWNER, 8 * GIB + 8 * MIB + PAGES(8), &base), OK);
	for (unsigned i = 0; frames_alloc_below(0, OWNER, 4 * GIB, &base) == OK; i++) {
		assert_true(i < 256);
		assert_true(base.v < 2 * MIB);
	}
	assert_int_equal(frames_alloc_below(0, OWNER, UINT64_MAX, &base), OK);
	assert_true(base.v >= 8 * GIB);
}

static void test_free_of_anything_but_an_allocated_block_panics(void **state)
{
	hpa_t base;

	(void)state;
	assert_int_equal(frames_reserve(4 * MIB, PAGE_SIZE, FRAME_MODULE), OK);
	assert_int_equal(frames_add(2 * MIB, 4 * MIB), OK);
	assert_int_equal(frames_alloc(3, OWNER, &base), OK);
	expect_free_panic(base.v, 2);
	expect_free_panic(base.v, 4);
	expect_free_panic(base.v, FRAME_ORDER_MAX + 1);
	expect_free_panic(base.v, ~0u);
	expect_free_panic(base.v + 1, 3);
	expect_free_panic(base.v + PAGES(1), 0);
	expect_free_panic(base.v + PAGES(4), 2);
	expect_free_panic(base.v ^ PAGES(8), 3); /* free */
	expect_free_panic(4 * MIB, 0);		 /* reserved */
	expect_free_panic(2 * MIB, 0);		 /* the table */
	expect_free_panic(16 * MIB, 0);		 /* not RAM */
	expect_free_panic(6 * MIB, 0);		 /* just past the region */
	expect_free_panic(UINT64_MAX - 4095, 0);
	frames_free(base, 3);
	expect_free_panic(base.v, 3); /* twice */
	expect_free_panic(base.v, 0);
}

static void test_memory_of_free_and_given_frames_is_not_touched(void **state)
{
	uint8_t *ram;
	hpa_t base;

	(void)state;
	assert_int_equal(frames_reserve(2 * MIB, MIB, FRAME_MODULE), OK);
	ram = phys_to_virt(hpa(2 * MIB));
	memset(ram, 0x5a, 4 * MIB);
	assert_int_equal(frames_add(2 * MIB, 4 * MIB), OK);
	for (uint64_t i = 0; i < 4 * MIB; i++)
		if (frames_owner(hpa(2 * MIB + (i & ~4095ul))) != FRAME_TABLE && ram[i] != 0x5a)
			fail_msg("byte %lx was changed", i);
	assert_int_equal(frames_alloc(5, OWNER, &base), OK);
	frames_free(base, 5);
	for (unsigned i = 0; i < PAGES(32); i++)
		assert_int_equal(((uint8_t *)phys_to_virt(base))[i], 0x5a);
}

/* Buddies that would lie outside the region have no entry, whatever is beside the table. */
static void test_what_looks_like_an_entry_beside_the_table(void **state)
{
	hpa_t base[2];
	uint8_t *table;

	(void)state;
	/* Free are the frames 2, 3 and 4, 5: their buddies are 0 and 6. */
	assert_int_equal(frames_add(4 * MIB + PAGES(1), PAGES(5)), OK);
	table = phys_to_virt(hpa(4 * MIB + PAGES(1)));
	memcpy(table - 16, table + (2 - 1) * 16, 16);
	memcpy(table + (6 - 1) * 16, table + (2 - 1) * 16, 16);
	assert_int_equal(frames_alloc(1, OWNER, &base[0]), OK);
	assert_int_equal(frames_alloc(1, OWNER, &base[1]), OK);
	frames_free(base[0], 1);
	frames_free(base[1], 1);
	frames_audit();
	assert_int_equal(frames_alloc(2, OWNER, &base[0]), E_NOMEM);
	assert_int_equal(drain(OWNER), 4);
}

static void test_audit_finds_any_flipped_bit_of_the_table(void **state)
{
	volatile uint8_t *table;
	hpa_t base;

	(void)state;
	assert_int_equal(frames_reserve(2 * MIB + PAGES(40), PAGES(3), FRAME_MODULE), OK);
	assert_int_equal(frames_add(2 * MIB, PAGES(64)), OK);
	assert_int_equal(frames_owner(hpa(2 * MIB)), FRAME_TABLE);
	for (unsigned order = 0; order < 4; order++)
		assert_int_equal(frames_alloc(order, OWNER, &base), OK);
	frames_audit();
	table = phys_to_virt(hpa(2 * MIB));
	for (volatile unsigned bit = 0; bit < 64 * 16 * 8; bit++) {
		table[bit / 8] ^= (uint8_t)(1u << bit % 8);
		expect_panic(frames_audit(), "check failed");
		fake_spin_reset();
		table[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
}

#define t(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		t(test_a_region_at_high_addresses),
		t(test_blocks_of_each_order_are_aligned_and_owned),
		t(test_orders_too_large_are_refused),
		t(test_owners_out_of_range_panic),
		t(test_small_requests_leave_large_blocks_alone),
		t(test_freed_buddies_merge_back),
		t(test_blocks_never_span_regions),
		t(test_alloc_below_a_limit),
		t(test_free_of_anything_but_an_allocated_block_panics),
		t(test_memory_of_free_and_given_frames_is_not_touched),
		t(test_what_looks_like_an_entry_beside_the_table),
		t(test_audit_finds_any_flipped_bit_of_the_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
