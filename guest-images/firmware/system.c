/*
 * INT 11h, 12h and 15h: equipment, memory, A20, block move, waiting. Sizes come from the CMOS; it
 * knows no device but that, and port 92h. Source: ACPI Specification, "Query System Address Map";
 * Phoenix, "System BIOS", "INT 15h - System Services".
 */
#include "firmware.h"

enum { PORT_92 = 0x92, PORT_92_A20 = 0x02, PORT_92_RESET = 0x01 };

enum { CMOS_EXTENDED_KIB = 0x30, CMOS_ABOVE_16M = 0x34 };

enum { UNSUPPORTED = 0x86, UNITS_1M = 0x10, UNITS_16M = 0x100, UNITS_3G = 0xc000 };

enum { E820_RAM = 1, E820_RESERVED = 2, E820_SIZE = 20, E820_SIZE_EXTENDED = 24, E820_COUNT = 4 };

#define SMAP 0x534d4150u

static const uint8_t config_table[10] __attribute__((aligned(2))) = {
	8,    0,    /* bytes that follow */
	0xfc, 1, 0, /* model, submodel, revision */
	0x74,	    /* second PIC, clock, keyboard intercept, extended BIOS data area */
	0x40,	    /* INT 16h/09h is not there; no DMA channel 3 use */
	0,    0, 0,
};

static uint16_t cmos_read16(uint8_t index)
{
	return (uint16_t)(cmos_read(index) | cmos_read((uint8_t)(index + 1)) << 8);
}

uint32_t memory_units(void)
{
	uint32_t units = UNITS_16M + cmos_read16(CMOS_ABOVE_16M);

	/* Up to 16 MiB the other register tells. */
	if (units == UNITS_16M)
		units = UNITS_1M + cmos_read16(CMOS_EXTENDED_KIB) / 64;
	return units < UNITS_3G ? units : UNITS_3G;
}

uint32_t memory_extended_kib(void)
{
	return (memory_units() - UNITS_1M) * 64;
}

void int11_equipment(REGS *r)
{
	r->ax = BDA->equipment;
}

void int12_memory(REGS *r)
{
	r->ax = BDA->memory_kib;
}

/* ---- the memory map ----------------------------------------------------------------------- */

static uint32_t e820_start(uint16_t index)
{
	static const uint32_t starts[E820_COUNT] = {0, 0x9fc00, 0xf0000, 0x100000};

	return starts[index];
}

static uint32_t e820_end(uint16_t index)
{
	static const uint32_t ends[E820_COUNT] = {0x9fc00, 0xa0000, 0x100000, 0};

	return index == E820_COUNT - 1 ? memory_units() << 16 : ends[index];
}

static void memory_map(REGS *r)
{
	uint16_t count = memory_units() > UNITS_1M ? E820_COUNT : E820_COUNT - 1;
	uint16_t index = r->bx, es = r->es, di = r->di;
	uint8_t type;

	if (r->edx != SMAP || r->ecx < E820_SIZE || r->ebx >= count)
		return frame_fail(r, UNSUPPORTED);
	type = index == 0 || index == E820_COUNT - 1 ? E820_RAM : E820_RESERVED;
	far_write32(es, di, e820_start(index));
	far_write32(es, di + 4, 0);
	far_write32(es, di + 8, e820_end(index) - e820_start(index));
	far_write32(es, di + 12, 0);
	far_write32(es, di + 16, type);
	if (r->ecx >= E820_SIZE_EXTENDED)
		far_write32(es, di + 20, 1); /* the entry is to be heeded */
	r->ecx = r->ecx >= E820_SIZE_EXTENDED ? E820_SIZE_EXTENDED : E820_SIZE;
	r->ebx = index + 1 < count ? index + 1u : 0;
	r->eax = SMAP;
	frame_ok(r);
}

static void memory_e801(REGS *r)
{
	uint32_t units = memory_units();

	r->ax = (uint16_t)((units < UNITS_16M ? units - UNITS_1M : UNITS_16M - UNITS_1M) * 64);
	r->bx = (uint16_t)(units < UNITS_16M ? 0 : units - UNITS_16M);
	r->cx = r->ax;
	r->dx = r->bx;
	frame_ok(r);
}

static void memory_extended(REGS *r)
{
	uint32_t kib = memory_extended_kib();

	r->ax = (uint16_t)(kib < 0xfc00 ? kib : 0xfc00);
	frame_ok(r);
}

/* ---- A20 and block move ------------------------------------------------------------------- */

static bool a20_get(void)
{
	return inb(PORT_92) & PORT_92_A20;
}

/* The reset bit acts on its rising edge: it is never written as 1. */
void a20_set(bool on)
{
	uint8_t v = inb(PORT_92) & (uint8_t) ~(PORT_92_A20 | PORT_92_RESET);

	outb(PORT_92, on ? v | PORT_92_A20 : v);
}

static void a20_services(REGS *r)
{
	if (r->al > 3)
		return frame_fail(r, UNSUPPORTED);
	if (r->al < 2)
		a20_set(r->al == 1);
	if (r->al == 2)
		r->al = a20_get();
	if (r->al == 3)
		r->bx = 0x0003; /* by 8042 and by port 92h */
	r->ah = 0;
	frame_ok(r);
}

/* Base of the descriptor at an offset of a caller's table. */
static uint32_t descriptor_base(uint16_t segment, uint16_t offset)
{
	return (far_read32(segment, offset + 2) & 0xffffff) |
	       (uint32_t)far_read8(segment, offset + 7) << 24;
}

/* The caller's table gives source (10h) and destination (18h); their limits are not looked at, as
 * nobody sets them well. */
static void block_move_service(REGS *r)
{
	uint16_t es = r->es, si = r->si;
	bool a20 = a20_get();

	if (r->cx > 0x8000)
		return frame_fail(r, 0x02);
	a20_set(true);
	block_move(descriptor_base(es, si + 0x10), descriptor_base(es, si + 0x18), r->cx);
	a20_set(a20);
	r->ah = 0;
	frame_ok(r);
}

/* ---- INT 15h ------------------------------------------------------------------------------ */

static void wait_service(REGS *r)
{
	time_wait_us((uint32_t)r->cx << 16 | r->dx);
	r->ah = 0;
	frame_ok(r);
}

static void config_service(REGS *r)
{
	r->es = ROM_SEGMENT;
	r->bx = (uint16_t)(uintptr_t)config_table;
	r->ah = 0;
	frame_ok(r);
}

static void memory_services(REGS *r)
{
	if (r->al == 0x20)
		return memory_map(r);
	if (r->al == 0x01)
		return memory_e801(r);
	frame_fail(r, UNSUPPORTED);
}

void int15_system(REGS *r)
{
	switch (r->ah) {
	case 0x24:
		return a20_services(r);
	case 0x4f: /* nobody takes this scan code: carry stays as it came, set */
		return;
	case 0x86:
		return wait_service(r);
	case 0x87:
		return block_move_service(r);
	case 0x88:
		return memory_extended(r);
	case 0x90: /* a device waits, a device is done */
	case 0x91:
		r->ah = 0;
		return frame_ok(r);
	case 0xc0:
		return config_service(r);
	case 0xc1:
		r->es = EBDA_SEGMENT;
		return frame_ok(r);
	case 0xe8:
		return memory_services(r);
	default:
		return frame_fail(r, UNSUPPORTED);
	}
}
