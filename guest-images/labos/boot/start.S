/*
 * The boot sector's first half: from the BIOS, in real mode at 0000:7C00, to 32-bit protected mode.
 * It opens the A20 gate, asks the BIOS for the memory map and hands over to load.c. It knows
 * nothing about the kernel.
 */

#include "layout.h"

	.code16
	.section .start, "ax"
	.globl boot_start
boot_start:
	cli
	cld
	ljmp $0, $1f			/* some BIOSes come in as 07C0:0000 */
1:	xorw %ax, %ax
	movw %ax, %ds
	movw %ax, %es
	movw %ax, %ss
	movw $0x7c00, %sp

	/* A20 through the keyboard controller: D1h announces its output port, bit 1 is the gate. */
	call wait_8042
	movb $0xd1, %al
	outb %al, $0x64
	call wait_8042
	movb $0xdf, %al
	outb %al, $0x60

	/* The memory map: a count, then entries of 20 bytes as INT 15h/E820h gives them. */
	xorl %ebx, %ebx
	movl %ebx, MEMORY_MAP
	movw $MEMORY_MAP + 4, %di
next_entry:
	movl $0xe820, %eax
	movl $20, %ecx
	movl $0x534d4150, %edx		/* 'SMAP' */
	int $0x15
	jc map_end
	cmpl $0x534d4150, %eax
	jne map_end
	addw $20, %di
	incw MEMORY_MAP
	cmpb $MEMORY_MAP_MAX, MEMORY_MAP
	je map_end
	testl %ebx, %ebx
	jnz next_entry
map_end:

	cli				/* the BIOS may have enabled interrupts */
	lgdt gdt_pointer
	movl %cr0, %eax
	orb $1, %al
	movl %eax, %cr0
	ljmp $8, $protected

/* Until the 8042 takes a byte; not for ever, since a machine may have none, and A20 open anyway. */
wait_8042:
	xorw %cx, %cx
1:	inb $0x64, %al
	testb $2, %al
	loopnz 1b
	ret

	.code32
protected:
	movw $16, %ax
	movw %ax, %ds
	movw %ax, %es
	movw %ax, %ss
	movl $0x7c00, %esp
	jmp boot_load

	.balign 4
gdt:	.quad 0
	.quad 0x00cf9b000000ffff	/* flat code */
	.quad 0x00cf93000000ffff	/* flat data */
gdt_pointer:
	.word . - gdt - 1
	.long gdt

	.section .note.GNU-stack, "", @progbits
