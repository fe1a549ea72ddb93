/*
 * Instructions that CPUID does not show, and whose state or effect CRVM does not keep apart: #UD.
 */
#include "cpu.h"

static uint8_t area[4096] __attribute__((aligned(64)));

#define IS_UD(insn, ...) CHECK_EQ(TRY(insn, OUT(), IN(__VA_ARGS__), "rax", "rcx", "rdx"), UD)

void guest_main(void)
{
	write_cr4(read_cr4() | CR4_OSXSAVE | CR4_OSFXSR);
	CHECK_EQ(cpuid(7, 0).ebx >> 10 & 1, 0);
	IS_UD("invpcid (%0), %1", "r"(area), "r"(2ul));
	CHECK_EQ(cpuid(13, 1).eax >> 3 & 1, 0);
	IS_UD("xsaves (%0)", "r"(area));
	IS_UD("xrstors (%0)", "r"(area));
	CHECK_EQ(try_rdmsr(0xda0), GP); /* IA32_XSS */
	CHECK_EQ(cpuid(7, 0).ecx >> 5 & 1, 0);
	IS_UD(".byte 0xf3, 0x0f, 0xae, 0xf0"); /* UMONITOR */
	IS_UD(".byte 0x66, 0x0f, 0xae, 0xf1"); /* TPAUSE */
	IS_UD(".byte 0x0f, 0x01, 0xcf");       /* ENCLS */
	IS_UD(".byte 0x0f, 0x01, 0xee");       /* RDPKRU: CR4.PKE cannot be set */
	IS_UD(".byte 0x0f, 0x01, 0xd8");       /* VMRUN, of AMD */
	IS_UD(".byte 0x0f, 0x01, 0xd9");       /* VMMCALL, of AMD */
	IS_UD(".byte 0x0f, 0x04");
	/* What is shown works. */
	if (cpuid(1, 0).ecx >> 30 & 1)
		CHECK_EQ(TRY("rdrand %%rax", OUT(), IN(), "rax"), NO_TRAP);
	if (cpuid(1, 0).ecx >> 23 & 1)
		CHECK_EQ(TRY("popcnt %%rax, %%rax", OUT(), IN(), "rax"), NO_TRAP);
	if (cpuid(13, 1).eax & 1)
		CHECK_EQ(TRY("xsaveopt (%0)", OUT(), IN("r"(area), "a"(1), "d"(0))), NO_TRAP);
	if (cpuid(7, 0).ebx & 1) {
		write_cr4(read_cr4() | 1 << 16); /* FSGSBASE */
		CHECK_EQ(TRY("wrgsbase %0", OUT(), IN("r"(0x1234ul))), NO_TRAP);
		CHECK_EQ(rdmsr(0xc0000101), 0x1234);
	}
}
