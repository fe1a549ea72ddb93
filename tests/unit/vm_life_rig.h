/*
 * core/vm.c on the fake backend, and stand-ins that note what they are asked: the PC, the
 * scheduler, the console and the other CPUs. Arenas are the test's to bring.
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
#include <crvm/fpu.h>
#include <crvm/hostmap.h>
#include <crvm/smp.h>
#include <crvm/status.h>
#include <crvm/time.h>
#include "../../core/child.h"
#include "../../core/log_priv.h"
#include "../../core/machine.h"
#include "../../core/mux.h"
#include "../../core/pc.h"
#include "../../core/vm.h"
#include "backend.h"
#include "host_cpu.h"
#include "panic.h"

#define BLOCKS_MAX 256u

struct machine machine;
uintptr_t direct_map_base;
const struct vcpu_quick vcpu_quick;
struct vm *children[VM_MAX];

static struct {
	char text[8192]; /* all lines of the log */
	uint64_t window; /* what 10 s are in TSC ticks */
	int boot_error;	 /* of pc_load */
	unsigned loads, boots, resets, pc_stops, flushes, wakes, adds, removes, detached;
	uint32_t state_at_wake;
	struct vm_vcpu *live;	   /* whose registers the CPU has: sched_unload saves them */
	struct vcpu *ringer;	   /* somebody asks it for an interrupt while pc_reset goes on */
	void (*after_start)(void); /* what happens on the VM's CPU before the caller goes on */
	void *block[BLOCKS_MAX];
	unsigned block_count;
} host;

/* --- Stand-ins ---------------------------------------------------------------------------- */

static struct cpuid_regs cpuid_all(void *ctx, uint32_t leaf, uint32_t subleaf)
{
	(void)ctx;
	if (leaf == 0)
		return (struct cpuid_regs){0x16, 0x756e6547, 0x6c65746e, 0x49656e69};
	if (leaf == 0x80000000)
		return (struct cpuid_regs){0x80000008, 0, 0, 0};
	if (leaf == 0x80000008)
		return (struct cpuid_regs){0x3027, 0, 0, 0};
	return subleaf ? (struct cpuid_regs){0} : (struct cpuid_regs){~0u, ~0u, ~0u, ~0u};
}

const struct cpu_ops cpu_ops_native = {.cpuid = cpuid_all};

enum exit_action exit_handle(struct vm_vcpu *vv)
{
	(void)vv;
	return ACT_STOP;
}

bool hypercall_at_once(struct vm_vcpu *vv)
{
	(void)vv;
	return false;
}

enum exit_action hypercall_exit(struct vm_vcpu *vv)
{
	(void)vv;
	return ACT_NEXT;
}

void child_reap(const struct vm *parent)
{
	(void)parent;
}

void smp_kick(struct percpu *cpu, enum cpu_work work)
{
	atomic_fetch_or(&cpu->work, work);
}

static void *block_new(size_t size, size_t align)
{
	size_t step = align < 16 ? 16 : align;
	void *p = aligned_alloc(step, align_up(size, step));

	assert_true(p && host.block_count < BLOCKS_MAX);
	host.block[host.block_count++] = p;
	return memset(p, 0, size);
}

void pc_ring(struct pc *pc, unsigned irq)
{
	atomic_fetch_or(&pc->bells, 1u << irq);
}

size_t fpu_area_size(void)
{
	return 832;
}

uint64_t fpu_xcr0_mask(void)
{
	return 7;
}

void fpu_area_reset(uint8_t *area)
{
	memset(area, 0, 832);
}

uint64_t time_tsc_khz(void)
{
	return 2000000;
}

uint64_t time_ns_to_tsc(uint64_t ns)
{
	return ns > 1000000 ? host.window : ns;
}

void log_printf(const char *fmt, ...)
{
	size_t n = strlen(host.text);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(host.text + n, sizeof(host.text) - n, fmt, ap);
	va_end(ap);
}

int mux_attach(struct vm *vm)
{
	(void)vm;
	return OK;
}

void mux_detach(struct vm *vm)
{
	assert_ptr_equal(vms[vm->id], vm);
	host.detached++;
}

void mux_flush(struct vm *vm)
{
	(void)vm;
	host.flushes++;
}

void mux_wake(void)
{
	host.wakes++;
	host.state_at_wake = vms[0] ? atomic_load(&vms[0]->state) : VM_STOPPED;
}

int pc_build(struct vm *vm)
{
	vm->pc = block_new(sizeof(*vm->pc), 64);
	return OK;
}

void pc_reset(struct pc *pc)
{
	assert_false(fake_irqs_on);
	(void)pc;
	host.resets++;
	if (host.ringer)
		atomic_fetch_or(&host.ringer->requests, REQ_IRQ);
}

void pc_stop(struct pc *pc)
{
	(void)pc;
	host.pc_stops++;
}

/* It may take long: other things go on meanwhile, and nothing has begun. */
int pc_load(struct vm *vm, struct pc_start *start)
{
	assert_true(fake_irqs_on);
	assert_false(vm->vcpu->v.virt->loaded);
	assert_true(atomic_load(&vm->vcpu->stopped));
	host.loads++;
	assert_int_equal(host.resets, host.boots);
	*start = (struct pc_start){.ip = host.loads};
	return host.boot_error;
}

void pc_start(struct vm *vm, const struct pc_start *start)
{
	assert_false(fake_irqs_on);
	assert_true(vm->vcpu->v.virt->loaded);
	assert_int_equal(start->ip, host.loads);
	host.boots++;
	assert_int_equal(host.resets, host.boots);
}

void sched_unload(void)
{
	if (host.live)
		host.live->fpu[100] = 1;
	host.live = NULL;
}

void sched_add(struct vm_vcpu *vv, struct percpu *cpu)
{
	vv->cpu = cpu;
	host.adds++;
}

void sched_remove(struct vm_vcpu *vv)
{
	(void)vv;
	host.removes++;
}

int smp_call(struct percpu *cpu, void (*fn)(void *arg), void *arg)
{
	(void)cpu;
	fn(arg);
	if (host.after_start)
		host.after_start();
	return OK;
}

/* --- The rig ------------------------------------------------------------------------------ */

static inline struct vm *vm_new(const char *name, enum vm_restart restart)
{
	struct vm_config c = {.mem = 1 << 20, .cpus = 1, .cpu = 0, .restart = restart};
	struct vm *made = NULL;

	fake_cpu_catch(); /* cmocka has taken the signal */
	snprintf(c.name, sizeof(c.name), "%s", name);
	assert_int_equal(vm_create(&c, &(struct vm_image){0}, &made), OK);
	assert_non_null(made);
	return made;
}

static inline void start(struct vm *which)
{
	assert_int_equal(vm_start(which), OK);
}

static inline int life_setup(void **state)
{
	(void)state;
	fake_backend_reset();
	machine.backend = &fake_backend;
	cpu_count = 1;
	fake_cpu_become(0);
	fake_irqs_on = true;
	memset(&host, 0, sizeof(host));
	host.window = ~0ul;
	return 0;
}

/* Whatever is on is powered off: the module counts it. */
static inline int life_teardown(void **state)
{
	(void)state;
	for (unsigned i = vm_count; i-- > 0;) {
		if (!vms[i])
			continue;
		vm_off(vms[i]);
		vm_destroy(vms[i]);
	}
	assert_int_equal(vm_count, 0);
	while (host.block_count)
		free(host.block[--host.block_count]);
	return 0;
}

static inline unsigned said(const char *text)
{
	unsigned n = 0;

	for (const char *p = host.text; (p = strstr(p, text)); p++)
		n++;
	return n;
}

/* The scheduler's part after the exit in which it stopped or was reset. */
static inline void leave(struct vm *which)
{
	assert_true(atomic_load(&which->vcpu->stopped));
	assert_true(atomic_load(&which->vcpu->v.requests) & REQ_STOP);
	vm_ended(which);
}

static inline void expect_on(const struct vm *which)
{
	assert_int_equal(atomic_load(&which->state), VM_RUNNING);
	assert_false(atomic_load(&which->vcpu->stopped));
	assert_int_equal(atomic_load(&which->vcpu->v.requests), REQ_FLUSH);
	assert_false(which->vcpu->v.virt->loaded);
}

static inline void expect_off(const struct vm *which)
{
	assert_int_equal(atomic_load(&which->state), VM_STOPPED);
	assert_true(atomic_load(&which->vcpu->stopped));
	assert_int_equal(host.removes, host.adds);
}
