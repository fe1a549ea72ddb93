/*
 * The wall clock (arch/x86_64/wallclock.c): the machine's CMOS clock, read once at boot, and the
 * TSC since then. Knows no VM. Taken to run in UTC. Source: Motorola MC146818A data sheet;
 * ACPI 6.4, "Fixed ACPI Description Table (FADT)", CENTURY.
 */
#pragma once

#include <crvm/compiler.h>

/* How the clock's registers are read, so that host tests can play the chip. */
struct wallclock_io {
	uint8_t (*read)(void *ctx, uint8_t reg);
	void *ctx;
};

/*
 * The time that the registers tell, in seconds since 1970. `century_register` as for
 * wallclock_init. E_NODEV if there is no clock or it tells nonsense; *seconds is 0 then.
 */
must_check int wallclock_read(const struct wallclock_io *io, uint8_t century_register,
			      uint64_t *seconds);

/*
 * Boot CPU, after time_init. `century_register`: from the FADT, 0 if unknown. E_NODEV as above: the
 * wall clock then starts at 0.
 */
must_check int wallclock_init(uint8_t century_register);

/* Nanoseconds since 1970, UTC. */
uint64_t wallclock_unix_ns(void);
