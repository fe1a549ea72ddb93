/*
 * Starts user programs. Their pages come by the pager like all others: copying the program to its
 * place is what first touches them.
 */

#include "../user/numbers.h"
#include "lib.h"
#include "paging.h"
#include "thread.h"
#include "trap.h"
#include "user.h"
#include "x86.h"

enum { PROGRAM_FRAMES = 32 };

struct program {
	const char *name;
	const char *begin, *end;
};

#define PROGRAM(n) extern const char program_##n[], program_##n##_end[];
#include "../user/programs.h"
#undef PROGRAM

static const struct program programs[] = {
#define PROGRAM(n) {#n, program_##n, program_##n##_end},
#include "../user/programs.h"
#undef PROGRAM
};

enum { PROGRAM_COUNT = sizeof(programs) / sizeof(programs[0]) };

struct start {
	const struct program *program;
	uint32_t argument;
};

static struct start starts[THREAD_MAX];

/* The new thread, still in the kernel, but in its own space already. */
static void enter(void *unused)
{
	const struct start *start = &starts[thread_current_id()];
	const struct program *program = start->program;
	uint32_t *stack = (uint32_t *)USER_STACK_TOP;
	struct trap_frame frame = {
		.ds = USER_DATA,
		.es = USER_DATA,
		.fs = USER_DATA,
		.gs = USER_DATA,
		.eip = USER_IMAGE,
		.cs = USER_CODE,
		.eflags = EFLAGS_FIXED | EFLAGS_IF,
		.ss = USER_DATA,
	};

	(void)unused;
	memcpy((void *)USER_IMAGE, program->begin, (size_t)(program->end - program->begin));
	/* As for a C function with one argument; the return address is never used. */
	*--stack = start->argument;
	*--stack = 0;
	frame.esp = (uint32_t)stack;
	trap_leave(&frame);
}

static const struct program *find_program(const char *name)
{
	uint32_t i;

	for (i = 0; i < PROGRAM_COUNT; i++) {
		if (!strcmp(programs[i].name, name))
			return &programs[i];
	}
	return NULL;
}

int user_start(const char *name, uint32_t argument)
{
	const struct program *program = find_program(name);
	struct space *space = program ? space_create(PROGRAM_FRAMES) : NULL;
	uint32_t size, flags;
	int id;

	if (!space)
		return -1;
	size = (uint32_t)(program->end - program->begin + PAGE_SIZE - 1) &
	       ~(uint32_t)(PAGE_SIZE - 1);
	space_add_region(space, USER_IMAGE, USER_IMAGE + size);
	space_add_region(space, USER_HEAP, USER_HEAP + USER_HEAP_SIZE);
	space_add_region(space, USER_STACK_TOP - USER_STACK_SIZE, USER_STACK_TOP);
	/* The thread must not begin before it can find what to start. */
	flags = irq_save();
	id = thread_create(name, enter, NULL, space);
	if (id >= 0)
		starts[id] = (struct start){program, argument};
	irq_restore(flags);
	if (id < 0)
		space_destroy(space);
	return id;
}
