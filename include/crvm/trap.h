/*
 * Interrupts and exceptions of the physical CPU (arch/x86_64/trap.c).
 * Source: Intel SDM Vol. 3A, "Interrupt and Exception Handling".
 */
#pragma once

#include <crvm/compiler.h>

/* What trap_entry.S pushes. */
struct trap_frame {
	uint64_t r15, r14, r13, r12, r11, r10, r9, r8, rbp, rdi, rsi, rdx, rcx, rbx, rax;
	uint64_t vector, error;
	uint64_t rip, cs, rflags, rsp, ss; /* pushed by the CPU */
};
_Static_assert(sizeof(struct trap_frame) == 22 * 8, "trap_entry.S relies on it");

enum trap_vector {
	TRAP_DB = 1,
	TRAP_NMI = 2,
	TRAP_BP = 3,
	TRAP_UD = 6,
	TRAP_DF = 8,
	TRAP_GP = 13,
	TRAP_PF = 14,
	TRAP_MC = 18,

	VECTOR_PIC = 0x20,    /* to 2Fh: the masked 8259s; only spurious interrupts come */
	VECTOR_DEVICE = 0x30, /* from here: IOAPIC inputs */
	VECTOR_TIMER = 0xf0,
	VECTOR_KICK = 0xf1, /* look at percpu.work */
	VECTOR_ERROR = 0xfe,
	VECTOR_SPURIOUS = 0xff,
};

/* Loads this CPU's GDT, TSS, IDT and GS base. `stack_df` etc. come from stack_alloc. Once on each
 * CPU. */
struct percpu;
struct cpu_stacks {
	uint64_t main, df, nmi, mc; /* tops */
};
void trap_init_cpu(struct percpu *cpu, const struct cpu_stacks *stacks);

/* The IDT, once, before the first trap_init_cpu. */
void trap_init(void);

/*
 * Who handles a vector of VECTOR_DEVICE and above; runs with interrupts off and must not do more
 * than acknowledge, set a bit, push a byte. The local APIC's EOI follows it. Boot CPU only, before
 * the vector can come.
 */
void trap_set_handler(uint8_t vector, void (*fn)(void *ctx), void *ctx);

/* Prints registers and a backtrace to the log. */
void trap_dump(const struct trap_frame *f);

/* From panic: the NMI handler now parks the CPU. */
void trap_park_on_nmi(void);
