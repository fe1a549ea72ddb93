/*
 * Commands that look at the system, and those that end it.
 */

#include "console.h"
#include "frames.h"
#include "ide.h"
#include "lib.h"
#include "shell.h"
#include "swap.h"
#include "thread.h"
#include "timer.h"
#include "x86.h"

enum { KBC_COMMAND = 0x64, KBC_PULSE_RESET = 0xfe };

static void run_ps(char *arguments)
{
	int id;

	(void)arguments;
	for (id = 0; id < THREAD_MAX; id++) {
		const struct thread *thread = thread_get(id);

		if (thread)
			print("%2d %-8s %6u ticks  %s\n", id, thread_state_name(thread),
			      thread->ticks, thread->name);
	}
}

static void run_ticks(char *arguments)
{
	(void)arguments;
	print("%u ticks\n", timer_ticks());
}

static void run_ticklog(char *arguments)
{
	if (!strcmp(arguments, "on"))
		ticker_set_log(true);
	else if (!strcmp(arguments, "off"))
		ticker_set_log(false);
	else
		print("on or off?\n");
}

static void run_date(char *arguments)
{
	struct date date;

	(void)arguments;
	rtc_read(&date);
	print("%04u-%02u-%02u %02u:%02u:%02u\n", date.year, date.month, date.day, date.hour,
	      date.minute, date.second);
}

static void run_mem(char *arguments)
{
	(void)arguments;
	print("%u KiB of memory, %u KiB free, %u of %u swap slots used\n", frames_memory_kib(),
	      frames_free_count() * (PAGE_SIZE / 1024), swap_used_count(), swap_slot_count());
	print("console: %u characters lost\n", console_lost_count());
}

static void run_disks(char *arguments)
{
	(void)arguments;
	ide_print_disks();
}

static void run_halt(char *arguments)
{
	(void)arguments;
	print("labos: halted\n");
	cpu_halt();
}

static void run_reboot(char *arguments)
{
	(void)arguments;
	print("labos: reboot\n");
	out8(KBC_COMMAND, KBC_PULSE_RESET);
	cpu_halt();
}

const struct command commands_system[] = {
	{"ps", "", "threads", run_ps},
	{"ticks", "", "timer ticks since boot", run_ticks},
	{"ticklog", "on|off", "a line each 100 ticks", run_ticklog},
	{"date", "", "what the clock says", run_date},
	{"mem", "", "memory and swap", run_mem},
	{"disks", "", "IDE disks", run_disks},
	{"halt", "", "stop the CPU", run_halt},
	{"reboot", "", "reset the machine", run_reboot},
	{0},
};
