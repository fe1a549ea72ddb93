/*
 * Routing of port and memory accesses.
 * needs: core/io_bus.c
 * needs: mm/arena.c mm/frames.c mm/frames_region.c mm/hostmap.c
 * needs: tests/fake/panic.c tests/fake/spinlock.c
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <crvm/io_bus.h>
#include <crvm/hostmap.h>
#include <crvm/status.h>
#include "panic.h"
#include "ram.h"
#include "spinlock.h"

#define MIB   (1ul << 20)
#define PORTS 0x10000u
#define MEM   (1ull << 46)

/* A device that writes down what reaches it, and answers with its own number in each byte. */
struct recorder {
	struct device dev;
	uint64_t answer;
	unsigned reads, writes;
	uint64_t offset[64], value[64];
	unsigned size[64];
	uint32_t at_most, lie; /* read_many, write_many: items done; a wrong return value */
	unsigned many_calls;
};

static struct recorder *rec_of(void *dev)
{
	return container_of(dev, struct recorder, dev);
}

static void note(struct recorder *r, uint64_t offset, unsigned size, uint64_t value)
{
	unsigned i = (r->reads + r->writes) % 64;

	assert_int_equal(fake_spin_held(), 1);
	r->offset[i] = offset;
	r->size[i] = size;
	r->value[i] = value;
}

static uint64_t rec_read(void *dev, uint64_t offset, unsigned size)
{
	struct recorder *r = rec_of(dev);

	note(r, offset, size, 0);
	r->reads++;
	return r->answer + offset;
}

static void rec_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	struct recorder *r = rec_of(dev);

	note(r, offset, size, value);
	r->writes++;
}

static uint32_t rec_read_many(void *dev, uint64_t offset, unsigned size, void *buf, uint32_t count)
{
	struct recorder *r = rec_of(dev);
	uint8_t *p = buf;

	if (r->lie)
		return r->lie == UINT32_MAX ? 0 : count + r->lie;
	if (r->at_most && count > r->at_most)
		count = r->at_most;
	r->many_calls++;
	for (uint32_t i = 0; i < count; i++) {
		uint64_t v = rec_read(dev, offset, size) + r->reads;

		memcpy(p + i * size, &v, size);
	}
	return count;
}

static uint32_t rec_write_many(void *dev, uint64_t offset, unsigned size, const void *buf,
			       uint32_t count)
{
	struct recorder *r = rec_of(dev);
	const uint8_t *p = buf;

	if (r->lie)
		return r->lie == UINT32_MAX ? 0 : count + r->lie;
	if (r->at_most && count > r->at_most)
		count = r->at_most;
	r->many_calls++;
	for (uint32_t i = 0; i < count; i++) {
		uint64_t v = 0;

		memcpy(&v, p + i * size, size);
		rec_write(dev, offset, size, v);
	}
	return count;
}

#define OPS(sizes_)                                                     \
	{                                                               \
		.read = rec_read, .write = rec_write, .sizes = (sizes_) \
	}
static const struct io_ops ops_all = OPS(15), ops_byte = OPS(1), ops_word = OPS(1 | 2),
			   ops_gap = OPS(1 | 8);
static const struct io_ops ops_many = {rec_read, rec_write, rec_read_many, rec_write_many,
				       1 | 2 | 4};
static const struct io_ops ops_many_byte = {rec_read, rec_write, rec_read_many, rec_write_many, 1};

static struct arena arena;
static struct io_bus bus;
static struct recorder dev[IO_BUS_REGION_MAX + 1];

static int setup(void **state)
{
	(void)state;
	fake_ram_reset();
	frames_init();
	assert_int_equal(frames_add(2 * MIB, 4 * MIB), OK);
	arena_init(&arena, FRAME_VM0);
	memset(dev, 0, sizeof(dev));
	for (unsigned i = 0; i < array_count(dev); i++) {
		dev[i].dev.lock = (struct spinlock)SPINLOCK_INIT(RANK_DEVICE, "recorder");
		dev[i].answer = 0x0101010101010101 * (i + 1);
	}
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	assert_int_equal(fake_spin_held(), 0);
	return 0;
}

static int add(unsigned i, uint64_t base, uint64_t len, const struct io_ops *ops)
{
	const struct io_region r = {base, len, ops, &dev[i].dev, "recorder"};

	return io_bus_add(&bus, &r);
}

#define add_ok(i, base, len, ops) assert_int_equal(add(i, base, len, ops), OK)

static void freeze(void)
{
	assert_int_equal(io_bus_freeze(&bus, &arena), OK);
}

static unsigned calls(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < array_count(dev); i++)
		n += dev[i].reads + dev[i].writes;
	return n;
}

static void test_an_empty_bus_reads_all_ones(void **state)
{
	uint32_t buf[4] = {0};

	(void)state;
	for (unsigned k = 0; k < 2; k++) {
		assert_int_equal(io_bus_init(&bus, k ? MEM : PORTS, IO_BUS_REGION_MAX, &arena), OK);
		for (unsigned frozen = 0; frozen < 2; frozen++) {
			assert_int_equal(io_bus_read(&bus, 0, 1), 0xff);
			assert_int_equal(io_bus_read(&bus, 0x1234, 2), 0xffff);
			assert_int_equal(io_bus_read(&bus, 0xffff, 4), 0xffffffff);
			assert_int_equal(io_bus_read(&bus, MEM - 8, 8), ~0ull);
			assert_int_equal(io_bus_read(&bus, ~0ull, 1), 0xff);
			assert_int_equal(io_bus_read(&bus, ~0ull, 8), ~0ull);
			io_bus_write(&bus, 0, 1, 5);
			io_bus_write(&bus, ~0ull, 8, 5);
			assert_null(io_bus_find(&bus, 0, 1));
			if (!frozen)
				freeze();
		}
		io_bus_read_many(&bus, 0x60, 4, buf, 3);
		assert_int_equal(buf[2], 0xffffffff);
		assert_int_equal(buf[3], 0);
		buf[0] = 0;
		io_bus_read_many(&bus, 0x60, 4, buf, 0);
		assert_int_equal(buf[0], 0);
		io_bus_write_many(&bus, 0x60, 4, buf, 3);
	}
}

static void test_ports_reach_their_device_with_offset_and_size(void **state)
{
	(void)state;
	assert_int_equal(io_bus_init(&bus, PORTS, IO_BUS_REGION_MAX, &arena), OK);
	add_ok(0, 0x3f8, 8, &ops_all);
	add_ok(1, 0x400, 1, &ops_all);
	add_ok(2, 0, 2, &ops_all);
	add_ok(3, 0xfffc, 4, &ops_all);
	add_ok(4, 0x2f0, 0x108, &ops_all); /* ends where 3f8 begins, over a page's border */
	freeze();
	assert_int_equal(io_bus_read(&bus, 0x3f8, 1), 0x01);
	assert_int_equal(io_bus_read(&bus, 0x3fc, 4), 0x01010105);
	assert_int_equal(dev[0].offset[1], 4);
	assert_int_equal(dev[0].size[1], 4);
	assert_int_equal(io_bus_read(&bus, 0x400, 1), 0x02);
	assert_int_equal(io_bus_read(&bus, 0, 2), 0x0303);
	assert_int_equal(io_bus_read(&bus, 0xfffc, 4), 0x04040404);
	assert_int_equal(io_bus_read(&bus, 0xffff, 1), 0x07);
	assert_int_equal(io_bus_read(&bus, 0x2ff, 1), 0x14);
	assert_int_equal(io_bus_read(&bus, 0x300, 2), 0x0515);
	io_bus_write(&bus, 0x3f9, 2, 0xdeadbeef);
	assert_int_equal(dev[0].writes, 1);
	assert_int_equal(dev[0].offset[2], 1);
	assert_int_equal(dev[0].value[2], 0xbeef);
	assert_ptr_equal(io_bus_find(&bus, 0x3f8, 8)->dev, &dev[0].dev);
}

static void test_an_access_across_the_end_is_nobodys(void **state)
{
	(void)state;
	for (unsigned k = 0; k < 2; k++) {
		assert_int_equal(io_bus_init(&bus, k ? MEM : PORTS, IO_BUS_REGION_MAX, &arena), OK);
		add_ok(0, 0x3f8, 8, &ops_all);
		add_ok(1, 0x400, 4, &ops_all); /* the neighbour gets no part of it either */
		freeze();
		for (unsigned size = 2; size <= 8; size *= 2)
			for (unsigned at = 0x400 - size + 1; at < 0x400; at++) {
				assert_int_equal(io_bus_read(&bus, at, size),
						 ~0ull >> (64 - 8 * size));
				io_bus_write(&bus, at, size, 0);
				assert_null(io_bus_find(&bus, at, size));
			}
		assert_int_equal(io_bus_read(&bus, 0x3f7, 2), 0xffff);
		assert_int_equal(io_bus_read(&bus, 0x402, 4), 0xffffffff);
		assert_int_equal(calls(), 0);
		assert_int_equal(io_bus_read(&bus, 0x3fe, 2), 0x0107);
		assert_int_equal(calls(), 1);
		setup(state);
	}
}

static void test_an_access_across_the_last_port_is_nobodys(void **state)
{
	(void)state;
	assert_int_equal(io_bus_init(&bus, PORTS, IO_BUS_REGION_MAX, &arena), OK);
	add_ok(0, 0xfff0, 0x10, &ops_all);
	add_ok(1, 0, 0x10, &ops_all); /* ports do not wrap around */
	freeze();
	assert_int_equal(io_bus_read(&bus, 0xfffe, 4), 0xffffffff);
	assert_int_equal(io_bus_read(&bus, 0x10000, 1), 0xff);
	assert_int_equal(io_bus_read(&bus, 1ull << 32, 1), 0xff);
	assert_int_equal(calls(), 0);
	assert_int_equal(io_bus_read(&bus, 0xfffe, 2), 0x010f);
}

static void test_answers_are_cut_to_the_size(void **state)
{
	(void)state;
	assert_int_equal(io_bus_init(&bus, MEM, IO_BUS_REGION_MAX, &arena), OK);
	add_ok(0, 0x1000, 16, &ops_all);
	freeze();
	dev[0].answer = 0x8877665544332211;
	assert_int_equal(io_bus_read(&bus, 0x1000, 1), 0x11);
	assert_int_equal(io_bus_read(&bus, 0x1000, 2), 0x2211);
	assert_int_equal(io_bus_read(&bus, 0x1000, 4), 0x44332211);
	assert_int_equal(io_bus_read(&bus, 0x1000, 8), 0x8877665544332211);
	for (unsigned size = 1; size <= 8; size *= 2)
		io_bus_write(&bus, 0x1000, size, 0x8877665544332211);
	assert_int_equal(dev[0].value[4], 0x11);
	assert_int_equal(dev[0].value[5], 0x2211);
	assert_int_equal(dev[0].value[6], 0x44332211);
	assert_int_equal(dev[0].value[7], 0x8877665544332211);
}

static void test_sizes_that_a_device_lacks_are_split(void **state)
{
	(void)state;
	assert_int_equal(io_bus_init(&bus, MEM, IO_BUS_REGION_MAX, &arena), OK);
	add_ok(0, 0x1000, 16, &ops_byte);
	add_ok(1, 0x2000, 16, &ops_word);
	add_ok(2, 0x3000, 16, &ops_gap);
	freeze();
	dev[0].answer = 0xffffff40;
	assert_int_equal(io_bus_read(&bus, 0x1001, 4), 0x44434241);
	assert_int_equal(dev[0].reads, 4);
	assert_int_equal(dev[0].offset[3], 4);
	assert_int_equal(dev[0].size[3], 1);
	dev[1].answer = 0x7777a000;
	assert_int_equal(io_bus_read(&bus, 0x2000, 8), 0xa006a004a002a000);
	assert_int_equal(dev[1].reads, 4);
	io_bus_write(&bus, 0x2004, 4, 0x99998765cafe1234);
	assert_int_equal(dev[1].writes, 2);
	assert_int_equal(dev[1].offset[4], 4);
	assert_int_equal(dev[1].value[4], 0x1234);
	assert_int_equal(dev[1].offset[5], 6);
	assert_int_equal(dev[1].value[5], 0xcafe);
	/* Not 8 for a 4: larger parts than the access would touch more than was asked. */
	io_bus_write(&bus, 0x3000, 4, 0x04030201);
	assert_int_equal(dev[2].writes, 4);
	assert_int_equal(dev[2].value[3], 4);
	io_bus_write(&bus, 0x3000, 8, 0x0807060504030201);
	assert_int_equal(dev[2].writes, 5);
	assert_int_equal(dev[2].size[4], 8);
}

static void test_impossible_regions_are_refused(void **state)
{
	static const struct io_ops no_read = {.write = rec_write, .sizes = 1};
	static const struct io_ops no_write = {.read = rec_read, .sizes = 1};
	static const struct io_ops no_byte = {.read = rec_read, .write = rec_write, .sizes = 6};
	struct io_region r = {0x60, 1, &ops_all, NULL, "no device"};

	(void)state;
	assert_int_equal(io_bus_init(&bus, PORTS, IO_BUS_REGION_MAX, &arena), OK);
	assert_int_equal(add(0, 0x60, 0, &ops_all), E_INVAL);
	assert_int_equal(add(0, 0xffff, 2, &ops_all), E_INVAL);
	assert_int_equal(add(0, 0x10000, 1, &ops_all), E_INVAL);
	assert_int_equal(add(0, 0, 0x10001, &ops_all), E_INVAL);
	assert_int_equal(add(0, ~0ull, 1, &ops_all), E_INVAL);
	assert_int_equal(add(0, 1, ~0ull, &ops_all), E_INVAL);
	assert_int_equal(add(0, 0x60, 1, NULL), E_INVAL);
	assert_int_equal(add(0, 0x60, 1, &no_read), E_INVAL);
	assert_int_equal(add(0, 0x60, 1, &no_write), E_INVAL);
	assert_int_equal(add(0, 0x60, 1, &no_byte), E_INVAL);
	assert_int_equal(io_bus_add(&bus, &r), E_INVAL);
	assert_int_equal(bus.count, 0);
	add_ok(0, 0, 0x10000, &ops_all);
	freeze();
	assert_int_equal(add(1, 0x60, 1, &ops_all), E_INVAL);
	assert_int_equal(io_bus_freeze(&bus, &arena), E_INVAL);
	assert_int_equal(io_bus_read(&bus, 0xffff, 1), 0);
	assert_int_equal(io_bus_init(&bus, ~0ull, IO_BUS_REGION_MAX, &arena),
			 OK); /* the widest memory bus: sums must not wrap */
	assert_int_equal(add(0, ~0ull - 1, 2, &ops_all), E_INVAL);
	add_ok(0, ~0ull - 16, 16, &ops_all);
	freeze();
	assert_int_equal(io_bus_read(&bus, ~0ull - 1, 1), 0x01 + 15);
	assert_int_equal(io_bus_read(&bus, ~0ull - 1, 8), ~0ull);
	assert_int_equal(io_bus_read(&bus, ~0ull, 8), ~0ull);
}

static void test_overlaps_are_refused(void **state)
{
	(void)state;
	assert_int_equal(io_bus_init(&bus, PORTS, IO_BUS_REGION_MAX, &arena), OK);
	add_ok(0, 0x100, 0x10, &ops_all);
	assert_int_equal(add(1, 0x100, 0x10, &ops_all), E_EXIST);
	assert_int_equal(add(1, 0x10f, 1, &ops_all), E_EXIST);
	assert_int_equal(add(1, 0xff, 2, &ops_all), E_EXIST);
	assert_int_equal(add(1, 0x80, 0x200, &ops_all), E_EXIST);
	assert_int_equal(add(1, 0x104, 1, &ops_all), E_EXIST);
	add_ok(1, 0x110, 1, &ops_all);
	add_ok(2, 0xff, 1, &ops_all);
	assert_int_equal(bus.count, 3);
	freeze();
	assert_int_equal(io_bus_read(&bus, 0xff, 1), 3);
	assert_int_equal(io_bus_read(&bus, 0x100, 1), 1);
	assert_int_equal(io_bus_read(&bus, 0x110, 1), 2);
}

static void test_a_full_table(void **state)
{
	(void)state;
	for (unsigned k = 0; k < 2; k++) {
		setup(state);
		assert_int_equal(io_bus_init(&bus, k ? MEM : PORTS, IO_BUS_REGION_MAX, &arena), OK);
		/* In an order that is neither rising nor falling. */
		for (unsigned i = 0; i < IO_BUS_REGION_MAX; i++)
			add_ok(i, (i * 37 % 64) * 0x100 + 0x80, 0x100, &ops_all);
		assert_int_equal(add(64, 0x9000, 1, &ops_all), E_NOMEM);
		freeze();
		for (unsigned round = 0; round < 3; round++)
			for (unsigned i = 0; i < IO_BUS_REGION_MAX; i++) {
				uint64_t base = (i * 37 % 64) * 0x100 + 0x80;

				assert_int_equal(io_bus_read(&bus, base, 1), i + 1);
				assert_int_equal(io_bus_read(&bus, base + 0xff, 1),
						 (i + 1 + 0xff) & 0xff);
			}
		assert_int_equal(io_bus_read(&bus, 0x7f, 1), 0xff);
		assert_int_equal(io_bus_read(&bus, 0x4080, 1), 0xff);
		assert_int_equal(calls(), 2 * 3 * 64);
	}
}

static void test_no_more_regions_than_there_is_room_for(void **state)
{
	(void)state;
	for (unsigned k = 0; k < 2; k++)
		for (unsigned max = 0; max < 4; max++) {
			assert_int_equal(io_bus_init(&bus, k ? MEM : PORTS, max, &arena), OK);
			for (unsigned i = 0; i < max; i++)
				add_ok(i, 0x100 * (3 - i), 0x100, &ops_all);
			assert_int_equal(add(5, 0x1000, 1, &ops_all), E_NOMEM);
			freeze();
			for (unsigned i = 0; i < max; i++)
				assert_int_equal(io_bus_read(&bus, 0x100 * (3 - i), 1), i + 1);
			assert_int_equal(io_bus_read(&bus, 0x1000, 1), 0xff);
		}
	expect_panic((void)!io_bus_init(&bus, PORTS, IO_BUS_REGION_MAX + 1, &arena), "max");
}

/* Port 0 is in each table's first place, region 1 behind the one for nobody. */
static void test_the_lowest_and_the_highest_port(void **state)
{
	(void)state;
	assert_int_equal(io_bus_init(&bus, PORTS, 2, &arena), OK);
	add_ok(0, 0xffff, 1, &ops_all);
	add_ok(1, 0, 1, &ops_all);
	freeze();
	assert_int_equal(io_bus_read(&bus, 0, 1), 2);
	assert_int_equal(io_bus_read(&bus, 1, 1), 0xff);
	assert_int_equal(io_bus_read(&bus, 0xfffe, 1), 0xff);
	assert_int_equal(io_bus_read(&bus, 0xffff, 1), 1);
	assert_null(io_bus_find(&bus, 0xffff, 2));
}

static void test_no_memory_for_the_tables(void **state)
{
	hpa_t frame;

	(void)state;
	assert_int_equal(io_bus_init(&bus, PORTS, IO_BUS_REGION_MAX, &arena), OK);
	add_ok(0, 0, 0x10000, &ops_all);
	while (frames_alloc(0, FRAME_HV, &frame) == OK)
		;
	assert_int_equal(io_bus_freeze(&bus, &arena), E_NOMEM);
	assert_false(bus.frozen);
	assert_int_equal(io_bus_read(&bus, 0x60, 1), 0xff);
	while (arena_alloc(&arena, 64, 1))
		;
	assert_int_equal(io_bus_init(&bus, PORTS, 1, &arena), E_NOMEM);
}

static void test_strings_go_to_the_device_in_one_piece(void **state)
{
	uint8_t raw[1 + 4 * 8], *buf = raw + 1; /* a guest's buffer has any alignment */
	uint32_t v;

	(void)state;
	assert_int_equal(io_bus_init(&bus, PORTS, IO_BUS_REGION_MAX, &arena), OK);
	add_ok(0, 0x1f0, 8, &ops_many);
	freeze();
	dev[0].answer = 0x1000;
	io_bus_read_many(&bus, 0x1f0, 4, buf, 8);
	assert_int_equal(dev[0].many_calls, 1);
	assert_int_equal(dev[0].reads, 8);
	for (unsigned i = 0; i < 8; i++) {
		memcpy(&v, buf + 4 * i, 4);
		assert_int_equal(v, 0x1001 + i);
	}
	io_bus_write_many(&bus, 0x1f0, 4, buf, 8);
	assert_int_equal(dev[0].many_calls, 2);
	assert_int_equal(dev[0].writes, 8);
	assert_int_equal(dev[0].value[8], 0x1001);
	assert_int_equal(dev[0].value[15], 0x1008);
	/* A device that does a part is asked again for the rest. */
	dev[0].at_most = 3;
	io_bus_read_many(&bus, 0x1f2, 2, buf, 8);
	assert_int_equal(dev[0].many_calls, 5);
	assert_int_equal(dev[0].offset[23], 2);
	io_bus_write_many(&bus, 0x1f2, 2, buf, 7);
	assert_int_equal(dev[0].many_calls, 8);
	assert_int_equal(dev[0].writes, 15);
}

static void test_strings_to_devices_without_many(void **state)
{
	uint8_t buf[33];

	(void)state;
	assert_int_equal(io_bus_init(&bus, PORTS, IO_BUS_REGION_MAX, &arena), OK);
	add_ok(0, 0x60, 8, &ops_all);
	add_ok(1, 0x70, 8, &ops_many_byte);
	freeze();
	memset(buf, 0xee, sizeof(buf));
	dev[0].answer = 0xa1a2;
	io_bus_read_many(&bus, 0x60, 2, buf + 1, 16);
	assert_int_equal(dev[0].reads, 16);
	assert_int_equal(buf[0], 0xee);
	assert_int_equal(buf[1], 0xa2);
	assert_int_equal(buf[32], 0xa1);
	for (unsigned size = 1; size <= 4; size *= 2)
		io_bus_write_many(&bus, 0x61, size, buf + 1, 3);
	assert_int_equal(dev[0].writes, 9);
	assert_int_equal(dev[0].value[16], 0xa2);
	assert_int_equal(dev[0].value[20], 0xa1a2);
	assert_int_equal(dev[0].value[24], 0xa1a2a1a2);
	/* Its read_many is for bytes: words are split, one by one. */
	dev[1].answer = 0x30;
	io_bus_read_many(&bus, 0x70, 2, buf, 4);
	assert_int_equal(dev[1].many_calls, 0);
	assert_int_equal(dev[1].reads, 8);
	assert_int_equal(buf[6], 0x30);
	assert_int_equal(buf[7], 0x31);
	io_bus_write_many(&bus, 0x70, 4, buf, 2);
	assert_int_equal(dev[1].writes, 8);
	io_bus_write_many(&bus, 0x70, 1, buf, 5);
	assert_int_equal(dev[1].many_calls, 1);
	/* Across the end: ones, and the device hears nothing. */
	io_bus_read_many(&bus, 0x77, 2, buf, 2);
	assert_int_equal(dev[1].reads, 8);
	assert_int_equal(buf[3], 0xff);
}

static void test_a_device_that_lies_about_items_is_our_fault(void **state)
{
	static uint8_t buf[64];

	(void)state;
	assert_int_equal(io_bus_init(&bus, PORTS, IO_BUS_REGION_MAX, &arena), OK);
	add_ok(0, 0x60, 8, &ops_many);
	freeze();
	for (unsigned k = 0; k < 2; k++) {
		dev[0].lie = k ? UINT32_MAX : 1;
		expect_panic(io_bus_read_many(&bus, 0x60, 4, buf, 3), "done");
		fake_spin_reset();
		expect_panic(io_bus_write_many(&bus, 0x60, 4, buf, 3), "done");
		fake_spin_reset();
	}
}

static void test_memory_remembers_the_last_hit_without_sticking(void **state)
{
	(void)state;
	assert_int_equal(io_bus_init(&bus, MEM, IO_BUS_REGION_MAX, &arena), OK);
	add_ok(0, 0xfee00000, 0x1000, &ops_all);
	add_ok(1, 0xfec00000, 0x1000, &ops_all);
	add_ok(2, 0xa0000, 0x20000, &ops_all);
	freeze();
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(io_bus_read(&bus, 0xfee00000, 4), 0x01010101);
		assert_int_equal(io_bus_read(&bus, 0xfee00000, 4), 0x01010101);
		assert_int_equal(io_bus_read(&bus, 0xfec00000, 4), 0x02020202);
		assert_int_equal(io_bus_read(&bus, 0xfee01000, 4), 0xffffffff);
		assert_int_equal(io_bus_read(&bus, 0xfedfffff, 1), 0xff);
		assert_int_equal(io_bus_read(&bus, 0xa0000, 8), 0x0303030303030303);
		assert_int_equal(io_bus_read(&bus, 0x9ffff, 1), 0xff);
		assert_int_equal(io_bus_read(&bus, 0xc0000, 1), 0xff);
		assert_int_equal(io_bus_read(&bus, 0xbffff, 1), 0x02);
	}
}

#define t(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		t(test_an_empty_bus_reads_all_ones),
		t(test_ports_reach_their_device_with_offset_and_size),
		t(test_an_access_across_the_end_is_nobodys),
		t(test_an_access_across_the_last_port_is_nobodys),
		t(test_answers_are_cut_to_the_size),
		t(test_sizes_that_a_device_lacks_are_split),
		t(test_impossible_regions_are_refused),
		t(test_overlaps_are_refused),
		t(test_a_full_table),
		t(test_no_more_regions_than_there_is_room_for),
		t(test_the_lowest_and_the_highest_port),
		t(test_no_memory_for_the_tables),
		t(test_strings_go_to_the_device_in_one_piece),
		t(test_strings_to_devices_without_many),
		t(test_a_device_that_lies_about_items_is_our_fault),
		t(test_memory_remembers_the_last_hit_without_sticking),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
