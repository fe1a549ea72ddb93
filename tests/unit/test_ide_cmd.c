/*
 * Commands of an IDE disk that move no sectors.
 * needs: devices/ide.c devices/ide_cmd.c devices/ide_data.c devices/ide_identify.c core/io_bus.c
 * needs: mm/arena.c mm/frames.c mm/frames_region.c mm/hostmap.c
 * needs: tests/fake/panic.c tests/fake/spinlock.c
 */
#include "ide_rig.h"

static void identify(uint16_t *words)
{
	command(0xec);
	assert_true(line);
	assert_int_equal(in(7), READY_DRQ);
	assert_false(line);
	words_in(words, 255);
	assert_int_equal(alternate(), READY_DRQ);
	words_in(words + 255, 1);
	assert_int_equal(in(7), READY);
	assert_int_equal(in(1), 0);
	assert_false(line);
}

/* The text of IDENTIFY, its pairs swapped. */
static void expect_text(const uint16_t *words, unsigned first, const char *text)
{
	for (unsigned i = 0; text[i]; i++)
		assert_int_equal(words[first + i / 2] >> (i & 1 ? 0 : 8) & 0xff, text[i]);
}

static void test_identify(void **state)
{
	uint16_t w[256];
	uint8_t sum = 0;

	(void)state;
	identify(w);
	assert_int_equal(w[0], 0x0040);
	assert_int_equal(w[1], CYLINDERS);
	assert_int_equal(w[3], 16);
	assert_int_equal(w[6], 63);
	expect_text(w, 10, "MASTER-0123456789-AB");
	expect_text(w, 23, "1.0     ");
	expect_text(w, 27, "CRVM DISK                               ");
	assert_int_equal(w[20] | w[21] | w[22], 0);
	assert_int_equal(w[47], 0x8000 | IDE_BLOCK_MAX);
	assert_int_equal(w[49], 0x0a00);
	assert_int_equal(w[50], 0x4000);
	assert_int_equal(w[51], 0x0200);
	assert_int_equal(w[53], 0x0003);
	assert_int_equal(w[54], CYLINDERS);
	assert_int_equal(w[55], 16);
	assert_int_equal(w[56], 63);
	assert_int_equal(w[57] | w[58] << 16, CYLINDERS * 16 * 63);
	assert_int_equal(w[59], 0x100 | IDE_BLOCK_MAX);
	assert_int_equal(w[60] | w[61] << 16, SECTORS);
	assert_int_equal(w[62] | w[63] | w[65] | w[66] | w[88], 0); /* no DMA of any kind */
	assert_int_equal(w[64], 0x0003);
	assert_int_equal(w[67], 120);
	assert_int_equal(w[68], 120);
	assert_int_equal(w[80], 0x0070);
	assert_int_equal(w[82], 0x4068);
	assert_int_equal(w[83], 0x7400);
	assert_int_equal(w[84], 0x4000);
	assert_int_equal(w[85], 0x4068);
	assert_int_equal(w[86], 0x3400);
	assert_int_equal(w[87], 0x4000);
	assert_int_equal(w[93], 0x400b);
	assert_int_equal(w[100] | w[101] << 16, SECTORS);
	assert_int_equal(w[102] | w[103], 0);
	assert_int_equal(w[255] & 0xff, 0xa5);
	for (unsigned i = 0; i < 256; i++)
		sum = (uint8_t)(sum + w[i] + (w[i] >> 8));
	assert_int_equal(sum, 0);
}

static void test_identify_leaves_the_address_alone(void **state)
{
	uint16_t w[256];

	(void)state;
	address(77, 1);
	command(0x20);
	words_in(w, 256);
	address(0x123456, 9);
	identify(w);
	assert_int_equal(address_now(), 0x123456);
	assert_int_equal(in(2), 9);
}

static void test_identify_of_the_other_drive(void **state)
{
	uint16_t w[256];

	(void)state;
	select_drive(1);
	identify(w);
	expect_text(w, 10, "SLAVE               ");
	assert_int_equal(w[93], 0x4b00);
	build(1);
	identify(w);
	assert_int_equal(w[93], 0x404b);
	ide_attach(ide, 0, &ram_disk[0].disk, ram_disk[0].buffer, "",
		   "A model of more than forty characters, which is cut");
	identify(w);
	expect_text(w, 10, "                    ");
	expect_text(w, 27, "A model of more than forty characters, w");
	assert_int_equal(w[47], 0x8000 | IDE_BLOCK_MAX);
}

static void test_identify_of_large_and_small_disks(void **state)
{
	static const struct {
		uint64_t sectors;
		uint32_t cylinders, heads, track, lba28;
	} disk[] = {
		{1, 1, 1, 1, 1},
		{62, 1, 1, 62, 62},
		{63, 1, 1, 63, 63},
		{126, 2, 1, 63, 126},
		{1007, 15, 1, 63, 1007},
		{1008, 1, 16, 63, 1008},
		{2015, 1, 16, 63, 2015},
		{16383 * 1008 - 1, 16382, 16, 63, 16383 * 1008 - 1},
		{16383 * 1008, 16383, 16, 63, 16383 * 1008},
		{16384 * 1008, 16383, 16, 63, 16384 * 1008},
		{0x0ffffffe, 16383, 16, 63, 0x0ffffffe},
		{0x10000000, 16383, 16, 63, 0x0fffffff},
		{0x123456789abc, 16383, 16, 63, 0x0fffffff},
	};
	uint16_t w[256];

	(void)state;
	for (unsigned i = 0; i < array_count(disk); i++) {
		const struct disk d = {.sectors = disk[i].sectors};

		ide_attach(ide, 0, &d, ram_disk[0].buffer, "", NULL);
		identify(w);
		assert_int_equal(w[1], disk[i].cylinders);
		assert_int_equal(w[3], disk[i].heads);
		assert_int_equal(w[6], disk[i].track);
		assert_int_equal(w[57] | w[58] << 16,
				 disk[i].cylinders * disk[i].heads * disk[i].track);
		assert_int_equal(w[60] | w[61] << 16, disk[i].lba28);
		assert_int_equal((uint64_t)w[100] | (uint64_t)w[101] << 16 |
					 (uint64_t)w[102] << 32 | (uint64_t)w[103] << 48,
				 disk[i].sectors);
	}
}

static void test_identify_packet_says_that_this_is_a_disk(void **state)
{
	(void)state;
	address(0x123456, 7);
	command(0xa1);
	assert_true(line);
	assert_int_equal(in(7), READY_ERR);
	assert_int_equal(in(1), ERROR_ABRT);
	assert_int_equal(in(2), 1);
	assert_int_equal(in(3), 1);
	assert_int_equal(in(4), 0);
	assert_int_equal(in(5), 0);
}

/* Every code: what is not a disk's command is aborted, and interrupts once. */
static void test_unknown_commands_are_aborted(void **state)
{
	static const uint8_t known[] = {
		0x20, 0x21, 0x24, 0x27, 0x29, 0x30, 0x31, 0x34, 0x39, 0x40, 0x41, 0x42, 0x70, 0x90,
		0x91, 0xc4, 0xc5, 0xc6, 0xe0, 0xe1, 0xe2, 0xe3, 0xe5, 0xe7, 0xea, 0xec, 0xef, 0xf8,
	};

	(void)state;
	out(2, 0);
	expect_end(0xc6, 0);
	for (unsigned code = 0; code < 0x100; code++) {
		bool is_known = memchr(known, (int)code, sizeof(known)) || code >> 4 == 1;
		bool multiple = code == 0xc4 || code == 0xc5 || code == 0x29 || code == 0x39;

		address_ext(5, 1);
		out(1, 0xaa);
		if (!is_known || multiple) {
			expect_end(code, ERROR_ABRT);
		} else {
			command(code);
			if (in(7) & 1)
				fail_msg("command %02x", code);
		}
	}
}

static void test_a_good_command_clears_the_error(void **state)
{
	(void)state;
	expect_end(0x00, ERROR_ABRT);
	expect_end(0x00, ERROR_ABRT);
	expect_end(0x10, 0);
	expect_end(0x1f, 0);
	expect_end(0xe7, 0);
	expect_end(0xea, 0);
}

static void set_features(unsigned what, unsigned count, unsigned error)
{
	out(1, what);
	out(2, count);
	expect_end(0xef, error);
}

static void test_set_features(void **state)
{
	(void)state;
	set_features(0x01, 0, ERROR_ABRT); /* transfers of 8 bits */
	set_features(0x81, 0, 0);
	for (unsigned mode = 0; mode < 0x100; mode++)
		set_features(0x03, mode, mode <= 1 || (mode >= 8 && mode <= 12) ? 0 : ERROR_ABRT);
	set_features(0x05, 0x80, ERROR_ABRT);
	set_features(0x00, 0, ERROR_ABRT);
	set_features(0xff, 0, ERROR_ABRT);
}

static void test_caches_are_reported(void **state)
{
	uint16_t w[256];

	(void)state;
	set_features(0x82, 0, 0);
	identify(w);
	assert_int_equal(w[85], 0x4048);
	assert_int_equal(w[82], 0x4068);
	set_features(0x55, 0, 0);
	identify(w);
	assert_int_equal(w[85], 0x4008);
	set_features(0x02, 0, 0);
	set_features(0xaa, 0, 0);
	identify(w);
	assert_int_equal(w[85], 0x4068);
}

static void set_multiple(unsigned count, unsigned error)
{
	out(2, count);
	expect_end(0xc6, error);
}

static void test_set_multiple(void **state)
{
	uint16_t w[256];

	(void)state;
	for (unsigned count = 1; count < 0x100; count++) {
		bool good = count == 1 || count == 2 || count == 4 || count == 8;

		set_multiple(4, 0);
		set_multiple(count, good ? 0 : ERROR_ABRT);
		identify(w);
		assert_int_equal(w[59], good ? 0x100 | count : 0);
	}
	set_multiple(8, 0);
	set_multiple(0, 0);
	identify(w);
	assert_int_equal(w[59], 0);
}

static void soft_reset(void)
{
	control(0x04);
	control(0x00);
}

static void test_settings_over_a_software_reset(void **state)
{
	uint16_t w[256];

	(void)state;
	for (unsigned keep = 0; keep < 2; keep++) {
		set_features(keep ? 0x66 : 0xcc, 0, 0);
		set_features(0x82, 0, 0);
		set_multiple(4, 0);
		out(2, 17);
		out(6, 3);
		expect_end(0x91, 0);
		soft_reset();
		identify(w);
		assert_int_equal(w[59], keep ? 0x104 : 0x100 | IDE_BLOCK_MAX);
		assert_int_equal(w[85], keep ? 0x4048 : 0x4068);
		assert_int_equal(w[55], keep ? 4 : 16);
		assert_int_equal(w[56], keep ? 17 : 63);
	}
	/* It is the reset's setting too, but not that of the power. */
	soft_reset();
	identify(w);
	assert_int_equal(w[59], 0x104);
	ide->dev.reset(&ide->dev);
	identify(w);
	assert_int_equal(w[59], 0x100 | IDE_BLOCK_MAX);
	set_multiple(4, 0);
	soft_reset();
	identify(w);
	assert_int_equal(w[59], 0x100 | IDE_BLOCK_MAX);
}

static void test_initialize_device_parameters(void **state)
{
	uint16_t w[256];

	(void)state;
	out(2, 17);
	out(6, 0xa0 | 4);
	expect_end(0x91, 0);
	identify(w);
	assert_int_equal(w[1], CYLINDERS);
	assert_int_equal(w[3], 16);
	assert_int_equal(w[6], 63);
	assert_int_equal(w[54], SECTORS / (5 * 17));
	assert_int_equal(w[55], 5);
	assert_int_equal(w[56], 17);
	assert_int_equal(w[57] | w[58] << 16, SECTORS / (5 * 17) * 5 * 17);
	out(2, 0);
	expect_end(0x91, ERROR_ABRT);
	out(6, 0xaf);
	out(2, 255);
	expect_end(0x91, 0);
	identify(w);
	assert_int_equal(w[54], SECTORS / (16 * 255));
	/* Tracks longer than the disk, and more of them than can be counted. */
	ram_disk[0].disk.sectors = 16 * 255 - 1;
	expect_end(0x91, ERROR_ABRT);
	ram_disk[0].disk.sectors = 0x123456789;
	out(6, 0xa0);
	out(2, 1);
	expect_end(0x91, 0);
	identify(w);
	assert_int_equal(w[54], 0xffff);
	assert_int_equal(w[57] | w[58] << 16, 0xffff);
}

static void test_power_modes(void **state)
{
	static const struct {
		uint8_t code;
		bool standby;
	} step[] = {{0xe0, true}, {0xe1, false}, {0xe2, true}, {0xe3, false}, {0xe0, true}};

	(void)state;
	expect_end(0xe5, 0);
	assert_int_equal(in(2), 0xff);
	for (unsigned i = 0; i < array_count(step); i++) {
		expect_end(step[i].code, 0);
		out(2, 0x12);
		expect_end(0xe5, 0);
		assert_int_equal(in(2), step[i].standby ? 0 : 0xff);
	}
	/* Looking for a sector wakes it. */
	address(0, 1);
	expect_end(0x40, 0);
	expect_end(0xe5, 0);
	assert_int_equal(in(2), 0xff);
	expect_end(0xe0, 0);
	address(0, 1);
	command(0x20);
	expect_end(0xe5, 0);
	assert_int_equal(in(2), 0xff);
	expect_end(0xe0, 0);
	ide->dev.reset(&ide->dev);
	expect_end(0xe5, 0);
	assert_int_equal(in(2), 0xff);
	expect_end(0xe0, 0);
	soft_reset();
	expect_end(0xe5, 0);
	assert_int_equal(in(2), 0xff);
}

static void test_read_native_max(void **state)
{
	(void)state;
	address(0xfffffff, 0x5a);
	expect_end(0xf8, 0);
	assert_int_equal(address_now(), SECTORS - 1);
	assert_int_equal(in(6), 0xe0);
	assert_int_equal(in(2), 0x5a);
	address_ext(0xffffffffffff, 0x1234);
	expect_end(0x27, 0);
	assert_int_equal(address_ext_now(), SECTORS - 1);
	out(6, 0xa0);
	expect_end(0x27, ERROR_ABRT);
	expect_end(0xf8, 0);
	assert_int_equal(in(3), 63);
	assert_int_equal(in(4) | in(5) << 8, CYLINDERS - 1);
	assert_int_equal(in(6), 0xaf);
	ram_disk[0].disk.sectors = 0x123456789abc;
	address(0, 0);
	expect_end(0xf8, 0);
	assert_int_equal(address_now(), 0xfffffff);
	address_ext(0, 0);
	expect_end(0x27, 0);
	assert_int_equal(address_ext_now(), 0x123456789abb);
}

static void test_verify(void **state)
{
	(void)state;
	address(SECTORS - 3, 3);
	expect_end(0x40, 0);
	assert_int_equal(address_now(), SECTORS - 1);
	assert_int_equal(in(2), 0);
	address(SECTORS - 3, 7);
	expect_end(0x41, ERROR_IDNF);
	assert_int_equal(address_now(), SECTORS);
	assert_int_equal(in(2), 4);
	address(SECTORS, 1);
	expect_end(0x41, ERROR_IDNF);
	address(SECTORS - 256, 0);
	expect_end(0x40, 0);
	address(SECTORS - 255, 0);
	expect_end(0x40, ERROR_IDNF);
	ram_disk[0].disk.sectors = 1ull << 40;
	address_ext((1ull << 40) - 0x10000, 0);
	expect_end(0x42, 0);
	assert_int_equal(address_ext_now(), (1ull << 40) - 1);
	address_ext((1ull << 40) - 0xffff, 0);
	expect_end(0x42, ERROR_IDNF);
	assert_int_equal(address_ext_now(), 1ull << 40);
	assert_int_equal(in(2), 1);
	address_ext((1ull << 40) - 0x7dcc, 0);
	expect_end(0x42, ERROR_IDNF);
	assert_int_equal(in(2), 0x34);
	control(0x80);
	assert_int_equal(in(2), 0x82);
	out(6, 0xa0);
	expect_end(0x42, ERROR_ABRT);
	assert_int_equal(ram_disk[0].reads, 0);
}

static void test_seek(void **state)
{
	(void)state;
	address(SECTORS - 1, 0);
	expect_end(0x70, 0);
	address(SECTORS, 0);
	expect_end(0x70, ERROR_IDNF);
	address(0xfffffff, 0);
	expect_end(0x70, ERROR_IDNF);
}

static void test_chs_addresses_are_checked(void **state)
{
	static const struct {
		uint16_t cylinder;
		uint8_t head, sector;
		bool good;
	} place[] = {
		{0, 0, 1, true},	  {0, 0, 0, false},	{0, 0, 63, true},
		{0, 0, 64, false},	  {0, 15, 63, true},	{CYLINDERS - 1, 15, 63, true},
		{CYLINDERS, 0, 1, false}, {0x100, 0, 1, false}, {0xffff, 15, 255, false},
	};

	(void)state;
	for (unsigned i = 0; i < array_count(place); i++) {
		out(3, place[i].sector);
		out(4, place[i].cylinder & 0xff);
		out(5, place[i].cylinder >> 8);
		out(6, 0xa0u | place[i].head);
		expect_end(0x70, place[i].good ? 0 : ERROR_IDNF);
	}
	out(2, 63);
	out(6, 0xa7);
	expect_end(0x91, 0);
	out(3, 1);
	out(4, 0);
	out(5, 0);
	expect_end(0x70, 0);
	out(6, 0xa8);
	expect_end(0x70, ERROR_IDNF);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		t(test_identify),
		t(test_identify_leaves_the_address_alone),
		t(test_identify_of_the_other_drive),
		t(test_identify_of_large_and_small_disks),
		t(test_identify_packet_says_that_this_is_a_disk),
		t(test_unknown_commands_are_aborted),
		t(test_a_good_command_clears_the_error),
		t(test_set_features),
		t(test_caches_are_reported),
		t(test_set_multiple),
		t(test_settings_over_a_software_reset),
		t(test_initialize_device_parameters),
		t(test_power_modes),
		t(test_read_native_max),
		t(test_verify),
		t(test_seek),
		t(test_chs_addresses_are_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
