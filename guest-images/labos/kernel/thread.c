/*
 * Threads in a table, taken in turn. Must not know what threads do.
 */

#include "frames.h"
#include "lib.h"
#include "paging.h"
#include "thread.h"
#include "timer.h"
#include "trap.h"
#include "x86.h"

enum {
	SLICE_TICKS = 5,
	STACK_CANARY = 0x57ac4e4d,
};

void switch_stacks(uint32_t *save, uint32_t load);

static struct thread threads[THREAD_MAX];
static struct thread *current = &threads[0];
static uint32_t slice;
static bool switch_due;

void thread_init(void)
{
	current->state = THREAD_RUNNING;
	string_copy(current->name, "idle", sizeof(current->name));
}

struct thread *thread_current(void)
{
	return current;
}

int thread_current_id(void)
{
	return (int)(current - threads);
}

/* The next one that can run; thread 0 only if there is no other. */
static struct thread *pick(void)
{
	int at = thread_current_id();
	int i;

	for (i = 1; i < THREAD_MAX; i++) {
		at = at + 1 < THREAD_MAX ? at + 1 : 0;
		if (at != 0 && threads[at].state == THREAD_READY)
			return &threads[at];
	}
	return current->state == THREAD_RUNNING ? current : &threads[0];
}

/* Interrupts are off. Comes back when the caller is chosen again. */
static void switch_thread(void)
{
	struct thread *from = current;
	struct thread *to = pick();

	slice = SLICE_TICKS;
	switch_due = false;
	if (from == to)
		return;
	if (from->stack && *(uint32_t *)from->stack != STACK_CANARY)
		panic("thread %s: stack overflow", from->name);
	if (from->state == THREAD_RUNNING)
		from->state = THREAD_READY;
	to->state = THREAD_RUNNING;
	current = to;
	descriptors_set_stack(to->stack + THREAD_STACK_SIZE);
	space_activate(to->space);
	switch_stacks(&from->esp, to->esp);
}

static void begin(void)
{
	irq_enable();
	current->entry(current->arg);
	thread_exit(0);
}

static struct thread *find_unused(void)
{
	int i;

	for (i = 1; i < THREAD_MAX; i++) {
		if (threads[i].state == THREAD_UNUSED)
			return &threads[i];
	}
	return NULL;
}

int thread_create(const char *name, void (*entry)(void *arg), void *arg, struct space *space)
{
	uint32_t stack = frames_alloc(THREAD_STACK_SIZE / PAGE_SIZE);
	struct thread *thread;
	uint32_t *top;
	uint32_t flags;

	if (!stack)
		return -1;
	flags = irq_save();
	thread = find_unused();
	if (!thread) {
		irq_restore(flags);
		frames_free(stack, THREAD_STACK_SIZE / PAGE_SIZE);
		return -1;
	}
	*(uint32_t *)stack = STACK_CANARY;
	/* As if switch_stacks had been called by `begin`, which itself nobody called. */
	top = (uint32_t *)(stack + THREAD_STACK_SIZE);
	*--top = 0;
	*--top = (uint32_t)begin;
	top -= 4;
	memset(top, 0, 4 * sizeof(*top));
	*thread = (struct thread){
		.esp = (uint32_t)top,
		.stack = stack,
		.state = THREAD_READY,
		.space = space,
		.entry = entry,
		.arg = arg,
	};
	string_copy(thread->name, name, sizeof(thread->name));
	irq_restore(flags);
	return (int)(thread - threads);
}

/* Interrupts are off. */
static void wait_for(const void *what)
{
	current->waits_for = what;
	current->state = THREAD_WAITING;
	switch_thread();
}

static bool wake_one(const void *what)
{
	int i;

	for (i = 0; i < THREAD_MAX; i++) {
		if (threads[i].state == THREAD_WAITING && threads[i].waits_for == what) {
			threads[i].state = THREAD_READY;
			/* A sleeper that wakes up shall not wait for the end of another's slice. */
			switch_due = true;
			return true;
		}
	}
	return false;
}

int thread_wait(int id)
{
	struct thread *thread = &threads[id];
	uint32_t flags = irq_save();
	int code;

	while (thread->state != THREAD_DEAD)
		wait_for(thread);
	irq_restore(flags);
	code = thread->exit_code;
	if (thread->space)
		space_destroy(thread->space);
	frames_free(thread->stack, THREAD_STACK_SIZE / PAGE_SIZE);
	thread->state = THREAD_UNUSED;
	return code;
}

void thread_exit(int code)
{
	irq_save();
	current->exit_code = code;
	current->state = THREAD_DEAD;
	wake_one(current);
	switch_thread();
	panic("a dead thread runs");
}

void thread_yield(void)
{
	uint32_t flags = irq_save();

	switch_thread();
	irq_restore(flags);
}

void thread_sleep(uint32_t ticks)
{
	uint32_t flags = irq_save();

	current->alarm = timer_ticks() + ticks;
	current->has_alarm = true;
	wait_for(NULL);
	irq_restore(flags);
}

void thread_idle(bool spins)
{
	irq_enable();
	for (;;) {
		if (!spins)
			__asm__ volatile("hlt");
	}
}

void thread_tick(void)
{
	uint32_t now = timer_ticks();
	int i;

	current->ticks++;
	for (i = 0; i < THREAD_MAX; i++) {
		struct thread *thread = &threads[i];

		if (thread->state == THREAD_WAITING && thread->has_alarm &&
		    (int32_t)(now - thread->alarm) >= 0) {
			thread->has_alarm = false;
			thread->state = THREAD_READY;
			switch_due = true;
		}
	}
	if (slice == 0 || --slice == 0)
		switch_due = true;
}

void thread_preempt(void)
{
	if (switch_due)
		switch_thread();
}

const struct thread *thread_get(int id)
{
	return threads[id].state == THREAD_UNUSED ? NULL : &threads[id];
}

const char *thread_state_name(const struct thread *thread)
{
	static const char *const names[] = {"unused", "ready", "running", "waiting", "dead"};

	return names[thread->state];
}

void semaphore_up(struct semaphore *semaphore)
{
	uint32_t flags = irq_save();

	semaphore->count++;
	wake_one(semaphore);
	irq_restore(flags);
}

void semaphore_down(struct semaphore *semaphore)
{
	uint32_t flags = irq_save();

	while (semaphore->count == 0)
		wait_for(semaphore);
	semaphore->count--;
	irq_restore(flags);
}

void mutex_lock(struct mutex *mutex)
{
	uint32_t flags = irq_save();

	while (mutex->owner)
		wait_for(mutex);
	mutex->owner = current;
	irq_restore(flags);
}

void mutex_unlock(struct mutex *mutex)
{
	uint32_t flags = irq_save();

	if (mutex->owner != current)
		panic("thread %s unlocks what it does not hold", current->name);
	mutex->owner = NULL;
	wake_one(mutex);
	irq_restore(flags);
}
