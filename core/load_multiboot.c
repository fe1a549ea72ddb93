/*
 * Multiboot 1 and 2 kernels into a VM's memory. It must not know what the VM's machine has beside
 * memory: a kernel that requires more of its boot loader is refused.
 * Source: Multiboot Specification 0.6.96 and Multiboot2 Specification 2.0, sections "OS image
 * format" and "Machine state".
 */
#include <crvm/string.h>

#include "load.h"

enum {
	MB1_SEARCH = 8192, /* the whole header lies in this much of the image */
	MB1_ALIGN = 4,
	MB1_MAGIC = 0x1badb002,
	MB2_SEARCH = 32768,
	MB2_ALIGN = 8,
	MB2_ARCH_I386 = 0,
};
#define MB2_MAGIC 0xe85250d6u

enum {
	MB1_PAGE_ALIGN = 1 << 0,   /* modules: ours always are */
	MB1_MEMORY_INFO = 1 << 1,  /* as is this */
	MB1_VIDEO_MODE = 1 << 2,   /* is not */
	MB1_REQUIREMENTS = 0xffff, /* a loader that does not know one of these must fail */
	MB1_AOUT_KLUDGE = 1 << 16, /* the address fields count */
};

enum mb2_header_tag_type {
	MB2_HEADER_END = 0,
	MB2_HEADER_INFO_REQUEST = 1,
	MB2_HEADER_ADDRESS = 2,
	MB2_HEADER_ENTRY = 3,
	MB2_HEADER_CONSOLE = 4,
	MB2_HEADER_FRAMEBUFFER = 5,
	MB2_HEADER_MODULE_ALIGN = 6,
	MB2_HEADER_EFI_BS = 7,
	MB2_HEADER_ENTRY_EFI32 = 8,
	MB2_HEADER_ENTRY_EFI64 = 9,
	MB2_HEADER_RELOCATABLE = 10,
	MB2_HEADER_OPTIONAL = 1 << 0,  /* of a tag's flags */
	MB2_CONSOLE_REQUIRED = 1 << 0, /* of console_flags */
};

/* The address fields of both headers; all physical. */
struct packed mb_addresses {
	uint32_t header_addr, load_addr, load_end_addr, bss_end_addr;
};
enum { LOAD_FROM_START = -1 }; /* load_addr, Multiboot2: load the whole file */

struct packed mb1_header {
	uint32_t magic, flags, checksum;
};
struct packed mb1_kludge {
	struct mb_addresses addresses;
	uint32_t entry_addr;
};
struct packed mb2_header {
	uint32_t magic, architecture, length, checksum;
};
_Static_assert(sizeof(struct mb2_header) == 16, "Multiboot2 header");
struct packed mb2_header_tag {
	uint16_t type, flags;
	uint32_t size;
};
_Static_assert(sizeof(struct mb2_header_tag) == 8, "Multiboot2 header tag");

/* What a header of either kind says. */
struct mb_wish {
	uint64_t offset; /* of the header in the image */
	bool v2, has_addresses, has_entry;
	struct mb_addresses addresses;
	uint32_t entry;
};

/* --- What the headers wish ------------------------------------------------------------------ */

/* Which of the header's places has a good one; `search` when none. */
static uint64_t header_find(const struct load_request *r, bool v2)
{
	const uint64_t search = v2 ? MB2_SEARCH : MB1_SEARCH;
	struct mb2_header h = {0};
	const size_t size = v2 ? sizeof(struct mb2_header) : sizeof(struct mb1_header);

	for (uint64_t at = 0; at + size <= search; at += v2 ? MB2_ALIGN : MB1_ALIGN) {
		if (!load_image_read(r, at, &h, size))
			break;
		if (v2 && h.magic == MB2_MAGIC &&
		    h.magic + h.architecture + h.length + h.checksum == 0)
			return at;
		if (!v2 && h.magic == MB1_MAGIC && h.magic + h.architecture + h.length == 0)
			return at;
	}
	return search;
}

static int mb1_read_header(struct load_job *job, struct mb_wish *w)
{
	struct mb1_header h = {0};
	struct mb1_kludge k;
	uint32_t unknown;

	if (!load_image_read(job->r, w->offset, &h, sizeof(h)))
		return load_fail(job, E_INVAL, "the Multiboot header is cut off");
	if (h.flags & MB1_VIDEO_MODE)
		return load_fail(job, E_INVAL,
				 "the Multiboot header requires a video mode (bit 2 of its flags): "
				 "a VM has none to choose");
	unknown = h.flags & MB1_REQUIREMENTS & ~(uint32_t)(MB1_PAGE_ALIGN | MB1_MEMORY_INFO);
	if (unknown)
		return load_fail(job, E_INVAL,
				 "the Multiboot header requires what is unknown: bit %u of its "
				 "flags (0x%x)",
				 (unsigned)__builtin_ctz(unknown), h.flags);
	if (!(h.flags & MB1_AOUT_KLUDGE))
		return OK;
	if (!load_image_read(job->r, w->offset + sizeof(h), &k, sizeof(k)))
		return load_fail(job, E_INVAL, "the Multiboot header's addresses are cut off");
	w->has_addresses = w->has_entry = true;
	w->addresses = k.addresses;
	w->entry = k.entry_addr;
	return OK;
}

/* The information request: each type that the kernel cannot do without. */
static int mb2_check_request(struct load_job *job, uint64_t at, uint32_t size)
{
	const char *missing;
	uint32_t type = 0;

	for (uint32_t done = sizeof(struct mb2_header_tag); size - done >= sizeof(type);
	     done += sizeof(type)) {
		if (!load_image_read(job->r, at + done, &type, sizeof(type)))
			break;
		missing = load_multiboot_info_missing(type);
		if (missing)
			return load_fail(job, E_INVAL,
					 "the Multiboot2 header requires %s (information type %u)",
					 missing, type);
	}
	return OK;
}

/* One tag that is wholly in the header. */
static int mb2_read_tag(struct load_job *job, struct mb_wish *w, uint64_t at,
			const struct mb2_header_tag *t)
{
	const uint32_t room = t->size - (uint32_t)sizeof(*t);
	const bool optional = t->flags & MB2_HEADER_OPTIONAL;
	const char *missing = "what is unknown";
	uint32_t flags = 0;

	at += sizeof(*t);
	switch (t->type) {
	case MB2_HEADER_INFO_REQUEST:
		return optional ? OK : mb2_check_request(job, at - sizeof(*t), t->size);
	case MB2_HEADER_ADDRESS:
		w->has_addresses = room >= sizeof(w->addresses) &&
				   load_image_read(job->r, at, &w->addresses, sizeof(w->addresses));
		if (w->has_addresses)
			return OK;
		return load_fail(job, E_INVAL, "the Multiboot2 address tag is too short");
	case MB2_HEADER_ENTRY:
		w->has_entry = room >= sizeof(w->entry) &&
			       load_image_read(job->r, at, &w->entry, sizeof(w->entry));
		if (w->has_entry)
			return OK;
		return load_fail(job, E_INVAL, "the Multiboot2 entry tag is too short");
	case MB2_HEADER_CONSOLE:
		if (room >= sizeof(flags) && load_image_read(job->r, at, &flags, sizeof(flags)) &&
		    !(flags & MB2_CONSOLE_REQUIRED))
			return OK;
		missing = "a console";
		break;
	case MB2_HEADER_FRAMEBUFFER:
		missing = "a framebuffer";
		break;
	case MB2_HEADER_MODULE_ALIGN: /* ours always are */
	case MB2_HEADER_EFI_BS:	      /* the rest holds for EFI only, */
	case MB2_HEADER_ENTRY_EFI32:
	case MB2_HEADER_ENTRY_EFI64:
	case MB2_HEADER_RELOCATABLE: /* or allows what is not needed */
		return OK;
	default:
		break;
	}
	if (optional)
		return OK;
	return load_fail(job, E_INVAL, "the Multiboot2 header requires %s (tag %u)", missing,
			 t->type);
}

static int mb2_read_header(struct load_job *job, struct mb_wish *w)
{
	struct mb2_header_tag t = {0};
	struct mb2_header h = {0};
	uint64_t at = w->offset, end;
	int rc = OK;

	if (!load_image_read(job->r, at, &h, sizeof(h)) || at + h.length > MB2_SEARCH)
		return load_fail(job, E_INVAL, "the Multiboot2 header is cut off");
	if (h.architecture != MB2_ARCH_I386)
		return load_fail(job, E_INVAL,
				 "the Multiboot2 header is for architecture %u, "
				 "must be 0 (i386)",
				 h.architecture);
	end = at + h.length;
	at += sizeof(h);
	while (rc == OK) { /* each turn passes 8 bytes at least */
		if (at + sizeof(t) > end || !load_image_read(job->r, at, &t, sizeof(t)) ||
		    t.size < sizeof(t) || t.size > end - at)
			return load_fail(job, E_INVAL,
					 "the Multiboot2 header has a bad tag, or no last one, "
					 "at 0x%llx of the image",
					 (unsigned long long)at);
		if (t.type == MB2_HEADER_END)
			break;
		rc = mb2_read_tag(job, w, at, &t);
		at += align_up((uint64_t)t.size, MB2_ALIGN);
	}
	if (rc == OK && w->has_addresses && !w->has_entry)
		return load_fail(job, E_INVAL,
				 "the Multiboot2 header has an address tag, but no entry tag");
	return rc;
}

/* --- The kernel ----------------------------------------------------------------------------- */

/* Where in the image the load begins, and its physical address. */
static int addresses_find_start(struct load_job *job, const struct mb_wish *w, uint64_t *from,
				uint64_t *to)
{
	const struct mb_addresses *a = &w->addresses;

	if (w->v2 && a->load_addr == (uint32_t)LOAD_FROM_START && a->header_addr >= w->offset) {
		*from = 0;
		*to = a->header_addr - w->offset;
		return OK;
	}
	if (a->load_addr <= a->header_addr && a->header_addr - a->load_addr <= w->offset) {
		*from = w->offset - (a->header_addr - a->load_addr);
		*to = a->load_addr;
		return OK;
	}
	return load_fail(job, E_INVAL,
			 "the Multiboot header, 0x%llx in the image, cannot be at 0x%x if the load "
			 "begins at 0x%x",
			 (unsigned long long)w->offset, a->header_addr, a->load_addr);
}

/* By the address fields. They have 32 bits, and the image's length is real: no sum wraps. */
static int addresses_load(struct load_job *job, const struct mb_wish *w, uint64_t *entry)
{
	const struct mb_addresses *a = &w->addresses;
	uint64_t from = 0, to = 0, left, len, room, end;
	int rc = addresses_find_start(job, w, &from, &to);

	if (rc != OK)
		return rc;
	left = job->r->image_len - from;
	len = a->load_end_addr ? a->load_end_addr - to : left;
	if ((a->load_end_addr && a->load_end_addr <= to) || len > left)
		return load_fail(job, E_INVAL,
				 "0x%llx to 0x%x are to be loaded, the image has 0x%llx bytes left",
				 (unsigned long long)to, a->load_end_addr,
				 (unsigned long long)left);
	end = to + len;
	room = a->bss_end_addr ? a->bss_end_addr - to : len;
	if (a->bss_end_addr && a->bss_end_addr < end)
		return load_fail(job, E_INVAL, "the end of the BSS, 0x%x, lies before 0x%llx",
				 a->bss_end_addr, (unsigned long long)end);
	if (w->entry - to >= room)
		return load_fail(job, E_INVAL, "the entry 0x%x is not in what is loaded", w->entry);
	rc = load_claim(job, "part", 0, to, room);
	if (rc == OK)
		rc = load_put(job, to, (const uint8_t *)job->r->image + from, len, room);
	*entry = w->entry;
	return rc;
}

static int kernel_load(struct load_job *job, const struct mb_wish *w, uint64_t *entry)
{
	int rc;

	if (w->has_addresses)
		return addresses_load(job, w, entry);
	rc = load_elf_image(job, entry);
	if (rc != OK || !w->has_entry)
		return rc;
	*entry = w->entry;
	for (unsigned i = 0; i < job->used_count; i++)
		if (*entry >= job->used[i].start && *entry < job->used[i].end)
			return OK;
	return load_fail(job, E_INVAL, "the entry tag's 0x%x is in no segment", w->entry);
}

int load_multiboot(struct gmem *mem, const struct load_request *r, struct load_start *start,
		   char *error, size_t size)
{
	struct load_job job = {.mem = mem, .r = r, .error = error, .error_size = size};
	struct load_start s = {.mode = LOAD_PROT32};
	struct mb_wish wish = {.v2 = true};
	int rc = load_check(&job);

	if (rc != OK)
		return rc;
	wish.offset = header_find(r, true);
	if (wish.offset == MB2_SEARCH) {
		wish.v2 = false;
		wish.offset = header_find(r, false);
		if (wish.offset == MB1_SEARCH)
			return load_fail(&job, E_NOENT, "there is no Multiboot header");
	}
	rc = wish.v2 ? mb2_read_header(&job, &wish) : mb1_read_header(&job, &wish);
	if (rc == OK)
		rc = kernel_load(&job, &wish, &s.entry);
	if (rc == OK)
		rc = load_multiboot_info(&job, wish.v2, &s);
	if (rc == OK)
		*start = s;
	return rc;
}
