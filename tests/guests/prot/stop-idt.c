/*
 * Exceptions delivered to a stack in device memory: nothing can emulate that; the VM is stopped
 * and the instruction is not executed in their place.
 */
#include "cpu.h"

void guest_main(void)
{
	print("before\n");
	/* The single step after POPF is delivered with RIP at the MOV, which must not happen. */
	__asm__ volatile("mov %0, %%esp\n\t"
			 "mov $0x100000, %%ebx\n\t"
			 "ud2"
			 :
			 : "r"(TESTDEV_MEM + 0x800)
			 : "ebx", "memory");
	print("after\n");
}
