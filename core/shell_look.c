/*
 * Shell commands that look into a VM that stands still: registers and memory. They change nothing
 * in it, not even the accessed bits of its page tables. They must not know how a vCPU is run.
 */
#include <crvm/cpu.h>
#include <crvm/gwalk.h>
#include <crvm/printf.h>
#include <crvm/status.h>
#include <crvm/string.h>
#include <crvm/time.h>

#include "log_priv.h"
#include "manage.h"
#include "shell_priv.h"

#define ROW	      16u
#define MEM_DEFAULT   128u
#define MEM_MAX	      4096u
#define FIND_MAX      64u /* bytes that are looked for */
#define FIND_MATCHES  32u
#define FIND_CHUNK    4096u
#define FIND_NS	      1000000000ul /* then it is asked again: VMs wait meanwhile */
#define STANDS_STILL  "paused, created or stopped: pause it first"
#define CANONICAL_LOW 47u

static void print_flags(uint64_t f)
{
	static const struct {
		uint32_t bit;
		const char *name;
	} flags[] = {{0, "CF"},	 {2, "PF"},  {4, "AF"},	 {6, "ZF"},  {7, "SF"},
		     {8, "TF"},	 {9, "IF"},  {10, "DF"}, {11, "OF"}, {14, "NT"},
		     {16, "RF"}, {17, "VM"}, {18, "AC"}, {21, "ID"}};
	char text[80] = "";
	size_t n = 0;

	for (size_t i = 0; i < array_count(flags); i++)
		if (f >> flags[i].bit & 1)
			n += (size_t)str_printf(text + n, sizeof(text) - n, " %s", flags[i].name);
	log_printf("  RFLAGS %016lx IOPL %lu%s\n", f, f >> 12 & 3, text);
}

static void print_segments(const struct manage_regs *r)
{
	static const char *const names[SEG_COUNT] = {"ES", "CS", "SS",	 "DS",
						     "FS", "GS", "LDTR", "TR"};

	for (unsigned i = 0; i < SEG_COUNT; i++) {
		const struct vcpu_segment *s = &r->segment[i];

		log_printf("  %-4s %04x base %016lx limit %08x attr %04x%s\n", names[i],
			   s->selector, s->base, s->limit, s->attr, s->unusable ? " unusable" : "");
	}
	log_printf("  GDTR      base %016lx limit %04lx\n", r->reg[REG_GDTR_BASE],
		   r->reg[REG_GDTR_LIMIT]);
	log_printf("  IDTR      base %016lx limit %04lx\n", r->reg[REG_IDTR_BASE],
		   r->reg[REG_IDTR_LIMIT]);
}

void shell_regs(char *arg)
{
	static const char *const names[] = {"RAX", "RCX", "RDX", "RBX", "RSP", "RBP", "RSI", "RDI",
					    "R8",  "R9",  "R10", "R11", "R12", "R13", "R14", "R15"};
	struct vm *vm = shell_vm("regs", &arg);
	static struct manage_regs r;
	int err;

	if (!vm || !shell_end("regs", arg))
		return;
	err = manage_get_regs(vm, &r);
	if (err) {
		shell_failed("regs", vm, err, STANDS_STILL);
		return;
	}
	for (unsigned i = 0; i < array_count(names); i += 4)
		log_printf("  %-3s %016lx  %-3s %016lx  %-3s %016lx  %-3s %016lx\n", names[i],
			   r.reg[i], names[i + 1], r.reg[i + 1], names[i + 2], r.reg[i + 2],
			   names[i + 3], r.reg[i + 3]);
	log_printf("  RIP %016lx%s%s\n", r.reg[REG_RIP], r.reg[REG_HALTED] ? "  in HLT" : "",
		   r.reg[REG_INT_SHADOW] ? "  interrupts held back for an instruction" : "");
	print_flags(r.reg[REG_RFLAGS]);
	log_printf("  CR0 %016lx  CR2 %016lx  CR3 %016lx  CR4 %016lx\n", r.reg[REG_CR0],
		   r.reg[REG_CR2], r.reg[REG_CR3], r.reg[REG_CR4]);
	log_printf("  CR8 %016lx  EFER %016lx  DR6 %016lx  DR7 %016lx\n", r.reg[REG_CR8],
		   r.reg[REG_EFER], r.reg[REG_DR6], r.reg[REG_DR7]);
	print_segments(&r);
}

/* Memory by guest-physical or by virtual addresses. */
struct view {
	struct vm *vm;
	bool walks; /* virtual, and paging is on */
	struct gwalk_state state;
	struct gmem mem; /* the VM's, read-only: looking leaves no trace */
};

static bool view_byte(const struct view *v, uint64_t address, uint8_t *byte)
{
	gpa_t at = gpa(address);
	uint32_t error;

	if (v->walks && gwalk_translate(&v->state, &v->mem, gva(address), GWALK_ANY, &at, &error))
		return false;
	return !manage_read(v->vm, at, byte, 1);
}

static int view_walk(struct view *v)
{
	static struct manage_regs r;
	int err = manage_get_regs(v->vm, &r);

	if (err)
		return err;
	v->walks = r.reg[REG_CR0] & CR0_PG;
	v->state = (struct gwalk_state){
		.cr0 = r.reg[REG_CR0],
		.cr3 = r.reg[REG_CR3],
		.cr4 = r.reg[REG_CR4],
		.efer = r.reg[REG_EFER],
		.rflags = r.reg[REG_RFLAGS],
		.pdpte = {r.reg[REG_PDPTE0], r.reg[REG_PDPTE1], r.reg[REG_PDPTE2],
			  r.reg[REG_PDPTE3]},
		.phys_bits = (uint8_t)cpuid_policy_phys_bits(&v->vm->cpuid),
	};
	v->mem = v->vm->mem;
	for (unsigned i = 0; i < v->mem.count; i++)
		v->mem.slot[i].readonly = true;
	return OK;
}

/* Whether the VM has such a virtual address at all. */
static bool view_has(const struct view *v, uint64_t address)
{
	const uint64_t top = address >> CANONICAL_LOW;

	if (!v->walks || !(v->state.efer & EFER_LMA))
		return address <= UINT32_MAX;
	return !top || top == UINT64_MAX >> CANONICAL_LOW;
}

static void print_row(const struct view *v, uint64_t address, unsigned n, const char *missing)
{
	char hex[3 * ROW + 1] = "", text[ROW + 1] = "";
	unsigned there = 0;
	uint8_t byte;

	for (unsigned i = 0; i < n; i++) {
		const bool ok = view_byte(v, address + i, &byte);

		there += ok;
		if (ok)
			str_printf(hex + (size_t)3 * i, 4, "%02x ", byte);
		else
			str_printf(hex + (size_t)3 * i, 4, "-- ");
		text[i] = !ok ? ' ' : byte >= ' ' && byte < 0x7f ? (char)byte : '.';
		text[i + 1] = '\0';
	}
	if (there)
		log_printf("  %012lx  %-48s |%s|\n", address, hex, text);
	else
		log_printf("  %012lx  %s\n", address, missing);
}

void shell_mem(char *arg)
{
	static struct view v;
	struct vm *vm = shell_vm("mem", &arg);
	const char *where = shell_word(&arg), *word = shell_word(&arg);
	const bool virtual = strncmp(where, "v:", 2) == 0;
	uint64_t address, count = MEM_DEFAULT;
	uint8_t byte;
	int err;

	if (!vm || !shell_end("mem", arg))
		return;
	if (!shell_hex(where + (virtual ? 2 : 0), &address)) {
		shell_wrong("mem",
			    "the address must be hexadecimal, with v: before a virtual one, "
			    "not '%.40s'",
			    where);
		return;
	}
	if (*word && !shell_number("mem", "how many bytes", word, 1, MEM_MAX, &count))
		return;
	v.vm = vm;
	v.walks = false;
	err = virtual ? view_walk(&v) : manage_read(vm, gpa(0), &byte, 1);
	if (err == E_BUSY) {
		shell_failed("mem", vm, err, STANDS_STILL);
		return;
	}
	if (virtual && (err || !view_has(&v, address) || !view_has(&v, address + count - 1))) {
		shell_wrong("mem", "VM %s has no virtual address %lx now", vm->name, address);
		return;
	}
	for (uint64_t i = 0; i < count; i += ROW)
		print_row(&v, address + i, count - i < ROW ? (unsigned)(count - i) : ROW,
			  v.walks ? "not mapped, or not to memory" : "not memory");
}

/* Searching. */

struct search {
	struct vm *vm;
	uint8_t what[FIND_MAX];
	size_t length;
	unsigned matches;
	uint64_t end;  /* of the time for it, TSC */
	uint64_t next; /* where to go on */
};

static void print_match(struct search *s, uint64_t address)
{
	const struct view v = {.vm = s->vm};

	s->matches++;
	print_row(&v, address, ROW, "");
}

#define EACH_BYTE 0x0101010101010101ul

/* The first place from `i` on where it may begin, before `end`; eight bytes at a time. */
static size_t next_start(const struct search *s, const uint8_t *bytes, size_t i, size_t end)
{
	const uint64_t first = s->what[0] * EACH_BYTE;
	uint64_t x;

	for (; i + sizeof(x) <= end; i += sizeof(x)) {
		memcpy(&x, bytes + i, sizeof(x));
		x ^= first;
		if ((x - EACH_BYTE) & ~x & EACH_BYTE << 7) /* one of them is zero */
			break;
	}
	while (i < end && bytes[i] != s->what[0])
		i++;
	return i;
}

/* Those that begin in the first `n` bytes, of `length`. False: enough for now. */
static bool search_bytes(struct search *s, uint64_t address, const uint8_t *bytes, size_t n,
			 size_t length)
{
	const size_t end = length < s->length		? 0
			   : length - s->length + 1 < n ? length - s->length + 1
							: n;

	for (size_t i = 0; (i = next_start(s, bytes, i, end)) < end; i++) {
		if (memcmp(bytes + i, s->what, s->length) != 0)
			continue;
		if (s->matches == FIND_MATCHES) {
			s->next = address + i;
			return false;
		}
		print_match(s, address + i);
	}
	s->next = address + n;
	return (int64_t)(rdtsc() - s->end) < 0;
}

/* A slot's bytes, and as many of those behind it as a match that begins in it may need. */
static bool search_slot(struct search *s, const struct gmem_slot *slot, uint64_t from)
{
	static uint8_t buf[FIND_CHUNK + FIND_MAX];
	const uint64_t end = slot->gpa + slot->len;

	for (uint64_t at = from > slot->gpa ? from : slot->gpa; at < end; at += FIND_CHUNK) {
		const uint64_t own = end - at < FIND_CHUNK ? end - at : FIND_CHUNK;
		uint64_t n = own + s->length - 1;

		if (manage_read(s->vm, gpa(at), buf, n)) {
			n = end - at < n ? end - at : n;
			if (manage_read(s->vm, gpa(at), buf, n))
				return true; /* cannot be: it is a slot */
		}
		if (!search_bytes(s, at, buf, own, n))
			return false;
	}
	return true;
}

/* Pairs of hexadecimal digits, with blanks between them or without. */
static bool parse_bytes(const char *text, struct search *s)
{
	char pair[3] = "";
	uint64_t byte;

	for (s->length = 0; *text; text += 2) {
		while (*text == ' ')
			text++;
		if (s->length == FIND_MAX || !text[0] || !text[1])
			return false;
		memcpy(pair, text, 2);
		if (pair[1] == 'x' || pair[1] == 'X' || !shell_hex(pair, &byte))
			return false;
		s->what[s->length++] = (uint8_t)byte;
	}
	return s->length;
}

static bool parse_text(const char *text, struct search *s)
{
	size_t n = strlen(text);

	if (n >= 2 && text[0] == '"' && text[n - 1] == '"') {
		text++;
		n -= 2;
	}
	if (!n || n > FIND_MAX)
		return false;
	memcpy(s->what, text, n);
	s->length = n;
	return true;
}

static void search_all(struct search *s, uint64_t from, const char *what)
{
	const struct gmem *m = &s->vm->mem;

	s->end = rdtsc() + time_ns_to_tsc(FIND_NS);
	for (unsigned i = 0; i < m->count; i++) {
		if (m->slot[i].gpa + m->slot[i].len <= from || search_slot(s, &m->slot[i], from))
			continue;
		log_printf("  %u found so far, up to %lx; go on with: find %s from:%lx %s\n",
			   s->matches, s->next, s->vm->name, s->next, what);
		return;
	}
	log_printf("  %u found\n", s->matches);
}

void shell_find(char *arg)
{
	static struct search s;
	struct vm *vm = shell_vm("find", &arg);
	uint64_t from = 0;
	uint8_t byte;
	int err;

	if (!vm)
		return;
	if (strncmp(arg, "from:", 5) == 0 && !shell_hex(shell_word(&arg) + 5, &from)) {
		shell_wrong("find", "behind from: comes a hexadecimal address");
		return;
	}
	s = (struct search){.vm = vm};
	if (strncmp(arg, "hex:", 4) == 0 ? !parse_bytes(arg + 4, &s) : !parse_text(arg, &s)) {
		shell_wrong("find",
			    "what? text, or hex: and pairs of hexadecimal digits; 1 to %u bytes, "
			    "not '%.40s'",
			    FIND_MAX, arg);
		return;
	}
	err = manage_read(vm, gpa(0), &byte, 1);
	if (err == E_BUSY)
		shell_failed("find", vm, err, STANDS_STILL);
	else
		search_all(&s, from, arg);
}
