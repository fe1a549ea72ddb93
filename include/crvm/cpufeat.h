/*
 * What the physical CPU offers to the host kernel (arch/x86_64/cpufeat.c).
 * Source: Intel SDM Vol. 2A, "CPUID - CPU Identification".
 */
#pragma once

#include <crvm/cpu.h>
#include <crvm/feature.h>
#include <crvm/verdict.h>

struct cpu_features {
	char vendor[13];
	char brand[49];
	unsigned family, model, stepping;
	unsigned phys_bits; /* MAXPHYADDR */
	uint32_t max_leaf, max_ext_leaf;
	struct cpuid_regs leaf1, leaf7, ext1, ext7;
	uint32_t leaf6_eax;
	bool hypervisor; /* we run under one */
	char hypervisor_vendor[13];
};

void cpufeat_read(struct cpu_features *f, const struct cpu_ops *ops);

enum cpu_feature {
	CPUF_NX,
	CPUF_GB_PAGES,
	CPUF_SMEP,
	CPUF_SMAP,
	CPUF_UMIP,
	CPUF_PAT,
	CPUF_X2APIC,
	CPUF_TSC_DEADLINE,
	CPUF_INVARIANT_TSC,
	CPUF_ARAT,
	CPUF_XSAVE,
	CPUF_AVX,
	CPUF_PCID,
	CPUF_COUNT
};

bool cpufeat_has(const struct cpu_features *f, enum cpu_feature feature);
/* CPUF_COUNT rows. The table is static: of the last call. */
const struct feature *cpufeat_table(const struct cpu_features *f);
/* Adds an item for the first feature word in which the CPUs differ. */
void cpufeat_compare(const struct cpu_features *boot, const struct cpu_features *other,
		     unsigned cpu, struct verdict *v);

/* The boot CPU's. */
extern struct cpu_features boot_cpu_features;

/* Control registers, EFER, PAT of this CPU as the host kernel wants them, as far as the CPU has
 * them. */
void cpufeat_enable(const struct cpu_features *f);
