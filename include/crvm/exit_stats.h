/*
 * How often a vCPU left its guest, why, and what handling it cost (core/exit_stats.c). Always on:
 * adding is inline and cheap. Knows no handler.
 */
#pragma once

#include <crvm/vcpu.h>

struct exit_counter {
	uint64_t count;
	uint64_t cycles; /* TSC spent in handling it, in all */
	uint64_t max;	 /* of one exit */
	uint64_t unused; /* 32 bytes: found by a shift */
};
_Static_assert(sizeof(struct exit_counter) == 32, "indexed by a shift");

/*
 * One for each vCPU. Only the CPU on which it is loaded adds; any CPU may read, and may then see
 * the counters of an exit that is being added half done.
 */
struct exit_stats {
	struct exit_counter kind[EXIT_KIND_COUNT];
};

/* `kind` < EXIT_KIND_COUNT. */
static inline void exit_stats_add(struct exit_stats *s, enum exit_kind kind, uint64_t cycles)
{
	struct exit_counter *c = &s->kind[kind];

	c->count++;
	c->cycles += cycles;
	if (unlikely(cycles > c->max))
		c->max = cycles;
}

/* The text of EXIT_KINDS; "?" beyond it. */
const char *exit_kind_name(unsigned kind);

/* Adds `s` to `total`, for the sum over a VM's vCPUs. */
void exit_stats_sum(struct exit_stats *total, const struct exit_stats *s);

void exit_stats_reset(struct exit_stats *s);

#define EXIT_STATS_LINE_MAX 80u

/*
 * A table, line by line without newline, each shorter than EXIT_STATS_LINE_MAX: a head, the kinds
 * that occurred in the order of EXIT_KINDS, their sum. Numbers too wide for their column push it to
 * the right.
 */
void exit_stats_print(const struct exit_stats *s, void (*line)(void *ctx, const char *text),
		      void *ctx);
