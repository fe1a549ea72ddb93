/*
 * Small helpers: far memory in wider units, and text on the screen (and so on COM1). It knows no
 * service but teletype.
 */
#include "firmware.h"

uint16_t far_read16(uint16_t segment, uint16_t offset)
{
	return (uint16_t)(far_read8(segment, offset) | far_read8(segment, (uint16_t)(offset + 1))
							       << 8);
}

uint32_t far_read32(uint16_t segment, uint16_t offset)
{
	return far_read16(segment, offset) | (uint32_t)far_read16(segment, (uint16_t)(offset + 2))
						     << 16;
}

void far_write16(uint16_t segment, uint16_t offset, uint16_t v)
{
	far_write8(segment, offset, (uint8_t)v);
	far_write8(segment, (uint16_t)(offset + 1), (uint8_t)(v >> 8));
}

void far_write32(uint16_t segment, uint16_t offset, uint32_t v)
{
	far_write16(segment, offset, (uint16_t)v);
	far_write16(segment, (uint16_t)(offset + 2), (uint16_t)(v >> 16));
}

void print_char(char c)
{
	video_teletype(BDA->video_page, (uint8_t)c);
}

void print_string(const char *s)
{
	for (; *s; s++) {
		if (*s == '\n')
			print_char('\r');
		print_char(*s);
	}
}

/* By powers of ten, for an array of digits would lie on the caller's stack. */
void print_decimal(uint32_t v)
{
	uint32_t unit = 1;

	while (v / unit >= 10)
		unit *= 10;
	for (; unit; unit /= 10)
		print_char((char)('0' + v / unit % 10));
}

void print_hex8(uint8_t v)
{
	print_char("0123456789ABCDEF"[v >> 4]);
	print_char("0123456789ABCDEF"[v & 15]);
}
