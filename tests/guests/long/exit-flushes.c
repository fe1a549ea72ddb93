/*
 * With vpid=off each exit forgets all translations: kernels that miss a flush count on it.
 */
#include "cpu.h"

static uint64_t table[512] __attribute__((aligned(4096)));

#define HIGH 0x40000000ul

void guest_main(void)
{
	volatile uint64_t *page = (volatile uint64_t *)HIGH;

	MEM64(0x100000) = 1;
	MEM64(0x101000) = 2;
	boot_pd[512] = (uint64_t)table + 7;
	table[0] = 0x100007;
	write_cr3(read_cr3());
	for (unsigned i = 0; i < 100; i++) {
		uint64_t want = i & 1 ? 2 : 1;

		table[0] = want == 1 ? 0x100007 : 0x101007;
		switch (i % 5) {
		case 0:
			cpuid(0, 0);
			break;
		case 1:
			in8(TESTDEV);
			break;
		case 2:
			MEM32(TESTDEV_MEM) = 1;
			break;
		case 3:
			rdmsr(0x1b);
			break;
		default:
			__asm__ volatile("vmcall" : "=a"(want) : "a"(1));
			want = i & 1 ? 2 : 1;
		}
		CHECK_EQ(*page, want);
	}
}
