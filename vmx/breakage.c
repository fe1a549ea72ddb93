/*
 * The table of deliberate breakages. It must not know how rules are checked: only their names.
 * Source: Intel SDM Vol. 3C, chapter "VM Entries".
 */
#include "breakage.h"

#include "ctl_bits.h"

#include <crvm/string.h>

#define ALL	     (~0ull)
#define NONCANONICAL 0x8000000000000000ull
#define BEYOND	     (1ull << 55) /* beyond the physical-address width of any CPU */

/* Steps. */
#define SET(f, bits)                  \
	{                             \
		SNAP_##f, ALL, (bits) \
	}
#define CLEAR(f, bits)                         \
	{                                      \
		SNAP_##f, ~(uint64_t)(bits), 0 \
	}
#define PUT(f, value)                \
	{                            \
		SNAP_##f, 0, (value) \
	}
#define CHANGE(f, off, on)                       \
	{                                        \
		SNAP_##f, ~(uint64_t)(off), (on) \
	}
#define ON(word, id)                                          \
	{                                                     \
		SNAP_##word##_CTLS, ALL, CTLBIT_##word##_##id \
	}
#define OFF(word, id)                                                  \
	{                                                              \
		SNAP_##word##_CTLS, ~(uint64_t)CTLBIT_##word##_##id, 0 \
	}
/* A segment as a whole. */
#define SEGMENT(seg, ar, limit) PUT(GUEST_##seg##_AR, ar), PUT(GUEST_##seg##_LIMIT, limit)

#define STEPS(...)                                                                                 \
	.step = {__VA_ARGS__}, .step_count = sizeof((const struct breakage_step[]){__VA_ARGS__}) / \
					     sizeof(struct breakage_step)
#define ROW(name, rule, field, guests, ...)                          \
	{                                                            \
		name, rule, SNAP_##field, guests, STEPS(__VA_ARGS__) \
	}
#define ROW_CAP(name, rule, field, guests, cap_, bit, ...)                                        \
	{                                                                                         \
		name, rule, SNAP_##field, guests, .cap_bits = 1u << 8 | (bit), .cap = CAP_##cap_, \
						  STEPS(__VA_ARGS__)                              \
	}

#define REAL	       BREAK_REAL
#define PROT	       BREAK_PROT
#define LONG	       BREAK_LONG
#define ANY	       BREAK_ANY
#define ALLOWED_1(bit) (32 + (bit))

#define EVENT(type, vector) (1u << 31 | (type) << 8 | (vector))
#define EVENT_ERROR	    (1u << 11)
#define IF		    (1u << 9)
#define FLAT		    0xffffffff /* limit; access rights with G */

// clang-format off
static const struct breakage rows[] = {
	/* VM-execution controls */
	ROW("pin control that must be 1", "pin-reserved", PIN_CTLS, ANY, CLEAR(PIN_CTLS, 1u << 1)),
	ROW("pin control that must be 0", "pin-reserved", PIN_CTLS, ANY, SET(PIN_CTLS, 1u << 31)),
	ROW("proc control that must be 1", "proc-reserved", PROC_CTLS, ANY, CLEAR(PROC_CTLS, 1u << 1)),
	ROW("proc control that must be 0", "proc-reserved", PROC_CTLS, ANY, SET(PROC_CTLS, 1u << 0)),
	ROW("secondary control that must be 0", "proc2-reserved", PROC2_CTLS, ANY,
	    ON(PROC, SECONDARY), SET(PROC2_CTLS, 1u << 31)),
	ROW("five CR3 targets", "cr3-target-count", CR3_TARGET_COUNT, ANY, PUT(CR3_TARGET_COUNT, 5)),
	ROW("I/O bitmap A not aligned", "io-bitmap-a", IO_BITMAP_A, ANY,
	    ON(PROC, IO_BITMAPS), SET(IO_BITMAP_A, 0x800)),
	ROW("I/O bitmap B beyond the width", "io-bitmap-b", IO_BITMAP_B, ANY,
	    ON(PROC, IO_BITMAPS), SET(IO_BITMAP_B, BEYOND)),
	ROW("MSR bitmap not aligned", "msr-bitmap", MSR_BITMAP, ANY,
	    ON(PROC, MSR_BITMAPS), SET(MSR_BITMAP, 1)),
	ROW("MSR bitmap beyond the width", "msr-bitmap", MSR_BITMAP, ANY,
	    ON(PROC, MSR_BITMAPS), SET(MSR_BITMAP, BEYOND)),
	ROW("virtual-APIC page not aligned", "virtual-apic-page", VIRTUAL_APIC_ADDR, ANY,
	    ON(PROC, TPR_SHADOW), PUT(VIRTUAL_APIC_ADDR, 0x1080)),
	ROW("TPR threshold of 5 bits", "tpr-threshold-bits", TPR_THRESHOLD, ANY,
	    ON(PROC, TPR_SHADOW), OFF(PROC2, VIRTUAL_DELIVERY), PUT(VIRTUAL_APIC_ADDR, 0x1000),
	    PUT(TPR_THRESHOLD, 0x10)),
	ROW("virtual NMIs without NMI exiting", "virtual-nmis", PIN_CTLS, ANY,
	    OFF(PIN, NMI), ON(PIN, VIRTUAL_NMIS), OFF(PROC, NMI_WINDOW)),
	ROW("NMI window without virtual NMIs", "nmi-window", PROC_CTLS, ANY,
	    OFF(PIN, VIRTUAL_NMIS), ON(PROC, NMI_WINDOW)),
	ROW("APIC-access page not aligned", "apic-access-page", APIC_ACCESS_ADDR, ANY,
	    ON(PROC, SECONDARY), ON(PROC2, APIC_ACCESSES), PUT(APIC_ACCESS_ADDR, 0xfee00800)),
	ROW("x2APIC mode without TPR shadow", "x2apic-tpr-shadow", PROC2_CTLS, ANY,
	    OFF(PROC, TPR_SHADOW), ON(PROC, SECONDARY), OFF(PROC2, APIC_ACCESSES), ON(PROC2, X2APIC_MODE)),
	ROW("APIC registers without TPR shadow", "apic-register-tpr-shadow", PROC2_CTLS, ANY,
	    OFF(PROC, TPR_SHADOW), ON(PROC, SECONDARY), OFF(PROC2, X2APIC_MODE), ON(PROC2, APIC_REGISTERS)),
	ROW("interrupt delivery without TPR shadow", "delivery-tpr-shadow", PROC2_CTLS, ANY,
	    OFF(PROC, TPR_SHADOW), ON(PROC, SECONDARY),
	    CHANGE(PROC2_CTLS, CTLBIT_PROC2_X2APIC_MODE | CTLBIT_PROC2_APIC_REGISTERS,
		   CTLBIT_PROC2_VIRTUAL_DELIVERY)),
	ROW("x2APIC mode and APIC accesses", "x2apic-or-xapic", PROC2_CTLS, ANY,
	    SET(PROC_CTLS, CTLBIT_PROC_SECONDARY | CTLBIT_PROC_TPR_SHADOW), PUT(VIRTUAL_APIC_ADDR, 0x1000),
	    PUT(TPR_THRESHOLD, 0), PUT(APIC_ACCESS_ADDR, 0xfee00000),
	    SET(PROC2_CTLS, CTLBIT_PROC2_X2APIC_MODE | CTLBIT_PROC2_APIC_ACCESSES)),
	ROW("interrupt delivery without interrupt exiting", "delivery-external", PIN_CTLS, ANY,
	    SET(PROC_CTLS, CTLBIT_PROC_SECONDARY | CTLBIT_PROC_TPR_SHADOW), PUT(VIRTUAL_APIC_ADDR, 0x1000),
	    ON(PROC2, VIRTUAL_DELIVERY), OFF(PIN, EXTERNAL_INTERRUPT)),
	ROW("VPID 0", "vpid-zero", VPID, ANY, ON(PROC, SECONDARY), ON(PROC2, VPID), PUT(VPID, 0)),
	ROW("EPTP with write-combining memory", "eptp-type", EPTP, ANY, CHANGE(EPTP, 7, 1)),
	ROW("EPTP with 3 levels", "eptp-walk", EPTP, ANY, CHANGE(EPTP, 0x38, 2u << 3)),
	ROW("EPTP with a reserved bit", "eptp-reserved", EPTP, ANY, SET(EPTP, 1u << 11)),
	ROW("EPTP beyond the width", "eptp-reserved", EPTP, ANY, SET(EPTP, BEYOND)),
	ROW("PML without EPT", "pml-ept", PROC2_CTLS, ANY, OFF(PROC2, EPT), ON(PROC2, PML)),
	ROW("PML page not aligned", "pml-address", PML_ADDR, ANY, ON(PROC2, PML), PUT(PML_ADDR, 0x1004)),
	ROW("unrestricted guest without EPT", "unrestricted-ept", PROC2_CTLS, ANY,
	    CHANGE(PROC2_CTLS, CTLBIT_PROC2_EPT | CTLBIT_PROC2_PML, CTLBIT_PROC2_UNRESTRICTED)),
	ROW("unknown VM function", "vmfunc-reserved", VMFUNC_CTLS, ANY,
	    ON(PROC2, VMFUNC), PUT(VMFUNC_CTLS, 1ull << 63)),
	ROW_CAP("EPTP list not aligned", "eptp-list", EPTP_LIST_ADDR, ANY, VMX_VMFUNC, 0,
	    ON(PROC2, VMFUNC), PUT(VMFUNC_CTLS, 1), PUT(EPTP_LIST_ADDR, 0x1008)),
	ROW("VMREAD bitmap not aligned", "vmread-bitmap", VMREAD_BITMAP, ANY,
	    ON(PROC2, SHADOWING), PUT(VMREAD_BITMAP, 0x1010)),
	ROW("VMWRITE bitmap not aligned", "vmwrite-bitmap", VMWRITE_BITMAP, ANY,
	    ON(PROC2, SHADOWING), PUT(VMREAD_BITMAP, 0x1000), PUT(VMWRITE_BITMAP, 0x1020)),
	ROW("#VE information not aligned", "ve-information", VE_INFO_ADDR, ANY,
	    ON(PROC2, VE), PUT(VE_INFO_ADDR, 0x1040)),
	ROW("TSC multiplier 0", "tsc-multiplier", TSC_MULTIPLIER, ANY,
	    ON(PROC2, TSC_SCALING), PUT(TSC_MULTIPLIER, 0)),

	/* VM-exit controls */
	ROW("exit control that must be 1", "exit-reserved", EXIT_CTLS, ANY, CLEAR(EXIT_CTLS, 1u << 0)),
	ROW("exit control that must be 0", "exit-reserved", EXIT_CTLS, ANY, SET(EXIT_CTLS, 1u << 31)),
	ROW("preemption timer saved but off", "save-timer", EXIT_CTLS, ANY,
	    OFF(PIN, PREEMPTION_TIMER), ON(EXIT, SAVE_TIMER)),
	ROW("exit MSR-store area not aligned", "exit-store-address", EXIT_MSR_STORE_ADDR, ANY,
	    PUT(EXIT_MSR_STORE_COUNT, 1), PUT(EXIT_MSR_STORE_ADDR, 0x1008)),
	ROW("exit MSR-store area beyond the width", "exit-store-address", EXIT_MSR_STORE_ADDR, ANY,
	    PUT(EXIT_MSR_STORE_COUNT, 1), PUT(EXIT_MSR_STORE_ADDR, BEYOND)),
	ROW("exit MSR-load area not aligned", "exit-load-address", EXIT_MSR_LOAD_ADDR, ANY,
	    PUT(EXIT_MSR_LOAD_COUNT, 1), PUT(EXIT_MSR_LOAD_ADDR, 0x1004)),

	/* VM-entry controls */
	ROW("entry control that must be 1", "entry-reserved", ENTRY_CTLS, ANY, CLEAR(ENTRY_CTLS, 1u << 0)),
	ROW("entry control that must be 0", "entry-reserved", ENTRY_CTLS, ANY, SET(ENTRY_CTLS, 1u << 31)),
	ROW("event of the reserved type", "event-type", ENTRY_INTR_INFO, ANY,
	    PUT(ENTRY_INTR_INFO, EVENT(1u, 0x20u))),
	ROW("NMI with vector 3", "event-vector", ENTRY_INTR_INFO, ANY, PUT(ENTRY_INTR_INFO, EVENT(2u, 3u))),
	ROW("exception with vector 32", "event-vector", ENTRY_INTR_INFO, ANY,
	    PUT(ENTRY_INTR_INFO, EVENT(3u, 32u))),
	ROW_CAP("monitor trap with vector 1", "event-vector", ENTRY_INTR_INFO, ANY,
	    VMX_PROCBASED_CTLS, ALLOWED_1(27), PUT(ENTRY_INTR_INFO, EVENT(7u, 1u))),
	ROW("error code in real mode", "event-error-code", ENTRY_INTR_INFO, REAL,
	    PUT(ENTRY_INTR_INFO, EVENT(3u, 13u) | EVENT_ERROR)),
	ROW("interrupt with an error code", "event-error-code", ENTRY_INTR_INFO, ANY,
	    PUT(ENTRY_INTR_INFO, EVENT(0u, 0x20u) | EVENT_ERROR)),
	ROW("reserved bit of the event", "event-reserved", ENTRY_INTR_INFO, ANY,
	    PUT(ENTRY_INTR_INFO, EVENT(3u, 6u) | 1u << 30)),
	ROW("error code of 17 bits", "event-error-value", ENTRY_EXCEPTION_ERROR, PROT | LONG,
	    PUT(ENTRY_INTR_INFO, EVENT(3u, 13u) | EVENT_ERROR), PUT(ENTRY_EXCEPTION_ERROR, 0x10000)),
	ROW("software interrupt of 16 bytes", "event-length", ENTRY_INSN_LEN, ANY,
	    PUT(ENTRY_INTR_INFO, EVENT(4u, 0x80u)), PUT(ENTRY_INSN_LEN, 16)),
	ROW("entry MSR-load area not aligned", "entry-load-address", ENTRY_MSR_LOAD_ADDR, ANY,
	    PUT(ENTRY_MSR_LOAD_COUNT, 1), PUT(ENTRY_MSR_LOAD_ADDR, 0x100c)),
	ROW("dual-monitor treatment off outside SMM", "entry-dual-monitor", ENTRY_CTLS, ANY,
	    ON(ENTRY, DUAL_MONITOR)),

	/* Host state */
	ROW("host CR0.NE 0", "host-cr0", HOST_CR0, ANY, CLEAR(HOST_CR0, CR0_NE)),
	ROW("host CR0 bit 40", "host-cr0", HOST_CR0, ANY, SET(HOST_CR0, 1ull << 40)),
	ROW("host CR4.VMXE 0", "host-cr4", HOST_CR4, ANY, CLEAR(HOST_CR4, CR4_VMXE)),
	ROW("host CR4 bit 31", "host-cr4", HOST_CR4, ANY, SET(HOST_CR4, 1u << 31)),
	ROW("host CR3 beyond the width", "host-cr3", HOST_CR3, ANY, SET(HOST_CR3, BEYOND)),
	ROW("host SYSENTER_ESP", "host-sysenter-esp", HOST_SYSENTER_ESP, ANY,
	    PUT(HOST_SYSENTER_ESP, NONCANONICAL)),
	ROW("host SYSENTER_EIP", "host-sysenter-eip", HOST_SYSENTER_EIP, ANY,
	    PUT(HOST_SYSENTER_EIP, NONCANONICAL)),
	ROW("host PAT type 2", "host-pat", HOST_PAT, ANY, ON(EXIT, LOAD_PAT), CHANGE(HOST_PAT, 0xff, 2)),
	ROW("host EFER reserved bit", "host-efer-reserved", HOST_EFER, ANY,
	    ON(EXIT, LOAD_EFER), SET(HOST_EFER, 2)),
	ROW("host EFER for 32 bits", "host-efer-mode", HOST_EFER, ANY,
	    ON(EXIT, LOAD_EFER), CLEAR(HOST_EFER, EFER_LMA | EFER_LME)),
	ROW("host CS RPL", "host-selector", HOST_CS_SELECTOR, ANY, SET(HOST_CS_SELECTOR, 3)),
	ROW("host SS TI", "host-selector", HOST_SS_SELECTOR, ANY, SET(HOST_SS_SELECTOR, 4)),
	ROW("host DS RPL", "host-selector", HOST_DS_SELECTOR, ANY, SET(HOST_DS_SELECTOR, 1)),
	ROW("host ES RPL", "host-selector", HOST_ES_SELECTOR, ANY, SET(HOST_ES_SELECTOR, 2)),
	ROW("host FS TI", "host-selector", HOST_FS_SELECTOR, ANY, SET(HOST_FS_SELECTOR, 4)),
	ROW("host GS RPL", "host-selector", HOST_GS_SELECTOR, ANY, SET(HOST_GS_SELECTOR, 3)),
	ROW("host TR TI", "host-selector", HOST_TR_SELECTOR, ANY, SET(HOST_TR_SELECTOR, 4)),
	ROW("host CS null", "host-cs-null", HOST_CS_SELECTOR, ANY, PUT(HOST_CS_SELECTOR, 0)),
	ROW("host TR null", "host-tr-null", HOST_TR_SELECTOR, ANY, PUT(HOST_TR_SELECTOR, 0)),
	ROW("host FS base", "host-base", HOST_FS_BASE, ANY, PUT(HOST_FS_BASE, NONCANONICAL)),
	ROW("host GS base", "host-base", HOST_GS_BASE, ANY, PUT(HOST_GS_BASE, NONCANONICAL)),
	ROW("host GDTR base", "host-base", HOST_GDTR_BASE, ANY, PUT(HOST_GDTR_BASE, NONCANONICAL)),
	ROW("host IDTR base", "host-base", HOST_IDTR_BASE, ANY, PUT(HOST_IDTR_BASE, NONCANONICAL)),
	ROW("host TR base", "host-base", HOST_TR_BASE, ANY, PUT(HOST_TR_BASE, NONCANONICAL)),
	ROW("32-bit host", "cpu-mode-host", EXIT_CTLS, ANY,
	    CLEAR(EXIT_CTLS, CTLBIT_EXIT_HOST_64 | CTLBIT_EXIT_LOAD_EFER)),
	ROW("host CR4.PAE 0", "host-64-pae", HOST_CR4, ANY, CLEAR(HOST_CR4, CR4_PAE)),
	ROW("host RIP", "host-64-rip", HOST_RIP, ANY, PUT(HOST_RIP, NONCANONICAL)),

	/* Guest control registers and MSRs */
	ROW("guest CR0.NE 0", "guest-cr0", GUEST_CR0, ANY, CLEAR(GUEST_CR0, CR0_NE)),
	ROW("guest CR0 bit 40", "guest-cr0", GUEST_CR0, ANY, SET(GUEST_CR0, 1ull << 40)),
	ROW("guest CR0.PG without PE", "guest-paging", GUEST_CR0, ANY, CHANGE(GUEST_CR0, CR0_PE, CR0_PG)),
	ROW("guest CR4.VMXE 0", "guest-cr4", GUEST_CR4, ANY, CLEAR(GUEST_CR4, CR4_VMXE)),
	ROW("guest CR4 bit 31", "guest-cr4", GUEST_CR4, ANY, SET(GUEST_CR4, 1u << 31)),
	ROW("64-bit guest without PAE", "guest-ia32e-pae", GUEST_CR4, LONG, CLEAR(GUEST_CR4, CR4_PAE)),
	ROW_CAP("PCID outside long mode", "guest-pcide", GUEST_CR4, REAL | PROT, VMX_CR4_FIXED1, 17,
	    SET(GUEST_CR4, 1u << 17)),
	ROW("guest CR3 beyond the width", "guest-cr3", GUEST_CR3, ANY, SET(GUEST_CR3, BEYOND)),
	ROW("guest DR7 bit 32", "guest-dr7", GUEST_DR7, ANY, ON(ENTRY, LOAD_DEBUG), SET(GUEST_DR7, 1ull << 32)),
	ROW("guest SYSENTER_ESP", "guest-sysenter-esp", GUEST_SYSENTER_ESP, ANY,
	    PUT(GUEST_SYSENTER_ESP, NONCANONICAL)),
	ROW("guest SYSENTER_EIP", "guest-sysenter-eip", GUEST_SYSENTER_EIP, ANY,
	    PUT(GUEST_SYSENTER_EIP, NONCANONICAL)),
	ROW("guest PAT type 3", "guest-pat", GUEST_PAT, ANY,
	    ON(ENTRY, LOAD_PAT), CHANGE(GUEST_PAT, 0xffull << 56, 3ull << 56)),
	ROW("guest EFER reserved bit", "guest-efer-reserved", GUEST_EFER, ANY,
	    ON(ENTRY, LOAD_EFER), SET(GUEST_EFER, 2)),
	ROW("guest EFER.LMA outside long mode", "guest-efer-lma", GUEST_EFER, REAL | PROT,
	    ON(ENTRY, LOAD_EFER), SET(GUEST_EFER, EFER_LMA)),
	ROW("guest EFER.LMA 0 in long mode", "guest-efer-lma", GUEST_EFER, LONG,
	    ON(ENTRY, LOAD_EFER), CLEAR(GUEST_EFER, EFER_LMA)),
	ROW("guest EFER.LME 0 in long mode", "guest-efer-lme", GUEST_EFER, LONG,
	    ON(ENTRY, LOAD_EFER), CLEAR(GUEST_EFER, EFER_LME)),

	/* Guest segments. Bochs 2.7 looks at no SS with RPL 0 in 64-bit mode. */
	ROW("TR in the LDT", "tr-selector", GUEST_TR_SELECTOR, ANY, SET(GUEST_TR_SELECTOR, 4)),
	ROW("LDTR in the LDT", "ldtr-selector", GUEST_LDTR_SELECTOR, ANY,
	    SEGMENT(LDTR, 0x82, 0xffff), SET(GUEST_LDTR_SELECTOR, 4)),
	ROW("TR base", "segment-base-canonical", GUEST_TR_BASE, ANY, PUT(GUEST_TR_BASE, NONCANONICAL)),
	ROW("FS base", "segment-base-canonical", GUEST_FS_BASE, ANY, PUT(GUEST_FS_BASE, NONCANONICAL)),
	ROW("GS base", "segment-base-canonical", GUEST_GS_BASE, ANY, PUT(GUEST_GS_BASE, NONCANONICAL)),
	ROW("LDTR base", "segment-base-canonical", GUEST_LDTR_BASE, ANY,
	    SEGMENT(LDTR, 0x82, 0xffff), PUT(GUEST_LDTR_BASE, NONCANONICAL)),
	ROW("CS base of 33 bits", "segment-base-32", GUEST_CS_BASE, ANY, SET(GUEST_CS_BASE, 1ull << 32)),
	ROW("SS base of 33 bits", "segment-base-32", GUEST_SS_BASE, REAL | PROT,
	    SEGMENT(SS, 0xc093, FLAT), SET(GUEST_SS_BASE, 1ull << 32)),
	ROW("DS base of 33 bits", "segment-base-32", GUEST_DS_BASE, ANY,
	    SEGMENT(DS, 0xc093, FLAT), SET(GUEST_DS_BASE, 1ull << 32)),
	ROW("CS not accessed", "cs-type", GUEST_CS_AR, ANY, CHANGE(GUEST_CS_AR, 0xf, 0xa)),
	ROW("CS is read-only data", "cs-type", GUEST_CS_AR, ANY, CHANGE(GUEST_CS_AR, 0xf, 1)),
	ROW("SS is read-only", "ss-type", GUEST_SS_AR, REAL | PROT, SEGMENT(SS, 0xc091, FLAT)),
	ROW("SS is code", "ss-type", GUEST_SS_AR, REAL | PROT, SEGMENT(SS, 0xc09b, FLAT)),
	ROW("DS not accessed", "data-type", GUEST_DS_AR, ANY, SEGMENT(DS, 0xc092, FLAT)),
	ROW("ES cannot be read", "data-type", GUEST_ES_AR, ANY, SEGMENT(ES, 0xc099, FLAT)),
	ROW("CS is a system segment", "segment-s", GUEST_CS_AR, ANY, CLEAR(GUEST_CS_AR, 1u << 4)),
	ROW("FS is a system segment", "segment-s", GUEST_FS_AR, ANY, SEGMENT(FS, 0xc083, FLAT)),
	ROW("CS DPL above SS DPL", "cs-dpl", GUEST_CS_AR, ANY,
	    CHANGE(GUEST_CS_AR, 0x6f, 0x6b), CLEAR(GUEST_SS_AR, 0x60)),
	ROW("SS DPL in real mode", "ss-dpl-real", GUEST_SS_AR, REAL,
	    SEGMENT(CS, 0x93, 0xffff), SEGMENT(SS, 0xf3, 0xffff)),
	ROW("CS not present", "segment-present", GUEST_CS_AR, ANY, CLEAR(GUEST_CS_AR, 1u << 7)),
	ROW("GS not present", "segment-present", GUEST_GS_AR, ANY, SEGMENT(GS, 0xc013, FLAT)),
	ROW("CS access bit 8", "segment-reserved-low", GUEST_CS_AR, ANY, SET(GUEST_CS_AR, 1u << 8)),
	ROW("DS access bit 11", "segment-reserved-low", GUEST_DS_AR, ANY, SEGMENT(DS, 0xc893, FLAT)),
	ROW("CS both 32- and 64-bit", "cs-size", GUEST_CS_AR, LONG, SET(GUEST_CS_AR, 3u << 13)),
	ROW("CS limit too small for pages", "segment-granularity", GUEST_CS_AR, ANY,
	    SET(GUEST_CS_AR, 1u << 15), PUT(GUEST_CS_LIMIT, 0x1000)),
	ROW("ES limit too large for bytes", "segment-granularity", GUEST_ES_AR, ANY,
	    SEGMENT(ES, 0x93, 0x1fffff)),
	ROW("CS access bit 17", "segment-reserved-high", GUEST_CS_AR, ANY, SET(GUEST_CS_AR, 1u << 17)),
	ROW("TR not busy", "tr-type", GUEST_TR_AR, ANY, CHANGE(GUEST_TR_AR, 0xf, 9)),
	ROW("TR of 16 bits in long mode", "tr-type", GUEST_TR_AR, LONG, CHANGE(GUEST_TR_AR, 0xf, 3)),
	ROW("TR is no system segment", "tr-s", GUEST_TR_AR, ANY, SET(GUEST_TR_AR, 1u << 4)),
	ROW("TR not present", "tr-present", GUEST_TR_AR, ANY, CLEAR(GUEST_TR_AR, 1u << 7)),
	ROW("TR access bit 9", "tr-reserved-low", GUEST_TR_AR, ANY, SET(GUEST_TR_AR, 1u << 9)),
	ROW("TR limit too large for bytes", "tr-granularity", GUEST_TR_AR, ANY,
	    CLEAR(GUEST_TR_AR, 1u << 15), PUT(GUEST_TR_LIMIT, 0x100000)),
	ROW("TR unusable", "tr-usable", GUEST_TR_AR, ANY, SET(GUEST_TR_AR, 1u << 16)),
	ROW("LDTR is a TSS", "ldtr-type", GUEST_LDTR_AR, ANY, SEGMENT(LDTR, 0x8b, 0xffff)),
	ROW("LDTR is no system segment", "ldtr-s", GUEST_LDTR_AR, ANY, SEGMENT(LDTR, 0x92, 0xffff)),
	ROW("LDTR not present", "ldtr-present", GUEST_LDTR_AR, ANY, SEGMENT(LDTR, 0x02, 0xffff)),
	ROW("LDTR access bit 10", "ldtr-reserved-low", GUEST_LDTR_AR, ANY, SEGMENT(LDTR, 0x482, 0xffff)),
	ROW("LDTR limit too small for pages", "ldtr-granularity", GUEST_LDTR_AR, ANY,
	    SEGMENT(LDTR, 0x8082, 0x10000)),

	/* Guest descriptor tables, RIP, RFLAGS */
	ROW("guest GDTR base", "guest-table-base", GUEST_GDTR_BASE, ANY, PUT(GUEST_GDTR_BASE, NONCANONICAL)),
	ROW("guest IDTR base", "guest-table-base", GUEST_IDTR_BASE, ANY, PUT(GUEST_IDTR_BASE, NONCANONICAL)),
	ROW("guest GDTR limit", "guest-table-limit", GUEST_GDTR_LIMIT, ANY, SET(GUEST_GDTR_LIMIT, 0x10000)),
	ROW("guest IDTR limit", "guest-table-limit", GUEST_IDTR_LIMIT, ANY, SET(GUEST_IDTR_LIMIT, 0x10000)),
	ROW("guest RIP of 33 bits", "guest-rip-32", GUEST_RIP, REAL | PROT, SET(GUEST_RIP, 1ull << 32)),
	ROW("guest RFLAGS bit 1", "guest-rflags-reserved", GUEST_RFLAGS, ANY, CLEAR(GUEST_RFLAGS, 2)),
	ROW("guest RFLAGS bit 15", "guest-rflags-reserved", GUEST_RFLAGS, ANY, SET(GUEST_RFLAGS, 0x8000)),
	ROW("guest RFLAGS bit 63", "guest-rflags-reserved", GUEST_RFLAGS, ANY, SET(GUEST_RFLAGS, 1ull << 63)),
	ROW("interrupt with IF 0", "guest-rflags-if", GUEST_RFLAGS, ANY,
	    PUT(ENTRY_INTR_INFO, EVENT(0u, 0x20u)), CLEAR(GUEST_RFLAGS, IF), PUT(GUEST_ACTIVITY, 0),
	    PUT(GUEST_INTERRUPTIBILITY, 0)),

	/* Guest non-register state */
	ROW("activity state 7", "activity-supported", GUEST_ACTIVITY, ANY, PUT(GUEST_ACTIVITY, 7)),
	ROW_CAP("HLT with SS DPL 3", "activity-hlt", GUEST_ACTIVITY, PROT, VMX_MISC, 6,
	    CHANGE(GUEST_CS_AR, 0x6f, 0x6b), SET(GUEST_CS_SELECTOR, 3), SEGMENT(SS, 0xc0f3, FLAT),
	    SET(GUEST_SS_SELECTOR, 3), PUT(GUEST_ACTIVITY, 1)),
	ROW_CAP("HLT while STI blocks", "activity-blocking", GUEST_ACTIVITY, ANY, VMX_MISC, 6,
	    CLEAR(GUEST_RFLAGS, 1u << 8), SET(GUEST_RFLAGS, IF), PUT(GUEST_ACTIVITY, 1),
	    PUT(GUEST_INTERRUPTIBILITY, 1)),
	ROW_CAP("interrupt in shutdown", "activity-event", GUEST_ACTIVITY, ANY, VMX_MISC, 7,
	    PUT(GUEST_ACTIVITY, 2), PUT(GUEST_INTERRUPTIBILITY, 0), SET(GUEST_RFLAGS, IF),
	    PUT(ENTRY_INTR_INFO, EVENT(0u, 0x20u))),
	ROW_CAP("NMI in wait-for-SIPI", "activity-event", GUEST_ACTIVITY, ANY, VMX_MISC, 8,
	    PUT(GUEST_ACTIVITY, 3), PUT(GUEST_INTERRUPTIBILITY, 0),
	    PUT(ENTRY_INTR_INFO, EVENT(2u, 2u))),
	ROW("interruptibility bit 5", "blocking-reserved", GUEST_INTERRUPTIBILITY, ANY,
	    PUT(GUEST_ACTIVITY, 0), PUT(GUEST_INTERRUPTIBILITY, 1u << 5)),
	ROW("blocking by STI and MOV SS", "blocking-one", GUEST_INTERRUPTIBILITY, ANY,
	    PUT(GUEST_ACTIVITY, 0), SET(GUEST_RFLAGS, IF), PUT(GUEST_INTERRUPTIBILITY, 3)),
	ROW("blocking by STI with IF 0", "blocking-sti-if", GUEST_INTERRUPTIBILITY, ANY,
	    PUT(GUEST_ACTIVITY, 0), CLEAR(GUEST_RFLAGS, IF), PUT(GUEST_INTERRUPTIBILITY, 1)),
	ROW("interrupt while STI blocks", "blocking-external", GUEST_INTERRUPTIBILITY, ANY,
	    PUT(GUEST_ACTIVITY, 0), SET(GUEST_RFLAGS, IF), PUT(GUEST_INTERRUPTIBILITY, 1),
	    PUT(ENTRY_INTR_INFO, EVENT(0u, 0x20u))),
	ROW("interrupt while MOV SS blocks", "blocking-external", GUEST_INTERRUPTIBILITY, ANY,
	    PUT(GUEST_ACTIVITY, 0), SET(GUEST_RFLAGS, IF), PUT(GUEST_INTERRUPTIBILITY, 2),
	    PUT(ENTRY_INTR_INFO, EVENT(0u, 0x20u))),
	ROW("NMI while MOV SS blocks", "blocking-nmi", GUEST_INTERRUPTIBILITY, ANY,
	    PUT(GUEST_ACTIVITY, 0), PUT(GUEST_INTERRUPTIBILITY, 2), PUT(ENTRY_INTR_INFO, EVENT(2u, 2u))),
	ROW("blocking by SMI", "blocking-smi", GUEST_INTERRUPTIBILITY, ANY, PUT(GUEST_INTERRUPTIBILITY, 4)),
	ROW("pending debug bit 4", "pending-reserved", GUEST_PENDING_DBG, ANY, SET(GUEST_PENDING_DBG, 1u << 4)),
	ROW("pending debug bit 13", "pending-reserved", GUEST_PENDING_DBG, ANY, SET(GUEST_PENDING_DBG, 1u << 13)),
	ROW("VMCS link not aligned", "link-page", VMCS_LINK, ANY, PUT(VMCS_LINK, 0x1010)),
	ROW("VMCS link beyond the width", "link-page", VMCS_LINK, ANY, PUT(VMCS_LINK, BEYOND)),
	ROW("VMCS link to no VMCS", "link-revision", VMCS_LINK, ANY, PUT(VMCS_LINK, 0)),
	ROW("PDPTE with a reserved bit", "pdpte-field", GUEST_PDPTE0, REAL | PROT,
	    SET(GUEST_CR0, CR0_PE | CR0_PG), SET(GUEST_CR4, CR4_PAE), CLEAR(GUEST_EFER, EFER_LME),
	    PUT(GUEST_PDPTE0, 0x1003)),
};
// clang-format on

void breakage_run(const struct breakage *b, const struct breakage_target *target)
{
	for (unsigned n = 0; n < b->step_count; n++) {
		const struct breakage_step *step = &b->step[n];
		uint64_t old = target->read(target->ctx, step->field);

		target->write(target->ctx, step->field, (old & step->keep) | step->set);
	}
}

static uint64_t snapshot_read(void *ctx, enum vmcs_index i)
{
	return ((struct vmcs_snapshot *)ctx)->value[i];
}

static void snapshot_write(void *ctx, enum vmcs_index i, uint64_t value)
{
	((struct vmcs_snapshot *)ctx)->value[i] = value;
}

void breakage_run_snapshot(const struct breakage *b, struct vmcs_snapshot *s)
{
	const struct breakage_target target = {snapshot_read, snapshot_write, s};

	breakage_run(b, &target);
}

static unsigned guest_kind(const struct vmcs_snapshot *s)
{
	if (s->value[SNAP_GUEST_RFLAGS] & 1u << 17)
		return 0;
	if (s->value[SNAP_ENTRY_CTLS] & CTLBIT_ENTRY_IA32E)
		return BREAK_LONG;
	return s->value[SNAP_GUEST_CR0] & CR0_PE ? BREAK_PROT : BREAK_REAL;
}

/* Are the control words such that the CPU lets them pass, but the one that the row is to break? */
static bool controls_allowed(const struct breakage *b, const struct vmcs_snapshot *broken,
			     const struct vmx_caps *caps)
{
	static const struct {
		enum vmcs_index field;
		enum ctl_word word;
		const char *rule;
	} words[] = {
		{SNAP_PIN_CTLS, CTL_PIN, "pin-reserved"},
		{SNAP_PROC_CTLS, CTL_PROC, "proc-reserved"},
		{SNAP_PROC2_CTLS, CTL_PROC2, "proc2-reserved"},
		{SNAP_EXIT_CTLS, CTL_EXIT, "exit-reserved"},
		{SNAP_ENTRY_CTLS, CTL_ENTRY, "entry-reserved"},
	};

	for (size_t i = 0; i < array_count(words); i++) {
		uint32_t value = (uint32_t)broken->value[words[i].field];
		bool allowed = vmx_control_may(caps, words[i].word, value) &&
			       !vmx_control_must(caps, words[i].word, ~value);

		if (allowed == (strcmp(words[i].rule, b->rule) == 0))
			return false;
	}
	return true;
}

bool breakage_possible(const struct breakage *b, const struct vmcs_snapshot *good,
		       const struct vmx_caps *caps)
{
	struct vmcs_snapshot broken = *good;

	if (!(b->guests & guest_kind(good)))
		return false;
	if (b->cap_bits && !vmx_caps_bit(caps, b->cap, b->cap_bits & 0xff))
		return false;
	for (unsigned n = 0; n < b->step_count; n++)
		if (!vmcs_snapshot_has(good, b->step[n].field))
			return false;
	breakage_run_snapshot(b, &broken);
	return controls_allowed(b, &broken, caps);
}

unsigned vmx_breakage_count(void)
{
	return array_count(rows);
}

const struct breakage *vmx_breakage(unsigned i)
{
	return &rows[i];
}

const char *vmx_breakage_name(unsigned i)
{
	return rows[i].name;
}

const char *vmx_breakage_expect(unsigned i)
{
	return rows[i].rule;
}

const char *vmx_breakage_expect_field(unsigned i)
{
	return vmcs_index_name(rows[i].field);
}

bool vmx_breakage_possible(unsigned i, const struct vmcs_snapshot *good,
			   const struct vmx_caps *caps)
{
	return breakage_possible(&rows[i], good, caps);
}

void breakage_undo(const struct breakage *b, const struct vmcs_snapshot *good,
		   const struct breakage_target *target)
{
	for (unsigned n = 0; n < b->step_count; n++)
		target->write(target->ctx, b->step[n].field, good->value[b->step[n].field]);
}

static uint64_t vmcs_target_read(void *ctx, enum vmcs_index i)
{
	(void)ctx;
	return vmcs_read_raw(vmcs_index_field(i));
}

static void vmcs_target_write(void *ctx, enum vmcs_index i, uint64_t value)
{
	(void)ctx;
	vmcs_write_raw(vmcs_index_field(i), value);
}

static const struct breakage_target current_vmcs = {vmcs_target_read, vmcs_target_write, NULL};

void vmx_breakage_apply(unsigned i)
{
	breakage_run(&rows[i], &current_vmcs);
}

void vmx_breakage_undo(unsigned i, const struct vmcs_snapshot *good)
{
	breakage_undo(&rows[i], good, &current_vmcs);
}
