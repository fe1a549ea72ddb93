/*
 * SMEP and SMAP: also for accesses that CRVM makes for the guest (INS, device memory).
 */
#include "cpu.h"

#define CR4_SMEP 0x100000u
#define CR4_SMAP 0x200000u
#define AC	 0x40000u
#define USER	 0x200000ul
#define PORT	 "d"(TESTDEV_PORT_STREAM)

static void set_ac(bool on)
{
	unsigned long f = read_flags();

	__asm__ volatile("push %0\n\tpopf" : : "r"(on ? f | AC : f & ~(unsigned long)AC) : "cc");
}

static void smep(void)
{
	MEM8(USER) = 0xc3;
	write_cr4(read_cr4() | CR4_SMEP);
	CHECK(read_cr4() & CR4_SMEP);
	trap.vector = NO_TRAP;
	__asm__ volatile(
		"movq $1f, trap_resume\n\tmov %%rsp, %%rbx\n\tcall *%0\n1:\tmov %%rbx, %%rsp"
		:
		: "r"(USER)
		: "memory", "rbx");
	CHECK_EQ(trap.vector, PF);
	/* The instruction-fetch bit is there with SMEP even without NXE. */
	CHECK_EQ(trap.error, 0x11);
	write_cr4(read_cr4() & ~(unsigned long)CR4_SMEP);
}

static void smap(void)
{
	uint64_t di = USER, cx = 2;

	write_cr4(read_cr4() | CR4_SMAP);
	CHECK_EQ(TRY("movb (%0), %%al", OUT(), IN("r"(USER)), "rax"), PF);
	CHECK_EQ(trap.error, 1);
	testdev_reset();
	CHECK_EQ(TRY("rep insb", OUT("+D"(di), "+c"(cx)), IN(PORT)), PF);
	CHECK_EQ(trap.error, 3);
	CHECK_EQ(cx, 2);
	CHECK_EQ(testdev_count(COUNT_STREAM_READS), 0);
	CHECK_EQ(TRY("movl (%0), %%eax", OUT(), IN("r"(TESTDEV_MEM)), "rax"),
		 PF); /* also a user page */
	set_ac(true);
	CHECK_EQ(TRY("rep insb", OUT("+D"(di), "+c"(cx)), IN(PORT)), NO_TRAP);
	CHECK_EQ(MEM8(USER + 1), 1);
	MEM32(TESTDEV_MEM) = 5;
	CHECK_EQ(MEM32(TESTDEV_MEM), 5);
	set_ac(false);
	write_cr4(read_cr4() & ~(unsigned long)CR4_SMAP);
}

void guest_main(void)
{
	uint32_t features = cpuid(7, 0).ebx;

	boot_pd[0] &= ~4ul; /* all of ours is the supervisor's */
	write_cr3(read_cr3());
	if (features >> 7 & 1)
		smep();
	if (features >> 20 & 1)
		smap();
}
