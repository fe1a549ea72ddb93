/*
 * lib/ring.c: against a model, at the wrap of its counters, and with two threads.
 * needs: lib/ring.c
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

#include <crvm/ring.h>

static uint32_t seed = 1;

static uint32_t rnd(uint32_t below)
{
	seed = seed * 1664525u + 1013904223u;
	return (seed >> 8) % below;
}

static void new_ring_is_empty(void **state)
{
	uint8_t buf[16], c;
	struct ring r;

	(void)state;
	memset(&r, 0xff, sizeof(r));
	ring_init(&r, buf, sizeof(buf));
	assert_int_equal(ring_used(&r), 0);
	assert_int_equal(ring_free(&r), 16);
	assert_int_equal(ring_get(&r, &c, 1), 0);
}

static void put_is_all_or_nothing(void **state)
{
	uint8_t buf[8], out[8];
	struct ring r;

	(void)state;
	ring_init(&r, buf, sizeof(buf));
	assert_false(ring_put(&r, "123456789", 9));
	assert_int_equal(ring_used(&r), 0);
	assert_true(ring_put(&r, "12345", 5));
	assert_false(ring_put(&r, "6789", 4));
	assert_int_equal(ring_used(&r), 5);
	assert_true(ring_put(&r, "678", 3));
	assert_int_equal(ring_free(&r), 0);
	assert_false(ring_put(&r, "x", 1));
	assert_false(ring_put(&r, "x", UINT32_MAX));
	assert_true(ring_put(&r, NULL, 0)); /* nothing always fits */
	assert_int_equal(ring_get(&r, out, 8), 8);
	assert_memory_equal(out, "12345678", 8);
}

static void get_takes_what_there_is(void **state)
{
	uint8_t buf[8], out[16];
	struct ring r;

	(void)state;
	ring_init(&r, buf, sizeof(buf));
	assert_true(ring_put(&r, "abc", 3));
	assert_int_equal(ring_get(&r, NULL, 0), 0);
	assert_int_equal(ring_get(&r, out, 2), 2);
	assert_memory_equal(out, "ab", 2);
	memset(out, '#', sizeof(out));
	assert_int_equal(ring_get(&r, out, UINT32_MAX), 1);
	assert_int_equal(out[0], 'c');
	assert_int_equal(out[1], '#');
	assert_int_equal(ring_get(&r, out, 1), 0);
}

static void ring_of_one_byte_works(void **state)
{
	uint8_t buf[1], c;
	struct ring r;

	(void)state;
	ring_init(&r, buf, 1);
	for (uint8_t i = 0; i < 10; i++) {
		assert_true(ring_put(&r, &i, 1));
		assert_false(ring_put(&r, &i, 1));
		assert_int_equal(ring_get(&r, &c, 1), 1);
		assert_int_equal(c, i);
	}
}

/* Random puts and gets on a ring whose counters start at `start`, compared with a plain queue. */
static void compare_with_queue(uint32_t size, uint32_t start)
{
	uint8_t *buf = malloc(size), queue[64], data[80];
	uint32_t used = 0, n;
	uint8_t next = 0;
	struct ring r;

	ring_init(&r, buf, size);
	atomic_store(&r.head, start);
	atomic_store(&r.tail, start);
	for (int i = 0; i < 20000; i++) {
		n = rnd(size + 3);
		if (rnd(2)) {
			bool fits = n <= size - used;

			for (uint32_t k = 0; k < n; k++)
				data[k] = (uint8_t)(next + k);
			assert_int_equal(ring_put(&r, data, n), fits);
			if (fits) {
				memcpy(queue + used, data, n);
				used += n;
				next = (uint8_t)(next + n);
			}
		} else {
			uint32_t want = n < used ? n : used;

			assert_int_equal(ring_get(&r, data, n), want);
			assert_memory_equal(data, queue, want);
			used -= want;
			memmove(queue, queue + want, used);
		}
		assert_int_equal(ring_used(&r), used);
		assert_int_equal(ring_free(&r), size - used);
	}
	free(buf);
}

static void ring_behaves_as_a_queue(void **state)
{
	(void)state;
	for (uint32_t size = 1; size <= 64; size *= 2) {
		compare_with_queue(size, 0);
		compare_with_queue(size, 5);
	}
}

static void counters_may_wrap(void **state)
{
	(void)state;
	for (uint32_t size = 1; size <= 64; size *= 2)
		for (uint32_t before = 0; before < 70; before += 23)
			compare_with_queue(size, 0u - before);
}

static void largest_ring_can_be_full(void **state)
{
	struct ring r = {.size = 1u << 31};

	(void)state;
	atomic_store(&r.tail, 0xc0000000u);
	atomic_store(&r.head, 0x40000000u);
	assert_int_equal(ring_used(&r), 1u << 31);
	assert_int_equal(ring_free(&r), 0);
	assert_false(ring_put(&r, "x", 1));
}

/* A third party may see the producer's counter newer than the consumer's. */
static void used_never_exceeds_the_size(void **state)
{
	uint8_t buf[8];
	struct ring r;

	(void)state;
	ring_init(&r, buf, sizeof(buf));
	atomic_store(&r.head, 11);
	assert_int_equal(ring_used(&r), 8);
	assert_int_equal(ring_free(&r), 0);
}

#define STREAM 3000000u

static uint8_t stream_byte(uint32_t i)
{
	return (uint8_t)((i * 2654435761u) >> 24);
}

static void *produce(void *arg)
{
	struct ring *r = arg;
	uint32_t sent = 0, size = 1;
	uint8_t data[48];

	while (sent < STREAM) {
		uint32_t n = 1 + size++ % sizeof(data);

		if (n > STREAM - sent)
			n = STREAM - sent;
		for (uint32_t i = 0; i < n; i++)
			data[i] = stream_byte(sent + i);
		while (!ring_put(r, data, n))
			sched_yield();
		sent += n;
	}
	return NULL;
}

static void two_threads_lose_and_mix_up_nothing(void **state)
{
	uint8_t buf[64], data[37];
	uint32_t got = 0;
	pthread_t thread;
	struct ring r;

	(void)state;
	ring_init(&r, buf, sizeof(buf));
	atomic_store(&r.head, 0u - STREAM / 2); /* wraps on the way */
	atomic_store(&r.tail, 0u - STREAM / 2);
	assert_int_equal(pthread_create(&thread, NULL, produce, &r), 0);
	while (got < STREAM) {
		uint32_t n = ring_get(&r, data, 1 + got % sizeof(data));

		if (!n)
			sched_yield();
		for (uint32_t i = 0; i < n; i++)
			if (data[i] != stream_byte(got + i))
				fail_msg("byte %u is %u, not %u", got + i, data[i],
					 stream_byte(got + i));
		got += n;
	}
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(got, STREAM);
	assert_int_equal(ring_used(&r), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(new_ring_is_empty),
		cmocka_unit_test(put_is_all_or_nothing),
		cmocka_unit_test(get_takes_what_there_is),
		cmocka_unit_test(ring_of_one_byte_works),
		cmocka_unit_test(ring_behaves_as_a_queue),
		cmocka_unit_test(counters_may_wrap),
		cmocka_unit_test(largest_ring_can_be_full),
		cmocka_unit_test(used_never_exceeds_the_size),
		cmocka_unit_test(two_threads_lose_and_mix_up_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
