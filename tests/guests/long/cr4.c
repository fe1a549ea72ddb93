/*
 * CR4, CR3 and CR8: reserved bits, what long mode forbids, what CPUID does not show.
 */
#include "cpu.h"

static void cr4(void)
{
	unsigned long old = read_cr4();

	CHECK_EQ(old, CR4_PAE);			/* nothing of what the CPU has for its VMX */
	CHECK_EQ(try_cr4(old | 1ul << 13), GP); /* VMXE: not offered */
	CHECK_EQ(try_cr4(old | 1ul << 14), GP); /* SMXE */
	CHECK_EQ(try_cr4(old | 1ul << 17), GP); /* PCIDE */
	CHECK_EQ(try_cr4(old | 1ul << 12), GP); /* LA57 */
	CHECK_EQ(try_cr4(old | 1ul << 22), GP); /* PKE */
	CHECK_EQ(try_cr4(old | 1ul << 15), GP);
	CHECK_EQ(try_cr4(old | 1ul << 31), GP);
	CHECK_EQ(try_cr4(old | 1ul << 32), GP);
	CHECK_EQ(try_cr4(old & ~(unsigned long)CR4_PAE), GP);
	CHECK_EQ(read_cr4(), old);
	for (unsigned bit = 0; bit < 11; bit++) {
		CHECK_EQ(try_cr4(old | 1ul << bit), NO_TRAP);
		CHECK_EQ(read_cr4(), old | 1ul << bit);
		in8(TESTDEV);
		CHECK_EQ(read_cr4(), old | 1ul << bit);
	}
	write_cr4(old | 1ul << 6); /* MCE, which the CPU has set anyway */
	CHECK_EQ(read_cr4() >> 6 & 1, 1);
	write_cr4(old);
	CHECK_EQ(read_cr4(), old);
}

static void in_user_rdtsc(void)
{
	rdtsc();
	USER_END();
}

static void tsd(void)
{
	CHECK_EQ(user_call(in_user_rdtsc, 0), USER_DONE);
	write_cr4(read_cr4() | CR4_TSD);
	CHECK_EQ(user_call(in_user_rdtsc, 0), GP);
	write_cr4(read_cr4() & ~(unsigned long)CR4_TSD);
}

static void in_user_smsw(void)
{
	uint64_t v;

	__asm__ volatile("smsw %0" : "=r"(v));
	USER_END();
}

static void in_user_sgdt(void)
{
	struct {
		uint16_t w[5];
	} v;

	__asm__ volatile("sgdt %0" : "=m"(v));
	USER_END();
}

static void umip(void)
{
	if (!(cpuid(7, 0).ecx >> 2 & 1))
		return;
	CHECK_EQ(user_call(in_user_sgdt, 0), USER_DONE);
	write_cr4(read_cr4() | 1 << 11);
	CHECK_EQ(user_call(in_user_smsw, 0), GP);
	CHECK_EQ(user_call(in_user_sgdt, 0), GP);
	write_cr4(read_cr4() & ~(1ul << 11));
}

void guest_main(void)
{
	unsigned long cr3 = read_cr3();

	cr4();
	tsd();
	umip();
	CHECK_EQ(try_cr3(cr3 | 1ul << 62), GP);
	CHECK_EQ(try_cr3(cr3 | 1ul << 63), GP); /* no PCID, no "keep" bit */
	CHECK_EQ(read_cr3(), cr3);
	CHECK_EQ(try_cr3(cr3 | 0x18), NO_TRAP); /* PWT, PCD */
	CHECK_EQ(read_cr3(), cr3 | 0x18);
	write_cr3(cr3);
	CHECK_EQ(read_cr8(), 0);
	write_cr8(9);
	CHECK_EQ(read_cr8(), 9);
	CHECK_EQ(try_cr8(16), GP);
	CHECK_EQ(try_cr8(1ul << 40), GP);
	CHECK_EQ(read_cr8(), 9);
	__asm__ volatile("mov %0, %%cr8" : : "r"(15ul));
	CHECK_EQ(read_cr8(), 15);
	CHECK_EQ(TRY(".byte 0x0f, 0x20, 0xc8", OUT(), IN(), "rax"), UD); /* MOV EAX, CR1 */
	CHECK_EQ(TRY(".byte 0x0f, 0x22, 0xe8", OUT(), IN(), "rax"), UD); /* MOV CR5, EAX */
}
