/*
 * One row of a terminal that knows printable characters and backspaces: what the tests and the
 * fuzzer of the shell's line look at. It aborts on anything else, and beyond its edges.
 */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "../../core/shell_line.h"

#define TERMINAL_COLUMNS 80u

struct terminal {
	char cell[TERMINAL_COLUMNS + 1];
	unsigned column;
};

static inline void terminal_reset(struct terminal *t)
{
	memset(t->cell, ' ', TERMINAL_COLUMNS);
	t->cell[TERMINAL_COLUMNS] = '\0';
	t->column = 0;
}

static inline void terminal_print(struct terminal *t, const char *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (bytes[i] == '\b' && t->column) {
			t->column--;
		} else if (bytes[i] >= ' ' && bytes[i] < 0x7f && t->column < TERMINAL_COLUMNS - 1) {
			t->cell[t->column++] = bytes[i];
		} else {
			fprintf(stderr, "terminal: byte %02x in column %u\n",
				(unsigned)(unsigned char)bytes[i], t->column);
			abort();
		}
	}
}

/* What the line wants to be printed. */
static inline void terminal_take(struct terminal *t, struct shell_line *l)
{
	/* A whole long line at Enter is no row any more. */
	if (l->out_length < SHELL_LINE_COLUMNS * 3)
		terminal_print(t, l->out, l->out_length);
	shell_line_flushed(l);
}

/* Up to the last character that is not a blank, or the cursor, if that is further right. */
static inline const char *terminal_row(const struct terminal *t)
{
	static char row[2][TERMINAL_COLUMNS + 1];
	static unsigned which;
	unsigned n = TERMINAL_COLUMNS;

	which ^= 1;
	while (n > t->column && t->cell[n - 1] == ' ')
		n--;
	memcpy(row[which], t->cell, n);
	row[which][n] = '\0';
	return row[which];
}
