/*
 * childvm from the boot loader to main.c, and the program that its child runs. Knows no hypercall.
 * Source: Multiboot Specification, "OS image format"; National PC16550D data sheet.
 */
#define MULTIBOOT_MAGIC 0x1badb002
#define MULTIBOOT_FLAGS 2 /* memory information */
#define BOOT_STACK_SIZE 16384
#define COM1		0x3f8
#define LSR_DR		0x01
#define LSR_THRE	0x20
#define ESCAPE		0x1b

	.section .multiboot, "a"
	.balign	4
	.long	MULTIBOOT_MAGIC, MULTIBOOT_FLAGS, -(MULTIBOOT_MAGIC + MULTIBOOT_FLAGS)

	.text
	.code32
	.globl	start
start:
	cli
	cld
	mov	$stack_top, %esp
	xor	%ebp, %ebp
	call	main
1:	cli
	hlt
	jmp	1b

/* In real mode, at offset 0 of its segment: greets on COM1, then answers what is typed in upper case until ESC. */
	.section .rodata
	.code16
	.globl	child_program, child_program_end
child_program:
	cli
	cld
	mov	%cs, %ax
	mov	%ax, %ds
	xor	%ax, %ax
	mov	%ax, %ss
	mov	$0x1000, %sp
	mov	$(COM1 + 3), %dx /* 115200 baud, 8N1 */
	mov	$0x83, %al
	out	%al, %dx
	mov	$COM1, %dx
	mov	$1, %ax
	out	%ax, %dx
	mov	$(COM1 + 3), %dx
	mov	$0x03, %al
	out	%al, %dx
	mov	$(greeting - child_program), %si
	call	print
2:	mov	$(COM1 + 5), %dx
	in	%dx, %al
	test	$LSR_DR, %al
	jz	2b
	mov	$COM1, %dx
	in	%dx, %al
	cmp	$ESCAPE, %al
	je	3f
	cmp	$'a', %al
	jb	4f
	cmp	$'z', %al
	ja	4f
	sub	$('a' - 'A'), %al
4:	call	send
	cmp	$'\r', %al
	jne	2b
	mov	$'\n', %al
	call	send
	jmp	2b
3:	mov	$(farewell - child_program), %si
	call	print
	hlt	/* for ever */

print:	lodsb
	test	%al, %al
	jz	5f
	call	send
	jmp	print
5:	ret

send:	push	%ax
6:	mov	$(COM1 + 5), %dx
	in	%dx, %al
	test	$LSR_THRE, %al
	jz	6b
	pop	%ax
	mov	$COM1, %dx
	out	%al, %dx
	ret

greeting:
	.asciz	"hello from the child; ESC ends it\r\n"
farewell:
	.asciz	"goodbye\r\n"
child_program_end:

	.bss
	.balign	16
	.skip	BOOT_STACK_SIZE
stack_top:

	.section .note.GNU-stack, "", @progbits
