/*
 * lib/text.c.
 * needs: lib/text.c lib/printf.c
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <crvm/printf.h>
#include <crvm/status.h>
#include <crvm/string.h>

static void str_copy_terminates_and_tells_when_it_cuts(void **state)
{
	static const struct {
		const char *src;
		size_t src_max, size;
		const char *want;
		bool whole;
	} t[] = {
		{"", SIZE_MAX, 1, "", true},	   {"a", SIZE_MAX, 1, "", false},
		{"abc", SIZE_MAX, 4, "abc", true}, {"abc", SIZE_MAX, 3, "ab", false},
		{"abc", 2, 4, "ab", true},	   {"abc", 2, 3, "ab", true},
		{"abc", 3, 3, "ab", false},	   {"abc", 0, 1, "", true},
		{"abc", 4, 8, "abc", true},
	};

	(void)state;
	for (size_t i = 0; i < array_count(t); i++) {
		char *dst = malloc(t[i].size); /* so that a byte too many is caught */

		memset(dst, 'Z', t[i].size);
		assert_int_equal(str_copy(dst, t[i].size, t[i].src, t[i].src_max), t[i].whole);
		assert_string_equal(dst, t[i].want);
		free(dst);
	}
}

static void str_copy_reads_no_byte_past_src_max(void **state)
{
	char *src = malloc(3), dst[8];

	(void)state;
	memset(src, 'x', 3);
	assert_true(str_copy(dst, sizeof(dst), src, 3));
	assert_string_equal(dst, "xxx");
	free(src);
}

static void str_copy_leaves_the_rest_of_dst_alone(void **state)
{
	char dst[6] = "ABCDE";

	(void)state;
	assert_true(str_copy(dst, sizeof(dst), "x", SIZE_MAX));
	assert_memory_equal(dst, "x\0CDE", 6);
}

static void str_to_u64_takes_numbers(void **state)
{
	static const struct {
		const char *text;
		uint64_t want;
	} t[] = {
		{"0", 0},
		{"7", 7},
		{"007", 7},
		{"115200", 115200},
		{"18446744073709551615", UINT64_MAX},
		{"0x0", 0},
		{"0x3f8", 0x3f8},
		{"0xABCdef", 0xabcdef},
		{"0xffffffffffffffff", UINT64_MAX},
		{"0x00000000000000000000ff", 0xff},
		{"0K", 0},
		{"1K", 1024},
		{"64M", 64ull << 20},
		{"3G", 3ull << 30},
		{"0x10M", 16ull << 20},
		{"17179869183G", 17179869183ull << 30},
		{"18014398509481983K", 18014398509481983ull << 10},
	};

	(void)state;
	for (size_t i = 0; i < array_count(t); i++) {
		uint64_t v = ~t[i].want;

		assert_int_equal(str_to_u64(t[i].text, &v), 0);
		assert_int_equal(v, t[i].want);
	}
}

static void str_to_u64_refuses_everything_else(void **state)
{
	static const char *const bad[] = {
		"",
		" ",
		" 1",
		"1 ",
		"+1",
		"-1",
		"0x",
		"0xK",
		"0X10",
		"x10",
		"1k",
		"1m",
		"1g",
		"1T",
		"1KB",
		"1KK",
		"1.5G",
		"K",
		"0xg",
		"12a",
		"1\n",
		"0x-1",
		"--",
		"\xb2",
		"99999999999999999999999x", /* too large, but first of all not a number */
	};

	(void)state;
	for (size_t i = 0; i < array_count(bad); i++) {
		uint64_t v = 42;

		assert_int_equal(str_to_u64(bad[i], &v), E_INVAL);
		assert_int_equal(v, 42);
	}
}

static void str_to_u64_tells_overflow(void **state)
{
	static const char *const large[] = {
		"18446744073709551616",
		"18446744073709551620",
		"99999999999999999999",
		"0x10000000000000000",
		"17179869184G",
		"18446744073709551615K",
		"17592186044416M",
		"18014398509481984K",
		"0xfffffffffffffffffffffffffffffffffffffffffffffffff",
		"0x10000000000000000000000000000001",	   /* the last digits overflow nothing */
		"340282366920938463463374607431768211456", /* 2^128: wraps to 0 twice */
	};

	(void)state;
	for (size_t i = 0; i < array_count(large); i++) {
		uint64_t v = 42;

		assert_int_equal(str_to_u64(large[i], &v), E_FAULT);
		assert_int_equal(v, 42);
	}
}

static void str_to_u64_agrees_with_libc_for_random_numbers(void **state)
{
	uint64_t x = 1;

	(void)state;
	for (int i = 0; i < 20000; i++) {
		uint64_t want, v;
		char text[32];

		x = x * 6364136223846793005ull + 1442695040888963407ull;
		want = x >> (i % 64);
		snprintf(text, sizeof(text), i & 1 ? "%" PRIu64 : "0x%" PRIx64, want);
		assert_int_equal(str_to_u64(text, &v), 0);
		assert_int_equal(v, want);
	}
}

static void str_size_speaks_for_people(void **state)
{
	static const struct {
		uint64_t bytes;
		const char *want;
	} t[] = {
		{0, "0 B"},
		{12, "12 B"},
		{1023, "1023 B"},
		{1024, "1 KiB"},
		{640 << 10, "640 KiB"},
		{639 * 1024 + 512, "639.5 KiB"},
		{512ull << 20, "512 MiB"},
		{1536ull << 20, "1.5 GiB"},
		{(1ull << 20) - 1, "1 MiB"}, /* not "1024 KiB" */
		{1024 + 51, "1 KiB"},
		{1024 + 52, "1.1 KiB"},
		{1ull << 40, "1 TiB"},
		{1ull << 50, "1 PiB"},
		{1ull << 60, "1 EiB"},
		{UINT64_MAX, "16 EiB"},
		{31ull << 59, "15.5 EiB"},
	};
	char buf[16];

	(void)state;
	for (size_t i = 0; i < array_count(t); i++) {
		assert_ptr_equal(str_size(buf, sizeof(buf), t[i].bytes), buf);
		assert_string_equal(buf, t[i].want);
	}
}

static void str_size_rounds_to_the_nearest_tenth(void **state)
{
	static const char unit[] = "BKMGTPE";
	uint64_t x = 7;

	(void)state;
	for (int i = 0; i < 20000; i++) {
		unsigned whole = 0, tenth = 0;
		uint64_t bytes;
		char buf[32], u;
		__int128 got, diff;

		x = x * 6364136223846793005ull + 1442695040888963407ull;
		bytes = x >> (i % 64);
		str_size(buf, sizeof(buf), bytes);
		if (strchr(buf, '.'))
			assert_int_equal(sscanf(buf, "%u.%u %c", &whole, &tenth, &u), 3);
		else
			assert_int_equal(sscanf(buf, "%u %c", &whole, &u), 2);
		assert_true(whole < 1024 && tenth < 10);
		/* In units of a twentieth: at most one away from the truth. */
		got = (__int128)(whole * 10 + tenth) << (10 * (strchr(unit, u) - unit));
		diff = got - (__int128)bytes * 10;
		if (diff < 0)
			diff = -diff;
		assert_true(2 * diff <= (__int128)1 << (10 * (strchr(unit, u) - unit)));
		assert_true(u == 'B' ? diff == 0 : whole > 0);
	}
}

static void str_size_cuts_at_the_buffer(void **state)
{
	char buf[5] = "....";

	(void)state;
	assert_string_equal(str_size(buf, 4, 512ull << 20), "512");
	assert_string_equal(str_size(buf, 1, 512ull << 20), "");
}

static void each_status_has_a_name_of_its_own(void **state)
{
	static const int status[] = {OK,     E_PERM,  E_NOENT, E_IO,	E_NOMEM, E_FAULT,
				     E_BUSY, E_EXIST, E_NODEV, E_INVAL, E_NOSYS, E_TIMEOUT};

	(void)state;
	for (size_t i = 0; i < array_count(status); i++) {
		assert_string_not_equal(status_name(status[i]), status_name(12345));
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(status_name(status[i]), status_name(status[j]));
	}
	assert_string_equal(status_name(E_NOMEM), "no memory");
	assert_string_equal(status_name(E_INVAL), "bad parameter");
	assert_string_equal(status_name(INT32_MIN), "unknown status");
	assert_string_equal(status_name(-3), "unknown status");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(str_copy_terminates_and_tells_when_it_cuts),
		cmocka_unit_test(str_copy_reads_no_byte_past_src_max),
		cmocka_unit_test(str_copy_leaves_the_rest_of_dst_alone),
		cmocka_unit_test(str_to_u64_takes_numbers),
		cmocka_unit_test(str_to_u64_refuses_everything_else),
		cmocka_unit_test(str_to_u64_tells_overflow),
		cmocka_unit_test(str_to_u64_agrees_with_libc_for_random_numbers),
		cmocka_unit_test(str_size_speaks_for_people),
		cmocka_unit_test(str_size_rounds_to_the_nearest_tenth),
		cmocka_unit_test(str_size_cuts_at_the_buffer),
		cmocka_unit_test(each_status_has_a_name_of_its_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
