/*
 * Exceptions of test guests: descriptor tables, recording, recovery, ring 3.
 */
#include "cpu.h"

volatile struct trap trap = {.vector = NO_TRAP};
bool (*volatile trap_hook)(struct trap_frame *f);
volatile unsigned long trap_resume, trap_insn;

extern const uint8_t trap_stubs[];
#define VECTORS 0x50u

static bool from_user(const struct trap_frame *f)
{
#if GUEST_BITS == 16
	(void)f;
	return false;
#else
	return (f->cs & 3) == 3 || (f->rflags & RFLAGS_VM);
#endif
}

/* The last ones, for the message of one that nobody expects. */
static struct {
	unsigned vector;
	unsigned long rip;
} history[8];

void trap_handle(struct trap_frame *f);
void trap_handle(struct trap_frame *f)
{
	trap.vector = (unsigned)f->vector;
	history[trap.count % 8].vector = trap.vector;
	history[trap.count % 8].rip = f->rip;
	trap.count++;
#if GUEST_BITS != 16
	trap.error = f->error;
#endif
	trap.rip = f->rip;
	trap.cs = f->cs;
	trap.rflags = f->rflags;
	trap.cr2 = read_cr2();
	if (trap_hook && trap_hook(f))
		return;
#if GUEST_BITS != 16
	if (from_user(f))
		user_leave((unsigned)f->vector);
#endif
	if (!trap_resume) {
		for (unsigned i = trap.count > 6 ? trap.count - 6 : 0; i < trap.count; i++)
			print("  before: exception %u at %lx\n", history[i % 8].vector,
			      history[i % 8].rip);
		print("FAIL %s: unexpected exception %u, error %lx, CS:RIP %lx:%lx, CR2 %lx\n",
		      GUEST_NAME, trap.vector, trap.error, trap.cs, trap.rip, trap.cr2);
		guest_exit(2);
	}
	(void)from_user;
	f->rip = (__typeof__(f->rip))trap_resume;
	f->rflags &= (__typeof__(f->rflags))~(RFLAGS_TF | RFLAGS_IF);
	trap_resume = 0;
}

#if GUEST_BITS == 16

void trap_init(void)
{
	volatile uint16_t *ivt = (volatile uint16_t *)0;

	__asm__ volatile("" : "+r"(ivt)); /* address 0 is no mistake */
	for (unsigned i = 0; i < VECTORS; i++) {
		ivt[2 * i] = (uint16_t)(uintptr_t)(trap_stubs + 16 * i);
		ivt[2 * i + 1] = 0;
	}
}

#else

#if GUEST_BITS == 64
struct gate {
	uint16_t low, selector;
	uint8_t ist, type;
	uint16_t mid;
	uint32_t high, zero;
};
#define SEL_CODE 0x08
#else
struct gate {
	uint16_t low, selector;
	uint8_t ist, type;
	uint16_t mid;
};
#define SEL_CODE 0x18
#endif

static struct gate idt[VECTORS];
static struct {
	uint32_t words[26];
	uint8_t io[8193];
} tss __attribute__((aligned(16)));

static uint8_t trap_stack[4096] __attribute__((aligned(16)));
static uint8_t user_stack[4096] __attribute__((aligned(16)));

void idt_set(unsigned vector, unsigned long handler, unsigned type_dpl)
{
	idt[vector] = (struct gate)
	{
		.low = (uint16_t)handler, .selector = SEL_CODE, .type = (uint8_t)type_dpl,
		.mid = (uint16_t)(handler >> 16),
#if GUEST_BITS == 64
		.high = (uint32_t)(handler >> 32),
#endif
	};
}

static void tss_init(void)
{
	unsigned long base = (unsigned long)&tss,
		      top = (unsigned long)(trap_stack + sizeof(trap_stack));
	uint64_t *d = (uint64_t *)gdt + 9;
	uint16_t selector = 0x48;

	tss.words[1] = (uint32_t)top; /* ESP0 or RSP0 */
	if (GUEST_BITS == 32)
		tss.words[2] = 0x10;
	tss.words[25] = 104u << 16; /* where the I/O bitmap is */
	for (unsigned i = 0; i < sizeof(tss.io); i++)
		tss.io[i] = 0xff;
	d[0] = (sizeof(tss) - 1) | (uint64_t)(base & 0xffffff) << 16 | 0x89ull << 40 |
	       (uint64_t)(base >> 24) << 56;
	d[1] = 0;
	__asm__ volatile("ltr %0" : : "r"(selector));
	selector = 0; /* after reset there is a table of 64 KiB at 0 */
	__asm__ volatile("lldt %0" : : "r"(selector));
}

void trap_init(void)
{
	struct __attribute__((packed)) {
		uint16_t limit;
		unsigned long base;
	} idtr = {sizeof(idt) - 1, (unsigned long)idt};

	for (unsigned i = 0; i < VECTORS; i++)
		idt_set(i, (unsigned long)(trap_stubs + 16 * i),
			i == BP || i == OF || i >= USER_DONE ? 0xee : 0x8e);
	tss_init();
	__asm__ volatile("lidt %0" : : "m"(idtr));
}

void port_allow(uint16_t port)
{
	tss.io[port / 8] &= (uint8_t) ~(1u << port % 8);
}

unsigned user_call(void (*fn)(void), unsigned long rflags)
{
	trap.vector = NO_TRAP;
	return user_enter((unsigned long)fn, (unsigned long)(user_stack + sizeof(user_stack) - 8),
			  rflags | 2);
}

#endif
