/*
 * CPUID: the hypervisor's leaves, hidden features, consistency.
 */
#include "cpu.h"

static void hypervisor_leaves(void)
{
	struct cpuid r = cpuid(0x40000000, 0);

	CHECK_EQ(r.eax, 0x40000010);
	CHECK_EQ(r.ebx, 0x4d565243); /* CRVM */
	CHECK_EQ(r.ecx, 0x4d565243);
	CHECK_EQ(r.edx, 0x4d565243);
	r = cpuid(0x40000010, 0);
	CHECK(r.eax >= 90000 && r.eax <= 110000); /* kHz: this machine has 100 MHz */
	CHECK_EQ(cpuid(0x40000001, 0).eax, 0);
}

static void hidden(void)
{
	struct cpuid r = cpuid(1, 0);

	CHECK_EQ(r.ecx >> 31, 1);	/* under a hypervisor */
	CHECK_EQ(r.ecx >> 5 & 1, 0);	/* VMX */
	CHECK_EQ(r.ecx >> 3 & 1, 0);	/* MONITOR */
	CHECK_EQ(r.ecx >> 6 & 1, 0);	/* SMX */
	CHECK_EQ(r.ecx >> 15 & 1, 0);	/* performance counters */
	CHECK_EQ(r.ecx >> 17 & 1, 0);	/* PCID */
	CHECK_EQ(r.edx >> 12 & 1, 0);	/* MTRR */
	CHECK_EQ(r.edx >> 28 & 1, 0);	/* HTT */
	CHECK_EQ(r.edx & 0x179, 0x179); /* FPU, PSE, TSC, MSR, PAE, CX8 */
	CHECK_EQ(r.ebx >> 24, 0);	/* APIC ID */
	r = cpuid(7, 0);
	CHECK_EQ(r.ebx >> 2 & 1, 0);  /* SGX */
	CHECK_EQ(r.ebx >> 10 & 1, 0); /* INVPCID */
	CHECK_EQ(r.ebx >> 16 & 1, 0); /* AVX-512 */
	CHECK_EQ(r.ebx >> 25 & 1, 0); /* Processor Trace */
	CHECK_EQ(r.ecx >> 16 & 1, 0); /* LA57 */
	CHECK_EQ(cpuid(7, 1).ebx, 0);
	r = cpuid(10, 0);
	CHECK_EQ(r.eax & 0xff, 0);
	r = cpuid(0x80000001, 0);
	CHECK_EQ(r.edx >> 29 & 1, 1); /* long mode: we are in it */
	CHECK_EQ(r.edx >> 11 & 1, 1);
}

static void forms(void)
{
	uint64_t a = 0xffffffff00000000, b = ~0ul, c = 0xffffffff00000000, d = ~0ul;
	struct cpuid top, beyond;

	__asm__ volatile("cpuid" : "+a"(a), "+b"(b), "+c"(c), "+d"(d));
	CHECK_EQ(a >> 32 | b >> 32 | c >> 32 | d >> 32, 0);
	CHECK(a >= 0xd);
	/* What lies beyond the last leaf shows the last leaf. */
	top = cpuid((uint32_t)a, 0);
	beyond = cpuid(0x3fffffff, 0);
	CHECK_EQ(beyond.eax, top.eax);
	CHECK_EQ(beyond.ebx, top.ebx);
	beyond = cpuid(0xffffffff, 0);
	CHECK_EQ(beyond.edx, top.edx);
	a = cpuid(0x80000000, 0).eax;
	CHECK(a >= 0x80000008 && a < 0x80000020);
	CHECK_EQ(cpuid(0x80000008, 0).eax >> 8 & 0xff, 48);
}

static void osxsave(void)
{
	CHECK_EQ(cpuid(1, 0).ecx >> 27 & 1, 0);
	if (!(cpuid(1, 0).ecx >> 26 & 1))
		return;
	write_cr4(read_cr4() | CR4_OSXSAVE);
	CHECK_EQ(cpuid(1, 0).ecx >> 27 & 1, 1);
	CHECK_EQ(cpuid(13, 0).ebx, 576); /* XCR0 is x87 only */
	write_cr4(read_cr4() & ~(unsigned long)CR4_OSXSAVE);
	CHECK_EQ(cpuid(1, 0).ecx >> 27 & 1, 0);
}

static void in_user(void)
{
	cpuid(0, 0);
	USER_END();
}

void guest_main(void)
{
	hypervisor_leaves();
	hidden();
	forms();
	osxsave();
	CHECK_EQ(user_call(in_user, 0), USER_DONE);
}
