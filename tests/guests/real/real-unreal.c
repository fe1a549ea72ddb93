/*
 * Real mode with large segments ("unreal"): hidden limits survive exits, and devices and memory
 * above 1 MiB can be reached.
 */
#include "cpu.h"

static const uint64_t table[3] = {0, 0x00009b000000ffff, 0x00cf93000000ffff};

static void go_unreal(void)
{
	struct __attribute__((packed)) {
		uint16_t limit;
		uint32_t base;
	} gdtr = {sizeof(table) - 1, (uint32_t)(uintptr_t)table};

	__asm__ volatile("lgdtl %0\n\t"
			 "mov %%cr0, %%eax\n\t"
			 "or $1, %%al\n\t"
			 "mov %%eax, %%cr0\n\t"
			 "jmp 1f\n"
			 "1:\tmov $0x10, %%cx\n\t"
			 "mov %%cx, %%fs\n\t"
			 "and $0xfe, %%al\n\t"
			 "mov %%eax, %%cr0\n\t"
			 "xor %%cx, %%cx\n\t"
			 "mov %%cx, %%fs"
			 :
			 : "m"(gdtr)
			 : "eax", "ecx", "memory");
}

static uint32_t peek(uint32_t at)
{
	uint32_t v;

	__asm__ volatile("movl %%fs:(%1), %0" : "=r"(v) : "r"(at) : "memory");
	return v;
}

static void poke(uint32_t at, uint32_t v)
{
	__asm__ volatile("movl %0, %%fs:(%1)" : : "r"(v), "r"(at) : "memory");
}

void guest_main(void)
{
	uint32_t v;

	CHECK_EQ(TRY("movl %%fs:(%1), %0", OUT("=r"(v)), IN("r"(0x200000))), GP);
	go_unreal();
	CHECK_EQ(read_cr0() & CR0_PE, 0);
	poke(0x200000, 0x11223344);
	cpuid(0, 0);
	CHECK_EQ(peek(0x200000), 0x11223344);
	poke(TESTDEV_MEM + 0x20, 0x55667788);
	in8(TESTDEV);
	CHECK_EQ(peek(TESTDEV_MEM + 0x20), 0x55667788);
	CHECK_EQ(peek(TESTDEV_MEM + 0xffc), 0x54535443);
	/* DS is still small. */
	CHECK_EQ(TRY("movl %%ds:(%1), %0", OUT("=r"(v)), IN("r"(TESTDEV_MEM))), GP);
}
