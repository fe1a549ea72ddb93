/*
 * Physical memory in frames of 4 KiB. All of it is mapped where it lies, so a physical address is
 * also the kernel's pointer.
 */
#ifndef LABOS_FRAMES_H
#define LABOS_FRAMES_H

#include <stdint.h>

enum { FRAMES_MEMORY_MAX = 1 << 30 };

/* Reads the memory map that the boot sector left. */
void frames_init(void);

/* `count` frames in a row, the address of the first; 0 if there are none. */
uint32_t frames_alloc(uint32_t count);
void frames_free(uint32_t address, uint32_t count);

uint32_t frames_free_count(void);

/* KiB of usable memory; where the highest usable byte below 1 GiB ends. */
uint32_t frames_memory_kib(void);
uint32_t frames_memory_end(void);

#endif
