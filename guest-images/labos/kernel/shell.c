/*
 * Reads a line with simple editing, finds the command, runs it. Must not know what commands do.
 */

#include "console.h"
#include "lib.h"
#include "shell.h"

enum { LINE_SIZE = 256, CTRL_C = 3, CTRL_U = 21, DELETE = 127 };

static const struct command *const groups[] = {commands_files, commands_work, commands_system,
					       commands_crash};
enum { GROUP_COUNT = sizeof(groups) / sizeof(groups[0]) };

static void put(const char *text)
{
	console_lock();
	for (; *text; text++)
		console_put(*text);
	console_unlock();
}

/* What does not fit is neither taken nor shown. */
static void read_line(char *line)
{
	static bool after_return;
	uint32_t length = 0;
	char c;

	for (;;) {
		c = console_get();
		/* CR, LF and CR LF all end one line. */
		if (c == '\n' && after_return) {
			after_return = false;
			continue;
		}
		after_return = c == '\r';
		if (c == '\r' || c == '\n')
			break;
		if ((c == '\b' || c == DELETE) && length > 0) {
			length--;
			put("\b \b");
		} else if (c == CTRL_U || c == CTRL_C) {
			for (; length > 0; length--)
				put("\b \b");
		} else if (c >= ' ' && c <= '~' && length + 1 < LINE_SIZE) {
			line[length++] = c;
			put((char[]){c, 0});
		}
	}
	line[length] = 0;
	put("\n");
}

char *shell_word(char **text)
{
	char *word = *text;
	char *at = word;

	while (*at && *at != ' ')
		at++;
	if (*at)
		*at++ = 0;
	while (*at == ' ')
		at++;
	*text = at;
	return word;
}

bool shell_number(const char *text, uint32_t max, uint32_t *number)
{
	if (string_to_number(text, max, number))
		return true;
	print("a number up to %u is wanted\n", max);
	return false;
}

static void help(void)
{
	const struct command *command;
	uint32_t i;

	for (i = 0; i < GROUP_COUNT; i++) {
		for (command = groups[i]; command->name; command++)
			print("  %-8s %-12s %s\n", command->name, command->arguments,
			      command->text);
	}
}

static const struct command *find(const char *name)
{
	const struct command *command;
	uint32_t i;

	for (i = 0; i < GROUP_COUNT; i++) {
		for (command = groups[i]; command->name; command++) {
			if (!strcmp(command->name, name))
				return command;
		}
	}
	return NULL;
}

void shell_run(void *unused)
{
	static char line[LINE_SIZE];
	const struct command *command;
	char *rest, *name;

	(void)unused;
	for (;;) {
		console_fresh_line();
		print("labos> ");
		read_line(line);
		rest = line;
		while (*rest == ' ')
			rest++;
		name = shell_word(&rest);
		if (!*name)
			continue;
		command = find(name);
		if (!strcmp(name, "help"))
			help();
		else if (command)
			command->run(rest);
		else
			print("no command '%s': try help\n", name);
	}
}
