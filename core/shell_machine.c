/*
 * Shell commands on the machine and on the hypervisor itself. They must not know how a line is
 * typed.
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
#include "shell_priv.h"

void shell_machine(char *arg)
{
	(void)arg;
	report_machine();
	report_verdict();
}

void shell_cpus(char *arg)
{
	(void)arg;
	report_cpus();
}

void shell_frames(char *arg)
{
	(void)arg;
	report_frames();
}

void shell_selftest(char *arg)
{
	(void)arg;
	selftest();
}

void shell_audit(char *arg)
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

void shell_ping(char *arg)
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

void shell_sleep(char *arg)
{
	uint64_t want;

	if (!shell_number("sleep", "microseconds", arg, 1, 60000000, &want))
		return;
	sleeper.want = want;
	sleeper.start = rdtsc();
	sleeper.timer.fn = sleep_over;
	timer_set(&sleeper.timer, sleeper.start + time_ns_to_tsc(want * 1000));
}

void shell_trace(char *arg)
{
	uint64_t max = 100;

	if (strcmp(arg, "on") == 0 || strcmp(arg, "off") == 0) {
		atomic_store(&trace_quick_exits, arg[1] == 'n');
		log_printf("quick exits are %s\n", arg[1] == 'n' ? "recorded too" : "not recorded");
		return;
	}
	if (*arg && (str_to_u64(arg, &max) || !max)) {
		shell_wrong("trace", "how many exits of each CPU? or on, or off, not '%.40s'", arg);
		return;
	}
	trace_dump_all(max);
}

void shell_loglevel(char *arg)
{
	static const char *const names[] = {"err", "warn", "info", "debug"};

	for (unsigned i = 0; i < array_count(names); i++) {
		if (strcmp(arg, names[i]) == 0) {
			log_set_level((enum log_level)i);
			return;
		}
	}
	shell_wrong("loglevel", "one of err, warn, info, debug, not '%.40s'", arg);
}

void shell_crash(char *arg)
{
	if (!crash_now(arg))
		shell_wrong("crash", "one of %s, not '%.40s'", crash_kinds(), arg);
}

void shell_reboot(char *arg)
{
	(void)arg;
	log_printf("rebooting\n");
	console_flush();
	power_reboot();
}

void shell_poweroff(char *arg)
{
	(void)arg;
	log_printf("powering off\n");
	console_flush();
	power_off();
	log_printf("this machine does not power off by ACPI%s: switch it off by hand, or type "
		   "reboot\n",
		   machine.acpi.s5 ? "" : " (its tables describe no S5 state)");
}
