/*
 * Touches as many KiB as its argument says, more than it gets frames for, and looks twice whether
 * everything is still there.
 */

#include "user.h"

enum { PAGE_WORDS = 1024, KIB_PER_PAGE = 4, PASSES = 2 };

int program_main(uint32_t argument)
{
	uint32_t *heap = (uint32_t *)USER_HEAP;
	uint32_t pages = argument / KIB_PER_PAGE;
	uint32_t pass, page, word;

	for (page = 0; page < pages; page++) {
		/* A new page shows nothing of who had its frame before. */
		for (word = 0; word < PAGE_WORDS; word++) {
			if (heap[page * PAGE_WORDS + word])
				return 2;
		}
		heap[page * PAGE_WORDS + page % PAGE_WORDS] = page ^ 0x5eed;
	}
	for (pass = 0; pass < PASSES; pass++) {
		for (page = 0; page < pages; page++) {
			if (heap[page * PAGE_WORDS + page % PAGE_WORDS] != (page ^ 0x5eed)) {
				write_text("eat: a page has changed\n");
				return 1;
			}
		}
	}
	write_text("eat passed\n");
	return 0;
}
