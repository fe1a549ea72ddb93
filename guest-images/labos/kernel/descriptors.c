/*
 * GDT, TSS and IDT. "Intel 64 and IA-32 Architectures Software Developer's Manual", volume 3:
 * Segment Descriptors, 32-Bit Task-State Segment, IDT Descriptors.
 */

#include "trap.h"

enum {
	PRESENT = 0x8000,
	FOR_USER = 0x6000,
	CODE = 0x1b00, /* accessed already, so that the CPU need not write to the table */
	DATA = 0x1300,
	TSS = 0x0900,
	INTERRUPT_GATE = 0x0e00, /* enters with interrupts off */
	TRAP_GATE = 0x0f00,	 /* leaves them as they are */
	IDT_SIZE = VECTOR_SYSCALL + 1,
	VECTOR_COUNT = 48, /* stubs in vectors.S, before the system call's */
	STUB_SIZE = 16,
};

struct table_pointer {
	uint16_t limit;
	uint32_t base;
} __attribute__((packed));

struct task_state {
	uint32_t back_link, esp0, ss0;
	uint32_t unused[22];
	uint16_t debug_trap, io_map_base;
};
_Static_assert(sizeof(struct task_state) == 104, "32-Bit Task-State Segment");

extern const char vector_stubs[];
void vector_syscall(void);

static uint64_t gdt[6];
static uint64_t idt[IDT_SIZE];
static struct task_state tss;

static uint64_t segment(uint32_t base, uint32_t limit, uint32_t kind)
{
	uint64_t high = (base & 0xff000000) | (limit & 0xf0000) | kind | (base >> 16 & 0xff);

	return high << 32 | base << 16 | (limit & 0xffff);
}

static uint64_t gate(uint32_t entry, uint32_t kind)
{
	uint64_t high = (entry & 0xffff0000) | kind;

	return high << 32 | KERNEL_CODE << 16 | (entry & 0xffff);
}

static void load_tables(void)
{
	struct table_pointer gdt_pointer = {sizeof(gdt) - 1, (uint32_t)gdt};
	struct table_pointer idt_pointer = {sizeof(idt) - 1, (uint32_t)idt};

	__asm__ volatile("lgdt %0\n\t"
			 "ljmp %1, $1f\n"
			 "1:\tmovl %2, %%ds\n\t"
			 "movl %2, %%es\n\t"
			 "movl %2, %%ss\n\t"
			 "movl %3, %%fs\n\t"
			 "movl %3, %%gs\n\t"
			 "ltr %w4\n\t"
			 "lidt %5"
			 :
			 : "m"(gdt_pointer), "i"(KERNEL_CODE), "r"(KERNEL_DATA), "r"(0),
			   "r"(TASK_STATE), "m"(idt_pointer)
			 : "memory");
}

void descriptors_init(void)
{
	const uint32_t flat = 0x00c00000; /* 32-bit, limit in pages */
	uint32_t i;

	gdt[KERNEL_CODE >> 3] = segment(0, 0xfffff, flat | PRESENT | CODE);
	gdt[KERNEL_DATA >> 3] = segment(0, 0xfffff, flat | PRESENT | DATA);
	gdt[USER_CODE >> 3] = segment(0, 0xfffff, flat | PRESENT | FOR_USER | CODE);
	gdt[USER_DATA >> 3] = segment(0, 0xfffff, flat | PRESENT | FOR_USER | DATA);
	gdt[TASK_STATE >> 3] = segment((uint32_t)&tss, sizeof(tss) - 1, PRESENT | TSS);
	tss.ss0 = KERNEL_DATA;
	tss.io_map_base = sizeof(tss); /* beyond the limit: no port for user mode */
	for (i = 0; i < VECTOR_COUNT; i++)
		idt[i] = gate((uint32_t)vector_stubs + i * STUB_SIZE, PRESENT | INTERRUPT_GATE);
	idt[VECTOR_SYSCALL] = gate((uint32_t)vector_syscall, PRESENT | FOR_USER | TRAP_GATE);
	load_tables();
}

void descriptors_set_stack(uint32_t top)
{
	tss.esp0 = top;
}
