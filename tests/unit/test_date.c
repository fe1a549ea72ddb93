/*
 * lib/date.c against a calendar that counts day by day.
 * needs: lib/date.c
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <crvm/date.h>

static void test_every_day_of_ten_centuries(void **state)
{
	static const uint8_t length[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	uint64_t days = date_to_days(1600, 1, 1);

	(void)state;
	for (uint32_t y = 1600; y < 2600; y++) {
		const uint32_t leap = y % 4 == 0 && (y % 100 != 0 || y % 400 == 0);

		for (uint32_t m = 1; m <= 12; m++) {
			const uint32_t n = length[m - 1] + (m == 2 ? leap : 0);

			assert_int_equal(date_days_in_month(y, m), n);
			for (uint32_t d = 1; d <= n; d++, days++) {
				uint32_t year, month, day;

				assert_int_equal(date_to_days(y, m, d), days);
				date_from_days(days, &year, &month, &day);
				assert_int_equal(year, y);
				assert_int_equal(month, m);
				assert_int_equal(day, d);
			}
		}
	}
}

static void test_1970(void **state)
{
	(void)state;
	assert_int_equal(date_to_days(1970, 1, 1), DATE_DAYS_1970);
}

/* `date -d 2026-11-22 +%s` is 1795305600. */
static void test_a_known_day(void **state)
{
	(void)state;
	assert_int_equal((date_to_days(2026, 11, 22) - DATE_DAYS_1970) * 86400, 1795305600);
}

static void test_a_day_beyond_the_month_is_one_of_the_next(void **state)
{
	(void)state;
	assert_int_equal(date_to_days(2024, 2, 30), date_to_days(2024, 3, 1));
	assert_int_equal(date_to_days(2023, 2, 30), date_to_days(2023, 3, 2));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_day_of_ten_centuries),
		cmocka_unit_test(test_1970),
		cmocka_unit_test(test_a_known_day),
		cmocka_unit_test(test_a_day_beyond_the_month_is_one_of_the_next),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
