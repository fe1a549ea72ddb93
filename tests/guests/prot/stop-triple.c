/*
 * A triple fault stops its VM and no other.
 */
#include "cpu.h"

void guest_main(void)
{
	struct __attribute__((packed)) {
		uint16_t limit;
		uint32_t base;
	} none = {0, 0};

	print("before\n");
	__asm__ volatile("lidt %0\n\tud2" : : "m"(none));
	print("after\n");
}
