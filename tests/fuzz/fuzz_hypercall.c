/*
 * Hypercalls with all that a hostile guest may pass: numbers, pointers, lengths, and a child that
 * exits in every way in between. Nothing may be touched beyond the parent's memory (it lies between
 * forbidden pages), and each call ends.
 * needs: core/vm_parts.c
 * needs: core/run.c core/exits.c core/exits_cpu.c core/exits_cr.c core/exits_mem.c core/quick.c
 * needs: core/sched.c core/fair.c core/hypercall.c core/hypercall_child.c core/child.c
 * needs: core/child_run.c core/child_port.c core/hypercall_shared.c core/shared.c
 * needs: core/inject.c core/io_bus.c core/cpuid_policy.c core/msr_policy.c core/emulate.c
 * needs: core/emu_alu.c core/emu_fetch.c core/emu_mem.c core/emu_string.c core/decode.c
 * needs: core/gwalk.c core/string_io.c core/exit_stats.c core/trace.c mm/gmem.c devices/debug.c
 * needs: devices/testdev.c lib/printf.c lib/text.c tests/fake/backend.c
 * needs: tests/fake/backend_nested.c
 * needs: tests/fake/panic.c tests/fake/spinlock.c tests/fake/host_cpu.c tests/fake/run_machine.c
 */
#include <stdio.h>
#include <stdlib.h>

#include "../unit/child_rig.h"
#include "../../core/shared.h"
#include "input.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CALLS 48u

/* Mostly what makes sense somewhere. */
static uint64_t argument(struct input *in)
{
	switch (take(in, 1) % 8) {
	case 0:
		return take(in, 8);
	case 1:
		return take(in, 1) << 12;
	case 2:
		return RUN_RAM_SIZE - take(in, 1);
	case 3:
		return ~take(in, 1);
	case 4:
		return 0x3f8 + take(in, 1);
	case 5:
		return take(in, 2);
	default:
		return take(in, 1) & 7;
	}
}

/* Two of them, at the beginnings of pages. */
static void put_traps(struct input *in)
{
	for (uint64_t at = 0x3000; at <= 0x4000; at += 0x1000) {
		struct hypercall_trap t = {.kind = (uint32_t)take(in, 1) % 4};

		t.at = argument(in);
		t.size = argument(in);
		t.key = take(in, 1);
		put(at, &t, sizeof(t));
	}
}

static void child_exit(struct input *in, struct vm *vm)
{
	static const uint8_t kinds[] = {EXIT_PORT,	EXIT_NESTED_FAULT, EXIT_HLT,
					EXIT_CPUID,	EXIT_RDMSR,	   EXIT_WRMSR,
					EXIT_HYPERCALL, EXIT_SHUTDOWN,	   EXIT_PORT};
	struct vcpu_exit e = {.kind = kinds[take(in, 1) % array_count(kinds)], .insn_len = 1};

	if (e.kind == EXIT_PORT)
		e.port = (__typeof__(e.port)){.port = (uint16_t)argument(in),
					      .size = (uint8_t)(1u << take(in, 1) % 3),
					      .in = take(in, 1) & 1,
					      .string = !(take(in, 1) & 7),
					      .addr_size = 2};
	if (e.kind == EXIT_NESTED_FAULT)
		e.fault = (__typeof__(e.fault)){.gpa = argument(in),
						.linear_valid = true,
						.access = (uint8_t)(1u << take(in, 1) % 3)};
	fake_push_exit(&vm->vcpu->v, &e);
}

static int64_t waiting(struct vm *vm, const struct hypercall_args *a)
{
	(void)vm;
	(void)a;
	return OK;
}

static void share(struct vm *vm)
{
	vm->config.shared_count = 1;
	vm->config.shared[0] = (struct vm_config_shared){.name = "box", .size = 4096, .irq = 5};
	if (shared_attach(vm))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, data + size};
	void *state = NULL;
	unsigned made = 0;

	rig_cpu %= CPU_MAX - 2;
	rig_waiting = waiting;
	child_setup(&state);
	put_traps(&in);
	share(&parent->vm);
	for (unsigned i = 0; i < CALLS && in.p < in.end; i++) {
		uint64_t n = take(&in, 1) % (HYPERCALL_COUNT + 2), a[4];

		/* The fake has room for so many VMs. */
		if (n == HYPERCALL_GUEST_CREATE && ++made > 2)
			continue;
		for (unsigned k = 0; k < 4; k++)
			a[k] = argument(&in);
		for (unsigned k = 0; k < VM_CHILD_MAX && n == HYPERCALL_VCPU_RESUME; k++) {
			struct vm *vm = parent->vm.children[k];

			if (!vm || !vm->vcpu || vm->vcpu->v.virt->script_count > 8)
				continue;
			fake_set_guest(&vm->vcpu->v, spin, NULL);
			child_exit(&in, vm);
		}
		(void)call(n, a[0], a[1], a[2], a[3]);
	}
	child_reap(&parent->vm);
	shared_detach(&parent->vm);
	if (arenas) {
		fprintf(stderr, "broken: a child or a region is left\n");
		abort();
	}
	sched_remove(pv);
	fake_cpu_catch();
	return 0;
}
