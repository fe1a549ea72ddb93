/*
 * The PIT against a counter that really counts: one clock at a time, by the data sheet's words.
 * Control words, counts, half counts and gates are random.
 * needs: devices/pit8254.c devices/pit_counter.c
 */
#include "pit_rig.h"

static uint32_t rnd_state;

static uint32_t rnd(uint32_t limit)
{
	rnd_state = rnd_state * 1664525 + 1013904223;
	return (rnd_state >> 8) % limit;
}

/* One counter of the chip. */
struct chip {
	unsigned mode, rw;
	bool bcd, gate, out, null, counting, load, trigger, high_next;
	bool strobe;	/* modes 4, 5: is still to come */
	bool long_half; /* mode 3: of an odd count */
	uint32_t cr, ce;
	uint8_t first, control;
	uint64_t edges;
};

static void chip_set_out(struct chip *c, bool level)
{
	if (level && !c->out)
		c->edges++;
	c->out = level;
}

static void chip_control(struct chip *c, uint8_t control)
{
	c->control = control & 0x3f;
	c->rw = control >> 4 & 3;
	c->mode = control >> 1 & 7;
	if (c->mode > 5)
		c->mode -= 4;
	c->bcd = control & 1;
	c->counting = c->load = c->trigger = c->strobe = c->high_next = false;
	c->null = true;
	c->cr = 0;
	chip_set_out(c, c->mode != 0);
}

static void chip_count_written(struct chip *c, unsigned v)
{
	unsigned n = v;

	if (c->bcd)
		n = v % 16 + v / 16 % 16 * 10 + v / 256 % 16 * 100 + v / 4096 * 1000;
	if (v == 0)
		n = c->bcd ? 10000 : 65536;
	if (n == 1 && (c->mode == 2 || c->mode == 3))
		n = 2;
	c->cr = n;
	c->null = true;
	if (c->mode == 0) {
		c->counting = false;
		chip_set_out(c, false);
	}
	if (c->mode == 0 || c->mode == 4 || ((c->mode == 2 || c->mode == 3) && !c->counting))
		c->load = true;
}

static void chip_write(struct chip *c, uint8_t byte)
{
	if (c->rw == 1) {
		chip_count_written(c, byte);
	} else if (c->rw == 2) {
		chip_count_written(c, byte * 256u);
	} else if (!c->high_next) {
		c->first = byte;
		c->high_next = true;
		if (c->mode == 0) {
			c->counting = c->load = false;
			chip_set_out(c, false);
		}
	} else {
		c->high_next = false;
		chip_count_written(c, byte * 256u + c->first);
	}
}

static void chip_gate(struct chip *c, bool gate)
{
	const bool periodic = c->mode == 2 || c->mode == 3;

	if (gate && !c->gate && c->cr && c->mode != 0 && c->mode != 4)
		c->trigger = true;
	if (!gate && c->gate && periodic && c->counting)
		chip_set_out(c, true);
	c->gate = gate;
}

static void chip_count_down(struct chip *c)
{
	if (c->ce == 0)
		c->ce = c->bcd ? 10000 : 65536;
	c->ce--;
}

static void chip_clock_square(struct chip *c)
{
	/* A half's last count: zero in the longer half of odd counts, two otherwise. */
	if (c->ce != (c->long_half ? 0 : 2)) {
		c->ce -= 2;
		return;
	}
	chip_set_out(c, !c->out);
	c->ce = c->cr & ~1u;
	c->long_half = c->out && c->cr % 2;
	c->null = false;
}

static void chip_load(struct chip *c)
{
	c->ce = c->mode == 3 ? c->cr & ~1u : c->cr;
	c->null = c->load = c->trigger = false;
	c->counting = true;
	c->long_half = c->cr % 2;
	c->strobe = true;
	chip_set_out(c, c->mode != 0 && c->mode != 1);
}

static void chip_clock(struct chip *c)
{
	if (c->load || c->trigger) {
		chip_load(c);
		return;
	}
	if (!c->counting || (!c->gate && c->mode != 1 && c->mode != 5))
		return;
	switch (c->mode) {
	case 0:
	case 1:
		chip_count_down(c);
		if (c->ce == 0)
			chip_set_out(c, true);
		break;
	case 2:
		if (!c->out || c->ce == 1) {
			chip_load(c);
			break;
		}
		chip_count_down(c);
		chip_set_out(c, c->ce != 1);
		break;
	case 3:
		chip_clock_square(c);
		break;
	default:
		chip_count_down(c);
		chip_set_out(c, c->ce != 0 || !c->strobe);
		if (c->ce == 0)
			c->strobe = false;
		break;
	}
}

static unsigned chip_value(const struct chip *c)
{
	unsigned v = c->ce;

	if (!c->bcd)
		return v & 0xffff;
	v %= 10000;
	return v % 10 + v / 10 % 10 * 16 + v / 100 % 10 * 256 + v / 1000 * 4096;
}

static void check(struct chip *c, unsigned i)
{
	const unsigned v = chip_value(c);
	const uint16_t port = (uint16_t)(0x40 + i);

	out(0x43, 0xc0 | 2u << i);
	assert_int_equal(in(port), c->out << 7 | c->null << 6 | c->control);
	if (c->rw & 1)
		assert_int_equal(in(port), v & 0xff);
	if (c->rw & 2)
		assert_int_equal(in(port), v >> 8);
	if (i == 2)
		assert_int_equal(in(0x61) >> 5 & 1, c->out);
	if (i == 0)
		assert_int_equal(pit_ticks(&pit).due, c->edges);
}

static uint8_t some_byte(void)
{
	static const uint8_t bytes[] = {0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 0x10, 0x12, 0x99, 0xff};

	return bytes[rnd(sizeof(bytes))];
}

static void operate(struct chip *c, unsigned i)
{
	uint8_t v;

	switch (rnd(8)) {
	case 0:
		v = (uint8_t)((rnd(3) + 1) << 4 | rnd(16));
		out(0x43, i << 6 | v);
		chip_control(c, v);
		break;
	case 1:
	case 2:
		if (i != 2)
			break;
		v = (uint8_t)rnd(2);
		out(0x61, v);
		chip_gate(c, v);
		break;
	case 3:
	case 4:
		v = some_byte();
		out((uint16_t)(0x40 + i), v);
		chip_write(c, v);
		break;
	default:
		break;
	}
}

/* Programs most of what it runs: control word and both bytes without a clock between. */
static void begin(struct chip *c, unsigned i)
{
	const uint8_t control = (uint8_t)(0x30 | rnd(16));
	uint8_t v;

	out(0x43, i << 6 | control);
	chip_control(c, control);
	for (unsigned byte = 0; byte < 2; byte++) {
		v = byte ? 0 : some_byte();
		out((uint16_t)(0x40 + i), v);
		chip_write(c, v);
	}
}

static void run(unsigned i, unsigned clocks, unsigned pause)
{
	struct chip c = {
		.mode = 3, .rw = 3, .gate = i != 2, .out = true, .null = true, .control = 0x36};
	uint64_t clock = 0;

	rig_init(PIT_COALESCE);
	begin(&c, i);
	while (clock < clocks) {
		for (unsigned n = rnd(pause); n > 0; n--) {
			chip_clock(&c);
			clock++;
		}
		rig_ns = clock_ns(clock) + (rnd(2) ? 0 : rnd(830));
		check(&c, i);
		for (unsigned n = rnd(4); n > 0; n--) {
			operate(&c, i);
			check(&c, i);
		}
	}
}

static void test_each_counter_as_the_chip_counts(void **state)
{
	static const unsigned pauses[] = {2, 3, 12, 40, 400};

	(void)state;
	for (unsigned seed = 0; seed < 600; seed++) {
		rnd_state = seed;
		run(seed % 3, 400, pauses[seed / 3 % 5]);
	}
}

static void test_long_counts_as_the_chip_counts(void **state)
{
	(void)state;
	for (unsigned seed = 0; seed < 12; seed++) {
		rnd_state = 1000 + seed;
		run(seed % 3, 2000000, 70000);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_counter_as_the_chip_counts),
		cmocka_unit_test(test_long_counts_as_the_chip_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
