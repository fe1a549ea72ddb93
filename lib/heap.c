/*
 * Pairing heap of caller-owned nodes. Must not know what the nodes are part of, nor any lock.
 *
 * A tree in which no child has a smaller key than its parent; a node's children are a list in any
 * order. Nothing here recurses: a heap may be as deep as it has nodes.
 */
#include <crvm/heap.h>

/* Joins two trees, neither of which has siblings; returns the new root. */
static struct heap_node *heap_meld(struct heap_node *a, struct heap_node *b)
{
	struct heap_node *top = a->key <= b->key ? a : b;
	struct heap_node *sub = top == a ? b : a;

	sub->prev = top;
	sub->next = top->child;
	if (top->child)
		top->child->prev = sub;
	top->child = sub;
	return top;
}

/*
 * Joins a list of siblings to one tree; NULL for none. First in pairs and then pair by pair, which
 * is what makes removal O(log n) amortised: one chain from end to end would leave a list, and cost
 * O(n) each time.
 */
static struct heap_node *heap_combine(struct heap_node *list)
{
	struct heap_node *pairs = NULL, *root = NULL;

	while (list) {
		struct heap_node *a = list, *b = a->next;

		list = b ? b->next : NULL;
		a->prev = a->next = NULL;
		if (b) {
			b->prev = b->next = NULL;
			a = heap_meld(a, b);
		}
		a->next = pairs;
		pairs = a;
	}
	while (pairs) {
		struct heap_node *tree = pairs;

		pairs = tree->next;
		tree->next = NULL;
		root = root ? heap_meld(root, tree) : tree;
	}
	return root;
}

void heap_insert(struct heap *h, struct heap_node *n, uint64_t key)
{
	*n = (struct heap_node){.key = key, .queued = true};
	h->root = h->root ? heap_meld(h->root, n) : n;
}

void heap_remove(struct heap *h, struct heap_node *n)
{
	struct heap_node *rest;

	if (!n->queued)
		return;
	rest = heap_combine(n->child);
	if (n == h->root) {
		h->root = rest;
	} else {
		if (n->prev->child == n) /* a first child: prev is the parent */
			n->prev->child = n->next;
		else
			n->prev->next = n->next;
		if (n->next)
			n->next->prev = n->prev;
		if (rest)
			h->root = heap_meld(h->root, rest);
	}
	n->child = n->next = n->prev = NULL;
	n->queued = false;
}
