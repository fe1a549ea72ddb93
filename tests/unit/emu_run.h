/*
 * What the tests of core/emulate.c share: a guest with a device, RAM and ROM mapped, and one
 * instruction of it. Include cmocka.h first.
 */
#pragma once

#include "emu_machine.h"

#define CODE	0xffff800000001000ul /* guest-linear; EM_HIGH + 1000h */
#define DEV	0xffff8000fee00000ul /* EM_MMIO, two pages; then RAM, then nothing */
#define DEV_RAM (DEV + 0x2000)
#define RAM	0xffff800000100000ul /* two pages of RAM, read-only for users */
#define ROM	0xffff800000200000ul
#define RAM_GPA (EM_HIGH + 0x4000)
#define A_D	0x60ul

static inline int setup_64(void **state)
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
static inline int setup_32(void **state)
{
	(void)state;
	em_reset();
	em_mode_32();
	em.v.exit.kind = EXIT_NESTED_FAULT;
	return 0;
}

static inline enum emu_kind run_bytes(const void *bytes, unsigned len)
{
	uint64_t rip = em.reg[REG_EFER] & EFER_LMA ? CODE : EM_HIGH + 0x1000;

	memcpy(em_high + 0x1000, bytes, len);
	if (!em.reg[REG_RIP])
		em.reg[REG_RIP] = rip;
	return emulate_insn(&em.env, &em.result);
}

#define RUN(...) run_bytes((const uint8_t[]){__VA_ARGS__}, sizeof((uint8_t[]){__VA_ARGS__}))

/* The CPU's words on the access, as a backend passes them on. */
static inline void hint(uint64_t la, uint64_t phys, unsigned access)
{
	em.v.exit.fault.linear = la;
	em.v.exit.fault.gpa = phys;
	em.v.exit.fault.linear_valid = true;
	em.v.exit.fault.access = (uint8_t)access;
}

static inline void assert_log(unsigned n, bool write, uint64_t offset, unsigned size,
			      uint64_t value)
{
	assert_true(n < em.log_count);
	assert_int_equal(em.log[n].write, write);
	assert_int_equal(em.log[n].offset, offset);
	assert_int_equal(em.log[n].size, size);
	assert_int_equal(em.log[n].value, value);
}

static inline void assert_exception(enum emu_kind kind, unsigned vector, uint32_t error,
				    uint64_t cr2)
{
	assert_int_equal(kind, EMU_EXCEPTION);
	assert_int_equal(em.result.vector, vector);
	assert_int_equal(em.result.has_error, vector != EXC_UD);
	assert_int_equal(em.result.error, error);
	if (vector == EXC_PF)
		assert_int_equal(em.result.cr2, cr2);
	assert_int_equal(em.log_count, 0); /* no device saw anything */
}
