/*
 * An invented CPU for the tests of vmx/caps.c. It fails the test that reads an MSR it does not
 * have. The verdict here is the tests' own, so that a text that lib/verdict.c would have to cut
 * fails.
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

#include <crvm/status.h>
#include "../../vmx/caps.h"

#define MSR_FIRST  MSR_VMX_BASIC
#define MSR_LAST   MSR_VMX_VMFUNC
#define INDEX(msr) ((msr)-MSR_FIRST)
#define VMX_MSRS   (INDEX(MSR_LAST) + 1)

/* The invented CPU. */
struct machine {
	char vendor[13];
	uint32_t max_leaf, ecx1;
	uint64_t feature_control;
	uint64_t msr[VMX_MSRS];
	uint32_t fault_msr;    /* reading this one faults; 0: none */
	bool wrmsr_faults;     /* writing IA32_FEATURE_CONTROL does */
	bool wrmsr_dropped;    /* it does nothing */
	bool read_after_write; /* IA32_FEATURE_CONTROL was read back */
	unsigned reads, writes;
	uint32_t written_msr;
	uint64_t written;
};

/* Modelled on a Skylake server, with every secondary control up to bit 23 and TSC scaling. */
static const struct machine good = {
	.vendor = "GenuineIntel",
	.max_leaf = 22,
	.ecx1 = 0x7ffefbff,
	.feature_control = 0x5,
	.msr = /* from MSR_FIRST on */
	{
		0x00da040000000004, /* VMX_BASIC */
		0x000000ff00000016, /* VMX_PINBASED_CTLS */
		0xfff9fffe0401e172, /* VMX_PROCBASED_CTLS */
		0x01ffffff00036dff, /* VMX_EXIT_CTLS */
		0x0003ffff000011ff, /* VMX_ENTRY_CTLS */
		0x000000007004c1e7, /* VMX_MISC */
		0x0000000080000021, /* VMX_CR0_FIXED0 */
		0x00000000ffffffff, /* VMX_CR0_FIXED1 */
		0x0000000000002000, /* VMX_CR4_FIXED0 */
		0x00000000003767ff, /* VMX_CR4_FIXED1 */
		0x000000000000002e, /* VMX_VMCS_ENUM */
		0x02ffffff00000000, /* VMX_PROCBASED_CTLS2 */
		0x00000f0106734141, /* VMX_EPT_VPID_CAP */
		0x000000ff00000016, /* VMX_TRUE_PINBASED_CTLS */
		0xfff9fffe04006172, /* VMX_TRUE_PROCBASED_CTLS */
		0x01ffffff00036dfb, /* VMX_TRUE_EXIT_CTLS */
		0x0003ffff000011fb, /* VMX_TRUE_ENTRY_CTLS */
		0x0000000000000001, /* VMX_VMFUNC */
	},
};

static inline uint64_t *machine_msr(struct machine *m, uint32_t msr)
{
	return msr == MSR_FEATURE_CONTROL ? &m->feature_control : &m->msr[INDEX(msr)];
}

static inline void machine_flip(struct machine *m, uint32_t msr, unsigned bit)
{
	*machine_msr(m, msr) ^= 1ull << bit;
}

static inline bool machine_bit(struct machine *m, uint32_t msr, unsigned bit)
{
	return *machine_msr(m, msr) >> bit & 1;
}

/* Which MSRs exist, said here once more and in other words than in caps.c. */
static inline bool machine_has_msr(struct machine *m, uint32_t msr)
{
	bool secondary = machine_bit(m, MSR_VMX_PROCBASED_CTLS, 63);

	if (!(m->ecx1 & 0x20))
		return false;
	if (msr == 0x3a || (msr >= 0x480 && msr <= 0x48a))
		return true;
	if (msr == 0x48b)
		return secondary;
	if (msr == 0x48c)
		return secondary && (machine_bit(m, 0x48b, 33) || machine_bit(m, 0x48b, 37));
	if (msr >= 0x48d && msr <= 0x490)
		return machine_bit(m, 0x480, 55);
	if (msr == 0x491)
		return secondary && machine_bit(m, 0x48b, 45);
	return false;
}

static inline struct cpuid_regs fake_cpuid(void *ctx, uint32_t leaf, uint32_t subleaf)
{
	struct machine *m = ctx;
	struct cpuid_regs r = {0};

	assert_int_equal(subleaf, 0);
	if (leaf > m->max_leaf)
		fail_msg("CPUID leaf %x is beyond the last", leaf);
	if (leaf == 0) {
		r.eax = m->max_leaf;
		memcpy(&r.ebx, m->vendor, 4);
		memcpy(&r.edx, m->vendor + 4, 4);
		memcpy(&r.ecx, m->vendor + 8, 4);
	} else if (leaf == 1) {
		r.ecx = m->ecx1;
	}
	return r;
}

static inline int fake_rdmsr(void *ctx, uint32_t msr, uint64_t *v)
{
	struct machine *m = ctx;

	if (!machine_has_msr(m, msr))
		fail_msg("MSR %x does not exist, and was read", msr);
	m->reads++;
	if (msr == MSR_FEATURE_CONTROL && m->writes > 0)
		m->read_after_write = true;
	if (msr == m->fault_msr)
		return E_FAULT;
	*v = *machine_msr(m, msr);
	return 0;
}

static inline int fake_wrmsr(void *ctx, uint32_t msr, uint64_t v)
{
	struct machine *m = ctx;

	if (!machine_has_msr(m, msr) || msr != MSR_FEATURE_CONTROL)
		fail_msg("MSR %x was written", msr);
	m->writes++;
	m->written_msr = msr;
	m->written = v;
	if (m->wrmsr_faults)
		return E_FAULT;
	if (!m->wrmsr_dropped)
		m->feature_control = v;
	return 0;
}

static inline struct cpu_ops ops_of(struct machine *m)
{
	return (struct cpu_ops){fake_cpuid, fake_rdmsr, fake_wrmsr, m};
}

/* As lib/verdict.c, but what does not fit fails the test. */
void verdict_add(struct verdict *v, const char *fact, const char *todo, const char *saw_fmt, ...)
{
	struct verdict_item item;
	va_list ap;
	int n;

	va_start(ap, saw_fmt);
	n = vsnprintf(item.saw, sizeof(item.saw), saw_fmt, ap);
	va_end(ap);
	assert_in_range(n, 1, sizeof(item.saw) - 1);
	if (strlen(fact) >= sizeof(item.fact) || strlen(todo) >= sizeof(item.todo))
		fail_msg("too long: \"%s\" or \"%s\"", fact, todo);
	strcpy(item.fact, fact);
	strcpy(item.todo, todo);
	if (v->count < VERDICT_MAX)
		v->item[v->count++] = item;
}

static inline struct vmx_caps caps_of(struct machine *m)
{
	struct cpu_ops ops = ops_of(m);
	struct vmx_caps c;

	memset(&c, 0xa5, sizeof(c));
	vmx_caps_read(&c, &ops);
	return c;
}

static inline void assert_holds(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("\"%s\" does not hold \"%s\"", text, part);
}

/* Exactly one item, which holds these words. */
static inline void assert_item(const struct verdict *v, const char *fact, const char *saw,
			       const char *todo)
{
	if (v->count != 1)
		fail_msg("%u items for \"%s\"; the first is \"%s\", the last \"%s\"", v->count,
			 fact, v->count ? v->item[0].fact : "",
			 v->count ? v->item[v->count - 1].fact : "");
	assert_holds(v->item[0].fact, fact);
	assert_holds(v->item[0].saw, saw);
	assert_holds(v->item[0].todo, todo);
}
