/*
 * An interrupt that is delivered to a stack in device memory. Nothing can emulate that: the VM is
 * stopped, and the instruction that was to come next is not executed in its place.
 */
#include "irq.h"

void guest_main(void)
{
	irq_init(1 << IRQ_KEYBOARD);
	print("before\n");
	out8(KBC_COMMAND, KBC_ECHO);
	__asm__ volatile("mov $0x100000, %%ebx\n\t"
			 "mov $0xf4, %%edx\n\t"
			 "mov $3, %%eax\n\t"
			 "sti\n\t"
			 "mov %0, %%esp\n\t"
			 "out %%al, $0x60\n\t"
			 "mov %%eax, (%%ebx)\n\t" /* could be emulated */
			 "out %%al, %%dx"	  /* whoever comes here has lost the interrupt */
			 :
			 : "r"(TESTDEV_MEM + 0x800)
			 : "eax", "ebx", "edx", "memory");
}
