/*
 * The shell's table: finding commands, taking arguments apart, completing words; and that the real
 * table of commands is in order.
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
#include "../../core/shell_priv.h"
#include "shell_fakes.h"

static void nothing(char *arg)
{
	(void)arg;
}

static const struct shell_command commands[] = {
	{"start", "VM", "h", NULL, nothing, {SHELL_WORDS_VM, NULL}},
	{"stats", "VM", "h", NULL, nothing, {SHELL_WORDS_VM, "raw rough"}},
	{"stat", "", "h", NULL, nothing, {NULL, NULL}},
	{"help", "C", "h", NULL, nothing, {SHELL_WORDS_COMMAND, NULL}},
	{"level", "L", "h", NULL, nothing, {"err warn  info", NULL}},
};

static const char *const names[] = {"one", NULL, "only", "two"};

static const char *vm_name(unsigned i)
{
	return names[i];
}

static unsigned vm_limit(void)
{
	return array_count(names);
}

static const struct shell_table table = {commands, array_count(commands), vm_name, vm_limit};

static char found[200];

static void note(void *ctx, const char *word)
{
	assert_ptr_equal(ctx, found);
	strcat(found, word);
	strcat(found, " ");
}

static const char *name_of(const char *typed)
{
	const struct shell_command *c = shell_table_find(&table, typed);

	return c ? c->name : "none";
}

static void test_finding(void **state)
{
	(void)state;
	assert_string_equal(name_of("help"), "help");
	assert_string_equal(name_of("h"), "help");
	assert_string_equal(name_of("star"), "start");
	assert_string_equal(name_of("stat"), "stat"); /* whole, though it begins another */
	assert_string_equal(name_of("stats"), "stats");
	assert_string_equal(name_of("sta"), "none");
	assert_string_equal(name_of("helpp"), "none");
	assert_string_equal(name_of(""), "none");
	assert_string_equal(name_of("HELP"), "none");
}

static void test_candidates(void **state)
{
	(void)state;
	found[0] = '\0';
	assert_int_equal(shell_table_each(&table, "sta", note, found), 3);
	assert_string_equal(found, "start stats stat ");
	assert_int_equal(shell_table_each(&table, "x", NULL, NULL), 0);
	assert_int_equal(shell_table_each(&table, "", NULL, NULL), 5);
}

static void test_words(void **state)
{
	char text[] = "  mem  one b8000", end[] = "  ", *rest = text;

	(void)state;
	assert_string_equal(shell_word(&rest), "mem");
	assert_string_equal(rest, "one b8000");
	assert_string_equal(shell_word(&rest), "one");
	assert_string_equal(shell_word(&rest), "b8000");
	assert_string_equal(rest, "");
	assert_string_equal(shell_word(&rest), "");
	rest = end;
	assert_string_equal(shell_word(&rest), "");
	assert_string_equal(rest, "");
}

static void test_trimming(void **state)
{
	char text[] = "  a b  ", blank[] = "   ";

	(void)state;
	assert_string_equal(shell_trim(text), "a b");
	assert_string_equal(shell_trim(blank), "");
}

/* Completes at the end of `line`: "COUNT INSERT". */
static void completes(const char *line, size_t cursor, const char *expected)
{
	char insert[SHELL_COMPLETION_MAX], got[64];
	unsigned count;

	found[0] = '\0';
	count = shell_complete(&table, line, cursor, insert, note, found);
	snprintf(got, sizeof(got), "%u %s", count, insert);
	assert_string_equal(got, expected);
}

static void at_end(const char *line, const char *expected)
{
	completes(line, strlen(line), expected);
}

static void test_completing_commands(void **state)
{
	(void)state;
	at_end("h", "1 elp ");
	at_end("  h", "1 elp ");
	at_end("st", "3 a");
	at_end("sta", "3 ");
	assert_string_equal(found, "start stats stat ");
	at_end("help", "1  ");
	at_end("", "5 ");
	at_end("x", "0 ");
	completes("hxyz", 1, "1 elp ");
	completes("h vm", 1, "1 elp ");
}

static void test_completing_vms(void **state)
{
	(void)state;
	at_end("start t", "1 wo ");
	at_end("star t", "1 wo "); /* also after a command cut short */
	at_end("start o", "2 n");
	at_end("start on", "2 ");
	assert_string_equal(found, "one only ");
	at_end("start ", "3 ");
	at_end("start   ", "3 ");
	at_end("start one ", "0 ");
	at_end("stats one r", "2 ");
	at_end("stats one ra", "1 w ");
	at_end("stats one raw ", "0 ");
	at_end("x o", "0 ");
	at_end("sta o", "0 ");
}

static void test_completing_other_words(void **state)
{
	(void)state;
	at_end("help le", "1 vel ");
	at_end("level ", "3 ");
	assert_string_equal(found, "err warn info ");
	at_end("level i", "1 nfo ");
	at_end("stat ", "0 ");
	at_end("start aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "0 ");
	at_end("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa o", "0 ");
}

/* The real one. */

static void test_names_are_unique_and_rows_complete(void **state)
{
	(void)state;
	for (unsigned i = 0; i < shell_table.count; i++) {
		const struct shell_command *c = &shell_table.command[i];

		assert_true(strlen(c->name) < SHELL_COMPLETION_MAX - 1);
		assert_non_null(c->run);
		assert_non_null(c->args);
		assert_true(strlen(c->help) > 8);
		assert_ptr_equal(shell_table_find(&shell_table, c->name), c);
		if (*c->args && !c->example)
			fail_msg("%s has no example", c->name);
	}
}

static void test_examples_are_of_their_commands(void **state)
{
	(void)state;
	for (unsigned i = 0; i < shell_table.count; i++) {
		const struct shell_command *c = &shell_table.command[i];

		if (!c->example)
			continue;
		assert_memory_equal(c->example, c->name, strlen(c->name));
		assert_int_equal(c->example[strlen(c->name)], ' ');
	}
}

static void test_the_list_fits_a_screen_and_has_them_all(void **state)
{
	char all[1] = "", one[] = "mem", wrong[] = "nope";
	const char *line;
	unsigned lines = 0;

	(void)state;
	fake_shell_begin();
	shell_help(all);
	for (line = fake_shell_text; *line; line = strchr(line, '\n') + 1, lines++) {
		assert_true(strcspn(line, "\n") < 80);
		assert_memory_equal(line + 2, shell_table.command[lines].name,
				    strlen(shell_table.command[lines].name));
	}
	assert_int_equal(lines, shell_table.count);
	fake_shell_begin();
	shell_help(one);
	assert_non_null(strstr(fake_shell_text, "for example: mem "));
	fake_shell_begin();
	shell_help(wrong);
	assert_non_null(strstr(fake_shell_text, "no command 'nope'"));
}

static void test_hexadecimal(void **state)
{
	uint64_t v = 7;

	(void)state;
	assert_true(shell_hex("b8000", &v) && v == 0xb8000);
	assert_true(shell_hex("0XaBc", &v) && v == 0xabc);
	assert_true(shell_hex("ffffffffffffffff", &v) && v == UINT64_MAX);
	assert_false(shell_hex("10000000000000000", &v));
	assert_false(shell_hex("", &v));
	assert_false(shell_hex("0x", &v));
	assert_false(shell_hex("12g", &v));
	assert_false(shell_hex("-1", &v));
	assert_int_equal(v, UINT64_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_finding),
		cmocka_unit_test(test_candidates),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_trimming),
		cmocka_unit_test(test_completing_commands),
		cmocka_unit_test(test_completing_vms),
		cmocka_unit_test(test_completing_other_words),
		cmocka_unit_test(test_names_are_unique_and_rows_complete),
		cmocka_unit_test(test_examples_are_of_their_commands),
		cmocka_unit_test(test_the_list_fits_a_screen_and_has_them_all),
		cmocka_unit_test(test_hexadecimal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
