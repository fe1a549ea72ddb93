/*
 * What the EPT tests share: memory, memory types by a list, and a checker that reads the raw tables
 * as the CPU would, with numbers of its own. Source: Intel SDM Vol. 3C, "EPT Translation
 * Mechanism", "EPT Misconfigurations".
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <crvm/frames.h>
#include <crvm/hostmap.h>
#include <crvm/mtrr.h>
#include <crvm/status.h>
#include <crvm/virt.h>
#include "../../vmx/ept.h"
#include "ram.h"
#include "spinlock.h"

#define KIB	 (1ul << 10)
#define MIB	 (1ul << 20)
#define GIB	 (1ul << 30)
#define TIB	 (1ul << 40)
#define PAGES(n) ((n)*PAGE_SIZE)
#define VM_OWNER ((frame_owner_t)(FRAME_VM0 + 7))
#define RAM_SIZE (32 * MIB)

struct type_range {
	uint64_t base, len;
	uint8_t type;
};

/* Memory types: the first range that holds an address decides; else write back. */
static struct type_range type_ranges[8];
static unsigned type_range_count, type_calls;

static inline uint8_t rig_type_of_page(uint64_t addr)
{
	for (unsigned i = 0; i < type_range_count; i++)
		if (addr - type_ranges[i].base < type_ranges[i].len)
			return type_ranges[i].type;
	return MEMORY_WB;
}

static inline uint8_t rig_type(const void *ctx, uint64_t base, uint64_t len)
{
	uint8_t type = rig_type_of_page(base);

	assert_ptr_equal(ctx, type_ranges);
	type_calls++;
	for (unsigned i = 0; i < type_range_count; i++)
		for (unsigned side = 0; side < 2; side++) {
			uint64_t edge = type_ranges[i].base + (side ? type_ranges[i].len : 0);

			if (edge > base && edge < base + len && rig_type_of_page(edge) != type)
				return MTRR_MIXED;
		}
	return type;
}

static inline void rig_add_type(uint64_t base, uint64_t len, uint8_t type)
{
	type_ranges[type_range_count++] = (struct type_range){base, len, type};
}

static struct arena rig_arena;

static inline int rig_setup(void **state)
{
	(void)state;
	fake_ram_reset();
	/* What frames hold before they are tables must not matter. */
	memset(phys_to_virt(hpa(MIB)), 0xa5, RAM_SIZE);
	frames_init();
	assert_int_equal(frames_add(MIB, RAM_SIZE), OK);
	arena_init(&rig_arena, VM_OWNER);
	type_range_count = 0;
	return 0;
}

static inline int rig_teardown(void **state)
{
	(void)state;
	arena_destroy(&rig_arena);
	assert_int_equal(frames_count(VM_OWNER), 0);
	frames_audit();
	assert_int_equal(fake_spin_held(), 0);
	return 0;
}

static const struct ept_caps rig_all_caps = {
	.page_2m = true,
	.page_1g = true,
	.accessed_dirty = true,
	.execute_only = true,
	.phys_bits = 39,
};

static inline int rig_init(struct ept *e, const struct ept_caps *caps)
{
	const struct ept_memtype memtype = {rig_type, type_ranges};

	return ept_init(e, &rig_arena, caps, &memtype);
}

static inline void rig_new(struct ept *e, const struct ept_caps *caps)
{
	assert_int_equal(rig_init(e, caps), OK);
}

/* Takes frames away until just `count` are left. */
static hpa_t rig_hoard[RAM_SIZE / PAGE_SIZE];
static unsigned rig_hoard_count;

static inline void rig_leave_frames(uint64_t count)
{
	while (frames_count(FRAME_FREE) > count)
		assert_int_equal(frames_alloc(0, FRAME_HV, &rig_hoard[rig_hoard_count++]), OK);
}

static inline void rig_give_frames_back(void)
{
	while (rig_hoard_count > 0)
		frames_free(rig_hoard[--rig_hoard_count], 0);
}

static inline void expect_query(const struct ept *e, uint64_t at, uint64_t addr, unsigned flags,
				uint64_t size)
{
	uint64_t size_out = 0;
	unsigned flags_out = 99;
	hpa_t addr_out = hpa(1);

	assert_int_equal(ept_query(e, gpa(at), &addr_out, &flags_out, &size_out), OK);
	assert_int_equal(addr_out.v, addr);
	assert_int_equal(flags_out, flags);
	assert_int_equal(size_out, size);
}

static inline int map(struct ept *e, uint64_t at, uint64_t addr, uint64_t len, unsigned flags)
{
	return ept_map(e, gpa(at), hpa(addr), len, flags);
}

static inline int query(const struct ept *e, uint64_t at)
{
	return ept_query(e, gpa(at), NULL, NULL, NULL);
}

/* The checker. */

struct rig_seen {
	const struct ept *e;
	bool maximal; /* no page could have been part of a larger one */
	uint64_t leaves[4], tables;
};

static inline void rig_check_leaf(struct rig_seen *s, uint64_t v, unsigned level, uint64_t gpa)
{
	uint64_t size = PAGE_SIZE << 9 * (level - 1), addr = v & 0xffffffffff000;
	unsigned type = v >> 3 & 7;

	assert_true(level <= 3);
	assert_int_equal(v >> 7 & 1, level > 1);
	assert_true(level < 2 || s->e->caps.page_2m);
	assert_true(level < 3 || s->e->caps.page_1g);
	assert_int_equal(addr % size, 0);
	assert_int_equal(addr >> s->e->caps.phys_bits, 0);
	assert_int_equal(v >> 52, 0);
	assert_int_not_equal(v & 3, 2); /* W without R */
	assert_true((v & 7) != 4 || s->e->caps.execute_only);
	assert_true(type == 0 || type == 1 || type == 4 || type == 5 || type == 6);
	/* One type for all of the page, and the right one; only RAM overrides the guest's PAT. */
	assert_int_equal(type, rig_type(type_ranges, addr, size));
	assert_int_equal(v >> 6 & 1, type == 6);
	assert_int_equal(gpa % size, 0);
	s->leaves[level]++;
}

/* Could these 512 entries have been one page? */
static inline void rig_check_maximal(struct rig_seen *s, const uint64_t *t, unsigned level)
{
	uint64_t size = PAGE_SIZE << 9 * (level - 1), first = t[0] & 0xffffffffff000;

	if (level > 2 || !(level == 1 ? s->e->caps.page_2m : s->e->caps.page_1g) ||
	    first % (512 * size) != 0 || rig_type(type_ranges, first, 512 * size) == MTRR_MIXED)
		return;
	for (unsigned i = 0; i < 512; i++)
		if (t[i] != t[0] + i * size || (level == 2 && !(t[i] & 0x80)))
			return;
	fail_msg("512 entries of level %u at host-physical 0x%lx could be one", level, first);
}

static inline unsigned rig_check_table(struct rig_seen *s, hpa_t table, unsigned level,
				       uint64_t gpa)
{
	const uint64_t *t = phys_to_virt(table);
	unsigned used = 0;

	assert_int_equal(frames_owner(table), VM_OWNER);
	s->tables++;
	for (unsigned i = 0; i < 512; i++, gpa += PAGE_SIZE << 9 * (level - 1)) {
		if (t[i] == 0)
			continue;
		used++;
		if (level == 1 || (t[i] & 0x80)) {
			rig_check_leaf(s, t[i], level, gpa);
			continue;
		}
		/* A table: all rights, no other bit but the address. */
		assert_int_equal(t[i] & ~0xffffffffff000ul, 7);
		assert_int_equal(t[i] >> s->e->caps.phys_bits, 0);
		assert_int_not_equal(
			rig_check_table(s, hpa(t[i] & 0xffffffffff000), level - 1, gpa), 0);
	}
	if (s->maximal && used == 512)
		rig_check_maximal(s, t, level);
	return used;
}

static inline void rig_check(const struct ept *e, bool maximal)
{
	struct rig_seen s = {.e = e, .maximal = maximal};

	rig_check_table(&s, e->root, 4, 0);
	assert_int_equal(s.tables, e->table_count);
	for (unsigned level = 1; level <= 3; level++)
		assert_int_equal(s.leaves[level], e->page_count[level - 1]);
}

static inline void rig_expect_pages(const struct ept *e, uint64_t p4k, uint64_t p2m, uint64_t p1g)
{
	assert_int_equal(e->page_count[0], p4k);
	assert_int_equal(e->page_count[1], p2m);
	assert_int_equal(e->page_count[2], p1g);
	rig_check(e, false);
}
