/*
 * What the commands of an ATA disk do (ATA/ATAPI-6, "Command descriptions"). It must not know
 * ports, nor where the bytes of a data block go.
 */
#include <crvm/string.h>

#include "ide_priv.h"

/* Addresses of 28 bits end here; ATA/ATAPI-6, "48-bit Address feature set". */
#define LBA28_END (1ull << 28)

enum ide_transfer {
	TRANSFER_READ = 0,
	TRANSFER_WRITE = 1u << 0,
	TRANSFER_MULTIPLE = 1u << 1,
	TRANSFER_EXT = 1u << 2,
};

void ide_command_end(struct ide_channel *c, struct ide_drive *d, uint8_t error)
{
	ide_transfer_drop(d);
	d->error = error;
	d->status = IDE_READY | (error ? IDE_ERR : 0);
	ide_interrupt(c, d);
}

/* The two bytes that a register holds for a 48-bit command. */
static uint32_t reg_wide(const struct ide_drive *d, unsigned i)
{
	return (uint32_t)d->reg[1][i] << 8 | d->reg[0][i];
}

static void reg_wide_set(struct ide_drive *d, unsigned i, uint32_t v)
{
	d->reg[0][i] = (uint8_t)v;
	d->reg[1][i] = (uint8_t)(v >> 8);
}

static uint32_t track_sectors(const struct ide_geometry *g)
{
	return (uint32_t)g->heads * g->sectors;
}

/* Reads the registers into mode, lba and end. Returns bits of the Error register. */
static uint8_t address_load_chs(struct ide_drive *d)
{
	const struct ide_geometry *g = &d->geometry;
	uint32_t cylinder = (uint32_t)d->reg[0][IDE_LBA_HIGH] << 8 | d->reg[0][IDE_LBA_MID];
	uint32_t head = d->device & IDE_HEAD, sector = d->reg[0][IDE_LBA_LOW];

	d->mode = IDE_MODE_CHS;
	d->end = (uint64_t)g->cylinders * track_sectors(g);
	if (sector == 0 || sector > g->sectors || head >= g->heads || cylinder >= g->cylinders)
		return IDE_IDNF;
	d->lba = (uint64_t)(cylinder * g->heads + head) * g->sectors + sector - 1;
	return 0;
}

static uint8_t address_load(struct ide_drive *d, bool ext)
{
	const uint64_t sectors = d->disk->sectors;

	if (ext) {
		/* There is no CHS of 48 bits. */
		if (!(d->device & IDE_LBA))
			return IDE_ABRT;
		d->mode = IDE_MODE_LBA48;
		d->end = sectors;
		d->lba = (uint64_t)d->reg[1][IDE_LBA_HIGH] << 40 |
			 (uint64_t)d->reg[1][IDE_LBA_MID] << 32 |
			 (uint64_t)d->reg[1][IDE_LBA_LOW] << 24 |
			 (uint64_t)d->reg[0][IDE_LBA_HIGH] << 16 |
			 (uint64_t)d->reg[0][IDE_LBA_MID] << 8 | d->reg[0][IDE_LBA_LOW];
	} else if (d->device & IDE_LBA) {
		d->mode = IDE_MODE_LBA28;
		d->end = sectors < LBA28_END ? sectors : LBA28_END;
		d->lba = (uint64_t)(d->device & IDE_HEAD) << 24 |
			 (uint64_t)d->reg[0][IDE_LBA_HIGH] << 16 |
			 (uint64_t)d->reg[0][IDE_LBA_MID] << 8 | d->reg[0][IDE_LBA_LOW];
	} else {
		return address_load_chs(d);
	}
	return d->lba < d->end ? 0 : IDE_IDNF;
}

static void head_store(struct ide_drive *d, uint32_t head)
{
	d->device = (uint8_t)((d->device & 0xf0) | (head & IDE_HEAD));
}

static void address_store_chs(struct ide_drive *d, uint32_t lba)
{
	uint32_t track = lba / d->geometry.sectors, cylinder = track / d->geometry.heads;

	d->reg[0][IDE_LBA_LOW] = (uint8_t)(lba - track * d->geometry.sectors + 1);
	head_store(d, track - cylinder * d->geometry.heads);
	d->reg[0][IDE_LBA_MID] = (uint8_t)cylinder;
	d->reg[0][IDE_LBA_HIGH] = (uint8_t)(cylinder >> 8);
}

void ide_address_store(struct ide_drive *d, uint64_t lba, uint32_t count)
{
	if (d->mode == IDE_MODE_CHS) {
		address_store_chs(d, (uint32_t)lba);
	} else {
		d->reg[0][IDE_LBA_LOW] = (uint8_t)lba;
		d->reg[0][IDE_LBA_MID] = (uint8_t)(lba >> 8);
		d->reg[0][IDE_LBA_HIGH] = (uint8_t)(lba >> 16);
	}
	if (d->mode == IDE_MODE_LBA48) {
		d->reg[1][IDE_LBA_LOW] = (uint8_t)(lba >> 24);
		d->reg[1][IDE_LBA_MID] = (uint8_t)(lba >> 32);
		d->reg[1][IDE_LBA_HIGH] = (uint8_t)(lba >> 40);
		reg_wide_set(d, IDE_COUNT, count);
	} else {
		if (d->mode == IDE_MODE_LBA28)
			head_store(d, (uint32_t)(lba >> 24));
		d->reg[0][IDE_COUNT] = (uint8_t)count;
	}
}

/* 0 stands for the most. */
static uint32_t count_load(const struct ide_drive *d, bool ext)
{
	uint32_t count = ext ? reg_wide(d, IDE_COUNT) : d->reg[0][IDE_COUNT];

	if (count)
		return count;
	return ext ? 0x10000 : 0x100;
}

static void transfer(struct ide_channel *c, struct ide_drive *d, unsigned kind)
{
	const bool ext = kind & TRANSFER_EXT, writing = kind & TRANSFER_WRITE;
	uint8_t error;

	if ((kind & TRANSFER_MULTIPLE && d->multiple == 0) || (writing && d->disk->readonly)) {
		ide_command_end(c, d, IDE_ABRT);
		return;
	}
	error = address_load(d, ext);
	if (error) {
		ide_command_end(c, d, error);
		return;
	}
	d->standby = false;
	d->left = count_load(d, ext);
	d->block = kind & TRANSFER_MULTIPLE ? d->multiple : 1;
	d->writing = writing;
	ide_transfer_start(c, d);
}

/* Checks addresses, not sectors: what is in memory does not fade, and 65536 of them would take
 * long. */
static void verify(struct ide_channel *c, struct ide_drive *d, bool ext)
{
	uint32_t count = count_load(d, ext);
	uint8_t error = address_load(d, ext);

	if (!error) {
		d->standby = false;
		if (count <= d->end - d->lba) {
			ide_address_store(d, d->lba + count - 1, 0);
		} else {
			ide_address_store(d, d->end, count - (uint32_t)(d->end - d->lba));
			error = IDE_IDNF;
		}
	}
	ide_command_end(c, d, error);
}

static void read_native_max(struct ide_channel *c, struct ide_drive *d, bool ext)
{
	uint8_t error = address_load(d, ext);

	/* Whatever address the registers hold is none of this command's. */
	if (error != IDE_ABRT) {
		error = 0;
		ide_address_store(d, d->end - 1,
				  ext ? reg_wide(d, IDE_COUNT) : d->reg[0][IDE_COUNT]);
	}
	ide_command_end(c, d, error);
}

static void initialize_parameters(struct ide_channel *c, struct ide_drive *d)
{
	struct ide_geometry g = {
		.heads = (uint8_t)((d->device & IDE_HEAD) + 1),
		.sectors = d->reg[0][IDE_COUNT],
	};
	uint64_t cylinders = g.sectors ? d->disk->sectors / track_sectors(&g) : 0;

	if (cylinders == 0) {
		ide_command_end(c, d, IDE_ABRT);
		return;
	}
	g.cylinders = (uint16_t)(cylinders < UINT16_MAX ? cylinders : UINT16_MAX);
	d->geometry = g;
	ide_command_end(c, d, 0);
}

static void set_multiple(struct ide_channel *c, struct ide_drive *d)
{
	uint8_t count = d->reg[0][IDE_COUNT];
	bool good = count <= IDE_BLOCK_MAX && (count & (count - 1)) == 0;

	/* A wrong count leaves the drive without any. */
	d->multiple = good ? count : 0;
	ide_command_end(c, d, good ? 0 : IDE_ABRT);
}

static bool transfer_mode_is_pio(uint8_t mode)
{
	return mode <= 1 || (mode >= 0x08 && mode <= 0x0c);
}

static void set_features(struct ide_channel *c, struct ide_drive *d)
{
	uint8_t error = 0;

	switch (d->reg[0][IDE_FEATURES]) {
	case 0x02:
	case 0x82:
		d->write_cache = d->reg[0][IDE_FEATURES] == 0x02;
		break;
	case 0x03:
		if (!transfer_mode_is_pio(d->reg[0][IDE_COUNT]))
			error = IDE_ABRT;
		break;
	case 0xaa:
	case 0x55:
		d->look_ahead = d->reg[0][IDE_FEATURES] == 0xaa;
		break;
	case 0x66:
	case 0xcc:
		d->keep = d->reg[0][IDE_FEATURES] == 0x66;
		break;
	case 0x81: /* transfers of 8 bits off: they are never on */
		break;
	default:
		error = IDE_ABRT;
		break;
	}
	ide_command_end(c, d, error);
}

static void identify(struct ide_channel *c, struct ide_drive *d)
{
	ide_identify_fill(c, d, d->buffer);
	ide_buffer_send(c, d, DISK_SECTOR);
}

static void seek(struct ide_channel *c, struct ide_drive *d)
{
	ide_command_end(c, d, address_load(d, false));
}

static void power(struct ide_channel *c, struct ide_drive *d, bool standby)
{
	d->standby = standby;
	ide_command_end(c, d, 0);
}

void ide_diagnostic_run(struct ide_channel *c)
{
	ide_drives_restart(c, IDE_READY);
	if (c->drive[0].disk)
		ide_interrupt(c, &c->drive[0]);
}

/* Commands that move sectors. */
static bool transfer_command(struct ide_channel *c, struct ide_drive *d, uint8_t code)
{
	switch (code) {
	case 0x20: /* READ SECTORS, 21h without retries */
	case 0x21:
		transfer(c, d, TRANSFER_READ);
		return true;
	case 0x24: /* READ SECTORS EXT */
		transfer(c, d, TRANSFER_READ | TRANSFER_EXT);
		return true;
	case 0x29: /* READ MULTIPLE EXT */
		transfer(c, d, TRANSFER_READ | TRANSFER_MULTIPLE | TRANSFER_EXT);
		return true;
	case 0x30: /* WRITE SECTORS, 31h without retries */
	case 0x31:
		transfer(c, d, TRANSFER_WRITE);
		return true;
	case 0x34: /* WRITE SECTORS EXT */
		transfer(c, d, TRANSFER_WRITE | TRANSFER_EXT);
		return true;
	case 0x39: /* WRITE MULTIPLE EXT */
		transfer(c, d, TRANSFER_WRITE | TRANSFER_MULTIPLE | TRANSFER_EXT);
		return true;
	case 0xc4: /* READ MULTIPLE */
		transfer(c, d, TRANSFER_READ | TRANSFER_MULTIPLE);
		return true;
	case 0xc5: /* WRITE MULTIPLE */
		transfer(c, d, TRANSFER_WRITE | TRANSFER_MULTIPLE);
		return true;
	default:
		return false;
	}
}

/* A command in the middle of another's transfer takes its place: what was left of it is lost. */
static void command_begin(struct ide_channel *c, struct ide_drive *d)
{
	ide_transfer_drop(d);
	d->status = IDE_READY;
	d->error = 0;
	d->irq = false;
	ide_line_update(c);
}

void ide_command_run(struct ide_channel *c, struct ide_drive *d, uint8_t code)
{
	command_begin(c, d);
	if (transfer_command(c, d, code))
		return;
	switch (code) {
	case 0x10 ... 0x1f: /* RECALIBRATE */
	case 0xe7:	    /* FLUSH CACHE */
	case 0xea:	    /* FLUSH CACHE EXT: what is written is there at once */
		ide_command_end(c, d, 0);
		break;
	case 0x27: /* READ NATIVE MAX ADDRESS EXT */
	case 0xf8: /* READ NATIVE MAX ADDRESS */
		read_native_max(c, d, code == 0x27);
		break;
	case 0x40: /* READ VERIFY SECTORS, 41h without retries */
	case 0x41:
	case 0x42: /* READ VERIFY SECTORS EXT */
		verify(c, d, code == 0x42);
		break;
	case 0x70: /* SEEK */
		seek(c, d);
		break;
	case 0x91: /* INITIALIZE DEVICE PARAMETERS */
		initialize_parameters(c, d);
		break;
	case 0xc6: /* SET MULTIPLE MODE */
		set_multiple(c, d);
		break;
	case 0xe0: /* STANDBY IMMEDIATE */
	case 0xe2: /* STANDBY */
	case 0xe1: /* IDLE IMMEDIATE */
	case 0xe3: /* IDLE */
		power(c, d, !(code & 1));
		break;
	case 0xe5: /* CHECK POWER MODE */
		d->reg[0][IDE_COUNT] = d->standby ? 0x00 : 0xff;
		ide_command_end(c, d, 0);
		break;
	case 0xec: /* IDENTIFY DEVICE */
		identify(c, d);
		break;
	case 0xef: /* SET FEATURES */
		set_features(c, d);
		break;
	case 0xa1: /* IDENTIFY PACKET DEVICE */
		ide_signature_put(d);
		ide_command_end(c, d, IDE_ABRT);
		break;
	default: /* NOP among them */
		ide_command_end(c, d, IDE_ABRT);
		break;
	}
}
