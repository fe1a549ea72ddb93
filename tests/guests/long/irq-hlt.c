/*
 * HLT: each kind of interrupt ends it, once, when its time has come; what is masked does not. A VM
 * that sleeps costs no exits: see its limits in cases.py.
 */
#include "irq.h"

enum { COM1_IER = 0x3f9, COM1_IIR = 0x3fa, IER_THRE = 2 };
enum { RTC_8_HZ = 13 };

static struct pit_rate rate;

/* Sleeps until one comes; how long, in clocks of the PIT. */
static uint32_t sleep_for(unsigned irq, unsigned number)
{
	uint32_t start = (uint32_t)rdtsc();

	irq_forget();
	__asm__ volatile("sti\n\thlt\n\tcli" : : : "memory");
	CHECK_EQ(irq_total, number);
	CHECK_EQ(irq_count[irq], number);
	return muldiv((uint32_t)rdtsc() - start, rate.clocks, rate.tsc);
}

static void by_pit(void)
{
	uint32_t slept;

	irq_init(1 << IRQ_TIMER);
	pit_start(0, 59659); /* 50 ms */
	slept = sleep_for(IRQ_TIMER, 1);
	CHECK(slept > 59000 && slept < 59659 + 40000); /* somebody else may have the CPU first */
	/* What waits already: no sleep at all. */
	pit_start(0, 10);
	while (!(pic_read(PIC1, READ_IRR) & 1))
		;
	CHECK(sleep_for(IRQ_TIMER, 1) < 40000);
}

static void by_rtc(void)
{
	irq_init(1 << IRQ_RTC);
	(void)rtc_read(RTC_C);
	rtc_write(RTC_A, 0x20 | RTC_8_HZ);
	rtc_write(RTC_B, RTC_B_24H | RTC_B_PIE);
	(void)sleep_for(IRQ_RTC, 1);
	for (unsigned i = 0; i < 3; i++) {
		uint32_t slept = sleep_for(IRQ_RTC, 1);

		CHECK(irq_rtc_flags & RTC_C_PF);
		CHECK(slept > 149148 - 40000 && slept < 149148 + 40000);
	}
	rtc_write(RTC_B, RTC_B_24H | RTC_B_UIE);
	(void)sleep_for(IRQ_RTC, 1);
	CHECK(irq_rtc_flags & RTC_C_UF);
	rtc_write(RTC_B, RTC_B_24H);
	rtc_write(RTC_A, 0x26);
}

/* A byte of the keyboard follows another one after a while. */
static void by_keyboard(void)
{
	irq_init(1 << IRQ_KEYBOARD);
	irq1_raise();
	(void)sleep_for(IRQ_KEYBOARD, 1);
	out8(KBC_DATA, 0xee); /* it answers with the same */
	CHECK(sleep_for(IRQ_KEYBOARD, 1) > 300);
}

static void by_com1(void)
{
	irq_init(1 << IRQ_COM1);
	out8(COM1_IER, IER_THRE);
	(void)sleep_for(IRQ_COM1, 1);
	(void)in8(COM1_IIR);
	out8(COM1_IER, 0);
}

/* The PIT's tick at 5 ms is masked: the RTC's ends the sleep. */
static void not_by_masked(void)
{
	irq_init(1 << IRQ_RTC);
	(void)rtc_read(RTC_C);
	rtc_write(RTC_A, 0x20 | RTC_8_HZ);
	rtc_write(RTC_B, RTC_B_24H | RTC_B_PIE);
	(void)sleep_for(IRQ_RTC, 1);
	pit_start(0, 5966);
	CHECK(sleep_for(IRQ_RTC, 1) > 149148 - 40000);
	rtc_write(RTC_B, RTC_B_24H);
	CHECK_EQ(pic_read(PIC1, READ_IRR) & 1, 1);
	irq_unmask(1 << IRQ_TIMER);
	CHECK(sleep_for(IRQ_TIMER, 1) < 40000);
}

void guest_main(void)
{
	irq_init(0);
	rate = pit_measure();
	by_pit();
	by_rtc();
	by_keyboard();
	by_com1();
	not_by_masked();
}
