/*
 * DR0 to DR7: values, reserved bits, aliases, general detect, data and instruction breakpoints,
 * also on instructions that exit.
 */
#include "cpu.h"

static unsigned long seen_rip[8], seen_dr6[8];
static unsigned seen;

/* Notes a #DB. At a breakpoint on an instruction RF lets it run then. */
static bool note(struct trap_frame *f)
{
	if (f->vector != DB)
		return false;
	if (seen < 8) {
		seen_rip[seen] = f->rip;
		seen_dr6[seen] = read_dr6();
	}
	seen++;
	write_dr6(0xffff0ff0);
	f->rflags |= RFLAGS_RF;
	return true;
}

static void values(void)
{
	CHECK_EQ(read_dr7(), 0x400);
	CHECK_EQ(read_dr6() & 0xfffeffff, 0xfffe0ff0);
	CHECK_EQ(read_dr0() | read_dr1() | read_dr2() | read_dr3(), 0);
	write_dr0(0x1111222233334444);
	write_dr1(2);
	write_dr2(3);
	write_dr3(0xffffffffffffffff);
	in8(TESTDEV);
	CHECK_EQ(read_dr0(), 0x1111222233334444);
	CHECK_EQ(read_dr3(), 0xffffffffffffffff);
	CHECK_EQ(try_dr7(1ul << 32), GP);
	CHECK_EQ(try_dr6(1ul << 32), GP);
	CHECK_EQ(TRY("mov %%dr4, %%rax", OUT(), IN(), "rax"), NO_TRAP); /* DR6 */
	write_cr4(read_cr4() | CR4_DE);
	CHECK_EQ(TRY("mov %%dr4, %%rax", OUT(), IN(), "rax"), UD);
	CHECK_EQ(TRY("mov %%rax, %%dr5", OUT(), IN(), "rax"), UD);
	write_cr4(read_cr4() & ~(unsigned long)CR4_DE);
	write_dr0(0), write_dr1(0), write_dr2(0), write_dr3(0);
}

static void general_detect(void)
{
	write_dr7(0x2400);
	CHECK_EQ(TRY("mov %%dr0, %%rax", OUT(), IN(), "rax"), DB);
	CHECK_EQ(read_dr6() >> 13 & 1, 1); /* reading is allowed again: #DB has cleared GD */
	CHECK_EQ(read_dr7(), 0x400);
	write_dr6(0xffff0ff0);
}

static void on_instructions(void)
{
	unsigned long first, second, third;

	/* On an instruction that exits, then on the next: RF must not live longer than the first.
	 */
	trap_hook = note;
	seen = 0;
	__asm__ volatile("lea 1f, %%rcx\n\tmov %%rcx, %%dr0\n\tmov %%rcx, %0\n\t"
			 "lea 2f, %%rcx\n\tmov %%rcx, %%dr1\n\tmov %%rcx, %1\n\t"
			 "lea 3f, %%rcx\n\tmov %%rcx, %%dr2\n\tmov %%rcx, %2\n\t"
			 "mov $0x415, %%ecx\n\tmov %%rcx, %%dr7\n\t"
			 "xor %%eax, %%eax\n"
			 "1:\tcpuid\n"
			 "2:\tnop\n\tmov $0xe000, %%edx\n"
			 "3:\tin %%dx, %%al\n\t"
			 "mov $0x400, %%ecx\n\tmov %%rcx, %%dr7"
			 : "=&r"(first), "=&r"(second), "=&r"(third)
			 :
			 : "rax", "rbx", "rcx", "rdx", "memory");
	CHECK_EQ(seen, 3);
	CHECK_EQ(seen_rip[0], first);
	CHECK_EQ(seen_dr6[0] & 0xf, 1);
	CHECK_EQ(seen_rip[1], second);
	CHECK_EQ(seen_dr6[1] & 0xf, 2);
	CHECK_EQ(seen_rip[2], third);
	CHECK_EQ(seen_dr6[2] & 0xf, 4);
}

static void on_data(void)
{
	unsigned long after;

	seen = 0;
	write_dr0(0x100000);
	write_dr7(0x400 | 1 | 0xd << 16); /* 4 bytes, written */
	(void)MEM32(0x100000);
	MEM32(0x100004) = 1;
	CHECK_EQ(seen, 0);
	__asm__ volatile("movb $1, 3(%1)\n1:\tlea 1b, %0"
			 : "=&r"(after)
			 : "r"(0x100000ul)
			 : "memory");
	CHECK_EQ(seen, 1);
	CHECK_EQ(seen_rip[0], after);
	CHECK_EQ(seen_dr6[0] & 0xf, 1);
	/* After exits it still works: the host has its own DR7. */
	cpuid(0, 0);
	in8(TESTDEV);
	MEM8(0x100000) = 1;
	CHECK_EQ(seen, 2);
	CHECK_EQ(read_dr7(), 0x400 | 1 | 0xd << 16);
	write_dr7(0x400);
	MEM8(0x100000) = 1;
	CHECK_EQ(seen, 2);
}

/* A breakpoint on a REP string that takes several exits: one #DB, for all of it. */
static void on_strings(void)
{
	unsigned long at;

	seen = 0;
	__asm__ volatile("lea 1f, %%rcx\n\tmov %%rcx, %%dr0\n\tmov %%rcx, %0\n\t"
			 "lea 2f, %%rcx\n\tmov %%rcx, %%dr1\n\t"
			 "mov $0x405, %%ecx\n\tmov %%rcx, %%dr7\n\t"
			 "mov $0xe008, %%edx\n\tmov $20000, %%ecx\n\tmov $0x100000, %%esi\n"
			 "1:\trep outsb\n\t"
			 "mov $10000, %%ecx\n\tmov $0xfed10000, %%edi\n"
			 "2:\trep stosb\n\t"
			 "mov $0x400, %%ecx\n\tmov %%rcx, %%dr7"
			 : "=&r"(at)
			 :
			 : "rcx", "rdx", "rsi", "rdi", "memory");
	CHECK_EQ(seen, 2);
	CHECK_EQ(seen_rip[0], at);
	CHECK_EQ(seen_dr6[1] & 0xf, 2);
}

/* A watched word is loaded into SS: its trap waits until after the next instruction, which exits.
 */
static void under_mov_ss(void)
{
	unsigned long after;

	seen = 0;
	MEM16(0x100000) = 0x10;
	write_dr0(0x100000);
	write_dr7(0x400 | 1 | 7 << 16); /* 2 bytes, read or written */
	__asm__ volatile("xor %%eax, %%eax\n\tmov (%1), %%ss\n\tcpuid\n1:\tlea 1b, %0"
			 : "=&r"(after)
			 : "r"(0x100000ul)
			 : "rax", "rbx", "rcx", "rdx", "memory");
	write_dr7(0x400);
	CHECK_EQ(seen, 1);
	CHECK_EQ(seen_rip[0], after);
	CHECK_EQ(seen_dr6[0] & 0xf, 1);
}

void guest_main(void)
{
	values();
	general_detect();
	on_instructions();
	on_data();
	on_strings();
	under_mov_ss();
}
