/*
 * A PC's interrupt controllers and the devices that interrupt, for test guests of any mode: each
 * interrupt is acknowledged, noted with where it came, and ended. It must not know how a hypervisor
 * delivers. Sources: the data sheets of 8259A, 8254, 8042, MC146818A.
 */
#pragma once

#include "cpu.h"

enum { IRQ_BASE = 0x20, IRQ_COUNT = 16, IRQ_NOTES = 64 };
enum { IRQ_TIMER = 0, IRQ_KEYBOARD = 1, IRQ_COM1 = 4, IRQ_SPURIOUS = 7, IRQ_RTC = 8 };

enum { PIC1 = 0x20, PIC2 = 0xa0, PIC_DATA = 1 };
enum { EOI = 0x20, EOI_SPECIFIC = 0x60, READ_IRR = 0x0a, READ_ISR = 0x0b };
enum { ICW4_8086 = 1, ICW4_AEOI = 2 };

enum { PIT_COUNTER0 = 0x40, PIT_COUNTER2 = 0x42, PIT_CONTROL = 0x43, PIT_SYSTEM = 0x61 };
enum { PIT_1000_HZ = 1193 };

enum { KBC_DATA = 0x60, KBC_COMMAND = 0x64, KBC_ECHO = 0xd2 };

enum { RTC_A = 0x0a, RTC_B = 0x0b, RTC_C = 0x0c };
enum { RTC_B_24H = 0x02, RTC_B_UIE = 0x10, RTC_B_PIE = 0x40 };
enum { RTC_C_UF = 0x10, RTC_C_PF = 0x40, RTC_C_IRQF = 0x80 };

/* What came since irq_forget: how many of each, and where the first ones came. */
static volatile unsigned irq_count[IRQ_COUNT], irq_total;
static volatile struct {
	unsigned irq;
	unsigned long rip, rflags;
} irq_note[IRQ_NOTES];
static volatile uint8_t irq_rtc_flags; /* register C, as last read */

/* Called in the handler, before EOI; false: it has done what is to be done. */
static bool (*volatile irq_handler)(unsigned irq);
/* Exceptions, which then have a hook of their own. */
static bool (*volatile irq_trap_hook)(struct trap_frame *f);

static inline void irq_forget(void)
{
	for (unsigned i = 0; i < IRQ_COUNT; i++)
		irq_count[i] = 0;
	irq_total = 0;
}

static inline uint8_t rtc_read(uint8_t reg)
{
	out8(0x70, reg);
	return in8(0x71);
}

static inline void rtc_write(uint8_t reg, uint8_t v)
{
	out8(0x70, reg);
	out8(0x71, v);
}

static inline void irq_eoi(unsigned irq)
{
	if (irq >= 8)
		out8(PIC2, EOI);
	out8(PIC1, EOI);
}

static inline uint8_t pic_read(uint16_t pic, uint8_t what)
{
	out8(pic, what);
	return in8(pic);
}

static inline bool irq_hook(struct trap_frame *f)
{
	unsigned irq = (unsigned)f->vector - IRQ_BASE;

	if (irq >= IRQ_COUNT)
		return irq_trap_hook && irq_trap_hook(f);
	if (irq_total < IRQ_NOTES) {
		irq_note[irq_total].irq = irq;
		irq_note[irq_total].rip = f->rip;
		irq_note[irq_total].rflags = f->rflags;
	}
	irq_total++;
	irq_count[irq]++;
	if (irq_handler && !irq_handler(irq))
		return true;
	if (irq == IRQ_KEYBOARD)
		(void)in8(KBC_DATA);
	if (irq == IRQ_RTC)
		irq_rtc_flags = rtc_read(RTC_C);
	irq_eoi(irq);
	return true;
}

/* Bit n: IRQ n is let through; the cascade always is. */
static inline void irq_unmask(unsigned irqs)
{
	out8(PIC1 + PIC_DATA, (uint8_t) ~(irqs | 4));
	out8(PIC2 + PIC_DATA, (uint8_t) ~(irqs >> 8));
}

static inline void pic_init(uint8_t icw4)
{
	out8(PIC1, 0x11);
	out8(PIC1 + PIC_DATA, IRQ_BASE);
	out8(PIC1 + PIC_DATA, 1 << 2);
	out8(PIC1 + PIC_DATA, icw4);
	out8(PIC2, 0x11);
	out8(PIC2 + PIC_DATA, IRQ_BASE + 8);
	out8(PIC2 + PIC_DATA, 2);
	out8(PIC2 + PIC_DATA, icw4);
}

static inline void irq_init(unsigned irqs)
{
	trap_hook = irq_hook;
	pic_init(ICW4_8086);
	irq_unmask(irqs);
	(void)in8(KBC_DATA);
	irq_forget();
}

/* IRQ1 at once: the keyboard controller gives a byte back. */
static inline void irq1_raise(void)
{
	out8(KBC_COMMAND, KBC_ECHO);
	out8(KBC_DATA, 0x5a);
}

static inline void pit_start(unsigned mode, uint16_t count)
{
	out8(PIT_CONTROL, (uint8_t)(0x30 | mode << 1));
	out8(PIT_COUNTER0, (uint8_t)count);
	out8(PIT_COUNTER0, (uint8_t)(count >> 8));
}

/* A mode without a count: no more ticks. */
static inline void pit_stop(void)
{
	out8(PIT_CONTROL, 0x30);
}

/* Without an exit. */
static inline void spin(uint32_t tsc_ticks)
{
	uint32_t start = (uint32_t)rdtsc();

	while ((uint32_t)rdtsc() - start < tsc_ticks)
		;
}

static inline uint32_t muldiv(uint32_t a, uint32_t b, uint32_t c)
{
	uint32_t lo, hi;

	__asm__("mull %3\n\tdivl %4" : "=&a"(lo), "=&d"(hi) : "0"(a), "r"(b), "r"(c) : "cc");
	return lo;
}

struct moment {
	uint32_t tsc;
	uint16_t count;
};

/* TSC and counter 2 of the PIT at the same time: the best of some tries, for others want the CPU.
 */
static inline struct moment moment_now(void)
{
	struct moment best = {0, 0};
	uint32_t least = ~0u;

	for (unsigned i = 0; i < 8; i++) {
		uint32_t tsc = (uint32_t)rdtsc(), spent;
		uint16_t count;

		out8(PIT_CONTROL, 0x80);
		spent = (uint32_t)rdtsc() - tsc;
		count = in8(PIT_COUNTER2);
		count |= (uint16_t)(in8(PIT_COUNTER2) << 8);
		if (spent < least) {
			least = spent;
			best = (struct moment){tsc + spent / 2, count};
		}
	}
	return best;
}

/* So many clocks of the PIT take so many ticks of the TSC. */
struct pit_rate {
	uint32_t clocks, tsc;
};

/* The fastest of some tries: in the others somebody else ran while the counter went round. */
static inline struct pit_rate pit_measure(void)
{
	struct pit_rate best = {1, ~0u};

	out8(PIT_SYSTEM, 1); /* counter 2 counts; no sound */
	out8(PIT_CONTROL, 0xb4);
	out8(PIT_COUNTER2, 0);
	out8(PIT_COUNTER2, 0);
	for (unsigned i = 0; i < 8; i++) {
		struct moment a = moment_now(), b;
		struct pit_rate rate;

		do
			b = moment_now();
		while ((uint16_t)(a.count - b.count) < 8000);
		rate = (struct pit_rate){(uint16_t)(a.count - b.count), b.tsc - a.tsc};
		if ((uint64_t)rate.tsc * best.clocks < (uint64_t)best.tsc * rate.clocks)
			best = rate;
	}
	return best;
}
