/*
 * Finds the instruction at CS:RIP: from its bytes in guest memory, or in the cache of those decoded
 * before. Must not know what it will do.
 */
#include <crvm/cpu.h>
#include "emu_priv.h"

#define EMU_BYTES 16u /* copied at once, of which INSN_LEN_MAX count */

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

/* All that tells what bytes at a linear address mean, but for CR3. */
static uint64_t cache_mode(const struct emu *e)
{
	_Static_assert(
		!((CR0_PG | CR4_PSE | CR4_PAE | EFER_LMA) & (DECODE_16 | DECODE_32 | DECODE_64)) &&
			!(CR0_PG & EFER_LMA) && !((CR4_PSE | CR4_PAE) & (CR0_PG | EFER_LMA)),
		"each has a bit of its own");
	return e->mode | (e->paging.cr0 & CR0_PG) | (e->paging.cr4 & (CR4_PSE | CR4_PAE)) |
	       (e->paging.efer & EFER_LMA);
}

static inline bool cache_hits(const struct emu *e, const struct emu_cached *c, uint64_t la)
{
	uint64_t now[2];

	if (c->la != la || c->cr3 != e->paging.cr3 || c->mode != cache_mode(e) ||
	    !gwalk_proof_holds(&c->proof))
		return false;
	__builtin_memcpy(now, c->code, sizeof(now));
	return now[0] == c->byte[0] && now[1] == c->byte[1];
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
	/* A proof and a translation that differ (another CPU changes the tables) are no proof. */
	if (gwalk_proof_holds(&c->proof))
		c->mode = cache_mode(e);
}

enum emu_kind emu_fetch(struct emu *e, const struct insn **out)
{
	struct insn_bytes in = {.count = 0};
	struct emu_cached *c = NULL;
	enum emu_kind kind;
	uint64_t la;

	e->rip = emu_get(e, REG_RIP);
	la = e->rip;
	if (unlikely(e->mode != DECODE_64))
		la = (e->cs.base + e->rip) & 0xffffffff;
	if (likely(e->env->cache)) {
		c = &e->env->cache->entry[(la ^ la >> 5) % array_count(e->env->cache->entry)];
		if (likely(cache_hits(e, c, la))) {
			*out = &c->insn;
			return EMU_DONE;
		}
	}
	kind = fetch_slowly(e, la, &in);
	if (kind == EMU_DONE && c)
		cache_fill(e, c, la, &in);
	*out = &e->insn;
	return kind;
}
