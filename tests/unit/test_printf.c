/*
 * lib/printf.c, mostly against libc's snprintf over generated formats.
 * needs: lib/printf.c
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <crvm/printf.h>

/* The formats are generated, and some are meant to be wrong. */
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#pragma GCC diagnostic ignored "-Wformat"
#pragma GCC diagnostic ignored "-Wformat-extra-args"
#pragma GCC diagnostic ignored "-Wformat-overflow"

static const char *const flags[] = {"", "-", "0", "+", "-0", "0-", "+0", "-+", "+-0", "00", "--++"};
static const char *const width[] = {"", "1", "2", "5", "12", "24", "70"};
static const char *const precision[] = {"", ".", ".0", ".1", ".4", ".17", ".40"};
static const long long value[] = {
	0,	    1,		-1,	     9,
	10,	    -10,	42,	     0x7f,
	0x80,	    0xff,	0x100,	     -128,
	-129,	    0x7fff,	0x8000,	     0xffff,
	0x10000,    INT_MAX,	INT_MIN,     UINT_MAX,
	LONG_MAX,   LONG_MIN,	0xdeadbeef,  0x123456789abcdef,
	1000000007, 4294967296, -4294967296, 1234567890123456789,
};

static unsigned long compared;

/* The same call to both; then again into buffers of other sizes, with a byte behind that must stay.
 */
#define compare(fmt, ...)                                                                       \
	do {                                                                                    \
		char want_[256], got_[256];                                                     \
		int len_ = snprintf(want_, sizeof(want_), fmt, __VA_ARGS__);                    \
		assert_int_equal(str_printf(got_, sizeof(got_), fmt, __VA_ARGS__), len_);       \
		if (memcmp(want_, got_, (size_t)len_ + 1))                                      \
			fail_msg("format '%s': '%s', not '%s'", fmt, got_, want_);              \
		for (size_t size_ = 1 + compared % 16; size_ < (size_t)len_ + 2; size_ += 16) { \
			snprintf(want_, size_, fmt, __VA_ARGS__);                               \
			got_[size_] = '#';                                                      \
			assert_int_equal(str_printf(got_, size_, fmt, __VA_ARGS__), len_);      \
			assert_memory_equal(got_, want_,                                        \
					    size_ < (size_t)len_ ? size_ : (size_t)len_);       \
			assert_int_equal(got_[size_], '#');                                     \
		}                                                                               \
		compared++;                                                                     \
	} while (0)

static void compare_value(const char *fmt, const char *length, long long v)
{
	if (!strcmp(length, "ll"))
		compare(fmt, v);
	else if (!strcmp(length, "l"))
		compare(fmt, (long)v);
	else if (!strcmp(length, "z"))
		compare(fmt, (size_t)v);
	else
		compare(fmt, (int)v);
}

static void numbers_look_as_in_libc(void **state)
{
	static const char *const length[] = {"", "hh", "h", "l", "ll", "z"};
	static const char type[] = "diuxX";
	char fmt[32];

	(void)state;
	for (size_t f = 0; f < array_count(flags); f++)
		for (size_t w = 0; w < array_count(width); w++)
			for (size_t p = 0; p < array_count(precision); p++)
				for (size_t l = 0; l < array_count(length); l++)
					for (const char *t = type; *t; t++) {
						snprintf(fmt, sizeof(fmt), "<%%%s%s%s%s%c>",
							 flags[f], width[w], precision[p],
							 length[l], *t);
						for (size_t v = 0; v < array_count(value); v++)
							compare_value(fmt, length[l], value[v]);
					}
	assert_true(compared > 400000);
}

static void random_numbers_look_as_in_libc(void **state)
{
	unsigned long long x = 3;

	(void)state;
	for (int i = 0; i < 20000; i++) {
		x = x * 6364136223846793005ull + 1442695040888963407ull;
		compare("%lld|%llu|%llx|%016llX|%+d|%08x", (long long)(x >> i % 64), x >> i % 64,
			x >> i % 64, x, (int)(x >> 13), (unsigned)(x >> 21));
	}
}

static void strings_and_characters_look_as_in_libc(void **state)
{
	static const char *const text[] = {"", "a", "hello", "a longer text, with % in it",
					   "\xff\x80"};
	static const char *const justify[] = {"", "-"};
	char fmt[32];

	(void)state;
	for (size_t f = 0; f < array_count(justify); f++)
		for (size_t w = 0; w < array_count(width); w++) {
			for (size_t p = 0; p < array_count(precision); p++)
				for (size_t t = 0; t < array_count(text); t++) {
					snprintf(fmt, sizeof(fmt), "<%%%s%s%ss>", justify[f],
						 width[w], precision[p]);
					compare(fmt, text[t]);
				}
			snprintf(fmt, sizeof(fmt), "<%%%s%sc>", justify[f], width[w]);
			compare(fmt, 'x');
			compare(fmt, 0x141); /* the low byte */
			compare(fmt, 0);     /* a NUL in mid-text, counted */
		}
}

static void pointers_look_as_in_libc(void **state)
{
	static const char *const justify[] = {"", "-"};
	char fmt[32];
	int local;

	(void)state;
	for (size_t f = 0; f < array_count(justify); f++)
		for (size_t w = 0; w < array_count(width); w++) {
			snprintf(fmt, sizeof(fmt), "<%%%s%sp>", justify[f], width[w]);
			compare(fmt, (void *)&local);
			compare(fmt, (void *)1);
			compare(fmt, (void *)UINTPTR_MAX);
		}
}

static void width_and_precision_come_from_arguments(void **state)
{
	static const int n[] = {0, 1, 7, 33, -1, -9, -33};

	(void)state;
	for (size_t w = 0; w < array_count(n); w++) {
		compare("<%*d>", n[w], 12345);
		compare("<%0*d>", n[w], -12345);
		compare("<%-*x>", n[w], 0xabcu);
		compare("<%*s>", n[w], "text");
		compare("<%*c>", n[w], 'c');
		compare("<%.*s>", n[w], "text");
		for (size_t p = 0; p < array_count(n); p++) {
			compare("<%*.*d>", n[w], n[p], 12345);
			compare("<%0*.*d>", n[w], n[p], -12345);
			compare("<%*.*s>", n[w], n[p], "some text");
			compare("<%-+*.*lld>", n[w], n[p], 0ll);
		}
	}
}

static void text_and_percent_signs_pass_through(void **state)
{
	(void)state;
	compare("%s", "");
	compare("plain%s", "");
	compare("%%%d%%", 5);
	compare("100%%%s", "");
	compare("a%db%uc%xd%se%cf%%g", 1, 2u, 3u, "four", '5');
}

static void null_string_is_named(void **state)
{
	const char *volatile none = NULL;
	char buf[32];

	(void)state;
	assert_int_equal(str_printf(buf, sizeof(buf), "<%s>", none), 8);
	assert_string_equal(buf, "<(null)>");
	assert_int_equal(str_printf(buf, sizeof(buf), "<%8s>", none), 10);
	assert_string_equal(buf, "<  (null)>");
}

static void null_pointer_is_a_number(void **state)
{
	char buf[32];

	(void)state;
	assert_int_equal(str_printf(buf, sizeof(buf), "<%5p>", (void *)NULL), 7);
	assert_string_equal(buf, "<  0x0>");
}

static void precision_bounds_what_is_read_of_a_string(void **state)
{
	char *raw = malloc(4), buf[16];

	(void)state;
	memset(raw, 'r', 4);
	assert_int_equal(str_printf(buf, sizeof(buf), "%.4s", raw), 4);
	assert_string_equal(buf, "rrrr");
	assert_int_equal(str_printf(buf, sizeof(buf), "%.*s", 2, raw), 2);
	assert_string_equal(buf, "rr");
	free(raw);
}

static void size_zero_touches_nothing(void **state)
{
	char c = '#';

	(void)state;
	assert_int_equal(str_printf(&c, 0, "%d", 12345), 5);
	assert_int_equal(c, '#');
	assert_int_equal(str_printf(NULL, 0, "%100s|%s", "x", "yz"), 103);
}

static void each_buffer_size_gets_the_front_of_the_text(void **state)
{
	const char *want = "left 00042 right";

	(void)state;
	for (size_t size = 1; size < 24; size++) {
		size_t shown = size - 1 < strlen(want) ? size - 1 : strlen(want);
		char *buf = malloc(size);

		assert_int_equal(str_printf(buf, size, "left %05d %s", 42, "right"), strlen(want));
		assert_memory_equal(buf, want, shown);
		assert_int_equal(buf[shown], 0);
		free(buf);
	}
}

static void huge_widths_cost_no_time_and_no_overflow(void **state)
{
	char buf[8];

	(void)state;
	for (int i = 0; i < 100000; i++)
		assert_int_equal(str_printf(buf, sizeof(buf), "%2147483647d", 1), INT_MAX);
	assert_string_equal(buf, "       ");
	assert_int_equal(str_printf(buf, sizeof(buf), "%*d%*d", INT_MIN, 7, INT_MAX, 7), INT_MAX);
	assert_string_equal(buf, "7      ");
	assert_int_equal(str_printf(buf, sizeof(buf), "%.2147483647d!", 1), INT_MAX);
	assert_string_equal(buf, "0000000");
	assert_int_equal(str_printf(buf, sizeof(buf), "%99999999999999999999d", 1), INT_MAX);
	assert_int_equal(str_printf(buf, sizeof(buf), "%.99999999999999999999s", "abc"), 3);
	assert_string_equal(buf, "abc");
}

static void unsupported_conversion_ends_interpretation(void **state)
{
	static const struct {
		const char *fmt, *want;
	} t[] = {
		{"a %f %d", "a %f %d"}, {"%d %q %d", "1 %q %d"},
		{"%d %#x", "1 %#x"},	{"% d", "% d"},
		{"%o", "%o"},		{"%n", "%n"},
		{"%ls", "%ls"},		{"%lc", "%lc"},
		{"%jd", "%jd"},		{"%Lf", "%Lf"},
		{"%llld", "%llld"},	{"%d 50%", "1 50%"},
		{"%5", "%5"},		{"%5.", "%5."},
		{"%l", "%l"},		{"%-", "%-"},
		{"%hhh", "%hhh"},	{"%zzd", "%zzd"},
	};
	char buf[32];

	(void)state;
	for (size_t i = 0; i < array_count(t); i++) {
		assert_int_equal(str_printf(buf, sizeof(buf), t[i].fmt, 1, 2, 3),
				 strlen(t[i].want));
		assert_string_equal(buf, t[i].want);
	}
}

static int forward(char *buf, size_t size, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = str_vprintf(NULL, 0, fmt, ap);
	/* str_vprintf works on a copy: the same list may be used again. */
	assert_int_equal(str_vprintf(buf, size, fmt, ap), n);
	va_end(ap);
	return n;
}

static void many_arguments_of_mixed_size_stay_in_step(void **state)
{
	char buf[128];

	(void)state;
	forward(buf, sizeof(buf), "%d %s %llx %c %zu %hhu %*d %p %lu", -1, "two", 3ull << 40, '4',
		(size_t)5, 0x106, 3, 7, (void *)8, 9ul);
	assert_string_equal(buf, "-1 two 30000000000 4 5 6   7 0x8 9");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_look_as_in_libc),
		cmocka_unit_test(random_numbers_look_as_in_libc),
		cmocka_unit_test(strings_and_characters_look_as_in_libc),
		cmocka_unit_test(pointers_look_as_in_libc),
		cmocka_unit_test(width_and_precision_come_from_arguments),
		cmocka_unit_test(text_and_percent_signs_pass_through),
		cmocka_unit_test(null_string_is_named),
		cmocka_unit_test(null_pointer_is_a_number),
		cmocka_unit_test(precision_bounds_what_is_read_of_a_string),
		cmocka_unit_test(size_zero_touches_nothing),
		cmocka_unit_test(each_buffer_size_gets_the_front_of_the_text),
		cmocka_unit_test(huge_widths_cost_no_time_and_no_overflow),
		cmocka_unit_test(unsupported_conversion_ends_interpretation),
		cmocka_unit_test(many_arguments_of_mixed_size_stay_in_step),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
