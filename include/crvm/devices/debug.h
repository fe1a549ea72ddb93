/*
 * The debug ports (devices/debug.c): a console to write to, an exit for test guests, and the port
 * that everybody delays on. Knows no console and no VM: what is written goes out through struct
 * debug_ops.
 */
#pragma once

#include <crvm/device.h>

#define DEBUG_REGION_COUNT 4u

enum debug_port {
	DEBUG_PORT_POST = 0x80,	   /* read and write: the last byte written */
	DEBUG_PORT_CONSOLE = 0xe9, /* write: a character; read: E9h, which says that it is there */
	DEBUG_PORT_EXIT = 0xf4,	   /* write of 1, 2 or 4 bytes: the guest's exit code; read: 0 */
	DEBUG_PORT_FIRMWARE = 0x402, /* as the console: where SeaBIOS looks for one */
};

/* Called with the device's lock held. Any may be NULL. */
struct debug_ops {
	void (*tx_byte)(void *ctx, uint8_t byte);
	void (*exit)(void *ctx, uint32_t code);
	void *ctx;
};

struct debug_device {
	struct device dev;
	struct debug_ops ops;
	uint8_t post;
};

void debug_init(struct debug_device *d, const struct debug_ops *ops);

/* What to add to the VM's port bus: region `i` < DEBUG_REGION_COUNT. */
struct io_region debug_region(struct debug_device *d, unsigned i);
