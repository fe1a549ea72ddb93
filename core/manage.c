/* See manage.h. It must not know who asks. */
#include <crvm/cpu.h>
#include <crvm/smp.h>
#include <crvm/status.h>
#include <crvm/string.h>

#include "log_priv.h"
#include "machine.h"
#include "manage.h"
#include "mux.h"
#include "pc.h"

#define WEIGHT_MAX 1000u

static uint32_t state(const struct vm *vm)
{
	return atomic_load(&vm->state);
}

/* Runs fn(vm) on the VM's CPU, between two turns of its vCPU. */
static int on_its_cpu(struct vm *vm, void (*fn)(void *vm))
{
	return smp_call(vm->vcpu[0].cpu, fn, vm);
}

struct vm *manage_find(const char *name)
{
	uint64_t n;

	for (unsigned i = 0; i < vm_count; i++)
		if (vms[i] && strcmp(vms[i]->name, name) == 0)
			return vms[i];
	if (!str_to_u64(name, &n) && n && n <= vm_count)
		return vms[n - 1];
	return NULL;
}

unsigned manage_create(const char *text, size_t len, struct vm_config_sink *sink)
{
	unsigned good;

	sched_unload();
	good = vms_create(text, len, sink);
	if (good)
		vms_autostart();
	return good;
}

static void nothing(void *arg)
{
	(void)arg;
}

/* One that has just stopped by itself is out of its CPU's hands afterwards. */
static int settle(struct vm *vm)
{
	return vm->vcpu[0].cpu ? smp_call(vm->vcpu[0].cpu, nothing, NULL) : OK;
}

int manage_start(struct vm *vm)
{
	int err = vm_is_on(vm) ? E_BUSY : settle(vm);

	return err ? err : vm_start(vm);
}

static void pause_here(void *arg)
{
	struct vm *vm = arg;

	if (state(vm) != VM_RUNNING)
		return; /* it has ended meanwhile */
	vm->vcpu[0].paused = true;
	sched_unload();
	pc_pause(vm->pc);
	atomic_store(&vm->state, VM_PAUSED);
}

int manage_pause(struct vm *vm)
{
	int err = state(vm) == VM_RUNNING ? on_its_cpu(vm, pause_here) : E_BUSY;

	if (!err && state(vm) != VM_PAUSED)
		return E_BUSY;
	return err;
}

static void resume_here(void *arg)
{
	struct vm *vm = arg;

	vm_time_resume(vm);
	pc_resume(vm->pc);
	vm->vcpu[0].paused = false;
	atomic_store(&vm->state, VM_RUNNING);
}

int manage_resume(struct vm *vm)
{
	return state(vm) == VM_PAUSED ? on_its_cpu(vm, resume_here) : E_BUSY;
}

static void off_here(void *arg)
{
	struct vm *vm = arg;

	vm_off(vm);
}

int manage_stop(struct vm *vm)
{
	int err = vm_is_on(vm) ? on_its_cpu(vm, off_here) : E_BUSY;

	if (!err)
		log_printf("VM %s stopped: from outside\n", vm->name);
	return err;
}

int manage_reset(struct vm *vm)
{
	int err = vm_is_on(vm) ? on_its_cpu(vm, off_here) : E_BUSY;

	return err ? err : vm_start(vm);
}

int manage_destroy(struct vm *vm)
{
	int err = vm_is_on(vm) ? E_BUSY : settle(vm);

	if (!err)
		vm_destroy(vm);
	return err;
}

struct weight_call {
	struct vm *vm;
	unsigned weight;
};

static void set_weight_here(void *arg)
{
	const struct weight_call *c = arg;

	c->vm->config.weight = c->weight;
	c->vm->vcpu[0].fair.weight = c->weight;
}

int manage_set_weight(struct vm *vm, unsigned weight)
{
	struct weight_call c = {vm, weight};

	if (!weight || weight > WEIGHT_MAX)
		return E_INVAL;
	if (vm_is_on(vm))
		return smp_call(vm->vcpu[0].cpu, set_weight_here, &c);
	set_weight_here(&c);
	return OK;
}

struct move_call {
	struct vm *vm;
	bool left; /* its CPU: else it has ended by itself meanwhile, and is in no queue */
};

static void leave_cpu(void *arg)
{
	struct move_call *c = arg;

	c->left = vm_is_on(c->vm);
	if (!c->left)
		return;
	pc_stop(c->vm->pc);
	sched_remove(&c->vm->vcpu[0]);
}

static void enter_cpu(void *arg)
{
	const struct move_call *c = arg;

	sched_add(&c->vm->vcpu[0], this_cpu());
	/* Its alarms ring here from now on. */
	if (state(c->vm) == VM_RUNNING)
		pc_resume(c->vm->pc);
}

int manage_set_cpu(struct vm *vm, unsigned cpu)
{
	struct move_call c = {.vm = vm};
	int err = OK;

	if (cpu >= cpu_count || atomic_load(&percpus[cpu].state) != CPU_ONLINE)
		return E_NODEV;
	if (vm_is_on(vm) && vm->vcpu[0].cpu != &percpus[cpu]) {
		err = smp_call(vm->vcpu[0].cpu, leave_cpu, &c);
		if (!err && c.left)
			err = smp_call(&percpus[cpu], enter_cpu, &c);
	}
	if (!err)
		vm->config.cpu = (int)cpu;
	return err;
}

/* Nobody else uses its memory: one that has just ended may still be in its last exit. */
static int at_rest(struct vm *vm)
{
	if (state(vm) == VM_RUNNING)
		return E_BUSY;
	return state(vm) == VM_STOPPED ? settle(vm) : OK;
}

int manage_read(struct vm *vm, gpa_t from, void *buf, uint64_t len)
{
	int err = at_rest(vm);

	return err ? err : gmem_read(&vm->mem, from, buf, len);
}

int manage_write(struct vm *vm, gpa_t to, const void *buf, uint64_t len)
{
	int err = at_rest(vm);

	if (err)
		return err;
	/* The emulator's copies of what the guest executes are old now. */
	vm->vcpu[0].emu = (struct emu_cache){0};
	return gmem_write(&vm->mem, to, buf, len);
}

struct reg_call {
	struct vm *vm;
	struct manage_regs *regs; /* NULL: write one */
	enum vcpu_reg reg;
	uint64_t value;
};

static void regs_here(void *arg)
{
	const struct virt_backend *b = machine.backend;
	const struct reg_call *c = arg;
	struct vcpu *v = &c->vm->vcpu[0].v;

	sched_unload();
	irq_disable();
	b->vcpu_load(v);
	for (unsigned i = 0; c->regs && i < REG_COUNT; i++)
		if (i != REG_XCR0)
			c->regs->reg[i] = b->get_reg(v, (enum vcpu_reg)i);
	if (c->regs) /* no backend's */
		c->regs->reg[REG_XCR0] = c->vm->vcpu[0].xcr0;
	for (unsigned i = 0; c->regs && i < SEG_COUNT; i++)
		b->get_segment(v, (enum vcpu_segreg)i, &c->regs->segment[i]);
	if (!c->regs)
		b->set_reg(v, c->reg, c->value);
	b->vcpu_unload(v);
	irq_enable();
}

static int regs_call(struct vm *vm, struct reg_call *c)
{
	if (state(vm) == VM_RUNNING)
		return E_BUSY;
	return smp_call(vm->vcpu[0].cpu ? vm->vcpu[0].cpu : this_cpu(), regs_here, c);
}

int manage_get_regs(struct vm *vm, struct manage_regs *r)
{
	return regs_call(vm, &(struct reg_call){.vm = vm, .regs = r});
}

int manage_set_reg(struct vm *vm, enum vcpu_reg reg, uint64_t value)
{
	if (reg >= REG_COUNT || reg == REG_XCR0)
		return E_INVAL;
	return regs_call(vm, &(struct reg_call){.vm = vm, .reg = reg, .value = value});
}

int manage_inject_nmi(struct vm *vm)
{
	if (!vm_is_on(vm))
		return E_BUSY;
	vcpu_request(&vm->vcpu[0], REQ_NMI);
	return OK;
}

struct irq_call {
	struct vm *vm;
	unsigned irq;
};

static void irq_here(void *arg)
{
	const struct irq_call *c = arg;

	pc_pulse(c->vm->pc, c->irq);
}

int manage_inject_irq(struct vm *vm, unsigned irq)
{
	struct irq_call c = {vm, irq};

	if (irq >= PC_IRQ_COUNT || irq == PIC_IRQ_CASCADE)
		return E_INVAL;
	return vm_is_on(vm) ? smp_call(vm->vcpu[0].cpu, irq_here, &c) : E_BUSY;
}
