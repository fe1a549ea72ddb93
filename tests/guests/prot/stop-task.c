/*
 * A hardware task switch, which CRVM does not have: the VM is stopped.
 */
#include "cpu.h"

static uint32_t task[26];

void guest_main(void)
{
	uint32_t base = (uint32_t)task;

	((volatile uint64_t *)gdt)[11] = 103 | (uint64_t)(base & 0xffffff) << 16 | 0x89ull << 40;
	print("before\n");
	__asm__ volatile("ljmp $0x58, $0");
	print("after\n");
}
