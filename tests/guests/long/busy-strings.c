/*
 * Very long string instructions on ports and on device memory: others on this CPU must get their
 * turn in the middle of one, and the registers go on where they were.
 */
#include "cpu.h"

void guest_main(void)
{
	uint64_t si = 0x100000, di = TESTDEV_MEM, cx = 700000, begin = rdtsc(), ticks;

	testdev_reset();
	__asm__ volatile("rep outsl" : "+S"(si), "+c"(cx) : "d"(TESTDEV_PORT_STREAM) : "memory");
	CHECK_EQ(cx, 0);
	CHECK_EQ(si, 0x100000 + 4 * 700000);
	CHECK_EQ(testdev_count(COUNT_STREAM_WRITES), 700000);
	cx = 100000;
	__asm__ volatile("rep stosb" : "+D"(di), "+c"(cx) : "a"(0x5a) : "memory");
	CHECK_EQ(cx, 0);
	CHECK_EQ(di, TESTDEV_MEM + 100000);
	CHECK_EQ(testdev_count(7), 0xff0);
	CHECK_EQ(MEM8(TESTDEV_MEM + 0xfef), 0x5a);
	ticks = rdtsc() - begin;
	print("%u ms\n", (unsigned)(ticks / 100000));
}
