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

static struct vm_config configs[VM_MAX];
static unsigned config_count;

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

static void read_config(const struct boot_module *m)
{
	static struct vm_config_module list[BOOT_MODULE_MAX];
	static char names[BOOT_MODULE_MAX][VM_MODULE_NAME_MAX];
	struct vm_config_sink sink = {.error = config_error};
	struct vm_image text = image_of(m);
	unsigned module_count = list_modules(list, names), first = config_count;

	config_count +=
		vm_config_parse_text(configs + first, VM_MAX - first, text.data, text.len, &sink);
	for (unsigned i = first; i < config_count; i++) {
		if (configs[i].bad ||
		    vm_config_check_modules(&configs[i], list, module_count, &sink)) {
			configs[i].bad = true;
			log_err("VM %s is left out: see the errors above", configs[i].name);
		}
	}
	if (sink.count > VM_CONFIG_ERRORS_MAX)
		log_err("config: %u errors in all", sink.count);
}

static void create_guest(unsigned index, const struct boot_module *m)
{
	struct vm_image own = image_of(m);
	struct vm_config config;
	char error[240];

	if (vm_config_parse(&config, m->cmdline, error, sizeof(error)))
		log_err("module %u: %s", index, error);
	else if (!vm_create(&config, &own))
		log_info("VM %s: %lu KiB, image of %lu bytes", config.name, config.mem / 1024,
			 own.len);
}

static void create_configured(const struct vm_config *c)
{
	if (!c->bad && !vm_create(c, &(struct vm_image){0}))
		log_info("VM %s: %lu KiB, boot = %s", c->name, c->mem / 1024,
			 vm_config_boot_name(c->boot));
}

void vms_start(void)
{
	const struct boot_info *b = &machine.boot;

	if (machine.verdict.count)
		return;
	for (unsigned i = 0; i < b->module_count; i++)
		if (is_config(&b->module[i]))
			read_config(&b->module[i]);
	for (unsigned i = 0; i < config_count; i++)
		create_configured(&configs[i]);
	for (unsigned i = 0; i < b->module_count; i++)
		if (vm_config_is_guest(b->module[i].cmdline))
			create_guest(i, &b->module[i]);
	/* All at once: none has a head start in what it sees of the others. */
	for (unsigned i = 0; i < vm_count; i++)
		if (vms[i]->config.autostart)
			vm_start(vms[i]);
}
