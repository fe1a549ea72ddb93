/*
 * The shell's looks into a VM: memory by physical and virtual addresses, searches, registers,
 * counters and the table each second.
 * needs: core/shell_table.c core/shell_commands.c core/shell_vms.c core/shell_look.c
 * needs: core/shell_stats.c core/shell_devices.c core/shell_config.c core/exit_stats.c core/gwalk.c
 * needs: core/vm_config.c core/config_keys.c core/config_check.c core/config_report.c mm/gmem.c
 * needs: lib/text.c lib/printf.c tests/fake/shell_fakes.c tests/fake/spinlock.c tests/fake/panic.c
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <crvm/cpu.h>
#include <crvm/status.h>
#include "../../core/shell_priv.h"
#include "shell_fakes.h"

static int setup(void **state)
{
	(void)state;
	fake_shell_begin();
	memset(&fake_shell_regs, 0, sizeof(fake_shell_regs));
	return 0;
}

static const char *run(const char *text)
{
	const struct shell_command *c;
	static char copy[4096];
	char *arg = copy;

	strcpy(copy, text);
	fake_shell_forget();
	c = shell_table_find(&shell_table, shell_word(&arg));
	assert_non_null(c);
	c->run(arg);
	return fake_shell_text;
}

static void prints(const char *text, const char *expected)
{
	assert_string_equal(run(text), expected);
}

static void says(const char *text, const char *part)
{
	if (!strstr(run(text), part))
		fail_msg("'%s' said '%s', without '%s'", text, fake_shell_text, part);
}

static void put(uint64_t address, const char *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		*fake_shell_memory(1, address + i) = (uint8_t)bytes[i];
}

static void put_entry(uint64_t address, uint64_t value, size_t size)
{
	put(address, (const char *)&value, size);
}

static void test_rows(void **state)
{
	(void)state;
	put(0x1003, "\x1f ~\x7f\xff", 5);
	prints("mem two 1003 5", "  000000001003  1f 20 7e 7f ff                                   "
				 "|. ~..|\n");
	run("mem two 1000");
	assert_int_equal(strlen(fake_shell_text), 8 * strlen("  000000001000  ") + 8 * (48 + 20));
	says("mem two 0x1000 0x11", "\n  000000001010  00   ");
	prints("mem two 20000 16", "  000000020000  not memory\n");
}

static void test_a_row_with_memory_in_part(void **state)
{
	(void)state;
	put(0x1fffe, "ab", 2);
	prints("mem two 1fffe 4",
	       "  00000001fffe  61 62 -- --                                      |ab  |\n");
	put(0xffff, "xy", 2); /* across slots */
	prints("mem two ffff 2",
	       "  00000000ffff  78 79                                            |xy|\n");
	says("mem two fffffffffffffff0 32", "  fffffffffffffff0  not memory\n");
}

static void test_wrong_addresses_and_counts(void **state)
{
	(void)state;
	says("mem two", "the address must be hexadecimal, with v: before a virtual one, not ''");
	says("mem two 12g", "not '12g'; for example: mem ");
	says("mem two v:", "not 'v:'");
	says("mem two 0 0", "how many bytes must be a number from 1 to 4096, not '0'");
	says("mem two 0 4097", "from 1 to 4096");
	says("mem two 0 x", "not 'x'");
}

static void test_a_running_vm_must_be_paused(void **state)
{
	(void)state;
	says("mem one 0", "mem: VM one is running; it must be paused, created or stopped: pause");
	says("mem one v:0", "mem: VM one is running; it must be paused");
	says("find one x", "find: VM one is running; it must be paused");
	says("regs one", "regs: VM one is running; it must be paused");
}

static void test_virtual_without_paging_is_physical(void **state)
{
	(void)state;
	put(0x1234, "hello", 5);
	says("mem two v:1234 5", "000000001234  68 65 6c 6c 6f ");
	says("mem two v:100000000", "has no virtual address 100000000 now");
	says("mem two v:fffffffe 3", "has no virtual address");
}

/* 32-bit tables at 2000h: 400000h -> 10000h, and 401000h not. */
static void test_virtual_with_32_bit_paging(void **state)
{
	(void)state;
	fake_shell_regs.reg[REG_CR0] = CR0_PE | CR0_PG;
	fake_shell_regs.reg[REG_CR3] = 0x2000;
	put_entry(0x2000 + 4 * 1, 0x3001, 4);
	put_entry(0x3000, 0x10001, 4);
	put(0x10ffe, "ab", 2);
	says("mem two v:400ffe 4", "000000400ffe  61 62 -- --");
	says("mem two v:401000 1", "  000000401000  not mapped, or not to memory\n");
	says("mem two v:0 1", "not mapped");
	/* No accessed bit appeared. */
	assert_int_equal(*fake_shell_memory(1, 0x2004), 1);
	assert_int_equal(*fake_shell_memory(1, 0x3000), 1);
	put_entry(0x3000, 0x50001, 4);
	says("mem two v:400000 1", "not mapped, or not to memory");
}

static void test_virtual_with_4_level_paging(void **state)
{
	(void)state;
	fake_shell_regs.reg[REG_CR0] = CR0_PE | CR0_PG;
	fake_shell_regs.reg[REG_CR4] = CR4_PAE;
	fake_shell_regs.reg[REG_EFER] = EFER_LME | EFER_LMA;
	fake_shell_regs.reg[REG_CR3] = 0x4000;
	put_entry(0x4000 + 8 * 256, 0x5001, 8); /* ffff800000000000 */
	put_entry(0x5000, 0x6001, 8);
	put_entry(0x6000, 0x7001, 8);
	put_entry(0x7000 + 8 * 3, 0x100001, 8);
	put(0x100010, "deep", 4);
	says("mem two v:ffff800000003010 4", "64 65 65 70");
	says("mem two v:800000000000 1", "has no virtual address 800000000000 now");
	says("mem two v:7fffffffffff 2", "has no virtual address");
	assert_int_equal(*fake_shell_memory(1, 0x7018), 1);
}

static void test_finding_text_and_bytes(void **state)
{
	(void)state;
	put(0x500, "needle", 6);
	put(0x1fffa, "needle", 6); /* at a slot's end */
	put(0x100000, "needle", 6);
	says("find two needle", "  3 found\n");
	says("find two needle", "  000000000500  6e 65 65 64 6c 65 ");
	says("find two needle", "  00000001fffa  6e");
	says("find two needle", "  000000100000  6e");
	says("find two hex:6e6565", "  3 found\n");
	says("find two hex:6E 65  65", "  3 found\n");
	says("find two \"needle\"", "  3 found\n");
	says("find two from:501 needle", "  2 found\n");
	says("find two from:1fffa needle", "  2 found\n");
	says("find two from:1fffb needle", "  1 found\n");
	says("find two from:100001 needle", "  0 found\n");
	says("find two needles", "  0 found\n");
	put(0x700, "two words ", 10);
	says("find two two words", "  1 found\n");
	says("find two \"s \"", "  1 found\n");
}

/* Across what is read at a time, at each offset within eight bytes, and across slots. */
static void test_finding_at_every_place(void **state)
{
	static const uint64_t edges[] = {0, 0x1000, 0x2000, 0x10000};
	char expected[32];

	(void)state;
	for (size_t i = 0; i < array_count(edges); i++) {
		for (uint64_t k = 0; k < 20; k++) {
			const uint64_t at = edges[i] + k - (edges[i] ? 10 : 0);

			put(at, "\x01\xfe\x01", 3);
			snprintf(expected, sizeof(expected), "  %012lx  01 fe 01 ", at);
			says("find two hex:01fe01", expected);
			assert_non_null(strstr(fake_shell_text, "\n  1 found\n"));
			put(at, "\0\0\0", 3);
		}
	}
}

static void test_overlapping_matches(void **state)
{
	(void)state;
	put(0x800, "aaaa", 4);
	says("find two aa", "  3 found\n");
	says("find two a", "  4 found\n");
}

static void test_the_32nd_match_is_the_last(void **state)
{
	char rest[64];

	(void)state;
	for (unsigned i = 0; i < 40; i++)
		put(0x3000 + 16 * i, "ab", 2);
	says("find two ab", "  32 found so far, up to 3200; go on with: find two from:3200 ab\n");
	says("find two from:3200 ab", "  8 found\n");
	snprintf(rest, sizeof(rest), "find two from:%x ab", 0x3000 + 16 * 8);
	says(rest, "  32 found\n");
}

static void test_a_search_that_takes_long_stops(void **state)
{
	(void)state;
	put(0x1fffe, "ab", 2);
	fake_shell_tsc_step = 0; /* any time is too long */
	says("find two ab", "  0 found so far, up to 1000; go on with: find two from:1000 ab\n");
	says("find two from:1f800 ab", "  1 found so far, up to 20000; go on");
}

static void test_wrong_searches(void **state)
{
	static const char *const wrong[] = {
		"find two",	   "find two hex:",   "find two hex:1", "find two hex:123",
		"find two hex:1g", "find two hex:0x", "find two \"\"",	"find two hex:1 2 3"};
	char text[200] = "find two ";

	(void)state;
	for (size_t i = 0; i < array_count(wrong); i++)
		says(wrong[i],
		     "find: what? text, or hex: and pairs of hexadecimal digits; 1 to 64");
	memset(text + strlen(text), 'x', 64);
	says(text, "  0 found\n");
	memset(text + 9, 'x', 65);
	says(text, "1 to 64 bytes");
	strcpy(text, "find two hex:");
	for (int i = 0; i < 65; i++)
		strcat(text, "41");
	says(text, "1 to 64 bytes");
	text[strlen(text) - 2] = '\0';
	says(text, "  0 found\n");
	says("find two from:x y", "behind from: comes a hexadecimal address");
}

static void test_registers(void **state)
{
	(void)state;
	for (unsigned i = 0; i < REG_COUNT; i++)
		fake_shell_regs.reg[i] = 0x1000 + i;
	fake_shell_regs.reg[REG_RFLAGS] = 0x3246;
	fake_shell_regs.reg[REG_INT_SHADOW] = 0;
	fake_shell_regs.segment[SEG_FS] =
		(struct vcpu_segment){0x33, 0xc0f3, 0xfffff, 0xabcd, false};
	fake_shell_regs.segment[SEG_TR].unusable = true;
	says("regs two", "  RAX 0000000000001000  RCX 0000000000001001");
	says("regs two", "R15 000000000000100f\n  RIP 0000000000001010  in HLT\n");
	says("regs two", "  RFLAGS 0000000000003246 IOPL 3 PF ZF IF\n");
	says("regs two", "  FS   0033 base 000000000000abcd limit 000fffff attr c0f3\n");
	says("regs two", "attr 0000 unusable\n  GDTR ");
	fake_shell_regs.reg[REG_INT_SHADOW] = 1;
	fake_shell_regs.reg[REG_HALTED] = 0;
	says("regs two", "0000000000001010  interrupts held back");
}

static void test_counters(void **state)
{
	struct exit_counter *c = vms[0]->vcpu[0].stats.kind;

	(void)state;
	c[EXIT_PORT] = (struct exit_counter){10, 1000, 300, 0};
	c[EXIT_HLT] = (struct exit_counter){2, 50, 30, 0};
	vms[0]->vcpu[0].ran_ticks = 77;
	vms[0]->pc->pit.ticks = (struct pit_ticks){9, 6, 2, 1};
	says("stats one", "port I/O                         10        100        300");
	says("stats one raw", "stats begin version=1 vm=one state=running tsc_khz=1000000 tsc=");
	says("stats one raw", " ran=77\nstats ticks due=9 raised=6 owed=2 merged=1\n");
	says("stats one raw", "\nstats exit 6 10 1000 300 port I/O\nstats exit 11 2 50 30 HLT\n"
			      "stats end\n");
	says("stats one cooked", "raw, or nothing, may follow the VM, not 'cooked'");
}

/* The timer's function, as if a second had passed. */
static const char *tick(void)
{
	struct timer *t = fake_shell_timer;

	assert_non_null(t);
	fake_shell_forget();
	fake_shell_timer = NULL;
	t->fn(t);
	assert_ptr_equal(fake_shell_timer, t);
	return fake_shell_text;
}

static void test_top(void **state)
{
	(void)state;
	says("top", "any key ends it\n");
	assert_non_null(fake_shell_live);
	vms[0]->vcpu[0].stats.kind[EXIT_PORT].count = 5;
	vms[1]->pc->pit.ticks.owed = 4711;
	(void)tick();
	assert_non_null(strstr(fake_shell_text, "   1 one             running    0    0.0% "));
	assert_non_null(strstr(fake_shell_text, "   2 two             paused     1    0.0% "));
	assert_non_null(strstr(fake_shell_text, " 4711\n"));
	vms[0]->vcpu[0].ran_ticks = 1ul << 50; /* far more than has passed */
	assert_null(strstr(tick(), "one             running    0    0.0%"));
	fake_shell_live();
	assert_null(fake_shell_timer);
}

static void test_top_is_silent_while_a_vm_has_the_console(void **state)
{
	(void)state;
	run("top");
	fake_shell_focused = true;
	assert_string_equal(tick(), "");
}

static void test_top_leaves_out_vms_that_came_or_went(void **state)
{
	(void)state;
	run("top");
	vms[0]->vcpu[0].stats.kind[EXIT_PORT].count = 5;
	(void)tick();
	vms[0]->vcpu[0].stats.kind[EXIT_PORT].count = 3; /* another VM at the same place */
	assert_null(strstr(tick(), "one"));
	assert_non_null(strstr(tick(), "one"));
	vms[1] = NULL;
	assert_null(strstr(tick(), "two"));
}

#define t(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		t(test_rows),
		t(test_a_row_with_memory_in_part),
		t(test_wrong_addresses_and_counts),
		t(test_a_running_vm_must_be_paused),
		t(test_virtual_without_paging_is_physical),
		t(test_virtual_with_32_bit_paging),
		t(test_virtual_with_4_level_paging),
		t(test_finding_text_and_bytes),
		t(test_finding_at_every_place),
		t(test_overlapping_matches),
		t(test_the_32nd_match_is_the_last),
		t(test_a_search_that_takes_long_stops),
		t(test_wrong_searches),
		t(test_registers),
		t(test_counters),
		t(test_top),
		t(test_top_is_silent_while_a_vm_has_the_console),
		t(test_top_leaves_out_vms_that_came_or_went),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
