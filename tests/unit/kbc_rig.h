/*
 * A keyboard controller on a bench, for its tests: ports by number, a clock that stands still until
 * told, the alarm, both interrupt lines, A20 and reset counted.
 */
#pragma once

#include <string.h>
#include <crvm/devices/kbc.h>

static struct {
	uint64_t now, deadline; /* deadline: DEVICE_NEVER when none is set */
	unsigned clock_reads, timer_sets;
	bool level[2]; /* IRQ1, IRQ12 */
	unsigned rises[2];
	unsigned same[2]; /* set to the level that it had: not wrong, but a waste */
	bool a20;
	unsigned a20_calls, resets;
	const char *text; /* what somebody types */
} rig;

static struct kbc kbc;

static void rig_line(unsigned i, bool level)
{
	rig.rises[i] += level && !rig.level[i];
	rig.same[i] += level == rig.level[i];
	rig.level[i] = level;
}

static void rig_irq1(void *ctx, bool level)
{
	assert_ptr_equal(ctx, &rig.level[0]);
	rig_line(0, level);
}

static void rig_irq12(void *ctx, bool level)
{
	assert_ptr_equal(ctx, &rig.level[1]);
	rig_line(1, level);
}

static void rig_a20(void *ctx, bool on)
{
	assert_ptr_equal(ctx, &rig);
	rig.a20 = on;
	rig.a20_calls++;
}

static void rig_reset(void *ctx)
{
	assert_ptr_equal(ctx, &rig);
	rig.resets++;
}

static uint64_t rig_now(void *ctx)
{
	assert_ptr_equal(ctx, &rig.now);
	rig.clock_reads++;
	return rig.now;
}

static void rig_timer(void *ctx, uint64_t deadline)
{
	assert_ptr_equal(ctx, &rig.deadline);
	rig.deadline = deadline;
	rig.timer_sets++;
}

static int rig_type(void *ctx)
{
	assert_ptr_equal(ctx, &rig);
	return rig.text && *rig.text ? (uint8_t)*rig.text++ : -1;
}

static const struct kbc_ops rig_ops = {
	.irq1 = {rig_irq1, &rig.level[0]},
	.irq12 = {rig_irq12, &rig.level[1]},
	.type = rig_type,
	.a20 = rig_a20,
	.reset = rig_reset,
	.clock = {rig_now, &rig.now},
	.timer = {rig_timer, &rig.deadline},
	.ctx = &rig,
};

static int rig_setup(void **state)
{
	(void)state;
	memset(&rig, 0, sizeof(rig));
	rig.now = 1000000000;
	rig.deadline = DEVICE_NEVER;
	memset(&kbc, 0xee, sizeof(kbc));
	kbc_init(&kbc, &rig_ops);
	return 0;
}

static struct io_region rig_region(uint16_t port)
{
	for (unsigned i = 0; i < KBC_REGION_COUNT; i++) {
		struct io_region r = kbc_region(&kbc, i);

		assert_int_equal(r.len, 1);
		if (r.base == port)
			return r;
	}
	fail_msg("no region at port %x", port);
	return (struct io_region){0};
}

static uint8_t in(uint16_t port)
{
	struct io_region r = rig_region(port);

	return (uint8_t)r.ops->read(r.dev, 0, 1);
}

static void out(uint16_t port, uint8_t v)
{
	struct io_region r = rig_region(port);

	r.ops->write(r.dev, 0, 1, v);
}

static void command(uint8_t c)
{
	out(0x64, c);
}

static void command_with(uint8_t c, uint8_t v)
{
	out(0x64, c);
	assert_true(in(0x64) & KBC_CMD);
	out(0x60, v);
	assert_false(in(0x64) & KBC_CMD);
}

/* Time passes; the alarm rings when it is due. */
static void tick(uint64_t ns)
{
	rig.now += ns;
	for (unsigned i = 0; rig.deadline <= rig.now; i++) {
		assert_in_range(i, 0, 100);
		rig.deadline = DEVICE_NEVER;
		kbc_expired(&kbc);
	}
}

static bool full(void)
{
	return in(0x64) & KBC_OBF;
}

/* The next byte, waited for as a driver does. */
static __attribute__((unused)) uint8_t take(void)
{
	if (!full())
		tick(KBC_BYTE_NS);
	assert_true(full());
	return in(0x60);
}

#define assert_takes(...)                                           \
	do {                                                        \
		static const uint8_t expected_[] = {__VA_ARGS__};   \
		for (unsigned i_ = 0; i_ < sizeof(expected_); i_++) \
			assert_int_equal(take(), expected_[i_]);    \
	} while (0)

#define assert_quiet()                \
	do {                          \
		tick(KBC_BYTE_NS);    \
		assert_false(full()); \
	} while (0)

#define t(name) cmocka_unit_test_setup(name, rig_setup)

static inline void type(const char *text)
{
	rig.text = text;
	kbc_type_ready(&kbc);
}
