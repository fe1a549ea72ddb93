/*
 * The frame allocator against a model: random use of a small machine with holes.
 * needs: mm/frames.c mm/frames_region.c mm/hostmap.c tests/fake/panic.c tests/fake/spinlock.c
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <crvm/frames.h>
#include <crvm/status.h>
#include "ram.h"
#include "spinlock.h"

#define MIB	 (1ul << 20)
#define PAGES(n) ((n)*PAGE_SIZE)

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

/* The model: an owner and a block number for each frame of a small machine with holes. */
#define MODEL_FRAMES 4096u
#define MODEL_BLOCKS 512u

static struct {
	frame_owner_t owner[MODEL_FRAMES];
	struct {
		hpa_t base;
		unsigned order;
		frame_owner_t owner;
	} block[MODEL_BLOCKS];
	unsigned block_count;
	uint64_t free_count;
} model;

static void model_start(void)
{
	assert_int_equal(frames_reserve(MIB, 300 * 1024, FRAME_IMAGE), OK);
	assert_int_equal(frames_reserve(3 * MIB + 5, MIB, FRAME_MODULE), OK);
	assert_int_equal(frames_add(0, 640 * 1024 - 1024), OK);
	assert_int_equal(frames_add(MIB, 8 * MIB - PAGES(3)), OK);
	assert_int_equal(frames_add(10 * MIB + PAGES(7), 5 * MIB), OK);
	model.block_count = 0;
	model.free_count = frames_count(FRAME_FREE);
	for (unsigned i = 0; i < MODEL_FRAMES; i++)
		model.owner[i] = frames_owner(hpa(PAGES(i)));
}

static void model_alloc(unsigned order, frame_owner_t owner, uint64_t limit)
{
	hpa_t base;
	int rc = limit ? frames_alloc_below(order, owner, limit, &base)
		       : frames_alloc(order, owner, &base);

	if (rc != OK) {
		assert_int_equal(rc, E_NOMEM);
		/* There is really no aligned free block of that order below the limit. */
		for (unsigned p = 0; p + (1u << order) <= MODEL_FRAMES; p += 1u << order) {
			unsigned n = 0;

			while (n < 1u << order && model.owner[p + n] == FRAME_FREE)
				n++;
			if (n == 1u << order)
				assert_true(limit && PAGES(p + n) > limit);
		}
		return;
	}
	assert_int_equal(base.v % (PAGE_SIZE << order), 0);
	if (limit)
		assert_true(base.v + (PAGE_SIZE << order) <= limit);
	for (unsigned i = 0; i < 1u << order; i++) {
		assert_int_equal(model.owner[base.v / PAGE_SIZE + i], FRAME_FREE);
		model.owner[base.v / PAGE_SIZE + i] = owner;
	}
	model.block[model.block_count].base = base;
	model.block[model.block_count].owner = owner;
	model.block[model.block_count++].order = order;
	model.free_count -= 1ul << order;
}

static void model_free(unsigned i)
{
	unsigned order = model.block[i].order;

	frames_free(model.block[i].base, order);
	for (unsigned p = 0; p < 1u << order; p++)
		model.owner[model.block[i].base.v / PAGE_SIZE + p] = FRAME_FREE;
	model.free_count += 1ul << order;
	model.block[i] = model.block[--model.block_count];
}

static void model_compare(void)
{
	uint64_t count[FRAME_VM0 + 4] = {0};

	for (unsigned i = 0; i < MODEL_FRAMES; i++) {
		assert_int_equal(frames_owner(hpa(PAGES(i) + i)), model.owner[i]);
		count[model.owner[i]]++;
	}
	for (frame_owner_t o = 0; o < array_count(count); o++)
		if (o != FRAME_NONE) /* in the model, also what is not RAM */
			assert_int_equal(frames_count(o), count[o]);
	assert_int_equal(frames_count(FRAME_FREE), model.free_count);
	frames_audit();
}

static void test_random_use_agrees_with_a_model(void **state)
{
	uint64_t seed = 0x1234567, free_at_start;

	(void)state;
	model_start();
	free_at_start = model.free_count;
	for (unsigned step = 0; step < 40000; step++) {
		uint64_t r = fake_random(&seed);
		bool grow = (step / 1000) % 2 == 0; /* phases: fuller, emptier */
		bool alloc = (r & 7) < (grow ? 6 : 2);
		unsigned order = (unsigned)(r >> 8) % 12;

		if (order > 4 && (r >> 16 & 3) != 0)
			order %= 4;
		if (alloc && model.block_count < MODEL_BLOCKS)
			model_alloc(order, (frame_owner_t)(FRAME_VM0 + (r >> 20) % 4),
				    (r >> 24 & 7) == 0 ? (r >> 32) % (16 * MIB) + 1 : 0);
		else if (model.block_count > 0)
			model_free((unsigned)(r >> 32) % model.block_count);
		if (step % 500 == 0)
			model_compare();
		assert_int_equal(fake_spin_held(), 0);
	}
	frames_release(3 * MIB, 2 * MIB, FRAME_MODULE);
	for (unsigned i = 0; i < MODEL_FRAMES; i++)
		if (model.owner[i] == FRAME_MODULE) {
			model.owner[i] = FRAME_FREE;
			model.free_count++;
		}
	model_compare();
	while (model.block_count > 0)
		model_free(model.block_count - 1);
	model_compare();
	assert_int_equal(model.free_count, free_at_start + 257);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_random_use_agrees_with_a_model, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
