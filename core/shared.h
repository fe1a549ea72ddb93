/*
 * Memory that VMs share, and doorbells between them (shared.c): a region for each name in the
 * configurations of VMs. It lasts as long as a VM that names it, and lies at the same
 * guest-physical address in all of them, its peers. It must not know how a guest asks. Private to
 * core/.
 *
 * Regions are made and given up on the boot CPU; rings come from the CPUs of all peers.
 */
#pragma once

#include "vm.h"

#define SHARED_REGION_MAX 16u

/* Constant but for `peers`, while a VM is in it. */
struct shared_region {
	char name[VM_NAME_MAX];
	uint64_t at, size;	 /* guest-physical */
	struct arena arena;	 /* all of it, this struct too */
	struct gmem mem;	 /* at these addresses */
	struct spinlock lock;	 /* of `peers` */
	struct vm_shared *peers; /* linked by their `next` */
};

/*
 * Into all regions that the VM's configuration names, at the end of its RAM's making; with a log
 * line: E_INVAL a region has another size, E_NOMEM. What it got before an error is given back by
 * shared_detach. Boot CPU.
 */
must_check int shared_attach(struct vm *vm);
/* Out of all of them; the last VM's end is that of the region, which is scrubbed. Boot CPU; the VM
 * is off. */
void shared_detach(struct vm *vm);

/* The VM is powered on: nobody has rung. Contents stay. */
void shared_reset(struct vm *vm);

/*
 * Rings at all other VMs of this one's region `index` (below vm->shared_count) that are on: counts,
 * and raises the line that each wants. Waits for none of them. Returns how many there are. Any CPU.
 */
unsigned shared_ring(struct vm *vm, unsigned index);
/* How many there are. */
unsigned shared_peers_on(const struct vm *vm, unsigned index);
/* Rings since the last call. */
uint32_t shared_take_rings(struct vm *vm, unsigned index);

/* Whether one of the VM's regions has these frames, all of them, there. Boot CPU. */
bool shared_has(const struct vm *vm, gpa_t gpa, hpa_t hpa, uint64_t len);
