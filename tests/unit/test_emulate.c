/*
 * core/emulate.c and what belongs to it: accesses to a device seen from the device, page and
 * segment borders, exceptions with their order, REP in parts, the cache of decoded instructions.
 * Arithmetic is compared with a CPU in test_emulate_oracle.c.
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

#include "emu_machine.h"

#define CODE	0xffff800000001000ul /* guest-linear; EM_HIGH + 1000h */
#define DEV	0xffff8000fee00000ul /* EM_MMIO, two pages; then RAM, then nothing */
#define DEV_RAM (DEV + 0x2000)
#define RAM	0xffff800000100000ul /* two pages of RAM, read-only for users */
#define ROM	0xffff800000200000ul
#define RAM_GPA (EM_HIGH + 0x4000)
#define A_D	0x60ul

static int setup_64(void **state)
{
	(void)state;
	em_reset();
	em_mode_64();
	em_map(CODE, EM_HIGH + 0x1000, 3 | A_D);
	em_map(CODE + 0x1000, EM_HIGH + 0x2000, 3 | A_D);
	em_map(DEV, EM_MMIO, 3 | A_D);
	em_map(DEV + 0x1000, EM_MMIO + 0x1000, 3 | A_D);
	em_map(DEV_RAM, EM_HIGH + 0x3000, 3 | A_D);
	em_map(RAM, RAM_GPA, 3 | A_D);
	em_map(RAM + 0x1000, RAM_GPA + 0x1000, 3 | A_D);
	em_map(ROM, EM_ROM, 3 | A_D);
	em.v.exit.kind = EXIT_NESTED_FAULT;
	return 0;
}

/* 32 bits, no paging: linear addresses are physical. */
static int setup_32(void **state)
{
	(void)state;
	em_reset();
	em_mode_32();
	em.v.exit.kind = EXIT_NESTED_FAULT;
	return 0;
}

static enum emu_kind run_bytes(const void *bytes, unsigned len)
{
	uint64_t rip = em.reg[REG_EFER] & EFER_LMA ? CODE : EM_HIGH + 0x1000;

	memcpy(em_high + 0x1000, bytes, len);
	if (!em.reg[REG_RIP])
		em.reg[REG_RIP] = rip;
	return emulate_insn(&em.env, &em.result);
}

#define RUN(...) run_bytes((const uint8_t[]){__VA_ARGS__}, sizeof((uint8_t[]){__VA_ARGS__}))

/* The CPU's words on the access, as a backend passes them on. */
static void hint(uint64_t la, uint64_t phys, unsigned access)
{
	em.v.exit.fault.linear = la;
	em.v.exit.fault.gpa = phys;
	em.v.exit.fault.linear_valid = true;
	em.v.exit.fault.access = (uint8_t)access;
}

static void assert_log(unsigned n, bool write, uint64_t offset, unsigned size, uint64_t value)
{
	assert_true(n < em.log_count);
	assert_int_equal(em.log[n].write, write);
	assert_int_equal(em.log[n].offset, offset);
	assert_int_equal(em.log[n].size, size);
	assert_int_equal(em.log[n].value, value);
}

static void assert_exception(enum emu_kind kind, unsigned vector, uint32_t error, uint64_t cr2)
{
	assert_int_equal(kind, EMU_EXCEPTION);
	assert_int_equal(em.result.vector, vector);
	assert_int_equal(em.result.has_error, vector != EXC_UD);
	assert_int_equal(em.result.error, error);
	if (vector == EXC_PF)
		assert_int_equal(em.result.cr2, cr2);
	assert_int_equal(em.log_count, 0); /* no device saw anything */
}

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
	em.segment[SEG_CS].attr = (em.segment[SEG_CS].attr & ~0x60) | 4;
	assert_exception(RUN(0x8b, 0x08), EXC_PF, PF_P | PF_U, DEV);
	em.segment[SEG_SS].attr &= ~0x60;
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
	int32_t disp = 0x10000 - 10 + 4;

	(void)state;
	em_map(CODE + 0x10000, EM_MMIO, 3 | A_D);
	memcpy(code + 2, &disp, 4);
	assert_int_equal(run_bytes(code, 10), EMU_DONE);
	assert_log(0, true, 4, 4, 0x12345678);
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
