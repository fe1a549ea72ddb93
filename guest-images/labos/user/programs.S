/*
 * The programs' images, as part of the kernel.
 */

	.section .rodata

	.macro program name
	.globl program_\name, program_\name\()_end
program_\name:
	.incbin "\name\().bin"
program_\name\()_end:
	.endm

#define PROGRAM(name) program name;
#include "programs.h"

	.section .note.GNU-stack, "", @progbits
