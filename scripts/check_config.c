/*
 * Host program: reads a configuration of VMs as the hypervisor would, with the same parser, and
 * says what is wrong with it as compilers do. Must not know keys or grammar.
 *
 *     check-config [-m NAME=BYTES]... [-d DIRECTORY] FILE
 *
 * -m and -d (all files of that directory) say which boot modules there will be; without them,
 * modules are not looked for. Status 0: no error, 1: errors, 2: nothing could be checked.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <crvm/printf.h>
#include <crvm/string.h>

#include "../core/vm_config.h"

#define VMS_MAX	    64u
#define MODULES_MAX 256u
#define FILE_MAX    (16 * VM_CONFIG_TEXT_MAX)

struct check {
	const char *file;
	char *text;
	size_t size;
	bool wants_modules; /* -m or -d was given */
	unsigned module_count;
	struct vm_config_module module[MODULES_MAX];
};

static struct vm_config vms[VMS_MAX];

static void usage(void)
{
	fputs("usage: check-config [-m NAME=BYTES]... [-d DIRECTORY] FILE\n", stderr);
	exit(2);
}

static void die(const char *what, const char *why)
{
	fprintf(stderr, "check-config: %s: %s\n", what, why);
	exit(2);
}

static void add_module(struct check *c, const char *name, uint64_t length)
{
	char *copy = strdup(name);

	if (!copy || c->module_count == MODULES_MAX)
		die(name, "too many modules");
	c->module[c->module_count++] = (struct vm_config_module){copy, length};
}

/* NAME or NAME=BYTES */
static void add_named(struct check *c, char *arg)
{
	char *equals = strchr(arg, '=');
	uint64_t length = 1;

	if (equals) {
		*equals = '\0';
		if (str_to_u64(equals + 1, &length))
			die(equals + 1, "no number of bytes");
	}
	add_module(c, arg, length);
}

static void add_directory(struct check *c, const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;

	if (!dir)
		die(path, strerror(errno));
	while ((entry = readdir(dir))) {
		struct stat st;

		if (!fstatat(dirfd(dir), entry->d_name, &st, 0) && S_ISREG(st.st_mode))
			add_module(c, entry->d_name, (uint64_t)st.st_size);
	}
	closedir(dir);
}

/* More than the parser takes, so that it can say that this is too long. */
static void read_text(struct check *c)
{
	FILE *f = fopen(c->file, "rb");

	if (!f)
		die(c->file, strerror(errno));
	c->text = malloc(FILE_MAX);
	if (!c->text)
		die(c->file, "no memory");
	c->size = fread(c->text, 1, FILE_MAX, f);
	if (ferror(f))
		die(c->file, strerror(errno));
	fclose(f);
}

/* The line, with what would disturb a terminal made visible, and a mark below the place. */
static void show_line(const struct check *c, struct vm_config_place place)
{
	const char *s = c->text, *end = c->text + c->size;

	for (unsigned line = 1; line < place.line && s < end; s++)
		line += *s == '\n';
	printf("%5u | ", place.line);
	for (const char *t = s; t < end && *t != '\n' && *t != '\r'; t++)
		putchar(*t == '\t' ? ' ' : *t >= ' ' && *t <= '~' ? *t : '?');
	printf("\n      | %*s\n", (int)place.column, "^");
}

static void show_error(void *ctx, const struct vm_config_error *e)
{
	const struct check *c = ctx;

	if (!e->place.line) {
		printf("%s: error: %s\n", c->file, e->text);
		return;
	}
	printf("%s:%u:%u: error: %s\n", c->file, e->place.line, e->place.column, e->text);
	show_line(c, e->place);
}

static void show_summary(const struct check *c, unsigned count, const bool *good, unsigned errors)
{
	unsigned good_count = 0;
	char memory[32];

	for (unsigned i = 0; i < count; i++)
		good_count += good[i];
	printf("%s: %u error%s, %u of %u VM%s good\n", c->file, errors, errors == 1 ? "" : "s",
	       good_count, count, count == 1 ? "" : "s");
	for (unsigned i = 0; i < count; i++)
		if (vms[i].bad)
			printf("  %-15s not used\n", vms[i].name);
		else
			printf("  %-15s %s, boot = %s%s\n", vms[i].name,
			       str_size(memory, sizeof(memory), vms[i].mem),
			       vm_config_boot_name(vms[i].boot),
			       good[i] ? "" : ", cannot be made without its modules");
}

int main(int argc, char **argv)
{
	struct check *c = calloc(1, sizeof(*c));
	struct vm_config_sink sink = {show_error, c, 0};
	bool good[VMS_MAX];
	unsigned count;
	int option;

	if (!c)
		die("memory", strerror(errno));
	while ((option = getopt(argc, argv, "m:d:")) != -1) {
		c->wants_modules = true;
		if (option == 'm')
			add_named(c, optarg);
		else if (option == 'd')
			add_directory(c, optarg);
		else
			usage();
	}
	if (argc != optind + 1)
		usage();
	c->file = argv[optind];
	read_text(c);
	count = vm_config_parse_text(vms, VMS_MAX, c->text, c->size, &sink);
	for (unsigned i = 0; i < count; i++) {
		good[i] = !vms[i].bad;
		if (good[i] && c->wants_modules)
			good[i] = !vm_config_check_modules(&vms[i], c->module, c->module_count,
							   &sink);
	}
	show_summary(c, count, good, sink.count);
	return sink.count > 0;
}
