/*
 * The command line on the console: bytes to the editor, lines to commands. Each command is a row of
 * the table in shell_commands.c.
 */
#include <crvm/string.h>

#include "console.h"
#include "log_priv.h"
#include "machine.h"
#include "mux.h"
#include "shell_line.h"
#include "shell_priv.h"

#define PROMPT	     "crvm> "
#define FLUSH_AT     256u
#define ESC	     0x1b
#define LIST_COLUMNS 78u

static struct shell_line line;
static void (*live_stop)(void); /* a command goes on; NULL: none does */
static bool tabbed;		/* the last key was Tab, and could add nothing */

/* What was echoed goes out, and what log lines have to draw again is known. */
static void show(void)
{
	char image[SHELL_LINE_IMAGE_MAX];

	if (line.out_length)
		log_raw(line.out, line.out_length);
	shell_line_flushed(&line);
	shell_line_image(&line, image, sizeof(image));
	console_set_input(image);
}

static void prompt(void)
{
	shell_line_show(&line);
	show();
}

void shell_live(void (*stop)(void))
{
	live_stop = stop;
}

static void live_end(void)
{
	live_stop();
	live_stop = NULL;
}

static void print_word(void *ctx, const char *word)
{
	size_t *column = ctx;

	if (*column + strlen(word) + 2 > LIST_COLUMNS) {
		log_raw("\n", 1);
		*column = 0;
	}
	log_printf("  %s", word);
	*column += strlen(word) + 2;
}

static void run(char *text)
{
	const struct shell_command *c;
	const char *name;
	size_t column = 0;
	char *arg;

	arg = shell_trim(text);
	if (!*arg)
		return;
	name = shell_word(&arg);
	c = shell_table_find(&shell_table, name);
	if (c && *arg && !*c->args) {
		log_printf("%s takes no argument, not '%.60s'\n", c->name, arg);
	} else if (c) {
		c->run(arg);
	} else if (shell_table_each(&shell_table, name, NULL, NULL)) {
		log_printf("'%s' could be:", name);
		column = strlen(name) + 12;
		(void)shell_table_each(&shell_table, name, print_word, &column);
		log_raw("\n", 1);
	} else {
		log_printf("no command '%.60s': type help for the list\n", name);
	}
}

static void enter(bool too_long)
{
	log_raw(line.out, line.out_length);
	shell_line_flushed(&line);
	console_set_input("");
	log_raw("\n", 1);
	if (too_long)
		log_printf("the line is too long, and nothing was done: at most %u characters\n",
			   SHELL_LINE_MAX - 1);
	else
		run(line.text);
	shell_line_begin(&line);
	if (!mux_has_focus() && !live_stop) /* else the prompt comes when the console does */
		prompt();
}

static void tab(void)
{
	char insert[SHELL_COMPLETION_MAX];
	size_t column = 0;
	const unsigned count =
		shell_complete(&shell_table, line.text, line.cursor, insert, NULL, NULL);

	if (*insert) {
		shell_line_insert(&line, insert);
		tabbed = false;
		return;
	}
	if (count && tabbed) {
		show();
		console_set_input("");
		log_raw("\n", 1);
		(void)shell_complete(&shell_table, line.text, line.cursor, insert, print_word,
				     &column);
		log_raw("\n", 1);
		prompt();
	}
	tabbed = !tabbed;
}

static void type(char c)
{
	const enum shell_line_event event = shell_line_byte(&line, (uint8_t)c);

	if (event == SHELL_LINE_TAB)
		tab();
	else
		tabbed = false;
	if (event == SHELL_LINE_ENTER || event == SHELL_LINE_TOO_LONG)
		enter(event == SHELL_LINE_TOO_LONG);
	else if (line.out_length > FLUSH_AT)
		show();
}

void shell_input(const char *bytes, unsigned n)
{
	for (unsigned i = 0; i < n;) {
		if (mux_has_focus()) { /* since the last line */
			mux_input(bytes + i, n - i);
			return;
		}
		if (live_stop) {
			live_end();
			prompt();
			if (!i) { /* the key that ended it, which may be a sequence */
				i = bytes[0] == ESC ? n : 1;
				continue;
			}
		}
		type(bytes[i++]);
	}
	if (!mux_has_focus() && !live_stop)
		show();
}

void shell_start(void)
{
	if (!line.prompt)
		shell_line_init(&line, PROMPT);
	if (live_stop)
		live_end();
	prompt();
}
