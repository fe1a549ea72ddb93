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
#include "shared.h"
#include "vm.h"

/* With a PC or without. */
static struct vm *vm_numbered(unsigned i)
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

/* What is nobody's own must be what it shares. */
static bool is_shared(void *ctx, gpa_t gpa, hpa_t hpa, uint64_t len, unsigned flags)
{
	return frames_owner(hpa) == FRAME_SHARED && !(flags & NESTED_X) &&
	       shared_has(ctx, gpa, hpa, len);
}

bool vm_audit(void)
{
	static struct nested_audit_vm list[VM_MAX];
	static const char *names[VM_MAX];
	struct nested_offence bad;
	unsigned count = 0;
	uint64_t pages = 0;

	for (unsigned i = 0; i < VM_MAX; i++) {
		struct vm *vm = vm_numbered(i);

		if (!vm)
			continue;
		names[count] = vm->name;
		list[count++] = (struct nested_audit_vm){
			.vm = vm->virt,
			.owner = vm->arena.owner,
			.allowed = is_shared,
			.ram = is_ram,
			.ctx = vm,
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
	log_printf("%u VMs map %lu pages of memory of their own, or shared, and nothing else\n",
		   count, pages);
	return true;
}
