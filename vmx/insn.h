/*
 * The VMX instructions, each with its answer. Private to vmx/; for CPUs in VMX operation, or VMXON.
 * Source: Intel SDM Vol. 3C, "VMX Instruction Reference", "Conventions".
 */
#pragma once

#include <crvm/addr.h>

enum vmx_result {
	VMX_SUCCEED,
	VMX_FAIL_INVALID, /* CF: no current VMCS to hold an error number */
	VMX_FAIL_VALID,	  /* ZF: the VM-instruction error field tells more */
};

static inline const char *vmx_result_name(enum vmx_result r)
{
	switch (r) {
	case VMX_SUCCEED:
		return "VMsucceed";
	case VMX_FAIL_INVALID:
		return "VMfailInvalid";
	case VMX_FAIL_VALID:
		return "VMfailValid";
	}
	return "?";
}

/* Those that take the physical address of a region. */
#define VMX_REGION_INSN(name, text)                                 \
	static inline must_check enum vmx_result name(hpa_t region) \
	{                                                           \
		__asm__ goto(text " %0\n\t"                         \
				  "jc %l[invalid]\n\t"              \
				  "jz %l[valid]"                    \
			     :                                      \
			     : "m"(region.v)                        \
			     : "cc", "memory"                       \
			     : invalid, valid);                     \
		return VMX_SUCCEED;                                 \
	invalid:                                                    \
		return VMX_FAIL_INVALID;                            \
	valid:                                                      \
		return VMX_FAIL_VALID;                              \
	}
VMX_REGION_INSN(vmx_vmxon, "vmxon")
VMX_REGION_INSN(vmx_vmclear, "vmclear")
VMX_REGION_INSN(vmx_vmptrld, "vmptrld")
#undef VMX_REGION_INSN

static inline must_check enum vmx_result vmx_vmxoff(void)
{
	__asm__ goto("vmxoff\n\t"
		     "jc %l[invalid]\n\t"
		     "jz %l[valid]"
		     :
		     :
		     : "cc", "memory"
		     : invalid, valid);
	return VMX_SUCCEED;
invalid:
	return VMX_FAIL_INVALID;
valid:
	return VMX_FAIL_VALID;
}
