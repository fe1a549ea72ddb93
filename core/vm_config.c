/*
 * The configuration's grammar: sections and lines of a text, words of a command line. Must not know
 * what keys there are (core/config_keys.c) nor what they mean; see vm_config.h.
 */
#include <crvm/printf.h>
#include <crvm/status.h>
#include <crvm/string.h>

#include "config_priv.h"

#define GUEST "guest"

struct config_parser {
	struct vm_config *out;
	unsigned count, max;
	struct config_report report;
	unsigned line;
	enum { BEFORE_SECTIONS, IN_VM, IN_SKIPPED } section;
	struct config_vm vm;
	/* A VM that cannot be handed out is made here: its keys are checked all the same. */
	struct vm_config spare;
};

/* A line without its end, its comment, and blanks at either end. `text` to `end` are ASCII. */
struct config_line {
	const char *text, *end;
	const char *start; /* column 1 */
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static struct vm_config_place place_of(const struct config_parser *p, const struct config_line *l,
				       const char *at)
{
	return (struct vm_config_place){p->line, (unsigned)(at - l->start) + 1};
}

static const char *skip_blanks(const char *s, const char *end)
{
	while (s < end && is_blank(*s))
		s++;
	return s;
}

/* The VM's section is over. */
static void end_vm(struct config_parser *p)
{
	if (p->section != IN_VM)
		return;
	config_check_shared(p->vm.c, p->out, p->count, &p->report);
	config_check_vm(&p->vm, &p->report);
	p->report.vm = "";
}

static const struct vm_config *find_vm(const struct config_parser *p, const char *name)
{
	for (unsigned i = 0; i < p->count; i++)
		if (!strcmp(p->out[i].name, name))
			return &p->out[i];
	return NULL;
}

static void begin_vm(struct config_parser *p, const char *name, size_t len,
		     struct vm_config_place heading, struct vm_config_place place)
{
	const struct vm_config *same = NULL;
	char copy[VM_NAME_MAX];
	const bool good = str_copy(copy, sizeof(copy), name, len) && config_keys_is_name(copy);
	struct vm_config *c = &p->spare;
	struct config_shown shown;

	if (good)
		same = find_vm(p, copy);
	if (good && !same && p->count < p->max)
		c = &p->out[p->count++];
	config_keys_begin(&p->vm, c, CONFIG_SECTION);
	c->place = heading;
	p->section = IN_VM;
	p->report.vm = c->name;
	p->report.failed = false;
	config_report_show(&shown, name, len);
	if (!len) {
		config_report_error(&p->report, place, "a VM needs a name: [vm NAME]");
		return;
	}
	if (!good) {
		config_report_error(&p->report, place, "name '%s': must be %s", shown.text,
				    CONFIG_NAME_VALID);
		return;
	}
	str_copy(c->name, sizeof(c->name), copy, sizeof(copy));
	if (same)
		config_report_error(&p->report, place, "there is a VM '%s' already, on line %u",
				    copy, same->place.line);
	else if (c == &p->spare)
		config_report_error(&p->report, place,
				    "no room for one more VM: %u of this text are taken", p->max);
}

/* [KIND NAME] */
static void parse_heading(struct config_parser *p, const struct config_line *l)
{
	const char *kind = skip_blanks(l->text + 1, l->end), *close = kind, *after = kind, *name;
	struct config_shown shown;

	while (close < l->end && *close != ']')
		close++;
	if (close == l->end) {
		config_report_error(&p->report, place_of(p, l, l->end),
				    "']' is missing: [vm NAME]");
		return;
	}
	if (close + 1 < l->end) {
		config_report_error(&p->report, place_of(p, l, skip_blanks(close + 1, l->end)),
				    "only a comment may follow ']'");
		return;
	}
	while (after < close && !is_blank(*after))
		after++;
	if (after - kind != 2 || memcmp(kind, "vm", 2) != 0) {
		config_report_error(&p->report, place_of(p, l, kind),
				    "unknown section '%s'; valid: [vm NAME]",
				    config_report_show(&shown, kind, (size_t)(after - kind)));
		return;
	}
	name = skip_blanks(after, close);
	while (close > name && is_blank(close[-1]))
		close--;
	begin_vm(p, name, (size_t)(close - name), place_of(p, l, l->text), place_of(p, l, name));
}

/*
 * A value in quotes, of which \" and \\ are one byte, or as it is. The line's quotes are known to
 * be pairs. False: an error was told.
 */
static bool read_value(struct config_parser *p, const struct config_line *l, const char *s,
		       char *out)
{
	const bool quoted = s < l->end && *s == '"';
	const char *wrong = NULL;
	size_t n = 0;

	for (s += quoted; s < l->end && !(quoted && *s == '"'); s++) {
		if (!quoted && *s == '"' && !wrong)
			wrong = s;
		if (quoted && *s == '\\' && s + 1 < l->end && (s[1] == '"' || s[1] == '\\'))
			s++;
		out[n++] = *s;
	}
	out[n] = '\0';
	if (quoted && s + 1 < l->end) {
		wrong = skip_blanks(s + 1, l->end);
		config_report_error(&p->report, place_of(p, l, wrong),
				    "only a comment may follow a value in quotes");
	} else if (wrong) {
		config_report_error(
			&p->report, place_of(p, l, wrong),
			"a quote within a value: put all of it in quotes, with \\\" for "
			"a quote");
	}
	return !wrong;
}

/* KEY = VALUE */
static void parse_entry(struct config_parser *p, const struct config_line *l)
{
	char key[VM_CONFIG_LINE_MAX + 1], value[VM_CONFIG_LINE_MAX + 1];
	struct config_entry e = {.key = key, .key_place = place_of(p, l, l->text)};
	const char *end = l->text, *s;

	while (end < l->end && *end != '=' && !is_blank(*end))
		end++;
	str_copy(key, sizeof(key), l->text, (size_t)(end - l->text));
	s = skip_blanks(end, l->end);
	if (s < l->end && *s != '=') {
		config_report_error(&p->report, place_of(p, l, s),
				    "'=' is missing: a line is KEY = VALUE or [vm NAME]");
		return;
	}
	if (s < l->end)
		s = skip_blanks(s + 1, l->end);
	e.value_place = place_of(p, l, s);
	if (s < l->end) {
		if (!read_value(p, l, s, value))
			return;
		e.value = value;
	}
	config_keys_set(&p->vm, &e, &p->report);
}

/*
 * Finds the comment and with it the line's end. Outside of comments only ASCII is taken: what looks
 * like a letter or a blank to a reader is one. False: an error was told.
 */
static bool find_end(struct config_parser *p, struct config_line *l)
{
	const char *quote = NULL, *odd = NULL, *s;

	for (s = l->text; s < l->end && (quote || *s != '#'); s++) {
		if ((*s < ' ' && *s != '\t') || *s > '~') {
			odd = s;
			break;
		}
		if (*s == '"')
			quote = quote ? NULL : s;
		else if (quote && *s == '\\' && s + 1 < l->end && (s[1] == '"' || s[1] == '\\'))
			s++;
	}
	l->end = s;
	if (odd)
		config_report_error(&p->report, place_of(p, l, odd),
				    "byte \\x%02x: only comments may have other than printable "
				    "ASCII",
				    (uint8_t)*odd);
	else if (quote)
		config_report_error(&p->report, place_of(p, l, quote), "this quote has no end");
	else
		while (l->end > l->text && is_blank(l->end[-1]))
			l->end--;
	return !odd && !quote;
}

static void parse_line(struct config_parser *p, const char *text, size_t len)
{
	struct config_line l = {.start = text, .text = skip_blanks(text, text + len)};
	bool heading;

	l.end = text + len;
	heading = l.text < l.end && *l.text == '[';
	if (heading) {
		/* Should it be a bad one: what follows does not belong to the VM before it. */
		end_vm(p);
		p->section = IN_SKIPPED;
	}
	if (len > VM_CONFIG_LINE_MAX) {
		config_report_error(&p->report, place_of(p, &l, text + VM_CONFIG_LINE_MAX),
				    "the line is longer than %u bytes", VM_CONFIG_LINE_MAX);
		return;
	}
	if (!find_end(p, &l) || l.text == l.end)
		return;
	if (heading) {
		parse_heading(p, &l);
	} else if (p->section == IN_VM) {
		parse_entry(p, &l);
	} else if (p->section == BEFORE_SECTIONS) {
		config_report_error(&p->report, place_of(p, &l, l.text),
				    "this is before the first [vm NAME], so it belongs to no VM");
		p->section = IN_SKIPPED;
	}
}

/* The length without what a NUL ends; only more of them may follow, as where a file was padded. */
static size_t text_length(struct config_parser *p, const char *text, size_t size)
{
	const size_t length = strnlen(text, size);

	for (size_t i = length; i < size; i++)
		if (text[i]) {
			p->line = 0;
			config_report_error(&p->report, (struct vm_config_place){0},
					    "a NUL ends the text at byte %zu of %zu: what follows "
					    "is not read",
					    length, size);
			break;
		}
	return length;
}

unsigned vm_config_parse_text(struct vm_config *out, unsigned max, const char *text, size_t size,
			      struct vm_config_sink *sink)
{
	struct config_parser p = {.out = out, .max = max, .report = {.sink = sink, .vm = ""}};
	const char *end;

	if (size > VM_CONFIG_TEXT_MAX) {
		config_report_error(&p.report, (struct vm_config_place){0},
				    "the text has %zu bytes, at most %u are read: none was", size,
				    VM_CONFIG_TEXT_MAX);
		return 0;
	}
	end = text + text_length(&p, text, size);
	if (end - text >= 3 && !memcmp(text, "\xef\xbb\xbf", 3))
		text += 3; /* a byte order mark, which no editor shows */
	while (text < end) {
		const char *stop = text;
		size_t len;

		while (stop < end && *stop != '\n')
			stop++;
		len = (size_t)(stop - text);
		if (len && text[len - 1] == '\r')
			len--;
		p.line++;
		parse_line(&p, text, len);
		text = stop < end ? stop + 1 : end;
	}
	end_vm(&p);
	return p.count;
}

bool vm_config_is_guest(const char *text)
{
	const size_t n = sizeof(GUEST) - 1;

	return !strncmp(text, GUEST, n) && (is_blank(text[n]) || !text[n]);
}

/* The first error is the one that is shown. */
struct config_first {
	char *error;
	size_t size;
};

static void keep_first(void *ctx, const struct vm_config_error *e)
{
	struct config_first *first = ctx;

	if (first->size)
		str_copy(first->error, first->size, e->text, SIZE_MAX);
	first->size = 0;
}

struct config_word {
	char text[VM_CMDLINE_MAX];
	bool cut, open, odd;
};

/*
 * Reads the next word; false: there is none. GRUB puts quotes around a word with blanks, and a
 * backslash before the quotes and backslashes that were in it: those quotes are quotes here too.
 */
static bool next_word(const char **at, struct config_word *w)
{
	const char *s = *at;
	size_t n = 0;

	*w = (struct config_word){0};
	while (is_blank(*s))
		s++;
	*at = s;
	if (!*s)
		return false;
	for (; *s && (w->open || !is_blank(*s)); s++) {
		if (*s == '\\' && (s[1] == '\\' || s[1] == '\'' || s[1] == '"'))
			s++;
		if (*s == '"') {
			w->open = !w->open;
			continue;
		}
		w->odd |= *s < ' ' || *s > '~';
		if (n + 1 < sizeof(w->text))
			w->text[n++] = *s;
		else
			w->cut = true;
	}
	*at = s;
	return true;
}

static void parse_word(struct config_vm *v, struct config_word *w, unsigned column,
		       struct config_report *r)
{
	const struct vm_config_place place = {0, column};
	struct config_entry e = {.key = w->text, .key_place = place, .value_place = place};
	char *equals = strchr(w->text, '=');
	struct config_shown shown;

	config_report_show(&shown, w->text, strlen(w->text));
	if (w->cut) {
		config_report_error(r, place, "'%s': a word is longer than %zu bytes", shown.text,
				    sizeof(w->text) - 1);
		return;
	}
	if (w->open || w->odd) {
		config_report_error(r, place, "'%s': %s", shown.text,
				    w->odd ? "only printable ASCII is taken"
					   : "a quote has no end");
		return;
	}
	if (equals) {
		*equals = '\0';
		e.value = equals + 1;
	}
	config_keys_set(v, &e, r);
}

int vm_config_parse(struct vm_config *c, const char *text, char *error, size_t size)
{
	struct config_first first = {error, size};
	struct vm_config_sink sink = {keep_first, &first, 0};
	struct config_report report = {.sink = &sink, .vm = ""};
	const char *at = vm_config_is_guest(text) ? text + strlen(GUEST) : "";
	struct config_word word;
	struct config_vm v;

	config_keys_begin(&v, c, CONFIG_WORDS);
	while (next_word(&at, &word))
		parse_word(&v, &word, (unsigned)(at - text), &report);
	if (!c->name[0])
		config_report_error(&report, (struct vm_config_place){0}, "there is no name=");
	config_check_vm(&v, &report);
	return report.failed ? E_INVAL : OK;
}
