/*
 * What left the guests lately: a ring of exit records on each physical CPU (core/trace.c), always
 * on, dumped as text that scripts/trace-decode reads. Knows no handler and no console.
 */
#pragma once

#include <stdatomic.h>
#include <crvm/vcpu.h>

struct trace_record {
	uint64_t tsc; /* at the exit */
	/* The head of struct vcpu_exit as it is. */
	uint8_t kind, insn_len;
	uint16_t raw;
	uint32_t raw_info;
	uint64_t rip;
	uint32_t who;	 /* trace_who */
	uint32_t cycles; /* from the exit to the next entry; 0: it is still being handled, or was
			    when the VM ended */
};
_Static_assert(sizeof(struct trace_record) == 32, "two to a cache line");
_Static_assert(offsetof(struct trace_record, raw) - offsetof(struct trace_record, kind) ==
			       offsetof(struct vcpu_exit, raw) - offsetof(struct vcpu_exit, kind) &&
		       offsetof(struct trace_record, raw_info) -
				       offsetof(struct trace_record, kind) ==
			       offsetof(struct vcpu_exit, raw_info) -
				       offsetof(struct vcpu_exit, kind) &&
		       offsetof(struct vcpu_exit, kind) == 0 &&
		       offsetof(struct vcpu_exit, interrupted) == 8,
	       "copied as one word");
_Static_assert(offsetof(struct trace_record, cycles) == offsetof(struct trace_record, who) + 4,
	       "written as one word");

/* Written by its CPU only. */
struct trace_ring {
	_Atomic uint64_t count; /* records ever written */
	uint64_t mask;		/* size - 1 */
	struct trace_record *record;
};

/* `size` is a power of two, at least 2; one record less can be read. */
void trace_init(struct trace_ring *t, struct trace_record *record, uint64_t size);

static inline uint32_t trace_who(uint16_t vm, uint16_t vcpu)
{
	return (uint32_t)vm << 16 | vcpu;
}

/*
 * One exit. The record stays this CPU's until the next call: trace_done tells it the time when the
 * exit has been handled. Counted only once it is complete, so that readers on other CPUs see whole
 * records.
 */
static inline struct trace_record *trace_exit(struct trace_ring *t, uint32_t who,
					      const struct vcpu_exit *e, uint64_t tsc, uint64_t rip)
{
	uint64_t n = atomic_load_explicit(&t->count, memory_order_relaxed);
	struct trace_record *r = &t->record[n & t->mask];

	r->tsc = tsc;
	__builtin_memcpy(&r->kind, &e->kind, 8);
	r->rip = rip;
	__builtin_memcpy(&r->who, &(uint64_t){who}, 8); /* cycles = 0 */
	atomic_store_explicit(&t->count, n + 1, memory_order_release);
	return r;
}

static inline void trace_done(struct trace_record *r, uint64_t cycles)
{
	r->cycles = (uint32_t)cycles;
}

/*
 * Copies at most the `max` newest records, the newest last; returns how many. From any CPU: records
 * overwritten meanwhile are left away. `first` gets the number of out[0], counted from the ring's
 * beginning; may be NULL.
 */
unsigned trace_snapshot(const struct trace_ring *t, struct trace_record *out, unsigned max,
			uint64_t *first);

/* The same without a buffer, for panic: calls fn for each record, the newest last, until it returns
 * false. */
void trace_each(const struct trace_ring *t, uint64_t max,
		bool (*fn)(void *ctx, const struct trace_record *r), void *ctx);

#define TRACE_LINE_MAX 120u

/* Where a dump's lines go: shorter than TRACE_LINE_MAX, no newline. */
struct trace_sink {
	void (*line)(void *ctx, const char *text);
	void *ctx;
};

/*
 * A dump for scripts/trace-decode: begin, the rings one after the other, end. All numbers are
 *hexadecimal but those with a name, which are decimal:
 *
 *	trace begin version=1 tsc_khz=2992968
 *	trace kind 6 port I/O			for each of EXIT_KINDS
 *	trace cpu 0 written=70000 size=4096	its records follow, the newest last
 *	trace . TSC VM VCPU KIND RAW RAW_INFO RIP CYCLES
 *	trace end
 */
void trace_dump_begin(const struct trace_sink *sink, uint64_t tsc_khz);
void trace_dump_cpu(const struct trace_sink *sink, unsigned cpu, const struct trace_ring *t,
		    uint64_t max);
void trace_dump_end(const struct trace_sink *sink);

/* One record for people: "123456 vm 1 vcpu 0 port I/O rip ffffffff80001000 raw 30 info 3f80000 150
 * cycles". */
void trace_format(char *buf, size_t size, const struct trace_record *r);
