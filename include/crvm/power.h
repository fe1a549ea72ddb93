/*
 * The end of the machine's run (arch/x86_64/power.c).
 * Source: ACPI Specification 6.4, "Sleeping States", "Reset Register".
 */
#pragma once

#include <crvm/acpi.h>
#include <crvm/compiler.h>

/* Remembers the registers found in the tables. */
void power_init(const struct acpi_info *acpi);
/* ACPI S5. Returns if the machine goes on; then the caller says so and halts. */
void power_off(void);
/* ACPI reset register, 8042, triple fault. */
no_return void power_reboot(void);
/* Interrupts off, for ever. */
no_return void power_halt(void);
