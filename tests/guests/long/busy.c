/*
 * Computes without an exit of its own, with interrupts off: others on this CPU must get their turn
 * all the same, and this one must come back. It sees that by jumps of the clock.
 */
#include "cpu.h"

void guest_main(void)
{
	uint64_t last = rdtsc(), longest = 0, begin = last, ran = 0;
	unsigned jumps = 0;

	__asm__ volatile("cli");
	while (ran < 20000000) {
		uint64_t now = rdtsc();

		if (now - last > 100000) {
			jumps++;
			longest = now - last > longest ? now - last : longest;
		} else {
			ran += now - last;
		}
		last = now;
	}
	print("%u switches, longest pause %u us\n", jumps, (unsigned)(longest / 100));
	CHECK(jumps >= 5);
	/* Slices of 10 ms, one other VM: never more than some of them. */
	CHECK(longest < 10000000);
	CHECK(last - begin < 100000000);
}
