/*
 * A PC's pair of 8259A interrupt controllers, after Intel's data sheet of the 8259A. It must not
 * know who takes its interrupts, nor which device is on which line.
 *
 * INT follows from the registers at once: a request that ends, or is masked, before it is
 * acknowledged lowers it. Only a CPU that had seen INT by then (pic_peek) gets a spurious
 * interrupt. The two chips' roles are wired (SP/EN): ICW4's BUF and M/S have no effect.
 */
#include <crvm/devices/pic8259.h>

enum { MASTER = 0, SLAVE = 1, LEVELS = 8, LEVEL_MAX = LEVELS - 1 };

/* What a CPU reads when nobody answers its INTA. */
enum { BUS_FLOATS = 0xff };

/* Writes with A0 = 0: ICW1 has bit 4 set, OCW3 bit 3, OCW2 neither. */
enum {
	ICW1_IC4 = 1 << 0,  /* ICW4 will come */
	ICW1_SNGL = 1 << 1, /* no slaves: ICW3 will not come */
	ICW1_ADI = 1 << 2,  /* MCS-80/85: vectors 4 bytes apart, not 8 */
	ICW1_LTIM = 1 << 3, /* all inputs level-triggered */
	ICW1 = 1 << 4,
	OCW3 = 1 << 3,
};
enum { ICW2_T = 0xf8 };	 /* T7-T3: the vector's upper bits */
enum { ICW3_ID = 0x07 }; /* of a slave */
enum {
	ICW4_UPM = 1 << 0, /* 8086 mode */
	ICW4_AEOI = 1 << 1,
	ICW4_SFNM = 1 << 4,
};
enum {
	OCW2_L = 0x07,
	OCW2_ROTATE_AEOI_CLEAR = 0 << 5,
	OCW2_EOI = 1 << 5,
	OCW2_NOP = 2 << 5,
	OCW2_EOI_SPECIFIC = 3 << 5,
	OCW2_ROTATE_AEOI_SET = 4 << 5,
	OCW2_ROTATE_EOI = 5 << 5,
	OCW2_SET_PRIORITY = 6 << 5,
	OCW2_ROTATE_EOI_SPECIFIC = 7 << 5,
	OCW2_COMMAND = 7 << 5,
};
enum {
	OCW3_RIS = 1 << 0,
	OCW3_RR = 1 << 1,
	OCW3_P = 1 << 2,
	OCW3_SMM = 1 << 5,
	OCW3_ESMM = 1 << 6,
};
enum { POLL_I = 0x80 };

/* IRQ 0, 1, 2, 8 and 13 are wired as edge-triggered. */
static const uint8_t elcr_writable[2] = {0xf8, 0xde};

static struct pic_pair *pic_of(void *dev)
{
	return container_of(dev, struct pic_pair, dev);
}

/* The level of highest priority in a set, counted from the highest; LEVELS if it is empty. */
static inline unsigned set_first(const struct pic_chip *c, uint8_t set)
{
	const unsigned turned = ((unsigned)set | (unsigned)set << LEVELS) >> c->first;

	return (unsigned)__builtin_ctz(turned | 1u << LEVELS);
}

/* The levels in service that hold others back, and that a non-specific EOI ends. */
static inline uint8_t chip_in_service(const struct pic_chip *c)
{
	return c->special_mask ? (uint8_t)(c->isr & ~c->imr) : c->isr;
}

/* Which of the requests the chip would hand on now, or -1. */
static int chip_choose(const struct pic_chip *c, uint8_t requests)
{
	unsigned wanted, served, level;

	requests &= (uint8_t)~c->imr;
	if (requests == 0 || !c->ready)
		return -1;
	wanted = set_first(c, requests);
	served = set_first(c, chip_in_service(c));
	level = (wanted + c->first) % LEVELS;
	if (wanted < served)
		return (int)level;
	/* Special fully nested: a slave in service is not locked out. */
	if (wanted == served && (c->icw4 & ICW4_SFNM) && (c->cascade >> level & 1))
		return (int)level;
	return -1;
}

static inline int chip_best(const struct pic_chip *c)
{
	return chip_choose(c, pic_chip_irr(c));
}

static void chip_set_line(struct pic_chip *c, unsigned level, bool up)
{
	const uint8_t bit = (uint8_t)(1u << level);

	if (!up) {
		c->line &= (uint8_t)~bit;
		c->edge &= (uint8_t)~bit;
	} else if (!(c->line & bit)) {
		c->line |= bit;
		c->edge |= bit;
	}
}

static void chip_set_lowest(struct pic_chip *c, unsigned level)
{
	c->first = (uint8_t)((level + 1) % LEVELS);
}

static void chip_take(struct pic_chip *c, unsigned level)
{
	const uint8_t bit = (uint8_t)(1u << level);

	c->edge &= (uint8_t)~bit;
	if (!(c->icw4 & ICW4_AEOI))
		c->isr |= bit;
	else if (c->rotate_auto_eoi)
		chip_set_lowest(c, level);
}

/*
 * In MCS-80/85 mode the chip answers INTA with a CALL instruction; a CPU of this family takes the
 * second byte, the low half of its address, for the vector.
 */
static uint8_t chip_vector(const struct pic_chip *c, unsigned level)
{
	if (likely(c->icw4 & ICW4_UPM))
		return (uint8_t)((c->icw2 & ICW2_T) | level);
	if (c->icw1 & ICW1_ADI)
		return (uint8_t)((c->icw1 & 0xe0) | level << 2);
	return (uint8_t)((c->icw1 & 0xc0) | level << 3);
}

/* Whether the slave takes part in the INTA for this input of the master: its ICW3 has that number.
 */
static bool slave_answers(const struct pic_pair *p, unsigned level)
{
	const struct pic_chip *s = &p->chip[SLAVE];

	return s->ready && (s->icw3 & ICW3_ID) == level;
}

/* What INTA gives if the master hands on this input. */
static int pair_vector(const struct pic_pair *p, unsigned level)
{
	int inner;

	if (!(p->chip[MASTER].cascade >> level & 1))
		return chip_vector(&p->chip[MASTER], level);
	if (!slave_answers(p, level))
		return BUS_FLOATS;
	inner = chip_best(&p->chip[SLAVE]);
	return chip_vector(&p->chip[SLAVE], inner < 0 ? LEVEL_MAX : (unsigned)inner);
}

/* The registers have changed: sets INT anew. `taken`: a request was acknowledged, which ends INT
 * for a moment. */
static void pair_update(struct pic_pair *p, bool taken)
{
	const bool was_up = p->vector >= 0 && !taken;
	int level;

	chip_set_line(&p->chip[MASTER], PIC_IRQ_CASCADE, chip_best(&p->chip[SLAVE]) >= 0);
	level = chip_best(&p->chip[MASTER]);
	p->vector = level < 0 ? -1 : (int16_t)pair_vector(p, (unsigned)level);
	p->via_slave = level == PIC_IRQ_CASCADE && (p->chip[MASTER].cascade >> level & 1);
	if (p->vector >= 0 && !was_up && p->ops.intr)
		p->ops.intr(p->ops.ctx);
}

/* The slave's INT falls when its request is taken, and rises again if there is another: the master
 * sees an edge. */
static void slave_take(struct pic_pair *p, unsigned level)
{
	chip_take(&p->chip[SLAVE], level);
	chip_set_line(&p->chip[MASTER], PIC_IRQ_CASCADE, false);
}

void pic_set_line(struct pic_pair *p, unsigned irq, bool level)
{
	struct pic_chip *c = &p->chip[irq / LEVELS & 1];

	if (irq >= PIC_IRQ_COUNT || irq == PIC_IRQ_CASCADE)
		return;
	if ((c->line >> irq % LEVELS & 1) == level)
		return;
	chip_set_line(c, irq % LEVELS, level);
	pair_update(p, false);
}

/* INTA that no request answers: level 7 without its ISR bit. If the slave's INT was the reason, the
 * master has accepted IR2 by then, and only the slave finds nothing. */
static int pair_take_spurious(struct pic_pair *p)
{
	struct pic_chip *m = &p->chip[MASTER];

	if (!p->seen_via_slave || chip_choose(m, 1u << PIC_IRQ_CASCADE) < 0 ||
	    !slave_answers(p, PIC_IRQ_CASCADE))
		return chip_vector(m, LEVEL_MAX);
	chip_take(m, PIC_IRQ_CASCADE);
	return chip_vector(&p->chip[SLAVE], LEVEL_MAX);
}

/* INTA that the master answers with this input; returns which IRQ it is, or -1. */
static int pair_take(struct pic_pair *p, unsigned level)
{
	const bool cascade = p->chip[MASTER].cascade >> level & 1;
	int inner;

	chip_take(&p->chip[MASTER], level);
	if (cascade && slave_answers(p, level)) {
		inner = chip_best(&p->chip[SLAVE]);
		if (inner < 0)
			return -1;
		slave_take(p, (unsigned)inner);
		return inner + LEVELS;
	}
	return level == PIC_IRQ_CASCADE ? -1 : (int)level;
}

int pic_ack(struct pic_pair *p, int *irq)
{
	const int level = chip_best(&p->chip[MASTER]), seen = p->seen;
	int vector;

	*irq = -1;
	p->seen = -1;
	if (level >= 0) {
		vector = p->vector;
		*irq = pair_take(p, (unsigned)level);
	} else if (seen >= 0) {
		vector = pair_take_spurious(p);
	} else {
		return -1;
	}
	pair_update(p, true);
	return vector;
}

bool pic_irq_waits(const struct pic_pair *p, unsigned irq)
{
	const struct pic_chip *m = &p->chip[MASTER], *c = &p->chip[irq / LEVELS & 1];

	if (irq >= PIC_IRQ_COUNT || !m->ready || !c->ready)
		return false;
	if (c != m && (m->imr >> PIC_IRQ_CASCADE & 1))
		return false;
	return (pic_chip_irr(c) & ~c->imr) >> irq % LEVELS & 1;
}

/* --- Registers ---------------------------------------------------------------------------- */

static void chip_set_level(struct pic_chip *c)
{
	c->level = c->icw1 & ICW1_LTIM ? 0xff : c->elcr;
}

/* The sequence is complete. */
static void chip_start(struct pic_chip *c, bool master)
{
	c->awaits = 0;
	c->ready = true;
	c->cascade = master && !(c->icw1 & ICW1_SNGL) ? c->icw3 : 0;
}

/*
 * Starts the sequence, also in its midst. Edges count from here on: an input that is up must fall
 * and rise to be a request.
 */
static void chip_write_icw1(struct pic_chip *c, uint8_t value)
{
	c->icw1 = value;
	c->icw2 = c->icw4 = 0;
	c->icw3 = LEVEL_MAX; /* the slave address; a master in cascade gets its own */
	c->edge = c->imr = c->isr = c->first = 0;
	c->special_mask = c->poll = c->read_isr = c->rotate_auto_eoi = false;
	c->ready = false;
	c->awaits = 2;
	chip_set_level(c);
}

static void chip_write_icw(struct pic_chip *c, bool master, uint8_t value)
{
	switch (c->awaits) {
	case 2:
		c->icw2 = value;
		if (!(c->icw1 & ICW1_SNGL)) {
			c->awaits = 3;
			return;
		}
		break;
	case 3:
		c->icw3 = value;
		break;
	default:
		c->icw4 = value;
		chip_start(c, master);
		return;
	}
	if (c->icw1 & ICW1_IC4)
		c->awaits = 4;
	else
		chip_start(c, master);
}

static void chip_eoi(struct pic_chip *c, bool rotate)
{
	const unsigned nth = set_first(c, chip_in_service(c));
	const unsigned level = (nth + c->first) % LEVELS;

	if (nth == LEVELS) /* nothing is in service */
		return;
	c->isr &= (uint8_t) ~(1u << level);
	if (rotate)
		chip_set_lowest(c, level);
}

static void chip_write_ocw2(struct pic_chip *c, uint8_t value)
{
	const unsigned level = value & OCW2_L;

	switch (value & OCW2_COMMAND) {
	case OCW2_EOI:
		chip_eoi(c, false);
		break;
	case OCW2_EOI_SPECIFIC:
		c->isr &= (uint8_t) ~(1u << level);
		break;
	case OCW2_ROTATE_EOI:
		chip_eoi(c, true);
		break;
	case OCW2_ROTATE_EOI_SPECIFIC:
		c->isr &= (uint8_t) ~(1u << level);
		chip_set_lowest(c, level);
		break;
	case OCW2_SET_PRIORITY:
		chip_set_lowest(c, level);
		break;
	case OCW2_ROTATE_AEOI_SET:
		c->rotate_auto_eoi = true;
		break;
	case OCW2_ROTATE_AEOI_CLEAR:
		c->rotate_auto_eoi = false;
		break;
	default: /* OCW2_NOP */
		break;
	}
}

static void chip_write_ocw3(struct pic_chip *c, uint8_t value)
{
	c->poll = value & OCW3_P;
	if (value & OCW3_RR)
		c->read_isr = value & OCW3_RIS;
	if (value & OCW3_ESMM)
		c->special_mask = value & OCW3_SMM;
}

static void chip_write(struct pic_pair *p, unsigned which, uint64_t offset, uint8_t value)
{
	struct pic_chip *c = &p->chip[which];

	if (offset != 0) {
		if (likely(c->awaits == 0))
			c->imr = value;
		else
			chip_write_icw(c, which == MASTER, value);
	} else if (value & ICW1) {
		chip_write_icw1(c, value);
		if (which == MASTER) /* an INT that the CPU saw came from another life */
			p->seen = -1;
	} else if (value & OCW3) {
		chip_write_ocw3(c, value);
	} else {
		chip_write_ocw2(c, value);
	}
	pair_update(p, false);
}

/* A read that stands for INTA: the chip's own answer only, a slave is polled by itself. */
static __attribute__((noinline)) uint8_t chip_poll(struct pic_pair *p, unsigned which)
{
	struct pic_chip *c = &p->chip[which];
	const int level = chip_best(c);

	c->poll = false;
	if (level < 0)
		return LEVEL_MAX;
	if (which == SLAVE)
		slave_take(p, (unsigned)level);
	else
		chip_take(c, (unsigned)level);
	pair_update(p, true);
	return (uint8_t)(POLL_I | level);
}

static uint8_t chip_read(struct pic_pair *p, unsigned which, uint64_t offset)
{
	const struct pic_chip *c = &p->chip[which];

	if (unlikely(c->poll))
		return chip_poll(p, which);
	if (offset != 0)
		return c->imr;
	return c->read_isr ? c->isr : pic_chip_irr(c);
}

static uint64_t master_read(void *dev, uint64_t offset, unsigned size)
{
	(void)size;
	return chip_read(pic_of(dev), MASTER, offset);
}

static void master_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	(void)size;
	chip_write(pic_of(dev), MASTER, offset, (uint8_t)value);
}

static uint64_t slave_read(void *dev, uint64_t offset, unsigned size)
{
	(void)size;
	return chip_read(pic_of(dev), SLAVE, offset);
}

static void slave_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	(void)size;
	chip_write(pic_of(dev), SLAVE, offset, (uint8_t)value);
}

static uint64_t elcr_read(void *dev, uint64_t offset, unsigned size)
{
	(void)size;
	return pic_of(dev)->chip[offset & 1].elcr;
}

static void elcr_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	struct pic_pair *p = pic_of(dev);
	struct pic_chip *c = &p->chip[offset & 1];

	(void)size;
	c->elcr = (uint8_t)value & elcr_writable[offset & 1];
	chip_set_level(c);
	pair_update(p, false);
}

static const struct io_ops master_ops = {
	.read = master_read,
	.write = master_write,
	.sizes = 1,
};
static const struct io_ops slave_ops = {
	.read = slave_read,
	.write = slave_write,
	.sizes = 1,
};
static const struct io_ops elcr_ops = {
	.read = elcr_read,
	.write = elcr_write,
	.sizes = 1,
};

/* Power-on: no ICW has come. The inputs are what the other devices make them. */
static void pic_reset(struct device *dev)
{
	struct pic_pair *p = pic_of(dev);

	for (unsigned i = 0; i < array_count(p->chip); i++)
		p->chip[i] = (struct pic_chip){.line = p->chip[i].line};
	p->chip[MASTER].line &= (uint8_t) ~(1u << PIC_IRQ_CASCADE);
	p->vector = p->seen = -1;
	p->via_slave = p->seen_via_slave = false;
}

void pic_init(struct pic_pair *p, const struct pic_ops *ops)
{
	*p = (struct pic_pair){
		.dev =
			{
				.name = "pic",
				.lock = SPINLOCK_INIT(RANK_IRQCHIP, "pic"),
				.reset = pic_reset,
			},
		.ops = *ops,
	};
	pic_reset(&p->dev);
}

struct io_region pic_region(struct pic_pair *p, unsigned i)
{
	static const struct io_region regions[PIC_REGION_COUNT] = {
		{.base = PIC_PORT_MASTER, .len = 2, .ops = &master_ops, .name = "PIC master"},
		{.base = PIC_PORT_SLAVE, .len = 2, .ops = &slave_ops, .name = "PIC slave"},
		{.base = PIC_PORT_ELCR, .len = 2, .ops = &elcr_ops, .name = "PIC edge/level"},
	};
	struct io_region r = regions[i];

	r.dev = &p->dev;
	return r;
}
