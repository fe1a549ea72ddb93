/*
 * MOVS, STOS, LODS, CMPS, SCAS under emulation, with and without REP. Must not know what lies
 * behind the addresses. INS and OUTS are string_io.c's. Source: Intel SDM Vol. 1, "String
 * Operations"; Vol. 2B, "REP/REPE/REPZ/REPNE/REPNZ".
 */
#include "emu_priv.h"

struct string_run {
	const struct insn *insn;
	bool has_source, has_destination, compares;
	uint64_t si, di, count; /* within the address size */
	uint64_t done;		/* iterations */
	uint64_t rflags;
	struct emu_operand source, destination;
};

enum emu_kind emu_rep_pause(const struct emu *e, uint64_t rflags)
{
	uint64_t shadow;

	/*
	 * Vol. 3B, "Instruction-Breakpoint Exception Condition": one breakpoint for the whole
	 * string. The exit of an I/O instruction has cleared RF (Vol. 3C, "Saving RIP, RSP,
	 * RFLAGS").
	 */
	emu_set(e, REG_RFLAGS, rflags | FLAG_RF);
	if (rflags & FLAG_TF) {
		e->env->v->exit.insn_len = 0;
		return EMU_DONE;
	}
	/* The STI or MOV SS shadow ends with the first iteration: an interrupt may come here. */
	shadow = emu_get(e, REG_INT_SHADOW);
	if (shadow & 3)
		emu_set(e, REG_INT_SHADOW, shadow & ~3ul);
	return EMU_RETRY;
}

static bool run_iterate(struct emu *e, struct string_run *r)
{
	const struct insn *i = r->insn;
	struct emu_place from, to;
	uint64_t value;

	/* Both before anything is done: a device must not be read for a write that faults. */
	if (r->has_source && !emu_operand_find(e, &r->source, r->si, i->size, &from))
		return false;
	if (r->has_destination && !emu_operand_find(e, &r->destination, r->di, i->size, &to))
		return false;
	value = r->has_source ? emu_place_read(e, &from) : emu_gpr(e, REG_RAX) & emu_mask(i->size);
	if (r->compares)
		emu_alu(INSN_CMP, i->size, value, emu_place_read(e, &to), &r->rflags);
	else if (r->has_destination)
		emu_place_write(e, &to, value);
	else
		emu_gpr_write(e, REG_RAX, i->size, value);
	return true;
}

static void run_step(struct string_run *r)
{
	uint64_t step = r->rflags & FLAG_DF ? 0ul - r->insn->size : r->insn->size;
	uint64_t mask = emu_mask(r->insn->addr_size);

	if (r->has_source)
		r->si = (r->si + step) & mask;
	if (r->has_destination)
		r->di = (r->di + step) & mask;
	r->count--;
	r->done++;
}

/* Registers tell how far it came. */
static void run_commit(const struct emu *e, const struct string_run *r)
{
	unsigned size = r->insn->addr_size;

	if (r->done == 0)
		return;
	if (r->has_source)
		emu_gpr_write(e, REG_RSI, size, r->si);
	if (r->has_destination)
		emu_gpr_write(e, REG_RDI, size, r->di);
	if (r->insn->rep)
		emu_gpr_write(e, REG_RCX, size, r->count);
	if (r->compares)
		emu_set(e, REG_RFLAGS, r->rflags);
}

/* REPE CMPS goes on while equal, REPNE while not. */
static bool run_ended(const struct string_run *r)
{
	bool equal = r->rflags & FLAG_ZF;

	return r->count == 0 || (r->compares && equal != (r->insn->rep == 0xf3));
}

enum emu_kind emu_string(struct emu *e, const struct insn *i)
{
	struct string_run r = {
		.insn = i,
		.has_source = i->op == INSN_MOVS || i->op == INSN_LODS || i->op == INSN_CMPS,
		.has_destination = i->op != INSN_LODS,
		.compares = i->op == INSN_CMPS || i->op == INSN_SCAS,
		.rflags = emu_get(e, REG_RFLAGS),
	};
	uint64_t mask = emu_mask(i->addr_size), limit = r.rflags & FLAG_TF ? 1 : EMU_REP_MAX;
	bool fault = false;

	r.count = i->rep ? emu_gpr(e, REG_RCX) & mask : 1;
	r.si = emu_gpr(e, REG_RSI) & mask;
	r.di = emu_gpr(e, REG_RDI) & mask;
	if (r.count == 0)
		return EMU_DONE;
	if ((r.has_source && !emu_operand_init(e, &r.source, i->segment, false)) ||
	    (r.has_destination && !emu_operand_init(e, &r.destination, SEG_ES, !r.compares)))
		return EMU_EXCEPTION;
	do {
		fault = !run_iterate(e, &r);
		if (!fault)
			run_step(&r);
	} while (!fault && !run_ended(&r) && r.done < limit);
	run_commit(e, &r);
	if (fault)
		return EMU_EXCEPTION;
	return run_ended(&r) ? EMU_DONE : emu_rep_pause(e, r.rflags);
}
