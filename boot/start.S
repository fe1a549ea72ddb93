/*
 * From the boot loader to 64-bit C in the higher half. What can be wrong with the machine this early is said
 * on COM1 and on the VGA text screen, for nothing else runs yet.
 * Source: Multiboot2 Specification 2.0, "Machine state"; Intel SDM Vol. 3A, "Initializing IA-32e Mode".
 */

#define MULTIBOOT2_HEADER_MAGIC 0xe85250d6
#define MULTIBOOT2_BOOT_MAGIC	0x36d76289
#define MULTIBOOT1_HEADER_MAGIC 0x1badb002
#define IMAGE_BASE		0xffffffff80000000
#define BOOT_STACK_SIZE		16384
#define COM1			0x3f8

	.section .multiboot, "a"
	.balign 8
mb2_header:
	.long MULTIBOOT2_HEADER_MAGIC
	.long 0				/* i386 protected mode */
	.long mb2_header_end - mb2_header
	.long -(MULTIBOOT2_HEADER_MAGIC + (mb2_header_end - mb2_header))
	/* Modules on page boundaries. */
	.balign 8
	.short 6, 0
	.long 8
	/* Information we cannot do without: memory map. */
	.balign 8
	.short 1, 0
	.long 12
	.long 6
	/*
	 * A framebuffer of any size is welcome, not required: without this tag GRUB hands over none under
	 * UEFI. grub.cfg has the last word by gfxpayload, and asks for text under BIOS.
	 */
	.balign 8
	.short 5, 1
	.long 20
	.long 0, 0, 0
	.balign 8
	.short 0, 0
	.long 8
mb2_header_end:

	/* A Multiboot1 header, so that who writes `multiboot` for `multiboot2` is told so by us. */
	.balign 4
	.long MULTIBOOT1_HEADER_MAGIC
	.long 0
	.long -MULTIBOOT1_HEADER_MAGIC

	.section .boot, "awx"
	.code32
	.globl boot_start
boot_start:
	cli
	cld
	mov	$(boot_stack_end - IMAGE_BASE), %esp
	mov	%eax, %esi		/* magic */
	mov	%ebx, %ebp		/* boot information */
	rdtsc				/* the clock that "entry to all CPUs up" is measured by */
	mov	%eax, boot_tsc
	mov	%edx, boot_tsc + 4

	mov	%esi, %eax
	mov	$msg_magic, %edi
	cmp	$MULTIBOOT2_BOOT_MAGIC, %esi
	jne	boot_refuse

	/* CPUID itself: EFLAGS.ID can be toggled. */
	pushf
	pop	%eax
	mov	%eax, %ecx
	xor	$(1 << 21), %eax
	push	%eax
	popf
	pushf
	pop	%eax
	xor	%ecx, %eax
	mov	$msg_cpuid, %edi
	test	$(1 << 21), %eax
	jz	boot_refuse

	mov	$0x80000000, %eax
	cpuid
	mov	$msg_leaf, %edi
	cmp	$0x80000001, %eax
	jb	boot_refuse
	mov	$0x80000001, %eax
	cpuid
	mov	%edx, %eax
	mov	$msg_long, %edi
	test	$(1 << 29), %edx
	jz	boot_refuse

	/*
	 * Boot page tables: the first 4 GiB in 2 MiB pages, three times: at 0 (we run here), at the direct map and
	 * at the image. They live until arch_map_init has built the real ones.
	 */
	mov	$(boot_pd - IMAGE_BASE), %edi
	mov	$0x83, %eax		/* present, writable, large */
	xor	%ecx, %ecx
1:	mov	%eax, (%edi, %ecx, 8)
	movl	$0, 4(%edi, %ecx, 8)
	add	$0x200000, %eax
	inc	%ecx
	cmp	$2048, %ecx
	jne	1b

	mov	$(boot_pdpt - IMAGE_BASE), %edi
	mov	$(boot_pd - IMAGE_BASE + 3), %eax
	xor	%ecx, %ecx
2:	mov	%eax, (%edi, %ecx, 8)
	add	$4096, %eax
	inc	%ecx
	cmp	$4, %ecx
	jne	2b
	/* The top 2 GiB of the address space show the first 2 GiB of memory. */
	mov	$(boot_pdpt_image - IMAGE_BASE), %edi
	movl	$(boot_pd - IMAGE_BASE + 3), 510 * 8(%edi)
	movl	$(boot_pd - IMAGE_BASE + 4096 + 3), 511 * 8(%edi)

	mov	$(boot_pml4 - IMAGE_BASE), %edi
	movl	$(boot_pdpt - IMAGE_BASE + 3), (%edi)
	movl	$(boot_pdpt - IMAGE_BASE + 3), 256 * 8(%edi)
	movl	$(boot_pdpt_image - IMAGE_BASE + 3), 511 * 8(%edi)
	mov	%edi, %cr3

	mov	%cr4, %eax
	or	$(1 << 5), %eax		/* PAE */
	mov	%eax, %cr4
	mov	$0xc0000080, %ecx	/* IA32_EFER.LME */
	rdmsr
	or	$(1 << 8), %eax
	wrmsr
	mov	%cr0, %eax
	or	$(1 << 31 | 1 << 16), %eax /* PG, WP */
	mov	%eax, %cr0
	lgdt	boot_gdt_ptr
	ljmp	$8, $boot_start64

/* %edi: message, %eax: the value seen. Says both, for ever halts. */
boot_refuse:
	push	%eax
	mov	$hex_digits, %ebx
	mov	$(msg_value + 7), %ecx
3:	mov	%eax, %edx
	and	$15, %edx
	mov	(%ebx, %edx), %dl
	mov	%dl, (%ecx)
	shr	$4, %eax
	dec	%ecx
	cmp	$(msg_value - 1), %ecx
	jne	3b
	pop	%eax

	/* COM1: 115200 8N1, FIFO on. */
	mov	$(COM1 + 3), %dx
	mov	$0x80, %al
	out	%al, %dx
	mov	$COM1, %dx
	mov	$1, %al
	out	%al, %dx
	inc	%dx
	xor	%al, %al
	out	%al, %dx
	mov	$(COM1 + 3), %dx
	mov	$3, %al
	out	%al, %dx
	mov	$(COM1 + 4), %dx
	out	%al, %dx

	mov	$0xb8000, %ebx
	mov	$msg_head, %esi
	call	boot_puts
	mov	%edi, %esi
	call	boot_puts
	mov	$msg_saw, %esi
	call	boot_puts
4:	hlt
	jmp	4b

/* Writes the text at %esi to COM1 and to the screen at %ebx. */
boot_puts:
	lodsb
	test	%al, %al
	jz	7f
	mov	%al, %ah
	mov	$100000, %ecx		/* a missing UART must not hold us */
	mov	$(COM1 + 5), %dx
5:	in	%dx, %al
	test	$0x20, %al
	jnz	6f
	loop	5b
6:	mov	$COM1, %dx
	mov	%ah, %al
	out	%al, %dx
	cmp	$' ', %al
	jb	boot_puts		/* line ends: serial only; the screen just wraps */
	mov	$0x4f, %ah		/* white on red */
	mov	%ax, (%ebx)
	add	$2, %ebx
	jmp	boot_puts
7:	ret

hex_digits:	.ascii "0123456789abcdef"
msg_head:	.asciz "\r\nCRVM cannot start: "
msg_magic:
	.asciz "not loaded by Multiboot2. In grub.cfg, use the command `multiboot2`, not `multiboot` or `linux`. EAX should be 36d76289"
msg_cpuid:
	.asciz "this CPU has no CPUID instruction, so no 64-bit mode and no VMX. Use an Intel CPU of 2010 or later. EFLAGS[21] stays 0; difference"
msg_leaf:
	.asciz "this CPU has no 64-bit mode: CPUID leaf 80000001h does not exist. Use an Intel CPU of 2010 or later. CPUID.80000000h:EAX"
msg_long:
	.asciz "this CPU has no 64-bit mode: CPUID.80000001h:EDX[29] = 0. Use an Intel CPU of 2010 or later; in an emulator choose a 64-bit CPU model. EDX"
msg_saw:	.ascii " = "
msg_value:	.asciz "00000000h. Halted.\r\n"

	.balign 8
	.globl boot_tsc
boot_tsc:	.quad 0
boot_gdt:
	.quad 0
	.quad 0x00af9a000000ffff	/* 64-bit code */
	.quad 0x00cf92000000ffff	/* data */
boot_gdt_ptr:
	.short . - boot_gdt - 1
	.long boot_gdt

	.code64
boot_start64:
	mov	$16, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	xor	%eax, %eax
	mov	%eax, %fs
	mov	%eax, %gs
	mov	%ebp, %edi		/* boot information, physical */
	mov	boot_tsc, %rsi
	movabs	$boot_high, %rax
	jmp	*%rax

	.text
boot_high:
	lea	boot_stack_end(%rip), %rsp
	xor	%ebp, %ebp		/* the backtrace ends here */
	push	%rbp
	call	hv_main
	ud2				/* hv_main does not return */

	.section .bss.page, "aw", @nobits
	.balign 4096
boot_pml4:	.skip 4096
boot_pdpt:	.skip 4096
boot_pdpt_image: .skip 4096
boot_pd:	.skip 4 * 4096
	.globl boot_stack, boot_stack_end
boot_stack:	.skip BOOT_STACK_SIZE
boot_stack_end:

	.section .note.GNU-stack, "", @progbits
