/*
 * The 8259A pair: requests, priorities, cascade, spurious interrupts.
 * needs: devices/pic8259.c
 */
#include "pic_rig.h"

static int setup_ready(void **state)
{
	rig_setup(state);
	pair_init(0x01);
	return 0;
}

/* --- Requests ----------------------------------------------------------------------------- */

static void test_each_input_has_its_vector(void **state)
{
	(void)state;
	for (int irq = 0; irq < 16; irq++) {
		if (irq == 2)
			continue;
		up((unsigned)irq);
		assert_true(pic_irq_waits(&pic, (unsigned)irq));
		expect_ack(irq < 8 ? 0x20 + irq : 0x20 + irq, irq);
		assert_false(pic_irq_waits(&pic, (unsigned)irq));
		assert_int_equal(read_isr(0x20), irq < 8 ? 1u << irq : 0x04);
		assert_int_equal(read_isr(0xa0), irq < 8 ? 0 : 1u << (irq - 8));
		if (irq >= 8)
			out(0xa0, 0x20);
		out(0x20, 0x20);
		assert_int_equal(read_isr(0x20) | read_isr(0xa0), 0);
		down((unsigned)irq);
	}
	assert_int_equal(intr_count, 15);
}

static void test_an_edge_is_taken_once(void **state)
{
	(void)state;
	up(4);
	expect_ack(0x24, 4);
	out(0x20, 0x20);
	expect_none(); /* though the line is up */
	up(4);
	expect_none();
	down(4);
	expect_none();
	up(4);
	expect_ack(0x24, 4);
}

static void test_an_edge_during_service_waits_for_the_eoi(void **state)
{
	(void)state;
	up(4);
	expect_ack(0x24, 4);
	pulse(4);
	assert_int_equal(read_irr(0x20), 0x10);
	assert_true(pic_irq_waits(&pic, 4));
	expect_none();
	intr_count = 0;
	out(0x20, 0x20);
	assert_int_equal(intr_count, 1);
	expect_ack(0x24, 4);
}

static void test_a_request_ends_with_its_line(void **state)
{
	(void)state;
	up(4);
	assert_int_equal(read_irr(0x20), 0x10);
	down(4);
	assert_int_equal(read_irr(0x20), 0);
	assert_false(pic_irq_waits(&pic, 4));
	expect_none();
	up(12);
	assert_int_equal(read_irr(0x20), 0x04);
	assert_int_equal(read_irr(0xa0), 0x10);
	down(12);
	assert_int_equal(read_irr(0x20), 0);
	expect_none();
}

static void test_a_level_asks_again_after_its_eoi(void **state)
{
	(void)state;
	out(0x4d0, 0x20);
	up(5);
	expect_ack(0x25, 5);
	assert_int_equal(read_irr(0x20), 0x20); /* still up */
	expect_none();
	out(0x20, 0x20);
	expect_ack(0x25, 5);
	down(5);
	out(0x20, 0x20);
	expect_none();
}

static void test_a_level_on_the_slave_asks_again(void **state)
{
	(void)state;
	out(0x4d1, 0x08);
	up(11);
	for (unsigned i = 0; i < 3; i++) {
		expect_ack(0x2b, 11);
		expect_none();
		out(0xa0, 0x20);
		expect_none(); /* the master's IR2 is in service yet */
		out(0x20, 0x20);
	}
	down(11);
	expect_none();
}

static void test_elcr_has_fixed_bits(void **state)
{
	(void)state;
	assert_int_equal(in(0x4d0) | in(0x4d1), 0);
	out(0x4d0, 0xff);
	out(0x4d1, 0xff);
	assert_int_equal(in(0x4d0), 0xf8);
	assert_int_equal(in(0x4d1), 0xde);
	up(1);
	expect_ack(0x21, 1);
	out(0x20, 0x20);
	expect_none(); /* an edge as ever */
	pair_init(0x01);
	assert_int_equal(in(0x4d0), 0xf8); /* no ICW touches it */
}

static void test_ltim_makes_all_inputs_levels(void **state)
{
	(void)state;
	chip_init(0x20, 0x19, 0x20, 0x04, 0x01);
	up(0);
	expect_ack(0x20, 0);
	out(0x20, 0x20);
	expect_ack(0x20, 0);
	out(0x4d0, 0); /* has no say */
	out(0x20, 0x20);
	expect_ack(0x20, 0);
	down(0);
	out(0x20, 0x20);
	expect_none();
	chip_init(0x20, 0x11, 0x20, 0x04, 0x01);
	up(0);
	expect_ack(0x20, 0);
	out(0x20, 0x20);
	expect_none();
}

static void test_a_level_that_is_up_at_icw1_asks_at_once(void **state)
{
	(void)state;
	up(3);
	chip_init(0x20, 0x19, 0x20, 0x04, 0x01);
	expect_ack(0x23, 3);
}

static void test_masked_requests_wait(void **state)
{
	(void)state;
	out(0x21, 0x08);
	up(3);
	assert_int_equal(read_irr(0x20), 0x08);
	expect_none();
	assert_false(pic_irq_waits(&pic, 3));
	assert_int_equal(intr_count, 0);
	out(0x21, 0x00);
	assert_int_equal(intr_count, 1);
	assert_true(pic_irq_waits(&pic, 3));
	expect_ack(0x23, 3);
}

static void test_the_cascade_can_be_masked(void **state)
{
	(void)state;
	out(0x21, 0x04);
	up(14);
	expect_none();
	assert_false(pic_irq_waits(&pic, 14));
	out(0x21, 0x00);
	assert_true(pic_irq_waits(&pic, 14));
	out(0xa1, 0x40);
	expect_none();
	assert_false(pic_irq_waits(&pic, 14));
	out(0xa1, 0x00);
	expect_ack(0x2e, 14);
}

static void test_lines_that_do_not_exist_are_ignored(void **state)
{
	const struct pic_pair before = pic;

	(void)state;
	up(2);
	up(16);
	up(255);
	up(~0u);
	assert_memory_equal(&pic.chip, &before.chip, sizeof(pic.chip));
	assert_int_equal(intr_count, 0);
	assert_false(pic_irq_waits(&pic, 16));
	assert_false(pic_irq_waits(&pic, ~0u));
}

/* --- Priorities and the cascade ----------------------------------------------------------- */

static void test_the_highest_is_first_the_slave_between_1_and_3(void **state)
{
	static const int order[] = {0, 1, 8, 9, 10, 11, 12, 13, 14, 15, 3, 4, 5, 6, 7};

	(void)state;
	for (int irq = 15; irq >= 0; irq--)
		up((unsigned)irq);
	for (unsigned i = 0; i < array_count(order); i++) {
		expect_ack(0x20 + order[i], order[i]);
		expect_none();
		if (order[i] >= 8)
			out(0xa0, 0x20);
		out(0x20, 0x20);
	}
	expect_none();
}

static void test_a_higher_request_interrupts_service(void **state)
{
	(void)state;
	up(6);
	expect_ack(0x26, 6);
	up(7);
	expect_none();
	up(5);
	expect_ack(0x25, 5);
	up(1);
	expect_ack(0x21, 1);
	assert_int_equal(read_isr(0x20), 0x62);
	out(0x20, 0x20); /* ends the highest */
	assert_int_equal(read_isr(0x20), 0x60);
	out(0x20, 0x20);
	out(0x20, 0x20);
	expect_ack(0x27, 7);
}

static void test_a_higher_one_that_comes_before_inta_is_taken(void **state)
{
	int irq;

	(void)state;
	up(6);
	assert_int_equal(pic_peek(&pic), 0x26);
	up(1);
	assert_int_equal(pic_ack(&pic, &irq), 0x21);
	assert_int_equal(irq, 1);
}

static void test_the_slaves_next_waits_for_both_eois(void **state)
{
	(void)state;
	up(10);
	up(12);
	expect_ack(0x2a, 10);
	out(0x20, 0x20);
	expect_none(); /* the slave has IR2 of its own in service */
	assert_int_equal(read_irr(0x20), 0);
	out(0xa0, 0x20);
	assert_int_equal(read_irr(0x20), 0x04);
	expect_ack(0x2c, 12);
	assert_int_equal(read_isr(0xa0), 0x10);
}

static void test_fully_nested_locks_the_slave_out_while_it_is_served(void **state)
{
	(void)state;
	up(12);
	expect_ack(0x2c, 12);
	up(9);
	assert_int_equal(read_irr(0x20), 0x04);
	expect_none();
	out(0x20, 0x20);
	expect_ack(0x29, 9); /* higher than 12, which is in service in the slave */
}

static void test_specific_eoi_ends_one_level(void **state)
{
	(void)state;
	up(6);
	expect_ack(0x26, 6);
	up(3);
	expect_ack(0x23, 3);
	out(0x20, 0x66);
	assert_int_equal(read_isr(0x20), 0x08);
	out(0x20, 0x67); /* not in service: nothing */
	assert_int_equal(read_isr(0x20), 0x08);
	out(0x20, 0x40); /* no operation */
	out(0x20, 0x43);
	assert_int_equal(read_isr(0x20), 0x08);
	out(0x20, 0x63);
	assert_int_equal(read_isr(0x20), 0);
	out(0x20, 0x20); /* nothing in service */
	assert_int_equal(read_isr(0x20), 0);
}

static void test_a_slave_with_another_number_does_not_answer(void **state)
{
	int irq;

	(void)state;
	chip_init(0xa0, 0x11, 0x28, 0x05, 0x01);
	up(9);
	assert_int_equal(pic_peek(&pic), 0xff);
	assert_int_equal(pic_ack(&pic, &irq), 0xff);
	assert_int_equal(irq, -1);
	assert_int_equal(read_isr(0x20), 0x04);
	assert_int_equal(read_irr(0xa0), 0x02); /* waits there for ever */
}

static void test_an_input_declared_a_slave_has_no_vector(void **state)
{
	(void)state;
	chip_init(0x20, 0x11, 0x20, 0x84, 0x01);
	up(7);
	expect_ack(0xff, 7);
	out(0x20, 0x20);
	up(6);
	expect_ack(0x26, 6);
}

static void test_a_slave_that_does_not_answer_is_one_edge(void **state)
{
	(void)state;
	chip_init(0xa0, 0x11, 0x28, 0x05, 0x01);
	up(9);
	expect_ack(0xff, -1);
	out(0x20, 0x20);
	up(4);
	expect_ack(0x24, 4);
	out(0x20, 0x20);
	expect_none(); /* its INT is up still */
}

static void test_the_slaves_number_is_three_bits(void **state)
{
	(void)state;
	chip_init(0xa0, 0x11, 0x28, 0xfa, 0x01);
	up(9);
	expect_ack(0x29, 9);
}

static void test_a_slave_in_single_mode_has_number_7(void **state)
{
	(void)state;
	out(0xa0, 0x13);
	out(0xa1, 0x28);
	out(0xa1, 0x01);
	up(9);
	expect_ack(0xff, -1);
}

static void test_an_open_input_waits_whatever_the_cascade_is(void **state)
{
	(void)state;
	out(0x21, 0x04);
	up(3);
	assert_true(pic_irq_waits(&pic, 3));
}

/* --- Reads -------------------------------------------------------------------------------- */

static void test_ocw3_chooses_what_reads_give_until_the_next(void **state)
{
	(void)state;
	up(6);
	expect_ack(0x26, 6);
	pulse(7);
	assert_int_equal(in(0x20), 0x80); /* IRR after the ICWs */
	out(0x20, 0x0b);
	assert_int_equal(in(0x20), 0x40);
	out(0x20, 0x08); /* RR = 0: as before */
	assert_int_equal(in(0x20), 0x40);
	out(0x20, 0x09);
	assert_int_equal(in(0x20), 0x40);
	out(0x20, 0x20); /* nor do other words change it */
	assert_int_equal(in(0x20), 0);
	out(0x20, 0x0a);
	assert_int_equal(in(0x20), 0x80);
	out(0x20, 0x48); /* ESMM */
	assert_int_equal(in(0x20), 0x80);
	out(0x21, 0x33);
	assert_int_equal(in(0x21), 0x33); /* A0 = 1 is the mask always */
	assert_int_equal(in(0xa1), 0);
}

static void test_the_three_regions(void **state)
{
	static const uint64_t base[PIC_REGION_COUNT] = {0x20, 0xa0, 0x4d0};

	(void)state;
	for (unsigned i = 0; i < PIC_REGION_COUNT; i++) {
		struct io_region r = pic_region(&pic, i);

		assert_int_equal(r.base, base[i]);
		assert_int_equal(r.len, 2);
		assert_int_equal(r.ops->sizes, 1);
		assert_ptr_equal(r.dev, &pic.dev);
	}
	assert_int_equal(pic.dev.lock.rank, RANK_IRQCHIP);
}

/* --- Spurious interrupts -------------------------------------------------------------------- */

static void test_a_line_that_falls_between_intr_and_inta(void **state)
{
	int irq = 0;

	(void)state;
	up(3);
	assert_int_equal(pic_peek(&pic), 0x23);
	down(3);
	assert_int_equal(pic_ack(&pic, &irq), 0x27);
	assert_int_equal(irq, -1);
	assert_int_equal(read_isr(0x20), 0);	   /* this is how handlers know */
	assert_int_equal(pic_ack(&pic, &irq), -1); /* once */
	expect_none();
}

static void test_a_mask_between_intr_and_inta(void **state)
{
	int irq = 0;

	(void)state;
	up(3);
	assert_int_equal(pic_peek(&pic), 0x23);
	out(0x21, 0xff); /* IR7 too: a spurious one cannot be masked */
	assert_int_equal(pic_ack(&pic, &irq), 0x27);
	assert_int_equal(irq, -1);
	assert_int_equal(read_isr(0x20), 0);
	out(0x21, 0x00);
	expect_ack(0x23, 3);
}

static void test_the_slaves_line_falls_between_intr_and_inta(void **state)
{
	int irq = 0;

	(void)state;
	up(11);
	assert_int_equal(pic_peek(&pic), 0x2b);
	down(11);
	assert_int_equal(pic_ack(&pic, &irq), 0x2f);
	assert_int_equal(irq, -1);
	assert_int_equal(read_isr(0xa0), 0);
	assert_int_equal(read_isr(0x20), 0x04); /* needs an EOI, as a genuine one */
	up(4);
	expect_none();
	out(0x20, 0x20);
	expect_ack(0x24, 4);
}

static void test_the_slaves_spurious_one_in_auto_eoi(void **state)
{
	int irq = 0;

	(void)state;
	pair_init(0x03);
	up(11);
	assert_int_equal(pic_peek(&pic), 0x2b);
	down(11);
	assert_int_equal(pic_ack(&pic, &irq), 0x2f);
	assert_int_equal(read_isr(0x20), 0);
}

static void test_the_master_answers_for_a_slave_that_it_masks(void **state)
{
	int irq = 0;

	(void)state;
	up(11);
	assert_int_equal(pic_peek(&pic), 0x2b);
	out(0x21, 0x04);
	assert_int_equal(pic_ack(&pic, &irq), 0x27);
	assert_int_equal(read_isr(0x20), 0);
	out(0x21, 0x00);
	expect_ack(0x2b, 11);
}

static void test_what_the_cpu_never_saw_is_not_spurious(void **state)
{
	int irq = 0;

	(void)state;
	up(3);
	down(3);
	assert_int_equal(pic_ack(&pic, &irq), -1);
	up(3);
	assert_int_equal(pic_peek(&pic), 0x23);
	down(3);
	assert_int_equal(pic_peek(&pic), -1); /* it looked again */
	assert_int_equal(pic_ack(&pic, &irq), -1);
}

static void test_another_request_takes_the_place_of_one_that_fell(void **state)
{
	int irq = 0;

	(void)state;
	up(3);
	up(5);
	assert_int_equal(pic_peek(&pic), 0x23);
	down(3);
	assert_int_equal(pic_ack(&pic, &irq), 0x25);
	assert_int_equal(irq, 5);
}

static void test_no_spurious_one_from_before_icw1(void **state)
{
	int irq = 0;

	(void)state;
	up(3);
	assert_int_equal(pic_peek(&pic), 0x23);
	out(0x20, 0x11);
	assert_int_equal(pic_ack(&pic, &irq), -1);
	pair_init(0x01);
	assert_int_equal(pic_ack(&pic, &irq), -1);
	pulse(3);
	assert_int_equal(pic_peek(&pic), 0x23);
	pic.dev.reset(&pic.dev);
	assert_int_equal(pic_ack(&pic, &irq), -1);
}

static void test_a_slave_in_its_icws_cannot_answer(void **state)
{
	int irq = 0;

	(void)state;
	up(11);
	assert_int_equal(pic_peek(&pic), 0x2b);
	out(0xa0, 0x11);
	assert_int_equal(pic_ack(&pic, &irq), 0x27);
	assert_int_equal(read_isr(0x20), 0);
}

#define r(name) cmocka_unit_test_setup(name, rig_setup)
#define t(name) cmocka_unit_test_setup(name, setup_ready)

int main(void)
{
	const struct CMUnitTest tests[] = {
		t(test_each_input_has_its_vector),
		t(test_an_edge_is_taken_once),
		t(test_an_edge_during_service_waits_for_the_eoi),
		t(test_a_request_ends_with_its_line),
		t(test_a_level_asks_again_after_its_eoi),
		t(test_a_level_on_the_slave_asks_again),
		t(test_elcr_has_fixed_bits),
		t(test_ltim_makes_all_inputs_levels),
		r(test_a_level_that_is_up_at_icw1_asks_at_once),
		t(test_masked_requests_wait),
		t(test_the_cascade_can_be_masked),
		t(test_lines_that_do_not_exist_are_ignored),
		t(test_the_highest_is_first_the_slave_between_1_and_3),
		t(test_a_higher_request_interrupts_service),
		t(test_a_higher_one_that_comes_before_inta_is_taken),
		t(test_the_slaves_next_waits_for_both_eois),
		t(test_fully_nested_locks_the_slave_out_while_it_is_served),
		t(test_specific_eoi_ends_one_level),
		t(test_a_slave_with_another_number_does_not_answer),
		t(test_an_input_declared_a_slave_has_no_vector),
		t(test_ocw3_chooses_what_reads_give_until_the_next),
		r(test_the_three_regions),
		t(test_a_line_that_falls_between_intr_and_inta),
		t(test_a_mask_between_intr_and_inta),
		t(test_the_slaves_line_falls_between_intr_and_inta),
		t(test_the_slaves_spurious_one_in_auto_eoi),
		t(test_the_master_answers_for_a_slave_that_it_masks),
		t(test_what_the_cpu_never_saw_is_not_spurious),
		t(test_another_request_takes_the_place_of_one_that_fell),
		t(test_no_spurious_one_from_before_icw1),
		t(test_a_slave_in_its_icws_cannot_answer),
		t(test_a_slave_that_does_not_answer_is_one_edge),
		t(test_the_slaves_number_is_three_bits),
		t(test_a_slave_in_single_mode_has_number_7),
		t(test_an_open_input_waits_whatever_the_cascade_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
