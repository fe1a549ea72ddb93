/*
 * arch/x86_64/acpi_madt.c.
 * needs: arch/x86_64/acpi.c arch/x86_64/acpi_madt.c arch/x86_64/acpi_fadt.c
 * needs: arch/x86_64/acpi_misc.c arch/x86_64/acpi_tables.h lib/printf.c lib/text.c
 */
#include "acpi_image.h"

#define ENTRIES_MAX 8192

static uint8_t entries[ENTRIES_MAX];
static uint32_t entries_len;

static void madt_begin(void)
{
	world_begin();
	entries_len = 0;
}

static uint8_t *entry_add(uint8_t type, uint8_t len)
{
	uint8_t *entry = entries + entries_len;

	assert_true(entries_len + len <= ENTRIES_MAX);
	memset(entry, 0, len);
	entry[0] = type;
	if (len > 1)
		entry[1] = len;
	entries_len += len;
	return entry;
}

static void lapic_add(uint8_t uid, uint8_t id, uint32_t flags)
{
	uint8_t *entry = entry_add(0, 8);

	entry[2] = uid;
	entry[3] = id;
	put32(entry + 4, flags);
}

static void x2apic_add(uint32_t uid, uint32_t id, uint32_t flags)
{
	uint8_t *entry = entry_add(9, 16);

	put32(entry + 4, id);
	put32(entry + 8, flags);
	put32(entry + 12, uid);
}

static void ioapic_add(uint8_t id, uint32_t base, uint32_t gsi)
{
	uint8_t *entry = entry_add(1, 12);

	entry[2] = id;
	put32(entry + 4, base);
	put32(entry + 8, gsi);
}

static void override_add(uint8_t bus, uint8_t irq, uint32_t gsi, uint16_t flags)
{
	uint8_t *entry = entry_add(2, 10);

	entry[2] = bus;
	entry[3] = irq;
	put32(entry + 4, gsi);
	put16(entry + 8, flags);
}

static struct region *madt_add(uint8_t revision, uint32_t flags)
{
	struct region *madt = table_add("APIC", revision, 44 + entries_len);

	put32(madt->bytes + 36, 0xfee00000);
	put32(madt->bytes + 40, flags);
	memcpy(madt->bytes + 44, entries, entries_len);
	return madt;
}

static void madt_parse(uint8_t revision)
{
	madt_add(revision, 1);
	world_parse();
	assert_true(info.madt);
}

static void empty_madt_gives_its_header(void **state)
{
	(void)state;
	madt_begin();
	madt_add(1, 1);
	world_parse();
	assert_true(info.madt);
	assert_true(info.pcat_compat);
	assert_int_equal(info.lapic_base, 0xfee00000);
	assert_int_equal(info.cpu_count, 0);
	assert_int_equal(info.note_count, 0);
	madt_begin();
	madt_add(1, 0xfffffffe);
	world_parse();
	assert_false(info.pcat_compat);
}

static void madt_shorter_than_its_header_is_skipped(void **state)
{
	(void)state;
	world_begin();
	table_add("APIC", 3, 43);
	world_parse();
	assert_false(info.madt);
	assert_true(noted("too short: 43"));
}

static void processors_of_both_kinds_are_listed(void **state)
{
	(void)state;
	madt_begin();
	lapic_add(1, 0, 1);
	lapic_add(2, 254, 1);
	x2apic_add(3, 255, 1);
	x2apic_add(0x10000, 0xfffffffe, 1);
	madt_parse(3);
	assert_int_equal(info.note_count, 0);
	assert_int_equal(info.cpu_count, 4);
	assert_int_equal(info.cpu[0].apic_id, 0);
	assert_int_equal(info.cpu[0].uid, 1);
	assert_true(info.cpu[0].enabled);
	assert_false(info.cpu[0].online_capable);
	assert_int_equal(info.cpu[1].apic_id, 254);
	assert_int_equal(info.cpu[2].apic_id, 255);
	assert_int_equal(info.cpu[3].apic_id, 0xfffffffe);
	assert_int_equal(info.cpu[3].uid, 0x10000);
}

static void online_capable_counts_from_revision_5(void **state)
{
	(void)state;
	for (uint8_t revision = 1; revision <= 6; revision++) {
		madt_begin();
		lapic_add(0, 0, 3);
		lapic_add(1, 1, 2);
		x2apic_add(2, 2, 2);
		lapic_add(3, 3, 0);
		madt_parse(revision);
		assert_int_equal(info.cpu_count, revision >= 5 ? 3 : 1);
		assert_true(info.cpu[0].enabled);
		assert_false(info.cpu[0].online_capable);
		if (revision >= 5) {
			assert_false(info.cpu[1].enabled);
			assert_true(info.cpu[1].online_capable);
			assert_true(info.cpu[2].online_capable);
		}
		assert_int_equal(info.note_count, 0);
	}
}

static void repeated_apic_ids_are_dropped_with_a_note(void **state)
{
	(void)state;
	madt_begin();
	lapic_add(1, 5, 1);
	lapic_add(2, 5, 1);
	x2apic_add(3, 5, 1);
	lapic_add(4, 6, 1);
	madt_parse(3);
	assert_int_equal(info.cpu_count, 2);
	assert_int_equal(info.cpu[0].uid, 1);
	assert_int_equal(info.cpu[1].apic_id, 6);
	assert_int_equal(info.note_count, 2);
	assert_true(noted("repeated APIC id (5)"));
}

/* Firmware fills unused slots with ids that repeat those of real processors. */
static void empty_slots_do_not_hide_a_processor(void **state)
{
	(void)state;
	madt_begin();
	lapic_add(1, 0, 0);
	lapic_add(2, 0, 0);
	lapic_add(3, 0, 1);
	lapic_add(4, 255, 0);
	x2apic_add(5, UINT32_MAX, 0);
	madt_parse(3);
	assert_int_equal(info.cpu_count, 1);
	assert_int_equal(info.cpu[0].uid, 3);
	assert_int_equal(info.note_count, 0);
}

static void broadcast_ids_are_no_processors(void **state)
{
	(void)state;
	madt_begin();
	lapic_add(1, 255, 1);
	x2apic_add(2, UINT32_MAX, 1);
	madt_parse(3);
	assert_int_equal(info.cpu_count, 0);
	assert_true(noted("broadcast id (255)"));
	assert_true(noted("broadcast id (4294967295)"));
}

static void processors_beyond_the_table_are_counted(void **state)
{
	(void)state;
	madt_begin();
	for (unsigned i = 0; i < ACPI_CPU_MAX + 10; i++)
		x2apic_add(i, i, 1);
	x2apic_add(0, 0, 1);
	madt_parse(3);
	assert_int_equal(info.cpu_count, ACPI_CPU_MAX);
	assert_int_equal(info.cpu_dropped, 10);
	assert_int_equal(info.cpu[ACPI_CPU_MAX - 1].apic_id, ACPI_CPU_MAX - 1);
	assert_true(noted("repeated APIC id (0)"));
}

static void ioapics_are_listed(void **state)
{
	(void)state;
	madt_begin();
	ioapic_add(4, 0xfec00000, 0);
	ioapic_add(5, 0xfec01000, 24);
	madt_parse(1);
	assert_int_equal(info.ioapic_count, 2);
	assert_int_equal(info.ioapic[0].id, 4);
	assert_int_equal(info.ioapic[0].base, 0xfec00000);
	assert_int_equal(info.ioapic[1].gsi_base, 24);
	assert_int_equal(info.note_count, 0);
}

static void ioapics_that_collide_are_dropped(void **state)
{
	(void)state;
	madt_begin();
	ioapic_add(0, 0xfec00000, 0);
	ioapic_add(1, 0xfec00000, 24);
	ioapic_add(2, 0xfec01000, 0);
	ioapic_add(3, 0, 48);
	ioapic_add(4, 0xfec02001, 72);
	ioapic_add(0, 0xfec03000, 96);
	madt_parse(1);
	assert_int_equal(info.ioapic_count, 2);
	assert_int_equal(info.ioapic[1].base, 0xfec03000);
	assert_int_equal(info.note_count, 5);
	assert_true(noted("id repeated, but kept (0)"));
}

static void ioapics_beyond_the_table_are_dropped(void **state)
{
	(void)state;
	madt_begin();
	for (unsigned i = 0; i < ACPI_IOAPIC_MAX + 1; i++)
		ioapic_add((uint8_t)i, 0xfec00000 + i * 0x1000, i * 24);
	madt_parse(1);
	assert_int_equal(info.ioapic_count, ACPI_IOAPIC_MAX);
	assert_true(noted("too many I/O APICs"));
}

static void overrides_give_polarity_and_trigger(void **state)
{
	static const struct {
		uint16_t flags;
		bool low, level, odd;
	} cases[] = {
		{0x0, false, false, false},    {0x5, false, false, false},
		{0xd, false, true, false},     {0x7, true, false, false},
		{0xf, true, true, false},      {0x3, true, false, false},
		{0xc, false, true, false},     {0x2, false, false, true},
		{0x8, false, false, true},     {0xa, false, false, true},
		{0xfff0, false, false, false},
	};

	(void)state;
	for (unsigned i = 0; i < array_count(cases); i++) {
		madt_begin();
		override_add(0, 9, 20, cases[i].flags);
		madt_parse(1);
		assert_int_equal(info.override_count, 1);
		assert_int_equal(info.override[0].irq, 9);
		assert_int_equal(info.override[0].gsi, 20);
		assert_int_equal(info.override[0].active_low, cases[i].low);
		assert_int_equal(info.override[0].level, cases[i].level);
		assert_int_equal(noted("reserved polarity"), cases[i].odd);
	}
}

static void overrides_of_what_is_no_isa_irq_or_twice_are_dropped(void **state)
{
	(void)state;
	madt_begin();
	for (unsigned irq = 0; irq < 17; irq++)
		override_add(0, (uint8_t)irq, irq + 100, 0);
	override_add(0, 0, 2, 0);
	override_add(1, 3, 2, 0);
	override_add(0, 255, 2, 0);
	madt_parse(1);
	assert_int_equal(info.override_count, 16);
	assert_int_equal(info.override[0].gsi, 100);
	assert_int_equal(info.note_count, 4);
	assert_true(noted("no ISA IRQ (16)"));
	assert_true(noted("second override of an IRQ (0)"));
	assert_true(noted("no ISA IRQ (255)"));
}

static uint8_t *nmi_add(uint8_t uid, uint16_t flags, uint8_t lint)
{
	uint8_t *entry = entry_add(4, 6);

	entry[2] = uid;
	put16(entry + 3, flags);
	entry[5] = lint;
	return entry;
}

static uint8_t *x2nmi_add(uint32_t uid, uint16_t flags, uint8_t lint)
{
	uint8_t *entry = entry_add(10, 12);

	put16(entry + 2, flags);
	put32(entry + 4, uid);
	entry[8] = lint;
	return entry;
}

static void local_nmis_are_listed(void **state)
{
	(void)state;
	madt_begin();
	nmi_add(255, 0, 1);
	nmi_add(7, 0xf, 0);
	x2nmi_add(UINT32_MAX, 5, 1);
	x2nmi_add(0x12345, 3, 0);
	nmi_add(1, 0, 2);
	x2nmi_add(1, 0, 255);
	madt_parse(3);
	assert_int_equal(info.lapic_nmi_count, 4);
	assert_int_equal(info.lapic_nmi[0].uid, UINT32_MAX);
	assert_int_equal(info.lapic_nmi[0].lint, 1);
	assert_false(info.lapic_nmi[0].level);
	assert_int_equal(info.lapic_nmi[1].uid, 7);
	assert_true(info.lapic_nmi[1].level);
	assert_true(info.lapic_nmi[1].active_low);
	assert_int_equal(info.lapic_nmi[2].uid, UINT32_MAX);
	assert_int_equal(info.lapic_nmi[3].uid, 0x12345);
	assert_true(info.lapic_nmi[3].active_low);
	assert_int_equal(info.note_count, 2);
	assert_true(noted("unknown local input (255)"));
}

static void local_nmis_beyond_the_table_are_dropped(void **state)
{
	(void)state;
	madt_begin();
	for (unsigned i = 0; i < ACPI_OVERRIDE_MAX + 1; i++)
		nmi_add((uint8_t)i, 0, 1);
	madt_parse(1);
	assert_int_equal(info.lapic_nmi_count, ACPI_OVERRIDE_MAX);
	assert_true(noted("too many NMI"));
}

static void address_override_wins_over_the_header(void **state)
{
	static const struct {
		uint64_t base, result;
	} cases[] = {
		{0xfef00000, 0xfef00000},
		{0x1fee00000, 0x1fee00000},
		{0, 0xfee00000},
		{0xfee00800, 0xfee00000},
	};

	(void)state;
	for (unsigned i = 0; i < array_count(cases); i++) {
		madt_begin();
		put64(entry_add(5, 12) + 4, cases[i].base);
		madt_parse(3);
		assert_int_equal(info.lapic_base, cases[i].result);
		assert_int_equal(info.note_count, cases[i].base != cases[i].result);
	}
}

static void impossible_address_in_the_header_is_noted(void **state)
{
	struct region *madt;

	(void)state;
	madt_begin();
	madt = madt_add(1, 1);
	put32(madt->bytes + 36, 0x123);
	world_parse();
	assert_int_equal(info.lapic_base, 0);
	assert_true(noted("local APIC address 0x123 ignored"));
}

static void unknown_entries_are_skipped(void **state)
{
	(void)state;
	madt_begin();
	for (unsigned type = 0; type < 256; type++)
		if (type > 10 || type == 3 || (type >= 6 && type <= 8))
			memset(entry_add((uint8_t)type, 7) + 2, 0xff, 5);
	entry_add(0x80, 2);
	lapic_add(1, 1, 1);
	entry_add(0x80, 2); /* the shortest there can be, at the very end */
	madt_parse(3);
	assert_int_equal(info.cpu_count, 1);
	assert_int_equal(info.note_count, 0);
}

static void entries_longer_than_needed_are_read(void **state)
{
	(void)state;
	madt_begin();
	put32(entry_add(0, 200) + 4, 1);
	lapic_add(1, 1, 1);
	madt_parse(3);
	assert_int_equal(info.cpu_count, 2);
}

static void entries_too_short_for_their_type_are_skipped(void **state)
{
	static const uint8_t sizes[][2] = {{0, 8},  {1, 12}, {2, 10}, {4, 6},
					   {5, 12}, {9, 16}, {10, 12}};

	(void)state;
	for (unsigned i = 0; i < array_count(sizes); i++) {
		for (uint8_t len = 2; len < sizes[i][1]; len++) {
			madt_begin();
			memset(entry_add(sizes[i][0], len) + 2, 0x11, len - 2u);
			lapic_add(1, 9, 1);
			madt_parse(3);
			assert_int_equal(info.cpu_count, 1);
			assert_int_equal(info.cpu[0].apic_id, 9);
			assert_int_equal(info.ioapic_count, 0);
			assert_int_equal(info.override_count, 0);
			assert_int_equal(info.lapic_nmi_count, 0);
			assert_int_equal(info.lapic_base, 0xfee00000);
			assert_int_equal(info.note_count, 1);
			assert_true(noted("entry of type"));
		}
	}
}

static void entry_of_length_0_or_1_or_beyond_the_end_stops_the_walk(void **state)
{
	static const uint8_t lens[] = {0, 1, 17, 128, 255};

	(void)state;
	for (unsigned i = 0; i < array_count(lens); i++) {
		madt_begin();
		lapic_add(1, 1, 1);
		lapic_add(2, 2, 1);
		entries[8 + 1] = lens[i];
		lapic_add(3, 3, 1);
		madt_parse(3);
		assert_int_equal(info.cpu_count, 1);
		assert_true(noted("broken entry, the rest is ignored, at offset (52)"));
	}
	madt_begin();
	lapic_add(1, 1, 1);
	entry_add(0, 1); /* one byte is left at the end */
	madt_parse(3);
	assert_int_equal(info.cpu_count, 1);
	assert_true(noted("at offset (52)"));
}

static void every_changed_byte_is_survived(void **state)
{
	struct region *madt;

	(void)state;
	madt_begin();
	lapic_add(1, 1, 1);
	ioapic_add(2, 0xfec00000, 0);
	override_add(0, 0, 2, 0);
	nmi_add(255, 0, 1);
	put64(entry_add(5, 12) + 4, 0xfee00000);
	x2apic_add(2, 300, 1);
	x2nmi_add(UINT32_MAX, 0, 1);
	madt = madt_add(5, 1);
	table_torture(madt);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(empty_madt_gives_its_header),
		cmocka_unit_test(madt_shorter_than_its_header_is_skipped),
		cmocka_unit_test(processors_of_both_kinds_are_listed),
		cmocka_unit_test(online_capable_counts_from_revision_5),
		cmocka_unit_test(repeated_apic_ids_are_dropped_with_a_note),
		cmocka_unit_test(empty_slots_do_not_hide_a_processor),
		cmocka_unit_test(broadcast_ids_are_no_processors),
		cmocka_unit_test(processors_beyond_the_table_are_counted),
		cmocka_unit_test(ioapics_are_listed),
		cmocka_unit_test(ioapics_that_collide_are_dropped),
		cmocka_unit_test(ioapics_beyond_the_table_are_dropped),
		cmocka_unit_test(overrides_give_polarity_and_trigger),
		cmocka_unit_test(overrides_of_what_is_no_isa_irq_or_twice_are_dropped),
		cmocka_unit_test(local_nmis_are_listed),
		cmocka_unit_test(local_nmis_beyond_the_table_are_dropped),
		cmocka_unit_test(address_override_wins_over_the_header),
		cmocka_unit_test(impossible_address_in_the_header_is_noted),
		cmocka_unit_test(unknown_entries_are_skipped),
		cmocka_unit_test(entries_longer_than_needed_are_read),
		cmocka_unit_test(entries_too_short_for_their_type_are_skipped),
		cmocka_unit_test(entry_of_length_0_or_1_or_beyond_the_end_stops_the_walk),
		cmocka_unit_test(every_changed_byte_is_survived),
	};

	return cmocka_run_group_tests(tests, NULL, world_end);
}
