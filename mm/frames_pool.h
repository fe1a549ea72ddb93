/*
 * What the two halves of the frame allocator share: frames.c (allocation) and frames_region.c
 * (which RAM there is). For these two only; the rest of the world sees crvm/frames.h.
 *
 * Each region's table lies in the region itself, one entry per frame. A block is 2^order frames,
 * aligned to its size, inside one region. Its first entry, the head, says what it is; the others
 * are INSIDE and carry the owner only. So the inside of a free block is all zeroes: a zeroed table
 * plus a few heads is a region full of free memory, however large it is.
 */
#pragma once

#include <crvm/frames.h>
#include <crvm/hostmap.h>
#include <crvm/spinlock.h>

#define FRAMES_REGION_MAX  64u
#define FRAMES_RESERVE_MAX 256u
/* n ranges that overlap have 2n ends, so fewer than 2n disjoint pieces; the first page is one more.
 */
#define FRAMES_PIECE_MAX (2 * (FRAMES_RESERVE_MAX + 1) + FRAMES_REGION_MAX)
#define ORDER_COUNT	 (FRAME_ORDER_MAX + 1)
#define PFN_NONE	 0xffffffffffull /* ends a list; also the mask of a link */
#define PFN_LIMIT	 (DIRECT_MAP_SIZE >> PAGE_SHIFT)
#define ORDER_MASK	 31u
#define FRAMES(order)	 (1ull << (order))

/* Two bits differ between any two states: no single flipped bit makes one into another. */
enum frame_state {
	FRAME_INSIDE = 0, /* not a head: inside a free or an allocated block */
	FRAME_HEAD_FREE = 3,
	FRAME_HEAD_USED = 5,
	FRAME_RESERVED = 6, /* a frame on its own, never allocated */
};

struct frame {
	uint64_t next : 40; /* free heads: neighbours in the list of their order */
	uint64_t order : 5; /* heads */
	uint64_t state : 3; /* enum frame_state */
	uint64_t owner : 16;
	uint64_t prev : 40;
	uint64_t unused : 24;
};
_Static_assert(sizeof(struct frame) == 16, "the table takes 1/256 of all RAM");
_Static_assert(PFN_LIMIT < PFN_NONE, "a link holds any frame number");
_Static_assert(FRAME_ORDER_MAX <= ORDER_MASK, "an entry holds any order");

/* Frame numbers from `first` up to `end`, exclusive. */
struct frame_span {
	uint64_t first, end;
};

struct frame_region {
	struct frame_span span;
	struct frame *table; /* [0] is the entry of span.first */
};

struct frame_piece {
	struct frame_span span;
	frame_owner_t owner;
};

struct frames_pool {
	unsigned region_count, piece_count, reserve_count;
	struct frame_region region[FRAMES_REGION_MAX]; /* sorted, disjoint */
	/* What is reserved, tables included: sorted, disjoint. */
	struct frame_piece piece[FRAMES_PIECE_MAX];
	struct frame_region plan[FRAMES_REGION_MAX]; /* frames_add: regions about to be added */
	uint64_t free_head[ORDER_COUNT];	     /* PFN_NONE if empty */
	uint64_t free_blocks[ORDER_COUNT];	     /* lengths of these lists */
	uint64_t owned[FRAME_OWNER_MAX];	     /* frames by owner */
	uint64_t total;				     /* sum of owned */
	uint64_t audit_owned[FRAME_OWNER_MAX];	     /* frames_audit: counted again */
	uint64_t audit_blocks[ORDER_COUNT];
};

extern struct frames_pool frames_pool;
extern struct spinlock frames_lock; /* guards all of it */

/* NULL if no RAM was added there. */
struct frame_region *frames_region_of(uint64_t pfn);

/* Frees frames whose entries are all zeroes, by blocks as large as alignment allows. */
void frames_span_insert(struct frame_region *r, struct frame_span s);
