/*
 * How an emulated instruction reaches its operands in memory: segmentation, paging, then memory or
 * the bus. Must not know which instruction it is, nor what a device does. Source: Intel SDM Vol.
 * 3A, "Protected-Mode Memory Management", "Limit Checking", "Type Checking".
 */
#include "emu_priv.h"

#define NO_PAGE 1ul /* no page begins there */

enum emu_kind emu_raise(struct emu *e, uint8_t vector, uint32_t error)
{
	e->result->vector = vector;
	e->result->has_error = vector >= EXC_DF && vector != EXC_MF;
	e->result->error = error;
	return EMU_EXCEPTION;
}

static unsigned privilege_level(const struct emu *e)
{
	struct vcpu_segment ss;
	unsigned attr = e->cs.attr;

	if (!(e->paging.cr0 & CR0_PE))
		return 0;
	if (e->paging.rflags & FLAG_VM)
		return 3;
	/* SS has it always, CS (which is here already) only if it is not conforming. */
	if ((attr & (ATTR_TYPE_CODE | ATTR_TYPE_DOWN)) == (ATTR_TYPE_CODE | ATTR_TYPE_DOWN)) {
		e->env->backend->get_segment(e->env->v, SEG_SS, &ss);
		attr = ss.attr;
	}
	return attr >> ATTR_DPL_SHIFT & 3;
}

void emu_paging_load(struct emu *e)
{
	struct gwalk_state *p = &e->paging;

	if (e->paging_full)
		return;
	p->cr0 = emu_get(e, REG_CR0);
	p->cr3 = emu_get(e, REG_CR3);
	p->cr4 = emu_get(e, REG_CR4);
	p->rflags = emu_get(e, REG_RFLAGS);
	p->cpl = (uint8_t)privilege_level(e);
	if (p->cr0 & CR0_PG && p->cr4 & CR4_PAE && !(p->efer & EFER_LMA))
		for (unsigned i = 0; i < 4; i++)
			p->pdpte[i] = emu_get(e, REG_PDPTE0 + i);
	e->paging_full = true;
}

/* Limit and rights outside 64-bit mode. */
static bool segment_load(struct emu *e, struct emu_operand *op)
{
	struct vcpu_segment s;
	bool code, protected_mode = e->paging.cr0 & CR0_PE && !(e->paging.rflags & FLAG_VM);

	e->env->backend->get_segment(e->env->v, op->segment, &s);
	code = s.attr & ATTR_TYPE_CODE;
	op->base = s.base;
	op->first = 0;
	op->last = s.limit;
	if (!code && s.attr & ATTR_TYPE_DOWN) {
		op->first = (uint64_t)s.limit + 1;
		op->last = s.attr & ATTR_DB ? 0xffffffff : 0xffff;
	}
	if (!protected_mode)
		return true;
	if (s.unusable) {
		emu_raise(e, op->segment == SEG_SS ? EXC_SS : EXC_GP, 0);
		return false;
	}
	/* The bit means writable for data, readable for code. */
	if (!(s.attr & ATTR_TYPE_WRITE) ? op->write || code : op->write && code) {
		emu_raise(e, EXC_GP, 0);
		return false;
	}
	return true;
}

bool emu_operand_init(struct emu *e, struct emu_operand *op, unsigned segment, bool write)
{
	const struct vcpu_exit *x = &e->env->v->exit;
	struct vcpu_segment s;

	op->segment = (uint8_t)segment;
	op->write = write;
	op->base = 0;
	op->page = NO_PAGE;
	if (emu_is_walked(x, write)) {
		op->page = align_down(x->fault.linear, PAGE_SIZE);
		op->frame = align_down(x->fault.gpa, PAGE_SIZE);
	}
	if (e->mode != DECODE_64)
		return segment_load(e, op);
	if (unlikely(segment == SEG_FS || segment == SEG_GS)) {
		e->env->backend->get_segment(e->env->v, segment, &s);
		op->base = s.base;
	}
	return true;
}

bool emu_translate(struct emu *e, struct emu_operand *op, uint64_t la, uint64_t *phys)
{
	uint64_t page = align_down(la, PAGE_SIZE);
	uint32_t error;
	gpa_t out;

	if (unlikely(page != op->page)) {
		emu_paging_load(e);
		if (gwalk_translate(&e->paging, e->env->mem, gva(la),
				    op->write ? GWALK_WRITE : GWALK_READ, &out, &error) != OK) {
			emu_raise(e, EXC_PF, error);
			e->result->cr2 = la;
			return false;
		}
		op->page = page;
		op->frame = align_down(out.v, PAGE_SIZE);
	}
	*phys = op->frame | (la & (PAGE_SIZE - 1));
	return true;
}

bool emu_operand_find(struct emu *e, struct emu_operand *op, uint64_t offset, unsigned size,
		      struct emu_place *place)
{
	uint64_t la = op->base + offset;
	unsigned room = emu_operand_room(op, offset);

	if (unlikely(!emu_operand_has(e, op, offset, size))) {
		emu_raise(e, op->segment == SEG_SS ? EXC_SS : EXC_GP, 0);
		return false;
	}
	if (e->mode != DECODE_64)
		la &= 0xffffffff;
	place->len[0] = size < room ? size : room;
	place->len[1] = size - place->len[0];
	if (!emu_translate(e, op, la, &place->gpa[0]))
		return false;
	if (likely(!place->len[1]))
		return true;
	la += room;
	if (e->mode != DECODE_64)
		la &= 0xffffffff;
	return emu_translate(e, op, la, &place->gpa[1]);
}

/* The bus takes powers of two: the rest of an access that crosses a page may be of 3 or 6 bytes. */
static unsigned bus_part(uint64_t addr, unsigned len)
{
	unsigned part = 8;

	while (part > len || addr & (part - 1))
		part /= 2;
	return part;
}

static uint64_t bus_read(struct io_bus *b, uint64_t addr, unsigned len)
{
	uint64_t value = 0;

	if (likely((len & (len - 1)) == 0))
		return io_bus_read(b, addr, len);
	for (unsigned at = 0, part; at < len; at += part) {
		part = bus_part(addr + at, len - at);
		value |= io_bus_read(b, addr + at, part) << 8 * at;
	}
	return value;
}

static void bus_write(struct io_bus *b, uint64_t addr, unsigned len, uint64_t value)
{
	if (likely((len & (len - 1)) == 0)) {
		io_bus_write(b, addr, len, value & emu_mask(len));
		return;
	}
	for (unsigned at = 0, part; at < len; at += part) {
		part = bus_part(addr + at, len - at);
		io_bus_write(b, addr + at, part, value >> 8 * at & emu_mask(part));
	}
}

/* Whole operands in one access, as the CPU does it: another CPU may look at the same memory. */
static uint64_t memory_read(const void *p, unsigned len)
{
	uint64_t value = 0;

	switch (len) {
	case 1:
		return *(const uint8_t *)p;
	case 2:
		__builtin_memcpy(&value, p, 2);
		return value;
	case 4:
		__builtin_memcpy(&value, p, 4);
		return value;
	case 8:
		__builtin_memcpy(&value, p, 8);
		return value;
	default:
		for (unsigned i = 0; i < len; i++)
			value |= (uint64_t)((const uint8_t *)p)[i] << 8 * i;
		return value;
	}
}

static void memory_write(void *p, unsigned len, uint64_t value)
{
	switch (len) {
	case 1:
		*(uint8_t *)p = (uint8_t)value;
		break;
	case 2:
		__builtin_memcpy(p, &value, 2);
		break;
	case 4:
		__builtin_memcpy(p, &value, 4);
		break;
	case 8:
		__builtin_memcpy(p, &value, 8);
		break;
	default:
		for (unsigned i = 0; i < len; i++)
			((uint8_t *)p)[i] = (uint8_t)(value >> 8 * i);
	}
}

static uint64_t piece_read(const struct emu *e, uint64_t addr, unsigned len)
{
	const struct gmem_slot *s = gmem_slot_find(e->env->mem, gpa(addr));
	const void *p = s ? gmem_slot_ptr(s, gpa(addr), len) : NULL;

	return p ? memory_read(p, len) : bus_read(e->env->mmio, addr, len);
}

static void piece_write(const struct emu *e, uint64_t addr, unsigned len, uint64_t value)
{
	const struct gmem_slot *s = gmem_slot_find(e->env->mem, gpa(addr));
	void *p = s ? gmem_slot_ptr(s, gpa(addr), len) : NULL;

	if (!p)
		bus_write(e->env->mmio, addr, len, value);
	else if (!s->readonly)
		memory_write(p, len, value);
}

uint64_t emu_place_read(const struct emu *e, const struct emu_place *place)
{
	uint64_t value = piece_read(e, place->gpa[0], place->len[0]);

	if (unlikely(place->len[1]))
		value |= piece_read(e, place->gpa[1], place->len[1]) << 8 * place->len[0];
	return value;
}

void emu_place_write(const struct emu *e, const struct emu_place *place, uint64_t value)
{
	piece_write(e, place->gpa[0], place->len[0], value);
	if (unlikely(place->len[1]))
		piece_write(e, place->gpa[1], place->len[1], value >> 8 * place->len[0]);
}
