/*
 * The fake backend itself: does it play the guest, and does it catch who breaks the contract?
 *
 * needs: tests/fake/backend.c tests/fake/backend_nested.c tests/fake/panic.c
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <crvm/panic.h>
#include <crvm/status.h>
#include "backend.h"
#include "panic.h"

enum { TF = 1 << 8, IF = 1 << 9, RF = 1 << 16, NMI_BLOCKED = 8 };

#define MIB (1ull << 20)
#define GIB (1ull << 30)

static const struct virt_backend *const b = &fake_backend;
static struct virt_vm *vm;
static struct vcpu v;

static int setup(void **state)
{
	(void)state;
	fake_backend_reset();
	v = (struct vcpu){.deadline = ~0ull, .id = 3};
	assert_int_equal(b->vm_init(&vm, NULL, 1, true), OK);
	assert_int_equal(b->vcpu_init(&v, vm, NULL), OK);
	b->vcpu_load(&v);
	b->set_reg(&v, REG_CR0, 0x80000011);
	return 0;
}

static void push(enum exit_kind kind, uint8_t insn_len)
{
	fake_push_exit(&v, &(struct vcpu_exit){.kind = (uint8_t)kind, .insn_len = insn_len});
}

static void inject(enum event_kind kind, uint8_t vector)
{
	b->inject(&v, &(struct event){.kind = (uint8_t)kind, .vector = vector});
}

/* Registers. */

static void test_reset_state_is_the_manuals(void **state)
{
	struct vcpu_segment cs;

	(void)state;
	b->vcpu_reset(&v);
	b->get_segment(&v, SEG_CS, &cs);
	assert_int_equal(cs.selector, 0xf000);
	assert_int_equal(cs.base + b->get_reg(&v, REG_RIP), 0xfffffff0);
	assert_int_equal(b->get_reg(&v, REG_RFLAGS), 2);
	assert_int_equal(b->get_reg(&v, REG_CR0), 0x60000010);
	assert_int_equal(b->get_reg(&v, REG_DR6), 0xffff0ff0);
	assert_int_equal(b->get_reg(&v, REG_IDTR_LIMIT), 0xffff);
}

static void test_registers_keep_what_is_set(void **state)
{
	struct vcpu_segment out, in = {.selector = 8, .attr = 0xa09b, .limit = ~0u, .base = 16};

	(void)state;
	for (unsigned i = 0; i < REG_COUNT; i++)
		b->set_reg(&v, i, 1000 + i);
	for (unsigned i = 0; i < REG_COUNT; i++)
		assert_int_equal(b->get_reg(&v, i), 1000 + i);
	assert_int_equal(v.gpr[REG_R15], 1000 + REG_R15);
	assert_int_not_equal(v.gpr[REG_RSP], 1000 + REG_RSP);
	v.gpr[REG_RAX] = 7;
	assert_int_equal(b->get_reg(&v, REG_RAX), 7);
	b->set_segment(&v, SEG_GS, &in);
	b->get_segment(&v, SEG_GS, &out);
	assert_memory_equal(&in, &out, sizeof(in));
	expect_panic(b->set_reg(&v, REG_COUNT, 0), "REG_COUNT");
}

/* Loading. */

static void test_calls_need_a_loaded_vcpu(void **state)
{
	(void)state;
	b->vcpu_unload(&v);
	expect_panic(b->run(&v), "not loaded");
	expect_panic((void)b->get_reg(&v, REG_RIP), "not loaded");
	expect_panic(b->set_reg(&v, REG_RIP, 0), "not loaded");
	expect_panic((void)b->can_take(&v, EVENT_NMI), "not loaded");
	expect_panic(inject(EVENT_NMI, 2), "not loaded");
	expect_panic(b->want_window(&v, EVENT_NMI, true), "not loaded");
	expect_panic(b->skip_insn(&v), "not loaded");
	expect_panic(b->flush_tlb(&v), "not loaded");
	expect_panic(b->dump(&v), "not loaded");
	b->vcpu_unload(&v);
}

static void test_a_vcpu_is_loaded_on_one_cpu(void **state)
{
	struct vcpu other = {.deadline = ~0ull, .id = 4};

	(void)state;
	assert_int_equal(b->vcpu_init(&other, vm, NULL), OK);
	expect_panic(b->vcpu_load(&other), "has another vCPU loaded");
	fake_cpu = 1;
	expect_panic(b->vcpu_load(&v), "is loaded on CPU 0");
	expect_panic((void)b->get_reg(&v, REG_RIP), "on CPU 1: vCPU 3 is loaded on CPU 0");
	b->vcpu_load(&other);
	fake_cpu = 0;
	b->vcpu_unload(&v);
	fake_cpu = 2;
	b->vcpu_load(&v);
	assert_int_equal(b->get_reg(&v, REG_CR0), 0x80000011);
}

/* Running. */

static void test_scripted_exits_come_in_order(void **state)
{
	(void)state;
	push(EXIT_CPUID, 2);
	push(EXIT_RDMSR, 2);
	b->run(&v);
	assert_int_equal(v.exit.kind, EXIT_CPUID);
	b->run(&v);
	assert_int_equal(v.exit.kind, EXIT_RDMSR);
	expect_panic(b->run(&v), "nothing to execute");
}

static void test_skip_passes_the_instruction(void **state)
{
	(void)state;
	b->set_reg(&v, REG_RIP, 0xfffffffe);
	b->set_reg(&v, REG_INT_SHADOW, 1 | NMI_BLOCKED);
	b->set_reg(&v, REG_RFLAGS, 2 | RF);
	push(EXIT_CPUID, 3);
	b->run(&v);
	b->skip_insn(&v);
	assert_int_equal(b->get_reg(&v, REG_RIP), 1); /* 32-bit code wraps */
	assert_int_equal(b->get_reg(&v, REG_INT_SHADOW), NMI_BLOCKED);
	assert_int_equal(b->get_reg(&v, REG_RFLAGS), 2);
	expect_panic(b->skip_insn(&v), "no instruction to skip");
	push(EXIT_HOST_IRQ, 0);
	b->run(&v);
	expect_panic(b->skip_insn(&v), "no instruction to skip");
}

static void test_skip_in_64_bit_code_does_not_wrap(void **state)
{
	struct vcpu_segment cs = {.attr = 0xa09b};

	(void)state;
	b->set_segment(&v, SEG_CS, &cs);
	b->set_reg(&v, REG_RIP, 0xfffffffe);
	push(EXIT_CPUID, 3);
	b->run(&v);
	b->skip_insn(&v);
	assert_int_equal(b->get_reg(&v, REG_RIP), 0x100000001);
}

static void test_skip_under_tf_leaves_a_debug_exception(void **state)
{
	(void)state;
	b->set_reg(&v, REG_RFLAGS, 2 | TF);
	push(EXIT_CPUID, 2);
	b->run(&v);
	b->skip_insn(&v);
	assert_true(v.virt->pending_db);
	push(EXIT_CPUID, 2);
	b->run(&v);
	assert_int_equal(v.virt->delivery_count, 1);
	assert_int_equal(fake_delivered(&v, 0)->event.vector, EXC_DB);
	assert_int_equal(b->get_reg(&v, REG_RFLAGS), 2); /* the handler is not stepped */
	assert_false(v.virt->pending_db);
}

static void test_kick_and_deadline_leave_the_guest(void **state)
{
	(void)state;
	fake_kick(&v);
	b->run(&v);
	assert_int_equal(v.exit.kind, EXIT_HOST_IRQ);
	v.deadline = fake_tsc;
	b->run(&v);
	assert_int_equal(v.exit.kind, EXIT_DEADLINE);
	b->set_reg(&v, REG_HALTED, 1);
	v.deadline = fake_tsc + 50;
	b->run(&v);
	assert_int_equal(v.exit.kind, EXIT_DEADLINE);
	assert_int_equal(fake_tsc, v.deadline);
	v.deadline = ~0ull;
	expect_panic(b->run(&v), "nothing can wake it");
}

static bool endless(struct vcpu *vcpu, void *ctx)
{
	(void)vcpu;
	++*(unsigned *)ctx;
	return false;
}

static void test_an_endless_guest_is_caught(void **state)
{
	unsigned count = 0;

	(void)state;
	fake_set_guest(&v, endless, &count);
	v.deadline = 10;
	b->run(&v);
	assert_int_equal(count, 10);
	v.deadline = ~0ull;
	expect_panic(b->run(&v), "without an exit");
}

/* Events. */

static void test_interruptibility(void **state)
{
	(void)state;
	assert_false(b->can_take(&v, EVENT_EXTINT));
	assert_true(b->can_take(&v, EVENT_NMI));
	b->set_reg(&v, REG_RFLAGS, 2 | IF);
	assert_true(b->can_take(&v, EVENT_EXTINT));
	for (unsigned shadow = 1; shadow < 4; shadow++) {
		b->set_reg(&v, REG_INT_SHADOW, shadow);
		assert_false(b->can_take(&v, EVENT_EXTINT));
		assert_false(b->can_take(&v, EVENT_NMI));
	}
	b->set_reg(&v, REG_INT_SHADOW, NMI_BLOCKED);
	assert_true(b->can_take(&v, EVENT_EXTINT));
	assert_false(b->can_take(&v, EVENT_NMI));
}

static bool iret(struct vcpu *vcpu, void *ctx)
{
	(void)ctx;
	fake_guest_iret(vcpu);
	fake_kick(vcpu);
	return false;
}

static void test_delivery_and_iret(void **state)
{
	(void)state;
	b->set_reg(&v, REG_RIP, 0x4000);
	b->set_reg(&v, REG_RFLAGS, 2 | IF | RF);
	inject(EVENT_NMI, EXC_NMI);
	push(EXIT_CPUID, 2);
	b->run(&v);
	assert_int_equal(b->get_reg(&v, REG_RFLAGS), 2);
	assert_int_equal(b->get_reg(&v, REG_INT_SHADOW), NMI_BLOCKED);
	assert_int_not_equal(b->get_reg(&v, REG_RIP), 0x4000);
	fake_set_guest(&v, iret, NULL);
	b->run(&v);
	assert_int_equal(b->get_reg(&v, REG_RIP), 0x4000);
	assert_int_equal(b->get_reg(&v, REG_RFLAGS), 2 | IF | RF);
	assert_int_equal(b->get_reg(&v, REG_INT_SHADOW), 0);
}

static void test_broken_delivery_reports_its_event(void **state)
{
	(void)state;
	inject(EVENT_NMI, EXC_NMI);
	fake_break_delivery(&v, &(struct vcpu_exit){.kind = EXIT_NESTED_FAULT});
	b->run(&v);
	assert_int_equal(v.exit.kind, EXIT_NESTED_FAULT);
	assert_int_equal(v.exit.interrupted.kind, EVENT_NMI);
	assert_int_equal(v.virt->delivery_count, 0);
	assert_int_equal(b->get_reg(&v, REG_INT_SHADOW), NMI_BLOCKED);
	inject(EVENT_NMI, EXC_NMI);
	expect_panic(b->run(&v), "cannot take an NMI");
}

static void test_entry_refuses_what_the_cpu_refuses(void **state)
{
	(void)state;
	inject(EVENT_EXTINT, 0x20);
	expect_panic(b->run(&v), "cannot take vector 32");
	setup(NULL);
	b->set_reg(&v, REG_RFLAGS, 2 | IF);
	b->set_reg(&v, REG_INT_SHADOW, 2);
	inject(EVENT_EXTINT, 0x20);
	expect_panic(b->run(&v), "cannot take vector 32");
	setup(NULL);
	b->set_reg(&v, REG_HALTED, 1);
	inject(EVENT_NMI, EXC_NMI);
	expect_panic(b->run(&v), "still halted");
}

static void test_inject_refuses_malformed_events(void **state)
{
	static const struct {
		struct event e;
		const char *why;
	} bad[] = {
		{{.kind = EVENT_NONE}, "EVENT_NONE"},
		{{.kind = 7}, "EVENT_SOFT_EXCEPTION"},
		{{.kind = EVENT_NMI, .vector = 3}, "cannot have vector 3"},
		{{.kind = EVENT_EXCEPTION, .vector = 32}, "cannot have vector 32"},
		{{.kind = EVENT_EXCEPTION, .vector = 2}, "cannot have vector 2"},
		{{.kind = EVENT_EXCEPTION, .vector = EXC_GP}, "error code of vector 13"},
		{{.kind = EVENT_EXCEPTION, .vector = EXC_UD, .has_error = 1}, "error code"},
		{{.kind = EVENT_EXTINT, .vector = 13, .has_error = 1}, "error code"},
		{{.kind = EVENT_SOFT_INT, .vector = 13}, "instruction length 0"},
		{{.kind = EVENT_SOFT_EXCEPTION, .vector = 3, .insn_len = 16}, "length 16"},
		{{.kind = EVENT_EXTINT, .vector = 13, .insn_len = 2}, "length 2"},
	};

	(void)state;
	for (volatile unsigned i = 0; i < array_count(bad); i++) {
		setup(NULL);
		expect_panic(b->inject(&v, &bad[i].e), bad[i].why);
	}
	setup(NULL);
	inject(EVENT_NMI, EXC_NMI);
	expect_panic(inject(EVENT_NMI, EXC_NMI), "while vector 2 waits");
}

static bool sti_then_nop(struct vcpu *vcpu, void *ctx)
{
	if (++*(unsigned *)ctx == 1)
		fake_guest_sti(vcpu);
	return false;
}

static bool mov_ss_then_nop(struct vcpu *vcpu, void *ctx)
{
	if (++*(unsigned *)ctx == 1)
		fake_guest_mov_ss(vcpu);
	return false;
}

static void test_windows_fire_when_they_open(void **state)
{
	unsigned count = 0;

	(void)state;
	b->want_window(&v, EVENT_EXTINT, true);
	fake_set_guest(&v, sti_then_nop, &count);
	b->run(&v);
	assert_int_equal(v.exit.kind, EXIT_IRQ_WINDOW);
	assert_int_equal(count, 2);
	b->run(&v); /* until it is withdrawn */
	assert_int_equal(v.exit.kind, EXIT_IRQ_WINDOW);
	assert_int_equal(count, 2);
	b->want_window(&v, EVENT_EXTINT, false);
	count = 0;
	fake_set_guest(&v, mov_ss_then_nop, &count);
	fake_kick(&v);
	b->run(&v);
	b->set_reg(&v, REG_INT_SHADOW, NMI_BLOCKED);
	b->want_window(&v, EVENT_NMI, true);
	v.deadline = fake_tsc + 5;
	b->run(&v);
	assert_int_equal(v.exit.kind, EXIT_DEADLINE);
	b->set_reg(&v, REG_INT_SHADOW, 2);
	v.deadline = ~0ull;
	b->run(&v);
	assert_int_equal(v.exit.kind, EXIT_NMI_WINDOW);
	assert_int_equal(b->get_reg(&v, REG_INT_SHADOW), 0);
}

/* The nested page table. */

static void expect_page(uint64_t gpa_v, uint64_t hpa_v, unsigned flags, uint64_t size)
{
	hpa_t got;
	unsigned got_flags;
	uint64_t got_size;

	assert_int_equal(b->nested_query(vm, gpa(gpa_v), &got, &got_flags, &got_size), OK);
	assert_int_equal(got.v, hpa_v);
	assert_int_equal(got_flags, flags);
	assert_int_equal(got_size, size);
}

static void test_map_uses_the_largest_pages(void **state)
{
	(void)state;
	assert_int_equal(
		b->nested_map(vm, gpa(GIB), hpa(3 * GIB), GIB + 2 * MIB + 4096, NESTED_RWX), OK);
	expect_page(GIB + 5, 3 * GIB + 5, NESTED_RWX, GIB);
	expect_page(2 * GIB, 4 * GIB, NESTED_RWX, 2 * MIB);
	expect_page(2 * GIB + 2 * MIB, 4 * GIB + 2 * MIB, NESTED_RWX, 4096);
	assert_int_equal(b->nested_map(vm, gpa(0), hpa(4096), 4 * MIB, NESTED_R), OK);
	expect_page(2 * MIB, 2 * MIB + 4096, NESTED_R, 4096);
	assert_int_equal(b->nested_query(vm, gpa(4 * MIB), NULL, NULL, NULL), E_NOENT);
	assert_int_equal(b->nested_query(vm, gpa(~0ull), NULL, NULL, NULL), E_NOENT);
}

static void test_map_refuses_overlap_and_nonsense(void **state)
{
	(void)state;
	assert_int_equal(b->nested_map(vm, gpa(MIB), hpa(0), MIB, NESTED_RWX), OK);
	assert_int_equal(b->nested_map(vm, gpa(MIB - 4096), hpa(0), 8192, NESTED_R), E_EXIST);
	assert_int_equal(b->nested_map(vm, gpa(2 * MIB - 4096), hpa(0), 8192, NESTED_R), E_EXIST);
	assert_int_equal(b->nested_map(vm, gpa(2 * MIB), hpa(0), 4096, NESTED_R), OK);
	assert_int_equal(b->nested_map(vm, gpa(0), hpa(0), MIB, NESTED_R), OK);
	assert_int_equal(b->nested_map(vm, gpa(1), hpa(0), 4096, NESTED_R), E_INVAL);
	assert_int_equal(b->nested_map(vm, gpa(4 * MIB), hpa(8), 4096, NESTED_R), E_INVAL);
	assert_int_equal(b->nested_map(vm, gpa(4 * MIB), hpa(0), 100, NESTED_R), E_INVAL);
	assert_int_equal(b->nested_map(vm, gpa(4 * MIB), hpa(0), 4096, NESTED_W), E_INVAL);
	assert_int_equal(b->nested_map(vm, gpa(4 * MIB), hpa(0), 4096, 8), E_INVAL);
	assert_int_equal(b->nested_map(vm, gpa(1ull << 48), hpa(0), 4096, NESTED_R), E_INVAL);
	assert_int_equal(b->nested_map(vm, gpa(-4096ull), hpa(0), 8192, NESTED_R), E_INVAL);
}

static bool count_pages(void *ctx, gpa_t gpa, hpa_t hpa, uint64_t len, unsigned flags)
{
	uint64_t *sum = ctx;

	(void)hpa;
	assert_true(gpa.v >= sum[1]); /* rising */
	sum[1] = gpa.v + len;
	sum[2 + (flags == NESTED_R)] += len;
	return ++sum[0] < 600;
}

static void test_protect_changes_exactly_its_range(void **state)
{
	uint64_t sum[4] = {0};

	(void)state;
	assert_int_equal(b->nested_map(vm, gpa(0), hpa(GIB), 4 * MIB, NESTED_RWX), OK);
	assert_int_equal(b->nested_protect(vm, gpa(0x5000), 0x3000, NESTED_R), OK);
	expect_page(0x4fff, GIB + 0x4fff, NESTED_RWX, 4096);
	expect_page(0x5000, GIB + 0x5000, NESTED_R, 4096);
	expect_page(0x7fff, GIB + 0x7fff, NESTED_R, 4096);
	expect_page(0x8000, GIB + 0x8000, NESTED_RWX, 4096);
	expect_page(2 * MIB, GIB + 2 * MIB, NESTED_RWX, 2 * MIB);
	b->nested_walk(vm, count_pages, sum);
	assert_int_equal(sum[0], 513);
	assert_int_equal(sum[2], 4 * MIB - 0x3000);
	assert_int_equal(sum[3], 0x3000);
	assert_int_equal(b->nested_protect(vm, gpa(3 * MIB), 2 * MIB, NESTED_R), E_NOENT);
	expect_page(3 * MIB, GIB + 3 * MIB, NESTED_RWX, 2 * MIB); /* nothing was changed */
	assert_int_equal(b->nested_protect(vm, gpa(0), 4096, 9), E_INVAL);
}

struct touch {
	uint64_t gpa;
	unsigned access;
};

static bool touch(struct vcpu *vcpu, void *ctx)
{
	const struct touch *t = ctx;

	if (!fake_guest_touch(vcpu, gpa(t->gpa), t->access))
		return true;
	fake_kick(vcpu);
	return false;
}

static void run_touch(uint64_t gpa_v, unsigned access)
{
	struct touch t = {gpa_v, access};

	fake_set_guest(&v, touch, &t);
	b->run(&v);
}

static void test_touch_faults_as_the_table_says(void **state)
{
	(void)state;
	assert_int_equal(b->nested_map(vm, gpa(0), hpa(0), MIB, NESTED_R), OK);
	run_touch(0x123, FAULT_READ);
	assert_int_equal(v.exit.kind, EXIT_HOST_IRQ);
	run_touch(0x123, FAULT_READ | FAULT_WRITE);
	assert_int_equal(v.exit.kind, EXIT_NESTED_FAULT);
	assert_int_equal(v.exit.fault.gpa, 0x123);
	assert_int_equal(v.exit.fault.access, FAULT_READ | FAULT_WRITE);
	assert_int_equal(v.exit.fault.allowed, NESTED_R);
	run_touch(MIB, FAULT_READ);
	assert_int_equal(v.exit.fault.allowed, 0);
}

static void test_a_missing_flush_is_caught(void **state)
{
	(void)state;
	assert_int_equal(b->nested_map(vm, gpa(0), hpa(0), MIB, NESTED_RWX), OK);
	run_touch(0x5000, FAULT_WRITE);
	/* What the guest has not used is in no TLB; more permissions need no flush. */
	assert_int_equal(b->nested_protect(vm, gpa(0x8000), 4096, NESTED_R), OK);
	run_touch(0x5000, FAULT_WRITE);
	assert_int_equal(b->nested_protect(vm, gpa(0x8000), 4096, NESTED_RWX), OK);
	run_touch(0x8000, FAULT_READ);
	assert_int_equal(b->nested_protect(vm, gpa(0x5000), 4096, NESTED_R), OK);
	expect_panic(run_touch(0x8000, FAULT_READ), "stale TLB entry for 5000");
	b->flush_tlb(&v);
	assert_int_equal(v.virt->flush_count, 1);
	run_touch(0x5000, FAULT_WRITE);
	assert_int_equal(v.exit.kind, EXIT_NESTED_FAULT);
}

static bool protect_from_inside(struct vcpu *vcpu, void *ctx)
{
	(void)vcpu;
	(void)ctx;
	return b->nested_protect(vm, gpa(0), 4096, NESTED_R) == OK;
}

static void test_tables_change_outside_the_guest_only(void **state)
{
	(void)state;
	assert_int_equal(b->nested_map(vm, gpa(0), hpa(0), MIB, NESTED_RWX), OK);
	fake_set_guest(&v, protect_from_inside, NULL);
	expect_panic(b->run(&v), "are in the guest");
}

/* The rest. */

static void test_ports_and_msrs_exit_until_told(void **state)
{
	(void)state;
	assert_true(fake_port_exits(vm, 0x3f8) && fake_port_exits(vm, 0xffff));
	b->intercept_port(vm, 0x80, false);
	assert_false(fake_port_exits(vm, 0x80));
	assert_true(fake_port_exits(vm, 0x81) && fake_port_exits(vm, 0x7f));
	b->intercept_port(vm, 0x80, true);
	assert_true(fake_port_exits(vm, 0x80));
	b->intercept_msr(vm, 0xc0000100, false, true);
	assert_false(fake_msr_exits(vm, 0xc0000100, false));
	assert_true(fake_msr_exits(vm, 0xc0000100, true));
	assert_true(fake_msr_exits(vm, 0xc0000101, false));
	b->intercept_msr(vm, 0xc0000100, true, false);
	assert_true(fake_msr_exits(vm, 0xc0000100, false));
}

static void test_calls_can_be_made_to_fail(void **state)
{
	struct virt_vm *more;
	struct vcpu w = {.id = 9};
	struct verdict verdict = {0};

	(void)state;
	fake_fail_after = 2;
	assert_int_equal(b->vm_init(&more, NULL, 2, false), OK);
	assert_int_equal(b->vcpu_init(&w, more, NULL), E_NOMEM);
	assert_int_equal(b->vcpu_init(&w, more, NULL), OK);
	fake_fail_after = 1;
	assert_int_equal(b->nested_map(more, gpa(0), hpa(0), 4096, NESTED_R), E_NOMEM);
	assert_int_equal(b->nested_query(more, gpa(0), NULL, NULL, NULL), E_NOENT);
	fake_bad_cpus = 2;
	assert_int_equal(b->cpu_enable(0, &verdict), OK);
	assert_int_equal(verdict.count, 0);
	assert_int_equal(b->cpu_enable(1, &verdict), E_IO);
	assert_int_equal(verdict.count, 1);
	b->cpu_disable(0);
	expect_panic(b->cpu_disable(0), "cpus_on");
}

#define T(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_reset_state_is_the_manuals),
		T(test_registers_keep_what_is_set),
		T(test_calls_need_a_loaded_vcpu),
		T(test_a_vcpu_is_loaded_on_one_cpu),
		T(test_scripted_exits_come_in_order),
		T(test_skip_passes_the_instruction),
		T(test_skip_in_64_bit_code_does_not_wrap),
		T(test_skip_under_tf_leaves_a_debug_exception),
		T(test_kick_and_deadline_leave_the_guest),
		T(test_an_endless_guest_is_caught),
		T(test_interruptibility),
		T(test_delivery_and_iret),
		T(test_broken_delivery_reports_its_event),
		T(test_entry_refuses_what_the_cpu_refuses),
		T(test_inject_refuses_malformed_events),
		T(test_windows_fire_when_they_open),
		T(test_map_uses_the_largest_pages),
		T(test_map_refuses_overlap_and_nonsense),
		T(test_protect_changes_exactly_its_range),
		T(test_touch_faults_as_the_table_says),
		T(test_a_missing_flush_is_caught),
		T(test_tables_change_outside_the_guest_only),
		T(test_ports_and_msrs_exit_until_told),
		T(test_calls_can_be_made_to_fail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
