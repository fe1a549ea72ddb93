/*
 * The keys of a VM's configuration: a table of names, limits and setters. Must not know lines or
 * words (core/vm_config.c) nor what keys mean together (core/config_check.c). To add a key: a
 * member of struct vm_config, its default in config_keys_begin, an identifier in config_priv.h, a
 * row here and one in docs/configuration.md.
 */
#include <crvm/addr.h>
#include <crvm/disk.h>
#include <crvm/percpu.h>
#include <crvm/printf.h>
#include <crvm/status.h>
#include <crvm/string.h>

#include "config_priv.h"

#define MEMORY_MIN (64ul << 10)
#define MEMORY_MAX (3ul << 30)	 /* devices lie above */
#define AT_MAX	   0xf0000ul	 /* the highest segment of real mode that is whole, about */
#define DISK_MAX   (128ul << 30) /* what 28 bits of a sector's number reach */
#define WRITES_MIN (64ul << 10)
#define WEIGHT_MAX 1000

/* What a guest's own devices do not need: not the timer, keyboard, clock, cascade, FPU. */
#define SHARED_IRQS 0xdef8u

_Static_assert(MEMORY_MAX <= VM_SHARED_BASE, "RAM ends below what VMs share");

struct config_key {
	const char *name, *short_form;
	const char *valid; /* completes "must be ...", but for closed sets */
	bool (*set)(struct vm_config *c, const struct config_key *key,
		    const struct config_entry *e);
	size_t offset;		  /* of the member that `set` writes */
	const char *const *words; /* the closed set, ends with NULL: the place is the value */
	uint64_t min, max, step;  /* of numbers */
	bool repeats;
	enum config_form only; /* 0: in both forms */
	const char *instead;   /* in the other form */
};

static const char *const boot_words[] = {[VM_BOOT_FLAT] = "flat",
					 [VM_BOOT_MULTIBOOT] = "multiboot",
					 [VM_BOOT_ELF] = "elf",
					 [VM_BOOT_DISK] = "disk",
					 NULL};
static const char *const console_words[] = {[VM_CONSOLE_SERIAL] = "serial",
					    [VM_CONSOLE_DEBUG] = "debug",
					    [VM_CONSOLE_NONE] = "none",
					    NULL};
static const char *const input_words[] = {
	[VM_INPUT_SERIAL] = "serial", [VM_INPUT_KEYBOARD] = "keyboard", NULL};
static const char *const ticks_words[] = {
	[VM_TICKS_CATCHUP] = "catchup", [VM_TICKS_COALESCE] = "coalesce", NULL};
static const char *const restart_words[] = {[VM_RESTART_NEVER] = "never",
					    [VM_RESTART_RESET] = "reset",
					    [VM_RESTART_ALWAYS] = "always",
					    NULL};
static const char *const on_off[] = {[false] = "off", [true] = "on", NULL};
static const char *const yes_no[] = {[false] = "no", [true] = "yes", NULL};

/* The place of the value in the key's words, or -1. */
static int find_word(const struct config_key *key, const char *value)
{
	for (int i = 0; key->words[i]; i++)
		if (!strcmp(key->words[i], value))
			return i;
	return -1;
}

_Static_assert(sizeof(enum vm_boot) == sizeof(int) && sizeof(enum vm_console_kind) == sizeof(int) &&
		       sizeof(enum vm_input) == sizeof(int) &&
		       sizeof(enum vm_ticks) == sizeof(int) &&
		       sizeof(enum vm_restart) == sizeof(int),
	       "set_enum writes an int");

static bool set_enum(struct vm_config *c, const struct config_key *key,
		     const struct config_entry *e)
{
	const int i = find_word(key, e->value);

	if (i >= 0)
		memcpy((char *)c + key->offset, &i, sizeof(i));
	return i >= 0;
}

static bool set_bool(struct vm_config *c, const struct config_key *key,
		     const struct config_entry *e)
{
	const int i = find_word(key, e->value);
	const bool on = i > 0;

	if (i >= 0)
		memcpy((char *)c + key->offset, &on, sizeof(on));
	return i >= 0;
}

static bool to_number(const char *s, uint64_t min, uint64_t max, uint64_t step, uint64_t *out)
{
	return !str_to_u64(s, out) && *out >= min && *out <= max && !(*out & (step - 1));
}

static bool set_u64(struct vm_config *c, const struct config_key *key, const struct config_entry *e)
{
	uint64_t n;

	if (!to_number(e->value, key->min, key->max, key->step, &n))
		return false;
	memcpy((char *)c + key->offset, &n, sizeof(n));
	return true;
}

static bool set_unsigned(struct vm_config *c, const struct config_key *key,
			 const struct config_entry *e)
{
	unsigned n;
	uint64_t wide;

	if (!to_number(e->value, key->min, key->max, key->step, &wide))
		return false;
	n = (unsigned)wide;
	memcpy((char *)c + key->offset, &n, sizeof(n));
	return true;
}

static bool set_cpu(struct vm_config *c, const struct config_key *key, const struct config_entry *e)
{
	uint64_t n;

	if (!strcmp(e->value, "any")) {
		c->cpu = -1;
		return true;
	}
	if (!to_number(e->value, key->min, key->max, key->step, &n))
		return false;
	c->cpu = (int)n;
	return true;
}

bool config_keys_is_name(const char *s)
{
	size_t n = 0;

	for (; s[n]; n++)
		if (!((s[n] >= 'a' && s[n] <= 'z') || (s[n] >= '0' && s[n] <= '9') || s[n] == '-'))
			return false;
	return n && n < VM_NAME_MAX;
}

static bool set_name(struct vm_config *c, const struct config_key *key,
		     const struct config_entry *e)
{
	(void)key;
	return config_keys_is_name(e->value) &&
	       str_copy(c->name, sizeof(c->name), e->value, SIZE_MAX);
}

/* What names of files have; neither `blank:` nor a number with its unit can be one by mistake. */
static bool is_module_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (c && strchr("._+-/", c));
}

static bool set_ref(struct vm_config_ref *ref, const char *name, size_t len,
		    const struct config_entry *e)
{
	for (size_t i = 0; i < len; i++)
		if (!is_module_char(name[i]))
			return false;
	if (!len || !str_copy(ref->name, sizeof(ref->name), name, len))
		return false;
	ref->place = e->value_place;
	return true;
}

static bool set_kernel(struct vm_config *c, const struct config_key *key,
		       const struct config_entry *e)
{
	(void)key;
	return set_ref(&c->kernel, e->value, strlen(e->value), e);
}

static bool set_firmware(struct vm_config *c, const struct config_key *key,
			 const struct config_entry *e)
{
	(void)key;
	return set_ref(&c->firmware, e->value, strlen(e->value), e);
}

static bool set_module(struct vm_config *c, const struct config_key *key,
		       const struct config_entry *e)
{
	(void)key;
	if (c->module_count == VM_MODULE_COUNT_MAX ||
	    !set_ref(&c->module[c->module_count], e->value, strlen(e->value), e))
		return false;
	c->module_count++;
	return true;
}

static bool set_cmdline(struct vm_config *c, const struct config_key *key,
			const struct config_entry *e)
{
	(void)key;
	return str_copy(c->cmdline, sizeof(c->cmdline), e->value, SIZE_MAX);
}

/* MODULE, MODULE size=BYTES, blank:BYTES */
static bool set_disk(struct vm_config *c, const struct config_key *key,
		     const struct config_entry *e)
{
	struct vm_config_disk *d = &c->disk[key->offset];
	const char *s = e->value;
	size_t len = 0;

	if (!strncmp(s, "blank:", 6)) {
		d->kind = VM_DISK_BLANK;
		return to_number(s + 6, DISK_SECTOR, DISK_MAX, DISK_SECTOR, &d->size);
	}
	while (s[len] && s[len] != ' ' && s[len] != '\t')
		len++;
	if (!set_ref(&d->image, s, len, e))
		return false;
	d->kind = VM_DISK_MODULE;
	for (s += len; *s == ' ' || *s == '\t'; s++)
		;
	if (!*s)
		return true;
	return !strncmp(s, "size=", 5) &&
	       to_number(s + 5, DISK_SECTOR, DISK_MAX, DISK_SECTOR, &d->size);
}

/* Copies up to one of `ends`; what follows, or NULL if it is too long. */
static const char *cut(const char *s, const char *ends, char *out, size_t size)
{
	size_t len = 0;

	while (s[len] && !strchr(ends, s[len]))
		len++;
	return str_copy(out, size, s, len) ? s + len : NULL;
}

/* NAME:SIZE, NAME:SIZE irq=LINE */
static bool set_shared(struct vm_config *c, const struct config_key *key,
		       const struct config_entry *e)
{
	struct vm_config_shared *new = &c->shared[c->shared_count];
	char size[24];
	const char *s;
	uint64_t irq;

	if (c->shared_count == VM_SHARED_COUNT_MAX)
		return false;
	s = cut(e->value, ":", new->name, sizeof(new->name));
	if (!s || !*s || !config_keys_is_name(new->name))
		return false;
	s = cut(s + 1, " \t", size, sizeof(size));
	if (!s || !to_number(size, key->min, key->max, key->step, &new->size))
		return false;
	while (*s == ' ' || *s == '\t')
		s++;
	new->irq = -1;
	if (*s) {
		if (strncmp(s, "irq=", 4) != 0 || !to_number(s + 4, 0, 15, 1, &irq) ||
		    !(SHARED_IRQS >> irq & 1))
			return false;
		new->irq = (int)irq;
	}
	new->place = e->value_place;
	c->shared_count++;
	return true;
}

#define MEMBER(m)    offsetof(struct vm_config, m)
#define MODULE_VALID "a module's name: 1 to 63 of A-Z a-z 0-9 . _ + - /"

#define DISK_ROW(number)                                                                   \
	[CONFIG_DISK0 + (number)] = {.name = "disk" #number,                               \
				     .set = set_disk,                                      \
				     .offset = (number),                                   \
				     .valid = "a module's name, also with size=BYTES, or " \
					      "blank:BYTES; 512 to 128G, in steps of 512"}

static const struct config_key keys[] = {
	[CONFIG_NAME] = {.name = "name",
			 .set = set_name,
			 .valid = CONFIG_NAME_VALID,
			 .only = CONFIG_WORDS,
			 .instead = "the name stands in the heading, [vm NAME]"},
	[CONFIG_MEMORY] = {.name = "memory",
			   .short_form = "mem",
			   .set = set_u64,
			   .offset = MEMBER(mem),
			   .min = MEMORY_MIN,
			   .max = MEMORY_MAX,
			   .step = PAGE_SIZE,
			   .valid = "64K to 3G, in steps of 4K"},
	[CONFIG_CPUS] = {.name = "cpus",
			 .set = set_unsigned,
			 .offset = MEMBER(cpus),
			 .min = 1,
			 .max = 1,
			 .step = 1,
			 .valid = "1: a VM has one CPU so far"},
	[CONFIG_CPU] = {.name = "cpu",
			.set = set_cpu,
			.max = CPU_MAX - 1,
			.step = 1,
			.valid = "any, or the number of a physical CPU, 0 to 63"},
	[CONFIG_BOOT] = {.name = "boot",
			 .set = set_enum,
			 .offset = MEMBER(boot),
			 .words = boot_words},
	[CONFIG_KERNEL] = {.name = "kernel",
			   .set = set_kernel,
			   .valid = MODULE_VALID,
			   .only = CONFIG_SECTION,
			   .instead = "the module with these words is the kernel"},
	[CONFIG_AT] = {.name = "at",
		       .set = set_u64,
		       .offset = MEMBER(at),
		       .max = AT_MAX,
		       .step = 16,
		       .valid = "an address up to 0xf0000, a multiple of 16"},
	[CONFIG_CMDLINE] = {.name = "cmdline",
			    .set = set_cmdline,
			    .valid = "text of at most 255 bytes"},
	[CONFIG_MODULE] = {.name = "module",
			   .set = set_module,
			   .repeats = true,
			   .valid = MODULE_VALID "; at most 4 times"},
	DISK_ROW(0),
	DISK_ROW(1),
	DISK_ROW(2),
	DISK_ROW(3),
	[CONFIG_WRITES] = {.name = "writes",
			   .set = set_u64,
			   .offset = MEMBER(writes),
			   .min = WRITES_MIN,
			   .max = DISK_MAX,
			   .step = PAGE_SIZE,
			   .valid = "64K to 128G, in steps of 4K"},
	[CONFIG_SHARED] = {.name = "shared",
			   .set = set_shared,
			   .min = PAGE_SIZE,
			   .max = VM_SHARED_SIZE_MAX,
			   .step = PAGE_SIZE,
			   .repeats = true,
			   .valid = "NAME:SIZE, also with irq=LINE: a name as a VM's, 4K to 64M in "
				    "steps of 4K, 3-7, 9-12, 14 or 15; at most 4 times"},
	[CONFIG_FIRMWARE] = {.name = "firmware", .set = set_firmware, .valid = MODULE_VALID},
	[CONFIG_CONSOLE] = {.name = "console",
			    .set = set_enum,
			    .offset = MEMBER(console),
			    .words = console_words},
	[CONFIG_INPUT] = {.name = "input",
			  .set = set_enum,
			  .offset = MEMBER(input),
			  .words = input_words},
	[CONFIG_TICKS] = {.name = "ticks",
			  .set = set_enum,
			  .offset = MEMBER(ticks),
			  .words = ticks_words},
	[CONFIG_VPID] = {.name = "vpid", .set = set_bool, .offset = MEMBER(vpid), .words = on_off},
	[CONFIG_WEIGHT] = {.name = "weight",
			   .set = set_unsigned,
			   .offset = MEMBER(weight),
			   .min = 1,
			   .max = WEIGHT_MAX,
			   .step = 1,
			   .valid = "1 to 1000"},
	[CONFIG_AUTOSTART] = {.name = "autostart",
			      .set = set_bool,
			      .offset = MEMBER(autostart),
			      .words = yes_no},
	[CONFIG_RESTART] = {.name = "restart",
			    .set = set_enum,
			    .offset = MEMBER(restart),
			    .words = restart_words},
	[CONFIG_EXIT_PORT] = {.name = "exit-port",
			      .set = set_bool,
			      .offset = MEMBER(exit_port),
			      .words = on_off},
	[CONFIG_PRIVILEGED] = {.name = "privileged",
			       .set = set_bool,
			       .offset = MEMBER(privileged),
			       .words = yes_no},
};
_Static_assert(array_count(keys) == CONFIG_KEY_COUNT, "a row for each key");
_Static_assert(CPU_MAX == 64, "the number in the row of `cpu`");

const char *vm_config_boot_name(enum vm_boot boot)
{
	return boot_words[boot];
}

void config_keys_begin(struct config_vm *v, struct vm_config *c, enum config_form form)
{
	*c = (struct vm_config){
		.mem = 16ul << 20,
		.cpus = 1,
		.cpu = -1,
		.at = 0x7c00,
		.firmware.name = "firmware",
		.vpid = true,
		.weight = 100,
		.autostart = true,
		.restart = VM_RESTART_RESET,
		.exit_port = form == CONFIG_WORDS,
	};
	*v = (struct config_vm){.c = c, .form = form};
}

static bool is_valid_in(const struct config_key *key, enum config_form form)
{
	return !key->only || key->only == form;
}

static void report_unknown(const struct config_vm *v, const struct config_entry *e,
			   struct config_report *r)
{
	struct config_guess guess = {.word = e->key};
	struct config_shown shown;
	char list[CONFIG_MESSAGE_MAX];
	size_t n = 0;

	list[0] = '\0';
	for (size_t i = 0; i < array_count(keys); i++) {
		if (!is_valid_in(&keys[i], v->form))
			continue;
		config_report_guess(&guess, keys[i].name);
		n += (size_t)str_printf(list + n, sizeof(list) - n, " %s", keys[i].name);
	}
	config_report_show(&shown, e->key, strlen(e->key));
	if (guess.nearest)
		config_report_error(r, e->key_place, "unknown key '%s': did you mean '%s'?",
				    shown.text, guess.nearest);
	else
		config_report_error(r, e->key_place, "unknown key '%s'; known:%s", shown.text,
				    list);
}

static void report_value(const struct config_key *key, const struct config_entry *e,
			 struct config_report *r)
{
	struct config_guess guess = {.word = e->value};
	struct config_shown shown;
	char valid[64];
	size_t n = 0;

	config_report_show(&shown, e->value, strlen(e->value));
	if (!key->words) {
		config_report_error(r, e->value_place, "%s = '%s': must be %s", e->key, shown.text,
				    key->valid);
		return;
	}
	for (size_t i = 0; key->words[i]; i++) {
		const char *before = !i ? "" : key->words[i + 1] ? ", " : " or ";

		config_report_guess(&guess, key->words[i]);
		n += (size_t)str_printf(valid + n, sizeof(valid) - n, "%s%s", before,
					key->words[i]);
	}
	config_report_error(r, e->value_place, "%s = '%s': must be %s%s%s%s", e->key, shown.text,
			    valid, guess.nearest ? "; did you mean '" : "",
			    guess.nearest ? guess.nearest : "", guess.nearest ? "'?" : "");
}

static const struct config_key *find_key(const char *name)
{
	for (size_t i = 0; i < array_count(keys); i++)
		if (!strcmp(keys[i].name, name) ||
		    (keys[i].short_form && !strcmp(keys[i].short_form, name)))
			return &keys[i];
	return NULL;
}

void config_keys_set(struct config_vm *v, const struct config_entry *e, struct config_report *r)
{
	const struct config_key *key = find_key(e->key);
	struct vm_config_place *seen;

	if (!key) {
		report_unknown(v, e, r);
		return;
	}
	if (!is_valid_in(key, v->form)) {
		config_report_error(r, e->key_place, "'%s' does not belong here: %s", e->key,
				    key->instead);
		return;
	}
	seen = &v->seen[key - keys];
	if (seen->column && !key->repeats) {
		if (seen->line)
			config_report_error(r, e->key_place,
					    "'%s' is there twice, first on line %u", e->key,
					    seen->line);
		else
			config_report_error(r, e->key_place, "'%s' is there twice", e->key);
		return;
	}
	*seen = e->key_place;
	if (!e->value)
		config_report_error(r, e->key_place, "'%s' has no value: write %s=VALUE", e->key,
				    e->key);
	else if (!key->set(v->c, key, e))
		report_value(key, e, r);
}
