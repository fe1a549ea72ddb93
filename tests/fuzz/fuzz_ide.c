/*
 * Any accesses to an IDE channel. Two channels get the same, but where one gets REP INS and OUTS
 * the other gets as many single accesses: both answer alike, call their disks within bounds, and
 * keep the rules that tie their registers together.
 * needs: devices/ide.c devices/ide_cmd.c devices/ide_data.c devices/ide_identify.c
 *
 * The input: a byte that says which drives there are and what they are like, then commands of four
 * bytes: kind, port and size, value, count.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <crvm/devices/ide.h>
#include <crvm/status.h>

#define require(cond)                                           \
	do {                                                    \
		if (!(cond)) {                                  \
			fprintf(stderr, "broken: %s\n", #cond); \
			abort();                                \
		}                                               \
	} while (0)

#define KEPT 64u /* sectors of each disk that hold what is written */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fuzz_disk {
	struct disk disk;
	uint8_t bytes[KEPT * DISK_SECTOR];
	uint8_t *buffer; /* on the heap: ASan watches its ends */
	uint64_t bad;
	unsigned calls;
};

struct fuzz_channel {
	struct ide_channel *ide;
	struct io_region region[IDE_REGION_COUNT];
	struct fuzz_disk disk[2];
	bool line;
	unsigned changes;
};

static struct fuzz_channel channel[2];

static bool call_is_bad(struct fuzz_disk *d, uint64_t lba, uint32_t count)
{
	require(count > 0 && count <= IDE_BLOCK_MAX);
	require(lba < d->disk.sectors && count <= d->disk.sectors - lba);
	d->calls++;
	return d->bad - lba < count;
}

static int disk_read(void *ctx, uint64_t lba, uint32_t count, void *buf)
{
	struct fuzz_disk *d = ctx;

	if (call_is_bad(d, lba, count))
		return E_IO;
	for (uint32_t i = 0; i < count; i++) {
		uint8_t *p = (uint8_t *)buf + i * DISK_SECTOR;

		memset(p, (int)(lba + i), DISK_SECTOR);
		if (lba + i < KEPT)
			memcpy(p, d->bytes + (lba + i) * DISK_SECTOR, DISK_SECTOR);
	}
	return OK;
}

static int disk_write(void *ctx, uint64_t lba, uint32_t count, const void *buf)
{
	struct fuzz_disk *d = ctx;

	require(!d->disk.readonly);
	if (call_is_bad(d, lba, count))
		return E_NOMEM;
	for (uint32_t i = 0; i < count; i++)
		if (lba + i < KEPT)
			memcpy(d->bytes + (lba + i) * DISK_SECTOR,
			       (const uint8_t *)buf + i * DISK_SECTOR, DISK_SECTOR);
	return OK;
}

static void irq_set(void *ctx, bool level)
{
	struct fuzz_channel *c = ctx;

	require(c->line != level);
	c->line = level;
	c->changes++;
}

static void channel_build(struct fuzz_channel *c, uint8_t kind)
{
	static const uint64_t sectors[] = {1, 40, 20000, 1ull << 28, 1ull << 28 | 5, 1ull << 48};
	const struct ide_ops ops = {.irq = {irq_set, c}};

	if (!c->ide)
		c->ide = malloc(sizeof(*c->ide));
	require(c->ide);
	c->line = false;
	c->changes = 0;
	ide_init(c->ide, &ops, IDE_PRIMARY_COMMAND, IDE_PRIMARY_CONTROL);
	for (unsigned i = 0; i < 2; i++) {
		struct fuzz_disk *d = &c->disk[i];

		memset(d->bytes, (int)(0x40 + i), sizeof(d->bytes));
		d->bad = kind & 4 ? 7 : UINT64_MAX;
		d->calls = 0;
		d->disk = (struct disk){
			.sectors = sectors[(kind >> 4) % array_count(sectors)],
			.readonly = kind & 8 && i == 1,
			.read = disk_read,
			.write = disk_write,
			.ctx = d,
		};
		if (!d->buffer)
			d->buffer = malloc(IDE_BUFFER_SIZE);
		require(d->buffer);
		if (kind & 1u << i)
			ide_attach(c->ide, i, &d->disk, d->buffer, "FUZZ", i ? "A MODEL" : NULL);
		c->region[i] = ide_region(c->ide, i);
	}
}

static void drive_check(const struct ide_channel *c, const struct ide_drive *d)
{
	const bool busy = c->device_control & 4;

	if (!d->disk) {
		require(d->status == 0 && d->in_end == 0 && d->out_end == 0);
		return;
	}
	require(!(d->status & 0x80) == !busy);
	require(busy ? d->status == 0x80 : (d->status & ~0x09) == 0x50);
	require(d->in_end == 0 || d->out_end == 0);
	require(!(d->status & 8) == (d->in_end + d->out_end == 0));
	require(d->in_end + d->out_end <= IDE_BUFFER_SIZE);
	require((d->in_end + d->out_end) % DISK_SECTOR == 0);
	require(d->in_end + d->out_end == 0 ? d->position == 0
					    : d->position < d->in_end + d->out_end);
	require(d->position % 2 == 0);
	require(!(d->status & 1) || d->error != 0);
	require(d->multiple <= IDE_BLOCK_MAX && (d->multiple & (d->multiple - 1)) == 0);
	require(d->geometry.heads >= 1 && d->geometry.heads <= 16 && d->geometry.sectors >= 1);
	require((uint64_t)d->geometry.cylinders * d->geometry.heads * d->geometry.sectors <=
		d->disk->sectors);
	require(d->left <= 0x10000);
}

static void channel_check(const struct fuzz_channel *c)
{
	const struct ide_channel *i = c->ide;

	require(c->line == (i->drive[i->selected].irq && !(i->device_control & 2)));
	require(c->line == i->level);
	for (unsigned n = 0; n < IDE_DRIVE_COUNT; n++)
		drive_check(i, &i->drive[n]);
}

static uint64_t one_read(struct fuzz_channel *c, unsigned region, unsigned port, unsigned size)
{
	const struct io_region *r = &c->region[region];

	return r->ops->read(r->dev, port, size) & ~0ull >> (64 - 8 * size);
}

/* The second channel: the same, item by item. */
static void many_read(unsigned port, unsigned size, uint32_t count)
{
	static uint8_t a[4096 + 2], b[4096 + 2];
	const struct io_region *r = &channel[0].region[0];

	memset(a, 0x5a, sizeof(a));
	memset(b, 0x5a, sizeof(b));
	for (uint32_t done = 0; done < count;) {
		uint32_t n =
			r->ops->read_many(r->dev, port, size, a + 1 + done * size, count - done);

		require(n > 0 && n <= count - done);
		done += n;
	}
	for (uint32_t i = 0; i < count; i++) {
		uint64_t v = one_read(&channel[1], 0, port, size);

		memcpy(b + 1 + i * size, &v, size);
	}
	require(memcmp(a, b, sizeof(a)) == 0);
}

static void many_write(unsigned port, unsigned size, uint8_t value, uint32_t count)
{
	static uint8_t a[4096];
	const struct io_region *r = &channel[0].region[0];

	for (uint32_t i = 0; i < count * size; i++)
		a[i] = (uint8_t)(value + i * 3);
	for (uint32_t done = 0; done < count;) {
		uint32_t n = r->ops->write_many(r->dev, port, size, a + done * size, count - done);

		require(n > 0 && n <= count - done);
		done += n;
	}
	r = &channel[1].region[0];
	for (uint32_t i = 0; i < count; i++) {
		uint64_t v = 0;

		memcpy(&v, a + i * size, size);
		r->ops->write(r->dev, port, size, v);
	}
}

static void both_write(unsigned region, unsigned port, unsigned size, uint64_t value)
{
	for (unsigned i = 0; i < 2; i++) {
		const struct io_region *r = &channel[i].region[region];

		r->ops->write(r->dev, port, size, value);
	}
}

static void command(const uint8_t *c)
{
	static const unsigned sizes[] = {1, 2, 4, 2};
	const unsigned size = sizes[c[1] >> 3 & 3], port = c[1] & 7;
	const uint32_t count = c[3] & 0x80 ? 4096 / size - (c[3] & 3) : c[3];

	switch (c[0] & 7) {
	case 0: /* what a driver does: a whole address, then a command */
		both_write(0, 2, 1, c[3] & 15);
		both_write(0, 3, 1, c[1] & 63);
		both_write(0, 6, 1, 0xe0 | (c[3] & 0x10));
		both_write(0, 7, 1, c[2]);
		break;
	case 1:
		both_write(1, 0, 1, c[2]);
		break;
	case 2:
		require(one_read(&channel[0], 1, 0, 1) == one_read(&channel[1], 1, 0, 1));
		break;
	case 3:
		if (port + size <= 8)
			both_write(0, port, size, c[2] * 0x01020408u + c[3]);
		break;
	case 4:
		if (port + size <= 8)
			require(one_read(&channel[0], 0, port, size) ==
				one_read(&channel[1], 0, port, size));
		break;
	case 5:
		many_read(c[0] & 8 && port + size <= 8 ? port : 0, size, count);
		break;
	case 6:
		/* Not to the command register: as many commands as items are the same, but long. */
		many_write(c[0] & 8 && port + size <= 7 ? port : 0, size, c[2], count);
		break;
	default:
		if (c[1] == 0 && c[2] == 0)
			for (unsigned i = 0; i < 2; i++)
				channel[i].ide->dev.reset(&channel[i].ide->dev);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	for (unsigned i = 0; i < 2; i++)
		channel_build(&channel[i], data[0]);
	for (size_t n = 1; n + 4 <= size && n < 4 * 256; n += 4) {
		const unsigned before = channel[0].disk[0].calls + channel[0].disk[1].calls;

		command(data + n);
		/* A page has 8 sectors; an error costs up to 16 calls more, each access one. */
		require(channel[0].disk[0].calls + channel[0].disk[1].calls - before <=
			8 * 18 + 18);
		channel_check(&channel[0]);
		channel_check(&channel[1]);
		require(channel[0].changes == channel[1].changes);
	}
	for (unsigned i = 0; i < 2; i++)
		require(memcmp(channel[0].disk[i].bytes, channel[1].disk[i].bytes,
			       sizeof(channel[0].disk[i].bytes)) == 0);
	return 0;
}
