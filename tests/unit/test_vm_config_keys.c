/*
 * The configuration's keys in a [vm NAME] section: defaults, limits, what each refuses and says,
 * and what keys must obey together.
 * needs: core/vm_config.c core/config_keys.c core/config_check.c core/config_report.c lib/text.c
 * needs: lib/printf.c
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <crvm/percpu.h>
#include "vm_config_rig.h"

#define KERNEL "kernel = k\nboot = "

static void test_defaults(void **state)
{
	const struct vm_config *c = good("[vm a]\ndisk0 = x");

	(void)state;
	assert_int_equal(c->mem, 16 << 20);
	assert_int_equal(c->cpus, 1);
	assert_int_equal(c->cpu, -1);
	assert_int_equal(c->boot, VM_BOOT_DISK);
	assert_string_equal(c->kernel.name, "");
	assert_int_equal(c->at, 0x7c00);
	assert_string_equal(c->cmdline, "");
	assert_int_equal(c->module_count, 0);
	assert_string_equal(c->firmware.name, "firmware");
	assert_int_equal(c->firmware.place.line, 1);
	assert_int_equal(c->console, VM_CONSOLE_SERIAL);
	assert_int_equal(c->input, VM_INPUT_SERIAL);
	assert_int_equal(c->ticks, VM_TICKS_CATCHUP);
	assert_true(c->vpid);
	assert_int_equal(c->weight, 100);
	assert_int_equal(c->writes, 0);
	assert_true(c->autostart);
	assert_int_equal(c->restart, VM_RESTART_RESET);
	assert_false(c->exit_port);
	assert_false(c->privileged);
}

static void test_all_keys_together(void **state)
{
	const struct vm_config *c = good(
		"[vm all]\nmemory = 64M\ncpus = 1\ncpu = 3\nboot = multiboot\nkernel = k.elf\n"
		"cmdline = root=/dev/hda quiet\nmodule = one\nmodule = two\n"
		"disk0 = d0\ndisk1 = blank:1M\ndisk2 = d2 size=8K\ndisk3=d3\n"
		"console = none\ninput = keyboard\nticks = coalesce\nvpid = off\nweight = 1000\n"
		"autostart = no\nrestart = always\nexit-port = on");

	(void)state;
	assert_int_equal(c->mem, 64 << 20);
	assert_int_equal(c->cpu, 3);
	assert_int_equal(c->boot, VM_BOOT_MULTIBOOT);
	assert_string_equal(c->kernel.name, "k.elf");
	assert_int_equal(c->kernel.place.line, 6);
	assert_int_equal(c->kernel.place.column, 10);
	assert_string_equal(c->cmdline, "root=/dev/hda quiet");
	assert_int_equal(c->module_count, 2);
	assert_string_equal(c->module[0].name, "one");
	assert_string_equal(c->module[1].name, "two");
	assert_int_equal(c->module[1].place.line, 9);
	assert_int_equal(c->disk[0].kind, VM_DISK_MODULE);
	assert_string_equal(c->disk[0].image.name, "d0");
	assert_int_equal(c->disk[0].size, 0);
	assert_int_equal(c->disk[1].kind, VM_DISK_BLANK);
	assert_int_equal(c->disk[1].size, 1 << 20);
	assert_int_equal(c->disk[2].kind, VM_DISK_MODULE);
	assert_string_equal(c->disk[2].image.name, "d2");
	assert_int_equal(c->disk[2].size, 8192);
	assert_string_equal(c->disk[3].image.name, "d3");
	assert_int_equal(c->console, VM_CONSOLE_NONE);
	assert_int_equal(c->input, VM_INPUT_KEYBOARD);
	assert_int_equal(c->ticks, VM_TICKS_COALESCE);
	assert_false(c->vpid);
	assert_int_equal(c->weight, 1000);
	assert_false(c->autostart);
	assert_int_equal(c->restart, VM_RESTART_ALWAYS);
	assert_true(c->exit_port);
}

static void test_limits_are_inclusive(void **state)
{
	(void)state;
	assert_int_equal(good("[vm a]\nkernel=k\nboot=flat\nmemory=64K")->mem, 65536);
	assert_int_equal(good(section("memory = 3G"))->mem, 3ul << 30);
	assert_int_equal(good(section("memory = 0x101000"))->mem, 0x101000);
	assert_int_equal(good(section("mem = 2048K"))->mem, 2 << 20);
	assert_int_equal(good(section("cpus = 1"))->cpus, 1);
	assert_int_equal(good(section("cpu = 0"))->cpu, 0);
	assert_int_equal(good(section("cpu = 63"))->cpu, (int)CPU_MAX - 1);
	assert_int_equal(good(section("cpu = any"))->cpu, -1);
	assert_int_equal(good(section("writes = 64K"))->writes, 65536);
	assert_int_equal(good(section("writes = 128G"))->writes, 128ul << 30);
	assert_int_equal(good(section("weight = 1"))->weight, 1);
	assert_int_equal(good(section("weight = 1000"))->weight, 1000);
	assert_int_equal(good(section("disk1 = blank:512"))->disk[1].size, 512);
	assert_int_equal(good(section("disk3 = blank:128G"))->disk[3].size, 128ul << 30);
	assert_int_equal(good(section("disk2 = d size=128G"))->disk[2].size, 128ul << 30);
	assert_int_equal(good(section("disk2 = \"d\tsize=0x600\""))->disk[2].size, 1536);
	assert_int_equal(good("[vm a]\n" KERNEL "flat\nat = 0")->at, 0);
	assert_int_equal(good("[vm a]\n" KERNEL "flat\nat = 0xf0000")->at, 0xf0000);
	assert_int_equal(good("[vm a]\n" KERNEL "flat\nat = 16")->at, 16);
}

/* Each word of each set, and nothing near it. */
static void test_sets_of_words(void **state)
{
	static const struct {
		const char *key;
		size_t offset, size;
		const char *words[4], *valid;
	} sets[] = {
#define SET(m) offsetof(struct vm_config, m), sizeof(((struct vm_config *)NULL)->m)
		{"console", SET(console), {"serial", "debug", "none"}, "serial, debug or none"},
		{"input", SET(input), {"serial", "keyboard"}, "serial or keyboard"},
		{"ticks", SET(ticks), {"catchup", "coalesce"}, "catchup or coalesce"},
		{"vpid", SET(vpid), {"off", "on"}, "off or on"},
		{"autostart", SET(autostart), {"no", "yes"}, "no or yes"},
		{"restart", SET(restart), {"never", "reset", "always"}, "never, reset or always"},
		{"exit-port", SET(exit_port), {"off", "on"}, "off or on"},
		{"privileged", SET(privileged), {"no", "yes"}, "no or yes"},
	};
	static const char *const wrong[] = {"",	   "1",	    "0",    "x",    "serialx",
					    "nev", "onoff", "true", "no ne"};
	char line[64], error[160];

	(void)state;
	for (unsigned i = 0; i < array_count(sets); i++) {
		for (unsigned j = 0; j < 4 && sets[i].words[j]; j++) {
			unsigned value = 0;

			snprintf(line, sizeof(line), "%s = %s", sets[i].key, sets[i].words[j]);
			memcpy(&value, (const char *)good(section(line)) + sets[i].offset,
			       sets[i].size);
			assert_int_equal(value, j);
		}
		for (unsigned j = 0; j < array_count(wrong); j++) {
			snprintf(line, sizeof(line), "%s = \"%s\"", sets[i].key, wrong[j]);
			snprintf(error, sizeof(error), "2:%zu: a: %s = '%s': must be %s",
				 strlen(sets[i].key) + 4, sets[i].key, wrong[j], sets[i].valid);
			assert_int_equal(parse(section(line)), 1);
			assert_memory_equal(errors[0], error, strlen(error));
			assert_bad(&vms[0], "a");
		}
	}
}

static void test_boot_words(void **state)
{
	(void)state;
	assert_int_equal(good(section("boot = disk"))->boot, VM_BOOT_DISK);
	assert_int_equal(good("[vm a]\n" KERNEL "flat")->boot, VM_BOOT_FLAT);
	assert_int_equal(good("[vm a]\n" KERNEL "elf")->boot, VM_BOOT_ELF);
	assert_int_equal(good("[vm a]\n" KERNEL "multiboot")->boot, VM_BOOT_MULTIBOOT);
	assert_string_equal(vm_config_boot_name(VM_BOOT_MULTIBOOT), "multiboot");
	assert_string_equal(vm_config_boot_name(VM_BOOT_FLAT), "flat");
	refused(section("boot = grub"), "2:8: a: boot = 'grub': must be flat, multiboot, elf or "
					"disk");
	refused(section("boot = Disk"), "2:8: a: boot = 'Disk': must be flat, multiboot, elf or "
					"disk; did you mean 'disk'?");
}

static void test_bad_values(void **state)
{
	static const char disk[] = "a module's name, also with size=BYTES, or blank:BYTES; 512 to "
				   "128G, in steps of 512";
	static const char module[] = "a module's name: 1 to 63 of A-Z a-z 0-9 . _ + - /";
	static const struct {
		const char *key, *valid;
		const char *values[10];
	} cases[] = {
		{"memory",
		 "64K to 3G, in steps of 4K",
		 {"0", "60K", "0xfffff", "3G1", "0xc0001000", "-1", "18446744073709551616", "16m",
		  "16 M", "17179869184G"}},
		{"cpus", "1: a VM has one CPU so far", {"0", "2", "one", "-1", "4294967297"}},
		{"cpu",
		 "any, or the number of a physical CPU, 0 to 63",
		 {"64", "-1", "a", "4294967296", "0x100000000", "1.5", "ANY", "0x", "all"}},
		{"writes",
		 "64K to 128G, in steps of 4K",
		 {"0", "60K", "66K", "0x2000001000", "all"}},
		{"weight", "1 to 1000", {"0", "1001", "1K", "4294967297", "-1", "half", "1.5"}},
		{"disk0",
		 disk,
		 {"blank:", "blank:0", "blank:511", "blank:513", "blank:0x2000000200", "blank:1M x",
		  "Blank:1M", "x=y", "a:b"}},
		{"disk3",
		 disk,
		 {"x size", "x size=", "x size=0", "x size=1000", "x size=129G", "x 1M",
		  "x size=1M y", "x Size=1M", "\\\"x\\\"", "x,size=1M"}},
		{"firmware", module, {"a b", "a:b", "a\\\\b", "(hd0)/x", "*", "%n%s"}},
		{"kernel", module, {"a b", "blank:1M", "a,b", "~", "$x"}},
		{"at",
		 "an address up to 0xf0000, a multiple of 16",
		 {"1", "0x7c08", "0xf0010", "1G", "0x", "-16", "0x10000000000000000", "7c00"}},
	};

	(void)state;
	for (unsigned i = 0; i < array_count(cases); i++)
		for (unsigned j = 0; j < 10 && cases[i].values[j]; j++) {
			const char *value = cases[i].values[j];
			char text[240], shown[64];
			size_t n = 0;

			snprintf(text, sizeof(text), "[vm a]\n%s = \"%s\"\n", cases[i].key, value);
			for (const char *s = value; *s; s++) {
				s += *s == '\\';
				shown[n++] = *s;
			}
			shown[n] = '\0';
			assert_int_equal(parse(text), 1);
			snprintf(text, sizeof(text), ": a: %s = '%s': must be %s", cases[i].key,
				 shown, cases[i].valid);
			assert_string_equal(strchr(strchr(errors[0], ':') + 1, ':'), text);
			assert_bad(&vms[0], "a");
		}
}

static void test_names_of_modules_have_a_length(void **state)
{
	char text[200], name[70] = "";

	(void)state;
	memset(name, 'n', 63);
	snprintf(text, sizeof(text), "[vm a]\ndisk0 = %s", name);
	assert_string_equal(good(text)->disk[0].image.name, name);
	assert_string_equal(good("[vm a]\ndisk0 = A-z_0.9+/x")->disk[0].image.name, "A-z_0.9+/x");
	name[63] = 'n';
	snprintf(text, sizeof(text), "[vm a]\ndisk0 = %s", name);
	assert_int_equal(parse("[vm a]\nfirmware = \"\"\ndisk0 = \"\""), 2);
	assert_non_null(strstr(errors[0], "2:12: a: firmware = '': must be a module's name"));
	assert_non_null(strstr(errors[1], "3:9: a: disk0 = '': must be a module's name"));
	assert_int_equal(parse(text), 1);
	assert_non_null(strstr(errors[0], "disk0 = 'nnn"));
	assert_non_null(strstr(errors[0], "...': must be a module's name"));
}

static void test_command_lines_have_a_length(void **state)
{
	char text[400], line[300] = "";

	(void)state;
	memset(line, 'c', 255);
	snprintf(text, sizeof(text), "[vm a]\n" KERNEL "multiboot\ncmdline = %s", line);
	assert_string_equal(good(text)->cmdline, line);
	line[255] = 'c';
	snprintf(text, sizeof(text), "[vm a]\n" KERNEL "multiboot\ncmdline = %s", line);
	assert_int_equal(parse(text), 1);
	assert_non_null(strstr(errors[0], "4:11: a: cmdline = 'cccc"));
	assert_non_null(strstr(errors[0], "...': must be text of at most 255 bytes"));
	assert_string_equal(good("[vm a]\n" KERNEL "multiboot\ncmdline = \"\"")->cmdline, "");
}

static void test_modules_repeat_up_to_four_times(void **state)
{
	char text[200] = "[vm a]\n" KERNEL "multiboot\n";

	(void)state;
	for (unsigned i = 0; i < 4; i++)
		strcat(text, "module = m\n");
	assert_int_equal(good(text)->module_count, 4);
	strcat(text, "module = five\n");
	refused(text, "8:10: a: module = 'five': must be a module's name: 1 to 63 of A-Z a-z 0-9 . "
		      "_ + - /; at most 4 times");
}

static void test_each_other_key_once(void **state)
{
	static const char *const keys[] = {
		"memory = 1M",	  "cpus = 1",	     "cpu = 1",	       "boot = disk",
		"kernel = k",	  "at = 0",	     "cmdline = c",    "disk0 = d",
		"disk1 = d",	  "disk2 = d",	     "disk3 = d",      "firmware = f",
		"console = none", "ticks = catchup", "vpid = on",      "weight = 1",
		"autostart = no", "restart = never", "exit-port = on", "input = serial"};
	char text[200], error[100];

	(void)state;
	for (unsigned i = 0; i < array_count(keys); i++) {
		const int n = (int)(strchr(keys[i], ' ') - keys[i]);

		snprintf(text, sizeof(text), "[vm a]\n%s\n\n%s\n", keys[i], keys[i]);
		snprintf(error, sizeof(error), "4:1: a: '%.*s' is there twice, first on line 2", n,
			 keys[i]);
		refused(text, error);
		assert_bad(&vms[0], "a");
	}
	refused("[vm a]\nmemory = 1M\nmem = 1M\n", "3:1: a: 'mem' is there twice, first on line 2");
	/* Also after a wrong value. */
	assert_int_equal(parse("[vm a]\nmemory = 1\nmemory = 1M\n"), 2);
}

static void test_unknown_keys(void **state)
{
	static const struct {
		const char *key, *meant;
	} cases[] = {
		{"memroy", "memory"},	    {"Memory", "memory"},
		{"mmory", "memory"},	    {"memoryy", "memory"},
		{"memorie", "memory"},	    {"disk", "disk0"},
		{"disk4", "disk0"},	    {"CPU", "cpu"},
		{"exit_port", "exit-port"}, {"exitport", "exit-port"},
		{"autostrat", "autostart"}, {"cmd-line", "cmdline"},
		{"wieght", "weight"},	    {"restat", "restart"},
		{"tick", "ticks"},	    {"kenrel", "kernel"},
		{"modules", "module"},	    {"cups", "cpus"},
	};
	static const char *const far[] = {
		"x",	     "foo",   "network",
		"ram",	     "c",     "m",
		"diskimage", "name2", "a-very-long-key-that-nothing-is-like"};
	char text[80], error[120];

	(void)state;
	for (unsigned i = 0; i < array_count(cases); i++) {
		snprintf(text, sizeof(text), "%s = 1", cases[i].key);
		snprintf(error, sizeof(error), "2:1: a: unknown key '%s': did you mean '%s'?",
			 cases[i].key, cases[i].meant);
		refused(section(text), error);
	}
	for (unsigned i = 0; i < array_count(far); i++) {
		snprintf(text, sizeof(text), "%s = 1", far[i]);
		assert_int_equal(parse(section(text)), 1);
		snprintf(error, sizeof(error), "2:1: a: unknown key '%s'; known: memory cpus",
			 far[i]);
		assert_memory_equal(errors[0], error, strlen(error));
	}
	refused(section("name = b"), "2:1: a: 'name' does not belong here: the name stands in the "
				     "heading, [vm NAME]");
}

static void test_the_nearest_word_is_meant(void **state)
{
	(void)state;
	/* `cpus` and `cpu` are both near. */
	assert_int_equal(parse(section("cpuz = 1")), 1);
	assert_string_equal(errors[0], "2:1: a: unknown key 'cpuz': did you mean 'cpus'?");
	assert_int_equal(parse(section("console = seriel")), 1);
	assert_non_null(strstr(errors[0], "; did you mean 'serial'?"));
	assert_int_equal(parse(section("restart = resets")), 1);
	assert_non_null(strstr(errors[0], "; did you mean 'reset'?"));
	assert_int_equal(parse(section("vpid = no")), 1);
	assert_non_null(strstr(errors[0], "must be off or on; did you mean 'on'?"));
	assert_int_equal(parse(section("ticks = slow")), 1);
	assert_null(strstr(errors[0], "did you mean"));
}

static void test_what_to_boot(void **state)
{
	(void)state;
	refused("[vm a]\n", "1:1: a: nothing to boot: give disk0 = MODULE, or kernel = MODULE with "
			    "boot = multiboot, elf or flat");
	assert_bad(&vms[0], "a");
	refused("\n [vm a]\nboot = disk", "3:1: a: nothing to boot: give disk0 = MODULE, or kernel "
					  "= MODULE with boot = multiboot, elf or flat");
	refused("[vm a]\ndisk0 = blank:1M\ndisk1 = blank:1M",
		"1:1: a: nothing to boot: all disks are blank, one must be a module");
	refused("[vm a]\nkernel = k", "2:1: a: a kernel needs boot = multiboot, elf or flat as "
				      "well");
	refused("[vm a]\nkernel = k\ndisk0 = d",
		"2:1: a: a kernel needs boot = multiboot, elf or flat as well");
	refused("[vm a]\nkernel = k\nboot = disk\ndisk0 = d",
		"2:1: a: a kernel does not go with boot = disk, which boots what is on a disk; "
		"valid with it: boot = multiboot, elf or flat");
	refused("[vm a]\nboot = elf\ndisk0 = d",
		"2:1: a: boot = elf needs kernel = MODULE as well");
	refused("[vm a]\nboot = flat", "2:1: a: boot = flat needs kernel = MODULE as well");
	assert_int_equal(good("[vm a]\ndisk0 = blank:1M\ndisk1 = d")->boot, VM_BOOT_DISK);
	assert_int_equal(good("[vm a]\ndisk2 = d")->boot, VM_BOOT_DISK);
}

static void test_keys_without_effect_are_errors(void **state)
{
	static const struct {
		const char *key, *boot;
	} cases[] = {
		{"at = 0", "flat"},
		{"cmdline = x", "multiboot"},
		{"module = x", "multiboot"},
		{"firmware = x", "disk"},
	};
	static const char *const boots[] = {"flat", "multiboot", "elf", "disk"};
	char text[100], error[120];

	(void)state;
	for (unsigned i = 0; i < array_count(cases); i++)
		for (unsigned j = 0; j < array_count(boots); j++) {
			const bool disk = !strcmp(boots[j], "disk");

			snprintf(text, sizeof(text), "[vm a]\n%s\nboot = %s\n%s = k\n",
				 cases[i].key, boots[j], disk ? "disk0" : "kernel");
			if (!strcmp(boots[j], cases[i].boot)) {
				good(text);
				continue;
			}
			snprintf(error, sizeof(error),
				 "2:1: a: '%.*s' is for boot = %s only; this is boot = %s",
				 (int)(strchr(cases[i].key, ' ') - cases[i].key), cases[i].key,
				 cases[i].boot, boots[j]);
			refused(text, error);
		}
}

static void test_memory_holds_what_it_must(void **state)
{
	(void)state;
	refused(section("memory = 1020K"), "2:1: a: memory is 1020 KiB: boot = disk needs 1M at "
					   "least, for the firmware");
	good(section("memory = 1M"));
	refused("[vm a]\n" KERNEL "flat\nmemory = 128K\nat = 0x20000",
		"5:1: a: at = 0x20000 is beyond memory, which has 128 KiB");
	good("[vm a]\n" KERNEL "flat\nmemory = 128K\nat = 0x1fff0");
	good("[vm a]\n" KERNEL "elf\nmemory = 64K");
}

/* One mistake is told once: what follows from it is not. */
static void test_no_errors_from_errors(void **state)
{
	(void)state;
	assert_int_equal(parse("[vm a]\nkernl = k\nboot = elf"), 1);
	assert_int_equal(parse("[vm a]\nkernel = k\nboot = eff"), 1);
	assert_int_equal(parse("[vm a]\ndisk0 = ?"), 1);
	assert_int_equal(parse("[vm a]\ndisk0 = x\nmemory = 1\nat = 0x10000"), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_all_keys_together),
		cmocka_unit_test(test_limits_are_inclusive),
		cmocka_unit_test(test_sets_of_words),
		cmocka_unit_test(test_boot_words),
		cmocka_unit_test(test_bad_values),
		cmocka_unit_test(test_names_of_modules_have_a_length),
		cmocka_unit_test(test_command_lines_have_a_length),
		cmocka_unit_test(test_modules_repeat_up_to_four_times),
		cmocka_unit_test(test_each_other_key_once),
		cmocka_unit_test(test_unknown_keys),
		cmocka_unit_test(test_the_nearest_word_is_meant),
		cmocka_unit_test(test_what_to_boot),
		cmocka_unit_test(test_keys_without_effect_are_errors),
		cmocka_unit_test(test_memory_holds_what_it_must),
		cmocka_unit_test(test_no_errors_from_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
