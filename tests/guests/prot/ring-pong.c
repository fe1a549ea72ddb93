/*
 * Shared memory and doorbells, the side that answers (see ring-ping), in 32 bits and on a line of
 * the second interrupt controller. When the other one has ended, rings reach nobody.
 */
#include "ring.h"

void guest_main(void)
{
	struct hypercall_shared d;
	volatile struct ring_page *p = ring_open(&d);

	CHECK_EQ(d.irq, RING_IRQ_PONG);
	irq_init(1 << RING_IRQ_PONG);
	p->pong_ready = 1;
	for (uint32_t round = 1;; round++) {
		uint32_t bad = 0;

		ring_wait(RING_IRQ_PONG);
		if (p->done)
			break;
		for (uint32_t i = 0; i < RING_WORDS; i++) {
			bad += p->question[i] != ring_word(round, i);
			p->answer[i] = ~p->question[i];
		}
		CHECK_EQ(bad, 0);
		CHECK_EQ(ring_call(HYPERCALL_DOORBELL, 0, 0), 1);
	}
	while (ring_peers())
		(void)ring_call(HYPERCALL_YIELD, 0, 0);
	CHECK_EQ(ring_call(HYPERCALL_DOORBELL, 0, 0), 0);
	CHECK_EQ(p->done, 1);
}
