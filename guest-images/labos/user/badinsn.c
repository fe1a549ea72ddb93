/*
 * Turns interrupts off, which user mode may not.
 */

#include "user.h"

int program_main(uint32_t argument)
{
	(void)argument;
	__asm__ volatile("cli");
	return 0;
}
