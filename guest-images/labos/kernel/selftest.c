/*
 * The tests at boot: paging to the swap disk, and the file system.
 */

#include "frames.h"
#include "fs.h"
#include "lib.h"
#include "paging.h"
#include "shell.h"
#include "swap.h"
#include "thread.h"
#include "x86.h"

enum {
	SWAP_PAGES = 48,
	SWAP_FRAMES = 16,
	PAGE_WORDS = PAGE_SIZE / 4,
	FILE_SIZE = 10000,
	FILE_SHORT_SIZE = 100,
};

static uint32_t expected_word(uint32_t page, uint32_t word)
{
	return (page << 16 ^ word) * 2654435761u;
}

/* A thread with a window of its own; its exit code is the number of wrong pages. */
static void touch_pages(void *unused)
{
	uint32_t *pages = (uint32_t *)WINDOW_BEGIN;
	uint32_t page, word;
	int wrong = 0;

	(void)unused;
	for (page = 0; page < SWAP_PAGES; page++) {
		for (word = 0; word < PAGE_WORDS; word++)
			pages[page * PAGE_WORDS + word] = expected_word(page, word);
	}
	for (page = 0; page < SWAP_PAGES; page++) {
		for (word = 0; word < PAGE_WORDS; word++) {
			if (pages[page * PAGE_WORDS + word] != expected_word(page, word))
				break;
		}
		wrong += word < PAGE_WORDS;
	}
	print("swap test %s: %u pages out, %u in\n", wrong ? "failed" : "passed",
	      thread_current()->space->out_count, thread_current()->space->in_count);
	thread_exit(wrong);
}

void swap_test(void)
{
	uint32_t free_before = frames_free_count();
	struct space *space;
	int id;

	if (swap_slot_count() <= SWAP_PAGES) {
		print("swap test left out: no swap disk, or too small\n");
		return;
	}
	space = space_create(SWAP_FRAMES);
	if (!space) {
		print("swap test failed: no memory\n");
		return;
	}
	space_add_region(space, WINDOW_BEGIN, WINDOW_BEGIN + SWAP_PAGES * PAGE_SIZE);
	id = thread_create("swaptest", touch_pages, NULL, space);
	if (id < 0) {
		space_destroy(space);
		print("swap test failed: no thread\n");
		return;
	}
	if (thread_wait(id) == THREAD_KILLED)
		print("swap test failed: a page did not come\n");
	if (frames_free_count() != free_before)
		print("swap test failed: %u frames before, %u after\n", free_before,
		      frames_free_count());
}

static uint8_t expected_byte(uint32_t at)
{
	return (uint8_t)(at * 7 + at / 256);
}

/* Writes a file, reads it back piece by piece; NULL or what failed. */
static const char *try_file(const char *name, uint32_t size)
{
	static uint8_t data[FILE_SIZE];
	uint32_t done, i;

	for (i = 0; i < size; i++)
		data[i] = expected_byte(i + size);
	if (fs_write(name, data, size) != FS_OK)
		return "write";
	memset(data, 0, sizeof(data));
	if (fs_read(name, 0, data, sizeof(data), &done) != FS_OK || done != size)
		return "read";
	for (i = 0; i < size; i++) {
		if (data[i] != expected_byte(i + size))
			return "compare";
	}
	if (fs_read(name, size / 2, data, 1, &done) != FS_OK || done != 1 ||
	    data[0] != expected_byte(size / 2 + size))
		return "read from the middle";
	return NULL;
}

static const char *try_files(void)
{
	static const char name[] = "file-test";
	uint32_t free_before, done;
	const char *why;
	uint8_t byte;

	/* It may be there from a run that was cut off. */
	fs_remove(name);
	free_before = fs_free_blocks();
	why = try_file(name, FILE_SIZE);
	if (!why)
		why = try_file(name, FILE_SHORT_SIZE);
	if (why)
		return why;
	if (fs_remove(name) != FS_OK)
		return "remove";
	if (fs_read(name, 0, &byte, 1, &done) != FS_NO_FILE)
		return "still there";
	return fs_free_blocks() == free_before ? NULL : "blocks are lost";
}

void file_test(void)
{
	const char *why;

	if (!fs_free_blocks()) {
		print("file test left out: no file system, or full\n");
		return;
	}
	why = try_files();
	if (why)
		print("file test failed: %s\n", why);
	else
		print("file test passed\n");
}
