/* See shell_table.h. It must not know what any command does. */
#include <crvm/string.h>

#include "shell_table.h"

char *shell_word(char **rest)
{
	char *word = *rest, *end;

	while (*word == ' ')
		word++;
	for (end = word; *end && *end != ' '; end++)
		;
	*rest = end;
	if (*end) {
		*end++ = '\0';
		while (*end == ' ')
			end++;
		*rest = end;
	}
	return word;
}

char *shell_trim(char *text)
{
	size_t n;

	while (*text == ' ')
		text++;
	for (n = strlen(text); n && text[n - 1] == ' '; n--)
		text[n - 1] = '\0';
	return text;
}

static bool begins(const char *word, const char *prefix, size_t n)
{
	return strncmp(word, prefix, n) == 0;
}

unsigned shell_table_each(const struct shell_table *t, const char *prefix, shell_word_fn *fn,
			  void *ctx)
{
	unsigned found = 0;

	for (unsigned i = 0; i < t->count; i++) {
		if (!begins(t->command[i].name, prefix, strlen(prefix)))
			continue;
		found++;
		if (fn)
			fn(ctx, t->command[i].name);
	}
	return found;
}

const struct shell_command *shell_table_find(const struct shell_table *t, const char *name)
{
	const struct shell_command *only = NULL;

	for (unsigned i = 0; i < t->count; i++)
		if (strcmp(t->command[i].name, name) == 0)
			return &t->command[i];
	if (!*name || shell_table_each(t, name, NULL, NULL) != 1)
		return NULL;
	for (unsigned i = 0; i < t->count; i++)
		if (begins(t->command[i].name, name, strlen(name)))
			only = &t->command[i];
	return only;
}

/* Candidates as they are found. */
struct found {
	const char *prefix;
	size_t length;
	unsigned count;
	char common[SHELL_COMPLETION_MAX];
	shell_word_fn *fn;
	void *ctx;
};

static void offer(void *ctx, const char *word)
{
	struct found *f = ctx;
	size_t same = 0;

	if (!begins(word, f->prefix, f->length))
		return;
	if (!f->count++)
		(void)str_copy(f->common, sizeof(f->common), word + f->length,
			       SHELL_COMPLETION_MAX);
	while (f->common[same] && f->common[same] == word[f->length + same])
		same++;
	f->common[same] = '\0';
	if (f->fn)
		f->fn(f->ctx, word);
}

static void offer_words(struct found *f, const char *words)
{
	char word[SHELL_COMPLETION_MAX];
	size_t n;

	for (; *words; words += n) {
		while (*words == ' ')
			words++;
		for (n = 0; words[n] && words[n] != ' '; n++)
			;
		if (n && str_copy(word, sizeof(word), words, n))
			offer(f, word);
	}
}

static void offer_vms(const struct shell_table *t, struct found *f)
{
	for (unsigned i = 0; i < t->vm_limit(); i++)
		if (t->vm_name(i))
			offer(f, t->vm_name(i));
}

/* What is expected as argument `index` (from 0 on) of the command that the line begins with. */
static const char *words_of(const struct shell_table *t, const char *line, size_t length,
			    unsigned index)
{
	const struct shell_command *c;
	char name[SHELL_COMPLETION_MAX];

	if (index >= array_count(c->words) || !str_copy(name, sizeof(name), line, length))
		return NULL;
	c = shell_table_find(t, name);
	return c ? c->words[index] : NULL;
}

unsigned shell_complete(const struct shell_table *t, const char *line, size_t cursor, char *insert,
			shell_word_fn *fn, void *ctx)
{
	struct found f = {.fn = fn, .ctx = ctx};
	size_t at = 0, start, first = 0, first_length = 0;
	const char *words = SHELL_WORDS_COMMAND;
	unsigned index = 0;
	char prefix[SHELL_COMPLETION_MAX];

	for (;; index++) {
		while (at < cursor && line[at] == ' ')
			at++;
		for (start = at; at < cursor && line[at] != ' '; at++)
			;
		if (at == cursor)
			break;
		if (!index) {
			first = start;
			first_length = at - start;
		}
	}
	insert[0] = '\0';
	if (!str_copy(prefix, sizeof(prefix), line + start, cursor - start))
		return 0;
	f.prefix = prefix;
	f.length = strlen(prefix);
	if (index)
		words = words_of(t, line + first, first_length, index - 1);
	if (!words)
		return 0;
	if (strcmp(words, SHELL_WORDS_COMMAND) == 0)
		(void)shell_table_each(t, prefix, offer, &f);
	else if (strcmp(words, SHELL_WORDS_VM) == 0)
		offer_vms(t, &f);
	else
		offer_words(&f, words);
	if (f.count)
		memcpy(insert, f.common, strlen(f.common) + 1);
	if (f.count == 1 && strlen(insert) + 1 < SHELL_COMPLETION_MAX)
		memcpy(insert + strlen(insert), " ", 2);
	return f.count;
}
