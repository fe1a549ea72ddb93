/*
 * #NM, #MF, #XM and #UD of the FPU and SSE are the guest's own: CR0.TS, EM, NE and CR4.OSFXSR as it
 * set them.
 */
#include "cpu.h"

void guest_main(void)
{
	uint16_t word = 0x037e;		   /* #IA is not masked */
	uint32_t mxcsr = 0x1f80 & ~0x200u; /* division by zero is not */
	float zero = 0;

	write_cr0((read_cr0() & ~(unsigned long)(CR0_EM | CR0_TS)) | CR0_NE | CR0_MP);
	CHECK_EQ(TRY("movaps %%xmm0, %%xmm1", OUT(), IN()), UD); /* no OSFXSR */
	write_cr4(read_cr4() | CR4_OSFXSR);
	CHECK_EQ(TRY("movaps %%xmm0, %%xmm1", OUT(), IN()), NO_TRAP);
	write_cr0(read_cr0() | CR0_TS);
	CHECK_EQ(TRY("movaps %%xmm0, %%xmm1", OUT(), IN()), NM);
	CHECK_EQ(TRY("fld1", OUT(), IN()), NM);
	CHECK_EQ(TRY("fwait", OUT(), IN()), NM); /* with MP */
	in8(TESTDEV);
	CHECK_EQ(TRY("fld1", OUT(), IN()), NM);
	__asm__ volatile("clts");
	write_cr0(read_cr0() | CR0_EM);
	CHECK_EQ(TRY("fld1", OUT(), IN()), NM);
	CHECK_EQ(TRY("movaps %%xmm0, %%xmm1", OUT(), IN()), UD);
	write_cr0(read_cr0() & ~(unsigned long)CR0_EM);
	__asm__ volatile("fninit\n\tfldcw %0\n\tfldz\n\tfldz\n\tfdivp" : : "m"(word));
	cpuid(0, 0); /* the exception waits in the guest, not in the host */
	CHECK_EQ(TRY("fwait", OUT(), IN()), MF);
	__asm__ volatile("fnclex\n\tfninit");
	__asm__ volatile("ldmxcsr %0" : : "m"(mxcsr));
	__asm__ volatile("mov $0x3f800000, %%eax\n\tmovd %%eax, %%xmm0" : : : "rax");
	CHECK_EQ(TRY("divss %0, %%xmm0", OUT(), IN("m"(zero))), UD); /* no OSXMMEXCPT: #UD */
	write_cr4(read_cr4() | CR4_OSXMMEXCPT);
	CHECK_EQ(TRY("divss %0, %%xmm0", OUT(), IN("m"(zero))), XM);
	mxcsr = 0x1f80;
	__asm__ volatile("ldmxcsr %0" : : "m"(mxcsr));
}
