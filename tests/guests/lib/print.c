/*
 * Console, checks and the end of a test guest.
 */
#include "cpu.h"

#define FAILURES_MAX 12u

static unsigned failures;

static void put(char c)
{
	out8(PORT_CONSOLE, (uint8_t)c);
}

static void put_text(const char *s)
{
	while (*s)
		put(*s++);
}

static void put_hex(uint64_t v)
{
	int shift = 60;

	while (shift > 0 && !(v >> shift & 15))
		shift -= 4;
	for (; shift >= 0; shift -= 4)
		put("0123456789abcdef"[v >> shift & 15]);
}

static void put_decimal(uint32_t v)
{
	if (v >= 10)
		put_decimal(v / 10);
	put((char)('0' + v % 10));
}

static uint64_t take(va_list *ap, unsigned longs)
{
	if (longs >= 2)
		return va_arg(*ap, uint64_t);
	return longs ? va_arg(*ap, unsigned long) : va_arg(*ap, unsigned);
}

/* %s, %u, %x with l and ll; nothing else. */
void print(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	for (; *fmt; fmt++) {
		unsigned longs = 0;

		if (*fmt != '%') {
			put(*fmt);
			continue;
		}
		while (*++fmt == 'l')
			longs++;
		if (*fmt == 's')
			put_text(va_arg(ap, const char *));
		else if (*fmt == 'u')
			put_decimal((uint32_t)take(&ap, longs));
		else
			put_hex(take(&ap, longs));
	}
	va_end(ap);
}

_Noreturn void guest_exit(unsigned code)
{
	out8(PORT_EXIT, (uint8_t)code);
	for (;;)
		__asm__ volatile("cli\n\thlt");
}

_Noreturn void guest_end(void)
{
	print(failures ? "FAIL %s: %u checks\n" : "PASS %s\n", GUEST_NAME, failures);
	guest_exit(failures != 0);
}

void check_failed(const char *what, const char *file, int line, uint64_t got, uint64_t want)
{
	print("FAIL %s: %s %s:%u\n", GUEST_NAME, what, file, (unsigned)line);
	print("  got %llx, want %llx, exception %u\n", (unsigned long long)got,
	      (unsigned long long)want, trap.vector);
	if (++failures == FAILURES_MAX)
		guest_end();
}

void guest_start(void);
void guest_start(void)
{
	trap_init();
	guest_main();
	guest_end();
}

/* The compiler may call these. */
void *memset(void *to, int c, size_t n);
void *memset(void *to, int c, size_t n)
{
	for (volatile uint8_t *p = to; n; n--)
		*p++ = (uint8_t)c;
	return to;
}

void *memcpy(void *to, const void *from, size_t n);
void *memcpy(void *to, const void *from, size_t n)
{
	volatile uint8_t *p = to;

	for (const uint8_t *q = from; n; n--)
		*p++ = *q++;
	return to;
}
