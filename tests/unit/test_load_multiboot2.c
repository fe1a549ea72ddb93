/*
 * Multiboot2 kernels into a VM's memory: the header's tags and the boot information.
 * needs: core/load_elf.c core/load_multiboot.c core/load_multiboot_info.c mm/gmem.c lib/printf.c
 * needs: lib/text.c
 */
#include "load_rig.h"

#define MAGIC 0xe85250d6u

enum { HEADER = 0x400, INFO = 0x10000 };

static uint64_t tag_at; /* where the next tag of the header goes */

/* Closes the header: length and sum. */
static void mb2_close(void)
{
	const uint32_t len = (uint32_t)(tag_at - HEADER);

	put32(HEADER, MAGIC);
	put32(HEADER + 4, 0);
	put32(HEADER + 8, len);
	put32(HEADER + 12, 0u - MAGIC - len);
}

/* A tag with these numbers, and the closing tag behind it. */
static void mb2_tag(unsigned type, unsigned flags, unsigned count, const uint32_t *numbers)
{
	put16(tag_at, type);
	put16(tag_at + 2, flags);
	put32(tag_at + 4, 8 + 4 * count);
	for (unsigned i = 0; i < count; i++)
		put32(tag_at + 8 + 4 * i, numbers[i]);
	tag_at += align_up(8 + 4 * count, 8u);
	put64(tag_at, 8ull << 32);
	tag_at += 8;
	mb2_close();
	tag_at -= 8;
}

#define tag(type, flags, ...)                                                \
	mb2_tag(type, flags, array_count(((const uint32_t[]){__VA_ARGS__})), \
		(const uint32_t[]){__VA_ARGS__})
#define tag_empty(type, flags) mb2_tag(type, flags, 0, NULL)

static int setup(void **state)
{
	rig_setup(state);
	elf32_head(0x100010, 1);
	elf32_segment(0, 0x1000, 0x100000, 0x100000, 0x800, 0x1800);
	memset(image + 0x1000, 0xab, 0x800);
	tag_at = HEADER + 16;
	put64(tag_at, 8ull << 32);
	tag_at += 8;
	mb2_close();
	tag_at -= 8;
	return 0;
}

static void test_a_kernel_without_wishes(void **state)
{
	(void)state;
	assert_int_equal(rig_load(load_multiboot), OK);
	assert_int_equal(start.mode, LOAD_PROT32);
	assert_int_equal(start.entry, 0x100010);
	assert_int_equal(start.eax, 0x36d76289);
	assert_int_equal(start.ebx, INFO);
	expect_filled(0x100000, 0x800, 0xab);
	expect_filled(0x100800, 0x1000, 0);
}

static void test_multiboot2_is_preferred_to_1(void **state)
{
	(void)state;
	put32(0x300, 0x1badb002);
	put32(0x304, 0);
	put32(0x308, 0u - 0x1badb002u);
	assert_int_equal(rig_load(load_multiboot), OK);
	assert_int_equal(start.eax, 0x36d76289);
	put32(HEADER + 12, 1);
	assert_int_equal(rig_load(load_multiboot), OK);
	assert_int_equal(start.eax, 0x2badb002);
}

static void test_header_places(void **state)
{
	static const struct {
		unsigned at;
		int expected;
	} cases[] = {{0x208, OK},	    {0x204, E_NOENT},	  {32768 - 24, OK},
		     {32768 - 16, E_INVAL}, {32768 - 8, E_NOENT}, {32768, E_NOENT}};

	(void)state;
	for (unsigned i = 0; i < array_count(cases); i++) {
		uint8_t header[24];

		setup(state);
		memcpy(header, image + HEADER, sizeof(header));
		memset(image + HEADER, 0, sizeof(header));
		memcpy(image + cases[i].at, header, sizeof(header));
		assert_int_equal(rig_load(load_multiboot), cases[i].expected);
	}
}

static void test_another_architecture(void **state)
{
	(void)state;
	put32(HEADER + 4, 4);
	put32(HEADER + 12, 0u - MAGIC - 4 - 24);
	rig_refuse(load_multiboot, E_INVAL, "architecture 4");
}

static void test_every_cut_is_refused(void **state)
{
	(void)state;
	tag(1, 0, 1, 4, 6);
	for (request.image_len = 1; request.image_len < tag_at + 8; request.image_len++)
		assert_int_equal(rig_load(load_multiboot),
				 request.image_len < HEADER + 16 ? E_NOENT : E_INVAL);
	request.image_len = 0x1800;
	assert_int_equal(rig_load(load_multiboot), OK);
}

static void test_lengths_that_lie(void **state)
{
	static const uint32_t lengths[] = {0, 8, 15, 16, 23, 0x10000, 0x7fffffff, UINT32_MAX};

	(void)state;
	for (unsigned i = 0; i < array_count(lengths); i++) {
		put32(HEADER + 8, lengths[i]);
		put32(HEADER + 12, 0u - MAGIC - lengths[i]);
		rig_refuse(load_multiboot, E_INVAL, "Multiboot2 header");
	}
	for (unsigned i = 0; i < array_count(lengths); i++) {
		setup(state);
		tag(1, 0, 1, 4, 6, 6);
		put32(HEADER + 16 + 4, lengths[i]);
		if (lengths[i] == 8 || lengths[i] == 15 || lengths[i] == 16 || lengths[i] == 23)
			(void)rig_load(load_multiboot); /* what follows is read as tags */
		else
			rig_refuse(load_multiboot, E_INVAL, "bad tag");
	}
}

static void test_the_last_tag_must_be_there(void **state)
{
	(void)state;
	tag(1, 0, 1, 4);
	put16(tag_at, 6); /* was the end */
	rig_refuse(load_multiboot, E_INVAL, "no last one, at 0x428");
}

static void test_information_requests(void **state)
{
	static const struct {
		uint32_t type;
		const char *words;
	} missing[] = {
		{5, "BIOS boot device (information type 5)"},
		{7, "VBE"},
		{8, "a framebuffer (information type 8)"},
		{9, "ELF symbols"},
		{10, "APM"},
		{11, "EFI32"},
		{12, "EFI64"},
		{13, "SMBIOS"},
		{14, "ACPI 1"},
		{15, "ACPI 2"},
		{16, "network"},
		{17, "unknown (information type 17)"},
		{UINT32_MAX, "unknown"},
	};

	(void)state;
	tag(1, 0, 0, 1, 2, 3, 4, 6);
	assert_int_equal(rig_load(load_multiboot), OK);
	for (unsigned i = 0; i < array_count(missing); i++) {
		setup(state);
		tag(1, 0, 6, missing[i].type);
		rig_refuse(load_multiboot, E_INVAL, missing[i].words);
		setup(state);
		tag(1, 1, 6, missing[i].type);
		assert_int_equal(rig_load(load_multiboot), OK);
	}
}

static void test_tags_that_ask_for_nothing(void **state)
{
	(void)state;
	tag_empty(6, 0);
	tag_empty(7, 0);
	tag(8, 0, 0x100000);
	tag(9, 0, 0x100000);
	tag(10, 0, 0x100000, 0x200000, 0x1000, 0);
	tag(4, 0, 2); /* it can do text */
	assert_int_equal(rig_load(load_multiboot), OK);
	assert_int_equal(start.entry, 0x100010);
}

static void test_required_tags_that_are_unknown_are_named(void **state)
{
	static const struct {
		unsigned type;
		const char *words;
	} cases[] = {{4, "a console (tag 4)"},
		     {5, "a framebuffer (tag 5)"},
		     {11, "unknown (tag 11)"},
		     {0xffff, "unknown (tag 65535)"}};

	(void)state;
	for (unsigned i = 0; i < array_count(cases); i++) {
		setup(state);
		tag(cases[i].type, 0, 3, 0, 0);
		rig_refuse(load_multiboot, E_INVAL, cases[i].words);
		setup(state);
		tag(cases[i].type, 1, 3, 0, 0);
		assert_int_equal(rig_load(load_multiboot), OK);
	}
}

static void test_an_entry_tag_with_elf(void **state)
{
	(void)state;
	tag(3, 0, 0x101234);
	assert_int_equal(rig_load(load_multiboot), OK);
	assert_int_equal(start.entry, 0x101234);
	setup(state);
	tag(3, 0, 0x101800);
	rig_refuse(load_multiboot, E_INVAL, "entry tag's 0x101800");
	setup(state);
	tag(3, 0, 0xfffff);
	rig_refuse(load_multiboot, E_INVAL, "entry tag's 0xfffff");
	setup(state);
	tag_empty(3, 0);
	rig_refuse(load_multiboot, E_INVAL, "entry tag is too short");
}

static void test_an_address_tag(void **state)
{
	(void)state;
	memset(image, 0x5a, HEADER);
	tag(2, 0, 0x200400, 0x200000, 0x201000, 0x202000);
	tag(3, 0, 0x200800);
	assert_int_equal(rig_load(load_multiboot), OK);
	assert_int_equal(start.entry, 0x200800);
	expect_filled(0x200000, HEADER, 0x5a);
	assert_int_equal(ram32(0x200400), MAGIC);
	expect_filled(0x201000, 0x1000, 0);
	assert_int_equal(ram[0x202000], 0xcc);
}

static void test_an_address_tag_that_loads_from_the_start(void **state)
{
	(void)state;
	memset(image, 0x5a, HEADER);
	tag(2, 0, 0x300400, UINT32_MAX, 0, 0);
	tag(3, 0, 0x300000);
	assert_int_equal(rig_load(load_multiboot), OK);
	expect_filled(0x300000, HEADER, 0x5a);
	assert_int_equal(ram[0x30ffff], 0);
	assert_int_equal(ram[0x310000], 0xcc);
	setup(state);
	tag(2, 0, 0x3ff, UINT32_MAX, 0, 0);
	tag(3, 0, 0x300000);
	rig_refuse(load_multiboot, E_INVAL, "cannot be at 0x3ff");
}

static void test_an_address_tag_needs_an_entry_tag(void **state)
{
	(void)state;
	tag(2, 0, 0x200400, 0x200000, 0, 0);
	rig_refuse(load_multiboot, E_INVAL, "no entry tag");
	setup(state);
	tag(2, 0, 0x200400, 0x200000, 0);
	rig_refuse(load_multiboot, E_INVAL, "address tag is too short");
}

static void test_the_boot_information(void **state)
{
	static const struct load_module modules[] = {{"one", 3, "first module"},
						     {"second", 6, NULL}};
	static const uint32_t types[] = {1, 2, 3, 3, 4, 6, 0};
	uint32_t at[array_count(types)], next = INFO + 8;

	(void)state;
	request.cmdline = "init=/bin/sh";
	request.modules = modules;
	request.module_count = 2;
	assert_int_equal(rig_load(load_multiboot), OK);
	assert_int_equal(ram32(INFO + 4), 0);
	for (unsigned i = 0; i < array_count(types); i++) {
		at[i] = next;
		assert_int_equal(ram32(next), types[i]);
		for (uint32_t pad = ram32(next + 4); pad % 8; pad++)
			assert_int_equal(ram[next + pad], 0);
		next += align_up(ram32(next + 4), 8u);
	}
	assert_int_equal(ram32(INFO), next - INFO);
	assert_int_equal(ram[next], 0xcc);
	assert_int_equal(ram32(at[0] + 4), 8 + sizeof("init=/bin/sh"));
	assert_string_equal((char *)ram + at[0] + 8, "init=/bin/sh");
	assert_int_equal(ram32(at[1] + 4), 8 + 5);
	assert_string_equal((char *)ram + at[1] + 8, "CRVM");
	assert_int_equal(ram32(at[2] + 4), 16 + sizeof("first module"));
	assert_int_equal(ram32(at[2] + 8), 0x102000);
	assert_int_equal(ram32(at[2] + 12), 0x102003);
	assert_string_equal((char *)ram + at[2] + 16, "first module");
	assert_memory_equal(ram + 0x102000, "one", 3);
	assert_int_equal(ram32(at[3] + 8), 0x103000);
	assert_int_equal(ram32(at[3] + 12), 0x103006);
	assert_int_equal(ram32(at[3] + 4), 17);
	assert_int_equal(ram32(at[4] + 4), 16);
	assert_int_equal(ram32(at[4] + 8), 639);
	assert_int_equal(ram32(at[4] + 12), 15 * 1024);
	assert_int_equal(ram32(at[5] + 4), 16 + 3 * 24);
	assert_int_equal(ram32(at[5] + 8), 24);
	assert_int_equal(ram32(at[5] + 12), 0);
	assert_int_equal(ram64(at[5] + 16), 0);
	assert_int_equal(ram64(at[5] + 24), 0x9fc00);
	assert_int_equal(ram64(at[5] + 32), 1);
	assert_int_equal(ram64(at[5] + 40), 0x9fc00);
	assert_int_equal(ram64(at[5] + 56), 2);
	assert_int_equal(ram64(at[5] + 64), 0x100000);
	assert_int_equal(ram64(at[5] + 72), 15 * MIB);
	assert_int_equal(ram64(at[5] + 80), 1);
	assert_int_equal(ram32(at[6] + 4), 8);
}

static void test_a_vm_below_1_mib(void **state)
{
	uint32_t map;

	(void)state;
	elf32_head(0x20000, 1);
	elf32_segment(0, 0x1000, 0x20000, 0x20000, 0x10, 0x10);
	request.mem_size = 0x90000;
	assert_int_equal(rig_load(load_multiboot), OK);
	map = INFO + 8 + 16 + 16 + 16; /* an empty command line, the name, basic memory */
	assert_int_equal(ram32(map), 6);
	assert_int_equal(ram32(map + 4), 16 + 2 * 24);
	assert_int_equal(ram64(map + 24), 0x90000);
	assert_int_equal(ram32(map + 16 + 48), 0);
	assert_int_equal(ram32(INFO), map + 16 + 48 + 8 - INFO);
}

#define t(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		t(test_a_kernel_without_wishes),
		t(test_multiboot2_is_preferred_to_1),
		t(test_header_places),
		t(test_another_architecture),
		t(test_every_cut_is_refused),
		t(test_lengths_that_lie),
		t(test_the_last_tag_must_be_there),
		t(test_information_requests),
		t(test_tags_that_ask_for_nothing),
		t(test_required_tags_that_are_unknown_are_named),
		t(test_an_entry_tag_with_elf),
		t(test_an_address_tag),
		t(test_an_address_tag_that_loads_from_the_start),
		t(test_an_address_tag_needs_an_entry_tag),
		t(test_the_boot_information),
		t(test_a_vm_below_1_mib),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
