/*
 * Extended page tables against a model of single pages, with memory that runs out now and then.
 * needs: vmx/ept.c mm/arena.c mm/hostmap.c mm/frames.c mm/frames_region.c
 * needs: tests/fake/panic.c tests/fake/spinlock.c
 */
#include "ept_rig.h"

#define WINDOWS	     4u
#define WINDOW_PAGES 2048u /* 8 MiB */

/* The ends of the space, and where tables of each level meet. */
static const uint64_t window_gpa[WINDOWS] = {0, GIB - 4 * MIB, 512 * GIB - 4 * MIB,
					     256 * TIB - 8 * MIB};

struct model_page {
	bool mapped;
	uint64_t hpa;
	unsigned flags;
};

static struct model_page model[WINDOWS][WINDOW_PAGES];

struct model_walk {
	unsigned seen;
	uint64_t end;
};

static struct model_page *model_at(uint64_t gpa)
{
	for (unsigned i = 0; i < WINDOWS; i++)
		if (gpa - window_gpa[i] < PAGES(WINDOW_PAGES))
			return &model[i][(gpa - window_gpa[i]) / PAGE_SIZE];
	fail_msg("0x%lx is mapped", gpa);
	return NULL;
}

static bool model_check_page(void *ctx, gpa_t gpa, hpa_t hpa, uint64_t len, unsigned flags)
{
	struct model_walk *w = ctx;

	assert_true(gpa.v >= w->end);
	assert_true(len == 4 * KIB || len == 2 * MIB || len == GIB);
	for (uint64_t o = 0; o < len; o += PAGE_SIZE) {
		const struct model_page *p = model_at(gpa.v + o);

		assert_true(p->mapped);
		assert_int_equal(p->hpa, hpa.v + o);
		assert_int_equal(p->flags, flags);
		w->seen++;
	}
	w->end = gpa.v + len;
	return true;
}

static void model_compare(const struct ept *e)
{
	struct model_walk w = {0};
	unsigned mapped = 0;

	rig_check(e, false);
	ept_walk(e, model_check_page, &w);
	for (unsigned i = 0; i < WINDOWS; i++)
		for (unsigned p = 0; p < WINDOW_PAGES; p++) {
			const struct model_page *m = &model[i][p];
			unsigned flags = 0;
			hpa_t at = hpa(0);
			int rc = ept_query(e, gpa(window_gpa[i] + PAGES(p) + 9), &at, &flags, NULL);

			assert_int_equal(rc, m->mapped ? OK : E_NOENT);
			mapped += m->mapped;
			if (!m->mapped)
				continue;
			assert_int_equal(at.v, m->hpa + 9);
			assert_int_equal(flags, m->flags);
		}
	assert_int_equal(w.seen, mapped);
}

struct step {
	unsigned w, first, count, flags;
	uint64_t hpa;
	bool poor; /* there is hardly any memory: E_NOMEM may come */
};

static bool flags_fit(const struct ept *e, unsigned flags)
{
	return flags == 0 || flags == 1 || flags == 3 || flags == 5 || flags == 7 ||
	       (flags == 4 && e->caps.execute_only);
}

/* Returns whether the model is to follow. */
static bool step_result(const struct step *s, int rc, int expected)
{
	if (s->poor && rc == E_NOMEM && expected == OK)
		return false;
	assert_int_equal(rc, expected);
	return rc == OK;
}

static void step_map(struct ept *e, const struct step *s)
{
	struct model_page *m = &model[s->w][s->first];
	uint64_t at = window_gpa[s->w] + PAGES(s->first), generation = e->generation;
	int expected = OK;

	for (unsigned i = 0; i < s->count; i++)
		if (m[i].mapped)
			expected = E_EXIST;
	if (!flags_fit(e, s->flags))
		expected = E_INVAL;
	if (step_result(s, ept_map(e, gpa(at), hpa(s->hpa), PAGES(s->count), s->flags), expected))
		for (unsigned i = 0; i < s->count; i++)
			m[i] = (struct model_page){true, s->hpa + PAGES(i), s->flags};
	assert_int_equal(e->generation, generation);
}

static void step_protect(struct ept *e, const struct step *s)
{
	struct model_page *m = &model[s->w][s->first];
	uint64_t at = window_gpa[s->w] + PAGES(s->first), generation = e->generation;
	bool lost = false;
	int expected = OK;

	for (unsigned i = 0; i < s->count; i++)
		if (!m[i].mapped)
			expected = E_NOENT;
	if (!flags_fit(e, s->flags))
		expected = E_INVAL;
	if (!step_result(s, ept_protect(e, gpa(at), PAGES(s->count), s->flags), expected))
		return;
	for (unsigned i = 0; i < s->count; i++) {
		lost |= m[i].flags & ~s->flags;
		m[i].flags = s->flags;
	}
	if (lost)
		assert_true(e->generation > generation);
}

static struct step step_make(uint64_t *seed)
{
	static const unsigned flags[] = {7, 7, 7, 7, 5, 3, 1, 4, 0, 2, 6};
	static const unsigned align[] = {1, 1, 64, 512, 512, 1024};
	uint64_t r = fake_random(seed);
	unsigned a = align[(r >> 2 & 0xff) % array_count(align)];
	struct step s = {.w = r & 3, .first = (unsigned)(r >> 10) % WINDOW_PAGES / a * a};

	s.count = (r >> 24 & 1) ? a : (unsigned)(r >> 25) % 700 + 1;
	if (s.count > WINDOW_PAGES - s.first)
		s.count = WINDOW_PAGES - s.first;
	s.flags = flags[(r >> 36) % array_count(flags)];
	s.hpa = (s.w + 1) * GIB + PAGES(s.first);
	if ((r >> 40 & 3) == 0)
		s.hpa += PAGES(r >> 44 & 3);
	return s;
}

static void random_use(const struct ept_caps *caps, uint64_t seed)
{
	struct ept e;

	rig_add_type(2 * GIB + 3 * MIB, 64 * KIB, MEMORY_UC);
	rig_add_type(3 * GIB, 2 * MIB, MEMORY_WC);
	rig_add_type(3 * GIB + 2 * MIB, 2 * MIB - PAGE_SIZE, MEMORY_WP);
	for (unsigned step = 0; step < 3000; step++) {
		struct step s;

		if (step % 100 == 0) { /* anew, and every other time in large pages */
			arena_destroy(&rig_arena);
			memset(model, 0, sizeof(model));
			rig_new(&e, caps);
			for (unsigned w = 0; w < WINDOWS && step % 200 == 0; w++) {
				s = (struct step){w, 0, WINDOW_PAGES, 7, (w + 1) * GIB, false};
				step_map(&e, &s);
			}
		}
		s = step_make(&seed);
		s.poor = fake_random(&seed) % 4 == 0;
		if (s.poor)
			rig_leave_frames(fake_random(&seed) % 4);
		if (fake_random(&seed) % 3 == 0)
			step_map(&e, &s);
		else
			step_protect(&e, &s);
		rig_give_frames_back();
		if (step % 20 == 19)
			model_compare(&e);
	}
}

static void test_random_use_agrees_with_a_model(void **state)
{
	(void)state;
	random_use(&rig_all_caps, 1);
}

static void test_random_use_with_4k_pages_only(void **state)
{
	const struct ept_caps caps = {.phys_bits = 36};

	(void)state;
	random_use(&caps, 2);
}

static void test_random_use_with_2m_pages(void **state)
{
	const struct ept_caps caps = {.page_2m = true, .phys_bits = 52};

	(void)state;
	random_use(&caps, 3);
}

#define t(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		t(test_random_use_agrees_with_a_model),
		t(test_random_use_with_4k_pages_only),
		t(test_random_use_with_2m_pages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
