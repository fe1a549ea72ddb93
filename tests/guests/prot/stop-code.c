/*
 * Code that runs off the end of memory: the VM is stopped.
 */
#include "cpu.h"

void guest_main(void)
{
	uint32_t end = 0x400000; /* mem=4M */

	for (unsigned i = 1; i <= 16; i++)
		MEM8(end - i) = 0x90;
	print("before\n");
	__asm__ volatile("jmp *%0" : : "r"(end - 16));
}
