/*
 * The hypervisor's page tables.
 * needs: mm/hostmap.c mm/frames.c mm/frames_region.c tests/fake/panic.c tests/fake/spinlock.c
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <crvm/frames.h>
#include <crvm/hostmap.h>
#include <crvm/status.h>
#include "ram.h"
#include "spinlock.h"

#define MIB	 (1ul << 20)
#define GIB	 (1ul << 30)
#define PAGES(n) ((n)*PAGE_SIZE)
#define NX	 (1ul << 63)
#define ADDR	 0x000ffffffffff000ul

/* Bits of an entry, by the manual: P W PWT PCD A D PS G. */
enum { P = 1, W = 2, U = 4, PWT = 8, PCD = 16, A = 32, D = 64, PS = 128, G = 256, AVAIL = 0xe00 };

static int setup(void **state)
{
	(void)state;
	fake_ram_reset();
	memset(phys_to_virt(hpa(MIB)), 0xff,
	       8 * MIB); /* tables must be cleared by who makes them */
	frames_init();
	assert_int_equal(frames_add(MIB, 8 * MIB), OK);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	frames_audit();
	assert_int_equal(fake_spin_held(), 0);
	return 0;
}

/* A walk as the CPU does it; checks the entries above the leaf. 0 if not present. */
static uint64_t walk_leaf(const struct hostmap *m, uint64_t va, unsigned *level)
{
	uint64_t table = m->root.v;

	for (*level = 4;; (*level)--) {
		uint64_t *t = phys_to_virt(hpa(table));
		uint64_t e = t[va >> (12 + 9 * (*level - 1)) & 511];

		if (!(e & P))
			assert_int_equal(e, 0);
		if (!(e & P) || *level == 1 || (e & PS)) {
			assert_true(*level < 4 || !(e & P));
			return e;
		}
		assert_int_equal(e & ~(ADDR | A | D), P | W); /* permissive, no reserved bits */
		assert_int_equal(frames_owner(hpa(e & ADDR)), FRAME_HV);
		table = e & ADDR;
	}
}

static void assert_page(const struct hostmap *m, uint64_t va, uint64_t pa, unsigned flags,
			uint64_t size)
{
	uint64_t got_size = 0;
	unsigned got_flags = 0, level;
	hpa_t got_pa = hpa(0);

	walk_leaf(m, va, &level);
	assert_int_equal(hostmap_query(m, va, &got_pa, &got_flags, &got_size), OK);
	assert_int_equal(got_pa.v, pa);
	assert_int_equal(got_flags, flags);
	assert_int_equal(got_size, size);
	assert_int_equal(PAGE_SIZE << (9 * (level - 1)), size);
}

static void assert_hole(const struct hostmap *m, uint64_t va)
{
	unsigned level;

	assert_int_equal(hostmap_query(m, va, NULL, NULL, NULL), E_NOENT);
	assert_int_equal(walk_leaf(m, va, &level), 0);
}

static void new_map(struct hostmap *m, bool nx, bool big1g)
{
	memset(m, 0xff, sizeof(*m));
	assert_int_equal(hostmap_init(m, nx, big1g), OK);
}

static void map_ok(struct hostmap *m, uint64_t va, uint64_t pa, uint64_t len, unsigned flags)
{
	assert_int_equal(hostmap_map(m, va, hpa(pa), len, flags), OK);
}

static void map_clash(struct hostmap *m, uint64_t va, uint64_t pa, uint64_t len, unsigned flags)
{
	assert_int_equal(hostmap_map(m, va, hpa(pa), len, flags), E_EXIST);
}

static void test_a_new_map_is_empty(void **state)
{
	static const uint64_t va[] = {0, DIRECT_MAP_BASE, IMAGE_BASE, UINT64_MAX, 0x7ffffffff000};
	struct hostmap m;

	(void)state;
	new_map(&m, true, true);
	assert_int_equal(frames_count(FRAME_HV), 1);
	assert_int_equal(frames_owner(m.root), FRAME_HV);
	for (unsigned i = 0; i < array_count(va); i++)
		assert_hole(&m, va[i]);
	assert_int_equal(hostmap_query(&m, 0x800000000000, NULL, NULL, NULL), E_NOENT);
}

static void test_entries_have_the_right_bits(void **state)
{
	static const struct {
		unsigned flags;
		uint64_t bits;
	} c[] = {{MAP_R, NX},
		 {MAP_W, NX | W},
		 {MAP_X, 0},
		 {MAP_UC, NX | PCD | PWT},
		 {MAP_WC, NX | PWT},
		 {MAP_W | MAP_UC, NX | W | PCD | PWT},
		 {MAP_W | MAP_WC, NX | W | PWT},
		 {MAP_X | MAP_UC, PCD | PWT}};
	const uint64_t size[] = {0, PAGE_SIZE, 2 * MIB, GIB};
	struct hostmap m;

	(void)state;
	new_map(&m, true, true);
	for (unsigned i = 0; i < array_count(c); i++)
		for (unsigned level = 1; level <= 3; level++) {
			uint64_t low = (i * 3 + level) * 512 * GIB, va = DIRECT_MAP_BASE + low;
			uint64_t pa = (i + 1) * GIB;
			uint64_t bits = c[i].bits | P | A | D | (level > 1 ? PS : 0);
			unsigned l;

			map_ok(&m, va, pa, size[level], c[i].flags);
			assert_int_equal(walk_leaf(&m, va, &l), pa | bits | G);
			assert_int_equal(l, level);
			assert_page(&m, va + 123, pa + 123, c[i].flags, size[level]);
			/* Only the kernel's half is global. */
			map_ok(&m, low, pa, size[level], c[i].flags);
			assert_int_equal(walk_leaf(&m, low, &l), pa | bits);
		}
}

static void test_without_nx_the_bit_stays_clear(void **state)
{
	struct hostmap m;
	unsigned level;

	(void)state;
	new_map(&m, false, true);
	map_ok(&m, IMAGE_BASE, 0, PAGE_SIZE, MAP_X);
	map_ok(&m, IMAGE_BASE + PAGES(1), PAGES(1), PAGE_SIZE, MAP_W);
	map_ok(&m, IMAGE_BASE + PAGES(2), PAGES(2), PAGE_SIZE, MAP_R);
	assert_int_equal(walk_leaf(&m, IMAGE_BASE, &level) & ~(uint64_t)AVAIL, P | A | D | G);
	assert_int_equal(walk_leaf(&m, IMAGE_BASE + PAGES(1), &level),
			 PAGES(1) | P | W | A | D | G);
	/* What was asked for can still be told. */
	assert_page(&m, IMAGE_BASE, 0, MAP_X, PAGE_SIZE);
	assert_page(&m, IMAGE_BASE + PAGES(1), PAGES(1), MAP_W, PAGE_SIZE);
	assert_page(&m, IMAGE_BASE + PAGES(2), PAGES(2), MAP_R, PAGE_SIZE);
	map_clash(&m, IMAGE_BASE, 0, PAGE_SIZE, MAP_R);
	assert_int_equal(hostmap_protect(&m, IMAGE_BASE, PAGE_SIZE, MAP_W), OK);
	assert_page(&m, IMAGE_BASE, 0, MAP_W, PAGE_SIZE);
}

static void test_the_largest_pages_that_alignment_allows(void **state)
{
	const uint64_t va = DIRECT_MAP_BASE;
	struct hostmap m;

	(void)state;
	new_map(&m, true, true);
	map_ok(&m, va + GIB - 2 * MIB - PAGES(1), GIB - 2 * MIB - PAGES(1),
	       2 * GIB + 4 * MIB + PAGES(2), MAP_W);
	assert_hole(&m, va + GIB - 2 * MIB - PAGES(1) - 1);
	assert_page(&m, va + GIB - 2 * MIB - 1, GIB - 2 * MIB - 1, MAP_W, PAGE_SIZE);
	assert_page(&m, va + GIB - 1, GIB - 1, MAP_W, 2 * MIB);
	assert_page(&m, va + GIB, GIB, MAP_W, GIB);
	assert_page(&m, va + 3 * GIB - 1, 3 * GIB - 1, MAP_W, GIB);
	assert_page(&m, va + 3 * GIB, 3 * GIB, MAP_W, 2 * MIB);
	assert_page(&m, va + 3 * GIB + 2 * MIB, 3 * GIB + 2 * MIB, MAP_W, PAGE_SIZE);
	assert_hole(&m, va + 3 * GIB + 2 * MIB + PAGES(1));
	/* root; one table of 1 GiB entries; two of 2 MiB entries; two of 4 KiB entries */
	assert_int_equal(frames_count(FRAME_HV), 6);
}

static void test_alignment_of_both_addresses_counts(void **state)
{
	const uint64_t va = DIRECT_MAP_BASE + 512 * GIB;
	struct hostmap m;

	(void)state;
	new_map(&m, true, true);
	map_ok(&m, va, 2 * MIB, GIB, MAP_R);
	assert_page(&m, va, 2 * MIB, MAP_R, 2 * MIB);
	map_ok(&m, va + GIB, PAGES(1), 2 * MIB, MAP_R);
	assert_page(&m, va + GIB, PAGES(1), MAP_R, PAGE_SIZE);
	map_ok(&m, va + 2 * GIB, GIB, GIB - PAGE_SIZE, MAP_R);
	assert_page(&m, va + 2 * GIB, GIB, MAP_R, 2 * MIB);
	assert_page(&m, va + 3 * GIB - PAGES(2), 2 * GIB - PAGES(2), MAP_R, PAGE_SIZE);
}

static void test_no_1g_pages_where_the_cpu_has_none(void **state)
{
	struct hostmap m;

	(void)state;
	new_map(&m, true, false);
	map_ok(&m, DIRECT_MAP_BASE, 0, 2 * GIB, MAP_W);
	assert_page(&m, DIRECT_MAP_BASE + GIB + 5, GIB + 5, MAP_W, 2 * MIB);
	assert_int_equal(frames_count(FRAME_HV), 4);
}

static void test_bad_arguments(void **state)
{
	static const struct {
		uint64_t va, pa, len;
		unsigned flags;
	} bad[] = {
		{DIRECT_MAP_BASE, 0, PAGE_SIZE, MAP_W | MAP_X},
		{DIRECT_MAP_BASE, 0, PAGE_SIZE, MAP_W | MAP_X | MAP_UC},
		{DIRECT_MAP_BASE, 0, PAGE_SIZE, MAP_UC | MAP_WC},
		{DIRECT_MAP_BASE, 0, PAGE_SIZE, 16},
		{DIRECT_MAP_BASE, 0, PAGE_SIZE, ~0u},
		{DIRECT_MAP_BASE + 1, 0, PAGE_SIZE, MAP_R},
		{DIRECT_MAP_BASE + 2048, 0, PAGE_SIZE, MAP_R},
		{DIRECT_MAP_BASE, 8, PAGE_SIZE, MAP_R},
		{DIRECT_MAP_BASE, 0, PAGE_SIZE + 1, MAP_R},
		{DIRECT_MAP_BASE, 0, 1, MAP_R},
		{0x0000800000000000, 0, PAGE_SIZE, MAP_R},
		{0x00007ffffffff000, 0, 2 * PAGE_SIZE, MAP_R},
		{0xffff7ffffffff000, 0, PAGE_SIZE, MAP_R},
		{0xffff7ffffffff000, 0, 2 * PAGE_SIZE, MAP_R},
		{0, 0, 0xffff800000001000, MAP_R},	       /* from one half into the other */
		{0xfffffffffffff000, 0, 2 * PAGE_SIZE, MAP_R}, /* wraps */
		{DIRECT_MAP_BASE, 0, 0xfffffffffffff000, MAP_R},
		{0x1000, 0, 0xfffffffffffff000, MAP_R},
		{DIRECT_MAP_BASE, 1ul << 52, PAGE_SIZE, MAP_R},
		{DIRECT_MAP_BASE, (1ul << 52) - PAGE_SIZE, 2 * PAGE_SIZE, MAP_R},
		{DIRECT_MAP_BASE, 0xfffffffffffff000, PAGE_SIZE, MAP_R},
	};
	struct hostmap m;

	(void)state;
	new_map(&m, true, true);
	for (unsigned i = 0; i < array_count(bad); i++)
		if (hostmap_map(&m, bad[i].va, hpa(bad[i].pa), bad[i].len, bad[i].flags) != E_INVAL)
			fail_msg("case %u was accepted", i);
	assert_int_equal(frames_count(FRAME_HV), 1);
	for (unsigned i = 0; i < 18; i++) {
		if (i != 7 && hostmap_protect(&m, bad[i].va, bad[i].len, bad[i].flags) != E_INVAL)
			fail_msg("protect: case %u was accepted", i);
		if (i >= 8 && hostmap_unmap(&m, bad[i].va, bad[i].len) != E_INVAL)
			fail_msg("unmap: case %u was accepted", i);
	}
	map_ok(&m, DIRECT_MAP_BASE, 0, 0, MAP_R);
	assert_int_equal(hostmap_protect(&m, DIRECT_MAP_BASE, 0, MAP_R), OK);
	assert_int_equal(hostmap_unmap(&m, DIRECT_MAP_BASE, 0), OK);
	assert_int_equal(frames_count(FRAME_HV), 1);
	map_ok(&m, DIRECT_MAP_BASE, (1ul << 52) - PAGE_SIZE, PAGE_SIZE, MAP_R);
	assert_page(&m, DIRECT_MAP_BASE, (1ul << 52) - PAGE_SIZE, MAP_R, PAGE_SIZE);
}

struct runs {
	unsigned count, stop_after;
	struct {
		uint64_t va, pa, len;
		unsigned flags;
	} run[16];
};

static bool run_add(void *ctx, uint64_t va, hpa_t pa, uint64_t len, unsigned flags)
{
	struct runs *r = ctx;

	assert_true(r->count < array_count(r->run));
	r->run[r->count].va = va;
	r->run[r->count].pa = pa.v;
	r->run[r->count].len = len;
	r->run[r->count].flags = flags;
	return ++r->count != r->stop_after;
}

static void assert_run(const struct runs *r, unsigned i, uint64_t va, uint64_t pa, uint64_t len,
		       unsigned flags)
{
	assert_true(i < r->count);
	assert_int_equal(r->run[i].va, va);
	assert_int_equal(r->run[i].pa, pa);
	assert_int_equal(r->run[i].len, len);
	assert_int_equal(r->run[i].flags, flags);
}

static void test_the_address_space_ends_at_its_top(void **state)
{
	struct runs r = {0};
	struct hostmap m;

	(void)state;
	new_map(&m, true, true);
	/* The whole of the image's area, up to 2^64. */
	map_ok(&m, IMAGE_BASE, PAGES(1), 2 * GIB, MAP_X);
	assert_page(&m, UINT64_MAX, 2 * GIB + PAGES(1) - 1, MAP_X, PAGE_SIZE);
	assert_int_equal(hostmap_protect(&m, UINT64_MAX - GIB + 1, GIB, MAP_W), OK);
	hostmap_walk(&m, run_add, &r);
	assert_int_equal(r.count, 2);
	assert_run(&r, 0, IMAGE_BASE, PAGES(1), GIB, MAP_X);
	assert_run(&r, 1, IMAGE_BASE + GIB, GIB + PAGES(1), GIB, MAP_W);
	assert_int_equal(hostmap_unmap(&m, UINT64_MAX - 4095, 4096), OK);
	assert_hole(&m, UINT64_MAX);
	assert_page(&m, UINT64_MAX - 4096, 2 * GIB - 1, MAP_W, PAGE_SIZE);
	assert_int_equal(hostmap_unmap(&m, IMAGE_BASE, 2 * GIB), OK);
	map_ok(&m, 0x7fffffffe000, 0, 8192, MAP_R);
	assert_hole(&m, 0);
	assert_hole(&m, DIRECT_MAP_BASE);
	/* One 2 MiB page that must be split just below the top. */
	new_map(&m, true, true);
	map_ok(&m, UINT64_MAX - 2 * MIB + 1, 0, 2 * MIB, MAP_R);
	assert_page(&m, UINT64_MAX, 2 * MIB - 1, MAP_R, 2 * MIB);
	assert_int_equal(hostmap_protect(&m, UINT64_MAX - 8191, 8192, MAP_X), OK);
	assert_page(&m, UINT64_MAX, 2 * MIB - 1, MAP_X, PAGE_SIZE);
	assert_page(&m, UINT64_MAX - 8192, 2 * MIB - 8193, MAP_R, PAGE_SIZE);
}

static void test_the_same_again_is_left(void **state)
{
	const uint64_t va = DIRECT_MAP_BASE;
	struct hostmap m;
	uint64_t tables;

	(void)state;
	new_map(&m, true, true);
	map_ok(&m, va + PAGES(5), PAGES(5), PAGES(3), MAP_W);
	/* Around small pages, small pages fill the rest of the 2 MiB. */
	map_ok(&m, va, 0, 4 * MIB, MAP_W);
	assert_page(&m, va, 0, MAP_W, PAGE_SIZE);
	assert_page(&m, va + 2 * MIB - 1, 2 * MIB - 1, MAP_W, PAGE_SIZE);
	assert_page(&m, va + 2 * MIB, 2 * MIB, MAP_W, 2 * MIB);
	/* A piece of a large page. */
	tables = frames_count(FRAME_HV);
	map_ok(&m, va + 3 * MIB, 3 * MIB, PAGES(7), MAP_W);
	map_ok(&m, va + MIB, MIB, 3 * MIB, MAP_W);
	assert_page(&m, va + 3 * MIB, 3 * MIB, MAP_W, 2 * MIB);
	assert_int_equal(frames_count(FRAME_HV), tables);
	map_ok(&m, va + 3 * MIB, 3 * MIB, 2 * MIB, MAP_W);
	assert_page(&m, va + 5 * MIB - 1, 5 * MIB - 1, MAP_W, PAGE_SIZE);
	assert_hole(&m, va + 5 * MIB);
}

static void test_other_overlaps_are_refused(void **state)
{
	const uint64_t va = DIRECT_MAP_BASE;
	struct hostmap m;

	(void)state;
	new_map(&m, true, true);
	map_ok(&m, va + 4 * MIB, 4 * MIB, 2 * MIB, MAP_W);
	map_ok(&m, va + GIB, GIB, GIB, MAP_W);
	/* Other flags, other address, inside large pages too; also an address that would "wrap". */
	map_clash(&m, va + 4 * MIB, 4 * MIB, 2 * MIB, MAP_R);
	map_clash(&m, va + 5 * MIB, 5 * MIB, PAGE_SIZE, MAP_W | MAP_UC);
	map_clash(&m, va + 5 * MIB, 4 * MIB, PAGE_SIZE, MAP_W);
	map_clash(&m, va + 4 * MIB + PAGES(1), 0, PAGE_SIZE, MAP_W);
	map_clash(&m, va + GIB + 2 * MIB, GIB + 4 * MIB, 2 * MIB, MAP_W);
	map_clash(&m, va + 2 * GIB - PAGES(1), 0, PAGE_SIZE, MAP_W);
	assert_page(&m, va + 4 * MIB, 4 * MIB, MAP_W, 2 * MIB);
	/* What comes before the overlap is mapped, what comes after is not. */
	map_clash(&m, va + 3 * MIB, 3 * MIB, 4 * MIB, MAP_R);
	assert_page(&m, va + 4 * MIB - 1, 4 * MIB - 1, MAP_R, PAGE_SIZE);
	assert_page(&m, va + 4 * MIB, 4 * MIB, MAP_W, 2 * MIB);
	assert_hole(&m, va + 6 * MIB);
}

static void test_protect_splits_and_keeps_the_rest(void **state)
{
	const uint64_t va = DIRECT_MAP_BASE + GIB;
	const unsigned wc = MAP_W | MAP_WC;
	struct hostmap m;
	unsigned level;

	(void)state;
	new_map(&m, true, true);
	map_ok(&m, va, GIB, GIB, wc);
	assert_int_equal(hostmap_protect(&m, va + 2 * MIB - PAGES(1), 4 * MIB + PAGES(2), MAP_X),
			 OK);
	assert_page(&m, va, GIB, wc, PAGE_SIZE);
	assert_page(&m, va + 2 * MIB - PAGES(1) - 1, GIB + 2 * MIB - PAGES(1) - 1, wc, PAGE_SIZE);
	assert_page(&m, va + 2 * MIB - 1, GIB + 2 * MIB - 1, MAP_X, PAGE_SIZE);
	assert_page(&m, va + 2 * MIB, GIB + 2 * MIB, MAP_X, 2 * MIB);
	assert_page(&m, va + 6 * MIB - 1, GIB + 6 * MIB - 1, MAP_X, 2 * MIB);
	assert_page(&m, va + 6 * MIB, GIB + 6 * MIB, MAP_X, PAGE_SIZE);
	assert_page(&m, va + 6 * MIB + PAGES(1), GIB + 6 * MIB + PAGES(1), wc, PAGE_SIZE);
	assert_page(&m, va + 8 * MIB, GIB + 8 * MIB, wc, 2 * MIB);
	assert_page(&m, va + GIB - 1, 2 * GIB - 1, wc, 2 * MIB);
	/* In a small page bit 7 would choose another memory type. */
	assert_int_equal(walk_leaf(&m, va, &level), GIB | P | W | PWT | A | D | G | NX);
	/* Whole pages need no split. */
	assert_int_equal(hostmap_protect(&m, va + 8 * MIB, 2 * MIB, MAP_R), OK);
	assert_page(&m, va + 8 * MIB, GIB + 8 * MIB, MAP_R, 2 * MIB);
	assert_int_equal(walk_leaf(&m, va + 8 * MIB, &level),
			 (GIB + 8 * MIB) | P | A | D | PS | G | NX);
}

static void test_protect_changes_nothing_if_a_page_is_missing(void **state)
{
	const uint64_t va = DIRECT_MAP_BASE;
	struct hostmap m;
	uint64_t tables;

	(void)state;
	new_map(&m, true, true);
	map_ok(&m, va, 0, 4 * MIB, MAP_W);
	map_ok(&m, va + 4 * MIB + PAGES(1), 0, PAGE_SIZE, MAP_W);
	tables = frames_count(FRAME_HV);
	assert_int_equal(hostmap_protect(&m, va + MIB, 3 * MIB + PAGES(2), MAP_R), E_NOENT);
	assert_int_equal(hostmap_protect(&m, va + GIB, PAGE_SIZE, MAP_R), E_NOENT);
	assert_int_equal(frames_count(FRAME_HV), tables);
	assert_page(&m, va + MIB, MIB, MAP_W, 2 * MIB);
	assert_page(&m, va + 2 * MIB, 2 * MIB, MAP_W, 2 * MIB);
}

static void test_unmap_splits_and_skips_holes(void **state)
{
	const uint64_t va = DIRECT_MAP_BASE;
	struct hostmap m;

	(void)state;
	new_map(&m, true, true);
	map_ok(&m, va, 0, 4 * MIB, MAP_W);
	map_ok(&m, va + 2 * GIB, 2 * GIB, GIB, MAP_W);
	assert_int_equal(hostmap_unmap(&m, va + 3 * MIB, 2 * GIB - 3 * MIB + PAGES(3)), OK);
	assert_page(&m, va + MIB, MIB, MAP_W, 2 * MIB);
	assert_page(&m, va + 3 * MIB - 1, 3 * MIB - 1, MAP_W, PAGE_SIZE);
	assert_hole(&m, va + 3 * MIB);
	assert_hole(&m, va + GIB);
	assert_hole(&m, va + 2 * GIB + PAGES(3) - 1);
	assert_page(&m, va + 2 * GIB + PAGES(3), 2 * GIB + PAGES(3), MAP_W, PAGE_SIZE);
	assert_page(&m, va + 2 * GIB + 2 * MIB, 2 * GIB + 2 * MIB, MAP_W, 2 * MIB);
	/* All of the upper half, and again where nothing is left; then it can be mapped anew. */
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(hostmap_unmap(&m, va, -va), OK);
	assert_hole(&m, va);
	assert_hole(&m, va + 3 * GIB - 1);
	map_ok(&m, va, 8 * MIB, PAGES(2), MAP_X);
	assert_page(&m, va + PAGES(1), 8 * MIB + PAGES(1), MAP_X, PAGE_SIZE);
}

static void test_walk_joins_what_touches(void **state)
{
	const uint64_t va = DIRECT_MAP_BASE;
	struct hostmap m;
	struct runs r = {0};

	(void)state;
	new_map(&m, true, true);
	hostmap_walk(&m, run_add, &r);
	assert_int_equal(r.count, 0);

	map_ok(&m, va + 2 * MIB - PAGES(1), 2 * MIB - PAGES(1), 2 * GIB + PAGES(1), MAP_W);
	/* Touches, but other flags; touches, but the physical side does not; and not at all. */
	map_ok(&m, va + 2 * GIB + 2 * MIB, 2 * GIB + 2 * MIB, PAGES(1), MAP_R);
	map_ok(&m, va + 2 * GIB + 2 * MIB + PAGES(1), PAGES(9), PAGES(1), MAP_R);
	map_ok(&m, va + 2 * GIB + 2 * MIB + PAGES(3), PAGES(11), PAGES(1), MAP_R);
	/* The end of one half does not touch the start of the other. */
	map_ok(&m, 0x7ffffffff000, PAGES(1), PAGES(1), MAP_W);
	map_ok(&m, va, PAGES(2), PAGES(1), MAP_W);
	map_ok(&m, UINT64_MAX - 4095, 0, PAGES(1), MAP_W);
	map_ok(&m, 0, PAGES(1), PAGES(1), MAP_W);
	hostmap_walk(&m, run_add, &r);
	assert_int_equal(r.count, 8);
	assert_run(&r, 0, 0, PAGES(1), PAGES(1), MAP_W);
	assert_run(&r, 1, 0x7ffffffff000, PAGES(1), PAGES(1), MAP_W);
	assert_run(&r, 2, va, PAGES(2), PAGES(1), MAP_W);
	assert_run(&r, 3, va + 2 * MIB - PAGES(1), 2 * MIB - PAGES(1), 2 * GIB + PAGES(1), MAP_W);
	assert_run(&r, 4, va + 2 * GIB + 2 * MIB, 2 * GIB + 2 * MIB, PAGES(1), MAP_R);
	assert_run(&r, 5, va + 2 * GIB + 2 * MIB + PAGES(1), PAGES(9), PAGES(1), MAP_R);
	assert_run(&r, 6, va + 2 * GIB + 2 * MIB + PAGES(3), PAGES(11), PAGES(1), MAP_R);
	assert_run(&r, 7, UINT64_MAX - 4095, 0, PAGES(1), MAP_W);
	/* It ends when it is told to. */
	for (unsigned n = 1; n <= 8; n++) {
		r = (struct runs){.stop_after = n};
		hostmap_walk(&m, run_add, &r);
		assert_int_equal(r.count, n);
	}
}

/* Leaves `count` free frames. */
static void leave_free(uint64_t count)
{
	static hpa_t frame[8 * MIB / PAGE_SIZE];
	unsigned n = 0;

	while (frames_alloc(0, FRAME_MODULE, &frame[n]) == OK)
		n++;
	while (count-- > 0)
		frames_free(frame[--n], 0);
}

static void test_out_of_memory_while_mapping(void **state)
{
	const uint64_t va = DIRECT_MAP_BASE + GIB - PAGES(1), len = GIB + PAGES(2);

	(void)state;
	leave_free(0);
	assert_int_equal(hostmap_init(&(struct hostmap){0}, true, true), E_NOMEM);
	/* Needs a root, and tables of level 3, 2 and 1, 2 and 1: fails with one to five of them. */
	for (uint64_t n = 1; n <= 6; n++) {
		struct hostmap m;

		frames_init();
		assert_int_equal(frames_add(MIB, 8 * MIB), OK);
		leave_free(n);
		new_map(&m, true, true);
		assert_int_equal(hostmap_map(&m, va, hpa(GIB - PAGES(1)), len, MAP_W),
				 n < 6 ? E_NOMEM : OK);
		for (uint64_t o = 0; o < len; o += o == PAGES(1) ? GIB : PAGES(1))
			if (o < (n < 4 ? 0 : n < 6 ? PAGES(1) + GIB : len))
				assert_page(&m, va + o, GIB - PAGES(1) + o, MAP_W,
					    o == PAGES(1) ? GIB : PAGE_SIZE);
			else
				assert_hole(&m, va + o);
		/* With memory again, the same call goes on where it stopped. */
		assert_int_equal(frames_add(16 * MIB, MIB), OK);
		map_ok(&m, va, GIB - PAGES(1), len, MAP_W);
		assert_page(&m, va + len - 1, 2 * GIB + PAGES(1) - 1, MAP_W, PAGE_SIZE);
	}
}

static void test_out_of_memory_while_splitting_changes_no_page(void **state)
{
	const uint64_t va = DIRECT_MAP_BASE;

	(void)state;
	/* Both ends lie inside one 1 GiB page: tables of level 2, 1 and 1. */
	for (uint64_t n = 0; n <= 3; n++)
		for (unsigned unmap = 0; unmap < 2; unmap++) {
			struct runs r = {0};
			struct hostmap m;
			int rc;

			frames_init();
			assert_int_equal(frames_add(MIB, 8 * MIB), OK);
			leave_free(n + 2);
			new_map(&m, true, true);
			map_ok(&m, va, 0, GIB, MAP_W);
			if (unmap)
				rc = hostmap_unmap(&m, va + MIB, 8 * MIB);
			else
				rc = hostmap_protect(&m, va + MIB, 8 * MIB, MAP_X);
			assert_int_equal(rc, n < 3 ? E_NOMEM : OK);
			hostmap_walk(&m, run_add, &r);
			if (n < 3) {
				assert_int_equal(r.count, 1);
				assert_run(&r, 0, va, 0, GIB, MAP_W);
			} else {
				assert_int_equal(r.count, unmap ? 2 : 3);
				assert_run(&r, 0, va, 0, MIB, MAP_W);
				assert_run(&r, unmap ? 1 : 2, va + 9 * MIB, 9 * MIB, GIB - 9 * MIB,
					   MAP_W);
			}
		}
}

#define t(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		t(test_a_new_map_is_empty),
		t(test_entries_have_the_right_bits),
		t(test_without_nx_the_bit_stays_clear),
		t(test_the_largest_pages_that_alignment_allows),
		t(test_alignment_of_both_addresses_counts),
		t(test_no_1g_pages_where_the_cpu_has_none),
		t(test_bad_arguments),
		t(test_the_address_space_ends_at_its_top),
		t(test_the_same_again_is_left),
		t(test_other_overlaps_are_refused),
		t(test_protect_splits_and_keeps_the_rest),
		t(test_protect_changes_nothing_if_a_page_is_missing),
		t(test_unmap_splits_and_skips_holes),
		t(test_walk_joins_what_touches),
		t(test_out_of_memory_while_mapping),
		t(test_out_of_memory_while_splitting_changes_no_page),
	};

	if (direct_map_base != DIRECT_MAP_BASE) /* before a test moves it */
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
