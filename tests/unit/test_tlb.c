/*
 * When cached translations must go, and VPIDs. The instructions themselves need VMX operation.
 * needs: vmx/tlb.c tests/fake/panic.c
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "../../vmx/tlb.h"
#include "panic.h"

#define BOTH (VMX_TLB_INVEPT | VMX_TLB_INVVPID)

static struct vmx_caps caps_of(uint64_t proc2, uint64_t ept_vpid)
{
	struct vmx_caps c = {0};

	c.msr[CAP_VMX_PROCBASED_CTLS2] = proc2;
	c.msr[CAP_VMX_EPT_VPID_CAP] = ept_vpid;
	return c;
}

#define B(n) (1ull << (n))

static void test_invept_is_single_context_if_it_can_be(void **state)
{
	static const struct {
		uint64_t cap;
		enum vmx_tlb_type type;
	} c[] = {
		{B(20) | B(25) | B(26), VMX_TLB_SINGLE},
		{B(20) | B(25), VMX_TLB_SINGLE},
		{B(20) | B(26), VMX_TLB_ALL},
		{B(20), VMX_TLB_NONE},
		{B(25) | B(26), VMX_TLB_NONE}, /* no INVEPT at all */
		{~(B(20) | B(25) | B(26)), VMX_TLB_NONE},
		{~B(25), VMX_TLB_ALL},
		{0, VMX_TLB_NONE},
	};

	(void)state;
	for (unsigned i = 0; i < array_count(c); i++) {
		struct vmx_caps caps = caps_of(0, c[i].cap);

		assert_int_equal(vmx_tlb_invept_type(&caps), c[i].type);
	}
}

static void test_invvpid_is_single_context_if_it_can_be(void **state)
{
	static const struct {
		uint64_t proc2, cap;
		enum vmx_tlb_type type;
	} c[] = {
		{B(37), B(32) | B(40) | B(41) | B(42) | B(43), VMX_TLB_SINGLE},
		{B(37), B(32) | B(41), VMX_TLB_SINGLE},
		{B(37), B(32) | B(42), VMX_TLB_ALL},
		/* One address, or all but global ones, is not enough. */
		{B(37), B(32) | B(40) | B(43), VMX_TLB_NONE},
		{B(37), B(41) | B(42), VMX_TLB_NONE},
		{0, B(32) | B(41) | B(42), VMX_TLB_NONE},
		{~B(37), ~0ull, VMX_TLB_NONE},
		{~0ull, ~B(32), VMX_TLB_NONE},
		{~0ull, ~B(41), VMX_TLB_ALL},
	};

	(void)state;
	for (unsigned i = 0; i < array_count(c); i++) {
		struct vmx_caps caps = caps_of(c[i].proc2, c[i].cap);

		assert_int_equal(vmx_tlb_invvpid_type(&caps), c[i].type);
	}
}

/* The types are operands of the instructions: Vol. 3C, "INVEPT", "INVVPID". */
static void test_types_are_those_of_the_instructions(void **state)
{
	(void)state;
	assert_int_equal(VMX_TLB_SINGLE, 1);
	assert_int_equal(VMX_TLB_ALL, 2);
}

static void test_vpids_are_unique_and_never_0(void **state)
{
	static uint8_t seen[65536];

	(void)state;
	memset(seen, 0, sizeof(seen));
	for (unsigned vm = 0; vm < VMX_TLB_VMS_MAX; vm++)
		for (unsigned vcpu = 0; vcpu < VMX_TLB_VCPUS_MAX; vcpu++) {
			uint16_t vpid = vmx_tlb_vpid(true, vm, vcpu);

			assert_int_not_equal(vpid, 0);
			assert_int_equal(seen[vpid]++, 0);
		}
}

static void test_no_vpid_when_off_or_out_of_ids(void **state)
{
	(void)state;
	assert_int_equal(vmx_tlb_vpid(false, 0, 0), 0);
	assert_int_equal(vmx_tlb_vpid(false, 5, 3), 0);
	assert_int_equal(vmx_tlb_vpid(true, VMX_TLB_VMS_MAX, 0), 0);
	assert_int_equal(vmx_tlb_vpid(true, 0, VMX_TLB_VCPUS_MAX), 0);
	assert_int_equal(vmx_tlb_vpid(true, UINT32_MAX, 0), 0);
	assert_int_equal(vmx_tlb_vpid(true, 0, UINT32_MAX), 0);
	assert_int_not_equal(vmx_tlb_vpid(true, VMX_TLB_VMS_MAX - 1, VMX_TLB_VCPUS_MAX - 1), 0);
}

/* What vmx_tlb_enter notes, without its instructions. */
static void entered(struct vmx_tlb *t, uint32_t cpu, uint64_t generation)
{
	t->cpu = cpu;
	t->generation = generation;
}

static void test_the_first_entry_flushes_both(void **state)
{
	struct vmx_tlb t;

	(void)state;
	memset(&t, 0xa5, sizeof(t));
	vmx_tlb_reset(&t, 65);
	assert_int_equal(vmx_tlb_due(&t, 0, 0), BOTH);
	assert_int_equal(vmx_tlb_due(&t, 63, 9), BOTH);
	assert_int_equal(vmx_tlb_due(&t, VMX_TLB_NOWHERE, 0), BOTH);
	vmx_tlb_reset(&t, 0);
	assert_int_equal(vmx_tlb_due(&t, 0, 0), VMX_TLB_INVEPT);
}

static void test_nothing_is_due_while_nothing_changes(void **state)
{
	struct vmx_tlb t;

	(void)state;
	vmx_tlb_reset(&t, 65);
	entered(&t, 2, 7);
	assert_int_equal(vmx_tlb_due(&t, 2, 7), 0);
	vmx_tlb_reset(&t, 0);
	entered(&t, 0, 0);
	assert_int_equal(vmx_tlb_due(&t, 0, 0), 0);
}

static void test_another_cpu_flushes_both_there(void **state)
{
	struct vmx_tlb t;

	(void)state;
	vmx_tlb_reset(&t, 65);
	entered(&t, 2, 7);
	assert_int_equal(vmx_tlb_due(&t, 3, 7), BOTH);
	assert_int_equal(vmx_tlb_due(&t, 3, 8), BOTH);
	/* And back again: what it left there is stale by now. */
	entered(&t, 3, 7);
	assert_int_equal(vmx_tlb_due(&t, 2, 7), BOTH);
	vmx_tlb_reset(&t, 0);
	entered(&t, 2, 7);
	assert_int_equal(vmx_tlb_due(&t, 3, 7), VMX_TLB_INVEPT);
}

static void test_lost_permissions_flush_the_ept_only(void **state)
{
	struct vmx_tlb t;

	(void)state;
	for (uint16_t vpid = 0; vpid < 2; vpid++) {
		vmx_tlb_reset(&t, vpid);
		entered(&t, 2, 7);
		assert_int_equal(vmx_tlb_due(&t, 2, 8), VMX_TLB_INVEPT);
		assert_int_equal(vmx_tlb_due(&t, 2, 7 + (1ull << 32)), VMX_TLB_INVEPT);
		assert_int_equal(vmx_tlb_due(&t, 2, 0), VMX_TLB_INVEPT);
		entered(&t, 2, 8);
		assert_int_equal(vmx_tlb_due(&t, 2, 8), 0);
	}
}

static void test_reset_makes_everything_due_again(void **state)
{
	struct vmx_tlb t;

	(void)state;
	vmx_tlb_reset(&t, 65);
	entered(&t, 2, 7);
	vmx_tlb_reset(&t, t.vpid);
	assert_int_equal(t.vpid, 65);
	assert_int_equal(vmx_tlb_due(&t, 2, 7), BOTH);
}

/*
 * TLBs as lists of what was cached when, and vCPUs that wander between them: with what is due done,
 * no vCPU ever enters where something stale of its own is left.
 */
#define CPUS  4u
#define VCPUS 3u

static void test_wandering_vcpus_never_meet_stale_translations(void **state)
{
	/* Oldest translation that may be in the TLB of a CPU: by EPT for the VM, by VPID for a
	 * vCPU. */
	uint64_t ept_age[CPUS] = {0}, vpid_age[CPUS][VCPUS] = {{0}};
	uint64_t now = 1, ept_changed = 0, generation = 0, space_changed[VCPUS] = {0};
	struct vmx_tlb t[VCPUS];

	(void)state;
	srand(1);
	for (unsigned i = 0; i < VCPUS; i++)
		vmx_tlb_reset(&t[i], (uint16_t)(64 + i));
	for (unsigned step = 0; step < 20000; step++, now++) {
		unsigned v = (unsigned)rand() % VCPUS;
		uint32_t cpu = rand() % 4 ? t[v].cpu % CPUS : (uint32_t)rand() % CPUS;
		unsigned due;

		if (rand() % 8 == 0) {
			generation++;
			ept_changed = now;
		}
		due = vmx_tlb_due(&t[v], cpu, generation);
		if (due & VMX_TLB_INVEPT)
			ept_age[cpu] = now;
		if (due & VMX_TLB_INVVPID)
			vpid_age[cpu][v] = now;
		entered(&t[v], cpu, generation);
		assert_true(ept_age[cpu] >= ept_changed);
		assert_true(vpid_age[cpu][v] >= space_changed[v]);
		/* In the guest it changes its own page tables, and flushes here, as guests do. */
		if (rand() % 2) {
			space_changed[v] = now;
			vpid_age[cpu][v] = now;
		}
	}
}

static void test_flushing_without_capability_is_a_bug(void **state)
{
	struct vmx_caps caps = caps_of(0, 0);

	(void)state;
	vmx_tlb_init(&caps);
	expect_panic(vmx_tlb_flush_ept(0x105e), "invept_type");
	expect_panic(vmx_tlb_flush_vpid(65), "invvpid_type");
	vmx_tlb_flush_vpid(0); /* nothing to do */
}

static void test_entering_with_nothing_due_executes_nothing(void **state)
{
	struct vmx_caps caps = caps_of(0, 0);
	struct vmx_tlb t;

	(void)state;
	vmx_tlb_init(&caps); /* a flush would panic */
	vmx_tlb_reset(&t, 65);
	entered(&t, 1, 5);
	vmx_tlb_enter(&t, 1, 0x105e, 5);
	expect_panic(vmx_tlb_enter(&t, 1, 0x105e, 6), "invept_type");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_invept_is_single_context_if_it_can_be),
		cmocka_unit_test(test_invvpid_is_single_context_if_it_can_be),
		cmocka_unit_test(test_types_are_those_of_the_instructions),
		cmocka_unit_test(test_vpids_are_unique_and_never_0),
		cmocka_unit_test(test_no_vpid_when_off_or_out_of_ids),
		cmocka_unit_test(test_the_first_entry_flushes_both),
		cmocka_unit_test(test_nothing_is_due_while_nothing_changes),
		cmocka_unit_test(test_another_cpu_flushes_both_there),
		cmocka_unit_test(test_lost_permissions_flush_the_ept_only),
		cmocka_unit_test(test_reset_makes_everything_due_again),
		cmocka_unit_test(test_wandering_vcpus_never_meet_stale_translations),
		cmocka_unit_test(test_flushing_without_capability_is_a_bug),
		cmocka_unit_test(test_entering_with_nothing_due_executes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
