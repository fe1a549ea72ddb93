/*
 * Pages on the swap disk (drive 1), in slots of 4 KiB. Slot 0 marks the disk as ours and is never
 * given to anybody.
 */
#ifndef LABOS_SWAP_H
#define LABOS_SWAP_H

#include <stdbool.h>
#include <stdint.h>

/* Takes the disk if it is blank, or was ours before; otherwise says why not. */
bool swap_init(void);

uint32_t swap_slot_count(void);
uint32_t swap_used_count(void);

/* 0: no slot is free. */
uint32_t swap_alloc(void);
void swap_free(uint32_t slot);
bool swap_write(uint32_t slot, const void *page);
bool swap_read(uint32_t slot, void *page);

#endif
