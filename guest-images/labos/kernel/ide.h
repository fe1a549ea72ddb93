/*
 * Up to four IDE disks: 0 and 1 are master and slave of the primary channel, 2 and 3 of the
 * secondary.
 */
#ifndef LABOS_IDE_H
#define LABOS_IDE_H

#include <stdbool.h>
#include <stdint.h>

enum { IDE_DRIVES = 4, IDE_SECTOR = 512, IDE_MODEL_SIZE = 41, IDE_TRANSFER_MAX = 128 };

/* Looks for disks and lists them. */
void ide_init(void);
void ide_print_disks(void);

/* 0 if there is no such disk. */
uint32_t ide_sector_count(uint32_t drive);

/* Up to IDE_TRANSFER_MAX sectors. false: not on that disk, or the disk reports an error. */
bool ide_read(uint32_t drive, uint32_t lba, uint32_t count, void *to);
bool ide_write(uint32_t drive, uint32_t lba, uint32_t count, const void *from);

/* Sends a command that no disk knows; its status and error registers. */
void ide_try_bad_command(uint32_t drive, uint8_t *status, uint8_t *error);

#endif
