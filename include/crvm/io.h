/*
 * Port and memory accesses of a guest on their way to a device (core/io_bus.c). Devices see this
 * and device.h.
 */
#pragma once

#include <crvm/compiler.h>

/*
 * A device's side of one region. `offset` counts from the region's start; `size` is 1, 2, 4 or
 * (memory only) 8, and offset + size never leaves the region: an access that straddles the end is
 * not the device's. Reads return the value in the low `size` bytes; what lies above is ignored.
 */
struct io_ops {
	uint64_t (*read)(void *dev, uint64_t offset, unsigned size);
	void (*write)(void *dev, uint64_t offset, unsigned size, uint64_t value);
	/* May be NULL. `count` items of `size` bytes to or from buf, as REP INS/OUTS; returns items
	 * done, >= 1. */
	uint32_t (*read_many)(void *dev, uint64_t offset, unsigned size, void *buf, uint32_t count);
	uint32_t (*write_many)(void *dev, uint64_t offset, unsigned size, const void *buf,
			       uint32_t count);
	/*
	 * Sizes that the device takes itself, a bit for each of 1, 2, 4, 8. Others are split into
	 * the largest that it takes, low address first. At least bit 0.
	 */
	uint8_t sizes;
};

struct device;

struct io_region {
	uint64_t base, len;
	const struct io_ops *ops;
	struct device *dev; /* its lock is held around each call */
	const char *name;
};
