/*
 * Shared memory holds no code: a guest that jumps there is stopped.
 */
#include "ring.h"

void guest_main(void)
{
	struct hypercall_shared d;
	volatile uint8_t *p = (volatile uint8_t *)(unsigned long)ring_open(&d);

	p[0] = 0xc3;
	print("before\n");
	((void (*)(void))(unsigned long)p)();
	print("after\n");
}
