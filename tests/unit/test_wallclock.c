/*
 * The host's wall clock: what CMOS clocks tell, and those that tell nothing.
 * needs: arch/x86_64/wallclock.c lib/date.c
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>
#include <crvm/status.h>
#include <crvm/time.h>
#include <crvm/wallclock.h>

enum { CENTURY = 0x32, MEMORY = 0x0e, UIP = 0x80, BINARY = 4, HOURS_24 = 2 };

static uint8_t chip[128];
static unsigned reads, reads_max;
/* In this many reads of register A from now there is an update; then the seconds go on. */
static unsigned uip_reads;
/* At this read of any register the minute ends, unnoticed: 0 never. */
static unsigned slip_at, slips;

uint64_t time_ns(void)
{
	return 0;
}

static uint8_t chip_read(void *ctx, uint8_t reg)
{
	assert_ptr_equal(ctx, chip);
	assert_in_range(reg, 0, 127);
	assert_true(++reads < reads_max);
	if (slip_at && reads % slip_at == 0 && slips) {
		slips--;
		chip[0] = chip[0] == 0x59 ? 0 : 0x59;
		chip[2] = chip[0] == 0 ? chip[2] + 1 : chip[2];
	}
	if (reg == 0xa && uip_reads) {
		uip_reads--;
		return chip[reg] | UIP;
	}
	return chip[reg];
}

static const struct wallclock_io io = {chip_read, chip};

static int setup(void **state)
{
	(void)state;
	memset(chip, 0, sizeof(chip));
	chip[0xa] = 0x26;
	chip[0xb] = HOURS_24;
	reads = uip_reads = slip_at = slips = 0;
	reads_max = 1000;
	return 0;
}

/* Registers from century to seconds, in hexadecimal. */
static void chip_set(uint64_t v)
{
	static const uint8_t regs[] = {0, 2, 4, 7, 8, 9, CENTURY};

	for (unsigned i = 0; i < sizeof(regs); i++)
		chip[regs[i]] = (uint8_t)(v >> 8 * i);
}

static void expect(uint64_t seconds)
{
	uint64_t s = 12345;

	reads = 0;
	assert_int_equal(wallclock_read(&io, CENTURY, &s), OK);
	assert_int_equal(s, seconds);
}

static void expect_none(uint8_t century)
{
	uint64_t s = 12345;

	reads = 0;
	assert_int_equal(wallclock_read(&io, century, &s), E_NODEV);
	assert_int_equal(s, 0);
}

static void test_bcd(void **state)
{
	(void)state;
	chip_set(0x20240229235958);
	expect(1709251198);
	chip_set(0x20000301000000);
	expect(951868800);
	chip_set(0x20991231235959);
	expect(4102444799);
}

static void test_binary(void **state)
{
	(void)state;
	chip[0xb] = HOURS_24 | BINARY;
	chip_set(0x1418021d173b3a);
	expect(1709251198);
}

static void test_hours_of_twelve(void **state)
{
	(void)state;
	for (unsigned binary = 0; binary < 2; binary++) {
		chip_set(binary ? 0x14180101000000 : 0x20240101000000);
		chip[0xb] = binary ? BINARY : 0;
		for (unsigned hour = 0; hour < 24; hour++) {
			const unsigned twelve = hour % 12 ? hour % 12 : 12;

			chip[4] = (uint8_t)(binary ? twelve : twelve / 10 * 16 + twelve % 10);
			chip[4] |= hour >= 12 ? 0x80 : 0;
			expect(1704067200 + hour * 3600);
		}
		chip[4] = 0;
		expect_none(CENTURY);
		chip[4] = 0x80;
		expect_none(CENTURY);
		chip[4] = binary ? 13 : 0x13;
		expect_none(CENTURY);
	}
}

static void test_every_day(void **state)
{
	(void)state;
	chip[0xb] = HOURS_24 | BINARY;
	for (time_t t = 0; t < 4102444800; t += 86400) {
		struct tm tm;

		gmtime_r(&t, &tm);
		chip[7] = (uint8_t)tm.tm_mday;
		chip[8] = (uint8_t)(tm.tm_mon + 1);
		chip[9] = (uint8_t)(tm.tm_year % 100);
		chip[CENTURY] = (uint8_t)(tm.tm_year / 100 + 19);
		expect((uint64_t)t);
	}
}

static void test_the_century_is_known_or_guessed(void **state)
{
	uint64_t s;

	(void)state;
	chip_set(0x21000101000000);
	expect(4102444800);
	/* Not told where it is: 1970 to 2069. */
	assert_int_equal(wallclock_read(&io, 0, &s), OK);
	assert_int_equal(s, 946684800);
	chip[9] = 0x69;
	assert_int_equal(wallclock_read(&io, 0, &s), OK);
	assert_int_equal(s, 3124224000);
	chip[9] = 0x70;
	assert_int_equal(wallclock_read(&io, 0, &s), OK);
	assert_int_equal(s, 0);
	chip[9] = 0x99;
	assert_int_equal(wallclock_read(&io, 0, &s), OK);
	assert_int_equal(s, 915148800);
	/* Nor is it believed blindly. */
	chip[9] = 0x24;
	for (unsigned c = 0; c < 256; c++) {
		chip[CENTURY] = (uint8_t)c;
		if (c >= 0x20 && c <= 0x29)
			continue;
		expect(1704067200);
	}
}

static void test_a_century_register_that_can_be_none(void **state)
{
	static const uint8_t wrong[] = {1, 4, 0x0a, 0x0b, 0x0c, 0x0d, 0x80, 0xb2, 0xff};
	uint64_t s;

	(void)state;
	chip_set(0x20240101202020);
	for (unsigned i = 0; i < sizeof(wrong); i++) {
		assert_int_equal(wallclock_read(&io, wrong[i], &s), OK);
		assert_int_equal(s, 1704067200 + 20 * 3661);
	}
	chip[MEMORY] = 0x21;
	assert_int_equal(wallclock_read(&io, MEMORY, &s), OK);
	assert_int_equal(s, 4859814020 + 0ull);
	chip[127] = 0x21;
	assert_int_equal(wallclock_read(&io, 127, &s), OK);
	assert_int_equal(s, 4859814020 + 0ull);
}

static void test_nonsense_is_no_time(void **state)
{
	static const struct {
		uint8_t reg, v;
	} bad[] = {{0, 0x60}, {0, 0x5a}, {0, 0xa0}, {0, 0xff}, {2, 0x60}, {2, 0x0f},
		   {4, 0x24}, {4, 0x92}, {7, 0x00}, {7, 0x32}, {7, 0x1a}, {8, 0x00},
		   {8, 0x13}, {8, 0xff}, {9, 0x9a}, {9, 0xa0}};

	(void)state;
	for (unsigned i = 0; i < array_count(bad); i++) {
		chip_set(0x20240101000000);
		chip[bad[i].reg] = bad[i].v;
		expect_none(CENTURY);
		expect_none(0);
	}
	chip[0xb] |= BINARY;
	chip_set(0x14640101000000); /* year 100 */
	expect_none(CENTURY);
}

static void test_days_that_a_month_lacks(void **state)
{
	static const uint8_t last[] = {0x31, 0x29, 0x31, 0x30, 0x31, 0x30,
				       0x31, 0x31, 0x30, 0x31, 0x30, 0x31};
	uint64_t s;

	(void)state;
	chip_set(0x20240100000000);
	for (unsigned m = 1; m <= 12; m++) {
		chip[8] = (uint8_t)(m < 10 ? m : m + 6);
		chip[7] = last[m - 1];
		assert_int_equal(wallclock_read(&io, CENTURY, &s), OK);
		chip[7] = last[m - 1] == 0x29 ? 0x30 : (uint8_t)(last[m - 1] + 1);
		reads = 0;
		expect_none(CENTURY);
	}
	chip_set(0x20230229000000);
	expect_none(CENTURY);
	chip_set(0x21000229000000);
	expect_none(CENTURY);
}

static void test_waits_for_the_end_of_an_update(void **state)
{
	(void)state;
	chip_set(0x20240101000000);
	uip_reads = 500;
	expect(1704067200);
	assert_int_equal(uip_reads, 0);
	assert_true(reads > 500);
}

static void test_an_update_in_mid_read_is_read_again(void **state)
{
	uint64_t s;

	(void)state;
	for (unsigned at = 2; at < 40; at++) {
		setup(NULL);
		chip_set(0x20240101000059);
		slip_at = at;
		slips = 1; /* to 00:01:00 at read `at`, never to a mixture of both */
		assert_int_equal(wallclock_read(&io, CENTURY, &s), OK);
		assert_in_range(s, 1704067259, 1704067260);
	}
	/* A clock that never tells the same twice. */
	chip_set(0x20240101000059);
	slip_at = 3;
	slips = 1000000;
	expect_none(CENTURY);
}

static void test_no_chip_at_all(void **state)
{
	(void)state;
	reads_max = 25000;
	memset(chip, 0xff, sizeof(chip));
	expect_none(CENTURY);
	expect_none(0);
	memset(chip, 0, sizeof(chip));
	expect_none(CENTURY);
	/* An update that never ends. */
	setup(NULL);
	reads_max = 25000;
	chip_set(0x20240101000000);
	chip[0xa] |= UIP;
	expect_none(CENTURY);
}

#define t(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		t(test_bcd),
		t(test_binary),
		t(test_hours_of_twelve),
		t(test_every_day),
		t(test_the_century_is_known_or_guessed),
		t(test_a_century_register_that_can_be_none),
		t(test_nonsense_is_no_time),
		t(test_days_that_a_month_lacks),
		t(test_waits_for_the_end_of_an_update),
		t(test_an_update_in_mid_read_is_read_again),
		t(test_no_chip_at_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
