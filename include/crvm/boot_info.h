/*
 * What the boot loader told us, copied out of its memory (boot/multiboot2.c). boot_parse is a pure
 * function over untrusted bytes: it may include lib only, and every address in the result is still
 * only a claim.
 * Source: Multiboot2 Specification 2.0, section "Boot information format".
 */
#pragma once

#include <crvm/addr.h>
#include <crvm/compiler.h>

#define MULTIBOOT2_BOOT_MAGIC 0x36d76289u

#define BOOT_MMAP_MAX	 256
#define BOOT_MODULE_MAX	 64
#define BOOT_CMDLINE_MAX 1024
#define BOOT_NOTE_MAX	 8

enum boot_mem_type { /* values of the Multiboot2 memory map; every other value means reserved */
		     BOOT_MEM_RAM = 1,
		     BOOT_MEM_ACPI = 3,
		     BOOT_MEM_NVS = 4,
		     BOOT_MEM_BAD = 5,
};

struct boot_range {
	uint64_t base;
	uint64_t len; /* base + len does not wrap, len > 0 */
	uint32_t type;
};

struct boot_module {
	uint64_t start, end; /* start <= end; physical bytes */
	char cmdline[256];
};

enum boot_fb_type { BOOT_FB_NONE, BOOT_FB_RGB, BOOT_FB_TEXT };

struct boot_framebuffer {
	enum boot_fb_type type;
	uint64_t base;
	uint32_t pitch;	 /* bytes per line */
	uint32_t width;	 /* pixels, or characters for TEXT */
	uint32_t height; /* likewise */
	uint8_t bpp;	 /* RGB: 15, 16, 24 or 32 */
	struct {
		uint8_t pos, size; /* bits; pos + size <= bpp */
	} red, green, blue;
};

/* ELF symbol sections that the loader put somewhere: addresses of .symtab and its .strtab. */
struct boot_symbols {
	uint64_t symtab, symtab_len; /* bytes; 0 if absent */
	uint64_t strtab, strtab_len;
};

struct boot_info {
	char cmdline[BOOT_CMDLINE_MAX];
	char loader[64];
	unsigned mmap_count, module_count;
	struct boot_range mmap[BOOT_MMAP_MAX];
	struct boot_module module[BOOT_MODULE_MAX];
	struct boot_framebuffer fb;
	struct boot_symbols symbols;
	/* Every section with an address that the loader placed (to be reserved), see boot_reserve.
	 */
	unsigned reserve_count;
	struct {
		uint64_t start, end;
	} reserve[64];
	uint8_t rsdp[36]; /* copy of the RSDP: the new tag's if there is one, else the old tag's */
	uint8_t rsdp_len; /* 0, 20 or 36 */
	bool efi;	  /* an EFI system table tag was there */
	unsigned note_count; /* things found wrong, for the log once there is one */
	char note[BOOT_NOTE_MAX][96];
};

/*
 * Parses the boot information at `mbi` (`avail`: bytes that may be read there, at least its own
 * total_size when that is sane). `info` is zeroed first. Returns 0; E_INVAL if no memory map with
 * RAM could be had or the structure is broken past use. Lesser faults (a tag too short, a table too
 * long, an odd framebuffer, overlong texts) leave that item out and add a note. Overlapping,
 * zero-length and wrapping memory ranges: the latter two are dropped with a note; overlaps are left
 * to the frame allocator.
 */
int boot_parse(struct boot_info *info, const void *mbi, size_t avail);
