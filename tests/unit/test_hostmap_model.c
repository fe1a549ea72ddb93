/*
 * The hypervisor's page tables against a model that knows single pages only.
 * needs: mm/hostmap.c mm/frames.c mm/frames_region.c tests/fake/panic.c tests/fake/spinlock.c
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <crvm/frames.h>
#include <crvm/hostmap.h>
#include <crvm/status.h>
#include "ram.h"
#include "spinlock.h"

#define MIB	 (1ul << 20)
#define GIB	 (1ul << 30)
#define PAGES(n) ((n)*PAGE_SIZE)

static int setup(void **state)
{
	(void)state;
	fake_ram_reset();
	frames_init();
	assert_int_equal(frames_add(MIB, 32 * MIB), OK);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	frames_audit();
	assert_int_equal(fake_spin_held(), 0);
	return 0;
}

static void new_map(struct hostmap *m, bool nx, bool big1g)
{
	assert_int_equal(hostmap_init(m, nx, big1g), OK);
}

/* The model: every page of a few windows, at the edges of the space and of large pages. */
#define WINDOWS	     4u
#define WINDOW_PAGES 2048u /* 8 MiB */

static const uint64_t window_va[WINDOWS] = {
	0x00007fffff800000,
	0xffff800000000000,
	DIRECT_MAP_BASE + 3 * GIB - 4 * MIB,
	0xffffffffff800000,
};

struct model_page {
	bool mapped;
	uint64_t pa;
	unsigned flags;
};

static struct model_page model[WINDOWS][WINDOW_PAGES];

struct model_walk {
	unsigned seen;
	uint64_t end;
};

static bool model_check_run(void *ctx, uint64_t va, hpa_t pa, uint64_t len, unsigned flags)
{
	struct model_walk *w = ctx;

	assert_true(va >= w->end || w->seen == 0);
	for (uint64_t o = 0; o < len; o += PAGE_SIZE) {
		struct model_page *p = NULL;

		for (unsigned i = 0; i < WINDOWS; i++)
			if (va + o - window_va[i] < PAGES(WINDOW_PAGES))
				p = &model[i][(va + o - window_va[i]) / PAGE_SIZE];
		assert_non_null(p);
		assert_true(p->mapped);
		assert_int_equal(p->pa, pa.v + o);
		assert_int_equal(p->flags, flags);
		w->seen++;
	}
	w->end = va + len;
	return true;
}

static void model_compare(const struct hostmap *m)
{
	struct model_walk w = {0};
	unsigned mapped = 0;

	hostmap_walk(m, model_check_run, &w);
	for (unsigned i = 0; i < WINDOWS; i++)
		for (unsigned p = 0; p < WINDOW_PAGES; p++) {
			struct model_page *e = &model[i][p];
			unsigned flags = 0;
			hpa_t pa = hpa(0);

			mapped += e->mapped;
			if (hostmap_query(m, window_va[i] + PAGES(p) + 7, &pa, &flags, NULL) !=
			    OK) {
				assert_false(e->mapped);
				continue;
			}
			assert_true(e->mapped);
			assert_int_equal(pa.v, e->pa + 7);
			assert_int_equal(flags, e->flags);
		}
	assert_int_equal(w.seen, mapped);
}

static void model_map(struct hostmap *m, unsigned w, unsigned first, unsigned count, uint64_t pa,
		      unsigned flags)
{
	int expected = OK;

	for (unsigned i = 0; i < count && expected == OK; i++) {
		struct model_page *e = &model[w][first + i];

		if (e->mapped && (e->pa != pa + PAGES(i) || e->flags != flags))
			expected = E_EXIST;
		else
			*e = (struct model_page){true, pa + PAGES(i), flags};
	}
	assert_int_equal(hostmap_map(m, window_va[w] + PAGES(first), hpa(pa), PAGES(count), flags),
			 expected);
}

static void model_protect(struct hostmap *m, unsigned w, unsigned first, unsigned count,
			  unsigned flags)
{
	int expected = OK;

	for (unsigned i = 0; i < count; i++)
		if (!model[w][first + i].mapped)
			expected = E_NOENT;
	for (unsigned i = 0; i < count && expected == OK; i++)
		model[w][first + i].flags = flags;
	assert_int_equal(hostmap_protect(m, window_va[w] + PAGES(first), PAGES(count), flags),
			 expected);
}

static void random_use(bool nx, bool big1g, uint64_t seed)
{
	static const unsigned all_flags[] = {MAP_R, MAP_W, MAP_X, MAP_W | MAP_UC, MAP_R | MAP_WC};
	static const unsigned align[] = {1, 1, 64, 512, 512, 1024};
	struct hostmap m;

	memset(model, 0, sizeof(model));
	new_map(&m, nx, big1g);
	for (unsigned step = 0; step < 6000; step++) {
		uint64_t r = fake_random(&seed);
		unsigned w = r & 3, a = align[(r >> 2 & 0xff) % array_count(align)];
		unsigned first = (unsigned)(r >> 10) % WINDOW_PAGES / a * a;
		unsigned most = WINDOW_PAGES - first;
		unsigned count = (r >> 24 & 1) ? a : (unsigned)(r >> 25) % 700 + 1;
		unsigned flags = all_flags[(r >> 36) % array_count(all_flags)];
		/* Mostly the same offset, so that mappings often agree and large pages come about.
		 */
		uint64_t pa = ((r >> 40 & 3) == 0 ? (r >> 44 & 3) * 2 * MIB + PAGES(r >> 46 & 3)
						  : (w + 1) * GIB) +
			      PAGES(first);

		if ((r >> 48 & 3) == 0)
			flags = MAP_W;
		if (count > most)
			count = most;
		switch (r >> 52 & 7) {
		case 0:
		case 1:
			model_protect(&m, w, first, count, flags);
			break;
		case 2:
			memset(&model[w][first], 0, count * sizeof(model[w][0]));
			assert_int_equal(
				hostmap_unmap(&m, window_va[w] + PAGES(first), PAGES(count)), OK);
			break;
		default:
			model_map(&m, w, first, count, pa, flags);
		}
		/* Every so often start a window anew, with one large page. */
		if (step % 200 == 199) {
			new_map(&m, nx, big1g);
			memset(model, 0, sizeof(model));
			for (w = 0; w < WINDOWS; w++)
				model_map(&m, w, 0, WINDOW_PAGES, (w + 1) * GIB, MAP_W);
		}
		if (step % 20 == 0)
			model_compare(&m);
	}
	model_compare(&m);
}

static void test_random_use_agrees_with_a_model(void **state)
{
	(void)state;
	random_use(true, true, 1);
}

static void test_random_use_without_nx_and_1g_pages(void **state)
{
	(void)state;
	random_use(false, false, 2);
}

#define t(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		t(test_random_use_agrees_with_a_model),
		t(test_random_use_without_nx_and_1g_pages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
