/*
 * One stay in the guest, and what the CPU says about its end. This is the hottest path of all: each
 * VMREAD here is paid at every exit of its kind. Source: Intel SDM Vol. 3C, "VM Exits", "Basic
 * VM-Exit Information", "Exit Qualification"; Vol. 3D, Appendix C, "VMX Basic Exit Reasons".
 */
#include <crvm/cpu.h>
#include <crvm/panic.h>

#include "insn.h"
#include "vmcs.h"
#include "vmx.h"

enum {
	REASON_EXCEPTION_NMI = 0,
	REASON_EXTERNAL_INTERRUPT = 1,
	REASON_TRIPLE_FAULT = 2,
	REASON_INTERRUPT_WINDOW = 7,
	REASON_NMI_WINDOW = 8,
	REASON_TASK_SWITCH = 9,
	REASON_CPUID = 10,
	REASON_GETSEC = 11,
	REASON_HLT = 12,
	REASON_INVD = 13,
	REASON_RDPMC = 15,
	REASON_VMCALL = 18,
	REASON_VMCLEAR = 19, /* to VMXON, 27: the VMX instructions */
	REASON_VMXON = 27,
	REASON_CR_ACCESS = 28,
	REASON_MOV_DR = 29,
	REASON_IO = 30,
	REASON_RDMSR = 31,
	REASON_WRMSR = 32,
	REASON_MWAIT = 36,
	REASON_MONITOR = 39,
	REASON_PAUSE = 40,
	REASON_EPT_VIOLATION = 48,
	REASON_EPT_MISCONFIG = 49,
	REASON_INVEPT = 50,
	REASON_PREEMPTION_TIMER = 52,
	REASON_INVVPID = 53,
	REASON_WBINVD = 54,
	REASON_XSETBV = 55,
	REASON_ENTRY_FAILED = 1u << 31,

	INTERRUPTIBILITY_STI_MOVSS = 3,
	INTERRUPTIBILITY_NMI = 8,
	INFO_VALID = 1u << 31,
	INFO_NMI_UNBLOCKED = 1u << 12,
};

/* The reasons after which only the instruction's length is needed; 0: all others. */
static const uint8_t plain_insn[REASON_XSETBV + 1] = {
	[REASON_CPUID] = EXIT_CPUID,	       [REASON_HLT] = EXIT_NONE,
	[REASON_VMCALL] = EXIT_HYPERCALL,      [REASON_RDMSR] = EXIT_RDMSR,
	[REASON_WRMSR] = EXIT_WRMSR,	       [REASON_INVD] = EXIT_CACHE,
	[REASON_WBINVD] = EXIT_CACHE,	       [REASON_RDPMC] = EXIT_PRIVILEGED,
	[REASON_MWAIT] = EXIT_UNDEFINED,       [REASON_MONITOR] = EXIT_UNDEFINED,
	[REASON_PAUSE] = EXIT_PAUSE,	       [REASON_XSETBV] = EXIT_XSETBV,
	[REASON_GETSEC] = EXIT_UNDEFINED,      [REASON_INVEPT] = EXIT_UNDEFINED,
	[REASON_INVVPID] = EXIT_UNDEFINED,     [REASON_VMCLEAR] = EXIT_UNDEFINED,
	[REASON_VMCLEAR + 1] = EXIT_UNDEFINED, [REASON_VMCLEAR + 2] = EXIT_UNDEFINED,
	[REASON_VMCLEAR + 3] = EXIT_UNDEFINED, [REASON_VMCLEAR + 4] = EXIT_UNDEFINED,
	[REASON_VMCLEAR + 5] = EXIT_UNDEFINED, [REASON_VMCLEAR + 6] = EXIT_UNDEFINED,
	[REASON_VMCLEAR + 7] = EXIT_UNDEFINED, [REASON_VMXON] = EXIT_UNDEFINED,
};

/*
 * The timer is armed at every entry: interrupts alone do not always end a guest (it may run with
 * CLI, and Bochs 2.7 then ignores them).
 */
static void arm_preemption_timer(const struct vcpu *v)
{
	int64_t left;
	uint64_t ticks;

	if (!(vmx_config.controls.word[CTL_PIN] & PIN_PREEMPTION_TIMER))
		return;
	left = (int64_t)(v->deadline - rdtsc());
	ticks = left <= 0 ? 0 : (uint64_t)left >> vmx_config.preemption_shift;
	vmcs_write_PREEMPTION_TIMER(ticks > 0xffffffff ? 0xffffffff : (uint32_t)ticks);
}

static void decode_port(struct vcpu_exit *e)
{
	uint64_t q = vmcs_read_EXIT_QUALIFICATION();

	e->kind = EXIT_PORT;
	e->raw_info = (uint32_t)q;
	e->insn_len = (uint8_t)vmcs_read_EXIT_INSN_LEN();
	e->port.port = (uint16_t)(q >> 16);
	e->port.size = (uint8_t)((q & 7) + 1);
	e->port.in = q >> 3 & 1;
	e->port.string = q >> 4 & 1;
	e->port.rep = q >> 5 & 1;
	if (e->port.string) {
		uint32_t info = vmcs_read_EXIT_INSN_INFO();

		e->port.addr_size = (uint8_t)(2u << (info >> 7 & 7));
		e->port.segment = info >> 15 & 7;
		e->port.linear = vmcs_read_GUEST_LINEAR_ADDRESS();
	}
}

static void decode_interrupted(struct vcpu_exit *e)
{
	uint32_t info = vmcs_read_IDT_VECTORING_INFO();

	if (likely(!(info & INFO_VALID)))
		return;
	e->interrupted =
		vmx_event_decode(info, vmcs_read_IDT_VECTORING_ERROR(), vmcs_read_EXIT_INSN_LEN());
	/* Its delivery had set blocking by NMI; the next delivery sets it again. */
	if (e->interrupted.kind == EVENT_NMI)
		vmcs_write_GUEST_INTERRUPTIBILITY(vmcs_read_GUEST_INTERRUPTIBILITY() &
						  ~(uint32_t)INTERRUPTIBILITY_NMI);
}

/* An IRET that faulted had unblocked NMIs already: as if it had not run. */
static void undo_nmi_unblocking(const struct vcpu_exit *e, uint64_t info)
{
	if (info & INFO_NMI_UNBLOCKED && e->interrupted.kind == EVENT_NONE)
		vmcs_write_GUEST_INTERRUPTIBILITY(vmcs_read_GUEST_INTERRUPTIBILITY() |
						  INTERRUPTIBILITY_NMI);
}

static void decode_nested_fault(struct vcpu_exit *e)
{
	uint64_t q = vmcs_read_EXIT_QUALIFICATION();

	e->kind = EXIT_NESTED_FAULT;
	e->fault.gpa = vmcs_read_GUEST_PHYSICAL_ADDRESS();
	e->raw_info = (uint32_t)e->fault.gpa;
	e->fault.access = q & 7;
	e->fault.allowed = q >> 3 & 7;
	e->fault.linear_valid = q >> 7 & 1;
	e->fault.page_walk = e->fault.linear_valid && !(q >> 8 & 1);
	e->fault.linear = e->fault.linear_valid ? vmcs_read_GUEST_LINEAR_ADDRESS() : 0;
	e->fault.has_regs = false;
	e->fault.misconfig = false;
	undo_nmi_unblocking(e, q);
}

static void decode_exception(struct vcpu_exit *e)
{
	uint32_t info = vmcs_read_EXIT_INTR_INFO();

	if ((info >> 8 & 7) == 2) {
		/* NMIs are blocked until an IRET: the host's handler ends with one. */
		__asm__ volatile("int $2" : : : "memory");
		e->kind = EXIT_HOST_NMI;
		return;
	}
	e->kind = EXIT_EXCEPTION;
	e->exception.event =
		vmx_event_decode(info, vmcs_read_EXIT_INTR_ERROR(), vmcs_read_EXIT_INSN_LEN());
	e->exception.qualification = vmcs_read_EXIT_QUALIFICATION();
	if ((info & 0xff) != EXC_DF)
		undo_nmi_unblocking(e, info);
}

/* A #DB that MOV SS holds back comes behind the HLT, and ends it at once. */
static void decode_hlt(struct vcpu_exit *e)
{
	e->kind = unlikely(vmx_debug_trap_waits()) ? EXIT_PAUSE : EXIT_HLT;
	e->insn_len = (uint8_t)vmcs_read_EXIT_INSN_LEN();
}

static void decode_cr(struct vcpu_exit *e)
{
	uint64_t q = vmcs_read_EXIT_QUALIFICATION();

	e->kind = EXIT_CR_ACCESS;
	e->raw_info = (uint32_t)q;
	e->insn_len = (uint8_t)vmcs_read_EXIT_INSN_LEN();
	e->cr.cr = q & 15;
	e->cr.access = q >> 4 & 3;
	e->cr.gpr = q >> 8 & 15;
	e->cr.lmsw_source = (uint16_t)(q >> 16);
}

static void decode_unknown(struct vcpu_exit *e, enum exit_kind kind)
{
	e->kind = (uint8_t)kind;
	e->unknown.qualification = vmcs_read_EXIT_QUALIFICATION();
}

/* If that was a VMLAUNCH, the VMCS is not launched: cleared, it can be in any case. */
static void forget_launch(struct virt_vcpu *vv)
{
	check(vmx_vmclear(vv->vmcs) == VMX_SUCCEED && vmx_vmptrld(vv->vmcs) == VMX_SUCCEED);
	vv->launched = 0;
}

static void decode_entry_failed(struct vcpu_exit *e, uint32_t instruction_error)
{
	e->kind = EXIT_ENTRY_FAILED;
	e->failed.instruction_error = instruction_error;
	e->failed.qualification = vmcs_read_EXIT_QUALIFICATION();
}

/* All but the plain instructions and port I/O. */
static void decode_rest(struct virt_vcpu *vv, struct vcpu_exit *e, uint32_t reason)
{
	if (reason & REASON_ENTRY_FAILED) {
		decode_entry_failed(e, 0);
		forget_launch(vv);
		return;
	}
	decode_interrupted(e);
	switch (reason) {
	case REASON_EXTERNAL_INTERRUPT:
		e->kind = EXIT_HOST_IRQ;
		break;
	case REASON_PREEMPTION_TIMER:
		e->kind = EXIT_DEADLINE;
		break;
	case REASON_EPT_VIOLATION:
		decode_nested_fault(e);
		break;
	case REASON_EPT_MISCONFIG:
		e->kind = EXIT_NESTED_FAULT;
		e->fault.gpa = vmcs_read_GUEST_PHYSICAL_ADDRESS();
		e->fault.linear_valid = false;
		e->fault.misconfig = true;
		break;
	case REASON_INTERRUPT_WINDOW:
		e->kind = EXIT_IRQ_WINDOW;
		break;
	case REASON_NMI_WINDOW:
		e->kind = EXIT_NMI_WINDOW;
		break;
	case REASON_EXCEPTION_NMI:
		decode_exception(e);
		break;
	case REASON_HLT:
		decode_hlt(e);
		break;
	case REASON_CR_ACCESS:
		decode_cr(e);
		break;
	case REASON_MOV_DR: /* the first: again, without an exit */
		vmx_debug_regs_live(vv, true);
		e->kind = EXIT_NONE;
		break;
	case REASON_TRIPLE_FAULT:
		e->kind = EXIT_SHUTDOWN;
		break;
	case REASON_TASK_SWITCH:
		decode_unknown(e, EXIT_TASK_SWITCH);
		break;
	default:
		decode_unknown(e, EXIT_UNKNOWN);
	}
}

static int quick_not(struct vcpu *v, uint32_t reason)
{
	(void)v;
	(void)reason;
	return QUICK_NOT;
}

static int quick_port(struct vcpu *v, uint32_t reason)
{
	uint32_t q = (uint32_t)vmcs_read_EXIT_QUALIFICATION();

	(void)reason;
	if (unlikely(q & 1u << 4)) /* a string */
		return QUICK_NOT;
	if (q & 1u << 3)
		return v->quick->port_in(v, q >> 16, (q & 7) + 1);
	return v->quick->port_out(v, q >> 16, (q & 7) + 1);
}

/* What entry.S calls for an EPT violation once all registers are in struct vcpu. */
int vmx_quick_fault(struct vcpu *v, uint32_t reason)
{
	enum {
		FETCH = 1u << 2,
		LINEAR_VALID = 1u << 7,
		NOT_WALK = 1u << 8,
		CS_AR_L = 1u << 13,
		LOOK_AT = FETCH | LINEAR_VALID | NOT_WALK | INFO_NMI_UNBLOCKED
	};
	struct vcpu_exit *e = &v->exit;
	uint64_t q = vmcs_read_EXIT_QUALIFICATION();

	if (unlikely((q & LOOK_AT) != (LINEAR_VALID | NOT_WALK) ||
		     vmcs_read_IDT_VECTORING_INFO() & INFO_VALID))
		return QUICK_NOT;
	e->kind = EXIT_NESTED_FAULT;
	e->fault.gpa = vmcs_read_GUEST_PHYSICAL_ADDRESS();
	e->fault.linear = vmcs_read_GUEST_LINEAR_ADDRESS();
	e->fault.linear_valid = true;
	e->fault.page_walk = false;
	e->fault.access = q & 7;
	e->fault.allowed = q >> 3 & 7;
	e->fault.misconfig = false;
	/* For the emulator, which would ask for them one by one. */
	e->fault.rip = vmcs_read_GUEST_RIP();
	e->fault.cr3 = vmcs_read_GUEST_CR3();
	e->fault.mode_64 =
		(vmcs_read_GUEST_CS_AR() & CS_AR_L) && (vmcs_read_GUEST_EFER() & EFER_LMA);
	e->fault.has_regs = true;
	return v->quick->handler[EXIT_NESTED_FAULT](v, reason);
}

static int quick_hypercall(struct vcpu *v, uint32_t reason)
{
	if (unlikely(vmcs_read_GUEST_SS_AR() & 3u << 5)) /* SS.DPL is the CPL */
		return QUICK_NOT;
	return v->quick->handler[EXIT_HYPERCALL](v, reason);
}

void vmx_quick_init(struct vcpu *v)
{
	struct virt_vcpu *vv = v->virt;

	vv->quick_from = v->quick;
	for (unsigned i = 0; i < array_count(vv->quick); i++) {
		unsigned kind = i < array_count(plain_insn) ? plain_insn[i] : EXIT_NONE;

		vv->quick[i] = quick_not;
		if (v->quick && v->quick->handler[kind])
			vv->quick[i] = v->quick->handler[kind];
	}
	if (v->quick && v->quick->port_in && v->quick->port_out)
		vv->quick[REASON_IO] = quick_port;
	if (v->quick && v->quick->handler[EXIT_HYPERCALL])
		vv->quick[REASON_VMCALL] = quick_hypercall;
	if (v->quick && v->quick->handler[EXIT_NESTED_FAULT])
		vv->quick[REASON_EPT_VIOLATION] = vmx_quick_all;
}

/* Before each entry that does not follow a quick exit of the same vCPU. */
static inline void prepare(struct vcpu *v)
{
	if (unlikely(v->virt->quick_from != v->quick))
		vmx_quick_init(v);
	arm_preemption_timer(v);
	v->exit.interrupted = (struct event){0};
}

struct vcpu *vmx_pass(struct vcpu *v)
{
	struct vcpu *to = v->quick->pass(v);

	if (to)
		prepare(to);
	return to;
}

struct vcpu *vmx_run(struct vcpu *v)
{
	struct vmx_stay stay;
	struct virt_vcpu *vv;
	struct vcpu_exit *e;
	uint32_t reason;

	prepare(v);
	stay = vmx_enter(v, v->virt);
	v = stay.v;
	vv = v->virt;
	e = &v->exit;
	if (unlikely(stay.how == VMX_ENTRY_FAILED)) {
		e->raw = 0xffff;
		decode_entry_failed(e, vmcs_read_INSTRUCTION_ERROR());
		forget_launch(vv);
		return v;
	}
	if (stay.how == VMX_LEFT) {
		e->kind = EXIT_NONE;
		return v;
	}
	reason = vmcs_read_EXIT_REASON();
	e->raw = (uint16_t)reason;
	e->raw_info = 0;
	if (reason < array_count(plain_insn) && plain_insn[reason]) {
		e->kind = plain_insn[reason];
		e->insn_len = (uint8_t)vmcs_read_EXIT_INSN_LEN();
	} else if (reason == REASON_IO) {
		decode_port(e);
	} else {
		decode_rest(vv, e, reason);
	}
	return v;
}

void vmx_skip_insn(struct vcpu *v)
{
	uint64_t rflags = vmcs_read_GUEST_RFLAGS();
	uint32_t shadow = vmcs_read_GUEST_INTERRUPTIBILITY();

	vmcs_write_GUEST_RIP(vmcs_read_GUEST_RIP() + v->exit.insn_len);
	if (shadow & INTERRUPTIBILITY_STI_MOVSS)
		vmcs_write_GUEST_INTERRUPTIBILITY(shadow & ~(uint32_t)INTERRUPTIBILITY_STI_MOVSS);
	if (unlikely(rflags & (1u << 8 | 1u << 16))) {
		/* RF ends with the instruction that it was for, not with one item of a string */
		if (rflags & 1u << 16 && v->exit.insn_len)
			vmcs_write_GUEST_RFLAGS(rflags & ~(1ul << 16));
		if (rflags & 1u << 8) /* DR6.BS, as pending debug exception */
			vmcs_write_GUEST_PENDING_DBG(vmcs_read_GUEST_PENDING_DBG() | 1u << 14);
	}
}
