/*
 * The console: one stream of characters to up to three devices (serial port, screen, printer port),
 * and one from two (serial port, keyboard). Must not know lines or commands.
 */
#ifndef LABOS_CONSOLE_H
#define LABOS_CONSOLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Starts the devices that are there and that the boot options do not rule out. */
void console_init(uint16_t options);

/* Which devices are in use, in words. */
void console_print_devices(void);

/* One character to all devices. The caller holds the console, see below. */
void console_put(char c);

/* Keeps other threads' output out of a line. */
void console_lock(void);
void console_unlock(void);

/* From now on no lock counts: for panic. */
void console_break_lock(void);

/* Ends the line if something is written on it. */
void console_fresh_line(void);

/* Interrupt handlers bring a character. If nobody has read for 8 KiB, it is lost and counted. */
void console_receive(char c);

/* Waits for a character. */
char console_get(void);
uint32_t console_lost_count(void);

/* What the devices offer to console.c. Each init answers whether the device is there. */
bool serial_init(bool out2);
void serial_put(char c);
void serial_interrupt(void);
bool screen_init(void);
void screen_put(char c);
bool printer_init(void);
bool printer_put(char c); /* false: not ready for a long time */
void keyboard_init(void);
void keyboard_interrupt(void);

#endif
