/*
 * Kernels into a VM's memory: ELF executables and Multiboot kernels. Pure functions over an image
 * that nobody has checked; they know no vCPU, only say how one is to start. Private to core/.
 *
 * A VM's memory, as these kernels see it: [0, 9FC00h) and [100000h, mem_size) are theirs, what lies
 * between is reserved.
 */
#pragma once

#include <crvm/gmem.h>

#define LOAD_LOW_END	 0x9fc00ull  /* of the memory below the reserved part */
#define LOAD_HIGH_START	 0x100000ull /* of the memory above it */
#define LOAD_MEM_MAX	 (3ull << 30)
#define LOAD_SEGMENT_MAX 32u
#define LOAD_MODULE_MAX	 32u
#define LOAD_TEXT_MAX	 4096u /* a command line with its NUL */

enum load_mode {
	LOAD_REAL, /* at the reset vector's mode: CS.base = entry & ~0xffff */
	/* Paging off, A20 open, flat 4 GiB segments (CS 32-bit), interrupts off. */
	LOAD_PROT32,
};

struct load_start {
	enum load_mode mode;
	uint64_t entry; /* physical */
	uint32_t eax, ebx;
};

/* What a kernel gets beside itself. */
struct load_module {
	const void *data;
	uint64_t len;
	const char *cmdline; /* NULL: empty */
};

struct load_request {
	const void *image;
	uint64_t image_len;
	const char *name;    /* for error texts; may be NULL */
	const char *cmdline; /* NULL: empty */
	uint64_t mem_size;   /* <= LOAD_MEM_MAX */
	const struct load_module *modules;
	unsigned module_count;
};

/*
 * All return OK, or with `error` saying what is wrong and where (NUL-terminated): E_INVAL for a
 * wrong image or request, E_NOMEM if it does not fit the VM, E_FAULT if `mem` has no memory where
 * the map above says so. After an error the memory may have been written to.
 */

/*
 * An ELF32 (i386) or ELF64 (x86-64) executable: its PT_LOAD segments go to their physical
 * addresses. It starts in 32-bit mode in both cases. Takes no modules and no command line: E_INVAL.
 */
must_check int load_elf(struct gmem *mem, const struct load_request *r, struct load_start *start,
			char *error, size_t size);

/*
 * A kernel with a Multiboot2 header, or else a Multiboot 1 header; E_NOENT if it has neither. Load
 * address fields, or ELF. Modules and the boot information are placed where the kernel is not.
 */
must_check int load_multiboot(struct gmem *mem, const struct load_request *r,
			      struct load_start *start, char *error, size_t size);

/* --- For the loaders among themselves ------------------------------------------------------ */

#define LOAD_RANGE_MAX (LOAD_SEGMENT_MAX + LOAD_MODULE_MAX + 1)

struct load_range {
	uint64_t start, end;
};

/* One load at work. */
struct load_job {
	struct gmem *mem;
	const struct load_request *r;
	char *error;
	size_t error_size;
	unsigned used_count;
	struct load_range used[LOAD_RANGE_MAX]; /* disjoint */
};

/* Puts the text into job->error, with the image's name before it, and returns `status`. */
int load_fail(struct load_job *job, int status, const char *fmt, ...) printf_like(3, 4);

/* E_INVAL if the request itself is out of bounds. */
must_check int load_check(struct load_job *job);

/* Copies from the image; false if it has not all of that. */
must_check bool load_image_read(const struct load_request *r, uint64_t at, void *buf, size_t len);

/*
 * Marks [addr, addr + len) as used by `what` number `index`: it must be the VM's memory, and nobody
 * else's. len > 0.
 */
must_check int load_claim(struct load_job *job, const char *what, unsigned index, uint64_t addr,
			  uint64_t len);

/* Finds and claims `len` > 0 free bytes at a page's start, from `from` on and below `end`. */
must_check bool load_place(struct load_job *job, uint64_t from, uint64_t end, uint64_t len,
			   uint64_t *addr);

/* `len` bytes of data, then zeroes up to `room`, at a claimed address. */
must_check int load_put(struct load_job *job, uint64_t addr, const void *data, uint64_t len,
			uint64_t room);

/* The image as an ELF executable: all segments, and the entry's physical address. */
must_check int load_elf_image(struct load_job *job, uint64_t *entry);

/*
 * For a Multiboot kernel that lies in memory: loads the modules, writes the boot information of
 * version 2 or 1, and sets EAX and EBX.
 */
must_check int load_multiboot_info(struct load_job *job, bool v2, struct load_start *start);
/* NULL if the Multiboot2 information has tags of this type; else what it has not. */
const char *load_multiboot_info_missing(uint32_t type);
