/*
 * Into the guest and back. The general registers are the first thing in struct vcpu, in the order of their numbers;
 * everything else is switched by the CPU.
 * Source: Intel SDM Vol. 3C, "VM Entries", "VM Exits".
 */
#define GPR(n)	      (8 * (n))
#define VV_HOST_RSP   0
#define VV_LAUNCHED   8
#define VMCS_HOST_RSP 0x6c14

	.text
	.globl vmx_enter, vmx_exit
	.type vmx_enter, @function

	/* int vmx_enter(struct vcpu *v, struct virt_vcpu *vv) */
	.balign 64
vmx_enter:
	push	%rbp
	push	%rbx
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	push	%rdi
	cmp	%rsp, VV_HOST_RSP(%rsi)
	jne	2f
1:	cmpl	$0, VV_LAUNCHED(%rsi)
	mov	GPR(0)(%rdi), %rax
	mov	GPR(1)(%rdi), %rcx
	mov	GPR(2)(%rdi), %rdx
	mov	GPR(3)(%rdi), %rbx
	mov	GPR(5)(%rdi), %rbp
	mov	GPR(6)(%rdi), %rsi
	mov	GPR(8)(%rdi), %r8
	mov	GPR(9)(%rdi), %r9
	mov	GPR(10)(%rdi), %r10
	mov	GPR(11)(%rdi), %r11
	mov	GPR(12)(%rdi), %r12
	mov	GPR(13)(%rdi), %r13
	mov	GPR(14)(%rdi), %r14
	mov	GPR(15)(%rdi), %r15
	mov	GPR(7)(%rdi), %rdi
	je	3f
	vmresume
	jmp	4f

	/* The stack moved since the last entry. A failing VMWRITE shows as a failing entry. */
2:	mov	$VMCS_HOST_RSP, %eax
	vmwrite	%rsp, %rax
	jbe	4f
	mov	%rsp, VV_HOST_RSP(%rsi)
	jmp	1b

3:	vmlaunch
4:	/* VMfail: no guest instruction was executed, and the registers in memory are still right. */
	mov	$1, %eax
	add	$8, %rsp
	jmp	5f

	.balign 64
vmx_exit:
	push	%rdi
	mov	8(%rsp), %rdi
	mov	%rax, GPR(0)(%rdi)
	mov	%rcx, GPR(1)(%rdi)
	mov	%rdx, GPR(2)(%rdi)
	mov	%rbx, GPR(3)(%rdi)
	mov	%rbp, GPR(5)(%rdi)
	mov	%rsi, GPR(6)(%rdi)
	mov	%r8, GPR(8)(%rdi)
	mov	%r9, GPR(9)(%rdi)
	mov	%r10, GPR(10)(%rdi)
	mov	%r11, GPR(11)(%rdi)
	mov	%r12, GPR(12)(%rdi)
	mov	%r13, GPR(13)(%rdi)
	mov	%r14, GPR(14)(%rdi)
	mov	%r15, GPR(15)(%rdi)
	pop	GPR(7)(%rdi)
	xor	%eax, %eax
	add	$8, %rsp
5:	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%rbx
	pop	%rbp
	ret
	.size vmx_enter, . - vmx_enter

	.section .note.GNU-stack, "", @progbits
