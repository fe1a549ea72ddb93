/*
 * The rings of exit records, one for each CPU that runs vCPUs: made at need, dumped to the console.
 * It must not know what a record means.
 */
#include <crvm/frames.h>
#include <crvm/hostmap.h>
#include <crvm/percpu.h>
#include <crvm/printf.h>
#include <crvm/time.h>

#include "log_priv.h"
#include "vm.h"

#define RING_ORDER   3u /* pages: 1024 records */
#define RING_RECORDS ((PAGE_SIZE << RING_ORDER) / sizeof(struct trace_record))

atomic_bool trace_quick_exits;

/* Each is made by its CPU; `made` tells the others. */
static struct {
	atomic_bool made;
	struct trace_ring ring;
	struct trace_record spare[2]; /* if there is no memory for more */
} rings[CPU_MAX];

struct trace_ring *trace_ring_here(void)
{
	unsigned cpu = this_cpu()->index;
	struct trace_record *record = rings[cpu].spare;
	uint64_t count = array_count(rings[cpu].spare);
	hpa_t frames;

	if (!atomic_load(&rings[cpu].made)) {
		if (!frames_alloc(RING_ORDER, FRAME_HV, &frames)) {
			record = phys_to_virt(frames);
			count = RING_RECORDS;
		}
		trace_init(&rings[cpu].ring, record, count);
		atomic_store(&rings[cpu].made, true);
	}
	return &rings[cpu].ring;
}

static void sink_line(void *ctx, const char *text)
{
	(void)ctx;
	log_printf("%s\n", text);
}

void trace_dump_all(uint64_t max)
{
	const struct trace_sink sink = {sink_line, NULL};

	trace_dump_begin(&sink, time_tsc_khz());
	for (unsigned i = 0; i < cpu_count; i++)
		if (atomic_load(&rings[i].made))
			trace_dump_cpu(&sink, i, &rings[i].ring, max);
	trace_dump_end(&sink);
}

static bool tail_line(void *ctx, const struct trace_record *r)
{
	char text[TRACE_LINE_MAX];

	(void)ctx;
	trace_format(text, sizeof(text), r);
	log_err("  %s", text);
	return true;
}

void trace_tail(unsigned count)
{
	unsigned cpu = this_cpu()->index;

	if (!atomic_load(&rings[cpu].made))
		return;
	log_err("the last exits here:");
	trace_each(&rings[cpu].ring, count, tail_line, NULL);
}
