/*
 * Ring of bytes for one producer and one consumer. Must not know who they are, nor any lock.
 *
 * head and tail count bytes for ever and wrap at 2^32; their difference is the fill level. Each
 * side publishes its counter with a release after it touched the bytes, and reads the other's with
 * an acquire before it does: bytes are never read before they are written, nor overwritten before
 * they are read.
 */
#include <crvm/ring.h>
#include <crvm/string.h>

void ring_init(struct ring *r, uint8_t *buf, uint32_t size)
{
	r->buf = buf;
	r->size = size;
	atomic_init(&r->head, 0);
	atomic_init(&r->tail, 0);
}

uint32_t ring_used(const struct ring *r)
{
	/* tail first: for a third party the difference can then be too large, but never negative.
	 */
	uint32_t tail = atomic_load_explicit(&r->tail, memory_order_acquire);
	uint32_t head = atomic_load_explicit(&r->head, memory_order_acquire);
	uint32_t used = head - tail;

	return used < r->size ? used : r->size;
}

uint32_t ring_free(const struct ring *r)
{
	return r->size - ring_used(r);
}

bool ring_put(struct ring *r, const void *data, uint32_t n)
{
	uint32_t head = atomic_load_explicit(&r->head, memory_order_relaxed);
	uint32_t tail = atomic_load_explicit(&r->tail, memory_order_acquire);
	uint32_t at = head & (r->size - 1);
	uint32_t first = r->size - at; /* bytes up to the end of buf */

	if (n > r->size - (head - tail))
		return false;
	if (first > n)
		first = n;
	if (first)
		memcpy(r->buf + at, data, first);
	if (n > first)
		memcpy(r->buf, (const uint8_t *)data + first, n - first);
	atomic_store_explicit(&r->head, head + n, memory_order_release);
	return true;
}

uint32_t ring_get(struct ring *r, void *data, uint32_t n)
{
	uint32_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);
	uint32_t head = atomic_load_explicit(&r->head, memory_order_acquire);
	uint32_t at = tail & (r->size - 1);
	uint32_t first = r->size - at;

	if (n > head - tail)
		n = head - tail;
	if (first > n)
		first = n;
	if (first)
		memcpy(data, r->buf + at, first);
	if (n > first)
		memcpy((uint8_t *)data + first, r->buf, n - first);
	atomic_store_explicit(&r->tail, tail + n, memory_order_release);
	return n;
}
