/*
 * EFER: reserved bits, LME under paging, LMA, SCE, NXE.
 */
#include "cpu.h"

#define SCE 1ull
#define LME (1ull << 8)
#define LMA (1ull << 10)
#define NXE (1ull << 11)

static void in_user(void)
{
	__asm__ volatile("syscall" : : : "rcx", "r11");
	USER_END();
}

void guest_main(void)
{
	uint64_t efer = rdmsr(MSR_EFER);

	CHECK_EQ(efer, LME | LMA);
	CHECK_EQ(try_wrmsr(MSR_EFER, efer & ~LME), GP); /* paging is on */
	CHECK_EQ(try_wrmsr(MSR_EFER, efer | 1 << 1), GP);
	CHECK_EQ(try_wrmsr(MSR_EFER, efer | 1 << 12), GP); /* SVME is AMD's */
	CHECK_EQ(try_wrmsr(MSR_EFER, efer | 1ull << 63), GP);
	CHECK_EQ(rdmsr(MSR_EFER), efer);
	/* LMA cannot be written: no matter what, it stays. */
	CHECK_EQ(try_wrmsr(MSR_EFER, efer & ~LMA), NO_TRAP);
	CHECK_EQ(rdmsr(MSR_EFER), efer);
	/* Without SCE SYSCALL is #UD. */
	CHECK_EQ(user_call(in_user, 0), UD);
	CHECK_EQ(TRY("syscall", OUT(), IN(), "rcx", "r11"), UD);
	/* Without NXE bit 63 is reserved. */
	boot_pd[100] |= 1ull << 63;
	invlpg((void *)(100ul << 21));
	CHECK_EQ(TRY("movb (%0), %%al", OUT(), IN("r"(100ul << 21)), "rax"), PF);
	CHECK_EQ(trap.error, 9);
	wrmsr(MSR_EFER, efer | NXE);
	CHECK_EQ(rdmsr(MSR_EFER), efer | NXE);
	boot_pd[1] |= 1ull << 63;
	invlpg((void *)(1ul << 21));
	MEM8(0x200000) = 0xc3;
	CHECK_EQ(TRY("movb (%0), %%al", OUT(), IN("r"(1ul << 21)), "rax"), NO_TRAP);
	trap.vector = NO_TRAP;
	__asm__ volatile(
		"movq $1f, trap_resume\n\tmov %%rsp, %%rbx\n\tcall *%0\n1:\tmov %%rbx, %%rsp"
		:
		: "r"(0x200000ul)
		: "memory", "rbx");
	CHECK_EQ(trap.vector, PF);
	CHECK_EQ(trap.error, 0x11);
}
