/*
 * What an ATA disk says of itself: ATA/ATAPI-6, "IDENTIFY DEVICE". It must not know how the guest
 * comes to read it.
 */
#include <crvm/string.h>

#include "ide_priv.h"

enum identify_word {
	WORD_CONFIGURATION = 0,
	WORD_CYLINDERS = 1,
	WORD_HEADS = 3,
	WORD_SECTORS = 6,
	WORD_SERIAL = 10,
	WORD_FIRMWARE = 23,
	WORD_MODEL = 27,
	WORD_MULTIPLE_MAX = 47,
	WORD_DWORD_IO = 48,
	WORD_CAPABILITIES = 49,
	WORD_CAPABILITIES_2 = 50,
	WORD_PIO_TIMING = 51,
	WORD_VALID = 53,
	WORD_CURRENT_CYLINDERS = 54,
	WORD_CURRENT_HEADS = 55,
	WORD_CURRENT_SECTORS = 56,
	WORD_CURRENT_CAPACITY = 57,
	WORD_MULTIPLE = 59,
	WORD_LBA28_SECTORS = 60,
	WORD_PIO_MODES = 64,
	WORD_PIO_CYCLE = 67,
	WORD_PIO_CYCLE_IORDY = 68,
	WORD_MAJOR_VERSION = 80,
	WORD_SUPPORTED = 82,
	WORD_ENABLED = 85,
	WORD_RESET_RESULT = 93,
	WORD_LBA48_SECTORS = 100,
	WORD_INTEGRITY = 255,
};

/* Words 82 to 87; each of them twice: what there is, and what is on. */
enum identify_feature {
	FEATURE_POWER = 1u << 3,
	FEATURE_WRITE_CACHE = 1u << 5,
	FEATURE_LOOK_AHEAD = 1u << 6,
	FEATURE_NOP = 1u << 14,
	FEATURE_LBA48 = 1u << 10,
	FEATURE_FLUSH = 1u << 12,
	FEATURE_FLUSH_EXT = 1u << 13,
	FEATURE_VALID = 1u << 14, /* of words 83, 84 and 87 */
};

static void word_put(uint8_t *out, unsigned word, uint32_t v)
{
	out[2 * word] = (uint8_t)v;
	out[2 * word + 1] = (uint8_t)(v >> 8);
}

static void number_put(uint8_t *out, unsigned word, uint64_t v, unsigned words)
{
	for (unsigned i = 0; i < words; i++)
		word_put(out, word + i, (uint32_t)(v >> 16 * i) & 0xffff);
}

/* The first character of each pair is in the high byte. */
static void text_put(uint8_t *out, unsigned word, const char *text, unsigned size)
{
	for (unsigned i = 0; i < size; i++)
		out[2 * word + (i ^ 1)] = (uint8_t)text[i];
}

static void features_put(uint8_t *out, const struct ide_drive *d)
{
	const uint32_t cache = (d->write_cache ? FEATURE_WRITE_CACHE : 0) |
			       (d->look_ahead ? FEATURE_LOOK_AHEAD : 0);
	const uint32_t fixed = FEATURE_POWER | FEATURE_NOP;
	const uint32_t second = FEATURE_LBA48 | FEATURE_FLUSH | FEATURE_FLUSH_EXT;

	word_put(out, WORD_SUPPORTED, fixed | FEATURE_WRITE_CACHE | FEATURE_LOOK_AHEAD);
	word_put(out, WORD_SUPPORTED + 1, second | FEATURE_VALID);
	word_put(out, WORD_SUPPORTED + 2, FEATURE_VALID);
	word_put(out, WORD_ENABLED, fixed | cache);
	word_put(out, WORD_ENABLED + 1, second);
	word_put(out, WORD_ENABLED + 2, FEATURE_VALID);
}

static void geometry_put(uint8_t *out, const struct ide_drive *d)
{
	const struct ide_geometry g = ide_geometry_default(d->disk), *now = &d->geometry;

	word_put(out, WORD_CYLINDERS, g.cylinders);
	word_put(out, WORD_HEADS, g.heads);
	word_put(out, WORD_SECTORS, g.sectors);
	word_put(out, WORD_CURRENT_CYLINDERS, now->cylinders);
	word_put(out, WORD_CURRENT_HEADS, now->heads);
	word_put(out, WORD_CURRENT_SECTORS, now->sectors);
	number_put(out, WORD_CURRENT_CAPACITY, (uint64_t)now->cylinders * now->heads * now->sectors,
		   2);
}

/* How a drive's number was found (by jumper), that it passed, and who answers for drive 1. */
static uint32_t reset_result(const struct ide_channel *c, const struct ide_drive *d)
{
	if (d == &c->drive[1])
		return 0x4b00;
	return c->drive[1].disk ? 0x400b : 0x404b;
}

/* The sum of all bytes becomes 0. */
static void integrity_put(uint8_t *out)
{
	uint8_t sum = 0;

	out[2 * WORD_INTEGRITY] = 0xa5;
	for (unsigned i = 0; i < DISK_SECTOR - 1; i++)
		sum = (uint8_t)(sum + out[i]);
	out[DISK_SECTOR - 1] = (uint8_t)-sum;
}

void ide_identify_fill(const struct ide_channel *c, const struct ide_drive *d, uint8_t *out)
{
	const uint64_t sectors = d->disk->sectors;

	memset(out, 0, DISK_SECTOR);
	word_put(out, WORD_CONFIGURATION, 0x0040); /* ATA, not removable */
	geometry_put(out, d);
	text_put(out, WORD_SERIAL, d->serial, sizeof(d->serial));
	text_put(out, WORD_FIRMWARE, "1.0     ", 8);
	text_put(out, WORD_MODEL, d->model, sizeof(d->model));
	word_put(out, WORD_MULTIPLE_MAX, 0x8000 | IDE_BLOCK_MAX);
	word_put(out, WORD_DWORD_IO, 1); /* retired, but drivers of 32-bit ports look for it */
	word_put(out, WORD_CAPABILITIES, 1u << 11 | 1u << 9); /* IORDY, LBA; no DMA */
	word_put(out, WORD_CAPABILITIES_2, 1u << 14);
	word_put(out, WORD_PIO_TIMING, 2u << 8);
	word_put(out, WORD_VALID, 1u << 1 | 1u << 0); /* words 64-70, 54-58 */
	word_put(out, WORD_MULTIPLE, d->multiple ? 0x100u | d->multiple : 0);
	number_put(out, WORD_LBA28_SECTORS, sectors < 0x0fffffff ? sectors : 0x0fffffff, 2);
	word_put(out, WORD_PIO_MODES, 3); /* modes 3 and 4, in 120 ns */
	word_put(out, WORD_PIO_CYCLE, 120);
	word_put(out, WORD_PIO_CYCLE_IORDY, 120);
	word_put(out, WORD_MAJOR_VERSION, 0x70); /* ATA/ATAPI-4 to -6 */
	features_put(out, d);
	word_put(out, WORD_RESET_RESULT, reset_result(c, d));
	number_put(out, WORD_LBA48_SECTORS, sectors, 4);
	integrity_put(out);
}
