/*
 * Which MSRs a guest has, as a table: what is not in it does not exist for guests and raises #GP.
 * It must not know how registers are kept, nor which MSRs the host has beyond what the CPUID policy
 * says.
 */
#include <crvm/msr_policy.h>

enum { REG_NONE = REG_COUNT };
enum pass { EXIT = 0, PASS_READ = 1, PASS = 3 };

/*
 * X(name, MSR, read, write, register, needs, pass, why): `needs` is the feature that the guest must
 * see (ANY: none). Passed MSRs come here only while they are intercepted for other reasons.
 */
#define LOW_ROWS(X)                                                                               \
	X(P5_MC_ADDR, 0x000, zero, ignore, NONE, MCE, EXIT, "no machine checks")                  \
	X(P5_MC_TYPE, 0x001, zero, ignore, NONE, MCE, EXIT, "no machine checks")                  \
	X(TIME_STAMP_COUNTER, 0x010, tsc, tsc, TSC_OFFSET, TSC, EXIT, "offset to the host's")     \
	X(PLATFORM_ID, 0x017, zero, fault, NONE, ANY, EXIT, "read before microcode updates")      \
	X(APIC_BASE, 0x01b, apic_base, apic_base, NONE, ANY, EXIT, "mode of the VM's APIC")       \
	X(TSC_ADJUST, 0x03b, tsc_adjust, tsc_adjust, TSC_OFFSET, TSC_ADJUST, EXIT, "")            \
	X(BIOS_SIGN_ID, 0x08b, zero, ignore, NONE, ANY, EXIT, "no microcode update was loaded")   \
	X(MTRRCAP, 0x0fe, zero, fault, NONE, ANY, EXIT, "no MTRRs")                               \
	X(SYSENTER_CS, 0x174, reg, low32, SYSENTER_CS, SEP, PASS, "")                             \
	X(SYSENTER_ESP, 0x175, reg, canonical, SYSENTER_ESP, SEP, PASS, "")                       \
	X(SYSENTER_EIP, 0x176, reg, canonical, SYSENTER_EIP, SEP, PASS, "")                       \
	X(MCG_CAP, 0x179, zero, fault, NONE, MCA, EXIT, "no machine check banks")                 \
	X(MCG_STATUS, 0x17a, zero, only_zero, NONE, MCA, EXIT, "no machine check is in progress") \
	X(MISC_ENABLE, 0x1a0, misc_enable, misc_enable, NONE, ANY, EXIT, "boot code needs it")    \
	X(DEBUGCTL, 0x1d9, zero, only_zero, NONE, ANY, EXIT, "no branch records")                 \
	X(PAT, 0x277, reg, pat, PAT, PAT, PASS_READ, "a bad type would fail VM entry")

#define HIGH_ROWS(X)                                                                         \
	X(EFER, 0xc0000080, reg, efer, EFER, ANY, EXIT, "paging mode depends on it")         \
	X(STAR, 0xc0000081, reg, reg, STAR, SYSCALL, PASS_READ, "a switch need not read it") \
	X(LSTAR, 0xc0000082, reg, canonical, LSTAR, SYSCALL, PASS_READ, "likewise")          \
	X(CSTAR, 0xc0000083, reg, canonical, CSTAR, SYSCALL, PASS_READ, "likewise")          \
	X(FMASK, 0xc0000084, reg, below32, FMASK, SYSCALL, PASS_READ, "likewise")            \
	X(FS_BASE, 0xc0000100, segment, segment, NONE, LM, PASS, "part of the segment")      \
	X(GS_BASE, 0xc0000101, segment, segment, NONE, LM, PASS, "part of the segment")      \
	X(KERNEL_GS_BASE, 0xc0000102, reg, canonical, KERNEL_GS_BASE, LM, PASS, "")          \
	X(TSC_AUX, 0xc0000103, reg, below32, TSC_AUX, RDTSCP, PASS_READ, "likewise")

#define ROWS(X) LOW_ROWS(X) HIGH_ROWS(X)

#define LOW_COUNT   0x280u
#define HIGH_FIRST  0xc0000080u
#define HIGH_COUNT  0x84u
#define CPUID_F_ANY CPUID_F_COUNT

enum row_index { /* 0 is no row, and never present */
		 ROW_NONE,
#define X(name, msr, read, write, reg, needs, pass, why) ROW_##name,
		 ROWS(X)
#undef X
			 ROW_COUNT
};
_Static_assert(ROW_COUNT <= 64, "rows fit msr_ctx.present");

struct row {
	int (*read)(struct msr_ctx *c, const struct row *r, uint64_t *value);
	int (*write)(struct msr_ctx *c, const struct row *r, uint64_t value);
	uint32_t msr;
	uint8_t reg, needs, pass;
	const char *name, *read_name, *write_name, *why;
};

/* 48 bits: CPUID shows no 57-bit linear addresses. */
static bool is_canonical(uint64_t v)
{
	return v + (1ull << 47) < 1ull << 48;
}

static int read_zero(struct msr_ctx *c, const struct row *r, uint64_t *value)
{
	(void)c;
	(void)r;
	*value = 0;
	return OK;
}

static int read_reg(struct msr_ctx *c, const struct row *r, uint64_t *value)
{
	*value = c->ops->get_reg(c->vcpu, r->reg);
	return OK;
}

static int write_fault(struct msr_ctx *c, const struct row *r, uint64_t value)
{
	(void)c;
	(void)r;
	(void)value;
	return E_FAULT;
}

static int write_ignore(struct msr_ctx *c, const struct row *r, uint64_t value)
{
	(void)c;
	(void)r;
	(void)value;
	return OK;
}

static int write_only_zero(struct msr_ctx *c, const struct row *r, uint64_t value)
{
	(void)c;
	(void)r;
	return value == 0 ? OK : E_FAULT;
}

static int write_reg(struct msr_ctx *c, const struct row *r, uint64_t value)
{
	c->ops->set_reg(c->vcpu, r->reg, value);
	return OK;
}

static int write_canonical(struct msr_ctx *c, const struct row *r, uint64_t value)
{
	return is_canonical(value) ? write_reg(c, r, value) : E_FAULT;
}

/* The upper half is reserved. */
static int write_below32(struct msr_ctx *c, const struct row *r, uint64_t value)
{
	return value <= UINT32_MAX ? write_reg(c, r, value) : E_FAULT;
}

/* The upper half does not exist. */
static int write_low32(struct msr_ctx *c, const struct row *r, uint64_t value)
{
	return write_reg(c, r, (uint32_t)value);
}

static enum vcpu_segreg row_segment(const struct row *r)
{
	return r->msr == 0xc0000100 ? SEG_FS : SEG_GS;
}

static int read_segment(struct msr_ctx *c, const struct row *r, uint64_t *value)
{
	struct vcpu_segment s;

	c->ops->get_segment(c->vcpu, row_segment(r), &s);
	*value = s.base;
	return OK;
}

static int write_segment(struct msr_ctx *c, const struct row *r, uint64_t value)
{
	struct vcpu_segment s;

	if (!is_canonical(value))
		return E_FAULT;
	c->ops->get_segment(c->vcpu, row_segment(r), &s);
	s.base = value;
	c->ops->set_segment(c->vcpu, row_segment(r), &s);
	return OK;
}

/* Intel SDM Vol. 3B, "Time-Stamp Counter Adjustment": what moves one moves the other by as much. */
static void tsc_move(struct msr_ctx *c, uint64_t delta)
{
	c->tsc_adjust += delta;
	c->ops->set_reg(c->vcpu, REG_TSC_OFFSET, c->ops->get_reg(c->vcpu, REG_TSC_OFFSET) + delta);
}

static int read_tsc(struct msr_ctx *c, const struct row *r, uint64_t *value)
{
	*value = c->ops->tsc() + c->ops->get_reg(c->vcpu, r->reg);
	return OK;
}

static int write_tsc(struct msr_ctx *c, const struct row *r, uint64_t value)
{
	tsc_move(c, value - (c->ops->tsc() + c->ops->get_reg(c->vcpu, r->reg)));
	return OK;
}

static int read_tsc_adjust(struct msr_ctx *c, const struct row *r, uint64_t *value)
{
	(void)r;
	*value = c->tsc_adjust;
	return OK;
}

static int write_tsc_adjust(struct msr_ctx *c, const struct row *r, uint64_t value)
{
	(void)r;
	tsc_move(c, value - c->tsc_adjust);
	return OK;
}

enum { APIC_BASE_ADDR = 0xfee00000u, APIC_BSP = 1u << 8, APIC_EXTD = 1u << 10, APIC_EN = 1u << 11 };

static int read_apic_base(struct msr_ctx *c, const struct row *r, uint64_t *value)
{
	(void)r;
	*value = c->apic_base;
	return OK;
}

/*
 * Intel SDM Vol. 3A, "x2APIC State Transitions": from off to xAPIC to x2APIC, and from both to off.
 * The registers cannot be moved: no guest does, and it would need a page of the VM's memory to give
 * way.
 */
static int write_apic_base(struct msr_ctx *c, const struct row *r, uint64_t value)
{
	const uint64_t old = c->apic_base;
	const bool was_on = old & APIC_EN, was_extd = old & APIC_EXTD;
	const bool on = value & APIC_EN, extd = value & APIC_EXTD;

	(void)r;
	if (value == old)
		return OK;
	if ((value & ~(uint64_t)(APIC_BSP | APIC_EXTD | APIC_EN)) != APIC_BASE_ADDR)
		return E_FAULT;
	if ((on && !cpuid_policy_has(c->cpuid, CPUID_F_APIC)) ||
	    (extd && !cpuid_policy_has(c->cpuid, CPUID_F_X2APIC)))
		return E_FAULT;
	if ((extd && !(on && was_on)) || (was_extd && on && !extd))
		return E_FAULT;
	c->apic_base = value;
	if (c->ops->apic_base_changed)
		c->ops->apic_base_changed(c->vcpu, value);
	return OK;
}

/* IA32_MISC_ENABLE: no branch trace and no event-based sampling; string speed may be switched. */
enum { MISC_FAST_STRINGS = 1u << 0, MISC_NO_BTS = 1u << 11, MISC_NO_PEBS = 1u << 12 };

static int read_misc_enable(struct msr_ctx *c, const struct row *r, uint64_t *value)
{
	(void)r;
	*value = c->misc_enable;
	return OK;
}

/* A bit that would do nothing is refused: the guest would count on it. */
static int write_misc_enable(struct msr_ctx *c, const struct row *r, uint64_t value)
{
	(void)r;
	if ((value ^ c->misc_enable) & ~(uint64_t)MISC_FAST_STRINGS)
		return E_FAULT;
	c->misc_enable = value;
	return OK;
}

/* Eight memory types of a byte each; 2, 3 and above 7 do not exist. */
static int write_pat(struct msr_ctx *c, const struct row *r, uint64_t value)
{
	const uint64_t each = 0x0101010101010101;

	if ((value & each * 0xf8) || (value >> 1 & ~(value >> 2) & each))
		return E_FAULT;
	return write_reg(c, r, value);
}

/* Intel SDM Vol. 3A, "IA-32e Mode Operation" and "Initializing IA-32e Mode": LMA is the CPU's own.
 */
static int write_efer(struct msr_ctx *c, const struct row *r, uint64_t value)
{
	const uint64_t old = c->ops->get_reg(c->vcpu, REG_EFER);

	if (value & ~c->efer_bits)
		return E_FAULT;
	if (((value ^ old) & EFER_LME) && (c->ops->get_reg(c->vcpu, REG_CR0) & CR0_PG))
		return E_FAULT;
	return write_reg(c, r, (value & ~(uint64_t)EFER_LMA) | (old & EFER_LMA));
}

static const struct row rows[ROW_COUNT] = {
#define X(name, msr, read, write, reg, needs, pass, why)                               \
	[ROW_##name] = {read_##read, write_##write, msr,   REG_##reg, CPUID_F_##needs, \
			pass,	     "IA32_" #name, #read, #write,    why},
	ROWS(X)
#undef X
};

/* Where each MSR's row is. */
static const uint8_t low_row[LOW_COUNT] = {
#define X(name, msr, read, write, reg, needs, pass, why) [msr] = ROW_##name,
	LOW_ROWS(X)
#undef X
};
static const uint8_t high_row[HIGH_COUNT] = {
#define X(name, msr, read, write, reg, needs, pass, why) [msr - HIGH_FIRST] = ROW_##name,
	HIGH_ROWS(X)
#undef X
};

#define WORD(field) (offsetof(struct msr_ctx, field) / 8)

/* Only rows that need no feature, or else a guest without it would have them too. */
const struct msr_stored msr_policy_stored_at[MSR_STORED_COUNT] = {
	[0x017] = {WORD(zero), 0},
	[0x01b] = {WORD(apic_base), WORD(apic_base)},
	[0x08b] = {WORD(zero), WORD(zero)},
	[0x0fe] = {WORD(zero), 0},
	[0x1a0] = {WORD(misc_enable), WORD(misc_enable)},
	[0x1d9] = {WORD(zero), WORD(zero)},
};
const uint64_t msr_policy_free_bits[sizeof(struct msr_ctx) / 8] = {
	[WORD(misc_enable)] = MISC_FAST_STRINGS,
};

static inline const struct row *row_of(const struct msr_ctx *c, uint32_t msr)
{
	unsigned i = ROW_NONE;

	if (msr < LOW_COUNT)
		i = low_row[msr];
	else if (msr - HIGH_FIRST < HIGH_COUNT)
		i = high_row[msr - HIGH_FIRST];
	return likely(c->present >> i & 1) ? &rows[i] : NULL;
}

int msr_policy_read(struct msr_ctx *c, uint32_t msr, uint64_t *value)
{
	const struct row *r = row_of(c, msr);

	return likely(r) ? r->read(c, r, value) : E_FAULT;
}

int msr_policy_write(struct msr_ctx *c, uint32_t msr, uint64_t value)
{
	const struct row *r = row_of(c, msr);

	return likely(r) ? r->write(c, r, value) : E_FAULT;
}

static bool row_is_present(const struct row *r, const struct cpuid_policy *cpuid)
{
	return r->needs == CPUID_F_ANY || cpuid_policy_has(cpuid, r->needs);
}

void msr_policy_init(struct msr_ctx *c, const struct msr_ops *ops, struct vcpu *v,
		     const struct cpuid_policy *cpuid)
{
	*c = (struct msr_ctx){
		.ops = ops,
		.vcpu = v,
		.cpuid = cpuid,
		.efer_bits = cpuid_policy_efer_bits(cpuid),
		.apic_base = APIC_BASE_ADDR,
		.misc_enable = MISC_FAST_STRINGS | MISC_NO_BTS | MISC_NO_PEBS,
	};
	if (v->id == 0)
		c->apic_base |= APIC_BSP;
	if (cpuid_policy_has(cpuid, CPUID_F_APIC))
		c->apic_base |= APIC_EN;
	for (unsigned i = ROW_NONE + 1; i < ROW_COUNT; i++)
		if (row_is_present(&rows[i], cpuid))
			c->present |= 1ull << i;
}

void msr_policy_for_each_passthrough(const struct cpuid_policy *cpuid,
				     void (*fn)(void *ctx, uint32_t msr, bool read, bool write),
				     void *ctx)
{
	for (unsigned i = ROW_NONE + 1; i < ROW_COUNT; i++) {
		const struct row *r = &rows[i];

		if (r->pass != EXIT && row_is_present(r, cpuid))
			fn(ctx, r->msr, true, r->pass == PASS);
	}
}

unsigned msr_policy_rule_count(void)
{
	return ROW_COUNT - 1;
}

struct msr_rule msr_policy_rule(unsigned index)
{
	const struct row *r = &rows[index + 1];

	return (struct msr_rule){
		.msr = r->msr,
		.name = r->name,
		.read = r->read_name,
		.write = r->write_name,
		.why = r->why,
		.passes_read = r->pass != EXIT,
		.passes_write = r->pass == PASS,
	};
}
