/*
 * core/exits.c and core/exits_cpu.c through the run loop: CPUID, MSRs, XSETBV, hypercalls, and the
 * exits that mean an exception, nothing, or the VM's end.
 * needs: core/run.c core/exits.c core/exits_cpu.c core/exits_cr.c core/exits_mem.c core/quick.c
 * needs: core/inject.c core/io_bus.c core/cpuid_policy.c core/msr_policy.c core/emulate.c
 * needs: core/emu_alu.c core/emu_fetch.c core/emu_mem.c core/emu_string.c core/decode.c
 * needs: core/gwalk.c core/string_io.c core/exit_stats.c core/trace.c mm/gmem.c devices/debug.c
 * needs: devices/testdev.c lib/printf.c tests/fake/backend.c tests/fake/backend_nested.c
 * needs: tests/fake/panic.c tests/fake/spinlock.c tests/fake/host_cpu.c tests/fake/run_machine.c
 */
#include <crvm/hypercall.h>
#include "run_rig.h"

static void again(void)
{
	void *unused = NULL;

	setup(&unused);
}

/* CPUID. */

static void cpuid_at(uint32_t leaf, uint32_t subleaf)
{
	for (unsigned i = 0; i < 4; i++)
		v->gpr[i] = 0xffffffff00000000;
	v->gpr[REG_RAX] |= leaf;
	v->gpr[REG_RCX] |= subleaf;
	step_insn(EXIT_CPUID, 2);
}

static void test_cpuid_gives_four_registers_of_32_bits(void **state)
{
	static const uint32_t leaves[] = {0, 1, 4, 7, 0xb, 0xd, 0x40000000, 0x80000001, 0x80000008};

	(void)state;
	for (unsigned i = 0; i < array_count(leaves); i++) {
		struct cpuid_regs r;

		again();
		v->gpr[REG_RSI] = 77;
		cpuid_at(leaves[i], 1);
		expect_next(2);
		cpuid_policy_get(&m->vm.cpuid, leaves[i], 1, 0, 1, &r);
		assert_int_equal(v->gpr[REG_RAX], r.eax);
		assert_int_equal(v->gpr[REG_RBX], r.ebx);
		assert_int_equal(v->gpr[REG_RCX], r.ecx);
		assert_int_equal(v->gpr[REG_RDX], r.edx);
		assert_int_equal(v->gpr[REG_RSI], 77);
	}
}

static void test_cpuid_says_crvm_and_no_vmx(void **state)
{
	(void)state;
	cpuid_at(0x40000000, 0);
	assert_int_equal(v->gpr[REG_RBX], 0x4d565243);
	cpuid_at(1, 0);
	assert_true(v->gpr[REG_RCX] >> 31 & 1);
	assert_false(v->gpr[REG_RCX] >> 5 & 1);
}

static void test_cpuid_follows_cr4_and_xcr0(void **state)
{
	(void)state;
	cpuid_at(1, 0);
	assert_false(v->gpr[REG_RCX] >> 27 & 1);
	cpuid_at(0xd, 0);
	assert_int_equal(v->gpr[REG_RBX], 576);
	set(REG_CR4, CR4_OSXSAVE);
	vv->xcr0 = 7;
	cpuid_at(1, 0);
	assert_true(v->gpr[REG_RCX] >> 27 & 1);
	cpuid_at(0xd, 0);
	assert_int_equal(v->gpr[REG_RBX], 832);
}

/* MSRs. */

static void rdmsr_at(uint32_t msr)
{
	v->gpr[REG_RAX] = v->gpr[REG_RDX] = 0x1111111111111111;
	v->gpr[REG_RCX] = 0xffffffff00000000 | msr; /* only ECX counts */
	step_insn(EXIT_RDMSR, 2);
}

static void wrmsr_at(uint32_t msr, uint64_t value)
{
	v->gpr[REG_RAX] = 0xffffffff00000000 | (uint32_t)value;
	v->gpr[REG_RDX] = 0xffffffff00000000 | value >> 32;
	v->gpr[REG_RCX] = 0xffffffff00000000 | msr;
	step_insn(EXIT_WRMSR, 2);
}

static void test_rdmsr_splits_the_value(void **state)
{
	(void)state;
	set(REG_LSTAR, 0xffff800012345678);
	rdmsr_at(MSR_LSTAR);
	expect_next(2);
	assert_int_equal(v->gpr[REG_RAX], 0x12345678);
	assert_int_equal(v->gpr[REG_RDX], 0xffff8000);
}

static void test_wrmsr_joins_the_value(void **state)
{
	(void)state;
	wrmsr_at(MSR_LSTAR, 0xffff8000fedcba98);
	expect_next(2);
	assert_int_equal(reg(REG_LSTAR), 0xffff8000fedcba98);
}

static void test_unknown_msrs_fault_and_change_nothing(void **state)
{
	static const uint32_t msrs[] = {0x1234,	    0x3a, 0x480,	 0x491,
					0xc0011029, ~0u,  0xc0000084 + 1};

	(void)state;
	for (unsigned i = 0; i < array_count(msrs); i++) {
		again();
		rdmsr_at(msrs[i]);
		expect_fault(EXC_GP);
		assert_int_equal(v->gpr[REG_RAX], 0x1111111111111111);
		assert_int_equal(v->gpr[REG_RDX], 0x1111111111111111);
		again();
		wrmsr_at(msrs[i], 0);
		expect_fault(EXC_GP);
	}
}

static void test_bad_values_for_msrs_fault(void **state)
{
	static const struct {
		uint32_t msr;
		uint64_t value;
		enum vcpu_reg reg;
	} bad[] = {
		{MSR_LSTAR, 0x0000800000000000, REG_LSTAR},
		{MSR_EFER, 1 << 1, REG_EFER},
		{MSR_PAT, 2, REG_PAT},
		{0x1d9, 1, REG_DR7},
		{0x17, 0, REG_DR7},
	};

	(void)state;
	for (unsigned i = 0; i < array_count(bad); i++) {
		uint64_t before;

		again();
		before = reg(bad[i].reg);
		wrmsr_at(bad[i].msr, bad[i].value);
		expect_fault(EXC_GP);
		assert_int_equal(reg(bad[i].reg), before);
	}
}

static void test_lme_cannot_change_while_paging(void **state)
{
	(void)state;
	run_mode_64(m);
	wrmsr_at(MSR_EFER, EFER_SCE);
	expect_fault(EXC_GP);
	again();
	run_mode_64(m);
	wrmsr_at(MSR_EFER, EFER_SCE | EFER_LME);
	expect_next(2);
	assert_int_equal(reg(REG_EFER), EFER_SCE | EFER_LME | EFER_LMA);
}

/* Those that are no more than a value have a short way. */
static void test_stored_msrs_with_and_without_quick_exits(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		again();
		v->quick = i ? &vcpu_quick : NULL;
		wrmsr_at(0x1a0, 0x1800);
		expect_next(2);
		rdmsr_at(0x1a0);
		expect_next(4);
		assert_int_equal(v->gpr[REG_RAX], 0x1800);
		assert_int_equal(v->gpr[REG_RDX], 0);
		wrmsr_at(0x8b, 0);
		rdmsr_at(0x1b);
		expect_next(8);
		assert_int_equal(v->gpr[REG_RAX], 0xfee00100);
		assert_int_equal(m->quick_count, i ? 4 : 0);
		assert_int_equal(vv->stats.kind[EXIT_WRMSR].count, 2);
		again();
		v->quick = i ? &vcpu_quick : NULL;
		wrmsr_at(0x1a0, 0x1000);
		expect_fault(EXC_GP);
		assert_int_equal(vv->msr.misc_enable, 0x1801);
	}
}

/* XSETBV. */

static void xsetbv(uint32_t ecx, uint64_t value)
{
	v->gpr[REG_RCX] = 0xffffffff00000000 | ecx;
	v->gpr[REG_RAX] = 0xffffffff00000000 | (uint32_t)value;
	v->gpr[REG_RDX] = 0xffffffff00000000 | value >> 32;
	step_insn(EXIT_XSETBV, 3);
}

static void test_xsetbv_takes_what_the_host_switches(void **state)
{
	static const uint64_t values[] = {1, 3, 7};

	(void)state;
	for (unsigned i = 0; i < array_count(values); i++) {
		again();
		xsetbv(0, values[i]);
		expect_next(3);
		assert_int_equal(vv->xcr0, values[i]);
		assert_int_equal(run_around.xcr0, values[i]);
	}
}

static void test_xsetbv_refuses_all_else(void **state)
{
	static const uint64_t values[] = {0, 2, 4, 5, 6, 8 | 7, 1ul << 63 | 1, 1ul << 32 | 1, ~0ul};

	(void)state;
	for (unsigned i = 0; i < array_count(values); i++) {
		again();
		xsetbv(0, values[i]);
		expect_fault(EXC_GP);
		assert_int_equal(vv->xcr0, 1);
		assert_int_equal(run_around.xcr0, 7);
	}
	again();
	xsetbv(1, 1);
	expect_fault(EXC_GP);
}

static void test_xsetbv_is_for_ring_0(void **state)
{
	(void)state;
	for (unsigned cpl = 1; cpl < 4; cpl++) {
		again();
		v->virt->segment[SEG_SS].attr |= (uint16_t)(cpl << 5);
		xsetbv(0, 3);
		expect_fault(EXC_GP);
		assert_int_equal(vv->xcr0, 1);
	}
}

/* Hypercalls. */

static void vmcall(uint64_t number)
{
	v->gpr[REG_RAX] = number;
	v->gpr[REG_RDI] = 5;
	step_insn(EXIT_HYPERCALL, 3);
}

static void test_hypercalls(void **state)
{
	static const struct {
		uint64_t number;
		int64_t result;
	} cases[] = {
		{HYPERCALL_IDENTIFY, HYPERCALL_SIGNATURE},
		{HYPERCALL_NOP, 0},
		{2, E_NOSYS},
		{1ul << 32, E_NOSYS},
		{1ul << 32 | HYPERCALL_NOP, E_NOSYS},
		{~0ul, E_NOSYS},
	};

	(void)state;
	for (unsigned i = 0; i < array_count(cases); i++) {
		again();
		vmcall(cases[i].number);
		expect_next(3);
		assert_int_equal(v->gpr[REG_RAX], (uint64_t)cases[i].result);
		assert_int_equal(v->gpr[REG_RDI], 5);
	}
}

static void test_hypercalls_are_for_ring_0(void **state)
{
	(void)state;
	for (unsigned cpl = 1; cpl < 4; cpl++)
		for (uint64_t number = 0; number < 3; number++) {
			again();
			v->quick = number & 1 ? &vcpu_quick : NULL;
			v->virt->segment[SEG_SS].attr |= (uint16_t)(cpl << 5);
			vmcall(number);
			expect_next(3);
			assert_int_equal(v->gpr[REG_RAX], (uint64_t)E_PERM);
		}
}

/* The rest. */

static void test_exits_that_need_no_more_than_a_skip(void **state)
{
	(void)state;
	step_insn(EXIT_CACHE, 2);
	expect_next(2);
	again();
	step_insn(EXIT_PAUSE, 2);
	expect_next(2);
}

static void test_hidden_instructions_do_not_exist(void **state)
{
	(void)state;
	step_insn(EXIT_UNDEFINED, 3);
	expect_fault(EXC_UD);
}

static void test_forbidden_instructions_fault(void **state)
{
	(void)state;
	step_insn(EXIT_PRIVILEGED, 2);
	expect_fault(EXC_GP);
}

static void test_real_mode_faults_have_no_error_code(void **state)
{
	(void)state;
	run_mode_real(m);
	step_insn(EXIT_PRIVILEGED, 2);
	assert_false(expect_delivered(1, EVENT_EXCEPTION, EXC_GP)->event.has_error);
}

static void test_host_nmi_and_nothing_are_retried(void **state)
{
	(void)state;
	step_insn(EXIT_HOST_NMI, 0);
	expect_next(0);
}

static bool irqs_were_on;

static void host_interrupt(void)
{
	irqs_were_on = fake_irqs_on;
	atomic_fetch_or(&this_cpu()->work, WORK_TIMER);
}

/* The interrupt's handler runs between STI and CLI; what it asks for makes the loop be left. */
static void test_host_interrupts_are_let_in(void **state)
{
	(void)state;
	irqs_were_on = false;
	fake_irq_enable_count = 0;
	fake_host_interrupt = host_interrupt;
	fake_kick(v);
	fake_push_exit(v, &(struct vcpu_exit){.kind = EXIT_CPUID, .insn_len = 2});
	loop();
	assert_int_equal(v->exit.kind, EXIT_HOST_IRQ);
	assert_int_equal(fake_irq_enable_count, 1);
	assert_true(irqs_were_on);
	assert_false(fake_irqs_on);
	assert_int_equal(reg(REG_RIP), RUN_CODE);
	assert_int_equal(v->virt->script_count, 1);
}

static void test_ends_of_vms_say_why(void **state)
{
	static const struct {
		struct vcpu_exit e;
		const char *reason;
	} cases[] = {
		{{.kind = EXIT_SHUTDOWN}, "triple fault"},
		{{.kind = EXIT_TASK_SWITCH, .unknown.qualification = 0x40000028},
		 "hardware task switch (qualification 40000028): CRVM does not emulate it"},
		{{.kind = EXIT_ENTRY_FAILED,
		  .raw = 33,
		  .failed = {.instruction_error = 7, .qualification = 0x12}},
		 "VM entry failed (reason 33, instruction error 7, qualification 12)"},
		{{.kind = EXIT_UNKNOWN, .raw = 65, .unknown.qualification = 0xabc},
		 "exit that CRVM does not know (reason 65, qualification abc)"},
	};

	(void)state;
	for (unsigned i = 0; i < array_count(cases); i++) {
		again();
		step(&cases[i].e);
		expect_stop(true, cases[i].reason);
		assert_int_equal(reg(REG_RIP), RUN_CODE);
		assert_int_equal(v->virt->run_count, 1);
	}
}

static void test_an_exception_that_nobody_intercepts_ends_the_vm(void **state)
{
	struct vcpu_exit e = {.kind = EXIT_EXCEPTION};

	(void)state;
	e.exception.event = (struct event){.kind = EVENT_EXCEPTION, .vector = EXC_PF};
	step(&e);
	assert_int_equal(m->stops, 1);
	assert_true(m->stop_dump);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_cpuid_gives_four_registers_of_32_bits),
		T(test_cpuid_says_crvm_and_no_vmx),
		T(test_cpuid_follows_cr4_and_xcr0),
		T(test_rdmsr_splits_the_value),
		T(test_wrmsr_joins_the_value),
		T(test_unknown_msrs_fault_and_change_nothing),
		T(test_bad_values_for_msrs_fault),
		T(test_lme_cannot_change_while_paging),
		T(test_stored_msrs_with_and_without_quick_exits),
		T(test_xsetbv_takes_what_the_host_switches),
		T(test_xsetbv_refuses_all_else),
		T(test_xsetbv_is_for_ring_0),
		T(test_hypercalls),
		T(test_hypercalls_are_for_ring_0),
		T(test_exits_that_need_no_more_than_a_skip),
		T(test_hidden_instructions_do_not_exist),
		T(test_forbidden_instructions_fault),
		T(test_real_mode_faults_have_no_error_code),
		T(test_host_nmi_and_nothing_are_retried),
		T(test_host_interrupts_are_let_in),
		T(test_ends_of_vms_say_why),
		T(test_an_exception_that_nobody_intercepts_ends_the_vm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
