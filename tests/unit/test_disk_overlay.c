/*
 * Copy-on-write over a disk image, with pages that are counted and can run out.
 * needs: core/disk_image.c core/disk_overlay.c lib/printf.c lib/text.c
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <crvm/status.h>
#include "../../core/disk_priv.h"

#define MODULE_SIZE (64 * 4096u + 700) /* the image; the disk is longer */
#define SECTORS	    600u	       /* and not a whole number of pages */

static struct disk_image image;
static struct disk_overlay overlay;
static struct disk disk;
static uint8_t module[MODULE_SIZE];
static unsigned pages_out, pages_left, pages_given;

static void *page_alloc(void *ctx)
{
	void *page;

	assert_ptr_equal(ctx, &pages_out);
	if (pages_left == 0)
		return NULL;
	pages_left--;
	pages_out++;
	pages_given++;
	page = aligned_alloc(4096, 4096);
	assert_non_null(page);
	memset(page, 0xdd, 4096);
	return page;
}

static void page_free(void *ctx, void *page)
{
	assert_ptr_equal(ctx, &pages_out);
	assert_true(pages_out > 0);
	pages_out--;
	pages_left++;
	free(page);
}

static const struct disk_pages pages = {page_alloc, page_free, &pages_out};

static void build(const void *bytes, uint64_t len, uint64_t size)
{
	char error[160];

	assert_int_equal(disk_image_open(&image, bytes, len, size, error, sizeof(error)), OK);
	memset(&overlay, 0xee, sizeof(overlay));
	disk_overlay_init(&overlay, &image, &pages);
	disk_overlay_disk(&overlay, &disk);
	pages_left = 1000;
	pages_given = 0;
}

static int setup(void **state)
{
	(void)state;
	for (unsigned n = 0; n < sizeof(module); n++)
		module[n] = (uint8_t)(n / 512 + n * 3) | 1;
	memset(module + 8 * 4096, 0, 2 * 4096);
	build(module, sizeof(module), SECTORS * 512);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	disk_overlay_free(&overlay);
	assert_int_equal(pages_out, 0);
	assert_int_equal(overlay.page_count, 0);
	assert_int_equal(overlay.table_count, 0);
	return 0;
}

static uint8_t buf[SECTORS * 512];

static void expect_sectors(uint64_t lba, uint32_t count, uint8_t value)
{
	memset(buf, ~value, sizeof(buf));
	assert_int_equal(disk.read(disk.ctx, lba, count, buf), OK);
	for (uint32_t n = 0; n < count * 512; n++)
		assert_int_equal(buf[n], value);
}

static int write_sectors(uint64_t lba, uint32_t count, uint8_t value)
{
	memset(buf, value, sizeof(buf));
	return disk.write(disk.ctx, lba, count, buf);
}

/* Sectors [first, end) are as the image has them. */
static void expect_image(uint32_t first, uint32_t end)
{
	static uint8_t all[SECTORS * 512];

	memset(all, 0, sizeof(all));
	memcpy(all, module, sizeof(module));
	assert_int_equal(disk.read(disk.ctx, first, end - first, buf), OK);
	assert_memory_equal(buf, all + (size_t)first * 512, (size_t)(end - first) * 512);
}

static void test_unwritten_it_is_the_image_and_costs_nothing(void **state)
{
	(void)state;
	assert_int_equal(disk.sectors, SECTORS);
	assert_false(disk.readonly);
	expect_image(0, SECTORS);
	expect_image(7, 9);
	assert_int_equal(pages_given, 0);
	assert_int_equal(overlay.page_count, 0);
}

static void test_one_sector_written(void **state)
{
	uint8_t before[MODULE_SIZE];

	(void)state;
	memcpy(before, module, sizeof(module));
	assert_int_equal(write_sectors(19, 1, 0x77), OK);
	expect_sectors(19, 1, 0x77);
	expect_image(0, 19);
	expect_image(20, SECTORS);
	assert_memory_equal(module, before, sizeof(module));
	assert_int_equal(overlay.page_count, 1);
	assert_int_equal(overlay.table_count, 2);
	assert_int_equal(pages_out, 3);
	/* Its neighbours are in the same page, the next page has the same tables. */
	assert_int_equal(write_sectors(16, 3, 0x78), OK);
	assert_int_equal(pages_out, 3);
	assert_int_equal(write_sectors(24, 1, 0x79), OK);
	assert_int_equal(overlay.page_count, 2);
	assert_int_equal(overlay.table_count, 2);
	expect_sectors(16, 3, 0x78);
	expect_sectors(19, 1, 0x77);
	expect_image(20, 24);
	expect_sectors(24, 1, 0x79);
	expect_image(25, SECTORS);
}

static void test_writes_that_cross_pages(void **state)
{
	(void)state;
	for (unsigned n = 0; n < sizeof(buf); n++)
		buf[n] = (uint8_t)(n * 5 + n / 512);
	uint8_t *copy = malloc(30 * 512);

	memcpy(copy, buf, 30 * 512);
	assert_int_equal(disk.write(disk.ctx, 5, 30, buf), OK);
	assert_int_equal(overlay.page_count, 5);
	memset(buf, 0, sizeof(buf));
	assert_int_equal(disk.read(disk.ctx, 5, 30, buf), OK);
	assert_memory_equal(buf, copy, 30 * 512);
	expect_image(0, 5);
	expect_image(35, SECTORS);
	free(copy);
}

static void test_the_last_page_is_short(void **state)
{
	(void)state;
	build(module, sizeof(module), (SECTORS - 3) * 512);
	assert_int_equal(write_sectors(SECTORS - 4, 1, 0x12), OK);
	expect_sectors(SECTORS - 4, 1, 0x12);
	expect_image(0, SECTORS - 4);
	assert_int_equal(overlay.page_count, 1);
	/* A page that is written where the image ends. */
	assert_int_equal(write_sectors(513, 1, 0x13), OK);
	expect_image(0, 513);
	expect_sectors(513, 1, 0x13);
	expect_image(514, SECTORS - 4);
}

static void test_zeros_over_zeros_cost_nothing(void **state)
{
	(void)state;
	assert_int_equal(write_sectors(64, 16, 0), OK);
	assert_int_equal(write_sectors(514, SECTORS - 514, 0), OK);
	assert_int_equal(pages_given, 0);
	expect_image(0, SECTORS);
	/* Over anything else they are data. */
	assert_int_equal(write_sectors(63, 2, 0), OK);
	expect_sectors(63, 2, 0);
	assert_int_equal(overlay.page_count, 1);
	assert_int_equal(write_sectors(0, 8, 0), OK);
	expect_sectors(0, 8, 0);
	assert_int_equal(overlay.page_count, 2);
	assert_int_equal(write_sectors(512, 8, 0), OK);
	expect_sectors(512, 8, 0);
	assert_int_equal(overlay.page_count, 3);
	/* And over what was written. */
	assert_int_equal(write_sectors(64, 1, 9), OK);
	assert_int_equal(write_sectors(64, 1, 0), OK);
	expect_sectors(64, 1, 0);
	assert_int_equal(overlay.page_count, 4);
}

static void test_zeros_and_one_byte(void **state)
{
	(void)state;
	for (unsigned at = 0; at < 512; at++) {
		memset(buf, 0, 512);
		buf[at] = 1;
		assert_int_equal(disk.write(disk.ctx, 66, 1, buf), OK);
		memset(buf, 0, 512);
		assert_int_equal(disk.read(disk.ctx, 66, 1, buf), OK);
		assert_int_equal(buf[at], 1);
		disk_overlay_free(&overlay);
	}
}

/* A qcow2 image whose second 4 KiB are damaged after it was opened. */
static uint8_t *damaged_image(void)
{
	static uint8_t q[4 * 4096];
	static const uint64_t field[][2] = {
		{0, 0x514649fb00000002}, {20, 12ull << 32}, {24, 16 * 4096},
		{36, 1ull << 32},	 {40, 4096},	    {4096, 2 * 4096},
		{8192, 3 * 4096},	 {8200, 3 * 4096},
	};

	memset(q, 0, sizeof(q));
	memset(q + 3 * 4096, 0x5a, 4096);
	for (unsigned n = 0; n < array_count(field); n++) {
		uint64_t v = __builtin_bswap64(field[n][1]);

		memcpy(q + field[n][0], &v, 8);
	}
	build(q, sizeof(q), 0);
	q[8200] = 0x40;
	return q;
}

static void test_a_whole_page_does_not_need_the_image(void **state)
{
	(void)state;
	damaged_image();
	expect_sectors(0, 8, 0x5a);
	assert_int_equal(disk.read(disk.ctx, 0, 9, buf), E_IO);
	assert_int_equal(disk.read(disk.ctx, 15, 1, buf), E_IO);
	/* A part of it does; then no page is held. */
	assert_int_equal(write_sectors(9, 1, 0x66), E_IO);
	assert_int_equal(write_sectors(9, 7, 0), E_IO);
	assert_int_equal(overlay.page_count, 0);
	assert_int_equal(pages_out, overlay.table_count);
	assert_int_equal(write_sectors(8, 8, 0), OK);
	expect_sectors(8, 8, 0);
	assert_int_equal(overlay.page_count, 1);
	assert_int_equal(write_sectors(9, 1, 0x66), OK);
	expect_sectors(9, 1, 0x66);
}

static void test_no_memory(void **state)
{
	(void)state;
	for (unsigned have = 0; have < 3; have++) {
		pages_left = have;
		assert_int_equal(write_sectors(100, 1, 0x21), E_NOMEM);
		assert_int_equal(pages_out, overlay.table_count);
		assert_int_equal(overlay.page_count, 0);
		expect_image(0, SECTORS);
		disk_overlay_free(&overlay);
		assert_int_equal(pages_out, 0);
	}
	/* What there is memory for is written, and can be written again. */
	pages_left = 4;
	assert_int_equal(write_sectors(0, 24, 0x22), E_NOMEM);
	assert_int_equal(overlay.page_count, 2);
	expect_sectors(0, 16, 0x22);
	expect_image(16, SECTORS);
	assert_int_equal(write_sectors(3, 9, 0x23), OK);
	expect_sectors(3, 9, 0x23);
	pages_left = 1;
	assert_int_equal(write_sectors(0, 24, 0x24), OK);
	expect_sectors(0, 24, 0x24);
}

static void test_freed_it_is_the_image_again(void **state)
{
	(void)state;
	assert_int_equal(write_sectors(0, SECTORS, 0x31), OK);
	expect_sectors(0, SECTORS, 0x31);
	assert_int_equal(overlay.page_count, 75);
	disk_overlay_free(&overlay);
	assert_int_equal(pages_out, 0);
	expect_image(0, SECTORS);
	assert_int_equal(write_sectors(1, 1, 0x32), OK);
	expect_sectors(1, 1, 0x32);
}

static void test_every_corner_of_the_largest_disk(void **state)
{
	static const uint64_t at[] = {
		0,
		8,
		511 * 8,
		512 * 8,
		513 * 8,
		512 * 511 * 8,
		512 * 512 * 8 - 8,
		512 * 512 * 8,
		(1u << 28) - 512 * 512 * 8,
		(1u << 28) - 8,
	};

	(void)state;
	build(NULL, 0, DISK_SIZE_MAX);
	assert_int_equal(disk.sectors, 1u << 28);
	for (unsigned n = 0; n < array_count(at); n++)
		assert_int_equal(write_sectors(at[n], 1, (uint8_t)(n + 1)), OK);
	for (unsigned n = 0; n < array_count(at); n++) {
		expect_sectors(at[n], 1, (uint8_t)(n + 1));
		expect_sectors(at[n] + 1, 7, 0);
	}
	assert_int_equal(overlay.page_count, array_count(at));
	assert_int_equal(write_sectors((1u << 28) - 1, 1, 0x41), OK);
	expect_sectors((1u << 28) - 1, 1, 0x41);
	assert_int_equal(overlay.page_count, array_count(at));
	assert_int_equal(pages_out, overlay.page_count + overlay.table_count);
}

static void test_nothing_lies_beyond_the_end(void **state)
{
	(void)state;
	assert_int_equal(disk.read(disk.ctx, SECTORS, 1, buf), E_FAULT);
	assert_int_equal(disk.read(disk.ctx, SECTORS - 1, 2, buf), E_FAULT);
	assert_int_equal(disk.read(disk.ctx, 1ull << 55, 1, buf), E_FAULT);
	assert_int_equal(disk.read(disk.ctx, UINT64_MAX, 2, buf), E_FAULT);
	assert_int_equal(disk.write(disk.ctx, SECTORS - 1, 2, buf), E_FAULT);
	assert_int_equal(disk.write(disk.ctx, 1ull << 55, 1, buf), E_FAULT);
	assert_int_equal(disk.write(disk.ctx, UINT64_MAX, 2, buf), E_FAULT);
	assert_int_equal(disk.write(disk.ctx, SECTORS, 0, buf), OK);
	assert_int_equal(pages_given, 0);
}

/* The same writes to a plain array. */
static void test_random_writes_as_to_memory(void **state)
{
	static uint8_t model[SECTORS * 512];
	uint32_t seed = 12345;

	(void)state;
	memset(model, 0, sizeof(model));
	memcpy(model, module, sizeof(module));
	for (unsigned n = 0; n < 2000; n++) {
		uint32_t lba, count;

		seed = seed * 1664525 + 1013904223;
		lba = (seed >> 8) % SECTORS;
		count = (seed >> 20) % 20;
		count = count < SECTORS - lba ? count : SECTORS - lba;
		memset(buf, n % 3 ? (int)n : 0, sizeof(buf));
		assert_int_equal(disk.write(disk.ctx, lba, count, buf), OK);
		memcpy(model + lba * 512, buf, count * 512);
	}
	assert_int_equal(disk.read(disk.ctx, 0, SECTORS, buf), OK);
	assert_memory_equal(buf, model, sizeof(model));
}

#define t(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		t(test_unwritten_it_is_the_image_and_costs_nothing),
		t(test_one_sector_written),
		t(test_writes_that_cross_pages),
		t(test_the_last_page_is_short),
		t(test_zeros_over_zeros_cost_nothing),
		t(test_zeros_and_one_byte),
		t(test_a_whole_page_does_not_need_the_image),
		t(test_no_memory),
		t(test_freed_it_is_the_image_again),
		t(test_every_corner_of_the_largest_disk),
		t(test_nothing_lies_beyond_the_end),
		t(test_random_writes_as_to_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
