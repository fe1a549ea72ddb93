/*
 * Commands by name, and what could complete a word of them (shell_table.c). Pure functions over a
 * table; they know no command, no VM and no terminal. Private to core/.
 */
#pragma once

#include <crvm/compiler.h>

/* What a word of a command can be, beside a list of words with blanks between them. */
#define SHELL_WORDS_VM	    "@vm"
#define SHELL_WORDS_COMMAND "@command"

struct shell_command {
	const char *name;
	const char *args;	/* in words; "" if there are none */
	const char *help;	/* what it does, in one line */
	const char *example;	/* a whole line; NULL: just its name */
	void (*run)(char *arg); /* what follows the name, without blanks at both ends */
	const char *words[2];	/* of its first two arguments; NULL: anything */
};

struct shell_table {
	const struct shell_command *command;
	unsigned count;
	const char *(*vm_name)(unsigned i); /* NULL: that one is not there */
	unsigned (*vm_limit)(void);	    /* for i below this */
};

/* Takes the next word off *rest: NUL-terminated, "" at the end. */
char *shell_word(char **rest);
/* Cuts blanks off both ends. */
char *shell_trim(char *text);

/* The command of that name, or the only one that begins so; else NULL. */
const struct shell_command *shell_table_find(const struct shell_table *t, const char *name);

typedef void shell_word_fn(void *ctx, const char *word);

/* Calls fn for each command that begins so; returns how many. fn may be NULL. */
unsigned shell_table_each(const struct shell_table *t, const char *prefix, shell_word_fn *fn,
			  void *ctx);

#define SHELL_COMPLETION_MAX 24u

/*
 * What could complete the word that ends at line[cursor]. `insert` gets what all candidates have in
 * common beyond it, and a blank if there is but one. Calls fn for each candidate; returns how many.
 */
unsigned shell_complete(const struct shell_table *t, const char *line, size_t cursor, char *insert,
			shell_word_fn *fn, void *ctx);
