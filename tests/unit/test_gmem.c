/*
 * Guest-physical memory.
 * needs: mm/gmem.c
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <crvm/gmem.h>

#define P PAGE_SIZE

/* Host memory of each slot is a malloc of its own: ASan sees any byte beyond it. */
static struct gmem m;
static uint8_t *host[GMEM_SLOT_MAX + 1];

static int setup(void **state)
{
	(void)state;
	memset(&m, 0, sizeof(m));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	for (unsigned i = 0; i < array_count(host); i++) {
		free(host[i]);
		host[i] = NULL;
	}
	return 0;
}

static int add(unsigned i, uint64_t start, uint64_t pages, bool readonly)
{
	free(host[i]);
	host[i] = malloc(pages * P);
	assert_non_null(host[i]);
	memset(host[i], (int)i + 1, pages * P);
	return gmem_add(&m, gpa(start), pages * P, host[i], readonly);
}

#define add_ok(i, start, pages, ro) assert_int_equal(add(i, start, pages, ro), OK)

static void test_no_memory_at_all(void **state)
{
	uint8_t buf[16];

	(void)state;
	assert_null(gmem_ptr(&m, gpa(0), 1));
	assert_null(gmem_ptr(&m, gpa(~0ull), 1));
	assert_null(gmem_ptr_write(&m, gpa(0), 1));
	assert_null(gmem_slot_find(&m, gpa(0)));
	assert_int_equal(gmem_read(&m, gpa(0), buf, 1), E_FAULT);
	assert_int_equal(gmem_write(&m, gpa(0), buf, 1), E_FAULT);
	assert_int_equal(gmem_read(&m, gpa(0), buf, 0), OK);
	assert_int_equal(gmem_write(&m, gpa(~0ull), buf, 0), OK);
}

static void test_impossible_slots_are_refused(void **state)
{
	static uint8_t page[P];

	(void)state;
	assert_int_equal(gmem_add(&m, gpa(1), P, page, false), E_INVAL);
	assert_int_equal(gmem_add(&m, gpa(0), P - 1, page, false), E_INVAL);
	assert_int_equal(gmem_add(&m, gpa(0), P + 1, page, false), E_INVAL);
	assert_int_equal(gmem_add(&m, gpa(0), 0, page, false), E_INVAL);
	assert_int_equal(gmem_add(&m, gpa(0), P, NULL, false), E_INVAL);
	assert_int_equal(gmem_add(&m, gpa(0ul - P), P, page, false), E_INVAL);
	assert_int_equal(gmem_add(&m, gpa(P), 0ul - P, page, false), E_INVAL);
	assert_int_equal(gmem_add(&m, gpa(2 * P), 0ul - P, page, false), E_INVAL);
	assert_int_equal(m.count, 0);
	assert_int_equal(gmem_add(&m, gpa(0ul - 2 * P), P, page, false), OK);
	assert_ptr_equal(gmem_ptr(&m, gpa(0ul - 2 * P), P), page);
	assert_null(gmem_ptr(&m, gpa(0ul - P - 1), 2));
	assert_null(gmem_ptr(&m, gpa(0ul - P - 1), ~0ull));
}

static void test_overlaps_are_refused(void **state)
{
	(void)state;
	add_ok(0, 0x10000, 4, false);
	assert_int_equal(add(1, 0x10000, 4, false), E_EXIST);
	assert_int_equal(add(1, 0xf000, 2, false), E_EXIST);
	assert_int_equal(add(1, 0x13000, 1, true), E_EXIST);
	assert_int_equal(add(1, 0xe000, 8, true), E_EXIST);
	assert_int_equal(m.count, 1);
	add_ok(1, 0x14000, 1, false);
	add_ok(2, 0xf000, 1, false);
	assert_int_equal(m.count, 3);
	assert_int_equal(*(uint8_t *)gmem_ptr(&m, gpa(0xffff), 1), 3);
	assert_int_equal(*(uint8_t *)gmem_ptr(&m, gpa(0x10000), 1), 1);
	assert_int_equal(*(uint8_t *)gmem_ptr(&m, gpa(0x14000), 1), 2);
}

static void test_pointers_stay_in_their_slot(void **state)
{
	(void)state;
	add_ok(0, 0, 4, false);
	add_ok(1, 4 * P, 1, false); /* adjacent: still another slot */
	add_ok(2, 16 * P, 64, false);
	assert_ptr_equal(gmem_ptr(&m, gpa(0), 4 * P), host[0]);
	assert_ptr_equal(gmem_ptr(&m, gpa(5), 4 * P - 5), host[0] + 5);
	assert_null(gmem_ptr(&m, gpa(5), 4 * P - 4));
	assert_null(gmem_ptr(&m, gpa(4 * P - 1), 2));
	assert_ptr_equal(gmem_ptr(&m, gpa(4 * P - 1), 1), host[0] + 4 * P - 1);
	assert_ptr_equal(gmem_ptr(&m, gpa(4 * P), 1), host[1]);
	assert_null(gmem_ptr(&m, gpa(5 * P), 1));
	assert_null(gmem_ptr(&m, gpa(16 * P - 1), 1));
	assert_null(gmem_ptr(&m, gpa(16 * P - 1), 2));
	assert_ptr_equal(gmem_ptr(&m, gpa(16 * P), 64 * P), host[2]);
	assert_null(gmem_ptr(&m, gpa(80 * P), 1));
	assert_null(gmem_ptr(&m, gpa(~0ull), 1));
	for (unsigned i = 0; i < 3; i++) {
		const uint64_t at = m.slot[i].gpa + 8;

		assert_null(gmem_ptr(&m, gpa(at), 0));
		assert_null(gmem_ptr(&m, gpa(at), ~0ull));
		assert_null(gmem_ptr(&m, gpa(at), ~0ull - at));
		assert_null(gmem_ptr(&m, gpa(at), 0ull - at));
		assert_null(gmem_ptr(&m, gpa(at), 1ull << 63));
		assert_null(gmem_slot_ptr(&m.slot[i], gpa(at), ~0ull));
		assert_null(gmem_slot_ptr(&m.slot[i], gpa(at - 9), 1));
		assert_ptr_equal(gmem_slot_find(&m, gpa(at)), &m.slot[i]);
		assert_ptr_equal(gmem_slot_ptr(&m.slot[i], gpa(at), 3), m.slot[i].host + 8);
	}
}

static void test_readonly_slots_have_no_pointer_for_writing(void **state)
{
	(void)state;
	add_ok(0, 0, 1, false);
	add_ok(1, P, 8, true);
	assert_ptr_equal(gmem_ptr_write(&m, gpa(1), 1), host[0] + 1);
	assert_null(gmem_ptr_write(&m, gpa(P), 1));
	assert_null(gmem_ptr_write(&m, gpa(1), 0));
	assert_ptr_equal(gmem_ptr(&m, gpa(P), 1), host[1]);
}

static void test_copies_cross_slots(void **state)
{
	static uint8_t buf[7 * P], back[7 * P];

	(void)state;
	add_ok(1, 3 * P, 2, false);
	add_ok(0, P, 2, false);
	add_ok(2, 5 * P, 1, false);
	add_ok(3, 7 * P, 1, false); /* after a hole */
	for (unsigned i = 0; i < sizeof(buf); i++)
		buf[i] = (uint8_t)(i * 7 + i / 256);
	assert_int_equal(gmem_write(&m, gpa(P), buf, 5 * P), OK);
	assert_memory_equal(host[0], buf, 2 * P);
	assert_memory_equal(host[1], buf + 2 * P, 2 * P);
	assert_memory_equal(host[2], buf + 4 * P, P);
	assert_int_equal(gmem_read(&m, gpa(P), back, 5 * P), OK);
	assert_memory_equal(back, buf, 5 * P);
	memset(back, 0xee, sizeof(back));
	assert_int_equal(gmem_read(&m, gpa(3 * P - 3), back, 7), OK);
	assert_memory_equal(back, buf + 2 * P - 3, 7);
	assert_int_equal(back[7], 0xee);
	assert_int_equal(gmem_read(&m, gpa(8 * P - 1), back, 1), OK);
	assert_int_equal(back[0], 4);
}

static void test_a_copy_into_a_hole_changes_nothing(void **state)
{
	static const uint8_t ones[16] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
	static uint8_t big[16 * P];

	(void)state;
	add_ok(4, 0, 2, false);
	add_ok(5, 3 * P, 1, false);
	assert_int_equal(gmem_write(&m, gpa(2 * P - 8), ones, 16), E_FAULT);
	assert_int_equal(gmem_write(&m, gpa(3 * P - 8), ones, 16), E_FAULT);
	assert_int_equal(gmem_write(&m, gpa(4 * P - 8), ones, 9), E_FAULT);
	assert_int_equal(gmem_write(&m, gpa(0), big, 4 * P), E_FAULT); /* a hole in its middle */
	assert_int_equal(gmem_write(&m, gpa(8), ones, ~0ull), E_FAULT);
	assert_int_equal(gmem_write(&m, gpa(8), ones, 0ull - 8), E_FAULT);
	assert_int_equal(gmem_write(&m, gpa(~0ull), ones, 16), E_FAULT);
	assert_int_equal(gmem_read(&m, gpa(2 * P - 8), big, 16), E_FAULT);
	assert_int_equal(gmem_read(&m, gpa(~0ull - 3), big, 8), E_FAULT);
	assert_int_equal(host[4][0], 5);
	assert_memory_equal(host[4], host[4] + 1, 2 * P - 1);
	assert_int_equal(host[5][0], 6);
	assert_memory_equal(host[5], host[5] + 1, P - 1);
}

static void test_writes_skip_readonly_bytes(void **state)
{
	static uint8_t buf[3 * P];

	(void)state;
	add_ok(0, 0, 1, false);
	add_ok(1, P, 1, true);
	add_ok(2, 2 * P, 1, false);
	memset(buf, 0x99, sizeof(buf));
	assert_int_equal(gmem_write(&m, gpa(P - 4), buf, P + 8), OK);
	assert_int_equal(host[0][P - 5], 1);
	assert_int_equal(host[0][P - 4], 0x99);
	assert_int_equal(host[1][0], 2);
	assert_memory_equal(host[1], host[1] + 1, P - 1);
	assert_int_equal(host[2][3], 0x99);
	assert_int_equal(host[2][4], 3);
	assert_int_equal(gmem_read(&m, gpa(P - 1), buf, 3), OK);
	assert_int_equal(buf[0], 0x99);
	assert_int_equal(buf[1], 2);
}

static void test_a_full_table(void **state)
{
	(void)state;
	for (unsigned i = 0; i < GMEM_SLOT_MAX; i++) /* a page of each two, in mixed order */
		add_ok(i, i * 37 % 64 * 2 * P, 1, i % 3 == 0);
	assert_int_equal(add(64, 1000 * P, 1, false), E_NOMEM);
	assert_int_equal(add(64, 0, 1, false), E_EXIST);
	for (unsigned i = 0; i < GMEM_SLOT_MAX; i++) {
		const uint64_t at = i * 37 % 64 * 2 * P;

		assert_ptr_equal(gmem_ptr(&m, gpa(at + 9), P - 9), host[i] + 9);
		assert_ptr_equal(gmem_ptr_write(&m, gpa(at), P), i % 3 ? host[i] : NULL);
		assert_null(gmem_ptr(&m, gpa(at + P), 1));
		assert_null(gmem_ptr(&m, gpa(at + P - 1), 2));
		assert_non_null(gmem_slot_find(&m, gpa(at + P - 1)));
		assert_null(gmem_slot_find(&m, gpa(at + P)));
	}
}

static uint64_t seed = 7;

static uint64_t rnd(void)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return seed >> 33;
}

#define PAGES 64u

/* What a page is in the model: 0 a hole, else 1 + slot; and what its bytes are. */
static void test_random_slots_behave_as_a_model(void **state)
{
	static uint8_t model[PAGES * P], buf[PAGES * P];
	static uint8_t owner[PAGES];

	for (unsigned round = 0; round < 30; round++) {
		memset(owner, 0, sizeof(owner));
		setup(state);
		for (unsigned i = 0; i < 20; i++) {
			const unsigned at = rnd() % PAGES, n = rnd() % 8 + 1;
			bool is_free = at + n <= PAGES;

			for (unsigned k = at; is_free && k < at + n; k++)
				is_free = !owner[k];
			if (at + n > PAGES)
				continue;
			assert_int_equal(add(i, at * P, n, i % 4 == 3), is_free ? OK : E_EXIST);
			for (unsigned k = at; is_free && k < at + n; k++) {
				owner[k] = (uint8_t)(i + 1);
				memset(model + k * P, (int)i + 1, P);
			}
		}
		for (unsigned i = 0; i < 300; i++) {
			const uint64_t at = rnd() % (PAGES * P);
			const uint64_t len = rnd() % (i % 2 ? 100 : 6 * P) + 1;
			bool all = at + len <= PAGES * P, one = all;

			for (uint64_t k = at; all && k < at + len; k++) {
				all = owner[k / P];
				one = one && owner[k / P] == owner[at / P];
			}
			assert_int_equal(gmem_ptr(&m, gpa(at), len) != NULL, all && one);
			assert_int_equal(gmem_read(&m, gpa(at), buf, len), all ? OK : E_FAULT);
			if (all)
				assert_memory_equal(buf, model + at, len);
			memset(buf, (int)rnd(), len);
			assert_int_equal(gmem_write(&m, gpa(at), buf, len), all ? OK : E_FAULT);
			for (uint64_t k = at; all && k < at + len; k++)
				if ((owner[k / P] - 1) % 4 != 3)
					model[k] = buf[k - at];
		}
		teardown(state);
	}
}

/* All of one piece of host memory, in which `at` is the number of the first page. */
static int add_pages(uint64_t guest, uint64_t at, uint64_t pages, bool readonly)
{
	return gmem_add(&m, gpa(guest * P), pages * P, host[0] + at * P, readonly);
}

static void one_slot(uint64_t guest, uint64_t at, uint64_t pages)
{
	assert_int_equal(m.count, 1);
	assert_int_equal(m.slot[0].gpa, guest * P);
	assert_int_equal(m.slot[0].len, pages * P);
	assert_ptr_equal(m.slot[0].host, host[0] + at * P);
	assert_int_equal(m.largest, 0);
	assert_ptr_equal(gmem_ptr_write(&m, gpa(guest * P), pages * P), host[0] + at * P);
}

static void test_neighbours_in_both_become_one(void **state)
{
	/* Which of the three parts comes when. */
	static const uint8_t order[][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
					   {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
	static const uint64_t first[] = {0, 3, 4}, pages[] = {3, 1, 4};

	for (unsigned i = 0; i < array_count(order); i++) {
		setup(state);
		free(host[0]);
		host[0] = malloc(8 * P);
		for (unsigned k = 0; k < 3; k++)
			assert_int_equal(add_pages(100 + first[order[i][k]], first[order[i][k]],
						   pages[order[i][k]], false),
					 OK);
		one_slot(100, 0, 8);
		assert_int_equal(add_pages(103, 3, 1, false), E_EXIST);
	}
}

static void test_neighbours_in_one_only_stay_two(void **state)
{
	(void)state;
	host[0] = malloc(16 * P);
	assert_int_equal(add_pages(8, 8, 1, false), OK);
	assert_int_equal(add_pages(9, 10, 1, false), OK); /* not beside it in the host */
	assert_int_equal(add_pages(7, 6, 1, false), OK);
	assert_int_equal(add_pages(11, 11, 1, false), OK); /* not in the guest */
	assert_int_equal(add_pages(5, 5, 1, false), OK);
	assert_int_equal(m.count, 5);
	assert_null(gmem_ptr(&m, gpa(9 * P - 1), 2));
	assert_int_equal(add_pages(12, 12, 1, true), OK); /* in both, but for who may write */
	assert_int_equal(m.count, 6);
	assert_null(gmem_ptr(&m, gpa(12 * P - 1), 2));
	assert_int_equal(add_pages(13, 13, 1, true), OK);
	assert_int_equal(m.count, 6);
	assert_ptr_equal(gmem_ptr(&m, gpa(12 * P), 2 * P), host[0] + 12 * P);
	assert_null(gmem_ptr_write(&m, gpa(13 * P), 1));
}

static void test_a_full_table_still_takes_neighbours(void **state)
{
	const uint64_t pages = 4 * GMEM_SLOT_MAX;

	(void)state;
	host[0] = malloc(pages * P);
	for (uint64_t i = 0; i < pages; i += 4)
		assert_int_equal(add_pages(i, i, 1, false), OK);
	assert_int_equal(add_pages(2, 2, 1, false), E_NOMEM);
	for (uint64_t i = 1; i < pages; i += 4)
		assert_int_equal(add_pages(i, i, 1, false), OK);
	assert_int_equal(m.count, GMEM_SLOT_MAX);
	for (uint64_t i = 2; i < pages; i += 4)
		assert_int_equal(add_pages(i, i, 2, false), OK);
	one_slot(0, 0, pages);
}

#define t(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		t(test_no_memory_at_all),
		t(test_impossible_slots_are_refused),
		t(test_overlaps_are_refused),
		t(test_pointers_stay_in_their_slot),
		t(test_readonly_slots_have_no_pointer_for_writing),
		t(test_copies_cross_slots),
		t(test_a_copy_into_a_hole_changes_nothing),
		t(test_writes_skip_readonly_bytes),
		t(test_a_full_table),
		t(test_neighbours_in_both_become_one),
		t(test_neighbours_in_one_only_stay_two),
		t(test_a_full_table_still_takes_neighbours),
		t(test_random_slots_behave_as_a_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
