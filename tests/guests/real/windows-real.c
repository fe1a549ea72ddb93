/* Interrupt windows in real mode. */
#include "windows.h"

void guest_main(void)
{
	windows_test();
}
