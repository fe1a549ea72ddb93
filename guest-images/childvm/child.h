/*
 * The child by hypercalls (child.c): a VM made, run and ended. Knows no device, only regions of
 * ports (machine.h).
 */
#pragma once

#include <stdint.h>
#include <crvm/hypercall.h>

/* What lies below 1 MiB, and below 4 GiB, where the CPU starts. */
#define CHILD_ROM_MAX 0x10000u

enum child_state {
	CHILD_RESETS,  /* as it wanted: to be destroyed and built again */
	CHILD_STOPPED, /* it cannot go on: child_reason */
	CHILD_FAILED,  /* a hypercall did: child_error */
};

struct child {
	int64_t number;
	int64_t error;
	uint64_t packets[HYPERCALL_PACKET_STOPPED + 1]; /* by kind */
	uint64_t at_region[HYPERCALL_TRAP_MAX];		/* PACKET_IO by region */
	uint64_t irqs;
	struct hypercall_packet packet;
};

/* Its memory with this firmware in it (1 byte to CHILD_ROM_MAX), traps at all ports of the machine,
 * its vCPU; or an error. */
int64_t child_build(struct child *c, const uint8_t *rom, uint64_t rom_size);
/* Until it cannot go on, or has reset itself. */
enum child_state child_run(struct child *c);
int64_t child_destroy(struct child *c);

const char *child_reason(const struct child *c);
