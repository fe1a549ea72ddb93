/* Timer ticks in protected mode. */
#include "ticks.h"

void guest_main(void)
{
	ticks_test(200, false);
}
