/*
 * The data port of an IDE channel, and the blocks of sectors that go through it. It must not know
 * which command a transfer belongs to.
 *
 * ATA/ATAPI-6, "PIO data-in command protocol", "PIO data-out command protocol": a drive interrupts
 * for each data block that can be read, and when it has taken a block; not for the first one that
 * it asks for, nor at the end of a read.
 */
#include <crvm/string.h>

#include "ide_priv.h"

/* What nobody drives. */
#define FLOATING (~0ull)

void ide_transfer_drop(struct ide_drive *d)
{
	d->left = 0;
	d->position = d->in_end = d->out_end = 0;
}

static int sectors_call(struct ide_drive *d, uint32_t first, uint32_t count)
{
	uint8_t *p = d->buffer + (size_t)first * DISK_SECTOR;

	if (d->writing)
		return d->disk->write(d->disk->ctx, d->lba + first, count, p);
	return d->disk->read(d->disk->ctx, d->lba + first, count, p);
}

/* Between the disk and the buffer. Returns how many of `count` are good: on errors, each is tried
 * alone. */
static uint32_t sectors_move(struct ide_drive *d, uint32_t count)
{
	uint32_t good = 0;

	if (likely(sectors_call(d, 0, count) == 0))
		return count;
	if (count == 1)
		return 0;
	while (good < count && sectors_call(d, good, 1) == 0)
		good++;
	return good;
}

/* Of the next data block; 0: the first sector beyond the end would be in it, and the command has
 * failed with its address. */
static uint32_t block_count(struct ide_channel *c, struct ide_drive *d)
{
	uint32_t count = d->left < d->block ? d->left : d->block;

	if (likely(d->lba < d->end && count <= d->end - d->lba))
		return count;
	if (d->lba < d->end) {
		d->left -= (uint32_t)(d->end - d->lba);
		d->lba = d->end;
	}
	ide_address_store(d, d->lba, d->left);
	ide_command_end(c, d, IDE_IDNF);
	return 0;
}

static void block_read(struct ide_channel *c, struct ide_drive *d)
{
	uint32_t count = block_count(c, d), good;

	if (unlikely(count == 0))
		return;
	good = sectors_move(d, count);
	if (unlikely(good < count)) {
		ide_address_store(d, d->lba + good, d->left - good);
		ide_command_end(c, d, IDE_UNC);
		return;
	}
	d->lba += count;
	d->left -= count;
	d->position = 0;
	d->in_end = count * DISK_SECTOR;
	d->status = IDE_READY | IDE_DRQ;
	ide_interrupt(c, d);
}

static void block_read_end(struct ide_channel *c, struct ide_drive *d)
{
	d->position = d->in_end = 0;
	if (d->left > 0) {
		block_read(c, d);
		return;
	}
	d->status = IDE_READY;
	if (d->mode != IDE_MODE_NONE)
		ide_address_store(d, d->lba - 1, 0);
}

/* Asks for the next block; false: the command has failed. */
static bool block_ask(struct ide_channel *c, struct ide_drive *d)
{
	uint32_t count = block_count(c, d);

	if (unlikely(count == 0))
		return false;
	d->position = 0;
	d->out_end = count * DISK_SECTOR;
	d->status = IDE_READY | IDE_DRQ;
	return true;
}

static void block_write_end(struct ide_channel *c, struct ide_drive *d)
{
	uint32_t count = d->out_end / DISK_SECTOR, good;

	d->position = d->out_end = 0;
	good = sectors_move(d, count);
	d->lba += good;
	d->left -= good;
	if (unlikely(good < count)) {
		ide_address_store(d, d->lba, d->left);
		ide_command_end(c, d, IDE_ABRT);
	} else if (d->left == 0) {
		ide_address_store(d, d->lba - 1, 0);
		ide_command_end(c, d, 0);
	} else if (block_ask(c, d)) {
		ide_interrupt(c, d);
	}
}

void ide_transfer_start(struct ide_channel *c, struct ide_drive *d)
{
	if (d->writing)
		(void)block_ask(c, d);
	else
		block_read(c, d);
}

void ide_buffer_send(struct ide_channel *c, struct ide_drive *d, uint32_t size)
{
	d->mode = IDE_MODE_NONE;
	d->left = 0;
	d->position = 0;
	d->in_end = size;
	d->status = IDE_READY | IDE_DRQ;
	ide_interrupt(c, d);
}

/* A bus cycle moves a word, whatever part of it is asked for; four bytes are two cycles. */
static uint64_t word_read(struct ide_channel *c, struct ide_drive *d)
{
	uint16_t v;

	if (d->position >= d->in_end)
		return (uint16_t)FLOATING;
	__builtin_memcpy(&v, d->buffer + d->position, 2);
	d->position += 2;
	if (d->position == d->in_end)
		block_read_end(c, d);
	return v;
}

static void word_write(struct ide_channel *c, struct ide_drive *d, uint16_t v)
{
	if (d->position >= d->out_end)
		return;
	__builtin_memcpy(d->buffer + d->position, &v, 2);
	d->position += 2;
	if (d->position == d->out_end)
		block_write_end(c, d);
}

uint64_t ide_data_read(struct ide_channel *c, unsigned size)
{
	struct ide_drive *d = &c->drive[c->selected];
	uint64_t v = word_read(c, d);

	return size == 4 ? v | word_read(c, d) << 16 : v;
}

void ide_data_write(struct ide_channel *c, unsigned size, uint64_t value)
{
	struct ide_drive *d = &c->drive[c->selected];

	word_write(c, d, (uint16_t)(size == 1 ? (uint8_t)value : value));
	if (size == 4)
		word_write(c, d, (uint16_t)(value >> 16));
}

/* A number of one of a REP INS's or OUTS's items, at any address. */
static void item_put(uint8_t *p, unsigned size, uint64_t v)
{
	if (size == 4)
		__builtin_memcpy(p, &v, 4);
	else if (size == 2)
		__builtin_memcpy(p, &v, 2);
	else
		*p = (uint8_t)v;
}

static uint64_t item_get(const uint8_t *p, unsigned size)
{
	uint64_t v = 0;

	if (size == 4)
		__builtin_memcpy(&v, p, 4);
	else if (size == 2)
		__builtin_memcpy(&v, p, 2);
	else
		v = *p;
	return v;
}

/* Bytes of whole items that a block of `room` bytes and a request have in common. */
static uint32_t items_size(uint32_t room, unsigned size, uint32_t count)
{
	uint64_t wanted = (uint64_t)size * count;

	room &= ~(size - 1);
	return wanted < room ? (uint32_t)wanted : room;
}

uint32_t ide_data_read_many(struct ide_channel *c, unsigned size, void *buf, uint32_t count)
{
	struct ide_drive *d = &c->drive[c->selected];
	uint32_t n = size == 1 ? 0 : items_size(d->in_end - d->position, size, count);

	/* Between blocks, and where there is none. */
	if (unlikely(d->position >= d->in_end || n == 0)) {
		item_put(buf, size, ide_data_read(c, size));
		return 1;
	}
	memcpy(buf, d->buffer + d->position, n);
	d->position += n;
	if (d->position == d->in_end)
		block_read_end(c, d);
	return n >> (size >> 1);
}

uint32_t ide_data_write_many(struct ide_channel *c, unsigned size, const void *buf, uint32_t count)
{
	struct ide_drive *d = &c->drive[c->selected];
	uint32_t n = size == 1 ? 0 : items_size(d->out_end - d->position, size, count);

	if (unlikely(d->position >= d->out_end || n == 0)) {
		ide_data_write(c, size, item_get(buf, size));
		return 1;
	}
	memcpy(d->buffer + d->position, buf, n);
	d->position += n;
	if (d->position == d->out_end)
		block_write_end(c, d);
	return n >> (size >> 1);
}
