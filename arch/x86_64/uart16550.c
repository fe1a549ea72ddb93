/*
 * The host's 16550 serial port, to include/crvm/uart16550.h. Must not know the console, the log or
 * which port this is: registers are reached through struct uart_io only. Source: National
 * Semiconductor PC16550D data sheet, "Registers" and "FIFO Interrupt Mode Operation".
 */
#include <crvm/cpu.h>
#include <crvm/uart16550.h>

enum uart_reg {
	UART_DATA = 0, /* RBR, THR; DLL while LCR.DLAB is set */
	UART_IER = 1,  /* DLM while LCR.DLAB is set */
	UART_IIR = 2,  /* FCR when written */
	UART_LCR = 3,
	UART_MCR = 4,
	UART_LSR = 5,
	UART_MSR = 6,
	UART_SCR = 7,

	IER_RX = 1u << 0, /* received data, and the FIFO's timeout */
	IER_TX = 1u << 1,
	IER_LINE = 1u << 2,

	IIR_NONE = 1u << 0,
	IIR_SOURCE = 0x0f,
	IIR_MODEM = 0x00,
	IIR_TIMEOUT = 0x0c,
	IIR_FIFO_BITS =
		0xd0, /* bit 4 is always 0 on a real chip, and 1 where no chip drives the bus */
	IIR_FIFO_WORKS = 0xc0,

	FCR_OFF = 0x00,
	FCR_ON = 0xc7, /* enabled, both sides cleared, interrupt at 14 bytes */

	LCR_8N1 = 0x03,
	LCR_DLAB = 1u << 7,

	MCR_DTR = 1u << 0,
	MCR_RTS = 1u << 1,
	MCR_OUT1 = 1u << 2,
	MCR_OUT2 = 1u << 3, /* on a PC, lets the interrupt out of the chip */
	MCR_LOOP = 1u << 4,
	MCR_RUN = MCR_DTR | MCR_RTS | MCR_OUT2,

	LSR_DATA = 1u << 0,
	LSR_OVERRUN = 1u << 1,
	LSR_ERRORS = 0x1e, /* overrun, parity, framing, break */
	LSR_THRE = 1u << 5,
	LSR_IDLE = 1u << 6,
	LSR_GONE = 0xff,

	MSR_INPUTS = 0xf0,
	MSR_CTS = 1u << 4,
	MSR_DSR = 1u << 5,
	MSR_RI = 1u << 6,
	MSR_DCD = 1u << 7,

	UART_FIFO_SIZE = 16,
	UART_ROUND_MAX = 256, /* of one interrupt */
	UART_DRAIN_MAX = 64,  /* bytes read in one round: the largest FIFO of the family */
	/* Reads of LSR: 17 characters at 9600 baud, at about a microsecond each, with room to
	   spare. */
	UART_IDLE_SPINS = 200000,
};

static uint8_t uart_get(const struct uart_io *io, enum uart_reg reg)
{
	return io->read(io->ctx, reg);
}

static void uart_set(const struct uart_io *io, enum uart_reg reg, unsigned v)
{
	io->write(io->ctx, reg, (uint8_t)v);
}

/* Reads LCR between the write and the read, since an empty bus may echo what was on it last. */
static bool uart_scratch_keeps(const struct uart_io *io, uint8_t v)
{
	uart_set(io, UART_SCR, v);
	(void)uart_get(io, UART_LCR);
	return uart_get(io, UART_SCR) == v;
}

static bool uart_loops(const struct uart_io *io, unsigned mcr, unsigned msr)
{
	uart_set(io, UART_MCR, MCR_LOOP | mcr);
	return (uart_get(io, UART_MSR) & MSR_INPUTS) == msr;
}

/* Waits, within a bound, until what was handed to the chip before us is on the line. */
static bool uart_wait_idle(const struct uart_io *io)
{
	for (unsigned i = 0; i < UART_IDLE_SPINS; i++) {
		uint8_t lsr = uart_get(io, UART_LSR);

		if (lsr == LSR_GONE)
			return false;
		if (lsr & LSR_IDLE)
			return true;
		cpu_relax();
	}
	return false;
}

/*
 * An 8250 has no scratch register, and thus counts as absent: without one, nothing tells it safely
 * from some other device. Changes of the modem inputs that were noted in MSR before the call are
 * forgotten.
 */
bool uart_present(const struct uart_io *io)
{
	uint8_t scratch = uart_get(io, UART_SCR);
	bool ok = uart_scratch_keeps(io, 0x5a) && uart_scratch_keeps(io, 0xa5);
	uint8_t lcr, ier, mcr;

	uart_set(io, UART_SCR, scratch);
	/* In loopback a character still on its way would be cut off and come back as input. */
	if (!ok || !uart_wait_idle(io))
		return false;

	lcr = uart_get(io, UART_LCR);
	uart_set(io, UART_LCR, lcr & ~(unsigned)LCR_DLAB);
	ier = uart_get(io, UART_IER);
	uart_set(io, UART_IER, 0);
	mcr = uart_get(io, UART_MCR);
	ok = uart_loops(io, MCR_RTS | MCR_OUT2, MSR_CTS | MSR_DCD) &&
	     uart_loops(io, MCR_DTR | MCR_OUT1, MSR_DSR | MSR_RI);
	uart_set(io, UART_MCR, mcr);
	(void)uart_get(io, UART_MSR); /* the changes that the test made */
	uart_set(io, UART_IER, ier);
	uart_set(io, UART_LCR, lcr);
	return ok;
}

static bool uart_fifo_enable(const struct uart_io *io)
{
	uart_set(io, UART_IIR, FCR_ON);
	if ((uart_get(io, UART_IIR) & IIR_FIFO_BITS) == IIR_FIFO_WORKS)
		return true;
	/* A 16550 without the A shows one bit of the two: its FIFO loses data. */
	uart_set(io, UART_IIR, FCR_OFF);
	return false;
}

void uart_init(struct uart16550 *u, const struct uart_io *io, uint16_t divisor, uint8_t *tx_buf,
	       uint32_t tx_size, uint8_t *rx_buf, uint32_t rx_size)
{
	*u = (struct uart16550){.io = *io, .lock = SPINLOCK_INIT(RANK_UART, "uart")};
	ring_init(&u->tx, tx_buf, tx_size);
	ring_init(&u->rx, rx_buf, rx_size);

	/* The boot loader's last words go out whole if they can. */
	(void)uart_wait_idle(io);
	uart_set(io, UART_LCR, LCR_8N1);
	uart_set(io, UART_IER, 0);
	if (divisor) {
		uart_set(io, UART_LCR, LCR_8N1 | LCR_DLAB);
		uart_set(io, UART_DATA, divisor & 0xff);
		uart_set(io, UART_IER, divisor >> 8);
		uart_set(io, UART_LCR, LCR_8N1);
	}
	u->fifo = uart_fifo_enable(io);
	uart_set(io, UART_MCR, MCR_RUN);
	/* An old byte, which a chip without FIFO may hold, and old changes of the modem inputs. */
	(void)uart_get(io, UART_DATA);
	(void)uart_get(io, UART_MSR);
}

static void uart_ier_set(struct uart16550 *u, unsigned ier)
{
	if (u->ier == ier)
		return;
	u->ier = (uint8_t)ier;
	uart_set(&u->io, UART_IER, ier);
}

/*
 * All reads of LSR of a running port come here, because reading clears the error bits. Bytes with
 * an error are delivered like others; they are only counted. False: the chip is gone.
 */
static bool uart_lsr_get(struct uart16550 *u, uint8_t *lsr)
{
	*lsr = uart_get(&u->io, UART_LSR);
	if (*lsr == LSR_GONE)
		return false;
	if (*lsr & LSR_ERRORS)
		u->rx_errors++;
	if (*lsr & LSR_OVERRUN)
		u->lost_rx++; /* at least one; the chip does not count */
	return true;
}

/*
 * While rx is full, bytes stay in the chip's FIFO: its receive interrupt is off, or it would never
 * be silent, and RTS asks the other side to wait. If it does not heed that, the chip overruns and
 * the loss is counted.
 */
static void uart_rx_pause(struct uart16550 *u)
{
	if (!(u->ier & IER_RX))
		return;
	uart_ier_set(u, u->ier & ~(unsigned)IER_RX);
	uart_set(&u->io, UART_MCR, MCR_RUN & ~(unsigned)MCR_RTS);
}

static void uart_rx_resume(struct uart16550 *u)
{
	if (u->ier & IER_RX)
		return;
	uart_set(&u->io, UART_MCR, MCR_RUN);
	uart_ier_set(u, u->ier | IER_RX);
}

/* Moves received bytes to rx; returns how many. */
static unsigned uart_rx_drain(struct uart16550 *u, uint8_t lsr)
{
	unsigned n = 0;

	while (n < UART_DRAIN_MAX && (lsr & LSR_DATA)) {
		uint8_t c;

		if (!ring_free(&u->rx)) {
			uart_rx_pause(u);
			break;
		}
		c = uart_get(&u->io, UART_DATA);
		(void)ring_put(&u->rx, &c, 1); /* there is room */
		n++;
		if (!uart_lsr_get(u, &lsr))
			break;
	}
	return n;
}

/* Gives the chip, whose transmitter said that it is empty, what fits; returns how many bytes. */
static unsigned uart_tx_fill(struct uart16550 *u)
{
	uint8_t buf[UART_FIFO_SIZE];
	uint32_t n = ring_get(&u->tx, buf, u->fifo ? sizeof(buf) : 1);

	for (uint32_t i = 0; i < n; i++)
		uart_set(&u->io, UART_DATA, buf[i]);
	return n;
}

/* The transmitter's interrupt is wanted only while there is more to send. */
static void uart_tx_irq_update(struct uart16550 *u)
{
	if (ring_used(&u->tx))
		uart_ier_set(u, u->ier | IER_TX);
	else
		uart_ier_set(u, u->ier & ~(unsigned)IER_TX);
}

/*
 * Gets the transmitter going. By the data sheet, setting IER_TX while THR is empty interrupts at
 * once; chips are known that do not. So THR is looked at once more after that: either it was empty
 * and is filled here, or it becomes empty later, with the interrupt enabled, which all chips
 * notice.
 */
static void uart_tx_kick(struct uart16550 *u)
{
	uint8_t lsr;

	do {
		if (!uart_lsr_get(u, &lsr))
			return;
	} while ((lsr & LSR_THRE) && uart_tx_fill(u) && !u->irq_driven);
	if (!u->irq_driven)
		return;
	uart_tx_irq_update(u);
	if (!(u->ier & IER_TX) || !uart_lsr_get(u, &lsr) || !(lsr & LSR_THRE))
		return;
	(void)uart_tx_fill(u);
	uart_tx_irq_update(u);
}

void uart_use_irq(struct uart16550 *u)
{
	uint64_t flags = spin_lock_irqsave(&u->lock);

	u->irq_driven = true;
	uart_ier_set(u, IER_RX | IER_LINE);
	uart_tx_kick(u);
	spin_unlock_irqrestore(&u->lock, flags);
}

bool uart_send(struct uart16550 *u, const void *data, uint32_t n)
{
	bool ok = ring_put(&u->tx, data, n);
	uint64_t flags = spin_lock_irqsave(&u->lock);

	uart_tx_kick(u);
	/* What the chip just took may have made room. */
	if (!ok && ring_put(&u->tx, data, n)) {
		ok = true;
		uart_tx_kick(u);
	}
	spin_unlock_irqrestore(&u->lock, flags);
	if (!ok)
		u->lost_tx += n;
	return ok;
}

/*
 * Without interrupts, this is where the receiver is looked at. The lock is held throughout, or an
 * interrupt on another CPU could pause the receiver right after the look at ier here found it
 * running.
 */
uint32_t uart_receive(struct uart16550 *u, void *data, uint32_t n)
{
	uint64_t flags = spin_lock_irqsave(&u->lock);
	uint32_t got;
	uint8_t lsr;

	if (!u->irq_driven && uart_lsr_get(u, &lsr))
		(void)uart_rx_drain(u, lsr);
	got = ring_get(&u->rx, data, n);
	if (u->irq_driven && ring_free(&u->rx))
		uart_rx_resume(u);
	spin_unlock_irqrestore(&u->lock, flags);
	return got;
}

/*
 * Serves all that is due, whatever source the chip named: sources that the same look at LSR shows
 * need no round of their own. Returns the number of bytes moved, and adds the received ones to
 * *received.
 */
static unsigned uart_irq_round(struct uart16550 *u, uint8_t source, unsigned *received)
{
	unsigned in, out = 0;
	uint8_t lsr;

	if (source == IIR_MODEM)
		(void)uart_get(&u->io, UART_MSR); /* nobody cares, but reading ends the interrupt */
	if (!uart_lsr_get(u, &lsr))
		return 0;
	in = uart_rx_drain(u, lsr);
	/* Some chips get stuck with a timeout although the FIFO is empty; a read of RBR ends it. */
	if (source == IIR_TIMEOUT && !(lsr & LSR_DATA))
		(void)uart_get(&u->io, UART_DATA);
	if (lsr & LSR_THRE)
		out = uart_tx_fill(u);
	uart_tx_irq_update(u);
	*received += in;
	return in + out;
}

/* The interrupt is an edge: if the chip still asks for service when we leave, it must let go of the
 * line and ask anew. */
static void uart_irq_again(struct uart16550 *u)
{
	unsigned ier = u->ier;

	uart_ier_set(u, 0);
	uart_ier_set(u, ier);
	uart_tx_kick(u);
}

/* From here on uart_send and uart_receive look at the chip themselves. */
static void uart_irq_give_up(struct uart16550 *u)
{
	u->ier = 0;
	u->irq_driven = false;
	uart_set(&u->io, UART_IER, 0);
	uart_set(&u->io, UART_MCR, MCR_RUN); /* the receiver may have been paused */
}

bool uart_irq(struct uart16550 *u)
{
	uint64_t flags = spin_lock_irqsave(&u->lock);
	unsigned received = 0, moved = 0, round;

	for (round = 0; u->irq_driven && round < UART_ROUND_MAX; round++) {
		uint8_t iir = uart_get(&u->io, UART_IIR);

		if (iir & IIR_NONE)
			break;
		moved += uart_irq_round(u, iir & IIR_SOURCE, &received);
	}
	if (round == UART_ROUND_MAX && moved)
		uart_irq_again(u); /* a fast emulated chip can be busy that long */
	else if (round == UART_ROUND_MAX)
		uart_irq_give_up(u); /* always pending, with nothing to do: stuck */
	spin_unlock_irqrestore(&u->lock, flags);
	return received > 0;
}

static bool uart_panic_wait(const struct uart_io *io, uint64_t spins)
{
	do {
		uint8_t lsr = uart_get(io, UART_LSR);

		if (lsr == LSR_GONE)
			return false;
		if (lsr & LSR_THRE)
			return true;
		cpu_relax();
	} while (spins-- > 1);
	return false;
}

/* A chip that does not take a byte in time gets none of the rest: the machine must come to its end.
 */
void uart_panic_write(struct uart16550 *u, const void *data, uint32_t n, uint32_t spins)
{
	const uint8_t *p = data;
	/* The first byte may have to wait for a full FIFO to go out. */
	uint64_t wait = (uint64_t)spins * (UART_FIFO_SIZE + 1);
	uint8_t c;

	if (!u->io.read) /* before uart_init */
		return;
	/* Whoever was interrupted in here may have left the divisor's registers selected. */
	uart_set(&u->io, UART_LCR, LCR_8N1);
	uart_irq_give_up(u);
	for (; ring_used(&u->tx) || n; wait = spins) {
		if (!uart_panic_wait(&u->io, wait))
			return;
		if (!ring_get(&u->tx, &c, 1)) {
			if (!n)
				return;
			c = *p++;
			n--;
		}
		uart_set(&u->io, UART_DATA, c);
	}
}
