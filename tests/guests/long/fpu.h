/*
 * Two VMs on one CPU, each with a pattern of its own in the registers of FPU, SSE and AVX. SEED
 * tells them apart; SEED_XCR0: with it the second has no AVX. Source: Intel SDM Vol. 1, "FXSAVE
 * Area", "Managing State Using the XSAVE Feature Set".
 */
#include "cpu.h"

#define ROUNDS 40u

static uint8_t area[512] __attribute__((aligned(64))), again[512] __attribute__((aligned(64)));
static uint64_t ymm[16][4] __attribute__((aligned(32))),
	ymm_again[16][4] __attribute__((aligned(32)));

#define EACH_YMM(op)                                                                            \
	op(0) op(1) op(2) op(3) op(4) op(5) op(6) op(7) op(8) op(9) op(10) op(11) op(12) op(13) \
		op(14) op(15)
#define LOAD(n)	 __asm__ volatile("vmovups %0, %%ymm" #n : : "m"(ymm[n]));
#define STORE(n) __asm__ volatile("vmovups %%ymm" #n ", %0" : "=m"(ymm_again[n]));

static bool avx;

static void enable(void)
{
	write_cr0(read_cr0() & ~(unsigned long)(CR0_EM | CR0_TS));
	write_cr4(read_cr4() | CR4_OSFXSR | CR4_OSXMMEXCPT);
	if (!(cpuid(1, 0).ecx >> 26 & 1))
		return;
	write_cr4(read_cr4() | CR4_OSXSAVE);
	avx = (cpuid(0xd, 0).eax & 4 & SEED_XCR0) != 0;
	__asm__ volatile("xsetbv" : : "c"(0), "a"(avx ? 7 : 3), "d"(0));
}

/* A new VM has nothing of anybody else's in its registers. */
static void check_reset(void)
{
	unsigned bad = 0;

	__asm__ volatile("fxsave64 %0" : "=m"(area));
	for (unsigned i = 160; i < 160 + 256; i++)
		bad += area[i] != 0;
	CHECK_EQ(bad, 0);
	CHECK_EQ(*(uint32_t *)(area + 24), 0x1f80);
	if (!avx)
		return;
	EACH_YMM(STORE)
	for (unsigned i = 0; i < 64; i++)
		bad += ymm_again[i / 4][i % 4] != 0;
	CHECK_EQ(bad, 0);
}

static void fill(void)
{
	__asm__ volatile("fninit\n\tfxsave64 %0" : "=m"(area));
	*(uint16_t *)area = SEED & 1 ? 0x037f : 0x0b7f;	       /* FCW: rounding */
	*(uint32_t *)(area + 24) = SEED & 1 ? 0x3f80 : 0x5f80; /* MXCSR */
	area[4] = 0xff; /* all eight x87 registers hold a number */
	for (unsigned i = 0; i < 8; i++) {
		*(uint64_t *)(area + 32 + 16 * i) = 0x8000000000000000 | (uint64_t)SEED << 40 | i;
		*(uint16_t *)(area + 40 + 16 * i) = 0x3fff;
	}
	for (unsigned i = 0; i < 256; i++)
		area[160 + i] = (uint8_t)(SEED * 31 + i);
	__asm__ volatile("fxrstor64 %0" : : "m"(area));
	if (!avx)
		return;
	for (unsigned i = 0; i < 64; i++)
		ymm[i / 4][i % 4] = SEED * 0x0101010101010101 + i;
	EACH_YMM(LOAD)
}

static void compare(void)
{
	unsigned bad = 0;

	__asm__ volatile("fxsave64 %0" : "=m"(again));
	for (unsigned i = 0; i < 160; i++)
		bad += i >= 32 && i % 16 < 10 && area[i] != again[i];
	CHECK_EQ(bad, 0);
	CHECK_EQ(*(uint16_t *)again, *(uint16_t *)area);
	CHECK_EQ(*(uint32_t *)(again + 24), *(uint32_t *)(area + 24));
	for (unsigned i = 160; !avx && i < 160 + 256; i++)
		bad += area[i] != again[i];
	CHECK_EQ(bad, 0);
	if (!avx)
		return;
	EACH_YMM(STORE)
	for (unsigned i = 0; i < 64; i++)
		bad += ymm[i / 4][i % 4] != ymm_again[i / 4][i % 4];
	CHECK_EQ(bad, 0);
	uint32_t lo, hi;

	__asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
	CHECK_EQ(lo, 7);
}

/* The other runs whenever the clock jumps. */
void guest_main(void)
{
	uint64_t last;
	unsigned jumps = 0;

	enable();
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
