/*
 * The terminal on the host's screen, to include/crvm/screen.h: control characters, wrapping,
 * scrolling. Must not know pixels, video memory or the log.
 */
#include "screen_priv.h"

#define SCREEN_TAB 8u

static bool screen_char_printable(char c)
{
	return c >= ' ' && c <= '~';
}

static void screen_newline(struct screen *s)
{
	s->x = 0;
	if (s->y + 1 < s->rows)
		s->y++;
	else
		s->ops->scroll(s->ops->ctx);
}

/*
 * A full line leaves x at `columns`, and wraps only when another character comes: so a line of
 * exactly that length, ended by \n, leaves no empty one behind.
 */
static void screen_put(struct screen *s, const char *text, size_t n, enum screen_color color)
{
	while (n) {
		unsigned room, now;

		if (s->x >= s->columns)
			screen_newline(s);
		room = s->columns - s->x;
		now = n < room ? (unsigned)n : room;
		s->ops->put(s->ops->ctx, s->x, s->y, text, now, color);
		s->x += now;
		text += now;
		n -= now;
	}
}

static void screen_control(struct screen *s, char c, enum screen_color color)
{
	switch (c) {
	case '\n':
		screen_newline(s);
		break;
	case '\r':
		s->x = 0;
		break;
	case '\b': /* erases nothing, and does not go back past the line's start */
		if (s->x)
			s->x--;
		break;
	case '\t': /* moves only, and not past the line's end */
		s->x = align_down(s->x, SCREEN_TAB) + SCREEN_TAB;
		if (s->x > s->columns)
			s->x = s->columns;
		break;
	default:
		screen_put(s, "?", 1, color);
		break;
	}
}

static void screen_cursor_update(struct screen *s)
{
	if (s->ops->cursor)
		s->ops->cursor(s->ops->ctx, s->x < s->columns ? s->x : s->columns - 1, s->y);
}

void screen_write(struct screen *s, const char *text, size_t n, enum screen_color color)
{
	if (!s->columns || !n)
		return;
	for (size_t i = 0; i < n;) {
		size_t run = 0;

		while (i + run < n && screen_char_printable(text[i + run]))
			run++;
		if (run)
			screen_put(s, text + i, run, color);
		else
			screen_control(s, text[i], color);
		i += run ? run : 1;
	}
	screen_cursor_update(s);
}

bool screen_init(struct screen *s, const struct boot_framebuffer *fb, bool vga_allowed,
		 screen_map_fn *map)
{
	static const struct boot_framebuffer vga = {
		.type = BOOT_FB_TEXT, .base = 0xb8000, .pitch = 160, .width = 80, .height = 25};
	struct screen_device dev = {0};
	bool ok = false;

	*s = (struct screen){0};
	switch (fb->type) {
	case BOOT_FB_RGB:
		/* If it cannot be used there is no screen: text memory shows nothing in a graphics
		 * mode. */
		ok = screen_fb_init(&dev, fb, map);
		break;
	case BOOT_FB_TEXT:
		ok = screen_text_init(&dev, fb, map);
		break;
	case BOOT_FB_NONE:
		ok = vga_allowed && screen_text_init(&dev, &vga, map);
		break;
	}
	if (!ok)
		return false;
	s->ops = screen_cells_init(&dev);
	s->columns = dev.columns;
	s->rows = dev.rows;
	s->ops->clear(s->ops->ctx);
	screen_cursor_update(s);
	return true;
}
