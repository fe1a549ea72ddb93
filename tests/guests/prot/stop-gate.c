/*
 * An exception through a task gate: a task switch while an event is delivered.
 */
#include "cpu.h"

static uint32_t task[26];

void guest_main(void)
{
	struct __attribute__((packed)) {
		uint16_t limit;
		uint32_t base;
	} idtr;
	uint32_t base = (uint32_t)task;

	((volatile uint64_t *)gdt)[11] = 103 | (uint64_t)(base & 0xffffff) << 16 | 0x89ull << 40;
	__asm__ volatile("sidt %0" : "=m"(idtr));
	MEM64(idtr.base + 8 * UD) = 0x0000850000580000; /* a task gate */
	print("before\n");
	__asm__ volatile("ud2");
	print("after\n");
}
