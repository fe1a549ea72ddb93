/*
 * The command line on the console. Each command is a row of the table at the end.
 */
#include <crvm/cpu.h>
#include <crvm/frames.h>
#include <crvm/hostvm.h>
#include <crvm/percpu.h>
#include <crvm/power.h>
#include <crvm/printf.h>
#include <crvm/smp.h>
#include <crvm/status.h>
#include <crvm/string.h>
#include <crvm/time.h>

#include "console.h"
#include "log_priv.h"
#include "machine.h"
#include "manage.h"
#include "mux.h"
#include "vm.h"

#define PROMPT	  "crvm> "
#define INPUT_MAX 120

static char line[sizeof(PROMPT) + INPUT_MAX]; /* the prompt and what was typed */
static size_t line_len;			      /* of all of it */
static bool last_was_cr;

struct command {
	const char *name, *args, *help;
	void (*run)(const char *arg);
};
static const struct command commands[];
static size_t command_count(void);

static void cmd_help(const char *arg)
{
	(void)arg;
	for (size_t i = 0; i < command_count(); i++)
		log_printf("  %-9s %-8s %s\n", commands[i].name, commands[i].args,
			   commands[i].help);
}

static void cmd_machine(const char *arg)
{
	(void)arg;
	report_machine();
	report_verdict();
}

static void cmd_cpus(const char *arg)
{
	(void)arg;
	report_cpus();
}

static void cmd_frames(const char *arg)
{
	(void)arg;
	report_frames();
}

static void cmd_selftest(const char *arg)
{
	(void)arg;
	selftest();
}

static void cmd_vms(const char *arg)
{
	(void)arg;
	report_vms();
}

static void cmd_audit(const char *arg)
{
	(void)arg;
	frames_audit();
	hostvm_audit();
	if (!vm_audit())
		return;
	log_printf("frame table and host page tables agree with their rules\n");
}

static void answer(void *arg)
{
	*(uint32_t *)arg = this_cpu()->index;
}

static void cmd_ping(const char *arg)
{
	(void)arg;
	for_each_cpu (cpu) {
		uint32_t who = ~0u;
		uint64_t start = rdtsc();

		if (smp_call(cpu, answer, &who))
			log_printf("CPU %u is not online\n", cpu->index);
		else
			log_printf("CPU %u answered in %lu ns\n", who,
				   time_tsc_to_ns(rdtsc() - start));
	}
}

static struct {
	struct timer timer;
	uint64_t start, want;
} sleeper;

static void sleep_over(struct timer *t)
{
	(void)t;
	log_printf("slept %lu us (asked for %lu)\n", time_tsc_to_ns(rdtsc() - sleeper.start) / 1000,
		   sleeper.want);
}

static void cmd_sleep(const char *arg)
{
	if (str_to_u64(arg, &sleeper.want) || !sleeper.want || sleeper.want > 60000000) {
		log_printf(
			"sleep: how many microseconds? 1 to 60000000, for example: sleep 100000\n");
		return;
	}
	sleeper.start = rdtsc();
	sleeper.timer.fn = sleep_over;
	timer_set(&sleeper.timer, sleeper.start + time_ns_to_tsc(sleeper.want * 1000));
}

static void cmd_trace(const char *arg)
{
	uint64_t max = 100;

	if (strcmp(arg, "on") == 0 || strcmp(arg, "off") == 0) {
		atomic_store(&trace_quick_exits, arg[1] == 'n');
		log_printf("quick exits are %s\n", arg[1] == 'n' ? "recorded too" : "not recorded");
		return;
	}
	if (*arg && (str_to_u64(arg, &max) || !max)) {
		log_printf("trace: how many exits of each CPU? or on, or off, for example: trace "
			   "20\n");
		return;
	}
	trace_dump_all(max);
}

static void cmd_loglevel(const char *arg)
{
	static const char *const names[] = {"err", "warn", "info", "debug"};

	for (unsigned i = 0; i < array_count(names); i++) {
		if (strcmp(arg, names[i]) == 0) {
			log_set_level((enum log_level)i);
			return;
		}
	}
	log_printf("loglevel: one of err, warn, info, debug, for example: loglevel debug\n");
}

static void cmd_crash(const char *arg)
{
	if (!crash_now(arg))
		log_printf("crash: one of %s\n", crash_kinds());
}

static void cmd_reboot(const char *arg)
{
	(void)arg;
	log_printf("rebooting\n");
	console_flush();
	power_reboot();
}

static void cmd_poweroff(const char *arg)
{
	(void)arg;
	log_printf("powering off\n");
	console_flush();
	power_off();
	log_printf("this machine does not power off by ACPI%s: switch it off by hand, or type "
		   "reboot\n",
		   machine.acpi.s5 ? "" : " (its tables describe no S5 state)");
}

/* By name, or by number from 1 on; NULL with a line that says what there is. */
static struct vm *find_vm(const char *command, const char *arg)
{
	struct vm *vm = manage_find(arg);

	if (!vm)
		log_printf("%s: which VM? a name or a number from 1 to %u (see vms), not '%s'\n",
			   command, vm_count, arg);
	return vm;
}

static void cmd_focus(const char *arg)
{
	struct vm *vm = find_vm("focus", arg);

	if (vm)
		mux_focus(vm);
}

static void cmd_log(const char *arg)
{
	struct vm *vm = find_vm("log", arg);

	if (!vm)
		return;
	mux_replay(vm);
	log_raw("\n", 1); /* it may have ended in a prompt */
}

static void cmd_nmi(const char *arg)
{
	struct vm *vm = find_vm("nmi", arg);

	if (vm && manage_inject_nmi(vm))
		log_printf("nmi: VM %s is not on\n", vm->name);
}

static const struct command commands[] = {
	{"help", "", "this list", cmd_help},
	{"machine", "", "what this machine has, and whether it can run VMs", cmd_machine},
	{"cpus", "", "the CPUs and their interrupts", cmd_cpus},
	{"ping", "", "calls every CPU and times its answer", cmd_ping},
	{"frames", "", "who owns how much memory", cmd_frames},
	{"vms", "", "the virtual machines and why they exited", cmd_vms},
	{"focus", "VM", "gives the console to a VM; Ctrl-A s comes back, Ctrl-A ? helps",
	 cmd_focus},
	{"log", "VM", "the last 64 KiB that a VM has printed", cmd_log},
	{"nmi", "VM", "a non-maskable interrupt for a VM, as by its NMI button", cmd_nmi},
	{"audit", "", "checks frame table, host page tables and every VM's memory", cmd_audit},
	{"selftest", "", "breaks VM entry on purpose, to see each failure named", cmd_selftest},
	{"trace", "N|on|off", "the last exits (scripts/trace-decode); on: the quick ones too",
	 cmd_trace},
	{"sleep", "US", "sets a timer, for example: sleep 100000", cmd_sleep},
	{"loglevel", "LEVEL", "err, warn, info or debug", cmd_loglevel},
	{"crash", "KIND", "breaks a rule on purpose, for tests, for example: crash panic",
	 cmd_crash},
	{"reboot", "", "restarts the machine", cmd_reboot},
	{"poweroff", "", "switches the machine off", cmd_poweroff},
};

static size_t command_count(void)
{
	return array_count(commands);
}

static void shell_prompt(void)
{
	line_len = strlen(PROMPT);
	memcpy(line, PROMPT, line_len + 1);
	log_raw(line, line_len);
	console_set_input(line);
}

static void shell_run(char *text)
{
	char *arg;
	size_t n;

	while (*text == ' ')
		text++;
	for (n = strlen(text); n && text[n - 1] == ' '; n--)
		text[n - 1] = '\0';
	if (!*text)
		return;
	arg = strchr(text, ' ');
	if (arg) {
		*arg++ = '\0';
		while (*arg == ' ')
			arg++;
	} else {
		arg = text + strlen(text);
	}
	for (size_t i = 0; i < command_count(); i++) {
		if (strcmp(commands[i].name, text) != 0)
			continue;
		if (*arg && !*commands[i].args)
			log_printf("%s takes no argument, not '%s'\n", text, arg);
		else
			commands[i].run(arg);
		return;
	}
	log_printf("no command '%s': type help for the list\n", text);
}

static void shell_enter(void)
{
	console_set_input("");
	log_raw("\n", 1);
	shell_run(line + strlen(PROMPT));
	if (!mux_has_focus()) /* else the prompt comes when the console does */
		shell_prompt();
}

static void shell_erase(size_t n)
{
	for (; n && line_len > strlen(PROMPT); n--) {
		line[--line_len] = '\0';
		log_raw("\b \b", 3);
	}
}

static void shell_byte(char c)
{
	if (c == '\n' && last_was_cr) { /* CR LF is one line end */
		last_was_cr = false;
		return;
	}
	last_was_cr = c == '\r';
	if (c == '\r' || c == '\n') {
		shell_enter();
		return;
	}
	if (c == 0x7f || c == '\b') {
		shell_erase(1);
	} else if (c == 0x15 || c == 3) { /* Ctrl-U, Ctrl-C */
		shell_erase(line_len);
	} else if (c >= ' ' && c < 0x7f && line_len < sizeof(line) - 1) {
		line[line_len++] = c;
		line[line_len] = '\0';
		log_raw(&c, 1);
	} else {
		return;
	}
	console_set_input(line);
}

void shell_input(const char *bytes, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		shell_byte(bytes[i]);
}

void shell_start(void)
{
	shell_prompt();
}
