/*
 * INVEPT and INVVPID, and the decision when each is due. It must not know the VMCS, the layout of
 * page tables, or why they changed. Source: Intel SDM Vol. 3C, "Invalidating Cached Translation
 * Information", "Guidelines for Use of the INVVPID Instruction", "Guidelines for Use of the INVEPT
 * Instruction"; "INVEPT", "INVVPID".
 */
#include "tlb.h"

#include <crvm/panic.h>
#include "insn.h"

struct invept_descriptor {
	uint64_t eptp, reserved;
};
struct invvpid_descriptor {
	uint16_t vpid, reserved[3];
	uint64_t linear;
};
_Static_assert(sizeof(struct invept_descriptor) == 16, "128 bits");
_Static_assert(sizeof(struct invvpid_descriptor) == 16, "128 bits");

/* IA32_VMX_EPT_VPID_CAP: Vol. 3D, "VPID and EPT Capabilities". */
enum {
	CAP_INVVPID = 32,
	CAP_INVVPID_SINGLE = 41,
	CAP_INVVPID_ALL = 42,
};

/* Written by probe, before any other CPU enters; constant from then on. */
static enum vmx_tlb_type invept_type, invvpid_type;

static must_check enum vmx_result vmx_invept(uint64_t type, const struct invept_descriptor *d)
{
	__asm__ goto("invept %0, %1\n\t"
		     "jc %l[invalid]\n\t"
		     "jz %l[valid]"
		     :
		     : "m"(*d), "r"(type)
		     : "cc", "memory"
		     : invalid, valid);
	return VMX_SUCCEED;
invalid:
	return VMX_FAIL_INVALID;
valid:
	return VMX_FAIL_VALID;
}

static must_check enum vmx_result vmx_invvpid(uint64_t type, const struct invvpid_descriptor *d)
{
	__asm__ goto("invvpid %0, %1\n\t"
		     "jc %l[invalid]\n\t"
		     "jz %l[valid]"
		     :
		     : "m"(*d), "r"(type)
		     : "cc", "memory"
		     : invalid, valid);
	return VMX_SUCCEED;
invalid:
	return VMX_FAIL_INVALID;
valid:
	return VMX_FAIL_VALID;
}

static bool cap_bit(const struct vmx_caps *c, unsigned bit)
{
	return vmx_caps_bit(c, CAP_VMX_EPT_VPID_CAP, bit);
}

enum vmx_tlb_type vmx_tlb_invept_type(const struct vmx_caps *c)
{
	if (!cap_bit(c, EPT_INVEPT))
		return VMX_TLB_NONE;
	if (cap_bit(c, EPT_INVEPT_SINGLE))
		return VMX_TLB_SINGLE;
	return cap_bit(c, EPT_INVEPT_ALL) ? VMX_TLB_ALL : VMX_TLB_NONE;
}

enum vmx_tlb_type vmx_tlb_invvpid_type(const struct vmx_caps *c)
{
	if (!vmx_caps_bit(c, CAP_VMX_PROCBASED_CTLS2, PROC2_VPID) || !cap_bit(c, CAP_INVVPID))
		return VMX_TLB_NONE;
	if (cap_bit(c, CAP_INVVPID_SINGLE))
		return VMX_TLB_SINGLE;
	return cap_bit(c, CAP_INVVPID_ALL) ? VMX_TLB_ALL : VMX_TLB_NONE;
}

/* VM 0 begins at the second row of ids, so that the first one, which holds 0, stays empty. */
_Static_assert((VMX_TLB_VMS_MAX + 1) * VMX_TLB_VCPUS_MAX - 1 == UINT16_MAX, "all of 16 bits");

uint16_t vmx_tlb_vpid(bool use, unsigned vm_id, unsigned vcpu_id)
{
	if (!use || vm_id >= VMX_TLB_VMS_MAX || vcpu_id >= VMX_TLB_VCPUS_MAX)
		return 0;
	return (uint16_t)((vm_id + 1) * VMX_TLB_VCPUS_MAX + vcpu_id);
}

void vmx_tlb_reset(struct vmx_tlb *t, uint16_t vpid)
{
	*t = (struct vmx_tlb){.vpid = vpid, .cpu = VMX_TLB_NOWHERE};
}

/*
 * A CPU that the vCPU comes to may still hold what it, or a former user of its VPID and EPT root,
 * left there, and has missed every invalidation made elsewhere since. On the CPU where it stays,
 * only a change of the EPT matters: INVEPT drops the combined mappings of all VPIDs as well.
 * Without VPID, VM entry drops the linear and combined mappings, but not the guest-physical ones.
 */
unsigned vmx_tlb_due(const struct vmx_tlb *t, uint32_t cpu, uint64_t generation)
{
	if (t->cpu == VMX_TLB_NOWHERE || t->cpu != cpu)
		return VMX_TLB_INVEPT | (t->vpid ? VMX_TLB_INVVPID : 0);
	return t->generation != generation ? VMX_TLB_INVEPT : 0;
}

void vmx_tlb_init(const struct vmx_caps *c)
{
	invept_type = vmx_tlb_invept_type(c);
	invvpid_type = vmx_tlb_invvpid_type(c);
}

/* For all contexts the descriptor does not count, but its reserved bits must be 0 always. */
void vmx_tlb_flush_ept(uint64_t eptp)
{
	const struct invept_descriptor d = {.eptp = eptp};

	check(invept_type != VMX_TLB_NONE);
	check(vmx_invept(invept_type, &d) == VMX_SUCCEED);
}

void vmx_tlb_flush_vpid(uint16_t vpid)
{
	const struct invvpid_descriptor d = {.vpid = vpid};

	if (vpid == 0)
		return;
	check(invvpid_type != VMX_TLB_NONE);
	check(vmx_invvpid(invvpid_type, &d) == VMX_SUCCEED);
}

void vmx_tlb_enter(struct vmx_tlb *t, uint32_t cpu, uint64_t eptp, uint64_t generation)
{
	unsigned due = vmx_tlb_due(t, cpu, generation);

	if (likely(due == 0))
		return;
	if (due & VMX_TLB_INVEPT)
		vmx_tlb_flush_ept(eptp);
	if (due & VMX_TLB_INVVPID)
		vmx_tlb_flush_vpid(t->vpid);
	t->cpu = cpu;
	t->generation = generation;
}
