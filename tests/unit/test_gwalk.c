/*
 * core/gwalk.c: every paging mode and page size, each right and its error code, reserved bits,
 * accessed and dirty bits, and tables that point anywhere.
 *
 * needs: core/gwalk.c core/io_bus.c mm/gmem.c tests/fake/spinlock.c
 * needs: tests/fake/panic.c
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "emu_machine.h"
#include "ram.h"

#define P  1ul
#define W  2ul
#define U  4ul
#define A  0x20ul
#define D  0x40ul
#define PS 0x80ul
#define NX (1ul << 63)

#define FAULT (1ul << 32) /* walk(): plus the error code */

/* The physical address, or FAULT and the error code. */
static uint64_t walk(unsigned cpl, uint64_t la, unsigned access)
{
	struct gwalk_state p = em_paging(cpl);
	uint32_t error = 0xdead;
	gpa_t out = gpa(0xdead);
	int rc = gwalk_translate(&p, &em.mem, gva(la), access, &out, &error);

	if (rc == OK) {
		assert_int_equal(error, 0xdead);
		return out.v;
	}
	assert_int_equal(rc, E_FAULT);
	return FAULT | error;
}

static void without_paging_addresses_are_physical(void **state)
{
	(void)state;
	em_reset();
	assert_int_equal(walk(0, 0x12345678, GWALK_WRITE), 0x12345678);
	assert_int_equal(walk(3, 0xffffffff, GWALK_FETCH), 0xffffffff);
	assert_int_equal(walk(0, 0x1fffffff0, GWALK_READ), 0xfffffff0); /* 32 bits wide */
}

static int setup_64(void **state)
{
	(void)state;
	em_reset();
	em_mode_64();
	return 0;
}

static int setup_pae(void **state)
{
	(void)state;
	em_reset();
	em_mode_32();
	em.reg[REG_CR0] |= CR0_PG | CR0_WP;
	em.reg[REG_CR4] |= CR4_PAE;
	em.reg[REG_EFER] |= EFER_NXE;
	return 0;
}

static int setup_32(void **state)
{
	(void)state;
	em_reset();
	em_mode_32();
	em.reg[REG_CR0] |= CR0_PG | CR0_WP;
	em.reg[REG_CR4] |= CR4_PSE;
	return 0;
}

static void four_levels_translate_each_page_size(void **state)
{
	(void)state;
	em_map(0xffff800012345000, 0x3abcdef000, P | W);
	*em_entry(0x40200000, 21) = 0x1fffffe00000 | P | W | U | PS | 0x1000; /* with PAT */
	*em_entry(0x80000000, 30) = 0x3fffc0000000 | P | W | U | PS | 0x1000;
	assert_int_equal(walk(0, 0xffff800012345678, GWALK_READ), 0x3abcdef678);
	assert_int_equal(walk(0, 0x403fffff, GWALK_READ), 0x1fffffffffff);
	assert_int_equal(walk(0, 0xbffffffe, GWALK_READ), 0x3ffffffffffe);
	assert_int_equal(walk(0, 0xc0000000, GWALK_READ), FAULT);
}

static void pae_translates_each_page_size(void **state)
{
	(void)state;
	em_map(0xfffff000, 0x3abcdef000, P | W);
	*em_entry(0x40200000, 21) = 0x1fffffe00000 | P | W | U | PS;
	assert_int_equal(walk(0, 0xffffffff, GWALK_WRITE), 0x3abcdeffff);
	assert_int_equal(walk(3, 0x40312345, GWALK_WRITE), 0x1fffffe00000 | 0x112345);
	assert_int_equal(walk(0, 0x80000000, GWALK_READ), FAULT); /* no directory */
	/* What lies above 32 bits is not looked at. */
	assert_int_equal(walk(0, 0x7700000000 | 0xfffff123, GWALK_WRITE), 0x3abcdef123);
}

static void pae_top_entries_have_reserved_bits_and_no_rights(void **state)
{
	static const uint64_t bad[] = {W, U, 0x20, 0x40, 0x80, 0x100, 1ul << 46, 1ul << 62, NX};
	uint64_t *top;

	(void)state;
	em_map(0x1000, 0x5000, P | W | U);
	top = em_entry(0x1000, 30);
	*top |= 0xe18; /* PWT, PCD and ignored bits */
	assert_int_equal(walk(3, 0x1000, GWALK_WRITE), 0x5000);
	for (unsigned i = 0; i < array_count(bad); i++) {
		*top ^= bad[i];
		assert_int_equal(walk(0, 0x1000, GWALK_READ), FAULT | PF_P | PF_RSVD);
		*top ^= bad[i];
	}
}

static void classic_paging_translates_both_page_sizes(void **state)
{
	uint32_t *directory;

	(void)state;
	em_map32(0xfffff000, 0xfec01000, P | W);
	assert_int_equal(walk(0, 0xfffffabc, GWALK_WRITE), 0xfec01abc);
	directory = (uint32_t *)(void *)em_ram(em.reg[REG_CR3]);
	directory[1] = 0xfec00000 | P | W | U | PS;
	assert_int_equal(walk(3, 0x7fffff, GWALK_WRITE), 0xfeffffff);
	directory[2] = 0x00400000 | 0x5a << 13 | P | PS; /* PSE-36 */
	assert_int_equal(walk(0, 0x800123, GWALK_READ), 0x5a00400123);
	directory[2] |= 1 << 21;
	assert_int_equal(walk(0, 0x800123, GWALK_READ), FAULT | PF_P | PF_RSVD);
	/* Without CR4.PSE the bit means nothing: the entry points to a table. */
	directory[3] = (uint32_t)em_table_new() | P | W | PS;
	*(uint32_t *)(void *)em_ram(directory[3] & 0xfffff000) = 0x7000 | P;
	em.reg[REG_CR4] &= ~(uint64_t)CR4_PSE;
	assert_int_equal(walk(0, 0xc00004, GWALK_READ), 0x7004);
}

static void large_classic_pages_stay_below_maxphyaddr(void **state)
{
	struct gwalk_state p;
	uint32_t error;
	gpa_t out;

	(void)state;
	em_map32(0, 0, 0);
	*(uint32_t *)(void *)em_ram(em.reg[REG_CR3]) = 0x00400000 | 0x0f << 13 | P | PS;
	p = em_paging(0);
	p.phys_bits = 36;
	assert_int_equal(gwalk_translate(&p, &em.mem, gva(1), GWALK_READ, &out, &error), OK);
	assert_int_equal(out.v, 0xf00400001);
	p.phys_bits = 35;
	assert_int_equal(gwalk_translate(&p, &em.mem, gva(1), GWALK_READ, &out, &error), E_FAULT);
	assert_int_equal(error, PF_P | PF_RSVD);
	p.phys_bits = 32;
	assert_int_equal(gwalk_translate(&p, &em.mem, gva(1), GWALK_READ, &out, &error), E_FAULT);
}

/* {rights of the page, CPL, CR0.WP, CR4, RFLAGS.AC, access, error or ~0 for none} */
struct rights_case {
	uint64_t bits;
	unsigned cpl;
	bool wp;
	uint64_t cr4;
	bool ac;
	unsigned access;
	uint32_t error;
};

#define OKAY ~0u

static const struct rights_case rights[] = {
	{P, 0, true, 0, false, GWALK_READ, OKAY},
	{P, 0, true, 0, false, GWALK_FETCH, OKAY},
	{P, 0, true, 0, false, GWALK_WRITE, PF_P | PF_W},
	{P, 0, false, 0, false, GWALK_WRITE, OKAY},
	{P | W, 0, true, 0, false, GWALK_WRITE, OKAY},
	{P | W, 3, true, 0, false, GWALK_READ, PF_P | PF_U},
	{P | W, 3, true, 0, false, GWALK_WRITE, PF_P | PF_U | PF_W},
	{P | W, 3, true, 0, false, GWALK_FETCH, PF_P | PF_U | PF_I},
	{P | W, 2, true, 0, false, GWALK_WRITE, OKAY}, /* only 3 is user */
	{P | U, 3, true, 0, false, GWALK_READ, OKAY},
	{P | U, 3, true, 0, false, GWALK_FETCH, OKAY},
	{P | U, 3, false, 0, false, GWALK_WRITE, PF_P | PF_U | PF_W}, /* WP is not for users */
	{P | U | W, 3, true, 0, false, GWALK_WRITE, OKAY},
	{P | U | W | NX, 3, true, 0, false, GWALK_WRITE, OKAY},
	{P | U | W | NX, 3, true, 0, false, GWALK_FETCH, PF_P | PF_U | PF_I},
	{P | NX, 0, true, 0, false, GWALK_FETCH, PF_P | PF_I},
	{P | NX, 0, true, 0, false, GWALK_READ, OKAY},
	{P | U, 0, true, CR4_SMEP, false, GWALK_FETCH, PF_P | PF_I},
	{P | U, 0, true, CR4_SMEP, true, GWALK_FETCH, PF_P | PF_I}, /* AC is SMAP's */
	{P | U, 0, true, CR4_SMEP, false, GWALK_READ, OKAY},
	{P | U, 3, true, CR4_SMEP, false, GWALK_FETCH, OKAY},
	{P, 0, true, CR4_SMEP | CR4_SMAP, false, GWALK_FETCH, OKAY},
	{P | U, 0, true, CR4_SMAP, false, GWALK_READ, PF_P},
	{P | U | W, 0, false, CR4_SMAP, false, GWALK_WRITE, PF_P | PF_W},
	{P | U | W, 0, true, CR4_SMAP, true, GWALK_WRITE, OKAY},
	{P | U, 0, true, CR4_SMAP, true, GWALK_READ, OKAY},
	{P | U, 0, true, CR4_SMAP, false, GWALK_FETCH, OKAY},
	{P | U, 3, true, CR4_SMAP, false, GWALK_READ, OKAY},
	{W | U, 0, true, 0, false, GWALK_READ, 0},
	{W | U, 3, true, 0, false, GWALK_WRITE, PF_U | PF_W},
	{W | U, 3, true, 0, false, GWALK_FETCH, PF_U | PF_I},
	{P, 3, true, 0, false, GWALK_ANY, OKAY}, /* asks for nothing */
	{P | NX, 3, true, CR4_SMEP | CR4_SMAP, false, GWALK_ANY, OKAY},
};

static void check_rights(uint64_t la)
{
	for (unsigned i = 0; i < array_count(rights); i++) {
		const struct rights_case *c = &rights[i];
		uint64_t want = c->error == OKAY ? 0x7000 | (la & 0xfff) : FAULT | c->error, got;

		em_map(la, 0x7000, c->bits);
		em.reg[REG_CR0] = CR0_PE | CR0_PG | (c->wp ? CR0_WP : 0);
		em.reg[REG_CR4] = CR4_PAE | c->cr4;
		em.reg[REG_RFLAGS] = 2 | (c->ac ? 1u << 18 : 0);
		got = walk(c->cpl, la, c->access);
		if (got != want)
			fail_msg("case %u: %#lx, not %#lx", i, got, want);
	}
}

static void rights_and_error_codes_in_four_levels(void **state)
{
	(void)state;
	check_rights(0xffff800000001234);
}

static void rights_and_error_codes_in_pae(void **state)
{
	(void)state;
	check_rights(0x80001234);
}

static void rights_are_those_of_all_levels(void **state)
{
	(void)state;
	em_map(0x1000, 0x7000, P | W | U);
	for (unsigned shift = 21; shift <= 39; shift += 9) {
		*em_entry(0x1000, shift) &= ~W;
		assert_int_equal(walk(0, 0x1000, GWALK_WRITE), FAULT | PF_P | PF_W);
		*em_entry(0x1000, shift) |= W;
		*em_entry(0x1000, shift) &= ~U;
		assert_int_equal(walk(3, 0x1000, GWALK_READ), FAULT | PF_P | PF_U);
		*em_entry(0x1000, shift) |= U | NX;
		assert_int_equal(walk(0, 0x1000, GWALK_FETCH), FAULT | PF_P | PF_I);
		*em_entry(0x1000, shift) &= ~NX;
		*em_entry(0x1000, shift) &= ~P;
		assert_int_equal(walk(0, 0x1000, GWALK_READ), FAULT);
		*em_entry(0x1000, shift) |= P;
	}
	assert_int_equal(walk(3, 0x1000, GWALK_WRITE), 0x7000);
}

static void classic_rights_know_no_nx_and_tell_fetch_with_smep_only(void **state)
{
	(void)state;
	em_map32(0x1000, 0x7000, P);
	em.reg[REG_EFER] |= EFER_NXE; /* without effect */
	assert_int_equal(walk(0, 0x1000, GWALK_FETCH), 0x7000);
	assert_int_equal(walk(3, 0x1000, GWALK_FETCH), FAULT | PF_P | PF_U);
	assert_int_equal(walk(0, 0x1000, GWALK_WRITE), FAULT | PF_P | PF_W);
	em.reg[REG_CR4] |= CR4_SMEP;
	assert_int_equal(walk(3, 0x1000, GWALK_FETCH), FAULT | PF_P | PF_U | PF_I);
	em_map32(0x1000, 0x7000, P | U);
	assert_int_equal(walk(0, 0x1000, GWALK_FETCH), FAULT | PF_P | PF_I);
}

static void reserved_bits_fault_only_in_present_entries(void **state)
{
	(void)state;
	em_map(0x1000, 0x7000, P | W | U);
	for (unsigned shift = 12; shift <= 39; shift += 9) {
		uint64_t *e = em_entry(0x1000, shift), good = *e;

		*e = good | 1ul << 46;
		assert_int_equal(walk(3, 0x1000, GWALK_WRITE),
				 FAULT | PF_P | PF_RSVD | PF_U | PF_W);
		*e &= ~P;
		assert_int_equal(walk(0, 0x1000, GWALK_READ), FAULT);
		*e = good | 0x7fful << 52; /* ignored in 4-level paging */
		assert_int_equal(walk(0, 0x1000, GWALK_READ), 0x7000);
		*e = good | NX;
		em.reg[REG_EFER] &= ~(uint64_t)EFER_NXE;
		assert_int_equal(walk(0, 0x1000, GWALK_READ), FAULT | PF_P | PF_RSVD);
		em.reg[REG_EFER] |= EFER_NXE;
		*e = good;
	}
	*em_entry(0x1000, 39) |= PS;
	assert_int_equal(walk(0, 0x1000, GWALK_READ), FAULT | PF_P | PF_RSVD);
}

static void large_pages_must_be_aligned(void **state)
{
	(void)state;
	/* With the upper levels accessed it is the short way that decides. */
	*em_entry(0x40000000, 30) = 0;
	*em_entry(0x80000000, 21) = 0;
	*em_entry(0x40000000, 39) |= A;
	*em_entry(0x80000000, 30) |= A;
	for (unsigned bit = 13; bit < 30; bit++) {
		*em_entry(0x40000000, 30) = 0x80000000 | P | A | PS | 1ul << bit;
		assert_int_equal(walk(0, 0x40000000, GWALK_READ), FAULT | PF_P | PF_RSVD);
	}
	for (unsigned bit = 13; bit < 21; bit++) {
		*em_entry(0x80000000, 21) = 0x80000000 | P | A | PS | 1ul << bit;
		assert_int_equal(walk(0, 0x80000000, GWALK_READ), FAULT | PF_P | PF_RSVD);
	}
}

static void pae_reserves_what_four_levels_ignore(void **state)
{
	(void)state;
	em_map(0x1000, 0x7000, P);
	*em_entry(0x1000, 12) |= 1ul << 52;
	assert_int_equal(walk(0, 0x1000, GWALK_READ), FAULT | PF_P | PF_RSVD);
	*em_entry(0x1000, 12) ^= 1ul << 52 | 1ul << 62;
	assert_int_equal(walk(0, 0x1000, GWALK_READ), FAULT | PF_P | PF_RSVD);
}

static void accessed_and_dirty_are_set_as_the_cpu_sets_them(void **state)
{
	(void)state;
	em_map(0x1000, 0x7000, P | W | U);
	assert_int_equal(walk(0, 0x1000, GWALK_READ), 0x7000);
	for (unsigned shift = 12; shift <= 39; shift += 9)
		assert_int_equal(*em_entry(0x1000, shift) & (A | D), A);
	assert_int_equal(walk(0, 0x1000, GWALK_WRITE), 0x7000);
	for (unsigned shift = 12; shift <= 39; shift += 9)
		assert_int_equal(*em_entry(0x1000, shift) & (A | D), shift == 12 ? A | D : A);
	*em_entry(0x200000, 21) = P | W | PS;
	assert_int_equal(walk(0, 0x200000, GWALK_WRITE), 0);
	assert_int_equal(*em_entry(0x200000, 21), P | W | PS | A | D);
}

static void a_forbidden_access_marks_nothing(void **state)
{
	(void)state;
	em_map(0x1000, 0x7000, P | U);
	assert_int_equal(walk(3, 0x1000, GWALK_WRITE), FAULT | PF_P | PF_W | PF_U);
	for (unsigned shift = 12; shift <= 39; shift += 9)
		assert_int_equal(*em_entry(0x1000, shift) & (A | D), 0);
}

static void classic_entries_are_marked_in_their_four_bytes(void **state)
{
	uint32_t *table;

	(void)state;
	em_map32(0x1000, 0x7000, P | W);
	table = (uint32_t *)(void *)em_ram(*(uint32_t *)(void *)em_ram(em.reg[REG_CR3]) & ~0xffful);
	table[0] = table[2] = 0xdeadbeee;
	assert_int_equal(walk(0, 0x1000, GWALK_WRITE), 0x7000);
	assert_int_equal(table[1], 0x7000 | P | W | A | D);
	assert_int_equal(table[0], 0xdeadbeee);
	assert_int_equal(table[2], 0xdeadbeee);
	assert_int_equal(*(uint32_t *)(void *)em_ram(em.reg[REG_CR3]) & (A | D), A);
}

static void tables_in_rom_work_and_stay(void **state)
{
	uint64_t *rom = (uint64_t *)(void *)em_rom;

	(void)state;
	em.reg[REG_CR3] = EM_ROM;
	rom[0] = EM_ROM | P | W; /* points to itself, at each level */
	assert_int_equal(walk(0, 0xabc, GWALK_WRITE), EM_ROM | 0xabc);
	assert_int_equal(rom[0], EM_ROM | P | W);
}

static void tables_outside_memory_read_as_ones(void **state)
{
	(void)state;
	em.reg[REG_CR3] = EM_MMIO;
	assert_int_equal(walk(0, 0x1000, GWALK_READ), FAULT | PF_P | PF_RSVD);
	em.reg[REG_CR3] = ~0ul;
	assert_int_equal(walk(3, 0x1000, GWALK_WRITE), FAULT | PF_P | PF_RSVD | PF_U | PF_W);
	assert_int_equal(em.log_count, 0);
}

static void any_tables_do_no_harm(void **state)
{
	uint64_t seed = 7, found = 0;
	static const uint64_t modes[] = {0, CR4_PSE, CR4_PAE, CR4_PAE | CR4_SMAP | CR4_SMEP};

	(void)state;
	for (unsigned n = 0; n < 3000; n++) {
		uint64_t *tables = (uint64_t *)(void *)em_low;

		for (unsigned i = 0; i < 64; i++) /* mostly entries that lead somewhere */
			tables[fake_random(&seed) % (EM_LOW_SIZE / 8)] = fake_random(&seed);
		for (unsigned i = 0; i < 4; i++)
			em.reg[REG_PDPTE0 + i] = (fake_random(&seed) % EM_LOW_SIZE & ~0xffful) | 1;
		em.reg[REG_CR4] = modes[n % 4];
		em.reg[REG_EFER] = n % 8 < 4 ? 0 : EFER_LMA | (n % 16 < 8 ? EFER_NXE : 0);
		em.reg[REG_CR3] = fake_random(&seed) % (2 * EM_LOW_SIZE);
		for (unsigned i = 0; i < 16; i++) {
			uint64_t r = walk(n & 3, fake_random(&seed) & 0xffffffffffff,
					  (unsigned[]){GWALK_READ, GWALK_WRITE, GWALK_FETCH,
						       GWALK_ANY}[i % 4]);

			found += !(r & FAULT);
		}
	}
	assert_true(found > 0);
}

int main(void)
{
#define T64(f)	cmocka_unit_test_setup(f, setup_64)
#define TPAE(f) cmocka_unit_test_setup(f, setup_pae)
#define T32(f)	cmocka_unit_test_setup(f, setup_32)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_paging_addresses_are_physical),
		T64(four_levels_translate_each_page_size),
		TPAE(pae_translates_each_page_size),
		TPAE(pae_top_entries_have_reserved_bits_and_no_rights),
		T32(classic_paging_translates_both_page_sizes),
		T32(large_classic_pages_stay_below_maxphyaddr),
		T64(rights_and_error_codes_in_four_levels),
		TPAE(rights_and_error_codes_in_pae),
		T64(rights_are_those_of_all_levels),
		T32(classic_rights_know_no_nx_and_tell_fetch_with_smep_only),
		T64(reserved_bits_fault_only_in_present_entries),
		T64(large_pages_must_be_aligned),
		TPAE(pae_reserves_what_four_levels_ignore),
		T64(accessed_and_dirty_are_set_as_the_cpu_sets_them),
		T64(a_forbidden_access_marks_nothing),
		T32(classic_entries_are_marked_in_their_four_bytes),
		T64(tables_in_rom_work_and_stay),
		T64(tables_outside_memory_read_as_ones),
		T64(any_tables_do_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
