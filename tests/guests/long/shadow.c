/*
 * Under the shadow of STI and of MOV SS: exits of all kinds, and exceptions that CRVM raises.
 */
#include "cpu.h"

#define UNDER_STI(insn, out, in, ...) \
	__asm__ volatile("sti\n\t" insn "\n\tcli" : out:in : "memory", "cc", ##__VA_ARGS__)
#define UNDER_MOV_SS(insn, out, in, ...)                                      \
	__asm__ volatile("mov %%ss, %%r8d\n\tmov %%r8d, %%ss\n\t" insn:out:in \
			 : "r8", "memory", "cc", ##__VA_ARGS__)
#define FAULT(prefix, insn, vec, ...)                                                    \
	do {                                                                             \
		trap.vector = NO_TRAP;                                                   \
		__asm__ volatile("mov %%ss, %%r8d\n\tmovq $771f, trap_resume\n\t" prefix \
				 "\n\t" insn "\n771:\tcli"                               \
				 :                                                       \
				 :                                                       \
				 : "r8", "memory", "cc", ##__VA_ARGS__);                 \
		CHECK_EQ(trap.vector, vec);                                              \
	} while (0)

void guest_main(void)
{
	uint32_t a, d;

	for (unsigned i = 0; i < 50; i++) {
		UNDER_STI("cpuid", OUT("=a"(a)), IN("a"(0), "c"(0)), "rbx", "rdx");
		CHECK(a >= 13);
		UNDER_MOV_SS("cpuid", OUT("=a"(a)), IN("a"(0), "c"(0)), "rbx", "rdx");
		CHECK(a >= 13);
		UNDER_STI("out %%al, %%dx", OUT(), IN("a"(i), "d"(TESTDEV)));
		UNDER_MOV_SS("in %%dx, %%al", OUT("=a"(a)), IN("a"(0), "d"(TESTDEV)));
		CHECK_EQ(a, i);
		UNDER_STI("movl %0, (%1)", OUT(), IN("r"(i), "r"(TESTDEV_MEM)));
		UNDER_MOV_SS("movl (%1), %0", OUT("=r"(a)), IN("r"(TESTDEV_MEM)));
		CHECK_EQ(a, i);
		UNDER_MOV_SS("rdmsr", OUT("=a"(a), "=d"(d)), IN("c"(MSR_PAT)));
		CHECK_EQ(a, 0x00070406);
		UNDER_STI("vmcall", OUT("=a"(a)), IN("a"(0)));
		CHECK_EQ(a, 0x4d565243);
	}
	FAULT("sti", "vmxoff", UD);
	CHECK(trap.rflags & RFLAGS_IF);
	FAULT("mov %%r8d, %%ss", "vmxoff", UD);
	FAULT("sti", "mov $0x12345, %%ecx\n\trdmsr", GP, "rax", "rcx", "rdx");
	FAULT("mov $0x12345, %%ecx\n\tmov %%r8d, %%ss", "rdmsr", GP, "rax", "rcx", "rdx");
	FAULT("mov $1 << 31, %%ecx\n\tsti", "mov %%rcx, %%cr4", GP, "rcx");
}
