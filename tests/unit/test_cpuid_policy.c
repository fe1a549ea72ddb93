/*
 * What guests see of CPUID.
 * needs: core/cpuid_policy.c
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <crvm/cpuid_policy.h>

/* The host: every bit of every leaf set, except where a test says otherwise. */
struct host {
	uint32_t max_basic, max_ext;
	struct cpuid_regs leaf1, leaf7, xsave0, xsave2, ext1, ext8;
	unsigned caches;
};
static struct host host;

static struct cpuid_regs fake_cpuid(void *ctx, uint32_t leaf, uint32_t subleaf)
{
	const struct host *h = ctx;
	const struct cpuid_regs ones = {~0u, ~0u, ~0u, ~0u}, junk = {0xbad, 0xbad, 0xbad, 0xbad};

	if (leaf < 0x80000000 ? leaf > h->max_basic : leaf > h->max_ext && leaf > 0x80000000)
		return junk; /* as Intel: data of another leaf */
	switch (leaf) {
	case 0:
		return (struct cpuid_regs){h->max_basic, 0x756e6547, 0x6c65746e, 0x49656e69};
	case 1:
		return h->leaf1;
	case 4:
		if (subleaf >= h->caches)
			return (struct cpuid_regs){0};
		return (struct cpuid_regs){0xfc1fc121 + subleaf, 0x01c0003f, 63 + subleaf, 4};
	case 7:
		return subleaf == 0 ? h->leaf7 : ones;
	case 0xd:
		return subleaf == 0 ? h->xsave0 : subleaf == 2 ? h->xsave2 : ones;
	case 0x80000000:
		return (struct cpuid_regs){h->max_ext, 1, 1, 1};
	case 0x80000001:
		return h->ext1;
	case 0x80000002:
	case 0x80000003:
	case 0x80000004:
		return (struct cpuid_regs){leaf, leaf + 1, leaf + 2, leaf + 3};
	case 0x80000008:
		return h->ext8;
	default:
		return ones;
	}
}

static const struct cpu_ops ops = {.cpuid = fake_cpuid, .ctx = &host};

static struct cpuid_config config;
static struct cpuid_policy policy;

static int setup(void **state)
{
	(void)state;
	host = (struct host){
		.max_basic = 0x20,
		.max_ext = 0x80000008,
		.leaf1 = {0x000906ea, 0xaa1008bb, ~0u, ~0u},
		.leaf7 = {2, ~0u, ~0u, ~0u},
		.xsave0 = {0x2ff, 1088, 2696, 0},
		.xsave2 = {256, 576, 0, 0},
		.ext1 = {~0u, ~0u, ~0u, ~0u},
		.ext8 = {0x3027 | 0xff0000, ~0u, ~0u, ~0u},
		.caches = 4,
	};
	config = (struct cpuid_config){.tsc_khz = 2893123, .xcr0 = 7};
	return 0;
}

static void build(void)
{
	cpuid_policy_build(&policy, &config, &ops);
}

#define CR4_OS (1ul << 18)

static struct cpuid_regs get_at(uint32_t leaf, uint32_t subleaf, uint64_t cr4, uint64_t xcr0)
{
	struct cpuid_regs r = {0x11, 0x22, 0x33, 0x44};

	cpuid_policy_get(&policy, leaf, subleaf, cr4, xcr0, &r);
	return r;
}

static struct cpuid_regs get(uint32_t leaf, uint32_t subleaf)
{
	return get_at(leaf, subleaf, 0, 1);
}

static void assert_zero(struct cpuid_regs r)
{
	assert_int_equal(r.eax | r.ebx | r.ecx | r.edx, 0);
}

static void assert_regs(struct cpuid_regs r, uint32_t eax, uint32_t ebx, uint32_t ecx, uint32_t edx)
{
	assert_int_equal(r.eax, eax);
	assert_int_equal(r.ebx, ebx);
	assert_int_equal(r.ecx, ecx);
	assert_int_equal(r.edx, edx);
}

static void test_feature_words_of_a_host_with_everything(void **state)
{
	struct cpuid_regs r;

	(void)state;
	build();
	/* Written out from the manual, not from the table: what a guest without an APIC may see. */
	r = get(1, 0);
	assert_int_equal(r.ecx, 0x80000000 | 1u << 30 | 1u << 29 | 1u << 28 | 1u << 26 | 1u << 25 |
					1u << 23 | 1u << 22 | 1u << 20 | 1u << 19 | 1u << 13 |
					1u << 12 | 1u << 9 | 1u << 1 | 1u << 0);
	assert_int_equal(r.edx, 1u << 0 | 1u << 1 | 1u << 2 | 1u << 3 | 1u << 4 | 1u << 5 |
					1u << 6 | 1u << 7 | 1u << 8 | 1u << 11 | 1u << 13 |
					1u << 14 | 1u << 15 | 1u << 16 | 1u << 17 | 1u << 19 |
					1u << 23 | 1u << 24 | 1u << 25 | 1u << 26 | 1u << 27);
	r = get(7, 0);
	assert_int_equal(r.eax, 0);
	assert_int_equal(r.ebx, 1u << 0 | 1u << 1 | 1u << 3 | 1u << 5 | 1u << 6 | 1u << 7 |
					1u << 8 | 1u << 9 | 1u << 13 | 1u << 18 | 1u << 19 |
					1u << 20 | 1u << 23 | 1u << 24 | 1u << 29);
	assert_int_equal(r.ecx, 1u << 2 | 1u << 8 | 1u << 9 | 1u << 10 | 1u << 22);
	assert_int_equal(r.edx, 1u << 4 | 1u << 10 | 1u << 14);
	assert_regs(get(0x80000001, 0), 0, 0, 1u << 0 | 1u << 5 | 1u << 8,
		    1u << 11 | 1u << 20 | 1u << 26 | 1u << 27 | 1u << 29);
	assert_regs(get(0x80000007, 0), 0, 0, 0, 1u << 8);
	assert_zero(get(6, 0));
}

static void test_a_host_with_nothing_gives_nothing_but_what_is_emulated(void **state)
{
	struct cpuid_regs r;

	(void)state;
	host = (struct host){.max_basic = 1, .max_ext = 0xbad}; /* no extended leaves */
	config.apic = config.x2apic = config.tsc_deadline = true;
	build();
	r = get(1, 0);
	assert_int_equal(r.ecx, 0x80000000 | 1u << 21 | 1u << 24);
	assert_int_equal(r.edx, 1u << 9);
	assert_regs(get(7, 0), 0, 1u << 1, 0, 0); /* TSC_ADJUST */
	assert_regs(get(6, 0), 4, 0, 0, 0);	  /* ARAT */
	assert_regs(get(0x80000001, 0), 0, 0, 0, 0);
	assert_int_equal(get(0, 0).eax, 7);
	assert_int_equal(get(0x80000008, 0).eax, 32 << 8 | 36);
	assert_int_equal(cpuid_policy_phys_bits(&policy), 36);
	assert_int_equal(cpuid_policy_efer_bits(&policy), 0);
	assert_int_equal(cpuid_policy_cr4_bits(&policy), 0);
	assert_int_equal(policy.xcr0, 0);
}

static void test_each_host_bit_shows_only_if_the_host_has_it(void **state)
{
	(void)state;
	for (unsigned bit = 0; bit < 32; bit++) {
		struct cpuid_regs with, without;

		setup(state);
		build();
		with = get(1, 0);
		host.leaf1.edx &= ~(1u << bit);
		build();
		without = get(1, 0);
		assert_int_equal(without.edx, with.edx & ~(1u << bit));
		assert_int_equal(without.ecx, with.ecx);
		setup(state);
		host.leaf7.ebx &= ~(1u << bit);
		build();
		assert_int_equal(get(7, 0).ebx & 1u << bit, bit == 1 ? 2 : 0);
	}
}

static void test_the_apic_is_a_matter_of_configuration(void **state)
{
	(void)state;
	host.leaf1.ecx = host.leaf1.edx = 0; /* the host's does not matter: it is emulated */
	for (unsigned i = 0; i < 8; i++) {
		const bool apic = i & 1;

		config.apic = apic;
		config.x2apic = i & 2;
		config.tsc_deadline = i & 4;
		build();
		assert_int_equal(get(1, 0).edx >> 9 & 1, apic);
		assert_int_equal(get(1, 0).ecx >> 21 & 1, apic && i & 2);
		assert_int_equal(get(1, 0).ecx >> 24 & 1, apic && i & 4);
		assert_int_equal(get(6, 0).eax, apic ? 4 : 0);
		assert_int_equal(cpuid_policy_has(&policy, CPUID_F_APIC), apic);
	}
}

static void test_identity_of_a_vcpu(void **state)
{
	struct cpuid_regs r;

	(void)state;
	config.apic_id = 5;
	build();
	r = get(0, 0);
	assert_int_equal(r.ebx, 0x756e6547);
	assert_int_equal(r.edx, 0x49656e69);
	assert_int_equal(r.ecx, 0x6c65746e);
	r = get(1, 0);
	assert_int_equal(r.eax, 0x000906ea);
	assert_int_equal(r.ebx, 0x050108bb); /* the host's ID and thread count are gone */
	assert_regs(get(0xb, 0), 0, 1, 0x100, 5);
	assert_regs(get(0xb, 1), 0, 1, 0x201, 5);
	assert_regs(get(0xb, 2), 0, 0, 2, 5);
	assert_regs(get(0xb, 0x1234), 0, 0, 0x34, 5);
	host.leaf1.edx &= ~(1u << 19); /* no CLFLUSH: no line size */
	build();
	assert_int_equal(get(1, 0).ebx, 0x050100bb);
	for (uint32_t i = 2; i <= 4; i++)
		assert_regs(get(0x80000000 + i, 0), 0x80000000 + i, 0x80000001 + i, 0x80000002 + i,
			    0x80000003 + i);
}

static void test_caches_without_sharing(void **state)
{
	(void)state;
	build();
	for (uint32_t i = 0; i < 4; i++)
		assert_regs(get(4, i), 0x121 + i, 0x01c0003f, 63 + i, 4);
	assert_zero(get(4, 4));
	assert_zero(get(4, ~0u));
	host.caches = 1;
	build();
	assert_zero(get(4, 1));
	host.caches = 100;
	build();
	assert_zero(get(4, 4));
}

static void test_hypervisor_leaves(void **state)
{
	struct cpuid_regs r;

	(void)state;
	build();
	r = get(0x40000000, 0);
	assert_int_equal(r.eax, 0x40000010);
	assert_memory_equal(&r.ebx, "CRVMCRVMCRVM", 12);
	assert_regs(get(0x40000010, 0), 2893123, 0, 0, 0);
	for (uint32_t i = 1; i < 0x10; i++)
		assert_zero(get(0x40000000 + i, 0));
}

static void test_leaves_out_of_range_show_the_highest_basic_leaf(void **state)
{
	static const uint32_t beyond[] = {
		0x16,	    0x17,	0x1f,	    0x20,	0x1000,	    0x3fffffff, 0x40000011,
		0x40000100, 0x7fffffff, 0x80000009, 0x8000001f, 0x80010000, 0xc0000000, ~0u};

	(void)state;
	config.tsc_leaf = true;
	build();
	assert_int_equal(get(0, 0).eax, 0x15);
	assert_int_equal(get(0x80000000, 0).eax, 0x80000008);
	for (unsigned i = 0; i < array_count(beyond); i++)
		assert_regs(get(beyond[i], 3), 1, 1, 2893123000, 0);
	config.tsc_leaf = false;
	build();
	assert_int_equal(get(0, 0).eax, 0xd);
	for (unsigned i = 0; i < array_count(beyond); i++) {
		struct cpuid_regs a = get_at(beyond[i], 0, 0, 7), b = get_at(0xd, 0, 0, 7);

		assert_memory_equal(&a, &b, sizeof(a));
		assert_int_equal(get(beyond[i], 2).eax, 256); /* with its sub-leaves */
	}
	config.xcr0 = 0;
	build();
	assert_int_equal(get(0, 0).eax, 0xb);
	assert_regs(get(0x100, 1), 0, 1, 0x201, 0);
}

static void test_withheld_for_good(void **state)
{
	static const uint32_t zero[] = {3,   5,	   8,	 9,    0xa,  0xc, 0xe,
					0xf, 0x10, 0x11, 0x12, 0x13, 0x14};

	(void)state;
	config.tsc_leaf = config.apic = true;
	build();
	for (unsigned i = 0; i < array_count(zero); i++)
		for (uint32_t sub = 0; sub < 4; sub++)
			assert_zero(get(zero[i], sub));
	assert_zero(get(0x80000005, 0));
	assert_zero(get(7, 1));
	assert_zero(get(7, 2));
	assert_zero(get(7, ~0u));
	assert_regs(get(0x80000006, 0), 0, 0, ~0u, 0);
}

static void test_the_tsc_leaf(void **state)
{
	(void)state;
	config.tsc_leaf = true;
	config.tsc_khz = 4294967;
	build();
	assert_regs(get(0x15, 0), 1, 1, 4294967000, 0);
	config.tsc_khz = 5000001; /* beyond what ECX can say in hertz */
	build();
	assert_regs(get(0x15, 0), 1, 2, 2500000500, 0);
	config.tsc_khz = ~0u; /* not even so */
	build();
	assert_int_equal(get(0, 0).eax, 0xd);
	assert_int_equal(get(0x40000010, 0).eax, ~0u);
	config.tsc_khz = 0;
	build();
	assert_int_equal(get(0, 0).eax, 0xd);
}

static void test_osxsave_follows_cr4(void **state)
{
	(void)state;
	build();
	assert_int_equal(get_at(1, 0, 0, 7).ecx & 1u << 27, 0);
	assert_int_equal(get_at(1, 0, ~CR4_OS, 7).ecx & 1u << 27, 0);
	assert_int_equal(get_at(1, 0, CR4_OS, 1).ecx & 1u << 27, 1u << 27);
	assert_int_equal(get_at(1, 0, 0, 7).ecx & 1u << 27, 0);
}

static void test_xsave_sizes(void **state)
{
	(void)state;
	build();
	assert_regs(get_at(0xd, 0, 0, 1), 7, 576, 832, 0);
	assert_regs(get_at(0xd, 0, 0, 3), 7, 576, 832, 0);
	assert_regs(get_at(0xd, 0, 0, 7), 7, 832, 832, 0);
	assert_regs(get_at(0xd, 0, 0, ~0ull), 7, 832, 832, 0);
	assert_regs(get_at(0xd, 1, 0, 3), 7, 576, 0, 0);
	assert_regs(get_at(0xd, 1, 0, 7), 7, 832, 0, 0);
	assert_regs(get_at(0xd, 2, 0, 7), 256, 576, 0, 0);
	for (uint32_t i = 3; i < 64; i++)
		assert_zero(get_at(0xd, i, 0, 7));
	assert_int_equal(policy.xcr0, 7);
	assert_int_equal(cpuid_policy_xsave_size(&policy, 4), 832);
	host.xsave2.ebx = 1024; /* a CPU may place it elsewhere */
	build();
	assert_regs(get_at(0xd, 0, 0, 7), 7, 1280, 1280, 0);
	assert_regs(get_at(0xd, 1, 0, 7), 7, 832, 0, 0);
}

/* All that needs AVX or XSAVE must vanish with it. */
static void assert_no_avx(void)
{
	assert_int_equal(get(1, 0).ecx & (1u << 28 | 1u << 29 | 1u << 12), 0);
	assert_int_equal(get(7, 0).ebx & 1u << 5, 0);
	assert_int_equal(get(7, 0).ecx & (1u << 9 | 1u << 10), 0);
	assert_zero(get(0xd, 2));
	assert_int_equal(policy.xcr0 & 4, 0);
	assert_int_equal(cpuid_policy_xsave_size(&policy, 7), 576);
}

static void assert_no_xsave(void)
{
	assert_no_avx();
	assert_int_equal(get_at(1, 0, 0, 7).ecx & (1u << 26 | 1u << 27), 0);
	for (uint32_t i = 0; i < 4; i++)
		assert_zero(get(0xd, i));
	assert_int_equal(policy.xcr0, 0);
	assert_int_equal(cpuid_policy_cr4_bits(&policy) & CR4_OS, 0);
}

static void test_no_avx(void **state)
{
	(void)state;
	config.xcr0 = 3;
	build();
	assert_no_avx();
	assert_regs(get(0xd, 0), 3, 576, 576, 0);
	setup(state);
	host.leaf1.ecx &= ~(1u << 28);
	build();
	assert_no_avx();
	setup(state);
	host.xsave0.eax = 3;
	build();
	assert_no_avx();
	setup(state);
	cpuid_config_withhold(&config, CPUID_F_AVX);
	build();
	assert_no_avx();
	assert_int_equal(policy.xcr0, 3);
	for (unsigned i = 0; i < 3; i++) { /* a size or place that makes no sense */
		setup(state);
		host.xsave2 =
			(struct cpuid_regs){i == 0 ? 255 : 256, i == 1 ? 575 : 0xffffff00, 0, 0};
		build();
		assert_no_avx();
	}
}

static void test_no_xsave(void **state)
{
	for (unsigned i = 0; i < 5; i++) {
		setup(state);
		config.tsc_leaf = true; /* leaf 0Dh is in range still */
		switch (i) {
		case 0:
			config.xcr0 = 0;
			break;
		case 1:
			config.xcr0 = 5; /* without SSE */
			break;
		case 2:
			host.leaf1.ecx &= ~(1u << 26);
			break;
		case 3:
			host.max_basic = 0xc; /* its leaf 0Dh shows another's data */
			break;
		default:
			cpuid_config_withhold(&config, CPUID_F_XSAVE);
			break;
		}
		build();
		assert_no_xsave();
	}
}

static void test_any_feature_can_be_withheld(void **state)
{
	for (unsigned f = 0; f < CPUID_F_COUNT; f++) {
		setup(state);
		config.apic = config.x2apic = config.tsc_deadline = true;
		cpuid_config_withhold(&config, f);
		build();
		assert_false(cpuid_policy_has(&policy, f));
		for (unsigned g = 0; g < CPUID_F_COUNT; g++) {
			struct cpuid_policy withheld = policy, full;

			memset(config.withheld, 0, sizeof(config.withheld));
			cpuid_policy_build(&full, &config, &ops);
			if (cpuid_policy_has(&withheld, g))
				assert_true(cpuid_policy_has(&full, g));
		}
		assert_non_null(cpuid_feature_name(f));
		assert_non_null(cpuid_feature_why(f));
	}
	setup(state);
	cpuid_config_withhold(&config, CPUID_F_RDTSCP); /* one control of the CPU gives both */
	build();
	assert_false(cpuid_policy_has(&policy, CPUID_F_RDPID));
	assert_string_equal(cpuid_feature_name(CPUID_F_SSE4_2), "SSE4_2");
}

static void test_physical_address_width(void **state)
{
	static const struct {
		uint8_t host, config, expected;
	} cases[] = {{39, 0, 39}, {39, 36, 36}, {39, 40, 39}, {52, 0, 48}, {52, 50, 48},
		     {0, 0, 36},  {39, 31, 39}, {39, 32, 32}, {255, 0, 48}};

	(void)state;
	for (unsigned i = 0; i < array_count(cases); i++) {
		host.ext8.eax = 0x3900u | cases[i].host; /* 57-bit linear addresses are not shown */
		config.phys_bits = cases[i].config;
		build();
		assert_regs(get(0x80000008, 0), 48u << 8 | cases[i].expected, 0, 0, 0);
		assert_int_equal(cpuid_policy_phys_bits(&policy), cases[i].expected);
	}
}

static void test_control_register_bits_go_with_features(void **state)
{
	(void)state;
	build();
	/* All but VMXE, SMXE, PCIDE, LA57, KL, PKE, CET. */
	assert_int_equal(cpuid_policy_cr4_bits(&policy),
			 0x7ffu | 1u << 11 | 1u << 16 | 1u << 18 | 1u << 20 | 1u << 21);
	assert_int_equal(cpuid_policy_efer_bits(&policy), 0xd01);
	cpuid_config_withhold(&config, CPUID_F_SMAP);
	cpuid_config_withhold(&config, CPUID_F_NX);
	cpuid_config_withhold(&config, CPUID_F_VME);
	build();
	assert_int_equal(cpuid_policy_cr4_bits(&policy),
			 0x7fcu | 1u << 11 | 1u << 16 | 1u << 18 | 1u << 20);
	assert_int_equal(cpuid_policy_efer_bits(&policy), 0x501);
	cpuid_config_withhold(&config, CPUID_F_LM);
	build();
	assert_int_equal(cpuid_policy_efer_bits(&policy), 1);
}

static void test_an_old_host(void **state)
{
	(void)state;
	host.max_basic = 4;
	build();
	assert_int_equal(get(0, 0).eax, 7); /* TSC_ADJUST is ours */
	assert_regs(get(7, 0), 0, 2, 0, 0);
	config.tsc_leaf = true;
	build();
	assert_int_equal(get(0, 0).eax, 0x15);
	assert_zero(get(0x14, 0));
	assert_zero(get(0xd, 0));
}

#define t(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		t(test_feature_words_of_a_host_with_everything),
		t(test_a_host_with_nothing_gives_nothing_but_what_is_emulated),
		t(test_each_host_bit_shows_only_if_the_host_has_it),
		t(test_the_apic_is_a_matter_of_configuration),
		t(test_identity_of_a_vcpu),
		t(test_caches_without_sharing),
		t(test_hypervisor_leaves),
		t(test_leaves_out_of_range_show_the_highest_basic_leaf),
		t(test_withheld_for_good),
		t(test_the_tsc_leaf),
		t(test_osxsave_follows_cr4),
		t(test_xsave_sizes),
		t(test_no_avx),
		t(test_no_xsave),
		t(test_any_feature_can_be_withheld),
		t(test_physical_address_width),
		t(test_control_register_bits_go_with_features),
		t(test_an_old_host),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
