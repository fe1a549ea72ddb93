/*
 * 32-bit paging: pages of 4 MiB and of 4 KiB, accessed and dirty flags, page faults, the test
 * device at another linear address.
 */
#include "cpu.h"

static uint32_t directory[1024] __attribute__((aligned(4096)));
static uint32_t table[1024] __attribute__((aligned(4096)));

#define HIGH 0xc0000000u

static void small_pages(void)
{
	uint32_t v;

	directory[HIGH >> 22] = (uint32_t)table + 7;
	table[0] = 0x100000 + 7;
	table[1] = 0x101000 + 5; /* read-only */
	table[2] = TESTDEV_MEM + 0x13;
	MEM32(0x100010) = 0xfeed;
	CHECK_EQ(MEM32(HIGH + 0x10), 0xfeed);
	CHECK_EQ(table[0] & 0x60, 0x20);
	MEM32(HIGH + 0x14) = 1;
	CHECK_EQ(table[0] & 0x60, 0x60);
	CHECK_EQ(MEM32(0x100014), 1);
	CHECK_EQ(TRY("mov %0, (%1)", OUT(), IN("r"(1), "r"(HIGH + 0x1000))), PF);
	CHECK_EQ(trap.error, 3);
	CHECK_EQ(trap.cr2, HIGH + 0x1000);
	CHECK_EQ(TRY("mov (%1), %0", OUT("=r"(v)), IN("r"(HIGH + 0x3004))), PF);
	CHECK_EQ(trap.error, 0);
	CHECK_EQ(trap.cr2, HIGH + 0x3004);
	MEM32(HIGH + 0x2030) = 0x600d;
	CHECK_EQ(MEM32(TESTDEV_MEM + 0x30), 0x600d);
	CHECK_EQ(table[2] & 0x60, 0x60);
}

static void strings(void)
{
	uint32_t di = HIGH + 0xff8, cx = 4;

	/* Two pages that are not neighbours, then a fault on the third. */
	table[0] = 0x100000 + 7;
	table[1] = 0x105000 + 7;
	invlpg((void *)(HIGH + 0x1000));
	testdev_reset();
	__asm__ volatile("rep insl" : "+D"(di), "+c"(cx) : "d"(TESTDEV_PORT_STREAM) : "memory");
	CHECK_EQ(di, HIGH + 0x1008);
	CHECK_EQ(MEM32(0x100ffc), 1);
	CHECK_EQ(MEM32(0x105000), 2);
	CHECK_EQ(MEM32(0x105004), 3);
	table[2] = 0;
	invlpg((void *)(HIGH + 0x2000));
	di = HIGH + 0x1ff8, cx = 9;
	CHECK_EQ(TRY("rep insl", OUT("+D"(di), "+c"(cx)), IN("d"(TESTDEV_PORT_STREAM))), PF);
	CHECK_EQ(di, HIGH + 0x2000);
	CHECK_EQ(cx, 7);
	CHECK_EQ(trap.cr2, HIGH + 0x2000);
	CHECK_EQ(trap.error, 2);
	CHECK_EQ(testdev_count(COUNT_STREAM_READS), 6);
}

void guest_main(void)
{
	for (uint32_t i = 0; i < 1024; i++)
		directory[i] = i << 22 | 0x87;
	write_cr4(read_cr4() | CR4_PSE);
	write_cr3((uint32_t)directory);
	write_cr0(read_cr0() | CR0_PG | CR0_WP);
	CHECK_EQ(read_cr0() & (CR0_PG | CR0_WP), CR0_PG | CR0_WP);
	directory[0x80000000 >> 22] = 0x87; /* 4 MiB elsewhere */
	write_cr3(read_cr3());
	MEM32(0x123456) = 0xcafe;
	CHECK_EQ(MEM32(0x80123456), 0xcafe);
	CHECK_EQ(directory[0x80000000 >> 22] & 0x20, 0x20);
	small_pages();
	strings();
	CHECK_EQ(MEM32(TESTDEV_MEM + 0xffc), 0x54535443);
}
