/*
 * The table of the shell's commands, its help, and what all commands say in the same words. It must
 * not know how a command does its work, nor how a line is typed. To add one: a row here, its
 * function in one of the shell_*.c and in shell_priv.h, and a word in docs/shell.md.
 */
#include <crvm/printf.h>
#include <crvm/status.h>
#include <crvm/string.h>

#include "log_priv.h"
#include "machine.h"
#include "manage.h"
#include "shell_priv.h"

#define VM    SHELL_WORDS_VM
#define KINDS "panic read write-text write-alias execute opcode gp stack ranks check other-cpu nmi"

static const struct shell_command commands[] = {
	{"help",
	 "[COMMAND]",
	 "this list, or more on one command",
	 "help mem",
	 shell_help,
	 {SHELL_WORDS_COMMAND, NULL}},
	{"vms", "", "the virtual machines and why they exited", NULL, shell_vms, {NULL, NULL}},
	{"info", "VM", "all about one VM in short", "info labos-1", shell_info, {VM, NULL}},
	{"create",
	 "TEXT",
	 "makes VMs from a configuration; ; is a line's end",
	 "create [vm c]; memory = 16M; disk0 = labos.img",
	 shell_create,
	 {NULL, NULL}},
	{"config",
	 "VM",
	 "its configuration, as create takes it",
	 "config labos-1",
	 shell_config,
	 {VM, NULL}},
	{"start", "VM", "powers it on", "start labos-1", shell_start_vm, {VM, NULL}},
	{"pause",
	 "VM",
	 "its vCPU and its time stand still",
	 "pause labos-1",
	 shell_pause,
	 {VM, NULL}},
	{"resume",
	 "VM",
	 "goes on where pause stopped it",
	 "resume labos-1",
	 shell_resume,
	 {VM, NULL}},
	{"reset", "VM", "powers it off and on again", "reset labos-1", shell_reset, {VM, NULL}},
	{"stop", "VM", "powers it off", "stop labos-1", shell_stop, {VM, NULL}},
	{"destroy",
	 "VM",
	 "gives all its memory back; its disks are lost",
	 "destroy labos-1",
	 shell_destroy,
	 {VM, NULL}},
	{"focus",
	 "VM",
	 "gives it the console; Ctrl-A s comes back",
	 "focus labos-1",
	 shell_focus,
	 {VM, NULL}},
	{"log", "VM", "the last 64 KiB that it has printed", "log labos-1", shell_log, {VM, NULL}},
	{"stats",
	 "VM [raw]",
	 "its exits by kind; raw: for scripts",
	 "stats labos-1 raw",
	 shell_stats,
	 {VM, "raw"}},
	{"top",
	 "",
	 "each second who uses the CPUs; any key ends it",
	 NULL,
	 shell_top,
	 {NULL, NULL}},
	{"weight",
	 "VM N",
	 "its share of its CPU against others, 1 to 1000",
	 "weight labos-1 200",
	 shell_weight,
	 {VM, NULL}},
	{"cpu", "VM N", "moves it to a physical CPU", "cpu labos-1 1", shell_cpu, {VM, NULL}},
	{"regs", "VM", "the registers of its vCPU", "regs labos-1", shell_regs, {VM, NULL}},
	{"mem",
	 "VM [v:]ADDR [N]",
	 "N bytes of memory; v: a virtual address",
	 "mem labos-1 b8000 64",
	 shell_mem,
	 {VM, NULL}},
	{"find",
	 "VM TEXT|hex:..",
	 "where its memory has that",
	 "find labos-1 hex:55aa",
	 shell_find,
	 {VM, NULL}},
	{"inject",
	 "VM nmi|irq N",
	 "an NMI, or a pulse on an interrupt line",
	 "inject labos-1 irq 4",
	 shell_inject,
	 {VM, "nmi irq"}},
	{"nmi", "VM", "the same as inject VM nmi", "nmi labos-1", shell_nmi, {VM, NULL}},
	{"devices",
	 "VM",
	 "what its devices' registers hold",
	 "devices labos-1",
	 shell_devices,
	 {VM, NULL}},
	{"machine",
	 "",
	 "what this machine has, and whether it can run VMs",
	 NULL,
	 shell_machine,
	 {NULL, NULL}},
	{"cpus", "", "the CPUs and their interrupts", NULL, shell_cpus, {NULL, NULL}},
	{"frames", "", "who owns how much memory", NULL, shell_frames, {NULL, NULL}},
	{"audit", "", "checks who owns and who maps which memory", NULL, shell_audit, {NULL, NULL}},
	{"selftest",
	 "",
	 "breaks VM entry on purpose: is each failure named?",
	 NULL,
	 shell_selftest,
	 {NULL, NULL}},
	{"trace",
	 "[N|on|off]",
	 "the last exits, for scripts/trace-decode",
	 "trace 20",
	 shell_trace,
	 {"on off", NULL}},
	{"ping", "", "calls every CPU and times its answer", NULL, shell_ping, {NULL, NULL}},
	{"sleep", "US", "sets a timer", "sleep 100000", shell_sleep, {NULL, NULL}},
	{"loglevel",
	 "LEVEL",
	 "err, warn, info or debug",
	 "loglevel debug",
	 shell_loglevel,
	 {"err warn info debug", NULL}},
	{"crash",
	 "KIND",
	 "breaks a rule on purpose, for tests",
	 "crash panic",
	 shell_crash,
	 {KINDS, NULL}},
	{"reboot", "", "restarts the machine", NULL, shell_reboot, {NULL, NULL}},
	{"poweroff", "", "switches the machine off", NULL, shell_poweroff, {NULL, NULL}},
};

static const char *vm_name(unsigned i)
{
	return vms[i] ? vms[i]->name : NULL;
}

static unsigned vm_limit(void)
{
	return vm_count;
}

const struct shell_table shell_table = {commands, array_count(commands), vm_name, vm_limit};

void shell_help(char *arg)
{
	const struct shell_command *c = shell_table_find(&shell_table, arg);

	if (!*arg) {
		for (size_t i = 0; i < array_count(commands); i++)
			log_printf("  %-9s %-16s %s\n", commands[i].name, commands[i].args,
				   commands[i].help);
		return;
	}
	if (!c) {
		shell_wrong("help", "no command '%s': help alone lists them", arg);
		return;
	}
	log_printf("  %s%s%s: %s\n  for example: %s\n", c->name, *c->args ? " " : "", c->args,
		   c->help, c->example ? c->example : c->name);
}

void shell_wrong(const char *command, const char *fmt, ...)
{
	const struct shell_command *c = shell_table_find(&shell_table, command);
	char text[300];
	va_list ap;

	va_start(ap, fmt);
	str_vprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (c && c->example)
		log_printf("%s: %s; for example: %s\n", command, text, c->example);
	else
		log_printf("%s: %s\n", command, text);
}

struct vm *shell_vm(const char *command, char **arg)
{
	const char *name = shell_word(arg);
	struct vm *vm = manage_find(name);
	char there[200] = "";
	size_t n = 0;

	if (vm)
		return vm;
	for (unsigned i = 0; i < vm_count && n < sizeof(there); i++)
		if (vms[i])
			n += (size_t)str_printf(there + n, sizeof(there) - n, " %s", vms[i]->name);
	if (!n)
		log_printf("%s: which VM? there are none%s\n", command,
			   *name ? "" : "; create makes one");
	else if (*name)
		log_printf("%s: which VM? there is no '%.40s', there are:%s\n", command, name,
			   there);
	else
		log_printf("%s: which VM? a name or a number; there are:%s\n", command, there);
	return NULL;
}

bool shell_end(const char *command, const char *arg)
{
	if (!*arg)
		return true;
	shell_wrong(command, "too much: '%.60s'", arg);
	return false;
}

bool shell_number(const char *command, const char *what, const char *word, uint64_t min,
		  uint64_t max, uint64_t *out)
{
	if (*word && !str_to_u64(word, out) && *out >= min && *out <= max)
		return true;
	shell_wrong(command, "%s must be a number from %lu to %lu, not '%.40s'", what, min, max,
		    word);
	return false;
}

bool shell_hex(const char *word, uint64_t *out)
{
	uint64_t v = 0;

	if (word[0] == '0' && (word[1] == 'x' || word[1] == 'X'))
		word += 2;
	if (!*word || strlen(word) > 16)
		return false;
	for (; *word; word++) {
		const char c = *word;
		unsigned digit = 16;

		if (c >= '0' && c <= '9')
			digit = (unsigned)(c - '0');
		else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
			digit = (unsigned)((c | 0x20) - 'a') + 10;
		if (digit == 16)
			return false;
		v = v << 4 | digit;
	}
	*out = v;
	return true;
}

const char *shell_state(const struct vm *vm)
{
	static const char *const states[] = {"created", "running", "paused", "stopped"};

	return states[atomic_load(&vm->state) & 3];
}

void shell_failed(const char *command, const struct vm *vm, int status, const char *wanted)
{
	if (status == E_BUSY)
		log_printf("%s: VM %s is %s; it must be %s\n", command, vm->name, shell_state(vm),
			   wanted);
	else
		log_printf("%s: VM %s: %s\n", command, vm->name, status_name(status));
}
