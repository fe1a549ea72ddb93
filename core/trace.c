/*
 * Reading and dumping the rings of exit records. Writing them is inline (trace.h). It must not know
 * where the lines go, nor stop the CPU that writes.
 */
#include <crvm/exit_stats.h>
#include <crvm/panic.h>
#include <crvm/printf.h>
#include <crvm/trace.h>

void trace_init(struct trace_ring *t, struct trace_record *record, uint64_t size)
{
	check(size >= 2 && (size & (size - 1)) == 0);
	atomic_store(&t->count, 0);
	t->mask = size - 1;
	t->record = record;
}

static uint64_t ring_count(const struct trace_ring *t)
{
	return atomic_load_explicit(&t->count, memory_order_acquire);
}

/*
 * Number of the first of the `max` newest records. The writer fills a slot before it counts it, so
 * the oldest record of a full ring may be half gone at any time.
 */
static uint64_t ring_first(const struct trace_ring *t, uint64_t count, uint64_t max)
{
	uint64_t kept = count < t->mask ? count : t->mask;

	return count - (max < kept ? max : kept);
}

/* False if it was, or may have been, overwritten meanwhile. */
static bool ring_copy(const struct trace_ring *t, uint64_t n, struct trace_record *r)
{
	*r = t->record[n & t->mask];
	atomic_thread_fence(memory_order_acquire);
	return atomic_load_explicit(&t->count, memory_order_relaxed) - n <= t->mask;
}

unsigned trace_snapshot(const struct trace_ring *t, struct trace_record *out, unsigned max,
			uint64_t *first)
{
	uint64_t count = ring_count(t), n = ring_first(t, count, max);
	unsigned copied = 0;

	for (; n < count; n++) {
		/* An overwritten record makes all older ones overwritten: start again from here. */
		if (!ring_copy(t, n, &out[copied]))
			copied = 0;
		else
			copied++;
	}
	if (first)
		*first = count - copied;
	return copied;
}

void trace_each(const struct trace_ring *t, uint64_t max,
		bool (*fn)(void *ctx, const struct trace_record *r), void *ctx)
{
	uint64_t count = ring_count(t);

	for (uint64_t n = ring_first(t, count, max); n < count; n++) {
		struct trace_record r;

		if (ring_copy(t, n, &r) && !fn(ctx, &r))
			return;
	}
}

void trace_dump_begin(const struct trace_sink *sink, uint64_t tsc_khz)
{
	char text[TRACE_LINE_MAX];

	str_printf(text, sizeof(text), "trace begin version=1 tsc_khz=%lu", tsc_khz);
	sink->line(sink->ctx, text);
	for (unsigned i = 0; i < EXIT_KIND_COUNT; i++) {
		str_printf(text, sizeof(text), "trace kind %x %s", i, exit_kind_name(i));
		sink->line(sink->ctx, text);
	}
}

static bool dump_record(void *ctx, const struct trace_record *r)
{
	const struct trace_sink *sink = ctx;
	char text[TRACE_LINE_MAX];

	str_printf(text, sizeof(text), "trace . %lx %x %x %x %x %x %lx %x", r->tsc, r->who >> 16,
		   r->who & 0xffff, r->kind, r->raw, r->raw_info, r->rip, r->cycles);
	sink->line(sink->ctx, text);
	return true;
}

void trace_dump_cpu(const struct trace_sink *sink, unsigned cpu, const struct trace_ring *t,
		    uint64_t max)
{
	struct trace_sink copy = *sink;
	char text[TRACE_LINE_MAX];

	str_printf(text, sizeof(text), "trace cpu %x written=%lu size=%lu", cpu, ring_count(t),
		   t->mask + 1);
	sink->line(sink->ctx, text);
	trace_each(t, max, dump_record, &copy);
}

void trace_dump_end(const struct trace_sink *sink)
{
	sink->line(sink->ctx, "trace end");
}

void trace_format(char *buf, size_t size, const struct trace_record *r)
{
	str_printf(buf, size, "%lu vm %u vcpu %u %s rip %lx raw %x info %x %u cycles", r->tsc,
		   r->who >> 16, r->who & 0xffff, exit_kind_name(r->kind), r->rip, r->raw,
		   r->raw_info, r->cycles);
}
