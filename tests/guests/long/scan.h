/*
 * Two VMs side by side, each of which scans all of its guest-physical space for what is not its
 * own: new memory is zero, what lies beyond reads as ones and keeps nothing. SEED tells them apart.
 */
#include "cpu.h"

#define MEMORY 0x400000ul /* mem=4M */
#define FIRST  0x80000ul  /* behind image, stack and page tables */
#define STEP   0x10000ul

static uint64_t pdpt[512] __attribute__((aligned(4096)));

static uint64_t mark_of(uint64_t at)
{
	return (0x5c43a47a00000000 ^ (uint64_t)SEED << 56) + at;
}

static void all_zero(void)
{
	uint64_t bad = 0, where = 0;

	for (uint64_t at = FIRST; at < MEMORY; at += 8) {
		if (MEM64(at)) {
			bad++;
			where = at;
		}
	}
	if (bad)
		print("FAIL %s: %llx is not zero\n", GUEST_NAME, (unsigned long long)where);
	CHECK_EQ(bad, 0);
}

/* Below 4 GiB but for the test device, by the map of the start; above it by pages of 1 GiB. */
static void beyond(void)
{
	uint64_t bad = 0;

	for (uint64_t at = MEMORY; at < 0xfe000000; at += 0x1ff000) {
		bad += MEM64(at) != ~0ul;
		MEM64(at) = mark_of(at);
		bad += MEM64(at) != ~0ul;
	}
	CHECK_EQ(bad, 0);
	if (!(cpuid(0x80000001, 0).edx >> 26 & 1))
		return;
	for (uint64_t g = 4; g < 512; g++)
		boot_pdpt[g] = g << 30 | 0x87;
	boot_pml4[1] = (uint64_t)pdpt + 7;
	for (uint64_t g = 0; g < 512; g++)
		pdpt[g] = (g + 512) << 30 | 0x87;
	for (uint64_t at = 4ul << 30; at < 1024ul << 30; at += (1ul << 30) + 0x123000) {
		if (at >> 30 >= 1ul << ((cpuid(0x80000008, 0).eax & 0xff) - 30))
			break;
		bad += MEM64(at) != ~0ul;
		MEM64(at) = mark_of(at);
		bad += MEM64(at) != ~0ul;
	}
	CHECK_EQ(bad, 0);
}

static void write_marks(void)
{
	for (uint64_t at = FIRST; at < MEMORY; at += STEP)
		MEM64(at) = mark_of(at);
}

/* Nobody else has written here. */
static void check_marks(void)
{
	uint64_t bad = 0;

	for (uint64_t at = FIRST; at < MEMORY; at += 8)
		bad += MEM64(at) != (at % STEP ? 0 : mark_of(at));
	CHECK_EQ(bad, 0);
}

void guest_main(void)
{
	all_zero();
	write_marks();
	for (unsigned i = 0; i < 3; i++) {
		beyond();
		check_marks();
	}
}
