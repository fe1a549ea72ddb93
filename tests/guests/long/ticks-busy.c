/* A second of ticks at 1000 Hz for one that computes, however busy others keep its CPU. */
#include "ticks.h"

void guest_main(void)
{
	ticks_test(1000, false);
}
