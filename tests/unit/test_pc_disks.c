/*
 * core/pc_disks.c and what core/pc.c makes of a bad configuration: disks from the guest's side, and
 * the memory that they take.
 * needs: core/pc.c core/pc_disks.c core/disk_image.c core/disk_overlay.c core/io_bus.c
 * needs: core/vm_console.c devices/debug.c devices/ide.c devices/ide_cmd.c devices/ide_data.c
 * needs: devices/ide_identify.c devices/kbc.c devices/keyboard.c devices/pic8259.c
 * needs: devices/pit8254.c devices/pit_counter.c devices/port92.c devices/printer.c devices/rtc.c
 * needs: devices/serial.c devices/testdev.c devices/vga.c lib/date.c lib/printf.c lib/ring.c
 * needs: lib/text.c tests/fake/pc_machine.c tests/fake/panic.c tests/fake/spinlock.c
 */
#include "pc_rig.h"

#include "../fake/panic.h"

enum { IDE_DATA, IDE_ERROR, IDE_COUNT, IDE_LBA0, IDE_LBA1, IDE_LBA2, IDE_DEVICE, IDE_STATUS };
enum { IDE_ERR = 1, IDE_DRQ = 8, IDE_ABRT = 4, IDE_READ = 0x20, IDE_WRITE = 0x30 };

/* --- Disks -------------------------------------------------------------------------------- */

static uint8_t ide_command(uint16_t base, unsigned drive, uint32_t lba, uint8_t code)
{
	pc_out(base + IDE_DEVICE, 1, 0xe0 | drive << 4 | lba >> 24);
	pc_out(base + IDE_COUNT, 1, 1);
	pc_out(base + IDE_LBA0, 1, lba & 0xff);
	pc_out(base + IDE_LBA1, 1, lba >> 8 & 0xff);
	pc_out(base + IDE_LBA2, 1, lba >> 16 & 0xff);
	pc_out(base + IDE_STATUS, 1, code);
	return (uint8_t)pc_in((uint16_t)(base + 0x206), 1);
}

/* A sector full of one word; returns the status. */
static uint8_t ide_write(uint16_t base, unsigned drive, uint32_t lba, uint16_t word)
{
	assert_true(ide_command(base, drive, lba, IDE_WRITE) & IDE_DRQ);
	for (unsigned i = 0; i < 256; i++)
		pc_out(base, 2, word);
	return (uint8_t)pc_in((uint16_t)(base + 0x206), 1);
}

static void expect_sector(uint16_t base, unsigned drive, uint32_t lba, uint16_t word)
{
	assert_true(ide_command(base, drive, lba, IDE_READ) & IDE_DRQ);
	for (unsigned i = 0; i < 256; i++)
		assert_int_equal(pc_in(base, 2), word);
}

static void test_a_sector_written_is_read_back(void **state)
{
	(void)state;
	blank_disk(0, 1 << 20);
	build();
	pic_start();
	expect_sector(0x1f0, 0, 7, 0);
	expect_irq(14);
	assert_int_equal(ide_write(0x1f0, 0, 7, 0xbeef) & IDE_ERR, 0);
	expect_irq(14);
	expect_sector(0x1f0, 0, 7, 0xbeef);
	expect_sector(0x1f0, 0, 6, 0);
	expect_sector(0x1f0, 0, 8, 0);
	/* What was written outlives a reset of the machine. */
	pc_reset(pc_machine.vm.pc);
	expect_sector(0x1f0, 0, 7, 0xbeef);
}

static void test_each_disk_is_where_it_belongs(void **state)
{
	static const uint16_t base[] = {0x1f0, 0x1f0, 0x170, 0x170};

	(void)state;
	for (unsigned i = 0; i < PC_DISK_COUNT; i++)
		blank_disk(i, 1 << 20);
	build();
	pic_start();
	for (unsigned i = 0; i < PC_DISK_COUNT; i++) {
		ide_write(base[i], i % 2, 1, (uint16_t)(0x1000 + i));
		(void)pc_in(base[i] + IDE_STATUS, 1); /* ends the interrupt */
	}
	for (unsigned i = 0; i < PC_DISK_COUNT; i++)
		expect_sector(base[i], i % 2, 1, (uint16_t)(0x1000 + i));
	(void)pc_in(0x1f7, 1);
	(void)pc_in(0x177, 1);
	ide_write(0x170, 0, 2, 1);
	expect_irq(15);
}

/* The VM may fill memory up to what stays for all others; then its writes fail, and it lives on. */
static void test_writes_fail_when_memory_is_short(void **state)
{
	const uint64_t left = 8ul << 20 >> 12;
	uint32_t lba = 0;
	uint8_t status;

	(void)state;
	blank_disk(0, 64 << 20);
	build();
	pc_machine.frames = left + 10;
	do {
		status = ide_write(0x1f0, 0, lba, 1);
		lba += 8;
	} while (!(status & IDE_ERR) && lba < 8192);
	assert_true(status & IDE_ERR);
	assert_int_equal(pc_in(0x1f1, 1), IDE_ABRT);
	assert_in_range(pc_machine.frames, left - 4, left - 1);
	/* All that was taken has been used. */
	assert_int_equal(pc_disks_pages(pc_machine.vm.pc), left + 10 - pc_machine.frames);
	/* What is there can be written again, and all can be read. */
	assert_int_equal(ide_write(0x1f0, 0, 0, 2) & IDE_ERR, 0);
	expect_sector(0x1f0, 0, 0, 2);
	expect_sector(0x1f0, 0, 8, 1);
	expect_sector(0x1f0, 0, lba, 0);
	pc_machine.frames = left + 10;
	assert_int_equal(ide_write(0x1f0, 0, lba, 3) & IDE_ERR, 0);
}

static void test_a_vm_may_be_limited_in_what_it_writes(void **state)
{
	uint64_t frames;
	uint32_t lba = 0;

	(void)state;
	blank_disk(0, 64 << 20);
	blank_disk(1, 64 << 20);
	pc_machine.vm.config.writes = 64 << 10;
	build();
	frames = pc_machine.frames;
	/* 16 pages: two tables, and 14 of data. */
	for (; lba < 14 * 8; lba += 8)
		assert_int_equal(ide_write(0x1f0, 0, lba, 1) & IDE_ERR, 0);
	assert_int_equal(ide_write(0x1f0, 0, lba, 1) & IDE_ERR, IDE_ERR);
	assert_int_equal(pc_in(0x1f1, 1), IDE_ABRT);
	assert_non_null(strstr(fake_log_line, "writes = 64 KiB"));
	assert_int_equal(ide_write(0x1f0, 1, 0, 1) & IDE_ERR, IDE_ERR);
	assert_int_equal(frames - pc_machine.frames, 16);
	/* Pages that are there can be written, and all can be read. */
	assert_int_equal(ide_write(0x1f0, 0, 8, 2) & IDE_ERR, 0);
	expect_sector(0x1f0, 0, 8, 2);
	expect_sector(0x1f0, 0, lba, 0);
}

/* --- Bad configurations ------------------------------------------------------------------- */

static void test_a_module_that_is_not_there_is_no_blank_disk(void **state)
{
	(void)state;
	pc_machine.vm.config.disk[1] =
		(struct vm_config_disk){.kind = VM_DISK_MODULE, .size = 1 << 20};
	assert_int_equal(pc_machine_build(), E_NOENT);
}

static void test_a_disk_that_cannot_be_opened_is_an_error(void **state)
{
	static const uint8_t image[1000];

	(void)state;
	pc_machine.module = (struct vm_image){image, sizeof(image)};
	pc_machine.vm.config.disk[2].kind = VM_DISK_MODULE;
	pc_machine.vm.config.disk[2].size = 512; /* smaller than the image */
	assert_int_equal(pc_machine_build(), E_INVAL);
}

static void test_no_memory_is_an_error(void **state)
{
	(void)state;
	pc_machine.no_memory = true;
	assert_int_equal(pc_machine_build(), E_NOMEM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_a_sector_written_is_read_back),
		T(test_each_disk_is_where_it_belongs),
		T(test_writes_fail_when_memory_is_short),
		T(test_a_vm_may_be_limited_in_what_it_writes),
		T(test_a_module_that_is_not_there_is_no_blank_disk),
		T(test_a_disk_that_cannot_be_opened_is_an_error),
		T(test_no_memory_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
