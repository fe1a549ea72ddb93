/*
 * The shell as a whole: what is typed, in whatever pieces, and what the terminal gets.
 * needs: core/shell.c core/shell_line.c core/shell_table.c core/shell_commands.c core/shell_vms.c
 * needs: core/shell_look.c core/shell_stats.c core/shell_devices.c core/shell_config.c
 * needs: core/exit_stats.c core/gwalk.c core/vm_config.c core/config_keys.c core/config_check.c
 * needs: core/config_report.c mm/gmem.c lib/text.c lib/printf.c
 * needs: tests/fake/shell_fakes.c tests/fake/spinlock.c tests/fake/panic.c
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "../../core/machine.h"
#include "../../core/shell_priv.h"
#include "shell_fakes.h"

static void type(const char *text)
{
	shell_input(text, (unsigned)strlen(text));
}

/* At the prompt, with nothing typed. */
static int setup(void **state)
{
	(void)state;
	fake_shell_begin();
	shell_start();
	type("\x03");
	fake_shell_forget();
	return 0;
}

/* Exactly what the terminal got since the last look. */
static void printed(const char *text)
{
	assert_string_equal(fake_shell_text, text);
	fake_shell_forget();
}

static void test_a_command(void **state)
{
	(void)state;
	type("vms\r");
	assert_string_equal(fake_shell_calls, "vms; ");
	printed("vms\ncrvm> ");
	assert_string_equal(fake_shell_input, "crvm> ");
}

static void test_byte_by_byte_is_the_same(void **state)
{
	static const char text[] = "  pause   one  \r";

	(void)state;
	for (size_t i = 0; text[i]; i++)
		shell_input(text + i, 1);
	printed("  pause   one  \nVM one is paused\ncrvm> ");
}

static void test_the_console_knows_the_line_and_its_cursor(void **state)
{
	(void)state;
	type("vms");
	assert_string_equal(fake_shell_input, "crvm> vms");
	type("\x1b[D\x1b[D");
	assert_string_equal(fake_shell_input, "crvm> vms\b\b");
	type("\r");
	assert_string_equal(fake_shell_input, "crvm> ");
}

static void test_nothing_to_do(void **state)
{
	(void)state;
	type("\r   \r");
	printed("\ncrvm>    \ncrvm> ");
}

static void test_wrong_commands(void **state)
{
	(void)state;
	type("hlep\r");
	printed("hlep\nno command 'hlep': type help for the list\ncrvm> ");
	type("cpus 3\r");
	printed("cpus 3\ncpus takes no argument, not '3'\ncrvm> ");
	type("st one\r");
	printed("st one\n'st' could be:  start  stop  stats\ncrvm> ");
	assert_string_equal(fake_shell_calls, "");
	type("pi\r");
	assert_string_equal(fake_shell_calls, "ping(); ");
}

static void test_many_lines_at_once(void **state)
{
	(void)state;
	type("vms\rvms\r\nvms\nvm");
	assert_string_equal(fake_shell_calls, "vms; vms; vms; ");
	type("s\r");
	assert_string_equal(fake_shell_calls, "vms; vms; vms; vms; ");
}

static void test_tab_completes(void **state)
{
	(void)state;
	type("pau\t");
	printed("pause ");
	type("tw\t\r");
	assert_string_equal(fake_shell_calls, "pause two; ");
}

static void test_the_second_tab_lists(void **state)
{
	(void)state;
	type("st\t");
	printed("st");
	type("\t");
	printed("\n  start  stop  stats\ncrvm> st");
	type("\t");
	printed("");
	type("a\t"); /* "sta": one Tab is one Tab again */
	printed("a");
	type("x\t\t");
	printed("x");
}

static void test_a_long_list_is_broken(void **state)
{
	(void)state;
	type("\t\t");
	for (const char *s = fake_shell_text; *s; s += strcspn(s, "\n") + (*s != '\0')) {
		assert_true(strcspn(s, "\n") <= 80);
		if (!strchr(s, '\n'))
			break;
	}
	assert_non_null(strstr(fake_shell_text, "  poweroff\ncrvm> "));
}

static void test_any_key_ends_what_goes_on(void **state)
{
	(void)state;
	type("top\r");
	printed("top\nany key ends it\n");
	assert_string_equal(fake_shell_input, "");
	assert_non_null(fake_shell_timer);
	type("x");
	assert_null(fake_shell_timer);
	printed("crvm> ");
	type("top\r");
	fake_shell_forget();
	type("\x1b[A");
	printed("crvm> ");
}

static void test_what_was_pasted_behind_it_is_not_lost(void **state)
{
	(void)state;
	type("top\rvms\r");
	assert_null(fake_shell_timer);
	assert_string_equal(fake_shell_calls, "vms; ");
	type("top\rtop\rtop\rvms\rtop\r");
	assert_non_null(fake_shell_timer);
	type("qvms\r");
	assert_string_equal(fake_shell_calls, "vms; vms; vms; ");
}

static void test_behind_focus_the_vm_is_typed_to(void **state)
{
	(void)state;
	type("focus two\rls\rpwd");
	assert_string_equal(fake_shell_calls, "focus two; typed ls\rpwd; ");
	printed("focus two\n"); /* and no prompt */
	fake_shell_focused = false;
	shell_start();
	printed("crvm> ");
}

static void test_what_was_begun_is_there_again_after_focus(void **state)
{
	(void)state;
	type("pau\x1b[D");
	fake_shell_forget();
	fake_shell_focused = true; /* by a key sequence */
	fake_shell_focused = false;
	shell_start();
	printed("crvm> pau\b");
	type("X\x7f\x1b[Cse one\r");
	assert_string_equal(fake_shell_calls, "pause one; ");
}

static void test_focus_ends_what_goes_on(void **state)
{
	(void)state;
	type("top\r");
	fake_shell_focused = true;
	fake_shell_focused = false;
	shell_start();
	assert_null(fake_shell_timer);
	fake_shell_forget();
	type("vms\r");
	assert_string_equal(fake_shell_calls, "vms; ");
}

static void test_too_long_a_line(void **state)
{
	static char text[2000];

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	memcpy(text, "destroy one ", 12);
	type(text);
	type("\r");
	assert_string_equal(fake_shell_calls, "");
	assert_non_null(strstr(fake_shell_text, "\nthe line is too long, and nothing was done: at "
						"most 1535 characters\ncrvm> "));
}

#define t(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		t(test_a_command),
		t(test_byte_by_byte_is_the_same),
		t(test_the_console_knows_the_line_and_its_cursor),
		t(test_nothing_to_do),
		t(test_wrong_commands),
		t(test_many_lines_at_once),
		t(test_tab_completes),
		t(test_the_second_tab_lists),
		t(test_a_long_list_is_broken),
		t(test_any_key_ends_what_goes_on),
		t(test_what_was_pasted_behind_it_is_not_lost),
		t(test_behind_focus_the_vm_is_typed_to),
		t(test_what_was_begun_is_there_again_after_focus),
		t(test_focus_ends_what_goes_on),
		t(test_too_long_a_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
