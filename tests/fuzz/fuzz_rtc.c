/*
 * Random use of the RTC, twice: one is left alone between accesses, the other gets its alarms, and
 * calls in between that it did not ask for. They must agree in all that a guest can see.
 * needs: devices/rtc.c lib/date.c
 *
 * The input is a list of commands of 4 bytes: kind, argument, two of value.
 */
#include <stdlib.h>
#include <string.h>
#include <crvm/devices/rtc.h>

#define require(cond)            \
	do {                     \
		if (!(cond))     \
			abort(); \
	} while (0)

enum { C_IRQF = 0x80, REG_B = 0xb, REG_C = 0xc };

struct machine {
	struct rtc rtc;
	uint64_t alarm, callbacks;
	bool line;
};

static struct machine machine[2];
static uint64_t now, accesses;

static uint64_t clock_now(void *ctx)
{
	(void)ctx;
	return now;
}

static void timer_set(void *ctx, uint64_t deadline)
{
	((struct machine *)ctx)->alarm = deadline;
}

static void irq_set(void *ctx, bool level)
{
	struct machine *m = ctx;

	require(m->line != level || !level);
	m->line = level;
}

static void port_write(unsigned port, uint8_t v)
{
	accesses++;
	for (unsigned i = 0; i < 2; i++) {
		const struct io_region r = rtc_region(&machine[i].rtc, 0);

		r.ops->write(r.dev, port, 1, v);
	}
}

static uint8_t port_read(struct machine *m, unsigned port)
{
	const struct io_region r = rtc_region(&m->rtc, 0);

	return (uint8_t)r.ops->read(r.dev, port, 1);
}

/* The same in both; reading register C lowers the line. */
static uint8_t both_read(unsigned port)
{
	const uint8_t v = port_read(&machine[0], port), other = port_read(&machine[1], port);

	accesses++;
	require(v == other);
	return v;
}

static uint8_t both_get(unsigned reg)
{
	port_write(0, (uint8_t)reg);
	return both_read(1);
}

static void expire(struct machine *m)
{
	m->alarm = DEVICE_NEVER;
	rtc_expired(&m->rtc);
	require(m->alarm > now);
	require(!m->line || m->alarm == DEVICE_NEVER);
}

/* Alarms in time: after an interrupt there is none until the guest has looked at it. */
static void pass(uint64_t ns)
{
	const uint64_t end = now + ns;

	while (machine[1].alarm <= end) {
		now = machine[1].alarm > now ? machine[1].alarm : now;
		expire(&machine[1]);
		machine[1].callbacks++;
		require(machine[1].line);
		require(machine[1].callbacks <= accesses);
	}
	for (unsigned i = 0; i < 4; i++) {
		now += (end - now) / 5;
		expire(&machine[1]);
	}
	now = end;
}

static void command(const uint8_t *c)
{
	const uint32_t value = c[2] | (uint32_t)c[3] << 8;
	uint8_t v;

	switch (c[0] % 8) {
	case 0:
	case 1: /* mostly the registers of the clock */
		port_write(0, c[1] % 16);
		port_write(1, c[2]);
		break;
	case 2:
		port_write(c[1] % 4, c[2]);
		break;
	case 3:
		both_read(c[1] % 4);
		break;
	case 4:
		pass((uint64_t)value << c[1] % 44);
		break;
	case 5:
		pass((uint64_t)value * 1000);
		break;
	case 6:
		v = both_get(REG_C);
		require(!(v & C_IRQF) == !(v & both_get(REG_B) & 0x70));
		require(!machine[0].line && !machine[1].line);
		require(machine[0].alarm == machine[1].alarm);
		break;
	default:
		for (unsigned i = 0; c[1] == 0 && i < 2; i++) {
			machine[i].rtc.dev.reset(&machine[i].rtc.dev);
			require(!machine[i].line && machine[i].alarm == DEVICE_NEVER);
		}
		for (unsigned i = 0; c[1] != 0 && i < 128; i++)
			if (i != REG_C)
				both_get(i);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t start;

	if (size < 8)
		return 0;
	memcpy(&start, data, sizeof(start));
	now = accesses = 0;
	memset(machine, 0, sizeof(machine));
	for (unsigned i = 0; i < 2; i++) {
		const struct rtc_ops ops = {
			.irq8 = {irq_set, &machine[i]},
			.clock = {clock_now, NULL},
			.timer = {timer_set, &machine[i]},
		};

		machine[i].alarm = DEVICE_NEVER;
		rtc_init(&machine[i].rtc, &ops, start);
	}
	/* So many that the clock stays below the 584 years that it can count. */
	for (size_t i = 8; i + 4 <= size && i < 4 * 400 && now < 1ull << 63; i += 4)
		command(data + i);
	return 0;
}
