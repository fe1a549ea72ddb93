/*
 * Physical memory for host tests: one sparse buffer in which address 0 is the buffer's start. Pages
 * that nobody touches cost nothing, so tests may pretend to have RAM at high addresses.
 */
#pragma once

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <crvm/hostmap.h>

#define FAKE_RAM_SIZE (64ul << 30)

/* Makes all of physical memory read as zero, and points the direct map at it. */
static inline void fake_ram_reset(void)
{
	static void *ram;

	if (!ram) {
		ram = mmap(NULL, FAKE_RAM_SIZE, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (ram == MAP_FAILED) {
			perror("mmap of the fake RAM");
			abort();
		}
		direct_map_base = (uintptr_t)ram;
	}
	if (madvise(ram, FAKE_RAM_SIZE, MADV_DONTNEED) != 0) {
		perror("madvise");
		abort();
	}
}

/* A seeded generator (xorshift64*), so that every run of a test is the same. */
static inline uint64_t fake_random(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 0x2545f4914f6cdd1dul;
}
