/*
 * Sectors of a disk as a device model uses them; whoever makes the device says where they come from
 * (core/ has images of boot modules, blanks, and copies of what a VM wrote). Knows no controller.
 */
#pragma once

#include <crvm/compiler.h>

#define DISK_SECTOR 512u

struct disk {
	uint64_t sectors; /* > 0 */
	bool readonly;
	/*
	 * `count` whole sectors from sector `lba`; the caller stays below `sectors`. OK; E_IO if
	 * the image is damaged there, E_NOMEM if what is written cannot be kept: then some of the
	 * sectors may be done. Called with the device's lock held.
	 */
	int (*read)(void *ctx, uint64_t lba, uint32_t count, void *buf);
	int (*write)(void *ctx, uint64_t lba, uint32_t count, const void *buf);
	void *ctx;
};
