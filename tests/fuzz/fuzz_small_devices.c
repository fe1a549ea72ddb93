/*
 * A guest that does anything to the printer port, the VGA's registers and port 92h; each is
 * compared with a model that is as simple as the data sheet lets it be.
 * needs: devices/printer.c devices/vga.c devices/port92.c
 *
 * The input is a list of three bytes: what, where, value.
 */
#include <stdlib.h>
#include <string.h>
#include <crvm/devices/port92.h>
#include <crvm/devices/printer.h>
#include <crvm/devices/vga.h>

#define require(cond)            \
	do {                     \
		if (!(cond))     \
			abort(); \
	} while (0)

static struct printer printer;
static struct port92 port92;
static struct vga vga;

/* What they did. */
static bool irq_level, a20;
static unsigned printed, rises, resets;
static uint8_t last_printed;

/* The models. */
static struct {
	uint8_t data, control, a;
	unsigned printed, acks, resets;
	uint8_t misc, index, crtc[32], attribute_index, attribute[32];
	bool turn;
} m;

static void irq(void *ctx, bool up)
{
	require(ctx == &printer && irq_level != up);
	irq_level = up;
	rises += up;
}

static void tx(void *ctx, uint8_t byte)
{
	require(ctx == &printer);
	printed++;
	last_printed = byte;
}

static void set_a20(void *ctx, bool on)
{
	require(ctx == &port92);
	a20 = on;
}

static void reset(void *ctx)
{
	require(ctx == &port92);
	resets++;
}

static struct io_region region_of(uint16_t port)
{
	struct io_region r = printer_region(&printer, 0);

	if (port - r.base < r.len)
		return r;
	r = port92_region(&port92, 0);
	if (port - r.base < r.len)
		return r;
	for (unsigned i = 0; i < VGA_REGION_COUNT; i++) {
		r = vga_region(&vga, i);
		if (port - r.base < r.len)
			return r;
	}
	r.len = 0;
	return r;
}

/* What a read must give; -1: the model does not know. */
static int model_read(uint16_t port)
{
	const uint16_t crtc = m.misc & 1 ? 0x3d4 : 0x3b4;

	switch (port) {
	case 0x92:
		return m.a;
	case 0x378:
		return m.data;
	case 0x379:
		return 0xdf;
	case 0x37a:
		return 0xe0 | m.control;
	case 0x3c0:
		return m.attribute_index;
	case 0x3c1:
		return m.attribute[m.attribute_index & 0x1f];
	case 0x3cc:
		return m.misc;
	case 0x3b4:
	case 0x3d4:
		return port == crtc ? m.index : 0xff;
	case 0x3b5:
	case 0x3d5:
		return port == crtc + 1 ? m.crtc[m.index] : 0xff;
	case 0x3ba:
	case 0x3da:
		if (port != crtc + 6)
			return 0xff;
		m.turn = false;
		return -1;
	default:
		return -1;
	}
}

static void model_attribute(uint8_t v)
{
	const uint8_t i = m.attribute_index & 0x1f;

	m.turn = !m.turn;
	if (m.turn)
		m.attribute_index = v & 0x3f;
	else if (i < 16 && !(m.attribute_index & 0x20))
		m.attribute[i] = v & 0x3f;
	else if (i >= 16 && i < 21)
		m.attribute[i] = v;
}

static void model_crtc(uint8_t v)
{
	if (m.index >= 25)
		return;
	if (m.index < 8 && (m.crtc[0x11] & 0x80)) {
		if (m.index == 7)
			m.crtc[7] = (uint8_t)((m.crtc[7] & 0xef) | (v & 0x10));
		return;
	}
	m.crtc[m.index] = v;
}

static void model_write(uint16_t port, uint8_t v)
{
	const uint16_t crtc = m.misc & 1 ? 0x3d4 : 0x3b4;

	if (port == 0x92) {
		m.resets += (v & ~m.a & 1) != 0;
		m.a = v & 3;
	} else if (port == 0x378) {
		m.data = v;
	} else if (port == 0x37a) {
		m.printed += (v & ~m.control & 1) != 0;
		m.acks += (v & ~m.control & 1) && (v & 0x10);
		m.control = v & 0x1f;
	} else if (port == 0x3c2) {
		m.misc = v;
	} else if (port == 0x3c0) {
		model_attribute(v);
	} else if (port == crtc) {
		m.index = v & 0x1f;
	} else if (port == crtc + 1) {
		model_crtc(v);
	}
}

static void model_start(void)
{
	m.data = 0;
	m.control = 0x0c;
	m.a = 2;
	m.misc = 0x67;
	m.index = 0;
	m.attribute_index = 0x20;
	m.turn = false;
	memcpy(m.crtc, vga.crtc, sizeof(vga.crtc));
	memcpy(m.attribute, vga.attribute, sizeof(vga.attribute));
}

static void check_state(void)
{
	require(printed == m.printed && rises == m.acks && resets == m.resets);
	require(!irq_level || (m.control & 0x10));
	require(vga_cursor(&vga) == (m.crtc[14] << 8 | m.crtc[15]));
	require(vga_start(&vga) == (m.crtc[12] << 8 | m.crtc[13]));
	require(vga_cursor_shown(&vga) == !(m.crtc[10] & 0x20));
}

static void step(uint8_t what, uint8_t where, uint8_t v)
{
	const uint16_t port = where == 0xff  ? 0x92
			      : where & 0x80 ? (uint16_t)(0x378 + where % 3)
					     : (uint16_t)(0x3b0 + where % 0x30);
	const struct io_region r = region_of(port);
	unsigned before;

	if (what == 0xff) {
		printer.dev.reset(&printer.dev);
		port92.dev.reset(&port92.dev);
		vga.dev.reset(&vga.dev);
		require(!irq_level && a20);
		model_start();
		check_state();
		return;
	}
	if (!r.len)
		return;
	if (what & 1) {
		const uint64_t got = r.ops->read(r.dev, port - r.base, 1);
		const int expect = model_read(port);

		require(got <= 0xff && (expect < 0 || got == (unsigned)expect));
		return;
	}
	before = printed;
	r.ops->write(r.dev, port - r.base, 1, v);
	model_write(port, v);
	if (port == 0x92)
		require(a20 == ((v & 2) != 0));
	if (port == 0x37a && printed > before)
		require(last_printed == m.data);
	check_state();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct printer_ops printer_ops = {tx, {irq, &printer}, &printer};
	const struct port92_ops port92_ops = {set_a20, reset, &port92};

	memset(&m, 0, sizeof(m));
	memset(&vga, 0xa5, sizeof(vga));
	irq_level = false;
	printed = rises = resets = 0;
	printer_init(&printer, &printer_ops);
	port92_init(&port92, &port92_ops);
	vga_init(&vga);
	model_start();
	for (size_t i = 0; i + 3 <= size && i < 3 * 4096; i += 3)
		step(data[i], data[i + 1], data[i + 2]);
	check_state();
	return 0;
}
