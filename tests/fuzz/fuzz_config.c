/*
 * Any bytes as a configuration, and as the words of a module's command line: what is good is within
 * its limits, what is bad is empty, errors fit the log, and good VMs written as text again are the
 * same VMs.
 * needs: core/vm_config.c core/config_keys.c core/config_check.c core/config_report.c
 * needs: core/config_modules.c lib/text.c lib/printf.c
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <crvm/status.h>
#include "../../core/vm_config.h"

#define VMS 6

#define require(cond)                                           \
	do {                                                    \
		if (!(cond)) {                                  \
			fprintf(stderr, "broken: %s\n", #cond); \
			abort();                                \
		}                                               \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned told, lines;

static void hear(void *ctx, const struct vm_config_error *e)
{
	const size_t n = strlen(e->text);

	require(ctx == &told);
	require(n > 0 && n < 240);
	for (size_t i = 0; i < n; i++)
		require(e->text[i] >= ' ' && e->text[i] <= '~');
	require(strlen(e->vm) < VM_NAME_MAX);
	require(e->place.line <= lines && e->place.column <= VM_CONFIG_LINE_MAX + 1);
	require(!e->place.line == !e->place.column);
	told++;
}

static void check_string(const char *s, size_t size, bool may_be_empty)
{
	require(memchr(s, 0, size) && (may_be_empty || *s));
	for (; *s; s++)
		require((*s >= ' ' && *s <= '~') || *s == '\t');
}

static void check_disk(const struct vm_config_disk *d)
{
	require(d->size % 512 == 0 && d->size <= 128ul << 30);
	require((d->kind == VM_DISK_MODULE) == (d->image.name[0] != 0));
	require(d->kind != VM_DISK_BLANK || d->size);
	require(d->kind != VM_DISK_NONE || !d->size);
	check_string(d->image.name, sizeof(d->image.name), true);
}

static void check_shared(const struct vm_config *c)
{
	require(c->shared_count <= VM_SHARED_COUNT_MAX);
	for (unsigned i = 0; i < c->shared_count; i++) {
		const struct vm_config_shared *s = &c->shared[i];

		check_string(s->name, sizeof(s->name), false);
		require(s->size && s->size % 4096 == 0 && s->size <= VM_SHARED_SIZE_MAX);
		require(s->irq == -1 ||
			(s->irq >= 3 && s->irq <= 15 && s->irq != 8 && s->irq != 13));
		for (unsigned j = 0; j < i; j++)
			require(strcmp(s->name, c->shared[j].name) != 0);
	}
}

/* Regions of one name have one size. */
static void check_agreement(const struct vm_config *a, const struct vm_config *b)
{
	for (unsigned i = 0; i < a->shared_count; i++)
		for (unsigned j = 0; j < b->shared_count; j++)
			require(strcmp(a->shared[i].name, b->shared[j].name) != 0 ||
				a->shared[i].size == b->shared[j].size);
}

static void check_vm(const struct vm_config *c, bool own)
{
	check_string(c->name, sizeof(c->name), false);
	if (c->bad) {
		struct vm_config only = {.bad = true, .place = c->place};

		memcpy(only.name, c->name, sizeof(only.name));
		require(!memcmp(&only, c, sizeof(only)));
		return;
	}
	require(c->mem >= 64 << 10 && c->mem <= 3ul << 30 && c->mem % 4096 == 0);
	require(c->cpus == 1 && c->cpu >= -1 && c->cpu < 64);
	require(c->boot <= VM_BOOT_DISK && c->console <= VM_CONSOLE_NONE);
	require(c->ticks <= VM_TICKS_COALESCE && c->restart <= VM_RESTART_ALWAYS);
	require(c->weight >= 1 && c->weight <= 1000);
	require(c->module_count <= VM_MODULE_COUNT_MAX);
	require(c->boot == VM_BOOT_MULTIBOOT || (!c->module_count && !c->cmdline[0]));
	require(c->boot != VM_BOOT_FLAT || (c->at < c->mem && c->at <= 0xf0000 && c->at % 16 == 0));
	require(own || (c->boot == VM_BOOT_DISK) == !c->kernel.name[0]);
	check_string(c->kernel.name, sizeof(c->kernel.name), true);
	check_string(c->firmware.name, sizeof(c->firmware.name), false);
	check_string(c->cmdline, sizeof(c->cmdline), true);
	for (unsigned i = 0; i < c->module_count; i++)
		check_string(c->module[i].name, sizeof(c->module[i].name), false);
	for (unsigned i = 0; i < VM_DISK_COUNT; i++) {
		check_disk(&c->disk[i]);
		require(c->disk[i].kind != VM_DISK_OWN || (own && !i));
	}
	check_shared(c);
}

/* All that was set, each in the other way of writing it where there are two. */
static void write_vm(FILE *f, const struct vm_config *c)
{
	static const char *const console[] = {"serial", "debug", "none"};
	static const char *const restart[] = {"never", "reset", "always"};

	fprintf(f, "[vm %s]\r\nmem=0x%lx\nboot=%s#c\n", c->name, c->mem,
		vm_config_boot_name(c->boot));
	if (c->cpu >= 0)
		fprintf(f, "cpu=%d\n", c->cpu);
	if (c->kernel.name[0])
		fprintf(f, "kernel=\"%s\"\n", c->kernel.name);
	if (c->boot == VM_BOOT_DISK)
		fprintf(f, "firmware=%s\n", c->firmware.name);
	if (c->boot == VM_BOOT_FLAT)
		fprintf(f, "at=%lu\n", c->at);
	if (c->boot == VM_BOOT_MULTIBOOT) {
		fprintf(f, "cmdline=\"");
		for (const char *s = c->cmdline; *s; s++)
			fprintf(f, "%s%c", *s == '"' || *s == '\\' ? "\\" : "", *s);
		fprintf(f, "\"\n");
	}
	for (unsigned i = 0; i < c->module_count; i++)
		fprintf(f, "\tmodule=%s\t\n", c->module[i].name);
	for (unsigned i = 0; i < VM_DISK_COUNT; i++) {
		const struct vm_config_disk *d = &c->disk[i];

		if (d->kind == VM_DISK_BLANK)
			fprintf(f, "disk%u=blank:%lu\n", i, d->size);
		else if (d->kind == VM_DISK_MODULE)
			fprintf(f, d->size ? "disk%u=%s size=0x%lx\n" : "disk%u=%s\n", i,
				d->image.name, d->size);
	}
	for (unsigned i = 0; i < c->shared_count; i++) {
		const struct vm_config_shared *s = &c->shared[i];

		fprintf(f, s->irq < 0 ? "shared=%s:%lu\n" : "shared=%s:%lu irq=0x%x\n", s->name,
			s->size, (unsigned)s->irq);
	}
	fprintf(f, "console=%s\nticks=%s\nvpid=%s\nweight=%u\nautostart=%s\nrestart=%s\n",
		console[c->console], c->ticks ? "coalesce" : "catchup", c->vpid ? "on" : "off",
		c->weight, c->autostart ? "yes" : "no", restart[c->restart]);
	fprintf(f, "exit-port=%s\n", c->exit_port ? "on" : "off");
	fprintf(f, "privileged=%s\n", c->privileged ? "yes" : "no");
}

/* Where a thing stood is not what it is. */
static void forget_places(struct vm_config *c)
{
	const struct vm_config_place none = {0};

	c->place = c->kernel.place = c->firmware.place = none;
	for (unsigned i = 0; i < VM_MODULE_COUNT_MAX; i++)
		c->module[i].place = none;
	for (unsigned i = 0; i < VM_DISK_COUNT; i++)
		c->disk[i].image.place = none;
	for (unsigned i = 0; i < VM_SHARED_COUNT_MAX; i++)
		c->shared[i].place = none;
}

static void check_again(const struct vm_config *vm, unsigned count)
{
	struct vm_config_sink sink = {hear, &told, 0};
	struct vm_config again[VMS], before;
	unsigned good = 0, n;
	char *text = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&text, &size);

	require(f);
	for (unsigned i = 0; i < count; i++)
		if (!vm[i].bad)
			write_vm(f, &vm[i]);
	fclose(f);
	memset(again, 0x5a, sizeof(again));
	n = vm_config_parse_text(again, VMS, text, size, &sink);
	require(sink.count == 0);
	for (unsigned i = 0; i < count; i++) {
		if (vm[i].bad)
			continue;
		require(good < n);
		before = vm[i];
		forget_places(&before);
		forget_places(&again[good]);
		require(!memcmp(&before, &again[good], sizeof(before)));
		good++;
	}
	require(good == n);
	free(text);
}

static void check_modules(const struct vm_config *vm, unsigned count, const char *text)
{
	const struct vm_config_module list[] = {{"firmware", 1}, {text, 5}, {"x", 4096}, {"x", 1}};

	for (unsigned i = 0; i < count; i++) {
		struct vm_config_sink sink = {hear, &told, 0};
		unsigned n = vm_config_check_modules(&vm[i], list, 4, &sink);

		require(n == sink.count && (!vm[i].bad || !n));
	}
}

static void try_text(const char *text, size_t size)
{
	struct vm_config_sink sink = {hear, &told, 0};
	struct vm_config vm[VMS];
	unsigned count;
	char *copy = malloc(size + 1);

	require(copy);
	memcpy(copy, text, size);
	lines = 1;
	for (size_t i = 0; i < size; i++)
		lines += text[i] == '\n';
	told = 0;
	memset(vm, 0xa5, sizeof(vm));
	count = vm_config_parse_text(vm, VMS, copy, size, &sink);
	require(count <= VMS);
	require(told == sink.count || (sink.count >= 50 && told == 51));
	require(told <= VM_CONFIG_ERRORS_MAX + 1);
	for (unsigned i = 0; i < count; i++) {
		check_vm(&vm[i], false);
		require(!vm[i].bad || sink.count);
		for (unsigned j = 0; j < i; j++)
			require(strcmp(vm[i].name, vm[j].name) != 0);
		for (unsigned j = 0; j < i; j++)
			check_agreement(&vm[j], &vm[i]);
	}
	lines = 100000;
	check_again(vm, count);
	copy[size] = 0;
	check_modules(vm, count, copy);
	free(copy);
}

static void try_words(const char *text, size_t size)
{
	struct vm_config vm;
	char error[240], *line = malloc(size + 7);
	int err;

	require(line);
	memcpy(line, "guest ", 6);
	memcpy(line + 6, text, size);
	line[size + 6] = 0;
	memset(&vm, 0xa5, sizeof(vm));
	memset(error, 'x', sizeof(error));
	err = vm_config_parse(&vm, line, error, sizeof(error));
	require(err == OK || err == E_INVAL);
	require((err == OK) != vm.bad);
	if (err) {
		require(memchr(error, 0, sizeof(error)));
		check_string(error, sizeof(error), false);
		require(!vm.name[0] || vm.bad);
	} else {
		check_vm(&vm, true);
	}
	free(line);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	try_text((const char *)data, size);
	try_words((const char *)data, size);
	return 0;
}
