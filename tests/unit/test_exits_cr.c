/*
 * core/exits_cr.c through the run loop: every legal and illegal write of control registers.
 * needs: core/run.c core/exits.c core/exits_cpu.c core/exits_cr.c core/exits_mem.c core/quick.c
 * needs: core/inject.c core/io_bus.c core/cpuid_policy.c core/msr_policy.c core/emulate.c
 * needs: core/emu_alu.c core/emu_fetch.c core/emu_mem.c core/emu_string.c core/decode.c
 * needs: core/gwalk.c core/string_io.c core/exit_stats.c core/trace.c mm/gmem.c devices/debug.c
 * needs: devices/testdev.c lib/printf.c tests/fake/backend.c tests/fake/backend_nested.c
 * needs: tests/fake/panic.c tests/fake/spinlock.c tests/fake/host_cpu.c tests/fake/run_machine.c
 */
#include "run_rig.h"

enum { MOV_TO, MOV_FROM, CLTS, LMSW };

#define PDPT	   0x3000u
#define CR0_REALLY (CR0_PE | CR0_ET | CR0_NE)

static void access_cr(uint8_t cr, uint8_t access, uint8_t gpr, uint16_t source)
{
	struct vcpu_exit e = {.kind = EXIT_CR_ACCESS, .insn_len = 3};

	e.cr.cr = cr;
	e.cr.access = access;
	e.cr.gpr = gpr;
	e.cr.lmsw_source = source;
	step(&e);
}

static void write_cr(uint8_t cr, uint64_t value)
{
	v->gpr[REG_RBX] = value;
	access_cr(cr, MOV_TO, REG_RBX, 0);
}

static void again(void)
{
	void *unused = NULL;

	setup(&unused);
}

static void put_pdpte(unsigned i, uint64_t value)
{
	poke(PDPT + i * 8, &value, 8);
}

/* Legal writes. */

static void test_cr0_takes_legal_values(void **state)
{
	static const uint64_t values[] = {CR0_PE,
					  CR0_REALLY,
					  CR0_PE | CR0_PG,
					  CR0_CD | CR0_NW,
					  CR0_CD,
					  CR0_PE | CR0_TS | CR0_WP,
					  0};

	(void)state;
	for (unsigned i = 0; i < array_count(values); i++) {
		again();
		write_cr(0, values[i]);
		expect_next(3);
		assert_int_equal(reg(REG_CR0), values[i] | CR0_ET);
	}
}

static void test_reserved_bits_of_cr0_stay_0(void **state)
{
	(void)state;
	write_cr(0, 0x1ffaffc0 | CR0_PE);
	expect_next(3);
	assert_int_equal(reg(REG_CR0), CR0_PE | CR0_ET);
}

static void test_cr0_refuses_illegal_combinations(void **state)
{
	static const uint64_t values[] = {
		CR0_PG,		 /* without PE */
		CR0_PE | CR0_NW, /* without CD */
		CR0_PG | CR0_CD | CR0_NW,
	};

	(void)state;
	for (unsigned i = 0; i < array_count(values); i++) {
		again();
		write_cr(0, values[i]);
		expect_fault(EXC_GP);
		assert_int_equal(reg(REG_CR0), CR0_PE | CR0_ET);
	}
}

static void test_upper_half_of_cr0_is_reserved_in_64_bit_mode(void **state)
{
	uint64_t old;

	(void)state;
	for (unsigned bit = 32; bit < 64; bit++) {
		again();
		run_mode_64(m);
		old = reg(REG_CR0);
		write_cr(0, old | 1ul << bit);
		expect_fault(EXC_GP);
		assert_int_equal(reg(REG_CR0), old);
	}
}

/* MOV to CR has a 32-bit operand there, and what lies above in the register is not of it. */
static void test_outside_64_bit_mode_32_bits_are_moved(void **state)
{
	(void)state;
	write_cr(0, 0xdeadbeef00000000 | CR0_PE | CR0_NE);
	expect_next(3);
	assert_int_equal(reg(REG_CR0), CR0_PE | CR0_NE | CR0_ET);
	again();
	write_cr(3, 0xffffffff00005000);
	expect_next(3);
	assert_int_equal(reg(REG_CR3), 0x5000);
	again();
	write_cr(4, 0x100000000 | CR4_PSE);
	expect_next(3);
	assert_int_equal(reg(REG_CR4), CR4_PSE);
	again();
	set(REG_CR3, 0x123456789000);
	v->gpr[REG_RDX] = ~0ul;
	access_cr(3, MOV_FROM, REG_RDX, 0);
	expect_next(3);
	assert_int_equal(v->gpr[REG_RDX], 0x56789000);
}

/* Long mode. */

static void long_mode_prepared(void)
{
	set(REG_CR4, CR4_PAE);
	set(REG_EFER, EFER_LME);
	set(REG_CR3, 0x38000);
}

static void test_paging_with_lme_is_long_mode(void **state)
{
	(void)state;
	long_mode_prepared();
	write_cr(0, CR0_PE | CR0_PG);
	expect_next(3);
	assert_true(reg(REG_EFER) & EFER_LMA);
	write_cr(0, CR0_PE);
	assert_int_equal(reg(REG_EFER), EFER_LME);
	assert_int_equal(v->virt->delivery_count, 0);
}

static void test_long_mode_needs_pae_no_cs_l_and_a_big_tss(void **state)
{
	(void)state;
	long_mode_prepared();
	set(REG_CR4, 0);
	write_cr(0, CR0_PE | CR0_PG);
	expect_fault(EXC_GP);
	again();
	long_mode_prepared();
	v->virt->segment[SEG_CS].attr = RUN_CODE64;
	write_cr(0, CR0_PE | CR0_PG);
	expect_fault(EXC_GP);
	again();
	long_mode_prepared();
	v->virt->segment[SEG_TR].attr = 0x83; /* a busy 16-bit TSS: VM entry would refuse it */
	write_cr(0, CR0_PE | CR0_PG);
	expect_fault(EXC_GP);
	assert_int_equal(reg(REG_EFER), EFER_LME);
}

static void test_64_bit_code_cannot_end_paging(void **state)
{
	(void)state;
	run_mode_64(m);
	write_cr(0, CR0_PE);
	expect_fault(EXC_GP);
	assert_true(reg(REG_EFER) & EFER_LMA);
}

static void test_long_mode_keeps_pae(void **state)
{
	(void)state;
	run_mode_64(m);
	write_cr(4, CR4_PGE);
	expect_fault(EXC_GP);
	assert_int_equal(reg(REG_CR4), CR4_PAE);
}

/* CR4: what the manual has and this guest sees; written out, not asked of the policy. */
static void test_each_bit_of_cr4(void **state)
{
	const uint64_t legal = 0x3f | CR4_MCE | CR4_PGE | 1 << 8 | CR4_OSFXSR | CR4_OSXMMEXCPT |
			       CR4_UMIP | CR4_FSGSBASE | CR4_OSXSAVE | CR4_SMEP | CR4_SMAP;

	(void)state;
	for (unsigned bit = 0; bit < 64; bit++) {
		uint64_t value = CR4_PAE | 1ul << bit;

		again();
		run_mode_64(m);
		write_cr(4, value);
		if (legal >> bit & 1) {
			expect_next(3);
			assert_int_equal(reg(REG_CR4), value);
		} else {
			expect_fault(EXC_GP);
			assert_int_equal(reg(REG_CR4), CR4_PAE);
		}
	}
}

/* CR3. */

static void test_cr3_is_kept_whole(void **state)
{
	(void)state;
	run_mode_64(m);
	write_cr(3, 0x7ffffff018);
	expect_next(3);
	assert_int_equal(reg(REG_CR3), 0x7ffffff018);
}

static void test_cr3_beyond_the_physical_width_in_long_mode(void **state)
{
	(void)state;
	for (unsigned bit = 39; bit < 64; bit++) {
		again();
		run_mode_64(m);
		write_cr(3, 1ul << bit);
		expect_fault(EXC_GP);
		assert_int_equal(reg(REG_CR3), 0x38000);
	}
}

static void test_mov_from_cr3_and_cr8(void **state)
{
	(void)state;
	run_mode_64(m);
	set(REG_CR8, 9);
	access_cr(3, MOV_FROM, REG_R11, 0);
	expect_next(3);
	assert_int_equal(v->gpr[REG_R11], 0x38000);
	access_cr(8, MOV_FROM, REG_RSP, 0);
	assert_int_equal(reg(REG_RSP), 9);
	access_cr(3, MOV_TO, REG_RSP, 0);
	assert_int_equal(reg(REG_CR3), 9);
}

static void test_cr8_has_four_bits(void **state)
{
	(void)state;
	for (uint64_t i = 0; i < 16; i++) {
		again();
		run_mode_64(m);
		write_cr(8, i);
		expect_next(3);
		assert_int_equal(reg(REG_CR8), i);
	}
	for (unsigned bit = 4; bit < 64; bit++) {
		again();
		run_mode_64(m);
		write_cr(8, 1ul << bit);
		expect_fault(EXC_GP);
		assert_int_equal(reg(REG_CR8), 0);
	}
}

/* PAE paging. */

static void pae_tables(void)
{
	for (unsigned i = 0; i < 4; i++)
		put_pdpte(i, (0x4000 + i * PAGE_SIZE) | 1);
}

static void expect_pdptes(void)
{
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(reg(REG_PDPTE0 + i), (0x4000 + i * PAGE_SIZE) | 1);
}

static void test_pae_paging_begins_with_four_entries(void **state)
{
	(void)state;
	pae_tables();
	set(REG_CR3, PDPT | 0x18); /* PWT and PCD are no part of the address */
	set(REG_CR4, CR4_PAE);
	write_cr(0, CR0_PE | CR0_PG);
	expect_next(3);
	expect_pdptes();
}

static void test_pae_entries_are_loaded_when_cr4_or_cr3_changes(void **state)
{
	(void)state;
	pae_tables();
	set(REG_CR3, PDPT);
	set(REG_CR0, CR0_PE | CR0_PG);
	write_cr(4, CR4_PAE);
	expect_next(3);
	expect_pdptes();
	again();
	pae_tables();
	set(REG_CR4, CR4_PAE);
	set(REG_CR0, CR0_PE | CR0_PG);
	write_cr(3, PDPT);
	expect_next(3);
	expect_pdptes();
}

static void test_pae_entries_stay_if_paging_does_not_change(void **state)
{
	(void)state;
	pae_tables();
	set(REG_CR3, PDPT);
	set(REG_CR4, CR4_PAE);
	set(REG_CR0, CR0_PE | CR0_PG);
	write_cr(0, CR0_PE | CR0_PG | CR0_NE | CR0_WP);
	expect_next(3);
	assert_int_equal(reg(REG_PDPTE0), 0);
	write_cr(4, CR4_PAE | CR4_DE);
	assert_int_equal(reg(REG_PDPTE0), 0);
	assert_int_equal(v->virt->delivery_count, 0);
	write_cr(4, CR4_PAE | CR4_DE | CR4_PGE);
	expect_pdptes();
}

static void test_reserved_bits_of_present_pae_entries(void **state)
{
	const uint64_t reserved = 0x1e6 | ~((1ul << 39) - 1);

	(void)state;
	for (unsigned bit = 1; bit < 64; bit++) {
		again();
		pae_tables();
		put_pdpte(bit % 4, 1ul << bit | 1);
		set(REG_CR3, 0x9000);
		set(REG_CR4, CR4_PAE);
		set(REG_CR0, CR0_PE | CR0_PG);
		write_cr(3, PDPT);
		if (reserved >> bit & 1) {
			expect_fault(EXC_GP);
			assert_int_equal(reg(REG_CR3), 0x9000);
			assert_int_equal(reg(REG_PDPTE0 + bit % 4), 0); /* none was loaded */
		} else {
			expect_next(3);
			assert_int_equal(reg(REG_PDPTE0 + bit % 4), 1ul << bit | 1);
		}
	}
}

static void test_absent_pae_entries_may_hold_anything(void **state)
{
	(void)state;
	put_pdpte(2, ~1ul);
	set(REG_CR4, CR4_PAE);
	set(REG_CR0, CR0_PE | CR0_PG);
	write_cr(3, PDPT);
	expect_next(3);
	assert_int_equal(reg(REG_PDPTE2), ~1ul);
}

static void test_bad_pae_entries_keep_cr0_and_cr4(void **state)
{
	(void)state;
	put_pdpte(0, 3);
	set(REG_CR3, PDPT);
	set(REG_CR4, CR4_PAE);
	write_cr(0, CR0_PE | CR0_PG);
	expect_fault(EXC_GP);
	assert_int_equal(reg(REG_CR0), CR0_PE | CR0_ET);
	again();
	put_pdpte(0, 3);
	set(REG_CR3, PDPT);
	set(REG_CR0, CR0_PE | CR0_PG);
	write_cr(4, CR4_PAE);
	expect_fault(EXC_GP);
	assert_int_equal(reg(REG_CR4), 0);
}

/* Reads of no memory give all ones, hence reserved bits. */
static void test_pae_entries_outside_memory(void **state)
{
	static const uint32_t at[] = {0xfed10000, RUN_RAM_SIZE, 0xffffffe0};

	(void)state;
	for (unsigned i = 0; i < array_count(at); i++) {
		again();
		set(REG_CR4, CR4_PAE);
		set(REG_CR0, CR0_PE | CR0_PG);
		write_cr(3, at[i]);
		expect_fault(EXC_GP);
		assert_int_equal(m->test.counter[TESTDEV_MMIO_READS], 0);
	}
}

/* CLTS and LMSW. */

static void test_clts_clears_one_bit(void **state)
{
	(void)state;
	set(REG_CR0, CR0_PE | CR0_ET | CR0_TS | CR0_MP | CR0_NE);
	access_cr(0, CLTS, 0, 0);
	expect_next(3);
	assert_int_equal(reg(REG_CR0), CR0_PE | CR0_ET | CR0_MP | CR0_NE);
}

static void test_lmsw_writes_four_bits_and_never_clears_pe(void **state)
{
	(void)state;
	set(REG_CR0, CR0_PE | CR0_ET | CR0_TS | CR0_NE);
	access_cr(0, LMSW, 0, 0xfff0 | CR0_MP);
	expect_next(3);
	assert_int_equal(reg(REG_CR0), CR0_PE | CR0_ET | CR0_MP | CR0_NE);
	again();
	run_mode_real(m);
	access_cr(0, LMSW, 0, 0xf);
	expect_next(3);
	assert_int_equal(reg(REG_CR0), 0xf | CR0_ET);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_cr0_takes_legal_values),
		T(test_reserved_bits_of_cr0_stay_0),
		T(test_cr0_refuses_illegal_combinations),
		T(test_upper_half_of_cr0_is_reserved_in_64_bit_mode),
		T(test_outside_64_bit_mode_32_bits_are_moved),
		T(test_paging_with_lme_is_long_mode),
		T(test_long_mode_needs_pae_no_cs_l_and_a_big_tss),
		T(test_64_bit_code_cannot_end_paging),
		T(test_long_mode_keeps_pae),
		T(test_each_bit_of_cr4),
		T(test_cr3_is_kept_whole),
		T(test_cr3_beyond_the_physical_width_in_long_mode),
		T(test_mov_from_cr3_and_cr8),
		T(test_cr8_has_four_bits),
		T(test_pae_paging_begins_with_four_entries),
		T(test_pae_entries_are_loaded_when_cr4_or_cr3_changes),
		T(test_pae_entries_stay_if_paging_does_not_change),
		T(test_reserved_bits_of_present_pae_entries),
		T(test_absent_pae_entries_may_hold_anything),
		T(test_bad_pae_entries_keep_cr0_and_cr4),
		T(test_pae_entries_outside_memory),
		T(test_clts_clears_one_bit),
		T(test_lmsw_writes_four_bits_and_never_clears_pe),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
