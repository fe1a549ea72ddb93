/*
 * Random port accesses, lines and acknowledges on the pair of 8259As, checked against a model that
 * keeps a list of levels by priority and no register of bits.
 * needs: devices/pic8259.c
 *
 * The input is a list of commands of 2 bytes: what, and a value.
 */
#include <stdlib.h>
#include <string.h>
#include <crvm/devices/pic8259.h>

#define require(cond)            \
	do {                     \
		if (!(cond))     \
			abort(); \
	} while (0)

struct level {
	bool line, rose, served, masked, by_level;
};

struct model {
	struct level at[8];
	unsigned order[8]; /* levels, the highest first */
	unsigned icw[5], elcr, next_icw;
	bool master, ready, special, poll, isr, rotate;
};

static struct model chip[2];
static bool int_up, seen_slave;
static int seen;
static struct pic_pair pic;
static unsigned intr_count;

static void intr(void *ctx)
{
	(void)ctx;
	require(pic.vector >= 0);
	intr_count++;
}

static bool asks(const struct model *m, unsigned i)
{
	return m->at[i].by_level ? m->at[i].line : m->at[i].rose;
}

static bool has_slave(const struct model *m, unsigned i)
{
	return m->master && m->ready && !(m->icw[1] & 2) && (m->icw[3] & 1u << i);
}

static bool holds(const struct model *m, unsigned i)
{
	return m->at[i].served && !(m->special && m->at[i].masked);
}

/* Walks down the list until a request may pass or a level in service stops all below. */
static int best_of(const struct model *m, bool (*wants)(const struct model *, unsigned))
{
	for (unsigned n = 0; m->ready && n < 8; n++) {
		const unsigned i = m->order[n];
		const bool asking = wants(m, i) && !m->at[i].masked;

		if (asking && (!holds(m, i) || ((m->icw[4] & 0x10) && has_slave(m, i))))
			return (int)i;
		if (holds(m, i))
			return -1;
	}
	return -1;
}

static int best(const struct model *m)
{
	return best_of(m, asks);
}

static bool is_cascade(const struct model *m, unsigned i)
{
	(void)m;
	return i == 2;
}

static void line(struct model *m, unsigned i, bool up)
{
	m->at[i].rose = up && (m->at[i].rose || !m->at[i].line);
	m->at[i].line = up;
}

static void lowest(struct model *m, unsigned i)
{
	while (m->order[7] != i) {
		const unsigned top = m->order[0];

		memmove(m->order, m->order + 1, 7 * sizeof(m->order[0]));
		m->order[7] = top;
	}
}

static void take(struct model *m, unsigned i)
{
	m->at[i].rose = false;
	if (!(m->icw[4] & 2))
		m->at[i].served = true;
	else if (m->rotate)
		lowest(m, i);
	if (!m->master)
		line(&chip[0], 2, false);
}

static int vector_of(const struct model *m, unsigned i)
{
	if (m->icw[4] & 1)
		return (int)((m->icw[2] & 0xf8) + i);
	return (int)(m->icw[1] & 4 ? (m->icw[1] & 0xe0) + 4 * i : (m->icw[1] & 0xc0) + 8 * i);
}

static bool answers(unsigned i)
{
	return chip[1].ready && (chip[1].icw[3] & 7) == i;
}

static int model_peek(void)
{
	const int i = best(&chip[0]), s = best(&chip[1]);

	if (i < 0)
		return -1;
	if (!has_slave(&chip[0], (unsigned)i))
		return vector_of(&chip[0], (unsigned)i);
	return answers((unsigned)i) ? vector_of(&chip[1], s < 0 ? 7 : (unsigned)s) : 0xff;
}

static void settle(void)
{
	line(&chip[0], 2, best(&chip[1]) >= 0);
}

static int model_ack(int *irq)
{
	const int i = best(&chip[0]), s = best(&chip[1]), vector = model_peek();
	const bool spurious = seen >= 0;

	*irq = -1;
	seen = -1;
	if (i < 0 && spurious) {
		if (!seen_slave || best_of(&chip[0], is_cascade) != 2 || !answers(2))
			return vector_of(&chip[0], 7);
		take(&chip[0], 2);
		return vector_of(&chip[1], 7);
	}
	if (i < 0)
		return -1;
	if (has_slave(&chip[0], (unsigned)i) && answers((unsigned)i)) {
		take(&chip[0], (unsigned)i);
		if (s >= 0) {
			take(&chip[1], (unsigned)s);
			*irq = 8 + s;
		}
	} else {
		take(&chip[0], (unsigned)i);
		*irq = i == 2 ? -1 : i;
	}
	return vector;
}

static void find_triggers(struct model *m)
{
	for (unsigned i = 0; i < 8; i++)
		m->at[i].by_level = (m->icw[1] & 8) || (m->elcr & 1u << i);
}

static void start(struct model *m, unsigned v)
{
	for (unsigned i = 0; i < 8; i++) {
		m->at[i] = (struct level){.line = m->at[i].line};
		m->order[i] = i;
	}
	m->ready = m->special = m->poll = m->isr = m->rotate = false;
	memset(m->icw, 0, sizeof(m->icw));
	m->icw[1] = v;
	m->icw[3] = 7;
	m->next_icw = 2;
	find_triggers(m);
}

static void ocw2(struct model *m, unsigned v)
{
	const unsigned command = v >> 5, i = v & 7;

	if (command == 0 || command == 4)
		m->rotate = command == 4;
	if (command == 3 || command == 7)
		m->at[i].served = false;
	if (command == 6 || command == 7)
		lowest(m, i);
	for (unsigned n = 0; (command == 1 || command == 5) && n < 8; n++) {
		const unsigned level = m->order[n];

		if (!holds(m, level))
			continue;
		m->at[level].served = false;
		if (command == 5)
			lowest(m, level);
		break;
	}
}

static void data_write(struct model *m, unsigned v)
{
	if (m->next_icw == 0) {
		for (unsigned i = 0; i < 8; i++)
			m->at[i].masked = v >> i & 1;
		return;
	}
	m->icw[m->next_icw++] = v;
	if (m->next_icw == 3 && (m->icw[1] & 2))
		m->next_icw = 4;
	if (m->next_icw == 4 && !(m->icw[1] & 1))
		m->next_icw = 5;
	if (m->next_icw == 5) {
		m->next_icw = 0;
		m->ready = true;
	}
}

static void model_write(struct model *m, unsigned a0, unsigned v)
{
	if (a0) {
		data_write(m, v);
	} else if (v & 0x10) {
		start(m, v);
		if (m->master)
			seen = -1;
	} else if (v & 8) {
		m->poll = v & 4;
		if (v & 2)
			m->isr = v & 1;
		if (v & 0x40)
			m->special = v & 0x20;
	} else {
		ocw2(m, v);
	}
}

static unsigned model_read(struct model *m, unsigned a0)
{
	const int i = best(m);
	unsigned v = 0;

	if (m->poll) {
		m->poll = false;
		if (i < 0)
			return 7;
		take(m, (unsigned)i);
		return 0x80 | (unsigned)i;
	}
	for (unsigned n = 0; n < 8; n++)
		v |= (unsigned)(a0 ? m->at[n].masked : m->isr ? m->at[n].served : asks(m, n)) << n;
	return v;
}

static void model_reset(void)
{
	for (unsigned n = 0; n < 2; n++) {
		struct level was[8];

		memcpy(was, chip[n].at, sizeof(was));
		chip[n] = (struct model){.master = n == 0};
		for (unsigned i = 0; i < 8; i++) {
			chip[n].at[i].line = was[i].line && (n == 1 || i != 2);
			chip[n].order[i] = i;
		}
	}
	seen = -1;
	seen_slave = false;
}

/* What the last access may have raised must have been told, and nothing else. */
static void check_state(bool taken)
{
	const int vector = model_peek();

	require(pic.vector == vector);
	require(intr_count == (vector >= 0 && (taken || !int_up)));
	int_up = vector >= 0;
	for (unsigned irq = 0; irq < 18; irq++) {
		const struct model *m = &chip[irq / 8 & 1];
		bool waits = irq < 16 && m->ready && chip[0].ready && asks(m, irq % 8) &&
			     !m->at[irq % 8].masked && (irq < 8 || !chip[0].at[2].masked);

		require(pic_irq_waits(&pic, irq) == waits);
	}
}

static void elcr_write(unsigned n, unsigned v)
{
	struct io_region r = pic_region(&pic, 2);

	r.ops->write(r.dev, n, 1, v);
	chip[n].elcr = v & (n ? 0xde : 0xf8);
	find_triggers(&chip[n]);
	require(r.ops->read(r.dev, n, 1) == chip[n].elcr);
}

static void command(unsigned what, unsigned v)
{
	const unsigned n = what >> 4 & 1, a0 = what >> 5 & 1;
	struct io_region r = pic_region(&pic, n);
	int irq = 0, model_irq = 0, vector;
	bool taken = false;

	intr_count = 0;
	switch (what & 15) {
	case 0 ... 3:
		r.ops->write(r.dev, a0, 1, v);
		model_write(&chip[n], a0, v);
		break;
	case 4:
	case 5:
		taken = chip[n].poll && best(&chip[n]) >= 0;
		require(r.ops->read(r.dev, a0, 1) == model_read(&chip[n], a0));
		break;
	case 6:
		if ((v & 15) == 15)
			elcr_write(n, v | what << 4);
		break;
	case 7:
		if (v == 0xff) {
			pic.dev.reset(&pic.dev);
			model_reset();
			int_up = false;
		}
		break;
	case 8 ... 11:
		pic_set_line(&pic, v & 31, what & 16);
		if ((v & 31) < 16 && (v & 31) != 2)
			line(&chip[(v & 31) / 8], v & 7, what & 16);
		break;
	case 12:
	case 13:
		seen = model_peek();
		seen_slave = seen >= 0 && best(&chip[0]) == 2 && has_slave(&chip[0], 2);
		require(pic_peek(&pic) == seen);
		break;
	default:
		vector = model_ack(&model_irq);
		taken = vector >= 0;
		require(pic_ack(&pic, &irq) == vector && irq == model_irq);
		break;
	}
	settle();
	check_state(taken);
}

static void pair_init(unsigned icw4)
{
	static const uint8_t icw[2][3] = {{0x11, 0x20, 0x04}, {0x11, 0x28, 0x02}};

	for (unsigned n = 0; n < 2; n++) {
		command(n << 4, icw[n][0]);
		command(n << 4 | 0x20, icw[n][1]);
		command(n << 4 | 0x20, icw[n][2]);
		command(n << 4 | 0x20, icw4);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct pic_ops ops = {intr, NULL};

	pic_init(&pic, &ops);
	memset(chip, 0, sizeof(chip));
	model_reset();
	int_up = false;
	if (size > 0 && data[0] & 1) /* not all inputs need find out how to begin */
		pair_init(data[0] >> 1 & 0x13);
	for (size_t i = 1; i + 2 <= size && i < 4096; i += 2)
		command(data[i], data[i + 1]);
	return 0;
}
