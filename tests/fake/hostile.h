/*
 * A hostile guest for core's run loop: exits, registers, memory, requests and events, all taken
 * from a source of numbers (a seed, or a fuzzer's bytes), and what must hold whatever it does. It
 * knows no test framework: what does not hold is a panic.
 */
#pragma once

#include "run_machine.h"

struct hostile_source {
	uint64_t (*take)(void *ctx, unsigned bytes); /* 1 to 8 */
	void *ctx;
};

/* A new machine with one VM, in a mode that the source chooses; `quick` may be NULL. */
struct run_vm *hostile_begin(const struct hostile_source *s, const struct vcpu_quick *quick);
/* Some exits in a row, through vcpu_step, and the checks. False: the VM has stopped. */
bool hostile_step(const struct hostile_source *s, struct run_vm *m);
/* All exits ever, quick ones too. */
extern uint64_t hostile_exit_count;
/* Of everything that the guest can see: registers, memory, devices, what was delivered. */
uint64_t hostile_digest(struct run_vm *m);
