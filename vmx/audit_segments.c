/*
 * The rules for the guest's segment registers. Rows only; what runs them is audit.c.
 * Source: Intel SDM Vol. 3C, "Checks on Guest Segment Registers".
 */
#include "audit_rules.h"

enum {
	AR_TYPE = 15,
	AR_S = 1u << 4,
	AR_DPL_SHIFT = 5,
	AR_P = 1u << 7,
	AR_L = 1u << 13,
	AR_DB = 1u << 14,
	AR_G = 1u << 15,
	AR_UNUSABLE = 1u << 16,
	SELECTOR_RPL = 3,
	SELECTOR_TI = 4,

	/* Types as VM entry wants them: accessed, or busy. */
	TYPE_DATA_RW = 3,
	TYPE_DATA_RW_DOWN = 7,
	TYPE_CODE = 9, /* + 2: readable, + 4: conforming */
	TYPE_CODE_CONFORMING = 13,
	TYPE_ACCESSED = 1,
	TYPE_READABLE = 2,
	TYPE_IS_CODE = 8,
	TYPE_LDT = 2,
	TYPE_TSS_16_BUSY = 3,
	TYPE_TSS_32_BUSY = 11,
};
#define AR_RESERVED_HIGH 0xfffe0000u
#define AR_RESERVED_LOW	 0xf00u

#define CS    (1u << SEG_CS)
#define SS    (1u << SEG_SS)
#define LDTR  (1u << SEG_LDTR)
#define TR    (1u << SEG_TR)
#define FS_GS (1u << SEG_FS | 1u << SEG_GS)
#define DS_ES (1u << SEG_DS | 1u << SEG_ES)
#define DATA  (DS_ES | FS_GS)
#define SIX   (CS | SS | DATA)

#define SELECTOR SNAP_GUEST_ES_SELECTOR
#define BASE	 SNAP_GUEST_ES_BASE
#define LIMIT	 SNAP_GUEST_ES_LIMIT
#define AR	 SNAP_GUEST_ES_AR

static unsigned ar_type(uint64_t ar)
{
	return (unsigned)ar & AR_TYPE;
}

static unsigned ar_dpl(uint64_t ar)
{
	return (unsigned)ar >> AR_DPL_SHIFT & 3;
}

static bool rpl_equal(const struct audit *a, const struct audit_rule *r, unsigned seg)
{
	return ((audit_field(a, r, 0, seg) ^ audit_field(a, r, 1, seg)) & SELECTOR_RPL) == 0;
}

static bool base_is_selector(const struct audit *a, const struct audit_rule *r, unsigned seg)
{
	return audit_field(a, r, 0, seg) == audit_field(a, r, 1, seg) << 4;
}

static bool limit_is_64k(const struct audit *a, const struct audit_rule *r, unsigned seg)
{
	return audit_field(a, r, 0, seg) == 0xffff;
}

static bool ar_is_v86(const struct audit *a, const struct audit_rule *r, unsigned seg)
{
	return audit_field(a, r, 0, seg) == 0xf3;
}

static bool cs_type(const struct audit *a, const struct audit_rule *r, unsigned seg)
{
	unsigned type = ar_type(audit_field(a, r, 0, seg));

	if (type == TYPE_DATA_RW)
		return AUDIT_ON(a, PROC2, UNRESTRICTED);
	return type >= TYPE_CODE && (type & TYPE_ACCESSED);
}

static bool ss_type(const struct audit *a, const struct audit_rule *r, unsigned seg)
{
	unsigned type = ar_type(audit_field(a, r, 0, seg));

	return type == TYPE_DATA_RW || type == TYPE_DATA_RW_DOWN;
}

static bool data_type(const struct audit *a, const struct audit_rule *r, unsigned seg)
{
	unsigned type = ar_type(audit_field(a, r, 0, seg));

	return (type & TYPE_ACCESSED) && (!(type & TYPE_IS_CODE) || (type & TYPE_READABLE));
}

static bool cs_dpl(const struct audit *a, const struct audit_rule *r, unsigned seg)
{
	uint64_t cs = audit_field(a, r, 0, seg);
	unsigned ss_dpl = ar_dpl(audit_field(a, r, 1, seg));

	if (ar_type(cs) == TYPE_DATA_RW)
		return ar_dpl(cs) == 0;
	if (ar_type(cs) >= TYPE_CODE_CONFORMING)
		return ar_dpl(cs) <= ss_dpl;
	return ar_dpl(cs) == ss_dpl;
}

static bool ss_dpl_rpl(const struct audit *a, const struct audit_rule *r, unsigned seg)
{
	return ar_dpl(audit_field(a, r, 0, seg)) == (audit_field(a, r, 1, seg) & SELECTOR_RPL);
}

static bool ss_dpl_real(const struct audit *a, const struct audit_rule *r, unsigned seg)
{
	if (ar_type(audit_field(a, r, 1, seg)) != TYPE_DATA_RW &&
	    (audit_field(a, r, 2, seg) & CR0_PE))
		return true;
	return ar_dpl(audit_field(a, r, 0, seg)) == 0;
}

static bool data_dpl_rpl(const struct audit *a, const struct audit_rule *r, unsigned seg)
{
	uint64_t ar = audit_field(a, r, 0, seg);

	return ar_type(ar) > 11 || ar_dpl(ar) >= (audit_field(a, r, 1, seg) & SELECTOR_RPL);
}

static bool cs_size(const struct audit *a, const struct audit_rule *r, unsigned seg)
{
	return (audit_field(a, r, 0, seg) & (AR_L | AR_DB)) != (AR_L | AR_DB);
}

/* A limit in pages ends in ones; one in bytes has 20 bits. */
static bool limit_unit(const struct audit *a, const struct audit_rule *r, unsigned seg)
{
	uint64_t limit = audit_field(a, r, 1, seg);

	if (audit_field(a, r, 0, seg) & AR_G)
		return (limit & 0xfff) == 0xfff;
	return limit >> 20 == 0;
}

static bool tr_type(const struct audit *a, const struct audit_rule *r, unsigned seg)
{
	unsigned type = ar_type(audit_field(a, r, 0, seg));

	if (type == TYPE_TSS_16_BUSY)
		return !AUDIT_ON(a, ENTRY, IA32E);
	return type == TYPE_TSS_32_BUSY;
}

/* A rule on access rights for CS, which counts always, and one for the others, if usable. */
#define AR_RULE(name, words, ...)                                                                \
	{name, "guest CS: " words, .segments = CS, .only = AUDIT_NOT_V86, __VA_ARGS__},          \
	{                                                                                        \
		name, "guest SS, DS, ES, FS, GS, if usable: " words,                             \
			.segments = SS | DATA, .only = AUDIT_NOT_V86 | AUDIT_USABLE, __VA_ARGS__ \
	}

// clang-format off
static const struct audit_rule rules[] = {
	/* Selectors */
	{"tr-selector", "guest TR selector: TI is 0",
	 .segments = TR, .mask = SELECTOR_TI, FIELDS(SELECTOR)},
	{"ldtr-selector", "guest LDTR selector, if usable: TI is 0",
	 .segments = LDTR, .only = AUDIT_USABLE, .mask = SELECTOR_TI, FIELDS(SELECTOR, AR)},
	{"ss-cs-rpl", "guest SS and CS have the same RPL (not in virtual-8086 mode or an unrestricted guest)",
	 rpl_equal, .only = AUDIT_NOT_V86 | AUDIT_RESTRICTED,
	 FIELDS(SNAP_GUEST_SS_SELECTOR, SNAP_GUEST_CS_SELECTOR)},

	/* Bases */
	{"v86-base", "guest segments in virtual-8086 mode: base is selector * 16",
	 base_is_selector, .segments = SIX, .only = AUDIT_V86, FIELDS(BASE, SELECTOR)},
	{"segment-base-canonical", "guest TR, FS and GS: base is canonical",
	 audit_canonical, .segments = TR | FS_GS, FIELDS(BASE)},
	{"segment-base-canonical", "guest LDTR, if usable: base is canonical",
	 audit_canonical, .segments = LDTR, .only = AUDIT_USABLE, FIELDS(BASE)},
	{"segment-base-32", "guest CS: base bits 63:32 are 0",
	 .segments = CS, .mask = 0xffffffff00000000, FIELDS(BASE)},
	{"segment-base-32", "guest SS, DS and ES, if usable: base bits 63:32 are 0",
	 .segments = SS | DS_ES, .only = AUDIT_USABLE, .mask = 0xffffffff00000000, FIELDS(BASE)},

	/* Limits, and access rights, in virtual-8086 mode */
	{"v86-limit", "guest segments in virtual-8086 mode: limit is FFFFh",
	 limit_is_64k, .segments = SIX, .only = AUDIT_V86, FIELDS(LIMIT)},
	{"v86-access", "guest segments in virtual-8086 mode: access rights are F3h",
	 ar_is_v86, .segments = SIX, .only = AUDIT_V86, FIELDS(AR)},

	/* Access rights: type, S, DPL, P, D/B, G, reserved bits */
	{"cs-type", "guest CS type: 9, 11, 13, 15, or 3 in an unrestricted guest",
	 cs_type, .segments = CS, .only = AUDIT_NOT_V86, FIELDS(AR, SNAP_PROC2_CTLS)},
	{"ss-type", "guest SS type, if usable: 3 or 7",
	 ss_type, .segments = SS, .only = AUDIT_NOT_V86 | AUDIT_USABLE, FIELDS(AR)},
	{"data-type", "guest DS, ES, FS, GS type, if usable: accessed, and readable if code",
	 data_type, .segments = DATA, .only = AUDIT_NOT_V86 | AUDIT_USABLE, FIELDS(AR)},
	AR_RULE("segment-s", "access-rights bit 4 (S) is 1",
		.mask = AR_S, .value = AR_S, FIELDS(AR)),
	{"cs-dpl", "guest CS DPL: 0 for type 3, SS.DPL for 9 and 11, at most that for 13 and 15",
	 cs_dpl, .segments = CS, .only = AUDIT_NOT_V86, FIELDS(AR, SNAP_GUEST_SS_AR)},
	{"ss-dpl-rpl", "guest SS DPL is the selector's RPL (not in an unrestricted guest)",
	 ss_dpl_rpl, .segments = SS, .only = AUDIT_NOT_V86 | AUDIT_RESTRICTED, FIELDS(AR, SELECTOR)},
	{"ss-dpl-real", "guest SS DPL is 0 if CS has type 3 or CR0.PE is 0",
	 ss_dpl_real, .segments = SS, .only = AUDIT_NOT_V86,
	 FIELDS(AR, SNAP_GUEST_CS_AR, SNAP_GUEST_CR0)},
	{"data-dpl-rpl",
	 "guest DS, ES, FS, GS, if usable: DPL is not below RPL for types 0 to 11 (not in an unrestricted guest)",
	 data_dpl_rpl, .segments = DATA, .only = AUDIT_NOT_V86 | AUDIT_RESTRICTED | AUDIT_USABLE,
	 FIELDS(AR, SELECTOR)},
	AR_RULE("segment-present", "access-rights bit 7 (P) is 1",
		.mask = AR_P, .value = AR_P, FIELDS(AR)),
	AR_RULE("segment-reserved-low", "access-rights bits 11:8 are 0",
		.mask = AR_RESERVED_LOW, FIELDS(AR)),
	{"cs-size", "guest CS in IA-32e mode: D/B is 0 if L is 1",
	 cs_size, .segments = CS, .only = AUDIT_NOT_V86 | AUDIT_IA32E, FIELDS(AR, SNAP_ENTRY_CTLS)},
	AR_RULE("segment-granularity", "G is 0 if limit bits 11:0 are not all 1, and 1 if bits 31:20 are not all 0",
		.holds = limit_unit, FIELDS(AR, LIMIT)),
	AR_RULE("segment-reserved-high", "access-rights bits 31:17 are 0",
		.mask = AR_RESERVED_HIGH, FIELDS(AR)),

	{"tr-type", "guest TR type: 11 (busy 32- or 64-bit TSS), or 3 (busy 16-bit TSS) outside IA-32e mode",
	 tr_type, .segments = TR, FIELDS(AR, SNAP_ENTRY_CTLS)},
	{"tr-s", "guest TR: access-rights bit 4 (S) is 0", .segments = TR, .mask = AR_S, FIELDS(AR)},
	{"tr-present", "guest TR: access-rights bit 7 (P) is 1",
	 .segments = TR, .mask = AR_P, .value = AR_P, FIELDS(AR)},
	{"tr-reserved-low", "guest TR: access-rights bits 11:8 are 0",
	 .segments = TR, .mask = AR_RESERVED_LOW, FIELDS(AR)},
	{"tr-granularity", "guest TR: G is 0 if limit bits 11:0 are not all 1, and 1 if bits 31:20 are not all 0",
	 limit_unit, .segments = TR, FIELDS(AR, LIMIT)},
	{"tr-usable", "guest TR is not marked unusable",
	 .segments = TR, .mask = AR_UNUSABLE, FIELDS(AR)},
	{"tr-reserved-high", "guest TR: access-rights bits 31:17 are 0",
	 .segments = TR, .mask = AR_RESERVED_HIGH, FIELDS(AR)},

	{"ldtr-type", "guest LDTR, if usable: type 2",
	 .segments = LDTR, .only = AUDIT_USABLE, .mask = AR_TYPE, .value = TYPE_LDT, FIELDS(AR)},
	{"ldtr-s", "guest LDTR, if usable: access-rights bit 4 (S) is 0",
	 .segments = LDTR, .only = AUDIT_USABLE, .mask = AR_S, FIELDS(AR)},
	{"ldtr-present", "guest LDTR, if usable: access-rights bit 7 (P) is 1",
	 .segments = LDTR, .only = AUDIT_USABLE, .mask = AR_P, .value = AR_P, FIELDS(AR)},
	{"ldtr-reserved-low", "guest LDTR, if usable: access-rights bits 11:8 are 0",
	 .segments = LDTR, .only = AUDIT_USABLE, .mask = AR_RESERVED_LOW, FIELDS(AR)},
	{"ldtr-granularity",
	 "guest LDTR, if usable: G is 0 if limit bits 11:0 are not all 1, and 1 if bits 31:20 are not all 0",
	 limit_unit, .segments = LDTR, .only = AUDIT_USABLE, FIELDS(AR, LIMIT)},
	{"ldtr-reserved-high", "guest LDTR, if usable: access-rights bits 31:17 are 0",
	 .segments = LDTR, .only = AUDIT_USABLE, .mask = AR_RESERVED_HIGH, FIELDS(AR)},
};
// clang-format on

const struct audit_section audit_segments[1] = {
	SECTION("guest state", "Checks on Guest Segment Registers", rules),
};
