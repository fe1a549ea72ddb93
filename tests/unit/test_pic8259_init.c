/*
 * The 8259A pair: power-on and the initialisation command words.
 * needs: devices/pic8259.c
 */
#include "pic_rig.h"

static int setup_ready(void **state)
{
	rig_setup(state);
	pair_init(0x01);
	return 0;
}

static void test_nothing_is_delivered_before_the_icws(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 16; i++)
		up(i);
	expect_none();
	out(0x21, 0); /* OCW1 works, but delivers nothing */
	out(0xa1, 0);
	expect_none();
	assert_int_equal(intr_count, 0);
	for (unsigned i = 0; i < 16; i++)
		assert_false(pic_irq_waits(&pic, i));
}

static void test_the_mask_can_be_read_back_before_the_icws(void **state)
{
	(void)state;
	out(0x21, 0xa5);
	out(0xa1, 0x5a);
	assert_int_equal(in(0x21), 0xa5);
	assert_int_equal(in(0xa1), 0x5a);
	assert_int_equal(in(0x20), 0);
}

static void test_nothing_is_delivered_until_the_last_icw(void **state)
{
	(void)state;
	out(0x20, 0x11);
	pulse(0);
	expect_none();
	out(0x21, 0x20);
	expect_none();
	out(0x21, 0x04);
	expect_none();
	assert_false(pic_irq_waits(&pic, 0));
	out(0x21, 0x01);
	assert_int_equal(intr_count, 1);
	assert_true(pic_irq_waits(&pic, 0));
	expect_ack(0x20, 0);
}

static void test_a_slave_without_icws_is_silent(void **state)
{
	(void)state;
	chip_init(0x20, 0x11, 0x20, 0x04, 0x01);
	pulse(8);
	expect_none();
	assert_false(pic_irq_waits(&pic, 8));
	chip_init(0xa0, 0x11, 0x28, 0x02, 0x01);
	expect_none(); /* ICW1 forgot the edge */
	pulse(8);
	expect_ack(0x28, 8);
}

static void test_icw1_in_mid_sequence_starts_again(void **state)
{
	(void)state;
	out(0x20, 0x11);
	out(0x21, 0x40);
	out(0x20, 0x11);
	out(0x21, 0x60);
	out(0x21, 0x04);
	out(0x21, 0x01);
	out(0x21, 0xfe); /* the sequence is over: this is OCW1 */
	assert_int_equal(in(0x21), 0xfe);
	pulse(0);
	expect_ack(0x60, 0);
}

static void test_single_mode_has_no_icw3(void **state)
{
	(void)state;
	out(0x20, 0x13);
	out(0x21, 0x48);
	out(0x21, 0x01);
	out(0x21, 0xf0);
	assert_int_equal(in(0x21), 0xf0);
	pulse(3);
	expect_ack(0x4b, 3);
}

static void test_single_mode_takes_ir2_for_its_own(void **state)
{
	(void)state;
	chip_init(0xa0, 0x11, 0x28, 0x02, 0x01);
	out(0x20, 0x13);
	out(0x21, 0x48);
	out(0x21, 0x01);
	pulse(9);
	expect_ack(0x4a, -1); /* no line 2 exists */
	assert_int_equal(read_isr(0xa0), 0);
}

static void test_without_icw4_the_sequence_ends_with_icw3(void **state)
{
	(void)state;
	pair_init(0x13); /* AEOI, SFNM: all to be forgotten */
	out(0x20, 0x10);
	out(0x21, 0x20);
	out(0x21, 0x04);
	out(0x21, 0x7f); /* OCW1 */
	assert_int_equal(in(0x21), 0x7f);
	pulse(7);
	out(0x21, 0x00);
	assert_int_equal(read_isr(0x20), 0);
	expect_ack(0x38, 7); /* the second byte of a CALL: vectors 8 apart */
	assert_int_equal(read_isr(0x20), 0x80);
}

static void test_mcs80_vectors_are_low_address_bytes(void **state)
{
	static const struct {
		uint8_t icw1;
		int first, step;
	} cases[] = {{0x11, 0x00, 8}, {0xf1, 0xc0, 8}, {0xf5, 0xe0, 4}, {0x35, 0x20, 4}};

	(void)state;
	for (unsigned i = 0; i < array_count(cases); i++) {
		chip_init(0x20, cases[i].icw1, 0xff, 0x00, 0x00);
		for (unsigned irq = 0; irq < 8; irq++) {
			if (irq == 2)
				continue;
			pulse(irq);
			expect_ack(cases[i].first + (int)irq * cases[i].step, (int)irq);
			out(0x20, 0x20);
		}
	}
}

static void test_icw1_forgets_mask_service_edges_and_choices(void **state)
{
	(void)state;
	pulse(3);
	expect_ack(0x23, 3);
	pulse(1);
	out(0x21, 0x0f);
	out(0x20, 0xc4); /* IR4 lowest */
	out(0x20, 0x68); /* special mask */
	out(0x20, 0x0b); /* reads ISR */
	assert_int_equal(in(0x20), 0x08);
	out(0x20, 0x11);
	assert_int_equal(in(0x20), 0); /* IRR, without the edge */
	assert_int_equal(in(0x21), 0);
	out(0x21, 0x20);
	out(0x21, 0x04);
	out(0x21, 0x01);
	assert_int_equal(read_isr(0x20), 0);
	expect_none();
	pulse(7);
	pulse(0);
	expect_ack(0x20, 0); /* the order of priorities, too */
	expect_none();
	out(0x21, 0x01); /* special mask mode is over: a masked level holds the others back */
	expect_none();
	out(0x20, 0x20);
	expect_ack(0x27, 7);
}

static void test_the_icw2_low_bits_do_not_matter(void **state)
{
	(void)state;
	chip_init(0x20, 0x11, 0x77, 0x04, 0x01);
	pulse(6);
	expect_ack(0x76, 6);
}

static void test_reset_is_power_on(void **state)
{
	(void)state;
	out(0x4d0, 0xf8);
	out(0x21, 0x12);
	up(5);
	up(9);
	pic.dev.reset(&pic.dev);
	expect_none();
	assert_int_equal(in(0x21), 0);
	assert_int_equal(in(0x4d0), 0);
	intr_count = 0;
	pair_init(0x01);
	expect_none(); /* the lines are up still: no edge */
	up(5);
	assert_int_equal(intr_count, 0);
	pulse(5);
	expect_ack(0x25, 5);
}

static void test_a_slave_never_set_up_does_not_answer(void **state)
{
	(void)state;
	chip_init(0x20, 0x11, 0x20, 0x01, 0x01); /* a slave on IR0? its number would fit */
	pulse(0);
	expect_ack(0xff, 0);
}

static void test_a_master_without_icws_holds_the_slave_back(void **state)
{
	(void)state;
	chip_init(0xa0, 0x11, 0x28, 0x02, 0x01);
	pulse(8);
	expect_none();
	assert_false(pic_irq_waits(&pic, 8));
	chip_init(0x20, 0x11, 0x20, 0x04, 0x01);
	expect_none(); /* ICW1 forgot the edge on IR2 */
	pulse(8);
	expect_ack(0x28, 8);
}

static void test_nothing_is_delivered_while_the_icws_come_again(void **state)
{
	static const unsigned port[2] = {0x20, 0xa0};

	(void)state;
	for (unsigned n = 0; n < 2; n++) {
		pair_init(0x01);
		out(port[n], 0x11);
		pulse(n * 8);
		expect_none();
		assert_false(pic_irq_waits(&pic, n * 8));
		out(port[n] + 1, 0x20 + n * 8);
		out(port[n] + 1, n ? 2 : 4);
		expect_none();
		out(port[n] + 1, 0x01);
		expect_ack(0x20 + (int)n * 8, (int)n * 8);
	}
}

static void test_icw1_ends_poll_the_read_of_isr_and_rotation(void **state)
{
	(void)state;
	pair_init(0x03);
	out(0x20, 0x80);
	out(0x20, 0x0f); /* poll, ISR */
	up(3);
	chip_init(0x20, 0x19, 0x20, 0x04, 0x03);
	assert_int_equal(in(0x20), 0x08); /* IRR: no poll, not ISR */
	assert_int_equal(pic_peek(&pic), 0x23);
	down(3);
	chip_init(0x20, 0x11, 0x20, 0x04, 0x03);
	pulse(3);
	expect_ack(0x23, 3);
	pulse(3);
	pulse(4);
	expect_ack(0x23, 3); /* no rotation */
}

static void test_reset_lowers_what_the_slave_drives(void **state)
{
	(void)state;
	pair_init(0x01);
	up(9);
	assert_int_equal(pic.chip[0].line, 0x04);
	pic.dev.reset(&pic.dev);
	assert_int_equal(pic.chip[0].line, 0);
	assert_int_equal(pic.chip[1].line, 0x02); /* is another device's */
}

#define r(name) cmocka_unit_test_setup(name, rig_setup)
#define t(name) cmocka_unit_test_setup(name, setup_ready)

int main(void)
{
	const struct CMUnitTest tests[] = {
		r(test_nothing_is_delivered_before_the_icws),
		r(test_the_mask_can_be_read_back_before_the_icws),
		r(test_nothing_is_delivered_until_the_last_icw),
		r(test_a_slave_without_icws_is_silent),
		r(test_icw1_in_mid_sequence_starts_again),
		r(test_single_mode_has_no_icw3),
		r(test_single_mode_takes_ir2_for_its_own),
		r(test_without_icw4_the_sequence_ends_with_icw3),
		r(test_mcs80_vectors_are_low_address_bytes),
		t(test_icw1_forgets_mask_service_edges_and_choices),
		r(test_the_icw2_low_bits_do_not_matter),
		t(test_reset_is_power_on),
		r(test_a_slave_never_set_up_does_not_answer),
		r(test_a_master_without_icws_holds_the_slave_back),
		r(test_nothing_is_delivered_while_the_icws_come_again),
		r(test_icw1_ends_poll_the_read_of_isr_and_rotation),
		r(test_reset_lowers_what_the_slave_drives),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
