/*
 * A fuzzer's input, taken piece by piece. What lies behind its end reads as zeros.
 */
#pragma once

#include <stdint.h>

struct input {
	const uint8_t *p, *end;
};

/* A number of up to 8 bytes, the lowest first. */
static inline uint64_t take(struct input *in, unsigned bytes)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < bytes && in->p < in->end; i++)
		value |= (uint64_t)*in->p++ << 8 * i;
	return value;
}
