/*
 * Single step (RFLAGS.TF) over instructions that exit: one #DB after each, with DR6.BS and RIP at
 * the next; in REP strings one after each item. And under the shadow of MOV SS.
 */
#include "cpu.h"

#define STEPS 32

static unsigned long seen[STEPS];
static unsigned count, without_bs;

static bool note(struct trap_frame *f)
{
	if (f->vector != DB)
		return false;
	if (count < STEPS)
		seen[count] = f->rip;
	count++;
	if (!(read_dr6() & 1 << 14))
		without_bs++;
	write_dr6(0xffff0ff0);
	return true;
}

/* Where the #DBs are expected, written by the code itself: labels. */
#define POINT(label) ".quad " #label "\n\t"

extern const unsigned long points[], points_end[], shadow_points[], shadow_points_end[];

static void compare(const unsigned long *want, const unsigned long *end)
{
	CHECK_EQ(count, end - want);
	for (unsigned i = 0; want + i < end && i < count; i++)
		CHECK_EQ(seen[i], want[i]);
	CHECK_EQ(without_bs, 0);
}

static void steps(void)
{
	count = 0;
	testdev_reset();
	__asm__ volatile("pushf\n\torq $0x100, (%%rsp)\n\tpopf\n\t"
			 "nop\n10:\t"
			 "xor %%eax, %%eax\n11:\t"
			 "cpuid\n12:\t"
			 "mov $0xe008, %%edx\n13:\t"
			 "in %%dx, %%al\n14:\t"
			 "out %%al, %%dx\n15:\t"
			 "mov $3, %%ecx\n16:\t"
			 "lea 0x100000, %%rsi\n17:\t"
			 "rep outsb\n18:\t"
			 "mov $0xfed10000, %%ebx\n19:\t"
			 "movl $7, (%%rbx)\n20:\t"
			 "addl $1, (%%rbx)\n21:\t"
			 "mov $0x277, %%ecx\n22:\t"
			 "rdmsr\n23:\t"
			 "mov $1, %%eax\n24:\t"
			 "vmcall\n25:\t"
			 "wbinvd\n26:\t"
			 "mov %%cr8, %%rax\n27:\t"
			 "pushf\n28:\tandq $~0x100, (%%rsp)\n29:\tpopf\n30:\tnop\n\t"
			 ".pushsection .rodata\n\t.globl points, points_end\n\t.balign 8\n"
			 "points:\t" POINT(10b) POINT(11b) POINT(12b) POINT(13b) POINT(14b) POINT(
				 15b) POINT(16b) POINT(17b) POINT(17b) POINT(17b) POINT(18b)
				 POINT(19b) POINT(20b) POINT(21b) POINT(22b) POINT(23b) POINT(24b)
					 POINT(25b) POINT(26b) POINT(27b) POINT(28b) POINT(29b)
						 POINT(30b) "points_end:\n\t.popsection"
			 :
			 :
			 : "rax", "rbx", "rcx", "rdx", "rsi", "memory", "cc");
	compare(points, points_end);
	CHECK_EQ(MEM32(TESTDEV_MEM), 8);
	CHECK_EQ(testdev_count(COUNT_STREAM_WRITES), 4);
}

/* After MOV to SS there is no #DB; it comes after the next instruction, emulated or not. */
static void shadow(void)
{
	count = 0;
	__asm__ volatile(
		"mov %%ss, %%r8d\n\t"
		"mov $0xe000, %%edx\n\t"
		"pushf\n\torq $0x100, (%%rsp)\n\tpopf\n\t"
		"mov %%r8d, %%ss\n\tcpuid\n40:\t"
		"mov %%r8d, %%ss\n\tnop\n41:\t"
		"mov $0xe000, %%edx\n42:\t"
		"mov %%r8d, %%ss\n\tin %%dx, %%al\n43:\t"
		"sti\n44:\tcpuid\n45:\tcli\n46:\t"
		"pushf\n47:\tandq $~0x100, (%%rsp)\n48:\tpopf\n49:\tnop\n\t"
		".pushsection .rodata\n\t.globl shadow_points, shadow_points_end\n\t.balign 8\n"
		"shadow_points:\t" POINT(40b) POINT(41b) POINT(42b) POINT(43b) POINT(44b) POINT(45b)
			POINT(46b) POINT(47b) POINT(48b)
				POINT(49b) "shadow_points_end:\n\t.popsection"
		:
		:
		: "rax", "rbx", "rcx", "rdx", "r8", "memory", "cc");
	compare(shadow_points, shadow_points_end);
}

/* An exception that CRVM raises instead of the instruction: no #DB for what did not happen. */
static void faults(void)
{
	unsigned vector;

	count = 0;
	trap.vector = NO_TRAP;
	__asm__ volatile("movq $1f, trap_resume\n\t"
			 "pushf\n\torq $0x100, (%%rsp)\n\tpopf\n\t"
			 "vmxoff\n1:"
			 :
			 :
			 : "memory", "cc");
	vector = trap.vector;
	CHECK_EQ(vector, UD);
	CHECK_EQ(count, 0);
}

void guest_main(void)
{
	trap_hook = note;
	write_dr6(0xffff0ff0);
	steps();
	shadow();
	faults();
}
