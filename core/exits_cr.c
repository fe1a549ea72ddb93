/*
 * Control registers: only writes that change a bit that the host keeps, and CR8, come here (and all
 * of CR3 on CPUs that cannot do otherwise). Source: Intel SDM Vol. 3A, "Control Registers"; Vol.
 * 2B, "MOV - Move to/from Control Registers".
 */
#include <crvm/cpu.h>
#include <crvm/string.h>

#include "exits.h"
#include "machine.h"

enum { ACCESS_MOV_TO, ACCESS_MOV_FROM, ACCESS_CLTS, ACCESS_LMSW };

#define CR0_KNOWN 0xe005003ful /* the rest of the low half is ignored when written */

static uint64_t get(struct vm_vcpu *vv, enum vcpu_reg reg)
{
	return machine.backend->get_reg(&vv->v, reg);
}

static void set(struct vm_vcpu *vv, enum vcpu_reg reg, uint64_t value)
{
	machine.backend->set_reg(&vv->v, reg, value);
}

static enum exit_action fault(struct vm_vcpu *vv)
{
	return exit_raise(vv, EXC_GP, true, 0);
}

/*
 * PAE paging takes its four top entries at MOV to CR0, CR3 or CR4; a reserved bit in one is #GP.
 */
static bool load_pdptes(struct vm_vcpu *vv)
{
	uint64_t pdpte[4], width = cpuid_policy_phys_bits(&vv->v.vm->cpuid);
	uint64_t reserved = 0x1e6ul | ~((1ul << width) - 1);

	if (gmem_read(&vv->v.vm->mem, gpa(get(vv, REG_CR3) & 0xffffffe0), pdpte, sizeof(pdpte)))
		memset(pdpte, 0xff, sizeof(pdpte)); /* what reads of no memory give */
	for (unsigned i = 0; i < 4; i++)
		if ((pdpte[i] & 1) && (pdpte[i] & reserved))
			return false;
	for (unsigned i = 0; i < 4; i++)
		set(vv, (enum vcpu_reg)(REG_PDPTE0 + i), pdpte[i]);
	return true;
}

static bool pae_paging(uint64_t cr0, uint64_t cr4, uint64_t efer)
{
	return (cr0 & CR0_PG) && (cr4 & CR4_PAE) && !(efer & EFER_LME);
}

static bool cr0_allowed(struct vm_vcpu *vv, uint64_t old, uint64_t value)
{
	uint64_t efer = get(vv, REG_EFER);
	struct vcpu_segment cs, tr;

	if (value >> 32 || ((value & CR0_PG) && !(value & CR0_PE)) ||
	    ((value & CR0_NW) && !(value & CR0_CD)))
		return false;
	if (!((old ^ value) & CR0_PG) || !(efer & EFER_LME))
		return true;
	/* Into or out of long mode: not from 64-bit code; into it not without PAE, nor with a
	 * 16-bit TSS. */
	machine.backend->get_segment(&vv->v, SEG_CS, &cs);
	machine.backend->get_segment(&vv->v, SEG_TR, &tr);
	if (cs.attr & 1u << 13)
		return false;
	return !(value & CR0_PG) || ((get(vv, REG_CR4) & CR4_PAE) && (tr.attr & 1u << 3));
}

static enum exit_action write_cr0_guest(struct vm_vcpu *vv, uint64_t value)
{
	uint64_t old = get(vv, REG_CR0);

	value |= CR0_ET;
	if (!cr0_allowed(vv, old, value))
		return fault(vv);
	if (((old ^ value) & (CR0_PG | CR0_CD | CR0_NW)) &&
	    pae_paging(value, get(vv, REG_CR4), get(vv, REG_EFER)) && !load_pdptes(vv))
		return fault(vv);
	set(vv, REG_CR0, value & CR0_KNOWN);
	return ACT_NEXT;
}

static enum exit_action write_cr4_guest(struct vm_vcpu *vv, uint64_t value)
{
	uint64_t old = get(vv, REG_CR4), efer = get(vv, REG_EFER);

	if (value & ~cpuid_policy_cr4_bits(&vv->v.vm->cpuid))
		return fault(vv);
	if ((efer & EFER_LMA) && !(value & CR4_PAE))
		return fault(vv);
	if (((old ^ value) & (CR4_PAE | CR4_PGE | CR4_PSE | CR4_SMEP)) &&
	    pae_paging(get(vv, REG_CR0), value, efer) && !load_pdptes(vv))
		return fault(vv);
	set(vv, REG_CR4, value);
	return ACT_NEXT;
}

static enum exit_action write_cr3_guest(struct vm_vcpu *vv, uint64_t value)
{
	uint64_t efer = get(vv, REG_EFER), old = get(vv, REG_CR3);

	if ((efer & EFER_LMA) && value >> cpuid_policy_phys_bits(&vv->v.vm->cpuid))
		return fault(vv);
	set(vv, REG_CR3, value);
	if (pae_paging(get(vv, REG_CR0), get(vv, REG_CR4), efer) && !load_pdptes(vv)) {
		set(vv, REG_CR3, old);
		return fault(vv);
	}
	return ACT_NEXT;
}

static enum exit_action write_cr8_guest(struct vm_vcpu *vv, uint64_t value)
{
	if (value > 15)
		return fault(vv);
	set(vv, REG_CR8, value);
	return ACT_NEXT;
}

/* The operand of MOV has 64 bits in 64-bit mode and 32 otherwise, whatever the register holds. */
static uint64_t mov_mask(struct vm_vcpu *vv)
{
	struct vcpu_segment cs;

	machine.backend->get_segment(&vv->v, SEG_CS, &cs);
	return cs.attr & 1u << 13 && get(vv, REG_EFER) & EFER_LMA ? ~0ul : 0xffffffff;
}

enum exit_action exit_cr_access(struct vm_vcpu *vv)
{
	static const enum vcpu_reg reg_of[16] = {
		[0] = REG_CR0, [3] = REG_CR3, [4] = REG_CR4, [8] = REG_CR8};
	struct vcpu *v = &vv->v;
	uint8_t cr = v->exit.cr.cr;
	uint64_t value;

	switch (v->exit.cr.access) {
	case ACCESS_MOV_FROM:
		set(vv, (enum vcpu_reg)v->exit.cr.gpr, get(vv, reg_of[cr]) & mov_mask(vv));
		return ACT_NEXT;
	case ACCESS_CLTS:
		return write_cr0_guest(vv, get(vv, REG_CR0) & ~(uint64_t)CR0_TS);
	case ACCESS_LMSW:
		/* The low four bits, and PE can only be set. */
		value = get(vv, REG_CR0);
		value = (value & ~0xeul) | (v->exit.cr.lmsw_source & 0xf);
		return write_cr0_guest(vv, value);
	default:
		value = get(vv, (enum vcpu_reg)v->exit.cr.gpr) & mov_mask(vv);
	}
	switch (cr) {
	case 0:
		return write_cr0_guest(vv, value);
	case 3:
		return write_cr3_guest(vv, value);
	case 4:
		return write_cr4_guest(vv, value);
	default:
		return write_cr8_guest(vv, value);
	}
}
