/*
 * Executes one instruction with an operand in a device. Must not know which device, nor how the
 * backend keeps registers. Fetching is in emu_fetch.c, string instructions are in emu_string.c,
 * memory in emu_mem.c.
 */
#include "emu_priv.h"

static uint64_t effective_address(const struct emu *e, const struct insn *i)
{
	uint64_t at = (uint64_t)i->disp;

	if (i->base < 16)
		at += emu_gpr(e, i->base);
	else if (i->base == INSN_BASE_RIP)
		at += e->rip + i->len;
	if (i->index < 16)
		at += emu_gpr(e, i->index) << i->scale;
	return at & emu_mask(i->addr_size);
}

static uint64_t reg_read(const struct emu *e, unsigned number, unsigned size)
{
	if (unlikely(number >= INSN_HIGH8))
		return e->env->v->gpr[number - INSN_HIGH8] >> 8 & 0xff;
	return emu_gpr(e, number) & emu_mask(size);
}

static void reg_write(const struct emu *e, unsigned number, unsigned size, uint64_t value)
{
	uint64_t *r;

	if (likely(number < INSN_HIGH8)) {
		emu_gpr_write(e, number, size, value);
		return;
	}
	r = &e->env->v->gpr[number - INSN_HIGH8];
	*r = (*r & ~0xff00ul) | (value & 0xff) << 8;
}

/* Finds the RM operand, if it is memory: `size` bytes `delta` bytes past where it points. */
static bool rm_find(struct emu *e, const struct insn *i, uint64_t delta, unsigned size, bool write,
		    struct emu_place *place)
{
	struct emu_operand op;

	if (!i->memory)
		return true;
	return emu_operand_init(e, &op, i->segment, write) &&
	       emu_operand_find(e, &op, (effective_address(e, i) + delta) & emu_mask(i->addr_size),
				size, place);
}

static uint64_t rm_read(const struct emu *e, const struct insn *i, const struct emu_place *place)
{
	return likely(i->memory) ? emu_place_read(e, place) : reg_read(e, i->rm, i->src_size);
}

static void rm_write(const struct emu *e, const struct insn *i, const struct emu_place *place,
		     uint64_t value)
{
	if (likely(i->memory))
		emu_place_write(e, place, value);
	else
		reg_write(e, i->rm, i->size, value);
}

static enum emu_kind exec_mov(struct emu *e, const struct insn *i)
{
	struct emu_place place;
	uint64_t value;

	if (!rm_find(e, i, 0, i->src_size, i->form != INSN_REG_RM, &place))
		return EMU_EXCEPTION;
	if (i->form == INSN_REG_RM) {
		value = rm_read(e, i, &place);
		if (i->op == INSN_MOVSX) {
			unsigned unused = 64u - 8u * i->src_size;

			value = (uint64_t)((int64_t)(value << unused) >> unused);
		}
		reg_write(e, i->reg, i->size, value);
	} else {
		rm_write(e, i, &place,
			 i->form == INSN_RM_IMM ? i->imm : reg_read(e, i->reg, i->size));
	}
	return EMU_DONE;
}

static enum emu_kind exec_alu(struct emu *e, const struct insn *i)
{
	bool writes = i->op != INSN_CMP && i->op != INSN_TEST;
	struct emu_place place;
	uint64_t flags, dst, src = 0;

	if (!rm_find(e, i, 0, i->size, writes && i->form != INSN_REG_RM, &place))
		return EMU_EXCEPTION;
	flags = emu_get(e, REG_RFLAGS);
	dst = rm_read(e, i, &place);
	if (i->form == INSN_REG_RM) {
		src = dst;
		dst = reg_read(e, i->reg, i->size);
	} else if (i->form == INSN_RM_REG) {
		src = reg_read(e, i->reg, i->size);
	} else if (i->form == INSN_RM_IMM) {
		src = i->imm & emu_mask(i->size);
	}
	dst = emu_alu(i->op, i->size, dst, src, &flags);
	if (writes && i->form == INSN_REG_RM)
		reg_write(e, i->reg, i->size, dst);
	else if (writes)
		rm_write(e, i, &place, dst);
	emu_set(e, REG_RFLAGS, flags);
	return EMU_DONE;
}

static enum emu_kind exec_not(struct emu *e, const struct insn *i)
{
	struct emu_place place;

	if (!rm_find(e, i, 0, i->size, true, &place))
		return EMU_EXCEPTION;
	rm_write(e, i, &place, ~rm_read(e, i, &place));
	return EMU_DONE;
}

/* XCHG and XADD. The register last: it is what an XADD of a register with itself leaves. */
static enum emu_kind exec_exchange(struct emu *e, const struct insn *i)
{
	struct emu_place place;
	uint64_t old, reg, flags;

	if (!rm_find(e, i, 0, i->size, true, &place))
		return EMU_EXCEPTION;
	old = rm_read(e, i, &place);
	reg = reg_read(e, i->reg, i->size);
	if (i->op == INSN_XCHG) {
		rm_write(e, i, &place, reg);
		reg_write(e, i->reg, i->size, old);
		return EMU_DONE;
	}
	flags = emu_get(e, REG_RFLAGS);
	reg = emu_alu(INSN_ADD, i->size, old, reg, &flags);
	reg_write(e, i->reg, i->size, old);
	rm_write(e, i, &place, reg);
	emu_set(e, REG_RFLAGS, flags);
	return EMU_DONE;
}

static enum emu_kind exec_cmpxchg(struct emu *e, const struct insn *i)
{
	struct emu_place place;
	uint64_t old, flags;

	if (!rm_find(e, i, 0, i->size, true, &place))
		return EMU_EXCEPTION;
	flags = emu_get(e, REG_RFLAGS);
	old = rm_read(e, i, &place);
	emu_alu(INSN_CMP, i->size, reg_read(e, REG_RAX, i->size), old, &flags);
	if (flags & FLAG_ZF) {
		rm_write(e, i, &place, reg_read(e, i->reg, i->size));
	} else {
		if (i->memory) /* is written in both cases */
			emu_place_write(e, &place, old);
		reg_write(e, REG_RAX, i->size, old);
	}
	emu_set(e, REG_RFLAGS, flags);
	return EMU_DONE;
}

/* BT, BTS, BTR, BTC: a bit number in a register reaches beyond the operand, with its sign. */
static enum emu_kind exec_bit(struct emu *e, const struct insn *i)
{
	unsigned unused = 64u - 8u * i->size, shift = i->size == 8 ? 6 : i->size == 4 ? 5 : 4;
	uint64_t bits = i->imm, delta = 0, value, mask, flags;
	struct emu_place place;

	if (i->form == INSN_RM_REG) {
		int64_t number = (int64_t)(emu_gpr(e, i->reg) << unused) >> unused;

		bits = (uint64_t)number;
		delta = (uint64_t)(number >> shift) * i->size;
	}
	if (!rm_find(e, i, delta, i->size, i->op != INSN_BT, &place))
		return EMU_EXCEPTION;
	value = rm_read(e, i, &place);
	mask = 1ul << (bits & ((1u << shift) - 1));
	flags = emu_get(e, REG_RFLAGS) & ~(uint64_t)FLAG_CF;
	if (value & mask)
		flags |= FLAG_CF;
	if (i->op == INSN_BTS)
		rm_write(e, i, &place, value | mask);
	else if (i->op == INSN_BTR)
		rm_write(e, i, &place, value & ~mask);
	else if (i->op == INSN_BTC)
		rm_write(e, i, &place, value ^ mask);
	emu_set(e, REG_RFLAGS, flags);
	return EMU_DONE;
}

static unsigned stack_addr_size(const struct emu *e)
{
	struct vcpu_segment ss;

	if (e->mode == DECODE_64)
		return 8;
	e->env->backend->get_segment(e->env->v, SEG_SS, &ss);
	return ss.attr & 1u << 14 ? 4 : 2;
}

static enum emu_kind exec_push(struct emu *e, const struct insn *i)
{
	unsigned addr_size = stack_addr_size(e);
	uint64_t sp = (emu_gpr(e, REG_RSP) - i->size) & emu_mask(addr_size);
	struct emu_place from, to;
	struct emu_operand stack;

	if (!rm_find(e, i, 0, i->size, false, &from) ||
	    !emu_operand_init(e, &stack, SEG_SS, true) ||
	    !emu_operand_find(e, &stack, sp, i->size, &to))
		return EMU_EXCEPTION;
	emu_place_write(e, &to, rm_read(e, i, &from));
	emu_gpr_write(e, REG_RSP, addr_size, sp);
	return EMU_DONE;
}

static enum emu_kind exec_pop(struct emu *e, const struct insn *i)
{
	unsigned addr_size = stack_addr_size(e);
	uint64_t old = emu_gpr(e, REG_RSP), sp = old & emu_mask(addr_size);
	struct emu_place from, to;
	struct emu_operand stack;

	if (!emu_operand_init(e, &stack, SEG_SS, false) ||
	    !emu_operand_find(e, &stack, sp, i->size, &from))
		return EMU_EXCEPTION;
	/* An address by RSP counts from where POP leaves it. */
	emu_gpr_write(e, REG_RSP, addr_size, sp + i->size);
	if (!rm_find(e, i, 0, i->size, true, &to)) {
		emu_set(e, REG_RSP, old);
		return EMU_EXCEPTION;
	}
	rm_write(e, i, &to, emu_place_read(e, &from));
	return EMU_DONE;
}

static enum emu_kind execute(struct emu *e, const struct insn *i)
{
	switch (i->op) {
	case INSN_MOV:
	case INSN_MOVZX:
	case INSN_MOVSX:
		return exec_mov(e, i);
	case INSN_NOT:
		return exec_not(e, i);
	case INSN_XCHG:
	case INSN_XADD:
		return exec_exchange(e, i);
	case INSN_CMPXCHG:
		return exec_cmpxchg(e, i);
	case INSN_BT:
	case INSN_BTS:
	case INSN_BTR:
	case INSN_BTC:
		return exec_bit(e, i);
	case INSN_PUSH:
		return exec_push(e, i);
	case INSN_POP:
		return exec_pop(e, i);
	case INSN_MOVS:
	case INSN_STOS:
	case INSN_LODS:
	case INSN_CMPS:
	case INSN_SCAS:
		return emu_string(e, i);
	default:
		return exec_alu(e, i);
	}
}

/* What the short way asks first, where the backend has not said it with the exit. */
static __attribute__((noinline)) void fault_regs_load(const struct emu_env *env)
{
	const struct virt_backend *b = env->backend;
	struct vcpu *v = env->v;
	struct vcpu_segment cs;

	b->get_segment(v, SEG_CS, &cs);
	v->exit.fault.rip = b->get_reg(v, REG_RIP);
	v->exit.fault.cr3 = b->get_reg(v, REG_CR3);
	v->exit.fault.mode_64 = cs.attr & ATTR_L && b->get_reg(v, REG_EFER) & EFER_LMA;
}

/*
 * The short way for what is most frequent: a plain MOV seen before, in 64-bit mode, for the very
 * access that left the guest, to where the guest has no memory. Most segments mean nothing then.
 * False: nothing was done, take the long way.
 */
static inline bool mov_quickly(const struct emu_env *env)
{
	const uint64_t mode = DECODE_64 | CR0_PG | CR4_PAE | EFER_LMA;
	struct vcpu *v = env->v;
	const struct virt_backend *b = env->backend;
	const struct emu_cached *c;
	const struct insn *i;
	uint64_t rip, at, value;

	if (unlikely(v->exit.fault.allowed || !env->cache))
		return false;
	if (unlikely(!v->exit.fault.has_regs))
		fault_regs_load(env);
	rip = v->exit.fault.rip;
	c = emu_cached(env, rip);
	i = &c->insn;
	if (!c->plain || !v->exit.fault.mode_64 ||
	    !emu_cache_holds(c, rip, v->exit.fault.cr3, mode))
		return false;
	if (unlikely(!emu_is_walked(&v->exit, i->form != INSN_REG_RM)))
		return false;
	at = (uint64_t)i->disp;
	if (likely(i->base < 16))
		at += likely(i->base != REG_RSP) ? v->gpr[i->base] : b->get_reg(v, REG_RSP);
	else if (i->base == INSN_BASE_RIP)
		at += rip + i->len;
	if (unlikely(i->index < 16))
		at += v->gpr[i->index] << i->scale; /* never RSP */
	if (unlikely(i->addr_size == 4))
		at &= 0xffffffff;
	if (unlikely((at ^ v->exit.fault.linear) >= PAGE_SIZE ||
		     (at & (PAGE_SIZE - 1)) > PAGE_SIZE - i->size))
		return false;
	if (unlikely(i->reg == REG_RSP && i->form != INSN_RM_IMM))
		return false;
	at = align_down(v->exit.fault.gpa, PAGE_SIZE) | (at & (PAGE_SIZE - 1));
	if (i->form == INSN_REG_RM) {
		v->gpr[i->reg & 15] = io_bus_read(env->mmio, at, i->size);
	} else {
		value = i->form == INSN_RM_IMM ? i->imm : v->gpr[i->reg & 15];
		io_bus_write(env->mmio, at, i->size, value);
	}
	v->exit.insn_len = i->len;
	return true;
}

static __attribute__((noinline)) enum emu_kind emulate_fully(const struct emu_env *env,
							     struct emu_result *result)
{
	const struct insn *i;
	struct emu e;
	uint64_t la;

	emu_begin(&e, env, result);
	e.rip = la = emu_get(&e, REG_RIP);
	if (e.mode != DECODE_64)
		la = (e.cs.base + la) & 0xffffffff;
	if (env->cache &&
	    emu_cache_holds(emu_cached(env, la), la, e.paging.cr3, emu_cache_mode(&e))) {
		i = &emu_cached(env, la)->insn;
	} else {
		enum emu_kind kind = emu_fetch(&e, la, &i);

		if (kind != EMU_DONE)
			return kind;
	}
	env->v->exit.insn_len = i->len;
	return execute(&e, i);
}

enum emu_kind emulate_insn(const struct emu_env *env, struct emu_result *result)
{
	return likely(mov_quickly(env)) ? EMU_DONE : emulate_fully(env, result);
}
