/*
 * Random programming of the PIT, twice: one PIT is left alone between accesses, the other is looked
 * at in between, again and again. They must agree in all that a guest can see, and in the ticks.
 * needs: devices/pit8254.c devices/pit_counter.c
 *
 * The input is a list of commands of 4 bytes: kind, argument, two of value.
 */
#include <stdlib.h>
#include <string.h>
#include <crvm/devices/pit8254.h>

#define require(cond)            \
	do {                     \
		if (!(cond))     \
			abort(); \
	} while (0)

struct machine {
	struct pit pit;
	uint64_t alarm, callbacks;
	bool line, irr, masked;
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

	if (level && !m->line)
		m->irr = true;
	m->line = level;
}

static bool tick_waits(void *ctx)
{
	const struct machine *m = ctx;

	return m->irr && !m->masked;
}

static struct io_region region(struct machine *m, unsigned i)
{
	return pit_region(&m->pit, i);
}

static void port_write(struct machine *m, unsigned port, uint8_t v)
{
	const struct io_region r = region(m, port == 4);

	accesses++;
	r.ops->write(r.dev, port == 4 ? 0 : port, 1, v);
}

static uint8_t port_read(struct machine *m, unsigned port)
{
	const struct io_region r = region(m, port == 4);

	return (uint8_t)r.ops->read(r.dev, port == 4 ? 0 : port, 1);
}

static void expire(struct machine *m)
{
	m->alarm = DEVICE_NEVER;
	m->callbacks++;
	pit_expired(&m->pit);
	require(m->alarm > now);
}

static void take(struct machine *m)
{
	if (!tick_waits(m))
		return;
	m->irr = false;
	pit_tick_taken(&m->pit);
}

static void check(void)
{
	for (unsigned i = 0; i < 2; i++) {
		const struct pit_ticks t = pit_ticks(&machine[i].pit);

		require(t.due == t.raised + t.owed + t.merged);
		require(t.owed <= machine[i].pit.owed_max);
	}
	require(machine[0].pit.counter[0].gate && machine[0].pit.counter[1].gate);
}

/* Alarms in time, for the second PIT: not more than one for each access and each 100 us. */
static void pass(uint64_t ns)
{
	const uint64_t end = now + ns;

	for (unsigned i = 0; i < 32 && machine[1].alarm <= end; i++) {
		now = machine[1].alarm > now ? machine[1].alarm : now;
		expire(&machine[1]);
		port_read(&machine[1], 4);
	}
	require(machine[1].callbacks <= accesses + now / 100000 + 2);
	now = end;
}

static void command(const uint8_t *c)
{
	const uint32_t value = c[2] | (uint32_t)c[3] << 8;

	switch (c[0] % 8) {
	case 0:
	case 1:
		for (unsigned i = 0; i < 2; i++)
			port_write(&machine[i], c[1] % 5, c[2]);
		break;
	case 2:
		require(port_read(&machine[0], c[1] % 5) == port_read(&machine[1], c[1] % 5));
		break;
	case 3:
		pass((uint64_t)value << c[1] % 24);
		break;
	case 4:
		pass(value % 4000);
		break;
	case 5:
		for (unsigned i = 0; i < 2; i++)
			take(&machine[i]);
		break;
	case 6:
		for (unsigned i = 0; i < 2; i++)
			machine[i].masked = c[1] & 1;
		break;
	default:
		if (c[1] == 0) {
			for (unsigned i = 0; i < 2; i++)
				machine[i].pit.dev.reset(&machine[i].pit.dev);
			require(!machine[0].line && machine[0].alarm == DEVICE_NEVER);
			break;
		}
		/* Both at the same time: now they agree about the ticks. */
		for (unsigned i = 0; i < 2; i++)
			expire(&machine[i]);
		machine[1].callbacks--;
		require(pit_ticks(&machine[0].pit).due == pit_ticks(&machine[1].pit).due);
		break;
	}
	check();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1)
		return 0;
	now = accesses = 0;
	memset(machine, 0, sizeof(machine));
	for (unsigned i = 0; i < 2; i++) {
		const struct pit_ops ops = {
			.irq0 = {irq_set, &machine[i]},
			.tick_waits = tick_waits,
			.clock = {clock_now, NULL},
			.timer = {timer_set, &machine[i]},
			.ctx = &machine[i],
		};

		machine[i].alarm = DEVICE_NEVER;
		pit_init(&machine[i].pit, &ops, data[0] & 1 ? PIT_CATCHUP : PIT_COALESCE);
	}
	for (size_t i = 1; i + 4 <= size && i < 4 * 512; i += 4)
		command(data + i);
	return 0;
}
