/*
 * Memory accesses of guests that the nested page table does not serve, and string I/O: both need
 * the emulator.
 */
#include <crvm/emulate.h>
#include <crvm/printf.h>
#include <crvm/string_io.h>

#include "exits.h"
#include "machine.h"

static struct emu_env env_of(struct vm_vcpu *vv)
{
	struct vm *vm = vv->v.vm;

	return (struct emu_env){
		.v = &vv->v,
		.backend = machine.backend,
		.mem = &vm->mem,
		.mmio = &vm->mmio,
		.ports = &vm->ports,
		.phys_bits = (uint8_t)cpuid_policy_phys_bits(&vm->cpuid),
	};
}

static enum exit_action stop_undecoded(struct vm_vcpu *vv, const struct emu_result *r)
{
	char bytes[3 * INSN_LEN_MAX + 1] = "";

	for (unsigned i = 0, n = 0; i < r->byte_count; i++)
		n += (unsigned)str_printf(bytes + n, sizeof(bytes) - n, " %02x", r->byte[i]);
	vm_stop(vv, true,
		"the instruction at RIP %lx, which accesses guest-physical %lx, cannot be "
		"emulated; bytes:%s",
		machine.backend->get_reg(&vv->v, REG_RIP), vv->v.exit.fault.gpa, bytes);
	return ACT_STOP;
}

static enum exit_action finish(struct vm_vcpu *vv, enum emu_kind kind, const struct emu_result *r)
{
	if (atomic_load_explicit(&vv->stopped, memory_order_relaxed))
		return ACT_STOP;
	switch (kind) {
	case EMU_DONE:
		return ACT_NEXT;
	case EMU_RETRY:
		return ACT_RETRY;
	case EMU_EXCEPTION:
		if (inject_exception(&vv->v, &vv->events, machine.backend, r->vector, r->has_error,
				     r->error, r->cr2))
			return ACT_RETRY;
		vm_stop(vv, true, "triple fault");
		return ACT_STOP;
	case EMU_UNKNOWN:
		break;
	}
	return stop_undecoded(vv, r);
}

enum exit_action exit_port_string(struct vm_vcpu *vv)
{
	const struct emu_env env = env_of(vv);
	struct emu_result r;
	enum emu_kind kind = string_io(&env, &r);

	return finish(vv, kind, &r);
}

enum exit_action exit_nested_fault(struct vm_vcpu *vv)
{
	const struct vcpu_exit *e = &vv->v.exit;
	const struct emu_env env = env_of(vv);
	struct emu_result r;
	enum emu_kind kind;

	if (unlikely(e->fault.misconfig || e->fault.page_walk || (e->fault.access & FAULT_EXEC))) {
		vm_stop(vv, true, "%s at guest-physical %lx, where there is no memory (RIP %lx)",
			e->fault.misconfig   ? "broken nested page table"
			: e->fault.page_walk ? "page table"
					     : "code",
			e->fault.gpa, machine.backend->get_reg(&vv->v, REG_RIP));
		return ACT_STOP;
	}
	kind = emulate_insn(&env, &r);
	return finish(vv, kind, &r);
}
