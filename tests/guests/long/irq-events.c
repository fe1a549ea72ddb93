/*
 * Interrupts together with other events: debug traps, exceptions that the hypervisor raises, page
 * faults at the very delivery. Each comes once, and none is lost but those that a CPU loses, too.
 * Source: Intel SDM Vol. 3A, "Priority Among Concurrent Events", "Interrupt 8 - Double Fault
 * Exception" (an interrupt is benign); Vol. 3C, "Delivery of Pending Debug Exceptions after VM
 * Entry".
 */
#include "irq.h"

#define PAGE ((volatile uint8_t *)0x200000)

static unsigned trap_count[32], trap_order, first_trap, last_trap_rip_of[32];
static volatile unsigned long resume_at;

/* Exceptions: counted, with how many interrupts came before the last one of a kind. */
static bool see_trap(struct trap_frame *f)
{
	unsigned vector = (unsigned)f->vector;

	if (vector >= 32)
		return false;
	trap_count[vector]++;
	last_trap_rip_of[vector] = (unsigned)f->rip;
	if (!first_trap)
		first_trap = vector;
	trap_order = irq_total;
	if (vector == DB)
		f->rflags &= ~(unsigned long)RFLAGS_TF;
	if (vector == PF)
		boot_pd[1] |= 1;
	if (vector == GP || vector == UD)
		f->rip = resume_at;
	return true;
}

static void begin(void)
{
	irq_init(1 << IRQ_KEYBOARD | 1 << IRQ_TIMER);
	irq_trap_hook = see_trap;
	for (unsigned i = 0; i < 32; i++)
		trap_count[i] = 0;
	first_trap = 0;
}

/*
 * The trap of a single step over the OUT that raises IRQ1 comes first, then the interrupt: a VM
 * entry that injected the interrupt right away would drop the trap.
 */
static void step_and_interrupt(void)
{
	static volatile unsigned long at;

	begin();
	out8(KBC_COMMAND, KBC_ECHO);
	__asm__ volatile("movq $770f, %0\n\tpushf\n\torl $0x300, (%%rsp)\n\tpopf\n\t"
			 "out %%al, $0x60\n770:\tnop\n\tnop\n\tcli"
			 : "=m"(at)
			 :
			 : "memory", "cc");
	CHECK_EQ(trap_count[DB], 1);
	CHECK_EQ(last_trap_rip_of[DB], at);
	CHECK_EQ(irq_total, 1);
	CHECK_EQ(irq_note[0].rip, at);
	CHECK_EQ(trap_order, 0); /* when the trap came, no interrupt had */
	write_dr6(0xffff0ff0);
}

/* A data breakpoint hit under MOV SS is held back; the emulated instruction after it ends that. */
static void data_breakpoint_and_interrupt(void)
{
	static volatile uint32_t ss;
	static volatile unsigned long at;

	begin();
	ss = 0x10;
	write_dr0((unsigned long)&ss);
	write_dr7(0x400 | 2 | 0xful << 16);
	out8(KBC_COMMAND, KBC_ECHO);
	__asm__ volatile(
		"movq $770f, %0\n\tsti\n\tnop\n\tmov %1, %%ss\n\tout %%al, $0x60\n770:\tnop\n\t"
		"nop\n\tcli"
		: "=m"(at)
		: "m"(ss)
		: "memory");
	write_dr7(0x400);
	CHECK_EQ(trap_count[DB], 1);
	CHECK_EQ(irq_total, 1);
	CHECK_EQ(irq_note[0].rip, at);
	write_dr6(0xffff0ff0);
}

/* Held back by MOV SS until behind HLT, it ends that at once; no interrupt comes. */
static void data_breakpoint_and_hlt(void)
{
	static volatile uint32_t ss;
	static volatile unsigned long at;

	begin();
	ss = 0x10;
	write_dr0((unsigned long)&ss);
	write_dr7(0x400 | 2 | 0xful << 16);
	__asm__ volatile("movq $770f, %0\n\tsti\n\tnop\n\tmov %1, %%ss\n\thlt\n770:\tnop\n\tcli"
			 : "=m"(at)
			 : "m"(ss)
			 : "memory");
	write_dr7(0x400);
	CHECK_EQ(trap_count[DB], 1);
	CHECK_EQ(last_trap_rip_of[DB], at);
	write_dr6(0xffff0ff0);
}

/* An exception of an emulated instruction, with an interrupt that waits for the end of STI's
 * shadow. */
static void exception_and_interrupt(void)
{
	begin();
	irq1_raise();
	__asm__ volatile(
		"movq $770f, %0\n\tmov $0x12345, %%ecx\n\tsti\n\trdmsr\n770:\tnop\n\tnop\n\tcli"
		: "=m"(resume_at)
		:
		: "eax", "ecx", "edx", "memory");
	CHECK_EQ(trap_count[GP], 1);
	CHECK_EQ(irq_total, 1);
	CHECK_EQ(irq_note[0].rip, resume_at);
	CHECK_EQ(trap_order, 0);
}

/*
 * The first item of the string raises IRQ1, the second one faults: both are there, each once, and
 * the string is finished. A CPU may take the interrupt between the two as well.
 */
static void string_and_interrupt(void)
{
	const volatile uint8_t *from = PAGE - 1;
	unsigned long count = 2;

	begin();
	PAGE[-1] = 0x5a;
	PAGE[0] = 0x5a;
	boot_pd[1] &= ~1ull;
	invlpg(PAGE);
	out8(KBC_COMMAND, KBC_ECHO);
	__asm__ volatile("sti\n\tnop\n\trep outsb\n\tnop\n\tcli"
			 : "+S"(from), "+c"(count)
			 : "d"(KBC_DATA)
			 : "memory");
	CHECK_EQ(trap_count[PF], 1);
	CHECK_EQ(trap.cr2 == (unsigned long)PAGE || irq_total, 1);
	CHECK(irq_count[IRQ_KEYBOARD] >= 1); /* the keyboard may have answered the second byte */
	CHECK_EQ(count, 0);
	CHECK_EQ((unsigned long)from, (unsigned long)PAGE + 1);
	spin(1000000);
	(void)in8(KBC_DATA);
}

/* Ticks in long strings to and from devices: interrupted and gone on with, to the last item. */
static void strings_and_ticks(void)
{
	static uint8_t out[4000], in[4000];
	unsigned rounds = 0, wrong = 0;

	begin();
	for (unsigned i = 0; i < sizeof(out); i++)
		out[i] = (uint8_t)(i * 7 + 1);
	pit_start(2, PIT_1000_HZ);
	__asm__ volatile("sti");
	while (irq_count[IRQ_TIMER] < 30) {
		const void *from = out;
		void *to = in;
		unsigned long n = sizeof(out);
		uint32_t sum = 0;

		testdev_reset();
		__asm__ volatile("rep outsb"
				 : "+S"(from), "+c"(n)
				 : "d"(TESTDEV_PORT_STREAM)
				 : "memory");
		CHECK_EQ(n, 0);
		CHECK_EQ(testdev_count(COUNT_STREAM_WRITES), sizeof(out));
		for (unsigned i = 0; i < sizeof(out); i++)
			sum += out[i];
		CHECK_EQ(testdev_count(COUNT_SUM), sum);
		n = sizeof(in);
		__asm__ volatile("rep insb"
				 : "+D"(to), "+c"(n)
				 : "d"(TESTDEV_PORT_STREAM)
				 : "memory");
		CHECK_EQ((uintptr_t)to, (uintptr_t)in + sizeof(in));
		CHECK_EQ(testdev_count(COUNT_STREAM_READS), sizeof(in));
		for (unsigned i = 0; i < sizeof(in); i++)
			wrong += in[i] != (uint8_t)i;
		rounds++;
	}
	__asm__ volatile("cli");
	pit_stop();
	CHECK(rounds > 1);
	CHECK_EQ(wrong, 0);
}

static void in_ring_3(void)
{
	while (irq_count[IRQ_TIMER] < 20)
		;
	USER_END();
}

/* From ring 3, to the stack that the TSS names, and back. */
static void ring_3_and_ticks(void)
{
	begin();
	pit_start(2, PIT_1000_HZ);
	CHECK_EQ(user_call(in_ring_3, RFLAGS_IF), USER_DONE);
	pit_stop();
	CHECK(irq_total >= 20);
	for (unsigned i = 0; i < 20; i++)
		CHECK(irq_note[i].rip >= (unsigned long)in_ring_3 &&
		      irq_note[i].rip < (unsigned long)in_ring_3 + 64);
}

/* The handler's page is not there: its page fault comes behind the interrupt, in its context. */
static void handler_faults(void)
{
	extern const uint8_t trap_stubs[];
	static const uint8_t jump[] = {0xff, 0x25, 0, 0, 0, 0}; /* jmp *0(%rip) */
	unsigned long to = (unsigned long)(trap_stubs + 16 * (IRQ_BASE + IRQ_KEYBOARD));

	begin();
	for (unsigned i = 0; i < sizeof(jump); i++)
		PAGE[i] = jump[i];
	*(volatile unsigned long *)(PAGE + sizeof(jump)) = to;
	boot_pd[1] &= ~1ull;
	invlpg(PAGE);
	idt_set(IRQ_BASE + IRQ_KEYBOARD, (unsigned long)PAGE, 0x8e);
	irq1_raise();
	__asm__ volatile("sti\n\tnop\n\tnop\n\tcli" : : : "memory");
	CHECK_EQ(trap_count[PF], 1);
	CHECK_EQ(last_trap_rip_of[PF], (unsigned long)PAGE);
	CHECK_EQ(irq_total, 1);
	idt_set(IRQ_BASE + IRQ_KEYBOARD, to, 0x8e);
}

/*
 * The gate itself is bad: the fault is delivered in place of the interrupt, which is gone, as the
 * controller has given its vector away; it is in service until EOI and does not come again.
 */
static void gate_faults(void)
{
	extern const uint8_t trap_stubs[];

	begin();
	idt_set(IRQ_BASE + IRQ_KEYBOARD, 0x1000, 0x0e); /* not present: #NP */
	irq1_raise();
	__asm__ volatile("sti\n\tnop\n\tnop\n\tcli" : : : "memory");
	CHECK_EQ(trap_count[NP], 1);
	CHECK_EQ(trap.error, (IRQ_BASE + IRQ_KEYBOARD) * 8 + 3); /* IDT, EXT */
	CHECK_EQ(irq_total, 0);
	CHECK_EQ(pic_read(PIC1, READ_ISR), 1 << IRQ_KEYBOARD);
	idt_set(IRQ_BASE + IRQ_KEYBOARD,
		(unsigned long)(trap_stubs + 16 * (IRQ_BASE + IRQ_KEYBOARD)), 0x8e);
	(void)in8(KBC_DATA);
	out8(PIC1, EOI);
	__asm__ volatile("sti\n\tnop\n\tnop\n\tcli" : : : "memory");
	CHECK_EQ(irq_total, 0);
	irq1_raise();
	__asm__ volatile("sti\n\tnop\n\tnop\n\tcli" : : : "memory");
	CHECK_EQ(irq_total, 1);
}

void guest_main(void)
{
	step_and_interrupt();
	data_breakpoint_and_interrupt();
	data_breakpoint_and_hlt();
	exception_and_interrupt();
	string_and_interrupt();
	strings_and_ticks();
	ring_3_and_ticks();
	handler_faults();
	gate_faults();
}
