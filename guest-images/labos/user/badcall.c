/*
 * Asks the kernel for what it must refuse: to read for us what is not ours.
 */

#include "user.h"

enum { KERNEL = 0x100000, SIZE = 64, NO_CALL = 99 };

static int refused(uint32_t number, uint32_t a, uint32_t b)
{
	return syscall(number, a, b) == UINT32_MAX;
}

int program_main(uint32_t argument)
{
	(void)argument;
	if (!refused(SYSCALL_WRITE, KERNEL, SIZE))
		return 1;
	if (!refused(SYSCALL_WRITE, USER_HEAP + USER_HEAP_SIZE - SIZE, SIZE + 1))
		return 2;
	if (!refused(SYSCALL_WRITE, USER_HEAP - SIZE, SIZE + 1))
		return 3;
	if (!refused(SYSCALL_WRITE, USER_STACK_TOP, 1))
		return 4;
	if (!refused(SYSCALL_WRITE, UINT32_MAX, SIZE))
		return 5;
	if (!refused(NO_CALL, 0, 0))
		return 6;
	write_text("badcall: all refused\n");
	return 0;
}
