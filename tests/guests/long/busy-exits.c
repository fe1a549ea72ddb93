/*
 * Does nothing but leave the guest, by the shortest ways there are: others on this CPU must get
 * their turn all the same.
 */
#include "cpu.h"

void guest_main(void)
{
	uint64_t last = rdtsc(), now, longest = 0, ran = 0;
	unsigned jumps = 0, n = 0;

	while (ran < 8000000) {
		switch (n++ & 3) {
		case 0:
			cpuid(0, 0);
			break;
		case 1:
			in8(TESTDEV);
			break;
		case 2:
			(void)MEM32(TESTDEV_MEM);
			break;
		default:
			__asm__ volatile("vmcall" : "=a"(now) : "a"(1));
		}
		now = rdtsc();
		if (now - last > 100000) {
			jumps++;
			longest = now - last > longest ? now - last : longest;
		} else {
			ran += now - last;
		}
		last = now;
	}
	print("%u switches, longest pause %u us\n", jumps, (unsigned)(longest / 100));
	CHECK(jumps >= 4);
	CHECK(longest < 10000000);
}
