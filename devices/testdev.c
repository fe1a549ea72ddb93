/*
 * A device for test guests and the bench; its registers are described in the header. It must not
 * know who measures what with it.
 */
#include <crvm/devices/testdev.h>
#include <crvm/string.h>

static struct testdev *testdev_of(void *dev)
{
	return container_of(dev, struct testdev, dev);
}

/* The bytes of a register file as a number, and back; the bus has checked nothing but the region's
 * end. */
static inline uint64_t bytes_get(const uint8_t *p, unsigned size)
{
	uint64_t v = 0;

	if (likely(size == 4)) {
		__builtin_memcpy(&v, p, 4);
		return v;
	}
	switch (size) {
	case 1:
		return *p;
	case 2:
		__builtin_memcpy(&v, p, 2);
		return v;
	default:
		__builtin_memcpy(&v, p, 8);
		return v;
	}
}

static inline void bytes_put(uint8_t *p, unsigned size, uint64_t v)
{
	if (likely(size == 4)) {
		__builtin_memcpy(p, &v, 4);
		return;
	}
	switch (size) {
	case 1:
		*p = (uint8_t)v;
		break;
	case 2:
		__builtin_memcpy(p, &v, 2);
		break;
	default:
		__builtin_memcpy(p, &v, 8);
		break;
	}
}

static void testdev_reset(struct device *dev)
{
	struct testdev *t = testdev_of(dev);

	memset(t->registers, 0, sizeof(t->registers));
	memset(t->counter, 0, sizeof(t->counter));
	memset(t->mmio, 0, sizeof(t->mmio));
	t->selected = 0;
	t->last = 0;
}

static uint64_t port_read(void *dev, uint64_t offset, unsigned size)
{
	struct testdev *t = testdev_of(dev);

	if (offset + size <= sizeof(t->registers)) {
		t->counter[TESTDEV_PORT_READS]++;
		return bytes_get(t->registers + offset, size);
	}
	if (offset == TESTDEV_STREAM) {
		t->counter[TESTDEV_STREAM_CALLS]++;
		return t->counter[TESTDEV_STREAM_READS]++;
	}
	if (offset == TESTDEV_COUNTER && size == 4)
		return t->counter[t->selected];
	return ~0ull;
}

/* Apart, so that the frequent case of its caller is short. */
static __attribute__((noinline)) void counter_select(struct testdev *t, uint64_t value)
{
	if (value == TESTDEV_RESET)
		testdev_reset(&t->dev);
	else if (value < TESTDEV_COUNTER_COUNT)
		t->selected = (uint8_t)value;
}

static void port_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	struct testdev *t = testdev_of(dev);

	if (offset + size <= sizeof(t->registers)) {
		t->counter[TESTDEV_PORT_WRITES]++;
		bytes_put(t->registers + offset, size, value);
	} else if (offset == TESTDEV_STREAM) {
		t->counter[TESTDEV_STREAM_CALLS]++;
		t->counter[TESTDEV_STREAM_WRITES]++;
		t->counter[TESTDEV_CHECKSUM] += (uint32_t)value;
	} else if (offset == TESTDEV_COUNTER && size == 4) {
		counter_select(t, value);
	}
}

/* Two numbers at a time: the bench measures how little the way here costs, not this loop. */
static void stream_fill(uint8_t *p, uint32_t next, uint32_t count)
{
	const uint64_t step = 2ull << 32 | 2;
	uint64_t two = next | (uint64_t)(next + 1) << 32;

	/* Neither half may carry into the other. */
	for (; count >= 8 && next < UINT32_MAX - 16; count -= 8, next += 8, p += 32) {
		const uint64_t eight[4] = {two, two + step, two + 2 * step, two + 3 * step};

		__builtin_memcpy(p, eight, sizeof(eight));
		two += 4 * step;
	}
	for (; count > 0; count--, next++, p += 4)
		__builtin_memcpy(p, &next, 4);
}

static uint32_t port_read_many(void *dev, uint64_t offset, unsigned size, void *buf, uint32_t count)
{
	struct testdev *t = testdev_of(dev);
	uint8_t *p = buf;

	if (offset != TESTDEV_STREAM) {
		bytes_put(p, size, port_read(dev, offset, size));
		return 1;
	}
	if (size == 4) {
		stream_fill(p, t->counter[TESTDEV_STREAM_READS], count);
	} else {
		for (uint32_t i = 0; i < count; i++)
			bytes_put(p + (size_t)i * size, size, t->counter[TESTDEV_STREAM_READS] + i);
	}
	t->counter[TESTDEV_STREAM_CALLS]++;
	t->counter[TESTDEV_STREAM_READS] += count;
	return count;
}

static uint32_t port_write_many(void *dev, uint64_t offset, unsigned size, const void *buf,
				uint32_t count)
{
	struct testdev *t = testdev_of(dev);
	const uint8_t *p = buf;
	uint32_t sum = 0;

	if (offset != TESTDEV_STREAM) {
		port_write(dev, offset, size, bytes_get(p, size));
		return 1;
	}
	for (uint32_t i = 0; i < count; i++)
		sum += (uint32_t)bytes_get(p + (size_t)i * size, size);
	t->counter[TESTDEV_STREAM_CALLS]++;
	t->counter[TESTDEV_STREAM_WRITES] += count;
	t->counter[TESTDEV_CHECKSUM] += sum;
	return count;
}

static uint64_t log_read(const struct testdev *t, uint64_t offset, unsigned size)
{
	if (size != 4)
		return ~0ull;
	switch (offset) {
	case TESTDEV_LOG_READS:
		return t->counter[TESTDEV_MMIO_READS];
	case TESTDEV_LOG_WRITES:
		return t->counter[TESTDEV_MMIO_WRITES];
	case TESTDEV_LOG_LAST:
		return t->last;
	case TESTDEV_LOG_ID:
		return TESTDEV_ID;
	default:
		return ~0ull;
	}
}

static uint64_t mmio_read(void *dev, uint64_t offset, unsigned size)
{
	struct testdev *t = testdev_of(dev);

	if (unlikely(offset + size > TESTDEV_LOG))
		return log_read(t, offset, size);
	t->counter[TESTDEV_MMIO_READS]++;
	t->last = (uint32_t)offset | size << 12;
	return bytes_get(t->mmio + offset, size);
}

static void mmio_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	struct testdev *t = testdev_of(dev);

	if (unlikely(offset + size > TESTDEV_LOG))
		return;
	t->counter[TESTDEV_MMIO_WRITES]++;
	t->last = (uint32_t)offset | size << 12 | 1u << 16;
	bytes_put(t->mmio + offset, size, value);
}

static const struct io_ops port_ops = {
	.read = port_read,
	.write = port_write,
	.read_many = port_read_many,
	.write_many = port_write_many,
	.sizes = 1 | 2 | 4,
};
static const struct io_ops mmio_ops = {
	.read = mmio_read,
	.write = mmio_write,
	.sizes = 1 | 2 | 4 | 8,
};

void testdev_init(struct testdev *t)
{
	memset(t, 0, sizeof(*t));
	t->dev = (struct device){
		.name = "testdev",
		.lock = SPINLOCK_INIT(RANK_DEVICE, "testdev"),
		.reset = testdev_reset,
	};
}

struct io_region testdev_port_region(struct testdev *t, uint16_t base)
{
	return (struct io_region){
		.base = base,
		.len = TESTDEV_PORT_COUNT,
		.ops = &port_ops,
		.dev = &t->dev,
		.name = "testdev ports",
	};
}

struct io_region testdev_mmio_region(struct testdev *t, uint64_t base)
{
	return (struct io_region){
		.base = base,
		.len = TESTDEV_MMIO_SIZE,
		.ops = &mmio_ops,
		.dev = &t->dev,
		.name = "testdev memory",
	};
}
