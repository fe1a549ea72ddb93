/*
 * System control port A: the A20 gate and the fast reset.
 * needs: devices/port92.c
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <crvm/devices/port92.h>

static struct port92 port;
static unsigned a20_calls, resets;
static bool a20;

static void set_a20(void *ctx, bool on)
{
	assert_ptr_equal(ctx, &port);
	a20 = on;
	a20_calls++;
}

static void reset(void *ctx)
{
	assert_ptr_equal(ctx, &port);
	resets++;
}

static const struct port92_ops ops = {set_a20, reset, &port};

static int setup(void **state)
{
	(void)state;
	a20_calls = resets = 0;
	memset(&port, 0xee, sizeof(port));
	port92_init(&port, &ops);
	return 0;
}

static uint8_t in(void)
{
	struct io_region r = port92_region(&port, 0);

	return (uint8_t)r.ops->read(r.dev, 0, 1);
}

static void out(uint8_t v)
{
	struct io_region r = port92_region(&port, 0);

	r.ops->write(r.dev, 0, 1, v);
}

static void is_one_port_wide(void **state)
{
	struct io_region r = port92_region(&port, 0);

	(void)state;
	assert_int_equal(r.base, 0x92);
	assert_int_equal(r.len, 1);
	assert_int_equal(r.ops->sizes, 1);
	assert_ptr_equal(r.dev, &port.dev);
	assert_int_equal(a20_calls + resets, 0);
}

static void a20_is_open_and_can_be_closed(void **state)
{
	(void)state;
	assert_int_equal(in(), 0x02);
	out(0x00);
	assert_false(a20);
	assert_int_equal(in(), 0x00);
	out(0x02);
	assert_true(a20);
	assert_int_equal(in(), 0x02);
	out(0x02); /* told each time: somebody else may have closed it */
	assert_int_equal(a20_calls, 3);
	assert_int_equal(resets, 0);
}

static void only_two_bits_are_kept(void **state)
{
	(void)state;
	for (unsigned v = 0; v < 256; v++) {
		out((uint8_t)v);
		assert_int_equal(in(), v & 3);
	}
}

static void the_rise_of_bit_0_resets(void **state)
{
	(void)state;
	out(0x03); /* as uCore reboots */
	assert_int_equal(resets, 1);
	assert_true(a20);
	out(0x03);
	out(0x01);
	assert_int_equal(resets, 1);
	out(0x02);
	assert_int_equal(resets, 1);
	out(0x01);
	assert_int_equal(resets, 2);
	assert_false(a20);
	out(0xfe); /* read, change A20, write: no reset */
	assert_int_equal(resets, 2);
}

static void reset_is_power_on(void **state)
{
	(void)state;
	out(0x01);
	port.dev.reset(&port.dev);
	assert_int_equal(in(), 0x02);
	assert_true(a20);
	assert_int_equal(resets, 1);
	out(0x03); /* bit 0 was low again */
	assert_int_equal(resets, 2);
}

static void without_listeners_it_remembers(void **state)
{
	static const struct port92_ops none = {NULL, NULL, NULL};

	(void)state;
	port92_init(&port, &none);
	out(0x03);
	assert_int_equal(in(), 0x03);
	port.dev.reset(&port.dev);
	assert_int_equal(in(), 0x02);
	assert_int_equal(a20_calls + resets, 0);
}

#define t(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		t(is_one_port_wide),	   t(a20_is_open_and_can_be_closed),
		t(only_two_bits_are_kept), t(the_rise_of_bit_0_resets),
		t(reset_is_power_on),	   t(without_listeners_it_remembers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
