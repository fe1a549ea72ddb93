/*
 * Into the guest and back. The general registers are the first thing in struct vcpu, in the order of their numbers;
 * everything else is switched by the CPU.
 *
 * Exits by an instruction go to a quick handler first (struct vcpu, `quick`), which may answer them at once: then the
 * registers that C functions keep (RBP, R12 to R15; RBX too, but CPUID needs it) stay where they are, and the guest
 * goes on behind the instruction without a return to the run loop. Or another vCPU goes on in its place.
 *
 * Source: Intel SDM Vol. 3C, "VM Entries", "VM Exits".
 */
#define GPR(n)	      (8 * (n))
#define V_INSN_LEN    129
#define V_VIRT	      184
#define V_QUICK_LEN   224
#define VV_HOST_RSP   0
#define VV_LAUNCHED   8
#define VV_QUICK      16
#define QUICK_REASONS 64
#define QUICK_NOT     -1
#define QUICK_STAY    -2
#define QUICK_PASS    -3

#define VMCS_EXIT_REASON	    0x4402
#define VMCS_EXIT_INSN_LEN	    0x440c
#define VMCS_GUEST_INTERRUPTIBILITY 0x4824
#define VMCS_GUEST_RIP		    0x681e
#define VMCS_GUEST_RFLAGS	    0x6820
#define VMCS_HOST_RSP		    0x6c14

#define SHADOW_STI_MOVSS 0x3
#define RFLAGS_TF_RF	 0x10100

	/* What a quick handler does not keep, without RDI; and the rest. */
	.macro load_scratch
	mov	GPR(0)(%rdi), %rax
	mov	GPR(1)(%rdi), %rcx
	mov	GPR(2)(%rdi), %rdx
	mov	GPR(3)(%rdi), %rbx
	mov	GPR(6)(%rdi), %rsi
	mov	GPR(8)(%rdi), %r8
	mov	GPR(9)(%rdi), %r9
	mov	GPR(10)(%rdi), %r10
	mov	GPR(11)(%rdi), %r11
	.endm
	.macro load_kept
	mov	GPR(5)(%rdi), %rbp
	mov	GPR(12)(%rdi), %r12
	mov	GPR(13)(%rdi), %r13
	mov	GPR(14)(%rdi), %r14
	mov	GPR(15)(%rdi), %r15
	.endm
	.macro save_scratch
	mov	%rax, GPR(0)(%rdi)
	mov	%rcx, GPR(1)(%rdi)
	mov	%rdx, GPR(2)(%rdi)
	mov	%rbx, GPR(3)(%rdi)
	mov	%rsi, GPR(6)(%rdi)
	mov	%r8, GPR(8)(%rdi)
	mov	%r9, GPR(9)(%rdi)
	mov	%r10, GPR(10)(%rdi)
	mov	%r11, GPR(11)(%rdi)
	.endm
	.macro save_kept
	mov	%rbp, GPR(5)(%rdi)
	mov	%r12, GPR(12)(%rdi)
	mov	%r13, GPR(13)(%rdi)
	mov	%r14, GPR(14)(%rdi)
	mov	%r15, GPR(15)(%rdi)
	.endm

	/*
	 * Past the instruction; as vmx_skip_insn, which does whatever is unusual here, and finds out why something
	 * failed. RDI: struct vcpu. Leaves RAX and RCX changed.
	 */
	.macro skip_insn unusual
	mov	$VMCS_GUEST_INTERRUPTIBILITY, %eax
	vmread	%rax, %rax
	jbe	\unusual
	test	$SHADOW_STI_MOVSS, %al
	jne	\unusual
	mov	$VMCS_GUEST_RFLAGS, %eax
	vmread	%rax, %rax
	jbe	\unusual
	test	$RFLAGS_TF_RF, %eax
	jne	\unusual
	mov	$VMCS_GUEST_RIP, %ecx
	vmread	%rcx, %rax
	jbe	\unusual
	add	V_QUICK_LEN(%rdi), %rax
	vmwrite	%rax, %rcx
	jbe	\unusual
	.endm

	.text
	.globl vmx_enter, vmx_exit
	.type vmx_enter, @function

	/* struct vmx_stay vmx_enter(struct vcpu *v, struct virt_vcpu *vv) */
	.balign 64
vmx_enter:
	push	%rbp
	push	%rbx
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	push	%rdi
enter:	cmp	%rsp, VV_HOST_RSP(%rsi)
	jne	2f
1:	cmpl	$0, VV_LAUNCHED(%rsi)
	movl	$1, VV_LAUNCHED(%rsi)
	load_kept
	load_scratch
	mov	GPR(7)(%rdi), %rdi
	je	3f
	vmresume
	jmp	4f

	/* The stack moved since the last entry. A failing VMWRITE shows as a failing entry. */
2:	mov	$VMCS_HOST_RSP, %eax
	vmwrite	%rsp, %rax
	jbe	5f
	mov	%rsp, VV_HOST_RSP(%rsi)
	jmp	1b

3:	vmlaunch
	/* VMfail: no guest instruction was executed; after a quick exit, some registers are here only. */
4:	mov	(%rsp), %rdi
	save_kept
5:	mov	$1, %eax
	jmp	vmx_leave

	.balign 64
vmx_exit:
	push	%rdi
	mov	8(%rsp), %rdi
	save_scratch
	pop	GPR(7)(%rdi)
	mov	$VMCS_EXIT_REASON, %eax
	vmread	%rax, %rsi
	jbe	8f			/* the long way reads it again, and complains */
	cmp	$QUICK_REASONS, %esi
	jae	8f
	mov	$VMCS_EXIT_INSN_LEN, %eax
	vmread	%rax, V_QUICK_LEN(%rdi)
	jbe	8f
	mov	V_VIRT(%rdi), %rdx
	call	*VV_QUICK(%rdx, %rsi, 8)
	mov	(%rsp), %rdi
	test	%eax, %eax
	jne	7f

	skip_insn 9f
6:	load_scratch
	mov	GPR(7)(%rdi), %rdi
	vmresume
	jmp	4b

9:	mov	V_QUICK_LEN(%rdi), %eax
	mov	%al, V_INSN_LEN(%rdi)
	call	vmx_skip_insn
	mov	(%rsp), %rdi
	jmp	6b

	/* Answered, but somebody else goes on: the run loop, or another vCPU. */
7:	cmp	$QUICK_NOT, %eax
	je	8f
	save_kept
	cmp	$QUICK_STAY, %eax
	je	1f
	mov	%eax, %ebx
	skip_insn 2f
3:	cmp	$QUICK_PASS, %ebx
	jne	1f
	call	vmx_pass
	test	%rax, %rax
	je	1f
	mov	%rax, %rdi
	mov	%rax, (%rsp)
	mov	V_VIRT(%rdi), %rsi
	jmp	enter
1:	mov	$2, %eax
	jmp	vmx_leave

2:	mov	V_QUICK_LEN(%rdi), %eax
	mov	%al, V_INSN_LEN(%rdi)
	call	vmx_skip_insn
	mov	(%rsp), %rdi
	jmp	3b

8:	save_kept
	xor	%eax, %eax
vmx_leave:
	pop	%rdx
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%rbx
	pop	%rbp
	ret
	.size vmx_enter, . - vmx_enter

	/* A quick handler for those that need all of the guest's registers: the emulator. */
	.globl	vmx_quick_all
	.type	vmx_quick_all, @function
	.balign 16
vmx_quick_all:
	save_kept
	xor	%ebp, %ebp		/* a backtrace ends here, and not somewhere in the guest */
	push	%rdi
	call	vmx_quick_fault
	pop	%rdi
	load_kept
	ret
	.size vmx_quick_all, . - vmx_quick_all

	.section .note.GNU-stack, "", @progbits
