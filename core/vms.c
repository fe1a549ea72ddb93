/*
 * The VMs that the boot modules configure: a module whose command line begins with `config` is a
 * configuration, one with `guest` is a VM by itself, and all others are what these name.
 */
#include <crvm/hostmap.h>
#include <crvm/log.h>
#include <crvm/string.h>

#include "log_priv.h"
#include "machine.h"
#include "vm.h"

static struct vm_config configs[VM_MAX]; /* of the text that is being read */

/* Bytes of the command line's first word. */
static size_t name_len(const char *cmdline)
{
	size_t n = 0;

	while (cmdline[n] && cmdline[n] != ' ')
		n++;
	return n;
}

static struct vm_image image_of(const struct boot_module *m)
{
	return (struct vm_image){phys_to_virt(hpa(m->start)), m->end - m->start};
}

static bool is_config(const struct boot_module *m)
{
	return name_len(m->cmdline) == 6 && strncmp(m->cmdline, "config", 6) == 0;
}

struct vm_image vms_module(const char *name)
{
	const struct boot_info *b = &machine.boot;

	for (unsigned i = 0; i < b->module_count; i++) {
		size_t n = name_len(b->module[i].cmdline);

		if (n == strlen(name) && strncmp(b->module[i].cmdline, name, n) == 0)
			return image_of(&b->module[i]);
	}
	return (struct vm_image){0};
}

static void config_error(void *ctx, const struct vm_config_error *e)
{
	(void)ctx;
	log_err("config:%u:%u: %s%s%s", e->place.line, e->place.column, e->vm, e->vm[0] ? ": " : "",
		e->text);
}

/* Modules as the parser's checks want them: names end at the first blank. */
static unsigned list_modules(struct vm_config_module *list, char (*names)[VM_MODULE_NAME_MAX])
{
	const struct boot_info *b = &machine.boot;
	unsigned n = 0;

	for (unsigned i = 0; i < b->module_count; i++) {
		const struct boot_module *m = &b->module[i];

		if (is_config(m) || vm_config_is_guest(m->cmdline) ||
		    !str_copy(names[n], VM_MODULE_NAME_MAX, m->cmdline, name_len(m->cmdline)))
			continue;
		list[n] = (struct vm_config_module){names[n], m->end - m->start};
		n++;
	}
	return n;
}

static void create_one(const struct vm_config *c, const struct vm_image *own)
{
	for (unsigned i = 0; i < vm_count; i++) {
		if (vms[i] && strcmp(vms[i]->name, c->name) == 0) {
			log_err("VM %s: there is one of that name already", c->name);
			return;
		}
	}
	if (!vm_create(c, own, NULL))
		log_info("VM %s: %lu KiB, boot = %s", c->name, c->mem / 1024,
			 vm_config_boot_name(c->boot));
}

/* Whether it can be made of the modules that there are. */
static bool is_good(const struct vm_config *c, struct vm_config_sink *sink)
{
	static struct vm_config_module list[BOOT_MODULE_MAX];
	static char names[BOOT_MODULE_MAX][VM_MODULE_NAME_MAX];
	unsigned count = list_modules(list, names);

	if (!c->bad && !vm_config_check_modules(c, list, count, sink))
		return true;
	log_err("VM %s is left out: see the errors above", c->name);
	return false;
}

unsigned vms_create(const char *text, size_t len, struct vm_config_sink *sink)
{
	unsigned count = vm_config_parse_text(configs, VM_MAX, text, len, sink);
	unsigned good = 0;

	for (unsigned i = 0; i < count; i++) {
		if (!is_good(&configs[i], sink))
			continue;
		create_one(&configs[i], &(struct vm_image){0});
		good++;
	}
	if (sink->count > VM_CONFIG_ERRORS_MAX)
		log_err("config: %u errors in all", sink->count);
	return good;
}

static void create_from(unsigned index, const struct boot_module *m)
{
	struct vm_config_sink sink = {.error = config_error};
	struct vm_image image = image_of(m);
	struct vm_config config;
	char error[240];

	if (is_config(m))
		(void)vms_create(image.data, image.len, &sink);
	else if (!vm_config_is_guest(m->cmdline))
		return;
	else if (vm_config_parse(&config, m->cmdline, error, sizeof(error)))
		log_err("module %u: %s", index, error);
	else if (is_good(&config, &sink))
		create_one(&config, &image);
}

void vms_autostart(void)
{
	bool any = false;

	vm_hold(); /* the first may end before the last has begun */
	for (unsigned i = 0; i < vm_count; i++)
		if (vms[i] && vms[i]->config.autostart && atomic_load(&vms[i]->state) == VM_CREATED)
			any |= !vm_start(vms[i]); /* which has said why not */
	vm_unhold(any);
}

void vms_start(void)
{
	if (machine.verdict.count)
		return;
	for (unsigned i = 0; i < machine.boot.module_count; i++)
		create_from(i, &machine.boot.module[i]);
	/* All at once: none has a head start in what it sees of the others. */
	vms_autostart();
}
