/*
 * Routing of a guest's port and memory accesses to devices. It must not know what a device does,
 * nor which vCPU asks.
 *
 * Every port access of every VM comes through here, so routes are prepared at freeze: ports are a
 * table lookup, memory tries the region of the last hit first. After the freeze only `last`
 * changes; it is a hint, and any value of it is right.
 */
#include <crvm/io_bus.h>
#include <crvm/panic.h>
#include <crvm/status.h>
#include <crvm/string.h>

#define PORT_LIMIT	0x10000u
#define PORT_PAGE_SHIFT 8
#define PORT_PAGE_SIZE	(1u << PORT_PAGE_SHIFT)

#define PORT_PAGE_COUNT (PORT_LIMIT / PORT_PAGE_SIZE)

_Static_assert((IO_BUS_REGION_MAX + 1) * sizeof(struct io_region) <= UINT16_MAX,
	       "a page's entry reaches every region");

/* Nothing lies within region 0, so a route to it needs no test of its own. */
static const struct io_region nobody = {.name = "nobody"};
static const uint16_t nobody_page[PORT_PAGE_SIZE];
static const uint16_t *const nobody_pages[PORT_PAGE_COUNT] = {
	[0 ... PORT_PAGE_COUNT - 1] = nobody_page,
};

/* All ones, by size in bytes: what a bus without an answer reads as. */
static const uint64_t ones[9] = {[1] = 0xff, [2] = 0xffff, [4] = 0xffffffff, [8] = ~0ull};

int io_bus_init(struct io_bus *b, uint64_t limit, unsigned max, struct arena *a)
{
	check(max <= IO_BUS_REGION_MAX);
	*b = (struct io_bus){.limit = limit, .max = max, .page = nobody_pages};
	b->region = arena_alloc(a, (max + 1) * sizeof(nobody), _Alignof(struct io_region));
	if (!b->region)
		return E_NOMEM;
	b->region[0] = nobody;
	atomic_init(&b->last, &b->region[0]);
	return OK;
}

static bool region_is_complete(const struct io_region *r)
{
	return r->dev && r->ops && r->ops->read && r->ops->write && (r->ops->sizes & 1);
}

int io_bus_add(struct io_bus *b, const struct io_region *r)
{
	struct io_region *at = b->region + b->count + 1;

	if (b->frozen || r->len == 0 || r->len > b->limit || r->base > b->limit - r->len ||
	    !region_is_complete(r))
		return E_INVAL;
	while (at > &b->region[1] && at[-1].base > r->base)
		at--;
	/* Sorted and disjoint so far: only the neighbours can overlap. Neither sum can wrap: see
	 * above. */
	if (at[-1].base + at[-1].len > r->base)
		return E_EXIST;
	if (at <= &b->region[b->count] && r->base + r->len > at->base)
		return E_EXIST;
	if (b->count == b->max)
		return E_NOMEM;
	b->count++;
	memmove(at + 1, at, (size_t)(&b->region[b->count] - at) * sizeof(*at));
	*at = *r;
	return OK;
}

/* The ports of one page; *out is left alone if all are nobody's. */
static int port_page_fill(const struct io_bus *b, uint64_t first, struct arena *a,
			  const uint16_t **out)
{
	const uint64_t end = first + PORT_PAGE_SIZE;
	uint16_t *page = NULL;

	for (unsigned i = 1; i <= b->count; i++) {
		const struct io_region *r = &b->region[i];

		if (r->base >= end || r->base + r->len <= first)
			continue;
		if (!page) {
			page = arena_alloc(a, sizeof(nobody_page), 64);
			if (!page)
				return E_NOMEM;
			memset(page, 0, sizeof(nobody_page));
			*out = page;
		}
		for (uint64_t port = first; port < end; port++)
			if (port - r->base < r->len)
				page[port - first] = (uint16_t)(i * sizeof(*r));
	}
	return OK;
}

int io_bus_freeze(struct io_bus *b, struct arena *a)
{
	const uint16_t **pages;

	if (b->frozen)
		return E_INVAL;
	if (b->limit == PORT_LIMIT && b->count > 0) {
		pages = arena_alloc(a, sizeof(nobody_pages), 64);
		if (!pages)
			return E_NOMEM;
		memcpy(pages, nobody_pages, sizeof(nobody_pages));
		for (unsigned i = 0; i < PORT_PAGE_COUNT; i++)
			if (port_page_fill(b, (uint64_t)i << PORT_PAGE_SHIFT, a, &pages[i]) != OK)
				return E_NOMEM;
		b->page = pages;
	}
	b->frozen = true;
	return OK;
}

/* An access that straddles the end is not the device's. `addr` may be anywhere. */
static inline bool region_has(const struct io_region *r, uint64_t addr, size_t size)
{
	uint64_t offset = addr - r->base;

	return offset < r->len && size <= r->len - offset;
}

static __attribute__((noinline)) const struct io_region *memory_search(struct io_bus *b,
								       uint64_t addr, size_t size)
{
	unsigned low = 1, high = b->count + 1;

	while (low < high) {
		unsigned mid = (low + high) / 2;
		const struct io_region *r = &b->region[mid];

		if (addr < r->base) {
			high = mid;
		} else if (addr - r->base >= r->len) {
			low = mid + 1;
		} else {
			if (!region_has(r, addr, size))
				return NULL;
			atomic_store_explicit(&b->last, r, memory_order_relaxed);
			return r;
		}
	}
	return NULL;
}

/* NULL: nobody has all of the access. */
static inline const struct io_region *port_route(struct io_bus *b, uint64_t addr, size_t size)
{
	if (unlikely(addr >= PORT_LIMIT))
		return NULL;
	return io_bus_port_find(b, &addr, size);
}

static inline const struct io_region *memory_route(struct io_bus *b, uint64_t addr, size_t size)
{
	const struct io_region *r = atomic_load_explicit(&b->last, memory_order_relaxed);

	return likely(region_has(r, addr, size)) ? r : memory_search(b, addr, size);
}

const struct io_region *io_bus_find(struct io_bus *b, uint64_t addr, unsigned size)
{
	return b->limit == PORT_LIMIT ? port_route(b, addr, size) : memory_route(b, addr, size);
}

/* The largest size below `size` that the device takes; bit 0 is always set. */
static unsigned part_size(const struct io_ops *ops, unsigned size)
{
	do
		size /= 2;
	while (!(ops->sizes & size));
	return size;
}

static __attribute__((noinline)) uint64_t split_read(const struct io_region *r, uint64_t offset,
						     unsigned size)
{
	unsigned part = part_size(r->ops, size);
	uint64_t v = 0;

	for (unsigned i = 0; i < size; i += part)
		v |= (r->ops->read(r->dev, offset + i, part) & ones[part]) << 8 * i;
	return v;
}

static __attribute__((noinline)) void split_write(const struct io_region *r, uint64_t offset,
						  unsigned size, uint64_t value)
{
	unsigned part = part_size(r->ops, size);

	for (unsigned i = 0; i < size; i += part)
		r->ops->write(r->dev, offset + i, part, value >> 8 * i & ones[part]);
}

static inline uint64_t region_read(const struct io_region *r, uint64_t offset, size_t size)
{
	if (likely(r->ops->sizes & size))
		return r->ops->read(r->dev, offset, (unsigned)size);
	return split_read(r, offset, (unsigned)size);
}

static inline void region_write(const struct io_region *r, uint64_t offset, size_t size,
				uint64_t value)
{
	if (likely(r->ops->sizes & size))
		r->ops->write(r->dev, offset, (unsigned)size, value);
	else
		split_write(r, offset, (unsigned)size, value);
}

static inline uint64_t routed_read(const struct io_region *r, uint64_t addr, size_t size)
{
	uint64_t v;

	if (unlikely(!r))
		return ones[size];
	addr -= r->base;
	spin_lock(&r->dev->lock);
	v = region_read(r, addr, size);
	spin_unlock(&r->dev->lock);
	return v & ones[size];
}

static inline void routed_write(const struct io_region *r, uint64_t addr, size_t size,
				uint64_t value)
{
	if (unlikely(!r))
		return;
	addr -= r->base;
	value &= ones[size];
	spin_lock(&r->dev->lock);
	region_write(r, addr, size, value);
	spin_unlock(&r->dev->lock);
}

/* Four functions, each the shorter for it. */
static __attribute__((noinline)) uint64_t memory_read(struct io_bus *b, uint64_t addr, size_t size)
{
	return routed_read(memory_route(b, addr, size), addr, size);
}

static __attribute__((noinline)) void memory_write(struct io_bus *b, uint64_t addr, size_t size,
						   uint64_t value)
{
	routed_write(memory_route(b, addr, size), addr, size, value);
}

static __attribute__((noinline)) uint64_t port_read(struct io_bus *b, uint64_t addr, size_t size)
{
	return routed_read(port_route(b, addr, size), addr, size);
}

static __attribute__((noinline)) void port_write(struct io_bus *b, uint64_t addr, size_t size,
						 uint64_t value)
{
	routed_write(port_route(b, addr, size), addr, size, value);
}

uint64_t io_bus_read(struct io_bus *b, uint64_t addr, unsigned size)
{
	return b->limit == PORT_LIMIT ? port_read(b, addr, size) : memory_read(b, addr, size);
}

void io_bus_write(struct io_bus *b, uint64_t addr, unsigned size, uint64_t value)
{
	if (b->limit == PORT_LIMIT)
		port_write(b, addr, size, value);
	else
		memory_write(b, addr, size, value);
}

/* Items in a buffer have any alignment: a guest chose its address. */
static inline void item_put(uint8_t *p, unsigned size, uint64_t v)
{
	switch (size) {
	case 1:
		__builtin_memcpy(p, &v, 1);
		break;
	case 2:
		__builtin_memcpy(p, &v, 2);
		break;
	case 4:
		__builtin_memcpy(p, &v, 4);
		break;
	default:
		__builtin_memcpy(p, &v, 8);
		break;
	}
}

static inline uint64_t item_get(const uint8_t *p, unsigned size)
{
	uint64_t v = 0;

	switch (size) {
	case 1:
		__builtin_memcpy(&v, p, 1);
		break;
	case 2:
		__builtin_memcpy(&v, p, 2);
		break;
	case 4:
		__builtin_memcpy(&v, p, 4);
		break;
	default:
		__builtin_memcpy(&v, p, 8);
		break;
	}
	return v;
}

void io_bus_read_many(struct io_bus *b, uint64_t addr, unsigned size, void *buf, uint32_t count)
{
	const struct io_region *r = io_bus_find(b, addr, size);
	uint64_t offset;
	uint8_t *p = buf;

	if (unlikely(!r)) {
		memset(buf, 0xff, (size_t)size * count);
		return;
	}
	offset = addr - r->base;
	spin_lock(&r->dev->lock);
	if (likely(r->ops->read_many && (r->ops->sizes & size))) {
		while (count > 0) {
			uint32_t done = r->ops->read_many(r->dev, offset, size, p, count);

			check(done > 0 && done <= count);
			p += (size_t)size * done;
			count -= done;
		}
	}
	for (; count > 0; count--, p += size)
		item_put(p, size, region_read(r, offset, size));
	spin_unlock(&r->dev->lock);
}

void io_bus_write_many(struct io_bus *b, uint64_t addr, unsigned size, const void *buf,
		       uint32_t count)
{
	const struct io_region *r = io_bus_find(b, addr, size);
	const uint8_t *p = buf;
	uint64_t offset;

	if (unlikely(!r))
		return;
	offset = addr - r->base;
	spin_lock(&r->dev->lock);
	if (likely(r->ops->write_many && (r->ops->sizes & size))) {
		while (count > 0) {
			uint32_t done = r->ops->write_many(r->dev, offset, size, p, count);

			check(done > 0 && done <= count);
			p += (size_t)size * done;
			count -= done;
		}
	}
	for (; count > 0; count--, p += size)
		region_write(r, offset, size, item_get(p, size));
	spin_unlock(&r->dev->lock);
}
