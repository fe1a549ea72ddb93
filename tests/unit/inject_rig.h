/*
 * What the tests of core/inject.c share: one vCPU on the fake backend, an interrupt chip, and the
 * run loop's turn. For one test program each.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <crvm/inject.h>
#include "backend.h"
#include "panic.h"

enum { IF = 1 << 9, RF = 1 << 16, STI = 1, MOV_SS = 2, NMI_BLOCKED = 8 };

static const struct virt_backend *const b = &fake_backend;
static struct vcpu v;
static struct event_queue q;

/* An interrupt chip: vectors that wait, the highest first. */
static struct {
	bool waits[256];
	bool gone; /* the next ack finds nothing */
	unsigned peeks, acks;
} chip;

static inline int chip_peek(void *ctx)
{
	(void)ctx;
	chip.peeks++;
	for (int i = 255; i >= 0; i--)
		if (chip.waits[i])
			return i;
	return -1;
}

static inline int chip_ack(void *ctx)
{
	int vector = chip_peek(ctx);

	chip.acks++;
	/* What is acknowledged must be deliverable, or it is lost. */
	assert_true(b->can_take(&v, EVENT_EXTINT));
	assert_int_equal(v.virt->injected.kind, EVENT_NONE);
	assert_true(vector >= 0);
	chip.waits[vector] = false;
	return chip.gone ? -1 : vector;
}

static const struct irq_source chip_source = {.peek = chip_peek, .ack = chip_ack};

static inline int setup(void **state)
{
	struct virt_vm *vm;

	(void)state;
	fake_backend_reset();
	memset(&chip, 0, sizeof(chip));
	v = (struct vcpu){.deadline = ~0ull};
	q = (struct event_queue){.irq = &chip_source};
	assert_int_equal(b->vm_init(&vm, NULL, 1, false), 0);
	assert_int_equal(b->vcpu_init(&v, vm, NULL), 0);
	b->vcpu_load(&v);
	b->set_reg(&v, REG_CR0, 0x80000011);
	b->set_reg(&v, REG_RIP, 0x1000);
	return 0;
}

static inline void set_flags(uint64_t flags)
{
	b->set_reg(&v, REG_RFLAGS, 2 | flags);
}

static inline void raise_irq(uint8_t vector)
{
	chip.waits[vector] = true;
	atomic_fetch_or(&v.requests, REQ_IRQ);
}

static inline void raise_exception(uint8_t vector, bool has_error, uint32_t error)
{
	assert_true(inject_exception(&v, &q, b, vector, has_error, error, 0));
}

/* As the run loop does it. */
static inline void prepare(const struct virt_backend *to)
{
	uint32_t requests = atomic_exchange(&v.requests, 0);

	if (requests | event_queue_busy(&q))
		inject_before_entry(&v, &q, to, requests);
}

static inline void run(void)
{
	b->run(&v);
	inject_note_interrupted(&v, &q);
}

/* One turn of the loop whose exit has nothing to do with events. */
static inline void turn(void)
{
	fake_push_exit(&v, &(struct vcpu_exit){.kind = EXIT_CPUID, .insn_len = 2});
	prepare(b);
	run();
}

static inline void expect_exit(enum exit_kind kind)
{
	assert_int_equal(v.exit.kind, kind);
}

/* The newest delivery, of `count` in all. */
static inline const struct fake_delivery *expect_delivered(unsigned count, enum event_kind kind,
							   uint8_t vector)
{
	const struct fake_delivery *d;

	assert_int_equal(v.virt->delivery_count, count);
	d = fake_delivered(&v, count - 1);
	assert_int_equal(d->event.kind, kind);
	assert_int_equal(d->event.vector, vector);
	return d;
}

static inline void expect_windows(bool irq, bool nmi)
{
	assert_int_equal(v.virt->irq_window, irq);
	assert_int_equal(v.virt->nmi_window, nmi);
	assert_int_equal(q.irq_window, irq);
	assert_int_equal(q.nmi_window, nmi);
}

#define T(name) cmocka_unit_test_setup(name, setup)
