/*
 * Protected mode without paging: segments, their limits, exits from there.
 */
#include "cpu.h"

static void set_descriptor(unsigned n, uint64_t value)
{
	((volatile uint64_t *)gdt)[n] = value;
}

static void load_fs(uint16_t selector)
{
	__asm__ volatile("mov %0, %%fs" : : "r"(selector));
}

static void limits(void)
{
	uint32_t v;

	set_descriptor(11, 0x00409310000000ff); /* 256 bytes at 100000h */
	load_fs(0x58);
	MEM32(0x1000fc) = 0xabcd1234;
	CHECK_EQ(TRY("mov %%fs:0xfc, %0", OUT("=r"(v)), IN()), NO_TRAP);
	CHECK_EQ(v, 0xabcd1234);
	CHECK_EQ(TRY("mov %%fs:0xfd, %0", OUT("=r"(v)), IN()), GP);
	set_descriptor(11, 0x00409510000000ff); /* expands down: from 100h up */
	load_fs(0x58);
	CHECK_EQ(TRY("mov %%fs:0xff, %0", OUT("=r"(v)), IN()), GP);
	MEM32(0x100100) = 7;
	CHECK_EQ(TRY("mov %%fs:0x100, %0", OUT("=r"(v)), IN()), NO_TRAP);
	CHECK_EQ(v, 7);
	set_descriptor(11, 0x00409110000000ff); /* read-only */
	load_fs(0x58);
	CHECK_EQ(TRY("mov %0, %%fs:0", OUT(), IN("r"(v))), GP);
	load_fs(0);
	CHECK_EQ(TRY("mov %%fs:0, %0", OUT("=r"(v)), IN()), GP);
	set_descriptor(11, 0x00401310000000ff); /* not present */
	CHECK_EQ(TRY("mov %0, %%fs", OUT(), IN("r"(0x58))), NP);
	CHECK_EQ(trap.error, 0x58);
	CHECK_EQ(TRY("mov %0, %%fs", OUT(), IN("r"(0x1000))), GP);
	CHECK_EQ(trap.error, 0x1000);
}

void guest_main(void)
{
	struct __attribute__((packed)) {
		uint16_t limit;
		uint32_t base;
	} before, after;

	CHECK_EQ(read_cr0() & (CR0_PE | CR0_PG), CR0_PE);
	limits();
	/* Descriptor tables are the guest's own after exits (the CPU's limits are FFFFh then). */
	__asm__ volatile("sgdt %0" : "=m"(before));
	CHECK_EQ(before.limit, 15 * 8 - 1);
	cpuid(0, 0);
	__asm__ volatile("sgdt %0" : "=m"(after));
	CHECK_EQ(after.limit, before.limit);
	CHECK_EQ(after.base, before.base);
	__asm__ volatile("sidt %0" : "=m"(before));
	in8(0x1234);
	__asm__ volatile("sidt %0" : "=m"(after));
	CHECK_EQ(after.limit, 0x50 * 8 - 1);
	CHECK_EQ(after.limit, before.limit);
	CHECK_EQ(after.base, before.base);
	/* A vector beyond the limit. */
	CHECK_EQ(TRY("int $0x60", OUT(), IN()), GP);
	CHECK_EQ(trap.error, 0x60 * 8 + 2);
	CHECK_EQ(TRY("ud2", OUT(), IN()), UD);
}
