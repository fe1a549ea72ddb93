/*
 * Exit counters: adding, sums, names, and the table they are printed as.
 *
 * needs: core/exit_stats.c lib/printf.c
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <crvm/exit_stats.h>

static char lines[EXIT_KIND_COUNT + 4][EXIT_STATS_LINE_MAX];
static unsigned line_count;

static void keep_line(void *ctx, const char *text)
{
	assert_ptr_equal(ctx, lines);
	assert_true(line_count < array_count(lines));
	assert_true(strlen(text) < EXIT_STATS_LINE_MAX && !strchr(text, '\n'));
	strcpy(lines[line_count++], text);
}

static void print(const struct exit_stats *s)
{
	line_count = 0;
	exit_stats_print(s, keep_line, lines);
}

static void test_add_counts_sums_and_keeps_the_maximum(void **state)
{
	struct exit_stats s = {0};
	const struct exit_counter *c = &s.kind[EXIT_CPUID];

	(void)state;
	exit_stats_add(&s, EXIT_CPUID, 90);
	exit_stats_add(&s, EXIT_CPUID, 110);
	exit_stats_add(&s, EXIT_CPUID, 100);
	exit_stats_add(&s, EXIT_UNKNOWN, 1ull << 40);
	assert_int_equal(c->count, 3);
	assert_int_equal(c->cycles, 300);
	assert_int_equal(c->max, 110);
	assert_int_equal(s.kind[EXIT_UNKNOWN].max, 1ull << 40);
	assert_int_equal(s.kind[EXIT_NONE].count, 0);
	exit_stats_reset(&s);
	assert_int_equal(c->count + c->cycles + c->max + s.kind[EXIT_UNKNOWN].count, 0);
}

static void test_sum_adds_up_vcpus(void **state)
{
	struct exit_stats a = {0}, b = {0}, total = {0};

	(void)state;
	exit_stats_add(&a, EXIT_HLT, 10);
	exit_stats_add(&a, EXIT_PORT, 7);
	exit_stats_add(&b, EXIT_HLT, 30);
	exit_stats_add(&b, EXIT_HLT, 20);
	exit_stats_sum(&total, &a);
	exit_stats_sum(&total, &b);
	assert_int_equal(total.kind[EXIT_HLT].count, 3);
	assert_int_equal(total.kind[EXIT_HLT].cycles, 60);
	assert_int_equal(total.kind[EXIT_HLT].max, 30);
	assert_int_equal(total.kind[EXIT_PORT].max, 7);
}

static void test_every_kind_has_a_name_of_its_own(void **state)
{
	(void)state;
	for (unsigned i = 0; i < EXIT_KIND_COUNT; i++) {
		assert_true(strlen(exit_kind_name(i)) > 0);
		assert_true(strlen(exit_kind_name(i)) <= 22); /* its column */
		for (unsigned j = 0; j < i; j++)
			assert_string_not_equal(exit_kind_name(i), exit_kind_name(j));
	}
	assert_string_equal(exit_kind_name(EXIT_PORT), "port I/O");
	assert_string_equal(exit_kind_name(EXIT_KIND_COUNT), "?");
	assert_string_equal(exit_kind_name(~0u), "?");
}

static void test_table_shows_what_occurred(void **state)
{
	struct exit_stats s = {0};

	(void)state;
	exit_stats_add(&s, EXIT_HLT, 1000);
	exit_stats_add(&s, EXIT_PORT, 100);
	exit_stats_add(&s, EXIT_PORT, 201);
	print(&s);
	assert_int_equal(line_count, 4);
	assert_string_equal(
		lines[0],
		"exit                          count       mean        max           cycles");
	assert_string_equal(
		lines[1],
		"port I/O                          2        150        201              301");
	assert_string_equal(
		lines[2],
		"HLT                               1       1000       1000             1000");
	assert_string_equal(
		lines[3],
		"all                               3        433       1000             1301");
}

static void test_table_of_nothing_divides_by_nothing(void **state)
{
	struct exit_stats s = {0};

	(void)state;
	print(&s);
	assert_int_equal(line_count, 2);
	assert_non_null(strstr(lines[1], "all "));
}

static void test_enormous_numbers_stay_within_the_line(void **state)
{
	struct exit_stats s;

	(void)state;
	memset(&s, 0xff, sizeof(s));
	print(&s);
	assert_int_equal(line_count, EXIT_KIND_COUNT + 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_add_counts_sums_and_keeps_the_maximum),
		cmocka_unit_test(test_sum_adds_up_vcpus),
		cmocka_unit_test(test_every_kind_has_a_name_of_its_own),
		cmocka_unit_test(test_table_shows_what_occurred),
		cmocka_unit_test(test_table_of_nothing_divides_by_nothing),
		cmocka_unit_test(test_enormous_numbers_stay_within_the_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
