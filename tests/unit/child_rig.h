/*
 * What the tests of hypercalls and child VMs share: a parent on the fake backend under the real
 * scheduler, and stand-ins for core/vm.c, the arenas and the other CPUs. For one test program each.
 */
#pragma once

#include "run_rig.h"

#include "../../core/child.h"
#include "../../core/hypercall_priv.h"
#include "../../core/pc.h"

#include <stdlib.h>
#include <crvm/smp.h>

#define CHILD_PAGES 16u

struct vm *vms[VM_MAX];
unsigned vm_count;
uint64_t direct_map_base;

static struct run_vm *parent;
static struct vm_vcpu *pv;
static unsigned rig_cpu, arenas; /* that are in use */
static char printed[8192];
static unsigned printed_count;
static bool rig_rescued; /* only an interrupt has made a call end */
/* What a call that waits does; its number is HYPERCALL_VM_START. */
static hypercall_fn *rig_waiting;

int vm_build_bare(struct vm *vm)
{
	vm->cpuid = parent->vm.cpuid;
	return machine.backend->vm_init(&vm->virt, NULL, vm->id, true);
}

int vm_build_vcpu(struct vm *vm)
{
	struct vm_vcpu *v2 = arena_alloc(&vm->arena, sizeof(*v2), 64);

	memset(v2, 0, sizeof(*v2));
	v2->v.vm = vm;
	v2->v.deadline = ~0ul;
	v2->exit = vm->child_ops->exit;
	v2->fpu = arena_alloc(&vm->arena, 64, 64);
	v2->trace = pv->trace;
	v2->emu_env = (struct emu_env){
		.v = &v2->v,
		.backend = machine.backend,
		.mem = &vm->mem,
		.mmio = &vm->mmio,
		.ports = &vm->ports,
		.cache = &v2->emu,
		.phys_bits = 36,
	};
	vm->vcpu = v2;
	return machine.backend->vcpu_init(&v2->v, vm->virt, NULL);
}

void vm_power_on_vcpu(struct vm_vcpu *v2, const struct irq_source *irq)
{
	fake_cpu_catch();
	sched_unload();
	v2->xcr0 = 1;
	v2->events = (struct event_queue){.irq = irq};
	machine.backend->vcpu_load(&v2->v);
	machine.backend->vcpu_reset(&v2->v);
}

int smp_call(struct percpu *cpu, void (*fn)(void *arg), void *arg)
{
	(void)cpu;
	fn(arg);
	return OK;
}

void arena_init(struct arena *a, frame_owner_t owner)
{
	*a = (struct arena){.owner = owner};
	arenas++;
}

void arena_destroy(struct arena *a)
{
	(void)a;
	arenas--;
}

int arena_blocks(struct arena *a, uint64_t size,
		 int (*got)(void *ctx, uint64_t offset, hpa_t base, uint64_t len), void *ctx)
{
	static uint8_t memory[4][CHILD_PAGES * PAGE_SIZE] aligned_to(4096);
	static unsigned next;
	uint8_t *p = memory[next++ % array_count(memory)];

	(void)a;
	if (size > sizeof(memory[0]))
		return E_NOMEM;
	memset(p, 0, size);
	return got(ctx, 0, hpa((uint64_t)p), size);
}

uint64_t frames_count(frame_owner_t owner)
{
	(void)owner;
	return 1000;
}

void pc_ring(struct pc *pc, unsigned irq)
{
	(void)pc;
	(void)irq;
}

void mux_put(struct vm *vm, uint8_t byte)
{
	(void)vm;
	printed[printed_count++ % sizeof(printed)] = (char)byte;
}

uint64_t time_tsc_to_ns(uint64_t tsc)
{
	return tsc;
}

uint64_t wallclock_unix_ns(void)
{
	return 1700000000000000000ul;
}

hypercall_fn *hypercall_manage_find(uint64_t number)
{
	return number == HYPERCALL_VM_START ? rig_waiting : NULL;
}

/* Guest code: runs until its slice is over; its handlers are of one IRET. */
static bool spin(struct vcpu *vcpu, void *ctx)
{
	(void)ctx;
	if (vcpu->virt->frame_count)
		fake_guest_iret(vcpu);
	else
		fake_tsc = vcpu->deadline;
	return false;
}

static inline int child_setup(void **state)
{
	(void)state;
	memset(children, 0, sizeof(children));
	run_machine_reset(++rig_cpu);
	atomic_store(&percpus[0].work, 0);
	run_around.slice_ticks = 20;
	arenas = 0;
	rig_rescued = false;
	printed_count = 0;
	parent = run_vm_new();
	pv = &parent->vcpu;
	parent->vm.hypercall = hypercall_exit;
	parent->vm.hypercall_at_once = hypercall_at_once;
	parent->vm.config.privileged = true;
	parent->vm.zero_tsc = fake_tsc;
	vms[0] = &parent->vm;
	vm_count = 1;
	run_mode_32(parent);
	pv->v.virt->reg[REG_RFLAGS] |= IF;
	fake_set_guest(&pv->v, spin, NULL);
	sched_add(pv, this_cpu());
	return 0;
}

static inline int child_teardown(void **state)
{
	(void)state;
	fake_cpu_catch();
	sched_unload();
	assert_int_equal(fake_spin_held(), 0);
	assert_false(rig_rescued);
	return 0;
}

static inline bool turn(void)
{
	bool ran;

	fake_cpu_catch();
	ran = sched_run();
	atomic_fetch_and(&this_cpu()->work, ~(uint32_t)WORK_VCPU);
	return ran;
}

/* The parent's hypercall begins; whether it is done is for who goes on. */
static inline void ask(uint64_t number, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
	uint64_t *gpr = pv->v.gpr;

	gpr[REG_RAX] = number;
	gpr[REG_RDI] = a;
	gpr[REG_RSI] = b;
	gpr[REG_RDX] = c;
	gpr[REG_RCX] = d;
	fake_push_exit(&pv->v, &(struct vcpu_exit){.kind = EXIT_HYPERCALL, .insn_len = 3});
	check(turn());
}

/* The whole of one: with the boot CPU's part, and the turns of a child. */
static inline int64_t call(uint64_t number, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
	ask(number, a, b, c, d);
	for (unsigned i = 0; (pv->guest || pv->blocked) && i < 50; i++) {
		if (atomic_exchange(&percpus[0].work, 0) & WORK_HYPERCALL)
			hypercall_work();
		/* A child that never comes back by itself. */
		if (i == 30) {
			run_raise_irq(parent, 0x40);
			rig_rescued = true;
		}
		(void)turn();
	}
	check(!pv->guest);
	check(!pv->blocked);
	return (int64_t)pv->v.gpr[REG_RAX];
}

static inline void put(uint64_t at, const void *bytes, size_t n)
{
	check(gmem_write(&parent->vm.mem, gpa(at), bytes, n) == OK);
}

static inline void get(uint64_t at, void *bytes, size_t n)
{
	check(gmem_read(&parent->vm.mem, gpa(at), bytes, n) == OK);
}

#define C(name) cmocka_unit_test_setup_teardown(name, child_setup, child_teardown)
