/* Interrupt windows in 64-bit mode. */
#include "windows.h"

void guest_main(void)
{
	windows_test();
}
