/*
 * What the fake backend keeps for a VM: a nested page table of extents, in which pages are found by
 * alignment, and what exits. Also each vCPU's TLB, which is never flushed but by flush_tlb. It must
 * not know events.
 */
#include <string.h>
#include <crvm/panic.h>
#include <crvm/status.h>
#include "backend.h"

#define GPA_LIMIT (1ull << 48)

static bool range_is_valid(uint64_t start, uint64_t len)
{
	return start % PAGE_SIZE == 0 && len % PAGE_SIZE == 0 && start <= GPA_LIMIT &&
	       len <= GPA_LIMIT - start;
}

static bool flags_are_valid(unsigned flags)
{
	return !(flags & ~(unsigned)NESTED_RWX) && (!(flags & NESTED_W) || flags & NESTED_R);
}

/* The first extent that ends after gpa; extent_count if there is none. */
static unsigned extent_after(const struct virt_vm *vm, uint64_t gpa)
{
	unsigned i = 0;

	while (i < vm->extent_count && vm->extent[i].gpa + vm->extent[i].len <= gpa)
		i++;
	return i;
}

static const struct fake_extent *extent_at(const struct virt_vm *vm, uint64_t gpa)
{
	unsigned i = extent_after(vm, gpa);

	return i < vm->extent_count && vm->extent[i].gpa <= gpa ? &vm->extent[i] : NULL;
}

static void extent_insert(struct virt_vm *vm, unsigned at, struct fake_extent e)
{
	memmove(&vm->extent[at + 1], &vm->extent[at], (vm->extent_count - at) * sizeof(e));
	vm->extent[at] = e;
	vm->extent_count++;
}

static void must_be_outside(const struct virt_vm *vm, const char *call)
{
	if (vm->in_guest)
		panic("%s: vCPUs of VM %u are in the guest", call, vm->id);
}

int fake_nested_map(struct virt_vm *vm, gpa_t gpa, hpa_t hpa, uint64_t len, unsigned flags)
{
	unsigned i = extent_after(vm, gpa.v);

	must_be_outside(vm, "nested_map");
	if (!flags_are_valid(flags) || !range_is_valid(gpa.v, len) || !range_is_valid(hpa.v, len))
		return E_INVAL;
	if (len && i < vm->extent_count && vm->extent[i].gpa < gpa.v + len)
		return E_EXIST;
	if (fake_out_of_memory() || vm->extent_count == FAKE_EXTENT_MAX)
		return E_NOMEM;
	if (len)
		extent_insert(vm, i, (struct fake_extent){gpa.v, hpa.v, len, flags});
	return OK;
}

/* Makes an extent begin at gpa if it lies inside one. */
static void extent_split(struct virt_vm *vm, uint64_t gpa)
{
	unsigned i = extent_after(vm, gpa);
	struct fake_extent *e = &vm->extent[i], rest;
	uint64_t head;

	if (i == vm->extent_count || e->gpa >= gpa)
		return;
	head = gpa - e->gpa;
	rest = (struct fake_extent){gpa, e->hpa + head, e->len - head, e->flags};
	e->len = head;
	extent_insert(vm, i + 1, rest);
}

int fake_nested_protect(struct virt_vm *vm, gpa_t gpa, uint64_t len, unsigned flags)
{
	uint64_t end = gpa.v + len;

	must_be_outside(vm, "nested_protect");
	if (!flags_are_valid(flags) || !range_is_valid(gpa.v, len))
		return E_INVAL;
	for (uint64_t at = gpa.v; at < end;) {
		const struct fake_extent *e = extent_at(vm, at);

		if (!e)
			return E_NOENT;
		at = e->gpa + e->len;
	}
	if (fake_out_of_memory() || vm->extent_count + 2 > FAKE_EXTENT_MAX)
		return E_NOMEM;
	extent_split(vm, gpa.v);
	extent_split(vm, end);
	for (unsigned i = extent_after(vm, gpa.v); i < vm->extent_count && vm->extent[i].gpa < end;
	     i++)
		vm->extent[i].flags = flags;
	return OK;
}

/* The largest page around gpa that lies in its extent and is aligned on both sides. */
static uint64_t extent_page_size(const struct fake_extent *e, uint64_t gpa)
{
	for (uint64_t size = 1ull << 30; size > PAGE_SIZE; size >>= 9) {
		uint64_t base = gpa & ~(size - 1);

		if ((e->gpa ^ e->hpa) % size == 0 && base >= e->gpa &&
		    base + size <= e->gpa + e->len)
			return size;
	}
	return PAGE_SIZE;
}

int fake_nested_query(const struct virt_vm *vm, gpa_t gpa, hpa_t *hpa_out, unsigned *flags,
		      uint64_t *page_size)
{
	const struct fake_extent *e = extent_at(vm, gpa.v);

	if (!e)
		return E_NOENT;
	if (hpa_out)
		*hpa_out = hpa(e->hpa + (gpa.v - e->gpa));
	if (flags)
		*flags = e->flags;
	if (page_size)
		*page_size = extent_page_size(e, gpa.v);
	return OK;
}

void fake_nested_walk(const struct virt_vm *vm,
		      bool (*fn)(void *ctx, gpa_t gpa, hpa_t hpa, uint64_t len, unsigned flags),
		      void *ctx)
{
	for (unsigned i = 0; i < vm->extent_count; i++) {
		const struct fake_extent *e = &vm->extent[i];
		uint64_t size;

		for (uint64_t done = 0; done < e->len; done += size) {
			size = extent_page_size(e, e->gpa + done);
			if (!fn(ctx, gpa(e->gpa + done), hpa(e->hpa + done), size, e->flags))
				return;
		}
	}
}

void fake_intercept_port(struct virt_vm *vm, uint16_t port, bool exits)
{
	uint8_t bit = (uint8_t)(1u << port % 8);

	if (exits)
		vm->port_passes[port / 8] &= (uint8_t)~bit;
	else
		vm->port_passes[port / 8] |= bit;
}

bool fake_port_exits(const struct virt_vm *vm, uint16_t port)
{
	return !(vm->port_passes[port / 8] >> port % 8 & 1);
}

void fake_intercept_msr(struct virt_vm *vm, uint32_t msr, bool read_exits, bool write_exits)
{
	unsigned i = 0;

	while (i < vm->msr_count && vm->msr[i].msr != msr)
		i++;
	check(i < FAKE_MSR_MAX);
	if (i == vm->msr_count)
		vm->msr_count++;
	vm->msr[i].msr = msr;
	vm->msr[i].read_exits = read_exits;
	vm->msr[i].write_exits = write_exits;
}

bool fake_msr_exits(const struct virt_vm *vm, uint32_t msr, bool write)
{
	for (unsigned i = 0; i < vm->msr_count; i++)
		if (vm->msr[i].msr == msr)
			return write ? vm->msr[i].write_exits : vm->msr[i].read_exits;
	return true;
}

/*
 * A translation that was used and has lost a permission, or its page, must not be there at an
 * entry: on silicon the guest would go on using it.
 */
void fake_tlb_check(const struct vcpu *v)
{
	const struct virt_vcpu *f = v->virt;

	for (unsigned i = 0; i < FAKE_TLB_SIZE; i++) {
		const struct fake_extent *e;

		if (!f->tlb[i].flags)
			continue;
		e = extent_at(f->vm, f->tlb[i].gpa);
		if (!e || e->hpa + (f->tlb[i].gpa - e->gpa) != f->tlb[i].hpa ||
		    f->tlb[i].flags & ~e->flags)
			panic("run: vCPU %u has a stale TLB entry for %lx: flush_tlb is missing",
			      v->id, f->tlb[i].gpa);
	}
}

static void tlb_fill(struct virt_vcpu *f, uint64_t page, const struct fake_extent *e)
{
	unsigned i = 0;

	while (i < FAKE_TLB_SIZE && !(f->tlb[i].flags && f->tlb[i].gpa == page))
		i++;
	if (i == FAKE_TLB_SIZE)
		i = f->tlb_next++ % FAKE_TLB_SIZE;
	f->tlb[i].gpa = page;
	f->tlb[i].hpa = e->hpa + (page - e->gpa);
	f->tlb[i].flags = e->flags;
}

bool fake_guest_touch(struct vcpu *v, gpa_t gpa, unsigned access)
{
	struct virt_vcpu *f = v->virt;
	const struct fake_extent *e = extent_at(f->vm, gpa.v);
	unsigned allowed = e ? e->flags : 0;

	check(f->in_guest && access && !(access & ~(unsigned)NESTED_RWX));
	if (!(access & ~allowed)) {
		tlb_fill(f, gpa.v & ~(PAGE_SIZE - 1), e);
		return true;
	}
	v->exit = (struct vcpu_exit){
		.kind = EXIT_NESTED_FAULT,
		.fault = {.gpa = gpa.v,
			  .linear = gpa.v,
			  .linear_valid = true,
			  .access = (uint8_t)access,
			  .allowed = (uint8_t)allowed},
	};
	return false;
}
