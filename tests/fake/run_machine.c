/* See run_machine.h. It must not know what the handlers do. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <crvm/cpu.h>
#include <crvm/fpu.h>
#include <crvm/panic.h>
#include <crvm/smp.h>
#include <crvm/status.h>
#include <crvm/time.h>
#include "run_machine.h"

#define TABLES	   0x38000ul
#define ARENA_SIZE 0x80000u

struct machine machine;
struct run_around run_around;
atomic_bool trace_quick_exits;

static struct run_vm run_vms[RUN_VM_MAX];
static unsigned run_vm_count;
static uint8_t arena[ARENA_SIZE] aligned_to(64);
static size_t arena_used;

static struct run_vm *run_vm_of(const struct vcpu *v)
{
	return container_of(v->vm, struct run_vm, vm);
}

/* What surrounds the loop. */

void vm_stop(struct vm_vcpu *vv, bool dump, const char *fmt, ...)
{
	struct vm *vm = vv->v.vm;
	struct run_vm *m = vm->child_ops ? NULL : run_vm_of(&vv->v);
	va_list ap;

	va_start(ap, fmt);
	if (!m) {
		char why[256];

		vsnprintf(why, sizeof(why), fmt, ap);
		va_end(ap);
		atomic_store(&vv->stopped, true);
		atomic_fetch_or(&vv->v.requests, REQ_STOP);
		vm->child_ops->stopped(vm, why);
		return;
	}
	vsnprintf(m->stop_reason, sizeof(m->stop_reason), fmt, ap);
	va_end(ap);
	m->stops++;
	m->stop_dump = dump;
	atomic_store(&vv->stopped, true);
	atomic_fetch_or(&vv->v.requests, REQ_STOP);
	atomic_store(&m->vm.state, VM_STOPPED);
}

void smp_kick(struct percpu *cpu, enum cpu_work work)
{
	atomic_fetch_or(&cpu->work, work);
	run_around.kicks++;
}

void vm_ended(struct vm *vm)
{
	container_of(vm, struct run_vm, vm)->ended++;
}

/* All that io_bus_freeze wants of an arena. */
void *arena_alloc(struct arena *a, size_t size, size_t align)
{
	void *p = arena + align_up(arena_used, align);

	(void)a;
	arena_used = align_up(arena_used, align) + size;
	check(arena_used <= sizeof(arena));
	return p;
}

struct trace_ring *trace_ring_here(void)
{
	static struct trace_record record[64];
	static struct trace_ring ring;

	if (!ring.record)
		trace_init(&ring, record, array_count(record));
	return &ring;
}

uint64_t fpu_xcr0_mask(void)
{
	return run_around.xcr0_mask;
}

bool fpu_xcr0_valid(uint64_t xcr0)
{
	return xcr0 & 1 && !(xcr0 & ~run_around.xcr0_mask) && (!(xcr0 & 4) || xcr0 & 2);
}

void fpu_save(uint8_t *area)
{
	check(area == run_around.fpu);
	run_around.fpu = NULL;
	run_around.saves++;
}

void fpu_restore(const uint8_t *area, uint64_t xcr0)
{
	check(!run_around.fpu && fpu_xcr0_valid(xcr0));
	run_around.fpu = area;
	run_around.xcr0 = xcr0;
}

void fpu_switch(uint8_t *from, uint64_t from_xcr0, const uint8_t *to, uint64_t to_xcr0)
{
	check(from_xcr0 == run_around.xcr0);
	fpu_save(from);
	fpu_restore(to, to_xcr0);
}

/* Without core/sched.c nobody has a guest. */
__attribute__((weak)) struct vm_vcpu *sched_pass(struct vm_vcpu *turn)
{
	(void)turn;
	return NULL;
}

__attribute__((weak)) struct vcpu *sched_pass_quick(struct vcpu *turn)
{
	(void)turn;
	return NULL;
}

/* XSETBV with anything else would be a #GP in the hypervisor. */
void fpu_set_xcr0(uint64_t xcr0)
{
	check(fpu_xcr0_valid(xcr0));
	run_around.xcr0 = xcr0;
}

uint64_t time_ns_to_tsc(uint64_t ns)
{
	return ns < 1000000 ? run_around.slice_ticks / 2 : run_around.slice_ticks;
}

uint64_t timer_next(void)
{
	return run_around.timer_next;
}

void timer_set(struct timer *t, uint64_t deadline)
{
	t->node.key = deadline;
	run_around.timer_set = deadline;
}

/* The backend. */

static void run_set_reg(struct vcpu *v, enum vcpu_reg reg, uint64_t value)
{
	uint64_t *r = v->virt->reg;

	fake_backend.set_reg(v, reg, value);
	if (reg != REG_CR0 && reg != REG_EFER)
		return;
	r[REG_EFER] &= ~(uint64_t)EFER_LMA;
	if (r[REG_EFER] & EFER_LME && r[REG_CR0] & CR0_PG)
		r[REG_EFER] |= EFER_LMA;
}

/* Of no bytes: one iteration of REP is done, and its single step. */
static void run_skip_insn(struct vcpu *v)
{
	struct virt_vcpu *f = v->virt;

	if (v->exit.insn_len) {
		fake_backend.skip_insn(v);
		return;
	}
	check(f->reg[REG_RFLAGS] & 1 << 8 && !f->skipped);
	f->skipped = true;
	f->pending_db = true;
	f->reg[REG_INT_SHADOW] &= ~3ul;
	f->reg[REG_RFLAGS] &= ~(1ul << 16);
}

static bool is_quick(const struct vcpu *v, const struct vcpu_exit *e)
{
	if (!v->quick || e->interrupted.kind != EVENT_NONE)
		return false;
	switch (e->kind) {
	case EXIT_PORT:
		return !e->port.string;
	case EXIT_HYPERCALL:
		return v->quick->handler[e->kind] && !(v->virt->segment[SEG_SS].attr & 3 << 5);
	case EXIT_NESTED_FAULT:
		return v->quick->handler[e->kind] && e->fault.linear_valid && !e->fault.page_walk &&
		       !e->fault.misconfig && !(e->fault.access & FAULT_EXEC);
	default:
		return v->quick->handler[e->kind] != NULL;
	}
}

/* Of v->exit only what the contract names is set. */
static int quick_call(struct vcpu *v, const struct vcpu_exit *e)
{
	const uint64_t *reg = v->virt->reg;

	memset(&v->exit, 0xa5, sizeof(v->exit));
	v->exit.interrupted.kind = EVENT_NONE;
	if (e->kind == EXIT_PORT)
		return e->port.in ? v->quick->port_in(v, e->port.port, e->port.size)
				  : v->quick->port_out(v, e->port.port, e->port.size);
	if (e->kind == EXIT_NESTED_FAULT) {
		v->exit.kind = EXIT_NESTED_FAULT;
		v->exit.fault = e->fault;
		v->exit.fault.rip = reg[REG_RIP];
		v->exit.fault.cr3 = reg[REG_CR3];
		v->exit.fault.mode_64 =
			v->virt->segment[SEG_CS].attr & 1 << 13 && reg[REG_EFER] & EFER_LMA;
		v->exit.fault.has_regs = true;
	}
	return v->quick->handler[e->kind](v, e->raw);
}

static struct vcpu *run_run(struct vcpu *v)
{
	for (;;) {
		struct vcpu_exit e;
		struct vcpu *to;
		int result;

		(void)fake_backend.run(v);
		e = v->exit;
		if (!is_quick(v, &e))
			return v;
		result = quick_call(v, &e);
		if (result == QUICK_NOT) {
			v->exit = e;
			return v;
		}
		check(result >= 0 || result == QUICK_STAY || result == QUICK_PASS);
		run_vm_of(v)->quick_count++;
		v->exit = (struct vcpu_exit){.insn_len = e.kind == EXIT_NESTED_FAULT
								 ? (uint8_t)v->quick_len
								 : e.insn_len};
		if (result != QUICK_STAY)
			run_skip_insn(v);
		to = result == QUICK_PASS ? v->quick->pass(v) : NULL;
		if (to)
			v = to;
		else if (result != QUICK_AGAIN)
			return v;
	}
}

/* The fake backend, but for these three functions. */
static struct virt_backend made;
static struct msr_ops msr_ops;

static uint64_t guest_clock(void)
{
	return fake_tsc;
}

/* VMs. */

/* Memory between two pages that nobody may touch; the same for ever. */
static uint8_t *guarded(uint64_t size)
{
	uint8_t *p =
		mmap(NULL, size + 2 * PAGE_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED || mprotect(p + PAGE_SIZE, size, PROT_READ | PROT_WRITE) != 0) {
		perror("guest memory");
		abort();
	}
	return p + PAGE_SIZE;
}

static void must(int err)
{
	check(err == OK);
}

static void add_memory(struct run_vm *m, uint64_t at, uint64_t size, uint8_t **host, bool readonly)
{
	unsigned flags = readonly ? NESTED_R | NESTED_X : NESTED_RWX;

	if (!*host)
		*host = guarded(size);
	memset(*host, readonly ? 0x90 : 0, size);
	must(gmem_add(&m->vm.mem, gpa(at), size, *host, readonly));
	must(made.nested_map(m->vm.virt, gpa(at), hpa(at), size, flags));
}

static void debug_tx(void *ctx, uint8_t byte)
{
	struct run_vm *m = ctx;

	m->text[m->text_len++ % (sizeof(m->text) - 1)] = (char)byte;
}

static void debug_exit(void *ctx, uint32_t code)
{
	struct run_vm *m = ctx;

	m->exit_code = code;
	vm_stop(&m->vcpu, false, "debug exit with code %d", (int)(code & 0xff));
}

static void add_devices(struct run_vm *m)
{
	const struct debug_ops ops = {debug_tx, debug_exit, m};
	struct vm *vm = &m->vm;
	struct io_region r;

	must(io_bus_init(&vm->ports, 0x10000, IO_BUS_REGION_MAX, NULL));
	must(io_bus_init(&vm->mmio, 1ul << 48, IO_BUS_REGION_MAX, NULL));
	debug_init(&m->debug, &ops);
	testdev_init(&m->test);
	for (unsigned i = 0; i < DEBUG_REGION_COUNT; i++) {
		r = debug_region(&m->debug, i);
		must(io_bus_add(&vm->ports, &r));
	}
	r = testdev_port_region(&m->test, RUN_PORT);
	must(io_bus_add(&vm->ports, &r));
	r = testdev_mmio_region(&m->test, RUN_MMIO);
	must(io_bus_add(&vm->mmio, &r));
	must(io_bus_freeze(&vm->ports, NULL));
	must(io_bus_freeze(&vm->mmio, NULL));
}

static int chip_peek(void *ctx)
{
	const struct run_vm *m = ctx;

	for (int i = 255; i >= 0; i--)
		if (m->waits[i])
			return i;
	return -1;
}

static int chip_ack(void *ctx)
{
	struct run_vm *m = ctx;
	int vector = chip_peek(ctx);

	m->acks++;
	/* What is acknowledged must be deliverable, or it is lost. */
	check(vector >= 0 && made.can_take(&m->vcpu.v, EVENT_EXTINT));
	m->waits[vector] = false;
	return vector;
}

void run_raise_irq(struct run_vm *m, uint8_t vector)
{
	m->waits[vector] = true;
	atomic_fetch_or(&m->vcpu.v.requests, REQ_IRQ);
}

/* A host with everything. */
static struct cpuid_regs host_cpuid(void *ctx, uint32_t leaf, uint32_t subleaf)
{
	const struct cpuid_regs ones = {~0u, ~0u, ~0u, ~0u};

	(void)ctx;
	switch (leaf) {
	case 0:
		return (struct cpuid_regs){0x16, 0x756e6547, 0x6c65746e, 0x49656e69};
	case 4:
		return subleaf < 3 ? (struct cpuid_regs){0x121 + subleaf, 0x1c0003f, 63, 0}
				   : (struct cpuid_regs){0};
	case 7:
		return subleaf ? (struct cpuid_regs){0} : (struct cpuid_regs){0, ~0u, ~0u, ~0u};
	case 0xd:
		return subleaf == 2 ? (struct cpuid_regs){256, 576, 0, 0}
				    : (struct cpuid_regs){7, 832, 832, 0};
	case 0x80000000:
		return (struct cpuid_regs){0x80000008, 0, 0, 0};
	case 0x80000008:
		return (struct cpuid_regs){0x3027, 0, 0, 0};
	default:
		return ones;
	}
}

static void add_vcpu(struct run_vm *m)
{
	struct vm_vcpu *vv = &m->vcpu;

	m->vm.vcpu = vv;
	vv->exit = exit_handle;
	vv->v.vm = &m->vm;
	vv->v.deadline = ~0ul;
	vv->quick_ticks = 1u << 30;
	vv->xcr0 = 1;
	vv->fpu = m->fpu;
	vv->trace = &m->ring;
	vv->cpu = this_cpu();
	vv->emu_env = (struct emu_env){
		.v = &vv->v,
		.backend = machine.backend,
		.mem = &m->vm.mem,
		.mmio = &m->vm.mmio,
		.ports = &m->vm.ports,
		.cache = &vv->emu,
		.phys_bits = (uint8_t)cpuid_policy_phys_bits(&m->vm.cpuid),
	};
	m->irq = (struct irq_source){chip_peek, chip_ack, m};
	vv->events.irq = &m->irq;
	trace_init(&m->ring, m->last, array_count(m->last));
	msr_policy_init(&vv->msr, &msr_ops, &vv->v, &m->vm.cpuid);
	must(made.vcpu_init(&vv->v, m->vm.virt, NULL));
}

void run_machine_reset(unsigned cpu)
{
	fake_backend_reset();
	fake_cpu = cpu;
	fake_cpu_become(cpu);
	made = fake_backend;
	made.set_reg = run_set_reg;
	made.skip_insn = run_skip_insn;
	made.run = run_run;
	msr_ops = (struct msr_ops){
		.get_reg = made.get_reg,
		.set_reg = made.set_reg,
		.get_segment = made.get_segment,
		.set_segment = made.set_segment,
		.tsc = guest_clock,
	};
	machine = (struct machine){.backend = &made};
	run_around = (struct run_around){.xcr0_mask = 7, .xcr0 = 7, .timer_next = ~0ul};
	run_vm_count = 0;
	arena_used = 0;
	memset(arena, 0, sizeof(arena));
	atomic_store(&trace_quick_exits, false);
}

struct run_vm *run_vm_new(void)
{
	static const struct cpu_ops host = {.cpuid = host_cpuid};
	struct cpuid_config cpuid = {.tsc_khz = 2893123, .xcr0 = run_around.xcr0_mask};
	struct run_vm *m = &run_vms[run_vm_count];
	uint8_t *ram = m->ram, *rom = m->rom, *high = m->high;

	check(run_vm_count < RUN_VM_MAX);
	memset(m, 0, sizeof(*m));
	m->ram = ram;
	m->rom = rom;
	m->high = high;
	m->vm.id = (uint16_t)run_vm_count++;
	snprintf(m->vm.name, sizeof(m->vm.name), "vm-%u", m->vm.id);
	m->vm.config.cpus = 1;
	m->vm.exit_code = -1;
	atomic_store(&m->vm.state, VM_RUNNING);
	cpuid_policy_build(&m->vm.cpuid, &cpuid, &host);
	must(made.vm_init(&m->vm.virt, NULL, m->vm.id, true));
	add_memory(m, 0, RUN_RAM_SIZE, &m->ram, false);
	add_memory(m, RUN_ROM, RUN_ROM_SIZE, &m->rom, true);
	add_memory(m, RUN_HIGH, RUN_HIGH_SIZE, &m->high, false);
	add_devices(m);
	add_vcpu(m);
	run_mode_real(m);
	m->vcpu.v.virt->reg[REG_RIP] = RUN_CODE;
	return m;
}

/* Modes. */

static void flat(struct run_vm *m, uint16_t code, uint16_t data, uint32_t limit)
{
	struct virt_vcpu *f = m->vcpu.v.virt;

	for (unsigned i = SEG_ES; i <= SEG_GS; i++)
		f->segment[i] = (struct vcpu_segment){.attr = data, .limit = limit};
	f->segment[SEG_CS].attr = code;
}

void run_mode_real(struct run_vm *m)
{
	uint64_t *reg = m->vcpu.v.virt->reg;

	flat(m, RUN_CODE16, RUN_DATA16, 0xffff);
	reg[REG_CR0] = CR0_ET;
	reg[REG_CR4] = reg[REG_EFER] = 0;
}

void run_mode_32(struct run_vm *m)
{
	uint64_t *reg = m->vcpu.v.virt->reg;

	flat(m, RUN_CODE32, RUN_DATA32, ~0u);
	reg[REG_CR0] = CR0_ET | CR0_PE;
	reg[REG_CR4] = reg[REG_EFER] = 0;
}

void run_mode_64(struct run_vm *m)
{
	uint64_t *reg = m->vcpu.v.virt->reg;
	uint64_t *pml4 = (uint64_t *)(void *)(m->ram + TABLES), *pdpt = pml4 + 512;

	flat(m, RUN_CODE64, RUN_DATA32, ~0u);
	pml4[0] = (TABLES + PAGE_SIZE) | 7;
	for (uint64_t i = 0; i < 5; i++)
		pdpt[i] = i << 30 | 0x87;
	reg[REG_CR0] = CR0_ET | CR0_PE | CR0_PG | CR0_WP;
	reg[REG_CR3] = TABLES;
	reg[REG_CR4] = CR4_PAE;
	reg[REG_EFER] = EFER_LME | EFER_LMA | EFER_NXE;
}
