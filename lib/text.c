/*
 * Small helpers for text: bounded copies, numbers and sizes, names of status codes.
 * Must not know where its text comes from (often: guests, boot loader, firmware) nor where it goes.
 */
#include <crvm/printf.h>
#include <crvm/status.h>
#include <crvm/string.h>

bool str_copy(char *dst, size_t size, const char *src, size_t src_max)
{
	size_t len = strnlen(src, src_max);
	bool fits = len < size;

	if (!fits)
		len = size - 1;
	if (len)
		memcpy(dst, src, len);
	dst[len] = 0;
	return fits;
}

/* The value of c as a digit of base 10 or 16, or -1. */
static int text_digit(char c, unsigned base)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (base == 16 && c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (base == 16 && c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

static unsigned text_suffix_shift(char c)
{
	switch (c) {
	case 'K':
		return 10;
	case 'M':
		return 20;
	case 'G':
		return 30;
	default:
		return 0;
	}
}

int str_to_u64(const char *s, uint64_t *out)
{
	unsigned base = 10, shift;
	uint64_t value = 0;
	bool overflow = false;
	const char *digits;

	if (s[0] == '0' && s[1] == 'x') {
		base = 16;
		s += 2;
	}
	for (digits = s; text_digit(*s, base) >= 0; s++) {
		overflow |= __builtin_mul_overflow(value, base, &value);
		overflow |= __builtin_add_overflow(value, (unsigned)text_digit(*s, base), &value);
	}
	if (s == digits)
		return E_INVAL;
	shift = text_suffix_shift(*s);
	if (shift)
		s++;
	if (*s)
		return E_INVAL;
	if (overflow || value > UINT64_MAX >> shift)
		return E_FAULT;
	*out = value << shift;
	return 0;
}

char *str_size(char *buf, size_t size, uint64_t bytes)
{
	static const char *const unit[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	unsigned i = 0, shift, tenths;
	uint64_t whole, rest;

	while (i + 1 < array_count(unit) && bytes >> (10 * (i + 1)))
		i++;
	shift = 10 * i;
	whole = bytes >> shift;
	rest = bytes - (whole << shift);
	/* Rounded to the nearest tenth; the sum fits, because rest < 2^60. */
	tenths = i ? (unsigned)((rest * 10 + (1ull << (shift - 1))) >> shift) : 0;
	if (tenths == 10) {
		whole++;
		tenths = 0;
	}
	if (whole == 1024 && i + 1 < array_count(unit)) {
		whole = 1;
		i++;
	}
	if (tenths)
		str_printf(buf, size, "%llu.%u %s", (unsigned long long)whole, tenths, unit[i]);
	else
		str_printf(buf, size, "%llu %s", (unsigned long long)whole, unit[i]);
	return buf;
}

const char *status_name(int status)
{
	/* No default: a status that gets no name here is a warning of the compiler. */
	switch ((enum status)status) {
	case OK:
		return "ok";
	case E_PERM:
		return "not allowed";
	case E_NOENT:
		return "no such thing";
	case E_IO:
		return "hardware error";
	case E_NOMEM:
		return "no memory";
	case E_FAULT:
		return "out of range";
	case E_BUSY:
		return "busy";
	case E_EXIST:
		return "already exists";
	case E_NODEV:
		return "no such device";
	case E_INVAL:
		return "bad parameter";
	case E_NOSYS:
		return "not supported";
	case E_TIMEOUT:
		return "no answer in time";
	}
	return "unknown status";
}
