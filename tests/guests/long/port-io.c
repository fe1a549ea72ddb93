/*
 * IN and OUT of 1, 2 and 4 bytes: what they do to RAX, ports that nobody has, accesses across the
 * end of a device.
 */
#include "cpu.h"

static uint64_t in_rax(unsigned size, uint16_t port, uint64_t rax)
{
	if (size == 1)
		__asm__ volatile("in %1, %%al" : "+a"(rax) : "d"(port));
	else if (size == 2)
		__asm__ volatile("in %1, %%ax" : "+a"(rax) : "d"(port));
	else
		__asm__ volatile("in %1, %%eax" : "+a"(rax) : "d"(port));
	return rax;
}

#define FULL 0xfedcba9876543210ul

static void in_user(void)
{
	in8(TESTDEV);
	USER_END();
}

static void in_user_allowed(void)
{
	in8(TESTDEV + 1);
	in16(TESTDEV + 1);
	USER_END();
}

static void privileges(void)
{
	CHECK_EQ(user_call(in_user, 0), GP);
	CHECK_EQ(user_call(in_user, RFLAGS_IOPL), USER_DONE);
	port_allow(TESTDEV + 1);
	testdev_reset();
	CHECK_EQ(user_call(in_user_allowed, 0), GP); /* at the second */
	CHECK_EQ(testdev_count(COUNT_READS), 1);
}

void guest_main(void)
{
	out32(TESTDEV, 0x44332211);
	out32(TESTDEV + 4, 0x88776655);
	CHECK_EQ(in_rax(1, TESTDEV, FULL), 0xfedcba9876543211);
	CHECK_EQ(in_rax(2, TESTDEV + 1, FULL), 0xfedcba9876543322);
	CHECK_EQ(in_rax(4, TESTDEV + 2, FULL), 0x66554433);
	out16(TESTDEV + 3, 0xabcd);
	CHECK_EQ(in32(TESTDEV + 2), 0x66abcd33);
	out8(TESTDEV + 7, 0);
	CHECK_EQ(in32(TESTDEV + 4), 0x007766ab);
	/* A port in the instruction. */
	CHECK_EQ(in8(PORT_CONSOLE), 0xe9);
	__asm__ volatile("outb %%al, $0x80" : : "a"(1));
	/* Nobody's ports. */
	CHECK_EQ(in_rax(1, 0x1234, 0), 0xff);
	CHECK_EQ(in_rax(2, 0x1234, FULL), 0xfedcba987654ffff);
	CHECK_EQ(in_rax(4, 0x1234, FULL), 0xffffffff);
	out32(0x1234, 0);
	/* Across the end of the device, or of the ports: not the device's. */
	testdev_reset();
	CHECK_EQ(in32(TESTDEV - 2), 0xffffffff);
	CHECK_EQ(in32(TESTDEV + 14), 0xffffffff);
	out32(TESTDEV - 1, 0);
	CHECK_EQ(testdev_count(COUNT_READS), 0);
	CHECK_EQ(testdev_count(COUNT_WRITES), 0);
	CHECK_EQ(in32(0xfffe), 0xffffffff);
	privileges();
}
