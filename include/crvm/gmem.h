/*
 * A VM's guest-physical memory (mm/gmem.c): sorted slots gpa -> host memory. The only code that
 * turns a guest address into a pointer, always with bounds. Knows no VM and no nested page table.
 */
#pragma once

#include <crvm/addr.h>
#include <crvm/status.h>

#define GMEM_SLOT_MAX 64u

struct gmem_slot {
	uint64_t gpa, len; /* multiples of PAGE_SIZE; gpa + len does not wrap */
	uint8_t *host;
	bool readonly; /* the guest's writes are dropped (ROM) */
};

struct gmem { /* all zero: no memory */
	unsigned count;
	unsigned largest;		      /* the slot that most accesses hit, looked at first */
	struct gmem_slot slot[GMEM_SLOT_MAX]; /* sorted, disjoint */
};

/*
 * E_INVAL misaligned, empty, wrapping; E_EXIST overlap; E_NOMEM table full. Before the VM runs.
 * What lies beside a slot in the guest and in the host as well, and is as readonly, makes that
 * larger.
 */
must_check int gmem_add(struct gmem *m, gpa_t addr, uint64_t len, void *host, bool readonly);

/*
 * The host's view of [addr, addr + len) if it lies in one slot; else NULL. For writing: NULL for a
 * read-only slot. NULL for len 0.
 */
void *gmem_ptr(const struct gmem *m, gpa_t addr, uint64_t len);
void *gmem_ptr_write(const struct gmem *m, gpa_t addr, uint64_t len);

/* Whether all of [addr, addr + len) is memory. */
bool gmem_has(const struct gmem *m, gpa_t addr, uint64_t len);
/* Copies across slots. E_FAULT if any byte is not memory, then nothing was copied. */
must_check int gmem_read(const struct gmem *m, gpa_t from, void *buf, uint64_t len);
/* Bytes of read-only slots are skipped silently, as on a PC. */
must_check int gmem_write(const struct gmem *m, gpa_t to, const void *buf, uint64_t len);

/*
 * The slot that has `addr`, or NULL; and gmem_ptr within a slot found so. For paths where a call
 * each is too long.
 */
static inline const struct gmem_slot *gmem_slot_find(const struct gmem *m, gpa_t addr)
{
	const struct gmem_slot *s = &m->slot[m->largest];

	if (likely(addr.v - s->gpa < s->len)) /* with no slots, len is 0 */
		return s;
	for (unsigned i = 0; i < m->count; i++)
		if (addr.v - m->slot[i].gpa < m->slot[i].len)
			return &m->slot[i];
	return NULL;
}

static inline void *gmem_slot_ptr(const struct gmem_slot *s, gpa_t addr, uint64_t len)
{
	uint64_t at = addr.v - s->gpa;

	return likely(at < s->len && len <= s->len - at) ? s->host + at : NULL;
}
