/*
 * How a test guest starts: real mode, and from there to the mode of its C code (GUEST_BITS). Also its exception entries.
 * Source: Intel SDM Vol. 3A, "Mode Switching", "Initializing IA-32e Mode".
 */
#define SEL_CODE64 0x08
#define SEL_DATA   0x10
#define SEL_CODE32 0x18
#define SEL_UDATA  0x3b
#if GUEST_BITS == 64
#define SEL_UCODE  0x43
#else
#define SEL_UCODE  0x33
#endif

	.section .start, "ax"
	.code16
	.globl start
start:
	cli
	cld
	ljmp	$0, $1f
1:	xor	%ax, %ax
	mov	%ax, %ds
	mov	%ax, %es
	mov	%ax, %fs
	mov	%ax, %gs
	mov	%ax, %ss
#if GUEST_BITS == 16
	mov	$0x7c00, %esp
	mov	$bss_start, %di
	mov	$bss_end, %cx
	sub	%di, %cx
	rep stosb
	calll	guest_start
#else
	lgdt	gdt_pointer
	mov	%cr0, %eax
	or	$1, %al
	mov	%eax, %cr0
	ljmpl	$SEL_CODE32, $2f
	.code32
2:	mov	$SEL_DATA, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %fs
	mov	%eax, %gs
	mov	%eax, %ss
	mov	$bss_start, %edi
	mov	$bss_end, %ecx
	sub	%edi, %ecx
	xor	%eax, %eax
	rep stosb
	mov	$stack_end, %esp
#if GUEST_BITS == 64
	/* 4 GiB mapped to themselves by pages of 2 MiB, for user code too. */
	movl	$boot_pdpt + 7, boot_pml4
	mov	$boot_pd + 7, %eax
	mov	$boot_pdpt, %edi
	mov	$4, %ecx
3:	mov	%eax, (%edi)
	add	$0x1000, %eax
	add	$8, %edi
	loop	3b
	mov	$0x87, %eax
	mov	$boot_pd, %edi
	mov	$2048, %ecx
4:	mov	%eax, (%edi)
	add	$0x200000, %eax
	add	$8, %edi
	loop	4b
	mov	$boot_pml4, %eax
	mov	%eax, %cr3
	mov	%cr4, %eax
	or	$0x20, %eax
	mov	%eax, %cr4
	mov	$0xc0000080, %ecx
	rdmsr
	or	$0x100, %eax
	wrmsr
	mov	%cr0, %eax
	or	$0x80000000, %eax
	mov	%eax, %cr0
	ljmp	$SEL_CODE64, $5f
	.code64
5:	mov	$stack_end, %esp
#endif
	call	guest_start
#endif
6:	hlt
	jmp	6b

#if GUEST_BITS != 16
	.globl gdt
	.balign 8
gdt:	.quad	0
	.quad	0x00af9b000000ffff /* 08 code, 64-bit */
	.quad	0x00cf93000000ffff /* 10 data */
	.quad	0x00cf9b000000ffff /* 18 code, 32-bit */
	.quad	0x00009b000000ffff /* 20 code, 16-bit */
	.quad	0x000093000000ffff /* 28 data, 64 KiB */
	.quad	0x00cffb000000ffff /* 30 user code, 32-bit: SYSRET wants this order */
	.quad	0x00cff3000000ffff /* 38 user data */
	.quad	0x00affb000000ffff /* 40 user code, 64-bit */
	.quad	0, 0		   /* 48 TSS, by trap_init */
	.quad	0, 0, 0, 0	   /* 58 to 70: for cases */
	.globl gdt_pointer
gdt_pointer:
	.word	gdt_pointer - gdt - 1
	.long	gdt
	.long	0
#endif

/* One entry for each vector, 16 bytes apart: an error code if the CPU pushed none, the vector, then all together. */
	.text
	.globl trap_stubs
	.balign 16
trap_stubs:
	.set	vector, 0
	.rept	0x50
	.balign	16
#if GUEST_BITS == 16
	pushl	$vector
	jmp	trap_entry
#else
	.if !(vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21)
	push	$0
	.endif
	push	$vector
	jmp	trap_entry
#endif
	.set	vector, vector + 1
	.endr

#if GUEST_BITS == 16
	.code16
trap_entry:
	pushal
	pushw	%ds
	pushw	%es
	xor	%eax, %eax
	mov	%ax, %ds
	mov	%ax, %es
	cld
	mov	%esp, %eax
	pushl	%eax
	calll	trap_handle
	popl	%eax
	popw	%es
	popw	%ds
	popal
	addw	$4, %sp
	iretw
#elif GUEST_BITS == 32
trap_entry:
	pusha
	push	%ds
	push	%es
	mov	$SEL_DATA, %eax
	mov	%eax, %ds
	mov	%eax, %es
	cld
	push	%esp
	call	trap_handle
	pop	%eax
	pop	%es
	pop	%ds
	popa
	add	$8, %esp
	iret

	/* unsigned user_enter(unsigned long rip, unsigned long rsp, unsigned long rflags) */
	.globl user_enter, user_leave
user_enter:
	push	%ebx
	push	%esi
	push	%edi
	push	%ebp
	mov	%esp, user_saved_sp
	mov	20(%esp), %ecx
	mov	24(%esp), %edx
	mov	28(%esp), %ebx
	mov	$SEL_UDATA, %eax
	mov	%eax, %ds
	mov	%eax, %es
	push	%eax
	push	%edx
	push	%ebx
	push	$SEL_UCODE
	push	%ecx
	iret
	/* void user_leave(unsigned vector) */
user_leave:
	mov	4(%esp), %eax
	mov	user_saved_sp, %esp
	mov	$SEL_DATA, %ecx
	mov	%ecx, %ds
	mov	%ecx, %es
	mov	%ecx, %fs
	mov	%ecx, %gs
	pop	%ebp
	pop	%edi
	pop	%esi
	pop	%ebx
	ret

	/* unsigned vm86_enter(unsigned long ip, unsigned long segment, unsigned long rflags): SP is FFF0h */
	.globl vm86_enter
vm86_enter:
	push	%ebx
	push	%esi
	push	%edi
	push	%ebp
	mov	%esp, user_saved_sp
	mov	20(%esp), %ecx
	mov	24(%esp), %edx
	mov	28(%esp), %ebx
	push	%edx /* gs, fs, ds, es, ss */
	push	%edx
	push	%edx
	push	%edx
	push	%edx
	push	$0xfff0
	push	%ebx
	push	%edx
	push	%ecx
	iret
#else
	.macro each_register op, order:vararg
	.irp r, \order
	\op	%\r
	.endr
	.endm
trap_entry:
	each_register push, rax, rcx, rdx, rbx, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15
	cld
	mov	%rsp, %rdi
	mov	%rsp, %rbx
	and	$-16, %rsp
	call	trap_handle
	mov	%rbx, %rsp
	each_register pop, r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax
	add	$16, %rsp
	iretq

	/* unsigned user_enter(unsigned long rip, unsigned long rsp, unsigned long rflags) */
	.globl user_enter, user_leave
user_enter:
	each_register push, rbx, rbp, r12, r13, r14, r15
	mov	%rsp, user_saved_sp
	pushq	$SEL_UDATA
	push	%rsi
	push	%rdx
	pushq	$SEL_UCODE
	push	%rdi
	iretq
	/* void user_leave(unsigned vector) */
user_leave:
	mov	%edi, %eax
	mov	user_saved_sp, %rsp
	each_register pop, r15, r14, r13, r12, rbp, rbx
	ret
#endif

	.bss
	.balign 16
#if GUEST_BITS != 16
	.globl user_saved_sp
user_saved_sp:
	.space	16
	.space	0x2000
	.globl stack_end
stack_end:
#endif
#if GUEST_BITS == 64
	.balign	4096
	.globl boot_pml4, boot_pdpt, boot_pd
boot_pml4: .space 4096
boot_pdpt: .space 4096
boot_pd: .space 4 * 4096
#endif
	.section .note.GNU-stack, "", @progbits
