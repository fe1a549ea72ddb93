/*
 * The two 8259A interrupt controllers of a PC (devices/pic8259.c): master at 20h with the slave on
 * its IR2, at A0h, and the edge/level registers. Knows no vCPU: that an interrupt waits goes out
 * through struct pic_ops. Other devices drive its lines while they hold their own lock; so its lock
 * has RANK_IRQCHIP, and nothing here calls a device.
 * Source: Intel 8259A data sheet; Intel 82371AB (PIIX4) data sheet, "Interrupt Controller" for the
 * edge/level registers.
 */
#pragma once

#include <crvm/device.h>

#define PIC_REGION_COUNT 3u
#define PIC_IRQ_COUNT	 16u
#define PIC_IRQ_CASCADE	 2u

enum pic_port {
	PIC_PORT_MASTER = 0x20, /* two ports: A0 = 0 and 1 */
	PIC_PORT_SLAVE = 0xa0,
	PIC_PORT_ELCR = 0x4d0, /* IRQ 0-7, then IRQ 8-15; a one: level-triggered */
};

/*
 * Called with the lock held when pic_peek may have begun to give a vector: INT rose, or one was
 * acknowledged (or polled) and another waits. Not when nothing waits. May be NULL.
 */
struct pic_ops {
	void (*intr)(void *ctx);
	void *ctx;
};

struct pic_chip {
	uint8_t line;  /* levels of the IR inputs */
	uint8_t edge;  /* rose since they were acknowledged, and still up */
	uint8_t level; /* inputs that are level-triggered: LTIM, else ELCR */
	uint8_t imr, isr;
	uint8_t first;	 /* the level of highest priority: rotation */
	uint8_t cascade; /* master: inputs with a slave (ICW3); 0 in single mode */
	uint8_t icw1, icw2, icw3, icw4;
	uint8_t elcr;
	uint8_t awaits; /* the next ICW to come, 2 to 4; 0: none */
	bool ready;	/* the ICWs are complete */
	bool special_mask, poll, read_isr, rotate_auto_eoi;
};

struct pic_pair {
	struct device dev;
	struct pic_ops ops;
	struct pic_chip chip[2]; /* master, slave */
	int16_t vector;		 /* what INTA would give; -1: INT is low */
	int16_t seen;		 /* what pic_peek gave last, if it was not taken since */
	bool via_slave;		 /* the slave's INT is why the master's is up */
	bool seen_via_slave;
};

void pic_init(struct pic_pair *p, const struct pic_ops *ops);

/* What to add to the VM's port bus: region `i` < PIC_REGION_COUNT. */
struct io_region pic_region(struct pic_pair *p, unsigned i);

/* An input, 0 to 15. 2 is the slave's, and is ignored, as are numbers that do not exist. */
void pic_set_line(struct pic_pair *p, unsigned irq, bool level);

/* The vector that INTA would give, or -1: INT is low. Here the CPU samples INTR. */
static inline int pic_peek(struct pic_pair *p)
{
	p->seen = p->vector;
	p->seen_via_slave = p->via_slave;
	return p->seen;
}

/*
 * INTA: the vector; `irq` is the input that was taken, or -1 for a spurious one. -1 if INT is low:
 * unless the last pic_peek gave a vector. Then the request fell between INTR and INTA, and the
 * answer is the spurious IRQ7 of the data sheet, or the slave's (IRQ15).
 */
int pic_ack(struct pic_pair *p, int *irq);

/* The interrupt request register of a chip, as OCW3 reads it. */
static inline uint8_t pic_chip_irr(const struct pic_chip *c)
{
	return (uint8_t)((c->line & c->level) | (c->edge & ~c->level));
}

/*
 * Whether a request is latched, not yet acknowledged, and masked neither itself nor by its cascade.
 * False while a chip that it needs is not initialised.
 */
bool pic_irq_waits(const struct pic_pair *p, unsigned irq);
