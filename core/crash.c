/*
 * Wrongs done on purpose: how a test, or a doubtful user, sees that guard pages, W^X, traps, lock
 * ranks and panic do their work. Reached by the shell's `crash` only.
 */
#include <crvm/cpu.h>
#include <crvm/hostvm.h>
#include <crvm/panic.h>
#include <crvm/percpu.h>
#include <crvm/smp.h>
#include <crvm/spinlock.h>
#include <crvm/string.h>
#include <crvm/time.h>

#include "machine.h"

static struct spinlock low = SPINLOCK_INIT(RANK_VM, "crash-low");
static struct spinlock high = SPINLOCK_INIT(RANK_CONSOLE, "crash-high");

static void crash_panic(void)
{
	panic("asked for by the shell");
}

static void crash_read(void)
{
	uint64_t low_address = 0x10;

	__asm__ volatile("movb (%0), %%al" : : "r"(low_address) : "rax");
}

static void crash_write_text(void)
{
	*(volatile uint8_t *)(uintptr_t)crash_now = 0;
}

static void crash_write_alias(void)
{
	*(volatile uint8_t *)((uintptr_t)crash_now - IMAGE_BASE + DIRECT_MAP_BASE) = 0;
}

static void crash_execute(void)
{
	static uint8_t code[16] = {0xc3};

	((void (*)(void))(uintptr_t)code)();
}

static void crash_opcode(void)
{
	__asm__ volatile("ud2");
}

static void crash_gp(void)
{
	(void)*(volatile uint8_t *)0x0123456789abcdef;
}

/* Pushes until the stack ends. */
static void crash_stack(void)
{
	__asm__ volatile("1: push %%rax; jmp 1b" : : : "memory");
}

static void crash_ranks(void)
{
	spin_lock(&high);
	spin_lock(&low);
}

static void crash_check(void)
{
	check(machine.backend == NULL);
}

static void panic_here(void *arg)
{
	(void)arg;
	panic("asked for by the shell, on another CPU");
}

static void crash_other(void)
{
	if (cpu_count > 1 && smp_call(&percpus[1], panic_here, NULL))
		panic("CPU 1 is not online");
}

/* Not a crash: the NMI must be survived and reported. */
static void crash_nmi(void)
{
	__asm__ volatile("int $2");
}

static const struct {
	const char *name;
	void (*fn)(void);
} kinds[] = {
	{"panic", crash_panic},
	{"read", crash_read},
	{"write-text", crash_write_text},
	{"write-alias", crash_write_alias},
	{"execute", crash_execute},
	{"opcode", crash_opcode},
	{"gp", crash_gp},
	{"stack", crash_stack},
	{"ranks", crash_ranks},
	{"check", crash_check},
	{"other-cpu", crash_other},
	{"nmi", crash_nmi},
};

const char *crash_kinds(void)
{
	return "panic read write-text write-alias execute opcode gp stack ranks check other-cpu "
	       "nmi";
}

bool crash_now(const char *kind)
{
	for (size_t i = 0; i < array_count(kinds); i++) {
		if (strcmp(kinds[i].name, kind) == 0) {
			kinds[i].fn();
			return true;
		}
	}
	return false;
}
