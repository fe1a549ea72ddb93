/*
 * Begin and end of a quick handler (quick.c). Private to core/.
 */
#pragma once

#include <crvm/cpu.h>

#include "vm.h"

static inline void quick_begin(struct vcpu *v)
{
	vm_vcpu_of(v)->quick_start = rdtsc_low();
}

/* Counts it; returns the TSC's low half. */
static inline uint32_t quick_count(struct vcpu *v, enum exit_kind kind)
{
	struct vm_vcpu *vv = vm_vcpu_of(v);
	uint32_t now = rdtsc_low();

	exit_stats_add(&vv->stats, kind, now - vv->quick_start);
	return now;
}
