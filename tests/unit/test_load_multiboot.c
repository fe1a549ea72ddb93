/*
 * Multiboot 1 kernels into a VM's memory, and where modules and boot information go.
 * needs: core/load_elf.c core/load_multiboot.c core/load_multiboot_info.c mm/gmem.c lib/printf.c
 * needs: lib/text.c
 */
#include "load_rig.h"

enum { MAGIC = 0x1badb002, HEADER = 0x400, INFO = 0x10000 };

static void mb1_head(uint64_t at, uint32_t flags)
{
	put32(at, MAGIC);
	put32(at + 4, flags);
	put32(at + 8, 0u - (uint32_t)MAGIC - flags);
}

static void mb1_addresses(uint64_t at, uint32_t header, uint32_t load, uint32_t load_end,
			  uint32_t bss_end, uint32_t entry)
{
	put32(at + 12, header);
	put32(at + 16, load);
	put32(at + 20, load_end);
	put32(at + 24, bss_end);
	put32(at + 28, entry);
}

/* An ELF32 kernel at 1 MiB. */
static int setup_elf(void **state)
{
	rig_setup(state);
	elf32_head(0x100010, 1);
	elf32_segment(0, 0x1000, 0x100000, 0x100000, 0x800, 0x1800);
	memset(image + 0x1000, 0xab, 0x800);
	mb1_head(HEADER, 3);
	return 0;
}

/* No ELF: 64 KiB of 5Ah, the header 400h from the start, to be loaded whole at 1 MiB. */
static int setup_flat(void **state)
{
	rig_setup(state);
	memset(image, 0x5a, request.image_len);
	mb1_head(HEADER, 0x10003);
	mb1_addresses(HEADER, 0x100400, 0x100000, 0, 0, 0x100000);
	return 0;
}

static void expect_text(uint64_t at, const char *text)
{
	assert_true(at + strlen(text) < RIG_MEM);
	assert_string_equal((const char *)ram + at, text);
}

/* --- Finding the header --------------------------------------------------------------------- */

static void test_no_header(void **state)
{
	(void)state;
	put32(HEADER, 0);
	rig_refuse(load_multiboot, E_NOENT, "no Multiboot header");
	expect_filled(0, RIG_MEM, 0xcc);
}

static void test_header_places(void **state)
{
	static const struct {
		unsigned at;
		int expected;
	} cases[] = {{0x200, OK},     {0x204, OK},	   {0x206, E_NOENT}, {0x201, E_NOENT},
		     {8192 - 12, OK}, {8192 - 8, E_NOENT}, {8192, E_NOENT},  {0xfff0, E_NOENT}};

	(void)state;
	for (unsigned i = 0; i < array_count(cases); i++) {
		setup_elf(state);
		memset(image + HEADER, 0, 12);
		mb1_head(cases[i].at, 3);
		assert_int_equal(rig_load(load_multiboot), cases[i].expected);
	}
}

static void test_a_wrong_sum_is_no_header(void **state)
{
	(void)state;
	put32(HEADER + 8, 0);
	rig_refuse(load_multiboot, E_NOENT, "no Multiboot header");
	mb1_head(HEADER + 64, 1); /* but one may follow */
	assert_int_equal(rig_load(load_multiboot), OK);
}

static void test_every_cut_is_refused(void **state)
{
	(void)state;
	for (request.image_len = 1; request.image_len < 0x1800; request.image_len++)
		assert_int_equal(rig_load(load_multiboot),
				 request.image_len < HEADER + 12 ? E_NOENT : E_INVAL);
	assert_int_equal(rig_load(load_multiboot), OK);
	setup_flat(state);
	for (request.image_len = HEADER + 12; request.image_len < HEADER + 32; request.image_len++)
		rig_refuse(load_multiboot, E_INVAL, "addresses are cut off");
	assert_int_equal(rig_load(load_multiboot), OK);
}

static void test_requirements_that_are_unknown_are_named(void **state)
{
	(void)state;
	mb1_head(HEADER, 7);
	rig_refuse(load_multiboot, E_INVAL, "video mode");
	for (unsigned bit = 3; bit < 16; bit++) {
		char words[16];

		snprintf(words, sizeof(words), "bit %u ", bit);
		mb1_head(HEADER, 1u << bit);
		rig_refuse(load_multiboot, E_INVAL, words);
	}
	for (unsigned bit = 17; bit < 32; bit++) { /* for the loader to know or not */
		mb1_head(HEADER, 1u << bit);
		assert_int_equal(rig_load(load_multiboot), OK);
	}
	for (unsigned flags = 0; flags < 4; flags++) {
		mb1_head(HEADER, flags);
		assert_int_equal(rig_load(load_multiboot), OK);
	}
}

/* --- The kernel ----------------------------------------------------------------------------- */

static void test_an_elf_kernel(void **state)
{
	(void)state;
	assert_int_equal(rig_load(load_multiboot), OK);
	assert_int_equal(start.mode, LOAD_PROT32);
	assert_int_equal(start.entry, 0x100010);
	assert_int_equal(start.eax, 0x2badb002);
	assert_int_equal(start.ebx, INFO);
	expect_filled(0x100000, 0x800, 0xab);
	expect_filled(0x100800, 0x1000, 0);
	expect_filled(0x101800, 0x1000, 0xcc);
}

static void test_a_64_bit_elf_kernel(void **state)
{
	(void)state;
	memset(image, 0, HEADER);
	elf64_head(0xffffffff80100020, 1);
	elf64_segment(0, 0x1000, 0xffffffff80100000, 0x100000, 0x800, 0x800);
	assert_int_equal(rig_load(load_multiboot), OK);
	assert_int_equal(start.entry, 0x100020);
	assert_int_equal(start.eax, 0x2badb002);
}

static void test_neither_addresses_nor_elf(void **state)
{
	(void)state;
	image[0] = 0;
	rig_refuse(load_multiboot, E_INVAL, "no ELF");
}

static void test_address_fields(void **state)
{
	(void)state;
	assert_int_equal(rig_load(load_multiboot), OK);
	assert_int_equal(start.entry, 0x100000);
	expect_filled(0x100000, HEADER, 0x5a);
	assert_int_equal(ram32(0x100000 + HEADER), MAGIC);
	expect_filled(0x100000 + HEADER + 32, 0x10000 - HEADER - 32, 0x5a);
	expect_filled(0x110000, 0x1000, 0xcc);
}

static void test_address_fields_load_a_part(void **state)
{
	(void)state;
	/* From the header on, 1000h bytes, then 2000h of zeroes. */
	mb1_addresses(HEADER, 0x200000, 0x200000, 0x201000, 0x203000, 0x202fff);
	assert_int_equal(rig_load(load_multiboot), OK);
	assert_int_equal(start.entry, 0x202fff);
	assert_int_equal(ram32(0x200000), MAGIC);
	expect_filled(0x200020, 0xfe0, 0x5a);
	expect_filled(0x201000, 0x2000, 0);
	assert_int_equal(ram[0x203000], 0xcc);
	assert_int_equal(ram[0x1fffff], 0xcc);
}

static void test_address_fields_win_over_elf(void **state)
{
	setup_elf(state);
	mb1_head(HEADER, 0x10003);
	mb1_addresses(HEADER, 0x300400, 0x300000, 0, 0, 0x300004);
	assert_int_equal(rig_load(load_multiboot), OK);
	assert_int_equal(start.entry, 0x300004);
	expect_text(0x300000, "\177ELF\1\1\1");
}

static void test_address_fields_that_cannot_be(void **state)
{
	static const struct {
		uint32_t header, load, load_end, bss_end, entry;
		int status;
		const char *words;
	} cases[] = {
		{0x100401, 0x100000, 0, 0, 0x100000, E_INVAL, "0x400 in the image"},
		{0x100000, 0x100001, 0, 0, 0x100001, E_INVAL, "cannot be at"},
		{0, UINT32_MAX, 0, 0, 0x100000, E_INVAL, "cannot be at"},
		{0x100400, UINT32_MAX, 0, 0, 0x100000, E_INVAL, "cannot be at"},
		{0x100400, 0x100000, 0x100000, 0, 0x100000, E_INVAL, "to be loaded"},
		{0x100400, 0x100000, 0xfffff, 0, 0x100000, E_INVAL, "to be loaded"},
		{0x100400, 0x100000, 0x110001, 0, 0x100000, E_INVAL, "has 0x10000 bytes left"},
		{0x100400, 0x100000, UINT32_MAX, 0, 0x100000, E_INVAL, "to be loaded"},
		{0x100400, 0x100000, 0x110000, 0x10ffff, 0x100000, E_INVAL, "BSS, 0x10ffff"},
		{0x100400, 0x100000, 0, 1, 0x100000, E_INVAL, "end of the BSS"},
		{0x100400, 0x100000, 0, 0, 0xfffff, E_INVAL, "entry 0xfffff"},
		{0x100400, 0x100000, 0, 0, 0x110000, E_INVAL, "entry 0x110000"},
		{0x100400, 0x100000, 0, 0x110001, 0x110000, OK, NULL},
		{0x100400, 0x100000, 0x110000, 0x110000, 0x10ffff, OK, NULL},
		{0x100400, 0x100000, 0, UINT32_MAX, 0x100000, E_NOMEM, "the VM has 16 MiB"},
		{0xffff0400, 0xffff0000, 0, 0, 0xffff0000, E_NOMEM, "the VM has 16 MiB"},
		{0x90400, 0x90000, 0, 0, 0x90000, E_INVAL, "reserved memory"},
		{0x1400, 0x1000, 0, 0, 0x1000, OK, NULL},
	};

	(void)state;
	for (unsigned i = 0; i < array_count(cases); i++) {
		mb1_addresses(HEADER, cases[i].header, cases[i].load, cases[i].load_end,
			      cases[i].bss_end, cases[i].entry);
		if (cases[i].status)
			rig_refuse(load_multiboot, cases[i].status, cases[i].words);
		else
			assert_int_equal(rig_load(load_multiboot), OK);
	}
}

/* --- Boot information ----------------------------------------------------------------------- */

static void test_the_boot_information(void **state)
{
	uint32_t map;

	(void)state;
	request.cmdline = "console=ttyS0 quiet";
	assert_int_equal(rig_load(load_multiboot), OK);
	assert_int_equal(ram32(INFO), 0x24d); /* memory, cmdline, mods, mmap, loader */
	assert_int_equal(ram32(INFO + 4), 639);
	assert_int_equal(ram32(INFO + 8), 15 * 1024);
	expect_text(ram32(INFO + 16), "console=ttyS0 quiet");
	assert_int_equal(ram32(INFO + 20), 0);
	expect_text(ram32(INFO + 64), "CRVM");
	for (unsigned at = 68; at < 116; at += 4)
		assert_int_equal(ram32(INFO + at), 0);
	assert_int_equal(ram32(INFO + 44), 3 * 24);
	map = ram32(INFO + 48);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(ram32(map + i * 24), 20);
	assert_int_equal(ram64(map + 4), 0);
	assert_int_equal(ram64(map + 12), 0x9fc00);
	assert_int_equal(ram32(map + 20), 1);
	assert_int_equal(ram64(map + 28), 0x9fc00);
	assert_int_equal(ram64(map + 36), 0x60400);
	assert_int_equal(ram32(map + 44), 2);
	assert_int_equal(ram64(map + 52), 0x100000);
	assert_int_equal(ram64(map + 60), 15 * MIB);
	assert_int_equal(ram32(map + 68), 1);
}

static void test_a_missing_command_line_is_an_empty_one(void **state)
{
	(void)state;
	assert_int_equal(rig_load(load_multiboot), OK);
	expect_text(ram32(INFO + 16), "");
}

static void test_modules(void **state)
{
	static const struct load_module modules[] = {
		{"first", 5, "a first=1"},
		{"", 0, NULL},
		{"the third has\0bytes", 19, "third"},
	};
	static const uint32_t at[] = {0x102000, 0x103000, 0x104000};
	uint32_t list;

	(void)state;
	request.modules = modules;
	request.module_count = 3;
	assert_int_equal(rig_load(load_multiboot), OK);
	assert_int_equal(ram32(INFO + 20), 3);
	list = ram32(INFO + 24);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(ram32(list + i * 16), at[i]);
		assert_int_equal(ram32(list + i * 16 + 4), at[i] + modules[i].len);
		expect_text(ram32(list + i * 16 + 8), modules[i].cmdline ? modules[i].cmdline : "");
		assert_int_equal(ram32(list + i * 16 + 12), 0);
		assert_memory_equal(ram + at[i], modules[i].data, modules[i].len);
		assert_int_equal(ram[at[i] + modules[i].len], 0xcc);
	}
	expect_text(ram32(INFO + 16), "");
	expect_text(ram32(INFO + 64), "CRVM");
	assert_int_equal(ram32(ram32(INFO + 48)), 20);
}

static void test_modules_lie_below_a_kernel_that_is_on_top(void **state)
{
	struct load_module m = {.cmdline = "m"};
	void *data = calloc(1, 15 * MIB);

	(void)state;
	assert_non_null(data);
	m.data = data;
	m.len = 14 * MIB;
	request.modules = &m;
	request.module_count = 1;
	elf32_head(0xf00010, 1);
	elf32_segment(0, 0x1000, 0xf00000, 0xf00000, 0x800, 0xff001);
	assert_int_equal(rig_load(load_multiboot), OK);
	assert_int_equal(ram32(ram32(INFO + 24)), 0x100000);
	expect_filled(0x100000, 14 * MIB, 0);
	m.len++;
	rig_refuse(load_multiboot, E_NOMEM, "no room for module 0 of 14 MiB, the VM has 16 MiB");
	m.len = UINT64_MAX;
	rig_refuse(load_multiboot, E_NOMEM, "no room for module 0");
	m.len = 0x1000; /* the kernel reaches into the last page */
	assert_int_equal(rig_load(load_multiboot), OK);
	assert_int_equal(ram32(ram32(INFO + 24)), 0x100000);
	free(data);
}

static void test_modules_lie_above_a_kernel_that_leaves_room_below(void **state)
{
	static const struct load_module modules[] = {{"module", 6, "m"}};

	(void)state;
	request.modules = modules;
	request.module_count = 1;
	elf32_head(0x400010, 1);
	elf32_segment(0, 0x1000, 0x400000, 0x400000, 0x800, 0x1800);
	assert_int_equal(rig_load(load_multiboot), OK);
	assert_int_equal(ram32(ram32(INFO + 24)), 0x402000);
}

static void test_a_module_may_end_where_the_memory_ends(void **state)
{
	struct load_module m = {.len = RIG_MEM - 0x102000};
	void *data = calloc(1, m.len + 1);

	(void)state;
	assert_non_null(data);
	m.data = data;
	request.modules = &m;
	request.module_count = 1;
	assert_int_equal(rig_load(load_multiboot), OK);
	assert_int_equal(ram32(ram32(INFO + 24) + 4), RIG_MEM);
	m.len++;
	rig_refuse(load_multiboot, E_NOMEM, "no room for module 0");
	free(data);
}

/* What is low moves the information up, past it; what fills the low memory moves it high. */
static void test_the_information_avoids_the_kernel(void **state)
{
	static const struct {
		uint32_t at, len, info;
	} cases[] = {
		{0x10000, 0x10, 0x11000},     {0x8000, 0x8000, 0x10000},  {0x8000, 0x8001, 0x11000},
		{0x10080, 1, 0x11000},	      {0x12000, 0x1000, 0x10000}, {0, 0x9fc00, 0x100000},
		{0x10000, 0x8fbff, 0x100000},
	};

	(void)state;
	for (unsigned i = 0; i < array_count(cases); i++) {
		elf32_head(cases[i].at, 1);
		elf32_segment(0, 0x1000, cases[i].at, cases[i].at, 1, cases[i].len);
		assert_int_equal(rig_load(load_multiboot), OK);
		assert_int_equal(start.ebx, cases[i].info);
		assert_int_equal(ram32(start.ebx), 0x24d);
		assert_int_equal(ram[cases[i].at], 0xab);
		expect_filled(cases[i].at + 1, cases[i].len - 1, 0);
	}
}

static void test_the_information_avoids_the_modules(void **state)
{
	static const struct load_module modules[] = {{"module", 6, "m"}};

	(void)state;
	request.modules = modules;
	request.module_count = 1;
	elf32_head(0, 1);
	elf32_segment(0, 0x1000, 0, 0, 0x10, 0x9fc00);
	assert_int_equal(rig_load(load_multiboot), OK);
	assert_int_equal(start.ebx, 0x101000);
	assert_int_equal(ram32(ram32(start.ebx + 24)), 0x100000);
	assert_memory_equal(ram + 0x100000, "module", 6);
}

static void test_no_room_for_the_information(void **state)
{
	(void)state;
	elf32_head(0, 2);
	elf32_segment(0, 0x1000, 0, 0, 0x10, 0x9fc00);
	elf32_segment(1, 0x1000, 0x100000, 0x100000, 0x10, 0xf00000);
	rig_refuse(load_multiboot, E_NOMEM, "bytes of boot information");
	elf32_segment(1, 0x1000, 0x100000, 0x100000, 0x10, 0xeff000);
	assert_int_equal(rig_load(load_multiboot), OK);
	assert_int_equal(start.ebx, 0xfff000);
}

static void test_the_information_may_end_where_the_memory_ends(void **state)
{
	static const struct load_module modules[] = {{"module", 6, "m"}};
	const uint64_t len = 116 + 3 * 24 + 16 + sizeof("CRVM") + sizeof("abc") + sizeof("m");

	(void)state;
	request.cmdline = "abc";
	request.modules = modules;
	request.module_count = 1;
	elf32_head(0, 1);
	elf32_segment(0, 0x1000, 0, 0, 0x10, 0x9fc00);
	request.mem_size = 0x101000 + len;
	assert_int_equal(rig_load(load_multiboot), OK);
	assert_int_equal(start.ebx, 0x101000);
	assert_int_equal(ram[0x101000 + len - 1], 0);
	assert_int_equal(ram[0x101000 + len], 0xcc);
	request.mem_size--;
	rig_refuse(load_multiboot, E_NOMEM, "no room for 215 bytes of boot information");
}

static void test_a_vm_below_1_mib(void **state)
{
	(void)state;
	elf32_head(0x20000, 1);
	elf32_segment(0, 0x1000, 0x20000, 0x20000, 0x10, 0x10);
	request.mem_size = 0x80000;
	assert_int_equal(rig_load(load_multiboot), OK);
	assert_int_equal(ram32(INFO + 4), 512);
	assert_int_equal(ram32(INFO + 8), 0);
	assert_int_equal(ram32(INFO + 44), 2 * 24);
	assert_int_equal(ram64(ram32(INFO + 48) + 12), 0x80000);
	request.mem_size = 0x20020; /* the kernel's, and 10h that are too few */
	elf32_segment(1, 0x1000, 0x10000, 0x10000, 0x10, 0x10000);
	put16(44, 2);
	rig_refuse(load_multiboot, E_NOMEM, "of boot information");
	put16(44, 1);
	request.mem_size = 0x100000;
	assert_int_equal(rig_load(load_multiboot), OK);
	assert_int_equal(ram32(INFO + 4), 639);
	assert_int_equal(ram32(INFO + 44), 2 * 24);
	request.mem_size = 0x100400;
	assert_int_equal(rig_load(load_multiboot), OK);
	assert_int_equal(ram32(INFO + 8), 1);
	assert_int_equal(ram32(INFO + 44), 3 * 24);
}

static void test_the_longest_texts_and_most_modules(void **state)
{
	static struct load_module modules[LOAD_MODULE_MAX];
	static char text[LOAD_TEXT_MAX + 1];
	uint32_t list;

	(void)state;
	memset(text, 'x', LOAD_TEXT_MAX - 1);
	for (unsigned i = 0; i < LOAD_MODULE_MAX; i++)
		modules[i] = (struct load_module){"data", 4, text};
	request.cmdline = text;
	request.modules = modules;
	request.module_count = LOAD_MODULE_MAX;
	assert_int_equal(rig_load(load_multiboot), OK);
	list = ram32(INFO + 24);
	for (unsigned i = 0; i < LOAD_MODULE_MAX; i++) {
		assert_int_equal(ram32(list + i * 16), 0x102000 + i * 0x1000);
		expect_text(ram32(list + i * 16 + 8), text);
	}
	expect_text(ram32(INFO + 16), text);
	text[LOAD_TEXT_MAX - 1] = 'x';
	rig_refuse(load_multiboot, E_INVAL, "command line is longer");
	request.cmdline = NULL;
	rig_refuse(load_multiboot, E_INVAL, "of module 0 is longer");
	text[0] = '\0';
	request.module_count++;
	rig_refuse(load_multiboot, E_INVAL, "33 modules are more than 32");
}

static void test_memory_that_is_not_there(void **state)
{
	static const struct load_module modules[] = {{"module", 6, "m"}, {"second", 6, "n"}};

	(void)state;
	memset(&mem, 0, sizeof(mem));
	assert_int_equal(gmem_add(&mem, gpa(0x100000), 0x2000, ram + 0x100000, false), OK);
	rig_refuse(load_multiboot, E_FAULT, "at 0x100bc"); /* the first text */
	request.modules = modules;
	request.module_count = 1;
	rig_refuse(load_multiboot, E_FAULT, "6 bytes at 0x102000");
	assert_int_equal(gmem_add(&mem, gpa(0x103000), 0x1000, ram + 0x103000, false), OK);
	assert_int_equal(gmem_add(&mem, gpa(0), 0x9f000, ram, false), OK);
	request.module_count = 2;
	rig_refuse(load_multiboot, E_FAULT, "6 bytes at 0x102000"); /* though the second has some */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_no_header, setup_elf),
		cmocka_unit_test_setup(test_header_places, setup_elf),
		cmocka_unit_test_setup(test_a_wrong_sum_is_no_header, setup_elf),
		cmocka_unit_test_setup(test_every_cut_is_refused, setup_elf),
		cmocka_unit_test_setup(test_requirements_that_are_unknown_are_named, setup_elf),
		cmocka_unit_test_setup(test_an_elf_kernel, setup_elf),
		cmocka_unit_test_setup(test_a_64_bit_elf_kernel, setup_elf),
		cmocka_unit_test_setup(test_neither_addresses_nor_elf, setup_elf),
		cmocka_unit_test_setup(test_address_fields, setup_flat),
		cmocka_unit_test_setup(test_address_fields_load_a_part, setup_flat),
		cmocka_unit_test_setup(test_address_fields_win_over_elf, setup_flat),
		cmocka_unit_test_setup(test_address_fields_that_cannot_be, setup_flat),
		cmocka_unit_test_setup(test_the_boot_information, setup_elf),
		cmocka_unit_test_setup(test_a_missing_command_line_is_an_empty_one, setup_elf),
		cmocka_unit_test_setup(test_modules, setup_elf),
		cmocka_unit_test_setup(test_modules_lie_below_a_kernel_that_is_on_top, setup_elf),
		cmocka_unit_test_setup(test_the_information_avoids_the_kernel, setup_elf),
		cmocka_unit_test_setup(test_the_information_avoids_the_modules, setup_elf),
		cmocka_unit_test_setup(test_no_room_for_the_information, setup_elf),
		cmocka_unit_test_setup(test_a_vm_below_1_mib, setup_elf),
		cmocka_unit_test_setup(test_the_longest_texts_and_most_modules, setup_elf),
		cmocka_unit_test_setup(test_memory_that_is_not_there, setup_elf),
		cmocka_unit_test_setup(test_a_module_may_end_where_the_memory_ends, setup_elf),
		cmocka_unit_test_setup(test_modules_lie_above_a_kernel_that_leaves_room_below,
				       setup_elf),
		cmocka_unit_test_setup(test_the_information_may_end_where_the_memory_ends,
				       setup_elf),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
