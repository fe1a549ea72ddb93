/*
 * The shell: lines from the console, commands with their text for `help`.
 */
#ifndef LABOS_SHELL_H
#define LABOS_SHELL_H

#include <stdbool.h>
#include <stdint.h>

struct command {
	const char *name;
	const char *arguments; /* as `help` shows them */
	const char *text;
	void (*run)(char *arguments);
};

/* Reads and obeys commands for ever. */
void shell_run(void *unused);

/* Cuts the first word off: `*text` goes behind it and the blanks that follow. "" if there is none.
 */
char *shell_word(char **text);

/* A number of seconds, count...; says what is wrong if it is none. */
bool shell_number(const char *text, uint32_t max, uint32_t *number);

/* Runs a program to its end; says how it ended, if not well. */
void shell_run_program(const char *name, uint32_t argument);

/* Groups of commands, each ends with an entry without a name. */
extern const struct command commands_system[];
extern const struct command commands_files[];
extern const struct command commands_work[];
extern const struct command commands_crash[];

/* At boot and by command: they print one line each. */
void swap_test(void);
void file_test(void);

/* matrix.c has a command of its own. */
void matrix_run(char *arguments);

/* Whether the ticker goes on after its first line. */
void ticker_set_log(bool on);

#endif
