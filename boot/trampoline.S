/*
 * Where an application processor begins: real mode, in a page below 1 MiB to which smp.c copies this code and fills
 * in struct trampoline_params at its end. It goes to long mode on tables that map this page and the hypervisor,
 * finds its slot by its APIC ID, and calls ap_main on its own stack.
 * Source: Intel SDM Vol. 3A, "Multiple-Processor (MP) Initialization".
 */

#define REL(sym) ((sym) - trampoline_start)
#define EFER_NXE (1 << 11)

	.section .rodata
	.balign 16
	.globl trampoline_start, trampoline_params, trampoline_end, trampoline_code32, trampoline_code64
	.code16
trampoline_start:
	cli
	cld
	mov	%cs, %ax
	mov	%ax, %ds
	movzwl	%ax, %ebx
	shl	$4, %ebx		/* the linear address of this page */
	lgdtl	REL(tramp_gdt_ptr)
	mov	%cr0, %eax
	or	$1, %eax
	and	$~(1 << 29 | 1 << 30), %eax /* INIT left caching off: CD, NW */
	mov	%eax, %cr0
	ljmpl	*REL(tramp_far32)

	.code32
trampoline_code32:
	mov	$16, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss

	/* The tables use NX: a CPU that lacks it would fault for ever. It stays here and is reported as absent. */
	testl	$EFER_NXE, REL(tramp_efer)(%ebx)
	jz	2f
	mov	%ebx, %edi
	mov	$0x80000001, %eax
	cpuid
	mov	%edi, %ebx
	test	$(1 << 20), %edx
	jnz	2f
1:	hlt
	jmp	1b

2:	mov	%cr4, %eax
	or	$(1 << 5), %eax		/* PAE */
	mov	%eax, %cr4
	mov	REL(tramp_cr3)(%ebx), %eax
	mov	%eax, %cr3
	mov	$0xc0000080, %ecx
	rdmsr
	or	REL(tramp_efer)(%ebx), %eax
	wrmsr
	mov	%cr0, %eax
	or	$(1 << 31 | 1 << 16), %eax /* PG, WP */
	mov	%eax, %cr0
	ljmp	*REL(tramp_far64)(%ebx)

	.code64
trampoline_code64:
	mov	$16, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	xor	%eax, %eax
	mov	%eax, %fs
	mov	%eax, %gs
	jmp	*tramp_entry(%rip)

	.balign 16
trampoline_params:
	/* struct trampoline_params in arch/x86_64/smp.c */
	.quad 0				/* the GDT: null, 32-bit code, data, 64-bit code */
	.quad 0x00cf9b000000ffff		/* accessed bits set: the page is read-only */
	.quad 0x00cf93000000ffff
	.quad 0x00af9b000000ffff
tramp_entry:	.quad 0
tramp_cr3:	.long 0
tramp_efer:	.long 0
tramp_far32:	.long 0
		.short 8
tramp_far64:	.long 0
		.short 24
tramp_gdt_ptr:	.short 31
		.long 0
		.short 0
trampoline_end:

	/* In the higher half, on the trampoline's tables. */
	.text
	.globl ap_start
ap_start:
	xor	%eax, %eax
	cpuid
	cmp	$0xb, %eax
	jb	3f
	mov	$0xb, %eax
	xor	%ecx, %ecx
	cpuid
	test	%ebx, %ebx		/* the leaf is valid if EBX is not 0 */
	jnz	4f
3:	mov	$1, %eax
	cpuid
	shr	$24, %ebx
	mov	%ebx, %edx

	/* smp_ap_slot: { u32 apic_id, u32 cpu, u64 stack_top } ... */
4:	lea	smp_ap_slot(%rip), %rsi
	mov	smp_ap_slot_count(%rip), %ecx
5:	dec	%ecx
	js	6f
	cmp	%edx, (%rsi)
	je	7f
	add	$16, %rsi
	jmp	5b
6:	hlt				/* a CPU that nobody called */
	jmp	6b
7:	mov	4(%rsi), %edi
	mov	8(%rsi), %rsp
	xor	%ebp, %ebp
	push	%rbp
	call	ap_main
	ud2

	.section .note.GNU-stack, "", @progbits
