/*
 * boot/multiboot2.c: memory map, framebuffer, ELF sections, EFI and RSDP tags.
 * needs: boot/multiboot2.c lib/text.c lib/printf.c
 */
#include "mbi_image.h"

static void memory_map_honours_the_entry_size(void **state)
{
	static const uint32_t sizes[] = {24, 25, 32, 40, 100};

	(void)state;
	for (unsigned i = 0; i < array_count(sizes); i++) {
		size_t at;

		mbi_begin();
		at = mmap_add(3, sizes[i]);
		mmap_entry(at, 0, 0, 0x9fc00, RAM);
		mmap_entry(at, 1, 0x9fc00, 0x400, RESERVED);
		mmap_entry(at, 2, 1ull << 32, 1ull << 40, RAM);
		mbi_end();
		assert_int_equal(parse(), 0);
		assert_int_equal(info.mmap_count, 3);
		assert_int_equal(info.mmap[1].base, 0x9fc00);
		assert_int_equal(info.mmap[1].type, RESERVED);
		assert_int_equal(info.mmap[2].len, 1ull << 40);
		assert_int_equal(info.note_count, 0);
	}
}

static void memory_map_with_short_entries_is_refused(void **state)
{
	(void)state;
	for (uint32_t size = 0; size < 24; size++) {
		size_t at;

		mbi_begin();
		at = tag_add(6, 8 + 96);
		put32(at + 8, size);
		memset(mbi + at + 16, 1, 96);
		mbi_end();
		assert_int_equal(parse(), E_INVAL);
		assert_int_equal(info.mmap_count, 0);
		assert_true(noted("too short"));
	}
}

static void memory_map_entry_cut_by_its_tag_is_not_read(void **state)
{
	size_t at;

	(void)state;
	mbi_begin();
	at = mmap_add(2, 24);
	mmap_entry(at, 0, 0x100000, 0x1000, RAM);
	mmap_entry(at, 1, 0x200000, 0x1000, RAM);
	put32(at + 4, 16 + 47);
	mbi_end();
	assert_int_equal(parse(), 0);
	assert_int_equal(info.mmap_count, 1);
	put32(at + 8, UINT32_MAX); /* one entry longer than the tag */
	assert_int_equal(parse(), E_INVAL);
	assert_int_equal(info.mmap_count, 0);
}

static void empty_and_wrapping_ranges_are_dropped(void **state)
{
	size_t at;

	(void)state;
	mbi_begin();
	at = mmap_add(5, 24);
	mmap_entry(at, 0, 0x100000, 0, RAM);
	mmap_entry(at, 1, 0x100000, UINT64_MAX, RAM);
	mmap_entry(at, 2, UINT64_MAX, 2, RAM);
	mmap_entry(at, 3, UINT64_MAX - 1, 1, RESERVED);
	mmap_entry(at, 4, 0x100000, 1, RAM);
	mbi_end();
	assert_int_equal(parse(), 0);
	assert_int_equal(info.mmap_count, 2);
	assert_int_equal(info.mmap[0].base, UINT64_MAX - 1);
	assert_int_equal(info.mmap[1].len, 1);
	assert_int_equal(info.note_count, 3);
	assert_true(noted("empty range"));
	assert_true(noted("wraps"));
}

static void memory_map_without_ram_is_refused(void **state)
{
	size_t at;

	(void)state;
	mbi_begin();
	at = mmap_add(4, 24);
	for (unsigned i = 0; i < 4; i++)
		mmap_entry(at, i, i * 0x1000, 0x1000, i + 2);
	mbi_end();
	assert_int_equal(parse(), E_INVAL);
	assert_int_equal(info.mmap_count, 4);
	assert_true(noted("no RAM"));
	mbi_begin();
	text_add(1, "no map at all");
	mbi_end();
	assert_int_equal(parse(), E_INVAL);
	assert_true(noted("no RAM"));
}

static void unknown_memory_types_are_kept_as_they_are(void **state)
{
	size_t at;

	(void)state;
	mbi_begin();
	at = mmap_add(3, 24);
	mmap_entry(at, 0, 0x1000, 0x1000, 0);
	mmap_entry(at, 1, 0x2000, 0x1000, UINT32_MAX);
	mmap_entry(at, 2, 0x3000, 0x1000, RAM);
	mbi_end();
	assert_int_equal(parse(), 0);
	assert_int_equal(info.mmap[0].type, 0);
	assert_int_equal(info.mmap[1].type, UINT32_MAX);
}

/* 300 ranges: only RAM may go, the smallest first; no reserved range is forgotten. */
static void overfull_memory_map_loses_the_smallest_ram(void **state)
{
	unsigned reserved = 0;
	size_t at;

	(void)state;
	mbi_begin();
	at = mmap_add(300, 24);
	for (unsigned i = 0; i < 300; i++)
		mmap_entry(at, i, i * 0x100000ull, i < 200 ? 0x1000 + i : 0x10,
			   i < 200 ? RAM : RESERVED);
	mbi_end();
	assert_int_equal(parse(), 0);
	assert_int_equal(info.mmap_count, BOOT_MMAP_MAX);
	for (unsigned i = 0; i < info.mmap_count; i++) {
		reserved += info.mmap[i].type == RESERVED;
		if (info.mmap[i].type == RAM)
			assert_true(info.mmap[i].len >= 0x1000 + 44);
	}
	assert_int_equal(reserved, 100);
	assert_true(noted("more than 256 ranges"));
}

static void overfull_memory_map_keeps_large_ram_that_comes_late(void **state)
{
	size_t at;

	(void)state;
	mbi_begin();
	at = mmap_add(258, 24);
	for (unsigned i = 0; i < 256; i++)
		mmap_entry(at, i, i * 0x100000ull, 0x2000, RAM);
	mmap_entry(at, 256, 1ull << 32, 1ull << 30, RAM);
	mmap_entry(at, 257, 1ull << 40, 0x1000, RAM);
	mbi_end();
	assert_int_equal(parse(), 0);
	assert_int_equal(info.mmap_count, 256);
	assert_int_equal(info.mmap[0].base, 1ull << 32);
	for (unsigned i = 0; i < 256; i++)
		assert_int_not_equal(info.mmap[i].base, 1ull << 40);
}

static void overfull_memory_map_of_reserved_ranges_is_cut(void **state)
{
	size_t at;

	(void)state;
	mbi_begin();
	at = mmap_add(258, 24);
	for (unsigned i = 0; i < 257; i++)
		mmap_entry(at, i, i * 0x100000ull, 0x2000, RESERVED);
	mmap_entry(at, 257, 1ull << 32, 1ull << 30, RAM);
	mbi_end();
	assert_int_equal(parse(), E_INVAL);
	assert_int_equal(info.mmap_count, 256);
	assert_int_equal(info.mmap[255].base, 255 * 0x100000);
}

static void rgb_framebuffer_is_taken(void **state)
{
	static const struct fb_case good[] = {
		{0xfd000000, 3200, 800, 600, 32, 1, {16, 8, 8, 8, 0, 8}},
		{0xfd000000, 2400, 800, 600, 24, 1, {16, 8, 8, 8, 0, 8}},
		{0xfd000000, 2400, 800, 600, 24, 1, {0, 8, 8, 8, 16, 8}},
		{0xfd000000, 2048, 800, 600, 16, 1, {11, 5, 5, 6, 0, 5}},
		{0xfd000000, 1600, 800, 600, 16, 1, {0, 5, 10, 6, 5, 5}},
		{0xfd000000, 1600, 800, 600, 15, 1, {10, 5, 5, 5, 0, 5}},
		{0x4000000000, 4096, 1024, 768, 32, 1, {20, 10, 10, 10, 0, 10}},
	};

	(void)state;
	for (unsigned i = 0; i < array_count(good); i++) {
		const struct fb_case *c = &good[i];

		fb_parse(c, 30);
		assert_int_equal(info.note_count, 0);
		assert_int_equal(info.fb.type, BOOT_FB_RGB);
		assert_int_equal(info.fb.base, c->base);
		assert_int_equal(info.fb.pitch, c->pitch);
		assert_int_equal(info.fb.width, c->width);
		assert_int_equal(info.fb.height, c->height);
		assert_int_equal(info.fb.bpp, c->bpp);
		assert_int_equal(info.fb.red.pos, c->color[0]);
		assert_int_equal(info.fb.red.size, c->color[1]);
		assert_int_equal(info.fb.green.pos, c->color[2]);
		assert_int_equal(info.fb.green.size, c->color[3]);
		assert_int_equal(info.fb.blue.pos, c->color[4]);
		assert_int_equal(info.fb.blue.size, c->color[5]);
	}
}

static void text_framebuffer_is_taken(void **state)
{
	static const struct fb_case text = {0xb8000, 160, 80, 25, 16, 2, {0}};

	(void)state;
	fb_parse(&text, 24);
	assert_int_equal(info.note_count, 0);
	assert_int_equal(info.fb.type, BOOT_FB_TEXT);
	assert_int_equal(info.fb.base, 0xb8000);
	assert_int_equal(info.fb.pitch, 160);
	assert_int_equal(info.fb.width, 80);
	assert_int_equal(info.fb.height, 25);
}

static void odd_framebuffers_are_left_out(void **state)
{
	static const struct {
		const char *why;
		struct fb_case c;
	} bad[] = {
		{"indexed", {0xfd000000, 800, 800, 600, 8, 0, {0}}},
		{"unknown type", {0xfd000000, 3200, 800, 600, 32, 3, {16, 8, 8, 8, 0, 8}}},
		{"no address", {0, 3200, 800, 600, 32, 1, {16, 8, 8, 8, 0, 8}}},
		{"no size", {0xfd000000, 3200, 0, 600, 32, 1, {16, 8, 8, 8, 0, 8}}},
		{"no size", {0xfd000000, 3200, 800, 0, 32, 1, {16, 8, 8, 8, 0, 8}}},
		{"pitch", {0xfd000000, 3199, 800, 600, 32, 1, {16, 8, 8, 8, 0, 8}}},
		{"pitch", {0xfd000000, 8, UINT32_MAX, 600, 32, 1, {16, 8, 8, 8, 0, 8}}},
		{"pitch", {0xb8000, 159, 80, 25, 16, 2, {0}}},
		{"pitch", {0xb8000, 0, 0x80000000, 25, 16, 2, {0}}},
		{"wraps", {UINT64_MAX - 100, 3200, 800, 600, 32, 1, {16, 8, 8, 8, 0, 8}}},
		{"wraps", {UINT64_MAX, UINT32_MAX, 800, UINT32_MAX, 32, 1, {16, 8, 8, 8, 0, 8}}},
		{"bits per pixel", {0xfd000000, 3200, 800, 600, 8, 1, {0, 2, 2, 2, 4, 2}}},
		{"bits per pixel", {0xfd000000, 3200, 800, 600, 0, 1, {0, 0, 0, 0, 0, 0}}},
		{"bits per pixel", {0xfd000000, 65535, 800, 600, 255, 1, {0, 8, 8, 8, 16, 8}}},
		{"colour", {0xfd000000, 3200, 800, 600, 32, 1, {25, 8, 8, 8, 0, 8}}},
		{"colour", {0xfd000000, 3200, 800, 600, 32, 1, {16, 8, 255, 255, 0, 8}}},
		{"colour", {0xfd000000, 2400, 800, 600, 24, 1, {16, 8, 8, 8, 24, 8}}},
		{"colour", {0xfd000000, 3200, 800, 600, 32, 1, {16, 0, 8, 8, 0, 8}}},
		{"colour", {0xfd000000, 3200, 800, 600, 32, 1, {16, 8, 8, 0, 0, 8}}},
		{"colour", {0xfd000000, 3200, 800, 600, 32, 1, {16, 8, 8, 8, 0, 0}}},
	};

	(void)state;
	for (unsigned i = 0; i < array_count(bad); i++) {
		fb_parse(&bad[i].c, 30);
		assert_int_equal(info.fb.type, BOOT_FB_NONE);
		assert_int_equal(info.fb.base, 0);
		assert_int_equal(info.note_count, 1);
		assert_true(noted("framebuffer not usable"));
		if (!noted(bad[i].why))
			fail_msg("case %u: '%s' lacks '%s'", i, info.note[0], bad[i].why);
	}
}

static void framebuffer_tag_must_be_long_enough(void **state)
{
	static const struct fb_case rgb = {0xfd000000, 3200, 800, 600, 32, 1, {16, 8, 8, 8, 0, 8}};

	(void)state;
	fb_parse(&rgb, 29);
	assert_int_equal(info.fb.type, BOOT_FB_NONE);
	assert_true(noted("too short for its colour fields"));
	fb_parse(&rgb, 23);
	assert_int_equal(info.fb.type, BOOT_FB_NONE);
	assert_true(noted("framebuffer: a tag of 31 bytes is too short"));
}

static void symbols_are_found_and_their_memory_reserved(void **state)
{
	static const uint32_t entsizes[] = {64, 65, 72, 128};

	(void)state;
	for (unsigned i = 0; i < array_count(entsizes); i++) {
		elf_parse(image, array_count(image), entsizes[i]);
		assert_int_equal(info.note_count, 0);
		assert_int_equal(info.symbols.symtab, 0x109000);
		assert_int_equal(info.symbols.symtab_len, 240);
		assert_int_equal(info.symbols.strtab, 0x10a000);
		assert_int_equal(info.symbols.strtab_len, 100);
		assert_int_equal(info.reserve_count, 3);
		assert_int_equal(info.reserve[0].start, 0x109000);
		assert_int_equal(info.reserve[0].end, 0x109000 + 240);
		assert_int_equal(info.reserve[2].start, 0x10b000);
		assert_int_equal(info.reserve[2].end, 0x10b000 + 50);
	}
}

static void broken_symbol_tables_are_not_believed(void **state)
{
	struct section s[array_count(image)];

	(void)state;
	for (int fault = 0; fault < 9; fault++) {
		memcpy(s, image, sizeof(s));
		switch (fault) {
		case 0:
			s[3].link = array_count(image);
			break;
		case 1:
			s[3].link = UINT32_MAX;
			break;
		case 2:
			s[3].link = 1; /* no string table */
			break;
		case 3:
			s[3].link = 3; /* itself */
			break;
		case 4:
			s[3].entsize = 16;
			break;
		case 5:
			s[3].addr = 0;
			break;
		case 6:
			s[3].size = UINT64_MAX;
			break;
		case 7:
			s[4].size = 0;
			break;
		case 8:
			s[4].addr = UINT64_MAX - 5;
			break;
		}
		elf_parse(s, array_count(s), 64);
		assert_int_equal(info.symbols.symtab, 0);
		assert_int_equal(info.symbols.symtab_len, 0);
		assert_int_equal(info.symbols.strtab_len, 0);
		assert_true(noted(fault < 2 ? "ELF symbols: no section" : "ELF symbols: broken"));
		assert_in_range(info.reserve_count, 2, 3);
	}
}

static void sections_that_wrap_are_not_reserved(void **state)
{
	static const struct section wrap[] = {
		{1, 0, UINT64_MAX, 2, 0, 0},
		{1, 0, 0x1000, UINT64_MAX, 0, 0},
		{1, 0, 0x1000, 0x10, 0, 0},
	};

	(void)state;
	elf_parse(wrap, 3, 64);
	assert_int_equal(info.reserve_count, 1);
	assert_int_equal(info.reserve[0].end, 0x1010);
	assert_true(noted("ELF section 0 wraps"));
	assert_true(noted("ELF section 1 wraps"));
}

static void elf_count_that_lies_is_cut(void **state)
{
	static const uint32_t lies[] = {array_count(image) + 1, 0x04000001, UINT32_MAX};
	size_t at;

	(void)state;
	for (unsigned i = 0; i < array_count(lies); i++) {
		at = elf_parse(image, array_count(image), 64);
		put32(at + 8, lies[i]);
		assert_int_equal(parse(), 0);
		assert_true(noted("do not fit"));
		assert_int_equal(info.symbols.symtab, 0x109000);
	}
	put32(at + 12, UINT32_MAX);
	assert_int_equal(parse(), 0);
	assert_int_equal(info.reserve_count, 0);
}

static void section_cut_by_its_tag_is_not_read(void **state)
{
	size_t at;

	(void)state;
	at = elf_parse(image, 6, 64);
	assert_int_equal(info.reserve_count, 3);
	for (uint32_t cut = 1; cut < 64; cut++) {
		mbi_begin();
		ram_add();
		at = elf_add(image, 6, 64);
		put32(at + 4, 20 + 6 * 64 - cut);
		mbi_len = (mbi_len - cut + 7) & ~(size_t)7;
		mbi_end();
		assert_int_equal(parse(), 0);
		assert_int_equal(info.reserve_count, 2);
		assert_true(noted("do not fit"));
	}
	/* Nothing lies behind the last section: no end tag, no padding. */
	mbi_begin();
	ram_add();
	at = elf_add(image, 2, 64);
	mbi_len = at + 20 + 2 * 64;
	put32(0, (uint32_t)mbi_len);
	assert_int_equal(parse(), 0);
	assert_int_equal(info.reserve_count, 0);
}

static void elf32_sections_and_short_tags_are_left_out(void **state)
{
	size_t at;

	(void)state;
	at = elf_parse(image, array_count(image), 64);
	for (uint32_t entsize = 0; entsize < 64; entsize++) {
		put32(at + 12, entsize);
		assert_int_equal(parse(), 0);
		assert_int_equal(info.reserve_count, 0);
		assert_int_equal(info.symbols.symtab, 0);
		assert_true(noted("section headers of"));
	}
	mbi_begin();
	ram_add();
	tag_add(9, 11);
	mbi_end();
	assert_int_equal(parse(), 0);
	assert_true(noted("ELF sections: a tag of 19 bytes"));
}

static void image_without_section_headers_is_no_fault(void **state)
{
	(void)state;
	mbi_begin();
	ram_add();
	tag_add(9, 12);
	mbi_end();
	assert_int_equal(parse(), 0);
	assert_int_equal(info.note_count, 0);
}

static void symbols_that_cannot_be_reserved_are_dropped(void **state)
{
	struct section s[70] = {{0}};

	(void)state;
	for (unsigned i = 0; i < 70; i++)
		s[i] = (struct section){1, 0, 0x200000 + i * 0x1000ull, 0x100, 0, 0};
	s[0] = (struct section){2, 0, 0x109000, 240, 1, 24};
	s[1] = (struct section){3, 0, 0x10a000, 100, 0, 0};
	elf_parse(s, 64, 64);
	assert_int_equal(info.reserve_count, 64);
	assert_int_equal(info.symbols.symtab, 0x109000);
	assert_int_equal(info.note_count, 0);
	elf_parse(s, 65, 64);
	assert_int_equal(info.reserve_count, 64);
	assert_int_equal(info.symbols.symtab, 0);
	assert_true(noted("no symbols"));
}

static void efi_is_seen_by_either_system_table(void **state)
{
	(void)state;
	for (uint32_t type = 11; type <= 12; type++) {
		mbi_begin();
		ram_add();
		tag_add(type, type == 11 ? 4 : 8);
		mbi_end();
		assert_int_equal(parse(), 0);
		assert_true(info.efi);
		assert_int_equal(info.note_count, 0);
		mbi_begin();
		ram_add();
		tag_add(type, type == 11 ? 3 : 7);
		mbi_end();
		assert_int_equal(parse(), 0);
		assert_false(info.efi);
		assert_true(noted("EFI system table"));
	}
}

static void new_rsdp_is_preferred_in_either_order(void **state)
{
	(void)state;
	for (int order = 0; order < 2; order++) {
		mbi_begin();
		ram_add();
		rsdp_add(order ? 14 : 15, order ? 20 : 36, order ? 0x11 : 0x22);
		rsdp_add(order ? 15 : 14, order ? 36 : 20, order ? 0x22 : 0x11);
		mbi_end();
		assert_int_equal(parse(), 0);
		assert_int_equal(info.rsdp_len, 36);
		assert_int_equal(info.rsdp[0], 0x22);
		assert_int_equal(info.rsdp[35], 0x22);
	}
}

static void old_rsdp_is_used_alone_or_if_the_new_is_short(void **state)
{
	(void)state;
	mbi_begin();
	ram_add();
	rsdp_add(14, 20, 0x11);
	mbi_end();
	assert_int_equal(parse(), 0);
	assert_int_equal(info.rsdp_len, 20);
	assert_int_equal(info.rsdp[19], 0x11);
	assert_int_equal(info.rsdp[20], 0);
	mbi_begin();
	ram_add();
	rsdp_add(15, 35, 0x22);
	rsdp_add(14, 24, 0x11);
	mbi_end();
	assert_int_equal(parse(), 0);
	assert_int_equal(info.rsdp_len, 20);
	assert_int_equal(info.rsdp[0], 0x11);
	assert_true(noted("new RSDP: a tag of 43 bytes"));
	mbi_begin();
	ram_add();
	rsdp_add(14, 19, 0x11);
	mbi_end();
	assert_int_equal(parse(), 0);
	assert_int_equal(info.rsdp_len, 0);
	assert_true(noted("old RSDP: a tag of 27 bytes"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_map_honours_the_entry_size),
		cmocka_unit_test(memory_map_with_short_entries_is_refused),
		cmocka_unit_test(memory_map_entry_cut_by_its_tag_is_not_read),
		cmocka_unit_test(empty_and_wrapping_ranges_are_dropped),
		cmocka_unit_test(memory_map_without_ram_is_refused),
		cmocka_unit_test(unknown_memory_types_are_kept_as_they_are),
		cmocka_unit_test(overfull_memory_map_loses_the_smallest_ram),
		cmocka_unit_test(overfull_memory_map_keeps_large_ram_that_comes_late),
		cmocka_unit_test(overfull_memory_map_of_reserved_ranges_is_cut),
		cmocka_unit_test(rgb_framebuffer_is_taken),
		cmocka_unit_test(text_framebuffer_is_taken),
		cmocka_unit_test(odd_framebuffers_are_left_out),
		cmocka_unit_test(framebuffer_tag_must_be_long_enough),
		cmocka_unit_test(symbols_are_found_and_their_memory_reserved),
		cmocka_unit_test(broken_symbol_tables_are_not_believed),
		cmocka_unit_test(sections_that_wrap_are_not_reserved),
		cmocka_unit_test(elf_count_that_lies_is_cut),
		cmocka_unit_test(section_cut_by_its_tag_is_not_read),
		cmocka_unit_test(elf32_sections_and_short_tags_are_left_out),
		cmocka_unit_test(image_without_section_headers_is_no_fault),
		cmocka_unit_test(symbols_that_cannot_be_reserved_are_dropped),
		cmocka_unit_test(efi_is_seen_by_either_system_table),
		cmocka_unit_test(new_rsdp_is_preferred_in_either_order),
		cmocka_unit_test(old_rsdp_is_used_alone_or_if_the_new_is_short),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
