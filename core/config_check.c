/*
 * What the keys of one VM's configuration must obey together, and what one says about another.
 * Must not know text, nor which modules there are.
 */
#include <crvm/string.h>

#include "config_priv.h"

#define FIRMWARE_END (1ul << 20) /* it lies below this address */

static bool given(const struct config_vm *v, enum config_key_id key)
{
	return v->seen[key].column != 0;
}

static bool has_disk(const struct config_vm *v, enum vm_disk_kind kind)
{
	for (unsigned i = 0; i < VM_DISK_COUNT; i++)
		if (v->c->disk[i].kind == kind)
			return true;
	return false;
}

/* The module is all there is to boot from: the kernel, or the first disk. */
static void check_own_module(struct config_vm *v, struct config_report *r)
{
	struct vm_config *c = v->c;

	if (c->boot != VM_BOOT_DISK)
		return;
	if (given(v, CONFIG_DISK0))
		config_report_error(r, v->seen[CONFIG_DISK0],
				    "disk0 does not go with boot=disk here: the module with these "
				    "words is disk 0");
	c->disk[0].kind = VM_DISK_OWN;
}

static void check_boot(struct config_vm *v, struct config_report *r)
{
	struct vm_config *c = v->c;

	if (!given(v, CONFIG_BOOT) && given(v, CONFIG_KERNEL)) {
		config_report_error(r, v->seen[CONFIG_KERNEL],
				    "a kernel needs boot = multiboot, elf or flat as well");
		return;
	}
	if (!given(v, CONFIG_BOOT))
		c->boot = VM_BOOT_DISK;
	if (c->boot != VM_BOOT_DISK) {
		if (!given(v, CONFIG_KERNEL))
			config_report_error(r, v->seen[CONFIG_BOOT],
					    "boot = %s needs kernel = MODULE as well",
					    vm_config_boot_name(c->boot));
		return;
	}
	if (given(v, CONFIG_KERNEL))
		config_report_error(r, v->seen[CONFIG_KERNEL],
				    "a kernel does not go with boot = disk, which boots what is on "
				    "a disk; valid with it: boot = multiboot, elf or flat");
	else if (has_disk(v, VM_DISK_MODULE))
		return;
	else if (has_disk(v, VM_DISK_BLANK))
		config_report_error(r, given(v, CONFIG_BOOT) ? v->seen[CONFIG_BOOT] : c->place,
				    "nothing to boot: all disks are blank, one must be a module");
	else
		config_report_error(r, given(v, CONFIG_BOOT) ? v->seen[CONFIG_BOOT] : c->place,
				    "nothing to boot: give disk0 = MODULE, or kernel = MODULE with "
				    "boot = multiboot, elf or flat");
}

/* A key that would be without effect is a mistake. */
static void check_use(struct config_vm *v, struct config_report *r)
{
	static const struct {
		enum config_key_id key;
		enum vm_boot boot;
		const char *name;
	} uses[] = {
		{CONFIG_AT, VM_BOOT_FLAT, "at"},
		{CONFIG_CMDLINE, VM_BOOT_MULTIBOOT, "cmdline"},
		{CONFIG_MODULE, VM_BOOT_MULTIBOOT, "module"},
		{CONFIG_FIRMWARE, VM_BOOT_DISK, "firmware"},
	};

	for (unsigned i = 0; i < array_count(uses); i++)
		if (given(v, uses[i].key) && v->c->boot != uses[i].boot)
			config_report_error(r, v->seen[uses[i].key],
					    "'%s' is for boot = %s only; this is boot = %s",
					    uses[i].name, vm_config_boot_name(uses[i].boot),
					    vm_config_boot_name(v->c->boot));
}

static void check_memory(struct config_vm *v, struct config_report *r)
{
	const struct vm_config *c = v->c;
	struct vm_config_place place = c->place;

	if (given(v, CONFIG_MEMORY))
		place = v->seen[CONFIG_MEMORY];
	if (c->boot == VM_BOOT_DISK && c->mem < FIRMWARE_END)
		config_report_error(r, place,
				    "memory is %lu KiB: boot = disk needs 1M at least, for the "
				    "firmware",
				    c->mem >> 10);
	if (c->boot == VM_BOOT_FLAT && c->at >= c->mem)
		config_report_error(r, given(v, CONFIG_AT) ? v->seen[CONFIG_AT] : place,
				    "at = 0x%lx is beyond memory, which has %lu KiB", c->at,
				    c->mem >> 10);
}

static void compare_shared(const struct vm_config_shared *s, const struct vm_config *other,
			   struct config_report *r)
{
	for (unsigned i = 0; i < other->shared_count; i++) {
		const struct vm_config_shared *o = &other->shared[i];

		if (!strcmp(o->name, s->name) && o->size != s->size)
			config_report_error(r, s->place,
					    "shared region '%s' has %lu KiB in VM '%s', here %lu "
					    "KiB: all must agree",
					    s->name, o->size >> 10, other->name, s->size >> 10);
	}
}

void config_check_shared(const struct vm_config *c, const struct vm_config *before, unsigned count,
			 struct config_report *r)
{
	if (r->failed)
		return;
	/* Of a VM with an error nothing is left that c could be compared with. */
	for (unsigned i = 0; i < c->shared_count; i++)
		for (unsigned j = 0; j < count; j++)
			if (&before[j] != c)
				compare_shared(&c->shared[i], &before[j], r);
}

static void check_shared(struct config_vm *v, struct config_report *r)
{
	const struct vm_config *c = v->c;

	for (unsigned i = 0; i < c->shared_count; i++)
		for (unsigned j = 0; j < i; j++)
			if (!strcmp(c->shared[i].name, c->shared[j].name))
				config_report_error(r, c->shared[i].place,
						    "shared region '%s' is there twice",
						    c->shared[i].name);
}

void config_check_vm(struct config_vm *v, struct config_report *r)
{
	struct vm_config *c = v->c;

	if (!given(v, CONFIG_FIRMWARE))
		c->firmware.place = c->place;
	/* What is said of a VM with an error would often be wrong once that is mended. */
	if (!r->failed) {
		if (v->form == CONFIG_WORDS)
			check_own_module(v, r);
		else
			check_boot(v, r);
	}
	if (!r->failed) {
		check_use(v, r);
		check_memory(v, r);
		check_shared(v, r);
	}
	if (r->failed) {
		struct vm_config only = {.bad = true, .place = c->place};

		memcpy(only.name, c->name, sizeof(only.name));
		*c = only;
	}
}
