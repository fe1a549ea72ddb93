/*
 * The VGA's registers, entered through the bus as a guest does.
 * needs: devices/vga.c core/io_bus.c
 * needs: mm/arena.c mm/frames.c mm/frames_region.c mm/hostmap.c
 * needs: tests/fake/panic.c tests/fake/spinlock.c
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <crvm/devices/vga.h>
#include <crvm/io_bus.h>
#include <crvm/hostmap.h>
#include <crvm/status.h>
#include "ram.h"
#include "spinlock.h"

static struct vga vga;
static struct io_bus bus;
static struct arena arena;

static int setup(void **state)
{
	(void)state;
	fake_ram_reset();
	frames_init();
	assert_int_equal(frames_add(0x200000, 0x200000), OK);
	arena_init(&arena, FRAME_VM0);
	assert_int_equal(io_bus_init(&bus, 0x10000, IO_BUS_REGION_MAX, &arena), OK);
	memset(&vga, 0xee, sizeof(vga));
	vga_init(&vga);
	for (unsigned i = 0; i < VGA_REGION_COUNT; i++) {
		struct io_region r = vga_region(&vga, i);

		assert_int_equal(io_bus_add(&bus, &r), OK);
	}
	assert_int_equal(io_bus_freeze(&bus, &arena), OK);
	return 0;
}

static uint8_t in(uint16_t port)
{
	return (uint8_t)io_bus_read(&bus, port, 1);
}

static void out(uint16_t port, uint8_t v)
{
	io_bus_write(&bus, port, 1, v);
}

/* A register behind a pair of ports. */
static uint8_t get(uint16_t port, uint8_t index)
{
	out(port, index);
	return in(port + 1);
}

static void set(uint16_t port, uint8_t index, uint8_t v)
{
	out(port, index);
	out(port + 1, v);
}

static void cursor_moves(void **state)
{
	(void)state;
	assert_int_equal(vga_cursor(&vga), 0);
	for (unsigned pos = 0; pos < 0x10000; pos += 0x123) { /* as uCore and xv6 do */
		set(0x3d4, 14, (uint8_t)(pos >> 8));
		set(0x3d4, 15, (uint8_t)pos);
		assert_int_equal(vga_cursor(&vga), pos);
		assert_int_equal(get(0x3d4, 14) << 8 | get(0x3d4, 15), pos);
	}
	assert_int_equal(vga_start(&vga), 0);
}

static void start_address_scrolls(void **state)
{
	(void)state;
	set(0x3d4, 12, 0x12);
	set(0x3d4, 13, 0x34);
	assert_int_equal(vga_start(&vga), 0x1234);
	assert_int_equal(vga_cursor(&vga), 0);
	assert_int_equal(get(0x3d4, 12), 0x12);
	assert_int_equal(get(0x3d4, 13), 0x34);
}

static void cursor_can_be_hidden(void **state)
{
	(void)state;
	assert_true(vga_cursor_shown(&vga));
	set(0x3d4, 10, 0x20);
	assert_false(vga_cursor_shown(&vga));
	set(0x3d4, 10, 0xdf);
	assert_true(vga_cursor_shown(&vga));
}

static void words_write_index_and_data(void **state)
{
	(void)state;
	io_bus_write(&bus, 0x3d4, 2, 0x120e);
	io_bus_write(&bus, 0x3d4, 2, 0x340f);
	assert_int_equal(vga_cursor(&vga), 0x1234);
	assert_int_equal(io_bus_read(&bus, 0x3d4, 2), 0x340f);
	io_bus_write(&bus, 0x3c4, 2, 0x0102);
	assert_int_equal(get(0x3c4, 2), 1);
	io_bus_write(&bus, 0x3ce, 2, 0x0205);
	assert_int_equal(get(0x3ce, 5), 2);
}

static void crtc_starts_in_mode_3(void **state)
{
	(void)state;
	assert_int_equal(get(0x3d4, 0x01), 79);
	assert_int_equal(get(0x3d4, 0x09) & 0x1f, 15);
	assert_int_equal(get(0x3d4, 0x0a), 0x0d);
	assert_int_equal(get(0x3d4, 0x12) | (get(0x3d4, 7) & 2) << 7, 399);
	assert_int_equal(get(0x3d4, 0x13), 40);
	assert_int_equal(in(0x3cc), 0x67);
	assert_int_equal(get(0x3ce, 6) & 0x0c, 0x0c); /* memory at B8000h */
	assert_int_equal(get(0x3ce, 6) & 1, 0);	      /* text */
	assert_int_equal(get(0x3c4, 2), 3);	      /* characters and attributes */
	assert_int_equal(in(0x3c6), 0xff);
	assert_int_equal(in(0x3c0) & 0x20, 0x20);
	assert_int_equal(in(0x3c3), 1);
}

static void crtc_registers_read_back(void **state)
{
	(void)state;
	set(0x3d4, 0x11, 0x00); /* unprotect */
	for (unsigned i = 0; i < 0x19; i++)
		if (i != 0x11)
			set(0x3d4, (uint8_t)i, (uint8_t)(0x80 | i));
	for (unsigned i = 0; i < 0x19; i++)
		assert_int_equal(get(0x3d4, (uint8_t)i), i == 0x11 ? 0 : 0x80 | i);
	for (unsigned i = 0x19; i < 0x20; i++) {
		set(0x3d4, (uint8_t)i, 0xff);
		assert_int_equal(get(0x3d4, (uint8_t)i), 0);
	}
	out(0x3d4, 0xee); /* five bits of index */
	assert_int_equal(in(0x3d4), 0x0e);
}

static void crtc_protects_its_timing(void **state)
{
	uint8_t before[8];

	(void)state;
	assert_true(get(0x3d4, 0x11) & 0x80);
	for (unsigned i = 0; i < 8; i++)
		before[i] = get(0x3d4, (uint8_t)i);
	for (unsigned i = 0; i < 8; i++)
		set(0x3d4, (uint8_t)i, (uint8_t)~before[i]);
	for (unsigned i = 0; i < 7; i++)
		assert_int_equal(get(0x3d4, (uint8_t)i), before[i]);
	assert_int_equal(get(0x3d4, 7), before[7] ^ 0x10); /* line compare bit 8 is free */
	set(0x3d4, 8, 0x55);
	assert_int_equal(get(0x3d4, 8), 0x55);
	set(0x3d4, 0x11, 0x0e);
	set(0x3d4, 0, 0x12);
	assert_int_equal(get(0x3d4, 0), 0x12);
}

static void misc_output_moves_the_crtc(void **state)
{
	(void)state;
	assert_int_equal(in(0x3b4), 0xff);
	set(0x3b4, 14, 0x55);
	assert_int_equal(in(0x3b5), 0xff);
	assert_int_equal(in(0x3ba), 0xff);
	assert_int_equal(vga_cursor(&vga), 0);
	out(0x3c2, 0x66);
	assert_int_equal(in(0x3cc), 0x66);
	set(0x3b4, 14, 0x55);
	assert_int_equal(get(0x3b4, 14), 0x55);
	assert_int_equal(vga_cursor(&vga), 0x5500);
	set(0x3d4, 14, 0xaa);
	assert_int_equal(in(0x3d4), 0xff);
	assert_int_equal(in(0x3d5), 0xff);
	assert_int_equal(in(0x3da), 0xff);
	assert_int_equal(vga_cursor(&vga), 0x5500);
	assert_int_not_equal(in(0x3ba), 0xff);
	out(0x3ba, 0x01);
	out(0x3da, 0x02);
	assert_int_equal(in(0x3ca), 0x01);
	out(0x3c2, 0x67);
	out(0x3ba, 0x03);
	assert_int_equal(in(0x3ca), 0x01);
	out(0x3da, 0x02);
	assert_int_equal(in(0x3ca), 0x02);
}

static void sequencer_and_graphics_controller(void **state)
{
	static const uint8_t sequencer[] = {0x03, 0x3d, 0x0f, 0x3f, 0x0e};
	static const uint8_t graphics[] = {0x0f, 0x0f, 0x0f, 0x1f, 0x03, 0x7b, 0x0f, 0x0f, 0xff};

	(void)state;
	for (unsigned i = 0; i < 256; i++) {
		set(0x3c4, (uint8_t)i, 0xff);
		set(0x3ce, (uint8_t)i, 0xff);
		assert_int_equal(in(0x3c4), i);
		assert_int_equal(in(0x3ce), i);
	}
	for (unsigned i = 0; i < 256; i++) {
		assert_int_equal(get(0x3c4, (uint8_t)i), i < 5 ? sequencer[i] : 0);
		assert_int_equal(get(0x3ce, (uint8_t)i), i < 9 ? graphics[i] : 0);
	}
	set(0x3c4, 1, 0);
	set(0x3ce, 8, 0);
	assert_int_equal(get(0x3c4, 1), 0);
	assert_int_equal(get(0x3ce, 8), 0);
}

static void attribute_registers_take_turns(void **state)
{
	(void)state;
	(void)in(0x3da);
	for (unsigned i = 0; i < 0x20; i++) {
		out(0x3c0, (uint8_t)i);
		assert_int_equal(in(0x3c0), i);
		out(0x3c0, (uint8_t)(0xc0 | (i + 1)));
		assert_int_equal(in(0x3c0), i); /* data is no index */
	}
	for (unsigned i = 0; i < 0x20; i++) {
		out(0x3c0, (uint8_t)i);
		assert_int_equal(in(0x3c1), i < 16 ? i + 1 : i < 0x15 ? 0xc0 | (i + 1) : 0);
		(void)in(0x3da);
	}
	out(0x3c0, 0x03);
	(void)in(0x3da); /* back to the index */
	out(0x3c0, 0x05);
	assert_int_equal(in(0x3c0), 0x05);
	out(0x3c0, 0x2a);
	assert_int_equal(in(0x3c1), 0x2a);
	(void)in(0x3da);
	out(0x3c0, 0xe5); /* the palette is in use: not to be changed, the others are */
	assert_int_equal(in(0x3c0), 0x25);
	out(0x3c0, 0x11);
	assert_int_equal(in(0x3c1), 0x2a);
	out(0x3c0, 0x31);
	out(0x3c0, 0x77);
	assert_int_equal(in(0x3c1), 0x77);
}

static void colors_come_in_threes(void **state)
{
	(void)state;
	out(0x3c8, 254);
	for (unsigned i = 0; i < 9; i++)
		out(0x3c9, (uint8_t)(0xc1 + i)); /* three colors, around the end */
	assert_int_equal(in(0x3c8), 1);
	assert_int_equal(in(0x3c7), 0);
	out(0x3c7, 254);
	assert_int_equal(in(0x3c7), 3);
	for (unsigned i = 0; i < 9; i++)
		assert_int_equal(in(0x3c9), 1 + i);
	assert_int_equal(in(0x3c9), 0); /* color 1 of the EGA's: blue */
	assert_int_equal(in(0x3c9), 0);
	assert_int_equal(in(0x3c9), 0x2a);
	/* A color half written has not changed. */
	out(0x3c8, 1);
	out(0x3c9, 0x11);
	out(0x3c9, 0x12);
	out(0x3c7, 1);
	assert_int_equal(in(0x3c9), 0);
	assert_int_equal(in(0x3c9), 0);
	out(0x3c8, 1);
	out(0x3c9, 0x13);
	out(0x3c9, 0x14);
	out(0x3c9, 0x15);
	out(0x3c7, 1);
	assert_int_equal(in(0x3c9), 0x13);
	assert_int_equal(in(0x3c9), 0x14);
	assert_int_equal(in(0x3c9), 0x15);
	out(0x3c6, 0x0f);
	assert_int_equal(in(0x3c6), 0x0f);
}

static void ega_colors_at_start(void **state)
{
	static const struct {
		uint8_t index, rgb[3];
	} c[] = {
		{0, {0, 0, 0}},
		{7, {0x2a, 0x2a, 0x2a}},
		{0x14, {0x2a, 0x15, 0}},
		{0x38, {0x15, 0x15, 0x15}},
		{0x3f, {0x3f, 0x3f, 0x3f}},
		{0x39, {0x15, 0x15, 0x3f}},
		{0x3c, {0x3f, 0x15, 0x15}},
		{64, {0, 0, 0}},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(c) / sizeof(c[0]); i++) {
		out(0x3c7, c[i].index);
		for (unsigned part = 0; part < 3; part++)
			assert_int_equal(in(0x3c9), c[i].rgb[part]);
	}
}

/* Loops of the kinds that programs wait with end soon, from any point. */
static void retrace_comes_and_goes(void **state)
{
	unsigned lines = 0;

	(void)state;
	for (unsigned start = 0; start < 100; start++) {
		for (unsigned kind = 0; kind < 4; kind++) {
			const uint8_t bit = kind & 2 ? 8 : 1, want = kind & 1 ? bit : 0;
			unsigned n = 0;

			while ((in(0x3da) & bit) != want)
				assert_in_range(++n, 1, 40);
		}
		(void)in(0x3da);
	}
	for (unsigned i = 0; i < 600; i++) {
		const uint8_t s = in(0x3da);

		lines += s == 1; /* horizontal blanking alone */
		assert_int_equal(s & ~9, 0);
		if (s & 8)
			assert_true(s & 1);
	}
	assert_in_range(lines, 200, 400);
}

static void unused_ports_float(void **state)
{
	(void)state;
	assert_int_equal(in(0x3c2), 0x10);
	assert_int_equal(in(0x3cb), 0xff);
	assert_int_equal(in(0x3cd), 0xff);
	out(0x3c1, 0x12);
	out(0x3ca, 0x12);
	out(0x3cb, 0x12);
	out(0x3cc, 0x12);
	out(0x3cd, 0x12);
	assert_int_equal(in(0x3cc), 0x67);
	assert_int_equal(in(0x3ca), 0);
	out(0x3c3, 0);
	assert_int_equal(in(0x3c3), 0);
}

static void reset_is_power_on(void **state)
{
	struct vga fresh;

	(void)state;
	memset(&fresh, 0x11, sizeof(fresh));
	vga_init(&fresh);
	for (unsigned port = 0x3b0; port < 0x3e0; port++)
		for (unsigned i = 0; i < 20; i++)
			out((uint16_t)port, (uint8_t)(i * 77 + port));
	vga.dev.lock.next = vga.dev.lock.serving = 7; /* not the device's to touch */
	vga.dev.reset(&vga.dev);
	assert_int_equal(vga.dev.lock.next, 7);
	assert_int_equal(vga.dev.lock.serving, 7);
	assert_int_equal(vga_cursor(&vga), 0);
	assert_int_equal(vga.misc, fresh.misc);
	assert_int_equal(vga.feature, 0);
	assert_int_equal(vga.enable, fresh.enable);
	assert_int_equal(vga.crtc_index | vga.sequencer_index | vga.graphics_index, 0);
	assert_int_equal(vga.attribute_index, fresh.attribute_index);
	assert_false(vga.attribute_data);
	assert_memory_equal(vga.crtc, fresh.crtc, sizeof(vga.crtc));
	assert_memory_equal(vga.sequencer, fresh.sequencer, sizeof(vga.sequencer));
	assert_memory_equal(vga.graphics, fresh.graphics, sizeof(vga.graphics));
	assert_memory_equal(vga.attribute, fresh.attribute, sizeof(vga.attribute));
	assert_int_equal(vga.dac_mask, 0xff);
	assert_int_equal(vga.dac_state | vga.dac_write | vga.dac_read | vga.dac_part, 0);
	assert_memory_equal(vga.dac, fresh.dac, sizeof(vga.dac));
}

#define t(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		t(cursor_moves),
		t(start_address_scrolls),
		t(cursor_can_be_hidden),
		t(words_write_index_and_data),
		t(crtc_starts_in_mode_3),
		t(crtc_registers_read_back),
		t(crtc_protects_its_timing),
		t(misc_output_moves_the_crtc),
		t(sequencer_and_graphics_controller),
		t(attribute_registers_take_turns),
		t(colors_come_in_threes),
		t(ega_colors_at_start),
		t(retrace_comes_and_goes),
		t(unused_ports_float),
		t(reset_is_power_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
