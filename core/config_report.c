/*
 * How the configuration's errors are told: in one line of printable ASCII each, whatever the text
 * held. Must not know keys or sections.
 */
#include <crvm/printf.h>
#include <crvm/string.h>

#include "config_priv.h"

#define WORD_LEN_MAX (VM_MODULE_NAME_MAX - 1) /* longest word that another is compared with */

void config_report_error(struct config_report *r, struct vm_config_place place, const char *fmt,
			 ...)
{
	struct vm_config_sink *sink = r->sink;
	struct vm_config_error e = {place, r->vm, NULL};
	char text[CONFIG_MESSAGE_MAX];
	va_list ap;

	r->failed = true;
	if (sink->count++ >= VM_CONFIG_ERRORS_MAX)
		return;
	va_start(ap, fmt);
	str_vprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	e.text = text;
	sink->error(sink->ctx, &e);
	if (sink->count == VM_CONFIG_ERRORS_MAX) {
		e.text = "these are many errors: the others are not shown";
		sink->error(sink->ctx, &e);
	}
}

const char *config_report_show(struct config_shown *s, const char *text, size_t len)
{
	static const char hex[] = "0123456789abcdef";
	const size_t room = sizeof(s->text) - sizeof("...");
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		const uint8_t c = (uint8_t)text[i];
		const bool plain = c >= ' ' && c <= '~';

		if (n + (plain ? 1 : 4) > room) {
			memcpy(s->text + n, "...", 3);
			n += 3;
			break;
		}
		if (plain) {
			s->text[n++] = (char)c;
			continue;
		}
		s->text[n++] = '\\';
		s->text[n++] = 'x';
		s->text[n++] = hex[c >> 4];
		s->text[n++] = hex[c & 15];
	}
	s->text[n] = '\0';
	return s->text;
}

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static uint8_t least(unsigned a, unsigned b)
{
	return (uint8_t)(a < b ? a : b);
}

/*
 * Letters left out, put in, changed, or swapped with their neighbour, to make `b` of `a`. Both are
 * at most WORD_LEN_MAX long. The table's last three rows are kept: a swap looks two back.
 */
static unsigned edit_distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
	uint8_t row[3][WORD_LEN_MAX + 1];

	for (size_t j = 0; j <= b_len; j++)
		row[0][j] = (uint8_t)j;
	for (size_t i = 1; i <= a_len; i++) {
		uint8_t *now = row[i % 3];
		const uint8_t *last = row[(i + 2) % 3], *older = row[(i + 1) % 3];

		now[0] = (uint8_t)i;
		for (size_t j = 1; j <= b_len; j++) {
			const char x = lower(a[i - 1]), y = lower(b[j - 1]);

			now[j] = least(last[j] + 1u, now[j - 1] + 1u);
			now[j] = least(now[j], last[j - 1] + (x == y ? 0u : 1u));
			if (i > 1 && j > 1 && x == lower(b[j - 2]) && y == lower(a[i - 2]))
				now[j] = least(now[j], older[j - 2] + 1u);
		}
	}
	return row[a_len % 3][b_len];
}

void config_report_guess(struct config_guess *g, const char *candidate)
{
	const size_t a = strnlen(g->word, WORD_LEN_MAX + 1);
	const size_t b = strnlen(candidate, WORD_LEN_MAX + 1);
	/* Of short words, too many are two letters apart. */
	const unsigned limit = a < 2 || b < 2 ? 0 : a < 5 || b < 5 ? 1 : 2;
	unsigned distance;

	if (a > WORD_LEN_MAX || b > WORD_LEN_MAX || (a > b ? a - b : b - a) > limit)
		return;
	distance = edit_distance(g->word, a, candidate, b);
	if (distance > limit || (g->nearest && g->distance <= distance))
		return;
	g->nearest = candidate;
	g->distance = distance;
}
