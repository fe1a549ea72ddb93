/*
 * Random kernel images into a VM of 4 MiB. What loads must start in the VM's memory, with boot
 * information and modules that are whole, and reserved memory untouched.
 * needs: core/load_elf.c core/load_multiboot.c core/load_multiboot_info.c mm/gmem.c lib/printf.c
 * needs: lib/text.c
 *
 * The input: a byte that says what to make valid in the image (magic numbers and sums, which no
 * random input would meet), one with the number of modules, then the image.
 */
#include <stdlib.h>
#include <string.h>
#include <crvm/gmem.h>
#include "../../core/load.h"

#define require(cond)            \
	do {                     \
		if (!(cond))     \
			abort(); \
	} while (0)

enum { MEM = 4 << 20, HOLE = LOAD_LOW_END, HOLE_LEN = LOAD_HIGH_START - LOAD_LOW_END };
enum {
	AS_ELF32 = 1,
	AS_ELF64 = 2,
	AS_MB1 = 4,
	AS_MB2 = 8,
	WITH_SEGMENTS = 16,
	WITH_END = 32,
	AT = 0x140
};

static uint8_t *ram, *image;
static size_t image_len;
static struct gmem mem;
static const struct load_module modules[3] = {
	{"module 0", 9, "a=1"}, {"", 0, NULL}, {"module two", 11, ""}};

static void put(size_t at, const void *p, size_t len)
{
	if (at + len <= image_len)
		memcpy(image + at, p, len);
}

static void put32(size_t at, uint32_t v)
{
	put(at, &v, sizeof(v));
}

static uint32_t get32(size_t at)
{
	uint32_t v = 0;

	if (at + sizeof(v) <= image_len)
		memcpy(&v, image + at, sizeof(v));
	return v;
}

static uint32_t ram32(uint64_t at)
{
	uint32_t v;

	require(gmem_read(&mem, gpa(at), &v, sizeof(v)) == 0);
	return v;
}

/* Numbers that are near what is right, or the input's own. */
static void repair(unsigned how)
{
	static const uint8_t ident32[] = "\177ELF\1\1\1\0\0\0\0\0\0\0\0\0\2\0\3";
	static const uint8_t ident64[] = "\177ELF\2\1\1\0\0\0\0\0\0\0\0\0\2\0\76";

	if (how & AS_ELF32) {
		put(0, ident32, sizeof(ident32));
		if (how & WITH_SEGMENTS) {
			put32(28, 52);
			put32(40, 32u << 16 | 52);
			put32(44, get32(44) & 7);
			for (unsigned i = 0; i < 7; i++)
				put32(52 + 32 * i, get32(52 + 32 * i) & 1);
		}
	} else if (how & AS_ELF64) {
		put(0, ident64, sizeof(ident64));
		if (how & WITH_SEGMENTS) {
			put32(32, 64);
			put32(36, 0);
			put32(52, 56u << 16 | 64);
			put32(56, get32(56) & 3);
			for (unsigned i = 0; i < 3; i++)
				put32(64 + 56 * i, get32(64 + 56 * i) & 1);
		}
	}
	if (how & AS_MB1) {
		put32(AT, 0x1badb002);
		put32(AT + 4, get32(AT + 4) & 0x10003);
		put32(AT + 8, 0u - 0x1badb002u - get32(AT + 4));
	} else if (how & AS_MB2) {
		put32(AT, 0xe85250d6);
		put32(AT + 4, 0);
		if (how & WITH_END) { /* one tag, and the last */
			const uint32_t tag = get32(AT + 8) & 0x38;

			put32(AT + 8, 24 + tag);
			put32(AT + 16, get32(AT + 16) & 0x1000f);
			put32(AT + 20, tag);
			put32(AT + 16 + tag, 0);
			put32(AT + 20 + tag, 8);
		}
		put32(AT + 12, 0u - 0xe85250d6u - get32(AT + 8));
	}
}

static void check_module(uint32_t at, uint32_t end, const struct load_module *m)
{
	require(at >= LOAD_HIGH_START && at % PAGE_SIZE == 0 && end == at + m->len && end <= MEM);
	require(memcmp(ram + at, m->data, m->len) == 0);
}

static void check_text(uint64_t at, const char *text)
{
	require(at + strlen(text) < MEM && strcmp((char *)ram + at, text) == 0);
}

static void check_mb1(uint32_t at, const struct load_request *r)
{
	const uint32_t list = ram32(at + 24);

	check_text(ram32(at + 16), r->cmdline);
	check_text(ram32(at + 64), "CRVM");
	require(ram32(at + 20) == r->module_count && ram32(at + 44) == 72);
	require(ram32(ram32(at + 48)) == 20);
	for (unsigned i = 0; i < r->module_count; i++)
		check_module(ram32(list + 16 * i), ram32(list + 16 * i + 4), &modules[i]);
}

static void check_mb2(uint32_t at, const struct load_request *r)
{
	const uint32_t end = at + ram32(at);
	unsigned seen = 0;

	for (at += 8; ram32(at) != 0; at += align_up(ram32(at + 4), 8u)) {
		require(at < end && ram32(at + 4) >= 8 && ram32(at + 4) <= end - at);
		if (ram32(at) == 1)
			check_text(at + 8, r->cmdline);
		if (ram32(at) == 3)
			check_module(ram32(at + 8), ram32(at + 12), &modules[seen++]);
	}
	require(at + 8 == end && seen == r->module_count);
}

static void load(bool multiboot, unsigned module_count)
{
	struct load_start start = {.ebx = 0};
	char error[160] = "";
	struct load_request r = {
		.image = image,
		.image_len = image_len,
		.name = "fuzz",
		.mem_size = MEM,
	};
	int rc;

	if (multiboot) {
		r.cmdline = "some words";
		r.modules = modules;
		r.module_count = module_count;
		rc = load_multiboot(&mem, &r, &start, error, sizeof(error));
	} else {
		rc = load_elf(&mem, &r, &start, error, sizeof(error));
	}
	require((rc == 0) == (error[0] == '\0'));
	require(memchr(error, '\0', sizeof(error)));
	/* Every byte of it is the one before, and the first is as it was. */
	require(ram[HOLE] == 0xcc && memcmp(ram + HOLE, ram + HOLE + 1, HOLE_LEN - 1) == 0);
	if (rc != 0)
		return;
	require(start.mode == LOAD_PROT32 && start.entry < MEM);
	require(start.entry < LOAD_LOW_END || start.entry >= LOAD_HIGH_START);
	if (!multiboot)
		return;
	require(start.ebx % PAGE_SIZE == 0);
	if (start.eax == 0x2badb002)
		check_mb1(start.ebx, &r);
	else
		check_mb2(start.ebx, &r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!ram) {
		ram = aligned_alloc(PAGE_SIZE, MEM);
		require(ram && gmem_add(&mem, gpa(0), MEM, ram, false) == 0);
		memset(ram, 0xcc, MEM);
	}
	if (size < 3)
		return 0;
	image_len = size - 2;
	image = malloc(image_len);
	require(image);
	memcpy(image, data + 2, image_len);
	repair(data[0]);
	load(data[0] & 0x80, data[1] % 4);
	free(image);
	return 0;
}
