/*
 * The VGA's registers, to include/crvm/devices/vga.h. Must not know what a screen is, nor touch
 * memory of the guest's.
 */
#include <crvm/devices/vga.h>
#include <crvm/string.h>

enum {
	INDEX = 0, /* of a pair of ports */
	DATA = 1,
	CRTC_INDEX_BITS = 0x1f,
	ATTRIBUTE_INDEX_BITS = 0x1f,
	PALETTE_COUNT = 16, /* attribute registers that VGA_ATTRIBUTE_SHOWN protects */
	CRTC_PROTECTED = 8,
	CRTC_OVERFLOW = 7, /* among them, but bit 4 can be written */
	CRTC_OVERFLOW_FREE = 1u << 4,
	PALETTE_BITS = 0x3f,
	DAC_BITS = 0x3f,
	DAC_WRITING = 0, /* states, as 3C7h shows them */
	DAC_READING = 3,
	NOTHING = 0xff, /* what a port that is not decoded reads */
	/* Of the reads of input status 1: retrace in 4 of 32, blank in those and every other. */
	RETRACE_READS = 4,
	FRAME_READS = 32,
};

/* Mode 3, 80 by 25 with characters of 9 by 16. */
static const uint8_t crtc_mode3[VGA_CRTC_COUNT] = {
	0x5f, 0x4f, 0x50, 0x82, 0x55, 0x81, 0xbf, 0x1f, 0x00, 0x4f, 0x0d, 0x0e, 0x00,
	0x00, 0x00, 0x00, 0x9c, 0x8e, 0x8f, 0x28, 0x1f, 0x96, 0xb9, 0xa3, 0xff,
};
static const uint8_t sequencer_mode3[VGA_SEQUENCER_COUNT] = {0x03, 0x00, 0x03, 0x00, 0x02};
static const uint8_t graphics_mode3[VGA_GRAPHICS_COUNT] = {
	0x00, 0x00, 0x00, 0x00, 0x00, 0x10, 0x0e, 0x0f, 0xff,
};
static const uint8_t attribute_mode3[VGA_ATTRIBUTE_COUNT] = {
	0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x14, 0x07, 0x38, 0x39, 0x3a,
	0x3b, 0x3c, 0x3d, 0x3e, 0x3f, 0x0c, 0x00, 0x0f, 0x08, 0x00,
};
enum { MISC_MODE3 = 0x67 };

/* What each register keeps: the sequencer's and the graphics controller's unused bits read 0. */
static const uint8_t sequencer_bits[VGA_SEQUENCER_COUNT] = {0x03, 0x3d, 0x0f, 0x3f, 0x0e};
static const uint8_t graphics_bits[VGA_GRAPHICS_COUNT] = {
	0x0f, 0x0f, 0x0f, 0x1f, 0x03, 0x7b, 0x0f, 0x0f, 0xff,
};

static struct vga *vga_of(void *dev)
{
	return container_of(dev, struct vga, dev);
}

static uint8_t register_read(const uint8_t *registers, unsigned count, unsigned index)
{
	return index < count ? registers[index] : 0;
}

static void crtc_write(struct vga *v, uint64_t offset, uint8_t value)
{
	const unsigned index = v->crtc_index;

	if (offset == INDEX) {
		v->crtc_index = value & CRTC_INDEX_BITS;
	} else if (likely(index < VGA_CRTC_COUNT)) {
		if (unlikely(index < CRTC_PROTECTED) &&
		    (v->crtc[VGA_CRTC_SYNC_END] & VGA_CRTC_PROTECT)) {
			if (index != CRTC_OVERFLOW)
				return;
			value = (uint8_t)((v->crtc[CRTC_OVERFLOW] & ~CRTC_OVERFLOW_FREE) |
					  (value & CRTC_OVERFLOW_FREE));
		}
		v->crtc[index] = value;
	}
}

static uint8_t crtc_read(const struct vga *v, uint64_t offset)
{
	if (offset == INDEX)
		return v->crtc_index;
	return register_read(v->crtc, VGA_CRTC_COUNT, v->crtc_index);
}

/* The two places of the CRT controller differ by which value of misc output bit 0 selects them. */
static uint64_t crtc_color_read(void *dev, uint64_t offset, unsigned size)
{
	const struct vga *v = vga_of(dev);

	(void)size;
	return v->misc & VGA_MISC_COLOR ? crtc_read(v, offset) : NOTHING;
}

static void crtc_color_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	struct vga *v = vga_of(dev);

	(void)size;
	if (v->misc & VGA_MISC_COLOR)
		crtc_write(v, offset, (uint8_t)value);
}

static uint64_t crtc_mono_read(void *dev, uint64_t offset, unsigned size)
{
	const struct vga *v = vga_of(dev);

	(void)size;
	return v->misc & VGA_MISC_COLOR ? NOTHING : crtc_read(v, offset);
}

static void crtc_mono_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	struct vga *v = vga_of(dev);

	(void)size;
	if (!(v->misc & VGA_MISC_COLOR))
		crtc_write(v, offset, (uint8_t)value);
}

static uint8_t status1_read(struct vga *v)
{
	const unsigned n = v->status1_reads++ % FRAME_READS;

	v->attribute_data = false;
	if (n < RETRACE_READS)
		return VGA_STATUS1_RETRACE | VGA_STATUS1_BLANK;
	return n & VGA_STATUS1_BLANK;
}

static uint64_t status1_color_read(void *dev, uint64_t offset, unsigned size)
{
	struct vga *v = vga_of(dev);

	(void)offset;
	(void)size;
	return v->misc & VGA_MISC_COLOR ? status1_read(v) : NOTHING;
}

static void feature_color_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	struct vga *v = vga_of(dev);

	(void)offset;
	(void)size;
	if (v->misc & VGA_MISC_COLOR)
		v->feature = (uint8_t)value;
}

static uint64_t status1_mono_read(void *dev, uint64_t offset, unsigned size)
{
	struct vga *v = vga_of(dev);

	(void)offset;
	(void)size;
	return v->misc & VGA_MISC_COLOR ? NOTHING : status1_read(v);
}

static void feature_mono_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	struct vga *v = vga_of(dev);

	(void)offset;
	(void)size;
	if (!(v->misc & VGA_MISC_COLOR))
		v->feature = (uint8_t)value;
}

static void attribute_write(struct vga *v, uint8_t value)
{
	const unsigned index = v->attribute_index & ATTRIBUTE_INDEX_BITS;

	v->attribute_data = !v->attribute_data;
	if (v->attribute_data)
		v->attribute_index = value & (ATTRIBUTE_INDEX_BITS | VGA_ATTRIBUTE_SHOWN);
	else if (index >= PALETTE_COUNT && index < VGA_ATTRIBUTE_COUNT)
		v->attribute[index] = value;
	else if (index < PALETTE_COUNT && !(v->attribute_index & VGA_ATTRIBUTE_SHOWN))
		v->attribute[index] = value & PALETTE_BITS;
}

/* Red, green, blue, and on to the next color. */
static void dac_step(struct vga *v, uint8_t *index)
{
	if (++v->dac_part < 3)
		return;
	v->dac_part = 0;
	(*index)++;
}

static uint8_t dac_data_read(struct vga *v)
{
	const uint8_t value = v->dac[v->dac_read][v->dac_part];

	dac_step(v, &v->dac_read);
	return value;
}

static void dac_data_write(struct vga *v, uint8_t value)
{
	uint8_t *color = v->dac[v->dac_write];

	if (v->dac_part < 2) {
		v->dac_latch[v->dac_part] = value & DAC_BITS;
	} else {
		color[0] = v->dac_latch[0];
		color[1] = v->dac_latch[1];
		color[2] = value & DAC_BITS;
	}
	dac_step(v, &v->dac_write);
}

static uint64_t base_read(void *dev, uint64_t offset, unsigned size)
{
	struct vga *v = vga_of(dev);

	(void)size;
	switch (VGA_PORT_BASE + offset) {
	case VGA_PORT_ATTRIBUTE:
		return v->attribute_index;
	case VGA_PORT_ATTRIBUTE_READ:
		return register_read(v->attribute, VGA_ATTRIBUTE_COUNT,
				     v->attribute_index & ATTRIBUTE_INDEX_BITS);
	case VGA_PORT_MISC_WRITE:
		return VGA_STATUS0_SENSE;
	case VGA_PORT_ENABLE:
		return v->enable;
	case VGA_PORT_SEQUENCER:
		return v->sequencer_index;
	case VGA_PORT_SEQUENCER + DATA:
		return register_read(v->sequencer, VGA_SEQUENCER_COUNT, v->sequencer_index);
	case VGA_PORT_DAC_MASK:
		return v->dac_mask;
	case VGA_PORT_DAC_READ:
		return v->dac_state;
	case VGA_PORT_DAC_WRITE:
		return v->dac_write;
	case VGA_PORT_DAC_DATA:
		return dac_data_read(v);
	case VGA_PORT_FEATURE_READ:
		return v->feature;
	case VGA_PORT_MISC_READ:
		return v->misc;
	case VGA_PORT_GRAPHICS:
		return v->graphics_index;
	case VGA_PORT_GRAPHICS + DATA:
		return register_read(v->graphics, VGA_GRAPHICS_COUNT, v->graphics_index);
	default:
		return NOTHING;
	}
}

static void base_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	struct vga *v = vga_of(dev);
	const uint8_t b = (uint8_t)value;

	(void)size;
	switch (VGA_PORT_BASE + offset) {
	case VGA_PORT_ATTRIBUTE:
		attribute_write(v, b);
		break;
	case VGA_PORT_MISC_WRITE:
		v->misc = b;
		break;
	case VGA_PORT_ENABLE:
		v->enable = b;
		break;
	case VGA_PORT_SEQUENCER:
		v->sequencer_index = b;
		break;
	case VGA_PORT_SEQUENCER + DATA:
		if (v->sequencer_index < VGA_SEQUENCER_COUNT)
			v->sequencer[v->sequencer_index] = b & sequencer_bits[v->sequencer_index];
		break;
	case VGA_PORT_DAC_MASK:
		v->dac_mask = b;
		break;
	case VGA_PORT_DAC_READ:
		v->dac_read = b;
		v->dac_part = 0;
		v->dac_state = DAC_READING;
		break;
	case VGA_PORT_DAC_WRITE:
		v->dac_write = b;
		v->dac_part = 0;
		v->dac_state = DAC_WRITING;
		break;
	case VGA_PORT_DAC_DATA:
		dac_data_write(v, b);
		break;
	case VGA_PORT_GRAPHICS:
		v->graphics_index = b;
		break;
	case VGA_PORT_GRAPHICS + DATA:
		if (v->graphics_index < VGA_GRAPHICS_COUNT)
			v->graphics[v->graphics_index] = b & graphics_bits[v->graphics_index];
		break;
	default:
		break;
	}
}

/* The 64 colors of an EGA: two bits for each of red, green and blue, of weight 2/3 and 1/3. */
static void dac_mode3(struct vga *v)
{
	for (unsigned i = 0; i < 64; i++) {
		for (unsigned part = 0; part < 3; part++) {
			const unsigned strong = i >> (2 - part) & 1, weak = i >> (5 - part) & 1;

			v->dac[i][part] = (uint8_t)(0x2a * strong + 0x15 * weak);
		}
	}
}

static void vga_reset(struct device *dev)
{
	struct vga *v = vga_of(dev);

	v->misc = MISC_MODE3;
	v->feature = 0;
	v->enable = 1;
	v->crtc_index = 0;
	v->sequencer_index = 0;
	v->graphics_index = 0;
	v->attribute_index = VGA_ATTRIBUTE_SHOWN;
	v->attribute_data = false;
	v->status1_reads = 0;
	memcpy(v->crtc, crtc_mode3, sizeof(v->crtc));
	memcpy(v->sequencer, sequencer_mode3, sizeof(v->sequencer));
	memcpy(v->graphics, graphics_mode3, sizeof(v->graphics));
	memcpy(v->attribute, attribute_mode3, sizeof(v->attribute));
	v->dac_mask = 0xff;
	v->dac_state = DAC_WRITING;
	v->dac_write = 0;
	v->dac_read = 0;
	v->dac_part = 0;
	memset(v->dac_latch, 0, sizeof(v->dac_latch));
	memset(v->dac, 0, sizeof(v->dac));
	dac_mode3(v);
}

void vga_init(struct vga *v)
{
	v->dev = (struct device){
		.name = "vga",
		.lock = SPINLOCK_INIT(RANK_DEVICE, "vga"),
		.reset = vga_reset,
	};
	vga_reset(&v->dev);
}

static const struct io_ops crtc_color_ops = {
	.read = crtc_color_read,
	.write = crtc_color_write,
	.sizes = 1,
};
static const struct io_ops crtc_mono_ops = {
	.read = crtc_mono_read,
	.write = crtc_mono_write,
	.sizes = 1,
};
static const struct io_ops status1_color_ops = {
	.read = status1_color_read,
	.write = feature_color_write,
	.sizes = 1,
};
static const struct io_ops status1_mono_ops = {
	.read = status1_mono_read,
	.write = feature_mono_write,
	.sizes = 1,
};
static const struct io_ops base_ops = {
	.read = base_read,
	.write = base_write,
	.sizes = 1,
};

struct io_region vga_region(struct vga *v, unsigned i)
{
	static const struct io_region regions[VGA_REGION_COUNT] = {
		{.base = VGA_PORT_CRTC, .len = 2, .ops = &crtc_color_ops, .name = "VGA CRTC"},
		{.base = VGA_PORT_STATUS1,
		 .len = 1,
		 .ops = &status1_color_ops,
		 .name = "VGA status 1"},
		{.base = VGA_PORT_BASE, .len = 16, .ops = &base_ops, .name = "VGA registers"},
		{.base = VGA_PORT_CRTC_MONO,
		 .len = 2,
		 .ops = &crtc_mono_ops,
		 .name = "VGA CRTC, mono"},
		{.base = VGA_PORT_STATUS1_MONO,
		 .len = 1,
		 .ops = &status1_mono_ops,
		 .name = "VGA status 1, mono"},
	};
	struct io_region r = regions[i];

	r.dev = &v->dev;
	return r;
}

uint16_t vga_cursor(const struct vga *v)
{
	return (uint16_t)(v->crtc[VGA_CRTC_CURSOR_HIGH] << 8 | v->crtc[VGA_CRTC_CURSOR_LOW]);
}

uint16_t vga_start(const struct vga *v)
{
	return (uint16_t)(v->crtc[VGA_CRTC_START_HIGH] << 8 | v->crtc[VGA_CRTC_START_LOW]);
}

bool vga_cursor_shown(const struct vga *v)
{
	return !(v->crtc[VGA_CRTC_CURSOR_START] & VGA_CURSOR_OFF);
}
