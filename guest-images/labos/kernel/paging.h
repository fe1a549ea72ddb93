/*
 * Page tables. The kernel's part, below 1 GiB, maps all memory where it lies and is the same in
 * every address space. From 1 to 2 GiB lies the window, which each space has for itself: its pages
 * come when they are touched, and go to the swap disk when the space has more than its share of
 * frames.
 */
#ifndef LABOS_PAGING_H
#define LABOS_PAGING_H

#include <stdbool.h>
#include <stdint.h>

enum {
	WINDOW_BEGIN = 0x40000000,
	WINDOW_END = 0x80000000u,
	SPACE_REGION_MAX = 3,
	SPACE_FRAMES_MAX = 256,
};

struct region {
	uint32_t begin, end;
};

struct space {
	uint32_t directory;
	struct region regions[SPACE_REGION_MAX]; /* what of the window may be touched */
	uint32_t region_count;
	uint32_t resident[SPACE_FRAMES_MAX]; /* pages that have a frame */
	uint32_t resident_count;
	uint32_t limit; /* of resident_count */
	uint32_t hand;	/* of the clock that chooses what goes to the disk */
	uint32_t out_count, in_count;
};

/* Turns paging on. */
void paging_init(void);

/* Maps one page above the window where it lies; spaces made before do not see it. */
bool paging_map_page(uint32_t address);

/* A space that may hold `limit` frames, or NULL. Only its thread may use it. */
struct space *space_create(uint32_t limit);
void space_destroy(struct space *space);

/* `begin` and `end` are page addresses in the window. */
void space_add_region(struct space *space, uint32_t begin, uint32_t end);

/* Makes it the one that the CPU uses; NULL: only the kernel's part. */
void space_activate(const struct space *space);

bool space_is_window(uint32_t address);

/* Do `size` bytes from `address` on lie in one region? */
bool space_covers(const struct space *space, uint32_t address, uint32_t size);

/* Gives the page at `address` a frame with its contents; may wait for the disk. */
bool space_bring_page(struct space *space, uint32_t address);

#endif
