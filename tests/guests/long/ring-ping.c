/*
 * Shared memory and doorbells, the side that begins: what is written before a ring is there when
 * the other one looks, its answer comes by an interrupt, and once. Bad arguments do nothing.
 */
#include "ring.h"

static void check_describe(const struct hypercall_shared *d)
{
	struct hypercall_shared other;
	const unsigned long end = 0x400000, inside = (unsigned long)d->address + 0x8000;

	CHECK(d->name[0] == 'b' && d->name[1] == 'o' && d->name[2] == 'x');
	CHECK_EQ(d->irq, RING_IRQ_PING);
	CHECK_EQ(ring_call(HYPERCALL_SHARED_DESCRIBE, 1, ring_pointer(&other)), HYPERCALL_E_NOENT);
	CHECK_EQ(ring_call(HYPERCALL_SHARED_DESCRIBE, ~0ul, ring_pointer(&other)),
		 HYPERCALL_E_NOENT);
	CHECK_EQ(ring_call(HYPERCALL_SHARED_DESCRIBE, 0, end - 39), HYPERCALL_E_FAULT);
	CHECK_EQ(
		ring_call(HYPERCALL_SHARED_DESCRIBE, 0, (unsigned long)(d->address + d->size) - 39),
		HYPERCALL_E_FAULT);
	CHECK_EQ(ring_call(HYPERCALL_DOORBELL, 1, 0), HYPERCALL_E_NOENT);
	CHECK_EQ(ring_call(HYPERCALL_DOORBELL, 1ul << 32, 0), HYPERCALL_E_NOENT);
	CHECK_EQ(ring_call(HYPERCALL_SHARED_RINGS, 1, 0), HYPERCALL_E_NOENT);
	/* What is shared is good for pointers. */
	CHECK_EQ(ring_call(HYPERCALL_SHARED_DESCRIBE, 0, inside), 0);
	CHECK_EQ(MEM64(inside + 16), d->address);
	for (unsigned i = 0; i < sizeof(*d) / 8; i++)
		MEM64(inside + 8 * i) = 0;
}

static void ask(volatile struct ring_page *p, uint32_t round)
{
	uint64_t bad = 0;

	for (uint32_t i = 0; i < RING_WORDS; i++)
		p->question[i] = ring_word(round, i);
	CHECK_EQ(ring_call(HYPERCALL_DOORBELL, 0, 0), 1);
	ring_wait(RING_IRQ_PING);
	for (uint32_t i = 0; i < RING_WORDS; i++)
		bad += p->answer[i] != ~ring_word(round, i);
	CHECK_EQ(bad, 0);
}

void guest_main(void)
{
	struct hypercall_shared d;
	volatile struct ring_page *p = ring_open(&d);
	uint64_t dirty = 0;

	check_describe(&d);
	for (unsigned at = 0x1000; at < RING_SIZE; at += 8)
		dirty |= MEM64(ring_pointer(p) + at);
	CHECK_EQ(dirty, 0);
	irq_init(1 << RING_IRQ_PING);
	while (!p->pong_ready)
		CHECK_EQ(ring_call(HYPERCALL_YIELD, 0, 0), 0);
	CHECK_EQ(ring_peers(), 1);
	print("asks\n");
	for (uint32_t round = 1; round <= RING_ROUNDS; round++)
		ask(p, round);
	p->done = 1;
	CHECK_EQ(ring_call(HYPERCALL_DOORBELL, 0, 0), 1);
}
