/*
 * INS and OUTS in 64-bit mode: long strings, page crossings, direction, 32-bit addresses, segment
 * bases.
 */
#include "cpu.h"

#define DATA 0x100000ul
#define PORT "d"(TESTDEV_PORT_STREAM)

static void long_strings(void)
{
	uint64_t di = DATA + 2, cx = 5000, si = DATA + 2, bad = 0;

	testdev_reset();
	__asm__ volatile("rep insl" : "+D"(di), "+c"(cx) : PORT : "memory");
	CHECK_EQ(di, DATA + 2 + 20000);
	CHECK_EQ(cx, 0);
	for (unsigned i = 0; i < 5000; i++)
		bad += MEM32(DATA + 2 + 4ul * i) != i;
	CHECK_EQ(bad, 0);
	CHECK(testdev_count(COUNT_CALLS) < 100); /* not one exit for each */
	cx = 5000;
	__asm__ volatile("rep outsl" : "+S"(si), "+c"(cx) : PORT : "memory");
	CHECK_EQ(testdev_count(COUNT_SUM), 5000u * 4999u / 2);
	CHECK_EQ(si, DATA + 2 + 20000);
	CHECK_EQ(testdev_count(COUNT_STREAM_WRITES), 5000);
}

static void down(void)
{
	uint64_t di = DATA + 0x1001, cx = 6;

	/* The item at FFFh crosses a page. */
	testdev_reset();
	__asm__ volatile("std\n\trep insw\n\tcld" : "+D"(di), "+c"(cx) : PORT : "memory");
	CHECK_EQ(di, DATA + 0x1001 - 12);
	for (unsigned i = 0; i < 6; i++)
		CHECK_EQ(MEM16(DATA + 0x1001 - 2ul * i), i);
}

static void short_addresses(void)
{
	uint64_t di = 0xffffffff00000000 | DATA, cx = 0xffffffff00000003;

	/* Writing EDI and ECX clears the upper halves. */
	testdev_reset();
	__asm__ volatile("addr32 rep insb" : "+D"(di), "+c"(cx) : PORT : "memory");
	CHECK_EQ(di, DATA + 3);
	CHECK_EQ(cx, 0);
	CHECK_EQ(MEM8(DATA + 2), 2);
	/* RCX counts whole otherwise; 0 moves nothing and changes nothing. */
	di = 0xffffffff00000000 | DATA, cx = 0;
	__asm__ volatile("rep insb" : "+D"(di), "+c"(cx) : PORT : "memory");
	CHECK_EQ(di, 0xffffffff00000000 | DATA);
	di = 0x0000800000000000, cx = 1;
	CHECK_EQ(TRY("rep insb", OUT("+D"(di), "+c"(cx)), IN(PORT)), GP); /* not canonical */
	CHECK_EQ(cx, 1);
	CHECK_EQ(testdev_count(COUNT_STREAM_READS), 3);
}

static void segments(void)
{
	uint64_t si = 0x10, cx = 2;

	wrmsr(0xc0000100, DATA);
	wrmsr(0xc0000101, DATA + 0x100);
	MEM16(DATA + 0x10) = 0x1111;
	MEM16(DATA + 0x110) = 0x2222;
	testdev_reset();
	__asm__ volatile("rep outsb %%fs:(%%rsi), (%%dx)" : "+S"(si), "+c"(cx) : PORT : "memory");
	CHECK_EQ(testdev_count(COUNT_SUM), 0x22);
	si = 0x10, cx = 1;
	__asm__ volatile("rep outsw %%gs:(%%rsi), (%%dx)" : "+S"(si), "+c"(cx) : PORT : "memory");
	CHECK_EQ(testdev_count(COUNT_SUM), 0x22 + 0x2222);
	/* INS always writes to ES, whose base is 0. */
	uint64_t di = DATA + 0x20;

	MEM8(DATA + 0x20) = 0xff;
	__asm__ volatile("fs insb" : "+D"(di) : PORT : "memory");
	CHECK_EQ(MEM8(DATA + 0x20), 0);
	/* REX.W does not make it 8 bytes. */
	__asm__ volatile(".byte 0x48, 0x6d" : "+D"(di) : PORT : "memory");
	CHECK_EQ(di, DATA + 0x25);
	CHECK_EQ(MEM32(DATA + 0x21), 1);
}

void guest_main(void)
{
	long_strings();
	down();
	short_addresses();
	segments();
}
