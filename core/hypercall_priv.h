/*
 * How hypercalls are carried out: most at once, on the caller's CPU; those that manage VMs on the
 * boot CPU's loop, while the caller waits. Private to core/hypercall*.c.
 */
#pragma once

#include <crvm/hypercall.h>

#include "child.h"
#include "vm.h"

struct hypercall_args {
	uint64_t rdi, rsi, rdx, rcx;
};

typedef int64_t hypercall_fn(struct vm *vm, const struct hypercall_args *a);

/*
 * Memory of the caller: copied in, or out, whole. E_INVAL if it is too long, E_FAULT if any byte is
 * not RAM.
 */
must_check int hypercall_in(const struct vm *vm, uint64_t from, void *buf, uint64_t len);
must_check int hypercall_out(const struct vm *vm, uint64_t to, const void *buf, uint64_t len);

/* hypercall_shared.c. On the caller's CPU with interrupts off, for any guest. */
hypercall_fn hypercall_shared_describe, hypercall_doorbell, hypercall_shared_rings;

/* hypercall_manage.c; NULL: there is none of that number. Boot CPU's loop, with no lock held. */
hypercall_fn *hypercall_manage_find(uint64_t number);

/* hypercall_child.c. Boot CPU's loop likewise, and on the caller's CPU with interrupts off. */
hypercall_fn *hypercall_child_find(uint64_t number);
/* Of privileged VMs, from this number on. */
#define HYPERCALL_CHILD_QUICK HYPERCALL_VCPU_RESUME
extern hypercall_fn *const hypercall_child_quick[HYPERCALL_COUNT - HYPERCALL_CHILD_QUICK];
