/*
 * XSETBV and XGETBV: what XCR0 may hold, and that CPUID follows.
 */
#include "cpu.h"

static unsigned try_xsetbv(uint32_t index, uint64_t v)
{
	return TRY("xsetbv", OUT(), IN("c"(index), "a"((uint32_t)v), "d"((uint32_t)(v >> 32))));
}

static uint64_t xgetbv(void)
{
	uint32_t lo, hi;

	__asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
	return (uint64_t)hi << 32 | lo;
}

static void in_user(void)
{
	__asm__ volatile("xsetbv" : : "c"(0), "a"(1), "d"(0));
	USER_END();
}

void guest_main(void)
{
	struct cpuid r = cpuid(0xd, 0);

	CHECK_EQ(try_xsetbv(0, 1), UD); /* CR4.OSXSAVE is clear */
	CHECK_EQ(TRY("xgetbv", OUT(), IN("c"(0)), "rax", "rdx"), UD);
	write_cr4(read_cr4() | CR4_OSXSAVE | CR4_OSFXSR);
	CHECK_EQ(xgetbv(), 1);
	CHECK_EQ(r.edx, 0);
	CHECK_EQ(r.eax & 3, 3);
	CHECK_EQ(r.eax & ~7u, 0); /* nothing that is not switched */
	CHECK_EQ(try_xsetbv(0, 0), GP);
	CHECK_EQ(try_xsetbv(0, 2), GP);
	CHECK_EQ(try_xsetbv(0, 5), GP);	   /* AVX without SSE */
	CHECK_EQ(try_xsetbv(0, 0xe7), GP); /* AVX-512 */
	CHECK_EQ(try_xsetbv(0, 1ull << 63 | 1), GP);
	CHECK_EQ(try_xsetbv(0, 1ull << 9 | 1), GP); /* PKRU */
	CHECK_EQ(try_xsetbv(1, 1), GP);
	CHECK_EQ(xgetbv(), 1);
	CHECK_EQ(try_xsetbv(0, 3), NO_TRAP);
	CHECK_EQ(xgetbv(), 3);
	CHECK_EQ(cpuid(0xd, 0).ebx, 576);
	if (r.eax & 4) {
		CHECK_EQ(TRY("vzeroupper", OUT(), IN()), UD);
		CHECK_EQ(try_xsetbv(0, 7), NO_TRAP);
		CHECK_EQ(TRY("vzeroupper", OUT(), IN()), NO_TRAP);
		CHECK_EQ(cpuid(0xd, 0).ebx, 832);
		CHECK_EQ(cpuid(0xd, 2).eax, 256);
		CHECK_EQ(cpuid(0xd, 2).ebx, 576);
		in8(TESTDEV);
		CHECK_EQ(xgetbv(), 7);
	}
	CHECK_EQ(user_call(in_user, 0), GP);
}
