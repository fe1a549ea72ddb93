/*
 * Whatever is typed at the shell: the terminal always shows what a new drawing would, nothing that
 * was typed is lost but by erasing, and each command copes with any arguments.
 * needs: core/shell_line.c core/shell_table.c core/shell_commands.c core/shell_vms.c
 * needs: core/shell_look.c core/shell_stats.c core/shell_devices.c core/shell_config.c
 * needs: core/exit_stats.c core/gwalk.c core/vm_config.c core/config_keys.c core/config_check.c
 * needs: core/config_report.c mm/gmem.c lib/text.c lib/printf.c
 * needs: tests/fake/shell_fakes.c tests/fake/spinlock.c tests/fake/panic.c
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <crvm/cpu.h>
#include "../../core/shell_priv.h"
#include "shell_fakes.h"
#include "shell_terminal.h"

#define require(cond)            \
	do {                     \
		if (!(cond))     \
			abort(); \
	} while (0)

static struct shell_line line;
static struct terminal term;

static void compare(void)
{
	char image[SHELL_LINE_IMAGE_MAX];
	struct terminal fresh;

	require(line.cursor <= line.length && line.length < SHELL_LINE_MAX);
	require(strlen(line.text) == line.length);
	shell_line_image(&line, image, sizeof(image));
	terminal_reset(&fresh);
	terminal_print(&fresh, image, strlen(image));
	require(strcmp(terminal_row(&term), terminal_row(&fresh)) == 0);
	require(term.column == fresh.column && term.column < SHELL_LINE_COLUMNS);
}

static void draw(void)
{
	terminal_reset(&term);
	shell_line_show(&line);
	terminal_take(&term, &line);
}

static void note(void *ctx, const char *word)
{
	unsigned *count = ctx;

	require(*word);
	++*count;
}

static void complete(void)
{
	char insert[SHELL_COMPLETION_MAX];
	unsigned count = 0;
	unsigned told;

	told = shell_complete(&shell_table, line.text, line.cursor, insert, note, &count);
	require(told == count && strlen(insert) < SHELL_COMPLETION_MAX);
	require(told || !*insert);
	shell_line_insert(&line, insert);
	terminal_take(&term, &line);
}

/* As core/shell.c does. */
static void run(void)
{
	const struct shell_command *c;
	char *arg = shell_trim(line.text);

	if (!*arg)
		return;
	c = shell_table_find(&shell_table, shell_word(&arg));
	if (!c || (*arg && !*c->args))
		return;
	fake_shell_begin();
	fake_shell_regs.reg[REG_CR0] = line.text[0] & 1 ? CR0_PE | CR0_PG : 0;
	fake_shell_regs.reg[REG_CR3] = (uint64_t)(unsigned char)line.text[line.length] << 12;
	memset(fake_shell_memory(1, 0), line.text[1], PAGE_SIZE);
	c->run(arg);
	for (const char *s = fake_shell_text; *s; s++)
		require((*s >= ' ' && *s < 0x7f) || *s == '\n');
}

static void type(uint8_t byte)
{
	const uint32_t before = line.length;
	const bool plain =
		byte >= ' ' && byte < 0x7f && !line.escape && before + 1 < SHELL_LINE_MAX;
	const enum shell_line_event event = shell_line_byte(&line, byte);

	if (plain)
		require(line.length == before + 1);
	require(line.out_length < sizeof(line.out));
	if (event == SHELL_LINE_ENTER || event == SHELL_LINE_TOO_LONG) {
		shell_line_flushed(&line);
		if (event == SHELL_LINE_ENTER)
			run();
		shell_line_begin(&line);
		draw();
	} else {
		terminal_take(&term, &line);
		if (event == SHELL_LINE_TAB)
			complete();
	}
	compare();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	fake_shell_begin();
	shell_line_init(&line, "crvm> ");
	shell_line_begin(&line);
	draw();
	for (size_t i = 0; i < size; i++)
		type(data[i]);
	return 0;
}
