/*
 * A VMCS from nothing: controls, host state, the guest at reset.
 * Source: Intel SDM Vol. 3C, "Host-State Area", "Guest-State Area"; Vol. 3A, "Processor State After
 * Reset".
 */
#include "vmcs.h"
#include "vmx.h"
#include "insn.h"

#include <crvm/cpufeat.h>
#include <crvm/hostmap.h>
#include <crvm/log.h>
#include <crvm/panic.h>
#include <crvm/percpu.h>
#include <crvm/status.h>
#include <crvm/string.h>

/* The host's selectors: null but for these (arch/x86_64/trap.c). */
enum { HOST_CS = 0x08, HOST_SS = 0x10, HOST_TR = 0x18 };

no_return void vmcs_access_failed(enum vmcs_field field, bool write, uint64_t value)
{
	panic("%s of VMCS field %04xh failed (value %lx)", write ? "VMWRITE" : "VMREAD", field,
	      value);
}

bool vmcs_try_read(enum vmcs_field field, uint64_t *value)
{
	uint64_t v = 0;
	bool ok;

	__asm__ volatile("vmread %2, %0\n\t"
			 "seta %1"
			 : "=r"(v), "=qm"(ok)
			 : "r"((uint64_t)field)
			 : "cc");
	*value = v;
	return ok;
}

uint64_t vmx_cr0_always(void)
{
	/* Unrestricted guests may clear PE and PG. */
	return vmx_config.caps.msr[CAP_VMX_CR0_FIXED0] & ~(uint64_t)(CR0_PE | CR0_PG);
}

/*
 * CD and NW would slow down or endanger others: VM entry leaves the real bits alone, so the guest
 * sees its own in the shadow only.
 */
uint64_t vmx_cr0_never(void)
{
	return CR0_CD | CR0_NW | (uint32_t)~vmx_config.caps.msr[CAP_VMX_CR0_FIXED1];
}

/* With CR4.MCE clear, a machine check in the guest would shut the CPU down. */
uint64_t vmx_cr4_always(void)
{
	return vmx_config.caps.msr[CAP_VMX_CR4_FIXED0] | CR4_MCE;
}

/* Bits of CR4 that a guest may change without asking; all others exit. */
static uint64_t cr4_free(void)
{
	static const uint64_t always = CR4_VME | CR4_PVI | CR4_TSD | CR4_DE | CR4_PSE | CR4_PAE |
				       CR4_PGE | CR4_OSFXSR | CR4_OSXMMEXCPT;
	uint64_t bits = always;

	if (cpufeat_has(&boot_cpu_features, CPUF_UMIP))
		bits |= CR4_UMIP;
	if (cpufeat_has(&boot_cpu_features, CPUF_SMEP))
		bits |= CR4_SMEP;
	if (cpufeat_has(&boot_cpu_features, CPUF_SMAP))
		bits |= CR4_SMAP;
	if (boot_cpu_features.leaf7.ebx & 1)
		bits |= CR4_FSGSBASE;
	return bits & vmx_config.caps.msr[CAP_VMX_CR4_FIXED1];
}

bool vmx_msr_live(uint32_t msr)
{
	return msr != MSR_TSC_AUX || (vmx_config.controls.word[CTL_PROC2] & PROC2_CTL_RDTSCP);
}

static void write_controls(struct virt_vcpu *vv)
{
	const struct virt_vm *vm = vv->vm;
	uint32_t proc2 = vmx_config.controls.word[CTL_PROC2];

	if (!vv->tlb.vpid)
		proc2 &= ~(uint32_t)PROC2_CTL_VPID;
	vv->proc_ctls = vmx_config.controls.word[CTL_PROC];
	vmcs_write_PIN_CTLS(vmx_config.controls.word[CTL_PIN]);
	vmcs_write_PROC_CTLS(vv->proc_ctls);
	vmcs_write_PROC2_CTLS(proc2);
	vmcs_write_EXIT_CTLS(vmx_config.controls.word[CTL_EXIT]);
	vmcs_write_ENTRY_CTLS(vmx_config.controls.word[CTL_ENTRY]);
	vmcs_write_EXCEPTION_BITMAP(0);
	vmcs_write_PF_ERROR_MASK(0);
	vmcs_write_PF_ERROR_MATCH(0);
	vmcs_write_CR3_TARGET_COUNT(0);
	vmcs_write_EXIT_MSR_STORE_COUNT(0);
	vmcs_write_EXIT_MSR_LOAD_COUNT(0);
	vmcs_write_ENTRY_MSR_LOAD_COUNT(0);
	vmcs_write_ENTRY_INTR_INFO(0);
	vmcs_write_IO_BITMAP_A(virt_to_phys(vm->io_bitmap).v);
	vmcs_write_IO_BITMAP_B(virt_to_phys(vm->io_bitmap_high).v);
	vmcs_write_MSR_BITMAP(virt_to_phys(vm->msr_bitmap).v);
	vmcs_write_EPTP(ept_pointer(&vm->ept));
	if (proc2 & PROC2_CTL_VPID)
		vmcs_write_VPID(vv->tlb.vpid);
	vmcs_write_VMCS_LINK(~0ul);
	vmcs_write_CR0_MASK(vmx_cr0_always() | vmx_cr0_never());
	vmcs_write_CR4_MASK(~cr4_free());
	if (vmx_config.controls.word[CTL_PROC] & PROC_TSC_OFFSETTING)
		vmcs_write_TSC_OFFSET(0);
}

/*
 * The host state: what the CPU has after a VM exit. Each field of that area is here once; the
 * accessors make a value of the wrong width an error. What the limits of GDTR and IDTR and the
 * attributes of segments become is fixed: see "Loading Host Segment and Descriptor-Table
 * Registers".
 */
#define HOST_STATE_COMMON(X) /* the same on every CPU */       \
	X(HOST_CR0, read_cr0())                                \
	X(HOST_CR3, read_cr3())                                \
	X(HOST_CR4, read_cr4())                                \
	X(HOST_PAT, rdmsr(MSR_PAT))                            \
	X(HOST_EFER, rdmsr(MSR_EFER))                          \
	X(HOST_CS_SELECTOR, HOST_CS)                           \
	X(HOST_SS_SELECTOR, HOST_SS)                           \
	X(HOST_DS_SELECTOR, 0)                                 \
	X(HOST_ES_SELECTOR, 0)                                 \
	X(HOST_FS_SELECTOR, 0)                                 \
	X(HOST_GS_SELECTOR, 0)                                 \
	X(HOST_TR_SELECTOR, HOST_TR)                           \
	X(HOST_FS_BASE, 0)                                     \
	X(HOST_SYSENTER_CS, 0) /* the host uses no SYSENTER */ \
	X(HOST_SYSENTER_ESP, 0)                                \
	X(HOST_SYSENTER_EIP, 0)                                \
	X(HOST_RIP, (uint64_t)vmx_exit)                        \
	X(HOST_RSP, 0) /* entry.S writes this CPU's before an entry */

#define HOST_STATE_CPU(X) /* where the vCPU is loaded */ \
	X(HOST_GS_BASE, (uint64_t)cpu)                   \
	X(HOST_TR_BASE, (uint64_t)cpu->tss)              \
	X(HOST_GDTR_BASE, (uint64_t)cpu->gdt)            \
	X(HOST_IDTR_BASE, idtr.base)

#define X(field, value) vmcs_write_##field(value);
static void write_host_state(void)
{
	HOST_STATE_COMMON(X)
}

void vmx_write_host_cpu(const struct percpu *cpu)
{
	struct {
		uint16_t limit;
		uint64_t base;
	} packed idtr;

	__asm__ volatile("sidt %0" : "=m"(idtr));
	HOST_STATE_CPU(X)
}
#undef X

/* Segments at reset: selector, base, limit, attributes. */
static const struct vcpu_segment reset_segments[SEG_COUNT] = {
	[SEG_ES] = {.attr = 0x93, .limit = 0xffff},
	[SEG_CS] = {.selector = 0xf000, .attr = 0x9b, .limit = 0xffff, .base = 0xffff0000},
	[SEG_SS] = {.attr = 0x93, .limit = 0xffff},
	[SEG_DS] = {.attr = 0x93, .limit = 0xffff},
	[SEG_FS] = {.attr = 0x93, .limit = 0xffff},
	[SEG_GS] = {.attr = 0x93, .limit = 0xffff},
	[SEG_LDTR] = {.attr = 0x82, .limit = 0xffff},
	[SEG_TR] = {.attr = 0x8b, .limit = 0xffff},
};

static const struct {
	uint8_t reg;
	uint64_t value;
} reset_regs[] = {
	{REG_CR0, 0x60000010},
	{REG_CR3, 0},
	{REG_CR4, 0},
	{REG_CR2, 0},
	{REG_CR8, 0},
	{REG_EFER, 0},
	{REG_RIP, 0xfff0},
	{REG_RSP, 0},
	{REG_RFLAGS, 2},
	{REG_DR0, 0},
	{REG_DR1, 0},
	{REG_DR2, 0},
	{REG_DR3, 0},
	{REG_DR6, 0xffff0ff0},
	{REG_DR7, 0x400},
	{REG_PAT, 0x0007040600070406},
	{REG_SYSENTER_CS, 0},
	{REG_SYSENTER_ESP, 0},
	{REG_SYSENTER_EIP, 0},
	{REG_STAR, 0},
	{REG_LSTAR, 0},
	{REG_CSTAR, 0},
	{REG_FMASK, 0},
	{REG_KERNEL_GS_BASE, 0},
	{REG_TSC_AUX, 0},
	{REG_GDTR_BASE, 0},
	{REG_GDTR_LIMIT, 0xffff},
	{REG_IDTR_BASE, 0},
	{REG_IDTR_LIMIT, 0xffff},
	{REG_INT_SHADOW, 0},
	{REG_HALTED, 0},
};

void vmx_vcpu_reset(struct vcpu *v)
{
	memset(v->gpr, 0, sizeof(v->gpr));
	v->gpr[REG_RDX] = boot_cpu_features.leaf1.eax;
	vmx_debug_regs_live(v->virt, false);
	for (size_t i = 0; i < array_count(reset_regs); i++)
		vmx_set_reg(v, (enum vcpu_reg)reset_regs[i].reg, reset_regs[i].value);
	for (unsigned i = 0; i < SEG_COUNT; i++)
		vmx_set_segment(v, (enum vcpu_segreg)i, &reset_segments[i]);
	vmcs_write_GUEST_ACTIVITY(0);
	vmcs_write_GUEST_PENDING_DBG(0);
	vmcs_write_GUEST_DEBUGCTL(0);
	vmcs_write_ENTRY_INTR_INFO(0);
	vmx_want_window(v, EVENT_EXTINT, false);
	vmx_want_window(v, EVENT_NMI, false);
}

int vmx_vcpu_init(struct vcpu *v, struct virt_vm *vm, struct arena *arena)
{
	struct virt_vcpu *vv = arena_alloc(arena, sizeof(*vv), 64);
	uint32_t *region;

	if (!vv || arena_frames(arena, 0, &vv->vmcs))
		return E_NOMEM;
	region = phys_to_virt(vv->vmcs);
	region[0] = vmx_caps_revision(&vmx_config.caps);
	vv->vm = vm;
	vmx_tlb_reset(&vv->tlb, vmx_tlb_vpid(vm->use_vpid, vm->id, v->id));
	v->virt = vv;
	vmx_quick_init(v);
	check(vmx_vmclear(vv->vmcs) == VMX_SUCCEED && vmx_vmptrld(vv->vmcs) == VMX_SUCCEED);
	write_controls(vv);
	write_host_state();
	vmx_vcpu_reset(v);
	vv->bound_to = vv->loaded_on = this_cpu()->index + 1;
	vmx_vcpu_unload(v);
	return OK;
}
