/*
 * Quick exits: they do the plain case, leave all others untouched, and let go when somebody waits.
 * needs: core/quick.c core/cpuid_policy.c core/msr_policy.c core/inject.c core/trace.c
 * needs: core/exit_stats.c lib/printf.c
 * needs: tests/fake/spinlock.c tests/fake/panic.c
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <crvm/hypercall.h>
#include <crvm/status.h>
#include "../../core/machine.h"
#include "../../core/vm.h"

struct machine machine;
static struct vm vm;
static struct vm_vcpu vv;
static struct vcpu *const v = &vv.v;
static unsigned stops;

/* What quick.c calls of its neighbours. */
static enum emu_kind emulator_says;

enum emu_kind emulate_insn(const struct emu_env *env, struct emu_result *result)
{
	assert_ptr_equal(env, &vv.emu_env);
	*result =
		(struct emu_result){.vector = EXC_PF, .has_error = true, .error = 2, .cr2 = 0x1234};
	v->exit.insn_len = 5;
	return emulator_says;
}

void vm_stop(struct vm_vcpu *of, bool dump, const char *fmt, ...)
{
	(void)dump;
	(void)fmt;
	assert_ptr_equal(of, &vv);
	stops++;
}

static struct vcpu *other;

struct vcpu *sched_pass_quick(struct vcpu *turn)
{
	assert_ptr_equal(turn, v);
	return other;
}

static uint64_t cr2;

static uint64_t get_reg(struct vcpu *of, enum vcpu_reg reg)
{
	(void)of;
	(void)reg;
	return 2;
}

static void set_reg(struct vcpu *of, enum vcpu_reg reg, uint64_t value)
{
	(void)of;
	if (reg == REG_CR2)
		cr2 = value;
}

static const struct virt_backend backend = {.get_reg = get_reg, .set_reg = set_reg};

/* A device of one register, at ports 100h to 107h, for 1 and 4 bytes. */
static struct {
	struct device dev;
	uint64_t offset, value;
	unsigned size, calls;
	uint32_t raises;
} device = {.dev = {.name = "device", .lock = SPINLOCK_INIT(RANK_DEVICE, "device")}};

static uint64_t device_read(void *dev, uint64_t offset, unsigned size)
{
	assert_ptr_equal(dev, &device);
	device.offset = offset;
	device.size = size;
	device.calls++;
	atomic_fetch_or(&v->requests, device.raises);
	return device.value;
}

static void device_write(void *dev, uint64_t offset, unsigned size, uint64_t value)
{
	device_read(dev, offset, size);
	device.value = value;
}

static const struct io_ops device_ops = {
	.read = device_read, .write = device_write, .sizes = 1 | 4};
static struct io_region regions[] = {{.name = "nobody"},
				     {0x100, 8, &device_ops, &device.dev, "device"}};
static uint16_t port_page[256], empty_page[256];
static const uint16_t *port_pages[256];

static struct cpuid_regs host_cpuid(void *ctx, uint32_t leaf, uint32_t subleaf)
{
	(void)ctx;
	(void)subleaf;
	return (struct cpuid_regs){leaf >= 0x80000000 ? 0x80000008 : 0x16, leaf + 1, leaf + 2,
				   leaf + 3};
}

static int setup(void **state)
{
	static const struct cpu_ops ops = {.cpuid = host_cpuid};
	static const struct msr_ops msr_ops = {.get_reg = get_reg, .set_reg = set_reg};
	const struct cpuid_config config = {.tsc_khz = 1000};

	(void)state;
	memset(&vm, 0, sizeof(vm));
	memset(&vv, 0, sizeof(vv));
	machine.backend = &backend;
	v->vm = &vm;
	vm.vcpu = &vv;
	cpuid_policy_build(&vm.cpuid, &config, &ops);
	msr_policy_init(&vv.msr, &msr_ops, v, &vm.cpuid);
	for (unsigned i = 0; i < 256; i++) {
		port_page[i] = i < 8 ? sizeof(regions[0]) : 0;
		port_pages[i] = i == 1 ? port_page : empty_page;
	}
	vm.ports.region = regions;
	vm.ports.page = port_pages;
	device.calls = 0;
	device.raises = 0;
	stops = 0;
	cr2 = 0;
	vv.quick_until = (uint32_t)__builtin_ia32_rdtsc() + 0x70000000;
	for (unsigned i = 0; i < 16; i++)
		v->gpr[i] = 0x1111111111111111ul * i;
	return 0;
}

static int quick(enum exit_kind kind)
{
	return vcpu_quick.handler[kind](v, 0);
}

static void test_cpuid_fills_four_registers(void **state)
{
	const uint64_t rsi = v->gpr[REG_RSI];

	(void)state;
	v->gpr[REG_RAX] = 0xffffffff00000002;
	assert_int_equal(quick(EXIT_CPUID), QUICK_AGAIN);
	assert_int_equal(v->gpr[REG_RAX], vm.cpuid.basic[2].eax);
	assert_int_equal(v->gpr[REG_RBX], vm.cpuid.basic[2].ebx);
	assert_int_equal(v->gpr[REG_RCX], vm.cpuid.basic[2].ecx);
	assert_int_equal(v->gpr[REG_RDX], vm.cpuid.basic[2].edx);
	assert_int_equal(v->gpr[REG_RSI], rsi);
	assert_int_equal(vv.stats.kind[EXIT_CPUID].count, 1);
}

/* Everything that is refused leaves all as it was, the counters too. */
static void expect_not(int answer)
{
	uint64_t before[16];

	memcpy(before, v->gpr, sizeof(before));
	assert_int_equal(answer, QUICK_NOT);
	assert_memory_equal(v->gpr, before, sizeof(before));
	for (unsigned i = 0; i < EXIT_KIND_COUNT; i++)
		assert_int_equal(vv.stats.kind[i].count, 0);
	assert_int_equal(device.calls, 0);
}

static void test_what_is_not_plain_is_left_alone(void **state)
{
	static const uint32_t leaves[] = {1, 4, 7, 0xb, 0xd, 0x1000, 0x40000000, 0x80000000, ~0u};
	static const uint32_t msrs[] = {0x10, 0x3b, 0x1da, 0x277, 0xc0000080, ~0u};

	(void)state;
	for (unsigned i = 0; i < array_count(leaves); i++) {
		v->gpr[REG_RAX] = leaves[i];
		expect_not(quick(EXIT_CPUID));
	}
	for (unsigned i = 0; i < array_count(msrs); i++) {
		v->gpr[REG_RCX] = msrs[i];
		expect_not(quick(EXIT_RDMSR));
		expect_not(quick(EXIT_WRMSR));
	}
	v->gpr[REG_RAX] = HYPERCALL_IDENTIFY;
	expect_not(quick(EXIT_HYPERCALL));
	v->gpr[REG_RAX] = 1ull << 32 | HYPERCALL_NOP;
	expect_not(quick(EXIT_HYPERCALL));
	expect_not(vcpu_quick.port_in(v, 0x100, 2)); /* the bus splits it */
	expect_not(vcpu_quick.port_in(v, 0x105, 4)); /* beyond its end */
	expect_not(vcpu_quick.port_out(v, 0xff, 1));
	expect_not(vcpu_quick.port_out(v, 0xffff, 4));
}

static void test_msrs_are_read_and_written(void **state)
{
	uint64_t value;

	(void)state;
	v->gpr[REG_RCX] = 0xffffffff000001a0;
	assert_int_equal(quick(EXIT_RDMSR), QUICK_AGAIN);
	value = v->gpr[REG_RDX] << 32 | v->gpr[REG_RAX];
	assert_int_equal(value, vv.msr.misc_enable);
	v->gpr[REG_RAX] = 0xdead00000000 | ((uint32_t)value ^ 1);
	v->gpr[REG_RDX] = 0xdead00000000 | value >> 32;
	assert_int_equal(quick(EXIT_WRMSR), QUICK_AGAIN);
	assert_int_equal(vv.msr.misc_enable, value ^ 1);
	v->gpr[REG_RAX] ^= 1u << 22;
	assert_int_equal(quick(EXIT_WRMSR), QUICK_NOT);
	assert_int_equal(vv.msr.misc_enable, value ^ 1);
}

static void test_hypercall_does_nothing(void **state)
{
	(void)state;
	v->gpr[REG_RAX] = HYPERCALL_NOP;
	assert_int_equal(quick(EXIT_HYPERCALL), QUICK_AGAIN);
	assert_int_equal(v->gpr[REG_RAX], OK);
}

static void test_ports_merge_and_mask(void **state)
{
	(void)state;
	device.value = 0xaabbccddeeff0011;
	v->gpr[REG_RAX] = 0x1122334455667788;
	assert_int_equal(vcpu_quick.port_in(v, 0x107, 1), QUICK_AGAIN);
	assert_int_equal(v->gpr[REG_RAX], 0x1122334455667711);
	assert_int_equal(device.offset, 7);
	assert_int_equal(vcpu_quick.port_in(v, 0x104, 4), QUICK_AGAIN);
	assert_int_equal(v->gpr[REG_RAX], 0xeeff0011);
	v->gpr[REG_RAX] = 0x1122334455667788;
	assert_int_equal(vcpu_quick.port_out(v, 0x100, 4), QUICK_AGAIN);
	assert_int_equal(device.value, 0x55667788);
	assert_int_equal(device.size, 4);
	assert_int_equal(vcpu_quick.port_out(v, 0x103, 1), QUICK_AGAIN);
	assert_int_equal(device.value, 0x88);
	assert_int_equal(vv.stats.kind[EXIT_PORT].count, 4);
}

/* Whoever asks for something while the device works is heard before the next entry. */
static void test_requests_make_it_leave(void **state)
{
	static const uint32_t bits[] = {REQ_IRQ, REQ_NMI, REQ_STOP, REQ_FLUSH};

	(void)state;
	for (unsigned i = 0; i < array_count(bits); i++) {
		device.raises = bits[i];
		assert_true(vcpu_quick.port_out(v, 0x100, 1) >= QUICK_LEAVE);
		assert_int_equal(atomic_exchange(&v->requests, 0), bits[i]);
	}
	device.raises = 0;
	assert_int_equal(vcpu_quick.port_out(v, 0x100, 1), QUICK_AGAIN);
	for (unsigned i = 0; i < 4; i++) {
		vv.events.busy = 0;
		((bool *)&vv.events.busy)[i] = true;
		assert_true(vcpu_quick.port_out(v, 0x100, 1) >= QUICK_LEAVE);
	}
}

static void test_time_makes_it_leave(void **state)
{
	(void)state;
	vv.quick_until = (uint32_t)__builtin_ia32_rdtsc() - 1;
	v->gpr[REG_RAX] = 2;
	assert_int_equal(quick(EXIT_CPUID), QUICK_LEAVE);
	assert_int_equal(v->gpr[REG_RAX], vm.cpuid.basic[2].eax);
}

static void test_traced_ones_do_the_same_and_record(void **state)
{
	struct trace_record records[8];
	struct trace_ring ring;

	(void)state;
	trace_init(&ring, records, array_count(records));
	vv.trace = &ring;
	vm.id = 3;
	v->gpr[REG_RAX] = 2;
	assert_int_equal(vcpu_quick_traced.handler[EXIT_CPUID](v, 10), QUICK_AGAIN);
	assert_int_equal(v->gpr[REG_RAX], vm.cpuid.basic[2].eax);
	assert_int_equal(ring.count, 1);
	assert_int_equal(records[0].kind, EXIT_CPUID);
	assert_int_equal(records[0].raw, 10);
	assert_int_equal(records[0].raw_info, 2);
	assert_int_equal(records[0].rip, 2); /* whatever get_reg says */
	assert_int_equal(records[0].who, 3u << 16);
	assert_true(records[0].cycles > 0 && records[0].tsc < __builtin_ia32_rdtsc());
	assert_int_equal(vcpu_quick_traced.port_in(v, 0x103, 1), QUICK_AGAIN);
	assert_int_equal(records[1].raw_info, 0x1030008);
	assert_int_equal(vcpu_quick_traced.port_out(v, 0x104, 4), QUICK_AGAIN);
	assert_int_equal(records[2].raw_info, 0x1040003);
	assert_int_equal(vcpu_quick_traced.port_out(v, 0x108, 1), QUICK_NOT);
	v->gpr[REG_RCX] = 0x1a0;
	assert_int_equal(vcpu_quick_traced.handler[EXIT_RDMSR](v, 31), QUICK_AGAIN);
	assert_int_equal(vcpu_quick_traced.handler[EXIT_WRMSR](v, 32), QUICK_AGAIN);
	v->gpr[REG_RAX] = HYPERCALL_NOP;
	assert_int_equal(vcpu_quick_traced.handler[EXIT_HYPERCALL](v, 18), QUICK_AGAIN);
	v->exit.fault.gpa = 0xfed10000;
	emulator_says = EMU_DONE;
	assert_int_equal(vcpu_quick_traced.handler[EXIT_NESTED_FAULT](v, 48), QUICK_AGAIN);
	assert_int_equal(ring.count, 7);
	assert_int_equal(records[6].raw_info, 0xfed10000);
}

static void test_emulator_answers(void **state)
{
	(void)state;
	emulator_says = EMU_DONE;
	assert_int_equal(quick(EXIT_NESTED_FAULT), QUICK_AGAIN);
	assert_int_equal(v->quick_len, 5);
	emulator_says = EMU_RETRY;
	assert_int_equal(quick(EXIT_NESTED_FAULT), QUICK_STAY);
	assert_int_equal(vv.stats.kind[EXIT_NESTED_FAULT].count, 2);
	emulator_says = EMU_UNKNOWN;
	assert_int_equal(quick(EXIT_NESTED_FAULT), QUICK_NOT);
	assert_int_equal(vv.stats.kind[EXIT_NESTED_FAULT].count, 2);
	emulator_says = EMU_EXCEPTION;
	assert_int_equal(quick(EXIT_NESTED_FAULT), QUICK_STAY);
	assert_true(vv.events.has_exception);
	assert_int_equal(vv.events.exception.vector, EXC_PF);
	assert_int_equal(cr2, 0x1234);
	assert_int_equal(stops, 0);
}

static void test_third_fault_stops_the_vm(void **state)
{
	(void)state;
	vv.events.exception = (struct event){.kind = EVENT_EXCEPTION, .vector = EXC_DF};
	vv.events.has_exception = true;
	emulator_says = EMU_EXCEPTION;
	assert_int_equal(quick(EXIT_NESTED_FAULT), QUICK_STAY);
	assert_int_equal(stops, 1);
}

#define T(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_cpuid_fills_four_registers), T(test_what_is_not_plain_is_left_alone),
		T(test_msrs_are_read_and_written),  T(test_hypercall_does_nothing),
		T(test_ports_merge_and_mask),	    T(test_requests_make_it_leave),
		T(test_time_makes_it_leave),	    T(test_traced_ones_do_the_same_and_record),
		T(test_emulator_answers),	    T(test_third_fault_stops_the_vm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
