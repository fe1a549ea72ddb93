/*
 * Registers, selection, resets and interrupts of an IDE channel.
 * needs: devices/ide.c devices/ide_cmd.c devices/ide_data.c devices/ide_identify.c core/io_bus.c
 * needs: mm/arena.c mm/frames.c mm/frames_region.c mm/hostmap.c
 * needs: tests/fake/panic.c tests/fake/spinlock.c
 */
#include "ide_rig.h"

static void expect_signature(void)
{
	assert_int_equal(in(1), 1);
	assert_int_equal(in(2), 1);
	assert_int_equal(in(3), 1);
	assert_int_equal(in(4), 0);
	assert_int_equal(in(5), 0);
	assert_int_equal(in(6), 0xa0);
}

static void test_power_on_shows_the_signature(void **state)
{
	(void)state;
	assert_int_equal(alternate(), READY);
	assert_int_equal(in(7), READY);
	expect_signature();
	control(0x80);
	assert_int_equal(in(2) | in(3) | in(4) | in(5), 0);
	assert_false(line);
	assert_int_equal(rises, 0);
}

static void test_regions_are_where_a_pc_has_them(void **state)
{
	static const struct ide_ops ops;
	static struct ide_channel c;

	(void)state;
	ide_init(&c, &ops, IDE_SECONDARY_COMMAND, IDE_SECONDARY_CONTROL);
	assert_int_equal(ide_region(&c, 0).base, 0x170);
	assert_int_equal(ide_region(&c, 0).len, 8);
	assert_int_equal(ide_region(&c, 1).base, 0x376);
	assert_int_equal(ide_region(&c, 1).len, 1);
	assert_ptr_equal(ide_region(&c, 1).dev, &c.dev);
	assert_int_equal(ide_region(ide, 0).base, 0x1f0);
	assert_int_equal(ide_region(ide, 1).base, 0x3f6);
	/* The floppy controller's, which nobody has. */
	assert_int_equal(io_bus_read(&bus, 0x3f7, 1), 0xff);
	assert_int_equal(io_bus_read(&bus, 0x1f8, 1), 0xff);
}

static void test_both_drives_hear_every_write(void **state)
{
	(void)state;
	out(2, 0x55);
	out(3, 0xaa);
	out(4, 0x12);
	out(5, 0x34);
	out(6, 0x5b);
	assert_int_equal(in(2), 0x55);
	assert_int_equal(in(3), 0xaa);
	assert_int_equal(in(4), 0x12);
	assert_int_equal(in(5), 0x34);
	assert_int_equal(in(6), 0xfb);
	out(6, 0x0c);
	assert_int_equal(in(2), 0x55);
	assert_int_equal(in(3), 0xaa);
	assert_int_equal(in(4), 0x12);
	assert_int_equal(in(5), 0x34);
	assert_int_equal(in(6), 0xac);
}

static void test_features_cannot_be_read(void **state)
{
	(void)state;
	out(1, 0x77);
	assert_int_equal(in(1), 1);
}

static void test_each_drive_has_its_own_result(void **state)
{
	(void)state;
	address(SECTORS, 1);
	expect_end(0x40, ERROR_IDNF);
	select_drive(1);
	assert_int_equal(in(7), READY);
	assert_int_equal(in(1), 1);
	select_drive(0);
	assert_int_equal(in(7), READY_ERR);
	assert_int_equal(in(1), ERROR_IDNF);
	expect_end(0xe7, 0);
}

static void test_registers_hold_two_bytes(void **state)
{
	(void)state;
	for (unsigned reg = 2; reg < 6; reg++) {
		out(reg, 0x10 + reg);
		out(reg, 0x20 + reg);
		out(reg, 0x30 + reg);
	}
	for (unsigned reg = 2; reg < 6; reg++) {
		control(0x80);
		assert_int_equal(in(reg), 0x20 + reg);
		control(0x00);
		assert_int_equal(in(reg), 0x30 + reg);
	}
	/* A write of any register turns to the newer byte. */
	for (unsigned reg = 1; reg < 8; reg++) {
		out(2, 0x41);
		out(2, 0x42);
		control(0x80);
		assert_int_equal(in(2), 0x41);
		out(reg, reg == 2 ? 0x42 : 0);
		assert_int_equal(in(2), 0x42);
	}
}

static void test_an_absent_slave_is_answered_for(void **state)
{
	(void)state;
	build(1);
	select_drive(1);
	assert_int_equal(in(7), 0);
	assert_int_equal(alternate(), 0);
	out(2, 0x55);
	out(3, 0xaa);
	assert_int_equal(in(2), 0x55);
	assert_int_equal(in(3), 0xaa);
	assert_int_equal(in(6), 0xf0);
	assert_int_equal(in(1), 1);
	assert_int_equal(io_bus_read(&bus, BASE, 2), 0xffff);
	command(0xec);
	command(0x20);
	assert_int_equal(in(7), 0);
	assert_false(line);
	select_drive(0);
	assert_int_equal(in(7), READY);
	assert_int_equal(ram_disk[0].reads, 0);
	/* This one is for both. */
	select_drive(1);
	command(0x90);
	assert_true(line);
	assert_int_equal(in(7), READY);
	expect_signature();
}

static void test_an_absent_master_is_not(void **state)
{
	(void)state;
	build(2);
	for (unsigned reg = 1; reg < 8; reg++) {
		out(reg, 0xe0 & ~0x10);
		assert_int_equal(in(reg), 0);
	}
	assert_int_equal(alternate(), 0);
	assert_false(line);
	select_drive(1);
	assert_int_equal(in(7), READY);
	expect_end(0xe7, 0);
	/* Nobody is there to interrupt when drive 0 is selected after it. */
	command(0x90);
	assert_false(line);
	assert_int_equal(in(7), 0);
	select_drive(1);
	assert_false(line);
	assert_int_equal(in(7), READY);
}

static void test_a_channel_without_drives(void **state)
{
	uint16_t words[4] = {0};

	(void)state;
	build(0);
	for (unsigned drive = 0; drive < 2; drive++) {
		for (unsigned reg = 1; reg < 8; reg++) {
			out(6, drive << 4);
			out(reg, 0xec);
			assert_int_equal(in(reg), 0);
		}
		select_drive(drive);
		command(0x90);
		control(0x04);
		assert_int_equal(alternate(), 0);
		control(0x00);
		assert_int_equal(in(7), 0);
		words_in(words, 4);
		assert_int_equal(words[3], 0xffff);
		words_out(words, 4);
	}
	assert_int_equal(rises, 0);
}

static void test_a_status_read_ends_the_interrupt(void **state)
{
	(void)state;
	command(0xe7);
	assert_true(line);
	assert_int_equal(alternate(), READY);
	assert_int_equal(in(1), 0);
	assert_int_equal(in(6), 0xa0);
	assert_true(line);
	assert_int_equal(in(7), READY);
	assert_false(line);
	assert_int_equal(in(7), READY);
	assert_int_equal(rises, 1);
	assert_int_equal(falls, 1);
}

static void test_each_command_is_an_edge_of_its_own(void **state)
{
	(void)state;
	command(0xe7);
	command(0xe7);
	assert_true(line);
	assert_int_equal(rises, 2);
	assert_int_equal(falls, 1);
}

static void test_nien_only_masks(void **state)
{
	(void)state;
	control(0x02);
	command(0xe7);
	assert_false(line);
	control(0x00);
	assert_true(line);
	control(0x02);
	assert_false(line);
	assert_int_equal(in(7), READY);
	control(0x00);
	assert_false(line);
}

static void test_the_line_is_the_selected_drives(void **state)
{
	(void)state;
	command(0xe7);
	assert_true(line);
	select_drive(1);
	assert_false(line);
	assert_int_equal(in(7), READY);
	select_drive(0);
	assert_true(line);
	select_drive(1);
	command(0xe7);
	assert_true(line);
	assert_int_equal(in(7), READY);
	assert_false(line);
	select_drive(0);
	assert_true(line);
	assert_int_equal(in(7), READY);
	assert_false(line);
}

static void test_software_reset(void **state)
{
	uint16_t word;

	(void)state;
	select_drive(1);
	address_ext(0xffffff000005, 0xff02);
	address(5, 2);
	command(0x20);
	assert_true(line);
	control(0x04);
	assert_false(line);
	assert_int_equal(alternate(), 0x80);
	assert_int_equal(in(7), 0x80);
	/* Nobody listens now. */
	command(0x20);
	out(3, 0x99);
	out(6, 0x10);
	assert_int_equal(in(7), 0x80);
	assert_int_equal(in(3), 1);
	control(0x04);
	assert_int_equal(in(7), 0x80);
	control(0x00);
	assert_int_equal(in(7), READY);
	expect_signature();
	control(0x80);
	assert_int_equal(in(2) | in(3) | in(4) | in(5), 0);
	control(0x00);
	words_in(&word, 1);
	assert_int_equal(word, 0xffff);
	out(6, 0x10);
	assert_int_equal(in(7), READY);
	assert_int_equal(in(2), 1);
	assert_int_equal(in(3), 1);
	words_in(&word, 1);
	assert_int_equal(word, 0xffff);
	assert_int_equal(ram_disk[1].reads, 1);
	assert_false(line);
}

static void test_a_reset_keeps_nien(void **state)
{
	(void)state;
	control(0x06);
	control(0x02);
	command(0xe7);
	assert_false(line);
	control(0x00);
	assert_true(line);
}

static void test_diagnostic_is_for_both(void **state)
{
	(void)state;
	address(7, 9);
	select_drive(1);
	command(0x20);
	select_drive(0);
	command(0x20);
	select_drive(1);
	command(0x90);
	assert_true(line);
	assert_int_equal(in(6), 0xa0);
	expect_signature();
	assert_int_equal(in(7), READY);
	assert_false(line);
	select_drive(1);
	assert_int_equal(in(7), READY);
	assert_int_equal(in(1), 1);
	assert_int_equal(in(2), 1);
	assert_false(line);
}

static void test_device_reset_function(void **state)
{
	(void)state;
	select_drive(1);
	control(0x00);
	address(3, 1);
	command(0x20);
	assert_true(line);
	spin_lock(&ide->dev.lock);
	ide->dev.reset(&ide->dev);
	spin_unlock(&ide->dev.lock);
	assert_false(line);
	assert_int_equal(in(7), READY);
	expect_signature();
	control(0x06);
	spin_lock(&ide->dev.lock);
	ide->dev.reset(&ide->dev);
	spin_unlock(&ide->dev.lock);
	assert_int_equal(in(7), READY);
	command(0xe7);
	assert_true(line);
	/* Nothing of the last guest's sectors is left. */
	for (unsigned i = 0; i < IDE_BUFFER_SIZE; i++)
		assert_int_equal(ide->drive[1].buffer[i], 0);
}

static void test_wide_accesses_are_many_small_ones(void **state)
{
	uint16_t words[2] = {0x2211, 0x4433};

	(void)state;
	io_bus_write(&bus, BASE + 2, 4, 0x44332211);
	assert_int_equal(in(2), 0x11);
	assert_int_equal(in(3), 0x22);
	assert_int_equal(in(4), 0x33);
	assert_int_equal(in(5), 0x44);
	assert_int_equal(io_bus_read(&bus, BASE + 2, 4), 0x44332211);
	assert_int_equal(io_bus_read(&bus, BASE + 6, 2), READY << 8 | 0xa0);
	io_bus_write(&bus, BASE + 6, 2, 0xe7e0);
	assert_true(line);
	assert_int_equal(io_bus_read(&bus, BASE + 4, 4), (uint32_t)READY << 24 | 0xe04433);
	assert_false(line);
	io_bus_write_many(&bus, BASE + 4, 2, words, 2);
	assert_int_equal(in(4), 0x33);
	assert_int_equal(in(5), 0x44);
	io_bus_read_many(&bus, BASE + 2, 2, words, 2);
	assert_int_equal(words[1], 0x2211);
	/* Beyond the channel's last port it is nobody's. */
	assert_int_equal(io_bus_read(&bus, BASE + 5, 4), 0xffffffff);
	assert_int_equal(io_bus_read(&bus, CONTROL, 2), 0xffff);
}

static void test_a_guest_that_listens_to_nothing(void **state)
{
	static const struct ide_ops none;

	(void)state;
	ide_init(ide, &none, IDE_PRIMARY_COMMAND, IDE_PRIMARY_CONTROL);
	attach(0);
	command(0xe7);
	assert_int_equal(in(7), READY);
}

static void test_a_disk_without_sectors_is_absent(void **state)
{
	static const struct disk empty;

	(void)state;
	ide_attach(ide, 0, &empty, NULL, "EMPTY", NULL);
	assert_int_equal(in(7), 0);
	command(0x91);
	assert_false(line);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		t(test_power_on_shows_the_signature),
		t(test_regions_are_where_a_pc_has_them),
		t(test_both_drives_hear_every_write),
		t(test_features_cannot_be_read),
		t(test_each_drive_has_its_own_result),
		t(test_registers_hold_two_bytes),
		t(test_an_absent_slave_is_answered_for),
		t(test_an_absent_master_is_not),
		t(test_a_channel_without_drives),
		t(test_a_status_read_ends_the_interrupt),
		t(test_each_command_is_an_edge_of_its_own),
		t(test_nien_only_masks),
		t(test_the_line_is_the_selected_drives),
		t(test_software_reset),
		t(test_a_reset_keeps_nien),
		t(test_diagnostic_is_for_both),
		t(test_device_reset_function),
		t(test_wide_accesses_are_many_small_ones),
		t(test_a_guest_that_listens_to_nothing),
		t(test_a_disk_without_sectors_is_absent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
