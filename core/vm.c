/*
 * The life of a VM: made from its configuration in one arena, powered on, stopped, powered on
 * again. It must not know what its devices are.
 */
#include <crvm/cpufeat.h>
#include <crvm/fpu.h>
#include <crvm/hostmap.h>
#include <crvm/log.h>
#include <crvm/msr_policy.h>
#include <crvm/printf.h>
#include <crvm/smp.h>
#include <crvm/status.h>
#include <crvm/string.h>
#include <crvm/time.h>

#include "child.h"
#include "log_priv.h"
#include "machine.h"
#include "mux.h"
#include "pc.h"
#include "shared.h"
#include "vm.h"

#define QUICK_NS     10000ul /* that quick exits may keep run() from returning */
#define PORT_DELAY_0 0x80u   /* written and read only to pass time: no exit */
#define PORT_DELAY_1 0x84u

/* One that starts again and again within this time is ill. */
#define RESTART_MAX 5u
#define RESTART_NS  10000000000ul

struct vm *vms[VM_MAX];
unsigned vm_count;

static atomic_uint on_count; /* VMs that are running or paused, and vm_hold's callers */

static void one_less(void)
{
	if (atomic_fetch_sub(&on_count, 1) == 1)
		log_printf("all VMs have stopped\n");
}

void vm_hold(void)
{
	atomic_fetch_add(&on_count, 1);
}

void vm_unhold(bool any)
{
	if (any)
		one_less();
	else
		atomic_fetch_sub(&on_count, 1);
}

/* Whether this life of it is over already: one exit may ask for that many times (REP OUTS). */
static bool is_leaving(const struct vm *vm)
{
	return atomic_load(&vm->vcpu[0].stopped);
}

/* Its vCPUs run no more, until vm_ended at the earliest. */
static void leave_guest(struct vm *vm)
{
	for (unsigned i = 0; i < vm->config.cpus; i++) {
		atomic_store(&vm->vcpu[i].stopped, true);
		atomic_fetch_or(&vm->vcpu[i].v.requests, REQ_STOP);
	}
}

void vm_stop(struct vm_vcpu *vv, bool dump, const char *fmt, ...)
{
	struct vm *vm = vv->v.vm;
	char why[200];
	va_list ap;

	if (is_leaving(vm))
		return;
	va_start(ap, fmt);
	str_vprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	if (vm->child_ops) {
		leave_guest(vm);
		vm->child_ops->stopped(vm, why);
		return;
	}
	mux_flush(vm);
	leave_guest(vm);
	if (dump) {
		log_err("VM %s, vCPU %u: %s", vm->name, vv->v.id, why);
		machine.backend->dump(&vv->v);
		vm->again = vm->config.restart == VM_RESTART_ALWAYS;
	}
	if (vm->again)
		return;
	atomic_store(&vm->state, VM_STOPPED);
	log_printf("VM %s stopped: %s\n", vm->name, why);
	one_less();
	mux_wake();
}

void vm_reset(struct vm *vm, const char *why)
{
	if (is_leaving(vm))
		return;
	if (vm->config.restart == VM_RESTART_NEVER) {
		vm_stop(&vm->vcpu[0], false, "%s (restart = never)", why);
		return;
	}
	mux_flush(vm);
	log_printf("VM %s: %s\n", vm->name, why);
	vm->again = true;
	leave_guest(vm);
}

static int map_block(void *ctx, uint64_t offset, hpa_t base, uint64_t len)
{
	return vm_map(ctx, offset, phys_to_virt(base), len, NESTED_RWX);
}

static void pass_msr(void *ctx, uint32_t msr, bool read, bool write)
{
	struct vm *vm = ctx;

	machine.backend->intercept_msr(vm->virt, msr, !read, !write);
}

static uint64_t host_tsc(void)
{
	return rdtsc();
}

/* The backend's functions are known at boot only. */
static const struct msr_ops *msr_ops(void)
{
	static struct msr_ops ops;

	ops = (struct msr_ops){
		.get_reg = machine.backend->get_reg,
		.set_reg = machine.backend->set_reg,
		.get_segment = machine.backend->get_segment,
		.set_segment = machine.backend->set_segment,
		.tsc = host_tsc,
	};
	return &ops;
}

int vm_build_vcpu(struct vm *vm)
{
	struct vm_vcpu *vv = arena_alloc(&vm->arena, sizeof(*vv), 64);
	int err;

	if (!vv)
		return E_NOMEM;
	vv->v.vm = vm;
	vv->v.deadline = ~0ul;
	vv->exit = vm->child_ops ? vm->child_ops->exit : exit_handle;
	vv->v.quick = vm->child_ops ? NULL : &vcpu_quick;
	vv->quick_ticks = (uint32_t)time_ns_to_tsc(QUICK_NS);
	vv->fpu = arena_alloc(&vm->arena, fpu_area_size(), FPU_AREA_ALIGN);
	if (!vv->fpu)
		return E_NOMEM;
	vv->emu_env = (struct emu_env){
		.v = &vv->v,
		.backend = machine.backend,
		.mem = &vm->mem,
		.mmio = &vm->mmio,
		.ports = &vm->ports,
		.cache = &vv->emu,
		.phys_bits = (uint8_t)cpuid_policy_phys_bits(&vm->cpuid),
	};
	err = machine.backend->vcpu_init(&vv->v, vm->virt, &vm->arena);
	if (err)
		return err;
	vm->vcpu = vv;
	msr_policy_for_each_passthrough(&vm->cpuid, pass_msr, vm);
	return OK;
}

int vm_build_bare(struct vm *vm)
{
	struct cpuid_config cpuid = {
		.tsc_khz = (uint32_t)time_tsc_khz(),
		.xcr0 = fpu_xcr0_mask(),
	};
	int err = machine.backend->vm_init(&vm->virt, &vm->arena, vm->id, vm->config.vpid);

	if (!machine.backend->offers(VIRT_RDTSCP))
		cpuid_config_withhold(&cpuid, CPUID_F_RDTSCP);
	cpuid_policy_build(&vm->cpuid, &cpuid, &cpu_ops_native);
	return err;
}

static int vm_build(struct vm *vm)
{
	int err = vm_build_bare(vm);

	vm->hypercall = hypercall_exit;
	vm->hypercall_at_once = hypercall_at_once;
	if (!err)
		err = arena_blocks(&vm->arena, vm->config.mem, map_block, vm);
	if (!err)
		err = shared_attach(vm);
	if (!err)
		err = mux_attach(vm);
	if (!err)
		err = pc_build(vm);
	if (!err)
		err = vm_build_vcpu(vm);
	if (err)
		return err;
	machine.backend->intercept_port(vm->virt, PORT_DELAY_0, false);
	machine.backend->intercept_port(vm->virt, PORT_DELAY_1, false);
	return OK;
}

int vm_create(const struct vm_config *config, const struct vm_image *own, struct vm **out)
{
	const unsigned slot = vm_free_slot();
	struct vm *vm = NULL;
	int err = E_NOMEM;

	if (slot == VM_MAX) {
		log_err("VM %s: there are %u VMs already", config->name, VM_MAX);
		return E_NOMEM;
	}
	/* So that what is more than there ever can be does not take all there is. */
	if (config->mem / PAGE_SIZE <= frames_count(FRAME_FREE))
		vm = vm_alloc(slot);
	if (vm) {
		vm->config = *config;
		vm->own = *own;
		memcpy(vm->name, config->name, sizeof(vm->name));
		err = vm_build(vm);
	}
	if (err) {
		const char *why = err == E_NOMEM && vm && vm->mem.count == GMEM_SLOT_MAX
					  ? "memory is in too many pieces"
					  : status_name(err);

		if (vm) {
			shared_detach(vm);
			arena_destroy(&vm->arena);
		}
		log_err("VM %s cannot be made: %s (%lu KiB wanted, %lu KiB free)", config->name,
			why, config->mem / 1024, frames_count(FRAME_FREE) * 4);
		return err;
	}
	if (out)
		*out = vm;
	vms[slot] = vm;
	if (slot >= vm_count)
		vm_count = slot + 1;
	return OK;
}

void vm_destroy(struct vm *vm)
{
	child_reap(vm);
	shared_detach(vm);
	mux_detach(vm);
	vms[vm->id] = NULL;
	while (vm_count && !vms[vm_count - 1])
		vm_count--;
	arena_destroy(&vm->arena);
}

void vm_power_on_vcpu(struct vm_vcpu *vv, const struct irq_source *irq)
{
	const struct virt_backend *b = machine.backend;

	sched_unload();
	irq_disable();
	fpu_area_reset(vv->fpu);
	vv->xcr0 = 1;
	vv->blocked = false;
	vv->guest = NULL;
	atomic_store(&vv->call, CALL_NONE);
	vv->events = (struct event_queue){.irq = irq};
	vv->emu = (struct emu_cache){0};
	msr_policy_init(&vv->msr, msr_ops(), &vv->v, &vv->v.vm->cpuid);
	/* What the TLB has of the last run's page tables. */
	atomic_store(&vv->v.requests, REQ_FLUSH);
	b->vcpu_load(&vv->v);
	b->vcpu_reset(&vv->v);
	if (b->offers(VIRT_TSC_OFFSET))
		b->set_reg(&vv->v, REG_TSC_OFFSET, 0 - rdtsc());
}

/* Its children are its no more; the boot CPU destroys them. None of its vCPUs runs. */
static void leave_children(struct vm *vm)
{
	vm->life++;
	for (unsigned i = 0; i < VM_CHILD_MAX; i++)
		vm->children[i] = NULL;
	if (vm->config.privileged)
		smp_kick(&percpus[0], WORK_HYPERCALL);
}

int vm_power_on(struct vm *vm)
{
	struct vm_vcpu *vv = vm->vcpu;
	struct pc_start start;
	int err;

	vm->again = false;
	atomic_store(&vv->stopped, true);
	/* First, with interrupts on: an image can be large, and the UART's buffer is not. */
	err = pc_load(vm, &start);
	if (err)
		return err;
	vm_power_on_vcpu(vv, &vm->pc->irq);
	leave_children(vm);
	/*
	 * Both forget rings, and come after what forgets the requests that these made. One that
	 * comes in between interrupts for nothing; the other way round it would not interrupt.
	 */
	pc_reset(vm->pc);
	shared_reset(vm);
	pc_start(vm, &start);
	machine.backend->vcpu_unload(&vv->v);
	atomic_store(&vv->stopped, false);
	irq_enable();
	return OK;
}

/* Whether it may start once more, or does so all the time. */
static bool may_restart(struct vm *vm)
{
	uint64_t now = rdtsc();

	if (now - vm->restart_tsc > time_ns_to_tsc(RESTART_NS)) {
		vm->restart_tsc = now;
		vm->restarts = 0;
	}
	if (++vm->restarts <= RESTART_MAX)
		return true;
	log_err("VM %s: it has restarted %u times within %lu s, and stays off now", vm->name,
		RESTART_MAX, RESTART_NS / 1000000000);
	return false;
}

void vm_off(struct vm *vm)
{
	if (!vm_is_on(vm))
		return;
	leave_guest(vm);
	pc_stop(vm->pc);
	for (unsigned i = 0; i < vm->config.cpus; i++)
		sched_remove(&vm->vcpu[i]);
	mux_flush(vm);
	vm->again = false;
	atomic_store(&vm->state, VM_STOPPED);
	atomic_fetch_sub(&on_count, 1);
	leave_children(vm);
	mux_wake();
}

void vm_ended(struct vm *vm)
{
	const bool again = vm->again;

	pc_stop(vm->pc);
	if (again && may_restart(vm) && !vm_power_on(vm)) {
		log_printf("VM %s restarts\n", vm->name);
		return;
	}
	if (again) {
		log_printf("VM %s stopped\n", vm->name);
		vm_hold();
		vm_off(vm);
		one_less();
		return;
	}
	leave_children(vm);
	for (unsigned i = 0; i < vm->config.cpus; i++)
		sched_remove(&vm->vcpu[i]);
}

void vm_time_resume(struct vm *vm)
{
	const struct virt_backend *b = machine.backend;
	uint64_t gap = rdtsc() - vm->paused_tsc;
	struct vcpu *v = &vm->vcpu[0].v;

	vm->zero_tsc += gap;
	vm->paused_tsc = 0;
	if (!b->offers(VIRT_TSC_OFFSET))
		return;
	sched_unload();
	irq_disable();
	b->vcpu_load(v);
	b->set_reg(v, REG_TSC_OFFSET, b->get_reg(v, REG_TSC_OFFSET) - gap);
	b->vcpu_unload(v);
	irq_enable();
}

struct start_call {
	struct vm *vm;
	int err;
};

static void start_here(void *arg)
{
	struct start_call *c = arg;
	struct vm *vm = c->vm;

	c->err = vm_power_on(vm);
	if (c->err) {
		pc_stop(vm->pc);
		return;
	}
	for (unsigned i = 0; i < vm->config.cpus; i++)
		sched_add(&vm->vcpu[i], this_cpu());
	atomic_fetch_add(&on_count, 1);
	atomic_store(&vm->state, VM_RUNNING);
}

int vm_start(struct vm *vm)
{
	unsigned cpu = vm->config.cpu >= 0 ? (unsigned)vm->config.cpu : vm->id % cpu_count;
	struct start_call c = {.vm = vm};
	int err;

	if (cpu >= cpu_count || atomic_load(&percpus[cpu].state) != CPU_ONLINE) {
		log_warn("VM %s: there is no CPU %u, CPU 0 is used", vm->name, cpu);
		cpu = 0;
	}
	vm->paused_tsc = 0;
	vm->vcpu[0].paused = false;
	err = smp_call(&percpus[cpu], start_here, &c);
	if (!err)
		err = c.err;
	if (err)
		log_err("VM %s does not start: %s", vm->name, status_name(err));
	return err;
}
