/*
 * 4-level paging: pages of 4 KiB, 2 MiB and 1 GiB, rights, reserved bits, accessed and dirty flags,
 * INVLPG and other ways to forget a translation.
 */
#include "cpu.h"

static uint64_t pdpt[512] __attribute__((aligned(4096)));
static uint64_t pd[512] __attribute__((aligned(4096)));
static uint64_t table[512] __attribute__((aligned(4096)));

#define HIGH 0xffff800000000000ul /* entry 256 of the top table */
#define RAM  0x100000ul

static void sizes(void)
{
	boot_pml4[256] = (uint64_t)pdpt + 7;
	pdpt[0] = (uint64_t)pd + 7;
	pd[0] = (uint64_t)table + 7;
	table[5] = RAM + 7;
	pd[1] = 0x200087;
	MEM64(RAM + 8) = 0x4444;
	MEM64(0x200010) = 0x2222;
	CHECK_EQ(MEM64(HIGH + 0x5008), 0x4444);
	CHECK_EQ(MEM64(HIGH + 0x200010), 0x2222);
	CHECK_EQ(table[5] & 0x60, 0x20);
	CHECK_EQ(pd[0] & 0x60, 0x20);
	MEM64(HIGH + 0x200018) = 1;
	CHECK_EQ(pd[1] & 0x60, 0x60);
	if (!(cpuid(0x80000001, 0).edx >> 26 & 1))
		return;
	pdpt[1] = 0x87;
	CHECK_EQ(MEM64(HIGH + 0x40100008), 0x4444);
	pdpt[3] = 0xc0000087; /* the gigabyte with the test device */
	MEM32(HIGH + 0xfed10040) = 0x5a5a;
	CHECK_EQ(MEM32(TESTDEV_MEM + 0x40), 0x5a5a);
	CHECK_EQ(pdpt[3] & 0x60, 0x60);
}

static unsigned touch(uint64_t at)
{
	return TRY("movb (%0), %%al", OUT(), IN("r"(at)), "rax");
}

static void reserved(void)
{
	table[6] = RAM + 7 + (1ul << 51);
	CHECK_EQ(touch(HIGH + 0x6000), PF);
	CHECK_EQ(trap.error, 9);
	pd[2] = 0x200087 + (1 << 13); /* not on a boundary of 2 MiB */
	CHECK_EQ(touch(HIGH + 0x400000), PF);
	CHECK_EQ(trap.error, 9);
	boot_pml4[257] = 0x87; /* there is no such size */
	CHECK_EQ(touch(HIGH + (1ul << 39)), PF);
	CHECK_EQ(trap.error, 9);
	CHECK_EQ(touch(1ul << 47), GP);
	table[7] = 0;
	CHECK_EQ(touch(HIGH + 0x7000), PF);
	CHECK_EQ(trap.error, 0);
	CHECK_EQ(trap.cr2, HIGH + 0x7000);
}

static void in_user(void)
{
	MEM8(HIGH + 0x8000) = 1;
	USER_END();
}

static void rights(void)
{
	table[8] = RAM + 3;
	CHECK_EQ(user_call(in_user, 0), PF);
	CHECK_EQ(trap.error, 7);
	table[8] = RAM + 7;
	invlpg((void *)(HIGH + 0x8000));
	CHECK_EQ(user_call(in_user, 0), USER_DONE);
	table[9] = RAM + 5;
	CHECK_EQ(TRY("movb $1, (%0)", OUT(), IN("r"(HIGH + 0x9000))), NO_TRAP);
	write_cr0(read_cr0() | CR0_WP);
	CHECK_EQ(TRY("movb $1, (%0)", OUT(), IN("r"(HIGH + 0x9000))), PF);
	CHECK_EQ(trap.error, 3);
	write_cr0(read_cr0() & ~(unsigned long)CR0_WP);
}

static void forget(void)
{
	volatile uint64_t *page = (volatile uint64_t *)(HIGH + 0xa000);

	MEM64(RAM) = 1;
	MEM64(RAM + 0x1000) = 2;
	MEM64(RAM + 0x2000) = 3;
	MEM64(RAM + 0x3000) = 4;
	table[10] = RAM + 7 + 0x100; /* global */
	CHECK_EQ(*page, 1);
	table[10] = RAM + 0x1000 + 7 + 0x100;
	invlpg((void *)page);
	CHECK_EQ(*page, 2);
	table[10] = RAM + 0x2000 + 7;
	write_cr4(read_cr4() | CR4_PGE);
	CHECK_EQ(*page, 3);
	table[10] = RAM + 0x3000 + 7;
	write_cr3(read_cr3());
	CHECK_EQ(*page, 4);
	/* Rights that grow need no flush: the fault is looked at again. */
	table[10] = RAM + 5;
	invlpg((void *)page);
	CHECK_EQ(*page, 1);
	in8(TESTDEV);
	table[10] = RAM + 0x1000 + 7;
	invlpg((void *)page);
	cpuid(0, 0);
	CHECK_EQ(*page, 2);
}

void guest_main(void)
{
	sizes();
	reserved();
	rights();
	forget();
}
