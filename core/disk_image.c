/*
 * Read-only disk images in memory: raw, blank, qcow2. It must not know who reads them, nor whether
 * somebody writes over them.
 *
 * An image is a boot module and untrusted. All tables are walked where they lie, each offset is
 * checked against the module's length whenever it is used, and no walk follows more than two
 * pointers: tables that overlap, or point at themselves, give odd sectors and nothing else.
 */
#include <stdarg.h>
#include <crvm/printf.h>
#include <crvm/status.h>
#include <crvm/string.h>

#include "disk_priv.h"

enum qcow2_header {
	QCOW2_MAGIC = 0x514649fb,
	QCOW2_VERSION = 4,
	QCOW2_BACKING_FILE = 8,
	QCOW2_CLUSTER_BITS = 20,
	QCOW2_SIZE = 24,
	QCOW2_CRYPT_METHOD = 32,
	QCOW2_L1_SIZE = 36,
	QCOW2_L1_TABLE = 40,
	QCOW2_INCOMPATIBLE = 72, /* version 3 */
	QCOW2_HEADER_2 = 72,	 /* lengths */
	QCOW2_HEADER_3 = 104,
	QCOW2_CLUSTER_BITS_MIN = 9,
	QCOW2_CLUSTER_BITS_MAX = 21,
};

/* Entries of L1 and L2 tables. */
#define QCOW2_OFFSET	 0x00fffffffffffe00ull
#define QCOW2_COPIED	 (1ull << 63)
#define QCOW2_COMPRESSED (1ull << 62)
#define QCOW2_ZERO	 (1ull << 0)

/* The numbers in a qcow2 file are big-endian. */
static uint32_t be32_get(const uint8_t *p)
{
	uint32_t v;

	__builtin_memcpy(&v, p, sizeof(v));
	return __builtin_bswap32(v);
}

static uint64_t be64_get(const uint8_t *p)
{
	uint64_t v;

	__builtin_memcpy(&v, p, sizeof(v));
	return __builtin_bswap64(v);
}

static uint64_t cluster_size(const struct disk_image *i)
{
	return 1ull << i->cluster_bits;
}

/* Of the part of the disk that one L2 table describes. */
static unsigned l1_shift(const struct disk_image *i)
{
	return 2 * i->cluster_bits - 3;
}

static bool file_has(const struct disk_image *i, uint64_t at, uint64_t len)
{
	return at <= i->len && len <= i->len - at;
}

enum entry_kind {
	ENTRY_NONE, /* nothing is there: zeros */
	ENTRY_OFFSET,
	ENTRY_COMPRESSED,
	ENTRY_BAD,
};

static enum entry_kind entry_check(const struct disk_image *i, uint64_t entry, uint64_t *offset)
{
	*offset = entry & QCOW2_OFFSET;
	if (entry & ~(QCOW2_OFFSET | QCOW2_COPIED))
		return ENTRY_BAD;
	if (*offset == 0)
		return ENTRY_NONE;
	return *offset & (cluster_size(i) - 1) ? ENTRY_BAD : ENTRY_OFFSET;
}

/* An L2 table lies in the file whole. */
static enum entry_kind l1_entry(const struct disk_image *i, uint64_t index, uint64_t *table)
{
	enum entry_kind kind;

	*table = 0;
	if (!file_has(i, i->l1, (index + 1) * 8))
		return ENTRY_BAD;
	kind = entry_check(i, be64_get(i->bytes + i->l1 + index * 8), table);
	if (kind == ENTRY_OFFSET && !file_has(i, *table, cluster_size(i)))
		return ENTRY_BAD;
	return kind;
}

/* The last cluster may be cut where the file ends: the rest of it is zeros. */
static enum entry_kind l2_entry(const struct disk_image *i, uint64_t table, uint64_t index,
				uint64_t *cluster)
{
	uint64_t entry = be64_get(i->bytes + table + index * 8);
	enum entry_kind kind;

	*cluster = 0;
	if (entry & QCOW2_COMPRESSED)
		return ENTRY_COMPRESSED;
	if (i->zero_flags && entry & QCOW2_ZERO)
		return ENTRY_NONE;
	kind = entry_check(i, entry, cluster);
	if (kind == ENTRY_OFFSET && *cluster >= i->len)
		return ENTRY_BAD;
	return kind;
}

/* Where the bytes at `at` are (NULL: they are zeros), and how many follow; *len is lowered to
 * that. */
static int qcow2_span(const struct disk_image *i, uint64_t at, uint64_t *len, const uint8_t **out)
{
	const uint64_t in_cluster = at & (cluster_size(i) - 1);
	const uint64_t l2_mask = (cluster_size(i) >> 3) - 1;
	uint64_t room = cluster_size(i) - in_cluster, table, cluster, first;
	enum entry_kind kind;

	*len = *len < room ? *len : room;
	*out = NULL;
	kind = l1_entry(i, at >> l1_shift(i), &table);
	if (kind == ENTRY_OFFSET)
		kind = l2_entry(i, table, at >> i->cluster_bits & l2_mask, &cluster);
	if (kind == ENTRY_NONE)
		return OK;
	if (kind != ENTRY_OFFSET)
		return E_IO;
	first = cluster + in_cluster;
	if (first >= i->len)
		return OK;
	*len = *len < i->len - first ? *len : i->len - first;
	*out = i->bytes + first;
	return OK;
}

/* The same for all kinds, within the disk. */
static int image_span(const struct disk_image *i, uint64_t at, uint64_t *len, const uint8_t **out)
{
	*out = NULL;
	if (at >= i->content)
		return OK;
	*len = *len < i->content - at ? *len : i->content - at;
	if (i->kind == DISK_IMAGE_QCOW2)
		return qcow2_span(i, at, len, out);
	if (i->kind == DISK_IMAGE_RAW)
		*out = i->bytes + at;
	return OK;
}

static bool image_has(const struct disk_image *i, uint64_t at, uint64_t len)
{
	const uint64_t size = i->sectors * DISK_SECTOR;

	return at <= size && len <= size - at;
}

int disk_image_read(const struct disk_image *i, uint64_t at, uint64_t len, void *buf)
{
	uint8_t *p = buf;

	if (!image_has(i, at, len))
		return E_FAULT;
	while (len > 0) {
		const uint8_t *from;
		uint64_t n = len;
		int rc = image_span(i, at, &n, &from);

		if (rc != OK)
			return rc;
		if (from)
			memcpy(p, from, n);
		else
			memset(p, 0, n);
		p += n;
		at += n;
		len -= n;
	}
	return OK;
}

bool disk_bytes_are_zero(const uint8_t *p, uint64_t len)
{
	uint64_t word;

	for (; len >= sizeof(word); len -= sizeof(word), p += sizeof(word)) {
		__builtin_memcpy(&word, p, sizeof(word));
		if (word)
			return false;
	}
	for (; len > 0; len--)
		if (*p++)
			return false;
	return true;
}

bool disk_image_is_zero(const struct disk_image *i, uint64_t at, uint64_t len)
{
	if (!image_has(i, at, len))
		return false;
	while (len > 0) {
		const uint8_t *from;
		uint64_t n = len;

		if (image_span(i, at, &n, &from) != OK || (from && !disk_bytes_are_zero(from, n)))
			return false;
		at += n;
		len -= n;
	}
	return true;
}

/* What a failed open says, and why. */
struct complaint {
	char *text;
	size_t size;
};

static printf_like(3, 4) int complain(const struct complaint *c, int rc, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	str_vprintf(c->text, c->size, fmt, args);
	va_end(args);
	return rc;
}

static int qcow2_check_features(uint64_t incompatible, const struct complaint *c)
{
	static const char *const name[] = {
		"it was not closed cleanly (qemu-img check -r all mends it)",
		"it is marked as corrupt (qemu-img check -r all)",
		"its data is in another file",
		"its compression is of another type",
		"it has extended L2 entries",
	};

	for (unsigned bit = 0; bit < 64; bit++) {
		if (!(incompatible >> bit & 1))
			continue;
		if (bit < array_count(name))
			return complain(c, E_NOSYS, "qcow2: %s", name[bit]);
		return complain(c, E_NOSYS, "qcow2: unknown feature, bit %u", bit);
	}
	return OK;
}

static int qcow2_check_kind(const struct disk_image *i, const struct complaint *c)
{
	uint32_t version, crypt;

	if (i->len < QCOW2_HEADER_2)
		return complain(c, E_INVAL, "qcow2: the file ends within its header");
	version = be32_get(i->bytes + QCOW2_VERSION);
	if (version != 2 && version != 3)
		return complain(c, E_NOSYS, "qcow2: version %u; only 2 and 3 can be read", version);
	if (version == 3) {
		int rc;

		if (i->len < QCOW2_HEADER_3)
			return complain(c, E_INVAL, "qcow2: the file ends within its header");
		rc = qcow2_check_features(be64_get(i->bytes + QCOW2_INCOMPATIBLE), c);
		if (rc != OK)
			return rc;
	}
	if (be64_get(i->bytes + QCOW2_BACKING_FILE))
		return complain(c, E_NOSYS,
				"qcow2: it needs a backing file (qemu-img convert makes it whole)");
	crypt = be32_get(i->bytes + QCOW2_CRYPT_METHOD);
	if (crypt)
		return complain(c, E_NOSYS, "qcow2: it is encrypted (method %u)", crypt);
	return OK;
}

static int qcow2_check_layout(struct disk_image *i, const struct complaint *c)
{
	uint64_t l1_count, needed;

	i->zero_flags = be32_get(i->bytes + QCOW2_VERSION) == 3;
	i->cluster_bits = be32_get(i->bytes + QCOW2_CLUSTER_BITS);
	if (i->cluster_bits < QCOW2_CLUSTER_BITS_MIN || i->cluster_bits > QCOW2_CLUSTER_BITS_MAX)
		return complain(c, E_INVAL, "qcow2: clusters of 2^%u bytes", i->cluster_bits);
	i->content = be64_get(i->bytes + QCOW2_SIZE);
	if (i->content == 0 || i->content > DISK_SIZE_MAX)
		return complain(c, E_INVAL, "qcow2: a disk of %llu bytes; at most 128 GiB",
				(unsigned long long)i->content);
	l1_count = be32_get(i->bytes + QCOW2_L1_SIZE);
	i->l1 = be64_get(i->bytes + QCOW2_L1_TABLE);
	needed = ((i->content - 1) >> l1_shift(i)) + 1;
	if (l1_count < needed)
		return complain(c, E_INVAL, "qcow2: an L1 table of %llu entries, not %llu",
				(unsigned long long)l1_count, (unsigned long long)needed);
	if (i->l1 & (cluster_size(i) - 1) || !file_has(i, i->l1, needed * 8))
		return complain(c, E_INVAL,
				"qcow2: the L1 table is not in the file (is it cut off?)");
	return OK;
}

static int qcow2_complain_entry(enum entry_kind kind, uint64_t at, const struct complaint *c)
{
	if (kind == ENTRY_COMPRESSED)
		return complain(c, E_NOSYS,
				"qcow2: it is compressed (qemu-img convert without -c unpacks it)");
	return complain(c, E_INVAL,
			"qcow2: byte %llu of the disk is not in the file (is it cut off?)",
			(unsigned long long)at);
}

/* Entries [0, count) of a table that is for what follows byte `at` of the disk. */
static int qcow2_check_table(const struct disk_image *i, uint64_t table, uint64_t at,
			     uint64_t count, const struct complaint *c)
{
	for (uint64_t n = 0; n < count; n++) {
		uint64_t cluster;
		enum entry_kind kind = l2_entry(i, table, n, &cluster);

		if (kind == ENTRY_COMPRESSED || kind == ENTRY_BAD)
			return qcow2_complain_entry(kind, at + (n << i->cluster_bits), c);
	}
	return OK;
}

/*
 * Every cluster once, so that a bad image is told to its owner rather than to its guest. No file
 * holds more tables than clusters: that bounds the walk of tables that are used twice.
 */
static int qcow2_check_tables(const struct disk_image *i, const struct complaint *c)
{
	const uint64_t clusters = ((i->content - 1) >> i->cluster_bits) + 1;
	const uint64_t per_table = cluster_size(i) >> 3;
	uint64_t left = i->len >> i->cluster_bits;

	for (uint64_t first = 0; first < clusters; first += per_table) {
		uint64_t count = clusters - first < per_table ? clusters - first : per_table;
		uint64_t at = first << i->cluster_bits, table;
		enum entry_kind kind = l1_entry(i, at >> l1_shift(i), &table);
		int rc;

		if (kind == ENTRY_NONE)
			continue;
		if (kind != ENTRY_OFFSET)
			return qcow2_complain_entry(kind, at, c);
		if (left-- == 0)
			return complain(c, E_INVAL, "qcow2: its tables overlap");
		rc = qcow2_check_table(i, table, at, count, c);
		if (rc != OK)
			return rc;
	}
	return OK;
}

static int qcow2_open(struct disk_image *i, const struct complaint *c)
{
	int rc = qcow2_check_kind(i, c);

	if (rc == OK)
		rc = qcow2_check_layout(i, c);
	if (rc == OK)
		rc = qcow2_check_tables(i, c);
	return rc;
}

static int image_check_size(struct disk_image *i, uint64_t declared, const struct complaint *c)
{
	uint64_t size = declared ? declared : align_up(i->content, DISK_SECTOR);
	char own[16], said[16];

	if (size == 0)
		return complain(c, E_INVAL, "a blank disk needs a size");
	str_size(own, sizeof(own), i->content);
	str_size(said, sizeof(said), declared);
	if (size < i->content)
		return complain(c, E_INVAL,
				"the disk is declared with %s (%llu bytes), its image has %s "
				"(%llu bytes)",
				said, (unsigned long long)declared, own,
				(unsigned long long)i->content);
	if (size > DISK_SIZE_MAX)
		return complain(c, E_INVAL, "a disk of %s; at most 128 GiB", declared ? said : own);
	if (size & (DISK_SECTOR - 1))
		return complain(c, E_INVAL, "a disk of %llu bytes; sectors have 512",
				(unsigned long long)size);
	i->sectors = size / DISK_SECTOR;
	return OK;
}

int disk_image_open(struct disk_image *i, const void *bytes, uint64_t len, uint64_t declared_size,
		    char *error, size_t size)
{
	const struct complaint c = {error, size};
	int rc = OK;

	*i = (struct disk_image){.kind = DISK_IMAGE_BLANK, .bytes = bytes, .len = len};
	if (len >= sizeof(uint32_t) && be32_get(bytes) == QCOW2_MAGIC) {
		i->kind = DISK_IMAGE_QCOW2;
		rc = qcow2_open(i, &c);
	} else if (len > 0) {
		i->kind = DISK_IMAGE_RAW;
		i->content = len;
	}
	return rc == OK ? image_check_size(i, declared_size, &c) : rc;
}

static int disk_read(void *ctx, uint64_t lba, uint32_t count, void *buf)
{
	return disk_image_read(ctx, lba * DISK_SECTOR, (uint64_t)count * DISK_SECTOR, buf);
}

static int disk_write(void *ctx, uint64_t lba, uint32_t count, const void *buf)
{
	(void)ctx;
	(void)lba;
	(void)count;
	(void)buf;
	return E_PERM;
}

void disk_image_disk(struct disk_image *i, struct disk *out)
{
	*out = (struct disk){
		.sectors = i->sectors,
		.readonly = true,
		.read = disk_read,
		.write = disk_write,
		.ctx = i,
	};
}
