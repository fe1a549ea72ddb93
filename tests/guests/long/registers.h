/*
 * Two VMs on one CPU, each with values of its own in MSRs, debug and control registers: none sees
 * the other's. SEED tells them apart.
 */
#include "cpu.h"

#define ROUNDS 30u

static const uint32_t msrs[] = {
	0x174,	    0x175,	0x176,	    MSR_PAT,	0xc0000081, 0xc0000082,
	0xc0000083, 0xc0000084, 0xc0000100, 0xc0000101, 0xc0000102, 0xc0000103,
};
#define MSRS (sizeof(msrs) / sizeof(msrs[0]))

static uint64_t value_of(unsigned i)
{
	if (msrs[i] == MSR_PAT)
		return SEED & 1 ? 0x0007040600070406 : 0x0600000406070401;
	return 0x1000u * SEED + i; /* canonical, below 2^32 */
}

static void check_reset(void)
{
	for (unsigned i = 0; i < MSRS; i++)
		CHECK_EQ(rdmsr(msrs[i]), msrs[i] == MSR_PAT ? 0x0007040600070406 : 0);
	CHECK_EQ(read_dr0() | read_dr1() | read_dr2() | read_dr3(), 0);
	CHECK_EQ(read_dr7(), 0x400);
	CHECK_EQ(read_cr2(), 0);
	CHECK_EQ(read_cr8(), 0);
}

static void fill(void)
{
	for (unsigned i = 0; i < MSRS; i++)
		wrmsr(msrs[i], value_of(i));
	write_dr0(0x300000 + SEED);
	write_dr1(0x300010 + SEED);
	write_dr2(0x300020 + SEED);
	write_dr3(0x300030 + SEED);
	write_dr6(0xffff0ff0 | SEED);
	write_dr7(0x400 | 1u << (2 * SEED) | 3u << (16 + 4 * SEED)); /* watches data of its own */
	write_cr2(0xdead0000 + SEED);
	write_cr8(SEED);
}

static void compare(void)
{
	for (unsigned i = 0; i < MSRS; i++)
		CHECK_EQ(rdmsr(msrs[i]), value_of(i));
	CHECK_EQ(read_dr0(), 0x300000 + SEED);
	CHECK_EQ(read_dr1(), 0x300010 + SEED);
	CHECK_EQ(read_dr2(), 0x300020 + SEED);
	CHECK_EQ(read_dr3(), 0x300030 + SEED);
	CHECK_EQ(read_dr6() & 0xf, SEED & 0xf);
	CHECK_EQ(read_dr7(), 0x400 | 1u << (2 * SEED) | 3u << (16 + 4 * SEED));
	CHECK_EQ(read_cr2(), 0xdead0000 + SEED);
	CHECK_EQ(read_cr8(), SEED);
}

void guest_main(void)
{
	uint64_t last;
	unsigned jumps = 0;

	check_reset();
	fill();
	last = rdtsc();
	for (uint64_t end = last + ROUNDS * 1000000; last < end;) {
		uint64_t now = rdtsc();

		if (now - last > 100000) {
			jumps++;
			compare();
			now = rdtsc();
		}
		last = now;
	}
	compare();
	print("%u switches\n", jumps);
	CHECK(jumps >= 5);
}
