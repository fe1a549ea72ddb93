/*
 * The local descriptor table and the task register stay the guest's own over exits.
 */
#include "cpu.h"

static uint64_t ldt[4] __attribute__((aligned(8)));

static void use(void)
{
	uint32_t v;
	uint16_t s;

	__asm__ volatile("sldt %0" : "=r"(s));
	CHECK_EQ(s, 0x58);
	__asm__ volatile("str %0" : "=r"(s));
	CHECK_EQ(s, 0x48);
	__asm__ volatile("mov %1, %%gs\n\tmov %%gs:4, %0" : "=r"(v) : "r"(0x0f));
	CHECK_EQ(v, 0x1d71d7);
	CHECK_EQ(TRY("mov %0, %%fs", OUT(), IN("r"(0x27))), GP); /* beyond its limit */
	CHECK_EQ(trap.error, 0x24);
	__asm__ volatile("lar %1, %0" : "=r"(v) : "r"(0x0f) : "cc");
	CHECK_EQ(v & 0xff00, 0xf300);
	__asm__ volatile("lsl %1, %0" : "=r"(v) : "r"(0x0f) : "cc");
	CHECK_EQ(v, 0xff);
}

void guest_main(void)
{
	uint32_t base = (uint32_t)ldt;

	MEM32(0x100004) = 0x1d71d7;
	ldt[1] = 0x0040f310000000ff;
	((volatile uint64_t *)gdt)[11] = 31 | (uint64_t)(base & 0xffffff) << 16 | 0x82ull << 40;
	__asm__ volatile("lldt %0" : : "r"((uint16_t)0x58));
	use();
	cpuid(0, 0);
	in8(TESTDEV);
	use();
}
