/*
 * The shell's commands on VMs: what they ask of core/manage.h, and what they say when that is
 * refused or makes no sense.
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
#include <crvm/status.h>
#include "../../core/machine.h"
#include "../../core/shared.h"
#include "../../core/shell_priv.h"
#include "shell_fakes.h"

static int setup(void **state)
{
	(void)state;
	fake_shell_begin();
	return 0;
}

/* Runs a line as the shell does; what it has printed and called is of this line only. */
static const char *run(const char *text)
{
	const struct shell_command *c;
	static char copy[4096];
	char *arg = copy;

	assert_true(strlen(text) < sizeof(copy));
	strcpy(copy, text);
	fake_shell_forget();
	c = shell_table_find(&shell_table, shell_word(&arg));
	assert_non_null(c);
	c->run(arg);
	return fake_shell_text;
}

static void calls(const char *text, const char *expected)
{
	(void)run(text);
	assert_string_equal(fake_shell_calls, expected);
}

static void says(const char *text, const char *part)
{
	(void)run(text);
	if (!strstr(fake_shell_text, part))
		fail_msg("'%s' said '%s', without '%s'", text, fake_shell_text, part);
}

static const char *const one_vm[] = {
	"info", "config", "start", "pause",  "resume",	"reset", "stop", "destroy", "weight", "cpu",
	"regs", "mem",	  "find",  "inject", "devices", "focus", "log",	 "stats",   "nmi"};

static void test_each_names_the_vms_there_are(void **state)
{
	char text[64];

	(void)state;
	for (size_t i = 0; i < array_count(one_vm); i++) {
		says(one_vm[i], "which VM? a name or a number; there are: one two\n");
		assert_memory_equal(fake_shell_text, one_vm[i], strlen(one_vm[i]));
		snprintf(text, sizeof(text), "%s three x", one_vm[i]);
		says(text, "there is no 'three', there are: one two\n");
		assert_string_equal(fake_shell_calls, "");
	}
	vm_count = 0;
	says("start", "there are none; create makes one");
	says("start x", "there are none\n");
}

static void test_each_refuses_too_much(void **state)
{
	static const char *const lines[] = {
		"info one x",	      "config one x",  "start one x", "pause one x",
		"resume one x",	      "reset one x",   "stop one x",  "destroy one x",
		"weight one 5 x",     "cpu one 0 x",   "regs two x",  "mem two 0 1 x",
		"inject one irq 4 x", "devices one x", "focus one x", "log one x",
		"stats one raw x",    "nmi one x"};

	(void)state;
	for (size_t i = 0; i < array_count(lines); i++) {
		says(lines[i], "too much: 'x'; for example: ");
		assert_string_equal(fake_shell_calls, "");
	}
}

static void test_on_and_off(void **state)
{
	(void)state;
	calls("start two", "start two; ");
	says("start two", "VM two is running\n");
	calls("pause one", "pause one; ");
	says("pause one", "VM one is paused\n");
	calls("resume two", "resume two; ");
	says("resume two", "VM two goes on\n");
	calls("reset one", "reset one; ");
	says("reset one", "VM one begins again\n");
	calls("stop one", "stop one; ");
	assert_string_equal(fake_shell_text, ""); /* manage.c says it */
}

static void test_a_wrong_state_is_told_with_the_right_one(void **state)
{
	(void)state;
	fake_shell_status = E_BUSY;
	says("start one", "start: VM one is running; it must be created or stopped\n");
	says("pause two", "pause: VM two is paused; it must be running\n");
	says("resume one", "resume: VM one is running; it must be paused\n");
	says("reset one", "it must be running or paused\n");
	says("stop one", "it must be running or paused\n");
	says("destroy one", "it must be created or stopped: stop it first\n");
	says("nmi one", "it must be running or paused\n");
	says("inject one irq 4", "it must be running or paused\n");
}

static void test_other_failures_are_named(void **state)
{
	(void)state;
	fake_shell_status = E_NOMEM;
	says("start one", "start: VM one: no memory\n");
	says("destroy one", "destroy: VM one: no memory\n");
	says("weight one 5", "weight: VM one: no memory\n");
	says("cpu one 1", "cpu: VM one: no memory\n");
}

/* The VM's memory is gone when its name is printed. */
static void test_destroying(void **state)
{
	(void)state;
	says("destroy two", "VM two is gone\n");
	assert_string_equal(fake_shell_calls, "destroy two; ");
}

static void test_weight(void **state)
{
	(void)state;
	calls("weight two 7", "weight two 7; ");
	calls("weight two 1000", "weight two 1000; ");
	calls("weight two 0", "");
	calls("weight two 1001", "");
	calls("weight two", "");
	calls("weight two -1", "");
	says("weight two heavy",
	     "must be a number from 1 to 1000, not 'heavy'; for example: weight");
}

static void test_cpu(void **state)
{
	(void)state;
	calls("cpu two 0", "cpu two 0; ");
	says("cpu two 1", "VM two is on CPU 1\n");
	calls("cpu two 2", "");
	says("cpu two 2", "must be a number from 0 to 1, not '2'");
	fake_shell_status = E_NODEV;
	says("cpu two 1", "CPU 1 is not online: `cpus` lists them");
}

static void test_injecting(void **state)
{
	(void)state;
	calls("inject one nmi", "nmi one; ");
	says("inject one nmi", "VM one gets an NMI\n");
	calls("nmi one", "nmi one; ");
	calls("inject one irq 15", "irq one 15; ");
	says("inject one irq 4", "VM one gets IRQ 4\n");
	says("inject one irq 2", "irq 2 is the line between the two interrupt controllers");
	calls("inject one irq 16", "");
	calls("inject one irq", "");
	calls("inject one", "");
	calls("inject one nmi 3", "");
	says("inject one smi", "what? nmi, or irq and a number, not 'smi'");
}

static void test_console(void **state)
{
	(void)state;
	calls("focus two", "focus two; ");
	calls("log two", "log two; ");
	calls("vms", "vms; ");
}

static void test_creating(void **state)
{
	(void)state;
	calls("create [vm c]; memory = 16M;disk0 = x", "create [vm c]\n memory = 16M\ndisk0 = x; ");
	says("create [vm c]", "VM 4 c is made, and created\n");
}

static void test_creating_what_is_wrong(void **state)
{
	(void)state;
	says("create", "create: what? a configuration");
	assert_string_equal(fake_shell_calls, "");
	fake_shell_config_error = "unknown key 'x'";
	says("create [vm c]; x = 1",
	     "create: entry 2, column 5: bad: unknown key 'x'\ncreate: no VM was made\n");
	fake_shell_config_error = NULL;
	fake_shell_status = E_INVAL;
	says("create # nothing", "create: there is no [vm NAME] in it");
	machine.verdict.count = 1;
	calls("create [vm c]", "");
	says("create [vm c]", "this machine cannot run VMs");
}

static void test_config(void **state)
{
	struct vm_config *c = &vms[0]->config;

	(void)state;
	strcpy(c->name, "one");
	c->mem = 64 << 10;
	c->weight = 5;
	c->vpid = c->autostart = true;
	c->cpu = -1;
	c->restart = VM_RESTART_RESET;
	strcpy(c->kernel.name, "k");
	says("config one",
	     "[vm one]; memory = 64K; boot = flat; kernel = k; at = 0x0; weight = 5\n");
	vms[0]->own.data = "x";
	says("config one", "config: VM one is made of a boot module of its own");
}

static void test_info(void **state)
{
	static struct shared_region box = {.name = "box", .at = 0xd0000000, .size = 64 << 10};
	static struct pc_disk disk;

	(void)state;
	vms[0]->config.mem = 1 << 20;
	vms[0]->config.weight = 42;
	vms[0]->arena.frame_count = 256 + 3;
	vms[0]->exit_code = 17;
	vms[0]->vcpu[0].ran_ticks = 5000000;
	vms[0]->vcpu[0].stats.kind[EXIT_HLT].count = 3;
	vms[0]->vcpu[0].stats.kind[EXIT_PORT].count = 4;
	vms[0]->zero_tsc = 1000;
	vms[0]->paused_tsc = 90001000;
	vms[0]->pc->disk[1] = &disk;
	disk.disk.sectors = 2048;
	disk.overlay.page_count = 3;
	says("info one", "one, VM 1, running\n");
	says("info one", "1024 KiB, and 12 KiB beside it\n");
	says("info one", "weight 42\n");
	says("info one", "ran       5 ms of 90, with 7 exits\n");
	says("info one", "disk1     blank, 1 MiB, primary slave; written: 12 KiB\n");
	says("info one", "ended     with code 17\n");
	assert_null(strstr(fake_shell_text, "shared"));
	vms[0]->shared_count = 2;
	for (unsigned i = 0; i < 2; i++)
		vms[0]->shared[i] = (struct vm_shared){.region = &box, .irq = i ? 9 : -1};
	atomic_store(&vms[0]->shared[1].rings, 3);
	says("info one",
	     "shared0   box, 64 KiB at d0000000, no IRQ; other VMs there: 0 on; rings: 0\n");
	box.peers = &vms[0]->shared[1];
	says("info one",
	     "shared1   box, 64 KiB at d0000000, IRQ 9; other VMs there: 3 on; rings: 3\n");
	says("info one", "printed   1234 bytes\n");
}

static void test_devices(void **state)
{
	static struct pc_disk disk[2];
	struct pc *pc = vms[1]->pc;

	(void)state;
	pc->pic.chip[0].imr = 0xfb;
	pc->pic.chip[0].isr = 0x12;
	pc->pic.chip[1].icw2 = 0x2f; /* the low bits do not count */
	pc->pic.vector = 0x24;
	pc->pit.counter[2].n = 4711;
	pc->pit.ticks.owed = 99;
	pc->serial.lsr = 0x60;
	pc->serial.divisor = 12;
	pc->rtc.cmos[9] = 0x26;
	pc->disk[1] = &disk[0];
	pc->disk[2] = &disk[1];
	pc->ide[0].drive[1].disk = &disk[0].disk;
	disk[0].disk.sectors = 4096;
	disk[0].overlay.page_count = 7;
	pc->ide[1].drive[0].disk = &disk[1].disk;
	disk[1].overlay.page_count = 11;
	says("devices two", "IDE 1.0     written: 11 pages");
	says("devices two", "PIC master  IRR 00 ISR 12 IMR fb");
	says("devices two", "vectors from 28");
	says("devices two", "INT     up, vector 24");
	says("devices two", "PIT 2       mode 0, count 4711, stopped");
	says("devices two", "owed 99");
	says("devices two", "LSR 60");
	says("devices two", "divisor 12");
	says("devices two", "RTC         26-00-00 00:00:00");
	says("devices two", "IDE 0.0     no drive\n");
	says("devices two", "IDE 0.1     2 MiB");
	says("devices two", "IDE 0.1     written: 7 pages");
}

#define t(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		t(test_each_names_the_vms_there_are),
		t(test_each_refuses_too_much),
		t(test_on_and_off),
		t(test_a_wrong_state_is_told_with_the_right_one),
		t(test_other_failures_are_named),
		t(test_destroying),
		t(test_weight),
		t(test_cpu),
		t(test_injecting),
		t(test_console),
		t(test_creating),
		t(test_creating_what_is_wrong),
		t(test_config),
		t(test_info),
		t(test_devices),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
