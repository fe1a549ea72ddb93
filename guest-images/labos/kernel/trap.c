/*
 * What each trap leads to. A fault in user mode ends that program, one in the kernel ends the
 * system; page faults first go to the pager.
 */

#include "console.h"
#include "lib.h"
#include "paging.h"
#include "thread.h"
#include "timer.h"
#include "trap.h"
#include "x86.h"

enum { PF_PRESENT = 1 << 0, PF_WRITE = 1 << 1, EXCEPTION_COUNT = 32 };
enum { IRQ_TIMER = 0, IRQ_KEYBOARD = 1, IRQ_SERIAL = 4 };

static const char *const exception_names[EXCEPTION_COUNT] = {
	[0] = "division by zero",
	[1] = "debug exception",
	[2] = "NMI",
	[3] = "breakpoint",
	[4] = "overflow",
	[5] = "bound exceeded",
	[6] = "invalid instruction",
	[7] = "no coprocessor",
	[8] = "double fault",
	[10] = "invalid TSS",
	[11] = "segment not present",
	[12] = "stack fault",
	[13] = "general protection fault",
	[14] = "page fault",
	[16] = "coprocessor error",
	[17] = "misaligned access",
	[18] = "machine check",
};

static bool from_user(const struct trap_frame *frame)
{
	return (frame->cs & 3) != 0;
}

static const char *exception_name(uint32_t vector)
{
	const char *name = vector < EXCEPTION_COUNT ? exception_names[vector] : NULL;

	return name ? name : "unknown exception";
}

static _Noreturn void fail(const struct trap_frame *frame, uint32_t address)
{
	panic("%s, error %x, address %08x\n"
	      "  eip %08x cs %02x eflags %08x thread %s\n"
	      "  eax %08x ebx %08x ecx %08x edx %08x\n"
	      "  esi %08x edi %08x ebp %08x cr3 %08x",
	      exception_name(frame->vector), frame->error, address, frame->eip, frame->cs,
	      frame->eflags, thread_current()->name, frame->eax, frame->ebx, frame->ecx, frame->edx,
	      frame->esi, frame->edi, frame->ebp, read_cr3());
}

static void handle_exception(const struct trap_frame *frame, uint32_t address)
{
	/* A system call may stumble over its program's bad pointer: the program's fault, too. */
	bool in_window = frame->vector == VECTOR_PAGE_FAULT && space_is_window(address) &&
			 (frame->eflags & EFLAGS_IF) && thread_current()->space;

	if (!from_user(frame) && !in_window)
		fail(frame, address);
	irq_enable();
	print("labos: %s killed: %s at %08x, address %08x\n", thread_current()->name,
	      exception_name(frame->vector), frame->eip, address);
	thread_exit(THREAD_KILLED);
}

static void handle_page_fault(const struct trap_frame *frame)
{
	uint32_t address = read_cr2();
	struct space *space = thread_current()->space;

	/* Paging waits for the disk, so it needs a thread that may wait. */
	if (space && (frame->eflags & EFLAGS_IF)) {
		irq_enable();
		if (!(frame->error & PF_PRESENT) && space_bring_page(space, address))
			return;
	}
	handle_exception(frame, address);
}

static void handle_irq(uint32_t irq)
{
	switch (irq) {
	case IRQ_TIMER:
		timer_interrupt();
		break;
	case IRQ_KEYBOARD:
		keyboard_interrupt();
		break;
	case IRQ_SERIAL:
		serial_interrupt();
		break;
	default:
		/* The PIC's spurious 7 and 15: nothing to acknowledge. */
		break;
	}
	thread_preempt();
}

void trap_handle(struct trap_frame *frame)
{
	if (frame->vector == VECTOR_SYSCALL)
		syscall_handle(frame);
	else if (frame->vector >= VECTOR_IRQ)
		handle_irq(frame->vector - VECTOR_IRQ);
	else if (frame->vector == VECTOR_PAGE_FAULT)
		handle_page_fault(frame);
	else
		handle_exception(frame, 0);
}
