/*
 * INS and OUTS in real mode: segment override, direction, address size, 64 KiB limit, and wrap at
 * its end.
 */
#include "cpu.h"

#define DATA 0xc000u

static void outs(void)
{
	uint32_t si = DATA, cx = 4;

	for (unsigned i = 0; i < 8; i++)
		MEM8(DATA + i) = (uint8_t)(i + 1);
	testdev_reset();
	__asm__ volatile("rep outsb" : "+S"(si), "+c"(cx) : "d"(TESTDEV_PORT_STREAM) : "memory");
	CHECK_EQ(testdev_count(COUNT_SUM), 1 + 2 + 3 + 4);
	CHECK_EQ(si, DATA + 4);
	CHECK_EQ(cx, 0);
	/* FS:SI, upwards from the segment's base; the upper halves of SI and CX do not count. */
	si = 0xabcd0004, cx = 0x12340002;
	__asm__ volatile("mov %3, %%fs\n\trep outsw %%fs:(%%si), (%%dx)"
			 : "+S"(si), "+c"(cx)
			 : "d"(TESTDEV_PORT_STREAM), "r"((uint16_t)(DATA / 16))
			 : "memory");
	CHECK_EQ(testdev_count(COUNT_SUM), 10 + 0x0605 + 0x0807);
	CHECK_EQ(si, 0xabcd0008);
	CHECK_EQ(cx, 0x12340000);
}

static void ins(void)
{
	uint32_t di = DATA + 12, cx = 3;

	testdev_reset();
	__asm__ volatile("std\n\trep insl\n\tcld"
			 : "+D"(di), "+c"(cx)
			 : "d"(TESTDEV_PORT_STREAM)
			 : "memory");
	CHECK_EQ(MEM32(DATA + 12), 0);
	CHECK_EQ(MEM32(DATA + 8), 1);
	CHECK_EQ(MEM32(DATA + 4), 2);
	CHECK_EQ(di, DATA);
	/* With 32-bit addresses ESI counts whole, and beyond 64 KiB is #GP. */
	cx = 1, di = 0x10000;
	CHECK_EQ(TRY("addr32 rep insb", OUT("+D"(di), "+c"(cx)), IN("d"(TESTDEV_PORT_STREAM))), GP);
	CHECK_EQ(di, 0x10000);
	CHECK_EQ(cx, 1);
	CHECK_EQ(testdev_count(COUNT_STREAM_READS), 3);
}

static void at_the_end(void)
{
	uint32_t di, cx;

	/* DI goes from FFFFh to 0: into another segment, where it does no harm. */
	testdev_reset();
	MEM8(0xc00f) = 0xee;
	di = 0x1fffe, cx = 3;
	__asm__ volatile("mov %3, %%es\n\trep insb\n\tmov %4, %%es"
			 : "+D"(di), "+c"(cx)
			 : "d"(TESTDEV_PORT_STREAM), "r"((uint16_t)0), "r"((uint16_t)0)
			 : "memory");
	CHECK_EQ(di, 0x10001);
	CHECK_EQ(MEM8(0xfffe), 0);
	CHECK_EQ(MEM8(0xffff), 1);
	MEM32(0) = 0; /* the vector of #DE: nothing needs it now */
	/* A word at FFFFh does not fit. Those before it have been moved. */
	testdev_reset();
	di = 0xfffb, cx = 4;
	CHECK_EQ(TRY("rep insw", OUT("+D"(di), "+c"(cx)), IN("d"(TESTDEV_PORT_STREAM))), GP);
	CHECK_EQ(di, 0xffff);
	CHECK_EQ(cx, 2);
	CHECK_EQ(testdev_count(COUNT_STREAM_READS), 2);
}

void guest_main(void)
{
	outs();
	ins();
	at_the_end();
}
