/*
 * The parallel port: three registers, a strobe, an interrupt.
 * needs: devices/printer.c
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <crvm/devices/printer.h>

static struct printer printer;
static char paper[64];
static unsigned printed, rises, falls;
static bool level;

static void tx(void *ctx, uint8_t byte)
{
	assert_ptr_equal(ctx, paper);
	paper[printed++ % sizeof(paper)] = (char)byte;
}

static void irq(void *ctx, bool up)
{
	assert_ptr_equal(ctx, &level);
	assert_int_not_equal(up, level); /* each call changes something */
	rises += up;
	falls += !up;
	level = up;
}

static const struct printer_ops ops = {tx, {irq, &level}, paper};

static int setup(void **state)
{
	(void)state;
	memset(&printer, 0xee, sizeof(printer));
	printer_init(&printer, &ops);
	printed = rises = falls = 0;
	level = false;
	return 0;
}

static uint8_t in(uint16_t port)
{
	struct io_region r = printer_region(&printer, 0);

	return (uint8_t)r.ops->read(r.dev, port - r.base, 1);
}

static void out(uint16_t port, uint8_t v)
{
	struct io_region r = printer_region(&printer, 0);

	r.ops->write(r.dev, port - r.base, 1, v);
}

static void strobe(char c)
{
	const uint8_t rest = in(0x37a) & 0x1e;

	out(0x378, (uint8_t)c);
	out(0x37a, rest | 1);
	out(0x37a, rest);
}

static void is_three_ports_wide(void **state)
{
	struct io_region r = printer_region(&printer, 0);

	(void)state;
	assert_int_equal(r.base, 0x378);
	assert_int_equal(r.len, 3);
	assert_int_equal(r.ops->sizes, 1);
	assert_ptr_equal(r.dev, &printer.dev);
}

static void is_always_ready(void **state)
{
	(void)state;
	for (unsigned v = 0; v < 256; v++) {
		out(0x379, (uint8_t)v); /* cannot be written */
		out(0x378, (uint8_t)v);
		out(0x37a, (uint8_t)v);
		/* Not busy, no acknowledge pulse, paper, selected, no error. */
		assert_int_equal(in(0x379), 0xdf);
	}
}

static void data_and_control_read_back(void **state)
{
	(void)state;
	assert_int_equal(in(0x378), 0);
	assert_int_equal(in(0x37a), 0xec); /* as a BIOS leaves it */
	for (unsigned v = 0; v < 256; v++) {
		out(0x378, (uint8_t)v);
		out(0x37a, (uint8_t)~v);
		assert_int_equal(in(0x378), v);
		assert_int_equal(in(0x37a), 0xe0 | (~v & 0x1f));
	}
}

static void a_strobe_prints_once(void **state)
{
	(void)state;
	out(0x378, 'x');
	assert_int_equal(printed, 0);
	out(0x37a, 0x0d);
	assert_int_equal(printed, 1);
	out(0x378, 'y');
	out(0x37a, 0x0d); /* no edge */
	out(0x37a, 0x0f);
	assert_int_equal(printed, 1);
	out(0x37a, 0x0c); /* the other edge */
	assert_int_equal(printed, 1);
	out(0x37a, 0x0d);
	assert_int_equal(printed, 2);
	assert_memory_equal(paper, "xy", 2);
	assert_int_equal(rises + falls, 0);
}

/* uCore's way: it holds "initialize" low, which must not matter. */
static void prints_for_a_driver_that_initializes_it_all_the_time(void **state)
{
	static const char text[] = "Special kernel symbols:\n\0\xff";

	(void)state;
	for (unsigned i = 0; i < sizeof(text); i++) {
		assert_true(in(0x379) & 0x80);
		out(0x378, (uint8_t)text[i]);
		out(0x37a, 0x0d);
		out(0x37a, 0x08);
	}
	assert_int_equal(printed, sizeof(text));
	assert_memory_equal(paper, text, sizeof(text));
}

static void acknowledge_interrupts_if_enabled(void **state)
{
	(void)state;
	out(0x37a, 0x1c);
	assert_int_equal(rises, 0); /* enabling is no acknowledge */
	strobe('a');
	assert_int_equal(rises, 1);
	assert_true(level); /* a request must stay up until it is taken */
	strobe('b');
	strobe('c');
	assert_int_equal(rises, 3);
	assert_int_equal(falls, 2);
	out(0x37a, 0x0c);
	assert_false(level);
	strobe('d');
	assert_int_equal(rises, 3);
	assert_int_equal(printed, 4);
	out(0x37a, 0x1d); /* both at once */
	assert_int_equal(rises, 4);
}

static void reset_is_power_on(void **state)
{
	(void)state;
	out(0x37a, 0x1c);
	strobe('a');
	out(0x37a, 0x1d);
	printer.dev.reset(&printer.dev);
	assert_false(level);
	assert_int_equal(in(0x378), 0);
	assert_int_equal(in(0x37a), 0xec);
	assert_int_equal(printed, 2);
	printer.dev.reset(&printer.dev);
	out(0x37a, 0x0d); /* the strobe was low again */
	assert_int_equal(printed, 3);
}

static void prints_into_nothing(void **state)
{
	struct printer_ops none = ops;

	(void)state;
	none.tx = NULL;
	printer_init(&printer, &none);
	out(0x37a, 0x1c);
	strobe('a');
	assert_int_equal(printed, 0);
	assert_int_equal(rises, 1);
}

#define t(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		t(is_three_ports_wide),
		t(is_always_ready),
		t(data_and_control_read_back),
		t(a_strobe_prints_once),
		t(prints_for_a_driver_that_initializes_it_all_the_time),
		t(acknowledge_interrupts_if_enabled),
		t(reset_is_power_on),
		t(prints_into_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
