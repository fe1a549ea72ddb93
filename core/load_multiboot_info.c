/*
 * What a Multiboot kernel finds beside itself in its VM's memory: modules and the boot information
 * of either version. It must not know what is in the kernel's header.
 * Source: Multiboot Specification 0.6.96 and Multiboot2 Specification 2.0, section "Boot
 * information format".
 *
 * The modules go above the kernel; the boot information goes low, because small kernels use what
 * follows their own end before they have read it.
 */
#include <crvm/printf.h>
#include <crvm/string.h>

#include "load.h"

enum {
	MB1_LOADER_MAGIC = 0x2badb002, /* in EAX */
	MB2_LOADER_MAGIC = 0x36d76289,
};

enum mb2_tag_type {
	MB2_TAG_END = 0,
	MB2_TAG_CMDLINE = 1,
	MB2_TAG_LOADER = 2,
	MB2_TAG_MODULE = 3,
	MB2_TAG_MEMORY = 4,
	MB2_TAG_BOOT_DEVICE = 5,
	MB2_TAG_MMAP = 6,
	MB2_TAG_VBE = 7,
	MB2_TAG_FRAMEBUFFER = 8,
	MB2_TAG_ELF = 9,
	MB2_TAG_APM = 10,
	MB2_TAG_EFI32 = 11,
	MB2_TAG_EFI64 = 12,
	MB2_TAG_SMBIOS = 13,
	MB2_TAG_RSDP_OLD = 14,
	MB2_TAG_RSDP_NEW = 15,
	MB2_TAG_NETWORK = 16,
	MB2_TAG_COUNT,
};

/* A memory map entry of both; Multiboot 1 has its size before it, Multiboot2 a zero behind. */
struct packed mb_mmap {
	uint64_t base, len;
	uint32_t type;
};
enum { MMAP_USABLE = 1, MMAP_RESERVED = 2, MMAP_MAX = 3 };

struct packed mb1_mmap_entry {
	uint32_t size; /* of what follows */
	struct mb_mmap range;
};
_Static_assert(sizeof(struct mb1_mmap_entry) == 24, "Multiboot memory map entry");

struct packed mb1_module {
	uint32_t start, end, cmdline, reserved;
};
_Static_assert(sizeof(struct mb1_module) == 16, "Multiboot module");

struct packed mb1_info {
	uint32_t flags, mem_lower, mem_upper, boot_device, cmdline;
	uint32_t mods_count, mods_addr, syms[4], mmap_length, mmap_addr;
	uint32_t drives_length, drives_addr, config_table, boot_loader_name;
	uint32_t later[12]; /* APM, VBE, framebuffer: absent */
};
_Static_assert(sizeof(struct mb1_info) == 116, "Multiboot information");
enum {
	MB1_INFO_MEMORY = 1 << 0,
	MB1_INFO_CMDLINE = 1 << 2,
	MB1_INFO_MODS = 1 << 3,
	MB1_INFO_MMAP = 1 << 6,
	MB1_INFO_LOADER = 1 << 9,
};

struct packed mb2_info_head {
	uint32_t total_size, reserved;
};
struct packed mb2_tag {
	uint32_t type, size;
};
struct packed mb2_module {
	struct mb2_tag tag;
	uint32_t start, end; /* its text follows */
};
_Static_assert(sizeof(struct mb2_module) == 16, "Multiboot2 module tag");
struct packed mb2_memory {
	struct mb2_tag tag;
	uint32_t mem_lower, mem_upper;
};
_Static_assert(sizeof(struct mb2_memory) == 16, "Multiboot2 basic memory tag");
struct packed mb2_mmap_entry {
	struct mb_mmap range;
	uint32_t reserved;
};
_Static_assert(sizeof(struct mb2_mmap_entry) == 24, "Multiboot2 memory map entry");
struct packed mb2_mmap {
	struct mb2_tag tag;
	uint32_t entry_size, entry_version;
	struct mb2_mmap_entry entry[MMAP_MAX];
};
_Static_assert(sizeof(struct mb2_mmap) == 16 + 24 * MMAP_MAX, "Multiboot2 memory map tag");
enum { MB2_ALIGN = 8 };

static const char loader_name[] = "CRVM";

/* From here on, as GRUB does: kernels may use what lies below for the starts of other CPUs. */
#define INFO_START 0x10000ull

const char *load_multiboot_info_missing(uint32_t type)
{
	static const char *const name[MB2_TAG_COUNT] = {
		/* NULL: there is */
		[MB2_TAG_BOOT_DEVICE] = "the BIOS boot device",
		[MB2_TAG_VBE] = "VBE information",
		[MB2_TAG_FRAMEBUFFER] = "a framebuffer",
		[MB2_TAG_ELF] = "ELF symbols",
		[MB2_TAG_APM] = "an APM table",
		[MB2_TAG_EFI32] = "an EFI32 system table",
		[MB2_TAG_EFI64] = "an EFI64 system table",
		[MB2_TAG_SMBIOS] = "SMBIOS tables",
		[MB2_TAG_RSDP_OLD] = "an ACPI 1 RSDP",
		[MB2_TAG_RSDP_NEW] = "an ACPI 2 RSDP",
		[MB2_TAG_NETWORK] = "network information",
	};

	return type < MB2_TAG_COUNT ? name[type] : "what is unknown";
}

/* What the boot information tells, and where it is written next. */
struct mb_info {
	struct load_job *job;
	uint64_t start, at;
	uint64_t text; /* Multiboot 1: where its texts go */
	int rc;
	uint32_t module_addr[LOAD_MODULE_MAX];
	struct mb_mmap mmap[MMAP_MAX];
	unsigned mmap_count;
};

static int modules_load(struct load_job *job, struct mb_info *info)
{
	const struct load_request *r = job->r;
	uint64_t above = LOAD_HIGH_START, addr = 0;
	char needs[24], has[24];
	int rc = OK;

	for (unsigned i = 0; i < job->used_count; i++)
		if (job->used[i].end > above)
			above = job->used[i].end;
	for (unsigned i = 0; i < r->module_count && rc == OK; i++) {
		const struct load_module *m = &r->modules[i];
		const uint64_t room = m->len ? m->len : 1; /* an empty one has an address too */

		if (!load_place(job, above, r->mem_size, room, &addr) &&
		    !load_place(job, LOAD_HIGH_START, r->mem_size, room, &addr))
			return load_fail(job, E_NOMEM, "no room for module %u of %s, the VM has %s",
					 i, str_size(needs, sizeof(needs), m->len),
					 str_size(has, sizeof(has), r->mem_size));
		info->module_addr[i] = (uint32_t)addr;
		rc = load_put(job, addr, m->data, m->len, m->len);
	}
	return rc;
}

static void mmap_add(struct mb_info *info, uint64_t start, uint64_t end, uint32_t type)
{
	if (end > info->job->r->mem_size && type == MMAP_USABLE)
		end = info->job->r->mem_size;
	if (start < end)
		info->mmap[info->mmap_count++] = (struct mb_mmap){start, end - start, type};
}

static void mmap_make(struct mb_info *info)
{
	mmap_add(info, 0, LOAD_LOW_END, MMAP_USABLE);
	mmap_add(info, LOAD_LOW_END, LOAD_HIGH_START, MMAP_RESERVED);
	mmap_add(info, LOAD_HIGH_START, UINT64_MAX, MMAP_USABLE);
}

/* KiB from 0 and from 1 MiB on. */
static uint32_t mem_lower(const struct load_request *r)
{
	return (uint32_t)((r->mem_size < LOAD_LOW_END ? r->mem_size : LOAD_LOW_END) >> 10);
}

static uint32_t mem_upper(const struct load_request *r)
{
	return r->mem_size > LOAD_HIGH_START ? (uint32_t)((r->mem_size - LOAD_HIGH_START) >> 10)
					     : 0;
}

static const char *text_of(const char *text)
{
	return text ? text : "";
}

/* Low if there is room, else anywhere. */
static int info_place(struct mb_info *info, uint64_t len)
{
	struct load_job *job = info->job;
	const uint64_t mem_size = job->r->mem_size;
	const uint64_t low = mem_size < LOAD_LOW_END ? mem_size : LOAD_LOW_END;

	if (load_place(job, INFO_START, low, len, &info->start) ||
	    load_place(job, LOAD_HIGH_START, mem_size, len, &info->start)) {
		info->at = info->start;
		return OK;
	}
	return load_fail(job, E_NOMEM, "no room for %llu bytes of boot information",
			 (unsigned long long)len);
}

static void info_put(struct mb_info *info, const void *data, uint64_t len)
{
	if (info->rc == OK)
		info->rc = load_put(info->job, info->at, data, len, len);
	info->at += len;
}

/* Multiboot 1 keeps its texts apart; returns where this one is. */
static uint32_t mb1_put_text(struct mb_info *info, const char *text)
{
	const uint64_t at = info->text, len = strlen(text) + 1;

	if (info->rc == OK)
		info->rc = load_put(info->job, at, text, len, len);
	info->text += len;
	return (uint32_t)at;
}

/* In this order: the structure, the memory map, the list of modules, texts. */
static int mb1_put_info(struct mb_info *info)
{
	const struct load_request *r = info->job->r;
	const uint64_t fixed = sizeof(struct mb1_info) +
			       r->module_count * sizeof(struct mb1_module) +
			       info->mmap_count * sizeof(struct mb1_mmap_entry);
	uint64_t len = fixed + sizeof(loader_name) + strlen(text_of(r->cmdline)) + 1;
	struct mb1_info head = {0};

	for (unsigned i = 0; i < r->module_count; i++)
		len += strlen(text_of(r->modules[i].cmdline)) + 1;
	info->rc = info_place(info, len);
	info->text = info->at + fixed;
	head.flags = MB1_INFO_MEMORY | MB1_INFO_CMDLINE | MB1_INFO_MODS | MB1_INFO_MMAP |
		     MB1_INFO_LOADER;
	head.mem_lower = mem_lower(r);
	head.mem_upper = mem_upper(r);
	head.cmdline = mb1_put_text(info, text_of(r->cmdline));
	head.boot_loader_name = mb1_put_text(info, loader_name);
	head.mmap_addr = (uint32_t)(info->at + sizeof(head));
	head.mmap_length = info->mmap_count * (uint32_t)sizeof(struct mb1_mmap_entry);
	head.mods_addr = head.mmap_addr + head.mmap_length;
	head.mods_count = r->module_count;
	info_put(info, &head, sizeof(head));
	for (unsigned i = 0; i < info->mmap_count; i++) {
		const struct mb1_mmap_entry e = {sizeof(e.range), info->mmap[i]};

		info_put(info, &e, sizeof(e));
	}
	for (unsigned i = 0; i < r->module_count; i++) {
		const struct mb1_module m = {
			.start = info->module_addr[i],
			.end = info->module_addr[i] + (uint32_t)r->modules[i].len,
			.cmdline = mb1_put_text(info, text_of(r->modules[i].cmdline)),
		};

		info_put(info, &m, sizeof(m));
	}
	return info->rc;
}

/* --- Multiboot2 ----------------------------------------------------------------------------- */

static uint64_t mb2_tag_room(uint64_t size)
{
	return align_up(size, MB2_ALIGN);
}

/* A tag of `len` bytes, `tag` first in them, and a text if there is one. */
static void mb2_put(struct mb_info *info, struct mb2_tag *tag, uint32_t type, uint32_t len,
		    const char *text)
{
	static const uint8_t zeroes[MB2_ALIGN];
	const uint64_t text_len = text ? strlen(text) + 1 : 0;

	tag->type = type;
	tag->size = len + (uint32_t)text_len;
	info_put(info, tag, len);
	info_put(info, text, text_len);
	info_put(info, zeroes, mb2_tag_room(tag->size) - tag->size);
}

static uint32_t mb2_mmap_size(const struct mb_info *info)
{
	return (uint32_t)(offsetof(struct mb2_mmap, entry) +
			  info->mmap_count * sizeof(struct mb2_mmap_entry));
}

static uint64_t mb2_info_size(const struct mb_info *info)
{
	const struct load_request *r = info->job->r;
	const uint64_t tag = sizeof(struct mb2_tag);
	uint64_t len = sizeof(struct mb2_info_head);

	len += mb2_tag_room(tag + strlen(text_of(r->cmdline)) + 1);
	len += mb2_tag_room(tag + sizeof(loader_name));
	for (unsigned i = 0; i < r->module_count; i++)
		len += mb2_tag_room(sizeof(struct mb2_module) +
				    strlen(text_of(r->modules[i].cmdline)) + 1);
	len += sizeof(struct mb2_memory) + mb2_mmap_size(info) + tag;
	return len;
}

static int mb2_put_info(struct mb_info *info)
{
	const struct load_request *r = info->job->r;
	struct mb2_memory memory = {.mem_lower = mem_lower(r), .mem_upper = mem_upper(r)};
	struct mb2_mmap map = {.entry_size = sizeof(map.entry[0])};
	struct mb2_info_head head = {.total_size = (uint32_t)mb2_info_size(info)};
	struct mb2_tag plain;

	for (unsigned i = 0; i < info->mmap_count; i++)
		map.entry[i].range = info->mmap[i];
	info->rc = info_place(info, head.total_size);
	info_put(info, &head, sizeof(head));
	mb2_put(info, &plain, MB2_TAG_CMDLINE, sizeof(plain), text_of(r->cmdline));
	mb2_put(info, &plain, MB2_TAG_LOADER, sizeof(plain), loader_name);
	for (unsigned i = 0; i < r->module_count; i++) {
		struct mb2_module m = {
			.start = info->module_addr[i],
			.end = info->module_addr[i] + (uint32_t)r->modules[i].len,
		};

		mb2_put(info, &m.tag, MB2_TAG_MODULE, sizeof(m), text_of(r->modules[i].cmdline));
	}
	mb2_put(info, &memory.tag, MB2_TAG_MEMORY, sizeof(memory), NULL);
	mb2_put(info, &map.tag, MB2_TAG_MMAP, mb2_mmap_size(info), NULL);
	mb2_put(info, &plain, MB2_TAG_END, sizeof(plain), NULL);
	return info->rc;
}

int load_multiboot_info(struct load_job *job, bool v2, struct load_start *start)
{
	struct mb_info info = {.job = job};
	int rc = modules_load(job, &info);

	if (rc != OK)
		return rc;
	mmap_make(&info);
	rc = v2 ? mb2_put_info(&info) : mb1_put_info(&info);
	start->eax = v2 ? MB2_LOADER_MAGIC : MB1_LOADER_MAGIC;
	start->ebx = (uint32_t)info.start;
	return rc;
}
