/*
 * Reads what a CPU says about its VMX, and judges it. Pure functions over struct cpu_ops: this file
 * executes no privileged instruction, keeps no state, and must not know which CPU it runs on.
 * Source: Intel SDM Vol. 3D, Appendix A, "VMX Capability Reporting Facility"; Vol. 3C, "Enabling
 * and Entering VMX Operation"; Vol. 3C, "VM-Execution Control Fields" for the names of the
 * controls.
 */
#include "caps.h"

#include <crvm/string.h>

static const struct {
	uint32_t number;
	const char *name;
} cap_msr[CAP_COUNT] = {
#define X(n) [CAP_##n] = {MSR_##n, "IA32_" #n},
	VMX_CAP_MSRS(X)
#undef X
};

/* Appendix A tells for each MSR when it exists; one that does not must not be read. */
static bool cap_exists(const struct vmx_caps *c, enum vmx_cap cap)
{
	switch (cap) {
	case CAP_VMX_PROCBASED_CTLS2:
		return vmx_caps_bit(c, CAP_VMX_PROCBASED_CTLS, PROC_SECONDARY);
	case CAP_VMX_EPT_VPID_CAP:
		return vmx_caps_bit(c, CAP_VMX_PROCBASED_CTLS2, PROC2_EPT) ||
		       vmx_caps_bit(c, CAP_VMX_PROCBASED_CTLS2, PROC2_VPID);
	case CAP_VMX_TRUE_PINBASED_CTLS:
	case CAP_VMX_TRUE_PROCBASED_CTLS:
	case CAP_VMX_TRUE_EXIT_CTLS:
	case CAP_VMX_TRUE_ENTRY_CTLS:
		return vmx_caps_bit(c, CAP_VMX_BASIC, BASIC_TRUE_CTLS);
	case CAP_VMX_VMFUNC:
		return vmx_caps_bit(c, CAP_VMX_PROCBASED_CTLS2, PROC2_VMFUNC);
	default:
		return vmx_caps_vmx(c);
	}
}

static void cap_read(struct vmx_caps *c, enum vmx_cap cap, const struct cpu_ops *ops)
{
	uint64_t value;

	if (ops->rdmsr(ops->ctx, cap_msr[cap].number, &value) == 0)
		c->msr[cap] = value;
	else
		c->faulted |= 1u << cap;
}

/* The vendor is printed, and under a hypervisor it can be any twelve bytes. */
static void caps_set_vendor(struct vmx_caps *c, struct cpuid_regs leaf0)
{
	const uint32_t part[3] = {leaf0.ebx, leaf0.edx, leaf0.ecx};

	for (unsigned i = 0; i < 12; i++) {
		uint32_t ch = part[i / 4] >> 8 * (i % 4) & 0xff;

		c->vendor[i] = (char)(ch >= ' ' && ch <= '~' ? ch : '?');
	}
}

void vmx_caps_read(struct vmx_caps *c, const struct cpu_ops *ops)
{
	struct cpuid_regs leaf0 = ops->cpuid(ops->ctx, 0, 0);

	*c = (struct vmx_caps){0};
	caps_set_vendor(c, leaf0);
	if (leaf0.eax >= 1)
		c->cpuid1_ecx = ops->cpuid(ops->ctx, 1, 0).ecx;
	for (enum vmx_cap cap = 0; cap < CAP_COUNT; cap++)
		if (cap_exists(c, cap))
			cap_read(c, cap, ops);
}

void vmx_caps_unlock(struct vmx_caps *c, const struct cpu_ops *ops)
{
	uint64_t old = c->msr[CAP_FEATURE_CONTROL];

	if (!vmx_caps_vmx(c) || c->faulted & 1u << CAP_FEATURE_CONTROL ||
	    old & FEATURE_CONTROL_LOCK)
		return;
	if (ops->wrmsr(ops->ctx, MSR_FEATURE_CONTROL,
		       old | FEATURE_CONTROL_VMX | FEATURE_CONTROL_LOCK) != 0)
		c->unlock_faulted = true;
	/* A hypervisor below may drop the write without a fault: only what reads back counts. */
	cap_read(c, CAP_FEATURE_CONTROL, ops);
}

/* The verdict. */

#define BETTER_CPU                                                                               \
	"use an Intel CPU of the Westmere family (2010) or newer; in a VM, have the hypervisor " \
	"below offer it (QEMU: -accel kvm -cpu host)"

/* What makes a missing bit mean nothing new: the item for its cause is there already. */
enum need_when { ALWAYS, IF_SECONDARY, IF_EPT };

/*
 * Bits that must be 1. For controls this is the allowed 1-setting, and the IA32_VMX_TRUE_* MSRs say
 * the same: they differ in the allowed 0-settings only.
 */
struct need {
	enum vmx_cap cap;
	unsigned bit; /* in the MSR */
	enum need_when when;
	const char *fact, *todo;
};

#define NEED(when, cap, bit, fact, why)                                             \
	{                                                                           \
		CAP_##cap, bit, when, fact, "CRVM needs it to " why ": " BETTER_CPU \
	}
#define CONTROL(cap, bit, name, why) NEED(ALWAYS, cap, bit, "No VMX control \"" name "\"", why)

static const struct need needs[] = {
	NEED(IF_SECONDARY, VMX_PROCBASED_CTLS2, PROC2_EPT, "No EPT (nested page tables)",
	     "divide memory among VMs"),
	NEED(IF_EPT, VMX_PROCBASED_CTLS2, 39, "No unrestricted guest: VMs cannot run real mode",
	     "start VMs as a PC starts"),
	NEED(IF_EPT, VMX_EPT_VPID_CAP, 6, "EPT does not walk 4 levels", "map the memory of VMs"),
	NEED(IF_EPT, VMX_EPT_VPID_CAP, 14, "EPT tables cannot be in write-back memory",
	     "walk its tables at full speed"),
	NEED(IF_EPT, VMX_EPT_VPID_CAP, EPT_INVEPT, "No INVEPT: EPT changes cannot be flushed",
	     "take memory from VMs"),
	NEED(ALWAYS, VMX_BASIC, BASIC_IO_INFO, "VM exits do not describe INS and OUTS",
	     "emulate string I/O"),
	CONTROL(VMX_PINBASED_CTLS, 32, "external-interrupt exiting", "keep its own interrupts"),
	CONTROL(VMX_PINBASED_CTLS, 35, "NMI exiting", "keep its own NMIs"),
	CONTROL(VMX_PINBASED_CTLS, 37, "virtual NMIs", "give VMs NMIs of their own"),
	CONTROL(VMX_PROCBASED_CTLS, 34, "interrupt-window exiting", "deliver interrupts in time"),
	CONTROL(VMX_PROCBASED_CTLS, 39, "HLT exiting", "let other VMs run meanwhile"),
	CONTROL(VMX_PROCBASED_CTLS, 54, "NMI-window exiting", "deliver NMIs in time"),
	CONTROL(VMX_PROCBASED_CTLS, 57, "use I/O bitmaps", "keep VMs from I/O ports"),
	CONTROL(VMX_PROCBASED_CTLS, 60, "use MSR bitmaps", "keep VMs from MSRs"),
	CONTROL(VMX_PROCBASED_CTLS, PROC_SECONDARY, "activate secondary controls", "have EPT"),
	CONTROL(VMX_EXIT_CTLS, 41, "host address-space size", "return to 64-bit mode"),
	CONTROL(VMX_EXIT_CTLS, 47, "acknowledge interrupt on exit", "learn which one came"),
	CONTROL(VMX_EXIT_CTLS, 50, "save IA32_PAT", "keep each VM's memory types"),
	CONTROL(VMX_EXIT_CTLS, 51, "load IA32_PAT on exit", "keep its own memory types"),
	CONTROL(VMX_EXIT_CTLS, 52, "save IA32_EFER", "keep each VM's mode"),
	CONTROL(VMX_EXIT_CTLS, 53, "load IA32_EFER on exit", "keep its own mode"),
	CONTROL(VMX_ENTRY_CTLS, 41, "IA-32e mode guest", "run 64-bit VMs"),
	CONTROL(VMX_ENTRY_CTLS, 46, "load IA32_PAT on entry", "keep each VM's memory types"),
	CONTROL(VMX_ENTRY_CTLS, 47, "load IA32_EFER on entry", "keep each VM's mode"),
};

#define MSR_FMT		 "%s (MSR %Xh) = 0x%lx"
#define MSR_ARGS(c, cap) cap_msr[cap].name, cap_msr[cap].number, (c)->msr[cap]

static void verdict_no_vmx(const struct vmx_caps *c, struct verdict *v)
{
	if (strcmp(c->vendor, "GenuineIntel") != 0)
		verdict_add(
			v, "No VMX on this CPU: it is not Intel's, and AMD SVM is not supported",
			"run CRVM on an Intel CPU of the Westmere family (2010) or newer; in a VM, "
			"on such a host with nested virtualization (QEMU: -accel kvm -cpu host "
			"with kvm_intel nested=1)",
			"CPUID.0: vendor \"%s\"; CPUID.1:ECX = 0x%x: VMX (bit 5) clear", c->vendor,
			c->cpuid1_ecx);
	else
		verdict_add(
			v, "No VMX (Intel VT-x) on this CPU",
			"enable VT-x in the firmware setup; if it is not there, use a CPU that has "
			"it. In a VM, enable nested virtualization below: QEMU -accel kvm -cpu "
			"host with kvm_intel nested=1",
			"CPUID.1:ECX = 0x%x: VMX (bit 5) clear; vendor \"%s\"", c->cpuid1_ecx,
			c->vendor);
}

static enum vmx_cap caps_first_fault(const struct vmx_caps *c)
{
	return (enum vmx_cap)__builtin_ctz(c->faulted);
}

static void verdict_feature_control(const struct vmx_caps *c, struct verdict *v)
{
	uint64_t value = c->msr[CAP_FEATURE_CONTROL];
	const char *saw;

	if (value & FEATURE_CONTROL_LOCK && value & FEATURE_CONTROL_VMX)
		return;
	if (value & FEATURE_CONTROL_LOCK) {
		verdict_add(
			v, "VMX is locked off in firmware",
			"enable Intel Virtualization Technology (VT-x, VMX) in the firmware setup, "
			"then switch the machine off and on: only a power-up clears the lock",
			MSR_FMT ": lock bit 0 set, bit 2 clear", MSR_ARGS(c, CAP_FEATURE_CONTROL));
		return;
	}
	saw = c->unlock_faulted ? "writing bits 0 and 2 faulted" : "bit 0 clear, not locked";
	verdict_add(
		v, "VMX cannot be enabled",
		"enable Intel Virtualization Technology (VT-x, VMX) in the firmware setup; in a "
		"VM, "
		"have the hypervisor below allow VMXON: it must lock IA32_FEATURE_CONTROL with bit "
		"2 set",
		MSR_FMT ": %s", MSR_ARGS(c, CAP_FEATURE_CONTROL), saw);
}

static void verdict_regions(const struct vmx_caps *c, struct verdict *v)
{
	unsigned size = vmx_caps_region_size(c);
	unsigned type = vmx_caps_memory_type(c);

	if (size == 0 || size > 4096)
		verdict_add(
			v, "VMCS regions do not have a size from 1 to 4096 bytes",
			"no Intel CPU says so: report it to whoever makes the hypervisor below, "
			"or the firmware",
			MSR_FMT ": bits 44:32 say %u bytes", MSR_ARGS(c, CAP_VMX_BASIC), size);
	if (type != VMX_MEMORY_TYPE_WB)
		verdict_add(v, "VMCS regions cannot be in write-back memory",
			    "CRVM has all memory write-back: " BETTER_CPU,
			    MSR_FMT ": memory type in bits 53:50 is %u, not 6",
			    MSR_ARGS(c, CAP_VMX_BASIC), type);
}

void vmx_caps_verdict(const struct vmx_caps *c, struct verdict *v)
{
	bool secondary = vmx_caps_bit(c, CAP_VMX_PROCBASED_CTLS, PROC_SECONDARY);
	bool ept = vmx_caps_bit(c, CAP_VMX_PROCBASED_CTLS2, PROC2_EPT);

	if (!vmx_caps_vmx(c)) {
		verdict_no_vmx(c, v);
		return;
	}
	if (c->faulted) {
		enum vmx_cap cap = caps_first_fault(c);

		verdict_add(v, "The CPU does not show its VMX capabilities",
			    "only a faulty hypervisor below does so: update it",
			    "reading %s (MSR %Xh) faulted; CPUID.1:ECX = 0x%x: VMX (bit 5) set",
			    cap_msr[cap].name, cap_msr[cap].number, c->cpuid1_ecx);
		return;
	}
	verdict_feature_control(c, v);
	verdict_regions(c, v);
	for (unsigned i = 0; i < array_count(needs); i++) {
		const struct need *n = &needs[i];

		if ((n->when == IF_SECONDARY && !secondary) || (n->when == IF_EPT && !ept) ||
		    vmx_caps_bit(c, n->cap, n->bit))
			continue;
		verdict_add(v, n->fact, n->todo, MSR_FMT ": bit %u clear", MSR_ARGS(c, n->cap),
			    n->bit);
	}
	if (vmx_caps_bit(c, CAP_VMX_EPT_VPID_CAP, EPT_INVEPT) && ept &&
	    !vmx_caps_bit(c, CAP_VMX_EPT_VPID_CAP, EPT_INVEPT_SINGLE) &&
	    !vmx_caps_bit(c, CAP_VMX_EPT_VPID_CAP, EPT_INVEPT_ALL))
		verdict_add(v, "INVEPT has neither a single-context nor an all-context type",
			    "CRVM needs one to take memory from VMs: " BETTER_CPU,
			    MSR_FMT ": bits 25 and 26 clear", MSR_ARGS(c, CAP_VMX_EPT_VPID_CAP));
}

bool vmx_caps_compare(const struct vmx_caps *boot, const struct vmx_caps *other, unsigned cpu,
		      struct verdict *v)
{
	static const char fact[] = "The CPUs do not offer the same VMX";
	static const char todo[] =
		"update the firmware, so that all CPUs get the same settings and "
		"microcode; in a VM, give all virtual CPUs the same model";

	if (vmx_caps_vmx(boot) != vmx_caps_vmx(other)) {
		verdict_add(v, fact, todo,
			    "CPU %u: CPUID.1:ECX = 0x%x, boot CPU: 0x%x: VMX (bit 5)", cpu,
			    other->cpuid1_ecx, boot->cpuid1_ecx);
		return false;
	}
	for (enum vmx_cap cap = 0; cap < CAP_COUNT; cap++) {
		uint64_t mask = cap == CAP_FEATURE_CONTROL
					? FEATURE_CONTROL_LOCK | FEATURE_CONTROL_VMX
					: UINT64_MAX;

		if ((boot->faulted ^ other->faulted) >> cap & 1) {
			verdict_add(v, fact, todo, "CPU %u: reading %s (MSR %Xh) %s", cpu,
				    cap_msr[cap].name, cap_msr[cap].number,
				    other->faulted >> cap & 1 ? "faulted" : "did not fault");
			return false;
		}
		if ((boot->msr[cap] ^ other->msr[cap]) & mask) {
			verdict_add(v, fact, todo, "CPU %u: " MSR_FMT ", boot CPU: 0x%lx", cpu,
				    MSR_ARGS(other, cap), boot->msr[cap]);
			return false;
		}
	}
	return true;
}

_Static_assert(CAP_VMX_CR0_FIXED1 == CAP_VMX_CR0_FIXED0 + 1, "check_cr takes the next one");
_Static_assert(CAP_VMX_CR4_FIXED1 == CAP_VMX_CR4_FIXED0 + 1, "check_cr takes the next one");

static bool check_cr(const struct vmx_caps *c, unsigned cpu, enum vmx_cap cap, const char *name,
		     uint64_t value, struct verdict *v)
{
	uint64_t fixed0 = c->msr[cap], fixed1 = c->msr[cap + 1];

	if (vmx_cr_allowed(fixed0, fixed1, value))
		return true;
	verdict_add(v, "A control register does not fit VMX operation",
		    "report this line: CRVM, or the hypervisor below, is wrong",
		    "CPU %u: %s = 0x%lx; MSR %Xh wants 0x%lx set, MSR %Xh wants 0x%lx clear", cpu,
		    name, value, cap_msr[cap].number, fixed0 & ~value, cap_msr[cap + 1].number,
		    value & ~fixed1);
	return false;
}

bool vmx_caps_check_cr(const struct vmx_caps *c, unsigned cpu, uint64_t cr0, uint64_t cr4,
		       struct verdict *v)
{
	bool cr0_fits = check_cr(c, cpu, CAP_VMX_CR0_FIXED0, "CR0", cr0, v);

	return check_cr(c, cpu, CAP_VMX_CR4_FIXED0, "CR4", cr4, v) && cr0_fits;
}

/* The table of features. */

#define FEATURE(name_, msr_, bit_, without_)                                                      \
	{                                                                                         \
		CAP_##msr_, bit_,                                                                 \
		{                                                                                 \
			.name = name_, .source = "IA32_" #msr_ "[" #bit_ "]", .without = without_ \
		}                                                                                 \
	}

static const struct {
	enum vmx_cap cap;
	unsigned bit;
	struct feature row;
} features[] = {
	FEATURE("EPT", VMX_PROCBASED_CTLS2, 33, NULL),
	FEATURE("unrestricted guest", VMX_PROCBASED_CTLS2, 39, NULL),
	FEATURE("virtual NMIs", VMX_PINBASED_CTLS, 37, NULL),
	FEATURE("INS/OUTS information", VMX_BASIC, 54, NULL),
	FEATURE("MSR bitmaps", VMX_PROCBASED_CTLS, 60, NULL),
	FEATURE("I/O bitmaps", VMX_PROCBASED_CTLS, 57, NULL),
	FEATURE("INVEPT", VMX_EPT_VPID_CAP, 20, NULL),
	FEATURE("EPT 2 MiB pages", VMX_EPT_VPID_CAP, 16, "VM memory is mapped in 4 KiB pages"),
	FEATURE("EPT 1 GiB pages", VMX_EPT_VPID_CAP, 17, "VM memory is mapped in smaller pages"),
	FEATURE("EPT accessed/dirty flags", VMX_EPT_VPID_CAP, 21,
		"written pages are found by write-protecting them"),
	FEATURE("EPT execute-only pages", VMX_EPT_VPID_CAP, 0, "what can be executed can be read"),
	FEATURE("VPID", VMX_PROCBASED_CTLS2, 37, "every VM entry and exit flushes the TLB"),
	FEATURE("INVVPID", VMX_EPT_VPID_CAP, 32, "VPID is not used"),
	FEATURE("VMX-preemption timer", VMX_PINBASED_CTLS, 38,
		"time slices end by a local APIC interrupt"),
	FEATURE("TSC offsetting", VMX_PROCBASED_CTLS, 35, "VMs see the host's TSC"),
	FEATURE("TSC scaling", VMX_PROCBASED_CTLS2, 57, "VMs see the TSC at the host's rate"),
	FEATURE("monitor trap flag", VMX_PROCBASED_CTLS, 59, "single steps use RFLAGS.TF"),
	FEATURE("PAUSE-loop exiting", VMX_PROCBASED_CTLS2, 42,
		"a spinning vCPU keeps its CPU until its time slice ends"),
	FEATURE("TPR shadow", VMX_PROCBASED_CTLS, 53, "every access to CR8 exits"),
	FEATURE("virtualized APIC accesses", VMX_PROCBASED_CTLS2, 32,
		"accesses to a VM's APIC page exit as EPT violations"),
	FEATURE("x2APIC virtualization", VMX_PROCBASED_CTLS2, 36,
		"accesses to a VM's x2APIC MSRs exit"),
	FEATURE("APIC-register virtualization", VMX_PROCBASED_CTLS2, 40,
		"reads of a VM's APIC registers exit"),
	FEATURE("virtual-interrupt delivery", VMX_PROCBASED_CTLS2, 41,
		"each interrupt is injected at a VM entry"),
	FEATURE("posted interrupts", VMX_PINBASED_CTLS, 39,
		"a running vCPU is kicked out to get an interrupt"),
	FEATURE("RDTSCP in VMs", VMX_PROCBASED_CTLS2, 35, "hidden from VMs"),
	FEATURE("INVPCID in VMs", VMX_PROCBASED_CTLS2, 44, "hidden from VMs"),
	FEATURE("XSAVES in VMs", VMX_PROCBASED_CTLS2, 52, "hidden from VMs"),
	FEATURE("descriptor-table exiting", VMX_PROCBASED_CTLS2, 34,
		"VMs load descriptor tables unseen"),
	FEATURE("WBINVD exiting", VMX_PROCBASED_CTLS2, 38,
		"a VM's WBINVD flushes the host's caches"),
	FEATURE("page-modification log (PML)", VMX_PROCBASED_CTLS2, 49,
		"written pages are found by scanning or write-protecting"),
	FEATURE("VM functions", VMX_PROCBASED_CTLS2, 45, "VMFUNC is invalid in VMs"),
	FEATURE("EPTP switching by VMFUNC", VMX_VMFUNC, 0, "VMs cannot change their EPT tables"),
	FEATURE("EPT-violation #VE", VMX_PROCBASED_CTLS2, 50, "every EPT violation exits"),
	FEATURE("mode-based execute control", VMX_PROCBASED_CTLS2, 54,
		"one execute permission for user and supervisor code"),
	FEATURE("sub-page write permission (SPP)", VMX_PROCBASED_CTLS2, 55,
		"write protection covers whole pages"),
	FEATURE("VMCS shadowing", VMX_PROCBASED_CTLS2, 46, "nothing: VMs are offered no VMX"),
};
_Static_assert(array_count(features) <= VMX_FEATURES_MAX, "the caller's array holds all rows");

unsigned vmx_caps_features(const struct vmx_caps *c, struct feature rows[VMX_FEATURES_MAX])
{
	for (unsigned i = 0; i < array_count(features); i++) {
		rows[i] = features[i].row;
		rows[i].present = vmx_caps_bit(c, features[i].cap, features[i].bit);
	}
	return array_count(features);
}
