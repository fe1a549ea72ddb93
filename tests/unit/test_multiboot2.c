/*
 * boot/multiboot2.c: the walk over the tags, texts, modules, and hostile input of every kind.
 * needs: boot/multiboot2.c lib/text.c lib/printf.c
 */
#include "mbi_image.h"

static void memory_map_alone_is_enough(void **state)
{
	(void)state;
	mbi_begin();
	ram_add();
	mbi_end();
	assert_int_equal(parse(), 0);
	assert_int_equal(info.mmap_count, 1);
	assert_int_equal(info.mmap[0].base, 0x100000);
	assert_int_equal(info.mmap[0].len, 0x7f00000);
	assert_int_equal(info.mmap[0].type, BOOT_MEM_RAM);
	assert_int_equal(info.note_count, 0);
	assert_int_equal(info.module_count, 0);
	assert_int_equal(info.fb.type, BOOT_FB_NONE);
	assert_int_equal(info.rsdp_len, 0);
	assert_int_equal(info.symbols.symtab_len, 0);
	assert_false(info.efi);
	assert_string_equal(info.cmdline, "");
}

static void short_header_is_refused(void **state)
{
	(void)state;
	mbi_begin();
	ram_add();
	mbi_end();
	for (size_t avail = 0; avail < 8; avail++) {
		assert_int_equal(parse_at(avail, 0), E_INVAL);
		assert_true(noted("too short"));
	}
	for (uint32_t total = 0; total < 8; total++) {
		put32(0, total);
		assert_int_equal(parse(), E_INVAL);
		assert_int_equal(info.mmap_count, 0);
	}
	put32(0, 8);
	assert_int_equal(parse_at(8, 0), E_INVAL);
	assert_true(noted("no end tag"));
	assert_true(noted("no RAM"));
}

static void total_size_beyond_avail_is_cut_and_noted(void **state)
{
	(void)state;
	mbi_begin();
	ram_add();
	mbi_end();
	put32(0, UINT32_MAX);
	assert_int_equal(parse(), 0);
	assert_true(noted("is cut"));
	assert_int_equal(info.mmap_count, 1);
}

static void tags_beyond_total_size_are_not_read(void **state)
{
	size_t kept;

	(void)state;
	mbi_begin();
	ram_add();
	kept = mbi_len;
	module_add(0x200000, 0x300000, "beyond");
	mbi_end();
	put32(0, (uint32_t)kept);
	assert_int_equal(parse(), 0);
	assert_int_equal(info.module_count, 0);
	assert_true(noted("no end tag"));
}

static void total_size_inside_a_tag_drops_that_tag(void **state)
{
	size_t at;

	(void)state;
	mbi_begin();
	ram_add();
	at = module_add(0x200000, 0x300000, "cut");
	mbi_end();
	put32(0, (uint32_t)at + 12);
	assert_int_equal(parse(), 0);
	assert_int_equal(info.module_count, 0);
	assert_true(noted("the rest is ignored"));
}

static void tag_sizes_that_cannot_be_end_the_walk(void **state)
{
	static const uint32_t bad[] = {0,	   1,	       7,	   4096,
				       0x7fffffff, 0xfffffff8, 0xfffffff9, UINT32_MAX};
	size_t at;

	(void)state;
	for (unsigned i = 0; i < array_count(bad); i++) {
		mbi_begin();
		ram_add();
		at = tag_add(1, 8);
		module_add(0x200000, 0x300000, "after");
		mbi_end();
		put32(at + 4, bad[i]);
		assert_int_equal(parse(), 0);
		assert_int_equal(info.mmap_count, 1);
		assert_int_equal(info.module_count, 0);
		assert_true(noted("the rest is ignored"));
	}
}

static void end_tag_ends_even_with_a_broken_size(void **state)
{
	size_t at;

	(void)state;
	mbi_begin();
	ram_add();
	at = tag_add(0, 0);
	module_add(0x200000, 0x300000, "after the end");
	mbi_end();
	put32(at + 4, 0);
	assert_int_equal(parse(), 0);
	assert_int_equal(info.module_count, 0);
	assert_int_equal(info.note_count, 0);
}

static void tags_start_on_eight_byte_steps(void **state)
{
	(void)state;
	for (size_t extra = 0; extra < 17; extra++) {
		mbi_begin();
		tag_add(99, extra);
		ram_add();
		mbi_end();
		assert_int_equal(parse(), 0);
		assert_int_equal(info.note_count, 0);
	}
}

static void unknown_and_unused_tags_are_skipped_silently(void **state)
{
	static const uint32_t types[] = {4,  5,	 7,  10, 13, 16,   17,
					 18, 19, 20, 21, 22, 1000, UINT32_MAX};

	(void)state;
	mbi_begin();
	for (unsigned i = 0; i < array_count(types); i++)
		memset(mbi + tag_add(types[i], 24) + 8, 0xff, 24);
	ram_add();
	mbi_end();
	assert_int_equal(parse(), 0);
	assert_int_equal(info.note_count, 0);
}

static void texts_are_copied(void **state)
{
	(void)state;
	mbi_begin();
	text_add(1, "log=debug console=com1");
	text_add(2, "GRUB 2.06");
	ram_add();
	mbi_end();
	assert_int_equal(parse(), 0);
	assert_string_equal(info.cmdline, "log=debug console=com1");
	assert_string_equal(info.loader, "GRUB 2.06");
}

static void unterminated_text_ends_with_its_tag(void **state)
{
	size_t at;

	(void)state;
	mbi_begin();
	ram_add();
	at = tag_add(1, 8);
	memcpy(mbi + at + 8, "abcdefgh", 8);
	at = tag_add(2, 0);
	mbi_len = at + 8;
	put32(0, (uint32_t)mbi_len);
	assert_int_equal(parse(), 0);
	assert_string_equal(info.cmdline, "abcdefgh");
	assert_string_equal(info.loader, "");
}

static void text_of_any_length_fits_or_is_left_out(void **state)
{
	size_t at;

	(void)state;
	for (size_t len = BOOT_CMDLINE_MAX - 3; len < BOOT_CMDLINE_MAX + 3; len++) {
		mbi_begin();
		ram_add();
		at = tag_add(1, len + 1);
		memset(mbi + at + 8, 'x', len);
		mbi_end();
		assert_int_equal(parse(), 0);
		assert_int_equal(strlen(info.cmdline), len < BOOT_CMDLINE_MAX ? len : 0);
		assert_int_equal(noted("command line longer"), len >= BOOT_CMDLINE_MAX);
	}
	mbi_begin();
	ram_add();
	at = tag_add(2, 64);
	memset(mbi + at + 8, 'x', 64);
	mbi_end();
	assert_int_equal(parse(), 0);
	assert_string_equal(info.loader, "");
	assert_true(noted("loader's name"));
}

static void single_tags_count_once(void **state)
{
	(void)state;
	mbi_begin();
	text_add(1, "first");
	text_add(1, "second");
	ram_add();
	ram_add();
	mbi_end();
	assert_int_equal(parse(), 0);
	assert_string_equal(info.cmdline, "first");
	assert_int_equal(info.mmap_count, 1);
	assert_true(noted("command line: repeated"));
	assert_true(noted("memory map: repeated"));
}

static void modules_keep_order_place_and_text(void **state)
{
	(void)state;
	mbi_begin();
	module_add(0x14b000, 0x14b123, "config");
	module_add(0x200000, 0x200000, "");
	module_add(0xfffff000, UINT32_MAX, "disk a=b");
	ram_add();
	mbi_end();
	assert_int_equal(parse(), 0);
	assert_int_equal(info.module_count, 3);
	assert_int_equal(info.module[0].start, 0x14b000);
	assert_int_equal(info.module[0].end, 0x14b123);
	assert_string_equal(info.module[0].cmdline, "config");
	assert_int_equal(info.module[1].start, info.module[1].end);
	assert_int_equal(info.module[2].end, UINT32_MAX);
	assert_string_equal(info.module[2].cmdline, "disk a=b");
	assert_int_equal(info.note_count, 0);
}

static void module_that_ends_before_it_starts_is_dropped(void **state)
{
	(void)state;
	mbi_begin();
	module_add(0x200001, 0x200000, "backwards");
	module_add(0x300000, 0x300001, "good");
	ram_add();
	mbi_end();
	assert_int_equal(parse(), 0);
	assert_int_equal(info.module_count, 1);
	assert_string_equal(info.module[0].cmdline, "good");
	assert_true(noted("module at 0x200001 ends before"));
}

static void module_text_may_be_missing_or_too_long(void **state)
{
	size_t at;

	(void)state;
	mbi_begin();
	at = tag_add(3, 8);
	put32(at + 8, 0x1000);
	put32(at + 12, 0x2000);
	at = tag_add(3, 8 + 256);
	put32(at + 8, 0x3000);
	put32(at + 12, 0x4000);
	memset(mbi + at + 16, 'y', 256);
	at = tag_add(3, 8 + 255);
	memset(mbi + at + 16, 'z', 255);
	at = tag_add(3, 7);
	ram_add();
	mbi_end();
	assert_int_equal(parse(), 0);
	assert_int_equal(info.module_count, 3);
	assert_string_equal(info.module[0].cmdline, "");
	assert_int_equal(info.module[1].end, 0x4000);
	assert_string_equal(info.module[1].cmdline, "");
	assert_int_equal(strlen(info.module[2].cmdline), 255);
	assert_true(noted("module at 0x3000: command line too long"));
	assert_true(noted("module: a tag of 15 bytes is too short"));
}

static void modules_beyond_the_table_are_dropped(void **state)
{
	(void)state;
	mbi_begin();
	ram_add();
	for (unsigned i = 0; i < BOOT_MODULE_MAX + 1; i++)
		module_add(i * 0x1000, i * 0x1000 + 1, "m");
	mbi_end();
	assert_int_equal(parse(), 0);
	assert_int_equal(info.module_count, BOOT_MODULE_MAX);
	assert_int_equal(info.module[BOOT_MODULE_MAX - 1].start, (BOOT_MODULE_MAX - 1) * 0x1000);
	assert_true(noted("more than 64 modules: the one at 0x40000"));
}

static void notes_beyond_the_table_say_so(void **state)
{
	(void)state;
	for (unsigned faults = BOOT_NOTE_MAX; faults < BOOT_NOTE_MAX + 3; faults++) {
		mbi_begin();
		ram_add();
		for (unsigned i = 0; i < faults; i++)
			module_add(1, 0, "x");
		mbi_end();
		assert_int_equal(parse(), 0);
		assert_int_equal(info.note_count, BOOT_NOTE_MAX);
		assert_int_equal(noted("more wrong"), faults > BOOT_NOTE_MAX);
	}
}

/* All tags at once, as GRUB gives them. */
static void full_mbi(void)
{
	static const struct fb_case rgb = {0xfd000000, 3200, 800, 600, 32, 1, {16, 8, 8, 8, 0, 8}};
	size_t at;

	mbi_begin();
	text_add(1, "console=com1");
	text_add(2, "GRUB 2.06");
	module_add(0x14b000, 0x14b123, "config");
	module_add(0x200000, 0x300000, "disk");
	tag_add(4, 8);
	at = mmap_add(4, 24);
	mmap_entry(at, 0, 0, 0x9fc00, RAM);
	mmap_entry(at, 1, 0xf0000, 0x10000, RESERVED);
	mmap_entry(at, 2, 0x100000, 0x7ee0000, RAM);
	mmap_entry(at, 3, 0x7fe0000, 0x20000, BOOT_MEM_ACPI);
	fb_add(&rgb, 30);
	elf_add(image, array_count(image), 64);
	tag_add(12, 8);
	rsdp_add(14, 20, 0x11);
	rsdp_add(15, 36, 0x22);
	mbi_end();
}

static void every_alignment_gives_the_same_result(void **state)
{
	static struct boot_info first;

	(void)state;
	full_mbi();
	assert_int_equal(parse(), 0);
	assert_int_equal(info.note_count, 0);
	first = info;
	for (size_t shift = 1; shift < 8; shift++) {
		assert_int_equal(parse_at(mbi_len, shift), 0);
		assert_memory_equal(&first, &info, sizeof(info));
	}
}

static void every_cut_is_survived(void **state)
{
	(void)state;
	full_mbi();
	for (size_t avail = 0; avail < mbi_len; avail++) {
		parse_at(avail, 0);
		assert_true(info.note_count > 0);
		assert_in_range(info.module_count, 0, 2);
		assert_in_range(info.mmap_count, 0, 4);
	}
	for (uint32_t total = 0; total < mbi_len; total++) {
		put32(0, total);
		parse();
	}
}

static void every_changed_byte_is_survived(void **state)
{
	static const uint8_t values[] = {0, 1, 7, 8, 0x7f, 0x80, 0xfe, 0xff};

	(void)state;
	full_mbi();
	for (size_t at = 0; at < mbi_len; at++) {
		uint8_t was = mbi[at];

		for (unsigned i = 0; i < array_count(values); i++) {
			mbi[at] = values[i];
			parse();
		}
		mbi[at] = was;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_map_alone_is_enough),
		cmocka_unit_test(short_header_is_refused),
		cmocka_unit_test(total_size_beyond_avail_is_cut_and_noted),
		cmocka_unit_test(tags_beyond_total_size_are_not_read),
		cmocka_unit_test(total_size_inside_a_tag_drops_that_tag),
		cmocka_unit_test(tag_sizes_that_cannot_be_end_the_walk),
		cmocka_unit_test(end_tag_ends_even_with_a_broken_size),
		cmocka_unit_test(tags_start_on_eight_byte_steps),
		cmocka_unit_test(unknown_and_unused_tags_are_skipped_silently),
		cmocka_unit_test(texts_are_copied),
		cmocka_unit_test(unterminated_text_ends_with_its_tag),
		cmocka_unit_test(text_of_any_length_fits_or_is_left_out),
		cmocka_unit_test(single_tags_count_once),
		cmocka_unit_test(modules_keep_order_place_and_text),
		cmocka_unit_test(module_that_ends_before_it_starts_is_dropped),
		cmocka_unit_test(module_text_may_be_missing_or_too_long),
		cmocka_unit_test(modules_beyond_the_table_are_dropped),
		cmocka_unit_test(notes_beyond_the_table_say_so),
		cmocka_unit_test(every_alignment_gives_the_same_result),
		cmocka_unit_test(every_cut_is_survived),
		cmocka_unit_test(every_changed_byte_is_survived),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
