/*
 * Memory accesses of guests that the nested page table does not serve, and string I/O: both need
 * the emulator.
 */
#include <crvm/emulate.h>
#include <crvm/printf.h>
#include <crvm/string_io.h>

#include "exits.h"
#include "machine.h"

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

enum exit_action exit_emulated(struct vm_vcpu *vv, enum emu_kind kind, const struct emu_result *r)
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
	struct emu_result r;
	enum emu_kind kind = string_io(&vv->emu_env, STRING_IO_MAX, &r);

	return exit_emulated(vv, kind, &r);
}

/* What VMs share is not executable. */
static bool is_data(const struct vcpu_exit *e)
{
	return !e->fault.misconfig && e->fault.access & FAULT_EXEC && e->fault.allowed;
}

enum exit_action exit_nested_fault(struct vm_vcpu *vv)
{
	const struct vcpu_exit *e = &vv->v.exit;
	struct emu_result r;
	enum emu_kind kind;

	if (unlikely(e->fault.misconfig || e->fault.page_walk || (e->fault.access & FAULT_EXEC))) {
		vm_stop(vv, true, "%s at guest-physical %lx, where there is %s (RIP %lx)",
			e->fault.misconfig   ? "broken nested page table"
			: e->fault.page_walk ? "page table"
					     : "code",
			e->fault.gpa, is_data(e) ? "memory for data only" : "no memory",
			machine.backend->get_reg(&vv->v, REG_RIP));
		return ACT_STOP;
	}
	/* The access is then one of the delivery (IDT, TSS, stack), not of what lies at RIP. */
	if (unlikely(e->interrupted.kind != EVENT_NONE)) {
		vm_stop(vv, true,
			"delivery of vector %u accesses guest-physical %lx, which is not RAM "
			"(RIP %lx)",
			e->interrupted.vector, e->fault.gpa,
			machine.backend->get_reg(&vv->v, REG_RIP));
		return ACT_STOP;
	}
	kind = emulate_insn(&vv->emu_env, &r);
	return exit_emulated(vv, kind, &r);
}
