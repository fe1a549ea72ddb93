/*
 * Hypercalls on memory that VMs share, for any guest: the regions that its configuration names, by
 * their places in it. It must not know how a ring reaches a VM.
 */
#include <crvm/status.h>
#include <crvm/string.h>

#include "hypercall_priv.h"
#include "shared.h"

_Static_assert(sizeof(((struct hypercall_shared *)0)->name) == VM_NAME_MAX, "the ABI has the same");

int64_t hypercall_shared_describe(struct vm *vm, const struct hypercall_args *a)
{
	struct hypercall_shared d = {0};
	const struct vm_shared *s;

	if (a->rdi >= vm->shared_count)
		return E_NOENT;
	s = &vm->shared[a->rdi];
	memcpy(d.name, s->region->name, sizeof(d.name));
	d.address = s->region->at;
	d.size = s->region->size;
	d.peers = shared_peers_on(vm, (unsigned)a->rdi);
	d.irq = s->irq;
	return hypercall_out(vm, a->rsi, &d, sizeof(d));
}

int64_t hypercall_doorbell(struct vm *vm, const struct hypercall_args *a)
{
	return a->rdi < vm->shared_count ? (int64_t)shared_ring(vm, (unsigned)a->rdi) : E_NOENT;
}

int64_t hypercall_shared_rings(struct vm *vm, const struct hypercall_args *a)
{
	return a->rdi < vm->shared_count ? (int64_t)shared_take_rings(vm, (unsigned)a->rdi)
					 : E_NOENT;
}
