/*
 * The VMX instructions do not exist for guests: #UD in ring 0, and in ring 3.
 */
#include "cpu.h"

static uint64_t page[512] __attribute__((aligned(4096)));

#define IS_UD(insn, ...) CHECK_EQ(TRY(insn, OUT(), IN(__VA_ARGS__), "rax"), UD)

static void in_user(void)
{
	__asm__ volatile("vmxoff");
	USER_END();
}

void guest_main(void)
{
	uint64_t operand = (uint64_t)page;

	IS_UD("vmxon %0", "m"(operand));
	IS_UD("vmxoff");
	IS_UD("vmclear %0", "m"(operand));
	IS_UD("vmptrld %0", "m"(operand));
	IS_UD("vmptrst %0", "m"(operand));
	IS_UD("vmlaunch");
	IS_UD("vmresume");
	IS_UD("vmread %0, %1", "r"(0x6c14ul), "r"(0ul));
	IS_UD("vmwrite %0, %1", "r"(0ul), "r"(0x6c14ul));
	IS_UD("invept %0, %1", "m"(*(const char(*)[16])page), "r"(1ul));
	IS_UD("invvpid %0, %1", "m"(*(const char(*)[16])page), "r"(1ul));
	IS_UD("vmfunc");
	IS_UD("getsec");
	CHECK_EQ(user_call(in_user, 0), UD);
	CHECK_EQ(try_rdmsr(0x480), GP);
	CHECK_EQ(TRY("monitor", OUT(), IN("a"(page), "c"(0), "d"(0))), UD);
	CHECK_EQ(TRY("mwait", OUT(), IN("a"(0), "c"(0))), UD);
}
