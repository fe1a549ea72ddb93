/*
 * The screen's characters in RAM, and which of them a device has yet to draw. Must not know the
 * terminal's position, pixels or video memory.
 */
#include "screen_priv.h"

#include <crvm/string.h>

static struct screen_grid {
	struct screen_device dev;
	unsigned top; /* the row of `cell` that is the screen's first; a ring */
	struct screen_cell cell[SCREEN_ROWS_MAX][SCREEN_COLUMNS_MAX];
} grid;

static const struct screen_cell blank_row[SCREEN_COLUMNS_MAX] = {
	[0 ... SCREEN_COLUMNS_MAX - 1] = {.c = ' ', .color = SCREEN_NORMAL}};

static struct screen_cell *screen_cells_row(struct screen_grid *g, unsigned y)
{
	unsigned row = g->top + y;

	return g->cell[row < g->dev.rows ? row : row - g->dev.rows];
}

/* Blanks look the same in all colours: there is no background colour. */
static bool screen_cell_same(struct screen_cell a, struct screen_cell b)
{
	return a.c == b.c && (a.color == b.color || a.c == ' ');
}

static void screen_cells_put(void *ctx, unsigned x, unsigned y, const char *s, unsigned n,
			     enum screen_color color)
{
	struct screen_grid *g = ctx;
	struct screen_cell *to;

	if (y >= g->dev.rows || x >= g->dev.columns || !n)
		return;
	if (n > g->dev.columns - x)
		n = g->dev.columns - x;
	if ((unsigned)color >= SCREEN_COLOR_COUNT)
		color = SCREEN_NORMAL;
	to = screen_cells_row(g, y) + x;
	for (unsigned i = 0; i < n; i++)
		to[i] = (struct screen_cell){.c = (uint8_t)s[i], .color = (uint8_t)color};
	g->dev.draw(x, y, to, n);
}

/* Row y shows `shown`: draws the runs of `to` that differ. */
static void screen_cells_change(struct screen_grid *g, unsigned y, const struct screen_cell *shown,
				const struct screen_cell *to)
{
	unsigned start = 0, n = 0;

	for (unsigned x = 0; x < g->dev.columns; x++) {
		bool same = screen_cell_same(shown[x], to[x]);

		if (!same && !n++)
			start = x;
		if (same && n) {
			g->dev.draw(start, y, &to[start], n);
			n = 0;
		}
	}
	if (n)
		g->dev.draw(start, y, &to[start], n);
}

static void screen_cells_change_all(struct screen_grid *g)
{
	unsigned last = g->dev.rows - 1;

	for (unsigned y = 0; y < last; y++)
		screen_cells_change(g, y, screen_cells_row(g, y), screen_cells_row(g, y + 1));
	screen_cells_change(g, last, screen_cells_row(g, last), blank_row);
}

static void screen_cells_scroll(void *ctx)
{
	struct screen_grid *g = ctx;
	unsigned right = g->dev.rows; /* rows from the top that need no drawing */

	if (g->dev.scroll)
		right = g->dev.scroll();
	else
		screen_cells_change_all(g);
	memcpy(g->cell[g->top], blank_row, g->dev.columns * sizeof(blank_row[0]));
	g->top = g->top + 1 < g->dev.rows ? g->top + 1 : 0;
	for (unsigned y = right; y < g->dev.rows; y++)
		g->dev.draw(0, y, screen_cells_row(g, y), g->dev.columns);
}

static void screen_cells_clear(void *ctx)
{
	struct screen_grid *g = ctx;

	for (unsigned y = 0; y < g->dev.rows; y++)
		memcpy(g->cell[y], blank_row, g->dev.columns * sizeof(blank_row[0]));
	g->dev.blank();
}

static void screen_cells_cursor(void *ctx, unsigned x, unsigned y)
{
	struct screen_grid *g = ctx;

	if (x < g->dev.columns && y < g->dev.rows)
		g->dev.cursor(x, y);
}

const struct screen_ops *screen_cells_init(const struct screen_device *dev)
{
	static struct screen_ops ops;

	grid.dev = *dev;
	grid.top = 0;
	ops = (struct screen_ops){
		.put = screen_cells_put,
		.scroll = screen_cells_scroll,
		.clear = screen_cells_clear,
		.cursor = dev->cursor ? screen_cells_cursor : NULL,
		.ctx = &grid,
	};
	return &ops;
}
