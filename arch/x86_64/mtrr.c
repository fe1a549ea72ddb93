/*
 * The MTRRs as data. Pure functions over struct cpu_ops: never writes an MSR, and must not know who
 * asks for memory types. What firmware left in the registers is not believed to make sense. Source:
 * Intel SDM Vol. 3A, "Memory Type Range Registers (MTRRs)", "MTRR Precedences".
 */
#include <crvm/mtrr.h>
#include <crvm/addr.h>
#include <crvm/status.h>

enum {
	MSR_MTRR_PHYSBASE0 = 0x200, /* base of range n at 0x200 + 2n, its mask after it */
	MSR_MTRR_FIX64K_00000 = 0x250,
	MSR_MTRR_FIX16K_80000 = 0x258,
	MSR_MTRR_FIX4K_C0000 = 0x268,
	MSR_MTRR_DEF_TYPE = 0x2ff,

	CPUID1_EDX_MTRR = 1 << 12,
	CAP_VCNT = 0xff,
	CAP_FIX = 1 << 8,
	DEF_TYPE_FE = 1 << 10,
	DEF_TYPE_E = 1 << 11,
	PHYSMASK_VALID = 1 << 11,
	TYPE_MASK = 0xff,

	FIX64K_END = 0x80000,
	FIX16K_END = 0xc0000,
	FIXED_END = 0x100000,
	FIXED_PER_MSR = 8,

	STEPS_MAX = 1024,
};
_Static_assert(MSR_MTRR_PHYSBASE0 + 2 * MTRR_VARIABLE_MAX == MSR_MTRR_FIX64K_00000,
	       "variable ranges end where the fixed ones begin");

static const uint16_t fixed_msr[MTRR_FIXED_COUNT / FIXED_PER_MSR] = {
	MSR_MTRR_FIX64K_00000,	  MSR_MTRR_FIX16K_80000,    MSR_MTRR_FIX16K_80000 + 1,
	MSR_MTRR_FIX4K_C0000,	  MSR_MTRR_FIX4K_C0000 + 1, MSR_MTRR_FIX4K_C0000 + 2,
	MSR_MTRR_FIX4K_C0000 + 3, MSR_MTRR_FIX4K_C0000 + 4, MSR_MTRR_FIX4K_C0000 + 5,
	MSR_MTRR_FIX4K_C0000 + 6, MSR_MTRR_FIX4K_C0000 + 7,
};

/* WRMSR refuses the other encodings, so only a machine that is not one can show them. */
static uint8_t type_of(uint64_t field)
{
	uint8_t type = field & TYPE_MASK;

	switch (type) {
	case MEMORY_WC:
	case MEMORY_WT:
	case MEMORY_WP:
	case MEMORY_WB:
		return type;
	default:
		return MEMORY_UC;
	}
}

static int read_fixed(struct mtrr *m, const struct cpu_ops *ops)
{
	for (unsigned i = 0; i < array_count(fixed_msr); i++) {
		uint64_t v;
		int rc = ops->rdmsr(ops->ctx, fixed_msr[i], &v);

		if (rc != OK)
			return rc;
		for (unsigned j = 0; j < FIXED_PER_MSR; j++)
			m->fixed[i * FIXED_PER_MSR + j] = type_of(v >> 8 * j);
	}
	return OK;
}

static int read_variable(struct mtrr *m, const struct cpu_ops *ops, unsigned count)
{
	const uint64_t bits = (m->limit - 1) & ~(PAGE_SIZE - 1);

	if (count > MTRR_VARIABLE_MAX)
		count = MTRR_VARIABLE_MAX;
	for (unsigned i = 0; i < count; i++) {
		uint64_t base, mask;
		int rc = ops->rdmsr(ops->ctx, MSR_MTRR_PHYSBASE0 + 2 * i, &base);

		if (rc == OK)
			rc = ops->rdmsr(ops->ctx, MSR_MTRR_PHYSBASE0 + 2 * i + 1, &mask);
		if (rc != OK)
			return rc;
		if (!(mask & PHYSMASK_VALID))
			continue;
		m->variable[m->variable_count].base = base & bits;
		m->variable[m->variable_count].mask = mask & bits;
		m->variable[m->variable_count].type = type_of(base);
		m->variable_count++;
	}
	return OK;
}

static int read_all(struct mtrr *m, const struct cpu_ops *ops)
{
	uint64_t cap, def;
	int rc = ops->rdmsr(ops->ctx, MSR_MTRRCAP, &cap);

	if (rc == OK)
		rc = ops->rdmsr(ops->ctx, MSR_MTRR_DEF_TYPE, &def);
	if (rc == OK && (cap & CAP_FIX))
		rc = read_fixed(m, ops);
	if (rc == OK)
		rc = read_variable(m, ops, cap & CAP_VCNT);
	if (rc != OK)
		return rc;
	m->default_type = type_of(def);
	m->fixed_enabled = (cap & CAP_FIX) && (def & DEF_TYPE_FE);
	m->enabled = def & DEF_TYPE_E;
	return OK;
}

int mtrr_read(struct mtrr *m, const struct cpu_ops *ops, unsigned phys_bits)
{
	if (phys_bits < 32)
		phys_bits = 32;
	if (phys_bits > 52)
		phys_bits = 52;
	*m = (struct mtrr){.limit = 1ull << phys_bits};
	m->present = ops->cpuid(ops->ctx, 0, 0).eax >= 1 &&
		     (ops->cpuid(ops->ctx, 1, 0).edx & CPUID1_EDX_MTRR);
	if (!m->present || read_all(m, ops) == OK)
		return OK;
	/* Not enabled: uncacheable. */
	*m = (struct mtrr){.present = true, .limit = m->limit};
	return E_IO;
}

/* The fixed range that `addr`, in the first MiB, is in; its type holds up to *last. */
static uint8_t fixed_type(const struct mtrr *m, uint64_t addr, uint64_t *last)
{
	unsigned shift = addr < FIX64K_END ? 16 : addr < FIX16K_END ? 14 : 12;
	uint64_t start = addr < FIX64K_END ? 0 : addr < FIX16K_END ? FIX64K_END : FIX16K_END;
	unsigned first = addr < FIX64K_END ? 0 : addr < FIX16K_END ? 8 : 24;

	*last = addr | ((1ull << shift) - 1);
	return m->fixed[first + ((addr - start) >> shift)];
}

/* Bit t of `types` is set if a variable range of type t holds the address. */
static uint8_t types_resolve(const struct mtrr *m, unsigned types)
{
	const unsigned wt_wb = 1u << MEMORY_WT | 1u << MEMORY_WB;

	if (types == 0)
		return m->default_type;
	if ((types & (types - 1)) == 0)
		return (uint8_t)__builtin_ctz(types);
	/* UC wins over all, and what the manual calls undefined had better be UC too. */
	return types == wt_wb ? MEMORY_WT : MEMORY_UC;
}

/*
 * The type of one address, and up to where it surely holds. That takes any mask, even one with
 * holes: above the lowest 1 of the mask all of a range's block is inside; and below the highest bit
 * that keeps an address outside, all other bits may change.
 */
static uint8_t type_at(const struct mtrr *m, uint64_t addr, uint64_t *last)
{
	unsigned types = 0;

	*last = m->limit - 1;
	if (!m->present || !m->enabled)
		return m->present ? MEMORY_UC : MEMORY_WB;
	if (m->fixed_enabled && addr < FIXED_END)
		return fixed_type(m, addr, last);
	for (unsigned i = 0; i < m->variable_count; i++) {
		uint64_t mask = m->variable[i].mask;
		uint64_t differ = (addr ^ m->variable[i].base) & mask;
		uint64_t end;

		if (differ) {
			end = addr | ((1ull << (63 - __builtin_clzll(differ))) - 1);
		} else {
			end = mask ? addr | ((mask & -mask) - 1) : m->limit - 1;
			types |= 1u << m->variable[i].type;
		}
		if (end < *last)
			*last = end;
	}
	return types_resolve(m, types);
}

uint8_t mtrr_type(const struct mtrr *m, uint64_t base, uint64_t len)
{
	uint64_t end = base + (len ? len - 1 : 0);
	uint64_t last;
	uint8_t type;

	if (end < base || base >= m->limit)
		return MEMORY_UC;
	type = type_at(m, base, &last);
	for (unsigned steps = 0; last < end; steps++) {
		uint64_t next = last + 1;
		uint8_t t = MEMORY_UC;

		if (steps >= STEPS_MAX)
			return MTRR_MIXED;
		last = UINT64_MAX; /* beyond the limit all is the same */
		if (next < m->limit)
			t = type_at(m, next, &last);
		if (t != type)
			return MTRR_MIXED;
	}
	return type;
}
