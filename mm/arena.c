/*
 * Arenas: all memory of one owner, given back whole. It must not know whose memory it is, nor what
 * it is for.
 *
 * Each block from the frame allocator has a descriptor in the arena's own small-object space: in
 * the block itself, or in an older one. The list of descriptors starts at the newest, so that
 * destroying the blocks in its order never reads a descriptor in a block that is gone.
 */
#include <crvm/arena.h>
#include <crvm/hostmap.h>
#include <crvm/panic.h>
#include <crvm/status.h>
#include <crvm/string.h>

struct arena_block {
	struct arena_block *next; /* older */
	hpa_t base;
	unsigned order;
};

static size_t block_bytes(unsigned order)
{
	return PAGE_SIZE << order;
}

void arena_init(struct arena *a, frame_owner_t owner)
{
	*a = (struct arena){.owner = owner};
}

static size_t rest_room(const struct arena_rest *r)
{
	return (size_t)(r->end - r->at);
}

/* What of a rest lies before an object of this alignment. */
static size_t rest_gap(const struct arena_rest *r, size_t align)
{
	return -(uintptr_t)r->at & (align - 1);
}

static bool rest_fits(const struct arena_rest *r, size_t size, size_t align)
{
	const size_t room = rest_room(r), gap = rest_gap(r, align);

	return gap <= room && size <= room - gap;
}

/* An object from the smallest rest that has room for it; NULL if none has. */
static void *rest_take(struct arena *a, size_t size, size_t align)
{
	struct arena_rest *best = NULL;
	uint8_t *p;

	for (unsigned i = 0; i < ARENA_REST_COUNT; i++) {
		struct arena_rest *r = &a->rest[i];

		if (rest_fits(r, size, align) && (!best || rest_room(r) < rest_room(best)))
			best = r;
	}
	if (!best)
		return NULL;
	p = best->at + rest_gap(best, align);
	best->at = p + size;
	return p;
}

static struct arena_rest *rest_least(struct arena *a)
{
	struct arena_rest *least = &a->rest[0];

	for (unsigned i = 1; i < ARENA_REST_COUNT; i++)
		if (rest_room(&a->rest[i]) < rest_room(least))
			least = &a->rest[i];
	return least;
}

static void block_push(struct arena *a, struct arena_block *b, hpa_t base, unsigned order)
{
	*b = (struct arena_block){.next = a->blocks, .base = base, .order = order};
	a->blocks = b;
	a->frame_count += 1ull << order;
}

/* A new chunk for small objects: one frame that holds its own descriptor. */
static int chunk_add(struct arena *a)
{
	struct arena_block *b;
	hpa_t base;
	int rc = frames_alloc(0, a->owner, &base);

	if (rc != OK)
		return rc;
	b = phys_to_virt(base);
	memset(b, 0, PAGE_SIZE);
	block_push(a, b, base, 0);
	*rest_least(a) = (struct arena_rest){(uint8_t *)(b + 1), (uint8_t *)b + PAGE_SIZE};
	return OK;
}

/* Room for one more descriptor; NULL if there is no memory. */
static struct arena_block *descriptor_take(struct arena *a)
{
	const size_t size = sizeof(struct arena_block), align = _Alignof(struct arena_block);
	struct arena_block *b = rest_take(a, size, align);

	if (b || chunk_add(a) != OK)
		return b;
	return rest_take(a, size, align);
}

int arena_frames(struct arena *a, unsigned order, hpa_t *out)
{
	struct arena_block *b;
	int rc = frames_alloc(order, a->owner, out);

	if (rc != OK)
		return rc;
	b = descriptor_take(a);
	if (!b) {
		frames_free(*out, order);
		return E_NOMEM;
	}
	memset(phys_to_virt(*out), 0, block_bytes(order));
	block_push(a, b, *out, order);
	return OK;
}

/* An object of its own block; what is left of the block serves for small ones. */
static void *arena_alloc_large(struct arena *a, size_t size)
{
	struct arena_rest *least, rest;
	unsigned order = 0;
	uint8_t *p;
	hpa_t base;

	while (order <= FRAME_ORDER_MAX && block_bytes(order) < size)
		order++;
	if (order > FRAME_ORDER_MAX || arena_frames(a, order, &base) != OK)
		return NULL;
	p = phys_to_virt(base);
	least = rest_least(a);
	rest = (struct arena_rest){p + size, p + block_bytes(order)};
	if (rest_room(&rest) > rest_room(least))
		*least = rest;
	return p;
}

void *arena_alloc(struct arena *a, size_t size, size_t align)
{
	void *p;

	check(align != 0 && (align & (align - 1)) == 0 && align <= PAGE_SIZE);
	if (size == 0)
		size = 1; /* distinct objects have distinct addresses */
	p = rest_take(a, size, align);
	if (p)
		return p;
	if (size > PAGE_SIZE || align_up(sizeof(struct arena_block), align) + size > PAGE_SIZE)
		return arena_alloc_large(a, size);
	if (chunk_add(a) != OK)
		return NULL;
	return rest_take(a, size, align);
}

int arena_blocks(struct arena *a, uint64_t size,
		 int (*got)(void *ctx, uint64_t offset, hpa_t base, uint64_t len), void *ctx)
{
	unsigned order = FRAME_ORDER_MAX;
	uint64_t offset = 0;

	check(size % PAGE_SIZE == 0);
	/*
	 * The order never rises again, so each offset is a multiple of its block's size: offset and
	 * address have the same alignment, and nested page tables can use large pages.
	 */
	while (offset < size) {
		hpa_t base;
		int rc;

		while (block_bytes(order) > size - offset)
			order--;
		rc = arena_frames(a, order, &base);
		if (rc == E_NOMEM && order > 0) {
			order--;
			continue;
		}
		if (rc != OK)
			return rc;
		rc = got(ctx, offset, base, block_bytes(order));
		if (rc != OK)
			return rc;
		offset += block_bytes(order);
	}
	return OK;
}

void arena_destroy(struct arena *a)
{
	struct arena_block *b = a->blocks;

	while (b) {
		struct arena_block block = *b; /* it may lie in the block it describes */

		memset(phys_to_virt(block.base), 0, block_bytes(block.order));
		frames_free(block.base, block.order);
		b = block.next;
	}
	arena_init(a, a->owner);
}
