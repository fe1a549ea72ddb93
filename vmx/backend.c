/*
 * The Intel backend: probing, and entering and leaving VMX operation on each CPU. It must not know
 * how many CPUs there are, how they are started, or any VM. Source: Intel SDM Vol. 3C, "Enabling
 * and Entering VMX Operation", "Restrictions on VMX Operation".
 */
#include "caps.h"
#include "insn.h"

#include <crvm/frames.h>
#include <crvm/hostmap.h>
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
static struct vmx_caps boot_caps;
static struct feature feature_rows[VMX_FEATURES_MAX];
static unsigned feature_count;

static void backend_probe(struct verdict *v)
{
	vmx_caps_read(&boot_caps, &cpu_ops_native);
	vmx_caps_unlock(&boot_caps, &cpu_ops_native);
	feature_count = vmx_caps_features(&boot_caps, feature_rows);
	vmx_caps_verdict(&boot_caps, v);
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
	return vmx_caps_compare(&boot_caps, &caps, cpu, v) &&
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
	region[0] = vmx_caps_revision(&boot_caps);

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
			    vmx_caps_revision(&boot_caps), vmx_result_name(result));
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
	check(vmx_caps_vmx(&boot_caps) && !vmx_cpus[cpu].on);
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
	.cpu_enable = backend_cpu_enable,
	.cpu_disable = backend_cpu_disable,
};
