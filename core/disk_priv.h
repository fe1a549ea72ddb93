/*
 * Where a VM's sectors come from: a read-only image, and what the VM has written over it. For core/
 * only; struct disk (crvm/disk.h) is what a device model sees of it. Knows no VM and no frames.
 */
#pragma once

#include <crvm/disk.h>

#define DISK_SIZE_MAX	(1ull << 37) /* bytes: what 28-bit addresses reach, 128 GiB */
#define DISK_PAGE_SHIFT 12
#define DISK_PAGE_SIZE	4096u

enum disk_image_kind {
	DISK_IMAGE_BLANK, /* zeros */
	DISK_IMAGE_RAW,
	DISK_IMAGE_QCOW2, /* QEMU, "docs/interop/qcow2.txt": version 2 and 3 */
};

/* A base that nobody writes to; several disks may lie over one. */
struct disk_image {
	enum disk_image_kind kind;
	const uint8_t *bytes; /* of the boot module: they must stay */
	uint64_t len;
	uint64_t content; /* bytes of the disk that the image speaks of; what follows is zeros */
	uint64_t sectors;
	/* qcow2 */
	uint64_t l1;	       /* where the first table is */
	uint32_t cluster_bits; /* log2 of the bytes of a cluster */
	bool zero_flags;       /* bit 0 of an L2 entry says "reads as zeros" (version 3) */
};

/*
 * An image in `len` bytes of memory (0: a blank one). `declared_size` is the disk's size in bytes;
 * 0: as large as the image. OK; E_INVAL if the sizes contradict each other or the image is damaged,
 * E_NOSYS if it is of a kind that this does not read: then `error` says in words which and why.
 */
must_check int disk_image_open(struct disk_image *i, const void *bytes, uint64_t len,
			       uint64_t declared_size, char *error, size_t size);

/* Bytes [at, at + len) of the disk. OK, E_IO damaged there, E_FAULT beyond the disk's end. */
must_check int disk_image_read(const struct disk_image *i, uint64_t at, uint64_t len, void *buf);

/* Whether they all are zero; false if they cannot be read. */
must_check bool disk_image_is_zero(const struct disk_image *i, uint64_t at, uint64_t len);

/* The same for any bytes. */
must_check bool disk_bytes_are_zero(const uint8_t *p, uint64_t len);

/* A read-only disk of it. */
void disk_image_disk(struct disk_image *i, struct disk *out);

/* Where an overlay's pages of DISK_PAGE_SIZE come from. */
struct disk_pages {
	void *(*alloc)(void *ctx); /* aligned to its size, contents undefined; NULL: none left */
	void (*free)(void *ctx, void *page);
	void *ctx;
};

#define DISK_TABLE_COUNT 512u /* pointers in a page */
#define DISK_ROOT_COUNT	 128u /* a GiB each */

/*
 * What a VM has written over an image, in pages. Three levels of tables lead to them, each made
 * when the first page below it is. The caller serialises all calls.
 */
struct disk_overlay {
	const struct disk_image *image;
	struct disk_pages pages;
	void **root[DISK_ROOT_COUNT];
	uint64_t page_count;  /* with sectors in them */
	uint64_t table_count; /* that lead to them */
};

void disk_overlay_init(struct disk_overlay *o, const struct disk_image *image,
		       const struct disk_pages *pages);
/* A disk to read and write, as large as the image. */
void disk_overlay_disk(struct disk_overlay *o, struct disk *out);
/* Gives all pages back: the disk is what the image says again. */
void disk_overlay_free(struct disk_overlay *o);
