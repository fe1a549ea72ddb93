/*
 * The breakages that the self-test uses on real CPUs, here on snapshots: each must be what it says,
 * and the auditor must name it.
 */
/* needs: vmx/audit.c vmx/audit_controls.c vmx/audit_host.c vmx/audit_guest.c */
/* needs: vmx/audit_segments.c vmx/breakage.c vmx/controls.c vmx/snapshot.c lib/printf.c */
#include "vmcs_sample.h"

static void every_breakage_is_named(void **state)
{
	struct vmx_audit_env env = sample_env();

	(void)state;
	for (size_t k = 0; k < array_count(samples); k++) {
		for (unsigned i = 0; i < vmx_breakage_count(); i++) {
			struct vmcs_snapshot s = samples[k].make();
			const struct breakage *b = vmx_breakage(i);
			char what[160];

			if (!(b->guests & samples[k].bit))
				continue;
			snprintf(what, sizeof(what), "\"%s\" in %s", b->name, samples[k].name);
			if (!breakage_possible(b, &s, &sample_caps))
				fail_msg("%s: not possible", what);
			breakage_run_snapshot(b, &s);
			assert_breaks(&s, &sample_caps, &env, what, vmx_breakage_expect(i),
				      b->field);
			assert_string_equal(vmx_breakage_expect_field(i),
					    vmcs_index_name(b->field));
		}
	}
}

static void each_kind_of_guest_has_enough(void **state)
{
	(void)state;
	assert_true(vmx_breakage_count() >= 45);
	for (size_t k = 0; k < 3; k++) {
		struct vmcs_snapshot s = samples[k].make();
		unsigned count = 0;

		for (unsigned i = 0; i < vmx_breakage_count(); i++)
			count += vmx_breakage_possible(i, &s, &sample_caps);
		assert_true(count >= 100);
	}
}

static void rows_are_well_formed(void **state)
{
	(void)state;
	for (unsigned i = 0; i < vmx_breakage_count(); i++) {
		const struct breakage *b = vmx_breakage(i);
		struct vmcs_snapshot s = sample_real();

		assert_string_equal(vmx_breakage_name(i), b->name);
		assert_in_range(b->step_count, 1, BREAKAGE_STEPS);
		assert_true(b->guests && !(b->guests & ~(unsigned)BREAK_ANY));
		for (unsigned j = 0; j < i; j++)
			assert_string_not_equal(b->name, vmx_breakage_name(j));
		breakage_run_snapshot(b, &s);
		for (unsigned n = 0; n < b->step_count; n++) {
			unsigned bits = vmcs_index_bits(b->step[n].field);

			if (bits < 64 && s.value[b->step[n].field] >> bits)
				fail_msg("%s: %s does not fit", b->name,
					 vmcs_index_name(b->step[n].field));
			/* Read-only fields cannot be written. */
			assert_int_not_equal(vmcs_index_field(b->step[n].field) >> 10 & 3, 1);
		}
	}
}

static void wrong_guest_is_not_possible(void **state)
{
	(void)state;
	for (size_t k = 0; k < array_count(samples); k++) {
		struct vmcs_snapshot s = samples[k].make();
		unsigned bit = samples[k].bit == SAMPLE_RESTRICTED ? BREAK_PROT : samples[k].bit;

		for (unsigned i = 0; i < vmx_breakage_count(); i++)
			if (!(vmx_breakage(i)->guests & bit))
				assert_false(vmx_breakage_possible(i, &s, &sample_caps));
	}
}

static unsigned find_row(const char *name)
{
	for (unsigned i = 0; i < vmx_breakage_count(); i++)
		if (strcmp(vmx_breakage_name(i), name) == 0)
			return i;
	fail_msg("no row \"%s\"", name);
	return 0;
}

static void missing_field_is_not_possible(void **state)
{
	struct vmcs_snapshot s = sample_long();
	unsigned i = find_row("TSC multiplier 0");

	(void)state;
	assert_true(vmx_breakage_possible(i, &s, &sample_caps));
	s.present[SNAP_TSC_MULTIPLIER / 64] &= ~(1ull << SNAP_TSC_MULTIPLIER % 64);
	assert_false(vmx_breakage_possible(i, &s, &sample_caps));
}

static void missing_control_is_not_possible(void **state)
{
	struct vmcs_snapshot s = sample_long();
	struct vmx_caps caps = sample_caps;
	unsigned i = find_row("PML page not aligned");

	(void)state;
	assert_true(vmx_breakage_possible(i, &s, &caps));
	caps.msr[CAP_VMX_PROCBASED_CTLS2] &= ~(1ull << (32 + 17));
	assert_false(vmx_breakage_possible(i, &s, &caps));
}

/* A bit that is "reserved" here may be a control elsewhere. */
static void reserved_bit_that_is_allowed_is_not_possible(void **state)
{
	struct vmcs_snapshot s = sample_long();
	struct vmx_caps caps = sample_caps;
	unsigned i = find_row("exit control that must be 0");

	(void)state;
	assert_true(vmx_breakage_possible(i, &s, &caps));
	caps.msr[CAP_VMX_TRUE_EXIT_CTLS] |= 1ull << 63;
	assert_false(vmx_breakage_possible(i, &s, &caps));
}

static void missing_capability_is_not_possible(void **state)
{
	struct vmcs_snapshot s = sample_long();
	struct vmx_caps caps = sample_caps;

	(void)state;
	caps.msr[CAP_VMX_MISC] &= ~(1ull << 8);
	assert_true(vmx_breakage_possible(find_row("interrupt in shutdown"), &s, &caps));
	assert_false(vmx_breakage_possible(find_row("NMI in wait-for-SIPI"), &s, &caps));
	assert_true(vmx_breakage_possible(find_row("EPTP list not aligned"), &s, &caps));
	caps.msr[CAP_VMX_VMFUNC] = 0;
	assert_false(vmx_breakage_possible(find_row("EPTP list not aligned"), &s, &caps));
}

/* A VMCS behind functions, as the real one is. */
struct recorder {
	struct vmcs_snapshot s;
	unsigned writes;
};

static uint64_t recorder_read(void *ctx, enum vmcs_index i)
{
	return ((struct recorder *)ctx)->s.value[i];
}

static void recorder_write(void *ctx, enum vmcs_index i, uint64_t value)
{
	struct recorder *r = ctx;

	r->s.value[i] = value;
	r->writes++;
}

static void undo_restores_everything(void **state)
{
	(void)state;
	for (unsigned i = 0; i < vmx_breakage_count(); i++) {
		const struct breakage *b = vmx_breakage(i);
		struct recorder r = {.s = sample_prot()};
		struct breakage_target target = {recorder_read, recorder_write, &r};
		struct vmcs_snapshot good = r.s, broken = r.s;

		breakage_run(b, &target);
		assert_int_equal(r.writes, b->step_count);
		breakage_run_snapshot(b, &broken);
		assert_memory_equal(&r.s, &broken, sizeof(broken));
		breakage_undo(b, &good, &target);
		assert_memory_equal(&r.s, &good, sizeof(good));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_breakage_is_named),
		cmocka_unit_test(each_kind_of_guest_has_enough),
		cmocka_unit_test(rows_are_well_formed),
		cmocka_unit_test(wrong_guest_is_not_possible),
		cmocka_unit_test(missing_field_is_not_possible),
		cmocka_unit_test(missing_control_is_not_possible),
		cmocka_unit_test(reserved_bit_that_is_allowed_is_not_possible),
		cmocka_unit_test(missing_capability_is_not_possible),
		cmocka_unit_test(undo_restores_everything),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
