/*
 * What the parts of the emulator share (emulate.c, emu_mem.c, emu_alu.c, emu_string.c,
 * string_io.c). For them only.
 */
#pragma once

#include <crvm/cpu.h>
#include <crvm/emulate.h>
#include <crvm/gwalk.h>

enum emu_rflags {
	FLAG_CF = 1u << 0,
	FLAG_PF = 1u << 2,
	FLAG_AF = 1u << 4,
	FLAG_ZF = 1u << 6,
	FLAG_SF = 1u << 7,
	FLAG_TF = 1u << 8,
	FLAG_DF = 1u << 10,
	FLAG_RF = 1u << 16,
	FLAG_OF = 1u << 11,
	FLAG_VM = 1u << 17,
	FLAG_STATUS = FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF | FLAG_OF,
};

enum emu_segment_attr {
	ATTR_TYPE_WRITE = 1u << 1, /* of code: readable */
	ATTR_TYPE_DOWN = 1u << 2,  /* of data: expands down; of code: conforming */
	ATTR_TYPE_CODE = 1u << 3,
	ATTR_DPL_SHIFT = 5,
	ATTR_L = 1u << 13,
	ATTR_DB = 1u << 14,
};

/* One instruction under emulation. */
struct emu {
	const struct emu_env *env;
	struct emu_result *result;
	struct vcpu_segment cs;
	uint64_t rip; /* emulate_insn only */
	enum decode_mode mode;
	bool paging_full; /* `paging` has all; before, what GWALK_ANY needs */
	struct gwalk_state paging;
	struct insn insn; /* emu_fetch */
};

/* One memory operand's segment, and the last page that was translated for it. */
struct emu_operand {
	uint8_t segment;
	bool write;
	uint64_t base;
	uint64_t first, last; /* valid offsets; outside 64-bit mode */
	uint64_t page, frame; /* linear and physical; NO_PAGE */
};

/* Where an operand's bytes lie: the second piece, in the next page, is mostly empty. */
struct emu_place {
	uint64_t gpa[2];
	uint32_t len[2];
};

/* Loads all of e->paging. */
void emu_paging_load(struct emu *e);
enum emu_kind emu_raise(struct emu *e, uint8_t vector, uint32_t error);

/* EMU_DONE: the instruction at `la` is in *out. For what is not in the cache. */
enum emu_kind emu_fetch(struct emu *e, uint64_t la, const struct insn **out);

/* These three: false after an exception, which is in e->result then. */
bool emu_operand_init(struct emu *e, struct emu_operand *op, unsigned segment, bool write);
bool emu_operand_find(struct emu *e, struct emu_operand *op, uint64_t offset, unsigned size,
		      struct emu_place *place);
bool emu_translate(struct emu *e, struct emu_operand *op, uint64_t la, uint64_t *gpa);

/* Of 1 to 8 bytes. */
uint64_t emu_place_read(const struct emu *e, const struct emu_place *place);
void emu_place_write(const struct emu *e, const struct emu_place *place, uint64_t value);

/* dst OP src for INSN_ADD to INSN_CMP, INSN_TEST; INC, DEC, NEG of dst. Updates the status flags.
 */
uint64_t emu_alu(unsigned op, unsigned size, uint64_t dst, uint64_t src, uint64_t *rflags);

enum emu_kind emu_string(struct emu *e, const struct insn *i);

/*
 * After part of a REP instruction, `done` iterations, with more to do: RETRY, or DONE for a single
 * step.
 */
enum emu_kind emu_rep_pause(const struct emu *e, uint64_t rflags);

static inline uint64_t emu_mask(unsigned size)
{
	return ~0ul >> (64 - 8 * size);
}

static inline uint64_t emu_get(const struct emu *e, enum vcpu_reg reg)
{
	return e->env->backend->get_reg(e->env->v, reg);
}

static inline void emu_set(const struct emu *e, enum vcpu_reg reg, uint64_t value)
{
	e->env->backend->set_reg(e->env->v, reg, value);
}

/*
 * Each register costs a call and a VMCS access, so in 64-bit mode only what a walk with GWALK_ANY
 * needs is read: most accesses to devices need no other walk.
 */
static inline void emu_begin(struct emu *e, const struct emu_env *env, struct emu_result *result)
{
	e->env = env;
	e->result = result;
	env->backend->get_segment(env->v, SEG_CS, &e->cs);
	e->paging.phys_bits = env->phys_bits;
	e->paging.efer = emu_get(e, REG_EFER);
	e->paging_full = false;
	if (likely(e->paging.efer & EFER_LMA && e->cs.attr & ATTR_L)) {
		e->mode = DECODE_64;
		e->paging.cr0 = CR0_PE | CR0_PG;
		e->paging.cr4 = CR4_PAE;
		e->paging.cr3 = emu_get(e, REG_CR3);
		e->paging.cpl = 0;
	} else {
		e->mode = e->cs.attr & ATTR_DB ? DECODE_32 : DECODE_16;
		emu_paging_load(e);
	}
}

/*
 * Whether the CPU has walked the guest's tables for the access that left the guest, with the right
 * to read or write: it would have raised #PF otherwise, so v->exit tells the physical address of
 * that page.
 */
static inline bool emu_is_walked(const struct vcpu_exit *x, bool write)
{
	return x->kind == EXIT_NESTED_FAULT && x->fault.linear_valid && !x->fault.page_walk &&
	       x->fault.access & (write ? FAULT_WRITE : FAULT_READ | FAULT_WRITE);
}

/* All 64 bits of a register by its number in the instruction. */
static inline uint64_t emu_gpr(const struct emu *e, unsigned number)
{
	return likely(number != REG_RSP) ? e->env->v->gpr[number & 15] : emu_get(e, REG_RSP);
}

/* As an instruction writes it: 4 bytes clear the upper half, 1 and 2 keep what lies above. */
static inline void emu_gpr_write(const struct emu *e, unsigned number, unsigned size,
				 uint64_t value)
{
	if (size == 4)
		value &= 0xffffffff;
	else if (size < 4)
		value = (emu_gpr(e, number) & ~emu_mask(size)) | (value & emu_mask(size));
	if (likely(number != REG_RSP))
		e->env->v->gpr[number & 15] = value;
	else
		emu_set(e, REG_RSP, value);
}

#define EMU_BYTES 16u /* copied at once, of which INSN_LEN_MAX count */

/* All that tells what bytes at a linear address mean, but for CR3. */
static inline uint64_t emu_cache_mode(const struct emu *e)
{
	return e->mode | (e->paging.cr0 & CR0_PG) | (e->paging.cr4 & (CR4_PSE | CR4_PAE)) |
	       (e->paging.efer & EFER_LMA);
}
_Static_assert(!((CR0_PG | CR4_PSE | CR4_PAE | EFER_LMA) & (DECODE_16 | DECODE_32 | DECODE_64)) &&
		       !(CR0_PG & EFER_LMA) && !((CR4_PSE | CR4_PAE) & (CR0_PG | EFER_LMA)),
	       "each has a bit of its own");

/* Where in the cache an instruction is, if it is there. */
static inline struct emu_cached *emu_cached(const struct emu_env *env, uint64_t la)
{
	return &env->cache->entry[(la ^ la >> 5) % array_count(env->cache->entry)];
}

static inline bool emu_cache_holds(const struct emu_cached *c, uint64_t la, uint64_t cr3,
				   uint64_t mode)
{
	uint64_t now[2];

	if (unlikely(c->la != la || c->cr3 != cr3 || c->mode != mode ||
		     !gwalk_proof_holds(&c->proof)))
		return false;
	__builtin_memcpy(now, c->code, sizeof(now));
	return now[0] == c->byte[0] && now[1] == c->byte[1];
}

static inline bool emu_is_canonical(uint64_t la)
{
	return (uint64_t)((int64_t)(la << 16) >> 16) == la;
}

/* Whether the segment has all of these bytes (64-bit mode: whether they are canonical). */
static inline bool emu_operand_has(const struct emu *e, const struct emu_operand *op,
				   uint64_t offset, unsigned size)
{
	uint64_t la = op->base + offset;

	if (likely(e->mode == DECODE_64))
		return emu_is_canonical(la) && emu_is_canonical(la + size - 1);
	return offset >= op->first && offset + size - 1 <= op->last;
}

/* Bytes from there to the page's end. */
static inline unsigned emu_operand_room(const struct emu_operand *op, uint64_t offset)
{
	return (unsigned)(PAGE_SIZE - ((op->base + offset) & (PAGE_SIZE - 1)));
}
