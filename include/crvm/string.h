/*
 * Freestanding string and memory functions (lib/string.c). Any file may use it.
 * The mem* and str* names mean what ISO C says.
 */
#pragma once

#include <crvm/compiler.h>

void *memcpy(void *restrict dst, const void *restrict src, size_t n);
void *memmove(void *dst, const void *src, size_t n);
void *memset(void *dst, int c, size_t n);
int memcmp(const void *a, const void *b, size_t n);
size_t strlen(const char *s);
size_t strnlen(const char *s, size_t max);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t n);
char *strchr(const char *s, int c);

/*
 * Copies `src` (NUL-terminated, or `src_max` bytes, whichever ends first) into dst[size] and always
 * terminates it (size > 0). Returns false if it had to cut.
 */
bool str_copy(char *dst, size_t size, const char *src, size_t src_max);

/*
 * Parses a whole string as an unsigned number: decimal, 0x hex, with an optional suffix K, M or G
 * (powers of 1024). Returns 0, E_INVAL for anything else, E_FAULT on overflow of 64 bits.
 */
must_check int str_to_u64(const char *s, uint64_t *out);
