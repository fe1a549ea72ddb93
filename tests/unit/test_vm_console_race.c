/*
 * One VM's console, printed to by a second thread as by the VM's CPU.
 * needs: core/vm_console.c lib/ring.c lib/printf.c
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdlib.h>
#include <time.h>

#include "../../core/vm_console.h"

static struct vm_console con;

static int setup(void **state)
{
	static uint8_t out[256], in[16];

	(void)state;
	vm_console_init(&con, out, sizeof(out), in, sizeof(in));
	return 0;
}

#define RACE_BYTES 3000000u
static _Atomic bool race_over;

/* A byte of the sequence tells where it belongs: a wrong one is an overwritten one. */
static uint8_t race_byte(uint64_t i)
{
	return (uint8_t)(i * 2654435761u >> 24);
}

static void *race_producer(void *arg)
{
	(void)arg;
	for (uint32_t i = 0; i < RACE_BYTES; i++)
		(void)vm_console_put(&con, race_byte(i));
	atomic_store(&race_over, true);
	return NULL;
}

static void test_no_overwritten_byte_is_taken_for_good(void **state)
{
	static uint8_t buf[200];
	uint64_t at = 0, lost = 0;
	pthread_t thread;

	(void)state;
	race_over = false;
	assert_int_equal(pthread_create(&thread, NULL, race_producer, NULL), 0);
	for (;;) {
		const bool over = race_over;
		const uint32_t n = vm_console_raw(&con, buf, sizeof(buf));
		const uint64_t gone = vm_console_take_lost(&con);

		at += gone;
		lost += gone;
		for (uint32_t i = 0; i < n; i++, at++)
			if (buf[i] != race_byte(at))
				fail_msg("byte %lu is another lap's", at);
		if (over && n == 0)
			break;
	}
	pthread_join(thread, NULL);
	assert_int_equal(at, RACE_BYTES);
	assert_true(lost < RACE_BYTES);
}

static sem_t wake;

#define WAKE_BYTES 60000u

/* Waits every few bytes until all is shown: a byte that nobody is told of stays where it is. */
static void *sleepy_producer(void *arg)
{
	(void)arg;
	for (uint32_t i = 0; i < WAKE_BYTES; i++) {
		if (vm_console_put(&con, '.'))
			(void)sem_post(&wake);
		while (i % 3 == 2 && con.shown <= i)
			(void)sched_yield();
	}
	return NULL;
}

/* The consumer looks at nothing unless it is woken: all arrives if no wake-up is lost. */
static void test_no_wake_up_is_lost(void **state)
{
	struct timespec end;
	pthread_t thread;
	uint8_t buf[64];

	(void)state;
	assert_int_equal(sem_init(&wake, 0, 0), 0);
	assert_int_equal(pthread_create(&thread, NULL, sleepy_producer, NULL), 0);
	while (con.shown < WAKE_BYTES) {
		clock_gettime(CLOCK_REALTIME, &end);
		end.tv_sec += 20;
		if (sem_timedwait(&wake, &end) != 0)
			fail_msg("asleep at byte %lu", con.shown);
		while (vm_console_raw(&con, buf, sizeof(buf)))
			;
	}
	pthread_join(thread, NULL);
}

#define t(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		t(test_no_overwritten_byte_is_taken_for_good),
		t(test_no_wake_up_is_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
