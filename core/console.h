/*
 * The hypervisor's console: the host's serial port and screen as log sinks, and the bytes that were
 * typed.
 */
#pragma once

#include <crvm/acpi.h>
#include <crvm/boot_info.h>
#include <crvm/cmdline.h>

/* Finds the serial port (console=, SPCR, DBG2, COM1) and the screen, and shows the log on both. */
void console_init(const struct cmdline_options *o, const struct acpi_info *acpi,
		  const struct boot_info *info);
/* Once interrupts can be routed to the boot CPU: stops polling. */
void console_use_interrupts(const struct acpi_info *acpi);
/* Typed bytes, up to n. Boot CPU's loop. */
unsigned console_read(char *buf, unsigned n);
/* Bytes that the serial port can take now without losing any; a lot if there is none. */
uint32_t console_room(void);
/* What stands after the last line (prompt and input, and backspaces to the cursor): redrawn after
 * each log line. "" for none. */
void console_set_input(const char *line);
/* "COM1 (I/O port 3f8h), 115200 baud", "none". */
const char *console_serial_name(void);
const char *console_screen_name(void);
/* Whether the machine's PS/2 keyboard types to the console as well. */
bool console_has_keyboard(void);
/* Before panic's first line: output from now on is written at once, without locks or interrupts. */
void console_enter_panic(void);
/* Bytes lost since the start, for the statistics. */
uint64_t console_lost(void);
/* Waits (at most a second) until what was written is on the line: before the machine goes off. */
void console_flush(void);
