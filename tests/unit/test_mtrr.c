/*
 * MTRRs of machines as they are, and of machines as nobody would build them.
 * needs: arch/x86_64/mtrr.c
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <crvm/addr.h>
#include <crvm/mtrr.h>
#include <crvm/status.h>

#define KIB 1024ul
#define MIB (KIB * KIB)
#define GIB (KIB * MIB)
#define V   0x800ul /* a mask's valid bit */

#define UC    MEMORY_UC
#define WC    MEMORY_WC
#define WT    MEMORY_WT
#define WP    MEMORY_WP
#define WB    MEMORY_WB
#define MIXED MTRR_MIXED

struct machine {
	uint32_t max_leaf, edx1;
	uint64_t cap, def_type;
	uint64_t fixed[11];
	uint64_t var[80]; /* base, mask, base, mask... */
	uint32_t fault_msr;
	unsigned reads;
};

static struct cpuid_regs machine_cpuid(void *ctx, uint32_t leaf, uint32_t subleaf)
{
	struct machine *m = ctx;
	struct cpuid_regs r = {0};

	(void)subleaf;
	assert_true(leaf <= m->max_leaf);
	if (leaf == 0)
		r.eax = m->max_leaf;
	if (leaf == 1)
		r.edx = m->edx1;
	return r;
}

/* A register that does not exist fails the test. */
static int machine_rdmsr(void *ctx, uint32_t msr, uint64_t *v)
{
	static const uint32_t fixed[11] = {0x250, 0x258, 0x259, 0x268, 0x269, 0x26a,
					   0x26b, 0x26c, 0x26d, 0x26e, 0x26f};
	struct machine *m = ctx;

	m->reads++;
	assert_true(m->edx1 & 1u << 12);
	if (msr == m->fault_msr)
		return E_FAULT;
	if (msr == 0xfe) {
		*v = m->cap;
		return 0;
	}
	if (msr == 0x2ff) {
		*v = m->def_type;
		return 0;
	}
	if (msr >= 0x200 && msr < 0x200 + 2 * (m->cap & 0xff) && msr < 0x250) {
		*v = m->var[msr - 0x200];
		return 0;
	}
	for (unsigned i = 0; i < 11 && (m->cap & 0x100); i++)
		if (msr == fixed[i]) {
			*v = m->fixed[i];
			return 0;
		}
	fail_msg("MSR %x does not exist, and was read", msr);
	return E_FAULT;
}

static int machine_wrmsr(void *ctx, uint32_t msr, uint64_t v)
{
	(void)ctx, (void)v;
	fail_msg("MSR %x was written", msr);
	return E_FAULT;
}

static int read_machine(struct machine *m, struct mtrr *out, unsigned phys_bits)
{
	const struct cpu_ops ops = {machine_cpuid, machine_rdmsr, machine_wrmsr, m};

	memset(out, 0xa5, sizeof(*out));
	return mtrr_read(out, &ops, phys_bits);
}

static struct mtrr mtrr_of(struct machine *m, unsigned phys_bits)
{
	struct mtrr out;

	assert_int_equal(read_machine(m, &out, phys_bits), OK);
	return out;
}

#define LOW_PC                                                                                     \
	{                                                                                          \
		0x0606060606060606, 0x0606060606060606, 0, 0x0505050505050505, 0x0505050505050505, \
			0, 0, 0, 0, 0x0505050505050505, 0x0505050505050505                         \
	}

/* A desktop PC with 8 GiB: default UC, all RAM by ranges, and a hole carved out of them. */
static const struct machine desktop = {
	.max_leaf = 22,
	.edx1 = 0xbfebfbff,
	.cap = 0xd0a,
	.def_type = 0xc00,
	.fixed = LOW_PC,
	.var = {6, 0x7e00000000 | V,		   /* 0 - 8 GiB */
		0x200000000 | 6, 0x7fe0000000 | V, /* 8 - 8.5 GiB */
		0xe0000000, 0x7fe0000000 | V,	   /* 3.5 - 4 GiB: UC */
		0xd0000000, 0x7ff0000000 | V,	   /* 3.25 - 3.5 GiB: UC */
		0xcf800000, 0x7fff800000 | V,	   /* the 8 MiB below: graphics memory, UC */
		0x220000000, 0x7fe0000000, 0, 0},  /* not valid */
};

/* A virtual PC: default WB, the hole below 4 GiB as one UC range. */
static const struct machine virtual_pc = {
	.max_leaf = 13,
	.edx1 = 1u << 12,
	.cap = 0x508,
	.def_type = 0xc06,
	.fixed = {0x0606060606060606, 0x0606060606060606, 0, 0x0505050505050505, 0x0505050505050505,
		  0x0505050505050505, 0x0505050505050505, 0x0505050505050505, 0x0505050505050505,
		  0x0505050505050505, 0x0505050505050505},
	.var = {0xc0000000, 0xffc0000000 | V},
};

static void test_a_desktop_pc(void **state)
{
	struct machine pc = desktop;
	struct mtrr m = mtrr_of(&pc, 39);

	(void)state;
	assert_int_equal(m.variable_count, 5);
	assert_int_equal(mtrr_type(&m, MIB, 15 * MIB), WB);
	assert_int_equal(mtrr_type(&m, 16 * MIB, 3 * GIB), WB);
	assert_int_equal(mtrr_type(&m, GIB, 2 * GIB), WB);
	assert_int_equal(mtrr_type(&m, 3 * GIB, GIB), MIXED);
	assert_int_equal(mtrr_type(&m, 0xcf600000, 2 * MIB), WB);
	assert_int_equal(mtrr_type(&m, 0xcf800000 - 4 * KIB, 4 * KIB), WB);
	assert_int_equal(mtrr_type(&m, 0xcf800000, 0x30800000), UC); /* three ranges, one type */
	assert_int_equal(mtrr_type(&m, 0xcf7ff000, 8 * KIB), MIXED);
	assert_int_equal(mtrr_type(&m, 0xfee00000, 4 * KIB), UC);
	assert_int_equal(mtrr_type(&m, 4 * GIB, 4 * GIB), WB);
	assert_int_equal(mtrr_type(&m, 4 * GIB, 4 * GIB + 512 * MIB),
			 WB); /* two ranges, one type */
	assert_int_equal(mtrr_type(&m, 4 * GIB, 4 * GIB + 513 * MIB), MIXED);
	assert_int_equal(mtrr_type(&m, 9 * GIB, 100 * GIB), UC);
	assert_int_equal(mtrr_type(&m, 9 * GIB, 1000 * GIB), UC); /* beyond MAXPHYADDR too */
}

static void test_the_first_mib_of_a_pc(void **state)
{
	struct machine pc = desktop;
	struct mtrr m = mtrr_of(&pc, 39);

	(void)state;
	assert_int_equal(mtrr_type(&m, 0, 640 * KIB), WB);
	assert_int_equal(mtrr_type(&m, 0, 641 * KIB), MIXED);
	assert_int_equal(mtrr_type(&m, 0xa0000, 128 * KIB), UC);
	assert_int_equal(mtrr_type(&m, 0xc0000, 64 * KIB), WP);
	assert_int_equal(mtrr_type(&m, 0xd0000, 128 * KIB), UC);
	assert_int_equal(mtrr_type(&m, 0xcf000, 4 * KIB), WP);
	assert_int_equal(mtrr_type(&m, 0xd0000, 4 * KIB), UC);
	assert_int_equal(mtrr_type(&m, 0xf0000, 64 * KIB), WP);
	assert_int_equal(mtrr_type(&m, 0xff000, 8 * KIB), MIXED);
	assert_int_equal(mtrr_type(&m, 0, 2 * MIB), MIXED);
	assert_int_equal(mtrr_type(&m, 2 * MIB, 2 * MIB), WB);
}

static void test_a_virtual_pc(void **state)
{
	struct machine pc = virtual_pc;
	struct mtrr m = mtrr_of(&pc, 40);

	(void)state;
	assert_int_equal(m.variable_count, 1);
	assert_int_equal(mtrr_type(&m, MIB, 3 * GIB - MIB), WB);
	assert_int_equal(mtrr_type(&m, 3 * GIB, GIB), UC);
	assert_int_equal(mtrr_type(&m, 4 * GIB, 1020 * GIB), WB);
	assert_int_equal(mtrr_type(&m, 2 * GIB, 2 * GIB), MIXED);
}

/* Each of the 88 fixed ranges, with borders where the manual's table puts them. */
static void test_each_fixed_range_has_its_place(void **state)
{
	struct machine pc = virtual_pc;
	uint64_t at = 0;

	(void)state;
	for (unsigned i = 0; i < 88; i++) {
		uint64_t size = i < 8 ? 64 * KIB : i < 24 ? 16 * KIB : 4 * KIB;
		struct mtrr m;

		memset(pc.fixed, 6, sizeof(pc.fixed));
		pc.fixed[i / 8] ^= (6ull ^ 1) << 8 * (i % 8);
		m = mtrr_of(&pc, 40);
		assert_int_equal(mtrr_type(&m, at, size), WC);
		assert_int_equal(mtrr_type(&m, at, 1), WC);
		assert_int_equal(mtrr_type(&m, at + size - 1, 1), WC);
		assert_int_equal(mtrr_type(&m, at + size - 1, 2), MIXED);
		if (at > 0) {
			assert_int_equal(mtrr_type(&m, 0, at), WB);
			assert_int_equal(mtrr_type(&m, at - 1, 2), MIXED);
		}
		assert_int_equal(mtrr_type(&m, at + size, 2 * MIB - at - size), WB);
		at += size;
	}
	assert_int_equal(at, MIB);
}

static void test_fixed_ranges_count_only_if_enabled_and_there(void **state)
{
	struct machine pc = virtual_pc;
	struct mtrr m;

	(void)state;
	pc.def_type = 0x806;
	m = mtrr_of(&pc, 40);
	assert_int_equal(mtrr_type(&m, 0, MIB), WB);
	/* No fixed ranges: they are not read (the fake sees to it), whatever FE says. */
	pc.def_type = 0xc06;
	pc.cap &= ~0x100ul;
	m = mtrr_of(&pc, 40);
	assert_int_equal(mtrr_type(&m, 0, MIB), WB);
	/* Then variable ranges hold there too. */
	pc.var[2] = 0xa0000;
	pc.var[3] = 0xfffffe0000 | V;
	m = mtrr_of(&pc, 40);
	assert_int_equal(mtrr_type(&m, 0xa0000, 128 * KIB), UC);
	assert_int_equal(mtrr_type(&m, 0xc0000, 256 * KIB), WB);
	/* With them, they win over variable ranges. */
	pc = virtual_pc;
	pc.var[0] = 1;
	pc.var[1] = V;
	m = mtrr_of(&pc, 40);
	assert_int_equal(mtrr_type(&m, 0, 640 * KIB), WB);
	assert_int_equal(mtrr_type(&m, MIB, GIB), WC);
}

static void test_disabled_means_uncacheable(void **state)
{
	struct machine pc = virtual_pc;
	struct mtrr m;

	(void)state;
	pc.def_type = 0x406;
	m = mtrr_of(&pc, 40);
	assert_int_equal(mtrr_type(&m, 0, 4 * KIB), UC);
	assert_int_equal(mtrr_type(&m, 0, 1024 * GIB), UC);
	assert_int_equal(mtrr_type(&m, 5 * GIB, GIB), UC);
}

static void test_absent_means_write_back_and_reads_nothing(void **state)
{
	struct machine pc = virtual_pc;
	struct mtrr m;

	(void)state;
	pc.edx1 = ~(1u << 12);
	m = mtrr_of(&pc, 36);
	assert_int_equal(pc.reads, 0);
	assert_int_equal(mtrr_type(&m, 0, 64 * GIB), WB);
	assert_int_equal(mtrr_type(&m, 64 * GIB - 4 * KIB, 8 * KIB), MIXED);
	assert_int_equal(mtrr_type(&m, 64 * GIB, 4 * KIB), UC);
	pc.max_leaf = 0;
	m = mtrr_of(&pc, 36);
	assert_int_equal(mtrr_type(&m, GIB, GIB), WB);
}

static void test_overlaps(void **state)
{
	static const uint8_t type[] = {UC, WC, WT, WP, WB};
	struct machine pc = virtual_pc;

	(void)state;
	for (unsigned a = 0; a < 5; a++)
		for (unsigned b = 0; b < 5; b++) {
			bool wt_wb = (type[a] == WT && type[b] == WB) ||
				     (type[a] == WB && type[b] == WT);
			uint8_t want = a == b ? type[a] : wt_wb ? WT : UC;
			struct mtrr m;

			pc.var[0] = GIB | type[a];
			pc.var[1] = 0xffc0000000 | V;
			pc.var[2] = GIB | 512 * MIB | type[b];
			pc.var[3] = 0xffe0000000 | V;
			m = mtrr_of(&pc, 40);
			assert_int_equal(mtrr_type(&m, GIB, 512 * MIB), type[a]);
			assert_int_equal(mtrr_type(&m, GIB + 512 * MIB, 512 * MIB), want);
			assert_int_equal(mtrr_type(&m, GIB, GIB), want == type[a] ? want : MIXED);
			/* A third one, uncacheable, wins over both. */
			pc.var[4] = 0;
			pc.var[5] = V;
			m = mtrr_of(&pc, 40);
			assert_int_equal(mtrr_type(&m, MIB, 100 * GIB), UC);
			pc.var[4] = WT;
			m = mtrr_of(&pc, 40);
			assert_int_equal(mtrr_type(&m, GIB + 512 * MIB, MIB),
					 (type[a] == WT || type[a] == WB) &&
							 (type[b] == WT || type[b] == WB)
						 ? WT
						 : UC);
			pc.var[5] = 0;
		}
}

static void test_every_register_that_faults_makes_all_uncacheable(void **state)
{
	static const uint32_t msr[] = {0xfe,  0x2ff, 0x250, 0x258, 0x259, 0x268,
				       0x26f, 0x200, 0x201, 0x20e, 0x20f};

	(void)state;
	for (unsigned i = 0; i < array_count(msr); i++) {
		struct machine pc = virtual_pc;
		struct mtrr m;

		pc.fault_msr = msr[i];
		assert_int_equal(read_machine(&pc, &m, 40), E_IO);
		assert_int_equal(mtrr_type(&m, 0, 1024 * GIB), UC);
	}
}

static void test_types_that_do_not_exist_are_uncacheable(void **state)
{
	(void)state;
	for (unsigned type = 0; type < 256; type++) {
		bool good = type == 1 || (type >= 4 && type <= 6);
		struct machine pc = virtual_pc;
		struct mtrr m;

		pc.var[0] = GIB | type;
		pc.fixed[0] = type;
		pc.def_type = 0xc00 | type;
		m = mtrr_of(&pc, 40);
		assert_int_equal(mtrr_type(&m, GIB, MIB), good ? type : UC);
		assert_int_equal(mtrr_type(&m, 0, 4 * KIB), good ? type : UC);
		assert_int_equal(mtrr_type(&m, 8 * GIB, MIB), good ? type : UC);
	}
}

static void test_counts_that_do_not_exist_are_cut(void **state)
{
	struct machine pc = virtual_pc;
	struct mtrr m;

	(void)state;
	pc.cap |= 0xff; /* registers from 250h on are others: the fake answers those rightly */
	for (unsigned i = 0; i < 40; i++) {
		pc.var[2 * i] = (i + 1) * GIB | WC;
		pc.var[2 * i + 1] = 0xffc0000000 | V;
	}
	m = mtrr_of(&pc, 40);
	assert_int_equal(m.variable_count, 40);
	assert_int_equal(mtrr_type(&m, GIB, 40 * GIB), WC);
	assert_int_equal(mtrr_type(&m, 41 * GIB, GIB), WB);
	pc.cap &= ~0xfful; /* none at all */
	m = mtrr_of(&pc, 40);
	assert_int_equal(mtrr_type(&m, MIB, 50 * GIB), WB);
}

/* Bits beyond MAXPHYADDR do not count, in bases, masks and questions. */
static void test_maxphyaddr(void **state)
{
	struct machine pc = virtual_pc;
	struct mtrr m;

	(void)state;
	pc.var[0] = 0xabc0000000000000 | 3 * GIB;
	pc.var[1] = ~0xffful << 18 | V; /* all ones above 30 */
	m = mtrr_of(&pc, 36);
	assert_int_equal(mtrr_type(&m, 3 * GIB, GIB), UC);
	assert_int_equal(mtrr_type(&m, 4 * GIB, 60 * GIB), WB);
	assert_int_equal(mtrr_type(&m, 63 * GIB, 2 * GIB), MIXED);
	assert_int_equal(mtrr_type(&m, 64 * GIB, GIB), UC);
	assert_int_equal(mtrr_type(&m, UINT64_MAX, 1), UC);
	assert_int_equal(mtrr_type(&m, UINT64_MAX, 2), UC);
	assert_int_equal(mtrr_type(&m, GIB, UINT64_MAX), UC);
	assert_int_equal(mtrr_type(&m, GIB, UINT64_MAX - GIB + 1), MIXED);
	assert_int_equal(mtrr_type(&m, 3 * GIB, 0), UC);
	assert_int_equal(mtrr_type(&m, 4 * GIB, 0), WB);
	/* Widths that no CPU has. */
	m = mtrr_of(&pc, 0);
	assert_int_equal(m.limit, 1ull << 32);
	m = mtrr_of(&pc, 64);
	assert_int_equal(m.limit, 1ull << 52);
}

/* Firmware that believed in 36 bits on a CPU with 39: the range is there eight times. */
static void test_a_mask_that_is_too_short_repeats_the_range(void **state)
{
	struct machine pc = virtual_pc;
	struct mtrr m;

	(void)state;
	pc.var[1] = 0xfc0000000 | V;
	m = mtrr_of(&pc, 39);
	for (unsigned i = 0; i < 8; i++) {
		assert_int_equal(mtrr_type(&m, (64 * i + 3) * GIB, GIB), UC);
		assert_int_equal(mtrr_type(&m, (64 * i + 4) * GIB, 60 * GIB), WB);
	}
	assert_int_equal(mtrr_type(&m, 0, 512 * GIB), MIXED);
}

static void test_a_mask_with_holes_in_the_worst_case_is_mixed_not_slow(void **state)
{
	struct machine pc = virtual_pc;
	struct mtrr m;

	(void)state;
	pc.var[0] = 0x1000 | WB; /* every second page is WB by a range, the others by default */
	pc.var[1] = 0x1000 | V;
	m = mtrr_of(&pc, 40);
	assert_int_equal(mtrr_type(&m, MIB, 4 * KIB), WB);
	assert_int_equal(mtrr_type(&m, 2 * MIB, 2 * MIB), WB);
	assert_int_equal(mtrr_type(&m, GIB, 1000 * GIB), MIXED);
}

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* One page at a time, in the words of the manual. */
static uint8_t slow_type(const struct machine *pc, uint64_t addr)
{
	const uint64_t bits = (1ull << 36) - PAGE_SIZE;
	unsigned hits = 0, of_type[8] = {0};

	for (unsigned i = 0; i < (pc->cap & 0xff); i++) {
		uint64_t base = pc->var[2 * i], mask = pc->var[2 * i + 1];

		if (!(mask & V) || (addr & mask & bits) != (base & mask & bits))
			continue;
		hits++;
		of_type[base & 7]++;
	}
	if (hits == 0)
		return pc->def_type & 0xff;
	if (of_type[UC] > 0)
		return UC;
	for (uint8_t type = 0; type < 8; type++)
		if (of_type[type] == hits)
			return type;
	return of_type[WT] + of_type[WB] == hits ? WT : UC;
}

static void test_random_ranges_agree_with_a_slow_model(void **state)
{
	static const uint8_t types[] = {UC, WC, WT, WP, WB, WB, WB, WT};
	uint64_t seed = 0x9e3779b97f4a7c15;

	(void)state;
	for (unsigned round = 0; round < 4000; round++) {
		struct machine pc = virtual_pc;
		uint64_t base, len;
		uint8_t want;
		struct mtrr m;

		pc.def_type = 0x800 | types[next_random(&seed) % 8];
		pc.cap = next_random(&seed) % 5;
		for (unsigned i = 0; i < 4; i++) {
			uint64_t r = next_random(&seed);
			uint64_t mask = -(PAGE_SIZE << (r >> 8 & 7));

			if ((r >> 12 & 3) == 0) /* holes, low enough to be met */
				mask &= r >> 16 | ~0xfffful;
			pc.var[2 * i] = (r >> 32 & 0x3f000) | types[r & 7];
			pc.var[2 * i + 1] = (mask & ~0xffful) | ((r >> 11 & 7) ? V : 0);
		}
		m = mtrr_of(&pc, 36);
		base = next_random(&seed) % 72 * PAGE_SIZE;
		len = (next_random(&seed) % 32 + 1) * PAGE_SIZE;
		want = slow_type(&pc, base);
		for (uint64_t o = 0; o < len; o += PAGE_SIZE)
			if (slow_type(&pc, base + o) != want)
				want = MIXED;
		assert_int_equal(mtrr_type(&m, base, len), want);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_desktop_pc),
		cmocka_unit_test(test_the_first_mib_of_a_pc),
		cmocka_unit_test(test_a_virtual_pc),
		cmocka_unit_test(test_each_fixed_range_has_its_place),
		cmocka_unit_test(test_fixed_ranges_count_only_if_enabled_and_there),
		cmocka_unit_test(test_disabled_means_uncacheable),
		cmocka_unit_test(test_absent_means_write_back_and_reads_nothing),
		cmocka_unit_test(test_overlaps),
		cmocka_unit_test(test_every_register_that_faults_makes_all_uncacheable),
		cmocka_unit_test(test_types_that_do_not_exist_are_uncacheable),
		cmocka_unit_test(test_counts_that_do_not_exist_are_cut),
		cmocka_unit_test(test_maxphyaddr),
		cmocka_unit_test(test_a_mask_that_is_too_short_repeats_the_range),
		cmocka_unit_test(test_a_mask_with_holes_in_the_worst_case_is_mixed_not_slow),
		cmocka_unit_test(test_random_ranges_agree_with_a_slow_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
