/*
 * The registers of a VGA in text mode 3, 80 by 25 (devices/vga.c). They are remembered and read
 * back; the cursor and the start address have accessors, for whoever shows the text. Draws nothing
 * and knows no text: B8000h is plain memory of the guest's.
 *
 * Input status 1 goes by the number of reads, not by time: a loop that waits for the retrace ends
 * after a few reads, and with them exits.
 *
 * Source: IBM PS/2 Hardware Interface Technical Reference, "Video Subsystem".
 */
#pragma once

#include <crvm/device.h>

#define VGA_REGION_COUNT 5u

enum vga_port {
	VGA_PORT_CRTC_MONO = 0x3b4, /* index, data: while misc output bit 0 is 0 */
	VGA_PORT_STATUS1_MONO = 0x3ba,
	VGA_PORT_BASE = 0x3c0,
	VGA_PORT_ATTRIBUTE = 0x3c0, /* write: index and data in turn; read: index */
	VGA_PORT_ATTRIBUTE_READ = 0x3c1,
	VGA_PORT_MISC_WRITE = 0x3c2, /* read: input status 0 */
	VGA_PORT_ENABLE = 0x3c3,
	VGA_PORT_SEQUENCER = 0x3c4, /* index, data */
	VGA_PORT_DAC_MASK = 0x3c6,
	VGA_PORT_DAC_READ = 0x3c7, /* write: index to read from; read: what DAC_DATA does */
	VGA_PORT_DAC_WRITE = 0x3c8,
	VGA_PORT_DAC_DATA = 0x3c9, /* red, green, blue, next index */
	VGA_PORT_FEATURE_READ = 0x3ca,
	VGA_PORT_MISC_READ = 0x3cc,
	VGA_PORT_GRAPHICS = 0x3ce, /* index, data */
	VGA_PORT_CRTC = 0x3d4,	   /* index, data: while misc output bit 0 is 1 */
	VGA_PORT_STATUS1 = 0x3da,  /* write: feature control */
};

enum vga_crtc {
	VGA_CRTC_CURSOR_START = 0x0a, /* bit 5: no cursor */
	VGA_CRTC_CURSOR_END = 0x0b,
	VGA_CRTC_START_HIGH = 0x0c,
	VGA_CRTC_START_LOW = 0x0d,
	VGA_CRTC_CURSOR_HIGH = 0x0e,
	VGA_CRTC_CURSOR_LOW = 0x0f,
	VGA_CRTC_SYNC_END = 0x11, /* bit 7 protects registers 0 to 7 */
	VGA_CRTC_COUNT = 0x19,
};

enum vga_count {
	VGA_SEQUENCER_COUNT = 5,
	VGA_GRAPHICS_COUNT = 9,
	VGA_ATTRIBUTE_COUNT = 0x15,
	VGA_DAC_COUNT = 256,
};

enum vga_bits {
	VGA_MISC_COLOR = 1u << 0,      /* CRTC and status 1 at 3Dxh, not 3Bxh */
	VGA_STATUS0_SENSE = 1u << 4,   /* a monitor is there */
	VGA_STATUS1_BLANK = 1u << 0,   /* horizontal or vertical */
	VGA_STATUS1_RETRACE = 1u << 3, /* vertical */
	VGA_ATTRIBUTE_SHOWN = 1u << 5, /* in the index: the palette is in use, not to be written */
	VGA_CURSOR_OFF = 1u << 5,
	VGA_CRTC_PROTECT = 1u << 7,
};

struct vga {
	struct device dev;
	uint8_t misc, feature, enable;
	uint8_t crtc_index, sequencer_index, graphics_index, attribute_index;
	bool attribute_data; /* the next write to 3C0h is data */
	uint8_t status1_reads;
	uint8_t crtc[VGA_CRTC_COUNT];
	uint8_t sequencer[VGA_SEQUENCER_COUNT];
	uint8_t graphics[VGA_GRAPHICS_COUNT];
	uint8_t attribute[VGA_ATTRIBUTE_COUNT];
	uint8_t dac_mask, dac_state, dac_write, dac_read,
		dac_part;     /* part: 0 red, 1 green, 2 blue */
	uint8_t dac_latch[2]; /* red and green written; the three take effect with blue */
	uint8_t dac[VGA_DAC_COUNT][3];
};

/* As a BIOS leaves it after mode 3. */
void vga_init(struct vga *v);

/* What to add to the VM's port bus: region `i` < VGA_REGION_COUNT. */
struct io_region vga_region(struct vga *v, unsigned i);

/* Cells from B8000h (two bytes each): where the cursor is, and which one is at the top left. With
 * the device's lock held. Any number: the guest wrote them. */
uint16_t vga_cursor(const struct vga *v);
uint16_t vga_start(const struct vga *v);
bool vga_cursor_shown(const struct vga *v);
