/*
 * PAE paging: the four top entries and when they are loaded, pages of 2 MiB, no-execute, reserved
 * bits.
 */
#include "cpu.h"

static uint64_t top[4] __attribute__((aligned(32)));
static uint64_t other_top[4] __attribute__((aligned(32)));
static uint64_t directory[4][512] __attribute__((aligned(4096)));
static uint64_t table[512] __attribute__((aligned(4096)));

#define HIGH 0xc0000000u

static void pages(void)
{
	uint32_t v;

	directory[3][0] = (uint32_t)table + 7;
	table[0] = 0x100000 + 7;
	table[1] = 0x101000 + 7 + (1ull << 63);
	table[2] = 0x102000 + 7 + (1ull << 51); /* beyond the physical address width */
	table[3] = TESTDEV_MEM + 7;
	write_cr3(read_cr3());
	MEM32(HIGH) = 0x90c3;
	CHECK_EQ(MEM32(0x100000), 0x90c3);
	MEM32(HIGH + 0x1000) = 0xc3; /* RET */
	trap.vector = NO_TRAP;
	__asm__ volatile(
		"movl $1f, trap_resume\n\tmov %%esp, %%ebx\n\tcall *%0\n1:\tmov %%ebx, %%esp"
		:
		: "r"(HIGH + 0x1000)
		: "memory", "ebx");
	CHECK_EQ(trap.vector, PF);
	CHECK_EQ(trap.error, 0x11);
	CHECK_EQ(trap.rip, HIGH + 0x1000);
	CHECK_EQ(TRY("mov (%1), %0", OUT("=r"(v)), IN("r"(HIGH + 0x2000))), PF);
	CHECK_EQ(trap.error, 9);
	MEM32(HIGH + 0x3044) = 0x7777;
	CHECK_EQ(MEM32(TESTDEV_MEM + 0x44), 0x7777);
}

static void top_entries(void)
{
	for (unsigned i = 0; i < 4; i++)
		other_top[i] = top[i];
	/* Reserved bits: #GP at MOV to CR3, and the old one stays. */
	other_top[2] |= 2;
	CHECK_EQ(try_cr3((uint32_t)other_top), GP);
	CHECK_EQ(read_cr3(), (uint32_t)top);
	other_top[2] = top[2] | 1ull << 52;
	CHECK_EQ(try_cr3((uint32_t)other_top), GP);
	/* Not present is no fault, until it is used. */
	other_top[2] = 0;
	CHECK_EQ(try_cr3((uint32_t)other_top), NO_TRAP);
	CHECK_EQ(TRY("mov (%0), %%ecx", OUT(), IN("r"(0x80000000)), "ecx"), PF);
	/* They are loaded at MOV to CR3 only: what memory holds meanwhile does not count. */
	other_top[2] = top[0];
	other_top[3] = 0;
	MEM32(HIGH) = 5;
	CHECK_EQ(TRY("mov (%0), %%ecx", OUT(), IN("r"(0x80000000)), "ecx"), PF);
	/* A change of CR0.CD or CR4.PGE loads them again. */
	write_cr0(read_cr0() | CR0_CD);
	CHECK_EQ(TRY("mov (%0), %%ecx", OUT(), IN("r"(0x80100000)), "ecx"), NO_TRAP);
	CHECK_EQ(TRY("mov (%0), %%ecx", OUT(), IN("r"(HIGH)), "ecx"), PF);
	write_cr0(read_cr0() & ~CR0_CD);
	other_top[3] = top[3];
	write_cr4(read_cr4() ^ CR4_PGE);
	CHECK_EQ(TRY("mov (%0), %%ecx", OUT(), IN("r"(HIGH)), "ecx"), NO_TRAP);
	other_top[1] |= 1ull << 63;
	CHECK_EQ(try_cr4(read_cr4() ^ CR4_PGE), GP);
	other_top[1] = top[1];
}

void guest_main(void)
{
	for (unsigned i = 0; i < 4; i++) {
		top[i] = (uint32_t)directory[i] + 1;
		for (unsigned j = 0; j < 512; j++)
			directory[i][j] = (uint64_t)i << 30 | j << 21 | 0x87;
	}
	wrmsr(MSR_EFER, 1u << 11); /* NXE */
	write_cr0(read_cr0() & ~(CR0_CD | CR0_NW));
	write_cr4(read_cr4() | CR4_PAE);
	write_cr3((uint32_t)top);
	write_cr0(read_cr0() | CR0_PG);
	CHECK_EQ(rdmsr(MSR_EFER), 1u << 11); /* not long mode */
	pages();
	top_entries();
	CHECK_EQ(try_wrmsr(MSR_EFER, 1u << 11 | 1u << 8), GP); /* LME with paging on */
	write_cr0(read_cr0() & ~CR0_PG);
	CHECK_EQ(MEM32(0x100000), 5);
}
