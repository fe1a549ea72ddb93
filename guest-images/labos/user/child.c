/*
 * One of many: works a little, gives way in between, and ends with its argument as exit code.
 */

#include "user.h"

enum { ROUNDS = 5 };

int program_main(uint32_t argument)
{
	volatile uint32_t *mine = (volatile uint32_t *)USER_HEAP;
	uint32_t i;

	/* All children write to the same address: none may see another's number. */
	*mine = argument;
	for (i = 0; i < ROUNDS; i++) {
		syscall(SYSCALL_YIELD, 0, 0);
		if (*mine != argument)
			return -2;
	}
	return (int)*mine;
}
