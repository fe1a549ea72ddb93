/*
 * Extended page tables: page sizes, memory types, permissions, errors.
 * needs: vmx/ept.c mm/arena.c mm/hostmap.c mm/frames.c mm/frames_region.c
 * needs: tests/fake/panic.c tests/fake/spinlock.c
 */
#include "ept_rig.h"

static void test_eptp_says_write_back_4_levels_and_ad(void **state)
{
	struct ept_caps caps = rig_all_caps;
	struct ept e;

	(void)state;
	rig_new(&e, &caps);
	assert_int_equal(ept_pointer(&e), e.root.v | 0x5e);
	assert_int_equal(e.root.v % PAGE_SIZE, 0);
	caps.accessed_dirty = false;
	rig_new(&e, &caps);
	assert_int_equal(ept_pointer(&e), e.root.v | 0x1e);
}

static void test_caps_come_from_the_capability_msr(void **state)
{
	struct vmx_caps c = {0};
	struct ept_caps caps = ept_caps_from(&c, 39);

	(void)state;
	assert_false(caps.page_2m || caps.page_1g || caps.accessed_dirty || caps.execute_only);
	assert_int_equal(caps.phys_bits, 39);
	for (unsigned bit = 0; bit < 64; bit++) {
		c.msr[CAP_VMX_EPT_VPID_CAP] = 1ull << bit;
		caps = ept_caps_from(&c, 300);
		assert_int_equal(caps.execute_only, bit == 0);
		assert_int_equal(caps.page_2m, bit == 16);
		assert_int_equal(caps.page_1g, bit == 17);
		assert_int_equal(caps.accessed_dirty, bit == 21);
		assert_int_equal(caps.phys_bits, 52);
	}
}

static bool never(void *ctx, gpa_t gpa, hpa_t hpa, uint64_t len, unsigned flags)
{
	(void)ctx, (void)hpa, (void)len, (void)flags;
	fail_msg("0x%lx is mapped", gpa.v);
	return false;
}

static void test_a_new_one_is_empty(void **state)
{
	struct ept e;

	(void)state;
	rig_new(&e, &rig_all_caps);
	ept_walk(&e, never, NULL);
	assert_int_equal(query(&e, 0), E_NOENT);
	assert_int_equal(query(&e, 256 * TIB - 1), E_NOENT);
	assert_int_equal(query(&e, 256 * TIB), E_NOENT);
	assert_int_equal(query(&e, UINT64_MAX), E_NOENT);
	assert_int_equal(e.table_count, 1);
	assert_int_equal(e.generation, 0);
	rig_check(&e, true);
}

static void test_pages_are_as_large_as_both_addresses_allow(void **state)
{
	struct ept e;

	(void)state;
	rig_new(&e, &rig_all_caps);
	assert_int_equal(map(&e, 0, 5 * GIB, 2 * GIB, 7), OK);
	rig_expect_pages(&e, 0, 0, 2);
	assert_int_equal(map(&e, 4 * GIB, 8 * GIB + 2 * MIB, 6 * MIB, 7), OK);
	rig_expect_pages(&e, 0, 3, 2);
	assert_int_equal(map(&e, 5 * GIB, 9 * GIB + 4 * KIB, 2 * MIB, 7), OK);
	rig_expect_pages(&e, 512, 3, 2);
	/* Both misaligned in the same way: small, large, small. */
	assert_int_equal(map(&e, 7 * GIB - 4 * KIB, 11 * GIB - 4 * KIB, GIB + 8 * KIB, 7), OK);
	rig_expect_pages(&e, 514, 3, 3);
	rig_check(&e, true);
	assert_int_equal(query(&e, 256 * TIB), E_NOENT); /* not address 0 again */
	expect_query(&e, 0x12345678, 5 * GIB + 0x12345678, 7, GIB);
	expect_query(&e, 4 * GIB + 4 * MIB + 5, 8 * GIB + 6 * MIB + 5, 7, 2 * MIB);
	expect_query(&e, 7 * GIB - 1, 11 * GIB - 1, 7, 4 * KIB);
	expect_query(&e, 7 * GIB, 11 * GIB, 7, GIB);
	assert_int_equal(query(&e, 8 * GIB + 4 * KIB), E_NOENT);
}

/* Every pair of misalignments around large pages, every length that matters: always the largest. */
static void test_every_alignment_gives_the_largest_pages(void **state)
{
	static const uint64_t shift[] = {0,
					 PAGES(1),
					 PAGES(511),
					 2 * MIB,
					 2 * MIB + PAGES(1),
					 GIB - 2 * MIB,
					 GIB - PAGES(1)};
	static const uint64_t len[] = {PAGES(1),
				       PAGES(511),
				       2 * MIB,
				       2 * MIB + PAGES(1),
				       6 * MIB - PAGES(1),
				       GIB,
				       GIB + 2 * MIB + PAGES(1)};

	(void)state;
	for (unsigned i = 0; i < array_count(shift) * array_count(shift) * array_count(len); i++) {
		uint64_t at = 4 * GIB + shift[i % 7], addr = 16 * GIB + shift[i / 7 % 7];
		uint64_t n = len[i / 49];
		struct ept e;

		/* A gibibyte in small pages is slow to check: a few of those are enough. */
		if (n >= GIB && (at ^ addr) % (2 * MIB) != 0 && i % 7 != 1)
			continue;
		rig_new(&e, &rig_all_caps);
		assert_int_equal(map(&e, at, addr, n, 3), OK);
		rig_check(&e, true);
		assert_int_equal(PAGES(e.page_count[0]) + 2 * MIB * e.page_count[1] +
					 GIB * e.page_count[2],
				 n);
		assert_int_equal(query(&e, at - 1), E_NOENT);
		assert_int_equal(query(&e, at + n), E_NOENT);
		arena_destroy(&rig_arena);
	}
}

static void test_page_sizes_that_the_cpu_lacks_are_not_used(void **state)
{
	struct ept_caps caps = rig_all_caps;
	struct ept e;

	(void)state;
	caps.page_1g = false;
	rig_new(&e, &caps);
	assert_int_equal(map(&e, 0, GIB, GIB, 7), OK);
	rig_expect_pages(&e, 0, 512, 0);
	caps.page_2m = false;
	rig_new(&e, &caps);
	assert_int_equal(map(&e, 0, GIB, 4 * MIB, 7), OK);
	rig_expect_pages(&e, 1024, 0, 0);
	/* 1 GiB without 2 MiB exists on no CPU; it could not be split step by step. */
	caps.page_1g = true;
	rig_new(&e, &caps);
	assert_int_equal(map(&e, 0, GIB, GIB, 7), OK);
	rig_expect_pages(&e, 512 * 512, 0, 0);
}

static void test_large_pages_have_one_memory_type(void **state)
{
	struct ept e;

	(void)state;
	rig_add_type(GIB + 2 * MIB + 640 * KIB, 384 * KIB, MEMORY_UC);
	rig_add_type(GIB + 8 * MIB, 4 * MIB, MEMORY_WC);
	rig_new(&e, &rig_all_caps);
	assert_int_equal(map(&e, 0, GIB, GIB, 7), OK);
	rig_expect_pages(&e, 512, 511, 0);
	expect_query(&e, 2 * MIB, GIB + 2 * MIB, 7, 4 * KIB);
	expect_query(&e, 8 * MIB, GIB + 8 * MIB, 7, 2 * MIB);
	/* The next gibibyte is all write back. */
	assert_int_equal(map(&e, GIB, 2 * GIB, GIB, 7), OK);
	rig_expect_pages(&e, 512, 511, 1);
	rig_check(&e, true);
}

static uint64_t leaf_of(const struct ept *e, uint64_t at, unsigned level)
{
	const uint64_t *t = phys_to_virt(e->root);

	for (unsigned l = 4; l > level; l--)
		t = phys_to_virt(hpa(t[at >> (12 + 9 * (l - 1)) & 511] & 0xffffffffff000));
	return t[at >> (12 + 9 * (level - 1)) & 511];
}

static void test_memory_types_are_those_of_the_host(void **state)
{
	static const uint8_t type[] = {0, 1, 4, 5, 6, 2, 3, 7, MTRR_MIXED, 0x46};
	static const unsigned field[] = {0, 1, 4, 5, 0xe, 0, 0, 0, 0, 0}; /* with IPAT for WB */
	struct ept e;

	(void)state;
	for (unsigned i = 0; i < array_count(type); i++) {
		type_range_count = 0;
		rig_add_type(GIB, PAGE_SIZE, type[i]);
		rig_new(&e, &rig_all_caps);
		assert_int_equal(map(&e, 0, GIB, PAGE_SIZE, 7), OK);
		assert_int_equal(leaf_of(&e, 0, 1), GIB | field[i] << 3 | 0x807);
	}
}

static void test_entries_hold_what_the_manual_says(void **state)
{
	struct ept e;

	(void)state;
	rig_new(&e, &rig_all_caps);
	assert_int_equal(map(&e, 3 * GIB, 7 * GIB, GIB, 1), OK);
	assert_int_equal(leaf_of(&e, 3 * GIB, 3), 7 * GIB | 0x8f1);
	assert_int_equal(map(&e, 6 * MIB, 8 * MIB, 2 * MIB, 3), OK);
	assert_int_equal(leaf_of(&e, 6 * MIB, 2), 8 * MIB | 0x8f3);
	assert_int_equal(map(&e, 255 * TIB, 4 * KIB, 4 * KIB, 5), OK);
	assert_int_equal(leaf_of(&e, 255 * TIB, 1), 4 * KIB | 0x875);
}

static void test_permissions_that_would_be_a_misconfiguration_are_refused(void **state)
{
	struct ept_caps caps = rig_all_caps;
	struct ept e;

	(void)state;
	rig_new(&e, &caps);
	assert_int_equal(map(&e, 0, 0, 4 * KIB, NESTED_RWX), OK);
	for (unsigned flags = 0; flags < 64; flags++) {
		bool good = flags < 8 && flags != 2 && flags != 6;

		assert_int_equal(map(&e, PAGES(flags + 1), 0, 4 * KIB, flags), good ? OK : E_INVAL);
		assert_int_equal(ept_protect(&e, gpa(0), 4 * KIB, flags), good ? OK : E_INVAL);
	}
	assert_int_equal(map(&e, GIB, 0, 4 * KIB, 1u << 31 | 7), E_INVAL);
	rig_check(&e, true);
	caps.execute_only = false;
	rig_new(&e, &caps);
	assert_int_equal(map(&e, 0, 0, 4 * KIB, NESTED_X), E_INVAL);
	assert_int_equal(map(&e, 0, 0, 4 * KIB, NESTED_R | NESTED_X), OK);
	assert_int_equal(ept_protect(&e, gpa(0), 4 * KIB, NESTED_X), E_INVAL);
	expect_query(&e, 0, 0, 5, 4 * KIB);
}

static void test_addresses_out_of_bounds_are_refused(void **state)
{
	static const struct {
		uint64_t gpa, hpa, len;
		int rc;
	} c[] = {
		{1, 0, PAGES(1), E_INVAL},
		{0, 8, PAGES(1), E_INVAL},
		{0, 0, 5, E_INVAL},
		{0, 0, PAGE_SIZE - 1, E_INVAL},
		{256 * TIB, 0, PAGES(1), E_INVAL},
		{256 * TIB - PAGES(1), 0, PAGES(2), E_INVAL},
		{0, 512 * GIB, PAGES(1), E_INVAL},
		{0, 512 * GIB - PAGES(1), PAGES(2), E_INVAL},
		{0, 1ull << 52, PAGES(1), E_INVAL},
		{0, PAGES(1), -PAGES(1), E_INVAL},
		{PAGES(1), 0, -PAGES(1), E_INVAL},
		{-PAGES(1), 0, PAGES(2), E_INVAL},
		{0, -PAGES(1), PAGES(1), E_INVAL},
		{0, -PAGES(1), PAGES(2), E_INVAL},
		{0, 0, 512 * GIB + PAGES(1), E_INVAL},
		{256 * TIB - PAGES(1), 512 * GIB - PAGES(1), PAGES(1), OK},
		{0, 0, 0, OK},
		{256 * TIB, 512 * GIB, 0, OK},
	};
	struct ept e;

	(void)state;
	rig_new(&e, &rig_all_caps);
	for (unsigned i = 0; i < array_count(c); i++)
		assert_int_equal(map(&e, c[i].gpa, c[i].hpa, c[i].len, 7), c[i].rc);
	rig_expect_pages(&e, 1, 0, 0);
	expect_query(&e, 256 * TIB - 1, 512 * GIB - 1, 7, 4 * KIB);
	assert_int_equal(ept_protect(&e, gpa(256 * TIB - PAGES(1)), PAGES(1), 1), OK);
	assert_int_equal(ept_protect(&e, gpa(256 * TIB - PAGES(1)), PAGES(2), 1), E_INVAL);
	assert_int_equal(ept_protect(&e, gpa(256 * TIB), PAGES(1), 1), E_INVAL);
	assert_int_equal(ept_protect(&e, gpa(0), 1, 1), E_INVAL);
	assert_int_equal(ept_protect(&e, gpa(1), PAGES(1), 1), E_INVAL);
	assert_int_equal(ept_protect(&e, gpa(-PAGES(1)), PAGES(2), 1), E_INVAL);
	assert_int_equal(ept_protect(&e, gpa(0), 0, 1), OK);
}

static void test_all_physical_memory_can_be_mapped(void **state)
{
	struct ept e;

	(void)state;
	rig_new(&e, &rig_all_caps);
	assert_int_equal(map(&e, 0, 0, 512 * GIB, 7), OK);
	rig_expect_pages(&e, 0, 0, 512);
	assert_int_equal(map(&e, 256 * TIB - 512 * GIB, 0, 512 * GIB, 7), OK);
	rig_expect_pages(&e, 0, 0, 1024);
}

static void test_mapping_over_what_is_mapped_changes_nothing(void **state)
{
	struct ept e;

	(void)state;
	rig_new(&e, &rig_all_caps);
	assert_int_equal(map(&e, 4 * MIB, GIB, 2 * MIB, 7), OK);
	assert_int_equal(map(&e, 9 * MIB, GIB, PAGES(1), 1), OK);
	assert_int_equal(map(&e, 4 * MIB, GIB, 2 * MIB, 7), E_EXIST); /* even the same */
	assert_int_equal(map(&e, 0, GIB, 6 * MIB, 7), E_EXIST);
	assert_int_equal(map(&e, 5 * MIB, GIB, PAGES(1), 7), E_EXIST);
	assert_int_equal(map(&e, 6 * MIB, GIB, 3 * MIB + PAGES(1), 7), E_EXIST);
	assert_int_equal(map(&e, 0, 2 * GIB, GIB, 7), E_EXIST);
	rig_expect_pages(&e, 1, 1, 0);
	assert_int_equal(query(&e, 0), E_NOENT);
	assert_int_equal(query(&e, 6 * MIB), E_NOENT);
	assert_int_equal(map(&e, 6 * MIB, GIB, 3 * MIB, 7), OK);
	expect_query(&e, 6 * MIB, GIB, 7, 2 * MIB);
}

static void test_protecting_splits_only_the_ends(void **state)
{
	struct ept e;

	(void)state;
	rig_new(&e, &rig_all_caps);
	assert_int_equal(map(&e, 0, 4 * GIB, 3 * GIB, 7), OK);
	assert_int_equal(ept_protect(&e, gpa(GIB - PAGES(1)), GIB + PAGES(2), NESTED_R), OK);
	/* The middle gibibyte is still one page. */
	rig_expect_pages(&e, 1024, 1022, 1);
	expect_query(&e, GIB - PAGES(1) - 1, 5 * GIB - PAGES(1) - 1, 7, PAGES(1));
	expect_query(&e, GIB - 1, 5 * GIB - 1, 1, PAGES(1));
	expect_query(&e, GIB, 5 * GIB, 1, GIB);
	expect_query(&e, 2 * GIB, 6 * GIB, 1, PAGES(1));
	expect_query(&e, 2 * GIB + PAGES(1), 6 * GIB + PAGES(1), 7, PAGES(1));
	expect_query(&e, 2 * GIB + 2 * MIB, 6 * GIB + 2 * MIB, 7, 2 * MIB);
	/* Nothing to change: nothing is split. */
	assert_int_equal(ept_protect(&e, gpa(GIB + PAGES(5)), PAGES(3), NESTED_R), OK);
	rig_expect_pages(&e, 1024, 1022, 1);
}

static void test_protecting_what_is_not_all_mapped_changes_nothing(void **state)
{
	struct ept e;

	(void)state;
	rig_new(&e, &rig_all_caps);
	assert_int_equal(map(&e, 0, 4 * GIB, 4 * MIB, 7), OK);
	assert_int_equal(map(&e, 4 * MIB + PAGES(1), 8 * GIB, PAGES(1), 7), OK);
	assert_int_equal(ept_protect(&e, gpa(MIB), 3 * MIB + PAGES(2), 1), E_NOENT);
	assert_int_equal(ept_protect(&e, gpa(GIB), PAGES(1), 1), E_NOENT);
	rig_expect_pages(&e, 1, 2, 0);
	expect_query(&e, MIB, 4 * GIB + MIB, 7, 2 * MIB);
	assert_int_equal(e.generation, 0);
}

static void test_a_page_without_permissions_stays_mapped(void **state)
{
	struct ept e;

	(void)state;
	rig_new(&e, &rig_all_caps);
	assert_int_equal(map(&e, 0, 4 * GIB, 4 * MIB, 7), OK);
	assert_int_equal(ept_protect(&e, gpa(0), 2 * MIB + PAGES(1), 0), OK);
	expect_query(&e, 5, 4 * GIB + 5, 0, 2 * MIB);
	assert_int_equal(leaf_of(&e, 0, 2) & 7, 0); /* not present to the CPU */
	assert_int_equal(map(&e, 0, 0, PAGES(1), 7), E_EXIST);
	assert_int_equal(ept_protect(&e, gpa(PAGES(1)), 2 * MIB, 3), OK);
	expect_query(&e, 0, 4 * GIB, 0, PAGES(1));
	expect_query(&e, PAGES(1), 4 * GIB + PAGES(1), 3, PAGES(1));
	expect_query(&e, 2 * MIB, 4 * GIB + 2 * MIB, 3, PAGES(1));
	rig_check(&e, false);
}

static void test_generation_rises_when_cached_translations_are_wrong(void **state)
{
	uint64_t g;
	struct ept e;

	(void)state;
	rig_new(&e, &rig_all_caps);
	assert_int_equal(map(&e, 0, 4 * GIB, 4 * MIB, 1), OK);
	assert_int_equal(e.generation, 0); /* what was not there is not cached */
	assert_int_equal(ept_protect(&e, gpa(0), 2 * MIB, 7), OK);
	assert_int_equal(e.generation, 0); /* more rights: a stale entry faults, then goes */
	assert_int_equal(ept_protect(&e, gpa(0), 2 * MIB, 7), OK);
	assert_int_equal(e.generation, 0);
	assert_int_equal(ept_protect(&e, gpa(0), 2 * MIB, 5), OK);
	g = e.generation;
	assert_int_not_equal(g, 0); /* lost W */
	assert_int_equal(ept_protect(&e, gpa(0), 2 * MIB, 3), OK);
	assert_true(e.generation > g); /* won W, but lost X */
	g = e.generation;
	assert_int_equal(ept_protect(&e, gpa(2 * MIB), PAGES(1), 7), OK);
	assert_true(e.generation > g); /* bit 7 of the PDE changed */
}

/* The CPU's A and D bits: a split or new permissions must not lose that a page was written. */
static void test_accessed_and_dirty_survive(void **state)
{
	uint64_t *pd;
	struct ept e;

	(void)state;
	rig_new(&e, &rig_all_caps);
	assert_int_equal(map(&e, 0, 4 * GIB, 2 * MIB, 7), OK);
	assert_int_equal(leaf_of(&e, 0, 2) & 0x300, 0);
	pd = phys_to_virt(hpa(leaf_of(&e, 0, 3) & 0xffffffffff000));
	pd[0] |= 0x300;
	assert_int_equal(ept_protect(&e, gpa(0), 2 * MIB, 5), OK);
	assert_int_equal(leaf_of(&e, 0, 2), 4 * GIB | 0xbf5);
	assert_int_equal(ept_protect(&e, gpa(0), PAGES(1), 1), OK);
	assert_int_equal(leaf_of(&e, 0, 1), 4 * GIB | 0xb71);
	assert_int_equal(leaf_of(&e, PAGES(511), 1), (4 * GIB + PAGES(511)) | 0xb75);
	/* A table's A bit, which the CPU sets too, does not turn it into something else. */
	pd[0] |= 0x100;
	expect_query(&e, PAGES(1), 4 * GIB + PAGES(1), 5, PAGES(1));
}

struct walk_log {
	unsigned count, stop_after;
	uint64_t gpa[8], hpa[8], len[8];
	unsigned flags[8];
};

static bool log_page(void *ctx, gpa_t gpa, hpa_t hpa, uint64_t len, unsigned flags)
{
	struct walk_log *w = ctx;

	w->gpa[w->count] = gpa.v;
	w->hpa[w->count] = hpa.v;
	w->len[w->count] = len;
	w->flags[w->count++] = flags;
	return w->count < w->stop_after;
}

static void test_walk_goes_page_by_page_until_told_to_stop(void **state)
{
	struct walk_log w = {.stop_after = 8};
	struct ept e;

	(void)state;
	rig_new(&e, &rig_all_caps);
	assert_int_equal(map(&e, 256 * TIB - PAGES(1), 9 * GIB, PAGES(1), 1), OK);
	assert_int_equal(map(&e, 2 * MIB, 4 * GIB, 4 * MIB, 7), OK);
	assert_int_equal(map(&e, GIB, 5 * GIB, GIB, 5), OK);
	ept_walk(&e, log_page, &w);
	assert_int_equal(w.count, 4);
	assert_int_equal(w.gpa[0], 2 * MIB);
	assert_int_equal(w.gpa[1], 4 * MIB);
	assert_int_equal(w.hpa[1], 4 * GIB + 2 * MIB);
	assert_int_equal(w.len[1], 2 * MIB);
	assert_int_equal(w.flags[1], 7);
	assert_int_equal(w.gpa[2], GIB);
	assert_int_equal(w.len[2], GIB);
	assert_int_equal(w.gpa[3], 256 * TIB - PAGES(1));
	assert_int_equal(w.flags[3], 1);
	w = (struct walk_log){.stop_after = 2};
	ept_walk(&e, log_page, &w);
	assert_int_equal(w.count, 2);
}

static void test_out_of_memory_at_init(void **state)
{
	struct ept e;

	(void)state;
	rig_leave_frames(0);
	assert_int_equal(rig_init(&e, &rig_all_caps), E_NOMEM);
	rig_give_frames_back();
}

/* With ever more frames to use until it works: each failure leaves everything as it was. */
static void test_out_of_memory_at_every_point_of_map(void **state)
{
	const uint64_t at = 512 * GIB - 6 * MIB - PAGES(3), len = 8 * MIB + PAGES(6);
	unsigned failed = 0;
	struct ept e;
	int rc;

	(void)state;
	rig_new(&e, &rig_all_caps);
	assert_int_equal(map(&e, 0, 0, PAGES(1), 7), OK);
	assert_int_equal(map(&e, 4 * TIB, 0, PAGES(1), 7), OK);
	do {
		rig_leave_frames(failed);
		rc = map(&e, at, 16 * GIB - PAGES(3), len, 7);
		rig_give_frames_back();
		if (rc == OK)
			break;
		assert_int_equal(rc, E_NOMEM);
		failed++;
		assert_int_equal(e.page_count[0], 2);
		assert_int_equal(e.page_count[1], 0);
		assert_int_equal(query(&e, at), E_NOENT);
		assert_int_equal(query(&e, at + len - 1), E_NOENT);
		rig_check(&e, true);
	} while (failed < 20);
	/* Tables that failures left behind serve the one that succeeds. */
	assert_in_range(failed, 1, 19);
	rig_expect_pages(&e, 8, 4, 0);
	rig_check(&e, true);
}

static void test_a_failed_map_leaves_room_for_large_pages(void **state)
{
	struct ept e;

	(void)state;
	rig_add_type(5 * GIB - PAGES(1), PAGES(1), MEMORY_UC);
	rig_new(&e, &rig_all_caps);
	rig_leave_frames(2);
	assert_int_equal(map(&e, 0, 4 * GIB, GIB, 7), E_NOMEM);
	rig_leave_frames(0);
	rig_check(&e, true);
	/* The table it needs is one that was given back. */
	assert_int_equal(map(&e, 0, 8 * GIB, GIB, 7), OK);
	rig_give_frames_back();
	rig_expect_pages(&e, 0, 0, 1);
}

static void test_out_of_memory_at_every_point_of_protect(void **state)
{
	(void)state;
	for (unsigned left = 0; left < 8; left++) {
		struct ept e;
		int rc;

		rig_new(&e, &rig_all_caps);
		assert_int_equal(map(&e, 0, 4 * GIB, 2 * GIB, 7), OK);
		rig_leave_frames(left);
		rc = ept_protect(&e, gpa(PAGES(1)), GIB, 1);
		rig_give_frames_back();
		rig_check(&e, false);
		/* A PD and a PT at each end; maybe a frame for the arena's own use. */
		assert_true(rc == (left < 4 ? E_NOMEM : OK) || (left == 4 && rc == E_NOMEM));
		for (uint64_t at = 0; at < 2 * GIB; at += 64 * MIB) {
			hpa_t addr;
			unsigned flags;

			assert_int_equal(ept_query(&e, gpa(at), &addr, &flags, NULL), OK);
			assert_int_equal(addr.v, 4 * GIB + at);
			assert_int_equal(flags, rc == OK && at > 0 && at <= GIB ? 1 : 7);
		}
		assert_int_equal(ept_protect(&e, gpa(PAGES(1)), GIB, 1), OK);
		expect_query(&e, GIB, 5 * GIB, 1, PAGES(1));
		arena_destroy(&rig_arena);
	}
}

static void test_mapping_asks_once_for_the_type_of_uniform_memory(void **state)
{
	struct ept e;

	(void)state;
	rig_new(&e, &rig_all_caps);
	type_calls = 0;
	assert_int_equal(map(&e, 0, GIB + 2 * MIB, 512 * MIB, 7), OK);
	assert_int_equal(type_calls, 1);
	rig_expect_pages(&e, 0, 256, 0);
}

/* A table whose address the CPU cannot form would be a misconfiguration. */
static void test_table_frames_beyond_the_cpus_addresses_are_not_used(void **state)
{
	struct ept_caps caps = rig_all_caps;
	struct ept e;

	(void)state;
	caps.phys_bits = 20; /* all RAM of this test is above */
	assert_int_equal(rig_init(&e, &caps), E_NOMEM);
}

#define t(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		t(test_eptp_says_write_back_4_levels_and_ad),
		t(test_caps_come_from_the_capability_msr),
		t(test_a_new_one_is_empty),
		t(test_pages_are_as_large_as_both_addresses_allow),
		t(test_every_alignment_gives_the_largest_pages),
		t(test_page_sizes_that_the_cpu_lacks_are_not_used),
		t(test_large_pages_have_one_memory_type),
		t(test_memory_types_are_those_of_the_host),
		t(test_entries_hold_what_the_manual_says),
		t(test_permissions_that_would_be_a_misconfiguration_are_refused),
		t(test_addresses_out_of_bounds_are_refused),
		t(test_all_physical_memory_can_be_mapped),
		t(test_mapping_over_what_is_mapped_changes_nothing),
		t(test_protecting_splits_only_the_ends),
		t(test_protecting_what_is_not_all_mapped_changes_nothing),
		t(test_a_page_without_permissions_stays_mapped),
		t(test_generation_rises_when_cached_translations_are_wrong),
		t(test_accessed_and_dirty_survive),
		t(test_walk_goes_page_by_page_until_told_to_stop),
		t(test_out_of_memory_at_init),
		t(test_out_of_memory_at_every_point_of_map),
		t(test_a_failed_map_leaves_room_for_large_pages),
		t(test_out_of_memory_at_every_point_of_protect),
		t(test_mapping_asks_once_for_the_type_of_uniform_memory),
		t(test_table_frames_beyond_the_cpus_addresses_are_not_used),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
