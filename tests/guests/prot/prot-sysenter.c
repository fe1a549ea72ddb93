/*
 * SYSENTER and SYSEXIT of 32-bit code, with the MSRs that they use.
 */
#include "cpu.h"

static volatile uint32_t order, entry_sp;

void sysenter_c(void);
void sysenter_c(void)
{
	order = order * 10 + 2;
}

__asm__(".globl sysenter_entry\n"
	"sysenter_entry:\n\t"
	"mov %esp, entry_sp\n\t"
	"push %ecx\n\tpush %edx\n\t"
	"call sysenter_c\n\t"
	"pop %edx\n\tpop %ecx\n\t"
	"sysexit");
extern const uint8_t sysenter_entry[];

static void in_user(void)
{
	uint16_t cs;

	order = order * 10 + 1;
	__asm__ volatile("mov %%esp, %%ecx\n\tmov $1f, %%edx\n\tsysenter\n1:\tmov %%cs, %0"
			 : "=r"(cs)
			 :
			 : "ecx", "edx", "memory");
	order = order * 10 + (cs & 3);
	USER_END();
}

static uint8_t stack[1024] __attribute__((aligned(16)));

void guest_main(void)
{
	/* CS 18h, SS 20h; back to 28h + 3 and 30h + 3: their descriptors are not looked at. */
	wrmsr(0x174, 0x18);
	wrmsr(0x175, (uint32_t)(stack + sizeof(stack)));
	wrmsr(0x176, (uint32_t)sysenter_entry);
	CHECK_EQ(rdmsr(0x174), 0x18);
	CHECK_EQ(rdmsr(0x176), (uint32_t)sysenter_entry);
	CHECK_EQ(user_call(in_user, 0), USER_DONE);
	CHECK_EQ(order, 123);
	CHECK_EQ(entry_sp, (uint32_t)(stack + sizeof(stack)));
	wrmsr(0x174, 0);
	order = 0;
	CHECK_EQ(user_call(in_user, 0), GP); /* SYSENTER without CS */
	CHECK_EQ(order, 1);
}
