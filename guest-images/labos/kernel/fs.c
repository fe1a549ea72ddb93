/*
 * labfs: block 0 is the superblock, block 1 the directory, blocks 2 and 3 a table with one word for
 * each block: which block of the same file comes next. Directory and table live in memory, too, and
 * are written back at each change. What comes from the disk is checked before it is used.
 */

#include "fs.h"
#include "ide.h"
#include "lib.h"
#include "thread.h"
#include "x86.h"

enum {
	FS_DRIVE = 2,
	BLOCK_SIZE = 4096,
	BLOCK_SECTORS = BLOCK_SIZE / IDE_SECTOR,
	BLOCK_MAX = 4096,
	BLOCK_MIN = 8,
	SUPER_BLOCK = 0,
	DIRECTORY_BLOCK = 1,
	TABLE_BLOCK = 2,
	TABLE_BLOCKS = 2,
	FIRST_DATA_BLOCK = 4,
	MAGIC = 0x7366616c, /* "lafs" */
	VERSION = 1,
	NEXT_FREE = 0,
	NEXT_END = 0xffff,
};

struct super {
	uint32_t magic, version, block_count;
};

struct entry {
	char name[FS_NAME_SIZE]; /* empty: unused */
	uint32_t size;
	uint16_t first; /* block; NEXT_END for an empty file */
	uint16_t reserved;
};

enum { ENTRY_COUNT = BLOCK_SIZE / sizeof(struct entry) };
_Static_assert(sizeof(struct entry) == 32, "on the disk");

static struct entry directory[ENTRY_COUNT];
static uint16_t next[BLOCK_MAX];
_Static_assert(sizeof(next) == TABLE_BLOCKS * BLOCK_SIZE, "on the disk");
static uint8_t buffer[BLOCK_SIZE];
static uint32_t block_count; /* 0: not mounted */
static struct mutex lock = MUTEX_INIT;

static bool read_block(uint32_t block, void *to)
{
	return ide_read(FS_DRIVE, block * BLOCK_SECTORS, BLOCK_SECTORS, to);
}

static bool write_block(uint32_t block, const void *from)
{
	return ide_write(FS_DRIVE, block * BLOCK_SECTORS, BLOCK_SECTORS, from);
}

/* Table first: if we are cut off between the two, blocks are lost, but none has two owners. */
static bool write_back(void)
{
	uint32_t i;

	for (i = 0; i < TABLE_BLOCKS; i++) {
		if (!write_block(TABLE_BLOCK + i, (const char *)next + i * BLOCK_SIZE))
			return false;
	}
	return write_block(DIRECTORY_BLOCK, directory);
}

static bool format(uint32_t count)
{
	struct super super = {MAGIC, VERSION, count};
	uint32_t i;

	memset(directory, 0, sizeof(directory));
	memset(next, 0, sizeof(next));
	for (i = 0; i < FIRST_DATA_BLOCK; i++)
		next[i] = NEXT_END;
	memset(buffer, 0, sizeof(buffer));
	memcpy(buffer, &super, sizeof(super));
	/* The superblock last: a disk that has it is complete. */
	return write_back() && write_block(SUPER_BLOCK, buffer);
}

static bool load(void)
{
	uint32_t i;

	for (i = 0; i < TABLE_BLOCKS; i++) {
		if (!read_block(TABLE_BLOCK + i, (char *)next + i * BLOCK_SIZE))
			return false;
	}
	if (!read_block(DIRECTORY_BLOCK, directory))
		return false;
	for (i = 0; i < ENTRY_COUNT; i++)
		directory[i].name[FS_NAME_SIZE - 1] = 0;
	return true;
}

/* NULL: ready to use; otherwise why not. */
static const char *mount(uint32_t count)
{
	struct super super;
	uint32_t i;

	if (count < BLOCK_MIN)
		return "no disk 2";
	if (!read_block(SUPER_BLOCK, buffer))
		return "disk 2 cannot be read";
	memcpy(&super, buffer, sizeof(super));
	if (super.magic == MAGIC) {
		if (super.version != VERSION || super.block_count < BLOCK_MIN ||
		    super.block_count > count)
			return "disk 2 is damaged or too new";
		block_count = super.block_count;
		return load() ? NULL : "disk 2 cannot be read";
	}
	for (i = 0; i < BLOCK_SIZE; i++) {
		if (buffer[i])
			return "disk 2 holds something else";
	}
	if (!format(count))
		return "disk 2 cannot be written";
	block_count = count;
	print("labos: disk 2 formatted\n");
	return NULL;
}

bool fs_init(void)
{
	uint32_t count = ide_sector_count(FS_DRIVE) / BLOCK_SECTORS;
	const char *why = mount(count < BLOCK_MAX ? count : BLOCK_MAX);

	if (!why)
		return true;
	block_count = 0;
	print("labos: %s: file test left out\n", why);
	return false;
}

const char *fs_result_text(enum fs_result result)
{
	static const char *const texts[] = {
		[FS_OK] = "ok",
		[FS_NO_DISK] = "there is no file system",
		[FS_NO_FILE] = "no such file",
		[FS_BAD_NAME] = "a name has 1 to 23 characters",
		[FS_FULL] = "the disk is full",
		[FS_DISK_ERROR] = "the disk reports an error",
		[FS_DAMAGED] = "the file is damaged",
	};

	return texts[result];
}

static struct entry *find(const char *name)
{
	uint32_t i;

	for (i = 0; i < ENTRY_COUNT; i++) {
		if (*name ? !strcmp(directory[i].name, name) : !directory[i].name[0])
			return &directory[i];
	}
	return NULL;
}

static bool is_data_block(uint32_t block)
{
	return block >= FIRST_DATA_BLOCK && block < block_count;
}

/* A chain from a damaged disk may run in a circle, but freeing it opens every circle. */
static void free_chain(uint16_t block)
{
	while (is_data_block(block)) {
		uint16_t after = next[block];

		next[block] = NEXT_FREE;
		block = after;
	}
}

static uint32_t count_free(void)
{
	uint32_t count = 0;
	uint32_t i;

	for (i = FIRST_DATA_BLOCK; i < block_count; i++)
		count += next[i] == NEXT_FREE;
	return count;
}

static uint16_t take_block(uint32_t *hint)
{
	while (next[*hint] != NEXT_FREE)
		++*hint;
	next[*hint] = NEXT_END;
	return (uint16_t)*hint;
}

/* Writes a chain of new blocks; the caller has made sure that there are enough. */
static bool write_chain(struct entry *entry, const char *data, uint32_t size)
{
	uint16_t *link = &entry->first;
	uint32_t hint = FIRST_DATA_BLOCK;

	entry->first = NEXT_END;
	entry->size = size;
	while (size > 0) {
		uint32_t part = size < BLOCK_SIZE ? size : BLOCK_SIZE;

		*link = take_block(&hint);
		memset(buffer, 0, sizeof(buffer));
		memcpy(buffer, data, part);
		if (!write_block(*link, buffer))
			return false;
		link = &next[*link];
		data += part;
		size -= part;
	}
	return true;
}

static enum fs_result write_locked(const char *name, const char *data, uint32_t size)
{
	struct entry *entry = find(name);
	struct entry old;
	bool ok;

	if (!entry)
		entry = find("");
	/* The old contents stay until the new ones are there. */
	if (!entry || size > count_free() * BLOCK_SIZE)
		return FS_FULL;
	old = *entry;
	ok = write_chain(entry, data, size);
	if (!ok) {
		free_chain(entry->first);
		*entry = old;
		return FS_DISK_ERROR;
	}
	if (old.name[0])
		free_chain(old.first);
	string_copy(entry->name, name, FS_NAME_SIZE);
	return write_back() ? FS_OK : FS_DISK_ERROR;
}

enum fs_result fs_write(const char *name, const void *data, uint32_t size)
{
	enum fs_result result;

	if (!block_count)
		return FS_NO_DISK;
	if (!*name || strlen(name) >= FS_NAME_SIZE)
		return FS_BAD_NAME;
	mutex_lock(&lock);
	result = write_locked(name, data, size);
	mutex_unlock(&lock);
	return result;
}

static enum fs_result read_locked(const char *name, uint32_t offset, char *to, uint32_t size,
				  uint32_t *done)
{
	const struct entry *entry = find(name);
	uint32_t block;

	if (!entry)
		return FS_NO_FILE;
	if (offset >= entry->size)
		return FS_OK;
	if (size > entry->size - offset)
		size = entry->size - offset;
	for (block = entry->first; offset >= BLOCK_SIZE && is_data_block(block);
	     offset -= BLOCK_SIZE)
		block = next[block];
	while (size > 0) {
		uint32_t part = BLOCK_SIZE - offset < size ? BLOCK_SIZE - offset : size;

		if (!is_data_block(block))
			return FS_DAMAGED;
		if (!read_block(block, buffer))
			return FS_DISK_ERROR;
		memcpy(to, buffer + offset, part);
		to += part;
		*done += part;
		size -= part;
		offset = 0;
		block = next[block];
	}
	return FS_OK;
}

enum fs_result fs_read(const char *name, uint32_t offset, void *to, uint32_t size, uint32_t *done)
{
	enum fs_result result;

	*done = 0;
	if (!block_count)
		return FS_NO_DISK;
	if (!*name)
		return FS_BAD_NAME;
	mutex_lock(&lock);
	result = read_locked(name, offset, to, size, done);
	mutex_unlock(&lock);
	return result;
}

enum fs_result fs_remove(const char *name)
{
	enum fs_result result = FS_NO_FILE;
	struct entry *entry;

	if (!block_count)
		return FS_NO_DISK;
	if (!*name)
		return FS_BAD_NAME;
	mutex_lock(&lock);
	entry = find(name);
	if (entry) {
		free_chain(entry->first);
		memset(entry, 0, sizeof(*entry));
		result = write_back() ? FS_OK : FS_DISK_ERROR;
	}
	mutex_unlock(&lock);
	return result;
}

bool fs_list(uint32_t index, char name[FS_NAME_SIZE], uint32_t *size)
{
	if (!block_count || index >= ENTRY_COUNT)
		return false;
	mutex_lock(&lock);
	memcpy(name, directory[index].name, FS_NAME_SIZE);
	*size = directory[index].size;
	mutex_unlock(&lock);
	return true;
}

uint32_t fs_free_blocks(void)
{
	return count_free();
}

uint32_t fs_block_size(void)
{
	return BLOCK_SIZE;
}
