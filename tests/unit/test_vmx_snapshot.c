/*
 * vmx/snapshot.c on a CPU that lacks some fields, as KVM's does: reading these changes
 * INSTRUCTION_ERROR (SDM Vol. 3C, "VM-Instruction Error Numbers": 12).
 * needs: vmx/snapshot.c
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "../../vmx/snapshot.h"

static uint64_t instruction_error;

bool vmcs_try_read(enum vmcs_field field, uint64_t *value)
{
	if (field == VMCS_INSTRUCTION_ERROR) {
		*value = instruction_error;
		return true;
	}
	if (field == VMCS_GUEST_SMBASE || field == VMCS_HOST_ES_SELECTOR) {
		instruction_error = 12;
		return false;
	}
	*value = field * 3ull;
	return true;
}

static bool is_present(const struct vmcs_snapshot *s, enum vmcs_index i)
{
	return s->present[i / 64] >> (i % 64) & 1;
}

static void test_fields_are_read_and_the_absent_ones_known(void **state)
{
	struct vmcs_snapshot s;

	(void)state;
	vmcs_snapshot_take(&s);
	assert_true(is_present(&s, SNAP_GUEST_RIP));
	assert_int_equal(s.value[SNAP_GUEST_RIP], VMCS_GUEST_RIP * 3ull);
	assert_false(is_present(&s, SNAP_GUEST_SMBASE));
	assert_false(is_present(&s, SNAP_HOST_ES_SELECTOR));
	assert_int_equal(s.value[SNAP_GUEST_SMBASE], 0);
}

static void test_the_error_is_that_of_the_entry(void **state)
{
	struct vmcs_snapshot s;

	(void)state;
	instruction_error = 7;
	vmcs_snapshot_take(&s);
	assert_true(is_present(&s, SNAP_INSTRUCTION_ERROR));
	assert_int_equal(s.value[SNAP_INSTRUCTION_ERROR], 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fields_are_read_and_the_absent_ones_known),
		cmocka_unit_test(test_the_error_is_that_of_the_entry),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
