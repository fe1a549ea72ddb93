/*
 * The device for test guests and the bench, entered through the buses as a guest does.
 * needs: devices/testdev.c core/io_bus.c
 * needs: mm/arena.c mm/frames.c mm/frames_region.c mm/hostmap.c
 * needs: tests/fake/panic.c tests/fake/spinlock.c
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <crvm/devices/testdev.h>
#include <crvm/io_bus.h>
#include <crvm/hostmap.h>
#include <crvm/status.h>
#include "ram.h"

#define BASE 0x560u
#define PAGE 0xfd000000u

static struct testdev dev;
static struct io_bus ports, memory;
static struct arena arena;

static int setup(void **state)
{
	struct io_region r;

	(void)state;
	fake_ram_reset();
	frames_init();
	assert_int_equal(frames_add(0x200000, 0x200000), OK);
	arena_init(&arena, FRAME_VM0);
	memset(&dev, 0xee, sizeof(dev));
	testdev_init(&dev);
	assert_int_equal(io_bus_init(&ports, 0x10000, 1, &arena), OK);
	assert_int_equal(io_bus_init(&memory, 1ull << 40, 1, &arena), OK);
	r = testdev_port_region(&dev, BASE);
	assert_int_equal(io_bus_add(&ports, &r), OK);
	r = testdev_mmio_region(&dev, PAGE);
	assert_int_equal(io_bus_add(&memory, &r), OK);
	assert_int_equal(io_bus_freeze(&ports, &arena), OK);
	assert_int_equal(io_bus_freeze(&memory, &arena), OK);
	return 0;
}

#define in(at, size)	 io_bus_read(&ports, BASE + (at), size)
#define out(at, size, v) io_bus_write(&ports, BASE + (at), size, v)
#define ld(at, size)	 io_bus_read(&memory, PAGE + (at), size)
#define st(at, size, v)	 io_bus_write(&memory, PAGE + (at), size, v)

static uint32_t counter(enum testdev_counter c)
{
	out(TESTDEV_COUNTER, 4, c);
	return (uint32_t)in(TESTDEV_COUNTER, 4);
}

static void test_a_new_device_is_all_zero(void **state)
{
	(void)state;
	for (unsigned i = 0; i < TESTDEV_COUNTER_COUNT; i++)
		assert_int_equal(counter(i), 0);
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(in(i, 1), 0);
	for (unsigned i = 0; i < TESTDEV_LOG; i += 8)
		assert_int_equal(ld(i, 8), 0);
}

static void test_port_registers_of_every_size(void **state)
{
	(void)state;
	out(0, 4, 0x44332211);
	out(4, 2, 0x6655);
	out(6, 1, 0x77);
	out(7, 1, 0x88);
	assert_int_equal(in(0, 4), 0x44332211);
	assert_int_equal(in(4, 4), 0x88776655);
	assert_int_equal(in(3, 2), 0x5544);
	assert_int_equal(in(1, 4), 0x55443322);
	assert_int_equal(in(7, 1), 0x88);
	assert_int_equal(counter(TESTDEV_PORT_WRITES), 4);
	assert_int_equal(counter(TESTDEV_PORT_READS), 5);
	/* Not partly registers and partly the stream. */
	out(6, 4, 0);
	out(7, 2, 0);
	assert_int_equal(in(6, 4), 0xffffffff);
	assert_int_equal(in(7, 2), 0xffff);
	assert_int_equal(in(4, 4), 0x88776655);
	assert_int_equal(counter(TESTDEV_PORT_WRITES), 4);
	assert_int_equal(counter(TESTDEV_STREAM_CALLS), 0);
}

static void test_the_stream_counts_up(void **state)
{
	(void)state;
	assert_int_equal(in(TESTDEV_STREAM, 4), 0);
	assert_int_equal(in(TESTDEV_STREAM, 4), 1);
	assert_int_equal(in(TESTDEV_STREAM, 1), 2);
	dev.counter[TESTDEV_STREAM_READS] = 0xabcdef;
	assert_int_equal(in(TESTDEV_STREAM, 2), 0xcdef);
	assert_int_equal(in(TESTDEV_STREAM, 1), 0xf0);
	assert_int_equal(counter(TESTDEV_STREAM_READS), 0xabcdf1);
	out(TESTDEV_STREAM, 4, 0xfffffffe);
	out(TESTDEV_STREAM, 1, 0x105);
	assert_int_equal(counter(TESTDEV_CHECKSUM), 3);
	assert_int_equal(counter(TESTDEV_STREAM_WRITES), 2);
	assert_int_equal(counter(TESTDEV_STREAM_CALLS), 7);
}

/* `count` items into a buffer that nobody aligned; the byte after them stays. */
static void read_string(unsigned size, uint32_t count)
{
	const uint32_t first = dev.counter[TESTDEV_STREAM_READS];
	uint8_t buf[1 + 4 * 130 + 1];

	memset(buf, 0x5a, sizeof(buf));
	io_bus_read_many(&ports, BASE + TESTDEV_STREAM, size, buf + 1, count);
	for (uint32_t i = 0; i < count; i++) {
		uint32_t v = 0, want = first + i;

		memcpy(&v, buf + 1 + i * size, size);
		if (size < 4)
			want &= (1u << 8 * size) - 1;
		assert_int_equal(v, want);
	}
	assert_int_equal(buf[0], 0x5a);
	assert_int_equal(buf[1 + count * size], 0x5a);
	assert_int_equal(dev.counter[TESTDEV_STREAM_READS], (uint32_t)(first + count));
}

static void test_strings_from_the_stream(void **state)
{
	(void)state;
	for (unsigned size = 1; size <= 4; size *= 2)
		for (uint32_t count = 1; count <= 130; count++) {
			const uint32_t calls = dev.counter[TESTDEV_STREAM_CALLS];

			read_string(size, count);
			assert_int_equal(dev.counter[TESTDEV_STREAM_CALLS], calls + 1);
		}
	for (uint32_t before = 1; before < 5; before++) { /* the number wraps within a string */
		dev.counter[TESTDEV_STREAM_READS] = 0u - before;
		read_string(4, 8);
	}
}

static void test_strings_into_the_stream(void **state)
{
	uint8_t buf[1 + 4 * 128];
	uint32_t sum = 0;

	(void)state;
	for (unsigned i = 0; i < sizeof(buf); i++)
		buf[i] = (uint8_t)(i * 29);
	for (unsigned size = 1; size <= 4; size *= 2) {
		for (unsigned i = 0; i < 128; i++) {
			uint32_t v = 0;

			memcpy(&v, buf + 1 + i * size, size);
			sum += v;
		}
		io_bus_write_many(&ports, BASE + TESTDEV_STREAM, size, buf + 1, 128);
		assert_int_equal(counter(TESTDEV_CHECKSUM), sum);
	}
	assert_int_equal(counter(TESTDEV_STREAM_WRITES), 3 * 128);
	assert_int_equal(counter(TESTDEV_STREAM_CALLS), 3);
}

static void test_strings_to_the_registers(void **state)
{
	static const uint16_t words[3] = {0x1111, 0x2222, 0x3333};
	uint16_t back[3] = {0};
	uint8_t bytes[4];

	(void)state;
	io_bus_write_many(&ports, BASE + 2, 2, words, 3); /* the last one stays */
	assert_int_equal(in(0, 4), 0x33330000);
	io_bus_read_many(&ports, BASE + 2, 2, back, 3);
	assert_int_equal(back[0], 0x3333);
	assert_int_equal(back[2], 0x3333);
	assert_int_equal(counter(TESTDEV_PORT_WRITES), 3);
	assert_int_equal(counter(TESTDEV_PORT_READS), 4);
	io_bus_read_many(&ports, BASE + 0xa, 1, bytes, 4);
	assert_int_equal(bytes[3], 0xff);
}

static void test_counters_are_read_by_number(void **state)
{
	(void)state;
	out(0, 1, 1);
	assert_int_equal(counter(TESTDEV_PORT_WRITES), 1);
	out(TESTDEV_COUNTER, 4, TESTDEV_COUNTER_COUNT); /* no such counter: the choice stays */
	out(TESTDEV_COUNTER, 4, 0xfffffff0);
	out(TESTDEV_COUNTER, 1, TESTDEV_STREAM_READS);
	out(TESTDEV_COUNTER, 2, TESTDEV_RESET);
	assert_int_equal(in(TESTDEV_COUNTER, 4), 1);
	assert_int_equal(in(TESTDEV_COUNTER, 1), 0xff);
	assert_int_equal(in(TESTDEV_COUNTER, 2), 0xffff);
	assert_int_equal(in(TESTDEV_COUNTER + 1, 1), 0xff);
	assert_int_equal(in(9, 1), 0xff);
	assert_int_equal(in(9, 4), 0xffffffff);
	assert_int_equal(in(0xd, 4), 0xffffffff); /* beyond the device */
	assert_int_equal(in(0x10, 1), 0xff);
}

static void test_reset_clears_everything(void **state)
{
	(void)state;
	out(0, 4, ~0u);
	out(TESTDEV_STREAM, 4, 7);
	(void)in(TESTDEV_STREAM, 4);
	st(0x10, 8, ~0ull);
	out(TESTDEV_COUNTER, 4, TESTDEV_CHECKSUM);
	out(TESTDEV_COUNTER, 4, TESTDEV_RESET);
	assert_int_equal(ld(TESTDEV_LOG_LAST, 4), 0);
	assert_int_equal(in(TESTDEV_COUNTER, 4), 0); /* of port reads: the first one */
	assert_int_equal(dev.selected, 0);
	test_a_new_device_is_all_zero(state);
}

static void test_memory_registers_of_every_size(void **state)
{
	(void)state;
	st(0, 8, 0x8877665544332211);
	assert_int_equal(ld(0, 8), 0x8877665544332211);
	assert_int_equal(ld(1, 4), 0x55443322);
	assert_int_equal(ld(7, 1), 0x88);
	st(3, 2, 0xabcd);
	assert_int_equal(ld(0, 8), 0x887766abcd332211);
	st(TESTDEV_LOG - 8, 8, 0x1122334455667788);
	assert_int_equal(ld(TESTDEV_LOG - 1, 1), 0x11);
	assert_int_equal(ld(TESTDEV_LOG_READS, 4), 5);
	assert_int_equal(ld(TESTDEV_LOG_WRITES, 4), 3);
	assert_int_equal(counter(TESTDEV_MMIO_READS), 5);
	assert_int_equal(counter(TESTDEV_MMIO_WRITES), 3);
}

static void test_the_log_of_the_memory_page(void **state)
{
	(void)state;
	assert_int_equal(ld(TESTDEV_LOG_ID, 4), TESTDEV_ID);
	st(0x123, 2, 0);
	assert_int_equal(ld(TESTDEV_LOG_LAST, 4), 0x12123);
	(void)ld(0xfe8, 8);
	assert_int_equal(ld(TESTDEV_LOG_LAST, 4), 0x8fe8);
	/* The log itself is not written, and read only as it is described. */
	for (unsigned at = TESTDEV_LOG - 7; at < 4096; at++)
		for (unsigned size = 1; size <= 8; size *= 2) {
			if (at + size <= TESTDEV_LOG || (at % 4 == 0 && size == 4))
				continue;
			assert_int_equal(ld(at, size), ~0ull >> (64 - 8 * size));
			st(at, size, 0);
		}
	for (unsigned at = TESTDEV_LOG; at < 4096; at += 4)
		st(at, 4, 0);
	assert_int_equal(ld(TESTDEV_LOG_ID, 4), TESTDEV_ID);
	assert_int_equal(ld(TESTDEV_LOG_READS, 4), 1);
	assert_int_equal(ld(TESTDEV_LOG_WRITES, 4), 1);
	assert_int_equal(ld(TESTDEV_LOG_LAST, 4), 0x8fe8);
}

#define t(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		t(test_a_new_device_is_all_zero),	t(test_port_registers_of_every_size),
		t(test_the_stream_counts_up),		t(test_strings_from_the_stream),
		t(test_strings_into_the_stream),	t(test_strings_to_the_registers),
		t(test_counters_are_read_by_number),	t(test_reset_clears_everything),
		t(test_memory_registers_of_every_size), t(test_the_log_of_the_memory_page),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
