/*
 * Formatted output to the console, and panic.
 */

#include "console.h"
#include "lib.h"
#include "x86.h"

struct field {
	unsigned width;
	bool zeros;
	bool left;
};

static void put_padded(const char *s, size_t length, const struct field *field)
{
	size_t blanks = field->width > length ? field->width - length : 0;
	size_t i;

	for (i = 0; !field->left && i < blanks; i++)
		console_put(field->zeros ? '0' : ' ');
	for (i = 0; i < length; i++)
		console_put(s[i]);
	for (i = 0; field->left && i < blanks; i++)
		console_put(' ');
}

static void put_number(uint32_t value, uint32_t base, bool negative, const struct field *field)
{
	char digits[12];
	char *at = digits + sizeof(digits);

	do {
		*--at = "0123456789abcdef"[value % base];
		value /= base;
	} while (value);
	if (negative)
		*--at = '-';
	put_padded(at, (size_t)(digits + sizeof(digits) - at), field);
}

static const char *parse_field(const char *format, struct field *field)
{
	for (;; format++) {
		if (*format == '-')
			field->left = true;
		else if (*format == '0')
			field->zeros = true;
		else
			break;
	}
	for (; *format >= '0' && *format <= '9'; format++)
		field->width = field->width * 10 + (unsigned)(*format - '0');
	return format;
}

static void print_list(const char *format, va_list args)
{
	for (; *format; format++) {
		struct field field = {0};
		const char *s;
		int32_t value;
		char c;

		if (*format != '%') {
			console_put(*format);
			continue;
		}
		format = parse_field(format + 1, &field);
		switch (*format) {
		case 'd':
			value = va_arg(args, int32_t);
			put_number(value < 0 ? -(uint32_t)value : (uint32_t)value, 10, value < 0,
				   &field);
			break;
		case 'u':
			put_number(va_arg(args, uint32_t), 10, false, &field);
			break;
		case 'x':
			put_number(va_arg(args, uint32_t), 16, false, &field);
			break;
		case 's':
			s = va_arg(args, const char *);
			put_padded(s, strlen(s), &field);
			break;
		case 'c':
			c = (char)va_arg(args, int);
			put_padded(&c, 1, &field);
			break;
		default:
			console_put(*format);
			break;
		}
	}
}

void print(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	console_lock();
	print_list(format, args);
	console_unlock();
	va_end(args);
}

void panic(const char *format, ...)
{
	va_list args;

	irq_save();
	console_break_lock();
	console_fresh_line();
	va_start(args, format);
	print("labos: panic: ");
	print_list(format, args);
	print("\nlabos: halted\n");
	va_end(args);
	cpu_halt();
}
