/*
 * System control port A, to include/crvm/devices/port92.h. Must not know what A20 and reset do.
 */
#include <crvm/devices/port92.h>

static struct port92 *port92_of(void *dev)
{
	return container_of(dev, struct port92, dev);
}

static uint64_t port92_read(void *dev, uint64_t offset, unsigned size)
{
	(void)offset;
	(void)size;
	return port92_of(dev)->value;
}

static void port92_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	struct port92 *p = port92_of(dev);
	const unsigned rising = (unsigned)value & ~(unsigned)p->value;

	(void)offset;
	(void)size;
	p->value = value & PORT92_BITS;
	if (p->ops.a20)
		p->ops.a20(p->ops.ctx, value & PORT92_A20);
	if ((rising & PORT92_RESET) && p->ops.reset) /* last: it may end the VM */
		p->ops.reset(p->ops.ctx);
}

static void port92_reset(struct device *dev)
{
	struct port92 *p = port92_of(dev);

	p->value = PORT92_A20;
	if (p->ops.a20)
		p->ops.a20(p->ops.ctx, true);
}

void port92_init(struct port92 *p, const struct port92_ops *ops)
{
	*p = (struct port92){
		.dev =
			{
				.name = "port92",
				.lock = SPINLOCK_INIT(RANK_DEVICE, "port92"),
				.reset = port92_reset,
			},
		.ops = *ops,
		.value = PORT92_A20,
	};
}

struct io_region port92_region(struct port92 *p, unsigned i)
{
	static const struct io_ops ops = {
		.read = port92_read,
		.write = port92_write,
		.sizes = 1,
	};

	(void)i;
	return (struct io_region){
		.base = PORT92_PORT,
		.len = 1,
		.ops = &ops,
		.dev = &p->dev,
		.name = "port 92h",
	};
}
