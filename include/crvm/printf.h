/*
 * Formatted text without libc (lib/printf.c). Any file may use it.
 * Conversions: d i u x X c s p %, flags - 0 and +, width and precision (also *), lengths hh h l ll
 * z.
 */
#pragma once

#include <stdarg.h>
#include <crvm/compiler.h>

/*
 * Write at most size-1 bytes and a NUL (nothing if size is 0). Return the length that the whole
 * text has, as snprintf does; NULL for %s prints "(null)".
 */
int str_vprintf(char *buf, size_t size, const char *fmt, va_list ap) printf_like(3, 0);
int str_printf(char *buf, size_t size, const char *fmt, ...) printf_like(3, 4);

/* A size in bytes for people: "512 MiB", "1.5 GiB", "640 KiB", "12 B". Returns buf. */
char *str_size(char *buf, size_t size, uint64_t bytes);
