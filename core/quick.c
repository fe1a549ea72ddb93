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
#include "quick.h"

/*
 * Bounded in time, so that the VMX-preemption timer, which is armed when run() begins and starts
 * again at each entry, is never later than that, and so that this CPU's work does not wait. What
 * the handler has caused (an interrupt for this vCPU, its VM's end) is for the run loop: the bits
 * themselves are a QUICK_LEAVE.
 */
static inline int quick_end(struct vcpu *v, enum exit_kind kind)
{
	const struct vm_vcpu *vv = vm_vcpu_of(v);
	uint32_t now = quick_count(v, kind);

	if (unlikely((int32_t)(vv->quick_until - now) < 0))
		return QUICK_LEAVE;
	return (int)(atomic_load_explicit(&v->requests, memory_order_relaxed) |
		     event_queue_busy(&vv->events));
}
_Static_assert(REQ_FLUSH << 1 > 0 && (int)0x01010101 > 0, "never taken for QUICK_NOT");

static int quick_cpuid(struct vcpu *v, uint32_t raw)
{
	const struct cpuid_regs *r;

	(void)raw;
	quick_begin(v);
	r = cpuid_policy_plain(&v->vm->cpuid, (uint32_t)v->gpr[REG_RAX]);
	if (unlikely(!r))
		return QUICK_NOT;
	v->gpr[REG_RAX] = r->eax;
	v->gpr[REG_RBX] = r->ebx;
	v->gpr[REG_RCX] = r->ecx;
	v->gpr[REG_RDX] = r->edx;
	return quick_end(v, EXIT_CPUID);
}

static int quick_rdmsr(struct vcpu *v, uint32_t raw)
{
	const uint64_t *value;

	(void)raw;
	quick_begin(v);
	value = msr_policy_stored(&vm_vcpu_of(v)->msr, (uint32_t)v->gpr[REG_RCX]);
	if (unlikely(!value))
		return QUICK_NOT;
	v->gpr[REG_RAX] = (uint32_t)*value;
	v->gpr[REG_RDX] = *value >> 32;
	return quick_end(v, EXIT_RDMSR);
}

static int quick_wrmsr(struct vcpu *v, uint32_t raw)
{
	uint64_t value = v->gpr[REG_RDX] << 32 | (uint32_t)v->gpr[REG_RAX];

	(void)raw;
	quick_begin(v);
	if (unlikely(!msr_policy_store(&vm_vcpu_of(v)->msr, (uint32_t)v->gpr[REG_RCX], value)))
		return QUICK_NOT;
	return quick_end(v, EXIT_WRMSR);
}

static int quick_hypercall(struct vcpu *v, uint32_t raw)
{
	struct vm_vcpu *vv = vm_vcpu_of(v);

	(void)raw;
	quick_begin(v);
	if (likely(v->gpr[REG_RAX] == HYPERCALL_NOP)) {
		v->gpr[REG_RAX] = OK;
		return quick_end(v, EXIT_HYPERCALL);
	}
	if (!v->vm->hypercall_at_once || !v->vm->hypercall_at_once(vv))
		return QUICK_NOT;
	(void)quick_count(v, EXIT_HYPERCALL);
	vv->blocked = vv->guest != NULL;
	return vv->guest ? QUICK_PASS : QUICK_LEAVE; /* it may have asked for anything */
}

/*
 * The region for a port access that its device takes whole, and where in it; NULL for all others.
 */
static inline const struct io_region *port_region(struct vcpu *v, uint64_t *port, uint64_t size)
{
	const struct io_region *r = io_bus_port_find(&v->vm->ports, port, size);

	return likely(r && r->ops->sizes & (uint8_t)size) ? r : NULL;
}

static int quick_in(struct vcpu *v, uint64_t port, uint64_t size)
{
	const struct io_region *r;
	uint64_t value;

	quick_begin(v);
	r = port_region(v, &port, size);
	if (unlikely(!r))
		return QUICK_NOT;
	spin_lock(&r->dev->lock);
	value = r->ops->read(r->dev, port, (unsigned)size);
	v->gpr[REG_RAX] = port_in_merge(v->gpr[REG_RAX], (unsigned)size, value);
	spin_unlock(&r->dev->lock);
	return quick_end(v, EXIT_PORT);
}

static int quick_out(struct vcpu *v, uint64_t port, uint64_t size)
{
	static const uint64_t mask[5] = {[1] = 0xff, [2] = 0xffff, [4] = 0xffffffff};
	const struct io_region *r;

	quick_begin(v);
	r = port_region(v, &port, size);
	if (unlikely(!r))
		return QUICK_NOT;
	spin_lock(&r->dev->lock);
	r->ops->write(r->dev, port, (unsigned)size, v->gpr[REG_RAX] & mask[size]);
	spin_unlock(&r->dev->lock);
	return quick_end(v, EXIT_PORT);
}

static __attribute__((noinline)) int fault_end(struct vm_vcpu *vv, enum emu_kind kind,
					       const struct emu_result *r)
{
	/* Nothing has changed: who does it in full finds the same, and says so. */
	if (kind == EMU_UNKNOWN)
		return QUICK_NOT;
	if (kind == EMU_EXCEPTION && !inject_exception(&vv->v, &vv->events, machine.backend,
						       r->vector, r->has_error, r->error, r->cr2))
		vm_stop(vv, true, "triple fault");
	(void)quick_end(&vv->v, EXIT_NESTED_FAULT);
	return QUICK_STAY;
}

static int quick_fault(struct vcpu *v, uint32_t raw)
{
	struct vm_vcpu *vv = vm_vcpu_of(v);
	struct emu_result r;
	enum emu_kind kind;

	(void)raw;
	quick_begin(v);
	kind = emulate_insn(&vv->emu_env, &r);
	if (unlikely(kind != EMU_DONE))
		return fault_end(vv, kind, &r);
	v->quick_len = v->exit.insn_len;
	return quick_end(v, EXIT_NESTED_FAULT);
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
	.pass = sched_pass_quick,
};

/* The same with a record of each exit in the ring: half as long again. */
static int record(struct vcpu *v, enum exit_kind kind, uint32_t raw, uint32_t info, int answer)
{
	struct vm_vcpu *vv = vm_vcpu_of(v);
	uint64_t now = rdtsc(), cycles = (uint32_t)now - vv->quick_start;

	if (answer == QUICK_NOT) /* recorded by the run loop */
		return answer;
	v->exit.kind = (uint8_t)kind;
	v->exit.raw = (uint16_t)raw;
	v->exit.raw_info = info;
	trace_done(trace_exit(vv->trace, trace_who(v->vm->id, (uint16_t)v->id), &v->exit,
			      now - cycles, machine.backend->get_reg(v, REG_RIP)),
		   cycles);
	return answer;
}

static int traced_cpuid(struct vcpu *v, uint32_t raw)
{
	uint32_t leaf = (uint32_t)v->gpr[REG_RAX];

	return record(v, EXIT_CPUID, raw, leaf, quick_cpuid(v, raw));
}

static int traced_rdmsr(struct vcpu *v, uint32_t raw)
{
	return record(v, EXIT_RDMSR, raw, (uint32_t)v->gpr[REG_RCX], quick_rdmsr(v, raw));
}

static int traced_wrmsr(struct vcpu *v, uint32_t raw)
{
	return record(v, EXIT_WRMSR, raw, (uint32_t)v->gpr[REG_RCX], quick_wrmsr(v, raw));
}

static int traced_hypercall(struct vcpu *v, uint32_t raw)
{
	uint32_t number = (uint32_t)v->gpr[REG_RAX];

	return record(v, EXIT_HYPERCALL, raw, number, quick_hypercall(v, raw));
}

static int traced_fault(struct vcpu *v, uint32_t raw)
{
	return record(v, EXIT_NESTED_FAULT, raw, (uint32_t)v->exit.fault.gpa, quick_fault(v, raw));
}

static int traced_in(struct vcpu *v, uint64_t port, uint64_t size)
{
	return record(v, EXIT_PORT, 0, (uint32_t)(port << 16 | 8 | (size - 1)),
		      quick_in(v, port, size));
}

static int traced_out(struct vcpu *v, uint64_t port, uint64_t size)
{
	return record(v, EXIT_PORT, 0, (uint32_t)(port << 16 | (size - 1)),
		      quick_out(v, port, size));
}

const struct vcpu_quick vcpu_quick_traced = {
	.handler =
		{
			[EXIT_NESTED_FAULT] = traced_fault,
			[EXIT_CPUID] = traced_cpuid,
			[EXIT_RDMSR] = traced_rdmsr,
			[EXIT_WRMSR] = traced_wrmsr,
			[EXIT_HYPERCALL] = traced_hypercall,
		},
	.port_in = traced_in,
	.port_out = traced_out,
	.pass = sched_pass_quick,
};
