/*
 * Ring of bytes with one producer and one consumer, which may be on different CPUs or one of them
 * an interrupt handler; no lock (lib/ring.c). The size is a power of two. Any file may use it.
 */
#pragma once

#include <stdatomic.h>
#include <crvm/compiler.h>

struct ring {
	uint8_t *buf;
	uint32_t size;
	_Atomic uint32_t head; /* bytes ever put; only the producer writes it */
	_Atomic uint32_t tail; /* bytes ever taken; only the consumer writes it */
};

/* `size` must be a power of two, at most 2 GiB. */
void ring_init(struct ring *r, uint8_t *buf, uint32_t size);
uint32_t ring_used(const struct ring *r);
uint32_t ring_free(const struct ring *r);
/* Put all n bytes or, for want of room, none (false). Producer only. */
bool ring_put(struct ring *r, const void *data, uint32_t n);
/* Take up to n bytes; returns how many. Consumer only. */
uint32_t ring_get(struct ring *r, void *data, uint32_t n);
