/*
 * The whole of core/ that manages VMs, with devices, arenas and frames as they are, on the fake
 * backend, whose share of a VM lies in its arena here; stand-ins for the other CPUs, time, the FPU
 * and the console. A caller makes hypercalls as a guest does. For one test program each.
 */
#pragma once

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include <crvm/cpu.h>
#include <crvm/fpu.h>
#include <crvm/hostmap.h>
#include <crvm/panic.h>
#include <crvm/smp.h>
#include <crvm/status.h>
#include <crvm/time.h>
#include <crvm/wallclock.h>
#include "../../core/child.h"
#include "../../core/hypercall_priv.h"
#include "../../core/log_priv.h"
#include "../../core/machine.h"
#include "../../core/manage.h"
#include "../../core/mux.h"
#include "../../core/pc.h"
#include "backend.h"
#include "host_cpu.h"
#include "panic.h"
#include "ram.h"
#include "spinlock.h"

#define RIG_CPUS 2u
#ifndef RIG_RAM
#define RIG_RAM (64ul << 20)
#endif
#define MODULE_AT  (1ul << 30) /* beside the RAM that VMs are made of */
#define CALLER_RAM 0x40000ul
#define TEXT_AT	   0x10000ul /* of the caller */
#define DATA_AT	   0x20000ul
#define FILLER	   0xa7 /* what is there before a call */

/* Where the caller's memory ends, `n` bytes before that. */
#define END(n) (CALLER_RAM - (n))

struct machine machine;
atomic_bool trace_quick_exits;

static struct {
	const struct vm_vcpu *loaded[RIG_CPUS];
	unsigned timers; /* that are set */
	char printed[4096];
	unsigned printed_count;
	int stderr_kept;
	void (*before_call)(void); /* what another CPU does before it serves a call */
} rig;

static struct vm *caller;
static struct virt_backend rig_backend;

/* --- The CPUs ----------------------------------------------------------------------------- */

static void become(unsigned cpu)
{
	uint32_t work = atomic_load(&percpus[cpu].work);

	fake_cpu_become(cpu);
	atomic_store(&percpus[cpu].work, work);
	fake_cpu = cpu;
}

void smp_kick(struct percpu *cpu, enum cpu_work work)
{
	atomic_fetch_or(&cpu->work, work);
}

/* In the other CPU's loop: interrupts on, no lock held. */
int smp_call(struct percpu *cpu, void (*fn)(void *arg), void *arg)
{
	const unsigned here = fake_cpu;

	check(fake_spin_held() == 0);
	if (atomic_load(&cpu->state) != CPU_ONLINE)
		return E_NODEV;
	become(cpu->index);
	if (rig.before_call)
		rig.before_call();
	fn(arg);
	check(fake_spin_held() == 0);
	become(here);
	return OK;
}

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

size_t fpu_area_size(void)
{
	return 832;
}

uint64_t fpu_xcr0_mask(void)
{
	return 7;
}

bool fpu_xcr0_valid(uint64_t xcr0)
{
	return xcr0 & 1;
}

void fpu_area_reset(uint8_t *area)
{
	memset(area, 0x77, 832);
}

void fpu_save(uint8_t *area)
{
	area[0]++;
}

void fpu_restore(const uint8_t *area, uint64_t xcr0)
{
	(void)area;
	(void)xcr0;
}

void fpu_switch(uint8_t *from, uint64_t from_xcr0, const uint8_t *to, uint64_t to_xcr0)
{
	fpu_save(from);
	fpu_restore(to, to_xcr0);
	(void)from_xcr0;
}

void fpu_set_xcr0(uint64_t xcr0)
{
	(void)xcr0;
}

struct trace_ring *trace_ring_here(void)
{
	static struct trace_record record[RIG_CPUS][64];
	static struct trace_ring ring[RIG_CPUS];

	if (!ring[fake_cpu].record)
		trace_init(&ring[fake_cpu], record[fake_cpu], array_count(record[0]));
	return &ring[fake_cpu];
}

/* --- Time --------------------------------------------------------------------------------- */

uint64_t time_tsc_khz(void)
{
	return 2000000;
}

/* Time slices are over soon. */
uint64_t time_ns_to_tsc(uint64_t ns)
{
	return ns == 10000000 ? 20 : ns;
}

uint64_t time_tsc_to_ns(uint64_t tsc)
{
	return tsc;
}

uint64_t wallclock_unix_ns(void)
{
	return 1700000000000000000ul;
}

uint64_t timer_next(void)
{
	return ~0ul;
}

/* A CPU's timers are its own. */
static void timer_check(const struct timer *t)
{
	check(!t->node.queued || t->cpu == this_cpu());
}

void timer_set(struct timer *t, uint64_t deadline)
{
	timer_check(t);
	t->cpu = this_cpu();
	t->node.key = deadline;
	rig.timers += !t->node.queued;
	t->node.queued = true;
}

void timer_cancel(struct timer *t)
{
	timer_check(t);
	rig.timers -= t->node.queued;
	t->node.queued = false;
}

/* --- The console -------------------------------------------------------------------------- */

void log_printf(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
}

int mux_attach(struct vm *vm)
{
	void *out = arena_alloc(&vm->arena, VM_CONSOLE_OUT_SIZE, 64);
	void *in = arena_alloc(&vm->arena, VM_CONSOLE_IN_SIZE, 64);

	if (!out || !in)
		return E_NOMEM;
	vm_console_init(&vm->console, out, VM_CONSOLE_OUT_SIZE, in, VM_CONSOLE_IN_SIZE);
	return OK;
}

void mux_detach(struct vm *vm)
{
	check(vms[vm->id] == vm);
}

void mux_flush(struct vm *vm)
{
	(void)vm;
}

void mux_wake(void)
{
}

void mux_put(struct vm *vm, uint8_t byte)
{
	(void)vm;
	rig.printed[rig.printed_count++ % sizeof(rig.printed)] = (char)byte;
}

/* --- The backend: the fake, in arenas ----------------------------------------------------- */

/* Guest code: spins through its slice; its handlers are of one IRET. */
static bool rig_spin(struct vcpu *v, void *ctx)
{
	(void)ctx;
	if (v->virt->frame_count)
		fake_guest_iret(v);
	else
		fake_tsc = v->deadline;
	return false;
}

static int rig_vm_init(struct virt_vm **vm, struct arena *arena, uint16_t id, bool use_vpid)
{
	*vm = arena_alloc(arena, sizeof(**vm), 64);
	if (!*vm)
		return E_NOMEM;
	(*vm)->id = id;
	(*vm)->use_vpid = use_vpid;
	return OK;
}

static int rig_vcpu_init(struct vcpu *v, struct virt_vm *vm, struct arena *arena)
{
	v->virt = arena_alloc(arena, sizeof(*v->virt), 64);
	if (!v->virt)
		return E_NOMEM;
	v->virt->vm = vm;
	fake_backend.vcpu_reset(v);
	fake_set_guest(v, rig_spin, NULL);
	return OK;
}

static void rig_vcpu_load(struct vcpu *v)
{
	check(!rig.loaded[fake_cpu]);
	rig.loaded[fake_cpu] = vm_vcpu_of(v);
	fake_backend.vcpu_load(v);
}

static void rig_vcpu_unload(struct vcpu *v)
{
	if (rig.loaded[fake_cpu] == vm_vcpu_of(v))
		rig.loaded[fake_cpu] = NULL;
	fake_backend.vcpu_unload(v);
}

static void rig_vcpu_switch(struct vcpu *from, struct vcpu *to)
{
	check(rig.loaded[fake_cpu] == vm_vcpu_of(from));
	rig.loaded[fake_cpu] = vm_vcpu_of(to);
	fake_backend.vcpu_switch(from, to);
}

/* --- Calls -------------------------------------------------------------------------------- */

/* Lines of the log that are expected in great numbers. */
static inline void rig_quiet(bool quiet)
{
	fflush(stderr);
	if (quiet) {
		int null = open("/dev/null", O_WRONLY);

		rig.stderr_kept = dup(STDERR_FILENO);
		check(rig.stderr_kept >= 0 && null >= 0 && dup2(null, STDERR_FILENO) >= 0);
		close(null);
		return;
	}
	check(dup2(rig.stderr_kept, STDERR_FILENO) >= 0);
	close(rig.stderr_kept);
}

static inline void put(uint64_t at, const void *bytes, size_t n)
{
	check(gmem_write(&caller->mem, gpa(at), bytes, n) == OK);
}

static inline void get(uint64_t at, void *bytes, size_t n)
{
	check(gmem_read(&caller->mem, gpa(at), bytes, n) == OK);
}

/* A turn of whoever is next on that CPU. */
static inline bool turn(unsigned cpu)
{
	bool ran;

	fake_cpu_catch(); /* cmocka has taken the signal */
	become(cpu);
	ran = sched_run();
	atomic_fetch_and(&percpus[cpu].work, ~(uint32_t)WORK_VCPU);
	become(0);
	return ran;
}

/* The boot CPU's loop, as far as hypercalls go. */
static inline void boot_cpu(void)
{
	if (atomic_fetch_and(&percpus[0].work, ~(uint32_t)WORK_HYPERCALL) & WORK_HYPERCALL)
		hypercall_work();
}

/*
 * A turn of this one, on its CPU: shares are by the host's clock, so all others there are taken to
 * have had theirs for long.
 */
static inline bool turn_of_vm(struct vm *vm)
{
	const uint64_t later = vm->vcpu->fair.vtime + (1ul << 40);

	for (unsigned i = 0; i < vm_count; i++)
		if (vms[i] && vms[i] != vm && vms[i]->vcpu->cpu == vm->vcpu->cpu &&
		    vms[i]->vcpu->fair.vtime < later)
			vms[i]->vcpu->fair.vtime = later;
	return turn(vm->vcpu->cpu->index);
}

/* A guest begins a call; what comes of it is for later. */
static inline void ask(struct vm *vm, uint64_t number, uint64_t a, uint64_t b, uint64_t c,
		       uint64_t d)
{
	struct vcpu *v = &vm->vcpu->v;

	v->gpr[REG_RAX] = number;
	v->gpr[REG_RDI] = a;
	v->gpr[REG_RSI] = b;
	v->gpr[REG_RDX] = c;
	v->gpr[REG_RCX] = d;
	fake_push_exit(v, &(struct vcpu_exit){.kind = EXIT_HYPERCALL, .insn_len = 3});
	for (unsigned i = 0; i < 100 && v->virt->script_count; i++)
		check(turn_of_vm(vm));
	check(!v->virt->script_count);
}

/* Until it is done. */
static inline int64_t call_of(struct vm *vm, uint64_t number, uint64_t a, uint64_t b, uint64_t c,
			      uint64_t d)
{
	ask(vm, number, a, b, c, d);
	for (unsigned i = 0; i < 100 && vm->vcpu->blocked; i++) {
		boot_cpu();
		check(turn_of_vm(vm));
	}
	check(!vm->vcpu->blocked && fake_spin_held() == 0);
	return (int64_t)vm->vcpu->v.gpr[REG_RAX];
}

static inline int64_t call(uint64_t number, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
	return call_of(caller, number, a, b, c, d);
}

static inline int64_t create(const char *text)
{
	put(TEXT_AT, text, strlen(text));
	return call(HYPERCALL_VM_CREATE, TEXT_AT, strlen(text), 0, 0);
}

/* --- The machine -------------------------------------------------------------------------- */

static inline void module_add(const char *name, const void *bytes, size_t n)
{
	struct boot_module *m = &machine.boot.module[machine.boot.module_count];

	m->start = MODULE_AT + machine.boot.module_count++ * (1ul << 20);
	m->end = m->start + n;
	snprintf(m->cmdline, sizeof(m->cmdline), "%s", name);
	memcpy(phys_to_virt(hpa(m->start)), bytes, n);
}

static void rig_config_error(void *ctx, const struct vm_config_error *e)
{
	(void)ctx;
	fprintf(stderr, "config:%u: %s\n", e->place.line, e->text);
}

/* As the shell does it: how many sections are good. */
static inline unsigned make(const char *text)
{
	struct vm_config_sink sink = {.error = rig_config_error};

	return manage_create(text, strlen(text), &sink);
}

/* Made and started at boot, as number 1. */
static inline void caller_new(void)
{
	check(make("[vm caller]\nkernel = k\nboot = flat\nmemory = 256K\ncpu = 1\n"
		   "privileged = yes\n") == 1);
	caller = vms[0];
	check(vm_is_on(caller) && caller->config.mem == CALLER_RAM);
}

static inline void rig_machine(void)
{
	static const uint8_t kernel[] = {0xeb, 0xfe};

	fake_ram_reset();
	frames_init();
	fake_backend_reset();
	memset(&machine, 0, sizeof(machine));
	rig_backend = fake_backend;
	rig_backend.vm_init = rig_vm_init;
	rig_backend.vcpu_init = rig_vcpu_init;
	rig_backend.vcpu_load = rig_vcpu_load;
	rig_backend.vcpu_unload = rig_vcpu_unload;
	rig_backend.vcpu_switch = rig_vcpu_switch;
	machine.backend = &rig_backend;
	cpu_count = RIG_CPUS;
	for (unsigned i = RIG_CPUS; i-- > 0;)
		fake_cpu_become(i);
	fake_cpu = 0;
	fake_log_count = rig.printed_count = 0;
	module_add("k", kernel, sizeof(kernel));
	check(frames_add(0, RIG_RAM) == OK);
	caller_new();
}

static inline int rig_setup(void **state)
{
	(void)state;
	rig_machine();
	return 0;
}

/* Every VM is off and gone. */
static inline void rig_end(void)
{
	fake_cpu_catch();
	become(0);
	for (unsigned i = 0; i < VM_MAX; i++) {
		if (!vms[i])
			continue;
		if (vm_is_on(vms[i]))
			check(manage_stop(vms[i]) == OK);
		check(manage_destroy(vms[i]) == OK);
	}
	child_reap(NULL);
	check(vm_count == 0 && rig.timers == 0 && fake_spin_held() == 0);
	for (unsigned i = 0; i < RIG_CPUS; i++)
		check(!rig.loaded[i]);
}

/* What VMs had of the RAM is free and zeroed, all else as it was. */
static inline void rig_check_scrubbed(void)
{
	static const uint8_t zeroes[PAGE_SIZE];

	frames_audit();
	for (uint64_t at = 0; at < RIG_RAM; at += PAGE_SIZE)
		if (frames_owner(hpa(at)) == FRAME_FREE)
			check(memcmp(phys_to_virt(hpa(at)), zeroes, PAGE_SIZE) == 0);
}

static inline int rig_teardown(void **state)
{
	(void)state;
	rig_end();
	rig_check_scrubbed();
	return 0;
}

#define R(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)
