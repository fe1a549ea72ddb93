/*
 * The hypervisor's address space: direct map without execution, the image by section, stacks
 * between guard pages. Built once by the boot CPU; afterwards pages are only added.
 */
#include <crvm/cpufeat.h>
#include <crvm/frames.h>
#include <crvm/hostvm.h>
#include <crvm/log.h>
#include <crvm/panic.h>
#include <crvm/spinlock.h>
#include <crvm/status.h>

struct hostmap host_map;

/* Rank: a caller may hold its own locks; only the frame allocator is entered from here. */
static struct spinlock map_lock = SPINLOCK_INIT(RANK_MAP, "hostmap");
static uint64_t stack_next = STACK_AREA_BASE;

extern const uint8_t image_phys_start[], image_phys_end[];
extern const uint8_t image_text_start[], image_text_end[], image_rodata_end[], image_end[];

#define STACK_AREA_SIZE (1ul << 30)

/* Memory whose contents are tables and data: reachable, never executable. */
static int map_range(uint64_t start, uint64_t end, unsigned flags)
{
	uint64_t limit = 1ul << boot_cpu_features.phys_bits;

	start = align_down(start, PAGE_SIZE);
	end = end > ~0ul - PAGE_SIZE ? limit : align_up(end, PAGE_SIZE);
	if (end > limit)
		end = limit;
	if (start >= end)
		return OK;
	return hostmap_map(&host_map, DIRECT_MAP_BASE + start, hpa(start), end - start, flags);
}

/*
 * The pages of [start, end) that are not mapped yet. Ranges of a firmware's map may overlap, and
 * neighbours of different types may share a page.
 */
static int map_missing(uint64_t start, uint64_t end, unsigned flags)
{
	int err = map_range(start, end, flags);
	uint64_t size;

	if (err != E_EXIST)
		return err;
	for (start = align_down(start, PAGE_SIZE); start < end; start += size) {
		size = PAGE_SIZE;
		if (!hostmap_query(&host_map, DIRECT_MAP_BASE + start, NULL, NULL, &size)) {
			size -= start & (size - 1);
			continue;
		}
		err = map_range(start, start + PAGE_SIZE, flags);
		if (err)
			return err;
	}
	return OK;
}

static int map_image(void)
{
	const struct {
		const uint8_t *start, *end;
		unsigned flags;
	} part[] = {
		{image_text_start, image_text_end, MAP_X},
		{image_text_end, image_rodata_end, MAP_R},
		{image_rodata_end, image_end, MAP_W},
	};

	for (size_t i = 0; i < array_count(part); i++) {
		uint64_t va = (uint64_t)part[i].start,
			 len = (uint64_t)(part[i].end - part[i].start);
		uint64_t pa = va - IMAGE_BASE;
		int err = hostmap_map(&host_map, va, hpa(pa), len, part[i].flags);

		/* The direct alias is data to whoever reads it, and never more writable than the
		 * image. */
		if (!err)
			err = hostmap_protect(&host_map, DIRECT_MAP_BASE + pa, len,
					      part[i].flags & MAP_W);
		if (err)
			return err;
	}
	return OK;
}

int hostvm_init(const struct boot_info *info)
{
	int err = hostmap_init(&host_map, cpufeat_has(&boot_cpu_features, CPUF_NX),
			       cpufeat_has(&boot_cpu_features, CPUF_GB_PAGES));

	/* Low memory: real-mode data, EBDA and the BIOS area hold tables; the window between is
	 * VGA. */
	if (!err)
		err = map_range(0, 0xa0000, MAP_W);
	if (!err)
		err = map_range(0xa0000, 0xc0000, MAP_W | MAP_UC);
	if (!err)
		err = map_range(0xc0000, 0x100000, MAP_R);
	for (unsigned i = 0; !err && i < info->mmap_count; i++) {
		const struct boot_range *r = &info->mmap[i];
		uint64_t start = r->base < 0x100000 ? 0x100000 : r->base;

		if (r->base + r->len <= start)
			continue;
		if (r->type == BOOT_MEM_RAM)
			err = map_missing(start, r->base + r->len, MAP_W);
	}
	if (!err)
		err = map_image();
	if (err)
		return err;
	write_cr3(host_map.root.v);
	return OK;
}

void *hostvm_map(uint64_t addr, uint64_t len, unsigned flags)
{
	uint64_t limit = 1ul << boot_cpu_features.phys_bits, irq;
	unsigned have;
	bool same = true;
	int err;

	if (!len || addr >= limit || len > limit - addr) {
		log_warn("no device can be at physical %lx (%lu bytes): this CPU has %u address "
			 "bits",
			 addr, len, boot_cpu_features.phys_bits);
		return NULL;
	}
	irq = spin_lock_irqsave(&map_lock);
	err = map_range(addr, addr + len, flags);
	if (err == E_EXIST && !(flags & (MAP_W | MAP_UC | MAP_WC))) {
		/* Tables may lie in memory that is mapped writable; the readable rest is added. */
		err = map_missing(addr, addr + len, flags);
		for (uint64_t a = align_down(addr, PAGE_SIZE); !err && same && a < addr + len;
		     a += PAGE_SIZE)
			same = !hostmap_query(&host_map, DIRECT_MAP_BASE + a, NULL, &have, NULL) &&
			       !(have & (MAP_UC | MAP_WC));
		if (!same)
			err = E_EXIST;
	}
	spin_unlock_irqrestore(&map_lock, irq);
	if (err) {
		log_warn("cannot map physical %lx (%lu bytes) for a device: %s", addr, len,
			 err == E_EXIST ? "it is memory, or another device's" : status_name(err));
		return NULL;
	}
	return phys_to_virt(hpa(addr));
}

uint64_t hostvm_stack(unsigned pages)
{
	uint64_t base = stack_next + PAGE_SIZE; /* below it: the guard page */

	stack_next = base + pages * PAGE_SIZE;
	check(stack_next < STACK_AREA_BASE + STACK_AREA_SIZE);
	for (unsigned i = 0; i < pages; i++) {
		hpa_t frame;

		if (frames_alloc(0, FRAME_HV, &frame) ||
		    hostmap_map(&host_map, base + i * PAGE_SIZE, frame, PAGE_SIZE, MAP_W))
			return 0;
	}
	return stack_next;
}

bool hostvm_is_guard(uint64_t va)
{
	return va >= STACK_AREA_BASE && va < STACK_AREA_BASE + STACK_AREA_SIZE &&
	       hostmap_query(&host_map, va, NULL, NULL, NULL) == E_NOENT;
}

static bool audit_run(void *ctx, uint64_t va, hpa_t pa, uint64_t len, unsigned flags)
{
	bool text = va >= (uint64_t)image_text_start && va < (uint64_t)image_text_end;

	(void)ctx;
	if ((flags & MAP_X) && ((flags & MAP_W) || (!text && host_map.nx)))
		panic("page table audit: %016lx (physical %lx, %lu bytes) is executable%s", va,
		      pa.v, len, flags & MAP_W ? " and writable" : " outside the text");
	return true;
}

void hostvm_audit(void)
{
	hostmap_walk(&host_map, audit_run, NULL);
}
