/*
 * A PC that tests build and then drive as a guest does, for test_pc.c and test_pc_disks.c.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <crvm/status.h>
#include "pc_machine.h"

#define MS  1000000ull
#define SEC 1000000000ull

enum { MASTER = 0x20, SLAVE = 0x28, EOI = 0x20 }; /* vectors, OCW2 */

static inline int pc_setup(void **state)
{
	(void)state;
	pc_machine_reset();
	return 0;
}

static inline int pc_teardown(void **state)
{
	(void)state;
	pc_machine_reset();
	return 0;
}

static inline void build(void)
{
	assert_int_equal(pc_machine_build(), OK);
}

/* Both chips as every kernel does it, all lines open. */
static inline void pic_start(void)
{
	static const uint8_t words[][2] = {
		{0x20, 0x11}, {0xa0, 0x11}, {0x21, MASTER}, {0xa1, SLAVE}, {0x21, 4},
		{0xa1, 2},    {0x21, 1},    {0xa1, 1},	    {0x21, 0},	   {0xa1, 0}};

	for (size_t i = 0; i < array_count(words); i++)
		pc_out(words[i][0], 1, words[i][1]);
}

static inline void eoi(int vector)
{
	if (vector >= SLAVE)
		pc_out(0xa0, 1, EOI);
	pc_out(0x20, 1, EOI);
}

static inline void expect_irq(unsigned irq)
{
	int vector = pc_take();

	assert_int_equal(vector, irq < 8 ? MASTER + irq : SLAVE + irq - 8);
	eoi(vector);
}

static inline void expect_none(void)
{
	assert_int_equal(pc_take(), -1);
}

/* The PIT ticks each `count` clocks. */
static inline void pit_start(uint16_t count)
{
	pc_out(0x43, 1, 0x34);
	pc_out(0x40, 1, count & 0xff);
	pc_out(0x40, 1, count >> 8);
}

static inline void blank_disk(unsigned n, uint64_t size)
{
	pc_machine.vm.config.disk[n] = (struct vm_config_disk){.kind = VM_DISK_BLANK, .size = size};
}

#define T(name) cmocka_unit_test_setup_teardown(name, pc_setup, pc_teardown)

static inline void type(const char *text)
{
	assert_int_equal(vm_console_type(&pc_machine.vm.console, text, (uint32_t)strlen(text)),
			 strlen(text));
	pc_input(pc_machine.vm.pc);
}
