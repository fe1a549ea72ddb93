/*
 * Good snapshots of invented VMCSs for the tests of auditor, breakages and dump, and the CPU and
 * memory that belong to them.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../vmx/audit_rules.h"
#include "../../vmx/breakage.h"

/* A CPU that has every control but tertiary ones, and no 5-level paging. */
static const struct vmx_caps sample_caps = {
	.vendor = "GenuineIntel",
	.cpuid1_ecx = CPUID1_ECX_VMX,
	.msr =
		{
			[CAP_FEATURE_CONTROL] = 5,
			[CAP_VMX_BASIC] = 0x00da040000000004,
			[CAP_VMX_PINBASED_CTLS] = 0x000000ff00000016,
			[CAP_VMX_PROCBASED_CTLS] = 0xfff9fffe0401e172,
			[CAP_VMX_EXIT_CTLS] = 0x37ffffff00036dff,
			[CAP_VMX_ENTRY_CTLS] = 0x0077ffff000011ff,
			[CAP_VMX_MISC] = 0x7004c1e7,
			[CAP_VMX_CR0_FIXED0] = 0x80000021,
			[CAP_VMX_CR0_FIXED1] = 0xffffffff,
			[CAP_VMX_CR4_FIXED0] = 0x2000,
			[CAP_VMX_CR4_FIXED1] = 0xb767ff,
			[CAP_VMX_PROCBASED_CTLS2] = 0x1fffffff00000000,
			[CAP_VMX_EPT_VPID_CAP] = 0x00000f0106734141,
			[CAP_VMX_TRUE_PINBASED_CTLS] = 0x000000ff00000016,
			[CAP_VMX_TRUE_PROCBASED_CTLS] = 0xfff9fffe04006172,
			[CAP_VMX_TRUE_EXIT_CTLS] = 0x37ffffff00036dfb,
			[CAP_VMX_TRUE_ENTRY_CTLS] = 0x0077ffff000011fb,
			[CAP_VMX_VMFUNC] = 1,
		},
};

enum {
	SAMPLE_PHYS_BITS = 46,
	SAMPLE_RAM = 0x10000,
	SAMPLE_VMCS = 0x3000,	/* the region itself */
	SAMPLE_REGION = 0x4000, /* another one, with the CPU's revision */
	SAMPLE_PDPTES = 0x5020, /* for a guest without EPT */
	SAMPLE_VAPIC = 0x6000,
};

/* Physical memory: read fails beyond. */
static uint8_t sample_ram[SAMPLE_RAM];

static inline bool sample_read(void *ctx, uint64_t phys, uint8_t bytes[16])
{
	(void)ctx;
	assert_int_equal(phys % 16, 0);
	if (phys > SAMPLE_RAM - 16)
		return false;
	memcpy(bytes, sample_ram + phys, 16);
	return true;
}

static inline void sample_ram_reset(void)
{
	memset(sample_ram, 0, sizeof(sample_ram));
	sample_ram[SAMPLE_VMCS] = 4;
	sample_ram[SAMPLE_REGION] = 4;
}

static inline struct vmx_audit_env sample_env(void)
{
	sample_ram_reset();
	return (struct vmx_audit_env){
		.phys_bits = SAMPLE_PHYS_BITS,
		.linear_bits = 48,
		.ia32e = true,
		.efer_bits = 0xd01,
		.debugctl_bits = 0xffc7,
		.perf_global_bits = 0x70000000f,
		.vmcs = SAMPLE_VMCS,
		.read = sample_read,
	};
}

static inline void sample_segment(struct vmcs_snapshot *s, unsigned seg, uint16_t selector,
				  uint64_t base, uint32_t limit, uint32_t ar)
{
	s->value[SNAP_GUEST_ES_SELECTOR + seg] = selector;
	s->value[SNAP_GUEST_ES_BASE + seg] = base;
	s->value[SNAP_GUEST_ES_LIMIT + seg] = limit;
	s->value[SNAP_GUEST_ES_AR + seg] = ar;
}

/* What all guests share: controls, host. */
static inline struct vmcs_snapshot sample_common(void)
{
	struct vmcs_snapshot s = {0};
	uint64_t *v = s.value;

	for (unsigned i = 0; i < SNAP_COUNT; i++)
		s.present[i / 64] |= 1ull << (i % 64);
	v[SNAP_PIN_CTLS] = 0x7f;
	v[SNAP_PROC_CTLS] = 0x04006172 | 1u << 31 | 1u << 28 | 1u << 25 | 3u << 19 | 1u << 7;
	v[SNAP_PROC2_CTLS] = 1u << 1 | 1u << 5 | 1u << 7;
	v[SNAP_EXIT_CTLS] = 0x00036dfb | 1u << 2 | 1u << 9 | 0xfu << 18;
	v[SNAP_ENTRY_CTLS] = 0x000011fb | 1u << 2 | 3u << 14;
	v[SNAP_IO_BITMAP_A] = 0x7000;
	v[SNAP_IO_BITMAP_B] = 0x8000;
	v[SNAP_MSR_BITMAP] = 0x9000;
	v[SNAP_EPTP] = 0xa000 | 1u << 6 | 3u << 3 | 6;
	v[SNAP_VPID] = 1;
	v[SNAP_TSC_MULTIPLIER] = 1ull << 48;
	v[SNAP_VMCS_LINK] = ~0ull;

	v[SNAP_HOST_CR0] = 0x80010033;
	v[SNAP_HOST_CR3] = 0x1000;
	v[SNAP_HOST_CR4] = 0x2020;
	v[SNAP_HOST_PAT] = 0x0007040600070406;
	v[SNAP_HOST_EFER] = 0xd01;
	v[SNAP_HOST_CS_SELECTOR] = 0x08;
	v[SNAP_HOST_SS_SELECTOR] = 0x10;
	v[SNAP_HOST_TR_SELECTOR] = 0x18;
	v[SNAP_HOST_GS_BASE] = 0xffffffff80200000;
	v[SNAP_HOST_TR_BASE] = 0xffffffff80201000;
	v[SNAP_HOST_GDTR_BASE] = 0xffffffff80202000;
	v[SNAP_HOST_IDTR_BASE] = 0xffffffff80203000;
	v[SNAP_HOST_RIP] = 0xffffffff80100000;

	v[SNAP_GUEST_PAT] = 0x0007040600070406;
	v[SNAP_GUEST_DR7] = 0x400;
	v[SNAP_GUEST_RFLAGS] = 2;
	v[SNAP_GUEST_GDTR_LIMIT] = 0xffff;
	v[SNAP_GUEST_IDTR_LIMIT] = 0xffff;
	sample_segment(&s, SEG_TR, 0, 0, 0xffff, 0x8b);
	sample_segment(&s, SEG_LDTR, 0, 0, 0xffff, 0x82);
	return s;
}

/* At the reset vector, as an unrestricted guest. */
static inline struct vmcs_snapshot sample_real(void)
{
	struct vmcs_snapshot s = sample_common();

	s.value[SNAP_GUEST_CR0] = 0x60000030;
	s.value[SNAP_GUEST_CR4] = 0x2000;
	s.value[SNAP_GUEST_RIP] = 0xfff0;
	for (unsigned seg = SEG_ES; seg <= SEG_GS; seg++)
		sample_segment(&s, seg, 0, 0, 0xffff, 0x93);
	sample_segment(&s, SEG_CS, 0xf000, 0xffff0000, 0xffff, 0x9b);
	return s;
}

/* A 32-bit kernel with paging. */
static inline struct vmcs_snapshot sample_prot(void)
{
	struct vmcs_snapshot s = sample_common();

	s.value[SNAP_GUEST_CR0] = 0x80010033;
	s.value[SNAP_GUEST_CR3] = 0x2000;
	s.value[SNAP_GUEST_CR4] = 0x2010;
	s.value[SNAP_GUEST_RIP] = 0xc0100000;
	for (unsigned seg = SEG_ES; seg <= SEG_GS; seg++)
		sample_segment(&s, seg, 0x10, 0, 0xffffffff, 0xc093);
	sample_segment(&s, SEG_CS, 0x08, 0, 0xffffffff, 0xc09b);
	sample_segment(&s, SEG_TR, 0x28, 0xc0200000, 0x67, 0x8b);
	sample_segment(&s, SEG_LDTR, 0, 0, 0, 0x10000);
	return s;
}

/* The same on a CPU without unrestricted guests. */
static inline struct vmcs_snapshot sample_restricted(void)
{
	struct vmcs_snapshot s = sample_prot();

	s.value[SNAP_PROC2_CTLS] &= ~(uint64_t)CTLBIT_PROC2_UNRESTRICTED;
	return s;
}

/* A task of it in virtual-8086 mode. */
static inline struct vmcs_snapshot sample_v86(void)
{
	struct vmcs_snapshot s = sample_prot();

	s.value[SNAP_GUEST_RFLAGS] = 0x23202;
	s.value[SNAP_GUEST_RIP] = 0x100;
	for (unsigned seg = SEG_ES; seg <= SEG_GS; seg++)
		sample_segment(&s, seg, (uint16_t)(0x1000 + seg), 0x10000 + seg * 16, 0xffff, 0xf3);
	return s;
}

/* A 64-bit kernel. */
static inline struct vmcs_snapshot sample_long(void)
{
	struct vmcs_snapshot s = sample_prot();

	s.value[SNAP_ENTRY_CTLS] |= CTLBIT_ENTRY_IA32E;
	s.value[SNAP_GUEST_CR4] = 0x2020;
	s.value[SNAP_GUEST_EFER] = 0xd01;
	s.value[SNAP_GUEST_RIP] = 0xffffffff81000000;
	s.value[SNAP_GUEST_TR_BASE] = 0xffff888000001000;
	sample_segment(&s, SEG_CS, 0x10, 0, 0xffffffff, 0xa09b);
	sample_segment(&s, SEG_SS, 0x18, 0, 0xffffffff, 0xc093);
	sample_segment(&s, SEG_DS, 0, 0, 0, 0x10000);
	sample_segment(&s, SEG_ES, 0, 0, 0, 0x10000);
	sample_segment(&s, SEG_FS, 0, 0x7fffdeadb000, 0, 0x10000);
	sample_segment(&s, SEG_GS, 0, 0xffff888000002000, 0, 0x10000);
	return s;
}

/* The samples by the bits that tables of breakages name: enum breakage_guest and two more. */
enum { SAMPLE_RESTRICTED = 8, SAMPLE_V86 = 16 };
static const struct sample {
	const char *name;
	unsigned bit;
	struct vmcs_snapshot (*make)(void);
} samples[] = {
	{"real mode", BREAK_REAL, sample_real},
	{"protected mode", BREAK_PROT, sample_prot},
	{"64-bit mode", BREAK_LONG, sample_long},
	{"restricted guest", SAMPLE_RESTRICTED, sample_restricted},
	{"virtual-8086 mode", SAMPLE_V86, sample_v86},
};

/* vmx/vmcs.h wants these; nothing here may touch a VMCS. */
static bool (*sample_try_read)(enum vmcs_field field, uint64_t *value);

bool vmcs_try_read(enum vmcs_field field, uint64_t *value)
{
	assert_non_null(sample_try_read);
	return sample_try_read(field, value);
}

void vmcs_access_failed(enum vmcs_field field, bool write, uint64_t value)
{
	(void)write, (void)value;
	fail_msg("VMCS field %x was accessed", field);
	abort();
}

/* The auditor must name this rule, and this field first. */
static inline void assert_breaks(const struct vmcs_snapshot *s, const struct vmx_caps *caps,
				 const struct vmx_audit_env *env, const char *what,
				 const char *rule, enum vmcs_index field)
{
	struct vmx_audit_finding f;

	if (vmx_audit(s, caps, env, &f))
		fail_msg("%s: no rule is broken, expected %s", what, rule);
	if (strcmp(f.id, rule) != 0 || f.field[0] != field)
		fail_msg("%s: %s by %s=%llx, expected %s by %s=%llx", what, f.id,
			 vmcs_index_name(f.field[0]), (unsigned long long)f.value[0], rule,
			 vmcs_index_name(field), (unsigned long long)s->value[field]);
	assert_true(f.value[0] == s->value[field]);
}

static inline void assert_good(const struct vmcs_snapshot *s, const struct vmx_caps *caps,
			       const struct vmx_audit_env *env, const char *what)
{
	struct vmx_audit_finding f;

	if (!vmx_audit(s, caps, env, &f))
		fail_msg("%s: %s (%s), %s=%llx", what, f.id, f.rule, vmcs_index_name(f.field[0]),
			 (unsigned long long)f.value[0]);
	assert_null(f.id);
}
