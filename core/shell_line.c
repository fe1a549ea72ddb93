/*
 * See shell_line.h. What the terminal shows is compared with what it should, and the difference
 * printed: no command here has to think of it. It must not know what a line means.
 */
#include <crvm/string.h>

#include "shell_line.h"

enum {
	CTRL_B = 2,
	CTRL_C = 3,
	CTRL_D = 4,
	CTRL_E = 5,
	CTRL_F = 6,
	CTRL_H = 8,
	TAB = 9,
	CTRL_K = 11,
	CTRL_N = 14,
	CTRL_P = 16,
	CTRL_U = 21,
	CTRL_W = 23,
	ESC = 27,
	DEL = 127
};

enum escape { ESCAPE_NONE, ESCAPE_BEGUN, ESCAPE_CSI, ESCAPE_SS3 };

/* The numbers of ESC [ n ~ */
enum csi_key {
	CSI_HOME = 1,
	CSI_DELETE = 3,
	CSI_END = 4,
	CSI_HOME_RXVT = 7,
	CSI_END_RXVT = 8,
	CSI_PASTE_BEGIN = 200,
	CSI_PASTE_END = 201,
};

#define ESCAPE_LENGTH_MAX 16u /* one without an end does not swallow what follows for ever */

static void out(struct shell_line *l, const char *bytes, size_t n)
{
	if (n > sizeof(l->out) - l->out_length)
		n = sizeof(l->out) - l->out_length;
	memcpy(l->out + l->out_length, bytes, n);
	l->out_length += (uint32_t)n;
}

static void out_repeat(struct shell_line *l, char c, uint32_t n)
{
	for (; n; n--)
		out(l, &c, 1);
}

/* What should stand behind the prompt; its length. */
static uint32_t wanted(struct shell_line *l, char *cells)
{
	uint32_t n = l->length - l->first;

	if (n > l->width)
		n = l->width;
	memcpy(cells, l->text + l->first, n);
	if (l->first)
		cells[0] = '<';
	if (l->first + n < l->length)
		cells[n - 1] = '>';
	return n;
}

/* The part of the line that has the cursor in it, and does not move without need. */
static void scroll(struct shell_line *l)
{
	bool hidden = l->cursor < l->first || l->cursor - l->first >= l->width ||
		      (l->first && l->cursor == l->first);

	if (l->length < l->width)
		l->first = 0;
	else if (hidden)
		l->first = l->cursor > l->width / 2 ? l->cursor - l->width / 2 : 0;
}

static void move_to(struct shell_line *l, uint32_t at)
{
	if (at < l->shown_at)
		out_repeat(l, '\b', l->shown_at - at);
	else
		out(l, l->shown + l->shown_at, at - l->shown_at);
	l->shown_at = at;
}

static void refresh(struct shell_line *l)
{
	char cells[SHELL_LINE_COLUMNS + 1];
	uint32_t n, same = 0, old = l->shown_length;

	scroll(l);
	n = wanted(l, cells);
	while (same < n && same < old && cells[same] == l->shown[same])
		same++;
	if (same < n || same < old) {
		move_to(l, same);
		out(l, cells + same, n - same);
		memcpy(l->shown, cells, n);
		l->shown_at = l->shown_length = n;
		if (old > n) {
			out_repeat(l, ' ', old - n);
			out_repeat(l, '\b', old - n);
		}
	}
	move_to(l, l->cursor - l->first);
}

void shell_line_init(struct shell_line *l, const char *prompt)
{
	memset(l, 0, sizeof(*l));
	l->prompt = prompt;
	l->width = SHELL_LINE_COLUMNS - (uint32_t)strlen(prompt);
}

void shell_line_begin(struct shell_line *l)
{
	l->length = l->cursor = l->first = l->back = 0;
	l->text[0] = '\0';
	l->shown_length = l->shown_at = 0;
	l->too_long = false;
}

void shell_line_show(struct shell_line *l)
{
	out(l, l->prompt, strlen(l->prompt));
	l->shown_length = l->shown_at = 0;
	refresh(l);
}

void shell_line_flushed(struct shell_line *l)
{
	l->out_length = 0;
}

void shell_line_image(const struct shell_line *l, char *image, size_t size)
{
	size_t n = strlen(l->prompt);

	if (size < SHELL_LINE_IMAGE_MAX)
		return;
	memcpy(image, l->prompt, n);
	memcpy(image + n, l->shown, l->shown_length);
	n += l->shown_length;
	memset(image + n, '\b', l->shown_length - l->shown_at);
	image[n + l->shown_length - l->shown_at] = '\0';
}

/* Editing. */

static void insert(struct shell_line *l, char c)
{
	if (l->length + 1 >= SHELL_LINE_MAX) {
		l->too_long = true;
		return;
	}
	memmove(l->text + l->cursor + 1, l->text + l->cursor, l->length - l->cursor + 1);
	l->text[l->cursor++] = c;
	l->length++;
}

void shell_line_insert(struct shell_line *l, const char *text)
{
	for (; *text; text++)
		insert(l, *text);
	refresh(l);
}

/* Characters [from, to) go; the cursor ends up there. */
static void erase(struct shell_line *l, uint32_t from, uint32_t to)
{
	memmove(l->text + from, l->text + to, l->length - to + 1);
	l->length -= to - from;
	l->cursor = from;
	if (!l->length)
		l->too_long = false;
}

static uint32_t word_start(const struct shell_line *l)
{
	uint32_t at = l->cursor;

	while (at && l->text[at - 1] == ' ')
		at--;
	while (at && l->text[at - 1] != ' ')
		at--;
	return at;
}

/* History. */

static char *history_line(struct shell_line *l, uint32_t back)
{
	return l->history[(l->history_count - back) % SHELL_LINE_HISTORY];
}

static void remember(struct shell_line *l)
{
	if (!l->length || (l->history_count && strcmp(history_line(l, 1), l->text) == 0))
		return;
	memcpy(history_line(l, 0), l->text, l->length + 1);
	l->history_count++;
}

static void recall(struct shell_line *l, bool older)
{
	const uint32_t kept =
		l->history_count < SHELL_LINE_HISTORY ? l->history_count : SHELL_LINE_HISTORY;

	if (l->too_long || (older ? l->back == kept : !l->back))
		return;
	if (!l->back)
		memcpy(l->draft, l->text, l->length + 1);
	l->back += older ? 1 : -1u;
	(void)str_copy(l->text, sizeof(l->text), l->back ? history_line(l, l->back) : l->draft,
		       SHELL_LINE_MAX);
	l->length = l->cursor = (uint32_t)strlen(l->text);
}

/* Keys. */

static void go(struct shell_line *l, bool right)
{
	if (right ? l->cursor < l->length : l->cursor)
		l->cursor += right ? 1 : -1u;
}

static void erase_here(struct shell_line *l)
{
	if (l->cursor < l->length)
		erase(l, l->cursor, l->cursor + 1);
}

static void erase_before(struct shell_line *l)
{
	if (l->cursor)
		erase(l, l->cursor - 1, l->cursor);
}

static void csi_number(struct shell_line *l)
{
	switch (l->number) {
	case CSI_HOME:
	case CSI_HOME_RXVT:
		l->cursor = 0;
		break;
	case CSI_END:
	case CSI_END_RXVT:
		l->cursor = l->length;
		break;
	case CSI_DELETE:
		erase_here(l);
		break;
	case CSI_PASTE_BEGIN:
	case CSI_PASTE_END:
		l->paste = l->number == CSI_PASTE_BEGIN;
		break;
	default:
		break;
	}
}

static void escape_final(struct shell_line *l, char c)
{
	switch (c) {
	case 'A':
	case 'B':
		recall(l, c == 'A');
		break;
	case 'C':
	case 'D':
		go(l, c == 'C');
		break;
	case 'H':
		l->cursor = 0;
		break;
	case 'F':
		l->cursor = l->length;
		break;
	case '~':
		csi_number(l);
		break;
	default:
		break;
	}
}

/* Whether the byte belongs to a sequence. */
static bool escape_byte(struct shell_line *l, uint8_t c)
{
	if (c == ESC) {
		l->escape = ESCAPE_BEGUN;
		return true;
	}
	if (l->escape == ESCAPE_NONE)
		return false;
	if (c < ' ' || c >= DEL || ++l->escape_length > ESCAPE_LENGTH_MAX) {
		l->escape = ESCAPE_NONE;
		return false;
	}
	if (l->escape == ESCAPE_BEGUN) {
		l->escape = c == '[' ? ESCAPE_CSI : c == 'O' ? ESCAPE_SS3 : ESCAPE_NONE;
		l->number = l->escape_length = 0;
	} else if (c >= '@') {
		l->escape = ESCAPE_NONE;
		escape_final(l, (char)c);
	} else if (c >= '0' && c <= '9' && l->number < 1000) {
		l->number = l->number * 10 + c - '0';
	}
	return true;
}

static void control(struct shell_line *l, uint8_t c)
{
	switch (c) {
	case CTRL_B:
	case CTRL_F:
		go(l, c == CTRL_F);
		break;
	case CTRL_C:
		erase(l, 0, l->length);
		break;
	case CTRL_D:
		erase_here(l);
		break;
	case CTRL_E:
		l->cursor = l->length;
		break;
	case CTRL_H:
	case DEL:
		erase_before(l);
		break;
	case CTRL_K:
		erase(l, l->cursor, l->length);
		break;
	case CTRL_N:
	case CTRL_P:
		recall(l, c == CTRL_P);
		break;
	case CTRL_U:
		erase(l, 0, l->cursor);
		break;
	case CTRL_W:
		erase(l, word_start(l), l->cursor);
		break;
	default:
		break;
	}
}

/* The terminal keeps the whole of it, if it was shown in part. */
static enum shell_line_event enter(struct shell_line *l)
{
	if (l->first || l->length > l->shown_length || memcmp(l->shown, l->text, l->length)) {
		move_to(l, 0);
		out(l, l->text, l->length);
	}
	if (l->too_long)
		return SHELL_LINE_TOO_LONG;
	remember(l);
	return SHELL_LINE_ENTER;
}

enum shell_line_event shell_line_byte(struct shell_line *l, uint8_t byte)
{
	const bool after_cr = l->last_was_cr;

	l->last_was_cr = byte == '\r';
	if (escape_byte(l, byte)) {
		refresh(l);
		return SHELL_LINE_NONE;
	}
	if (byte == '\n' && after_cr) /* CR LF is one line end */
		return SHELL_LINE_NONE;
	if (byte == '\r' || byte == '\n')
		return enter(l);
	if (byte == TAB && !l->paste)
		return SHELL_LINE_TAB;
	if (byte == TAB)
		insert(l, ' ');
	else if (byte >= ' ' && byte < DEL)
		insert(l, (char)byte);
	else
		control(l, byte);
	refresh(l);
	return SHELL_LINE_NONE;
}
