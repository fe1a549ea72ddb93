/*
 * INS and OUTS. Must not know which device has the port, nor how the backend found the operands
 * out. Items that lie in one page of memory move in one call of the bus; all others one by one.
 */
#include <crvm/string_io.h>
#include "emu_priv.h"

struct io_run {
	struct emu_operand op;
	bool in, down;
	uint16_t port;
	unsigned size;
	uint64_t mask;	 /* of the address size */
	uint64_t offset; /* (E/R)DI or (E/R)SI within it */
};

/* One item, wherever its bytes lie. */
static bool item_move(struct emu *e, struct io_run *r)
{
	struct emu_place place;

	if (!emu_operand_find(e, &r->op, r->offset, r->size, &place))
		return false;
	if (r->in)
		emu_place_write(e, &place, io_bus_read(e->env->ports, r->port, r->size));
	else
		io_bus_write(e->env->ports, r->port, r->size, emu_place_read(e, &place));
	return true;
}

/*
 * Up to `count` items at rising addresses within one page; returns how many were moved. 0: not a
 * case for this, or an exception (which item_move will find again).
 */
static uint32_t page_move(struct emu *e, struct io_run *r, uint32_t count)
{
	uint32_t len = emu_operand_room(&r->op, r->offset) & ~(r->size - 1), n = count;
	uint64_t la = r->op.base + r->offset, at;
	void *p;

	if (len < count * r->size)
		n = len / r->size;
	len = n * r->size;
	if (n < 2 || r->mask - r->offset < len - 1 || !emu_operand_has(e, &r->op, r->offset, len) ||
	    !emu_translate(e, &r->op, e->mode == DECODE_64 ? la : la & 0xffffffff, &at))
		return 0;
	p = r->in ? gmem_ptr_write(e->env->mem, gpa(at), len) : gmem_ptr(e->env->mem, gpa(at), len);
	if (!p)
		return 0;
	if (r->in)
		io_bus_read_many(e->env->ports, r->port, r->size, p, n);
	else
		io_bus_write_many(e->env->ports, r->port, r->size, p, n);
	return n;
}

/* Moves up to `count` items; fewer only if there is an exception, in e->result. */
static uint32_t items_move(struct emu *e, struct io_run *r, uint32_t count)
{
	uint32_t done = 0;

	while (done < count) {
		uint32_t n = r->down ? 0 : page_move(e, r, count - done);
		uint64_t len;

		if (n == 0) {
			if (!item_move(e, r))
				break;
			n = 1;
		}
		len = (uint64_t)n * r->size;
		r->offset = (r->down ? r->offset - len : r->offset + len) & r->mask;
		done += n;
	}
	return done;
}

enum emu_kind string_io(const struct emu_env *env, uint32_t max, struct emu_result *result)
{
	const struct vcpu_exit *x = &env->v->exit;
	unsigned addr_size = x->port.addr_size, reg = x->port.in ? REG_RDI : REG_RSI;
	uint64_t rflags, count = 1;
	uint32_t todo, done;
	struct io_run r;
	struct emu e;

	emu_begin(&e, env, result);
	emu_paging_load(&e);
	rflags = e.paging.rflags;
	r.in = x->port.in;
	r.down = rflags & FLAG_DF;
	r.port = x->port.port;
	r.size = x->port.size;
	r.mask = emu_mask(addr_size);
	r.offset = emu_gpr(&e, reg) & r.mask;
	if (x->port.rep)
		count = emu_gpr(&e, REG_RCX) & r.mask;
	if (count == 0)
		return EMU_DONE;
	if (!emu_operand_init(&e, &r.op, r.in ? SEG_ES : x->port.segment, r.in))
		return EMU_EXCEPTION;
	todo = rflags & FLAG_TF ? 1 : max / r.size;
	if (todo > count)
		todo = (uint32_t)count;
	done = items_move(&e, &r, todo);
	if (done > 0) {
		emu_gpr_write(&e, reg, addr_size, r.offset);
		if (x->port.rep)
			emu_gpr_write(&e, REG_RCX, addr_size, count - done);
	}
	if (done < todo)
		return EMU_EXCEPTION;
	return done < count ? emu_rep_pause(&e, rflags) : EMU_DONE;
}
