/*
 * What the parts of the IDE channel share (ide.c registers, ide_cmd.c commands, ide_data.c data
 * blocks, ide_identify.c IDENTIFY DEVICE). For them only. Names are those of ATA/ATAPI-6,
 * "Interface register definitions and descriptions".
 */
#pragma once

#include <crvm/devices/ide.h>

/* Command Block registers, by port; the first name is that of reads where there are two. */
enum ide_register {
	IDE_DATA = 0,
	IDE_ERROR = 1,
	IDE_FEATURES = 1,
	IDE_COUNT = 2,
	IDE_LBA_LOW = 3,  /* sector number */
	IDE_LBA_MID = 4,  /* cylinder low */
	IDE_LBA_HIGH = 5, /* cylinder high */
	IDE_DEVICE = 6,	  /* device/head */
	IDE_STATUS = 7,
	IDE_COMMAND = 7,
};

enum ide_status {
	IDE_BSY = 1u << 7,
	IDE_DRDY = 1u << 6,
	IDE_DF = 1u << 5,
	IDE_DSC = 1u << 4,
	IDE_DRQ = 1u << 3,
	IDE_ERR = 1u << 0,
	IDE_READY = IDE_DRDY | IDE_DSC,
};

enum ide_error {
	IDE_UNC = 1u << 6,
	IDE_IDNF = 1u << 4,
	IDE_ABRT = 1u << 2,
	IDE_DIAGNOSTIC_PASSED = 1,
};

enum ide_device {
	IDE_DEVICE_OBSOLETE = 1u << 7 | 1u << 5, /* read as ones, as they always have */
	IDE_LBA = 1u << 6,
	IDE_DEV = 1u << 4,
	IDE_HEAD = 0x0f, /* or bits 27:24 of an LBA */
};

enum ide_device_control {
	IDE_HOB = 1u << 7,
	IDE_SRST = 1u << 2,
	IDE_NIEN = 1u << 1,
};

enum ide_mode {
	IDE_MODE_NONE, /* no address: IDENTIFY DEVICE */
	IDE_MODE_CHS,
	IDE_MODE_LBA28,
	IDE_MODE_LBA48,
};

/* ide.c */

/* Drives the interrupt line as the selected drive's INTRQ and nIEN say. */
void ide_line_update(struct ide_channel *c);
/* Both drives as after a reset or EXECUTE DEVICE DIAGNOSTIC, with `status` if they are there. */
void ide_drives_restart(struct ide_channel *c, uint8_t status);
/* "Signature and persistence": this is a disk without packets. */
void ide_signature_put(struct ide_drive *d);
/* Default translation for a disk. */
struct ide_geometry ide_geometry_default(const struct disk *disk);

static inline void ide_interrupt(struct ide_channel *c, struct ide_drive *d)
{
	d->irq = true;
	ide_line_update(c);
}

enum ide_code {
	IDE_EXECUTE_DEVICE_DIAGNOSTIC = 0x90,
};

/* ide_cmd.c */

/* The drive's disk is there. */
void ide_command_run(struct ide_channel *c, struct ide_drive *d, uint8_t code);
/* EXECUTE DEVICE DIAGNOSTIC is for both drives, whichever is selected. */
void ide_diagnostic_run(struct ide_channel *c);
/* Ends the command: in the registers, `error` 0 means that all is well. */
void ide_command_end(struct ide_channel *c, struct ide_drive *d, uint8_t error);
/* The sector's address and a count into the registers, as the command's kind wants it. */
void ide_address_store(struct ide_drive *d, uint64_t lba, uint32_t count);

/* ide_data.c */

/* Starts a transfer that mode, lba, end, left, block and writing describe. */
void ide_transfer_start(struct ide_channel *c, struct ide_drive *d);
/* A data block that is in the buffer already, and nothing after it. */
void ide_buffer_send(struct ide_channel *c, struct ide_drive *d, uint32_t size);
void ide_transfer_drop(struct ide_drive *d);

/* The data port, of the selected drive. */
uint64_t ide_data_read(struct ide_channel *c, unsigned size);
void ide_data_write(struct ide_channel *c, unsigned size, uint64_t value);
uint32_t ide_data_read_many(struct ide_channel *c, unsigned size, void *buf, uint32_t count);
uint32_t ide_data_write_many(struct ide_channel *c, unsigned size, const void *buf, uint32_t count);

/* ide_identify.c: 512 bytes. */
void ide_identify_fill(const struct ide_channel *c, const struct ide_drive *d, uint8_t *out);
