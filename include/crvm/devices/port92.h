/*
 * System control port A (devices/port92.c): the A20 gate and the fast reset of the PS/2. Knows
 * neither memory nor CPU: see struct port92_ops.
 * Source: IBM PS/2 Hardware Interface Technical Reference, "System Control Port A".
 */
#pragma once

#include <crvm/device.h>

#define PORT92_REGION_COUNT 1u

enum { PORT92_PORT = 0x92 };

enum port92_bits {
	PORT92_RESET = 1u << 0, /* 0 -> 1 resets the CPU */
	PORT92_A20 = 1u << 1,
	PORT92_BITS = 0x03, /* the others (disk lights, password lock) read 0 */
};

/*
 * Called with the device's lock held; any may be NULL. a20 tells what this device's gate is set to,
 * at every write: who made both this and the keyboard controller decides what the wire is. reset
 * must not enter the device.
 */
struct port92_ops {
	void (*a20)(void *ctx, bool on);
	void (*reset)(void *ctx);
	void *ctx;
};

struct port92 {
	struct device dev;
	struct port92_ops ops;
	uint8_t value;
};

/* A20 is open at power-on, as a BIOS leaves it. Calls nobody. */
void port92_init(struct port92 *p, const struct port92_ops *ops);

/* What to add to the VM's port bus: region `i` < PORT92_REGION_COUNT. */
struct io_region port92_region(struct port92 *p, unsigned i);
