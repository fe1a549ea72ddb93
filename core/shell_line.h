/*
 * The line that is being typed at the shell (shell_line.c): editing, history, and what to print so
 * that a terminal shows it. A pure state machine over bytes; knows no command, no console and no
 * VM. Private to core/.
 *
 * The terminal needs to understand no more than backspace and printable characters. A line that is
 * longer than the terminal is wide is shown in part, with < and > where it goes on.
 *
 *	Left, Right, Ctrl-B, Ctrl-F	move; also Home, End, Ctrl-E
 *	Backspace, Delete, Ctrl-D	erase a character
 *	Ctrl-U, Ctrl-K, Ctrl-W		to the line's begin, to its end, a word
 *	Ctrl-C				all of it
 *	Up, Down, Ctrl-P, Ctrl-N	what was typed before
 */
#pragma once

#include <crvm/compiler.h>

#define SHELL_LINE_MAX	   1536u /* of text, with the NUL: a whole configuration of a VM */
#define SHELL_LINE_HISTORY 32u
#define SHELL_LINE_COLUMNS 79u /* of the terminal; its last one would make it wrap */

enum shell_line_event {
	SHELL_LINE_NONE,
	SHELL_LINE_ENTER,    /* `text` is complete; go on with shell_line_begin */
	SHELL_LINE_TOO_LONG, /* likewise, but its end was lost */
	SHELL_LINE_TAB,	     /* asks for what could follow at the cursor */
};

struct shell_line {
	const char *prompt;
	char text[SHELL_LINE_MAX]; /* NUL-terminated */
	uint32_t length, cursor;

	/* For the terminal, since shell_line_flushed. */
	char out[2 * SHELL_LINE_MAX];
	uint32_t out_length;

	/* The rest is shell_line.c's. */
	char shown[SHELL_LINE_COLUMNS + 1]; /* behind the prompt */
	uint32_t shown_length, shown_at;    /* shown_at: the terminal's cursor */
	uint32_t width;			    /* columns behind the prompt */
	uint32_t first;			    /* the character at `shown` */
	bool too_long, last_was_cr, paste;
	uint8_t escape; /* how far in a sequence */
	uint32_t number, escape_length;
	char draft[SHELL_LINE_MAX]; /* the newest line, while an older one is shown */
	uint32_t back;		    /* how many lines: 0 for the newest */
	uint32_t history_count;	    /* ever */
	char history[SHELL_LINE_HISTORY][SHELL_LINE_MAX];
};

/* `prompt` stays where it is; shorter than SHELL_LINE_COLUMNS / 2. */
void shell_line_init(struct shell_line *l, const char *prompt);
/* A new line, empty. Nothing is shown yet. */
void shell_line_begin(struct shell_line *l);
/* Shows prompt and text on a line of the terminal of which nothing is known but that it is empty.
 */
void shell_line_show(struct shell_line *l);

/* A typed byte; with at most SHELL_LINE_MAX bytes in `out`. */
enum shell_line_event shell_line_byte(struct shell_line *l, uint8_t byte);
/* Text at the cursor, as if typed. */
void shell_line_insert(struct shell_line *l, const char *text);

/* `out` has been printed. */
void shell_line_flushed(struct shell_line *l);

#define SHELL_LINE_IMAGE_MAX (2 * SHELL_LINE_COLUMNS + 2)
/* What draws it anew on an empty line, cursor included: prompt, text, backspaces. */
void shell_line_image(const struct shell_line *l, char *image, size_t size);
