/*
 * Runs the auditor's rules, and holds what several of their files need. It must not know a single
 * rule.
 */
#include "audit_rules.h"

#include <crvm/printf.h>
#include <crvm/string.h>

/* The rows find a segment's fields by adding its number. */
#define SEGMENT(seg)                                                                             \
	_Static_assert(                                                                          \
		(int)SNAP_GUEST_##seg##_SELECTOR == (int)SNAP_GUEST_ES_SELECTOR + SEG_##seg &&   \
			(int)SNAP_GUEST_##seg##_LIMIT == (int)SNAP_GUEST_ES_LIMIT + SEG_##seg && \
			(int)SNAP_GUEST_##seg##_AR == (int)SNAP_GUEST_ES_AR + SEG_##seg &&       \
			(int)SNAP_GUEST_##seg##_BASE == (int)SNAP_GUEST_ES_BASE + SEG_##seg,     \
		"VMCS_FIELDS and enum vcpu_segreg: order of segments");
SEGMENT(CS)
SEGMENT(SS)
SEGMENT(DS)
SEGMENT(FS)
SEGMENT(GS)
SEGMENT(LDTR)
SEGMENT(TR)

enum {
	BASIC_32_BIT_ADDRESSES = 48,
	AR_UNUSABLE = 1u << 16,
	RFLAGS_VM = 1u << 17,

	CPUID7_EBX_SGX = 1u << 2,
	CPUID7_EBX_RTM = 1u << 11,
	CPUID7_ECX_LA57 = 1u << 16,
	CPUID81_EDX_SYSCALL = 1u << 11,
	CPUID81_EDX_NX = 1u << 20,
	CPUID81_EDX_LM = 1u << 29,

	/* Vol. 4, IA32_DEBUGCTL: those that some CPU has. */
	DEBUGCTL_KNOWN = 0xffc7,
};

void vmx_audit_env_init(struct vmx_audit_env *env, const struct cpu_features *features)
{
	uint32_t ext = features->ext1.edx;

	*env = (struct vmx_audit_env){
		.phys_bits = features->phys_bits,
		.linear_bits = features->leaf7.ecx & CPUID7_ECX_LA57 ? 57 : 48,
		.ia32e = true,
		.rtm = features->leaf7.ebx & CPUID7_EBX_RTM,
		.sgx = features->leaf7.ebx & CPUID7_EBX_SGX,
		.efer_bits = (ext & CPUID81_EDX_SYSCALL ? EFER_SCE : 0u) |
			     (ext & CPUID81_EDX_LM ? EFER_LME | EFER_LMA : 0u) |
			     (ext & CPUID81_EDX_NX ? EFER_NXE : 0u),
		.debugctl_bits = DEBUGCTL_KNOWN,
		.perf_global_bits = ~0ull,
	};
}

bool audit_address_fits(const struct audit *a, uint64_t address)
{
	if (vmx_caps_bit(a->caps, CAP_VMX_BASIC, BASIC_32_BIT_ADDRESSES) && address >> 32)
		return false;
	return a->env->phys_bits >= 64 || address >> a->env->phys_bits == 0;
}

bool audit_page(const struct audit *a, const struct audit_rule *r, unsigned seg)
{
	uint64_t address = audit_field(a, r, 0, seg);

	return address % PAGE_SIZE == 0 && audit_address_fits(a, address);
}

bool audit_cr3(const struct audit *a, const struct audit_rule *r, unsigned seg)
{
	unsigned bits = a->env->phys_bits < 52 ? a->env->phys_bits : 52;

	return audit_field(a, r, 0, seg) >> bits == 0;
}

bool audit_canonical(const struct audit *a, const struct audit_rule *r, unsigned seg)
{
	unsigned unused = 64 - a->env->linear_bits;
	uint64_t address = audit_field(a, r, 0, seg);

	return (uint64_t)((int64_t)(address << unused) >> unused) == address;
}

bool audit_pat(const struct audit *a, const struct audit_rule *r, unsigned seg)
{
	uint64_t pat = audit_field(a, r, 0, seg);

	for (unsigned i = 0; i < 8; i++, pat >>= 8) {
		unsigned type = pat & 0xff;

		if (type > 7 || type == 2 || type == 3)
			return false;
	}
	return true;
}

bool audit_efer_bits(const struct audit *a, const struct audit_rule *r, unsigned seg)
{
	return (audit_field(a, r, 0, seg) & ~a->env->efer_bits) == 0;
}

bool audit_perf_global(const struct audit *a, const struct audit_rule *r, unsigned seg)
{
	return (audit_field(a, r, 0, seg) & ~a->env->perf_global_bits) == 0;
}

static void audit_prepare(struct audit *a)
{
	static const enum vmcs_index word[CTL_WORD_COUNT] = {
		[CTL_PIN] = SNAP_PIN_CTLS,     [CTL_PROC] = SNAP_PROC_CTLS,
		[CTL_PROC2] = SNAP_PROC2_CTLS, [CTL_EXIT] = SNAP_EXIT_CTLS,
		[CTL_ENTRY] = SNAP_ENTRY_CTLS,
	};

	for (unsigned w = 0; w < CTL_WORD_COUNT; w++)
		a->ctl[w] = (uint32_t)audit_value(a, word[w]);
	if (!AUDIT_ON(a, PROC, SECONDARY))
		a->ctl[CTL_PROC2] = 0;
	a->only = (audit_value(a, SNAP_GUEST_RFLAGS) & RFLAGS_VM ? AUDIT_V86 : AUDIT_NOT_V86) |
		  (AUDIT_ON(a, ENTRY, IA32E) ? AUDIT_IA32E : AUDIT_LEGACY) |
		  (AUDIT_ON(a, PROC2, UNRESTRICTED) ? 0 : AUDIT_RESTRICTED) |
		  (audit_event_type(a) != EVT_NONE ? AUDIT_EVENT : 0) |
		  (AUDIT_ON(a, EXIT, HOST_64) ? 0 : AUDIT_HOST_32);
}

static bool rule_holds(const struct audit *a, const struct audit_rule *r, unsigned seg)
{
	bool usable = !(audit_value(a, SNAP_GUEST_ES_AR + seg) & AR_UNUSABLE);
	unsigned only = a->only | (usable ? AUDIT_USABLE : 0);

	if (!audit_on(a, r->when) || (r->only & ~only))
		return true;
	if (!audit_on(a, r->need) || (a->ctl[r->zero.word] & r->zero.bits))
		return false;
	if (r->mask && (audit_field(a, r, 0, seg) & r->mask) != r->value)
		return false;
	return !r->holds || r->holds(a, r, seg);
}

static void finding_fill(struct vmx_audit_finding *f, const struct audit *a,
			 const struct audit_section *section, const struct audit_rule *r,
			 unsigned seg)
{
	*f = (struct vmx_audit_finding){
		.id = r->id,
		.area = section->area,
		.section = section->title,
		.rule = r->text,
		.field_count = r->field_count,
	};
	for (unsigned n = 0; n < r->field_count; n++) {
		f->field[n] = audit_index(r, n, seg);
		f->value[n] = audit_value(a, f->field[n]);
	}
}

static bool section_holds(const struct audit *a, const struct audit_section *section,
			  struct vmx_audit_finding *out)
{
	for (size_t i = 0; i < section->rule_count; i++) {
		const struct audit_rule *r = &section->rules[i];
		unsigned segments = r->segments ? r->segments : 1;

		for (unsigned seg = 0; seg < SEG_COUNT; seg++) {
			if (!(segments >> seg & 1) || rule_holds(a, r, seg))
				continue;
			finding_fill(out, a, section, r, seg);
			return false;
		}
	}
	return true;
}

bool vmx_audit(const struct vmcs_snapshot *s, const struct vmx_caps *caps,
	       const struct vmx_audit_env *env, struct vmx_audit_finding *out)
{
	static const struct {
		const struct audit_section *section;
		size_t count;
	} parts[] = {
		{audit_controls, array_count(audit_controls)},
		{audit_host, array_count(audit_host)},
		{audit_guest_registers, array_count(audit_guest_registers)},
		{audit_segments, array_count(audit_segments)},
		{audit_guest_rest, array_count(audit_guest_rest)},
	};
	struct audit a = {.s = s, .caps = caps, .env = env};

	*out = (struct vmx_audit_finding){0};
	audit_prepare(&a);
	for (size_t p = 0; p < array_count(parts); p++)
		for (size_t i = 0; i < parts[p].count; i++)
			if (!section_holds(&a, &parts[p].section[i], out))
				return false;
	return true;
}

int vmx_finding_values(char *buf, size_t size, const struct vmx_audit_finding *f)
{
	int length = 0;

	if (size)
		buf[0] = '\0';
	for (unsigned n = 0; n < f->field_count; n++) {
		size_t used = (size_t)length < size ? (size_t)length : size;

		length += str_printf(buf + used, size - used, "%s%s=0x%llx", n ? " " : "",
				     vmcs_index_name(f->field[n]), (unsigned long long)f->value[n]);
	}
	return length;
}
