/*
 * Hypercalls that manage VMs, for those that may: arguments checked and handed to manage.h. It must
 * not know how a vCPU waits.
 */
#include <crvm/status.h>
#include <crvm/string.h>
#include <crvm/time.h>

#include "hypercall_priv.h"
#include "log_priv.h"
#include "manage.h"

/* One call at a time: what passes through here in both directions. */
static uint8_t buffer[HYPERCALL_LENGTH_MAX] aligned_to(64);

static struct vm *find(uint64_t number)
{
	return number && number <= vm_count ? vms[number - 1] : NULL;
}

static void config_error(void *ctx, const struct vm_config_error *e)
{
	const struct vm *vm = ctx;

	log_warn("VM %s creates VMs: %u:%u: %s%s%s", vm->name, e->place.line, e->place.column,
		 e->vm, e->vm[0] ? ": " : "", e->text);
}

static unsigned count_vms(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < vm_count; i++)
		n += vms[i] != NULL;
	return n;
}

static int64_t call_create(struct vm *vm, const struct hypercall_args *a)
{
	struct vm_config_sink sink = {.error = config_error, .ctx = vm};
	unsigned before = count_vms(), good, made;
	int err = hypercall_in(vm, a->rdi, buffer, a->rsi);

	if (err)
		return err;
	good = manage_create((const char *)buffer, a->rsi, &sink);
	made = count_vms() - before;
	if (made)
		return made;
	return good ? E_NOMEM : E_INVAL;
}

#define SIMPLE_CALL(what)                                                         \
	static int64_t call_##what(struct vm *vm, const struct hypercall_args *a) \
	{                                                                         \
		struct vm *other = find(a->rdi);                                  \
                                                                                  \
		(void)vm;                                                         \
		return other ? manage_##what(other) : E_NOENT;                    \
	}

SIMPLE_CALL(start)
SIMPLE_CALL(pause)
SIMPLE_CALL(resume)
SIMPLE_CALL(reset)
SIMPLE_CALL(stop)
SIMPLE_CALL(destroy)
SIMPLE_CALL(inject_nmi)

static int64_t call_list(struct vm *vm, const struct hypercall_args *a)
{
	uint32_t number[VM_MAX];
	unsigned n = 0;
	int err;

	for (unsigned i = 0; i < vm_count; i++)
		if (vms[i])
			number[n++] = i + 1;
	err = hypercall_out(vm, a->rdi, number, (a->rsi < n ? a->rsi : n) * sizeof(number[0]));
	return err ? err : (int64_t)n;
}

_Static_assert((int)HYPERCALL_VM_CREATED == VM_CREATED && (int)HYPERCALL_VM_RUNNING == VM_RUNNING &&
		       (int)HYPERCALL_VM_PAUSED == VM_PAUSED &&
		       (int)HYPERCALL_VM_STOPPED == VM_STOPPED &&
		       sizeof(((struct hypercall_vm *)0)->name) == VM_NAME_MAX,
	       "the ABI has the same");

static int64_t call_describe(struct vm *vm, const struct hypercall_args *a)
{
	const struct vm *other = find(a->rdi);
	struct hypercall_vm d = {0};

	if (!other)
		return E_NOENT;
	memcpy(d.name, other->name, sizeof(d.name));
	d.number = other->id + 1u;
	d.state = atomic_load(&other->state);
	d.memory = other->config.mem;
	d.weight = other->config.weight;
	d.cpu = other->vcpu[0].cpu ? (int32_t)other->vcpu[0].cpu->index : -1;
	d.vcpus = other->config.cpus;
	d.flags = (other->config.privileged ? 1u : 0) | (other == vm ? 2u : 0);
	return hypercall_out(vm, a->rsi, &d, sizeof(d));
}

static int64_t call_set_weight(struct vm *vm, const struct hypercall_args *a)
{
	struct vm *other = find(a->rdi);

	(void)vm;
	if (!other)
		return E_NOENT;
	return a->rsi > UINT32_MAX ? E_INVAL : manage_set_weight(other, (unsigned)a->rsi);
}

static int64_t call_set_cpu(struct vm *vm, const struct hypercall_args *a)
{
	struct vm *other = find(a->rdi);

	(void)vm;
	if (!other)
		return E_NOENT;
	return a->rsi > UINT32_MAX ? E_NODEV : manage_set_cpu(other, (unsigned)a->rsi);
}

static int64_t call_read(struct vm *vm, const struct hypercall_args *a)
{
	struct vm *other = find(a->rdi);
	int err;

	if (!other)
		return E_NOENT;
	if (a->rcx > sizeof(buffer))
		return E_INVAL;
	err = manage_read(other, gpa(a->rsi), buffer, a->rcx);
	return err ? err : hypercall_out(vm, a->rdx, buffer, a->rcx);
}

static int64_t call_write(struct vm *vm, const struct hypercall_args *a)
{
	struct vm *other = find(a->rdi);
	int err;

	if (!other)
		return E_NOENT;
	err = hypercall_in(vm, a->rdx, buffer, a->rcx);
	return err ? err : manage_write(other, gpa(a->rsi), buffer, a->rcx);
}

static const uint8_t regs[HYPERCALL_REG_COUNT] = {
	REG_RAX, REG_RCX,    REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
	REG_R8,	 REG_R9,     REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15,
	REG_RIP, REG_RFLAGS, REG_CR0, REG_CR2, REG_CR3, REG_CR4, REG_EFER};

static int64_t call_get_regs(struct vm *vm, const struct hypercall_args *a)
{
	struct vm *other = find(a->rdi);
	struct hypercall_regs out = {0};
	struct manage_regs r;
	int err;

	if (!other)
		return E_NOENT;
	err = manage_get_regs(other, &r);
	if (err)
		return err;
	for (unsigned i = 0; i < HYPERCALL_REG_COUNT; i++)
		out.reg[i] = r.reg[regs[i]];
	for (unsigned i = 0; i < SEG_COUNT; i++) {
		const struct vcpu_segment *s = &r.segment[i];

		out.segment[i] =
			(struct hypercall_segment){s->selector, s->attr, s->limit, s->base};
	}
	return hypercall_out(vm, a->rsi, &out, sizeof(out));
}

static int64_t call_set_reg(struct vm *vm, const struct hypercall_args *a)
{
	struct vm *other = find(a->rdi);

	(void)vm;
	if (!other)
		return E_NOENT;
	if (a->rsi >= HYPERCALL_REG_COUNT)
		return E_INVAL;
	return manage_set_reg(other, (enum vcpu_reg)regs[a->rsi], a->rdx);
}

static int64_t call_inject_irq(struct vm *vm, const struct hypercall_args *a)
{
	struct vm *other = find(a->rdi);

	(void)vm;
	if (!other)
		return E_NOENT;
	return a->rsi > UINT32_MAX ? E_INVAL : manage_inject_irq(other, (unsigned)a->rsi);
}

static int64_t call_statistics(struct vm *vm, const struct hypercall_args *a)
{
	const struct vm *other = find(a->rdi);
	struct hypercall_statistics out = {0};
	const struct exit_counter *kind;

	if (!other)
		return E_NOENT;
	kind = other->vcpu[0].stats.kind;
	out.ran_ns = time_tsc_to_ns(other->vcpu[0].ran_ticks);
	for (unsigned i = 0; i < EXIT_KIND_COUNT; i++)
		out.exits += kind[i].count;
	out.port_exits = kind[EXIT_PORT].count;
	out.memory_exits = kind[EXIT_NESTED_FAULT].count;
	out.hlt_exits = kind[EXIT_HLT].count;
	out.hypercall_exits = kind[EXIT_HYPERCALL].count;
	out.irq_exits = kind[EXIT_HOST_IRQ].count;
	return hypercall_out(vm, a->rsi, &out, sizeof(out));
}

static hypercall_fn *const calls[] = {
	[HYPERCALL_VM_CREATE] = call_create,	     [HYPERCALL_VM_START] = call_start,
	[HYPERCALL_VM_PAUSE] = call_pause,	     [HYPERCALL_VM_RESUME] = call_resume,
	[HYPERCALL_VM_RESET] = call_reset,	     [HYPERCALL_VM_STOP] = call_stop,
	[HYPERCALL_VM_DESTROY] = call_destroy,	     [HYPERCALL_VM_LIST] = call_list,
	[HYPERCALL_VM_DESCRIBE] = call_describe,     [HYPERCALL_VM_SET_WEIGHT] = call_set_weight,
	[HYPERCALL_VM_SET_CPU] = call_set_cpu,	     [HYPERCALL_VM_READ] = call_read,
	[HYPERCALL_VM_WRITE] = call_write,	     [HYPERCALL_VM_GET_REGS] = call_get_regs,
	[HYPERCALL_VM_SET_REG] = call_set_reg,	     [HYPERCALL_VM_INJECT_NMI] = call_inject_nmi,
	[HYPERCALL_VM_INJECT_IRQ] = call_inject_irq, [HYPERCALL_VM_STATISTICS] = call_statistics,
};

hypercall_fn *hypercall_manage_find(uint64_t number)
{
	return number < array_count(calls) ? calls[number] : NULL;
}
