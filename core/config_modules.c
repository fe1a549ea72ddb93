/*
 * Whether the modules that a VM's configuration names are there. Must not know how they were
 * loaded, nor what is in them.
 */
#include <crvm/printf.h>
#include <crvm/string.h>

#include "config_priv.h"

struct module_search {
	const struct vm_config_module *list;
	unsigned count;
	struct config_report report;
};

/* As many as one line of the log has room for. */
static void list_modules(const struct module_search *s, char *out, size_t size)
{
	size_t n = 0;

	str_copy(out, size, " none", SIZE_MAX);
	for (unsigned i = 0; i < s->count; i++) {
		const char *name = s->list[i].name;
		struct config_shown shown;

		config_report_show(&shown, name, strnlen(name, VM_MODULE_NAME_MAX));
		if (n + strlen(shown.text) + sizeof(" ...") + 1 > size) {
			str_printf(out + n, size - n, " ...");
			return;
		}
		n += (size_t)str_printf(out + n, size - n, " %s", shown.text);
	}
}

static void report_absent(struct module_search *s, const struct vm_config_ref *ref)
{
	struct config_guess guess = {.word = ref->name};
	char present[96];

	for (unsigned i = 0; i < s->count; i++)
		config_report_guess(&guess, s->list[i].name);
	list_modules(s, present, sizeof(present));
	if (guess.nearest) {
		struct config_shown shown;

		config_report_show(&shown, guess.nearest, strlen(guess.nearest));
		config_report_error(&s->report, ref->place,
				    "module '%s' is not there: did you mean '%s'?", ref->name,
				    shown.text);
	} else {
		config_report_error(&s->report, ref->place,
				    "module '%s' is not there: GRUB may have dropped it for want "
				    "of memory; present:%s",
				    ref->name, present);
	}
}

/* The module, or NULL and an error told. */
static const struct vm_config_module *find_module(struct module_search *s,
						  const struct vm_config_ref *ref)
{
	const struct vm_config_module *found = NULL;

	for (unsigned i = 0; i < s->count; i++) {
		if (strcmp(s->list[i].name, ref->name) != 0)
			continue;
		if (found) {
			config_report_error(&s->report, ref->place,
					    "module '%s' is there twice: each needs a name of its "
					    "own",
					    ref->name);
			return NULL;
		}
		found = &s->list[i];
	}
	if (!found) {
		report_absent(s, ref);
	} else if (!found->length) {
		config_report_error(&s->report, ref->place, "module '%s' is empty", ref->name);
		found = NULL;
	}
	return found;
}

static void check_flat(struct module_search *s, const struct vm_config *c,
		       const struct vm_config_module *m)
{
	if (m && m->length > c->mem - c->at)
		config_report_error(&s->report, c->kernel.place,
				    "module '%s' has %lu bytes: from 0x%lx on, memory has %lu",
				    c->kernel.name, m->length, c->at, c->mem - c->at);
}

unsigned vm_config_check_modules(const struct vm_config *c, const struct vm_config_module *list,
				 unsigned count, struct vm_config_sink *sink)
{
	const unsigned before = sink->count;
	struct module_search s = {list, count, {.sink = sink, .vm = c->name}};

	if (c->bad)
		return 0;
	if (c->boot == VM_BOOT_DISK) {
		(void)find_module(&s, &c->firmware);
	} else if (c->kernel.name[0]) {
		const struct vm_config_module *m = find_module(&s, &c->kernel);

		if (c->boot == VM_BOOT_FLAT)
			check_flat(&s, c, m);
	}
	for (unsigned i = 0; i < c->module_count; i++)
		(void)find_module(&s, &c->module[i]);
	for (unsigned i = 0; i < VM_DISK_COUNT; i++)
		if (c->disk[i].kind == VM_DISK_MODULE)
			(void)find_module(&s, &c->disk[i].image);
	return sink->count - before;
}
