/*
 * POPF and IRET: flags as written, in ring 0 and 3, also across exits.
 */
#include "cpu.h"

static void set_flags(unsigned long v)
{
	__asm__ volatile("push %0\n\tpopf" : : "r"(v) : "cc", "memory");
}

static void in_user_popf(void)
{
	/* IOPL and IF do not change in ring 3, and that is no fault. */
	__asm__ volatile("push $0x3202\n\tpopf\n\tpushf\n\tpop %%rax\n\tint $0x40"
			 :
			 :
			 : "rax", "cc");
}

static void in_user_cli(void)
{
	__asm__ volatile("cli");
	USER_END();
}

static unsigned long user_rax;

static bool note(struct trap_frame *f)
{
	user_rax = f->rax;
	return false;
}

void guest_main(void)
{
	struct cpuid r;
	unsigned long f;

	set_flags(0xad5 | 2);
	f = read_flags();
	CHECK_EQ(f & 0xad5, 0xad5 & ~0ul);
	set_flags(RFLAGS_IOPL | 0x244001); /* with ID, NT, AC */
	r = cpuid(0x40000000, 0);
	f = read_flags();
	set_flags(2);
	CHECK_EQ(r.ebx, 0x4d565243);
	CHECK_EQ(f & (RFLAGS_IOPL | 0x244000), RFLAGS_IOPL | 0x244000);
	CHECK_EQ(read_flags() & 0x3f7f00, 0);
	set_flags(0xffffffff & ~(unsigned long)(RFLAGS_TF | 0x4000));
	f = read_flags();
	set_flags(2);
	CHECK_EQ(f & (RFLAGS_RF | RFLAGS_VM), 0); /* POPF does not set these */
	/* An exit in between keeps arithmetic flags. */
	__asm__ volatile("stc\n\tcpuid\n\tpushf\n\tpop %0"
			 : "=r"(f)
			 : "a"(0)
			 : "rbx", "rcx", "rdx", "cc");
	CHECK_EQ(f & 1, 1);
	__asm__ volatile("clc\n\tin %%dx, %%al\n\tpushf\n\tpop %0"
			 : "=r"(f)
			 : "d"(TESTDEV)
			 : "rax", "cc");
	CHECK_EQ(f & 1, 0);
	trap_hook = note;
	CHECK_EQ(user_call(in_user_popf, 0), USER_DONE);
	CHECK_EQ(user_rax & 0x3200, 0);
	CHECK_EQ(user_call(in_user_cli, 0), GP);
	CHECK_EQ(user_call(in_user_cli, RFLAGS_IOPL), USER_DONE);
}
