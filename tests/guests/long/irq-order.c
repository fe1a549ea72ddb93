/*
 * Which interrupt comes first, which waits for an EOI, which for its mask: the two 8259A between
 * the devices and the CPU. Source: Intel 8259A data sheet, "Priority", "End of Interrupt", "Special
 * Mask Mode".
 */
#include "irq.h"

enum {
	ALL = 1 << IRQ_TIMER | 1 << IRQ_KEYBOARD | 1 << IRQ_COM1 | 1 << IRQ_SPURIOUS | 1 << IRQ_RTC
};
enum { COM1 = 0x3f8, COM1_IER = COM1 + 1, COM1_IIR = COM1 + 2, IER_THRE = 2 };

static void let_in(void)
{
	__asm__ volatile("sti\n\tnop\n\tnop\n\tcli" : : : "memory");
}

/* Waits, with IF clear, until both have a request in their chip. */
static void raise_timer_and_rtc(void)
{
	pit_start(0, 100);
	while (!(pic_read(PIC1, READ_IRR) & 1 << IRQ_TIMER))
		;
	(void)rtc_read(RTC_C);
	rtc_write(RTC_A, 0x26);
	rtc_write(RTC_B, RTC_B_24H | RTC_B_PIE);
	while (!(pic_read(PIC2, READ_IRR) & 1 << (IRQ_RTC - 8)))
		;
}

/* One RTC interrupt is enough. */
static bool rtc_once(unsigned irq)
{
	if (irq == IRQ_RTC)
		rtc_write(RTC_B, RTC_B_24H);
	return true;
}

static void com1_raise(void)
{
	out8(COM1_IER, 0);
	out8(COM1_IER, IER_THRE);
}

static void check_order(const uint8_t *want, unsigned count, int line)
{
	if (irq_total != count)
		check_failed("number of interrupts", "irq-order.c", line, irq_total, count);
	for (unsigned i = 0; i < count && i < irq_total; i++)
		if (irq_note[i].irq != want[i])
			check_failed("order", "irq-order.c", line, irq_note[i].irq, want[i]);
}
#define ORDER(...)                                             \
	do {                                                   \
		static const uint8_t order_[] = {__VA_ARGS__}; \
		check_order(order_, sizeof(order_), __LINE__); \
	} while (0)

static void by_priority(void)
{
	irq_init(ALL);
	irq_handler = rtc_once;
	com1_raise();
	irq1_raise();
	raise_timer_and_rtc();
	CHECK_EQ(irq_total, 0);
	let_in();
	ORDER(IRQ_TIMER, IRQ_KEYBOARD, IRQ_RTC, IRQ_COM1);
	for (unsigned i = 1; i < 4; i++) /* each by the window after the one before */
		CHECK_EQ(irq_note[i].rip, irq_note[0].rip);
	CHECK(irq_rtc_flags & RTC_C_PF);
	CHECK_EQ(pic_read(PIC1, READ_ISR) | pic_read(PIC2, READ_ISR), 0);
	/* The rest once more with IRQ1 as the lowest: 4, then 0, then 1. */
	irq_forget();
	out8(PIC1, 0xc1);
	irq1_raise();
	com1_raise();
	pit_start(0, 100);
	while (!(pic_read(PIC1, READ_IRR) & 1 << IRQ_TIMER))
		;
	let_in();
	ORDER(IRQ_COM1, IRQ_TIMER, IRQ_KEYBOARD);
	out8(PIC1, 0xc7);
	irq_handler = NULL;
}

static void by_mask(void)
{
	irq_init(0);
	irq1_raise();
	com1_raise();
	let_in();
	CHECK_EQ(irq_total, 0);
	__asm__ volatile("sti");
	irq_unmask(1 << IRQ_COM1); /* comes with the OUT */
	ORDER(IRQ_COM1);
	irq_unmask(1 << IRQ_KEYBOARD);
	ORDER(IRQ_COM1, IRQ_KEYBOARD);
	__asm__ volatile("cli");
}

static bool no_eoi(unsigned irq)
{
	if (irq == IRQ_KEYBOARD)
		(void)in8(KBC_DATA);
	(void)rtc_once(irq);
	if (irq == IRQ_RTC)
		(void)rtc_read(RTC_C);
	return false;
}

/* In service: of the same and of lower priority nothing comes, the higher ones do. */
static void by_eoi(void)
{
	irq_init(ALL);
	irq_handler = no_eoi;
	irq1_raise();
	let_in();
	ORDER(IRQ_KEYBOARD);
	CHECK_EQ(pic_read(PIC1, READ_ISR), 1 << IRQ_KEYBOARD);
	irq1_raise();
	com1_raise();
	raise_timer_and_rtc();
	let_in();
	ORDER(IRQ_KEYBOARD, IRQ_TIMER);
	CHECK_EQ(pic_read(PIC1, READ_ISR), 1 << IRQ_KEYBOARD | 1 << IRQ_TIMER);
	__asm__ volatile("sti");
	out8(PIC1, EOI_SPECIFIC | IRQ_KEYBOARD); /* of a lower one: nothing changes */
	ORDER(IRQ_KEYBOARD, IRQ_TIMER);
	out8(PIC1, EOI); /* the timer's: now IRQ1, again without EOI */
	ORDER(IRQ_KEYBOARD, IRQ_TIMER, IRQ_KEYBOARD);
	out8(PIC1, EOI);
	ORDER(IRQ_KEYBOARD, IRQ_TIMER, IRQ_KEYBOARD, IRQ_RTC);
	CHECK_EQ(pic_read(PIC2, READ_ISR), 1);
	out8(PIC2, EOI); /* the cascade is still in service at the master */
	CHECK_EQ(irq_total, 4);
	out8(PIC1, EOI);
	ORDER(IRQ_KEYBOARD, IRQ_TIMER, IRQ_KEYBOARD, IRQ_RTC, IRQ_COM1);
	out8(PIC1, EOI_SPECIFIC | IRQ_COM1);
	CHECK_EQ(pic_read(PIC1, READ_ISR) | pic_read(PIC2, READ_ISR), 0);
	__asm__ volatile("cli");
	irq_handler = NULL;
}

static void without_eoi(void)
{
	irq_init(ALL);
	pic_init(ICW4_8086 | ICW4_AEOI);
	irq_unmask(ALL);
	irq_handler = no_eoi;
	for (unsigned i = 0; i < 3; i++) {
		irq1_raise();
		let_in();
		CHECK_EQ(irq_total, i + 1);
		CHECK_EQ(pic_read(PIC1, READ_ISR), 0);
	}
	irq_handler = NULL;
}

/* In its own handler, with IF set, IRQ1 lets IRQ0 in and holds IRQ4 back. */
static bool nesting(unsigned irq)
{
	if (irq != IRQ_KEYBOARD)
		return true;
	com1_raise();
	pit_start(0, 10);
	__asm__ volatile("sti");
	while (!irq_count[IRQ_TIMER])
		;
	__asm__ volatile("cli");
	CHECK_EQ(irq_count[IRQ_COM1], 0);
	return true;
}

static void nested(void)
{
	irq_init(ALL);
	irq_handler = nesting;
	irq1_raise();
	let_in();
	ORDER(IRQ_KEYBOARD, IRQ_TIMER, IRQ_COM1);
	irq_handler = NULL;
}

/* A request that ends before the CPU has taken it is no interrupt, IRQ7 neither. */
static void withdrawn(void)
{
	irq_init(ALL);
	for (unsigned i = 0; i < 3; i++) {
		irq1_raise();
		spin(10000); /* the window has been asked for, time goes by */
		(void)in8(KBC_DATA);
		let_in();
		CHECK_EQ(irq_total, 0);
	}
	/* Behind one that stays: that one comes. */
	com1_raise();
	irq1_raise();
	(void)in8(KBC_DATA);
	let_in();
	ORDER(IRQ_COM1);
	/* The poll command with nothing to say: level 7, and no I bit. */
	CHECK_EQ(pic_read(PIC1, 0x0c), 7);
	irq1_raise();
	CHECK_EQ(pic_read(PIC1, 0x0c), 0x80 | IRQ_KEYBOARD);
	let_in(); /* it has been taken by that */
	CHECK_EQ(irq_total, 1);
	(void)in8(KBC_DATA);
	out8(PIC1, EOI);
}

void guest_main(void)
{
	by_priority();
	by_mask();
	by_eoi();
	without_eoi();
	nested();
	withdrawn();
	out8(COM1_IER, 0);
	(void)in8(COM1_IIR);
}
