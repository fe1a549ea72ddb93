/*
 * Kernel images built by hand, and a VM's memory to load them into, for unit tests.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <crvm/gmem.h>
#include "../../core/load.h"

#define MIB	     (1ull << 20)
#define RIG_MEM	     (16 * MIB)
#define RIG_IMAGE    (1u << 20)
#define RIG_ERROR    200
#define RIG_PHOFF_64 64
#define RIG_PHOFF_32 52

static struct gmem mem;
static uint8_t *ram, *image;
static struct load_request request;
static struct load_start start;
static char error[RIG_ERROR];
/* The image as the loader gets it: no byte longer, so that ASan sees a read past its end. */
static uint8_t *exact;

static inline void put16(uint64_t at, unsigned v)
{
	const uint16_t x = (uint16_t)v;

	memcpy(image + at, &x, sizeof(x));
}

static inline void put32(uint64_t at, uint64_t v)
{
	const uint32_t x = (uint32_t)v;

	memcpy(image + at, &x, sizeof(x));
}

static inline void put64(uint64_t at, uint64_t v)
{
	memcpy(image + at, &v, sizeof(v));
}

static inline uint32_t ram32(uint64_t at)
{
	uint32_t v = 0;

	assert_int_equal(gmem_read(&mem, gpa(at), &v, sizeof(v)), OK);
	return v;
}

static inline uint64_t ram64(uint64_t at)
{
	return ram32(at) | (uint64_t)ram32(at + 4) << 32;
}

/* Memory full of rubbish, as a VM's may be; an image of zeroes of 64 KiB. */
static inline int rig_setup(void **state)
{
	(void)state;
	if (!ram) {
		ram = aligned_alloc(PAGE_SIZE, RIG_MEM);
		image = malloc(RIG_IMAGE);
		assert_non_null(ram);
		assert_non_null(image);
	}
	memset(ram, 0xcc, RIG_MEM);
	memset(image, 0, RIG_IMAGE);
	memset(&mem, 0, sizeof(mem));
	assert_int_equal(gmem_add(&mem, gpa(0), RIG_MEM, ram, false), OK);
	memset(&start, 0xee, sizeof(start));
	memset(error, 0x7f, sizeof(error));
	request = (struct load_request){.image_len = 0x10000, .mem_size = RIG_MEM};
	return 0;
}

static inline int rig_load(int (*load)(struct gmem *mem, const struct load_request *r,
				       struct load_start *start, char *error, size_t size))
{
	int rc;

	free(exact);
	exact = malloc(request.image_len ? request.image_len : 1);
	assert_non_null(exact);
	memcpy(exact, image, request.image_len);
	request.image = exact;
	error[0] = '\0';
	rc = load(&mem, &request, &start, error, sizeof(error));
	assert_true(rc == OK || error[0] != '\0');
	assert_non_null(memchr(error, '\0', sizeof(error)));
	return rc;
}

/* The load fails with this status, and a text that has `words`. */
static inline void rig_refuse(int (*load)(struct gmem *mem, const struct load_request *r,
					  struct load_start *start, char *error, size_t size),
			      int status, const char *words)
{
	struct load_start before;
	int rc;

	memset(&start, 0x5a, sizeof(start));
	before = start;
	rc = rig_load(load);
	if (rc != status || !strstr(error, words))
		fail_msg("got %d \"%s\", expected %d with \"%s\"", rc, error, status, words);
	assert_memory_equal(&start, &before, sizeof(start));
}

static inline void elf32_head(uint32_t entry, unsigned phnum)
{
	memcpy(image, "\177ELF\1\1\1", 7);
	put16(16, 2);
	put16(18, 3);
	put32(20, 1);
	put32(24, entry);
	put32(28, RIG_PHOFF_32);
	put16(40, 52);
	put16(42, 32);
	put16(44, phnum);
}

static inline void elf32_segment(unsigned i, uint32_t offset, uint32_t vaddr, uint32_t paddr,
				 uint32_t filesz, uint32_t memsz)
{
	const uint64_t at = RIG_PHOFF_32 + i * 32;

	put32(at, 1);
	put32(at + 4, offset);
	put32(at + 8, vaddr);
	put32(at + 12, paddr);
	put32(at + 16, filesz);
	put32(at + 20, memsz);
	put32(at + 24, 7);
	put32(at + 28, 0x1000);
}

static inline void elf64_head(uint64_t entry, unsigned phnum)
{
	memcpy(image, "\177ELF\2\1\1", 7);
	put16(16, 2);
	put16(18, 62);
	put32(20, 1);
	put64(24, entry);
	put64(32, RIG_PHOFF_64);
	put16(52, 64);
	put16(54, 56);
	put16(56, phnum);
}

static inline void elf64_segment(unsigned i, uint64_t offset, uint64_t vaddr, uint64_t paddr,
				 uint64_t filesz, uint64_t memsz)
{
	const uint64_t at = RIG_PHOFF_64 + i * 56;

	put32(at, 1);
	put32(at + 4, 7);
	put64(at + 8, offset);
	put64(at + 16, vaddr);
	put64(at + 24, paddr);
	put64(at + 32, filesz);
	put64(at + 40, memsz);
	put64(at + 48, 0x1000);
}

/* Every byte of [at, at + len) is `value`. */
static inline void expect_filled(uint64_t at, uint64_t len, uint8_t value)
{
	for (uint64_t i = 0; i < len; i++)
		if (ram[at + i] != value)
			fail_msg("byte 0x%llx is %02x, not %02x", (unsigned long long)(at + i),
				 ram[at + i], value);
}
