/*
 * The time stamp counter: starts near 0, only grows, can be written; RDTSC and RDTSCP do not exit.
 */
#include "cpu.h"

static uint64_t rdtscp(uint32_t *aux)
{
	uint32_t lo, hi;

	__asm__ volatile("rdtscp" : "=a"(lo), "=d"(hi), "=c"(*aux));
	return (uint64_t)hi << 32 | lo;
}

static void aux(void)
{
	uint32_t v;

	CHECK_EQ(rdmsr(0xc0000103), 0);
	wrmsr(0xc0000103, 0x89abcdef);
	CHECK_EQ(rdmsr(0xc0000103), 0x89abcdef);
	rdtscp(&v);
	CHECK_EQ(v, 0x89abcdef);
	in8(TESTDEV);
	rdtscp(&v);
	CHECK_EQ(v, 0x89abcdef);
}

static void writes(void)
{
	uint64_t before = rdtsc(), now;

	wrmsr(0x10, 1ull << 40);
	now = rdtsc();
	CHECK(now >= 1ull << 40 && now < (1ull << 40) + 100000000);
	CHECK(rdmsr(0x10) >= now);
	/* TSC_ADJUST follows, and brings it back. */
	CHECK(rdmsr(0x3b) > (1ull << 39) && rdmsr(0x3b) <= 1ull << 40);
	wrmsr(0x3b, 0);
	now = rdtsc();
	CHECK(now >= before && now < before + 100000000);
}

void guest_main(void)
{
	uint64_t last = rdtsc(), now, backward = 0;
	uint32_t a;

	CHECK(last < 100000000); /* a second */
	for (unsigned i = 0; i < 20000; i++) {
		now = i & 1 ? rdtscp(&a) : rdtsc();
		backward += now < last;
		last = now;
	}
	CHECK_EQ(backward, 0);
	if (cpuid(0x80000001, 0).edx >> 27 & 1)
		aux();
	writes();
}
