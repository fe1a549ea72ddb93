/*
 * Multiboot2 boot information -> struct boot_info. A pure function over untrusted bytes: it knows
 * lib only, no machine and no allocator, and keeps no pointer into the boot loader's memory.
 * Source: Multiboot2 Specification 2.0, section "Boot information format"; ELF-64 Object File
 * Format, section "Sections".
 */
#include <crvm/boot_info.h>
#include <crvm/printf.h>
#include <crvm/status.h>
#include <crvm/string.h>

enum {
	TAG_END = 0,
	TAG_CMDLINE = 1,
	TAG_LOADER = 2,
	TAG_MODULE = 3,
	TAG_MMAP = 6,
	TAG_FRAMEBUFFER = 8,
	TAG_ELF = 9,
	TAG_EFI32 = 11,
	TAG_EFI64 = 12,
	TAG_RSDP_OLD = 14,
	TAG_RSDP_NEW = 15,
};

#define TAG_ALIGN 8

/* The loader's structures; packed, because nothing promises that they are aligned. */
struct packed mb2_head {
	uint32_t total_size, reserved;
};
_Static_assert(sizeof(struct mb2_head) == 8, "Multiboot2 header");

struct packed mb2_tag {
	uint32_t type, size;
};
_Static_assert(sizeof(struct mb2_tag) == 8, "Multiboot2 tag");

struct packed mb2_module {
	struct mb2_tag tag;
	uint32_t start, end;
};
_Static_assert(sizeof(struct mb2_module) == 16, "Multiboot2 module tag");

struct packed mb2_mmap {
	struct mb2_tag tag;
	uint32_t entry_size, entry_version;
};
_Static_assert(sizeof(struct mb2_mmap) == 16, "Multiboot2 memory map tag");

struct packed mb2_mmap_entry {
	uint64_t base, len;
	uint32_t type, reserved;
};
_Static_assert(sizeof(struct mb2_mmap_entry) == 24, "Multiboot2 memory map entry");

struct packed mb2_framebuffer {
	struct mb2_tag tag;
	uint64_t base;
	uint32_t pitch, width, height;
	uint8_t bpp, type;
	uint16_t reserved;
};
_Static_assert(sizeof(struct mb2_framebuffer) == 32, "Multiboot2 framebuffer tag");

enum { MB2_FB_INDEXED = 0, MB2_FB_RGB = 1, MB2_FB_TEXT = 2 };

struct packed mb2_fb_rgb {
	struct mb2_framebuffer fb;
	uint8_t red_pos, red_size, green_pos, green_size, blue_pos, blue_size;
};
_Static_assert(sizeof(struct mb2_fb_rgb) == 38, "Multiboot2 RGB framebuffer tag");

/* The specification prints 16-bit fields here; its own header file and GRUB use 32-bit ones. */
struct packed mb2_elf {
	struct mb2_tag tag;
	uint32_t num, entsize, shndx;
};
_Static_assert(sizeof(struct mb2_elf) == 20, "Multiboot2 ELF sections tag");

struct packed elf64_section {
	uint32_t name, type;
	uint64_t flags, addr, offset, size;
	uint32_t link, info;
	uint64_t addralign, entsize;
};
_Static_assert(sizeof(struct elf64_section) == 64, "ELF-64 section header");

enum { SHT_SYMTAB = 2, SHT_STRTAB = 3, SHF_ALLOC = 2, ELF64_SYM_SIZE = 24 };

enum { RSDP_OLD_SIZE = 20, RSDP_NEW_SIZE = 36 };

static void printf_like(2, 3) boot_note(struct boot_info *info, const char *fmt, ...)
{
	va_list ap;

	if (info->note_count == BOOT_NOTE_MAX) {
		str_printf(info->note[BOOT_NOTE_MAX - 1], sizeof(info->note[0]),
			   "there is more wrong than is listed here");
		return;
	}
	va_start(ap, fmt);
	str_vprintf(info->note[info->note_count++], sizeof(info->note[0]), fmt, ap);
	va_end(ap);
}

/* Does base + len fit 64 bits? */
static bool span_fits(uint64_t base, uint64_t len)
{
	return len <= UINT64_MAX - base;
}

/* A text that does not fit is left out: half an option can mean something else than the whole. */
static bool text_take(char *dst, size_t size, const uint8_t *src, size_t src_max)
{
	if (str_copy(dst, size, (const char *)src, src_max))
		return true;
	dst[0] = '\0';
	return false;
}

static void tag_take_cmdline(struct boot_info *info, const uint8_t *tag, uint32_t size)
{
	const size_t head = sizeof(struct mb2_tag);

	if (!text_take(info->cmdline, sizeof(info->cmdline), tag + head, size - head))
		boot_note(info, "command line longer than %u bytes: ignored", BOOT_CMDLINE_MAX - 1);
}

static void tag_take_loader(struct boot_info *info, const uint8_t *tag, uint32_t size)
{
	const size_t head = sizeof(struct mb2_tag);

	if (!text_take(info->loader, sizeof(info->loader), tag + head, size - head))
		boot_note(info, "boot loader's name is too long: ignored");
}

static void tag_take_module(struct boot_info *info, const uint8_t *tag, uint32_t size)
{
	const struct mb2_module *raw = (const void *)tag;
	struct boot_module *module;

	if (raw->end < raw->start) {
		boot_note(info, "module at 0x%x ends before it starts: ignored", raw->start);
		return;
	}
	if (info->module_count == BOOT_MODULE_MAX) {
		boot_note(info, "more than %u modules: the one at 0x%x is ignored", BOOT_MODULE_MAX,
			  raw->start);
		return;
	}
	module = &info->module[info->module_count++];
	module->start = raw->start;
	module->end = raw->end;
	if (!text_take(module->cmdline, sizeof(module->cmdline), tag + sizeof(*raw),
		       size - sizeof(*raw)))
		boot_note(info, "module at 0x%x: command line too long, ignored", raw->start);
}

/*
 * A full table gives up its smallest RAM: less memory does no harm, but a forgotten reserved range
 * may lie inside RAM that another entry claims. NULL if the new range is what must go.
 */
static struct boot_range *mmap_victim(struct boot_info *info, const struct boot_range *extra)
{
	struct boot_range *victim = NULL;

	for (unsigned i = 0; i < info->mmap_count; i++) {
		struct boot_range *range = &info->mmap[i];

		if (range->type == BOOT_MEM_RAM && (!victim || range->len < victim->len))
			victim = range;
	}
	if (victim && extra->type == BOOT_MEM_RAM && extra->len <= victim->len)
		return NULL;
	return victim;
}

static void mmap_add(struct boot_info *info, const struct mb2_mmap_entry *entry)
{
	const struct boot_range range = {entry->base, entry->len, entry->type};
	struct boot_range *slot;

	if (range.len == 0) {
		boot_note(info, "memory map: empty range at 0x%lx ignored", range.base);
		return;
	}
	if (!span_fits(range.base, range.len)) {
		boot_note(info, "memory map: range at 0x%lx wraps, ignored", range.base);
		return;
	}
	if (info->mmap_count < BOOT_MMAP_MAX) {
		info->mmap[info->mmap_count++] = range;
		return;
	}
	slot = mmap_victim(info, &range);
	boot_note(info, "memory map: more than %u ranges, the one at 0x%lx is ignored",
		  BOOT_MMAP_MAX, slot ? slot->base : range.base);
	if (slot)
		*slot = range;
}

static void tag_take_mmap(struct boot_info *info, const uint8_t *tag, uint32_t size)
{
	const struct mb2_mmap *raw = (const void *)tag;
	const uint8_t *entries = tag + sizeof(*raw);
	uint32_t step = raw->entry_size;
	uint32_t count;

	if (step < sizeof(struct mb2_mmap_entry)) {
		boot_note(info, "memory map: entries of %u bytes are too short", step);
		return;
	}
	count = (uint32_t)(size - sizeof(*raw)) / step;
	for (uint32_t i = 0; i < count; i++)
		mmap_add(info, (const void *)(entries + (size_t)i * step));
}

/* Why this framebuffer cannot be drawn to, or NULL. */
static const char *framebuffer_fault(const struct boot_framebuffer *fb)
{
	uint64_t line = (uint64_t)fb->width * (fb->type == BOOT_FB_TEXT ? 2u : (fb->bpp + 7u) / 8);

	if (fb->base == 0 || fb->width == 0 || fb->height == 0)
		return "no address or no size";
	if (fb->pitch < line)
		return "lines longer than their pitch";
	if (!span_fits(fb->base, (uint64_t)fb->pitch * fb->height))
		return "wraps around the address space";
	if (fb->type == BOOT_FB_TEXT)
		return NULL;
	if (fb->bpp != 15 && fb->bpp != 16 && fb->bpp != 24 && fb->bpp != 32)
		return "bits per pixel not supported";
	if (fb->red.size == 0 || fb->green.size == 0 || fb->blue.size == 0 ||
	    fb->red.pos + fb->red.size > fb->bpp || fb->green.pos + fb->green.size > fb->bpp ||
	    fb->blue.pos + fb->blue.size > fb->bpp)
		return "colour fields outside the pixel";
	return NULL;
}

static void tag_take_framebuffer(struct boot_info *info, const uint8_t *tag, uint32_t size)
{
	const struct mb2_fb_rgb *rgb = (const void *)tag;
	const struct mb2_framebuffer *raw = &rgb->fb;
	struct boot_framebuffer fb = {
		.type = BOOT_FB_TEXT,
		.base = raw->base,
		.pitch = raw->pitch,
		.width = raw->width,
		.height = raw->height,
		.bpp = raw->bpp,
	};
	const char *fault = NULL;

	if (raw->type == MB2_FB_RGB && size >= sizeof(*rgb)) {
		fb.type = BOOT_FB_RGB;
		fb.red.pos = rgb->red_pos;
		fb.red.size = rgb->red_size;
		fb.green.pos = rgb->green_pos;
		fb.green.size = rgb->green_size;
		fb.blue.pos = rgb->blue_pos;
		fb.blue.size = rgb->blue_size;
	} else if (raw->type == MB2_FB_RGB) {
		fault = "tag too short for its colour fields";
	} else if (raw->type == MB2_FB_INDEXED) {
		fault = "indexed colours are not supported";
	} else if (raw->type != MB2_FB_TEXT) {
		fault = "unknown type";
	}
	if (!fault)
		fault = framebuffer_fault(&fb);
	if (fault)
		boot_note(info, "framebuffer not usable: %s", fault);
	else
		info->fb = fb;
}

static bool section_is_placed(const struct elf64_section *section)
{
	return section->addr != 0 && section->size != 0 && span_fits(section->addr, section->size);
}

static const struct elf64_section *section_at(const uint8_t *tag, uint32_t index)
{
	const struct mb2_elf *raw = (const void *)tag;

	return (const void *)(tag + sizeof(*raw) + (size_t)index * raw->entsize);
}

/* Alloc sections are the image itself. Returns false if one that lies outside it had no room. */
static bool sections_reserve(struct boot_info *info, const uint8_t *tag, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		const struct elf64_section *section = section_at(tag, i);

		if (section->flags & SHF_ALLOC || section->addr == 0 || section->size == 0)
			continue;
		if (!section_is_placed(section)) {
			boot_note(info, "ELF section %u wraps: ignored", i);
			continue;
		}
		if (info->reserve_count == array_count(info->reserve)) {
			boot_note(info, "more than %u ELF sections: no symbols",
				  (unsigned)array_count(info->reserve));
			return false;
		}
		info->reserve[info->reserve_count].start = section->addr;
		info->reserve[info->reserve_count++].end = section->addr + section->size;
	}
	return true;
}

static void symbols_take(struct boot_info *info, const uint8_t *tag, uint32_t count,
			 const struct elf64_section *symtab)
{
	const struct elf64_section *strtab;

	if (symtab->link >= count) {
		boot_note(info, "ELF symbols: no section %u for their names", symtab->link);
		return;
	}
	strtab = section_at(tag, symtab->link);
	if (symtab->entsize != ELF64_SYM_SIZE || strtab->type != SHT_STRTAB ||
	    !section_is_placed(symtab) || !section_is_placed(strtab)) {
		boot_note(info, "ELF symbols: broken table or names, ignored");
		return;
	}
	info->symbols.symtab = symtab->addr;
	info->symbols.symtab_len = symtab->size;
	info->symbols.strtab = strtab->addr;
	info->symbols.strtab_len = strtab->size;
}

static void tag_take_elf(struct boot_info *info, const uint8_t *tag, uint32_t size)
{
	const struct mb2_elf *raw = (const void *)tag;
	uint32_t count = raw->num;

	if (raw->entsize < sizeof(struct elf64_section)) {
		if (count)
			boot_note(info, "ELF section headers of %u bytes: ignored", raw->entsize);
		return;
	}
	if (count > (size - sizeof(*raw)) / raw->entsize) {
		boot_note(info, "ELF: %u section headers do not fit their tag", count);
		count = (uint32_t)(size - sizeof(*raw)) / raw->entsize;
	}
	/* Symbols that nobody reserves may be overwritten: then better none. */
	if (!sections_reserve(info, tag, count))
		return;
	for (uint32_t i = 0; i < count; i++) {
		const struct elf64_section *section = section_at(tag, i);

		if (section->type == SHT_SYMTAB) {
			symbols_take(info, tag, count, section);
			return;
		}
	}
}

static void tag_take_efi(struct boot_info *info, const uint8_t *tag, uint32_t size)
{
	(void)tag;
	(void)size;
	info->efi = true;
}

static void tag_take_rsdp_old(struct boot_info *info, const uint8_t *tag, uint32_t size)
{
	(void)size;
	if (info->rsdp_len == RSDP_NEW_SIZE)
		return;
	memcpy(info->rsdp, tag + sizeof(struct mb2_tag), RSDP_OLD_SIZE);
	info->rsdp_len = RSDP_OLD_SIZE;
}

static void tag_take_rsdp_new(struct boot_info *info, const uint8_t *tag, uint32_t size)
{
	(void)size;
	memcpy(info->rsdp, tag + sizeof(struct mb2_tag), RSDP_NEW_SIZE);
	info->rsdp_len = RSDP_NEW_SIZE;
}

/* What we take; other tags (basic memory, network, EFI memory map ...) are skipped unread. */
static const struct tag_kind {
	uint32_t type, size_min;
	bool repeats;
	const char *name;
	void (*take)(struct boot_info *info, const uint8_t *tag, uint32_t size);
} tag_kinds[] = {
	{TAG_CMDLINE, sizeof(struct mb2_tag), false, "command line", tag_take_cmdline},
	{TAG_LOADER, sizeof(struct mb2_tag), false, "loader name", tag_take_loader},
	{TAG_MODULE, sizeof(struct mb2_module), true, "module", tag_take_module},
	{TAG_MMAP, sizeof(struct mb2_mmap), false, "memory map", tag_take_mmap},
	{TAG_FRAMEBUFFER, sizeof(struct mb2_framebuffer), false, "framebuffer",
	 tag_take_framebuffer},
	{TAG_ELF, sizeof(struct mb2_elf), false, "ELF sections", tag_take_elf},
	{TAG_EFI32, sizeof(struct mb2_tag) + 4, false, "EFI system table", tag_take_efi},
	{TAG_EFI64, sizeof(struct mb2_tag) + 8, false, "EFI system table", tag_take_efi},
	{TAG_RSDP_OLD, sizeof(struct mb2_tag) + RSDP_OLD_SIZE, false, "old RSDP",
	 tag_take_rsdp_old},
	{TAG_RSDP_NEW, sizeof(struct mb2_tag) + RSDP_NEW_SIZE, false, "new RSDP",
	 tag_take_rsdp_new},
};

/* Takes one tag, all of which can be read; `seen` is a set of types that have been taken. */
static void tag_take(struct boot_info *info, const uint8_t *tag, uint32_t *seen)
{
	const struct mb2_tag *raw = (const void *)tag;

	for (size_t i = 0; i < array_count(tag_kinds); i++) {
		const struct tag_kind *kind = &tag_kinds[i];

		if (raw->type != kind->type)
			continue;
		if (raw->size < kind->size_min) {
			boot_note(info, "%s: a tag of %u bytes is too short", kind->name,
				  raw->size);
		} else if (!kind->repeats && *seen & 1u << kind->type) {
			boot_note(info, "%s: repeated, only the first is used", kind->name);
		} else {
			*seen |= 1u << kind->type;
			kind->take(info, tag, raw->size);
		}
		return;
	}
}

static void tags_walk(struct boot_info *info, const uint8_t *mbi, size_t end)
{
	size_t at = sizeof(struct mb2_head);
	uint32_t seen = 0;

	while (at < end && end - at >= sizeof(struct mb2_tag)) {
		const struct mb2_tag *raw = (const void *)(mbi + at);

		if (raw->type == TAG_END)
			return;
		if (raw->size < sizeof(*raw) || raw->size > end - at) {
			boot_note(info, "tag %u at offset %zu has size %u: the rest is ignored",
				  raw->type, at, raw->size);
			return;
		}
		tag_take(info, mbi + at, &seen);
		at += align_up((size_t)raw->size, TAG_ALIGN);
	}
	boot_note(info, "boot information has no end tag");
}

int boot_parse(struct boot_info *info, const void *mbi, size_t avail)
{
	const struct mb2_head *head = mbi;
	size_t end;

	memset(info, 0, sizeof(*info));
	if (avail < sizeof(*head)) {
		boot_note(info, "boot information of %zu bytes is too short", avail);
		return E_INVAL;
	}
	end = head->total_size;
	if (end < sizeof(*head)) {
		boot_note(info, "boot information says it has %zu bytes", end);
		return E_INVAL;
	}
	if (end > avail) {
		boot_note(info, "boot information of %zu bytes is cut at %zu", end, avail);
		end = avail;
	}
	tags_walk(info, mbi, end);
	for (unsigned i = 0; i < info->mmap_count; i++)
		if (info->mmap[i].type == BOOT_MEM_RAM)
			return 0;
	boot_note(info, "the boot loader's memory map has no RAM");
	return E_INVAL;
}
