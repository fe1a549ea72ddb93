/*
 * Traps: exceptions, interrupts and system calls, and the descriptor tables that lead to them.
 */
#ifndef LABOS_TRAP_H
#define LABOS_TRAP_H

#include <stdint.h>

/* Also in vectors.S. */
enum {
	KERNEL_CODE = 0x08,
	KERNEL_DATA = 0x10,
	USER_CODE = 0x1b,
	USER_DATA = 0x23,
	TASK_STATE = 0x28,
	VECTOR_PAGE_FAULT = 14,
	VECTOR_IRQ = 32,
	VECTOR_SYSCALL = 0x80,
};

/* What vectors.S leaves on the stack. */
struct trap_frame {
	uint32_t edi, esi, ebp, unused_esp, ebx, edx, ecx, eax;
	uint32_t gs, fs, es, ds;
	uint32_t vector, error;
	uint32_t eip, cs, eflags;
	uint32_t esp, ss; /* only if it came from user mode */
};
_Static_assert(sizeof(struct trap_frame) == 76, "the layout of vectors.S");

void descriptors_init(void);

/* Where the CPU goes on the way from user mode to the kernel: the current thread's stack. */
void descriptors_set_stack(uint32_t top);

void trap_handle(struct trap_frame *frame);

/* From the kernel to user mode (vectors.S); the frame holds all registers. */
_Noreturn void trap_leave(struct trap_frame *frame);

/* From user mode, INT 80h: number in EAX, arguments in EBX, ECX; answer in EAX. */
void syscall_handle(struct trap_frame *frame);

#endif
