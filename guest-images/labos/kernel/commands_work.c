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
enum { SPIN_THREADS_MAX = 8 };
enum { EAT_KIB_MAX = USER_HEAP_SIZE / 1024 };

void shell_run_program(const char *name, uint32_t argument)
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
	shell_run_program("hello", 0);
}

static void run_badcall(char *arguments)
{
	(void)arguments;
	shell_run_program("badcall", 0);
}

static void run_eat(char *arguments)
{
	uint32_t kib = EAT_KIB_DEFAULT;

	if (!*arguments || shell_number(arguments, EAT_KIB_MAX, &kib))
		shell_run_program("eat", kib);
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

/* All spinning threads end at the same time: who got no slice has counted nothing. */
struct spin {
	uint32_t begin, ticks;
	uint32_t rounds;
};

static void spin(void *arg)
{
	struct spin *mine = arg;

	while (timer_ticks() - mine->begin < mine->ticks)
		mine->rounds++;
}

static void run_spin(char *arguments)
{
	const char *text = shell_word(&arguments);
	struct spin spins[SPIN_THREADS_MAX];
	int ids[SPIN_THREADS_MAX];
	uint32_t seconds, i;
	uint32_t count = 1;

	if (!shell_number(text, SECONDS_MAX, &seconds))
		return;
	if (*arguments && !shell_number(arguments, SPIN_THREADS_MAX, &count))
		return;
	for (i = 0; i < count; i++) {
		spins[i] = (struct spin){timer_ticks(), seconds * TICKS_PER_SECOND, 0};
		ids[i] = thread_create("spin", spin, &spins[i], NULL);
	}
	for (i = 0; i < count; i++) {
		if (ids[i] >= 0)
			thread_wait(ids[i]);
		print("spin: %u rounds in %u seconds\n", spins[i].rounds, seconds);
	}
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
	{"badcall", "", "a program whose system calls are refused", run_badcall},
	{"spawn", "N", "so many programs, 32 at a time", run_spawn},
	{"sleep", "SECONDS", "wait", run_sleep},
	{"spin", "SECONDS [N]", "keep the CPU busy, by N threads", run_spin},
	{"swaptest", "", "the swap test again", run_swaptest},
	{"filetest", "", "the file test again", run_filetest},
	{0},
};
