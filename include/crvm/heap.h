/*
 * Intrusive min-heap (a pairing heap) ordered by a 64-bit key: no allocation, no limit on its size
 * (lib/heap.c). insert O(1), pop and remove O(log n) amortised. The caller locks. Any file may use
 * it.
 */
#pragma once

#include <crvm/compiler.h>

struct heap_node {
	uint64_t key;
	struct heap_node *child, *next,
		*prev; /* prev: the left sibling, or the parent of a first child */
	bool queued;
};

struct heap {
	struct heap_node *root;
};

/* The node must not be queued; its key must not change while it is. Equal keys leave in any order.
 */
void heap_insert(struct heap *h, struct heap_node *n, uint64_t key);
/* Does nothing for a node that is not queued. */
void heap_remove(struct heap *h, struct heap_node *n);
/* The node with the smallest key stays in the heap; NULL if empty. */
static inline struct heap_node *heap_min(const struct heap *h)
{
	return h->root;
}
