/*
 * Modules that a configuration names, the configuration on the ISO, and the document's table.
 * needs: core/vm_config.c core/config_keys.c core/config_check.c core/config_report.c
 * needs: core/config_modules.c lib/text.c lib/printf.c
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "vm_config_rig.h"

static const struct vm_config_module modules[] = {
	{"firmware", 65536}, {"big", 1 << 20}, {"labos.img", 4096}, {"k.elf", 0x8000},
	{"empty", 0},	     {"twice", 1},     {"twice", 2},
};

static unsigned check_with(const char *text, const struct vm_config_module *list, unsigned count)
{
	struct vm_config before, c = *good(text);
	struct vm_config_sink sink = rig_sink();
	unsigned found;

	memcpy(&before, &c, sizeof(c));
	found = vm_config_check_modules(&c, list, count, &sink);
	assert_int_equal(found, sink.count);
	assert_memory_equal(&c, &before, sizeof(c));
	return found;
}

static unsigned check(const char *text)
{
	return check_with(text, modules, array_count(modules));
}

static void lacks(const char *text, const char *error)
{
	assert_int_equal(check(text), 1);
	assert_string_equal(errors[0], error);
}

static void test_all_are_there(void **state)
{
	(void)state;
	assert_int_equal(check("[vm a]\ndisk0 = labos.img\ndisk1 = labos.img\ndisk2 = blank:1M"),
			 0);
	assert_int_equal(check("[vm a]\nkernel = k.elf\nboot = elf"), 0);
	assert_int_equal(check("[vm a]\nkernel=k.elf\nboot=multiboot\nmodule=k.elf\nmodule=k.elf"),
			 0);
}

static void test_each_kind_is_looked_for(void **state)
{
	const char *rest = "GRUB may have dropped it for want of memory; present: firmware "
			   "big labos.img k.elf empty twice twice";
	char error[200];

	(void)state;
	snprintf(error, sizeof(error), "2:9: a: module 'x.img' is not there: %s", rest);
	lacks("[vm a]\ndisk0 = x.img", error);
	snprintf(error, sizeof(error), "3:9: a: module 'x.img' is not there: %s", rest);
	lacks("[vm a]\ndisk0 = labos.img\ndisk3 = x.img", error);
	snprintf(error, sizeof(error), "2:10: a: module 'bios' is not there: %s", rest);
	lacks("[vm a]\nkernel = bios\nboot = elf", error);
	snprintf(error, sizeof(error), "4:10: a: module 'bios' is not there: %s", rest);
	lacks("[vm a]\nkernel = k.elf\nboot = multiboot\nmodule = bios", error);
	snprintf(error, sizeof(error), "3:12: a: module 'bios' is not there: %s", rest);
	lacks("[vm a]\ndisk0 = labos.img\nfirmware = bios", error);
}

/* Told at the heading: there is no line that names it. */
static void test_the_default_firmware_is_looked_for(void **state)
{
	(void)state;
	assert_int_equal(check_with("\n[vm a]\ndisk0 = labos.img", modules + 2, 2), 1);
	assert_string_equal(errors[0], "2:1: a: module 'firmware' is not there: GRUB may have "
				       "dropped it for want of memory; present: labos.img k.elf");
	assert_int_equal(check_with("[vm a]\nkernel = k.elf\nboot = elf", modules + 2, 2), 0);
}

static void test_what_else_is_wrong(void **state)
{
	(void)state;
	lacks("[vm a]\ndisk0 = empty", "2:9: a: module 'empty' is empty");
	lacks("[vm a]\ndisk0 = twice",
	      "2:9: a: module 'twice' is there twice: each needs a name of its own");
	lacks("[vm a]\ndisk0 = lobas.img",
	      "2:9: a: module 'lobas.img' is not there: did you mean 'labos.img'?");
	assert_int_equal(check_with("[vm a]\nkernel = k\nboot = elf", NULL, 0), 1);
	assert_string_equal(errors[0], "2:10: a: module 'k' is not there: GRUB may have dropped it "
				       "for want of memory; present: none");
	assert_int_equal(check("[vm a]\nfirmware = no\ndisk0 = none\ndisk1 = nothing"), 3);
}

static void test_a_flat_kernel_fits_memory(void **state)
{
	(void)state;
	assert_int_equal(check("[vm a]\nkernel=k.elf\nboot=flat\nmemory=64K\nat=0x8000"), 0);
	lacks("[vm a]\nkernel=k.elf\nboot=flat\nmemory=64K\nat=0x8010",
	      "2:8: a: module 'k.elf' has 32768 bytes: from 0x8010 on, memory has 32752");
	assert_int_equal(check("[vm a]\nkernel=k.elf\nboot=elf\nmemory=64K"), 0);
	assert_int_equal(check("[vm a]\nkernel=big\nboot=elf\nmemory=64K"), 0);
	assert_int_equal(check("[vm a]\nkernel=absent\nboot=flat"), 1);
	assert_int_equal(check("[vm a]\nkernel=empty\nboot=flat"), 1);
}

static void test_names_from_the_boot_loader_are_shown_safely(void **state)
{
	struct vm_config_module odd[12];
	char long_name[300] = "", text[120];

	(void)state;
	memset(long_name, 'n', sizeof(long_name) - 1);
	for (unsigned i = 0; i < array_count(odd); i++)
		odd[i] = (struct vm_config_module){i % 3 == 2 ? long_name : "\x1b[2J%s\n", 1};
	for (unsigned n = 0; n <= array_count(odd); n++) {
		assert_int_equal(check_with("[vm a]\nkernel = k\nboot = elf", odd, n), 1);
		assert_true(n < 5 || strstr(errors[0], " ..."));
	}
	/* No module's name can be so long, so none of these was meant. */
	odd[0].name = long_name;
	snprintf(text, sizeof(text), "[vm a]\nkernel = %.63s\nboot = elf", long_name);
	assert_int_equal(check_with(text, odd, 1), 1);
	assert_null(strstr(errors[0], "did you mean"));
	odd[0].name = "labos\x7f";
	assert_int_equal(check_with("[vm a]\nkernel = labosx\nboot = elf", odd, 1), 1);
	assert_non_null(strstr(errors[0], "did you mean 'labos\\x7f'?"));
}

static void test_the_list_of_modules_is_cut_between_names(void **state)
{
	struct vm_config_module list[40];
	char name[VM_MODULE_NAME_MAX] = "";

	(void)state;
	for (unsigned length = 1; length < 40; length++) {
		name[length - 1] = 'z';
		for (unsigned i = 0; i < array_count(list); i++)
			list[i] = (struct vm_config_module){name, 1};
		for (unsigned n = 1; n <= array_count(list); n++) {
			const char *s;
			unsigned shown = 0;

			assert_int_equal(check_with("[vm a]\nkernel = k\nboot=elf", list, n), 1);
			for (s = strstr(errors[0], "present:") + 8; !strncmp(s + 1, name, length);
			     s += length + 1)
				shown++;
			assert_string_equal(s, shown == n ? "" : " ...");
			assert_true(shown == n || (shown + 2) * (length + 1) > 80);
		}
	}
}

static void test_own_modules_and_bad_vms_name_none(void **state)
{
	struct vm_config_sink sink = rig_sink();
	struct vm_config c = {.bad = true};
	char error[8];

	(void)state;
	assert_int_equal(vm_config_check_modules(&c, NULL, 0, &sink), 0);
	assert_int_equal(vm_config_parse(&c, "guest name=a", error, sizeof(error)), OK);
	assert_int_equal(vm_config_check_modules(&c, NULL, 0, &sink), 0);
	assert_int_equal(vm_config_parse(&c, "guest name=a boot=disk", error, sizeof(error)), OK);
	assert_int_equal(vm_config_check_modules(&c, modules, 1, &sink), 0);
	assert_int_equal(vm_config_check_modules(&c, NULL, 0, &sink), 1);
	assert_int_equal(vm_config_check_modules(&c, NULL, 0, &sink), 1);
	assert_int_equal(sink.count, 2);
	c.bad = true;
	assert_int_equal(vm_config_check_modules(&c, NULL, 0, &sink), 0);
	assert_string_equal(errors[0], "0:0: a: module 'firmware' is not there: GRUB may have "
				       "dropped it for want of memory; present: none");
}

/* A file of the source tree, which is where tests run. */
static char *read_file(const char *path)
{
	char *text = calloc(1, VM_CONFIG_TEXT_MAX);
	FILE *f = fopen(path, "rb");

	assert_non_null(text);
	if (!f)
		fail_msg("%s cannot be opened", path);
	assert_true(fread(text, 1, VM_CONFIG_TEXT_MAX - 1, f) > 0);
	fclose(f);
	return text;
}

static void test_the_configuration_on_the_iso(void **state)
{
	char *text = read_file("iso/crvm.conf");

	(void)state;
	if (parse(text))
		fail_msg("%s", errors[0]);
	assert_int_equal(vm_count, 3);
	assert_string_equal(vms[0].name, "labos-1");
	assert_string_equal(vms[1].name, "labos-2");
	assert_string_equal(vms[2].name, "clock64");
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(vms[i].boot, VM_BOOT_DISK);
		assert_in_range(vms[i].mem, 16 << 20, 32 << 20);
		assert_string_equal(vms[i].disk[0].image.name, "labos.img");
		assert_int_equal(vms[i].disk[1].kind, VM_DISK_BLANK);
		assert_int_equal(vms[i].disk[1].size, 16 << 20);
		assert_int_equal(vms[i].disk[2].size, 8 << 20);
	}
	assert_int_equal(vms[2].boot, VM_BOOT_MULTIBOOT);
	assert_string_equal(vms[2].kernel.name, "clock64.elf");
	free(text);
}

/* What it shows behind a # must be right as well, once the # is taken away. */
static void test_examples_in_the_configuration_on_the_iso(void **state)
{
	char *text = read_file("iso/crvm.conf");
	unsigned examples = 0;

	(void)state;
	for (char *s = text; (s = strstr(s, "\n#")); s++)
		if (s[2] >= 'a' && s[2] <= 'z' && strstr(s, " = ")) {
			s[1] = ' ';
			examples++;
		}
	assert_true(examples >= 5);
	if (parse(text))
		fail_msg("%s", errors[0]);
	assert_int_equal(vms[0].disk[3].size, 64 << 20);
	free(text);
}

/* Each key that the parser knows has a row; that of disk0 is for four. */
static void test_the_document_has_all_keys(void **state)
{
	char *text = read_file("docs/configuration.md");
	char list[300], row[40], *save, *key;
	unsigned count = 0;

	(void)state;
	assert_int_equal(parse("[vm a]\nxyzzy = 1\n"), 1);
	snprintf(list, sizeof(list), "%s", strstr(errors[0], "known: ") + 7);
	for (key = strtok_r(list, " ", &save); key; key = strtok_r(NULL, " ", &save), count++) {
		snprintf(row, sizeof(row), "\n| `%s`", key);
		if (!strstr(text, row) && strncmp(key, "disk", 4))
			fail_msg("docs/configuration.md has no row for %s", key);
	}
	assert_non_null(strstr(text, "\n| `disk0` to `disk3` |"));
	assert_int_equal(count, 24);
	free(text);
}

/* The text that the document shows as an example. */
static void test_the_document_s_example(void **state)
{
	char *text = read_file("docs/configuration.md");
	char *start = strstr(text, "# A comment.\n"), *end;

	(void)state;
	assert_non_null(start);
	end = strstr(start, "```");
	assert_non_null(end);
	*end = '\0';
	assert_int_equal(good(start)->disk[1].size, 16 << 20);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_are_there),
		cmocka_unit_test(test_each_kind_is_looked_for),
		cmocka_unit_test(test_the_default_firmware_is_looked_for),
		cmocka_unit_test(test_what_else_is_wrong),
		cmocka_unit_test(test_a_flat_kernel_fits_memory),
		cmocka_unit_test(test_names_from_the_boot_loader_are_shown_safely),
		cmocka_unit_test(test_the_list_of_modules_is_cut_between_names),
		cmocka_unit_test(test_own_modules_and_bad_vms_name_none),
		cmocka_unit_test(test_the_configuration_on_the_iso),
		cmocka_unit_test(test_examples_in_the_configuration_on_the_iso),
		cmocka_unit_test(test_the_document_has_all_keys),
		cmocka_unit_test(test_the_document_s_example),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
