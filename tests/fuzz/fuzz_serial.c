/*
 * Random register accesses, typing, breaks and time on the guest's serial port.
 * needs: devices/serial.c
 *
 * The first byte chooses what the guest does: with bit 0 it neither clears its receiver nor goes to
 * loopback, and no breaks come, so that it must read exactly what was typed. Then commands of two
 * bytes.
 */
#include <stdlib.h>
#include <crvm/devices/serial.h>

#define require(cond)            \
	do {                     \
		if (!(cond))     \
			abort(); \
	} while (0)

enum { RBR, IER, IIR, LCR, MCR, LSR, MSR, SCR, FCR = IIR };

#define CHAR_MIN 40000ull
#define CHAR_MAX 10000000ull

static struct serial_port port;
static struct io_region region;
static uint64_t now, started, alarm_at;
static bool level, plain;
static uint64_t typed, fetched, received, sent;

static void irq_set(void *ctx, bool v)
{
	(void)ctx;
	require(v != level);
	level = v;
}

static void tx(void *ctx, uint8_t byte)
{
	(void)ctx;
	(void)byte;
	sent++;
}

static int rx(void *ctx)
{
	(void)ctx;
	return fetched < typed ? (uint8_t)fetched++ : -1;
}

static uint64_t clock_now(void *ctx)
{
	(void)ctx;
	return now;
}

static void timer_set(void *ctx, uint64_t deadline)
{
	(void)ctx;
	require(deadline == DEVICE_NEVER || deadline <= now + 16 * CHAR_MAX);
	alarm_at = deadline;
}

static uint8_t in(unsigned reg)
{
	const bool was = level;
	uint8_t v = (uint8_t)region.ops->read(region.dev, reg, 1);

	if (reg == IIR)
		require(was == !(v & 1) && (v & 0x30) == 0);
	return v;
}

static void out(unsigned reg, uint8_t v)
{
	const uint64_t was = sent;

	if (plain && reg == MCR)
		v &= 0xef;
	if (plain && reg == FCR) /* the mode of the first write is kept, and nothing is cleared */
		v = (uint8_t)((v & 0xfd) | 1);
	region.ops->write(region.dev, reg, 1, v);
	require(sent == was || (reg == RBR && sent == was + 1));
}

static void pass_time(uint64_t ns)
{
	const uint64_t end = now + ns;

	for (unsigned i = 0; alarm_at <= end; i++) {
		require(i < 100000);
		now = now < alarm_at ? alarm_at : now;
		alarm_at = DEVICE_NEVER;
		serial_expired(&port);
	}
	now = end;
}

static void read_byte(void)
{
	const bool there = in(LSR)&1;
	const uint8_t v = in(RBR);

	if (there && plain)
		require(v == (uint8_t)received++);
	require(fetched - received <= 16 || !plain);
}

static void command(uint8_t what, uint8_t v)
{
	const unsigned reg = what >> 3 & 7;

	switch (what & 7) {
	case 0:
	case 1:
		out(reg, v);
		break;
	case 2:
		if (reg != RBR || in(LCR)&0x80)
			(void)in(reg);
		else
			read_byte();
		break;
	case 3:
		if (!(in(LCR)&0x80))
			read_byte();
		break;
	case 4:
		typed += v & 31;
		serial_rx_ready(&port);
		break;
	case 5:
		pass_time((uint64_t)v << (what >> 3));
		break;
	case 6:
		if (what & 8)
			serial_expired(&port);
		else if (!plain)
			serial_rx_break(&port);
		break;
	default:
		if (!plain && v == 0)
			port.dev.reset(&port.dev);
		else
			serial_rx_ready(&port);
		break;
	}
	require((in(SCR) | 0xff) == 0xff && (in(MCR)&0xe0) == 0);
	require(fetched <= 16 + (now - started) / CHAR_MIN + (plain ? 0 : typed));
}

/* Whatever happened before: what was typed comes in, and then there is rest. */
static void drain(void)
{
	out(LCR, 0x03);
	out(MCR, 0x00);
	out(IER, 0x01);
	for (uint64_t i = 0; fetched < typed || in(LSR)&1; i++) {
		require(i < 4 * typed + 64);
		if (in(LSR)&1) {
			read_byte();
			continue;
		}
		require(alarm_at != DEVICE_NEVER);
		pass_time(alarm_at > now ? alarm_at - now : 0);
	}
	require(!level || in(LSR)&1);
	pass_time(100 * CHAR_MAX);
	require(alarm_at == DEVICE_NEVER && !level && fetched == typed);
	require((in(LSR)&0x60) == 0x60);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct serial_ops ops = {
		.irq = {irq_set, NULL},
		.tx = tx,
		.rx = rx,
		.clock = {clock_now, NULL},
		.timer = {timer_set, NULL},
	};

	if (size < 1)
		return 0;
	plain = data[0] & 1;
	now = started = 1000;
	alarm_at = DEVICE_NEVER;
	level = false;
	typed = fetched = received = sent = 0;
	serial_init(&port, &ops);
	region = serial_region(&port, 0x3f8);
	if (plain)
		out(FCR, data[0]);
	for (size_t i = 1; i + 2 <= size && i < 2048; i += 2)
		command(data[i], data[i + 1]);
	drain();
	return 0;
}
