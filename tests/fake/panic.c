/* panic() and log_write() for host tests: see panic.h. They know no test framework. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <crvm/log.h>
#include <crvm/panic.h>
#include "panic.h"

jmp_buf fake_panic_env;
bool fake_panic_expected;
char fake_panic_message[256];
char fake_log_line[256], fake_log_previous[256];
unsigned fake_log_count;

void panic(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(fake_panic_message, sizeof(fake_panic_message), fmt, ap);
	va_end(ap);
	if (fake_panic_expected) {
		fake_panic_expected = false;
		longjmp(fake_panic_env, 1);
	}
	fprintf(stderr, "unexpected panic: %s\n", fake_panic_message);
	abort();
}

void log_write(enum log_level level, const char *fmt, ...)
{
	va_list ap;

	memcpy(fake_log_previous, fake_log_line, sizeof(fake_log_previous));
	va_start(ap, fmt);
	vsnprintf(fake_log_line, sizeof(fake_log_line), fmt, ap);
	va_end(ap);
	fake_log_count++;
	fprintf(stderr, "log %d: %s\n", (int)level, fake_log_line);
}

void fake_panic_match(const char *text, const char *file, int line)
{
	if (fake_panic_message[0] != '\0' && strstr(fake_panic_message, text))
		return;
	fprintf(stderr, "%s:%d: expected a panic with \"%s\", got \"%s\"\n", file, line, text,
		fake_panic_message);
	abort();
}
