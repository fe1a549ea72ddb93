/*
 * Random regions and accesses on the buses, checked against a model that looks at every byte.
 * needs: core/io_bus.c tests/fake/panic.c tests/fake/spinlock.c
 *
 * The input is a list of commands of 8 bytes: kind, size, two of address, length, device, two of
 * value.
 */
#include <stdlib.h>
#include <string.h>
#include <crvm/io_bus.h>
#include <crvm/status.h>
#include "spinlock.h"

#define SPACE 0x10000u

#define require(cond)            \
	do {                     \
		if (!(cond))     \
			abort(); \
	} while (0)

/* The model: whose each address is, and one byte of memory for each. Devices are plain memory. */
static uint8_t owner[SPACE], memory[SPACE], shadow[SPACE];
static uint64_t base_of[256], limit;

struct memdev {
	struct device dev;
	unsigned index;
};
static struct memdev devices[256];

static const struct memdev *entered(void *dev, uint64_t offset, unsigned size)
{
	const struct memdev *d = container_of(dev, struct memdev, dev);

	require(fake_spin_held() == 1);
	for (unsigned i = 0; i < size; i++)
		require(owner[base_of[d->index] + offset + i] == d->index);
	return d;
}

static uint64_t mem_read(void *dev, uint64_t offset, unsigned size)
{
	const struct memdev *d = entered(dev, offset, size);
	uint64_t v = ~0x1234567ull; /* what lies above the size is to be ignored */

	memcpy(&v, memory + base_of[d->index] + offset, size);
	return v;
}

static void mem_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	const struct memdev *d = entered(dev, offset, size);

	require(size == 8 || value >> 8 * size == 0);
	memcpy(memory + base_of[d->index] + offset, &value, size);
}

static uint32_t mem_read_many(void *dev, uint64_t offset, unsigned size, void *buf, uint32_t count)
{
	uint8_t *p = buf;

	count = count > 5 ? 5 : count;
	for (uint32_t i = 0; i < count; i++) {
		uint64_t v = mem_read(dev, offset, size);

		memcpy(p + i * size, &v, size);
	}
	return count;
}

static uint32_t mem_write_many(void *dev, uint64_t offset, unsigned size, const void *buf,
			       uint32_t count)
{
	const uint8_t *p = buf;
	uint64_t v = 0;

	count = count > 5 ? 5 : count;
	for (uint32_t i = 0; i < count; i++) {
		memcpy(&v, p + i * size, size);
		mem_write(dev, offset, size, v);
	}
	return count;
}

/* Every set of sizes, with and without string functions. */
static struct io_ops ops[16];

/* Tables for the ports: the bus wants an arena, of which it needs this only. */
static uint8_t *pool;
static size_t pool_used;

void *arena_alloc(struct arena *a, size_t size, size_t align)
{
	(void)a;
	pool_used = align_up(pool_used, align);
	require(pool_used + size <= 1u << 20);
	pool_used += size;
	return pool + pool_used - size;
}

static struct io_bus bus;

static void add_region(const uint8_t *c, uint64_t addr)
{
	const unsigned index = bus.count + 1;
	const uint64_t len = (uint64_t)c[4] << (c[1] >> 4);
	const struct io_region r = {addr, len, &ops[c[5] % 16], &devices[index].dev, "fuzz"};
	int expected = OK, rc;

	if (len == 0 || bus.frozen || addr + len > limit)
		expected = E_INVAL;
	for (uint64_t i = addr; expected == OK && i < addr + len; i++)
		if (owner[i])
			expected = E_EXIST;
	if (expected == OK && bus.count == IO_BUS_REGION_MAX)
		expected = E_NOMEM;
	rc = io_bus_add(&bus, &r);
	require(rc == expected);
	if (rc != OK)
		return;
	base_of[index] = addr;
	memset(owner + addr, (int)index, len);
}

/* Whether one device has all of the access. */
static bool model_hits(uint64_t addr, unsigned size)
{
	for (unsigned i = 0; i < size; i++)
		if (addr + i >= limit || !owner[addr + i] || owner[addr + i] != owner[addr])
			return false;
	return true;
}

static void model_write(uint64_t addr, unsigned size, uint64_t value)
{
	if (model_hits(addr, size))
		memcpy(shadow + addr, &value, size);
}

static uint64_t model_read(uint64_t addr, unsigned size)
{
	uint64_t v = 0;

	if (!model_hits(addr, size))
		return ~0ull >> (64 - 8 * size);
	memcpy(&v, shadow + addr, size);
	return v;
}

static void access_many(uint64_t addr, unsigned size, const uint8_t *c)
{
	const uint32_t count = c[4] % 32;
	uint8_t buf[32 * 8 + 2];
	uint64_t v = 0;

	memset(buf, c[6], sizeof(buf));
	buf[0] = buf[1 + size * count] = 0x5a;
	if (c[0] & 1) {
		io_bus_write_many(&bus, addr, size, buf + 1, count);
		memset(&v, c[6], size);
		if (count)
			model_write(addr, size, v);
	} else {
		io_bus_read_many(&bus, addr, size, buf + 1, count);
		for (uint32_t i = 0; i < count; i++) {
			memcpy(&v, buf + 1 + i * size, size);
			require(v == model_read(addr, size));
		}
	}
	require(buf[0] == 0x5a && buf[1 + size * count] == 0x5a);
}

static void command(const uint8_t *c)
{
	const unsigned size = 1u << (c[1] & 3);
	uint64_t addr = c[2] | (uint64_t)c[3] << 8;
	const uint64_t value = (c[6] | (uint64_t)c[7] << 8) * 0x0001000100010001;

	if (c[0] == 0xff)
		addr += SPACE;
	switch (c[0] & 7) {
	case 0:
	case 1:
		if (!bus.frozen)
			add_region(c, addr);
		break;
	case 2:
	case 3:
		if (!bus.frozen)
			require(io_bus_freeze(&bus, NULL) == OK);
		access_many(addr, size, c);
		break;
	case 4:
	case 5:
		if (!bus.frozen)
			require(io_bus_freeze(&bus, NULL) == OK);
		io_bus_write(&bus, addr, size, value);
		model_write(addr, size, value & ~0ull >> (64 - 8 * size));
		break;
	default:
		if (!bus.frozen)
			require(io_bus_freeze(&bus, NULL) == OK);
		require(io_bus_read(&bus, addr, size) == model_read(addr, size));
		require((io_bus_find(&bus, addr, size) != NULL) == model_hits(addr, size));
		break;
	}
	require(fake_spin_held() == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!pool) {
		pool = aligned_alloc(64, 1u << 20);
		require(pool);
	}
	for (unsigned i = 0; i < 16; i++)
		ops[i] = (struct io_ops){
			.read = mem_read,
			.write = mem_write,
			.read_many = i & 8 ? mem_read_many : NULL,
			.write_many = i & 8 ? mem_write_many : NULL,
			.sizes = (uint8_t)(1 | (i & 7) << 1),
		};
	for (unsigned i = 0; i < 256; i++)
		devices[i] = (struct memdev){
			.dev.lock = SPINLOCK_INIT(RANK_DEVICE, "fuzz"),
			.index = i,
		};
	for (unsigned ports = 0; ports < 2; ports++) {
		memset(owner, 0, sizeof(owner));
		memset(memory, 0, sizeof(memory));
		memset(shadow, 0, sizeof(shadow));
		pool_used = 0;
		limit = ports ? SPACE : SPACE - 1; /* any other limit makes a memory bus */
		require(io_bus_init(&bus, limit, IO_BUS_REGION_MAX, NULL) == OK);
		for (size_t i = 0; i + 8 <= size && i < 8 * 512; i += 8)
			command(data + i);
		require(memcmp(memory, shadow, SPACE) == 0);
	}
	return 0;
}
