/*
 * The key sequences of the console: see the header. It must not know what the actions do.
 */
#include "console_keys.h"

enum { ESC = 0x1b };

void console_keys_init(struct console_keys *k)
{
	*k = (struct console_keys){0};
}

void console_keys_set_focus(struct console_keys *k, bool vm)
{
	k->focus = vm;
}

/* What the byte after Ctrl-A means, but for the digits. */
static enum console_key_action key_action(const struct console_keys *k, uint8_t byte)
{
	switch (byte) {
	case 'a':
		return KEY_BYTES;
	case 'n':
		return KEY_NEXT;
	case 'p':
		return KEY_PREV;
	case '?':
	case 'h':
		return KEY_HELP;
	case 's':
	case ESC:
		return k->focus ? KEY_SHELL : KEY_UNKNOWN;
	case 'r':
		return k->focus ? KEY_REPLAY : KEY_UNKNOWN;
	case 'v':
		return k->focus ? KEY_SCREEN : KEY_UNKNOWN;
	default:
		return KEY_UNKNOWN;
	}
}

static void key_escaped(const struct console_keys *k, const uint8_t *byte, console_keys_fn *fn,
			void *ctx)
{
	static const uint8_t escape = CONSOLE_KEYS_ESCAPE;
	struct console_key key = {.action = key_action(k, *byte)};

	if (*byte >= '1' && *byte <= '9') {
		key.action = KEY_FOCUS;
		key.n = *byte - '0';
	} else if (key.action == KEY_BYTES) {
		key.bytes = &escape;
		key.n = 1;
	} else if (key.action == KEY_UNKNOWN) {
		key.bytes = byte;
		key.n = 1;
	}
	fn(ctx, &key);
}

void console_keys_feed(struct console_keys *k, const uint8_t *bytes, uint32_t n,
		       console_keys_fn *fn, void *ctx)
{
	uint32_t at = 0, start;

	while (at < n) {
		/* The second Ctrl-A of two is text, and may begin a run. */
		if (k->escape && bytes[at] != CONSOLE_KEYS_ESCAPE) {
			k->escape = false;
			key_escaped(k, &bytes[at++], fn, ctx);
			continue;
		}
		start = at;
		if (k->escape)
			at++;
		k->escape = false;
		while (at < n && bytes[at] != CONSOLE_KEYS_ESCAPE)
			at++;
		if (at > start)
			fn(ctx, &(struct console_key){KEY_BYTES, bytes + start, at - start});
		if (at < n) {
			k->escape = true;
			at++;
		}
	}
}
