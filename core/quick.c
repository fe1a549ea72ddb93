/*
 * Quick exits: answered within the backend's run(), in as few instructions as can be. Everything
 * that is not plain is left to the handlers in exits*.c, which do the same and more. It must not
 * know how the guest is entered.
 *
 * Each handler begins and ends with the TSC: the difference is what the statistics count.
 */
#include <crvm/cpu.h>
#include <crvm/hypercall.h>
#include <crvm/status.h>
#include <crvm/string_io.h>

#include "machine.h"
#include "vm.h"

/*
 * Bounded, so that the VMX-preemption timer, which is armed when run() begins and starts again at
 * each entry, is never later than that, and so that this CPU's work does not wait.
 */
static inline enum quick_result quick_end(struct vm_vcpu *vv, enum exit_kind kind, uint32_t start)
{
	uint32_t now = rdtsc_low();

	exit_stats_add(&vv->stats, kind, now - start);
	if (unlikely((atomic_load_explicit(&vv->v.requests, memory_order_relaxed) |
		      event_queue_busy(&vv->events)) ||
		     (int32_t)(now - vv->quick_until) >= 0))
		return QUICK_LEAVE;
	return QUICK_AGAIN;
}

static enum quick_result quick_cpuid(struct vcpu *v, uint32_t raw)
{
	uint32_t start = rdtsc_low();
	const struct cpuid_regs *r = cpuid_policy_plain(&v->vm->cpuid, (uint32_t)v->gpr[REG_RAX]);

	(void)raw;
	if (unlikely(!r))
		return QUICK_NOT;
	v->gpr[REG_RAX] = r->eax;
	v->gpr[REG_RBX] = r->ebx;
	v->gpr[REG_RCX] = r->ecx;
	v->gpr[REG_RDX] = r->edx;
	return quick_end(vm_vcpu_of(v), EXIT_CPUID, start);
}

static enum quick_result quick_rdmsr(struct vcpu *v, uint32_t raw)
{
	uint32_t start = rdtsc_low();
	struct vm_vcpu *vv = vm_vcpu_of(v);
	uint64_t value;

	(void)raw;
	if (unlikely(msr_policy_read(&vv->msr, (uint32_t)v->gpr[REG_RCX], &value)))
		return QUICK_NOT; /* reading it again does no harm */
	v->gpr[REG_RAX] = (uint32_t)value;
	v->gpr[REG_RDX] = value >> 32;
	return quick_end(vv, EXIT_RDMSR, start);
}

static enum quick_result quick_wrmsr(struct vcpu *v, uint32_t raw)
{
	uint32_t start = rdtsc_low();
	struct vm_vcpu *vv = vm_vcpu_of(v);

	(void)raw;
	if (unlikely(msr_policy_write(&vv->msr, (uint32_t)v->gpr[REG_RCX],
				      v->gpr[REG_RDX] << 32 | (uint32_t)v->gpr[REG_RAX])))
		return QUICK_NOT; /* a refused write has changed nothing */
	return quick_end(vv, EXIT_WRMSR, start);
}

static enum quick_result quick_hypercall(struct vcpu *v, uint32_t raw)
{
	uint32_t start = rdtsc_low();

	(void)raw;
	if (unlikely(v->gpr[REG_RAX] != HYPERCALL_NOP))
		return QUICK_NOT;
	v->gpr[REG_RAX] = OK;
	return quick_end(vm_vcpu_of(v), EXIT_HYPERCALL, start);
}

static enum quick_result quick_in(struct vcpu *v, uint32_t port, uint32_t size)
{
	uint32_t start = rdtsc_low();
	uint64_t *rax = &v->gpr[REG_RAX];

	*rax = port_in_merge(*rax, size, io_bus_read(&v->vm->ports, port, size));
	return quick_end(vm_vcpu_of(v), EXIT_PORT, start);
}

static enum quick_result quick_out(struct vcpu *v, uint32_t port, uint32_t size)
{
	uint32_t start = rdtsc_low();

	io_bus_write(&v->vm->ports, port, size, v->gpr[REG_RAX]);
	return quick_end(vm_vcpu_of(v), EXIT_PORT, start);
}

static __attribute__((noinline)) enum quick_result fault_end(struct vm_vcpu *vv, enum emu_kind kind,
							     const struct emu_result *r)
{
	/* Both are found again by who does it in full: nothing has changed so far. */
	if (kind == EMU_UNKNOWN)
		return QUICK_NOT;
	if (kind == EMU_EXCEPTION && !inject_exception(&vv->v, &vv->events, machine.backend,
						       r->vector, r->has_error, r->error, r->cr2))
		vm_stop(vv, true, "triple fault");
	return QUICK_STAY;
}

static enum quick_result quick_fault(struct vcpu *v, uint32_t raw)
{
	uint32_t start = rdtsc_low();
	struct vm_vcpu *vv = vm_vcpu_of(v);
	struct emu_result r;
	enum emu_kind kind = emulate_insn(&vv->emu_env, &r);

	(void)raw;
	if (unlikely(kind != EMU_DONE))
		return fault_end(vv, kind, &r);
	return quick_end(vv, EXIT_NESTED_FAULT, start);
}

const struct vcpu_quick vcpu_quick = {
	.handler =
		{
			[EXIT_NESTED_FAULT] = quick_fault,
			[EXIT_CPUID] = quick_cpuid,
			[EXIT_RDMSR] = quick_rdmsr,
			[EXIT_WRMSR] = quick_wrmsr,
			[EXIT_HYPERCALL] = quick_hypercall,
		},
	.port_in = quick_in,
	.port_out = quick_out,
};
