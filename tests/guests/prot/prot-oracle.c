/*
 * The CPU as oracle for segments: with random descriptors and offsets at their limits, OUTS and
 * INS, which CRVM carries out, must fault exactly where MOV does.
 */
#include "cpu.h"

#define ROUNDS 4000u

static uint32_t state = 0x2545f491;

static unsigned faults, tries;

static uint32_t random(void)
{
	state ^= state << 13;
	state ^= state >> 17;
	state ^= state << 5;
	return state;
}

/* Data or readable code of ring 0, 64 bytes to 64 KiB; the last byte that its limit names. */
static uint32_t make_descriptor(void)
{
	uint32_t r = random(), type = r & 15, limit = random() & 0xffff,
		 base = 0x100000 + (random() & 0xfff);
	bool pages = r >> 4 & 1, big = r >> 5 & 1;

	if ((type & 10) == 8) /* code that cannot be read: FS would not take it */
		type |= 2;
	if (pages)
		limit &= 15;
	((volatile uint64_t *)gdt)[11] = (uint64_t)limit | (uint64_t)base << 16 |
					 (uint64_t)(0x90 | type) << 40 |
					 (uint64_t)(pages << 3 | big << 2) << 52;
	return pages ? limit << 12 | 0xfff : limit;
}

static void report(uint32_t offset, unsigned size, const char *what, unsigned got, unsigned want)
{
	uint64_t d = ((volatile uint64_t *)gdt)[11];

	tries++;
	faults += want != NO_TRAP;
	if (got == want)
		return;
	print("descriptor %llx, offset %x, %u bytes\n", (unsigned long long)d, offset, size);
	check_failed(what, "prot-oracle.c", 0, got, want);
}

static void reads(uint32_t offset)
{
	uint32_t si, v;
	unsigned want, got;

	__asm__ volatile("mov %0, %%fs" : : "r"(0x58));
	want = TRY("movb %%fs:(%1), %b0", OUT("=q"(v)), IN("r"(offset)));
	si = offset;
	got = TRY("outsb %%fs:(%%esi), (%%dx)", OUT("+S"(si)), IN("d"(TESTDEV_PORT_STREAM)));
	report(offset, 1, "OUTSB", got, want);
	want = TRY("movw %%fs:(%1), %w0", OUT("=q"(v)), IN("r"(offset)));
	si = offset;
	got = TRY("outsw %%fs:(%%esi), (%%dx)", OUT("+S"(si)), IN("d"(TESTDEV_PORT_STREAM)));
	report(offset, 2, "OUTSW", got, want);
	want = TRY("movl %%fs:(%1), %0", OUT("=q"(v)), IN("r"(offset)));
	si = offset;
	got = TRY("outsl %%fs:(%%esi), (%%dx)", OUT("+S"(si)), IN("d"(TESTDEV_PORT_STREAM)));
	report(offset, 4, "OUTSL", got, want);
}

static void writes(uint32_t offset)
{
	uint32_t di;
	unsigned want, got;

	__asm__ volatile("mov %0, %%es" : : "r"(0x58));
	want = TRY("movb %b0, %%es:(%1)", OUT(), IN("q"(0), "r"(offset)));
	di = offset;
	got = TRY("insb", OUT("+D"(di)), IN("d"(TESTDEV_PORT_STREAM)));
	report(offset, 1, "INSB", got, want);
	want = TRY("movl %0, %%es:(%1)", OUT(), IN("q"(0), "r"(offset)));
	di = offset;
	got = TRY("insl", OUT("+D"(di)), IN("d"(TESTDEV_PORT_STREAM)));
	report(offset, 4, "INSL", got, want);
	__asm__ volatile("mov %0, %%es" : : "r"(0x10));
}

void guest_main(void)
{
	for (unsigned i = 0; i < ROUNDS; i++) {
		uint32_t limit = make_descriptor();
		uint32_t offset = limit + 5 - (random() & 7);

		if (random() & 3) {
			reads(offset);
			writes(offset);
		} else {
			reads(random() & 0x1ffff);
		}
	}
	print("%u faults of %u\n", faults, tries);
	CHECK(faults > tries / 4 && faults < tries * 4 / 5);
}
