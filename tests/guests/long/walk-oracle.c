/*
 * The CPU as oracle for paging: with random entries on each level, OUTS and INS, which CRVM carries
 * out, must give the same page fault, error code and CR2 as MOV, and set the same accessed and
 * dirty flags.
 */
#include "cpu.h"

#define ROUNDS 4000u
#define HIGH   0x8000000000ul /* entry 1 of the top table */
#define NXE    0x800u
#define AC     0x40000ul

static uint64_t pdpt[512] __attribute__((aligned(4096)));
static uint64_t pd[512] __attribute__((aligned(4096)));
static uint64_t table[512] __attribute__((aligned(4096)));

static uint64_t state = 0x9e3779b97f4a7c15;

static uint64_t random(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state * 0x2545f4914f6cdd1d;
}

/* Flags of an entry: mostly present and writable; now and then a bit that may be reserved. */
static uint64_t flags(void)
{
	uint64_t r = random(), f = 0;

	f |= (r & 31) != 0;
	f |= (r >> 5 & 3 ? 2u : 0) | (r >> 8 & 1 ? 4u : 0) | (r >> 9 & 0x18);
	f |= r >> 16 & 0x60;
	f |= r >> 24 & 0xe00;
	if (!(r >> 32 & 31))
		f |= 1ull << 63;
	if (!(r >> 40 & 31))
		f |= 1ull << ((r >> 48 & 15) | 48);
	return f;
}

struct outcome {
	uint64_t vector, error, cr2, entry[4];
};

static uint64_t entries[4];
static unsigned faults, reserved;

static void install(void)
{
	boot_pml4[1] = entries[0];
	pdpt[0] = entries[1];
	pd[0] = entries[2];
	table[0] = entries[3];
	write_cr3(read_cr3());
}

static void note(struct outcome *o, unsigned vector)
{
	o->vector = vector;
	o->error = vector == NO_TRAP ? 0 : trap.error;
	o->cr2 = vector == PF ? trap.cr2 : 0;
	o->entry[0] = boot_pml4[1];
	o->entry[1] = pdpt[0];
	o->entry[2] = pd[0];
	o->entry[3] = table[0];
}

static void compare(const char *what, const struct outcome *got, const struct outcome *want)
{
	bool same =
		got->vector == want->vector && got->error == want->error && got->cr2 == want->cr2;

	for (unsigned i = 0; i < 4; i++)
		same = same && got->entry[i] == want->entry[i];
	faults += want->vector == PF;
	reserved += want->error >> 3 & 1;
	if (same)
		return;
	for (unsigned i = 0; i < 4; i++)
		print("%u: %llx: %llx, not %llx\n", i, (unsigned long long)entries[i],
		      (unsigned long long)got->entry[i], (unsigned long long)want->entry[i]);
	print("CR0 %lx CR4 %lx, CR2 %llx, not %llx\n", read_cr0(), read_cr4(),
	      (unsigned long long)got->cr2, (unsigned long long)want->cr2);
	check_failed(what, "walk-oracle.c", 0, got->vector << 16 | got->error,
		     want->vector << 16 | want->error);
}

static void set_ac(bool on)
{
	unsigned long f = (read_flags() & ~AC) | (on ? AC : 0);

	__asm__ volatile("push %0\n\tpopf" : : "r"(f) : "cc");
}

static void one_round(uint64_t at, bool ac)
{
	struct outcome want, got;
	uint64_t moving;
	unsigned v;

	install();
	set_ac(ac);
	v = TRY("movb (%0), %%al", OUT(), IN("r"(at)), "rax");
	note(&want, v);
	install();
	moving = at;
	v = TRY("outsb", OUT("+S"(moving)), IN("d"(TESTDEV_PORT_STREAM)));
	note(&got, v);
	compare("OUTSB", &got, &want);
	install();
	v = TRY("movb $0, (%0)", OUT(), IN("r"(at)));
	note(&want, v);
	install();
	moving = at;
	v = TRY("insb", OUT("+D"(moving)), IN("d"(TESTDEV_PORT_STREAM)));
	note(&got, v);
	compare("INSB", &got, &want);
	set_ac(false);
}

void guest_main(void)
{
	uint64_t smap = cpuid(7, 0).ebx >> 20 & 1;

	for (unsigned i = 0; i < 2048; i++)
		boot_pd[i] &= ~4ull; /* so that SMAP leaves this code alone */
	write_cr3(read_cr3());
	for (unsigned i = 0; i < ROUNDS; i++) {
		uint64_t r = random();

		wrmsr(MSR_EFER, (rdmsr(MSR_EFER) & ~(uint64_t)NXE) | (r & 1 ? NXE : 0));
		write_cr0((read_cr0() & ~(unsigned long)CR0_WP) | (r & 2 ? CR0_WP : 0));
		write_cr4((read_cr4() & ~0x200000ul) | (smap && r & 4 ? 0x200000 : 0));
		entries[0] = (uint64_t)pdpt | flags();
		entries[1] = (uint64_t)pd | flags();
		entries[2] = (uint64_t)table | flags();
		entries[3] = 0x100000 | flags();
		if ((r >> 8 & 15) == 0) /* a page of 2 MiB, perhaps with a bad address */
			entries[2] = 0x80 | 0x200000 | (r >> 16 & 0x3000) | flags();
		if ((r >> 8 & 31) == 1) /* of 1 GiB, of which a part is used that nobody needs */
			entries[1] = 0x80 | (r >> 16 & 0x3000) | flags();
		one_round(HIGH + ((r >> 8 & 31) == 1 ? 0x300000 : 0) + (r >> 40 & 0xfff),
			  r >> 12 & 1);
	}
	print("%u faults, %u of them by reserved bits\n", faults, reserved);
	CHECK(faults > ROUNDS / 4 && faults < ROUNDS * 7 / 4);
	CHECK(reserved > ROUNDS / 20);
}
