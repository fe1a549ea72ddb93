/*
 * HLT with interrupts off: nothing can wake this VM, so it ends.
 */
#include "cpu.h"

void guest_main(void)
{
	print("before\n");
	__asm__ volatile("cli\n\thlt");
	print("after\n");
}
