/*
 * An arena: all memory of one owner, given back whole at its end (mm/arena.c). A VM's objects, page
 * tables and RAM live in one. The caller serialises calls on one arena.
 */
#pragma once

#include <crvm/frames.h>

#define ARENA_REST_COUNT 4u

struct arena_block;

/* What no object has of a block. */
struct arena_rest {
	uint8_t *at, *end;
};

struct arena {
	frame_owner_t owner;
	struct arena_block *blocks; /* every block taken from the frame allocator */
	/* The largest that there are, for small objects. */
	struct arena_rest rest[ARENA_REST_COUNT];
	uint64_t frame_count;
};

void arena_init(struct arena *a, frame_owner_t owner);

/* Zeroed; align is a power of two up to PAGE_SIZE. NULL if there is no memory. */
void *arena_alloc(struct arena *a, size_t size, size_t align) must_check;

/* 2^order zeroed frames. E_NOMEM. */
must_check int arena_frames(struct arena *a, unsigned order, hpa_t *out);

typedef int arena_got_fn(void *ctx, uint64_t offset, hpa_t base, uint64_t len);

/*
 * `size` bytes, a multiple of PAGE_SIZE, of zeroed frames in as few and as large blocks as there
 * are. Calls `got` for each in rising offset. Blocks that lie side by side in memory follow one
 * another as far as may be; offset and address of one of 2 MiB or more agree modulo 2 MiB, of one
 * of 1 GiB modulo that. E_NOMEM (what was taken stays until destroy), or the first error of `got`.
 */
must_check int arena_blocks(struct arena *a, uint64_t size, arena_got_fn *got, void *ctx);

/* Scrubs (zeroes) every frame and gives it back. The arena is empty then; `a` may lie in it. */
void arena_destroy(struct arena *a);
