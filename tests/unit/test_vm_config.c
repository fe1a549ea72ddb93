/*
 * The words `guest name=...` of a module's command line: every key, GRUB's quoting, messages, and
 * text from somebody hostile.
 * needs: core/vm_config.c core/config_keys.c core/config_check.c core/config_report.c lib/text.c
 * needs: lib/printf.c
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <crvm/compiler.h>
#include <crvm/percpu.h>
#include <crvm/status.h>
#include "../../core/vm_config.h"
#include "ram.h"

static struct vm_config config;
static char error[240];

/* Parses a copy on the heap, so that a read past its end is caught. */
static int parse_into(const char *text, size_t size)
{
	char *copy = strdup(text), *message = malloc(size);
	int err;

	memset(&config, 0xa5, sizeof(config));
	memset(message, 'x', size);
	err = vm_config_parse(&config, copy, message, size);
	if (err) {
		assert_int_equal(err, E_INVAL);
		assert_true(config.bad);
		assert_int_equal(config.mem, 0);
		assert_true(memchr(message, '\0', size));
		snprintf(error, sizeof(error), "%s", message);
	}
	free(copy);
	free(message);
	return err;
}

static int parse(const char *text)
{
	return parse_into(text, sizeof(error));
}

static void refused(const char *text, const char *message)
{
	if (parse(text) == OK)
		fail_msg("\"%s\" was taken", text);
	assert_string_equal(error, message);
}

static void test_the_first_word_says_what_it_is(void **state)
{
	(void)state;
	assert_true(vm_config_is_guest("guest"));
	assert_true(vm_config_is_guest("guest name=a"));
	assert_true(vm_config_is_guest("guest "));
	assert_true(vm_config_is_guest("guest\tname=a"));
	assert_false(vm_config_is_guest(""));
	assert_false(vm_config_is_guest("gues"));
	assert_false(vm_config_is_guest("guests name=a"));
	assert_false(vm_config_is_guest(" guest name=a"));
	assert_false(vm_config_is_guest("Guest"));
	refused("", "there is no name=");
	refused("gu", "there is no name=");
}

static void test_defaults(void **state)
{
	(void)state;
	assert_int_equal(parse("guest name=a"), OK);
	assert_string_equal(config.name, "a");
	assert_false(config.bad);
	assert_int_equal(config.place.line, 0);
	assert_int_equal(config.mem, 16 << 20);
	assert_int_equal(config.at, 0x7c00);
	assert_int_equal(config.cpus, 1);
	assert_int_equal(config.cpu, -1);
	assert_int_equal(config.boot, VM_BOOT_FLAT);
	assert_string_equal(config.kernel.name, "");
	assert_string_equal(config.firmware.name, "firmware");
	assert_int_equal(config.disk[0].kind, VM_DISK_NONE);
	assert_true(config.vpid);
	assert_int_equal(config.weight, 100);
	assert_true(config.autostart);
	assert_int_equal(config.restart, VM_RESTART_RESET);
	assert_true(config.exit_port);
}

static void test_every_key_in_any_order_and_spacing(void **state)
{
	(void)state;
	assert_int_equal(parse("guest   vpid=off cpu=3\tat=0xf0000 mem=64M name=uart-2 "
			       "exit-port=off weight=5 autostart=no restart=always console=none "
			       "ticks=coalesce cpus=1 disk1=blank:1M disk0=d disk3=e boot=flat \t"),
			 OK);
	assert_string_equal(config.name, "uart-2");
	assert_int_equal(config.mem, 64 << 20);
	assert_int_equal(config.at, 0xf0000);
	assert_int_equal(config.cpu, 3);
	assert_false(config.vpid);
	assert_false(config.exit_port);
	assert_int_equal(config.weight, 5);
	assert_false(config.autostart);
	assert_int_equal(config.restart, VM_RESTART_ALWAYS);
	assert_int_equal(config.console, VM_CONSOLE_NONE);
	assert_int_equal(config.ticks, VM_TICKS_COALESCE);
	assert_int_equal(config.disk[0].kind, VM_DISK_MODULE);
	assert_int_equal(config.disk[1].kind, VM_DISK_BLANK);
	assert_int_equal(config.disk[2].kind, VM_DISK_NONE);
	assert_string_equal(config.disk[3].image.name, "e");
	assert_int_equal(parse("guest memory=64K name=a"), OK);
	assert_int_equal(config.mem, 65536);
}

static void test_the_module_is_the_kernel(void **state)
{
	(void)state;
	assert_int_equal(parse("guest name=a boot=multiboot module=m module=n cmdline=x"), OK);
	assert_int_equal(config.boot, VM_BOOT_MULTIBOOT);
	assert_int_equal(config.module_count, 2);
	assert_string_equal(config.module[1].name, "n");
	assert_string_equal(config.cmdline, "x");
	assert_string_equal(config.kernel.name, "");
	refused("guest name=a kernel=k boot=elf",
		"'kernel' does not belong here: the module with these words is the kernel");
}

static void test_the_module_is_disk_0(void **state)
{
	(void)state;
	assert_int_equal(parse("guest name=a boot=disk disk1=x firmware=f"), OK);
	assert_int_equal(config.boot, VM_BOOT_DISK);
	assert_int_equal(config.disk[0].kind, VM_DISK_OWN);
	assert_int_equal(config.disk[0].size, 0);
	assert_int_equal(config.disk[1].kind, VM_DISK_MODULE);
	assert_string_equal(config.firmware.name, "f");
	refused("guest name=a boot=disk disk0=x",
		"disk0 does not go with boot=disk here: the module with these words is disk 0");
}

/* As GRUB writes them, after a user's quotes and in place of them. */
static void test_quotes(void **state)
{
	static const char *const lines[] = {
		"guest name=a boot=multiboot \"cmdline=one two\" vpid=off",
		"guest name=a boot=multiboot cmdline=\"one two\" vpid=off",
		"guest name=a boot=multiboot cmdline=\\\"one two\\\" vpid=off",
		"guest \"name=a\" boot=multiboot cmdline=one\" \"two vpid=off",
	};

	(void)state;
	for (unsigned i = 0; i < array_count(lines); i++) {
		assert_int_equal(parse(lines[i]), OK);
		assert_string_equal(config.cmdline, "one two");
		assert_false(config.vpid);
	}
	assert_int_equal(parse("guest name=a \"disk2=x size=1M\""), OK);
	assert_int_equal(config.disk[2].size, 1 << 20);
	assert_int_equal(parse("guest name=a boot=multiboot cmdline=\\'a\\\\b#c\\'"), OK);
	assert_string_equal(config.cmdline, "'a\\b#c'");
	refused("guest name=a \"vpid=on", "'vpid=on': a quote has no end");
	refused("guest name=a \"", "'': a quote has no end");
}

static void test_what_is_beyond_memory(void **state)
{
	(void)state;
	refused("guest name=a mem=64K at=0x10000", "at = 0x10000 is beyond memory, which has 64 "
						   "KiB");
	refused("guest name=a boot=disk mem=64K",
		"memory is 64 KiB: boot = disk needs 1M at least, for the firmware");
}

static void test_bad_names(void **state)
{
	static const char *const names[] = {
		"", "abcdefghijklmnop", "A", "a.b", "a_b", "a=b", "a/b", "%s%n"};
	char text[64], message[128];

	(void)state;
	for (unsigned i = 0; i < array_count(names); i++) {
		snprintf(text, sizeof(text), "guest name=%s", names[i]);
		snprintf(message, sizeof(message), "name = '%s': must be 1 to 15 of a-z 0-9 -",
			 names[i]);
		refused(text, message);
	}
	refused("guest name=\x80", "'name=\\x80': only printable ASCII is taken");
	refused("guest name=\x1b[m", "'name=\\x1b[m': only printable ASCII is taken");
	refused("guest name=a\n", "'name=a\\x0a': only printable ASCII is taken");
	refused("guest \"name=a\tb\"", "'name=a\\x09b': only printable ASCII is taken");
}

static void test_a_key_without_value(void **state)
{
	(void)state;
	refused("guest name", "'name' has no value: write name=VALUE");
	refused("guest name=a vpid", "'vpid' has no value: write vpid=VALUE");
	refused("guest name=a vpid=", "vpid = '': must be off or on");
	refused("guest name=a mem= vpid=on", "mem = '': must be 64K to 3G, in steps of 4K");
}

static void test_each_key_once(void **state)
{
	(void)state;
	refused("guest name=a name=b", "'name' is there twice");
	refused("guest name=a mem=1M mem=1M", "'mem' is there twice");
	refused("guest name=a mem=1M memory=1M", "'memory' is there twice");
	refused("guest name=a vpid=on vpid=off", "'vpid' is there twice");
}

static void test_unknown_words(void **state)
{
	static const char known[] =
		"; known: name memory cpus cpu boot at cmdline module disk0 "
		"disk1 disk2 disk3 writes shared firmware console input ticks vpid "
		"weight autostart restart exit-port privileged";
	char message[240];

	(void)state;
	snprintf(message, sizeof(message), "unknown key 'network'%s", known);
	refused("guest name=a network=b", message);
	snprintf(message, sizeof(message), "unknown key ''%s", known);
	refused("guest name=a =b", message);
	refused("guest name=a NAME=b", "unknown key 'NAME': did you mean 'name'?");
	refused("guest nam=b", "unknown key 'nam': did you mean 'name'?");
}

static void test_the_first_error_is_shown(void **state)
{
	(void)state;
	refused("guest mem=1 vpid=x", "mem = '1': must be 64K to 3G, in steps of 4K");
	refused("guest vpid=on", "there is no name=");
	refused("guest", "there is no name=");
	refused("guest    ", "there is no name=");
}

static void test_long_words(void **state)
{
	char text[400] = "guest name=a boot=multiboot cmdline=";
	const size_t n = strlen(text);

	(void)state;
	memset(text + n, 'w', 255 - 8);
	assert_int_equal(parse(text), OK);
	assert_int_equal(strlen(config.cmdline), 255 - 8);
	text[n + 255 - 8] = 'w';
	assert_int_equal(parse(text), E_INVAL);
	assert_non_null(strstr(error, "...': a word is longer than 255 bytes"));
}

/* The message is cut to whatever room there is, and ends. */
static void test_messages_fit(void **state)
{
	(void)state;
	for (size_t size = 1; size < 60; size++) {
		assert_int_equal(parse_into("guest name=a vpid=maybe", size), E_INVAL);
		assert_true(strlen(error) < size);
	}
}

/* Words are tried as they are, next to garbage: nothing breaks, and what is taken is in range. */
static void test_hostile_text(void **state)
{
	static const char *const parts[] = {" ",
					    "name=",
					    "a",
					    "mem=",
					    "64K",
					    "at=",
					    "0x7c00",
					    "cpu=",
					    "1",
					    "vpid=",
					    "on",
					    "=",
					    "%n%s",
					    "\x1b[",
					    "\xff",
					    "'",
					    "guest",
					    "name=z",
					    " mem=1G",
					    " cpu=0 ",
					    "\r\n",
					    "-1",
					    "0xffffffffffffffff",
					    "K",
					    "G",
					    "==",
					    "999999999",
					    "name=b c",
					    "\"",
					    "\\",
					    " disk0=",
					    " disk1=blank:",
					    " boot=disk",
					    " boot=elf",
					    " module=m",
					    " weight=9"};
	uint64_t seed = 20240501;
	unsigned taken = 0;

	(void)state;
	for (unsigned i = 0; i < 50000; i++) {
		char text[512] = "guest ";
		unsigned count = (unsigned)(fake_random(&seed) >> 60);

		if (fake_random(&seed) & 1 << 20)
			strcat(text, "name=a ");
		for (unsigned j = 0; j < count; j++)
			strcat(text, parts[(fake_random(&seed) >> 32) % array_count(parts)]);
		if (parse(text) != OK)
			continue;
		taken++;
		assert_in_range(strlen(config.name), 1, VM_NAME_MAX - 1);
		assert_in_range(config.mem, 64 << 10, 3ul << 30);
		assert_int_equal(config.mem % 4096, 0);
		assert_true(config.at < config.mem && config.at <= 0xf0000 && config.at % 16 == 0);
		assert_true(config.cpu >= -1 && config.cpu < (int)CPU_MAX);
		assert_int_equal(config.cpus, 1);
	}
	assert_true(taken > 500);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_first_word_says_what_it_is),
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_every_key_in_any_order_and_spacing),
		cmocka_unit_test(test_the_module_is_the_kernel),
		cmocka_unit_test(test_the_module_is_disk_0),
		cmocka_unit_test(test_quotes),
		cmocka_unit_test(test_what_is_beyond_memory),
		cmocka_unit_test(test_bad_names),
		cmocka_unit_test(test_a_key_without_value),
		cmocka_unit_test(test_each_key_once),
		cmocka_unit_test(test_unknown_words),
		cmocka_unit_test(test_the_first_error_is_shown),
		cmocka_unit_test(test_long_words),
		cmocka_unit_test(test_messages_fit),
		cmocka_unit_test(test_hostile_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
