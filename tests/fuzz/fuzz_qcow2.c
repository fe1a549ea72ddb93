/*
 * Any bytes as a disk image, checked against a reader that looks up single bytes; and an
 * overlay over it, checked against an array.
 * needs: core/disk_image.c core/disk_overlay.c lib/printf.c lib/text.c
 *
 * The first byte says how the image comes about: as it is, or (bit 0) as a good file of clusters of
 * 512 bytes in which each four bytes of input change something. Writes over it follow from its last
 * bytes.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <crvm/status.h>
#include "../../core/disk_priv.h"

#define require(cond)                                           \
	do {                                                    \
		if (!(cond)) {                                  \
			fprintf(stderr, "broken: %s\n", #cond); \
			abort();                                \
		}                                               \
	} while (0)

#define CLUSTERS 24u
#define LOOKED	 (48u << 10) /* bytes of the disk that are compared */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void put64(uint8_t *p, uint64_t v)
{
	v = __builtin_bswap64(v);
	memcpy(p, &v, 8);
}

static uint64_t get(const uint8_t *p, unsigned bytes)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < bytes; i++)
		v = v << 8 | p[i];
	return v;
}

/* Cluster 0: header, 1: L1, 2: L2, 3 and on: data, unless the commands say otherwise. */
static size_t file_build(uint8_t *file, const uint8_t *c, size_t size)
{
	const size_t len = CLUSTERS * 512 - (size ? c[0] * 8u : 0);

	memset(file, 0, CLUSTERS * 512);
	for (unsigned n = 3; n < CLUSTERS; n++)
		memset(file + n * 512, (int)n, 512);
	put64(file, 0x514649fb00000002 | (size > 1 && c[1] & 1));
	put64(file + 20, 9ull << 32);
	put64(file + 24, 4 * 64 * 512 - (size > 1 ? c[1] * 3u : 0));
	put64(file + 36, 4ull << 32);
	put64(file + 40, 512);
	put64(file + 512, 1024);
	for (size_t i = 2; i + 4 <= size; i += 4) {
		const size_t cluster = c[i] % CLUSTERS, index = c[i + 1] & 63;

		if (c[i] >= 0xe0)
			file[(c[i] & 1) << 8 | c[i + 1]] = c[i + 2]; /* any byte of the header */
		else
			put64(file + (c[i] & 0x80 ? 512 + 512 * (c[i] & 1) : cluster * 512) +
				      index * 8,
			      (uint64_t)(c[i + 2] % (CLUSTERS + 2)) << 9 |
				      (uint64_t)(c[i + 3] & 0xc0) << 56 | (c[i + 3] == 1));
	}
	return len;
}

/* The byte at `at`, by the specification; -1: damaged, or of a kind that is not read. */
static int reference(const uint8_t *f, size_t len, uint64_t at)
{
	const uint64_t mask = 0x00fffffffffffe00;
	uint64_t bits, cluster, l1, entry, table;

	if (len < 4 || get(f, 4) != 0x514649fb)
		return at < len ? f[at] : 0;
	if (at >= get(f + 24, 8))
		return 0;
	bits = get(f + 20, 4);
	cluster = 1ull << bits;
	l1 = get(f + 40, 8) + (at / (cluster * cluster / 8)) * 8;
	if (l1 % 8 || l1 + 8 > len)
		return -1;
	entry = get(f + l1, 8);
	table = entry & mask;
	if (entry & ~(mask | 1ull << 63) || table % cluster || (table && table + cluster > len))
		return -1;
	if (table == 0)
		return 0;
	entry = get(f + table + at / cluster % (cluster / 8) * 8, 8);
	if (entry & 1ull << 62)
		return -1;
	if (get(f + 4, 4) == 3 && entry & 1)
		return 0;
	table = entry & mask;
	if (entry & ~(mask | 1ull << 63) || table % cluster || (table && table >= len))
		return -1;
	if (table == 0 || table + at % cluster >= len)
		return 0;
	return f[table + at % cluster];
}

static unsigned pages_out;

static void *page_alloc(void *ctx)
{
	(void)ctx;
	if (pages_out == 24)
		return NULL;
	pages_out++;
	return aligned_alloc(4096, 4096);
}

static void page_free(void *ctx, void *page)
{
	(void)ctx;
	require(pages_out > 0);
	pages_out--;
	free(page);
}

static uint8_t model[LOOKED + 512], buf[64 * 512];

static void overlay_check(const struct disk_image *image, const uint8_t *c, size_t size)
{
	static const struct disk_pages pages = {.alloc = page_alloc, .free = page_free};
	const uint64_t sectors = image->sectors < LOOKED / 512 ? image->sectors : LOOKED / 512;
	struct disk_overlay o;
	struct disk disk;

	disk_overlay_init(&o, image, &pages);
	disk_overlay_disk(&o, &disk);
	require(disk.sectors == image->sectors);
	for (size_t i = 0; i + 3 <= size && i < 96; i += 3) {
		const uint64_t lba = c[i] * 2 % sectors;
		const uint64_t room = sectors - lba, wanted = c[i + 1] % 24;
		const uint32_t count = (uint32_t)(wanted < room ? wanted : room);
		int rc;

		memset(buf, c[i + 2] & 3 ? c[i + 2] : 0, sizeof(buf));
		rc = disk.write(disk.ctx, lba, count, buf);
		require(rc == OK || rc == E_NOMEM);
		require(pages_out == o.page_count + o.table_count);
		if (rc == E_NOMEM) /* some of it is done: ask which */
			require(disk.read(disk.ctx, lba, count, buf) == OK);
		memcpy(model + lba * 512, buf, (size_t)count * 512);
	}
	for (uint64_t lba = 0; lba < sectors; lba++) {
		require(disk.read(disk.ctx, lba, 1, buf) == OK);
		require(memcmp(buf, model + lba * 512, 512) == 0);
	}
	disk_overlay_free(&o);
	require(pages_out == 0);
}

static void image_check(const struct disk_image *image, const uint8_t *file, size_t len)
{
	const uint64_t size = image->sectors * 512, looked = size < LOOKED ? size : LOOKED;
	bool zero = true;

	require(size > 0 && size <= DISK_SIZE_MAX);
	memset(model, 0xee, sizeof(model));
	require(disk_image_read(image, 0, looked, model) == OK);
	for (uint64_t at = 0; at < looked; at += 31)
		require(model[at] == reference(file, len, at));
	for (uint64_t at = 0; at < looked; at += 700) {
		const uint64_t n = looked - at < 700 ? looked - at : 700;

		zero = true;
		for (uint64_t k = 0; k < n; k++)
			zero = zero && model[at + k] == 0;
		require(disk_image_is_zero(image, at, n) == zero);
		require(disk_image_read(image, at, n, buf) == OK);
		require(memcmp(buf, model + at, n) == 0);
	}
	/* The far end of a large one. */
	require(disk_image_read(image, size - 512, 512, buf) == OK);
	require(disk_image_read(image, size - 511, 512, buf) == E_FAULT);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t built[CLUSTERS * 512];
	const uint64_t declared = size > 1 && data[0] & 2 ? (uint64_t)data[1] << 12 : 0;
	struct disk_image image;
	char error[160];
	uint8_t *file;
	size_t len;
	int rc;

	if (size == 0 || size > 16384)
		return 0;
	if (data[0] & 1) {
		len = file_build(built, data + 1, size - 1);
	} else {
		len = size - 1 < sizeof(built) ? size - 1 : sizeof(built);
		memcpy(built, data + 1, len);
	}
	/* Exactly as long as it is, so that each byte beyond is seen. */
	file = malloc(len ? len : 1);
	require(file);
	memcpy(file, built, len);
	memset(error, 'x', sizeof(error));
	rc = disk_image_open(&image, file, len, declared, error, sizeof(error));
	if (rc == OK) {
		image_check(&image, file, len);
		overlay_check(&image, data + size / 2, size - size / 2);
	} else {
		require(rc == E_INVAL || rc == E_NOSYS);
		require(memchr(error, 0, sizeof(error)) && error[0]);
		require(strlen(error) < sizeof(error) - 1);
	}
	free(file);
	return 0;
}
