/*
 * Threads that multiply matrices side by side: registers mixed up at a switch would show in the
 * products. They are checked by Freivalds' method: C = A B, so C x = A (B x) for any x.
 */

#include "lib.h"
#include "shell.h"
#include "thread.h"

enum { SIZE = 24, THREADS = 4, ROUNDS = 40 };

struct job {
	uint32_t a[SIZE][SIZE], b[SIZE][SIZE], c[SIZE][SIZE];
	uint32_t seed;
};

static struct job jobs[THREADS];
static uint32_t right_count;
static struct mutex lock = MUTEX_INIT;

/* A linear congruential generator: any numbers will do. */
static uint32_t next_random(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 8;
}

static void fill(uint32_t m[SIZE][SIZE], uint32_t *seed)
{
	int i, j;

	for (i = 0; i < SIZE; i++) {
		for (j = 0; j < SIZE; j++)
			m[i][j] = next_random(seed);
	}
}

static void multiply(struct job *job)
{
	int i, j, k;

	for (i = 0; i < SIZE; i++) {
		for (j = 0; j < SIZE; j++) {
			uint32_t sum = 0;

			for (k = 0; k < SIZE; k++)
				sum += job->a[i][k] * job->b[k][j];
			job->c[i][j] = sum;
		}
	}
}

static void apply(uint32_t m[SIZE][SIZE], const uint32_t *x, uint32_t *y)
{
	int i, j;

	for (i = 0; i < SIZE; i++) {
		y[i] = 0;
		for (j = 0; j < SIZE; j++)
			y[i] += m[i][j] * x[j];
	}
}

static bool is_right(struct job *job)
{
	uint32_t x[SIZE], bx[SIZE], abx[SIZE], cx[SIZE];
	int i;

	for (i = 0; i < SIZE; i++)
		x[i] = next_random(&job->seed);
	apply(job->b, x, bx);
	apply(job->a, bx, abx);
	apply(job->c, x, cx);
	return !memcmp(abx, cx, sizeof(cx));
}

static void work(void *arg)
{
	struct job *job = arg;
	int round;

	for (round = 0; round < ROUNDS; round++) {
		fill(job->a, &job->seed);
		fill(job->b, &job->seed);
		multiply(job);
		if (!is_right(job))
			continue;
		mutex_lock(&lock);
		right_count++;
		mutex_unlock(&lock);
	}
}

void matrix_run(char *arguments)
{
	int ids[THREADS];
	uint32_t i;

	(void)arguments;
	right_count = 0;
	for (i = 0; i < THREADS; i++) {
		jobs[i].seed = i;
		ids[i] = thread_create("matrix", work, &jobs[i], NULL);
	}
	for (i = 0; i < THREADS; i++) {
		if (ids[i] >= 0)
			thread_wait(ids[i]);
	}
	if (right_count == THREADS * ROUNDS)
		print("matrix passed: %u threads, %u products each\n", THREADS, ROUNDS);
	else
		print("matrix failed: %u of %u products are right\n", right_count,
		      THREADS * ROUNDS);
}
