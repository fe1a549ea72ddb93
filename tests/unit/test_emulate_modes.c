/*
 * core/emulate.c and core/emu_string.c: segments in the older modes; string instructions with
 * faults, in parts, and stepped.
 *
 * needs: core/gwalk.c core/decode.c core/emu_mem.c core/emu_alu.c
 * needs: core/emulate.c core/emu_string.c core/emu_fetch.c core/io_bus.c mm/gmem.c
 * needs: tests/fake/spinlock.c tests/fake/panic.c
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "emu_run.h"

static void segments_are_checked_outside_64_bit_mode(void **state)
{
	(void)state;
	em.v.gpr[REG_RAX] = 0x100;
	em.segment[SEG_DS] =
		(struct vcpu_segment){.base = EM_MMIO, .limit = 0x103, .attr = EM_DATA32};
	assert_int_equal(RUN(0x89, 0x08), EMU_DONE);
	assert_log(0, true, 0x100, 4, 0);
	em.log_count = 0;
	em.segment[SEG_DS].limit = 0x102;
	assert_exception(RUN(0x89, 0x08), EXC_GP, 0, 0);
	em.segment[SEG_DS] = (struct vcpu_segment){.limit = 0xff, .attr = 0xc097}; /* down */
	em.segment[SEG_DS].base = EM_MMIO;
	assert_int_equal(RUN(0x89, 0x08), EMU_DONE);
	em.log_count = 0;
	em.segment[SEG_DS].limit = 0x100;
	assert_exception(RUN(0x89, 0x08), EXC_GP, 0, 0);
	em.segment[SEG_DS] = (struct vcpu_segment){.base = EM_MMIO, .limit = ~0u, .attr = 0xc091};
	assert_exception(RUN(0x89, 0x08), EXC_GP, 0, 0); /* read-only data */
	assert_int_equal(RUN(0x8b, 0x08), EMU_DONE);
	em.log_count = 0;
	assert_exception(RUN(0x2e, 0x89, 0x08), EXC_GP, 0, 0); /* to code */
	em.segment[SEG_DS].attr = 0xc099;
	assert_exception(RUN(0x8b, 0x08), EXC_GP, 0, 0); /* from execute-only code */
	em.segment[SEG_DS].unusable = true;
	assert_exception(RUN(0x8b, 0x08), EXC_GP, 0, 0);
	em.v.gpr[REG_RBP] = 0x10;
	em.segment[SEG_SS].limit = 0x12;
	assert_exception(RUN(0x8b, 0x4d, 0x00), EXC_SS, 0, 0);
}

static void real_mode_reaches_devices_through_big_segments(void **state)
{
	(void)state;
	em_reset();
	em.v.exit.kind = EXIT_NESTED_FAULT;
	em.segment[SEG_CS].base = EM_HIGH;
	em.reg[REG_RIP] = 0x1000;
	em.segment[SEG_ES] = (struct vcpu_segment){.base = 0x10, .limit = ~0u, .attr = 0x9b};
	em.v.gpr[REG_RBX] = EM_MMIO;
	assert_int_equal(RUN(0x26, 0x67, 0x66, 0x89, 0x0b), EMU_DONE); /* mov es:[ebx], ecx */
	assert_log(0, true, 0x10, 4, 0); /* rights mean nothing here */
	em.log_count = 0;
	em.v.gpr[REG_RBX] = 0xffff;
	assert_exception(RUN(0x89, 0x0f), EXC_GP, 0, 0); /* mov [bx], cx beyond 64 KiB */
}

static void linear_addresses_wrap_at_4_gib(void **state)
{
	(void)state;
	em.segment[SEG_DS].base = 0xffff0000;
	em.v.gpr[REG_RAX] = EM_MMIO + 0x10020;
	assert_int_equal(RUN(0x89, 0x08), EMU_DONE);
	assert_log(0, true, 0x20, 4, 0);
}

static void rep_movs_between_ram_and_device(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 100; i++)
		em_ram(RAM_GPA + 0xfc0)[i] = (uint8_t)(i + 1);
	em.v.gpr[REG_RSI] = RAM + 0xfc0;
	em.v.gpr[REG_RDI] = DEV + 0x10;
	em.v.gpr[REG_RCX] = 25;
	assert_int_equal(RUN(0xf3, 0xa5), EMU_DONE);
	assert_memory_equal(em.buffer + 0x10, em_ram(RAM_GPA + 0xfc0), 100);
	assert_int_equal(em.v.gpr[REG_RSI], RAM + 0xfc0 + 100);
	assert_int_equal(em.v.gpr[REG_RDI], DEV + 0x10 + 100);
	assert_int_equal(em.v.gpr[REG_RCX], 0);
	assert_int_equal(em.log_count, 25);
	/* Nothing at all with a count of 0, not even a look at the addresses. */
	em.v.gpr[REG_RSI] = 0;
	assert_int_equal(RUN(0xf3, 0xa5), EMU_DONE);
	assert_int_equal(em.v.gpr[REG_RSI], 0);
}

static void a_fault_in_mid_string_keeps_what_was_done(void **state)
{
	(void)state;
	em.v.gpr[REG_RAX] = 0x77;
	em.v.gpr[REG_RDI] = DEV_RAM + 0xff0;
	em.v.gpr[REG_RCX] = 100;
	assert_exception(RUN(0xf3, 0xaa), EXC_PF, PF_W, DEV_RAM + 0x1000);
	assert_int_equal(em.v.gpr[REG_RDI], DEV_RAM + 0x1000);
	assert_int_equal(em.v.gpr[REG_RCX], 84);
	assert_int_equal(em_high[0x3fff], 0x77);
	/* MOVS with a destination that faults: the device at the source is not read. */
	em.v.gpr[REG_RSI] = DEV;
	assert_exception(RUN(0xf3, 0xa4), EXC_PF, PF_W, DEV_RAM + 0x1000);
	assert_int_equal(em.v.gpr[REG_RSI], DEV);
	assert_int_equal(em.v.gpr[REG_RCX], 84);
}

static void long_strings_are_done_in_parts(void **state)
{
	unsigned calls = 0;
	enum emu_kind kind;

	(void)state;
	em.v.gpr[REG_RDI] = DEV;
	em.v.gpr[REG_RAX] = 0x5a;
	em.v.gpr[REG_RCX] = 3000;
	em.reg[REG_INT_SHADOW] = 9;
	do {
		kind = RUN(0xf3, 0xaa);
		calls++;
		assert_true(kind == EMU_RETRY || kind == EMU_DONE);
		assert_int_equal(em.v.gpr[REG_RDI] - DEV + em.v.gpr[REG_RCX], 3000);
		assert_int_equal(em.reg[REG_INT_SHADOW], 8); /* STI's is over, NMI's is not */
	} while (kind == EMU_RETRY);
	assert_int_equal(calls, 3);
	assert_int_equal(em.v.exit.insn_len, 2);
	assert_int_equal(em.buffer[2999], 0x5a);
	assert_int_equal(em.buffer[3000], 0);
}

static void a_single_step_is_one_iteration(void **state)
{
	(void)state;
	em.reg[REG_RFLAGS] = 0x102;
	em.v.gpr[REG_RDI] = DEV;
	em.v.gpr[REG_RCX] = 2;
	assert_int_equal(RUN(0xf3, 0xaa), EMU_DONE);
	assert_int_equal(em.v.exit.insn_len, 0);
	assert_int_equal(em.v.gpr[REG_RCX], 1);
	assert_int_equal(RUN(0xf3, 0xaa), EMU_DONE);
	assert_int_equal(em.v.exit.insn_len, 2);
	assert_int_equal(em.v.gpr[REG_RCX], 0);
}

static void scas_stops_where_it_finds(void **state)
{
	(void)state;
	em.buffer[5] = 0x42;
	em.v.gpr[REG_RAX] = 0x42;
	em.v.gpr[REG_RDI] = DEV;
	em.v.gpr[REG_RCX] = 100;
	assert_int_equal(RUN(0xf2, 0xae), EMU_DONE);
	assert_int_equal(em.v.gpr[REG_RCX], 94);
	assert_int_equal(em.v.gpr[REG_RDI], DEV + 6);
	assert_int_equal(em.reg[REG_RFLAGS], 0x46);
}

static void strings_wrap_within_their_address_size(void **state)
{
	(void)state;
	em.v.gpr[REG_RDI] = 0x1234ffff;
	em.v.gpr[REG_RCX] = 0xabcd0002;
	em.v.gpr[REG_RAX] = 1;
	em.segment[SEG_ES].base = EM_MMIO - 0xe000;
	assert_int_equal(RUN(0x67, 0xf3, 0xaa), EMU_DONE);
	assert_int_equal(em.v.gpr[REG_RDI], 0x12340001);
	assert_int_equal(em.v.gpr[REG_RCX], 0xabcd0000);
	assert_int_equal(em.buffer[0x1fff], 1);
}

int main(void)
{
#define T64(f) cmocka_unit_test_setup(f, setup_64)
#define T32(f) cmocka_unit_test_setup(f, setup_32)
	const struct CMUnitTest tests[] = {
		T32(segments_are_checked_outside_64_bit_mode),
		T32(real_mode_reaches_devices_through_big_segments),
		T32(linear_addresses_wrap_at_4_gib),
		T64(rep_movs_between_ram_and_device),
		T64(a_fault_in_mid_string_keeps_what_was_done),
		T64(long_strings_are_done_in_parts),
		T64(a_single_step_is_one_iteration),
		T64(scas_stops_where_it_finds),
		T32(strings_wrap_within_their_address_size),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
