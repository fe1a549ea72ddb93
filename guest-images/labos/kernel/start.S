/*
 * Where the boot sector jumps to: protected mode, flat segments, no paging, interrupts off.
 */

	.section .start, "ax"
	.globl kernel_start
kernel_start:
	/* The boot sector reads whole sectors, so rubbish may lie behind the data. */
	movl $bss_begin, %edi
	movl $bss_end, %ecx
	subl %edi, %ecx
	xorl %eax, %eax
	cld
	rep stosb
	movl $boot_stack_top, %esp
	xorl %ebp, %ebp
	call kernel_main
	ud2

	.bss
	.balign 16
	.skip 8192
boot_stack_top:

	.section .note.GNU-stack, "", @progbits
