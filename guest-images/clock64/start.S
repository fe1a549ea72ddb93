/*
 * clock64 from the boot loader to main.c: Multiboot header, the way from 32-bit to 64-bit mode, and
 * where interrupts come in. Knows no device but the serial port, to say what is missing.
 * Source: Multiboot Specification, "OS image format"; Intel SDM Vol. 3A, "Initializing IA-32e Mode".
 */
#define MULTIBOOT_MAGIC	 0x1badb002
#define MULTIBOOT_FLAGS	 2 /* memory information */
#define BOOT_STACK_SIZE	 16384
#define CODE64		 0x08
#define DATA		 0x10
#define CR0_PG_WP	 (1 << 31 | 1 << 16)
#define CR4_PAE		 (1 << 5)
#define MSR_EFER	 0xc0000080
#define EFER_LME	 (1 << 8)
#define CPUID_LM	 29 /* of leaf 80000001h, EDX */
#define PAGE_TABLE	 3  /* present, writable */
#define PAGE_2M		 (PAGE_TABLE | 1 << 7)
#define COM1		 0x3f8

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
	mov	%eax, %edi /* main's arguments */
	mov	%ebx, %esi

	mov	$0x80000000, %eax
	cpuid
	cmp	$0x80000001, %eax
	jb	no_long_mode
	mov	$0x80000001, %eax
	cpuid
	bt	$CPUID_LM, %edx
	jnc	no_long_mode

	/* The first GiB, at its own addresses. */
	movl	$pdpt + PAGE_TABLE, pml4
	movl	$pd + PAGE_TABLE, pdpt
	mov	$PAGE_2M, %eax
	xor	%ecx, %ecx
1:	mov	%eax, pd(, %ecx, 8)
	add	$0x200000, %eax
	inc	%ecx
	cmp	$512, %ecx
	jb	1b

	mov	%cr4, %eax
	or	$CR4_PAE, %eax
	mov	%eax, %cr4
	mov	$pml4, %eax
	mov	%eax, %cr3
	mov	$MSR_EFER, %ecx
	rdmsr
	or	$EFER_LME, %eax
	wrmsr
	mov	%cr0, %eax
	or	$CR0_PG_WP, %eax
	mov	%eax, %cr0
	lgdt	gdt_pointer
	ljmp	$CODE64, $start64

/* The loader has set up no port: a PC's firmware, or a VM, leaves it fit to send. */
no_long_mode:
	mov	$no_long_mode_text, %esi
2:	mov	$COM1 + 5, %dx
	mov	$0x10000, %ecx /* a port that is not there, or not ready, is no reason to hang */
3:	in	%dx, %al
	test	$0x20, %al
	loopz	3b
	mov	$COM1, %dx
	lodsb
	test	%al, %al
	jz	4f
	out	%al, %dx
	jmp	2b
4:	hlt
	jmp	4b

	.code64
start64:
	mov	$DATA, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %fs
	mov	%eax, %gs
	mov	%eax, %ss
	mov	%edi, %edi
	mov	%esi, %esi
	xor	%ebp, %ebp
	call	main
5:	cli
	hlt
	jmp	5b

/* One entry for each vector, 16 bytes apart: an error code if the CPU pushes none, and the vector. */
	.balign	16
	.globl	vectors
vectors:
	.set	vector, 0
	.rept	48
	.balign	16
	/* 8, 10 to 14, 17, 21 and 30 have an error code. */
	.if	!(0x40227d00 >> vector & 1) || vector >= 32
	pushq	$0
	.endif
	pushq	$vector
	jmp	common
	.set	vector, vector + 1
	.endr

common:
	push	%rax
	push	%rcx
	push	%rdx
	push	%rsi
	push	%rdi
	push	%r8
	push	%r9
	push	%r10
	push	%r11
	cld
	mov	72(%rsp), %rdi /* the vector, */
	mov	88(%rsp), %rsi /* RIP, */
	mov	80(%rsp), %rdx /* the error code */
	/* Nine registers, two words and the CPU's five: aligned to 16 already. */
	call	interrupt
	pop	%r11
	pop	%r10
	pop	%r9
	pop	%r8
	pop	%rdi
	pop	%rsi
	pop	%rdx
	pop	%rcx
	pop	%rax
	add	$16, %rsp
	iretq

	.section .rodata
no_long_mode_text:
	.asciz	"clock64: this CPU has no 64-bit mode\r\n"
	.balign	8
gdt:
	.quad	0
	.quad	0x00af9b000000ffff
	.quad	0x00cf93000000ffff
gdt_end:
gdt_pointer:
	.word	gdt_end - gdt - 1
	.long	gdt

	.bss
	.balign	4096
pml4:	.skip	4096
pdpt:	.skip	4096
pd:	.skip	4096
	.skip	BOOT_STACK_SIZE
stack_top:

	.section .note.GNU-stack, "", @progbits
