/*
 * INS and OUTS in protected mode: address sizes, segment limits and rights, direction, counts.
 */
#include "cpu.h"

#define DATA 0x100000u
#define PORT "d"(TESTDEV_PORT_STREAM)

static void set_es(uint64_t descriptor)
{
	((volatile uint64_t *)gdt)[11] = descriptor;
	__asm__ volatile("mov %0, %%es" : : "r"(0x58));
}

static void restore_es(void)
{
	__asm__ volatile("mov %0, %%es" : : "r"(0x10));
}

#define TRY_INS(insn, di, cx) TRY(insn, OUT("+D"(di), "+c"(cx)), IN(PORT))

static void plain(void)
{
	uint32_t di = DATA, cx = 5, si;

	testdev_reset();
	CHECK_EQ(TRY_INS("rep insw", di, cx), NO_TRAP);
	CHECK_EQ(di, DATA + 10);
	CHECK_EQ(cx, 0);
	CHECK_EQ(MEM16(DATA + 8), 4);
	CHECK_EQ(TRY_INS("insb", di, cx), NO_TRAP); /* without REP */
	CHECK_EQ(di, DATA + 11);
	CHECK_EQ(MEM8(DATA + 10), 5);
	cx = 0;
	CHECK_EQ(TRY_INS("rep insl", di, cx), NO_TRAP); /* nothing */
	CHECK_EQ(di, DATA + 11);
	CHECK_EQ(testdev_count(COUNT_STREAM_READS), 6);
	/* 16-bit addresses: only DI and CX count and change. */
	di = 0xffff1000, cx = 0xaaaa0002;
	CHECK_EQ(TRY_INS("addr16 rep insb", di, cx), NO_TRAP);
	CHECK_EQ(di, 0xffff1002);
	CHECK_EQ(cx, 0xaaaa0000);
	CHECK_EQ(MEM8(0x1001), 7);
	/* OUTS downwards. */
	MEM32(DATA) = 1, MEM32(DATA + 4) = 0x10, MEM32(DATA + 8) = 0x100;
	si = DATA + 8, cx = 2;
	__asm__ volatile("std\n\trep outsl\n\tcld" : "+S"(si), "+c"(cx) : PORT : "memory");
	CHECK_EQ(testdev_count(COUNT_SUM), 0x110);
	CHECK_EQ(si, DATA);
	CHECK_EQ(testdev_count(COUNT_STREAM_WRITES), 2);
}

static void limits(void)
{
	uint32_t di = 0xfc, cx = 3;

	testdev_reset();
	set_es(0x00409310000000ff); /* 256 bytes at DATA */
	CHECK_EQ(TRY_INS("rep insw", di, cx), GP);
	CHECK_EQ(trap.error, 0);
	CHECK_EQ(di, 0x100); /* two fitted */
	CHECK_EQ(cx, 1);
	CHECK_EQ(MEM16(DATA + 0xfe), 1);
	di = 0xfd, cx = 1;
	CHECK_EQ(TRY_INS("rep insl", di, cx), GP);
	CHECK_EQ(di, 0xfd);
	set_es(0x00409110000000ff); /* read-only */
	di = 0;
	CHECK_EQ(TRY_INS("insb", di, cx), GP);
	set_es(0x00409710000000ff); /* expands down */
	di = 0xff;
	CHECK_EQ(TRY_INS("insb", di, cx), GP);
	di = 0x100;
	CHECK_EQ(TRY_INS("insb", di, cx), NO_TRAP);
	CHECK_EQ(MEM8(DATA + 0x100), 2);
	__asm__ volatile("mov %0, %%es" : : "r"(0)); /* null */
	di = 0;
	CHECK_EQ(TRY_INS("insb", di, cx), GP);
	restore_es();
	CHECK_EQ(testdev_count(COUNT_STREAM_READS), 3);
}

static void overrides(void)
{
	uint32_t si = 0xff, cx = 1;

	((volatile uint64_t *)gdt)[11] = 0x00409310000000ff;
	__asm__ volatile("mov %0, %%gs" : : "r"(0x58));
	testdev_reset();
	MEM8(DATA + 0xff) = 0x42;
	CHECK_EQ(TRY("rep outsb %%gs:(%%esi), (%%dx)", OUT("+S"(si), "+c"(cx)), IN(PORT)), NO_TRAP);
	CHECK_EQ(testdev_count(COUNT_SUM), 0x42);
	cx = 1;
	CHECK_EQ(TRY("rep outsb %%gs:(%%esi), (%%dx)", OUT("+S"(si), "+c"(cx)), IN(PORT)), GP);
	CHECK_EQ(si, 0x100);
	CHECK_EQ(cx, 1);
	/* The source can be code, if it may be read. */
	si = 0x7c00;
	CHECK_EQ(TRY("rep outsb %%cs:(%%esi), (%%dx)", OUT("+S"(si), "+c"(cx)), IN(PORT)), NO_TRAP);
	CHECK_EQ(testdev_count(COUNT_SUM), 0x42u + MEM8(0x7c00));
}

void guest_main(void)
{
	plain();
	limits();
	overrides();
}
