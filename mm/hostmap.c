/*
 * The hypervisor's own page tables. It must not know what is mapped, nor load them into a CPU.
 * Source: Intel SDM Vol. 3A, "4-Level Paging and 5-Level Paging" and "Paging and Memory Typing".
 */
#include <stdatomic.h>
#include <crvm/frames.h>
#include <crvm/hostmap.h>
#include <crvm/status.h>
#include <crvm/string.h>

enum {
	LEVELS = 4, /* level 1 maps 4 KiB, 2 maps 2 MiB, 3 maps 1 GiB */
	ENTRY_COUNT = 512,
};

#define PTE_P	 (1ull << 0)
#define PTE_W	 (1ull << 1)
#define PTE_PWT	 (1ull << 3)
#define PTE_PCD	 (1ull << 4)
#define PTE_A	 (1ull << 5)
#define PTE_D	 (1ull << 6)
#define PTE_PS	 (1ull << 7) /* a leaf at level 2 or 3; at level 1 the same bit is PAT, never set */
#define PTE_G	 (1ull << 8)
#define PTE_X	 (1ull << 9) /* ignored by the CPU: MAP_X was asked for, where there is no PTE_NX */
#define PTE_NX	 (1ull << 63)
#define PTE_ADDR 0x000ffffffffff000ull

#define PHYS_LIMIT (1ull << 52)
#define UPPER_HALF 0xffff800000000000ull
#define LOWER_END  0x0000800000000000ull

uintptr_t direct_map_base = DIRECT_MAP_BASE;

/* Where a walk ends: a leaf, or an entry that is not present. */
struct slot {
	_Atomic uint64_t *pte;
	uint64_t value;
	unsigned level;
};

static unsigned level_shift(unsigned level)
{
	return PAGE_SHIFT + 9 * (level - 1);
}

static uint64_t level_size(unsigned level)
{
	return 1ull << level_shift(level);
}

/* From va to the end of the page or hole that starts at or before it, at most len. */
static uint64_t level_step(unsigned level, uint64_t va, uint64_t len)
{
	uint64_t rest = level_size(level) - (va & (level_size(level) - 1));

	return rest < len ? rest : len;
}

static bool pte_is_leaf(uint64_t value, unsigned level)
{
	return (value & PTE_P) && (level == 1 || (value & PTE_PS));
}

static _Atomic uint64_t *pte_at(hpa_t table, uint64_t va, unsigned level)
{
	_Atomic uint64_t *t = phys_to_virt(table);

	return &t[(va >> level_shift(level)) % ENTRY_COUNT];
}

static struct slot slot_find(const struct hostmap *m, uint64_t va)
{
	hpa_t table = m->root;
	unsigned level = LEVELS;

	for (;;) {
		_Atomic uint64_t *pte = pte_at(table, va, level);
		uint64_t value = atomic_load_explicit(pte, memory_order_relaxed);

		if (!(value & PTE_P) || pte_is_leaf(value, level))
			return (struct slot){pte, value, level};
		table = hpa(value & PTE_ADDR);
		level--;
	}
}

/* Other CPUs may walk the tables: whatever an entry points to is written before it. */
static void pte_set(_Atomic uint64_t *pte, uint64_t value)
{
	atomic_store_explicit(pte, value, memory_order_release);
}

static int table_new(hpa_t *out)
{
	int rc = frames_alloc(0, FRAME_HV, out);

	if (rc == OK)
		memset(phys_to_virt(*out), 0, PAGE_SIZE);
	return rc;
}

/* Tables grant everything; the leaves decide. */
static uint64_t pte_table(hpa_t table)
{
	return table.v | PTE_P | PTE_W | PTE_A;
}

static uint64_t pte_leaf(const struct hostmap *m, uint64_t va, uint64_t pa, unsigned level,
			 unsigned flags)
{
	uint64_t v = pa | PTE_P | PTE_A | PTE_D;

	if (level > 1)
		v |= PTE_PS;
	if (va >= UPPER_HALF)
		v |= PTE_G;
	if (flags & MAP_W)
		v |= PTE_W;
	if (flags & MAP_UC)
		v |= PTE_PCD | PTE_PWT;
	if (flags & MAP_WC)
		v |= PTE_PWT;
	if (!m->nx && (flags & MAP_X))
		v |= PTE_X;
	if (m->nx && !(flags & MAP_X))
		v |= PTE_NX;
	return v;
}

/* Large pages too: their PAT bit, among these, is never set. */
static uint64_t leaf_addr(const struct slot *s)
{
	return s->value & PTE_ADDR;
}

static unsigned leaf_flags(const struct hostmap *m, uint64_t value)
{
	unsigned flags = MAP_R;

	if (value & PTE_W)
		flags |= MAP_W;
	if (m->nx ? !(value & PTE_NX) : !!(value & PTE_X))
		flags |= MAP_X;
	if (value & PTE_PCD)
		flags |= MAP_UC;
	else if (value & PTE_PWT)
		flags |= MAP_WC;
	return flags;
}

static bool va_is_canonical(uint64_t va)
{
	return va < LOWER_END || va >= UPPER_HALF;
}

/* Whole pages in one half of the address space; the upper one ends at 2^64. */
static bool range_is_valid(uint64_t va, uint64_t len)
{
	uint64_t last = va + (len - 1);

	if (va % PAGE_SIZE != 0 || len % PAGE_SIZE != 0 || !va_is_canonical(va))
		return false;
	return len == 0 || (last >= va && va_is_canonical(last) && va >> 63 == last >> 63);
}

static bool flags_are_valid(unsigned flags)
{
	if (flags & ~(unsigned)(MAP_W | MAP_X | MAP_UC | MAP_WC))
		return false;
	return (flags & (MAP_W | MAP_X)) != (MAP_W | MAP_X) &&
	       (flags & (MAP_UC | MAP_WC)) != (MAP_UC | MAP_WC);
}

int hostmap_init(struct hostmap *m, bool nx, bool big1g)
{
	*m = (struct hostmap){.nx = nx, .big1g = big1g};
	return table_new(&m->root);
}

static unsigned level_for(const struct hostmap *m, uint64_t va, uint64_t pa, uint64_t len)
{
	unsigned level = m->big1g ? 3 : 2;

	while (level > 1 && (((va | pa) & (level_size(level) - 1)) != 0 || len < level_size(level)))
		level--;
	return level;
}

/*
 * The slot for a page of `level` at va: tables are made down to there. Ends above it at a larger
 * leaf, and below it where there are tables of smaller pages already.
 */
static int slot_make(struct hostmap *m, uint64_t va, unsigned level, struct slot *out)
{
	for (;;) {
		hpa_t table;
		int rc;

		*out = slot_find(m, va);
		if ((out->value & PTE_P) || out->level <= level)
			return OK;
		rc = table_new(&table);
		if (rc != OK)
			return rc;
		pte_set(out->pte, pte_table(table));
	}
}

int hostmap_map(struct hostmap *m, uint64_t va, hpa_t pa, uint64_t len, unsigned flags)
{
	if (!flags_are_valid(flags) || !range_is_valid(va, len) || pa.v % PAGE_SIZE != 0 ||
	    pa.v > PHYS_LIMIT || len > PHYS_LIMIT - pa.v)
		return E_INVAL;

	while (len > 0) {
		struct slot s;
		uint64_t step, base;
		int rc = slot_make(m, va, level_for(m, va, pa.v, len), &s);

		if (rc != OK)
			return rc;
		/* If va is inside a larger page, that page would have to start at `base`. */
		base = pa.v - (va & (level_size(s.level) - 1));
		if (!(s.value & PTE_P))
			pte_set(s.pte, pte_leaf(m, va, pa.v, s.level, flags));
		else if (s.value != pte_leaf(m, va, base, s.level, flags))
			return E_EXIST;
		step = level_step(s.level, va, len);
		va += step; /* to 0 at the very end of the address space */
		pa.v += step;
		len -= step;
	}
	return OK;
}

/* Makes va the start of a page, if it is mapped at all. */
static int leaf_split(struct hostmap *m, uint64_t va)
{
	for (;;) {
		struct slot s = slot_find(m, va);
		_Atomic uint64_t *t;
		uint64_t size, value;
		hpa_t table;
		int rc;

		if (!(s.value & PTE_P) || (va & (level_size(s.level) - 1)) == 0)
			return OK;
		rc = table_new(&table);
		if (rc != OK)
			return rc;
		t = phys_to_virt(table);
		size = level_size(s.level - 1);
		value = s.level - 1 > 1 ? s.value : s.value & ~PTE_PS;
		for (unsigned i = 0; i < ENTRY_COUNT; i++)
			atomic_store_explicit(&t[i], value + i * size, memory_order_relaxed);
		pte_set(s.pte, pte_table(table));
	}
}

/*
 * Only the ends of a range can lie inside a page (an end of 2^64, which is 0 here, never does).
 * After this, changing the range cannot fail.
 */
static int range_split(struct hostmap *m, uint64_t va, uint64_t len)
{
	int rc = leaf_split(m, va);

	return rc == OK ? leaf_split(m, va + len) : rc;
}

int hostmap_protect(struct hostmap *m, uint64_t va, uint64_t len, unsigned flags)
{
	uint64_t done, step;
	int rc;

	if (!flags_are_valid(flags) || !range_is_valid(va, len))
		return E_INVAL;
	for (done = 0; done < len; done += step) {
		struct slot s = slot_find(m, va + done);

		if (!(s.value & PTE_P))
			return E_NOENT;
		step = level_step(s.level, va + done, len - done);
	}
	rc = range_split(m, va, len);
	if (rc != OK)
		return rc;
	for (done = 0; done < len; done += step) {
		struct slot s = slot_find(m, va + done);

		pte_set(s.pte, pte_leaf(m, va + done, leaf_addr(&s), s.level, flags));
		step = level_step(s.level, va + done, len - done);
	}
	return OK;
}

int hostmap_unmap(struct hostmap *m, uint64_t va, uint64_t len)
{
	uint64_t done, step;
	int rc;

	if (!range_is_valid(va, len))
		return E_INVAL;
	rc = range_split(m, va, len);
	if (rc != OK)
		return rc;
	/* Tables stay, even empty ones: until the caller flushes, the CPU may walk them. */
	for (done = 0; done < len; done += step) {
		struct slot s = slot_find(m, va + done);

		if (s.value & PTE_P)
			pte_set(s.pte, 0);
		step = level_step(s.level, va + done, len - done);
	}
	return OK;
}

int hostmap_query(const struct hostmap *m, uint64_t va, hpa_t *pa, unsigned *flags,
		  uint64_t *page_size)
{
	struct slot s;

	if (!va_is_canonical(va))
		return E_NOENT;
	s = slot_find(m, va);
	if (!(s.value & PTE_P))
		return E_NOENT;
	if (pa)
		*pa = hpa(leaf_addr(&s) + (va & (level_size(s.level) - 1)));
	if (flags)
		*flags = leaf_flags(m, s.value);
	if (page_size)
		*page_size = level_size(s.level);
	return OK;
}

void hostmap_walk(const struct hostmap *m,
		  bool (*fn)(void *ctx, uint64_t va, hpa_t pa, uint64_t len, unsigned flags),
		  void *ctx)
{
	uint64_t va = 0, run_va = 0, run_pa = 0, run_len = 0;
	unsigned run_flags = 0;

	do {
		struct slot s = slot_find(m, va);
		uint64_t size = level_size(s.level);

		if (s.value & PTE_P) {
			uint64_t pa = leaf_addr(&s);
			unsigned flags = leaf_flags(m, s.value);

			if (run_len > 0 && va == run_va + run_len && pa == run_pa + run_len &&
			    flags == run_flags) {
				run_len += size;
			} else {
				if (run_len > 0 &&
				    !fn(ctx, run_va, hpa(run_pa), run_len, run_flags))
					return;
				run_va = va;
				run_pa = pa;
				run_len = size;
				run_flags = flags;
			}
		}
		va += size;
		if (va == LOWER_END)
			va = UPPER_HALF;
	} while (va != 0);
	if (run_len > 0)
		fn(ctx, run_va, hpa(run_pa), run_len, run_flags);
}
