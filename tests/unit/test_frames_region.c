/*
 * The frame allocator: which RAM there is, reservations, and hostile memory maps.
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

/* Takes every frame that is left, and returns how many those were. */
static uint64_t drain(frame_owner_t owner)
{
	uint64_t count = 0;
	hpa_t base;

	while (frames_alloc(0, owner, &base) == OK)
		count++;
	return count;
}

static void test_nothing_added_means_nothing_there(void **state)
{
	hpa_t base;

	(void)state;
	assert_int_equal(frames_total(), 0);
	assert_int_equal(frames_count(FRAME_FREE), 0);
	assert_int_equal(frames_alloc(0, OWNER, &base), E_NOMEM);
	assert_int_equal(frames_owner(hpa(0)), FRAME_NONE);
	assert_int_equal(frames_owner(hpa(UINT64_MAX)), FRAME_NONE);
}

static void test_added_ram_is_rounded_inward(void **state)
{
	(void)state;
	assert_int_equal(frames_add(MIB + 1, 16 * PAGE_SIZE), OK);
	assert_int_equal(frames_total(), 15);
	assert_int_equal(frames_owner(hpa(MIB)), FRAME_NONE);
	assert_int_equal(frames_owner(hpa(MIB + PAGES(1))), FRAME_TABLE);
	assert_int_equal(frames_owner(hpa(MIB + PAGES(1) + 4095)), FRAME_TABLE);
	assert_int_equal(frames_owner(hpa(MIB + PAGES(2))), FRAME_FREE);
	assert_int_equal(frames_owner(hpa(MIB + PAGES(15))), FRAME_FREE);
	assert_int_equal(frames_owner(hpa(MIB + PAGES(16))), FRAME_NONE);
	assert_int_equal(frames_count(FRAME_TABLE), 1);
	assert_int_equal(frames_count(FRAME_FREE), 14);
}

static void test_ranges_without_a_whole_frame_add_nothing(void **state)
{
	(void)state;
	assert_int_equal(frames_add(MIB, 0), OK);
	assert_int_equal(frames_add(UINT64_MAX, 0), OK);
	assert_int_equal(frames_add(MIB, 4095), OK);
	assert_int_equal(frames_add(MIB + 1, 4095), OK);
	assert_int_equal(frames_add(MIB + 1, 8190), OK);
	assert_int_equal(frames_total(), 0);
	assert_int_equal(frames_add(MIB + 1, 8191), OK);
	assert_int_equal(frames_total(), 1);
}

static void test_ranges_at_the_end_of_addresses(void **state)
{
	(void)state;
	assert_int_equal(frames_add(2, UINT64_MAX), E_INVAL);
	assert_int_equal(frames_add(UINT64_MAX, 2), E_INVAL);
	assert_int_equal(frames_add(UINT64_MAX, UINT64_MAX), E_INVAL);
	/* Beyond the direct map nothing can be reached, so nothing is added. */
	assert_int_equal(frames_add(UINT64_MAX - 4095, 4096), OK);
	assert_int_equal(frames_add(DIRECT_MAP_SIZE, UINT64_MAX - DIRECT_MAP_SIZE + 1), OK);
	assert_int_equal(frames_total(), 0);
	assert_int_equal(frames_reserve(2, UINT64_MAX, FRAME_NONE), E_INVAL);
	assert_int_equal(frames_reserve(UINT64_MAX, 2, FRAME_NONE), E_INVAL);
	assert_int_equal(frames_reserve(UINT64_MAX, 1, FRAME_NONE), OK);
	assert_int_equal(frames_reserve(PAGE_SIZE, UINT64_MAX - PAGE_SIZE + 1, FRAME_IMAGE), OK);
	/* All is reserved now: no place for a table, whatever the range. */
	assert_int_equal(frames_add(0, UINT64_MAX), E_NOMEM);
	assert_int_equal(frames_add(MIB, GIB), E_NOMEM);
	assert_int_equal(frames_total(), 0);
}

static void test_the_first_page_is_never_given(void **state)
{
	hpa_t base;

	(void)state;
	assert_int_equal(frames_add(0, MIB), OK);
	assert_int_equal(frames_owner(hpa(0)), FRAME_NONE);
	assert_int_equal(frames_count(FRAME_NONE), 1);
	frames_release(0, MIB, FRAME_NONE);
	assert_int_equal(frames_count(FRAME_NONE), 1);
	while (frames_alloc(0, OWNER, &base) == OK)
		assert_true(base.v != 0);
	assert_int_equal(frames_count(OWNER) + 2, frames_total());
}

static void test_reserved_ranges_are_never_given(void **state)
{
	uint64_t free_count;

	(void)state;
	assert_int_equal(frames_reserve(MIB + 1, 1, FRAME_IMAGE), OK);
	assert_int_equal(frames_reserve(2 * MIB - 1, 2, FRAME_MODULE), OK);
	assert_int_equal(frames_reserve(3 * MIB, 0, FRAME_MODULE), OK);
	assert_int_equal(frames_reserve(4 * MIB - PAGE_SIZE, GIB, FRAME_MODULE), OK);
	assert_int_equal(frames_add(MIB, 3 * MIB), OK);
	assert_int_equal(frames_total(), 768);
	assert_int_equal(frames_count(FRAME_IMAGE), 1);
	assert_int_equal(frames_count(FRAME_MODULE), 3);
	assert_int_equal(frames_count(FRAME_TABLE), 3);
	free_count = frames_count(FRAME_FREE);
	assert_int_equal(free_count, 768 - 7);
	assert_int_equal(drain(OWNER), free_count);
	assert_int_equal(frames_owner(hpa(MIB)), FRAME_IMAGE);
	assert_int_equal(frames_owner(hpa(MIB + PAGE_SIZE)), FRAME_TABLE);
	assert_int_equal(frames_owner(hpa(2 * MIB - PAGE_SIZE)), FRAME_MODULE);
	assert_int_equal(frames_owner(hpa(2 * MIB)), FRAME_MODULE);
	assert_int_equal(frames_owner(hpa(3 * MIB)), OWNER);
	assert_int_equal(frames_owner(hpa(4 * MIB - 1)), FRAME_MODULE);
	assert_int_equal(frames_owner(hpa(4 * MIB)), FRAME_NONE);
}

static void test_reservations_that_cannot_be(void **state)
{
	(void)state;
	assert_int_equal(frames_reserve(MIB, 1, FRAME_FREE), E_INVAL);
	assert_int_equal(frames_reserve(MIB, 1, FRAME_OWNER_MAX), E_INVAL);
	assert_int_equal(frames_add(MIB, MIB), OK);
	assert_int_equal(frames_reserve(2 * MIB - 1, 1, FRAME_MODULE), E_BUSY);
	assert_int_equal(frames_reserve(0, UINT64_MAX, FRAME_MODULE), E_BUSY);
	assert_int_equal(frames_reserve(2 * MIB, 1, FRAME_MODULE), OK);
	assert_int_equal(frames_count(FRAME_MODULE), 0);
}

static void test_of_overlapping_reservations_the_first_wins(void **state)
{
	static const struct {
		unsigned first, end; /* pages */
		frame_owner_t owner;
	} range[] = {
		{10, 20, 5},  {30, 40, 6},  {10, 20, 7},    {12, 15, 8},   {5, 11, 9},
		{19, 31, 10}, {0, 100, 11}, {200, 201, 12}, {99, 300, 13},
	};
	frame_owner_t expected[512] = {FRAME_NONE};

	(void)state;
	for (unsigned i = 0; i < array_count(range); i++) {
		assert_int_equal(frames_reserve(PAGES(range[i].first),
						PAGES(range[i].end - range[i].first),
						range[i].owner),
				 OK);
		for (unsigned p = range[i].first; p < range[i].end; p++)
			if (expected[p] == FRAME_FREE)
				expected[p] = range[i].owner;
	}
	expected[300] = expected[301] = FRAME_TABLE;
	assert_int_equal(frames_add(0, PAGES(512)), OK);
	for (unsigned p = 0; p < 512; p++)
		assert_int_equal(frames_owner(hpa(PAGES(p))), expected[p]);
}

static void test_at_most_256_reservations(void **state)
{
	(void)state;
	/* The worst case for pieces: a comb, then a range over all of it. */
	for (unsigned i = 0; i < 255; i++)
		assert_int_equal(frames_reserve(PAGES(2 + 2 * i), PAGE_SIZE, FRAME_MODULE), OK);
	assert_int_equal(frames_reserve(0, PAGES(512), FRAME_IMAGE), OK);
	assert_int_equal(frames_reserve(GIB, 1, FRAME_IMAGE), E_NOMEM);
	assert_int_equal(frames_reserve(MIB, 1, FRAME_IMAGE), E_NOMEM);
	assert_int_equal(frames_add(0, 4 * MIB), OK);
	assert_int_equal(frames_count(FRAME_MODULE), 255);
	assert_int_equal(frames_count(FRAME_IMAGE), 512 - 255 - 1);
}

static void test_ram_added_twice_counts_once(void **state)
{
	(void)state;
	assert_int_equal(frames_add(8 * MIB, MIB), OK);
	assert_int_equal(frames_add(8 * MIB, MIB), OK);
	assert_int_equal(frames_add(8 * MIB + PAGES(3), PAGES(7)), OK);
	assert_int_equal(frames_total(), 256);
	/* Unsorted, and overlapping at either end. */
	assert_int_equal(frames_add(2 * MIB, MIB), OK);
	assert_int_equal(frames_add(2 * MIB + PAGES(128), MIB), OK);
	assert_int_equal(frames_add(MIB + PAGES(128), MIB), OK);
	assert_int_equal(frames_total(), 256 + 512);
	frames_audit();
	/* All around: three gaps. */
	assert_int_equal(frames_add(MIB, 10 * MIB), OK);
	assert_int_equal(frames_total(), 10 * 256);
	for (uint64_t a = MIB; a < 11 * MIB; a += PAGE_SIZE)
		assert_true(frames_owner(hpa(a)) == FRAME_FREE ||
			    frames_owner(hpa(a)) == FRAME_TABLE);
	assert_int_equal(frames_count(FRAME_FREE) + frames_count(FRAME_TABLE), frames_total());
}

static void test_ram_that_cannot_hold_its_table_is_refused(void **state)
{
	(void)state;
	/* 512 frames need a table of two; leave single frames only. */
	for (unsigned i = 0; i < 256; i++)
		assert_int_equal(frames_reserve(4 * MIB + PAGES(2 * i), PAGE_SIZE, FRAME_MODULE),
				 OK);
	assert_int_equal(frames_add(4 * MIB, 2 * MIB), E_NOMEM);
	assert_int_equal(frames_total(), 0);
	assert_int_equal(frames_count(FRAME_MODULE), 0);
	assert_int_equal(frames_owner(hpa(4 * MIB)), FRAME_NONE);
	/* Two frames more, behind the last single one, make a place for a table of three. */
	assert_int_equal(frames_add(4 * MIB, 2 * MIB + PAGES(1)), E_NOMEM);
	assert_int_equal(frames_add(4 * MIB, 2 * MIB + PAGES(2)), OK);
	assert_int_equal(frames_owner(hpa(6 * MIB - PAGES(1))), FRAME_TABLE);
	assert_int_equal(frames_owner(hpa(6 * MIB + PAGES(1))), FRAME_TABLE);
	assert_int_equal(frames_count(FRAME_TABLE), 3);
}

static void test_the_table_takes_the_lowest_place_that_fits(void **state)
{
	(void)state;
	assert_int_equal(frames_reserve(4 * MIB + PAGES(1), PAGE_SIZE, FRAME_MODULE), OK);
	assert_int_equal(frames_reserve(4 * MIB + PAGES(4), PAGE_SIZE, FRAME_MODULE), OK);
	assert_int_equal(frames_add(4 * MIB, 2 * MIB), OK); /* a table of two frames */
	assert_int_equal(frames_owner(hpa(4 * MIB)), FRAME_FREE);
	assert_int_equal(frames_owner(hpa(4 * MIB + PAGES(2))), FRAME_TABLE);
	assert_int_equal(frames_owner(hpa(4 * MIB + PAGES(3))), FRAME_TABLE);
}

static void test_a_failed_add_adds_no_part(void **state)
{
	(void)state;
	assert_int_equal(frames_reserve(3 * MIB, MIB, FRAME_MODULE), OK);
	assert_int_equal(frames_add(2 * MIB, MIB), OK);
	/* The piece below could be added, the one above is all reserved. */
	assert_int_equal(frames_add(MIB, 3 * MIB), E_NOMEM);
	assert_int_equal(frames_total(), 256);
	assert_int_equal(frames_owner(hpa(MIB)), FRAME_NONE);
	assert_int_equal(frames_count(FRAME_TABLE), 1);
	assert_int_equal(frames_add(MIB, 3 * MIB + PAGES(3)), OK);
	assert_int_equal(frames_total(), 256 * 3 + 3);
}

static void test_at_most_64_regions(void **state)
{
	(void)state;
	for (uint64_t i = 0; i < 62; i++)
		assert_int_equal(frames_add((63 - i) * 16 * MIB, 4 * MIB), OK);
	/* Two more pieces are allowed, three are not. */
	assert_int_equal(frames_add(16 * MIB, 16 * 3 * MIB - 1), E_NOMEM);
	assert_int_equal(frames_total(), 62 * 1024);
	assert_int_equal(frames_add(MIB, MIB), OK);
	assert_int_equal(frames_add(3 * MIB, MIB), OK);
	assert_int_equal(frames_add(5 * MIB, MIB), E_NOMEM);
	assert_int_equal(frames_add(MIB, 4 * MIB), E_NOMEM);
	assert_int_equal(frames_add(MIB, MIB), OK);
	assert_int_equal(frames_total(), 62 * 1024 + 512);
	assert_int_equal(drain(OWNER) + frames_count(FRAME_TABLE), frames_total());
}

static void test_release_gives_whole_reserved_frames(void **state)
{
	uint64_t free_count;
	hpa_t base;

	(void)state;
	assert_int_equal(frames_reserve(4 * MIB, 4 * MIB, FRAME_MODULE), OK);
	assert_int_equal(frames_reserve(5 * MIB, 4 * MIB, FRAME_IMAGE), OK);
	assert_int_equal(frames_add(2 * MIB, 4 * MIB), OK);
	assert_int_equal(frames_add(6 * MIB, 4 * MIB), OK);
	assert_int_equal(frames_count(FRAME_MODULE), 1024);
	assert_int_equal(frames_count(FRAME_IMAGE), 256);
	free_count = frames_count(FRAME_FREE);

	frames_release(4 * MIB, 0, FRAME_MODULE);
	frames_release(4 * MIB, 4095, FRAME_MODULE);
	frames_release(4 * MIB, 4 * MIB, FRAME_NONE);
	frames_release(GIB, UINT64_MAX - GIB + 1, FRAME_MODULE);
	assert_int_equal(frames_count(FRAME_FREE), free_count);

	frames_release(4 * MIB + 1, PAGES(3), FRAME_MODULE);
	assert_int_equal(frames_count(FRAME_FREE), free_count + 2);
	assert_int_equal(frames_owner(hpa(4 * MIB)), FRAME_MODULE);
	assert_int_equal(frames_owner(hpa(4 * MIB + PAGES(1))), FRAME_FREE);
	assert_int_equal(frames_owner(hpa(4 * MIB + PAGES(3))), FRAME_MODULE);
	frames_audit();

	/* More than the module, over both regions: only what is the module's goes, and only once.
	 */
	frames_release(0, UINT64_MAX, FRAME_MODULE);
	frames_release(0, UINT64_MAX, FRAME_MODULE);
	assert_int_equal(frames_count(FRAME_MODULE), 0);
	assert_int_equal(frames_count(FRAME_FREE), free_count + 1024);
	assert_int_equal(frames_count(FRAME_IMAGE), 256);
	frames_audit();
	assert_int_equal(frames_alloc(9, OWNER, &base), OK);
	assert_int_equal(frames_alloc(9, OWNER, &base), OK);
}

static void test_allocated_frames_are_not_released(void **state)
{
	hpa_t base;

	(void)state;
	assert_int_equal(frames_add(2 * MIB, MIB), OK);
	assert_int_equal(frames_alloc(4, FRAME_MODULE, &base), OK);
	frames_release(2 * MIB, MIB, FRAME_MODULE);
	assert_int_equal(frames_count(FRAME_MODULE), 16);
	assert_int_equal(frames_owner(base), FRAME_MODULE);
	frames_free(base, 4);
}

/* Memory that was RAM's before us holds anything: the table must not believe any of it. */
static void test_old_contents_of_the_table_do_not_matter(void **state)
{
	(void)state;
	memset(phys_to_virt(hpa(2 * MIB)), 0xff, 4 * MIB);
	assert_int_equal(frames_add(2 * MIB, 4 * MIB), OK);
	frames_audit();
	assert_int_equal(frames_count(FRAME_FREE), 1024 - 4);
	assert_int_equal(drain(OWNER), 1024 - 4);
}

#define t(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		t(test_nothing_added_means_nothing_there),
		t(test_added_ram_is_rounded_inward),
		t(test_ranges_without_a_whole_frame_add_nothing),
		t(test_ranges_at_the_end_of_addresses),
		t(test_the_first_page_is_never_given),
		t(test_reserved_ranges_are_never_given),
		t(test_reservations_that_cannot_be),
		t(test_of_overlapping_reservations_the_first_wins),
		t(test_at_most_256_reservations),
		t(test_ram_added_twice_counts_once),
		t(test_ram_that_cannot_hold_its_table_is_refused),
		t(test_the_table_takes_the_lowest_place_that_fits),
		t(test_a_failed_add_adds_no_part),
		t(test_at_most_64_regions),
		t(test_release_gives_whole_reserved_frames),
		t(test_allocated_frames_are_not_released),
		t(test_old_contents_of_the_table_do_not_matter),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
