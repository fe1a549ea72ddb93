/*
 * core/pc.c: the wires between the devices of a PC, its time, its reset. What each device does by
 * itself is tested elsewhere.
 * needs: core/pc.c core/pc_disks.c core/disk_image.c core/disk_overlay.c core/io_bus.c
 * needs: core/vm_console.c devices/debug.c devices/ide.c devices/ide_cmd.c devices/ide_data.c
 * needs: devices/ide_identify.c devices/kbc.c devices/keyboard.c devices/pic8259.c
 * needs: devices/pit8254.c devices/pit_counter.c devices/port92.c devices/printer.c devices/rtc.c
 * needs: devices/serial.c devices/testdev.c devices/vga.c lib/date.c lib/printf.c lib/ring.c
 * needs: lib/text.c tests/fake/pc_machine.c tests/fake/panic.c tests/fake/spinlock.c
 */
#include <crvm/cpu.h>
#include "pc_rig.h"

/* --- Wires -------------------------------------------------------------------------------- */

static void test_a_tick_goes_from_the_pit_to_the_vcpu(void **state)
{
	(void)state;
	build();
	pic_start();
	pit_start(11932); /* 10 ms */
	pc_machine.requests = 0;
	pc_pass(9 * MS);
	expect_none();
	assert_int_equal(pc_machine.requests, 0);
	pc_pass(2 * MS);
	assert_int_equal(pc_machine.requests, 1);
	assert_true(atomic_load(&pc_machine.vcpu.v.requests) & REQ_IRQ);
	expect_irq(0);
	expect_none();
}

static void test_a_tick_owed_follows_the_one_that_was_taken(void **state)
{
	(void)state;
	pc_machine.vm.config.ticks = VM_TICKS_CATCHUP;
	build();
	pic_start();
	pit_start(11932);
	pc_pass(51 * MS);
	for (unsigned i = 0; i < 5; i++)
		expect_irq(0);
	expect_none();
}

static void test_coalesced_ticks_are_one(void **state)
{
	(void)state;
	pc_machine.vm.config.ticks = VM_TICKS_COALESCE;
	build();
	pic_start();
	pit_start(11932);
	pc_pass(51 * MS);
	expect_irq(0);
	expect_none();
}

static void test_a_tiny_period_does_not_mean_many_alarms(void **state)
{
	(void)state;
	build();
	pic_start();
	pit_start(2); /* 600 kHz */
	pc_machine.rings = 0;
	pc_pass(SEC);
	assert_in_range(pc_machine.rings, 1, 10001);
}

static void test_the_keyboard_controllers_echo_is_irq1(void **state)
{
	(void)state;
	build();
	pic_start();
	pc_out(0x64, 1, 0xd2);
	expect_none();
	pc_out(0x60, 1, 0x1e);
	expect_irq(1);
	assert_int_equal(pc_in(0x60, 1), 0x1e);
}

static void test_the_second_ports_echo_is_irq12(void **state)
{
	(void)state;
	build();
	pic_start();
	pc_out(0x64, 1, 0x60);
	pc_out(0x60, 1, 0x47); /* both interrupts on */
	pc_out(0x64, 1, 0xd3);
	pc_out(0x60, 1, 0x55);
	expect_irq(12);
}

static void print(uint16_t port, const char *text)
{
	while (*text)
		pc_out(port, 1, (uint8_t)*text++);
}

static void expect_text(const char *text)
{
	assert_int_equal(pc_machine.text_len, strlen(text));
	assert_memory_equal(pc_machine.text, text, strlen(text));
}

static void test_each_console_shows_its_port(void **state)
{
	static const char *const shown[] = {[VM_CONSOLE_SERIAL] = "serdebfw",
					    [VM_CONSOLE_DEBUG] = "debfw",
					    [VM_CONSOLE_NONE] = "debfw"};

	(void)state;
	for (unsigned kind = 0; kind < array_count(shown); kind++) {
		pc_machine_reset();
		pc_machine.vm.config.console = (enum vm_console_kind)kind;
		build();
		print(0x3f8, "ser");
		print(0xe9, "deb");
		print(0x402, "fw");
		expect_text(shown[kind]);
	}
}

static void rtc_write(uint8_t reg, uint8_t v)
{
	pc_out(0x70, 1, reg);
	pc_out(0x71, 1, v);
}

static uint8_t rtc_read(uint8_t reg)
{
	pc_out(0x70, 1, reg);
	return (uint8_t)pc_in(0x71, 1);
}

static void test_the_clock_interrupts_by_irq8(void **state)
{
	unsigned rings;

	(void)state;
	build();
	pic_start();
	rtc_write(0x0a, 0x23); /* 8192 Hz */
	rtc_write(0x0b, 0x42);
	pc_pass(MS);
	expect_irq(8);
	expect_none();
	rings = pc_machine.rings;
	pc_pass(SEC); /* nobody reads register C: no alarm is needed */
	assert_int_equal(pc_machine.rings, rings);
	expect_none();
	for (unsigned i = 0; i < 8192; i++) {
		rtc_read(0x0c);
		pc_pass(122071);
		expect_irq(8);
	}
	assert_in_range(pc_machine.rings - rings, 8192, 8193);
}

static void test_the_printers_acknowledge_is_irq7(void **state)
{
	(void)state;
	build();
	pic_start();
	pc_out(0x37a, 1, 0x1c);
	expect_none();
	pc_out(0x37a, 1, 0x1d);
	expect_irq(7);
}

/* Every line at once: each is delivered, once, the highest priority first. */
static void test_all_lines_at_once(void **state)
{
	static const unsigned order[] = {0, 1, 8, 12, 4, 7};

	(void)state;
	build();
	pic_start();
	pc_out(0x64, 1, 0x60);
	pc_out(0x60, 1, 0x47);
	pc_out(0x64, 1, 0xd2);
	pc_out(0x60, 1, 1);
	pc_out(0x3f9, 1, 2); /* transmitter empty */
	pc_out(0x37a, 1, 0x1c);
	pc_out(0x37a, 1, 0x1d);
	rtc_write(0x0b, 0x42);
	pit_start(11932);
	pc_pass(11 * MS);
	pc_out(0x64, 1, 0xd3);
	pc_out(0x60, 1, 2);
	/* The echo has displaced the byte that was there: IRQ1 was an edge, and is gone. */
	for (unsigned i = 0; i < array_count(order); i++)
		if (order[i] != 1)
			expect_irq(order[i]);
	expect_none();
}

/* --- Reset -------------------------------------------------------------------------------- */

static void test_every_way_to_reset_asks_for_it_once(void **state)
{
	(void)state;
	build();
	pc_out(0x64, 1, 0xfe);
	assert_int_equal(pc_machine.resets, 1);
	pc_out(0x64, 1, 0xd1);
	pc_out(0x60, 1, 0xfe);
	assert_int_equal(pc_machine.resets, 2);
	pc_out(0x92, 1, 3);
	assert_int_equal(pc_machine.resets, 3);
	pc_out(0x92, 1, 3);
	pc_out(0x64, 1, 0xff);
	assert_int_equal(pc_machine.resets, 3);
}

/* The PCI chip set's port is not there: bytes written to it are nobody's. */
static void test_port_cf9_resets_nothing(void **state)
{
	(void)state;
	build();
	pc_out(0xcf9, 1, 2);
	pc_out(0xcf9, 1, 6);
	assert_int_equal(pc_machine.resets, 0);
	assert_int_equal(pc_in(0xcf9, 1), 0xff);
}

static void test_the_exit_port_stops_only_where_it_is_configured(void **state)
{
	(void)state;
	build();
	pc_out(0xf4, 4, 0x12345607);
	assert_int_equal(pc_machine.stops, 0);
	assert_int_equal(pc_machine.vm.exit_code, -1);
	pc_machine.vm.config.exit_port = true;
	pc_out(0xf4, 4, 0x12345607);
	assert_int_equal(pc_machine.stops, 1);
	assert_int_equal(pc_machine.vm.exit_code, 7);
}

/* All that can wait or ring does; then nothing of it is left. */
static void test_a_reset_silences_everything(void **state)
{
	struct pc *pc;

	(void)state;
	build();
	pc = pc_machine.vm.pc;
	pic_start();
	pit_start(11932);
	rtc_write(0x0b, 0x72);
	pc_out(0x3f9, 1, 3);
	type("abc");
	pc_out(0x64, 1, 0xd2);
	pc_out(0x60, 1, 1);
	pc_out(0x4d0, 1, 0xf8);
	pc_out(0x37a, 1, 0x1c);
	pc_out(0x37a, 1, 0x1d);
	pc_out(0x61, 1, 3);
	pc_pass(2 * SEC);
	assert_true(pc_take() >= 0);
	assert_true(pc_next_alarm() != DEVICE_NEVER);
	pc_reset(pc);
	assert_int_equal(pc_next_alarm(), DEVICE_NEVER);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(pc->pic.chip[i].line, 0);
		assert_int_equal(pc->pic.chip[i].edge, 0);
		assert_int_equal(pc->pic.chip[i].elcr, 0);
		assert_false(pc->pic.chip[i].ready);
	}
	expect_none();
	assert_int_equal(pc_in(0x61, 1) & 0x0f, 0);
	pic_start();
	pc_machine.rings = 0;
	pc_pass(3 * SEC);
	expect_none();
	assert_int_equal(pc_machine.rings, 0);
}

static void test_a_reset_reaches_every_device(void **state)
{
	static const uint16_t ports[] = {0x21,	0x4d0, 0x61,  0x3ff, 0x3fc, 0x378,
					 0x37a, 0x92,  0x80,  0x3cc, 0x3c7, 0xe000,
					 0x64,	0x1f2, 0x172, 0x3f6, 0x376, 0x3fb};
	uint64_t before[array_count(ports)];
	unsigned changed = 0;

	(void)state;
	blank_disk(0, 1 << 20);
	blank_disk(2, 1 << 20);
	build();
	for (size_t i = 0; i < array_count(ports); i++)
		before[i] = pc_in(ports[i], 1) & (ports[i] == 0x61 ? 0x0f : 0xff);
	pc_out(0x3c2, 1, 0x02);
	pc_out(0x3c7, 1, 0);
	pc_out(0x20, 1, 0x11);
	pc_out(0x21, 1, 0x20);
	pc_out(0x21, 1, 4);
	pc_out(0x21, 1, 1);
	for (size_t i = 0; i < array_count(ports); i++)
		if (ports[i] != 0x3f6 && ports[i] != 0x376 && ports[i] != 0x3cc)
			pc_out(ports[i], 1, ports[i] == 0x92 ? 0 : 0x58);
	pc_out(0x1f6, 1, 0x10);
	pc_out(0x176, 1, 0x10);
	for (size_t i = 0; i < array_count(ports); i++)
		changed += pc_in(ports[i], 1) != before[i];
	assert_in_range(changed, 14, array_count(ports));
	pc_reset(pc_machine.vm.pc);
	for (size_t i = 0; i < array_count(ports); i++)
		assert_int_equal(pc_in(ports[i], 1) & (ports[i] == 0x61 ? 0x0f : 0xff), before[i]);
}

static void test_after_stop_no_alarm_rings(void **state)
{
	(void)state;
	build();
	pic_start();
	pit_start(11932);
	rtc_write(0x0b, 0x42);
	pc_stop(pc_machine.vm.pc);
	assert_int_equal(pc_next_alarm(), DEVICE_NEVER);
}

/* The TSC of the VM's CPU may be behind that of the one where it was made, or was before. */
static void test_time_never_goes_backwards(void **state)
{
	struct vm *vm = &pc_machine.vm;
	uint64_t before;

	(void)state;
	vm->zero_tsc = rdtsc() + (1ul << 40);
	build();
	(void)rtc_read(0);
	assert_int_equal(pc_machine.ticks, 0);
	vm->zero_tsc = rdtsc() - 1000000;
	(void)rtc_read(0);
	before = pc_machine.ticks;
	assert_in_range(before, 1000000, 1ul << 36);
	vm->zero_tsc += 1ul << 40;
	(void)rtc_read(0);
	assert_int_equal(pc_machine.ticks, before);
}

/* Also if something happens to it meanwhile. */
static void test_while_paused_no_alarm_rings_and_none_is_lost(void **state)
{
	struct pc *pc;

	(void)state;
	build();
	pc = pc_machine.vm.pc;
	pic_start();
	pc_out(0x3f9, 1, 1);
	pc_out(0x3fa, 1, 0xc1); /* 14 bytes, or a while without any */
	pit_start(11932);
	pc_pass(4 * MS);
	pc_pause(pc);
	assert_int_equal(pc_next_alarm(), DEVICE_NEVER);
	type("ab");
	assert_int_equal(pc_next_alarm(), DEVICE_NEVER);
	pc_pass(SEC);
	expect_none();
	pc_machine.vm.paused_tsc = 0;
	pc_resume(pc);
	assert_in_range(pc_next_alarm(), 1, 5 * MS);
	pc_pass(5 * MS);
	expect_irq(4);
	expect_none();
	assert_int_equal(pc_in(0x3f8, 1), 'a');
	pc_pass(2 * MS);
	expect_irq(0);
}

static void test_a_pulse_is_an_interrupt_each_time(void **state)
{
	(void)state;
	build();
	pic_start();
	for (unsigned irq = 0; irq < PC_IRQ_COUNT; irq++) {
		if (irq == PIC_IRQ_CASCADE)
			continue;
		pc_pulse(pc_machine.vm.pc, irq);
		expect_irq(irq);
		expect_none();
		pc_pulse(pc_machine.vm.pc, irq);
		expect_irq(irq);
	}
}

/* Its device does not know of it; what it has to say comes later all the same. */
static void test_a_pulse_does_not_swallow_the_devices_own_interrupt(void **state)
{
	struct pc *pc;

	(void)state;
	build();
	pc = pc_machine.vm.pc;
	pic_start();
	pc_out(0x3f9, 1, 1);
	pc_pulse(pc, 4);
	expect_irq(4);
	type("a");
	expect_irq(4);
	/* And while the device has it up, it stays so. */
	pc_pulse(pc, 4);
	expect_irq(4);
	assert_int_equal(pc->pic.chip[0].line & 0x10, 0x10);
	assert_int_equal(pc_in(0x3f8, 1), 'a');
	assert_int_equal(pc->pic.chip[0].line & 0x10, 0);
}

/* The device lowers its line before the CPU has taken the pulse. */
static void test_a_device_does_not_take_a_pulse_back(void **state)
{
	(void)state;
	build();
	pic_start();
	pc_out(0x3f9, 1, 1);
	type("a");
	pc_pulse(pc_machine.vm.pc, 4);
	assert_int_equal(pc_in(0x3f8, 1), 'a');
	expect_irq(4);
	expect_none();
}

static void test_a_pulse_on_a_level_triggered_line_comes_once(void **state)
{
	(void)state;
	build();
	pic_start();
	pc_out(0x4d1, 1, 0x08); /* IRQ 11 */
	pc_pulse(pc_machine.vm.pc, 11);
	expect_irq(11);
	expect_none();
}

static void test_a_pulse_does_not_outlive_a_reset(void **state)
{
	struct pc *pc;

	(void)state;
	build();
	pc = pc_machine.vm.pc;
	pic_start();
	pc_pulse(pc, 5);
	pc_pulse(pc, 10);
	pc_reset(pc);
	assert_int_equal(pc->pic.chip[0].line | pc->pic.chip[1].line, 0);
	pic_start();
	pc_out(0x4d0, 1, 0xf8);
	pc_out(0x4d1, 1, 0xde);
	expect_none();
}

static uint8_t bcd(uint8_t v)
{
	return (uint8_t)((v >> 4) * 10 + (v & 15));
}

/* The clock on the wall does not stop when the machine is reset, and does not go backwards. */
static void test_time_goes_on_over_a_reset(void **state)
{
	uint8_t before;

	(void)state;
	pc_machine.wall = 1000000000 * SEC; /* 2001-09-09 01:46:40 */
	build();
	assert_int_equal(bcd(rtc_read(9)), 1);
	assert_int_equal(bcd(rtc_read(4)), 1);
	assert_int_equal(bcd(rtc_read(2)), 46);
	before = bcd(rtc_read(0));
	pc_pass(5 * SEC);
	pc_reset(pc_machine.vm.pc);
	assert_int_equal(bcd(rtc_read(0)), before + 5);
	pc_pass(5 * SEC);
	assert_int_equal(bcd(rtc_read(0)), before + 10);
}

/* --- Sizes -------------------------------------------------------------------------------- */

static unsigned cmos_word(uint8_t at)
{
	return rtc_read(at) | (unsigned)rtc_read(at + 1) << 8;
}

static void test_cmos_tells_the_memorys_size(void **state)
{
	static const struct {
		uint64_t mem;
		unsigned base, ext, high;
	} rows[] = {
		{64ul << 10, 64, 0, 0},		{636ul << 10, 636, 0, 0},
		{1ul << 20, 640, 0, 0},		{(1ul << 20) + 4096, 640, 4, 0},
		{16ul << 20, 640, 15360, 0},	{(16ul << 20) + (64 << 10), 640, 15424, 1},
		{64ul << 20, 640, 64512, 768},	{65ul << 20, 640, 64512, 784},
		{3ul << 30, 640, 64512, 48896},
	};

	(void)state;
	for (size_t i = 0; i < array_count(rows); i++) {
		pc_machine_reset();
		pc_machine.vm.config.mem = rows[i].mem;
		build();
		assert_int_equal(cmos_word(0x15), rows[i].base);
		assert_int_equal(cmos_word(0x17), rows[i].ext);
		assert_int_equal(cmos_word(0x30), rows[i].ext);
		assert_int_equal(cmos_word(0x34), rows[i].high);
	}
}

/* A guest may write there; what its firmware finds after a reset is true again. */
static void test_a_reset_tells_the_size_again(void **state)
{
	(void)state;
	build();
	rtc_write(0x35, 0xff);
	rtc_write(0x15, 0xff);
	pc_reset(pc_machine.vm.pc);
	assert_int_equal(cmos_word(0x34), 0);
	assert_int_equal(cmos_word(0x15), 640);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_a_tick_goes_from_the_pit_to_the_vcpu),
		T(test_a_tick_owed_follows_the_one_that_was_taken),
		T(test_coalesced_ticks_are_one),
		T(test_a_tiny_period_does_not_mean_many_alarms),
		T(test_the_keyboard_controllers_echo_is_irq1),
		T(test_the_second_ports_echo_is_irq12),
		T(test_each_console_shows_its_port),
		T(test_the_clock_interrupts_by_irq8),
		T(test_the_printers_acknowledge_is_irq7),
		T(test_all_lines_at_once),
		T(test_every_way_to_reset_asks_for_it_once),
		T(test_port_cf9_resets_nothing),
		T(test_the_exit_port_stops_only_where_it_is_configured),
		T(test_a_reset_silences_everything),
		T(test_a_reset_reaches_every_device),
		T(test_after_stop_no_alarm_rings),
		T(test_while_paused_no_alarm_rings_and_none_is_lost),
		T(test_a_pulse_is_an_interrupt_each_time),
		T(test_a_pulse_does_not_swallow_the_devices_own_interrupt),
		T(test_a_device_does_not_take_a_pulse_back),
		T(test_a_pulse_on_a_level_triggered_line_comes_once),
		T(test_a_pulse_does_not_outlive_a_reset),
		T(test_time_goes_on_over_a_reset),
		T(test_time_never_goes_backwards),
		T(test_cmos_tells_the_memorys_size),
		T(test_a_reset_tells_the_size_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
