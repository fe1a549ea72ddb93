/*
 * The driver for the machine's PS/2 keyboard: setup on a working controller (the model that guests
 * get), on broken ones and on none; its ring; what scan codes mean.
 * needs: arch/x86_64/ps2kbd.c lib/ring.c devices/kbc.c devices/keyboard.c
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <crvm/ps2kbd.h>
#include <crvm/time.h>
#include "kbc_rig.h"
#include "ram.h"

/* Only ps2kbd_init, which no host test can run, would call it. */
void time_delay_us(unsigned us)
{
	fail_msg("delay of %u us on real ports", us);
}

/* How a machine differs from one with a good controller. */
static struct {
	bool absent, zeros, ibf_stuck, obf_stuck, deaf, mute_keyboard, no_port_2, no_translation;
	bool random, self_test_fails, bad;
	uint8_t command_or;  /* bits that the command byte always shows */
	unsigned gone_after; /* accesses; then all ones */
	uint64_t seed;
} odd;
static unsigned accesses, self_tests;
static uint8_t last_command;
static uint64_t waited_us;

static uint8_t odd_status(uint8_t s)
{
	if (odd.ibf_stuck)
		s |= 2;
	if (odd.obf_stuck)
		s |= 1;
	if (odd.bad)
		s |= 0x80;
	return s;
}

static uint8_t port_read(void *ctx, uint16_t port)
{
	uint8_t v;

	assert_ptr_equal(ctx, &odd);
	accesses++;
	assert_true(port == 0x60 || port == 0x64);
	if (odd.absent || (odd.gone_after && accesses > odd.gone_after))
		return 0xff;
	if (odd.zeros)
		return 0;
	if (odd.random)
		return (uint8_t)(fake_random(&odd.seed) >> 32) & (port == 0x64 ? 0x7f : 0xff);
	v = in(port);
	if (port == 0x64)
		return odd_status(v);
	if (last_command == 0x20) {
		v |= odd.command_or;
		if (odd.no_port_2)
			v &= (uint8_t)~0x20;
		if (odd.no_translation)
			v &= (uint8_t)~0x40;
	}
	if (last_command == 0xaa && odd.self_test_fails)
		v = 0xfc;
	return v;
}

static void port_write(void *ctx, uint16_t port, uint8_t v)
{
	assert_ptr_equal(ctx, &odd);
	accesses++;
	if (odd.absent || odd.zeros || odd.random || odd.deaf)
		return;
	if (port == 0x64)
		last_command = v;
	self_tests += port == 0x64 && v == 0xaa;
	if (odd.mute_keyboard && port == 0x60 && last_command != 0x60)
		return;
	out(port, v);
	if (port == 0x60 && last_command == 0x60)
		last_command = 0;
}

static void delay(void *ctx, unsigned us)
{
	assert_ptr_equal(ctx, &odd);
	waited_us += us;
	assert_in_range(waited_us, 0, 1000000);
	tick(us * 1000ul);
}

static const struct ps2kbd_io io = {port_read, port_write, delay, &odd};

static int setup(void **state)
{
	rig_setup(state);
	memset(&odd, 0, sizeof(odd));
	accesses = self_tests = 0;
	last_command = 0;
	waited_us = 0;
	return 0;
}

/* The controller interrupts until it is empty. */
static void interrupts(void)
{
	for (unsigned i = 0; full() || rig.deadline != DEVICE_NEVER; i++) {
		assert_in_range(i, 0, 10000);
		if (rig.level[0])
			assert_true(ps2kbd_irq());
		tick(KBC_BYTE_NS);
	}
}

static void assert_reads(const char *text, unsigned n)
{
	char buf[64];

	assert_int_equal(ps2kbd_read(buf, sizeof(buf)), n);
	assert_memory_equal(buf, text, n);
}

static void assert_reads_one(char expect)
{
	char c;

	assert_int_equal(ps2kbd_read(&c, 1), 1);
	assert_int_equal(c, expect);
}

static void set_up_and_read(void **state)
{
	(void)state;
	/* As a careless firmware leaves it: second port on, no translation, keys waiting. */
	command_with(0x60, 0x07);
	type("z");
	assert_true(ps2kbd_init_on(&io));
	assert_int_equal(kbc.ram[0], 0x65);
	assert_int_equal(kbc.keyboard.set, 2);
	assert_true(kbc.keyboard.scanning);
	assert_false(full());
	assert_int_equal(self_tests, 0); /* the firmware had set the system flag */
	assert_in_range(waited_us, 0, 50000);
	interrupts();
	assert_reads("", 0);
	type("Hi!\r");
	interrupts();
	assert_reads("Hi!\r", 4);
}

static void a_disabled_keyboard_is_enabled(void **state)
{
	(void)state;
	out(0x60, 0xf5);
	out(0x60, 0xf0);
	out(0x60, 0x01);
	command(0xad);
	assert_true(ps2kbd_init_on(&io));
	assert_true(kbc.keyboard.scanning);
	assert_int_equal(kbc.keyboard.set, 2);
	assert_int_equal(kbc.ram[0], 0x65);
}

static void self_test_where_no_firmware_was(void **state)
{
	(void)state;
	command_with(0x60, 0x00);
	assert_true(ps2kbd_init_on(&io));
	assert_int_equal(self_tests, 1);
	assert_int_equal(kbc.ram[0], 0x65);
	setup(state);
	command_with(0x60, 0x00);
	odd.self_test_fails = true;
	assert_false(ps2kbd_init_on(&io));
}

static void nothing_there(void **state)
{
	(void)state;
	odd.absent = true;
	assert_false(ps2kbd_init_on(&io));
	assert_int_equal(accesses, 1);
	assert_int_equal(waited_us, 0);
	assert_false(ps2kbd_irq());
	assert_int_equal(accesses, 1);
	setup(state);
	odd.zeros = true;
	assert_false(ps2kbd_init_on(&io));
	assert_false(ps2kbd_irq());
}

static void broken_controllers_are_left_alone(void **state)
{
	for (unsigned i = 0; i < 6; i++) {
		setup(state);
		odd.ibf_stuck = i == 0;
		odd.obf_stuck = i == 1;
		odd.deaf = i == 2;
		odd.no_translation = i == 3;
		odd.command_or = i == 4 ? 0x80 : i == 5 ? 0x08 : 0;
		assert_false(ps2kbd_init_on(&io));
		assert_false(ps2kbd_irq());
	}
}

static void a_controller_that_goes_away(void **state)
{
	unsigned total;

	assert_true(ps2kbd_init_on(&io));
	total = accesses;
	for (unsigned n = 1; n < total; n++) {
		setup(state);
		odd.gone_after = n;
		/* Writes cannot tell: only what follows the last read may go unnoticed. */
		if (ps2kbd_init_on(&io))
			assert_in_range(n, total - 3, total);
		else
			assert_false(ps2kbd_irq());
		assert_in_range(waited_us, 0, 10000); /* it is seen at once */
	}
}

static void random_answers_end_in_time(void **state)
{
	for (unsigned i = 1; i < 2000; i++) {
		setup(state);
		odd.random = true;
		odd.seed = i;
		(void)ps2kbd_init_on(&io);
		accesses = 0;
		(void)ps2kbd_irq();
		assert_in_range(accesses, 0, 33);
	}
}

static void a_controller_without_second_port(void **state)
{
	(void)state;
	odd.no_port_2 = true;
	assert_true(ps2kbd_init_on(&io));
}

static void a_keyboard_may_come_later(void **state)
{
	(void)state;
	odd.mute_keyboard = true;
	assert_true(ps2kbd_init_on(&io));
	odd.mute_keyboard = false;
	type("x");
	interrupts();
	assert_reads("x", 1);
}

static void interrupts_take_keys_only(void **state)
{
	uint8_t raw[4];

	(void)state;
	assert_true(ps2kbd_init_on(&io));
	command_with(0xd3, 0x1e); /* the mouse's */
	assert_false(ps2kbd_irq());
	assert_false(full());
	command_with(0xd4, 0x1e); /* a timeout */
	assert_false(ps2kbd_irq());
	assert_false(full());
	assert_false(ps2kbd_irq()); /* nobody's */
	odd.bad = true;		    /* parity */
	assert_true(kbc_key(&kbc, 0x1e));
	tick(KBC_BYTE_NS);
	assert_true(full());
	assert_false(ps2kbd_irq());
	assert_false(full());
	odd.absent = true;
	accesses = 0;
	assert_false(ps2kbd_irq());
	assert_int_equal(accesses, 1);
	odd.absent = odd.bad = false;
	assert_int_equal(ps2kbd_read_raw(raw, sizeof(raw)), 0);
	odd.obf_stuck = true;
	accesses = 0;
	assert_true(ps2kbd_irq());
	assert_int_equal(accesses, 32);
}

static void raw_codes_and_modifiers(void **state)
{
	static const uint8_t codes[] = {0x2a, 0xe0, 0x48, 0xe0, 0xc8};
	uint8_t raw[16];

	(void)state;
	assert_true(ps2kbd_init_on(&io));
	for (unsigned i = 0; i < sizeof(codes); i++)
		assert_true(kbc_key(&kbc, codes[i]));
	interrupts();
	assert_int_equal(ps2kbd_read_raw(raw, 3), 3);
	assert_memory_equal(raw, codes, 3);
	assert_reads("", 0); /* the arrow went out as codes */
	assert_true(kbc_key(&kbc, 0x1e));
	interrupts();
	assert_reads("A", 1); /* but that Shift is down is known */
	assert_int_equal(ps2kbd_read_raw(raw, sizeof(raw)), 0);
}

static void small_buffers_lose_nothing(void **state)
{
	static const char expect[] = "\033[A\033[3~x";
	static const uint8_t codes[] = {0xe0, 0x48, 0xe0, 0x53, 0x2d};
	char c;

	(void)state;
	assert_true(ps2kbd_init_on(&io));
	for (unsigned i = 0; i < sizeof(codes); i++)
		assert_true(kbc_key(&kbc, codes[i]));
	interrupts();
	for (unsigned i = 0; i < sizeof(expect) - 1; i++) {
		assert_int_equal(ps2kbd_read(&c, 0), 0);
		assert_int_equal(ps2kbd_read(&c, 1), 1);
		assert_int_equal(c, expect[i]);
	}
	assert_int_equal(ps2kbd_read(&c, 1), 0);
}

static void an_overflow_lets_go_of_all_keys(void **state)
{
	uint8_t raw[512];
	const uint64_t before = ps2kbd_lost();

	(void)state;
	assert_true(ps2kbd_init_on(&io));
	for (unsigned i = 0; i < 300; i++) {
		assert_true(kbc_key(&kbc, i == 0 ? 0x2a : 0x9e));
		interrupts();
	}
	assert_int_equal(ps2kbd_lost() - before, 300 - 256);
	assert_int_equal(ps2kbd_read_raw(raw, sizeof(raw)), 256);
	assert_int_equal(raw[0], 0x2a);
	assert_true(kbc_key(&kbc, 0x1e)); /* the release of Shift may have been lost */
	interrupts();
	assert_reads("a", 1);
	/* Nothing is forgotten before what came ahead of the loss is read. */
	for (unsigned i = 0; i < 300; i++) {
		assert_true(kbc_key(&kbc, i == 0 ? 0x1d : i == 299 ? 0x9d : 0x2e));
		interrupts();
	}
	for (unsigned i = 1; i < 256; i++)
		assert_reads_one(3);
	assert_reads("", 0);
	assert_true(kbc_key(&kbc, 0x2e));
	interrupts();
	assert_reads("c", 1);
}

#define s(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		s(set_up_and_read),
		s(a_disabled_keyboard_is_enabled),
		s(self_test_where_no_firmware_was),
		s(nothing_there),
		s(broken_controllers_are_left_alone),
		s(a_controller_that_goes_away),
		s(random_answers_end_in_time),
		s(a_controller_without_second_port),
		s(a_keyboard_may_come_later),
		s(interrupts_take_keys_only),
		s(raw_codes_and_modifiers),
		s(small_buffers_lose_nothing),
		s(an_overflow_lets_go_of_all_keys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
