/*
 * The end: the hypervisor found itself wrong (core/panic.c; host tests bring their own). Any layer
 * may call it. Not for anything that a guest, firmware or a configuration can cause.
 */
#pragma once

#include <crvm/compiler.h>

/* Stops the other CPUs, prints once with a backtrace, then reboots or halts as configured. */
no_return void panic(const char *fmt, ...) printf_like(1, 2);

/* The same for an exception: shows the registers and the backtrace of the interrupted code. */
struct trap_frame;
no_return void panic_at(const struct trap_frame *f, const char *fmt, ...) printf_like(2, 3);

/* In all builds: a broken invariant ends in panic with file, line and the condition. */
#define check(cond)                                                                   \
	do {                                                                          \
		if (unlikely(!(cond)))                                                \
			panic("check failed: %s (%s:%d)", #cond, __FILE__, __LINE__); \
	} while (0)
