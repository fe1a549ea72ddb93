/*
 * The hypervisor's log (core/log.c). Any layer may call log_write: with panic() it is the only call
 * that goes upward. Never from the path between a VM exit and the next entry.
 */
#pragma once

#include <crvm/compiler.h>

enum log_level { LOG_ERR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/*
 * Writes one line (no newline in fmt) to the log ring, the serial console and the screen, with
 * time, CPU and level in front. Cut at 240 bytes. May be called with interrupts off and from
 * exceptions; never waits for a device.
 */
void log_write(enum log_level level, const char *fmt, ...) printf_like(2, 3);

#define log_err(...)   log_write(LOG_ERR, __VA_ARGS__)
#define log_warn(...)  log_write(LOG_WARN, __VA_ARGS__)
#define log_info(...)  log_write(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_write(LOG_DEBUG, __VA_ARGS__)
