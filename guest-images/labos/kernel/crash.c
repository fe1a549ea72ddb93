/*
 * The command `crash`: bad ends of all kinds, for whoever wants to see what the machine below us
 * makes of them.
 */

#include "ide.h"
#include "lib.h"
#include "paging.h"
#include "shell.h"
#include "x86.h"

enum {
	KBC_COMMAND = 0x64,
	KBC_PULSE_RESET = 0xfe,
	PORT_92 = 0x92,
	PORT_92_RESET = 0x01,
	PORT_92_A20 = 0x02,
	UNMAPPED = 0xe0000000u,
	NO_MEMORY = 0xa0000000u,
};

/* An IDT without entries: the breakpoint becomes #GP, #DF, shutdown. */
static void crash_triple(void)
{
	const struct {
		uint16_t limit;
		uint32_t base;
	} __attribute__((packed)) empty = {0, 0};

	__asm__ volatile("lidt %0; int3" : : "m"(empty));
}

static void crash_hang(void)
{
	cpu_halt();
}

static void crash_8042(void)
{
	out8(KBC_COMMAND, KBC_PULSE_RESET);
	cpu_halt();
}

static void crash_port92(void)
{
	out8(PORT_92, PORT_92_A20 | PORT_92_RESET);
	cpu_halt();
}

static void crash_disk(void)
{
	uint8_t status, error;

	ide_try_bad_command(0, &status, &error);
	print("disk 0 answers a bad command with status %02x, error %02x\n", status, error);
}

/* The page tables have nothing there. */
static void crash_wild(void)
{
	*(volatile uint32_t *)UNMAPPED = 1;
}

/* The page tables do, but neither memory nor a device lies at that physical address. */
static void crash_nomem(void)
{
	volatile uint32_t *nothing = (volatile uint32_t *)NO_MEMORY;

	if (!paging_map_page(NO_MEMORY))
		return;
	*nothing = 1;
	print("physical address %08x reads %08x\n", NO_MEMORY, *nothing);
}

static void crash_div0(void)
{
	uint32_t low = 1;
	uint32_t high = 0;

	__asm__ volatile("divl %2" : "+a"(low), "+d"(high) : "r"(0) : "cc");
}

/* These two only cost a program its life. */
static void crash_userread(void)
{
	shell_run_program("badread", 0);
}

static void crash_userinsn(void)
{
	shell_run_program("badinsn", 0);
}

static const struct {
	const char *kind;
	void (*run)(void);
} kinds[] = {
	{"triple", crash_triple},     {"hang", crash_hang}, {"8042", crash_8042},
	{"port92", crash_port92},     {"disk", crash_disk}, {"wild", crash_wild},
	{"nomem", crash_nomem},	      {"div0", crash_div0}, {"userread", crash_userread},
	{"userinsn", crash_userinsn},
};

enum { KIND_COUNT = sizeof(kinds) / sizeof(kinds[0]) };

static void run_crash(char *arguments)
{
	uint32_t i;

	for (i = 0; i < KIND_COUNT; i++) {
		if (!strcmp(kinds[i].kind, arguments)) {
			kinds[i].run();
			return;
		}
	}
	print("kinds of crash:");
	for (i = 0; i < KIND_COUNT; i++)
		print(" %s", kinds[i].kind);
	print("\n");
}

const struct command commands_crash[] = {
	{"crash", "KIND", "a bad end; alone: which kinds", run_crash},
	{0},
};
