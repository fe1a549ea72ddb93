/*
 * The hypervisor's own command line (core/cmdline.c): pure functions over untrusted text. Only core
 * and tests use it. It knows no device and no log: whoever calls it acts on the result.
 */
#pragma once

#include <crvm/compiler.h>
#include <crvm/log.h>

#define CMDLINE_CPUS_MAX 256

enum panic_action { PANIC_REBOOT, PANIC_HALT };

struct cmdline_options {
	char console[32]; /* console=, for cmdline_console_parse, which accepts it; default "auto"
			   */
	enum log_level loglevel; /* loglevel=err|warn|info|debug; default info */
	unsigned cpus; /* cpus=, at most CMDLINE_CPUS_MAX; default 0: all that there are */
	enum panic_action panic; /* panic=reboot|halt; default halt */
	bool screen;		 /* screen=on|off; default on */
	bool x2apic;		 /* x2apic=on|off; default on */
	unsigned without;	 /* without=: bit n for enum virt_feature n; default 0 */
};

/*
 * Sets all options to their defaults, then reads words such as `loglevel=debug`, separated by
 * blanks. Quoting is GRUB's: blanks inside double quotes do not separate, and \" \' \\ stand for
 * the second character. Whatever is unknown, repeated or wrong is told to `warn` in one line of
 * printable ASCII, at most 239 characters, that lists what would be right. A wrong value changes
 * nothing; of repeated options the last good one counts.
 */
void cmdline_parse(struct cmdline_options *o, const char *text,
		   void (*warn)(void *ctx, const char *text), void *ctx);

enum console_kind { CONSOLE_AUTO, CONSOLE_NONE, CONSOLE_PORT, CONSOLE_MMIO };

struct console_arg {
	enum console_kind kind;
	uint64_t address; /* PORT: first of 8 I/O ports; MMIO: physical, of 8 registers; else 0 */
	unsigned stride;  /* MMIO: bytes from register to register, 1 or 4; PORT: 1; else 0 */
	uint32_t baud;	  /* divides 115200 by at most 65535; 0: none was given */
};

/*
 * Parses `auto`, `none`, `com1` to `com4`, `0x3f8` (an I/O port), `mmio:0xfe000000` or
 * `mmio:0xfe000000:4` (with the stride), each with an optional `,BAUD`. Returns 0; E_INVAL, and
 * *out is not touched.
 */
must_check int cmdline_console_parse(const char *value, struct console_arg *out);
