/*
 * A primary IDE channel on a port bus, with disks in memory that can fail, for test_ide*.c. What
 * the guest does goes through the bus.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <crvm/devices/ide.h>
#include <crvm/hostmap.h>
#include <crvm/io_bus.h>
#include <crvm/status.h>
#include "ram.h"
#include "spinlock.h"

#define SECTORS	   20000u /* 19 cylinders of 16 * 63, and some */
#define CYLINDERS  19u
#define BASE	   0x1f0u
#define CONTROL	   0x3f6u
#define READY	   0x50u
#define READY_DRQ  0x58u
#define READY_ERR  0x51u
#define ERROR_UNC  0x40u
#define ERROR_IDNF 0x10u
#define ERROR_ABRT 0x04u
#define NO_SECTOR  UINT64_MAX

/* Sectors of which only the first SECTORS are kept; what lies above reads as its number. */
struct ram_disk {
	struct disk disk;
	uint8_t bytes[SECTORS * DISK_SECTOR];
	uint8_t *buffer; /* likewise on the heap */
	uint64_t bad;	 /* this sector fails */
	unsigned reads, writes;
};

static struct ram_disk ram_disk[2];
static struct ide_channel *ide; /* on the heap, so that ASan watches its ends */
static struct io_bus bus;
static struct arena arena;
static bool line;
static unsigned rises, falls;

static int ram_read(void *ctx, uint64_t lba, uint32_t count, void *buf)
{
	struct ram_disk *r = ctx;

	assert_int_equal(fake_spin_held(), 1);
	assert_true(lba < r->disk.sectors && count > 0 && count <= r->disk.sectors - lba);
	r->reads++;
	if (r->bad - lba < count)
		return E_IO;
	for (uint32_t i = 0; i < count; i++) {
		uint8_t *p = (uint8_t *)buf + i * DISK_SECTOR;

		memset(p, 0, DISK_SECTOR);
		if (lba + i < SECTORS)
			memcpy(p, r->bytes + (lba + i) * DISK_SECTOR, DISK_SECTOR);
		else
			memcpy(p, &(uint64_t){lba + i}, 8);
	}
	return OK;
}

static int ram_write(void *ctx, uint64_t lba, uint32_t count, const void *buf)
{
	struct ram_disk *r = ctx;

	assert_int_equal(fake_spin_held(), 1);
	assert_true(lba < r->disk.sectors && count > 0 && count <= r->disk.sectors - lba);
	assert_false(r->disk.readonly);
	r->writes++;
	if (r->bad - lba < count)
		return E_NOMEM;
	assert_true(lba + count <= SECTORS);
	memcpy(r->bytes + lba * DISK_SECTOR, buf, (size_t)count * DISK_SECTOR);
	return OK;
}

static void irq_set(void *ctx, bool level)
{
	assert_ptr_equal(ctx, &bus);
	assert_int_equal(fake_spin_held(), 1);
	assert_int_not_equal(level, line);
	line = level;
	*(level ? &rises : &falls) += 1;
}

static void attach(unsigned drive)
{
	struct ram_disk *r = &ram_disk[drive];

	r->disk = (struct disk){.sectors = SECTORS, .read = ram_read, .write = ram_write, .ctx = r};
	for (uint32_t i = 0; i < SECTORS * DISK_SECTOR / 4; i++) {
		uint32_t v = i * 2654435761u + drive;

		memcpy(r->bytes + 4 * (size_t)i, &v, 4);
	}
	r->bad = NO_SECTOR;
	r->reads = r->writes = 0;
	free(r->buffer);
	r->buffer = malloc(IDE_BUFFER_SIZE);
	assert_non_null(r->buffer);
	memset(r->buffer, 0xee, IDE_BUFFER_SIZE);
	ide_attach(ide, drive, &r->disk, r->buffer, drive ? "SLAVE" : "MASTER-0123456789-ABCD",
		   NULL);
}

/* `drives`: a bit for each. */
static void build(unsigned drives)
{
	static const struct ide_ops ops = {.irq = {irq_set, &bus}};

	fake_ram_reset();
	frames_init();
	assert_int_equal(frames_add(0x200000, 0x200000), OK);
	arena_init(&arena, FRAME_VM0);
	assert_int_equal(io_bus_init(&bus, 0x10000, IO_BUS_REGION_MAX, &arena), OK);
	free(ide);
	ide = malloc(sizeof(*ide));
	assert_non_null(ide);
	memset(ide, 0xee, sizeof(*ide));
	ide_init(ide, &ops, IDE_PRIMARY_COMMAND, IDE_PRIMARY_CONTROL);
	for (unsigned i = 0; i < IDE_REGION_COUNT; i++) {
		struct io_region r = ide_region(ide, i);

		assert_int_equal(io_bus_add(&bus, &r), OK);
	}
	assert_int_equal(io_bus_freeze(&bus, &arena), OK);
	line = false;
	for (unsigned i = 0; i < 2; i++)
		if (drives & 1u << i)
			attach(i);
	rises = falls = 0;
}

static int setup(void **state)
{
	(void)state;
	build(3);
	return 0;
}

static inline uint8_t in(unsigned reg)
{
	return (uint8_t)io_bus_read(&bus, BASE + reg, 1);
}

static inline void out(unsigned reg, unsigned value)
{
	io_bus_write(&bus, BASE + reg, 1, value);
}

static inline uint8_t alternate(void)
{
	return (uint8_t)io_bus_read(&bus, CONTROL, 1);
}

static inline void control(unsigned value)
{
	io_bus_write(&bus, CONTROL, 1, value);
}

static inline void select_drive(unsigned drive)
{
	out(6, 0xe0 | drive << 4);
}

/* An address of 28 bits and a count, for the drive that is selected. */
static inline void address(uint32_t lba, unsigned count)
{
	out(2, count);
	out(3, lba & 0xff);
	out(4, lba >> 8 & 0xff);
	out(5, lba >> 16 & 0xff);
	out(6, 0xe0u | (unsigned)ide->selected << 4 | lba >> 24);
}

static inline void address_ext(uint64_t lba, unsigned count)
{
	out(2, count >> 8);
	out(3, lba >> 24 & 0xff);
	out(4, lba >> 32 & 0xff);
	out(5, lba >> 40 & 0xff);
	address((uint32_t)lba & 0xffffff, count & 0xff);
}

static inline uint32_t address_now(void)
{
	return (uint32_t)(in(6) & 0xf) << 24 | (uint32_t)in(5) << 16 | (uint32_t)in(4) << 8 | in(3);
}

/* The other byte of each register too. */
static inline uint64_t address_ext_now(void)
{
	uint64_t high;

	control(0x80);
	high = (uint64_t)in(5) << 40 | (uint64_t)in(4) << 32 | (uint64_t)in(3) << 24;
	control(0);
	return high | (address_now() & 0xffffff);
}

static inline void command(unsigned code)
{
	out(7, code);
}

/* A command without data: it interrupts once, and ends so. */
static inline void expect_end(unsigned code, unsigned error)
{
	unsigned before = rises;

	command(code);
	assert_true(line);
	assert_int_equal(rises, before + 1);
	assert_int_equal(in(7), error ? READY_ERR : READY);
	assert_int_equal(in(1), error);
	assert_false(line);
}

static inline void words_in(void *buf, unsigned words)
{
	io_bus_read_many(&bus, BASE, 2, buf, words);
}

static inline void words_out(const void *buf, unsigned words)
{
	io_bus_write_many(&bus, BASE, 2, buf, words);
}

static inline const uint8_t *sector(unsigned drive, uint64_t lba)
{
	return ram_disk[drive].bytes + lba * DISK_SECTOR;
}

#define t(name) cmocka_unit_test_setup(name, setup)
