/*
 * Files on disk 2: one directory, whole files written at once, parts of them read.
 */
#ifndef LABOS_FS_H
#define LABOS_FS_H

#include <stdbool.h>
#include <stdint.h>

enum { FS_NAME_SIZE = 24 };

enum fs_result { FS_OK, FS_NO_DISK, FS_NO_FILE, FS_BAD_NAME, FS_FULL, FS_DISK_ERROR, FS_DAMAGED };

/* Mounts the disk; formats it if it is blank. Says what hinders it. */
bool fs_init(void);

const char *fs_result_text(enum fs_result result);

/* File number `index` of the directory; false behind the last one. An empty place has no name. */
bool fs_list(uint32_t index, char name[FS_NAME_SIZE], uint32_t *size);

/* Creates the file, or gives it new contents. */
enum fs_result fs_write(const char *name, const void *data, uint32_t size);

/* Up to `size` bytes from `offset` on; `*done` says how many there were. */
enum fs_result fs_read(const char *name, uint32_t offset, void *to, uint32_t size, uint32_t *done);

enum fs_result fs_remove(const char *name);

uint32_t fs_free_blocks(void);
uint32_t fs_block_size(void);

#endif
