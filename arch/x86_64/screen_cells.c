/*
 * The screen's characters in RAM, and which of them a device has yet to draw. Must not know the
 * terminal's position, pixels or video memory.
 */
#include "screen_priv.h"

static struct screen_grid {
	struct screen_device dev;
	struct screen_cell cell[SCREEN_ROWS_MAX][SCREEN_COLUMNS_MAX];
} grid;

static const struct screen_cell blank_cell = {.c = ' ', .color = SCREEN_NORMAL};

/* Blanks look the same in all colours: there is no background colour. */
static bool screen_cell_same(struct screen_cell a, struct screen_cell b)
{
	return a.c == b.c && (a.color == b.color || a.c == ' ');
}

static void screen_cells_put(void *ctx, unsigned x, unsigned y, const char *s, unsigned n,
			     enum screen_color color)
{
	struct screen_grid *g = ctx;

	if (y >= g->dev.rows || x >= g->dev.columns || !n)
		return;
	if (n > g->dev.columns - x)
		n = g->dev.columns - x;
	if ((unsigned)color >= SCREEN_COLOR_COUNT)
		color = SCREEN_NORMAL;
	for (unsigned i = 0; i < n; i++)
		g->cell[y][x + i] =
			(struct screen_cell){.c = (uint8_t)s[i], .color = (uint8_t)color};
	g->dev.draw(x, y, &g->cell[y][x], n);
}

/* Replaces a row (by blanks if `to` is NULL) and draws the runs of cells that differ from what is
 * shown. */
static void screen_cells_replace(struct screen_grid *g, unsigned y, const struct screen_cell *to)
{
	struct screen_cell *row = g->cell[y];
	unsigned start = 0, n = 0;

	for (unsigned x = 0; x < g->dev.columns; x++) {
		struct screen_cell c = to ? to[x] : blank_cell;
		bool same = screen_cell_same(row[x], c);

		row[x] = c;
		if (!same && !n++)
			start = x;
		if (same && n) {
			g->dev.draw(start, y, &row[start], n);
			n = 0;
		}
	}
	if (n)
		g->dev.draw(start, y, &row[start], n);
}

static void screen_cells_scroll(void *ctx)
{
	struct screen_grid *g = ctx;

	for (unsigned y = 0; y < g->dev.rows; y++)
		screen_cells_replace(g, y, y + 1 < g->dev.rows ? g->cell[y + 1] : NULL);
}

static void screen_cells_clear(void *ctx)
{
	struct screen_grid *g = ctx;

	for (unsigned y = 0; y < g->dev.rows; y++) {
		for (unsigned x = 0; x < g->dev.columns; x++)
			g->cell[y][x] = blank_cell;
	}
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
	ops = (struct screen_ops){
		.put = screen_cells_put,
		.scroll = screen_cells_scroll,
		.clear = screen_cells_clear,
		.cursor = dev->cursor ? screen_cells_cursor : NULL,
		.ctx = &grid,
	};
	return &ops;
}
