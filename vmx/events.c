/*
 * Events in the VMCS: may the guest take one, deliver one, tell when it can. Which one comes first
 * is core's. Source: Intel SDM Vol. 3C, "Event Injection", "Guest Non-Register State", "VM Entry -
 * Interrupt-Window and NMI-Window Exiting".
 */
#include "vmcs.h"
#include "vmx.h"

#include <crvm/cpu.h>

enum {
	INFO_ERROR = 1u << 11,
	INFO_VALID = 1u << 31,
	BLOCKED_STI_MOVSS = 3,
	BLOCKED_NMI = 8,
	PENDING_DBG_TRAP = 1u << 12 | 1u << 14, /* a breakpoint that is enabled, a single step */
};

/* The interruption type of each enum event_kind. */
static const uint8_t type_of[] = {
	[EVENT_EXTINT] = 0,	    [EVENT_NMI] = 2,
	[EVENT_EXCEPTION] = 3,	    [EVENT_SOFT_INT] = 4,
	[EVENT_PRIV_EXCEPTION] = 5, [EVENT_SOFT_EXCEPTION] = 6,
};

uint32_t vmx_event_encode(const struct event *e)
{
	return INFO_VALID | (uint32_t)type_of[e->kind] << 8 | (e->has_error ? INFO_ERROR : 0) |
	       e->vector;
}

struct event vmx_event_decode(uint32_t info, uint32_t error, uint32_t insn_len)
{
	uint32_t type = info >> 8 & 7;
	struct event e = {.vector = (uint8_t)info};

	for (unsigned kind = EVENT_EXTINT; kind < array_count(type_of); kind++)
		if (type_of[kind] == type)
			e.kind = (uint8_t)kind;
	e.has_error = info & INFO_ERROR ? 1 : 0;
	e.error = e.has_error ? error : 0;
	if (e.kind >= EVENT_SOFT_INT)
		e.insn_len = (uint8_t)insn_len;
	return e;
}

bool vmx_debug_trap_waits(void)
{
	return vmcs_read_GUEST_PENDING_DBG() & PENDING_DBG_TRAP;
}

bool vmx_can_take(struct vcpu *v, enum event_kind kind)
{
	uint32_t blocked = vmcs_read_GUEST_INTERRUPTIBILITY();

	(void)v;
	/*
	 * Entry with an event would drop the #DB ("Delivery of Pending Debug Exceptions after VM
	 * Entry"): that comes first, and the window opens behind it.
	 */
	if (unlikely(vmx_debug_trap_waits()))
		return false;
	if (kind == EVENT_NMI)
		return !(blocked & (BLOCKED_STI_MOVSS | BLOCKED_NMI));
	return !(blocked & BLOCKED_STI_MOVSS) && vmcs_read_GUEST_RFLAGS() & RFLAGS_IF;
}

void vmx_inject(struct vcpu *v, const struct event *e)
{
	uint32_t info = vmx_event_encode(e);

	(void)v;
	/* Real mode has no error codes, and entry refuses them. */
	if (!(vmcs_read_GUEST_CR0() & CR0_PE))
		info &= ~(uint32_t)INFO_ERROR;
	vmcs_write_ENTRY_INTR_INFO(info);
	if (info & INFO_ERROR)
		vmcs_write_ENTRY_EXCEPTION_ERROR(e->error);
	if (e->kind >= EVENT_SOFT_INT)
		vmcs_write_ENTRY_INSN_LEN(e->insn_len);
}

void vmx_want_window(struct vcpu *v, enum event_kind kind, bool on)
{
	uint32_t bit = kind == EVENT_NMI ? PROC_NMI_WINDOW : PROC_INTERRUPT_WINDOW;
	uint32_t ctls = on ? v->virt->proc_ctls | bit : v->virt->proc_ctls & ~bit;

	if (ctls == v->virt->proc_ctls)
		return;
	v->virt->proc_ctls = ctls;
	vmcs_write_PROC_CTLS(ctls);
}
