/*
 * What `config` prints, `create` takes: each configuration comes back as it was.
 * needs: core/shell_config.c core/vm_config.c core/config_keys.c core/config_check.c
 * needs: core/config_report.c lib/text.c lib/printf.c
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#define vms	 shell_vms_unused /* core/vm.h has names of its own */
#define vm_count shell_vm_count_unused
#include "../../core/shell_priv.h"
#undef vms
#undef vm_count
#include "vm_config_rig.h"

/* Places are of the text, not of the VM. */
static void forget_places(struct vm_config *c)
{
	const struct vm_config_place none = {0, 0};

	c->place = c->kernel.place = c->firmware.place = none;
	for (unsigned i = 0; i < VM_MODULE_COUNT_MAX; i++)
		c->module[i].place = none;
	for (unsigned i = 0; i < VM_DISK_COUNT; i++)
		c->disk[i].image.place = none;
	for (unsigned i = 0; i < VM_SHARED_COUNT_MAX; i++)
		c->shared[i].place = none;
}

static char text[1536];

static void comes_back(const char *config)
{
	static struct vm_config before, after;

	before = *good(config);
	assert_true(shell_config_text(&before, text, sizeof(text)));
	assert_null(strchr(text, '\n'));
	shell_config_lines(text);
	after = *good(text);
	forget_places(&before);
	forget_places(&after);
	assert_memory_equal(&before, &after, sizeof(before));
}

static void test_the_simplest(void **state)
{
	(void)state;
	comes_back("[vm a]\ndisk0 = x");
	assert_true(shell_config_text(good("[vm a]\ndisk0 = x"), text, sizeof(text)));
	assert_string_equal(text, "[vm a]; memory = 16M; boot = disk; disk0 = x");
}

static void test_each_key(void **state)
{
	static const char *const keys[] = {
		"memory = 2G",
		"memory = 1M",
		"memory = 1028K",
		"cpu = 0",
		"cpu = 63",
		"cpu = any",
		"firmware = bios",
		"console = debug",
		"console = none",
		"console = serial",
		"input = keyboard",
		"input = serial",
		"ticks = coalesce",
		"ticks = catchup",
		"vpid = off",
		"vpid = on",
		"weight = 1",
		"weight = 1000",
		"autostart = no",
		"autostart = yes",
		"restart = never",
		"restart = reset",
		"restart = always",
		"exit-port = on",
		"exit-port = off",
		"privileged = yes",
		"privileged = no",
		"writes = 64K",
		"writes = 3G",
		"disk1 = blank:512",
		"disk2 = y size=1G",
		"disk3 = blank:128G",
		"shared = box:4K",
		"shared = box:64M irq=5",
		"shared = b:12K irq=15\nshared = a:1M\nshared = c:4K irq=3"};

	(void)state;
	for (size_t i = 0; i < array_count(keys); i++)
		comes_back(section(keys[i]));
}

static void test_each_boot(void **state)
{
	(void)state;
	comes_back("[vm a]\nboot = flat\nkernel = k");
	comes_back("[vm a]\nboot = flat\nkernel = k\nat = 0x1230\nmemory = 64K");
	comes_back("[vm a]\nboot = flat\nkernel = k\nat = 0");
	comes_back("[vm a]\nboot = elf\nkernel = dir/k.elf\ndisk3 = d");
	comes_back("[vm a]\nboot = multiboot\nkernel = k");
	comes_back("[vm a]\nboot = multiboot\nkernel = k\ncmdline = plain words\nmodule = m\n"
		   "module = n\nmodule = m");
}

static void test_odd_command_lines(void **state)
{
	(void)state;
	comes_back("[vm a]\nboot = multiboot\nkernel = k\ncmdline = \"a; b # c\"");
	assert_non_null(strstr(text, "a; b # c"));
	comes_back("[vm a]\nboot = multiboot\nkernel = k\ncmdline = \"say \\\"x;y\\\" \\\\; z\"");
	comes_back("[vm a]\nboot = multiboot\nkernel = k\ncmdline = \" \"");
	comes_back("[vm a]\nboot = multiboot\nkernel = k\ncmdline = \"end \\\\\"");
	comes_back("[vm a]\nboot = multiboot\nkernel = k\ncmdline = \"\"");
	comes_back("[vm a]\nboot = multiboot\nkernel = k\ncmdline = back\\slash;");
}

/* Everything as long as it can be still is one line of the shell. */
static void test_the_longest_fits(void **state)
{
	static char config[4096], quotes[241], name[64];
	int n;

	(void)state;
	for (size_t i = 0; i + 2 < sizeof(quotes); i += 2)
		memcpy(quotes + i, "\\\"", 2);
	memset(name, 'm', 63);
	n = snprintf(config, sizeof(config),
		     "[vm aaaaaaaaaaaaaaa]\nmemory = 3145724K\nboot = multiboot\nkernel = %s\n"
		     "cmdline = \"%s%s\"\nmodule = %s\nmodule = %s\nmodule = %s\nmodule = %s\n"
		     "cpu = 63\nconsole = serial\ninput = keyboard\nticks = coalesce\nvpid = "
		     "off\nweight = 1000\n"
		     "autostart = no\nrestart = always\nexit-port = on\n",
		     name, quotes, quotes, name, name, name, name);
	for (unsigned i = 0; i < VM_DISK_COUNT; i++)
		n += snprintf(config + n, sizeof(config) - (size_t)n,
			      "disk%u = %s size=137438952960\n", i, name);
	comes_back(config);
	n = (int)strlen("[vm a]; memory = 16M; boot = disk; disk0 = x");
	assert_false(shell_config_text(good("[vm a]\ndisk0 = x"), text, (size_t)n));
	assert_true(shell_config_text(good("[vm a]\ndisk0 = x"), text, (size_t)n + 1));
	assert_false(shell_config_text(good(config), text, 400));
	assert_int_equal(strlen(text), 399);
	assert_false(shell_config_text(good(config), text, 1));
}

static void test_lines(void **state)
{
	static const struct {
		const char *from, *to;
	} cases[] = {{"", ""},
		     {"a;b", "a\nb"},
		     {";;", "\n\n"},
		     {"a \"x;y\"; b", "a \"x;y\"\n b"},
		     {"\"\\\";\";", "\"\\\";\"\n"},
		     {"\"\\\\\";", "\"\\\\\"\n"},
		     {"\\;", "\\\n"},
		     {"\"\\", "\"\\"}};
	char line[32];

	(void)state;
	for (size_t i = 0; i < array_count(cases); i++) {
		strcpy(line, cases[i].from);
		shell_config_lines(line);
		assert_string_equal(line, cases[i].to);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_simplest),	 cmocka_unit_test(test_each_key),
		cmocka_unit_test(test_each_boot),	 cmocka_unit_test(test_odd_command_lines),
		cmocka_unit_test(test_the_longest_fits), cmocka_unit_test(test_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
