/*
 * All of a large memory is there, to its last byte, and what comes next is not (mem=512M). Not a
 * part of it is another's name for another part.
 */
#include "cpu.h"

#define END 0x20000000ul

void guest_main(void)
{
	uint64_t bad = 0;

	for (uint64_t at = 0x80000; at < END; at += 0x1000)
		MEM64(at) = at ^ 0x5a5a5a5a00000000;
	for (uint64_t at = 0x80000; at < END; at += 0x1000)
		bad += MEM64(at) != (at ^ 0x5a5a5a5a00000000);
	CHECK_EQ(bad, 0);
	MEM8(END - 1) = 0x77;
	CHECK_EQ(MEM8(END - 1), 0x77);
	CHECK_EQ(MEM8(END), 0xff);
	MEM8(END) = 0;
	CHECK_EQ(MEM8(END), 0xff);
	CHECK_EQ(MEM64(END - 4) >> 32, 0xffffffff);
}
