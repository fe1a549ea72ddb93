/*
 * See machine.h: devices made and joined. It must not know how a device works, nor how the child is
 * run. No locks: there is one CPU here, and interrupts do no more than set a flag.
 */
#include <crvm/devices/debug.h>
#include <crvm/devices/ide.h>
#include <crvm/devices/kbc.h>
#include <crvm/devices/pic8259.h>
#include <crvm/devices/pit8254.h>
#include <crvm/devices/port92.h>
#include <crvm/devices/printer.h>
#include <crvm/devices/rtc.h>
#include <crvm/devices/serial.h>
#include <crvm/devices/vga.h>
#include <crvm/string.h>

#include "clock.h"
#include "host.h"
#include "machine.h"

#define REGION_MAX 32u

enum {
	COM1_PORT = 0x3f8,
	IRQ_TIMER = 0,
	IRQ_KEYBOARD = 1,
	IRQ_COM1 = 4,
	IRQ_LPT1 = 7,
	IRQ_RTC = 8,
	IRQ_MOUSE = 12,
	IRQ_IDE0 = 14,
	IRQ_IDE1 = 15,
	/* Sizes of memory for the firmware, in KiB: up to 640, and from 1 MiB on (twice). */
	CMOS_BASE = 0x15,
	CMOS_EXT = 0x17,
	CMOS_EXT2 = 0x30,
};
_Static_assert(MACHINE_MEMORY >= 1u << 20 && MACHINE_MEMORY <= 16u << 20,
	       "these three bytes of CMOS tell all of it");

/* A disk in memory. */
struct image {
	struct disk disk;
	uint8_t *data;
	uint8_t buffer[IDE_BUFFER_SIZE];
};

static struct machine {
	struct pic_pair pic;
	struct pit pit;
	struct rtc rtc;
	struct serial_port serial;
	struct kbc kbc;
	struct ide_channel ide[2];
	struct vga vga;
	struct printer printer;
	struct port92 port92;
	struct debug_device debug;
	struct image image[MACHINE_DISK_COUNT];
	struct io_region region[REGION_MAX];
	unsigned region_count;
	bool wants_reset;
} m;

/* --- Wires ---------------------------------------------------------------------------------- */

static void line_set(void *ctx, bool level)
{
	const uint8_t *irq = ctx;

	pic_set_line(&m.pic, *irq, level);
}

static struct irq_line line(unsigned irq)
{
	static uint8_t numbers[PIC_IRQ_COUNT];

	numbers[irq] = (uint8_t)irq;
	return (struct irq_line){line_set, &numbers[irq]};
}

bool machine_irq_waits(void)
{
	return pic_peek(&m.pic) >= 0;
}

int machine_irq_take(void)
{
	int irq, vector = pic_ack(&m.pic, &irq);

	if (vector >= 0 && irq == IRQ_TIMER)
		pit_tick_taken(&m.pit);
	return vector;
}

static bool tick_waits(void *ctx)
{
	(void)ctx;
	return pic_irq_waits(&m.pic, IRQ_TIMER);
}

static void ring_pit(void)
{
	pit_expired(&m.pit);
}

static void ring_rtc(void)
{
	rtc_expired(&m.rtc);
}

static void ring_serial(void)
{
	serial_expired(&m.serial);
}

static void ring_kbc(void)
{
	kbc_expired(&m.kbc);
}

static void reset_line(void *ctx)
{
	(void)ctx;
	m.wants_reset = true;
}

bool machine_wants_reset(void)
{
	return m.wants_reset;
}

/* The child's console is ours. */
static void console_tx(void *ctx, uint8_t byte)
{
	(void)ctx;
	host_put(byte);
}

static int console_rx(void *ctx)
{
	(void)ctx;
	return host_get();
}

void machine_input(void)
{
	serial_rx_ready(&m.serial);
}

/* --- Disks ---------------------------------------------------------------------------------- */

static int image_read(void *ctx, uint64_t lba, uint32_t count, void *buf)
{
	const struct image *i = ctx;

	memcpy(buf, i->data + lba * DISK_SECTOR, (size_t)count * DISK_SECTOR);
	return 0;
}

static int image_write(void *ctx, uint64_t lba, uint32_t count, const void *buf)
{
	const struct image *i = ctx;

	memcpy(i->data + lba * DISK_SECTOR, buf, (size_t)count * DISK_SECTOR);
	return 0;
}

void machine_attach_disk(unsigned n, uint8_t *data, uint64_t size)
{
	static const char *const serials[MACHINE_DISK_COUNT] = {"child-0", "child-1", "child-2",
								"child-3"};
	struct image *i = &m.image[n];

	if (size < DISK_SECTOR)
		return;
	i->disk = (struct disk){size / DISK_SECTOR, false, image_read, image_write, i};
	i->data = data;
	ide_attach(&m.ide[n / 2], n % 2, &i->disk, i->buffer, serials[n], "CHILDVM DISK");
}

/* --- All of it ------------------------------------------------------------------------------ */

static void init_chips(uint64_t unix_ns)
{
	const struct pic_ops pic = {0};
	const struct pit_ops pit = {
		.irq0 = line(IRQ_TIMER),
		.tick_waits = tick_waits,
		.clock = clock_device(),
		.timer = clock_timer(CLOCK_PIT, ring_pit),
	};
	const struct rtc_ops rtc = {
		.irq8 = line(IRQ_RTC),
		.clock = clock_device(),
		.timer = clock_timer(CLOCK_RTC, ring_rtc),
	};

	pic_init(&m.pic, &pic);
	pit_init(&m.pit, &pit, PIT_CATCHUP);
	rtc_init(&m.rtc, &rtc, unix_ns);
}

static void init_ports(void)
{
	const struct serial_ops serial = {
		.irq = line(IRQ_COM1),
		.tx = console_tx,
		.rx = console_rx,
		.clock = clock_device(),
		.timer = clock_timer(CLOCK_SERIAL, ring_serial),
	};
	const struct kbc_ops kbc = {
		.irq1 = line(IRQ_KEYBOARD),
		.irq12 = line(IRQ_MOUSE),
		.reset = reset_line,
		.clock = clock_device(),
		.timer = clock_timer(CLOCK_KBC, ring_kbc),
	};
	const struct printer_ops printer = {.irq = line(IRQ_LPT1)};
	const struct port92_ops port92 = {.reset = reset_line};
	const struct debug_ops debug = {.tx_byte = console_tx};
	const struct ide_ops ide[2] = {{line(IRQ_IDE0)}, {line(IRQ_IDE1)}};

	serial_init(&m.serial, &serial);
	kbc_init(&m.kbc, &kbc);
	printer_init(&m.printer, &printer);
	port92_init(&m.port92, &port92);
	debug_init(&m.debug, &debug);
	vga_init(&m.vga);
	ide_init(&m.ide[0], &ide[0], IDE_PRIMARY_COMMAND, IDE_PRIMARY_CONTROL);
	ide_init(&m.ide[1], &ide[1], IDE_SECONDARY_COMMAND, IDE_SECONDARY_CONTROL);
}

static void init_regions(void)
{
	struct io_region *r = m.region;

	for (unsigned i = 0; i < PIC_REGION_COUNT; i++)
		*r++ = pic_region(&m.pic, i);
	for (unsigned i = 0; i < PIT_REGION_COUNT; i++)
		*r++ = pit_region(&m.pit, i);
	for (unsigned i = 0; i < RTC_REGION_COUNT; i++)
		*r++ = rtc_region(&m.rtc, i);
	for (unsigned i = 0; i < KBC_REGION_COUNT; i++)
		*r++ = kbc_region(&m.kbc, i);
	for (unsigned i = 0; i < VGA_REGION_COUNT; i++)
		*r++ = vga_region(&m.vga, i);
	for (unsigned i = 0; i < DEBUG_REGION_COUNT; i++)
		*r++ = debug_region(&m.debug, i);
	for (unsigned i = 0; i < 2 * IDE_REGION_COUNT; i++)
		*r++ = ide_region(&m.ide[i & 1], i / 2);
	*r++ = serial_region(&m.serial, COM1_PORT);
	*r++ = printer_region(&m.printer, 0);
	*r++ = port92_region(&m.port92, 0);
	m.region_count = (unsigned)(r - m.region);
}
_Static_assert(PIC_REGION_COUNT + PIT_REGION_COUNT + RTC_REGION_COUNT + KBC_REGION_COUNT +
			       VGA_REGION_COUNT + DEBUG_REGION_COUNT + 2 * IDE_REGION_COUNT + 3 <=
		       REGION_MAX,
	       "a trap for each");

void machine_init(uint64_t unix_ns)
{
	(void)clock_timer(CLOCK_POLL, NULL);
	init_chips(unix_ns);
	init_ports();
	init_regions();
}

const struct io_region *machine_region(unsigned i)
{
	return i < m.region_count ? &m.region[i] : NULL;
}

static void write_cmos_size(unsigned at, unsigned kib)
{
	rtc_set_cmos(&m.rtc, (uint8_t)at, (uint8_t)kib);
	rtc_set_cmos(&m.rtc, (uint8_t)(at + 1), (uint8_t)(kib >> 8));
}

void machine_reset(void)
{
	struct device *const all[] = {&m.pic.dev,     &m.pit.dev,    &m.rtc.dev,    &m.serial.dev,
				      &m.kbc.dev,     &m.ide[0].dev, &m.ide[1].dev, &m.vga.dev,
				      &m.printer.dev, &m.port92.dev, &m.debug.dev};

	for (unsigned i = 0; i < array_count(all); i++)
		if (all[i]->reset)
			all[i]->reset(all[i]);
	write_cmos_size(CMOS_BASE, 640);
	write_cmos_size(CMOS_EXT, (MACHINE_MEMORY >> 10) - 1024);
	write_cmos_size(CMOS_EXT2, (MACHINE_MEMORY >> 10) - 1024);
	m.wants_reset = false;
}
