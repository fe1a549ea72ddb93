/*
 * Port I/O of a child VM: packets for its parent, and the parent's answers. It must not know memory
 * traps, nor how a packet gets to the parent. See child.h.
 *
 * Strings go through the bus like those of other VMs, so that the one emulator moves them: OUTS
 * fills the packet; INS is asked for, waits at its instruction, and runs over what was answered.
 */
#include <crvm/status.h>
#include <crvm/string.h>
#include <crvm/string_io.h>

#include "child.h"
#include "emu_priv.h"
#include "exits.h"
#include "machine.h"
#include "quick.h"

static struct child *child_of(void *dev)
{
	return container_of(dev, struct child_port, dev)->child;
}

static uint64_t key_of(const struct io_region *r)
{
	return container_of(r->dev, struct child_port, dev)->trap->key;
}

static uint32_t string_read(void *dev, uint64_t offset, unsigned size, void *buf, uint32_t count)
{
	struct child *c = child_of(dev);

	(void)offset;
	memcpy(buf, &c->string.bytes[c->string.at], (uint64_t)count * size);
	c->string.at += count * size;
	return count;
}

static uint64_t string_read_one(void *dev, uint64_t offset, unsigned size)
{
	uint64_t value = 0;

	(void)string_read(dev, offset, size, &value, 1);
	return value;
}

static uint32_t string_write(void *dev, uint64_t offset, unsigned size, const void *buf,
			     uint32_t count)
{
	struct hypercall_packet *p = &child_of(dev)->packet;

	(void)offset;
	memcpy(&p->io.bytes[p->io.count * size], buf, (uint64_t)count * size);
	p->io.count += count;
	return count;
}

static void string_write_one(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	(void)string_write(dev, offset, size, &value, 1);
}

static const struct io_ops string_ops = {
	.read = string_read_one,
	.write = string_write_one,
	.read_many = string_read,
	.write_many = string_write,
	.sizes = 1 | 2 | 4,
};

int child_port_add(struct child *c, unsigned trap)
{
	struct child_port *p = &c->port[trap];
	const struct io_region region = {
		.base = c->trap[trap].at,
		.len = c->trap[trap].size,
		.ops = &string_ops,
		.dev = &p->dev,
		.name = "trap",
	};

	p->child = c;
	p->trap = &c->trap[trap];
	p->dev = (struct device){.name = region.name, .lock = SPINLOCK_INIT(RANK_DEVICE, "trap")};
	return io_bus_add(&c->vm->ports, &region);
}

static enum exit_action outs(struct child *c, struct vm_vcpu *vv, uint64_t key)
{
	const struct vcpu_exit *e = &vv->v.exit;
	struct emu_result r;
	enum emu_kind kind;

	c->packet.io.count = 0;
	kind = string_io(&vv->emu_env, HYPERCALL_STRING_MAX, &r);
	if (!c->packet.io.count)
		return exit_emulated(vv, kind, &r);
	child_packet(c, HYPERCALL_PACKET_IO, key, e->port.port,
		     PACKET_IO_DATA + c->packet.io.count * e->port.size);
	/* An exception comes again with the rest of the string. */
	return kind == EMU_DONE ? ACT_WAIT : ACT_HOLD;
}

static enum exit_action ins(struct child *c, struct vm_vcpu *vv, uint64_t key)
{
	const struct vcpu_exit *e = &vv->v.exit;
	uint64_t count = e->port.rep ? vv->v.gpr[REG_RCX] & emu_mask(e->port.addr_size) : 1;
	uint32_t room = c->string.end - c->string.at;
	struct emu_result r;

	if (!count)
		return ACT_NEXT;
	if (room >= e->port.size && c->string.port == e->port.port)
		return exit_emulated(vv, string_io(&vv->emu_env, room, &r), &r);
	c->string.at = c->string.end = 0;
	c->string.port = e->port.port;
	c->packet.io.count = HYPERCALL_STRING_MAX / e->port.size;
	if (count < c->packet.io.count)
		c->packet.io.count = (uint32_t)count;
	child_packet(c, HYPERCALL_PACKET_IO, key, e->port.port, PACKET_IO_DATA);
	/* Its breakpoint was met already: SDM Vol. 3C, "Saving RIP, RSP, RFLAGS, and SSP". */
	machine.backend->set_reg(&vv->v, REG_RFLAGS,
				 machine.backend->get_reg(&vv->v, REG_RFLAGS) | FLAG_RF);
	return ACT_HOLD;
}

static bool port_packet(struct vcpu *v, uint64_t port, uint64_t size, bool in)
{
	struct child *c = v->vm->child;
	struct hypercall_packet *p = &c->packet;
	uint64_t offset = port;
	const struct io_region *r = io_bus_port_find(&v->vm->ports, &offset, size);

	if (unlikely(!r))
		return false;
	p->io.size = (uint8_t)size;
	p->io.input = in;
	p->io.string = false;
	p->io.count = 1;
	p->io.data = in ? 0 : (uint32_t)(v->gpr[REG_RAX] & emu_mask((unsigned)size));
	child_packet(c, HYPERCALL_PACKET_IO, key_of(r), port, PACKET_PLAIN_IO);
	vm_vcpu_of(v)->blocked = true;
	return true;
}

static int quick_in(struct vcpu *v, uint64_t port, uint64_t size)
{
	quick_begin(v);
	if (unlikely(!port_packet(v, port, size, true)))
		return QUICK_NOT;
	(void)quick_count(v, EXIT_PORT);
	return QUICK_PASS;
}

static int quick_out(struct vcpu *v, uint64_t port, uint64_t size)
{
	quick_begin(v);
	if (unlikely(!port_packet(v, port, size, false)))
		return QUICK_NOT;
	(void)quick_count(v, EXIT_PORT);
	return QUICK_PASS;
}

const struct vcpu_quick child_quick = {
	.port_in = quick_in,
	.port_out = quick_out,
	.pass = sched_pass_quick,
};

enum exit_action child_port_exit(struct child *c, struct vm_vcpu *vv)
{
	const struct vcpu_exit *e = &vv->v.exit;
	uint64_t offset = e->port.port;
	const struct io_region *r;

	if (!e->port.string)
		return port_packet(&vv->v, e->port.port, e->port.size, e->port.in)
			       ? ACT_WAIT
			       : exit_handle(vv);
	r = io_bus_port_find(&c->vm->ports, &offset, e->port.size);
	if (!r)
		return exit_handle(vv);
	c->packet.io.size = e->port.size;
	c->packet.io.input = e->port.in;
	c->packet.io.string = true;
	return e->port.in ? ins(c, vv, key_of(r)) : outs(c, vv, key_of(r));
}

int child_write_io(struct child *c, const struct hypercall_io *io)
{
	const struct hypercall_packet *p = &c->packet;
	uint64_t *rax;

	if (!c->vm->vcpu)
		return E_BUSY;
	rax = &c->vm->vcpu->v.gpr[REG_RAX];
	if (p->kind == HYPERCALL_PACKET_IO && p->io.input && p->io.string) {
		if (io->size != p->io.size || io->count > p->io.count)
			return E_INVAL;
		memcpy(c->string.bytes, io->bytes, (uint64_t)io->size * io->count);
		c->string.at = 0;
		c->string.end = io->size * io->count;
		return OK;
	}
	if (io->count != 1)
		return E_INVAL;
	*rax = port_in_merge(*rax, io->size, io->data);
	return OK;
}
