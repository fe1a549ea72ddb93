/*
 * What a device model is to the rest (devices/ includes this, io.h, addr.h and lib only). A device
 * knows no VM, no vCPU and no other device: what it needs is handed to it at its creation, through
 * structs of functions.
 */
#pragma once

#include <crvm/io.h>
#include <crvm/spinlock.h>

struct device {
	const char *name;
	/* Taken by whoever enters the device (buses, timers, console), never by the device itself.
	 */
	struct spinlock lock; /* RANK_DEVICE */
	void (*reset)(struct device *d);
};

/* A wire that the device drives: level up or down. Called with the device's lock held. */
struct irq_line {
	void (*set)(void *ctx, bool level);
	void *ctx;
};
