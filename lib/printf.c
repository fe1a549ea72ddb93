/*
 * Formatted text without libc. Must not know where the text goes: the log, the console and the
 * shell pass a buffer.
 *
 * A conversion that is not supported ends the interpretation: what follows is copied as it stands,
 * since nobody knows which argument would come next.
 */
#include <limits.h>

#include <crvm/printf.h>
#include <crvm/string.h>

enum length { LEN_INT, LEN_CHAR, LEN_SHORT, LEN_LONG, LEN_LLONG, LEN_SIZE };

struct output {
	char *buf;
	size_t room;  /* bytes of buf that may hold text: its size without the NUL */
	size_t count; /* length of the whole text so far; what exceeds room was dropped */
};

struct conversion {
	bool left, zero, plus;
	int width;
	int precision; /* negative: none given */
	enum length length;
	char type;
};

/* An argument that is a number, taken apart. */
struct number {
	uint64_t magnitude;
	unsigned base;
	bool upper;
	const char *prefix; /* sign or 0x */
};

static void output_text(struct output *out, const char *s, size_t n)
{
	if (out->count < out->room) {
		size_t room = out->room - out->count;

		memcpy(out->buf + out->count, s, n < room ? n : room);
	}
	out->count += n;
}

/* A width may be anything up to INT_MAX: time is spent only on what the buffer takes. */
static void output_fill(struct output *out, char c, size_t n)
{
	if (out->count < out->room) {
		size_t room = out->room - out->count;

		memset(out->buf + out->count, c, n < room ? n : room);
	}
	out->count += n;
}

static void output_padded(struct output *out, const struct conversion *c, const char *s, size_t n)
{
	size_t width = (size_t)c->width;
	size_t pad = width > n ? width - n : 0;

	if (!c->left)
		output_fill(out, ' ', pad);
	output_text(out, s, n);
	if (c->left)
		output_fill(out, ' ', pad);
}

static void output_string(struct output *out, const struct conversion *c, const char *s)
{
	size_t max = c->precision < 0 ? SIZE_MAX : (size_t)c->precision;

	if (!s)
		s = "(null)";
	/* With a precision the string need not be terminated. */
	output_padded(out, c, s, strnlen(s, max));
}

static void output_number(struct output *out, const struct conversion *c, const struct number *n)
{
	const char *digit = n->upper ? "0123456789ABCDEF" : "0123456789abcdef";
	char digits[20]; /* of 2^64 - 1 in decimal */
	size_t at = sizeof(digits), used, prefix = strlen(n->prefix);
	size_t width = (size_t)c->width, zeros = 0, pad;
	uint64_t v = n->magnitude;

	for (; v; v /= n->base)
		digits[--at] = digit[v % n->base];
	used = sizeof(digits) - at;

	/* Without a precision it is 1: the value 0 shows as one digit. */
	if (c->precision < 0)
		zeros = used ? 0 : 1;
	else if ((size_t)c->precision > used)
		zeros = (size_t)c->precision - used;
	pad = prefix + zeros + used;
	pad = width > pad ? width - pad : 0;
	if (c->zero && !c->left && c->precision < 0) {
		zeros += pad;
		pad = 0;
	}

	if (!c->left)
		output_fill(out, ' ', pad);
	output_text(out, n->prefix, prefix);
	output_fill(out, '0', zeros);
	output_text(out, digits + at, used);
	if (c->left)
		output_fill(out, ' ', pad);
}

/* A number in the format; stops growing at INT_MAX. */
static int format_number(const char **fmt)
{
	int n = 0;

	for (; **fmt >= '0' && **fmt <= '9'; (*fmt)++) {
		if (__builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, **fmt - '0', &n))
			n = INT_MAX;
	}
	return n;
}

static void format_flags(struct conversion *c, const char **fmt)
{
	for (;; (*fmt)++) {
		if (**fmt == '-')
			c->left = true;
		else if (**fmt == '0')
			c->zero = true;
		else if (**fmt == '+')
			c->plus = true;
		else
			return;
	}
}

static enum length format_length(const char **fmt)
{
	char first = **fmt;
	bool twice;

	if (first != 'h' && first != 'l' && first != 'z')
		return LEN_INT;
	(*fmt)++;
	twice = first != 'z' && **fmt == first;
	if (twice)
		(*fmt)++;
	if (first == 'h')
		return twice ? LEN_CHAR : LEN_SHORT;
	if (first == 'l')
		return twice ? LEN_LLONG : LEN_LONG;
	return LEN_SIZE;
}

/* Reads what stands after a '%', up to and with the letter of the conversion. */
static void format_conversion(struct conversion *c, const char **fmt, va_list *ap)
{
	*c = (struct conversion){.precision = -1};
	format_flags(c, fmt);
	if (**fmt == '*') {
		(*fmt)++;
		c->width = va_arg(*ap, int);
		if (c->width < 0) { /* a '-' flag and the width */
			c->left = true;
			c->width = c->width == INT_MIN ? INT_MAX : -c->width;
		}
	} else {
		c->width = format_number(fmt);
	}
	if (**fmt == '.') {
		(*fmt)++;
		if (**fmt == '*') {
			(*fmt)++;
			c->precision = va_arg(*ap, int);
		} else {
			c->precision = format_number(fmt);
		}
	}
	c->length = format_length(fmt);
	c->type = **fmt;
	if (c->type)
		(*fmt)++;
}

static void convert_signed(struct output *out, const struct conversion *c, va_list *ap)
{
	struct number n = {.base = 10, .prefix = c->plus ? "+" : ""};
	long long v;

	switch (c->length) {
	case LEN_LONG:
	case LEN_SIZE:
		v = va_arg(*ap, long);
		break;
	case LEN_LLONG:
		v = va_arg(*ap, long long);
		break;
	default:
		v = va_arg(*ap, int);
		if (c->length == LEN_CHAR)
			v = (signed char)v;
		else if (c->length == LEN_SHORT)
			v = (short)v;
		break;
	}
	n.magnitude = (uint64_t)v;
	if (v < 0) {
		n.magnitude = 0 - n.magnitude;
		n.prefix = "-";
	}
	output_number(out, c, &n);
}

static void convert_unsigned(struct output *out, const struct conversion *c, va_list *ap)
{
	struct number n = {.base = c->type == 'u' ? 10 : 16, .upper = c->type == 'X', .prefix = ""};

	switch (c->length) {
	case LEN_LONG:
	case LEN_SIZE:
		n.magnitude = va_arg(*ap, unsigned long);
		break;
	case LEN_LLONG:
		n.magnitude = va_arg(*ap, unsigned long long);
		break;
	default:
		n.magnitude = va_arg(*ap, unsigned);
		if (c->length == LEN_CHAR)
			n.magnitude = (unsigned char)n.magnitude;
		else if (c->length == LEN_SHORT)
			n.magnitude = (unsigned short)n.magnitude;
		break;
	}
	output_number(out, c, &n);
}

static void convert_pointer(struct output *out, const struct conversion *c, va_list *ap)
{
	struct number n = {.base = 16, .prefix = "0x"};

	n.magnitude = (uintptr_t)va_arg(*ap, void *);
	output_number(out, c, &n);
}

/* Puts one converted argument. False: this conversion is not one of ours, nothing was put. */
static bool convert(struct output *out, const struct conversion *c, va_list *ap)
{
	char byte;

	switch (c->type) {
	case 'd':
	case 'i':
		convert_signed(out, c, ap);
		return true;
	case 'u':
	case 'x':
	case 'X':
		convert_unsigned(out, c, ap);
		return true;
	}
	if (c->length != LEN_INT) /* such as wide characters */
		return false;
	switch (c->type) {
	case 'c':
		byte = (char)va_arg(*ap, int);
		output_padded(out, c, &byte, 1);
		return true;
	case 's':
		output_string(out, c, va_arg(*ap, const char *));
		return true;
	case 'p':
		convert_pointer(out, c, ap);
		return true;
	case '%':
		output_text(out, "%", 1);
		return true;
	}
	return false;
}

int str_vprintf(char *buf, size_t size, const char *fmt, va_list ap)
{
	struct output out = {.buf = buf, .room = size ? size - 1 : 0};
	va_list args; /* a parameter of type va_list is a pointer here: it cannot be passed on by
			 address */

	va_copy(args, ap);
	while (*fmt) {
		struct conversion c;
		const char *start = fmt;

		while (*fmt && *fmt != '%')
			fmt++;
		output_text(&out, start, (size_t)(fmt - start));
		if (!*fmt)
			break;
		start = fmt++;
		format_conversion(&c, &fmt, &args);
		if (!convert(&out, &c, &args)) {
			output_text(&out, start, strlen(start));
			break;
		}
	}
	va_end(args);
	if (size)
		buf[out.count < out.room ? out.count : out.room] = 0;
	return out.count < INT_MAX ? (int)out.count : INT_MAX;
}

int str_printf(char *buf, size_t size, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = str_vprintf(buf, size, fmt, ap);
	va_end(ap);
	return n;
}
