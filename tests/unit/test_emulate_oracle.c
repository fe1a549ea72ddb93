/*
 * The emulator against the CPU that this test runs on: thousands of random instructions of the
 * kinds that core/decode.c knows are executed as they are, and emulated with their memory in a
 * device, in RAM, or across the border of the two. All registers, the memory and all defined flags
 * must come out the same.
 *
 * needs: core/gwalk.c core/decode.c core/emu_mem.c core/emu_alu.c
 * needs: core/emulate.c core/emu_string.c core/emu_fetch.c core/io_bus.c mm/gmem.c
 * needs: tests/fake/spinlock.c tests/fake/panic.c
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <sys/mman.h>

#include "emu_machine.h"
#include "ram.h"

/* The same linear addresses for the CPU and for the emulator: code, RAM, device, device, RAM. */
#define AREA	  0x20000000ul
#define DATA	  (AREA + PAGE_SIZE)
#define DATA_SIZE (4 * PAGE_SIZE)
#define AREA_SIZE (PAGE_SIZE + DATA_SIZE)
#define ROUNDS	  40000u
#define STUB_SIZE 14u
#define STATUS	  0x8d5ul
#define CF	  0x001ul
#define AF	  0x010ul
#define ZF	  0x040ul
#define DF	  0x400ul

/* Loaded before and stored after the instruction. */
uint64_t oracle_gpr[16], oracle_flags, oracle_host_rsp, oracle_target;
void oracle_enter(void);
extern char oracle_exit[];

#define MOV_IN(n, r)  " mov oracle_gpr+8*" #n "(%rip), %" #r "\n"
#define MOV_OUT(n, r) " mov %" #r ", oracle_gpr+8*" #n "(%rip)\n"

__asm__(".text\n"
	"oracle_enter:\n"
	" push %rbx\n push %rbp\n push %r12\n push %r13\n push %r14\n push %r15\n pushfq\n"
	" mov %rsp, oracle_host_rsp(%rip)\n"
	" lea oracle_flags(%rip), %rsp\n popfq\n" MOV_IN(0, rax) MOV_IN(1, rcx) MOV_IN(
		2, rdx) MOV_IN(3, rbx) MOV_IN(5, rbp) MOV_IN(6, rsi) MOV_IN(7, rdi) MOV_IN(8, r8)
		MOV_IN(9, r9) MOV_IN(10, r10) MOV_IN(11, r11) MOV_IN(12, r12) MOV_IN(
			13, r13) MOV_IN(14, r14) MOV_IN(15, r15)
			MOV_IN(4,
			       rsp) " jmp *oracle_target(%rip)\n"
				    "oracle_exit:\n" MOV_OUT(0, rax) MOV_OUT(1, rcx) MOV_OUT(2, rdx)
					    MOV_OUT(3, rbx) MOV_OUT(4, rsp) MOV_OUT(5, rbp) MOV_OUT(
						    6, rsi) MOV_OUT(7, rdi)
						    MOV_OUT(8, r8) MOV_OUT(9, r9) MOV_OUT(
							    10,
							    r10) MOV_OUT(11,
									 r11) MOV_OUT(12, r12)
							    MOV_OUT(13,
								    r13) MOV_OUT(14, r14)
								    MOV_OUT(15,
									    r15) " lea "
										 "oracle_flags+8(%"
										 "rip), %rsp\n "
										 "pushfq\n"
										 " mov "
										 "oracle_host_rsp(%"
										 "rip), %rsp\n "
										 "popfq\n"
										 " pop %r15\n pop "
										 "%r14\n pop "
										 "%r13\n pop "
										 "%r12\n pop "
										 "%rbp\n pop "
										 "%rbx\n ret\n");

static uint64_t seed;

static uint64_t rnd(uint64_t below)
{
	return (fake_random(&seed) >> 16) % below;
}

static bool one_in(unsigned n)
{
	return rnd(n) == 0;
}

static uint64_t value(void)
{
	static const uint64_t edge[] = {0,
					1,
					0x7f,
					0x80,
					0xff,
					0x7fff,
					0x8000,
					0xffff,
					0x7fffffff,
					0x80000000,
					0xffffffff,
					0x7fffffffffffffff,
					0x8000000000000000,
					~0ul};

	return one_in(2) ? fake_random(&seed) : edge[rnd(array_count(edge))];
}

enum kind { ALU, LOGIC, TEST, PLAIN, BIT, BIT_IMM, CMPXCHG, STRING, COMPARE, STACK };

/* One opcode. `digit`: ModRM.reg, or -1 for a register; `imm`: bytes, 9 for "of operand size". */
struct shape {
	uint8_t escape, opcode;
	int8_t digit;
	uint8_t kind, imm;
	bool byte, lock, modrm;
};

static struct shape shapes[256];
static unsigned shape_count;

static void shape(unsigned escape, unsigned opcode, int digit, unsigned kind, unsigned imm,
		  bool lock)
{
	bool byte = !(opcode & 1) && !(escape && (opcode & 0xfe) != 0xc0 && opcode != 0xb0);

	if (opcode == 0xba)
		byte = false;
	shapes[shape_count++] = (struct shape){(uint8_t)escape,
					       (uint8_t)opcode,
					       (int8_t)digit,
					       (uint8_t)kind,
					       (uint8_t)imm,
					       byte,
					       lock,
					       kind != STRING && kind != COMPARE};
}

static void shapes_make(void)
{
	static const uint8_t exchange[] = {0x86, 0x87},
			     strings[] = {0xa4, 0xa5, 0xaa, 0xab, 0xac, 0xad},
			     moves[] = {0x88, 0x89, 0x8a, 0x8b, 0x63},
			     extend[] = {0xb6, 0xb7, 0xbe, 0xbf}, bits[] = {0xa3, 0xab, 0xb3, 0xbb};

	for (unsigned op = 0; op < 8; op++) {
		unsigned kind = op == 1 || op == 4 || op == 6 ? LOGIC : ALU;

		for (unsigned i = 0; i < 4; i++)
			shape(0, op * 8 + i, -1, kind, 0, i < 2 && op != 7);
		shape(0, 0x80, (int)op, kind, 1, op != 7);
		shape(0, 0x81, (int)op, kind, 9, op != 7);
		shape(0, 0x83, (int)op, kind, 1, op != 7);
	}
	for (unsigned i = 0; i < 2; i++) {
		shape(0, 0x84 + i, -1, LOGIC, 0, false);
		shape(0, 0xf6 + i, 0, LOGIC, i ? 9 : 1, false);
		shape(0, 0xf6 + i, 2, PLAIN, 0, true);
		shape(0, 0xf6 + i, 3, ALU, 0, true);
		shape(0, 0xfe + i, 0, ALU, 0, true);
		shape(0, 0xfe + i, 1, ALU, 0, true);
		shape(0, 0xc6 + i, 0, PLAIN, i ? 9 : 1, false);
		shape(0x0f, 0xc0 + i, -1, ALU, 0, true);
		shape(0x0f, 0xb0 + i, -1, CMPXCHG, 0, true);
		shape(0, exchange[i], -1, PLAIN, 0, true);
		shape(0, 0xa6 + i, -1, COMPARE, 0, false);
		shape(0, 0xae + i, -1, COMPARE, 0, false);
	}
	for (unsigned i = 0; i < array_count(moves); i++)
		shape(0, moves[i], -1, PLAIN, 0, false);
	for (unsigned i = 0; i < array_count(extend); i++)
		shape(0x0f, extend[i], -1, PLAIN, 0, false);
	for (unsigned i = 0; i < array_count(strings); i++)
		shape(0, strings[i], -1, STRING, 0, false);
	for (unsigned i = 0; i < array_count(bits); i++) {
		shape(0x0f, bits[i], -1, BIT, 0, i > 0);
		shape(0x0f, 0xba, 4 + (int)i, BIT_IMM, 1, i > 0);
	}
	shape(0x0f, 0xc3, -1, PLAIN, 0, false);
	shape(0, 0xff, 6, STACK, 0, false);
	shape(0, 0x8f, 0, STACK, 0, false);
}

/* One random instruction and the registers for it. */
struct sample {
	const struct shape *shape;
	uint8_t byte[16];
	unsigned len;
	uint64_t at, flags, gpr[16], target;
	unsigned size, rip_disp; /* where the displacement lies that counts from the end; 0: none */
	bool addr32, is_register;
	uint8_t rex;
};

static void put(struct sample *s, uint64_t v, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		s->byte[s->len++] = (uint8_t)(v >> 8 * i);
}

static void prefixes_make(struct sample *s)
{
	static const uint8_t ignored[] = {0x26, 0x2e, 0x36, 0x3e};
	const struct shape *h = s->shape;
	bool opsize = one_in(4) && h->opcode != 0xc3;

	s->is_register = h->modrm && one_in(12) && h->opcode != 0xc3 && h->kind != STACK &&
			 h->kind != CMPXCHG; /* CPUs differ in what it does to upper halves */
	s->rex = one_in(2) ? (uint8_t)(0x40 | rnd(16)) : 0;
	s->addr32 = one_in(6);
	if (h->kind == STACK)
		s->addr32 = false;
	if (opsize)
		put(s, 0x66, 1);
	if (one_in(16))
		put(s, ignored[rnd(4)], 1);
	if (s->addr32)
		put(s, 0x67, 1);
	if (h->lock && !s->is_register && one_in(6))
		put(s, 0xf0, 1);
	if (!h->modrm && !one_in(4))
		put(s, one_in(2) ? 0xf2 : 0xf3, 1);
	if (s->rex)
		put(s, s->rex, 1);
	s->size = h->byte ? 1 : s->rex & 8 ? 8 : opsize ? 2 : 4;
	if (h->escape)
		put(s, h->escape, 1);
	put(s, h->opcode, 1);
}

/* Makes the registers of a memory operand so that they point to s->target. */
static void address_make(struct sample *s, unsigned reg)
{
	unsigned base = (unsigned)rnd(16), index = (unsigned)rnd(16), scale = (unsigned)rnd(4);
	unsigned mod = (unsigned)rnd(3);
	int64_t disp = mod == 0 ? 0 : mod == 1 ? (int8_t)value() : (int32_t)value();
	uint64_t garbage = s->addr32 ? fake_random(&seed) << 32 : 0;
	bool sib = one_in(2);

	if (!s->rex)
		base &= 7, index &= 7;
	/* A bit number, the stack's and a string's registers are not free to be an address. */
	if (s->shape->kind == BIT && (base == reg || index == reg))
		base = reg == 3 ? 1 : 3, index = 4;
	if (s->shape->kind == STACK && (base == 4 || index == base))
		base = 3, index = 4;
	if (one_in(8)) { /* RIP-relative, or absolute */
		bool absolute = one_in(2);

		put(s, (reg & 7) << 3 | (absolute ? 4 : 5), 1);
		if (absolute)
			put(s, 0x25, 1);
		s->rex &= (uint8_t)~2u; /* no index */
		s->rip_disp = absolute ? 0 : s->len;
		put(s, s->target, 4);
		return;
	}
	if (mod == 0 && (base & 7) == 5)
		mod = 1, disp = (int8_t)value();
	sib |= (base & 7) == 4;
	if (!sib || index == base)
		index = 4;
	if (index == 4)
		scale = 0;
	if (s->rex)
		s->rex = (uint8_t)((s->rex & ~3u) | base >> 3 | (sib ? index >> 2 & 2 : 0));
	put(s, mod << 6 | (reg & 7) << 3 | (sib ? 4 : base & 7), 1);
	if (sib)
		put(s, scale << 6 | (index & 7) << 3 | (base & 7), 1);
	put(s, (uint64_t)disp, mod == 2 ? 4 : mod);
	s->gpr[base] = s->target - (uint64_t)disp;
	if (index != 4)
		s->gpr[base] -= s->gpr[index] << scale;
	if (s->addr32)
		s->gpr[base] = (s->gpr[base] & 0xffffffff) | garbage;
}

static void operands_make(struct sample *s)
{
	const struct shape *h = s->shape;
	unsigned reg = h->digit >= 0 ? (unsigned)h->digit : (unsigned)rnd(s->rex ? 16 : 8);
	unsigned rex_at = s->len - 2 - (h->escape ? 1 : 0), imm = h->imm;

	if (h->digit < 0 && s->rex)
		s->rex = (uint8_t)((s->rex & ~4u) | (reg >> 1 & 4));
	if (h->kind == BIT) /* with its sign, at most 200 bytes away */
		s->gpr[reg] = (s->gpr[reg] & ~(s->size == 2   ? 0xfffful
					       : s->size == 4 ? 0xfffffffful
							      : ~0ul)) |
			      ((rnd(3200) - 1600) & (s->size == 2   ? 0xfffful
						     : s->size == 4 ? 0xfffffffful
								    : ~0ul));
	if (s->is_register) {
		unsigned rm = (unsigned)rnd(s->rex ? 16 : 8);

		if (s->rex)
			s->rex = (uint8_t)((s->rex & ~3u) | rm >> 3);
		put(s, 0xc0 | (reg & 7) << 3 | (rm & 7), 1);
	} else {
		address_make(s, reg);
	}
	if (s->rex)
		s->byte[rex_at] = s->rex;
	if (imm == 9)
		imm = s->size == 8 ? 4 : s->size;
	put(s, value(), imm);
}

static void string_make(struct sample *s)
{
	uint64_t up = s->addr32 ? fake_random(&seed) << 32 : 0;

	s->gpr[REG_RSI] = (DATA + 1024 + rnd(DATA_SIZE - 2048)) | up;
	s->gpr[REG_RDI] = s->target | up;
	/* With a count of 0 and 32-bit addresses, CPUs differ in what they do to upper halves. */
	s->gpr[REG_RCX] = s->addr32 ? (rnd(40) + 1) | up : rnd(40);
	if (one_in(3)) /* let comparisons go on for a while */
		memset((uint8_t *)DATA, (int)s->gpr[REG_RAX], DATA_SIZE);
	if (one_in(2))
		s->gpr[REG_RAX] = (uint8_t)s->gpr[REG_RAX] * 0x0101010101010101ul;
}

static void sample_make(struct sample *s)
{
	static const uint64_t near_edge[] = {PAGE_SIZE, 2 * PAGE_SIZE, 3 * PAGE_SIZE};

	memset(s, 0, sizeof(*s));
	s->shape = &shapes[rnd(shape_count)];
	for (unsigned i = 0; i < 16; i++)
		s->gpr[i] = value();
	s->flags = 2 | (fake_random(&seed) & (STATUS | DF));
	s->target =
		DATA + (one_in(4) ? near_edge[rnd(3)] - 1 - rnd(8) : 512 + rnd(DATA_SIZE - 1024));
	if (!s->shape->modrm)
		s->target = DATA + 512 + rnd(DATA_SIZE - 1024);
	if (s->shape->kind == STACK)
		s->gpr[REG_RSP] = DATA + 512 + rnd(DATA_SIZE - 1024);
	/* Some of the code lies across a page's end. */
	s->at = AREA + (one_in(4) ? PAGE_SIZE - 1 - rnd(14) : rnd(PAGE_SIZE - 64));
	prefixes_make(s);
	if (s->shape->modrm)
		operands_make(s);
	else
		string_make(s);
	if (s->rip_disp) {
		uint32_t disp = (uint32_t)(s->target - (s->at + s->len));

		memcpy(s->byte + s->rip_disp, &disp, 4);
	}
	if (s->shape->kind == CMPXCHG && one_in(2) && !s->is_register)
		memcpy((uint8_t *)s->target, &s->gpr[REG_RAX], 8);
}

static void native_run(const struct sample *s)
{
	memcpy(oracle_gpr, s->gpr, sizeof(oracle_gpr));
	oracle_flags = s->flags | 0x200;
	oracle_target = s->at;
	oracle_enter();
}

static uint8_t *page_of(unsigned n)
{
	switch (n) {
	case 2:
	case 3:
		return em.buffer + (n - 2) * PAGE_SIZE;
	default:
		return em_high + n * PAGE_SIZE;
	}
}

static enum emu_kind emulated_run(const struct sample *s)
{
	memcpy(em.v.gpr, s->gpr, sizeof(em.v.gpr));
	em.reg[REG_RSP] = s->gpr[REG_RSP];
	em.v.gpr[REG_RSP] = 0x5151515151515151; /* not where it is kept */
	em.reg[REG_RFLAGS] = s->flags;
	em.reg[REG_RIP] = s->at;
	em.v.exit = (struct vcpu_exit){.kind = EXIT_NESTED_FAULT};
	if (one_in(2) && s->target >= DATA + PAGE_SIZE && s->target < DATA + 3 * PAGE_SIZE) {
		em.v.exit.fault.linear = s->target;
		em.v.exit.fault.linear_valid = true;
		em.v.exit.fault.gpa = EM_MMIO + (s->target - DATA - PAGE_SIZE);
		em.v.exit.fault.access = FAULT_READ | FAULT_WRITE;
	}
	return emulate_insn(&em.env, &em.result);
}

/* What the manual defines. */
static uint64_t defined_flags(const struct sample *s)
{
	switch (s->shape->kind) {
	case LOGIC:
		return ~AF;
	case BIT:
	case BIT_IMM:
		return ~STATUS | CF | ZF;
	default:
		return ~0ul;
	}
}

static void complain(const struct sample *s, const char *what, uint64_t cpu, uint64_t emulator)
{
	print_error("bytes:");
	for (unsigned i = 0; i < s->len; i++)
		print_error(" %02x", s->byte[i]);
	print_error("\ntarget %#lx flags %#lx\n", s->target, s->flags);
	for (unsigned i = 0; i < 16; i++)
		print_error("r%u: %#lx\n", i, s->gpr[i]);
	fail_msg("%s: the CPU has %#lx, the emulator %#lx", what, cpu, emulator);
}

static void compare(const struct sample *s)
{
	uint64_t flags = (oracle_flags ^ em.reg[REG_RFLAGS]) & defined_flags(s) & (STATUS | DF);
	char name[32];

	em.v.gpr[REG_RSP] = em.reg[REG_RSP];
	for (unsigned i = 0; i < 16; i++) {
		if (oracle_gpr[i] == em.v.gpr[i])
			continue;
		snprintf(name, sizeof(name), "register %u", i);
		complain(s, name, oracle_gpr[i], em.v.gpr[i]);
	}
	if (flags)
		complain(s, "flags", oracle_flags, em.reg[REG_RFLAGS]);
	for (unsigned n = 0; n < AREA_SIZE / PAGE_SIZE; n++) {
		const uint8_t *cpu = (const uint8_t *)(AREA + n * PAGE_SIZE), *p = page_of(n);

		for (unsigned i = 0; memcmp(cpu, p, PAGE_SIZE) && i < PAGE_SIZE; i++)
			if (cpu[i] != p[i])
				complain(s, "memory", cpu[i], p[i]);
	}
}

static void one_round(void)
{
	static const uint8_t stub[6] = {0xff, 0x25};
	uint64_t back = (uint64_t)oracle_exit;
	struct sample s;
	enum emu_kind kind;

	for (unsigned i = 0; i < 8; i++) {
		uint64_t v = value();

		memcpy((uint8_t *)DATA + rnd(DATA_SIZE - 8), &v, 8);
	}
	do
		sample_make(&s);
	while (s.len > INSN_LEN_MAX); /* all prefixes and all operands: #GP */
	memcpy((uint8_t *)s.at, s.byte, s.len);
	memcpy((uint8_t *)s.at + s.len, stub, sizeof(stub));
	memcpy((uint8_t *)s.at + s.len + sizeof(stub), &back, sizeof(back));
	for (unsigned n = 0; n < AREA_SIZE / PAGE_SIZE; n++)
		memcpy(page_of(n), (const uint8_t *)(AREA + n * PAGE_SIZE), PAGE_SIZE);
	kind = emulated_run(&s);
	if (kind != EMU_DONE)
		complain(&s, "kind of result", EMU_DONE, kind);
	if (em.v.exit.insn_len != s.len)
		complain(&s, "length", s.len, em.v.exit.insn_len);
	native_run(&s);
	compare(&s);
}

static void emulator_does_what_the_cpu_does(void **state)
{
	uint8_t *area = mmap((void *)AREA, AREA_SIZE, PROT_READ | PROT_WRITE | PROT_EXEC,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	(void)state;
	assert_ptr_equal(area, (uint8_t *)AREA);
	em_reset();
	em_mode_64();
	for (unsigned n = 0; n < AREA_SIZE / PAGE_SIZE; n++)
		em_map(AREA + n * PAGE_SIZE,
		       n == 2 || n == 3 ? EM_MMIO + (n - 2) * PAGE_SIZE : EM_HIGH + n * PAGE_SIZE,
		       3);
	shapes_make();
	seed = 20240229;
	for (unsigned i = 0; i < DATA_SIZE / 8; i++)
		((uint64_t *)DATA)[i] = fake_random(&seed);
	for (unsigned i = 0; i < ROUNDS; i++)
		one_round();
	assert_true(em.log_count > ROUNDS / 4); /* the device was in it */
	munmap(area, AREA_SIZE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(emulator_does_what_the_cpu_does)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
