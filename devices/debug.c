/*
 * The debug ports. It must not know where the characters go, nor what an exit does to the VM.
 */
#include <crvm/devices/debug.h>

enum { CONSOLE_PRESENT = 0xe9 };

static struct debug_device *debug_of(void *dev)
{
	return container_of(dev, struct debug_device, dev);
}

static uint64_t console_read(void *dev, uint64_t offset, unsigned size)
{
	(void)dev;
	(void)offset;
	(void)size;
	return CONSOLE_PRESENT;
}

static void console_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	struct debug_device *d = debug_of(dev);

	(void)offset;
	(void)size;
	if (d->ops.tx_byte)
		d->ops.tx_byte(d->ops.ctx, (uint8_t)value);
}

static uint32_t console_write_many(void *dev, uint64_t offset, unsigned size, const void *buf,
				   uint32_t count)
{
	const uint8_t *p = buf;

	for (uint32_t i = 0; i < count; i++)
		console_write(dev, offset, size, p[i]);
	return count;
}

static uint64_t exit_read(void *dev, uint64_t offset, unsigned size)
{
	(void)dev;
	(void)offset;
	(void)size;
	return 0;
}

/* Four ports wide, so that guests may write a double word; the code is what goes to the first. */
static void exit_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	struct debug_device *d = debug_of(dev);

	(void)size;
	if (offset == 0 && d->ops.exit)
		d->ops.exit(d->ops.ctx, (uint32_t)value);
}

static uint64_t post_read(void *dev, uint64_t offset, unsigned size)
{
	(void)offset;
	(void)size;
	return debug_of(dev)->post;
}

static void post_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	(void)offset;
	(void)size;
	debug_of(dev)->post = (uint8_t)value;
}

static const struct io_ops console_ops = {
	.read = console_read,
	.write = console_write,
	.write_many = console_write_many,
	.sizes = 1,
};
static const struct io_ops exit_ops = {
	.read = exit_read,
	.write = exit_write,
	.sizes = 1 | 2 | 4,
};
static const struct io_ops post_ops = {
	.read = post_read,
	.write = post_write,
	.sizes = 1,
};

static void debug_reset(struct device *dev)
{
	debug_of(dev)->post = 0;
}

void debug_init(struct debug_device *d, const struct debug_ops *ops)
{
	*d = (struct debug_device){
		.dev =
			{
				.name = "debug",
				.lock = SPINLOCK_INIT(RANK_DEVICE, "debug"),
				.reset = debug_reset,
			},
		.ops = *ops,
	};
}

struct io_region debug_region(struct debug_device *d, unsigned i)
{
	static const struct io_region regions[DEBUG_REGION_COUNT] = {
		{.base = DEBUG_PORT_CONSOLE,
		 .len = 1,
		 .ops = &console_ops,
		 .name = "debug console"},
		{.base = DEBUG_PORT_FIRMWARE,
		 .len = 1,
		 .ops = &console_ops,
		 .name = "firmware log"},
		{.base = DEBUG_PORT_EXIT, .len = 4, .ops = &exit_ops, .name = "debug exit"},
		{.base = DEBUG_PORT_POST, .len = 1, .ops = &post_ops, .name = "POST code"},
	};
	struct io_region r = regions[i];

	r.dev = &d->dev;
	return r;
}
