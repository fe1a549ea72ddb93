/*
 * The configuration's text: lines, sections, comments, quotes, line ends, limits, and places of
 * errors.
 * needs: core/vm_config.c core/config_keys.c core/config_check.c core/config_report.c lib/text.c
 * needs: lib/printf.c
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "vm_config_rig.h"

static void test_an_empty_text_has_no_vms(void **state)
{
	static const char *const texts[] = {
		"", "\n", "\n\n\n", " \t \n", "# only\n#comments", "\r\n\r\n", "\xef\xbb\xbf", "#"};

	(void)state;
	for (unsigned i = 0; i < array_count(texts); i++) {
		assert_int_equal(parse(texts[i]), 0);
		assert_int_equal(vm_count, 0);
	}
}

static void test_sections_and_lines(void **state)
{
	const char *text = "# one\n"
			   "[vm one]\n"
			   "disk0 = a.img\n"
			   "\n"
			   "  [ vm\ttwo-2 ]\t# two\n"
			   "\tmemory\t=\t32M\t# a comment\n"
			   "disk0=b.img#another\n"
			   "   disk1   =   blank:4K   \n"
			   "[vm 3]\n"
			   "disk0 = a.img";

	(void)state;
	assert_int_equal(parse(text), 0);
	assert_int_equal(vm_count, 3);
	assert_string_equal(vms[0].name, "one");
	assert_int_equal(vms[0].place.line, 2);
	assert_int_equal(vms[0].place.column, 1);
	assert_string_equal(vms[0].disk[0].image.name, "a.img");
	assert_int_equal(vms[0].disk[0].image.place.line, 3);
	assert_int_equal(vms[0].disk[0].image.place.column, 9);
	assert_int_equal(vms[0].mem, 16 << 20);
	assert_string_equal(vms[1].name, "two-2");
	assert_int_equal(vms[1].place.column, 3);
	assert_int_equal(vms[1].mem, 32 << 20);
	assert_string_equal(vms[1].disk[0].image.name, "b.img");
	assert_int_equal(vms[1].disk[1].size, 4096);
	assert_string_equal(vms[2].name, "3");
	assert_int_equal(vms[2].disk[1].kind, VM_DISK_NONE);
}

static void test_line_ends(void **state)
{
	(void)state;
	assert_int_equal(good("[vm a]\r\nmemory = 1M\r\ndisk0 = x\r\n")->mem, 1 << 20);
	assert_int_equal(good("[vm a]\r\ndisk0 = x\r\nmemory = 1M\r")->mem, 1 << 20);
	assert_int_equal(good("\xef\xbb\xbf[vm a]\ndisk0=x\nmemory=1M")->mem, 1 << 20);
	/* Elsewhere a carriage return is no line's end. */
	refused("[vm a]\ndisk0 = x\rmemory = 1M",
		"2:10: a: byte \\x0d: only comments may have other than printable ASCII");
	refused("[vm a]\ndisk0 = x\r\r\n",
		"2:10: a: byte \\x0d: only comments may have other than printable ASCII");
	refused("\n\xef\xbb\xbf[vm a]",
		"2:1: byte \\xef: only comments may have other than printable ASCII");
}

static void test_a_nul_ends_the_text(void **state)
{
	static const char padded[] = "[vm a]\ndisk0 = x\n\0\0\0\0";
	static const char more[] = "[vm a]\ndisk0 = x\n\0[vm b]\n";
	static const char within[] = "[vm a]\ndisk0 = x\0\0y";

	(void)state;
	assert_int_equal(parse_bytes(padded, sizeof(padded), RIG_VMS), 0);
	assert_int_equal(vm_count, 1);
	assert_int_equal(parse_bytes(more, sizeof(more), RIG_VMS), 1);
	assert_string_equal(errors[0], "0:0: a NUL ends the text at byte 17 of 26: what follows is "
				       "not read");
	assert_int_equal(vm_count, 1);
	assert_false(vms[0].bad);
	assert_int_equal(parse_bytes(within, sizeof(within) - 1, RIG_VMS), 1);
	assert_string_equal(vms[0].disk[0].image.name, "x");
	assert_int_equal(parse_bytes("\0", 1, RIG_VMS), 0);
}

static void test_other_bytes_stand_in_comments_only(void **state)
{
	(void)state;
	good("# \xc3\xa4 \x01 \x7f \xff\n[vm a] # \xe2\x82\xac\ndisk0 = x # \x1b[31m\n");
	refused("[vm \xc3\xa4]",
		"1:5: byte \\xc3: only comments may have other than printable ASCII");
	refused("[vm a]\ndisk0 = x\ncmdline = \"\xa0\"",
		"3:12: a: byte \\xa0: only comments may have other than printable ASCII");
	refused("[vm a]\ndisk0 = x\n\x1b[31m = 1",
		"3:1: a: byte \\x1b: only comments may have other than printable ASCII");
	refused("[vm a]\ndisk0 = x\nmemory = 1M\x7f",
		"3:12: a: byte \\x7f: only comments may have other than printable ASCII");
	refused("[vm a]\ndisk0 = x\nmemory\xc2\xa0= 1M",
		"3:7: a: byte \\xc2: only comments may have other than printable ASCII");
}

static void fill_line(char *text, const char *start, size_t len, char with)
{
	const size_t n = strlen(text), used = strlen(start);

	strcpy(text + n, start);
	memset(text + n + used, with, len - used);
	strcpy(text + n + len, "\n");
}

static void test_long_lines(void **state)
{
	char text[2048] = "[vm a]\ndisk0 = x\n";

	(void)state;
	fill_line(text, "#", 500, 'c');
	fill_line(text, "memory = 1M", 500, ' ');
	assert_int_equal(good(text)->mem, 1 << 20);
	strcpy(text, "[vm a]\r\ndisk0 = x\r\n");
	fill_line(text, "memory = 1M", 501, ' ');
	text[strlen(text) - 2] = '\r'; /* is none of the 500 */
	assert_int_equal(good(text)->mem, 1 << 20);
	strcpy(text, "[vm a]\ndisk0 = x\n");
	fill_line(text, "#", 501, 'c');
	refused(text, "3:501: a: the line is longer than 500 bytes");
	assert_bad(&vms[0], "a");
	strcpy(text, "");
	fill_line(text, "[vm a]\ndisk0", 600, 'x');
	refused(text, "2:501: a: the line is longer than 500 bytes");
}

/* What follows a heading that is too long is not taken for the VM before it. */
static void test_a_bad_heading_ends_the_section(void **state)
{
	static const char *const headings[] = {"[vm b", "[vm b] c",  "[xm b]",	"[]",
					       "[",	"[vm \x80]", "[vm \"b]"};
	char text[1024];

	(void)state;
	for (unsigned i = 0; i < array_count(headings); i++) {
		snprintf(text, sizeof(text), "[vm a]\ndisk0 = x\n%s\nmemory = 1M\nnonsense\n",
			 headings[i]);
		assert_int_equal(parse(text), 1);
		assert_non_null(strstr(errors[0], "3:"));
		assert_null(strstr(errors[0], " a: "));
		assert_int_equal(vm_count, 1);
		assert_false(vms[0].bad);
		assert_int_equal(vms[0].mem, 16 << 20);
	}
	strcpy(text, "[vm a]\ndisk0 = x\n");
	fill_line(text, "[vm b] #", 501, ' ');
	strcat(text, "memory = 1M\n");
	refused(text, "3:501: the line is longer than 500 bytes");
	assert_int_equal(vms[0].mem, 16 << 20);
	assert_false(vms[0].bad);
}

static void test_headings(void **state)
{
	(void)state;
	refused("[vm a", "1:6: ']' is missing: [vm NAME]");
	refused("[vm a # ]", "1:6: ']' is missing: [vm NAME]");
	refused("[vm a] b", "1:8: only a comment may follow ']'");
	refused("[vm a]]", "1:7: only a comment may follow ']'");
	refused("[crvm]", "1:2: unknown section 'crvm'; valid: [vm NAME]");
	refused("[ VM a]", "1:3: unknown section 'VM'; valid: [vm NAME]");
	refused("[vma]", "1:2: unknown section 'vma'; valid: [vm NAME]");
	refused("[v]", "1:2: unknown section 'v'; valid: [vm NAME]");
	refused("[]", "1:2: unknown section ''; valid: [vm NAME]");
	refused("[vm \"a\"]\ndisk0=x", "1:5: name '\"a\"': must be 1 to 15 of a-z 0-9 -");
	refused("[vm]\ndisk0=x", "1:4: a VM needs a name: [vm NAME]");
	refused("[vm  ]\ndisk0=x", "1:6: a VM needs a name: [vm NAME]");
	refused("[vm A]\ndisk0=x", "1:5: name 'A': must be 1 to 15 of a-z 0-9 -");
	refused("[vm a b]\ndisk0=x", "1:5: name 'a b': must be 1 to 15 of a-z 0-9 -");
	refused("[vm a.b]\ndisk0=x", "1:5: name 'a.b': must be 1 to 15 of a-z 0-9 -");
	assert_int_equal(vm_count, 0);
	refused("[vm abcdefghijklmnop]\ndisk0=x",
		"1:5: name 'abcdefghijklmnop': must be 1 to 15 of a-z 0-9 -");
	assert_string_equal(good("[vm abcdefghijklm-9]\ndisk0=x")->name, "abcdefghijklm-9");
}

static void test_lines_without_section(void **state)
{
	(void)state;
	assert_int_equal(parse("memory = 1M\ncpu = 1\n[vm a]\ndisk0 = x\n"), 1);
	assert_string_equal(errors[0], "1:1: this is before the first [vm NAME], so it belongs to "
				       "no VM");
	assert_int_equal(vm_count, 1);
	assert_false(vms[0].bad);
	assert_int_equal(vms[0].mem, 16 << 20);
}

static void test_entries(void **state)
{
	(void)state;
	refused("[vm a]\ndisk0 x", "2:7: a: '=' is missing: a line is KEY = VALUE or [vm NAME]");
	refused("[vm a]\nvm b]", "2:4: a: '=' is missing: a line is KEY = VALUE or [vm NAME]");
	refused(section("memory"), "2:1: a: 'memory' has no value: write memory=VALUE");
	refused(section("memory ="), "2:1: a: 'memory' has no value: write memory=VALUE");
	refused(section("memory = # 1M"), "2:1: a: 'memory' has no value: write memory=VALUE");
	refused(section("memory = \"\""),
		"2:10: a: memory = '': must be 64K to 3G, in steps of 4K");
	refused(section("memory == 1M"),
		"2:9: a: memory = '= 1M': must be 64K to 3G, in steps of 4K");
	refused(section("= 1M"),
		"2:1: a: unknown key ''; known: memory cpus cpu boot kernel at "
		"cmdline module disk0 disk1 disk2 disk3 writes shared firmware console "
		"input ticks vpid weight autostart restart exit-port privileged");
}

static void test_quotes(void **state)
{
	const char *text = "[vm a]\nboot = multiboot\nkernel = \"k\"\nmemory = \"1M\"# comment\n"
			   "cmdline = \" a # \\\"b\\\" \\\\ \\n=c \" # end \"\n";

	(void)state;
	assert_string_equal(good(text)->cmdline, " a # \"b\" \\ \\n=c ");
	assert_string_equal(vms[0].kernel.name, "k");
	assert_int_equal(vms[0].mem, 1 << 20);
	refused(section("memory = \"1M"), "2:10: a: this quote has no end");
	refused(section("memory = \"1M\\\""), "2:10: a: this quote has no end");
	refused(section("memory = \"1M\" \"2M\""),
		"2:15: a: only a comment may follow a value in quotes");
	refused(section("memory = \"1M\"2"),
		"2:14: a: only a comment may follow a value in quotes");
	refused(section("memory = 1\"M\""),
		"2:11: a: a quote within a value: put all of it in quotes, with \\\" for a quote");
	/* Outside of quotes a backslash is itself. */
	assert_string_equal(good("[vm a]\nboot=multiboot\nkernel=k\ncmdline = a\\b\\\\c")->cmdline,
			    "a\\b\\\\c");
}

static void test_values_without_quotes_keep_inner_blanks(void **state)
{
	(void)state;
	assert_string_equal(
		good("[vm a]\nboot=multiboot\nkernel=k\ncmdline =  a = b,\tc  d \t# e")->cmdline,
		"a = b,\tc  d");
}

static void test_the_same_name_twice(void **state)
{
	const char *text = "[vm a]\ndisk0 = x\nmemory = 1M\n"
			   "[vm b]\ndisk0 = x\n"
			   "[vm a]\ndisk0 = y\nmemory = 2M\nnonsense = 1\n";

	(void)state;
	assert_int_equal(parse(text), 2);
	assert_string_equal(errors[0], "6:5: a: there is a VM 'a' already, on line 1");
	assert_non_null(strstr(errors[1], "9:1: a: unknown key 'nonsense'"));
	assert_int_equal(vm_count, 2);
	assert_false(vms[0].bad);
	assert_int_equal(vms[0].mem, 1 << 20);
	assert_string_equal(vms[1].name, "b");
	/* Also if the first is bad. */
	assert_int_equal(parse("[vm a]\nx = 1\n[vm a]\ndisk0 = x"), 2);
	assert_int_equal(vm_count, 1);
	assert_bad(&vms[0], "a");
}

static void test_good_sections_stay_good(void **state)
{
	const char *text = "[vm a]\ndisk0 = x\nmemory = 1M\nweight = 7\n"
			   "[vm b]\ndisk0 = y\nmemory = 1\nmodule = m\nweight = 7\n"
			   "[vm c]\ndisk0 = z\nmemory = 2M\n";

	(void)state;
	assert_int_equal(parse(text), 1);
	assert_string_equal(errors[0], "7:10: b: memory = '1': must be 64K to 3G, in steps of 4K");
	assert_int_equal(vm_count, 3);
	assert_false(vms[0].bad);
	assert_int_equal(vms[0].mem, 1 << 20);
	assert_bad(&vms[1], "b");
	assert_int_equal(vms[1].place.line, 5);
	assert_false(vms[2].bad);
	assert_int_equal(vms[2].mem, 2 << 20);
	assert_int_equal(vms[2].weight, 100);
}

static void test_more_vms_than_room(void **state)
{
	const char *text = "[vm a]\ndisk0 = x\n[vm b]\ndisk0 = x\n[vm c]\ndisk0 = x\nx = 1\n";

	(void)state;
	assert_int_equal(parse_bytes(text, strlen(text), 2), 2);
	assert_string_equal(errors[0], "5:5: c: no room for one more VM: 2 of this text are taken");
	assert_int_equal(vm_count, 2);
	assert_false(vms[1].bad);
	assert_int_equal(parse_bytes(text, strlen(text), 0), 4);
	assert_int_equal(vm_count, 0);
}

static void test_the_text_is_limited(void **state)
{
	char *text = malloc(VM_CONFIG_TEXT_MAX + 1);

	(void)state;
	assert_non_null(text);
	memset(text, '\n', VM_CONFIG_TEXT_MAX + 1);
	memcpy(text, "[vm a]\ndisk0=x", 14);
	assert_int_equal(parse_bytes(text, VM_CONFIG_TEXT_MAX, RIG_VMS), 0);
	assert_int_equal(vm_count, 1);
	assert_int_equal(parse_bytes(text, VM_CONFIG_TEXT_MAX + 1, RIG_VMS), 1);
	assert_string_equal(errors[0],
			    "0:0: the text has 65537 bytes, at most 65536 are read: none was");
	assert_int_equal(vm_count, 0);
	free(text);
}

static void test_errors_are_told_up_to_a_limit(void **state)
{
	char text[4096] = "[vm a]\n";

	(void)state;
	for (unsigned i = 0; i < 200; i++)
		strcat(text, "x = 1\n");
	strcat(text, "[vm b]\ndisk0 = x\n[vm c]\ndisk0 = x\nx = 1\n");
	assert_int_equal(parse(text), 201);
	assert_int_equal(error_count, VM_CONFIG_ERRORS_MAX + 1);
	assert_string_equal(errors[50], "51:1: a: these are many errors: the others are not shown");
	/* What is not told counts all the same. */
	assert_int_equal(vm_count, 3);
	assert_bad(&vms[0], "a");
	assert_false(vms[1].bad);
	assert_bad(&vms[2], "c");
}

static void test_what_is_shown_of_bad_text_is_short(void **state)
{
	char text[600] = "[vm a]\n";

	(void)state;
	memset(text + 7, 'k', 400);
	strcpy(text + 407, " = 1\ndisk0 = x");
	assert_int_equal(parse(text), 1);
	assert_non_null(strstr(errors[0], "unknown key 'kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk"
					  "kkkk...'; known:"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_an_empty_text_has_no_vms),
		cmocka_unit_test(test_sections_and_lines),
		cmocka_unit_test(test_line_ends),
		cmocka_unit_test(test_a_nul_ends_the_text),
		cmocka_unit_test(test_other_bytes_stand_in_comments_only),
		cmocka_unit_test(test_long_lines),
		cmocka_unit_test(test_a_bad_heading_ends_the_section),
		cmocka_unit_test(test_headings),
		cmocka_unit_test(test_lines_without_section),
		cmocka_unit_test(test_entries),
		cmocka_unit_test(test_quotes),
		cmocka_unit_test(test_values_without_quotes_keep_inner_blanks),
		cmocka_unit_test(test_the_same_name_twice),
		cmocka_unit_test(test_good_sections_stay_good),
		cmocka_unit_test(test_more_vms_than_room),
		cmocka_unit_test(test_the_text_is_limited),
		cmocka_unit_test(test_errors_are_told_up_to_a_limit),
		cmocka_unit_test(test_what_is_shown_of_bad_text_is_short),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
