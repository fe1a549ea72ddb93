/*
 * core/string_io.c: INS and OUTS in each address size and direction, page crossings, faults in
 * mid-string, parts, single steps; and what IN does to RAX.
 *
 * needs: core/gwalk.c core/decode.c core/emu_mem.c core/emu_alu.c
 * needs: core/emu_string.c core/string_io.c core/io_bus.c mm/gmem.c
 * needs: tests/fake/spinlock.c tests/fake/panic.c
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "emu_machine.h"

/* Three pages; the physical ones lie in reverse order. */
#define BUF	0xffff800000100000ul
#define BUF_GPA (EM_HIGH + 0x6000)
#define A_D	0x60ul

static int setup_64(void **state)
{
	(void)state;
	em_reset();
	em_mode_64();
	for (unsigned i = 0; i < 3; i++)
		em_map(BUF + i * 0x1000, BUF_GPA - i * 0x1000, 3 | A_D);
	for (unsigned i = 0; i < sizeof(em.port_data); i++)
		em.port_data[i] = (uint8_t)(i * 7 + i / 256);
	return 0;
}

static int setup_32(void **state)
{
	setup_64(state);
	em_mode_32();
	em.reg[REG_CR0] = CR0_PE;
	em.reg[REG_EFER] = 0;
	return 0;
}

/* Guest memory by its linear address within BUF. */
static uint8_t *buf(uint64_t offset)
{
	return em_ram(BUF_GPA - offset / 0x1000 * 0x1000 + offset % 0x1000);
}

static enum emu_kind string(bool in, unsigned size, bool rep, unsigned addr_size, unsigned segment)
{
	em.v.exit = (struct vcpu_exit){
		.kind = EXIT_PORT,
		.insn_len = 3,
		.port = {.port = EM_PORT,
			 .size = (uint8_t)size,
			 .in = in,
			 .string = true,
			 .rep = rep,
			 .addr_size = (uint8_t)addr_size,
			 .segment = (uint8_t)segment},
	};
	return string_io(&em.env, STRING_IO_MAX, &em.result);
}

static void assert_exception(enum emu_kind kind, unsigned vector, uint32_t error, uint64_t cr2)
{
	assert_int_equal(kind, EMU_EXCEPTION);
	assert_int_equal(em.result.vector, vector);
	assert_true(em.result.has_error);
	assert_int_equal(em.result.error, error);
	if (vector == EXC_PF)
		assert_int_equal(em.result.cr2, cr2);
}

static void rep_ins_fills_memory_in_one_call_of_the_device(void **state)
{
	(void)state;
	em.v.gpr[REG_RDI] = BUF + 0x200;
	em.v.gpr[REG_RCX] = 128;
	assert_int_equal(string(true, 4, true, 8, SEG_ES), EMU_DONE);
	assert_memory_equal(buf(0x200), em.port_data, 512);
	assert_int_equal(*buf(0x1ff), 0);
	assert_int_equal(*buf(0x400), 0);
	assert_int_equal(em.v.gpr[REG_RDI], BUF + 0x400);
	assert_int_equal(em.v.gpr[REG_RCX], 0);
	assert_int_equal(em.v.exit.insn_len, 3);
	assert_int_equal(em.port_many_calls, 1);
}

static void rep_outs_sends_memory(void **state)
{
	uint8_t want[300];

	(void)state;
	for (unsigned i = 0; i < sizeof(want); i++)
		*buf(0xf00 + i) = want[i] = (uint8_t)(i ^ 0x5a);
	em.v.gpr[REG_RSI] = BUF + 0xf00;
	em.v.gpr[REG_RCX] = 150;
	assert_int_equal(string(false, 2, true, 8, SEG_DS), EMU_DONE);
	assert_memory_equal(em.port_data, want, sizeof(want));
	assert_int_equal(em.v.gpr[REG_RSI], BUF + 0xf00 + 300);
	assert_int_equal(em.port_many_calls, 2); /* one for each page */
}

static void without_rep_one_item_moves_and_the_count_stays(void **state)
{
	(void)state;
	em.v.gpr[REG_RDI] = BUF;
	em.v.gpr[REG_RCX] = 77;
	assert_int_equal(string(true, 2, false, 8, SEG_ES), EMU_DONE);
	assert_memory_equal(buf(0), em.port_data, 2);
	assert_int_equal(*buf(2), 0);
	assert_int_equal(em.v.gpr[REG_RDI], BUF + 2);
	assert_int_equal(em.v.gpr[REG_RCX], 77);
}

static void a_count_of_zero_does_nothing(void **state)
{
	(void)state;
	em.v.gpr[REG_RDI] = 0x5555; /* not mapped */
	assert_int_equal(string(true, 4, true, 8, SEG_ES), EMU_DONE);
	assert_int_equal(em.port_calls, 0);
	em.v.gpr[REG_RCX] = 0x100000000; /* ECX is 0 */
	assert_int_equal(string(true, 4, true, 4, SEG_ES), EMU_DONE);
	assert_int_equal(em.port_calls, 0);
	assert_int_equal(em.v.gpr[REG_RDI], 0x5555);
}

static void downwards_each_item_stays_in_order(void **state)
{
	(void)state;
	em.reg[REG_RFLAGS] = 0x402;
	em.v.gpr[REG_RDI] = BUF + 0x100c;
	em.v.gpr[REG_RCX] = 8;
	assert_int_equal(string(true, 4, true, 8, SEG_ES), EMU_DONE);
	for (unsigned i = 0; i < 8; i++)
		assert_memory_equal(buf(0x100c - 4 * i), em.port_data + 4 * i, 4);
	assert_int_equal(em.v.gpr[REG_RDI], BUF + 0x100c - 32);
	em.port_at = 1000;
	em.v.gpr[REG_RSI] = BUF + 0x100c;
	em.v.gpr[REG_RCX] = 8;
	assert_int_equal(string(false, 4, true, 8, SEG_DS), EMU_DONE);
	assert_memory_equal(em.port_data + 1000, em.port_data, 32);
}

static void an_item_across_pages_is_whole(void **state)
{
	(void)state;
	em.v.gpr[REG_RDI] = BUF + 0xff2; /* the fourth item lies in both */
	em.v.gpr[REG_RCX] = 6;
	assert_int_equal(string(true, 4, true, 8, SEG_ES), EMU_DONE);
	for (unsigned i = 0; i < 24; i++)
		assert_int_equal(*buf(0xff2 + i), em.port_data[i]);
	assert_int_equal(*buf(0xff1), 0);
	em.port_at = 2000;
	em.v.gpr[REG_RSI] = BUF + 0xff2;
	em.v.gpr[REG_RCX] = 6;
	assert_int_equal(string(false, 4, true, 8, SEG_DS), EMU_DONE);
	assert_memory_equal(em.port_data + 2000, em.port_data, 24);
}

static void a_fault_in_mid_string_leaves_the_rest(void **state)
{
	(void)state;
	em.v.gpr[REG_RDI] = BUF + 0x2ff6;
	em.v.gpr[REG_RCX] = 100;
	assert_exception(string(true, 4, true, 8, SEG_ES), EXC_PF, PF_W, BUF + 0x3000);
	assert_int_equal(em.v.gpr[REG_RDI], BUF + 0x2ffe);
	assert_int_equal(em.v.gpr[REG_RCX], 98);
	assert_int_equal(em.port_calls, 2); /* nothing was taken from the device for what faulted */
	/* Mapped by the guest's handler, the rest follows. */
	em_map(BUF + 0x3000, EM_HIGH + 0xa000, 3);
	assert_int_equal(string(true, 4, true, 8, SEG_ES), EMU_DONE);
	assert_int_equal(em.v.gpr[REG_RDI], BUF + 0x2ff6 + 400);
	assert_memory_equal(buf(0x2ff6), em.port_data, 10);
	assert_memory_equal(em_ram(EM_HIGH + 0xa000), em.port_data + 10, 390);
}

static void a_fault_at_once_changes_nothing(void **state)
{
	(void)state;
	em.v.gpr[REG_RSI] = 0x5000;
	em.v.gpr[REG_RCX] = 4;
	assert_exception(string(false, 1, true, 8, SEG_DS), EXC_PF, 0, 0x5000);
	assert_int_equal(em.v.gpr[REG_RSI], 0x5000);
	assert_int_equal(em.v.gpr[REG_RCX], 4);
	assert_int_equal(em.port_calls, 0);
	em_map(BUF, BUF_GPA, 1);
	em.v.gpr[REG_RDI] = BUF;
	assert_exception(string(true, 1, true, 8, SEG_ES), EXC_PF, PF_P | PF_W, BUF);
	em.segment[SEG_CS].attr |= 3 << 5;
	assert_exception(string(true, 1, true, 8, SEG_ES), EXC_PF, PF_P | PF_W | PF_U, BUF);
	assert_int_equal(em.port_calls, 0);
}

static void long_strings_are_done_in_parts(void **state)
{
	unsigned calls = 1;

	(void)state;
	em.v.gpr[REG_RDI] = BUF + 0x10;
	em.v.gpr[REG_RCX] = 2500;
	em.reg[REG_INT_SHADOW] = 1;
	for (; string(true, 4, true, 8, SEG_ES) == EMU_RETRY; calls++) {
		assert_int_equal((em.v.gpr[REG_RDI] - BUF - 0x10) / 4, 2500 - em.v.gpr[REG_RCX]);
		assert_int_equal(em.reg[REG_INT_SHADOW], 0);
		assert_int_equal(em.v.gpr[REG_RCX], 2500 - 1024 * calls);
	}
	assert_int_equal(calls, 3);
	assert_int_equal(em.v.gpr[REG_RCX], 0);
	for (unsigned i = 0; i < 10000; i++)
		assert_int_equal(*buf(0x10 + i), em.port_data[i]);
}

static void a_single_step_is_one_item(void **state)
{
	(void)state;
	em.reg[REG_RFLAGS] = 0x102;
	em.v.gpr[REG_RDI] = BUF;
	em.v.gpr[REG_RCX] = 2;
	assert_int_equal(string(true, 4, true, 8, SEG_ES), EMU_DONE);
	assert_int_equal(em.v.exit.insn_len, 0); /* RIP stays */
	assert_int_equal(em.v.gpr[REG_RCX], 1);
	assert_int_equal(string(true, 4, true, 8, SEG_ES), EMU_DONE);
	assert_int_equal(em.v.exit.insn_len, 3);
	assert_int_equal(em.v.gpr[REG_RCX], 0);
}

static void addresses_of_32_bits_in_64_bit_mode_are_zero_extended(void **state)
{
	(void)state;
	em_map(0xfffff000, BUF_GPA, 3);
	em_map(0, BUF_GPA - 0x1000, 3);
	em.v.gpr[REG_RDI] = 0xaaaaaaaafffffff8;
	em.v.gpr[REG_RCX] = 0xbbbbbbbb00000004;
	assert_int_equal(string(true, 4, true, 4, SEG_ES), EMU_DONE);
	assert_int_equal(em.v.gpr[REG_RDI], 8); /* wrapped, upper half cleared */
	assert_int_equal(em.v.gpr[REG_RCX], 0);
	assert_memory_equal(em_ram(BUF_GPA + 0xff8), em.port_data, 8);
	assert_memory_equal(em_ram(BUF_GPA - 0x1000), em.port_data + 8, 8);
}

static void canonical_checks_and_bases_in_64_bit_mode(void **state)
{
	(void)state;
	em.v.gpr[REG_RDI] = 0x0000800000000000;
	assert_exception(string(true, 1, false, 8, SEG_ES), EXC_GP, 0, 0);
	em.v.gpr[REG_RSI] = 0x00007fffffffffff;
	assert_exception(string(false, 2, false, 8, SEG_DS), EXC_GP, 0, 0);
	assert_exception(string(false, 2, false, 8, SEG_SS), EXC_SS, 0, 0);
	em.segment[SEG_FS].base = BUF;
	em.segment[SEG_DS].base = 0x777000; /* means nothing */
	em.v.gpr[REG_RSI] = 0x10;
	*buf(0x10) = 0x99;
	assert_int_equal(string(false, 1, false, 8, SEG_FS), EMU_DONE);
	assert_int_equal(em.port_data[0], 0x99);
}

static void segment_limits_stop_strings(void **state)
{
	(void)state;
	em.segment[SEG_ES] =
		(struct vcpu_segment){.base = EM_HIGH, .limit = 0x10, .attr = EM_DATA32};
	em.v.gpr[REG_RDI] = 0;
	em.v.gpr[REG_RCX] = 10;
	assert_exception(string(true, 4, true, 4, SEG_ES), EXC_GP, 0, 0);
	assert_int_equal(em.v.gpr[REG_RDI], 0x10); /* four items fit in 17 bytes */
	assert_int_equal(em.v.gpr[REG_RCX], 6);
	assert_memory_equal(em_ram(EM_HIGH), em.port_data, 16);
	assert_int_equal(em.port_calls, 4);
	em.segment[SEG_ES].attr = 0xc091; /* read-only */
	assert_exception(string(true, 4, true, 4, SEG_ES), EXC_GP, 0, 0);
	em.segment[SEG_SS] = em.segment[SEG_ES];
	em.v.gpr[REG_RSI] = 0x11;
	assert_exception(string(false, 1, false, 4, SEG_SS), EXC_SS, 0, 0);
	em.segment[SEG_DS].unusable = true;
	assert_exception(string(false, 1, false, 4, SEG_DS), EXC_GP, 0, 0);
}

static void addresses_of_16_bits_wrap_and_keep_the_rest(void **state)
{
	(void)state;
	em.segment[SEG_ES] = (struct vcpu_segment){.base = 0x1800, .limit = ~0u, .attr = EM_DATA32};
	em.v.gpr[REG_RDI] = 0x1234fffc;
	em.v.gpr[REG_RCX] = 0xabcd0003;
	assert_int_equal(string(true, 4, true, 2, SEG_ES), EMU_DONE);
	assert_int_equal(em.v.gpr[REG_RDI], 0x12340008);
	assert_int_equal(em.v.gpr[REG_RCX], 0xabcd0000);
	assert_memory_equal(em_ram(0x117fc), em.port_data, 4);
	assert_memory_equal(em_ram(0x1800), em.port_data + 4, 8);
	assert_int_equal(*em_ram(0x11800), 0);
	/* With the limit of real mode an item that sticks out faults. */
	em_reset();
	em.v.gpr[REG_RDI] = 0xfffe;
	assert_exception(string(true, 4, false, 2, SEG_ES), EXC_GP, 0, 0);
	assert_int_equal(string(true, 2, false, 2, SEG_ES), EMU_DONE);
	assert_int_equal(em.v.gpr[REG_RDI], 0);
}

static void memory_of_devices_and_rom_takes_items_one_by_one(void **state)
{
	(void)state;
	em.v.gpr[REG_RDI] = EM_MMIO + 4;
	em.v.gpr[REG_RCX] = 3;
	assert_int_equal(string(true, 4, true, 4, SEG_ES), EMU_DONE);
	assert_int_equal(em.log_count, 3);
	assert_memory_equal(em.buffer + 4, em.port_data, 12);
	em.v.gpr[REG_RDI] = EM_ROM;
	em.v.gpr[REG_RCX] = 3;
	assert_int_equal(string(true, 4, true, 4, SEG_ES), EMU_DONE);
	assert_int_equal(em_rom[0], 0);
	assert_int_equal(em.v.gpr[REG_RDI], EM_ROM + 12);
	em_rom[1] = 0x31;
	em.v.gpr[REG_RSI] = EM_ROM;
	em.v.gpr[REG_RCX] = 2;
	em.port_at = 0;
	assert_int_equal(string(false, 1, true, 4, SEG_DS), EMU_DONE);
	assert_int_equal(em.port_data[1], 0x31);
}

static void every_start_and_length_gives_the_same_bytes(void **state)
{
	(void)state;
	for (unsigned size = 1; size <= 4; size *= 2) {
		for (unsigned start = 0xfe0; start < 0x1010; start++) {
			for (unsigned count = 1; count < 12; count++) {
				memset(em_high, 0, 0x8000);
				em.port_at = 0;
				em.v.gpr[REG_RDI] = BUF + start;
				em.v.gpr[REG_RCX] = count;
				assert_int_equal(string(true, size, true, 8, SEG_ES), EMU_DONE);
				for (unsigned i = 0; i < count * size; i++)
					assert_int_equal(*buf(start + i), em.port_data[i]);
				assert_int_equal(*buf(start - 1), 0);
				assert_int_equal(*buf(start + count * size), 0);
			}
		}
	}
}

static void in_changes_what_its_size_says(void **state)
{
	(void)state;
	assert_int_equal(port_in_merge(0x1122334455667788, 1, 0xfffffaa), 0x11223344556677aa);
	assert_int_equal(port_in_merge(0x1122334455667788, 2, 0xfffbbaa), 0x112233445566bbaa);
	assert_int_equal(port_in_merge(0x1122334455667788, 4, 0xffeeddccbbaa), 0xddccbbaa);
}

int main(void)
{
#define T64(f) cmocka_unit_test_setup(f, setup_64)
#define T32(f) cmocka_unit_test_setup(f, setup_32)
	const struct CMUnitTest tests[] = {
		T64(rep_ins_fills_memory_in_one_call_of_the_device),
		T64(rep_outs_sends_memory),
		T64(without_rep_one_item_moves_and_the_count_stays),
		T64(a_count_of_zero_does_nothing),
		T64(downwards_each_item_stays_in_order),
		T64(an_item_across_pages_is_whole),
		T64(a_fault_in_mid_string_leaves_the_rest),
		T64(a_fault_at_once_changes_nothing),
		T64(long_strings_are_done_in_parts),
		T64(a_single_step_is_one_item),
		T64(addresses_of_32_bits_in_64_bit_mode_are_zero_extended),
		T64(canonical_checks_and_bases_in_64_bit_mode),
		T32(segment_limits_stop_strings),
		T32(addresses_of_16_bits_wrap_and_keep_the_rest),
		T32(memory_of_devices_and_rom_takes_items_one_by_one),
		T64(every_start_and_length_gives_the_same_bytes),
		cmocka_unit_test(in_changes_what_its_size_says),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
