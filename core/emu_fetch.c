/*
 * Finds the instruction at CS:RIP: from its bytes in guest memory, or in the cache of those decoded
 * before. Must not know what it will do.
 */
#include "emu_priv.h"

/*
 * Appends the bytes from `la` to the end of its page. OK; E_FAULT: an exception is in e->result;
 * E_BUSY: the guest's tables change under us; E_NOENT: not in memory. Rights are not checked: the
 * CPU has just executed what is there.
 */
static int fetch_page(struct emu *e, uint64_t la, struct insn_bytes *in)
{
	unsigned room = (unsigned)(PAGE_SIZE - (la & (PAGE_SIZE - 1)));
	const struct gmem_slot *s;
	const uint8_t *p;
	uint32_t error;
	gpa_t at;

	if (unlikely(gwalk_translate(&e->paging, e->env->mem, gva(la), GWALK_ANY, &at, &error))) {
		emu_paging_load(e);
		if (gwalk_translate(&e->paging, e->env->mem, gva(la), GWALK_FETCH, &at, &error) ==
		    OK)
			return E_BUSY;
		emu_raise(e, EXC_PF, error);
		e->result->cr2 = la;
		return E_FAULT;
	}
	s = gmem_slot_find(e->env->mem, at);
	p = s ? gmem_slot_ptr(s, at, room < EMU_BYTES ? room : EMU_BYTES) : NULL;
	if (!p)
		return E_NOENT;
	if (likely(room >= EMU_BYTES && in->count == 0)) {
		__builtin_memcpy(in->byte, p, EMU_BYTES);
		in->count = INSN_LEN_MAX;
		return OK;
	}
	for (unsigned i = 0; i < room && in->count < INSN_LEN_MAX; i++)
		in->byte[in->count++] = p[i];
	return OK;
}

static enum emu_kind unknown(struct emu *e, const struct insn_bytes *in)
{
	e->result->byte_count = in->count;
	__builtin_memcpy(e->result->byte, in->byte, INSN_LEN_MAX);
	return EMU_UNKNOWN;
}

/* EMU_DONE: e->insn is the instruction, `in` its bytes. */
static __attribute__((noinline)) enum emu_kind fetch_slowly(struct emu *e, uint64_t la,
							    struct insn_bytes *in)
{
	int rc;

	/* At most two pages: after the second there are bytes enough. */
	for (rc = fetch_page(e, la, in); rc == OK; rc = fetch_page(e, la, in)) {
		switch (decode_insn(in, e->mode, &e->insn)) {
		case DECODE_OK:
			return EMU_DONE;
		case DECODE_TOO_LONG:
			return emu_raise(e, EXC_GP, 0);
		case DECODE_UD:
			return emu_raise(e, EXC_UD, 0);
		case DECODE_UNKNOWN:
			return unknown(e, in);
		case DECODE_SHORT:
			break;
		}
		la += in->count;
		if (e->mode != DECODE_64)
			la &= 0xffffffff;
	}
	if (rc == E_NOENT)
		return unknown(e, in);
	return rc == E_BUSY ? EMU_RETRY : EMU_EXCEPTION;
}

/* Keeps e->insn, if its bytes lie in one page. */
static __attribute__((noinline)) void cache_fill(const struct emu *e, struct emu_cached *c,
						 uint64_t la, const struct insn_bytes *in)
{
	uint32_t error;
	gpa_t at;

	c->mode = 0;
	if ((la & (PAGE_SIZE - 1)) > PAGE_SIZE - EMU_BYTES ||
	    !gwalk_prove(&e->paging, e->env->mem, gva(la), &c->proof) ||
	    gwalk_translate(&e->paging, e->env->mem, gva(la), GWALK_ANY, &at, &error) != OK)
		return;
	c->code = gmem_ptr(e->env->mem, at, EMU_BYTES);
	if (!c->code)
		return;
	/* What was decoded counts, whatever stands there by now. */
	__builtin_memcpy(c->byte, in->byte, EMU_BYTES);
	c->la = la;
	c->cr3 = e->paging.cr3;
	c->insn = e->insn;
	c->plain = e->insn.op == INSN_MOV && e->insn.memory && e->insn.size >= 4 &&
		   e->insn.segment < SEG_FS;
	/* A proof and a translation that differ (another CPU changes the tables) are no proof. */
	if (gwalk_proof_holds(&c->proof))
		c->mode = emu_cache_mode(e);
}

enum emu_kind emu_fetch(struct emu *e, uint64_t la, const struct insn **out)
{
	struct insn_bytes in = {.count = 0};
	enum emu_kind kind = fetch_slowly(e, la, &in);

	if (kind == EMU_DONE && e->env->cache)
		cache_fill(e, emu_cached(e->env, la), la, &in);
	*out = &e->insn;
	return kind;
}
