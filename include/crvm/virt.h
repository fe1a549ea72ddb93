/*
 * The seam between core/ and a backend (vmx/, tests/fake/). core/ calls it; a backend fills it in and names
 * no device and no VM.
 */
#pragma once

#include <crvm/feature.h>
#include <crvm/verdict.h>

struct virt_backend {
	const char *name; /* "Intel VMX" */

	/*
	 * Once, on the boot CPU: reads what the CPU offers; what it lacks goes to the verdict. Changes
	 * nothing but an unlocked IA32_FEATURE_CONTROL, which it enables and locks. May run with no VMX.
	 */
	void (*probe)(struct verdict *v);

	/* After probe: rows for the table of what the machine has. */
	const struct feature *(*features)(unsigned *count);

	/* On each CPU, after a probe without verdict: enters VMX operation. 0, or E_IO with a verdict item. */
	int (*cpu_enable)(unsigned cpu, struct verdict *v);

	/* On a CPU where cpu_enable succeeded: leaves VMX operation. */
	void (*cpu_disable)(unsigned cpu);
};

extern const struct virt_backend vmx_backend;
