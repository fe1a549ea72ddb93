/*
 * Device memory from 32-bit code: 16-bit addresses, segment bases and limits, stack instructions,
 * high byte registers.
 */
#include "cpu.h"

#define DEV TESTDEV_MEM

static void set_fs(uint64_t descriptor)
{
	((volatile uint64_t *)gdt)[11] = descriptor;
	__asm__ volatile("mov %0, %%fs" : : "r"(0x58));
}

static void segments(void)
{
	uint32_t v, w;

	/* 256 bytes at the device's page. */
	set_fs(0xfe4093d1000000ff);
	__asm__ volatile("movl %0, %%fs:(0x10)" : : "r"(0xabcdef01));
	CHECK_EQ(MEM32(DEV + 0x10), 0xabcdef01);
	__asm__ volatile("addr16 movl %%fs:(%%bx,%%si), %0"
			 : "=r"(v)
			 : "b"(0xff000c), "S"(0xff0004));
	CHECK_EQ(v, 0xabcdef01);
	__asm__ volatile(
		"mov %%ebp, %1\n\tmov $8, %%ebp\n\taddr16 movw %%fs:8(%%bp), %%ax\n\tmov %1, %%ebp"
		: "=a"(v), "=&r"(w));
	CHECK_EQ(v & 0xffff, 0xef01);
	CHECK_EQ(TRY("movl %%fs:(0xfd), %0", OUT("=r"(v)), IN()), GP);
	CHECK_EQ(TRY("movl %%fs:(0xfc), %0", OUT("=r"(v)), IN()), NO_TRAP);
	set_fs(0xfe4091d1000000ff); /* read-only */
	CHECK_EQ(TRY("movl %0, %%fs:(0)", OUT(), IN("r"(1))), GP);
	CHECK_EQ(TRY("orl $1, %%fs:(0x10)", OUT(), IN()), GP);
	CHECK_EQ(TRY("testl $1, %%fs:(0x10)", OUT(), IN()), NO_TRAP);
}

static void others(void)
{
	uint32_t v;

	MEM32(DEV + 0x20) = 0x11223344;
	__asm__ volatile("pushl (%1)\n\tpopl %0" : "=r"(v) : "r"(DEV + 0x20) : "memory");
	CHECK_EQ(v, 0x11223344);
	__asm__ volatile("pushl $0x55667788\n\tpopl 4(%0)" : : "r"(DEV + 0x20) : "memory");
	CHECK_EQ(MEM32(DEV + 0x24), 0x55667788);
	__asm__ volatile("movb (%1), %%ch\n\tmov %%ecx, %0" : "=r"(v) : "r"(DEV + 0x20) : "ecx");
	CHECK_EQ(v >> 8 & 0xff, 0x44);
	__asm__ volatile("movl 0xfed10020, %%eax" : "=a"(v));
	CHECK_EQ(v, 0x11223344);
	/* INC and DEC of one byte, which 64-bit code does not have; BOUND and ARPL are nobody's. */
	__asm__ volatile("incb (%0)\n\tdecw 2(%0)" : : "r"(DEV + 0x20) : "memory", "cc");
	CHECK_EQ(MEM32(DEV + 0x20), 0x11213345);
	__asm__ volatile("mov %%esp, %%edx\n\tmov %0, %%esp\n\tpopl (%%ecx)\n\tmov %%edx, %%esp"
			 :
			 : "r"(DEV + 0x24), "c"(0x100000)
			 : "edx", "memory");
	CHECK_EQ(MEM32(0x100000), 0x55667788);
}

void guest_main(void)
{
	segments();
	others();
}
