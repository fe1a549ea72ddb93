/* Interrupt windows in protected mode. */
#include "windows.h"

void guest_main(void)
{
	windows_test();
}
