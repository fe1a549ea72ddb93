/*
 * The fields of a VMCS, once: name, encoding, width, access. From this list come typed accessors (a
 * wrong width or a write to a read-only field does not compile), the dump and the auditor. Private
 * to vmx/. Source: Intel SDM Vol. 3D, Appendix B, "Field Encoding in VMCS".
 */
#pragma once

#include <crvm/compiler.h>

/* X(name, encoding, width: 16, 32, 64 or N for natural, access: RW or RO) */
// clang-format off
#define VMCS_FIELDS(X) \
	/* 16-bit control */ \
	X(VPID, 0x0000, 16, RW) \
	X(POSTED_VECTOR, 0x0002, 16, RW) \
	X(EPTP_INDEX, 0x0004, 16, RW) \
	/* 16-bit guest state */ \
	X(GUEST_ES_SELECTOR, 0x0800, 16, RW) \
	X(GUEST_CS_SELECTOR, 0x0802, 16, RW) \
	X(GUEST_SS_SELECTOR, 0x0804, 16, RW) \
	X(GUEST_DS_SELECTOR, 0x0806, 16, RW) \
	X(GUEST_FS_SELECTOR, 0x0808, 16, RW) \
	X(GUEST_GS_SELECTOR, 0x080a, 16, RW) \
	X(GUEST_LDTR_SELECTOR, 0x080c, 16, RW) \
	X(GUEST_TR_SELECTOR, 0x080e, 16, RW) \
	X(GUEST_INTR_STATUS, 0x0810, 16, RW) \
	X(PML_INDEX, 0x0812, 16, RW) \
	/* 16-bit host state */ \
	X(HOST_ES_SELECTOR, 0x0c00, 16, RW) \
	X(HOST_CS_SELECTOR, 0x0c02, 16, RW) \
	X(HOST_SS_SELECTOR, 0x0c04, 16, RW) \
	X(HOST_DS_SELECTOR, 0x0c06, 16, RW) \
	X(HOST_FS_SELECTOR, 0x0c08, 16, RW) \
	X(HOST_GS_SELECTOR, 0x0c0a, 16, RW) \
	X(HOST_TR_SELECTOR, 0x0c0c, 16, RW) \
	/* 64-bit control */ \
	X(IO_BITMAP_A, 0x2000, 64, RW) \
	X(IO_BITMAP_B, 0x2002, 64, RW) \
	X(MSR_BITMAP, 0x2004, 64, RW) \
	X(EXIT_MSR_STORE_ADDR, 0x2006, 64, RW) \
	X(EXIT_MSR_LOAD_ADDR, 0x2008, 64, RW) \
	X(ENTRY_MSR_LOAD_ADDR, 0x200a, 64, RW) \
	X(EXECUTIVE_VMCS, 0x200c, 64, RW) \
	X(PML_ADDR, 0x200e, 64, RW) \
	X(TSC_OFFSET, 0x2010, 64, RW) \
	X(VIRTUAL_APIC_ADDR, 0x2012, 64, RW) \
	X(APIC_ACCESS_ADDR, 0x2014, 64, RW) \
	X(POSTED_DESC_ADDR, 0x2016, 64, RW) \
	X(VMFUNC_CTLS, 0x2018, 64, RW) \
	X(EPTP, 0x201a, 64, RW) \
	X(EOI_EXIT_0, 0x201c, 64, RW) \
	X(EOI_EXIT_1, 0x201e, 64, RW) \
	X(EOI_EXIT_2, 0x2020, 64, RW) \
	X(EOI_EXIT_3, 0x2022, 64, RW) \
	X(EPTP_LIST_ADDR, 0x2024, 64, RW) \
	X(VMREAD_BITMAP, 0x2026, 64, RW) \
	X(VMWRITE_BITMAP, 0x2028, 64, RW) \
	X(VE_INFO_ADDR, 0x202a, 64, RW) \
	X(XSS_EXITING_BITMAP, 0x202c, 64, RW) \
	X(ENCLS_EXITING_BITMAP, 0x202e, 64, RW) \
	X(SPP_TABLE, 0x2030, 64, RW) \
	X(TSC_MULTIPLIER, 0x2032, 64, RW) \
	/* 64-bit read-only */ \
	X(GUEST_PHYSICAL_ADDRESS, 0x2400, 64, RO) \
	/* 64-bit guest state */ \
	X(VMCS_LINK, 0x2800, 64, RW) \
	X(GUEST_DEBUGCTL, 0x2802, 64, RW) \
	X(GUEST_PAT, 0x2804, 64, RW) \
	X(GUEST_EFER, 0x2806, 64, RW) \
	X(GUEST_PERF_GLOBAL_CTRL, 0x2808, 64, RW) \
	X(GUEST_PDPTE0, 0x280a, 64, RW) \
	X(GUEST_PDPTE1, 0x280c, 64, RW) \
	X(GUEST_PDPTE2, 0x280e, 64, RW) \
	X(GUEST_PDPTE3, 0x2810, 64, RW) \
	X(GUEST_BNDCFGS, 0x2812, 64, RW) \
	/* 64-bit host state */ \
	X(HOST_PAT, 0x2c00, 64, RW) \
	X(HOST_EFER, 0x2c02, 64, RW) \
	X(HOST_PERF_GLOBAL_CTRL, 0x2c04, 64, RW) \
	/* 32-bit control */ \
	X(PIN_CTLS, 0x4000, 32, RW) \
	X(PROC_CTLS, 0x4002, 32, RW) \
	X(EXCEPTION_BITMAP, 0x4004, 32, RW) \
	X(PF_ERROR_MASK, 0x4006, 32, RW) \
	X(PF_ERROR_MATCH, 0x4008, 32, RW) \
	X(CR3_TARGET_COUNT, 0x400a, 32, RW) \
	X(EXIT_CTLS, 0x400c, 32, RW) \
	X(EXIT_MSR_STORE_COUNT, 0x400e, 32, RW) \
	X(EXIT_MSR_LOAD_COUNT, 0x4010, 32, RW) \
	X(ENTRY_CTLS, 0x4012, 32, RW) \
	X(ENTRY_MSR_LOAD_COUNT, 0x4014, 32, RW) \
	X(ENTRY_INTR_INFO, 0x4016, 32, RW) \
	X(ENTRY_EXCEPTION_ERROR, 0x4018, 32, RW) \
	X(ENTRY_INSN_LEN, 0x401a, 32, RW) \
	X(TPR_THRESHOLD, 0x401c, 32, RW) \
	X(PROC2_CTLS, 0x401e, 32, RW) \
	X(PLE_GAP, 0x4020, 32, RW) \
	X(PLE_WINDOW, 0x4022, 32, RW) \
	/* 32-bit read-only */ \
	X(INSTRUCTION_ERROR, 0x4400, 32, RO) \
	X(EXIT_REASON, 0x4402, 32, RO) \
	X(EXIT_INTR_INFO, 0x4404, 32, RO) \
	X(EXIT_INTR_ERROR, 0x4406, 32, RO) \
	X(IDT_VECTORING_INFO, 0x4408, 32, RO) \
	X(IDT_VECTORING_ERROR, 0x440a, 32, RO) \
	X(EXIT_INSN_LEN, 0x440c, 32, RO) \
	X(EXIT_INSN_INFO, 0x440e, 32, RO) \
	/* 32-bit guest state */ \
	X(GUEST_ES_LIMIT, 0x4800, 32, RW) \
	X(GUEST_CS_LIMIT, 0x4802, 32, RW) \
	X(GUEST_SS_LIMIT, 0x4804, 32, RW) \
	X(GUEST_DS_LIMIT, 0x4806, 32, RW) \
	X(GUEST_FS_LIMIT, 0x4808, 32, RW) \
	X(GUEST_GS_LIMIT, 0x480a, 32, RW) \
	X(GUEST_LDTR_LIMIT, 0x480c, 32, RW) \
	X(GUEST_TR_LIMIT, 0x480e, 32, RW) \
	X(GUEST_GDTR_LIMIT, 0x4810, 32, RW) \
	X(GUEST_IDTR_LIMIT, 0x4812, 32, RW) \
	X(GUEST_ES_AR, 0x4814, 32, RW) \
	X(GUEST_CS_AR, 0x4816, 32, RW) \
	X(GUEST_SS_AR, 0x4818, 32, RW) \
	X(GUEST_DS_AR, 0x481a, 32, RW) \
	X(GUEST_FS_AR, 0x481c, 32, RW) \
	X(GUEST_GS_AR, 0x481e, 32, RW) \
	X(GUEST_LDTR_AR, 0x4820, 32, RW) \
	X(GUEST_TR_AR, 0x4822, 32, RW) \
	X(GUEST_INTERRUPTIBILITY, 0x4824, 32, RW) \
	X(GUEST_ACTIVITY, 0x4826, 32, RW) \
	X(GUEST_SMBASE, 0x4828, 32, RW) \
	X(GUEST_SYSENTER_CS, 0x482a, 32, RW) \
	X(PREEMPTION_TIMER, 0x482e, 32, RW) \
	/* 32-bit host state */ \
	X(HOST_SYSENTER_CS, 0x4c00, 32, RW) \
	/* natural-width control */ \
	X(CR0_MASK, 0x6000, N, RW) \
	X(CR4_MASK, 0x6002, N, RW) \
	X(CR0_SHADOW, 0x6004, N, RW) \
	X(CR4_SHADOW, 0x6006, N, RW) \
	X(CR3_TARGET_0, 0x6008, N, RW) \
	X(CR3_TARGET_1, 0x600a, N, RW) \
	X(CR3_TARGET_2, 0x600c, N, RW) \
	X(CR3_TARGET_3, 0x600e, N, RW) \
	/* natural-width read-only */ \
	X(EXIT_QUALIFICATION, 0x6400, N, RO) \
	X(IO_RCX, 0x6402, N, RO) \
	X(IO_RSI, 0x6404, N, RO) \
	X(IO_RDI, 0x6406, N, RO) \
	X(IO_RIP, 0x6408, N, RO) \
	X(GUEST_LINEAR_ADDRESS, 0x640a, N, RO) \
	/* natural-width guest state */ \
	X(GUEST_CR0, 0x6800, N, RW) \
	X(GUEST_CR3, 0x6802, N, RW) \
	X(GUEST_CR4, 0x6804, N, RW) \
	X(GUEST_ES_BASE, 0x6806, N, RW) \
	X(GUEST_CS_BASE, 0x6808, N, RW) \
	X(GUEST_SS_BASE, 0x680a, N, RW) \
	X(GUEST_DS_BASE, 0x680c, N, RW) \
	X(GUEST_FS_BASE, 0x680e, N, RW) \
	X(GUEST_GS_BASE, 0x6810, N, RW) \
	X(GUEST_LDTR_BASE, 0x6812, N, RW) \
	X(GUEST_TR_BASE, 0x6814, N, RW) \
	X(GUEST_GDTR_BASE, 0x6816, N, RW) \
	X(GUEST_IDTR_BASE, 0x6818, N, RW) \
	X(GUEST_DR7, 0x681a, N, RW) \
	X(GUEST_RSP, 0x681c, N, RW) \
	X(GUEST_RIP, 0x681e, N, RW) \
	X(GUEST_RFLAGS, 0x6820, N, RW) \
	X(GUEST_PENDING_DBG, 0x6822, N, RW) \
	X(GUEST_SYSENTER_ESP, 0x6824, N, RW) \
	X(GUEST_SYSENTER_EIP, 0x6826, N, RW) \
	/* natural-width host state */ \
	X(HOST_CR0, 0x6c00, N, RW) \
	X(HOST_CR3, 0x6c02, N, RW) \
	X(HOST_CR4, 0x6c04, N, RW) \
	X(HOST_FS_BASE, 0x6c06, N, RW) \
	X(HOST_GS_BASE, 0x6c08, N, RW) \
	X(HOST_TR_BASE, 0x6c0a, N, RW) \
	X(HOST_GDTR_BASE, 0x6c0c, N, RW) \
	X(HOST_IDTR_BASE, 0x6c0e, N, RW) \
	X(HOST_SYSENTER_ESP, 0x6c10, N, RW) \
	X(HOST_SYSENTER_EIP, 0x6c12, N, RW) \
	X(HOST_RSP, 0x6c14, N, RW) \
	X(HOST_RIP, 0x6c16, N, RW)
// clang-format on

enum vmcs_field {
#define X(name, encoding, width, access) VMCS_##name = (encoding),
	VMCS_FIELDS(X)
#undef X
};

/* An encoding says its width (bits 14:13) and whether it is read-only information (bits 11:10 = 1).
 */
#define VMCS_WIDTH_16 0u
#define VMCS_WIDTH_64 1u
#define VMCS_WIDTH_32 2u
#define VMCS_WIDTH_N  3u
#define VMCS_IS_RO    1
#define VMCS_IS_RW    0
#define X(name, encoding, width, access)                                               \
	_Static_assert(((encoding) >> 13 & 3) == VMCS_WIDTH_##width, #name ": width"); \
	_Static_assert((((encoding) >> 10 & 3) == 1) == VMCS_IS_##access, #name ": access");
VMCS_FIELDS(X)
#undef X

/* A VMREAD or VMWRITE that fails means that the hypervisor is wrong: no current VMCS, or no such
 * field. */
no_return void vmcs_access_failed(enum vmcs_field field, bool write, uint64_t value);

/* For fields that may not exist on this CPU (dump): false then. */
must_check bool vmcs_try_read(enum vmcs_field field, uint64_t *value);

static inline uint64_t vmcs_read_raw(enum vmcs_field field)
{
	uint64_t value;

	__asm__ goto("vmread %1, %0\n\t"
		     "jbe %l[failed]"
		     : "=r"(value)
		     : "r"((uint64_t)field)
		     : "cc"
		     : failed);
	return value;
failed:
	vmcs_access_failed(field, false, 0);
}

static inline void vmcs_write_raw(enum vmcs_field field, uint64_t value)
{
	__asm__ goto("vmwrite %1, %0\n\t"
		     "jbe %l[failed]"
		     :
		     : "r"((uint64_t)field), "rm"(value)
		     : "cc"
		     : failed);
	return;
failed:
	vmcs_access_failed(field, true, value);
}

#define VMCS_TYPE_16 uint16_t
#define VMCS_TYPE_32 uint32_t
#define VMCS_TYPE_64 uint64_t
#define VMCS_TYPE_N  uint64_t
#define VMCS_WRITER_RO(name, width)
#define VMCS_WRITER_RW(name, width)                                   \
	static inline void vmcs_write_##name(VMCS_TYPE_##width value) \
	{                                                             \
		vmcs_write_raw(VMCS_##name, value);                   \
	}
/* vmcs_read_NAME() and, where the field is writable, vmcs_write_NAME(value). */
#define X(name, encoding, width, access)                              \
	static inline VMCS_TYPE_##width vmcs_read_##name(void)        \
	{                                                             \
		return (VMCS_TYPE_##width)vmcs_read_raw(VMCS_##name); \
	}                                                             \
	VMCS_WRITER_##access(name, width)
VMCS_FIELDS(X)
#undef X
