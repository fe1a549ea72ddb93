/*
 * See machine.h. Devices take the sizes that they say they take, and strings if they say that they
 * can; all else is made of these here. It must not know which device it is.
 */
#include <crvm/string.h>

#include "machine.h"

/* The largest that the device takes, up to `size`; 1 is always among them. */
static unsigned part_size(const struct io_region *r, unsigned size)
{
	while (!(r->ops->sizes & size))
		size /= 2;
	return size;
}

static uint64_t read_one(const struct io_region *r, uint64_t offset, unsigned size)
{
	const unsigned part = part_size(r, size);
	uint64_t v = 0;

	for (unsigned i = 0; i < size; i += part)
		v |= (r->ops->read(r->dev, offset + i, part) & ((1ull << 8 * part) - 1)) << 8 * i;
	return v;
}

static void write_one(const struct io_region *r, uint64_t offset, unsigned size, uint64_t value)
{
	const unsigned part = part_size(r, size);

	for (unsigned i = 0; i < size; i += part)
		r->ops->write(r->dev, offset + i, part, value >> 8 * i & ((1ull << 8 * part) - 1));
}

void ports_read(const struct io_region *r, uint64_t offset, unsigned size, void *items,
		uint32_t count)
{
	const bool many = r->ops->read_many && r->ops->sizes & size;
	uint8_t *p = items;
	uint32_t done;

	for (; count; count -= done, p += (size_t)size * done) {
		if (many && count > 1) {
			done = r->ops->read_many(r->dev, offset, size, p, count);
		} else {
			const uint64_t v = read_one(r, offset, size);

			memcpy(p, &v, size);
			done = 1;
		}
	}
}

void ports_write(const struct io_region *r, uint64_t offset, unsigned size, const void *items,
		 uint32_t count)
{
	const bool many = r->ops->write_many && r->ops->sizes & size;
	const uint8_t *p = items;
	uint32_t done;

	for (; count; count -= done, p += (size_t)size * done) {
		if (many && count > 1) {
			done = r->ops->write_many(r->dev, offset, size, p, count);
		} else {
			uint64_t v = 0;

			memcpy(&v, p, size);
			write_one(r, offset, size, v);
			done = 1;
		}
	}
}
