/*
 * Hypercalls: what any guest may ask, and the way of those that others carry out. It must not know
 * how a VM is managed.
 */
#include <crvm/cpu.h>
#include <crvm/smp.h>
#include <crvm/status.h>
#include <crvm/time.h>
#include <crvm/wallclock.h>

#include "hypercall_priv.h"
#include "mux.h"

int hypercall_in(const struct vm *vm, uint64_t from, void *buf, uint64_t len)
{
	return len > HYPERCALL_LENGTH_MAX ? E_INVAL : gmem_read(&vm->mem, gpa(from), buf, len);
}

int hypercall_out(const struct vm *vm, uint64_t to, const void *buf, uint64_t len)
{
	return len > HYPERCALL_LENGTH_MAX ? E_INVAL : gmem_write(&vm->mem, gpa(to), buf, len);
}

static int64_t call_version(struct vm *vm, const struct hypercall_args *a)
{
	(void)vm;
	(void)a;
	return HYPERCALL_ABI;
}

/* Small pieces: the stack is small too. */
static int64_t call_console_write(struct vm *vm, const struct hypercall_args *a)
{
	uint8_t piece[256];

	if (a->rsi > HYPERCALL_LENGTH_MAX)
		return E_INVAL;
	/* First whether all of it is there. */
	for (unsigned pass = 0; pass < 2; pass++) {
		for (uint64_t at = 0; at < a->rsi; at += sizeof(piece)) {
			uint64_t n = a->rsi - at < sizeof(piece) ? a->rsi - at : sizeof(piece);

			if (hypercall_in(vm, a->rdi + at, piece, n))
				return E_FAULT;
			for (uint64_t i = 0; pass && i < n; i++)
				mux_put(vm, piece[i]);
		}
	}
	return OK;
}

static int64_t call_yield(struct vm *vm, const struct hypercall_args *a)
{
	(void)vm;
	(void)a;
	sched_yield();
	return OK;
}

static int64_t call_time(struct vm *vm, const struct hypercall_args *a)
{
	(void)a;
	return (int64_t)time_tsc_to_ns(rdtsc() - vm->zero_tsc);
}

static int64_t call_wall_clock(struct vm *vm, const struct hypercall_args *a)
{
	(void)vm;
	(void)a;
	return (int64_t)wallclock_unix_ns();
}

static hypercall_fn *const calls[] = {
	[HYPERCALL_VERSION] = call_version,
	[HYPERCALL_CONSOLE_WRITE] = call_console_write,
	[HYPERCALL_YIELD] = call_yield,
	[HYPERCALL_TIME] = call_time,
	[HYPERCALL_WALL_CLOCK] = call_wall_clock,
	[HYPERCALL_SHARED_DESCRIBE] = hypercall_shared_describe,
	[HYPERCALL_DOORBELL] = hypercall_doorbell,
	[HYPERCALL_SHARED_RINGS] = hypercall_shared_rings,
};

static struct hypercall_args args_of(const struct vm_vcpu *vv)
{
	const uint64_t *gpr = vv->v.gpr;

	return (struct hypercall_args){gpr[REG_RDI], gpr[REG_RSI], gpr[REG_RDX], gpr[REG_RCX]};
}

static hypercall_fn *find_waiting(uint64_t number)
{
	hypercall_fn *fn = hypercall_manage_find(number);

	return fn ? fn : hypercall_child_find(number);
}

/* Those of privileged VMs too: whether this VM may is for the caller. */
static inline hypercall_fn *find_at_once(uint64_t number)
{
	if (number < array_count(calls))
		return calls[number];
	number -= HYPERCALL_CHILD_QUICK;
	return number < array_count(hypercall_child_quick) ? hypercall_child_quick[number] : NULL;
}

static inline bool may_call(const struct vm *vm, uint64_t number)
{
	return number < array_count(calls) || vm->config.privileged;
}

bool hypercall_at_once(struct vm_vcpu *vv)
{
	const struct hypercall_args a = args_of(vv);
	struct vm *vm = vv->v.vm;
	uint64_t number = vv->v.gpr[REG_RAX];
	hypercall_fn *fn = find_at_once(number);

	if (unlikely(!fn || !may_call(vm, number)))
		return false;
	vv->v.gpr[REG_RAX] = (uint64_t)fn(vm, &a);
	return true;
}

enum exit_action hypercall_exit(struct vm_vcpu *vv)
{
	uint64_t *rax = &vv->v.gpr[REG_RAX], number = *rax;

	if (hypercall_at_once(vv))
		return vv->guest ? ACT_WAIT : ACT_NEXT;
	if (!find_at_once(number) && !find_waiting(number)) {
		*rax = (uint64_t)E_NOSYS;
	} else if (!may_call(vv->v.vm, number)) {
		*rax = (uint64_t)E_PERM;
	} else {
		atomic_store(&vv->call, CALL_ASKED);
		smp_kick(&percpus[0], WORK_HYPERCALL);
		return ACT_WAIT;
	}
	return ACT_NEXT;
}

/*
 * The VM is on while its vCPU waits, so it cannot be destroyed by what is done for it. But it may
 * be stopped, or powered on again: the result is nobody's then.
 */
static void carry_out(struct vm *vm)
{
	struct vm_vcpu *vv = &vm->vcpu[0];
	const struct hypercall_args a = args_of(vv);
	uint32_t begun = CALL_BEGUN;
	/* Somebody may have changed the registers meanwhile, if the VM is paused. */
	hypercall_fn *fn = find_waiting(vv->v.gpr[REG_RAX]);

	vv->call_result = fn ? fn(vm, &a) : E_NOSYS;
	if (atomic_compare_exchange_strong(&vv->call, &begun, CALL_DONE))
		smp_kick(vv->cpu, WORK_VCPU);
}

void hypercall_work(void)
{
	child_reap(NULL);
	for (unsigned i = 0; i < VM_MAX; i++) {
		struct vm *vm = i < vm_count ? vms[i] : NULL;
		uint32_t asked = CALL_ASKED;

		if (vm && vm_is_on(vm) &&
		    atomic_compare_exchange_strong(&vm->vcpu[0].call, &asked, CALL_BEGUN))
			carry_out(vm);
	}
}
