/*
 * arch/x86_64/acpi_fadt.c: FADT of every revision, and the search for \_S5 in the DSDT.
 * needs: arch/x86_64/acpi.c arch/x86_64/acpi_madt.c arch/x86_64/acpi_fadt.c
 * needs: arch/x86_64/acpi_misc.c arch/x86_64/acpi_tables.h lib/printf.c lib/text.c
 */
#include "acpi_image.h"

/* Offsets from the specification's table, not from the parser's structure. */
enum {
	DSDT = 40,
	SMI_CMD = 48,
	ACPI_ENABLE = 52,
	PM1A_EVT = 56,
	PM1A_CNT = 64,
	PM1B_CNT = 68,
	PM_TMR = 76,
	PM_TMR_LEN = 91,
	BOOT_ARCH = 109,
	FLAGS = 112,
	RESET_REG = 116,
	RESET_VALUE = 128,
	X_DSDT = 140,
	X_PM1A_EVT = 148,
	X_PM1A_CNT = 172,
	X_PM1B_CNT = 184,
	X_PM_TMR = 208,
};

static const uint32_t fadt_lens[] = {0, 116, 132, 244, 244, 268, 276}; /* by revision */

static uint8_t *fadt;

static void gas_put(uint8_t *p, uint8_t space, uint8_t bits, uint64_t addr)
{
	p[0] = space;
	p[1] = bits;
	p[2] = 0;
	p[3] = 1;
	put64(p + 4, addr);
}

static void fadt_begin_len(uint8_t revision, uint32_t len)
{
	world_begin();
	fadt = table_add("FACP", revision, len)->bytes;
	put32(fadt + SMI_CMD, 0xb2);
	fadt[ACPI_ENABLE] = 0xf1;
	put32(fadt + PM1A_EVT, 0x600);
	put32(fadt + PM1A_CNT, 0x604);
	put32(fadt + PM_TMR, 0x608);
	fadt[PM_TMR_LEN] = 4;
}

static void fadt_begin(uint8_t revision)
{
	fadt_begin_len(revision, fadt_lens[revision]);
}

static void gas_check(const struct acpi_gas *gas, uint8_t space, uint8_t bits, uint64_t addr)
{
	assert_int_equal(gas->space, space);
	assert_int_equal(gas->bits, bits);
	assert_int_equal(gas->addr, addr);
}

static void legacy_ports_are_taken_in_every_revision(void **state)
{
	(void)state;
	for (uint8_t revision = 1; revision <= 6; revision++) {
		fadt_begin(revision);
		put32(fadt + PM1B_CNT, 0x700);
		world_parse();
		assert_true(info.fadt);
		gas_check(&info.pm1a_evt, 1, 32, 0x600);
		gas_check(&info.pm1a_cnt, 1, 16, 0x604);
		gas_check(&info.pm1b_cnt, 1, 16, 0x700);
		gas_check(&info.pm_timer, 1, 32, 0x608);
		assert_false(info.pm_timer_32bit);
		assert_int_equal(info.smi_cmd, 0xb2);
		assert_int_equal(info.acpi_enable, 0xf1);
		assert_false(info.reset_supported);
		assert_false(info.hw_reduced);
		assert_int_equal(info.dsdt, 0);
		assert_false(info.s5);
		assert_int_equal(info.note_count, 0);
	}
}

static void fadt_shorter_than_revision_1_is_skipped(void **state)
{
	(void)state;
	world_begin();
	table_add("FACP", 1, 115);
	world_parse();
	assert_false(info.fadt);
	assert_true(noted("too short: 115"));
}

static void fadt_longer_than_we_know_is_read(void **state)
{
	(void)state;
	fadt_begin_len(6, 500);
	world_parse();
	gas_check(&info.pm1a_cnt, 1, 16, 0x604);
}

static void wide_fields_win_if_they_are_not_zero(void **state)
{
	(void)state;
	for (uint8_t revision = 3; revision <= 6; revision++) {
		fadt_begin(revision);
		gas_put(fadt + X_PM1A_EVT, 1, 32, 0x1600);
		gas_put(fadt + X_PM1A_CNT, 0, 0, 0xfed40000);
		gas_put(fadt + X_PM1B_CNT, 1, 255, 0x1700);
		gas_put(fadt + X_PM_TMR, 1, 24, 0x1608);
		world_parse();
		gas_check(&info.pm1a_evt, 1, 32, 0x1600);
		gas_check(&info.pm1a_cnt, 0, 16, 0xfed40000);
		gas_check(&info.pm1b_cnt, 1, 16, 0x1700);
		gas_check(&info.pm_timer, 1, 32, 0x1608);
		assert_int_equal(info.pm_timer.access, 1);
		assert_int_equal(info.note_count, 0);
	}
}

static void wide_fields_count_only_whole_and_from_revision_2(void **state)
{
	(void)state;
	for (uint32_t len = X_PM1A_CNT; len <= X_PM1A_CNT + 12; len++) {
		uint8_t gas[12];

		fadt_begin_len(3, len);
		gas_put(gas, 1, 16, 0x1604);
		memcpy(fadt + X_PM1A_CNT, gas, len - X_PM1A_CNT);
		world_parse();
		gas_check(&info.pm1a_cnt, 1, 16, len == X_PM1A_CNT + 12 ? 0x1604 : 0x604);
	}
	fadt_begin_len(1, 244);
	gas_put(fadt + X_PM1A_CNT, 1, 16, 0x1604);
	put64(fadt + X_DSDT, 0x1234);
	world_parse();
	gas_check(&info.pm1a_cnt, 1, 16, 0x604);
	assert_int_equal(info.note_count, 0);
}

static void unusable_wide_fields_fall_back_to_the_ports(void **state)
{
	static const struct {
		uint8_t space;
		uint64_t addr;
	} cases[] = {{1, 0x10000}, {1, UINT64_MAX}, {2, 0x604},
		     {3, 0x604},   {0x7f, 0x604},   {255, 1}};

	(void)state;
	for (unsigned i = 0; i < array_count(cases); i++) {
		fadt_begin(3);
		gas_put(fadt + X_PM1A_CNT, cases[i].space, 16, cases[i].addr);
		world_parse();
		gas_check(&info.pm1a_cnt, 1, 16, 0x604);
		assert_int_equal(info.note_count, 1);
		assert_true(noted("64-bit register address"));
	}
}

static void addresses_that_are_no_ports_are_left_out(void **state)
{
	(void)state;
	fadt_begin(1);
	put32(fadt + PM1A_CNT, 0x10000);
	put32(fadt + SMI_CMD, 0x100b2);
	fadt[PM_TMR_LEN] = 0; /* no PM timer */
	world_parse();
	assert_int_equal(info.pm1a_cnt.addr, 0);
	assert_int_equal(info.smi_cmd, 0);
	assert_int_equal(info.acpi_enable, 0);
	assert_int_equal(info.pm_timer.addr, 0);
	assert_int_equal(info.note_count, 2);
	put32(fadt + PM1A_CNT, UINT16_MAX);
	put32(fadt + SMI_CMD, UINT16_MAX);
	world_parse();
	assert_int_equal(info.pm1a_cnt.addr, UINT16_MAX);
	assert_int_equal(info.smi_cmd, UINT16_MAX);
	assert_int_equal(info.note_count, 0);
}

static void pm_timer_width_is_a_flag(void **state)
{
	(void)state;
	fadt_begin(1);
	put32(fadt + FLAGS, 1u << 8);
	world_parse();
	assert_true(info.pm_timer_32bit);
	put32(fadt + PM_TMR, 0);
	world_parse();
	assert_false(info.pm_timer_32bit);
}

static void boot_flags_count_from_revision_2(void **state)
{
	(void)state;
	for (uint8_t revision = 1; revision <= 6; revision++) {
		fadt_begin(revision);
		world_parse();
		assert_int_equal(info.no_8042, revision >= 2);
		assert_false(info.no_vga);
		put16(fadt + BOOT_ARCH, 1u << 1 | 1u << 2);
		world_parse();
		assert_false(info.no_8042);
		assert_int_equal(info.no_vga, revision >= 2);
	}
}

static void reset_needs_flag_register_and_length(void **state)
{
	(void)state;
	for (uint32_t len = 116; len <= 132; len++) {
		uint8_t reset[16] = {0};

		fadt_begin_len(2, len);
		put32(fadt + FLAGS, 1u << 10);
		gas_put(reset, 1, 8, 0xcf9);
		reset[12] = 6;
		memcpy(fadt + RESET_REG, reset, len - 116);
		world_parse();
		assert_int_equal(info.reset_supported, len >= 129);
		if (len < 129)
			continue;
		gas_check(&info.reset, 1, 8, 0xcf9);
		assert_int_equal(info.reset_value, 6);
		put32(fadt + FLAGS, 0);
		world_parse();
		assert_false(info.reset_supported);
	}
	fadt_begin_len(1, 244); /* revision 1 has no such field */
	put32(fadt + FLAGS, 1u << 10);
	gas_put(fadt + RESET_REG, 1, 8, 0xcf9);
	world_parse();
	assert_false(info.reset_supported);
}

static void reset_register_may_be_port_memory_or_pci(void **state)
{
	static const struct {
		uint8_t space;
		uint64_t addr;
		bool good;
	} cases[] = {
		{0, 0xfed00000, true}, {1, 0x64, true},	    {2, 0x1f00040, true}, {2, 0, false},
		{1, 0, false},	       {1, 0x10000, false}, {3, 0xcf9, false},	  {0x7f, 1, false},
	};

	(void)state;
	for (unsigned i = 0; i < array_count(cases); i++) {
		fadt_begin(3);
		put32(fadt + FLAGS, 1u << 10);
		gas_put(fadt + RESET_REG, cases[i].space, 8, cases[i].addr);
		world_parse();
		assert_int_equal(info.reset_supported, cases[i].good);
		assert_int_equal(info.note_count, !cases[i].good);
		assert_int_equal(info.reset.addr, cases[i].good ? cases[i].addr : 0);
	}
}

static void hardware_reduced_machines_have_no_pm_registers(void **state)
{
	(void)state;
	for (uint8_t revision = 3; revision <= 6; revision++) {
		fadt_begin(revision);
		put32(fadt + FLAGS, 1u << 20 | 1u << 10 | 1u << 8);
		gas_put(fadt + X_PM1A_CNT, 1, 16, 0x1604);
		gas_put(fadt + RESET_REG, 1, 8, 0xcf9);
		world_parse();
		assert_int_equal(info.hw_reduced, revision >= 5);
		assert_int_equal(info.pm1a_cnt.addr, revision >= 5 ? 0 : 0x1604);
		assert_int_equal(info.pm_timer.addr, revision >= 5 ? 0 : 0x608);
		assert_int_equal(info.smi_cmd, revision >= 5 ? 0 : 0xb2);
		assert_int_equal(info.pm_timer_32bit, revision < 5);
		assert_true(info.reset_supported);
	}
}

/* An FADT with a DSDT of these bytes. */
static struct region *dsdt_begin(const void *aml, uint32_t len)
{
	struct region *dsdt;

	fadt_begin(1);
	dsdt = table_add_loose("DSDT", 1, 36 + len);
	memcpy(dsdt->bytes + 36, aml, len);
	put32(fadt + DSDT, (uint32_t)dsdt->addr);
	return dsdt;
}

static void s5_is_found_in_every_encoding(void **state)
{
	static const struct {
		uint8_t len, typa, typb, aml[40];
	} cases[] = {
		/* BytePrefix; One and Zero; Word, DWord, QWord; with a root prefix */
		{15, 5, 6, "\x08_S5_\x12\x08\x04\x0a\x05\x0a\x06\x00\x00"},
		{12, 1, 0, "\x08_S5_\x12\x06\x04\x01\x00\x00\x00"},
		{17, 7, 2, "\x08_S5_\x12\x0a\x02\x0b\x07\x00\x0c\x02\x00\x00\x00"},
		{19, 3, 1, "\x08_S5_\x12\x0c\x02\x0e\x03\0\0\0\0\0\0\0\x01"},
		{13, 0, 7, "\x08\\_S5_\x12\x06\x02\x00\x0a\x07\x00"},
		{13, 0, 4, "\x08\\_S5_\x12\x06\x02\x00\x0a\x04\x00"},
		/* two, three and four bytes of PkgLength */
		{13, 5, 5, "\x08_S5_\x12\x47\x00\x02\x0a\x05\x0a\x05"},
		{14, 5, 5, "\x08_S5_\x12\x88\x00\x00\x02\x0a\x05\x0a\x05"},
		{15, 5, 5, "\x08_S5_\x12\xc9\x00\x00\x00\x02\x0a\x05\x0a\x05"},
		/* behind false matches: no NameOp, a method call, a name that is cut */
		{29, 2, 3, "_S5_\x08_S4_\x12\x02\x08_S5_\x0a\x08_S5_\x12\x06\x02\x0a\x02\x0a\x03"},
	};

	(void)state;
	for (unsigned i = 0; i < array_count(cases); i++) {
		struct region *dsdt = dsdt_begin(cases[i].aml, cases[i].len);

		world_parse();
		if (!info.s5)
			fail_msg("case %u is not found", i);
		assert_int_equal(info.s5_typa, cases[i].typa);
		assert_int_equal(info.s5_typb, cases[i].typb);
		assert_int_equal(info.dsdt, dsdt->addr);
		assert_int_equal(info.note_count, 0);
		assert_int_equal(info.table_count, 3);
		assert_string_equal(info.table[2].sig, "DSDT");
	}
}

static void s5_that_is_broken_is_not_believed(void **state)
{
	static const struct {
		uint8_t len, aml[24];
	} cases[] = {
		{0, ""},
		{4, "_S5_"},					  /* no room for anything */
		{12, "\x09_S5_\x12\x06\x04\x01\x00\x00\x00"},	  /* no NameOp */
		{12, "\\_S5_\x12\x06\x04\x01\x00\x00\x00"},	  /* root prefix, but no NameOp */
		{5, "\x08_S5_"},				  /* ends after the name */
		{6, "\x08_S5_\x12"},				  /* no PkgLength */
		{7, "\x08_S5_\x12\xc9"},			  /* PkgLength cut */
		{9, "\x08_S5_\x12\xc9\x00\x00"},		  /* likewise */
		{12, "\x08_S5_\x12\x07\x04\x01\x00\x00\x00"},	  /* package ends beyond the DSDT */
		{12, "\x08_S5_\x12\x3f\x04\x01\x00\x00\x00"},	  /* likewise */
		{12, "\x08_S5_\x12\xcf\xff\xff\xff\x02\x00\x00"}, /* likewise, 256 MiB */
		{12, "\x08_S5_\x12\x00\x04\x01\x00\x00\x00"},	  /* package of length 0 */
		{12, "\x08_S5_\x12\x01\x04\x01\x00\x00\x00"},	  /* without a count */
		{12, "\x08_S5_\x12\x02\x04\x01\x00\x00\x00"},	  /* without elements */
		{12, "\x08_S5_\x12\x03\x04\x01\x00\x00\x00"},	  /* with only one in it */
		{12, "\x08_S5_\x12\x06\x01\x01\x00\x00\x00"},	  /* says that it has one */
		{12, "\x08_S5_\x12\x05\x02\x01\x0b\x00\x00"},	  /* second is cut */
		{12, "\x08_S5_\x12\x06\x02\x0a\x08\x00\x00"},	  /* more than three bits */
		{12, "\x08_S5_\x12\x06\x02\x00\x0a\x80\x00"},	  /* likewise */
		{13, "\x08_S5_\x12\x07\x02\x0b\x01\x01\x00\x00"}, /* likewise, as a word */
		{12, "\x08_S5_\x12\x06\x02\xff\xff\x00\x00"},	  /* Ones */
		{12, "\x08_S5_\x12\x06\x02_FOO"},		  /* names */
		{12, "\x08_S5_\x13\x06\x04\x01\x00\x00\x00"},	  /* a variable package */
	};

	(void)state;
	for (unsigned i = 0; i < array_count(cases); i++) {
		struct region *dsdt = dsdt_begin(cases[i].aml, cases[i].len);

		dsdt->bytes[35] = 0x08; /* NameOp, but in the header */
		world_parse();
		if (info.s5)
			fail_msg("case %u is believed", i);
		assert_int_equal(info.dsdt, dsdt->addr);
		assert_true(noted("no \\_S5 found"));
	}
}

static void s5_may_be_the_last_bytes_of_a_large_dsdt(void **state)
{
	static uint8_t aml[70000];

	(void)state;
	for (size_t i = 0; i < sizeof(aml); i++)
		aml[i] = (uint8_t) "\x08_S5"[i % 4];
	memcpy(aml + sizeof(aml) - 12, "\x08_S5_\x12\x06\x04\x0a\x05\x0a\x05", 12);
	dsdt_begin(aml, sizeof(aml));
	world_parse();
	assert_true(info.s5);
	assert_int_equal(info.s5_typa, 5);
}

static void wide_dsdt_address_wins_and_falls_back(void **state)
{
	struct region *narrow, *wide;

	(void)state;
	for (int broken = 0; broken < 4; broken++) {
		fadt_begin(3);
		narrow = table_add_loose("DSDT", 1, 48);
		memcpy(narrow->bytes + 36, "\x08_S5_\x12\x06\x04\x01\x00\x00\x00", 12);
		wide = table_add_loose("DSDT", 2, 48);
		memcpy(wide->bytes + 36, "\x08_S5_\x12\x06\x04\x0a\x02\x00\x00", 12);
		put32(fadt + DSDT, (uint32_t)narrow->addr);
		put64(fadt + X_DSDT, broken == 1 ? 0x5550000000000000 : wide->addr);
		wide->broken = broken == 2;
		if (broken == 3)
			memcpy(wide->bytes, "SSDT", 4);
		world_parse();
		assert_true(info.s5);
		assert_int_equal(info.dsdt, broken ? narrow->addr : wide->addr);
		assert_int_equal(info.s5_typa, broken ? 1 : 2);
		assert_int_equal(info.note_count, broken != 0);
	}
}

static void dsdt_that_is_not_one_is_not_used(void **state)
{
	(void)state;
	fadt_begin(3);
	put32(fadt + DSDT, (uint32_t)regions[0].addr); /* the FADT itself */
	put64(fadt + X_DSDT, regions[0].addr);
	world_parse();
	assert_int_equal(info.dsdt, 0);
	assert_true(noted("FACP at 0x7fe0003: DSDT expected here"));
	assert_int_equal(info.note_count, 1);
	put32(fadt + DSDT, 0xfffffff0);
	put64(fadt + X_DSDT, UINT64_MAX);
	world_parse();
	assert_int_equal(info.dsdt, 0);
	assert_int_equal(info.note_count, 2);
}

/* Some firmware lists the DSDT also among the tables; either may come first. */
static void dsdt_that_the_root_lists_too_is_listed_once(void **state)
{
	(void)state;
	for (int first = 0; first < 2; first++) {
		struct region *dsdt;

		world_begin();
		dsdt = first ? table_add("DSDT", 1, 48) : NULL;
		fadt = table_add("FACP", 1, 116)->bytes;
		dsdt = dsdt ? dsdt : table_add("DSDT", 1, 48);
		memcpy(dsdt->bytes + 36, "\x08_S5_\x12\x06\x04\x0a\x05\x00\x00", 12);
		put32(fadt + DSDT, (uint32_t)dsdt->addr);
		world_parse();
		assert_true(info.s5);
		assert_int_equal(info.table_count, 3);
	}
}

static void every_changed_byte_is_survived(void **state)
{
	struct region *dsdt;

	(void)state;
	for (uint8_t revision = 1; revision <= 6; revision++) {
		fadt_begin(revision);
		dsdt = table_add_loose("DSDT", 1, 51);
		memcpy(dsdt->bytes + 36, "\x08\\_S5_\x12\x08\x04\x0a\x05\x0a\x05\x00", 15);
		put32(fadt + DSDT, (uint32_t)dsdt->addr);
		world_parse();
		assert_true(info.s5);
		table_torture(&regions[0]);
		table_torture(dsdt);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(legacy_ports_are_taken_in_every_revision),
		cmocka_unit_test(fadt_shorter_than_revision_1_is_skipped),
		cmocka_unit_test(fadt_longer_than_we_know_is_read),
		cmocka_unit_test(wide_fields_win_if_they_are_not_zero),
		cmocka_unit_test(wide_fields_count_only_whole_and_from_revision_2),
		cmocka_unit_test(unusable_wide_fields_fall_back_to_the_ports),
		cmocka_unit_test(addresses_that_are_no_ports_are_left_out),
		cmocka_unit_test(pm_timer_width_is_a_flag),
		cmocka_unit_test(boot_flags_count_from_revision_2),
		cmocka_unit_test(reset_needs_flag_register_and_length),
		cmocka_unit_test(reset_register_may_be_port_memory_or_pci),
		cmocka_unit_test(hardware_reduced_machines_have_no_pm_registers),
		cmocka_unit_test(s5_is_found_in_every_encoding),
		cmocka_unit_test(s5_that_is_broken_is_not_believed),
		cmocka_unit_test(s5_may_be_the_last_bytes_of_a_large_dsdt),
		cmocka_unit_test(wide_dsdt_address_wins_and_falls_back),
		cmocka_unit_test(dsdt_that_is_not_one_is_not_used),
		cmocka_unit_test(dsdt_that_the_root_lists_too_is_listed_once),
		cmocka_unit_test(every_changed_byte_is_survived),
	};

	return cmocka_run_group_tests(tests, NULL, world_end);
}
