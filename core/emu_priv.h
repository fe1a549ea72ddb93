/*
 * What the parts of the emulator share (emulate.c, emu_mem.c, emu_alu.c, emu_string.c,
 * string_io.c). For them only.
 */
#pragma once

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
	FLAG_OF = 1u << 11,
	FLAG_VM = 1u << 17,
	FLAG_STATUS = FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF | FLAG_OF,
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

void emu_begin(struct emu *e, const struct emu_env *env, struct emu_result *result);
/* Loads all of e->paging. */
void emu_paging_load(struct emu *e);
enum emu_kind emu_raise(struct emu *e, uint8_t vector, uint32_t error);

/* EMU_DONE: the instruction at CS:RIP is in *out. */
enum emu_kind emu_fetch(struct emu *e, const struct insn **out);

/* These three: false after an exception, which is in e->result then. */
bool emu_operand_init(struct emu *e, struct emu_operand *op, unsigned segment, bool write);
bool emu_operand_find(struct emu *e, struct emu_operand *op, uint64_t offset, unsigned size,
		      struct emu_place *place);
bool emu_translate(struct emu *e, struct emu_operand *op, uint64_t la, uint64_t *gpa);

/* Whether the segment has all of these bytes (64-bit mode: whether they are canonical). */
bool emu_operand_has(const struct emu *e, const struct emu_operand *op, uint64_t offset,
		     unsigned size);
/* Bytes from there to the page's end. */
unsigned emu_operand_room(const struct emu_operand *op, uint64_t offset);

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
