/*
 * A VM that shares nothing: where others have a region it finds nothing, and it has no doorbell.
 */
#include "ring.h"

#define REGION 0xd0000000ul

void guest_main(void)
{
	struct hypercall_shared d;

	for (unsigned i = 0; i < 1000; i++) {
		CHECK_EQ(ring_call(HYPERCALL_SHARED_DESCRIBE, i, ring_pointer(&d)),
			 HYPERCALL_E_NOENT);
		CHECK_EQ(ring_call(HYPERCALL_DOORBELL, i, 0), HYPERCALL_E_NOENT);
		CHECK_EQ(ring_call(HYPERCALL_SHARED_RINGS, i, 0), HYPERCALL_E_NOENT);
		CHECK_EQ(MEM64(REGION), ~0ul);
		MEM64(REGION) = 0; /* others have flags there */
		CHECK_EQ(MEM32(REGION + 0x101), ~0u);
		CHECK_EQ(ring_call(HYPERCALL_CONSOLE_WRITE, REGION, 1), HYPERCALL_E_FAULT);
	}
}
