/*
 * MOV in all its forms, MOVZX and MOVSX on device memory.
 */
#include "cpu.h"

#define DEV TESTDEV_MEM

static uint64_t last(void)
{
	return MEM32(DEV + 0xff8);
}

#define LAST_READ(offset, size)	 ((size) << 12 | (offset))
#define LAST_WRITE(offset, size) (1 << 16 | (size) << 12 | (offset))

static void sizes(void)
{
	uint64_t v = ~0ul;

	MEM64(DEV + 0x10) = 0x8877665544332211;
	CHECK_EQ(last(), LAST_WRITE(0x10, 8));
	CHECK_EQ(MEM64(DEV + 0x10), 0x8877665544332211);
	CHECK_EQ(last(), LAST_READ(0x10, 8));
	__asm__ volatile("movl (%1), %k0" : "+r"(v) : "r"(DEV + 0x10));
	CHECK_EQ(v, 0x44332211); /* upper half cleared */
	v = ~0ul;
	__asm__ volatile("movw (%1), %w0" : "+r"(v) : "r"(DEV + 0x10));
	CHECK_EQ(v, 0xffffffffffff2211);
	__asm__ volatile("movb (%1), %b0" : "+r"(v) : "r"(DEV + 0x13));
	CHECK_EQ(v, 0xffffffffffff2244);
	CHECK_EQ(last(), LAST_READ(0x13, 1));
	__asm__ volatile("movb 1(%1), %%ah" : "+a"(v) : "d"(DEV + 0x10));
	CHECK_EQ(v, 0xffffffffffff2244);
	MEM16(DEV + 0x11) = 0xabcd;
	CHECK_EQ(last(), LAST_WRITE(0x11, 2));
	CHECK_EQ(MEM32(DEV + 0x10), 0x44abcd11);
	__asm__ volatile("movb %%bh, (%0)" : : "r"(DEV + 0x10), "b"(0x7700));
	CHECK_EQ(MEM8(DEV + 0x10), 0x77);
}

static void forms(void)
{
	uint64_t v = 0, r12 = DEV, r13 = 0x20;

	__asm__ volatile("movl $0x12345678, (%0)" : : "r"(DEV + 0x20));
	__asm__ volatile("movq $-2, 8(%0)" : : "r"(DEV + 0x20));
	CHECK_EQ(MEM64(DEV + 0x28), 0xfffffffffffffffe);
	__asm__ volatile("mov %1, %%r12\n\tmov %2, %%r13\n\tmovl (%%r12,%%r13), %k0"
			 : "=&r"(v)
			 : "r"(r12), "r"(r13)
			 : "r12", "r13");
	CHECK_EQ(v, 0x12345678);
	__asm__ volatile("movl -0x60(%1,%2,4), %k0" : "=r"(v) : "r"(DEV), "r"(r13));
	CHECK_EQ(v, 0x12345678);
	__asm__ volatile("movabs %P1, %%eax" : "=a"(v) : "i"(DEV + 0x20));
	CHECK_EQ(v, 0x12345678);
	__asm__ volatile("movabs %%al, %P1" : : "a"(0x99), "i"(DEV + 0x21));
	CHECK_EQ(MEM32(DEV + 0x20), 0x12349978);
	__asm__ volatile("addr32 movl (%k1), %k0" : "=r"(v) : "r"(DEV + 0x20 + (1ul << 40)));
	CHECK_EQ(v, 0x12349978);
	wrmsr(0xc0000101, DEV);
	__asm__ volatile("movl %%gs:0x20, %k0" : "=r"(v));
	CHECK_EQ(v, 0x12349978);
	__asm__ volatile("movnti %1, (%0)" : : "r"(DEV + 0x20), "r"(5));
	CHECK_EQ(MEM32(DEV + 0x20), 5);
	__asm__ volatile("lock orl $2, (%0)" : : "r"(DEV + 0x20));
	CHECK_EQ(MEM32(DEV + 0x20), 7);
}

static void extending(void)
{
	uint64_t v = ~0ul;

	MEM32(DEV + 0x30) = 0x8081f2f3;
	__asm__ volatile("movzbl (%1), %k0" : "+r"(v) : "r"(DEV + 0x30));
	CHECK_EQ(v, 0xf3);
	__asm__ volatile("movzwq (%1), %0" : "+r"(v) : "r"(DEV + 0x30));
	CHECK_EQ(v, 0xf2f3);
	v = ~0ul;
	__asm__ volatile("movzbw (%1), %w0" : "+r"(v) : "r"(DEV + 0x30));
	CHECK_EQ(v, 0xffffffffffff00f3);
	__asm__ volatile("movsbl (%1), %k0" : "+r"(v) : "r"(DEV + 0x30));
	CHECK_EQ(v, 0xfffffff3);
	__asm__ volatile("movsbq (%1), %0" : "+r"(v) : "r"(DEV + 0x30));
	CHECK_EQ(v, 0xfffffffffffffff3);
	__asm__ volatile("movswl (%1), %k0" : "+r"(v) : "r"(DEV + 0x32));
	CHECK_EQ(v, 0xffff8081);
	__asm__ volatile("movslq (%1), %0" : "+r"(v) : "r"(DEV + 0x30));
	CHECK_EQ(v, 0xffffffff8081f2f3);
	CHECK_EQ(last(), LAST_READ(0x30, 4));
}

/* Accesses that begin or end outside the device, or where nothing is. */
static void edges(void)
{
	uint32_t writes;

	MEM64(DEV) = 0x1111111122222222;
	writes = MEM32(DEV + 0xff4);
	/* Across pages these are two accesses, one of which is the device's. */
	CHECK_EQ(MEM64(DEV - 4), 0x22222222ffffffff);
	MEM64(DEV - 4) = 0x33333333aaaaaaaa;
	CHECK_EQ(MEM64(DEV), 0x1111111133333333);
	CHECK_EQ(MEM32(DEV + 0xff4), writes + 1);
	CHECK_EQ(MEM32(DEV + 0xffe), 0xffffffff); /* two pages */
	CHECK_EQ(MEM8(0xfee00020), 0xff);	  /* no APIC */
	CHECK_EQ(MEM64(0xe0000000), ~0ul);
	MEM32(0xe0000000) = 0;
	/* The end of memory (mem=4M). */
	CHECK_EQ(MEM32(0x400000), 0xffffffff);
	MEM16(0x3ffffe) = 0x1234;
	CHECK_EQ(MEM32(0x3ffffe) & 0xffff, 0x1234);
	MEM32(0x3ffffe) = 0xaaaa5678;
	CHECK_EQ(MEM16(0x3ffffe), 0x5678);
}

void guest_main(void)
{
	CHECK_EQ(MEM32(DEV + 0xffc), 0x54535443);
	sizes();
	forms();
	extending();
	edges();
}
