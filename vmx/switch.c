/*
 * A vCPU's place on a physical CPU: its VMCS, and what VM entry and exit do not switch. It must not
 * know whose turn it is. Source: Intel SDM Vol. 3C, "Virtual-Machine Control Structures",
 * "Saving MSRs".
 *
 * A VMCS stays active on the CPU where it was current last, so that to come back costs a VMPTRLD;
 * VMCLEAR, which writes it to memory, is due before another CPU takes it.
 */
#include <crvm/cpu.h>
#include <crvm/panic.h>
#include <crvm/percpu.h>

#include "dr.h"
#include "insn.h"
#include "vmcs.h"
#include "vmx.h"

static void load_msrs(const struct virt_vcpu *vv)
{
	wrmsr(MSR_STAR, vv->msr[SWITCHED_STAR]);
	wrmsr(MSR_LSTAR, vv->msr[SWITCHED_LSTAR]);
	wrmsr(MSR_CSTAR, vv->msr[SWITCHED_CSTAR]);
	wrmsr(MSR_FMASK, vv->msr[SWITCHED_FMASK]);
	if (vmx_msr_live(MSR_TSC_AUX))
		wrmsr(MSR_TSC_AUX, vv->msr[SWITCHED_TSC_AUX]);
}

static void load_breakpoints(const struct virt_vcpu *vv)
{
	for (unsigned i = 0; i < 4; i++)
		write_dr(i, vv->dr[i]);
}

static void save_breakpoints(struct virt_vcpu *vv)
{
	for (unsigned i = 0; i < 4; i++)
		vv->dr[i] = read_dr(i);
}

void vmx_debug_regs_live(struct virt_vcpu *vv, bool live)
{
	if (vv->dr_live == live)
		return;
	vv->dr_live = live;
	vv->proc_ctls = live ? vv->proc_ctls & ~(uint32_t)PROC_MOV_DR : vv->proc_ctls | PROC_MOV_DR;
	vmcs_write_PROC_CTLS(vv->proc_ctls);
	if (live)
		load_breakpoints(vv);
	else
		save_breakpoints(vv);
}

/* The VMCS of `vv` becomes current. */
static inline void make_current(struct virt_vcpu *vv)
{
	struct percpu *cpu = this_cpu();
	const uint32_t here = cpu->index + 1;

	check(!vv->loaded_on && (!vv->bound_to || vv->bound_to == here));
	check(vmx_vmptrld(vv->vmcs) == VMX_SUCCEED);
	vv->loaded_on = here;
	if (vv->bound_to)
		return;
	vv->bound_to = here;
	vmx_write_host_cpu(cpu);
}

/* What is due only: nothing if the vCPU ran here last and its EPT has lost no permission since. */
static inline void flush_tlb(struct virt_vcpu *vv)
{
	const uint32_t cpu = this_cpu()->index;

	if (likely(vv->tlb.cpu == cpu && vv->tlb.generation == vv->vm->ept.generation))
		return;
	vmx_tlb_enter(&vv->tlb, cpu, ept_pointer(&vv->vm->ept), vv->vm->ept.generation);
}

void vmx_flush_tlb(struct vcpu *v)
{
	flush_tlb(v->virt);
}

void vmx_vcpu_load(struct vcpu *v)
{
	struct virt_vcpu *vv = v->virt;

	make_current(vv);
	wrmsr(MSR_KERNEL_GS_BASE, vv->msr[SWITCHED_KERNEL_GS_BASE]);
	load_msrs(vv);
	if (vv->dr_live)
		load_breakpoints(vv);
	write_dr(6, vv->dr6);
	write_cr2(vv->cr2);
	flush_tlb(vv);
}

static void save(struct virt_vcpu *vv)
{
	check(vv->loaded_on == this_cpu()->index + 1);
	vv->msr[SWITCHED_KERNEL_GS_BASE] = rdmsr(MSR_KERNEL_GS_BASE);
	if (vv->dr_live)
		save_breakpoints(vv);
	vv->dr6 = read_dr(6);
	vv->cr2 = read_cr2();
	vv->loaded_on = 0;
}

void vmx_vcpu_unload(struct vcpu *v)
{
	struct virt_vcpu *vv = v->virt;

	if (vv->loaded_on)
		save(vv);
	if (!vv->bound_to)
		return;
	check(vv->bound_to == this_cpu()->index + 1);
	/* The next entry is a VMLAUNCH. */
	check(vmx_vmclear(vv->vmcs) == VMX_SUCCEED);
	vv->launched = 0;
	vv->bound_to = 0;
}

/* As save and load, but that most values are equal, or were never used. */
void vmx_vcpu_switch(struct vcpu *from_vcpu, struct vcpu *to_vcpu)
{
	struct virt_vcpu *from = from_vcpu->virt, *to = to_vcpu->virt;
	uint64_t kernel_gs_base = rdmsr(MSR_KERNEL_GS_BASE);

	from->msr[SWITCHED_KERNEL_GS_BASE] = kernel_gs_base;
	if (unlikely(kernel_gs_base != to->msr[SWITCHED_KERNEL_GS_BASE]))
		wrmsr(MSR_KERNEL_GS_BASE, to->msr[SWITCHED_KERNEL_GS_BASE]);
	if (unlikely(from->msr_used | to->msr_used))
		load_msrs(to);
	if (unlikely(from->dr_live))
		save_breakpoints(from);
	if (unlikely(to->dr_live))
		load_breakpoints(to);
	from->dr6 = read_dr(6);
	if (unlikely(from->dr6 != to->dr6))
		write_dr(6, to->dr6);
	from->cr2 = read_cr2();
	if (from->cr2 != to->cr2)
		write_cr2(to->cr2);
	check(from->loaded_on == this_cpu()->index + 1);
	from->loaded_on = 0;
	make_current(to);
	flush_tlb(to);
}
