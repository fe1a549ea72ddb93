/*
 * core/pc.c and core/pc_disks.c: the wires between the devices of a PC, its time, its reset, its
 * disks. What each device does by itself is tested elsewhere.
 * needs: core/pc.c core/pc_disks.c core/disk_image.c core/disk_overlay.c core/io_bus.c
 * needs: core/vm_console.c devices/debug.c devices/ide.c devices/ide_cmd.c devices/ide_data.c
 * needs: devices/ide_identify.c devices/kbc.c devices/keyboard.c devices/pic8259.c
 * needs: devices/pit8254.c devices/pit_counter.c devices/port92.c devices/printer.c devices/rtc.c
 * needs: devices/serial.c devices/testdev.c devices/vga.c lib/date.c lib/printf.c lib/ring.c
 * needs: lib/text.c tests/fake/pc_machine.c tests/fake/panic.c tests/fake/spinlock.c
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <crvm/status.h>
#include "pc_machine.h"

#define MS  1000000ull
#define SEC 1000000000ull

enum { MASTER = 0x20, SLAVE = 0x28, EOI = 0x20 }; /* vectors, OCW2 */
enum { IDE_DATA, IDE_ERROR, IDE_COUNT, IDE_LBA0, IDE_LBA1, IDE_LBA2, IDE_DEVICE, IDE_STATUS };
enum { IDE_ERR = 1, IDE_DRQ = 8, IDE_ABRT = 4, IDE_READ = 0x20, IDE_WRITE = 0x30 };

static int pc_setup(void **state)
{
	(void)state;
	pc_machine_reset();
	return 0;
}

static int pc_teardown(void **state)
{
	(void)state;
	pc_machine_reset();
	return 0;
}

static void build(void)
{
	assert_int_equal(pc_machine_build(), OK);
}

/* Both chips as every kernel does it, all lines open. */
static void pic_start(void)
{
	static const uint8_t words[][2] = {{0x20, 0x11},  {0xa0, 0x11}, {0x21, MASTER},
					   {0xa1, SLAVE}, {0x21, 4},	{0xa1, 2},
					   {0x21, 1},	  {0xa1, 1},	{0x21, 0},
					   {0xa1, 0}};

	for (size_t i = 0; i < array_count(words); i++)
		pc_out(words[i][0], 1, words[i][1]);
}

static void eoi(int vector)
{
	if (vector >= SLAVE)
		pc_out(0xa0, 1, EOI);
	pc_out(0x20, 1, EOI);
}

static void expect_irq(unsigned irq)
{
	int vector = pc_take();

	assert_int_equal(vector, irq < 8 ? MASTER + irq : SLAVE + irq - 8);
	eoi(vector);
}

static void expect_none(void)
{
	assert_int_equal(pc_take(), -1);
}

/* The PIT ticks each `count` clocks. */
static void pit_start(uint16_t count)
{
	pc_out(0x43, 1, 0x34);
	pc_out(0x40, 1, count & 0xff);
	pc_out(0x40, 1, count >> 8);
}

/* --- Wires -------------------------------------------------------------------------------- */

static void test_a_tick_goes_from_the_pit_to_the_vcpu(void **state)
{
	(void)state;
	build();
	pic_start();
	pit_start(11932); /* 10 ms */
	pc_machine.requests = 0;
	pc_pass(9 * MS);
	expect_none();
	assert_int_equal(pc_machine.requests, 0);
	pc_pass(2 * MS);
	assert_int_equal(pc_machine.requests, 1);
	assert_true(atomic_load(&pc_machine.vcpu.v.requests) & REQ_IRQ);
	expect_irq(0);
	expect_none();
}

static void test_a_tick_owed_follows_the_one_that_was_taken(void **state)
{
	(void)state;
	pc_machine.vm.config.ticks = VM_TICKS_CATCHUP;
	build();
	pic_start();
	pit_start(11932);
	pc_pass(51 * MS);
	for (unsigned i = 0; i < 5; i++)
		expect_irq(0);
	expect_none();
}

static void test_coalesced_ticks_are_one(void **state)
{
	(void)state;
	pc_machine.vm.config.ticks = VM_TICKS_COALESCE;
	build();
	pic_start();
	pit_start(11932);
	pc_pass(51 * MS);
	expect_irq(0);
	expect_none();
}

static void test_a_tiny_period_does_not_mean_many_alarms(void **state)
{
	(void)state;
	build();
	pic_start();
	pit_start(2); /* 600 kHz */
	pc_machine.rings = 0;
	pc_pass(SEC);
	assert_in_range(pc_machine.rings, 1, 10001);
}

static void test_the_keyboard_controllers_echo_is_irq1(void **state)
{
	(void)state;
	build();
	pic_start();
	pc_out(0x64, 1, 0xd2);
	expect_none();
	pc_out(0x60, 1, 0x1e);
	expect_irq(1);
	assert_int_equal(pc_in(0x60, 1), 0x1e);
}

static void test_the_second_ports_echo_is_irq12(void **state)
{
	(void)state;
	build();
	pic_start();
	pc_out(0x64, 1, 0x60);
	pc_out(0x60, 1, 0x47); /* both interrupts on */
	pc_out(0x64, 1, 0xd3);
	pc_out(0x60, 1, 0x55);
	expect_irq(12);
}

static void type(const char *text)
{
	assert_int_equal(vm_console_type(&pc_machine.vm.console, text, (uint32_t)strlen(text)),
			 strlen(text));
	pc_input(pc_machine.vm.pc);
}

static void test_what_is_typed_comes_by_irq4(void **state)
{
	(void)state;
	build();
	pic_start();
	pc_out(0x3f9, 1, 1);
	type("hi");
	expect_irq(4);
	assert_int_equal(pc_in(0x3f8, 1), 'h');
	expect_none();
	pc_pass(20 * MS); /* the line is no faster */
	expect_irq(4);
	assert_int_equal(pc_in(0x3f8, 1), 'i');
	pc_pass(20 * MS);
	expect_none();
	assert_int_equal(pc_next_alarm(), DEVICE_NEVER);
}

static void test_what_is_not_read_stays_in_the_console(void **state)
{
	char text[2000];

	(void)state;
	build();
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	type(text);
	for (unsigned i = 0; i < 1000; i++) {
		pc_pass(MS);
		pc_input(pc_machine.vm.pc);
	}
	assert_int_equal(ring_used(&pc_machine.vm.console.in), sizeof(text) - 2);
	assert_int_equal(pc_next_alarm(), DEVICE_NEVER);
}

static void print(uint16_t port, const char *text)
{
	while (*text)
		pc_out(port, 1, (uint8_t)*text++);
}

static void expect_text(const char *text)
{
	assert_int_equal(pc_machine.text_len, strlen(text));
	assert_memory_equal(pc_machine.text, text, strlen(text));
}

static void test_each_console_shows_its_port(void **state)
{
	static const char *const shown[] = {
		[VM_CONSOLE_SERIAL] = "serdebfw", [VM_CONSOLE_DEBUG] = "debfw",
		[VM_CONSOLE_NONE] = "debfw"};

	(void)state;
	for (unsigned kind = 0; kind < array_count(shown); kind++) {
		pc_machine_reset();
		pc_machine.vm.config.console = (enum vm_console_kind)kind;
		build();
		print(0x3f8, "ser");
		print(0xe9, "deb");
		print(0x402, "fw");
		expect_text(shown[kind]);
	}
}

static void rtc_write(uint8_t reg, uint8_t v)
{
	pc_out(0x70, 1, reg);
	pc_out(0x71, 1, v);
}

static uint8_t rtc_read(uint8_t reg)
{
	pc_out(0x70, 1, reg);
	return (uint8_t)pc_in(0x71, 1);
}

static void test_the_clock_interrupts_by_irq8(void **state)
{
	unsigned rings;

	(void)state;
	build();
	pic_start();
	rtc_write(0x0a, 0x23); /* 8192 Hz */
	rtc_write(0x0b, 0x42);
	pc_pass(MS);
	expect_irq(8);
	expect_none();
	rings = pc_machine.rings;
	pc_pass(SEC); /* nobody reads register C: no alarm is needed */
	assert_int_equal(pc_machine.rings, rings);
	expect_none();
	for (unsigned i = 0; i < 8192; i++) {
		rtc_read(0x0c);
		pc_pass(122071);
		expect_irq(8);
	}
	assert_in_range(pc_machine.rings - rings, 8192, 8193);
}

static void test_the_printers_acknowledge_is_irq7(void **state)
{
	(void)state;
	build();
	pic_start();
	pc_out(0x37a, 1, 0x1c);
	expect_none();
	pc_out(0x37a, 1, 0x1d);
	expect_irq(7);
}

/* Every line at once: each is delivered, once, the highest priority first. */
static void test_all_lines_at_once(void **state)
{
	static const unsigned order[] = {0, 1, 8, 12, 4, 7};

	(void)state;
	build();
	pic_start();
	pc_out(0x64, 1, 0x60);
	pc_out(0x60, 1, 0x47);
	pc_out(0x64, 1, 0xd2);
	pc_out(0x60, 1, 1);
	pc_out(0x3f9, 1, 2); /* transmitter empty */
	pc_out(0x37a, 1, 0x1c);
	pc_out(0x37a, 1, 0x1d);
	rtc_write(0x0b, 0x42);
	pit_start(11932);
	pc_pass(11 * MS);
	pc_out(0x64, 1, 0xd3);
	pc_out(0x60, 1, 2);
	/* The echo has displaced the byte that was there: IRQ1 was an edge, and is gone. */
	for (unsigned i = 0; i < array_count(order); i++)
		if (order[i] != 1)
			expect_irq(order[i]);
	expect_none();
}

/* --- Reset -------------------------------------------------------------------------------- */

static void test_every_way_to_reset_asks_for_it_once(void **state)
{
	(void)state;
	build();
	pc_out(0x64, 1, 0xfe);
	assert_int_equal(pc_machine.resets, 1);
	pc_out(0x64, 1, 0xd1);
	pc_out(0x60, 1, 0xfe);
	assert_int_equal(pc_machine.resets, 2);
	pc_out(0x92, 1, 3);
	assert_int_equal(pc_machine.resets, 3);
	pc_out(0x92, 1, 3);
	pc_out(0x64, 1, 0xff);
	assert_int_equal(pc_machine.resets, 3);
}

/* The PCI chip set's port is not there: bytes written to it are nobody's. */
static void test_port_cf9_resets_nothing(void **state)
{
	(void)state;
	build();
	pc_out(0xcf9, 1, 2);
	pc_out(0xcf9, 1, 6);
	assert_int_equal(pc_machine.resets, 0);
	assert_int_equal(pc_in(0xcf9, 1), 0xff);
}

static void test_the_exit_port_stops_only_where_it_is_configured(void **state)
{
	(void)state;
	build();
	pc_out(0xf4, 4, 0x12345607);
	assert_int_equal(pc_machine.stops, 0);
	assert_int_equal(pc_machine.vm.exit_code, -1);
	pc_machine.vm.config.exit_port = true;
	pc_out(0xf4, 4, 0x12345607);
	assert_int_equal(pc_machine.stops, 1);
	assert_int_equal(pc_machine.vm.exit_code, 7);
}

/* All that can wait or ring does; then nothing of it is left. */
static void test_a_reset_silences_everything(void **state)
{
	struct pc *pc;

	(void)state;
	build();
	pc = pc_machine.vm.pc;
	pic_start();
	pit_start(11932);
	rtc_write(0x0b, 0x72);
	pc_out(0x3f9, 1, 3);
	type("abc");
	pc_out(0x64, 1, 0xd2);
	pc_out(0x60, 1, 1);
	pc_out(0x4d0, 1, 0xf8);
	pc_out(0x37a, 1, 0x1c);
	pc_out(0x37a, 1, 0x1d);
	pc_out(0x61, 1, 3);
	pc_pass(2 * SEC);
	assert_true(pc_take() >= 0);
	assert_true(pc_next_alarm() != DEVICE_NEVER);
	pc_reset(pc);
	assert_int_equal(pc_next_alarm(), DEVICE_NEVER);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(pc->pic.chip[i].line, 0);
		assert_int_equal(pc->pic.chip[i].edge, 0);
		assert_int_equal(pc->pic.chip[i].elcr, 0);
		assert_false(pc->pic.chip[i].ready);
	}
	expect_none();
	assert_int_equal(pc_in(0x61, 1) & 0x0f, 0);
	pic_start();
	pc_machine.rings = 0;
	pc_pass(3 * SEC);
	expect_none();
	assert_int_equal(pc_machine.rings, 0);
}

static void test_after_stop_no_alarm_rings(void **state)
{
	(void)state;
	build();
	pic_start();
	pit_start(11932);
	rtc_write(0x0b, 0x42);
	pc_stop(pc_machine.vm.pc);
	assert_int_equal(pc_next_alarm(), DEVICE_NEVER);
}

static uint8_t bcd(uint8_t v)
{
	return (uint8_t)((v >> 4) * 10 + (v & 15));
}

/* The clock on the wall does not stop when the machine is reset, and does not go backwards. */
static void test_time_goes_on_over_a_reset(void **state)
{
	uint8_t before;

	(void)state;
	pc_machine.wall = 1000000000 * SEC; /* 2001-09-09 01:46:40 */
	build();
	assert_int_equal(bcd(rtc_read(9)), 1);
	assert_int_equal(bcd(rtc_read(4)), 1);
	assert_int_equal(bcd(rtc_read(2)), 46);
	before = bcd(rtc_read(0));
	pc_pass(5 * SEC);
	pc_reset(pc_machine.vm.pc);
	assert_int_equal(bcd(rtc_read(0)), before + 5);
	pc_pass(5 * SEC);
	assert_int_equal(bcd(rtc_read(0)), before + 10);
}

/* --- Sizes -------------------------------------------------------------------------------- */

static unsigned cmos_word(uint8_t at)
{
	return rtc_read(at) | (unsigned)rtc_read(at + 1) << 8;
}

static void test_cmos_tells_the_memorys_size(void **state)
{
	static const struct {
		uint64_t mem;
		unsigned base, ext, high;
	} rows[] = {
		{64ul << 10, 64, 0, 0},
		{636ul << 10, 636, 0, 0},
		{1ul << 20, 640, 0, 0},
		{(1ul << 20) + 4096, 640, 4, 0},
		{16ul << 20, 640, 15360, 0},
		{(16ul << 20) + (64 << 10), 640, 15424, 1},
		{64ul << 20, 640, 64512, 768},
		{65ul << 20, 640, 64512, 784},
		{3ul << 30, 640, 64512, 48896},
	};

	(void)state;
	for (size_t i = 0; i < array_count(rows); i++) {
		pc_machine_reset();
		pc_machine.vm.config.mem = rows[i].mem;
		build();
		assert_int_equal(cmos_word(0x15), rows[i].base);
		assert_int_equal(cmos_word(0x17), rows[i].ext);
		assert_int_equal(cmos_word(0x30), rows[i].ext);
		assert_int_equal(cmos_word(0x34), rows[i].high);
	}
}

/* A guest may write there; what its firmware finds after a reset is true again. */
static void test_a_reset_tells_the_size_again(void **state)
{
	(void)state;
	build();
	rtc_write(0x35, 0xff);
	rtc_write(0x15, 0xff);
	pc_reset(pc_machine.vm.pc);
	assert_int_equal(cmos_word(0x34), 0);
	assert_int_equal(cmos_word(0x15), 640);
}

/* --- Disks -------------------------------------------------------------------------------- */

static void blank_disk(unsigned n, uint64_t size)
{
	pc_machine.vm.config.disk[n] = (struct vm_config_disk){.kind = VM_DISK_BLANK, .size = size};
}

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
		(void)pc_take();
		eoi(SLAVE);
	}
	for (unsigned i = 0; i < PC_DISK_COUNT; i++)
		expect_sector(base[i], i % 2, 1, (uint16_t)(0x1000 + i));
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
	pc_machine.frames = left + 40;
	do {
		status = ide_write(0x1f0, 0, lba, 1);
		lba += 8;
	} while (!(status & IDE_ERR) && lba < 8192);
	assert_true(status & IDE_ERR);
	assert_int_equal(pc_in(0x1f1, 1), IDE_ABRT);
	assert_in_range(pc_machine.frames, left - 16, left);
	assert_int_equal(pc_machine.taken, 3);
	/* Each page but those of the two tables has been used. */
	assert_int_equal(pc_disks_pages(pc_machine.vm.pc), 48);
	/* What is there can be written again, and all can be read. */
	assert_int_equal(ide_write(0x1f0, 0, 0, 2) & IDE_ERR, 0);
	expect_sector(0x1f0, 0, 0, 2);
	expect_sector(0x1f0, 0, 8, 1);
	expect_sector(0x1f0, 0, lba, 0);
	pc_machine.frames = left + 16;
	assert_int_equal(ide_write(0x1f0, 0, lba, 3) & IDE_ERR, 0);
}

static void be64_put(uint8_t *p, uint64_t v)
{
	for (unsigned i = 0; i < 8; i++)
		p[i] = (uint8_t)(v >> (56 - 8 * i));
}

/* A qcow2 image of 1 MiB whose clusters all lie beyond its end. */
static void damaged_image(uint8_t *p, size_t size)
{
	memset(p, 0, size);
	memcpy(p, "QFI\xfb\0\0\0\2", 8);
	p[23] = 16; /* cluster bits */
	be64_put(p + 24, 1 << 20);
	p[39] = 1; /* entries of the first table */
	be64_put(p + 40, 0x10000);
	be64_put(p + 48, 0x20000); /* reference counts: nobody looks */
	p[59] = 1;
	be64_put(p + 0x10000, 0x30000 | 1ull << 63);
	for (unsigned i = 0; i < 16; i++)
		be64_put(p + 0x30000 + 8 * i, 0x7fff0000 | 1ull << 63);
}

/* A write that fails for another reason must not cost a page each time. */
static void test_failing_writes_take_no_memory(void **state)
{
	static uint8_t image[0x40000];

	(void)state;
	damaged_image(image, sizeof(image));
	pc_machine.module = (struct vm_image){image, sizeof(image)};
	pc_machine.vm.config.disk[0].kind = VM_DISK_MODULE;
	build();
	for (unsigned i = 0; i < 1000; i++)
		assert_true(ide_write(0x1f0, 0, 3, 5) & IDE_ERR);
	assert_int_equal(pc_machine.taken, 1);
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

#define T(name) cmocka_unit_test_setup_teardown(name, pc_setup, pc_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_a_tick_goes_from_the_pit_to_the_vcpu),
		T(test_a_tick_owed_follows_the_one_that_was_taken),
		T(test_coalesced_ticks_are_one),
		T(test_a_tiny_period_does_not_mean_many_alarms),
		T(test_the_keyboard_controllers_echo_is_irq1),
		T(test_the_second_ports_echo_is_irq12),
		T(test_what_is_typed_comes_by_irq4),
		T(test_what_is_not_read_stays_in_the_console),
		T(test_each_console_shows_its_port),
		T(test_the_clock_interrupts_by_irq8),
		T(test_the_printers_acknowledge_is_irq7),
		T(test_all_lines_at_once),
		T(test_every_way_to_reset_asks_for_it_once),
		T(test_port_cf9_resets_nothing),
		T(test_the_exit_port_stops_only_where_it_is_configured),
		T(test_a_reset_silences_everything),
		T(test_after_stop_no_alarm_rings),
		T(test_time_goes_on_over_a_reset),
		T(test_cmos_tells_the_memorys_size),
		T(test_a_reset_tells_the_size_again),
		T(test_a_sector_written_is_read_back),
		T(test_each_disk_is_where_it_belongs),
		T(test_writes_fail_when_memory_is_short),
		T(test_failing_writes_take_no_memory),
		T(test_a_module_that_is_not_there_is_no_blank_disk),
		T(test_a_disk_that_cannot_be_opened_is_an_error),
		T(test_no_memory_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
