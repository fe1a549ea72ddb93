/*
 * Ports, strings and memory of devices through the run loop: core/exits.c, core/exits_mem.c and the
 * emulator behind them, with and without core/quick.c.
 * needs: core/run.c core/exits.c core/exits_cpu.c core/exits_cr.c core/exits_mem.c core/quick.c
 * needs: core/inject.c core/io_bus.c core/cpuid_policy.c core/msr_policy.c core/emulate.c
 * needs: core/emu_alu.c core/emu_fetch.c core/emu_mem.c core/emu_string.c core/decode.c
 * needs: core/gwalk.c core/string_io.c core/exit_stats.c core/trace.c mm/gmem.c devices/debug.c
 * needs: devices/testdev.c lib/printf.c tests/fake/backend.c tests/fake/backend_nested.c
 * needs: tests/fake/panic.c tests/fake/spinlock.c tests/fake/host_cpu.c tests/fake/run_machine.c
 */
#include "run_rig.h"

static void again(void)
{
	void *unused = NULL;

	setup(&unused);
}

static void port(uint16_t number, uint8_t size, bool in)
{
	struct vcpu_exit e = {.kind = EXIT_PORT, .insn_len = 1};

	e.port.port = number;
	e.port.size = size;
	e.port.in = in;
	step(&e);
}

/* Plain port I/O. */

static void test_in_keeps_the_upper_bits_as_the_size_says(void **state)
{
	static const struct {
		uint8_t size;
		uint64_t rax;
	} cases[] = {{1, 0xaaaaaaaaaaaaaa44}, {2, 0xaaaaaaaaaaaa3344}, {4, 0x11223344}};

	(void)state;
	for (unsigned i = 0; i < 2 * array_count(cases); i++) {
		again();
		v->quick = i & 1 ? &vcpu_quick : NULL;
		memcpy(m->test.registers, "\x44\x33\x22\x11", 4);
		v->gpr[REG_RAX] = 0xaaaaaaaaaaaaaaaa;
		port(RUN_PORT, cases[i / 2].size, true);
		expect_next(1);
		assert_int_equal(v->gpr[REG_RAX], cases[i / 2].rax);
		assert_int_equal(m->quick_count, i & 1);
	}
}

static void test_in_from_nobody_is_all_ones(void **state)
{
	static const uint64_t rax[5] = {
		[1] = 0x12345678000000ff, [2] = 0x123456780000ffff, [4] = 0xffffffff};

	(void)state;
	for (unsigned size = 1; size <= 4; size *= 2) {
		again();
		v->gpr[REG_RAX] = 0x1234567800000000;
		port(0x3000, (uint8_t)size, true);
		expect_next(1);
		assert_int_equal(v->gpr[REG_RAX], rax[size]);
	}
}

static void test_out_writes_its_size_and_no_more(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 6; i++) {
		uint8_t size = (uint8_t)(1u << i / 2), expected[8] = {0};

		again();
		v->quick = i & 1 ? &vcpu_quick : NULL;
		v->gpr[REG_RAX] = 0x8877665544332211;
		memcpy(expected, &v->gpr[REG_RAX], size);
		port(RUN_PORT, size, false);
		expect_next(1);
		assert_memory_equal(m->test.registers, expected, 8);
		assert_int_equal(v->gpr[REG_RAX], 0x8877665544332211);
	}
}

/* An access that straddles a region's end is not the device's. */
static void test_a_straddling_access_reaches_nobody(void **state)
{
	(void)state;
	v->gpr[REG_RAX] = 0;
	port(RUN_PORT + 15, 4, false);
	port(0xffff, 4, true);
	assert_int_equal(v->gpr[REG_RAX], 0xffffffff);
	assert_int_equal(m->test.counter[TESTDEV_PORT_WRITES], 0);
}

static void test_the_debug_exit_stops_the_vm_at_once(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		again();
		v->quick = i ? &vcpu_quick : NULL;
		v->gpr[REG_RAX] = 0x2a;
		push(&(struct vcpu_exit){
			.kind = EXIT_PORT, .insn_len = 1, .port = {0xf4, 4, false}});
		push(&(struct vcpu_exit){.kind = EXIT_CPUID, .insn_len = 2});
		loop();
		expect_stop(false, "debug exit with code 42");
		assert_int_equal(v->virt->script_count, 1); /* the next was not executed */
	}
}

/* Strings. */

static struct vcpu_exit string(bool in, uint8_t size, bool rep)
{
	struct vcpu_exit e = {.kind = EXIT_PORT, .insn_len = 2};

	e.port.port = RUN_PORT + TESTDEV_STREAM;
	e.port.size = size;
	e.port.in = in;
	e.port.string = true;
	e.port.rep = rep;
	e.port.addr_size = 4;
	e.port.segment = SEG_DS;
	return e;
}

static void test_rep_insd_is_one_exit(void **state)
{
	struct vcpu_exit e = string(true, 4, true);

	(void)state;
	v->gpr[REG_RDI] = 0x5ff0; /* crosses a page */
	v->gpr[REG_RCX] = 128;
	step(&e);
	expect_next(2);
	assert_int_equal(v->gpr[REG_RDI], 0x5ff0 + 512);
	assert_int_equal(v->gpr[REG_RCX], 0);
	for (uint32_t i = 0; i < 128; i++)
		assert_memory_equal(m->ram + 0x5ff0 + i * 4, &i, 4);
	assert_int_equal(vv->stats.kind[EXIT_PORT].count, 1);
}

static void test_outsb_sends_bytes_by_their_segment(void **state)
{
	struct vcpu_exit e = string(false, 1, true);

	(void)state;
	memcpy(m->ram + 0x2345, "guest", 5);
	v->virt->segment[SEG_FS].base = 0x2000;
	e.port.segment = SEG_FS;
	e.port.port = DEBUG_PORT_CONSOLE;
	v->gpr[REG_RSI] = 0x345;
	v->gpr[REG_RCX] = 5;
	step(&e);
	expect_next(2);
	assert_string_equal(m->text, "guest");
}

/* More than one call moves: the loop comes back to the same instruction. */
static void test_a_long_string_can_be_interrupted(void **state)
{
	struct vcpu_exit e = string(true, 1, true);
	uint64_t left = 10000;

	(void)state;
	v->gpr[REG_RDI] = 0x5000;
	v->gpr[REG_RCX] = left;
	while (left > 4096) {
		step(&e);
		assert_int_equal(reg(REG_RIP), RUN_CODE);
		assert_true(v->gpr[REG_RCX] < left);
		left = v->gpr[REG_RCX];
	}
	step(&e);
	expect_next(2);
	assert_int_equal(v->gpr[REG_RCX], 0);
	assert_int_equal(v->gpr[REG_RDI], 0x5000 + 10000);
}

static void test_a_fault_in_mid_string_is_where_it_stopped(void **state)
{
	struct vcpu_exit e = string(true, 4, true);
	const struct fake_delivery *d;

	(void)state;
	v->virt->segment[SEG_ES].limit = 0x5fff;
	v->gpr[REG_RDI] = 0x5ff0;
	v->gpr[REG_RCX] = 10;
	step(&e);
	d = expect_delivered(1, EVENT_EXCEPTION, EXC_GP);
	assert_int_equal(d->rip, RUN_CODE);
	assert_int_equal(v->gpr[REG_RCX], 6);
	assert_int_equal(v->gpr[REG_RDI], 0x6000);
}

static void test_strings_do_not_write_rom(void **state)
{
	struct vcpu_exit e = string(true, 4, true);

	(void)state;
	v->gpr[REG_RDI] = RUN_ROM;
	v->gpr[REG_RCX] = 16;
	step(&e);
	expect_next(2);
	for (unsigned i = 0; i < 64; i++)
		assert_int_equal(m->rom[i], 0x90);
}

/* Single step within REP: one iteration, RIP stays, #DB comes; and after the last one. */
static void test_single_steps_within_a_string(void **state)
{
	struct vcpu_exit e = string(true, 4, true);

	(void)state;
	v->gpr[REG_RDI] = 0x5000;
	v->gpr[REG_RCX] = 2;
	set_flags(TF);
	step(&e);
	assert_int_equal(v->gpr[REG_RCX], 1);
	assert_int_equal(expect_delivered(1, EVENT_EXCEPTION, EXC_DB)->rip, RUN_CODE);
	set(REG_RIP, RUN_CODE);
	set_flags(TF);
	step(&e);
	assert_int_equal(v->gpr[REG_RCX], 0);
	assert_int_equal(expect_delivered(2, EVENT_EXCEPTION, EXC_DB)->rip, RUN_CODE + 2);
}

static void test_debug_exit_by_a_string_stops_too(void **state)
{
	struct vcpu_exit e = string(false, 4, false);

	(void)state;
	e.port.port = DEBUG_PORT_EXIT;
	v->gpr[REG_RSI] = 0x5000;
	step(&e);
	expect_stop(false, "debug exit with code 0");
}

/* Memory of devices. */

static struct vcpu_exit fault(uint64_t at, uint8_t access)
{
	struct vcpu_exit e = {.kind = EXIT_NESTED_FAULT};

	e.fault.gpa = e.fault.linear = at;
	e.fault.linear_valid = true;
	e.fault.access = access;
	return e;
}

static const uint8_t store[] = {0x89, 0x18}; /* mov [rax], ebx */
static const uint8_t load[] = {0x8b, 0x18};  /* mov ebx, [rax] */

static void test_mmio_is_emulated_in_every_mode(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		struct vcpu_exit e = fault(RUN_MMIO + 8, FAULT_WRITE);

		again();
		v->quick = i & 1 ? &vcpu_quick : NULL;
		if (i & 2)
			run_mode_64(m);
		poke(RUN_CODE, store, sizeof(store));
		v->gpr[REG_RAX] = RUN_MMIO + 8;
		v->gpr[REG_RBX] = 0x12345678;
		step(&e);
		expect_next(2);
		assert_int_equal(m->test.counter[TESTDEV_MMIO_WRITES], 1);
		set(REG_RIP, RUN_CODE);
		poke(RUN_CODE, load, sizeof(load));
		v->gpr[REG_RBX] = ~0ul;
		e = fault(RUN_MMIO + 8, FAULT_READ);
		step(&e);
		expect_next(2);
		assert_int_equal(v->gpr[REG_RBX], 0x12345678);
		assert_int_equal(m->quick_count, i & 1 ? 2 : 0);
		assert_int_equal(vv->stats.kind[EXIT_NESTED_FAULT].count, 2);
	}
}

static void test_mmio_of_nobody_is_all_ones(void **state)
{
	struct vcpu_exit e = fault(0xd0000000, FAULT_READ);

	(void)state;
	poke(RUN_CODE, load, sizeof(load));
	v->gpr[REG_RAX] = 0xd0000000;
	step(&e);
	expect_next(2);
	assert_int_equal(v->gpr[REG_RBX], 0xffffffff);
}

static void test_writes_to_rom_are_dropped(void **state)
{
	struct vcpu_exit e = fault(RUN_ROM + 16, FAULT_WRITE);

	(void)state;
	e.fault.allowed = NESTED_R | NESTED_X;
	poke(RUN_CODE, store, sizeof(store));
	v->gpr[REG_RAX] = RUN_ROM + 16;
	v->gpr[REG_RBX] = 0;
	step(&e);
	expect_next(2);
	assert_int_equal(m->rom[16], 0x90);
}

static void test_a_page_fault_found_by_emulation(void **state)
{
	/* movs dword [es:rdi], [rsi]: to a device, from where nothing is mapped. */
	static const uint8_t movs[] = {0xa5};
	struct vcpu_exit e = fault(RUN_MMIO, FAULT_WRITE);

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		again();
		v->quick = i ? &vcpu_quick : NULL;
		run_mode_64(m);
		poke(RUN_CODE, movs, sizeof(movs));
		v->gpr[REG_RDI] = RUN_MMIO;
		v->gpr[REG_RSI] = 0x7000000000;
		step(&e);
		expect_fault(EXC_PF);
		assert_int_equal(reg(REG_CR2), 0x7000000000);
		assert_int_equal(m->test.counter[TESTDEV_MMIO_WRITES], 0);
		assert_int_equal(v->gpr[REG_RDI], RUN_MMIO);
	}
}

static void test_single_step_over_mmio(void **state)
{
	struct vcpu_exit e = fault(RUN_MMIO, FAULT_WRITE);

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		again();
		v->quick = i ? &vcpu_quick : NULL;
		poke(RUN_CODE, store, sizeof(store));
		v->gpr[REG_RAX] = RUN_MMIO;
		set_flags(TF);
		set(REG_INT_SHADOW, STI);
		step(&e);
		assert_int_equal(expect_delivered(1, EVENT_EXCEPTION, EXC_DB)->rip, RUN_CODE + 2);
		assert_int_equal(reg(REG_INT_SHADOW), 0);
	}
}

static void test_what_cannot_be_decoded_stops_with_its_bytes(void **state)
{
	static const uint8_t bytes[15] = {0x0f, 0x0b, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13};
	struct vcpu_exit e = fault(RUN_MMIO + 4, FAULT_READ);

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		again();
		v->quick = i ? &vcpu_quick : NULL;
		poke(RUN_CODE, bytes, sizeof(bytes));
		step(&e);
		expect_stop(true, "the instruction at RIP 1000, which accesses guest-physical "
				  "fed10004, cannot be emulated; bytes: 0f 0b 01 02 03 04 05 06 07 "
				  "08 09 0a 0b 0c 0d");
	}
}

static void test_code_and_page_tables_in_no_memory_stop(void **state)
{
	struct vcpu_exit e = fault(0xd0000000, FAULT_EXEC);

	(void)state;
	step(&e);
	expect_stop(true, "code at guest-physical d0000000, where there is no memory (RIP 1000)");
	again();
	e.fault.allowed = NESTED_R | NESTED_W;
	step(&e);
	expect_stop(true,
		    "code at guest-physical d0000000, where there is memory for data only (RIP "
		    "1000)");
	again();
	e = fault(0xd0000000, FAULT_READ);
	e.fault.page_walk = true;
	step(&e);
	expect_stop(true,
		    "page table at guest-physical d0000000, where there is no memory (RIP 1000)");
	again();
	e = (struct vcpu_exit){.kind = EXIT_NESTED_FAULT};
	e.fault.gpa = 0x3000;
	e.fault.misconfig = true;
	step(&e);
	expect_stop(true, "broken nested page table at guest-physical 3000, where there is no "
			  "memory (RIP 1000)");
}

/*
 * The access is that of the delivery (IDT or stack in a device), not of the instruction at RIP,
 * which must not be executed for it.
 */
static void test_delivery_through_a_device_stops_the_vm(void **state)
{
	struct vcpu_exit e = fault(RUN_MMIO, FAULT_READ);

	(void)state;
	poke(RUN_CODE, load, sizeof(load));
	v->gpr[REG_RAX] = RUN_MMIO;
	v->gpr[REG_RBX] = 5;
	e.interrupted = (struct event){.kind = EVENT_EXCEPTION, .vector = EXC_UD};
	step(&e);
	expect_stop(true, "delivery of vector 6 accesses guest-physical fed10000, which is not RAM "
			  "(RIP 1000)");
	assert_int_equal(v->gpr[REG_RBX], 5);
	assert_int_equal(m->test.counter[TESTDEV_MMIO_READS], 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_in_keeps_the_upper_bits_as_the_size_says),
		T(test_in_from_nobody_is_all_ones),
		T(test_out_writes_its_size_and_no_more),
		T(test_a_straddling_access_reaches_nobody),
		T(test_the_debug_exit_stops_the_vm_at_once),
		T(test_rep_insd_is_one_exit),
		T(test_outsb_sends_bytes_by_their_segment),
		T(test_a_long_string_can_be_interrupted),
		T(test_a_fault_in_mid_string_is_where_it_stopped),
		T(test_strings_do_not_write_rom),
		T(test_single_steps_within_a_string),
		T(test_debug_exit_by_a_string_stops_too),
		T(test_mmio_is_emulated_in_every_mode),
		T(test_mmio_of_nobody_is_all_ones),
		T(test_writes_to_rom_are_dropped),
		T(test_a_page_fault_found_by_emulation),
		T(test_single_step_over_mmio),
		T(test_what_cannot_be_decoded_stops_with_its_bytes),
		T(test_code_and_page_tables_in_no_memory_stop),
		T(test_delivery_through_a_device_stops_the_vm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
