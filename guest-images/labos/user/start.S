/*
 * Every program begins here: program_main(argument), and its result is the exit code.
 */

#include "numbers.h"

	.section .start, "ax"
	.globl program_start
program_start:
	pushl 4(%esp)
	call program_main
	movl %eax, %ebx
	movl $SYSCALL_EXIT, %eax
	int $SYSCALL_VECTOR
	ud2

	.section .note.GNU-stack, "", @progbits
