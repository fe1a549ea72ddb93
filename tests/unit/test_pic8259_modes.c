/*
 * The 8259A pair's modes: automatic EOI, rotation, special mask, special fully nested, poll; and
 * whom it tells of interrupts.
 * needs: devices/pic8259.c
 */
#include "pic_rig.h"

static int setup_ready(void **state)
{
	rig_setup(state);
	pair_init(0x01);
	return 0;
}

/* Highest first: the order in which the master's inputs (without IR2) are served now. */
static void expect_order(const char *order)
{
	for (unsigned irq = 0; irq < 8; irq++)
		if (irq != 2)
			pulse(irq);
	for (; *order; order++)
		expect_ack(0x20 + *order - '0', *order - '0');
	expect_none();
}

/* --- Automatic EOI -------------------------------------------------------------------------- */

static void test_auto_eoi_leaves_nothing_in_service(void **state)
{
	(void)state;
	pair_init(0x03);
	up(6);
	up(12);
	expect_ack(0x2c, 12);
	assert_int_equal(read_isr(0x20) | read_isr(0xa0), 0);
	expect_ack(0x26, 6);
	expect_none();
	pulse(12);
	expect_ack(0x2c, 12);
}

static void test_auto_eoi_tells_of_the_next_at_once(void **state)
{
	(void)state;
	pair_init(0x03);
	up(3);
	up(4);
	up(9);
	up(10);
	assert_int_equal(intr_count, 1);
	expect_ack(0x29, 9);
	assert_int_equal(intr_count, 2);
	expect_ack(0x2a, 10); /* a new edge on IR2 */
	assert_int_equal(intr_count, 3);
	expect_ack(0x23, 3);
	expect_ack(0x24, 4);
	assert_int_equal(intr_count, 4);
	expect_none();
}

static void test_auto_eoi_of_a_level_comes_again_while_it_is_up(void **state)
{
	(void)state;
	pair_init(0x03);
	out(0x4d0, 0x08);
	up(3);
	for (unsigned i = 0; i < 5; i++)
		expect_ack(0x23, 3);
	down(3);
	expect_none();
}

/* As the uCore labs set it up: auto-EOI on both, special mask mode, IRR read. */
static void test_a_kernel_that_never_sends_eoi(void **state)
{
	(void)state;
	pair_init(0x03);
	out(0x20, 0x68);
	out(0x20, 0x0a);
	out(0xa0, 0x68);
	out(0xa0, 0x0a);
	out(0x21, 0xea); /* 0, 2 and 4 open */
	out(0xa1, 0xff);
	for (unsigned i = 0; i < 100; i++) {
		pulse(0);
		expect_ack(0x20, 0);
	}
	pulse(14);
	expect_none();
	pulse(4);
	expect_ack(0x24, 4);
}

/* --- Rotation ------------------------------------------------------------------------------- */

static void test_set_priority_names_the_lowest(void **state)
{
	(void)state;
	chip_init(0x20, 0x11, 0x20, 0x04, 0x03);
	expect_order("0134567");
	out(0x20, 0xc4);
	expect_order("5670134");
	out(0x20, 0xc0);
	expect_order("1345670");
	out(0x20, 0xc7);
	expect_order("0134567");
}

static void test_rotation_also_orders_what_is_in_service(void **state)
{
	(void)state;
	out(0x20, 0xc4);
	up(6);
	expect_ack(0x26, 6);
	up(0);
	expect_none(); /* lower than 6 now */
	up(5);
	expect_ack(0x25, 5);
	out(0x20, 0x20); /* the highest in service is 5 */
	assert_int_equal(read_isr(0x20), 0x40);
	out(0x20, 0x20);
	expect_ack(0x20, 0);
}

static void test_rotate_on_non_specific_eoi(void **state)
{
	(void)state;
	up(4);
	expect_ack(0x24, 4);
	up(6);
	out(0x20, 0xa0); /* 4 becomes the lowest */
	assert_int_equal(read_isr(0x20), 0);
	pulse(4);
	pulse(3);
	expect_ack(0x26, 6);
	expect_none();
	out(0x20, 0x20);
	expect_ack(0x23, 3);
	out(0x20, 0x20);
	expect_ack(0x24, 4);
}

static void test_rotate_on_eoi_with_nothing_in_service_changes_nothing(void **state)
{
	(void)state;
	chip_init(0x20, 0x11, 0x20, 0x04, 0x03);
	out(0x20, 0xa3);
	expect_order("0134567");
}

static void test_rotate_on_specific_eoi(void **state)
{
	(void)state;
	up(5);
	expect_ack(0x25, 5);
	up(1);
	expect_ack(0x21, 1);
	out(0x20, 0xe5); /* 5 ends, and is lowest; 1 goes on */
	assert_int_equal(read_isr(0x20), 0x02);
	pulse(6); /* is the highest now */
	expect_ack(0x26, 6);
}

static void test_rotate_in_auto_eoi_mode(void **state)
{
	(void)state;
	chip_init(0x20, 0x11, 0x20, 0x04, 0x03);
	out(0x20, 0x80);
	pulse(3);
	expect_ack(0x23, 3);
	pulse(3);
	pulse(4);
	expect_ack(0x24, 4); /* 3 was the lowest */
	expect_ack(0x23, 3);
	pulse(4);
	expect_ack(0x24, 4);
	out(0x20, 0x00);
	pulse(6);
	expect_ack(0x26, 6);
	expect_order("5670134"); /* 4 was the lowest when rotation ended, and stays so */
	expect_order("5670134");
}

static void test_rotation_in_auto_eoi_mode_needs_that_mode(void **state)
{
	(void)state;
	out(0x20, 0x80);
	up(3);
	expect_ack(0x23, 3);
	out(0x20, 0x20);
	pulse(3);
	pulse(4);
	expect_ack(0x23, 3);
}

static void test_each_chip_rotates_by_itself(void **state)
{
	(void)state;
	out(0xa0, 0xc1); /* IRQ 9 lowest */
	up(9);
	up(10);
	up(1);
	expect_ack(0x21, 1);
	out(0x20, 0x20);
	expect_ack(0x2a, 10);
}

static void test_every_rotation_and_set(void **state)
{
	(void)state;
	for (unsigned lowest = 0; lowest < 8; lowest++) {
		for (unsigned set = 1; set < 256; set++) {
			unsigned first = (lowest + 1) % 8;

			chip_init(0xa0, 0x11, 0x28, 0x02, 0x03);
			chip_init(0x20, 0x11, 0x20, 0x04, 0x03);
			out(0xa0, 0xc0 | lowest);
			for (unsigned i = 0; i < 8; i++) {
				down(8 + i);
				if (set & 1u << i)
					up(8 + i);
			}
			while (!(set & 1u << first))
				first = (first + 1) % 8;
			assert_int_equal(pic_peek(&pic), 0x28 + first);
		}
	}
}

/* --- Special mask --------------------------------------------------------------------------- */

static void test_special_mask_lets_lower_levels_through(void **state)
{
	(void)state;
	up(3);
	expect_ack(0x23, 3);
	up(5);
	out(0x21, 0x08);
	expect_none();
	intr_count = 0;
	out(0x20, 0x68);
	assert_int_equal(intr_count, 1);
	expect_ack(0x25, 5);
	assert_int_equal(read_isr(0x20), 0x28);
	pulse(3);
	expect_none(); /* the masked level itself is inhibited */
	up(4);
	expect_ack(0x24, 4);
	out(0x20, 0x48); /* off again: 3 in service holds back */
	pulse(0);
	expect_ack(0x20, 0);
	out(0x20, 0x20);
	pulse(4);
	out(0x20, 0x64);
	expect_none();
}

static void test_special_mask_without_esmm_is_ignored(void **state)
{
	(void)state;
	up(3);
	expect_ack(0x23, 3);
	up(5);
	out(0x21, 0x08);
	out(0x20, 0x28);
	expect_none();
	out(0x20, 0x68);
	out(0x20, 0x08);
	expect_ack(0x25, 5);
}

static void test_special_mask_keeps_masked_levels_from_a_non_specific_eoi(void **state)
{
	(void)state;
	up(3);
	expect_ack(0x23, 3);
	out(0x21, 0x08);
	out(0x20, 0x68);
	up(5);
	expect_ack(0x25, 5);
	out(0x20, 0x20);
	assert_int_equal(read_isr(0x20), 0x08);
	out(0x20, 0x20);
	assert_int_equal(read_isr(0x20), 0x08);
	out(0x20, 0x63);
	assert_int_equal(read_isr(0x20), 0);
}

static void test_special_mask_nests_levels_that_are_open(void **state)
{
	(void)state;
	out(0x20, 0x68);
	up(3);
	expect_ack(0x23, 3);
	up(5);
	expect_none();
	up(1);
	expect_ack(0x21, 1);
}

/* --- Special fully nested -------------------------------------------------------------------- */

static void test_special_fully_nested_hears_the_slave_in_service(void **state)
{
	(void)state;
	pair_init(0x01);
	chip_init(0x20, 0x11, 0x20, 0x04, 0x11);
	up(12);
	expect_ack(0x2c, 12);
	up(13);
	expect_none(); /* the slave nests */
	up(9);
	expect_ack(0x29, 9);
	assert_int_equal(read_isr(0xa0), 0x12);
	assert_int_equal(read_isr(0x20), 0x04);
	up(3);
	expect_none(); /* the slave only: lower inputs of the master wait */
	out(0xa0, 0x20);
	expect_none();
	out(0xa0, 0x20);
	expect_ack(0x2d, 13);
}

static void test_special_fully_nested_is_for_inputs_with_a_slave(void **state)
{
	(void)state;
	pair_init(0x11);
	pulse(5);
	expect_ack(0x25, 5);
	pulse(5);
	expect_none();
	pulse(9);
	expect_ack(0x29, 9);
	pulse(9);
	expect_none(); /* in the slave, SFNM means nothing */
}

static void test_special_fully_nested_keeps_higher_levels_above_the_slave(void **state)
{
	(void)state;
	chip_init(0x20, 0x11, 0x20, 0x04, 0x11);
	up(1);
	expect_ack(0x21, 1);
	up(9);
	expect_none();
	out(0x20, 0x20);
	expect_ack(0x29, 9);
}

/* --- Poll ------------------------------------------------------------------------------------ */

static void test_poll_is_an_acknowledge(void **state)
{
	(void)state;
	up(5);
	out(0x20, 0x0c);
	assert_int_equal(in(0x20), 0x85);
	assert_int_equal(in(0x20), 0x00); /* IRR again */
	assert_int_equal(read_isr(0x20), 0x20);
	expect_none();
	out(0x20, 0x20);
	expect_none();
}

static void test_poll_with_nothing_waiting(void **state)
{
	(void)state;
	out(0x20, 0x0c);
	assert_int_equal(in(0x20) & 0x80, 0);
	assert_int_equal(read_isr(0x20), 0);
	out(0x21, 0x08);
	up(3);
	out(0x20, 0x0c);
	assert_int_equal(in(0x20) & 0x80, 0); /* masked */
	assert_int_equal(read_irr(0x20), 0x08);
}

static void test_poll_comes_before_a_register_read_and_from_either_port(void **state)
{
	(void)state;
	out(0x21, 0x00);
	up(1);
	out(0x20, 0x0f); /* P with RR and RIS */
	assert_int_equal(in(0x21), 0x81);
	assert_int_equal(in(0x20), 0x02); /* ISR, as RIS said */
	assert_int_equal(in(0x21), 0x00);
}

static void test_a_word_without_p_ends_poll(void **state)
{
	(void)state;
	up(1);
	out(0x20, 0x0c);
	out(0x20, 0x0a);
	assert_int_equal(in(0x20), 0x02);
	expect_ack(0x21, 1);
}

static void test_poll_finds_the_slave_then_the_slave_is_polled(void **state)
{
	(void)state;
	up(11);
	up(12);
	intr_count = 0;
	out(0x20, 0x0c);
	assert_int_equal(in(0x20), 0x82);
	assert_int_equal(read_isr(0xa0), 0);
	out(0xa0, 0x0c);
	assert_int_equal(in(0xa0), 0x83);
	assert_int_equal(read_isr(0xa0), 0x08);
	assert_int_equal(read_isr(0x20), 0x04);
	out(0xa0, 0x20);
	expect_none();
	assert_int_equal(intr_count, 0);
	out(0x20, 0x20);
	assert_int_equal(intr_count, 1);
	expect_ack(0x2c, 12);
}

static void test_polling_the_slave_takes_its_request_from_the_master(void **state)
{
	(void)state;
	up(11);
	out(0xa0, 0x0c);
	assert_int_equal(in(0xa0), 0x83);
	assert_int_equal(read_irr(0x20), 0);
	expect_none();
}

static void test_poll_in_auto_eoi_mode_rotates(void **state)
{
	(void)state;
	chip_init(0x20, 0x11, 0x20, 0x04, 0x03);
	out(0x20, 0x80);
	up(3);
	up(4);
	out(0x20, 0x0c);
	assert_int_equal(in(0x20), 0x83);
	assert_int_equal(intr_count, 2); /* 4 waits */
	pulse(3);
	expect_ack(0x24, 4);
	expect_ack(0x23, 3);
}

static void test_polling_a_slave_in_auto_eoi_mode_shows_the_master_its_next(void **state)
{
	(void)state;
	chip_init(0xa0, 0x11, 0x28, 0x02, 0x03);
	up(11);
	up(12);
	out(0x20, 0x0c);
	assert_int_equal(in(0x20), 0x82);
	out(0x20, 0x20);
	expect_none();
	out(0xa0, 0x0c);
	assert_int_equal(in(0xa0), 0x83);
	expect_ack(0x2c, 12);
}

static void test_line_2_is_no_input_even_while_the_slave_drives_it(void **state)
{
	(void)state;
	up(9);
	out(0x20, 0x0c);
	assert_int_equal(in(0x20), 0x82);
	out(0x20, 0x20);
	down(2);
	up(2);
	expect_none(); /* the slave's INT has not moved */
}

/* --- Who is told ------------------------------------------------------------------------------ */

static void test_intr_when_int_rises_and_not_while_it_is_up(void **state)
{
	(void)state;
	up(6);
	assert_int_equal(intr_count, 1);
	up(1);
	up(10);
	pulse(6);
	out(0x21, 0x00);
	out(0x20, 0x0b);
	assert_int_equal(in(0x20), 0);
	assert_int_equal(intr_count, 1);
	down(6);
	down(1);
	down(10);
	expect_none();
	up(6);
	assert_int_equal(intr_count, 2);
}

static void test_intr_after_an_acknowledge_only_if_more_can_come(void **state)
{
	(void)state;
	up(6);
	up(7);
	expect_ack(0x26, 6);
	assert_int_equal(intr_count, 1);
	out(0x20, 0x20);
	assert_int_equal(intr_count, 2);
	expect_ack(0x27, 7);
	out(0x20, 0x20);
	assert_int_equal(intr_count, 2);
}

static void test_intr_by_mask_priority_level_and_slave(void **state)
{
	(void)state;
	out(0x21, 0x40);
	up(6);
	assert_int_equal(intr_count, 0);
	out(0x21, 0x00);
	assert_int_equal(intr_count, 1);
	expect_ack(0x26, 6);
	up(7);
	assert_int_equal(intr_count, 1);
	out(0x20, 0xc6); /* 7 is the highest now */
	assert_int_equal(intr_count, 2);
	expect_ack(0x27, 7);
	out(0x4d0, 0x80); /* the line is up still, but 7 is in service */
	assert_int_equal(intr_count, 2);
	out(0x20, 0x67);
	assert_int_equal(intr_count, 3);
	out(0x4d0, 0x00);
	expect_none();
	out(0x4d0, 0x80);
	assert_int_equal(intr_count, 4);
}

static void test_without_a_listener(void **state)
{
	static const struct pic_ops none = {NULL, NULL};

	(void)state;
	pic_init(&pic, &none);
	pair_init(0x01);
	up(3);
	expect_ack(0x23, 3);
}

#define t(name) cmocka_unit_test_setup(name, setup_ready)

int main(void)
{
	const struct CMUnitTest tests[] = {
		t(test_auto_eoi_leaves_nothing_in_service),
		t(test_auto_eoi_tells_of_the_next_at_once),
		t(test_auto_eoi_of_a_level_comes_again_while_it_is_up),
		t(test_a_kernel_that_never_sends_eoi),
		t(test_set_priority_names_the_lowest),
		t(test_rotation_also_orders_what_is_in_service),
		t(test_rotate_on_non_specific_eoi),
		t(test_rotate_on_eoi_with_nothing_in_service_changes_nothing),
		t(test_rotate_on_specific_eoi),
		t(test_rotate_in_auto_eoi_mode),
		t(test_rotation_in_auto_eoi_mode_needs_that_mode),
		t(test_each_chip_rotates_by_itself),
		t(test_every_rotation_and_set),
		t(test_special_mask_lets_lower_levels_through),
		t(test_special_mask_without_esmm_is_ignored),
		t(test_special_mask_keeps_masked_levels_from_a_non_specific_eoi),
		t(test_special_mask_nests_levels_that_are_open),
		t(test_special_fully_nested_hears_the_slave_in_service),
		t(test_special_fully_nested_is_for_inputs_with_a_slave),
		t(test_poll_is_an_acknowledge),
		t(test_poll_with_nothing_waiting),
		t(test_poll_comes_before_a_register_read_and_from_either_port),
		t(test_a_word_without_p_ends_poll),
		t(test_poll_finds_the_slave_then_the_slave_is_polled),
		t(test_polling_the_slave_takes_its_request_from_the_master),
		t(test_poll_in_auto_eoi_mode_rotates),
		t(test_intr_when_int_rises_and_not_while_it_is_up),
		t(test_intr_after_an_acknowledge_only_if_more_can_come),
		t(test_intr_by_mask_priority_level_and_slave),
		t(test_without_a_listener),
		t(test_special_fully_nested_keeps_higher_levels_above_the_slave),
		t(test_polling_a_slave_in_auto_eoi_mode_shows_the_master_its_next),
		t(test_line_2_is_no_input_even_while_the_slave_drives_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
