/* Wants its CPU for 1.5 seconds, with interrupts off and without an exit: what others are tested
 * beside. */
#include "cpu.h"

void guest_main(void)
{
	uint64_t begin, x = 1;

	begin = rdtsc();
	while (rdtsc() - begin < 150000000)
		x = x * 6364136223846793005 + 1442695040888963407;
	CHECK(x != 0);
}
