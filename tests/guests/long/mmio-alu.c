/*
 * Arithmetic, logic, exchange and bit instructions on device memory: results and flags as on RAM.
 */
#include "cpu.h"

#define DEV   (TESTDEV_MEM + 0x40)
#define RAM   0x100040ul
#define FLAGS 0x8d5u

/* Executes the same on RAM and on the device; both must agree in memory, register and flags. */
#define BOTH(insn, initial, source)                                                              \
	do {                                                                                     \
		uint64_t s1 = (source), s2 = (source), f1, f2, a1 = 0x1122334455667788, a2 = a1; \
		MEM64(RAM) = MEM64(DEV) = (initial);                                             \
		__asm__ volatile("push %4\n\tpopf\n\t" insn "\n\tpushf\n\tpop %2"                \
				 : "+c"(s1), "+a"(a1), "=&r"(f1)                                 \
				 : "D"(RAM), "r"(0x8d7ul)                                        \
				 : "memory", "cc");                                              \
		__asm__ volatile("push %4\n\tpopf\n\t" insn "\n\tpushf\n\tpop %2"                \
				 : "+c"(s2), "+a"(a2), "=&r"(f2)                                 \
				 : "D"(DEV), "r"(0x8d7ul)                                        \
				 : "memory", "cc");                                              \
		CHECK_EQ(MEM64(DEV), MEM64(RAM));                                                \
		CHECK_EQ(s2, s1);                                                                \
		CHECK_EQ(a2, a1);                                                                \
		if ((f1 ^ f2) & FLAGS)                                                           \
			check_failed("flags of " insn, __FILE_NAME__, __LINE__, f2, f1);         \
	} while (0)

#define ALU(op)                                                                      \
	do {                                                                         \
		BOTH(op "b %%cl, (%%rdi)", 0x7f80ff00017f8001, 0x81);                \
		BOTH(op "w %%cx, (%%rdi)", 0x7f80ff00017f8001, 0x8181);              \
		BOTH(op "l %%ecx, (%%rdi)", 0x7f80ff00817f8001, 0x7fffffff);         \
		BOTH(op "q %%rcx, (%%rdi)", 0x7f80ff00817f8001, 0x8000000000000001); \
		BOTH(op "l (%%rdi), %%ecx", 0x7f80ff00817f8001, 0xf7fffffff);        \
		BOTH(op "q $-5, (%%rdi)", 0x7f80ff00817f8001, 0);                    \
		BOTH(op "l $0x12345678, (%%rdi)", 0xffffffffffffffff, 0);            \
	} while (0)

static void alu(void)
{
	ALU("add");
	ALU("or");
	ALU("adc");
	ALU("sbb");
	ALU("and");
	ALU("sub");
	ALU("xor");
	ALU("cmp");
}

static void others(void)
{
	BOTH("testb %%cl, (%%rdi)", 0x80, 0x80);
	BOTH("testl $0x10, (%%rdi)", 0xef, 0);
	BOTH("notw (%%rdi)", 0x123456789abcdef0, 0);
	BOTH("negl (%%rdi)", 0x80000000, 0);
	BOTH("negq (%%rdi)", 0, 0);
	BOTH("incb (%%rdi)", 0x7f, 0);
	BOTH("incl (%%rdi)", 0xffffffff, 0);
	BOTH("decq (%%rdi)", 0, 0);
	BOTH("xchgb %%cl, (%%rdi)", 0x123456789abcdef0, 0x5555555555555555);
	BOTH("xchgl %%ecx, (%%rdi)", 0x123456789abcdef0, 0x5555555555555555);
	BOTH("xchgq %%rcx, (%%rdi)", 0x123456789abcdef0, 0x5555555555555555);
	BOTH("lock xaddw %%cx, (%%rdi)", 0x123456789abcfff0, 0x20);
	BOTH("lock cmpxchgl %%ecx, (%%rdi)", 0x55667788, 0x99);
	BOTH("lock cmpxchgl %%ecx, (%%rdi)", 0x55667789, 0x99);
	BOTH("cmpxchgq %%rcx, (%%rdi)", 0x1122334455667788, 0x99);
}

static void bits(void)
{
	BOTH("btl %%ecx, (%%rdi)", 0xf0, 4);
	BOTH("btl %%ecx, (%%rdi)", 0xf0, 40);
	BOTH("btq %%rcx, (%%rdi)", 0xf0, 0);
	BOTH("btsl %%ecx, (%%rdi)", 0, 35);
	BOTH("btrw %%cx, (%%rdi)", 0xffffffffffffffff, 17);
	BOTH("btcl $7, (%%rdi)", 0xf0, 0);
	BOTH("btcq $63, (%%rdi)", 0xf0, 0);
	BOTH("lock btsq %%rcx, (%%rdi)", 0, 63);
	BOTH("btl $36, (%%rdi)", 0x10, 0); /* modulo 32 */
	/* A negative number reaches below. */
	MEM64(DEV - 8) = 0;
	MEM64(DEV) = 0;
	__asm__ volatile("btsl %0, (%1)" : : "r"(-1), "r"(DEV) : "memory", "cc");
	CHECK_EQ(MEM64(DEV - 8), 0x8000000000000000);
	CHECK_EQ(MEM64(DEV), 0);
}

static void stack(void)
{
	uint64_t v;

	MEM64(DEV) = 0x0123456789abcdef;
	__asm__ volatile("pushq (%1)\n\tpop %0" : "=r"(v) : "r"(DEV) : "memory");
	CHECK_EQ(v, 0x0123456789abcdef);
	__asm__ volatile("push %0\n\tpopq 8(%1)" : : "r"(0x77ul), "r"(DEV) : "memory");
	CHECK_EQ(MEM64(DEV + 8), 0x77);
}

void guest_main(void)
{
	alu();
	others();
	bits();
	stack();
	CHECK_EQ(TRY(".byte 0xf0; movl %0, (%1)", OUT(), IN("r"(0), "r"(DEV))), UD); /* LOCK MOV */
}
