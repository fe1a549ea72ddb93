/*
 * Every bit of the VMX controls by the manual's name: for dump and audit, which must understand
 * also controls that CRVM never asks for. Private to vmx/.
 * Source: Intel SDM Vol. 3C, "VM-Execution Control Fields", "VM-Exit Control Fields", "VM-Entry
 * Control Fields".
 */
#pragma once

#include "controls.h"

/* X(word, id, bit, name) */
// clang-format off
#define VMX_CTL_BITS(X) \
	X(PIN, EXTERNAL_INTERRUPT, 0, "external-interrupt exiting") \
	X(PIN, NMI, 3, "NMI exiting") \
	X(PIN, VIRTUAL_NMIS, 5, "virtual NMIs") \
	X(PIN, PREEMPTION_TIMER, 6, "VMX-preemption timer") \
	X(PIN, POSTED_INTERRUPTS, 7, "process posted interrupts") \
	X(PROC, INTERRUPT_WINDOW, 2, "interrupt-window exiting") \
	X(PROC, TSC_OFFSETTING, 3, "use TSC offsetting") \
	X(PROC, HLT, 7, "HLT exiting") \
	X(PROC, INVLPG, 9, "INVLPG exiting") \
	X(PROC, MWAIT, 10, "MWAIT exiting") \
	X(PROC, RDPMC, 11, "RDPMC exiting") \
	X(PROC, RDTSC, 12, "RDTSC exiting") \
	X(PROC, CR3_LOAD, 15, "CR3-load exiting") \
	X(PROC, CR3_STORE, 16, "CR3-store exiting") \
	X(PROC, TERTIARY, 17, "activate tertiary controls") \
	X(PROC, CR8_LOAD, 19, "CR8-load exiting") \
	X(PROC, CR8_STORE, 20, "CR8-store exiting") \
	X(PROC, TPR_SHADOW, 21, "use TPR shadow") \
	X(PROC, NMI_WINDOW, 22, "NMI-window exiting") \
	X(PROC, MOV_DR, 23, "MOV-DR exiting") \
	X(PROC, UNCONDITIONAL_IO, 24, "unconditional I/O exiting") \
	X(PROC, IO_BITMAPS, 25, "use I/O bitmaps") \
	X(PROC, MONITOR_TRAP, 27, "monitor trap flag") \
	X(PROC, MSR_BITMAPS, 28, "use MSR bitmaps") \
	X(PROC, MONITOR, 29, "MONITOR exiting") \
	X(PROC, PAUSE, 30, "PAUSE exiting") \
	X(PROC, SECONDARY, 31, "activate secondary controls") \
	X(PROC2, APIC_ACCESSES, 0, "virtualize APIC accesses") \
	X(PROC2, EPT, 1, "enable EPT") \
	X(PROC2, DESCRIPTOR_TABLE, 2, "descriptor-table exiting") \
	X(PROC2, RDTSCP, 3, "enable RDTSCP") \
	X(PROC2, X2APIC_MODE, 4, "virtualize x2APIC mode") \
	X(PROC2, VPID, 5, "enable VPID") \
	X(PROC2, WBINVD, 6, "WBINVD exiting") \
	X(PROC2, UNRESTRICTED, 7, "unrestricted guest") \
	X(PROC2, APIC_REGISTERS, 8, "APIC-register virtualization") \
	X(PROC2, VIRTUAL_DELIVERY, 9, "virtual-interrupt delivery") \
	X(PROC2, PAUSE_LOOP, 10, "PAUSE-loop exiting") \
	X(PROC2, RDRAND, 11, "RDRAND exiting") \
	X(PROC2, INVPCID, 12, "enable INVPCID") \
	X(PROC2, VMFUNC, 13, "enable VM functions") \
	X(PROC2, SHADOWING, 14, "VMCS shadowing") \
	X(PROC2, ENCLS, 15, "enable ENCLS exiting") \
	X(PROC2, RDSEED, 16, "RDSEED exiting") \
	X(PROC2, PML, 17, "enable PML") \
	X(PROC2, VE, 18, "EPT-violation #VE") \
	X(PROC2, CONCEAL_PT, 19, "conceal VMX from PT") \
	X(PROC2, XSAVES, 20, "enable XSAVES/XRSTORS") \
	X(PROC2, PASID, 21, "PASID translation") \
	X(PROC2, MODE_EXECUTE, 22, "mode-based execute control for EPT") \
	X(PROC2, SUBPAGE, 23, "sub-page write permissions for EPT") \
	X(PROC2, PT_GUEST_PHYSICAL, 24, "Intel PT uses guest physical addresses") \
	X(PROC2, TSC_SCALING, 25, "use TSC scaling") \
	X(PROC2, USER_WAIT, 26, "enable user wait and pause") \
	X(PROC2, PCONFIG, 27, "enable PCONFIG") \
	X(PROC2, ENCLV, 28, "enable ENCLV exiting") \
	X(EXIT, SAVE_DEBUG, 2, "save debug controls") \
	X(EXIT, HOST_64, 9, "host address-space size") \
	X(EXIT, LOAD_PERF_GLOBAL, 12, "load IA32_PERF_GLOBAL_CTRL") \
	X(EXIT, ACK_INTERRUPT, 15, "acknowledge interrupt on exit") \
	X(EXIT, SAVE_PAT, 18, "save IA32_PAT") \
	X(EXIT, LOAD_PAT, 19, "load IA32_PAT") \
	X(EXIT, SAVE_EFER, 20, "save IA32_EFER") \
	X(EXIT, LOAD_EFER, 21, "load IA32_EFER") \
	X(EXIT, SAVE_TIMER, 22, "save VMX-preemption timer value") \
	X(EXIT, CLEAR_BNDCFGS, 23, "clear IA32_BNDCFGS") \
	X(EXIT, CONCEAL_PT, 24, "conceal VMX from PT") \
	X(EXIT, CLEAR_RTIT, 25, "clear IA32_RTIT_CTL") \
	X(EXIT, CLEAR_LBR, 26, "clear IA32_LBR_CTL") \
	X(EXIT, LOAD_CET, 28, "load CET state") \
	X(EXIT, LOAD_PKRS, 29, "load PKRS") \
	X(EXIT, SECONDARY, 31, "activate secondary controls") \
	X(ENTRY, LOAD_DEBUG, 2, "load debug controls") \
	X(ENTRY, IA32E, 9, "IA-32e mode guest") \
	X(ENTRY, SMM, 10, "entry to SMM") \
	X(ENTRY, DUAL_MONITOR, 11, "deactivate dual-monitor treatment") \
	X(ENTRY, LOAD_PERF_GLOBAL, 13, "load IA32_PERF_GLOBAL_CTRL") \
	X(ENTRY, LOAD_PAT, 14, "load IA32_PAT") \
	X(ENTRY, LOAD_EFER, 15, "load IA32_EFER") \
	X(ENTRY, LOAD_BNDCFGS, 16, "load IA32_BNDCFGS") \
	X(ENTRY, CONCEAL_PT, 17, "conceal VMX from PT") \
	X(ENTRY, LOAD_RTIT, 18, "load IA32_RTIT_CTL") \
	X(ENTRY, LOAD_CET, 20, "load CET state") \
	X(ENTRY, LOAD_LBR, 21, "load guest IA32_LBR_CTL") \
	X(ENTRY, LOAD_PKRS, 22, "load PKRS")
// clang-format on

enum vmx_ctl_bit {
#define X(word, id, bit, name) CTLBIT_##word##_##id = 1u << (bit),
	VMX_CTL_BITS(X)
#undef X
};
