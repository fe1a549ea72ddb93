/*
 * Hypercalls by which a guest runs VMs of its own (child.h): arguments checked. It must not know
 * what a child does in its turn.
 */
#include <crvm/status.h>

#include "hypercall_priv.h"

/* Calls of the boot CPU's loop only: one at a time. */
static uint8_t buffer[HYPERCALL_LENGTH_MAX] aligned_to(64);

static int64_t call_create(struct vm *vm, const struct hypercall_args *a)
{
	unsigned number;
	int err = child_create(vm, &number);

	(void)a;
	return err ? err : (int64_t)number;
}

static int64_t call_destroy(struct vm *vm, const struct hypercall_args *a)
{
	struct child *c = child_find(vm, a->rdi);

	if (!c)
		return E_NOENT;
	child_destroy(c->vm);
	return OK;
}

static int64_t call_add_memory(struct vm *vm, const struct hypercall_args *a)
{
	struct child *c = child_find(vm, a->rdi);

	return c ? child_add_memory(c, a->rsi, a->rdx) : E_NOENT;
}

static int64_t call_set_trap(struct vm *vm, const struct hypercall_args *a)
{
	struct child *c = child_find(vm, a->rdi);
	struct hypercall_trap t;
	int err;

	if (!c)
		return E_NOENT;
	err = hypercall_in(vm, a->rsi, &t, sizeof(t));
	return err ? err : child_set_trap(c, &t);
}

static int64_t call_read(struct vm *vm, const struct hypercall_args *a)
{
	const struct child *c = child_find(vm, a->rdi);
	int err;

	if (!c)
		return E_NOENT;
	err = hypercall_in(c->vm, a->rsi, buffer, a->rcx);
	return err ? err : hypercall_out(vm, a->rdx, buffer, a->rcx);
}

static int64_t call_write(struct vm *vm, const struct hypercall_args *a)
{
	const struct child *c = child_find(vm, a->rdi);
	int err;

	if (!c)
		return E_NOENT;
	err = hypercall_in(vm, a->rdx, buffer, a->rcx);
	return err ? err : hypercall_out(c->vm, a->rsi, buffer, a->rcx);
}

static int64_t call_vcpu_create(struct vm *vm, const struct hypercall_args *a)
{
	struct child *c = child_find(vm, a->rdi);

	if (!c)
		return E_NOENT;
	return a->rdx > UINT32_MAX ? E_INVAL : child_add_vcpu(c, a->rsi, (unsigned)a->rdx);
}

static int64_t call_resume(struct vm *vm, const struct hypercall_args *a)
{
	struct child *c = child_find(vm, a->rdi);

	return c ? child_resume(c, gpa(a->rsi)) : E_NOENT;
}

static int64_t call_read_state(struct vm *vm, const struct hypercall_args *a)
{
	struct child *c = child_find(vm, a->rdi);
	struct hypercall_state s;
	int err;

	if (!c)
		return E_NOENT;
	err = child_read_state(c, &s);
	return err ? err : hypercall_out(vm, a->rsi, &s, sizeof(s));
}

/* No more of it than there is. */
static int read_io(struct vm *vm, uint64_t from, struct hypercall_io *io)
{
	const uint64_t head = offsetof(struct hypercall_io, data);
	int err = hypercall_in(vm, from, io, head);

	if (err)
		return err;
	if (io->size != 1 && io->size != 2 && io->size != 4)
		return E_INVAL;
	if (!io->count || io->count > sizeof(io->bytes) / io->size)
		return E_INVAL;
	return hypercall_in(vm, from + head, io->bytes, (uint64_t)io->size * io->count);
}

static int64_t call_write_state(struct vm *vm, const struct hypercall_args *a)
{
	struct child *c = child_find(vm, a->rdi);
	struct hypercall_state s;
	struct hypercall_io io;
	int err;

	if (!c)
		return E_NOENT;
	switch (a->rsi) {
	case HYPERCALL_WRITE_STATE:
		err = hypercall_in(vm, a->rdx, &s, sizeof(s));
		return err ? err : child_write_state(c, &s);
	case HYPERCALL_WRITE_IO:
		err = read_io(vm, a->rdx, &io);
		return err ? err : child_write_io(c, &io);
	default:
		return E_INVAL;
	}
}

static int64_t call_interrupt(struct vm *vm, const struct hypercall_args *a)
{
	struct child *c = child_find(vm, a->rdi);

	return c ? child_interrupt(c, a->rsi) : E_NOENT;
}

static hypercall_fn *const waiting[HYPERCALL_COUNT] = {
	[HYPERCALL_GUEST_CREATE] = call_create,
	[HYPERCALL_GUEST_DESTROY] = call_destroy,
	[HYPERCALL_GUEST_ADD_MEMORY] = call_add_memory,
	[HYPERCALL_GUEST_SET_TRAP] = call_set_trap,
	[HYPERCALL_GUEST_READ] = call_read,
	[HYPERCALL_GUEST_WRITE] = call_write,
	[HYPERCALL_VCPU_CREATE] = call_vcpu_create,
};

#define QUICK(number) [(number)-HYPERCALL_CHILD_QUICK]
hypercall_fn *const hypercall_child_quick[HYPERCALL_COUNT - HYPERCALL_CHILD_QUICK] = {
	QUICK(HYPERCALL_VCPU_RESUME) = call_resume,
	QUICK(HYPERCALL_VCPU_READ_STATE) = call_read_state,
	QUICK(HYPERCALL_VCPU_WRITE_STATE) = call_write_state,
	QUICK(HYPERCALL_VCPU_INTERRUPT) = call_interrupt,
};

hypercall_fn *hypercall_child_find(uint64_t number)
{
	return number < HYPERCALL_COUNT ? waiting[number] : NULL;
}
