/*
 * ELF executables into a VM's memory, and what the loaders share: which memory is taken, how bytes
 * get there. It must not know what calls it, nor any boot protocol.
 * Source: System V ABI, "Object Files", sections "ELF Header" and "Program Header".
 *
 * Every number in the image may be a lie: no sum is formed before it is known not to wrap, and
 * nothing is written before all segments are known to fit and to be disjoint.
 */
#include <crvm/printf.h>
#include <crvm/string.h>

#include "load.h"

enum { ELFCLASS32 = 1, ELFCLASS64 = 2, ELFDATA2LSB = 1, EV_CURRENT = 1 };
enum { ET_EXEC = 2, EM_386 = 3, EM_X86_64 = 62, PT_LOAD = 1 };

struct packed elf_ident {
	uint8_t magic[4];
	uint8_t class, data, version, os_abi;
	uint8_t pad[8];
	uint16_t type, machine;
	uint32_t file_version;
};
_Static_assert(sizeof(struct elf_ident) == 24, "what both ELF headers begin with");

struct packed elf32_header {
	struct elf_ident ident;
	uint32_t entry, phoff, shoff, flags;
	uint16_t ehsize, phentsize, phnum, shentsize, shnum, shstrndx;
};
_Static_assert(sizeof(struct elf32_header) == 52, "ELF-32 header");

struct packed elf64_header {
	struct elf_ident ident;
	uint64_t entry, phoff, shoff;
	uint32_t flags;
	uint16_t ehsize, phentsize, phnum, shentsize, shnum, shstrndx;
};
_Static_assert(sizeof(struct elf64_header) == 64, "ELF-64 header");

struct packed elf32_segment {
	uint32_t type, offset, vaddr, paddr, filesz, memsz, flags, align;
};
_Static_assert(sizeof(struct elf32_segment) == 32, "ELF-32 program header");

struct packed elf64_segment {
	uint32_t type, flags;
	uint64_t offset, vaddr, paddr, filesz, memsz, align;
};
_Static_assert(sizeof(struct elf64_segment) == 56, "ELF-64 program header");

/* Both classes in one form. */
struct elf_file {
	bool is64;
	uint64_t entry, phoff;
	unsigned phnum, phentsize;
};

/* --- Shared by the loaders ----------------------------------------------------------------- */

int load_fail(struct load_job *job, int status, const char *fmt, ...)
{
	size_t used = 0;
	va_list ap;

	if (job->error_size == 0)
		return status;
	if (job->r->name) {
		str_printf(job->error, job->error_size, "%.64s: ", job->r->name);
		used = strnlen(job->error, job->error_size - 1);
	}
	va_start(ap, fmt);
	str_vprintf(job->error + used, job->error_size - used, fmt, ap);
	va_end(ap);
	return status;
}

bool load_image_read(const struct load_request *r, uint64_t at, void *buf, size_t len)
{
	if (at > r->image_len || len > r->image_len - at)
		return false;
	memcpy(buf, (const uint8_t *)r->image + at, len);
	return true;
}

static bool text_fits(const char *text)
{
	return !text || strnlen(text, LOAD_TEXT_MAX) < LOAD_TEXT_MAX;
}

int load_check(struct load_job *job)
{
	const struct load_request *r = job->r;
	char mem[24];

	if (!r->image || r->image_len == 0)
		return load_fail(job, E_INVAL, "the image is empty");
	if (r->mem_size > LOAD_MEM_MAX)
		return load_fail(job, E_INVAL, "%s of memory are more than kernels may have, 3 GiB",
				 str_size(mem, sizeof(mem), r->mem_size));
	if (r->module_count > LOAD_MODULE_MAX)
		return load_fail(job, E_INVAL, "%u modules are more than %u", r->module_count,
				 LOAD_MODULE_MAX);
	if (!text_fits(r->cmdline))
		return load_fail(job, E_INVAL, "the command line is longer than %u bytes",
				 LOAD_TEXT_MAX - 1);
	for (unsigned i = 0; i < r->module_count; i++)
		if (!text_fits(r->modules[i].cmdline))
			return load_fail(job, E_INVAL,
					 "the command line of module %u is longer than %u bytes", i,
					 LOAD_TEXT_MAX - 1);
	return OK;
}

/* Of the ranges in use, one that [start, end) meets; NULL if none. */
static const struct load_range *range_find(const struct load_job *job, uint64_t start, uint64_t end)
{
	for (unsigned i = 0; i < job->used_count; i++)
		if (start < job->used[i].end && job->used[i].start < end)
			return &job->used[i];
	return NULL;
}

int load_claim(struct load_job *job, const char *what, unsigned index, uint64_t addr, uint64_t len)
{
	const uint64_t mem_size = job->r->mem_size;
	const struct load_range *other;
	char needs[24], has[24];

	if (addr > mem_size || len > mem_size - addr)
		return load_fail(job, E_NOMEM, "%s %u at 0x%llx needs %s, the VM has %s", what,
				 index, (unsigned long long)addr,
				 str_size(needs, sizeof(needs), len),
				 str_size(has, sizeof(has), mem_size));
	if (addr < LOAD_HIGH_START && addr + len > LOAD_LOW_END)
		return load_fail(job, E_INVAL,
				 "%s %u at 0x%llx, %s long, lies in reserved memory "
				 "(0x%llx to 0x%llx)",
				 what, index, (unsigned long long)addr,
				 str_size(needs, sizeof(needs), len), LOAD_LOW_END,
				 LOAD_HIGH_START);
	other = range_find(job, addr, addr + len);
	if (other)
		return load_fail(job, E_INVAL, "%s %u at 0x%llx overlaps what is at 0x%llx", what,
				 index, (unsigned long long)addr, (unsigned long long)other->start);
	if (job->used_count == LOAD_RANGE_MAX)
		return load_fail(job, E_INVAL, "too many parts");
	job->used[job->used_count++] = (struct load_range){addr, addr + len};
	return OK;
}

bool load_place(struct load_job *job, uint64_t from, uint64_t end, uint64_t len, uint64_t *addr)
{
	const struct load_range *other;
	uint64_t at = align_up(from, PAGE_SIZE);

	if (job->used_count == LOAD_RANGE_MAX)
		return false;
	do { /* each turn passes one range: they are disjoint */
		if (at > end || len > end - at)
			return false;
		other = range_find(job, at, at + len);
		if (other)
			at = align_up(other->end, PAGE_SIZE);
	} while (other);
	job->used[job->used_count++] = (struct load_range){at, at + len};
	*addr = at;
	return true;
}

static int zero_put(struct gmem *mem, uint64_t addr, uint64_t len)
{
	static const uint8_t zeroes[PAGE_SIZE];
	void *host = gmem_ptr_write(mem, gpa(addr), len);
	int rc = OK;

	if (host) {
		memset(host, 0, len);
		return OK;
	}
	while (len > 0 && rc == OK) { /* several slots, or none */
		const uint64_t n = len < sizeof(zeroes) ? len : sizeof(zeroes);

		rc = gmem_write(mem, gpa(addr), zeroes, n);
		addr += n;
		len -= n;
	}
	return rc;
}

int load_put(struct load_job *job, uint64_t addr, const void *data, uint64_t len, uint64_t room)
{
	int rc = gmem_write(job->mem, gpa(addr), data, len);

	if (rc == OK)
		rc = zero_put(job->mem, addr + len, room - len);
	if (rc != OK)
		return load_fail(job, rc, "there is no memory for %llu bytes at 0x%llx",
				 (unsigned long long)room, (unsigned long long)addr);
	return OK;
}

/* --- ELF ----------------------------------------------------------------------------------- */

static int elf_read_header(struct load_job *job, struct elf_file *f)
{
	struct elf32_header h32;
	struct elf64_header h64;
	struct elf_ident id;

	if (!load_image_read(job->r, 0, &id, sizeof(id)) || memcmp(id.magic, "\177ELF", 4) != 0)
		return load_fail(job, E_INVAL, "this is no ELF file");
	if (id.data != ELFDATA2LSB || id.version != EV_CURRENT)
		return load_fail(job, E_INVAL, "ELF of byte order %u, version %u: must be 1 and 1",
				 id.data, id.version);
	if (!(id.class == ELFCLASS32 && id.machine == EM_386) &&
	    !(id.class == ELFCLASS64 && id.machine == EM_X86_64))
		return load_fail(job, E_INVAL,
				 "ELF class %u for machine %u: must be 1 for 3 (i386) or 2 for 62 "
				 "(x86-64)",
				 id.class, id.machine);
	if (id.type != ET_EXEC)
		return load_fail(job, E_INVAL, "ELF type %u: must be 2, an executable", id.type);
	f->is64 = id.class == ELFCLASS64;
	if (!f->is64 && load_image_read(job->r, 0, &h32, sizeof(h32))) {
		f->entry = h32.entry;
		f->phoff = h32.phoff;
		f->phnum = h32.phnum;
		f->phentsize = h32.phentsize;
		return OK;
	}
	if (f->is64 && load_image_read(job->r, 0, &h64, sizeof(h64))) {
		f->entry = h64.entry;
		f->phoff = h64.phoff;
		f->phnum = h64.phnum;
		f->phentsize = h64.phentsize;
		return OK;
	}
	return load_fail(job, E_INVAL, "the ELF header is cut off");
}

/*
 * Program header `i`, whichever the class; false if it leaves the image. The caller has begun with
 * 0, so that phoff is known to lie in the image and no sum wraps.
 */
static bool elf_read_segment(const struct load_request *r, const struct elf_file *f, unsigned i,
			     struct elf64_segment *s)
{
	const uint64_t at = f->phoff + (uint64_t)i * f->phentsize;
	struct elf32_segment s32;

	if (f->is64)
		return f->phentsize >= sizeof(*s) && load_image_read(r, at, s, sizeof(*s));
	if (f->phentsize < sizeof(s32) || !load_image_read(r, at, &s32, sizeof(s32)))
		return false;
	*s = (struct elf64_segment){
		.type = s32.type,
		.offset = s32.offset,
		.vaddr = s32.vaddr,
		.paddr = s32.paddr,
		.filesz = s32.filesz,
		.memsz = s32.memsz,
	};
	return true;
}

static int elf_check_segment(struct load_job *job, unsigned i, const struct elf64_segment *s)
{
	if (s->filesz > s->memsz)
		return load_fail(job, E_INVAL,
				 "segment %u has 0x%llx bytes in the file, 0x%llx in memory", i,
				 (unsigned long long)s->filesz, (unsigned long long)s->memsz);
	if (s->offset > job->r->image_len || s->filesz > job->r->image_len - s->offset)
		return load_fail(job, E_INVAL,
				 "segment %u is cut off: 0x%llx bytes from 0x%llx of 0x%llx", i,
				 (unsigned long long)s->filesz, (unsigned long long)s->offset,
				 (unsigned long long)job->r->image_len);
	return load_claim(job, "segment", i, s->paddr, s->memsz);
}

/*
 * The entry is a virtual address if a segment has it there; kernels that are linked high may also
 * give the physical one.
 */
static bool elf_find_entry(const struct load_request *r, const struct elf_file *f, uint64_t *entry)
{
	struct elf64_segment s;

	for (unsigned i = 0; i < f->phnum; i++) {
		if (elf_read_segment(r, f, i, &s) && s.type == PT_LOAD &&
		    f->entry - s.vaddr < s.memsz) {
			*entry = s.paddr + (f->entry - s.vaddr);
			return true;
		}
	}
	for (unsigned i = 0; i < f->phnum; i++) {
		if (elf_read_segment(r, f, i, &s) && s.type == PT_LOAD &&
		    f->entry - s.paddr < s.memsz) {
			*entry = f->entry;
			return true;
		}
	}
	return false;
}

int load_elf_image(struct load_job *job, uint64_t *entry)
{
	const struct load_request *r = job->r;
	struct elf64_segment s;
	unsigned loaded = 0;
	struct elf_file f = {0};
	int rc = elf_read_header(job, &f);

	if (rc != OK)
		return rc;
	if (f.phnum > LOAD_SEGMENT_MAX)
		return load_fail(job, E_INVAL, "%u program headers are more than %u", f.phnum,
				 LOAD_SEGMENT_MAX);
	for (unsigned i = 0; i < f.phnum; i++) {
		if (!elf_read_segment(r, &f, i, &s))
			return load_fail(job, E_INVAL,
					 "program header %u, %u bytes each from 0x%llx, is cut off",
					 i, f.phentsize, (unsigned long long)f.phoff);
		if (s.type != PT_LOAD || s.memsz == 0)
			continue;
		rc = elf_check_segment(job, i, &s);
		if (rc != OK)
			return rc;
		loaded++;
	}
	if (loaded == 0)
		return load_fail(job, E_INVAL, "no segment is to be loaded");
	if (!elf_find_entry(r, &f, entry))
		return load_fail(job, E_INVAL, "the entry 0x%llx is in no segment",
				 (unsigned long long)f.entry);
	for (unsigned i = 0; i < f.phnum && rc == OK; i++)
		if (elf_read_segment(r, &f, i, &s) && s.type == PT_LOAD && s.memsz > 0)
			rc = load_put(job, s.paddr, (const uint8_t *)r->image + s.offset, s.filesz,
				      s.memsz);
	return rc;
}

int load_elf(struct gmem *mem, const struct load_request *r, struct load_start *start, char *error,
	     size_t size)
{
	struct load_job job = {.mem = mem, .r = r, .error = error, .error_size = size};
	uint64_t entry = 0;
	int rc = load_check(&job);

	if (rc == OK && (r->module_count > 0 || (r->cmdline && r->cmdline[0])))
		rc = load_fail(&job, E_INVAL,
			       "a plain ELF kernel takes no modules and no command "
			       "line; one with a Multiboot header does");
	if (rc == OK)
		rc = load_elf_image(&job, &entry);
	if (rc == OK)
		*start = (struct load_start){.mode = LOAD_PROT32, .entry = entry};
	return rc;
}
