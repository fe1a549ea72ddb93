/*
 * lib/heap.c: against a sorted array, with the tree's own rules checked on the way.
 * needs: lib/heap.c
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include <crvm/heap.h>

#define NODES 300

static uint64_t seed = 1;

static uint32_t rnd(uint32_t below)
{
	seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(seed >> 33) % below;
}

/* Walks the whole tree: links agree both ways, no child is smaller than its parent. Returns the
 * count. */
static size_t heap_check(const struct heap *h)
{
	struct heap_node *n = h->root;
	size_t count = 0;

	if (!n)
		return 0;
	assert_null(n->prev);
	assert_null(n->next);
	for (;;) {
		count++;
		assert_true(n->queued);
		if (n->child) {
			assert_ptr_equal(n->child->prev, n);
			for (struct heap_node *c = n->child; c; c = c->next) {
				assert_true(c->key >= n->key);
				if (c->next)
					assert_ptr_equal(c->next->prev, c);
			}
			n = n->child;
			continue;
		}
		while (!n->next) { /* back to the first sibling, then up */
			while (n->prev && n->prev->child != n)
				n = n->prev;
			n = n->prev;
			if (!n)
				return count;
		}
		n = n->next;
	}
}

/* The model: keys in ascending order. */
struct model {
	uint64_t key[NODES];
	size_t count;
};

static void model_insert(struct model *m, uint64_t key)
{
	size_t i = m->count++;

	for (; i > 0 && m->key[i - 1] > key; i--)
		m->key[i] = m->key[i - 1];
	m->key[i] = key;
}

static void model_remove(struct model *m, uint64_t key)
{
	size_t i = 0;

	while (m->key[i] != key)
		i++;
	m->count--;
	memmove(m->key + i, m->key + i + 1, (m->count - i) * sizeof(m->key[0]));
}

static uint64_t key_of_kind(unsigned kind)
{
	switch (kind) {
	case 0:
		return rnd(8); /* many equal ones */
	case 1:
		return seed;
	case 2:
		return rnd(2) ? UINT64_MAX - rnd(3)
			      : rnd(3); /* no signed comparison, no difference */
	default:
		return rnd(100000);
	}
}

static void heap_agrees_with_a_sorted_array(void **state)
{
	(void)state;
	for (unsigned round = 0; round < 40; round++) {
		struct heap_node node[NODES] = {0};
		struct heap h = {NULL};
		struct model m = {.count = 0};
		uint32_t growth = 20 + rnd(60);

		for (int step = 0; step < 1500; step++) {
			struct heap_node *n = &node[rnd(NODES)];

			if (rnd(100) < growth) {
				uint64_t key = key_of_kind(round % 4);

				if (n->queued)
					continue;
				heap_insert(&h, n, key);
				assert_true(n->queued);
				assert_int_equal(n->key, key);
				model_insert(&m, key);
			} else {
				if (rnd(2) && heap_min(&h))
					n = heap_min(&h);
				if (n->queued)
					model_remove(&m, n->key);
				heap_remove(&h, n); /* sometimes of one that is not in it */
				assert_false(n->queued);
			}
			assert_int_equal(heap_check(&h), m.count);
			if (m.count)
				assert_int_equal(heap_min(&h)->key, m.key[0]);
			else
				assert_null(heap_min(&h));
		}
		while (m.count) {
			struct heap_node *n = heap_min(&h);

			assert_non_null(n);
			assert_int_equal(n->key, m.key[0]);
			model_remove(&m, n->key);
			heap_remove(&h, n);
		}
		assert_null(heap_min(&h));
	}
}

static void removing_what_is_not_queued_does_nothing(void **state)
{
	struct heap_node in = {0}, out = {0};
	struct heap h = {NULL};

	(void)state;
	heap_remove(&h, &out);
	assert_null(heap_min(&h));
	heap_insert(&h, &in, 5);
	heap_remove(&h, &out);
	assert_ptr_equal(heap_min(&h), &in);
	heap_remove(&h, &in);
	heap_remove(&h, &in);
	assert_null(heap_min(&h));
}

static void insert_ignores_what_was_in_the_node(void **state)
{
	struct heap_node n[2];
	struct heap h = {NULL};

	(void)state;
	memset(n, 0xa5, sizeof(n));
	heap_insert(&h, &n[0], 2);
	heap_insert(&h, &n[1], 1);
	assert_int_equal(heap_check(&h), 2);
	assert_ptr_equal(heap_min(&h), &n[1]);
}

static void removed_node_may_be_inserted_again_with_another_key(void **state)
{
	struct heap_node n[4] = {0};
	struct heap h = {NULL};

	(void)state;
	for (uint64_t i = 0; i < 4; i++)
		heap_insert(&h, &n[i], 10 + i);
	heap_remove(&h, &n[3]);
	heap_insert(&h, &n[3], 1);
	assert_ptr_equal(heap_min(&h), &n[3]);
	heap_remove(&h, &n[3]);
	heap_insert(&h, &n[3], 100);
	assert_ptr_equal(heap_min(&h), &n[0]);
	assert_int_equal(heap_check(&h), 4);
}

/* Descending keys make one chain: anything that recursed over it would run out of stack. */
static void deep_heap_needs_no_stack(void **state)
{
	const size_t count = 1000000;
	struct heap_node *n = calloc(count, sizeof(*n));
	struct heap h = {NULL};

	(void)state;
	for (size_t i = 0; i < count; i++)
		heap_insert(&h, &n[i], count - i);
	for (size_t i = count; i-- > 0;) {
		assert_ptr_equal(heap_min(&h), &n[i]);
		heap_remove(&h, &n[i]);
	}
	assert_null(heap_min(&h));
	free(n);
}

/* Ascending keys make one long list of siblings: the first removal must shorten it for good. */
static void removal_halves_a_list_of_siblings(void **state)
{
	struct heap_node n[1001] = {0};
	struct heap h = {NULL};
	size_t siblings = 0;

	(void)state;
	for (size_t i = 0; i < array_count(n); i++)
		heap_insert(&h, &n[i], i);
	heap_remove(&h, &n[0]);
	assert_int_equal(heap_check(&h), 1000);
	for (struct heap_node *c = heap_min(&h)->child; c; c = c->next)
		siblings++;
	assert_true(siblings <= 501);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(heap_agrees_with_a_sorted_array),
		cmocka_unit_test(removing_what_is_not_queued_does_nothing),
		cmocka_unit_test(insert_ignores_what_was_in_the_node),
		cmocka_unit_test(removed_node_may_be_inserted_again_with_another_key),
		cmocka_unit_test(deep_heap_needs_no_stack),
		cmocka_unit_test(removal_halves_a_list_of_siblings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
