/*
 * How the auditor's rules are written down. For vmx/audit*.c and their tests only.
 *
 * A rule is a row. It is looked at if all of `when` is 1 and all of `only` is so; then everything
 * that the row names must hold: `need` all ones, `zero` all zeros, the bits `mask` of the first
 * field equal to `value`, and the function. A row with `segments` is looked at once for each of
 * them, and its fields GUEST_ES_* stand for those of the segment.
 */
#pragma once

#include <crvm/vcpu.h>

#include "audit.h"
#include "ctl_bits.h"

struct audit {
	const struct vmcs_snapshot *s;
	const struct vmx_caps *caps;
	const struct vmx_audit_env *env;
	/* PROC2 as it counts: 0 without "activate secondary controls". */
	uint32_t ctl[CTL_WORD_COUNT];
	unsigned only; /* the bits of enum audit_only that are so, but AUDIT_USABLE */
};

enum audit_only {
	AUDIT_V86 = 1u << 0, /* the guest is in virtual-8086 mode */
	AUDIT_NOT_V86 = 1u << 1,
	AUDIT_IA32E = 1u << 2,	    /* "IA-32e mode guest" is 1 */
	AUDIT_LEGACY = 1u << 3,	    /* it is 0 */
	AUDIT_RESTRICTED = 1u << 4, /* "unrestricted guest" is 0 */
	AUDIT_EVENT = 1u << 5,	    /* entry is to deliver an event */
	AUDIT_HOST_32 = 1u << 6,    /* "host address-space size" is 0 */
	AUDIT_USABLE = 1u << 7,	    /* the segment is not marked unusable */
};

struct audit_ctl {
	enum ctl_word word;
	uint32_t bits;
};

struct audit_rule {
	const char *id, *text;
	bool (*holds)(const struct audit *a, const struct audit_rule *r, unsigned seg);
	struct audit_ctl when, need, zero;
	unsigned only;
	unsigned segments; /* bits 1 << SEG_* */
	uint64_t mask, value;
	uint8_t field_count;
	uint8_t field[VMX_FINDING_FIELDS]; /* enum vmcs_index; the first is the one that is wrong */
};
_Static_assert(SNAP_COUNT <= 256, "struct audit_rule keeps indices in bytes");

struct audit_section {
	const char *area, *title;
	const struct audit_rule *rules;
	size_t rule_count;
};

/* In the order of the SDM. */
extern const struct audit_section audit_controls[3], audit_host[3];
extern const struct audit_section audit_guest_registers[1], audit_segments[1], audit_guest_rest[4];

/* Words for rows. */
#define CTL(word, id)                            \
	{                                        \
		CTL_##word, CTLBIT_##word##_##id \
	}
#define FIELDS(...) .field = {__VA_ARGS__}, .field_count = sizeof((const uint8_t[]){__VA_ARGS__})
#define SECTION(area, title, rules)                    \
	{                                              \
		area, title, rules, array_count(rules) \
	}

static inline uint64_t audit_value(const struct audit *a, enum vmcs_index i)
{
	return a->s->value[i];
}

static inline bool audit_on(const struct audit *a, struct audit_ctl ctl)
{
	return (a->ctl[ctl.word] & ctl.bits) == ctl.bits;
}
#define AUDIT_ON(a, word, id) audit_on(a, (struct audit_ctl)CTL(word, id))

/* The index that field n of a row stands for. */
static inline enum vmcs_index audit_index(const struct audit_rule *r, unsigned n, unsigned seg)
{
	unsigned i = r->field[n];

	if (r->segments && (i == SNAP_GUEST_ES_SELECTOR || i == SNAP_GUEST_ES_LIMIT ||
			    i == SNAP_GUEST_ES_AR || i == SNAP_GUEST_ES_BASE))
		i += seg;
	return (enum vmcs_index)i;
}

static inline uint64_t audit_field(const struct audit *a, const struct audit_rule *r, unsigned n,
				   unsigned seg)
{
	return audit_value(a, audit_index(r, n, seg));
}

/* The event that entry is to deliver: Vol. 3C, "VM-Entry Controls for Event Injection". */
enum audit_event {
	EVT_EXTERNAL = 0,
	EVT_RESERVED = 1,
	EVT_NMI = 2,
	EVT_EXCEPTION = 3,
	EVT_SOFT_INT = 4,
	EVT_PRIV_EXCEPTION = 5,
	EVT_SOFT_EXCEPTION = 6,
	EVT_OTHER = 7,
	EVT_NONE = 8,
};
static inline enum audit_event audit_event_type(const struct audit *a)
{
	uint64_t info = audit_value(a, SNAP_ENTRY_INTR_INFO);

	return info >> 31 & 1 ? (enum audit_event)(info >> 8 & 7) : EVT_NONE;
}
static inline unsigned audit_event_vector(const struct audit *a)
{
	return audit_value(a, SNAP_ENTRY_INTR_INFO) & 0xff;
}

/* Functions for rows, which more than one file needs (audit.c). They look at the first field. */
bool audit_canonical(const struct audit *a, const struct audit_rule *r, unsigned seg);
/* A multiple of 4096 within the physical-address width. */
bool audit_page(const struct audit *a, const struct audit_rule *r, unsigned seg);
bool audit_pat(const struct audit *a, const struct audit_rule *r, unsigned seg);
/* A value for CR3: nothing beyond the physical-address width. */
bool audit_cr3(const struct audit *a, const struct audit_rule *r, unsigned seg);
bool audit_efer_bits(const struct audit *a, const struct audit_rule *r, unsigned seg);
bool audit_perf_global(const struct audit *a, const struct audit_rule *r, unsigned seg);

/* May `address` name memory for the VMCS? Not beyond the width, nor 32 bits if the CPU says so. */
bool audit_address_fits(const struct audit *a, uint64_t address);
