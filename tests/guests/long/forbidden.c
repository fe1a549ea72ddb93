/*
 * Instructions that touch the machine: RDPMC is #GP; INVD, WBINVD, PAUSE, INVLPG do no harm.
 */
#include "cpu.h"

static void in_user_wbinvd(void)
{
	__asm__ volatile("wbinvd");
	USER_END();
}

static void in_user_rdpmc(void)
{
	__asm__ volatile("rdpmc" : : "c"(0) : "rax", "rdx");
	USER_END();
}

void guest_main(void)
{
	CHECK_EQ(TRY("rdpmc", OUT(), IN("c"(0)), "rax", "rdx"), GP);
	CHECK_EQ(trap.error, 0);
	CHECK_EQ(TRY("rdpmc", OUT(), IN("c"(0x40000000)), "rax", "rdx"), GP);
	write_cr4(read_cr4() | 0x100); /* PCE */
	CHECK_EQ(user_call(in_user_rdpmc, 0), GP);
	MEM64(0x100000) = 0x1234;
	CHECK_EQ(TRY("invd", OUT(), IN()), NO_TRAP);
	CHECK_EQ(MEM64(0x100000), 0x1234); /* dirty lines must not be lost */
	CHECK_EQ(TRY("wbinvd", OUT(), IN()), NO_TRAP);
	CHECK_EQ(user_call(in_user_wbinvd, 0), GP);
	CHECK_EQ(TRY("rep nop", OUT(), IN()), NO_TRAP);
	CHECK_EQ(TRY("invlpg (%0)", OUT(), IN("r"(1ul << 47))),
		 NO_TRAP); /* not canonical: nothing */
	CHECK_EQ(TRY("rsm", OUT(), IN()), UD);
}
