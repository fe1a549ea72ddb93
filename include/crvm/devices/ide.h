/*
 * One IDE channel with up to two disks, as a PC has two (devices/ide*.c): PIO transfers only, no
 * DMA, no packet devices. Everything completes at once: BSY is seen while the guest holds the reset
 * bit, and never else. Knows no bus master, no interrupt chip, and not where sectors come from.
 * Source: INCITS 361-2002, AT Attachment with Packet Interface - 6 (ATA/ATAPI-6).
 */
#pragma once

#include <crvm/device.h>
#include <crvm/disk.h>

#define IDE_REGION_COUNT 2u
#define IDE_DRIVE_COUNT	 2u
#define IDE_BLOCK_MAX	 8u /* sectors that READ and WRITE MULTIPLE move at a time */
#define IDE_BUFFER_SIZE	 (IDE_BLOCK_MAX * DISK_SECTOR)

enum ide_port {
	IDE_PRIMARY_COMMAND = 0x1f0,   /* eight ports; IRQ14 */
	IDE_PRIMARY_CONTROL = 0x3f6,   /* one */
	IDE_SECONDARY_COMMAND = 0x170, /* IRQ15 */
	IDE_SECONDARY_CONTROL = 0x376,
};

struct ide_ops {
	struct irq_line irq; /* both drives' INTRQ; set may be NULL */
};

/* The current translation of addresses by cylinder, head and sector. */
struct ide_geometry {
	uint16_t cylinders;
	uint8_t heads, sectors; /* 1-16; sectors of a track, 1-255 */
};

struct ide_drive {
	const struct disk *disk; /* NULL: there is no such drive */
	char serial[20], model[40];
	uint8_t status, error;
	uint8_t device;	   /* Device register as written, or the address of an error */
	uint8_t reg[2][6]; /* [0] what was written last, [1] what before that; by offset of port */
	bool irq;	   /* interrupt pending: INTRQ, before nIEN and the selection */
	bool writing;	   /* of the transfer under way, as all that follows */
	uint8_t mode;	   /* enum ide_mode: how it is addressed */
	uint8_t block;	   /* sectors of one data block */
	uint32_t left;	   /* sectors that no data block has been made of */
	uint64_t lba;	   /* the next of them */
	uint64_t end;	   /* the first address that is out of reach */
	/* At most one of the ends is not 0, and then position is below it: that is DRQ. */
	uint32_t position, in_end, out_end;
	/* What SET FEATURES and others have set. */
	struct ide_geometry geometry;
	uint8_t multiple; /* sectors, 0: READ and WRITE MULTIPLE are off */
	bool write_cache, look_ahead, standby;
	bool keep;	 /* a software reset leaves the settings alone */
	uint8_t *buffer; /* of IDE_BUFFER_SIZE; where there is a disk */
};

struct ide_channel {
	struct device dev;
	struct ide_ops ops;
	uint16_t command, control; /* bases */
	uint8_t selected;	   /* drive, 0 or 1 */
	uint8_t device_control;
	bool level; /* of ops.irq */
	struct ide_drive drive[IDE_DRIVE_COUNT];
};

/* A channel without drives. `command` and `control` are where its ports go: enum ide_port. */
void ide_init(struct ide_channel *c, const struct ide_ops *ops, uint16_t command, uint16_t control);

/*
 * Before the guest runs: makes `disk`, which is kept, drive 0 or 1; so is `buffer`, the drive's own
 * IDE_BUFFER_SIZE bytes. The texts are what IDENTIFY DEVICE says, cut to 20 and 40 characters;
 * `model` NULL: "CRVM DISK".
 */
void ide_attach(struct ide_channel *c, unsigned drive, const struct disk *disk, uint8_t *buffer,
		const char *serial, const char *model);

/* What to add to the VM's port bus: region `i` < IDE_REGION_COUNT. */
struct io_region ide_region(struct ide_channel *c, unsigned i);
