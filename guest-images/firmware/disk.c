/*
 * INT 13h for up to four fixed disks, 80h to 83h, those present in the order primary master,
 * primary slave, secondary master, secondary slave. It knows no port: ata.c does. Source: Phoenix,
 * "Enhanced Disk Drive Specification", version 1.1; T13, "BIOS Enhanced Disk Drive Services".
 */
#include "firmware.h"

enum { FIRST_DISK = 0x80, SECTORS_PER_TRACK = 63, CYLINDERS_MAX = 1024, CHUNK = 128 };

enum { EDD_VERSION_1_1 = 0x21, EDD_PACKET_ACCESS = 0x01, DAP_SIZE = 16, PARAMETERS_SIZE = 26 };

/* What segment FFFFh reaches ends here. */
#define BUFFER_LIMIT 0x10fff0u

/* Offsets in a disk address packet. */
enum { DAP_COUNT = 2, DAP_OFFSET = 4, DAP_SEGMENT = 6, DAP_LBA = 8, DAP_LBA_HIGH = 12 };

static uint32_t disk_sectors(uint8_t index)
{
	return far_read32(EBDA_SEGMENT,
			  (uint16_t)(offsetof(struct ebda, disk_sectors) + index * 4u));
}

static uint8_t disk_unit(uint8_t index)
{
	return far_read8(EBDA_SEGMENT, (uint16_t)(offsetof(struct ebda, disk_unit) + index));
}

void disk_init(void)
{
	uint8_t count = 0;

	for (uint8_t unit = 0; unit < DISK_MAX; unit++) {
		uint32_t sectors = ata_identify(unit);

		if (!sectors)
			continue;
		far_write32(EBDA_SEGMENT,
			    (uint16_t)(offsetof(struct ebda, disk_sectors) + count * 4u), sectors);
		far_write8(EBDA_SEGMENT, (uint16_t)(offsetof(struct ebda, disk_unit) + count),
			   unit);
		count++;
	}
	BDA->disk_count = count;
}

void disk_print(void)
{
	print_string(BDA->disk_count ? "disks:" : "no disks");
	for (uint8_t i = 0; i < BDA->disk_count; i++) {
		print_char(' ');
		print_hex8((uint8_t)(FIRST_DISK + i));
		print_string("h ");
		print_decimal(disk_sectors(i) / 2048);
		print_string(" MiB");
	}
	print_char('\r');
	print_char('\n');
}

bool disk_read_boot_sector(uint8_t index)
{
	uint16_t result = ata_transfer(disk_unit(index), ATA_READ, 0, 1, 0x7c00);

	return (result & 0xff) == DISK_OK && far_read16(0, 0x7dfe) == 0xaa55;
}

/* LBA-assisted translation: 63 sectors, and heads enough to keep the cylinders below 1024. */
static uint16_t disk_heads(uint32_t sectors)
{
	uint16_t heads = 16;

	while (heads < 128 && sectors > (uint32_t)CYLINDERS_MAX * heads * SECTORS_PER_TRACK)
		heads = (uint16_t)(heads * 2);
	return sectors > (uint32_t)CYLINDERS_MAX * heads * SECTORS_PER_TRACK ? 255 : heads;
}

static uint16_t disk_cylinders(uint32_t sectors)
{
	uint32_t cylinders = sectors / (disk_heads(sectors) * (uint32_t)SECTORS_PER_TRACK);

	if (cylinders == 0)
		return 1;
	return (uint16_t)(cylinders < CYLINDERS_MAX ? cylinders : CYLINDERS_MAX);
}

static void disk_answer(REGS *r, uint8_t status)
{
	BDA->disk_status = status;
	if (status != DISK_OK)
		return frame_fail(r, status);
	r->ah = 0;
	frame_ok(r);
}

/* Transfers in pieces that one ATA command can hold. Status, and in bits 31:16 how many sectors
 * were done. */
static uint32_t disk_transfer(uint8_t index, uint8_t command, uint32_t lba, uint16_t count,
			      uint32_t linear)
{
	uint32_t sectors = disk_sectors(index);
	uint16_t done = 0;
	uint8_t status = DISK_OK;

	if (lba >= sectors || count > sectors - lba)
		return DISK_NOT_FOUND;
	if (command != ATA_VERIFY && linear + count * (uint32_t)SECTOR_SIZE > BUFFER_LIMIT)
		return DISK_BOUNDARY;
	while (done < count && status == DISK_OK) {
		uint16_t left = (uint16_t)(count - done);
		uint16_t result = ata_transfer(disk_unit(index), command, lba + done,
					       (uint8_t)(left < CHUNK ? left : CHUNK),
					       linear + done * (uint32_t)SECTOR_SIZE);

		done = (uint16_t)(done + (result >> 8));
		status = (uint8_t)result;
	}
	return (uint32_t)done << 16 | status;
}

static uint8_t command_of(uint8_t function)
{
	/* 02h 03h 04h, and 42h 43h 44h. */
	return (function & 7) == 2 ? ATA_READ : (function & 7) == 3 ? ATA_WRITE : ATA_VERIFY;
}

static void disk_chs(REGS *r, uint8_t index)
{
	uint16_t heads = disk_heads(disk_sectors(index));
	uint16_t cylinder = (uint16_t)(r->ch | (r->cl & 0xc0) << 2);
	uint8_t sector = r->cl & 0x3f, count = r->al;
	uint32_t result, lba;

	if (sector == 0 || r->dh >= heads || count == 0 || count > CHUNK) {
		r->al = 0;
		return disk_answer(r, DISK_BAD_PARAMETER);
	}
	lba = ((uint32_t)cylinder * heads + r->dh) * SECTORS_PER_TRACK + sector - 1;
	result =
		disk_transfer(index, command_of(r->ah), lba, count, ((uint32_t)r->es << 4) + r->bx);
	r->al = (uint8_t)(result >> 16);
	disk_answer(r, (uint8_t)result);
}

static void disk_packet(REGS *r, uint8_t index)
{
	uint16_t ds = r->ds, si = r->si;
	uint16_t count = far_read16(ds, si + DAP_COUNT);
	uint32_t linear, result;

	if (far_read8(ds, si) < DAP_SIZE || (r->ah == 0x43 && r->al > 2))
		return disk_answer(r, DISK_BAD_PARAMETER);
	linear =
		((uint32_t)far_read16(ds, si + DAP_SEGMENT) << 4) + far_read16(ds, si + DAP_OFFSET);
	result = far_read32(ds, si + DAP_LBA_HIGH)
			 ? DISK_NOT_FOUND
			 : disk_transfer(index, command_of(r->ah), far_read32(ds, si + DAP_LBA),
					 count, linear);
	far_write16(ds, si + DAP_COUNT, (uint16_t)(result >> 16));
	disk_answer(r, (uint8_t)result);
}

static void disk_geometry(REGS *r, uint8_t index)
{
	uint32_t sectors = disk_sectors(index);
	uint16_t last = (uint16_t)(disk_cylinders(sectors) - 1);

	r->ch = (uint8_t)last;
	r->cl = (uint8_t)((last >> 2 & 0xc0) | SECTORS_PER_TRACK);
	r->dh = (uint8_t)(disk_heads(sectors) - 1);
	r->dl = BDA->disk_count;
	r->bl = 0;
	r->al = 0;
	disk_answer(r, DISK_OK);
}

static void disk_type(REGS *r, uint8_t index)
{
	uint32_t sectors = disk_sectors(index);

	disk_answer(r, DISK_OK);
	r->ah = 3;
	r->cx = (uint16_t)(sectors >> 16);
	r->dx = (uint16_t)sectors;
}

static void disk_extensions(REGS *r)
{
	if (r->bx != 0x55aa)
		return disk_answer(r, DISK_BAD_PARAMETER);
	disk_answer(r, DISK_OK);
	r->bx = 0xaa55;
	r->ah = EDD_VERSION_1_1;
	r->cx = EDD_PACKET_ACCESS;
}

static void disk_parameters(REGS *r, uint8_t index)
{
	uint16_t ds = r->ds, si = r->si;
	uint32_t sectors = disk_sectors(index);

	if (far_read16(ds, si) < PARAMETERS_SIZE)
		return disk_answer(r, DISK_BAD_PARAMETER);
	far_write16(ds, si, PARAMETERS_SIZE);
	far_write16(ds, si + 2, 0x0002); /* the geometry is valid */
	far_write32(ds, si + 4, disk_cylinders(sectors));
	far_write32(ds, si + 8, disk_heads(sectors));
	far_write32(ds, si + 12, SECTORS_PER_TRACK);
	far_write32(ds, si + 16, sectors);
	far_write32(ds, si + 20, 0);
	far_write16(ds, si + 24, SECTOR_SIZE);
	disk_answer(r, DISK_OK);
}

static void disk_last_status(REGS *r)
{
	uint8_t status = BDA->disk_status;

	r->al = 0;
	disk_answer(r, status);
}

static void disk_absent(REGS *r)
{
	switch (r->ah) {
	case 0x00: /* a program resets diskettes that are not there, too */
		return disk_answer(r, r->dl < FIRST_DISK ? DISK_OK : DISK_BAD_PARAMETER);
	case 0x01:
		return disk_last_status(r);
	case 0x08:
		if (r->dl < FIRST_DISK) {
			/* No diskette drives: an answer, all zero. */
			r->bx = r->cx = r->dx = 0;
			return disk_answer(r, DISK_OK);
		}
		return disk_answer(r, DISK_BAD_PARAMETER);
	case 0x15:
		disk_answer(r, DISK_OK); /* type 0: no such drive */
		return;
	default:
		return disk_answer(r, r->dl < FIRST_DISK ? DISK_TIMEOUT : DISK_BAD_PARAMETER);
	}
}

void int13_disk(REGS *r)
{
	uint8_t index = (uint8_t)(r->dl - FIRST_DISK);

	if (r->dl < FIRST_DISK || index >= BDA->disk_count || index >= DISK_MAX)
		return disk_absent(r);
	switch (r->ah) {
	case 0x00:
	case 0x0d:
		ata_reset(disk_unit(index));
		return disk_answer(r, DISK_OK);
	case 0x01:
		return disk_last_status(r);
	case 0x02:
	case 0x03:
	case 0x04:
		return disk_chs(r, index);
	case 0x08:
		return disk_geometry(r, index);
	case 0x09: /* set parameters, seek, ready, recalibrate, diagnose: done */
	case 0x0c:
	case 0x10:
	case 0x11:
	case 0x14:
	case 0x47:
		return disk_answer(r, DISK_OK);
	case 0x15:
		return disk_type(r, index);
	case 0x41:
		return disk_extensions(r);
	case 0x42:
	case 0x43:
	case 0x44:
		return disk_packet(r, index);
	case 0x48:
		return disk_parameters(r, index);
	default:
		return disk_answer(r, DISK_BAD_PARAMETER);
	}
}
