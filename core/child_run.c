/*
 * A child VM's turns within its parent's vcpu_resume, and the packets that end it. It must not know
 * how a child is made, nor how a hypercall came. See child.h.
 */
#include <crvm/cpu.h>
#include <crvm/panic.h>
#include <crvm/status.h>
#include <crvm/string.h>

#include "child.h"
#include "emu_priv.h"
#include "exits.h"
#include "machine.h"

/* What a parent may set. */
#define FLAGS_USER (FLAG_STATUS | FLAG_DF)

/* Bytes of a packet: with one member of its union, and without. */
#define PACKET_HEAD	   ((uint32_t)offsetof(struct hypercall_packet, io))
#define PACKET_END(member) (PACKET_HEAD + (uint32_t)sizeof(((struct hypercall_packet *)0)->member))

/* The trap that an access to memory hits, or NULL. */
static const struct hypercall_trap *memory_trap(const struct child *c, uint64_t at)
{
	for (unsigned i = 0; i < c->trap_count; i++)
		if (c->trap[i].kind != HYPERCALL_TRAP_IO && at - c->trap[i].at < c->trap[i].size)
			return &c->trap[i];
	return NULL;
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
	const struct hypercall_trap *t = memory_trap(c, e->fault.gpa);
	const bool write = e->fault.access & FAULT_WRITE;
	struct emu_result r;
	enum emu_kind kind;

	if (!t || e->fault.misconfig || e->fault.page_walk || e->fault.access & FAULT_EXEC ||
	    e->interrupted.kind != EVENT_NONE || (t->kind == HYPERCALL_TRAP_BELL && !write))
		return exit_handle(vv);
	c->packet.mem = (typeof(c->packet.mem)){.write = write};
	kind = fetch(c, vv, &r);
	if (kind == EMU_RETRY)
		return ACT_RETRY;
	if (kind != EMU_DONE)
		return exit_handle(vv);
	child_packet(c,
		     t->kind == HYPERCALL_TRAP_BELL ? HYPERCALL_PACKET_BELL : HYPERCALL_PACKET_MEM,
		     t->key, e->fault.gpa, PACKET_END(mem));
	return ACT_WAIT;
}

static enum exit_action child_exit(struct vm_vcpu *vv)
{
	struct child *c = vv->v.vm->child;

	if (vv->v.exit.kind == EXIT_PORT)
		return child_port_exit(c, vv);
	if (vv->v.exit.kind == EXIT_NESTED_FAULT)
		return exit_fault(c, vv);
	return exit_handle(vv);
}

static void child_begin(struct vm_vcpu *vv, struct vm_vcpu *parent)
{
	vv->host = parent;
	vv->cpu = parent->cpu;
	vv->trace = parent->trace;
	vv->v.quick = atomic_load_explicit(&trace_quick_exits, memory_order_relaxed) ? NULL
										     : &child_quick;
}

/* The parent's hypercall is done. */
static void answer(struct vm_vcpu *parent, uint64_t kind)
{
	parent->v.gpr[REG_RAX] = kind;
	parent->guest = NULL;
	parent->blocked = false;
}

static void answer_packet(struct child *c, struct vm_vcpu *parent)
{
	if (likely(c->out_here && c->packet_len == PACKET_PLAIN_IO))
		__builtin_memcpy(c->out_here, &c->packet, PACKET_PLAIN_IO);
	else
		check(gmem_write(&c->parent->mem, c->out, &c->packet, c->packet_len) == OK);
	c->packet_ready = false;
	answer(parent, c->packet.kind);
}

static void child_end(struct vm_vcpu *vv, struct vm_vcpu *parent)
{
	struct child *c = vv->v.vm->child;

	if (c->packet_ready) {
		c->halted = false;
		answer_packet(c, parent);
	} else if (vv->blocked && !(atomic_load(&vv->v.requests) & ~(uint32_t)REQ_STOP)) {
		c->halted = true;
		child_packet(c, HYPERCALL_PACKET_HALT, 0, 0, PACKET_HEAD);
		answer_packet(c, parent);
	} else if (atomic_load(&parent->v.requests) & (REQ_IRQ | REQ_NMI) ||
		   parent->events.irq_window || parent->events.nmi) {
		c->halted = vv->blocked;
		answer(parent, HYPERCALL_PACKET_NONE);
	}
}

static void child_stopped(struct vm *vm, const char *why)
{
	struct child *c = vm->child;

	str_copy(c->packet.text, sizeof(c->packet.text), why, sizeof(c->packet.text) - 1);
	child_packet(c, HYPERCALL_PACKET_STOPPED, 0, 0, PACKET_END(text));
}

const struct vm_child_ops child_ops = {
	.exit = child_exit,
	.begin = child_begin,
	.end = child_end,
	.stopped = child_stopped,
};

int child_resume(struct child *c, gpa_t out)
{
	struct vm_vcpu *vv = c->vm->vcpu, *parent = &c->parent->vcpu[0];

	if (!vv || c->broken || atomic_load(&vv->stopped))
		return E_BUSY;
	/* A VM's memory stays what it is: asked once is enough. Before that, `out` is nowhere. */
	if (unlikely(out.v != c->out.v || !c->out_ok)) {
		if (!gmem_has(&c->parent->mem, out, sizeof(c->packet)))
			return E_FAULT;
		c->out = out;
		c->out_ok = true;
		c->out_here = gmem_ptr_write(&c->parent->mem, out, sizeof(c->packet));
	}
	vv->blocked = c->halted; /* it looks whether that has ended */
	parent->guest = vv;
	return OK;
}

int child_read_state(struct child *c, struct hypercall_state *s)
{
	const struct virt_backend *b = machine.backend;
	struct vcpu *v;

	if (!c->vm->vcpu)
		return E_BUSY;
	v = &c->vm->vcpu->v;
	sched_load(c->vm->vcpu);
	memcpy(s->gpr, v->gpr, sizeof(s->gpr));
	s->gpr[REG_RSP] = b->get_reg(v, REG_RSP);
	s->rflags = b->get_reg(v, REG_RFLAGS);
	s->rip = b->get_reg(v, REG_RIP);
	sched_load(&c->parent->vcpu[0]);
	return OK;
}

int child_write_state(struct child *c, const struct hypercall_state *s)
{
	const struct virt_backend *b = machine.backend;
	struct vcpu *v;
	uint64_t rflags;

	if (!c->vm->vcpu)
		return E_BUSY;
	v = &c->vm->vcpu->v;
	memcpy(v->gpr, s->gpr, sizeof(s->gpr));
	sched_load(c->vm->vcpu);
	rflags = b->get_reg(v, REG_RFLAGS) & ~(uint64_t)FLAGS_USER;
	b->set_reg(v, REG_RFLAGS, rflags | (s->rflags & FLAGS_USER));
	b->set_reg(v, REG_RSP, s->gpr[REG_RSP]);
	sched_load(&c->parent->vcpu[0]);
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
