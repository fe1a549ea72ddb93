/*
 * ELF executables into a VM's memory.
 * needs: core/load_elf.c mm/gmem.c lib/printf.c lib/text.c
 */
#include "load_rig.h"

static int setup32(void **state)
{
	rig_setup(state);
	elf32_head(0x100010, 1);
	elf32_segment(0, 0x1000, 0x100000, 0x100000, 0x2345, 0x4321);
	memset(image + 0x1000, 0xab, 0x2345);
	return 0;
}

static int setup64(void **state)
{
	rig_setup(state);
	elf64_head(0xffffffff80100010, 2);
	elf64_segment(0, 0x1000, 0xffffffff80100000, 0x100000, 0x1800, 0x1800);
	elf64_segment(1, 0x3000, 0xffffffff80200000, 0x200000, 0x10, 0x2000);
	memset(image + 0x1000, 0xab, 0x1800);
	memset(image + 0x3000, 0xcd, 0x10);
	return 0;
}

static void test_elf32_goes_to_its_physical_address(void **state)
{
	(void)state;
	assert_int_equal(rig_load(load_elf), OK);
	assert_int_equal(start.mode, LOAD_PROT32);
	assert_int_equal(start.entry, 0x100010);
	assert_int_equal(start.eax, 0);
	assert_int_equal(start.ebx, 0);
	expect_filled(0x100000, 0x2345, 0xab);
	expect_filled(0x102345, 0x4321 - 0x2345, 0);
	assert_int_equal(ram[0x104321], 0xcc); /* nothing else is touched */
	assert_int_equal(ram[0xfffff], 0xcc);
}

static void test_elf64_starts_at_the_entrys_physical_address(void **state)
{
	(void)state;
	assert_int_equal(rig_load(load_elf), OK);
	assert_int_equal(start.mode, LOAD_PROT32);
	assert_int_equal(start.entry, 0x100010);
	expect_filled(0x100000, 0x1800, 0xab);
	expect_filled(0x101800, 0x100, 0xcc);
	expect_filled(0x200000, 0x10, 0xcd);
	expect_filled(0x200010, 0x1ff0, 0);
	assert_int_equal(ram[0x202000], 0xcc);
}

static void test_entry_in_the_second_segment(void **state)
{
	(void)state;
	put64(24, 0xffffffff80201fff);
	assert_int_equal(rig_load(load_elf), OK);
	assert_int_equal(start.entry, 0x201fff);
}

static void test_entry_given_as_a_physical_address(void **state)
{
	(void)state;
	put64(24, 0x200008);
	assert_int_equal(rig_load(load_elf), OK);
	assert_int_equal(start.entry, 0x200008);
}

static void test_a_virtual_entry_is_preferred(void **state)
{
	(void)state;
	elf32_head(0x200010, 2);
	elf32_segment(0, 0x1000, 0x900000, 0x200000, 0x100, 0x100);
	elf32_segment(1, 0x1000, 0x200000, 0x300000, 0x100, 0x100);
	assert_int_equal(rig_load(load_elf), OK);
	assert_int_equal(start.entry, 0x300010);
}

static void test_entry_outside_is_refused(void **state)
{
	(void)state;
	put32(24, 0x104321);
	rig_refuse(load_elf, E_INVAL, "entry 0x104321 is in no segment");
	put32(24, 0xfffff);
	rig_refuse(load_elf, E_INVAL, "entry 0xfffff is in no segment");
	expect_filled(0x100000, 0x1000, 0xcc); /* nothing is written before all is checked */
}

static void test_other_program_headers_are_passed_over(void **state)
{
	(void)state;
	elf32_head(0x100010, 3);
	elf32_segment(1, 0xffffff00, 0, 0xfffffff0, 0xffff, 0);
	elf32_segment(2, 0, 0x100000, 0x100000, 0x1000, 0x1000);
	put32(RIG_PHOFF_32 + 32, 0x6474e551);
	put32(RIG_PHOFF_32 + 64, 4);
	assert_int_equal(rig_load(load_elf), OK);
	assert_int_equal(ram[0x100000], 0xab);
}

static void test_empty_segments_are_passed_over(void **state)
{
	(void)state;
	elf32_head(0x100010, 2);
	elf32_segment(1, 0xffffffff, 0xffffffff, 0xffffffff, 0, 0);
	assert_int_equal(rig_load(load_elf), OK);
	put16(44, 1);
	elf32_segment(0, 0, 0x100000, 0x100000, 0, 0);
	rig_refuse(load_elf, E_INVAL, "no segment is to be loaded");
	put16(44, 0);
	rig_refuse(load_elf, E_INVAL, "no segment is to be loaded");
}

static void test_larger_program_headers_are_stepped_over(void **state)
{
	(void)state;
	elf32_head(0x100010, 2);
	put16(42, 48);
	memset(image + RIG_PHOFF_32 + 32, 0xff, 16);
	memcpy(image + RIG_PHOFF_32 + 48, image + RIG_PHOFF_32, 32);
	put32(RIG_PHOFF_32 + 48 + 12, 0x200000);
	assert_int_equal(rig_load(load_elf), OK);
	assert_int_equal(ram[0x200000], 0xab);
}

static void test_what_is_no_elf_for_us_is_refused(void **state)
{
	static const struct {
		unsigned at;
		uint8_t value;
		const char *words;
	} cases[] = {
		{0, 0x7e, "no ELF"},	     {3, 'f', "no ELF"},
		{4, 0, "class 0"},	     {4, 2, "class 2 for machine 3"},
		{4, 3, "class 3"},	     {5, 2, "byte order 2"},
		{6, 0, "version 0"},	     {16, 1, "type 1"},
		{16, 3, "type 3"},	     {17, 1, "type 258"},
		{18, 62, "machine 62"},	     {18, 40, "machine 40"},
		{19, 1, "machine 259"},	     {42, 31, "program header 0"},
		{42, 0, "program header 0"},
	};

	(void)state;
	for (unsigned i = 0; i < array_count(cases); i++) {
		const uint8_t was = image[cases[i].at];

		image[cases[i].at] = cases[i].value;
		rig_refuse(load_elf, E_INVAL, cases[i].words);
		image[cases[i].at] = was;
	}
	assert_int_equal(rig_load(load_elf), OK);
}

static void test_every_cut_of_the_file_is_refused(void **state)
{
	(void)state;
	for (request.image_len = 0; request.image_len < 0x1000 + 0x2345; request.image_len++) {
		if (request.image_len > 200 && request.image_len < 0x3300)
			request.image_len = 0x3300;
		assert_int_equal(rig_load(load_elf), E_INVAL);
	}
	assert_int_equal(rig_load(load_elf), OK);
	request.image_len = 0;
	rig_refuse(load_elf, E_INVAL, "empty");
}

static void test_every_cut_of_a_64_bit_file_is_refused(void **state)
{
	(void)state;
	for (request.image_len = 1; request.image_len < 64 + 2 * 56; request.image_len++)
		assert_int_equal(rig_load(load_elf), E_INVAL);
	request.image_len = 0x3010;
	put16(54, 55);
	rig_refuse(load_elf, E_INVAL, "program header 0, 55 bytes each");
	put16(54, 56);
	request.image_len = 0x300f;
	rig_refuse(load_elf, E_INVAL, "segment 1 is cut off: 0x10 bytes from 0x3000 of 0x300f");
	request.image_len = 0x3010;
	assert_int_equal(rig_load(load_elf), OK);
}

static void test_numbers_that_wrap_are_refused(void **state)
{
	static const uint64_t huge[] = {UINT64_MAX, UINT64_MAX - 15, 1ull << 63,
					0xffffffff00000000};

	(void)state;
	for (unsigned i = 0; i < array_count(huge); i++) {
		setup64(state);
		elf64_segment(0, huge[i], 0, 0x100000, 0x1000, 0x1000);
		rig_refuse(load_elf, E_INVAL, "segment 0 is cut off");
		elf64_segment(0, 0x1000, 0, 0x100000, huge[i], huge[i]);
		rig_refuse(load_elf, E_INVAL, "segment 0 is cut off");
		elf64_segment(0, 0x1000, 0, huge[i], 0x1000, 0x1000);
		rig_refuse(load_elf, E_NOMEM, "segment 0");
		elf64_segment(0, 0x1000, 0, 0x100000, 0x1000, huge[i]);
		rig_refuse(load_elf, E_NOMEM, "segment 0");
		setup64(state);
		put64(32, huge[i]);
		rig_refuse(load_elf, E_INVAL, "program header 0");
		setup64(state);
		put64(24, huge[i]);
		rig_refuse(load_elf, E_INVAL, "in no segment");
	}
}

static void test_a_segment_too_large_for_the_vm_is_named(void **state)
{
	(void)state;
	request.name = "big.elf";
	elf32_head(0x100010, 2);
	elf32_segment(1, 0x1000, 0x200000, 0x200000, 0x10, 24 * MIB);
	rig_refuse(load_elf, E_NOMEM,
		   "big.elf: segment 1 at 0x200000 needs 24 MiB, the VM has 16 MiB");
	elf32_segment(1, 0x1000, 0x200000, 0x200000, 0x10, 14 * MIB);
	assert_int_equal(rig_load(load_elf), OK);
	elf32_segment(1, 0x1000, 0x200000, 0x200000, 0x10, 14 * MIB + 1);
	rig_refuse(load_elf, E_NOMEM, "segment 1");
	elf32_segment(1, 0x1000, 0xf0000000, 0xf0000000, 0x10, 0x10);
	rig_refuse(load_elf, E_NOMEM, "segment 1 at 0xf0000000");
}

static void test_more_in_the_file_than_in_memory_is_refused(void **state)
{
	(void)state;
	elf32_segment(0, 0x1000, 0x100000, 0x100000, 0x101, 0x100);
	rig_refuse(load_elf, E_INVAL, "segment 0 has 0x101 bytes in the file, 0x100 in memory");
}

static void test_reserved_memory_is_not_loaded_into(void **state)
{
	static const struct {
		uint32_t at, len;
		bool fits;
	} cases[] = {
		{0, 0x1000, true},	   {0x9fb00, 0x100, true}, {0x9fb00, 0x101, false},
		{0x9fc00, 1, false},	   {0xb8000, 0x10, false}, {0xfffff, 1, false},
		{0xfffff, 2, false},	   {0x100000, 0x10, true}, {0, 0x9fc00, true},
		{0x1000, 0x200000, false}, {0, 0x9fc01, false},
	};

	(void)state;
	for (unsigned i = 0; i < array_count(cases); i++) {
		elf32_head(cases[i].at, 1);
		elf32_segment(0, 0x1000, cases[i].at, cases[i].at, 1, cases[i].len);
		if (cases[i].fits)
			assert_int_equal(rig_load(load_elf), OK);
		else
			rig_refuse(load_elf, E_INVAL, "reserved memory (0x9fc00 to 0x100000)");
	}
}

static void test_segments_must_be_disjoint(void **state)
{
	static const struct {
		uint32_t at, len;
		bool fits;
	} cases[] = {
		{0x200000, 0x100, false}, {0x1fff00, 0x100, true}, {0x1fff00, 0x101, false},
		{0x200fff, 1, false},	  {0x201000, 1, true},	   {0x1ff000, 0x3000, false},
	};

	(void)state;
	for (unsigned i = 0; i < array_count(cases); i++) {
		elf32_head(0x200000, 2);
		elf32_segment(0, 0x1000, 0x200000, 0x200000, 0x1000, 0x1000);
		elf32_segment(1, 0x1000, cases[i].at, cases[i].at, 1, cases[i].len);
		if (cases[i].fits)
			assert_int_equal(rig_load(load_elf), OK);
		else
			rig_refuse(load_elf, E_INVAL, "overlaps what is at 0x200000");
	}
}

static void test_the_number_of_program_headers_is_bounded(void **state)
{
	(void)state;
	elf32_head(0x100010, 0xffff);
	rig_refuse(load_elf, E_INVAL, "65535 program headers are more than 32");
	elf32_head(0x100010, 33);
	rig_refuse(load_elf, E_INVAL, "33 program headers");
	elf32_head(0x100000, 32);
	for (unsigned i = 0; i < 32; i++)
		elf32_segment(i, 0x1000 + i, 0x100000 + i * 16, 0x100000 + i * 16, 16, 16);
	assert_int_equal(rig_load(load_elf), OK);
}

static void test_memory_in_several_slots(void **state)
{
	uint8_t *other = aligned_alloc(PAGE_SIZE, 2 * MIB);

	(void)state;
	assert_non_null(other);
	memset(other, 0xcc, 2 * MIB);
	memset(&mem, 0, sizeof(mem));
	assert_int_equal(gmem_add(&mem, gpa(0), 0x101000, ram, false), OK);
	assert_int_equal(gmem_add(&mem, gpa(0x101000), 2 * MIB, other, false), OK);
	assert_int_equal(rig_load(load_elf), OK);
	expect_filled(0x100000, 0x1000, 0xab);
	assert_int_equal(other[0x1344], 0xab);
	assert_int_equal(other[0x1345], 0);
	elf32_segment(0, 0x1000, 0x100000, 0x100000, 0x20, 0x180000); /* zeroes across both */
	assert_int_equal(rig_load(load_elf), OK);
	expect_filled(0x100020, 0xfe0, 0);
	for (uint64_t i = 0; i < 0x180000 - 0x1000; i++)
		assert_int_equal(other[i], 0);
	assert_int_equal(other[0x180000 - 0x1000], 0xcc);
	free(other);
}

static void test_memory_that_is_not_there(void **state)
{
	(void)state;
	memset(&mem, 0, sizeof(mem));
	rig_refuse(load_elf, E_FAULT, "no memory for 17185 bytes at 0x100000");
	assert_int_equal(gmem_add(&mem, gpa(0), 0x103000, ram, false), OK);
	rig_refuse(load_elf, E_FAULT, "no memory"); /* the zeroes leave it */
	assert_int_equal(gmem_add(&mem, gpa(0x104000), 0x1000, ram + 0x104000, false), OK);
	elf32_segment(0, 0x1000, 0x100000, 0x100000, 0x2345, 0x4f00);
	rig_refuse(load_elf, E_FAULT, "no memory"); /* and enter it again */
	elf32_head(0x100010, 2);
	elf32_segment(1, 0x1000, 0x104f00, 0x104f00, 0x10, 0x10); /* fits */
	rig_refuse(load_elf, E_FAULT, "at 0x100000");
}

static void test_the_request_is_checked(void **state)
{
	static const struct load_module module;
	char text[LOAD_TEXT_MAX + 1];

	(void)state;
	request.mem_size = LOAD_MEM_MAX + 1;
	rig_refuse(load_elf, E_INVAL, "3 GiB");
	request.mem_size = RIG_MEM;
	request.modules = &module;
	request.module_count = 1;
	rig_refuse(load_elf, E_INVAL, "takes no modules");
	request.module_count = LOAD_MODULE_MAX + 1;
	rig_refuse(load_elf, E_INVAL, "33 modules");
	request.module_count = 0;
	request.cmdline = "quiet";
	rig_refuse(load_elf, E_INVAL, "no command line");
	memset(text, 'x', sizeof(text));
	text[LOAD_TEXT_MAX] = '\0';
	request.cmdline = text;
	rig_refuse(load_elf, E_INVAL, "longer than 4095");
	request.cmdline = "";
	assert_int_equal(rig_load(load_elf), OK);
}

static void test_errors_fit_any_buffer(void **state)
{
	char small[8];
	int rc;

	(void)state;
	image[0] = 0;
	request.image = image;
	request.name = "a name that is longer than what the buffer has";
	for (size_t size = 0; size <= sizeof(small); size++) {
		memset(small, '#', sizeof(small));
		rc = load_elf(&mem, &request, &start, small, size);
		assert_int_equal(rc, E_INVAL);
		for (size_t i = size; i < sizeof(small); i++)
			assert_int_equal(small[i], '#');
		if (size)
			assert_non_null(memchr(small, '\0', size));
	}
}

#define t32(name) cmocka_unit_test_setup(name, setup32)
#define t64(name) cmocka_unit_test_setup(name, setup64)

int main(void)
{
	const struct CMUnitTest tests[] = {
		t32(test_elf32_goes_to_its_physical_address),
		t64(test_elf64_starts_at_the_entrys_physical_address),
		t64(test_entry_in_the_second_segment),
		t64(test_entry_given_as_a_physical_address),
		t32(test_a_virtual_entry_is_preferred),
		t32(test_entry_outside_is_refused),
		t32(test_other_program_headers_are_passed_over),
		t32(test_empty_segments_are_passed_over),
		t32(test_larger_program_headers_are_stepped_over),
		t32(test_what_is_no_elf_for_us_is_refused),
		t32(test_every_cut_of_the_file_is_refused),
		t64(test_every_cut_of_a_64_bit_file_is_refused),
		t64(test_numbers_that_wrap_are_refused),
		t32(test_a_segment_too_large_for_the_vm_is_named),
		t32(test_more_in_the_file_than_in_memory_is_refused),
		t32(test_reserved_memory_is_not_loaded_into),
		t32(test_segments_must_be_disjoint),
		t32(test_the_number_of_program_headers_is_bounded),
		t32(test_memory_in_several_slots),
		t32(test_memory_that_is_not_there),
		t32(test_the_request_is_checked),
		t32(test_errors_fit_any_buffer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
