/*
 * When cached translations of guests must be invalidated, and doing it. Private to vmx/. Knows no
 * VMCS and no page table, only the EPT pointer and a generation number.
 * Source: Intel SDM Vol. 3C, "Caching Translation Information".
 */
#pragma once

#include <crvm/compiler.h>
#include "caps.h"

/* A vCPU's view of the TLBs, kept by whoever enters it. */
struct vmx_tlb {
	uint16_t vpid;	     /* 0: no VPID, each VM entry and exit flushes linear mappings */
	uint32_t cpu;	     /* where it entered last, or VMX_TLB_NOWHERE */
	uint64_t generation; /* of the EPT, as it was then */
};

#define VMX_TLB_NOWHERE UINT32_MAX

/* What is due before a VM entry: a set. */
enum vmx_tlb_due {
	VMX_TLB_INVEPT = 1u << 0,
	VMX_TLB_INVVPID = 1u << 1,
};

/* The types of INVEPT and INVVPID that are used; 0 is none (INVVPID's type 0 is for one address).
 */
enum vmx_tlb_type {
	VMX_TLB_NONE = 0,
	VMX_TLB_SINGLE = 1,
	VMX_TLB_ALL = 2,
};

enum vmx_tlb_type vmx_tlb_invept_type(const struct vmx_caps *c);
/* VMX_TLB_NONE if there is no VPID, or no way to flush one: then vpid must be 0. */
enum vmx_tlb_type vmx_tlb_invvpid_type(const struct vmx_caps *c);

#define VMX_TLB_VMS_MAX	  1023u
#define VMX_TLB_VCPUS_MAX 64u

/*
 * A VPID that no other vCPU has. 0, which is none, if `use` is false or the ids are beyond the
 * limits above. `use`: the VM wants one, and vmx_tlb_invvpid_type is not VMX_TLB_NONE.
 */
uint16_t vmx_tlb_vpid(bool use, unsigned vm_id, unsigned vcpu_id);

/* A vCPU that has not run; or has, but everything cached for it is to be forgotten. */
void vmx_tlb_reset(struct vmx_tlb *t, uint16_t vpid);

/*
 * A set of enum vmx_tlb_due: what must be invalidated before the vCPU enters on physical CPU `cpu`,
 * where the EPT is at `generation` (struct ept).
 */
unsigned vmx_tlb_due(const struct vmx_tlb *t, uint32_t cpu, uint64_t generation);

/* Once, by probe: from what all CPUs have in common. */
void vmx_tlb_init(const struct vmx_caps *c);

/* On this CPU, in VMX operation; panics (check) if the instruction fails. */
void vmx_tlb_flush_ept(uint64_t eptp);
void vmx_tlb_flush_vpid(uint16_t vpid); /* nothing for 0 */

/* Before each VM entry on this CPU, which is `cpu`: does what is due, and notes it. Interrupts off.
 */
void vmx_tlb_enter(struct vmx_tlb *t, uint32_t cpu, uint64_t eptp, uint64_t generation);
