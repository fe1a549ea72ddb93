/*
 * Sectors through the data port of an IDE channel.
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

static void test_read_one_sector(void **state)
{
	(void)state;
	for (unsigned code = 0x20; code <= 0x21; code++) {
		address(1234, 1);
		command(code);
		assert_true(line);
		assert_int_equal(in(7), READY_DRQ);
		assert_false(line);
		words_in(data, WORDS - 1);
		assert_int_equal(in(7), READY_DRQ);
		words_in(data + 510, 1);
		assert_memory_equal(data, sector(0, 1234), DISK_SECTOR);
		assert_int_equal(in(7), READY);
		assert_false(line);
		assert_int_equal(address_now(), 1234);
		assert_int_equal(in(2), 0);
	}
}

static void test_read_interrupts_for_each_sector(void **state)
{
	(void)state;
	address(10, 3);
	command(0x20);
	for (unsigned i = 0; i < 3; i++) {
		assert_true(line);
		assert_int_equal(rises, i + 1);
		assert_int_equal(in(7), READY_DRQ);
		assert_false(line);
		words_in(data, WORDS);
		assert_memory_equal(data, sector(0, 10 + i), DISK_SECTOR);
	}
	assert_false(line);
	assert_int_equal(in(7), READY);
	assert_int_equal(address_now(), 12);
}

static void test_a_whole_command_within_one_rep(void **state)
{
	(void)state;
	select_drive(1);
	address(100, 128);
	command(0x20);
	io_bus_read_many(&bus, BASE, 4, data, 128 * 128);
	assert_memory_equal(data, sector(1, 100), 128 * DISK_SECTOR);
	assert_int_equal(in(7), READY);
	/* One call of the disk for each sector, not for each word. */
	assert_int_equal(ram_disk[1].reads, 128);
	assert_int_equal(ram_disk[0].reads, 0);
	address(200, 0);
	command(0x20);
	words_in(data, 256 * WORDS);
	assert_memory_equal(data, sector(1, 200), 256 * DISK_SECTOR);
	assert_int_equal(in(7), READY);
	assert_int_equal(address_now(), 455);
}

static void test_reads_of_each_size(void **state)
{
	const uint8_t *s = sector(0, 2);

	(void)state;
	address(2, 2);
	command(0x20);
	assert_int_equal(io_bus_read(&bus, BASE, 4), *(const uint32_t *)(const void *)s);
	assert_int_equal(io_bus_read(&bus, BASE, 2), *(const uint16_t *)(const void *)(s + 4));
	/* A cycle on the bus moves two bytes, whoever wants one. */
	assert_int_equal(io_bus_read(&bus, BASE, 1), s[6]);
	io_bus_read_many(&bus, BASE, 1, data, 2);
	assert_int_equal(data[0], s[8]);
	assert_int_equal(data[1], s[10]);
	/* Four bytes from two sectors. */
	words_in(data, WORDS - 7);
	assert_int_equal(alternate(), READY_DRQ);
	io_bus_read_many(&bus, BASE, 4, data, 3);
	assert_memory_equal(data, s + 510, 12);
	for (unsigned i = 0; i < 125; i++) {
		assert_int_equal(in(7), READY_DRQ);
		io_bus_read(&bus, BASE, 4);
	}
	assert_int_equal(in(7), READY_DRQ);
	/* The last word, and then nothing. */
	io_bus_read_many(&bus, BASE, 4, data, 2);
	assert_memory_equal(data, s + 1022, 2);
	assert_memory_equal(data + 2, "\xff\xff\xff\xff\xff\xff", 6);
	assert_int_equal(in(7), READY);
}

static void test_write_one_sector(void **state)
{
	(void)state;
	pattern(1);
	for (unsigned code = 0x30; code <= 0x31; code++) {
		address(77, 1);
		command(code);
		/* The drive waits for data, and says so without an interrupt. */
		assert_false(line);
		assert_int_equal(in(7), READY_DRQ);
		words_out(data, WORDS - 1);
		assert_int_equal(ram_disk[0].writes, code - 0x30);
		assert_false(line);
		words_out(data + 510, 1);
		assert_true(line);
		assert_int_equal(in(7), READY);
		assert_memory_equal(sector(0, 77), data, DISK_SECTOR);
		assert_int_equal(address_now(), 77);
		assert_int_equal(in(2), 0);
		pattern(2);
	}
	assert_int_equal(ram_disk[1].writes, 0);
}

static void test_write_interrupts_after_each_sector(void **state)
{
	(void)state;
	pattern(3);
	address(40, 3);
	command(0x30);
	for (unsigned i = 0; i < 3; i++) {
		assert_false(line);
		assert_int_equal(in(7), READY_DRQ);
		words_out(data + i * DISK_SECTOR, WORDS);
		assert_true(line);
		assert_int_equal(in(7), i < 2 ? READY_DRQ : READY);
	}
	assert_memory_equal(sector(0, 40), data, 3 * DISK_SECTOR);
	assert_int_equal(rises, 3);
	assert_int_equal(address_now(), 42);
}

static void test_writes_of_each_size(void **state)
{
	(void)state;
	pattern(4);
	address(9, 1);
	command(0x30);
	io_bus_write(&bus, BASE, 4, *(const uint32_t *)(const void *)data);
	io_bus_write(&bus, BASE, 2, *(const uint16_t *)(const void *)(data + 4));
	io_bus_write(&bus, BASE, 1, 0xab);
	io_bus_write_many(&bus, BASE, 1, "\x77", 1);
	io_bus_write_many(&bus, BASE, 4, data + 10, 125);
	assert_int_equal(alternate(), READY_DRQ);
	/* The rest of it is for nobody. */
	io_bus_write_many(&bus, BASE, 4, data + 510, 2);
	assert_int_equal(alternate(), READY);
	memcpy(data + 6, "\xab\0\x77\0", 4);
	assert_memory_equal(sector(0, 9), data, DISK_SECTOR);
}

static void test_write_of_128_sectors_within_one_rep(void **state)
{
	(void)state;
	pattern(5);
	address(1000, 128);
	command(0x30);
	io_bus_write_many(&bus, BASE, 4, data, 128 * 128);
	assert_memory_equal(sector(0, 1000), data, 128 * DISK_SECTOR);
	assert_int_equal(ram_disk[0].writes, 128);
	assert_int_equal(in(7), READY);
}

static void test_multiple_moves_blocks(void **state)
{
	(void)state;
	out(2, 4);
	expect_end(0xc6, 0);
	rises = 0;
	address(50, 10);
	command(0xc4);
	for (unsigned i = 0; i < 3; i++) {
		unsigned n = i < 2 ? 4 : 2;

		assert_int_equal(rises, i + 1);
		assert_int_equal(in(7), READY_DRQ);
		words_in(data, n * WORDS);
		assert_memory_equal(data, sector(0, 50 + 4 * i), n * DISK_SECTOR);
	}
	assert_int_equal(in(7), READY);
	assert_int_equal(rises, 3);
	assert_int_equal(ram_disk[0].reads, 3);
	assert_int_equal(address_now(), 59);
	pattern(6);
	rises = 0;
	address(300, 6);
	command(0xc5);
	assert_int_equal(rises, 0);
	assert_int_equal(in(7), READY_DRQ);
	words_out(data, 4 * WORDS);
	assert_int_equal(in(7), READY_DRQ);
	words_out(data + 4 * DISK_SECTOR, 2 * WORDS);
	assert_int_equal(in(7), READY);
	assert_int_equal(rises, 2);
	assert_int_equal(ram_disk[0].writes, 2);
	assert_memory_equal(sector(0, 300), data, 6 * DISK_SECTOR);
}

static void test_the_largest_block(void **state)
{
	(void)state;
	out(2, IDE_BLOCK_MAX);
	expect_end(0xc6, 0);
	address(0, 0);
	command(0xc4);
	io_bus_read_many(&bus, BASE, 4, data, 256 * 128);
	assert_memory_equal(data, sector(0, 0), 256 * DISK_SECTOR);
	assert_int_equal(ram_disk[0].reads, 256 / IDE_BLOCK_MAX);
	assert_int_equal(in(7), READY);
}

static void test_reads_beyond_the_end(void **state)
{
	(void)state;
	address(SECTORS, 1);
	expect_end(0x20, ERROR_IDNF);
	address(0xfffffff, 0);
	expect_end(0x20, ERROR_IDNF);
	assert_int_equal(ram_disk[0].reads, 0);
	address(SECTORS - 2, 5);
	command(0x20);
	words_in(data, 2 * WORDS);
	assert_true(line);
	assert_memory_equal(data, sector(0, SECTORS - 2), 2 * DISK_SECTOR);
	assert_int_equal(in(7), READY_ERR);
	assert_int_equal(in(1), ERROR_IDNF);
	assert_int_equal(address_now(), SECTORS);
	assert_int_equal(in(2), 3);
	out(2, 4);
	expect_end(0xc6, 0);
	address(SECTORS - 2, 5);
	expect_end(0xc4, ERROR_IDNF);
	assert_int_equal(address_now(), SECTORS);
	assert_int_equal(in(2), 3);
}

static void test_writes_beyond_the_end(void **state)
{
	(void)state;
	pattern(8);
	address(SECTORS, 1);
	expect_end(0x30, ERROR_IDNF);
	address(SECTORS - 1, 2);
	command(0x30);
	words_out(data, WORDS);
	assert_true(line);
	assert_int_equal(in(7), READY_ERR);
	assert_int_equal(in(1), ERROR_IDNF);
	assert_int_equal(address_now(), SECTORS);
	assert_int_equal(in(2), 1);
	assert_memory_equal(sector(0, SECTORS - 1), data, DISK_SECTOR);
	words_out(data, WORDS);
	assert_int_equal(ram_disk[0].writes, 1);
}

static void test_a_bad_sector_is_named(void **state)
{
	(void)state;
	ram_disk[0].bad = 0x54;
	address(0x54, 1);
	expect_end(0x20, ERROR_UNC);
	assert_int_equal(address_now(), 0x54);
	address(0x52, 4);
	command(0x20);
	words_in(data, 2 * WORDS);
	assert_memory_equal(data, sector(0, 0x52), 2 * DISK_SECTOR);
	assert_int_equal(in(7), READY_ERR);
	assert_int_equal(in(1), ERROR_UNC);
	assert_int_equal(address_now(), 0x54);
	assert_int_equal(in(2), 2);
	/* Within a block. */
	out(2, 8);
	expect_end(0xc6, 0);
	address(0x50, 8);
	expect_end(0xc4, ERROR_UNC);
	assert_int_equal(address_now(), 0x54);
	assert_int_equal(in(2), 4);
	out(2, 2);
	expect_end(0xc6, 0);
	address(0x53, 2);
	expect_end(0xc4, ERROR_UNC);
	assert_int_equal(address_now(), 0x54);
	assert_int_equal(in(2), 1);
	address_ext(0x54, 8);
	expect_end(0x29, ERROR_UNC);
	assert_int_equal(address_ext_now(), 0x54);
	/* And after it all is well. */
	address(0x55, 1);
	command(0x20);
	assert_int_equal(in(7), READY_DRQ);
}

static void test_a_write_that_fails(void **state)
{
	(void)state;
	pattern(9);
	ram_disk[0].bad = 0x54;
	address(0x53, 3);
	command(0x30);
	words_out(data, 3 * WORDS);
	assert_true(line);
	assert_int_equal(in(7), READY_ERR);
	assert_int_equal(in(1), ERROR_ABRT);
	assert_int_equal(address_now(), 0x54);
	assert_int_equal(in(2), 2);
	assert_memory_equal(sector(0, 0x53), data, DISK_SECTOR);
	out(2, 8);
	expect_end(0xc6, 0);
	address(0x50, 8);
	command(0xc5);
	words_out(data, 8 * WORDS);
	assert_int_equal(in(7), READY_ERR);
	assert_int_equal(in(1), ERROR_ABRT);
	assert_int_equal(address_now(), 0x54);
	assert_int_equal(in(2), 4);
	assert_memory_equal(sector(0, 0x50), data, 4 * DISK_SECTOR);
}

static void test_a_readonly_disk(void **state)
{
	static const uint8_t code[] = {0x30, 0x31, 0x34, 0xc5, 0x39};

	(void)state;
	ram_disk[0].disk.readonly = true;
	out(2, 4);
	expect_end(0xc6, 0);
	for (unsigned i = 0; i < array_count(code); i++) {
		address_ext(1, 1);
		expect_end(code[i], ERROR_ABRT);
		words_out(data, WORDS);
	}
	assert_int_equal(ram_disk[0].writes, 0);
	address(1, 1);
	command(0x20);
	assert_int_equal(in(7), READY_DRQ);
}

static void test_data_without_a_request(void **state)
{
	uint16_t w[4] = {1, 2, 3, 4};

	(void)state;
	assert_int_equal(io_bus_read(&bus, BASE, 4), 0xffffffff);
	assert_int_equal(io_bus_read(&bus, BASE, 1), 0xff);
	words_in(w, 4);
	assert_int_equal(w[0] & w[3], 0xffff);
	words_out(w, 4);
	io_bus_write(&bus, BASE, 4, 0x12345678);
	/* Nor in the wrong direction. */
	address(8, 1);
	command(0x20);
	words_out(w, 4);
	io_bus_write(&bus, BASE, 2, 0x1234);
	words_in(data, WORDS);
	assert_memory_equal(data, sector(0, 8), DISK_SECTOR);
	pattern(10);
	command(0x30);
	address(8, 1);
	command(0x30);
	words_in(w, 4);
	assert_int_equal(w[0] & w[3], 0xffff);
	assert_int_equal(io_bus_read(&bus, BASE, 2), 0xffff);
	words_out(data, WORDS);
	assert_memory_equal(sector(0, 8), data, DISK_SECTOR);
}

static void test_a_command_in_mid_transfer_takes_over(void **state)
{
	(void)state;
	pattern(11);
	address(20, 2);
	command(0x30);
	words_out(data, 100);
	address(30, 1);
	command(0x20);
	assert_int_equal(in(7), READY_DRQ);
	words_in(data, WORDS);
	assert_memory_equal(data, sector(0, 30), DISK_SECTOR);
	assert_int_equal(in(7), READY);
	assert_int_equal(ram_disk[0].writes, 0);
	address(31, 5);
	command(0x20);
	words_in(data, WORDS + 7);
	expect_end(0xe7, 0);
	words_in(data, 1);
	assert_memory_equal(data, "\xff\xff", 2);
	command(0x20);
	words_in(data, 7);
	expect_end(0x00, ERROR_ABRT);
	assert_int_equal(io_bus_read(&bus, BASE, 2), 0xffff);
}

static void test_the_other_drive_in_mid_transfer(void **state)
{
	(void)state;
	pattern(12);
	address(500, 2);
	command(0x20);
	assert_int_equal(in(7), READY_DRQ);
	words_in(data, 100);
	select_drive(1);
	assert_int_equal(in(7), READY);
	assert_int_equal(io_bus_read(&bus, BASE, 2), 0xffff);
	address(600, 1);
	command(0x30);
	words_out(data + 4 * DISK_SECTOR, 200);
	select_drive(0);
	words_in(data + 200, 2 * WORDS - 100);
	assert_memory_equal(data, sector(0, 500), 2 * DISK_SECTOR);
	assert_int_equal(in(7), READY);
	select_drive(1);
	assert_int_equal(in(7), READY_DRQ);
	words_out(data + 4 * DISK_SECTOR + 400, WORDS - 200);
	assert_int_equal(in(7), READY);
	assert_memory_equal(sector(1, 600), data + 4 * DISK_SECTOR, DISK_SECTOR);
}

static void test_a_guest_that_never_reads_status(void **state)
{
	(void)state;
	address(1, 2);
	command(0x20);
	words_in(data, 2 * WORDS);
	assert_true(line);
	assert_int_equal(rises, 1);
	address(3, 1);
	command(0x20);
	assert_int_equal(rises, 2);
	words_in(data, WORDS);
	assert_memory_equal(data, sector(0, 3), DISK_SECTOR);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		t(test_read_one_sector),
		t(test_read_interrupts_for_each_sector),
		t(test_a_whole_command_within_one_rep),
		t(test_reads_of_each_size),
		t(test_write_one_sector),
		t(test_write_interrupts_after_each_sector),
		t(test_writes_of_each_size),
		t(test_write_of_128_sectors_within_one_rep),
		t(test_multiple_moves_blocks),
		t(test_the_largest_block),
		t(test_reads_beyond_the_end),
		t(test_writes_beyond_the_end),
		t(test_a_bad_sector_is_named),
		t(test_a_write_that_fails),
		t(test_a_readonly_disk),
		t(test_data_without_a_request),
		t(test_a_command_in_mid_transfer_takes_over),
		t(test_the_other_drive_in_mid_transfer),
		t(test_a_guest_that_never_reads_status),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
