/*
 * Reads the kernel's memory, which user mode may not.
 */

#include "user.h"

int program_main(uint32_t argument)
{
	(void)argument;
	return *(volatile int *)0x100000;
}
