/*
 * Timer ticks in whatever mode: at 1000 Hz none is lost, none comes twice, and what they interrupt
 * goes on as if they had not. The loop makes no exits: the ticks have to end the stay in the guest.
 */
#pragma once

#include "irq.h"

/* A time at which no tick is owed: none has come for a while, nor has anybody else run. */
static uint32_t ticks_settled(uint32_t quiet, unsigned *count)
{
	for (;;) {
		uint32_t tsc = (uint32_t)rdtsc();

		*count = irq_count[IRQ_TIMER];
		spin(quiet);
		if (*count == irq_count[IRQ_TIMER] && (uint32_t)rdtsc() - tsc < 2 * quiet)
			return tsc;
	}
}

/* `sleep`: in HLT between the ticks. */
static void ticks_test(unsigned ticks, bool sleep)
{
	uint32_t start, end, x = 1, quiet, want;
	unsigned first, last, rounds = 0;
	struct pit_rate rate;

	irq_init(1 << IRQ_TIMER);
	rate = pit_measure();
	quiet = muldiv(rate.tsc, 120, rate.clocks); /* a tenth of a period */
	pit_start(2, PIT_1000_HZ);
	__asm__ volatile("sti");
	start = ticks_settled(quiet, &first);
	while (irq_count[IRQ_TIMER] - first < ticks) {
		if (sleep)
			__asm__ volatile("hlt" : : : "memory");
		x = x * 1664525 + 1013904223;
		rounds++;
	}
	end = ticks_settled(quiet, &last);
	__asm__ volatile("cli");
	pit_stop();

	want = muldiv(end - start, rate.clocks, rate.tsc) / PIT_1000_HZ;
	print("%u ticks, %u by the TSC\n", last - first, want);
	CHECK(last - first + 2 >= want && last - first <= want + 2);
	CHECK_EQ(irq_total, irq_count[IRQ_TIMER]);
	for (unsigned i = 0; i < IRQ_NOTES; i++)
		CHECK(irq_note[i].rflags & RFLAGS_IF);
	CHECK(sleep ? rounds <= last : rounds > last);
	for (; rounds; rounds--)
		x = (x - 1013904223) * 0xfee058c5; /* backwards */
	CHECK_EQ(x, 1);
}
