/*
 * The IDE disks, by programmed I/O and polling. Standard "AT Attachment with Packet Interface - 6
 * (ATA/ATAPI-6)": register names, IDENTIFY DEVICE, READ SECTOR(S), WRITE SECTOR(S).
 */

#include "ide.h"
#include "lib.h"
#include "thread.h"
#include "x86.h"

/* Ports, as offsets from a channel's command block. */
enum {
	DATA = 0,
	ERROR = 1,
	SECTOR_COUNT = 2,
	LBA_LOW = 3,
	LBA_MID = 4,
	LBA_HIGH = 5,
	DEVICE = 6,
	STATUS = 7,
	COMMAND = 7,
	DEVICE_CONTROL = 0x206,
};

enum {
	STATUS_ERR = 0x01,
	STATUS_DRQ = 0x08,
	STATUS_DF = 0x20,
	STATUS_DRDY = 0x40,
	STATUS_BSY = 0x80,
	STATUS_FLOATING = 0xff, /* no channel at all */
	DEVICE_LBA = 0xe0,
	DEVICE_SLAVE = 0x10,
	READ_SECTORS = 0x20,
	WRITE_SECTORS = 0x30,
	IDENTIFY_DEVICE = 0xec,
	NO_COMMAND = 0x55,
	POLLS_MAX = 1000000,
	SECTOR_WORDS = IDE_SECTOR / 4,
	IDENTIFY_MODEL = 27,	    /* 16-bit words of IDENTIFY DEVICE data */
	IDENTIFY_CAPABILITIES = 49, /* bit 9: LBA */
	IDENTIFY_SECTORS = 60,
	MODEL_WORDS = 20,
};

struct drive {
	uint32_t sectors;
	char model[IDE_MODEL_SIZE];
};

static struct drive drives[IDE_DRIVES];
static struct mutex lock = MUTEX_INIT;

static uint16_t channel(uint32_t drive)
{
	return drive < 2 ? 0x1f0 : 0x170;
}

static uint8_t wait_not_busy(uint16_t port)
{
	uint8_t status = in8(port + STATUS);
	uint32_t i;

	for (i = 0; i < POLLS_MAX && (status & STATUS_BSY) && status != STATUS_FLOATING; i++)
		status = in8(port + STATUS);
	return status;
}

static bool wait_ready(uint16_t port)
{
	return (wait_not_busy(port) & (STATUS_BSY | STATUS_DRDY)) == STATUS_DRDY;
}

static bool wait_data(uint16_t port)
{
	uint8_t status = wait_not_busy(port);

	return !(status & (STATUS_BSY | STATUS_DF | STATUS_ERR)) && (status & STATUS_DRQ);
}

static void select(uint32_t drive, uint32_t lba)
{
	uint8_t device = (uint8_t)(DEVICE_LBA | (lba >> 24 & 15));

	out8(channel(drive) + DEVICE, drive & 1 ? device | DEVICE_SLAVE : device);
}

/* IDENTIFY strings have the first character of each pair in the upper byte, and blanks at the end.
 */
static void copy_model(char *to, const uint16_t *words)
{
	uint32_t i;
	uint32_t end = 0;

	for (i = 0; i < MODEL_WORDS * 2; i++) {
		char c = (char)(i & 1 ? words[i / 2] : words[i / 2] >> 8);

		to[i] = c >= ' ' && c <= '~' ? c : '?';
		if (c != ' ' && c)
			end = i + 1;
	}
	to[end] = 0;
}

static void identify(uint32_t drive)
{
	static uint16_t data[IDE_SECTOR / 2];
	uint16_t port = channel(drive);
	uint8_t status;

	out8(port + DEVICE_CONTROL, 0);
	select(drive, 0);
	status = wait_not_busy(port);
	/* Nobody there: nothing drives the bus, or the other drive answers with 0. */
	if (status == 0 || (status & STATUS_BSY))
		return;
	out8(port + COMMAND, IDENTIFY_DEVICE);
	if (in8(port + STATUS) == 0 || !wait_data(port))
		return;
	in32_string(port + DATA, data, SECTOR_WORDS);
	if (!(data[IDENTIFY_CAPABILITIES] & 1 << 9))
		return;
	drives[drive].sectors = data[IDENTIFY_SECTORS] | (uint32_t)data[IDENTIFY_SECTORS + 1] << 16;
	copy_model(drives[drive].model, data + IDENTIFY_MODEL);
}

void ide_init(void)
{
	uint32_t i;

	for (i = 0; i < IDE_DRIVES; i++)
		identify(i);
}

void ide_print_disks(void)
{
	uint32_t i;

	for (i = 0; i < IDE_DRIVES; i++) {
		if (drives[i].sectors)
			print("labos: disk %u: %u KiB, %s\n", i, drives[i].sectors / 2,
			      drives[i].model);
	}
}

uint32_t ide_sector_count(uint32_t drive)
{
	return drive < IDE_DRIVES ? drives[drive].sectors : 0;
}

static bool start(uint32_t drive, uint32_t lba, uint32_t count, uint8_t command)
{
	uint16_t port = channel(drive);
	uint32_t sectors = ide_sector_count(drive);

	if (count == 0 || count > IDE_TRANSFER_MAX || lba >= sectors || count > sectors - lba)
		return false;
	select(drive, lba);
	if (!wait_ready(port))
		return false;
	out8(port + SECTOR_COUNT, (uint8_t)count);
	out8(port + LBA_LOW, (uint8_t)lba);
	out8(port + LBA_MID, (uint8_t)(lba >> 8));
	out8(port + LBA_HIGH, (uint8_t)(lba >> 16));
	out8(port + COMMAND, command);
	return true;
}

bool ide_read(uint32_t drive, uint32_t lba, uint32_t count, void *to)
{
	char *at = to;
	bool ok;

	mutex_lock(&lock);
	ok = start(drive, lba, count, READ_SECTORS);
	for (; ok && count > 0; count--, at += IDE_SECTOR) {
		ok = wait_data(channel(drive));
		if (ok)
			in32_string(channel(drive) + DATA, at, SECTOR_WORDS);
	}
	mutex_unlock(&lock);
	return ok;
}

bool ide_write(uint32_t drive, uint32_t lba, uint32_t count, const void *from)
{
	const char *at = from;
	bool ok;

	mutex_lock(&lock);
	ok = start(drive, lba, count, WRITE_SECTORS);
	for (; ok && count > 0; count--, at += IDE_SECTOR) {
		ok = wait_data(channel(drive));
		if (ok)
			out32_string(channel(drive) + DATA, at, SECTOR_WORDS);
	}
	ok = ok && !(wait_not_busy(channel(drive)) & (STATUS_BSY | STATUS_DF | STATUS_ERR));
	mutex_unlock(&lock);
	return ok;
}

void ide_try_bad_command(uint32_t drive, uint8_t *status, uint8_t *error)
{
	uint16_t port = channel(drive);

	mutex_lock(&lock);
	select(drive, 0);
	wait_ready(port);
	out8(port + COMMAND, NO_COMMAND);
	*status = wait_not_busy(port);
	*error = in8(port + ERROR);
	mutex_unlock(&lock);
}
