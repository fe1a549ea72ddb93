/*
 * core/fair.c: shares by weight, wakers, slices, in a simulated time.
 * needs: core/fair.c
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include "../../core/fair.h"

#define SLICE 10000u
#define MAX   8

struct member {
	struct fair_member fair;
	enum fair_state state;
	uint64_t ran, wake_at, burst; /* burst 0: always busy */
	uint64_t latency;	      /* the longest from waking to running */
};

static struct fair_queue q;
static struct member members[MAX];
static uint64_t now;

static int setup(void **state)
{
	(void)state;
	q = (struct fair_queue){.slice = SLICE};
	now = 1;
	for (unsigned i = 0; i < MAX; i++)
		members[i] = (struct member){.state = FAIR_READY};
	return 0;
}

static struct member *of(struct fair_member *m)
{
	return m ? container_of(m, struct member, fair) : NULL;
}

static enum fair_state state_of(struct fair_member *m)
{
	return of(m)->state;
}

static struct member *pick(void)
{
	return of(fair_pick(&q, now, state_of));
}

static void begin(struct member *m)
{
	if (m->state == FAIR_WOKEN) {
		if (now - m->wake_at > m->latency)
			m->latency = now - m->wake_at;
		fair_wake(&q, &m->fair);
		m->state = FAIR_READY;
	}
	fair_begin(&q, &m->fair, now);
}

static void wake_due(void)
{
	for (unsigned i = 0; i < MAX; i++)
		if (members[i].state == FAIR_IDLE && members[i].wake_at &&
		    now >= members[i].wake_at)
			members[i].state = FAIR_WOKEN;
}

/* When the stay of `m` ends: its slice, its burst, or somebody's waking. */
static uint64_t end_of(const struct member *m)
{
	uint64_t end = q.slice_end;

	if (m->burst && now + m->burst < end)
		end = now + m->burst;
	for (unsigned i = 0; i < MAX; i++)
		if (members[i].state == FAIR_IDLE && members[i].wake_at > now &&
		    members[i].wake_at < end)
			end = members[i].wake_at;
	return end;
}

static void simulate(uint64_t until, uint64_t sleep)
{
	while (now < until) {
		struct member *m;
		uint64_t end;

		wake_due();
		m = pick();
		if (!m) {
			now++;
			continue;
		}
		begin(m);
		end = end_of(m) + (uint64_t)rand() % 3; /* exits are never exact */
		m->ran += end - now;
		fair_charge(&m->fair, end - now);
		now = end;
		if (m->burst) {
			m->state = FAIR_IDLE;
			m->wake_at = now + sleep;
		}
	}
}

static void assert_share(const struct member *m, double share, double within)
{
	double is = (double)m->ran / (double)now;

	assert_true(is > share * (1 - within) && is < share * (1 + within));
}

static void test_nobody(void **state)
{
	(void)state;
	assert_null(pick());
	fair_add(&q, &members[0].fair, 100);
	members[0].state = FAIR_IDLE;
	assert_null(pick());
}

static void test_equal_weights_are_equal_shares(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 5; i++)
		fair_add(&q, &members[i].fair, 100);
	simulate(1000 * SLICE, 0);
	for (unsigned i = 0; i < 5; i++)
		assert_share(&members[i], 0.2, 0.005);
}

static void test_shares_are_as_weights(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 3; i++)
		fair_add(&q, &members[i].fair, 50u << i);
	simulate(1000 * SLICE, 0);
	for (unsigned i = 0; i < 3; i++)
		assert_share(&members[i], (double)(1u << i) / 7, 0.01);
}

static void test_the_extremes_of_weights(void **state)
{
	(void)state;
	fair_add(&q, &members[0].fair, 1);
	fair_add(&q, &members[1].fair, 1000);
	simulate(20000 * SLICE, 0);
	assert_share(&members[0], 1.0 / 1001, 0.1);
	assert_share(&members[1], 1000.0 / 1001, 0.01);
}

/* Turns are whole slices: nobody is left in the middle for another busy one. */
static void test_a_slice_is_kept(void **state)
{
	struct member *m;

	(void)state;
	for (unsigned i = 0; i < 3; i++)
		fair_add(&q, &members[i].fair, 100);
	m = pick();
	begin(m);
	for (unsigned i = 0; i < 99; i++) {
		now += SLICE / 100;
		fair_charge(&m->fair, SLICE / 100);
		assert_ptr_equal(pick(), m);
		begin(m);
	}
	now += SLICE / 100;
	fair_charge(&m->fair, SLICE / 100);
	assert_ptr_not_equal(pick(), m);
}

/* Short work after a sleep is done at once, though three others are always busy. */
static void test_a_waker_runs_at_once(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 4; i++)
		fair_add(&q, &members[i].fair, 100);
	members[3].burst = 50;
	simulate(2000 * SLICE, 7 * SLICE / 2);
	assert_true(members[3].ran > 100);
	assert_in_range(members[3].latency, 0, SLICE / 100);
	for (unsigned i = 0; i < 3; i++)
		assert_share(&members[i], 1.0 / 3, 0.02);
}

/* One that sleeps a little between long bursts gets its share and no more. */
static void test_sleeping_saves_up_no_time(void **state)
{
	uint64_t before;

	(void)state;
	fair_add(&q, &members[0].fair, 100);
	fair_add(&q, &members[1].fair, 100);
	members[1].state = FAIR_IDLE;
	simulate(1000 * SLICE, 0);
	members[1].state = FAIR_WOKEN;
	members[1].wake_at = now;
	before = members[0].ran;
	simulate(now + 20 * SLICE, 0);
	assert_in_range(members[0].ran - before, 9 * SLICE, 11 * SLICE);
}

static void test_one_that_comes_later_has_no_claim(void **state)
{
	(void)state;
	fair_add(&q, &members[0].fair, 100);
	simulate(1000 * SLICE, 0);
	fair_add(&q, &members[1].fair, 100);
	simulate(now + 20 * SLICE, 0);
	/* One slice more at most: that which ran when it came. */
	assert_in_range(members[1].ran, 9 * SLICE, 12 * SLICE);
}

static void test_members_come_and_go(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 3; i++)
		fair_add(&q, &members[i].fair, 100);
	begin(&members[1]);
	fair_remove(&q, &members[1].fair);
	assert_null(q.current);
	simulate(100 * SLICE, 0);
	assert_int_equal(members[1].ran, 0);
	assert_share(&members[0], 0.5, 0.02);
	fair_remove(&q, &members[2].fair);
	fair_remove(&q, &members[0].fair);
	assert_null(pick());
	fair_add(&q, &members[1].fair, 100);
	assert_ptr_equal(pick(), &members[1]);
	fair_add(&q, &members[2].fair, 100);
	fair_remove(&q, &members[1].fair);
	assert_ptr_equal(pick(), &members[2]);
}

static void test_virtual_time_may_wrap(void **state)
{
	(void)state;
	q.floor = UINT64_MAX - 5 * SLICE;
	fair_add(&q, &members[0].fair, 100);
	fair_add(&q, &members[1].fair, 100);
	simulate(100 * SLICE, 0);
	assert_share(&members[0], 0.5, 0.03);
	assert_share(&members[1], 0.5, 0.03);
}

#define S(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		S(test_nobody),
		S(test_equal_weights_are_equal_shares),
		S(test_shares_are_as_weights),
		S(test_the_extremes_of_weights),
		S(test_a_slice_is_kept),
		S(test_a_waker_runs_at_once),
		S(test_sleeping_saves_up_no_time),
		S(test_one_that_comes_later_has_no_claim),
		S(test_members_come_and_go),
		S(test_virtual_time_may_wrap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
