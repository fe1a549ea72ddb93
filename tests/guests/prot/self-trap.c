/*
 * A guest with an exception that it does not expect: it says so and ends.
 */
#include "cpu.h"

void guest_main(void)
{
	__asm__ volatile("ud2");
}
