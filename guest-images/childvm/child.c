/*
 * See child.h. What lies between two runs of the child is child_run: answer the packet, ring what
 * is due, interrupt it, go on. It must not know which device has a port. Source:
 * docs/hypercalls.md; Intel SDM Vol. 3A, "Processor State After Reset" for where it starts.
 */
#include <crvm/string.h>

#include "child.h"
#include "clock.h"
#include "host.h"
#include "machine.h"

/* Memory is mapped where it is: a pointer is the address that a call wants. */
static uint64_t address(const void *p)
{
	return (uintptr_t)p;
}

#define MIB	  (1ull << 20)
#define ROM_TOP	  (1ull << 32)
#define RFLAGS_IF (1u << 9)
#define POLL_NS	  250000u

/* --- Making it ------------------------------------------------------------------------------ */

static int64_t write(const struct child *c, uint64_t to, const uint8_t *from, uint64_t size)
{
	int64_t err = 0;

	for (uint64_t at = 0; !err && at < size; at += HYPERCALL_LENGTH_MAX) {
		const uint64_t left = size - at;

		err = hypercall(HYPERCALL_GUEST_WRITE, (uint64_t)c->number, to + at,
				address(from + at),
				left < HYPERCALL_LENGTH_MAX ? left : HYPERCALL_LENGTH_MAX);
	}
	return err;
}

/* The firmware twice, as a PC has it; all else is RAM, the screen's cells included. */
static int64_t add_memory(const struct child *c, const uint8_t *rom, uint64_t rom_size)
{
	const uint64_t n = (uint64_t)c->number;
	int64_t err = hypercall(HYPERCALL_GUEST_ADD_MEMORY, n, 0, MACHINE_MEMORY, 0);

	if (!err)
		err = hypercall(HYPERCALL_GUEST_ADD_MEMORY, n, ROM_TOP - CHILD_ROM_MAX,
				CHILD_ROM_MAX, 0);
	if (!err)
		err = write(c, MIB - rom_size, rom, rom_size);
	if (!err)
		err = write(c, ROM_TOP - rom_size, rom, rom_size);
	return err;
}

/* One for each region, whose number is the key: a packet tells at once whose it is. */
static int64_t set_traps(const struct child *c)
{
	const struct io_region *r;
	int64_t err = 0;

	for (unsigned i = 0; !err && (r = machine_region(i)); i++) {
		const struct hypercall_trap t = {
			.kind = HYPERCALL_TRAP_IO, .at = r->base, .size = r->len, .key = i};

		err = hypercall(HYPERCALL_GUEST_SET_TRAP, (uint64_t)c->number, address(&t), 0, 0);
	}
	return err;
}

int64_t child_build(struct child *c, const uint8_t *rom, uint64_t rom_size)
{
	int64_t err;

	*c = (struct child){.number = hypercall(HYPERCALL_GUEST_CREATE, 0, 0, 0, 0)};
	if (c->number < 0)
		return c->number;
	err = add_memory(c, rom, rom_size);
	if (!err)
		err = set_traps(c);
	if (!err)
		err = hypercall(HYPERCALL_VCPU_CREATE, (uint64_t)c->number, 0, HYPERCALL_MODE_REAL,
				0);
	return err;
}

int64_t child_destroy(struct child *c)
{
	return hypercall(HYPERCALL_GUEST_DESTROY, (uint64_t)c->number, 0, 0, 0);
}

const char *child_reason(const struct child *c)
{
	return c->packet.text;
}

/* --- Running it ----------------------------------------------------------------------------- */

static int64_t answer_io(struct child *c)
{
	const struct hypercall_packet *p = &c->packet;
	const struct io_region *r = machine_region((unsigned)p->key);
	const uint64_t offset = p->at - r->base;
	struct hypercall_io io;

	c->at_region[p->key]++;
	if (!p->io.input) {
		ports_write(r, offset, p->io.size, p->io.bytes, p->io.count);
		return 0;
	}
	io.size = p->io.size;
	io.count = p->io.count;
	io.data = 0;
	ports_read(r, offset, p->io.size, io.bytes, p->io.count);
	return hypercall(HYPERCALL_VCPU_WRITE_STATE, (uint64_t)c->number, HYPERCALL_WRITE_IO,
			 address(&io), 0);
}

/*
 * As a CPU does it: the vector is taken from the PICs when interrupts are on, and not before; then
 * CRVM keeps it until the child takes it. No packet tells that interrupts are on again, so while
 * one waits we look at each packet, and every POLL_NS.
 */
static int64_t interrupt(struct child *c)
{
	struct hypercall_state state;
	int64_t err;

	if (!machine_irq_waits())
		return 0;
	err = hypercall(HYPERCALL_VCPU_READ_STATE, (uint64_t)c->number, address(&state), 0, 0);
	if (!err && state.rflags & RFLAGS_IF) {
		c->irqs++;
		err = hypercall(HYPERCALL_VCPU_INTERRUPT, (uint64_t)c->number,
				(uint64_t)machine_irq_take(), 0, 0);
	}
	if (machine_irq_waits())
		clock_set_if_unset(CLOCK_POLL, POLL_NS);
	return err;
}

/* What has happened goes to the devices, what they want to the child. */
static bool look_around(struct child *c)
{
	const unsigned events = host_take_events();

	if (events & HOST_INPUT)
		machine_input();
	clock_ring(events & HOST_ALARM);
	c->error = interrupt(c);
	return !c->error;
}

/*
 * Until it leaves for a packet: its kind. The alarm is set last, while interrupts are off: however
 * slow we are and however often it rings, the child gets its turn.
 */
static int64_t resume(struct child *c)
{
	int64_t kind;

	clock_arm();
	kind = host_vmcall(HYPERCALL_VCPU_RESUME, (uint64_t)c->number, address(&c->packet));
	clock_forget();
	return kind;
}

enum child_state child_run(struct child *c)
{
	int64_t kind;

	for (;;) {
		do {
			if (!look_around(c))
				return CHILD_FAILED;
		} while (!host_close_unless_events());
		kind = resume(c);
		if (kind < 0 || kind > HYPERCALL_PACKET_STOPPED) {
			c->error = kind;
			return CHILD_FAILED;
		}
		c->packets[kind]++;
		if (kind == HYPERCALL_PACKET_STOPPED)
			return CHILD_STOPPED;
		if (kind == HYPERCALL_PACKET_HALT && !machine_irq_waits())
			host_sleep();
		if (kind == HYPERCALL_PACKET_IO)
			c->error = answer_io(c);
		if (c->error)
			return CHILD_FAILED;
		if (machine_wants_reset())
			return CHILD_RESETS;
	}
}
