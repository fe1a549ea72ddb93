/*
 * The ISO C memory and string functions that freestanding code and the compilers themselves call.
 * Must not know anything but bytes; str_copy and its like are in text.c.
 *
 * gcc and clang recognise loops that copy, fill or measure, and replace them by calls of memcpy,
 * memset or strlen: here that would be a function that calls itself for ever. So either the work is
 * done by a string instruction, or the loop holds a barrier that no such pattern contains.
 */
#include <crvm/string.h>

#define not_a_pattern() __asm__ volatile("")

/* A word at any address, of any type, for moving eight bytes at a time. */
struct any_word {
	uint64_t v;
} packed __attribute__((may_alias));

/*
 * Intel SDM Vol. 1, "Fast-String Operation": words first, because CPUs and emulators without fast
 * byte moves need eight times as long for bytes. The ABI promises that the direction flag is clear.
 */
void *memcpy(void *restrict dst, const void *restrict src, size_t n)
{
	void *to = dst;
	size_t words = n / 8;
	size_t rest = n % 8;

	__asm__ volatile("rep movsq" : "+D"(to), "+S"(src), "+c"(words) : : "memory");
	__asm__ volatile("rep movsb" : "+D"(to), "+S"(src), "+c"(rest) : : "memory");
	return dst;
}

void *memmove(void *dst, const void *src, size_t n)
{
	unsigned char *to = dst;
	const unsigned char *from = src;

	/* Ascending order is right unless dst starts inside [src, src + n). */
	if ((uintptr_t)dst - (uintptr_t)src >= n)
		return memcpy(dst, src, n);

	/* Not with STD: an exception in between would enter C with the direction flag set. */
	for (; n >= 8; n -= 8) {
		uint64_t word = ((const struct any_word *)(from + n - 8))->v;

		((struct any_word *)(to + n - 8))->v = word;
		not_a_pattern();
	}
	for (; n > 0; n--) {
		to[n - 1] = from[n - 1];
		not_a_pattern();
	}
	return dst;
}

void *memset(void *dst, int c, size_t n)
{
	void *to = dst;
	uint64_t pattern = (unsigned char)c * 0x0101010101010101ull;
	size_t words = n / 8;
	size_t rest = n % 8;

	__asm__ volatile("rep stosq" : "+D"(to), "+c"(words) : "a"(pattern) : "memory");
	__asm__ volatile("rep stosb" : "+D"(to), "+c"(rest) : "a"(pattern) : "memory");
	return dst;
}

int memcmp(const void *a, const void *b, size_t n)
{
	const unsigned char *x = a, *y = b;

	for (size_t i = 0; i < n; i++) {
		if (x[i] != y[i])
			return x[i] - y[i];
		not_a_pattern();
	}
	return 0;
}

size_t strlen(const char *s)
{
	return strnlen(s, SIZE_MAX);
}

size_t strnlen(const char *s, size_t max)
{
	size_t n = 0;

	while (n < max && s[n]) {
		not_a_pattern();
		n++;
	}
	return n;
}

int strcmp(const char *a, const char *b)
{
	return strncmp(a, b, SIZE_MAX);
}

int strncmp(const char *a, const char *b, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		unsigned char x = (unsigned char)a[i], y = (unsigned char)b[i];

		if (x != y || !x)
			return x - y;
		not_a_pattern();
	}
	return 0;
}

char *strchr(const char *s, int c)
{
	for (; *s != (char)c; s++) {
		if (!*s)
			return NULL;
		not_a_pattern();
	}
	return (char *)(uintptr_t)s; /* ISO C gives away the const */
}
