/* See date.h. Years begin with March here: a leap day is its year's last, and nothing is negative.
 */
#include <crvm/date.h>

#define YEAR0 400u

static uint64_t days_before_year(uint64_t y)
{
	return y * 365 + y / 4 - y / 100 + y / 400;
}

/* Days before month `m` of a year that begins with March (0): 31 30 31 30 31, again and again. */
static uint32_t days_before_month(uint32_t m)
{
	return (m * 153 + 2) / 5;
}

uint64_t date_to_days(uint32_t year, uint32_t month, uint32_t day)
{
	const uint64_t y = (uint64_t)year + YEAR0 - (month <= 2);

	return days_before_year(y) + days_before_month((month + 9) % 12) + day - 1;
}

void date_from_days(uint64_t days, uint32_t *year, uint32_t *month, uint32_t *day)
{
	uint64_t y = days * 400 / days_before_year(400); /* right, or one too few */
	uint32_t rest, m;

	if (days_before_year(y + 1) <= days)
		y++;
	rest = (uint32_t)(days - days_before_year(y));
	m = (5 * rest + 2) / 153;
	*day = rest - days_before_month(m) + 1;
	*month = m < 10 ? m + 3 : m - 9;
	*year = (uint32_t)(y + (m >= 10) - YEAR0);
}

uint32_t date_days_in_month(uint32_t year, uint32_t month)
{
	return (uint32_t)(date_to_days(year + month / 12, month % 12 + 1, 1) -
			  date_to_days(year, month, 1));
}
