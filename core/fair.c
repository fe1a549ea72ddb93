/* See fair.h. Virtual times are compared by difference, so that they may wrap. */
#include "fair.h"

static bool before(uint64_t a, uint64_t b)
{
	return (int64_t)(a - b) < 0;
}

static uint64_t virtual_ticks(const struct fair_member *m, uint64_t ticks)
{
	return ticks * FAIR_WEIGHT_STANDARD / m->weight;
}

static uint64_t vtime_woken(const struct fair_queue *q, const struct fair_member *m)
{
	uint64_t lowest = q->floor - virtual_ticks(m, q->slice);

	return before(m->vtime, lowest) ? lowest : m->vtime;
}

void fair_add(struct fair_queue *q, struct fair_member *m, unsigned weight)
{
	m->vtime = q->floor;
	m->weight = weight ? weight : FAIR_WEIGHT_STANDARD;
	m->next = m;
	if (q->ring) {
		m->next = q->ring->next;
		q->ring->next = m;
	}
	q->ring = m;
}

void fair_remove(struct fair_queue *q, struct fair_member *m)
{
	struct fair_member *before_it = m;

	while (before_it->next != m)
		before_it = before_it->next;
	before_it->next = m->next;
	if (q->ring == m)
		q->ring = m->next == m ? NULL : before_it;
	if (q->current == m)
		q->current = NULL;
	m->next = m;
}

struct fair_member *fair_pick(const struct fair_queue *q, uint64_t now,
			      enum fair_state (*state)(struct fair_member *m))
{
	struct fair_member *m = q->ring, *best = NULL;
	bool current_ready = false, best_woken = false;
	uint64_t lowest = 0;

	if (!m)
		return NULL;
	do {
		enum fair_state s;
		uint64_t vtime;

		m = m->next;
		s = state(m);
		if (s == FAIR_IDLE)
			continue;
		if (m == q->current)
			current_ready = s == FAIR_READY;
		vtime = s == FAIR_WOKEN ? vtime_woken(q, m) : m->vtime;
		if (best && !before(vtime, lowest))
			continue;
		best = m;
		best_woken = s == FAIR_WOKEN;
		lowest = vtime;
	} while (m != q->ring);
	if (current_ready && !best_woken && before(now, q->slice_end))
		return q->current;
	return best;
}

void fair_wake(struct fair_queue *q, struct fair_member *m)
{
	m->vtime = vtime_woken(q, m);
}

void fair_begin(struct fair_queue *q, struct fair_member *m, uint64_t now)
{
	if (m != q->current || !before(now, q->slice_end)) {
		q->current = m;
		q->slice_end = now + q->slice;
	}
	if (before(q->floor, m->vtime))
		q->floor = m->vtime;
}

void fair_charge(struct fair_member *m, uint64_t ticks)
{
	m->vtime += virtual_ticks(m, ticks);
}
