/*
 * SYSCALL and SYSRET, to 64-bit and to 32-bit code; SYSENTER and SYSEXIT; SWAPGS.
 */
#include "cpu.h"

static volatile uint64_t seen_rcx, seen_r11, seen_flags, seen_cs, seen_rip;
static uint8_t stack[1024] __attribute__((aligned(16)));
extern const uint8_t syscall_entry[], syscall_to32[], code32[], sysenter64[];

__asm__("syscall_entry:\n\t"
	"mov %rcx, seen_rcx\n\t"
	"mov %r11, seen_r11\n\t"
	"pushf\n\tpop seen_flags\n\t"
	"mov %cs, %rax\n\tmov %rax, seen_cs\n\t"
	"cpuid\n\t" /* leaves and comes back in between */
	"mov seen_rcx, %rcx\n\tmov seen_r11, %r11\n\t"
	"sysretq\n"
	"syscall_to32:\n\t"
	"mov $code32, %ecx\n\t"
	"sysretl\n"
	"code32:\n\t"
	".code32\n\t"
	"mov $0x3b, %eax\n\tmov %eax, %ds\n\t" /* null since IRET to ring 3 */
	"mov %cs, %eax\n\tmov %eax, seen_cs\n\t"
	"xor %eax, %eax\n\tcpuid\n\tmov %eax, seen_rcx\n\t"
	"int $0x40\n\t"
	".code64\n"
	"sysenter64:\n\t"
	"movq $0x64, seen_rip\n\t"
	"mov %r14, %rdx\n\tmov %r15, %rcx\n\t"
	"rex.w sysexit");

static void in_user(void)
{
	__asm__ volatile("std\n\tstc\n\tsyscall\n\tcld"
			 :
			 :
			 : "rax", "rbx", "rcx", "rdx", "r11", "memory");
	USER_END();
}

static void in_user_sysenter(void)
{
	__asm__ volatile("lea 1f, %%r14\n\tmov %%rsp, %%r15\n\tsysenter\n1:\tnop"
			 :
			 :
			 : "rcx", "rdx", "r14", "r15", "memory");
	USER_END();
}

static void enable(const uint8_t *entry)
{
	wrmsr(0xc0000081, 0x33ull << 48 | 0x08ull << 32);
	wrmsr(0xc0000082, (uint64_t)entry);
	wrmsr(0xc0000084, RFLAGS_DF | 1);
	wrmsr(MSR_EFER, rdmsr(MSR_EFER) | 1);
}

static void swapgs(void)
{
	uint64_t v;

	MEM64(0x100000) = 0xaaaa;
	MEM64(0x101000) = 0xbbbb;
	wrmsr(0xc0000101, 0x100000);
	wrmsr(0xc0000102, 0x101000);
	__asm__ volatile("mov %%gs:0, %0" : "=r"(v));
	CHECK_EQ(v, 0xaaaa);
	__asm__ volatile("swapgs\n\tmov %%gs:0, %0" : "=r"(v));
	CHECK_EQ(v, 0xbbbb);
	CHECK_EQ(rdmsr(0xc0000101), 0x101000);
	CHECK_EQ(rdmsr(0xc0000102), 0x100000);
	in8(TESTDEV);
	__asm__ volatile("swapgs\n\tmov %%gs:0, %0" : "=r"(v));
	CHECK_EQ(v, 0xaaaa);
	CHECK_EQ(rdmsr(0xc0000102), 0x101000);
}

void guest_main(void)
{
	enable(syscall_entry);
	CHECK_EQ(user_call(in_user, 0), USER_DONE);
	CHECK_EQ(seen_cs, 0x08);
	CHECK_EQ(seen_r11 & (RFLAGS_DF | 1), RFLAGS_DF | 1);
	CHECK_EQ(seen_flags & (RFLAGS_DF | 1), 0);
	CHECK(seen_rcx > (uint64_t)in_user && seen_rcx < (uint64_t)in_user + 64);
	enable(syscall_to32);
	CHECK_EQ(user_call(in_user, 0), USER_DONE);
	CHECK_EQ(seen_cs, 0x33);
	CHECK(seen_rcx >= 13);
	CHECK_EQ(TRY("sysretq", OUT(), IN("c"(1ul << 47), "r"(0)), "r11"),
		 GP); /* not canonical: in ring 0 */
	wrmsr(0x174, 0x08);
	wrmsr(0x175, (uint64_t)(stack + sizeof(stack)));
	wrmsr(0x176, (uint64_t)sysenter64);
	CHECK_EQ(user_call(in_user_sysenter, 0), USER_DONE);
	CHECK_EQ(seen_rip, 0x64);
	swapgs();
}
