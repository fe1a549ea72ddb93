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

#define ORDER_2M  9u
#define ORDER_1G  18u
#define BATCH_MAX 256u

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

/*
 * Blocks on their way to a receiver: those of similar size by address, so that what lies side by
 * side in memory is given out side by side, and is one piece to whoever joins neighbours.
 */
struct arena_batch {
	unsigned count, step;
	uint64_t offset;	   /* of the first */
	uint64_t block[BATCH_MAX]; /* address, and order in the bits below a page */
};
_Static_assert(FRAME_ORDER_MAX < PAGE_SIZE && sizeof(struct arena_batch) < 3000, "on the stack");

/*
 * Offset and address of a block agree modulo this order: that of the largest page of a nested page
 * table which fits. Orders fall from block to block, so all before it is a multiple.
 */
static unsigned order_step(unsigned order)
{
	return order >= ORDER_1G ? ORDER_1G : order >= ORDER_2M ? ORDER_2M : 0;
}

static void batch_add(struct arena_batch *b, hpa_t base, unsigned order)
{
	unsigned at = b->count++;

	for (; at > 0 && b->block[at - 1] > base.v; at--)
		b->block[at] = b->block[at - 1];
	b->block[at] = base.v | order;
}

static int batch_give(struct arena_batch *b, arena_got_fn *got, void *ctx)
{
	int rc = OK;

	for (unsigned i = 0; i < b->count && rc == OK; i++) {
		const uint64_t order = b->block[i] % PAGE_SIZE, len = block_bytes((unsigned)order);

		rc = got(ctx, b->offset, hpa(b->block[i] - order), len);
		b->offset += len;
	}
	b->count = 0;
	return rc;
}

int arena_blocks(struct arena *a, uint64_t size, arena_got_fn *got, void *ctx)
{
	unsigned order = FRAME_ORDER_MAX;
	struct arena_batch batch;
	uint64_t taken = 0;
	hpa_t base;
	int rc;

	check(size % PAGE_SIZE == 0);
	batch.count = batch.step = 0;
	batch.offset = 0;
	while (taken < size) {
		while (block_bytes(order) > size - taken)
			order--;
		rc = arena_frames(a, order, &base);
		if (rc == E_NOMEM && order > 0) {
			order--;
			continue;
		}
		if (rc == OK && (batch.count == BATCH_MAX || batch.step != order_step(order)))
			rc = batch_give(&batch, got, ctx);
		if (rc != OK)
			return rc;
		batch.step = order_step(order);
		batch_add(&batch, base, order);
		taken += block_bytes(order);
	}
	return batch_give(&batch, got, ctx);
}

void arena_destroy(struct arena *a)
{
	struct arena_block *b = a->blocks;

	arena_init(a, a->owner); /* now: it may lie in one of the blocks */
	while (b) {
		struct arena_block block = *b; /* it may lie in the block it describes */

		memset(phys_to_virt(block.base), 0, block_bytes(block.order));
		frames_free(block.base, block.order);
		b = block.next;
	}
}
