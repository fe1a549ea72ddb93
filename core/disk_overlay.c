/*
 * A VM's private copy-on-write over a disk image. It must not know what kind the image is, nor
 * whose the pages are.
 */
#include <crvm/status.h>
#include <crvm/string.h>

#include "disk_priv.h"

enum overlay_shift { /* of the bytes of the disk that one pointer stands for */
		     LEAF_SHIFT = DISK_PAGE_SHIFT,
		     MIDDLE_SHIFT = LEAF_SHIFT + 9,
		     ROOT_SHIFT = MIDDLE_SHIFT + 9,
};

_Static_assert(DISK_TABLE_COUNT * sizeof(void *) == DISK_PAGE_SIZE, "a table is a page");
_Static_assert(1u << (MIDDLE_SHIFT - LEAF_SHIFT) == DISK_TABLE_COUNT, "and all of it is used");
_Static_assert((uint64_t)DISK_ROOT_COUNT << ROOT_SHIFT == DISK_SIZE_MAX, "the root spans a disk");

static unsigned table_index(uint64_t at, unsigned shift)
{
	return (unsigned)(at >> shift) & (DISK_TABLE_COUNT - 1);
}

static uint64_t overlay_size(const struct disk_overlay *o)
{
	return o->image->sectors * DISK_SECTOR;
}

/* The page that holds byte `at`, or NULL. */
static uint8_t *page_find(const struct disk_overlay *o, uint64_t at)
{
	void **middle = o->root[at >> ROOT_SHIFT], **leaf;

	if (!middle)
		return NULL;
	leaf = middle[table_index(at, MIDDLE_SHIFT)];
	return leaf ? leaf[table_index(at, LEAF_SHIFT)] : NULL;
}

static void **table_make(struct disk_overlay *o)
{
	void **table = o->pages.alloc(o->pages.ctx);

	if (!table)
		return NULL;
	memset(table, 0, DISK_PAGE_SIZE);
	o->table_count++;
	return table;
}

/* Where the pointer to a page belongs; NULL: no memory. Tables made by then stay, for the next
 * attempt. */
static void **slot_make(struct disk_overlay *o, uint64_t at)
{
	void ***middle = &o->root[at >> ROOT_SHIFT];
	void **leaf;

	if (!*middle)
		*middle = table_make(o);
	if (!*middle)
		return NULL;
	leaf = &(*middle)[table_index(at, MIDDLE_SHIFT)];
	if (!*leaf)
		*leaf = table_make(o);
	return *leaf ? (void **)*leaf + table_index(at, LEAF_SHIFT) : NULL;
}

/* What the image says of a page; of the last one, what is beyond the disk is never looked at. */
static int page_fill(const struct disk_overlay *o, uint64_t start, uint8_t *page)
{
	uint64_t len = overlay_size(o) - start;

	return disk_image_read(o->image, start, len < DISK_PAGE_SIZE ? len : DISK_PAGE_SIZE, page);
}

/* A new page for byte `at`; `whole`: all of it is going to be written. */
static int page_make(struct disk_overlay *o, uint64_t at, bool whole, uint8_t **out)
{
	void **slot = slot_make(o, at);
	int rc = OK;

	*out = slot ? o->pages.alloc(o->pages.ctx) : NULL;
	if (!*out)
		return E_NOMEM;
	if (!whole)
		rc = page_fill(o, align_down(at, DISK_PAGE_SIZE), *out);
	if (rc != OK) {
		o->pages.free(o->pages.ctx, *out);
		return rc;
	}
	*slot = *out;
	o->page_count++;
	return OK;
}

/* Within one page. */
static int part_write(struct disk_overlay *o, uint64_t at, const uint8_t *p, uint32_t len)
{
	uint8_t *page = page_find(o, at);

	if (!page) {
		int rc;

		if (disk_bytes_are_zero(p, len) && disk_image_is_zero(o->image, at, len))
			return OK;
		rc = page_make(o, at, len == DISK_PAGE_SIZE, &page);
		if (rc != OK)
			return rc;
	}
	memcpy(page + (at & (DISK_PAGE_SIZE - 1)), p, len);
	return OK;
}

static int part_read(const struct disk_overlay *o, uint64_t at, uint8_t *p, uint32_t len)
{
	const uint8_t *page = page_find(o, at);

	if (!page)
		return disk_image_read(o->image, at, len, p);
	memcpy(p, page + (at & (DISK_PAGE_SIZE - 1)), len);
	return OK;
}

static uint32_t part_len(uint64_t at, uint64_t len)
{
	uint32_t room = DISK_PAGE_SIZE - (uint32_t)(at & (DISK_PAGE_SIZE - 1));

	return len < room ? (uint32_t)len : room;
}

static bool overlay_has(const struct disk_overlay *o, uint64_t lba, uint32_t count)
{
	return lba <= o->image->sectors && count <= o->image->sectors - lba;
}

static int overlay_read(void *ctx, uint64_t lba, uint32_t count, void *buf)
{
	const struct disk_overlay *o = ctx;
	uint64_t at = lba * DISK_SECTOR, len = (uint64_t)count * DISK_SECTOR;
	uint8_t *p = buf;

	if (!overlay_has(o, lba, count))
		return E_FAULT;
	while (len > 0) {
		uint32_t n = part_len(at, len);
		int rc = part_read(o, at, p, n);

		if (rc != OK)
			return rc;
		at += n;
		p += n;
		len -= n;
	}
	return OK;
}

static int overlay_write(void *ctx, uint64_t lba, uint32_t count, const void *buf)
{
	struct disk_overlay *o = ctx;
	uint64_t at = lba * DISK_SECTOR, len = (uint64_t)count * DISK_SECTOR;
	const uint8_t *p = buf;

	if (!overlay_has(o, lba, count))
		return E_FAULT;
	while (len > 0) {
		uint32_t n = part_len(at, len);
		int rc = part_write(o, at, p, n);

		if (rc != OK)
			return rc;
		at += n;
		p += n;
		len -= n;
	}
	return OK;
}

void disk_overlay_init(struct disk_overlay *o, const struct disk_image *image,
		       const struct disk_pages *pages)
{
	memset(o, 0, sizeof(*o));
	o->image = image;
	o->pages = *pages;
}

void disk_overlay_disk(struct disk_overlay *o, struct disk *out)
{
	*out = (struct disk){
		.sectors = o->image->sectors,
		.readonly = false,
		.read = overlay_read,
		.write = overlay_write,
		.ctx = o,
	};
}

/* A table (level 2: of tables, 1: of pages) with all that hangs on it, or a page (0). */
static void tree_free(struct disk_overlay *o, void **table, unsigned level)
{
	for (unsigned n = 0; level > 0 && n < DISK_TABLE_COUNT; n++)
		if (table[n])
			tree_free(o, table[n], level - 1);
	o->pages.free(o->pages.ctx, table);
}

void disk_overlay_free(struct disk_overlay *o)
{
	for (unsigned n = 0; n < DISK_ROOT_COUNT; n++)
		if (o->root[n])
			tree_free(o, o->root[n], 2);
	memset(o->root, 0, sizeof(o->root));
	o->page_count = o->table_count = 0;
}
