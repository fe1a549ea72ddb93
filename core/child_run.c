/*
 * A child VM's turns within its parent's vcpu_resume, and the packets that end it. It must not know
 * how a child is made, nor how a hypercall came. See child.h.
 */
#include <crvm/cpu.h>
#include <crvm/panic.h>
#include <crvm/status.h>
#include <crvm/string.h>
#include <crvm/string_io.h>

#include "child.h"
#include "emu_priv.h"
#include "exits.h"
#include "machine.h"

/* What a parent may set. */
#define FLAGS_USER (FLAG_STATUS | FLAG_DF)

/* All of it is the parent's to see. */
static void packet_begin(struct child *c, uint32_t kind, uint64_t key, uint64_t at)
{
	memset(&c->packet, 0, sizeof(c->packet));
	c->packet.kind = kind;
	c->packet.key = key;
	c->packet.at = at;
}

/* What it left the guest for is in c->packet; past the instruction. */
static enum exit_action leave(struct child *c)
{
	c->packet_ready = true;
	return ACT_WAIT;
}

static enum exit_action exit_port(struct child *c, struct vm_vcpu *vv)
{
	const struct vcpu_exit *e = &vv->v.exit;
	const struct hypercall_trap *t = child_trap(c, true, e->port.port, e->port.size);

	if (!t)
		return exit_handle(vv);
	if (e->port.string) {
		vm_stop(vv, false, "string I/O at port %x, for which there is a trap",
			e->port.port);
		return ACT_STOP;
	}
	packet_begin(c, HYPERCALL_PACKET_IO, t->key, e->port.port);
	c->packet.io.size = e->port.size;
	c->packet.io.input = e->port.in;
	if (!e->port.in)
		c->packet.io.data = (uint32_t)(vv->v.gpr[REG_RAX] & emu_mask(e->port.size));
	return leave(c);
}

/* The instruction at CS:RIP, decoded, into the packet; EMU_DONE, or what the emulator says. */
static enum emu_kind fetch(struct child *c, struct vm_vcpu *vv, struct emu_result *r)
{
	struct emu_env env = vv->emu_env;
	const struct insn *insn;
	enum emu_kind kind;
	uint32_t error;
	struct emu e;
	uint64_t la;
	gpa_t at;

	env.cache = NULL;
	emu_begin(&e, &env, r);
	e.rip = emu_get(&e, REG_RIP);
	la = e.mode == DECODE_64 ? e.rip : (e.cs.base + e.rip) & 0xffffffff;
	kind = emu_fetch(&e, la, &insn);
	if (kind != EMU_DONE)
		return kind;
	c->packet.mem.length = insn->len;
	c->packet.mem.operand_size = e.mode == DECODE_16 ? 2 : 4;
	c->packet.mem.mode = (uint8_t)e.mode;
	for (unsigned i = 0; i < insn->len; i++, la++)
		if (gwalk_translate(&e.paging, env.mem,
				    gva(e.mode == DECODE_64 ? la : (uint32_t)la), GWALK_ANY, &at,
				    &error) ||
		    gmem_read(env.mem, at, &c->packet.mem.instruction[i], 1))
			return EMU_RETRY;
	vv->v.exit.insn_len = insn->len;
	return EMU_DONE;
}

static enum exit_action exit_fault(struct child *c, struct vm_vcpu *vv)
{
	const struct vcpu_exit *e = &vv->v.exit;
	const struct hypercall_trap *t = child_trap(c, false, e->fault.gpa, 1);
	const bool write = e->fault.access & FAULT_WRITE;
	struct emu_result r;
	enum emu_kind kind;

	if (!t || e->fault.misconfig || e->fault.page_walk || e->fault.access & FAULT_EXEC ||
	    e->interrupted.kind != EVENT_NONE || (t->kind == HYPERCALL_TRAP_BELL && !write))
		return exit_handle(vv);
	packet_begin(c,
		     t->kind == HYPERCALL_TRAP_BELL ? HYPERCALL_PACKET_BELL : HYPERCALL_PACKET_MEM,
		     t->key, e->fault.gpa);
	c->packet.mem.write = write;
	kind = fetch(c, vv, &r);
	if (kind == EMU_RETRY)
		return ACT_RETRY;
	return kind == EMU_DONE ? leave(c) : exit_handle(vv);
}

static enum exit_action child_exit(struct vm_vcpu *vv)
{
	const struct virt_backend *b = machine.backend;
	struct child *c = vv->v.vm->child;
	enum exit_action action;

	switch (vv->v.exit.kind) {
	case EXIT_PORT:
		action = exit_port(c, vv);
		break;
	case EXIT_NESTED_FAULT:
		action = exit_fault(c, vv);
		break;
	default:
		action = exit_handle(vv);
		break;
	}
	c->halted = action == ACT_BLOCK;
	/* For who reads them while it is not loaded. */
	c->rsp = b->get_reg(&vv->v, REG_RSP);
	c->rflags = b->get_reg(&vv->v, REG_RFLAGS);
	c->rip = b->get_reg(&vv->v, REG_RIP);
	if (action != ACT_RETRY && action != ACT_STOP)
		c->rip += vv->v.exit.insn_len;
	return action;
}

static void child_begin(struct vm_vcpu *vv, struct vm_vcpu *parent)
{
	struct child *c = vv->v.vm->child;

	vv->cpu = parent->cpu;
	vv->trace = parent->trace;
	if (!c->write_state)
		return;
	c->write_state = false;
	machine.backend->set_reg(&vv->v, REG_RSP, c->rsp);
	machine.backend->set_reg(&vv->v, REG_RFLAGS, c->rflags);
}

/* The parent's hypercall is done. */
static void answer(struct child *c, struct vm_vcpu *parent, uint64_t kind)
{
	if (kind != HYPERCALL_PACKET_NONE)
		check(gmem_write(&c->parent->mem, c->out, &c->packet, sizeof(c->packet)) == OK);
	c->packet_ready = false;
	parent->v.gpr[REG_RAX] = kind;
	parent->guest = NULL;
	parent->blocked = false;
}

static void child_end(struct vm_vcpu *vv, struct vm_vcpu *parent)
{
	struct child *c = vv->v.vm->child;

	if (c->packet_ready) {
		answer(c, parent, c->packet.kind);
	} else if (vv->blocked && !(atomic_load(&vv->v.requests) & ~(uint32_t)REQ_STOP)) {
		packet_begin(c, HYPERCALL_PACKET_HALT, 0, 0);
		answer(c, parent, HYPERCALL_PACKET_HALT);
	} else if (atomic_load(&parent->v.requests) & (REQ_IRQ | REQ_NMI) ||
		   parent->events.irq_window) {
		answer(c, parent, HYPERCALL_PACKET_NONE);
	}
}

static void child_stopped(struct vm *vm, const char *why)
{
	struct child *c = vm->child;

	packet_begin(c, HYPERCALL_PACKET_STOPPED, 0, 0);
	str_copy(c->packet.text, sizeof(c->packet.text), why, sizeof(c->packet.text) - 1);
	c->packet_ready = true;
}

const struct vm_child_ops child_ops = {
	.exit = child_exit,
	.begin = child_begin,
	.end = child_end,
	.stopped = child_stopped,
};

int child_resume(struct child *c, gpa_t out)
{
	struct hypercall_packet scratch;
	struct vm_vcpu *vv = c->vm->vcpu, *parent = &c->parent->vcpu[0];

	if (!vv || c->broken || atomic_load(&vv->stopped))
		return E_BUSY;
	if (gmem_read(&c->parent->mem, out, &scratch, sizeof(scratch)))
		return E_FAULT;
	c->out = out;
	vv->blocked = c->halted; /* it looks whether that has ended */
	parent->guest = vv;
	return OK;
}

int child_read_state(struct child *c, struct hypercall_state *s)
{
	if (!c->vm->vcpu)
		return E_BUSY;
	memcpy(s->gpr, c->vm->vcpu->v.gpr, sizeof(s->gpr));
	s->gpr[REG_RSP] = c->rsp;
	s->rflags = c->rflags;
	s->rip = c->rip;
	return OK;
}

int child_write_state(struct child *c, const struct hypercall_state *s)
{
	if (!c->vm->vcpu)
		return E_BUSY;
	memcpy(c->vm->vcpu->v.gpr, s->gpr, sizeof(s->gpr));
	c->rsp = s->gpr[REG_RSP];
	c->rflags = (c->rflags & ~(uint64_t)FLAGS_USER) | (s->rflags & FLAGS_USER);
	c->write_state = true;
	return OK;
}

int child_write_io(struct child *c, const struct hypercall_io *io)
{
	uint64_t *rax;

	if (io->size != 1 && io->size != 2 && io->size != 4)
		return E_INVAL;
	if (!c->vm->vcpu)
		return E_BUSY;
	rax = &c->vm->vcpu->v.gpr[REG_RAX];
	*rax = port_in_merge(*rax, io->size, io->data);
	return OK;
}

int child_interrupt(struct child *c, uint64_t vector)
{
	if (vector > 255)
		return E_INVAL;
	if (!c->vm->vcpu)
		return E_BUSY;
	if (vector == EXC_NMI) {
		atomic_fetch_or(&c->vm->vcpu->v.requests, REQ_NMI);
		return OK;
	}
	atomic_fetch_or(&c->irqs[vector / 64], 1ul << vector % 64);
	atomic_fetch_or(&c->vm->vcpu->v.requests, REQ_IRQ);
	return OK;
}
