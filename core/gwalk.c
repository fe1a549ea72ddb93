/*
 * Software walk of a guest's page tables. Must not know where the paging state comes from, nor what
 * the address is for. Everything read here was written by the guest: any value must do no harm.
 * Source: Intel SDM Vol. 3A, "32-Bit Paging", "PAE Paging", "4-Level Paging", "Access Rights",
 * "Page-Fault Exceptions", "Accessed and Dirty Flags".
 */
#include <crvm/cpu.h>
#include <crvm/gwalk.h>

#define RFLAGS_AC (1u << 18)

enum entry_bits {
	ENTRY_P = 1u << 0,
	ENTRY_W = 1u << 1,
	ENTRY_U = 1u << 2,
	ENTRY_A = 1u << 5,
	ENTRY_D = 1u << 6,
	ENTRY_PS = 1u << 7,
};

#define ENTRY_NX   (1ul << 63)
#define ENTRY_ADDR 0x000ffffffffff000ul
/* Of PAE entries also what 4-level paging ignores. */
#define PAE_HIGH 0x7ff0000000000000ul
/* Of the entries of a PAE page-directory-pointer table. */
#define PDPTE_RSVD 0x1e6ul

/* Somebody else may change entries under the walk: after so many, the bits stay as they are. */
#define MARK_TRIES 4u

/* A walk: what was passed, and what came out. */
struct trail {
	const struct gmem_slot *slot; /* of the last structure: mostly that of the next, too */
	uint64_t at[4], value[4];     /* entries with accessed bits, from the top */
	unsigned count;
	unsigned entry_size;
	uint64_t all, any; /* AND and OR of them */
	uint64_t phys;
	uint32_t error; /* PF_P, PF_RSVD */
};

static uint64_t entry_read(struct trail *t, const struct gmem *m, uint64_t at, unsigned size)
{
	const void *p = t->slot ? gmem_slot_ptr(t->slot, gpa(at), size) : NULL;

	if (unlikely(!p)) {
		t->slot = gmem_slot_find(m, gpa(at));
		if (!t->slot)
			return ~0ul;
		p = gmem_slot_ptr(t->slot, gpa(at), size);
	}
	if (size == 4)
		return __atomic_load_n((const uint32_t *)p, __ATOMIC_RELAXED);
	return __atomic_load_n((const uint64_t *)p, __ATOMIC_RELAXED);
}

static void trail_add(struct trail *t, uint64_t at, uint64_t value)
{
	t->at[t->count] = at;
	t->value[t->count++] = value;
	t->all &= value;
	t->any |= value;
}

/* Tables of 512 entries, from the one that translates the bits from `shift` up. */
static bool walk_wide(struct trail *t, const struct gmem *m, uint64_t la, uint64_t table,
		      unsigned shift, uint64_t rsvd)
{
	for (;; shift -= 9) {
		uint64_t at = table | (la >> (shift - 3) & 0xff8);
		uint64_t e = entry_read(t, m, at, 8), bad = rsvd;
		bool leaf = shift == 12;

		if (!(e & ENTRY_P))
			return false;
		if (!leaf && e & ENTRY_PS) {
			/* Bit 12 of a large page's entry is PAT; a PML4 entry has no PS. */
			bad |= shift == 39 ? ENTRY_PS : (1ul << shift) - 0x2000;
			leaf = true;
		}
		if (unlikely(e & bad)) {
			t->error = PF_P | PF_RSVD;
			return false;
		}
		trail_add(t, at, e);
		if (leaf) {
			uint64_t low = (1ul << shift) - 1;

			t->phys = (e & ENTRY_ADDR & ~low) | (la & low);
			return true;
		}
		table = e & ENTRY_ADDR;
	}
}

/* Bits that must be 0 in every entry of 8 bytes. */
static uint64_t wide_rsvd(const struct gwalk_state *p)
{
	uint64_t rsvd = ~((1ul << p->phys_bits) - 1) & ENTRY_ADDR;

	return p->efer & EFER_NXE ? rsvd : rsvd | ENTRY_NX;
}

static bool walk_pae(struct trail *t, const struct gwalk_state *p, const struct gmem *m,
		     uint64_t la)
{
	uint64_t rsvd = wide_rsvd(p) | PAE_HIGH;
	uint64_t e = p->pdpte[la >> 30]; /* has no rights and no accessed bit */

	if (!(e & ENTRY_P))
		return false;
	if (e & (rsvd | PDPTE_RSVD | ENTRY_NX)) {
		t->error = PF_P | PF_RSVD;
		return false;
	}
	return walk_wide(t, m, la, e & ENTRY_ADDR, 21, rsvd);
}

static bool walk_32(struct trail *t, const struct gwalk_state *p, const struct gmem *m, uint64_t la)
{
	uint64_t at = (p->cr3 & 0xfffff000) | (la >> 20 & 0xffc);
	uint64_t e = entry_read(t, m, at, 4) & 0xffffffff;

	t->entry_size = 4;
	if (!(e & ENTRY_P))
		return false;
	if (e & ENTRY_PS && p->cr4 & CR4_PSE) {
		/* PSE-36: bits 13-20 are the address's bits 32-39, as far as there are such. */
		unsigned high = p->phys_bits < 40 ? p->phys_bits - 32u : 8;

		if (e & (0x3fe000 & ~((1ul << (13 + high)) - 1))) {
			t->error = PF_P | PF_RSVD;
			return false;
		}
		trail_add(t, at, e);
		t->phys = (e & 0xffc00000) | (e >> 13 & 0xff) << 32 | (la & 0x3fffff);
		return true;
	}
	trail_add(t, at, e);
	at = (e & 0xfffff000) | (la >> 10 & 0xffc);
	e = entry_read(t, m, at, 4) & 0xffffffff;
	if (!(e & ENTRY_P))
		return false;
	trail_add(t, at, e);
	t->phys = (e & 0xfffff000) | (la & 0xfff);
	return true;
}

/* `all`, `any`: AND and OR of the entries. */
static inline bool access_allowed(const struct gwalk_state *p, uint64_t all, uint64_t any,
				  bool wide, unsigned access)
{
	bool user_page = all & ENTRY_U, writable = all & ENTRY_W;

	if (access & GWALK_ANY)
		return true;
	if (access & GWALK_FETCH && p->efer & EFER_NXE && any & ENTRY_NX && wide)
		return false;
	if (p->cpl == 3)
		return user_page && (writable || !(access & GWALK_WRITE));
	if (access & GWALK_WRITE && !writable && p->cr0 & CR0_WP)
		return false;
	if (!user_page)
		return true;
	if (access & GWALK_FETCH)
		return !(p->cr4 & CR4_SMEP);
	return !(p->cr4 & CR4_SMAP) || p->rflags & RFLAGS_AC;
}

/* Sets the bits in one entry; false if it is no longer what the walk saw. Entries in ROM stay. */
static bool entry_mark(const struct gmem *m, uint64_t at, unsigned size, uint64_t old,
		       uint64_t bits)
{
	void *p = gmem_ptr_write(m, gpa(at), size);

	if (!p)
		return true;
	if (size == 4) {
		uint32_t seen = (uint32_t)old;

		return __atomic_compare_exchange_n((uint32_t *)p, &seen, seen | (uint32_t)bits,
						   false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
	}
	return __atomic_compare_exchange_n((uint64_t *)p, &old, old | bits, false, __ATOMIC_SEQ_CST,
					   __ATOMIC_RELAXED);
}

static bool trail_mark(const struct trail *t, const struct gmem *m, bool dirty)
{
	for (unsigned i = 0; i < t->count; i++) {
		uint64_t bits = ENTRY_A | (dirty && i + 1 == t->count ? ENTRY_D : 0u);

		if ((t->value[i] & bits) != bits &&
		    !entry_mark(m, t->at[i], t->entry_size, t->value[i], bits))
			return false;
	}
	return true;
}

static uint32_t fault_error(const struct gwalk_state *p, unsigned access, uint32_t error)
{
	bool tells_fetch = p->cr4 & CR4_SMEP || (p->cr4 & CR4_PAE && p->efer & EFER_NXE);

	if (p->cpl == 3)
		error |= PF_U;
	if (access & GWALK_WRITE)
		error |= PF_W;
	if (access & GWALK_FETCH && tells_fetch)
		error |= PF_I;
	return error;
}

static bool walk_any(struct trail *t, const struct gwalk_state *p, const struct gmem *m,
		     uint64_t la)
{
	*t = (struct trail){.entry_size = 8, .all = ~0ul};
	if (p->efer & EFER_LMA)
		return walk_wide(t, m, la, p->cr3 & ENTRY_ADDR & ((1ul << p->phys_bits) - 1), 39,
				 wide_rsvd(p));
	if (p->cr4 & CR4_PAE)
		return walk_pae(t, p, m, la & 0xffffffff);
	return walk_32(t, p, m, la & 0xffffffff);
}

static __attribute__((noinline)) int walk_fully(const struct gwalk_state *p, const struct gmem *m,
						uint64_t la, unsigned access, gpa_t *out,
						uint32_t *error)
{
	bool dirty = access & GWALK_WRITE;

	for (unsigned tries = 1;; tries++) {
		struct trail t;
		bool found = walk_any(&t, p, m, la);

		if (found && !access_allowed(p, t.all, t.any, t.entry_size == 8, access)) {
			t.error = PF_P;
			found = false;
		}
		if (!found) {
			*error = fault_error(p, access, t.error);
			return E_FAULT;
		}
		*out = gpa(t.phys);
		if ((t.all & ENTRY_A && (!dirty || t.value[t.count - 1] & ENTRY_D)) ||
		    trail_mark(&t, m, dirty) || tries == MARK_TRIES)
			return OK;
	}
}

struct quick_walk {
	const uint8_t *host;
	uint64_t gpa, len; /* of the slot */
	uint64_t address, looked_at;
	uint64_t table, all, any, entry;
};

#define QUICK_GOOD ((uint64_t)(ENTRY_P | ENTRY_A))

static inline __attribute__((always_inline)) bool quick_level(struct quick_walk *q, uint64_t la,
							      unsigned shift)
{
	uint64_t offset = (q->table | (la >> (shift - 3) & 0xff8)) - q->gpa;

	if (unlikely(offset >= q->len)) /* slots are of whole pages */
		return false;
	q->entry = __atomic_load_n((const uint64_t *)(const void *)(q->host + offset),
				   __ATOMIC_RELAXED);
	q->all &= q->entry;
	q->any |= q->entry;
	q->table = q->entry & q->address;
	return likely((q->entry & q->looked_at) == QUICK_GOOD);
}

static inline bool quick_finish(const struct gwalk_state *p, const struct quick_walk *q,
				uint64_t la, unsigned shift, unsigned access, gpa_t *out)
{
	uint64_t low = (1ul << shift) - 1;

	if (unlikely(!access_allowed(p, q->all, q->any, true, access) ||
		     (access & GWALK_WRITE && !(q->entry & ENTRY_D)) ||
		     (shift > PAGE_SHIFT && q->table & low & ~0x1ffful)))
		return false;
	*out = gpa((q->table & ~low) | (la & low));
	return true;
}

/*
 * The common case: 4-level tables in one slot, nothing to mark, nothing wrong. Everything else is
 * left to the full walk, which begins again.
 */
static inline bool walk_quickly(const struct gwalk_state *p, const struct gmem *m, uint64_t la,
				unsigned access, gpa_t *out)
{
	uint64_t address = ENTRY_ADDR & ((1ul << p->phys_bits) - 1);
	const struct gmem_slot *s = gmem_slot_find(m, gpa(p->cr3 & address));
	struct quick_walk q = {
		.address = address,
		.table = p->cr3 & address,
		.looked_at = wide_rsvd(p) | QUICK_GOOD,
		.all = ~0ul,
	};

	if (unlikely(!s))
		return false;
	q.host = s->host;
	q.gpa = s->gpa;
	q.len = s->len;
	if (!quick_level(&q, la, 39) || unlikely(q.entry & ENTRY_PS) || !quick_level(&q, la, 30))
		return false;
	if (unlikely(q.entry & ENTRY_PS))
		return quick_finish(p, &q, la, 30, access, out);
	if (!quick_level(&q, la, 21))
		return false;
	if (q.entry & ENTRY_PS)
		return quick_finish(p, &q, la, 21, access, out);
	return quick_level(&q, la, 12) && quick_finish(p, &q, la, 12, access, out);
}

int gwalk_translate(const struct gwalk_state *p, const struct gmem *m, gva_t la, unsigned access,
		    gpa_t *out, uint32_t *error)
{
	if (unlikely(!(p->cr0 & CR0_PG))) {
		*out = gpa(la.v & 0xffffffff);
		return OK;
	}
	if (likely(p->efer & EFER_LMA && walk_quickly(p, m, la.v, access, out)))
		return OK;
	return walk_fully(p, m, la.v, access, out, error);
}

bool gwalk_prove(const struct gwalk_state *p, const struct gmem *m, gva_t la,
		 struct gwalk_proof *proof)
{
	struct trail t = {.count = 0};

	if (p->cr0 & CR0_PG) {
		if (p->cr4 & CR4_PAE && !(p->efer & EFER_LMA))
			return false;
		if (!walk_any(&t, p, m, la.v))
			return false;
	}
	for (unsigned i = 0; i < GWALK_LEVELS; i++) {
		/* Unused places repeat the last entry, or hold a proof of nothing. */
		unsigned n = i < t.count ? i : t.count - 1;
		const uint64_t *e = &proof->value[i];

		proof->value[i] = 0;
		if (t.count)
			e = gmem_ptr(m, gpa(align_down(t.at[n], 8)), 8);
		if (!e)
			return false;
		proof->entry[i] = e;
		proof->value[i] = __atomic_load_n(e, __ATOMIC_RELAXED);
		/* Entries of 4 bytes come in pairs. */
		if (t.count && (t.entry_size == 4 ? (uint32_t)(proof->value[i] >> (t.at[n] & 4) * 8)
						  : proof->value[i]) != t.value[n])
			return false;
	}
	return true;
}
