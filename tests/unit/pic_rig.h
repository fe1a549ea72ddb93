/*
 * A pair of 8259As for unit tests, with a guest's hands on its ports and a count of what it tells
 * the CPU.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <crvm/devices/pic8259.h>

static struct pic_pair pic;
static unsigned intr_count;

/* Who is told that an interrupt waits must find one. */
static void rig_intr(void *ctx)
{
	assert_ptr_equal(ctx, &intr_count);
	assert_true(pic.vector >= 0);
	intr_count++;
}

static inline struct io_region rig_region(unsigned port)
{
	for (unsigned i = 0; i < PIC_REGION_COUNT; i++) {
		struct io_region r = pic_region(&pic, i);

		if (port - r.base < r.len)
			return r;
	}
	fail_msg("no region has port %#x", port);
	__builtin_unreachable();
}

static inline void out(unsigned port, unsigned value)
{
	struct io_region r = rig_region(port);

	r.ops->write(r.dev, port - r.base, 1, value);
}

static inline unsigned in(unsigned port)
{
	struct io_region r = rig_region(port);

	return (unsigned)r.ops->read(r.dev, port - r.base, 1) & 0xff;
}

static inline void chip_init(unsigned port, unsigned icw1, unsigned icw2, unsigned icw3,
			     unsigned icw4)
{
	out(port, icw1);
	out(port + 1, icw2);
	out(port + 1, icw3);
	out(port + 1, icw4);
}

/* As a PC does: vectors 20h and 28h, edges, nothing masked. */
static inline void pair_init(unsigned icw4)
{
	chip_init(0x20, 0x11, 0x20, 0x04, icw4);
	chip_init(0xa0, 0x11, 0x28, 0x02, icw4);
}

static inline int rig_setup(void **state)
{
	static const struct pic_ops ops = {rig_intr, &intr_count};

	(void)state;
	memset(&pic, 0xee, sizeof(pic));
	pic_init(&pic, &ops);
	intr_count = 0;
	return 0;
}

static inline void up(unsigned irq)
{
	pic_set_line(&pic, irq, true);
}

static inline void down(unsigned irq)
{
	pic_set_line(&pic, irq, false);
}

static inline void pulse(unsigned irq)
{
	down(irq);
	up(irq);
}

/* INTA gives this vector, for this input; INT was up. */
static inline void expect_ack(int vector, int irq)
{
	int got;

	assert_int_equal(pic_peek(&pic), vector);
	assert_int_equal(pic_ack(&pic, &got), vector);
	assert_int_equal(got, irq);
}

/* INT is low. */
static inline void expect_none(void)
{
	int irq;

	assert_int_equal(pic_peek(&pic), -1);
	assert_int_equal(pic_ack(&pic, &irq), -1);
	assert_int_equal(irq, -1);
}

static inline unsigned read_irr(unsigned port)
{
	out(port, 0x0a);
	return in(port);
}

static inline unsigned read_isr(unsigned port)
{
	out(port, 0x0b);
	return in(port);
}
