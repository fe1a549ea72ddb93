/*
 * A physical memory with ACPI tables in it, built byte by byte, for the tests of
 * arch/x86_64/acpi*.c. Each table is a region of its own, and each mapping a heap block of exactly
 * the bytes asked for: ASan sees every byte read beyond it. It shares no structure with the parser.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <crvm/acpi.h>
#include <crvm/status.h>

#define REGION_MAX  320
#define MAPPING_MAX 4096
#define TABLES_BASE 0x7fe0003ull /* odd on purpose */

struct region {
	uint64_t addr;
	uint8_t *bytes;
	size_t len;
	bool listed; /* in the RSDT and XSDT */
	bool broken; /* leave the checksum as it is */
	bool table;
};

static struct region regions[REGION_MAX];
static unsigned region_count;
static uint64_t tables_next;
static void *mappings[MAPPING_MAX];
static unsigned mapping_count;
static struct acpi_info info;

static inline void put16(uint8_t *p, uint16_t v)
{
	memcpy(p, &v, 2);
}

static inline void put32(uint8_t *p, uint32_t v)
{
	memcpy(p, &v, 4);
}

static inline void put64(uint8_t *p, uint64_t v)
{
	memcpy(p, &v, 8);
}

static inline void world_begin(void)
{
	while (region_count > 0)
		free(regions[--region_count].bytes);
	tables_next = TABLES_BASE;
}

static inline struct region *region_add(uint64_t addr, size_t len)
{
	struct region *region = &regions[region_count++];

	assert_in_range(region_count, 1, REGION_MAX);
	*region = (struct region){.addr = addr, .bytes = calloc(1, len), .len = len};
	assert_non_null(region->bytes);
	return region;
}

/* A table that nothing points to. */
static inline struct region *table_add_loose(const char *sig, uint8_t revision, uint32_t len)
{
	struct region *region = region_add(tables_next, len < 36 ? 36 : len);

	tables_next += len + 5;
	memcpy(region->bytes, sig, 4);
	put32(region->bytes + 4, len);
	region->bytes[8] = revision;
	memcpy(region->bytes + 10, "TESTERTESTTABL", 14);
	region->table = true;
	return region;
}

static inline struct region *table_add(const char *sig, uint8_t revision, uint32_t len)
{
	struct region *region = table_add_loose(sig, revision, len);

	region->listed = true;
	return region;
}

/* Makes the bytes sum up to 0 by the one at `at`. */
static inline void sum_fix(uint8_t *bytes, size_t len, size_t at)
{
	uint8_t sum = 0;

	bytes[at] = 0;
	for (size_t i = 0; i < len; i++)
		sum = (uint8_t)(sum + bytes[i]);
	bytes[at] = (uint8_t)-sum;
}

/* An XSDT (width 8) or RSDT (4) of all listed tables. */
static inline struct region *root_add(unsigned width)
{
	unsigned count = 0;
	struct region *root;

	for (unsigned i = 0; i < region_count; i++)
		count += regions[i].listed;
	root = table_add_loose(width == 8 ? "XSDT" : "RSDT", 1, 36 + count * width);
	count = 0;
	for (unsigned i = 0; i < region_count; i++)
		if (regions[i].listed)
			memcpy(root->bytes + 36 + width * count++, &regions[i].addr, width);
	return root;
}

static inline void rsdp_build(uint8_t rsdp[36], uint8_t revision, uint64_t rsdt, uint64_t xsdt)
{
	memset(rsdp, 0, 36);
	memcpy(rsdp, "RSD PTR ", 8);
	memcpy(rsdp + 9, "TESTER", 6);
	rsdp[15] = revision;
	put32(rsdp + 16, (uint32_t)rsdt);
	sum_fix(rsdp, 20, 8);
	if (revision < 2)
		return;
	put32(rsdp + 20, 36);
	put64(rsdp + 24, xsdt);
	sum_fix(rsdp, 36, 32);
}

static inline const void *env_map(void *ctx, uint64_t addr, size_t len)
{
	assert_ptr_equal(ctx, regions);
	assert_true(len > 0);
	for (unsigned i = 0; i < region_count; i++) {
		const struct region *region = &regions[i];
		uint64_t offset = addr - region->addr;

		if (addr < region->addr || offset > region->len || len > region->len - offset)
			continue;
		assert_in_range(mapping_count, 0, MAPPING_MAX - 1);
		mappings[mapping_count] = malloc(len);
		return memcpy(mappings[mapping_count++], region->bytes + offset, len);
	}
	return NULL;
}

/* What holds whatever the bytes were. */
static inline void info_check(void)
{
	assert_in_range(info.table_count, 0, ACPI_TABLE_MAX);
	for (unsigned i = 0; i < info.table_count; i++) {
		assert_int_equal(strnlen(info.table[i].sig, 5), 4);
		assert_true(info.table[i].len >= 36);
	}
	assert_in_range(info.cpu_count, 0, ACPI_CPU_MAX);
	for (unsigned i = 0; i < info.cpu_count; i++)
		assert_true(info.cpu[i].enabled != info.cpu[i].online_capable);
	assert_in_range(info.ioapic_count, 0, ACPI_IOAPIC_MAX);
	assert_in_range(info.override_count, 0, ACPI_OVERRIDE_MAX);
	for (unsigned i = 0; i < info.override_count; i++)
		assert_in_range(info.override[i].irq, 0, 15);
	assert_in_range(info.lapic_nmi_count, 0, ACPI_OVERRIDE_MAX);
	assert_in_range(info.mcfg_count, 0, ACPI_MCFG_MAX);
	for (unsigned i = 0; i < info.mcfg_count; i++)
		assert_true(info.mcfg[i].bus_first <= info.mcfg[i].bus_last);
	assert_in_range(info.dmar_unit_count, 0, ACPI_DMAR_UNIT_MAX);
	assert_in_range(info.s5_typa, 0, 7);
	assert_in_range(info.s5_typb, 0, 7);
	assert_true(info.spcr.present == (info.spcr.gas.addr != 0));
	assert_true(info.dbg2.present == (info.dbg2.gas.addr != 0));
	assert_in_range(info.note_count, 0, ACPI_NOTE_MAX);
	for (unsigned i = 0; i < info.note_count; i++) {
		assert_in_range(strnlen(info.note[i], sizeof(info.note[i])), 1, 95);
		for (const char *p = info.note[i]; *p; p++)
			assert_in_range(*p, ' ', '~');
	}
}

/* Seals the tables and parses them from a copy of the RSDP. */
static inline int world_parse_rsdp(const uint8_t *rsdp, size_t len)
{
	static const struct acpi_env env = {.map = env_map, .ctx = regions};
	uint8_t *copy = malloc(len ? len : 1);
	int status;

	for (unsigned i = 0; i < region_count; i++)
		if (regions[i].table && !regions[i].broken)
			sum_fix(regions[i].bytes, regions[i].len, 9);
	if (len)
		memcpy(copy, rsdp, len);
	memset(&info, 0xa5, sizeof(info));
	status = acpi_parse(&info, &env, len ? copy : NULL, len);
	free(copy);
	while (mapping_count > 0)
		free(mappings[--mapping_count]);
	info_check();
	return status;
}

/* By an XSDT of what is listed. The root stays in the world: may be called again after changes. */
static inline void world_parse(void)
{
	static uint64_t root;
	uint8_t rsdp[36];

	if (region_count == 0 || memcmp(regions[region_count - 1].bytes, "XSDT", 4) != 0)
		root = root_add(8)->addr;
	rsdp_build(rsdp, 2, 0, root);
	assert_int_equal(world_parse_rsdp(rsdp, sizeof(rsdp)), 0);
}

static inline bool noted(const char *part)
{
	for (unsigned i = 0; i < info.note_count; i++)
		if (strstr(info.note[i], part))
			return true;
	return false;
}

/* Parses with each byte of the table changed in turn, checksums mended: nothing may break. */
static inline void table_torture(struct region *region)
{
	static const uint8_t values[] = {0, 1, 0x7f, 0x80, 0xff};

	for (size_t at = 0; at < region->len; at++) {
		uint8_t was = region->bytes[at];

		for (unsigned i = 0; i < array_count(values); i++) {
			region->bytes[at] = values[i];
			world_parse();
		}
		region->bytes[at] = was;
	}
}

static inline int world_end(void **state)
{
	(void)state;
	world_begin();
	return 0;
}
