/*
 * The debug ports, entered through the bus as a guest does.
 * needs: devices/debug.c core/io_bus.c
 * needs: mm/arena.c mm/frames.c mm/frames_region.c mm/hostmap.c
 * needs: tests/fake/panic.c tests/fake/spinlock.c
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <crvm/devices/debug.h>
#include <crvm/io_bus.h>
#include <crvm/hostmap.h>
#include <crvm/status.h>
#include "ram.h"
#include "spinlock.h"

static struct debug_device debug;
static struct io_bus bus;
static struct arena arena;
static char text[256];
static unsigned text_len, exits;
static uint32_t exit_code;

static void tx_byte(void *ctx, uint8_t byte)
{
	assert_ptr_equal(ctx, &bus);
	assert_int_equal(fake_spin_held(), 1);
	text[text_len++ % sizeof(text)] = (char)byte;
}

static void guest_exit(void *ctx, uint32_t code)
{
	assert_ptr_equal(ctx, &bus);
	exits++;
	exit_code = code;
}

static void build(const struct debug_ops *ops)
{
	fake_ram_reset();
	frames_init();
	assert_int_equal(frames_add(0x200000, 0x200000), OK);
	arena_init(&arena, FRAME_VM0);
	assert_int_equal(io_bus_init(&bus, 0x10000, IO_BUS_REGION_MAX, &arena), OK);
	memset(&debug, 0xee, sizeof(debug));
	debug_init(&debug, ops);
	for (unsigned i = 0; i < DEBUG_REGION_COUNT; i++) {
		struct io_region r = debug_region(&debug, i);

		assert_int_equal(io_bus_add(&bus, &r), OK);
	}
	assert_int_equal(io_bus_freeze(&bus, &arena), OK);
	memset(text, 0, sizeof(text));
	text_len = exits = 0;
}

static int setup(void **state)
{
	static const struct debug_ops ops = {tx_byte, guest_exit, &bus};

	(void)state;
	build(&ops);
	return 0;
}

static void test_both_consoles_print(void **state)
{
	(void)state;
	io_bus_write(&bus, 0xe9, 1, 'h');
	io_bus_write(&bus, 0x402, 1, 'i');
	io_bus_write(&bus, 0xe9, 1, 0);
	io_bus_write(&bus, 0xe9, 1, 0xff);
	assert_int_equal(text_len, 4);
	assert_memory_equal(text, "hi\0\xff", 4);
	io_bus_write_many(&bus, 0xe9, 1, " there", 6);
	assert_memory_equal(text + 4, " there", 6);
	assert_int_equal(text_len, 10);
}

static void test_consoles_say_that_they_are_there(void **state)
{
	(void)state;
	assert_int_equal(io_bus_read(&bus, 0xe9, 1), 0xe9);
	assert_int_equal(io_bus_read(&bus, 0x402, 1), 0xe9);
	assert_int_equal(text_len, 0);
}

static void test_consoles_are_one_port_wide(void **state)
{
	static const uint16_t words[2] = {0x6161, 0x6262};

	(void)state;
	io_bus_write(&bus, 0xe9, 2, 0x6161);
	io_bus_write(&bus, 0xe8, 2, 0x6161);
	io_bus_write(&bus, 0x402, 4, 0x6161);
	io_bus_write_many(&bus, 0xe9, 2, words, 2);
	assert_int_equal(text_len, 0);
	assert_int_equal(io_bus_read(&bus, 0xe9, 2), 0xffff);
}

static void test_exit_codes_of_each_size(void **state)
{
	(void)state;
	io_bus_write(&bus, 0xf4, 1, 0x112233);
	assert_int_equal(exit_code, 0x33);
	io_bus_write(&bus, 0xf4, 2, 0x112233);
	assert_int_equal(exit_code, 0x2233);
	io_bus_write(&bus, 0xf4, 4, 0xfedcba98);
	assert_int_equal(exit_code, 0xfedcba98);
	assert_int_equal(exits, 3);
	io_bus_write(&bus, 0xf5, 1, 1);
	io_bus_write(&bus, 0xf6, 2, 1);
	io_bus_write(&bus, 0xf5, 4, 1);
	io_bus_write(&bus, 0xf3, 4, 1);
	assert_int_equal(exits, 3);
	assert_int_equal(io_bus_read(&bus, 0xf4, 4), 0);
	assert_int_equal(io_bus_read(&bus, 0xf7, 1), 0);
	assert_int_equal(io_bus_read(&bus, 0xf8, 1), 0xff);
	assert_int_equal(exits, 3);
}

static void test_the_delay_port_keeps_its_byte(void **state)
{
	(void)state;
	assert_int_equal(io_bus_read(&bus, 0x80, 1), 0);
	io_bus_write(&bus, 0x80, 1, 0x1ab);
	assert_int_equal(io_bus_read(&bus, 0x80, 1), 0xab);
	io_bus_write(&bus, 0x80, 2, 0x1234);
	assert_int_equal(io_bus_read(&bus, 0x80, 1), 0xab);
	debug.dev.reset(&debug.dev);
	assert_int_equal(io_bus_read(&bus, 0x80, 1), 0);
	assert_int_equal(text_len + exits, 0);
}

static void test_without_listeners_nothing_happens(void **state)
{
	static const struct debug_ops none = {NULL, NULL, NULL};

	(void)state;
	build(&none);
	io_bus_write(&bus, 0xe9, 1, 'x');
	io_bus_write_many(&bus, 0x402, 1, "xyz", 3);
	io_bus_write(&bus, 0xf4, 4, 1);
	assert_int_equal(text_len + exits, 0);
}

#define t(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		t(test_both_consoles_print),	       t(test_consoles_say_that_they_are_there),
		t(test_consoles_are_one_port_wide),    t(test_exit_codes_of_each_size),
		t(test_the_delay_port_keeps_its_byte), t(test_without_listeners_nothing_happens),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
