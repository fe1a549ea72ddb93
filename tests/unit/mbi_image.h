/*
 * Builds Multiboot2 boot information byte by byte, and parses it from a heap block of exactly its
 * size, so that ASan sees each byte read outside min(total_size, avail). For the tests of
 * boot/multiboot2.c; it shares no structure with it.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <crvm/boot_info.h>
#include <crvm/status.h>

#define RAM	 1u
#define RESERVED 2u

static uint8_t mbi[65536];
static size_t mbi_len;
static struct boot_info info;

static inline void put32(size_t at, uint32_t v)
{
	memcpy(mbi + at, &v, 4);
}

static inline void put64(size_t at, uint64_t v)
{
	memcpy(mbi + at, &v, 8);
}

static inline void mbi_begin(void)
{
	memset(mbi, 0, sizeof(mbi));
	mbi_len = 8;
}

/* Adds a tag with zeroed payload; returns the offset of the tag. */
static inline size_t tag_add(uint32_t type, size_t payload)
{
	size_t at = mbi_len;

	assert_true(at + 8 + payload + 16 < sizeof(mbi));
	put32(at, type);
	put32(at + 4, (uint32_t)(8 + payload));
	mbi_len += (8 + payload + 7) & ~(size_t)7;
	return at;
}

static inline size_t text_add(uint32_t type, const char *text)
{
	size_t at = tag_add(type, strlen(text) + 1);

	strcpy((char *)mbi + at + 8, text);
	return at;
}

static inline size_t module_add(uint32_t start, uint32_t end, const char *text)
{
	size_t at = tag_add(3, 8 + strlen(text) + 1);

	put32(at + 8, start);
	put32(at + 12, end);
	strcpy((char *)mbi + at + 16, text);
	return at;
}

static inline size_t mmap_add(unsigned count, uint32_t entry_size)
{
	size_t at = tag_add(6, 8 + (size_t)count * entry_size);

	put32(at + 8, entry_size);
	return at;
}

static inline void mmap_entry(size_t tag, unsigned i, uint64_t base, uint64_t len, uint32_t type)
{
	uint32_t step;

	memcpy(&step, mbi + tag + 8, 4);
	put64(tag + 16 + (size_t)i * step, base);
	put64(tag + 24 + (size_t)i * step, len);
	put32(tag + 32 + (size_t)i * step, type);
}

static inline void ram_add(void)
{
	mmap_entry(mmap_add(1, 24), 0, 0x100000, 0x7f00000, RAM);
}

static inline void mbi_end(void)
{
	tag_add(0, 0);
	put32(0, (uint32_t)mbi_len);
}

/* What holds whatever the bytes were. */
static inline void info_check(void)
{
	assert_in_range(info.mmap_count, 0, BOOT_MMAP_MAX);
	for (unsigned i = 0; i < info.mmap_count; i++) {
		assert_true(info.mmap[i].len > 0);
		assert_true(info.mmap[i].base + info.mmap[i].len > info.mmap[i].base);
	}
	assert_in_range(info.module_count, 0, BOOT_MODULE_MAX);
	for (unsigned i = 0; i < info.module_count; i++) {
		assert_true(info.module[i].start <= info.module[i].end);
		assert_non_null(memchr(info.module[i].cmdline, 0, sizeof(info.module[i].cmdline)));
	}
	assert_in_range(info.reserve_count, 0, 64);
	for (unsigned i = 0; i < info.reserve_count; i++)
		assert_true(info.reserve[i].start < info.reserve[i].end);
	assert_in_range(info.note_count, 0, BOOT_NOTE_MAX);
	for (unsigned i = 0; i < info.note_count; i++)
		assert_in_range(strnlen(info.note[i], sizeof(info.note[i])), 1, 95);
	assert_non_null(memchr(info.cmdline, 0, sizeof(info.cmdline)));
	assert_non_null(memchr(info.loader, 0, sizeof(info.loader)));
	assert_true(info.rsdp_len == 0 || info.rsdp_len == 20 || info.rsdp_len == 36);
	if (info.fb.type == BOOT_FB_RGB) {
		assert_in_range(info.fb.bpp, 15, 32);
		assert_true(info.fb.red.pos + info.fb.red.size <= info.fb.bpp);
		assert_true((uint64_t)info.fb.pitch * 8 >= (uint64_t)info.fb.width * info.fb.bpp);
	}
}

/* Parses the first `avail` bytes at `shift` bytes past an aligned address. */
static inline int parse_at(size_t avail, size_t shift)
{
	uint8_t *copy = malloc(shift + avail + 1);
	uint8_t *exact = realloc(copy, shift + avail ? shift + avail : 1);
	int status;

	assert_non_null(exact);
	memcpy(exact + shift, mbi, avail);
	memset(&info, 0xa5, sizeof(info));
	status = boot_parse(&info, exact + shift, avail);
	free(exact);
	info_check();
	assert_true(status == 0 || status == E_INVAL);
	return status;
}

static inline int parse(void)
{
	return parse_at(mbi_len, 0);
}

static inline bool noted(const char *part)
{
	for (unsigned i = 0; i < info.note_count; i++)
		if (strstr(info.note[i], part))
			return true;
	return false;
}

struct fb_case {
	uint64_t base;
	uint32_t pitch, width, height;
	uint8_t bpp, type, color[6]; /* red pos, size; green; blue */
};

static inline void fb_add(const struct fb_case *c, size_t payload)
{
	size_t at = tag_add(8, payload);

	put64(at + 8, c->base);
	put32(at + 16, c->pitch);
	put32(at + 20, c->width);
	put32(at + 24, c->height);
	mbi[at + 28] = c->bpp;
	mbi[at + 29] = c->type;
	memcpy(mbi + at + 32, c->color, payload >= 30 ? 6 : 0);
}

static inline void fb_parse(const struct fb_case *c, size_t payload)
{
	mbi_begin();
	ram_add();
	fb_add(c, payload);
	mbi_end();
	assert_int_equal(parse(), 0);
}

struct section {
	uint32_t type;
	uint64_t flags, addr, size;
	uint32_t link;
	uint64_t entsize;
};

static inline size_t elf_add(const struct section *s, uint32_t count, uint32_t entsize)
{
	size_t at = tag_add(9, 12 + (size_t)count * entsize);

	put32(at + 8, count);
	put32(at + 12, entsize);
	put32(at + 16, count - 1);
	for (uint32_t i = 0; i < count; i++, s++) {
		size_t sh = at + 20 + (size_t)i * entsize;

		put32(sh + 4, s->type);
		put64(sh + 8, s->flags);
		put64(sh + 16, s->addr);
		put64(sh + 32, s->size);
		put32(sh + 40, s->link);
		put64(sh + 56, s->entsize);
	}
	return at;
}

/* null, .text, .bss, .symtab, .strtab, .shstrtab, and a .comment that was not loaded */
static const struct section image[] = {
	{0, 0, 0, 0, 0, 0},
	{1, 6, 0x100000, 0x5000, 0, 0},
	{8, 3, 0x105000, 0x3000, 0, 0},
	{2, 0, 0x109000, 240, 4, 24},
	{3, 0, 0x10a000, 100, 0, 0},
	{3, 0, 0x10b000, 50, 0, 0},
	{1, 0, 0, 50, 0, 0},
};

static inline size_t elf_parse(const struct section *s, uint32_t count, uint32_t entsize)
{
	size_t at;

	mbi_begin();
	ram_add();
	at = elf_add(s, count, entsize);
	mbi_end();
	assert_int_equal(parse(), 0);
	return at;
}

static inline void rsdp_add(uint32_t type, size_t len, uint8_t fill)
{
	memset(mbi + tag_add(type, len) + 8, fill, len);
}
