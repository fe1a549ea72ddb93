/*
 * Shell commands on what VMs cost: exit counters, and a table each second of who uses the CPUs.
 * They must not know what an exit is for.
 */
#include <crvm/cpu.h>
#include <crvm/printf.h>
#include <crvm/string.h>
#include <crvm/time.h>

#include "log_priv.h"
#include "mux.h"
#include "pc.h"
#include "shell_priv.h"

#define TOP_NS	       1000000000ul
#define TENTHS_PERCENT 1000u

static void print_line(void *ctx, const char *text)
{
	(void)ctx;
	log_printf("  %s\n", text);
}

/* For scripts: docs/shell.md has the format. */
static void print_raw(const struct vm *vm)
{
	const struct vm_vcpu *vv = &vm->vcpu[0];
	const struct pit_ticks t = pit_ticks(&vm->pc->pit);

	log_printf("stats begin version=1 vm=%s state=%s tsc_khz=%lu tsc=%lu ran=%lu\n", vm->name,
		   shell_state(vm), time_tsc_khz(), rdtsc(), vv->ran_ticks);
	log_printf("stats ticks due=%lu raised=%lu owed=%lu merged=%lu\n", t.due, t.raised, t.owed,
		   t.merged);
	for (unsigned i = 0; i < EXIT_KIND_COUNT; i++) {
		const struct exit_counter *c = &vv->stats.kind[i];

		if (c->count)
			log_printf("stats exit %u %lu %lu %lu %s\n", i, c->count, c->cycles, c->max,
				   exit_kind_name(i));
	}
	log_printf("stats end\n");
}

void shell_stats(char *arg)
{
	const struct vm *vm = shell_vm("stats", &arg);
	const char *form = shell_word(&arg);

	if (!vm || !shell_end("stats", arg))
		return;
	if (strcmp(form, "raw") == 0)
		print_raw(vm);
	else if (*form)
		shell_wrong("stats", "raw, or nothing, may follow the VM, not '%.40s'", form);
	else
		exit_stats_print(&vm->vcpu[0].stats, print_line, NULL);
}

/* What there was a second ago. */
struct sample {
	const struct vm *vm;
	uint64_t ran, exits;
};

static struct {
	struct timer timer;
	uint64_t tsc;
	struct sample vm[VM_MAX];
} top;

static struct sample sample_take(const struct vm *vm)
{
	struct sample s = {vm, vm->vcpu[0].ran_ticks, 0};

	for (unsigned i = 0; i < EXIT_KIND_COUNT; i++)
		s.exits += vm->vcpu[0].stats.kind[i].count;
	return s;
}

/* x / y in tenths of a percent; y > 0. */
static unsigned share(uint64_t x, uint64_t y)
{
	return (unsigned)(x * TENTHS_PERCENT / y);
}

static void print_vm(const struct vm *vm, const struct sample *old, const struct sample *now,
		     uint64_t ticks)
{
	const struct vm_vcpu *vv = &vm->vcpu[0];
	const unsigned used = share(now->ran - old->ran, ticks);
	const uint64_t ms = time_tsc_to_ns(ticks) / 1000000;

	log_printf("  %2u %-15s %-8s %3u %4u.%u%% %10lu %10lu\n", vm->id + 1u, vm->name,
		   shell_state(vm), vv->cpu ? vv->cpu->index : 0, used / 10, used % 10,
		   (now->exits - old->exits) * 1000 / (ms ? ms : 1), pit_ticks(&vm->pc->pit).owed);
}

static void top_show(bool print)
{
	const uint64_t tsc = rdtsc(), ticks = tsc - top.tsc;

	if (print)
		log_printf("  VM name            state    CPU  share    exits/s ticks owed\n");
	for (unsigned i = 0; i < vm_count; i++) {
		struct sample now;

		if (!vms[i])
			continue;
		now = sample_take(vms[i]);
		if (print && ticks && top.vm[i].vm == vms[i] && top.vm[i].ran <= now.ran &&
		    top.vm[i].exits <= now.exits)
			print_vm(vms[i], &top.vm[i], &now, ticks);
		top.vm[i] = now;
	}
	top.tsc = tsc;
}

static void top_tick(struct timer *t)
{
	if (!mux_has_focus())
		top_show(true);
	timer_set(t, rdtsc() + time_ns_to_tsc(TOP_NS));
}

static void top_stop(void)
{
	timer_cancel(&top.timer);
}

void shell_top(char *arg)
{
	(void)arg;
	log_printf("any key ends it\n");
	memset(top.vm, 0, sizeof(top.vm));
	top_show(false);
	top.timer.fn = top_tick;
	timer_set(&top.timer, rdtsc() + time_ns_to_tsc(TOP_NS));
	shell_live(top_stop);
}
