/*
 * One VM's console, whose output ring starts small: it is as good as one that is large from the
 * start. The second one here is that.
 * needs: core/vm_console.c lib/ring.c lib/printf.c
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "../../core/vm_console.h"

#define FIRST 64u
#define LARGE 1024u
#define PLACE 16u /* bytes of the input ring */

static struct vm_console con, large;
static uint8_t *memory[3], in[2][PLACE]; /* first ring, its successor, the other's */
static unsigned asked;
static bool no_memory;

static uint8_t *new_ring(unsigned i, uint32_t size)
{
	free(memory[i]);
	memory[i] = malloc(size);
	assert_non_null(memory[i]);
	memset(memory[i], 0xee, size);
	return memory[i];
}

static void *grow(void *ctx, uint32_t size)
{
	assert_ptr_equal(ctx, &asked);
	assert_int_equal(size, LARGE);
	asked++;
	return no_memory ? NULL : new_ring(1, size);
}

static int setup(void **state)
{
	(void)state;
	asked = 0;
	no_memory = false;
	vm_console_init(&con, new_ring(0, FIRST), FIRST, in[0], PLACE);
	vm_console_grow_to(&con, LARGE, grow, &asked);
	vm_console_init(&large, new_ring(2, LARGE), LARGE, in[1], PLACE);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		free(memory[i]);
		memory[i] = NULL;
	}
	return 0;
}

/* The byte at a position: neither ring's size is a period of it. */
static uint8_t byte_at(uint64_t i)
{
	return (uint8_t)(i * 2654435761u >> 24);
}

static void print(uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		const uint8_t byte = byte_at(vm_console_printed(&con));

		assert_int_equal(vm_console_put(&con, byte), vm_console_put(&large, byte));
	}
}

struct shown {
	uint32_t n;
	uint8_t bytes[LARGE];
};

static void on_bytes(void *ctx, const uint8_t *bytes, uint32_t n)
{
	struct shown *s = ctx;

	assert_true(n <= sizeof(s->bytes) - s->n);
	memcpy(s->bytes + s->n, bytes, n);
	s->n += n;
}

static void replays_are_equal(void)
{
	struct shown a = {0}, b = {0};

	vm_console_replay(&con, on_bytes, &a);
	vm_console_replay(&large, on_bytes, &b);
	assert_int_equal(a.n, b.n);
	assert_memory_equal(a.bytes, b.bytes, a.n);
	assert_int_equal(vm_console_take_lost(&con), vm_console_take_lost(&large));
}

static void raws_are_equal(uint32_t n)
{
	uint8_t a[LARGE], b[LARGE];
	const uint32_t got = vm_console_raw(&con, a, n);

	assert_int_equal(got, vm_console_raw(&large, b, n));
	assert_memory_equal(a, b, got);
	assert_int_equal(vm_console_take_lost(&con), vm_console_take_lost(&large));
}

static void test_memory_is_taken_when_the_first_ring_is_full(void **state)
{
	(void)state;
	print(FIRST - 1);
	assert_int_equal(asked, 0);
	print(1);
	assert_int_equal(asked, 1);
	print(5 * LARGE);
	assert_int_equal(asked, 1);
}

static void test_all_is_there_as_if_it_had_been_large(void **state)
{
	static const uint32_t printed[] = {1,	      FIRST - 1, FIRST,	    FIRST + 1,	2 * FIRST,
					   LARGE - 1, LARGE,	 LARGE + 1, LARGE + 70, 3 * LARGE};

	for (unsigned i = 0; i < sizeof(printed) / sizeof(printed[0]); i++) {
		setup(state);
		print(printed[i]);
		replays_are_equal();
		print(printed[i]);
		replays_are_equal();
	}
}

static void test_what_is_half_shown_goes_on(void **state)
{
	(void)state;
	print(40);
	raws_are_equal(30);
	print(23);
	raws_are_equal(7);
	print(FIRST);
	raws_are_equal(LARGE);
	raws_are_equal(LARGE);
	print(LARGE + 100);
	raws_are_equal(LARGE);
	replays_are_equal();
}

static void test_wake_ups_come_as_ever(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 40; i++) {
		print(7 * i % 50);
		raws_are_equal(5 * i);
	}
}

static void on_line(void *ctx, const char *text, uint32_t n)
{
	on_bytes(ctx, (const uint8_t *)text, n);
}

static void test_lines_across_the_change_are_whole(void **state)
{
	static const char text[] = "a line of some forty characters, or more\n";
	struct shown s = {0};

	(void)state;
	for (unsigned i = 0; i < 4; i++)
		for (const char *p = text; *p; p++)
			(void)vm_console_put(&con, (uint8_t)*p);
	while (vm_console_lines(&con, on_line, &s))
		;
	assert_int_equal(s.n, 4 * (sizeof(text) - 2));
	for (unsigned i = 0; i < 4; i++)
		assert_memory_equal(s.bytes + i * (sizeof(text) - 2), text, sizeof(text) - 2);
}

/* It asks once, and goes on overwriting what is oldest. */
static void test_without_memory_it_stays_small(void **state)
{
	struct shown s = {0};

	(void)state;
	no_memory = true;
	print(3 * FIRST + 5);
	assert_int_equal(asked, 1);
	vm_console_replay(&con, on_bytes, &s);
	vm_console_replay(&large, on_bytes, &(struct shown){0});
	assert_int_equal(s.n, FIRST - 1);
	for (uint32_t i = 0; i < s.n; i++)
		assert_int_equal(s.bytes[i], byte_at(3 * FIRST + 5 - s.n + i));
	assert_int_equal(vm_console_take_lost(&con), 2 * FIRST + 6);
	no_memory = false;
	print(LARGE);
	assert_int_equal(asked, 1);
}

static void *producer(void *arg)
{
	const uint32_t *n = arg;

	for (uint32_t i = 0; i < *n; i++)
		(void)vm_console_put(&con, byte_at(i));
	return NULL;
}

/* On two CPUs: what the large ring has room for is never lost, whatever is read meanwhile. */
static void test_a_reader_meanwhile_loses_nothing(void **state)
{
	uint32_t n = LARGE - 1;

	for (unsigned round = 0; round < 400; round++) {
		uint8_t buf[48];
		uint32_t at = 0;
		pthread_t thread;

		setup(state);
		assert_int_equal(pthread_create(&thread, NULL, producer, &n), 0);
		while (at < n) {
			const uint32_t got = vm_console_raw(&con, buf, round % sizeof(buf) + 1);

			for (uint32_t i = 0; i < got; i++, at++)
				if (buf[i] != byte_at(at))
					fail_msg("round %u, byte %u", round, at);
			if (!got)
				(void)sched_yield();
		}
		pthread_join(thread, NULL);
		assert_int_equal(vm_console_take_lost(&con), 0);
	}
}

#define t(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		t(test_memory_is_taken_when_the_first_ring_is_full),
		t(test_all_is_there_as_if_it_had_been_large),
		t(test_what_is_half_shown_goes_on),
		t(test_wake_ups_come_as_ever),
		t(test_lines_across_the_change_are_whole),
		t(test_without_memory_it_stays_small),
		t(test_a_reader_meanwhile_loses_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
