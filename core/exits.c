/*
 * What each exit means for the VM. Handlers never sleep; they run with interrupts off and are
 * bounded. The common ones come first and are short.
 */
#include <crvm/cpu.h>
#include <crvm/log.h>
#include <crvm/string_io.h>

#include "exits.h"
#include "machine.h"
#include "vm.h"

#define RFLAGS_TF (1ul << 8)

enum exit_action exit_raise(struct vm_vcpu *vv, uint8_t vector, bool has_error, uint32_t error)
{
	if (inject_exception(&vv->v, &vv->events, machine.backend, vector, has_error, error, 0))
		return ACT_RETRY;
	vm_stop(vv, true, "triple fault: exception %u while a double fault was delivered", vector);
	return ACT_STOP;
}

static enum exit_action exit_irq(struct vm_vcpu *vv)
{
	(void)vv;
	/* The host's handlers run between these two. */
	__asm__ volatile("sti; nop; cli" : : : "memory");
	return ACT_RETRY;
}

static enum exit_action exit_nothing(struct vm_vcpu *vv)
{
	(void)vv;
	return ACT_RETRY;
}

static enum exit_action exit_window(struct vm_vcpu *vv)
{
	/* Look again: whatever waits can be delivered now. */
	atomic_fetch_or_explicit(&vv->v.requests, REQ_IRQ, memory_order_relaxed);
	return ACT_RETRY;
}

static enum exit_action exit_port(struct vm_vcpu *vv)
{
	struct vcpu *v = &vv->v;
	uint64_t *rax = &v->gpr[REG_RAX];
	uint8_t size = v->exit.port.size;

	if (unlikely(v->exit.port.string))
		return exit_port_string(vv);
	if (v->exit.port.in)
		*rax = port_in_merge(*rax, size,
				     io_bus_read(&v->vm->ports, v->exit.port.port, size));
	else
		io_bus_write(&v->vm->ports, v->exit.port.port, size, *rax);
	return atomic_load_explicit(&vv->stopped, memory_order_relaxed) ? ACT_STOP : ACT_NEXT;
}

static enum exit_action exit_cpuid(struct vm_vcpu *vv)
{
	struct vcpu *v = &vv->v;
	uint32_t leaf = (uint32_t)v->gpr[REG_RAX];
	struct cpuid_regs r;

	/* Only these leaves repeat bits of CR4. */
	cpuid_policy_get(&v->vm->cpuid, leaf, (uint32_t)v->gpr[REG_RCX],
			 leaf == 1 || leaf == 7 ? machine.backend->get_reg(v, REG_CR4) : 0,
			 vv->xcr0, &r);
	v->gpr[REG_RAX] = r.eax;
	v->gpr[REG_RBX] = r.ebx;
	v->gpr[REG_RCX] = r.ecx;
	v->gpr[REG_RDX] = r.edx;
	return ACT_NEXT;
}

static enum exit_action exit_hlt(struct vm_vcpu *vv)
{
	struct vcpu *v = &vv->v;
	uint64_t rflags = machine.backend->get_reg(v, REG_RFLAGS);
	bool nmi = vv->events.nmi ||
		   atomic_load_explicit(&v->requests, memory_order_relaxed) & REQ_NMI;

	/* The #DB of a single step comes behind the instruction, and ends it at once. */
	if (unlikely(rflags & RFLAGS_TF))
		return ACT_NEXT;
	/* Nothing can ever wake it: that is how a guest says that it is done. */
	if (!(rflags & RFLAGS_IF) && !nmi && v->vm->config.cpus == 1) {
		vm_stop(vv, false, "HLT with interrupts off");
		return ACT_STOP;
	}
	return ACT_BLOCK;
}

static enum exit_action exit_ud(struct vm_vcpu *vv)
{
	return exit_raise(vv, EXC_UD, false, 0);
}

static enum exit_action exit_gp(struct vm_vcpu *vv)
{
	return exit_raise(vv, EXC_GP, true, 0);
}

static enum exit_action exit_next(struct vm_vcpu *vv)
{
	(void)vv;
	return ACT_NEXT;
}

static enum exit_action exit_shutdown(struct vm_vcpu *vv)
{
	vm_stop(vv, true, "triple fault");
	return ACT_STOP;
}

static enum exit_action exit_task_switch(struct vm_vcpu *vv)
{
	vm_stop(vv, true, "hardware task switch (qualification %lx): CRVM does not emulate it",
		vv->v.exit.unknown.qualification);
	return ACT_STOP;
}

static enum exit_action exit_entry_failed(struct vm_vcpu *vv)
{
	vm_stop(vv, true, "VM entry failed (reason %u, instruction error %u, qualification %lx)",
		vv->v.exit.raw, vv->v.exit.failed.instruction_error,
		vv->v.exit.failed.qualification);
	return ACT_STOP;
}

static enum exit_action exit_unknown(struct vm_vcpu *vv)
{
	vm_stop(vv, true, "exit that CRVM does not know (reason %u, qualification %lx)",
		vv->v.exit.raw, vv->v.exit.unknown.qualification);
	return ACT_STOP;
}

static enum exit_action (*const handlers[EXIT_KIND_COUNT])(struct vm_vcpu *vv) = {
	[EXIT_NONE] = exit_nothing,
	[EXIT_HOST_IRQ] = exit_irq,
	[EXIT_HOST_NMI] = exit_nothing,
	[EXIT_DEADLINE] = exit_nothing,
	[EXIT_IRQ_WINDOW] = exit_window,
	[EXIT_NMI_WINDOW] = exit_window,
	[EXIT_PORT] = exit_port,
	[EXIT_NESTED_FAULT] = exit_nested_fault,
	[EXIT_CPUID] = exit_cpuid,
	[EXIT_RDMSR] = exit_rdmsr,
	[EXIT_WRMSR] = exit_wrmsr,
	[EXIT_HLT] = exit_hlt,
	[EXIT_HYPERCALL] = exit_hypercall,
	[EXIT_CR_ACCESS] = exit_cr_access,
	[EXIT_XSETBV] = exit_xsetbv,
	[EXIT_CACHE] = exit_next, /* caches are coherent: flushing them is only slow */
	[EXIT_PAUSE] = exit_next,
	[EXIT_UNDEFINED] = exit_ud,
	[EXIT_PRIVILEGED] = exit_gp,
	[EXIT_EXCEPTION] = exit_unknown, /* no exception is intercepted */
	[EXIT_TASK_SWITCH] = exit_task_switch,
	[EXIT_SHUTDOWN] = exit_shutdown,
	[EXIT_ENTRY_FAILED] = exit_entry_failed,
	[EXIT_UNKNOWN] = exit_unknown,
};

enum exit_action exit_handle(struct vm_vcpu *vv)
{
	return handlers[vv->v.exit.kind](vv);
}
