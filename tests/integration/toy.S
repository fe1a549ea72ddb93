/*
 * A toy for the tests of the rig itself: any Multiboot2 loader starts it; it prints a prompt with its command line
 * and its modules' on COM1, then obeys single letters. It knows nothing of CRVM.
 */
	.set	COM1, 0x3f8
	.set	MBI_CMDLINE, 1
	.set	MBI_MODULE, 3

	.section .multiboot, "a"
	.align	8
header:	.long	0xe85250d6, 0, header_end - header, -(0xe85250d6 + (header_end - header))
	.word	0, 0
	.long	8
header_end:

	.text
	.code32
	.globl	_start
_start:	cli
	mov	$stack_top, %esp
	mov	%ebx, %ebp		/* the boot information */
	mov	$COM1 + 2, %dx		/* FIFO on: Bochs' receiver is slow without */
	mov	$0xc7, %al
	out	%al, %dx
	mov	$hello, %esi
	call	puts
	lea	8(%ebp), %edi		/* the first tag */
tags:	mov	(%edi), %eax
	test	%eax, %eax
	jz	ready
	lea	8(%edi), %esi
	cmp	$MBI_CMDLINE, %eax
	je	show
	lea	16(%edi), %esi
	cmp	$MBI_MODULE, %eax
	jne	next
show:	push	%esi
	mov	$open, %esi
	call	puts
	pop	%esi
	call	puts
	mov	$close, %esi
	call	puts
next:	mov	4(%edi), %eax
	add	$7, %eax
	and	$~7, %eax
	add	%eax, %edi
	jmp	tags

ready:	movl	$0x07420741, 0xb8000	/* "AB" on the screen */
	rdtsc
	mov	%eax, %edi		/* to be seen in the register dump: how long the boot took */
	mov	$prompt, %esi
	call	puts
loop:	mov	$COM1 + 5, %dx
	in	%dx, %al
	test	$1, %al
	jz	loop
	mov	$COM1, %dx
	in	%dx, %al
	cmp	$'q', %al
	je	poweroff
	cmp	$'t', %al
	je	triple
	cmp	$'h', %al
	je	hang
	cmp	$'p', %al
	je	sorry
	call	putc
	jmp	loop

sorry:	mov	$panic, %esi
	call	puts
hang:	mov	$0x600dcafe, %esi	/* to be seen in the register dump */
	hlt
	jmp	hang
triple:	lidt	no_idt
	int3
poweroff:
	mov	$COM1 + 5, %dx		/* let the last byte leave the chip */
	in	%dx, %al
	test	$0x40, %al
	jz	poweroff
	mov	$0x2000, %ax		/* ACPI S5 on PM1a_CNT of ... */
	mov	$0xb004, %dx		/* ... Bochs */
	out	%ax, %dx
	mov	$0x604, %dx		/* ... QEMU's q35 */
	out	%ax, %dx
	jmp	hang

puts:	lodsb
	test	%al, %al
	jz	1f
	call	putc
	jmp	puts
1:	ret

putc:	push	%eax
	mov	$COM1 + 5, %dx
1:	in	%dx, %al
	test	$0x20, %al
	jz	1b
	pop	%eax
	mov	$COM1, %dx
	out	%al, %dx
	ret

	.section .rodata
hello:	.asciz	"CRVM's toy\r\n"
open:	.asciz	"<"
close:	.asciz	">\r\n"
panic:	.asciz	"\r\nPANIC on CPU 0: asked for it\r\n"
prompt:	.asciz	"crvm> "
no_idt:	.word	0
	.long	0

	.bss
	.skip	1024
stack_top:
	.section .note.GNU-stack, "", @progbits
