/*
 * The log: one line at a time into a history ring and to the sinks (serial, screen), which take
 * what they can at once and never wait. Knows no device.
 */
#include <crvm/cpu.h>
#include <crvm/percpu.h>
#include <crvm/printf.h>
#include <crvm/spinlock.h>
#include <crvm/string.h>
#include <crvm/time.h>

#include "log_priv.h"

#define HISTORY_SIZE (64u * 1024)
#define SINK_MAX     4
#define LINE_MAX     240

static struct spinlock log_lock = SPINLOCK_INIT(RANK_LOG, "log");
static enum log_level log_level = LOG_INFO;
static atomic_bool panicking; /* one CPU is left and takes no lock any more */
static log_sink_fn *sinks[SINK_MAX];
static unsigned sink_count;

/* The last HISTORY_SIZE bytes of everything written; `history_end` counts all bytes ever. */
static char history[HISTORY_SIZE];
static uint64_t history_end;

/* While the console belongs to a VM: the sinks get nothing. */
static bool held;
static uint64_t held_from; /* place in the history */

static const char *const level_names[] = {"error", "warn", "info", "debug"};

static uint64_t log_enter(void)
{
	return atomic_load(&panicking) ? 0 : spin_lock_irqsave(&log_lock);
}

static void log_leave(uint64_t flags)
{
	if (!atomic_load(&panicking))
		spin_unlock_irqrestore(&log_lock, flags);
}

static void log_emit(enum log_level level, const char *text, size_t n)
{
	for (size_t i = 0; i < n; i++)
		history[history_end++ % HISTORY_SIZE] = text[i];
	for (unsigned i = 0; i < sink_count && !held; i++)
		sinks[i](level, text, n);
}

void log_write(enum log_level level, const char *fmt, ...)
{
	char line[LINE_MAX + 2];
	uint64_t us = time_ns() / 1000, flags;
	va_list ap;
	int n, m;

	if (level > log_level)
		return;
	n = str_printf(line, sizeof(line), "%5lu.%06lu cpu%u %-5s ", us / 1000000, us % 1000000,
		       this_cpu()->index, level_names[level]);
	va_start(ap, fmt);
	m = str_vprintf(line + n, (size_t)(LINE_MAX + 1 - n), fmt, ap);
	va_end(ap);
	n = n + m > LINE_MAX ? LINE_MAX : n + m;
	line[n++] = '\n';
	flags = log_enter();
	log_emit(level, line, (size_t)n);
	log_leave(flags);
}

void log_raw(const char *text, size_t n)
{
	uint64_t flags = log_enter();

	log_emit(LOG_INFO, text, n);
	log_leave(flags);
}

void log_printf(const char *fmt, ...)
{
	char text[512];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = str_vprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	log_raw(text, n < (int)sizeof(text) ? (size_t)n : sizeof(text) - 1);
}

void log_locked(void (*fn)(void *arg), void *arg)
{
	uint64_t flags = log_enter();

	fn(arg);
	log_leave(flags);
}

void log_set_level(enum log_level level)
{
	log_level = level;
}

/* The history from `at` on, as far as it is still there. */
static void replay_from(log_sink_fn *sink, uint64_t at)
{
	uint64_t oldest = history_end > HISTORY_SIZE ? history_end - HISTORY_SIZE : 0;

	at = at < oldest ? oldest : at;
	while (at < history_end) {
		size_t start = at % HISTORY_SIZE, n = HISTORY_SIZE - start;

		if (n > history_end - at)
			n = (size_t)(history_end - at);
		sink(LOG_INFO, history + start, n);
		at += n;
	}
}

void log_replay(log_sink_fn *sink)
{
	replay_from(sink, 0);
}

void log_hold(bool hold)
{
	uint64_t flags = log_enter();

	for (unsigned i = 0; i < sink_count && held && !hold; i++)
		replay_from(sinks[i], held_from);
	if (hold && !held)
		held_from = history_end;
	held = hold;
	log_leave(flags);
}

void log_direct(const char *text, size_t n)
{
	uint64_t flags = log_enter();

	for (unsigned i = 0; i < sink_count; i++)
		sinks[i](LOG_DIRECT, text, n);
	log_leave(flags);
}

void log_attach(log_sink_fn *sink)
{
	uint64_t flags = log_enter();

	if (sink_count < SINK_MAX) {
		log_replay(sink);
		sinks[sink_count++] = sink;
	}
	log_leave(flags);
}

void log_enter_panic(void)
{
	atomic_store(&panicking, true);
	log_hold(false);
}

bool log_in_panic(void)
{
	return atomic_load(&panicking);
}
