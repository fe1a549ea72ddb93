/*
 * ATA disks at the two legacy channels, by PIO and 28-bit sector numbers, without interrupts. It
 * knows nothing of INT 13h but its status codes. Source: ATA/ATAPI-4, "Register delivered data
 * transfer command protocols", "IDENTIFY DEVICE", "Software reset protocol".
 */
#include "firmware.h"

enum {
	ATA_DATA = 0,
	ATA_ERROR = 1,
	ATA_COUNT = 2,
	ATA_LBA_LOW = 3,
	ATA_LBA_MID = 4,
	ATA_LBA_HIGH = 5,
	ATA_DEVICE = 6,
	ATA_STATUS = 7,
	ATA_COMMAND = 7,
};

enum {
	STATUS_ERR = 0x01,
	STATUS_DRQ = 0x08,
	STATUS_DF = 0x20,
	STATUS_DRDY = 0x40,
	STATUS_BSY = 0x80
};

enum {
	ERROR_AMNF = 0x01,
	ERROR_ABRT = 0x04,
	ERROR_IDNF = 0x10,
	ERROR_UNC = 0x40,
	ERROR_BBK = 0x80
};

enum {
	DEVICE_LBA = 0xe0,
	DEVICE_SLAVE = 0x10,
	CONTROL_NIEN = 0x02,
	CONTROL_SRST = 0x04,
	CONTROL_BIT3 = 0x08
};

enum {
	ATA_IDENTIFY = 0xec,
	IDENTIFY_CAPABILITIES = 49,
	IDENTIFY_LBA_SECTORS = 60,
	CAPABILITY_LBA = 0x200
};

enum { SCRATCH_SEGMENT = 0x0060, WAIT_MS = 8000, PROBE_MS = 2000 };

static uint16_t ata_base(uint8_t unit)
{
	return unit & 2 ? 0x170 : 0x1f0;
}

static void ata_control(uint8_t unit, uint8_t v)
{
	outb(unit & 2 ? 0x376 : 0x3f6, v | CONTROL_BIT3);
}

/* 400 ns, in which a status may be that of before. */
static void ata_settle(uint8_t unit)
{
	for (uint8_t i = 0; i < 4; i++)
		inb(unit & 2 ? 0x376 : 0x3f6);
}

/* True when the masked status is `value`. The first look is nearly always the last: time is read
 * only after that. */
static bool ata_wait(uint8_t unit, uint8_t mask, uint8_t value, uint32_t ms)
{
	uint16_t status_port = ata_base(unit) + ATA_STATUS, last;
	uint32_t left = ms * PIT_HALF_STEPS_PER_MS;

	if ((inb(status_port) & mask) == value)
		return true;
	last = pit_read();
	while ((inb(status_port) & mask) != value) {
		uint16_t now = pit_read();
		uint32_t passed = pit_passed(last, now);

		if (passed >= left)
			return false;
		left -= passed;
		last = now;
	}
	return true;
}

/* 256 words to a physical address below 1 MiB + 64 KiB, as segment FFFFh reaches it. */
static void data_in(uint16_t port, uint32_t linear)
{
	uint32_t segment = linear >> 4 < 0xffff ? linear >> 4 : 0xffff;
	uint32_t to = linear - (segment << 4), words = SECTOR_SIZE / 2;

	__asm__ volatile("movw %w3, %%es\n\trep insw"
			 : "+D"(to), "+c"(words)
			 : "d"(port), "r"(segment)
			 : "memory");
}

static void data_out(uint16_t port, uint32_t linear)
{
	uint32_t segment = linear >> 4 < 0xffff ? linear >> 4 : 0xffff;
	uint32_t from = linear - (segment << 4), words = SECTOR_SIZE / 2;

	__asm__ volatile("movw %w3, %%es\n\trep outsw %%es:(%%esi), %%dx"
			 : "+S"(from), "+c"(words)
			 : "d"(port), "r"(segment)
			 : "memory");
}

static uint8_t ata_error_status(uint8_t unit)
{
	uint8_t error = inb(ata_base(unit) + ATA_ERROR);

	if (error & ERROR_UNC)
		return DISK_ECC;
	if (error & ERROR_IDNF)
		return DISK_NOT_FOUND;
	if (error & ERROR_AMNF)
		return DISK_NO_ADDRESS_MARK;
	if (error & ERROR_BBK)
		return DISK_BAD_SECTOR;
	return error & ERROR_ABRT ? DISK_BAD_PARAMETER : DISK_CONTROLLER;
}

/* Not busy and no error; `drq`: the device must want data, or have some. */
static uint8_t ata_result(uint8_t unit, bool drq)
{
	uint8_t status;

	if (!ata_wait(unit, STATUS_BSY, 0, WAIT_MS))
		return DISK_TIMEOUT;
	status = inb(ata_base(unit) + ATA_STATUS);
	if (status & STATUS_DF)
		return DISK_CONTROLLER;
	if (status & STATUS_ERR)
		return ata_error_status(unit);
	return drq && !(status & STATUS_DRQ) ? DISK_CONTROLLER : DISK_OK;
}

static bool ata_select(uint8_t unit, uint8_t lba_top, uint32_t ms)
{
	if (!ata_wait(unit, STATUS_BSY | STATUS_DRQ, 0, ms))
		return false;
	outb(ata_base(unit) + ATA_DEVICE,
	     (uint8_t)(DEVICE_LBA | (unit & 1 ? DEVICE_SLAVE : 0) | lba_top));
	ata_settle(unit);
	return ata_wait(unit, STATUS_BSY | STATUS_DRQ, 0, ms);
}

uint32_t ata_identify(uint8_t unit)
{
	uint16_t base = ata_base(unit);
	uint32_t sectors = 0;

	/* A floating bus: no channel. */
	if (inb(base + ATA_STATUS) == 0xff)
		return 0;
	ata_control(unit, CONTROL_NIEN);
	if (ata_select(unit, 0, PROBE_MS) && inb(base + ATA_STATUS) != 0) {
		outb(base + ATA_COMMAND, ATA_IDENTIFY);
		ata_settle(unit);
		/* An ATAPI device answers with an error, none at all with a status of 0. */
		if (ata_result(unit, true) == DISK_OK) {
			data_in(base + ATA_DATA, SCRATCH_SEGMENT << 4);
			if (far_read16(SCRATCH_SEGMENT, IDENTIFY_CAPABILITIES * 2) & CAPABILITY_LBA)
				sectors = far_read32(SCRATCH_SEGMENT, IDENTIFY_LBA_SECTORS * 2);
		}
	}
	inb(base + ATA_STATUS);
	ata_control(unit, 0);
	return sectors < 1u << 28 ? sectors : (1u << 28) - 1;
}

void ata_reset(uint8_t unit)
{
	ata_control(unit, CONTROL_NIEN | CONTROL_SRST);
	time_wait_us(10);
	ata_control(unit, CONTROL_NIEN);
	time_wait_us(2000);
	ata_wait(unit, STATUS_BSY, 0, WAIT_MS);
	ata_control(unit, 0);
}

static void ata_issue(uint8_t unit, uint8_t command, uint32_t lba, uint8_t count)
{
	uint16_t base = ata_base(unit);

	outb(base + ATA_COUNT, count);
	outb(base + ATA_LBA_LOW, (uint8_t)lba);
	outb(base + ATA_LBA_MID, (uint8_t)(lba >> 8));
	outb(base + ATA_LBA_HIGH, (uint8_t)(lba >> 16));
	outb(base + ATA_COMMAND, command);
	ata_settle(unit);
}

uint16_t ata_transfer(uint8_t unit, uint8_t command, uint32_t lba, uint8_t count, uint32_t linear)
{
	uint16_t data = ata_base(unit) + ATA_DATA;
	uint8_t status = DISK_TIMEOUT, done = 0;

	/* Our commands end without an interrupt; a system that comes later finds them enabled, as
	 * it expects. */
	ata_control(unit, CONTROL_NIEN);
	if (ata_select(unit, (uint8_t)(lba >> 24 & 15), WAIT_MS)) {
		ata_issue(unit, command, lba, count);
		for (status = DISK_OK; command != ATA_VERIFY && done < count;
		     done++, linear += SECTOR_SIZE) {
			status = ata_result(unit, true);
			if (status != DISK_OK)
				break;
			if (command == ATA_READ)
				data_in(data, linear);
			else
				data_out(data, linear);
			ata_settle(unit);
		}
		if (status == DISK_OK)
			status = ata_result(unit, false);
		if (status == DISK_OK)
			done = count;
	}
	inb(ata_base(unit) + ATA_STATUS);
	ata_control(unit, 0);
	return (uint16_t)(done << 8 | status);
}
