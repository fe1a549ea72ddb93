/*
 * Any bytes as the hypervisor's command line: the options are always in range, the messages always
 * fit the log, and the result written as a command line again gives the same result in silence.
 * needs: core/cmdline.c lib/text.c lib/printf.c
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <crvm/cmdline.h>

#define require(cond)                                           \
	do {                                                    \
		if (!(cond)) {                                  \
			fprintf(stderr, "broken: %s\n", #cond); \
			abort();                                \
		}                                               \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void hear(void *ctx, const char *text)
{
	size_t n = strlen(text);

	require(n > 0 && n < 240);
	for (size_t i = 0; i < n; i++)
		require(text[i] >= ' ' && text[i] <= '~');
	require(strstr(text, "; valid: ") || strstr(text, "; known: "));
	++*(unsigned *)ctx;
}

static void check_console(const char *text)
{
	struct console_arg arg;

	require(cmdline_console_parse(text, &arg) == 0);
	require(!arg.baud || (115200 % arg.baud == 0 && 115200 / arg.baud <= 0xffff));
	switch (arg.kind) {
	case CONSOLE_AUTO:
	case CONSOLE_NONE:
		require(!arg.address && !arg.stride);
		break;
	case CONSOLE_PORT:
		require(arg.address > 0 && arg.address <= 0xfff8 && arg.stride == 1);
		break;
	case CONSOLE_MMIO:
		require(arg.stride == 1 || arg.stride == 4);
		require(arg.address > 0 && arg.address % arg.stride == 0);
		require((arg.address + 8 * arg.stride - 1) >> 52 == 0);
		break;
	default:
		require(!"a kind that there is");
	}
}

static void check_again(const struct cmdline_options *o)
{
	static const char *const level[] = {"err", "warn", "info", "debug"};
	struct cmdline_options again;
	unsigned messages = 0;
	char text[256];

	snprintf(text, sizeof(text), "console=%s loglevel=%s cpus=%u panic=%s screen=%s x2apic=%s",
		 o->console, level[o->loglevel], o->cpus,
		 o->panic == PANIC_HALT ? "halt" : "reboot", o->screen ? "on" : "off",
		 o->x2apic ? "on" : "off");
	cmdline_parse(&again, text, hear, &messages);
	require(messages == 0);
	require(!strcmp(again.console, o->console));
	require(again.loglevel == o->loglevel && again.cpus == o->cpus);
	require(o->without < 8);
	require(again.panic == o->panic && again.screen == o->screen && again.x2apic == o->x2apic);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);
	struct cmdline_options o;
	struct console_arg arg;
	unsigned messages = 0;

	require(text);
	memset(&o, 0xa5, sizeof(o));
	memcpy(text, data, size);
	text[size] = 0;
	cmdline_parse(&o, text, hear, &messages);
	require(messages <= 2 * (size + 1));
	require(o.loglevel <= LOG_DEBUG && o.panic <= PANIC_HALT && o.cpus <= CMDLINE_CPUS_MAX);
	require(memchr(o.console, 0, sizeof(o.console)));
	check_console(o.console);
	check_again(&o);
	if (cmdline_console_parse(text, &arg) == 0)
		check_console(text);
	free(text);
	return 0;
}
