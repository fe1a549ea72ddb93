/*
 * Start of the bench guest: from real mode at 7C00h to 64-bit C, with the first GiB and the fourth, where the test
 * device lies, mapped 1:1 by large pages. Source: Intel SDM Vol. 3A, "Initializing IA-32e Mode".
 */
#define PML4	0x1000
#define PDPT	0x2000
#define PD_0	0x3000			/* 0 to 1 GiB */
#define PD_3	0x4000			/* 3 to 4 GiB */
#define PRESENT 0x03			/* and writable, supervisor */
#define LARGE	0x83

	.section .start, "ax"
	.code16
	.globl start
start:
	cli
	cld
	xor	%eax, %eax
	mov	%ax, %ds
	mov	%ax, %es
	mov	%ax, %ss
	mov	$start, %sp
	mov	$PML4, %di
	mov	$0x1000, %cx		/* four tables, in dwords */
	rep stosl
	movl	$PDPT + PRESENT, PML4
	movl	$PD_0 + PRESENT, PDPT
	movl	$PD_3 + PRESENT, PDPT + 3 * 8
	mov	$LARGE, %eax
	mov	$PD_0, %di
	call	fill_directory
	mov	$0xc0000000 + LARGE, %eax
	mov	$PD_3, %di
	call	fill_directory

	mov	$PML4, %eax
	mov	%eax, %cr3
	mov	$0x20, %eax		/* PAE */
	mov	%eax, %cr4
	mov	$0xc0000080, %ecx	/* EFER.LME */
	rdmsr
	or	$0x100, %eax
	wrmsr
	lgdtl	gdt_pointer
	mov	%cr0, %eax
	or	$0x80000001, %eax	/* PG, PE */
	mov	%eax, %cr0
	ljmpl	$8, $start64

fill_directory:
	mov	$512, %cx
1:	mov	%eax, (%di)
	add	$0x200000, %eax
	add	$8, %di
	loop	1b
	ret

	.code64
start64:
	mov	$16, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	mov	$start, %esp
	mov	$bss_start, %edi
	mov	$bss_end, %ecx
	sub	%edi, %ecx
	xor	%eax, %eax
	rep stosb
	call	bench_main
	mov	$0xf4, %edx		/* the debug-exit port */
	out	%eax, %dx
1:	hlt
	jmp	1b

	.balign 8
gdt:
	.quad 0
	.quad 0x00af9b000000ffff	/* 64-bit code */
	.quad 0x00cf93000000ffff	/* data */
gdt_end:
gdt_pointer:
	.word gdt_end - gdt - 1
	.long gdt

	.section .note.GNU-stack, "", @progbits
