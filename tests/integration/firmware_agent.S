/*
 * A boot sector for test_firmware.py: calls interrupts and touches memory and ports as it is told on COM2. It must not
 * need anything of the firmware but to be started.
 *
 * Commands: 'I' registers(40) -> registers(40); 'R' offset segment length -> bytes; 'W' offset segment length bytes -> 'k';
 * 'i' port -> byte; 'o' port byte -> 'k'. At first it sends 'A' and how it was started.
 */
#define COM2	0x2f8
#define REGS	0x0500 /* eax ebx ecx edx esi edi ebp esp, ds es flags, vector */

	.code16
	.globl	start
start:
	/* The state at the start: DL, then CS IP SS SP DS ES flags. */
	pushf
	cli
	push	%es
	push	%ds
	mov	%sp, %bp
	xor	%ax, %ax
	mov	%ax, %ds
	call	1f
1:	pop	%si
	sub	$1b - start, %si
	mov	%dl, REGS
	mov	%cs, REGS + 1
	mov	%si, REGS + 3
	mov	%ss, REGS + 5
	add	$6, %bp
	mov	%bp, REGS + 7
	mov	-6(%bp), %bx
	mov	%bx, REGS + 9
	mov	-4(%bp), %bx
	mov	%bx, REGS + 11
	mov	-2(%bp), %bx
	mov	%bx, REGS + 13
	mov	%ax, %ss
	mov	$0x7c00, %esp
	mov	%ax, %es
	cld
	sti
	/* COM2: 115200, 8N1, FIFO */
	mov	$COM2 + 3, %dx
	mov	$0x80, %al
	out	%al, %dx
	mov	$COM2, %dx
	mov	$1, %al
	out	%al, %dx
	inc	%dx
	xor	%al, %al
	out	%al, %dx
	mov	$COM2 + 3, %dx
	mov	$3, %al
	out	%al, %dx
	dec	%dx
	mov	$7, %al
	out	%al, %dx
	mov	$'A', %al
	call	put
	mov	$REGS, %di
	mov	$15, %cx
	call	put_bytes

next:	xor	%ax, %ax
	mov	%ax, %ds
	mov	%ax, %es
	mov	$0x7c00, %esp
	cld
	sti
	call	get
	cmp	$'I', %al
	je	do_int
	cmp	$'R', %al
	je	do_read
	cmp	$'W', %al
	je	do_write
	cmp	$'i', %al
	je	do_in
	cmp	$'o', %al
	jne	next
	call	get_word
	mov	%ax, %bx
	call	get
	mov	%bx, %dx
	out	%al, %dx
done:	mov	$'k', %al
	call	put
	jmp	next

do_in:	call	get_word
	mov	%ax, %dx
	in	%dx, %al
	call	put
	jmp	next

/* ES:DI and CX for R and W */
get_place:
	call	get_word
	mov	%ax, %di
	call	get_word
	mov	%ax, %es
	call	get_word
	mov	%ax, %cx
	ret

do_read:
	call	get_place
	call	put_bytes
	jmp	next

do_write:
	call	get_place
	call	get_bytes
	jmp	done

do_int:	mov	$REGS, %di
	mov	$40, %cx
	call	get_bytes
	mov	REGS + 38, %al
	mov	%al, int_op + 1
	movl	REGS + 28, %esp /* its upper half is the test's, its lower half ought to be ours */
	mov	$0x7bf0, %sp
	mov	REGS + 34, %es
	movl	REGS + 4, %ebx
	movl	REGS + 8, %ecx
	movl	REGS + 12, %edx
	movl	REGS + 16, %esi
	movl	REGS + 20, %edi
	movl	REGS + 24, %ebp
	push	REGS + 36
	popf
	movl	REGS, %eax
	mov	REGS + 32, %ds
int_op:	int	$0
	pushf
	push	%ds
	pushl	%eax
	mov	$0, %ax
	mov	%ax, %ds
	popl	REGS
	pop	REGS + 32
	pop	REGS + 36
	movl	%esp, REGS + 28
	mov	%es, REGS + 34
	movl	%ebx, REGS + 4
	movl	%ecx, REGS + 8
	movl	%edx, REGS + 12
	movl	%esi, REGS + 16
	movl	%edi, REGS + 20
	movl	%ebp, REGS + 24
	xor	%eax, %eax
	mov	%ax, %es
	cld
	mov	$REGS, %di
	mov	$40, %cx
	mov	$0x7c00, %esp
	call	put_bytes
	jmp	next

get:	mov	$COM2 + 5, %dx
1:	in	%dx, %al
	test	$1, %al
	jz	1b
	mov	$COM2, %dx
	in	%dx, %al
	ret

get_word:
	call	get
	mov	%al, %ah
	push	%ax
	call	get
	pop	%dx
	xchg	%al, %ah
	mov	%dh, %al
	ret

get_bytes:
	jcxz	2f
1:	call	get
	stosb
	loop	1b
2:	ret

put_bytes:
	jcxz	2f
1:	mov	%es:(%di), %al
	inc	%di
	call	put
	loop	1b
2:	ret

put:	push	%ax
	mov	$COM2 + 5, %dx
1:	in	%dx, %al
	test	$0x20, %al
	jz	1b
	mov	$COM2, %dx
	pop	%ax
	out	%al, %dx
	ret

	.org	510
	.word	0xaa55
	.section .note.GNU-stack, "", @progbits
