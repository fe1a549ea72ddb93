/*
 * Random operations that need not end well: page tables of any content, instructions of any bytes
 * in ring 0, any control registers. The VM may be stopped, spin for ever or pass; nobody else may
 * notice.
 */
#include "cpu.h"

static uint64_t state = SEED;
static uint64_t wild[4][512] __attribute__((aligned(4096)));

static uint64_t random(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state * 0x2545f4914f6cdd1d;
}

#define CODE 0x200000ul

/* Three levels of tables with mostly plausible entries. */
static void tables(void)
{
	for (unsigned level = 0; level < 4; level++) {
		for (unsigned i = 0; i < 512; i++) {
			uint64_t r = random();

			wild[level][i] = (r & 0xff) < 200 && level < 3
						 ? (uint64_t)wild[level + 1] | 7 | (r & 0x80)
						 : r & ((1ull << (r & 63)) - 1);
		}
	}
	boot_pml4[1] = (uint64_t)wild[0] | 7;
	write_cr3(read_cr3());
	for (unsigned i = 0; i < 64; i++) {
		uint64_t at = (1ul << 39) + (random() & 0x7fffffffff);

		TRY("movb (%0), %%al", OUT(), IN("r"(at)), "rax");
	}
}

static unsigned steps;

static bool step(struct trap_frame *f)
{
	if (f->vector != DB)
		return false;
	f->rflags |= RFLAGS_TF;
	return ++steps < 30;
}

static void code(void)
{
	for (unsigned i = 0; i < 64; i += 8)
		MEM64(CODE + i) = random();
	for (unsigned i = 0; i < 64; i++) /* some bytes after it (EVEX) end Bochs 2.7 itself */
		if (MEM8(CODE + i) == 0x62)
			MEM8(CODE + i) = 0x90;
	MEM64(CODE + 64) = 0x0b0f0b0f0b0f0b0f; /* UD2 */
	steps = 0;
	trap_hook = step;
	__asm__ volatile("push %%rbx\n\tpush %%rbp\n\tmov %%rsp, user_saved_sp\n\t"
			 "movq $1f, trap_resume\n\t"
			 "pushf\n\torq $0x100, (%%rsp)\n\tpopf\n\t"
			 "jmp *%0\n"
			 "1:\tmov user_saved_sp, %%rsp\n\tpop %%rbp\n\tpop %%rbx"
			 :
			 : "r"(CODE)
			 : "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12",
			   "r13", "r14", "r15", "memory", "cc");
	trap_hook = NULL;
}

static void registers(void)
{
	uint64_t r = random();

	switch (r & 3) {
	case 0:
		TRY("mov %0, %%cr4", OUT(), IN("r"(random())));
		break;
	case 1:
		TRY("mov %0, %%cr0", OUT(), IN("r"(random() & 0xffffffff)));
		break;
	case 2:
		try_wrmsr((uint32_t)(r >> 8 & 0x1fff), random());
		break;
	default:
		try_wrmsr(0xc0000080 + (r >> 8 & 0x7f), random() & 0xffffffff);
	}
}

static void (*const parts[])(void) = {tables, code, registers};
enum { TABLES, CODE_BYTES, REGISTERS };

void guest_main(void)
{
	print("seed %llx\n", (unsigned long long)state);
	for (unsigned i = 0; i < 100; i++)
		parts[WILD_PART]();
}
