/*
 * What the tests of devices/serial.c share: a port with a clock, an alarm, a wire and a line whose
 * ends the test holds. Everything goes through the region's functions, as from the bus.
 */
#pragma once

#include <string.h>
#include <crvm/devices/serial.h>

enum { RBR, IER, IIR, LCR, MCR, LSR, MSR, SCR, THR = RBR, DLL = RBR, DLM = IER, FCR = IIR };

#define US 1000ull
#define MS 1000000ull

static struct serial_port port;
static struct io_region region;
static uint64_t rig_now, rig_alarm, rig_alarms_set;
static bool rig_level;
static unsigned rig_rises, rig_falls; /* of the line */
static uint8_t rig_sent[1024];
static unsigned rig_sent_n;
static uint8_t rig_typed[8192];
static unsigned rig_typed_n, rig_typed_at; /* at: what the port has fetched */

static void rig_irq(void *ctx, bool level)
{
	assert_ptr_equal(ctx, &rig_level);
	assert_int_not_equal(level, rig_level); /* edges only */
	rig_level = level;
	if (level)
		rig_rises++;
	else
		rig_falls++;
}

static void rig_tx(void *ctx, uint8_t byte)
{
	assert_ptr_equal(ctx, rig_sent);
	rig_sent[rig_sent_n++ % sizeof(rig_sent)] = byte;
}

static int rig_rx(void *ctx)
{
	assert_ptr_equal(ctx, rig_sent);
	return rig_typed_at < rig_typed_n ? rig_typed[rig_typed_at++] : -1;
}

static uint64_t rig_clock(void *ctx)
{
	assert_ptr_equal(ctx, &rig_now);
	return rig_now;
}

static void rig_timer(void *ctx, uint64_t deadline)
{
	assert_ptr_equal(ctx, &rig_alarm);
	rig_alarm = deadline;
	rig_alarms_set++;
}

static uint8_t in(unsigned reg)
{
	uint64_t v = region.ops->read(region.dev, reg, 1);

	assert_in_range(v, 0, 255);
	return (uint8_t)v;
}

static void out(unsigned reg, uint8_t v)
{
	region.ops->write(region.dev, reg, 1, v);
}

/* Lets time pass; the alarm goes off when it is due. */
static inline void wait_ns(uint64_t ns)
{
	const uint64_t end = rig_now + ns;

	for (unsigned i = 0; rig_alarm <= end; i++) {
		assert_true(i < 100000);
		if (rig_now < rig_alarm)
			rig_now = rig_alarm;
		rig_alarm = DEVICE_NEVER;
		serial_expired(&port);
	}
	rig_now = end;
}

/* Bytes have come to the host's side of the line. */
static inline void type(const void *bytes, unsigned n)
{
	assert_true(rig_typed_n + n <= sizeof(rig_typed));
	memcpy(rig_typed + rig_typed_n, bytes, n);
	rig_typed_n += n;
	serial_rx_ready(&port);
}

static inline void set_line(uint16_t divisor, uint8_t lcr)
{
	out(LCR, 0x80);
	out(DLL, (uint8_t)divisor);
	out(DLM, (uint8_t)(divisor >> 8));
	out(LCR, lcr);
}

static int setup(void **state)
{
	const struct serial_ops ops = {
		.irq = {rig_irq, &rig_level},
		.tx = rig_tx,
		.rx = rig_rx,
		.clock = {rig_clock, &rig_now},
		.timer = {rig_timer, &rig_alarm},
		.ctx = rig_sent,
	};

	(void)state;
	rig_now = 5 * MS;
	rig_alarm = DEVICE_NEVER;
	rig_alarms_set = 0;
	rig_level = false;
	rig_rises = rig_falls = rig_sent_n = rig_typed_n = rig_typed_at = 0;
	memset(&port, 0xee, sizeof(port));
	serial_init(&port, &ops);
	region = serial_region(&port, 0x3f8);
	return 0;
}
