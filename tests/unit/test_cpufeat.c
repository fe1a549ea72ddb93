/*
 * CPU features from invented CPUID leaves.
 * needs: arch/x86_64/cpufeat.c tests/fake/msr_safe.c lib/verdict.c lib/text.c lib/printf.c
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <crvm/cpufeat.h>

struct leaf {
	uint32_t leaf;
	struct cpuid_regs r;
};

struct machine_model {
	struct leaf leaf[16];
	unsigned count;
	uint32_t forbidden; /* asking for this leaf fails the test */
};

static struct cpuid_regs model_cpuid(void *ctx, uint32_t leaf, uint32_t subleaf)
{
	const struct machine_model *m = ctx;

	(void)subleaf;
	if (m->forbidden)
		assert_int_not_equal(leaf, m->forbidden);
	for (unsigned i = 0; i < m->count; i++)
		if (m->leaf[i].leaf == leaf)
			return m->leaf[i].r;
	return (struct cpuid_regs){0, 0, 0, 0};
}

static const struct machine_model skylake = {
	.leaf =
		{
			{0, {0x16, 0x756e6547, 0x6c65746e, 0x49656e69}},
			{1, {0x00050654, 0, 0x00200020, 0x00010200}},
			{6, {4, 0, 0, 0}},
			{7, {0, 1u << 7 | 1u << 20, 0, 0}},
			{0x80000000, {0x80000008, 0, 0, 0}},
			{0x80000001, {0, 0, 0, 1u << 20 | 1u << 26 | 1u << 29}},
			{0x80000002, {0x20202020, 0x65746e49, 0x0152286c, 0x29205228}},
			{0x80000007, {0, 0, 0, 1u << 8}},
			{0x80000008, {0x3027, 0, 0, 0}},
		},
	.count = 9,
};

static struct cpu_features read_model(const struct machine_model *m)
{
	const struct cpu_ops ops = {.cpuid = model_cpuid, .ctx = (void *)(uintptr_t)m};
	struct cpu_features f;

	cpufeat_read(&f, &ops);
	return f;
}

static void test_identity(void **state)
{
	struct cpu_features f = read_model(&skylake);

	(void)state;
	assert_string_equal(f.vendor, "GenuineIntel");
	assert_int_equal(f.family, 6);
	assert_int_equal(f.model, 0x55);
	assert_int_equal(f.stepping, 4);
	assert_int_equal(f.phys_bits, 39);
	assert_false(f.hypervisor);
	/* Leading blanks go, unprintable bytes become question marks. */
	assert_string_equal(f.brand, "Intel(R?(R )");
}

static void test_extended_family(void **state)
{
	struct machine_model m = skylake;

	(void)state;
	m.leaf[1].r.eax = 0x00a60f12; /* family 15 + 10, model 0x61 */
	assert_int_equal(read_model(&m).family, 25);
	assert_int_equal(read_model(&m).model, 0x61);
	m.leaf[1].r.eax = 0x00000523; /* family 5: no extended model */
	assert_int_equal(read_model(&m).family, 5);
	assert_int_equal(read_model(&m).model, 2);
}

static void test_features_present(void **state)
{
	struct cpu_features f = read_model(&skylake);

	(void)state;
	assert_true(cpufeat_has(&f, CPUF_NX));
	assert_true(cpufeat_has(&f, CPUF_GB_PAGES));
	assert_true(cpufeat_has(&f, CPUF_SMEP));
	assert_true(cpufeat_has(&f, CPUF_SMAP));
	assert_true(cpufeat_has(&f, CPUF_PAT));
	assert_true(cpufeat_has(&f, CPUF_X2APIC));
	assert_true(cpufeat_has(&f, CPUF_INVARIANT_TSC));
	assert_true(cpufeat_has(&f, CPUF_ARAT));
	assert_false(cpufeat_has(&f, CPUF_UMIP));
	assert_false(cpufeat_has(&f, CPUF_TSC_DEADLINE));
	assert_false(cpufeat_has(&f, CPUF_AVX));
}

static void test_table_names_every_feature(void **state)
{
	struct cpu_features f = read_model(&skylake);
	const struct feature *row = cpufeat_table(&f);

	(void)state;
	for (unsigned i = 0; i < CPUF_COUNT; i++) {
		assert_non_null(row[i].name);
		assert_non_null(strstr(row[i].source, "CPUID."));
		assert_non_null(row[i].without);
		assert_int_equal(row[i].present, cpufeat_has(&f, (enum cpu_feature)i));
	}
}

/* Leaves beyond the maximum answer nonsense on real CPUs: they must not be asked for. */
static void test_absent_leaves_are_not_read(void **state)
{
	struct machine_model m = skylake;

	(void)state;
	m.leaf[0].r.eax = 6;
	m.forbidden = 7;
	assert_false(cpufeat_has(&(struct cpu_features){0}, CPUF_SMEP));
	assert_int_equal(read_model(&m).leaf7.ebx, 0);
	m = skylake;
	m.leaf[4].r.eax = 0x80000001;
	m.forbidden = 0x80000008;
	assert_int_equal(read_model(&m).phys_bits, 36);
}

static void test_absurd_address_width(void **state)
{
	static const uint32_t absurd[] = {0, 31, 53, 64, 255};
	struct machine_model m = skylake;

	(void)state;
	for (size_t i = 0; i < array_count(absurd); i++) {
		m.leaf[8].r.eax = absurd[i];
		assert_int_equal(read_model(&m).phys_bits, 36);
	}
}

static void test_hypervisor_named(void **state)
{
	struct machine_model m = skylake;
	struct cpu_features f;

	(void)state;
	m.leaf[1].r.ecx |= 1u << 31;
	m.leaf[m.count++] = (struct leaf){0x40000000, {0, 0x4b4d564b, 0x564b4d56, 0x0000004d}};
	f = read_model(&m);
	assert_true(f.hypervisor);
	assert_string_equal(f.hypervisor_vendor, "KVMKVMKVM");
}

static void test_compare_equal(void **state)
{
	struct cpu_features a = read_model(&skylake), b = a;
	struct verdict v = {0};

	(void)state;
	b.leaf1.ecx |= 1u << 27;  /* OSXSAVE follows CR4, */
	b.leaf7.ecx |= 1u << 4;	  /* OSPKE too; */
	b.leaf1.ebx = 0x03000000; /* the APIC ID differs by its nature */
	cpufeat_compare(&a, &b, 3, &v);
	assert_int_equal(v.count, 0);
}

static void test_compare_names_the_first_difference(void **state)
{
	struct cpu_features a = read_model(&skylake), b = a;
	struct verdict v = {0};

	(void)state;
	b.leaf7.ebx &= ~(1u << 20);
	b.ext1.edx = 0;
	cpufeat_compare(&a, &b, 3, &v);
	assert_int_equal(v.count, 1);
	assert_string_equal(v.item[0].fact, "the CPUs differ");
	assert_non_null(
		strstr(v.item[0].saw, "CPUID.7:EBX is 00100080 on CPU 0 but 00000080 on CPU 3"));
	assert_non_null(strstr(v.item[0].saw, "bits 00100000"));
	assert_non_null(strstr(v.item[0].todo, "cpus="));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_identity),
		cmocka_unit_test(test_extended_family),
		cmocka_unit_test(test_features_present),
		cmocka_unit_test(test_table_names_every_feature),
		cmocka_unit_test(test_absent_leaves_are_not_read),
		cmocka_unit_test(test_absurd_address_width),
		cmocka_unit_test(test_hypervisor_named),
		cmocka_unit_test(test_compare_equal),
		cmocka_unit_test(test_compare_names_the_first_difference),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
