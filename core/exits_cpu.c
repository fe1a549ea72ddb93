/*
 * MSRs, XSETBV and hypercalls of guests.
 * Source: Intel SDM Vol. 2, "RDMSR", "WRMSR", "XSETBV"; the numbers of the hypercalls are CRVM's
 * own.
 */
#include <crvm/cpu.h>
#include <crvm/fpu.h>
#include <crvm/hypercall.h>
#include <crvm/msr_policy.h>
#include <crvm/status.h>

#include "exits.h"
#include "machine.h"

static enum exit_action fault(struct vm_vcpu *vv)
{
	return exit_raise(vv, EXC_GP, true, 0);
}

static uint64_t edx_eax(const struct vcpu *v)
{
	return v->gpr[REG_RDX] << 32 | (uint32_t)v->gpr[REG_RAX];
}

enum exit_action exit_rdmsr(struct vm_vcpu *vv)
{
	struct vcpu *v = &vv->v;
	uint64_t value;

	if (msr_policy_read(&vv->msr, (uint32_t)v->gpr[REG_RCX], &value))
		return fault(vv);
	v->gpr[REG_RAX] = (uint32_t)value;
	v->gpr[REG_RDX] = value >> 32;
	return ACT_NEXT;
}

enum exit_action exit_wrmsr(struct vm_vcpu *vv)
{
	const struct vcpu *v = &vv->v;

	if (msr_policy_write(&vv->msr, (uint32_t)v->gpr[REG_RCX], edx_eax(v)))
		return fault(vv);
	return ACT_NEXT;
}

/* SS.DPL is the CPL. */
static bool in_ring_0(struct vm_vcpu *vv)
{
	struct vcpu_segment ss;

	machine.backend->get_segment(&vv->v, SEG_SS, &ss);
	return !(ss.attr >> 5 & 3);
}

/* The CPU has checked CR4.OSXSAVE already, and the CPL too; Bochs 2.7 exits before the latter. */
enum exit_action exit_xsetbv(struct vm_vcpu *vv)
{
	const struct vcpu *v = &vv->v;
	uint64_t xcr0 = edx_eax(v);

	if ((uint32_t)v->gpr[REG_RCX] != 0 || !fpu_xcr0_valid(xcr0) || !in_ring_0(vv))
		return fault(vv);
	vv->xcr0 = xcr0;
	fpu_set_xcr0(xcr0);
	return ACT_NEXT;
}

enum exit_action exit_hypercall(struct vm_vcpu *vv)
{
	uint64_t *rax = &vv->v.gpr[REG_RAX];

	if (!in_ring_0(vv))
		*rax = (uint64_t)E_PERM;
	else if (*rax == HYPERCALL_IDENTIFY)
		*rax = HYPERCALL_SIGNATURE;
	else if (*rax == HYPERCALL_NOP)
		*rax = OK;
	else if (vv->v.vm->hypercall)
		return vv->v.vm->hypercall(vv);
	else
		*rax = (uint64_t)E_NOSYS;
	return ACT_NEXT;
}
