/* Timer ticks in 64-bit mode. */
#include "ticks.h"

void guest_main(void)
{
	ticks_test(200, false);
}
