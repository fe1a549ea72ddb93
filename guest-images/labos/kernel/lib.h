/*
 * Strings, formatted output, and the end of everything: panic.
 */
#ifndef LABOS_LIB_H
#define LABOS_LIB_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void *memset(void *to, int byte, size_t size);
void *memcpy(void *to, const void *from, size_t size);
void *memmove(void *to, const void *from, size_t size);
int memcmp(const void *a, const void *b, size_t size);
size_t strlen(const char *s);
int strcmp(const char *a, const char *b);

/* Copies with an end always: `size` is that of the array at `to`. */
void string_copy(char *to, const char *from, size_t size);

/* A decimal number and nothing else; false if it is none, or above `max`. */
bool string_to_number(const char *s, uint32_t max, uint32_t *number);

/*
 * printf to the console: %d %u %x %c %s %%, with a width, `0`, `-`. Not from interrupt handlers:
 * it may wait for another thread's line to end.
 */
__attribute__((format(printf, 1, 2))) void print(const char *format, ...);

/* Says why and halts. The one output that may come at any time and place. */
__attribute__((format(printf, 1, 2))) _Noreturn void panic(const char *format, ...);

#endif
