/*
 * NMIs, which the shell's command `nmi` sends: tests/integration/test_vm_nmi.py reads how many are
 * wanted in `PHASE: NUMBER`, and types a letter where one says `waits`. Nobody sends any: it
 * sleeps for ever. Source: Intel SDM Vol. 3A, "Nonmaskable Interrupt (NMI)", "Handling Multiple
 * NMIs".
 */
#include "irq.h"

enum { COM1 = 0x3f8, COM1_LSR = COM1 + 5, LSR_DATA = 1, NMI_NOTES = 16 };

static volatile unsigned nmi_count, breakpoints;
static volatile struct {
	unsigned long rip, rflags;
} nmi_note[NMI_NOTES];
static void (*volatile nmi_inside)(void);

static bool see_trap(struct trap_frame *f)
{
	if (f->vector == BP)
		breakpoints++;
	if (f->vector != NMI)
		return f->vector == BP;
	if (nmi_count < NMI_NOTES) {
		nmi_note[nmi_count].rip = f->rip;
		nmi_note[nmi_count].rflags = f->rflags;
	}
	nmi_count++;
	if (nmi_inside)
		nmi_inside();
	return true;
}

static void phase(const char *name, unsigned number)
{
	nmi_count = 0;
	irq_forget();
	print("%s: %u\n", name, number);
}

/* No more than that, also not after a while. */
static void phase_ends(unsigned number)
{
	spin(1000000);
	CHECK_EQ(nmi_count, number);
}

/* For the test, which has typed `nmi` some times by then. */
static void wait_for_letter(void)
{
	print("waits\n");
	while (!(in8(COM1_LSR) & LSR_DATA))
		spin(10000);
	(void)in8(COM1);
}

static void in_hlt(void)
{
	static volatile unsigned long at;

	phase("hlt", 1);
	__asm__ volatile("movq $770f, %0\n\tsti\n\thlt\n770:\tcli" : "=m"(at) : : "memory");
	CHECK_EQ(nmi_count, 1);
	CHECK_EQ(nmi_note[0].rip, at);
	CHECK(nmi_note[0].rflags & RFLAGS_IF);
	phase_ends(1);
}

/* Without an exit, with IF set. */
static void running(void)
{
	phase("running", 1);
	__asm__ volatile("sti");
	while (!nmi_count)
		;
	__asm__ volatile("cli");
	CHECK(nmi_note[0].rflags & RFLAGS_IF);
	phase_ends(1);
}

/* IF holds the interrupt back, not the NMI. */
static void with_if_clear(void)
{
	phase("cli", 1);
	irq1_raise();
	while (!nmi_count)
		;
	CHECK(!(nmi_note[0].rflags & RFLAGS_IF));
	CHECK_EQ(irq_total, 0);
	phase_ends(1);
	__asm__ volatile("sti\n\tnop\n\tnop\n\tcli" : : : "memory");
	CHECK_EQ(irq_total, 1);
	CHECK_EQ(nmi_count, 1);
}

static void blocked_inside(void)
{
	unsigned before = nmi_count;

	if (before > 1)
		return;
	wait_for_letter(); /* exits by the hundred */
	CHECK_EQ(nmi_count, before);
	(void)cpuid(0, 0);
	CHECK_EQ(nmi_count, before);
}

/* More of them in the handler: they are one, which comes with the IRET. */
static void in_handler(void)
{
	phase("handler", 1);
	nmi_inside = blocked_inside;
	while (!nmi_count)
		;
	CHECK_EQ(nmi_count, 2);
	CHECK_EQ(nmi_note[1].rip, nmi_note[0].rip);
	phase_ends(2);
	nmi_inside = NULL;
}

/* The IRET of another handler within that of an NMI lets the next one in. */
static void unblocked_inside(void)
{
	if (nmi_count > 1)
		return;
	wait_for_letter();
	CHECK_EQ(nmi_count, 1);
	__asm__ volatile("int3" : : : "memory");
	CHECK_EQ(breakpoints, 1);
	CHECK_EQ(nmi_count, 2);
}

static void by_inner_iret(void)
{
	phase("nested", 1);
	nmi_inside = unblocked_inside;
	while (!nmi_count)
		;
	phase_ends(2);
	nmi_inside = NULL;
}

/*
 * The shadow of MOV SS holds NMIs back, wherever they find the guest. STI's may, or may not. (In
 * Bochs 2.7 no kick finds the guest in a shadow: see windows.h.)
 */
static void under_mov_ss(void)
{
	static volatile unsigned long at;

	phase("shadow", 8);
	while (nmi_count < 8)
		__asm__ volatile(
			"movq $770f, %0\n\tmov %%ss, %%eax\n\tmov %%eax, %%ss\n770:\tnop\n\t"
			"mov %%eax, %%ss\n\tnop\n\tsti\n\tnop\n\tcli"
			: "=m"(at)
			:
			: "eax", "memory");
	for (unsigned i = 0; i < 8; i++) {
		CHECK(nmi_note[i].rip != at);
		CHECK(nmi_note[i].rip != at + 3);
	}
	phase_ends(8);
}

void guest_main(void)
{
	irq_init(1 << IRQ_KEYBOARD);
	irq_trap_hook = see_trap;
	in_hlt();
	running();
	with_if_clear();
	in_handler();
	by_inner_iret();
	under_mov_ss();
}
