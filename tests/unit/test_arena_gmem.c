/*
 * A VM's RAM from memory that others have broken up: blocks of an arena, slots of struct gmem.
 * needs: mm/arena.c mm/frames.c mm/frames_region.c mm/hostmap.c mm/gmem.c
 * needs: tests/fake/panic.c tests/fake/spinlock.c
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <crvm/arena.h>
#include <crvm/gmem.h>
#include <crvm/hostmap.h>
#include "panic.h"
#include "ram.h"
#include "spinlock.h"

#define MIB	 (1ul << 20)
#define RAM_BASE (2 * MIB)
#define RAM_SIZE (16 * MIB)
#define PAGES	 (RAM_SIZE / PAGE_SIZE)
#define VM	 ((frame_owner_t)(FRAME_VM0 + 1))

static struct arena arena;
static struct gmem mem;
static unsigned blocks;

static int setup(void **state)
{
	(void)state;
	fake_ram_reset();
	frames_init();
	assert_int_equal(frames_add(RAM_BASE, RAM_SIZE), OK);
	arena_init(&arena, VM);
	memset(&mem, 0, sizeof(mem));
	blocks = 0;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	arena_destroy(&arena);
	assert_int_equal(frames_count(VM), 0);
	frames_audit();
	assert_int_equal(fake_spin_held(), 0);
	return 0;
}

/* Of the RAM, only what `is_free` says is so. */
static void take_all_but(bool (*is_free)(uint64_t page))
{
	static hpa_t frame[PAGES];
	unsigned n = 0;

	while (frames_alloc(0, FRAME_HV, &frame[n]) == OK)
		n++;
	for (unsigned i = 0; i < n; i++)
		if (is_free((frame[i].v - RAM_BASE) / PAGE_SIZE))
			frames_free(frame[i], 0);
}

static int got(void *ctx, uint64_t offset, hpa_t base, uint64_t len)
{
	(void)ctx;
	blocks++;
	if (len >= 2 * MIB)
		assert_int_equal((offset | base.v) % (2 * MIB), 0);
	return gmem_add(&mem, gpa(offset), len, phys_to_virt(base), false);
}

static int ram(uint64_t pages)
{
	return arena_blocks(&arena, pages * PAGE_SIZE, got, NULL);
}

/* Each page is there, and no two are the same. */
static void all_is_apart(uint64_t pages)
{
	for (uint64_t i = 0; i < pages; i++) {
		uint64_t *p = gmem_ptr_write(&mem, gpa(i * PAGE_SIZE), PAGE_SIZE);

		assert_non_null(p);
		assert_int_equal(*p, 0);
		*p = i + 1;
	}
	for (uint64_t i = 0; i < pages; i++)
		assert_int_equal(*(uint64_t *)gmem_ptr(&mem, gpa(i * PAGE_SIZE), 8), i + 1);
}

static bool is_large_run(uint64_t page)
{
	return page >= 101 && page < 4000;
}

static void test_one_run_of_odd_ends_is_few_slots(void **state)
{
	(void)state;
	take_all_but(is_large_run);
	assert_int_equal(ram(4000 - 101 - 1), OK); /* one page is the arena's */
	assert_true(blocks >= 10);
	/* What has large pages, and what lies before and behind it. */
	assert_true(mem.count <= 4);
	all_is_apart(4000 - 101 - 1);
}

/* Free but for single pages: a lot of blocks each time, which a slot each would be too many. */
static bool is_between_pins(uint64_t page)
{
	return page % 301 != 150;
}

static void test_runs_between_pins_fit_the_slots(void **state)
{
	const uint64_t runs = PAGES / 301 + 1;
	uint64_t pages;

	(void)state;
	take_all_but(is_between_pins);
	pages = frames_count(FRAME_FREE) - 1;
	assert_int_equal(ram(pages), OK);
	assert_true(blocks > GMEM_SLOT_MAX);
	assert_true(mem.count < 3 * runs);
	all_is_apart(pages);
}

static bool is_even(uint64_t page)
{
	return page % 2 == 0;
}

static void test_more_pieces_than_slots_is_an_error(void **state)
{
	(void)state;
	take_all_but(is_even);
	assert_int_equal(ram(GMEM_SLOT_MAX), OK);
	assert_int_equal(mem.count, GMEM_SLOT_MAX);
	all_is_apart(GMEM_SLOT_MAX);
	teardown(state);
	arena_init(&arena, VM);
	memset(&mem, 0, sizeof(mem));
	assert_int_equal(ram(GMEM_SLOT_MAX + 1), E_NOMEM);
	assert_int_equal(mem.count, GMEM_SLOT_MAX);
}

static void test_whole_memory_is_one_slot(void **state)
{
	(void)state;
	assert_int_equal(ram(2048), OK);
	assert_int_equal(mem.count, 1);
	all_is_apart(2048);
}

static uint64_t next_offset;
static bool given[PAGES];

static int note_page(void *ctx, uint64_t offset, hpa_t base, uint64_t len)
{
	bool *page = &given[(base.v - RAM_BASE) / PAGE_SIZE];

	(void)ctx;
	assert_int_equal(offset, next_offset);
	assert_int_equal(len, PAGE_SIZE);
	assert_int_equal(frames_owner(base), VM);
	assert_false(*page);
	*page = true;
	next_offset += len;
	return OK;
}

/* More of one size than are put in order at a time. */
static void test_many_pieces_are_given_out_once_each(void **state)
{
	(void)state;
	next_offset = 0;
	memset(given, 0, sizeof(given));
	take_all_but(is_even);
	assert_int_equal(arena_blocks(&arena, 700 * PAGE_SIZE, note_page, NULL), OK);
	assert_int_equal(next_offset, 700 * PAGE_SIZE);
}

#define t(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		t(test_one_run_of_odd_ends_is_few_slots),
		t(test_runs_between_pins_fit_the_slots),
		t(test_more_pieces_than_slots_is_an_error),
		t(test_many_pieces_are_given_out_once_each),
		t(test_whole_memory_is_one_slot),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
