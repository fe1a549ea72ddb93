/*
 * A page fault in the middle of REP INS and OUTS: what was done before it counts, the registers
 * say so, and after mending the page the instruction goes on.
 */
#include "cpu.h"

static uint64_t table[512] __attribute__((aligned(4096)));

#define BASE   0x40000000ul /* where the table's pages are */
#define FRAMES 0x100000ul
#define PORT   "d"(TESTDEV_PORT_STREAM)

static uint64_t fault_di, fault_cx, fault_cr2, fault_error;

/* Makes the page present and writable, and goes on. */
static bool mend(struct trap_frame *f)
{
	unsigned long page = read_cr2() >> 12 & 511;

	if (f->vector != PF)
		return false;
	fault_di = f->rdi;
	fault_cx = f->rcx;
	fault_cr2 = read_cr2();
	fault_error = f->error;
	table[page] = (FRAMES + 4096 * page) | 7;
	return true;
}

static void setup(void)
{
	boot_pdpt[1] = (uint64_t)boot_pd + 4096 + 7;
	boot_pd[512] = (uint64_t)table + 7;
	for (unsigned i = 0; i < 512; i++)
		table[i] = 0;
	table[0] = FRAMES | 7;
	write_cr3(read_cr3());
}

static void ins_fault(void)
{
	uint64_t di = BASE + 0x1000 - 12, cx = 10;

	setup();
	testdev_reset();
	CHECK_EQ(TRY("rep insl", OUT("+D"(di), "+c"(cx)), IN(PORT)), PF);
	CHECK_EQ(trap.cr2, BASE + 0x1000);
	CHECK_EQ(trap.error, 2);
	CHECK_EQ(di, BASE + 0x1000);
	CHECK_EQ(cx, 7);
	CHECK(trap.rflags & RFLAGS_RF);
	CHECK_EQ(testdev_count(COUNT_STREAM_READS), 3);
	trap_hook = mend;
	__asm__ volatile("rep insl" : "+D"(di), "+c"(cx) : PORT : "memory");
	trap_hook = NULL;
	CHECK_EQ(cx, 0);
	CHECK_EQ(fault_cx, 7);
	for (unsigned i = 0; i < 10; i++)
		CHECK_EQ(MEM32(FRAMES + 0x1000 - 12 + 4ul * i), i);
	CHECK_EQ(testdev_count(COUNT_STREAM_READS), 10);
}

/* An item that crosses into the bad page: nothing of it moves, and CR2 is the page's begin. */
static void crossing(void)
{
	uint64_t di = BASE + 0x1000 - 6, cx = 3;

	setup();
	testdev_reset();
	MEM16(FRAMES + 0xffe) = 0x5555;
	trap_hook = mend;
	__asm__ volatile("rep insl" : "+D"(di), "+c"(cx) : PORT : "memory");
	trap_hook = NULL;
	CHECK_EQ(fault_cr2, BASE + 0x1000);
	CHECK_EQ(fault_di, BASE + 0xffe);
	CHECK_EQ(fault_cx, 2);
	CHECK_EQ(testdev_count(COUNT_STREAM_READS), 3);
	CHECK_EQ(MEM32(FRAMES + 0xffe), 1);
	CHECK_EQ(MEM32(FRAMES + 0x1002), 2);
}

static void outs_fault(void)
{
	uint64_t si = BASE + 0xffe, cx = 4;

	setup();
	testdev_reset();
	MEM16(FRAMES + 0xffe) = 0x0102;
	CHECK_EQ(TRY("rep outsb", OUT("+S"(si), "+c"(cx)), IN(PORT)), PF);
	CHECK_EQ(trap.error, 0);
	CHECK_EQ(si, BASE + 0x1000);
	CHECK_EQ(cx, 2);
	CHECK_EQ(testdev_count(COUNT_SUM), 3);
	/* Read-only is enough for OUTS, not for INS (CR0.WP). */
	table[1] = (FRAMES + 0x1000) | 1;
	write_cr0(read_cr0() | CR0_WP);
	CHECK_EQ(TRY("rep outsb", OUT("+S"(si), "+c"(cx)), IN(PORT)), NO_TRAP);
	si = BASE + 0x1000, cx = 1;
	CHECK_EQ(TRY("rep insb", OUT("+D"(si), "+c"(cx)), IN(PORT)), PF);
	CHECK_EQ(trap.error, 3);
	write_cr0(read_cr0() & ~(unsigned long)CR0_WP);
	CHECK_EQ(TRY("rep insb", OUT("+D"(si), "+c"(cx)), IN(PORT)), NO_TRAP);
	CHECK_EQ(table[1] & 0x60, 0x60); /* accessed and dirty */
}

static void in_user(void)
{
	__asm__ volatile("insb" : : "D"(BASE + 0x2000), PORT : "memory");
	USER_END();
}

void guest_main(void)
{
	ins_fault();
	crossing();
	outs_fault();
	table[2] = (FRAMES + 0x2000) | 3; /* not for users */
	CHECK_EQ(user_call(in_user, RFLAGS_IOPL), PF);
	CHECK_EQ(trap.error, 7);
	CHECK_EQ(trap.cr2, BASE + 0x2000);
}
