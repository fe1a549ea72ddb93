/*
 * ELF symbols as the boot loader loaded them: checked once, then searched without a lock, since
 * panics need them.
 */
#include <crvm/hostvm.h>
#include <crvm/log.h>
#include <crvm/printf.h>
#include <crvm/status.h>
#include <crvm/string.h>
#include <crvm/symbols.h>

#define BACKTRACE_MAX 24

struct elf64_sym { /* ELF-64 Object File Format, "Symbol Table" */
	uint32_t name;
	uint8_t info, other;
	uint16_t shndx;
	uint64_t value, size;
};
_Static_assert(sizeof(struct elf64_sym) == 24, "ELF-64 symbol");

static const struct elf64_sym *symtab;
static size_t symtab_count;
static const char *strtab;
static size_t strtab_len;

extern const uint8_t image_text_start[], image_text_end[];

static const void *mapped(uint64_t addr, uint64_t len)
{
	if (!len || len > 16ul << 20 || addr + len < addr)
		return NULL;
	for (uint64_t a = align_down(addr, PAGE_SIZE); a < addr + len; a += PAGE_SIZE)
		if (a >= DIRECT_MAP_SIZE ||
		    hostmap_query(&host_map, DIRECT_MAP_BASE + a, NULL, NULL, NULL))
			return NULL;
	return phys_to_virt(hpa(addr));
}

void symbols_init(const struct boot_symbols *s)
{
	const void *syms = mapped(s->symtab, s->symtab_len);
	const char *strs = mapped(s->strtab, s->strtab_len);

	if (!syms || !strs || s->symtab & 7 || strs[s->strtab_len - 1]) {
		log_warn("no symbols from the boot loader (.symtab %lx, %lu bytes; .strtab %lx, "
			 "%lu bytes): "
			 "backtraces show addresses only",
			 s->symtab, s->symtab_len, s->strtab, s->strtab_len);
		return;
	}
	symtab = syms;
	symtab_count = s->symtab_len / sizeof(*symtab);
	strtab_len = s->strtab_len;
	strtab = strs;
}

char *symbols_format(char *buf, size_t size, uint64_t addr)
{
	const struct elf64_sym *best = NULL;

	if (addr >= (uint64_t)image_text_start && addr < (uint64_t)image_text_end)
		for (size_t i = 0; i < symtab_count; i++)
			if (symtab[i].value <= addr &&
			    symtab[i].value >= (uint64_t)image_text_start &&
			    symtab[i].name < strtab_len && (!best || symtab[i].value > best->value))
				best = &symtab[i];
	if (best)
		str_printf(buf, size, "%s+0x%lx", strtab + best->name, addr - best->value);
	else
		str_printf(buf, size, "%016lx", addr);
	return buf;
}

/* A frame pointer must lie in memory that is mapped: a wild one ends the trace, not the hypervisor.
 */
static const uint64_t *frame_at(uint64_t rbp)
{
	if (rbp & 7 || rbp < DIRECT_MAP_BASE || rbp > ~0ul - 16 ||
	    hostmap_query(&host_map, rbp, NULL, NULL, NULL) ||
	    hostmap_query(&host_map, rbp + 8, NULL, NULL, NULL))
		return NULL;
	return (const uint64_t *)rbp;
}

void symbols_backtrace(uint64_t rip, uint64_t rbp, void (*line)(const char *text))
{
	char sym[96], text[128];

	for (unsigned i = 0; i < BACKTRACE_MAX && rip; i++) {
		const uint64_t *frame = frame_at(rbp);

		str_printf(text, sizeof(text), "  #%-2u %016lx  %s", i, rip,
			   symbols_format(sym, sizeof(sym), i ? rip - 1 : rip));
		line(text);
		if (!frame || (frame[0] && frame[0] <= rbp))
			break;
		rip = frame[1];
		rbp = frame[0];
	}
}
