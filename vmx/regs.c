/*
 * Guest registers as core/ names them, where they live: VMCS, hardware, or struct virt_vcpu. The
 * vCPU is loaded. Source: Intel SDM Vol. 3C, "Guest-State Area", "Guest/Host Masks and Read Shadows
 * for CR0 and CR4".
 */
#include "dr.h"
#include "vmcs.h"
#include "vmx.h"

#include <crvm/cpu.h>
#include <crvm/panic.h>

/* Registers that are a field of the VMCS; 0 (a field that no register is) for all others. */
static const uint16_t vmcs_regs[REG_COUNT] = {
	[REG_RSP] = VMCS_GUEST_RSP,
	[REG_RIP] = VMCS_GUEST_RIP,
	[REG_RFLAGS] = VMCS_GUEST_RFLAGS,
	[REG_CR3] = VMCS_GUEST_CR3,
	[REG_DR7] = VMCS_GUEST_DR7,
	[REG_PAT] = VMCS_GUEST_PAT,
	[REG_SYSENTER_CS] = VMCS_GUEST_SYSENTER_CS,
	[REG_SYSENTER_ESP] = VMCS_GUEST_SYSENTER_ESP,
	[REG_SYSENTER_EIP] = VMCS_GUEST_SYSENTER_EIP,
	[REG_GDTR_BASE] = VMCS_GUEST_GDTR_BASE,
	[REG_GDTR_LIMIT] = VMCS_GUEST_GDTR_LIMIT,
	[REG_IDTR_BASE] = VMCS_GUEST_IDTR_BASE,
	[REG_IDTR_LIMIT] = VMCS_GUEST_IDTR_LIMIT,
	[REG_PDPTE0] = VMCS_GUEST_PDPTE0,
	[REG_PDPTE1] = VMCS_GUEST_PDPTE1,
	[REG_PDPTE2] = VMCS_GUEST_PDPTE2,
	[REG_PDPTE3] = VMCS_GUEST_PDPTE3,
	[REG_TSC_OFFSET] = VMCS_TSC_OFFSET,
	[REG_INT_SHADOW] = VMCS_GUEST_INTERRUPTIBILITY,
	[REG_EFER] = VMCS_GUEST_EFER, /* to read; writing it does more */
};

/* MSRs that are live in the hardware while the vCPU is loaded. */
static const struct {
	uint8_t reg;
	uint32_t msr;
} live_msrs[SWITCHED_COUNT] = {
	[SWITCHED_STAR] = {REG_STAR, MSR_STAR},
	[SWITCHED_LSTAR] = {REG_LSTAR, MSR_LSTAR},
	[SWITCHED_CSTAR] = {REG_CSTAR, MSR_CSTAR},
	[SWITCHED_FMASK] = {REG_FMASK, MSR_FMASK},
	[SWITCHED_KERNEL_GS_BASE] = {REG_KERNEL_GS_BASE, MSR_KERNEL_GS_BASE},
	[SWITCHED_TSC_AUX] = {REG_TSC_AUX, MSR_TSC_AUX},
};

static uint64_t get_shadowed(uint64_t real, uint64_t mask, uint64_t shadow)
{
	return (real & ~mask) | (shadow & mask);
}

static uint64_t get_live_msr(const struct virt_vcpu *vv, enum vcpu_reg reg)
{
	if (reg == REG_KERNEL_GS_BASE)
		return rdmsr(MSR_KERNEL_GS_BASE);
	for (size_t i = 0; i < array_count(live_msrs); i++)
		if (live_msrs[i].reg == reg)
			return vv->msr[i];
	panic("vmx_get_reg: no register %u", reg);
}

static uint64_t get_unmapped(struct vcpu *v, enum vcpu_reg reg)
{
	switch (reg) {
	case REG_CR0:
		return get_shadowed(vmcs_read_GUEST_CR0(), vmcs_read_CR0_MASK(),
				    vmcs_read_CR0_SHADOW());
	case REG_CR4:
		return get_shadowed(vmcs_read_GUEST_CR4(), vmcs_read_CR4_MASK(),
				    vmcs_read_CR4_SHADOW());
	case REG_CR2:
		return read_cr2();
	case REG_CR8:
		return v->virt->cr8;
	case REG_DR0:
	case REG_DR1:
	case REG_DR2:
	case REG_DR3:
		return v->virt->dr_live ? read_dr(reg - REG_DR0) : v->virt->dr[reg - REG_DR0];
	case REG_DR6:
		return read_dr(6);
	case REG_HALTED:
		return v->virt->halted;
	default:
		return get_live_msr(v->virt, reg);
	}
}

uint64_t vmx_get_reg(struct vcpu *v, enum vcpu_reg reg)
{
	if (reg < 16 && reg != REG_RSP)
		return v->gpr[reg];
	if (reg < REG_COUNT && vmcs_regs[reg])
		return vmcs_read_raw((enum vmcs_field)vmcs_regs[reg]);
	return get_unmapped(v, reg);
}

/* EFER.LMA and the entry control follow from EFER.LME and CR0.PG. */
static void set_long_mode(uint64_t efer, uint64_t cr0)
{
	bool active = (efer & EFER_LME) && (cr0 & CR0_PG);
	uint32_t ctls = vmcs_read_ENTRY_CTLS();

	vmcs_write_GUEST_EFER(active ? efer | EFER_LMA : efer & ~(uint64_t)EFER_LMA);
	vmcs_write_ENTRY_CTLS(active ? ctls | ENTRY_CTL_IA32E : ctls & ~(uint32_t)ENTRY_CTL_IA32E);
}

static void set_cr0(uint64_t value)
{
	vmcs_write_CR0_SHADOW(value);
	vmcs_write_GUEST_CR0((value | vmx_cr0_always()) & ~(uint64_t)vmx_cr0_never());
	set_long_mode(vmcs_read_GUEST_EFER(), value);
}

static void set_cr4(uint64_t value)
{
	vmcs_write_CR4_SHADOW(value);
	vmcs_write_GUEST_CR4(value | vmx_cr4_always());
}

static bool set_mapped(struct virt_vcpu *vv, enum vcpu_reg reg, uint64_t value)
{
	if (reg < REG_COUNT && vmcs_regs[reg] && reg != REG_EFER) {
		vmcs_write_raw((enum vmcs_field)vmcs_regs[reg], value);
		return true;
	}
	for (size_t i = 0; i < array_count(live_msrs); i++) {
		if (live_msrs[i].reg == reg) {
			vv->msr[i] = value;
			vv->msr_used |= value && i != SWITCHED_KERNEL_GS_BASE;
			if (vmx_msr_live(live_msrs[i].msr))
				wrmsr(live_msrs[i].msr, value);
			return true;
		}
	}
	return false;
}

/*
 * A change of paging that the guest made by an exit: the CPU flushes at the instruction, but not
 * when software writes the fields (SDM Vol. 3C, "Operations that Invalidate Cached Mappings").
 * Before the first load there is nothing cached.
 */
static void flush_linear(const struct vcpu *v)
{
	if (v->virt->loaded_on)
		vmx_tlb_flush_vpid(v->virt->tlb.vpid);
}

void vmx_set_reg(struct vcpu *v, enum vcpu_reg reg, uint64_t value)
{
	if (reg < 16 && reg != REG_RSP) {
		v->gpr[reg] = value;
		return;
	}
	if (set_mapped(v->virt, reg, value)) {
		if (reg == REG_CR3)
			flush_linear(v);
		return;
	}
	if (reg >= REG_DR0 && reg <= REG_DR3) {
		v->virt->dr[reg - REG_DR0] = value;
		if (v->virt->dr_live)
			write_dr(reg - REG_DR0, value);
		return;
	}
	switch (reg) {
	case REG_CR0:
		set_cr0(value);
		flush_linear(v);
		break;
	case REG_CR4:
		set_cr4(value);
		flush_linear(v);
		break;
	case REG_CR2:
		write_cr2(value);
		break;
	case REG_CR8:
		v->virt->cr8 = value;
		break;
	case REG_DR6:
		write_dr(6, value);
		break;
	case REG_EFER:
		set_long_mode(value, vmcs_read_GUEST_CR0());
		flush_linear(v);
		break;
	case REG_HALTED:
		v->virt->halted = value != 0;
		break;
	default:
		panic("vmx_set_reg: no register %u", reg);
	}
}

enum { AR_UNUSABLE = 1u << 16 };

/* The fields of the eight segments are 2 apart, in the order of enum vcpu_segreg. */
#define SEG_FIELD(field, seg) ((enum vmcs_field)((unsigned)(field) + 2 * (unsigned)(seg)))

void vmx_get_segment(struct vcpu *v, enum vcpu_segreg seg, struct vcpu_segment *s)
{
	uint32_t ar = (uint32_t)vmcs_read_raw(SEG_FIELD(VMCS_GUEST_ES_AR, seg));

	(void)v;
	s->selector = (uint16_t)vmcs_read_raw(SEG_FIELD(VMCS_GUEST_ES_SELECTOR, seg));
	s->limit = (uint32_t)vmcs_read_raw(SEG_FIELD(VMCS_GUEST_ES_LIMIT, seg));
	s->base = vmcs_read_raw(SEG_FIELD(VMCS_GUEST_ES_BASE, seg));
	s->attr = (uint16_t)ar;
	s->unusable = ar & AR_UNUSABLE;
}

void vmx_set_segment(struct vcpu *v, enum vcpu_segreg seg, const struct vcpu_segment *s)
{
	(void)v;
	vmcs_write_raw(SEG_FIELD(VMCS_GUEST_ES_SELECTOR, seg), s->selector);
	vmcs_write_raw(SEG_FIELD(VMCS_GUEST_ES_LIMIT, seg), s->limit);
	vmcs_write_raw(SEG_FIELD(VMCS_GUEST_ES_BASE, seg), s->base);
	vmcs_write_raw(SEG_FIELD(VMCS_GUEST_ES_AR, seg),
		       (s->attr & 0xf0ffu) | (s->unusable ? AR_UNUSABLE : 0));
}
