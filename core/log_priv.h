/*
 * The log as core/ sees it: sinks, history, text without a prefix.
 */
#pragma once

#include <crvm/log.h>

/* For sinks alone, beside enum log_level: bytes for a terminal, which are not to be touched. */
#define LOG_DIRECT ((enum log_level)(LOG_DEBUG + 1))

/* Takes text as it is; called with the log's lock held and interrupts off, must not wait or log. */
typedef void log_sink_fn(enum log_level level, const char *text, size_t n);

void log_set_level(enum log_level level);
/* Gives the history to a new sink, then all that comes. */
void log_attach(log_sink_fn *sink);
/* The history to one sink, under the lock (from log_locked). */
void log_replay(log_sink_fn *sink);
/*
 * Keeps all that is written from the sinks, in the history; when it ends, the sinks get what came
 * meanwhile, as far as the history reaches.
 */
void log_hold(bool hold);
/* To the sinks alone, also while it is held: what a VM prints to its own terminal. */
void log_direct(const char *text, size_t n);
/* Text without time and level, for tables and the shell; goes where log lines go. */
void log_raw(const char *text, size_t n);
void log_printf(const char *fmt, ...) printf_like(1, 2);
/* Runs fn under the log's lock: no line comes in between. */
void log_locked(void (*fn)(void *arg), void *arg);
/* From now on this CPU alone writes, without locks. */
void log_enter_panic(void);
bool log_in_panic(void);
