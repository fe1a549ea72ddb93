/*
 * Hypercalls: known, unknown, from ring 3, and a loop with changing numbers.
 */
#include "cpu.h"

static uint64_t vmcall(uint64_t number)
{
	uint64_t rdi = 2, rsi = 3, rdx = 3, rcx = 3, rbx = 0xb0b;
	register uint64_t r8 __asm__("r8") = 8, r15 __asm__("r15") = 15;

	__asm__ volatile("vmcall"
			 : "+a"(number), "+D"(rdi), "+S"(rsi), "+d"(rdx), "+c"(rcx), "+b"(rbx),
			   "+r"(r8), "+r"(r15));
	CHECK_EQ(rdi, 2);
	CHECK_EQ(rsi, 3);
	CHECK_EQ(rdx, 3);
	CHECK_EQ(rcx, 3);
	CHECK_EQ(rbx, 0xb0b);
	CHECK_EQ(r8, 8);
	CHECK_EQ(r15, 15);
	return number;
}

static uint64_t user_result;

static void in_user(void)
{
	uint64_t a = 0;

	__asm__ volatile("vmcall" : "+a"(a));
	user_result = a;
	USER_END();
}

void guest_main(void)
{
	CHECK_EQ(vmcall(0), 0x4d565243);
	CHECK_EQ(vmcall(1), 0);
	CHECK_EQ(user_call(in_user, 0), USER_DONE);
	CHECK(user_result >> 63); /* refused */
	CHECK_EQ(vmcall(2), 1);
	CHECK_EQ(vmcall(3), 0); /* three bytes of low memory, to the console */
	CHECK_EQ(vmcall(4), 0);
	CHECK(vmcall(5) < 1000000000000);
	CHECK(vmcall(6) > 1500000000000000000);
	/* Any number, forever: here 1000 times. */
	for (uint64_t n = 7; n < 1000; n++)
		CHECK(vmcall(n) >> 63);
	CHECK(vmcall(~0ul) >> 63);
	CHECK(vmcall(1ul << 32) >> 63); /* all of RAX counts */
}
