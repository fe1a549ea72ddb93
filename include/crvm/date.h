/*
 * Days and dates of the Gregorian calendar (lib/date.c). Any file may use it.
 */
#pragma once

#include <crvm/compiler.h>

/* Day 0 is in March, 400 years before year 0. */
#define DATE_DAYS_1970 865565u

/* Days up to a date. A day beyond the month's end is one of the next; month 1 to 12. */
uint64_t date_to_days(uint32_t year, uint32_t month, uint32_t day);
void date_from_days(uint64_t days, uint32_t *year, uint32_t *month, uint32_t *day);
uint32_t date_days_in_month(uint32_t year, uint32_t month);
