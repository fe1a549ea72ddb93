/*
 * A VM's guest-physical memory: which host memory stands for which guest addresses. It must not
 * know what the memory is used for, nor how the guest reaches it.
 *
 * Addresses and lengths come from guests: any 64-bit values. No sum of the two is formed before it
 * is known not to wrap.
 */
#include <crvm/gmem.h>
#include <crvm/string.h>

/* Whether `b` goes on where `a` ends, for the guest and in the host. */
static bool slots_join(const struct gmem_slot *a, const struct gmem_slot *b)
{
	return a->gpa + a->len == b->gpa && a->host + a->len == b->host &&
	       a->readonly == b->readonly;
}

static void slot_remove(struct gmem *m, unsigned at)
{
	m->count--;
	memmove(&m->slot[at], &m->slot[at + 1], (m->count - at) * sizeof(m->slot[0]));
}

/* The new slot is to be number `at`. */
static int slot_insert(struct gmem *m, unsigned at, const struct gmem_slot *s)
{
	if (at > 0 && slots_join(&m->slot[at - 1], s)) {
		m->slot[at - 1].len += s->len;
		if (at < m->count && slots_join(&m->slot[at - 1], &m->slot[at])) {
			m->slot[at - 1].len += m->slot[at].len;
			slot_remove(m, at);
		}
		return OK;
	}
	if (at < m->count && slots_join(s, &m->slot[at])) {
		m->slot[at].gpa = s->gpa;
		m->slot[at].host = s->host;
		m->slot[at].len += s->len;
		return OK;
	}
	if (m->count == GMEM_SLOT_MAX)
		return E_NOMEM;
	memmove(&m->slot[at + 1], &m->slot[at], (m->count - at) * sizeof(m->slot[0]));
	m->slot[at] = *s;
	m->count++;
	return OK;
}

int gmem_add(struct gmem *m, gpa_t addr, uint64_t len, void *host, bool readonly)
{
	const struct gmem_slot s = {
		.gpa = addr.v,
		.len = len,
		.host = host,
		.readonly = readonly,
	};
	unsigned at = m->count;
	int err;

	if (!host || len == 0 || (s.gpa | len) % PAGE_SIZE != 0 || s.gpa + len < s.gpa)
		return E_INVAL;
	while (at > 0 && m->slot[at - 1].gpa > s.gpa)
		at--;
	if (at > 0 && m->slot[at - 1].gpa + m->slot[at - 1].len > s.gpa)
		return E_EXIST;
	if (at < m->count && s.gpa + len > m->slot[at].gpa)
		return E_EXIST;
	err = slot_insert(m, at, &s);
	for (unsigned i = m->largest = 0; i < m->count; i++)
		if (m->slot[i].len > m->slot[m->largest].len)
			m->largest = i;
	return err;
}

/* Index of the slot that holds `addr`; count if none does. */
static __attribute__((noinline)) unsigned slot_search(const struct gmem *m, uint64_t addr)
{
	unsigned low = 0, high = m->count;

	while (low < high) {
		unsigned mid = (low + high) / 2;

		if (addr < m->slot[mid].gpa)
			high = mid;
		else if (addr - m->slot[mid].gpa >= m->slot[mid].len)
			low = mid + 1;
		else
			return mid;
	}
	return m->count;
}

static inline const struct gmem_slot *slot_of(const struct gmem *m, uint64_t addr)
{
	const struct gmem_slot *s = &m->slot[m->largest];
	unsigned index;

	if (likely(addr - s->gpa < s->len)) /* with no slots, len is 0 */
		return s;
	index = slot_search(m, addr);
	return index < m->count ? &m->slot[index] : NULL;
}

static inline void *slot_ptr(const struct gmem_slot *s, uint64_t addr, uint64_t len)
{
	uint64_t offset = addr - s->gpa;

	/* len - 1, so that 0 fails too */
	return likely(len - 1 < s->len - offset) ? s->host + offset : NULL;
}

void *gmem_ptr(const struct gmem *m, gpa_t addr, uint64_t len)
{
	const struct gmem_slot *s = slot_of(m, addr.v);

	return likely(s) ? slot_ptr(s, addr.v, len) : NULL;
}

void *gmem_ptr_write(const struct gmem *m, gpa_t addr, uint64_t len)
{
	const struct gmem_slot *s = slot_of(m, addr.v);

	return likely(s && !s->readonly) ? slot_ptr(s, addr.v, len) : NULL;
}

/* How many of the `len` bytes at addr, which lies in the slot, are the slot's. */
static uint64_t slot_share(const struct gmem_slot *s, uint64_t addr, uint64_t len)
{
	uint64_t rest = s->len - (addr - s->gpa);

	return len < rest ? len : rest;
}

/* Whether all of [addr, addr + len) is memory; len > 0. `first`: the index of the slot that holds
 * addr. */
static bool range_is_memory(const struct gmem *m, uint64_t addr, uint64_t len, unsigned *first)
{
	unsigned i = *first = slot_search(m, addr);

	while (i < m->count) {
		uint64_t n = slot_share(&m->slot[i], addr, len);

		len -= n;
		if (len == 0)
			return true;
		addr += n;
		i++;
		if (i < m->count && m->slot[i].gpa != addr) /* a hole */
			return false;
	}
	return false;
}

bool gmem_has(const struct gmem *m, gpa_t addr, uint64_t len)
{
	unsigned first;

	return !len || gmem_ptr(m, addr, len) || range_is_memory(m, addr.v, len, &first);
}

int gmem_read(const struct gmem *m, gpa_t from, void *buf, uint64_t len)
{
	uint64_t addr = from.v, n;
	uint8_t *p = buf;
	unsigned i;

	if (len == 0)
		return OK;
	if (!range_is_memory(m, addr, len, &i))
		return E_FAULT;
	for (; len > 0; i++, addr += n, p += n, len -= n) {
		const struct gmem_slot *s = &m->slot[i];

		n = slot_share(s, addr, len);
		memcpy(p, s->host + (addr - s->gpa), n);
	}
	return OK;
}

int gmem_write(const struct gmem *m, gpa_t to, const void *buf, uint64_t len)
{
	uint64_t addr = to.v, n;
	const uint8_t *p = buf;
	unsigned i;

	if (len == 0)
		return OK;
	if (!range_is_memory(m, addr, len, &i))
		return E_FAULT;
	for (; len > 0; i++, addr += n, p += n, len -= n) {
		const struct gmem_slot *s = &m->slot[i];

		n = slot_share(s, addr, len);
		if (!s->readonly)
			memcpy(s->host + (addr - s->gpa), p, n);
	}
	return OK;
}
