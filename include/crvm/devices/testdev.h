/*
 * A device for test guests and the bench (devices/testdev.c): it does nothing useful, predictably,
 *and counts what reaches it. Knows no guest.
 *
 * Ports, from a configurable base:
 *
 *	+0 .. +7	eight bytes of registers: what was written is read, in any size
 *	+8		stream, 1, 2 or 4 bytes wide. Each read gives the next number, from 0 after
 *			reset, cut to the width. Each write adds its value to the write checksum.
 *	+9 .. +B	nothing: reads give all ones
 *	+C		counters, 4 bytes. Write: the number of a counter (enum testdev_counter), or
 *			TESTDEV_RESET to reset the device. Read: the selected counter, modulo 2^32.
 *			Does not count as an access. Other sizes: all ones.
 *	+D .. +F	nothing
 *
 * Memory, one page:
 *
 *	+000 .. +FEF	registers: what was written is read, in any size, at any offset
 *	+FF0		reads of the registers since reset
 *	+FF4		writes to the registers since reset
 *	+FF8		the last access: bits 0-11 offset, 12-15 size, 16 set for a write
 *	+FFC		TESTDEV_ID
 *
 * The last four are read as 4 bytes each and count as no access. What overlaps them in another way
 * reads all ones; writes there are dropped.
 */
#pragma once

#include <crvm/device.h>

#define TESTDEV_PORT_COUNT 16u
#define TESTDEV_MMIO_SIZE  4096u
#define TESTDEV_ID	   0x54535443u /* "CTST" in memory */
#define TESTDEV_RESET	   0xffu

enum testdev_port { TESTDEV_REGISTERS = 0, TESTDEV_STREAM = 8, TESTDEV_COUNTER = 0xc };

enum testdev_mmio {
	TESTDEV_LOG = 0xff0,
	TESTDEV_LOG_READS = 0xff0,
	TESTDEV_LOG_WRITES = 0xff4,
	TESTDEV_LOG_LAST = 0xff8,
	TESTDEV_LOG_ID = 0xffc,
};

enum testdev_counter {
	TESTDEV_PORT_READS, /* of +0 .. +7 */
	TESTDEV_PORT_WRITES,
	TESTDEV_STREAM_READS, /* items; also the next number */
	TESTDEV_STREAM_WRITES,
	TESTDEV_CHECKSUM,     /* sum of the items written */
	TESTDEV_STREAM_CALLS, /* entries to the stream: one for a whole string instruction */
	TESTDEV_MMIO_READS,
	TESTDEV_MMIO_WRITES,
	TESTDEV_COUNTER_COUNT
};

struct testdev {
	struct device dev;
	uint8_t registers[8];
	uint8_t selected; /* counter */
	uint32_t counter[TESTDEV_COUNTER_COUNT];
	uint32_t last; /* TESTDEV_LOG_LAST */
	uint8_t mmio[TESTDEV_LOG];
};

void testdev_init(struct testdev *t);
struct io_region testdev_port_region(struct testdev *t, uint16_t base);
struct io_region testdev_mmio_region(struct testdev *t, uint64_t base);
