/*
 * A VM's configuration as one line of text, and back into lines: what the shell's `config` prints,
 * its `create` takes. Pure functions. They must not know what the keys mean.
 */
#include <crvm/printf.h>
#include <crvm/string.h>

#include "shell_priv.h"

struct text {
	char *at;
	size_t size, length; /* length: also of what had no room */
};

static void add(struct text *t, const char *fmt, ...) printf_like(2, 3);

static void add(struct text *t, const char *fmt, ...)
{
	const bool room = t->length < t->size;
	va_list ap;

	va_start(ap, fmt);
	t->length += (size_t)str_vprintf(room ? t->at + t->length : NULL,
					 room ? t->size - t->length : 0, fmt, ap);
	va_end(ap);
}

/* A number of bytes as short as it goes. */
static void add_size(struct text *t, uint64_t n)
{
	if (n && !(n & ((1ul << 30) - 1)))
		add(t, "%luG", n >> 30);
	else if (n && !(n & ((1ul << 20) - 1)))
		add(t, "%luM", n >> 20);
	else if (n && !(n & 1023))
		add(t, "%luK", n >> 10);
	else
		add(t, "%lu", n);
}

static void add_quoted(struct text *t, const char *key, const char *value)
{
	add(t, "; %s = \"", key);
	for (; *value; value++)
		add(t, *value == '"' || *value == '\\' ? "\\%c" : "%c", *value);
	add(t, "\"");
}

static void add_disk(struct text *t, unsigned i, const struct vm_config_disk *d)
{
	if (d->kind == VM_DISK_NONE)
		return;
	add(t, "; disk%u = %s", i, d->kind == VM_DISK_BLANK ? "blank:" : d->image.name);
	if (d->kind == VM_DISK_MODULE && d->size)
		add(t, " size=");
	if (d->size)
		add_size(t, d->size);
}

static void add_boot(struct text *t, const struct vm_config *c)
{
	add(t, "; boot = %s", vm_config_boot_name(c->boot));
	if (c->boot != VM_BOOT_DISK)
		add(t, "; kernel = %s", c->kernel.name);
	else if (strcmp(c->firmware.name, "firmware") != 0)
		add(t, "; firmware = %s", c->firmware.name);
	if (c->boot == VM_BOOT_FLAT)
		add(t, "; at = 0x%lx", c->at);
	if (c->boot == VM_BOOT_MULTIBOOT && c->cmdline[0])
		add_quoted(t, "cmdline", c->cmdline);
	for (unsigned i = 0; i < c->module_count; i++)
		add(t, "; module = %s", c->module[i].name);
	for (unsigned i = 0; i < VM_DISK_COUNT; i++)
		add_disk(t, i, &c->disk[i]);
}

static void add_shared(struct text *t, const struct vm_config_shared *s)
{
	add(t, "; shared = %s:", s->name);
	add_size(t, s->size);
	if (s->irq >= 0)
		add(t, " irq=%d", s->irq);
}

bool shell_config_text(const struct vm_config *c, char *text, size_t size)
{
	static const char *const consoles[] = {"serial", "debug", "none"};
	static const char *const restarts[] = {"never", "reset", "always"};
	struct text t = {text, size, 0};

	add(&t, "[vm %s]; memory = ", c->name);
	add_size(&t, c->mem);
	add_boot(&t, c);
	if (c->writes) {
		add(&t, "; writes = ");
		add_size(&t, c->writes);
	}
	for (unsigned i = 0; i < c->shared_count; i++)
		add_shared(&t, &c->shared[i]);
	if (c->cpu >= 0)
		add(&t, "; cpu = %d", c->cpu);
	if (c->console != VM_CONSOLE_SERIAL)
		add(&t, "; console = %s", consoles[c->console]);
	if (c->input != VM_INPUT_SERIAL)
		add(&t, "; input = keyboard");
	if (c->ticks != VM_TICKS_CATCHUP)
		add(&t, "; ticks = coalesce");
	if (!c->vpid)
		add(&t, "; vpid = off");
	if (c->weight != 100)
		add(&t, "; weight = %u", c->weight);
	if (!c->autostart)
		add(&t, "; autostart = no");
	if (c->restart != VM_RESTART_RESET)
		add(&t, "; restart = %s", restarts[c->restart]);
	if (c->exit_port)
		add(&t, "; exit-port = on");
	if (c->privileged)
		add(&t, "; privileged = yes");
	return t.length < size;
}

void shell_config_lines(char *text)
{
	bool quoted = false;

	for (; *text; text++) {
		if (*text == ';' && !quoted)
			*text = '\n';
		else if (*text == '"')
			quoted = !quoted;
		else if (quoted && *text == '\\' && text[1])
			text++;
	}
}
