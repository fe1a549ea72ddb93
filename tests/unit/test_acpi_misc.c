/*
 * arch/x86_64/acpi_misc.c: SPCR, DBG2, HPET, MCFG and DMAR.
 * needs: arch/x86_64/acpi.c arch/x86_64/acpi_madt.c arch/x86_64/acpi_fadt.c
 * needs: arch/x86_64/acpi_misc.c arch/x86_64/acpi_tables.h lib/printf.c lib/text.c
 */
#include "acpi_image.h"

static void gas_put(uint8_t *p, uint8_t space, uint8_t bits, uint8_t access, uint64_t addr)
{
	p[0] = space;
	p[1] = bits;
	p[2] = 0;
	p[3] = access;
	put64(p + 4, addr);
}

/* COM1 at 115200 with both kinds of interrupt. */
static uint8_t *spcr_begin(uint8_t revision, uint32_t len)
{
	uint8_t *spcr;

	world_begin();
	spcr = table_add("SPCR", revision, len)->bytes;
	gas_put(spcr + 40, 1, 8, 1, 0x3f8);
	spcr[52] = 3;
	spcr[53] = 4;
	put32(spcr + 54, 20);
	spcr[58] = 7;
	return spcr;
}

static void spcr_names_a_16550(void **state)
{
	static const uint8_t types[] = {0, 1, 0x12};

	(void)state;
	for (unsigned i = 0; i < array_count(types); i++) {
		spcr_begin(2, 80)[36] = types[i];
		world_parse();
		assert_true(info.spcr.present);
		assert_int_equal(info.spcr.gas.addr, 0x3f8);
		assert_int_equal(info.spcr.gas.space, 1);
		assert_int_equal(info.spcr.gas.bits, 8);
		assert_int_equal(info.spcr.gas.access, 1);
		assert_int_equal(info.spcr.baud, 115200);
		assert_int_equal(info.spcr.irq, 4);
		assert_int_equal(info.spcr.gsi, 20);
		assert_false(info.dbg2.present);
		assert_int_equal(info.note_count, 0);
	}
}

static void spcr_of_another_kind_is_noted(void **state)
{
	static const uint8_t types[] = {2, 3, 0x0d, 0x11, 0x13, 255};

	(void)state;
	for (unsigned i = 0; i < array_count(types); i++) {
		spcr_begin(2, 80)[36] = types[i];
		world_parse();
		assert_false(info.spcr.present);
		assert_true(noted("is no 16550"));
	}
}

static void spcr_without_address_is_a_disabled_console(void **state)
{
	(void)state;
	put64(spcr_begin(2, 80) + 44, 0);
	world_parse();
	assert_false(info.spcr.present);
	assert_int_equal(info.note_count, 0);
}

static void spcr_with_a_bad_address_or_length_is_noted(void **state)
{
	(void)state;
	spcr_begin(2, 80)[40] = 2;
	world_parse();
	assert_false(info.spcr.present);
	assert_int_equal(info.note_count, 1);
	put64(spcr_begin(2, 80) + 44, 0x103f8);
	world_parse();
	assert_false(info.spcr.present);
	assert_int_equal(info.note_count, 1);
	spcr_begin(2, 79);
	world_parse();
	assert_false(info.spcr.present);
	assert_true(noted("too short: 79"));
	gas_put(spcr_begin(2, 80) + 40, 0, 32, 3, 0xfedc9000);
	world_parse();
	assert_true(info.spcr.present);
	assert_int_equal(info.spcr.gas.space, 0);
}

static void spcr_baud_is_a_code_or_precise(void **state)
{
	static const uint32_t bauds[256] = {[3] = 9600, [4] = 19200, [6] = 57600, [7] = 115200};
	uint8_t *spcr;

	(void)state;
	for (unsigned code = 0; code < 256; code++) {
		spcr_begin(2, 80)[58] = (uint8_t)code;
		world_parse();
		assert_true(info.spcr.present);
		assert_int_equal(info.spcr.baud, bauds[code]);
		assert_int_equal(info.note_count, code != 0 && bauds[code] == 0);
	}
	for (uint8_t revision = 2; revision <= 4; revision += 2) {
		for (uint32_t len = 80; len <= 90; len++) {
			spcr = spcr_begin(revision, len);
			memcpy(spcr + 80, "\x00\xc2\x01\x00\x00\x00\x00\x00\x00", len - 80);
			spcr[58] = 3;
			world_parse();
			assert_int_equal(info.spcr.baud,
					 revision == 4 && len >= 84 ? 115200 : 9600);
		}
	}
	spcr_begin(4, 84); /* 0: the code counts */
	world_parse();
	assert_int_equal(info.spcr.baud, 115200);
}

static void spcr_interrupts_count_only_with_their_bits(void **state)
{
	(void)state;
	for (unsigned bits = 0; bits < 256; bits++) {
		spcr_begin(2, 80)[52] = (uint8_t)bits;
		world_parse();
		assert_int_equal(info.spcr.irq, bits & 1 ? 4 : 0);
		assert_int_equal(info.spcr.gsi, bits & 2 ? 20 : 0);
	}
}

/* Room for `count` ports of 40 bytes, each with one address at its offset 22. */
static uint8_t *dbg2_begin(uint32_t count)
{
	uint8_t *dbg2;

	world_begin();
	dbg2 = table_add("DBG2", 0, 44 + 40 * count)->bytes;
	put32(dbg2 + 36, 44);
	put32(dbg2 + 40, count);
	for (uint32_t i = 0; i < count; i++) {
		uint8_t *port = dbg2 + 44 + 40 * i;

		put16(port + 1, 40);
		port[3] = 1;
		put16(port + 12, 0x8000);
		put16(port + 18, 22);
		gas_put(port + 22, 1, 8, 1, 0x2f8 + i);
	}
	return dbg2;
}

static void dbg2_names_the_first_16550(void **state)
{
	static const struct {
		uint16_t type, subtype;
		bool good;
	} cases[] = {
		{0x8000, 0, true},  {0x8000, 1, true},	    {0x8000, 0x12, true},
		{0x8000, 3, false}, {0x8001, 0, false},	    {0x8003, 0, false},
		{0, 0, false},	    {0x8000, 0x100, false},
	};

	(void)state;
	for (unsigned i = 0; i < array_count(cases); i++) {
		uint8_t *dbg2 = dbg2_begin(2);

		put16(dbg2 + 44 + 12, cases[i].type);
		put16(dbg2 + 44 + 14, cases[i].subtype);
		world_parse();
		assert_true(info.dbg2.present);
		assert_int_equal(info.dbg2.gas.addr, cases[i].good ? 0x2f8 : 0x2f9);
		assert_int_equal(info.dbg2.gas.space, 1);
		assert_false(info.spcr.present);
		assert_int_equal(info.note_count, 0);
	}
	dbg2_begin(0);
	world_parse();
	assert_false(info.dbg2.present);
	assert_int_equal(info.note_count, 0);
}

static void dbg2_address_must_lie_in_its_port(void **state)
{
	static const uint16_t bad[] = {0, 21, 29, 39, 40, 0xfff0, 0xffff};

	(void)state;
	for (unsigned i = 0; i < array_count(bad); i++) {
		put16(dbg2_begin(1) + 44 + 18, bad[i]);
		world_parse();
		assert_false(info.dbg2.present);
		assert_true(noted("without an address"));
	}
	dbg2_begin(1)[44 + 3] = 0;
	world_parse();
	assert_false(info.dbg2.present);
	assert_true(noted("without an address"));
	dbg2_begin(2)[44 + 22] = 2; /* PCI: the next one is taken */
	world_parse();
	assert_int_equal(info.dbg2.gas.addr, 0x2f9);
	assert_int_equal(info.note_count, 1);
	put16(dbg2_begin(1) + 44 + 18, 28); /* the last place that fits */
	gas_put(regions[0].bytes + 44 + 28, 0, 8, 1, 0xfedc9000);
	world_parse();
	assert_int_equal(info.dbg2.gas.addr, 0xfedc9000);
}

static void dbg2_lengths_and_counts_that_lie_end_the_walk(void **state)
{
	static const uint16_t lens[] = {0, 1, 21, 41, 0xffff};
	static const uint32_t offsets[] = {0, 36, 43, 85, 0x80000000, UINT32_MAX};

	(void)state;
	for (unsigned i = 0; i < array_count(lens); i++) {
		put16(dbg2_begin(1) + 44 + 1, lens[i]);
		world_parse();
		assert_false(info.dbg2.present);
		assert_true(noted("port 0 is broken"));
	}
	for (unsigned i = 0; i < array_count(offsets); i++) {
		put32(dbg2_begin(1) + 36, offsets[i]);
		world_parse();
		assert_false(info.dbg2.present);
		assert_true(noted("ports at offset"));
	}
	put32(dbg2_begin(1) + 36, 84); /* the end */
	world_parse();
	assert_true(noted("port 0 is broken"));
	put32(dbg2_begin(1) + 40, UINT32_MAX);
	put16(regions[0].bytes + 44 + 12, 0x8001);
	world_parse();
	assert_true(noted("port 1 is broken"));
}

static void dbg2_port_may_end_with_its_fixed_part(void **state)
{
	uint8_t *dbg2;

	(void)state;
	world_begin();
	dbg2 = table_add("DBG2", 0, 44 + 22)->bytes;
	put32(dbg2 + 36, 44);
	put32(dbg2 + 40, 1);
	put16(dbg2 + 44 + 1, 22);
	put16(dbg2 + 44 + 12, 0x8003);
	world_parse();
	assert_false(info.dbg2.present);
	assert_int_equal(info.note_count, 0);
}

static struct region *hpet_add(uint8_t space, uint64_t addr)
{
	struct region *hpet = table_add("HPET", 1, 56);

	gas_put(hpet->bytes + 40, space, 64, 0, addr);
	return hpet;
}

static void hpet_is_the_first_with_a_memory_address(void **state)
{
	(void)state;
	world_begin();
	hpet_add(1, 0xfed0);
	hpet_add(0, 0);
	hpet_add(0, 0xfed00000);
	hpet_add(0, 0xfed10000);
	world_parse();
	assert_int_equal(info.hpet_base, 0xfed00000);
	assert_int_equal(info.note_count, 2);
	world_begin();
	table_add("HPET", 1, 55);
	world_parse();
	assert_int_equal(info.hpet_base, 0);
	assert_true(noted("too short: 55"));
}

static struct region *mcfg_add(uint32_t count, uint32_t extra)
{
	struct region *mcfg = table_add("MCFG", 1, 44 + 16 * count + extra);

	for (uint32_t i = 0; i < count; i++) {
		uint8_t *entry = mcfg->bytes + 44 + 16 * (size_t)i;

		put64(entry, 0xb0000000 + ((uint64_t)i << 32));
		put16(entry + 8, (uint16_t)i);
		entry[11] = 255;
	}
	return mcfg;
}

static void mcfg_entries_are_listed(void **state)
{
	(void)state;
	for (uint32_t extra = 0; extra < 16; extra++) {
		world_begin();
		mcfg_add(2, extra);
		world_parse();
		assert_int_equal(info.mcfg_count, 2);
		assert_int_equal(info.mcfg[0].base, 0xb0000000);
		assert_int_equal(info.mcfg[0].bus_first, 0);
		assert_int_equal(info.mcfg[0].bus_last, 255);
		assert_int_equal(info.mcfg[1].base, 0x1b0000000);
		assert_int_equal(info.mcfg[1].segment, 1);
		assert_int_equal(info.note_count, 0);
	}
}

static void mcfg_entries_that_cannot_be_are_dropped(void **state)
{
	uint8_t *mcfg;

	(void)state;
	world_begin();
	mcfg = mcfg_add(5, 0)->bytes;
	put64(mcfg + 44, 0);
	put64(mcfg + 60, 0xb0000001);
	put64(mcfg + 76, 0xfffffffff0000000); /* 256 buses wrap */
	mcfg[92 + 10] = 1;		      /* first bus beyond the last */
	mcfg[92 + 11] = 0;
	mcfg[108 + 10] = 0x40;
	mcfg[108 + 11] = 0x40;
	world_parse();
	assert_int_equal(info.mcfg_count, 1);
	assert_int_equal(info.mcfg[0].segment, 4);
	assert_int_equal(info.mcfg[0].bus_first, 0x40);
	assert_int_equal(info.note_count, 4);
}

static void mcfg_beyond_the_table_or_too_short_is_noted(void **state)
{
	(void)state;
	world_begin();
	mcfg_add(ACPI_MCFG_MAX + 4, 0);
	world_parse();
	assert_int_equal(info.mcfg_count, ACPI_MCFG_MAX);
	assert_int_equal(info.note_count, 1);
	assert_true(noted("more than 16 entries"));
	world_begin();
	table_add("MCFG", 1, 43);
	world_parse();
	assert_true(noted("too short: 43"));
}

/* A DMAR table with `len` bytes of structures. */
static uint8_t *dmar_begin(uint32_t len)
{
	uint8_t *dmar;

	world_begin();
	dmar = table_add("DMAR", 1, 48 + len)->bytes;
	dmar[36] = 38;
	dmar[37] = 1;
	return dmar;
}

static void drhd_put(uint8_t *p, uint16_t len, uint8_t flags, uint16_t segment, uint64_t base)
{
	put16(p, 0);
	put16(p + 2, len);
	p[4] = flags;
	put16(p + 6, segment);
	put64(p + 8, base);
}

static void dmar_units_are_listed(void **state)
{
	uint8_t *dmar = dmar_begin(24 + 32 + 16 + 4);

	(void)state;
	drhd_put(dmar + 48, 24, 0, 0, 0xfed90000);
	put16(dmar + 72, 1); /* RMRR: skipped */
	put16(dmar + 74, 32);
	drhd_put(dmar + 104, 16, 1, 7, 0x1fed91000);
	put16(dmar + 120, 9); /* the shortest there can be */
	put16(dmar + 122, 4);
	world_parse();
	assert_true(info.dmar);
	assert_true(info.dmar_intr_remap);
	assert_int_equal(info.dmar_haw, 39);
	assert_int_equal(info.dmar_unit_count, 2);
	assert_int_equal(info.dmar_unit[0].base, 0xfed90000);
	assert_false(info.dmar_unit[0].all);
	assert_int_equal(info.dmar_unit[1].base, 0x1fed91000);
	assert_int_equal(info.dmar_unit[1].segment, 7);
	assert_true(info.dmar_unit[1].all);
	assert_int_equal(info.note_count, 0);
	dmar[37] = 2;
	world_parse();
	assert_false(info.dmar_intr_remap);
}

static void dmar_width_beyond_64_bits_is_noted(void **state)
{
	(void)state;
	for (unsigned width = 0; width < 256; width++) {
		dmar_begin(0)[36] = (uint8_t)width;
		world_parse();
		assert_int_equal(info.dmar_haw, width < 64 ? width + 1 : 0);
		assert_int_equal(info.note_count, width >= 64);
	}
}

static void dmar_lengths_that_lie_end_the_walk(void **state)
{
	static const uint16_t lens[] = {0, 1, 3, 33, 0xffff};

	(void)state;
	for (unsigned i = 0; i < array_count(lens); i++) {
		uint8_t *dmar = dmar_begin(48);

		drhd_put(dmar + 48, 16, 0, 0, 0xfed90000);
		drhd_put(dmar + 64, lens[i], 0, 0, 0xfed91000);
		drhd_put(dmar + 80, 16, 0, 0, 0xfed92000);
		world_parse();
		assert_int_equal(info.dmar_unit_count, 1);
		assert_true(noted("broken structure at offset 64"));
	}
	for (uint32_t extra = 1; extra < 4; extra++) {
		drhd_put(dmar_begin(16 + extra) + 48, 16, 0, 0, 0xfed90000);
		world_parse();
		assert_int_equal(info.dmar_unit_count, 1);
		assert_true(noted("broken structure at offset 64"));
	}
}

static void dmar_units_that_cannot_be_are_dropped(void **state)
{
	uint8_t *dmar = dmar_begin(16 + 16 + 12 + 16);

	(void)state;
	drhd_put(dmar + 48, 16, 0, 0, 0);
	drhd_put(dmar + 64, 16, 0, 0, 0xfed90800);
	put16(dmar + 82, 12); /* too short for a unit */
	drhd_put(dmar + 92, 16, 0, 0, 0xfed91000);
	world_parse();
	assert_int_equal(info.dmar_unit_count, 1);
	assert_int_equal(info.dmar_unit[0].base, 0xfed91000);
	assert_int_equal(info.note_count, 3);
	dmar = dmar_begin(16 * (ACPI_DMAR_UNIT_MAX + 1));
	for (unsigned i = 0; i <= ACPI_DMAR_UNIT_MAX; i++)
		drhd_put(dmar + 48 + 16 * i, 16, 0, 0, 0xfed00000 + i * 0x1000);
	world_parse();
	assert_int_equal(info.dmar_unit_count, ACPI_DMAR_UNIT_MAX);
	assert_true(noted("more than 16 units"));
	world_begin();
	table_add("DMAR", 1, 47);
	world_parse();
	assert_false(info.dmar);
}

static void every_changed_byte_is_survived(void **state)
{
	uint8_t *dmar;

	(void)state;
	spcr_begin(4, 88);
	table_torture(&regions[0]);
	dbg2_begin(2);
	table_torture(&regions[0]);
	world_begin();
	hpet_add(0, 0xfed00000);
	mcfg_add(2, 3);
	table_torture(&regions[0]);
	table_torture(&regions[1]);
	dmar = dmar_begin(40);
	drhd_put(dmar + 48, 24, 0, 0, 0xfed90000);
	drhd_put(dmar + 72, 16, 1, 0, 0xfed91000);
	table_torture(&regions[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(spcr_names_a_16550),
		cmocka_unit_test(spcr_of_another_kind_is_noted),
		cmocka_unit_test(spcr_without_address_is_a_disabled_console),
		cmocka_unit_test(spcr_with_a_bad_address_or_length_is_noted),
		cmocka_unit_test(spcr_baud_is_a_code_or_precise),
		cmocka_unit_test(spcr_interrupts_count_only_with_their_bits),
		cmocka_unit_test(dbg2_names_the_first_16550),
		cmocka_unit_test(dbg2_address_must_lie_in_its_port),
		cmocka_unit_test(dbg2_lengths_and_counts_that_lie_end_the_walk),
		cmocka_unit_test(dbg2_port_may_end_with_its_fixed_part),
		cmocka_unit_test(hpet_is_the_first_with_a_memory_address),
		cmocka_unit_test(mcfg_entries_are_listed),
		cmocka_unit_test(mcfg_entries_that_cannot_be_are_dropped),
		cmocka_unit_test(mcfg_beyond_the_table_or_too_short_is_noted),
		cmocka_unit_test(dmar_units_are_listed),
		cmocka_unit_test(dmar_width_beyond_64_bits_is_noted),
		cmocka_unit_test(dmar_lengths_that_lie_end_the_walk),
		cmocka_unit_test(dmar_units_that_cannot_be_are_dropped),
		cmocka_unit_test(every_changed_byte_is_survived),
	};

	return cmocka_run_group_tests(tests, NULL, world_end);
}
