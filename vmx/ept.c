/*
 * Extended page tables. It must not know the VMCS, vCPUs or devices, nor flush a TLB: it only
 * counts the changes after which somebody must (vmx/tlb.c). Source: Intel SDM Vol. 3C, "EPT
 * Translation Mechanism", "EPT Misconfigurations", "EPT and Memory Typing", "Guidelines for Use of
 * the INVEPT Instruction".
 */
#include "ept.h"

#include <stdatomic.h>
#include <crvm/hostmap.h>
#include <crvm/mtrr.h>
#include <crvm/panic.h>
#include <crvm/status.h>
#include <crvm/string.h>
#include <crvm/virt.h>

#define MT_SHIFT   3
#define GPA_LIMIT  (1ull << EPT_GPA_BITS)
#define PHYS_BITS  52u /* more the architecture does not have */
#define ENTRY_SIZE sizeof(uint64_t)

/* Permissions are copied between the two as they are, and memory types have the MTRRs' numbers. */
_Static_assert(NESTED_R == EPT_R && NESTED_W == EPT_W && NESTED_X == EPT_X, "bits 2:0");
_Static_assert(MEMORY_WB << MT_SHIFT == 0x30 && (MEMORY_WB << MT_SHIFT & ~EPT_MT) == 0, "bits 5:3");
_Static_assert((EPT_R | EPT_W | EPT_X | EPT_MT | EPT_IPAT | EPT_LARGE | EPT_A | EPT_D) == 0x3ff,
	       "bits 9:0 of a leaf, each named once");
_Static_assert((EPT_ADDR & (EPT_USED | (PAGE_SIZE - 1))) == 0 &&
		       EPT_ADDR == (1ull << PHYS_BITS) - PAGE_SIZE,
	       "bits 51:12");
_Static_assert(EPT_ENTRY_COUNT *ENTRY_SIZE == PAGE_SIZE, "a table is a page");
_Static_assert(PAGE_SHIFT + 9 * EPT_LEVELS == EPT_GPA_BITS, "9 bits a level");

/* The CPU sets A and D bits while it runs the guest, so entries are read and written whole. */
typedef _Atomic uint64_t ept_entry;

/* Where a walk ends: a leaf, or an empty entry. */
struct slot {
	ept_entry *at;
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

static unsigned level_index(unsigned level, uint64_t gpa)
{
	return (gpa >> level_shift(level)) % EPT_ENTRY_COUNT;
}

/* From gpa to the end of the page or hole that starts at or before it, at most len. */
static uint64_t level_step(unsigned level, uint64_t gpa, uint64_t len)
{
	uint64_t rest = level_size(level) - (gpa & (level_size(level) - 1));

	return rest < len ? rest : len;
}

static uint64_t entry_get(ept_entry *at)
{
	return atomic_load_explicit(at, memory_order_relaxed);
}

/* What an entry points to is written before it. */
static void entry_set(ept_entry *at, uint64_t value)
{
	atomic_store_explicit(at, value, memory_order_release);
}

static bool entry_is_leaf(uint64_t value)
{
	return value & EPT_USED;
}

static bool entry_is_table(uint64_t value)
{
	return (value & (EPT_USED | EPT_RWX)) == EPT_RWX;
}

static ept_entry *table_at(hpa_t table)
{
	return phys_to_virt(table);
}

/* A zeroed table: one that was given back, or a new one. */
static int table_new(struct ept *e, hpa_t *out)
{
	int rc;

	if (e->spare.v != 0) {
		ept_entry *t = table_at(e->spare);

		*out = e->spare;
		e->spare = hpa(entry_get(&t[0]));
		entry_set(&t[0], 0);
	} else {
		rc = arena_frames(e->arena, 0, out);
		if (rc != OK)
			return rc;
		/* An address with bits that the CPU says it lacks would be a misconfiguration. */
		if (out->v >> e->caps.phys_bits != 0)
			return E_NOMEM;
	}
	e->table_count++;
	return OK;
}

/* Gives back a table that is all zero. */
static void table_put(struct ept *e, hpa_t table)
{
	entry_set(&table_at(table)[0], e->spare.v);
	e->spare = table;
	e->table_count--;
}

/* Tables grant everything; the leaves decide. */
static uint64_t table_entry(hpa_t table)
{
	return table.v | EPT_RWX;
}

/*
 * RAM ignores the guest's PAT: if a guest could read it uncached, it might see what is in DRAM
 * beneath scrubbed lines that are still in a cache. Devices keep the PAT, so that a guest can have
 * its framebuffer write-combining.
 */
static uint64_t leaf_memtype(uint8_t type)
{
	switch (type) {
	case MEMORY_WB:
		return (uint64_t)MEMORY_WB << MT_SHIFT | EPT_IPAT;
	case MEMORY_WC:
	case MEMORY_WT:
	case MEMORY_WP:
		return (uint64_t)type << MT_SHIFT;
	default: /* a single page of mixed types as well */
		return (uint64_t)MEMORY_UC << MT_SHIFT;
	}
}

static uint64_t leaf_entry(uint64_t hpa, unsigned level, unsigned flags, uint8_t type)
{
	return hpa | EPT_USED | leaf_memtype(type) | (level > 1 ? EPT_LARGE : 0) | flags;
}

static struct slot slot_find(const struct ept *e, uint64_t gpa)
{
	hpa_t table = e->root;

	for (unsigned level = EPT_LEVELS;; level--) {
		ept_entry *at = &table_at(table)[level_index(level, gpa)];
		uint64_t value = entry_get(at);

		if (!entry_is_table(value))
			return (struct slot){at, value, level};
		table = hpa(value & EPT_ADDR);
	}
}

static bool range_is_valid(uint64_t start, uint64_t len, uint64_t limit)
{
	return start % PAGE_SIZE == 0 && len % PAGE_SIZE == 0 && start <= limit &&
	       len <= limit - start;
}

static bool flags_are_valid(const struct ept *e, unsigned flags)
{
	if (flags & ~(unsigned)NESTED_RWX)
		return false;
	if (flags & NESTED_W)
		return flags & NESTED_R;
	return flags != NESTED_X || e->caps.execute_only;
}

struct ept_caps ept_caps_from(const struct vmx_caps *c, unsigned phys_bits)
{
	return (struct ept_caps){
		.page_2m = vmx_caps_bit(c, CAP_VMX_EPT_VPID_CAP, 16),
		.page_1g = vmx_caps_bit(c, CAP_VMX_EPT_VPID_CAP, 17),
		.accessed_dirty = vmx_caps_bit(c, CAP_VMX_EPT_VPID_CAP, 21),
		.execute_only = vmx_caps_bit(c, CAP_VMX_EPT_VPID_CAP, 0),
		.phys_bits = (uint8_t)(phys_bits < PHYS_BITS ? phys_bits : PHYS_BITS),
	};
}

int ept_init(struct ept *e, struct arena *arena, const struct ept_caps *caps,
	     const struct ept_memtype *memtype)
{
	*e = (struct ept){.arena = arena, .caps = *caps, .memtype = *memtype};
	if (e->caps.phys_bits > PHYS_BITS)
		e->caps.phys_bits = PHYS_BITS;
	/* Splitting goes down one level at a time. */
	if (!e->caps.page_2m)
		e->caps.page_1g = false;
	return table_new(e, &e->root);
}

uint64_t ept_pointer(const struct ept *e)
{
	return e->root.v | MEMORY_WB | (EPT_LEVELS - 1) << EPTP_WALK_SHIFT |
	       (e->caps.accessed_dirty ? EPTP_AD : 0);
}

/* Mapping. */

struct mapping {
	uint64_t gpa, hpa, len; /* what is left to do */
	unsigned flags;
	uint8_t type; /* of all of it, or MTRR_MIXED */
};

static uint8_t mapping_type(const struct ept *e, const struct mapping *m, uint64_t len)
{
	return m->type != MTRR_MIXED ? m->type : e->memtype.of(e->memtype.ctx, m->hpa, len);
}

/* The largest page that may start here, and its memory type. */
static unsigned mapping_level(const struct ept *e, const struct mapping *m, uint8_t *type)
{
	unsigned level = e->caps.page_1g ? 3 : e->caps.page_2m ? 2 : 1;

	for (;; level--) {
		uint64_t size = level_size(level);

		if (level > 1 && (((m->gpa | m->hpa) & (size - 1)) != 0 || m->len < size))
			continue;
		*type = mapping_type(e, m, size);
		if (level == 1 || *type != MTRR_MIXED)
			return level;
	}
}

/* The entry of `level` for gpa, with tables made down to there. Nothing may be mapped there. */
static int entry_make(struct ept *e, uint64_t gpa, unsigned level, ept_entry **out)
{
	for (;;) {
		struct slot s = slot_find(e, gpa);
		hpa_t table;
		int rc;

		if (s.level <= level) {
			/* No table is ever empty, so there is none below where nothing is mapped.
			 */
			check(s.level == level && s.value == 0);
			*out = s.at;
			return OK;
		}
		rc = table_new(e, &table);
		if (rc != OK)
			return rc;
		entry_set(s.at, table_entry(table));
	}
}

/*
 * Maps pages of one size in one table. With one memory type for all, what held for the first page
 * holds for those that follow up to the table's end: a larger page can start only in the next one.
 */
static int mapping_advance(struct ept *e, struct mapping *m)
{
	ept_entry *at;
	uint8_t type;
	unsigned level = mapping_level(e, m, &type);
	uint64_t size = level_size(level), count = 1;
	uint64_t value = leaf_entry(m->hpa, level, m->flags, type);
	int rc = entry_make(e, m->gpa, level, &at);

	if (rc != OK)
		return rc;
	if (m->type != MTRR_MIXED) {
		count = EPT_ENTRY_COUNT - level_index(level, m->gpa);
		if (count > m->len >> level_shift(level))
			count = m->len >> level_shift(level);
	}
	for (uint64_t i = 0; i < count; i++) {
		check(entry_get(&at[i]) == 0);
		entry_set(&at[i], value + i * size);
	}
	e->page_count[level - 1] += count;
	m->gpa += count * size;
	m->hpa += count * size;
	m->len -= count * size;
	return OK;
}

static bool table_is_empty(ept_entry *t)
{
	for (unsigned i = 0; i < EPT_ENTRY_COUNT; i++)
		if (entry_get(&t[i]) != 0)
			return false;
	return true;
}

/*
 * Takes out of a table the pages from first to last, all of which lie in it, and the tables that
 * this leaves empty. Undoes a mapping that failed, so no guest has used any of it.
 */
static void table_clear(struct ept *e, hpa_t table, unsigned level, uint64_t first, uint64_t last)
{
	ept_entry *t = table_at(table);
	unsigned end = level_index(level, last);

	for (unsigned i = level_index(level, first); i <= end; i++) {
		uint64_t value = entry_get(&t[i]);
		uint64_t next = align_down(first, level_size(level)) + level_size(level);

		if (entry_is_leaf(value)) {
			entry_set(&t[i], 0);
			e->page_count[level - 1]--;
		} else if (entry_is_table(value)) {
			hpa_t child = hpa(value & EPT_ADDR);

			table_clear(e, child, level - 1, first, i == end ? last : next - 1);
			if (table_is_empty(table_at(child))) {
				entry_set(&t[i], 0);
				table_put(e, child);
			}
		}
		first = next;
	}
}

static bool range_is_free(const struct ept *e, uint64_t gpa, uint64_t len)
{
	while (len > 0) {
		struct slot s = slot_find(e, gpa);
		uint64_t step = level_step(s.level, gpa, len);

		if (entry_is_leaf(s.value))
			return false;
		gpa += step;
		len -= step;
	}
	return true;
}

int ept_map(struct ept *e, gpa_t gpa, hpa_t hpa, uint64_t len, unsigned flags)
{
	struct mapping m = {.gpa = gpa.v, .hpa = hpa.v, .len = len, .flags = flags};
	int rc;

	if (!flags_are_valid(e, flags) || !range_is_valid(gpa.v, len, GPA_LIMIT) ||
	    !range_is_valid(hpa.v, len, 1ull << e->caps.phys_bits))
		return E_INVAL;
	if (!range_is_free(e, gpa.v, len))
		return E_EXIST;
	if (len == 0)
		return OK;
	m.type = e->memtype.of(e->memtype.ctx, hpa.v, len);
	while (m.len > 0) {
		rc = mapping_advance(e, &m);
		if (rc != OK) {
			table_clear(e, e->root, EPT_LEVELS, gpa.v, gpa.v + len - 1);
			return rc;
		}
	}
	return OK;
}

/* Protecting. */

/* Makes gpa the start of a page, if it is mapped at all. */
static int leaf_split(struct ept *e, uint64_t gpa)
{
	for (;;) {
		struct slot s = slot_find(e, gpa);
		ept_entry *t;
		uint64_t size, value;
		hpa_t table;
		int rc;

		if (!entry_is_leaf(s.value) || (gpa & (level_size(s.level) - 1)) == 0)
			return OK;
		rc = table_new(e, &table);
		if (rc != OK)
			return rc;
		t = table_at(table);
		size = level_size(s.level - 1);
		/* Accessed and dirty hold for each part: more than true is safe, less is not. */
		value = s.level - 1 > 1 ? s.value : s.value & ~EPT_LARGE;
		for (unsigned i = 0; i < EPT_ENTRY_COUNT; i++)
			entry_set(&t[i], value + i * size);
		entry_set(s.at, table_entry(table));
		e->page_count[s.level - 1]--;
		e->page_count[s.level - 2] += EPT_ENTRY_COUNT;
		/* The manual wants INVEPT after bit 7 of an entry changes. */
		e->generation++;
	}
}

/* Is all of the range mapped, and is there anything to change? */
static int range_check(const struct ept *e, uint64_t gpa, uint64_t len, unsigned flags,
		       bool *changes)
{
	*changes = false;
	while (len > 0) {
		struct slot s = slot_find(e, gpa);
		uint64_t step = level_step(s.level, gpa, len);

		if (!entry_is_leaf(s.value))
			return E_NOENT;
		*changes |= (s.value & EPT_RWX) != flags;
		gpa += step;
		len -= step;
	}
	return OK;
}

int ept_protect(struct ept *e, gpa_t gpa, uint64_t len, unsigned flags)
{
	uint64_t lost = 0, step;
	bool changes;
	int rc;

	if (!flags_are_valid(e, flags) || !range_is_valid(gpa.v, len, GPA_LIMIT))
		return E_INVAL;
	rc = range_check(e, gpa.v, len, flags, &changes);
	if (rc != OK || !changes)
		return rc;
	/* Only its ends can lie inside a page. After this, nothing can fail. */
	rc = leaf_split(e, gpa.v);
	if (rc == OK)
		rc = leaf_split(e, gpa.v + len);
	if (rc != OK)
		return rc;
	for (uint64_t done = 0; done < len; done += step) {
		struct slot s = slot_find(e, gpa.v + done);

		lost |= s.value & EPT_RWX & ~(uint64_t)flags;
		entry_set(s.at, (s.value & ~EPT_RWX) | flags);
		step = level_step(s.level, gpa.v + done, len - done);
	}
	if (lost)
		e->generation++;
	return OK;
}

/* Reading. */

int ept_query(const struct ept *e, gpa_t gpa, hpa_t *hpa_out, unsigned *flags, uint64_t *page_size)
{
	uint64_t size;
	struct slot s;

	if (gpa.v >= GPA_LIMIT)
		return E_NOENT;
	s = slot_find(e, gpa.v);
	if (!entry_is_leaf(s.value))
		return E_NOENT;
	size = level_size(s.level);
	if (hpa_out)
		*hpa_out = hpa((s.value & EPT_ADDR) + (gpa.v & (size - 1)));
	if (flags)
		*flags = (unsigned)(s.value & EPT_RWX);
	if (page_size)
		*page_size = size;
	return OK;
}

void ept_walk(const struct ept *e,
	      bool (*fn)(void *ctx, gpa_t gpa, hpa_t hpa, uint64_t len, unsigned flags), void *ctx)
{
	uint64_t at = 0;

	while (at < GPA_LIMIT) {
		struct slot s = slot_find(e, at);
		uint64_t size = level_size(s.level);

		if (entry_is_leaf(s.value) &&
		    !fn(ctx, gpa(at), hpa(s.value & EPT_ADDR), size, (unsigned)(s.value & EPT_RWX)))
			return;
		at += size;
	}
}
