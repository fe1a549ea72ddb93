/*
 * Routing of port and memory accesses to devices (core/io_bus.c). Filled at VM creation, then
 * frozen and only read. Knows no device type, no vCPU.
 */
#pragma once

#include <stdatomic.h>
#include <crvm/arena.h>
#include <crvm/device.h>

#define IO_BUS_REGION_MAX 64u

struct io_bus {
	uint64_t limit; /* addresses are below it: 10000h for ports */
	unsigned count, max;
	bool frozen;
	/* [0] is nobody's and has no length; then `count` of them, sorted, disjoint. */
	struct io_region *region;
	/* Ports: whose each one is, in pages of 256; as bytes from `region`. */
	const uint16_t *const *page;
	/* Memory: the region of the last hit, a hint that any CPU may change. */
	const struct io_region *_Atomic last;
};

/*
 * `limit` 0x10000 makes a port bus. Room for `max` regions, IO_BUS_REGION_MAX at most, comes from
 * the arena. E_NOMEM.
 */
must_check int io_bus_init(struct io_bus *b, uint64_t limit, unsigned max, struct arena *a);
/* E_EXIST overlap; E_INVAL empty, beyond the limit, frozen, no device or ops; E_NOMEM full. */
must_check int io_bus_add(struct io_bus *b, const struct io_region *r);
/* Builds the tables; accesses come after it only. E_NOMEM, E_INVAL if frozen already. */
must_check int io_bus_freeze(struct io_bus *b, struct arena *a);

/*
 * The device's answer, all ones (of `size` bytes) where there is no device or the access straddles
 * a region's end. Writes there are dropped. `size` 1, 2, 4, 8. Any CPU; takes the device's lock.
 */
uint64_t io_bus_read(struct io_bus *b, uint64_t addr, unsigned size);
void io_bus_write(struct io_bus *b, uint64_t addr, unsigned size, uint64_t value);
/* REP INS/OUTS to one port: `count` items; all are done. */
void io_bus_read_many(struct io_bus *b, uint64_t addr, unsigned size, void *buf, uint32_t count);
void io_bus_write_many(struct io_bus *b, uint64_t addr, unsigned size, const void *buf,
		       uint32_t count);
/* The region that has all of [addr, addr + size), or NULL. */
const struct io_region *io_bus_find(struct io_bus *b, uint64_t addr, unsigned size);

/*
 * The same for ports (below 64 Ki) alone, once the bus is frozen, where a call is too long. *port
 * becomes the offset in the region.
 */
static inline const struct io_region *io_bus_port_find(const struct io_bus *b, uint64_t *port,
						       uint64_t size)
{
	const uint16_t at = b->page[(uint8_t)(*port >> 8)][(uint8_t)*port];
	const struct io_region *r = (const void *)((const uint8_t *)b->region + at);

	*port -= r->base;
	return likely(*port + size <= r->len) ? r : NULL;
}
