/*
 * MOVS, STOS, LODS, SCAS and CMPS with device memory, with REP, in both directions, across pages,
 * with a page fault in the middle.
 */
#include "cpu.h"

#define DEV  TESTDEV_MEM
#define RAM  0x100000ul
#define HIGH 0x40000000ul

static uint64_t table[512] __attribute__((aligned(4096)));

static void stos(void)
{
	uint64_t di = DEV + 0x100, cx = 8;

	__asm__ volatile("rep stosl" : "+D"(di), "+c"(cx) : "a"(0x11223344) : "memory");
	CHECK_EQ(di, DEV + 0x120);
	CHECK_EQ(cx, 0);
	CHECK_EQ(MEM64(DEV + 0x118), 0x1122334411223344);
	CHECK_EQ(MEM32(DEV + 0x120), 0);
	di = DEV + 0x107, cx = 4;
	__asm__ volatile("std\n\trep stosb\n\tcld" : "+D"(di), "+c"(cx) : "a"(0xff) : "memory");
	CHECK_EQ(MEM64(DEV + 0x100), 0xffffffff11223344);
	CHECK_EQ(di, DEV + 0x103);
	di = DEV + 0x200;
	__asm__ volatile("stosq" : "+D"(di) : "a"(0x8877665544332211) : "memory");
	CHECK_EQ(MEM64(DEV + 0x200), 0x8877665544332211);
	/* Longer than one stay in the emulator. */
	di = DEV, cx = 0xf00;
	__asm__ volatile("rep stosb" : "+D"(di), "+c"(cx) : "a"(0x5a) : "memory");
	CHECK_EQ(MEM64(DEV + 0xef8), 0x5a5a5a5a5a5a5a5a);
	CHECK_EQ(di, DEV + 0xf00);
}

static void movs(void)
{
	uint64_t si = RAM, di = DEV + 0x300, cx = 16;

	for (unsigned i = 0; i < 64; i++)
		MEM8(RAM + i) = (uint8_t)i;
	__asm__ volatile("rep movsw" : "+S"(si), "+D"(di), "+c"(cx) : : "memory");
	CHECK_EQ(MEM64(DEV + 0x318), 0x1f1e1d1c1b1a1918);
	CHECK_EQ(si, RAM + 32);
	CHECK_EQ(di, DEV + 0x320);
	si = DEV + 0x300, di = RAM + 0x100, cx = 4;
	__asm__ volatile("rep movsq" : "+S"(si), "+D"(di), "+c"(cx) : : "memory");
	CHECK_EQ(MEM64(RAM + 0x100), 0x0706050403020100);
	CHECK_EQ(MEM64(RAM + 0x118), 0x1f1e1d1c1b1a1918);
	si = DEV + 0x300, di = DEV + 0x400, cx = 8;
	__asm__ volatile("rep movsl" : "+S"(si), "+D"(di), "+c"(cx) : : "memory");
	CHECK_EQ(MEM64(DEV + 0x410), 0x1716151413121110);
}

static void compare(void)
{
	uint64_t di = DEV + 0x300, cx = 100, si = RAM, a = 0;
	bool equal;

	__asm__ volatile("repne scasb\n\tsete %2"
			 : "+D"(di), "+c"(cx), "=q"(equal)
			 : "a"(5)
			 : "cc");
	CHECK_EQ(di, DEV + 0x306);
	CHECK_EQ(cx, 94);
	CHECK(equal);
	MEM8(RAM + 9) = 0xee;
	di = DEV + 0x300, cx = 32;
	__asm__ volatile("repe cmpsb\n\tseta %3"
			 : "+S"(si), "+D"(di), "+c"(cx), "=q"(equal)
			 :
			 : "cc");
	CHECK_EQ(si, RAM + 10);
	CHECK_EQ(di, DEV + 0x30a);
	CHECK_EQ(cx, 22);
	CHECK(equal); /* EEh is above 9 */
	si = DEV + 0x304;
	__asm__ volatile("lodsl" : "+S"(si), "+a"(a));
	CHECK_EQ(a, 0x07060504);
	CHECK_EQ(si, DEV + 0x308);
}

/* Copies from a device to a page that is not there, in 4-level paging with pages of 4 KiB. */
static void fault(void)
{
	uint64_t si = DEV + 0x300, di = HIGH + 0xff8, cx = 8;

	boot_pd[512] = (uint64_t)table + 7;
	table[0] = RAM + 7;
	write_cr3(read_cr3());
	CHECK_EQ(TRY("rep movsl", OUT("+S"(si), "+D"(di), "+c"(cx)), IN()), PF);
	CHECK_EQ(trap.error, 2);
	CHECK_EQ(trap.cr2, HIGH + 0x1000);
	CHECK_EQ(cx, 6);
	CHECK_EQ(si, DEV + 0x308);
	CHECK_EQ(di, HIGH + 0x1000);
	/* The other way round: device page mapped twice, read-only once. */
	table[2] = DEV + 5;
	table[3] = DEV + 7;
	write_cr0(read_cr0() | CR0_WP);
	MEM32(HIGH + 0x3500) = 0x1234;
	CHECK_EQ(MEM32(HIGH + 0x2500), 0x1234);
	CHECK_EQ(TRY("movl $1, (%0)", OUT(), IN("r"(HIGH + 0x2500))), PF);
	CHECK_EQ(trap.error, 3);
	CHECK_EQ(MEM32(DEV + 0x500), 0x1234);
	/* From RAM into the device's page and past its end, into nothing. */
	si = RAM, di = HIGH + 0x3fe8, cx = 4;
	CHECK_EQ(TRY("rep movsq", OUT("+S"(si), "+D"(di), "+c"(cx)), IN()), PF);
	CHECK_EQ(trap.cr2, HIGH + 0x4000);
	CHECK_EQ(cx, 1);
	CHECK_EQ(di, HIGH + 0x4000);
}

/* From one device to another, as some drivers do. */
static void ports(void)
{
	uint64_t di = DEV + 0x600, cx = 6, si = DEV + 0x601;

	testdev_reset();
	__asm__ volatile("rep insw" : "+D"(di), "+c"(cx) : "d"(TESTDEV_PORT_STREAM) : "memory");
	CHECK_EQ(di, DEV + 0x60c);
	CHECK_EQ(MEM64(DEV + 0x604), 0x0005000400030002);
	cx = 3;
	__asm__ volatile("rep outsb" : "+S"(si), "+c"(cx) : "d"(TESTDEV_PORT_STREAM) : "memory");
	CHECK_EQ(testdev_count(COUNT_SUM), 1);
	CHECK_EQ(testdev_count(COUNT_STREAM_WRITES), 3);
	/* Where there is nothing: lost, and all ones. */
	di = 0xe0000000, si = 0xe0000000, cx = 2000;
	__asm__ volatile("rep insl" : "+D"(di), "+c"(cx) : "d"(TESTDEV_PORT_STREAM) : "memory");
	cx = 2;
	__asm__ volatile("rep outsw" : "+S"(si), "+c"(cx) : "d"(TESTDEV_PORT_STREAM) : "memory");
	CHECK_EQ(testdev_count(COUNT_SUM), 1 + 2 * 0xffff);
	CHECK_EQ(testdev_count(COUNT_STREAM_READS), 2006);
}

void guest_main(void)
{
	ports();
	stos();
	movs();
	compare();
	fault();
}
