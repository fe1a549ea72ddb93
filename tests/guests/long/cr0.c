/*
 * CR0: reserved bits, forbidden combinations, CLTS, LMSW, SMSW, caching bits.
 */
#include "cpu.h"

static uint16_t msw(void)
{
	uint16_t v;

	__asm__ volatile("smsw %0" : "=r"(v));
	return v;
}

static void task_switched(void)
{
	uint64_t v;

	write_cr0(read_cr0() | CR0_TS);
	CHECK_EQ(msw() & CR0_TS, CR0_TS);
	CHECK_EQ(TRY("fnop", OUT(), IN()), NM);
	__asm__ volatile("clts");
	CHECK_EQ(read_cr0() & CR0_TS, 0);
	CHECK_EQ(TRY("fnop", OUT(), IN()), NO_TRAP);
	/* LMSW sets TS, EM, MP; PE it can set only. */
	__asm__ volatile("lmsw %0" : : "r"((uint16_t)(CR0_TS | CR0_MP)));
	CHECK_EQ(read_cr0() & 15, CR0_TS | CR0_MP | CR0_PE);
	__asm__ volatile("lmsw %0" : : "r"((uint16_t)0xfff0));
	CHECK_EQ(read_cr0() & 15, CR0_PE);
	MEM16(0x100000) = CR0_MP;
	__asm__ volatile("lmsw (%0)" : : "r"(0x100000));
	CHECK_EQ(msw() & 15, CR0_MP | CR0_PE);
	__asm__ volatile("smsw %0" : "=r"(v));
	CHECK_EQ(v, read_cr0());
}

static void in_user_clts(void)
{
	__asm__ volatile("clts");
	USER_END();
}

static void in_user_read(void)
{
	read_cr0();
	USER_END();
}

static void in_user_smsw(void)
{
	msw();
	USER_END();
}

void guest_main(void)
{
	unsigned long cr0 = read_cr0();

	CHECK_EQ(cr0 & (CR0_PE | CR0_PG | CR0_ET), CR0_PE | CR0_PG | CR0_ET);
	CHECK_EQ(try_cr0(cr0 & ~(unsigned long)CR0_PE), GP); /* PG without PE */
	CHECK_EQ(try_cr0(cr0 & ~(unsigned long)CR0_PG), GP); /* from 64-bit code */
	CHECK_EQ(try_cr0((cr0 & ~(unsigned long)CR0_CD) | CR0_NW), GP);
	CHECK_EQ(try_cr0(cr0 | 1ul << 32), GP);
	CHECK_EQ(try_cr0(cr0 | 1ul << 63), GP);
	CHECK_EQ(read_cr0(), cr0);
	/* Reserved bits of the lower half are ignored; ET stays. */
	CHECK_EQ(try_cr0(cr0 & ~(unsigned long)CR0_ET), NO_TRAP);
	CHECK_EQ(read_cr0(), cr0);
	write_cr0(cr0 & ~(unsigned long)(CR0_CD | CR0_NW));
	CHECK_EQ(read_cr0() & (CR0_CD | CR0_NW), 0);
	write_cr0(read_cr0() | CR0_CD);
	CHECK_EQ(read_cr0() & (CR0_CD | CR0_NW), CR0_CD);
	write_cr0(read_cr0() | CR0_NW);
	CHECK_EQ(read_cr0() & (CR0_CD | CR0_NW), CR0_CD | CR0_NW);
	write_cr0(read_cr0() & ~(unsigned long)(CR0_CD | CR0_NW));
	/* NE belongs to the guest, whatever VMX wants of the CPU. */
	write_cr0(read_cr0() | CR0_NE);
	CHECK_EQ(read_cr0() & CR0_NE, CR0_NE);
	write_cr0(read_cr0() & ~(unsigned long)CR0_NE);
	CHECK_EQ(read_cr0() & CR0_NE, 0);
	write_cr0(read_cr0() | CR0_WP | CR0_AM);
	CHECK_EQ(read_cr0() & (CR0_WP | CR0_AM), CR0_WP | CR0_AM);
	task_switched();
	CHECK_EQ(user_call(in_user_clts, 0), GP);
	CHECK_EQ(user_call(in_user_read, 0), GP);
	CHECK_EQ(user_call(in_user_smsw, 0), USER_DONE);
}
