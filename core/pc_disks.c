/*
 * A VM's disks: each an image that all may share, under what this VM has written. It must not know
 * what a controller is asked, nor how an image is laid out.
 */
#include <crvm/hostmap.h>
#include <crvm/log.h>
#include <crvm/printf.h>
#include <crvm/status.h>

#include "machine.h"
#include "pc.h"
#include "vm.h"

/* Overlays grow while the VM runs; this much stays for everybody else. */
#define FREE_MIN_FRAMES (8ul << 20 >> 12)
#define CHUNK_ORDER	2 /* pages are taken 4 at a time, each chunk has a descriptor */
#define CHUNK_SIZE	(PAGE_SIZE << CHUNK_ORDER)

/* Whether the VM may have so much more for what it writes; a log line the first time it may not. */
static bool may_take(struct pc *pc, uint64_t size)
{
	const uint64_t limit = pc->vm->config.writes;

	if (!limit || pc->written + size <= limit)
		return true;
	if (!pc->limit_told)
		log_warn("VM %s: what it has written to its disks takes %lu KiB (writes = %lu KiB "
			 "in its configuration): from now on writes fail that need more",
			 pc->vm->name, pc->written / 1024, limit / 1024);
	pc->limit_told = true;
	return false;
}

/* The VM's CPU, in an exit, or the boot CPU before the VM runs. */
static void *page_alloc(void *ctx)
{
	struct pc *pc = ctx;
	uint8_t *page = pc->spare_page;
	hpa_t chunk;

	if (page == pc->spare_end) {
		if (!may_take(pc, CHUNK_SIZE) || frames_count(FRAME_FREE) < FREE_MIN_FRAMES ||
		    arena_frames(&pc->vm->arena, CHUNK_ORDER, &chunk))
			return NULL;
		page = phys_to_virt(chunk);
		pc->spare_end = page + CHUNK_SIZE;
		pc->written += CHUNK_SIZE;
	}
	pc->spare_page = page + PAGE_SIZE;
	return page;
}

/* They all go with the VM's arena. */
static void page_free(void *ctx, void *page)
{
	(void)ctx;
	(void)page;
}

static int open_disk(struct pc *pc, unsigned n)
{
	static const char *const names[] = {"disk0", "disk1", "disk2", "disk3"};
	const struct vm_config_disk *d = &pc->vm->config.disk[n];
	const struct disk_pages pages = {page_alloc, page_free, pc};
	struct vm_image image = {0};
	struct pc_disk *disk;
	char error[160], serial[21];
	int err;

	if (d->kind == VM_DISK_NONE)
		return OK;
	if (d->kind == VM_DISK_MODULE)
		image = vms_module(d->image.name);
	else if (d->kind == VM_DISK_OWN)
		image = pc->vm->own;
	if (d->kind != VM_DISK_BLANK && !image.len) {
		log_err("VM %s: %s: module '%s' is not there, or empty", pc->vm->name, names[n],
			d->image.name);
		return E_NOENT;
	}
	disk = arena_alloc(&pc->vm->arena, sizeof(*disk), _Alignof(struct pc_disk));
	if (!disk)
		return E_NOMEM;
	err = disk_image_open(&disk->image, image.data, image.len, d->size, error, sizeof(error));
	if (err) {
		log_err("VM %s: %s: %s", pc->vm->name, names[n], error);
		return err;
	}
	disk_overlay_init(&disk->overlay, &disk->image, &pages);
	disk_overlay_disk(&disk->overlay, &disk->disk);
	str_printf(serial, sizeof(serial), "%s-%u", pc->vm->name, n);
	ide_attach(&pc->ide[n / 2], n % 2, &disk->disk, disk->buffer, serial, NULL);
	pc->disk[n] = disk;
	return OK;
}

int pc_disks_open(struct pc *pc)
{
	int err = OK;

	for (unsigned i = 0; !err && i < PC_DISK_COUNT; i++)
		err = open_disk(pc, i);
	return err;
}

uint64_t pc_disks_pages(const struct pc *pc)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < PC_DISK_COUNT; i++)
		if (pc->disk[i])
			n += pc->disk[i]->overlay.page_count + pc->disk[i]->overlay.table_count;
	return n;
}
