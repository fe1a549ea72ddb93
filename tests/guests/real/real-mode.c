/*
 * Real mode: segments, interrupts through the IVT, and exits from there.
 */
#include "cpu.h"

static bool count_only(struct trap_frame *f)
{
	(void)f;
	return true;
}

/* mem=64K: what lies above is nothing. */
static void beyond(void)
{
	uint32_t v;

	__asm__ volatile("mov %1, %%fs\n\tmovl %%fs:(0), %0" : "=r"(v) : "r"((uint16_t)0x1000));
	CHECK_EQ(v, 0xffffffff);
	__asm__ volatile("movb $1, %%fs:(0)\n\tmovb %%fs:(0), %b0" : "=q"(v));
	CHECK_EQ(v & 0xff, 0xff);
	/* The last word of memory and the first beyond it in one access. */
	MEM16(0xfffe) = 0x1234;
	__asm__ volatile("mov %1, %%fs\n\tmovl %%fs:(0xe), %0" : "=r"(v) : "r"((uint16_t)0xfff));
	CHECK_EQ(v, 0xffff1234);
	__asm__ volatile("mov %0, %%fs\n\tincl %%fs:(0xe)" : : "r"((uint16_t)0xfff) : "memory");
	CHECK_EQ(MEM16(0xfffe), 0x1235);
	/* 1 MiB and more: FFFFh:0010h. There is no A20 gate. */
	__asm__ volatile("mov %1, %%fs\n\tmovl %%fs:(0x10), %0" : "=r"(v) : "r"((uint16_t)0xffff));
	CHECK_EQ(v, 0xffffffff);
}

void guest_main(void)
{
	beyond();
	uint16_t cs, flags;
	uint32_t value;

	__asm__ volatile("mov %%cs, %0" : "=r"(cs));
	CHECK_EQ(cs, 0);
	CHECK_EQ(read_cr0() & (CR0_PE | CR0_PG), 0);
	CHECK_EQ(read_cr0() & CR0_ET, CR0_ET);
	/* A segment is 16 times its selector. */
	MEM32(0x6010) = 0x12345678;
	__asm__ volatile("mov %1, %%fs\n\tmov %%fs:(0x10), %0"
			 : "=r"(value)
			 : "r"((uint16_t)0x600));
	CHECK_EQ(value, 0x12345678);
	trap_hook = count_only;
	trap.count = 0;
	__asm__ volatile("int $0x21");
	CHECK_EQ(trap.vector, 0x21);
	__asm__ volatile("int3");
	CHECK_EQ(trap.vector, BP);
	__asm__ volatile("sti\n\tnop\n\tint $0x30\n\tpushfw\n\tpopw %0\n\tcli" : "=r"(flags));
	CHECK_EQ(trap.count, 3);
	CHECK_EQ(trap.rflags & RFLAGS_IF, RFLAGS_IF);
	CHECK_EQ(flags & RFLAGS_IF, RFLAGS_IF); /* IRET brought it back */
	trap_hook = NULL;
	CHECK_EQ(cpuid(0x40000000, 0).ebx, 0x4d565243);
	CHECK_EQ(TRY("div %b0", OUT(), IN("q"(0), "a"(1))), DE);
	CHECK_EQ(rdmsr(MSR_EFER), 0);
	CHECK_EQ(TRY("movw (0xffff), %%ax", OUT(), IN(), "eax"), GP); /* 64 KiB */
	CHECK_EQ(TRY("lldt %0", OUT(), IN("r"((uint16_t)0))), UD);
	__asm__ volatile("ljmp $0x100, $1f - 0x1000\n1:\tmov %%cs, %0\n\tljmp $0, $2f\n2:"
			 : "=r"(cs));
	CHECK_EQ(cs, 0x100);
}
