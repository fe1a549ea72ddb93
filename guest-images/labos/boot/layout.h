/*
 * What the boot sector leaves in low memory for the kernel. Included by assembler and C, by the
 * boot sector and by the kernel; it must not declare anything.
 */
#ifndef LABOS_LAYOUT_H
#define LABOS_LAYOUT_H

/* A 32-bit count, then that many E820 entries of 20 bytes. */
#define MEMORY_MAP     0x9000
#define MEMORY_MAP_MAX 64

/* A 16-bit word in the boot sector, before its signature: see "Options" in docs/labos.md. */
#define BOOT_OPTIONS	   0x7dfc
#define OPTION_IDLE_SPINS  0x01
#define OPTION_NO_SERIAL   0x02
#define OPTION_NO_SCREEN   0x04
#define OPTION_NO_PRINTER  0x08
#define OPTION_SERIAL_OUT2 0x10
#define OPTION_TICK_LOG	   0x20

#endif
