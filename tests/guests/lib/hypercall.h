/*
 * What test guests that make hypercalls share: addresses, and arguments as a hostile caller passes
 * them.
 */
#pragma once

#include <crvm/hypercall.h>
#include "cpu.h"

static inline uint64_t address(const volatile void *p)
{
	return (uint64_t)p;
}

/* Numbers without order, always the same. */
static inline uint64_t random_next(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

/* An argument as a hostile caller may pass it. */
static inline uint64_t random_wild(uint64_t *seed)
{
	uint64_t r = random_next(seed);

	switch (r % 6) {
	case 0:
		return r >> 60;
	case 1:
		return r >> 32 & 0x3ff000;
	case 2:
		return ~0ul << (r >> 58);
	case 3:
		return 1ul << (r >> 58);
	case 4:
		return r >> 40;
	default:
		return r;
	}
}
