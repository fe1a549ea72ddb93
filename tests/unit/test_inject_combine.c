/*
 * Injection policy: exceptions that come together, what they leave in CR2 and RF.
 * needs: core/inject.c tests/fake/panic.c
 * needs: tests/fake/backend.c tests/fake/backend_nested.c
 */
#include "inject_rig.h"

/* "Interrupt and Exception Classes": one letter for each vector; X is no exception. */
static const char classes[33] = "CBXBBBBBDBCCCCPBBBBBPCBBBBBBBBBB";

static bool has_error(unsigned vector)
{
	return strchr("\x08\x0a\x0b\x0c\x0d\x0e\x11\x15", (int)vector) && vector;
}

/* "Conditions for Generating a Double Fault", a row each: first, second, 2: second, D: #DF, S:
 * shutdown. */
static char expected_outcome(char first, char second)
{
	static const char rows[][4] = {"BB2", "BC2", "BP2", "BD2", "CB2", "CCD", "CP2", "CD2",
				       "PB2", "PCD", "PPD", "PD2", "DB2", "DCS", "DPS", "DDS"};

	for (unsigned i = 0; i < array_count(rows); i++)
		if (rows[i][0] == first && rows[i][1] == second)
			return rows[i][2];
	fail_msg("no row for %c %c", first, second);
	return 0;
}

static void check_combination(unsigned first, unsigned second, bool was_queued)
{
	char outcome = expected_outcome(classes[first], classes[second]);
	uint32_t error = has_error(second) ? 0x18 : 0;
	struct event e = {.kind = EVENT_EXCEPTION,
			  .vector = (uint8_t)first,
			  .has_error = has_error(first),
			  .error = has_error(first) ? 4 : 0};
	bool lives;

	setup(NULL);
	if (was_queued) {
		raise_exception(e.vector, e.has_error, e.error);
	} else {
		v.exit = (struct vcpu_exit){.kind = EXIT_EXCEPTION, .interrupted = e};
		inject_note_interrupted(&v, &q);
	}
	assert_true(event_queue_busy(&q) != 0);
	lives = inject_exception(&v, &q, b, (uint8_t)second, has_error(second), error, 0x5000);
	assert_int_equal(lives, outcome != 'S');
	turn();
	if (outcome == 'S') {
		assert_int_equal(v.virt->delivery_count, 0);
	} else {
		const struct fake_delivery *d = expect_delivered(
			1, EVENT_EXCEPTION, outcome == 'D' ? EXC_DF : (uint8_t)second);

		assert_int_equal(d->event.error, outcome == 'D' ? 0 : error);
		assert_int_equal(d->event.has_error, outcome == 'D' || has_error(second));
	}
	/* Nothing is left of the first. */
	turn();
	assert_int_equal(v.virt->delivery_count, outcome != 'S');
	assert_int_equal(event_queue_busy(&q), 0);
}

static void test_double_fault_table(void **state)
{
	(void)state;
	for (unsigned first = 0; first < 32; first++)
		for (unsigned second = 0; second < 32; second++) {
			if (classes[first] == 'X' || classes[second] == 'X')
				continue;
			check_combination(first, second, false);
			check_combination(first, second, true);
		}
}

static void test_interrupts_never_combine(void **state)
{
	(void)state;
	/* INT 13, external vector 14 and the like are benign: the fault comes, what it broke is
	 * gone. */
	for (unsigned kind = EVENT_EXTINT; kind <= EVENT_SOFT_EXCEPTION; kind++)
		for (unsigned first = 0; first < 32; first++)
			for (unsigned second = EXC_GP; second <= EXC_PF; second++) {
				if (kind == EVENT_EXCEPTION)
					continue;
				setup(NULL);
				v.exit.interrupted = (struct event){.kind = (uint8_t)kind,
								    .vector = (uint8_t)first};
				inject_note_interrupted(&v, &q);
				raise_exception((uint8_t)second, true, 0);
				turn();
				turn();
				expect_delivered(1, EVENT_EXCEPTION, (uint8_t)second);
			}
}

static void test_three_page_faults_are_shutdown(void **state)
{
	(void)state;
	raise_exception(EXC_PF, true, 0);
	raise_exception(EXC_PF, true, 0);
	assert_false(inject_exception(&v, &q, b, EXC_PF, true, 0, 0x7000));
	assert_int_equal(event_queue_busy(&q), 0);
	/* The CPU writes CR2 before it finds out. */
	assert_int_equal(b->get_reg(&v, REG_CR2), 0x7000);
}

static void test_cr2_is_the_newest_page_fault(void **state)
{
	(void)state;
	assert_true(inject_exception(&v, &q, b, EXC_PF, true, 2, 0x1234));
	assert_int_equal(b->get_reg(&v, REG_CR2), 0x1234);
	assert_true(inject_exception(&v, &q, b, EXC_PF, true, 2, 0x5678));
	assert_int_equal(b->get_reg(&v, REG_CR2), 0x5678);
	setup(NULL);
	assert_true(inject_exception(&v, &q, b, EXC_GP, true, 0, 0x9999));
	assert_int_equal(b->get_reg(&v, REG_CR2), 0);
}

static void test_faults_push_rf(void **state)
{
	(void)state;
	for (unsigned vector = 0; vector < 32; vector++) {
		bool fault = !strchr("\x01\x02\x03\x04\x08\x12", (int)vector) || vector == 0;

		if (vector == EXC_NMI)
			continue;
		setup(NULL);
		raise_exception((uint8_t)vector, has_error(vector), 0);
		turn();
		assert_int_equal(fake_delivered(&v, 0)->rflags & RF, fault ? RF : 0);
	}
}

static void test_what_was_delivered_combines_no_more(void **state)
{
	(void)state;
	/* Page fault, broken off by #UD, which is delivered: the #GP of its handler is just that.
	 */
	v.exit.interrupted =
		(struct event){.kind = EVENT_EXCEPTION, .vector = EXC_PF, .has_error = true};
	inject_note_interrupted(&v, &q);
	raise_exception(EXC_UD, false, 0);
	turn();
	raise_exception(EXC_GP, true, 0);
	turn();
	expect_delivered(2, EVENT_EXCEPTION, EXC_GP);
	/* The same after a redelivery, and after an exception that was handed over. */
	v.exit.interrupted =
		(struct event){.kind = EVENT_EXCEPTION, .vector = EXC_PF, .has_error = true};
	inject_note_interrupted(&v, &q);
	turn();
	expect_delivered(3, EVENT_EXCEPTION, EXC_PF);
	raise_exception(EXC_PF, true, 0);
	turn();
	expect_delivered(4, EVENT_EXCEPTION, EXC_PF);
	raise_exception(EXC_PF, true, 0);
	turn();
	expect_delivered(5, EVENT_EXCEPTION, EXC_PF);
}

static void test_error_code_not_given_is_zero(void **state)
{
	(void)state;
	raise_exception(EXC_UD, false, 0xdead);
	assert_int_equal(q.exception.error, 0);
	turn();
	assert_int_equal(expect_delivered(1, EVENT_EXCEPTION, EXC_UD)->event.error, 0);
}

static void test_impossible_vectors_are_bugs(void **state)
{
	(void)state;
	expect_panic(raise_exception(32, false, 0), "vector < 32");
	expect_panic(raise_exception(EXC_NMI, false, 0), "EXC_NMI");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_double_fault_table),
		T(test_interrupts_never_combine),
		T(test_three_page_faults_are_shutdown),
		T(test_cr2_is_the_newest_page_fault),
		T(test_faults_push_rf),
		T(test_what_was_delivered_combines_no_more),
		T(test_error_code_not_given_is_zero),
		T(test_impossible_vectors_are_bugs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
