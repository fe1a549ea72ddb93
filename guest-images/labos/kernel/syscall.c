/*
 * System calls. What a program passes is not to be trusted: addresses must lie in its own regions.
 */

#include "../user/numbers.h"
#include "console.h"
#include "lib.h"
#include "paging.h"
#include "thread.h"
#include "timer.h"
#include "trap.h"

enum { MILLISECONDS_PER_TICK = 1000 / TICKS_PER_SECOND, WRITE_MAX = 128 };

static uint32_t write_console(uint32_t address, uint32_t size)
{
	char text[WRITE_MAX];
	uint32_t i;

	if (size > WRITE_MAX)
		size = WRITE_MAX;
	if (!space_covers(thread_current()->space, address, size))
		return UINT32_MAX;
	/* Before the lock: touching the page may need the disk, or kill the program. */
	memcpy(text, (const void *)address, size);
	console_lock();
	for (i = 0; i < size; i++)
		console_put(text[i]);
	console_unlock();
	return size;
}

static uint32_t dispatch(uint32_t number, uint32_t a, uint32_t b)
{
	switch (number) {
	case SYSCALL_EXIT:
		thread_exit((int)a);
	case SYSCALL_WRITE:
		return write_console(a, b);
	case SYSCALL_YIELD:
		thread_yield();
		return 0;
	case SYSCALL_SLEEP:
		thread_sleep(a / MILLISECONDS_PER_TICK);
		return 0;
	case SYSCALL_ID:
		return (uint32_t)thread_current_id();
	case SYSCALL_TICKS:
		return timer_ticks();
	default:
		return UINT32_MAX;
	}
}

void syscall_handle(struct trap_frame *frame)
{
	frame->eax = dispatch(frame->eax, frame->ebx, frame->ecx);
}
