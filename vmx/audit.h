/*
 * The auditor: says which rule of VM entry a VMCS breaks, if the CPU has refused it. Pure functions
 * of a snapshot, the CPU's capabilities and a few facts. Private to vmx/.
 *
 * The rules are those of Intel SDM Vol. 3C, chapter "VM Entries", sections "Checks on VMX Controls
 * and Host-State Area" and "Checking and Loading Guest State", in their order. Not covered are
 * fields that VMCS_FIELDS lacks, because CRVM never sets the controls that they belong to: CET,
 * PKRS, IA32_RTIT_CTL, IA32_LBR_CTL, tertiary and secondary VM-exit controls; and the contents of
 * MSR-load areas, where the exit qualification names the entry.
 */
#pragma once

#include <crvm/cpufeat.h>

#include "caps.h"
#include "snapshot.h"

struct vmx_audit_env {
	unsigned phys_bits;   /* MAXPHYADDR */
	unsigned linear_bits; /* 48, or 57 on a CPU with 5-level paging */
	bool ia32e;	      /* the CPU was in IA-32e mode at VM entry */
	bool rtm, sgx;	      /* the CPU has them */
	uint64_t efer_bits;   /* bits of these MSRs that exist */
	uint64_t debugctl_bits;
	uint64_t perf_global_bits;
	uint64_t vmcs; /* physical address of the VMCS */
	/* 16 bytes of physical memory at a multiple of 16; false if there is none. NULL: never. */
	bool (*read)(void *ctx, uint64_t phys, uint8_t bytes[16]);
	void *ctx;
};

/*
 * Fills in what follows from CPUID, for a CPU in IA-32e mode; bits of model-specific MSRs that
 * cannot be known count as existing. `vmcs`, `read` and `ctx` remain to be set.
 */
void vmx_audit_env_init(struct vmx_audit_env *env, const struct cpu_features *features);

#define VMX_FINDING_FIELDS 4

struct vmx_audit_finding {
	const char *id;	     /* of the rule: "guest-cr0" */
	const char *area;    /* "VMX controls", "host state", "guest state" */
	const char *section; /* title in the SDM */
	const char *rule;    /* what must hold */
	unsigned field_count;
	enum vmcs_index field[VMX_FINDING_FIELDS];
	uint64_t value[VMX_FINDING_FIELDS];
};

/* True: all rules hold. Otherwise `out` tells the first that does not. */
must_check bool vmx_audit(const struct vmcs_snapshot *s, const struct vmx_caps *caps,
			  const struct vmx_audit_env *env, struct vmx_audit_finding *out);

/* "GUEST_CR0=0x11 PROC2_CTLS=0x82"; returns the length that the whole text has. */
int vmx_finding_values(char *buf, size_t size, const struct vmx_audit_finding *f);
