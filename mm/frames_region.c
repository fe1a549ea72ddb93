/*
 * Which RAM there is: reservations, adding RAM, giving up what was reserved. It must not know who
 * asks, nor how blocks are chosen. All of it takes hostile memory maps: sums never wrap, tables
 * have limits.
 */
#include <crvm/frames.h>
#include <crvm/panic.h>
#include <crvm/status.h>
#include <crvm/string.h>
#include "frames_pool.h"

/* Index of the first piece that ends after pfn. */
static unsigned piece_after(uint64_t pfn)
{
	unsigned i = 0;

	while (i < frames_pool.piece_count && frames_pool.piece[i].span.end <= pfn)
		i++;
	return i;
}

static void piece_insert(unsigned at, struct frame_span s, frame_owner_t owner)
{
	check(frames_pool.piece_count < FRAMES_PIECE_MAX);
	for (unsigned i = frames_pool.piece_count; i > at; i--)
		frames_pool.piece[i] = frames_pool.piece[i - 1];
	frames_pool.piece[at] = (struct frame_piece){.span = s, .owner = owner};
	frames_pool.piece_count++;
}

/* Reserves what no earlier reservation has. */
static void span_reserve(struct frame_span s, frame_owner_t owner)
{
	unsigned i = piece_after(s.first);

	while (s.first < s.end) {
		if (i == frames_pool.piece_count || frames_pool.piece[i].span.first >= s.end) {
			piece_insert(i, s, owner);
			return;
		}
		if (frames_pool.piece[i].span.first > s.first) {
			struct frame_span gap = {s.first, frames_pool.piece[i].span.first};

			piece_insert(i, gap, owner);
			i++;
		}
		s.first = frames_pool.piece[i].span.end;
		i++;
	}
}

void frames_init(void)
{
	spin_lock(&frames_lock);
	memset(&frames_pool, 0, sizeof(frames_pool));
	for (unsigned order = 0; order < ORDER_COUNT; order++)
		frames_pool.free_head[order] = PFN_NONE;
	span_reserve((struct frame_span){0, 1}, FRAME_NONE);
	spin_unlock(&frames_lock);
}

static int reserve_locked(struct frame_span s, frame_owner_t owner)
{
	if (frames_pool.reserve_count == FRAMES_RESERVE_MAX)
		return E_NOMEM;
	for (unsigned i = 0; i < frames_pool.region_count; i++) {
		const struct frame_span *r = &frames_pool.region[i].span;

		if (r->first < s.end && s.first < r->end)
			return E_BUSY;
	}
	span_reserve(s, owner);
	frames_pool.reserve_count++;
	return OK;
}

int frames_reserve(uint64_t base, uint64_t len, frame_owner_t owner)
{
	int rc;

	if (owner == FRAME_FREE || owner >= FRAME_OWNER_MAX)
		return E_INVAL;
	if (len == 0)
		return OK;
	if (len - 1 > UINT64_MAX - base)
		return E_INVAL;
	spin_lock(&frames_lock);
	rc = reserve_locked((struct frame_span){.first = base >> PAGE_SHIFT,
						.end = ((base + (len - 1)) >> PAGE_SHIFT) + 1},
			    owner);
	spin_unlock(&frames_lock);
	return rc;
}

static uint64_t table_frames(struct frame_span s)
{
	return ((s.end - s.first) * sizeof(struct frame) + PAGE_SIZE - 1) >> PAGE_SHIFT;
}

/*
 * The lowest place for the table of `s` beside what is reserved: low memory is where the boot
 * loader's things have broken up the large blocks already. PFN_NONE if there is none.
 */
static uint64_t table_place(struct frame_span s)
{
	uint64_t need = table_frames(s), pfn = s.first;

	for (unsigned i = piece_after(s.first); i < frames_pool.piece_count; i++) {
		const struct frame_span *p = &frames_pool.piece[i].span;

		if (p->first >= s.end)
			break;
		if (p->first > pfn && p->first - pfn >= need)
			return pfn;
		pfn = p->end;
	}
	return pfn < s.end && s.end - pfn >= need ? pfn : PFN_NONE;
}

static void region_insert(struct frame_region r)
{
	unsigned at = frames_pool.region_count++;

	for (; at > 0 && frames_pool.region[at - 1].span.first > r.span.first; at--)
		frames_pool.region[at] = frames_pool.region[at - 1];
	frames_pool.region[at] = r;
}

/* All of the region's table is written here: what is reserved, and free blocks in between. */
static void region_fill(struct frame_region *r)
{
	uint64_t pfn = r->span.first;

	memset(r->table, 0, table_frames(r->span) << PAGE_SHIFT);
	frames_pool.total += r->span.end - r->span.first;
	for (unsigned i = piece_after(pfn); i < frames_pool.piece_count; i++) {
		const struct frame_piece *p = &frames_pool.piece[i];
		uint64_t end = p->span.end < r->span.end ? p->span.end : r->span.end;

		if (p->span.first >= r->span.end)
			break;
		if (p->span.first > pfn) {
			frames_span_insert(r, (struct frame_span){pfn, p->span.first});
			pfn = p->span.first;
		}
		frames_pool.owned[p->owner] += end - pfn;
		for (; pfn < end; pfn++)
			r->table[pfn - r->span.first] =
				(struct frame){.state = FRAME_RESERVED, .owner = p->owner};
	}
	frames_span_insert(r, (struct frame_span){pfn, r->span.end});
}

/* The whole frames in [base, base + len), which ends at 2^64 at the latest: no sum here may wrap.
 */
static struct frame_span span_inside(uint64_t base, uint64_t len)
{
	return (struct frame_span){
		.first = (base >> PAGE_SHIFT) + (base % PAGE_SIZE != 0),
		.end = ((base + (len - 1)) >> PAGE_SHIFT) + ((base + len) % PAGE_SIZE == 0),
	};
}

/* Adds a region to the plan; no change to anything else. */
static int plan_region(unsigned *count, struct frame_span s)
{
	uint64_t table = table_place(s);

	if (table == PFN_NONE || frames_pool.region_count + *count == FRAMES_REGION_MAX)
		return E_NOMEM;
	frames_pool.plan[(*count)++] =
		(struct frame_region){.span = s, .table = phys_to_virt(hpa(table << PAGE_SHIFT))};
	return OK;
}

/* First plans all that is to be done, then does it: so that a failure leaves nothing behind. */
static int add_locked(struct frame_span s)
{
	unsigned count = 0;
	int rc = OK;

	for (unsigned i = 0; i < frames_pool.region_count && s.first < s.end && rc == OK; i++) {
		const struct frame_span *r = &frames_pool.region[i].span;

		if (r->first > s.first)
			rc = plan_region(
				&count,
				(struct frame_span){s.first, r->first < s.end ? r->first : s.end});
		if (r->end > s.first)
			s.first = r->end;
	}
	if (s.first < s.end && rc == OK)
		rc = plan_region(&count, s);
	if (rc != OK)
		return rc;

	for (unsigned i = 0; i < count; i++) {
		struct frame_region *r = &frames_pool.plan[i];
		uint64_t table = virt_to_phys(r->table).v >> PAGE_SHIFT;

		span_reserve((struct frame_span){table, table + table_frames(r->span)},
			     FRAME_TABLE);
		region_insert(*r);
		region_fill(frames_region_of(r->span.first));
	}
	return OK;
}

int frames_add(uint64_t base, uint64_t len)
{
	struct frame_span s;
	int rc;

	if (len == 0)
		return OK;
	if (len - 1 > UINT64_MAX - base)
		return E_INVAL;
	s = span_inside(base, len);
	if (s.end > PFN_LIMIT)
		s.end = PFN_LIMIT;
	if (s.first >= s.end)
		return OK;
	spin_lock(&frames_lock);
	rc = add_locked(s);
	spin_unlock(&frames_lock);
	return rc;
}

/* The first run of frames in `s` that `owner` has reserved; false if there is none. */
static bool reserved_run(const struct frame_region *r, struct frame_span s, frame_owner_t owner,
			 struct frame_span *run)
{
	const struct frame *t = r->table;
	uint64_t base = r->span.first, pfn = s.first;

	while (pfn < s.end &&
	       (t[pfn - base].state != FRAME_RESERVED || t[pfn - base].owner != owner))
		pfn++;
	run->first = pfn;
	while (pfn < s.end && t[pfn - base].state == FRAME_RESERVED && t[pfn - base].owner == owner)
		pfn++;
	run->end = pfn;
	return run->first < run->end;
}

void frames_release(uint64_t base, uint64_t len, frame_owner_t owner)
{
	struct frame_span s, run;

	check(owner != FRAME_FREE && owner != FRAME_TABLE && owner < FRAME_OWNER_MAX);
	if (len == 0)
		return;
	check(len - 1 <= UINT64_MAX - base);
	s = span_inside(base, len);
	/* The first page is not ours to give, whoever asks. */
	if (s.first == 0)
		s.first = 1;

	spin_lock(&frames_lock);
	for (unsigned i = 0; i < frames_pool.region_count; i++) {
		struct frame_region *r = &frames_pool.region[i];
		struct frame_span part = {
			.first = s.first > r->span.first ? s.first : r->span.first,
			.end = s.end < r->span.end ? s.end : r->span.end,
		};

		while (reserved_run(r, part, owner, &run)) {
			frames_pool.owned[owner] -= run.end - run.first;
			memset(&r->table[run.first - r->span.first], 0,
			       (run.end - run.first) * sizeof(struct frame));
			frames_span_insert(r, run);
			part.first = run.end;
		}
	}
	spin_unlock(&frames_lock);
}
