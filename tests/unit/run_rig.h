/*
 * What the tests of core's run loop and exit handlers share: one VM on the fake backend, loaded,
 * and turns of vcpu_step. For one test program each, which is linked with RUN_CORE's files.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include <crvm/cpu.h>
#include <crvm/panic.h>
#include <crvm/status.h>
#include "panic.h"
#include "run_machine.h"
#include "spinlock.h"

enum { TF = 1 << 8, IF = 1 << 9, RF = 1 << 16, STI = 1, MOV_SS = 2, NMI_BLOCKED = 8 };

static struct run_vm *m;
static struct vm_vcpu *vv;
static struct vcpu *v;

static inline int setup(void **state)
{
	(void)state;
	run_machine_reset(0);
	m = run_vm_new();
	vv = &m->vcpu;
	v = &vv->v;
	machine.backend->vcpu_load(v);
	run_mode_32(m);
	return 0;
}

static inline int teardown(void **state)
{
	(void)state;
	assert_int_equal(fake_spin_held(), 0);
	return 0;
}

static inline uint64_t reg(enum vcpu_reg r)
{
	return machine.backend->get_reg(v, r);
}

static inline void set(enum vcpu_reg r, uint64_t value)
{
	machine.backend->set_reg(v, r, value);
}

static inline void set_flags(uint64_t flags)
{
	set(REG_RFLAGS, 2 | flags);
}

static inline void push(const struct vcpu_exit *e)
{
	fake_push_exit(v, e);
}

/* The loop until what was pushed has come, or the handlers make it leave before. */
static inline void loop(void)
{
	fake_cpu_catch();
	v->deadline = fake_tsc + v->virt->script_count;
	vcpu_step(vv);
	assert_int_equal(fake_spin_held(), 0);
}

static inline void step(const struct vcpu_exit *e)
{
	push(e);
	loop();
}

static inline void step_insn(enum exit_kind kind, uint8_t len)
{
	step(&(struct vcpu_exit){.kind = (uint8_t)kind, .insn_len = len});
}

/* Done: past the instruction, nothing delivered, and the loop has gone on to its deadline. */
static inline void expect_next(uint64_t len)
{
	assert_int_equal(reg(REG_RIP), RUN_CODE + len);
	assert_int_equal(v->virt->delivery_count, 0);
	assert_int_equal(v->exit.kind, EXIT_DEADLINE);
	assert_int_equal(m->stops, 0);
	assert_false(vv->blocked);
}

/* The newest delivery, of `count` in all. */
static inline const struct fake_delivery *expect_delivered(unsigned count, enum event_kind kind,
							   uint8_t vector)
{
	const struct fake_delivery *d;

	assert_int_equal(v->virt->delivery_count, count);
	d = fake_delivered(v, count - 1);
	assert_int_equal(d->event.kind, kind);
	assert_int_equal(d->event.vector, vector);
	assert_int_equal(m->stops, 0);
	return d;
}

/* One exception, at the instruction that exited, with RF in the flags that it pushes. */
static inline void expect_fault(uint8_t vector)
{
	const struct fake_delivery *d = expect_delivered(1, EVENT_EXCEPTION, vector);

	assert_int_equal(d->rip, RUN_CODE);
	assert_int_equal(d->event.has_error, vector == EXC_GP || vector == EXC_PF);
	assert_int_equal(d->event.error, 0);
	assert_true(d->rflags & RF);
}

static inline void expect_stop(bool dump, const char *reason)
{
	assert_int_equal(m->stops, 1);
	assert_int_equal(m->stop_dump, dump);
	assert_string_equal(m->stop_reason, reason);
	assert_true(atomic_load(&vv->stopped));
}

static inline void poke(uint64_t at, const void *bytes, size_t n)
{
	assert_int_equal(gmem_write(&m->vm.mem, gpa(at), bytes, n), OK);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
