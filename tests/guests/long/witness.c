/*
 * Runs beside guests that misbehave and notices nothing: its memory, registers, time and device are
 * as it left them.
 */
#include "cpu.h"

#define FIRST  0x100000ul
#define LAST   0x180000ul
#define ROUNDS 60u

void guest_main(void)
{
	uint64_t last = rdtsc(), bad = 0, back = 0;

	for (uint64_t at = FIRST; at < LAST; at += 8)
		MEM64(at) = at * 0x9e3779b97f4a7c15;
	MEM64(TESTDEV_MEM + 0x800) = 0x77117711;
	wrmsr(0xc0000082, 0x123456);
	for (unsigned round = 0; round < ROUNDS; round++) {
		for (uint64_t at = FIRST; at < LAST; at += 8)
			bad += MEM64(at) != at * 0x9e3779b97f4a7c15;
		back += rdtsc() < last;
		last = rdtsc();
		bad += MEM64(TESTDEV_MEM + 0x800) != 0x77117711;
		bad += rdmsr(0xc0000082) != 0x123456;
		bad += cpuid(0x40000000, 0).ebx != 0x4d565243;
	}
	CHECK_EQ(bad, 0);
	CHECK_EQ(back, 0);
}
