/*
 * core/pc.c: what is typed to a VM, on its way to the serial port or the keyboard.
 * needs: core/pc.c core/pc_disks.c core/disk_image.c core/disk_overlay.c core/io_bus.c
 * needs: core/vm_console.c devices/debug.c devices/ide.c devices/ide_cmd.c devices/ide_data.c
 * needs: devices/ide_identify.c devices/kbc.c devices/keyboard.c devices/pic8259.c
 * needs: devices/pit8254.c devices/pit_counter.c devices/port92.c devices/printer.c devices/rtc.c
 * needs: devices/serial.c devices/testdev.c devices/vga.c lib/date.c lib/printf.c lib/ring.c
 * needs: lib/text.c tests/fake/pc_machine.c tests/fake/panic.c tests/fake/spinlock.c
 */
#include "pc_rig.h"

static void test_what_is_typed_comes_by_irq4(void **state)
{
	(void)state;
	build();
	pic_start();
	pc_out(0x3f9, 1, 1);
	type("hi");
	expect_irq(4);
	assert_int_equal(pc_in(0x3f8, 1), 'h');
	expect_none();
	pc_pass(20 * MS); /* the line is no faster */
	expect_irq(4);
	assert_int_equal(pc_in(0x3f8, 1), 'i');
	pc_pass(20 * MS);
	expect_none();
	assert_int_equal(pc_next_alarm(), DEVICE_NEVER);
}

static void test_what_is_typed_on_the_keyboard_comes_by_irq1(void **state)
{
	static const uint8_t codes[] = {0x23, 0xa3, 0x17, 0x97}; /* "hi" in set 1 */

	(void)state;
	pc_machine.vm.config.input = VM_INPUT_KEYBOARD;
	build();
	pic_start();
	pc_out(0x3f9, 1, 1);
	type("hi");
	for (unsigned i = 0; i < array_count(codes); i++) {
		expect_irq(1);
		assert_int_equal(pc_in(0x60, 1), codes[i]);
		expect_none();
		pc_pass(MS);
	}
	expect_none();
	assert_int_equal(pc_in(0x3fd, 1) & 1, 0); /* and not by the serial port */
	assert_int_equal(pc_next_alarm(), DEVICE_NEVER);
}

static void test_what_is_typed_during_a_reset_comes_after_it(void **state)
{
	struct pc *pc;

	(void)state;
	pc_machine.vm.config.input = VM_INPUT_KEYBOARD;
	build();
	pc = pc_machine.vm.pc;
	assert_int_equal(vm_console_type(&pc_machine.vm.console, "h", 1), 1);
	assert_int_equal(pc_in(0x64, 1) & KBC_OBF, 0);
	pc_reset(pc);
	assert_int_equal(pc_in(0x64, 1) & KBC_OBF, KBC_OBF);
	assert_int_equal(pc_in(0x60, 1), 0x23);
}

static void test_what_is_not_read_stays_in_the_console(void **state)
{
	char text[2000];

	(void)state;
	build();
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	type(text);
	for (unsigned i = 0; i < 1000; i++) {
		pc_pass(MS);
		pc_input(pc_machine.vm.pc);
	}
	assert_int_equal(ring_used(&pc_machine.vm.console.in), sizeof(text) - 2);
	assert_int_equal(pc_next_alarm(), DEVICE_NEVER);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_what_is_typed_comes_by_irq4),
		T(test_what_is_typed_on_the_keyboard_comes_by_irq1),
		T(test_what_is_typed_during_a_reset_comes_after_it),
		T(test_what_is_not_read_stays_in_the_console),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
