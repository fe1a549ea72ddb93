/*
 * How making a VM begins, with a PC or without: a number, memory of its own, memory that it sees.
 * It must not know what else a VM has.
 */
#include <crvm/hostmap.h>

#include "child.h"
#include "machine.h"
#include "vm.h"

unsigned vm_free_slot(void)
{
	unsigned slot = 0;

	while (slot < VM_MAX && (vms[slot] || children[slot]))
		slot++;
	return slot;
}

struct vm *vm_alloc(unsigned slot)
{
	struct arena arena;
	struct vm *vm;

	arena_init(&arena, (frame_owner_t)(FRAME_VM0 + slot));
	vm = arena_alloc(&arena, sizeof(*vm), 64);
	if (!vm)
		return NULL;
	vm->arena = arena;
	vm->id = (uint16_t)slot;
	vm->exit_code = -1;
	vm->zero_tsc = rdtsc();
	return vm;
}

int vm_map(struct vm *vm, uint64_t at, void *host, uint64_t len, unsigned flags)
{
	int err = gmem_add(&vm->mem, gpa(at), len, host, false);

	return err ? err
		   : machine.backend->nested_map(vm->virt, gpa(at), virt_to_phys(host), len, flags);
}
