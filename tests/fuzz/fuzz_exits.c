/*
 * A hostile guest for core's run loop, made from the input's bytes: see tests/fake/hostile.h for
 * what it may do and what must hold. The same with quick exits and without must end the same.
 * needs: core/run.c core/exits.c core/exits_cpu.c core/exits_cr.c core/exits_mem.c core/quick.c
 * needs: core/inject.c core/io_bus.c core/cpuid_policy.c core/msr_policy.c core/emulate.c
 * needs: core/emu_alu.c core/emu_fetch.c core/emu_mem.c core/emu_string.c core/decode.c
 * needs: core/gwalk.c core/string_io.c core/exit_stats.c core/trace.c mm/gmem.c devices/debug.c
 * needs: devices/testdev.c lib/printf.c tests/fake/backend.c tests/fake/backend_nested.c
 * needs: tests/fake/panic.c tests/fake/spinlock.c tests/fake/host_cpu.c tests/fake/run_machine.c
 * needs: tests/fake/hostile.c
 */
#include <stdio.h>
#include <stdlib.h>
#include "hostile.h"
#include "input.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define STEPS 64u

static uint64_t bytes_take(void *ctx, unsigned bytes)
{
	return take(ctx, bytes);
}

static uint64_t life(const uint8_t *data, size_t size, const struct vcpu_quick *quick)
{
	struct input in = {data, data + size};
	const struct hostile_source s = {bytes_take, &in};
	struct run_vm *m = hostile_begin(&s, quick);

	for (unsigned i = 0; i < STEPS && in.p < in.end && hostile_step(&s, m); i++)
		;
	return hostile_digest(m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t slowly = life(data, size, NULL);

	if (life(data, size, &vcpu_quick) != slowly ||
	    life(data, size, &vcpu_quick_traced) != slowly) {
		fprintf(stderr, "broken: quick exits differ from the others\n");
		abort();
	}
	return 0;
}
