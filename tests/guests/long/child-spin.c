/*
 * A guest whose child never comes back by itself: others pause, move, reset and end it meanwhile.
 * Interrupts of its own make the hypercall return. Needs `privileged = yes`.
 */
#include "hypercall.h"

static struct hypercall_packet packet;

void guest_main(void)
{
	/* sti; incb 500h; jmp: with interrupts on, so that kicks are not seen late under Bochs 2.7
	 */
	static const uint8_t spin[] = {0xfb, 0xfe, 0x06, 0x00, 0x05, 0xeb, 0xf9};
	uint64_t child = (uint64_t)hypercall(HYPERCALL_GUEST_CREATE, 0, 0, 0, 0);

	CHECK_EQ(child, 1); /* those of the life before are not ours */
	CHECK_EQ(hypercall(HYPERCALL_GUEST_ADD_MEMORY, child, 0, 0x100000, 0), 0);
	CHECK_EQ(hypercall(HYPERCALL_GUEST_WRITE, child, 0x1000, address(spin), sizeof(spin)), 0);
	CHECK_EQ(hypercall(HYPERCALL_VCPU_CREATE, child, 0x1000, HYPERCALL_MODE_REAL, 0), 0);
	for (;;)
		CHECK_EQ(hypercall(HYPERCALL_VCPU_RESUME, child, address(&packet), 0, 0),
			 HYPERCALL_PACKET_NONE);
}
