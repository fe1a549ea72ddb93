/*
 * Parser of the hypervisor's command line. Must not know the log, the console or any other user of
 * an option: it turns text into struct cmdline_options and messages. To add an option: a member
 * there, its default in cmdline_defaults, a row in cmdline_table.
 */
#include <crvm/cmdline.h>
#include <crvm/printf.h>
#include <crvm/status.h>
#include <crvm/string.h>
#include <crvm/virt.h>

#define WORD_MAX    64	/* longest word that is looked at; every good one is shorter */
#define MESSAGE_MAX 240 /* what the log takes in one line */

#define CONSOLE_HINT                                                                            \
	"auto, none, com1 to com4, 0xPORT, mmio:0xADDRESS[:1|:4], each with an optional ,BAUD " \
	"that divides 115200"

static const struct cmdline_options cmdline_defaults = {
	.console = "auto",
	.loglevel = LOG_INFO,
	.cpus = 0,
	.panic = PANIC_HALT,
	.screen = true,
	.x2apic = true,
};

/* One option: which member of struct cmdline_options, and how its value is read. */
struct cmdline_row {
	const char *name;
	size_t offset; /* of the member that `set` writes */
	bool (*set)(void *member, const struct cmdline_row *row, const char *value);
	const char *const *words; /* the good values, ends with NULL */
	const char *hint;	  /* without these: the good values in a sentence's form */
	uint64_t max;		  /* for set_number */
};

/* The place of a word is its value. */
static const char *const loglevel_words[] = {[LOG_ERR] = "err",
					     [LOG_WARN] = "warn",
					     [LOG_INFO] = "info",
					     [LOG_DEBUG] = "debug",
					     [LOG_DEBUG + 1] = NULL};
static const char *const panic_words[] = {
	[PANIC_REBOOT] = "reboot", [PANIC_HALT] = "halt", [PANIC_HALT + 1] = NULL};
static const char *const feature_words[] = {[VIRT_RDTSCP] = "rdtscp",
					    [VIRT_TSC_OFFSET] = "tsc-offset",
					    [VIRT_DEADLINE] = "preemption-timer",
					    [VIRT_DEADLINE + 1] = NULL};
static const char *const bool_words[] = {[false] = "off", [true] = "on", [2] = NULL};

/* The place of the value in the row's words, or -1. */
static int cmdline_find_word(const struct cmdline_row *row, const char *value)
{
	for (int i = 0; row->words[i]; i++)
		if (!strcmp(row->words[i], value))
			return i;
	return -1;
}

_Static_assert(sizeof(enum log_level) == sizeof(unsigned) &&
		       sizeof(enum panic_action) == sizeof(unsigned),
	       "set_word writes an unsigned");

static bool set_word(void *member, const struct cmdline_row *row, const char *value)
{
	int i = cmdline_find_word(row, value);

	if (i < 0)
		return false;
	*(unsigned *)member = (unsigned)i;
	return true;
}

/* Words with commas between them: a bit for each. */
static bool set_words(void *member, const struct cmdline_row *row, const char *value)
{
	char word[WORD_MAX + 1];
	unsigned bits = 0;
	size_t n;

	for (;; value += n + 1) {
		const char *comma = strchr(value, ',');
		int i;

		n = comma ? (size_t)(comma - value) : strlen(value);
		(void)str_copy(word, sizeof(word), value, n);
		i = cmdline_find_word(row, word);
		if (i < 0)
			return false;
		bits |= 1u << i;
		if (!comma)
			break;
	}
	*(unsigned *)member = bits;
	return true;
}

static bool set_bool(void *member, const struct cmdline_row *row, const char *value)
{
	int i = cmdline_find_word(row, value);

	if (i < 0)
		return false;
	*(bool *)member = i != 0;
	return true;
}

static bool set_number(void *member, const struct cmdline_row *row, const char *value)
{
	uint64_t n;

	if (str_to_u64(value, &n) != 0 || n > row->max)
		return false;
	*(unsigned *)member = (unsigned)n;
	return true;
}

static bool set_console(void *member, const struct cmdline_row *row, const char *value)
{
	const size_t size = sizeof(((struct cmdline_options *)NULL)->console);
	struct console_arg arg;

	(void)row;
	if (strlen(value) >= size || cmdline_console_parse(value, &arg) != 0)
		return false;
	return str_copy(member, size, value, size);
}

#define MEMBER(m) offsetof(struct cmdline_options, m)

static const struct cmdline_row cmdline_table[] = {
	{"console", MEMBER(console), set_console, .hint = CONSOLE_HINT},
	{"loglevel", MEMBER(loglevel), set_word, .words = loglevel_words},
	{"cpus", MEMBER(cpus), set_number, .hint = "0 (all) to 256", .max = CMDLINE_CPUS_MAX},
	{"panic", MEMBER(panic), set_word, .words = panic_words},
	{"screen", MEMBER(screen), set_bool, .words = bool_words},
	{"x2apic", MEMBER(x2apic), set_bool, .words = bool_words},
	{"without", MEMBER(without), set_words, .words = feature_words},
};

struct cmdline_word {
	char text[WORD_MAX + 1];
	size_t length;
	bool cut;  /* the word is longer than text */
	bool open; /* a quote in it does not end */
};

/* What a message is made of. */
struct cmdline_sink {
	void (*warn)(void *ctx, const char *text);
	void *ctx;
	char text[MESSAGE_MAX];
	size_t length;
};

static void sink_add(struct cmdline_sink *s, const char *text)
{
	str_copy(s->text + s->length, sizeof(s->text) - s->length, text, SIZE_MAX);
	s->length += strlen(s->text + s->length);
}

/* The whole option as it was written: no control characters get from a command line to a terminal.
 */
static void sink_begin(struct cmdline_sink *s, const char *what, const struct cmdline_word *w)
{
	char shown[WORD_MAX + 1];
	size_t i;

	for (i = 0; i < w->length; i++)
		shown[i] = w->text[i] >= ' ' && w->text[i] <= '~' ? w->text[i] : '?';
	shown[i] = 0;
	s->length = 0;
	sink_add(s, what);
	sink_add(s, " '");
	sink_add(s, shown);
	sink_add(s, w->cut ? "...'; " : "'; ");
}

static void sink_end(struct cmdline_sink *s)
{
	s->warn(s->ctx, s->text);
}

static void sink_names(struct cmdline_sink *s)
{
	sink_add(s, "known: ");
	for (size_t i = 0; i < array_count(cmdline_table); i++) {
		sink_add(s, i ? ", " : "");
		sink_add(s, cmdline_table[i].name);
	}
}

static void sink_values(struct cmdline_sink *s, const struct cmdline_row *row)
{
	sink_add(s, "valid: ");
	if (!row->words) {
		sink_add(s, row->hint);
		return;
	}
	for (size_t i = 0; row->words[i]; i++) {
		sink_add(s, i ? ", " : "");
		sink_add(s, row->words[i]);
	}
}

static bool cmdline_is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Reads the next word, without its quotes; false: there is none. */
static bool cmdline_next_word(const char **at, struct cmdline_word *w)
{
	const char *s = *at;

	*w = (struct cmdline_word){0};
	while (cmdline_is_blank(*s))
		s++;
	*at = s;
	if (!*s)
		return false;
	for (; *s && (w->open || !cmdline_is_blank(*s)); s++) {
		if (*s == '"') {
			w->open = !w->open;
			continue;
		}
		if (*s == '\\' && (s[1] == '\\' || s[1] == '\'' || s[1] == '"'))
			s++;
		if (w->length < WORD_MAX)
			w->text[w->length++] = *s;
		else
			w->cut = true;
	}
	*at = s;
	return true;
}

/* The row of the option that a word names, or NULL. */
static const struct cmdline_row *cmdline_find_row(const struct cmdline_word *w)
{
	const char *equals = strchr(w->text, '=');
	size_t n = equals ? (size_t)(equals - w->text) : w->length;

	for (size_t i = 0; i < array_count(cmdline_table); i++) {
		const char *name = cmdline_table[i].name;

		if (strlen(name) == n && !memcmp(name, w->text, n))
			return &cmdline_table[i];
	}
	return NULL;
}

static bool cmdline_set(struct cmdline_options *o, const struct cmdline_row *row,
			const struct cmdline_word *w)
{
	const char *equals = strchr(w->text, '=');

	if (!equals || w->cut || w->open)
		return false;
	return row->set((char *)o + row->offset, row, equals + 1);
}

static const char *cmdline_fault(const struct cmdline_word *w)
{
	if (w->open)
		return "quote without end in";
	if (!strchr(w->text, '='))
		return "no value in";
	return "bad value in";
}

void cmdline_parse(struct cmdline_options *o, const char *text,
		   void (*warn)(void *ctx, const char *text), void *ctx)
{
	struct cmdline_sink sink = {.warn = warn, .ctx = ctx};
	struct cmdline_word word;
	uint32_t seen = 0; /* bit n: row n had a word */

	_Static_assert(array_count(cmdline_table) <= 32, "bits of seen");
	*o = cmdline_defaults;
	while (cmdline_next_word(&text, &word)) {
		const struct cmdline_row *row = cmdline_find_row(&word);
		uint32_t bit;

		if (!row) {
			sink_begin(&sink, "unknown option", &word);
			sink_names(&sink);
			sink_end(&sink);
			continue;
		}
		bit = 1u << (row - cmdline_table);
		if (seen & bit) {
			sink_begin(&sink, "repeated option", &word);
			sink_add(&sink, "the last good value counts; ");
			sink_values(&sink, row);
			sink_end(&sink);
		}
		seen |= bit;
		if (!cmdline_set(o, row, &word)) {
			sink_begin(&sink, cmdline_fault(&word), &word);
			sink_values(&sink, row);
			sink_end(&sink);
		}
	}
}

/* A number without the suffix for sizes that str_to_u64 takes as well. */
static bool console_number(const char *s, uint64_t *out)
{
	size_t n = strlen(s);

	return n && !strchr("KMG", s[n - 1]) && str_to_u64(s, out) == 0;
}

static bool console_hex(const char *s, uint64_t *out)
{
	return !strncmp(s, "0x", 2) && console_number(s, out);
}

/* National Semiconductor PC16550D, "Programmable Baud Generator": a divisor of 16 bits. */
static bool console_baud(const char *s, uint32_t *out)
{
	uint64_t baud;

	if (!strncmp(s, "0x", 2) || !console_number(s, &baud))
		return false;
	if (!baud || baud > 115200 || 115200 % baud || 115200 / baud > 0xffff)
		return false;
	*out = (uint32_t)baud;
	return true;
}

static bool console_com(const char *s, struct console_arg *arg)
{
	static const uint16_t port[] = {0x3f8, 0x2f8, 0x3e8, 0x2e8};

	if (strncmp(s, "com", 3) || s[3] < '1' || s[3] > '4' || s[4])
		return false;
	*arg = (struct console_arg){CONSOLE_PORT, port[s[3] - '1'], .stride = 1};
	return true;
}

static bool console_port(const char *s, struct console_arg *arg)
{
	*arg = (struct console_arg){CONSOLE_PORT, .stride = 1};
	return console_hex(s, &arg->address) && arg->address && arg->address <= 0x10000 - 8;
}

/* `s` is what follows "mmio:"; it is changed. */
static bool console_mmio(char *s, struct console_arg *arg)
{
	const uint64_t end = 1ull << 52; /* the most physical address bits that there can be */
	char *colon = strchr(s, ':');

	*arg = (struct console_arg){CONSOLE_MMIO, .stride = 1};
	if (colon) {
		if ((colon[1] != '1' && colon[1] != '4') || colon[2])
			return false;
		arg->stride = (unsigned)(colon[1] - '0');
		*colon = 0;
	}
	return console_hex(s, &arg->address) && arg->address &&
	       arg->address <= end - 8ull * arg->stride && arg->address % arg->stride == 0;
}

int cmdline_console_parse(const char *value, struct console_arg *out)
{
	struct console_arg arg = {.kind = CONSOLE_AUTO};
	char text[64];
	char *comma;
	uint32_t baud = 0;
	bool good;

	if (!str_copy(text, sizeof(text), value, SIZE_MAX))
		return E_INVAL;
	comma = strchr(text, ',');
	if (comma) {
		*comma = 0;
		if (!console_baud(comma + 1, &baud))
			return E_INVAL;
	}
	if (!strcmp(text, "auto")) {
		good = true;
	} else if (!strcmp(text, "none")) {
		arg.kind = CONSOLE_NONE;
		good = true;
	} else if (!strncmp(text, "mmio:", 5)) {
		good = console_mmio(text + 5, &arg);
	} else {
		good = console_com(text, &arg) || console_port(text, &arg);
	}
	if (!good)
		return E_INVAL;
	arg.baud = baud;
	*out = arg;
	return 0;
}
