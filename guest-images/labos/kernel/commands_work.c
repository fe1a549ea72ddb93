/*
 * Commands that give the system something to do.
 */

#include "../user/numbers.h"
#include "lib.h"
#include "shell.h"
#include "thread.h"
#include "timer.h"
#include "user.h"

enum { SECONDS_MAX = 1000000, SPAWN_MAX = 10000, SPAWN_ALIVE = 32, EAT_KIB_DEFAULT = 512 };
enum { EAT_KIB_MAX = USER_HEAP_SIZE / 1024 };

/* Runs a program to its end. */
static void run_program(const char *name, uint32_t argument)
{
	int id = user_start(name, argument);
	int code;

	if (id < 0) {
		print("%s: no room for another program\n", name);
		return;
	}
	code = thread_wait(id);
	if (code != 0)
		print("%s ended with %d\n", name, code);
}

static void run_hello(char *arguments)
{
	(void)arguments;
	run_program("hello", 0);
}

static void run_eat(char *arguments)
{
	uint32_t kib = EAT_KIB_DEFAULT;

	if (!*arguments || shell_number(arguments, EAT_KIB_MAX, &kib))
		run_program("eat", kib);
}

static void run_sleep(char *arguments)
{
	uint32_t seconds;

	if (shell_number(arguments, SECONDS_MAX, &seconds))
		thread_sleep(seconds * TICKS_PER_SECOND);
}

/* Children `first` to `first` + `count` - 1, all alive at once; how many came back right. */
static uint32_t spawn_some(uint32_t first, uint32_t count)
{
	int ids[SPAWN_ALIVE];
	uint32_t right = 0;
	uint32_t started, i;

	for (started = 0; started < count; started++) {
		ids[started] = user_start("child", first + started);
		if (ids[started] < 0)
			break;
	}
	for (i = 0; i < started; i++)
		right += thread_wait(ids[i]) == (int)(first + i);
	return right;
}

static void run_spawn(char *arguments)
{
	uint32_t count, done, part;

	if (!shell_number(arguments, SPAWN_MAX, &count))
		return;
	for (done = 0; done < count; done += part) {
		part = count - done < SPAWN_ALIVE ? count - done : SPAWN_ALIVE;
		if (spawn_some(done, part) != part) {
			print("spawn failed after %u children\n", done);
			return;
		}
	}
	print("spawn passed: %u children\n", count);
}

static void run_spin(char *arguments)
{
	uint32_t begin = timer_ticks();
	uint32_t rounds = 0;
	uint32_t seconds;

	if (!shell_number(arguments, SECONDS_MAX, &seconds))
		return;
	while (timer_ticks() - begin < seconds * TICKS_PER_SECOND)
		rounds++;
	print("spin: %u rounds in %u seconds\n", rounds, seconds);
}

static void run_swaptest(char *arguments)
{
	(void)arguments;
	swap_test();
}

static void run_filetest(char *arguments)
{
	(void)arguments;
	file_test();
}

const struct command commands_work[] = {
	{"hello", "", "a program in user mode", run_hello},
	{"eat", "[KIB]", "a program that needs the swap disk", run_eat},
	{"matrix", "", "threads multiply matrices", matrix_run},
	{"spawn", "N", "so many programs, 32 at a time", run_spawn},
	{"sleep", "SECONDS", "wait", run_sleep},
	{"spin", "SECONDS", "keep the CPU busy", run_spin},
	{"swaptest", "", "the swap test again", run_swaptest},
	{"filetest", "", "the file test again", run_filetest},
	{0},
};
