/*
 * Names of exit kinds, sums and tables of exit counters. It must not know handlers, VMs, or where
 * the lines go.
 */
#include <crvm/exit_stats.h>
#include <crvm/printf.h>

static const char *const kind_names[EXIT_KIND_COUNT] = {
#define X(name, text) [EXIT_##name] = text,
	EXIT_KINDS(X)
#undef X
};

const char *exit_kind_name(unsigned kind)
{
	return kind < EXIT_KIND_COUNT ? kind_names[kind] : "?";
}

static void counter_sum(struct exit_counter *total, const struct exit_counter *c)
{
	total->count += c->count;
	total->cycles += c->cycles;
	if (c->max > total->max)
		total->max = c->max;
}

void exit_stats_sum(struct exit_stats *total, const struct exit_stats *s)
{
	for (unsigned i = 0; i < EXIT_KIND_COUNT; i++)
		counter_sum(&total->kind[i], &s->kind[i]);
}

void exit_stats_reset(struct exit_stats *s)
{
	*s = (struct exit_stats){0};
}

static uint64_t counter_mean(const struct exit_counter *c)
{
	return c->count ? c->cycles / c->count : 0;
}

void exit_stats_print(const struct exit_stats *s, void (*line)(void *ctx, const char *text),
		      void *ctx)
{
	struct exit_counter sum = {0};
	char text[EXIT_STATS_LINE_MAX];

	str_printf(text, sizeof(text), "%-22s %12s %10s %10s %16s", "exit", "count", "mean", "max",
		   "cycles");
	line(ctx, text);
	for (unsigned i = 0; i < EXIT_KIND_COUNT; i++) {
		const struct exit_counter c = s->kind[i];

		if (!c.count)
			continue;
		str_printf(text, sizeof(text), "%-22s %12lu %10lu %10lu %16lu", kind_names[i],
			   c.count, counter_mean(&c), c.max, c.cycles);
		line(ctx, text);
		counter_sum(&sum, &c);
	}
	str_printf(text, sizeof(text), "%-22s %12lu %10lu %10lu %16lu", "all", sum.count,
		   counter_mean(&sum), sum.max, sum.cycles);
	line(ctx, text);
}
