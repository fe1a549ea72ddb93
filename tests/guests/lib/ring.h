/*
 * What two guests do in memory that they share: ring-ping asks, ring-pong answers, each by a
 * doorbell. For guests of 32 and 64 bits. The region is the first of their configurations.
 */
#pragma once

#include <crvm/hypercall.h>
#include "irq.h"

enum { RING_IRQ_PING = 5, RING_IRQ_PONG = 10, RING_ROUNDS = 200, RING_WORDS = 64 };
#define RING_SIZE 0x10000u

struct ring_page {
	uint32_t pong_ready, done;
	uint32_t question[RING_WORDS], answer[RING_WORDS];
};

/* Of 32 bits each: the result's low half is enough here. */
static inline int32_t ring_call(unsigned long number, unsigned long a, unsigned long b)
{
	unsigned long result;

	__asm__ volatile("vmcall"
			 : "=a"(result)
			 : "a"(number), "D"(a), "S"(b), "d"(0ul), "c"(0ul)
			 : "memory");
	return (int32_t)result;
}

static inline unsigned long ring_pointer(const volatile void *p)
{
	return (unsigned long)p;
}

/* The region as it is described; its page. */
static inline volatile struct ring_page *ring_open(struct hypercall_shared *d)
{
	CHECK_EQ(ring_call(HYPERCALL_SHARED_DESCRIBE, 0, ring_pointer(d)), 0);
	CHECK_EQ(d->size, RING_SIZE);
	CHECK(d->address >= 0xc0000000 && d->address + d->size <= 0xfc000000);
	return (volatile struct ring_page *)(unsigned long)d->address;
}

/* How many others are on. */
static inline uint32_t ring_peers(void)
{
	struct hypercall_shared d;

	CHECK_EQ(ring_call(HYPERCALL_SHARED_DESCRIBE, 0, ring_pointer(&d)), 0);
	return d.peers;
}

/* Sleeps until the doorbell's interrupt has come; it has come once. */
static inline void ring_wait(unsigned irq)
{
	while (!irq_count[irq])
		__asm__ volatile("sti\n\thlt\n\tcli" : : : "memory");
	CHECK_EQ(irq_count[irq], 1);
	CHECK_EQ(irq_total, 1);
	irq_forget();
	CHECK_EQ(ring_call(HYPERCALL_SHARED_RINGS, 0, 0), 1);
	CHECK_EQ(ring_call(HYPERCALL_SHARED_RINGS, 0, 0), 0);
}

static inline uint32_t ring_word(uint32_t round, uint32_t i)
{
	return (round * 0x9e3779b9u) ^ (i * 0x85ebca6bu);
}
