/*
 * The VMX controls that CRVM asks for, each with its reason, and the algorithm that reconciles them
 * with what the CPU allows: a pure function. Private to vmx/. Source: Intel SDM Vol. 3C,
 * "VM-Execution Control Fields", "VM-Exit Control Fields", "VM-Entry Control Fields"; Vol. 3D,
 * Appendix A.3 to A.5 and the algorithm in "Reserved Controls and Default Settings".
 */
#pragma once

#include "caps.h"

enum ctl_word { CTL_PIN, CTL_PROC, CTL_PROC2, CTL_EXIT, CTL_ENTRY, CTL_WORD_COUNT };

enum {
	PIN_EXTERNAL_INTERRUPT = 1u << 0,
	PIN_NMI = 1u << 3,
	PIN_VIRTUAL_NMIS = 1u << 5,
	PIN_PREEMPTION_TIMER = 1u << 6,

	PROC_INTERRUPT_WINDOW = 1u << 2,
	PROC_TSC_OFFSETTING = 1u << 3,
	PROC_HLT = 1u << 7,
	PROC_INVLPG = 1u << 9,
	PROC_MWAIT = 1u << 10,
	PROC_RDPMC = 1u << 11,
	PROC_RDTSC = 1u << 12,
	PROC_CR3_LOAD = 1u << 15,
	PROC_CR3_STORE = 1u << 16,
	PROC_CR8_LOAD = 1u << 19,
	PROC_CR8_STORE = 1u << 20,
	PROC_TPR_SHADOW = 1u << 21,
	PROC_NMI_WINDOW = 1u << 22,
	PROC_MOV_DR = 1u << 23,
	PROC_UNCONDITIONAL_IO = 1u << 24,
	PROC_IO_BITMAPS = 1u << 25,
	PROC_MONITOR_TRAP = 1u << 27,
	PROC_MSR_BITMAPS = 1u << 28,
	PROC_MONITOR = 1u << 29,
	PROC_PAUSE = 1u << 30,
	PROC_SECONDARY_CTLS = 1u << 31,

	PROC2_CTL_EPT = 1u << 1,
	PROC2_CTL_DESCRIPTOR_TABLE = 1u << 2,
	PROC2_CTL_RDTSCP = 1u << 3,
	PROC2_CTL_VPID = 1u << 5,
	PROC2_CTL_WBINVD = 1u << 6,
	PROC2_CTL_UNRESTRICTED = 1u << 7,
	PROC2_CTL_INVPCID = 1u << 12,
	PROC2_CTL_XSAVES = 1u << 20,

	EXIT_CTL_SAVE_DEBUG = 1u << 2,
	EXIT_CTL_HOST_64 = 1u << 9,
	EXIT_CTL_ACK_INTERRUPT = 1u << 15,
	EXIT_CTL_SAVE_PAT = 1u << 18,
	EXIT_CTL_LOAD_PAT = 1u << 19,
	EXIT_CTL_SAVE_EFER = 1u << 20,
	EXIT_CTL_LOAD_EFER = 1u << 21,

	ENTRY_CTL_LOAD_DEBUG = 1u << 2,
	ENTRY_CTL_IA32E = 1u << 9,
	ENTRY_CTL_LOAD_PAT = 1u << 14,
	ENTRY_CTL_LOAD_EFER = 1u << 15,
};

struct vmx_controls {
	uint32_t word[CTL_WORD_COUNT];
};

/* Why the controls cannot be had. */
struct vmx_control_refusal {
	const char *name, *why;
	bool must_be_one; /* the CPU forces 1 where 0 is needed; else it does not allow 1 */
};

/*
 * All required controls, the wanted ones that the CPU allows, and what it forces. False, with the
 * first refusal, if a required one is not allowed or one that must be 0 is forced to 1.
 */
must_check bool vmx_controls_choose(const struct vmx_caps *caps, struct vmx_controls *out,
				    struct vmx_control_refusal *refusal);

/* Whether a bit may be 1 / must be 1 on this CPU. */
bool vmx_control_may(const struct vmx_caps *caps, enum ctl_word word, uint32_t bits);
bool vmx_control_must(const struct vmx_caps *caps, enum ctl_word word, uint32_t bits);
