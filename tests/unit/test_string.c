/*
 * lib/string.c against byte-by-byte models. Its functions get other names here, so that this
 * program and the sanitizers keep libc's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define memcpy	own_memcpy
#define memmove own_memmove
#define memset	own_memset
#define memcmp	own_memcmp
#define strlen	own_strlen
#define strnlen own_strnlen
#define strcmp	own_strcmp
#define strncmp own_strncmp
#define strchr	own_strchr
#include "../../lib/string.c"
#undef memcpy
#undef memmove
#undef memset
#undef memcmp
#undef strlen
#undef strnlen
#undef strcmp
#undef strncmp
#undef strchr

#define PAGE 4096

/* A page between two that cannot be accessed: the string instructions are not instrumented. */
static uint8_t *page_new(void)
{
	uint8_t *p = mmap(NULL, 3 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(p, MAP_FAILED);
	assert_int_equal(mprotect(p + PAGE, PAGE, PROT_READ | PROT_WRITE), 0);
	return p + PAGE;
}

static void page_free(uint8_t *p)
{
	munmap(p - PAGE, 3 * PAGE);
}

static void fill_random(uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)(rand() >> 7);
}

static void memcpy_copies_exactly_n_bytes_at_any_alignment(void **state)
{
	uint8_t src[128], dst[128], want[128];

	(void)state;
	for (size_t n = 0; n <= 72; n++) {
		for (size_t from = 0; from < 9; from++) {
			for (size_t to = 0; to < 9; to++) {
				fill_random(src, sizeof(src));
				fill_random(dst, sizeof(dst));
				for (size_t i = 0; i < sizeof(want); i++)
					want[i] =
						i >= to && i < to + n ? src[from + i - to] : dst[i];
				assert_ptr_equal(own_memcpy(dst + to, src + from, n), dst + to);
				assert_memory_equal(dst, want, sizeof(want));
			}
		}
	}
}

static void memcpy_and_memset_stay_inside_their_pages(void **state)
{
	uint8_t *a = page_new(), *b = page_new();

	(void)state;
	fill_random(a, PAGE);
	for (size_t n = 0; n < 40; n++) {
		own_memset(b, 0, PAGE);
		own_memcpy(b + PAGE - n, a + PAGE - n, n);
		assert_memory_equal(b + PAGE - n, a + PAGE - n, n);
		own_memcpy(b, a, n);
		assert_memory_equal(b, a, n);
		own_memset(b + PAGE - n, 0x5a, n);
		own_memmove(b + PAGE - n, a, n);
		assert_memory_equal(b + PAGE - n, a, n);
	}
	own_memcpy(b, a, PAGE);
	assert_memory_equal(b, a, PAGE);
	page_free(a);
	page_free(b);
}

static void memmove_equals_a_copy_through_a_third_buffer(void **state)
{
	uint8_t buf[160], want[160], third[160];

	(void)state;
	for (size_t n = 0; n <= 64; n++) {
		for (size_t from = 0; from < 40; from++) {
			for (size_t to = 0; to < 40; to++) {
				fill_random(buf, sizeof(buf));
				for (size_t i = 0; i < sizeof(buf); i++)
					want[i] = third[i] = buf[i];
				for (size_t i = 0; i < n; i++)
					want[to + i] = third[from + i];
				assert_ptr_equal(own_memmove(buf + to, buf + from, n), buf + to);
				assert_memory_equal(buf, want, sizeof(buf));
			}
		}
	}
}

static void memset_fills_exactly_n_bytes_with_the_low_byte(void **state)
{
	static const int value[] = {0, 1, 0x7f, 0x80, 0xff, -1, 0x1234};
	uint8_t buf[96], want[96];

	(void)state;
	for (size_t v = 0; v < array_count(value); v++) {
		for (size_t n = 0; n <= 64; n++) {
			for (size_t at = 0; at < 9; at++) {
				fill_random(buf, sizeof(buf));
				for (size_t i = 0; i < sizeof(buf); i++)
					want[i] =
						i >= at && i < at + n ? (uint8_t)value[v] : buf[i];
				assert_ptr_equal(own_memset(buf + at, value[v], n), buf + at);
				assert_memory_equal(buf, want, sizeof(buf));
			}
		}
	}
}

static void memcmp_orders_by_unsigned_bytes(void **state)
{
	(void)state;
	assert_int_equal(own_memcmp("x", "y", 0), 0);
	assert_int_equal(own_memcmp("abc", "abc", 3), 0);
	assert_int_equal(own_memcmp("abX", "abY", 2), 0);
	assert_true(own_memcmp("abX", "abY", 3) < 0);
	assert_true(own_memcmp("b", "a", 1) > 0);
	assert_true(own_memcmp("\x80", "\x7f", 1) > 0);
	assert_true(own_memcmp("\x00\xff", "\x00\x01", 2) > 0);
}

static void strlen_and_strnlen_stop_at_the_first_nul_or_at_max(void **state)
{
	char *exact = malloc(4); /* no terminator: reading past it is caught */

	(void)state;
	assert_int_equal(own_strlen(""), 0);
	assert_int_equal(own_strlen("a"), 1);
	assert_int_equal(own_strlen("four\0five"), 4);
	for (size_t i = 0; i < 4; i++)
		exact[i] = 'x';
	assert_int_equal(own_strnlen(exact, 4), 4);
	assert_int_equal(own_strnlen(exact, 0), 0);
	exact[2] = 0;
	assert_int_equal(own_strnlen(exact, 4), 2);
	assert_int_equal(own_strnlen(exact, 1), 1);
	assert_int_equal(own_strnlen(exact, SIZE_MAX), 2);
	free(exact);
}

static int sign(int x)
{
	return (x > 0) - (x < 0);
}

static void strcmp_and_strncmp_agree_with_libc(void **state)
{
	static const char *const s[] = {"",   "a",    "b",    "ab",    "abc",  "abd",
					"aB", "\x80", "\xff", "a\x80", "abc ", "abcd"};

	(void)state;
	for (size_t i = 0; i < array_count(s); i++) {
		for (size_t j = 0; j < array_count(s); j++) {
			assert_int_equal(sign(own_strcmp(s[i], s[j])), sign(strcmp(s[i], s[j])));
			for (size_t n = 0; n < 6; n++)
				assert_int_equal(sign(own_strncmp(s[i], s[j], n)),
						 sign(strncmp(s[i], s[j], n)));
		}
	}
}

static void strncmp_reads_no_byte_past_n(void **state)
{
	char *a = malloc(3), *b = malloc(3);

	(void)state;
	for (size_t i = 0; i < 3; i++)
		a[i] = b[i] = 'q';
	assert_int_equal(own_strncmp(a, b, 3), 0);
	free(a);
	free(b);
}

static void strchr_finds_the_first_and_the_terminator(void **state)
{
	const char *s = "key=a=b\xe9";

	(void)state;
	assert_ptr_equal(own_strchr(s, '='), s + 3);
	assert_ptr_equal(own_strchr(s, 'k'), s);
	assert_ptr_equal(own_strchr(s, 0), s + 8);
	assert_ptr_equal(own_strchr(s, 0xe9), s + 7);
	assert_null(own_strchr(s, 'z'));
	assert_null(own_strchr("", 'z'));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memcpy_copies_exactly_n_bytes_at_any_alignment),
		cmocka_unit_test(memcpy_and_memset_stay_inside_their_pages),
		cmocka_unit_test(memmove_equals_a_copy_through_a_third_buffer),
		cmocka_unit_test(memset_fills_exactly_n_bytes_with_the_low_byte),
		cmocka_unit_test(memcmp_orders_by_unsigned_bytes),
		cmocka_unit_test(strlen_and_strnlen_stop_at_the_first_nul_or_at_max),
		cmocka_unit_test(strcmp_and_strncmp_agree_with_libc),
		cmocka_unit_test(strncmp_reads_no_byte_past_n),
		cmocka_unit_test(strchr_finds_the_first_and_the_terminator),
	};

	srand(1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
