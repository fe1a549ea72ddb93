/*
 * The instruction that accesses a device is the one that lies there now: after its bytes were
 * changed, after its page was exchanged, in another address space, in another mode.
 */
#include "cpu.h"

static uint64_t table[512] __attribute__((aligned(4096)));
static uint64_t other_pml4[512] __attribute__((aligned(4096)));
static uint64_t other_pdpt[512] __attribute__((aligned(4096)));
static uint64_t other_pd[512] __attribute__((aligned(4096)));
static uint64_t other_table[512] __attribute__((aligned(4096)));

#define HIGH 0x40000000ul
#define DEV  (TESTDEV_MEM + 0x80)
#define ONE  0x100000ul
#define TWO  0x101000ul

/* What the code there writes to the device: RAX is 1, RCX 2, RDX 3. */
static uint32_t run(uint64_t at)
{
	MEM32(DEV) = 0;
	__asm__ volatile("call *%0" : : "r"(at), "D"(DEV), "a"(1), "c"(2), "d"(3) : "memory", "cc");
	return MEM32(DEV);
}

static void put(uint64_t at, uint64_t bytes)
{
	MEM64(at) = bytes;
}

#define MOV_EAX 0xc30789ul	   /* mov %eax, (%rdi); ret */
#define MOV_ECX 0xc30f89ul	   /* mov %ecx, (%rdi); ret */
#define MOV_IMM 0xc30000007707c7ul /* movl $0x77, (%rdi); ret */
#define ADD_TWO 0xc317011701ul	   /* add %edx, (%rdi), twice; ret */
#define MOV_R8	0xc3078944ul	   /* mov %r8d, (%rdi); ret; in 32-bit code: inc %esp; mov */

static void patched(void)
{
	for (unsigned i = 0; i < 20; i++) {
		put(ONE, MOV_EAX);
		CHECK_EQ(run(ONE), 1);
		CHECK_EQ(run(ONE), 1);
		put(ONE, MOV_ECX);
		CHECK_EQ(run(ONE), 2);
		put(ONE, MOV_IMM);
		CHECK_EQ(run(ONE), 0x77);
		MEM8(ONE + 2) = 0x78;
		CHECK_EQ(run(ONE), 0x78);
		put(ONE, ADD_TWO);
		CHECK_EQ(run(ONE), 6);
		CHECK_EQ(run(ONE), 6);
	}
}

static void remapped(void)
{
	put(ONE, MOV_EAX);
	put(TWO, MOV_ECX);
	boot_pd[512] = (uint64_t)table + 7;
	table[0] = ONE + 7;
	write_cr3(read_cr3());
	CHECK_EQ(run(HIGH), 1);
	table[0] = TWO + 7;
	invlpg((void *)HIGH);
	CHECK_EQ(run(HIGH), 2);
	/* A page further up in the tables. */
	boot_pd[512] = 0x87;
	invlpg((void *)HIGH);
	put(ONE, MOV_IMM);
	CHECK_EQ(run(HIGH + ONE), 0x77);
}

static void address_spaces(void)
{
	uint64_t cr3 = read_cr3();

	boot_pd[512] = (uint64_t)table + 7;
	table[0] = ONE + 7;
	for (unsigned i = 0; i < 512; i++) {
		other_pml4[i] = boot_pml4[i];
		other_pdpt[i] = boot_pdpt[i];
	}
	other_pml4[0] = (uint64_t)other_pdpt + 7;
	other_pdpt[1] = (uint64_t)other_pd + 7;
	other_pd[0] = (uint64_t)other_table + 7;
	other_table[0] = TWO + 7;
	put(ONE, MOV_EAX);
	put(TWO, MOV_ECX);
	for (unsigned i = 0; i < 10; i++) {
		write_cr3(cr3);
		CHECK_EQ(run(HIGH), 1);
		write_cr3((uint64_t)other_pml4);
		CHECK_EQ(run(HIGH), 2);
	}
	write_cr3(cr3);
}

/* Across two pages, of which the second is exchanged. */
static void crossing(void)
{
	table[0] = ONE + 7;
	table[1] = TWO + 7;
	write_cr3(read_cr3());
	MEM8(ONE + 0xffe) = 0xc7; /* movl $imm, (%rdi) */
	MEM8(ONE + 0xfff) = 0x07;
	MEM64(TWO) = 0xc300001234ul;
	MEM64(TWO + 0x1000) = 0xc300005678ul;
	CHECK_EQ(run(HIGH + 0xffe), 0x1234);
	table[1] = TWO + 0x1000 + 7;
	invlpg((void *)(HIGH + 0x1000));
	CHECK_EQ(run(HIGH + 0xffe), 0x5678);
	CHECK_EQ(run(HIGH + 0xffe), 0x5678);
}

extern const uint8_t mode_call[];
static uint32_t far[2];

/* The same bytes at the same address as 32-bit code: 44h is no prefix there. */
__asm__("mode_call:\n\t"
	".code32\n\t"
	"mov $0x10, %ecx\n\tmov %ecx, %ds\n\tmov %ecx, %ss\n\t"
	"mov $0x100000, %ecx\n\tcall *%ecx\n\t"
	"ljmp $0x08, $mode_end\n\t"
	".code64\n\t"
	"mode_end:\n\tret");

static void modes(void)
{
	register uint64_t r8 __asm__("r8") = 8;

	put(ONE, MOV_R8);
	MEM32(DEV) = 0;
	__asm__ volatile("call *%0" : : "r"(ONE), "D"(DEV), "a"(1), "r"(r8) : "memory", "cc");
	CHECK_EQ(MEM32(DEV), 8);
	put(ONE, 0xc34c078944ul); /* inc %esp; mov %eax, (%edi); dec %esp; ret */
	far[0] = (uint32_t)(uint64_t)mode_call;
	far[1] = 0x18;
	__asm__ volatile("pushq $1f\n\tljmp *%0\n1:\t"
			 :
			 : "m"(far), "D"(DEV), "a"(5)
			 : "rcx", "memory", "cc");
	CHECK_EQ(MEM32(DEV), 5);
}

void guest_main(void)
{
	patched();
	remapped();
	address_spaces();
	crossing();
	modes();
}
