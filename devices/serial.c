/*
 * The 16550A as a guest sees it: see the header. It must not know where bytes come from and go to.
 *
 * The transmitter is always empty. The receiver holds one byte, or 16 with the FIFO enabled, and
 * fetches blocks of as many as fit: after a block of n bytes the line is busy for n character
 * times, and after the receiver was full it starts anew with the guest's first read.
 */
#include <crvm/devices/serial.h>

enum serial_register {
	SERIAL_RBR = 0, /* THR when written; DLL while LCR.DLAB is set */
	SERIAL_IER = 1, /* DLM while LCR.DLAB is set */
	SERIAL_IIR = 2, /* FCR when written */
	SERIAL_LCR = 3,
	SERIAL_MCR = 4,
	SERIAL_LSR = 5,
	SERIAL_MSR = 6,
	SERIAL_SCR = 7,
};

enum {
	IER_ERBFI = 1u << 0, /* received data available, and the FIFO's timeout */
	IER_ETBEI = 1u << 1, /* transmitter holding register empty */
	IER_ELSI = 1u << 2,  /* receiver line status */
	IER_EDSSI = 1u << 3, /* modem status */
	IER_BITS = 0x0f,

	IIR_MODEM = 0x0,
	IIR_NONE = 0x1,
	IIR_THRE = 0x2,
	IIR_DATA = 0x4,
	IIR_LINE = 0x6,
	IIR_TIMEOUT = 0xc,
	IIR_FIFO = 0xc0,

	FCR_ENABLE = 1u << 0,
	FCR_RCVR_RESET = 1u << 1,
	FCR_TRIGGER_SHIFT = 6,
	FCR_KEPT = 0xc9, /* the resets do themselves and are over */

	LCR_WLS = 0x03, /* word length, less 5 */
	LCR_STB = 1u << 2,
	LCR_PEN = 1u << 3,
	LCR_BREAK = 1u << 6,
	LCR_DLAB = 1u << 7,

	MCR_DTR = 1u << 0,
	MCR_RTS = 1u << 1,
	MCR_OUT1 = 1u << 2,
	MCR_OUT2 = 1u << 3,
	MCR_LOOP = 1u << 4,
	MCR_BITS = 0x1f,

	LSR_DR = 1u << 0,
	LSR_OE = 1u << 1,
	LSR_PE = 1u << 2,
	LSR_FE = 1u << 3,
	LSR_BI = 1u << 4,
	LSR_THRE = 1u << 5,
	LSR_TEMT = 1u << 6,
	LSR_RCVR_ERROR = 1u << 7, /* somewhere in the FIFO */
	LSR_LINE = LSR_OE | LSR_PE | LSR_FE | LSR_BI,
	LSR_CLEARED = LSR_LINE | LSR_RCVR_ERROR, /* by a read */

	MSR_DCTS = 1u << 0,
	MSR_DDSR = 1u << 1,
	MSR_TERI = 1u << 2,
	MSR_DDCD = 1u << 3,
	MSR_DELTAS = 0x0f,
	MSR_CTS = 1u << 4,
	MSR_DSR = 1u << 5,
	MSR_RI = 1u << 6,
	MSR_DCD = 1u << 7,
	MSR_TERMINAL = MSR_CTS | MSR_DSR | MSR_DCD, /* one is there and listens */

	DIVISOR_DEFAULT = 12,	/* 9600 baud; a reset leaves the real chip's as it was */
	HALF_BIT_NS = 4340,	/* at 115200 baud, the clock of the PC over 16 */
	CHAR_NS_MAX = 10000000, /* nobody wants to wait longer for a key */
	TIMEOUT_CHARS = 4,
};

static struct serial_port *serial_of(void *dev)
{
	return container_of(dev, struct serial_port, dev);
}

static uint64_t now(const struct serial_port *s)
{
	return s->ops.clock.now(s->ops.clock.ctx);
}

/* The interrupt of highest priority. */
static unsigned irq_source(const struct serial_port *s)
{
	if (s->lsr & LSR_LINE && s->ier & IER_ELSI)
		return IIR_LINE;
	if (s->ier & IER_ERBFI) {
		if (s->rx_count >= s->rx_trigger)
			return IIR_DATA;
		if (s->timeout)
			return IIR_TIMEOUT;
	}
	if (s->thre && s->ier & IER_ETBEI)
		return IIR_THRE;
	if (s->msr & MSR_DELTAS && s->ier & IER_EDSSI)
		return IIR_MODEM;
	return IIR_NONE;
}

static void irq_update(struct serial_port *s)
{
	const bool level = irq_source(s) != IIR_NONE;

	if (level == s->level)
		return;
	s->level = level;
	s->ops.irq.set(s->ops.irq.ctx, level);
}

/* Never without the FIFO, where the trigger level is 1. */
static bool timeout_runs(const struct serial_port *s)
{
	return s->rx_count && s->rx_count < s->rx_trigger && !s->timeout;
}

/*
 * The alarm is only ever made earlier: a guest that empties its FIFO would otherwise set it anew
 * with each byte. One that comes too early finds nothing due.
 */
static void alarm_update(struct serial_port *s)
{
	uint64_t at = DEVICE_NEVER;

	if (s->rx_wait == SERIAL_RX_LINE)
		at = s->rx_next;
	if (timeout_runs(s) && s->rx_last + TIMEOUT_CHARS * s->char_ns < at)
		at = s->rx_last + TIMEOUT_CHARS * s->char_ns;
	if (at >= s->alarm)
		return;
	s->alarm = at;
	s->ops.timer.set(s->ops.timer.ctx, at);
}

static unsigned fifo_slot(const struct serial_port *s, unsigned i)
{
	return (s->rx_first + i) % SERIAL_FIFO_SIZE;
}

/* A byte's errors show in LSR once it is the next to be read. */
static void rx_show_first(struct serial_port *s)
{
	const unsigned bit = 1u << s->rx_first;

	if (!(s->breaks & bit))
		return;
	s->breaks &= (uint16_t)~bit;
	s->lsr |= LSR_BI | LSR_FE;
}

/* A byte has come in. Only loopback and breaks can find the receiver full. */
static void rx_put(struct serial_port *s, uint8_t byte, bool is_break)
{
	unsigned slot;

	if (s->rx_count == s->rx_size) {
		s->lsr |= LSR_OE;
		if (s->rx_size > 1)
			return; /* lost in the shift register; RBR is overwritten instead */
		s->rx_count = 0;
	}
	slot = fifo_slot(s, s->rx_count);
	s->fifo[slot] = byte;
	s->lsr |= LSR_DR;
	if (is_break) {
		s->breaks |= (uint16_t)(1u << slot);
		if (s->fcr & FCR_ENABLE)
			s->lsr |= LSR_RCVR_ERROR;
	}
	if (s->rx_count++ == 0)
		rx_show_first(s);
}

static void rx_clear(struct serial_port *s)
{
	s->rx_count = 0;
	s->breaks = 0;
	s->timeout = false;
	s->lsr &= (uint8_t) ~(LSR_DR | LSR_RCVR_ERROR);
	if (s->rx_wait == SERIAL_RX_FULL)
		s->rx_wait = SERIAL_RX_IDLE;
}

/* The line is free: fetches what fits. */
static void rx_fetch(struct serial_port *s, uint64_t t)
{
	unsigned n = 0;

	s->rx_wait = SERIAL_RX_FULL;
	while (s->rx_count < s->rx_size) {
		int byte = s->ops.rx(s->ops.ctx);

		if (byte < 0) {
			s->rx_wait = SERIAL_RX_IDLE;
			break;
		}
		rx_put(s, (uint8_t)byte, false);
		n++;
	}
	if (n) {
		s->rx_next = t + n * s->char_ns;
		s->rx_last = t;
	}
}

/* Looks whether bytes wait, unless it is known when to look next. Loopback cuts the line off. */
static void rx_start(struct serial_port *s)
{
	uint64_t t;

	if (s->rx_wait != SERIAL_RX_IDLE || s->mcr & MCR_LOOP)
		return;
	t = now(s);
	if (t >= s->rx_next)
		rx_fetch(s, t);
	else
		s->rx_wait = SERIAL_RX_LINE;
	alarm_update(s);
}

static uint8_t rbr_read(struct serial_port *s)
{
	if (s->rx_count == 0)
		return s->rbr;
	s->rbr = s->fifo[s->rx_first];
	s->rx_first = (uint8_t)fifo_slot(s, 1);
	s->timeout = false;
	if (--s->rx_count)
		rx_show_first(s);
	else
		s->lsr &= (uint8_t)~LSR_DR;
	if (s->rx_count || s->rx_wait == SERIAL_RX_FULL) {
		s->rx_last = now(s);
		if (s->rx_wait == SERIAL_RX_FULL) {
			if (s->rx_next < s->rx_last + s->char_ns)
				s->rx_next = s->rx_last + s->char_ns;
			s->rx_wait = SERIAL_RX_LINE;
		}
		alarm_update(s);
	}
	irq_update(s);
	return s->rbr;
}

/* The write takes the interrupt back, and the register is empty again at once: an edge. */
static void thr_write(struct serial_port *s, uint8_t byte)
{
	s->thre = false;
	irq_update(s);
	if (s->mcr & MCR_LOOP) {
		rx_put(s, byte & (0x1f << (s->lcr & LCR_WLS) | 0x1f), false);
		s->rx_last = now(s);
		alarm_update(s);
	} else if (!(s->lcr & LCR_BREAK)) { /* else the line is held down */
		s->ops.tx(s->ops.ctx, byte);
	}
	s->thre = true;
}

static uint8_t iir_read(struct serial_port *s)
{
	const unsigned source = irq_source(s);

	if (source == IIR_THRE) {
		s->thre = false;
		irq_update(s);
	}
	return (uint8_t)(source | (s->fcr & FCR_ENABLE ? IIR_FIFO : 0));
}

static void ier_write(struct serial_port *s, uint8_t v)
{
	/* The holding register is empty: enabling its interrupt raises it, even if IIR told it. */
	if (v & ~s->ier & IER_ETBEI)
		s->thre = true;
	s->ier = v & IER_BITS;
}

static void fcr_write(struct serial_port *s, uint8_t v)
{
	static const uint8_t triggers[4] = {1, 4, 8, 14};

	if (!(v & FCR_ENABLE))
		v = 0; /* the other bits count together with this one only */
	if ((v ^ s->fcr) & FCR_ENABLE || v & FCR_RCVR_RESET)
		rx_clear(s);
	s->fcr = v & FCR_KEPT;
	s->rx_size = v & FCR_ENABLE ? SERIAL_FIFO_SIZE : 1;
	s->rx_trigger = triggers[v >> FCR_TRIGGER_SHIFT];
	alarm_update(s);
}

static void msr_update(struct serial_port *s)
{
	unsigned lines = MSR_TERMINAL, deltas;

	if (s->mcr & MCR_LOOP) {
		lines = s->mcr & MCR_RTS ? MSR_CTS : 0;
		lines |= s->mcr & MCR_DTR ? MSR_DSR : 0;
		lines |= s->mcr & MCR_OUT1 ? MSR_RI : 0;
		lines |= s->mcr & MCR_OUT2 ? MSR_DCD : 0;
	}
	deltas = (s->msr ^ lines) >> 4;
	if (lines & MSR_RI)
		deltas &= ~(unsigned)MSR_TERI; /* its trailing edge counts only */
	s->msr = (uint8_t)(lines | deltas | (s->msr & MSR_DELTAS));
}

/* At each write of LCR: it ends each change of the divisor. The shortest is 60 us: fine enough for
 * any timer. */
static void char_time_update(struct serial_port *s)
{
	const unsigned data = 5 + (s->lcr & LCR_WLS);
	unsigned halves = 2 + 2 * data + 2; /* start bit, data, stop bit */
	uint64_t ns;

	if (s->lcr & LCR_PEN)
		halves += 2;
	if (s->lcr & LCR_STB)
		halves += data == 5 ? 1 : 2;
	ns = (uint64_t)HALF_BIT_NS * halves * (s->divisor ? s->divisor : 1u);
	s->char_ns = ns < CHAR_NS_MAX ? ns : CHAR_NS_MAX;
}

static uint8_t register_read(struct serial_port *s, uint64_t offset)
{
	uint8_t v;

	switch (offset) {
	case SERIAL_RBR:
		return s->lcr & LCR_DLAB ? (uint8_t)s->divisor : rbr_read(s);
	case SERIAL_IER:
		return s->lcr & LCR_DLAB ? (uint8_t)(s->divisor >> 8) : s->ier;
	case SERIAL_IIR:
		return iir_read(s);
	case SERIAL_LCR:
		return s->lcr;
	case SERIAL_MCR:
		return s->mcr;
	case SERIAL_LSR:
		v = s->lsr;
		s->lsr &= (uint8_t)~LSR_CLEARED;
		if (s->breaks)
			s->lsr |= LSR_RCVR_ERROR;
		irq_update(s);
		return v;
	case SERIAL_MSR:
		v = s->msr;
		s->msr &= (uint8_t)~MSR_DELTAS;
		irq_update(s);
		return v;
	default:
		return s->scr;
	}
}

static void register_write(struct serial_port *s, uint64_t offset, uint8_t v)
{
	switch (offset) {
	case SERIAL_RBR:
		if (!(s->lcr & LCR_DLAB)) {
			thr_write(s, v);
			break;
		}
		s->divisor = (uint16_t)((s->divisor & 0xff00) | v);
		break;
	case SERIAL_IER:
		if (!(s->lcr & LCR_DLAB)) {
			ier_write(s, v);
			break;
		}
		s->divisor = (uint16_t)((s->divisor & 0xff) | v << 8);
		break;
	case SERIAL_IIR:
		fcr_write(s, v);
		break;
	case SERIAL_LCR:
		s->lcr = v;
		char_time_update(s);
		break;
	case SERIAL_MCR:
		s->mcr = v & MCR_BITS;
		msr_update(s);
		break;
	case SERIAL_SCR:
		s->scr = v;
		return;
	default: /* LSR and MSR are for factory tests */
		return;
	}
	s->tx_plain =
		!(s->lcr & (LCR_DLAB | LCR_BREAK)) && !(s->mcr & MCR_LOOP) && !(s->ier & IER_ETBEI);
	/* What waited for the end of loopback, or in the console while the machine was reset. */
	if (offset != SERIAL_RBR)
		rx_start(s);
	irq_update(s);
}

static uint64_t serial_read(void *dev, uint64_t offset, unsigned size)
{
	struct serial_port *s = serial_of(dev);

	(void)size;
	if (likely(offset == SERIAL_LSR && !(s->lsr & LSR_CLEARED)))
		return s->lsr;
	return register_read(s, offset);
}

static void serial_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	struct serial_port *s = serial_of(dev);

	(void)size;
	if (likely(offset == SERIAL_RBR && s->tx_plain))
		s->ops.tx(s->ops.ctx, (uint8_t)value);
	else
		register_write(s, offset, (uint8_t)value);
}

static uint32_t serial_write_many(void *dev, uint64_t offset, unsigned size, const void *buf,
				  uint32_t count)
{
	const uint8_t *p = buf;

	for (uint32_t i = 0; i < count; i++)
		serial_write(dev, offset, size, p[i]);
	return count;
}

static const struct io_ops serial_io_ops = {
	.read = serial_read,
	.write = serial_write,
	.write_many = serial_write_many,
	.sizes = 1,
};

static void serial_reset(struct device *dev)
{
	struct serial_port *s = serial_of(dev);

	s->ier = s->fcr = s->lcr = s->mcr = s->scr = s->rbr = 0;
	s->lsr = LSR_THRE | LSR_TEMT;
	s->msr = MSR_TERMINAL;
	s->divisor = DIVISOR_DEFAULT;
	char_time_update(s);
	s->tx_plain = true;
	s->thre = s->timeout = false;
	s->breaks = 0;
	s->rx_first = s->rx_count = 0;
	s->rx_size = s->rx_trigger = 1;
	s->rx_wait = SERIAL_RX_IDLE;
	s->rx_next = s->rx_last = 0;
	if (s->alarm != DEVICE_NEVER)
		s->ops.timer.set(s->ops.timer.ctx, DEVICE_NEVER);
	s->alarm = DEVICE_NEVER;
	irq_update(s);
}

void serial_init(struct serial_port *s, const struct serial_ops *ops)
{
	*s = (struct serial_port){
		.dev =
			{
				.name = "serial",
				.lock = SPINLOCK_INIT(RANK_DEVICE, "serial"),
				.reset = serial_reset,
			},
		.ops = *ops,
		.alarm = DEVICE_NEVER,
	};
	serial_reset(&s->dev);
}

struct io_region serial_region(struct serial_port *s, uint16_t base)
{
	return (struct io_region){
		.base = base,
		.len = SERIAL_PORT_COUNT,
		.ops = &serial_io_ops,
		.dev = &s->dev,
		.name = "serial port",
	};
}

void serial_rx_ready(struct serial_port *s)
{
	rx_start(s);
	irq_update(s);
}

void serial_rx_break(struct serial_port *s)
{
	if (s->mcr & MCR_LOOP)
		return;
	rx_put(s, 0, true);
	s->rx_last = now(s);
	alarm_update(s);
	irq_update(s);
}

void serial_expired(struct serial_port *s)
{
	const uint64_t t = now(s);

	s->alarm = DEVICE_NEVER;
	if (s->rx_wait == SERIAL_RX_LINE && t >= s->rx_next) {
		s->rx_wait = SERIAL_RX_IDLE;
		rx_start(s);
	}
	if (timeout_runs(s) && t >= s->rx_last + TIMEOUT_CHARS * s->char_ns)
		s->timeout = true;
	alarm_update(s);
	irq_update(s);
}
