/*
 * The Intel backend: probing, and entering and leaving VMX operation on each CPU. It must not know
 * how many CPUs there are, how they are started, or any VM. Source: Intel SDM Vol. 3C, "Enabling
 * and Entering VMX Operation", "Restrictions on VMX Operation".
 */
#include "insn.h"
#include "vmx.h"

#include <crvm/frames.h>
#include <crvm/cpufeat.h>
#include <crvm/hostmap.h>
#include <crvm/log.h>
#include <crvm/panic.h>
#include <crvm/status.h>
#include <crvm/string.h>
#include <crvm/virt.h>

#define VMX_CPUS_MAX 64u

/* Each CPU touches its own entry only, so there is no lock. */
static struct {
	hpa_t vmxon_region;
	bool on;
} vmx_cpus[VMX_CPUS_MAX];

/* Written by probe, before any other CPU enters; constant from then on. */
struct vmx_config vmx_config;
static struct feature feature_rows[VMX_FEATURES_MAX];
static unsigned feature_count;

/* The control that makes each. */
static const struct {
	enum ctl_word word;
	uint32_t bit;
	const char *name;
} control_of[] = {
	[VIRT_RDTSCP] = {CTL_PROC2, PROC2_CTL_RDTSCP, "enable RDTSCP"},
	[VIRT_TSC_OFFSET] = {CTL_PROC, PROC_TSC_OFFSETTING, "use TSC offsetting"},
	[VIRT_DEADLINE] = {CTL_PIN, PIN_PREEMPTION_TIMER, "VMX-preemption timer"},
};

static bool backend_offers(enum virt_feature feature)
{
	return vmx_config.controls.word[control_of[feature].word] & control_of[feature].bit;
}

static void do_without(unsigned features)
{
	for (unsigned i = 0; i < array_count(control_of); i++) {
		if (!(features >> i & 1) || !backend_offers((enum virt_feature)i))
			continue;
		if (vmx_control_must(&vmx_config.caps, control_of[i].word, control_of[i].bit)) {
			log_warn("without: this CPU forces \"%s\"", control_of[i].name);
			continue;
		}
		vmx_config.controls.word[control_of[i].word] &= ~control_of[i].bit;
		log_info("without \"%s\", as asked", control_of[i].name);
	}
}

/* What VMs will be made with; all that vmx_caps_verdict let pass should do. */
static void backend_configure(unsigned without, struct verdict *v)
{
	struct vmx_control_refusal refusal;

	if (!vmx_controls_choose(&vmx_config.caps, &vmx_config.controls, &refusal)) {
		verdict_add(v, "A VMX control that CRVM needs cannot be had",
			    "use a newer Intel CPU; in a VM, have the hypervisor below offer it",
			    "\"%s\" (%s) %s", refusal.name, refusal.why,
			    refusal.must_be_one ? "cannot be 0" : "cannot be 1");
		return;
	}
	do_without(without);
	vmx_config.preemption_shift = vmx_config.caps.msr[CAP_VMX_MISC] & 31;
	if (mtrr_read(&vmx_config.mtrr, &cpu_ops_native, boot_cpu_features.phys_bits))
		log_warn("the MTRRs cannot be read: VM memory is uncacheable, and slow");
	vmx_tlb_init(&vmx_config.caps);
	if (vmx_vm_setup())
		verdict_add(v, "No memory for the I/O bitmap", "give the machine more memory",
			    "no free frame of 4096 bytes");
}

static void backend_probe(unsigned without, struct verdict *v)
{
	vmx_caps_read(&vmx_config.caps, &cpu_ops_native);
	vmx_caps_unlock(&vmx_config.caps, &cpu_ops_native);
	feature_count = vmx_caps_features(&vmx_config.caps, feature_rows);
	vmx_caps_verdict(&vmx_config.caps, v);
	if (!v->count)
		backend_configure(without, v);
}

static const struct feature *backend_features(unsigned *count)
{
	*count = feature_count;
	return feature_rows;
}

/* Is this CPU like the boot CPU, and in a state in which VMXON does not fault? */
static bool backend_cpu_fits(unsigned cpu, struct verdict *v)
{
	struct vmx_caps caps;

	vmx_caps_read(&caps, &cpu_ops_native);
	vmx_caps_unlock(&caps, &cpu_ops_native);
	return vmx_caps_compare(&vmx_config.caps, &caps, cpu, v) &&
	       vmx_caps_check_cr(&caps, cpu, read_cr0(), read_cr4() | CR4_VMXE, v);
}

static int backend_enter(unsigned cpu, struct verdict *v)
{
	uint64_t cr4 = read_cr4();
	enum vmx_result result;
	uint32_t *region;
	hpa_t frame;

	if (frames_alloc(0, FRAME_HV, &frame) != 0) {
		verdict_add(v, "No memory for the VMXON region", "give the machine more memory",
			    "CPU %u: no free frame of 4096 bytes", cpu);
		return E_IO;
	}
	region = phys_to_virt(frame);
	memset(region, 0, PAGE_SIZE);
	region[0] = vmx_caps_revision(&vmx_config.caps);

	write_cr4(cr4 | CR4_VMXE);
	result = vmx_vmxon(frame);
	if (result != VMX_SUCCEED) {
		/* As it was: if somebody left this CPU in VMX operation, clearing VMXE would fault.
		 */
		write_cr4(cr4);
		frames_free(frame, 0);
		verdict_add(v, "The CPU refuses to enter VMX operation",
			    "report this line: CRVM, or the hypervisor below, is wrong",
			    "CPU %u: VMXON with region 0x%lx, revision 0x%x: %s", cpu, frame.v,
			    vmx_caps_revision(&vmx_config.caps), vmx_result_name(result));
		return E_IO;
	}
	vmx_cpus[cpu].vmxon_region = frame;
	vmx_cpus[cpu].on = true;
	return 0;
}

static int backend_cpu_enable(unsigned cpu, struct verdict *v)
{
	if (cpu >= VMX_CPUS_MAX) {
		verdict_add(v, "More CPUs than CRVM can use",
			    "switch some off in the firmware setup",
			    "CPU %u; the last that can be used is %u", cpu, VMX_CPUS_MAX - 1);
		return E_IO;
	}
	check(vmx_caps_vmx(&vmx_config.caps) && !vmx_cpus[cpu].on);
	if (!backend_cpu_fits(cpu, v))
		return E_IO;
	return backend_enter(cpu, v);
}

static void backend_cpu_disable(unsigned cpu)
{
	check(cpu < VMX_CPUS_MAX && vmx_cpus[cpu].on);
	/* It fails only outside VMX operation or with an SMM monitor, which nobody but CRVM
	 * installs. */
	check(vmx_vmxoff() == VMX_SUCCEED);
	write_cr4(read_cr4() & ~(uint64_t)CR4_VMXE);
	vmx_cpus[cpu].on = false;
	frames_free(vmx_cpus[cpu].vmxon_region, 0);
}

const struct virt_backend vmx_backend = {
	.name = "Intel VMX",
	.probe = backend_probe,
	.features = backend_features,
	.offers = backend_offers,
	.cpu_enable = backend_cpu_enable,
	.cpu_disable = backend_cpu_disable,
	.vm_init = vmx_vm_init,
	.nested_map = vmx_nested_map,
	.nested_protect = vmx_nested_protect,
	.nested_query = vmx_nested_query,
	.nested_walk = vmx_nested_walk,
	.intercept_port = vmx_intercept_port,
	.intercept_msr = vmx_intercept_msr,
	.vcpu_init = vmx_vcpu_init,
	.vcpu_reset = vmx_vcpu_reset,
	.vcpu_load = vmx_vcpu_load,
	.vcpu_unload = vmx_vcpu_unload,
	.vcpu_switch = vmx_vcpu_switch,
	.run = vmx_run,
	.get_reg = vmx_get_reg,
	.set_reg = vmx_set_reg,
	.get_segment = vmx_get_segment,
	.set_segment = vmx_set_segment,
	.can_take = vmx_can_take,
	.inject = vmx_inject,
	.want_window = vmx_want_window,
	.skip_insn = vmx_skip_insn,
	.flush_tlb = vmx_flush_tlb,
	.dump = vmx_dump,
	.selftest = vmx_selftest,
};
