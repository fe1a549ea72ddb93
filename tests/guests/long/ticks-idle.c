/* A second of ticks at 1000 Hz for one that sleeps between them, however busy others keep its CPU.
 */
#include "ticks.h"

void guest_main(void)
{
	ticks_test(1000, true);
}
