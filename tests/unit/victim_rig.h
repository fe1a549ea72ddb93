/*
 * One caller, one VM that it manages, and what of all VMs a call may change. For the tests of
 * core/hypercall_manage.c, on manage_rig.h.
 */
#pragma once

#include "manage_rig.h"

#define VICTIM_RAM    0x10000ul
#define VICTIM_END(n) (VICTIM_RAM - (n))
#define FLAT(name)    "[vm " name "]\nkernel = k\nboot = flat\nmemory = 64K\ncpu = 0\n"
#define NO_START      "autostart = no\n"

enum { VICTIM = 2 }; /* its number */

/* Numbers that no VM has. */
static const uint64_t nobody[] = {0, 3, 64, 65, (1ul << 32) + 1, (1ul << 32) + VICTIM, ~0ul};

static struct vm *victim, *asker; /* who makes the call */

/* All that calls can change. */
struct seen {
	uint64_t free, calls_waiting;
	unsigned count, timers;
	struct seen_vm {
		uint64_t there, memory, registers, requests;
		uint32_t state, weight, fair_weight, config_cpu, cpu, paused, irqs, unused;
	} vm[VM_MAX];
};

static uint64_t hash(uint64_t h, const void *bytes, size_t n)
{
	const uint8_t *p = bytes;

	for (; n >= 8; n -= 8, p += 8) {
		uint64_t word;

		memcpy(&word, p, 8);
		h = (h ^ word) * 0x9e3779b97f4a7c15;
		h ^= h >> 29;
	}
	for (; n > 0; n--)
		h = (h ^ *p++) * 0x100000001b3;
	return h;
}

static struct seen_vm look_at(const struct vm *vm)
{
	const struct vm_vcpu *vv = vm->vcpu;
	const struct pic_pair *pic = &vm->pc->pic;
	struct seen_vm s = {
		.there = 1,
		.state = atomic_load(&vm->state),
		.weight = vm->config.weight,
		.fair_weight = vv->fair.weight,
		.config_cpu = (uint32_t)vm->config.cpu,
		.cpu = vv->cpu ? vv->cpu->index : ~0u,
		.paused = vv->paused,
		.irqs = (uint32_t)(pic->chip[0].line | pic->chip[1].line << 8 |
				   pic->chip[0].edge << 16 | pic->chip[1].edge << 24),
	};

	for (unsigned i = 0; i < vm->mem.count; i++)
		s.memory = hash(s.memory, vm->mem.slot[i].host, vm->mem.slot[i].len);
	if (vm == caller || vm == asker)
		return s; /* they run */
	s.requests = atomic_load(&vv->v.requests);
	s.registers = hash(0, vv->v.gpr, sizeof(vv->v.gpr));
	s.registers = hash(s.registers, vv->v.virt->reg, sizeof(vv->v.virt->reg));
	for (unsigned i = 0; i < SEG_COUNT; i++)
		s.registers = hash(s.registers, &vv->v.virt->segment[i].base, 8);
	return s;
}

static void look(struct seen *s)
{
	memset(s, 0, sizeof(*s));
	s->free = frames_count(FRAME_FREE);
	s->calls_waiting = atomic_load(&percpus[0].work) & WORK_HYPERCALL;
	s->count = vm_count;
	s->timers = rig.timers;
	for (unsigned i = 0; i < VM_MAX; i++)
		if (vms[i])
			s->vm[i] = look_at(vms[i]);
}

/* An error, and nothing is otherwise than before; `who` asks. */
static void refused_to(struct vm *who, int64_t err, uint64_t n, uint64_t a, uint64_t b, uint64_t c,
		       uint64_t d)
{
	static struct seen before, after;

	asker = who;
	look(&before);
	assert_int_equal(call_of(who, n, a, b, c, d), err);
	look(&after);
	assert_memory_equal(&before, &after, sizeof(before));
}

static void refused(int64_t err, uint64_t n, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
	refused_to(caller, err, n, a, b, c, d);
}

static int64_t simple(uint64_t n)
{
	return call(n, VICTIM, 0, 0, 0);
}

static uint32_t state_of_victim(void)
{
	return atomic_load(&victim->state);
}

/* As what wants to be found there must not be. */
static void fill(uint64_t at, size_t n)
{
	static const uint8_t filler[HYPERCALL_LENGTH_MAX] = {[0 ... HYPERCALL_LENGTH_MAX - 1] =
								     FILLER};

	put(at, filler, n);
}

static bool is_filled(uint64_t at, size_t n)
{
	uint8_t byte;

	for (size_t i = 0; i < n; i++) {
		get(at + i, &byte, 1);
		if (byte != FILLER)
			return false;
	}
	return true;
}

/* A victim as just created, on CPU 0; the caller is on CPU 1. */
static int victim_setup(void **state)
{
	rig_setup(state);
	assert_int_equal(create(FLAT("victim") NO_START), 1);
	victim = vms[VICTIM - 1];
	assert_non_null(victim);
	return 0;
}

/* Brings it to a state. */
static void victim_to(enum vm_state to)
{
	if (to == VM_CREATED)
		return;
	assert_int_equal(simple(HYPERCALL_VM_START), 0);
	if (to == VM_PAUSED)
		assert_int_equal(simple(HYPERCALL_VM_PAUSE), 0);
	if (to == VM_STOPPED)
		assert_int_equal(simple(HYPERCALL_VM_STOP), 0);
	assert_int_equal(state_of_victim(), to);
}

#define V(name) cmocka_unit_test_setup_teardown(name, victim_setup, rig_teardown)
