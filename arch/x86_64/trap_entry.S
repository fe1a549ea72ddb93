/*
 * Entry of every interrupt and exception: saves the registers as struct trap_frame and calls trap_dispatch.
 * There is no user mode, so GS always is the hypervisor's.
 */
	.text
	/* One stub of 16 bytes for each vector: leaves vector and error code as struct trap_frame has them. */
	.balign 16
	.globl trap_stubs
trap_stubs:
	.set	vector, 0
	.rept	256
	.balign 16
	/* For these the CPU has pushed an error code already. */
	.if !((vector == 8) || (vector >= 10 && vector <= 14) || (vector == 17) || (vector == 21) || (vector == 29) || (vector == 30))
	push	$0
	.endif
	push	$vector
	jmp	trap_common
	.set	vector, vector + 1
	.endr

	.balign 16
trap_common:
	push	%rax
	push	%rbx
	push	%rcx
	push	%rdx
	push	%rsi
	push	%rdi
	push	%rbp
	push	%r8
	push	%r9
	push	%r10
	push	%r11
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	cld
	mov	%rsp, %rdi
	mov	%rsp, %rbx		/* callee-saved: survives the call */
	and	$-16, %rsp
	call	trap_dispatch
	mov	%rbx, %rsp
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%r11
	pop	%r10
	pop	%r9
	pop	%r8
	pop	%rbp
	pop	%rdi
	pop	%rsi
	pop	%rdx
	pop	%rcx
	pop	%rbx
	pop	%rax
	add	$16, %rsp
	iretq

	/* int rdmsr_safe(uint32_t msr, uint64_t *v), int wrmsr_safe(uint32_t msr, uint64_t v) */
	.macro ex_entry from, to
	.pushsection .extable, "a"
	.quad \from, \to
	.popsection
	.endm

	.globl rdmsr_safe, wrmsr_safe
	.type rdmsr_safe, @function
	.type wrmsr_safe, @function
rdmsr_safe:
	mov	%edi, %ecx
1:	rdmsr
	shl	$32, %rdx
	or	%rdx, %rax
	mov	%rax, (%rsi)
	xor	%eax, %eax
	ret
	ex_entry 1b, 3f

wrmsr_safe:
	mov	%edi, %ecx
	mov	%esi, %eax
	mov	%rsi, %rdx
	shr	$32, %rdx
2:	wrmsr
	xor	%eax, %eax
	ret
	ex_entry 2b, 3f

3:	mov	$-14, %eax		/* E_FAULT */
	ret

	.section .note.GNU-stack, "", @progbits
