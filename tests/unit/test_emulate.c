/*
 * core/emulate.c and what belongs to it, in 64-bit mode: accesses to a device seen from the
 * device, page borders, exceptions with their order, the cache of decoded instructions. Arithmetic
 * is compared with a CPU in test_emulate_oracle.c.
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

static void moves_reach_the_device_in_one_access(void **state)
{
	(void)state;
	for (unsigned with_hint = 0; with_hint < 2; with_hint++) {
		setup_64(NULL);
		if (with_hint)
			hint(DEV + 0x20, EM_MMIO + 0x20, FAULT_READ | FAULT_WRITE);
		memset(em.buffer + 0x20, 0x81, 8);
		em.v.gpr[REG_RAX] = DEV;
		em.v.gpr[REG_RCX] = ~0ul;
		for (unsigned twice = 0; twice < 2; twice++) { /* the second time from the cache */
			em.log_count = 0;
			assert_int_equal(RUN(0x8b, 0x48, 0x20), EMU_DONE); /* mov ecx, [rax+20h] */
			assert_int_equal(em.v.exit.insn_len, 3);
			assert_int_equal(em.log_count, 1);
			assert_log(0, false, 0x20, 4, 0x81818181);
			assert_int_equal(em.v.gpr[REG_RCX], 0x81818181); /* upper half cleared */
			em.v.gpr[REG_RCX] = ~0ul;
		}
		em.log_count = 0;
		assert_int_equal(RUN(0x66, 0x8b, 0x48, 0x20), EMU_DONE);
		assert_log(0, false, 0x20, 2, 0x8181);
		assert_int_equal(em.v.gpr[REG_RCX], 0xffffffffffff8181);
		assert_int_equal(RUN(0x8a, 0x68, 0x20), EMU_DONE); /* mov ch, [rax+20h] */
		assert_int_equal(em.v.gpr[REG_RCX], 0xffffffffffff8181);
		em.v.gpr[REG_RCX] = 0x1122334455667788;
		em.log_count = 0;
		assert_int_equal(RUN(0x48, 0x89, 0x48, 0x20), EMU_DONE);
		assert_int_equal(RUN(0x89, 0x48, 0x20), EMU_DONE);
		assert_int_equal(RUN(0x89, 0x48, 0x20), EMU_DONE);
		assert_int_equal(RUN(0xc7, 0x40, 0x20, 0xfe, 0xff, 0xff, 0xff), EMU_DONE);
		assert_int_equal(RUN(0x48, 0xc7, 0x40, 0x20, 0xfe, 0xff, 0xff, 0xff), EMU_DONE);
		assert_int_equal(RUN(0x48, 0xc7, 0x40, 0x20, 0xfe, 0xff, 0xff, 0xff), EMU_DONE);
		assert_log(0, true, 0x20, 8, 0x1122334455667788);
		assert_log(1, true, 0x20, 4, 0x55667788);
		assert_log(2, true, 0x20, 4, 0x55667788);
		assert_log(3, true, 0x20, 4, 0xfffffffe);
		assert_log(4, true, 0x20, 8, 0xfffffffffffffffe);
		assert_log(5, true, 0x20, 8, 0xfffffffffffffffe);
		assert_int_equal(em.log_count, 6);
	}
}

static void read_modify_write_is_a_read_and_a_write(void **state)
{
	(void)state;
	em.buffer[0x10] = 0xf0;
	em.v.gpr[REG_RAX] = DEV;
	em.reg[REG_RFLAGS] = 0x202 | 0x8d5;
	assert_int_equal(RUN(0xf0, 0x83, 0x48, 0x10, 0x01), EMU_DONE); /* lock or d[rax+10h], 1 */
	assert_int_equal(em.log_count, 2);
	assert_log(0, false, 0x10, 4, 0xf0);
	assert_log(1, true, 0x10, 4, 0xf1);
	assert_int_equal(em.reg[REG_RFLAGS], 0x202);
	em.log_count = 0;
	assert_int_equal(RUN(0xf7, 0x40, 0x10, 0x01, 0, 0, 0), EMU_DONE); /* test: no write */
	assert_int_equal(em.log_count, 1);
	assert_int_equal(em.reg[REG_RFLAGS], 0x202);
	assert_int_equal(RUN(0x80, 0x78, 0x10, 0xf1), EMU_DONE); /* cmp: equal */
	assert_int_equal(em.log_count, 2);
	assert_int_equal(em.reg[REG_RFLAGS], 0x246);
}

static void a_failed_cmpxchg_writes_the_old_value(void **state)
{
	(void)state;
	em.buffer[0] = 7;
	em.v.gpr[REG_RBX] = DEV;
	em.v.gpr[REG_RAX] = 8;
	assert_int_equal(RUN(0xf0, 0x0f, 0xb1, 0x0b), EMU_DONE);
	assert_log(1, true, 0, 4, 7);
	assert_int_equal(em.v.gpr[REG_RAX], 7);
}

static void an_access_across_pages_goes_to_each_its_part(void **state)
{
	(void)state;
	/* The last 3 bytes of the device's second page, and 5 of RAM. */
	memcpy(em.buffer + 0x1ffd, "\x11\x22\x33", 3);
	memcpy(em_high + 0x3000, "\x44\x55\x66\x77\x88", 5);
	em.v.gpr[REG_RAX] = DEV + 0x1ffd;
	assert_int_equal(RUN(0x48, 0x8b, 0x08), EMU_DONE);
	assert_int_equal(em.v.gpr[REG_RCX], 0x8877665544332211);
	assert_int_equal(em.log_count, 2); /* by powers of two, at their alignment */
	assert_log(0, false, 0x1ffd, 1, 0x11);
	assert_log(1, false, 0x1ffe, 2, 0x3322);
	em.log_count = 0;
	em.v.gpr[REG_RCX] = 0x0807060504030201;
	assert_int_equal(RUN(0x48, 0x89, 0x08), EMU_DONE);
	assert_log(0, true, 0x1ffd, 1, 0x01);
	assert_log(1, true, 0x1ffe, 2, 0x0302);
	assert_memory_equal(em_high + 0x3000, "\x04\x05\x06\x07\x08", 5);
	/* Between two pages of the device. */
	em.log_count = 0;
	em.v.gpr[REG_RAX] = DEV + 0xffe;
	assert_int_equal(RUN(0x89, 0x08), EMU_DONE);
	assert_log(0, true, 0xffe, 2, 0x0201);
	assert_log(1, true, 0x1000, 2, 0x0403);
	assert_int_equal(em.log_count, 2);
}

static void the_hint_counts_for_its_page_only(void **state)
{
	(void)state;
	hint(DEV + 0x1000, EM_MMIO + 0x1000, FAULT_WRITE); /* the second part faulted */
	em.v.gpr[REG_RAX] = DEV + 0xffe;
	em.v.gpr[REG_RCX] = 0x04030201;
	for (unsigned twice = 0; twice < 2; twice++) {
		em.log_count = 0;
		assert_int_equal(RUN(0x89, 0x08), EMU_DONE);
		assert_log(0, true, 0xffe, 2, 0x0201);
		assert_log(1, true, 0x1000, 2, 0x0403);
	}
	hint(DEV + 0xffe, EM_MMIO + 0xffe, FAULT_WRITE); /* and now the first one did */
	em_map(DEV + 0x1000, EM_MMIO + 0x2000, 3 | A_D);
	em.log_count = 0;
	assert_int_equal(RUN(0x89, 0x08), EMU_DONE);
	assert_log(0, true, 0xffe, 2, 0x0201);
	assert_log(1, true, 0x2000, 2, 0x0403);
	/* A hint for reading does not allow writing: the page table says no. */
	em_map(DEV, EM_MMIO, 1 | A_D);
	hint(DEV, EM_MMIO, FAULT_READ);
	em.log_count = 0;
	em.v.gpr[REG_RAX] = DEV;
	for (unsigned twice = 0; twice < 2; twice++)
		assert_exception(RUN(0x89, 0x08), EXC_PF, PF_P | PF_W, DEV);
	/* For the same reason one of a page walk says nothing on the operand. */
	hint(DEV, EM_MMIO, FAULT_WRITE);
	em.v.exit.fault.page_walk = true;
	for (unsigned twice = 0; twice < 2; twice++)
		assert_exception(RUN(0x89, 0x08), EXC_PF, PF_P | PF_W, DEV);
}

static void nothing_happens_before_all_rights_are_checked(void **state)
{
	(void)state;
	/* Device page, then nothing: the fault is in the second page, and tells its address. */
	em_map(DEV_RAM, 0, 0);
	em.v.gpr[REG_RAX] = DEV + 0x1ffe;
	assert_exception(RUN(0x89, 0x08), EXC_PF, PF_W, DEV_RAM);
	assert_exception(RUN(0x8b, 0x08), EXC_PF, 0, DEV_RAM);
	/* Read-modify-write needs the right to write before it reads. */
	em_map(DEV, EM_MMIO, 1 | A_D);
	em.v.gpr[REG_RAX] = DEV;
	assert_exception(RUN(0x83, 0x08, 0x01), EXC_PF, PF_P | PF_W, DEV);
	assert_exception(RUN(0x87, 0x08), EXC_PF, PF_P | PF_W, DEV);
	assert_exception(RUN(0x0f, 0xab, 0x08), EXC_PF, PF_P | PF_W, DEV);
}

static void user_mode_has_user_rights(void **state)
{
	(void)state;
	em.segment[SEG_CS].attr |= 3 << 5;
	em.segment[SEG_SS].attr |= 3 << 5;
	em.v.gpr[REG_RAX] = DEV;
	assert_exception(RUN(0x8b, 0x08), EXC_PF, PF_P | PF_U, DEV);
	/* Conforming code: SS has the privilege level, CS another. */
	em.segment[SEG_CS].attr = (uint16_t)((em.segment[SEG_CS].attr & 0xff9f) | 4);
	assert_exception(RUN(0x8b, 0x08), EXC_PF, PF_P | PF_U, DEV);
	em.segment[SEG_SS].attr &= 0xff9f;
	assert_int_equal(RUN(0x8b, 0x08), EMU_DONE);
}

static void rom_is_read_and_writes_are_dropped(void **state)
{
	(void)state;
	em_rom[0x10] = 0x5a;
	em.v.gpr[REG_RAX] = ROM;
	hint(ROM + 0x10, EM_ROM + 0x10, FAULT_WRITE);
	em.v.exit.fault.allowed = FAULT_READ | FAULT_EXEC;
	for (unsigned twice = 0; twice < 2; twice++)
		assert_int_equal(RUN(0xc7, 0x40, 0x10, 1, 2, 3, 4), EMU_DONE);
	assert_int_equal(em_rom[0x10], 0x5a);
	assert_int_equal(RUN(0x80, 0x40, 0x10, 1), EMU_DONE); /* add: flags as if written */
	assert_int_equal(em_rom[0x10], 0x5a);
	assert_int_equal(em.log_count, 0);
}

static void nobodys_addresses_read_as_ones(void **state)
{
	(void)state;
	em_map(DEV, 0xd0000000, 3 | A_D);
	em.v.gpr[REG_RAX] = DEV;
	assert_int_equal(RUN(0x8b, 0x08), EMU_DONE);
	assert_int_equal(em.v.gpr[REG_RCX], 0xffffffff);
	assert_int_equal(RUN(0x89, 0x08), EMU_DONE);
}

static void addresses_must_be_canonical(void **state)
{
	(void)state;
	em.v.gpr[REG_RAX] = 0x0000800000000000;
	assert_exception(RUN(0x8b, 0x08), EXC_GP, 0, 0);
	em.v.gpr[REG_RAX] = 0x00007ffffffffffd; /* its last byte is not */
	assert_exception(RUN(0x8b, 0x08), EXC_GP, 0, 0);
	em.v.gpr[REG_RBP] = 0xffff000000000000;
	assert_exception(RUN(0x8b, 0x4d, 0x00), EXC_SS, 0, 0);
}

static void fs_and_gs_have_bases_in_64_bit_mode(void **state)
{
	(void)state;
	em.segment[SEG_GS].base = DEV;
	em.segment[SEG_DS].base = 0x123000; /* means nothing */
	em.buffer[8] = 9;
	em.v.gpr[REG_RAX] = 8;
	hint(8, EM_MMIO + 0x1000, FAULT_READ); /* as if it were for the offset: not used */
	for (unsigned twice = 0; twice < 2; twice++) {
		assert_int_equal(RUN(0x65, 0x8b, 0x08), EMU_DONE);
		assert_int_equal(em.v.gpr[REG_RCX], 9);
	}
}

static void rip_relative_counts_from_the_next_instruction(void **state)
{
	uint8_t code[10] = {0xc7, 0x05, 0, 0, 0, 0, 0x78, 0x56, 0x34, 0x12};
	int32_t disp = 0x10000 - 10 + 0x24;

	(void)state;
	em_map(CODE + 0x10000, EM_MMIO, 3 | A_D);
	memcpy(code + 2, &disp, 4);
	hint(CODE + 0x10024, EM_MMIO + 0x24, FAULT_WRITE);
	for (unsigned twice = 0; twice < 2; twice++) {
		assert_int_equal(run_bytes(code, 10), EMU_DONE);
		assert_log(twice, true, 0x24, 4, 0x12345678);
	}
}

static void rsp_works_as_base_and_as_operand(void **state)
{
	(void)state;
	em.reg[REG_RSP] = DEV;
	em.v.gpr[REG_RSP] = 0xbad;
	memcpy(em.buffer, &(uint64_t){0x1234567890}, 8);
	hint(DEV, EM_MMIO, FAULT_READ);
	for (unsigned twice = 0; twice < 2; twice++) {
		assert_int_equal(RUN(0x48, 0x8b, 0x0c, 0x24), EMU_DONE); /* mov rcx, [rsp] */
		assert_int_equal(em.v.gpr[REG_RCX], 0x1234567890);
	}
	for (unsigned twice = 0; twice < 2; twice++) {
		em.v.gpr[REG_RCX] = DEV;
		em.reg[REG_RSP] = DEV;
		assert_int_equal(RUN(0x48, 0x8b, 0x21), EMU_DONE); /* mov rsp, [rcx] */
		assert_int_equal(em.reg[REG_RSP], 0x1234567890);
	}
	for (unsigned twice = 0; twice < 2; twice++) {
		assert_int_equal(RUN(0x48, 0x89, 0x21), EMU_DONE); /* mov [rcx], rsp */
		assert_log(em.log_count - 1, true, 0, 8, 0x1234567890);
	}
}

static void push_and_pop_between_device_and_stack(void **state)
{
	(void)state;
	em.reg[REG_RSP] = RAM + 8;
	em.v.gpr[REG_RAX] = DEV;
	memcpy(em.buffer, "ABCDEFGH", 8);
	assert_int_equal(RUN(0xff, 0x30), EMU_DONE);
	assert_int_equal(em.reg[REG_RSP], RAM);
	assert_memory_equal(em_ram(RAM_GPA), "ABCDEFGH", 8);
	memcpy(em_ram(RAM_GPA), "abcdefgh", 8);
	assert_int_equal(RUN(0x8f, 0x00), EMU_DONE);
	assert_int_equal(em.reg[REG_RSP], RAM + 8);
	assert_memory_equal(em.buffer, "abcdefgh", 8);
	/* A fault of the stack comes before the device is read; RSP stays. */
	em.log_count = 0;
	em.reg[REG_RSP] = 0x1000;
	assert_exception(RUN(0xff, 0x30), EXC_PF, PF_W, 0xff8);
	assert_int_equal(em.reg[REG_RSP], 0x1000);
	/* POP to a place that faults leaves RSP. */
	em.reg[REG_RSP] = RAM;
	em.v.gpr[REG_RAX] = 0x5000;
	assert_exception(RUN(0x8f, 0x00), EXC_PF, PF_W, 0x5000);
	assert_int_equal(em.reg[REG_RSP], RAM);
	/* POP [rsp]: the address counts from after the POP. */
	assert_int_equal(RUN(0x8f, 0x04, 0x24), EMU_DONE);
	assert_int_equal(em.reg[REG_RSP], RAM + 8);
	assert_memory_equal(em_ram(RAM_GPA) + 8, "abcdefgh", 8);
}

static void code_across_pages_is_fetched_from_both(void **state)
{
	static const uint8_t code[] = {0x48, 0x8b, 0x88, 0x20, 0, 0, 0};

	(void)state;
	em.v.gpr[REG_RAX] = DEV;
	em.buffer[0x20] = 3;
	for (unsigned n = 0; n < sizeof(code); n++) { /* n bytes in the first page */
		memcpy(em_high + 0x2000 - n, code, sizeof(code));
		em.reg[REG_RIP] = CODE + 0x1000 - n;
		em.v.gpr[REG_RCX] = 0;
		assert_int_equal(emulate_insn(&em.env, &em.result), EMU_DONE);
		assert_int_equal(em.v.exit.insn_len, sizeof(code));
		assert_int_equal(em.v.gpr[REG_RCX], 3);
	}
	/* The second page is asked for only if it is needed. */
	em.log_count = 0;
	em_map(CODE + 0x1000, 0, 0);
	em.reg[REG_RIP] = CODE + 0x1000 - 7;
	memcpy(em_high + 0x2000 - 7, code, 7);
	assert_int_equal(emulate_insn(&em.env, &em.result), EMU_DONE);
	em.log_count = 0;
	em.reg[REG_RIP] = CODE + 0x1000 - 6;
	memcpy(em_high + 0x2000 - 6, code, 6);
	assert_exception(emulate_insn(&em.env, &em.result), EXC_PF, PF_I, CODE + 0x1000);
}

static void what_is_not_known_is_shown(void **state)
{
	(void)state;
	assert_int_equal(RUN(0x0f, 0x28, 0x00, 0x11, 0x22, 0x33, 0x44), EMU_UNKNOWN);
	assert_int_equal(em.result.byte_count, 15);
	assert_memory_equal(em.result.byte, "\x0f\x28\x00\x11\x22\x33\x44", 7);
	em_map(CODE, EM_MMIO, 3); /* code in a device */
	assert_int_equal(emulate_insn(&em.env, &em.result), EMU_UNKNOWN);
	assert_int_equal(em.result.byte_count, 0);
}

static void bad_encodings_raise_what_the_cpu_raises(void **state)
{
	uint8_t prefixes[15];

	(void)state;
	memset(prefixes, 0x2e, sizeof(prefixes));
	assert_exception(RUN(0xf0, 0x8b, 0x08), EXC_UD, 0, 0);
	assert_exception(run_bytes(prefixes, sizeof(prefixes)), EXC_GP, 0, 0);
}

static void the_cache_sees_new_code_and_new_tables(void **state)
{
	(void)state;
	em.v.gpr[REG_RAX] = DEV;
	em.buffer[0] = 1;
	em.buffer[4] = 2;
	hint(DEV, EM_MMIO, FAULT_READ);
	for (unsigned twice = 0; twice < 2; twice++)
		assert_int_equal(RUN(0x8b, 0x08), EMU_DONE);
	assert_int_equal(em.v.gpr[REG_RCX], 1);
	assert_int_equal(RUN(0x8b, 0x48, 0x04), EMU_DONE); /* other bytes in the same place */
	assert_int_equal(em.v.gpr[REG_RCX], 2);
	for (unsigned shift = 12; shift <= 39; shift += 9) { /* the same address, another page */
		uint64_t *e = em_entry(CODE, shift), old = *e;
		uint64_t copy = em_table_new();

		memcpy(em_ram(copy), em_ram(old & 0xffffffffff000), 4096);
		*e = copy | 3 | A_D;
		if (shift == 12)
			memcpy(em_ram(copy), "\x8b\x50\x04", 3); /* mov edx, [rax+4] */
		else
			memcpy(em_high + 0x1000, "\x8b\x50\x04", 3);
		em.v.gpr[REG_RDX] = 0;
		assert_int_equal(emulate_insn(&em.env, &em.result), EMU_DONE);
		assert_int_equal(em.v.gpr[REG_RDX], 2);
		*e = old;
		assert_int_equal(RUN(0x8b, 0x48, 0x04), EMU_DONE);
	}
	/* Other tables altogether, in which the same address is another page. */
	uint64_t old_cr3 = em.reg[REG_CR3];

	em.reg[REG_CR3] = 0;
	em_map(CODE, EM_HIGH + 0x9000, 3 | A_D);
	memcpy(em_high + 0x9000, "\x8b\x70\x04", 3); /* mov esi, [rax+4] */
	assert_int_equal(emulate_insn(&em.env, &em.result), EMU_DONE);
	assert_int_equal(em.v.gpr[REG_RSI], 2);
	em.reg[REG_CR3] = old_cr3;
	*em_entry(CODE, 12) = 0;
	em.log_count = 0;
	assert_exception(emulate_insn(&em.env, &em.result), EXC_PF, PF_I, CODE);
}

static void the_cache_knows_the_mode(void **state)
{
	(void)state;
	/* 48 8b 08: MOV RCX, [RAX]; in 32-bit code DEC EAX, which is none of ours. */
	em_map(0x8000, EM_HIGH + 0x1000, 3);
	em.reg[REG_RIP] = 0x8000;
	em.v.gpr[REG_RAX] = DEV;
	hint(DEV, EM_MMIO, FAULT_READ);
	for (unsigned twice = 0; twice < 2; twice++)
		assert_int_equal(RUN(0x48, 0x8b, 0x08), EMU_DONE);
	em.segment[SEG_CS].attr = EM_CODE32;
	assert_int_equal(RUN(0x48, 0x8b, 0x08), EMU_UNKNOWN);
	em.segment[SEG_CS].attr = EM_CODE64;
	assert_int_equal(RUN(0x48, 0x8b, 0x08), EMU_DONE);
}

static void emulation_works_without_a_cache(void **state)
{
	(void)state;
	em.env.cache = NULL;
	em.v.gpr[REG_RAX] = DEV;
	em.buffer[0] = 1;
	hint(DEV, EM_MMIO, FAULT_READ);
	assert_int_equal(RUN(0x8b, 0x08), EMU_DONE);
	assert_int_equal(em.v.gpr[REG_RCX], 1);
}

int main(void)
{
#define T64(f) cmocka_unit_test_setup(f, setup_64)
	const struct CMUnitTest tests[] = {
		T64(moves_reach_the_device_in_one_access),
		T64(read_modify_write_is_a_read_and_a_write),
		T64(a_failed_cmpxchg_writes_the_old_value),
		T64(an_access_across_pages_goes_to_each_its_part),
		T64(the_hint_counts_for_its_page_only),
		T64(nothing_happens_before_all_rights_are_checked),
		T64(user_mode_has_user_rights),
		T64(rom_is_read_and_writes_are_dropped),
		T64(nobodys_addresses_read_as_ones),
		T64(addresses_must_be_canonical),
		T64(fs_and_gs_have_bases_in_64_bit_mode),
		T64(rip_relative_counts_from_the_next_instruction),
		T64(rsp_works_as_base_and_as_operand),
		T64(push_and_pop_between_device_and_stack),
		T64(code_across_pages_is_fetched_from_both),
		T64(what_is_not_known_is_shown),
		T64(bad_encodings_raise_what_the_cpu_raises),
		T64(the_cache_sees_new_code_and_new_tables),
		T64(the_cache_knows_the_mode),
		T64(emulation_works_without_a_cache),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
