/*
 * switch_stacks(uint32_t *save, uint32_t load): leaves one thread and goes on with another. What a C
 * function must keep for its caller lies on the stack; the rest its caller has saved.
 */

	.text
	.globl switch_stacks
switch_stacks:
	movl 4(%esp), %eax
	movl 8(%esp), %edx
	pushl %ebp
	pushl %ebx
	pushl %esi
	pushl %edi
	movl %esp, (%eax)
	movl %edx, %esp
	popl %edi
	popl %esi
	popl %ebx
	popl %ebp
	ret

	.section .note.GNU-stack, "", @progbits
