/*
 * arch/x86_64/acpi.c: where the RSDP is found, how RSDT and XSDT are walked, broken tables.
 * needs: arch/x86_64/acpi.c arch/x86_64/acpi_madt.c arch/x86_64/acpi_fadt.c
 * needs: arch/x86_64/acpi_misc.c arch/x86_64/acpi_tables.h lib/printf.c lib/text.c
 */
#include "acpi_image.h"

#define HPET_A 0xfed00000u
#define HPET_B 0xfed10000u

static struct region *hpet_fill(struct region *region, uint32_t base)
{
	put64(region->bytes + 44, base);
	return region;
}

static struct region *hpet_add(uint32_t base)
{
	return hpet_fill(table_add("HPET", 1, 56), base);
}

/* Two roots that differ: the XSDT names an HPET at A, the RSDT one at B. */
static void two_roots_add(struct region **xsdt, struct region **rsdt)
{
	struct region *a = hpet_add(HPET_A), *b;

	*xsdt = root_add(8);
	a->listed = false;
	b = hpet_add(HPET_B);
	*rsdt = root_add(4);
	b->listed = false;
}

static void xsdt_is_preferred(void **state)
{
	struct region *xsdt, *rsdt;
	uint8_t rsdp[36];

	(void)state;
	world_begin();
	two_roots_add(&xsdt, &rsdt);
	rsdp_build(rsdp, 2, rsdt->addr, xsdt->addr);
	assert_int_equal(world_parse_rsdp(rsdp, 36), 0);
	assert_int_equal(info.hpet_base, HPET_A);
	assert_int_equal(info.revision, 2);
	assert_int_equal(info.note_count, 0);
	assert_int_equal(info.table_count, 2);
	assert_string_equal(info.table[0].sig, "XSDT");
	assert_int_equal(info.table[0].addr, xsdt->addr);
	assert_string_equal(info.table[1].sig, "HPET");
	assert_int_equal(info.table[1].len, 56);
}

static void revision_0_has_only_an_rsdt(void **state)
{
	struct region *xsdt, *rsdt;
	uint8_t rsdp[36];

	(void)state;
	world_begin();
	two_roots_add(&xsdt, &rsdt);
	for (size_t len = 20; len <= 36; len += 16) {
		rsdp_build(rsdp, 0, rsdt->addr, 0);
		put64(rsdp + 24, xsdt->addr); /* beyond what revision 0 has */
		assert_int_equal(world_parse_rsdp(rsdp, len), 0);
		assert_int_equal(info.revision, 0);
		assert_int_equal(info.hpet_base, HPET_B);
		assert_int_equal(info.note_count, 0);
	}
}

static void broken_xsdt_falls_back_to_the_rsdt(void **state)
{
	struct region *xsdt, *rsdt;
	uint8_t rsdp[36];

	(void)state;
	for (int fault = 0; fault < 7; fault++) {
		uint64_t addr;

		world_begin();
		two_roots_add(&xsdt, &rsdt);
		addr = xsdt->addr;
		if (fault == 0) /* bad checksum */
			xsdt->broken = true;
		else if (fault == 1)
			memcpy(xsdt->bytes, "RSDT", 4);
		else if (fault == 2)
			put32(xsdt->bytes + 4, 35);
		else if (fault == 3)
			put32(xsdt->bytes + 4, UINT32_MAX);
		else if (fault == 4)
			put32(xsdt->bytes + 4, (uint32_t)xsdt->len + 1);
		else if (fault == 5)
			addr = 0xdead0000beef;
		else
			addr = UINT64_MAX;
		rsdp_build(rsdp, 2, rsdt->addr, addr);
		assert_int_equal(world_parse_rsdp(rsdp, 36), 0);
		assert_int_equal(info.hpet_base, HPET_B);
		assert_int_equal(info.note_count, 1);
	}
}

static void xsdt_that_offers_nothing_falls_back_to_the_rsdt(void **state)
{
	struct region *empty, *xsdt, *rsdt;
	uint8_t rsdp[36];

	(void)state;
	world_begin();
	empty = root_add(8);
	two_roots_add(&xsdt, &rsdt);
	rsdp_build(rsdp, 2, rsdt->addr, empty->addr);
	assert_int_equal(world_parse_rsdp(rsdp, 36), 0);
	assert_int_equal(info.hpet_base, HPET_B);
	rsdp_build(rsdp, 2, 0, empty->addr);
	assert_int_equal(world_parse_rsdp(rsdp, 36), 0);
	assert_int_equal(info.table_count, 1);
}

static void bad_extended_part_leaves_the_rsdt(void **state)
{
	static const uint32_t lens[] = {0, 20, 35, 37, UINT32_MAX};
	struct region *xsdt, *rsdt;
	uint8_t rsdp[36];

	(void)state;
	world_begin();
	two_roots_add(&xsdt, &rsdt);
	rsdp_build(rsdp, 2, rsdt->addr, xsdt->addr);
	rsdp[32]++;
	assert_int_equal(world_parse_rsdp(rsdp, 36), 0);
	assert_int_equal(info.hpet_base, HPET_B);
	assert_true(noted("RSDP at 0x0: bad extended"));
	for (unsigned i = 0; i < array_count(lens); i++) {
		rsdp_build(rsdp, 2, rsdt->addr, xsdt->addr);
		put32(rsdp + 20, lens[i]);
		sum_fix(rsdp, 36, 32);
		assert_int_equal(world_parse_rsdp(rsdp, 36), 0);
		assert_int_equal(info.hpet_base, HPET_B);
		assert_true(noted("bad extended"));
	}
}

static void nothing_found_is_e_noent(void **state)
{
	uint8_t rsdp[36];

	(void)state;
	world_begin();
	assert_int_equal(world_parse_rsdp(NULL, 0), E_NOENT);
	assert_int_equal(info.note_count, 0);
	rsdp_build(rsdp, 2, 0, 0);
	assert_int_equal(world_parse_rsdp(rsdp, 36), E_NOENT);
	rsdp_build(rsdp, 2, 0x1000, 0x2000);
	assert_int_equal(world_parse_rsdp(rsdp, 36), E_NOENT);
	assert_true(noted("XSDT at 0x2000: not in memory"));
	assert_true(noted("RSDT at 0x1000: not in memory"));
	assert_int_equal(info.revision, 0);
	for (size_t len = 1; len < 20; len++) {
		assert_int_equal(world_parse_rsdp(rsdp, len), E_NOENT);
		assert_true(noted("RSDP at 0x0: bad signature, length"));
	}
}

/* Puts an RSDP for `root` at `addr`. */
static void rsdp_place(uint64_t addr, size_t region_len, const struct region *root)
{
	uint8_t rsdp[36];

	rsdp_build(rsdp, region_len >= 36 ? 2 : 0, region_len >= 36 ? 0 : root->addr, root->addr);
	memcpy(region_add(addr, region_len)->bytes, rsdp, region_len < 36 ? 20 : 36);
}

static void scan_looks_at_every_paragraph_of_the_bios(void **state)
{
	static const uint32_t at[] = {0xe0000, 0xe0010, 0xe03f0, 0xe0400, 0xf0000, 0xfff80};

	(void)state;
	for (unsigned i = 0; i < array_count(at); i++) {
		struct region *bios, *root;
		uint8_t rsdp[36];

		world_begin();
		hpet_add(HPET_A);
		root = root_add(8);
		bios = region_add(0xe0000, 0x20000);
		rsdp_build(rsdp, 2, 0, root->addr);
		memcpy(bios->bytes + at[i] - 0xe0000, rsdp, 36);
		assert_int_equal(world_parse_rsdp(NULL, 0), 0);
		assert_int_equal(info.hpet_base, HPET_A);
		assert_int_equal(info.note_count, 0);
	}
}

static void scan_ignores_an_rsdp_off_the_paragraph(void **state)
{
	static const uint32_t at[] = {1, 8, 15, 0x400 - 8};
	struct region *bios, *root;
	uint8_t rsdp[36];

	(void)state;
	for (unsigned i = 0; i < array_count(at); i++) {
		world_begin();
		hpet_add(HPET_A);
		root = root_add(8);
		bios = region_add(0xe0000, 0x20000);
		rsdp_build(rsdp, 2, 0, root->addr);
		memcpy(bios->bytes + at[i], rsdp, 36);
		assert_int_equal(world_parse_rsdp(NULL, 0), E_NOENT);
	}
}

static void scan_takes_an_old_rsdp_at_the_very_end(void **state)
{
	struct region *bios, *root;
	uint8_t rsdp[36];

	(void)state;
	world_begin();
	hpet_add(HPET_A);
	root = root_add(4);
	bios = region_add(0xe0000, 0x20000);
	rsdp_build(rsdp, 0, root->addr, 0);
	memcpy(bios->bytes + 0x1ffe0, rsdp, 20); /* 32 bytes are left: no room for 36 */
	assert_int_equal(world_parse_rsdp(NULL, 0), 0);
	assert_int_equal(info.hpet_base, HPET_A);
	memset(bios->bytes + 0x1ffe0, 0, 20);
	memcpy(bios->bytes + 0x1fff0, rsdp, 16); /* cut: must not be read beyond */
	assert_int_equal(world_parse_rsdp(NULL, 0), E_NOENT);
}

static void scan_looks_at_the_first_kib_of_the_ebda(void **state)
{
	static const struct {
		uint16_t segment;
		uint32_t offset;
		bool found;
	} cases[] = {
		{0x9fc0, 0, true},     {0x9fc0, 0x3d0, true},
		{0x9f01, 0x3d0, true}, {0x8000, 0x100, true},
		{0x0040, 0x100, true}, {0x9fc0, 0x400, false}, /* the second KiB */
		{0x0000, 0, false},    {0x003f, 0, false},
		{0x9fc1, 0, false},    {0xa000, 0, false},
		{0xffff, 0, false},
	};

	(void)state;
	for (unsigned i = 0; i < array_count(cases); i++) {
		struct region *root;
		uint8_t rsdp[36];

		world_begin();
		hpet_add(HPET_A);
		root = root_add(8);
		put16(region_add(0x40e, 2)->bytes, cases[i].segment);
		rsdp_build(rsdp, 2, 0, root->addr);
		memcpy(region_add((uint64_t)cases[i].segment << 4,
				  cases[i].offset < 0x400 ? 0x400 : 0x800)
				       ->bytes +
			       cases[i].offset,
		       rsdp, 36);
		assert_int_equal(world_parse_rsdp(NULL, 0), cases[i].found ? 0 : E_NOENT);
		assert_int_equal(info.hpet_base, cases[i].found ? HPET_A : 0);
	}
}

static void bad_copy_of_the_rsdp_leads_to_a_scan(void **state)
{
	struct region *root;
	uint8_t rsdp[36];

	(void)state;
	world_begin();
	hpet_add(HPET_A);
	root = root_add(8);
	rsdp_place(0xf0000, 0x400, root);
	rsdp_build(rsdp, 2, 0, root->addr);
	rsdp[8]++;
	assert_int_equal(world_parse_rsdp(rsdp, 36), 0);
	assert_int_equal(info.hpet_base, HPET_A);
	assert_true(noted("RSDP at 0x0: bad signature"));
	rsdp_build(rsdp, 2, 0x123456, 0x789abc); /* good, but leads nowhere */
	assert_int_equal(world_parse_rsdp(rsdp, 36), 0);
	assert_int_equal(info.hpet_base, HPET_A);
}

static void scan_goes_on_after_a_bad_rsdp_but_not_for_ever(void **state)
{
	struct region *bios, *root;
	uint8_t good[36], bad[36];

	(void)state;
	for (unsigned bad_count = 0; bad_count < 12; bad_count++) {
		world_begin();
		hpet_add(HPET_A);
		root = root_add(8);
		put16(region_add(0x40e, 2)->bytes, 0x9fc0);
		rsdp_build(good, 2, 0, root->addr);
		rsdp_build(bad, 2, 0x1000, 0x1000);
		memcpy(region_add(0x9fc00, 0x400)->bytes, bad, 36);
		bios = region_add(0xe0000, 0x20000);
		for (unsigned i = 0; i < bad_count; i++)
			memcpy(bios->bytes + 48 * i, bad, 36);
		memcpy(bios->bytes + 48 * bad_count, good, 36);
		assert_int_equal(world_parse_rsdp(NULL, 0), bad_count < 7 ? 0 : E_NOENT);
	}
}

/* After a bad one the rest of its KiB is looked at, and no byte beyond: there may be no memory. */
static void scan_stays_in_the_ebda_after_a_bad_rsdp(void **state)
{
	struct region *ebda, *root;
	uint8_t rsdp[36];

	(void)state;
	world_begin();
	hpet_add(HPET_A);
	root = root_add(8);
	put16(region_add(0x40e, 2)->bytes, 0x9fc0);
	ebda = region_add(0x9fc00, 0x400);
	rsdp_build(rsdp, 2, 0, root->addr);
	memcpy(ebda->bytes + 0x3d0, rsdp, 36);
	rsdp[8]++;
	memcpy(ebda->bytes, rsdp, 36);
	assert_int_equal(world_parse_rsdp(NULL, 0), 0);
	assert_int_equal(info.hpet_base, HPET_A);
	assert_true(noted("RSDP at 0x9fc00: bad"));
}

static void broken_tables_are_noted_and_skipped(void **state)
{
	static const struct {
		uint32_t len;
		const char *why;
	} cases[] = {
		{0, "length 0"},
		{1, "length 1"},
		{35, "length 35"},
		{57, "57 bytes reach beyond memory"},
		{0x800000, "beyond"},
		{0x800001, "length 8388609"},
		{0x80000000, "length"},
		{UINT32_MAX, "length 4294967295"},
		{40, "too short: 40 bytes"},
	};

	(void)state;
	for (unsigned i = 0; i < array_count(cases); i++) {
		struct region *bad;

		world_begin();
		bad = hpet_add(HPET_A);
		hpet_add(HPET_B);
		put32(bad->bytes + 4, cases[i].len);
		if (cases[i].len == 40) {
			sum_fix(bad->bytes, 40, 9);
			bad->broken = true;
		}
		world_parse();
		assert_int_equal(info.hpet_base, HPET_B);
		assert_int_equal(info.note_count, 1);
		assert_true(noted("HPET at 0x7fe0003: "));
		if (!noted(cases[i].why))
			fail_msg("'%s' lacks '%s'", info.note[0], cases[i].why);
	}
}

static void table_with_a_bad_checksum_is_not_believed(void **state)
{
	struct region *bad;

	(void)state;
	world_begin();
	bad = hpet_add(HPET_A);
	sum_fix(bad->bytes, bad->len, 9);
	bad->broken = true;
	for (size_t at = 0; at < bad->len; at++) {
		bad->bytes[at] ^= 0x10;
		world_parse();
		if (at < 4 || at > 7) /* else it is another table, or its length */
			assert_true(noted("bad checksum"));
		assert_int_equal(info.hpet_base, 0);
		assert_int_equal(info.table_count, 1);
		bad->bytes[at] ^= 0x10;
	}
	world_parse();
	assert_int_equal(info.hpet_base, HPET_A);
}

static void entries_that_lead_nowhere_are_skipped(void **state)
{
	struct region *root;
	uint8_t rsdp[36];

	(void)state;
	world_begin();
	hpet_add(HPET_A);
	for (int i = 0; i < 4; i++)
		hpet_add(HPET_B);
	root = root_add(8);
	put64(root->bytes + 44, 0);
	put64(root->bytes + 52, 0xffffffffffffffff);
	put64(root->bytes + 60, root->addr); /* itself */
	put64(root->bytes + 68, regions[0].addr);
	rsdp_build(rsdp, 2, 0, root->addr);
	assert_int_equal(world_parse_rsdp(rsdp, 36), 0);
	assert_int_equal(info.hpet_base, HPET_A);
	assert_int_equal(info.table_count, 2);
	assert_int_equal(info.note_count, 3);
	assert_true(noted("???? at 0xffffffffffffffff: not in memory"));
	assert_true(noted("entry 3 repeats"));
	assert_true(noted("entry 4 repeats"));
}

static void trailing_bytes_of_a_root_are_ignored(void **state)
{
	(void)state;
	for (uint32_t extra = 0; extra < 8; extra++) {
		struct region *root;
		uint8_t rsdp[36];

		world_begin();
		hpet_add(HPET_A);
		root = table_add_loose("XSDT", 1, 44 + extra);
		put64(root->bytes + 36, regions[0].addr);
		memset(root->bytes + 44, 0xff, extra);
		rsdp_build(rsdp, 2, 0, root->addr);
		assert_int_equal(world_parse_rsdp(rsdp, 36), 0);
		assert_int_equal(info.hpet_base, HPET_A);
		assert_int_equal(info.note_count, 0);
	}
}

static void root_with_too_many_entries_is_cut(void **state)
{
	struct region *root;
	uint8_t rsdp[36];

	(void)state;
	world_begin();
	hpet_add(HPET_A);
	root = table_add_loose("RSDT", 1, 36 + 4 * 300);
	rsdp_build(rsdp, 0, root->addr, 0);
	put32(root->bytes + 36 + 4 * 255, (uint32_t)regions[0].addr);
	assert_int_equal(world_parse_rsdp(rsdp, 20), 0);
	assert_int_equal(info.hpet_base, HPET_A);
	assert_true(noted("300 entries, only 256"));
	put32(root->bytes + 4, 36 + 4 * 256);
	sum_fix(root->bytes, 36 + 4 * 256, 9);
	root->broken = true;
	assert_int_equal(world_parse_rsdp(rsdp, 20), 0);
	assert_int_equal(info.note_count, 0);
	assert_int_equal(info.hpet_base, HPET_A);
	root->broken = false;
	put32(root->bytes + 4, 36 + 4 * 300);
	put32(root->bytes + 36 + 4 * 255, 0);
	put32(root->bytes + 36 + 4 * 256, (uint32_t)regions[0].addr);
	assert_int_equal(world_parse_rsdp(rsdp, 20), 0);
	assert_int_equal(info.hpet_base, 0);
}

static void tables_beyond_the_list_are_still_read(void **state)
{
	(void)state;
	world_begin();
	for (int i = 0; i < ACPI_TABLE_MAX; i++)
		table_add("SSDT", 1, 36);
	hpet_add(HPET_A);
	world_parse();
	assert_int_equal(info.table_count, ACPI_TABLE_MAX);
	assert_int_equal(info.hpet_base, HPET_A);
	assert_true(noted("HPET at"));
	assert_true(noted("too many tables"));
}

static void unprintable_signatures_are_replaced(void **state)
{
	(void)state;
	world_begin();
	table_add("\x01\x80%s", 1, 36);
	put32(table_add("\n\"\xff\x7f", 1, 36)->bytes + 4, 3);
	world_parse();
	assert_int_equal(info.table_count, 2);
	assert_string_equal(info.table[1].sig, "??%s");
	assert_true(noted("?\"?? at 0x"));
}

static void second_table_of_a_kind_is_ignored(void **state)
{
	struct region *second;

	(void)state;
	world_begin();
	put32(table_add("APIC", 3, 44)->bytes + 36, 0xfee00000);
	second = table_add("APIC", 3, 44);
	put32(second->bytes + 36, 0xfef00000);
	world_parse();
	assert_int_equal(info.lapic_base, 0xfee00000);
	assert_true(noted("a second one"));
}

static void notes_beyond_the_table_say_so(void **state)
{
	(void)state;
	for (unsigned faults = ACPI_NOTE_MAX; faults < ACPI_NOTE_MAX + 3; faults++) {
		world_begin();
		for (unsigned i = 0; i < faults; i++)
			table_add("OOPS", 1, 36)->broken = true;
		world_parse();
		assert_int_equal(info.note_count, ACPI_NOTE_MAX);
		assert_int_equal(noted("more wrong"), faults > ACPI_NOTE_MAX);
	}
}

static void every_changed_byte_of_the_roots_is_survived(void **state)
{
	static const uint8_t values[] = {0, 1, 0x7f, 0x80, 0xff};
	struct region *xsdt, *rsdt;
	uint8_t rsdp[36];

	(void)state;
	world_begin();
	two_roots_add(&xsdt, &rsdt);
	for (unsigned v = 0; v < array_count(values); v++) {
		for (size_t at = 0; at < 36; at++) {
			rsdp_build(rsdp, 2, rsdt->addr, xsdt->addr);
			rsdp[at] = values[v];
			if (at != 8 && at != 32) {
				sum_fix(rsdp, 20, 8);
				sum_fix(rsdp, 36, 32);
			}
			world_parse_rsdp(rsdp, 36);
		}
		rsdp_build(rsdp, 2, rsdt->addr, xsdt->addr);
		for (size_t at = 0; at < xsdt->len; at++) {
			uint8_t was = xsdt->bytes[at];

			xsdt->bytes[at] = values[v];
			assert_int_equal(world_parse_rsdp(rsdp, 36), 0);
			assert_true(info.hpet_base == HPET_A || info.hpet_base == HPET_B);
			xsdt->bytes[at] = was;
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(xsdt_is_preferred),
		cmocka_unit_test(revision_0_has_only_an_rsdt),
		cmocka_unit_test(broken_xsdt_falls_back_to_the_rsdt),
		cmocka_unit_test(xsdt_that_offers_nothing_falls_back_to_the_rsdt),
		cmocka_unit_test(bad_extended_part_leaves_the_rsdt),
		cmocka_unit_test(nothing_found_is_e_noent),
		cmocka_unit_test(scan_looks_at_every_paragraph_of_the_bios),
		cmocka_unit_test(scan_ignores_an_rsdp_off_the_paragraph),
		cmocka_unit_test(scan_takes_an_old_rsdp_at_the_very_end),
		cmocka_unit_test(scan_looks_at_the_first_kib_of_the_ebda),
		cmocka_unit_test(bad_copy_of_the_rsdp_leads_to_a_scan),
		cmocka_unit_test(scan_goes_on_after_a_bad_rsdp_but_not_for_ever),
		cmocka_unit_test(scan_stays_in_the_ebda_after_a_bad_rsdp),
		cmocka_unit_test(broken_tables_are_noted_and_skipped),
		cmocka_unit_test(table_with_a_bad_checksum_is_not_believed),
		cmocka_unit_test(entries_that_lead_nowhere_are_skipped),
		cmocka_unit_test(trailing_bytes_of_a_root_are_ignored),
		cmocka_unit_test(root_with_too_many_entries_is_cut),
		cmocka_unit_test(tables_beyond_the_list_are_still_read),
		cmocka_unit_test(unprintable_signatures_are_replaced),
		cmocka_unit_test(second_table_of_a_kind_is_ignored),
		cmocka_unit_test(notes_beyond_the_table_say_so),
		cmocka_unit_test(every_changed_byte_of_the_roots_is_survived),
	};

	return cmocka_run_group_tests(tests, NULL, world_end);
}
