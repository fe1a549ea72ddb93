/*
 * Kernel threads with time slices, and what they wait on. A user program is a thread with an
 * address space of its own. One CPU: turning interrupts off is all the locking that threads need
 * inside.
 */
#ifndef LABOS_THREAD_H
#define LABOS_THREAD_H

#include <stdbool.h>
#include <stdint.h>

enum {
	THREAD_MAX = 64,
	THREAD_STACK_SIZE = 8192,
	THREAD_NAME_SIZE = 16,
	THREAD_KILLED = -1, /* exit code after a fault */
};

enum thread_state { THREAD_UNUSED, THREAD_READY, THREAD_RUNNING, THREAD_WAITING, THREAD_DEAD };

struct thread {
	uint32_t esp;	/* while it does not run */
	uint32_t stack; /* lowest address; 0 for the boot stack */
	enum thread_state state;
	const void *waits_for; /* what it sleeps on, or NULL: only for the time */
	bool has_alarm;
	uint32_t alarm; /* tick at which it wakes up */
	struct space *space;
	int exit_code;
	uint32_t ticks; /* that it has run */
	void (*entry)(void *arg);
	void *arg;
	char name[THREAD_NAME_SIZE];
};

/* The caller becomes thread 0, which later has to call thread_idle. */
void thread_init(void);

/* A new thread, its number, or -1 if there is no room. The space becomes its own; may be NULL. */
int thread_create(const char *name, void (*entry)(void *arg), void *arg, struct space *space);

/* Waits until thread `id`, created by the caller, has ended; frees it; its exit code. */
int thread_wait(int id);

_Noreturn void thread_exit(int code);
struct thread *thread_current(void);
int thread_current_id(void);
void thread_yield(void);
void thread_sleep(uint32_t ticks);

/* Thread 0 for ever: halts the CPU, or burns it, until an interrupt makes another thread ready. */
_Noreturn void thread_idle(bool spins);

/* For the timer, and for the end of each interrupt; interrupts are off. */
void thread_tick(void);
void thread_preempt(void);

/* Thread `id`, for listing; NULL if there is none. */
const struct thread *thread_get(int id);
const char *thread_state_name(const struct thread *thread);

struct semaphore {
	uint32_t count;
};

struct mutex {
	struct thread *owner;
};

#define SEMAPHORE_INIT(n)    \
	{                    \
		.count = (n) \
	}
#define MUTEX_INIT            \
	{                     \
		.owner = NULL \
	}

/* May be called by interrupt handlers; down only by threads. */
void semaphore_up(struct semaphore *semaphore);
void semaphore_down(struct semaphore *semaphore);
void mutex_lock(struct mutex *mutex);
void mutex_unlock(struct mutex *mutex);

#endif
