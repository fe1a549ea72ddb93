/*
 * pc_ring in core/pc.c: an interrupt on a line that anybody may ask for, which the VM's CPU raises
 * when it looks for one.
 * needs: core/pc.c core/pc_disks.c core/disk_image.c core/disk_overlay.c core/io_bus.c
 * needs: core/vm_console.c devices/debug.c devices/ide.c devices/ide_cmd.c devices/ide_data.c
 * needs: devices/ide_identify.c devices/kbc.c devices/keyboard.c devices/pic8259.c
 * needs: devices/pit8254.c devices/pit_counter.c devices/port92.c devices/printer.c devices/rtc.c
 * needs: devices/serial.c devices/testdev.c devices/vga.c lib/date.c lib/printf.c lib/ring.c
 * needs: lib/text.c tests/fake/pc_machine.c tests/fake/panic.c tests/fake/spinlock.c
 */
#include "pc_rig.h"
#include <threads.h>
#include <time.h>

#define RINGS 10000u

static struct pc *pc;

static int setup(void **state)
{
	int err = pc_setup(state);

	build();
	pc = pc_machine.vm.pc;
	pic_start();
	pc_machine.requests = 0;
	atomic_store(&pc_machine.vcpu.v.requests, 0);
	return err;
}

#define R(name) cmocka_unit_test_setup_teardown(name, setup, pc_teardown)

static void test_a_ring_is_an_interrupt_each_time(void **state)
{
	(void)state;
	for (unsigned irq = 3; irq < PC_IRQ_COUNT; irq++) {
		for (unsigned i = 0; i < 2; i++) {
			pc_ring(pc, irq);
			assert_true(atomic_exchange(&pc_machine.vcpu.v.requests, 0) & REQ_IRQ);
			expect_irq(irq);
			expect_none();
		}
	}
}

/* Whoever asks may be on any CPU: he touches no chip, and asks the vCPU once. */
static void test_nothing_is_raised_until_the_vcpu_looks(void **state)
{
	(void)state;
	pc_ring(pc, 5);
	pc_ring(pc, 5);
	pc_ring(pc, 5);
	assert_int_equal(pc_machine.requests, 1);
	assert_int_equal(pc->pic.chip[0].line, 0);
	pc_ring(pc, 10);
	assert_int_equal(pc_machine.requests, 2);
	assert_int_equal(pc->pic.chip[1].line, 0);
	expect_irq(10); /* of the cascade: before 5 */
	expect_irq(5);
	expect_none();
}

/* As any edge: one that comes while its handler runs is not lost. */
static void test_a_ring_in_the_handler_comes_after_it(void **state)
{
	(void)state;
	pc_ring(pc, 11);
	assert_int_equal(pc_take(), SLAVE + 3);
	pc_ring(pc, 11);
	expect_none();
	eoi(SLAVE + 3);
	expect_irq(11);
	expect_none();
}

static void test_a_masked_line_waits(void **state)
{
	(void)state;
	pc_out(0x21, 1, 0x20);
	pc_ring(pc, 5);
	expect_none();
	pc_out(0x21, 1, 0);
	expect_irq(5);
	expect_none();
}

static void test_a_reset_forgets_it(void **state)
{
	(void)state;
	pc_ring(pc, 5);
	pc_reset(pc);
	pic_start();
	expect_none();
	pc_ring(pc, 5);
	expect_irq(5);
}

/* Two lines, rung one right after the other, so that the second falls into the taking of the first;
 * then again when both were heard. */
static atomic_uint heard[2];
static atomic_bool ended, lost;

static int ring_both(void *unused)
{
	(void)unused;
	for (unsigned i = 1; i <= RINGS && !atomic_load(&lost); i++) {
		const time_t start = time(NULL);

		pc_ring(pc, 9);
		pc_ring(pc, 11);
		while (atomic_load(&heard[0]) + atomic_load(&heard[1]) != 2 * i) {
			if (time(NULL) - start < 5)
				continue;
			atomic_store(&lost, true);
			break;
		}
	}
	atomic_store(&ended, true);
	return 0;
}

/* The VM's CPU: looks when it is asked to. */
static void listen(void)
{
	while (!atomic_load(&ended)) {
		int vector;

		if (!(atomic_exchange(&pc_machine.vcpu.v.requests, 0) & REQ_IRQ))
			continue;
		while ((vector = pc_take()) >= 0) {
			assert_true(vector == SLAVE + 1 || vector == SLAVE + 3);
			eoi(vector);
			atomic_fetch_add(&heard[vector == SLAVE + 3], 1);
		}
	}
}

static void test_no_ring_is_lost_however_they_meet(void **state)
{
	thrd_t other;

	(void)state;
	assert_int_equal(thrd_create(&other, ring_both, NULL), thrd_success);
	listen();
	assert_int_equal(thrd_join(other, NULL), thrd_success);
	assert_false(atomic_load(&lost));
	assert_int_equal(atomic_load(&heard[0]), RINGS);
	assert_int_equal(atomic_load(&heard[1]), RINGS);
	expect_none();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		R(test_a_ring_is_an_interrupt_each_time),
		R(test_nothing_is_raised_until_the_vcpu_looks),
		R(test_a_ring_in_the_handler_comes_after_it),
		R(test_a_masked_line_waits),
		R(test_a_reset_forgets_it),
		R(test_no_ring_is_lost_however_they_meet),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
