/*
 * childvm from the boot loader to main.c: Multiboot header, and the way from 32-bit to 64-bit mode, which every CPU has
 * that CRVM runs on. Knows no device and no hypercall.
 * Source: Multiboot Specification, "OS image format"; Intel SDM Vol. 3A, "Initializing IA-32e Mode".
 */
#define MULTIBOOT_MAGIC 0x1badb002
#define MULTIBOOT_FLAGS 2 /* memory information */
#define BOOT_STACK_SIZE 16384
#define CODE64		0x08
#define DATA		0x10
#define CR0_PG_WP	(1 << 31 | 1 << 16)
#define CR4_PAE		(1 << 5)
#define MSR_EFER	0xc0000080
#define EFER_LME	(1 << 8)
#define PAGE_TABLE	3 /* present, writable */
#define PAGE_2M		(PAGE_TABLE | 1 << 7)
#define PAGE_COUNT	512

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

	/* The first GiB where it is, so that pointers are the addresses that hypercalls want. */
	movl	$directories + PAGE_TABLE, root
	movl	$pages + PAGE_TABLE, directories
	mov	$PAGE_2M, %eax
	xor	%ecx, %ecx
1:	mov	%eax, pages(, %ecx, 8)
	add	$0x200000, %eax
	inc	%ecx
	cmp	$PAGE_COUNT, %ecx
	jb	1b

	mov	%cr4, %eax
	or	$CR4_PAE, %eax
	mov	%eax, %cr4
	mov	$root, %eax
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
2:	cli
	hlt
	jmp	2b

	.section .rodata
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
root:	.skip	4096
directories:
	.skip	4096
pages:	.skip	8 * PAGE_COUNT
	.skip	BOOT_STACK_SIZE
stack_top:

	.section .note.GNU-stack, "", @progbits
