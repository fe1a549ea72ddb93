/*
 * Physical memory: a buddy allocator over regions of RAM, with an owner for every frame. It must
 * not know what an owner does with its frames, nor what a VM is.
 */
#include <crvm/frames.h>
#include <crvm/panic.h>
#include <crvm/status.h>
#include <crvm/string.h>
#include "frames_pool.h"

struct frames_pool frames_pool;
struct spinlock frames_lock = SPINLOCK_INIT(RANK_FRAME, "frames");

struct frame_region *frames_region_of(uint64_t pfn)
{
	unsigned lo = 0, hi = frames_pool.region_count;

	while (lo < hi) {
		unsigned mid = (lo + hi) / 2;

		if (frames_pool.region[mid].span.end <= pfn)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == frames_pool.region_count || pfn < frames_pool.region[lo].span.first)
		return NULL;
	return &frames_pool.region[lo];
}

static struct frame *frame_of(uint64_t pfn)
{
	struct frame_region *r = frames_region_of(pfn);

	check(r);
	return &r->table[pfn - r->span.first];
}

static void free_list_push(struct frame *f, uint64_t pfn, unsigned order)
{
	uint64_t head = frames_pool.free_head[order];

	*f = (struct frame){
		.next = head & PFN_NONE,
		.order = order & ORDER_MASK,
		.state = FRAME_HEAD_FREE,
		.prev = PFN_NONE,
	};
	if (head != PFN_NONE)
		frame_of(head)->prev = pfn & PFN_NONE;
	frames_pool.free_head[order] = pfn;
	frames_pool.free_blocks[order]++;
}

/* The entry becomes all zeroes, as the inside of a free block is. */
static void free_list_remove(struct frame *f)
{
	unsigned order = f->order;

	if (f->prev == PFN_NONE)
		frames_pool.free_head[order] = f->next;
	else
		frame_of(f->prev)->next = f->next;
	if (f->next != PFN_NONE)
		frame_of(f->next)->prev = f->prev;
	frames_pool.free_blocks[order]--;
	*f = (struct frame){0};
}

/* Frees a block whose entries are all zeroes, merged with its free buddies. */
static void block_insert(struct frame_region *r, uint64_t pfn, unsigned order)
{
	for (; order < FRAME_ORDER_MAX; order++) {
		uint64_t buddy = pfn ^ FRAMES(order);
		struct frame *f;

		if (buddy < r->span.first || buddy + FRAMES(order) > r->span.end)
			break;
		/*
		 * As our block is allocated on its own, the buddy's first frame cannot be inside a
		 * larger block: it is a head or reserved, or belongs to a span not yet inserted.
		 */
		f = &r->table[buddy - r->span.first];
		if (f->state != FRAME_HEAD_FREE || f->order != order)
			break;
		free_list_remove(f);
		pfn &= ~FRAMES(order);
	}
	free_list_push(&r->table[pfn - r->span.first], pfn, order);
}

void frames_span_insert(struct frame_region *r, struct frame_span s)
{
	frames_pool.owned[FRAME_FREE] += s.end - s.first;
	while (s.first < s.end) {
		unsigned order = FRAME_ORDER_MAX;

		while (s.first % FRAMES(order) != 0 || FRAMES(order) > s.end - s.first)
			order--;
		block_insert(r, s.first, order);
		s.first += FRAMES(order);
	}
}

/* The smallest block that will do, so that large ones survive. PFN_NONE if there is none. */
static uint64_t block_find(unsigned order, uint64_t limit)
{
	for (unsigned o = order; o < ORDER_COUNT; o++) {
		uint64_t pfn = frames_pool.free_head[o];

		for (; pfn != PFN_NONE; pfn = frame_of(pfn)->next)
			if (pfn + FRAMES(order) <= limit)
				return pfn;
	}
	return PFN_NONE;
}

static int alloc_locked(unsigned order, frame_owner_t owner, uint64_t limit, hpa_t *out)
{
	uint64_t pfn = block_find(order, limit);
	struct frame *f;
	unsigned o;

	if (pfn == PFN_NONE)
		return E_NOMEM;
	f = frame_of(pfn);
	o = f->order;
	free_list_remove(f);
	while (o-- > order)
		free_list_push(f + FRAMES(o), pfn + FRAMES(o), o);

	f[0] = (struct frame){
		.state = FRAME_HEAD_USED, .order = order & ORDER_MASK, .owner = owner};
	for (uint64_t i = 1; i < FRAMES(order); i++)
		f[i].owner = owner; /* all else is zero, as it was in the free block */
	frames_pool.owned[FRAME_FREE] -= FRAMES(order);
	frames_pool.owned[owner] += FRAMES(order);
	*out = hpa(pfn << PAGE_SHIFT);
	return OK;
}

int frames_alloc_below(unsigned order, frame_owner_t owner, uint64_t limit, hpa_t *out)
{
	int rc;

	check(owner != FRAME_FREE && owner < FRAME_OWNER_MAX);
	spin_lock(&frames_lock);
	rc = alloc_locked(order, owner, limit >> PAGE_SHIFT, out);
	spin_unlock(&frames_lock);
	return rc;
}

int frames_alloc(unsigned order, frame_owner_t owner, hpa_t *out)
{
	/* Every block is below this limit, so the first of a list will do. */
	return frames_alloc_below(order, owner, UINT64_MAX, out);
}

void frames_free(hpa_t base, unsigned order)
{
	uint64_t pfn = base.v >> PAGE_SHIFT;
	struct frame_region *r;
	struct frame *f;

	check(base.v % PAGE_SIZE == 0 && order <= FRAME_ORDER_MAX);
	spin_lock(&frames_lock);
	r = frames_region_of(pfn);
	check(r);
	f = &r->table[pfn - r->span.first];
	check(f->state == FRAME_HEAD_USED && f->order == order);
	frames_pool.owned[f->owner] -= FRAMES(order);
	frames_pool.owned[FRAME_FREE] += FRAMES(order);
	memset(f, 0, FRAMES(order) * sizeof(*f));
	block_insert(r, pfn, order);
	spin_unlock(&frames_lock);
}

frame_owner_t frames_owner(hpa_t addr)
{
	frame_owner_t owner = FRAME_NONE;
	const struct frame_region *r;

	spin_lock(&frames_lock);
	r = frames_region_of(addr.v >> PAGE_SHIFT);
	if (r)
		owner = (frame_owner_t)r->table[(addr.v >> PAGE_SHIFT) - r->span.first].owner;
	spin_unlock(&frames_lock);
	return owner;
}

uint64_t frames_count(frame_owner_t owner)
{
	uint64_t count;

	check(owner < FRAME_OWNER_MAX);
	spin_lock(&frames_lock);
	count = frames_pool.owned[owner];
	spin_unlock(&frames_lock);
	return count;
}

uint64_t frames_total(void)
{
	uint64_t total;

	spin_lock(&frames_lock);
	total = frames_pool.total;
	spin_unlock(&frames_lock);
	return total;
}

static bool entry_is(const struct frame *f, frame_owner_t owner, unsigned state, unsigned order)
{
	return f->owner == owner && f->state == state && f->order == order && f->next == 0 &&
	       f->prev == 0 && f->unused == 0;
}

/* Checks the block (or reserved frame) at pfn, and returns how many frames it has. */
static uint64_t audit_block(const struct frame_region *r, uint64_t pfn)
{
	const struct frame *f = &r->table[pfn - r->span.first];
	frame_owner_t owner = (frame_owner_t)f->owner;
	unsigned order = f->order;
	uint64_t buddy = pfn ^ FRAMES(order);

	check(owner < FRAME_OWNER_MAX);
	check(f->state == (owner == FRAME_FREE ? FRAME_HEAD_FREE : FRAME_HEAD_USED) ||
	      (owner != FRAME_FREE && f->state == FRAME_RESERVED && order == 0));
	check(order <= FRAME_ORDER_MAX && pfn % FRAMES(order) == 0);
	check(FRAMES(order) <= r->span.end - pfn);
	for (uint64_t i = 1; i < FRAMES(order); i++)
		check(entry_is(&f[i], owner, FRAME_INSIDE, 0));
	frames_pool.audit_owned[owner] += FRAMES(order);
	if (f->state != FRAME_HEAD_FREE) {
		check(entry_is(f, owner, f->state, order)); /* no links */
		return FRAMES(order);
	}

	check(f->unused == 0);
	frames_pool.audit_blocks[order]++;
	if (order < FRAME_ORDER_MAX && buddy >= r->span.first &&
	    buddy + FRAMES(order) <= r->span.end) {
		const struct frame *b = &r->table[buddy - r->span.first];

		check(b->state != FRAME_HEAD_FREE || b->order != order);
	}
	return FRAMES(order);
}

static void audit_list(unsigned order)
{
	uint64_t pfn = frames_pool.free_head[order], prev = PFN_NONE;

	for (uint64_t n = frames_pool.free_blocks[order]; n > 0; n--) {
		const struct frame *f = frame_of(pfn);

		check(f->state == FRAME_HEAD_FREE && f->order == order && f->prev == prev);
		prev = pfn;
		pfn = f->next;
	}
	check(pfn == PFN_NONE);
}

void frames_audit(void)
{
	uint64_t total = 0;

	spin_lock(&frames_lock);
	memset(frames_pool.audit_owned, 0, sizeof(frames_pool.audit_owned));
	memset(frames_pool.audit_blocks, 0, sizeof(frames_pool.audit_blocks));
	for (unsigned i = 0; i < frames_pool.region_count; i++) {
		const struct frame_region *r = &frames_pool.region[i];

		for (uint64_t pfn = r->span.first; pfn < r->span.end;)
			pfn += audit_block(r, pfn);
		total += r->span.end - r->span.first;
	}
	for (unsigned owner = 0; owner < FRAME_OWNER_MAX; owner++)
		check(frames_pool.audit_owned[owner] == frames_pool.owned[owner]);
	for (unsigned order = 0; order < ORDER_COUNT; order++) {
		check(frames_pool.audit_blocks[order] == frames_pool.free_blocks[order]);
		audit_list(order);
	}
	check(total == frames_pool.total);
	spin_unlock(&frames_lock);
}
