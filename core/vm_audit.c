/*
 * The proof, on demand, that VMs are kept apart: all nested page tables against the frame table and
 * the VMs' own memory.
 */
#include <crvm/hostmap.h>
#include <crvm/nested_audit.h>
#include <crvm/status.h>

#include "child.h"
#include "log_priv.h"
#include "machine.h"
#include "vm.h"

/* With a PC or without. */
static const struct vm *vm_numbered(unsigned i)
{
	return vms[i] ? vms[i] : children[i];
}

static bool is_ram(void *ctx, gpa_t gpa, hpa_t hpa, uint64_t len, unsigned flags)
{
	(void)ctx;
	(void)flags;
	for (unsigned i = 0; i < VM_MAX; i++) {
		const struct vm *vm = vm_numbered(i);

		if (vm && frames_owner(hpa) == vm->arena.owner)
			return gmem_ptr(&vm->mem, gpa, len) == phys_to_virt(hpa);
	}
	return false;
}

bool vm_audit(void)
{
	static struct nested_audit_vm list[VM_MAX];
	static const char *names[VM_MAX];
	struct nested_offence bad;
	unsigned count = 0;
	uint64_t pages = 0;

	for (unsigned i = 0; i < VM_MAX; i++) {
		const struct vm *vm = vm_numbered(i);

		if (!vm)
			continue;
		names[count] = vm->name;
		list[count++] = (struct nested_audit_vm){
			.vm = vm->virt,
			.owner = vm->arena.owner,
			.ram = is_ram,
		};
	}
	if (!count)
		return true;
	if (nested_audit(machine.backend, list, count, &bad, &pages)) {
		log_printf("VM %s maps physical %lx (owner %u) at guest-physical %lx: %s\n",
			   names[bad.vm], bad.hpa.v, bad.owner, bad.gpa.v,
			   nested_offence_text(bad.kind));
		return false;
	}
	log_printf("%u VMs map %lu pages of their own memory and nothing else\n", count, pages);
	return true;
}
