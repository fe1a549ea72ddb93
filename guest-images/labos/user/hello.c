/*
 * Says hello from ring 3.
 */

#include "user.h"

int program_main(uint32_t argument)
{
	(void)argument;
	write_text("hello from user mode\n");
	return 0;
}
