/*
 * A debug exception that is delivered to a stack in device memory. Nothing can emulate that: the VM
 * is stopped, and the instruction that was to come next is not executed in its place.
 */
#include "cpu.h"

void guest_main(void)
{
	print("before\n");
	/* The breakpoint's trap comes after the first store; the next could be emulated. */
	write_dr0(0x100000);
	write_dr7(0x400 | 1 | 0xd << 16);
	__asm__ volatile("mov $0x100000, %%ebx\n\t"
			 "mov $0xf4, %%edx\n\t"
			 "mov $3, %%eax\n\t"
			 "mov %0, %%esp\n\t"
			 "mov %%eax, (%%ebx)\n\t"
			 "mov %%eax, 4(%%ebx)\n\t"
			 "mov %%eax, 8(%%ebx)\n\t"
			 "out %%al, %%dx" /* whoever comes here has lost the exception */
			 :
			 : "r"(TESTDEV_MEM + 0x800)
			 : "eax", "ebx", "edx", "memory");
}
