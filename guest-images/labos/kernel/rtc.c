/*
 * The date, from the battery-backed clock. Data sheet "MC146818 Real-Time Clock Plus RAM".
 */

#include "lib.h"
#include "timer.h"
#include "x86.h"

enum {
	CMOS_INDEX = 0x70,
	CMOS_DATA = 0x71,
	SECONDS = 0,
	MINUTES = 2,
	HOURS = 4,
	DAY = 7,
	MONTH = 8,
	YEAR = 9,
	REGISTER_A = 10,
	REGISTER_B = 11,
	A_UIP = 0x80,
	B_24_HOURS = 0x02,
	B_BINARY = 0x04,
	HOURS_PM = 0x80,
	POLLS_MAX = 100000,
};

static uint8_t cmos_read(uint8_t index)
{
	out8(CMOS_INDEX, index);
	return in8(CMOS_DATA);
}

static void read_once(struct date *date)
{
	uint32_t i;

	/* While the clock counts on, its registers are not to be trusted. */
	for (i = 0; i < POLLS_MAX && (cmos_read(REGISTER_A) & A_UIP); i++)
		;
	date->second = cmos_read(SECONDS);
	date->minute = cmos_read(MINUTES);
	date->hour = cmos_read(HOURS);
	date->day = cmos_read(DAY);
	date->month = cmos_read(MONTH);
	date->year = cmos_read(YEAR);
}

static uint32_t decode(uint32_t value, bool binary)
{
	return binary ? value : (value >> 4) * 10 + (value & 15);
}

void rtc_read(struct date *date)
{
	uint8_t status = cmos_read(REGISTER_B);
	bool binary = status & B_BINARY;
	struct date again;
	bool pm;
	int i;

	/* An update may begin between two reads: only what reads the same twice counts. */
	read_once(date);
	for (i = 0; i < 4; i++) {
		read_once(&again);
		if (!memcmp(date, &again, sizeof(again)))
			break;
		*date = again;
	}
	pm = date->hour & HOURS_PM;
	date->hour = decode(date->hour & ~(uint32_t)HOURS_PM, binary);
	if (!(status & B_24_HOURS))
		date->hour = date->hour % 12 + (pm ? 12 : 0);
	date->second = decode(date->second, binary);
	date->minute = decode(date->minute, binary);
	date->day = decode(date->day, binary);
	date->month = decode(date->month, binary);
	date->year = 2000 + decode(date->year, binary);
}
