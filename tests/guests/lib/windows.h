/*
 * Where an interrupt comes that waited for IF, for the end of a shadow, or for HLT, in whatever
 * mode: the very instruction. Source: Intel SDM Vol. 2, "STI", "MOV", "POP"; Vol. 3A, "Masking
 * Maskable Hardware Interrupts", "Masking Exceptions and Interrupts When Switching Stacks".
 */
#pragma once

#include "irq.h"

#if GUEST_BITS == 64
#define TO_FLAGS(set) "pushf\n\torl $" set ", (%%rsp)\n\tpopf\n"
#define IRET_770                                                                       \
	"mov %%rsp, %%rcx\n\tmov %%ss, %%eax\n\tpush %%rax\n\tpush %%rcx\n\tpushf\n\t" \
	"orl $0x200, (%%rsp)\n\tmov %%cs, %%eax\n\tpush %%rax\n\tpushq $770f\n\tiretq\n"
#elif GUEST_BITS == 32
#define TO_FLAGS(set) "pushf\n\torl $" set ", (%%esp)\n\tpopf\n"
#define IRET_770      "pushf\n\torl $0x200, (%%esp)\n\tpushl %%cs\n\tpushl $770f\n\tiret\n"
#else
#define TO_FLAGS(set) "pushfw\n\tpopw %%ax\n\tor $" set ", %%ax\n\tpushw %%ax\n\tpopfw\n"
#define IRET_770                                                                       \
	"pushfw\n\tpopw %%ax\n\tor $0x200, %%ax\n\tpushw %%ax\n\tpushw %%cs\n\tpushw " \
	"$770f\n\tiretw\n"
#endif

static volatile unsigned long window_at;

/* With IRQ1 raised and IF clear: it comes once, before the instruction at 770. */
#define WINDOW(insns, ...)                                                                     \
	do {                                                                                   \
		irq_forget();                                                                  \
		irq1_raise();                                                                  \
		__asm__ volatile("mov" W " $770f, window_at\n\t" insns "\n\tnop\n\tnop\n\tcli" \
				 :                                                             \
				 : "d"(TESTDEV)                                                \
				 : "eax", "ebx", "ecx", "memory", "cc");                       \
		window_check(__LINE__);                                                        \
	} while (0)

static void window_check(int line)
{
	if (irq_total != 1 || irq_note[0].irq != IRQ_KEYBOARD)
		check_failed("one IRQ1", "windows.h", line, irq_total, 1);
	else if (irq_note[0].rip != window_at)
		check_failed("where IRQ1 comes", "windows.h", line, irq_note[0].rip, window_at);
	if (!(irq_note[0].rflags & RFLAGS_IF))
		check_failed("IF where IRQ1 comes", "windows.h", line, irq_note[0].rflags, 0);
}

static void windows_of_if(void)
{
	WINDOW("sti\n\tnop\n770:");
	WINDOW("sti\n\tmov %%eax, %%ebx\n770:");
	WINDOW(TO_FLAGS("0x200") "770:");
	WINDOW(IRET_770 "770:");
	WINDOW("sti\n\tsti\n770:");
}

/* The shadow ends with an instruction that the hypervisor emulates, too. */
static void windows_behind_exits(void)
{
	WINDOW("sti\n\tout %%al, %%dx\n770:");
	WINDOW("sti\n\tin %%dx, %%al\n770:");
	WINDOW("xor %%eax, %%eax\n\tsti\n\tcpuid\n770:");
	WINDOW("mov $1, %%eax\n\tsti\n\tcpuid\n770:");
	WINDOW("mov $0x277, %%ecx\n\tsti\n\trdmsr\n770:");
	WINDOW("sti\n\twbinvd\n770:");
	WINDOW("sti\n\thlt\n770:");
#if GUEST_BITS == 64
	WINDOW("xor %%eax, %%eax\n\tsti\n\tvmcall\n770:");
	WINDOW("mov $0xfed10000, %%ebx\n\tsti\n\tmov %%eax, (%%rbx)\n770:");
	WINDOW("mov $0xfed10000, %%ebx\n\tsti\n\tmov (%%rbx), %%eax\n770:");
#endif
}

/* Raised by an instruction, with IF set: it comes behind that one. */
static void windows_raised(void)
{
#define RAISED(before)                                                                     \
	do {                                                                               \
		irq_forget();                                                              \
		out8(KBC_COMMAND, KBC_ECHO);                                               \
		__asm__ volatile("mov" W " $770f, window_at\n\tmov %%ss, %%ecx\n\t" before \
				 "\n\tout %%al, $0x60\n770:\tnop\n\tnop\n\tcli"            \
				 :                                                         \
				 :                                                         \
				 : "eax", "ecx", "memory", "cc");                          \
		window_check(__LINE__);                                                    \
	} while (0)
	RAISED("sti\n\tnop");
	RAISED("sti");
	RAISED("sti\n\tnop\n\tmov %%ecx, %%ss");
#undef RAISED
}

#define UNDER_CLI(insns) __asm__ volatile(insns "\n\tcli" : : : "eax", "memory", "cc")

static void windows_that_close(void)
{
	irq_forget();
	irq1_raise();
	UNDER_CLI("sti");
	CHECK_EQ(irq_total, 0);
	UNDER_CLI("sti\n\tcli\n\tnop\n\tsti");
	CHECK_EQ(irq_total, 0);
	/* Masked, or gone, before anybody takes it: nothing comes, no spurious one either. */
	irq_unmask(0);
	UNDER_CLI("sti\n\tnop\n\tnop");
	CHECK_EQ(irq_total, 0);
	irq_unmask(1 << IRQ_KEYBOARD | 1 << IRQ_SPURIOUS);
	CHECK_EQ(pic_read(PIC1, READ_IRR), 1 << IRQ_KEYBOARD);
	(void)in8(KBC_DATA);
	CHECK_EQ(pic_read(PIC1, READ_IRR), 0);
	UNDER_CLI("sti\n\tnop\n\tnop");
	CHECK_EQ(irq_total, 0);
	WINDOW("sti\n\tnop\n770:");
}

/* So many ticks at 1000 Hz come while the instructions run again and again; they are in irq_note.
 */
#define WHILE_TICKS(insns)                                                                    \
	do {                                                                                  \
		irq_forget();                                                                 \
		irq_unmask(1 << IRQ_TIMER);                                                   \
		pit_start(2, PIT_1000_HZ);                                                    \
		while (irq_total < WINDOW_TICKS)                                              \
			__asm__ volatile("mov" W                                              \
					 " $770f, window_at\n\tmov $100, %%ecx\n771:\t" insns \
					 "\n\tdec %%ecx\n\tjnz 771b\n\tcli"                   \
					 :                                                    \
					 :                                                    \
					 : "eax", "ecx", "memory", "cc");                     \
		pit_stop();                                                                   \
		irq_unmask(1 << IRQ_KEYBOARD | 1 << IRQ_SPURIOUS);                            \
	} while (0)
enum { WINDOW_TICKS = 40 };

static unsigned ticks_at_770(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < WINDOW_TICKS; i++)
		n += irq_note[i].rip == window_at;
	return n;
}

static void windows_and_ticks(void)
{
	/*
	 * The host's timer ends the stay in the guest at any instruction, in a shadow too.
	 * (Bochs 2.7 does not do that in a shadow: there, it is the CPU itself that waits.)
	 */
	WHILE_TICKS("sti\n\tmov %%ss, %%eax\n\tmov %%eax, %%ss\n770:\tnop");
	CHECK_EQ(ticks_at_770(), 0);
#if GUEST_BITS != 64
	WHILE_TICKS("sti\n\tpushl %%ss\n\tpopl %%ss\n770:\tnop");
	CHECK_EQ(ticks_at_770(), 0);
#endif
	WHILE_TICKS("sti\n\tnop\n770:\tcli");
	CHECK_EQ(ticks_at_770(), WINDOW_TICKS);
	/* What falls asleep here without a wake-up sleeps for ever. */
	WHILE_TICKS("sti\n\thlt\n770:\tcli");
	CHECK_EQ(ticks_at_770(), WINDOW_TICKS);
}

/* Ticks of a time with IF clear are owed, and come one after the other. */
static void windows_after_long(void)
{
	struct pit_rate rate = pit_measure();
	uint32_t period = muldiv(rate.tsc, PIT_1000_HZ, rate.clocks);
	unsigned before;

	irq_forget();
	irq_unmask(1 << IRQ_TIMER);
	pit_start(2, PIT_1000_HZ);
	spin(5 * period + period / 2);
	CHECK_EQ(irq_total, 0);
	CHECK_EQ(pic_read(PIC1, READ_IRR) & 1 << IRQ_TIMER, 1 << IRQ_TIMER);
	__asm__ volatile("mov" W " $770f, window_at\n\tsti\n\tnop\n770:\tnop\n\tnop\n\tcli"
			 :
			 :
			 : "memory");
	before = irq_total;
	pit_stop();
	CHECK(before >= 5);
	CHECK_EQ(ticks_at_770() >= 5, 1);
	irq_unmask(1 << IRQ_KEYBOARD | 1 << IRQ_SPURIOUS);
}

static void windows_test(void)
{
	irq_init(1 << IRQ_KEYBOARD | 1 << IRQ_SPURIOUS);
	windows_of_if();
	windows_behind_exits();
	windows_raised();
	windows_that_close();
	windows_and_ticks();
	windows_after_long();
}
