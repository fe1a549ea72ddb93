/*
 * Where the firmware's 16-bit code begins: reset vector, interrupt entries, and what C cannot say (block move through
 * protected mode, start of a boot sector). It knows the layout of struct frame (firmware.h) and nothing of the services.
 */
#define ROM_SEGMENT	0xf000
#define FRAME_FLAGS	48
#define FRAME_ESP	20
#define FRAME_HANDLER	40
#define POST_STACK	0x7c00

	.code16

	.macro	save_registers
	pushal
	pushw	%ds
	pushw	%es
	pushw	%fs
	pushw	%gs
	/* C addresses the stack by ESP; a caller may have anything in its upper half. */
	movzwl	%sp, %esp
	xor	%eax, %eax
	movw	%ax, %fs
	movw	%cs, %ax
	movw	%ax, %ds
	movw	%ss, %ax
	movw	%ax, %gs
	cld
	.endm

	.macro	restore_registers
	movl	FRAME_ESP(%esp), %eax
	movw	%sp, %ax
	movl	%eax, %esp
	popw	%gs
	popw	%fs
	popw	%es
	popw	%ds
	popal
	.endm

	.section .text.entry, "ax"
	.globl	post_entry
post_entry:
	cli
	cld
	xor	%eax, %eax
	movw	%ax, %ss
	movl	$POST_STACK, %esp
	movw	%ax, %fs
	movw	%ax, %gs
	movw	%cs, %ax
	movw	%ax, %ds
	movw	%ax, %es
	calll	post_main
1:	cli
	hlt
	jmp	1b

/* ---- software interrupts: all registers in a struct frame, EAX its address ---------------- */

	.macro	service vector, handler
	.globl	vector_\vector
vector_\vector:
	pushl	$\handler
	jmp	service_common
	.endm

	service	10, int10_video
	service	11, int11_equipment
	service	12, int12_memory
	service	13, int13_disk
	service	14, int14_serial
	service	15, int15_system
	service	16, int16_keyboard
	service	17, int17_printer
	service	18, int18_no_boot
	service	19, int19_boot
	service	1a, int1a_time

service_common:
	save_registers
	movl	%esp, %eax
	/* Interrupts go on during a service if they were on before. */
	testb	$2, FRAME_FLAGS + 1(%esp)
	jz	1f
	sti
1:	movl	FRAME_HANDLER(%esp), %edx
	calll	*%edx
	restore_registers
	addw	$4, %sp
	iretw

/* ---- hardware interrupts ------------------------------------------------------------------ */

	.macro	hardware name, handler
	.globl	\name
\name:	pushl	$\handler
	jmp	hardware_common
	.endm

	hardware vector_09, irq1_keyboard
	hardware vector_irq_master, irq_default_master
	hardware vector_irq_slave, irq_default_slave

hardware_common:
	save_registers
	movl	FRAME_HANDLER(%esp), %edx
	calll	*%edx
	restore_registers
	addw	$4, %sp
	iretw

	/* A program's hook of INT 1Ch is called before the end of interrupt, with DS as IBM had it. */
	.globl	vector_08
vector_08:
	pushl	$0
	save_registers
	calll	irq0_timer
	movw	$0x40, %ax
	movw	%ax, %ds
	int	$0x1c
	cli
	movb	$0x20, %al
	outb	%al, $0x20
	restore_registers
	addw	$4, %sp
	iretw

	.globl	vector_none
vector_none:
	iretw

	/* What stands at 0000:0020 and 0000:0040: an offset for each vector from 08h and 10h on. */
	.section .rodata.vectors, "a"
	.globl	vectors_irq, vectors_service
vectors_irq:
	.word	vector_08, vector_09
vectors_service:
	.word	vector_10, vector_11, vector_12, vector_13, vector_14, vector_15, vector_16, vector_17
	.word	vector_18, vector_19, vector_1a

/* ---- for C: arguments in EAX, EDX, ECX ---------------------------------------------------- */

	.section .text.calls, "ax"

	/* uint32_t keyboard_intercept(uint32_t code) */
	.globl	keyboard_intercept
keyboard_intercept:
	movb	$0x4f, %ah
	stc
	int	$0x15
	movw	%cs, %dx
	movw	%dx, %ds
	jc	1f
	xor	%eax, %eax
1:	movzbl	%al, %eax
	retl

	/* void boot_jump(uint32_t drive) */
	.globl	boot_jump
boot_jump:
	cli
	movl	%eax, %edx
	xor	%eax, %eax
	movw	%ax, %ss
	movl	$POST_STACK, %esp
	movw	%ax, %ds
	movw	%ax, %es
	movw	%ax, %fs
	movw	%ax, %gs
	xor	%ebx, %ebx
	xor	%ecx, %ecx
	xor	%esi, %esi
	xor	%edi, %edi
	xor	%ebp, %ebp
	sti
	ljmpw	$0, $0x7c00

	/*
	 * To protected mode with flat DS and ES, and back to segments of 64 KiB as a real-mode program has them. Between the two
	 * there are no interrupts; EAX, EBX are used.
	 */
	.macro	flat_enter
	pushfl
	cli
	pushl	%ebx
	subl	$8, %esp
	sgdtl	(%esp)
	lgdtl	%cs:gdt_pointer
	movl	%cr0, %eax
	orb	$1, %al
	movl	%eax, %cr0
	ljmpw	$8, $1f
1:	movw	$0x10, %bx
	movw	%bx, %ds
	movw	%bx, %es
	.endm

	.macro	flat_leave
	movw	$0x18, %bx
	movw	%bx, %ds
	movw	%bx, %es
	movl	%cr0, %eax
	andb	$0xfe, %al
	movl	%eax, %cr0
	ljmpw	$ROM_SEGMENT, $2f
2:	lgdtl	(%esp)
	addl	$8, %esp
	movw	%cs, %ax
	movw	%ax, %ds
	movw	%ax, %es
	popl	%ebx
	popfl
	.endm

	/* void block_move(uint32_t from, uint32_t to, uint32_t words) */
	.globl	block_move
block_move:
	pushl	%esi
	pushl	%edi
	movl	%eax, %esi
	movl	%edx, %edi
	flat_enter
	cld
	addr32 rep movsw
	flat_leave
	popl	%edi
	popl	%esi
	retl

	/* void physical_write32(uint32_t address, uint32_t v) */
	.globl	physical_write32
physical_write32:
	movl	%eax, %ecx
	flat_enter
	movl	%edx, (%ecx)
	flat_leave
	retl

	/* uint32_t cpuid_edx(uint32_t leaf): 0 on a CPU without CPUID, whose EFLAGS.ID cannot be changed */
	.globl	cpuid_edx
cpuid_edx:
	pushl	%ebx
	movl	%eax, %ecx
	pushfl
	popl	%eax
	movl	%eax, %edx
	xorl	$0x200000, %eax
	pushl	%eax
	popfl
	pushfl
	popl	%eax
	pushl	%edx
	popfl
	xorl	%edx, %eax
	testl	$0x200000, %eax
	movl	$0, %edx
	jz	1f
	movl	%ecx, %eax
	xorl	%ecx, %ecx
	cpuid
1:	movl	%edx, %eax
	popl	%ebx
	retl

	/* The accessed bits are set already: the CPU must not want to write into ROM. */
	.section .rodata.gdt, "a"
	.balign	8
gdt:	.quad	0
	.quad	0x00009b0f0000ffff /* 08 code: this ROM */
	.quad	0x00cf93000000ffff /* 10 data: 4 GiB */
	.quad	0x000093000000ffff /* 18 data: 64 KiB */
gdt_pointer:
	.word	gdt_pointer - gdt - 1
	.long	0xf0000 + gdt

/* ---- the top of the address space --------------------------------------------------------- */

	.section .reset, "ax"
	ljmpw	$ROM_SEGMENT, $post_entry
	.ascii	"11/22/26"
	.byte	0
	.byte	0xfc /* model: AT */
	.byte	0

	.section .note.GNU-stack, "", @progbits
