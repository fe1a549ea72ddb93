/*
 * Arenas.
 * needs: mm/arena.c mm/frames.c mm/frames_region.c mm/hostmap.c
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
#include <crvm/status.h>
#include "panic.h"
#include "ram.h"
#include "spinlock.h"

#define MIB	  (1ul << 20)
#define RAM_BASE  (2 * MIB)
#define RAM_SIZE  (16 * MIB)
#define VM	  ((frame_owner_t)(FRAME_VM0 + 3))
#define PAGES(n)  ((n)*PAGE_SIZE)
#define CALLS_MAX 64u

static uint64_t free_at_start;

/* All free memory is full of rubbish, as memory is that somebody used before. */
static int setup(void **state)
{
	(void)state;
	fake_ram_reset();
	memset(phys_to_virt(hpa(RAM_BASE)), 0xa5, RAM_SIZE);
	frames_init();
	assert_int_equal(frames_add(RAM_BASE, RAM_SIZE), OK);
	free_at_start = frames_count(FRAME_FREE);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	frames_audit();
	assert_int_equal(fake_spin_held(), 0);
	return 0;
}

static bool is_zero(const void *p, size_t len)
{
	const uint8_t *b = p;

	return len == 0 || (b[0] == 0 && memcmp(b, b + 1, len - 1) == 0);
}

static void assert_all_given_back(const struct arena *a)
{
	assert_int_equal(a->frame_count, 0);
	assert_null(a->blocks);
	assert_int_equal(frames_count(VM), 0);
	assert_int_equal(frames_count(FRAME_FREE) + frames_count(FRAME_HV), free_at_start);
	frames_audit();
}

/* Leaves `count` free frames, no two of them beside each other if `scattered`. */
static void leave_free(uint64_t count, bool scattered)
{
	static hpa_t frame[RAM_SIZE / PAGE_SIZE];
	unsigned n = 0;

	while (frames_alloc(0, FRAME_HV, &frame[n]) == OK)
		n++;
	for (unsigned i = 0; i < n && count > 0; i++)
		if (!scattered || frame[i].v / PAGE_SIZE % 2 == 0) {
			frames_free(frame[i], 0);
			count--;
		}
	assert_int_equal(count, 0);
}

struct calls {
	unsigned count, fail_at; /* fail_at: 0 for never, else counted from 1 */
	uint64_t end;
	struct {
		uint64_t offset, base, len;
	} call[CALLS_MAX];
};

static int got_block(void *ctx, uint64_t offset, hpa_t base, uint64_t len)
{
	struct calls *c = ctx;

	assert_true(c->count < CALLS_MAX);
	assert_int_equal(offset, c->end);
	assert_true(len >= PAGE_SIZE && (len & (len - 1)) == 0);
	assert_int_equal(base.v % len, 0);
	if (len >= 2 * MIB) /* so large nested pages fit */
		assert_int_equal((offset | base.v) % (2 * MIB), 0);
	assert_true(is_zero(phys_to_virt(base), len));
	for (uint64_t o = 0; o < len; o += PAGE_SIZE)
		assert_int_equal(frames_owner(hpa(base.v + o)), VM);
	if (++c->count == c->fail_at)
		return E_BUSY;
	c->call[c->count - 1].offset = offset;
	c->call[c->count - 1].base = base.v;
	c->call[c->count - 1].len = len;
	c->end = offset + len;
	return OK;
}

static void test_a_new_arena_owns_nothing(void **state)
{
	struct arena a;

	(void)state;
	memset(&a, 0xff, sizeof(a));
	arena_init(&a, VM);
	assert_int_equal(a.owner, VM);
	assert_int_equal(a.frame_count, 0);
	arena_destroy(&a);
	assert_all_given_back(&a);
}

static void test_objects_are_zeroed_aligned_and_apart(void **state)
{
	static const size_t size[] = {1,    3,	  8,	24,   100,  512,   1000,  2048, 4000, 4056,
				      4072, 4073, 4095, 4096, 4097, 10000, 65536, 0,	70000};
	struct {
		uint8_t *p;
		size_t size;
		uint8_t fill;
	} object[13 * array_count(size)];
	struct arena a;
	unsigned n = 0;

	(void)state;
	arena_init(&a, VM);
	for (size_t align = 1; align <= PAGE_SIZE; align *= 2)
		for (unsigned i = 0; i < array_count(size); i++, n++) {
			uint8_t *p = arena_alloc(&a, size[i], align);

			assert_non_null(p);
			assert_int_equal((uintptr_t)p % align, 0);
			assert_true(is_zero(p, size[i]));
			for (size_t o = 0; o < size[i]; o++)
				assert_int_equal(frames_owner(virt_to_phys(p + o)), VM);
			object[n].p = p;
			object[n].size = size[i];
			object[n].fill = (uint8_t)(n + 1);
			memset(p, (int)object[n].fill, size[i]);
		}
	/* Nobody wrote over anybody. */
	for (unsigned i = 0; i < n; i++)
		for (size_t o = 0; o < object[i].size; o++)
			if (object[i].p[o] != object[i].fill)
				fail_msg("object %u, byte %zu", i, o);
	assert_int_equal(a.frame_count, frames_count(VM));
	arena_destroy(&a);
	assert_all_given_back(&a);
}

static void test_empty_objects_have_addresses_of_their_own(void **state)
{
	struct arena a;
	void *p, *q;

	(void)state;
	arena_init(&a, VM);
	p = arena_alloc(&a, 0, 1);
	q = arena_alloc(&a, 0, 1);
	assert_non_null(p);
	assert_non_null(q);
	assert_ptr_not_equal(p, q);
	arena_destroy(&a);
}

static void test_small_objects_share_frames(void **state)
{
	struct arena a;

	(void)state;
	arena_init(&a, VM);
	for (unsigned i = 0; i < 1000; i++)
		assert_non_null(arena_alloc(&a, 32, 8));
	assert_in_range(a.frame_count, 8, 9);
	/* So does what is left of the block of a large object. */
	arena_destroy(&a);
	assert_non_null(arena_alloc(&a, PAGES(4) + 64, 64));
	for (unsigned i = 0; i < 300; i++)
		assert_non_null(arena_alloc(&a, 32, 8));
	assert_int_equal(a.frame_count, 8 + 1);
	arena_destroy(&a);
	assert_all_given_back(&a);
}

static bool is_in(const uint8_t *p, const uint8_t *block, uint64_t pages)
{
	return p >= block && p < block + PAGES(pages);
}

/* Ends of several blocks at once, each for what fits it best; descriptors of blocks too. */
static void test_small_objects_fill_the_ends_of_large_ones(void **state)
{
	struct arena a;
	uint8_t *four, *two;

	(void)state;
	arena_init(&a, VM);
	four = arena_alloc(&a, PAGES(4) - 1500, 64);
	two = arena_alloc(&a, PAGES(2) - 700, 64);
	assert_non_null(arena_alloc(&a, PAGES(8) - 3000, 64));
	assert_true(is_in(arena_alloc(&a, 600, 1), two, 2));
	assert_true(is_in(arena_alloc(&a, 1000, 4), four, 4));
	assert_true(is_in(arena_alloc(&a, 400, 4), four, 4));
	assert_non_null(arena_alloc(&a, 3000, 1));
	assert_non_null(arena_alloc(&a, 3000, 1)); /* of the first descriptor's page */
	assert_int_equal(a.frame_count, 1 + 4 + 2 + 8);
	assert_non_null(arena_alloc(&a, 3000, 1));
	assert_int_equal(a.frame_count, 1 + 4 + 2 + 8 + 1);
	arena_destroy(&a);
	assert_all_given_back(&a);
}

static void test_a_small_end_does_not_take_the_place_of_a_large_one(void **state)
{
	struct arena a;

	(void)state;
	arena_init(&a, VM);
	for (unsigned i = 0; i < ARENA_REST_COUNT - 1; i++)
		assert_non_null(arena_alloc(&a, PAGES(2) - 2000, 8));
	assert_non_null(arena_alloc(&a, PAGES(2) - 1, 1));
	for (unsigned i = 0; i < ARENA_REST_COUNT + 1; i++) /* the descriptors' page is one too */
		assert_non_null(arena_alloc(&a, 1900, 1));
	assert_int_equal(a.frame_count, 1 + 2 * ARENA_REST_COUNT);
	arena_destroy(&a);
	assert_all_given_back(&a);
}

/* However many ends there are that are too small, or too ill-aligned, for what is wanted. */
static void test_ends_that_do_not_fit_do_no_harm(void **state)
{
	struct arena a;

	(void)state;
	arena_init(&a, VM);
	for (unsigned i = 0; i < 2 * ARENA_REST_COUNT; i++)
		assert_non_null(arena_alloc(&a, PAGES(4) + 1, 1));
	/* Each has three pages and 4095 bytes left. */
	for (unsigned i = 0; i < 40; i++)
		assert_non_null(arena_alloc(&a, 2048, 2048));
	for (unsigned i = 0; i < 40; i++)
		assert_non_null(arena_alloc(&a, PAGE_SIZE, PAGE_SIZE));
	for (unsigned i = 0; i < 4000; i++)
		assert_non_null(arena_alloc(&a, 1, 1));
	assert_int_equal(a.frame_count, frames_count(VM));
	arena_destroy(&a);
	assert_all_given_back(&a);
}

static void test_impossible_sizes_and_alignments(void **state)
{
	struct arena a;

	(void)state;
	arena_init(&a, VM);
	assert_null(arena_alloc(&a, SIZE_MAX, 1));
	assert_null(arena_alloc(&a, SIZE_MAX - 10, PAGE_SIZE));
	assert_null(arena_alloc(&a, SIZE_MAX / 2 + 2, 8));
	assert_null(arena_alloc(&a, (PAGE_SIZE << FRAME_ORDER_MAX) + 1, 8));
	assert_null(arena_alloc(&a, RAM_SIZE, 8));
	expect_panic((void)!arena_alloc(&a, 8, 0), "align");
	expect_panic((void)!arena_alloc(&a, 8, 24), "align");
	expect_panic((void)!arena_alloc(&a, 8, 2 * PAGE_SIZE), "align");
	expect_panic((void)!arena_blocks(&a, PAGE_SIZE + 1, got_block, NULL), "size");
	arena_destroy(&a);
	assert_all_given_back(&a);
}

static void test_frames_of_each_order(void **state)
{
	struct arena a;
	hpa_t base;

	(void)state;
	arena_init(&a, VM);
	for (unsigned order = 0; order <= 10; order++) {
		assert_int_equal(arena_frames(&a, order, &base), OK);
		assert_int_equal(base.v % (PAGE_SIZE << order), 0);
		assert_true(is_zero(phys_to_virt(base), PAGE_SIZE << order));
		memset(phys_to_virt(base), 0xee, PAGE_SIZE << order);
		assert_int_equal(a.frame_count, frames_count(VM));
	}
	assert_int_equal(arena_frames(&a, 13, &base), E_NOMEM);
	assert_int_equal(arena_frames(&a, FRAME_ORDER_MAX + 1, &base), E_NOMEM);
	assert_int_equal(a.frame_count, 2047 + 1);
	arena_destroy(&a);
	assert_all_given_back(&a);
}

static void test_failed_requests_use_up_nothing(void **state)
{
	struct arena a;
	hpa_t base;

	(void)state;
	arena_init(&a, VM);
	for (unsigned i = 0; i < 10000; i++)
		assert_int_equal(arena_frames(&a, 13, &base), E_NOMEM);
	assert_int_equal(a.frame_count, 0);
	arena_destroy(&a);
	assert_all_given_back(&a);
}

/* The last frame could be had, but not written down. */
static void test_a_block_without_room_for_its_descriptor(void **state)
{
	struct arena a;
	hpa_t base;

	(void)state;
	leave_free(1, false);
	arena_init(&a, VM);
	assert_int_equal(arena_frames(&a, 0, &base), E_NOMEM);
	assert_int_equal(frames_count(FRAME_FREE), 1);
	assert_non_null(arena_alloc(&a, 64, 64));
	arena_destroy(&a);
	assert_all_given_back(&a);
}

static void test_blocks_cover_the_size_exactly(void **state)
{
	static const uint64_t pages[] = {0, 1, 2, 3, 7, 8, 255, 512, 513, 1000, 2048, 3071};

	(void)state;
	for (unsigned i = 0; i < array_count(pages); i++) {
		struct calls c = {0};
		struct arena a;

		arena_init(&a, VM);
		assert_int_equal(arena_blocks(&a, PAGES(pages[i]), got_block, &c), OK);
		assert_int_equal(c.end, PAGES(pages[i]));
		/* With free memory in large blocks, there is one block for each bit of the size. */
		assert_int_equal(c.count, __builtin_popcountl(pages[i]));
		assert_int_equal(a.frame_count, pages[i] + (pages[i] != 0));
		arena_destroy(&a);
		assert_all_given_back(&a);
	}
}

static void test_blocks_from_broken_up_memory(void **state)
{
	struct calls c = {0};
	struct arena a;

	(void)state;
	leave_free(41, true);
	arena_init(&a, VM);
	assert_int_equal(arena_blocks(&a, PAGES(40), got_block, &c), OK);
	assert_int_equal(c.count, 40);
	assert_int_equal(a.frame_count, 41);
	arena_destroy(&a);
	assert_all_given_back(&a);
	/* One frame less is not enough: the arena needs one for its own lists. */
	arena_init(&a, VM);
	c = (struct calls){0};
	assert_int_equal(arena_blocks(&a, PAGES(41), got_block, &c), E_NOMEM);
	arena_destroy(&a);
	assert_all_given_back(&a);
}

static void test_blocks_end_with_the_first_error_of_the_receiver(void **state)
{
	(void)state;
	for (unsigned fail_at = 1; fail_at <= 4; fail_at++) {
		struct calls c = {.fail_at = fail_at};
		struct arena a;

		arena_init(&a, VM);
		assert_int_equal(arena_blocks(&a, PAGES(15), got_block, &c), E_BUSY);
		assert_int_equal(c.count, fail_at);
		assert_int_equal(a.frame_count, frames_count(VM));
		arena_destroy(&a);
		assert_all_given_back(&a);
	}
}

/* What building a VM does to its arena; true if all of it succeeded. */
static bool build(struct arena *a)
{
	struct calls c = {0};
	hpa_t base;

	for (unsigned i = 0; i < 200; i++) /* more than one frame of block descriptors */
		if (i % 4 == 0 ? !arena_alloc(a, 300 + i, 64) : arena_frames(a, 0, &base) != OK)
			return false;
	return arena_alloc(a, 3 * PAGE_SIZE, PAGE_SIZE) && arena_alloc(a, 1, 1) &&
	       arena_alloc(a, PAGE_SIZE, 8) && arena_blocks(a, PAGES(37), got_block, &c) == OK &&
	       arena_frames(a, 2, &base) == OK;
}

static void test_running_out_at_any_point_leaks_nothing(void **state)
{
	bool done = false;
	uint64_t n;

	(void)state;
	for (n = 0; !done; n++) {
		struct arena a;

		assert_true(n < 400);
		frames_init();
		assert_int_equal(frames_add(RAM_BASE, RAM_SIZE), OK);
		leave_free(n, n % 2 != 0);
		arena_init(&a, VM);
		/* The scattered variant has no block for the larger objects. */
		done = build(&a);
		assert_int_equal(a.frame_count, frames_count(VM));
		arena_destroy(&a);
		assert_all_given_back(&a);
		assert_int_equal(frames_count(FRAME_FREE), n);
	}
	assert_true(n > 200);
}

static void test_destroy_scrubs_every_frame(void **state)
{
	static hpa_t given[4096];
	unsigned count = 0;
	struct arena a;
	hpa_t base;

	(void)state;
	arena_init(&a, VM);
	assert_true(build(&a));
	assert_int_equal(arena_frames(&a, 7, &base), OK);
	memset(phys_to_virt(base), 0x77, PAGE_SIZE << 7);
	memset(arena_alloc(&a, 5000, 1), 0x66, 5000);
	for (uint64_t p = RAM_BASE; p < RAM_BASE + RAM_SIZE; p += PAGE_SIZE)
		if (frames_owner(hpa(p)) == VM)
			given[count++] = hpa(p);
	assert_int_equal(count, a.frame_count);
	arena_destroy(&a);
	for (unsigned i = 0; i < count; i++)
		assert_true(is_zero(phys_to_virt(given[i]), PAGE_SIZE));
	/* And nothing but those: the rest of free memory holds its rubbish still. */
	for (uint64_t p = RAM_BASE; p < RAM_BASE + RAM_SIZE; p += PAGE_SIZE) {
		bool ours = false;

		for (unsigned i = 0; i < count && !ours; i++)
			ours = given[i].v == p;
		if (!ours && frames_owner(hpa(p)) == FRAME_FREE)
			assert_int_equal(*(uint8_t *)phys_to_virt(hpa(p)), 0xa5);
	}
}

static void test_an_arena_can_be_used_again(void **state)
{
	struct arena a;

	(void)state;
	for (unsigned i = 0; i < 5; i++) {
		arena_init(&a, VM);
		assert_true(build(&a));
		assert_int_equal(a.frame_count, frames_count(VM));
		arena_destroy(&a);
		assert_all_given_back(&a);
		arena_destroy(&a); /* an empty one: nothing happens */
		assert_all_given_back(&a);
	}
}

static void test_an_arena_may_lie_in_itself(void **state)
{
	struct arena a, *in;

	(void)state;
	arena_init(&a, VM);
	in = arena_alloc(&a, sizeof(*in), 8);
	assert_non_null(in);
	*in = a;
	assert_true(build(in));
	assert_int_equal(in->frame_count, frames_count(VM));
	arena_destroy(in);
	assert_int_equal(frames_count(VM), 0);
	assert_int_equal(frames_count(FRAME_FREE), free_at_start);
	arena_init(&a, VM);
	in = arena_alloc(&a, PAGE_SIZE, 8); /* the same frames again: they are scrubbed */
	assert_non_null(in);
	for (unsigned i = 0; i < PAGE_SIZE; i++)
		assert_int_equal(((uint8_t *)in)[i], 0);
	arena_destroy(&a);
}

static void test_arenas_do_not_disturb_each_other(void **state)
{
	const frame_owner_t other = FRAME_VM0 + 9;
	struct arena a, b;
	uint8_t *p;

	(void)state;
	arena_init(&a, VM);
	arena_init(&b, other);
	for (unsigned i = 0; i < 50; i++) {
		assert_non_null(arena_alloc(&a, 700, 8));
		p = arena_alloc(&b, 900, 8);
		assert_non_null(p);
		memset(p, 0x33, 900);
	}
	assert_int_equal(frames_count(VM), a.frame_count);
	assert_int_equal(frames_count(other), b.frame_count);
	arena_destroy(&a);
	assert_int_equal(frames_count(VM), 0);
	assert_int_equal(frames_count(other), b.frame_count);
	for (unsigned i = 0; i < 900; i++)
		assert_int_equal(p[i], 0x33);
	arena_destroy(&b);
	assert_int_equal(frames_count(FRAME_FREE), free_at_start);
}

#define OBJECTS 600u

static void test_random_objects_never_overlap(void **state)
{
	static struct {
		uint8_t *p;
		size_t size;
	} object[OBJECTS];
	uint64_t seed = 99;

	(void)state;
	for (unsigned round = 0; round < 8; round++) {
		struct arena a;

		arena_init(&a, VM);
		for (unsigned i = 0; i < OBJECTS; i++) {
			uint64_t r = fake_random(&seed);
			size_t align = 1ul << (r & 15) % 13;
			size_t size = (r >> 8) % ((r >> 4 & 15) == 0 ? 20000 : 600) + 1;
			uint8_t *p = arena_alloc(&a, size, align);

			assert_non_null(p);
			assert_int_equal((uintptr_t)p % align, 0);
			assert_true(is_zero(p, size));
			memset(p, (int)(i % 255 + 1), size);
			object[i].p = p;
			object[i].size = size;
		}
		for (unsigned i = 0; i < OBJECTS; i++) {
			assert_int_equal(object[i].p[0], i % 255 + 1);
			assert_int_equal(memcmp(object[i].p, object[i].p + 1, object[i].size - 1),
					 0);
		}
		assert_int_equal(a.frame_count, frames_count(VM));
		arena_destroy(&a);
		assert_all_given_back(&a);
	}
}

#define t(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		t(test_a_new_arena_owns_nothing),
		t(test_objects_are_zeroed_aligned_and_apart),
		t(test_empty_objects_have_addresses_of_their_own),
		t(test_small_objects_share_frames),
		t(test_small_objects_fill_the_ends_of_large_ones),
		t(test_a_small_end_does_not_take_the_place_of_a_large_one),
		t(test_ends_that_do_not_fit_do_no_harm),
		t(test_impossible_sizes_and_alignments),
		t(test_frames_of_each_order),
		t(test_failed_requests_use_up_nothing),
		t(test_a_block_without_room_for_its_descriptor),
		t(test_blocks_cover_the_size_exactly),
		t(test_blocks_from_broken_up_memory),
		t(test_blocks_end_with_the_first_error_of_the_receiver),
		t(test_running_out_at_any_point_leaks_nothing),
		t(test_destroy_scrubs_every_frame),
		t(test_an_arena_can_be_used_again),
		t(test_an_arena_may_lie_in_itself),
		t(test_arenas_do_not_disturb_each_other),
		t(test_random_objects_never_overlap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
