/*
 * core/mux.c with three VMs, and stand-ins for what is around it: the log, the serial port, the
 * shell, timers and the other CPUs. For test_mux.c.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <crvm/cpu.h>
#include <crvm/smp.h>
#include <crvm/status.h>
#include "../../core/console.h"
#include "../../core/log_priv.h"
#include "../../core/machine.h"
#include "../../core/mux.h"
#include "../../core/pc.h"
#include "spinlock.h"

#define VMS	     3u
#define OUT_SIZE     (4u << 20)
#define ROOM_DEFAULT (128u << 10)
#define NS_SHOW_MAX  3000000u /* longer times are those of unfinished lines */
#define CTRL_A	     "\x01"

struct vm *vms[VM_MAX];
unsigned vm_count;

static struct vm vm[VMS];
static struct vm_vcpu vcpu[VMS];
static struct pc pc[VMS];
static uint8_t rings[VMS][3][VM_CONSOLE_OUT_SIZE]; /* the two at first, the larger one */
static uint8_t screen[0x8000];

static struct {
	char *out; /* what the terminal got */
	uint32_t len;
	char *history; /* what the log keeps from it meanwhile */
	uint32_t history_len;
	bool held;
	uint32_t room;
	uint64_t show_ticks, partial_ticks;
	struct timer *timer; /* that is set; NULL: none */
	unsigned kicks, prompts, inputs, calls;
	bool kicked, stops_meanwhile;
	struct vm *talks; /* prints on with each line that is shown */
} host;

/* --- Stand-ins ---------------------------------------------------------------------------- */

static void out_put(const char *text, size_t n)
{
	assert_true(host.len + n < OUT_SIZE);
	memcpy(host.out + host.len, text, n);
	host.len += (uint32_t)n;
	host.out[host.len] = '\0';
	host.room -= host.room < n ? host.room : (uint32_t)n;
}

void log_direct(const char *text, size_t n)
{
	out_put(text, n);
	if (host.talks)
		for (unsigned i = 0; i < 600; i++)
			mux_put(host.talks, 'x');
}

void log_raw(const char *text, size_t n)
{
	if (!host.held) {
		out_put(text, n);
		return;
	}
	memcpy(host.history + host.history_len, text, n);
	host.history_len += (uint32_t)n;
}

void log_printf(const char *fmt, ...)
{
	char text[512];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	log_raw(text, (size_t)n);
	if (host.talks)
		for (const char *p = "more\nand more\n"; *p; p++)
			mux_put(host.talks, (uint8_t)*p);
}

void log_hold(bool hold)
{
	host.held = hold;
	if (hold)
		return;
	out_put(host.history, host.history_len);
	host.history_len = 0;
}

uint32_t console_room(void)
{
	return host.room;
}

void console_set_input(const char *line)
{
	(void)line;
}

void shell_start(void)
{
	host.prompts++;
	log_raw("crvm> ", 6);
}

static char shell_got[64];

void shell_input(const char *bytes, unsigned n)
{
	snprintf(shell_got, sizeof(shell_got), "%.*s", (int)n, bytes);
}

void smp_kick(struct percpu *cpu, enum cpu_work work)
{
	assert_ptr_equal(cpu, &percpus[0]);
	assert_int_equal(work, WORK_CONSOLE);
	host.kicked = true;
	host.kicks++;
}

int smp_call(struct percpu *cpu, void (*fn)(void *arg), void *arg)
{
	assert_ptr_equal(cpu, &percpus[1]);
	assert_int_equal(fake_spin_held(), 0);
	host.calls++;
	if (host.stops_meanwhile)
		atomic_store(&((struct vm *)arg)->state, VM_STOPPED);
	fn(arg);
	return OK;
}

void pc_input(struct pc *p)
{
	(void)p;
	host.inputs++;
}

uint64_t time_ns_to_tsc(uint64_t ns)
{
	return ns > NS_SHOW_MAX ? host.partial_ticks : host.show_ticks;
}

void timer_set(struct timer *t, uint64_t deadline)
{
	t->node.key = deadline;
	t->node.queued = true;
	host.timer = t;
}

void *arena_alloc(struct arena *a, size_t size, size_t align)
{
	static unsigned turn[VMS];
	const size_t i = (size_t)(container_of(a, struct vm, arena) - vm);

	(void)align;
	assert_true(i < VMS && size <= VM_CONSOLE_OUT_SIZE);
	return size == VM_CONSOLE_OUT_SIZE ? rings[i][2] : rings[i][turn[i]++ % 2];
}

/* --- The rig ------------------------------------------------------------------------------ */

static bool timer_ring(void)
{
	struct timer *t = host.timer;

	if (!t)
		return false;
	host.timer = NULL;
	t->node.queued = false;
	t->fn(t);
	assert_int_equal(fake_spin_held(), 0);
	return true;
}

/* The boot CPU's loop until there is nothing to do, or it has looked around `max` times. */
static void boot_run(unsigned max)
{
	while (max-- && (host.kicked || host.timer)) {
		if (host.kicked) {
			host.kicked = false;
			mux_work();
		}
		(void)timer_ring();
	}
}

static void keys_type(const char *text)
{
	mux_input(text, (unsigned)strlen(text));
	mux_work();
}

static void print(unsigned i, const char *text)
{
	while (*text)
		mux_put(&vm[i], (uint8_t)*text++);
}

static void clear(void)
{
	host.len = 0;
	host.out[0] = '\0';
}

static void expect_out(const char *text)
{
	assert_string_equal(host.out, text);
	clear();
}

static int mux_setup(void **state)
{
	(void)state;
	memset(&vm, 0, sizeof(vm));
	vm_count = VMS;
	for (unsigned i = 0; i < VMS; i++) {
		vms[i] = &vm[i];
		vm[i].id = (uint16_t)i;
		vm[i].vcpu = &vcpu[i];
		vm[i].pc = &pc[i];
		vcpu[i].cpu = &percpus[1];
		snprintf(vm[i].name, sizeof(vm[i].name), "vm%u", i + 1);
		atomic_store(&vm[i].state, VM_RUNNING);
		assert_int_equal(mux_attach(&vm[i]), OK);
		vga_init(&pc[i].vga);
	}
	host.room = ROOM_DEFAULT;
	host.show_ticks = 1;
	host.partial_ticks = ~0ul >> 2;
	host.kicks = host.inputs = host.calls = host.prompts = 0;
	shell_got[0] = '\0';
	clear();
	return 0;
}

/* The module's own state is put back by what brings it there. */
static int mux_teardown(void **state)
{
	(void)state;
	host.talks = NULL;
	host.room = OUT_SIZE;
	host.partial_ticks = 0;
	host.stops_meanwhile = false;
	if (mux_has_focus())
		keys_type(CTRL_A "s");
	boot_run(1000);
	assert_false(host.kicked || host.timer);
	return 0;
}
