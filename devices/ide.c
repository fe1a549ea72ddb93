/*
 * An IDE channel's registers, its interrupt line and its resets. It must not know what commands do
 * (ide_cmd.c), nor how sectors move (ide_data.c).
 *
 * Both drives hear every write; the selected one answers reads and runs commands. ATA/ATAPI-6,
 * "Interface register definitions and descriptions" says what is where, "Single device
 * configurations" what a drive answers for one that is absent.
 */
#include <crvm/string.h>

#include "ide_priv.h"

static struct ide_channel *ide_of(void *dev)
{
	return container_of(dev, struct ide_channel, dev);
}

void ide_line_update(struct ide_channel *c)
{
	bool level = c->drive[c->selected].irq && !(c->device_control & IDE_NIEN);

	if (level == c->level)
		return;
	c->level = level;
	if (c->ops.irq.set)
		c->ops.irq.set(c->ops.irq.ctx, level);
}

/*
 * ATA/ATAPI-6 leaves it to the drive; 16 heads and 63 sectors are what everybody has. Translations
 * never reach beyond the disk.
 */
struct ide_geometry ide_geometry_default(const struct disk *disk)
{
	struct ide_geometry g = {.heads = 16, .sectors = 63};
	uint64_t cylinders;

	if (disk->sectors < 16 * 63)
		g.heads = 1;
	if (disk->sectors < 63)
		g.sectors = (uint8_t)disk->sectors;
	cylinders = disk->sectors / ((uint32_t)g.heads * g.sectors);
	g.cylinders = (uint16_t)(cylinders < 16383 ? cylinders : 16383);
	return g;
}

void ide_signature_put(struct ide_drive *d)
{
	d->reg[0][IDE_COUNT] = 1;
	d->reg[0][IDE_LBA_LOW] = 1;
	d->reg[0][IDE_LBA_MID] = 0;
	d->reg[0][IDE_LBA_HIGH] = 0;
}

void ide_drives_restart(struct ide_channel *c, uint8_t status)
{
	for (unsigned i = 0; i < IDE_DRIVE_COUNT; i++) {
		struct ide_drive *d = &c->drive[i];

		memset(d->reg, 0, sizeof(d->reg));
		ide_signature_put(d);
		ide_transfer_drop(d);
		d->device = 0;
		d->irq = false;
		d->error = IDE_DIAGNOSTIC_PASSED;
		d->status = d->disk ? status : 0;
	}
	c->selected = 0;
	ide_line_update(c);
}

static void settings_default(struct ide_drive *d)
{
	if (d->disk)
		d->geometry = ide_geometry_default(d->disk);
	/* Drives differ in it; Linux moves sectors by blocks only if this is on already. */
	d->multiple = IDE_BLOCK_MAX;
	d->write_cache = true;
	d->look_ahead = true;
	d->keep = false;
}

/* The drives are busy with it for as long as the guest holds the bit. */
static void soft_reset(struct ide_channel *c)
{
	for (unsigned i = 0; i < IDE_DRIVE_COUNT; i++) {
		if (!c->drive[i].keep)
			settings_default(&c->drive[i]);
		c->drive[i].standby = false;
	}
	ide_drives_restart(c, IDE_BSY);
}

static void device_control_write(struct ide_channel *c, uint8_t value)
{
	uint8_t changed = c->device_control ^ value;

	c->device_control = value;
	if (changed & IDE_SRST) {
		if (value & IDE_SRST)
			soft_reset(c);
		else
			ide_drives_restart(c, IDE_READY);
	}
	ide_line_update(c);
}

/* Whose registers are read: drive 0 has to answer for an absent drive 1, but nobody for drive 0. */
static const struct ide_drive *answering(const struct ide_channel *c)
{
	const struct ide_drive *d = &c->drive[c->selected];

	return d->disk ? d : &c->drive[0];
}

static uint8_t status_read(struct ide_channel *c)
{
	struct ide_drive *d = &c->drive[c->selected];

	d->irq = false;
	if (c->level)
		ide_line_update(c);
	return d->status;
}

static uint8_t register_read(struct ide_channel *c, uint64_t offset)
{
	const struct ide_drive *d;

	if (likely(offset == IDE_STATUS))
		return status_read(c);
	d = answering(c);
	if (!d->disk)
		return 0;
	switch (offset) {
	case IDE_ERROR:
		return d->error;
	case IDE_DEVICE:
		return d->device | IDE_DEVICE_OBSOLETE;
	default:
		return d->reg[c->device_control & IDE_HOB ? 1 : 0][offset];
	}
}

static void command_write(struct ide_channel *c, uint8_t code)
{
	struct ide_drive *d = &c->drive[c->selected];

	if (code == IDE_EXECUTE_DEVICE_DIAGNOSTIC)
		ide_diagnostic_run(c);
	else if (d->disk)
		ide_command_run(c, d, code);
}

static void register_write(struct ide_channel *c, uint64_t offset, uint8_t value)
{
	c->device_control &= (uint8_t)~IDE_HOB;
	if (c->device_control & IDE_SRST)
		return;
	switch (offset) {
	case IDE_COMMAND:
		command_write(c, value);
		break;
	case IDE_DEVICE:
		c->drive[0].device = c->drive[1].device = value;
		c->selected = value & IDE_DEV ? 1 : 0;
		ide_line_update(c);
		break;
	default:
		for (unsigned i = 0; i < IDE_DRIVE_COUNT; i++) {
			c->drive[i].reg[1][offset] = c->drive[i].reg[0][offset];
			c->drive[i].reg[0][offset] = value;
		}
		break;
	}
}

/* All but the data register are of one byte: wider accesses are as many cycles on the bus. */
static uint64_t command_block_read(void *dev, uint64_t offset, unsigned size)
{
	struct ide_channel *c = ide_of(dev);
	uint64_t v = 0;

	if (offset == IDE_DATA)
		return ide_data_read(c, size);
	for (unsigned i = 0; i < size; i++)
		v |= (uint64_t)register_read(c, offset + i) << 8 * i;
	return v;
}

static void command_block_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	struct ide_channel *c = ide_of(dev);

	if (offset == IDE_DATA) {
		ide_data_write(c, size, value);
		return;
	}
	for (unsigned i = 0; i < size; i++)
		register_write(c, offset + i, (uint8_t)(value >> 8 * i));
}

static uint32_t command_block_read_many(void *dev, uint64_t offset, unsigned size, void *buf,
					uint32_t count)
{
	uint64_t v;

	if (likely(offset == IDE_DATA))
		return ide_data_read_many(ide_of(dev), size, buf, count);
	v = command_block_read(dev, offset, size);
	memcpy(buf, &v, size);
	return 1;
}

static uint32_t command_block_write_many(void *dev, uint64_t offset, unsigned size, const void *buf,
					 uint32_t count)
{
	uint64_t v = 0;

	if (likely(offset == IDE_DATA))
		return ide_data_write_many(ide_of(dev), size, buf, count);
	memcpy(&v, buf, size);
	command_block_write(dev, offset, size, v);
	return 1;
}

/* Alternate Status: leaves the interrupt alone. */
static uint64_t control_block_read(void *dev, uint64_t offset, unsigned size)
{
	struct ide_channel *c = ide_of(dev);

	(void)offset;
	(void)size;
	return c->drive[c->selected].status;
}

static void control_block_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	(void)offset;
	(void)size;
	device_control_write(ide_of(dev), (uint8_t)value);
}

static const struct io_ops command_block_ops = {
	.read = command_block_read,
	.write = command_block_write,
	.read_many = command_block_read_many,
	.write_many = command_block_write_many,
	.sizes = 1 | 2 | 4,
};
static const struct io_ops control_block_ops = {
	.read = control_block_read,
	.write = control_block_write,
	.sizes = 1,
};

static void ide_reset(struct device *dev)
{
	struct ide_channel *c = ide_of(dev);

	c->device_control = 0;
	for (unsigned i = 0; i < IDE_DRIVE_COUNT; i++) {
		struct ide_drive *d = &c->drive[i];

		settings_default(d);
		d->standby = false;
		/* The last guest's sectors are none of the next one's business. */
		if (d->buffer)
			memset(d->buffer, 0, IDE_BUFFER_SIZE);
	}
	ide_drives_restart(c, IDE_READY);
}

void ide_init(struct ide_channel *c, const struct ide_ops *ops, uint16_t command, uint16_t control)
{
	memset(c, 0, sizeof(*c));
	c->dev = (struct device){
		.name = "ide",
		.lock = SPINLOCK_INIT(RANK_DEVICE, "ide"),
		.reset = ide_reset,
	};
	c->ops = *ops;
	c->command = command;
	c->control = control;
	ide_reset(&c->dev);
}

void ide_attach(struct ide_channel *c, unsigned drive, const struct disk *disk, uint8_t *buffer,
		const char *serial, const char *model)
{
	struct ide_drive *d = &c->drive[drive];

	d->disk = disk->sectors > 0 ? disk : NULL;
	d->buffer = buffer;
	memset(d->serial, ' ', sizeof(d->serial));
	memcpy(d->serial, serial, strnlen(serial, sizeof(d->serial)));
	if (!model)
		model = "CRVM DISK";
	memset(d->model, ' ', sizeof(d->model));
	memcpy(d->model, model, strnlen(model, sizeof(d->model)));
	ide_reset(&c->dev);
}

struct io_region ide_region(struct ide_channel *c, unsigned i)
{
	const struct io_region regions[IDE_REGION_COUNT] = {
		{.base = c->command, .len = 8, .ops = &command_block_ops, .name = "IDE command"},
		{.base = c->control, .len = 1, .ops = &control_block_ops, .name = "IDE control"},
	};
	struct io_region r = regions[i];

	r.dev = &c->dev;
	return r;
}
