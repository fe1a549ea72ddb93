/*
 * How an IDE disk finds the sectors of a transfer: CHS, 28 and 48 bits.
 * needs: devices/ide.c devices/ide_cmd.c devices/ide_data.c devices/ide_identify.c core/io_bus.c
 * needs: mm/arena.c mm/frames.c mm/frames_region.c mm/hostmap.c
 * needs: tests/fake/panic.c tests/fake/spinlock.c
 */
#include "ide_rig.h"

#define WORDS 256u /* of a sector */

static uint8_t data[256 * DISK_SECTOR];

static void pattern(uint8_t seed)
{
	for (unsigned i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 7 + i / DISK_SECTOR + seed);
}

static void test_addresses_of_48_bits(void **state)
{
	uint64_t lba = 0xabcdef012345, got;

	(void)state;
	ram_disk[0].disk.sectors = 1ull << 48;
	address_ext(lba, 2);
	command(0x24);
	words_in(data, 2 * WORDS);
	memcpy(&got, data, 8);
	assert_int_equal(got, lba);
	memcpy(&got, data + DISK_SECTOR, 8);
	assert_int_equal(got, lba + 1);
	assert_int_equal(in(7), READY);
	assert_int_equal(address_ext_now(), lba + 1);
	/* The last sector there can be, and one more. */
	address_ext((1ull << 48) - 1, 2);
	command(0x24);
	words_in(data, WORDS);
	assert_int_equal(in(7), READY_ERR);
	assert_int_equal(in(1), ERROR_IDNF);
	out(2, 8);
	expect_end(0xc6, 0);
	address_ext(lba, 8);
	command(0x29);
	words_in(data, 8 * WORDS);
	memcpy(&got, data + 7 * DISK_SECTOR, 8);
	assert_int_equal(got, lba + 7);
	pattern(7);
	address_ext(60, 1);
	command(0x34);
	words_out(data, WORDS);
	address_ext(61, 5);
	command(0x39);
	words_out(data + DISK_SECTOR, 5 * WORDS);
	assert_int_equal(in(7), READY);
	assert_memory_equal(sector(0, 60), data, 6 * DISK_SECTOR);
	out(6, 0xa0);
	expect_end(0x24, ERROR_ABRT);
	expect_end(0x34, ERROR_ABRT);
}

static void test_counts_of_16_bits(void **state)
{
	unsigned n = 0;

	(void)state;
	address_ext(3, 0x102);
	command(0x24);
	for (; in(7) == READY_DRQ; n++)
		words_in(data, WORDS);
	assert_int_equal(n, 0x102);
	ram_disk[0].disk.sectors = 0x20000;
	address_ext(0x10, 0);
	command(0x24);
	for (n = 0; in(7) == READY_DRQ; n++)
		words_in(data, WORDS);
	assert_int_equal(n, 0x10000);
	assert_int_equal(address_ext_now(), 0x1000f);
}

static void test_28_bits_end_where_they_end(void **state)
{
	(void)state;
	ram_disk[0].disk.sectors = 1ull << 40;
	address(0xfffffff, 2);
	command(0x20);
	words_in(data, WORDS);
	assert_memory_equal(data, (&(uint64_t){0xfffffff}), 8);
	assert_int_equal(in(7), READY_ERR);
	assert_int_equal(in(1), ERROR_IDNF);
}

static void test_chs_transfers(void **state)
{
	(void)state;
	/* From the last sector of a cylinder into the next. */
	out(2, 2);
	out(3, 63);
	out(4, 4);
	out(5, 0);
	out(6, 0xaf);
	command(0x20);
	words_in(data, 2 * WORDS);
	assert_memory_equal(data, sector(0, 5 * 1008 - 1), 2 * DISK_SECTOR);
	assert_int_equal(in(7), READY);
	assert_int_equal(in(3), 1);
	assert_int_equal(in(4), 5);
	assert_int_equal(in(6), 0xa0);
	/* With a translation of the guest's own. */
	out(2, 10);
	out(6, 0xa2);
	expect_end(0x91, 0);
	out(2, 1);
	out(3, 9);
	out(4, 0x2c);
	out(5, 0x01);
	out(6, 0xa1);
	command(0x20);
	words_in(data, WORDS);
	assert_memory_equal(data, sector(0, (300 * 3 + 1) * 10 + 8), DISK_SECTOR);
	assert_int_equal(in(3), 9);
	assert_int_equal(in(4), 0x2c);
	assert_int_equal(in(5), 0x01);
	assert_int_equal(in(6), 0xa1);
	out(2, 2);
	out(3, 10);
	out(4, 0xff);
	out(5, 0);
	out(6, 0xa2);
	command(0x20);
	words_in(data, 2 * WORDS);
	assert_int_equal(in(4) | in(5) << 8, 0x100);
	/* What does not fill a cylinder is out of its reach. */
	out(2, 2);
	out(3, 10);
	out(4, (SECTORS / 30 - 1) & 0xff);
	out(5, (SECTORS / 30 - 1) >> 8);
	out(6, 0xa2);
	command(0x20);
	words_in(data, WORDS);
	assert_int_equal(in(7), READY_ERR);
	assert_int_equal(in(1), ERROR_IDNF);
	out(3, 0);
	expect_end(0x20, ERROR_IDNF);
	expect_end(0x30, ERROR_IDNF);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		t(test_addresses_of_48_bits),
		t(test_counts_of_16_bits),
		t(test_28_bits_end_where_they_end),
		t(test_chs_transfers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
