/*
 * Exceptions while others are delivered: in series, or as a double fault; whether the CPU found the
 * first or CRVM raised it.
 */
#include "cpu.h"

static void remove_gate(unsigned vector)
{
	idt_set(vector, 0, 0x0e); /* not present */
}

extern const uint8_t trap_stubs[];

static void restore_gate(unsigned vector)
{
	idt_set(vector, (unsigned long)(trap_stubs + 16 * vector), 0x8e);
}

/* A double fault has no restart: its RIP is what it is. */
#define PROVOKE(insn, in, ...)                                               \
	({                                                                   \
		trap.vector = NO_TRAP;                                       \
		__asm__ volatile("movq $771f, trap_resume\n\t" insn "\n771:" \
				 :                                           \
				 : in                                        \
				 : "memory", "cc", ##__VA_ARGS__);           \
		trap.vector;                                                 \
	})

void guest_main(void)
{
	uint64_t di = 0x40000000;

	remove_gate(GP);
	/* Contributory after contributory. */
	CHECK_EQ(PROVOKE("movb (%0), %%al", IN("r"(1ul << 47)), "rax"), DF);
	CHECK_EQ(trap.error, 0);
	CHECK_EQ(PROVOKE("rdmsr", IN("c"(0x12345)), "rax", "rdx"), DF);
	CHECK_EQ(trap.error, 0);
	CHECK_EQ(PROVOKE("mov %0, %%cr4", IN("r"(1ul << 31))), DF);
	restore_gate(GP);
	/* Benign first: the second is delivered. The error code names the gate, with IDT and EXT.
	 */
	remove_gate(UD);
	CHECK_EQ(PROVOKE("ud2", IN()), NP);
	CHECK_EQ(trap.error, UD * 8 + 3);
	CHECK_EQ(PROVOKE("vmxoff", IN()), NP);
	CHECK_EQ(trap.error, UD * 8 + 3);
	restore_gate(UD);
	/* Page fault, then contributory. */
	remove_gate(PF);
	boot_pdpt[1] = 0;
	write_cr3(read_cr3());
	CHECK_EQ(PROVOKE("movb (%0), %%al", IN("r"(di)), "rax"), DF);
	CHECK_EQ(PROVOKE("insb", IN("D"(di), "d"(TESTDEV))), DF);
	CHECK_EQ(read_cr2(), di);
	restore_gate(PF);
	CHECK_EQ(PROVOKE("insb", IN("D"(di), "d"(TESTDEV))), PF);
	CHECK_EQ(PROVOKE("int3", IN()), BP);
	CHECK_EQ(PROVOKE("int $0x41", IN()), 0x41);
}
