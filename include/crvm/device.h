/*
 * What a device model is to the rest (devices/ includes this, io.h, addr.h and lib only). A device
 * knows no VM, no vCPU and no other device: what it needs is handed to it at its creation, through
 * structs of functions.
 */
#pragma once

#include <crvm/io.h>
#include <crvm/spinlock.h>

struct device {
	/*
	 * RANK_DEVICE. Taken by whoever enters the device (buses, timers, console), never by the
	 * device itself. It comes first: on the way of each access, its address is no sum.
	 */
	struct spinlock lock;
	const char *name;
	void (*reset)(struct device *d);
};

/* A wire that the device drives: level up or down. Called with the device's lock held. */
struct irq_line {
	void (*set)(void *ctx, bool level);
	void *ctx;
};

/*
 * Time as a device sees it: nanoseconds since its VM was made. Runs with real time, never backward,
 * and on over resets.
 */
struct device_clock {
	uint64_t (*now)(void *ctx);
	void *ctx;
};

#define DEVICE_NEVER UINT64_MAX

/*
 * One alarm of a device: at `deadline` or soon after, whoever made the device calls the device's
 * function for it (X_expired) with the device's lock held. A new deadline replaces the last one;
 * DEVICE_NEVER: none. set may be called with the device's lock held, also from within X_expired; a
 * deadline that has passed already is answered by a call soon afterwards, never from within set.
 */
struct device_timer {
	void (*set)(void *ctx, uint64_t deadline);
	void *ctx;
};
