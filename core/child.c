/*
 * The life of a child VM: its memory, traps and vCPU. It must not know what a packet is for, nor
 * how a hypercall came. See child.h.
 */
#include <crvm/cpu.h>
#include <crvm/hostmap.h>
#include <crvm/panic.h>
#include <crvm/printf.h>
#include <crvm/smp.h>
#include <crvm/status.h>

#include "child.h"
#include "machine.h"

#define PORT_END 0x10000ul
#define MIB	 (1ul << 20)

enum { ATTR_CODE16 = 0x9b, ATTR_CODE64 = 0xa09b, ATTR_DATA = 0xc093 };

struct vm *children[VM_MAX];

static int irq_peek(void *ctx)
{
	struct child *c = ctx;

	for (unsigned i = array_count(c->irqs); i-- > 0;) {
		uint64_t waits = atomic_load(&c->irqs[i]);

		if (waits)
			return (int)(64 * i + 63 - (unsigned)__builtin_clzl(waits));
	}
	return -1;
}

static int irq_ack(void *ctx)
{
	struct child *c = ctx;
	int vector = irq_peek(c);

	if (vector >= 0)
		atomic_fetch_and(&c->irqs[vector / 64], ~(1ul << vector % 64));
	return vector;
}

static int build(struct vm *vm, struct vm *parent)
{
	struct child *c = arena_alloc(&vm->arena, sizeof(*c), 64);
	int err;

	if (!c)
		return E_NOMEM;
	*c = (struct child){.vm = vm, .parent = parent, .parent_life = parent->life};
	c->irq = (struct irq_source){irq_peek, irq_ack, c};
	vm->child = c;
	vm->child_ops = &child_ops;
	vm->config.cpus = 1;
	vm->config.cpu = -1;
	vm->config.vpid = parent->config.vpid;
	vm->config.restart = VM_RESTART_NEVER;
	/* What no trap is for behaves as where nothing is. */
	err = io_bus_init(&vm->ports, PORT_END, HYPERCALL_TRAP_MAX, &vm->arena);
	if (!err)
		err = io_bus_init(&vm->mmio, 1ul << 48, 0, &vm->arena);
	return err ? err : vm_build_bare(vm);
}

int child_create(struct vm *parent, unsigned *number)
{
	unsigned slot = vm_free_slot(), i = 0;
	struct vm *vm;
	int err;

	while (i < VM_CHILD_MAX && parent->children[i])
		i++;
	if (slot == VM_MAX || i == VM_CHILD_MAX)
		return E_NOMEM;
	vm = vm_alloc(slot);
	if (!vm)
		return E_NOMEM;
	str_printf(vm->name, sizeof(vm->name), "child-%u-%u", parent->id + 1u, i + 1);
	err = build(vm, parent);
	if (err) {
		arena_destroy(&vm->arena);
		return err;
	}
	children[slot] = parent->children[i] = vm;
	*number = i + 1;
	return OK;
}

static void unload(void *arg)
{
	(void)arg;
	sched_unload();
}

void child_destroy(struct vm *vm)
{
	struct vm *parent = vm->child->parent;
	struct percpu *cpu = parent->vcpu[0].cpu;

	/* It may still be what its CPU has loaded. */
	if (cpu)
		check(smp_call(cpu, unload, NULL) == OK);
	for (unsigned i = 0; i < VM_CHILD_MAX; i++)
		if (parent->children[i] == vm)
			parent->children[i] = NULL;
	children[vm->id] = NULL;
	arena_destroy(&vm->arena);
}

struct child *child_find(const struct vm *parent, uint64_t number)
{
	const struct vm *vm =
		number && number <= VM_CHILD_MAX ? parent->children[number - 1] : NULL;

	return vm ? vm->child : NULL;
}

static bool has_lost_parent(const struct child *c)
{
	return !vm_is_on(c->parent) || c->parent_life != c->parent->life;
}

void child_reap(const struct vm *parent)
{
	for (unsigned i = 0; i < VM_MAX; i++)
		if (children[i] && (parent ? children[i]->child->parent == parent
					   : has_lost_parent(children[i]->child)))
			child_destroy(children[i]);
}

/* Neither empty nor wrapping, within pages, below `end`. */
static bool is_range(uint64_t at, uint64_t size, uint64_t step, uint64_t end)
{
	return size && !((at | size) & (step - 1)) && at < end && size <= end - at;
}

static bool overlap(uint64_t a, uint64_t a_size, uint64_t b, uint64_t b_size)
{
	return a < b + b_size && b < a + a_size;
}

/* Whether there is memory, or a trap of this sort, in the range. */
static bool is_taken(const struct child *c, bool port, uint64_t at, uint64_t size)
{
	const struct gmem *m = &c->vm->mem;

	for (unsigned i = 0; i < c->trap_count; i++)
		if ((c->trap[i].kind == HYPERCALL_TRAP_IO) == port &&
		    overlap(at, size, c->trap[i].at, c->trap[i].size))
			return true;
	for (unsigned i = 0; !port && i < m->count; i++)
		if (overlap(at, size, m->slot[i].gpa, m->slot[i].len))
			return true;
	return false;
}

struct add_memory {
	struct vm *vm;
	uint64_t at;
};

static int add_block(void *ctx, uint64_t offset, hpa_t base, uint64_t len)
{
	const struct add_memory *a = ctx;

	return vm_map(a->vm, a->at + offset, phys_to_virt(base), len, NESTED_RWX);
}

int child_add_memory(struct child *c, uint64_t at, uint64_t size)
{
	struct add_memory a = {c->vm, at};
	int err;

	if (!is_range(at, size, PAGE_SIZE, CHILD_MEMORY_END))
		return E_INVAL;
	if (c->broken || c->vm->vcpu)
		return E_BUSY;
	if (is_taken(c, false, at, size))
		return E_EXIST;
	/* So that what is more than there ever can be does not take all there is. */
	if (size / PAGE_SIZE > frames_count(FRAME_FREE))
		return E_NOMEM;
	err = arena_blocks(&c->vm->arena, size, add_block, &a);
	c->broken = err != OK;
	return err;
}

int child_set_trap(struct child *c, const struct hypercall_trap *t)
{
	const bool port = t->kind == HYPERCALL_TRAP_IO;

	if (t->kind > HYPERCALL_TRAP_IO ||
	    !is_range(t->at, t->size, port ? 1 : PAGE_SIZE, port ? PORT_END : CHILD_MEMORY_END))
		return E_INVAL;
	if (c->broken || c->vm->vcpu)
		return E_BUSY;
	if (is_taken(c, port, t->at, t->size))
		return E_EXIST;
	if (c->trap_count == HYPERCALL_TRAP_MAX)
		return E_NOMEM;
	c->trap[c->trap_count] = *t;
	c->trap_count++;
	return port ? child_port_add(c, c->trap_count - 1) : OK;
}

/* Intel SDM Vol. 3A, "Initializing IA-32e Mode": as if it had been done. */
static void start_64(struct vcpu *v, uint64_t entry)
{
	const struct virt_backend *b = machine.backend;
	const struct vcpu_segment code = {0x08, ATTR_CODE64, ~0u, 0, false};
	const struct vcpu_segment data = {0x10, ATTR_DATA, ~0u, 0, false};

	for (unsigned i = SEG_ES; i <= SEG_GS; i++)
		b->set_segment(v, (enum vcpu_segreg)i, i == SEG_CS ? &code : &data);
	b->set_reg(v, REG_CR3, 0);
	b->set_reg(v, REG_CR4, CR4_PAE);
	b->set_reg(v, REG_EFER, EFER_LME);
	b->set_reg(v, REG_CR0, CR0_PE | CR0_PG | CR0_ET);
	b->set_reg(v, REG_EFER, EFER_LME | EFER_LMA);
	b->set_reg(v, REG_RIP, entry);
}

static void start_real(struct vcpu *v, uint64_t entry)
{
	const struct vcpu_segment cs = {(uint16_t)(entry >> 4), ATTR_CODE16, 0xffff, entry & ~15ul,
					false};

	if (!entry)
		return; /* where the reset has put it */
	machine.backend->set_segment(v, SEG_CS, &cs);
	machine.backend->set_reg(v, REG_RIP, entry & 15);
}

int child_add_vcpu(struct child *c, uint64_t entry, unsigned mode)
{
	const uint64_t end = mode == HYPERCALL_MODE_REAL ? MIB : CHILD_MEMORY_END;
	struct vcpu *v;
	int err;

	if (mode > HYPERCALL_MODE_64 || entry >= end)
		return E_INVAL;
	if (c->broken || c->vm->vcpu)
		return E_BUSY;
	err = io_bus_freeze(&c->vm->ports, &c->vm->arena);
	if (!err)
		err = io_bus_freeze(&c->vm->mmio, &c->vm->arena);
	/* What it makes is as at reset, and so are the CPU's own registers then. */
	sched_unload();
	if (!err)
		err = vm_build_vcpu(c->vm);
	c->broken = err != OK;
	if (err)
		return err;
	v = &c->vm->vcpu->v;
	vm_power_on_vcpu(c->vm->vcpu, &c->irq);
	if (mode == HYPERCALL_MODE_64)
		start_64(v, entry);
	else
		start_real(v, entry);
	machine.backend->vcpu_unload(v);
	irq_enable();
	return OK;
}
