/*
 * The swap disk: which of its slots are used, and the way to them.
 */

#include "ide.h"
#include "lib.h"
#include "swap.h"
#include "x86.h"

enum {
	SWAP_DRIVE = 1,
	SLOT_SECTORS = PAGE_SIZE / IDE_SECTOR,
	SLOT_MAX = 32768, /* 128 MiB */
	SIGNATURE_SIZE = 16,
};

static const char signature[SIGNATURE_SIZE] = "labos swap disk";
static uint8_t used[SLOT_MAX];
static uint32_t slot_count, used_count;
static uint32_t next_slot;

bool swap_init(void)
{
	static uint8_t first[IDE_SECTOR];
	static const uint8_t blank[IDE_SECTOR];
	uint32_t count = ide_sector_count(SWAP_DRIVE) / SLOT_SECTORS;

	if (count < 2) {
		print("labos: no disk 1: swap test left out\n");
		return false;
	}
	if (!ide_read(SWAP_DRIVE, 0, 1, first)) {
		print("labos: disk 1 cannot be read: swap test left out\n");
		return false;
	}
	if (memcmp(first, signature, sizeof(signature)) != 0) {
		if (memcmp(first, blank, sizeof(first)) != 0) {
			print("labos: disk 1 holds something else: swap test left out\n");
			return false;
		}
		memcpy(first, signature, sizeof(signature));
		if (!ide_write(SWAP_DRIVE, 0, 1, first)) {
			print("labos: disk 1 cannot be written: swap test left out\n");
			return false;
		}
	}
	slot_count = count < SLOT_MAX ? count : SLOT_MAX;
	next_slot = 1;
	return true;
}

uint32_t swap_slot_count(void)
{
	return slot_count;
}

uint32_t swap_used_count(void)
{
	return used_count;
}

uint32_t swap_alloc(void)
{
	uint32_t flags = irq_save();
	uint32_t slot = 0;
	uint32_t i;

	for (i = 1; i < slot_count && !slot; i++) {
		if (!used[next_slot])
			slot = next_slot;
		next_slot = next_slot + 1 < slot_count ? next_slot + 1 : 1;
	}
	if (slot) {
		used[slot] = 1;
		used_count++;
	}
	irq_restore(flags);
	return slot;
}

void swap_free(uint32_t slot)
{
	uint32_t flags = irq_save();

	if (slot >= slot_count || !used[slot])
		panic("swap slot %u is freed twice", slot);
	used[slot] = 0;
	used_count--;
	irq_restore(flags);
}

bool swap_write(uint32_t slot, const void *page)
{
	return ide_write(SWAP_DRIVE, slot * SLOT_SECTORS, SLOT_SECTORS, page);
}

bool swap_read(uint32_t slot, void *page)
{
	return ide_read(SWAP_DRIVE, slot * SLOT_SECTORS, SLOT_SECTORS, page);
}
