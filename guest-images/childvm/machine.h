/*
 * The PC around the child's vCPU (machine.c, ports.c): CRVM's device models, wired as CRVM wires
 * them for its own VMs. Knows no hypercall: what the child does at a port comes as calls, and its
 * interrupts are asked for.
 */
#pragma once

#include <crvm/io.h>

#define MACHINE_MEMORY	   (8u << 20)
#define MACHINE_DISK_COUNT 4u

/* Built once; `unix_ns`: wall-clock time when clock_now was 0. Disks are attached before reset. */
void machine_init(uint64_t unix_ns);
/* Disk 0 to 3; what the child writes is written there. Of less than a sector: none. */
void machine_attach_disk(unsigned n, uint8_t *data, uint64_t size);
/* As at power-on. */
void machine_reset(void);

/* Where its ports are: region i; NULL: there are no more. */
const struct io_region *machine_region(unsigned i);

/* Whether the CPU is being interrupted, and if it is ready for that, by which vector (-1: no more).
 */
bool machine_irq_waits(void);
int machine_irq_take(void);

/* Something was typed. */
void machine_input(void);

/* Whether it was asked to reset, since it was. */
bool machine_wants_reset(void);

/*
 * ports.c: accesses to a region, by offsets within it, as core/io_bus.c does them: `count` items of
 * `size` bytes, 1, 2 or 4, in a buffer.
 */
void ports_read(const struct io_region *r, uint64_t offset, unsigned size, void *items,
		uint32_t count);
void ports_write(const struct io_region *r, uint64_t offset, unsigned size, const void *items,
		 uint32_t count);
