/*
 * An instruction on device memory that CRVM cannot emulate: the VM is stopped, its bytes are shown.
 */
#include "cpu.h"

void guest_main(void)
{
	print("before\n");
	__asm__ volatile("fildl (%0)" : : "r"(TESTDEV_MEM)); /* DB /0 */
	print("after\n");
}
