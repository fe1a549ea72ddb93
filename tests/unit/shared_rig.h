/*
 * VMs that share memory: core/vm.c and core/shared.c on the fake backend, with real arenas over
 * some fake RAM. For test_shared.c and test_shared_rings.c.
 */
#pragma once

#include "vm_life_rig.h"

#include <crvm/frames.h>
#include <crvm/nested_audit.h>
#include "../../core/hypercall_priv.h"
#include "../../core/shared.h"
#include "panic.h"
#include "ram.h"
#include "spinlock.h"

#define MIB	 (1ul << 20)
#define RAM_BASE (2 * MIB)
#define RAM_SIZE (128 * MIB)

static uint64_t free_at_start;

static inline int shared_setup(void **state)
{
	int err = life_setup(state);

	fake_ram_reset();
	memset(phys_to_virt(hpa(RAM_BASE)), 0xa5, 4 * MIB);
	frames_init();
	assert_int_equal(frames_add(RAM_BASE, RAM_SIZE), OK);
	free_at_start = frames_count(FRAME_FREE);
	return err;
}

/* All memory is back when all VMs are gone. */
static inline int shared_teardown(void **state)
{
	int err = life_teardown(state);

	frames_audit();
	assert_int_equal(frames_count(FRAME_SHARED), 0);
	assert_int_equal(frames_count(FRAME_FREE), free_at_start);
	assert_int_equal(fake_spin_held(), 0);
	return err;
}

static inline struct vm_config sharer(const char *name)
{
	struct vm_config c = {.mem = 64 << 10, .cpus = 1, .cpu = 0};

	snprintf(c.name, sizeof(c.name), "%s", name);
	return c;
}

static inline void add_region(struct vm_config *c, const char *name, uint64_t size, int irq)
{
	struct vm_config_shared *s = &c->shared[c->shared_count++];

	*s = (struct vm_config_shared){.size = size, .irq = irq};
	snprintf(s->name, sizeof(s->name), "%s", name);
}

static inline int try_vm(const struct vm_config *c, struct vm **out)
{
	fake_cpu_catch(); /* cmocka has taken the signal */
	return vm_create(c, &(struct vm_image){0}, out);
}

static inline struct vm *vm_with(const char *name, const char *region, uint64_t size, int irq)
{
	struct vm_config c = sharer(name);
	struct vm *made = NULL;

	if (region)
		add_region(&c, region, size, irq);
	assert_int_equal(try_vm(&c, &made), OK);
	return made;
}

/* It cannot be made, for this reason. */
static inline void refused(const struct vm_config *c, int err, const char *why)
{
	const unsigned count = vm_count;
	struct vm *made = NULL;

	assert_int_equal(try_vm(c, &made), err);
	assert_null(made);
	assert_int_equal(vm_count, count);
	assert_string_equal(fake_log_previous, why);
	assert_memory_equal(fake_log_line, "VM ", 3);
	assert_non_null(strstr(fake_log_line, " cannot be made: "));
}

/* The host's view of a guest's address; NULL: there is no memory. */
static inline uint8_t *at(struct vm *v, uint64_t address)
{
	return gmem_ptr_write(&v->mem, gpa(address), 1);
}

/* What the nested page table has there; 0: nothing. */
static inline unsigned nested_flags(const struct vm *v, uint64_t address, uint64_t *hpa_out)
{
	unsigned flags = 0;
	hpa_t to;

	if (machine.backend->nested_query(v->virt, gpa(address), &to, &flags, NULL))
		return 0;
	if (hpa_out)
		*hpa_out = to.v;
	return flags;
}

static inline int64_t ask(hypercall_fn *fn, struct vm *v, uint64_t index, uint64_t pointer)
{
	return fn(v, &(struct hypercall_args){.rdi = index, .rsi = pointer});
}

static inline struct hypercall_shared describe(struct vm *v, uint64_t index)
{
	struct hypercall_shared d;

	assert_int_equal(ask(hypercall_shared_describe, v, index, 0x1000), 0);
	assert_int_equal(gmem_read(&v->mem, gpa(0x1000), &d, sizeof(d)), OK);
	return d;
}

#define S(name) cmocka_unit_test_setup_teardown(name, shared_setup, shared_teardown)
