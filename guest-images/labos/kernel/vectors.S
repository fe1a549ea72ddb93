/*
 * Where the CPU enters on a trap. Each vector has a stub of 16 bytes: it pushes an error code of 0
 * where the CPU pushes none, and its number. All then build a struct trap_frame.
 */

#include "../user/numbers.h"

	.text
	.globl vector_stubs
	.balign 16
vector_stubs:
	.set vector, 0
	.rept 48
	.balign 16
	.if vector != 8 && (vector < 10 || vector > 14) && vector != 17
	pushl $0
	.endif
	pushl $vector
	jmp trap_enter
	.set vector, vector + 1
	.endr

	.globl vector_syscall
vector_syscall:
	pushl $0
	pushl $SYSCALL_VECTOR
trap_enter:
	pushl %ds
	pushl %es
	pushl %fs
	pushl %gs
	pushal
	cld
	movl $0x10, %eax		/* KERNEL_DATA */
	movl %eax, %ds
	movl %eax, %es
	pushl %esp
	call trap_handle
	addl $4, %esp
leave:
	popal
	popl %gs
	popl %fs
	popl %es
	popl %ds
	addl $8, %esp			/* vector and error code */
	iretl

	.globl trap_leave
trap_leave:
	movl 4(%esp), %esp
	jmp leave

	.section .note.GNU-stack, "", @progbits
