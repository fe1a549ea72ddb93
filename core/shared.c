/* See shared.h. It must not know how a guest asks, nor what it keeps there. */
#include <crvm/hostmap.h>
#include <crvm/smp.h>
#include <crvm/status.h>
#include <crvm/string.h>

#include "log_priv.h"
#include "machine.h"
#include "pc.h"
#include "shared.h"

#define RINGS_MAX  0x7fffffffu /* a guest of 32 bits takes more for an error */
#define PLACE_STEP (2ul << 20) /* so that large pages can be used */

/* No code: nobody changes under a VM what its emulator has read. */
#define SHARED_FLAGS (NESTED_R | NESTED_W)

static struct shared_region *regions[SHARED_REGION_MAX]; /* boot CPU's */

static struct shared_region *find(const char *name)
{
	for (unsigned i = 0; i < SHARED_REGION_MAX; i++)
		if (regions[i] && strcmp(regions[i]->name, name) == 0)
			return regions[i];
	return NULL;
}

/* The first region that has any of these addresses. */
static const struct shared_region *find_at(uint64_t at, uint64_t size)
{
	for (unsigned i = 0; i < SHARED_REGION_MAX; i++)
		if (regions[i] && at < regions[i]->at + regions[i]->size &&
		    regions[i]->at < at + size)
			return regions[i];
	return NULL;
}

/* The lowest room for it; 0: there is none. */
static uint64_t find_place(uint64_t size)
{
	const struct shared_region *r;
	uint64_t at = VM_SHARED_BASE;

	while ((r = find_at(at, size)))
		at = align_up(r->at + r->size, PLACE_STEP);
	return at + size <= VM_SHARED_END ? at : 0;
}

static int got_block(void *ctx, uint64_t offset, hpa_t base, uint64_t len)
{
	struct shared_region *r = ctx;

	return gmem_add(&r->mem, gpa(r->at + offset), len, phys_to_virt(base), false);
}

static int region_make(const struct vm_config_shared *c, unsigned slot)
{
	const uint64_t at = find_place(c->size);
	struct shared_region *r;
	struct arena arena;
	int err;

	arena_init(&arena, FRAME_SHARED);
	r = at ? arena_alloc(&arena, sizeof(*r), 64) : NULL;
	if (!r)
		return E_NOMEM;
	*r = (struct shared_region){
		.at = at,
		.size = c->size,
		.arena = arena,
		.lock = SPINLOCK_INIT(RANK_VM, "shared memory"),
	};
	memcpy(r->name, c->name, sizeof(r->name));
	err = arena_blocks(&r->arena, c->size, got_block, r);
	if (err) {
		arena_destroy(&r->arena);
		return err;
	}
	regions[slot] = r;
	return OK;
}

/* A region that is there, or a new one. */
static struct shared_region *region_get(const struct vm *vm, const struct vm_config_shared *c)
{
	struct shared_region *r = find(c->name);
	unsigned slot = 0;

	if (r)
		return r;
	while (slot < SHARED_REGION_MAX && regions[slot])
		slot++;
	if (slot == SHARED_REGION_MAX)
		log_err("VM %s: no room for shared region '%s': there are %u already", vm->name,
			c->name, SHARED_REGION_MAX);
	else if (region_make(c, slot))
		log_err("VM %s: no room for shared region '%s' of %lu KiB", vm->name, c->name,
			c->size / 1024);
	else
		return regions[slot];
	return NULL;
}

static void region_end(struct shared_region *r)
{
	for (unsigned i = 0; i < SHARED_REGION_MAX; i++)
		if (regions[i] == r)
			regions[i] = NULL;
	arena_destroy(&r->arena);
}

/* Into the VM's memory, and its nested page table. */
static int region_map(struct vm *vm, const struct shared_region *r)
{
	for (unsigned i = 0; i < r->mem.count; i++) {
		const struct gmem_slot *s = &r->mem.slot[i];
		int err = vm_map(vm, s->gpa, s->host, s->len, SHARED_FLAGS);

		if (err)
			return err;
	}
	return OK;
}

static int attach_one(struct vm *vm, const struct vm_config_shared *c)
{
	struct shared_region *r = region_get(vm, c);
	struct vm_shared *s = &vm->shared[vm->shared_count];
	int err;

	if (!r)
		return E_NOMEM;
	if (r->size != c->size) {
		log_err("VM %s: shared region '%s' has %lu KiB, not %lu KiB: all VMs must agree",
			vm->name, c->name, r->size / 1024, c->size / 1024);
		return E_INVAL;
	}
	*s = (struct vm_shared){.vm = vm, .region = r, .irq = c->irq};
	spin_lock(&r->lock);
	s->next = r->peers;
	r->peers = s;
	spin_unlock(&r->lock);
	vm->shared_count++;
	err = region_map(vm, r);
	if (err)
		log_err("VM %s: shared region '%s' cannot be mapped at %lx: %s", vm->name, c->name,
			r->at, status_name(err));
	return err;
}

int shared_attach(struct vm *vm)
{
	int err = OK;

	for (unsigned i = 0; !err && i < vm->config.shared_count; i++)
		err = attach_one(vm, &vm->config.shared[i]);
	return err;
}

void shared_detach(struct vm *vm)
{
	while (vm->shared_count) {
		struct vm_shared *s = &vm->shared[--vm->shared_count], **link;
		struct shared_region *r = s->region;

		spin_lock(&r->lock);
		for (link = &r->peers; *link != s; link = &(*link)->next)
			;
		*link = s->next;
		spin_unlock(&r->lock);
		if (!r->peers)
			region_end(r);
	}
}

void shared_reset(struct vm *vm)
{
	for (unsigned i = 0; i < vm->shared_count; i++)
		atomic_store(&vm->shared[i].rings, 0);
}

/* Calls fn, if any, for each other VM that is on; how many these are. */
static unsigned for_each_other(const struct vm_shared *own, void (*fn)(struct vm_shared *s))
{
	struct shared_region *r = own->region;
	unsigned count = 0;

	spin_lock(&r->lock); /* none of them is destroyed meanwhile */
	for (struct vm_shared *s = r->peers; s; s = s->next) {
		if (s == own || !vm_is_on(s->vm))
			continue;
		if (fn)
			fn(s);
		count++;
	}
	spin_unlock(&r->lock);
	return count;
}

/* With the lock: nobody else counts up. */
static void ring_one(struct vm_shared *s)
{
	if (atomic_load(&s->rings) < RINGS_MAX)
		atomic_fetch_add(&s->rings, 1);
	if (s->irq < 0)
		return;
	pc_ring(s->vm->pc, (unsigned)s->irq);
	/* Should it sleep here, its turn comes when this exit is done. */
	if (s->vm->vcpu[0].cpu == this_cpu())
		smp_kick(this_cpu(), WORK_VCPU);
}

unsigned shared_ring(struct vm *vm, unsigned index)
{
	return for_each_other(&vm->shared[index], ring_one);
}

unsigned shared_peers_on(const struct vm *vm, unsigned index)
{
	return for_each_other(&vm->shared[index], NULL);
}

uint32_t shared_take_rings(struct vm *vm, unsigned index)
{
	return atomic_exchange(&vm->shared[index].rings, 0);
}

bool shared_has(const struct vm *vm, gpa_t gpa, hpa_t hpa, uint64_t len)
{
	for (unsigned i = 0; i < vm->shared_count; i++)
		if (gmem_ptr(&vm->shared[i].region->mem, gpa, len) == phys_to_virt(hpa))
			return true;
	return false;
}
