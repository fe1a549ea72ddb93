/*
 * The parallel port, to include/crvm/devices/printer.h. Must not know where characters go.
 */
#include <crvm/devices/printer.h>

enum { POWER_ON = PRINTER_NO_INIT | PRINTER_SELECT };

static struct printer *printer_of(void *dev)
{
	return container_of(dev, struct printer, dev);
}

static void irq_set(struct printer *p, bool up)
{
	if (p->irq_up == up)
		return;
	p->irq_up = up;
	p->ops.irq.set(p->ops.irq.ctx, up);
}

static void strobe(struct printer *p)
{
	if (p->ops.tx)
		p->ops.tx(p->ops.ctx, p->data);
	if (unlikely(p->control & PRINTER_IRQ)) {
		irq_set(p, false);
		irq_set(p, true);
	}
}

static uint64_t printer_read(void *dev, uint64_t offset, unsigned size)
{
	const struct printer *p = printer_of(dev);

	(void)size;
	if (likely(offset == PRINTER_PORT_STATUS - PRINTER_PORT_DATA))
		return PRINTER_READY;
	if (offset == 0)
		return p->data;
	return p->control | (uint8_t)~PRINTER_CONTROL_BITS;
}

static void printer_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	struct printer *p = printer_of(dev);

	(void)size;
	if (offset == 0) {
		p->data = (uint8_t)value;
	} else if (likely(offset == PRINTER_PORT_CONTROL - PRINTER_PORT_DATA)) {
		const unsigned rising = (unsigned)value & ~(unsigned)p->control;

		p->control = (uint8_t)value;
		if (!(value & PRINTER_IRQ))
			irq_set(p, false);
		if (rising & PRINTER_STROBE)
			strobe(p);
	}
}

static void printer_reset(struct device *dev)
{
	struct printer *p = printer_of(dev);

	irq_set(p, false);
	p->data = 0;
	p->control = POWER_ON;
}

void printer_init(struct printer *p, const struct printer_ops *ops)
{
	*p = (struct printer){
		.dev =
			{
				.name = "printer",
				.lock = SPINLOCK_INIT(RANK_DEVICE, "printer"),
				.reset = printer_reset,
			},
		.ops = *ops,
		.control = POWER_ON,
	};
}

struct io_region printer_region(struct printer *p, unsigned i)
{
	static const struct io_ops ops = {
		.read = printer_read,
		.write = printer_write,
		.sizes = 1,
	};

	(void)i;
	return (struct io_region){
		.base = PRINTER_PORT_DATA,
		.len = 3,
		.ops = &ops,
		.dev = &p->dev,
		.name = "printer",
	};
}
