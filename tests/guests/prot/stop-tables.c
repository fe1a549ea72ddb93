/*
 * Page tables where there is no memory: the VM is stopped.
 */
#include "cpu.h"

void guest_main(void)
{
	print("before\n");
	write_cr3(0x40000000);
	write_cr0(read_cr0() | CR0_PG);
	print("after\n");
}
